# Stock of BAS in SalesDrive: by warehouse or as a total, only what changed, nothing else of the card touched; refusals narrowed down to the product;
# no answer; restarts; the guard; readings that are not whole or too old.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes ();
use SalesDrive::Goods;
use SalesDrive::Test;

my $node = new_node('push_stock', preload => 0);
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive', '--config', '{"absent_fields": "cleared"}');
my $shop = SalesDrive::Goods->new($node, crm => $crm, bas => $bas);
my $other = "SELECT count(*) FROM salesdrive.incident_open WHERE kind = 'stock_guard'";

# ---- settings

like($shop->error_of("SELECT salesdrive.push_stock('nope')"), qr/there is no account "nope"/, 'no such account');
like($shop->error_of("SELECT salesdrive.push_stock('shop')"), qr/nobody said which goods account "shop" is to get.*HINT:.*INSERT INTO salesdrive\.account_goods/s, 'no row in account_goods');
$shop->sql("INSERT INTO salesdrive.account_goods (account) VALUES ('shop')");
my $task = $shop->push('stock');
is($shop->task('stock'), 'parked setting', 'no warehouse is mapped');
like($shop->task('stock', 'hint'), qr/map_value\('shop', 'warehouse'/, 'what to do');
like($shop->sql("SELECT string_agg(problem, ' ') FROM salesdrive.check('shop')"), qr/No warehouse of BAS is mapped to a stock/, 'check() says so too');
$shop->sql("SELECT salesdrive.map_value('shop', 'warehouse', '1', 'Основний'), salesdrive.map_value('shop', 'warehouse', '2', 'Магазин', direction => 'to_crm')");

# ---- what is known, and what is sent

my %first = (name => 'Ложка', costPerItem => 10, description => 'Тримати', images => [ { fullsize => 'https://example.com/a.jpg' } ], category => 3, stockBalanceByStock => { 1 => 99, 7 => 5 });
$crm->control(POST => '/products', { products => { map { $_ => {%first} } qw(SPOON p-2 p-3 p-4 p-5 p-6) } });
$shop->good(1, sku => 'SPOON', stock => 12.5);
$shop->good(2, sku => 'FORK', stock => 7);
$shop->stock(2, 3, warehouse => 9002, reserved => 1);
$shop->stock(2, 50, warehouse => 9003);
$shop->good(3, sku => 'KNIFE');
$shop->good(4, sku => 'PLATE', stock => -4);
$shop->good(5, sku => 'BOWL', stock => 5);
$shop->stock(5, 2, characteristic => 501);
$shop->good(6, sku => 'NOBODY', stock => 1);
$shop->good(7, name => 'Без артикула', stock => 1);
$shop->good(8, sku => 'TWICE', name => 'Перший', stock => 1);
$shop->good(9, sku => 'twice', name => 'Другий', stock => 1);
$shop->good(10, sku => 'OLD', deleted => 1, stock => 1);
$shop->good(11, sku => 'WORK', is_stock => 'false');
$shop->good(12, sku => 'BARE', stock => 4);
# what orders tell of cards
my $lines = join ',', map { my ($id, $parameter, $sku) = @$_; qq({"productId": $id, "parameter": $parameter, "sku": "$sku", "text": "x", "amount": 1, "price": 1, "discount": 0, "percentDiscount": 0}) }
  [ 51, '"SPOON"', 'SPOON' ], [ 52, '"p-2"', 'FORK' ], [ 53, '"p-3"', 'KNIFE' ], [ 54, '"p-4"', 'PLATE' ], [ 55, '"p-5"', 'BOWL' ], [ 57, '""', 'BARE' ];
$shop->sql(qq(SELECT salesdrive.accept_webhook('shop', '{"data": {"id": 1, "version": 1, "orderTime": "2026-11-20 14:46:24", "updateAt": "2026-11-20 14:46:31", "paymentAmount": 6, "products": [$lines]}}')));
$shop->sql('SELECT salesdrive.ingest(10)');
$shop->push('stock');
is($shop->run('stock'), 'done 5 5 0', 'goods that SalesDrive has cards of are sent');
is($shop->requests, 1, 'in one request');
is_deeply($shop->card('p-2'), { %first, stockBalanceByStock => { 1 => 7, 2 => 2, 7 => 5 } }, 'stock by warehouse, without what is reserved; all else of the card is as it was');
is_deeply([ map { $shop->card($_)->{stockBalanceByStock} } qw(SPOON p-3 p-4 p-5 p-6) ], [ { 1 => 12.5, 2 => 0, 7 => 5 }, { 1 => 0, 2 => 0, 7 => 5 }, { 1 => 0, 2 => 0, 7 => 5 }, { 1 => 7, 2 => 0, 7 => 5 }, { 1 => 99, 7 => 5 } ], 'pieces; none in the register is 0; below 0 is 0; characteristics count; a card of no good is left alone');
is($shop->ignored, '', 'nothing was ignored');
is(join(' ', sort keys %{ $shop->cards }), 'SPOON p-2 p-3 p-4 p-5 p-6', 'no card was made');
is_deeply([ sort split /, /, $shop->unsent ], [ sort 'card Без артикула no_sku', 'card TWICE sku_twice', 'card twice sku_twice', 'card BARE card_without_id', 'card NOBODY unknown' ], 'what is not sent is listed, with its reason');
like($shop->sql("SELECT string_agg(hint, ' ') FROM salesdrive.unsent_good"), qr/unmatched to export/, 'and what to do');
is($shop->sql("SELECT crm_id || ' ' || known_from FROM salesdrive.crm_product WHERE product_id = 'p-2'"), '52 order', 'the number of the card is known');

# ---- only what changed

$shop->push('stock');
is($shop->run('stock') . ' ' . $shop->requests, 'done 0 0 0 1', 'pushed again: nothing is sent');
$shop->stock(2, 8);
$shop->sql("UPDATE salesdrive.bas_stock SET quantity = 12.500 WHERE product = '" . $shop->key(1) . "'; UPDATE salesdrive.bas_good SET name = 'Інша назва' WHERE ref_key = '" . $shop->key(2) . "'");
$shop->push('stock');
is($shop->run('stock') . ' ' . $shop->requests, 'done 1 1 0 2', 'one changed, one is sent');
is_deeply([ @{ $shop->card('p-2') }{qw(name stockBalanceByStock)} ], [ 'Ложка', { 1 => 8, 2 => 2, 7 => 5 } ], 'its stock, not its name');
is($crm->control(GET => '/products')->{requests}[-1]{kept}[-1], 'width', 'every other field is guarded');
ok(!(grep { /^(stock|costPerItem)/ } @{ $crm->control(GET => '/products')->{requests}[-1]{kept} }), 'by the name it has there');
ok((grep { $_ eq 'price' } @{ $crm->control(GET => '/products')->{requests}[-1]{kept} }), '"price" of the price');
$shop->sql("SELECT salesdrive.push_stock('shop')");
my $copy = $shop->sql("SELECT to_jsonb(s) - 'accepted_at' FROM salesdrive.product_sync s WHERE product_id = 'p-2'");
is($shop->sql("SELECT count(*) FROM salesdrive.pushed_good WHERE what = 'stock' AND state = 'accepted' AND stock IS NOT NULL"), 5, 'stock as exchanged last');

# ---- readings that are not whole, or too old

$shop->sql("UPDATE salesdrive.goods_snapshot SET asked_at = asked_at - interval '1 min', complete_at = complete_at - interval '1 min' WHERE what = 'stock'");
$shop->stock(2, 9);
$shop->run_engine;
is($shop->task('stock', 'state, reason, blocked_on') . ' ' . $shop->requests, 'ready goods goods:main:stock 2', 'a reading from before is not pushed: it waits for another');
$shop->sql("UPDATE salesdrive.goods_snapshot SET asked_at = salesdrive.clock() WHERE what = 'stock'; UPDATE salesdrive.task SET run_at = salesdrive.clock() WHERE kind = 'push'");
$shop->run_engine;
is($shop->task('stock') . ' ' . $shop->requests, 'ready goods 2', 'nor one that is under way');
$shop->sql("DELETE FROM salesdrive.goods_snapshot WHERE what = 'stock'; UPDATE salesdrive.task SET run_at = salesdrive.clock() WHERE kind = 'push'");
$shop->run_engine;
is($shop->task('stock') . ' ' . $shop->requests, 'ready goods 2', 'nor where none was ever made');
$shop->read_all;
$shop->sql("UPDATE salesdrive.goods_snapshot SET asked_at = asked_at - interval '2 days', complete_at = complete_at - interval '2 days' WHERE what = 'catalog'; UPDATE salesdrive.task SET run_at = salesdrive.clock() WHERE kind = 'push'");
$shop->run_engine;
is($shop->task('stock', 'blocked_on'), 'goods:main:catalog', 'nor with names older than account_goods.catalog_age');
$shop->read_all;
$shop->sql("UPDATE salesdrive.task SET run_at = salesdrive.clock() WHERE kind = 'push'");
$shop->run_engine;
is($shop->run('stock') . ' ' . $shop->card('p-2')->{stockBalanceByStock}{1}, 'done 1 1 0 9', 'whole and fresh, it is');

# ---- options

$shop->sql("UPDATE salesdrive.account_goods SET reserves = 'keep', negative_stock = 'keep'");
$shop->push('stock');
is_deeply([ map { $shop->card($_)->{stockBalanceByStock} } qw(p-2 p-4) ], [ { 1 => 9, 2 => 3, 7 => 5 }, { 1 => -4, 2 => 0, 7 => 5 } ], 'reserves and stock below 0, where asked for');
$shop->sql("UPDATE salesdrive.account_goods SET reserves = 'subtract', negative_stock = 'zero', stock_by = 'total', stock_guard = 1");
$shop->push('stock');
is($shop->card('p-2')->{stockBalance} . ' ' . $shop->card('p-3')->{stockBalance}, '61 0', 'as a total, of all warehouses');
$shop->sql("UPDATE salesdrive.account_goods SET total_of = ARRAY['" . $shop->key(9001) . "', '" . $shop->key(9002) . "']::uuid[]");
$shop->push('stock');
is($shop->card('p-2')->{stockBalance}, 11, 'or of some');
$shop->sql("UPDATE salesdrive.account_goods SET stock_by = 'warehouse', total_of = NULL");
$shop->push('stock');
is_deeply($shop->card('p-2')->{stockBalanceByStock}, { 1 => 9, 2 => 2 }, 'and back');
$shop->sql("UPDATE salesdrive.account_goods SET stock_guard = 0.3; SELECT salesdrive.map_value('shop', 'warehouse', '5', 'Основний')");
like($shop->sql("SELECT string_agg(problem, ' ') FROM salesdrive.check('shop')"), qr/Stock 5 of SalesDrive gets nothing: its warehouse counts for stock 1/, 'nothing counts twice, and check() says so');
like($shop->sql("SELECT string_agg(problem, ' ') FROM salesdrive.check('shop')"), qr/1 goods are in stock there, and the warehouse is no stock of SalesDrive/, 'check() names a warehouse that is not mapped');
$shop->sql("DELETE FROM salesdrive.value_map WHERE crm_key = '5'");
# which goods
$shop->good(900, is_folder => 1, name => 'Посуд');
$shop->good(901, is_folder => 1, name => 'Столове', folder => 900);
$shop->good(1, sku => 'SPOON', folder => 901, data => '{"ВыгружатьНаСайт": true}');
$shop->sql("UPDATE salesdrive.account_goods SET folders = ARRAY['" . $shop->key(900) . "']::uuid[]");
$shop->push('stock');
is($shop->run('stock', 'goods'), 1, 'only goods of a folder, and of those in it');
$shop->sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('unf', 'product', 'on_site', 'ВыгружатьНаСайт'); UPDATE salesdrive.account_goods SET folders = NULL, condition = '{\"ВыгружатьНаСайт\": true}'");
$shop->push('stock');
is($shop->run('stock', 'goods'), 1, 'only goods with a flag');
$shop->sql("UPDATE salesdrive.account_goods SET condition = '{}'");

# what leaves the catalog cannot be sold
$shop->sql('UPDATE salesdrive.account_goods SET stock_guard = 1');
$shop->sql("UPDATE salesdrive.bas_good SET deleted = true WHERE ref_key = '" . $shop->key(5) . "'");
$shop->push('stock');
is_deeply($shop->card('p-5')->{stockBalanceByStock}, { 1 => 0, 2 => 0 }, 'marked for deletion: 0');
$shop->sql("UPDATE salesdrive.bas_good SET deleted = false WHERE ref_key = '" . $shop->key(5) . "'");
$shop->push('stock');
is($shop->card('p-5')->{stockBalanceByStock}{1}, 7, 'and back again');
$shop->sql('UPDATE salesdrive.account_goods SET stock_guard = 0.3');
# a pin says which good an SKU means
$shop->sql("INSERT INTO salesdrive.product_pin (infobase, sku, product) VALUES ('main', 'TWICE', '" . $shop->key(8) . "'); INSERT INTO salesdrive.crm_product (account, product_id, sku) VALUES ('shop', 'p-6', 'TWICE')");
$shop->push('stock');
is($shop->card('p-6')->{stockBalanceByStock}{1}, 1, 'a pinned SKU is no longer unclear');
# an article changed in BAS
$shop->good(2, sku => 'FORK-2');
$shop->stock(2, 20);
$shop->push('stock');
is($shop->card('p-2')->{stockBalanceByStock}{1}, 20, 'the card stays that of its good when the article changes');
# two cards of one SKU
$shop->sql("INSERT INTO salesdrive.crm_product (account, product_id, sku, known_from) VALUES ('shop', 'x-1', 'NOBODY', 'order'), ('shop', 'x-2', 'NOBODY', 'order')");
like($shop->sql("SELECT string_agg(problem || hint, ' ') FROM salesdrive.check('shop')"), qr/\d goods are not sent\..*unsent_good/, 'check() counts what is not sent');
like($shop->unsent, qr/NOBODY card_twice/, 'two cards with one SKU are not guessed between');
$shop->sql("DELETE FROM salesdrive.crm_product WHERE product_id LIKE 'x-%'");

# ---- the same, whichever goods are looked at with it

is($shop->slices_differ, '', 'what a good is to have does not depend on those it is looked at with');

# ---- many: how long, how many requests

$shop->sql("INSERT INTO salesdrive.bas_good (infobase, ref_key, sku, name, data, read_at) SELECT 'main', ('10000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'M' || n, 'Товар ' || n, '{}', now() FROM generate_series(1, 250) n;
	INSERT INTO salesdrive.bas_stock (infobase, product, warehouse, quantity, read_at) SELECT 'main', ('10000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, '" . $shop->key(9001) . "', n, now() FROM generate_series(1, 250) n;
	INSERT INTO salesdrive.crm_product (account, product_id, sku) SELECT 'shop', 'M' || n, 'M' || n FROM generate_series(1, 250) n");
my $before = $shop->requests;
$shop->push('stock');
is($shop->run('stock') . ' ' . ($shop->requests - $before), 'done 250 250 0 3', '250 products: three requests');
$before = $shop->requests;
$shop->sql("UPDATE salesdrive.bas_stock SET quantity = quantity + 1 WHERE product::text LIKE '10000000%' AND quantity <= 101");
$shop->push('stock');
is($shop->run('stock') . ' ' . ($shop->requests - $before), 'done 101 101 0 2', '101 changed: two');

# ---- in slices: orders go on meanwhile

my $slice = $shop->sql('SELECT salesdrive.push_slice()');
my $many = $slice + 50;
my $key_of = "md5('s' || n)::uuid";
$shop->sql("INSERT INTO salesdrive.bas_good (infobase, ref_key, sku, name, data, read_at) SELECT 'main', $key_of, 'S' || n, 'Товар ' || n, '{}', now() FROM generate_series(1, $many) n;
	INSERT INTO salesdrive.bas_stock (infobase, product, warehouse, quantity, read_at) SELECT 'main', $key_of, '" . $shop->key(9001) . "', 10, now() FROM generate_series(1, $many) n;
	INSERT INTO salesdrive.crm_product (account, product_id, sku) SELECT 'shop', 'S' || n, 'S' || n FROM generate_series(1, $many) n");
sub ask { my ($what) = @_; my $task = $shop->sql("SELECT salesdrive.push_stock('shop')"); $shop->read_all; $shop->turn; return $task }
sub placed { my ($at, $columns) = @_; return $shop->sql("SELECT " . ($columns // 'sku') . " FROM salesdrive.bas_good WHERE sku ~ '^S\\d' ORDER BY ref_key" . ($at eq 'last' ? ' DESC' : '') . ' LIMIT 1') }
my ($first_good, $last_good) = (placed('first'), placed('last'));
$before = $shop->requests;
ask();
is($shop->run('stock', "state, stage, goods + left_out < $slice + 1, ended_at") . ' ' . ($shop->requests - $before), 'comparing goods t 0', 'a turn compares one slice');
like($shop->sql("SELECT salesdrive.task_progress(id) FROM salesdrive.task WHERE kind = 'push'"), qr/^\d+ products compared, \d+ to be sent\z/, 'wait() can tell how far it is');
is($shop->sql("SELECT state || ' ' || (goods > 0) FROM salesdrive.push_progress WHERE what = 'stock'"), 'comparing true', 'so does push_progress');
$node->restart;
$shop->run_engine;
is($shop->run('stock', 'state, goods, changed = sent, sent') . ' ' . ($shop->requests - $before), "done @{[ $many + 256 ]} t $many " . int(($many + 99) / 100), 'a restart in the middle: it goes on; all are compared once, and requests are full') or diag($shop->run('stock', 'to_jsonb(push_run)'));

# cancelled in the middle
$shop->sql("UPDATE salesdrive.bas_stock SET quantity = 11 WHERE product IN (SELECT ref_key FROM salesdrive.bas_good WHERE sku ~ '^S\\d')");
ask();
is($shop->run('stock', 'state, changed > 0') . $shop->sql("SELECT salesdrive.cancel_push('shop', 'stock')"), 'comparing tt', 'cancelled in the middle');
$before = $shop->requests;
$shop->run_engine;
is($shop->run('stock', 'state') . ' ' . ($shop->requests - $before), 'cancelled 0', 'nothing is sent');
$shop->push('stock');
is($shop->run('stock'), "done $many $many 0", 'the next push compares all anew');

# a reading put in place in the middle: what was compared before is compared again
$shop->sql("UPDATE salesdrive.bas_stock SET quantity = 12 WHERE product IN (SELECT ref_key FROM salesdrive.bas_good WHERE sku IN ('$first_good', '$last_good'))");
ask();
$shop->sql("UPDATE salesdrive.bas_stock SET quantity = 13 WHERE product IN (SELECT ref_key FROM salesdrive.bas_good WHERE sku IN ('$first_good', '$last_good'))");
$shop->read_all;
$shop->run_engine;
is(join(' ', $shop->run('stock'), map { $shop->card($_)->{stockBalanceByStock}{1} } $first_good, $last_good), 'done 2 2 0 13 13', 'a new reading in the middle: one state of stock is compared, and sent');
ask();
$shop->sql("UPDATE salesdrive.account_goods SET stock_by = 'total', stock_guard = 1");
$shop->run_engine;
is($shop->run('stock', 'state, goods = changed, sent = changed'), 'done t t', 'a setting in the middle: none goes by the old one');
$shop->sql("UPDATE salesdrive.account_goods SET stock_by = 'warehouse', stock_guard = 0.3");
$shop->push('stock');
# what a stopped run left to be sent is not sent by the next
$shop->sql("UPDATE salesdrive.bas_stock SET quantity = 0 WHERE product IN (SELECT ref_key FROM salesdrive.bas_good WHERE sku ~ '^S\\d')");
$shop->push('stock');
like($shop->task('stock', 'detail'), qr/^It would set \d+ of \d+ products in stock to 0 \(\d\d\.\d+ %; .*\. $many products would be sent\./, 'the guard judges all of it') or diag($shop->run('stock', 'to_jsonb(push_run)'));
is($shop->sql("SELECT count(*) FROM salesdrive.incident_open WHERE kind = 'stock_guard' AND count >= $many"), 1, 'the incident counts all');
$shop->sql("UPDATE salesdrive.bas_stock SET quantity = 11 WHERE product IN (SELECT ref_key FROM salesdrive.bas_good WHERE sku ~ '^S\\d'); UPDATE salesdrive.bas_stock SET quantity = 13 WHERE product IN (SELECT ref_key FROM salesdrive.bas_good WHERE sku IN ('$first_good', '$last_good'))");
$before = $shop->requests;
$shop->push('stock');
is($shop->run('stock', 'state') . ' ' . ($shop->requests - $before), 'done 0', 'mended: nothing of what was stopped is sent') or diag($shop->run('stock', 'to_jsonb(push_run)'));
$shop->sql("DELETE FROM salesdrive.bas_good WHERE sku ~ '^S\\d'; DELETE FROM salesdrive.crm_product WHERE product_id ~ '^S\\d'; DELETE FROM salesdrive.product_sync WHERE product_id ~ '^S\\d'; DELETE FROM salesdrive.bas_stock WHERE product NOT IN (SELECT ref_key FROM salesdrive.bas_good)");
$shop->push('stock');

# ---- refused

sub touch { return $shop->sql("UPDATE salesdrive.bas_stock SET quantity = quantity + 1 WHERE product::text LIKE '10000000%' AND quantity > 150") }
for my $form ([ 'status', 'request' ], [ '400', 'request' ], [ 'status', 'message' ])
{
	$shop->config(product_refusal => $form->[0], bad_form => $form->[1], bad_products => { M222 => 'Товар M222 заблоковано', M240 => 'no such stock' });
	touch();
	$shop->push('stock');
	like($shop->run('stock', 'state, sent, failed'), qr/^done \d\d 2$/, "refused ($form->[0], $form->[1]): the others are taken");
	like($shop->sync('stock', 'M222') . '; ' . $shop->sync('stock', 'M240'), qr/^refused .*M222 заблоковано.*; refused .*no such stock$/s, 'those refused are kept with the words of SalesDrive');
	is($shop->card('M223')->{stockBalanceByStock}{1}, $shop->sql("SELECT quantity FROM salesdrive.bas_stock WHERE product::text LIKE '10000000%0223'"), 'their neighbour is right');
	$before = $shop->requests;
	$shop->push('stock');
	is($shop->requests - $before, 0, 'refused ones are not sent again by themselves');
}
is($shop->sql("SELECT salesdrive.push_again('shop', 'stock')"), 2, 'unless asked for');
$shop->config(bad_products => {});
$shop->push('stock');
is($shop->sync('stock', 'M222') . ' ' . $shop->sync('stock', 'M240'), 'accepted accepted', 'then they are');
is($shop->sql("SELECT fails FROM salesdrive.product_sync WHERE product_id = 'M240' AND what = 'stock'"), 0, 'and all is forgotten');
like($shop->error_of("SELECT salesdrive.push_again('shop', 'stock', 'nope')"), qr/product "nope" was never sent/, 'of a product never sent');
$shop->config(product_message => 'short');
touch();
$shop->push('stock');
like($shop->run('stock'), qr/^done (\d+) \1 0$/, 'success without words is success');
$shop->config(product_message => 'list');

# everything refused: it stops
$shop->config(bad_form => 'request', bad_products => { map { ("M$_" => 'the tariff has ended') } 1 .. 250 });
touch();
$before = $shop->requests;
$shop->push('stock');
is($shop->task('stock') . ' ' . $shop->run('stock', 'state, failed'), 'parked business parked 10', 'ten refused and none taken: it stops');
like($shop->task('stock', 'detail'), qr/SalesDrive has refused 10 products and taken none\. Of the last it says: .*the tariff has ended/, 'with the words');
$shop->config(bad_products => {});
$shop->sql("SELECT salesdrive.push_again('shop', 'stock'); SELECT salesdrive.resume(id) FROM salesdrive.task WHERE kind = 'push'");
$shop->run_engine;
like($shop->run('stock', 'state, failed'), qr/^done 10$/, 'resume() goes on with the others');
$shop->push('stock');
is($shop->run('stock'), 'done 10 10 0', 'those refused go with the next');

# ---- no answer

$shop->sql("UPDATE salesdrive.account_api SET total_timeout = '1 min'");    # what has no answer is in doubt for twice that
touch();
$shop->fault(action => 'reset_after', times => 1);
$before = $shop->requests;
$shop->push('stock');
is($shop->task('stock') . ' ' . ($shop->requests - $before), 'ready unsure 1', 'no answer: nothing more is sent for now');
is($shop->sql("SELECT count(*) FROM salesdrive.product_sync WHERE what = 'stock' AND state = 'sent'") > 50, 1, 'what was sent is in doubt');
$shop->sql("UPDATE salesdrive.bas_stock SET quantity = 1000 WHERE product::text LIKE '10000000%0200'");
$shop->read_all;
$shop->sql("SELECT salesdrive.push_stock('shop')");
$shop->run_engine;
is($shop->requests - $before, 1, 'also when asked for again');
$shop->later(125);
my ($sent) = map { $_->{ids} } $crm->control(GET => '/products')->{requests}[-1];
$shop->run_engine;
is($shop->requests - $before, 2, 'when it can be at work no more, it is sent again');
is_deeply([ map { $_->{ids} } $crm->control(GET => '/products')->{requests}[-1] ], [$sent], 'the same');
isnt($shop->card('M200')->{stockBalanceByStock}{1}, 1000, 'as it was: the newer value belongs to the push asked for meanwhile');
$shop->read_all;
$shop->sql("UPDATE salesdrive.task SET run_at = salesdrive.clock() WHERE kind = 'push'");
$shop->run_engine;
is($shop->card('M200')->{stockBalanceByStock}{1} . ' ' . $shop->task('stock'), '1000 ', 'which follows');
for my $form ([ 'html_ok' ], [ 'status', status => 502 ], [ 'truncate' ])
{
	my ($action, @more) = @$form;
	touch();
	$shop->fault(action => $action, @more, times => 1);
	$shop->push('stock');
	is($shop->task('stock'), 'ready unsure', "$action: no answer");
	$shop->later(125);
	$shop->run_engine;
	like($shop->run('stock'), qr/^done (\d+) \1 0$/, 'sent again');
}
touch();
$shop->fault(action => 'throttle', retry_after => 30, times => 1);
$shop->push('stock');
is($shop->task('stock'), 'ready quota', '429: it waits as long as SalesDrive says') or diag($shop->task('stock', 'detail'));
$shop->later(31);
$shop->run_engine;
like($shop->run('stock'), qr/^done (\d+) \1 0$/, 'and goes on');
touch();
$shop->sql("UPDATE salesdrive.bas_stock SET quantity = 5000 WHERE product::text LIKE '10000000%0200'");
$shop->fault(action => 'throttle', retry_after => 60, times => 1);
$shop->push('stock');
$shop->sql("UPDATE salesdrive.bas_stock SET quantity = 6000 WHERE product::text LIKE '10000000%0200'");
$shop->later(2 * 3600);
$before = $shop->requests;
$shop->run_engine;
is($shop->task('stock') . ' ' . ($shop->requests - $before), 'ready goods 0', 'what was read two hours ago is not sent any more');
$shop->read_all;
$shop->sql("UPDATE salesdrive.task SET run_at = salesdrive.clock() WHERE kind = 'push'");
$shop->run_engine;
is($shop->card('M200')->{stockBalanceByStock}{1} . ' ' . $shop->run('stock', 'state, changed = sent'), '6000 done t', 'but read anew');
touch();
$crm->control(POST => '/faults', { path => 'POST /product-handler/', action => 'status', status => 200, body => 'json', text => '{"status":"error","message":"api key is invalid"}', times => 1 });
$shop->push('stock');
is($shop->sql("SELECT state FROM salesdrive.api_status WHERE account = 'shop'"), 'paused', 'a key refused pauses the API');
$shop->sql("SELECT salesdrive.unpause_api('shop')");
$shop->run_engine;
like($shop->run('stock'), qr/^done (\d+) \1 0$/, 'nothing is lost by it');
$shop->sql("UPDATE salesdrive.account_api SET total_timeout = '2 s'");

# ---- the guard

$before = $shop->requests;
$shop->sql("CREATE TABLE kept AS TABLE salesdrive.bas_stock; DELETE FROM salesdrive.bas_stock WHERE product::text > '10000000-0000-4000-8000-000000000150'");
$shop->push('stock');
is($shop->run('stock', 'state, round(share, 2)') . ' ' . $shop->task('stock') . ' ' . ($shop->requests - $before), 'guarded 0.39 parked guard 0', 'more than account_goods.stock_guard would be set to 0: it stops before the first request') or diag($shop->run('stock', 'guard_text'));
like($shop->task('stock', 'detail'), qr/^It would set 1\d\d of 25\d products in stock to 0 \(\d+\.\d+ %; account_goods\.stock_guard is 30 %\)\. 1\d\d products would be sent\. .*M\d+ Товар \d+: \d+ → 0;/, 'it says what it would have done, with examples');
is($shop->sql("SELECT subject || ' ' || (count >= 100) FROM salesdrive.incident_open WHERE kind = 'stock_guard'"), 'shop true', 'an incident is open');
like($shop->sql("SELECT text || hint FROM salesdrive.incident_open WHERE kind = 'stock_guard'"), qr/stopped before its first request.*allow_push\(\d+\)/, 'with what to do');
like($shop->sql("SELECT string_agg(problem, ' ') FROM salesdrive.check('shop')"), qr/It is stopped: It would set/, 'check() tells, too');
$shop->push('stock');
is($shop->run('stock', 'state') . ' ' . ($shop->requests - $before), 'guarded 0', 'asked for once more, it stops once more');
like($shop->error_of('SELECT salesdrive.allow_push(0)'), qr/push 0 is not stopped by a guard.*none of this number/s, 'a number that is none');
$shop->sql("SELECT salesdrive.allow_push(id) FROM salesdrive.push_run WHERE state = 'guarded'");
$shop->read_all;
$shop->run_engine;
like($shop->run('stock', 'state, sent'), qr/^done 1\d\d$/, 'allow_push() lets it go');
is($shop->card('M200')->{stockBalanceByStock}{1} . ' ' . $shop->sql($other), '0 0', 'it is done, the incident over');
$shop->sql('TRUNCATE salesdrive.bas_stock; INSERT INTO salesdrive.bas_stock TABLE kept');
$shop->push('stock');
like($shop->run('stock'), qr/^done 1\d\d 1\d\d 0$/, 'stock that comes back is no matter for it');
$shop->sql("DELETE FROM salesdrive.bas_stock WHERE product::text > '10000000-0000-4000-8000-000000000150'");
$shop->push('stock');
is($shop->run('stock', 'state'), 'guarded', 'what was allowed once is not allowed for ever');
$shop->sql("UPDATE salesdrive.account_goods SET stock_guard = 0.5");
$shop->run_engine;
is($shop->task('stock'), 'ready goods', 'with a larger share it reads afresh');
$shop->read_all;
$shop->sql("UPDATE salesdrive.task SET run_at = salesdrive.clock() WHERE kind = 'push'");
$shop->run_engine;
is($shop->run('stock', 'state') . ' ' . $shop->sql($other), 'done 0', 'and goes by itself');
$shop->sql("UPDATE salesdrive.account_goods SET stock_guard = 0.3; TRUNCATE salesdrive.bas_stock; INSERT INTO salesdrive.bas_stock TABLE kept");
$shop->push('stock');
$shop->sql("TRUNCATE salesdrive.bas_stock");
$shop->push('stock');
is($shop->run('stock', 'state'), 'guarded', 'an empty answer');
$shop->sql('INSERT INTO salesdrive.bas_stock TABLE kept');
$shop->push('stock');
is($shop->run('stock') . ' ' . $shop->sql($other), 'done 0 0 0 0', 'mended in BAS: the next push goes by itself');

# ---- cancelled; a restart in the middle

touch();
$shop->fault(action => 'hang', times => 1);
my $slow = $shop->sql("SELECT salesdrive.push_stock('shop')");
$shop->read_all;
like($shop->error_of("SET statement_timeout = '600 s'; CALL salesdrive.wait($slow, '1 s')"), qr/NOTICE:  task \d+ is in_flight, attempt \d+: 0 of \d+ products taken, 1 requests.*not done/s, 'wait() shows how far it is');
is($shop->sql("SELECT concat_ws(' ', state, changed > 90, sent, left_over > 90) FROM salesdrive.push_progress WHERE what = 'stock'"), 'sending t 0 t', 'so does push_progress');
is($shop->sql("SELECT salesdrive.cancel_push('shop', 'stock')") . $shop->sql("SELECT salesdrive.cancel_push('shop', 'stock')"), 'tf', 'cancel_push() ends it');
$before = $shop->requests;
$shop->later(20);
$shop->run_engine;
is($shop->run('stock', 'state') . $shop->task('stock') . ($shop->requests - $before), 'cancelled0', 'nothing more is sent');
$shop->push('stock');
like($shop->run('stock'), qr/^done (\d+) \1 0$/, 'the next push sends what is left, what was in doubt too');
is($shop->sql("SELECT string_agg(DISTINCT state, ' ') FROM salesdrive.product_sync WHERE what = 'stock'"), 'accepted', 'all is taken');

$shop->sql("UPDATE salesdrive.bas_stock SET quantity = quantity + 7 WHERE product::text LIKE '10000000%'");
$before = $shop->requests;
$crm->control(DELETE => '/faults');
$shop->fault(action => 'hang_after', nth => 2);
$shop->sql("UPDATE salesdrive.account_api SET total_timeout = '1 min'; SELECT salesdrive.push_stock('shop')");    # it hangs until the server dies
$shop->read_all;
$shop->sql('SELECT salesdrive.start_workers()');
ok(wait_for('the second request', sub { $shop->requests - $before == 2 }), 'a push by workers');
my $pid = $shop->sql("SELECT pid FROM salesdrive.worker_status WHERE role = 'exchanger'");
kill 'KILL', $pid;
ok(wait_for('the server', sub { eval { $shop->sql('SELECT 1'); 1 } && $shop->sql("SELECT count(*) FROM salesdrive.task WHERE kind = 'push' AND state = 'in_flight'") <= 1 }), 'kill -9 in the middle');
$node->restart;
$crm->control(DELETE => '/faults');
$shop->later(125);
$shop->run_engine;
$shop->sql("UPDATE salesdrive.account_api SET total_timeout = '2 s'");
is($shop->run('stock'), 'done 250 250 0', 'after a restart it goes on where it was');
is($shop->requests - $before, 4, 'three requests, and the one in flight once more');
is($shop->card('M17')->{stockBalanceByStock}{1} - $shop->sql("SELECT quantity FROM salesdrive.bas_stock WHERE product::text LIKE '10000000%0017'"), 0, 'all is right');
is($shop->ignored, '', 'SalesDrive never ignored anything');

# ---- the first push has nothing to compare with

$shop->sql("DELETE FROM salesdrive.product_sync WHERE product_id NOT LIKE 'M1_'; DELETE FROM salesdrive.crm_product WHERE product_id NOT LIKE 'M1_'; DELETE FROM salesdrive.product_sync; TRUNCATE salesdrive.bas_stock");
$shop->push('stock');
like($shop->run('stock', 'state') . ' ' . $shop->task('stock', 'detail'), qr/^guarded The first push would give no stock to 10 of 10 products\. 10 products would be sent\. M10 Товар 10: not known → 0;/, 'none in stock at all: it is shown first');
$shop->stock(1, 1);
$shop->sql("INSERT INTO salesdrive.bas_stock SELECT * FROM kept WHERE product IN (SELECT ref_key FROM salesdrive.bas_good WHERE sku IN ('M10', 'M11'))");
$shop->push('stock');
is($shop->run('stock'), 'done 10 10 0', 'some are: it goes');

# ---- lists that the mappings name

$shop->sql("DELETE FROM salesdrive.dictionary_load WHERE dictionary = 'warehouse'; SELECT salesdrive.push_stock('shop')");
$shop->run_engine;
is($shop->task('stock', 'state, reason, blocked_on'), 'ready dictionary dictionary:main:warehouse', 'warehouses are read first');
$shop->sql("INSERT INTO salesdrive.dictionary_load VALUES ('main', 'warehouse', now()); DELETE FROM salesdrive.task WHERE kind = 'dictionary'; SELECT salesdrive.cancel_push('shop', 'stock')");
$shop->run_engine;

# ---- 100 000

$shop->sql("TRUNCATE salesdrive.bas_stock, salesdrive.bas_good, salesdrive.crm_product, salesdrive.product_sync;
	INSERT INTO salesdrive.bas_good (infobase, ref_key, sku, name, data, read_at) SELECT 'main', md5('g' || n)::uuid, 'Q' || n, 'Товар ' || n, '{\"Description\": \"x\"}', now() FROM generate_series(1, 100000) n;
	INSERT INTO salesdrive.bas_stock (infobase, product, warehouse, quantity, read_at) SELECT 'main', md5('g' || n)::uuid, w, n, now() FROM generate_series(1, 100000) n, unnest(ARRAY['" . $shop->key(9001) . "', '" . $shop->key(9002) . "']::uuid[]) w;
	INSERT INTO salesdrive.crm_product (account, product_id, sku) SELECT 'shop', 'Q' || n, 'Q' || n FROM generate_series(1, 100000) n;
	INSERT INTO salesdrive.product_sync (account, product_id, what, sku, product, characteristic, name, wanted, accepted, state, accepted_at)
	SELECT 'shop', w.product_id, 'stock', w.sku, w.product, w.characteristic, w.name, w.wanted, w.wanted, 'accepted', now() FROM salesdrive.wanted_goods('shop', 'stock') w;
	UPDATE salesdrive.bas_stock SET quantity = quantity + 1 WHERE quantity % 400 = 0");
my $began = Time::HiRes::time();
$before = $shop->requests;
ask();
is($shop->run('stock', 'state, goods'), "comparing $slice", '100 000 products: a turn compares so many, and orders go on');
$shop->run_engine;
my $took = Time::HiRes::time() - $began;
is($shop->run('stock', 'state, goods, changed, sent') . ' ' . ($shop->requests - $before), 'done 100000 250 250 3', '100 000 products compared, 250 changed: three requests');
note(sprintf '100 000 products: %.1f s', $took);
cmp_ok($took, '<', 600, 'in a time that a schedule can bear');

done_testing();
