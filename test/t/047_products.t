# load_products(): the goods of a base, whole by pages in the order of the article, or what has changed; orders need no search then.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Encode ();
use POSIX qw(strftime);
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine);

my $node = new_node('products', preload => 0);
my $bas = start_peer('bas');
my $url = $bas->url('/base');
my $SET = 'Catalog_Номенклатура';
my $COMING = strftime('%Y-%m-01T00:00:00', gmtime time + 62 * 86400);
my $OBJECTS = '/objects?set=' . join '', map { sprintf '%%%02X', ord } split //, Encode::encode('UTF-8', $SET);

sub status { my ($id, $column) = @_; return sql("SELECT $column FROM salesdrive.order_status WHERE order_id = $id") }
sub product { my ($sku, $column) = @_; return sql("SELECT $column FROM salesdrive.bas_product WHERE sku = '$sku'") }
sub asked { my ($what) = @_; return sql("SELECT count(*) FROM salesdrive.exchange_log WHERE purpose = '$what'") }
sub key { return sprintf '8c1f4a10-0aaa-11ee-8000-%012d', $_[0] }
sub deliver
{
	my ($id, $sku) = @_;
	my $body = json_encode({ data => { id => $id, version => 1, orderTime => '2026-11-20 10:00:00', paymentAmount => 120, contacts => [ { fName => 'Зразок', phone => '0671000001' } ], products => [ { sku => $sku, amount => 1, price => 120 } ] } });
	utf8::decode($body);
	return sql("SELECT salesdrive.accept_webhook('shop', '$body')");
}

my ($unit, $vat) = @{ (grep { ($_->{'Артикул'} // '') =~ /^SKU-0001/ } @{ $bas->control(GET => $OBJECTS)->{value} })[0] }{ 'ЕдиницаИзмерения_Key', 'СтавкаНДС_Key' };
sub goods { my ($n, %o) = @_; return { Ref_Key => key($n), Code => sprintf('G%05d', $n), Description => "Товар $n", 'Артикул' => sprintf('G-%05d', $n), 'ТипНоменклатуры' => 'Запас', 'ЕдиницаИзмерения_Key' => $unit, 'СтавкаНДС_Key' => $vat, 'ДатаИзменения' => '2026-01-01T00:00:00', %o } }
$bas->control(POST => '/load', { $SET => [ (map { goods($_) } 1 .. 1300), goods(2000, 'Артикул' => 'G-00500'), goods(2001, 'Артикул' => 'G-00501', DeletionMark => JSON::PP::true()),
	(map { goods(3000 + $_, 'Артикул' => 'SAME') } 1 .. 620), (map { goods(4000 + $_, 'Артикул' => '') } 1 .. 30), goods(5000, 'Артикул' => 'last') ] });

sql("SELECT salesdrive.add_infobase('main', 'unf', '$url', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => 'http://127.0.0.1:9', identity => 'demo-shop', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters');
	INSERT INTO salesdrive.product_pin (infobase, sku, product) VALUES ('main', 'G-00007', '" . key(8) . "')");
run_engine();

# ---- whole

my $task = sql("SELECT salesdrive.load_products('main')");
run_engine();
is(sql("SELECT detail FROM salesdrive.task WHERE id = $task"), '', 'the goods are loaded');
cmp_ok(asked('load goods'), '>=', 5, 'in pages');
is(sql("SELECT count(*) FROM salesdrive.bas_product WHERE sku LIKE 'G-%' AND state = 'found'"), 1298, 'each article of one product is known: all but the two that are double or pinned');
is(product('G-00500', "state || ' ' || jsonb_array_length(candidates)"), 'several 2', 'an article of two products is known as such, also across pages');
is(product('G-00501', "state || ' ' || ref_key"), 'found ' . key(501), 'one marked for deletion does not count');
is(product('SAME', 'state'), 'several', 'an article that fills more than a page');
is(product('last', 'state'), 'found', 'and what comes after it');
is(sql("SELECT count(*) FROM salesdrive.bas_product WHERE sku = ''"), 0, 'goods without an article are left out');
is(product('G-00007', 'count(*)'), 0, 'a pinned SKU is asked for by its pin');
is(sql("SELECT count(*) FROM salesdrive.bas_product"), sql("SELECT products FROM salesdrive.product_load"), 'product_load counts them');
is(sql("SELECT up_to || '|' || (loaded_at IS NOT NULL) FROM salesdrive.product_load"), '|true', 'and says that it is complete');

deliver(1, 'G-00100');
run_engine();
is(status(1, "state || ' ' || requests"), 'synced 1', 'an order of known goods needs no search') or diag sql("SELECT string_agg(purpose, ', ') FROM salesdrive.exchange_log WHERE order_id = 1");

# ---- changes

$bas->control(POST => '/edit', { set => $SET, key => key(100), properties => { 'Артикул' => 'NEW-100' } });
$bas->control(POST => '/edit', { set => $SET, key => key(101), properties => { 'DeletionMark' => JSON::PP::true() } });
deliver(2, 'G-00500');
run_engine();
is(status(2, "state || ' ' || reason"), 'parked product_several', 'an order of a double article is parked');
$bas->control(POST => '/edit', { set => $SET, key => key(2000), properties => { 'Артикул' => 'OTHER' } });
sql("SELECT salesdrive.load_products('main')");
run_engine();
is(asked('read changed goods'), 1, 'the second loading asks for what has changed');
is(product('G-00100', 'count(*)') + product('G-00101', 'count(*)'), 0, 'what has changed is forgotten, also under its old article');
is(product('G-00102', 'state'), 'found', 'the rest is kept');
is(status(2, 'state'), 'synced', 'an order parked for it asks anew and goes on');
deliver(3, 'NEW-100');
deliver(4, 'G-00101');
run_engine();
is(status(3, 'state'), 'synced', 'the new article is found');
is(status(4, "state || ' ' || reason"), 'parked product_unknown', 'one marked for deletion is not');

# ---- a date in the future

$bas->control(POST => '/load', { $SET => [ goods(102, 'ДатаИзменения' => '2099-01-01T00:00:00') ] });
sql("SELECT salesdrive.load_products('main')");
run_engine();
$bas->control(POST => '/edit', { set => $SET, key => key(103), properties => { 'Артикул' => 'NEW-103' } });
sql("SELECT salesdrive.load_products('main')");
run_engine();
is(product('G-00103', 'count(*)'), 0, 'a good dated into the future hides no later change');

# ---- whole again: what parked orders wait for becomes known

$bas->control(POST => '/load', { $SET => [ goods(101, DeletionMark => JSON::PP::false()) ] });
sql("SELECT salesdrive.load_products('main', whole => true)");
run_engine();
is(status(4, 'state'), 'synced', 'a loading wakes the orders parked for what it brings');

# ---- so many changes that all are loaded

$bas->control(POST => '/load', { $SET => [ map { goods($_, 'ДатаИзменения' => $COMING, Description => "Змінено $_") } 1 .. 600 ] });
my $pages = asked('load goods');
sql("SELECT salesdrive.load_products('main')");
run_engine();
cmp_ok(asked('load goods'), '>', $pages, 'many changes: all are loaded');
is(product('G-00300', 'name'), 'Змінено 300', 'and known anew');

# ---- a loading that is interrupted goes on

sql("UPDATE salesdrive.product_load SET up_to = 'G-01200'; SELECT salesdrive.enqueue('main', 'products', 'whole', 'main')");
$pages = asked('load goods');
run_engine();
cmp_ok(asked('load goods') - $pages, '<', 5, 'it goes on where it was');

my ($rc, $out, $err) = $node->psql('postgres', "SELECT salesdrive.load_products('nosuch')");
like($err, qr/there is no infobase "nosuch"/, 'an unknown infobase');
($rc, $out, $err) = $node->psql('postgres', "SELECT salesdrive.enqueue('main', 'products', 'half', 'main')");
like($err, qr/goods are not loaded by "half".*load_products/s, 'an unknown key');

done_testing();
