# Lines of documents: kits kept or in parts, with their money to the kopeck; a line for delivery; VAT contained and on top; a product that stands for
# those BAS does not have; units and characteristics that are refused.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql);

my $node = new_node('lines', preload => 0);
my $bas = start_peer('bas');

sub run_engine { return sql("SET statement_timeout = '600 s'; CALL salesdrive.run()") }
sub status { my ($id, $column) = @_; return sql("SELECT $column FROM salesdrive.order_status WHERE account = 'shop' AND order_id = $id") }
sub state_of { my ($id) = @_; return status($id, "concat_ws(' ', state, reason)") }
sub option { my ($set) = @_; return sql("UPDATE salesdrive.account SET $set WHERE name = 'shop'") }
sub rows { my ($id) = @_; my $body = $node->safe_psql('postgres', "SELECT sent_body FROM salesdrive.bas_order WHERE account = 'shop' AND order_id = $id"); return $body eq '' ? () : @{ json_decode($body)->{'Запасы'} } }
sub brief { my ($id) = @_; return join ', ', map { "$_->{LineNumber}: $_->{'Количество'} x $_->{'Цена'} - $_->{'ПроцентСкидкиНаценки'}% = $_->{'Сумма'}" =~ s/(\.\d*?)0+(?!\d)/$1/gr =~ s/\.(?!\d)//gr } rows($id) }
sub total { my ($id) = @_; return 0 + sql("SELECT sent_body ->> 'СуммаДокумента' FROM salesdrive.bas_order WHERE account = 'shop' AND order_id = $id") }
sub deliver
{
	my ($id, $paid, $lines, %o) = @_;
	my $body = json_encode({ data => { id => $id, version => 1, orderTime => '2026-11-20 10:00:00', paymentAmount => $paid, contacts => [ { fName => 'Зразок', phone => '0671000001' } ],
		products => [ map { { productId => 1, text => 'Товар', amount => 1, price => $paid, discount => 0, percentDiscount => 0, %$_ } } @$lines ], %o } });
	utf8::decode($body);
	$body =~ s/'/''/g;
	return sql("SELECT salesdrive.accept_webhook('shop', '$body')");
}
sub deliver_and_run { deliver(@_); return run_engine() }
sub kit { my (%o) = @_; my $parts = delete $o{parts}; return { sku => 'KIT-1', isComplect => 1, complect => $parts, %o } }
sub part { my ($n, $count, %o) = @_; return { productId => 100 + $n, count => $count, sku => sprintf('SKU-%04d', $n), name => "Частина $n", %o } }

my $url = $bas->url('/base');
$bas->control(POST => '/load', { 'Catalog_Номенклатура' => [
	{ Ref_Key => '8c1f4a10-0001-11ee-8000-0000000000c1', 'Артикул' => 'KIT-1', Description => 'Набір', 'ТипНоменклатуры' => 'Запас',
		'ЕдиницаИзмерения_Key' => '8c1f4a10-00f3-11ee-8000-000000000001', 'СтавкаНДС_Key' => '8c1f4a10-00f2-11ee-8000-000000000001' },
	{ Ref_Key => '8c1f4a10-0001-11ee-8000-0000000000c2', 'Артикул' => 'SHIRT', Description => 'Сорочка', 'ТипНоменклатуры' => 'Запас', 'ИспользоватьХарактеристики' => JSON::PP::true(),
		'ЕдиницаИзмерения_Key' => '8c1f4a10-00f3-11ee-8000-000000000001', 'СтавкаНДС_Key' => '8c1f4a10-00f2-11ee-8000-000000000001' } ] });
sql("SELECT salesdrive.add_infobase('main', 'unf', '$url', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters')");

# ---- kits

my @kit = (kit(amount => 2, price => 50, parts => [ part(1, 1), part(2, 2) ]), { sku => 'SKU-0003', amount => 1, price => 7 });
deliver_and_run(1, 107, \@kit);
is(brief(1), '1: 2 x 50 - 0% = 100, 2: 1 x 7 - 0% = 7', 'a kit is one line');
option("kits = 'explode'");
deliver_and_run(2, 107, \@kit);
is(brief(2), '1: 2 x 16.67 - 0% = 33.33, 2: 4 x 16.67 - 0% = 66.67, 3: 1 x 7 - 0% = 7', 'or a line for each part, in its place, the sum spread by number');
deliver_and_run(3, 90, [ kit(price => 100, discount => 10, percentDiscount => 1, parts => [ part(1, 1, price => 30), part(2, 1, price => 90) ]) ]);
is(brief(3), '1: 1 x 25 - 10% = 22.5, 2: 1 x 75 - 10% = 67.5', 'by price where all parts have one; the discount of the kit is that of its parts');
deliver_and_run(4, 0.02, [ kit(price => 0.02, parts => [ part(1, 1), part(2, 1), part(3, 1) ]) ]);
is(brief(4), '1: 1 x 0.01 - 0% = 0.01, 2: 1 x 0.01 - 0% = 0.01, 3: 1 x 0 - 0% = 0', 'fewer kopecks than parts');
deliver(5, 10, [ kit(price => 10, parts => []) ]);
deliver(6, 10, [ kit(price => 10, parts => [ part(1, 1), part(2, 'кілька') ]) ]);
deliver(7, 10, [ kit(price => 10, parts => [ part(1, 1), { name => 'Без артикула', count => 1 } ]) ]);
deliver(8, 11, [ kit(price => 10, parts => [ part(1, 1) ]) ]);
run_engine();
is(state_of(5), 'parked kit', 'a kit without parts is parked');
is(state_of(6), 'parked kit', 'as is one whose parts cannot be counted');
like(status(6, 'detail'), qr/^Line 1, SKU "KIT-1".*parts cannot be read/, 'and named');
is(state_of(7), 'parked product_no_sku', 'a part without SKU');
is(state_of(8), 'parked sum', 'the sum of the order is checked before');
option("kits = 'keep'");
run_engine();
is(state_of(5) . ' ' . state_of(6), 'synced synced', 'kept whole they go on');
option("kits = 'explode'");
# the list of orders does not carry the parts
deliver(9, 30, [ kit(productId => 5, price => 30, parts => [ part(1, 1), part(2, 1) ]) ]);
{
	my $row = json_encode({ status => 'success', data => [ { id => 9, version => 2, orderTime => '2026-11-20 10:00:00', paymentAmount => 40, primaryContact => { fName => 'Зразок', phone => '0671000001' },
		products => [ { productId => 5, sku => 'KIT-1', isComplect => 1, amount => 1, price => 40, discount => 0, percentDiscount => 0 } ] } ] });
	utf8::decode($row);
	sql("SELECT salesdrive.accept_webhook('shop', '$row')");
}
run_engine();
is(brief(9), '1: 1 x 20 - 0% = 20, 2: 1 x 20 - 0% = 20', 'so they are taken from another delivery');

# the sum of the parts is that of the kit, whatever the numbers
sql("SET search_path = salesdrive; SELECT setseed(0.42); CREATE TABLE public.spread AS
	SELECT n, round((random() * 10 ^ (n % 7))::numeric, 2) AS total, ARRAY(SELECT (1 + floor(random() * 20))::numeric / CASE WHEN n % 5 = 0 THEN 8 ELSE 1 END FROM generate_series(1, 1 + n % 9) g WHERE n > 0) AS weights FROM generate_series(1, 3000) n");
is(sql("SET search_path = salesdrive; SELECT count(*) FROM public.spread s CROSS JOIN LATERAL (SELECT sum(p) AS sum, bool_and(p = round(p, 2) AND p >= 0) AS proper, count(*) AS n,
	max(abs(p - s.total * w / (SELECT sum(x) FROM unnest(s.weights) x))) AS off FROM ROWS FROM (unnest(spread_kopecks(s.total, s.weights)), unnest(s.weights)) u (p, w)) c
	WHERE c.sum <> s.total OR NOT c.proper OR c.n <> cardinality(s.weights) OR c.off >= 0.01"), 0, 'spread_kopecks(): whole, to the kopeck, never a kopeck off its share');
my $orders = 60;
for my $n (1 .. $orders)
{
	srand(1000 + $n);
	my (@lines, $paid);
	for my $l (1 .. 1 + $n % 3)
	{
		my ($amount, $price, $percent) = (1 + int rand 4, int(rand 100_000) / 100, $n % 2 ? 0 : int rand 30);
		push @lines, kit(productId => $l, amount => $amount, price => $price, discount => $percent, percentDiscount => 1, parts => [ map { part(1 + int rand 50, 1 + int rand 6) } 1 .. 1 + int rand 5 ]);
		$paid += sprintf('%.0f', $amount * $price * (100 - $percent) + 1e-6);
	}
	deliver(1000 + $n, sprintf('%.2f', $paid / 100), \@lines);
}
run_engine();
is(sql("SELECT count(*) FROM salesdrive.order_status WHERE order_id BETWEEN 1001 AND 1099 AND state = 'synced'"), $orders, 'orders of kits, prices and discounts of all sorts');
is(sql("SELECT count(*) FROM salesdrive.bas_order b JOIN salesdrive.crm_order o USING (account, order_id)
	CROSS JOIN LATERAL (SELECT sum((r ->> 'Всего')::numeric) AS total, sum((r ->> 'Сумма')::numeric) AS sum FROM jsonb_array_elements(b.sent_body -> 'Запасы') r) r
	WHERE o.order_id BETWEEN 1001 AND 1099 AND (r.total <> o.payment_amount OR r.sum <> o.payment_amount OR (b.sent_body ->> 'СуммаДокумента')::numeric <> o.payment_amount)"), 0, 'each document has the sum of its order');
my $told = $bas->control(GET => '/state')->{violations};
is_deeply([ grep { $_->{kind} ne 'row_sum' } @$told ], [], 'and the base finds nothing wrong with VAT and sums');
option("kits = 'keep'");

# ---- delivery

deliver_and_run(20, 100, [ { sku => 'SKU-0001' } ], shipping_costs => 55.83);
is(brief(20) . ' ' . total(20), '1: 1 x 100 - 0% = 100 100', 'shipping_costs are no part of the sum');
option("delivery_sku = 'SKU-9004', delivery_line = 'charged'");
deliver(21, 100, [ { sku => 'SKU-0001' } ], shipping_costs => 55.83);
deliver(22, 100, [ { sku => 'SKU-0001' } ], shipping_costs => 0);
deliver(23, 100, [ { sku => 'SKU-0001' } ], shipping_costs => -5);
run_engine();
is(brief(21) . ' ' . total(21), '1: 1 x 100 - 0% = 100, 2: 1 x 55.83 - 0% = 55.83 155.83', 'charged: a line on top of paymentAmount');
is((rows(21))[1]{'ТипНоменклатурыЗапас'}, JSON::PP::false(), 'of a service');
is(brief($_), '1: 1 x 100 - 0% = 100', 'no cost, no line') for 22, 23;
option("delivery_line = 'shown'");
deliver_and_run(24, 100, [ { sku => 'SKU-0001' } ], shipping_costs => '55.83');
is(brief(24) . ' ' . total(24), '1: 1 x 100 - 0% = 100, 2: 1 x 55.83 - 100% = 0 100', 'shown: the sum stays');
deliver_and_run(25, 99, [ { sku => 'SKU-0001', price => 100 } ], shipping_costs => 1);
is(state_of(25), 'parked sum', 'delivery does not help lines that do not add up');
like(status(25, 'detail'), qr/add up to 100\.00, paymentAmount is 99/, 'nor count in the sentence');
deliver_and_run(27, 'x', [ { sku => 'SKU-0001', price => 100 } ], shipping_costs => 1);
is(state_of(27), 'parked sum', 'nor where paymentAmount is no number');
deliver_and_run(28, 89.995, [ { sku => 'SKU-0001', price => 100, discount => 10, percentDiscount => 1 } ], shipping_costs => 1);
is(state_of(28), 'parked sum', 'nor where it is no whole number of kopecks');
option("delivery_line = 'charged', delivery_sku = 'NO-SUCH'");
deliver_and_run(26, 100, [ { sku => 'SKU-0001' } ], shipping_costs => 10);
is(state_of(26), 'parked product_unknown', 'a product for delivery that is not there parks the order');
like(status(26, 'detail'), qr/^The line for delivery, SKU "NO-SUCH", /, 'and says which line');
option("delivery_sku = 'SKU-9004'");
run_engine();
is(state_of(26), 'synced', 'until the setting is right');
option("delivery_line = 'none'");

# ---- VAT in both senses

for my $included (1, 0)
{
	my $from = $included ? 2000 : 3000;
	option('vat_included = ' . ($included ? 'true' : 'false'));
	for my $n (1 .. 40)
	{
		srand($n);
		my (@lines, $paid);
		for my $l (1 .. 1 + $n % 4)
		{
			my ($amount, $price) = (1 + int rand 5, int(rand 50_000) / 100);
			push @lines, { sku => sprintf('SKU-%04d', 1 + int rand 59), amount => $amount, price => $price };
			$paid += sprintf('%.0f', $amount * $price * 100);
		}
		deliver($from + $n, sprintf('%.2f', $paid / 100), \@lines);
	}
	run_engine();
	is(sql("SELECT count(*) FROM salesdrive.order_status WHERE order_id BETWEEN $from AND $from + 99 AND state = 'synced'"), 40, $included ? 'prices with VAT' : 'prices without VAT');
	is(sql("SELECT count(*) FROM salesdrive.bas_order b JOIN salesdrive.crm_order o USING (account, order_id)
		CROSS JOIN LATERAL (SELECT sum((r ->> 'Всего')::numeric) AS total, sum((r ->> 'СуммаНДС')::numeric) AS vat,
			bool_and((r ->> 'Всего')::numeric = (r ->> 'Сумма')::numeric + CASE WHEN @{[ $included ? 'true' : 'false' ]} THEN 0 ELSE (r ->> 'СуммаНДС')::numeric END) AS rows FROM jsonb_array_elements(b.sent_body -> 'Запасы') r) r
		WHERE o.order_id BETWEEN $from AND $from + 99 AND (NOT r.rows OR r.total <> (b.sent_body ->> 'СуммаДокумента')::numeric OR r.total - CASE WHEN @{[ $included ? 'true' : 'false' ]} THEN 0 ELSE r.vat END <> o.payment_amount)"), 0,
		$included ? 'the documents come to paymentAmount, VAT contained' : 'the documents come to paymentAmount and VAT on top');
	is(sql("SELECT bool_and((sent_body ->> 'СуммаВключаетНДС')::boolean = @{[ $included ? 'true' : 'false' ]}) FROM salesdrive.bas_order WHERE order_id BETWEEN $from AND $from + 99"), 't', 'and say so');
}
option('vat_included = true');
is_deeply([ grep { $_->{kind} =~ /vat|total|document_sum/ } @{ $bas->control(GET => '/state')->{violations} } ], [], 'the base agrees');

# ---- unknown SKUs

option("unknown_sku = 'substitute', substitute_sku = 'SKU-0005'");
deliver(40, 30, [ { sku => 'GONE-1', text => 'Зникле', price => 10 }, { sku => 'SKU-0001', price => 10 }, { sku => '', text => 'Без коду', price => 10 } ]);
deliver(41, 10, [ { sku => 'SKU-9001', price => 10 } ]);
run_engine();
is(state_of(40), 'synced', 'another product stands for those that BAS does not have');
is(join(', ', map { ($_->{'Номенклатура_Key'} =~ /(\d+)$/)[0] + 0 } rows(40)), '5, 1, 5', 'only for those');
is(join('|', map { $_->{'Содержание'} // '' } rows(40)), 'GONE-1, Зникле||Без коду', 'and the line tells what was ordered');
is(state_of(41), 'parked product_several', 'an article that is there twice is no unknown one');
option("substitute_sku = 'GONE-2'");
deliver_and_run(42, 10, [ { sku => 'GONE-1', price => 10 } ]);
is(state_of(42), 'parked product_unknown', 'the substitute must be there itself');
like(status(42, 'detail'), qr/SKU "GONE-2"/, 'and is named');
option("substitute_sku = 'SKU-0005'");
run_engine();
is(state_of(42), 'synced', 'a changed setting lets it go on');
# made after a template, once
my $folder = '8c1f4a10-0001-11ee-8000-000000009003';
$bas->control(POST => '/load', { 'Catalog_Номенклатура' => [ { Ref_Key => '8c1f4a10-0001-11ee-8000-0000000000e1', 'Артикул' => 'TEMPLATE', Description => 'Зразок товару', 'ТипНоменклатуры' => 'Запас', Parent_Key => $folder,
	'ЕдиницаИзмерения_Key' => '8c1f4a10-00f3-11ee-8000-000000000002', 'СтавкаНДС_Key' => '8c1f4a10-00f2-11ee-8000-000000000002' } ] });
sub goods { my ($article) = @_; return grep { $_->{'Артикул'} eq $article } @{ $bas->control(GET => '/objects?set=Catalog_%D0%9D%D0%BE%D0%BC%D0%B5%D0%BD%D0%BA%D0%BB%D0%B0%D1%82%D1%83%D1%80%D0%B0')->{value} } }
sub asked { my ($sku) = @_; return sql("SELECT string_agg(purpose, ', ' ORDER BY id) FROM salesdrive.exchange_log WHERE kind = 'product' AND key = '$sku' AND direction = 'out'") }
option("unknown_sku = 'create', template_sku = 'TEMPLATE', substitute_sku = NULL");
deliver($_, 30, [ { sku => 'NEW-1', text => 'Новий товар', price => 10 }, { sku => 'SKU-0001', price => 10 }, { sku => 'NEW-2', text => 'Ще один', price => 10 } ]) for 60 .. 63;
run_engine();
is(state_of($_), 'synced', "create: order $_ has its products made") for 60 .. 63;
my @made = goods('NEW-1');
is(scalar @made, 1, 'one of each');
is(join(' ', map { $made[0]{$_} } qw(Description Parent_Key)) . ' ' . $made[0]{'ЕдиницаИзмерения_Key'} . ' ' . $made[0]{'СтавкаНДС_Key'},
	"Новий товар $folder 8c1f4a10-00f3-11ee-8000-000000000002 8c1f4a10-00f2-11ee-8000-000000000002", 'with a name of its own, and the rest of the template');
is($made[0]{Ref_Key}, sql("SELECT salesdrive.product_ref_key('NEW-1')"), 'under a key computed here');
is(asked('NEW-1'), 'find product, create product', 'searched for before');
deliver_and_run(64, 10, [ { sku => 'NEW-1', price => 10 } ]);
is(asked('NEW-1'), 'find product, create product', 'known afterwards');
sql("UPDATE salesdrive.infobase SET retry_base = '1 ms', retry_cap = '2 ms', unsure_margin = '0', total_timeout = '2 s', circuit_after = 1000");
$bas->control(POST => '/faults', { method => 'POST', path => 'Catalog_', action => 'reset_after', times => 1 });
deliver(65, 10, [ { sku => 'NEW-3', text => 'Без відповіді', price => 10 } ]);
ok(wait_for('the end', sub { run_engine(); state_of(65) eq 'synced' }), 'a creation without an answer');
is(scalar(goods('NEW-3')), 1, 'is found, not repeated');
$bas->control(POST => '/faults', { method => 'POST', path => 'Catalog_', action => 'reset_before', times => 1 });
deliver(66, 10, [ { sku => 'NEW-4', text => 'Не дійшло', price => 10 } ]);
ok(wait_for('the end', sub { run_engine(); state_of(66) eq 'synced' }), 'one that did not arrive');
is(scalar(goods('NEW-4')), 1, 'is made once');
$bas->control(POST => '/load', { 'Catalog_Номенклатура' => [ { Ref_Key => '8c1f4a10-0001-11ee-8000-0000000000e5', 'Артикул' => 'NEW-5', Description => 'Встигли', 'ТипНоменклатуры' => 'Запас',
	'ЕдиницаИзмерения_Key' => '8c1f4a10-00f3-11ee-8000-000000000001', 'СтавкаНДС_Key' => '8c1f4a10-00f2-11ee-8000-000000000001' } ] });
sql("INSERT INTO salesdrive.bas_product (infobase, sku, state, checked_at) VALUES ('main', 'NEW-5', 'absent', now())");
deliver_and_run(67, 10, [ { sku => 'NEW-5', price => 10 } ]);
is(state_of(67) . ' ' . asked('NEW-5'), 'synced find product', 'one that a user has made meanwhile is taken');
deliver(68, 10, [ { sku => 'SKU-9002', price => 10 } ]);
deliver(69, 10, [ { sku => 'X' x 30, price => 10 } ]);
run_engine();
is(state_of(68), 'parked product_unknown', 'an article that is there, marked for deletion, is not made again');
is(state_of(69), 'parked product_unknown', 'nor one longer than an article');
option("template_sku = 'NO-TEMPLATE'");
deliver_and_run(70, 10, [ { sku => 'NEW-6', price => 10 } ]);
is(state_of(70), 'parked product_unknown', 'without its template nothing is made');
like(status(70, 'detail'), qr/"NO-TEMPLATE"/, 'and that is named');
option("template_sku = 'TEMPLATE'");
run_engine();
is(state_of(70), 'synced', 'until it is there');
$bas->control(POST => '/config', { refuse => { 'create Catalog_Номенклатура' => 'Не дозволено' } });
deliver(71, 10, [ { sku => 'NEW-7', price => 10 } ]);
ok(wait_for('the end', sub { run_engine(); state_of(71) =~ /^parked/ }), 'a creation that BAS refuses');
is(state_of(71), 'parked business', 'parks the order, too');
like(status(71, 'detail'), qr/Не дозволено/, 'with the words of the server');
$bas->control(POST => '/config', { refuse => {} });
sql("SELECT salesdrive.resume('shop', 71)");
ok(wait_for('the end', sub { run_engine(); state_of(71) eq 'synced' }), 'resume() goes on');
option("unknown_sku = 'park'");

# ---- units and characteristics

my $product = '8c1f4a10-0001-11ee-8000-000000000002';
sql("INSERT INTO salesdrive.product_pin (infobase, sku, product, unit) VALUES ('main', 'PACK', '$product', '8c1f4a10-00f3-11ee-8000-0000000000ff')");
deliver_and_run(50, 10, [ { sku => 'PACK', price => 10 } ]);
is(state_of(50), 'parked product_unit', 'a unit that the base does not have is refused');
like(status(50, 'detail'), qr/unit 8c1f4a10-00f3-11ee-8000-0000000000ff is not in the list of units/, 'and named');
sql("UPDATE salesdrive.product_pin SET unit = '8c1f4a10-00f3-11ee-8000-000000000002' WHERE sku = 'PACK'");
run_engine();
is(state_of(50), 'synced', 'a known one is taken');
is((rows(50))[0]{'ЕдиницаИзмерения'}, '8c1f4a10-00f3-11ee-8000-000000000002', 'from the pin');
deliver_and_run(51, 10, [ { sku => 'SHIRT', price => 10 } ]);
is(state_of(51), 'synced', 'a characteristic may be missing');
option("characteristics = 'required'");
deliver_and_run(52, 10, [ { sku => 'SHIRT', price => 10 } ]);
is(state_of(52), 'parked product_characteristic', 'unless the account requires one');
deliver_and_run(53, 10, [ { sku => 'SKU-0001', price => 10 } ]);
is(state_of(53), 'synced', 'of products that have them');
sql("INSERT INTO salesdrive.product_pin (infobase, sku, product, characteristic) VALUES ('main', 'SHIRT', '8c1f4a10-0001-11ee-8000-0000000000c2', '8c1f4a10-00c9-11ee-8000-000000000001')");
run_engine();
is(state_of(52), 'synced', 'a pin says which');
is((rows(52))[0]{'Характеристика_Key'}, '8c1f4a10-00c9-11ee-8000-000000000001', 'and it is sent');

done_testing();
