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

# ---- a card that no order told of

$shop->sql("INSERT INTO salesdrive.crm_good (account, offer_id, sku, name, seen_at) VALUES ('shop', '77', 'TEAPOT', 'Чайник', now())");
$shop->good(14, sku => 'TEAPOT', name => 'Чайник');
$shop->push('card');
is($shop->run('card', 'changed') . ' ' . $shop->unsent, '0 card TEAPOT in_export', 'what the YML export names is not made once more');
$shop->sql("INSERT INTO salesdrive.crm_product (account, product_id, sku) VALUES ('shop', 'T-77', 'TEAPOT')");
$shop->push('card');
is($shop->card('T-77')->{name}, 'Чайник', 'told its id, it is sent');

# ---- kits: parts before them, in one request too; without a part no kit; taken apart

sub kit { my ($kit, %part) = @_; return $shop->sql("DELETE FROM salesdrive.bas_kit_part WHERE kit = '" . $shop->key($kit) . "'" . join '', map { "; INSERT INTO salesdrive.bas_kit_part (infobase, kit, line_no, product, quantity, read_at) VALUES ('main', '" . $shop->key($kit) . "', $_, '" . $shop->key($_) . "', $part{$_}, now())" } sort keys %part) }
$shop->good(20, sku => 'A-KIT', name => 'Набір');
$shop->good(21, sku => 'Z-PART', name => 'Частина');
$shop->good(22, sku => 'B-KIT', name => 'Набір наборів');
kit(20, 21 => 2, 1 => 1);
kit(22, 20 => 1, 21 => 1);
$shop->push('card');
is_deeply([ map { [ map { "$_->{id} $_->{quantity}" } @{ $shop->card($_)->{set} } ] } qw(A-KIT B-KIT) ], [ [ 'CUP 1', 'Z-PART 2' ], [ 'A-KIT 1', 'Z-PART 1' ] ], 'a part that comes after its kit by name, and a kit in a kit') or diag($shop->ignored);
$shop->good(23, sku => 'C-KIT', name => 'Третій набір');
$shop->good(24, sku => 'Y-PART', name => 'Заборонена');
kit(23, 24 => 1, 1 => 1);
$shop->config(bad_products => { 'Y-PART' => 'Заборонено' });
$shop->push('card');
is($shop->run('card', 'state, sent, failed'), 'done 0 2', 'a part refused');
is($shop->sync('card', 'Y-PART') . '; ' . $shop->sync('card', 'C-KIT'), 'refused Заборонено; refused SalesDrive has no card of its part Y-PART, which is refused.', 'its kit does not go without it') or diag($shop->ignored);
ok(!exists $shop->cards->{'C-KIT'}, 'no kit that lacks a part');
$shop->config(bad_products => {});
$shop->sql("SELECT salesdrive.push_again('shop', 'card')");
$shop->push('card');
is_deeply($shop->card('C-KIT')->{set}, [ { id => 'CUP', quantity => 1 }, { id => 'Y-PART', quantity => 1 } ], 'both are sent again');
is($shop->ignored, '', 'SalesDrive never dropped a part');
kit(23);
$shop->push('card');
is_deeply($shop->card('C-KIT')->{set}, [], 'a kit taken apart in BAS');
$shop->push('card');
is($shop->run('card'), 'done 0 0 0', 'once');
$shop->sql("UPDATE salesdrive.goods_snapshot SET left_out = 1 WHERE what = 'kits'");
kit(20);
$shop->push('card');
is_deeply([ $shop->run('card'), scalar @{ $shop->card('A-KIT')->{set} } ], [ 'done 0 0 0', 2 ], 'not where it may be one of those left out, for want of a main composition');
$shop->sql("UPDATE salesdrive.goods_snapshot SET left_out = 0 WHERE what = 'kits'");
kit(20, 21 => 2, 1 => 1);
kit(23, 1 => 3);
$shop->push('card');
is_deeply($shop->card('C-KIT')->{set}, [ { id => 'CUP', quantity => 3 } ], 'and put together again');

# ---- categories

$shop->good(901, is_folder => 1, name => 'Посуд');
$shop->good(902, is_folder => 1, name => 'Скло', folder => 901);
$shop->good(1, sku => 'CUP', name => 'Чашка біла', folder => 902, data => '{"Описание": "З BAS"}');
$shop->good(2, sku => 'MUG', name => 'Кухоль', folder => 901, data => '{"Описание": "З BAS"}');
$shop->config(bad_categories => { 1000002 => 'Категорію заборонено' });
$shop->push('card');
is_deeply(categories(), { 1000001 => { name => 'Посуд', parentId => undef } }, 'a category refused is not made at the top of the tree by its goods');
is($shop->sync('card', 'CUP') . '; ' . $shop->sync('card', 'MUG'), 'refused SalesDrive has no category "Скло", it is refused: Категорію заборонено; accepted', 'they wait for it');
$shop->config(bad_categories => {});
$shop->sql("SELECT salesdrive.push_again('shop', 'card')");
$shop->push('card');
is_deeply(categories()->{1000002}, { name => 'Скло', parentId => 1000001 }, 'sent again, it is where it belongs');
is($shop->card('CUP')->{category}, 1000002, 'with its goods');

$shop->good(903, is_folder => 1, name => 'Дерево');
$shop->good(904, is_folder => 1, name => 'Метал');
$shop->good(3, sku => 'JAR', name => 'Банка', folder => 903, data => '{"Описание": "Скло"}');
$shop->good(12, sku => 'PAN', name => 'Каструля', folder => 904);
$crm->control(POST => '/faults', { path => 'POST /category-handler/', action => 'status', status => 200, body => 'json', text => '{"status":"success","message":"category[1000003] successfully added."}', times => 1 });
$shop->push('card');
is($shop->sql("SELECT string_agg(number || ' ' || state, ', ' ORDER BY number) FROM salesdrive.category_sync WHERE number > 1000002"), '1000003 accepted, 1000004 accepted', 'a category that the answer does not name is sent alone before it counts as refused');
$crm->control(POST => '/faults', { path => 'POST /category-handler/', action => 'reset_after', times => 1 });
$shop->sql("UPDATE salesdrive.bas_good SET name = 'Ліс' WHERE ref_key = '" . $shop->key(903) . "'");
$shop->push('card');
$shop->sql("SELECT salesdrive.cancel_push('shop', 'card'); UPDATE salesdrive.bas_good SET name = 'Дерево' WHERE ref_key = '" . $shop->key(903) . "'");
$shop->later(5);
$shop->push('card');
is(categories()->{1000003}{name}, 'Дерево', 'what was sent without an answer, and is to be as before, is sent again');

# ---- cost

$shop->sql("UPDATE salesdrive.account_goods SET cost = 'card'; INSERT INTO salesdrive.bas_cost (infobase, product, cost, read_at) VALUES ('main', '" . $shop->key(1) . "', 20.05, now())");
$shop->config(absent_fields => 'cleared');
$shop->push('card');
is($shop->card('CUP')->{expenses}, 20.05, 'cost');
$shop->sql("DELETE FROM salesdrive.bas_cost");
$shop->good(1, sku => 'CUP', name => 'Чашка', folder => 902, data => '{"Описание": "З BAS"}');
$shop->push('card');
is(join(' ', @{ $shop->card('CUP') }{qw(name expenses currencyExpenses)}), 'Чашка 20.05 UAH', 'sold out, the last cost known stays');
$shop->config(absent_fields => 'kept');

# ---- many: what a request costs does not grow with the catalog

$shop->sql("INSERT INTO salesdrive.bas_good (infobase, ref_key, sku, name, folder, data, read_at) SELECT 'main', md5('g' || n)::uuid, 'Q' || n, 'Товар ' || n, '" . $shop->key(901) . "', '{}', now() FROM generate_series(1, 2000) n;
	INSERT INTO salesdrive.bas_kit_part (infobase, kit, line_no, product, quantity, read_at) SELECT 'main', md5('g' || n)::uuid, 1, md5('g' || n + 1000)::uuid, 1, now() FROM generate_series(1, 1000) n");
my $visited = "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables WHERE relname = 'product_sync'";
my $before = $shop->sql($visited);
$shop->push('card');
is($shop->run('card') . ' ' . $shop->run('card', 'requests'), 'done 2000 2000 0 20', '2000 products: twenty requests');
cmp_ok($shop->sql($visited) - $before, '<', 50_000, 'each looks at its own products') or diag($shop->sql($visited) - $before);

done_testing();
