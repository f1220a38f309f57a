# Statuses of orders: from SalesDrive into the document and back, by the map, without echo, and what happens where both sides changed one.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine error_of uri);

my $node = new_node('statuses', preload => 0);
my $bas = start_peer('bas');

sub state_of { my ($id) = @_; return sql("SELECT concat_ws(' ', state, reason) FROM salesdrive.order_status WHERE account = 'shop' AND order_id = $id") }
sub status { my ($id, $column) = @_; return sql("SELECT $column FROM salesdrive.order_status WHERE account = 'shop' AND order_id = $id") }
sub pair { my ($id) = @_; return named(sql("SELECT crm_status || ' ' || bas_status FROM salesdrive.order_sync WHERE account = 'shop' AND order_id = $id")) }
my ($nil, %ref, %name) = ('00000000-0000-0000-0000-000000000000');
sub named { my ($text) = @_; $text =~ s/([0-9a-f]{8}-[0-9a-f-]{27})/$name{$1} \/\/ $1/ge; return $text }
sub in_bas
{
	my ($id) = @_;
	my $o = $bas->control(GET => '/objects?set=' . uri('Document_ЗаказПокупателя') . '&key=' . sql("SELECT bas_ref FROM salesdrive.order_status WHERE account = 'shop' AND order_id = $id"));
	return join ' ', map { named($o->{$_}) } @_ > 1 ? @_[ 1 .. $#_ ] : 'СостояниеЗаказа';
}
sub writes { my ($id) = @_; return sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = $id AND method = 'PATCH'") }
sub last_patch { my ($id) = @_; return named(sql("SELECT request_body FROM salesdrive.exchange_log WHERE order_id = $id AND purpose = 'change order' ORDER BY id DESC LIMIT 1")) }
sub option { my ($set) = @_; return sql("UPDATE salesdrive.account SET $set WHERE name = 'shop'") }
sub user { my ($id, %p) = @_; return $bas->control(POST => '/edit', { key => sql("SELECT bas_ref FROM salesdrive.order_status WHERE account = 'shop' AND order_id = $id"), %p }) }
sub user_sets { my ($id, $name) = @_; return user($id, properties => { 'СостояниеЗаказа' => $ref{$name}, 'СостояниеЗаказа_Type' => 'StandardODATA.Catalog_СостоянияЗаказовПокупателей' }) }
my %version;
my %order;
sub deliver
{
	my ($id, %o) = @_;
	my $version = ++$version{$id};
	$order{$id} = { comment => 'зразок', ($order{$id} // {})->%*, %o };
	my $body = json_encode({ data => { id => $id, version => $version, orderTime => '2026-11-20 10:00:00', updateAt => sprintf('2026-11-20 10:%02d:%02d', $version / 60, $version % 60), paymentAmount => 120,
		contacts => [ { fName => 'Зразок', phone => '0671000001' } ], products => [ { sku => 'SKU-0001', amount => 1, price => 120 } ], $order{$id}->%* } });
	utf8::decode($body);
	$body =~ s/'/''/g;
	sql("SELECT salesdrive.accept_webhook('shop', '$body')");
	return run_engine();
}

my $n = 0;
for ('Прийнято', 'Збирається', 'Відправлено', 'Закрито', 'Чужий')
{
	$ref{$_} = sprintf '8c1f4a10-00f4-11ee-8000-0000000000%02x', 0xb0 + $n++;
	$name{ $ref{$_} } = $_;
}
$name{$nil} = 'none';
$bas->control(POST => '/load', { 'Catalog_СостоянияЗаказовПокупателей' => [ map { { Ref_Key => $ref{$_}, Description => $_ } } sort keys %ref ] });
sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters');
	UPDATE salesdrive.infobase SET retry_base = '1 ms', unsure_margin = '0', total_timeout = '2 s', circuit_after = 1000;
	SELECT salesdrive.map_value('shop', 'status', '1', 'Прийнято'), salesdrive.map_value('shop', 'status', '2', 'Збирається'), salesdrive.map_value('shop', 'status', '3', 'Збирається', 'to_bas'),
	       salesdrive.map_value('shop', 'status', '4', '$ref{'Відправлено'}')");

# ---- off: nothing is different

deliver(1, statusId => 1);
is(in_bas(1), '', 'without the option the status is left to BAS');
deliver(1, statusId => 2);
is(writes(1), 0, 'a change of status changes nothing');
is(sql("SELECT count(*) FROM salesdrive.order_sync WHERE crm_status IS NOT NULL"), 0, 'and nothing is kept');
is(sql("SELECT count(*) FROM salesdrive.dictionary_load WHERE dictionary = 'status'"), 0, 'the list of statuses is not read');

# ---- into the document

option('status_to_bas = true');
deliver(2, statusId => 1);
is(in_bas(2, 'СостояниеЗаказа', 'СостояниеЗаказа_Type'), 'Прийнято StandardODATA.Catalog_СостоянияЗаказовПокупателей', 'a new document carries its status, with its type');
is(pair(2), '1 Прийнято', 'both sides agree');
is(state_of(2), 'synced', 'and the order is done');
deliver(2, statusId => 2);
is(last_patch(2), '{"СостояниеЗаказа": "Збирається", "СостояниеЗаказа_Type": "StandardODATA.Catalog_СостоянияЗаказовПокупателей"}', 'a change of status changes it alone');
is(in_bas(2) . ' ' . pair(2), 'Збирається 2 Збирається', 'in BAS');
like(sql("SELECT text FROM salesdrive.order_event WHERE order_id = 2 AND event = 'changed' ORDER BY id DESC LIMIT 1"), qr/СостояниеЗаказа /, 'the history tells it');
is(sql("SELECT lineage -> 'СостояниеЗаказа' ->> 'rule' FROM salesdrive.bas_order WHERE order_id = 2"), 'status, where account.status_to_bas is on', 'with its rule');
deliver(2, statusId => 2, comment => 'інший');
is(last_patch(2), '{"Комментарий": "інший"}', 'another edit leaves the status alone');
my $before = writes(2);
deliver(2, statusId => 3);
is(writes(2) - $before . ' ' . pair(2), '0 3 Збирається', 'two statuses that are one in BAS: nothing to write');
deliver(1, comment => 'далі');
is(in_bas(1) . ' ' . writes(1), ' 1', 'a document from before keeps its status while that of the order is as it was when they began to travel');
deliver(1, statusId => 1);
is(in_bas(1) . ' ' . pair(1), 'Прийнято 1 Прийнято', 'and takes the next one');
deliver(1, statusId => 2);

# ---- what is not mapped

$before = writes(2);
deliver(2, statusId => 77);
is(writes(2) - $before . ' ' . state_of(2) . ' ' . in_bas(2), '0 synced Збирається', 'a status that is not mapped leaves that of the document');
sql("INSERT INTO salesdrive.dictionary_rule VALUES ('shop', 'status', 'park')");
deliver(2, statusId => 78);
is(state_of(2), 'parked value', 'or parks the order, if the rule says so');
like(error_of("SELECT salesdrive.map_value('shop', 'status', '78', 'Нема такого')"), qr/is not in the base "main"/, 'what the base does not have cannot be mapped to');
sql("INSERT INTO salesdrive.value_map (account, dictionary, crm_key, bas_key) VALUES ('shop', 'status', '78', 'Нема такого')");
run_engine();
is(state_of(2) . ' ' . status(2, 'blocked_on'), 'parked value_wrong value:shop:status/78', 'if it is all the same, the order is parked');
like(status(2, 'hint'), qr/map_value\('shop', 'status', '78', '…'\)/, 'with the call that mends it');
sql("SELECT salesdrive.map_value('shop', 'status', '78', 'Закрито')");
run_engine();
is(state_of(2) . ' ' . in_bas(2), 'synced Закрито', 'and goes on by itself');
sql("DELETE FROM salesdrive.dictionary_rule");

# ---- BAS decides nothing here: its user's status stays until SalesDrive changes its own

user_sets(2, 'Чужий');
$before = writes(2);
deliver(2, comment => 'ще один');
is(writes(2) - $before . ' ' . in_bas(2), '1 Чужий', 'a status set in BAS stays while that of the order does not change');
deliver(2, statusId => 2);
is(in_bas(2) . ' ' . state_of(2), 'Збирається synced', 'and goes with the next change, without a conflict');
sql("SELECT salesdrive.map_field('shop', 'order', 'СостояниеЗаказа', '$ref{'Чужий'}', source_kind => 'constant', edm_type => 'StandardODATA.Catalog_СостоянияЗаказовПокупателей')");
deliver(2, statusId => 4);
is(in_bas(2), 'Відправлено', 'the option wins over a mapped field');
deliver(3, statusId => 1);
is(in_bas(3), 'Прийнято', 'also in a new document');
sql("DELETE FROM salesdrive.field_map WHERE origin = 'user'");

# ---- posted documents and policies of edits

user(3, post => \1);
deliver(3, statusId => 2);
is(join(' ', in_bas(3), $bas->control(GET => '/objects?set=' . uri('Document_ЗаказПокупателя') . '&key=' . status(3, 'bas_ref'))->{Posted}, state_of(3)), 'Збирається 1 synced', 'a posted document takes the status, and is posted');
deliver(3, statusId => 4, comment => 'і це');
is(in_bas(3) . ' ' . state_of(3), 'Відправлено parked posted_in_bas', 'also when the rest of the change is parked');
is(in_bas(3, 'Комментарий'), 'зразок', 'which is not written');
sql("SELECT salesdrive.resend('shop', 3)");
run_engine();
is(in_bas(3, 'СостояниеЗаказа', 'Комментарий') . ' ' . state_of(3), 'Відправлено і це synced', 'until resend()');
option("edit_policy = 'ask'");
deliver(3, statusId => 1, comment => 'нове');
is(in_bas(3, 'СостояниеЗаказа', 'Комментарий') . ' ' . state_of(3), 'Прийнято і це parked ask', 'ask: asks for the rest');
option("edit_policy = 'never'");
run_engine();
is(state_of(3), 'not_wanted edit_policy', 'never: leaves the rest out');
deliver(3, statusId => 2);
is(in_bas(3, 'СостояниеЗаказа', 'Комментарий') . ' ' . state_of(3), 'Збирається і це not_wanted edit_policy', 'and writes the status');
option("edit_policy = 'free'");
run_engine();
is(in_bas(3, 'СостояниеЗаказа', 'Комментарий') . ' ' . state_of(3), 'Збирається нове synced', 'free: writes all');

# ---- an answer that is lost

$bas->control(POST => '/faults', { method => 'PATCH', action => 'reset_after', times => 1 });
deliver(2, statusId => 1);
ok(wait_for('the end', sub { run_engine(); state_of(2) eq 'synced' }), 'a status whose answer is lost is read back');
is(in_bas(2) . ' ' . pair(2), 'Прийнято 1 Прийнято', 'and known');
$bas->control(POST => '/faults', { method => 'PATCH', action => 'reset_before', times => 1 });
deliver(2, statusId => 2);
ok(wait_for('the end', sub { run_engine(); state_of(2) eq 'synced' }), 'one that did not arrive is written again');
is(in_bas(2) . ' ' . pair(2), 'Збирається 2 Збирається', 'once it is known');

# ---- check()

sub found { return sql("SELECT string_agg(problem, '|') FROM salesdrive.check('shop') WHERE subject ~ 'status'") }
is(found(), '', 'check() has nothing to say');
sql("UPDATE salesdrive.value_map SET direction = 'to_crm' WHERE dictionary = 'status'");
is(found(), 'Statuses are to travel into BAS, and none is mapped.', 'but that nothing is mapped');
sql("UPDATE salesdrive.infobase SET profile = 'accounting2'");
like(found(), qr/^Profile "accounting2" has no status of the document|\|Profile/, 'or that the configuration has no status');
sql("UPDATE salesdrive.infobase SET profile = 'unf'; UPDATE salesdrive.value_map SET direction = 'both' WHERE dictionary = 'status' AND crm_key <> '3'");

is_deeply($bas->control(GET => '/state')->{violations}, [], 'the base reports no violation');

done_testing();
