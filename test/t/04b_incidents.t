# Incidents: one row from the beginning to the end of what somebody should know of, told by NOTIFY at COMMIT; counted without noise; closed when the
# cause is gone. By the engine, the receiver, an operator; late orders, quotas, workers.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use IPC::Run ();
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine);

my $node = new_node('incidents', conf => "salesdrive.sweep_interval = '1 h'\nautovacuum = off");    # which would have plans made anew while their blocks are counted
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive', '--config', '{"per_minute": 10, "per_hour": 0, "per_day": 0}');
my $clock = 0;
my $blocks;

sub later { my ($seconds) = @_; $clock += $seconds; sql("ALTER DATABASE postgres SET salesdrive.clock_offset = '$clock s'"); $crm->control(POST => '/config', { skew => $clock, clock => sql("SELECT to_char(salesdrive.clock() AT TIME ZONE 'Europe/Kyiv', 'YYYY-MM-DD HH24:MI:SS')") }); return }
sub open_ones { return sql("SELECT string_agg(kind || ' ' || subject || ' ' || count, ', ' ORDER BY kind, subject) FROM salesdrive.incident_open") }
sub rows { my ($kind) = @_; return sql("SELECT count(*) || ' ' || count(closed_at) FROM salesdrive.incident WHERE kind = '$kind'") }
sub text { my ($kind) = @_; return sql("SELECT text || ' / ' || hint FROM salesdrive.incident WHERE kind = '$kind' ORDER BY id DESC LIMIT 1") }
sub deliver
{
	my ($id, %o) = @_;
	my $text = json_encode({ data => { id => $id, version => $o{version} // 1, orderTime => '2026-11-20 14:46:24', updateAt => '2026-11-20 14:46:31', paymentAmount => $o{sum} // 100, comment => 'зразок',
		contacts => [ { id => 1, fName => 'Зразок', lName => 'Вигаданий', phone => ['0671112233'] } ], products => [ { productId => 1, text => 'Товар', sku => 'SKU-0001', amount => 1, price => 100 } ] } });
	utf8::decode($text);
	return sql("SELECT salesdrive.accept_webhook('shop', '$text')");
}

# A session that listens; what it heard since it was asked last, as "event kind subject".
my ($ear_in, $ear_out) = ('', '');
my $ear = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$ear_in, '>', \$ear_out, '2>&1', IPC::Run::timeout(900));
my $mark = 0;

sub heard
{
	$mark++;
	$ear_in .= "SELECT 'mark $mark';\nSELECT 'mark $mark.';\n";    # what is pending is shown after a statement
	$ear->pump until $ear_out =~ /mark $mark\./;
	my @heard = map { my $n = json_decode($_); "$n->{event} $n->{kind} $n->{subject}" } $ear_out =~ /notification "salesdrive_incident" with payload "(.*)" received/g;
	$ear_out = '';
	return join ', ', @heard;
}

# What a worker does can be seen a moment before its NOTIFY is on its way: listens until it has heard as much.
sub hears
{
	my ($expected) = @_;
	my $all = '';
	wait_for('notifications', sub { $all = join ', ', grep { length } $all, heard(); length $all >= length $expected });
	return $all;
}

sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'shop');
	UPDATE salesdrive.infobase SET retry_base = '1 ms', retry_cap = '1 ms', circuit_after = 2, circuit_pause = '10 min', total_timeout = '1 s', unsure_margin = '0'");
$ear_in = "LISTEN salesdrive_incident;\n";
run_engine();
later(0);
is(open_ones(), '', 'all is well');
is(heard(), '', 'and nothing is told');

# ---- the circuit

$bas->control(POST => '/faults', { action => 'reset_before' });
deliver(1001);
run_engine();
is(rows('circuit_open'), '1 0', 'an open circuit is an incident');
like($ear_out . do { $ear_in .= "SELECT 1;\n"; $ear->pump until $ear_out =~ /payload/; $ear_out }, qr/payload "\{"at": "[^"]+", "id": \d+, "kind": "circuit_open", "event": "opened", "subject": "main"\}"/, 'told to who listens, without words that are not for all');
is(heard(), 'opened circuit_open main', 'once');
like(text('circuit_open'), qr/^Requests to infobase "main" fail, 2 in a row or more\. .*exchange_log/, 'in words');
for (1 .. 2) { later(601); run_engine() }
is(sql("SELECT count FROM salesdrive.incident WHERE kind = 'circuit_open'"), 4, 'failures are counted meanwhile');
is(heard(), '', 'without a word');
$bas->control(DELETE => '/faults');
later(601);
run_engine();
is(rows('circuit_open'), '1 1', 'it is over when the base answers');
is(heard(), 'closed circuit_open main', 'which is told');
ok(wait_for('the order', sub { run_engine(); sql("SELECT state FROM salesdrive.order_status WHERE order_id = 1001") eq 'synced' }), 'the order went on');

# ---- pauses: by the engine, by hand, by an operator; rolled back

sql("CREATE ROLE ann LOGIN; SELECT salesdrive.grant_access('ann', 'operator')");
sql("SET ROLE ann; SELECT salesdrive.pause('shop', 'stocktaking')");
is(open_ones(), 'account_paused shop 1', 'an operator pauses an account');
is(text('account_paused'), q(Account "shop" is paused: stocktaking / When the cause is gone: SELECT salesdrive.unpause('shop');), 'in words');
sql("SET ROLE ann; SELECT salesdrive.pause('shop', 'still counting')");
sql("BEGIN; SELECT salesdrive.pause_infobase('main', 'not meant'); ROLLBACK");
like($node->psql('postgres', "SET ROLE ann; UPDATE salesdrive.incident SET closed_at = now()") || ($node->psql('postgres', "SET ROLE ann; UPDATE salesdrive.incident SET closed_at = now()"))[2], qr/permission denied|^3$/, 'and writes no incident by hand');
sql("SET ROLE ann; SELECT salesdrive.unpause('shop')");
is(heard(), 'opened account_paused shop, closed account_paused shop', 'one beginning, one end, nothing of what was rolled back');
like(text('account_paused'), qr/still counting/, 'the last reason stands');

sql("SELECT salesdrive.set_secret('infobase:main:password', 'wrong')");
deliver(1002);
run_engine();
is(open_ones(), 'infobase_paused main 1', 'a base that refuses the password');
like(text('infobase_paused'), qr/^Infobase "main" is paused: BAS refuses: 401.*unpause_infobase\('main'\)/, 'with what to do');
sql("SELECT salesdrive.set_secret('infobase:main:password', 'secret'); SELECT salesdrive.unpause_infobase('main')");
run_engine();
is(heard(), 'opened infobase_paused main, closed infobase_paused main', 'told at both ends');

sql("SELECT salesdrive.set_secret('account:shop:api_key', 'wrong'); SELECT salesdrive.enqueue('shop', 'crm_dictionary', 'status', NULL)");
run_engine();
is(open_ones(), 'api_paused shop 1', 'a key that SalesDrive refuses');
sql("SELECT salesdrive.set_secret('account:shop:api_key', 'demo-key'); SELECT salesdrive.unpause_api('shop')");
run_engine();
is(heard(), 'opened api_paused shop, closed api_paused shop', 'and its end');

# ---- quota

$crm->control(POST => '/faults', { path => 'order/list', action => 'status', status => 429, times => 1 });
sql("SELECT salesdrive.fetch_orders('shop')");
run_engine();
is(open_ones(), 'quota_exhausted account:shop 1', 'SalesDrive says that the limit is reached');
run_engine();
is(open_ones(), 'quota_exhausted account:shop 1', 'it waits');
later(62);
run_engine();
is(heard() . ' ' . sql("SELECT state FROM salesdrive.fetch_status"), 'opened quota_exhausted account:shop, closed quota_exhausted account:shop idle', 'over when it answers');
sql("UPDATE salesdrive.quota_window SET most = 1 WHERE span = '1 hour'; SELECT salesdrive.fetch_orders('shop', '2026-08-01')");
run_engine();
is(open_ones(), '', 'a backfill may wait');
sql("SELECT salesdrive.fetch_orders('shop')");
run_engine();
is(open_ones(), 'quota_exhausted account:shop 1', 'what changed lately may not, for an hour');
sql("UPDATE salesdrive.quota_window SET most = 100 WHERE span = '1 hour'");
run_engine();
is(heard(), 'opened quota_exhausted account:shop, closed quota_exhausted account:shop', 'a limit that is raised ends it');

# ---- late orders

sql("UPDATE salesdrive.account SET late_after = '30 min'; SELECT salesdrive.pause_infobase('main', 'night')");
deliver($_) for 1003, 1004;
deliver(1005, sum => 77);
run_engine();
is(open_ones(), 'infobase_paused main 1', 'nothing is late yet');
later(1500);
run_engine();
is(open_ones(), 'infobase_paused main 1', 'nor after 25 minutes');
later(310);
deliver(1006);
run_engine();
is(open_ones(), 'infobase_paused main 1, order_late shop 3', 'then it is, one incident for all orders');
like(text('order_late'), qr/^3 orders of account "shop" on the way for more than 00:30:00, the oldest, 1003, since .*order_id = 1003/, 'which tells of the oldest');
my $written = sql("SELECT last_at, xmin FROM salesdrive.incident WHERE kind = 'order_late'");
run_engine();
is(sql("SELECT last_at, xmin FROM salesdrive.incident WHERE kind = 'order_late'"), $written, 'nothing is written while nothing changes');
heard();
sql("SELECT salesdrive.unpause_infobase('main')");
run_engine();
is(open_ones(), 'order_parked shop 1', 'they went; one that is parked waits for somebody');
is(heard(), 'closed infobase_paused main, closed order_late shop, opened order_parked shop', 'as is told');
like(text('order_parked'), qr/^1 order of account "shop" parked .* 1005, .*salesdrive\.parked/, 'with where to look');
sql("SELECT salesdrive.skip('shop', 1005, 'no need')");
run_engine();
is(heard(), 'closed order_parked shop', 'skipped, it is over');
is(sql("SELECT count(*) FROM salesdrive.late_orders('shop', '{ready}', now()) WHERE orders > 0"), 0, 'nothing is left');

# ---- all else that is parked, and readings that fail for good or are asked for no more

$crm->control(POST => '/faults', { path => 'order/list', action => 'status', status => 400, body => 'json', text => '{"status":"error","message":"filter is wrong"}' });
sub ask { sql("SELECT salesdrive.fetch_orders('shop')"); return run_engine() }
heard();
ask();
is(sql("SELECT state FROM salesdrive.task WHERE kind = 'crm_orders' AND key = 'live'"), 'parked', 'SalesDrive refuses to list orders');
is(open_ones(), '', 'nothing is late yet');
later(1810);
ask();
is(open_ones(), 'reading_late shop 1', 'half an hour later, it is');
like(text('reading_late'), qr/^Account "shop": What changed in SalesDrive is not read since 20.*filter is wrong.*fetch_orders\('shop'\)/, 'with the words of SalesDrive');
sql("SELECT salesdrive.fetch_orders('shop'); SELECT salesdrive.look_for_incidents()");
ask();
is(heard(), 'opened reading_late shop', 'once, though it is asked for again and again');
$crm->control(DELETE => '/faults');
ask();
is(heard(), 'closed reading_late shop', 'over when it is read');
sql("INSERT INTO salesdrive.task (scope, kind, key, account, state, detail) VALUES ('shop', 'order_update', '1003', 'shop', 'parked', 'no'), ('shop', 'order_update', '1004', 'shop', 'parked', 'no'); INSERT INTO salesdrive.task (scope, kind, key, infobase, state) VALUES ('main', 'counterparty', '380671112234', 'main', 'parked')");
run_engine();
is(open_ones(), '', 'other tasks that are parked have their time, too');
like(sql("SELECT verdict FROM salesdrive.health_row((salesdrive.clock() AT TIME ZONE 'UTC')::date)"), qr/parked: 1 counterparties, 2 changes of orders in SalesDrive$/, 'the row of the day tells of them at once');
later(1810);
run_engine();
is(open_ones(), 'task_parked account:shop 2, task_parked main 1', 'then they are told');
like(text('task_parked'), qr/^Parked for more than 00:30:00: (?:2 changes of orders in SalesDrive of account:shop|1 counterparties of main); .*salesdrive\.parked/, 'what they are');
sql("DELETE FROM salesdrive.task WHERE state = 'parked'");
run_engine();
is(heard(), 'opened task_parked account:shop, opened task_parked main, closed task_parked account:shop, closed task_parked main', 'and over when they are gone');
later(90_000);
run_engine();
is(open_ones(), 'reading_late shop 1', 'a day after anybody asked for changed orders it is told');
like(text('reading_late'), qr/What changed in SalesDrive was read last at .*scheduler/, 'as such');
ask();
is(heard(), 'opened reading_late shop, closed reading_late shop', 'over when somebody asks');
# ---- many: by the index

sql("INSERT INTO salesdrive.task (scope, kind, key, account, infobase, state, created_at) SELECT 'shop', 'order', n::text, 'shop', 'main', 'parked', now() - interval '1 day' FROM generate_series(100001, 120000) n; ANALYZE salesdrive.task");
is(sql("SELECT orders, oldest FROM salesdrive.late_orders('shop', '{parked}', now())"), '1000|100001', 'no more than a thousand are counted');
$blocks = sql("SELECT salesdrive.late_orders('shop', '{ready,in_flight,parked}', now() - interval '2 days') \\g /dev/null\nEXPLAIN (ANALYZE, BUFFERS, COSTS OFF, FORMAT JSON) SELECT * FROM salesdrive.late_orders('shop', '{ready,in_flight,parked}', now() - interval '2 days')") =~ /"Shared Hit Blocks": (\d+)/ ? $1 : 1e9;
cmp_ok($blocks, '<', 50, 'and to see that none is late, no queue is read');
$blocks = sql("SELECT salesdrive.parked_tasks() \\g /dev/null\nEXPLAIN (ANALYZE, BUFFERS, COSTS OFF, FORMAT JSON) SELECT * FROM salesdrive.parked_tasks()") =~ /"Shared Hit Blocks": (\d+)/ ? $1 : 1e9;
cmp_ok($blocks, '<', 50, 'nor to see that nothing else is parked');
sql("UPDATE salesdrive.task SET lane = 4 WHERE kind = 'order'");
is(sql("SELECT orders FROM salesdrive.late_orders('shop', '{ready,in_flight,parked}', now())"), 0, 'a backfill may take its time');
sql("DELETE FROM salesdrive.task WHERE key::bigint > 100000 AND kind = 'order'");

# ---- deleted, expired, dumped

sql("SELECT salesdrive.add_infobase('gone', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret'); SELECT salesdrive.pause_infobase('gone', 'x')");
sql("DELETE FROM salesdrive.infobase WHERE name = 'gone'");
is(open_ones(), '', 'what is deleted has no open incident');
sql("INSERT INTO salesdrive.incident (kind, subject, text, opened_at, closed_at) VALUES ('order_late', 'old', 'x', now() - interval '20 years', now() - interval '19 years')");
sql('CALL salesdrive.maintain()');
is(rows('order_late'), '1 1', 'retention');

# ---- workers

my $port = receiver_port($node);
my $squatter = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1, ReuseAddr => 1) or die "port $port: $!";
heard();
sql('SELECT salesdrive.start_workers()');
ok(wait_for('the receiver', sub { open_ones() eq 'receiver_cannot_bind receiver 1' }), 'a receiver that cannot listen says so itself');
like(text('receiver_cannot_bind'), qr/^The receiver: cannot listen at 127\.0\.0\.1 port $port: .*restart_workers/, 'where, and why');
$squatter->close;
ok(wait_for('the receiver', sub { open_ones() eq '' }), 'over as soon as it listens');
is(hears('opened receiver_cannot_bind receiver, closed receiver_cannot_bind receiver'), 'opened receiver_cannot_bind receiver, closed receiver_cannot_bind receiver', 'told');

sql("SELECT salesdrive.pause('shop', 'by a worker')");
is(heard(), 'opened account_paused shop', 'with workers too');
$ear_in .= "\\q\n";
$ear->finish;

done_testing();
