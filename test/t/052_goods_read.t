# load_goods(): catalog, characteristics, kits, stock, prices and cost of a base, read in parts and put in place whole: what each configuration tells,
# bad answers, what changes meanwhile, restarts, many goods.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Encode ();
use POSIX qw(strftime);
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine error_of);

my $COMING = strftime('%Y-%m-01T00:00:00', gmtime time + 62 * 86400);
my $node = new_node('goods', preload => 0);
my $NIL = '00000000-0000-0000-0000-000000000000';

sub key { my ($n, $kind) = @_; return sprintf '8c1f4a10-%s-11ee-8000-%012d', $kind // '0abc', $n }
my $WAREHOUSE = key(1, '00ee');
my $TYPE = key(1, '00f1');
my $UNIT = key(1, '00f3');

# A base of its own for each part of the test.
my %peer;
sub base
{
	my ($name, $configuration, $profile, @options) = @_;
	my $bas = $peer{$name} = start_peer('bas', '--configuration', $configuration, @options);
	sql("SELECT salesdrive.add_infobase('$name', '$profile', '" . $bas->url('/base') . "', 'Обмен', 'secret'); UPDATE salesdrive.infobase SET retry_base = '1 day', retry_cap = '1 day', circuit_after = 1000");
	return $bas;
}
sub read_goods { my ($name, @what) = @_; sql("SELECT salesdrive.load_goods('$name', '$_')") for @what; run_engine(); return join '; ', map { my $w = $_; sql("SELECT coalesce((SELECT concat_ws(' ', t.state, t.reason, t.detail, t.hint) FROM salesdrive.task t WHERE t.infobase = '$name' AND t.kind = 'goods' AND t.key = '$w'), 'done')") } @what }
sub snapshot { my ($name, $what, $column) = @_; return sql("SELECT $column FROM salesdrive.goods_snapshot WHERE infobase = '$name' AND concat_ws('/', what, nullif(part, '')) = '$what'") }
sub held { my ($name, $table, $columns) = @_; return sql("SELECT string_agg(concat_ws(' ', $columns), ' | ' ORDER BY concat_ws(' ', $columns) COLLATE \"C\") FROM salesdrive.$table WHERE infobase = '$name'") }
sub asked { my ($name, $purpose) = @_; return sql("SELECT count(*) FROM salesdrive.exchange_log WHERE infobase = '$name' AND purpose = '$purpose'") }
sub urls { my ($name, $purpose) = @_; my $u = sql("SELECT string_agg(url, E'\\n' ORDER BY at) FROM salesdrive.exchange_log WHERE infobase = '$name' AND purpose = '$purpose'"); utf8::encode($u); $u =~ s/%([0-9A-F]{2})/chr hex $1/ge; utf8::decode($u); return $u =~ s{^.*?odata/standard\.odata/}{}gmr }
sub product { my ($n) = @_; return substr $n, -3 }
my $short = "right(product::text, 3)";
my $chr = "nullif(right(characteristic::text, 3), '000')";

# ---- УНФ: the catalog

my $bas = base('unf', 'unf', 'unf');
my $SET = 'Catalog_Номенклатура';
$bas->control(POST => '/load', { $SET => [
	{ Ref_Key => key(900), Code => 'F-1', Description => 'Папка', IsFolder => JSON::PP::true() },
	{ Ref_Key => key(1), Code => 'G-1', 'Артикул' => 'ART-1 ', Description => 'Перший', 'НаименованиеПолное' => 'Перший повний', Parent_Key => key(900), 'ТипНоменклатуры' => 'Запас', 'ЕдиницаИзмерения_Key' => $UNIT, 'ИспользоватьХарактеристики' => JSON::PP::true(), 'ДатаИзменения' => '2026-01-01T00:00:00' },
	{ Ref_Key => key(2), Code => 'G-2', 'Артикул' => 'ART-1', Description => 'Двійник', 'ТипНоменклатуры' => 'Запас', 'ЕдиницаИзмерения_Key' => $UNIT },
	{ Ref_Key => key(3), Code => 'G-3', 'Артикул' => '', Description => 'Без артикула', 'ТипНоменклатуры' => 'Услуга', 'ЕдиницаИзмерения_Key' => $UNIT },
	{ Ref_Key => key(4), Code => 'G-4', 'Артикул' => 'ART-4', Description => 'Вилучений', 'ТипНоменклатуры' => 'Запас', DeletionMark => JSON::PP::true() },
	{ Ref_Key => key(5), Code => "G'5", 'Артикул' => "O'5", Description => 'З апострофом', 'ТипНоменклатуры' => 'Запас', 'ЕдиницаИзмерения_Key' => $UNIT } ] });
is(read_goods('unf', 'catalog'), 'done', 'unf: the catalog is read');
is(sql("SELECT concat_ws(' | ', sku, code, name, full_name, folder, is_folder, deleted, kind, is_stock, unit, uses_characteristics, changed, data ->> 'Артикул' || '.') FROM salesdrive.bas_good WHERE ref_key = '" . key(1) . "'"),
	'ART-1 | G-1 | Перший | Перший повний | ' . key(900) . " | f | f | Запас | t | $UNIT | t | 2026-01-01 00:00:00 | ART-1 .", 'a good with all its properties');
is(sql("SELECT count(*) FROM salesdrive.bas_good WHERE infobase = 'unf' AND sku = 'ART-1'"), 2, 'two goods of one article are both there');
is(sql("SELECT concat_ws(' ', sku IS NULL, is_stock) FROM salesdrive.bas_good WHERE ref_key = '" . key(3) . "'"), 't f', 'so is one without an article, a service');
is(sql("SELECT string_agg(concat_ws(' ', code, is_folder, deleted), ', ' ORDER BY code) FROM salesdrive.bas_good WHERE ref_key IN ('" . key(900) . "', '" . key(4) . "')"), 'F-1 t f, G-4 f t', 'and folders, and what is marked for deletion');
is(snapshot('unf', 'catalog', "rows = (SELECT count(*) FROM salesdrive.bas_good) AND up_to = '' AND complete_at >= asked_at AND whole_at = asked_at"), 't', 'goods_snapshot says so');
is(sql('SELECT count(*) FROM salesdrive.goods_page'), 0, 'nothing is left under way');

# changes
$bas->control(POST => '/edit', { set => $SET, key => key(4), properties => { DeletionMark => JSON::PP::false() } });
my $pages = asked('unf', 'read catalog');
is(read_goods('unf', 'catalog'), 'done', 'a second reading');
is(asked('unf', 'read catalog') . ' ' . asked('unf', 'read changes of the catalog'), "$pages 1", 'asks for what has changed, once');
is(sql("SELECT deleted FROM salesdrive.bas_good WHERE ref_key = '" . key(4) . "'") . sql("SELECT count(*) > 70 FROM salesdrive.bas_good"), 'ft', 'takes that in, and keeps the rest');
$bas->control(POST => '/load', { $SET => [ { Ref_Key => key(900), Code => 'F-1', Description => 'Папка нова', IsFolder => JSON::PP::true() }, { Ref_Key => key(5), Code => "G'5", 'Артикул' => "O'5", Description => 'З майбутнього', 'ДатаИзменения' => '2099-01-01T00:00:00', 'ТипНоменклатуры' => 'Запас', 'ЕдиницаИзмерения_Key' => $UNIT } ] });
read_goods('unf', 'catalog');
is(sql("SELECT name FROM salesdrive.bas_good WHERE ref_key = '" . key(900) . "'"), 'Папка нова', 'folders are asked for, too: the configuration need not date them');
$bas->control(POST => '/edit', { set => $SET, key => key(2), properties => { Description => 'Двійник 2' } });
read_goods('unf', 'catalog');
is(sql("SELECT name FROM salesdrive.bas_good WHERE ref_key = '" . key(2) . "'") . asked('unf', 'read changes of the catalog'), 'Двійник 23', 'a good dated into the future hides no later change');
$bas->control(POST => '/delete', { set => $SET, keys => [ key(4) ] });
sql("SELECT salesdrive.load_goods('unf', whole => true)");
run_engine();
is(sql("SELECT count(*) FROM salesdrive.bas_good WHERE ref_key = '" . key(4) . "'"), 0, 'a whole reading forgets what is gone from the base');
sql("UPDATE salesdrive.goods_snapshot SET whole_at = whole_at - interval '2 days'");
$pages = asked('unf', 'read catalog');
read_goods('unf', 'catalog');
cmp_ok(asked('unf', 'read catalog'), '>', $pages, 'and comes by itself once a day');

# ---- УНФ: characteristics, stock, prices, cost

my $CHR = 'Catalog_ХарактеристикиНоменклатуры';
my $PACK = key(1, '00aa');
$bas->control(POST => '/load', {
	$CHR => [ { Ref_Key => key(11), Owner => key(1), Owner_Type => "StandardODATA.$SET", Description => 'XL', Code => '1' }, { Ref_Key => key(12), Owner => key(77), Owner_Type => 'StandardODATA.Catalog_КатегорииНоменклатуры', Description => 'Червоний', Code => '2', DeletionMark => JSON::PP::true() } ],
	'Catalog_ЕдиницыИзмерения' => [ { Ref_Key => $PACK, Code => 'уп', Description => 'уп', 'Коэффициент' => 12 } ],
	'AccumulationRegister_ЗапасыНаСкладах' => [
		{ 'Номенклатура_Key' => key(1), 'Характеристика_Key' => key(11), 'СтруктурнаяЕдиница_Key' => $WAREHOUSE, 'Количество' => '12.125' }, { 'Номенклатура_Key' => key(1), 'Характеристика_Key' => key(11), 'СтруктурнаяЕдиница_Key' => $WAREHOUSE, 'Партия_Key' => key(5, '00b1'), 'Количество' => 3 },
		{ 'Номенклатура_Key' => key(1), 'Характеристика_Key' => key(11), 'СтруктурнаяЕдиница_Key' => key(2, '00ee'), 'Количество' => 1 },
		{ 'Номенклатура_Key' => key(2), 'СтруктурнаяЕдиница_Key' => $WAREHOUSE, 'Количество' => 5 }, { 'Номенклатура_Key' => key(2), 'СтруктурнаяЕдиница_Key' => $WAREHOUSE, 'Количество' => 7, RecordType => 'Expense' },
		{ 'Номенклатура_Key' => key(3), 'СтруктурнаяЕдиница_Key' => $WAREHOUSE, 'Количество' => 5 }, { 'Номенклатура_Key' => key(3), 'СтруктурнаяЕдиница_Key' => $WAREHOUSE, 'Количество' => 5, RecordType => 'Expense' } ],
	'AccumulationRegister_Запасы' => [ { 'Номенклатура_Key' => key(1), 'Характеристика_Key' => key(11), 'Количество' => 3, 'Сумма' => '10.00' }, { 'Номенклатура_Key' => key(2), 'Количество' => 8, 'Сумма' => '1.00' }, { 'Номенклатура_Key' => key(5), 'Количество' => 0, 'Сумма' => '5.00' } ],
	'InformationRegister_ЦеныНоменклатуры' => [ map { my ($p, $c, $unit, $set, $period, $active, $price, $type) = @$_; { Period => "2026-0$period-01T00:00:00", 'Номенклатура_Key' => key($p), 'Характеристика_Key' => $c ? key($c) : $NIL, 'ВидЦен_Key' => $type // $TYPE, 'Цена' => $price,
			'Актуальность' => $active ? JSON::PP::true() : JSON::PP::false(), 'ЕдиницаИзмерения_Type' => "StandardODATA.$set", 'ЕдиницаИзмерения' => $unit } }
		[ 1, 0, $UNIT, 'Catalog_КлассификаторЕдиницИзмерения', 1, 1, '99.00' ], [ 1, 0, $UNIT, 'Catalog_КлассификаторЕдиницИзмерения', 2, 1, '100.10' ], [ 1, 11, $UNIT, 'Catalog_КлассификаторЕдиницИзмерения', 1, 1, '120.00' ],
		[ 2, 0, $PACK, 'Catalog_ЕдиницыИзмерения', 1, 1, '100.00' ], [ 3, 0, key(9, '00aa'), 'Catalog_ЕдиницыИзмерения', 1, 1, '55.00' ], [ 5, 0, $UNIT, 'Catalog_КлассификаторЕдиницИзмерения', 1, 1, '7.00' ], [ 5, 0, $UNIT, 'Catalog_КлассификаторЕдиницИзмерения', 2, 0, '8.00' ],
		[ 1, 0, $UNIT, 'Catalog_КлассификаторЕдиницИзмерения', 1, 1, '1.00', key(2, '00f1') ] ] });
is(read_goods('unf', 'characteristics', 'stock', 'cost', "prices/$TYPE"), 'done; done; done; done', 'characteristics, stock, cost and prices are read');
is(held('unf', 'bas_characteristic', 'right(ref_key::text, 2), right(product::text, 3), name, deleted'), '11 001 XL f | 12 Червоний t', 'characteristics: of a product, or shared by a category');
is(held('unf', 'bas_stock', "$short, $chr, right(warehouse::text, 1), quantity, reserved"), '001 011 1 15.125 0 | 001 011 2 1 0 | 002 1 -2 0', 'stock: lots are summed up, by warehouse, below zero too, what there is none of is no row');
is(held('unf', 'bas_cost', "$short, $chr, cost"), '001 011 3.33 | 002 0.13', 'cost: sum by quantity, half a kopeck up');
is(snapshot('unf', 'cost', 'left_out'), 1, 'what has a sum and no quantity has none');
is(held('unf', 'bas_price', "$short, $chr, price, currency, right(unit, 15)"), "001 011 120 " . substr($UNIT, -15) . ' | 001 100.1 ' . substr($UNIT, -15) . ' | 002 8.33 ' . substr($PACK, -15), 'prices: the last one, by characteristic, of a pack by what is in it, none that is out of force')
	or diag held('unf', 'bas_price', "$short, $chr, price, currency, unit");
is(snapshot('unf', "prices/$TYPE", 'left_out'), 1, 'a price for a pack that is not known is left out, and counted');
is(asked('unf', 'read units'), 2, 'packs are read because a price names one');
like(urls('unf', 'read stock'), qr/^AccumulationRegister_ЗапасыНаСкладах\/Balance\?\$format=json&Dimensions='Номенклатура,Характеристика,СтруктурнаяЕдиница'&\$select=КоличествоBalance,Номенклатура_Key,СтруктурнаяЕдиница_Key,Характеристика_Key\z/, 'the request for stock');
like(urls('unf', "read prices"), qr/^InformationRegister_ЦеныНоменклатуры\/SliceLast\?\$format=json&Condition='ВидЦен_Key eq guid''$TYPE'''&\$select=/, 'and for prices: of the register itself');

# another price type stands beside
my $other = key(2, '00f1');
is(read_goods('unf', "prices/$other"), 'done', 'another price type');
is(sql("SELECT string_agg(price_type || ' ' || n, ', ' ORDER BY price_type) FROM (SELECT price_type, count(*) AS n FROM salesdrive.bas_price GROUP BY 1) p"), "$TYPE 3, $other 1", 'does not touch the first');

# what is sold out is gone, and only when the reading is complete
$bas->control(POST => '/load', { 'AccumulationRegister_ЗапасыНаСкладах' => [ { 'Номенклатура_Key' => key(1), 'Характеристика_Key' => key(11), 'СтруктурнаяЕдиница_Key' => key(2, '00ee'), 'Количество' => 1, RecordType => 'Expense' } ] });
is(read_goods('unf', 'stock'), 'done', 'stock once more');
is(held('unf', 'bas_stock', "$short, $chr, right(warehouse::text, 1), quantity"), '001 011 1 15.125 | 002 1 -2', 'what is sold out is gone');

# only what differs is written
my $rows = sub { return sql("SELECT string_agg(c, ' ' ORDER BY c) FROM (SELECT 'g' || ctid AS c FROM salesdrive.bas_good WHERE infobase = 'unf' UNION ALL SELECT 's' || ctid FROM salesdrive.bas_stock WHERE infobase = 'unf' UNION ALL SELECT 'p' || ctid FROM salesdrive.bas_price WHERE infobase = 'unf') r") };
sql("SELECT salesdrive.load_goods('unf', whole => true)");
run_engine();
my $as_it_was = $rows->();
sql("SELECT salesdrive.load_goods('unf', whole => true)");
is(read_goods('unf', 'stock', "prices/$TYPE"), 'done; done', 'all is read once more');
is($rows->(), $as_it_was, 'what is the same is not written');
sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, constant) VALUES ('unf', 'product', 'stock_kind', '\"Услуга\"'); SELECT salesdrive.load_goods('unf')");
run_engine();
is(sql("SELECT string_agg(concat_ws(' ', code, is_stock), ', ' ORDER BY code) FROM salesdrive.bas_good WHERE infobase = 'unf' AND code IN ('G-1', 'G-3')"), 'G-1 f, G-3 t', 'unless it means something else by now');
sql("DELETE FROM salesdrive.profile_property WHERE origin = 'user' AND profile = 'unf' AND concept = 'stock_kind'; SELECT salesdrive.load_goods('unf')");
run_engine();

# ---- kits: not known of УНФ

like(read_goods('unf', 'kits'), qr/^parked setting To read kits, profile "unf" of infobase "unf" has to say what these are called.*: kit, kit\.owner, kit\.code\|name, kit_row, kit_row\.product, kit_row\.quantity\. Where does this base keep what kits/, 'what is not known parks, and says what to tell');
is(sql("SELECT concat_ws(' ', paused_at IS NULL, circuit_failures) FROM salesdrive.infobase WHERE name = 'unf'"), 't 0', 'and pauses nothing');
like(error_of("SELECT salesdrive.load_goods('unf', 'everything')"), qr/goods are not read by "everything".*load_goods\(infobase, what\)/s, 'an unknown word');
like(error_of("SELECT salesdrive.load_goods('nosuch')"), qr/there is no infobase "nosuch"/, 'an unknown infobase');

# check() of an account of this base
sql("SELECT salesdrive.add_account(name => 'shop', url => 'http://127.0.0.1:9', identity => 'demo-shop', api_key => 'k', infobase => 'unf', webhook_token => 'a-token-of-24-characters')");
my $found = sql("SELECT string_agg(concat_ws(' | ', severity, subject, problem, hint), E'\n' ORDER BY subject) FROM salesdrive.check('shop') WHERE subject LIKE 'goods%'");
like($found, qr/^warning \| goods kits \| To read kits, .* \| Where does this base keep/m, 'check() shows what is parked');
like($found, qr/^warning \| goods prices \| 1 prices of type \S+ are for packs, and the base does not tell what is in them/m, 'and prices left out');
is(scalar(split /\n/, $found), 2, 'and nothing else');

# ---- bad answers

my $good = held('unf', 'bas_stock', "$short, $chr, warehouse, quantity");
my $BALANCE = 'GET AccumulationRegister_ЗапасыНаСкладах/Balance';
for my $bad ([ 'a page of the web server', { action => 'html_ok' } ], [ 'a cut answer', { action => 'truncate' } ], [ 'an error of BAS', { action => 'status', status => 500, body => 'odata' } ],
	[ 'a lost connection', { action => 'reset_before' } ], [ 'JSON of something else', { action => 'status', status => 200, body => 'json', text => '{"status":"maintenance"}' } ], [ 'an empty answer', { action => 'status', status => 200, body => 'empty' } ])
{
	my ($name, $fault) = @$bad;
	$bas->control(POST => '/faults', { label => $BALANCE, %$fault });
	sql("SELECT salesdrive.load_goods('unf', 'stock')");
	my $before = snapshot('unf', 'stock', 'complete_at');
	run_engine();
	is(snapshot('unf', 'stock', 'complete_at'), $before, "$name completes nothing");
	is(held('unf', 'bas_stock', "$short, $chr, warehouse, quantity"), $good, 'and changes nothing');
	$bas->control(DELETE => '/faults');
	sql("UPDATE salesdrive.infobase SET circuit_failures = 0, circuit_open_until = NULL, paused_at = NULL; UPDATE salesdrive.task SET state = 'ready', run_at = salesdrive.clock() WHERE kind = 'goods' AND key = 'stock' AND infobase = 'unf'");
	run_engine();
	isnt(snapshot('unf', 'stock', 'complete_at'), $before, 'the next answer does');
}
for my $bad ([ 'an answer without the quantity', { action => 'status', status => 200, body => 'json', text => '{"odata.metadata":"x","value":[{"Номенклатура_Key":"' . key(1) . '","Характеристика_Key":"' . $NIL . '","СтруктурнаяЕдиница_Key":"' . $NIL . '"}]}' }, qr/answers rows without "КоличествоBalance"/ ],
	[ 'rights', { action => 'status', status => 401, body => 'odata', code => '20', text => 'Нарушение прав доступа!' }, qr/BAS code 20.*right to read it/ ], [ 'an unknown column', { action => 'status', status => 400, body => 'odata', code => '6', text => 'Сегмент пути не найден' }, qr/BAS code 6.*profile_difference/ ])
{
	my ($name, $fault, $words) = @$bad;
	$bas->control(POST => '/faults', { label => $BALANCE, times => 1, %$fault });
	like(read_goods('unf', 'stock'), qr/^parked business .*$words/, "$name parks with a hint");
	is(held('unf', 'bas_stock', "$short, $chr, warehouse, quantity"), $good, 'and changes nothing');
	is(sql("SELECT paused_at IS NULL FROM salesdrive.infobase WHERE name = 'unf'"), 't', 'orders go on');
	$bas->control(DELETE => '/faults');
}
$bas->control(POST => '/config', { unpublished => ['AccumulationRegister_ЗапасыНаСкладах'] });
like(read_goods('unf', 'stock'), qr/^parked business .*BAS code 8.*Is the set published/, 'a register that is not published');
$bas->control(POST => '/config', { unpublished => [], function_calls => 'brackets' });
like(read_goods('unf', 'stock'), qr/^parked business .*"brackets"/, 'a base that wants parameters in brackets');
sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, constant) VALUES ('unf', 'stock', 'call', '\"brackets\"')");
is(read_goods('unf', 'stock'), 'done', 'gets them there, by one row');
is(held('unf', 'bas_stock', "$short, $chr, warehouse, quantity"), $good, 'and tells the same');
like(urls('unf', 'read stock'), qr/\nAccumulationRegister_ЗапасыНаСкладах\/Balance\(Dimensions='Номенклатура,Характеристика,СтруктурнаяЕдиница'\)\?\$format=json&\$select=[^\n]*\z/, 'in brackets');
my $all = sql("SELECT count(*) FROM salesdrive.bas_good WHERE infobase = 'unf'");
$bas->control(POST => '/faults', { label => "GET $SET", action => 'status', status => 200, body => 'json', text => '{"odata.metadata":"x","value":[]}' });
sql("UPDATE salesdrive.goods_snapshot SET whole_at = NULL WHERE infobase = 'unf' AND what = 'catalog'");
like(read_goods('unf', 'catalog'), qr/^parked business The base answers that its catalog is empty, and $all goods and folders were in it/, 'a catalog that is empty all at once is not believed');
is(sql("SELECT count(*) FROM salesdrive.bas_good WHERE infobase = 'unf'"), $all, 'and kept');
$bas->control(DELETE => '/faults');
sql("SELECT salesdrive.pause_infobase('unf', 'done')");
$bas->stop;

# ---- pages, and what changes between them

$bas = base('pages', 'unf', 'unf');
$bas->control(POST => '/generate', { from => 1, count => 2500, rows => { $SET => { Ref_Key => '{key}', Code => 'N-{n6}', 'Артикул' => 'A-{n6}', Description => 'Товар {n}', 'ДатаИзменения' => $COMING } } });
$bas->control(POST => '/generate', { from => 5001, count => 2100, rows => { $SET => { Ref_Key => '{key}', Code => 'same', 'Артикул' => 'S-{n6}', Description => 'Товар {n}' } } });
read_goods('pages', 'catalog');
is(sql("SELECT count(*) FILTER (WHERE code LIKE 'N-%') || ' ' || count(*) FILTER (WHERE code = 'same') FROM salesdrive.bas_good WHERE infobase = 'pages'"), '2500 2100', 'pages: all goods, also those of which thousands have one code');
cmp_ok(asked('pages', 'read catalog'), '>=', 6, 'in pages');
$pages = asked('pages', 'read catalog');
is(read_goods('pages', 'catalog'), 'done', 'so many changes that they fill a page');
is(asked('pages', 'read changes of the catalog') . ' ' . (asked('pages', 'read catalog') > $pages ? 'all' : 'changes'), '1 all', 'all is read');

# the base is held after each page, and changes
sql("UPDATE salesdrive.goods_snapshot SET whole_at = NULL WHERE infobase = 'pages'");
sql("SELECT salesdrive.load_goods('pages')");
$bas->control(POST => '/faults', { label => "GET $SET", action => 'status', status => 503, body => 'html', skip => 2 });
run_engine();
my $under_way = sql("SELECT count(*) FROM salesdrive.goods_page WHERE infobase = 'pages'");
cmp_ok($under_way, '>=', 1500, 'a reading is cut off in the middle');
is(sql("SELECT count(*) FROM salesdrive.bas_good WHERE infobase = 'pages' AND code ~ '^(N-|same)'"), 4600, 'what was known stays as it was');
like(sql("SELECT salesdrive.task_progress(id) FROM salesdrive.task WHERE infobase = 'pages' AND kind = 'goods'"), qr/^$under_way rows read$/, 'task_progress() tells how far it is');
$bas->control(POST => '/delete', { set => $SET, keys => [ map { key($_) } 1 .. 40, 5001 .. 5040 ] });
$bas->control(POST => '/load', { $SET => [ map { { Ref_Key => key(7000 + $_), Code => 'AAA-' . $_, 'Артикул' => "NEW-$_", Description => 'Новий' } } 1 .. 30 ] });
$bas->control(DELETE => '/faults');
$pages = asked('pages', 'read catalog');
sql("UPDATE salesdrive.infobase SET circuit_failures = 0, circuit_open_until = NULL; UPDATE salesdrive.task SET state = 'ready', run_at = salesdrive.clock() WHERE infobase = 'pages'");
run_engine();
is(sql("SELECT count(*) FROM salesdrive.bas_good WHERE infobase = 'pages' AND (ref_key BETWEEN '" . key(41) . "' AND '" . key(2500) . "' OR ref_key BETWEEN '" . key(5041) . "' AND '" . key(7100) . "') AND code ~ '^(N-|same|AAA)'"), 4520, 'it goes on where it was, and misses nothing that was there all the time');
cmp_ok(asked('pages', 'read catalog') - $pages, '<=', 6, 'without the pages it had');
is(sql("SELECT count(*) FROM salesdrive.bas_good WHERE infobase = 'pages' AND code LIKE 'AAA-%'"), 30, 'also not those whose code was changed to one that had been read: they are asked for by their keys');
is(sql("SELECT count(*) FROM salesdrive.bas_good WHERE infobase = 'pages' AND ref_key IN ('" . key(5001) . "', '" . key(5040) . "')"), 0, 'what is gone is gone');
# elements of one value go while they are read: what of them was known comes once more
sql("UPDATE salesdrive.goods_snapshot SET whole_at = NULL WHERE infobase = 'pages'");
sql("SELECT salesdrive.load_goods('pages')");
$bas->control(POST => '/generate', { from => 8001, count => 1500, rows => { $SET => { Ref_Key => '{key}', Code => 'same', 'Артикул' => 'T-{n6}', Description => 'Товар {n}' } } });
$bas->control(POST => '/faults', { label => "GET $SET", action => 'status', status => 503, body => 'html', skip => 5 });
run_engine();
is(snapshot('pages', 'catalog', "up_to::jsonb ->> 'value' || ' ' || ((up_to::jsonb ->> 'seen')::integer > 2000)"), 'same true', 'a reading is cut off within one value');
$bas->control(POST => '/delete', { set => $SET, keys => [ map { key($_) } 5041 .. 5060 ] });
$bas->control(DELETE => '/faults');
sql("UPDATE salesdrive.infobase SET circuit_failures = 0, circuit_open_until = NULL; UPDATE salesdrive.task SET state = 'ready', run_at = salesdrive.clock() WHERE infobase = 'pages'");
is(read_goods('pages', 'catalog'), 'done', 'it is read to its end');
is(sql("SELECT count(*) FROM salesdrive.bas_good WHERE infobase = 'pages' AND (ref_key BETWEEN '" . key(5061) . "' AND '" . key(7000) . "' OR ref_key BETWEEN '" . key(8001) . "' AND '" . key(9500) . "')"), 1940 + 1500, 'all that is there');

$bas->control(POST => '/faults', { label => "GET $SET", action => 'status', status => 200, body => 'json', text => json_of([ map { { Ref_Key => key($_), 'Артикул' => 'x', Code => 'X', Description => 'x', DeletionMark => JSON::PP::false(), IsFolder => JSON::PP::false() } } 1 .. 1000 ]) });
sql("UPDATE salesdrive.goods_snapshot SET whole_at = NULL WHERE infobase = 'pages'");
like(read_goods('pages', 'catalog'), qr/^parked business The base answers with the elements of Catalog_Номенклатура after "X" once more/, 'a full page that comes again and again is not the end of the list');
is(sql("SELECT count(*) > 4500 FROM salesdrive.bas_good WHERE infobase = 'pages'"), 't', 'and takes nothing away');
$bas->control(DELETE => '/faults');
is(read_goods('pages', 'catalog') . ' ' . sql("SELECT count(*) FILTER (WHERE code = 'X') || ' ' || (count(*) > 5500) FROM salesdrive.bas_good WHERE infobase = 'pages'"), 'done 0 true', 'when it answers as it should, all is read anew, and nothing is left of what it said');

# who waits for a push hears how far the reading is that it needs
my $crm = start_peer('salesdrive');
sql("SELECT salesdrive.add_account(name => 'waiter', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'pages', webhook_token => 'a-token-of-24-characters', identity => 'waiter'); INSERT INTO salesdrive.account_goods (account) VALUES ('waiter');
	UPDATE salesdrive.goods_snapshot SET whole_at = NULL WHERE infobase = 'pages'");
$bas->control(POST => '/config', { latency_ms => 600 });
my $push = sql("SELECT salesdrive.push_products('waiter')");
my $heard = error_of("CALL salesdrive.wait($push, '1 min')");
like($heard, qr/: Catalog of the base is being read\. [1-9]\d* rows read\n.*NOTICE:  task $push is done/s, 'wait() for a push tells how far the reading is');
$bas->control(POST => '/config', { latency_ms => 0 });
sub json_of { my ($rows) = @_; my $j = json_encode({ 'odata.metadata' => 'x', value => $rows }); utf8::decode($j); return $j }
sql("SELECT salesdrive.pause_infobase('pages', 'done')");
$bas->stop;

# ---- УТ, ERP, КУП

$bas = base('trade', 'trade32:3.5', 'trade32');
my ($PKEY, $ORG) = ('Catalog_КлючиАналитикиУчетаНоменклатуры', key(1, '00aa'));
my $goods = [ map { { Ref_Key => key($_), Code => "G-$_", 'Артикул' => "ART-$_", Description => "Товар $_", 'ТипНоменклатуры' => 'Товар', 'ЕдиницаИзмерения_Key' => $UNIT } } 1 .. 4 ];
$bas->control(POST => '/load', { $SET => $goods, $CHR => [ { Ref_Key => key(11), Owner => key(1), Owner_Type => "StandardODATA.$SET", Description => 'XL' } ],
	'Catalog_УпаковкиЕдиницыИзмерения' => [ { Ref_Key => key(2, '00ab'), Code => 'п', Description => 'ящик', 'Числитель' => 24, 'Знаменатель' => 2 } ],
	'AccumulationRegister_СвободныеОстатки' => [ { 'Номенклатура_Key' => key(1), 'Характеристика_Key' => key(11), 'Склад_Key' => $WAREHOUSE, 'ВНаличии' => 10, 'ВРезервеСоСклада' => 3, 'ВРезервеПодЗаказ' => '1.5' }, { 'Номенклатура_Key' => key(2), 'Склад_Key' => $WAREHOUSE, 'ВНаличии' => 0, 'ВРезервеСоСклада' => 2 } ],
	'AccumulationRegister_ТоварыНаСкладах' => [ { 'Номенклатура_Key' => key(1), 'Характеристика_Key' => key(11), 'Склад_Key' => $WAREHOUSE, 'ВНаличии' => 11 } ],
	'InformationRegister_ЦеныНоменклатуры' => [ map { { Period => "2026-0$_->[3]-01T00:00:00", 'Номенклатура_Key' => key($_->[0]), 'ВидЦены_Key' => $TYPE, 'Цена' => $_->[1], 'Упаковка_Key' => $_->[2], 'Валюта_Key' => key(1, '0980') } } [ 1, '50.25', $NIL, 1 ], [ 1, '60.00', $NIL, 3 ], [ 2, '120.00', key(2, '00ab'), 1 ], [ 3, '9.99', $UNIT, 1 ] ],
	$PKEY => [ { Ref_Key => key(1, '00ac'), Description => 'k', 'Номенклатура_Key' => key(1), 'Характеристика_Key' => key(11) }, { Ref_Key => key(2, '00ac'), Description => 'k', 'Номенклатура_Key' => key(2) }, (map { { Ref_Key => key($_, '00ac'), Description => 'k', 'Номенклатура_Key' => key(2), 'Серия_Key' => key($_, '00ad') } } 4, 5), { Ref_Key => key(3, '00ac'), Description => 'k', 'Номенклатура_Key' => key(2), 'Склад' => $WAREHOUSE, 'Склад_Type' => 'StandardODATA.Catalog_Склады' } ],
	'InformationRegister_СтоимостьТоваров' => [ map { { Period => "2026-0$_->[1]-01T00:00:00", 'АналитикаУчетаНоменклатуры_Key' => key($_->[0], '00ac'), 'Организация_Key' => $ORG, 'РазделУчета' => $_->[3] // 'ТоварыНаСкладах', 'Стоимость' => $_->[2] } } [ 1, 1, '5' ], [ 1, 2, '6.0050000000' ], [ 2, 1, '100' ], [ 2, 2, '10.1' ], [ 3, 2, '10.2' ], [ 4, 3, '0' ], [ 5, 1, '1' ] ] });
is(read_goods('trade', 'stock'), 'done', 'trade: stock, after $metadata and the catalog');
is(sql("SELECT profile FROM salesdrive.infobase WHERE name = 'trade'") . ' ' . (asked('trade', 'read catalog') > 0), 'trade32:3.5 1', 'which it waited for');
is(held('trade', 'bas_stock', "$short, $chr, quantity, reserved"), '001 011 10 4.5 | 002 0 2', 'free stock, with reserves');
is(read_goods('trade', 'characteristics', 'cost', "prices/$TYPE"), 'done; done; done', 'characteristics, cost, prices');
is(held('trade', 'bas_characteristic', 'right(product::text, 3), name'), '001 XL', 'characteristics');
is(held('trade', 'bas_price', "$short, price, right(currency::text, 1)"), '001 60 1 | 002 10.00 1 | 003 9.99 1', 'prices: of the register that documents write; a pack by numerator and denominator');
is(held('trade', 'bas_cost', "$short, $chr, cost"), '001 011 6.01 | 002 10.15', 'cost: of the latest month, the mean of its rows, by the keys of analytics');
like(urls('trade', "read prices"), qr/^InformationRegister_ЦеныНоменклатуры_RecordType\/SliceLast\?/, 'the slice of prices is that of _RecordType');
like(urls('trade', 'read cost'), qr/^InformationRegister_СтоимостьТоваров_RecordType\/SliceLast\?\$format=json&\$select=Period,АналитикаУчетаНоменклатуры_Key,ВидЗапасов_Key,Организация_Key,РазделУчета,Стоимость\z/, 'so is that of cost');
like(read_goods('trade', 'kits'), qr/^parked setting To read kits, profile "trade32:3\.5"/, 'kits are not known');

# answers that are too large are asked for in halves, and later readings in such parts
$bas->control(POST => '/generate', { from => 1001, count => 600, rows => { $SET => { Ref_Key => '{key}', Code => 'N-{n6}', 'Артикул' => 'A-{n6}', Description => 'Товар {n}', 'ТипНоменклатуры' => 'Товар' },
	'AccumulationRegister_СвободныеОстатки' => { 'Номенклатура_Key' => '{key}', 'Склад_Key' => $WAREHOUSE, 'ВНаличии' => '{n}' }, $PKEY => { Ref_Key => '{key}', Description => 'k', 'Номенклатура_Key' => '{key}' },
	'InformationRegister_СтоимостьТоваров' => { Period => '2026-01-01T00:00:00', 'АналитикаУчетаНоменклатуры_Key' => '{key}', 'Организация_Key' => $ORG, 'РазделУчета' => 'ТоварыНаСкладах', 'Стоимость' => '{n}' } } });
read_goods('trade', 'catalog');
$bas->control(POST => '/generate', { from => 2001, count => 5, rows => { $SET => { Ref_Key => '{key}', Code => 'Z-{n6}', 'Артикул' => 'Z-{n6}', Description => 'Пізній {n}' }, 'AccumulationRegister_СвободныеОстатки' => { 'Номенклатура_Key' => '{key}', 'Склад_Key' => $WAREHOUSE, 'ВНаличии' => 1 } } });
sql("UPDATE salesdrive.infobase SET max_answer = 60000 WHERE name = 'trade'");
my $requests = asked('trade', 'read stock');
is(read_goods('trade', 'stock', 'cost'), 'done; done', 'answers larger than max_answer');
is(sql("SELECT count(*) || ' ' || sum(quantity) FROM salesdrive.bas_stock WHERE infobase = 'trade' AND product >= '" . key(1001) . "'"), '605 ' . (600 * (1001 + 1600) / 2 + 5), 'are asked for in parts: all stock is there, also of goods the catalog does not know yet');
is(sql("SELECT count(*) || ' ' || sum(cost) FROM salesdrive.bas_cost WHERE infobase = 'trade' AND product >= '" . key(1001) . "'"), '600 ' . (600 * (1001 + 1600) / 2) . '.00', 'and all cost');
like(urls('trade', 'read stock'), qr/Condition='Номенклатура\/Code ge ''N-\d+'' and Номенклатура\/Code lt ''N-\d+'''&/, 'by ranges of codes');
like(urls('trade', 'read keys of cost'), qr/\$filter=Номенклатура\/Code ge 'N-\d+' and Номенклатура\/Code lt 'N-\d+'/, 'keys, too');
like(urls('trade', 'read cost'), qr/Condition='АналитикаУчетаНоменклатуры\/Номенклатура\/Code ge ''N-\d+'' and/, 'and the register that knows goods by them');
$bas->control(POST => '/load', { 'AccumulationRegister_СвободныеОстатки' => [ { 'Номенклатура_Key' => key(1001), 'Склад_Key' => $WAREHOUSE, 'ВНаличии' => 1001, RecordType => 'Expense' } ] });
my $first = asked('trade', 'read stock') - $requests;
read_goods('trade', 'stock');
is(sql("SELECT count(*) || ' ' || count(*) FILTER (WHERE product = '" . key(1001) . "') FROM salesdrive.bas_stock WHERE infobase = 'trade' AND product >= '" . key(1001) . "'"), '604 0', 'what is sold out is gone');
like(urls('trade', 'read stock by key'), qr/^[^\n]*Condition='\(Номенклатура_Key eq guid''@{[ key(1001) ]}''\)'&[^\n]*\z/, 'after it was asked for by its key');
cmp_ok(asked('trade', 'read stock') - $requests - $first, '<', $first, 'the next reading begins with such parts');
is(sql("SELECT paused_at IS NULL AND circuit_failures = 0 FROM salesdrive.infobase WHERE name = 'trade'"), 't', 'and no circuit opens for that');
sql("UPDATE salesdrive.infobase SET max_answer = 300 WHERE name = 'trade'");
like(read_goods('trade', 'stock'), qr/^parked business One answer with stock is larger than infobase\.max_answer \(300 bytes\), and cannot be asked for in smaller parts.*SET max_answer = 1200/, 'one that no part makes smaller says so');
is(sql("SELECT count(*) FROM salesdrive.bas_stock WHERE infobase = 'trade' AND product >= '" . key(1001) . "'"), 604, 'what was known stays');
sql("UPDATE salesdrive.infobase SET max_answer = 16777216 WHERE name = 'trade'");

# without the register of free stock
sql("INSERT INTO salesdrive.profile_entity (profile, concept, entity_set, needed) VALUES ('trade32', 'free_stock', NULL, false)");
is(read_goods('trade', 'stock'), 'done', 'without reserves');
is(held('trade', 'bas_stock', "$short, $chr, quantity, reserved"), '001 011 11 0', 'the register of goods in warehouses tells');
sql("DELETE FROM salesdrive.profile_entity WHERE origin = 'user'; SELECT salesdrive.pause_infobase('trade', 'done')");
$bas->stop;

for my $case ([ 'trade32', 'trade32' ], [ 'erp', 'erp' ], [ 'erp:2.5', 'erp' ], [ 'kup', 'kup' ], [ 'kup:2.5', 'kup' ])
{
	my ($configuration, $profile) = @$case;
	my $name = $configuration =~ s/\W/_/gr;
	$bas = base($name, $configuration, $profile);
	$bas->control(POST => '/load', { $SET => $goods });
	is(read_goods($name, 'stock', 'cost', 'characteristics', "prices/$TYPE"), 'done; done; done; done', "$configuration: all is read");
	like(urls($name, 'read stock'), $configuration eq 'kup:2.5' ? qr/^AccumulationRegister_ТоварыНаСкладах\/Balance\?/ : qr/^AccumulationRegister_СвободныеОстатки\/Balance\?/, 'stock from the register it has');
	like(urls($name, 'read prices'), qr/^InformationRegister_ЦеныНоменклатуры_RecordType\/SliceLast\?/, 'prices');
	like(urls($name, 'read cost'), qr/^InformationRegister_СтоимостьТоваров_RecordType\/SliceLast\?/, 'cost');
	is(sql("SELECT string_agg(concat_ws(' ', concept, problem), '; ') FROM salesdrive.profile_difference WHERE infobase = '$name' AND split_part(concept, '.', 1) IN ('product', 'characteristic', 'pack', 'price', 'stock', 'free_stock', 'cost', 'cost_key')"), '', 'its $metadata has all these names');
	sql("SELECT salesdrive.pause_infobase('$name', 'done')");
	$bas->stop;
}

# ---- Бухгалтерія

$bas = base('accounting', 'accounting2', 'accounting2');
my ($ACC, $LEDGER) = (key(1, '0281'), 'AccountingRegister_Хозрасчетный');
sub entry { my ($p, $store, $quantity, $sum, %o) = @_; my @x = ({ of => $SET, key => key($p) }, { of => 'Catalog_Склады', key => $store }); @x = reverse @x if $o{reversed}; return { 'Account_Key' => $o{account} // $ACC, (map { ("ExtDimension$_" => $x[ $_ - 1 ]{key}, "ExtDimension${_}_Type" => "StandardODATA.$x[ $_ - 1 ]{of}") } 1, 2), 'Организация_Key' => $o{org} // $ORG, 'Количество' => $quantity, 'Сумма' => $sum } }
$bas->control(POST => '/load', { 'ChartOfAccounts_Хозрасчетный' => [ { Ref_Key => $ACC, Code => '281', Description => 'Товари' }, { Ref_Key => key(2, '0281'), Code => '26', Description => 'Готова продукція' } ],
	$SET => [ (map { { Ref_Key => key($_), Code => "G-$_", 'Артикул' => "ART-$_", Description => "Товар $_", 'БазоваяЕдиницаИзмерения_Key' => $UNIT } } 1 .. 3), { Ref_Key => key(4), Code => 'G-4', 'Артикул' => 'S', Description => 'Послуга', 'Услуга' => JSON::PP::true() } ],
	$LEDGER => [ entry(1, $WAREHOUSE, 10, '100.00'), entry(1, $WAREHOUSE, '2.5', '30.00', org => key(2, '00aa')), entry(2, $WAREHOUSE, 3, '10.00', reversed => 1), entry(2, $WAREHOUSE, -5, '-20.00', reversed => 1), entry(3, $WAREHOUSE, 7, '70.00', account => key(2, '0281')) ],
	'InformationRegister_ЦеныНоменклатуры' => [ map { { Period => "2026-0$_->[1]-01T00:00:00", 'Номенклатура_Key' => key($_->[0]), 'ТипЦен_Key' => $TYPE, 'Цена' => $_->[2], 'Валюта_Key' => key(2, '0980') } } [ 1, 1, '40.00' ], [ 1, 2, '41.50' ], [ 3, 1, '0.01' ] ] });
is(read_goods('accounting', 'stock', 'cost', "prices/$TYPE", 'characteristics'), 'done; done; done; done', 'accounting: stock, cost, prices, characteristics');
is(held('accounting', 'bas_stock', "$short, right(warehouse::text, 1), quantity, reserved"), '001 1 12.5 0 | 002 1 -2 0', 'stock: extra dimensions by their type, organisations summed up, a credit balance is below zero, other accounts do not count');
is(held('accounting', 'bas_cost', "$short, cost"), '001 10.40', 'cost: of what there is');
is(held('accounting', 'bas_price', "$short, price, right(currency::text, 1)"), '001 41.5 2 | 003 0.01 2', 'prices');
is(sql("SELECT string_agg(sku || ' ' || is_stock, ', ' ORDER BY sku) FROM salesdrive.bas_good WHERE infobase = 'accounting' AND sku IN ('ART-1', 'S')"), 'ART-1 true, S false', 'a service is no stock');
is(snapshot('accounting', 'characteristics', 'rows') . ' ' . asked('accounting', 'read characteristics'), '0 0', 'it has no characteristics, so nothing is asked, and nothing parks');
like(urls('accounting', 'read stock'), qr/^$LEDGER\/Balance\?\$format=json&AccountCondition='Account\/Code eq ''281'''&\$select=/, 'the accounting register, by account');
$bas->control(POST => '/config', { accounting_quantity => 'КоличествоBalanceDt' });
like(read_goods('accounting', 'stock'), qr/^parked business .*КоличествоDebitBalance.*profile_difference/, 'a column called otherwise is refused by the base, and parks with a hint');
sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property, edm_type) VALUES ('accounting2', 'stock', 'quantity', 'КоличествоBalanceDt', 'Edm.Double')");
is(read_goods('accounting', 'stock'), 'done', 'one row tells it');
is(held('accounting', 'bas_stock', "$short, right(warehouse::text, 1), quantity"), '001 1 12.5 | 002 1 -2', 'and stock is the same');
sql("DELETE FROM salesdrive.profile_property WHERE origin = 'user'; SELECT salesdrive.pause_infobase('accounting', 'done')");
$bas->stop;

# ---- Альфа-Авто: kits, reserves, prices of one customer

$bas = base('alfa', 'alfa_auto6', 'alfa_auto6');
my $UNIT_ALFA = key(7, '00f3');
$bas->control(POST => '/load', { $SET => [ (map { { Ref_Key => key($_), Code => "G-$_", 'Артикул' => "ART-$_", Description => "Товар $_", 'ОсновнаяЕдиницаИзмерения_Key' => $UNIT_ALFA } } 1 .. 3),
		{ Ref_Key => key(9), Code => 'K-9', 'Артикул' => 'KIT', Description => 'Набір', 'ОсновнаяЕдиницаИзмерения_Key' => $UNIT_ALFA, 'СоставНабора' => [ { LineNumber => 1, 'Номенклатура_Key' => key(1), 'Количество' => 2 }, { LineNumber => 2, 'Номенклатура_Key' => key(2), 'ХарактеристикаНоменклатуры_Key' => key(11), 'Количество' => '0.5' } ] } ],
	$CHR => [ { Ref_Key => key(11), Code => '1', Owner => key(2), Owner_Type => "StandardODATA.$SET", Description => 'R16' } ], 'Catalog_ЕдиницыИзмерения' => [ { Ref_Key => $UNIT_ALFA, Code => 'шт', Description => 'шт', 'Коэффициент' => 1 }, { Ref_Key => key(8, '00f3'), Code => 'к', Description => 'комплект', 'Коэффициент' => 4 } ],
	'AccumulationRegister_ОстаткиТоваровКомпании' => [ { 'Номенклатура_Key' => key(1), 'СкладКомпании_Key' => $WAREHOUSE, 'Количество' => 9, 'Резерв' => 4 } ],
	'AccumulationRegister_ПартииТоваровКомпании' => [ { 'Номенклатура_Key' => key(1), 'СкладКомпании_Key' => $WAREHOUSE, 'Количество' => 3, 'Сумма' => '20.00' }, { 'Номенклатура_Key' => key(1), 'СкладКомпании_Key' => key(2, '00ee'), 'Количество' => 3, 'Сумма' => '10.00' } ],
	'InformationRegister_Цены' => [ map { { Period => '2026-01-01T00:00:00', 'ТипЦен_Key' => $TYPE, 'Номенклатура_Key' => key($_->[0]), 'ЕдиницаИзмерения_Key' => $_->[1], 'Цена' => $_->[2], 'Контрагент_Key' => $_->[3] // $NIL } } [ 1, $UNIT_ALFA, '30.00' ], [ 1, key(8, '00f3'), '100.00' ], [ 1, $UNIT_ALFA, '1.00', key(1, '00bb') ], [ 2, key(8, '00f3'), '100.00' ] ] });
is(read_goods('alfa', 'stock', 'cost', 'kits', 'characteristics', "prices/$TYPE"), 'done; done; done; done; done', 'alfa: all is read');
is(held('alfa', 'bas_stock', "$short, quantity, reserved"), '001 9 4', 'stock with reserves');
is(held('alfa', 'bas_cost', "$short, cost"), '001 5.00', 'cost from batches, all warehouses together');
is(held('alfa', 'bas_kit_part', "right(kit::text, 1), line_no, $short, $chr, quantity"), '9 1 001 2 | 9 2 002 011 0.5', 'kits');
is(held('alfa', 'bas_price', "$short, price"), '001 30 | 002 25.00', 'prices for all; of two units the base unit counts');
like(urls('alfa', 'read kits'), qr/^Catalog_Номенклатура\?.*\$filter=\(СоставНабора\/any\(\)\)/, 'only goods that are kits are asked for');
sql("SELECT salesdrive.load_metadata('alfa')");
run_engine();
is(sql("SELECT string_agg(concat_ws(' ', concept, problem), '; ') FROM salesdrive.profile_difference WHERE infobase = 'alfa' AND split_part(concept, '.', 1) IN ('product', 'characteristic', 'pack', 'price', 'stock', 'cost', 'kit', 'kit_row')"), '', 'its $metadata has all these names');
sql("SELECT salesdrive.pause_infobase('alfa', 'done')");
$bas->stop;

# ---- what is to be verified parks until somebody confirms it

$bas = base('crm', 'crm3', 'crm3');
$bas->control(POST => '/generate', { from => 1, count => 3, rows => { 'AccumulationRegister_ЗапасыНаСкладах' => { 'Номенклатура_Key' => '{key}', 'Количество' => '{n}' } } });
is(read_goods('crm', 'catalog'), 'done', 'crm3: the catalog is read');
like(read_goods('crm', 'stock'), qr/^parked setting To read stock, profile "crm3" .*or somebody to confirm it: stock\.product\|extra_1, stock\.quantity\. Which register holds stock\?.*confirms what is to be verified/, 'what nobody has seen is not asked for');
is(asked('crm', 'read stock'), 0, 'no request leaves');
sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property, edm_type) VALUES ('crm3', 'stock', 'product', 'Номенклатура_Key', 'Edm.Guid'), ('crm3', 'stock', 'quantity', 'КоличествоBalance', 'Edm.Double')");
run_engine();
is(held('crm', 'bas_stock', "$short, quantity"), '001 1 | 002 2 | 003 3', 'confirmed by rows of the user it goes on by itself');
sql("DELETE FROM salesdrive.profile_property WHERE origin = 'user'; SELECT salesdrive.pause_infobase('crm', 'done')");
$bas->stop;
$bas = base('retail', 'retail', 'retail');
is(read_goods('retail', 'catalog'), 'done', 'retail: the catalog');
like(read_goods('retail', 'stock', "prices/$TYPE", 'cost'), qr/^parked setting .*stock\.quantity.*; parked setting .*price\.price\..*; parked setting .*: cost, cost/, 'and nothing else before it is confirmed');
sql("SELECT salesdrive.pause_infobase('retail', 'done')");
$bas->stop;
$bas = base('v3', 'unf:3.0', 'unf');
$bas->control(POST => '/load', { 'InformationRegister_ЦеныНоменклатуры' => [ { Period => '2026-01-01T00:00:00', 'ВидЦен_Key' => $TYPE, 'Номенклатура_Key' => key(1, '0001'), 'Цена' => '5.00', 'Актуальность' => JSON::PP::true(), 'ВалютаЦены_Key' => key(2, '0980') } ] });
is(read_goods('v3', "prices/$TYPE"), 'done', 'unf:3.0');
is(held('v3', 'bas_price', "$short, price, right(currency::text, 1)"), '001 5 2', 'tells the currency of a price');
sql("SELECT salesdrive.pause_infobase('v3', 'done')");
$bas->stop;

# ---- kits of a configuration of its own: two compositions of one product

$bas = base('tenth', 'small_business', 'small_business');
sql("INSERT INTO salesdrive.profile_entity (profile, concept, entity_set, needed) VALUES ('small_business', 'kit', '$SET', false), ('small_business', 'kit_row', 'ДополнительныеРеквизиты', false)");
like(read_goods('tenth', 'kits'), qr/^parked setting .*: kit\.owner, kit\.code\|name, kit_row\.product, kit_row\.quantity\./, 'a catalog of kits alone is not enough');
sql("DELETE FROM salesdrive.profile_entity WHERE origin = 'user'; SELECT salesdrive.pause_infobase('tenth', 'done')");
$bas->stop;

# ---- many

$bas = base('many', 'unf', 'unf');
$bas->control(POST => '/config', { log => JSON::PP::false() });
sql('ANALYZE');    # of what was there before: what the planner knows says nothing of these goods
$bas->control(POST => '/generate', { from => 1, count => 20000, rows => { $SET => { Ref_Key => '{key}', Code => '{n6}', 'Артикул' => 'G-{n6}', Description => 'Товар {n}', 'ТипНоменклатуры' => 'Запас', 'ЕдиницаИзмерения_Key' => $UNIT },
	'AccumulationRegister_ЗапасыНаСкладах' => { 'Номенклатура_Key' => '{key}', 'СтруктурнаяЕдиница_Key' => $WAREHOUSE, 'Количество' => '{n}' },
	'InformationRegister_ЦеныНоменклатуры' => { Period => '2026-01-01T00:00:00', 'ВидЦен_Key' => $TYPE, 'Номенклатура_Key' => '{key}', 'Цена' => '{n}.50', 'Актуальность' => JSON::PP::true(), 'ЕдиницаИзмерения' => $UNIT, 'ЕдиницаИзмерения_Type' => 'StandardODATA.Catalog_КлассификаторЕдиницИзмерения' } } });
my $began = time;
is(read_goods('many', 'catalog', 'stock', "prices/$TYPE"), 'done; done; done', '20 000 goods with stock and prices');
note sprintf 'read in %d s', time - $began;
is(sql("SELECT (SELECT count(*) FROM salesdrive.bas_good WHERE infobase = 'many' AND sku LIKE 'G-%') || ' ' || (SELECT sum(quantity) FROM salesdrive.bas_stock WHERE infobase = 'many') || ' ' || (SELECT sum(price) FROM salesdrive.bas_price WHERE infobase = 'many')"), '20000 200010000 200020000.0', 'all of them')
	or diag sql("SELECT (SELECT count(*) FROM salesdrive.bas_good WHERE infobase = 'many') || ' ' || (SELECT count(*) FROM salesdrive.bas_stock WHERE infobase = 'many') || ' ' || (SELECT count(*) FROM salesdrive.bas_price WHERE infobase = 'many')");
cmp_ok(time - $began, '<', 600, 'in bounded time');
sql("SELECT salesdrive.pause_infobase('many', 'done')");
sql("DELETE FROM salesdrive.infobase WHERE name = 'many'");
is(sql("SELECT (SELECT count(*) FROM salesdrive.bas_good WHERE infobase = 'many') + (SELECT count(*) FROM salesdrive.goods_snapshot WHERE infobase = 'many')"), 0, 'they go with their infobase');

done_testing();
