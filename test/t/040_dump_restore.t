# Copies: a dump restores every row, without an error, in a later month and while workers look on; a copy keeps quiet until adopt(), and then
# reads back before it writes: what the original has done meanwhile is neither doubled nor overwritten. Clones and renamed databases likewise.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run ();
use List::Util qw(sum0);
use Test::More;
use SalesDrive::Copy;
use SalesDrive::Test;

my $node = new_node('dump', extension => 0, conf => "salesdrive.databases = 'plain'\nsalesdrive.sweep_interval = '1 s'");
my $bas = start_peer('bas');
my $secrets = $node->basedir . '/secrets';
local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;

sub sql { my ($db, $query) = @_; return sql_text($node, $db, $query) }
sub notices { my ($db, $query) = @_; my ($out, $err) = ('', ''); $node->psql($db, $query, stdout => \$out, stderr => \$err, on_error_die => 1); return $err }
sub state { my ($db, $id) = @_; return order_state($node, $db, $id) }
sub done { my ($db, $id) = @_; return wait_for("order $id in $db", sub { run_engine($node, $db); state($db, $id) =~ /^(synced|parked|skipped)/ }) }
sub purposes { my ($db, $id) = @_; return sql($db, "SELECT string_agg(purpose, ', ' ORDER BY l.id) FROM salesdrive.exchange_log l, salesdrive.instance i WHERE order_id = $id AND direction = 'out' AND purpose IS NOT NULL AND method IS NOT NULL AND error NOT LIKE 'not sent%' AND at > i.adopted_at") }
sub requests { return sum0(values %{ $bas->control(GET => '/requests')->{counts} }) }
sub document { my ($id) = @_; return (grep { $_->{'НомерВходящегоДокумента'} =~ /\b$id\s*$/ } @{ $bas->control(GET => '/objects?set=Document_%D0%97%D0%B0%D0%BA%D0%B0%D0%B7%D0%9F%D0%BE%D0%BA%D1%83%D0%BF%D0%B0%D1%82%D0%B5%D0%BB%D1%8F')->{value} })[0] }

# ---- the original: data in every table, on an earlier day

sql('postgres', 'CREATE ROLE rea LOGIN');
fill_database($node, 'original', $bas, days => -40);
is(sql('original', "SELECT string_agg(account, ' ') FROM salesdrive.inbox_default"), 'old', 'making the partition of a month moves its rows out of the default partition');
is(sql('original', "SELECT string_agg(DISTINCT state, ' ' ORDER BY state) FROM salesdrive.task"), 'in_flight parked ready', 'tasks in every state');

my $before = contents($node, 'original');
my @empty = grep { $before->{$_} =~ /^0 rows/ } sort keys %$before;
my $next = sql('original', "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'r' AND relname ~ ('^(inbox|exchange_log|order_event)_' || to_char((salesdrive.clock() AT TIME ZONE 'UTC') + interval '1 month', 'YYYY_MM'))");
is("@empty", join(' ', sort qw(inbox exchange_log order_event), split / /, $next), 'every table has rows, save parents and the partitions of the next month');
my $shape = shape($node, 'original');

# ---- restored in another month

sql('original', "INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('small_business', 'order', 'comment', 'Примітка')");
sql('original', "INSERT INTO salesdrive.header_rule (account, dictionary, condition) VALUES ('gone', 'warehouse', '{\"site\": \"1\"}')");    # tables come in any order: an account that is not there must not stop them
$before = contents($node, 'original');
my $names = "SELECT string_agg(md5(r::text), ' ' ORDER BY r.profile, r.entity), salesdrive.property_names('small_business', 'order') ->> 'comment', salesdrive.entity_set('mine', 'order') FROM salesdrive.profile_resolved r";
like(sql('original', $names), qr/\|Примітка\|Document_X\z/, 'rows of the user count at once');

for my $copy (qw(restored plain))
{
	sql('postgres', "CREATE DATABASE $copy TEMPLATE template0");
	sql('postgres', "ALTER DATABASE $copy SET salesdrive.clock_offset = '30 days'; ALTER DATABASE $copy SET salesdrive.secrets_directory = '$secrets'");
}
my ($log, $plain, $text) = ('', '', '');
sub beside_the_rule { my ($said) = @_; return $said =~ s/^\N*WARNING:  there is no account "gone"\n\N*DETAIL:  Rows of header_rule \N*\n\N*HINT:  \N*\n//mr }    # of a rule that is restored all the same
my @statistics = $node->pg_version >= 18 ? '--statistics' : ();
ok(IPC::Run::run([ 'pg_dump', '-Fc', @statistics, 'original' ], '|', [ 'pg_restore', '--exit-on-error', '--single-transaction', '-d', 'restored' ], '2>', \$log), 'pg_dump -Fc | pg_restore --exit-on-error --single-transaction') or diag($log);
is(beside_the_rule($log), '', 'without a word');
ok(IPC::Run::run([ 'pg_dump', 'original' ], '|', [ 'psql', '-X', '-q', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-d', 'plain' ], '2>', \$plain), 'pg_dump | psql, while workers of that database are at work') or diag($plain);
is(beside_the_rule($plain), '', 'without a word');
IPC::Run::run([ 'pg_dump', 'original' ], '>', \$text) or die;
unlike($text, qr/a-token-of|the-api-key|'secret'|\tsecret$/m, 'a dump holds no secret');
like($text, qr/infobase:main:password/, 'but the names of secrets');
ok(wait_for_sql($node, 'plain', "SELECT string_agg(DISTINCT w.state || ' ' || (w.last_error ~ 'copy of database'), '') FROM salesdrive.worker_status w WHERE role <> 'launcher'", 'running true'), 'workers run there and know that it is a copy');
for my $copy (qw(restored plain))
{
	is_deeply(contents($node, $copy), $before, "$copy: every row of every table, every sequence");
	is(sql($copy, $names), sql('original', $names), '... names of profiles in force, with those of the user');
	is(sql($copy, 'SELECT count(*) FROM salesdrive.credential_secret'), 0, '... no secret');
	my $got = shape($node, $copy);
	is($got->{$_}, $shape->{$_}, "... $_") for sort keys %$shape;
	is(sql($copy, "SELECT extversion FROM pg_extension WHERE extname = 'salesdrive'"), sql('original', "SELECT extversion FROM pg_extension WHERE extname = 'salesdrive'"), '... the extension');
}

# ---- a copy keeps quiet

$bas->control(DELETE => '/requests');
like(notices('restored', 'CALL salesdrive.run()'), qr/nothing is sent: this database is a copy of database "original" \(oid \d+, this one is \d+\)/, 'run() in a copy says why it sends nothing');
sql('restored', 'SELECT salesdrive.start_workers()');
ok(wait_for_sql($node, 'restored', "SELECT string_agg(role || ' ' || (last_error ~ 'copy of database'), ' ' ORDER BY role) FROM salesdrive.worker_status WHERE role <> 'launcher'", 'exchanger true receiver true'), 'its workers say so too');
like(sql('restored', "SELECT string_agg(severity || ': ' || problem || ' ' || hint, ' ') FROM salesdrive.check('shop')"), qr/error: this database is a copy of database "original".*adopt/, 'and check()');
my $port = receiver_port($node, 'restored');
is(http(GET => "http://127.0.0.1:$port/health")->{status}, 599, 'nobody listens for webhooks');
my $kept = deliver($node, 'restored', 1017, day => 30);
is($kept, sql('restored', 'SELECT max(id) FROM salesdrive.inbox'), 'accept_webhook() still keeps deliveries');
is(sql('restored', 'SELECT count(*), max(id) FROM salesdrive.inbox_pending'), "2|$kept", 'which wait; sequences go on where they were');
run_engine($node, 'restored');
is(contents($node, 'restored')->{task}, $before->{task}, 'no task has changed');
is(requests(), 0, 'nothing was sent');
sql('plain', 'SELECT salesdrive.stop_workers()');
sql('postgres', 'DROP DATABASE plain');

# ---- meanwhile the original goes on

sql('original', "SELECT salesdrive.skip('shop', 1013, 'left to the copy')");
done('original', $_) for 1010, 1011, 1012, 1014, 1015;
deliver($node, 'original', 1014, version => 3);    # as version 1 was
deliver($node, 'original', 1016, version => 2, comment => 'друга');
deliver($node, 'original', 1020);
run_engine($node, 'original');
is(join(' ', map { state('original', $_) } 1010 .. 1012, 1014 .. 1016, 1020), join(' ', ('synced') x 7), 'the original has sent what the copy holds as work');
is(document(1014)->{'Комментарий'}, 'зразок', 'and a newer version than the copy has');
$bas->control(POST => '/edit', { set => 'Document_ЗаказПокупателя', reference => '1011', properties => { 'Комментарий' => 'дописано в BAS' } });
my $documents = $bas->control(GET => '/state?brief=1')->{documents}{count};

# ---- the copy takes over

my ($rc, $out, $err) = $node->psql('restored', 'SELECT salesdrive.adopt()');
is(sql('restored', "SELECT count(*) FROM salesdrive.header_rule WHERE account = 'gone'"), 1, 'a rule for an account that is not there is restored');
like($err, qr/secrets are not set in this database: account:shop:webhook_token, infobase:main:password/, 'adopt() asks for the secrets that a dump does not carry');
like(sql('restored', "SELECT string_agg(subject || ': ' || problem, ' ') FROM salesdrive.check('shop')"), qr/secret infobase:main:password: The secret is not set here/, 'check() names them');
unlike(sql('restored', "SELECT string_agg(subject, ' ') FROM salesdrive.check('shop')"), qr/secret account:shop:api_key/, 'one in a file needs nothing');
$bas->control(DELETE => '/requests');
sql('restored', "SELECT salesdrive.set_secret('infobase:main:password', 'secret'); SELECT salesdrive.set_secret('account:shop:webhook_token', 'another-token-of-26-chars')");
is(requests(), 0, 'with secrets alone it is still quiet');
sql('restored', 'SELECT salesdrive.adopt()');
is(sql('restored', "SELECT string_agg(concat_ws(' ', field, state, CASE WHEN doubted THEN 'doubted' END), ', ' ORDER BY field COLLATE \"C\") FROM salesdrive.crm_change"), 'note unknown, statusId wanted doubted',
	'what SalesDrive was to be told is looked for first; a note, which cannot be, is left to people');
ok(wait_for_sql($node, 'restored', "SELECT string_agg(order_id || ' ' || state, ', ' ORDER BY order_id) FROM salesdrive.order_status WHERE order_id BETWEEN 1010 AND 1017",
	'1010 synced, 1011 parked, 1012 synced, 1013 synced, 1014 parked, 1015 synced, 1016 synced, 1017 synced'), 'after adopt() its workers go on');
is(purposes('restored', 1013), 'read order, create order', 'a pending order travels, after a look whether it is there');
is(purposes('restored', 1010), 'read order', 'an order that only lay in the inbox: found, not doubled');
is(purposes('restored', 1012), 'read order', 'an order that was in flight: found, not doubled');
is(purposes('restored', 1015), 'read order', 'an edit that the original has made: found, not repeated');
is(state('restored', 1011), 'parked found_in_bas', 'a document that differs is parked');
is(document(1011)->{'Комментарий'}, 'дописано в BAS', 'and not overwritten');
is(state('restored', 1014), 'parked found_in_bas', 'an older version than BAS holds is not sent');
is(document(1014)->{'Комментарий'}, 'зразок', 'the newer one stands');
is($bas->control(GET => '/state?brief=1')->{documents}{count}, $documents + 2, 'two documents are new: the pending order and the one delivered to the copy');
is(sql('restored', 'SELECT salesdrive.quiet_reason() IS NULL'), 't', 'it is no copy any more');
is(sql('restored', "SELECT count(*) FROM pg_class WHERE relname = 'inbox_' || to_char(salesdrive.clock() AT TIME ZONE 'UTC', 'YYYY_MM') AND relispartition"), 1, 'partitions of its month are made');
is(sql('restored', "SELECT string_agg(account, ' ') FROM salesdrive.inbox_default"), 'old', 'what was delivered before adopt() is in its partition');

# deliveries that the original had got come again; new ones come by the receiver
my $url = "http://127.0.0.1:$port/webhook/shop/another-token-of-26-chars";
sub post { my ($text) = @_; utf8::encode($text); return wait_for('the receiver', sub { my $a = post_json($url, $text); $a->{status} == 200 && $a })->{content} }
like(post(order_body(1020)), qr/accepted/, 'the receiver listens');
post(order_body(1016, version => 2, comment => 'друга'));
post(order_body(1015, version => 3, comment => 'третя', later => 80));
post(order_body(1014, version => 3));
post(order_body(1018, day => 40));
ok(wait_for_sql($node, 'restored', "SELECT string_agg(order_id || ' ' || state, ', ' ORDER BY order_id) FROM salesdrive.order_status WHERE order_id IN (1014, 1015, 1016, 1018, 1020) AND version >= CASE order_id WHEN 1014 THEN 3 WHEN 1015 THEN 3 WHEN 1016 THEN 2 ELSE 1 END",
	'1014 synced, 1015 synced, 1016 synced, 1018 synced, 1020 synced'), 'redelivered and new orders become right');
is(purposes('restored', 1020), 'read order', 'an order made by the original after the dump is found, not doubled');
is(purposes('restored', 1016), 'read order', 'an edit made by the original after the dump is not repeated');
is(document(1015)->{'Комментарий'}, 'третя', 'an edit made after adopt() arrives');
is(purposes('restored', 1018), 'create order', 'orders that are younger than adopt() need no look');
sql('restored', "SELECT salesdrive.resend('shop', 1011)");
ok(wait_for_sql($node, 'restored', "SELECT state FROM salesdrive.order_status WHERE order_id = 1011", 'synced'), 'resend() decides for SalesDrive');
is(document(1011)->{'Комментарий'}, 'зразок', 'and writes its value');
post(order_body(1011, version => 2, sum => 90, comment => 'зразок', later => 80));
ok(wait_for_sql($node, 'restored', "SELECT state || coalesce(' ' || reason, '') FROM salesdrive.order_status WHERE order_id = 1011 AND version = 2", 'parked sum'), 'rules hold as ever');
post(order_body(1011, version => 3, comment => 'після', later => 80));
ok(wait_for_sql($node, 'restored', "SELECT state || coalesce(' ' || reason, '') FROM salesdrive.order_status WHERE order_id = 1011 AND version = 3", 'synced'), 'and a later edit needs no decision again');
is(document(1011)->{'Комментарий'}, 'після', 'it arrives');
is_deeply($bas->control(GET => '/state')->{violations}, [], 'no document and no counterparty is double');
sql('restored', 'SELECT salesdrive.stop_workers()');

# ---- clone and new name

sql('postgres', 'CREATE DATABASE clone TEMPLATE original');
$bas->control(DELETE => '/requests');
deliver($node, 'clone', 1030);
like(notices('clone', 'CALL salesdrive.run()'), qr/copy of database "original"/, 'a clone by TEMPLATE is a copy');
is(requests(), 0, 'and quiet');
sql('clone', 'SELECT salesdrive.adopt()');
done('clone', 1030);
is(purposes('clone', 1030), 'read order, create order', 'until adopt()');
sql('postgres', 'ALTER DATABASE clone RENAME TO renamed');
$bas->control(DELETE => '/requests');
deliver($node, 'renamed', 1031);
like(notices('renamed', 'CALL salesdrive.run()'), qr/this database was renamed from "clone" to "renamed"/, 'a renamed database says so');
like(sql('renamed', "SELECT problem FROM salesdrive.check('shop') WHERE subject = 'database'"), qr/renamed from "clone"/, 'check() too');
is(requests(), 0, 'and is quiet');
sql('renamed', 'SELECT salesdrive.adopt()');
done('renamed', 1031);
is(state('renamed', 1031), 'synced', 'until adopt()');
is_deeply($bas->control(GET => '/state')->{violations}, [], 'nothing is double');

done_testing();
