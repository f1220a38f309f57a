# Options of an account: documents off and on, filters, what becomes of edits, organisation and warehouse by rules, whose counterparty an order
# gets, what becomes of an SKU that BAS does not have.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine error_of);

my $node = new_node('options', preload => 0);
my $bas = start_peer('bas');

sub status { my ($id, $column, $account) = @_; $account //= 'shop'; return sql("SELECT $column FROM salesdrive.order_status WHERE account = '$account' AND order_id = $id") }
sub state_of { my ($id, $account) = @_; return status($id, "concat_ws(' ', state, reason)", $account) }
sub requests { my ($id, $account) = @_; $account //= 'shop'; return sql("SELECT coalesce(string_agg(purpose, ', ' ORDER BY id), '') FROM salesdrive.exchange_log WHERE account = '$account' AND order_id = $id AND direction = 'out'") }
sub held { my ($id, $account) = @_; $account //= 'shop'; my $body = $node->safe_psql('postgres', "SELECT read_body FROM salesdrive.bas_order WHERE account = '$account' AND order_id = $id"); return $body eq '' ? {} : json_decode($body) }
sub events { my ($id, $event) = @_; return sql("SELECT count(*) FROM salesdrive.order_event WHERE order_id = $id AND event = '$event'") }
sub option { my ($set, $account) = @_; $account //= 'shop'; return sql("UPDATE salesdrive.account SET $set WHERE name = '$account'") }
sub deliver
{
	my ($id, %o) = @_;
	my $account = delete $o{account} // 'shop';
	my $phone = delete $o{phone} // '0671000001';
	my $version = $o{version} // 1;
	my $body = json_encode({ data => { id => $id, version => 1, orderTime => '2026-11-20 10:00:00', updateAt => sprintf('2026-11-20 10:00:%02d', $version), paymentAmount => 120, comment => 'зразок',
		contacts => [ { fName => 'Зразок', phone => $phone } ], products => [ { sku => 'SKU-0001', text => 'Чашка', amount => 1, price => 120 } ], %o } });
	utf8::decode($body);
	$body =~ s/'/''/g;
	return sql("SELECT salesdrive.accept_webhook('$account', '$body')");
}
sub deliver_and_run { deliver(@_); return run_engine() }

my $second = '8c1f4a10-00aa-11ee-8000-0000000000a2';
my $store = '8c1f4a10-00ee-11ee-8000-0000000000a2';
my $url = $bas->url('/base');
$bas->control(POST => '/load', {
	'Catalog_Организации' => [ { Ref_Key => $second, Code => '000000002', Description => 'ФОП Другий' } ],
	'Catalog_СтруктурныеЕдиницы' => [ { Ref_Key => $store, Code => 'W2', Description => 'Другий склад', 'ТипСтруктурнойЕдиницы' => 'Склад' } ] });
sql("SELECT salesdrive.add_infobase('main', 'unf', '$url', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters');
	SELECT salesdrive.add_account(name => 'other', url => 'https://other.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters');
	UPDATE salesdrive.account SET organisation = '000000002', warehouse = 'W2'");
run_engine();

# ---- documents off and on

option('documents = false');
deliver($_) for 100 .. 103;
deliver(1100, account => 'other');
run_engine();
is(state_of($_), 'not_wanted documents_off', "documents off: order $_ is kept and not sent") for 100 .. 103;
is(requests(100), '', 'without any request');
like(status(100, 'detail'), qr/account\.documents of "shop" is off/, 'and the reason is shown');
is(sql("SELECT count(*) FROM salesdrive.task WHERE account = 'shop'"), 0, 'nothing is left to do');
is(events(101, 'not_wanted'), 1, 'the decision is in the history');
is(state_of(1100, 'other'), 'synced', 'another account of the same base goes on');
is(sql("SELECT step FROM salesdrive.preview('shop', 100) LIMIT 1"), 'done: documents_off: account.documents of "shop" is off.', 'preview() says so');
is(sql("SELECT body ->> 'СуммаДокумента' FROM salesdrive.preview('shop', 100) WHERE step = 'document as it should be'"), '120.00', 'and shows the document all the same');
deliver_and_run(100, version => 2, comment => 'новіший');
is(events(100, 'not_wanted'), 1, 'a newer version is kept, and the same decision is not noted twice');
option('documents = true');
run_engine();
is(state_of($_), 'synced', "documents on: order $_ goes") for 100 .. 103;
is(held(100)->{'Комментарий'}, 'новіший', 'as it stands by then');
option('documents = false');
deliver_and_run(100, version => 3, comment => 'ще новіший');
is(state_of(100), 'not_wanted documents_off', 'off stops the changes, too');
sql("SELECT salesdrive.resend('shop', 100)");
run_engine();
is(state_of(100), 'not_wanted documents_off', 'and resend()');
option('documents = true');
run_engine();
is(held(100)->{'Комментарий'}, 'ще новіший', 'until it is on again');

# ---- filters

sql(q(INSERT INTO salesdrive.order_filter (account, rule, condition) VALUES ('shop', 'not', '{"status": "7"}'), ('*', 'not', '{"from": "2026-12-01"}'),
	('shop', 'only', '{"site": ["1", "2"]}'), ('shop', 'only', '{"organisation": null, "form": 4}')));
deliver(200, sajt => 1, statusId => 7);
deliver(201, sajt => 1, statusId => 1);
deliver(202, sajt => 3, statusId => 1);
deliver(203, sajt => 3, formId => 4);
deliver(204, sajt => 3, formId => 4, organizationId => 9);
deliver(205, sajt => 2, orderTime => '2026-12-01 00:00:00');
deliver(1205, account => 'other', orderTime => '2026-12-01 00:00:00');
deliver(1206, account => 'other', sajt => 3, statusId => 7);
run_engine();
is(state_of(200), 'not_wanted filter', 'a filter "not" holds: not wanted');
like(status(200, 'detail'), qr/^order_filter: not \{"status": "7"\}/, 'the row is named');
is(state_of(201), 'synced', 'no filter "not", and one "only" holds: wanted');
is(state_of(202), 'not_wanted filter', 'none of "only" holds: not wanted');
like(status(202, 'detail'), qr/^order_filter: none of the rows "only" holds for/, 'and says so');
is(state_of(203), 'synced', 'null means that there is none; a number will do');
is(state_of(204), 'not_wanted filter', 'all conditions of a row must hold');
is(state_of(205) . ' ' . state_of(1205, 'other'), 'not_wanted filter not_wanted filter', 'a row for every account counts, too; by date');
is(state_of(1206, 'other'), 'synced', 'rows of one account are not those of another');
deliver_and_run(200, version => 2, sajt => 1, statusId => 1);
is(state_of(200), 'synced', 'an order that passes later goes');
deliver_and_run(200, version => 3, sajt => 1, statusId => 7, comment => 'скасовано');
is(state_of(200), 'synced', 'one that is in BAS is kept right');
is(held(200)->{'Комментарий'}, 'скасовано', 'whatever the filters say');
sql("SELECT salesdrive.resend('shop', 202)");
run_engine();
is(state_of(202), 'synced', 'resend() sends what the filters keep back');
sql(q(DELETE FROM salesdrive.order_filter WHERE account = '*'));
run_engine();
is(state_of(205) . ' ' . state_of(1205, 'other'), 'synced synced', 'with the row gone its orders go');
is(state_of(204), 'not_wanted filter', 'others do not');
sql(q(UPDATE salesdrive.order_filter SET condition = '{"until": "2026-11-20"}' WHERE condition ? 'site'));
run_engine();
is(state_of(204), 'synced', 'a changed row counts, too');
for (
	[ q('{"weather": "1"}'), qr/"weather" is no field of an order.*organisation.*form/s, 'an unknown field' ],
	[ q('{"from": "1.12.2026"}'), qr/"1\.12\.2026" is no date.*YYYY-MM-DD/s, 'no date' ],
	[ q('{"status": {"a": 1}}'), qr/value of "status"/, 'no value' ],
	[ q('{}'), qr/at least one field/, 'nothing' ],
	[ q('["a"]'), qr/at least one field/, 'no object' ])
{
	my ($condition, $error, $what) = @$_;
	like(error_of("INSERT INTO salesdrive.order_filter (account, rule, condition) VALUES ('shop', 'not', $condition)"), $error, "order_filter: $what");
}
sql('DELETE FROM salesdrive.order_filter');
sql("INSERT INTO salesdrive.dictionary_value (scope, side, dictionary, key, name) VALUES ('shop', 'crm', 'status', '6', 'Відмова') ON CONFLICT DO NOTHING; UPDATE salesdrive.dictionary_value SET name = 'Відмова' WHERE scope = 'shop' AND side = 'crm' AND dictionary = 'status' AND key = '6'");
like(error_of("INSERT INTO salesdrive.order_filter (account, rule, condition) VALUES ('shop', 'not', '{\"status\": [\"7\", \"Відмова\"]}')"), qr/WARNING:  a condition of order_filter names a value of "status" by its name.*HINT:  Ids: "Відмова" is 6\./s, 'a name in place of an id is warned of');
unlike(error_of("UPDATE salesdrive.order_filter SET condition = '{\"status\": [6, null]}'"), qr/WARNING/, 'an id is none');
sql("DELETE FROM salesdrive.order_filter; DELETE FROM salesdrive.dictionary_value WHERE scope = 'shop' AND side = 'crm' AND name = 'Відмова'");

# ---- organisation and warehouse by rules

my $first = sql("SELECT key FROM salesdrive.dictionary_value WHERE dictionary = 'organisation' AND key <> '$second'");
sql(qq(INSERT INTO salesdrive.header_rule (account, dictionary, condition, bas_key, rank) VALUES
	('shop', 'organisation', '{"site": "5"}', '$first', 10), ('*', 'organisation', '{"payment_method": ["3", "4"]}', 'ФОП Другий', 20), ('shop', 'warehouse', '{"shipping_method": "8"}', NULL, 10)));
option("organisation = NULL");
sql("SELECT salesdrive.map_value('shop', 'organisation', '77', '$first')");
deliver(300, sajt => 5, payment_method => 3);
deliver(301, payment_method => 4, organizationId => 77);
deliver(302, organizationId => 77, shipping_method => 8);
deliver(303);
run_engine();
is(held(300)->{'Организация_Key'}, $first, 'the first rule that holds gives the organisation');
is(held(301)->{'Организация_Key'}, $second, 'before value_map');
sql("CREATE ROLE viewer; SELECT salesdrive.grant_access('viewer', 'reader')");
is(sql("SET ROLE viewer; SELECT concat_ws('|', rule, dictionary, crm_key, bas_key, element) FROM salesdrive.field_lineage WHERE account = 'shop' AND order_id = 301 AND property = 'Организация_Key'"), 'header_rule organisation|organisation|{"payment_method": ["3", "4"]}|ФОП Другий|ФОП Другий', 'lineage shows the rule, to readers, too');
is(held(302)->{'Организация_Key'}, $first, 'which counts where no rule holds');
is(held(302)->{'СтруктурнаяЕдиницаРезерв_Key'}, '00000000-0000-0000-0000-000000000000', 'a rule may leave a property out');
is(state_of(303), 'parked setting', 'without rule, mapping and setting the order is parked');
sql(qq(INSERT INTO salesdrive.header_rule (account, dictionary, condition, bas_key) VALUES ('shop', 'organisation', '{"site": null}', 'Нема такої')));
run_engine();
is(state_of(303), 'parked value_wrong', 'and is looked at again when a rule comes');
like(status(303, 'detail'), qr/header_rule gives "Нема такої" for organisation.*which is not in the base/, 'a rule with what is not there is named');
sql(qq(UPDATE salesdrive.header_rule SET bas_key = '000000002' WHERE bas_key = 'Нема такої'));
run_engine();
is(state_of(303), 'synced', 'corrected, the order goes on');
like(error_of(q(INSERT INTO salesdrive.header_rule (account, dictionary, condition, bas_key) VALUES ('shop', 'organisation', '{"weather": "1"}', 'x'))), qr/"weather" is no field/, 'header_rule: an unknown field');
sql("DELETE FROM salesdrive.header_rule; DELETE FROM salesdrive.value_map; UPDATE salesdrive.account SET organisation = '000000002'");

# ---- what becomes of edits

sub post { my ($id) = @_; return $bas->control(POST => '/edit', { set => 'Document_ЗаказПокупателя', key => status($id, 'bas_ref'), post => JSON::PP::true() }) }
option("edit_policy = 'until_posted'");
deliver_and_run($_) for 400, 401, 402;
deliver_and_run(400, version => 2, comment => 'правка');
is(held(400)->{'Комментарий'}, 'правка', 'until_posted: a document that is not posted is changed');
post(401);
deliver_and_run(401, version => 2, comment => 'правка');
is(state_of(401), 'parked posted_in_bas', 'one that is posted is not');
option("posting = true");
run_engine();
is(state_of(401), 'parked posted_in_bas', 'also with posting on');
option("edit_policy = 'free', posting = false");
run_engine();
is(state_of(401), 'synced', 'free: changed');
is(held(401)->{'Комментарий'}, 'правка', 'with the value of SalesDrive');
is(requests(401), 'create order, read order, change order, post order', 'and posted again, never left unposted');
option("edit_policy = 'never'");
deliver_and_run(402, version => 2, comment => 'правка', paymentAmount => 240, products => [ { sku => 'SKU-0001', amount => 2, price => 120 } ]);
is(state_of(402), 'not_wanted edit_policy', 'never: the document stays as it was made');
is(requests(402), 'create order', 'without a request');
like(status(402, 'detail'), qr/version 2 of the order .*Комментарий "зразок" → "правка"/, 'what was left out is shown');
option("posting = true");
deliver_and_run(403);
is(status(403, 'posted'), 't', 'never: a new document is posted');
sql("UPDATE salesdrive.infobase SET retry_base = '1 ms', retry_cap = '2 ms'");
$bas->control(POST => '/config', { refuse => { 'post Document_ЗаказПокупателя' => 'Не можна' } });
deliver(404);
wait_for('the end', sub { run_engine(); state_of(404) eq 'parked business' });
$bas->control(POST => '/config', { refuse => {} });
deliver_and_run(404, version => 2, comment => 'правка');
is(state_of(404) . ' ' . status(404, 'posted'), 'not_wanted edit_policy t', 'never: a new document that could not be posted is posted later, and the edit between left out');
is(sql("SELECT coalesce(accepted_body, sent_body) ->> 'Комментарий' FROM salesdrive.bas_order WHERE order_id = 404"), 'зразок', 'which does not count as written');
option("posting = false");
sql("SELECT salesdrive.resend('shop', 402)");
run_engine();
is(state_of(402), 'synced', 'never: resend() writes it all the same');
is(held(402)->{'СуммаДокумента'}, 240, 'whole');
deliver_and_run(402, version => 3, comment => 'друга правка', paymentAmount => 240, products => [ { sku => 'SKU-0001', amount => 2, price => 120 } ]);
is(state_of(402), 'not_wanted edit_policy', 'once');
option("edit_policy = 'ask'");
run_engine();
is(state_of(402), 'parked ask', 'ask: parked');
like(status(402, 'detail'), qr/Комментарий "правка" → "друга правка"/, 'with what would change');
like(status(402, 'hint'), qr/resend\(\).*skip\(\)/, 'and who decides how');
sql("SELECT salesdrive.resend('shop', 402)");
run_engine();
is(state_of(402), 'synced', 'resend() agrees');
deliver_and_run(402, version => 4, comment => 'третя правка', paymentAmount => 240, products => [ { sku => 'SKU-0001', amount => 2, price => 120 } ]);
is(state_of(402), 'parked ask', 'and the next edit is asked about again');
option("edit_policy = 'free'");
run_engine();
is(state_of(402), 'synced', 'another policy lets it go on');
option("edit_policy = NULL");
deliver_and_run(402, version => 5, comment => 'зайве', paymentAmount => 240, products => [ { sku => 'SKU-0001', amount => 2, price => 120 } ]);
is(state_of(402), 'parked posted_in_bas', 'no policy and posting off: until_posted');
option("posting = true");
run_engine();
is(state_of(402), 'synced', 'no policy and posting on: free');
option("posting = false");

# ---- whose counterparty

my @pair = map { "8c1f4a10-00bb-11ee-8000-0000000000b$_" } 1, 2;
my $many = 25;
sub person { my ($ref, $code, $phone, %o) = @_; return { Ref_Key => $ref, Code => $code, Description => "Особа $code", %o,
	'КонтактнаяИнформация' => [ { LineNumber => 1, 'Тип' => 'Телефон', 'Представление' => "+$phone", 'НомерТелефона' => $phone } ] } }
$bas->control(POST => '/load', { 'Catalog_Контрагенты' => [ person($pair[0], 'К-002', '380991110001'), person($pair[1], 'К-001', '380991110001'), person('8c1f4a10-00bb-11ee-8000-0000000000b3', 'К-000', '380991110001', DeletionMark => JSON::PP::true()),
	map { person(sprintf('8c1f4a10-00bb-11ee-8000-000000000c%02d', $_), sprintf('М-%03d', 100 - $_), '380991110002') } 1 .. $many ] });
option("documents = true, edit_policy = 'free'");
deliver(500, phone => '0991110001');
deliver(501, phone => '0991110002');
run_engine();
is(state_of(500) . ', ' . state_of(501), 'parked counterparty_several, parked counterparty_several', 'a phone that several have parks the order');
option("shared_phone = 'oldest'");
run_engine();
is(held(500)->{'Контрагент_Key'}, $pair[1], 'oldest: that with the lowest code');
is(held(501)->{'Контрагент_Key'}, '8c1f4a10-00bb-11ee-8000-000000000c25', 'of all of them');
is(sql("SELECT count(*) FROM salesdrive.parked WHERE kind = 'counterparty'"), 0, 'nothing is left parked');
option("shared_phone = 'newest'");
deliver_and_run(502, phone => '0991110001');
is(held(502)->{'Контрагент_Key'}, $pair[0], 'newest: the highest');
deliver_and_run(1503, phone => '0991110001', account => 'other');
is(state_of(1503, 'other'), 'parked counterparty_several', 'another account of the base has its own policy');
like(status(1503, 'detail', 'other'), qr/Особа К-001 .*Особа К-002/, 'and is told who they are');
option("shared_phone = 'ours'");
deliver_and_run(504, phone => '0991110001');
is(state_of(504), 'parked counterparty_several', 'ours: none was made here');
sql("UPDATE salesdrive.bas_counterparty SET created_by_us = true WHERE ref_key = '$pair[0]'");
sql("SELECT salesdrive.resume('shop', 504)");
run_engine();
is(held(504)->{'Контрагент_Key'}, $pair[0], 'the only one that was');
option("shared_phone = 'park'");
run_engine();
is(state_of(504), 'synced', 'what is done stays');
sub made { return $bas->control(GET => '/state?brief=1')->{counterparties}{count} }
option("create_counterparties = false");
my $before = made();
deliver_and_run(510, phone => '0991110003');
is(state_of(510), 'parked counterparty_unknown', 'create_counterparties off: an unknown phone parks the order');
is(made(), $before, 'and nobody is made');
deliver_and_run(1510, phone => '0991110003', account => 'other');
is(state_of(1510, 'other'), 'synced', 'an account that creates does so');
is(state_of(510), 'synced', 'and the other order goes on with it');
is(made() - $before, 1, 'one creation');
deliver_and_run(511, phone => '0991110004');
is(state_of(511), 'parked counterparty_unknown', 'unknown again');
$bas->control(POST => '/load', { 'Catalog_Контрагенты' => [ person('8c1f4a10-00bb-11ee-8000-0000000000d1', 'К-009', '380991110004') ] });
sql("SELECT salesdrive.resume('shop', 511)");
run_engine();
is(state_of(511), 'synced', 'made in BAS, resume() finds it');
deliver_and_run(512, phone => '0991110005');
option("create_counterparties = true");
run_engine();
is(state_of(512), 'synced', 'switched on, the order goes on by itself');
deliver_and_run(520, phone => 'без телефону');
is(state_of(520), 'parked phone', 'no phone');
$before = made();
option("counterparty_mode = 'fixed', fixed_counterparty = '8c1f4a10-00bb-11ee-8000-0000000000ff'");
run_engine();
is(state_of(520), 'parked counterparty_fixed', 'a fixed counterparty that is not there parks the order');
like(status(520, 'detail'), qr/8c1f4a10-00bb-11ee-8000-0000000000ff\) is not in infobase "main"/, 'and is named');
option("fixed_counterparty = '8c1f4a10-00bb-11ee-8000-0000000000b3'");
run_engine();
is(state_of(520), 'parked counterparty_fixed', 'nor will one do that is marked for deletion');
option("fixed_counterparty = '$pair[1]'");
run_engine();
is(held(520)->{'Контрагент_Key'}, $pair[1], 'a proper one is that of all orders');
deliver(521, phone => '0991110006');
deliver(1521, account => 'other');
run_engine();
is(held(521)->{'Контрагент_Key'}, $pair[1], 'whatever their phone');
is(sql("SELECT rule FROM salesdrive.field_lineage WHERE account = 'shop' AND order_id = 521 AND property = 'Контрагент_Key'"), 'account.fixed_counterparty', 'and lineage names the setting');
is(requests(521), 'create order', 'without another request');
isnt(held(1521, 'other')->{'Контрагент_Key'}, $pair[1], 'another account goes by phone');
is(made(), $before, 'nobody is made');
like(error_of("UPDATE salesdrive.account SET fixed_counterparty = NULL WHERE name = 'shop'"), qr/account_counterparty/, 'fixed needs a counterparty');

my $told = [ grep { $_->{kind} ne 'duplicate_phone' } @{ $bas->control(GET => "/state")->{violations} } ];
diag(explain($told)) if @$told;
is_deeply($told, [], 'the base reports no violation');

done_testing();
