# Peer::Traffic - what happens around the work of a request: log, counters, latency and injected faults
#
# A simulator calls serve($req, $label, $work). $work->() does the work and returns [status, headers, body]; it is called
# once or not at all. Order of events: request logged as begun · fault rules matched · latency and delay · faults that keep
# the work from being done · the work · faults that spoil the answer · answer. A client that has gone away meanwhile does
# not stop the work: the real systems commit as well.
#
# A fault rule (all conditions optional, all must hold):
#   method   "POST"                path   regular expression over "METHOD /decoded/path?query"
#   label    "POST Document_X"     exact label (see counts in /requests)
#   skip n   not the first n matching requests        nth n    only the n-th one
#   every n  each n-th matching request               times n  at most n times
#   probability p, seed s          by its own generator: equal runs give equal faults
#   action   one of
#     reset_before  reset, nothing done              reset_after   work done, reset instead of the answer
#     close_before, close_after                      the same with an orderly close
#     delay         ms: wait, then work              delay_after   ms: work, then wait before the answer
#     hold          the same, but until released     hold_after    (POST /release, or action release of a later request, once it is answered)
#     hang          nothing done, never an answer    hang_after    work done, never an answer
#     drip          bytes (16), interval_ms (50;     truncate      keep: bytes kept (default half), reset: true|false
#                   or hold: the rest when released)
#     status        status, body: odata|text|html|exception|empty|json, code, text, headers {}; work not done unless after: true
#     unauthorized  401            unavailable  503 (retry_after, body: empty)   throttle  429 (retry_after)
#     lock_conflict the text of a lock conflict, not done      session_expired  406 exception, not done
#     html_ok       200 with an HTML page, not done (after: true = done)         garbage  200, JSON type, broken text, done
# Delays add up; of the other actions the first matching rule wins.
package Peer::Traffic;
use v5.36;
no feature 'unicode_strings';
use Time::HiRes ();
use Peer::Json qw(encode);

my %KNOWN = map { $_ => 1 } qw(reset_before reset_after close_before close_after delay delay_after hold hold_after release hang hang_after drip truncate
  status unauthorized unavailable throttle lock_conflict session_expired html_ok garbage);

# Options: loop; body => sub ($kind, $rule, $req) returning (content type, body) of a fault answer; config => hash with
# latency_ms, latency_jitter_ms, log, log_limit, log_bodies.
sub new ($class, %opt)
{
	return bless {
		%opt, rules => [], rule_serial => 0, log => [], counts => {}, statuses => {}, held => [], serial => 0, in_flight => 0,
		peak_in_flight => 0, random => 1,
	}, $class;
}

sub reset_log ($self)
{
	$self->{log} = [];
	$self->{counts} = {};
	$self->{statuses} = {};
	$self->{peak_in_flight} = $self->{in_flight};
}

# Adds a rule; returns (id, undef) or (undef, sentence).
sub add_rule ($self, $rule)
{
	my $action = $rule->{action} // '';
	return (undef, "unknown action \"$action\"") if !$KNOWN{$action};
	my $re;
	if (defined $rule->{path}) {
		$re = eval { qr/$rule->{path}/ } or return (undef, "bad path expression: $@");
	}
	my $id = ++$self->{rule_serial};
	push $self->{rules}->@*, { %$rule, id => $id, re => $re, seen => 0, fired => 0, state => ($rule->{seed} // $id) + 0 };
	return ($id, undef);
}

sub rules ($self)
{
	return [ map { my %r = %$_; delete @r{qw(re state)}; \%r } $self->{rules}->@* ];
}

sub _random ($rule)
{
	$rule->{state} = ($rule->{state} * 1103515245 + 12345) & 0x7fffffff;
	return ($rule->{state} >> 8) / 0x800000;
}

sub _matching ($self, $req, $label)
{
	my ($text, @hit);
	for my $r ($self->{rules}->@*) {
		next if defined $r->{method} && $r->{method} ne $req->{method};
		next if defined $r->{label} && $r->{label} ne $label;
		if ($r->{re}) {
			$text //= "$req->{method} " . decoded($req->{target});
			next if $text !~ $r->{re};
		}
		my $n = ++$r->{seen};
		next if $r->{skip} && $n <= $r->{skip};
		next if $r->{nth} && $n != $r->{nth};
		next if $r->{every} && $n % $r->{every};
		next if defined $r->{probability} && _random($r) >= $r->{probability};
		next if $r->{times} && $r->{fired} >= $r->{times};
		$r->{fired}++;
		push @hit, $r;
	}
	return @hit;
}

# Percent-decoding of a whole target; '+' stays '+'.
sub decoded ($text)
{
	return $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger;
}

sub serve ($self, $req, $label, $work)
{
	my $config = $self->{config};
	$self->{counts}{$label}++;
	$req->{entry} = { n => ++$self->{serial}, label => $label };
	$self->{peak_in_flight} = $self->{in_flight} if ++$self->{in_flight} > $self->{peak_in_flight};
	my @hit = $self->{rules}->@* ? $self->_matching($req, $label) : ();
	my $delay = ($config->{latency_ms} // 0) + ($req->{extra_ms} // 0);
	$delay += rand $config->{latency_jitter_ms} if $config->{latency_jitter_ms};
	return $self->_answer($req, $work->(), {}) if !@hit && $delay <= 0;

	my ($fault, $late, $hold) = (undef, 0, 0);
	for my $r (@hit) {
		if    ($r->{action} eq 'delay')       { $delay += $r->{ms} // 0 }
		elsif ($r->{action} eq 'delay_after') { $late  += $r->{ms} // 0 }
		elsif ($r->{action} eq 'hold')        { $hold = 1 }
		elsif ($r->{action} eq 'hold_after')  { $late = 'release' }
		elsif ($r->{action} eq 'release')     { $self->{loop}->after(0, sub { $self->release }) }
		else                                  { $fault //= $r }
	}
	$req->{entry}{fault} = join ',', map { $_->{action} } @hit if @hit;
	my $go = sub { $self->_work($req, $work, $fault, $late) };
	return $self->_later('release', $go) if $hold;
	return $go->() if $delay <= 0;
	$self->{loop}->after($delay / 1000, $go);
}

my %NOT_DONE = map { $_ => 1 } qw(reset_before close_before hang unauthorized unavailable throttle lock_conflict session_expired);

sub _work ($self, $req, $work, $fault, $late)
{
	my $action = $fault ? $fault->{action} : '';
	my $done = !$NOT_DONE{$action} && !(($action eq 'status' || $action eq 'html_ok') && !$fault->{after});
	my $answer = $done ? $work->() : undef;
	$req->{entry}{done} = $done ? 1 : 0 if $fault;
	if ($action =~ /\A(reset|close)_(?:before|after)\z/) {
		my $how = $1;
		return $self->_later($late, sub {
			$how eq 'reset' ? $req->reset : $req->close;
			$self->_logged($req, $how);
		});
	}
	if ($action eq 'hang' || $action eq 'hang_after') {
		$req->hang;
		return $self->_logged($req, 'hang');
	}
	my %bad;
	if ($fault && !($action eq 'drip' || $action eq 'truncate')) { $answer = $self->_fault_answer($fault, $req) }
	elsif ($action eq 'drip') { $bad{drip} = [ $fault->{bytes} // 16, $fault->{hold} ? sub ($go_on) { $self->_later('release', $go_on) } : ($fault->{interval_ms} // 50) / 1000 ] }
	elsif ($action eq 'truncate') {
		$bad{truncate} = $fault->{keep} // int(length($answer->[2]) / 2);
		$bad{reset} = 1 if $fault->{reset};
	}
	$self->_later($late, sub { $self->_answer($req, $answer, \%bad) });
}

# After so many milliseconds, or with the next release.
sub _later ($self, $ms, $cb)
{
	return $cb->() if !$ms;
	return push $self->{held}->@*, $cb if $ms eq 'release';
	$self->{loop}->after($ms / 1000, $cb);
}

# Lets all go that is held; how many these are.
sub release ($self)
{
	my @held = splice $self->{held}->@*;
	$_->() for @held;
	return scalar @held;
}

sub _fault_answer ($self, $f, $req)
{
	my $a = $f->{action};
	my ($status, $kind, @headers) = (500, 'empty');
	if ($a eq 'status') {
		$status = $f->{status} // 500;
		$kind = $f->{body} // 'empty';
		@headers = map { $_, $f->{headers}{$_} } sort keys $f->{headers}->%* if $f->{headers};
	}
	elsif ($a eq 'unauthorized') { ($status, $kind, @headers) = (401, $f->{body} // 'html', 'WWW-Authenticate', 'Basic realm="base"') }
	elsif ($a eq 'unavailable')  { ($status, $kind) = (503, $f->{body} // 'empty') }
	elsif ($a eq 'throttle')     { ($status, $kind) = (429, $f->{body} // 'empty') }
	elsif ($a eq 'lock_conflict') { ($status, $kind) = (500, 'lock') }
	elsif ($a eq 'session_expired') { ($status, $kind) = (406, 'session') }
	elsif ($a eq 'html_ok')      { ($status, $kind) = (200, 'html') }
	elsif ($a eq 'garbage')      { return [ 200, [ 'Content-Type', 'application/json' ], '{"odata.metadata":"x","value":[{"Ref' ] }
	push @headers, 'Retry-After', $f->{retry_after} if defined $f->{retry_after};
	my ($type, $body) = $self->{body}->($kind, $f, $req, $status);
	unshift @headers, 'Content-Type', $type if defined $type;
	return [ $status, \@headers, $body ];
}

sub _answer ($self, $req, $answer, $bad)
{
	$req->respond(@$answer, %$bad);
	$self->_logged($req, $answer->[0]);
}

sub _logged ($self, $req, $status)
{
	my $config = $self->{config};
	$self->{in_flight}--;
	$self->{statuses}{$status}++;
	return if defined $config->{log} && !$config->{log};
	my $log = $self->{log};
	shift @$log if @$log >= ($config->{log_limit} // 100_000);
	my $e = $req->{entry};
	$e->{req} = [ $req->{method}, $req->{target}, length $req->{body}, $req->{sent} // 0, $req->{c}{id}, $req->{t0},
		Peer::Loop::now() - $req->{t0}, $status ];
	$e->{body} = $req->{body} if $config->{log_bodies};
	push @$log, $e;
}

# Log rows as plain data; filter is a hash of label, method, match (regular expression), limit (last n), after (serial).
sub entries ($self, $filter)
{
	my $re = defined $filter->{match} ? qr/$filter->{match}/ : undef;
	my @rows;
	for my $e ($self->{log}->@*) {
		my ($method, $target, $in, $out, $conn, $t0, $took, $status) = $e->{req}->@*;
		next if defined $filter->{label} && $filter->{label} ne $e->{label};
		next if defined $filter->{method} && $filter->{method} ne $method;
		next if defined $filter->{after} && $e->{n} <= $filter->{after};
		my $path = decoded($target);
		next if $re && "$method $path" !~ $re;
		my %row = (n => $e->{n} + 0, label => $e->{label}, method => $method, path => $path, target => $target,
			status => $status =~ /\A\d+\z/ ? $status + 0 : $status, bytes_in => $in + 0, bytes_out => $out + 0,
			connection => $conn + 0, at => sprintf('%.6f', $t0), ms => 0 + sprintf('%.3f', $took * 1000));
		$row{fault} = $e->{fault} if defined $e->{fault};
		$row{done} = $e->{done} if defined $e->{done};
		$row{body} = $e->{body} if defined $e->{body};
		push @rows, \%row;
	}
	my $limit = $filter->{limit};
	splice @rows, 0, @rows - $limit if $limit && @rows > $limit;
	return \@rows;
}

1;
