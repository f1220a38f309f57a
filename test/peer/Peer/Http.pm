# Peer::Http - HTTP/1.1 server on Peer::Loop, common to all simulators
#
# Keep-alive, pipelining (one request of a connection at a time, answers in order), Content-Length and chunked bodies,
# Expect: 100-continue. The handler gets a request and answers now or later with respond(), hang() or reset(); a client that
# goes away does not stop the work already begun. Ways to answer badly (drip, truncate, reset) live here, the reasons for
# them in Peer::Faults.
package Peer::Http;
use v5.36;
no feature 'unicode_strings';
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_LINGER SO_REUSEADDR inet_aton);
use IO::Handle;
use Errno qw(EAGAIN EWOULDBLOCK EINTR);

my $QUICKACK = 12;    # TCP_QUICKACK of Linux, not in Socket.pm

my %REASON = (
	200 => 'OK', 201 => 'Created', 204 => 'No Content', 301 => 'Moved Permanently', 302 => 'Found', 400 => 'Bad Request',
	401 => 'Unauthorized', 403 => 'Forbidden', 404 => 'Not Found', 405 => 'Method Not Allowed', 406 => 'Not Acceptable',
	408 => 'Request Timeout', 411 => 'Length Required', 413 => 'Payload Too Large', 414 => 'URI Too Long',
	429 => 'Too Many Requests', 431 => 'Request Header Fields Too Large', 500 => 'Internal Server Error',
	501 => 'Not Implemented', 502 => 'Bad Gateway', 503 => 'Service Unavailable', 504 => 'Gateway Timeout');

# Listens and returns the server; {port} is the port in use. Options: max_body (bytes, default 64 MB).
sub listen ($class, $loop, $host, $port, $handler, %opt)
{
	socket(my $fh, PF_INET, SOCK_STREAM, IPPROTO_TCP) or die "socket: $!\n";
	setsockopt($fh, SOL_SOCKET, SO_REUSEADDR, 1);
	bind($fh, sockaddr_in($port, inet_aton($host))) or die "cannot bind $host:$port: $!\n";
	CORE::listen($fh, 1024) or die "listen: $!\n";
	$fh->blocking(0);
	my $self = bless {
		loop => $loop, fh => $fh, handler => $handler, port => (sockaddr_in(getsockname $fh))[0],
		max_body => $opt{max_body} // 64 * 1024 * 1024, open => 0, peak => 0, accepted => 0, serial => 0, conns => {},
	}, $class;
	$loop->reader(fileno $fh, sub { $self->_accept });
	return $self;
}

sub _accept ($self)
{
	while (accept(my $fh, $self->{fh})) {
		$fh->blocking(0);
		setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1);
		my $c = { srv => $self, fh => $fh, fd => fileno $fh, in => '', out => '', id => ++$self->{accepted}, requests => 0 };
		$self->{conns}{ $c->{id} } = $c;
		$self->{peak} = $self->{open} if ++$self->{open} > $self->{peak};
		$self->{loop}->reader($c->{fd}, sub { _read($c) });
	}
}

sub _close ($c, $reset = 0)
{
	return if !$c->{fh};
	my $self = $c->{srv};
	$self->{loop}->forget($c->{fd});
	setsockopt($c->{fh}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) if $reset;
	close $c->{fh};
	$c->{fh} = undef;
	$c->{in} = $c->{out} = '';
	$self->{open}--;
	delete $self->{conns}{ $c->{id} };
}

sub _read ($c)
{
	my $n = sysread $c->{fh}, $c->{in}, 262144, length $c->{in};
	if (!defined $n) {
		return if $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR;
		return _close($c);
	}
	if ($n == 0) {
		# half-closed by the peer: a request under work goes on; its answer is tried and lost with the connection
		return _close($c) if !$c->{busy} && $c->{out} eq '';
		$c->{eof} = 1;
		$c->{srv}{loop}->reader($c->{fd}, undef);
		return;
	}
	_pump($c);
}

# Takes complete requests off the input buffer while no request of this connection is under work.
sub _pump ($c)
{
	return if $c->{pumping};
	$c->{pumping} = 1;
	while ($c->{fh} && !$c->{busy} && !$c->{closing}) {
		my $req = $c->{req} // _head($c) // last;
		_body($c, $req) or last;
		$c->{req} = undef;
		$c->{busy} = 1;
		$c->{requests}++;
		$req->{t0} = Peer::Loop::now();
		$c->{srv}{handler}->($req);
	}
	$c->{pumping} = 0;
}

sub _bad ($c, $status)
{
	$c->{closing} = 1;
	$c->{in} = '';
	_write($c, "HTTP/1.1 $status $REASON{$status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	return undef;
}

sub _head ($c)
{
	$c->{in} =~ s/\A(?:\r\n)+// if substr($c->{in}, 0, 1) eq "\r";
	my $end = index $c->{in}, "\r\n\r\n";
	if ($end < 0) {
		return _bad($c, 431) if length $c->{in} > 262144;
		return undef;
	}
	my $head = substr $c->{in}, 0, $end + 2;
	substr($c->{in}, 0, $end + 4) = '';
	$head =~ /\A([A-Z]+) (\S+) HTTP\/1\.([01])\r\n/g or return _bad($c, 400);
	my ($method, $target, $minor) = ($1, $2, $3);
	my %h;
	while ($head =~ /\G([^:\r\n]+):[ \t]*([^\r\n]*?)[ \t]*\r\n/gc) { $h{ lc $1 } = $2 }
	return _bad($c, 400) if pos($head) != length $head;
	my ($path, $query) = split /\?/, $target, 2;
	my $req = bless {
		c => $c, srv => $c->{srv}, method => $method, target => $target, path => $path, query => $query, h => \%h, body => '',
	}, 'Peer::Http::Request';
	my $keep = lc($h{connection} // '');
	$req->{keep} = $minor ? $keep ne 'close' : $keep eq 'keep-alive';
	if (lc($h{'transfer-encoding'} // '') eq 'chunked') { $req->{chunked} = 1 }
	elsif (defined $h{'content-length'}) {
		return _bad($c, 400) if $h{'content-length'} !~ /\A\d+\z/;
		return _bad($c, 413) if $h{'content-length'} > $c->{srv}{max_body};
		$req->{need} = $h{'content-length'};
	}
	_write($c, "HTTP/1.1 100 Continue\r\n\r\n") if lc($h{expect} // '') eq '100-continue';
	return $c->{req} = $req;
}

# True when the body is complete.
sub _body ($c, $req)
{
	if (my $need = $req->{need}) {
		if (length $c->{in} < $need) {
			# a client that writes head and body apart waits for our acknowledgement (Nagle): give it now, not in 40 ms
			setsockopt($c->{fh}, IPPROTO_TCP, $QUICKACK, 1);
			return 0;
		}
		$req->{body} = substr $c->{in}, 0, $need;
		substr($c->{in}, 0, $need) = '';
		return 1;
	}
	return 1 if !$req->{chunked};
	while (1) {
		if ($req->{last}) {    # trailer
			$c->{in} =~ s/\A([^\r\n]*)\r\n// or return 0;
			return 1 if $1 eq '';
			next;
		}
		$c->{in} =~ /\A([0-9a-fA-F]{1,8})(?:;[^\r\n]*)?\r\n/ or do {
			_bad($c, 400) if $c->{in} !~ /\A[0-9a-fA-F]{0,8}(?:;[^\r\n]*)?\r?\z/;
			return 0;
		};
		my ($skip, $size) = ($+[0], hex $1);
		if ($size == 0) {
			substr($c->{in}, 0, $skip) = '';
			$req->{last} = 1;
			next;
		}
		return 0 if length $c->{in} < $skip + $size + 2;
		$req->{body} .= substr $c->{in}, $skip, $size;
		substr($c->{in}, 0, $skip + $size + 2) = '';
		if (length $req->{body} > $c->{srv}{max_body}) {
			_bad($c, 413);
			return 0;
		}
	}
}

sub _write ($c, $bytes)
{
	return if !$c->{fh};
	$c->{out} .= $bytes;
	_flush($c);
}

sub _flush ($c)
{
	while ($c->{fh} && $c->{out} ne '') {
		my $n = syswrite $c->{fh}, $c->{out};
		if (!defined $n) {
			next if $! == EINTR;
			return _close($c) if $! != EAGAIN && $! != EWOULDBLOCK;
			$c->{srv}{loop}->writer($c->{fd}, sub { _flush($c) }) if !$c->{writing}++;
			return;
		}
		substr($c->{out}, 0, $n) = '';
	}
	return if !$c->{fh};
	$c->{srv}{loop}->writer($c->{fd}, undef) if delete $c->{writing};
	_close($c) if ($c->{closing} || ($c->{eof} && !$c->{busy})) && !$c->{dripping};
}

package Peer::Http::Request;

# Answers. $headers is a flat list of names and values. Options (ways to answer badly):
#   drip => [bytes, seconds]   the body leaves in pieces with pauses; a function in place of seconds gets what sends the rest
#   truncate => n              only the first n bytes of the body leave, then the connection closes
#   reset => 1                 with truncate: reset instead of a close
sub respond ($self, $status, $headers, $body, %bad)
{
	my $c = $self->{c};
	$self->{status} = $status;
	$self->{sent} = length $body;
	my $head = "HTTP/1.1 $status " . ($REASON{$status} // 'Status') . "\r\n";
	for (my $i = 0; $i < @$headers; $i += 2) { $head .= "$headers->[$i]: $headers->[$i + 1]\r\n" }
	$head .= 'Content-Length: ' . length($body) . "\r\n" if $status != 204;
	my $keep = $self->{keep} && !$c->{eof} && !exists $bad{truncate};
	$head .= "Connection: close\r\n" if !$keep;
	$head .= "\r\n";
	$body = '' if $self->{method} eq 'HEAD';
	$c->{closing} = 1 if !$keep;
	return $self->_truncated($head, $body, %bad) if exists $bad{truncate};
	return $self->_drip($head, $body, $bad{drip}->@*) if $bad{drip};
	$c->{busy} = 0;
	Peer::Http::_write($c, $head . $body);
	Peer::Http::_pump($c) if $c->{fh} && $c->{in} ne '';
}

sub _truncated ($self, $head, $body, %bad)
{
	my $c = $self->{c};
	$c->{busy} = 0;
	if (!$bad{reset}) { return Peer::Http::_write($c, $head . substr($body, 0, $bad{truncate})) }
	$c->{closing} = 0;
	Peer::Http::_write($c, $head . substr($body, 0, $bad{truncate}));
	# the bytes must be on their way before the reset throws the rest away
	$self->{srv}{loop}->after(0.02, sub { Peer::Http::_close($c, 1) });
}

sub _drip ($self, $head, $body, $bytes, $pause)
{
	my $c = $self->{c};
	$c->{dripping} = 1;
	my $rest = $body;
	Peer::Http::_write($c, $head);
	my $step;
	$step = sub {
		if (!$c->{fh}) { undef $step; return }
		my $piece = substr $rest, 0, $bytes, '';
		if ($rest eq '') {
			undef $step;
			$c->{dripping} = 0;
			$c->{busy} = 0;
			Peer::Http::_write($c, $piece);
			Peer::Http::_pump($c) if $c->{fh} && $c->{in} ne '';
			return;
		}
		Peer::Http::_write($c, $piece);
		if (ref $pause) { $bytes = length $rest; return $pause->($step) }
		$self->{srv}{loop}->after($pause, $step);
	};
	$step->();
}

# Drops the connection: with a reset, or orderly.
sub reset ($self) { Peer::Http::_close($self->{c}, 1) }
sub close ($self) { Peer::Http::_close($self->{c}, 0) }

# Never answers; the connection stays open until the client leaves.
sub hang ($self)
{
	my $c = $self->{c};
	Peer::Http::_close($c) if $c->{eof};
	$c->{srv}{loop}->reader($c->{fd}, sub {
		my $n = sysread $c->{fh}, my $buf, 65536;
		Peer::Http::_close($c) if defined $n && $n == 0 || !defined $n && !$!{EAGAIN} && !$!{EINTR};
	}) if $c->{fh};
}

sub alive ($self) { return defined $self->{c}{fh} }

1;
