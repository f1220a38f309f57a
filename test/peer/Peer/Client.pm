# Peer::Client - HTTP/1.1 client on Peer::Loop: a few keep-alive connections that take requests from a queue
#
# Used by the SalesDrive simulator to fire webhooks. new(loop, url => ..., concurrency, keep_alive, timeout_ms, next => sub giving the next
# request {path, headers, body, chunked} or undef, done => sub ($request, $status, $body, $error)). wake() makes idle connections ask again.
package Peer::Client;
use v5.36;
no feature 'unicode_strings';
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY inet_aton);
use IO::Handle;
use Errno qw(EAGAIN EWOULDBLOCK EINTR EINPROGRESS);

sub new ($class, $loop, %opt)
{
	my ($host, $port, $path) = $opt{url} =~ m{\Ahttp://([^:/]+)(?::(\d+))?(/.*)?\z} or die "bad url $opt{url}\n";
	my $address = inet_aton($host) or die "unknown host $host\n";
	my $self = bless { keep_alive => 1, timeout_ms => 10_000, concurrency => 1, %opt, loop => $loop, host => $host, port => $port // 80, path => $path // '/', address => $address }, $class;
	$self->{slots} = [ map { { client => $self } } 1 .. $self->{concurrency} ];
	return $self;
}

sub wake ($self)
{
	for my $s ($self->{slots}->@*) { _next($s) if !$s->{request} }
}

sub close_all ($self)
{
	_drop($_) for $self->{slots}->@*;
}

sub _next ($s)
{
	my $self = $s->{client};
	my $r = $s->{request} = $self->{next}->() // return;
	$s->{timer} = $self->{loop}->after($self->{timeout_ms} / 1000, sub { _failed($s, 'timeout') });
	my $body = $r->{body} // '';
	my $head = ($r->{method} // 'POST') . ' ' . ($r->{path} // $self->{path}) . " HTTP/1.1\r\nHost: $self->{host}:$self->{port}\r\n" . ($r->{headers} // "Content-Type: application/json\r\n")
	  . ($self->{keep_alive} ? '' : "Connection: close\r\n");
	if ($r->{chunked}) {
		my $chunks = join '', map { sprintf("%x\r\n", length) . "$_\r\n" } unpack '(a700)*', $body;
		$s->{out} = $head . "Transfer-Encoding: chunked\r\n\r\n" . $chunks . "0\r\n\r\n";
	}
	else { $s->{out} = $head . 'Content-Length: ' . length($body) . "\r\n\r\n" . $body }
	$s->{in} = '';
	$s->{fh} ? _write($s) : _connect($s);
}

sub _connect ($s)
{
	my $self = $s->{client};
	socket(my $fh, PF_INET, SOCK_STREAM, IPPROTO_TCP) or return _failed($s, "socket: $!");
	$fh->blocking(0);
	setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1);
	$s->{fh} = $fh;
	if (!connect($fh, sockaddr_in($self->{port}, $self->{address})) && $! != EINPROGRESS) { return _failed($s, "connect: $!") }
	$self->{loop}->reader(fileno $fh, sub { _read($s) });
	$self->{loop}->writer(fileno $fh, sub { _write($s) });
}

sub _write ($s)
{
	my $self = $s->{client};
	while ($s->{out} ne '') {
		my $n = syswrite $s->{fh}, $s->{out};
		if (!defined $n) {
			next if $! == EINTR;
			return _failed($s, "write: $!") if $! != EAGAIN && $! != EWOULDBLOCK;
			return $self->{loop}->writer(fileno $s->{fh}, sub { _write($s) });
		}
		substr($s->{out}, 0, $n) = '';
	}
	$self->{loop}->writer(fileno $s->{fh}, undef);
}

sub _read ($s)
{
	my $n = sysread $s->{fh}, $s->{in}, 65536, length $s->{in};
	if (!defined $n) {
		return if $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR;
		return _failed($s, "read: $!");
	}
	if ($n == 0) { return $s->{request} ? _failed($s, 'closed before the answer') : _drop($s) }
	while (1) {
		my $end = index $s->{in}, "\r\n\r\n";
		return if $end < 0;
		my $head = substr $s->{in}, 0, $end + 2;
		my ($status) = $head =~ m{\AHTTP/1\.[01] (\d{3})} or return _failed($s, 'not HTTP');
		if ($status == 100) {
			substr($s->{in}, 0, $end + 4) = '';
			next;
		}
		my ($length) = $head =~ /^content-length:\s*(\d+)/mi;
		return if length $s->{in} < $end + 4 + ($length // 0);
		my $body = substr $s->{in}, $end + 4, $length // 0;
		my ($request, $self) = ($s->{request}, $s->{client});
		$s->{request} = undef;
		$self->{loop}->cancel($s->{timer});
		_drop($s) if !$self->{keep_alive} || $head =~ /^connection:\s*close/mi;
		$self->{done}->($request, $status, $body, undef) if $request;
		return _next($s);
	}
}

sub _drop ($s)
{
	return if !$s->{fh};
	$s->{client}{loop}->forget(fileno $s->{fh});
	close $s->{fh};
	$s->{fh} = undef;
}

sub _failed ($s, $why)
{
	my ($request, $self) = ($s->{request}, $s->{client});
	$self->{loop}->cancel($s->{timer});
	_drop($s);
	$s->{request} = undef;
	$self->{done}->($request, undef, '', $why) if $request;
	# a refused connection must not turn into a busy loop
	$self->{loop}->after(0.05, sub { _next($s) if !$s->{request} });
}

1;
