# Additional attributes for the data of SalesDrive: prepare_infobase() shows them and has them made, once, whatever happens to the answers; then the
# order number, its address, its status and the eight further fields of a deal go from webhooks into them. Where the document has no section of
# attributes they are lines of its comment.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine uri);

my $node = new_node('prepare', preload => 0);
my ($CHART, $SETS) = ('ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения', 'Catalog_НаборыДополнительныхРеквизитовИСведений');
my $ZERO = '00000000-0000-0000-0000-000000000000';

sub key { my ($n) = @_; return sprintf '8c1f4a10-00d8-11ee-8000-%012d', $n }
sub objects { my ($bas, $set) = @_; return @{ $bas->control(GET => '/objects?set=' . uri($set))->{value} } }
sub load_set { my ($bas, @rows) = @_; return $bas->control(POST => '/load', { $SETS => [ { Ref_Key => key(1), Description => 'Замовлення покупця', PredefinedDataName => 'Документ_ЗаказПокупателя', 'ДополнительныеРеквизиты' => \@rows } ] }) }
sub base
{
	my ($name, $account, %config) = @_;
	my $bas = start_peer('bas');
	load_set($bas, { LineNumber => 1, 'Свойство_Key' => key(77) });
	$bas->control(POST => '/load', { $CHART => [ { Ref_Key => key(77), Description => 'Колір пакунка', 'Заголовок' => 'Колір пакунка' } ] });
	$bas->control(POST => '/config', \%config) if %config;
	sql("SELECT salesdrive.add_infobase('$name', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => '$account', url => 'https://$account-demo.salesdrive.me', api_key => 'k', infobase => '$name', webhook_token => 'a-token-of-24-characters')");
	return $bas;
}
sub prepare { my ($name, $apply) = @_; return sql("SELECT string_agg(state, ' ' ORDER BY n) FROM (SELECT state, count(*) OVER (), row_number() OVER () AS n FROM salesdrive.prepare_infobase('$name'" . ($apply ? ', apply => true' : '') . ')) p') }
sub states { my ($name) = @_; return sql("SELECT string_agg(format('%s %s', n, state), ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM salesdrive.prepare_infobase('$name') GROUP BY state) p") }
sub detail { my ($name, $attribute) = @_; return sql("SELECT detail FROM salesdrive.prepare_infobase('$name') WHERE attribute = '$attribute'") }
sub made { my ($bas) = @_; my %n; $n{ $_->{Description} }++ for grep { $_->{Description} =~ /SalesDrive$/ } objects($bas, $CHART); return \%n }
sub listed { my ($bas) = @_; my ($set) = objects($bas, $SETS); return scalar @{ $set->{'ДополнительныеРеквизиты'} } }
my %version;
sub deliver
{
	my ($account, $id, %o) = @_;
	my $fields = delete $o{fields} // {};
	my $v = ++$version{"$account/$id"};
	my $body = json_encode({ data => { id => $id, formId => 1, version => $v, orderTime => '2026-11-20 10:00:00', updateAt => sprintf('2026-11-20 10:%02d:00', $v), paymentAmount => 120,
		contacts => [ { fName => 'Олена', lName => 'Зразок', phone => '0671000001' } ], products => [ { sku => 'SKU-0001', amount => 1, price => 120 } ], %o }, meta => { fields => $fields } });
	utf8::decode($body);
	$body =~ s/'/''/g;
	sql("SELECT salesdrive.accept_webhook('$account', '$body')");
	return run_engine();
}
sub state_of { my ($account, $id) = @_; return sql("SELECT concat_ws(' ', state, reason) FROM salesdrive.order_status WHERE account = '$account' AND order_id = $id") }
sub attributes
{
	my ($bas, $account, $id) = @_;
	my %name = map { $_->{Ref_Key} => $_->{Description} } objects($bas, $CHART);
	my $rows = json_decode($node->safe_psql('postgres', "SELECT coalesce(read_body -> 'ДополнительныеРеквизиты', '[]') FROM salesdrive.bas_order WHERE account = '$account' AND order_id = $id"));
	return { map { $name{ $_->{'Свойство_Key'} } => $_->{'Значение'} } @$rows };
}
sub select_field { my ($name, $value, $text) = @_; return { $name => { name => $name, label => $name, type => 'select', options => [ { value => $value, text => $text } ] } } }
my %DEAL = (statusId => 5, shipping_method => 9, ord_delivery_data => [ { senderId => 3, provider => 'novaposhta', trackingNumber => '' } ], sajt => 149, utmPage => 'https://shop.example/item/1?a=b', campaignId => 12,
	utmSource => 'google', utmCampaign => 'осінь-2026', utmMedium => 'cpc', comment => 'Подзвонити');
my %META = (%{ select_field(statusId => 5, 'Новий') }, %{ select_field(shipping_method => 9, 'Нова пошта') }, %{ select_field(sajt => 149, 'prom.ua/my-shop') }, %{ select_field(campaignId => 12, 'Осінній розпродаж') });
my %VALUES = ('Номер замовлення SalesDrive' => 1, 'Посилання на замовлення SalesDrive' => 'https://shop-demo.salesdrive.me/ua/index.html?formId=1#/order/view/1', 'Статус SalesDrive' => 'Новий',
	'Спосіб доставки SalesDrive' => 'Нова пошта', 'Відправник доставки SalesDrive' => '3', 'Сайт Prom.ua SalesDrive' => 'prom.ua/my-shop', 'Сторінка сайту SalesDrive' => 'https://shop.example/item/1?a=b',
	'Рекламна кампанія SalesDrive' => 'Осінній розпродаж', 'Джерело SalesDrive' => 'google', 'utm_campaign SalesDrive' => 'осінь-2026', 'Канал SalesDrive' => 'cpc');

# ---- shown, not made

my $bas = base('main', 'shop');
is(prepare('main'), join(' ', ('missing') x 13), 'thirteen attributes are missing');
deliver('shop', 90, %DEAL, fields => \%META);
is(state_of('shop', 90), 'synced', 'an order travels meanwhile');
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE purpose = 'read attribute'"), 0, 'and asks for no list of attributes');
is_deeply(attributes($bas, 'shop', 90), {}, 'nothing of them is sent');
is(sql("SELECT count(*) FROM salesdrive.field_map_effective WHERE target = 'attribute'"), 0, 'nor shown as in force');
is(scalar keys %{ made($bas) }, 0, 'showing makes nothing');

# ---- made

is(prepare('main', 1), join(' ', ('to be made') x 13), 'asked for');
run_engine();
is(prepare('main'), join(' ', ('there') x 13), 'made');
is_deeply(made($bas), { map { $_ => 1 } keys %VALUES, 'ТТН SalesDrive', 'Адреса доставки SalesDrive' }, 'each once in the base');
my ($one) = grep { $_->{Description} eq 'Статус SalesDrive' } objects($bas, $CHART);
is(join('|', map { $one->{$_} ? 1 : 0 } qw(Виден Доступен ЭтоДополнительноеСведение)) . "|$one->{'Заголовок'}|$one->{'НаборСвойств_Key'}", "1|1|0|Статус SalesDrive|$ZERO", 'visible, of no set of its own, no information record');
is($one->{Ref_Key}, sql("SELECT salesdrive.uuid_v5(salesdrive.ref_key_namespace(), 'attribute/Статус SalesDrive')"), 'under a key that follows from its name');
is(listed($bas), 14, 'the set of the document lists them after what it had');
my ($set) = objects($bas, $SETS);
is($set->{'ДополнительныеРеквизиты'}[0]{'Свойство_Key'}, key(77), 'that first');
is(prepare('main', 1) && run_engine() . listed($bas) . ' ' . scalar(grep { $_ > 1 } values %{ made($bas) }), '14 0', 'asked for again: nothing is made twice');
is(states('main'), '13 there', 'and all is there');

# ---- each field from a webhook into the document

deliver('shop', 1, %DEAL, fields => \%META);
is(state_of('shop', 1), 'synced', 'an order with all of them');
my $held = attributes($bas, 'shop', 1);
is($held->{$_}, $VALUES{$_}, $_) for sort keys %VALUES;
is(scalar keys %$held, 11, 'and nothing else');
deliver('shop', 1, %DEAL, statusId => 6, fields => select_field(statusId => 6, 'Виконано'));
is(attributes($bas, 'shop', 1)->{'Статус SalesDrive'}, 'Виконано', 'a change of the status is one of the attribute');
deliver('shop', 1, %DEAL, statusId => 7, utmCampaign => '');
is(join('|', map { $_ // 'none' } @{ attributes($bas, 'shop', 1) }{ 'Статус SalesDrive', 'utm_campaign SalesDrive' }), '7|none', 'a status without a name is its number; what was emptied goes');
deliver('shop', 2);
is(state_of('shop', 2) . join(',', sort keys %{ attributes($bas, 'shop', 2) }), 'synced' . 'Номер замовлення SalesDrive,Посилання на замовлення SalesDrive', 'an order without the fields has what every order has');
my %parcel = (provider => 'novaposhta', cityName => 'Київ', branchNumber => 5);
sub parcels { my %a = %{ attributes($bas, 'shop', 3) }; return join ' | ', map { $a{$_} // 'none' } 'ТТН SalesDrive', 'Адреса доставки SalesDrive' }
deliver('shop', 3, ord_delivery_data => [ { %parcel, trackingNumber => '' } ]);
is(parcels(), 'none | Київ, відділення №5', 'a parcel without a TTN: its address');
deliver('shop', 3, ord_delivery_data => [ { %parcel, trackingNumber => '20450000000001' }, { %parcel, trackingNumber => '20450000000002', branchNumber => 7 } ]);
is(parcels(), '20450000000001, 20450000000002 | Київ, відділення №5; Київ, відділення №7', 'two parcels and their TTN, filled in later');
deliver('shop', 3, ord_delivery_data => [ { %parcel, trackingNumber => '' } ]);
is(parcels(), 'none | Київ, відділення №5', 'a TTN that is removed goes, and its parcel');
deliver('shop', 90, %DEAL, comment => 'ще раз', fields => \%META);
is(scalar keys %{ attributes($bas, 'shop', 90) }, 11, 'an older order gets them with its next version');
is(sql("SELECT bool_or(p::text ~ 'shop-demo.salesdrive.me') FROM salesdrive.preview('shop', 1) p"), 't', 'preview shows them');

# the user's row wins; an attribute taken away stops nothing
sql("SELECT salesdrive.map_field('shop', 'attribute', 'Канал SalesDrive', 'utmMedium', transform => 'upper')");
deliver('shop', 3, %DEAL);
is(attributes($bas, 'shop', 3)->{'Канал SalesDrive'}, 'CPC', 'a row of the user wins');
sql("DELETE FROM salesdrive.field_map WHERE origin = 'user'");
my ($gone) = grep { $_->{Description} eq 'Канал SalesDrive' } objects($bas, $CHART);
$bas->control(POST => '/edit', { set => $CHART, key => $gone->{Ref_Key}, properties => { DeletionMark => JSON::PP::true() } });
sql("SELECT salesdrive.load_dictionaries('shop')");
run_engine();
deliver('shop', 4, %DEAL);
is(state_of('shop', 4) . scalar keys %{ attributes($bas, 'shop', 4) }, 'synced10', 'one that is gone is left out, the order travels');
prepare('main', 1);
run_engine();
is(states('main'), '1 refused, 12 there', 'what was made here and is marked for deletion is not made anew');
like(detail('main', 'channel'), qr/marked for deletion.*leave exactly one/, 'says what to do');
$bas->control(POST => '/edit', { set => $CHART, key => $gone->{Ref_Key}, properties => { DeletionMark => JSON::PP::false() } });
prepare('main', 1);
run_engine();
is(states('main'), '13 there', 'unmarked, it counts again');

# ---- another base: nothing of it until asked; answers lost, a user's own attribute taken over

my $second = base('second', 'other');
deliver('other', 1, %DEAL);
is(state_of('other', 1) . scalar keys %{ attributes($second, 'other', 1) }, 'synced0', 'what is in force in one base is not in another');
$second->control(POST => '/load', { $CHART => [ { Ref_Key => key(5), Description => 'Статус SalesDrive (Замовлення покупця)', 'Заголовок' => 'Статус SalesDrive' } ] });
$second->control(POST => '/faults', { label => "POST $CHART", action => 'close_after', times => 2 });
$second->control(POST => '/faults', { label => "PATCH $SETS", action => 'close_after', times => 1 });
sql("UPDATE salesdrive.infobase SET connect_timeout = '1s', total_timeout = '1s', unsure_margin = '100ms' WHERE name = 'second'");
prepare('second', 1);
wait_for('the attributes of the second base', sub { run_engine(); sql("UPDATE salesdrive.task SET run_at = least(run_at, salesdrive.clock() + interval '100 ms') WHERE infobase = 'second' AND state = 'ready' AND reason IS DISTINCT FROM 'unsure'"); return states('second') eq '13 there' });
is(join(',', map { $_->{Description} } grep { $_->{'Заголовок'} eq 'Статус SalesDrive' } objects($second, $CHART)), 'Статус SalesDrive (Замовлення покупця)', 'the one that was there is taken');
is(join(',', grep { $_ > 1 } values %{ made($second) }), '', 'answers were lost: none is there twice');
is(listed($second), 14, 'nor in the set');

# ---- refusals say what to click, and pause nothing

my $third = base('third', 'three', deny_sets => [$SETS]);
prepare('third', 1);
run_engine();
is(states('third'), '13 by hand', 'a set that is denied');
like(detail('third', 'link'), qr/filled, but no form shows it.*Нарушение прав доступа.*In BAS: .*Додаткові реквізити.*prepare_infobase\('third', apply => true\)/, 'what to click');
deliver('three', 1, %DEAL, fields => \%META);
is(state_of('three', 1) . scalar keys %{ attributes($third, 'three', 1) }, 'synced11', 'orders fill them all the same');
$third->control(POST => '/config', { deny_sets => [] });
prepare('third', 1);
run_engine();
is(states('third'), '13 there', 'with the right they are listed');

my $fourth = base('fourth', 'four', unpublished => [$CHART]);
prepare('fourth', 1);
run_engine();
is(states('fourth'), '13 refused', 'a chart that is not published');
like(detail('fourth', 'source'), qr/не найден.*name "Джерело SalesDrive", type Рядок/, 'what to click');
is(sql("SELECT paused_at IS NULL FROM salesdrive.infobase WHERE name = 'fourth'"), 't', 'the base is not paused');
deliver('four', 1, %DEAL);
is(state_of('four', 1), 'synced', 'orders travel');
sql("SELECT salesdrive.load_metadata('fourth')");
run_engine();
sql("DELETE FROM salesdrive.bas_attribute WHERE infobase = 'fourth'; DELETE FROM salesdrive.task WHERE infobase = 'fourth' AND kind LIKE 'attribute%'");
is(prepare('fourth', 1), join(' ', ('by hand') x 13), 'where $metadata tells so, nothing is tried');

my $fifth = base('fifth', 'five');
$fifth->control(POST => '/faults', { label => "POST $CHART", action => 'status', status => 400, body => 'odata', code => 14, text => 'Недостатньо прав на створення' });
prepare('fifth', 1);
run_engine();
is(states('fifth'), '13 refused', 'a creation that BAS refuses');
like(detail('fifth', 'page'), qr/does not let the additional attribute .* be made: .*Недостатньо прав.*In BAS: .*name "Сторінка сайту SalesDrive"/, 'with its words, and what to click');
deliver('five', 1, %DEAL);
is(state_of('five', 1), 'synced', 'orders travel');

# ---- a document without a section of attributes

sql("INSERT INTO salesdrive.profile (name, title, parent) VALUES ('bare', 'without attributes', 'unf');
	INSERT INTO salesdrive.profile_entity (profile, concept, entity_set) VALUES ('bare', 'attribute_row', NULL)");
my $sixth = base('sixth', 'six');
sql("UPDATE salesdrive.infobase SET profile = 'bare' WHERE name = 'sixth'");
sub comment_of { my ($id) = @_; return sql("SELECT read_body ->> 'Комментарий' FROM salesdrive.bas_order WHERE account = 'six' AND order_id = $id") }
is(prepare('sixth'), join(' ', ('missing') x 13), 'nothing is in force');
deliver('six', 1, %DEAL);
is(comment_of(1), 'Подзвонити', 'the comment is that of the order');
is(prepare('sixth', 1), join(' ', ('there') x 13), 'the rule of the comment');
deliver('six', 2, %DEAL, fields => \%META, utmPage => "https://a.example/\nx");
is(comment_of(2), "Подзвонити\nНомер замовлення SalesDrive: 2\nПосилання на замовлення SalesDrive: https://six-demo.salesdrive.me/ua/index.html?formId=1#/order/view/2\nСтатус SalesDrive: Новий\nСпосіб доставки SalesDrive: Нова пошта\n"
	  . "Відправник доставки SalesDrive: 3\nСайт Prom.ua SalesDrive: prom.ua/my-shop\nСторінка сайту SalesDrive: https://a.example/ x\nРекламна кампанія SalesDrive: Осінній розпродаж\nДжерело SalesDrive: google\n"
	  . 'utm_campaign SalesDrive: осінь-2026' . "\nКанал SalesDrive: cpc", 'a line for each that has a value, after the comment');
is(sql("SELECT string_agg(concat_ws('|', section, property, sent ->> 0, held = sent, rule, path, dictionary, crm_key, bas_key), E'\\n' ORDER BY property) FROM salesdrive.field_lineage WHERE account = 'six' AND order_id = 2 AND property IN ('Статус SalesDrive', 'Сторінка сайту SalesDrive')"),
	"Комментарий|Статус SalesDrive|Новий|t|field_map *: statusId | named|statusId|status|5|Новий\nКомментарий|Сторінка сайту SalesDrive|https://a.example/ x|t|field_map *: utmPage|utmPage", 'field_lineage finds them there');
deliver('six', 2, %DEAL, comment => '', statusId => 6, fields => select_field(statusId => 6, 'Виконано'));
like(comment_of(2), qr/\AНомер замовлення SalesDrive: 2\n.*\nСтатус SalesDrive: Виконано\n/, 'a change of the status is one of its line');
is(state_of('six', 2), 'synced', 'and nothing is parked');

# ---- errors

my ($rc, $out, $err) = $node->psql('postgres', "SELECT salesdrive.prepare_infobase('nowhere')");
like($err, qr/infobase "nowhere"/, 'an infobase that is not there');
($rc, $out, $err) = $node->psql('postgres', "SELECT salesdrive.enqueue('main', 'attribute', 'x', 'main')");
like($err, qr/Call prepare_infobase/, 'its tasks are not asked for by hand');
is(sql("SELECT count(*) FROM salesdrive.task WHERE kind LIKE 'attribute%' AND state <> 'parked'"), 0, 'no task is left behind');
$_->stop for $bas, $second, $third, $fourth, $fifth, $sixth;
$node->stop;
done_testing();
