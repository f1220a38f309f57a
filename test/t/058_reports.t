# Reports: what their views count, beside the orders themselves and what became of them in BAS.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Goods;
use SalesDrive::Test qw(:DEFAULT sql run_engine);

my $node = new_node('reports', preload => 0);
my $bas = start_peer('bas');

# Compiling a plan takes seconds where reading a few rows takes milliseconds: the hints by which these functions are planned make every plan look dear.
sub nothing_compiled
{
	my ($where, $query) = @_;
	my ($rc, $out, $err) = $where->psql('postgres', "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; SET auto_explain.log_analyze = on; SET auto_explain.log_timing = off; SET jit = on; SET client_min_messages = log; $query");
	my ($whole, @nested) = reverse split /LOG:  duration:/, $err;
	return ok(@nested > 2 && !grep(/^\s*JIT:/m, @nested), "no plan within is compiled: $query");
}

sub deliver
{
	my ($id, $sum, %o) = @_;
	my ($sku, $paid) = (delete $o{sku} // 'SKU-0001', delete $o{paid} // 0);
	my $body = json_encode({ data => { id => $id, version => 1, orderTime => '2026-11-20 23:30:00', updateAt => '2026-11-20 23:30:00', paymentAmount => $sum, payedAmount => $paid, statusId => 1, sajt => 1, userId => 7, organizationId => 2, utmSource => 'вивіска',
		contacts => [ { fName => 'Зразок', phone => '0671000001' } ], products => [ { sku => $sku, amount => 1, price => $sum } ], %o },
		meta => { fields => { statusId => { name => 'statusId', type => 'select', options => [ { value => 1, text => 'Новий' }, { value => 2, text => 'Продаж' } ] }, sajt => { name => 'sajt', type => 'select', options => [ { value => 1, text => 'вітрина' } ] },
			userId => { name => 'userId', type => 'select', options => [ { value => 7, text => 'Вигаданий менеджер' } ] }, organizationId => { name => 'organizationId', type => 'select', options => [ { value => 2, text => 'ФОП Зразок' } ] } } } });
	utf8::decode($body);
	sql("SELECT salesdrive.accept_webhook('shop', '$body')");
	return run_engine();
}

sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters')");
deliver(1, 120, paid => 120);
deliver(2, 100.1, statusId => 2);
deliver(3, 0.35, statusId => 2, orderTime => '2026-11-21 00:15:00');
deliver(4, 50, sku => 'NO-SUCH');

is(sql("SELECT string_agg(concat_ws(' ', day, status, site, manager, organisation, orders, amount, paid, documents, document_amount, parked, not_in_bas), E'\\n' ORDER BY day, status) FROM salesdrive.order_report"),
	"2026-11-20 Новий вітрина Вигаданий менеджер ФОП Зразок 2 170 120 1 120 1 1\n2026-11-20 Продаж вітрина Вигаданий менеджер ФОП Зразок 1 100.1 0 1 100.1 0 0\n2026-11-21 Продаж вітрина Вигаданий менеджер ФОП Зразок 1 0.35 0 1 0.35 0 0",
	'orders and sums by day of the shop, under the names of SalesDrive, with what is in BAS');
is(sql("SELECT sum(amount) = (SELECT sum(payment_amount) FROM salesdrive.crm_order) AND sum(orders) = (SELECT count(*) FROM salesdrive.crm_order) FROM salesdrive.order_report"), 't', 'they add up to all orders, exactly');
is(sql('SELECT DISTINCT source FROM salesdrive.order_report'), 'вивіска', 'the source as it was received');
nothing_compiled($node, "SELECT * FROM salesdrive.field_lineage WHERE account = 'shop'");

$bas->control(POST => '/edit', { key => sql('SELECT bas_ref FROM salesdrive.order_status WHERE order_id = 2'), properties => { DeletionMark => \1 } });
sql("SELECT salesdrive.resend('shop', 2)");
run_engine();
is(sql("SELECT documents || ' ' || not_in_bas FROM salesdrive.order_report WHERE amount = 100.1"), '0 1', 'a document marked for deletion is none');

is(sql("SELECT concat_ws(' ', account, received, created, changed, to_document_median >= 0, to_document_p99 >= to_document_median) FROM salesdrive.order_day"), 'shop 4 3 0 t t', 'what was done, and how long it took');
is(sql("SELECT parked >= 1 FROM salesdrive.order_day"), 't', 'how often an order was parked');
is(sql("SELECT sum(exchanges) = (SELECT count(*) FROM salesdrive.exchange_log) AND sum(failures) = (SELECT count(*) FROM salesdrive.exchange_log WHERE class <> 'ok') FROM salesdrive.exchange_day"), 't', 'every exchange counts once');
is(sql("SELECT exchanges || ' ' || failures || ' ' || (ms_longest >= ms_median) FROM salesdrive.exchange_day WHERE target = 'main' AND purpose = 'create order'"), '3 0 true', 'by purpose');

# ---- a document that BAS did not keep as it was sent was made all the same; what is told of records and payments is no change of a document

sql("SELECT salesdrive.map_field('shop', 'order', 'МестоСоставленияДокумента', 'place')");
deliver(5, 60, place => 'x' x 120);
deliver(5, 61, place => 'y' x 120, version => 2);
is(sql("SELECT string_agg(event || ' ' || (detail ->> 'written'), ', ' ORDER BY id) FROM salesdrive.order_event WHERE order_id = 5 AND event IN ('created', 'changed', 'differs')"), 'differs created, differs changed', 'the history tells that BAS cut a text');
sql("INSERT INTO salesdrive.order_event (account, order_id, event, text, detail) VALUES ('shop', 5, 'differs', 'Document ПБ-1 of payment 7 created, but BAS did not keep as sent: Комментарий.', '{\"Комментарий\": {}}'),
	('shop', 5, 'differs', 'Information record of document X: a 1 → 2, but BAS keeps 3.', NULL)");
is(sql('SELECT sum(created) || \' \' || sum(changed) FROM salesdrive.order_day'), '4 1', 'order_day counts it as made, and as changed');
is(sql("SELECT h.created || ' ' || h.changed FROM salesdrive.health_row((salesdrive.clock() AT TIME ZONE 'UTC')::date) h"), '4 1', 'and so does the row of health');

# ---- cancelled orders can be told apart

deliver(100 + $_, 1000, statusId => $_) for 6 .. 9, 1065;
sql("INSERT INTO salesdrive.cancel_rule (account, status, action) VALUES ('shop', '1065', 'tell');
	INSERT INTO salesdrive.dictionary_value (scope, side, dictionary, key, name) VALUES ('shop', 'crm', 'status', '9', 'Дубль')");
is(sql("SELECT string_agg(cancelled || ' ' || orders, ', ' ORDER BY cancelled) FROM (SELECT coalesce(cancelled, 'none') AS cancelled, sum(orders) AS orders FROM salesdrive.order_report GROUP BY 1) r"), 'cancelled 1, deleted 1, duplicate 1, none 6, rule 1',
	'refused, deleted, doubled, and by a rule of the shop; a return is none');

# ---- days

my $long = "INSERT INTO salesdrive.exchange_log (at, direction, account, infobase, purpose, class, ms_total)";
sql("$long SELECT salesdrive.clock() - n * interval '1 day', 'out', 'shop', 'main', 'read order', CASE n WHEN 3 THEN NULL ELSE 'ok' END, n FROM generate_series(1, 40) n");
is(sql("SELECT count(*) || ' ' || sum(exchanges) || ' ' || max(failures) FROM salesdrive.exchange_day WHERE target = 'main' AND purpose = 'read order' AND day < (salesdrive.clock() AT TIME ZONE current_setting('TimeZone'))::date"), '40 40 1',
	'each day of the log, with an exchange that has no class as a failure');
sub plan_of { my ($view) = @_; return sql("SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN (COSTS OFF) SELECT * FROM salesdrive.$view WHERE day > current_date - 7") }
like(plan_of('exchange_day'), qr/Filter: \(\(d\)::date > .*Index Cond: \(\(at >= \(d\.d AT TIME ZONE/s, 'of its history exchange_day reads no more than the days asked for');
like(plan_of('order_day'), qr/Filter: \(\(d\)::date > .*\(at >= \(d\.d AT TIME ZONE a\.time_zone/s, 'order_day too');
sql("UPDATE salesdrive.account SET time_zone = 'Pacific/Kiritimati'");    # a day before that of Kyiv
sql("INSERT INTO salesdrive.order_event (at, account, order_id, event) VALUES ('2026-11-20 09:59:59+00', 'shop', 1, 'parked'), ('2026-11-20 10:00:00+00', 'shop', 1, 'parked')");
is(sql("SELECT string_agg(day || ' ' || parked, ', ' ORDER BY day) FROM salesdrive.order_day WHERE day < '2026-11-22'"), '2026-11-20 1, 2026-11-21 1', 'a day of the shop ends at its midnight');
is(sql("SET timezone = 'Asia/Kolkata'; SELECT sum(exchanges) = (SELECT count(*) FROM salesdrive.exchange_log) AND bool_and(hour = date_trunc('hour', hour)) FROM salesdrive.exchange_stats"), 't', 'hours add up to all exchanges, also where a zone is half an hour off');
like(sql("SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN (COSTS OFF) SELECT * FROM salesdrive.exchange_stats WHERE hour > now() - interval '1 day'"), qr/Filter: \(hour > .*Index Cond: \(\(at >= d\.hour\)/s, 'and no more than those asked for are read');
sql("$long VALUES (salesdrive.clock(), 'out', 'shop', NULL, 'read order back', 'ok', 1)");
is(sql("SELECT string_agg(DISTINCT target, ' ') FROM salesdrive.exchange_stats WHERE purpose = 'read order back'"), 'account:shop', 'the API of an account is no infobase of this name');
is(sql("SET timezone = 'Pacific/Kiritimati'; SELECT sum(exchanges) = (SELECT count(*) FROM salesdrive.exchange_log) FROM salesdrive.exchange_day"), 't', 'a day of exchanges at that of the session');

# ---- stock and price of each product as exchanged last

$node = new_node('goods', preload => 0);
my $crm = start_peer('salesdrive');
my $shop = SalesDrive::Goods->new($node, crm => $crm, bas => $bas);
$shop->good(1, sku => 'CUP', name => 'Чашка', stock => 5, price => 100);
$shop->good(2, sku => 'CUP', name => 'Стара чашка', deleted => 1, stock => 70);
$shop->good(3, sku => 'POT', name => 'Горщик', stock => 2);
$shop->good(4, name => 'Ложка', stock => 9, price => 3);
$shop->stock(1, 4, warehouse => 9003);
$shop->sql("INSERT INTO salesdrive.product_pin (infobase, sku, product) VALUES ('main', 'SPOON', '" . $shop->key(4) . "');
	INSERT INTO salesdrive.account_goods (account, unmatched, stock_by, total_of, price_guard) VALUES ('shop', 'export', 'total', ARRAY['" . $shop->key(9001) . "'::uuid], 1);
	INSERT INTO salesdrive.account_price (account, role, price_type, name) VALUES ('shop', 'main', 'Роздрібна', NULL), ('shop', 'additional', 'Оптова', 'Опт')");
$shop->price(1, 80, type => 8002);
$shop->push($_) for qw(card stock price);
my $report = "SELECT string_agg(concat_ws(' ', r.sku, r.name, r.stock, trim_scale(r.price), r.currency, r.additional_prices #>> '{0,priceValue}', r.unsettled, 'now', salesdrive.stock_total(w.wanted)), ', ' ORDER BY r.sku) FROM salesdrive.good_report r LEFT JOIN salesdrive.wanted_goods('shop', 'stock') w ON w.product_id = r.product_id AND w.problem IS NULL";
is($shop->sql($report), 'CUP Чашка 5 100 UAH 80 now 5, POT Горщик 2 now 2, SPOON Ложка 9 3 UAH now 9', 'one row a product: of the warehouses that count, by pins, too');
$shop->good(1, sku => 'CUP', name => 'Чашка біла', price => 120);
$shop->stock(1, 3);
$shop->push('price');
is($shop->sql($report), 'CUP Чашка біла 5 120 UAH 80 now 3, POT Горщик 2 now 2, SPOON Ложка 9 3 UAH now 9', 'what was pushed last of each, under the name it had then, beside what the base has now');
$shop->config(bad_products => { CUP => 'Товар не прийнято' });
$shop->push('stock');
is($shop->sql("SELECT concat_ws(' ', stock, unsettled, stock_at < price_at) FROM salesdrive.good_report WHERE sku = 'CUP'"), '5 stock t', 'what SalesDrive refuses is named, and what it holds stays');
nothing_compiled($node, $_) for "SELECT * FROM salesdrive.unsent_good WHERE account = 'shop'", "SELECT * FROM salesdrive.wanted_goods('shop', 'stock')";

done_testing();
