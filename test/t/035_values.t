# Values of SalesDrive and of BAS: what value_map does to a document and to parked orders, names learned from deliveries, what nobody mapped,
# suggestions, errors of the calls, and lists of the base that are read again when they are old.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine error_of);

my $node = new_node('values', preload => 0);
my $bas = start_peer('bas');

sub status { my ($id, $column) = @_; return sql("SELECT $column FROM salesdrive.order_status WHERE account = 'shop' AND order_id = $id") }
sub state_of { my ($id) = @_; return status($id, "concat_ws(' ', state, reason)") }
sub sent { my ($id, $property) = @_; return sql("SELECT sent_body ->> '$property' FROM salesdrive.bas_order WHERE account = 'shop' AND order_id = $id") }
sub resumed { my ($id) = @_; return sql("SELECT count(*) FROM salesdrive.order_event WHERE order_id = $id AND event = 'resumed'") }
sub take_in
{
	my ($data) = @_;
	my $body = json_encode($data);
	utf8::decode($body);
	$body =~ s/'/''/g;
	return sql("SELECT salesdrive.accept_webhook('shop', '$body')");
}
sub deliver
{
	my ($id, %o) = @_;
	my $meta = delete $o{meta};
	my $stock = delete $o{stock};
	return take_in({ data => { id => $id, version => 1, orderTime => '2026-11-20 10:00:00', paymentAmount => 120, contacts => [ { fName => 'Зразок', phone => '0671000001' } ],
		products => [ { sku => 'SKU-0001', amount => 1, price => 120, defined $stock ? (stockId => $stock) : () } ], %o }, defined $meta ? (meta => $meta) : () });
}
sub deliver_and_run { deliver(@_); return run_engine() }
sub options { my (%o) = @_; return { fields => { map { ($_ => { name => $_, label => 'Мітка', type => 'select', options => $o{$_} }) } keys %o } } }

my $first = '8c1f4a10-00aa-11ee-8000-000000000001';
my $second = '8c1f4a10-00aa-11ee-8000-0000000000a2';
my $store = '8c1f4a10-00ee-11ee-8000-0000000000a2';
my $price = '8c1f4a10-00f1-11ee-8000-0000000000a2';
my $url = $bas->url('/base');
$bas->control(POST => '/load', {
	'Catalog_Организации' => [ { Ref_Key => $second, Code => '000000002', Description => 'ФОП Другий' } ],
	'Catalog_СтруктурныеЕдиницы' => [ { Ref_Key => $store, Code => 'W2', Description => 'Другий склад', 'ТипСтруктурнойЕдиницы' => 'Склад' } ],
	'Catalog_ВидыЦен' => [ { Ref_Key => $price, Code => 'P2', Description => 'Опт' } ] });
sql("SELECT salesdrive.add_infobase('main', 'unf', '$url', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => 'http://127.0.0.1:9', identity => 'demo-shop', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters');
	SELECT salesdrive.add_account(name => 'other', url => 'https://other.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters')");
run_engine();

# ---- names from deliveries

deliver(1, organizationId => 77, statusId => 1, meta => options(
	organizationId => [ { value => 77, text => 'ФОП  Другий' } ], statusId => [ { value => 1, text => 'Новий' } ], payment_method => [],
	sajt => [ { value => '5', text => 'shop.example' } ], kolir => [ { value => 'a', text => 'Синій' } ], products => [ { value => 9, text => 'Товар' } ]));
deliver(2, organizationId => 88);
run_engine();
is(sql("SELECT string_agg(concat_ws(' ', dictionary, key, name), ', ' ORDER BY dictionary) FROM salesdrive.dictionary_value WHERE scope = 'shop' AND side = 'crm'"),
	'kolir a Синій, organisation 77 ФОП  Другий, site 5 shop.example, status 1 Новий', 'names of values come with a webhook; goods do not count');
my $loaded = sql("SELECT max(loaded_at) FROM salesdrive.dictionary_value WHERE side = 'crm'");
deliver_and_run(3, organizationId => 77, meta => options(organizationId => [ { value => 77, text => 'ФОП  Другий' } ]));
is(sql("SELECT max(loaded_at) FROM salesdrive.dictionary_value WHERE side = 'crm'"), $loaded, 'what is known is not written again');
deliver_and_run(4, statusId => 1, meta => options(statusId => [ { value => 1, text => 'Нове' } ]));
is(sql("SELECT name FROM salesdrive.dictionary_value WHERE side = 'crm' AND dictionary = 'status' AND key = '1'"), 'Нове', 'a new name takes the place of the old one');
take_in({ status => 'success', meta => { fields => [ { name => 'userId', options => { 1 => { id => 3, name => 'Менеджер' } } }, 7, { name => 'statusId', options => 'x' }, { name => 'typeId', options => [ 1, { value => {}, text => 1 } ] } ] },
	data => [ { id => 5, version => 1, orderTime => '2026-11-20 10:00:00', paymentAmount => 120, userId => 3, organizationId => 77, contacts => [ { phone => '0671000001' } ], products => [ { sku => 'SKU-0001', amount => 1, price => 120 } ] } ] });
run_engine();
is(sql("SELECT string_agg(concat_ws(' ', dictionary, key, name), ', ') FROM salesdrive.dictionary_value WHERE scope = 'shop' AND side = 'crm' AND dictionary IN ('manager', 'order_type')"), 'manager 3 Менеджер',
	'with a page of the list, too, and what is no option does no harm');
is(sql('SELECT count(*) FROM salesdrive.inbox_reject'), 0, 'nothing is rejected for it');

# ---- the header of the document

is(state_of($_), 'parked setting', "several organisations and no setting: order $_ is parked") for 1, 2, 3;
sql("SELECT salesdrive.map_value('shop', 'organisation', '77', 'ФОП Другий')");
run_engine();
is(state_of($_), 'synced', "the organisation of order $_ is mapped: it goes on") for 1, 3, 5;
is(sent(1, 'Организация_Key'), $second, 'with the organisation mapped');
is(state_of(2), 'parked setting', 'an order of another organisation stays');
is(resumed(2), 0, 'and is not even looked at');
sql("UPDATE salesdrive.account SET organisation = '$first' WHERE name = 'shop'");
run_engine();
is(state_of($_), 'synced', "the setting of the account serves order $_") for 2, 4;
is(sent(2, 'Организация_Key'), $first, 'and decides where nothing is mapped');
deliver_and_run(10, organizationId => 77);
is(sent(10, 'Организация_Key'), $second, 'the mapping wins over the setting');
sub rule_of { my ($id, $property) = @_; return sql("SELECT lineage -> '$property' ->> 'rule' FROM salesdrive.bas_order WHERE account = 'shop' AND order_id = $id") }
is(rule_of(10, 'Организация_Key'), 'value_map organisation 77', 'lineage names the row that gave the value');
is(rule_of(2, 'Организация_Key'), 'account.organisation', 'or the setting, where no row did');
sql("SELECT salesdrive.map_value('*', 'warehouse', '4', 'W2'), salesdrive.map_value('shop', 'price_type', '*', '$price')");
deliver_and_run(11, stock => 4);
is(sent(11, 'СтруктурнаяЕдиницаРезерв_Key'), $store, 'warehouse of all lines, mapped for every account by code');
is(sent(11, 'ВидЦен_Key'), $price, 'price type for all orders');
is(rule_of(11, 'ВидЦен_Key') . ', ' . rule_of(11, 'СтруктурнаяЕдиницаРезерв_Key'), 'value_map price_type *, value_map warehouse 4', 'with their rows');
sub looked_up { my ($id, $property) = @_; return sql("SELECT concat_ws('|', sent ->> 0, rule, dictionary, crm_key, bas_key, element) FROM salesdrive.field_lineage WHERE account = 'shop' AND order_id = $id AND property = '$property'") }
is(looked_up(10, 'Организация_Key'), "$second|value_map organisation 77|organisation|77|ФОП Другий|ФОП Другий", 'field_lineage shows the row of the dictionary');
is(looked_up(2, 'Организация_Key'), "$first|account.organisation|organisation|$first|" . sql("SELECT name FROM salesdrive.dictionary_value WHERE dictionary = 'organisation' AND key = '$first'"), 'or the setting');
is(looked_up(11, 'СтруктурнаяЕдиницаРезерв_Key') =~ s/\|[^|]*$//r, "$store|value_map warehouse 4|warehouse|4|W2", 'of all accounts, too');
is(looked_up(11, 'ВидЦен_Key') =~ s/\|[^|]*$//r, "$price|value_map price_type *|price_type|*|$price", 'and for all values');
sql("SELECT salesdrive.map_value('shop', 'price_type', '*', NULL)");
deliver_and_run(12, stock => 5);
is(sent(12, 'СтруктурнаяЕдиницаРезерв_Key') . sent(12, 'ВидЦен_Key'), '', 'what is not mapped is left to the setting; NULL leaves a property out');
sql("SELECT salesdrive.map_value('shop', 'warehouse', '4', NULL, 'to_crm')");
is(sql("SELECT salesdrive.mapped_value('shop', 'warehouse', '4')"), 'W2', 'a row of the other direction does not count');
sql("SELECT salesdrive.map_value('*', 'site', '*', 'all'), salesdrive.map_value('*', 'site', '1', 'one'), salesdrive.map_value('shop', 'site', '1', 'own')");
is(sql("SELECT concat_ws(' ', salesdrive.mapped_value('shop', 'site', '1'), salesdrive.mapped_value('other', 'site', '1'), salesdrive.mapped_value('shop', 'site', '2'), salesdrive.mapped_value('shop', 'status', '1'))"),
	'own one all', 'the account comes before all accounts, the value before all values');
sql("DELETE FROM salesdrive.value_map WHERE dictionary = 'site'");

# ---- nobody mapped it

sql("INSERT INTO salesdrive.dictionary_rule VALUES ('shop', 'payment_method', 'park')");
is(sql("SELECT concat_ws(' ', salesdrive.unmapped_parks('shop', 'payment_method'), salesdrive.unmapped_parks('other', 'payment_method'), salesdrive.unmapped_parks('shop', 'site'))"), 't f f', 'the rule of the dictionary');
deliver(20, payment_method => 'cod', meta => options(payment_method => [ { value => 'cod', text => 'Післяплата' } ]));
deliver(21, payment_method => 'card');
deliver(22);
run_engine();
is(state_of(20), 'parked value', 'a value that must be mapped parks the order');
is(status(20, 'blocked_on'), 'value:shop:payment_method/cod', 'for exactly that row');
like(status(20, 'detail'), qr/payment_method cod "Післяплата"/, 'the sentence has dictionary, key and name');
like(status(20, 'hint'), qr/SELECT salesdrive\.map_value\('shop', 'payment_method', 'cod', '…'\);/, 'the hint has the call');
is(state_of(21), 'parked value', 'so does another');
is(state_of(22), 'synced', 'an order without such a value goes');
is(sql("SELECT concat_ws(' ', crm_key, name, orders, last_order, unmapped) FROM salesdrive.unmapped_value WHERE account = 'shop' AND dictionary = 'payment_method' ORDER BY 1 LIMIT 1"), 'card 1 21 park', 'what nobody mapped is listed');
is(sql("SELECT string_agg(concat_ws(' ', dictionary, crm_key, name, orders, last_order), ', ') FROM (SELECT * FROM salesdrive.unmapped('shop') LIMIT 2) u"),
	'payment_method card 1 21, payment_method cod Післяплата 1 20', 'first what parks');
is(sql("SELECT concat_ws(' ', crm_key, orders, last_order) FROM salesdrive.unmapped('shop') WHERE dictionary = 'organisation'"), '88 1 2', 'with number of orders and last order');
is(sql("SELECT concat_ws(' ', crm_key, orders, last_order) FROM salesdrive.unmapped('shop') WHERE dictionary = 'warehouse'"), '5 1 12', 'warehouses of lines, too');
sql((status(20, 'hint') =~ /^(.*?;)/)[0] =~ s/…/Післяплата/r);
run_engine();
is(state_of(20), 'synced', 'the call of the hint lets it go on');
is(state_of(21) . ' ' . resumed(21), 'parked value 0', 'and no other');
sql("SELECT salesdrive.map_value('*', 'payment_method', '*', NULL)");
run_engine();
is(state_of(21), 'synced', 'a row for all accounts and all values wakes what it serves');
is(sql("SELECT count(*) FROM salesdrive.unmapped('shop') WHERE dictionary = 'payment_method'"), 0, 'then nothing is unmapped');
sql("DELETE FROM salesdrive.value_map WHERE dictionary = 'payment_method'");
deliver_and_run(23, payment_method => 'card');
is(state_of(23), 'parked value', 'parked again');
sql("UPDATE salesdrive.dictionary_rule SET unmapped = 'empty'");
run_engine();
is(state_of(23), 'synced', 'until the rule is changed');

# mapped to what the base does not have
sql("INSERT INTO salesdrive.value_map (account, dictionary, crm_key, bas_key) VALUES ('shop', 'warehouse', '6', 'Нема такого')");
deliver_and_run(30, stock => 6);
is(state_of(30), 'parked value_wrong', 'mapped to what is not in the base: parked');
like(status(30, 'detail'), qr/"Нема такого" for warehouse 6, which is not in the base "main" \(there: .*Другий склад \(W2\)/, 'with what there is');
like(sql("SELECT concat_ws(' ', subject, problem) FROM salesdrive.check('shop') WHERE subject = 'value warehouse 6' AND problem LIKE 'value_map%'"), qr/^value warehouse 6 value_map gives "Нема такого"/m, 'check() says so');
$bas->control(POST => '/load', { 'Catalog_СтруктурныеЕдиницы' => [ { Ref_Key => '8c1f4a10-00ee-11ee-8000-0000000000a3', Code => 'W3', Description => 'Нема такого', 'ТипСтруктурнойЕдиницы' => 'Склад' } ] });
sql("SELECT salesdrive.resume('shop', 30)");
run_engine();
is(state_of(30), 'synced', 'resume() reads the list again');

# ---- suggestions

is(sql("SELECT count(*) FROM salesdrive.value_suggestion"), 0, 'nothing is suggested for what is mapped');
sql("DELETE FROM salesdrive.value_map WHERE dictionary = 'organisation'");
is(sql("SELECT concat_ws('|', account, dictionary, crm_key, crm_name, bas_key, bas_name, candidates) FROM salesdrive.value_suggestion"), "shop|organisation|77|ФОП  Другий|$second|ФОП Другий|1", 'equal names are suggested');
deliver_and_run(40, organizationId => 77);
is(sent(40, 'Организация_Key'), $first, 'and not applied');
sql("SELECT salesdrive.accept_value('shop', 'organisation', '77')");
is(sql("SELECT concat_ws(' ', bas_key, note) FROM salesdrive.value_map WHERE dictionary = 'organisation'"), "$second by name: ФОП Другий", 'but accepted by a call');
like(error_of("SELECT salesdrive.accept_value('shop', 'organisation', '77')"), qr/nothing is suggested for organisation "77"/, 'once');

# ---- errors

for (
	[ "'nope', 'status', '1', 'x'", qr/there is no account "nope".*Accounts: other, shop/s, 'an unknown account' ],
	[ "NULL, 'status', '1', 'x'", qr/there is no account/, 'no account' ],
	[ "'shop', 'a b', '1', 'x'", qr/"a b" is no name of a dictionary.*organisation, warehouse/s, 'no dictionary' ],
	[ "'shop', 'status', '', 'x'", qr/that is to be mapped is missing.*seen_value/s, 'no value' ],
	[ "'shop', 'status', '1', '…'", qr/value of BAS for status "1" is missing/, 'the dots of the hint' ],
	[ "'shop', 'status', '1', 'x', 'back'", qr/no direction "back".*to_bas, to_crm, both/s, 'an unknown direction' ],
	[ "'shop', 'status', 'Нове', 'x'", qr/"Нове" is the name of a value.*Its id: 1/s, 'a name in place of an id' ],
	[ "'shop', 'organisation', '88', 'Третій'", qr/organisation "Третій" is not in the base "main".*There: .*ФОП Другий \(000000002\).*load_dictionaries\('shop'\)/s, 'what is not in the base' ])
{
	my ($arguments, $error, $what) = @$_;
	like(error_of("SELECT salesdrive.map_value($arguments)"), $error, "map_value(): $what");
}
like(error_of("SELECT * FROM salesdrive.unmapped('nope')"), qr/there is no account "nope"/, 'unmapped(): an unknown account');

# ---- lists of the base

sub readings { return sql("SELECT count(*) FROM salesdrive.exchange_log WHERE kind = 'dictionary' AND direction = 'out'") }
my $before = readings();
is(sql("SELECT count(*) FROM salesdrive.load_dictionaries('shop')"), 12, 'load_dictionaries() asks for all lists');
is(sql("SELECT count(*) FILTER (WHERE target = 'main') || ' ' || count(*) FILTER (WHERE target = 'account:shop') FROM salesdrive.task WHERE kind IN ('dictionary', 'crm_dictionary')"), '8 4', 'of both sides');
sql("SELECT salesdrive.pause_api('shop', 'nobody is there in this test')");
run_engine();
is(readings() - $before, 8, 'those of the base are read');
$before = readings();
deliver_and_run(50);
is(readings(), $before, 'fresh lists are not read again');
sql("UPDATE salesdrive.dictionary_load SET loaded_at = loaded_at - interval '25 h' WHERE dictionary IN ('warehouse', 'currency')");
run_engine();
is(readings(), $before, 'nor old ones while no order comes by');
is(sql('SELECT salesdrive.next_due() IS NULL'), 't', 'nothing is planned then');
deliver_and_run(51);
is(readings() - $before, 2, 'with an order old ones are');
is(state_of(51), 'synced', 'which does not wait for them');
sql("UPDATE salesdrive.infobase SET dictionary_age = '2 days'; UPDATE salesdrive.dictionary_load SET loaded_at = loaded_at - interval '25 h'");
deliver_and_run(52);
is(readings() - $before, 2, 'how old is a setting of the infobase');

# ---- with the account its values go

sql("SELECT salesdrive.map_value('other', 'site', '1', 'x'); INSERT INTO salesdrive.dictionary_rule VALUES ('other', 'status', 'park'); DELETE FROM salesdrive.account WHERE name = 'other'");
is(sql("SELECT count(*) FROM salesdrive.value_map WHERE account = 'other'") + sql("SELECT count(*) FROM salesdrive.dictionary_rule WHERE account = 'other'"), 0, 'the mappings of an account go with it');
is_deeply($bas->control(GET => '/state')->{violations}, [], 'the base reports no violation');

done_testing();
