# Cards of goods when things change hands: rules changed midway, goods replaced, pins corrected, parts and categories refused, kits taken apart,
# costs that are known no more, properties that were not read.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Goods;
use SalesDrive::Test;

my $node = new_node('cards', preload => 0);
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive');
my $shop = SalesDrive::Goods->new($node, crm => $crm, bas => $bas);
sub categories { return $crm->control(GET => '/products')->{categories} }
sub edit { my ($id, %fields) = @_; return $crm->control(POST => '/products', { products => { $id => { %{ $shop->card($id) }, %fields } } }) }

$shop->sql("INSERT INTO salesdrive.account_goods (account, unmatched) VALUES ('shop', 'export')");

# ---- a good replaced by another, a pin corrected

$shop->sql("INSERT INTO salesdrive.crm_product (account, product_id, sku) VALUES ('shop', '1042', 'DISH')");
$shop->good(10, sku => 'DISH', name => 'Тарілка', stock => 5);
$shop->sql("UPDATE salesdrive.account_goods SET stock_by = 'total', product_id = 'code', stock_guard = 1");
$shop->push('card');
$shop->push('stock');
$shop->good(10, sku => 'DISH', name => 'Тарілка (дубль)', deleted => 1);
$shop->good(11, sku => 'DISH', name => 'Тарілка нова', stock => 7);
$shop->push('card');
$shop->push('stock');
is(join(' ', @{ $shop->card('1042') }{qw(name stockBalance)}), 'Тарілка нова 7', 'a good marked for deletion and made anew: the card goes with the article');
ok(!exists $shop->cards->{C00011}, 'no second card');
is($shop->sql("SELECT product FROM salesdrive.crm_product WHERE product_id = '1042'"), $shop->key(11), 'and is remembered');
$shop->good(12, sku => 'PAN', name => 'Каструля');
$shop->good(13, sku => 'POT', name => 'Горщик');
$shop->sql("UPDATE salesdrive.account_goods SET product_id = 'sku'; INSERT INTO salesdrive.crm_product (account, product_id, sku) VALUES ('shop', 'B-1', 'BOIL'); INSERT INTO salesdrive.product_pin (infobase, sku, product) VALUES ('main', 'BOIL', '" . $shop->key(12) . "')");
$shop->push('card');
is($shop->card('B-1')->{name}, 'Каструля', 'a card whose SKU is pinned');
$shop->sql("UPDATE salesdrive.product_pin SET product = '" . $shop->key(13) . "' WHERE sku = 'BOIL'");
$shop->push('card');
is(join('; ', map { join ' ', @{ $shop->card($_) }{qw(name sku)} } qw(B-1 PAN POT)), 'Горщик BOIL; Каструля PAN; Горщик POT', 'pinned to another good, it is a card of that one');

done_testing();
