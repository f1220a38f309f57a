# Cards of goods from BAS in SalesDrive: categories first and in their order, only fields that BAS owns, new cards by setting, ids kept by SKU, kits,
# characteristics; what is refused, and what is not clear.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Goods;
use SalesDrive::Test;

my $node = new_node('push_products', preload => 0);
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive', '--config', '{"absent_fields": "cleared"}');
my $shop = SalesDrive::Goods->new($node, crm => $crm, bas => $bas);
sub categories { return $crm->control(GET => '/products')->{categories} }

$shop->sql("INSERT INTO salesdrive.account_goods (account) VALUES ('shop')");
$crm->control(POST => '/products', { products => { 'old-1' => { name => 'Стара назва', sku => 'CUP', costPerItem => 50, description => 'Написано менеджером', barcode => '482', stockBalance => 4 } }, categories => { 3 => { name => 'Своє', parentId => undef } } });
$shop->good(901, is_folder => 1, name => 'Посуд');
$shop->good(902, is_folder => 1, name => 'Чашки', folder => 901);
$shop->good(903, is_folder => 1, name => 'Порожня', folder => 901);
$shop->good(904, is_folder => 1, name => 'Коло А', folder => 905);
$shop->good(905, is_folder => 1, name => 'Коло Б', folder => 904);
$shop->good(1, sku => 'CUP', name => 'Чашка', folder => 902, data => '{"Описание": "Біла", "Вес": 0.35, "ДополнительныеСведения": {"Штрихкод": "4820000000017"}}');
$shop->good(2, sku => 'MUG', name => 'Кухоль', folder => 902, data => '{"Описание": null}');
$shop->good(3, sku => 'RING', name => 'Кільце', folder => 904);
$shop->good(4, sku => 'BOX', name => 'Набір', folder => 901);
$shop->good(5, name => 'Без артикула');
$shop->sql("INSERT INTO salesdrive.crm_product (account, product_id, sku, known_from) VALUES ('shop', 'old-1', 'CUP', 'order')");

# ---- known cards alone

$shop->push('card');
is($shop->run('card'), 'done 1 1 0', 'unmatched goods are only listed');
is($shop->unsent, 'card Без артикула no_sku, card BOX unknown, card MUG unknown, card RING unknown', 'with the reason');
is_deeply(categories(), { 3 => { name => 'Своє', parentId => undef }, 1000001 => { name => 'Посуд', parentId => undef }, 1000002 => { name => 'Чашки', parentId => 1000001 } }, 'categories of goods that are sent, the tree kept, those of the account untouched');
is_deeply($shop->card('old-1'), { name => 'Чашка', sku => 'CUP', category => 1000002, costPerItem => 50, description => 'Написано менеджером', barcode => '482', stockBalance => 4 }, 'fields that BAS owns, under the id that SalesDrive has; those of the manager stay');
is($shop->requests . ' ' . $shop->requests('category'), '1 1', 'one request, and one of categories');

# ---- new cards

$shop->sql("UPDATE salesdrive.account_goods SET unmatched = 'export'");
$shop->push('card');
is($shop->run('card'), 'done 3 3 0', 'exported where asked for');
is(join(' ', sort keys %{ $shop->cards }), 'BOX MUG RING old-1', 'under their SKU');
is_deeply($shop->card('RING'), { name => 'Кільце', sku => 'RING' }, 'a folder within itself is no category');
is($shop->sql("SELECT string_agg(product_id || ' ' || known_from, ', ' ORDER BY product_id) FROM salesdrive.crm_product"), 'BOX push, MUG push, RING push, old-1 order', 'the ids are kept');
is($shop->sql("SELECT count(*) FROM salesdrive.crm_product WHERE product IS NOT NULL"), 4, 'with the good that each is');
$shop->push('card');
is($shop->run('card') . ' ' . $shop->requests . ' ' . $shop->requests('category'), 'done 0 0 0 2 1', 'pushed again: nothing is sent');

# ---- changes

$shop->good(1, sku => 'CUP-2', name => 'Чашка біла', folder => 901, data => '{"Описание": "Біла", "Вес": 0.35, "ДополнительныеСведения": {"Штрихкод": "4820000000017"}}');
$shop->push('card');
is_deeply([ @{ $shop->card('old-1') }{qw(name sku category)} ], [ 'Чашка біла', 'CUP-2', 1000001 ], 'name, article and folder changed in BAS: the same card');
is($shop->run('card'), 'done 1 1 0', 'it alone');
$shop->sql("UPDATE salesdrive.bas_good SET name = 'Посуд і скло' WHERE ref_key = '" . $shop->key(901) . "'; UPDATE salesdrive.bas_good SET folder = '" . $shop->key(902) . "', name = 'Кружки' WHERE ref_key = '" . $shop->key(903) . "'; UPDATE salesdrive.bas_good SET folder = '" . $shop->key(903) . "' WHERE ref_key = '" . $shop->key(2) . "'");
$shop->push('card');
is_deeply([ map { [ @{ categories()->{$_} }{qw(name parentId)} ] } 1000001 .. 1000003 ], [ [ 'Посуд і скло', undef ], [ 'Чашки', 1000001 ], [ 'Кружки', 1000002 ] ], 'a folder renamed, and one moved');
is($shop->card('MUG')->{category}, 1000003, 'with its goods');
# a manager changes the card
$crm->control(POST => '/products', { products => { MUG => { %{ $shop->card('MUG') }, description => 'Від руки', name => 'Інша' } } });
$shop->push('card');
is($shop->card('MUG')->{name}, 'Інша', 'what is edited there is not overwritten as long as BAS says the same');
$shop->sql("SELECT salesdrive.push_again('shop', 'card', 'MUG')");
$shop->push('card');
is("@{ $shop->card('MUG') }{qw(name description)}", 'Кухоль Від руки', 'unless asked for; and never what BAS does not own');

# ---- which fields

like($shop->error_of("INSERT INTO salesdrive.card_field VALUES ('shop', 'price', 'Цена')"), qr/card_field_field_check/, 'a field that SalesDrive does not have cannot be mapped');
$shop->sql("INSERT INTO salesdrive.card_field VALUES ('shop', 'description', 'Описание'), ('shop', 'weight', 'Вес'), ('shop', 'barcode', 'ДополнительныеСведения,Штрихкод'), ('shop', 'nameForDocuments', 'name')");
like($shop->sql("SELECT string_agg(problem || hint, ' ') FROM salesdrive.check('shop')"), qr/card_field names property "Описание" of goods, which is not read from the base\..*INSERT INTO salesdrive\.profile_property/, 'check() names properties that are not read');
$shop->push('card');
is($shop->task('card') . ' ' . ($shop->card('MUG')->{description} // 'none'), 'parked setting Від руки', 'and a push waits for them: nothing is blanked');
$shop->sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('unf', 'product', 'comment', 'Описание'), ('unf', 'product', 'weight', 'Вес'), ('unf', 'product', 'more', 'ДополнительныеСведения')");
$shop->push('card');
is_deeply([ @{ $shop->card('old-1') }{qw(description weight barcode nameForDocuments costPerItem)} ], [ 'Біла', 0.35, '4820000000017', 'Чашка біла', 50 ], 'mapped fields');
is($shop->card('MUG')->{description}, '', 'blank where BAS has nothing');
$shop->sql("DELETE FROM salesdrive.card_field; UPDATE salesdrive.account_goods SET owns = '{category}'");
$shop->good(1, sku => 'CUP-2', name => 'Ще інакше', folder => 902);
$shop->push('card');
is_deeply([ @{ $shop->card('old-1') }{qw(name sku category description)} ], [ 'Чашка біла', 'CUP-2', 1000002, 'Біла' ], 'groups switched off are left alone');
$shop->sql("UPDATE salesdrive.account_goods SET owns = '{name,sku,category,set}', cost = 'card'; INSERT INTO salesdrive.bas_cost (infobase, product, cost, read_at) VALUES ('main', '" . $shop->key(1) . "', 20.05, now())");

# ---- kits

$shop->sql("INSERT INTO salesdrive.bas_kit_part (infobase, kit, line_no, product, quantity, read_at) VALUES ('main', '" . $shop->key(4) . "', 1, '" . $shop->key(1) . "', 2, now()), ('main', '" . $shop->key(4) . "', 2, '" . $shop->key(2) . "', 1.000, now()), ('main', '" . $shop->key(4) . "', 3, '" . $shop->key(1) . "', 1, now())");
$shop->push('card');
is_deeply($shop->card('BOX')->{set}, [ { id => 'MUG', quantity => 1 }, { id => 'old-1', quantity => 3 } ], 'a kit as a set, by the ids of its parts');
is("@{ $shop->card('old-1') }{qw(name expenses currencyExpenses)}", 'Ще інакше 20.05 UAH', 'cost with the card, where asked for');
$shop->good(6, sku => 'Z-PART', name => 'Частина');
$shop->sql("INSERT INTO salesdrive.bas_kit_part (infobase, kit, line_no, product, quantity, read_at) VALUES ('main', '" . $shop->key(4) . "', 4, '" . $shop->key(6) . "', 1, now())");
$shop->push('card');
is(scalar @{ $shop->card('BOX')->{set} }, 3, 'a new part goes with its kit') or diag($shop->ignored);
$shop->sql("INSERT INTO salesdrive.bas_kit_part (infobase, kit, line_no, product, quantity, read_at) VALUES ('main', '" . $shop->key(4) . "', 5, '" . $shop->key(5) . "', 1, now())");
$shop->push('card');
like($shop->unsent, qr/card BOX kit_part/, 'a kit with a part that cannot be sent is listed');
is($shop->slices_differ, '', 'the same of each kit and part alone');
$shop->sql("DELETE FROM salesdrive.bas_kit_part WHERE line_no = 5");
$shop->stock(4, 9);
$shop->stock(1, 3);
$shop->sql("UPDATE salesdrive.account_goods SET stock_by = 'total'");
$shop->push('stock');
is($shop->card('old-1')->{stockBalance} . ' ' . ($shop->card('BOX')->{stockBalance} // 'none'), '3 none', 'stock of the parts, none of the kit');

# ---- characteristics

$shop->sql("INSERT INTO salesdrive.bas_characteristic (infobase, ref_key, product, name, read_at) SELECT 'main', c::uuid, '" . $shop->key(2) . "', n, now() FROM (VALUES ('" . $shop->key(501) . "', 'синій'), ('" . $shop->key(502) . "', 'зелений')) v (c, n);
	UPDATE salesdrive.account_goods SET characteristics = 'products'; INSERT INTO salesdrive.product_pin (infobase, sku, product, characteristic) VALUES ('main', 'MUG-BLUE', '" . $shop->key(2) . "', '" . $shop->key(501) . "')");
$shop->stock(2, 5, characteristic => 501);
$shop->stock(2, 6, characteristic => 502);
$shop->push('card');
is_deeply([ @{ $shop->card('MUG-BLUE') }{qw(name sku parentProductId)} ], [ 'Кухоль, синій', 'MUG-BLUE', 'MUG' ], 'a characteristic with an SKU is a product under its good');
$shop->push('stock');
is($shop->card('MUG-BLUE')->{stockBalance} . ' ' . $shop->card('MUG')->{stockBalance}, '5 0', 'with its own stock');
like($shop->unsent, qr/stock Кухоль, зелений characteristic_unpinned/, 'one without an SKU is listed');
is($shop->slices_differ, '', 'the same of each good alone');
$shop->sql("UPDATE salesdrive.account_goods SET characteristics = 'sum'");
$shop->push('stock');
is($shop->card('MUG')->{stockBalance}, 11, 'or all together');

# ---- ids

$shop->sql("UPDATE salesdrive.account_goods SET product_id = 'code'");
$shop->good(7, sku => 'BY-CODE', code => 'C-7');
$shop->good(8, sku => 'NO-CODE', code => ' ');
$shop->good(9, sku => 'SAME', code => 'old-1');
$shop->push('card');
is(join(' ', grep { /^(C-7|BY-CODE|NO-CODE|SAME)$/ } sort keys %{ $shop->cards }), 'C-7', 'new cards under the code');
is(join(', ', grep { /(NO-CODE|SAME) / } split /, /, $shop->unsent), 'card SAME id_taken, card NO-CODE no_code', 'not without one, and never over another card');
is($shop->card('old-1')->{sku}, 'CUP-2', 'which is as it was');
$shop->push('stock');
is($shop->sql("SELECT string_agg(subject || ': ' || problem, '|') FROM salesdrive.check('shop') WHERE problem LIKE '%are not sent.'"), 'push card, stock: 3 goods are not sent.', 'check() counts the same goods once, not once for each push');
$shop->sql("INSERT INTO salesdrive.product_pin (infobase, sku, product) VALUES ('main', 'C-12', '" . $shop->key(6) . "')");
$shop->good(11, sku => 'TWIN-1', code => 'C-12');
$shop->good(12, sku => 'TWIN-2', code => 'C-12 ');
$shop->good(13, sku => 'Twin-2', code => 'C-13');
$shop->good(14, sku => 'TWIN-4', code => 'C-14');
$shop->good(15, sku => 'TWIN-5', code => 'C-14');
is(join(', ', sort grep { /TWIN/i } split /, /, $shop->unsent), 'card TWIN-2 sku_twice, card TWIN-4 id_twice, card TWIN-5 id_twice, card Twin-2 sku_twice', 'goods that would have the same card');
is($shop->slices_differ, '', 'the same of each good alone');
$shop->sql("DELETE FROM salesdrive.bas_good WHERE sku LIKE 'TWIN%' OR sku = 'Twin-2'; DELETE FROM salesdrive.product_pin WHERE sku = 'C-12'");
$shop->sql("UPDATE salesdrive.account_goods SET product_id = 'ref_key'; DELETE FROM salesdrive.bas_good WHERE sku IN ('SAME', 'NO-CODE')");
$shop->good(10, sku => 'BY-REF');
$shop->push('card');
is($shop->card($shop->key(10))->{sku}, 'BY-REF', 'or under the Ref_Key');
$shop->sql("UPDATE salesdrive.account_goods SET characteristics = 'products'; INSERT INTO salesdrive.product_pin (infobase, sku, product, characteristic) VALUES ('main', 'SHARED-1', '" . $shop->key(7) . "', '" . $shop->key(502) . "'), ('main', 'SHARED-2', '" . $shop->key(10) . "', '" . $shop->key(502) . "')");
like($shop->unsent, qr/card SHARED-1 id_twice, card SHARED-2 id_twice/, 'a characteristic that two goods share is no id');
is($shop->slices_differ, '', 'the same of each good alone');
$shop->sql("UPDATE salesdrive.account_goods SET characteristics = 'sum'; DELETE FROM salesdrive.product_pin WHERE sku LIKE 'SHARED%'");

# ---- an order: what comes back is known

$shop->sql(q(SELECT salesdrive.accept_webhook('shop', '{"data": {"id": 1, "version": 1, "orderTime": "2026-11-20 14:46:24", "updateAt": "2026-11-20 14:46:31", "paymentAmount": 1, "products": [{"productId": 77, "parameter": "C-7", "sku": "BY-CODE", "text": "x", "amount": 1, "price": 1, "discount": 0, "percentDiscount": 0}]}}')));
$shop->sql('SELECT salesdrive.ingest(10)');
$shop->push('card');
is($shop->sql("SELECT crm_id || ' ' || known_from FROM salesdrive.crm_product WHERE product_id = 'C-7'"), '77 push', 'the number of a card that was made here');
is($shop->run('card', 'changed'), 0, 'changes nothing');

# ---- refused

$shop->config(bad_categories => { 1000002 => 'Категорію заборонено' }, product_refusal => '400');
$shop->sql("UPDATE salesdrive.bas_good SET name = name || '!' WHERE is_folder");
$shop->push('card');
is($shop->run('card', 'state'), 'done', 'a category refused does not hold up the others');
is($shop->sql("SELECT string_agg(concat_ws(' ', number, state, detail), ', ' ORDER BY number) FROM salesdrive.category_sync WHERE number > 1000001"), '1000002 refused Категорію заборонено, 1000003 accepted', 'it is kept with the words');
is(categories()->{1000001}{name}, 'Посуд і скло!', 'they are taken');
my $before = $shop->requests('category');
$shop->push('card');
is($shop->requests('category') - $before, 0, 'it is not sent again by itself');
$shop->config(bad_categories => {});
$shop->sql("SELECT salesdrive.push_again('shop', 'card')");
$shop->push('card');
is(categories()->{1000002}{name}, 'Чашки!', 'unless asked for');
$crm->control(POST => '/faults', { path => 'POST /category-handler/', action => 'reset_after', times => 1 });
$shop->sql("UPDATE salesdrive.bas_good SET name = 'Знову' WHERE ref_key = '" . $shop->key(901) . "'");
$before = $shop->requests('category');
$shop->push('card');
is($shop->task('card'), 'ready unsure', 'categories without an answer');
$shop->later(5);
$shop->run_engine;
is($shop->run('card', 'state') . ' ' . ($shop->requests('category') - $before), 'done 2', 'are sent again');

# ---- an old account takes the key in the body alone

$shop->config(key_headers => 'none');
$shop->sql("UPDATE salesdrive.account_api SET key_in_body = true; UPDATE salesdrive.bas_good SET name = 'З ключем у тілі' WHERE sku = 'RING'");
$shop->push('card');
is($shop->card('RING')->{name}, 'З ключем у тілі', 'key in the body');
is($shop->sql("SELECT count(*) FROM salesdrive.exchange_log WHERE request_body LIKE '%demo-key%'"), 0, 'which the log does not keep');

# ---- how many requests

$shop->sql("INSERT INTO salesdrive.bas_good (infobase, ref_key, sku, name, folder, data, read_at) SELECT 'main', ('10000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'M' || n, 'Товар ' || n, '" . $shop->key(901) . "', '{}', now() FROM generate_series(1, 201) n");
my @before = ($shop->requests, $shop->requests('category'));
$shop->push('card');
is($shop->run('card') . ' ' . ($shop->requests - $before[0]) . ' ' . ($shop->requests('category') - $before[1]), 'done 201 201 0 3 0', '201 new products: three requests, none of categories that are there');
is($shop->ignored, '', 'SalesDrive never ignored anything');

# ---- a copy

$shop->sql("UPDATE salesdrive.instance SET database_name = 'other'; SELECT salesdrive.set_secret('infobase:main:password', 'secret'); SELECT salesdrive.adopt()");
$shop->push('card');
is($shop->run('card', 'changed = goods, sent = changed, failed'), 't t 0', 'a database that was adopted sends all once more');

# ---- from BAS to SalesDrive, read and sent: УНФ, УТ, Бухгалтерія

{
	my $node = new_node('push_whole', preload => 0);
	my $crm = start_peer('salesdrive');
	my $sql = sub { my ($query) = @_; utf8::encode($query) if utf8::is_utf8($query); my $out = $node->safe_psql('postgres', $query); utf8::decode($out); return $out };
	my $key = sub { my ($n, $kind) = @_; return sprintf '8c1f4a10-%s-11ee-8000-%012d', $kind // '0abc', $n };
	my ($set, $warehouse, $type, $unit, $store, $account) = ('Catalog_Номенклатура', $key->(1, '00ee'), $key->(1, '00f1'), $key->(1, '00f3'), 'Catalog_Склады', $key->(1, '0281'));
	my $units = { 'ЕдиницаИзмерения_Type' => 'StandardODATA.Catalog_КлассификаторЕдиницИзмерения', 'ЕдиницаИзмерения' => $unit };
	my %rows = (
		unf => {
			'AccumulationRegister_ЗапасыНаСкладах' => [ map { { 'Номенклатура_Key' => $key->($_), 'СтруктурнаяЕдиница_Key' => $warehouse, 'Количество' => "$_.125" } } 1, 2 ],
			'InformationRegister_ЦеныНоменклатуры' => [ map { { Period => '2026-01-01T00:00:00', 'Номенклатура_Key' => $key->($_), 'Характеристика_Key' => '00000000-0000-0000-0000-000000000000', 'ВидЦен_Key' => $type, 'Цена' => "$_.99", 'Актуальность' => JSON::PP::true(), %$units } } 1, 2 ] },
		'trade32:3.5' => {
			'AccumulationRegister_СвободныеОстатки' => [ map { { 'Номенклатура_Key' => $key->($_), 'Склад_Key' => $warehouse, 'ВНаличии' => $_ + 3, 'ВРезервеСоСклада' => '2.875' } } 1, 2 ],
			'InformationRegister_ЦеныНоменклатуры' => [ map { { Period => '2026-01-01T00:00:00', 'Номенклатура_Key' => $key->($_), 'ВидЦены_Key' => $type, 'Цена' => "$_.99", 'Упаковка_Key' => '00000000-0000-0000-0000-000000000000', 'Валюта_Key' => $key->(1, '0980') } } 1, 2 ] },
		accounting2 => {
			'ChartOfAccounts_Хозрасчетный' => [ { Ref_Key => $account, Code => '281', Description => 'Товари' } ],
			'AccountingRegister_Хозрасчетный' => [ map { { 'Account_Key' => $account, ExtDimension1 => $key->($_), ExtDimension1_Type => "StandardODATA.$set", ExtDimension2 => $warehouse, ExtDimension2_Type => "StandardODATA.$store", 'Организация_Key' => $key->(1, '00aa'), 'Количество' => "$_.125", 'Сумма' => 10 } } 1, 2 ],
			'InformationRegister_ЦеныНоменклатуры' => [ map { { Period => '2026-01-01T00:00:00', 'Номенклатура_Key' => $key->($_), 'ТипЦен_Key' => $type, 'Цена' => "$_.99", 'Валюта_Key' => $key->(1, '0980') } } 1, 2 ] });
	my $push = sub { my ($name, $call) = @_; my $err = ''; $node->psql('postgres', "SET statement_timeout = '600 s'; SELECT salesdrive.$call('$name') AS task \\gset\nCALL salesdrive.wait(:task)", stderr => \$err); return $err };
	my $cards = sub { return $crm->control(GET => '/products')->{products} };
	for my $configuration ('unf', 'trade32:3.5', 'accounting2')
	{
		my ($profile) = split /:/, $configuration;
		my $bas = start_peer('bas', '--configuration', $configuration);
		$crm->control(POST => '/reset');
		$bas->control(POST => '/load', { %{ $rows{$configuration} }, $set => [ { Ref_Key => $key->(900), Code => 'F-1', Description => 'Ліхтарі', IsFolder => JSON::PP::true() },
			map { { Ref_Key => $key->($_), Code => "G-$_", 'Артикул' => "LAMP-$_", Description => "Ліхтар $_", Parent_Key => $key->(900), $profile eq 'accounting2' ? ('БазоваяЕдиницаИзмерения_Key' => $unit) : ('ТипНоменклатуры' => $profile eq 'unf' ? 'Запас' : 'Товар', 'ЕдиницаИзмерения_Key' => $unit), $profile eq 'unf' ? ('Комментарий' => 'Яскравий', 'Недействителен' => JSON::PP::false()) : () } } 1 .. 3 ] });
		$sql->("SELECT salesdrive.add_infobase('$profile', '$profile', '" . $bas->url('/base') . "', 'Обмен', 'secret');
			SELECT salesdrive.add_account(name => '$profile', url => '" . $crm->url . "', api_key => 'demo-key', infobase => '$profile', webhook_token => 'a-token-of-24-characters', identity => '$profile');
			INSERT INTO salesdrive.account_goods (account, unmatched, folders) VALUES ('$profile', 'export', ARRAY['" . $key->(900) . "']::uuid[]); INSERT INTO salesdrive.account_price (account, role, price_type) VALUES ('$profile', 'main', '$type')");
		$sql->('CALL salesdrive.run()');
		$sql->("SELECT salesdrive.map_value('$profile', 'warehouse', '1', '$warehouse', direction => 'to_crm')");
		for my $call (qw(push_products push_stock push_prices)) { like($push->($profile, $call), qr/is done/, "$configuration: $call(): read, compared and sent") }
		is_deeply([ map { [ @{ $cards->()->{"LAMP-$_"} }{qw(name category stockBalanceByStock costPerItem currency)} ] } 1 .. 3 ], [ [ 'Ліхтар 1', 1000001, { 1 => 1.125 }, 1.99, 'UAH' ], [ 'Ліхтар 2', 1000001, { 1 => 2.125 }, 2.99, 'UAH' ], [ 'Ліхтар 3', 1000001, { 1 => 0 }, undef, undef ] ], 'SalesDrive has what BAS has');
		my $before = $crm->control(GET => '/requests')->{counts};
		$push->($profile, $_) for qw(push_products push_stock push_prices);
		is_deeply($crm->control(GET => '/requests')->{counts}, $before, 'once more: read, and nothing sent');
		if ($profile eq 'unf')
		{
			$crm->control(POST => '/products', { products => { map { ("LAMP-$_" => { %{ $cards->()->{"LAMP-$_"} }, description => 'Від руки' }) } 1 .. 3 } });
			$bas->control(POST => '/edit', { set => $set, key => $key->(3), properties => { 'Комментарий' => 'Щойно' } });
			$sql->("INSERT INTO salesdrive.card_field (account, field, source) VALUES ('unf', 'description', 'Комментарий'); INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('unf', 'product', 'comment', 'Комментарий'); UPDATE salesdrive.account_goods SET catalog_age = '7 days'");
			$push->('unf', 'push_products');
			is_deeply([ map { $cards->()->{"LAMP-$_"}{description} } 1 .. 3 ], [ 'Яскравий', 'Яскравий', 'Щойно' ], 'a property that is read from now on: also of goods that did not change');
			$sql->("INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('unf', 'product', 'invalid', 'Недействителен'); UPDATE salesdrive.account_goods SET condition = '{\"Недействителен\": false}' WHERE account = 'unf'");
			like($push->('unf', 'push_stock'), qr/is done/, 'also for a condition');
			is($sql->("SELECT goods FROM salesdrive.push_run WHERE account = 'unf' AND what = 'stock' ORDER BY id DESC LIMIT 1"), 3, 'which all meet');
			$bas->control(POST => '/load', { 'AccumulationRegister_ЗапасыНаСкладах' => [ { 'Номенклатура_Key' => $key->(1), 'СтруктурнаяЕдиница_Key' => $warehouse, 'Количество' => '0.125', RecordType => 'Expense' } ] });
			$push->('unf', 'push_stock');
			is($cards->()->{'LAMP-1'}{stockBalanceByStock}{1}, 1, 'sold in BAS, gone in SalesDrive');
			$bas->control(POST => '/faults', { path => 'ЦеныНоменклатуры', action => 'status', status => 400, body => 'odata', code => '8', text => 'bad', times => 1 });
			like($push->('unf', 'push_prices'), qr/is parked: goods.*could not be read/s, 'what cannot be read is not pushed');
			like($push->('unf', 'push_prices'), qr/is done/, 'asked for anew, it is tried anew');
		}
		$sql->("SELECT salesdrive.pause_infobase('$profile', 'done'), salesdrive.pause_api('$profile', 'done')");
		$bas->stop;
	}
}

done_testing();
