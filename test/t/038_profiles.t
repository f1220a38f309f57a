# Every profile makes orders travel: the same orders against the simulator with the names of each configuration, a known and unknown customers, an
# edit, the money both ways; variants that $metadata shows; and a configuration of its own, by rows only.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql error_of);

my $node = new_node('profiles', preload => 0);

sub quoted { my ($text) = @_; $text =~ s/'/''/g; return "'$text'" }

# SQL that takes in an order: lines are [SKU, amount, price, percent of discount].
sub delivery
{
	my ($account, $id, %o) = @_;
	my $lines = $o{lines} // [ [ 'SKU-0001', 2, 120, 0 ] ];
	my $body = json_encode({ data => { id => $id, version => $o{version} // 1, orderTime => '2026-11-20 10:00:00', updateAt => $o{update_at} // '2026-11-20 10:00:00', paymentAmount => $o{sum} // 240,
		comment => $o{comment} // 'Зразок', ($o{parcel} ? (ord_novaposhta => $o{parcel}) : ()), contacts => [ { fName => 'Зразок', lName => 'Вигаданий', phone => $o{phone} } ],
		products => [ map { { sku => $_->[0], amount => $_->[1], price => $_->[2], discount => $_->[3], percentDiscount => 1 } } @$lines ] } });
	utf8::decode($body);
	return "SELECT salesdrive.accept_webhook('$account', " . quoted($body) . ')';
}

# The tenth configuration: rows only.
sql(<<'SQL');
INSERT INTO salesdrive.profile (name, title) VALUES ('tenth', 'Десята');
INSERT INTO salesdrive.profile_entity (profile, concept, entity_set, filter) VALUES
    ('tenth', 'order', 'Document_ЗамовленняКлієнта', NULL), ('tenth', 'order_line', 'Позиції', NULL), ('tenth', 'counterparty', 'Catalog_Контрагенти', NULL),
    ('tenth', 'counterparty_contact', 'Catalog_Контрагенти_КонтактнаяИнформация', NULL), ('tenth', 'contact_row', 'КонтактнаяИнформация', NULL), ('tenth', 'product', 'Catalog_Товари', NULL),
    ('tenth', 'contact_kind', 'Catalog_ВидыКонтактнойИнформации', 'PredefinedDataName eq ''ТелефонКонтрагента'''), ('tenth', 'organisation', 'Catalog_Організації', NULL), ('tenth', 'currency', 'Catalog_Валюты', NULL);
INSERT INTO salesdrive.profile_property (profile, entity, concept, property, constant) VALUES
    ('tenth', 'order', 'date', 'Date', NULL), ('tenth', 'order', 'organisation', 'Організація_Key', NULL), ('tenth', 'order', 'counterparty', 'Контрагент_Key', NULL), ('tenth', 'order', 'currency', 'Валюта_Key', NULL),
    ('tenth', 'order', 'total', 'СумаДокумента', NULL), ('tenth', 'order', 'vat_included', 'ЗПДВ', NULL), ('tenth', 'order', 'customer_reference', 'НомерКлієнта', NULL), ('tenth', 'order', 'comment', 'Примітка', NULL),
    ('tenth', 'order_line', 'line_no', 'LineNumber', NULL), ('tenth', 'order_line', 'product', 'Товар_Key', NULL), ('tenth', 'order_line', 'quantity', 'Кількість', NULL), ('tenth', 'order_line', 'price', 'Ціна', NULL),
    ('tenth', 'order_line', 'discount', 'Знижка', NULL), ('tenth', 'order_line', 'sum', 'Сума', NULL), ('tenth', 'order_line', 'vat_rate', 'СтавкаПДВ', NULL), ('tenth', 'order_line', 'vat_sum', 'СумаПДВ', NULL),
    ('tenth', 'order_line', 'total', 'Разом', NULL), ('tenth', 'counterparty', 'name', 'Description', NULL), ('tenth', 'counterparty', 'deleted', 'DeletionMark', NULL),
    ('tenth', 'contact_row', 'type', 'Тип', '"Телефон"'), ('tenth', 'contact_row', 'kind', 'Вид_Key', NULL), ('tenth', 'contact_row', 'presentation', 'Представление', NULL), ('tenth', 'contact_row', 'number', 'НомерТелефона', NULL),
    ('tenth', 'product', 'article', 'Код1', NULL), ('tenth', 'product', 'name', 'Description', NULL), ('tenth', 'product', 'vat_rate', 'СтавкаПДВ', NULL), ('tenth', 'product', 'deleted', 'DeletionMark', NULL),
    ('tenth', 'contact_kind', 'name', 'Description', NULL), ('tenth', 'organisation', 'name', 'Description', NULL), ('tenth', 'currency', 'name', 'Description', NULL), ('tenth', 'currency', 'code', 'Code', NULL),
    ('tenth', 'vat_value', 'vat20', 'ПДВ20', '20'), ('tenth', 'vat_value', 'vat7', 'ПДВ7', '7'), ('tenth', 'vat_value', 'none', 'БезПДВ', '0');
SQL

# configuration of the base, profile given, profile recognised
my @cases = (
	[ 'unf', 'unf', 'unf' ], [ 'small_business', 'small_business', 'small_business' ], [ 'unf:3.0', 'unf', 'unf:3.0' ],
	[ 'trade32', 'trade32', 'trade32' ], [ 'trade32:3.5', 'trade32', 'trade32:3.5' ], [ 'erp', 'erp', 'erp' ], [ 'erp:2.5', 'erp', 'erp:2.5' ], [ 'kup', 'kup', 'kup' ], [ 'kup:2.5', 'kup', 'kup:2.5' ],
	[ 'accounting2', 'accounting2', 'accounting2' ], [ 'alfa_auto6', 'alfa_auto6', 'alfa_auto6' ], [ 'retail', 'retail', 'retail' ], [ 'crm3', 'crm3', 'crm3' ], [ 'tenth', 'tenth', 'tenth' ]);
my $chosen = $ENV{TEST_PROFILE};    # one of them, while you work on it
for my $case (@cases)
{
	my ($configuration, $profile, $recognised) = @$case;
	next if defined $chosen && $configuration ne $chosen;
	my $a = $configuration =~ s/[:.]/-/gr;
	my $bas = start_peer('bas', '--configuration', $configuration);
	my $states = sub { return sql("SELECT string_agg(concat_ws(' ', order_id, state, reason, detail), ', ' ORDER BY order_id) FROM salesdrive.order_status WHERE account = '$a'") };
	my $document = sub { my ($id) = @_; my ($d) = grep { $_->{reference} =~ /(?:\A|\/)$id\z/ } @{ $bas->control(GET => '/state?full=1')->{documents}{list} }; return $d // {} };
	my $trade = $configuration =~ /^(trade|erp|kup)/;

	# all the way: a known customer and one nobody knows; a discount, two VAT rates
	sql(join '; ', "SELECT salesdrive.add_infobase('$a', '$profile', '" . $bas->url('/base') . "', 'Обмен', 'secret')",
		"SELECT salesdrive.add_account(name => '$a', url => 'https://x.salesdrive.me', identity => '$a', api_key => 'k', infobase => '$a', webhook_token => 'a-token-of-24-characters')",
		delivery($a, 101, phone => '0671000001', sum => 313.17, lines => [ [ 'SKU-0001', 2, 120, 10 ], [ 'SKU-0007', 3, 32.39, 0 ] ]),
		delivery($a, 102, phone => '0679998877', parcel => { EN => '', cityName => 'Київ', branchNumber => 5 }));
	sql('CALL salesdrive.run()');
	is($states->(), '101 synced, 102 synced', "$configuration: orders are in BAS");
	is(sql("SELECT profile FROM salesdrive.infobase WHERE name = '$a'"), $recognised, 'with the profile that $metadata shows');
	my $d = $document->(101);
	is_deeply([ $d->{sum}, $d->{counterparty_name}, map { "$_->{article} $_->{quantity} $_->{price} $_->{sum}" } @{ $d->{rows} // [] } ],
		[ 313.17, 'Вигаданенко Олена', 'SKU-0001 2 120 216', 'SKU-0007 3 32.39 97.17' ], 'the document of a known customer');
	if ($configuration =~ /^(trade|erp|kup|accounting)/)
	{
		is(sql("SELECT string_agg(coalesce(nullif(read_body ->> 'АдресДоставки', ''), 'none'), ' | ' ORDER BY order_id) FROM salesdrive.bas_order WHERE account = '$a'"), 'none | Київ, відділення №5', 'the address of the parcel goes where the document has one');
		is(sql("SELECT rule FROM salesdrive.field_lineage WHERE account = '$a' AND order_id = 102 AND property = 'АдресДоставки'"), 'field_map *: delivery[*].address | join', 'by a row that is shipped');
	}
	my $state = $bas->control(GET => '/state');
	is_deeply([ $state->{counterparties}{created}, $trade ? $state->{partners}{created} : 1 ], [ 1, 1 ], $trade ? 'a new customer is made, its partner first' : 'a new customer is made');

	# an edit, a customer known by the partner alone, prices without VAT
	sql(join '; ', delivery($a, 101, phone => '0671000001', version => 2, update_at => '2026-11-20 11:00:00', sum => 600, comment => 'Інакше', lines => [ [ 'SKU-0001', 5, 120, 0 ] ]),
		delivery($a, 103, phone => '0501000002'));
	sql('CALL salesdrive.run()');
	is($states->(), '101 synced, 102 synced, 103 synced', 'an edit travels');
	$d = $document->(101);
	is_deeply([ $d->{sum}, scalar @{ $d->{rows} // [] }, $d->{comment} =~ /Інакше$/ ? 1 : 0 ], [ 600, 1, 1 ], 'and is what it says');
	is($bas->control(GET => '/state')->{counterparties}{created}, 1, 'a customer that only its partner tells is found') if $trade;
	is($document->(103)->{counterparty_name}, 'Приклад Петро', 'the right one');
	if ($configuration eq 'trade32')
	{
		# several partners of one phone: decided by hand; another counterparty than the one found: its partner follows
		my $second = '8c1f4a10-00bc-11ee-8000-0000000000a2';
		$bas->control(POST => '/load', { 'Catalog_Партнеры' => [ map { { Ref_Key => $_, Description => 'Двійник', 'КонтактнаяИнформация' => [ { LineNumber => 1, 'Тип' => 'Телефон', 'Представление' => '+380671110099', 'НомерТелефона' => '380671110099' } ] } }
			$second, '8c1f4a10-00bc-11ee-8000-0000000000a3' ] });
		sql(delivery($a, 110, phone => '0671110099'));
		sql('CALL salesdrive.run()');
		like(sql("SELECT concat_ws(' ', state, reason, detail, hint) FROM salesdrive.order_status WHERE account = '$a' AND order_id = 110"), qr/^parked counterparty_several Several partners of infobase.*entity = 'partner'/, 'several partners are for you to decide');
		sql("UPDATE salesdrive.bas_counterparty_phone SET state = 'known', ref_key = '$second' WHERE infobase = '$a' AND phone = '380671110099' AND entity = 'partner'");
		sql('CALL salesdrive.run()');
		is(sql("SELECT state FROM salesdrive.order_status WHERE account = '$a' AND order_id = 110"), 'synced', 'then the order goes on by itself');
		sql("UPDATE salesdrive.bas_counterparty_phone SET ref_key = '8c1f4a10-00bb-11ee-8000-000000000003' WHERE infobase = '$a' AND phone = '380671110099' AND entity = 'counterparty'; " . delivery($a, 111, phone => '0671110099'));
		sql('CALL salesdrive.run()');
		is($document->(111)->{counterparty_name}, 'Зразкова Марія', 'another counterparty, said by hand, comes with its partner');
		sql("SELECT salesdrive.skip('$a', 110, 'told')");
		$bas->control(POST => '/delete', { set => 'Catalog_Партнеры', keys => ['8c1f4a10-00bc-11ee-8000-0000000000a3'] });
	}
	if (sql("SELECT salesdrive.property_names(profile, 'order') ? 'vat_included' FROM salesdrive.infobase WHERE name = '$a'") eq 't')
	{
		sql("UPDATE salesdrive.account SET vat_included = false WHERE name = '$a'; " . delivery($a, 104, phone => '0671000001', sum => 100, lines => [ [ 'SKU-0001', 1, 100, 0 ] ]));
		sql('CALL salesdrive.run()');
		is($document->(104)->{sum}, $configuration eq 'unf:3.0' ? 100 : 120, 'VAT comes on top where prices are without it');
	}
	if ($trade)
	{
		# additional attributes, made and filled
		$bas->control(POST => '/load', { 'Catalog_НаборыДополнительныхРеквизитовИСведений' => [ { Ref_Key => '8c1f4a10-00d8-11ee-8000-000000000001', Description => 'Замовлення клієнта', PredefinedDataName => 'Документ_ЗаказКлиента' } ] });
		sql("SELECT count(*) FROM salesdrive.prepare_infobase('$a', apply => true)");
		sql('CALL salesdrive.run()');
		is(sql("SELECT string_agg(DISTINCT state, ', ') FROM salesdrive.prepare_infobase('$a')"), 'there', 'additional attributes are made');
		sql("SELECT salesdrive.map_field('$a', 'attribute', 'Статус SalesDrive', '{id} є', transform => 'template'); " . delivery($a, 106, phone => '0671000001', sum => 100, lines => [ [ 'SKU-0001', 1, 100, 0 ] ], parcel => { EN => '20450000000001', cityName => 'Київ', branchNumber => 5 }));
		sql('CALL salesdrive.run()');
		is(sql("SELECT string_agg(r ->> 'Значение', ' | ' ORDER BY r ->> 'Значение' COLLATE \"C\") FROM salesdrive.bas_order, jsonb_array_elements(read_body -> 'ДополнительныеРеквизиты') r WHERE account = '$a' AND order_id = 106"),
			'106 | 106 є | 20450000000001 | https://x.salesdrive.me/ua/index.html?formId=#/order/view/106 | Київ, відділення №5', 'and filled; a row of the user wins over the shipped one');
		sql("DELETE FROM salesdrive.field_map WHERE origin = 'user'");
	}
	if ($configuration eq 'accounting2')
	{
		sql("SELECT salesdrive.map_field('$a', 'order', 'Комментарий', '{comment}!', transform => 'template'); " . delivery($a, 105, phone => '0671000001', sum => 100, lines => [ [ 'SKU-0001', 1, 100, 0 ] ]));
		sql('CALL salesdrive.run()');
		is($document->(105)->{comment}, "$a/105: Зразок!", 'a mapped comment keeps the marker');
		sql("DELETE FROM salesdrive.field_map WHERE account = '$a'");
	}
	$state = $bas->control(GET => '/state');
	is_deeply($state->{violations}, [], 'the base reports no violation');
	is($state->{documents}{count}, sql("SELECT count(*) FROM salesdrive.crm_order WHERE account = '$a'"), 'one document an order');
	is(sql("SELECT string_agg(text, ' ') FROM salesdrive.order_event WHERE account = '$a' AND event = 'differs'"), '', 'BAS keeps all as sent');
	is(sql("SELECT string_agg(concat_ws(' ', subject, problem), '; ') FROM salesdrive.check('$a') WHERE subject LIKE 'entity%'"), '', 'check() misses no name');
	my $differences = sql("SELECT string_agg(concat_ws(' ', concept, problem), '; ') FROM salesdrive.profile_difference WHERE infobase = '$a' AND needed");
	if ($configuration =~ /^(retail|crm3|alfa_auto6|accounting2|tenth)$/)    # no variants: nobody has read it yet
	{
		is($differences, '', 'without \$metadata nothing is said');
		sql("SELECT salesdrive.load_metadata('$a')");
		sql('CALL salesdrive.run()');
		$differences = sql("SELECT string_agg(concat_ws(' ', concept, problem), '; ' ORDER BY concept) FROM salesdrive.profile_difference WHERE infobase = '$a' AND needed");
	}
	like($differences, $configuration =~ /^(retail|crm3)$/ ? qr/^(?:\w+\.\w+ It is there \(Edm\.\w+\); whether it means that is to be verified: [^;]*(?:; |$))+/ : $configuration eq 'alfa_auto6' ? qr/^order_line.sum It is there [^a-z]*Edm.Double.*; to be verified: after the discount\.\z/ : qr/^\z/,
		'what is to be verified, and nothing else');
	$bas->stop;
	sql("SELECT salesdrive.pause_infobase('$a', 'done')");
}

# ---- a profile that does not hold

is(sql("SELECT string_agg(name || ': ' || array_to_string(g.gaps, ', '), '; ' ORDER BY name) FROM (SELECT p.name, salesdrive.profile_gaps(p.name) AS gaps FROM salesdrive.profile_effective p) g WHERE gaps <> '{}'"), '', 'no profile lacks a name that orders cannot do without');
my $bas = start_peer('bas', '--configuration', 'tenth');
sub shown { my ($what, $id) = @_; return sql("SELECT concat_ws(' | ', $what) FROM salesdrive.order_status WHERE account = 'half' AND order_id = $id") }
sql(join '; ', "INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('tenth', 'order_line', 'product', NULL) ON CONFLICT (profile, entity, concept, origin) DO UPDATE SET property = NULL",
	"SELECT salesdrive.add_infobase('half', 'tenth', '" . $bas->url('/base') . "', 'Обмен', 'secret')",
	"SELECT salesdrive.add_account(name => 'half', url => 'https://half.salesdrive.me', api_key => 'k', infobase => 'half', webhook_token => 'a-token-of-24-characters')", delivery('half', 1, phone => '0671000001'));
sql('CALL salesdrive.run()');
like(shown('state, reason, detail, hint', 1), qr/^parked \| setting \| Profile "tenth" of infobase "half" does not say what these are called: order_line\.product\. \| Add rows of origin user/, 'a configuration by rows that lacks a name says which');
sql("UPDATE salesdrive.profile_property SET property = 'Товар_Key' WHERE profile = 'tenth' AND entity = 'order_line' AND concept = 'product'; CALL salesdrive.run()");
is(shown('state', 1), 'synced', 'and its orders go on when the row is there');
like(error_of("UPDATE salesdrive.infobase SET profile = 'tenht' WHERE name = 'half'"), qr/there is no profile "tenht".*Profiles: /s, 'a profile that is not there is refused');
sql("INSERT INTO salesdrive.profile_entity (profile, concept, entity_set) VALUES ('tenth', 'counterparty_contact', NULL) ON CONFLICT (profile, concept, origin) DO UPDATE SET entity_set = NULL; " . delivery('half', 4, phone => '0671000001') . '; CALL salesdrive.run()');
like(shown('detail', 4), qr/does not say what these are called: counterparty_contact\./, 'customers are found by their contacts');
sql("UPDATE salesdrive.account SET counterparty_mode = 'fixed', fixed_counterparty = '8c1f4a10-00bb-11ee-8000-000000000002' WHERE name = 'half'; CALL salesdrive.run()");
is(shown('state', 4), 'synced', 'one counterparty for all needs none of that');
sql("UPDATE salesdrive.profile_entity SET entity_set = 'Catalog_Контрагенти_КонтактнаяИнформация' WHERE profile = 'tenth' AND concept = 'counterparty_contact'; UPDATE salesdrive.account SET counterparty_mode = 'phone' WHERE name = 'half'");
sql("UPDATE salesdrive.profile SET enabled = false WHERE name = 'tenth'; " . delivery('half', 2, phone => '0671000001') . "; CALL salesdrive.run()");
like(shown('state, reason, detail', 2), qr/^parked \| setting \| There is no profile "tenth"/, 'one that is switched off parks orders, too');
like(sql("SELECT step FROM salesdrive.preview('half', 2) LIMIT 1"), qr/^park: setting: There is no profile/, 'and preview() says so');
sql("UPDATE salesdrive.profile SET enabled = true WHERE name = 'tenth'; CALL salesdrive.run()");
is(shown('state', 2), 'synced', 'until it is on again');
sql("INSERT INTO salesdrive.field_map (account, target, property, source_kind, source) VALUES ('half', 'order', 'Примітка', 'constant', 'x'); UPDATE salesdrive.profile_property SET property = 'Примітка' WHERE profile = 'tenth' AND entity = 'order' AND concept = 'customer_reference';
	UPDATE salesdrive.profile_property SET property = NULL WHERE profile = 'tenth' AND entity = 'order' AND concept = 'comment'");
is(sql("SELECT body ->> 'Примітка' FROM salesdrive.preview('half', 2) WHERE step = 'document as it should be'"), '2', 'what became the reference later is mapped no longer');
sql("DELETE FROM salesdrive.field_map WHERE origin = 'user'; UPDATE salesdrive.profile_property SET property = CASE concept WHEN 'comment' THEN 'Примітка' ELSE 'НомерКлієнта' END WHERE profile = 'tenth' AND entity = 'order' AND concept IN ('comment', 'customer_reference')");
sql("INSERT INTO salesdrive.profile (name, title, parent) VALUES ('tenth:b', 'x', 'tenth'); UPDATE salesdrive.infobase SET profile = 'tenth:b' WHERE name = 'half'");
is(sql("SELECT (SELECT count(*) FROM salesdrive.bas_product WHERE infobase = 'half') + (SELECT count(*) FROM salesdrive.dictionary_load WHERE infobase = 'half')"), 0, 'goods and lists read under the names of another profile are read anew');
sql(delivery('half', 3, phone => '0671000001') . '; CALL salesdrive.run()');
is(shown('state', 3), 'synced', 'under the new one');
is_deeply($bas->control(GET => '/state')->{violations}, [], 'nothing is doubled');

done_testing();
