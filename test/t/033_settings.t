# What a document carries from the account and the base: the only element of a dictionary, a setting by name, code or key, or the obstacle with
# its hint; VAT contained or on top; many SKUs in few searches of bounded length; goods and counterparties that are not clear.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine);

my $node = new_node('settings', preload => 0);
my $bas = start_peer('bas');

sub status { my ($id, $column) = @_; return sql("SELECT $column FROM salesdrive.order_status WHERE account = 'shop' AND order_id = $id") }
sub sent { my ($id, $path) = @_; return sql("SELECT sent_body #>> '{$path}' FROM salesdrive.bas_order WHERE account = 'shop' AND order_id = $id") }
sub parked { my ($id) = @_; return status($id, "state || ' ' || reason") }
sub deliver
{
	my ($id, %o) = @_;
	my $lines = $o{lines} // [ { sku => 'SKU-0001', amount => 1, price => 120 } ];
	my $sum = $o{sum} // 120;
	my $body = json_encode({ data => { id => $id, version => $o{version} // 1, orderTime => '2026-11-20 10:00:00', paymentAmount => $sum, contacts => [ { fName => 'Зразок', phone => $o{phone} // '0671000001' } ], products => $lines } });
	utf8::decode($body);
	$body =~ s/'/''/g;
	return sql("SELECT salesdrive.accept_webhook('shop', '$body')");
}
sub deliver_and_run { deliver(@_); return run_engine() }

my $url = $bas->url('/base');
my $second = '8c1f4a10-00aa-11ee-8000-0000000000a2';
$bas->control(POST => '/load', {
	'Catalog_Организации' => [ { Ref_Key => $second, Code => '000000002', Description => 'ФОП Другий' } ],
	'Catalog_СтруктурныеЕдиницы' => [ { Ref_Key => '8c1f4a10-00ee-11ee-8000-0000000000a2', Code => 'W2', Description => 'Другий склад', 'ТипСтруктурнойЕдиницы' => 'Склад' } ],
	'Catalog_ВидыЦен' => [ { Ref_Key => '8c1f4a10-00f1-11ee-8000-0000000000a2', Code => 'P2', Description => 'Опт' } ] });
sql("SELECT salesdrive.add_infobase('main', 'unf', '$url', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters')");

# several candidates and no setting
deliver_and_run(1);
is(parked(1), 'parked setting', 'several organisations and no setting: parked');
like(status(1, 'detail'), qr/ФОП Другий/, 'the candidates are named');
like(status(1, 'hint'), qr/UPDATE salesdrive\.account SET organisation/, 'the hint says what to set');
sql("UPDATE salesdrive.account SET organisation = 'ФОП Другий'");
run_engine();
is(status(1, 'state'), 'synced', 'the setting lets the order go on by itself');
is(sent(1, 'Организация_Key'), $second, 'by name');
is(sent(1, 'СтруктурнаяЕдиницаРезерв_Key') . sent(1, 'ВидЦен_Key'), '', 'several warehouses and price types and no setting: left empty');
is(sent(1, 'ВалютаДокумента_Key'), '8c1f4a10-0980-11ee-8000-000000000001', 'several currencies and no setting: code 980');
sql("UPDATE salesdrive.account SET organisation = '000000002', warehouse = 'W2', price_type = '8c1f4a10-00f1-11ee-8000-0000000000a2'");
deliver_and_run(2);
is(sent(2, 'Организация_Key'), $second, 'by code');
is(sent(2, 'СтруктурнаяЕдиницаРезерв_Key'), '8c1f4a10-00ee-11ee-8000-0000000000a2', 'warehouse by code');
is(sent(2, 'ВидЦен_Key'), '8c1f4a10-00f1-11ee-8000-0000000000a2', 'price type by key');
sql("UPDATE salesdrive.account SET warehouse = 'no such'");
deliver_and_run(3);
is(parked(3), 'parked setting', 'a setting that is not in the base: parked');
like(status(3, 'detail'), qr/account\.warehouse is "no such"/, 'and named');
my ($rc, $out, $err) = $node->psql('postgres', "UPDATE salesdrive.account SET time_zone = 'Mars/Base'");
like($err, qr/time zone "Mars\/Base" of account "shop" is not known/, 'an unknown time zone is refused');
($rc, $out, $err) = $node->psql('postgres', "UPDATE salesdrive.account SET identity = 'other'");
like($err, qr/cannot be changed/, 'the identity never changes');
sql("UPDATE salesdrive.account SET warehouse = NULL");
run_engine();
is(status(3, 'state'), 'synced', 'and goes on when mended');

# a time that no clock and no request can have would stop the orders of all bases
for my $set (map({ ("infobase SET $_ = '1 month'", "infobase SET $_ = '0.1 ms'") } 'connect_timeout', 'total_timeout'), "infobase SET unsure_margin = '1 month'", 'infobase SET max_answer = 2147483647',
	map({ "infobase SET $_ = '290000 years'" } 'retry_cap', 'circuit_pause', 'dictionary_age'), "account SET late_after = '290000 years'")
{
	($rc, $out, $err) = $node->psql('postgres', "UPDATE salesdrive.$set");
	like($err, qr/violates check constraint/, "refused: $set");
}
my $usual = sql("SELECT format('connect_timeout = %L, total_timeout = %L, unsure_margin = %L', connect_timeout, total_timeout, unsure_margin) FROM salesdrive.infobase");
sql("UPDATE salesdrive.infobase SET connect_timeout = '1 day', total_timeout = '1 day', unsure_margin = '1 day'");
deliver_and_run(5);
is(status(5, 'state'), 'synced', 'the longest that are taken can be asked for');
sql("UPDATE salesdrive.infobase SET $usual");

# VAT
is(sent(1, 'Запасы,0,СуммаНДС') . ' ' . sent(1, 'Запасы,0,Всего') . ' ' . sent(1, 'СуммаДокумента'), '20.00 120.00 120.00', 'VAT contained in the price');
sql("UPDATE salesdrive.account SET vat_included = false");
deliver_and_run(4);
is(sent(4, 'Запасы,0,Сумма') . ' ' . sent(4, 'Запасы,0,СуммаНДС') . ' ' . sent(4, 'Запасы,0,Всего') . ' ' . sent(4, 'СуммаДокумента'), '120.00 24.00 144.00 144.00', 'VAT on top of the price');
is(sent(4, 'СуммаВключаетНДС'), 'false', 'and the document says so');
sql("UPDATE salesdrive.account SET vat_included = true");

# many SKUs
$bas->control('DELETE', '/requests');
sql('ALTER SYSTEM SET track_functions = pl');
$node->reload;
wait_for_sql($node, 'postgres', 'SHOW track_functions', 'pl');
sql('SELECT pg_stat_reset()');
deliver_and_run(10, sum => 60, lines => [ map { { sku => sprintf('SKU-%04d', $_), amount => 1, price => 1 } } 1 .. 60 ]);
is(status(10, 'state'), 'synced', 'an order of 60 SKUs arrives');
my $searches = sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 10 AND purpose = 'find products'");
cmp_ok($searches, '<=', 5, "in $searches searches");
cmp_ok($searches, '>', 2, 'and more than one');
is(sql("SELECT calls FROM pg_stat_user_functions WHERE schemaname = 'salesdrive' AND funcname = 'document_lines'"), 2, 'looked at whole before the first and after the last of them');
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE purpose = 'find products' AND length(substring(url FROM '[?](.*)')) > 2048"), 0, 'none of them longer than a web server takes');
sql("UPDATE salesdrive.infobase SET max_url = 8000; DELETE FROM salesdrive.bas_product");
$bas->control(POST => '/config', { max_query => 8190, max_url => 9000 });
deliver_and_run(11, sum => 60, lines => [ map { { sku => sprintf('SKU-%04d', $_), amount => 1, price => 1 } } 1 .. 60 ]);
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 11 AND purpose = 'find products'"), 2, 'up to 40 in one where longer addresses are allowed');
deliver_and_run(12, sum => 60, lines => [ map { { sku => sprintf('SKU-%04d', $_), amount => 1, price => 1 } } 1 .. 60 ]);
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 12 AND purpose = 'find products'"), 0, 'what is known is not asked again');
sql('DELETE FROM salesdrive.bas_product');
deliver(13, sum => 60, lines => [ map { { sku => sprintf('SKU-%04d', $_), amount => 1, price => 1 } } 1 .. 60 ]);
sql("SELECT salesdrive.ingest(10); SELECT count(*) FROM salesdrive.claim(10); INSERT INTO salesdrive.profile_entity (profile, concept, entity_set) VALUES ('unf', 'product', NULL)");
deliver(14);
run_engine();
is(parked(13), 'parked setting', 'a profile that names no goods any more ends the searches');
is(sql("SELECT count(*) FROM salesdrive.task WHERE kind = 'order' AND state <> 'parked'"), 0, 'and keeps nothing else from going on');
sql("DELETE FROM salesdrive.profile_entity WHERE origin = 'user'; SELECT salesdrive.resume_parked('shop')");
run_engine();
is(status(13, 'state'), 'synced', 'when it names them again they are found');

# goods that are not clear
deliver(20, lines => [ { sku => 'SKU-9001', amount => 1, price => 120 } ]);
deliver(21, lines => [ { sku => 'SKU-9002', amount => 1, price => 120 } ]);
deliver(22, lines => [ { sku => "O'NEIL-7", amount => 1, price => 120 } ]);
deliver(23, lines => [ { sku => 'АРТ-ЇЖА-1', amount => 1, price => 120 } ]);
deliver(24, lines => [ { sku => 'SKU-9005', amount => 1, price => 120 } ]);
deliver(25, lines => [ { sku => '', amount => 1, price => 120 } ]);
run_engine();
is(parked(20), 'parked product_several', 'an article on two products: parked');
like(status(20, 'hint'), qr/product_pin/, 'to be pinned');
is(parked(21), 'parked product_unknown', 'a product marked for deletion does not count');
like(status(21, 'detail'), qr/marked for deletion/, 'and the sentence says so');
is(status(22, 'state') . status(23, 'state'), 'syncedsynced', 'a quote and Cyrillic letters in an article');
is(status(24, 'state'), 'synced', 'of a marked and a live product with one article the live one is meant');
is(parked(25), 'parked product_no_sku', 'a line without SKU: parked');
my $product = sql("SELECT candidates -> 0 ->> 'ref_key' FROM salesdrive.bas_product WHERE sku = 'SKU-9001'");
sql("INSERT INTO salesdrive.product_pin (infobase, sku, product) VALUES ('main', 'SKU-9001', '$product')");
run_engine();
is(sent(20, 'Запасы,0,Номенклатура_Key'), $product, 'the pin decides');
deliver_and_run(26, lines => [ { sku => 'LATE-1', amount => 1, price => 120 } ]);
is(parked(26), 'parked product_unknown', 'a product that is not there yet');
$bas->control(POST => '/load', { 'Catalog_Номенклатура' => [ { Ref_Key => '8c1f4a10-0001-11ee-8000-00000000aaaa', Description => 'Новий товар', 'Артикул' => 'LATE-1', 'ЕдиницаИзмерения_Key' => '8c1f4a10-00f3-11ee-8000-000000000001', 'СтавкаНДС_Key' => '8c1f4a10-00f2-11ee-8000-000000000001', 'ТипНоменклатуры' => 'Запас' } ] });
sql("SELECT salesdrive.resume('shop', 26)");
run_engine();
is(status(26, 'state'), 'synced', 'is found by resume() once it is made in BAS');
deliver_and_run(27, lines => [ { sku => 'SKU-9004', amount => 1, price => 120 } ]);
is(sent(27, 'Запасы,0,ТипНоменклатурыЗапас'), 'false', 'a service is marked as such');

# a discount in money is for the line or for each unit
deliver_and_run(28, lines => [ { sku => 'SKU-0001', amount => 3, price => 100, discount => 5, percentDiscount => 0 } ], sum => 285);
is(parked(28), 'parked sum', 'a discount meant for each unit does not add up as one of the line');
sql("UPDATE salesdrive.account SET money_discount = 'unit'");
run_engine();
is(status(28, 'state'), 'synced', 'the setting that the hint names lets it go on by itself');
sql("UPDATE salesdrive.account SET money_discount = 'line'");

# a phone that several counterparties share
$bas->control(POST => '/load', { 'Catalog_Контрагенты' => [ map { { Ref_Key => "8c1f4a10-00bb-11ee-8000-00000000bb0$_", Description => "Двійник $_",
	'КонтактнаяИнформация' => [ { LineNumber => 1, 'Тип' => 'Телефон', 'Вид_Key' => '8c1f4a10-00dd-11ee-8000-000000000001', 'Представление' => '+380931112200', 'НомерТелефона' => '380931112200' } ] } } 1, 2 ] });
deliver_and_run(30, phone => '093 111 22 00');
is(parked(30), 'parked counterparty_several', 'a phone that two counterparties share: parked');
like(status(30, 'detail'), qr/Двійник 1.*Двійник 2/, 'both are named');
sql("SELECT salesdrive.resume('shop', 30)");
run_engine();
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE key = '380931112200' AND purpose = 'find counterparty'"), 2, 'resume() asks the base again');
is(parked(30), 'parked counterparty_several', 'which still has both');
sql("UPDATE salesdrive.bas_counterparty_phone SET state = 'known', ref_key = '8c1f4a10-00bb-11ee-8000-00000000bb02' WHERE phone = '380931112200'");
run_engine();
is(sent(30, 'Контрагент_Key'), '8c1f4a10-00bb-11ee-8000-00000000bb02', 'and the decision lets it go on');

# SKUs that no article can be: no search is longer than a web server takes, and the base goes on
sql("UPDATE salesdrive.infobase SET max_url = 2000");
$bas->control(POST => '/config', { max_query => 2048, max_url => 4096 });
my $named = 'Довга назва товару замість артикулу ' x 9;
my $random = join '', map { sprintf '%08x', rand 2**32 } 1 .. 1000;
deliver(40, lines => [ { sku => $named, amount => 1, price => 120 } ]);
deliver(41, lines => [ { sku => $random, amount => 1, price => 120 } ]);
deliver(42, lines => [ { sku => $named, amount => 1, price => 60 }, { sku => 'SKU-0060', amount => 1, price => 60 } ]);
deliver(43);
run_engine();
is(sql("SELECT paused_reason FROM salesdrive.infobase"), '', 'a name in place of an SKU does not pause the base');
is(join(' ', map { parked($_) } 40 .. 42), join(' ', ('parked product_unknown') x 3), 'its order is parked');
is(status(43, 'state'), 'synced', 'and the others go on');
sql("UPDATE salesdrive.account SET unknown_sku = 'substitute', substitute_sku = 'SKU-0003'; SELECT salesdrive.resume('shop', n) FROM generate_series(40, 42) n");
run_engine();
is(join(' ', map { status($_, 'state') } 40 .. 42), 'synced synced synced', 'a substitute stands for it, too');
sql("UPDATE salesdrive.account SET unknown_sku = 'park'");

# an address that is too long for a proxy: shorter ones are tried, and only what cannot be shorter is parked
$bas->control(POST => '/config', { max_query => 1000, long_url_status => 414 });
sql('DELETE FROM salesdrive.bas_product');
deliver_and_run(50, sum => 60, lines => [ map { { sku => sprintf('SKU-%04d', $_), amount => 1, price => 1 } } 1 .. 60 ]);
is(status(50, 'state'), 'synced', 'an order whose searches are too long for a proxy (414) arrives');
is(sql("SELECT string_agg(DISTINCT (http_status = 414) || ' ' || (length(url) - strpos(url, '?') > 1000), ', ') FROM salesdrive.exchange_log WHERE order_id = 50 AND purpose = 'find products'"), 'false false, true true', 'by shorter ones');
is(sql('SELECT paused_at IS NULL AND max_url BETWEEN 500 AND 1000 FROM salesdrive.infobase'), 't', 'the base is not paused, and max_url says how long they are by now');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/WARNING:  searches of infobase "main" are too long/, 'a warning tells it');
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 50 AND http_status = 414"), 1, 'after one refusal');
$bas->control(POST => '/config', { max_query => 300 });
sql("DELETE FROM salesdrive.bas_product WHERE sku = 'SKU-0055'");
deliver(51, lines => [ { sku => 'SKU-0055', amount => 1, price => 120 } ]);
deliver(52);
deliver(53, lines => [ { sku => $named =~ tr/Д/Г/r, amount => 1, price => 120 } ]);
run_engine();
is(join(', ', map { parked($_) } 51, 53), 'parked denied, parked denied', 'one that cannot be shorter is parked');
is(sql("SELECT string_agg(n::text, ' ' ORDER BY order_id) FROM (SELECT order_id, count(*) AS n FROM salesdrive.exchange_log WHERE order_id IN (51, 53) AND http_status = 414 GROUP BY order_id) l"), '1 6', 'at once, or after a few attempts');
like(status(51, 'hint'), qr/too long.*max_url.*resume/s, 'and the hint says what of');
is(status(52, 'state') . sql('SELECT paused_reason FROM salesdrive.infobase'), 'synced', 'the others go on');
$bas->control(POST => '/config', { max_query => 2048, long_url_status => 404 });
sql("UPDATE salesdrive.infobase SET max_url = 2000; SELECT salesdrive.resume('shop', 51)");
run_engine();
is(status(51, 'state'), 'synced', 'resume() sends it again');
sql("SELECT salesdrive.skip('shop', 53, 'no SKU')");

is_deeply([ grep { $_->{kind} ne 'duplicate_phone' } @{ $bas->control(GET => '/state')->{violations} } ], [], 'the base reports no violation but the pair made here');

done_testing();
