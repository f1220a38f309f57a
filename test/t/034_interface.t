# What a DBA calls: errors that help, secrets, webhook address, pause, wait, resume by task, check; the log without secrets.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql);

my $secrets = PostgreSQL::Test::Utils::tempdir();
my $node = new_node('interface', preload => 0, conf => "salesdrive.secrets_directory = '$secrets'");
my $bas = start_peer('bas');
my $url = $bas->url('/base');

sub failure { my ($query) = @_; utf8::encode($query) if utf8::is_utf8($query); my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query"); utf8::decode($err); return $err }
sub deliver { my ($id, %o) = @_; my $sum = $o{sum} // 100; return sql("SELECT salesdrive.accept_webhook('shop', '{\"data\":{\"id\":$id,\"version\":1,\"paymentAmount\":$sum,\"contacts\":[{\"phone\":\"0671000001\"}],\"products\":[{\"sku\":\"SKU-0001\",\"amount\":1,\"price\":100}]}}')") }
sub status { my ($id, $column) = @_; return sql("SELECT $column FROM salesdrive.order_status WHERE order_id = $id") }
sub write_secret { my ($name, $text) = @_; open my $h, '>', "$secrets/$name" or die $!; print $h $text; close $h; return }

# errors that help: statement, SQLSTATE, what the message or hint says
my @refused = (
	[ "SELECT salesdrive.add_infobase('x', 'nosuch', '$url', 'u', 'p')", 'SD006', qr/Profiles: accounting2, .*unf, unf:3\.0\./, 'an unknown profile' ],
	[ "SELECT salesdrive.add_infobase('x', 'unf', '$url/odata/standard.odata', 'u', 'p')", '22023', qr/without \/odata\/standard\.odata/, 'an address that ends too late' ],
	[ "SELECT salesdrive.add_infobase('x', 'unf', 'ftp://bas/x', 'u', 'p')", '22023', qr/address of infobase "x".*HINT:.*https:\/\/bas\.example\.com\/base/s, 'an address that is none' ],
	[ "SELECT salesdrive.add_infobase('x', 'unf', 'http://u:p\@bas/x', 'u', 'p')", '22023', qr/DETAIL:  http:\/\/…\@bas\/x.*no user, password/s, 'a password in an address' ],
	[ "SELECT salesdrive.add_infobase('a/b', 'unf', 'http://bas/x', 'u', 'p')", '23514', qr/infobase_name_check/, 'a name that is none' ],
	[ "SELECT salesdrive.add_infobase('x', 'unf', 'http://bas.example.com/x', 'u', 'p')", '22023', qr/plain http.*HINT:.*allow_http => true/s, 'plain http to another host' ],
	[ "SELECT salesdrive.add_account('shop', 'https://s.salesdrive.me', 'k', 'nosuch', 'a-token-of-24-characters')", 'SD004', qr/there is no infobase "nosuch"/, 'an unknown infobase' ],
	[ "SELECT salesdrive.add_infobase('main', 'unf', '$url', 'Обмен', 'secret'); SELECT salesdrive.add_account('shop', 'https://s.salesdrive.me', 'k', 'main', 'short')", '22023', qr/too short/, 'a short token' ],
	[ "SELECT salesdrive.add_account('shop', 'demo-shop.salesdrive.me', 'k', 'main', 'a-token-of-24-characters', identity => 'x')", '22023', qr/address of account "shop".*HINT:.*https:\/\/demo-shop\.salesdrive\.me/s, 'an address of an account that is none' ],
	[ "SELECT salesdrive.add_account('магазин', 'https://crm.example.com', 'k', 'main', 'a-token-of-24-characters')", '22023', qr/identity/, 'an identity that no key can hold' ],
	[ "SELECT salesdrive.add_infobase('main', 'unf', '$url', 'Обмен', 'secret'); SELECT salesdrive.add_infobase('main', 'unf', '$url', 'Обмен', 'secret')", '42710', qr/there is an infobase "main" already.*HINT:.*UPDATE salesdrive\.infobase SET .*set_secret\('infobase:main:password'/s, 'an infobase twice' ],
	[ "UPDATE salesdrive.infobase SET url = '$url/odata/standard.odata'", '22023', qr/is that of its OData interface.*without \/odata\/standard\.odata/s, 'an address of OData, later' ],
	[ "SELECT salesdrive.add_account('one', 'https://one.salesdrive.me', 'k', 'main', 'a-token-of-24-characters'); SELECT salesdrive.add_account('one', 'https://other.salesdrive.me', 'k', 'main', 'a-token-of-24-characters')", '42710', qr/there is an account "one" already.*HINT:.*UPDATE salesdrive\.account SET /s, 'an account twice' ],
	[ "SELECT salesdrive.add_account('two', 'https://one.salesdrive.me', 'k', 'main', 'a-token-of-24-characters')", '42710', qr/account "one" has the identity "one" already.*HINT:.*identity => /s, 'an account of the same identity' ],
	[ "SELECT salesdrive.pause('nobody', 'x')", 'SD003', qr/there is no account "nobody"/, 'an unknown account' ],
	[ "SELECT salesdrive.resume('shop', 999)", 'SD003|SD005', qr/there is no account|has not been received/, 'an unknown order' ],
	[ "SELECT salesdrive.resume(999999)", 'SD007', qr/there is no task/, 'an unknown task' ],
	[ "SELECT salesdrive.set_secret('a', '')", '22023', qr/is empty/, 'an empty secret' ],
	[ "SELECT salesdrive.set_secret(NULL, 'x')", '22023', qr/there is no secret.*HINT:.*infobase:NAME:password/s, 'a secret without a name' ],
	[ "SELECT salesdrive.set_secret('infobase:main:api_key', 'x')", '22023', qr/HINT:.*infobase:NAME:password/s, 'a name that nothing reads' ],
	[ "SELECT salesdrive.set_secret('infobase:mian:password', 'x')", 'SD004', qr/Infobases: main/, 'a secret of an infobase that is not there' ],
	[ "SELECT salesdrive.set_secret('account:shpo:webhook_token', 'x')", 'SD003', qr/there is no account "shpo"/, 'a secret of an account that is not there' ],
	[ "SELECT salesdrive.enqueue('nope', 'dictionary', 'organisation', 'nope')", 'SD004', qr/there is no infobase "nope".*Infobases: main/s, 'a task for no infobase' ],
	[ "SELECT salesdrive.enqueue('main', 'dictionary', 'organization', 'main')", '22023', qr/there is no dictionary "organization".*Dictionaries: organisation, /s, 'an unknown dictionary' ],
	[ "SELECT salesdrive.enqueue('shop', 'dictionary', 'organisation', 'main')", '22023', qr/"shop" is not "main"/, 'a dictionary of an account' ],
	[ "SELECT salesdrive.enqueue('main', 'order', '1', 'main')", '22023', qr/order 1 .*HINT:.*resume\(account, order_id\)/s, 'an order of an infobase' ],
	[ "SELECT salesdrive.enqueue('main', 'stock', '1', 'main')", '22023', qr/Kinds: attribute, attribute_set, bas_payments, counterparty, crm_dictionary, crm_orders, crm_payments, crm_receipts, dictionary, fixed_counterparty, folder, followup, goods, metadata, order, order_record, order_update, partner, payment, payment_out, product, products, push, statuses, yml/, 'an unknown kind' ],
	[ "SELECT salesdrive.enqueue('main', 'counterparty', '0671112233', 'main')", '22023', qr/for example 380671112233/, 'a phone that is not international' ],
	[ "SELECT salesdrive.enqueue('main', 'dictionary', NULL, 'main')", '22023', qr/a task has a scope/, 'a task without a key' ],
	[ "UPDATE salesdrive.infobase SET retry_base = '1 h'", '23514', qr/infobase_retry_bounds/, 'a first delay above the longest' ],
	[ "UPDATE salesdrive.infobase SET ca_file = 'ca.pem'", '23514', qr/ca_file/, 'a relative ca_file' ],
	[ "INSERT INTO salesdrive.product_pin (infobase, sku, product) VALUES ('main', 'x', '00000000-0000-0000-0000-000000000000')", '23514', qr/product_pin_product_check/, 'the nil product' ],
	[ "CALL salesdrive.wait(999999)", 'SD007', qr/there is no task 999999.*HINT/s, 'waiting for a task that never was' ],
	[ "INSERT INTO salesdrive.task_kind VALUES ('order', 'shipped', 'x', 'y')", 'SD002', qr/read-only/, 'a shipped row' ],
	[ "SELECT salesdrive.pull_statuses('main', days => 0)", '22023', qr/statuses of the last 0 days.*HINT:/s, 'statuses of no day' ],
	[ "SELECT salesdrive.pull_payments('main', days => -1)", '22023', qr/payments of the last -1 days.*HINT:/s, 'payments of fewer' ],
	[ "DELETE FROM salesdrive.cancel_rule", 'SD002', qr/HINT:  Add WHERE origin = 'user' to delete rows of your own/, 'all rows, with the shipped ones' ],
	[ "UPDATE salesdrive.profile SET title = 'x' WHERE name = 'unf'", 'SD002', qr/origin 'user'/, 'a change of a shipped row' ]);
for (@refused)
{
	my ($statement, $state, $says, $what) = @$_;
	my $err = failure($statement);
	like($err, qr/ERROR:  (?:$state):/, "$what is refused with $state");
	like($err, $says, 'and the words help');
}

like(failure("BEGIN; SELECT salesdrive.add_account('two', 'https://ONE.salesdrive.me/', 'k', 'main', 'a-token-of-24-characters', identity => 'two'); ROLLBACK"), qr/WARNING: .*account "one" has the address https:\/\/ONE\.salesdrive\.me already.*two documents.*order_filter/s, 'a second account of one address is warned of');
sql("DELETE FROM salesdrive.account WHERE name = 'one'");
like(failure("BEGIN; SELECT salesdrive.map_value('*', 'statuss', '1', 'x'); ROLLBACK"), qr/WARNING: .*nothing has values of dictionary "statuss" yet.*HINT:  Dictionaries of orders: organisation, .*status, /s, 'a dictionary that nothing has is warned of');
unlike(failure("BEGIN; SELECT salesdrive.map_value('*', '$_', '1', 'x'); ROLLBACK"), qr/WARNING/, "$_ is one") for qw(status currency warehouse);
unlike(failure("BEGIN; UPDATE salesdrive.infobase SET url = 'http://127.0.0.1:1/moved'; ROLLBACK"), qr/WARNING/, 'the address of a base of which nothing is known may change');

# secrets by reference
write_secret('bas', "secret\n");
sql("SELECT salesdrive.set_secret('infobase:main:password', 'file:bas'); SELECT salesdrive.add_account(name => 'shop', url => 'https://Demo-Shop.SalesDrive.me/', api_key => 'the-api-key', infobase => 'main', webhook_token => 'a-token-of-24-characters')");
is(sql("SELECT count(*) FROM salesdrive.credential_secret WHERE name = 'infobase:main:password'"), 0, 'a secret in a file is not in the database');
is(sql("SELECT identity || ' ' || url FROM salesdrive.account"), 'demo-shop https://Demo-Shop.SalesDrive.me', 'identity is the subdomain, however it is written');
sql("UPDATE salesdrive.account SET url = 'http://127.0.0.1:9'");    # check() asks it, and that host is somebody's
like(failure("SELECT salesdrive.set_secret('account:shop:api_key', 'file:../passwd')"), qr/ERROR/, 'a file outside the directory is refused');
unlike(failure("SELECT salesdrive.set_secret('account:shop:api_key', 'file:nosuch')"), qr/secret\n/, 'a missing file is said without showing anything');
my $port = sql("LOAD 'salesdrive'; SHOW salesdrive.port");
is(sql("SELECT salesdrive.webhook_url('shop')"), "http://127.0.0.1:$port/webhook/shop/a-token-of-24-characters", 'webhook_url() is the address of the receiver');
is(sql("SET salesdrive.public_url = 'https://hook.example.com/sd/'; SELECT salesdrive.webhook_url('shop')"), 'https://hook.example.com/sd/webhook/shop/a-token-of-24-characters', 'or begins with public_url');

my $no_token = failure("BEGIN; DELETE FROM salesdrive.credential WHERE name LIKE '%token'; SELECT salesdrive.webhook_url('shop')");
like($no_token, qr/ERROR:  SD013: account "shop" has no webhook token.*HINT:  SELECT salesdrive\.set_secret\('account:shop:webhook_token'/s, 'without a token webhook_url() is an error');

# settings and secrets of an account that are none
like(failure("UPDATE salesdrive.account SET $_ = ''"), qr/ERROR:  23514:.*account_${_}_check/, "an empty $_ is refused") for qw(organisation warehouse currency price_type);
like(failure("SELECT salesdrive.set_secret('account:shop:webhook_token', 'short')"), qr/ERROR:  22023:.*too short.*DETAIL:  The webhook token has 5 characters/s, 'set_secret() knows how long a token is');
write_secret('token', "short\n");
sql("SELECT salesdrive.set_secret('account:shop:webhook_token', 'file:token')");
like(sql("SELECT severity || problem FROM salesdrive.check('shop') WHERE subject = 'secret account:shop:webhook_token'"), qr/^warningThe webhook token has 5 characters/, 'check() reads a token that stands elsewhere');
unlink "$secrets/token";
like(sql("SELECT severity || problem FROM salesdrive.check('shop') WHERE subject = 'secret account:shop:webhook_token'"), qr/^errorIt cannot be used: .*file:token/, 'and says when it cannot');
sql("SELECT salesdrive.set_secret('account:shop:webhook_token', 'a-token-of-24-characters')");
is(sql("SELECT count(*) FROM salesdrive.check('shop') WHERE subject LIKE 'secret %'"), 0, 'a good one is no matter');
sql("SELECT salesdrive.add_account('gone', 'https://gone.salesdrive.me', 'k', 'main', 'a-token-of-24-characters'); DELETE FROM salesdrive.account WHERE name = 'gone'");
is(sql("SELECT count(*) FROM salesdrive.credential c FULL JOIN salesdrive.credential_secret s USING (name) WHERE name LIKE '%:gone:%'"), 0, 'secrets go with their account');
sql("INSERT INTO salesdrive.credential (name, kind) VALUES ('account:gone:api_key', 'literal'); BEGIN; SELECT salesdrive.adopt(); ROLLBACK; DELETE FROM salesdrive.credential WHERE name LIKE '%gone%'");
pass('and adopt() asks for none of an account that is not there');

# wait, pause, resume
deliver(1);
sql('SELECT salesdrive.ingest(10)');
my $task = sql('SELECT max(id) FROM salesdrive.task');
sql("CALL salesdrive.wait($task)");
is(status(1, 'state'), 'synced', 'wait() without a worker drives the engine until the task is done');
like(failure("CALL salesdrive.wait($task)"), qr/NOTICE: .*task $task is done/, 'and a task that is gone is done');
deliver(2, sum => 7);
sql('SELECT salesdrive.ingest(10)');
$task = sql("SELECT task_id FROM salesdrive.order_status WHERE order_id = 2");
my ($rc, $out, $err) = $node->psql('postgres', "CALL salesdrive.wait($task)");
like($err, qr/parked/i, 'wait() ends when the task is parked, and says so');
is(sql("SELECT order_id || reason FROM salesdrive.parked"), '2sum', 'view parked');
sql("SELECT salesdrive.resume($task); CALL salesdrive.run()");
is(status(2, 'state'), 'parked', 'resume(task) tries again');
sql("DELETE FROM salesdrive.task WHERE id = $task");
is(status(2, "concat_ws(' ', state, reason, hint)"), "parked lost SELECT salesdrive.resume('shop', 2); rows of salesdrive.task are not for people to delete: skip() takes an order out.", 'an order without a document whose task was deleted does not pass for done');
sql("SELECT salesdrive.resume('shop', 2); CALL salesdrive.run()");
is(status(2, "state || ' ' || reason"), 'parked sum', 'and resume() gives it another');
sql("SELECT salesdrive.pause('shop', 'stocktaking')");
deliver(3);
sql('CALL salesdrive.run()');
is(status(3, "state || ': ' || detail"), 'paused: stocktaking', 'pause() keeps orders from being sent');
sql("SELECT salesdrive.unpause('shop'); CALL salesdrive.run()");
is(status(3, 'state'), 'synced', 'unpause() lets them go');
sql("SELECT salesdrive.pause_infobase('main', 'backup')");
deliver(4);
sql('CALL salesdrive.run()');
is(status(4, "state || ': ' || detail"), 'paused: backup', 'pause_infobase() as well');
sql("SELECT salesdrive.unpause_infobase('main'); CALL salesdrive.run()");
is(status(4, 'state'), 'synced', 'and unpause_infobase()');

# taken out is taken out, though its document was to be read back and could not be
$bas->control(POST => '/faults', { method => 'GET', path => 'Document_', action => 'status', status => 403, times => 2 });
sql("UPDATE salesdrive.order_sync SET must_read = true WHERE order_id = 4; SELECT salesdrive.resume('shop', 4); CALL salesdrive.run(); SELECT salesdrive.skip('shop', 4, 'a mistake'); CALL salesdrive.run()");
is(sql("SELECT string_agg(order_id || ' ' || reason, ', ' ORDER BY order_id) FROM salesdrive.parked"), '2 sum, 4 denied', 'a skipped order whose reading back is denied');
is(sql("SELECT salesdrive.resume_parked('shop')"), 1, 'is none of those that resume_parked() lets go on');
is(status(4, 'state'), 'skipped', 'and stays out');
is(sql("BEGIN; INSERT INTO salesdrive.task (scope, kind, key, account, infobase, state, reason) VALUES ('shop', 'order', '999', 'shop', 'main', 'parked', 'bug'); UPDATE salesdrive.task SET state = 'parked' WHERE key = '2';
	SELECT 'resumed ' || salesdrive.resume_parked('shop'); ROLLBACK") =~ s/\s+\z//r, 'resumed 1', 'nor does the task of an order that is not there keep the others from it');
$bas->control(DELETE => '/faults');
sql("SELECT salesdrive.resume('shop', 4); CALL salesdrive.run()");
is(status(4, 'state'), 'synced', 'until resume() names it');

deliver(6);
sql("CALL salesdrive.run(); SELECT salesdrive.skip('shop', 6, NULL)");
is(sql("SELECT text FROM salesdrive.order_event WHERE order_id = 6 AND event = 'skipped'"), 'Skipped by ' . sql('SELECT session_user') . ': no reason given', 'skip() without a reason says so');
sql("UPDATE salesdrive.infobase SET url = 'http://192.0.2.1/base'; SELECT salesdrive.enqueue('main', 'dictionary', 'warehouse', 'main'); CALL salesdrive.run()");
like(sql("SELECT paused_reason FROM salesdrive.infobase"), qr/^BAS could not be asked: plain http is allowed to the local machine only, unless infobase\.allow_http or account_api\.allow_http is true \(http:\/\/192\.0\.2\.1\/base\//,
	'an address that is not asked is no refusal of BAS');
sql("UPDATE salesdrive.infobase SET url = '$url'; SELECT salesdrive.unpause_infobase('main'); CALL salesdrive.run()");

my $moved = failure("BEGIN; UPDATE salesdrive.infobase SET url = 'http://127.0.0.1:1/moved'; ROLLBACK");
like($moved, qr/WARNING: .*infobase "main" is taken for the same base at another address.*DETAIL:  4 documents, .* read at \Q$url\E, are expected at http:\/\/127\.0\.0\.1:1\/moved under the same keys\..*HINT: .*another base/s, 'one with documents is taken for the same base, and a warning says so');

# a secret that is gone
unlink "$secrets/bas";
deliver(5);
sql('CALL salesdrive.run()');
like(status(5, "state || ': ' || detail"), qr/^paused: The secret infobase:main:password cannot be used/, 'a secret file that is gone pauses its infobase alone');
write_secret('bas', "secret\n");
sql("SELECT salesdrive.unpause_infobase('main'); CALL salesdrive.run()");
is(status(5, 'state'), 'synced', 'and it goes on when the file is back');

# check
# the same order in the names of another configuration
my $some = sql("SELECT max(order_id) FROM salesdrive.crm_order WHERE account = 'shop'");
is(sql("SELECT step || ' ' || url || ' ' || (body ? 'Товары') || ' ' || (body ? 'Запасы') FROM salesdrive.preview('shop', $some, profile => 'trade32')"), 'document under profile trade32 Document_ЗаказКлиента true false', 'preview() under another profile');
is(sql("SELECT o.body #>> '{Товары,0,СуммаНДС}' = d.body #>> '{Запасы,0,СуммаНДС}' AND (o.body #>> '{Товары,0,СуммаНДС}')::numeric > 0
	FROM salesdrive.preview('shop', $some, profile => 'trade32') o, salesdrive.preview('shop', $some) d WHERE d.step = 'document as it should be'"), 't', 'with the VAT of the rates of its own base');
like(failure("SELECT * FROM salesdrive.preview('shop', $some, profile => 'nosuch')"), qr/ERROR:  SD006:.*Profiles: .*trade32/s, 'under one that is none');

like(sql("SELECT string_agg(subject, ', ') FROM salesdrive.check('shop')"), qr/parked orders/, 'check() tells of parked orders');
like(sql("SELECT string_agg(subject, ', ') FROM salesdrive.check('shop')"), qr/worker exchanger/, 'and of workers that do not run');
sql("DELETE FROM salesdrive.credential WHERE name = 'account:shop:api_key'");
like(sql("SELECT string_agg(subject, ', ') FROM salesdrive.check('shop')"), qr/secret account:shop:api_key/, 'and of a secret that is missing');

like(failure("BEGIN; UPDATE salesdrive.instance SET database_name = 'before'; SELECT 'hint ' || hint FROM salesdrive.check('shop') WHERE subject = 'database' \\g /dev/stderr"), qr/hint SELECT salesdrive\.adopt\(\); and put the new name/, 'a renamed database is told apart');
like(failure("BEGIN; UPDATE salesdrive.instance SET database_oid = 1; SELECT 'hint ' || hint FROM salesdrive.check('shop') WHERE subject = 'database' \\g /dev/stderr"), qr/hint Stop the other database first/, 'from a copy');
unlike(sql("SELECT string_agg(subject, ', ') FROM salesdrive.check('shop')"), qr/role /, 'a superuser may run the exchange');
sql('CREATE ROLE plain LOGIN; ALTER DATABASE postgres OWNER TO plain');
like(sql("SELECT string_agg(problem || hint, ', ') FROM salesdrive.check('shop')"), qr/role "plain", which may not run the exchange.*grant_access\('plain', 'admin'\)/, 'an owner of the database who may not is named');
sql("SELECT salesdrive.grant_access('plain', 'admin')");
unlike(sql("SELECT string_agg(subject, ', ') FROM salesdrive.check('shop')"), qr/role /, 'until he may');
sql('ALTER DATABASE postgres OWNER TO CURRENT_USER');

# an account stays with its infobase, and both stay while orders need them
sql("SELECT salesdrive.add_infobase('second', 'unf', '$url', 'Обмен', 'secret'); SELECT salesdrive.add_account('empty', 'https://empty.salesdrive.me', 'k', 'main', 'a-token-of-24-characters');
	UPDATE salesdrive.account SET infobase = 'second' WHERE name = 'empty'");
is(sql("SELECT infobase FROM salesdrive.account WHERE name = 'empty'"), 'second', 'an account without orders may go to another infobase');
like(failure("UPDATE salesdrive.account SET infobase = 'second' WHERE name = 'shop'"), qr/ERROR:  SD001: account "shop" has orders in infobase "main".*HINT:  Add another account/s, 'one with orders may not');
like(failure("DELETE FROM salesdrive.account WHERE name = 'shop'"), qr/ERROR:  55006: account "shop" cannot be deleted.*HINT:  SELECT salesdrive\.pause\('shop'/s, 'nor be deleted');
like(failure("DELETE FROM salesdrive.infobase WHERE name = 'second'"), qr/ERROR:  55006: infobase "second" cannot be deleted.*Accounts send their orders there: empty/s, 'nor an infobase of an account');
sql("DELETE FROM salesdrive.account WHERE name = 'empty'; DELETE FROM salesdrive.infobase WHERE name = 'second'");
is(sql("SELECT count(*) FROM salesdrive.task WHERE infobase = 'second'"), 0, 'one that nothing needs goes, with what was to be asked of it');
sql("INSERT INTO salesdrive.task (scope, kind, key, account, infobase, run_at) VALUES ('gone', 'order', '1', 'gone', 'main', now() - interval '1 day')");
sql('CALL salesdrive.run()');
is(sql("SELECT state || ' ' || reason || ' ' || (detail ~ 'order \"1\" of \"gone\"') FROM salesdrive.task WHERE scope = 'gone'"), 'parked bug true', 'a task that no plan knows is parked and not picked for ever');
sql("DELETE FROM salesdrive.task WHERE scope = 'gone'");

# views and log
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE url ~ 'secret' OR request_body ~ 'secret' OR url ~ '\@'"), 0, 'no secret in the log');
is(sql("SELECT bool_and(ms_total > 0 AND ms_first_byte > 0 AND task_id IS NOT NULL AND response_bytes > 0) FROM salesdrive.exchange_log WHERE direction = 'out' AND class = 'ok'"), 't', 'the log knows phases, task and sizes');
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE direction = 'in' AND inbox_id IS NOT NULL"), 6, 'and every delivery');
cmp_ok(sql("SELECT sum(exchanges) FROM salesdrive.exchange_stats WHERE direction = 'out' AND class = 'ok'"), '>=', 6, 'exchange_stats counts');
like(sql("SELECT string_agg(what, ' ' ORDER BY at, id) FROM salesdrive.order_timeline WHERE order_id = 1"), qr/received.*out find products.*out create order.*created|received/s, 'order_timeline tells the story');
is(sql("SELECT state FROM salesdrive.infobase_status"), 'open for work', 'infobase_status');
is(sql("SELECT count(*) FROM salesdrive.profile_reference WHERE profile = 'unf' AND entity_set = 'Document_ЗаказПокупателя'") > 10 ? 1 : 0, 1, 'profile_reference lists the names');

# a second document after a long body: the log keeps 64 kB and says how long it was
my $long = 'я' x 100_000;
sql("SELECT salesdrive.accept_webhook('shop', '{\"data\":{\"id\":9,\"version\":1,\"comment\":\"$long\",\"paymentAmount\":100,\"contacts\":[{\"phone\":\"0671000001\"}],\"products\":[{\"sku\":\"SKU-0001\",\"amount\":1,\"price\":100}]}}'); CALL salesdrive.run()");
is(status(9, 'state'), 'synced', 'a comment of 200 kB travels');
is(sql("SELECT octet_length(request_body) <= 65536 AND request_bytes > 200000 AND request_hash IS NOT NULL FROM salesdrive.exchange_log WHERE order_id = 9 AND purpose = 'create order'"), 't', 'the log keeps its beginning, length and hash');

done_testing();
