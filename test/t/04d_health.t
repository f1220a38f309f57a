# The row of each day: once, also when nothing happens; by a worker, by maintain(), by a job; of days nobody was at work, later.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine);

my $node = new_node('health', conf => "salesdrive.sweep_interval = '1 s'");
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive');
my $clock = 0;

sub later { my ($seconds) = @_; $clock += $seconds; sql("ALTER DATABASE postgres SET salesdrive.clock_offset = '$clock s'"); return }
sub day { my ($ago, $columns) = @_; return sql("SELECT concat_ws(' ', $columns) FROM salesdrive.health_day WHERE day = (salesdrive.clock() AT TIME ZONE 'UTC')::date - $ago") }
sub deliver
{
	my ($id, %o) = @_;
	my $text = json_encode({ data => { id => $id, version => $o{version} // 1, orderTime => '2026-11-20 14:46:24', updateAt => '2026-11-20 14:46:31', paymentAmount => $o{sum} // 100, comment => $o{comment} // 'зразок',
		contacts => [ { id => 1, fName => 'Зразок', lName => 'Вигаданий', phone => ['0671112233'] } ], products => [ { productId => 1, text => 'Товар', sku => 'SKU-0001', amount => 1, price => 100 } ] } });
	utf8::decode($text);
	return sql("SELECT salesdrive.accept_webhook('shop', '$text')");
}

sql('CALL salesdrive.maintain()');
is(sql('SELECT count(*) FROM salesdrive.health_day'), 0, 'where nothing is configured there is no row');
sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'shop');
	UPDATE salesdrive.infobase SET retry_base = '1 ms', retry_cap = '1 ms'");
# noon of a day to come, so that midnight does not pass by itself
later(sql("SELECT 86400 + extract(epoch FROM date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') + interval '36 h' - clock_timestamp() AT TIME ZONE 'UTC')::integer"));
sql('CALL salesdrive.maintain()');
is(day(1, 'verdict, versions, requests'), 'all is well 0 0', 'a day on which nothing happened has its row');
deliver(1001);
deliver(1002);
deliver(1003, sum => 77);
$bas->control(POST => '/faults', { action => 'reset_before', times => 1 });
ok(wait_for('the orders', sub { run_engine(); sql("SELECT count(*) FROM salesdrive.order_status WHERE state IN ('synced', 'parked')") == 3 }), 'a day of work');
deliver(1001, version => 2, comment => 'інший');
run_engine();
sql("SELECT salesdrive.pause('shop', 'x'), salesdrive.unpause('shop')");
my $requests = sql("SELECT count(*) FROM salesdrive.exchange_log WHERE direction = 'out'");
is(sql("SELECT concat_ws(' ', verdict, versions, orders, created, changed, parked, requests, parked_now, waiting_now) FROM salesdrive.health_row((salesdrive.clock() AT TIME ZONE 'UTC')::date)"), "orders parked: 1 4 3 2 1 1 $requests 1 0", 'a day that is not over has a row when asked for');
deliver(1004);
run_engine();
later(86_400);
sql('CALL salesdrive.maintain()');
is(day(1, 'verdict, versions, orders, created, changed, parked, failures, incidents'), 'orders parked: 1 5 4 3 1 1 {"transient": 1} {"account_paused": 1}', 'it is written anew when it is over');
my $row = sql("SELECT md5(string_agg(h::text, ' ' ORDER BY day)) FROM salesdrive.health_day h");
sql("CALL salesdrive.maintain(); SELECT salesdrive.health_row()");
sql("SELECT salesdrive.health_row(day) FROM salesdrive.health_day");
is(sql("SELECT md5(string_agg(h::text, ' ' ORDER BY day)) FROM salesdrive.health_day h"), $row, 'and then no more, however often it is asked for');
like(($node->psql('postgres', "SELECT salesdrive.health_row('2999-01-01')"))[2], qr/to come.*HINT.*begun/s, 'a day to come has none');

# ---- days without anybody, then a worker

later(5 * 86_400);
my $days = sql('SELECT count(*) FROM salesdrive.health_day');
sql('SELECT salesdrive.start_workers()');
ok(wait_for_sql($node, 'postgres', 'SELECT count(*) FROM salesdrive.health_day', $days + 5), 'the worker writes the rows of days on which nobody was at work');
is(sql("SELECT count(*) FROM salesdrive.health_day WHERE versions = 0 AND requests = 0"), 6, 'which were quiet');
is(sql("SELECT max(day) - min(day) + 1 - count(*) FROM salesdrive.health_day"), 0, 'no day is left out');

done_testing();
