# Recurring work by a real pg_cron: in the database it lives in, from another one, and without it.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test;

chomp(my $share = `pg_config --sharedir`);
my $have_cron = -e "$share/extension/pg_cron.control";
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive', '--config', '{"per_minute": 0, "per_hour": 0, "per_day": 0}');
my $node = new_node('schedule', preload => 0, extension => 0, conf => $have_cron ? "shared_preload_libraries = 'salesdrive, pg_cron'\ncron.use_background_workers = on" : '');
my $db = 'postgres';

sub sql { my ($query) = @_; utf8::encode($query) if utf8::is_utf8($query); my $out = $node->safe_psql($db, $query); utf8::decode($out); return $out }
sub error_of { my ($query) = @_; my ($rc, $out, $err) = $node->psql($db, $query); utf8::decode($err); return $err }
sub connect_peers { sql("CREATE EXTENSION salesdrive; SELECT salesdrive.stop_workers(); SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'shop')"); return }

$node->safe_psql('postgres', 'CREATE DATABASE shop');
connect_peers();

# ---- without pg_cron

like(error_of("SELECT salesdrive.schedule('shop', 'orders', '*/5 * * * *')"), $have_cron ? qr/cannot be scheduled from here.*extension is not created in this database.*CREATE EXTENSION pg_cron/s : qr/cannot be scheduled from here.*not loaded.*any other scheduler do: SELECT salesdrive\.fetch_orders\('shop'\)/s, 'without pg_cron: what to do');
like(error_of("SELECT salesdrive.schedule_defaults('shop')"), qr/ERROR:.*jobs of account "shop".*default_schedules\('shop'\)/s, 'also for all jobs');
like(error_of("SELECT salesdrive.unschedule('shop', 'orders')"), qr/cannot be unscheduled from here.*HINT:  pg_cron runs no job here.*SELECT salesdrive\.fetch_orders\('shop'\)/s, 'and to end one');
is(sql("SELECT string_agg(command, '; ') FROM salesdrive.default_schedules('shop') WHERE wanted"), "SELECT salesdrive.fetch_orders('shop'); SELECT salesdrive.load_dictionaries('shop'); SELECT salesdrive.load_metadata('main'); CALL salesdrive.maintain(); SELECT salesdrive.health_row(); CALL salesdrive.run()", 'any scheduler can make the calls');

SKIP:
{
	skip('no pg_cron here', 1) unless $have_cron;

	# ---- in the database pg_cron lives in

	sql('CREATE EXTENSION pg_cron');
	is(sql("SELECT string_agg(d, ', ') FROM salesdrive.schedule_defaults('shop') d"), 'orders, dictionaries, metadata, retention, health, run', 'the jobs of an account');
	is(sql("SELECT string_agg(concat_ws(' ', jobname, schedule), ', ' ORDER BY jobid) FROM cron.job"), 'salesdrive postgres shop orders */3 * * * *, salesdrive postgres shop dictionaries 40 5 * * *, salesdrive postgres main metadata 20 4 * * *, salesdrive postgres retention 17 3 * * *, salesdrive postgres health 10 0 * * *, salesdrive postgres run * * * * *', 'are there');
	sql("SELECT salesdrive.schedule_defaults('shop')");
	is(sql('SELECT count(*) FROM cron.job'), 6, 'once');
	my $jobs = sub { return sql("SELECT string_agg(concat_ws(' ', jobname, schedule, username), ', ' ORDER BY jobname, jobid) FROM cron.job WHERE jobname ~ ' (?:orders|run|metadata)\$'") };
	sql("SELECT salesdrive.schedule('shop', 'orders', '*/10 * * * *'), salesdrive.unschedule('shop', 'run')");
	is(sql("SELECT string_agg(d, ', ') FROM salesdrive.schedule_defaults('shop') d"), '', 'once more: nothing is added');
	my $own = sql('SELECT current_user');
	is($jobs->(), "salesdrive postgres main metadata 20 4 * * * $own, salesdrive postgres shop orders */10 * * * * $own", 'a job keeps its times, and one that was ended stays off');
	sql("SELECT salesdrive.add_account(name => 'second', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'another-token-of-24-characters', identity => 'second'); SELECT salesdrive.schedule('shop', 'metadata', '21 4 * * *')");
	is(sql("SELECT string_agg(d, ', ') FROM salesdrive.schedule_defaults('second') d"), 'orders, dictionaries', 'a second account adds its own');
	like($jobs->(), qr/main metadata 21 4/, 'and changes none of those they share');
	sql("SELECT salesdrive.unschedule('second', 'orders'), salesdrive.unschedule('second', 'dictionaries'); DELETE FROM salesdrive.account WHERE name = 'second'");
	is(sql("SELECT string_agg(scope || ' ' || job, ', ') FROM salesdrive.job_off"), ' run', 'an account that is gone leaves nothing behind');
	sql("CREATE ROLE dba2 LOGIN; SELECT salesdrive.grant_access('dba2', 'admin'); GRANT USAGE ON SCHEMA cron TO dba2; GRANT SELECT ON cron.job TO dba2");
	like(error_of("SET ROLE dba2; SELECT salesdrive.schedule('shop', 'orders', '*/7 * * * *')"), qr/ERROR:  job "orders" is scheduled by role "$own" already.*HINT:.*unschedule\('shop', 'orders'\)/s, 'another admin makes no second job of a name');
	like(error_of("SET ROLE dba2; SELECT salesdrive.unschedule('shop', 'orders')"), qr/ERROR:  job "orders" is of role "$own"/, 'nor ends one that is not his');
	is(sql("SET ROLE dba2; SELECT string_agg(d, ', ') FROM salesdrive.schedule_defaults('shop') d"), '', 'and to him, too, they are there');
	sql("SET ROLE dba2; SELECT salesdrive.schedule('shop', 'run', '* * * * *')");
	like($jobs->(), qr/ run \* \* \* \* \* dba2/, 'what was ended he may bring back');
	like(error_of("SELECT salesdrive.schedule('shop', 'run', '* * * * *')"), qr/scheduled by role "dba2" already/, 'a superuser, too, makes no second one');
	is(sql("SELECT salesdrive.unschedule('shop', 'run')"), 't', 'but ends any');
	is(sql("SELECT count(*) FROM cron.job WHERE jobname ~ 'run'"), 0, 'indeed');
	sql("SELECT salesdrive.schedule('shop', 'run', '* * * * *'), salesdrive.schedule('shop', 'orders', '*/3 * * * *'), salesdrive.schedule('shop', 'metadata', '20 4 * * *')");
	is(sql('SELECT count(*) FROM salesdrive.job_off'), 0, 'a job that is scheduled is off no more');
	sql("UPDATE salesdrive.account SET status_from_bas = true WHERE name = 'shop'");
	is(sql("SELECT string_agg(d, ', ') FROM salesdrive.schedule_defaults('shop') d WHERE d = 'statuses'"), 'statuses', 'statuses where they come from BAS');
	is(sql("SELECT salesdrive.unschedule('shop', 'statuses')"), 't', 'which can be ended alone');
	sql("INSERT INTO salesdrive.account_goods (account) VALUES ('shop'); INSERT INTO salesdrive.account_price (account, role, price_type) VALUES ('shop', 'main', 'x')");
	is(sql("SELECT string_agg(job || ' ' || command, '; ') FROM salesdrive.default_schedules('shop') WHERE wanted AND job IN ('stock', 'prices', 'goods')"), "stock SELECT salesdrive.push_stock('shop'); prices SELECT salesdrive.push_prices('shop'); goods SELECT salesdrive.push_products('shop')", 'stock, prices and goods where they are sent');
	sql('DELETE FROM salesdrive.account_goods; DELETE FROM salesdrive.account_price');
	sql("SELECT salesdrive.schedule(account => 'shop', job => 'orders', cron => '\@reboot')");
	sql("SELECT salesdrive.unschedule(account => 'shop', job => 'run')");
	like(error_of("SELECT salesdrive.schedule('shop', 'nope', '* * * * *')"), qr/there is no job "nope".*Jobs: orders, statuses, payments, bas_payments, receipts, dictionaries, metadata, products, yml, stock, prices, goods, retention, health, run\./s, 'a job that is not there');
	$node->restart;
	ok(wait_for_sql($node, 'postgres', 'SELECT count(*) FROM salesdrive.crm_poll', 1), 'a job runs');
	# the last time: the restart may have ended it, or another job, at the beginning of a minute
	my $last = "SELECT d.status FROM cron.job_run_details d JOIN cron.job j USING (jobid) WHERE j.jobname ~ ' orders\$' ORDER BY d.runid DESC LIMIT 1";
	ok(wait_for_sql($node, 'postgres', $last, 'succeeded'), 'and succeeds');
	my $told = sub { return sql("SELECT problem || ' ' || hint FROM salesdrive.check('shop') WHERE subject = 'pg_cron' AND problem ~ '\"(salesdrive postgres shop orders|own|other)\"'") };
	is($told->(), '', 'which needs no word');
	# as on a fresh Debian: pg_cron goes by TCP, which wants what it has not
	$node->append_conf('postgresql.conf', 'cron.use_background_workers = off');
	$node->restart;
	ok(wait_for_sql($node, 'postgres', $last, 'failed'), 'a job cannot connect');
	like($told->(), qr/^The last run of job "salesdrive postgres shop orders" failed: connection failed pg_cron connects to cron\.host \(.*as role "$own"\. .*cron\.use_background_workers = on/, 'check() tells, and what to do');
	sql("CREATE ROLE watcher LOGIN; SELECT salesdrive.grant_access('watcher', 'operator')");
	is(sql("SET ROLE watcher; SELECT count(*) FROM salesdrive.check('shop') WHERE problem ~ 'connection failed'"), 1, 'an operator, too');
	$node->append_conf('postgresql.conf', 'cron.use_background_workers = on');
	$node->restart;
	ok(wait_for_sql($node, 'postgres', $last, 'succeeded'), 'it can again');
	is($told->(), '', 'and check() is content');
	sql("SELECT cron.schedule('other', '\@reboot', 'SELECT 1 / 0'), cron.schedule('own', '\@reboot', 'CALL salesdrive.no_such()')");
	$node->restart;
	ok(wait_for_sql($node, 'postgres', "SELECT count(*) FROM cron.job_run_details JOIN cron.job USING (jobid) WHERE jobname IN ('other', 'own') AND status = 'failed'", 2), 'two jobs fail');
	like($told->(), qr/^The last run of job "own" failed: .*no_such.* SELECT \* FROM cron\.job_run_details[^\n]*$/, 'and only that of the exchange is told');
	sql("SELECT cron.unschedule('other'), cron.unschedule('own')");
	my $seconds = sql("SELECT string_to_array(split_part(extversion, '-', 1), '.')::integer[] >= '{1,5}' FROM pg_extension WHERE extname = 'pg_cron'") eq 't';
	like(error_of("SELECT salesdrive.schedule('shop', 'run', '20 seconds')"), $seconds ? qr/^$/ : qr/knows no seconds.*version 1\.5/s, 'seconds where pg_cron has them');
	sql("SELECT salesdrive.unschedule('shop', 'run')");
	is(sql("SELECT salesdrive.unschedule('shop', 'retention')") . sql("SELECT salesdrive.unschedule('shop', 'retention')"), 'tf', 'unschedule() ends a job, once');

	# ---- from another database

	$db = 'shop';
	connect_peers();
	my ($statement) = error_of("SELECT salesdrive.schedule('shop', 'orders', '\@reboot')") =~ /HINT:  In database "postgres": (.*)$/m;
	like($statement, qr/^SELECT cron\.schedule_in_database\(/, 'elsewhere: the statement to run there');
	$node->safe_psql('postgres', $statement);
	is($node->safe_psql('postgres', "SELECT count(*) FROM cron.job WHERE database = 'shop'"), 1, 'which can be run');
	$node->safe_psql('postgres', $_) for split /\n/, sql("SELECT elsewhere FROM salesdrive.default_schedules('shop') WHERE wanted AND job <> 'orders'");
	is($node->safe_psql('postgres', "SELECT count(*) FROM cron.job WHERE database = 'shop'"), 6, 'so can those of the defaults');
	$node->restart;
	ok(wait_for_sql($node, 'shop', 'SELECT count(*) FROM salesdrive.crm_poll', 1), 'and runs here');
	like(error_of("SELECT salesdrive.unschedule('shop', 'run')"), qr/In database "postgres": SELECT cron\.unschedule\('salesdrive shop run'\);/, 'ended likewise');
}
like(error_of("SELECT salesdrive.schedule('shop', 'orders', '')"), qr/job "orders" has no times/, 'a job without times');
like(error_of("SELECT salesdrive.schedule_defaults('nope')"), qr/there is no account "nope"/, 'an unknown account');

done_testing();
