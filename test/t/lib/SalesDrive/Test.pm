package SalesDrive::Test;

# What the TAP tests share: nodes with the extension, simulators, HTTP, waiting.
#
#   my $node = new_node('main');                             preloaded, extension created in postgres
#   my $node = new_node('main', workers => 1);               and receiver and exchanger running there
#   my $bas  = start_peer('bas', '--ref-key', 'ignore');     test/peer/bas.pl; ends with the test
#   $bas->control(POST => '/faults', { ... });               its control address, JSON both ways
#   wait_for_sql($node, 'postgres', 'SELECT ...', 't');      polls until the answer is right
#   my $answer = http(POST => "$url/webhook/...", {}, $body);
#   my $line = raw_connect($port); $line->send("GET ..."); $line->read_all(5);
#   use SalesDrive::Test qw(:DEFAULT sql error_of run_engine uri);     of the first node made, database postgres
#
# Nothing here waits for a fixed time: every wait ends when its condition holds and dies at a deadline.

use strict;
use warnings FATAL => 'all';

use Carp;
use Exporter 'import';
use File::Basename qw(dirname);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use IPC::Open2;
use JSON::PP ();
use POSIX qw(WNOHANG);
use Time::HiRes ();

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More ();

our @EXPORT = qw(
  new_node start_peer free_port receiver_port
  wait_for wait_for_sql http post_json raw_connect
  json_encode json_decode default_timeout tree
);
our @EXPORT_OK = qw(sql error_of run_engine uri sessions_told stand_in_program);

# What tests say may be characters; the tee into the log takes bytes, and since PostgreSQL 17 a wide one is the end of the test.
{
	no warnings 'redefine';
	my $print = \&PostgreSQL::Test::SimpleTee::PRINT;
	*PostgreSQL::Test::SimpleTee::PRINT = sub { my ($tee, @said) = @_; utf8::is_utf8($_) and utf8::encode($_) for @said; return $print->($tee, @said) };
}

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my @peers;
my $first_node;

sub json_encode { return $json->encode($_[0]) }
sub json_decode { return $json->decode($_[0]) }

# Seconds after which a wait gives up: as PostgreSQL's own tests have it, for machines that are slow or busy. A wait with a limit of its own is one
# whose limit is part of what is tested.
sub default_timeout { return $ENV{PG_TEST_TIMEOUT_DEFAULT} || 180 }

# Top of the sources.
sub tree { return $ENV{SD_TREE} || dirname(__FILE__) . '/../../../..' }

# ---- nodes ----

# new_node(name, option => value ...): a server of its own, initialised and started.
#   preload    1: shared_preload_libraries has salesdrive (default); 0: it has not
#   workers    1: salesdrive.databases = 'postgres'
#   extension  1: CREATE EXTENSION in postgres (default); 0: not
#   conf       further lines of postgresql.conf
#   init       arguments of PostgreSQL::Test::Cluster->init; the encoding is UTF8 unless "extra" says otherwise
#   start      0: only initialised
# The receiver's port is a free one: receiver_port($node). After a crash the server comes back by itself.
sub new_node
{
	my ($name, %opt) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $port = free_port();
	my $preload = ($opt{preload} // 1) ? "shared_preload_libraries = 'salesdrive'" : '';
	my $databases = $opt{workers} ? "salesdrive.databases = 'postgres'" : '';
	my $conf = $opt{conf} // '';

	$first_node //= $node;
	$node->init(extra => [ '--encoding=UTF8', '--no-locale' ], %{ $opt{init} // {} });
	$node->append_conf('postgresql.conf', <<"CONF");
$preload
$databases
salesdrive.port = $port
max_worker_processes = 16
restart_after_crash = on
log_min_messages = info
log_statement = none
$conf
CONF
	return $node if defined $opt{start} && !$opt{start};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION salesdrive') if $opt{extension} // 1;
	return $node;
}

# The port that the receiver of a database is to listen at.
sub receiver_port
{
	my ($node, $db) = @_;
	return $node->safe_psql($db // 'postgres', 'LOAD \'salesdrive\'; SHOW salesdrive.port');
}

# Answer of a query at the first node, in characters.
sub sql
{
	my ($query) = @_;
	utf8::encode($query) if utf8::is_utf8($query);
	my $answer = $first_node->safe_psql('postgres', $query);
	utf8::decode($answer);
	return $answer;
}

# What psql writes to stderr when it runs a query that is to fail there.
sub error_of
{
	my ($query) = @_;
	utf8::encode($query) if utf8::is_utf8($query);
	my (undef, undef, $error) = $first_node->psql('postgres', $query);
	utf8::decode($error);
	return $error;
}

# What a session has counted is told by its end, which nobody waits for. This gives a function that runs statements as sql() does, and returns when
# the views pg_stat_* know of them: with the statements comes a row of a table of its own, and that is told last.
sub sessions_told
{
	my $n = 0;
	sql('CREATE TABLE public.session_told ()');
	return sub {
		my ($statements) = @_;
		my $answer = sql("$statements; INSERT INTO public.session_told DEFAULT VALUES");
		$n++;
		wait_for('the counts of a session', sub { sql("SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'session_told'") eq $n });
		return $answer;
	};
}

sub run_engine { return sql("SET statement_timeout = '600 s'; CALL salesdrive.run()") }

# A program made of lines of shell, to stand in for one of the system; returns its path.
sub stand_in_program
{
	my ($path, $script) = @_;
	open my $file, '>', $path or croak "$path: $!";
	print $file "#!/bin/sh\n$script\n";
	close $file or croak "$path: $!";
	chmod 0755, $path or croak "$path: $!";
	return $path;
}

# A port of 127.0.0.1 that nobody listens at, reserved against other tests that run at once and, below the range of outgoing
# connections, against those. Before 15 the module has another name.
sub free_port
{
	my $give = PostgreSQL::Test::Cluster->can('get_free_port') // PostgresNode->can('get_free_port');
	return $give->();
}

# Text as it stands in an address.
sub uri
{
	my ($text) = @_;
	utf8::encode($text);
	return $text =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ger;
}

# ---- waiting ----

# Calls $condition until it is true and returns what it returned; dies at the deadline.
sub wait_for
{
	my ($what, $condition, $timeout) = @_;
	my $deadline = Time::HiRes::time() + ($timeout // default_timeout());
	while (1)
	{
		my $answer = $condition->();
		return $answer if $answer;
		croak "timed out waiting for $what" if Time::HiRes::time() > $deadline;
		select(undef, undef, undef, 0.05);
	}
}

# Polls a query until it answers what is expected (default 't'); false, with a diagnosis, at the deadline.
# A server that cannot be reached just now counts as a wrong answer.
sub wait_for_sql
{
	my ($node, $db, $sql, $expected, $timeout) = @_;
	my ($out, $err) = ('', '');
	$expected //= 't';
	my $ok = eval {
		wait_for('a query', sub {
			$out = $err = '';
			my $rc = eval { $node->psql($db, $sql, stdout => \$out, stderr => \$err) };
			return defined $rc && $rc == 0 && $out eq $expected;
		}, $timeout);
	};
	return 1 if $ok;
	Test::More::diag("gave up waiting for: $sql\n  expected: $expected\n  last answer: $out\n  last error: $err");
	return 0;
}

# ---- HTTP ----

# http(method, url, \%headers, body): { status, reason, headers, content }. No redirects, one connection each.
sub http
{
	my ($method, $url, $headers, $body) = @_;
	my $client = HTTP::Tiny->new(timeout => default_timeout(), max_redirect => 0, keep_alive => 0);
	my %request = (headers => $headers // {});
	$request{content} = $body if defined $body;
	return $client->request($method, $url, \%request);
}

# POST of a JSON body (a string of bytes, or data to be encoded).
sub post_json
{
	my ($url, $data, $headers) = @_;
	my $body = ref $data ? json_encode($data) : $data;
	return http(POST => $url, { 'Content-Type' => 'application/json', %{ $headers // {} } }, $body);
}

# A plain connection, for requests that no client would make.
sub raw_connect
{
	my ($port, $host) = @_;
	return SalesDrive::Test::Raw->new($port, $host // '127.0.0.1');
}

# ---- simulators ----

# start_peer(kind, arguments ...): test/peer/KIND.pl on free ports. Ends with stop() or with the test.
sub start_peer
{
	my ($kind, @args) = @_;
	my $peer = SalesDrive::Test::Peer->start($kind, @args);
	push @peers, $peer;
	return $peer;
}

# This module's END runs before that of PostgreSQL::Test::Cluster, which stops the servers: no harm, peers may go first.
END
{
	local $?;
	$_->stop for grep { defined } @peers;
}

package SalesDrive::Test::Peer;

use Carp;
use Time::HiRes ();

sub start
{
	my ($class, $kind, @args) = @_;
	my $script = SalesDrive::Test::tree() . "/test/peer/$kind.pl";
	my ($to, $from);
	croak "no simulator $script" unless -e $script;

	# its complaints go to the log of the test
	open my $saved, '>&', \*STDERR or die $!;
	my $log = "$PostgreSQL::Test::Utils::log_path/peer_${kind}_$$.log";
	open STDERR, '>>', $log or die "$log: $!";
	my $pid = IPC::Open2::open2($from, $to, $^X, $script, '--port', 0, '--control-port', 0, @args);
	open STDERR, '>&', $saved or die $!;

	my $self = bless { kind => $kind, pid => $pid, stdin => $to, stdout => $from, log => $log, owner => $$ }, $class;
	my $ready = IO::Select->new($from)->can_read(SalesDrive::Test::default_timeout());
	my $line = $ready ? <$from> : undef;
	croak "simulator $kind did not start, see $log" unless defined $line;
	my $ports = SalesDrive::Test::json_decode($line);
	@$self{qw(port control_port)} = @$ports{qw(port control)};
	return $self;
}

sub port { return $_[0]{port} }
sub control_port { return $_[0]{control_port} }
sub log { return $_[0]{log} }
sub pid { return $_[0]{pid} }
sub url { return "http://127.0.0.1:$_[0]{port}" . ($_[1] // '') }

# control(method, path, data): the decoded answer of the control address; dies when it refuses.
sub control
{
	my ($self, $method, $path, $data) = @_;
	my $body = defined $data ? SalesDrive::Test::json_encode($data) : undef;
	my $answer = SalesDrive::Test::http($method, "http://127.0.0.1:$self->{control_port}$path",
		{ 'Content-Type' => 'application/json' }, $body);
	croak "control of $self->{kind}: $method $path: $answer->{status} $answer->{content}"
	  unless $answer->{success};
	return length $answer->{content} ? SalesDrive::Test::json_decode($answer->{content}) : undef;
}

# Ends it and waits for its end.
sub stop
{
	my ($self) = @_;
	return unless $self->{pid} && $self->{owner} == $$;
	my $pid = delete $self->{pid};
	kill 'TERM', $pid;
	my $deadline = Time::HiRes::time() + 5;
	while (waitpid($pid, POSIX::WNOHANG()) == 0)
	{
		kill 'KILL', $pid if Time::HiRes::time() > $deadline;
		select(undef, undef, undef, 0.02);
	}
	close $self->{stdin};
	close $self->{stdout};
	return;
}

package SalesDrive::Test::Raw;

use Carp;
use Time::HiRes ();

sub new
{
	my ($class, $port, $host) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Proto => 'tcp', Timeout => 10)
	  or croak "cannot connect to $host:$port: $!";
	$socket->autoflush(1);
	return bless { socket => $socket, buffer => '', closed => 0 }, $class;
}

# Sends bytes; false when the other side has closed.
sub send
{
	my ($self, $bytes) = @_;
	local $SIG{PIPE} = 'IGNORE';
	my $sent = 0;
	while ($sent < length $bytes)
	{
		my $n = syswrite $self->{socket}, $bytes, length($bytes) - $sent, $sent;
		return 0 unless $n;
		$sent += $n;
	}
	return 1;
}

# Reads until the text matches (or the function is content) or the other side closes; what came so far, also at the
# deadline.
sub read_until
{
	my ($self, $pattern, $timeout) = @_;
	my $done = ref $pattern eq 'CODE' ? $pattern : sub { defined $pattern && $self->{buffer} =~ $pattern };
	my $deadline = Time::HiRes::time() + ($timeout // SalesDrive::Test::default_timeout());
	my $select = IO::Select->new($self->{socket});
	until ($self->{closed} || $done->())
	{
		my $left = $deadline - Time::HiRes::time();
		last if $left <= 0;
		next unless $select->can_read($left);
		my $n = sysread $self->{socket}, $self->{buffer}, 65536, length $self->{buffer};
		$self->{closed} = 1 unless $n;
	}
	return $self->{buffer};
}

# Everything until the other side closes.
sub read_all { return $_[0]->read_until(undef, $_[1]) }

# One answer with Content-Length, taken off the buffer: { status, headers, content }, or undef.
sub read_answer
{
	my ($self, $timeout) = @_;
	$self->read_until(qr/\r\n\r\n/, $timeout);
	return unless $self->{buffer} =~ /\AHTTP\/1\.[01] (\d+)[^\r\n]*\r\n(.*?)\r\n\r\n/s;
	my ($status, $head, $begin) = ($1, $2, $+[0]);
	my %headers = map { my ($k, $v) = split /:\s*/, $_, 2; (lc $k => $v) } split /\r\n/, $head;
	my $length = $headers{'content-length'} // 0;
	my $end = $begin + $length;
	$self->read_until(sub { length $self->{buffer} >= $end }, $timeout);
	my $content = substr $self->{buffer}, $begin, $length;
	substr($self->{buffer}, 0, $end) = '' if length $self->{buffer} >= $end;
	return { status => $status, headers => \%headers, content => $content };
}

sub closed { return $_[0]{closed} }
sub close { return CORE::close($_[0]{socket}) }

1;
