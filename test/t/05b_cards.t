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

# ---- what BAS owns, given away and taken back

$shop->good(1, sku => 'CUP', name => 'Чашка');
$shop->good(2, sku => 'MUG', name => 'Кухоль');
$shop->push('card');
$shop->sql("UPDATE salesdrive.account_goods SET owns = '{sku,category}'");
$shop->good(1, sku => 'CUP', name => 'Чашка біла');
$shop->push('card');
is($shop->run('card'), 'done 0 0 0', 'a name that BAS does not own is no difference');
is($shop->card('CUP')->{name}, 'Чашка', 'and stays');
$shop->sql("UPDATE salesdrive.account_goods SET owns = '{name,sku,category}'");
$shop->push('card');
is($shop->card('CUP')->{name} . '; ' . $shop->run('card'), 'Чашка біла; done 2 2 0', 'owned again, it is sent: what happened to it meanwhile is not known');
$shop->sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('unf', 'product', 'comment', 'Описание'); INSERT INTO salesdrive.card_field (account, field, source) VALUES ('shop', 'description', 'Описание')");
$shop->sql(q(UPDATE salesdrive.bas_good SET data = '{"Описание": "З BAS"}'));
$shop->push('card');
$shop->sql("DELETE FROM salesdrive.card_field");
$shop->push('card');
is($shop->run('card'), 'done 0 0 0', 'a field that is filled no more: nothing is sent');
edit('CUP', description => 'Від руки');
$shop->sql("INSERT INTO salesdrive.card_field (account, field, source) VALUES ('shop', 'description', 'Описание')");
$shop->push('card');
is($shop->card('CUP')->{description}, 'З BAS', 'filled again, it is sent');
$shop->sql("UPDATE salesdrive.account_goods SET owns = '{}'");
$shop->good(3, sku => 'JAR', name => 'Банка', data => '{"Описание": "Скло"}');
$shop->push('card');
is(join(' ', map { $shop->card('JAR')->{$_} } qw(name sku description)), 'Банка JAR Скло', 'a new card has its name and SKU whoever owns them');
$shop->push('card');
is($shop->run('card'), 'done 0 0 0', 'once');
$shop->sql("UPDATE salesdrive.account_goods SET owns = '{name,sku,category,set}'");

# ---- a field that is not read is none to be blanked

$shop->sql("INSERT INTO salesdrive.card_field (account, field, source) VALUES ('shop', 'note', 'Опсание')");
$shop->push('card');
is($shop->task('card'), 'parked setting', 'a property that the base is not asked for: nothing is sent');
like($shop->task('card', 'detail, hint'), qr/card_field names property "Опсание" of goods, which is not read from the base\. .*INSERT INTO salesdrive\.profile_property/, 'it says what is missing');
is($shop->card('CUP')->{description}, 'З BAS', 'no card is touched');
$shop->sql("DELETE FROM salesdrive.card_field WHERE field = 'note'");
$shop->read_all;
$shop->run_engine;
like($shop->run('card', 'state'), qr/done/, 'mended, it goes on by itself');

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
