# The exchange entity: rows of field_map at work on documents of the simulated base. Sources, transforms, types, conditions, owners, required
# fields, additional attributes, counterparties, functions of users; errors of the rows themselves; lineage and preview.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine error_of);

my $node = new_node('fields', preload => 0);
my $bas = start_peer('bas');

sub status { my ($id, $column) = @_; return sql("SELECT $column FROM salesdrive.order_status WHERE account = 'shop' AND order_id = $id") }
sub state_of { my ($id) = @_; return status($id, "concat_ws(' ', state, reason)") }
sub held { my ($id, $path) = @_; return sql("SELECT read_body #>> '{$path}' FROM salesdrive.bas_order WHERE account = 'shop' AND order_id = $id") }
sub requests { my ($id) = @_; return sql("SELECT string_agg(coalesce(purpose, ''), ', ' ORDER BY id) FROM salesdrive.exchange_log WHERE order_id = $id AND direction = 'out'") }
sub patch { my ($id) = @_; return sql("SELECT request_body FROM salesdrive.exchange_log WHERE order_id = $id AND purpose = 'change order' ORDER BY id DESC LIMIT 1") }
sub map_field { my ($arguments) = @_; return sql("SELECT salesdrive.map_field($arguments)") }
sub forget { return sql("DELETE FROM salesdrive.field_map WHERE origin = 'user'") }
my %version;
sub deliver
{
	my ($id, %o) = @_;
	my $account = delete $o{account} // 'shop';
	my $line = delete $o{line} // {};
	my $version = ++$version{"$account/$id"};
	my $body = json_encode({ data => { id => $id, version => $version, orderTime => '2026-11-20 10:00:00', updateAt => sprintf('2026-11-20 10:%02d:00', $version), paymentAmount => 120,
		contacts => [ { fName => 'Олена', lName => 'Зразок', phone => '0671000001' } ], products => [ { sku => 'SKU-0001', amount => 1, price => 120, %$line } ], %o } });
	utf8::decode($body);
	$body =~ s/'/''/g;
	return sql("SELECT salesdrive.accept_webhook('$account', '$body')");
}
sub deliver_and_run { deliver(@_); return run_engine() }
sub edit { my ($id, %properties) = @_; return $bas->control(POST => '/edit', { set => 'Document_ЗаказПокупателя', reference => "$id", properties => \%properties }) }

sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters');
	SELECT salesdrive.add_account(name => 'other', url => 'https://other.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters')");
deliver_and_run(1);
is(state_of(1), 'synced', 'an order travels without a row');

# ---- header: paths, constants, transforms, types

map_field("'*', 'order', 'Комментарий', 'Замовлення {id}: {comment}, {contacts[0].lName} {contacts[0].mName} {contacts[0].fName}', transform => 'template'");
map_field("'shop', 'order', 'Заметки', 'adresDostavki'");
map_field("'shop', 'order', 'ДатаОтгрузки', 'dataDostavki'");
map_field("'shop', 'order', 'ЗапланироватьОплату', 'peredplata'");
map_field("'shop', 'order', 'ПроцентСкидкиПоДисконтнойКарте', 'diskont', edm_type => 'Edm.Double'");
map_field("'shop', 'order', 'Получил', 'otrymuvach', transform => 'text | upper | left', arguments => '{\"length\": 10}'");
sql("UPDATE salesdrive.field_map SET edm_type = CASE property WHEN 'ДатаОтгрузки' THEN 'Edm.DateTime' WHEN 'ЗапланироватьОплату' THEN 'Edm.Boolean' ELSE edm_type END WHERE origin = 'user'");
deliver_and_run(2, comment => 'терміново', adresDostavki => 'Київ, вул. Вигадана, 1', dataDostavki => '24.11.2026 15:30', peredplata => 'так', diskont => '2,50', otrymuvach => "  ivan   petrenko-long ");
is(state_of(2), 'synced', 'an order with mapped fields travels');
is(held(2, 'Комментарий'), 'Замовлення 2: терміново, Зразок Олена', 'a template wins over what the engine writes');
is(held(2, 'Заметки'), 'Київ, вул. Вигадана, 1', 'a field of the account is one row');
is(held(2, 'ДатаОтгрузки'), '2026-11-24T15:30:00', 'a date as people write it');
is(held(2, 'ЗапланироватьОплату'), 'true', 'a yes');
is(held(2, 'ПроцентСкидкиПоДисконтнойКарте'), '2.5', 'a number with a comma');
is(held(2, 'Получил'), 'IVAN PETRE', 'steps follow each other');
is(sql("SELECT string_agg(l.key || ' = ' || (l.value ->> 'rule'), '; ' ORDER BY l.key) FROM salesdrive.bas_order b, jsonb_each(b.lineage) l WHERE b.order_id = 2 AND l.key IN ('Заметки', 'Получил', 'Комментарий', 'Дата', 'Date')"),
	"Date = orderTime; Заметки = field_map shop: adresDostavki; Комментарий = field_map *: 'Замовлення {id}: {comment}, {contacts[0].lName} {contacts[0].mName} {contacts[0].fName}' | template; Получил = field_map shop: otrymuvach | text | upper | left",
	'lineage names the row of each');
deliver_and_run(900, account => 'other', adresDostavki => 'Львів');
is(sql("SELECT concat_ws('|', read_body ->> 'Комментарий', read_body ->> 'Заметки') FROM salesdrive.bas_order WHERE account = 'other'"), 'Замовлення 900: , Зразок Олена|', 'rows of one account do not count in another');

# edits: only what differs, cleared travels as cleared, absent is left alone
deliver_and_run(2, adresDostavki => 'Одеса');
is(patch(2), '{"Заметки": "Одеса"}', 'an edit sends what differs');
deliver_and_run(2, adresDostavki => '', dataDostavki => undef, peredplata => '', diskont => undef);
is(join('|', map { held(2, $_) } qw(Заметки ДатаОтгрузки ЗапланироватьОплату ПроцентСкидкиПоДисконтнойКарте Получил)), '|0001-01-01T00:00:00|false|0|IVAN PETRE', 'what was cleared is cleared by its type; what did not come is left');

# newly mapped in a document that is there: written where BAS holds nothing, a conflict where it holds something
deliver_and_run(3, comment => 'x');
edit(3, 'МестоСоставленияДокумента' => 'Харків');
map_field("'shop', 'order', 'МестоСоставленияДокумента', 'misto'");
deliver_and_run(3, misto => 'Полтава', adresDostavki => 'Полтава');
is(state_of(3), 'parked conflict', 'what BAS holds and was never written from here is not overwritten');
edit(3, 'МестоСоставленияДокумента' => '');
sql("SELECT salesdrive.resume('shop', 3)");
run_engine();
is(state_of(3) . held(3, 'МестоСоставленияДокумента'), 'syncedПолтава', 'what is empty there is filled');

# ---- account before all, user before shipped, conditions by position

forget();
map_field("'*', 'order', 'Заметки', 'усім', source_kind => 'constant'");
map_field("'shop', 'order', 'Заметки', 'site 5', source_kind => 'constant', condition => '\$.sajt == \"5\" || \$.sajt == 5'");
map_field("'shop', 'order', 'Заметки', 'дорого', source_kind => 'constant', condition => '\$.paymentAmount > 100 && exists(\$.vip)', turn => 2");
deliver($_->[0], @{ $_->[1] }) for [ 10, [ sajt => 5 ] ], [ 11, [ vip => 1 ] ], [ 12, [ sajt => '6' ] ], [ 13, [ sajt => '5', vip => 1 ] ];
run_engine();
is(join(', ', map { held($_, 'Заметки') } 10 .. 13), 'site 5, дорого, усім, site 5', 'the first row whose condition holds counts');
sql("UPDATE salesdrive.field_map SET enabled = false WHERE account = 'shop' AND turn = 2");
deliver_and_run(14, vip => 1);
is(held(14, 'Заметки'), '', 'a row that is off leaves the property to the engine');

# ---- dictionaries, also of elements of BAS

forget();
map_field("'shop', 'order', 'МестоСоставленияДокумента', 'shipping_method', dictionary => 'shipping_method', default_value => 'самовивіз'");
map_field("'shop', 'order', 'СостояниеЗаказа', 'statusId', dictionary => 'stan', edm_type => 'StandardODATA.Catalog_СостоянияЗаказовПокупателей'");
sql("SELECT salesdrive.map_value('shop', 'shipping_method', 'np', 'Нова пошта'), salesdrive.map_value('shop', 'stan', '2', 'В роботі')");
deliver(20, shipping_method => 'np', statusId => 2);
deliver(21, shipping_method => 'new');
deliver(22, statusId => 3);
run_engine();
is(state_of(20), 'parked field', 'the name of an element needs a list of the base');
like(status(20, 'detail'), qr/element of BAS by its name "В роботі", and profile "unf" names no list/, 'says the sentence');
sql("INSERT INTO salesdrive.profile_entity (profile, concept, entity_set) VALUES ('unf', 'stan', 'Catalog_СостоянияЗаказовПокупателей'); SELECT salesdrive.resume('shop', 20)");
run_engine();
is(state_of(20), 'synced', 'with its entity set in the profile the list is read');
is(join('|', map { held(20, $_) } qw(МестоСоставленияДокумента СостояниеЗаказа СостояниеЗаказа_Type)), 'Нова пошта|8c1f4a10-00f4-11ee-8000-000000000002|StandardODATA.Catalog_СостоянияЗаказовПокупателей', 'a reference found by name');
is(join('|', map { held(21, $_) } qw(МестоСоставленияДокумента СостояниеЗаказа_Type)), 'самовивіз|StandardODATA.Undefined', 'an unmapped value counts as none, and a default takes its place');
is(held(22, 'СостояниеЗаказа'), '', 'or it stays empty');
sql("INSERT INTO salesdrive.dictionary_rule VALUES ('shop', 'stan', 'park')");
deliver_and_run(23, statusId => 4);
is(state_of(23) . ' ' . status(23, 'blocked_on'), 'parked value value:shop:stan/4', 'where the rule is to wait, the order waits for the value');
sql("SELECT salesdrive.map_value('shop', 'stan', '4', 'Завершено')");
run_engine();
is(held(23, 'СостояниеЗаказа'), '8c1f4a10-00f4-11ee-8000-000000000003', 'and goes on by it');
sql("INSERT INTO salesdrive.value_map (account, dictionary, crm_key, bas_key) VALUES ('shop', 'stan', '5', 'Нема такого')");
deliver_and_run(24, statusId => 5);
is(state_of(24), 'parked value_wrong', 'a value that BAS does not have parks');
like(status(24, 'detail'), qr/"Нема такого" for stan 5, which is not in the base "main" \(there: .*Завершено/, 'with what there is');
sql("DELETE FROM salesdrive.dictionary_rule; DELETE FROM salesdrive.value_map; SELECT salesdrive.skip('shop', 24, 'done')");

# ---- required, unreadable; a change of the row lets the order go on

forget();
map_field("'shop', 'order', 'Получил', 'otrymuvach', required => true");
map_field("'shop', 'order', 'ДатаОтгрузки', 'dataDostavki', edm_type => 'Edm.DateTime'");
deliver(30);
deliver(31, otrymuvach => 'Я', dataDostavki => 'завтра');
run_engine();
is(state_of(30) . ' ' . status(30, 'blocked_on'), 'parked field field:shop:', 'a required field without a value parks the order');
like(status(30, 'detail'), qr/^Field "Получил" of the order must have a value, and the path otrymuvach gives none\.$/, 'with a sentence');
like(status(31, 'detail'), qr/^Field "ДатаОтгрузки" of the order is to be Edm\.DateTime, and the path dataDostavki gives "завтра"\.$/, 'so does a value that is none of the type');
like(sql("SELECT step FROM salesdrive.preview('shop', 31) LIMIT 1"), qr/^park: field: Field "ДатаОтгрузки"/, 'preview() says the same');
map_field("'shop', 'order', 'Получил', 'otrymuvach', required => true, default_value => 'покупець'");
run_engine();
is(state_of(30) . held(30, 'Получил'), 'syncedпокупець', 'a default in the row lets it go on');
deliver_and_run(31, otrymuvach => 'Я', dataDostavki => '2026-11-25');
is(held(31, 'ДатаОтгрузки'), '2026-11-25T00:00:00', 'a corrected order goes on');

# ---- owners

forget();
map_field("'shop', 'order', 'Заметки', 'note', owner => 'bas'");
map_field("'shop', 'order', 'Получил', 'otrymuvach', owner => 'empty'");
deliver_and_run(40, note => 'перша', otrymuvach => 'Олена');
is(join('|', map { held(40, $_) } qw(Заметки Получил)), 'перша|Олена', 'all owners count when a document is created');
edit(40, 'Получил' => 'Марія');
deliver_and_run(40, note => 'друга', otrymuvach => 'Петро');
is(state_of(40) . '|' . join('|', map { held(40, $_) } qw(Заметки Получил)), 'synced|перша|Марія', 'later BAS owns the one, and keeps what it holds in the other');
edit(40, 'Получил' => '');
deliver_and_run(40, note => 'третя', otrymuvach => 'Іван');
is(join('|', state_of(40), map { held(40, $_) } qw(Заметки Получил)), 'synced|перша|Іван', 'what was emptied there is filled again');
sql("SELECT salesdrive.resend('shop', 40)");
edit(40, 'Заметки' => 'менеджер');
run_engine();
is(held(40, 'Заметки'), 'менеджер', 'not even resend() takes from BAS what is its own');

# ---- lines

forget();
map_field("'shop', 'order_line', 'Содержание', '{text}, замовлення {\$order.id}', transform => 'template'");
map_field("'shop', 'order_line', 'СерийныеНомера', 'serial', required => true, default_value => '—'");
deliver_and_run(50, products => [ { sku => 'SKU-0001', text => 'Чашка', amount => 1, price => 100, serial => 'A-1' }, { sku => 'SKU-0002', text => 'Плед', amount => 1, price => 20 } ]);
is(join('|', map { held(50, "Запасы,$_,Содержание"), held(50, "Запасы,$_,СерийныеНомера") } 0, 1), 'Чашка, замовлення 50|A-1|Плед, замовлення 50|—', 'paths of a line are of its element, $order is the order');
like(sql("SELECT lineage -> 'Запасы' ->> 'rule' FROM salesdrive.bas_order WHERE order_id = 50"), qr/^lines of the order; СерийныеНомера from field_map shop: serial; Содержание from /, 'lineage of the section names them');
sub lineage_of { my ($id, $condition, $columns) = @_; return sql("SELECT string_agg(concat_ws('|', line_no, property, $columns), E'\n' ORDER BY line_no, property) FROM salesdrive.field_lineage WHERE account = 'shop' AND order_id = $id AND $condition") }
is(lineage_of(50, "section = 'Запасы' AND line_no = 2 AND property NOT LIKE 'Ед%'", 'sent, held IS NOT DISTINCT FROM sent, version, rule, path, dictionary, crm_key, element') =~ s/"//gr, join("\n",
		'2|Всего|20.00|t|1|sum and VAT', '2|Количество|1|t|1|amount|amount', '2|Номенклатура_Key|8c1f4a10-0001-11ee-8000-000000000002|t|1|product by article = SKU|product|SKU-0002|' . sql("SELECT name FROM salesdrive.bas_product WHERE sku = 'SKU-0002'"),
		'2|ПроцентСкидкиНаценки|0.00|t|1|discount', '2|СерийныеНомера|—|t|1|field_map shop: serial|serial', q(2|Содержание|Плед, замовлення 50|t|1|field_map shop: '{text}, замовлення {$order.id}' | template),
		'2|СтавкаНДС_Key|8c1f4a10-00f2-11ee-8000-000000000001|t|1|VAT rate of the product|vat_rate|' . sql("SELECT name FROM salesdrive.dictionary_value WHERE dictionary = 'vat_rate' AND key LIKE '%01'"),
		'2|Сумма|20.00|t|1|price, amount and discount', '2|СуммаНДС|3.33|t|1|sum and VAT rate', '2|ТипНоменклатурыЗапас|true|t|1|type of the product', '2|Цена|20.00|t|1|price|price'), 'field_lineage has a row for each property of a line');
is(lineage_of(50, "section IS NULL AND property IN ('Date', 'Запасы', 'Комментарий', 'Организация_Key')", 'rule, path, dictionary, element'),
	"Date|orderTime|orderTime\nКомментарий|comment\n" . 'Организация_Key|account.organisation|organisation|' . sql("SELECT name FROM salesdrive.dictionary_value WHERE dictionary = 'organisation'"), 'and for those of the header, and none for the section');
map_field("'shop', 'order_line', 'Содержание', 'text'");
is(lineage_of(50, "line_no = 1 AND property IN ('Содержание', 'СерийныеНомера')", 'rule, path'), q(1|СерийныеНомера|field_map shop: serial|serial) . "\n" . q(1|Содержание|lines of the order; СерийныеНомера from field_map shop: serial; Содержание from field_map shop: '{text}, замовлення {$order.id}' | template),
	'a row that was changed since did not give it');

# ---- additional attributes, addressed by their title or name in BAS

forget();
my $ATTRIBUTES = 'ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения';
sub key { my ($n) = @_; return sprintf '8c1f4a10-00d7-11ee-8000-%012d', $n }
my @titles = ('Рекламна кампанія', 'Вартість доставки', 'Терміново', 'Примітка', 'Двійник', 'Двійник', 'Джерело');
$bas->control(POST => '/load', { $ATTRIBUTES => [ map { { Ref_Key => key($_), Description => "$titles[$_ - 1] (Замовлення покупця $_)", 'Заголовок' => $titles[ $_ - 1 ], 'МногострочноеПолеВвода' => $_ == 4 ? 5 : 0 } } 1 .. 7 ] });
$bas->control(POST => '/load', { $ATTRIBUTES => [ { Ref_Key => key(8), Description => 'Рекламна кампанія', 'Заголовок' => 'Рекламна кампанія', 'ЭтоДополнительноеСведение' => JSON::PP::true() } ] });
sub attributes { my ($id) = @_; return join ', ', map { $titles[ substr($_->{'Свойство_Key'}, -2) - 1 ] . "=$_->{'Значение'}" } @{ json_decode($node->safe_psql('postgres', "SELECT coalesce(read_body -> 'ДополнительныеРеквизиты', '[]') FROM salesdrive.bas_order WHERE account = 'shop' AND order_id = $id")) } }
map_field("'shop', 'attribute', 'Рекламна кампанія', 'utm_campaign'");
map_field("'shop', 'attribute', 'Вартість доставки', 'shipping_costs', transform => 'number', arguments => '{\"scale\": 2}', edm_type => 'Edm.Double'");
map_field("'shop', 'attribute', 'Терміново (Замовлення покупця 3)', 'vip', edm_type => 'Edm.Boolean'");
map_field("'shop', 'attribute', 'Примітка', 'note'");
deliver(60, utm_campaign => 'осінь-2026', shipping_costs => '70,5', vip => 1, note => 'Рядок');
deliver(61);
run_engine();
is(state_of(60) . ' ' . sql("SELECT count(*) FROM salesdrive.exchange_log WHERE purpose = 'read attribute'"), 'synced 1', 'the list of attributes is read when the first order needs it');
is(attributes(60), 'Рекламна кампанія=осінь-2026, Вартість доставки=70.5, Терміново=true, Примітка=Рядок', 'an order with attributes');
is(join('|', map { held(60, "ДополнительныеРеквизиты,$_,Значение_Type") } 0 .. 2), 'Edm.String|Edm.Double|Edm.Boolean', 'each of its type');
is(held(60, 'ДополнительныеРеквизиты,3,ТекстоваяСтрока'), 'Рядок', 'a text of several lines stands in its own column, too');
is(attributes(61), '', 'an order without');
is(sql("SELECT sent_body ? 'ДополнительныеРеквизиты' FROM salesdrive.bas_order WHERE order_id = 61"), 'f', 'sends no section');
like(sql("SELECT lineage -> 'ДополнительныеРеквизиты' ->> 'rule' FROM salesdrive.bas_order WHERE order_id = 60"), qr/Рекламна кампанія from field_map shop: utm_campaign/, 'lineage of the section names the rows');
is(lineage_of(60, "section = 'ДополнительныеРеквизиты'", 'sent, held = sent, version, rule, path') =~ s/"//gr, join("\n", '1|Рекламна кампанія|осінь-2026|t|1|field_map shop: utm_campaign|utm_campaign', '2|Вартість доставки|70.5|t|1|field_map shop: shipping_costs | number|shipping_costs',
		'3|Терміново (Замовлення покупця 3)|true|t|1|field_map shop: vip|vip', '4|Примітка|Рядок|t|1|field_map shop: note|note'), 'and field_lineage has a row for each attribute');

# attributes of others stay; only ours are changed, cleared and compared
my $rows = json_decode($node->safe_psql('postgres', "SELECT read_body -> 'ДополнительныеРеквизиты' FROM salesdrive.bas_order WHERE account = 'shop' AND order_id = 60"));
delete $_->{Ref_Key} for @$rows;
edit(60, 'ДополнительныеРеквизиты' => [ { LineNumber => 1, 'Свойство_Key' => key(7), 'Значение_Type' => 'Edm.String', 'Значение' => 'менеджер' }, map { { %$_, LineNumber => $_->{LineNumber} + 1 } } @$rows ]);
deliver_and_run(60, utm_campaign => 'зима-2026', note => '');
is(state_of(60) . ': ' . attributes(60), 'synced: Джерело=менеджер, Рекламна кампанія=зима-2026, Вартість доставки=70.5, Терміново=true', 'what others added stays, what was cleared goes');
is(lineage_of(60, "section = 'ДополнительныеРеквизиты' AND line_no < 3", 'sent, version, rule, path') =~ s/"//gr, "1|Джерело|менеджер|kept as it was read from BAS\n2|Рекламна кампанія|зима-2026|2|field_map shop: utm_campaign|utm_campaign", 'field_lineage tells them apart');
edit(60, 'ДополнительныеРеквизиты' => [ { LineNumber => 1, 'Свойство_Key' => key(1), 'Значение_Type' => 'Edm.String', 'Значение' => 'вручну' } ]);
deliver_and_run(60, utm_campaign => 'весна-2027');
is(state_of(60), 'parked conflict', 'one of ours that was changed in BAS, and here, is a conflict');
sql("SELECT salesdrive.resend('shop', 60)");
run_engine();
like(attributes(60), qr/^Рекламна кампанія=весна-2027/, 'which resend() decides');
sql("UPDATE salesdrive.field_map SET owner = 'bas' WHERE property = 'Рекламна кампанія'; UPDATE salesdrive.field_map SET owner = 'empty' WHERE property = 'Примітка'");
deliver_and_run(60, utm_campaign => 'літо-2027', note => 'нова', vip => 0);
is(state_of(60) . ': ' . (attributes(60) =~ s/, Вартість доставки=70.5//r), 'synced: Рекламна кампанія=весна-2027, Терміново=false, Примітка=нова', 'attributes have owners, too');
deliver_and_run(60, note => 'ще новіша');
like(attributes(60), qr/Примітка=нова$/, 'what is there is not written over');
deliver_and_run(62, note => 'x' x 1500);
is(length(held(62, 'ДополнительныеРеквизиты,0,Значение')) . ' ' . length(held(62, 'ДополнительныеРеквизиты,0,ТекстоваяСтрока')), '1024 1500', 'a long text is whole in the column for texts');

# names that BAS does not have, or has twice
map_field("'shop', 'attribute', 'Джерила', 'source'");
deliver(63, source => 'сайт');
deliver(64);
run_engine();
is(state_of(63) . ' ' . status(63, 'blocked_on'), 'parked field field:shop:', 'an attribute that the base does not have parks the order');
like(status(63, 'detail'), qr/^The additional attribute "Джерила" is not in the base "main" \(there: .*Джерело \(Замовлення покупця 7\) \(Джерело\)/, 'with those there are');
is(state_of(64), 'synced', 'and no order without a value for it');
sql("UPDATE salesdrive.field_map SET property = 'Двійник' WHERE property = 'Джерила'");
run_engine();
like(status(63, 'detail'), qr/"Двійник" is not unique/, 'a title may not be unique');
sql("UPDATE salesdrive.field_map SET property = 'Двійник (Замовлення покупця 6)' WHERE property = 'Двійник'");
run_engine();
is(state_of(63) . ': ' . attributes(63), 'synced: Двійник=сайт', 'the name is');
map_field("'shop', 'attribute', 'Новий', 'channel'");
deliver_and_run(65, channel => 'olx');
$bas->control(POST => '/load', { $ATTRIBUTES => [ { Ref_Key => key(7), Description => 'Новий (Замовлення покупця)', 'Заголовок' => 'Новий' } ] });
sql("SELECT salesdrive.resume('shop', 65)");
run_engine();
is(state_of(65), 'synced', 'what was made in BAS meanwhile is found by resume()');

# ---- counterparties: written when they are created

forget();
sub counterparty { my ($phone) = @_; return json_decode($node->safe_psql('postgres', "SELECT l.request_body FROM salesdrive.exchange_log l WHERE l.purpose = 'create counterparty' AND l.key = '$phone' AND l.class = 'ok'")) }
deliver_and_run(70, contacts => [ { lName => 'Вигадана', fName => 'Оксана', phone => '0672000001', email => [ '', 'oksana@example.com' ] } ]);
is(state_of(70), 'synced', 'a new customer with an e-mail address');
my ($email) = grep { $_->{'Тип'} ne 'Телефон' } @{ counterparty('380672000001')->{'КонтактнаяИнформация'} };
is(join('|', map { $email->{$_} } qw(LineNumber Тип Вид_Key Представление АдресЭП)), '2|АдресЭлектроннойПочты|8c1f4a10-00dd-11ee-8000-000000000002|oksana@example.com|oksana@example.com', 'which goes into the contact information by itself');
map_field("'*', 'counterparty', 'НаименованиеПолное', '{contacts[0].company} ({contacts[0].lName} {contacts[0].fName})', transform => 'template', condition => 'exists(\$.contacts[0].company ? (\@ != \"\"))'");
map_field("'*', 'counterparty', 'Комментарий', 'contacts[0].comment'");
map_field("'*', 'counterparty', 'ДатаРождения', 'contacts[0].birthday', edm_type => 'Edm.DateTime', required => true, condition => 'exists(\$.contacts[0].company)'");
map_field("'*', 'contact', 'Факс', 'contacts[0].fax'");
map_field("'shop', 'contact', 'EmailКонтрагента', 'contacts[0].email2'");
deliver_and_run(71, contacts => [ { lName => 'Приклад', fName => 'Петро', phone => '0672000002', company => 'ТОВ «Приклад»', comment => 'оптовик', email => 'a@example.com', email2 => 'b@example.com', fax => '044 200-00-02' } ]);
is(state_of(71), 'parked field', 'a counterparty that lacks a required field is not created');
like(status(71, 'detail'), qr/Field "ДатаРождения" of the counterparty must have a value/, 'the sentence is in the order, too');
map_field("'*', 'counterparty', 'ДатаРождения', 'contacts[0].birthday', edm_type => 'Edm.DateTime', default_value => '1990-01-31', condition => 'exists(\$.contacts[0].company)'");
run_engine();
is(state_of(71), 'synced', 'a change of the row lets both go on');
my $made = counterparty('380672000002');
is(join('|', map { $made->{$_} } qw(Description НаименованиеПолное Комментарий ДатаРождения)), 'Приклад Петро|ТОВ «Приклад» (Приклад Петро)|оптовик|1990-01-31T00:00:00', 'mapped properties of a counterparty');
is(join(' ', map { "$_->{LineNumber}=$_->{'Представление'}" } @{ $made->{'КонтактнаяИнформация'} }), '1=+380672000002 2=044 200-00-02 3=b@example.com', 'and of its contact information; a row of the user wins over the shipped one');
deliver_and_run(72, contacts => [ { fName => 'Без', phone => '0672000003' } ]);
is(state_of(72) . ' ' . counterparty('380672000003')->{'НаименованиеПолное'}, 'synced Без', 'where no condition holds the engine decides');

# ---- functions of users

forget();
like(error_of("SELECT salesdrive.map_field('shop', 'order', 'Заметки', 'app.note', source_kind => 'function')"), qr/there is no function app\.note/, 'a function must be there');
sql("CREATE SCHEMA app; CREATE ROLE exchange LOGIN; SELECT salesdrive.grant_access('exchange', 'admin'); CREATE ROLE ope LOGIN; SELECT salesdrive.grant_access('ope', 'operator'); GRANT USAGE ON SCHEMA app TO exchange, ope;
	CREATE FUNCTION app.note(data jsonb, line jsonb, arguments jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$f\$
	BEGIN
		RETURN to_jsonb((arguments ->> 'prefix') || (data ->> 'comment')::numeric / (data ->> 'divisor')::numeric);
	END \$f\$;
	CREATE FUNCTION app.row(data jsonb, line jsonb, arguments jsonb) RETURNS jsonb LANGUAGE sql RETURN to_jsonb((line ->> 'sku') || '/' || (data ->> 'id'))");
sub as_exchange { my ($statement) = @_; utf8::encode($statement) if utf8::is_utf8($statement); my $out = $node->safe_psql('postgres', $statement, extra_params => [ '-U', 'exchange' ]); utf8::decode($out); return $out }
map_field("'shop', 'order', 'Заметки', 'app.note', source_kind => 'function', arguments => '{\"prefix\": \"= \"}'");
map_field("'shop', 'order_line', 'Содержание', 'app.row', source_kind => 'function'");
deliver($_->[0], comment => $_->[1], divisor => $_->[2]) for [ 80, 6, 2 ], [ 81, 1, 0 ], [ 82, 'x', 1 ];
deliver(83);
run_engine();
is(state_of(80), 'parked superuser', 'while the exchange runs as a superuser no function of a user is called');
like(status(80, 'detail'), qr/given by function app\.note of a user, and the exchange runs as superuser/, 'says the order');
like(sql("SELECT step FROM salesdrive.preview('shop', 80) LIMIT 1"), qr/^park: superuser/, 'nor by preview()');
as_exchange("SELECT salesdrive.resume('shop', id) FROM unnest(ARRAY[80, 81, 82, 83]) id");
as_exchange('CALL salesdrive.run()');
is(state_of(80) . ' ' . held(80, 'Заметки') . ' ' . held(80, 'Запасы,0,Содержание'), 'synced = 3.0000000000000000 SKU-0001/80', 'under a role of its own it is');
is(join(', ', map { state_of($_) } 81, 82), 'parked field, parked field', 'one that fails parks its order alone');
like(status(81, 'detail'), qr/^Field "Заметки" of the order: function app\.note failed with 22012: division by zero/, 'with the error');
is(state_of(83) . held(83, 'Заметки'), 'synced', 'NULL is no value');
like(as_exchange("SELECT step FROM salesdrive.preview('shop', 81) LIMIT 1"), qr/^park: field/, 'preview() says the same');
sql("CREATE OR REPLACE FUNCTION app.note(data jsonb, line jsonb, arguments jsonb) RETURNS jsonb LANGUAGE sql RETURN to_jsonb('ok'::text); SELECT salesdrive.resume('shop', 82)");
as_exchange('CALL salesdrive.run()');
is(state_of(82) . held(82, 'Заметки'), 'syncedok', 'the mended function lets it go on');
sub as_operator
{
	my ($statement) = @_;
	utf8::encode($statement) if utf8::is_utf8($statement);
	my ($rc, $out, $err) = $node->psql('postgres', $statement, extra_params => [ '-U', 'ope' ]);
	utf8::decode($err);
	return $err;
}
like(as_operator($_), qr/only an administrator maps fields by a function/, "an operator does not: $_") for "SELECT salesdrive.map_field('shop', 'order', 'Получил', 'app.row', source_kind => 'function')",
	"UPDATE salesdrive.field_map SET arguments = '{}' WHERE property = 'Заметки'", "DELETE FROM salesdrive.field_map WHERE property = 'Заметки'", "INSERT INTO salesdrive.field_map (account, target, property, source_kind, source) VALUES ('shop', 'order', 'X', 'function', 'app.row')";
is(as_operator("SELECT salesdrive.map_field('shop', 'order', 'Получил', 'comment'); DELETE FROM salesdrive.field_map WHERE property = 'Получил'"), '', 'but all else');
like(as_operator("UPDATE salesdrive.field_map SET source = 'x' WHERE origin = 'shipped'"), qr/shipped rows of field_map are read-only/, 'save shipped rows');

# ---- values of a dictionary that only a mapped field names

forget();
map_field("'shop', 'order', 'Заметки', 'kolir', dictionary => 'kolir'");
map_field("'shop', 'order_line', 'Содержание', 'rozmir', dictionary => 'rozmir'");
sql("SELECT salesdrive.map_value('shop', 'kolir', 'b', 'Червоний')");
deliver(85, kolir => 'a', products => [ { sku => 'SKU-0001', amount => 1, price => 120, rozmir => 'XL' } ]);
deliver(86, kolir => 'a');
deliver(87, kolir => 'b');
run_engine();
is(sql("SELECT string_agg(concat_ws(' ', dictionary, crm_key, orders, last_order, unmapped), ', ' ORDER BY dictionary) FROM salesdrive.unmapped('shop') WHERE dictionary IN ('kolir', 'rozmir')"), 'kolir a 2 86 empty, rozmir XL 1 85 empty', 'what nobody mapped is shown, with counts');
like(sql("SELECT problem FROM salesdrive.check('shop') WHERE subject = 'value kolir a'"), qr/^2 orders of the last 30 days have kolir a/, 'and by check()');
is(lineage_of(87, "property = 'Заметки'", "sent, rule, path, dictionary, crm_key, bas_key"), '|Заметки|"Червоний"|field_map shop: kolir by dictionary kolir|kolir|kolir|b|Червоний' =~ s/^\|//r, 'field_lineage shows the row of value_map');
is(lineage_of(85, "property = 'Содержание'", "rule, path, dictionary, crm_key, bas_key"), '1|Содержание|field_map shop: rozmir by dictionary rozmir|rozmir|rozmir|XL', 'and the value where nobody mapped it');
is(sql("CREATE ROLE viewer; SELECT salesdrive.grant_access('viewer', 'reader'); SET ROLE viewer; SELECT count(*) FROM salesdrive.unmapped_value WHERE dictionary = 'kolir'"), "\n1", 'readers see it, too');
sql("DELETE FROM salesdrive.value_map WHERE dictionary = 'kolir'");

# ---- lists that the base does not publish park the order, and nothing else

forget();
$bas->control(POST => '/config', { unpublished => [$ATTRIBUTES] });
sql("DELETE FROM salesdrive.dictionary_load WHERE dictionary = 'attribute'");
map_field("'shop', 'attribute', 'Рекламна кампанія', 'utm_campaign'");
map_field("'shop', 'order', 'Ответственный_Key', 'userId', dictionary => 'who'");
$bas->control(POST => '/config', { unpublished => [ $ATTRIBUTES, 'Catalog_ДоговорыКонтрагентов' ] });
sql("INSERT INTO salesdrive.profile_entity (profile, concept, entity_set) VALUES ('unf', 'who', 'Catalog_ДоговорыКонтрагентов'); INSERT INTO salesdrive.value_map (account, dictionary, crm_key, bas_key) VALUES ('shop', 'who', '1', 'Хтось')");
deliver(90, utm_campaign => 'x');
deliver(91);
deliver(92, userId => 1);
run_engine();
run_engine();
is(join(', ', map { state_of($_) } 90, 92, 91) . sql('SELECT paused_at IS NULL FROM salesdrive.infobase'), 'parked field, parked field, syncedt', 'attributes that are not published stop the orders that have them');
like(status(90, 'detail'), qr/the list of attribute cannot be read from infobase "main"/, 'says the order');
like(status(90, 'hint'), qr/^Add $ATTRIBUTES to the composition of the OData interface/, 'with what to do');
sql("UPDATE salesdrive.value_map SET bas_key = '8c1f4a10-00cc-11ee-8000-000000000001' WHERE dictionary = 'who'");
run_engine();
is(state_of(92), 'synced', 'a value mapped by Ref_Key needs no list: the order goes on by itself');
sql("UPDATE salesdrive.field_map SET enabled = false WHERE property = 'Рекламна кампанія'");
run_engine();
is(state_of(90), 'synced', 'so does one whose mapping is taken back');
sql("UPDATE salesdrive.field_map SET enabled = true WHERE property = 'Рекламна кампанія'");
deliver(93, utm_campaign => 'y');
run_engine();
$bas->control(POST => '/config', { unpublished => [] });
sql("SELECT salesdrive.resume('shop', 93); SELECT salesdrive.resend('shop', 90)");
run_engine();
is(state_of(90) . ' ' . attributes(90), 'synced Рекламна кампанія=x', 'and resume() reads it again');

# ---- what the base says of itself: types, and names that it does not have

forget();
sql("SELECT salesdrive.load_metadata('main')");
run_engine();
map_field("'shop', 'order', 'ДатаОтгрузки', 'dataDostavki'");
map_field("'*', 'order', 'Заметка', 'note'");
map_field("'shop', 'order', 'СкидкиРассчитаны', 'flag', edm_type => 'Edm.String'");
map_field("'shop', 'attribute', 'Немає такого', 'nope'");
like(error_of("SELECT salesdrive.map_field('shop', 'order', 'Заметка', 'note')"), qr/Document_ЗаказПокупателя of infobase "main" has no property "Заметка".*Is it "Заметки"\?/s, 'a property the base does not have is refused');
deliver($_, dataDostavki => '2026-11-30') for 100 .. 110;
run_engine();
is(held(100, 'ДатаОтгрузки'), '2026-11-30T00:00:00', 'the type of a property comes from the metadata');
is(sql("SELECT string_agg(concat_ws(' ', severity, subject, left(problem, 60)), E'\n' ORDER BY subject, problem) FROM salesdrive.check('shop') WHERE subject LIKE 'field %'"),
	"warning field attribute Немає такого None of the last 200 orders has anything at the path nope.\nerror field attribute Немає такого The additional attribute is not in the base \"main\" (there: В\nerror field order Заметка Document_ЗаказПокупателя of the base has no property of this\nerror field order СкидкиРассчитаны It is sent as Edm.String, and the base has Edm.Boolean there\nwarning field order СкидкиРассчитаны None of the last 200 orders has anything at the path flag." =~ s/200/sql("SELECT least(200, count(*)) FROM salesdrive.crm_order WHERE account = 'shop'")/egr,
	'check() finds what will not work');
is(sql("SELECT concat_ws('|', sent, held, version, rule, path) FROM salesdrive.field_lineage WHERE account = 'shop' AND order_id = 100 AND property = 'ДатаОтгрузки'"), '"2026-11-30T00:00:00"|"2026-11-30T00:00:00"|1|field_map shop: dataDostavki|dataDostavki', 'field_lineage shows where a value came from');
sql('DELETE FROM salesdrive.bas_metadata; DELETE FROM salesdrive.metadata_load');

# ---- what a row must be

forget();
for (
	[ "'nope', 'order', 'X', 'a'", qr/there is no account "nope"/, 'an unknown account' ],
	[ "'shop', 'header', 'X', 'a'", qr/there is no target "header".*order, order_line/s, 'an unknown target' ],
	[ "'shop', 'order', '', 'a'", qr/names a property of BAS and its source/, 'no property' ],
	[ "'shop', 'order', 'X', '\$.a['", qr/field "X" of order cannot be mapped so: the source "\$\.a\[" is no path.*yntax error/s, 'a broken path' ],
	[ "'shop', 'order', 'X', '\$other.a'", qr/no path.*no other variables/s, 'a path with a variable' ],
	[ "'shop', 'order', 'X', '\$.a.datetime()'", qr/no path.*transform date/s, 'datetime()' ],
	[ "'shop', 'order', 'X', 'a', transform => 'shout'", qr/transform "shout" cannot be done.*Transforms: text, upper/s, 'an unknown transform' ],
	[ "'shop', 'order', 'X', 'a', transform => 'text | left'", qr/needs the argument length/, 'a missing argument' ],
	[ "'shop', 'order', 'X', 'a', transform => 'extract', arguments => '{\"pattern\": \"(\"}'", qr/cannot be done.*parentheses/s, 'a broken pattern' ],
	[ "'shop', 'order', 'X', '{a} {b[}', transform => 'template'", qr/In \{b\[\}/, 'a broken path in a template' ],
	[ "'shop', 'order', 'X', 'a', condition => '\$.sajt'", qr/condition "\$\.sajt" is no predicate/, 'a condition that is none' ],
	[ "'shop', 'order', 'X', 'a', condition => '\$ ? (\@.sajt == 5)'", qr/no predicate/, 'a filter in place of one' ],
	[ "'shop', 'order', 'X', 'a', owner => 'me'", qr/there is no owner "me"/, 'an unknown owner' ],
	[ "'shop', 'order_line', 'X', 'a', owner => 'bas'", qr/owner "bas" is not for order_line.*one owner/s, 'an owner of a line' ],
	[ "'shop', 'order', 'НомерВходящегоДокумента', 'a'", qr/belongs to the engine.*recognised/s, 'the customer reference' ],
	[ "'shop', 'order_line', 'Сумма', 'a'", qr/belongs to the engine/, 'the sum of a line' ],
	[ "'shop', 'order', 'Posted', 'a'", qr/belongs to the engine.*account\.posting/s, 'Posted' ],
	[ "'shop', 'order', 'Запасы', 'a'", qr/section of rows/, 'a section' ],
	[ "'shop', 'order', 'X', 'app.nope', source_kind => 'function'", qr/there is no function app\.nope\(jsonb, jsonb, jsonb\)/, 'an unknown function' ],
	[ "'shop', 'order', 'X', 'a', edm_type => 'text'", qr/field_map_edm_type_check/, 'a type that is none' ])
{
	my ($arguments, $error, $what) = @$_;
	like(error_of("SELECT salesdrive.map_field($arguments)"), $error, "map_field(): $what");
}
is(sql("SELECT count(*) FROM salesdrive.field_map WHERE origin = 'user'"), 0, 'and nothing is kept');

is(sql("SELECT string_agg(concat_ws(' ', origin, source_kind, source), '; ' ORDER BY rank) FROM salesdrive.field_map_effective WHERE account = 'shop' AND property = 'Комментарий' AND target = 'order'"), 'profile engine comment',
	'the effective rows show what the engine fills by itself');
is_deeply($bas->control(GET => '/state')->{violations}, [], 'the base reports no violation');

done_testing();
