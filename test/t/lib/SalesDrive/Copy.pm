package SalesDrive::Copy;

# What the tests of copies share (dump, clone, upgrade): a database with rows in every table, and comparing two databases.
#
#   fill_database($node, 'original', $bas, days => -40);    CREATE DATABASE and EXTENSION, orders in every state, on another day
#   my $rows = contents($node, 'original');                 { table or sequence => its rows, counted and hashed }
#   my $shape = shape($node, 'original');                   { indexes, partitions, columns, grants => text }
#   order_body(1001, version => 2, day => -40, ...)         body of a delivery

use strict;
use warnings FATAL => 'all';
use utf8;

use Exporter 'import';
use POSIX qw(strftime);
use SalesDrive::Test;

our @EXPORT = qw(fill_database contents shape order_body deliver run_engine order_state sql_text);

my $DAY = 86400;
my $now = time;    # of all days: a body must be the same however late it is delivered

sub sql_text { my ($node, $db, $query) = @_; utf8::encode($query) if utf8::is_utf8($query); my $out = $node->safe_psql($db, $query); utf8::decode($out); return $out }

# Options: version, comment, sum, phone, sku; day of the order counted from today, later: days from it to this version.
sub order_body
{
	my ($id, %o) = @_;
	my $version = $o{version} // 1;
	my $at = $now + ($o{day} // -40) * $DAY;
	my $text = json_encode({ data => { id => $id, version => $version, orderTime => strftime('%Y-%m-%d 12:00:00', gmtime $at),
		updateAt => strftime("%Y-%m-%d 12:0$version:00", gmtime $at + ($o{later} // 0) * $DAY), paymentAmount => $o{sum} // 100, comment => $o{comment} // 'зразок', ord_delivery_data => [ { provider => 'novaposhta', trackingNumber => "2045$id" } ],
		contacts => [ { id => 1, fName => 'Зразок', lName => 'Вигаданий', phone => [ $o{phone} // '0671112233' ] } ],
		products => [ { productId => 1, text => 'Товар', sku => $o{sku} // 'SKU-0001', amount => 1, price => 100, discount => 0, percentDiscount => 0 } ] } });
	utf8::decode($text);
	return $text;
}

sub deliver { my ($node, $db, $id, %o) = @_; return sql_text($node, $db, "SELECT salesdrive.accept_webhook('shop', '" . order_body($id, %o) . "')") }
sub run_engine { my ($node, $db) = @_; return sql_text($node, $db, 'CALL salesdrive.run()') }
sub order_state { my ($node, $db, $id) = @_; return sql_text($node, $db, "SELECT concat_ws(' ', state, reason) FROM salesdrive.order_status WHERE order_id = $id") }

# Role "rea" must exist. Orders 1001, 1004, 1014 to 1016 are in BAS, 1002 is parked, 1003 skipped, 1011 and 1013 are ready, 1012 is in flight, of
# 1014 and 1015 a second version is ready, 1010 is not read from the inbox yet. Some history is older than all partitions.
sub fill_database
{
	my ($node, $db, $bas, %o) = @_;
	my $secrets = $node->basedir . '/secrets';
	mkdir $secrets;
	open my $fh, '>', "$secrets/api_key" or die "$secrets: $!";
	print $fh "the-api-key\n";
	close $fh or die;

	sql_text($node, 'postgres', "CREATE DATABASE $db");
	sql_text($node, 'postgres', "ALTER DATABASE $db SET salesdrive.clock_offset = '$o{days} days'; ALTER DATABASE $db SET salesdrive.secrets_directory = '$secrets'");
	sql_text($node, $db, 'CREATE EXTENSION salesdrive; SELECT salesdrive.stop_workers()');
	sql_text($node, $db, "
		INSERT INTO salesdrive.inbox (received_at, account, body) VALUES (salesdrive.clock() - interval '3 months', 'old', '\\x7b7d'), (salesdrive.clock(), 'new', '\\x7b7d');
		INSERT INTO salesdrive.exchange_log (at, direction) VALUES (salesdrive.clock() - interval '3 months', 'in'), (salesdrive.clock(), 'in');
		INSERT INTO salesdrive.order_event (at, account, order_id, event) VALUES (salesdrive.clock() - interval '3 months', 'old', 1, 'received'), (salesdrive.clock(), 'new', 2, 'received')");
	sql_text($node, $db, "SELECT salesdrive.add_infobase(name => 'main', profile => 'unf', url => '" . $bas->url('/base') . "', username => 'Обмен', password => 'secret');
		SELECT salesdrive.add_account(name => 'shop', url => 'http://127.0.0.1:9', identity => 'demo-shop', api_key => 'file:api_key', infobase => 'main', webhook_token => 'a-token-of-24-characters');
		UPDATE salesdrive.infobase SET retry_base = '1 ms', unsure_margin = '0', total_timeout = '1 s', circuit_after = 1000;
		INSERT INTO salesdrive.profile (name, title) VALUES ('mine', 'Own configuration'); INSERT INTO salesdrive.profile_entity (profile, concept, entity_set) VALUES ('mine', 'order', 'Document_X');
		INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('mine', 'order', 'date', 'Date');
		INSERT INTO salesdrive.task_kind (kind, plan_function, settle_function) VALUES ('own', 'app.plan', 'app.settle');
		INSERT INTO salesdrive.retention VALUES ('inbox', '10 years');
		SELECT salesdrive.enqueue('shop', 'crm_dictionary', 'fields', NULL), salesdrive.pause_api('shop', 'nobody is there'); INSERT INTO salesdrive.crm_dictionary_load VALUES ('shop', 'status', salesdrive.clock());
		SELECT salesdrive.fetch_orders('shop', salesdrive.clock() - interval '1 year');
		INSERT INTO salesdrive.payment_rule (account, bas_key, note) VALUES ('shop', 'Основний рахунок', 'dumped'); INSERT INTO salesdrive.api_refusal VALUES ('shop', 'check/list', 'no right', salesdrive.clock()); INSERT INTO salesdrive.payment_poll (infobase) VALUES ('main');
		SELECT salesdrive.keep_payment_page('shop', 'payments', '[{\"id\": 1, \"sum\": \"5.00\", \"type\": \"incoming\", \"date\": \"2026-01-01 10:00:00\", \"paymentBreakdown\": [{\"sum\": \"5.00\", \"order\": {\"id\": 1001}}]}]', NULL), salesdrive.keep_receipt_page('shop', 'receipts', '[{\"id\": 1, \"totalSum\": 5}]', NULL), salesdrive.skip_payment('shop', 1, 'dumped');
		INSERT INTO salesdrive.bas_payment (infobase, ref_key, account, order_id, entity, direction, posted, deleted, ours, read_at) VALUES ('main', gen_random_uuid(), 'shop', 1001, 'payment_bank', 'in', false, false, false, salesdrive.clock());
		INSERT INTO salesdrive.quota_use VALUES (1, 1, 'shop', 'order/list', 'read fields of orders', 1, salesdrive.clock());
		INSERT INTO salesdrive.crm_change (account, order_id, field, wanted, cause) VALUES ('shop', 1010, 'statusId', '3', 'user'), ('shop', 1010, 'note', 'a note', 'user');
		SELECT salesdrive.map_value('shop', 'status', '1', 'Новий', note => 'dumped'); INSERT INTO salesdrive.dictionary_rule VALUES ('*', 'site', 'empty'); SELECT salesdrive.load_metadata('main');
		INSERT INTO salesdrive.product_creation (infobase, sku, name, template, our_ref_key) VALUES ('main', 'NEW-1', 'x', salesdrive.product_ref_key('T'), salesdrive.product_ref_key('NEW-1'));
		INSERT INTO salesdrive.folder_creation (infobase, key, account, ids, path, our_ref_key) VALUES ('main', 'demo-shop/7', 'shop', '{7}', '{dumped}', salesdrive.folder_ref_key('demo-shop/7')); INSERT INTO salesdrive.product_rule (account, folder, note) VALUES ('shop', 'dumped', 'dumped');
		INSERT INTO salesdrive.crm_category (account, category_id, name, seen_at) VALUES ('shop', '7', 'dumped', salesdrive.clock()); INSERT INTO salesdrive.crm_good (account, offer_id, sku, seen_at) VALUES ('shop', '7', 'dumped', salesdrive.clock()); SELECT salesdrive.load_yml('shop');
		INSERT INTO salesdrive.order_filter VALUES ('shop', 'not', '{\"status\": \"99\"}'); INSERT INTO salesdrive.header_rule VALUES ('shop', 'warehouse', '{\"site\": \"99\"}', NULL);
		INSERT INTO salesdrive.bas_good (infobase, ref_key, sku, data, read_at) VALUES ('main', salesdrive.product_ref_key('G'), 'G', '{}', salesdrive.clock()); INSERT INTO salesdrive.bas_characteristic (infobase, ref_key, read_at) VALUES ('main', salesdrive.product_ref_key('C'), salesdrive.clock());
		INSERT INTO salesdrive.bas_kit_part (infobase, kit, line_no, product, quantity, read_at) VALUES ('main', salesdrive.product_ref_key('K'), 1, salesdrive.product_ref_key('G'), 2, salesdrive.clock()); INSERT INTO salesdrive.bas_stock (infobase, product, quantity, read_at) VALUES ('main', salesdrive.product_ref_key('G'), 1.125, salesdrive.clock());
		INSERT INTO salesdrive.bas_price (infobase, price_type, product, price, read_at) VALUES ('main', salesdrive.product_ref_key('P'), salesdrive.product_ref_key('G'), 1.10, salesdrive.clock()); INSERT INTO salesdrive.bas_cost (infobase, product, cost, read_at) VALUES ('main', salesdrive.product_ref_key('G'), 0.90, salesdrive.clock());
		INSERT INTO salesdrive.bas_unit (infobase, ref_key, read_at) VALUES ('main', salesdrive.product_ref_key('U'), salesdrive.clock()); INSERT INTO salesdrive.goods_snapshot (infobase, what) VALUES ('main', 'stock'); INSERT INTO salesdrive.goods_page (infobase, what, key, data) VALUES ('main', 'stock', 'k', '{}');
		INSERT INTO salesdrive.product_load (infobase, products) VALUES ('main', 1); INSERT INTO salesdrive.status_poll (infobase) VALUES ('main'); INSERT INTO salesdrive.bas_state VALUES ('main', gen_random_uuid(), 'ГотовКОтгрузке', NULL, salesdrive.clock()); INSERT INTO salesdrive.bas_attribute (infobase, name, state, our_ref_key) VALUES ('main', 'dumped', 'comment', gen_random_uuid()); INSERT INTO salesdrive.bas_record (infobase, document, property, account, order_id, name) VALUES ('main', gen_random_uuid(), gen_random_uuid(), 'shop', 1, 'dumped');
		INSERT INTO salesdrive.job_off (scope, job) VALUES ('shop', 'orders'); INSERT INTO salesdrive.account_goods (account) VALUES ('shop'); INSERT INTO salesdrive.account_price (account, role, price_type) VALUES ('shop', 'main', 'dumped'); INSERT INTO salesdrive.card_field VALUES ('shop', 'note', 'dumped'); INSERT INTO salesdrive.crm_product (account, product_id, sku) VALUES ('shop', '7', 'dumped');
		INSERT INTO salesdrive.product_sync (account, product_id, what, name, wanted) VALUES ('shop', '7', 'stock', 'dumped', '{}'); INSERT INTO salesdrive.category_sync (account, folder, number) VALUES ('shop', gen_random_uuid(), 7); SELECT salesdrive.push_stock('shop'); INSERT INTO salesdrive.followup_rule (status, action) VALUES ('99', 'sale'); INSERT INTO salesdrive.followup (account, order_id, action, infobase, side, posting, reached_at, state) VALUES ('shop', 1, 'sale', 'main', 'hand', false, salesdrive.clock(), 'dropped');
		INSERT INTO salesdrive.check_rule (account, name, condition) VALUES ('shop', 'dumped', 'o.order_id > 0'); UPDATE salesdrive.check_rule SET enabled = false; SELECT salesdrive.map_field('*', 'order', 'Заметки', 'comment', note => 'dumped');
		SELECT salesdrive.grant_access('rea', 'reader')");
	deliver($node, $db, $_) for 1001, 1014, 1015, 1016;
	deliver($node, $db, 1002, sku => 'NO-SUCH');
	deliver($node, $db, 1003, sum => 99);
	deliver($node, $db, 1004, phone => '0509998877');
	run_engine($node, $db);
	sql_text($node, $db, "SELECT salesdrive.skip('shop', 1003, 'no need');
		INSERT INTO salesdrive.product_pin (infobase, sku, product) SELECT infobase, 'PINNED', ref_key FROM salesdrive.bas_product WHERE sku = 'SKU-0001';
		SELECT salesdrive.keep_deliveries(ARRAY['shop'], ARRAY['\\x6f6f7073'::bytea], ARRAY['no JSON'], ARRAY['127.0.0.1'])");
	run_engine($node, $db);
	my $states = join ' ', map { order_state($node, $db, $_) } 1001 .. 1004;
	die "orders are $states" if $states ne 'synced parked product_unknown skipped skipped synced';
	deliver($node, $db, 1012);
	sql_text($node, $db, 'SELECT salesdrive.ingest(100)');
	sql_text($node, $db, 'SELECT count(*) FROM salesdrive.claim(10)') eq '1' or die 'no request was claimed';
	deliver($node, $db, $_) for 1011, 1013;
	deliver($node, $db, $_, version => 2, comment => 'друга') for 1014, 1015;
	sql_text($node, $db, 'SELECT salesdrive.ingest(100)');
	deliver($node, $db, 1010);
	sql_text($node, $db, "UPDATE salesdrive.product_pin SET note = 'pinned'; SELECT salesdrive.health_row()");    # a wake that the engine has not taken yet
	return;
}

# credential_secret excepted
sub contents
{
	my ($node, $db) = @_;
	my $list = sql_text($node, $db, "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'salesdrive'::regnamespace AND relkind IN ('r', 'p', 'S') AND relname <> 'credential_secret' ORDER BY 1");
	my $query = join ' UNION ALL ', map {
		my ($name, $kind) = split /\|/;
		$kind eq 'S' ? "SELECT '$name', last_value || ' ' || is_called FROM salesdrive.$name"
		  : "SELECT '$name', count(*) || ' rows ' || md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM ONLY salesdrive.$name t";
	} split /\n/, $list;
	return { map { split /\|/, $_, 2 } split /\n/, sql_text($node, $db, $query) };
}

my %SHAPE = (
	indexes => "SELECT string_agg(tablename || ': ' || indexdef, E'\\n' ORDER BY tablename, indexdef) FROM pg_indexes WHERE schemaname = 'salesdrive'",
	partitions => "SELECT string_agg(format('%s %s %s %s %s', c.relname, i.inhparent::regclass, pg_get_expr(c.relpartbound, c.oid), c.reloptions, obj_description(c.oid, 'pg_class')), E'\\n' ORDER BY c.relname)
		FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.relnamespace = 'salesdrive'::regnamespace AND c.relkind = 'r'",
	columns => "SELECT string_agg(format('%s.%s %s %s %s %s', c.relname, a.attname, a.atttypid::regtype, a.attnotnull, a.attstorage, pg_get_expr(d.adbin, d.adrelid)), E'\\n' ORDER BY c.relname, a.attnum)
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE c.relnamespace = 'salesdrive'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0",
	grants => "SELECT string_agg(x, E'\\n' ORDER BY x) FROM (SELECT c.relname || ' ' || a.grantee::regrole || ' ' || a.privilege_type AS x FROM pg_class c, aclexplode(c.relacl) a
		WHERE c.relnamespace = 'salesdrive'::regnamespace AND a.grantee <> c.relowner
		UNION ALL SELECT p.oid::regprocedure || ' ' || a.grantee::regrole FROM pg_proc p, aclexplode(p.proacl) a WHERE p.pronamespace = 'salesdrive'::regnamespace AND a.grantee <> p.proowner) g",
	settings => "SELECT string_agg(s, E'\\n' ORDER BY s) FROM pg_extension e, unnest(ARRAY(SELECT c::regclass::text || ' ' || f FROM unnest(e.extconfig, e.extcondition) u (c, f))) s WHERE e.extname = 'salesdrive'",
);
sub shape { my ($node, $db) = @_; return { map { $_ => sql_text($node, $db, $SHAPE{$_}) } keys %SHAPE } }

1;
