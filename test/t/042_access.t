# Who may do what: the levels of grant_access(), each tried at what it may and must not do; the engine under a role that is no superuser;
# functions of users under a superuser; rights of partitions made later; secrets, which are to be seen nowhere.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run ();
use Test::More;
use PostgreSQL::Test::Utils qw(slurp_file);
use SalesDrive::Test qw(:DEFAULT sql);

my ($PASSWORD, $API_KEY, $TOKEN) = ('Hidden-Passw0rd-4711', 'Hidden-Api-Key-4711', 'Hidden-Token-4711-0123456789');
my $node = new_node('access', preload => 0);
my $bas = start_peer('bas', '--password', $PASSWORD);


# SQLSTATEs of statements under a role, '00000' for success. What they do is rolled back, unless it is a CALL.
sub try_as
{
	my ($role, @statements) = @_;
	my ($script, $out, $err) = ('', '', '');
	for my $statement (@statements)
	{
		my $one = $statement =~ s/;\s+/ \\; /gr;    # one query of several statements
		$script .= $statement =~ /^CALL/ ? "$one;\n\\echo :: :SQLSTATE\n" : "BEGIN;\n$one;\n\\echo :: :SQLSTATE\nROLLBACK;\n";
	}
	utf8::encode($script) if utf8::is_utf8($script);
	$node->psql('postgres', $script, stdout => \$out, stderr => \$err, on_error_stop => 0, extra_params => [ '-U', $role ]);
	my @states = $out =~ /^:: (\w{5})$/mg;
	die "$out\n$err" if @states != @statements;
	return wantarray ? @states : $states[0];
}

sub do_as
{
	my ($role, $statement) = @_;
	utf8::encode($statement) if utf8::is_utf8($statement);
	return $node->safe_psql('postgres', $statement, extra_params => [ '-U', $role ]);
}

sub body
{
	my ($id, %o) = @_;
	my $text = json_encode({ data => { id => $id, version => 1, orderTime => '2026-11-20 14:46:24', updateAt => '2026-11-20 14:46:31', paymentAmount => 100, comment => 'зразок',
		contacts => [ { id => 1, fName => 'Зразок', lName => 'Вигаданий', phone => [ $o{phone} // '0671112233' ] } ],
		products => [ { productId => 1, text => 'Товар', sku => $o{sku} // 'SKU-0001', amount => 1, price => 100, discount => 0, percentDiscount => 0 } ] } });
	utf8::decode($text);
	return $text;
}
sub deliver { my ($id, %o) = @_; return sql("SELECT salesdrive.accept_webhook('shop', '" . body($id, %o) . "')") }
sub state { my ($id) = @_; return sql("SELECT concat_ws(' ', state, reason) FROM salesdrive.order_status WHERE order_id = $id") }

sql("CREATE ROLE stranger LOGIN; CREATE ROLE rea LOGIN; CREATE ROLE ope LOGIN; CREATE ROLE adm LOGIN;
	SELECT salesdrive.grant_access(role => 'rea', level => 'reader'), salesdrive.grant_access('ope', 'operator'), salesdrive.grant_access('adm', 'admin')");

# ---- an administrator sets up and drives the exchange

do_as('adm', "SELECT salesdrive.add_infobase(name => 'main', profile => 'unf', url => '" . $bas->url('/base') . "', username => 'Обмен', password => '$PASSWORD');
	SELECT salesdrive.add_account(name => 'shop', url => 'http://127.0.0.1:9', identity => 'demo-shop', api_key => '$API_KEY', infobase => 'main', webhook_token => '$TOKEN');
	UPDATE salesdrive.account SET posting = true;
	SELECT salesdrive.add_account(name => 'goods', url => 'http://127.0.0.1:9', identity => 'goods', api_key => '$API_KEY', infobase => 'main', webhook_token => '$TOKEN'); INSERT INTO salesdrive.account_goods (account) VALUES ('goods')");
deliver(1001);
deliver(1002, sku => 'NO-SUCH');
deliver(1003, phone => '0501234567');
do_as('adm', 'CALL salesdrive.run()');
is(state(1001), 'synced', 'the engine takes an order into BAS under a role that is no superuser');
is(sql("SELECT string_agg(DISTINCT purpose, ', ' ORDER BY purpose) FROM salesdrive.exchange_log WHERE direction = 'out' AND class = 'ok' AND purpose !~ '^read '"),
	'create counterparty, create order, find counterparty, find products, post order', 'with all that belongs to it');
is(state(1002), 'parked product_unknown', 'and parks what cannot go on');
deliver(1004);
sql('SELECT salesdrive.ingest(10)');

# ---- what each level may do

my @LEVELS = ([ stranger => -1 ], [ rea => 0 ], [ ope => 1 ], [ adm => 2 ]);
my $PARTITION = 'salesdrive.exchange_log_' . sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')");
my $PARKED = sql('SELECT min(task_id) FROM salesdrive.parked');
sql("INSERT INTO salesdrive.crm_payment (account, payment_id, direction, sum, paid_at, data, essence, received_at, changed_at, seen_at) VALUES ('shop', 1, 'in', 100, now(), '{}', '{\"orders\": {\"1001\": 100}}', now(), now(), now());
	INSERT INTO salesdrive.bas_payment (infobase, ref_key, account, order_id, entity, number, paid_at, direction, sum, posted, deleted, ours, read_at) VALUES ('main', '8c1f4a10-0bbb-11ee-8000-000000000001', 'shop', 1001, 'Document_ПоступлениеНаСчет', 'X', now(), 'in', 100, true, false, false, now());
	INSERT INTO salesdrive.push_run (account, what, state, share) VALUES ('goods', 'price', 'guarded', 0.5); INSERT INTO salesdrive.yml_load (account, asked_at) VALUES ('goods', now());
	INSERT INTO salesdrive.task (scope, kind, key, account, state, reason) VALUES ('goods', 'yml', 'yml', 'goods', 'parked', 'guard')");
my @views = split /\n/, sql("SELECT relname FROM pg_class WHERE relnamespace = 'salesdrive'::regnamespace AND relkind = 'v' ORDER BY 1");
my %may = (
	0 => [
		(map { "SELECT * FROM salesdrive.$_" } @views),
		(map { "SELECT * FROM salesdrive.$_" } qw(account infobase credential crm_order inbox exchange_log order_event task order_sync bas_order)),
		"SELECT * FROM $PARTITION",
		'SELECT salesdrive.quiet_reason()',
		"SELECT salesdrive.phone_e164('0671112233'), salesdrive.order_ref_key('demo-shop', 1001)",
		"SELECT salesdrive.wanted_goods('goods', w), salesdrive.task_progress(1) FROM unnest(ARRAY['stock', 'price', 'card']) w",
		"SELECT * FROM salesdrive.unmapped(account => 'shop')", "SELECT salesdrive.mapped_value('shop', 'status', '1'), salesdrive.unmapped_parks('shop', 'status')",
	],
	1 => [
		"SELECT * FROM salesdrive.check(account => 'shop')",
		(map { "SELECT * FROM salesdrive.preview(account => 'shop', order_id => $_)" } 1001 .. 1004),
		(map { ("SELECT salesdrive.resume(account => 'shop', order_id => $_)", "SELECT salesdrive.resend(account => 'shop', order_id => $_)",
			"SELECT salesdrive.skip(account => 'shop', order_id => $_, reason => 'test')") } 1001, 1002, 1004),
		"SELECT salesdrive.resume(task_id => $PARKED)",
		"SELECT salesdrive.resume_parked(account => 'shop', reason => 'none')",
		"SELECT salesdrive.pause(account => 'shop', reason => 'stocktaking'); SELECT salesdrive.unpause(account => 'shop')",
		"SELECT salesdrive.pause_infobase(infobase => 'main', reason => 'update'); SELECT salesdrive.unpause_infobase(infobase => 'main')",
		"SELECT salesdrive.pause_api(account => 'shop', reason => 'a new key'); SELECT salesdrive.unpause_api(account => 'shop')",
		"INSERT INTO salesdrive.product_pin (infobase, sku, product) SELECT infobase, 'NO-SUCH', ref_key FROM salesdrive.bas_product WHERE sku = 'SKU-0001';
		 UPDATE salesdrive.product_pin SET note = 'as agreed'; DELETE FROM salesdrive.product_pin",
		"SELECT salesdrive.map_value('shop', 'organisation', '7', key), salesdrive.map_value('*', 'status', '*', NULL) FROM salesdrive.dictionary_value WHERE dictionary = 'organisation'",
		"INSERT INTO salesdrive.dictionary_rule VALUES ('shop', 'status', 'park'); UPDATE salesdrive.dictionary_rule SET unmapped = 'empty'; DELETE FROM salesdrive.dictionary_rule; DELETE FROM salesdrive.value_map",
		"INSERT INTO salesdrive.order_filter (account, rule, condition) VALUES ('shop', 'not', '{\"status\": \"1\"}'); UPDATE salesdrive.order_filter SET note = 'x'; DELETE FROM salesdrive.order_filter",
		"INSERT INTO salesdrive.header_rule (account, dictionary, condition, bas_key) VALUES ('shop', 'warehouse', '{\"site\": \"1\"}', 'x'); UPDATE salesdrive.header_rule SET rank = 5; DELETE FROM salesdrive.header_rule",
		"SELECT salesdrive.map_field('shop', 'order', 'Заметки', 'comment', transform => 'text'); UPDATE salesdrive.field_map SET note = 'x' WHERE origin = 'user'; SELECT * FROM salesdrive.preview('shop', 1001); DELETE FROM salesdrive.field_map WHERE origin = 'user'",
		"UPDATE salesdrive.bas_counterparty_phone SET state = 'known', ref_key = ref_key WHERE phone = '380671112233'",
		"SELECT salesdrive.accept_webhook(account => 'shop', body => '" . body(1009) . "')",
		"SELECT salesdrive.push_stock('goods'), salesdrive.push_prices('goods'), salesdrive.push_products('goods'); SELECT salesdrive.cancel_push('goods', 'stock'); SELECT salesdrive.push_again('goods', 'card')",
		"INSERT INTO salesdrive.account_price (account, role, price_type) VALUES ('goods', 'main', 'x'); UPDATE salesdrive.account_price SET price_type = 'y'; DELETE FROM salesdrive.account_price",
		"INSERT INTO salesdrive.card_field (account, field, source) VALUES ('goods', 'note', 'x'); DELETE FROM salesdrive.card_field; INSERT INTO salesdrive.crm_product (account, product_id, sku) VALUES ('goods', '1', 'x'); DELETE FROM salesdrive.crm_product",
		"INSERT INTO salesdrive.payment_rule (account, account_number, form, bas_key) VALUES ('shop', 'none', 'cash', 'x'); UPDATE salesdrive.payment_rule SET bas_key = 'y'; DELETE FROM salesdrive.payment_rule",
		"INSERT INTO salesdrive.product_rule (account, rank, unit) VALUES ('shop', 10, 'x'); UPDATE salesdrive.product_rule SET note = 'x'; DELETE FROM salesdrive.product_rule",
		"INSERT INTO salesdrive.followup_rule (account, status, action) VALUES ('shop', '3', 'sale'); UPDATE salesdrive.followup_rule SET note = 'x'; DELETE FROM salesdrive.followup_rule",
		"SELECT salesdrive.pull_payments('main'), salesdrive.pull_statuses('main')",
		"SELECT salesdrive.skip_payment('shop', 1, 'test'); SELECT salesdrive.accept_payment('shop', 1); SELECT salesdrive.resend_payment('shop', '8c1f4a10-0bbb-11ee-8000-000000000001', 1001); SELECT salesdrive.link_payment('shop', 1, '8c1f4a10-0bbb-11ee-8000-000000000001', 1001)",
		"SELECT salesdrive.make_followup('shop', 1001, 'sale', posting => false); SELECT salesdrive.make_followup('shop', 1001, 'close'); SELECT * FROM salesdrive.preview('shop', 1001)",
		"SELECT salesdrive.allow_push(id) FROM salesdrive.push_run WHERE state = 'guarded'; SELECT salesdrive.allow_products('goods')",
		'CALL salesdrive.wait(task_id => 1)',
		'SELECT name FROM salesdrive.credential_secret',
	],
	2 => [
		"SELECT salesdrive.add_infobase(name => 'other', profile => 'unf', url => 'http://127.0.0.1:1/o', username => 'u', password => 'p')",
		"SELECT salesdrive.add_account(name => 'other', url => 'https://other.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => '0123456789abcdef')",
		"SELECT salesdrive.set_secret(name => 'infobase:main:password', value => '$PASSWORD')",
		"SELECT salesdrive.webhook_url(account => 'shop')", "SELECT salesdrive.load_dictionaries(account => 'shop')", "SELECT salesdrive.fetch_orders(account => 'shop')",
		"SELECT salesdrive.secret('infobase:main:password')", "SELECT salesdrive.secret_value('x')", 'SELECT * FROM salesdrive.receiver_accounts()',
		'SELECT value FROM salesdrive.credential_secret', 'SELECT * FROM salesdrive.credential_secret',
		"INSERT INTO salesdrive.credential (name, kind) VALUES ('x', 'literal')",
		"UPDATE salesdrive.infobase SET url = 'http://127.0.0.1:1/x'", "UPDATE salesdrive.infobase SET allow_http = true", "UPDATE salesdrive.account SET posting = false",
		"INSERT INTO salesdrive.infobase (name, profile, url, username) VALUES ('x', 'unf', 'http://127.0.0.1:1/x', 'u')",
		"INSERT INTO salesdrive.task_kind (kind, plan_function, settle_function) VALUES ('x', 'f', 'g')",
		"INSERT INTO salesdrive.field_map (account, target, property, source_kind, source) VALUES ('shop', 'order', 'X', 'function', 'app.f')",
		"INSERT INTO salesdrive.profile (name, title) VALUES ('x', 'x')", "INSERT INTO salesdrive.profile_entity (profile, concept) VALUES ('x', 'x')",
		"INSERT INTO salesdrive.profile_property (profile, entity, concept) VALUES ('x', 'x', 'x')",
		"INSERT INTO salesdrive.retention VALUES ('inbox', '1 year')", "UPDATE salesdrive.quota_window SET most = 1", "DELETE FROM salesdrive.quota_use", "UPDATE salesdrive.account_api SET allow_http = true",
		"SELECT salesdrive.load_goods('main')", "SELECT salesdrive.fetch_payments('shop')", "SELECT salesdrive.fetch_receipts('shop')", "SELECT salesdrive.load_yml('shop')", "UPDATE salesdrive.account SET payments_to_bas = false", "UPDATE salesdrive.payment_sync SET posted = true",
		"UPDATE salesdrive.bas_payment SET state = 'seen'", "UPDATE salesdrive.followup SET state = 'done'", "DELETE FROM salesdrive.bas_stock", "UPDATE salesdrive.crm_payment SET sum = 0", "DELETE FROM salesdrive.product_creation",
		"UPDATE salesdrive.account_goods SET stock_guard = 1", "INSERT INTO salesdrive.account_goods (account) VALUES ('shop')", "UPDATE salesdrive.product_sync SET accepted = NULL", "UPDATE salesdrive.push_run SET sent = 0", "SELECT salesdrive.open_run('goods', 'stock')",
		"INSERT INTO salesdrive.order_sync (account, order_id, infobase, ref_key) VALUES ('shop', 1, 'main', gen_random_uuid())",
		"INSERT INTO salesdrive.order_sync (account, order_id, infobase, ref_key, bas_ref) VALUES ('shop', 1, 'main', gen_random_uuid(), gen_random_uuid())",
		"INSERT INTO salesdrive.task (scope, kind, key, account, infobase) VALUES ('shop', 'order', '1', 'shop', 'main')", 'DELETE FROM salesdrive.wake_pending', 'DELETE FROM salesdrive.order_sync',
		'UPDATE salesdrive.task SET memo = NULL', "UPDATE salesdrive.order_sync SET ref_key = ref_key", "UPDATE salesdrive.crm_order SET comment = 'x'",
		'DELETE FROM salesdrive.exchange_log', "UPDATE salesdrive.inbox SET body = ''", 'DELETE FROM salesdrive.order_event', 'DELETE FROM salesdrive.task', "UPDATE salesdrive.instance SET database_name = 'x'",
		'SELECT salesdrive.adopt()', 'SELECT salesdrive.ingest(1)', 'SELECT * FROM salesdrive.claim(1)', "SELECT salesdrive.settle('{}')", 'SELECT salesdrive.engine_begin()',
		'CALL salesdrive.run()', 'SELECT salesdrive.prepare_partitions()', 'SELECT salesdrive.expire_history()', 'CALL salesdrive.maintain()', 'SELECT salesdrive.stop_workers()',
	],
	3 => [    # nobody but the owner of the extension
		'CREATE TABLE salesdrive.mine (x int)', 'CREATE FUNCTION salesdrive.mine() RETURNS int LANGUAGE sql RETURN 1', 'ALTER TABLE salesdrive.account DISABLE TRIGGER ALL',
		'CREATE TRIGGER mine AFTER INSERT ON salesdrive.task FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger()', 'DROP TABLE salesdrive.inbox_default',
		'TRUNCATE salesdrive.exchange_log', "SELECT salesdrive.make_partition('inbox', '2001-01-01')", "SELECT salesdrive.grant_access('stranger', 'reader')",
		"INSERT INTO salesdrive.access_function VALUES ('set_secret', 'reader')", "INSERT INTO salesdrive.access_table VALUES ('credential', 'INSERT')",
		(map { "SELECT salesdrive.clock(); SET salesdrive.$_" } "clock_offset = '1 day'", "secrets_directory = '/'", "role = 'adm'", "metrics_token = 'x'"),
	],
);
for my $lowest (sort keys %may)
{
	my @statements = @{ $may{$lowest} };
	my %states = map { $_->[0] => [ try_as($_->[0], @statements) ] } @LEVELS;
	for my $n (0 .. $#statements)
	{
		is(join(' ', map { "$_->[0]:$states{$_->[0]}[$n]" } @LEVELS), join(' ', map { "$_->[0]:" . ($_->[1] >= $lowest ? '00000' : '42501') } @LEVELS),
			'allowed from ' . (qw(reader operator administrator owner))[$lowest] . ' on: ' . substr($statements[$n] =~ s/\s+/ /gr, 0, 100));
	}
}
is(do_as('rea', "SET salesdrive.clock_offset = '10 years'; SELECT salesdrive.clock() < now() + interval '1 year'"), 't', 'a setting made before the module is loaded has no effect');
is(scalar try_as('adm', "UPDATE salesdrive.profile SET title = 'x' WHERE origin = 'shipped'"), 'SD002', 'not even an administrator changes shipped rows');
is(scalar try_as('adm', "INSERT INTO salesdrive.task_kind VALUES ('order', 'shipped', 'f', 'g')"), 'SD002', 'nor adds such');

# what a function calls, its caller must be allowed to call as well
for my $role ('rea', 'ope')
{
	is(sql("WITH f AS (SELECT p.oid, p.proname, regexp_replace(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc), '''[^'']*''', '', 'g') AS source
			FROM pg_proc p WHERE p.pronamespace = 'salesdrive'::regnamespace)
		SELECT string_agg(a.proname || ' needs ' || b.proname, ', ') FROM f a JOIN f b ON b.oid <> a.oid AND a.source ~ ('\\m' || b.proname || '\\(')
			AND a.source !~ '\\mhas_function_privilege\\('    -- that one asks for its right itself
		WHERE NOT (SELECT p.prosecdef FROM pg_proc p WHERE p.oid = a.oid) AND has_function_privilege('$role', a.oid, 'EXECUTE') AND NOT has_function_privilege('$role', b.oid, 'EXECUTE')"), '', "functions granted to $role are complete");
}

# levels take each other's place
sql("CREATE ROLE changes LOGIN; SELECT salesdrive.grant_access('changes', 'admin'); SELECT salesdrive.grant_access('changes', 'reader')");
is(scalar try_as('changes', 'SELECT value FROM salesdrive.credential_secret'), '42501', 'a lower level takes away what the higher one gave');
is(scalar try_as('changes', 'SELECT salesdrive.ingest(1)'), '42501', 'functions too');
is(scalar try_as('changes', 'SELECT * FROM salesdrive.order_status'), '00000', 'and gives its own');
is(scalar try_as('postgres', "SELECT salesdrive.grant_access('changes', 'god')"), '22023', 'an unknown level is an error');
is(scalar try_as('postgres', "SELECT salesdrive.grant_access('nobody', 'reader')"), '42704', 'an unknown role too');
is(scalar try_as('postgres', "SELECT salesdrive.grant_access('postgres', 'reader'); UPDATE salesdrive.account SET posting = posting"), '00000', 'the owner keeps all rights');

# ---- partitions made later

sql('ALTER DATABASE postgres SET salesdrive.clock_offset = \'70 days\'; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC');
my $later = sql("SELECT to_char(now() AT TIME ZONE 'UTC' + interval '70 days', 'YYYY_MM')");
do_as('adm', 'SELECT salesdrive.prepare_partitions()');
sql('ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC');
for my $history (qw(inbox exchange_log order_event))
{
	is(sql("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'salesdrive.${history}_$later'::regclass"), 'postgres', "${history}_$later made by an administrator belongs to the owner of $history");
	is(join(' ', map { scalar try_as($_, "SELECT * FROM salesdrive.${history}_$later") } qw(stranger rea ope adm)), '42501 00000 00000 00000', 'and has its rights');
}
is(sql("SELECT count(*) FROM (SELECT partition_grants.* FROM (SELECT a.grantee, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = 'salesdrive.inbox_$later'::regclass) partition_grants
	EXCEPT SELECT a.grantee, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = 'salesdrive.inbox'::regclass) more"), 0, 'no more than those, whatever the default privileges of the database say');
deliver(1005);
do_as('adm', 'CALL salesdrive.run()');
is(state(1005), 'synced', 'an order travels in the new month');
is(do_as('rea', "SELECT count(*) > 0 FROM salesdrive.exchange_log_$later"), 't', 'into its partition');
sql("ALTER DATABASE postgres SET salesdrive.clock_offset = '200 days'");
my @errors = ('') x 6;
my @sessions = map { IPC::Run::start([ 'psql', '-XAqt', '-h', $node->host, '-p', $node->port, '-U', 'adm', '-d', 'postgres', '-c', 'SELECT salesdrive.prepare_partitions()' ], '>', \my $nothing, '2>', \$errors[$_]) } 0 .. $#errors;
$_->finish for @sessions;
is(join('', @errors), '', 'six sessions making the same partitions at once do not disturb each other');
do_as('adm', 'CALL salesdrive.maintain()');
is(sql("SELECT count(*) FROM pg_class WHERE oid = to_regclass('$PARTITION')"), 0, 'maintain() under an administrator drops months beyond their retention');
is(sql("SELECT count(*) FROM pg_class WHERE oid = to_regclass('salesdrive.inbox_$later')"), 1, 'and no other');
sql('ALTER DATABASE postgres RESET salesdrive.clock_offset; SELECT salesdrive.prepare_partitions()');

# ---- functions of users

sql('CREATE SCHEMA app AUTHORIZATION adm');
do_as('adm', "CREATE TABLE app.called (by name);
	CREATE FUNCTION app.plan(tasks bigint[]) RETURNS SETOF salesdrive.plan_step LANGUAGE sql AS \$\$
		INSERT INTO app.called VALUES (current_user);
		SELECT (jsonb_populate_record(NULL::salesdrive.plan_step, jsonb_build_object('task_id', id, 'step', 'done'))).* FROM unnest(tasks) id \$\$;
	CREATE FUNCTION app.settle(results salesdrive.http_result[]) RETURNS SETOF salesdrive.plan_step LANGUAGE sql AS \$\$
		INSERT INTO app.called VALUES (current_user);
		SELECT (jsonb_populate_record(NULL::salesdrive.plan_step, jsonb_build_object('task_id', r.task_id, 'step', 'done'))).* FROM unnest(results) r \$\$;
	INSERT INTO salesdrive.task_kind (kind, plan_function, settle_function) VALUES ('greeting', 'app.plan', 'app.settle')");
my $task = do_as('adm', "SELECT salesdrive.enqueue(scope => 'main', kind => 'greeting', key => '1', infobase => 'main')");
sql('CALL salesdrive.run()');
is(sql("SELECT state || ' ' || reason FROM salesdrive.task WHERE id = $task"), 'parked superuser', 'a superuser\'s engine does not run a user\'s function');
like(sql("SELECT hint FROM salesdrive.parked WHERE task_id = $task"), qr/salesdrive\.role/, 'and says what to do');
is(sql('SELECT count(*) FROM app.called'), 0, 'it was not called');
sql("UPDATE salesdrive.task SET state = 'in_flight', attempt = 1, claimed_wish = wish, purpose = 'x', lease_until = now() + interval '1 hour' WHERE id = $task;
	SELECT salesdrive.settle(ARRAY[jsonb_populate_record(NULL::salesdrive.http_result, '{\"task_id\": $task, \"attempt\": 1, \"target\": \"main\", \"method\": \"GET\", \"class\": \"ok\", \"http_status\": 200}')])");
is(sql("SELECT state || ' ' || reason FROM salesdrive.task WHERE id = $task"), 'parked superuser', 'nor for an answer that is already here');
is(sql('SELECT count(*) FROM app.called'), 0, 'again not called');
do_as('adm', "SELECT salesdrive.resume(task_id => $task)");
do_as('adm', 'CALL salesdrive.run()');
is(sql("SELECT count(*) FROM salesdrive.task WHERE id = $task"), 0, 'under a role that is no superuser the task is done');
is(sql('SELECT string_agg(by, \' \') FROM app.called'), 'adm', 'by that role');

do_as('adm', "CREATE FUNCTION app.number(tasks bigint[]) RETURNS SETOF bigint LANGUAGE sql AS 'SELECT unnest(tasks)';
	CREATE FUNCTION app.pair(tasks bigint[]) RETURNS TABLE (task_id bigint, step text) LANGUAGE sql AS 'SELECT id, ''done'' FROM unnest(tasks) id';
	CREATE FUNCTION app.columns(tasks bigint[]) RETURNS TABLE (task_id bigint, step text, purpose text, method text, path text, body jsonb, memo jsonb, creates boolean, run_at timestamptz, reason text, detail text, hint text, blocked_on text)
		LANGUAGE sql AS 'SELECT s.* FROM app.plan(tasks) s';
	INSERT INTO salesdrive.task_kind (kind, plan_function, settle_function) SELECT k, 'app.' || k, 'app.settle' FROM unnest(ARRAY['number', 'pair', 'columns']) k");
do_as('adm', "SELECT salesdrive.enqueue('main', k, '1', 'main') FROM unnest(ARRAY['number', 'pair', 'columns']) k");
do_as('adm', 'CALL salesdrive.run()');
is(sql("SELECT string_agg(concat_ws(' ', kind, state, reason, substring(detail FROM 'failed with [^:]*')), '; ' ORDER BY kind) FROM salesdrive.task WHERE kind IN ('number', 'pair', 'columns')"),
	'number parked bug failed with 22P02; pair parked bug failed with 22P02', 'what a function returns that is no step parks its own tasks, and columns of one are one');

# What goes wrong before a request leaves is the fault of its task, too, and keeps no order from going on.
do_as('adm', "CREATE FUNCTION app.fail(steps salesdrive.plan_step[]) RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''app.fail''; END';
	DO \$do\$ BEGIN
		EXECUTE (SELECT string_agg(format('CREATE FUNCTION app.%s(tasks bigint[]) RETURNS SETOF salesdrive.plan_step LANGUAGE sql AS %L', k,
			format('SELECT (jsonb_populate_record(NULL::salesdrive.plan_step, jsonb_build_object(''task_id'', id) || %L)).* FROM unnest(tasks) id', step)), ';')
			FROM (VALUES ('no_address', jsonb '{\"step\": \"request\", \"purpose\": \"x\", \"method\": \"GET\"}'), ('no_method', '{\"step\": \"request\", \"purpose\": \"x\", \"path\": \"Catalog_X\"}'),
				('no_step', '{}'), ('odd_step', '{\"step\": \"sleep\"}'), ('no_time', '{\"step\": \"retry\"}'), ('no_note', '{\"step\": \"request\", \"purpose\": \"x\", \"method\": \"GET\", \"path\": \"Catalog_X\"}')) v (k, step));
	END \$do\$;
	INSERT INTO salesdrive.task_kind (kind, plan_function, settle_function, note_function) SELECT k, 'app.' || k, 'app.settle', CASE k WHEN 'no_note' THEN 'app.fail' END FROM unnest(ARRAY['no_address', 'no_method', 'no_step', 'odd_step', 'no_time', 'no_note']) k;
	SELECT salesdrive.enqueue('main', k.kind, '1', 'main') FROM salesdrive.task_kind k WHERE k.kind ~ '^(no|odd)_'");
deliver(1050);
do_as('adm', 'CALL salesdrive.run()');
is(state(1050), 'synced', 'an order goes on beside kinds whose requests cannot be made');
is(sql("SELECT string_agg(concat_ws(' ', kind, state, reason), ', ' ORDER BY kind) FROM salesdrive.task WHERE kind ~ '^(no|odd)_'"), join(', ', map { "$_ parked bug" } qw(no_address no_method no_note no_step no_time odd_step)), 'which are parked');
like(sql("SELECT detail FROM salesdrive.task WHERE kind = 'no_note'"), qr/failed with P0001: app\.fail/, 'with the error');
like(sql("SELECT detail FROM salesdrive.task WHERE kind = 'no_address'"), qr/without (?:a )?method or address/, 'or what is missing');
sql("DELETE FROM salesdrive.task WHERE kind ~ '^(no|odd)_'");

# ---- workers, and secrets

my $seen = '';
sub look { $seen .= sql("SELECT string_agg(concat_ws(' ', query, application_name), ' ') FROM pg_stat_activity WHERE backend_type LIKE 'salesdrive %'"); return 1 }
sql('SELECT salesdrive.start_workers()');
like(sql("SELECT string_agg(problem, ' ') FROM salesdrive.check('shop')"), qr/superuser "postgres"/, 'check() warns of workers that run as a superuser');
sql("ALTER DATABASE postgres SET salesdrive.role = 'adm'");
sql('SELECT salesdrive.restart_workers()');
is(sql("SELECT string_agg(DISTINCT runs_as, ' ') FROM salesdrive.worker_status WHERE role <> 'launcher'"), 'adm', 'workers run as salesdrive.role');
unlike(sql("SELECT string_agg(problem, ' ') FROM salesdrive.check('shop')"), qr/superuser/, 'and the warning is gone');
my $url = 'http://127.0.0.1:' . receiver_port($node) . '/webhook/shop';
my $wire = body(1006);
utf8::encode($wire);
my $answer = wait_for('the receiver', sub { my $a = post_json("$url/$TOKEN", $wire); look(); $a->{status} == 200 && $a });
is($answer->{status}, 200, 'a webhook with the right token is taken');
is(post_json("$url/$TOKEN-wrong", $wire)->{status}, 401, 'one with a wrong token is not');
ok(wait_for('the order', sub { look(); state(1006) eq 'synced' }), 'the order goes into BAS by workers that are no superuser');
sql("SELECT salesdrive.pause_infobase('main', 'test'); SELECT salesdrive.set_secret('infobase:main:password', 'Hidden-Wrong-4711'); SELECT salesdrive.unpause_infobase('main')");
$wire = body(1007);
utf8::encode($wire);
post_json("$url/$TOKEN", $wire);
ok(wait_for('the refusal', sub { look(); state(1007) eq 'paused paused' }), 'a wrong password pauses the infobase');
sql("SELECT salesdrive.set_secret('infobase:main:password', '$PASSWORD'); SELECT salesdrive.unpause_infobase('main')");
ok(wait_for('the order', sub { look(); state(1007) eq 'synced' }), 'and the right one lets it go on');
sql('SELECT salesdrive.stop_workers()');

require MIME::Base64;
my $BASIC = MIME::Base64::encode_base64("Обмен:$PASSWORD" =~ s/([^\x00-\x7f])/my $c = $1; utf8::encode($c); $c/ger, '');
my $secret = "Hidden-|\Q$BASIC\E";
unlike($seen, qr/$secret/, 'no secret in what pg_stat_activity shows of workers');
like($seen, qr/exchange/, 'which was looked at');
for my $table (split /\n/, sql("SELECT relname FROM pg_class WHERE relnamespace = 'salesdrive'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition AND relname <> 'credential_secret' ORDER BY 1"))
{
	is(sql("SELECT count(*) FROM salesdrive.$table t WHERE t::text ~ '$secret' OR t::text ~ encode('Hidden-', 'hex')"), 0, "no secret in $table");
}
my $log = slurp_file($node->logfile);
$log =~ s/^.*STATEMENT: .*\n(?:\t.*\n)*//mg;    # statements that failed are logged as they are, by the server's settings
unlike($log, qr/$secret/, 'none in the server log');
like($log, qr/is paused/, 'which tells of the pause');

done_testing();
