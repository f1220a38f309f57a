# Parcels of orders: both shapes of delivery data of every carrier in one form, several parcels, a TTN that comes later, changes or is removed, and
# that the order in which bodies arrive does not matter.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql);

my $node = new_node('delivery', preload => 0);
my $bas = start_peer('bas');

sub body { my ($id, $version, %o) = @_; return { id => $id, version => $version, orderTime => '2026-11-20 10:00:00', updateAt => sprintf('2026-11-20 10:%02d:00', $version), paymentAmount => 100, contacts => [ { fName => 'A', phone => '0671112233' } ],
	products => [ { sku => 'SKU-0001', amount => 1, price => 100 } ], %o } }
sub take_in
{
	my ($id, @bodies) = @_;
	my @statements;
	for (@bodies)
	{
		my $text = json_encode({ data => $_ });
		utf8::decode($text);
		push @statements, "SELECT salesdrive.accept_webhook('shop', '" . $text =~ s/'/''/gr . "')", 'SELECT salesdrive.ingest(100)';
	}
	sql(join '; ', @statements);
	return;
}
sub parcels { my ($id, $columns) = @_; return sql("SELECT string_agg(concat_ws(' ', $columns), ', ' ORDER BY parcel_no) FROM salesdrive.crm_order_delivery WHERE order_id = $id") }

sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters')");

# ---- shapes

my %np = (city => 'ref-city', cityName => 'Вигаданськ', areaName => 'Казкова', branch => 'ref-branch', branchName => 'Відділення №7', branchNumber => 7, EN => '20450000000001', ENref => 'en-ref', statusCode => 0, status => '',
	payer => 'Recipient', backDelivery => 'PaymentControl', postpaySum => '250.50', idEntity => 1, dateStatusUpdate => '2026-11-21 09:00:00', deliveryDateAndTime => '2026-11-22 00:00:00');
my %row = (senderId => 3, idEntity => 1, provider => 'novaposhta', type => 'WarehouseWarehouse', trackingNumber => '20450000000001', statusCode => undef, areaName => 'Казкова', cityName => 'Вигаданськ', cityType => 'м.', cityRef => 'ref-city',
	branchNumber => 7, branchRef => 'ref-branch', address => 'відділення №7', payer => 'Recipient', hasPostpay => 1, postpaySum => 250.5, cargoType => 'Parcel');
my $all = "carrier, service, ttn, ttn_ref, status_code, area, city, city_ref, branch, branch_name, branch_ref, payer, postpay, postpay_sum, sender, entity, expected_at";
take_in(1, body(1, 1, ord_delivery => 'novaposhta', ord_novaposhta => {%np}, ord_delivery_data => [ {%row} ]));
is(parcels(1, $all), 'novaposhta WarehouseWarehouse 20450000000001 en-ref Казкова Вигаданськ ref-city 7 Відділення №7 ref-branch Recipient t 250.50 3 1 2026-11-22 00:00:00', 'Nova Poshta, both shapes in one webhook: one parcel');
is(parcels(1, 'address'), 'Казкова обл., м. Вигаданськ, Відділення №7', 'its address in one line');
take_in(2, body(2, 1, ord_delivery_data => [ {%row} ]));
is(parcels(2, 'carrier, ttn, branch_name, postpay_sum'), 'novaposhta 20450000000001 відділення №7 250.5', 'a row of the list alone');
take_in(3, body(3, 1, ord_delivery => 'novaposhta', ord_novaposhta => {%np}, ord_delivery_data => undef));
is(parcels(3, 'carrier, ttn, branch'), 'novaposhta 20450000000001 7', 'the block of the carrier alone');
take_in(4, body(4, 1, ord_delivery => 'ukrposhta', ord_ukrposhta => { regionName => 'Київська', districtName => 'Бучанський', city => '77', cityName => 'Ірпінь', branch => '08200', barcode => '0500000000001', typeUkrPoshta => 'EXPRESS', sum => 10 }));
is(parcels(4, 'carrier, service, ttn, area, district, city, city_ref, branch, address'), 'ukrposhta EXPRESS 0500000000001 Київська Бучанський Ірпінь 77 08200 Київська обл., Ірпінь, 08200', 'Ukrposhta');
take_in(5, body(5, 1, ord_meest => { cityName => 'Львів', streetName => 'вул. Вигадана', house => '5', flat => '12', ttn => 'ME1' }));
is(parcels(5, 'carrier, ttn, address'), 'meest ME1 Львів, вул. Вигадана, 5, кв. 12', 'Meest, to the door');
take_in(6, body(6, 1, ord_rozetka_delivery => { WarehouseNumber => 'uuid', trackingNumber => 'RZ1', cityName => 'Суми' }, ord_delivery_data => [ { provider => 'rozetka_delivery', trackingNumber => 'RZ1', cityName => 'Суми' } ]));
is(parcels(6, 'carrier, ttn, city'), 'rozetka RZ1 Суми', 'Rozetka, under both names');
take_in(7, body(7, 1, ord_delivery_data => { 1 => { provider => 'Нова служба', trackingNumber => 'X1' }, 2 => { trackingNumber => 'X2' } }, ord_delivery => 'meest'));
is(parcels(7, 'carrier, ttn'), 'нова служба X1, meest X2', 'rows keyed by number; another carrier; a row without one');
take_in(8, body(8, 1, ord_delivery_data => [ { %row, trackingNumber => '1' }, { %row, trackingNumber => '2', idEntity => 2 }, { provider => 'ukrposhta', trackingNumber => '3' } ], ord_novaposhta => { %np, EN => '2', idEntity => 2, cityTemplateName => 'x', streetName => 'Далека' }));
is(parcels(8, 'parcel_no, carrier, ttn, entity, street'), '1 novaposhta 1 1, 2 novaposhta 2 2 Далека, 3 ukrposhta 3', 'several parcels; the block belongs to its own');
take_in($_->[0], body($_->[0], 1, %{ $_->[1] })) for [ 10, {} ], [ 11, { ord_delivery_data => undef } ], [ 12, { ord_delivery_data => [] } ], [ 13, { ord_novaposhta => [], ord_delivery_data => [ 7, undef, 'x' ] } ], [ 14, { ord_delivery_data => 'x', ord_meest => 5 } ],
	[ 16, { delivery => 'own field' } ], [ 15, { ord_delivery_data => [], ord_novaposhta => { EN => '', cityName => '', payer => 'Sender' } } ];
is(sql('SELECT count(*) FROM salesdrive.crm_order_delivery WHERE order_id >= 10'), 0, 'what is no parcel gives none');
is(sql('SELECT count(*) FROM salesdrive.crm_order WHERE order_id BETWEEN 10 AND 16') . sql('SELECT count(*) FROM salesdrive.inbox_reject'), '70', 'and harms no order');

# ---- versions, in every order of arrival

my %empty = (%row, trackingNumber => '');
my @cases = (
	[ 'a TTN filled later, by a row of the list', 'novaposhta 20450000000001 Відділення №7', body(0, 1, ord_novaposhta => { %np, EN => '' }, ord_delivery_data => [ {%empty} ]), body(0, 2, comment => 'x'), body(0, 3, ord_delivery_data => [ { map { $_ => $row{$_} } grep { $_ ne 'address' } keys %row } ]) ],
	[ 'a TTN filled later, by a block', 'novaposhta 20450000000001 відділення №7', body(0, 1, ord_delivery_data => [ {%empty} ]), body(0, 2, ord_delivery_data => undef), body(0, 3, ord_novaposhta => { EN => '20450000000001' }) ],
	[ 'a TTN removed by the list', 'novaposhta відділення №7', body(0, 1, ord_novaposhta => {%np}, ord_delivery_data => [ {%row} ]), body(0, 2, ord_delivery_data => [ {%empty} ]) ],
	[ 'a TTN removed by the block', 'novaposhta відділення №7', body(0, 1, ord_delivery_data => [ {%row} ]), body(0, 2, ord_novaposhta => { EN => '' }) ],
	[ 'another TTN', 'novaposhta 20459999999999 відділення №7', body(0, 1, ord_delivery_data => [ {%row} ]), body(0, 2, ord_novaposhta => { EN => '20459999999999' }) ],
	[ 'another carrier', 'ukrposhta 05', body(0, 1, ord_novaposhta => {%np}, ord_delivery_data => [ {%row} ]), body(0, 2, ord_delivery_data => [ { provider => 'ukrposhta', trackingNumber => '05' } ]) ],
	[ 'delivery taken away', '', body(0, 1, ord_novaposhta => {%np}, ord_delivery_data => [ {%row} ]), body(0, 2, ord_delivery_data => []) ],
	[ 'a second parcel, the first one gone', 'novaposhta 2 b', body(0, 1, ord_delivery_data => [ { %row, trackingNumber => '1', address => 'a' } ]), body(0, 2, ord_delivery_data => [ { %row, trackingNumber => '1', address => 'a' }, { %row, idEntity => 2, trackingNumber => '2', address => 'b' } ]),
		body(0, 3, ord_delivery_data => [ { provider => 'novaposhta', trackingNumber => '2' } ]) ],
	[ 'nothing said of it since', 'novaposhta 20450000000001 відділення №7', body(0, 1, ord_delivery_data => [ {%row} ]), body(0, 2, ord_delivery_data => undef), body(0, 3) ]);
sub permutations { my (@l) = @_; return [@l] if @l < 2; return map { my $i = $_; my @rest = @l; my ($one) = splice @rest, $i, 1; map { [ $one, @$_ ] } permutations(@rest) } 0 .. $#l }
my $id = 1000;
for my $case (@cases)
{
	my ($what, $expected, @bodies) = @$case;
	my %got;
	for my $order (permutations(@bodies))
	{
		$id++;
		take_in($id, map { { %$_, id => $id } } @$order);    # one at a time
		$got{ parcels($id, 'carrier, ttn, branch_name') }++;
	}
	is(join(' | ', sort keys %got), $expected, $what);
}

# ---- for mappings and rules: the merged order

is(sql("SELECT m.data #>> '{delivery,0,ttn}' || ' ' || (m.data #>> '{delivery,0,address}') || ' ' || (m.data #>> '{delivery,1,ttn}') FROM salesdrive.merged_orders(salesdrive.order_keys('shop', 8)) m"), '1 Казкова обл., м. Вигаданськ, відділення №7 2', 'the merged order has the same rows under delivery');
is(sql("SELECT count(*) FROM salesdrive.crm_order_version WHERE data ? 'delivery' AND order_id <> 16"), 0, 'what was received stays as it was');
sql('CALL salesdrive.run()');
is(sql("SELECT string_agg(DISTINCT state, ' ') FROM salesdrive.order_status"), 'synced', 'orders with and without parcels go to the base');
is_deeply($bas->control(GET => '/state')->{violations}, [], 'the base reports no violation');

# ---- generated orders: both shapes give the same parcels

my $crm = start_peer('salesdrive');
my $made = $crm->control(POST => '/orders', { count => 200, seed => 5, first_id => 50001 })->{orders};
my @rows;
for my $o (@$made)
{
	my @shapes = map { my $body = $crm->control(GET => "/order?id=$o->{id}&shape=$_"); $_ eq 'webhook' ? $body->{data} : $body } qw(webhook list);
	next if grep { !$_->{ord_delivery_data} } @shapes;
	my @texts = map { my $text = json_encode($_); utf8::decode($text); $text =~ s/'/''/gr } @shapes;
	push @rows, "('$texts[0]'::jsonb, '$texts[1]'::jsonb)";
}
my $of = "(SELECT string_agg(concat_ws(' ', p ->> 'carrier', p ->> 'ttn', p ->> 'city'), ', ') FROM jsonb_array_elements(salesdrive.parcels_shown(salesdrive.parcels_after(NULL, %s))) p)";
is(sql("SELECT count(*) > 50, count(*) FILTER (WHERE w IS DISTINCT FROM l) FROM (SELECT " . sprintf($of, 'webhook') . " AS w, " . sprintf($of, 'list') . " AS l FROM (VALUES " . join(', ', @rows) . ") v (webhook, list)) s WHERE w IS NOT NULL"),
	't|0', 'webhook and list give the same parcels');

done_testing();
