# pg_upgrade to the same major: every row is back, no worker runs meanwhile, and after adopt() deliveries go on.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use PostgreSQL::Test::Utils;
use SalesDrive::Copy;
use SalesDrive::Test;

my $bas = start_peer('bas');
my %options = (extension => 0, conf => "salesdrive.databases = 'shopdb'\nsalesdrive.sweep_interval = '1 s'\nlog_min_messages = debug1");
my $old = new_node('old', %options);
my $new = new_node('new', %options, start => 0);

sub starts { my ($log) = @_; return () = $log =~ /starting background worker process "salesdrive/g }

$old->safe_psql('postgres', 'CREATE ROLE rea LOGIN');
fill_database($old, 'shopdb', $bas, days => -40);
my $before = contents($old, 'shopdb');
my $shape = shape($old, 'shopdb');
my $secrets = sql_text($old, 'shopdb', 'SELECT count(*), md5(string_agg(s::text, \'\' ORDER BY name)) FROM salesdrive.credential_secret s');
sql_text($old, 'postgres', "ALTER DATABASE shopdb SET salesdrive.clock_offset = '30 days'");
my $old_log = slurp_file($old->logfile);
cmp_ok(starts($old_log), '>', 0, 'workers of the old cluster have run');
$old->stop;
$bas->control(DELETE => '/requests');

# ---- the upgrade

my $bindir = $old->config_data('--bindir');
chdir $PostgreSQL::Test::Utils::tmp_check or die;
for my $mode ([ '--check' ], [ '--retain' ])
{
	command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir, '-s', $new->host, '-p', $old->port, '-P', $new->port, @$mode ],
		"pg_upgrade @$mode");
}
my @logs = grep { -s } glob($new->data_dir . '/pg_upgrade_output.d/*/log/pg_upgrade_server*.log'), glob($new->data_dir . '/pg_upgrade_output.d/log/pg_upgrade_server*.log');
my $upgrade_log = join '', map { slurp_file($_) } @logs;
like($upgrade_log, qr/database system is ready/, 'servers ran during the upgrade');
is(starts($upgrade_log), 0, 'but no worker of the extension');

# ---- the new cluster

$new->append_conf('postgresql.conf', "salesdrive.databases = ''");
$new->start;
is_deeply(contents($new, 'shopdb'), $before, 'every row of every table, every sequence');
my $after = shape($new, 'shopdb');
is($after->{$_}, $shape->{$_}, "... $_") for sort keys %$shape;
is(sql_text($new, 'shopdb', 'SELECT count(*), md5(string_agg(s::text, \'\' ORDER BY name)) FROM salesdrive.credential_secret s'), $secrets, 'secrets too: it is the same house');

$new->append_conf('postgresql.conf', "salesdrive.databases = 'shopdb'");
$new->reload;
ok(wait_for_sql($new, 'shopdb', "SELECT string_agg(w.state || ' ' || (w.last_error ~ 'copy of database \"shopdb\" of another cluster'), ' ') FROM salesdrive.worker_status w WHERE role <> 'launcher'", 'running true running true'),
	'its workers run, and say that it may not speak yet');
is_deeply($bas->control(GET => '/requests')->{counts}, {}, 'nothing was sent');
sql_text($new, 'shopdb', 'SELECT salesdrive.adopt()');
my $url = 'http://127.0.0.1:' . receiver_port($new, 'shopdb') . '/webhook/shop/a-token-of-24-characters';
my $body = order_body(1040, day => 40);
utf8::encode($body);
my $answer = wait_for('the receiver', sub { my $a = post_json($url, $body); $a->{status} == 200 && $a });
like($answer->{content}, qr/"accepted":1/, 'after adopt() a webhook is taken');
ok(wait_for_sql($new, 'shopdb', "SELECT string_agg(order_id || ' ' || state, ', ' ORDER BY order_id) FROM salesdrive.order_status WHERE order_id NOT IN (1002, 1003)",
	join ', ', map { "$_ synced" } 1001, 1004, 1010 .. 1016, 1040), 'and goes into BAS, and so does what was under way');
is_deeply($bas->control(GET => '/state')->{violations}, [], 'nothing is double');
$new->stop;

done_testing();
