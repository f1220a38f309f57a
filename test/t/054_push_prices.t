# Prices of BAS in SalesDrive: main price, additional prices by name, discount, cost; currencies; goods without a price; the guard; "price" is never sent.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Goods;
use SalesDrive::Test;

my $node = new_node('push_prices', preload => 0);
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive', '--config', '{"absent_fields": "cleared", "price_types": ["Опт", "Партнер"]}');
my $shop = SalesDrive::Goods->new($node, crm => $crm, bas => $bas);
my $incidents = "SELECT count(*) FROM salesdrive.incident_open WHERE kind = 'price_guard'";

$shop->sql("INSERT INTO salesdrive.account_goods (account) VALUES ('shop')");
my %first = (name => 'Чашка', description => 'Для чаю', costPerItem => 1, expenses => 77, currencyExpenses => 'EUR', stockBalanceByStock => { 1 => 3 }, discount => { value => '50%' });
$crm->control(POST => '/products', { products => { map { ("G$_" => {%first}) } 1 .. 6 } });
$shop->good($_, sku => "G$_") for 1 .. 6;
$shop->sql("INSERT INTO salesdrive.crm_product (account, product_id, sku) SELECT 'shop', 'G' || n, 'G' || n FROM generate_series(1, 6) n");
$shop->price(1, '100.5');
$shop->price(2, '200.00');
$shop->price(3, 300, currency => 7002);
$shop->price(4, 0);
$shop->price(6, 600, currency => 7003);
$shop->price($_, 90 * $_, type => 8002) for 1 .. 3;

# ---- settings

$shop->push('price');
is($shop->task('price'), 'parked setting', 'no price type is the main price');
like($shop->task('price', 'hint'), qr/INSERT INTO salesdrive\.account_price.*'main'/, 'what to do');
$shop->sql("INSERT INTO salesdrive.account_price (account, role, price_type) VALUES ('shop', 'main', 'Роздрібні')");
$shop->read_all;
$shop->run_engine;
is($shop->task('price'), 'parked setting', 'nor does one that is not there');
like($shop->task('price', 'detail'), qr/^Price type "Роздрібні" is not in the base \(there: .*Роздрібна \(P1\)/, 'the hint names those there are');
like($shop->sql("SELECT string_agg(problem, ' ') FROM salesdrive.check('shop')"), qr/Price type "Роздрібні" is not in the base/, 'as does check()');
like($shop->error_of("INSERT INTO salesdrive.account_price VALUES ('shop', 'additional', 'P2', NULL)"), qr/account_price_name/, 'an additional price has a name');
like($shop->error_of("INSERT INTO salesdrive.account_price VALUES ('shop', 'main', 'P2', NULL)"), qr/account_price_one/, 'there is one main price');

# ---- sent

$shop->sql("UPDATE salesdrive.account_price SET price_type = 'Роздрібна'");
$shop->run_engine;
is($shop->run('price'), 'done 3 3 0', 'the right one: it goes on by itself, with goods that have a price');
is_deeply([ map { [ @{ $shop->card("G$_") }{qw(costPerItem currency)} ] } 1 .. 6 ], [ [ 100.5, 'UAH' ], [ 200, 'UAH' ], [ 300, 'USD' ], ([ 1, undef ]) x 3 ], 'main price and currency; none, 0 and an unknown currency send nothing');
is_deeply($shop->card('G1'), { %first, costPerItem => 100.5, currency => 'UAH' }, 'nothing else of the card is touched');
is($shop->requests, 1, 'one request');
is_deeply([ grep { /price/i } @{ $crm->control(GET => '/products')->{requests}[-1]{keys} } ], [], '"price" is never sent');
is_deeply([ sort split /, /, $shop->unsent ], [ 'price G4 no_price', 'price G5 no_price', 'price G6 currency' ], 'goods without a price are listed');
$shop->sql("SELECT salesdrive.map_value('shop', 'currency', 'NOK', 'крона', direction => 'to_crm')");
$shop->push('price');
is("@{ $shop->card('G6') }{qw(costPerItem currency)}", '600 NOK', 'a currency that is mapped');
is($shop->run('price'), 'done 1 1 0', 'alone');

# additional prices, by name
$shop->sql("INSERT INTO salesdrive.account_price VALUES ('shop', 'additional', 'P2', 'Опт'), ('shop', 'additional', '" . $shop->key(8003) . "', 'Партнер')");
$shop->price(2, '0', type => 8002);
$shop->price(3, '250', type => 8003);
$shop->push('price');
is_deeply([ map { $shop->card("G$_")->{additionalPrices} } 1 .. 3, 6 ], [ { 'Опт' => { value => 90, currency => 'UAH' } }, {}, { 'Опт' => { value => 270, currency => 'UAH' }, 'Партнер' => { value => 250, currency => 'UAH' } }, {} ], 'additional prices by name, those of 0 left out');
is($shop->run('price', 'state, changed, share') . ' ' . $shop->sql($incidents), 'done 4 0.0000 0', 'a price that was not there before is no change of a price');
is($shop->ignored, '', 'nothing was ignored');

# discount: an object
$shop->sql("DELETE FROM salesdrive.account_price WHERE name = 'Партнер'; INSERT INTO salesdrive.account_price VALUES ('shop', 'discount', 'Акційна', NULL)");
$shop->sql("UPDATE salesdrive.account_goods SET price_guard = 1");
$shop->price(3, undef, type => 8003);
$shop->price(1, '90.45', type => 8003);
$shop->price(2, '250', type => 8003);
$shop->price(6, '200', type => 8003);
$shop->push('price');
is_deeply([ map { $shop->card("G$_")->{discount} } 1, 2, 3, 6 ], [ { value => '10%' }, undef, undef, undef ], 'the price after a discount as per cent; one above the price, or in another currency, is none');
$shop->price(6, '200', type => 8003, currency => 7003);
$shop->push('price');
is_deeply($shop->card('G6')->{discount}, { value => '66.6667%' }, 'exact to four places');
$shop->price(1, undef, type => 8003);
$shop->push('price');
is($shop->card('G1')->{discount}, undef, 'and taken away when it ends');
is($shop->ignored, '', 'nothing was ignored');

# cost
$shop->sql("INSERT INTO salesdrive.bas_cost (infobase, product, cost, read_at) VALUES ('main', '" . $shop->key(1) . "', 61.20, now())");
is($shop->card('G1')->{expenses}, 77, 'the cost is left alone');
$shop->sql("UPDATE salesdrive.account_goods SET cost = 'prices'");
$shop->push('price');
is("@{ $shop->card('G1') }{qw(expenses currencyExpenses)}", '61.2 UAH', 'unless it is asked for');
is($shop->run('price'), 'done 1 1 0', 'what has no cost is not sent for it');
$shop->push('price');
is($shop->run('price'), 'done 0 0 0', 'pushed again: nothing is sent');
$shop->sql("UPDATE salesdrive.account_goods SET cost = 'off'");
$shop->push('price');
is($shop->card('G1')->{expenses}, 61.2, 'and left alone again');

# a key that SalesDrive does not know cannot be sent, wherever it comes from
is($shop->sql(q(SELECT salesdrive.product_body('x', 'X', '{"price": 5, "cost": 4, "costPerItem": 3, "images": []}'))), '{"id": "x", "name": "X", "costPerItem": 3}', 'unknown keys, and "price", never leave');
is($shop->sql("SELECT count(*) FROM salesdrive.product_keys() WHERE key = 'price'") . ' ' . $shop->sql("SELECT string_agg(key, ' ') FROM salesdrive.product_keys() WHERE guard = 'price'"), '0 costPerItem', 'the price has its name there in dontUpdateFields alone');

# ---- the guard

$shop->sql("UPDATE salesdrive.account_goods SET price_guard = 0.5");
$shop->price($_, 100 * $_ + 1) for 1, 2;
my $before = $shop->requests;
$shop->push('price');
is($shop->run('price', 'state, share'), 'done 0.5000', 'half of the prices changed, and half may');
$shop->price($_, 10 * $_) for 1, 2, 3;
$shop->push('price');
is($shop->task('price') . ' ' . ($shop->requests - $before), 'parked guard 1', 'more than that stops before the first request');
is($shop->task('price', 'detail'), 'It would change 3 of 4 prices (75 %; account_goods.price_guard is 50 %). 3 products would be sent. G1 Товар 1: 101 → 10; G2 Товар 2: 201 → 20; G3 Товар 3: 300 → 30', 'it says what it would have done');
is($shop->sql($incidents), 1, 'an incident is open');
$shop->sql("SELECT salesdrive.cancel_push('shop', 'price')");
$shop->run_engine;
is($shop->run('price', 'state') . $shop->task('price') . $shop->sql($incidents), 'cancelled0', 'cancel_push() ends push and incident');
$shop->push('price');
$shop->sql("SELECT salesdrive.allow_push(max(run)) FROM salesdrive.push_progress");
$shop->price(6, 7);
$shop->read_all;
$shop->run_engine;
is($shop->run('price', 'state, share'), 'guarded 1.0000', 'what is allowed is the share that was shown, not any');
$shop->price(6, 600, currency => 7003);
$shop->sql("SELECT salesdrive.allow_push(max(run)) FROM salesdrive.push_progress");
$shop->read_all;
$shop->run_engine;
is($shop->run('price', 'state, sent') . ' ' . $shop->card('G3')->{costPerItem}, 'done 3 30', 'allowed');

$shop->sql("UPDATE salesdrive.account_goods SET currency = 'EUR'");
$shop->push('price');
is($shop->run('price', 'state, share'), 'guarded 0.7500', 'another currency is another price, too');
$shop->sql("UPDATE salesdrive.account_goods SET currency = 'UAH'");
$shop->push('price');
is($shop->run('price'), 'done 0 0 0', 'taken back');

# the first push has nothing to compare with
$shop->good($_, sku => "H$_", ($_ < 7 ? (price => $_) : ())) for 1 .. 6;
$shop->good(100 + $_, sku => "K$_", ($_ < 5 ? (price => $_) : ())) for 1 .. 12;
$shop->sql("DELETE FROM salesdrive.product_sync; DELETE FROM salesdrive.crm_product; INSERT INTO salesdrive.crm_product (account, product_id, sku) SELECT 'shop', 'K' || n, 'K' || n FROM generate_series(1, 12) n");
$shop->push('price');
is($shop->run('price', 'state') . ' ' . $shop->task('price', 'detail'), 'guarded The first push has no price for 8 of 12 products. 4 products would be sent. K1 Товар 101: not known → 1; K2 Товар 102: not known → 2; K3 Товар 103: not known → 3; K4 Товар 104: not known → 4', 'a first push without a price for most goods is shown first');

done_testing();
