# An order from a delivery into BAS УНФ by CALL run(): counts of requests, the document, edits, posting, obstacles and their repair.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine sessions_told);


# What autovacuum told the planner of tasks, whenever it came by, would have it look at the ends of their index.
my $node = new_node('order', preload => 0, conf => 'autovacuum = off');
my $bas = start_peer('bas');


sub order_body
{
	my (%o) = @_;
	my $lines = $o{lines} // [ { sku => 'SKU-0001', amount => 1, price => 100 } ];
	my $data = {
		id => $o{id}, version => $o{version} // 1, orderTime => '2026-11-20 14:46:24', updateAt => $o{update_at} // '2026-11-20 14:46:31',
		statusId => 1, paymentAmount => $o{sum} // 100, comment => $o{comment} // 'Зразок',
		contacts => [ { id => 1, fName => 'Зразок', lName => 'Вигаданий', phone => $o{phone} // ['0671112233'] } ],
		products => [ map { { productId => 1, text => 'Товар', discount => 0, percentDiscount => 0, %$_ } } @$lines ],
	};
	return { info => { webhookType => 'order', webhookEvent => 'new_order', account => 'demo-shop' }, data => $data };
}

sub deliver
{
	my ($body) = @_;
	my $text = json_encode($body);
	utf8::decode($text);
	$text =~ s/'/''/g;
	my $statement = "SELECT salesdrive.accept_webhook('shop', '$text')";
	utf8::encode($statement);
	return $node->safe_psql('postgres', $statement);
}

sub status { my ($id, $column) = @_; return sql("SELECT $column FROM salesdrive.order_status WHERE order_id = $id") }
sub requests { my ($id) = @_; return sql("SELECT string_agg(coalesce(purpose, ''), ', ' ORDER BY id) FROM salesdrive.exchange_log WHERE order_id = $id AND direction = 'out'") }
sub document { my ($id) = @_; return json_decode($node->safe_psql('postgres', "SELECT read_body FROM salesdrive.bas_order WHERE order_id = $id")) }

my $set_up = "SELECT salesdrive.add_infobase(name => 'main', profile => 'unf', url => '" . $bas->url('/base') . "', username => 'Обмен', password => 'secret');
SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters')";
utf8::encode($set_up);
$node->safe_psql('postgres', $set_up);
sql("UPDATE salesdrive.infobase SET retry_base = '1 ms', unsure_margin = '0', total_timeout = '2 s', circuit_after = 1000");

# first order
deliver(order_body(id => 1001));
run_engine();
is(status(1001, 'state'), 'synced', 'add_infobase and add_account alone carry a first order');
is(requests(1001), 'find products, create order', 'a new order asks for its goods and creates the document');
is(status(1001, 'bas_ref'), sql("SELECT salesdrive.order_ref_key('demo-shop', 1001)"), 'the document has the key computed here');
my $doc = document(1001);
is($doc->{'ВидОперации'}, 'ЗаказНаПродажу', 'kind of operation');
is($doc->{Date}, '2026-11-20T14:46:24', 'date of the document is orderTime, as wall clock');
is($doc->{'Запасы'}[0]{LineNumber}, '1', 'lines are numbered from 1');
ok(abs($doc->{'Запасы'}[0]{'СуммаНДС'} - 16.67) < 0.001, 'VAT contained in the sum by the rate of the product');
is(sql("SELECT keeps_ref_key FROM salesdrive.infobase"), 't', 'the first creation shows that the base keeps our keys');
is(sql("SELECT differences IS NULL FROM salesdrive.bas_order WHERE order_id = 1001"), 't', 'BAS kept everything as sent');
is(sql("SELECT lineage -> 'Комментарий' ->> 'rule' FROM salesdrive.bas_order WHERE order_id = 1001"), 'comment', 'lineage of a property names its rule');

# known customer, known goods
deliver(order_body(id => 1002, comment => 'другий'));
run_engine();
is(requests(1002), 'create order', 'a known customer with known goods costs one request');
is(document(1002)->{'НомерВходящегоДокумента'}, '1002', 'the customer reference holds plain digits once the base has proved to keep keys');

# same delivery again, and an edit
deliver(order_body(id => 1002, comment => 'другий'));
run_engine();
is(requests(1002), 'create order', 'an equal body changes nothing');
deliver(order_body(id => 1002, version => 2, comment => 'другий, змінений', update_at => '2026-11-20 15:00:00'));
run_engine();
is(requests(1002), 'create order, read order, change order', 'an edit is read before it is written');
is(document(1002)->{'Комментарий'}, 'другий, змінений', 'the edit arrived');
is(sql("SELECT request_body FROM salesdrive.exchange_log WHERE order_id = 1002 AND purpose = 'change order'"), '{"Комментарий": "другий, змінений"}', 'only what differs is sent');
deliver(order_body(id => 1002, version => 1, comment => 'старий, запізнілий'));
run_engine();
is(document(1002)->{'Комментарий'}, 'другий, змінений', 'an older version that comes late changes nothing');

# edits by a user of BAS
$bas->control(POST => '/edit', { set => 'Document_ЗаказПокупателя', reference => '1002', properties => { 'Комментарий' => 'менеджер дописав' } });
deliver(order_body(id => 1002, version => 3, comment => 'другий, змінений', sum => 200, lines => [ { sku => 'SKU-0001', amount => 2, price => 100 } ], update_at => '2026-11-20 16:00:00'));
run_engine();
is(status(1002, 'state'), 'synced', 'an edit of one place and a manual edit of another get along');
is(document(1002)->{'Комментарий'}, 'менеджер дописав', 'a manual edit in BAS is not overwritten');
is(document(1002)->{'СуммаДокумента'}, 200, 'the edit of the lines arrived');
deliver(order_body(id => 1002, version => 4, comment => 'ще раз', sum => 200, lines => [ { sku => 'SKU-0001', amount => 2, price => 100 } ], update_at => '2026-11-20 17:00:00'));
run_engine();
is(status(1002, 'state || reason'), 'parkedconflict', 'both sides changed the same place: parked');
sql("SELECT salesdrive.resend('shop', 1002)");
run_engine();
is(status(1002, 'state'), 'synced', 'resend() decides for SalesDrive');
is(document(1002)->{'Комментарий'}, 'ще раз', 'and writes its value');

# a reading does not count for ever
is(sql("SELECT read_version IS NULL FROM salesdrive.order_sync WHERE order_id = 1002"), 't', 'a change that was made used up the reading before it');
sub edited { my ($comment) = @_; return $bas->control(POST => '/edit', { set => 'Document_ЗаказПокупателя', reference => '1002', properties => { 'Комментарий' => $comment } }) }
my $version = 4;
sub edit_1002 { my ($comment) = @_; $version++; return deliver(order_body(id => 1002, version => $version, comment => $comment, sum => 200, lines => [ { sku => 'SKU-0001', amount => 2, price => 100 } ], update_at => "2026-11-20 17:00:$version" =~ s/:(\d)$/:0$1/r)) }
sql("UPDATE salesdrive.infobase SET retry_base = '1 h', retry_cap = '1 h'");
$bas->control(POST => '/faults', { method => 'PATCH', action => 'status', status => 500, body => 'odata', code => -1, text => 'Помилка', times => 1 });
edit_1002('з SalesDrive');
run_engine() until status(1002, 'reason') eq 'refused';
edited('з BAS, поки чекали');
sql("UPDATE salesdrive.infobase SET retry_base = '1 ms'; UPDATE salesdrive.task SET run_at = now()");
run_engine();
is(status(1002, 'state || reason'), 'parkedconflict', 'a change that failed is preceded by another reading');
sql("SELECT salesdrive.resend('shop', 1002)");
run_engine();
edit_1002('ще з SalesDrive');
sql("SELECT salesdrive.ingest(100); UPDATE salesdrive.order_sync SET read_version = $version WHERE order_id = 1002; UPDATE salesdrive.bas_order SET read_at = now() - interval '1 min' WHERE order_id = 1002");
edited('з BAS, під час паузи');
run_engine();
is(status(1002, 'state || reason'), 'parkedconflict', 'and a reading that is old is made again');
sql("SELECT salesdrive.resend('shop', 1002)");
run_engine();
is(status(1002, 'state'), 'synced', 'as well as by resend()');

# a change whose answer is lost, of a property that BAS is known to keep in its own way
sql("UPDATE salesdrive.infobase SET retry_base = '1 h', retry_cap = '1 h'; UPDATE salesdrive.bas_order SET differences = '{\"Комментарий\": {}}' WHERE order_id = 1002");
$bas->control(POST => '/faults', { method => 'PATCH', action => 'reset_after', times => 1 });
$bas->control(POST => '/faults', { method => 'GET', path => 'Document_ЗаказПокупателя\?', action => 'unavailable', skip => 1, times => 1 });
edit_1002('як є');
run_engine() until status(1002, "coalesce(reason, '')") =~ /^(transient|throttled)$/;
edited('ЯК Є');
sql("UPDATE salesdrive.infobase SET retry_base = '1 ms'; UPDATE salesdrive.task SET run_at = now()");
ok(wait_for('the end', sub { run_engine(); status(1002, 'state') =~ /synced|parked/ }), 'a lost answer, and a value of its own in BAS');
is(status(1002, "concat_ws(' ', state, reason)"), 'synced', 'is no conflict');
$bas->control(DELETE => '/faults');

# a document marked for deletion
sub marked { my ($mark) = @_; return $bas->control(POST => '/edit', { set => 'Document_ЗаказПокупателя', reference => '1002', properties => { DeletionMark => $mark } }) }
marked(JSON::PP::true());
edit_1002('після позначки');
run_engine();
is(status(1002, "concat_ws(' ', state, reason)"), 'parked deleted_in_bas', 'an edit of a document marked for deletion is parked');
sql("SELECT salesdrive.resend('shop', 1002)");
run_engine();
is(status(1002, "concat_ws(' ', state, reason)"), 'parked deleted_in_bas', 'also by resend(): BAS is going to delete it');
is(document(1002)->{'Комментарий'}, 'ЯК Є', 'and nothing is written');
marked(JSON::PP::false());
sql("SELECT salesdrive.resume('shop', 1002)");
run_engine();
is(status(1002, "concat_ws(' ', state, reason)"), 'synced', 'once the mark is gone it goes on');
is(document(1002)->{'Комментарий'}, 'після позначки', 'with the values of SalesDrive, as resend() has asked');

# posting
sql("UPDATE salesdrive.account SET posting = true");
deliver(order_body(id => 1003));
run_engine();
is(requests(1003), 'create order, post order', 'a known customer with known goods costs two requests with posting');
is(status(1003, 'posted'), 't', 'posted');
deliver(order_body(id => 1003, version => 2, comment => 'після проведення', update_at => '2026-11-20 15:00:00'));
run_engine();
is(requests(1003), 'create order, post order, read order, change order, post order', 'an edit of a posted document is posted again');
sql("UPDATE salesdrive.account SET posting = false");

# obstacles
deliver(order_body(id => 1010, lines => [ { sku => 'NO-SUCH', amount => 1, price => 100 } ]));
deliver(order_body(id => 1011, sum => 99.5));
deliver(order_body(id => 1012, phone => ['подзвоніть сестрі ввечері']));
deliver(order_body(id => 1013, phone => []));
run_engine();
is(status(1010, 'state || reason'), 'parkedproduct_unknown', 'unknown SKU: parked');
like(status(1010, 'hint'), qr/product_pin/, 'the hint says how to pin it');
is(status(1011, 'state || reason'), 'parkedsum', 'sum mismatch: parked');
like(status(1011, 'detail'), qr/100\.00.*99\.5/, 'with both figures');
is(status(1012, 'state || reason'), 'parkedphone', 'a sentence is no phone: parked');
like(status(1012, 'detail'), qr/сестрі/, 'the raw text is kept');
is(status(1013, 'state || reason'), 'parkedphone', 'no phone: parked');
sql("INSERT INTO salesdrive.product_pin (infobase, sku, product) SELECT infobase, 'NO-SUCH', ref_key FROM salesdrive.bas_product WHERE sku = 'SKU-0001'");
run_engine();
is(status(1010, 'state'), 'synced', 'the pin lets the order go on by itself');

# a pin that comes while its SKU is being asked for, and one of the future
deliver(order_body(id => 1014, lines => [ { sku => 'PIN-ME', amount => 1, price => 100 } ]));
sql('SELECT salesdrive.ingest(100); SELECT count(*) FROM salesdrive.claim(10)');
is(status(1014, 'state'), 'in_flight', 'an SKU is being asked for');
sql("INSERT INTO salesdrive.product_pin (infobase, sku, product) SELECT infobase, 'PIN-ME', ref_key FROM salesdrive.bas_product WHERE sku = 'SKU-0001'");
sql("SELECT salesdrive.settle(ARRAY[jsonb_populate_record(NULL::salesdrive.http_result, jsonb_build_object('task_id', id, 'attempt', attempt, 'target', infobase, 'method', 'GET', 'class', 'ok',
	'http_status', 200, 'started_at', now(), 'body_is_json', true, 'body', convert_to('{\"value\":[]}', 'UTF8')))]) FROM salesdrive.task WHERE key = '1014'");
run_engine();
is(status(1014, 'state'), 'synced', 'the answer by article does not count where a pin was set meanwhile');
deliver(order_body(id => 1015, lines => [ { sku => 'PIN-TOMORROW', amount => 1, price => 100 } ]));
sql("INSERT INTO salesdrive.product_pin (infobase, sku, product, changed_at) SELECT infobase, 'PIN-TOMORROW', ref_key, now() + interval '1 day' FROM salesdrive.bas_product WHERE sku = 'SKU-0001'");
sql("SET statement_timeout = '600 s'; CALL salesdrive.run()");
is(requests(1015), 'find products, create order', 'a pin dated in the future is asked for once');
sql("UPDATE salesdrive.product_pin SET product = '00000000-0000-4000-8000-000000000001' WHERE sku = 'PIN-TOMORROW'");
deliver(order_body(id => 1016, lines => [ { sku => 'PIN-TOMORROW', amount => 1, price => 100 } ]));
run_engine();
is(requests(1016), 'find products', 'another product in the pin is asked for');
is(status(1016, 'state || reason'), 'parkedproduct_unknown', 'and is not there');
like(status(1016, "detail || ' ' || hint"), qr/it is pinned to product 00000000-0000-4000-8000-000000000001, which infobase "main" does not have.* UPDATE salesdrive\.product_pin SET product = .* AND sku = 'PIN-TOMORROW'/, 'which the words say, for there is a pin already');
sql("DELETE FROM salesdrive.product_pin WHERE sku = 'PIN-TOMORROW'");
run_engine();
is(requests(1016), 'find products, find products', 'without the pin the article is asked for again');
sql("SELECT salesdrive.skip('shop', 1016, 'no such product')");
is(sql("SELECT count(*) FROM salesdrive.wake_pending") > 0 ? 1 : 0, 0, 'the engine has taken every wake');

sql("SELECT salesdrive.skip('shop', 1011, 'test order')");
run_engine();
is(status(1011, 'state || detail'), 'skippedtest order', 'skip() ends it');
deliver(order_body(id => 1011, version => 2, sum => 100, update_at => '2026-11-20 18:00:00'));
run_engine();
is(status(1011, 'state'), 'skipped', 'a skipped order stays out when a version comes');
sql("SELECT salesdrive.resume('shop', 1011)");
run_engine();
is(status(1011, 'state'), 'synced', 'until resume()');
deliver(order_body(id => 1012, version => 2, phone => '+38 (067) 111-22-33', update_at => '2026-11-20 18:00:00'));
run_engine();
is(status(1012, 'state'), 'synced', 'a corrected phone goes on by itself');

# preview
deliver(order_body(id => 1020));
sql("SELECT salesdrive.ingest(100)");
is(sql("SELECT string_agg(concat_ws(' ', step, method), ', ') FROM salesdrive.preview('shop', 1020)"), 'create order POST, document as it should be', 'preview shows the next step and the document');
run_engine();
is(sql("SELECT (p.body - 'НомерВходящегоДокумента') = (b.sent_body - 'НомерВходящегоДокумента') FROM salesdrive.preview('shop', 1020) p, salesdrive.bas_order b WHERE b.order_id = 1020 AND p.step LIKE 'document%'"), 't', 'and it is what was sent');

# one counterparty for every spelling of a phone
my $n = 1030;
deliver(order_body(id => $n++, phone => $_)) for ['0509998877'], '380509998877', ['+38 (050) 999-88-77'], '8 050 999 88 77', ['+380509998877'];
run_engine();
is(sql("SELECT count(DISTINCT sent_body ->> 'Контрагент_Key') FROM salesdrive.bas_order WHERE order_id BETWEEN 1030 AND 1034"), 1, 'all spellings of a phone are one counterparty');
deliver(order_body(id => 1040, phone => '050 100 00 02'));
run_engine();
is(sql("SELECT created_by_us FROM salesdrive.bas_counterparty c JOIN salesdrive.bas_counterparty_phone p ON p.infobase = c.infobase AND p.ref_key = c.ref_key WHERE p.phone = '380501000002'"), 'f', 'a counterparty whose phone stands only in its presentation is found');

# a phone however it is grouped in a presentation, and nowhere else
sub counterparty_row
{
	my ($key, $shown, %more) = @_;
	return { Ref_Key => $key, Description => "Картка $shown", %more, 'КонтактнаяИнформация' => [ { LineNumber => 1, 'Тип' => 'Телефон', 'Представление' => $shown } ] };
}
my @shown = ('0501234567', '050 123-45-67', '050 123 45 67', '050 123-4567', '+38 050 12-34-567', '(050) 123-4567', '050.123.45.67', '0 50 1234 567', '050 12 345 67');
my @missed;
for my $i (0 .. $#shown)
{
	my $phone = sprintf '05022%05d', 34500 + $i;
	my ($shown, @digits) = ($shown[$i], split //, $phone);
	$shown =~ s/(?<!\+)(?<!\+3)\d/shift @digits/ge;    # the digits of this phone, grouped so
	$bas->control(POST => '/load', { 'Catalog_Контрагенты' => [ counterparty_row(sprintf('00000000-0000-4000-8000-%012d', 700 + $i), $shown) ] });
	deliver(order_body(id => 1700 + $i, phone => $phone));
	run_engine();
	my $ref = sql("SELECT ref_key FROM salesdrive.bas_counterparty_phone WHERE phone = '38$phone'");
	push @missed, $shown if $ref ne sprintf('00000000-0000-4000-8000-%012d', 700 + $i);
}
is("@missed", '', 'a phone is found in every usual grouping of its presentation');
cmp_ok(sql("SELECT max(length(url) - strpos(url, '?')) FROM salesdrive.exchange_log WHERE purpose = 'find counterparty'"), '<=', 2000, 'by a search that fits into max_url');
sql("UPDATE salesdrive.infobase SET max_url = 1000");
deliver(order_body(id => 1720, phone => '0502299999'));
run_engine();
is(status(1720, 'state'), 'synced', 'also into a smaller one');
sql("UPDATE salesdrive.infobase SET max_url = 2000");

# more cards than one reading asks for
sub many_cards
{
	my ($phone, @alive) = @_;
	my %alive = map { $_ => 1 } @alive;
	$bas->control(POST => '/load', { 'Catalog_Контрагенты' => [ map { counterparty_row(sprintf('%08d-%04d-4000-8000-000000000000', substr($phone, -4), $_), $phone, DeletionMark => $alive{$_} ? JSON::PP::false() : JSON::PP::true()) } 1 .. 45 ] });
}
many_cards('0503330001', 45);
many_cards('0503330002');
many_cards('0503330003', 3, 44);
deliver(order_body(id => 1730 + $_, phone => "050333000$_")) for 1 .. 3;
run_engine();
is(sql("SELECT ref_key FROM salesdrive.bas_counterparty_phone WHERE phone = '380503330001'"), '00000001-0045-4000-8000-000000000000', 'the one alive of 45 cards is found');
is(sql("SELECT created_by_us FROM salesdrive.bas_counterparty_phone p JOIN salesdrive.bas_counterparty c USING (infobase, ref_key) WHERE p.phone = '380503330002'"), 't', 'none alive of 45: a new one');
is(status(1733, 'reason'), 'counterparty_several', 'two alive far apart are several');
$bas->control(POST => '/delete', { set => 'Catalog_Контрагенты', keys => [ '00000003-0044-4000-8000-000000000000' ] });
sql("SELECT salesdrive.resume('shop', 1733)");
run_engine();
is(status(1733, 'state'), 'synced', 'until one of them is gone');
is_deeply($bas->control(GET => '/state')->{violations}, [], 'the base reports no violation');

# lost answers
$bas->control(POST => '/faults', { method => 'POST', path => 'Document_ЗаказПокупателя$', action => 'reset_after', times => 1 });
deliver(order_body(id => 1050));
run_engine();
is(requests(1050), 'create order, read order', 'after a lost answer the document is read back, not made again');
is(status(1050, 'state'), 'synced', 'and found');
$bas->control(POST => '/faults', { method => 'POST', path => 'Document_ЗаказПокупателя$', action => 'reset_before', times => 1 });
deliver(order_body(id => 1051));
ok(wait_for('the order', sub { run_engine(); status(1051, 'state') eq 'synced' }), 'a request that never arrived is made again');
like(requests(1051), qr/^create order, read order(, read order)*, create order$/, 'only when its absence counts');
$bas->control(POST => '/faults', { method => 'POST', path => 'Document_ЗаказПокупателя$', action => 'status', status => 500, body => 'odata', code => -1, text => 'Помилка', times => 2 });
deliver(order_body(id => 1052));
ok(wait_for('the order', sub { run_engine(); status(1052, 'state') eq 'synced' }), 'an error raised in BAS is retried');
is(requests(1052), 'create order, create order, create order', 'without reading back: nothing was written');
$bas->control(POST => '/faults', { method => 'POST', path => 'Document_ЗаказПокупателя$', action => 'status', status => 500, body => 'odata', code => -1, text => 'Період закрито' });
deliver(order_body(id => 1053));
ok(wait_for('the order', sub { run_engine(); status(1053, 'state') eq 'parked' }), 'and parked after the fifth retry');
is(status(1053, 'reason'), 'business', 'as a refusal of the business');
like(status(1053, 'detail'), qr/Період закрито/, 'with the words of the server');
$bas->control(DELETE => '/faults');
sql("SELECT salesdrive.resume('shop', 1053)");
run_engine();
is(status(1053, 'state'), 'synced', 'resume() lets it go on');
$bas->control(POST => '/faults', { method => 'PATCH', action => 'status', status => 500, body => 'odata', code => -1, text => 'Період закрито' });
deliver(order_body(id => 1053, version => 2, comment => 'після закриття', update_at => '2026-11-20 18:00:00'));
ok(wait_for('the order', sub { run_engine(); status(1053, 'state') eq 'parked' }), 'a change is parked so, too');
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 1053 AND purpose = 'change order'"), 6, 'after the fifth retry, though the document is read before each');
like(status(1053, 'reason') . status(1053, 'detail'), qr/^business.*Період закрито/, 'with the words of the server');
$bas->control(DELETE => '/faults');
sql("SELECT salesdrive.resume('shop', 1053)");
run_engine();
is(status(1053, 'state'), 'synced', 'and goes on, too');
is(sql("SELECT count(*) FROM salesdrive.task WHERE key = '1053'"), 0, 'to its end');

# an answer that is not one of BAS proves nothing
my %lie = (status => 200, body => 'json', text => '{"status":"maintenance"}');
deliver(order_body(id => 1055, phone => '0671112255', lines => [ { sku => 'SKU-0017', amount => 1, price => 100 } ]));
$bas->control(POST => '/faults', { method => 'GET', path => $_, action => 'status', %lie, times => 2 }) for 'Catalog_Номенклатура', 'Catalog_Контрагенты_КонтактнаяИнформация';
$bas->control(POST => '/faults', { method => 'POST', path => 'Document_ЗаказПокупателя$', action => 'reset_after', times => 1 });
$bas->control(POST => '/faults', { method => 'GET', path => 'Document_ЗаказПокупателя', action => 'status', %lie, times => 2 });
ok(wait_for('the order', sub { run_engine(); status(1055, 'state') eq 'synced' }), 'JSON of something before BAS: asked again');
is(sql("SELECT string_agg(DISTINCT class || ' ' || error, ', ') FROM salesdrive.exchange_log WHERE response_body LIKE '%maintenance%'"), 'transient The answer is not one of BAS: it holds neither a list nor the object asked for.', 'its class is transient, for every kind of task');
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE response_body LIKE '%maintenance%'"), 6, 'in each reading');
is(requests(1055) =~ s/(find products|read order), (?=\g1)//gr, 'find products, create order, read order', 'and the document is found, not made again');
sql("DELETE FROM salesdrive.dictionary_load WHERE dictionary = 'currency'");
$bas->control(POST => '/faults', { method => 'GET', path => 'Catalog_Валюты', action => 'status', status => 204, body => 'empty', times => 1 });
deliver(order_body(id => 1056));
ok(wait_for('the order', sub { run_engine(); status(1056, 'state') eq 'synced' }), 'no content is no empty dictionary');
$bas->control(DELETE => '/faults');

# rights to single rows, and what stands before BAS: one order is parked, the others go on
sub base_paused { return sql('SELECT paused_at IS NOT NULL FROM salesdrive.infobase') }
my $hidden = sql("SELECT salesdrive.order_ref_key('demo-shop', 1760)");
$bas->control(POST => '/config', { hidden => { 'Document_ЗаказПокупателя' => [$hidden], 'Catalog_Контрагенты' => [ '00000000-0000-4000-8000-000000000700' ],
	'Catalog_Номенклатура' => [ map { $_->{Ref_Key} } grep { ($_->{'Артикул'} // '') eq 'SKU-9001' } @{ $bas->control(GET => '/objects?set=Catalog_%D0%9D%D0%BE%D0%BC%D0%B5%D0%BD%D0%BA%D0%BB%D0%B0%D1%82%D1%83%D1%80%D0%B0')->{value} } ] } });
$bas->control(POST => '/faults', { method => 'POST', path => 'Document_ЗаказПокупателя$', action => 'reset_after', times => 1 });
deliver(order_body(id => 1760));
run_engine();
is(status(1760, 'state || reason'), 'parkedhidden_in_bas', 'a document that BAS hides is not taken for absent');
like(status(1760, 'detail || hint'), qr/401.*20.*rights/s, 'with the words of the server and a hint');
is(base_paused(), 'f', 'and the base goes on');
deliver(order_body(id => 1761, phone => '0502234500', lines => [ { sku => 'SKU-0031', amount => 1, price => 100 } ]));
deliver(order_body(id => 1762, phone => '0997734500', lines => [ { sku => 'SKU-9001', amount => 1, price => 100 } ]));
run_engine();
is(status(1761, 'state'), 'synced', 'other orders too');
is(status(1762, 'reason'), 'product_unknown', 'lists leave out rows that are hidden, and are not refused for them');
is(base_paused(), 'f', 'so one hidden row stops nobody');
$bas->control(POST => '/config', { hidden => {} });
sql("SELECT salesdrive.resume('shop', $_)") for 1760, 1762;
run_engine();
is(status(1760, 'state'), 'synced', 'the right to see it and resume(): found');
sql("SELECT salesdrive.skip('shop', 1762, 'ambiguous')");
for my $status (403, 413)
{
	$bas->control(POST => '/faults', { method => 'POST', path => 'Document_ЗаказПокупателя$', action => 'status', status => $status, body => 'html', times => 1 });
	deliver(order_body(id => 1400 + $status));
	run_engine();
	is(status(1400 + $status, 'state || reason'), 'parkeddenied', "a body answered with $status: parked");
	deliver(order_body(id => 2400 + $status));
	run_engine();
	is(status(2400 + $status, 'state') . base_paused(), 'syncedf', 'the next order passes');
	sql("SELECT salesdrive.resume('shop', 1400 + $status)");
	run_engine();
	is(status(1400 + $status, 'state'), 'synced', 'resume() sends it again');
}
$bas->control(POST => '/config', { deny_sets => ['Document_ЗаказПокупателя'] });
deliver(order_body(id => 1770));
run_engine();
deliver(order_body(id => 1771));
run_engine();
is(status(1771, 'state || reason') . base_paused(), 'parkeddeniedf', 'two orders without rights are parked');
deliver(order_body(id => 1772));
run_engine();
is(sql('SELECT string_agg(state, \' \') FROM salesdrive.order_status WHERE order_id BETWEEN 1770 AND 1772') . base_paused(), 'paused paused pausedt', 'a third in a row pauses the base, and all three wait');
like(sql('SELECT paused_reason FROM salesdrive.infobase'), qr/create order.*401/, 'with the reason');
$bas->control(POST => '/config', { deny_sets => [] });
sql("SELECT salesdrive.unpause_infobase('main')");
run_engine();
is(sql('SELECT string_agg(state, \' \') FROM salesdrive.order_status WHERE order_id BETWEEN 1770 AND 1772') . sql('SELECT denied FROM salesdrive.infobase'), 'synced synced synced{}', 'and go on after unpause_infobase()');
sql("DELETE FROM salesdrive.dictionary_load WHERE dictionary = 'currency'");
$bas->control(POST => '/config', { deny_sets => ['Catalog_Валюты'] });
deliver(order_body(id => 1773));
run_engine();
is(base_paused(), 't', 'a list that every order needs pauses it at once');
$bas->control(POST => '/config', { deny_sets => [] });
sql("SELECT salesdrive.unpause_infobase('main')");
run_engine();
is(status(1773, 'state'), 'synced', 'until the right is there');

# wrong password
sql("SELECT salesdrive.set_secret('infobase:main:password', 'wrong')");
deliver(order_body(id => 1060));
run_engine();
is(status(1060, 'state'), 'paused', 'a wrong password pauses the infobase');
like(sql("SELECT paused_reason FROM salesdrive.infobase"), qr/401/, 'and says why');
sql("SELECT salesdrive.set_secret('infobase:main:password', 'secret'); SELECT salesdrive.unpause_infobase('main')");
run_engine();
is(status(1060, 'state'), 'synced', 'and goes on after unpause_infobase()');

is_deeply($bas->control(GET => '/state')->{violations}, [], 'no document and no counterparty is double');
sql("SELECT salesdrive.skip('shop', 1013, 'no phone')");
run_engine();
is(sql('SELECT count(*) FROM salesdrive.task'), 0, 'no task is left');
is(sql("BEGIN; UPDATE salesdrive.infobase SET circuit_failures = circuit_after, circuit_open_until = salesdrive.clock() - interval '1 s'; SELECT salesdrive.next_due() IS NULL; ROLLBACK"), 't',
	'an open circuit plans no turn when nothing waits to probe it');

# Plans are made while the tables are small, and kept while they grow: a turn reads by keys what it is about, and nothing else.
sub json_of { my ($body) = @_; my $text = json_encode($body); utf8::decode($text); return $text =~ s/'/''/gr }
my $reads = "SELECT 'read ' || sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables WHERE schemaname = 'salesdrive' AND relname ~ '^(crm_order.*|order_sync|bas_order|task|inbox.*)\$';";
my ($small, $large) = map { my $id = $_; "BEGIN; $reads SELECT salesdrive.accept_webhook('shop', '" . json_of(order_body(id => $id)) . "'); SELECT salesdrive.ingest(10);
	CREATE TEMP TABLE claimed ON COMMIT DROP AS SELECT * FROM salesdrive.claim(10);
	SELECT salesdrive.settle(array_agg((c.task_id, c.attempt, c.target, c.method, c.url, c.body, 201, 'ok', NULL, NULL, NULL, NULL, 'application/json', convert_to(c.body, 'UTF8'), true, 10, salesdrive.clock(), 0, 0, 0, 0, 0)::salesdrive.http_result)) FROM claimed c;
	SELECT salesdrive.next_due();
	SELECT 'synced ' || count(*) FROM salesdrive.order_sync WHERE account = 'shop' AND order_id = $id AND synced_version = 1;
	$reads
	ROLLBACK;" } 1080, 1081;
my $crowd = "INSERT INTO salesdrive.crm_order (account, order_id, version, line_count, received_at, changed_at) SELECT 'crowd', n, 1, 0, now(), now() FROM generate_series(1, 5000) n;
	INSERT INTO salesdrive.order_sync (account, order_id, infobase, ref_key) SELECT 'crowd', n, 'main', gen_random_uuid() FROM generate_series(1, 5000) n;
	INSERT INTO salesdrive.bas_order (infobase, ref_key, account, order_id) SELECT 'main', ref_key, account, order_id FROM salesdrive.order_sync WHERE account = 'crowd';
	INSERT INTO salesdrive.task (scope, kind, key, account, infobase, state) SELECT 'crowd', 'order', order_id, 'crowd', 'main', 'parked' FROM salesdrive.order_sync WHERE account = 'crowd'";
my $turns = sql("$small $crowd; $large");
is(() = $turns =~ /^synced 1$/mg, 2, 'a turn before the tables have grown, and one after that');
my @reads = $turns =~ /^read (\d+)$/mg;
my ($before, $after) = ($reads[1] - $reads[0], $reads[3] - $reads[2]);
cmp_ok($after, '<', $before + 100, "reads no more rows ($before, then $after)");
my $leave = join '; ', map { "DELETE FROM salesdrive.$_ WHERE account = 'crowd'" } qw(task bas_order order_sync crm_order);
my $told = sessions_told();
$told->($leave);

# The engine's plans also read by keys when the table of tasks was analysed while it was empty.
sql('ANALYZE salesdrive.task');
is(sql("SELECT relpages > 0 AND reltuples = 0 FROM pg_class WHERE oid = 'salesdrive.task'::regclass"), 't', 'pages without tasks, says the planner');
my $by_key = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'task_pkey'";
my $read = sql($by_key);
my ($first, $second) = map { "SELECT salesdrive.accept_webhook('shop', '" . json_of(order_body(id => $_)) . "'); CALL salesdrive.run();" } 1082, 1083;
$told->("$first $crowd; $second");
cmp_ok(sql($by_key) - $read, '<', 1000, 'tasks are found by their numbers');
sql($leave);
is(status(1082, 'state'), 'synced', 'for an order');
is(status(1083, 'state'), 'synced', 'and for another one beside a crowd of tasks');

# Lanes: an eighth of what each claim takes, be it large or small, is the oldest of any lane.
my $lanes = sub { my ($most, $claims) = @_; my ($counts) = grep { /: / } split /\n/, sql("BEGIN; UPDATE salesdrive.infobase SET max_connections = 30;
	INSERT INTO salesdrive.task (scope, kind, key, infobase, lane, run_at) SELECT 'main', 'dictionary', 'crowd ' || n, 'main', CASE WHEN n <= 50 THEN 1 ELSE 4 END, now() - CASE WHEN n <= 50 THEN interval '1 s' ELSE '1 h' END FROM generate_series(1, 100) n;
	SELECT string_agg(lane || ': ' || n, ', ' ORDER BY lane) FROM (SELECT t.lane, count(*) AS n FROM generate_series(1, $claims) c CROSS JOIN LATERAL unnest(salesdrive.pick_due($most + 0 * c, NULL, NULL)) p JOIN salesdrive.task t ON t.id = p GROUP BY t.lane) l; ROLLBACK"); return $counts };
is($lanes->(16, 1), '1: 14, 4: 2', 'of a claim of 16 tasks 2 are the oldest of all');
is($lanes->(3, 8), '1: 21, 4: 3', 'of eight claims of 3 tasks 3 are');
is($lanes->(1, 8), '1: 7, 4: 1', 'of eight claims of one task one is');

# As many requests are in hand as keep the connections of a base busy while a turn lasts: the client says how many.
my $hand = sub { my ($arguments) = @_; return (sql("BEGIN; UPDATE salesdrive.infobase SET max_connections = 1;
	SELECT min(salesdrive.enqueue('main', 'dictionary', d, 'main')) FROM unnest(salesdrive.dictionaries() || salesdrive.field_dictionaries()) d; SELECT 'claimed ' || count(*) FROM salesdrive.claim($arguments); ROLLBACK") =~ /^claimed (\d+)/m)[0] };
is($hand->('100'), 4, 'four for each connection of a base that is not known yet');
is($hand->("100, '{other,main}', '{16,2}'"), 2, 'as many as the client says of one that is known');
cmp_ok($hand->("100, '{main}', '{16}'"), '>', 4, 'also when these are more');
is($hand->("3, '{main}', '{16}'"), 3, 'and no more than it asks for in all');

# an order of before adopt() that is skipped before it was ever planned
sql('SELECT salesdrive.adopt()');
deliver(order_body(id => 1070));
sql("SELECT salesdrive.ingest(100); SELECT salesdrive.skip('shop', 1070, 'later')");
is(sql("SELECT must_read FROM salesdrive.order_sync WHERE order_id = 1070"), 't', 'is to be read back like any other');
sql("SELECT salesdrive.resume('shop', 1070)");
run_engine();
is(requests(1070), 'read order, create order', 'and is, when it is resumed');

done_testing();
