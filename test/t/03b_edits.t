# Edits of orders: only what differs is sent, what is emptied is emptied, and the history tells field by field what changed and why.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine uri);

my $node = new_node('edits', preload => 0);
my $bas = start_peer('bas');

sub state_of { my ($id) = @_; return sql("SELECT concat_ws(' ', state, reason) FROM salesdrive.order_status WHERE order_id = $id") }
sub held { my ($id) = @_; return json_decode($node->safe_psql('postgres', "SELECT read_body FROM salesdrive.bas_order WHERE order_id = $id")) }
sub patch { my ($id) = @_; return sql("SELECT request_body FROM salesdrive.exchange_log WHERE order_id = $id AND purpose = 'change order' ORDER BY id DESC LIMIT 1") }
sub told { my ($id) = @_; return sql("SELECT text FROM salesdrive.order_event WHERE order_id = $id AND event IN ('created', 'changed', 'differs') ORDER BY id DESC LIMIT 1") }
sub changes { my ($id) = @_; return sql("SELECT string_agg(concat_ws(' ', c ->> 'property', c ->> 'line', coalesce(c ->> 'old', '-'), coalesce(c ->> 'new', '-'), c ->> 'version', c ->> 'rule'), '|' ORDER BY n)
	FROM (SELECT detail FROM salesdrive.order_event WHERE order_id = $id AND event IN ('created', 'changed', 'differs') ORDER BY id DESC LIMIT 1) e, jsonb_array_elements(e.detail -> 'changes') WITH ORDINALITY c (c, n)") }
sub in_bas { my ($key) = @_; return $bas->control(GET => '/objects?set=' . uri('Document_ЗаказПокупателя') . "&key=$key") }
my %version;
sub deliver
{
	my ($id, %o) = @_;
	my $version = ++$version{$id};
	my $body = json_encode({ data => { id => $id, version => $version, orderTime => '2026-11-20 10:00:00', updateAt => sprintf('2026-11-20 10:00:%02d', $version), paymentAmount => 30, comment => 'зразок',
		contacts => [ { fName => 'Зразок', phone => '0671000001' } ], products => [ lines([ 1, 1, 10 ], [ 2, 2, 10 ]) ], %o } });
	utf8::decode($body);
	$body =~ s/'/''/g;
	sql("SELECT salesdrive.accept_webhook('shop', '$body')");
	return run_engine();
}
sub lines { return map { { sku => sprintf('SKU-%04d', $_->[0]), amount => $_->[1], price => $_->[2], stockId => 1 } } @_ }

my ($nil, $store) = ('00000000-0000-0000-0000-000000000000', '8c1f4a10-00ee-11ee-8000-0000000000a2');
my $url = $bas->url('/base');
$bas->control(POST => '/load', { 'Catalog_СтруктурныеЕдиницы' => [ { Ref_Key => $store, Code => 'W2', Description => 'Другий склад', 'ТипСтруктурнойЕдиницы' => 'Склад' } ] });
sql("SELECT salesdrive.add_infobase('main', 'unf', '$url', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters');
	UPDATE salesdrive.infobase SET retry_base = '1 ms', unsure_margin = '0', total_timeout = '2 s', circuit_after = 1000;
	SELECT salesdrive.map_value('shop', 'warehouse', '1', 'W2')");

# ---- what changed, and why

deliver(1);
is(told(1) =~ s/ НФ\S+//r, 'Document created.', 'a new document is not told field by field');
deliver(1, comment => 'інший');
is(patch(1), '{"Комментарий": "інший"}', 'only what differs is sent');
is(told(1) =~ s/ НФ\S+//r, 'Document changed: Комментарий "зразок" → "інший".', 'the history tells old and new');
is(changes(1), 'Комментарий зразок інший 2 comment', 'with version and rule');
deliver(1, comment => 'інший', paymentAmount => 40, products => [ lines([ 1, 1, 10 ], [ 2, 3, 10 ]) ]);
is(join(' ', sort keys %{ json_decode(do { my $p = patch(1); utf8::encode($p); $p }) }), 'Запасы СуммаДокумента', 'a section is sent whole');
is(changes(1), 'Запасы.Всего 2 20 30 3 lines of the order|Запасы.Количество 2 2 3 3 lines of the order|Запасы.Сумма 2 20 30 3 lines of the order|Запасы.СуммаНДС 2 3.33 5 3 lines of the order|СуммаДокумента 30 40 3 sum of the lines' =~ s/30\b(?= 3 lines)/30.00/gr =~ s/(?<= 3.33 )5/5.00/r =~ s/(?<= 30 )40/40.00/r,
	'and told by what differs in it');
deliver(1, comment => 'інший', paymentAmount => 10, products => [ lines([ 1, 1, 10 ]) ]);
like(told(1), qr/Запасы \(line 2\) \{.* → nothing/, 'a line that is gone');
deliver(1, comment => 'інший', paymentAmount => 20, products => [ lines([ 1, 1, 10 ], [ 3, 1, 10 ]) ]);
like(told(1), qr/Запасы \(line 2\) nothing → \{/, 'a line that is new');
is(sql("SELECT count(*) FROM salesdrive.order_event WHERE order_id = 1 AND event = 'changed'"), 4, 'one event a change');

# ---- what is emptied

is(held(1)->{'СтруктурнаяЕдиницаРезерв_Key'}, $store, 'a warehouse by mapping');
deliver(1, comment => '', paymentAmount => 20, products => [ lines([ 1, 1, 10 ], [ 3, 1, 10 ]) ]);
is(patch(1), '{"Комментарий": ""}', 'a comment that is emptied is emptied');
like(told(1), qr/Комментарий "інший" → nothing/, 'and told so');
deliver(2);
deliver(3);
sql("SELECT salesdrive.map_value('shop', 'warehouse', '1', NULL)");
deliver(2, comment => 'далі');
is(patch(2), qq({"Комментарий": "далі", "СтруктурнаяЕдиницаРезерв_Key": "$nil"}), 'a warehouse that is mapped to nothing is emptied');
is(held(2)->{'СтруктурнаяЕдиницаРезерв_Key'}, $nil, 'in BAS');
deliver(2, comment => 'ще далі');
is(patch(2), '{"Комментарий": "ще далі"}', 'once');
deliver(4);
is(sql("SELECT count(*) FROM salesdrive.bas_order WHERE order_id = 4 AND sent_body ? 'СтруктурнаяЕдиницаРезерв_Key'"), 0, 'a new document does without it');
$bas->control(POST => '/edit', { set => 'Document_ЗаказПокупателя', key => sql("SELECT bas_ref FROM salesdrive.order_status WHERE order_id = 3"), properties => { 'СтруктурнаяЕдиницаРезерв_Key' => '8c1f4a10-00ee-11ee-8000-000000000001' } });
deliver(3, comment => 'далі');
is(state_of(3), 'parked conflict', 'one that was chosen by hand meanwhile is a conflict');
sql("SELECT salesdrive.resend('shop', 3)");
run_engine();
is(held(3)->{'СтруктурнаяЕдиницаРезерв_Key'}, $nil, 'that resend() decides');
sql("SELECT salesdrive.map_value('shop', 'warehouse', '1', 'W2')");
deliver(2, comment => 'назад');
is(held(2)->{'СтруктурнаяЕдиницаРезерв_Key'}, $store, 'mapped again it is filled again');
sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('unf', 'order', 'warehouse', NULL)");
deliver(2, comment => 'без складу');
is(patch(2), '{"Комментарий": "без складу"}', 'what the profile leaves out is left alone');
is(held(2)->{'СтруктурнаяЕдиницаРезерв_Key'}, $store, 'as it was');
sql("DELETE FROM salesdrive.profile_property WHERE origin = 'user'");

# ---- what somebody changed in BAS is not what BAS did not keep

$bas->control(POST => '/edit', { set => 'Document_ЗаказПокупателя', key => sql("SELECT bas_ref FROM salesdrive.order_status WHERE order_id = 2"), properties => { 'СуммаДокумента' => 31 } });
deliver(2, comment => 'після зміни суми');
like(told(2), qr/^Document НФ\S+ changed: Комментарий .* → "після зміни суми"\.$/, 'a property this write did not touch is not told of');
is(sql("SELECT event FROM salesdrive.order_event WHERE order_id = 2 ORDER BY id DESC LIMIT 1"), 'changed', 'and the change is one');
sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('unf', 'order', 'comment', 'НетТакого')");
deliver(2, comment => 'не дійде');
sql("DELETE FROM salesdrive.profile_property WHERE origin = 'user'");
like(told(2), qr/but BAS did not keep as sent: НетТакого\.$/, 'what BAS does not keep of this write is');

# ---- a change whose answer is lost

$bas->control(POST => '/faults', { method => 'PATCH', action => 'reset_after', times => 1 });
deliver(4, comment => 'без відповіді');
ok(wait_for('the end', sub { run_engine(); state_of(4) eq 'synced' }), 'a change without an answer is read back');
like(told(4), qr/changed, as reading it back shows: Комментарий "зразок" → "без відповіді"/, 'and told as well');
is(sql("SELECT lineage -> 'Комментарий' ->> 'version' FROM salesdrive.bas_order WHERE order_id = 4"), 2, 'its lineage is that of the change');

# ---- a change whose answer is another document: of another order, or one that nobody knows

my $other = held(3);
for my $case ([ 1, 1, {} ], [ 0, 1, {} ], [ 0, 0, { Ref_Key => '8c1f4a10-0bad-11ee-8000-000000000001' } ])
{
	my ($done, $known, $stranger) = @$case;
	my $text = "чужа відповідь $done$known";
	my $before = sql("SELECT bas_ref FROM salesdrive.order_sync WHERE order_id = 4");
	my $answer = json_encode({ %$other, %$stranger });
	utf8::decode($answer);
	$bas->control(POST => '/faults', { method => 'PATCH', action => 'status', status => 200, body => 'json', text => $answer, times => 1, $done ? (after => JSON::PP::true()) : () });
	deliver(4, comment => $text);
	ok(wait_for('the end', sub { run_engine(); state_of(4) eq 'synced' }, 30), 'an answer that shows another document is none: the document is read back');
	is(sql("SELECT bas_ref || ' ' || write_unsure FROM salesdrive.order_sync WHERE order_id = 4"), "$before false", 'the order keeps its own');
	is(in_bas($before)->{'Комментарий'}, $text, 'which holds the change' . ($done ? '' : ', sent again'));
	is_deeply(held(3), $other, 'and of the other one nothing is taken in');
}
for my $done (0, 1)
{
	my $id = 90 + $done;
	my $answer = json_encode($other);
	utf8::decode($answer);
	$bas->control(POST => '/faults', { method => 'POST', path => 'Document_ЗаказПокупателя$', action => 'status', status => 201, body => 'json', text => $answer, times => 1, $done ? (after => JSON::PP::true()) : () });
	deliver($id);
	ok(wait_for('the end', sub { run_engine(); state_of($id) =~ /^(?:synced|parked)/ }), 'so is one to a creation');
	is(state_of($id) . ' ' . sql("SELECT (bas_ref = ref_key) || ' ' || write_unsure FROM salesdrive.order_sync WHERE order_id = $id"), 'synced true false', 'the order has a document of its own');
	is(sql('SELECT keeps_ref_key FROM salesdrive.infobase'), 't', 'and the base is not taken for one that makes keys');
}

is_deeply([ grep { $_->{kind} ne 'document_sum' } @{ $bas->control(GET => '/state')->{violations} } ], [], 'the base reports no violation but the sum changed here by hand');

done_testing();
