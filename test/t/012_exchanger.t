# The exchanger as a neighbour: wakes at COMMIT, tells what is in force, keeps retention, ends fast and quietly.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use IPC::Run ();
use Time::HiRes ();
use SalesDrive::Test;

my $bas = start_peer('bas');
my $node = new_node('exchanger', workers => 1, conf => "salesdrive.sweep_interval = '1 h'\nwal_level = replica\nmax_wal_senders = 2\n");
my $port = receiver_port($node);

sub sql
{
	my ($query) = @_;
	utf8::encode($query);
	return $node->safe_psql('postgres', $query);
}

# an order of a customer and an article that BAS does not know
sub deliver
{
	my @bodies = map {
		json_encode({ data => { id => $_, version => 1, orderTime => '2026-11-20 14:46:24', updateAt => '2026-11-20 14:46:24', paymentAmount => 100,
			contacts => [ { id => 1, fName => 'Zrazok', phone => [ '0' . (671000000 + $_) ] } ],
			products => [ { productId => 1, sku => "NONE-$_", text => 'x', amount => 1, price => 100, discount => 0, percentDiscount => 0 } ] } })
	} @_;
	return sql("SELECT salesdrive.accept_webhook('shop', b) FROM unnest(ARRAY[" . join(', ', map { "'$_'" } @bodies) . "]) b");
}

sub log_since { my ($from) = @_; return substr PostgreSQL::Test::Utils::slurp_file($node->logfile), $from }
sub log_size { return -s $node->logfile }

# ---- in force beside configured ----

sql("SELECT salesdrive.add_infobase(name => 'main', profile => 'unf', url => '" . $bas->url('/base') . "', username => 'Обмен', password => 'secret');
SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters')");
my $settings = "SELECT concat_ws(' ', state, listen_address, port, configured_listen_address, configured_port) FROM salesdrive.worker_status WHERE role = 'receiver'";
ok(wait_for_sql($node, 'postgres', $settings, "running 127.0.0.1 $port 127.0.0.1 $port"), 'worker_status: address and port in force and configured');
my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1);
my $busy = $taken->sockport;
sql("ALTER DATABASE postgres SET salesdrive.port = $busy");
ok(wait_for_sql($node, 'postgres', $settings, "running 127.0.0.1 $port 127.0.0.1 $busy"), 'a changed setting is shown beside the one in force');
my $mark = log_size();
sql('SELECT salesdrive.restart_workers()');
ok(wait_for_sql($node, 'postgres', $settings, "not listening 127.0.0.1 $busy"), 'a port in use: not listening');
ok(wait_for_sql($node, 'postgres', "SELECT last_error LIKE 'cannot listen at 127.0.0.1 port $busy: %' FROM salesdrive.worker_status WHERE role = 'receiver'"), 'and the reason');
unlike(log_since($mark), qr/FATAL|terminating/, 'restart_workers() leaves no FATAL in the log');
close $taken;
ok(wait_for_sql($node, 'postgres', $settings, "running 127.0.0.1 $busy 127.0.0.1 $busy"), 'it listens by itself when the port is free');
ok(wait_for_sql($node, 'postgres', "SELECT last_error IS NULL FROM salesdrive.worker_status WHERE role = 'receiver'"), 'and the error is gone');

# ---- wake at COMMIT ----

ok(wait_for_sql($node, 'postgres', 'SELECT salesdrive.engine_alive()'), 'the exchanger has the engine');
deliver(1);
ok(wait_for_sql($node, 'postgres', "SELECT state FROM salesdrive.order_status WHERE order_id = 1", 'parked'), 'a commit wakes the exchanger, with a sweep of an hour');
cmp_ok(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE direction = 'out' AND order_id = 1"), '>', 0, 'it asked BAS');

# ---- idle is silent ----

my $count = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'postgres'";
ok(wait_for('silence', sub {
	my $before = $node->safe_psql('template1', $count);
	my $until = Time::HiRes::time() + 3;
	wait_for('three seconds', sub { Time::HiRes::time() > $until });
	return $node->safe_psql('template1', $count) == $before;
}), 'idle, neither worker begins a transaction');

# ---- retention, by the exchanger ----

sql("INSERT INTO salesdrive.inbox_reject (inbox_id, received_at, account, reason, detail) VALUES (-1, now() - interval '20 years', 'shop', 'not_json', 'old')");
sql('SELECT salesdrive.restart_workers()');
ok(wait_for_sql($node, 'postgres', 'SELECT count(*) FROM salesdrive.inbox_reject WHERE inbox_id = -1', 0), 'history past its retention goes without anybody asking');
$mark = log_size();
sql("ALTER FUNCTION salesdrive.expire_history() RENAME TO expire_history_away");
sql('SELECT salesdrive.restart_workers()');
ok(wait_for('the log', sub { log_since($mark) =~ /could not drop expired history: function salesdrive\.expire_history\(\) does not exist/ }), 'a failure is logged');
sql("ALTER FUNCTION salesdrive.expire_history_away() RENAME TO expire_history");
is(sql("SELECT state FROM salesdrive.worker_status WHERE role = 'exchanger'"), 'running', 'and the exchanger goes on');

# ---- rows that another session holds ----

# a session that opens a transaction and sits in it
sub hold
{
	my ($statement) = @_;
	utf8::encode($statement);
	my $psql = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ], '<', \my $in, '>', \my $out, '2>', \my $err);
	$in = "BEGIN; $statement; SELECT 'held';\n";
	$psql->pump until $out =~ /held/;
	return { psql => $psql, in => \$in };
}
sub let_go { my ($held) = @_; ${ $held->{in} } .= "COMMIT;\n\\q\n"; return $held->{psql}->finish }

sub order
{
	my ($id, %o) = @_;
	my $text = json_encode({ data => { id => $id, version => $o{version} // 1, orderTime => '2026-11-20 14:46:24', updateAt => '2026-11-20 14:46:24', paymentAmount => 100, comment => $o{comment} // 'x',
		contacts => [ { id => 1, fName => 'Zrazok', phone => [ '0671112233' ] } ], products => [ { productId => 1, sku => 'SKU-0001', text => 'x', amount => 1, price => 100 } ] } });
	return $node->safe_psql('postgres', ($o{set} // '') . "SELECT salesdrive.accept_webhook('shop', '$text')");
}

sub synced { my ($what, @ids) = @_; return wait_for_sql($node, 'postgres', 'SELECT string_agg(concat_ws(\' \', order_id, state, synced_version), \', \' ORDER BY order_id) FROM salesdrive.order_status WHERE order_id IN (' . join(', ', map { (split / /)[0] } @ids) . ')', join(', ', map { s/ / synced /r } @ids)) }
sub exchanges { my ($id, $where) = @_; return sql("SELECT count(*) FROM salesdrive.exchange_log WHERE direction = 'out' AND order_id = $id AND $where") }
sub documents { my ($id) = @_; return grep { $_->{reference} =~ /(?:^|\/)$id\z/ } @{ $bas->control(GET => '/state?full=1')->{documents}{list} } }
my $POST = '^POST [^?]*/Document_[^/(]*(?:\\?|\z)';

# The next document is made, and BAS keeps its answer back until release().
sub hold_answer { return $bas->control(POST => '/faults', { path => $POST, action => 'hold_after', times => 1 }) }
sub held_answer { wait_for('the request', sub { grep { $_->{action} eq 'hold_after' && $_->{fired} } @{ $bas->control(GET => '/faults')->{rules} } }); return $bas->control(DELETE => '/faults') }
sub release { return $bas->control(POST => '/release') }

sql("UPDATE salesdrive.infobase SET total_timeout = '10 min', unsure_margin = '500 ms', retry_base = '10 ms', retry_cap = '100 ms', circuit_after = 1000;
ALTER DATABASE postgres SET salesdrive.sweep_interval = '1 s'; SELECT salesdrive.restart_workers()");
order(50);
ok(synced('one order', '50 1'), 'customer and goods are known');

hold_answer();
order(51);
ok(wait_for_sql($node, 'postgres', "SELECT count(*) FROM salesdrive.task WHERE kind = 'order' AND key = '51' AND purpose = 'create order' AND state = 'in_flight'", 1), 'an order is on its way');
held_answer();
$mark = log_size();
my $held = hold("SELECT salesdrive.resume('shop', 51)");
release();
ok(wait_for('a lock timeout', sub { log_since($mark) =~ /salesdrive could not .*lock timeout/ }), 'a session holds its task in an open transaction: the engine does not wait for ever');
order(51, version => 2, comment => 'second');
order($_) for 52 .. 60;
ok(synced('the others', map { "$_ 1" } 52 .. 60), 'the other orders go on');
is(sql("SELECT state FROM salesdrive.task WHERE kind = 'order' AND key = '51'"), 'in_flight', 'while it is held');
is(sql("SELECT count(*) FROM salesdrive.inbox_pending"), 1, 'its next version waits');
let_go($held);
ok(synced('the one', '51 2'), 'and it goes on when it is let go');
is(exchanges(51, "purpose = 'create order'"), 1, 'it was written once');
is(exchanges(51, "class NOT IN ('ok')"), 0, 'no answer was given up');
is(scalar documents(51), 1, 'one document');

$held = hold("SELECT FROM salesdrive.order_sync WHERE order_id = 52 FOR UPDATE");
order(52, version => 2, comment => 'second');
order(61);
ok(synced('another', '61 1'), 'a session holds what a claim needs: others go on');
ok(wait_for_sql($node, 'postgres', "SELECT reason FROM salesdrive.order_status WHERE order_id = 52", 'locked'), 'and order_status says why it waits');
let_go($held);
ok(synced('the one', '52 2'), 'until it is let go');

deliver(65);
ok(wait_for_sql($node, 'postgres', "SELECT state FROM salesdrive.order_status WHERE order_id = 65", 'parked'), 'an order is parked for its goods');
$held = hold("SELECT FROM salesdrive.task WHERE kind = 'order' AND key = '65' FOR UPDATE");
sql("INSERT INTO salesdrive.product_pin (infobase, sku, product) SELECT 'main', 'NONE-65', ref_key FROM salesdrive.bas_product WHERE sku = 'SKU-0001'");
order(66);
ok(synced('another', '66 1'), 'a session holds a task that a pin makes due: others go on');
let_go($held);
ok(synced('the one', '65 1'), 'and the wake is not lost');

# ---- leases ----

hold_answer();
order(62);
ok(wait_for_sql($node, 'postgres', "SELECT count(*) FROM salesdrive.task WHERE kind = 'order' AND key = '62' AND purpose = 'create order' AND state = 'in_flight'", 1), 'an order is on its way');
held_answer();
sql("UPDATE salesdrive.task SET state = 'in_flight', attempt = attempt + 1, claimed_wish = wish, purpose = 'x' WHERE kind = 'order' AND key = '1';
UPDATE salesdrive.task SET lease_until = now() - interval '1 hour' WHERE state = 'in_flight'");
ok(wait_for_sql($node, 'postgres', "SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 1 AND error = 'The answer was not taken in.'", 1), 'what nobody has in hand is taken back when its lease is over');
release();
ok(synced('the one', '62 1'), 'the order arrives');
is(exchanges(62, "error = 'The answer was not taken in.'"), 0, 'what the engine has in hand is not, whatever its lease says');
is(exchanges(62, 'true'), 1, 'it was sent once');

# a COMMIT that waits for a standby, longer than the lease; the cache of the sequence, so that only turns with work write something
sql("UPDATE salesdrive.infobase SET total_timeout = '1 s'; ALTER SEQUENCE salesdrive.claim_turn_seq CACHE 100000; SELECT salesdrive.restart_workers()");
ok(wait_for_sql($node, 'postgres', 'SELECT last_value > 50000 FROM salesdrive.claim_turn_seq'), 'the exchanger has made a turn');
sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
$node->reload;
my $probe = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "DO 'BEGIN FOR i IN 1 .. 600 LOOP PERFORM pg_logical_emit_message(true, ''x'', ''y''); COMMIT; PERFORM pg_sleep(0.1); END LOOP; END'" ], '<', \'', '>', \my $waste, '2>&1');
wait_for_sql($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'DO%'", 1);
order(63, set => 'SET synchronous_commit = local; ');
ok(wait_for_sql($node, 'postgres', "SELECT bool_or(wait_event = 'SyncRep' AND clock_timestamp() - xact_start > interval '3 s') FROM pg_stat_activity WHERE backend_type = 'salesdrive exchanger'"), 'the COMMIT of a claim stalls');
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO%'");
sql('ALTER SYSTEM RESET synchronous_standby_names');
$node->reload;
$probe->finish;
ok(synced('the one', '63 1'), 'the order arrives');
is(exchanges(63, "error LIKE 'not sent: too much time%' AND attempt = 1"), 1, 'the request did not leave after its time');
is(exchanges(63, "purpose = 'create order' AND error NOT LIKE 'not sent%'"), 1, 'it was written once');

# ---- a crash forgets no attempt ----

sql("ALTER DATABASE postgres SET synchronous_commit = off");
sql("ALTER SYSTEM SET wal_writer_delay = '10 s'");
$node->reload;
sql('SELECT salesdrive.restart_workers()');
ok(wait_for_sql($node, 'postgres', 'SELECT salesdrive.engine_alive()'), 'the exchanger is back, with synchronous_commit = off');
$bas->control(DELETE => '/requests');
sql("UPDATE salesdrive.infobase SET total_timeout = '15 s'");    # long enough to end before it
$bas->control(POST => '/faults', { path => $POST, action => 'hang', times => 1 });
order(64, set => 'SET synchronous_commit = on; ');
wait_for('the POST', sub { grep { $_->{fault} } @{ $bas->control(GET => '/requests?method=POST')->{requests} } });
$node->stop('immediate');
$node->start;
ok(synced('the one', '64 1'), 'a crash while a POST is out: the order arrives');
is(exchanges(64, "class = 'unknown_outcome' AND error = 'The engine ended before the answer came.'"), 1, 'the attempt is known');
like(sql("SELECT string_agg(purpose, ', ' ORDER BY attempt) FROM salesdrive.exchange_log WHERE direction = 'out' AND order_id = 64 AND class = 'ok'"), qr/^(?:read order, )+create order$/, 'so it is read back before it is written again');
sql("ALTER DATABASE postgres RESET synchronous_commit");
sql("ALTER SYSTEM RESET wal_writer_delay");
$node->reload;

# ---- wait() by one who may not drive ----

sql("CREATE ROLE op LOGIN; SELECT salesdrive.grant_access('op', 'operator'); SELECT salesdrive.stop_workers()");
deliver(2);
my $task = sql("SELECT id FROM salesdrive.task ORDER BY id LIMIT 1");
sql("SELECT salesdrive.resume($task)");
my ($rc, $out, $err) = $node->psql('postgres', "CALL salesdrive.wait($task, '300 ms')", extra_params => [ '-U', 'op' ]);
like($err, qr/NOTICE:  no exchanger runs in this database, and this role may not run the exchange/, 'an operator who waits is told that nobody works');
like($err, qr/ERROR:  task $task was not done in time/, 'and only watches');
unlike($err, qr/permission denied/, 'without an error of rights');
($rc, $out, $err) = $node->psql('postgres', "CALL salesdrive.wait($task, '60 s')");
like($err, qr/task $task is parked/, 'an admin who waits drives the engine');
sql('SELECT salesdrive.start_workers()');

# ---- fast shutdown with 64 hung peers ----

$bas->control(POST => '/faults', { action => 'hang' });
sql("UPDATE salesdrive.infobase SET max_connections = 64, circuit_after = 1000, total_timeout = '10 min'");
deliver(100 .. 163);
my $hung = eval {
	wait_for('hanging requests', sub { sql("SELECT count(*) FROM salesdrive.task WHERE state = 'in_flight'") >= 64 });
};
ok($hung, '64 requests hang') or diag(sql("SELECT state, count(*) FROM salesdrive.task GROUP BY 1"));
$mark = log_size();
my $started = Time::HiRes::time();
$node->stop('fast');
my $took = Time::HiRes::time() - $started;
cmp_ok($took, '<', 30, sprintf 'fast shutdown does not wait for BAS (%.2f s)', $took);    # which has ten minutes
unlike(log_since($mark), qr/FATAL.*\n?.*salesdrive|PANIC|TRAP|terminated by signal/, 'and nothing alarming is in the log');

done_testing();
