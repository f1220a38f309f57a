package SalesDrive::Outage;

# The proof that a day without BAS, and hours of it without SalesDrive, cost nothing but time: orders arrive meanwhile by webhook, or are only to be
# seen by polling, others are edited, and a backfill is asked for. Time is that of the test clock; workers run throughout. When both are back
# everything drains without a manual step, in the order of the lanes, within the connections allowed, nothing lost and nothing double.
#
#   survive_outage(name => 'short', orders => 200, steps => 24, timeout => 60);

use strict;
use warnings FATAL => 'all';
use utf8;
use Exporter 'import';
use Test::More;
use Time::HiRes ();
use SalesDrive::Proof qw(check_orders);
use SalesDrive::Test;

our @EXPORT = qw(survive_outage);

my $CONNECTIONS = 3;

sub survive_outage
{
	my (%o) = @_;
	my $node = new_node($o{name}, workers => 1, conf => "fsync = off\nsalesdrive.sweep_interval = '1 s'\nlog_min_messages = warning");
	# so slow that the requests in hand, which nothing overtakes, are few beside the orders of a lane
	my $bas = start_peer('bas', '--config', '{"latency_ms": 20}');
	my $crm = start_peer('salesdrive');
	my $clock = 0;
	my $sql = sub { my ($query) = @_; utf8::encode($query) if utf8::is_utf8($query); my $out = $node->safe_psql('postgres', $query); utf8::decode($out); return $out };
	my $later = sub {
		$clock += $_[0];
		$sql->("ALTER SYSTEM SET salesdrive.clock_offset = '$clock s'");
		$node->reload;
		wait_for('the clock', sub { $sql->('SHOW salesdrive.clock_offset') eq "$clock s" });
		$crm->control(POST => '/config', { skew => $clock, clock => $sql->("SELECT to_char(salesdrive.clock() AT TIME ZONE 'Europe/Kyiv', 'YYYY-MM-DD HH24:MI:SS')") });
		return;
	};
	my $taken_in = sub { return wait_for('the inbox', sub { $sql->('SELECT count(*) FROM salesdrive.inbox_pending') == 0 }) };
	my $left = sub { return $sql->("SELECT count(*) FROM salesdrive.task WHERE kind <> 'crm_orders' OR key <> 'live'") };

	$sql->("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => 'shop', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'demo');
		UPDATE salesdrive.infobase SET max_connections = $CONNECTIONS, unsure_margin = '1 s', total_timeout = '5 s'");
	my @orders = @{ $crm->control(POST => '/orders', { count => $o{orders}, seed => 5, account => 'demo', versions => [ 1, 2 ], from => '2026-09-01 08:00:00', days => 20 })->{orders} };
	my ($url) = $sql->("SELECT salesdrive.webhook_url('shop')");
	wait_for('the receiver', sub { http(GET => $url =~ s{/webhook/.*}{/health}r)->{status} == 200 });
	my $deliver = sub {
		return if !@_;
		$crm->control(DELETE => '/deliveries');
		$crm->control(POST => '/deliver', { url => $url, orders => [ map { $_->{id} } @_ ], versions => 'all', duplicates => 0.2, shuffle => JSON::PP::true(), seed => 3, concurrency => 4, retry => JSON::PP::true() });
		return wait_for('deliveries', sub { $crm->control(GET => '/deliveries?wait=1')->{done} });
	};
	my $edit = sub { for my $order (@_) { $order->{comment} = "Змінено $order->{id}"; $crm->control(POST => '/edit', { id => $order->{id}, data => { comment => $order->{comment} } }) } return };

	# a fifth is in BAS before and edited meanwhile; two fifths come by webhook, a fifth by polling; the rest only a backfill finds
	my $n = int(@orders / 5);
	my (@edited, @pushed, @polled, @old);
	@edited = @orders[ 0 .. $n - 1 ];
	@pushed = @orders[ $n .. 3 * $n - 1 ];
	@polled = @orders[ 3 * $n .. 4 * $n - 1 ];
	@old = @orders[ 4 * $n .. $#orders ];
	$later->(0);
	$deliver->(@edited);
	$sql->("SELECT salesdrive.fetch_orders('shop')");
	ok(wait_for('the quiet before', sub { $sql->('SELECT count(*) FROM salesdrive.task') == 0 && $sql->('SELECT count(*) FROM salesdrive.order_sync WHERE synced_at IS NOT NULL') == @edited }, $o{timeout}), 'before: all is well');

	# ---- a day

	$bas->control(POST => '/faults', { action => 'reset_before' });
	my $asked = $bas->control(GET => '/requests')->{counts};
	my $hours = sub { my ($step) = @_; return 24 * $step / $o{steps} };
	for my $step (1 .. $o{steps})
	{
		my $hour = $hours->($step);
		my $alone = $hour > 8 && $hour <= 16;    # SalesDrive is away as well
		$later->(86_400 / $o{steps});
		$crm->control(DELETE => '/faults');
		$crm->control(POST => '/faults', { path => '/api/', action => 'reset_before' }) if $alone;
		my $share = sub { my ($all, $steps) = @_; my $many = int(@$all / $steps) + 1; return splice @$all, 0, $hour >= 20 ? scalar @$all : $many };
		$deliver->($share->(\@pushed, $o{steps} / 2)) if !$alone;
		$edit->($share->(\@polled, $o{steps} * 2 / 3), $share->(\@edited, $o{steps} * 2 / 3));
		$sql->("SELECT salesdrive.fetch_orders('shop')");
		$sql->("SELECT salesdrive.fetch_orders('shop', '2026-08-01')") if $hour >= 21 && $hours->($step - 1) < 21;
		$taken_in->();
		ok(wait_for_sql($node, 'postgres', "SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM salesdrive.incident_open", 'circuit_open order_late'), 'somebody is told') if $hour >= 6 && $hours->($step - 1) < 6;
	}
	is($crm->control(GET => '/deliveries')->{failed} ? scalar %{ $crm->control(GET => '/deliveries')->{failed} } : 0, 0, 'every webhook was taken in');
	for (1 .. 200)
	{
		last if $sql->("SELECT count(*) FROM salesdrive.task WHERE kind = 'crm_orders'") == 0;
		$later->(60);
		$taken_in->();
	}
	is($sql->('SELECT count(*) FROM salesdrive.crm_order'), scalar @orders, 'every order is here while BAS is still away');
	is($sql->("SELECT count(*) FROM salesdrive.task WHERE kind = 'order'"), scalar @orders, 'and every one waits');
	is($sql->("SELECT string_agg(lane || ': ' || n, ', ' ORDER BY lane) FROM (SELECT lane, count(*) AS n FROM salesdrive.task WHERE kind = 'order' GROUP BY lane) l"), "1: @{[ 3 * $n ]}, 2: $n, 4: @{[ @orders - 4 * $n ]}", 'in its lane');
	my $log = $bas->control(GET => '/requests');
	my $probes = 0;
	$probes += $log->{counts}{$_} - ($asked->{$_} // 0) for keys %{ $log->{counts} };
	cmp_ok($probes, '<', 20 * ($o{steps} + 200), 'and the base is not stormed');
	note "$probes requests while it was away";

	# ---- it is back

	my $last = $sql->('SELECT max(id) FROM salesdrive.exchange_log');
	$bas->control(DELETE => '/connections');
	$bas->control(DELETE => '/requests');
	$bas->control(DELETE => '/faults');
	my $began = Time::HiRes::time();
	my $minutes = 0;
	ok(wait_for('everything to drain', sub { $later->(60); $minutes++; return $left->() == 0 }, $o{timeout}), 'everything drains by itself');
	note sprintf '%d orders in %.1f s, %d minutes of the test clock', scalar @orders, Time::HiRes::time() - $began, $minutes;
	my $peak = $bas->control(GET => '/connections');
	cmp_ok($peak->{peak}, '<=', $CONNECTIONS, 'within the connections allowed');
	cmp_ok($peak->{requests_peak}, '<=', $CONNECTIONS, 'and the requests at once');
	is($crm->control(GET => '/requests')->{statuses}{400} // 0, 0, 'SalesDrive never had to refuse');
	check_orders($node, $bas, \@orders);

	my @done = split /\n/, $sql->("SELECT order_id || ' ' || purpose FROM salesdrive.exchange_log WHERE id > $last AND class = 'ok' AND purpose IN ('create order', 'change order') ORDER BY id");
	my %lane = map({ ("$_->{id} create order" => 1) } @orders[ $n .. 4 * $n - 1 ]);
	$lane{"$_->{id} change order"} = 2 for @orders[ 0 .. $n - 1 ];
	$lane{"$_->{id} create order"} = 4 for @old;
	my %seen = (1 => 0, 2 => 0, 4 => 0);
	my %total = (1 => 3 * $n, 2 => $n, 4 => scalar @old);
	my %behind;
	for (@done)
	{
		my $lane = $lane{$_} // next;
		$seen{$lane}++;
		$behind{$lane} //= $seen{4} if $seen{$lane} >= 0.9 * $total{$lane};
	}
	is(join(' ', map { "$_: $seen{$_}" } 1, 2, 4), join(' ', map { "$_: $total{$_}" } 1, 2, 4), 'each order was written once');
	cmp_ok($behind{1}, '<=', 0.25 * $total{4}, 'live orders went before the backfill');
	cmp_ok($behind{2}, '<=', 0.4 * $total{4}, 'and so did edits');
	note "of $total{4} orders of the backfill $behind{1} went before nine tenths of the live ones, $behind{2} before those of the edits";

	ok(wait_for_sql($node, 'postgres', 'SELECT count(*) FROM salesdrive.incident_open', 0), 'no incident is left');
	is($sql->("SELECT string_agg(kind || ' ' || subject, ', ' ORDER BY kind, subject) FROM salesdrive.incident"), 'circuit_open account:shop, circuit_open main, order_late shop', 'there was one of each, however many orders');
	is($sql->("SELECT count(*) FROM salesdrive.order_event WHERE event IN ('parked', 'resumed')"), 0, 'nothing was parked, nobody resumed');
	$node->stop('fast');
	$_->stop for $bas, $crm;
	return;
}

1;
