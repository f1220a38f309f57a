# Additional information records: where a document has no section of additional attributes (the invoice of BAS Бухгалтерія), the data of SalesDrive go
# into rows of the register beside it, if $metadata shows that register, else into lines of its comment.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine uri);

my $node = new_node('records', preload => 0);
my ($CHART, $SETS, $REGISTER, $INVOICE) = ('ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения', 'Catalog_НаборыДополнительныхРеквизитовИСведений', 'InformationRegister_ДополнительныеСведения', 'Document_СчетНаОплатуПокупателю');

sub key { my ($n) = @_; return sprintf '8c1f4a10-00d8-11ee-8000-%012d', $n }
sub objects { my ($bas, $set) = @_; return @{ $bas->control(GET => '/objects?set=' . uri($set))->{value} } }
sub base
{
	my ($name, $account, %config) = @_;
	my $bas = start_peer('bas', '--configuration', 'accounting2');
	$bas->control(POST => '/load', { $SETS => [ { Ref_Key => key(1), Description => 'Рахунок на оплату', PredefinedDataName => 'Документ_СчетНаОплатуПокупателю', 'ДополнительныеСведения' => [ { LineNumber => 1, 'Свойство_Key' => key(77) } ] } ],
		$CHART => [ { Ref_Key => key(77), Description => 'Хто привіз', 'Заголовок' => 'Хто привіз', 'ЭтоДополнительноеСведение' => JSON::PP::true() }, { Ref_Key => key(78), Description => 'Колір', 'Заголовок' => 'Колір' } ] });
	$bas->control(POST => '/config', \%config) if %config;
	sql("SELECT salesdrive.add_infobase('$name', 'accounting2', '" . $bas->url('/base') . "', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => '$account', url => 'https://$account-demo.salesdrive.me', api_key => 'k', infobase => '$name', webhook_token => 'a-token-of-24-characters');
		UPDATE salesdrive.infobase SET retry_base = '1 ms' WHERE name = '$name'");
	return $bas;
}
sub prepare { my ($name, $apply) = @_; return sql("SELECT string_agg(format('%s %s', n, state), ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM salesdrive.prepare_infobase('$name'" . ($apply ? ', apply => true' : '') . ') GROUP BY state) p') }
sub detail { my ($name, $attribute) = @_; return sql("SELECT detail FROM salesdrive.prepare_infobase('$name') WHERE attribute = '$attribute'") }
my %version;
sub post
{
	my ($account, $id, %o) = @_;
	my $fields = delete $o{fields} // {};
	my $v = ++$version{"$account/$id"};
	my $body = json_encode({ data => { id => $id, formId => 1, version => $v, orderTime => '2026-11-20 10:00:00', updateAt => sprintf('2026-11-20 10:%02d:00', $v), paymentAmount => 120,
		contacts => [ { fName => 'Олена', lName => 'Зразок', phone => '0671000001' } ], products => [ { sku => 'SKU-0001', amount => 1, price => 120 } ], %o }, meta => { fields => $fields } });
	utf8::decode($body);
	$body =~ s/'/''/g;
	return sql("SELECT salesdrive.accept_webhook('$account', '$body')");
}
sub deliver { post(@_); return run_engine() }
sub state_of { my ($account, $id) = @_; return sql("SELECT concat_ws(' ', state, reason) FROM salesdrive.order_status WHERE account = '$account' AND order_id = $id") }
sub document { my ($account, $id) = @_; return sql("SELECT bas_ref FROM salesdrive.order_sync WHERE account = '$account' AND order_id = $id") }
sub records
{
	my ($bas, $account, $id) = @_;
	my %name = map { $_->{Ref_Key} => $_->{Description} } objects($bas, $CHART);
	my $document = document($account, $id);
	return { map { $name{ $_->{'Свойство_Key'} } => $_->{'Значение'} } grep { $_->{'Объект'} eq $document && $_->{'Объект_Type'} eq "StandardODATA.$INVOICE" } objects($bas, $REGISTER) };
}
sub asked { my ($account, $id) = @_; return sql("SELECT string_agg(purpose || CASE n WHEN 1 THEN '' ELSE ' ×' || n END, ', ' ORDER BY purpose) FROM (SELECT purpose, count(*) AS n FROM salesdrive.exchange_log WHERE account = '$account' AND order_id = $id AND direction = 'out' GROUP BY purpose) l") }
sub forget { return sql('DELETE FROM salesdrive.exchange_log') }
sub select_field { my ($name, $value, $text) = @_; return { $name => { name => $name, label => $name, type => 'select', options => [ { value => $value, text => $text } ] } } }
my %DEAL = (statusId => 5, shipping_method => 9, ord_delivery_data => [ { senderId => 3, provider => 'novaposhta', trackingNumber => '' } ], sajt => 149, utmPage => 'https://shop.example/item/1?a=b', campaignId => 12,
	utmSource => 'google', utmCampaign => 'осінь-2026', utmMedium => 'cpc', comment => 'Подзвонити');
my %META = (%{ select_field(statusId => 5, 'Новий') }, %{ select_field(shipping_method => 9, 'Нова пошта') }, %{ select_field(sajt => 149, 'prom.ua/my-shop') }, %{ select_field(campaignId => 12, 'Осінній розпродаж') });
sub values_of
{
	my ($account, $id) = @_;
	return ('Номер замовлення SalesDrive' => $id, 'Посилання на замовлення SalesDrive' => "https://$account-demo.salesdrive.me/ua/index.html?formId=1#/order/view/$id", 'Статус SalesDrive' => 'Новий',
		'Спосіб доставки SalesDrive' => 'Нова пошта', 'Відправник доставки SalesDrive' => '3', 'Сайт Prom.ua SalesDrive' => 'prom.ua/my-shop', 'Сторінка сайту SalesDrive' => 'https://shop.example/item/1?a=b',
		'Рекламна кампанія SalesDrive' => 'Осінній розпродаж', 'Джерело SalesDrive' => 'google', 'utm_campaign SalesDrive' => 'осінь-2026', 'Канал SalesDrive' => 'cpc');
}

# ---- a base that nobody prepared

my $bas = base('main', 'shop');
is(prepare('main'), '13 missing', 'nothing is in force');
like(detail('main', 'link'), qr/makes an information record, if the \$metadata of the base shows $REGISTER, else a line of its comment/, 'which way, $metadata will tell');
deliver('shop', 1, %DEAL, fields => \%META);
is(state_of('shop', 1), 'synced', 'an order travels meanwhile');
is(asked('shop', 1), 'create order, find products', 'with the requests it needs, and no more');
is(scalar(objects($bas, $REGISTER)), 0, 'and no record');

# ---- properties are made

is(prepare('main', 1), '13 to be made', 'asked for');
run_engine();
is(prepare('main'), '13 there', 'made');
is(sql("SELECT count(*) FROM salesdrive.metadata_load WHERE infobase = 'main'"), 1, '$metadata was read for it');
my ($one) = grep { $_->{Description} eq 'Статус SalesDrive' } objects($bas, $CHART);
is(join('|', map { $one->{$_} ? 1 : 0 } qw(Виден Доступен ЭтоДополнительноеСведение)) . "|$one->{'Имя'}", '1|1|1|СтатусSalesDrive', 'each is an information record');
my ($set) = objects($bas, $SETS);
is(scalar(@{ $set->{'ДополнительныеСведения'} }) . scalar(@{ $set->{'ДополнительныеРеквизиты'} }), '140', 'listed in its section of the set, after what was there');
is(prepare('main', 1) && run_engine() . scalar(grep { $_->{Description} =~ /SalesDrive$/ } objects($bas, $CHART)), '13', 'asked for again: none is made twice');

# ---- each field from a webhook into the records of the document

like(sql("SELECT string_agg(step || ' ' || method || ' ' || url, E'\\n') FROM salesdrive.preview('shop', 1)"), qr/create record POST \S+$REGISTER\n/, 'preview shows what an older document lacks');
forget();
deliver('shop', 2, %DEAL, fields => \%META);
is(state_of('shop', 2), 'synced', 'an order with all of them');
my %want = values_of('shop', 2);
my $held = records($bas, 'shop', 2);
is($held->{$_}, $want{$_}, $_) for sort keys %want;
is(scalar keys %$held, 11, 'and nothing else');
is(asked('shop', 2), 'create order, create record ×11', 'one request for each record');
is(sql("SELECT requests FROM salesdrive.order_status WHERE account = 'shop' AND order_id = 2"), 12, 'counted as those of the order');
is(sql("SELECT read_body ->> 'Комментарий' FROM salesdrive.bas_order WHERE account = 'shop' AND order_id = 2"), 'shop-demo/2: Подзвонити', 'none in the comment');
is(sql("SELECT string_agg(concat_ws('|', section, property, sent ->> 0, held = sent, version, rule, path, dictionary, crm_key, bas_key), E'\\n' ORDER BY property) FROM salesdrive.field_lineage WHERE account = 'shop' AND order_id = 2 AND property IN ('Статус SalesDrive', 'Сторінка сайту SalesDrive')"),
	"$REGISTER|Статус SalesDrive|Новий|t|1|field_map *: statusId | named|statusId|status|5|Новий\n$REGISTER|Сторінка сайту SalesDrive|https://shop.example/item/1?a=b|t|1|field_map *: utmPage|utmPage", 'field_lineage tells where they came from');
is(sql("SELECT text FROM salesdrive.order_event WHERE account = 'shop' AND order_id = 2 AND event = 'record' AND text LIKE '%Статус%'"), 'Information record of document БУ00-000002: Статус SalesDrive nothing → "Новий".', 'and the history, when');

# ---- edits

forget();
deliver('shop', 2, %DEAL, statusId => 6, fields => { %META, %{ select_field(statusId => 6, 'Виконано') } });
is(records($bas, 'shop', 2)->{'Статус SalesDrive'}, 'Виконано', 'a change of the status is one of the record');
is(asked('shop', 2), 'change record, read records', 'and of nothing else: the document is as it was');
is(state_of('shop', 2), 'synced', 'the order is right');
forget();
deliver('shop', 2, %DEAL, statusId => 6, utmCampaign => '');
is(join(',', sort keys %{ records($bas, 'shop', 2) }), join(',', sort grep { $_ ne 'utm_campaign SalesDrive' } keys %want), 'what was emptied goes');
is(asked('shop', 2), 'delete record, read records', 'deleted by its key');
is(sql("SELECT count(*) FROM salesdrive.field_lineage WHERE account = 'shop' AND order_id = 2 AND property = 'utm_campaign SalesDrive'"), 0, 'and is no part of the lineage any more');
forget();
deliver('shop', 2, %DEAL, statusId => 6, utmCampaign => '', comment => 'Інше');
is(asked('shop', 2), 'change order, read order', 'a change of the document is none of records');
forget();
deliver('shop', 2, %DEAL, statusId => 6, utmCampaign => 'знову', comment => 'Інше');
is(records($bas, 'shop', 2)->{'utm_campaign SalesDrive'} . ' ' . state_of('shop', 2), 'знову synced', 'and comes again');
deliver('shop', 1, %DEAL, fields => \%META, utmSource => 'bing');
is(scalar keys %{ records($bas, 'shop', 1) }, 11, 'an older document gets them with the next version');
forget();
deliver('shop', 3);
is(asked('shop', 3) . ' | ' . join(',', sort keys %{ records($bas, 'shop', 3) }), 'create order, create record ×2 | Номер замовлення SalesDrive,Посилання на замовлення SalesDrive', 'an order without the fields has what every order has');
forget();
sql("SELECT salesdrive.resume('shop', 3)");
run_engine();
is(asked('shop', 3), '', 'what is right is asked for no more');

# posting, which a record does not touch
sql("UPDATE salesdrive.account SET posting = true, edit_policy = 'until_posted' WHERE name = 'shop'");
deliver('shop', 4, %DEAL, fields => \%META);
is(state_of('shop', 4) . ' ' . sql("SELECT posted FROM salesdrive.bas_order WHERE account = 'shop' AND order_id = 4") . ' ' . scalar keys %{ records($bas, 'shop', 4) }, 'synced t 11', 'a posted document has them too');
deliver('shop', 4, %DEAL, fields => \%META, utmMedium => 'email');
is(state_of('shop', 4) . ' ' . records($bas, 'shop', 4)->{'Канал SalesDrive'}, 'synced email', 'its records change, and it stays posted');
sql("UPDATE salesdrive.account SET posting = false, edit_policy = 'never' WHERE name = 'shop'");
deliver('shop', 4, %DEAL, fields => \%META, utmMedium => 'sms');
is(records($bas, 'shop', 4)->{'Канал SalesDrive'}, 'email', 'edit_policy never is for them too');
sql("UPDATE salesdrive.account SET edit_policy = NULL WHERE name = 'shop'");

# ---- a record of the user: owners, another type

sql("SELECT salesdrive.map_field('shop', 'attribute', 'Хто привіз', 'courier', owner => 'empty'); SELECT salesdrive.map_field('shop', 'attribute', 'Канал SalesDrive', 'shipping_costs', transform => 'number', edm_type => 'Edm.Double', owner => 'bas')");
deliver('shop', 5, courier => 'Петро', shipping_costs => 80);
is(join('|', @{ records($bas, 'shop', 5) }{ 'Хто привіз', 'Канал SalesDrive' }), 'Петро|80', 'rows of the user for records that are there, of another type');
deliver('shop', 5, courier => 'Іван', shipping_costs => 90);
is(join('|', @{ records($bas, 'shop', 5) }{ 'Хто привіз', 'Канал SalesDrive' }) . ' ' . state_of('shop', 5), 'Петро|80 synced', 'owner empty and owner bas: written once');
sql("SELECT salesdrive.map_field('shop', 'attribute', 'Колір', 'color')");
deliver('shop', 6, color => 'синій');
like(sql("SELECT concat_ws(' ', state, reason, detail) FROM salesdrive.order_status WHERE account = 'shop' AND order_id = 6"), qr/^parked field The additional attribute "Колір" is not in the base/, 'an attribute is no information record');
sql("DELETE FROM salesdrive.field_map WHERE origin = 'user'");
run_engine();
is(state_of('shop', 6), 'synced', 'without that row the order goes on');

# ---- changed in BAS

sub edit { my ($id, $name, $value) = @_; my ($p) = map { $_->{Ref_Key} } grep { $_->{Description} eq $name } objects($bas, $CHART); return $bas->control(POST => '/load', { $REGISTER => [ { 'Объект' => document('shop', $id), 'Объект_Type' => "StandardODATA.$INVOICE", 'Свойство_Key' => $p, 'Значение' => $value, 'Значение_Type' => 'Edm.String' } ] }) }
edit(2, 'Канал SalesDrive', 'руками');
deliver('shop', 2, %DEAL, statusId => 6, utmCampaign => 'знову', comment => 'Інше', utmSource => 'bing');
is(join('|', @{ records($bas, 'shop', 2) }{ 'Канал SalesDrive', 'Джерело SalesDrive' }) . ' ' . state_of('shop', 2), 'руками|bing synced', 'what BAS changed and the order did not, stays');
deliver('shop', 2, %DEAL, statusId => 6, utmCampaign => 'знову', comment => 'Інше', utmSource => 'bing', utmMedium => 'push');
like(sql("SELECT concat_ws(' ', state, reason, detail) FROM salesdrive.order_status WHERE account = 'shop' AND order_id = 2"), qr/^parked conflict Information records of document БУ00-000002 .* Канал SalesDrive: "руками" there, "push" here\./, 'what both changed is for you to decide');
is(sql("SELECT string_agg(concat_ws(' ', kind, account, order_id, reason), ', ' ORDER BY kind) FROM salesdrive.parked"), 'order shop 2 conflict, order_record shop 2 conflict', 'parked, and named by its order');
is(records($bas, 'shop', 2)->{'Канал SalesDrive'}, 'руками', 'and left alone');
sql("SELECT salesdrive.resend('shop', 2)");
run_engine();
is(records($bas, 'shop', 2)->{'Канал SalesDrive'} . ' ' . state_of('shop', 2), 'push synced', 'resend() writes that of SalesDrive');
edit(3, 'Джерело SalesDrive', 'руками');
deliver('shop', 3, utmSource => 'ads');
is(state_of('shop', 3), 'parked conflict', 'a record that was there before it was ever written from here');
deliver('shop', 3, utmSource => 'руками');
is(state_of('shop', 3), 'synced', 'is right when the order says the same');
deliver('shop', 3, utmSource => 'ads');
is(records($bas, 'shop', 3)->{'Джерело SalesDrive'} . ' ' . state_of('shop', 3), 'ads synced', 'and is ours from then on');

# ---- answers that are lost, refusals

sql("UPDATE salesdrive.infobase SET connect_timeout = '1s', total_timeout = '1s', unsure_margin = '100ms', circuit_after = 1000 WHERE name = 'main'");
sub settle_all { my ($account, $id) = @_; return wait_for("order $id", sub { run_engine(); sql("UPDATE salesdrive.task SET run_at = least(run_at, salesdrive.clock() + interval '100 ms') WHERE account = '$account' AND state = 'ready' AND reason IS DISTINCT FROM 'unsure'"); return state_of($account, $id) eq 'synced' }) }
my $before = objects($bas, $REGISTER);
$bas->control(POST => '/faults', [ { label => "POST $REGISTER", action => 'close_after', times => 2 }, { label => "POST $REGISTER", action => 'reset_before', times => 1 } ]);
post('shop', 7, %DEAL, fields => \%META);
settle_all('shop', 7);
is_deeply(records($bas, 'shop', 7), { values_of('shop', 7) }, 'answers to creations were lost: all records are there');
is(scalar(objects($bas, $REGISTER)) - $before, 11, 'each once');
is(sql("SELECT count(*) FROM salesdrive.order_event WHERE account = 'shop' AND order_id = 7 AND text LIKE '%, as reading it back shows.'"), 2, 'as reading back showed');
$bas->control(POST => '/faults', [ { label => "PATCH $REGISTER", action => 'close_after', times => 1 }, { label => "DELETE $REGISTER", action => 'close_after', times => 1 } ]);
post('shop', 7, %DEAL, fields => \%META, utmMedium => 'push', utmSource => '');
settle_all('shop', 7);
is(join('|', map { $_ // 'none' } @{ records($bas, 'shop', 7) }{ 'Канал SalesDrive', 'Джерело SalesDrive' }), 'push|none', 'to a change and a deletion, too');
$bas->control(POST => '/faults', { label => "PATCH $REGISTER", action => 'status', status => 500, body => 'lock', times => 1 });
post('shop', 7, %DEAL, fields => \%META, utmMedium => 'sms', utmSource => '');
settle_all('shop', 7);
is(records($bas, 'shop', 7)->{'Канал SalesDrive'}, 'sms', 'a lock in BAS is tried again');
$bas->control(POST => '/config', { deny_sets => [$REGISTER] });
deliver('shop', 8, %DEAL, fields => \%META);
like(sql("SELECT concat_ws(' ', state, reason, detail, hint) FROM salesdrive.order_status WHERE account = 'shop' AND order_id = 8"), qr/^parked business BAS does not let the information record "\S.*" of the document be created: 401.*Нарушение прав доступа.* Is $REGISTER in the composition/, 'a register that is denied parks the order, with the words of BAS');
is(sql("SELECT paused_at IS NULL FROM salesdrive.infobase WHERE name = 'main'"), 't', 'and pauses nothing');
is(sql("SELECT bas_number FROM salesdrive.order_status WHERE account = 'shop' AND order_id = 8") ne '', 1, 'its document is there');
$bas->control(POST => '/config', { deny_sets => [] });
sql("SELECT salesdrive.resume('shop', 8)");
run_engine();
is(state_of('shop', 8) . ' ' . scalar keys %{ records($bas, 'shop', 8) }, 'synced 11', 'with the right it goes on');
sql("SELECT salesdrive.skip('shop', 8, 'enough')");
deliver('shop', 8, %DEAL, fields => \%META, utmMedium => 'sms');
is(records($bas, 'shop', 8)->{'Канал SalesDrive'}, 'cpc', 'a skipped order changes no record');
is(sql("SELECT string_agg(concat_ws(' ', subject, problem), '; ') FROM salesdrive.check('shop') WHERE subject LIKE 'entity%'"), '', 'check() misses no name');
is_deeply($bas->control(GET => '/state')->{violations}, [], 'the base reports no violation');

# ---- the register is not published: lines of the comment

my $second = base('second', 'other', unpublished => [$REGISTER]);
sub comment_of { my ($id) = @_; return sql("SELECT read_body ->> 'Комментарий' FROM salesdrive.bas_order WHERE account = 'other' AND order_id = $id") }
is(prepare('second', 1), '13 to be made', 'asked for');
run_engine();
is(prepare('second'), '13 there', 'and in force, when $metadata was read');
like(detail('second', 'link'), qr/does not publish $REGISTER: a line of its comment/, 'as lines of the comment');
is(scalar(grep { $_->{Description} =~ /SalesDrive/ } objects($second, $CHART)), 0, 'nothing is made in the base');
forget();
deliver('other', 1, %DEAL, fields => \%META);
%want = values_of('other', 1);
my @lines = ('Номер замовлення', 'Посилання на замовлення', 'Статус', 'Спосіб доставки', 'Відправник доставки', 'Сайт Prom.ua', 'Сторінка сайту', 'Рекламна кампанія', 'Джерело', 'utm_campaign', 'Канал');
is(comment_of(1), join("\n", 'other-demo/1: Подзвонити', map { "$_ SalesDrive: " . $want{"$_ SalesDrive"} } @lines), 'each of the fields of a webhook is a line, after the marker and the comment');
is(state_of('other', 1) . ' | ' . asked('other', 1), 'synced | create order, find products', 'with no request more');
deliver('other', 1, %DEAL, fields => \%META, utmCampaign => '', utmMedium => 'sms');
like(comment_of(1), qr/Джерело SalesDrive: google\nКанал SalesDrive: sms\z/, 'an edit replaces its line, what was emptied goes');
is(state_of('other', 1), 'synced', 'and it is right');

# what people wrote into the comment stays
sub write_comment { my ($id, $change) = @_; $_ = comment_of($id); $change->(); my $key = document('other', $id); return $second->control(POST => '/edit', { set => $INVOICE, key => $key, properties => { 'Комментарий' => $_ } }) }
write_comment(1, sub { s/Подзвонити/Подзвонити\nПеревірено бухгалтером/; $_ .= "\nОплата у п'ятницю" });
forget();
deliver('other', 1, %DEAL, fields => { %META, %{ select_field(statusId => 6, 'Виконано') } }, statusId => 6, utmMedium => 'sms', ord_delivery_data => [ { senderId => 3, provider => 'novaposhta', trackingNumber => '20450000000001' } ], utmCampaign => '');
is(comment_of(1), join("\n", 'other-demo/1: Подзвонити', 'Перевірено бухгалтером', (map { "$_ SalesDrive: " . $want{"$_ SalesDrive"} } @lines[0, 1]), 'Статус SalesDrive: Виконано', (map { "$_ SalesDrive: " . $want{"$_ SalesDrive"} } @lines[3 .. 8]), 'Канал SalesDrive: sms', "Оплата у п'ятницю", 'ТТН SalesDrive: 20450000000001'),
	'a line is replaced where it stands, a new one comes last, all else stays');
is(state_of('other', 1) . ' | ' . asked('other', 1), 'synced | change order, read order', 'and the order is right');
is(sql("SELECT string_agg(text, ' ') FROM salesdrive.order_event WHERE account = 'other' AND event = 'differs'"), '', 'BAS keeps it as sent');
forget();
sql("SELECT salesdrive.resume('other', 1)");
run_engine();
is(asked('other', 1), '', 'what people wrote is no difference that comes up again');
deliver('other', 1, %DEAL, fields => \%META, comment => 'Не дзвонити');
like(comment_of(1), qr/\Aother-demo\/1: Не дзвонити\nПеревірено бухгалтером\nНомер.*Статус SalesDrive: Новий\n.*\nОплата у п'ятницю\nutm_campaign SalesDrive: осінь-2026\z/s, 'the comment of the order is replaced in its place, too');
$second->control(POST => '/faults', { label => "PATCH $INVOICE", action => 'close_after', times => 1 });
sql("UPDATE salesdrive.infobase SET connect_timeout = '1s', total_timeout = '1s', unsure_margin = '100ms' WHERE name = 'second'");
post('other', 1, %DEAL, fields => \%META, comment => 'Не дзвонити!');
settle_all('other', 1);
like(comment_of(1), qr/\Aother-demo\/1: Не дзвонити!\nПеревірено бухгалтером\n/, 'also when the answer was lost');
write_comment(1, sub { s/Не дзвонити!/Дзвонив/ });
deliver('other', 1, %DEAL, fields => \%META, comment => 'Подзвонити ще');
like(state_of('other', 1), qr/^parked conflict/, 'the same words changed on both sides are for you to decide');
sql("SELECT salesdrive.resend('other', 1)");
run_engine();
like(comment_of(1), qr/\Aother-demo\/1: Подзвонити ще\nНомер/, 'resend() writes that of SalesDrive');
deliver('other', 2, comment => '');
like(comment_of(2), qr/\Aother-demo\/2\nНомер замовлення SalesDrive: 2\n/, 'without a comment the lines begin after the marker');
is(sql("SELECT count(*) FROM salesdrive.field_lineage WHERE account = 'other' AND order_id = 2 AND section = 'Комментарий'"), 2, 'where field_lineage finds them');
is(sql("SELECT string_agg(concat_ws(' ', subject, problem), '; ') FROM salesdrive.check('other') WHERE subject LIKE 'entity%'"), '', 'check() asks for no register');

# ---- published later: from the next version of each order on

$second->control(POST => '/config', { unpublished => [] });
sql("SELECT salesdrive.load_metadata('second')");
run_engine();
prepare('second', 1);
run_engine();
is(prepare('second'), '13 there', 'prepared again');
deliver('other', 1, %DEAL, fields => \%META);
is(comment_of(1) . ' ' . scalar(keys %{ records($second, 'other', 1) }) . ' ' . state_of('other', 1), 'other-demo/1: Подзвонити 11 synced', 'the lines become records');

is(sql("SELECT count(*) FROM salesdrive.task WHERE state <> 'parked'"), 0, 'no task is left behind');
my ($rc, $out, $err) = $node->psql('postgres', "SELECT salesdrive.enqueue('shop', 'order_record', '1', 'main')");
like($err, qr/Call resume/, 'nor is one asked for by hand');
$_->stop for $bas, $second;
$node->stop;
done_testing();
