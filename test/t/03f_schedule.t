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

like(error_of("SELECT salesdrive.schedule('orders', '*/5 * * * *', 'SELECT 1')"), $have_cron ? qr/cannot be scheduled from here.*extension is not created in this database.*CREATE EXTENSION pg_cron/s : qr/cannot be scheduled from here.*not loaded.*any other scheduler do: SELECT 1/s, 'without pg_cron: what to do');
like(error_of("SELECT salesdrive.schedule_defaults('shop')"), qr/ERROR:.*jobs of account "shop".*default_schedules\('shop'\)/s, 'also for all jobs');
like(error_of("SELECT salesdrive.unschedule('orders')"), qr/cannot be unscheduled from here/, 'and to end one');
is(sql("SELECT string_agg(command, '; ') FROM salesdrive.default_schedules('shop')"), "SELECT salesdrive.fetch_orders('shop'); SELECT salesdrive.load_dictionaries('shop'); CALL salesdrive.maintain(); SELECT salesdrive.health_row(); CALL salesdrive.run()", 'any scheduler can make the calls');

SKIP:
{
	skip('no pg_cron here', 1) unless $have_cron;

	# ---- in the database pg_cron lives in

	sql('CREATE EXTENSION pg_cron');
	is(sql("SELECT string_agg(d, ', ') FROM salesdrive.schedule_defaults('shop') d"), 'orders of shop, values of shop, history, health, run', 'the jobs of an account');
	is(sql("SELECT string_agg(concat_ws(' ', jobname, schedule), ', ' ORDER BY jobid) FROM cron.job"), 'salesdrive postgres orders of shop */3 * * * *, salesdrive postgres values of shop 40 5 * * *, salesdrive postgres history 17 3 * * *, salesdrive postgres health 10 0 * * *, salesdrive postgres run * * * * *', 'are there');
	sql("SELECT salesdrive.schedule_defaults('shop')");
	is(sql('SELECT count(*) FROM cron.job'), 5, 'once');
	sql("SELECT salesdrive.schedule('orders of shop', '\@reboot', command) FROM salesdrive.default_schedules('shop') WHERE job = 'orders of shop'");
	sql("SELECT salesdrive.unschedule('run')");
	$node->restart;
	ok(wait_for_sql($node, 'postgres', 'SELECT count(*) FROM salesdrive.crm_poll', 1), 'a job runs');
	ok(wait_for_sql($node, 'postgres', "SELECT string_agg(DISTINCT status, ' ') FROM cron.job_run_details", 'succeeded'), 'and succeeds');
	is(sql("SELECT salesdrive.unschedule('history')") . sql("SELECT salesdrive.unschedule('history')"), 'tf', 'unschedule() ends a job, once');

	# ---- from another database

	$db = 'shop';
	connect_peers();
	my ($statement) = error_of("SELECT salesdrive.schedule('it''s', '\@reboot', 'SELECT salesdrive.fetch_orders(''shop'')')") =~ /HINT:  In database "postgres": (.*)$/m;
	like($statement, qr/^SELECT cron\.schedule_in_database\(/, 'elsewhere: the statement to run there');
	$node->safe_psql('postgres', $statement);
	is($node->safe_psql('postgres', "SELECT count(*) FROM cron.job WHERE database = 'shop'"), 1, 'which can be run');
	$node->safe_psql('postgres', $_) for split /\n/, sql("SELECT elsewhere FROM salesdrive.default_schedules('shop')");
	is($node->safe_psql('postgres', "SELECT count(*) FROM cron.job WHERE database = 'shop'"), 6, 'so can those of the defaults');
	$node->restart;
	ok(wait_for_sql($node, 'shop', 'SELECT count(*) FROM salesdrive.crm_poll', 1), 'and runs here');
	like(error_of("SELECT salesdrive.unschedule('run')"), qr/In database "postgres": SELECT cron\.unschedule\('salesdrive shop run'\);/, 'ended likewise');
}
like(error_of("SELECT salesdrive.schedule('x', '', 'SELECT 1')"), qr/a job has a name, a schedule and a command/, 'a job without a schedule');
like(error_of("SELECT salesdrive.schedule_defaults('nope')"), qr/there is no account "nope"/, 'an unknown account');

done_testing();
