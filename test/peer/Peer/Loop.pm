# Peer::Loop - the one place where a simulator waits: select(2) over descriptors, and timers
#
# Callbacks are plain subs called without arguments. A descriptor has at most one reader and one writer. Timers are kept
# sorted; equal times fire in the order of their making. The loop ends with stop(), by SIGTERM or SIGINT, or when standard
# input is a pipe or a socket and reaches its end (the parent is gone).
package Peer::Loop;
use v5.36;
no feature 'unicode_strings';
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

sub new ($class)
{
	my $self = bless { r => [], w => [], rv => '', wv => '', timers => [], stop => 0 }, $class;
	$SIG{TERM} = $SIG{INT} = sub { $self->{stop} = 1 };
	$SIG{PIPE} = 'IGNORE';
	return $self;
}

sub now { return clock_gettime(CLOCK_MONOTONIC) }

sub stop ($self) { $self->{stop} = 1 }

sub reader ($self, $fd, $cb)
{
	$self->{r}[$fd] = $cb;
	vec($self->{rv}, $fd, 1) = $cb ? 1 : 0;
}

sub writer ($self, $fd, $cb)
{
	$self->{w}[$fd] = $cb;
	vec($self->{wv}, $fd, 1) = $cb ? 1 : 0;
}

sub forget ($self, $fd)
{
	$self->reader($fd, undef);
	$self->writer($fd, undef);
}

# Calls $cb once after $seconds; returns a handle for cancel().
sub after ($self, $seconds, $cb)
{
	my $timer = [ now() + $seconds, $cb ];
	my $t = $self->{timers};
	my ($lo, $hi) = (0, scalar @$t);
	while ($lo < $hi) {
		my $mid = ($lo + $hi) >> 1;
		if ($t->[$mid][0] <= $timer->[0]) { $lo = $mid + 1 }
		else                              { $hi = $mid }
	}
	splice @$t, $lo, 0, $timer;
	return $timer;
}

sub cancel ($self, $timer) { $timer->[1] = undef if $timer }

sub _watch_parent ($self)
{
	return if !(-p STDIN || -S STDIN);
	$self->reader(fileno(STDIN), sub {
		my $n = sysread STDIN, my $buf, 4096;
		$self->{stop} = 1 if defined $n && $n == 0;
	});
}

sub run ($self)
{
	$self->_watch_parent;
	my $timers = $self->{timers};
	while (!$self->{stop}) {
		my $wait = @$timers ? $timers->[0][0] - now() : 5;
		$wait = 0 if $wait < 0;
		my $n = select(my $r = $self->{rv}, my $w = $self->{wv}, undef, $wait);
		if ($n > 0) {
			_call($self->{r}, $r);
			_call($self->{w}, $w);
		}
		next if !@$timers;
		my $now = now();
		while (@$timers && $timers->[0][0] <= $now) {
			my $cb = (shift @$timers)->[1];
			$cb->() if $cb;
		}
	}
}

sub _call ($callbacks, $ready)
{
	my $bits = unpack 'b*', $ready;
	my $fd = -1;
	while (($fd = index $bits, '1', $fd + 1) >= 0) {
		my $cb = $callbacks->[$fd] or next;
		$cb->();
	}
}

1;
