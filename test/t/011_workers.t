# The life of the workers: who is served, start and stop, roles, crashes, drops, copies, standby, shutdown.

use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes ();
use SalesDrive::Test;

my $token = 'a-token-of-24-characters';
my $settings = "SELECT salesdrive.add_infobase(name => 'main', profile => 'unf', url => 'http://127.0.0.1:9/base', username => 'u', password => 'p');
SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => '$token');
SELECT salesdrive.pause_infobase('main', 'this test is about the workers');";

my $node = new_node('workers', extension => 0, init => { allows_streaming => 1 }, conf => "salesdrive.databases = 'postgres, nowhere'\nmax_worker_processes = 20\nsalesdrive.request_timeout = '10 min'\n");
my $port = receiver_port($node);

sub sql { my ($query, $db) = @_; return $node->safe_psql($db // 'postgres', $query) }

# roles and states of the workers of a database
sub becomes
{
	my ($expected, $name, $db, $n) = @_;
	return ok(wait_for_sql($n // $node, $db // 'postgres',
		"SELECT string_agg(role || ' ' || state, ', ' ORDER BY role) FROM salesdrive.worker_state() WHERE role <> 'launcher'", $expected), $name);
}

sub processes
{
	my ($db, $n) = @_;
	return ($n // $node)->safe_psql('template1', "SELECT coalesce(string_agg(backend_type, ', ' ORDER BY backend_type), '') FROM pg_stat_activity
		WHERE backend_type LIKE 'salesdrive %' AND " . (defined $db ? "datname = '$db'" : 'datname IS NULL'));
}

sub pid_of { my ($role, $db) = @_; return sql("SELECT pid FROM salesdrive.worker_state() WHERE role = '$role'", $db) }
sub answers { my ($p, $body) = @_; my $a = http(POST => "http://127.0.0.1:$p/webhook/shop/$token", {}, $body // '{"any":1}'); return $a->{status} }
sub listening { my ($p) = @_; return wait_for("port $p", sub { answers($p) == 200 }) }

# ---- who is served ----

is(processes(), 'salesdrive launcher', 'preloaded: one launcher, connected to no database');
is(processes('postgres'), '', 'no extension, no workers');
sql('CREATE EXTENSION salesdrive');
becomes('exchanger running, receiver running', 'CREATE EXTENSION wakes the launcher at COMMIT');
is(processes('postgres'), 'salesdrive exchanger, salesdrive receiver', 'one receiver, one exchanger');
sql($settings);
ok(listening($port), 'the receiver answers');
SKIP:
{
	skip 'a library tells its version since 18', 1 if $node->pg_version < 18;
	is(sql("SELECT m.version = e.extversion FROM pg_get_loaded_modules() m, pg_extension e WHERE m.module_name = 'salesdrive' AND e.extname = 'salesdrive'"), 't', 'the library tells its version');
}

sql('CREATE DATABASE second');
sql("CREATE EXTENSION salesdrive; $settings", 'second');
sql("ALTER DATABASE second SET salesdrive.port = $port");
becomes('exchanger down, receiver down', 'a database that is not listed is left alone', 'second');

# ---- start, stop, port ----

sql('SELECT salesdrive.start_workers()', 'second');
becomes('exchanger running, receiver not listening', 'start_workers(), at a port in use', 'second');
ok(wait_for_sql($node, 'second', "SELECT last_error LIKE 'cannot listen at 127.0.0.1 port $port: %' FROM salesdrive.worker_state() WHERE role = 'receiver'"),
	'which is told');
is(answers($port), 200, 'the other receiver goes on');
is(sql("SELECT count(*) FROM salesdrive.inbox", 'second'), 0, 'and nothing arrives at the wrong one');
sql('SELECT salesdrive.stop_workers()');
is(processes('postgres'), '', 'stop_workers() waits for their end');
becomes('exchanger stopped, receiver stopped', 'and says so');
ok(wait_for('the port', sub { answers($port, '{"for":"second"}') == 200 && sql("SELECT count(*) > 0 FROM salesdrive.inbox", 'second') eq 't' }),
	'the other receiver takes the port when it is free, by itself');
ok(wait_for_sql($node, 'second', "SELECT coalesce(last_error, '') FROM salesdrive.worker_state() WHERE role = 'receiver'", ''), 'and its error is gone');

my $second = free_port();
sql("ALTER DATABASE second SET salesdrive.port = $second");
is(answers($port), 200, 'a changed setting is not in force yet');
sql('SELECT salesdrive.restart_workers()', 'second');
ok(listening($second), 'restart_workers() puts it in force');
sql('SELECT salesdrive.start_workers()');
ok(listening($port), 'start_workers() after stop_workers()');
sql('ALTER DATABASE second SET salesdrive.port = 0');
sql('SELECT salesdrive.restart_workers()', 'second');
becomes('exchanger running, receiver off', 'port 0 means no receiver', 'second');
sql("ALTER DATABASE second SET salesdrive.port = $second");
sql('SELECT salesdrive.restart_workers()', 'second');
becomes('exchanger running, receiver running', 'and back', 'second');

# ---- copies, renames, drops ----

my ($rc, $out, $err) = $node->psql('postgres', 'CREATE DATABASE copied TEMPLATE second');
isnt($rc, 0, 'a served database cannot be a template');
sql('SELECT salesdrive.stop_workers()', 'second');
sql('CREATE DATABASE copied TEMPLATE second');
pass('after stop_workers() it can');
sql('ALTER DATABASE second RENAME TO renamed; ALTER DATABASE renamed RENAME TO second');
pass('and be renamed');
sql('SELECT salesdrive.start_workers()', 'second');

my $third = free_port();
sql("ALTER DATABASE copied SET salesdrive.port = $third");
sql('SELECT salesdrive.start_workers()', 'copied');
ok(wait_for_sql($node, 'copied', "SELECT last_error LIKE '%copy%adopt()%' FROM salesdrive.worker_state() WHERE role = 'receiver'"), 'a copy keeps quiet and says why');
ok(!IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $third), 'and listens nowhere');
sql('SELECT salesdrive.adopt()', 'copied');
ok(listening($third), 'adopt() lets it speak, at once');
sql('DROP DATABASE copied WITH (FORCE)');
pass('DROP DATABASE WITH (FORCE) passes a live worker');
ok(wait_for_sql($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'salesdrive %' AND datname = 'copied'", 0), 'and nothing of it is left');

my $receiver = pid_of('receiver', 'second');
sql('DROP EXTENSION salesdrive CASCADE', 'second');
ok(wait_for('their end', sub { processes('second') eq '' }), 'DROP EXTENSION ends the workers');
ok(wait_for('the port', sub { !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $second) }), 'nothing listens any more');
sql("CREATE EXTENSION salesdrive; $settings", 'second');
becomes('exchanger running, receiver running', 'CREATE EXTENSION brings them back', 'second');
isnt(pid_of('receiver', 'second'), $receiver, 'as new processes');
ok(listening($second), 'that answer');

# ---- dying ----

my $restarts = sql("SELECT restarts FROM salesdrive.worker_state() WHERE role = 'receiver'");
$receiver = pid_of('receiver');
sql("SELECT pg_terminate_backend($receiver)");
ok(wait_for_sql($node, 'postgres', "SELECT pid <> $receiver AND restarts = $restarts + 1 FROM salesdrive.worker_state() WHERE role = 'receiver' AND state = 'running'"),
	'a terminated worker comes back');
ok(listening($port), 'and answers');

kill 'KILL', pid_of('exchanger', 'second');
becomes('exchanger running, receiver running', 'after a crash the listed database is served again');
becomes('exchanger running, receiver running', 'and the one that start_workers() was called for', 'second');
ok(listening($port) && listening($second), 'both answer');
ok(wait_for('one launcher', sub { processes() eq 'salesdrive launcher' }), 'there is one launcher');
my $launcher = pid_of('launcher');
kill 'TERM', $launcher;
ok(wait_for_sql($node, 'postgres', "SELECT pid <> $launcher FROM salesdrive.worker_state() WHERE role = 'launcher' AND state = 'running'"), 'a terminated launcher comes back');
$receiver = pid_of('receiver');
kill 'TERM', $receiver;
ok(wait_for_sql($node, 'postgres', "SELECT pid <> $receiver FROM salesdrive.worker_state() WHERE role = 'receiver' AND state = 'running'"), 'and knows its workers');

# ---- roles ----

sql('CREATE ROLE sluggish NOLOGIN; CREATE ROLE clerk LOGIN; ALTER DATABASE second SET salesdrive.role = nobody_here');
($rc, $out, $err) = $node->psql('second', 'SELECT salesdrive.restart_workers()');
like($err, qr/DETAIL:  role "nobody_here" \(salesdrive.role\) does not exist/, 'a role that does not exist is told');
sql('ALTER DATABASE second SET salesdrive.role = sluggish');
SKIP:
{
	skip 'since 17 a worker may run as a role that cannot log in', 1 if $node->pg_version >= 17;
	($rc, $out, $err) = $node->psql('second', 'SELECT salesdrive.restart_workers()');
	like($err, qr/DETAIL:  role "sluggish" is not permitted to log in/, 'a role that may not log in is told');
}
sql("SELECT salesdrive.grant_access('clerk', 'admin'); ALTER DATABASE second SET salesdrive.role = clerk; SELECT salesdrive.restart_workers()", 'second');
ok(wait_for_sql($node, 'second', "SELECT string_agg(usename || ' ' || backend_type, ', ' ORDER BY backend_type) FROM pg_stat_activity WHERE datname = 'second' AND backend_type LIKE 'salesdrive %'",
	'clerk salesdrive exchanger, clerk salesdrive receiver'), 'workers run as an ordinary role');
ok(listening($second), 'and answer');
is(sql("SELECT count(*) > 0 FROM salesdrive.inbox", 'second'), 't', 'and keep');

# a role without rights: says what is missing, and keeps the exchange from nobody
sql("CREATE ROLE stranger LOGIN; ALTER DATABASE second SET salesdrive.role = stranger; SELECT salesdrive.restart_workers()", 'second');
ok(wait_for_sql($node, 'second', "SELECT last_error FROM salesdrive.worker_state() WHERE role = 'exchanger'",
	"permission denied for schema salesdrive: SELECT salesdrive.grant_access('stranger', 'admin'); as owner of the extension"), 'a role without rights is told, with what to do');
sub logged { my ($text) = @_; return wait_for('the log', sub { PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ $text }) }
ok(logged(qr/LOG:  salesdrive could not begin the exchange: permission denied for schema salesdrive\n.*HINT:  SELECT salesdrive.grant_access\('stranger', 'admin'\)/), 'in the server log too');
ok(logged(qr/ERROR:  permission denied for schema salesdrive.*\n.*HINT:  SELECT salesdrive.grant_access\('stranger', 'admin'\)/), 'and by the receiver');
ok(wait_for('the lock', sub { ($node->psql('second', 'CALL salesdrive.run()'))[2] !~ /already runs/ }), 'it does not hold the lock: run() passes');
sql("SELECT salesdrive.grant_access('stranger', 'admin')", 'second');
sql("UPDATE salesdrive.infobase SET max_url = max_url", 'second');
ok(wait_for_sql($node, 'second', "SELECT salesdrive.engine_alive() AND last_error IS NULL FROM salesdrive.worker_state() WHERE role = 'exchanger'"), 'with rights it begins');
ok(listening($second), 'and the receiver listens');
sql("ALTER DATABASE second SET salesdrive.role = clerk; SELECT salesdrive.restart_workers()", 'second');

# ---- silence ----

wait_for_sql($node, 'postgres', "SELECT count(*) FROM salesdrive.inbox_pending", 0);
my $count = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'second'";
ok(wait_for('silence', sub {
	my $before = sql($count);
	my $until = Time::HiRes::time() + 3;
	wait_for('three seconds', sub { Time::HiRes::time() > $until });
	return sql($count) == $before;
}), 'idle workers run no statement');

# ---- the list ----

$node->safe_psql('postgres', "ALTER SYSTEM SET salesdrive.databases = 'second'");
$node->reload;
becomes('exchanger down, receiver down', 'a database taken from the list is left');
$node->safe_psql('postgres', "ALTER SYSTEM SET salesdrive.databases = 'second, postgres'");
$node->reload;
becomes('exchanger running, receiver running', 'and served again');
($rc, $out, $err) = $node->psql('postgres', "ALTER SYSTEM SET salesdrive.databases = 'a b'");
like($err, qr/invalid value for parameter "salesdrive.databases"/, 'a list that is none is refused');
($rc, $out, $err) = $node->psql('postgres', "ALTER DATABASE postgres SET salesdrive.listen_address = 'example.test'");
like($err, qr/invalid value for parameter "salesdrive.listen_address"/, 'a name is no address');

($rc, $out, $err) = $node->psql('postgres', "ALTER DATABASE postgres SET salesdrive.public_url = '$_'"), like($err, qr/invalid value for parameter "salesdrive.public_url"/, "no address: $_") for 'not a url', 'hooks.example.com', 'https://', 'https://u@h/', 'https://h/?a=1';
($rc, $out, $err) = $node->psql('postgres', "ALTER DATABASE postgres SET salesdrive.secrets_directory = 'secrets'");
like($err, qr/invalid value for parameter "salesdrive.secrets_directory".*absolute path/s, 'a relative directory of secrets');
($rc, $out, $err) = $node->psql('postgres', "SET salesdrive.public_url = 'https://hooks.example.com:8443/sd/'; SET salesdrive.secrets_directory = '/etc/x'; SET salesdrive.public_url = ''; SET salesdrive.secrets_directory = ''");
is($rc, 0, 'good ones, and none');
# a value stored before the rule was there is left out with a warning, and stops nothing
sql("UPDATE pg_db_role_setting SET setconfig = array_append(setconfig, 'salesdrive.public_url=nowhere') WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = 'second')");
sql('SELECT salesdrive.restart_workers()', 'second');
becomes('exchanger running, receiver running', 'workers start with a bad value', 'second');
is(sql("LOAD 'salesdrive'; SHOW salesdrive.public_url", 'second'), '', 'which does not count');
sql('ALTER DATABASE second RESET salesdrive.public_url');

# ---- shutdown with hanging peers ----

my @hanging = map { my $l = raw_connect($port); $l->send("POST /webhook/shop/$token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); $l } 1 .. 40;
my $started = Time::HiRes::time();
$node->stop('fast');
my $took = Time::HiRes::time() - $started;
cmp_ok($took, '<', 30, sprintf 'fast shutdown does not wait for peers (%.2f s)', $took);    # which have ten minutes
$_->close for @hanging;

# ---- standby ----

$node->start;
becomes('exchanger running, receiver running', 'after a restart the listed ones are served');
$node->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'b', has_streaming => 1);
my $standby_port = free_port();
$standby->append_conf('postgresql.conf', "salesdrive.port = $standby_port\n");
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
is(processes(undef, $standby) . processes('postgres', $standby), '', 'a standby has no launcher and no workers');
($rc, $out, $err) = $standby->psql('postgres', 'SELECT salesdrive.start_workers()');
like($err, qr/do not run on a standby/, 'start_workers() says so');
$node->stop('immediate');
$standby->promote;
becomes('exchanger running, receiver running', 'after promotion they start', 'postgres', $standby);
ok(listening($standby_port), 'and the receiver answers');
$standby->stop('fast');

# ---- few slots: the default of PostgreSQL, two databases, one of them not listed ----

my $few = new_node('few', conf => "salesdrive.databases = 'postgres'\nmax_worker_processes = 8\n");
receiver_port($few);
$few->safe_psql('postgres', 'CREATE DATABASE other');
$few->safe_psql('other', "CREATE EXTENSION salesdrive; ALTER DATABASE other SET salesdrive.port = " . free_port());
becomes('exchanger running, receiver running', 'the listed database is served', 'postgres', $few);
$few->safe_psql('other', 'SELECT salesdrive.start_workers()');
my $launcher_of = "SELECT pid FROM salesdrive.worker_state() WHERE role = 'launcher'";
my $steady = wait_for('a launcher', sub { $few->safe_psql('other', $launcher_of) });
$few->safe_psql('other', 'SELECT salesdrive.restart_workers()') for 1 .. 3;
is($few->safe_psql('other', $launcher_of), $steady, 'restart_workers() leaves the launcher alone');
for my $round (1 .. 3)
{
	is(($few->psql('other', 'SELECT salesdrive.stop_workers()'))[0] . ($few->psql('other', 'SELECT salesdrive.start_workers()'))[0], '00', "stop and start, round $round");
}
becomes('exchanger running, receiver running', 'both are served', $_, $few) for 'postgres', 'other';
$few->stop('fast');

# ---- without preload ----

my $plain = new_node('plain', preload => 0, conf => "max_worker_processes = 4\n");
my $plain_port = receiver_port($plain);
is(processes(undef, $plain), '', 'without preload nothing runs');
$plain->safe_psql('postgres', $settings);
$plain->safe_psql('postgres', 'CREATE DATABASE other');
$plain->safe_psql('other', "CREATE EXTENSION salesdrive; ALTER DATABASE other SET salesdrive.port = " . free_port());
$plain->safe_psql('postgres', 'SELECT salesdrive.start_workers()');
is(processes(undef, $plain), 'salesdrive launcher', 'start_workers() starts the launcher');
becomes('exchanger running, receiver running', 'and the workers', 'postgres', $plain);
ok(listening($plain_port), 'the receiver answers');
($rc, $out, $err) = $plain->psql('other', 'SELECT salesdrive.start_workers()');
like($err, qr/out of background worker slots/, 'out of slots: start_workers() says so');
like($err, qr/max_worker_processes/, 'and what to do');
my $warnings = () = PostgreSQL::Test::Utils::slurp_file($plain->logfile) =~ /WARNING:  out of background worker slots/g;
is($warnings, 1, 'one warning in the log');
kill 'KILL', $plain->safe_psql('postgres', "SELECT pid FROM salesdrive.worker_state() WHERE role = 'receiver'");
becomes('exchanger running, receiver running', 'a crash does not make the launcher forget', 'postgres', $plain);
$plain->restart;
is(processes(undef, $plain), '', 'a restart of the cluster does');

# in one transaction with CREATE EXTENSION: the workers come after COMMIT
$plain->safe_psql('postgres', 'DROP EXTENSION salesdrive CASCADE');
$plain->safe_psql('postgres', 'BEGIN; CREATE EXTENSION salesdrive; SELECT salesdrive.start_workers(); COMMIT');
becomes('exchanger running, receiver running', 'start_workers() in the transaction of CREATE EXTENSION', 'postgres', $plain);
$plain->stop('fast');

for my $n ($node, $standby, $few, $plain)
{
	unlike(PostgreSQL::Test::Utils::slurp_file($n->logfile), qr/PANIC|TRAP|signal 11|signal 6/, 'nothing crashed by itself: ' . $n->name);
}
done_testing();
