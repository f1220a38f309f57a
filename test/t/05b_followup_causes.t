# What asks for documents that follow orders on the side of BAS: statuses of documents, and states that registers tell, reached since the rule was set. And what
# a database that was adopted may have made before.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX qw(strftime);
use Test::More;
use SalesDrive::Test;
use SalesDrive::Followups;

start_followups('followup_causes');
sub user_status { my ($id, $status) = @_; user($id, 'order', properties => { 'СостояниеЗаказа' => $status, 'СостояниеЗаказа_Type' => 'StandardODATA.Catalog_СостоянияЗаказовПокупателей' }); return }
sub pull { my ($base) = @_; sql("SELECT salesdrive.pull_statuses('" . ($base // 'main') . "')"); return run_engine() }
sub long_ago { my (@ids) = @_; return sql("UPDATE salesdrive.bas_order SET read_at = read_at - interval '20 days' WHERE order_id IN (" . join(', ', @ids) . "); UPDATE salesdrive.bas_state SET read_at = read_at - interval '20 days'; UPDATE salesdrive.crm_order SET received_at = received_at - interval '20 days' WHERE order_id IN (" . join(', ', @ids) . "); UPDATE salesdrive.status_poll SET done_at = done_at - interval '20 days'") }
my ($open, $work) = map { "8c1f4a10-00f4-11ee-8000-00000000000$_" } 1, 2;

# ---- a status that was there when the rule was set

deliver(1);
deliver(2);
user_status(1, $work);
long_ago(1, 2);
rule('bas', $work, 'sale');
run_engine();
is(state_of(1, 'sale') . sql("SELECT count(*) FROM salesdrive.followup"), '0', 'set in BAS while nobody looked, before the rule: it asks for nothing');
is(sql("SELECT salesdrive.held_status(read_body, 'СостояниеЗаказа') FROM salesdrive.bas_order WHERE order_id = 1"), $work, 'though it is known by now: a rule has the base read');
deliver(1, comment => 'ще');
pull();
is(state_of(1, 'sale'), '', 'nor does it later');
user_status(1, $open);
pull();
user_status(1, $work);
pull();
is(state_of(1, 'sale') . ' ' . made(1), 'done 1', 'reached anew it does');
user_status(2, $work);
deliver(2, comment => 'ще');
is(state_of(2, 'sale') . ' ' . made(2), 'done 1', 'reached after the rule, and seen by an edit: it does');

# ---- a rule that names a status, where the list of them was never read

no_rules();
is(sql("SELECT count(*) FROM salesdrive.dictionary_load WHERE dictionary = 'status'"), 0, 'the list of statuses is not known');
sql("CREATE ROLE ope; SELECT salesdrive.grant_access('ope', 'operator')");
is(error_of("SET ROLE ope; INSERT INTO salesdrive.followup_rule (side, status, action) VALUES ('bas', 'В роботі', 'sale')"), '', 'an operator sets a rule');
deliver(3);
user_status(3, $work);
pull();
is(state_of(3, 'sale') . ' ' . made(3), 'done 1', 'it has the list read, and counts');

# ---- an order that is posted by people, later

no_rules();
rule('salesdrive', 3, 'sale', posting => 1);
deliver($_, statusId => 3) for 4, 5;
is(join(', ', map { state_of($_, 'sale') } 4, 5), 'parked order_not_posted, parked order_not_posted', 'sales to be posted wait for their orders');
user(4, 'order', properties => { 'Комментарий' => 'перевірено' }, post => $yes);
pull();
is(state_of(4, 'sale') . ' ' . in_bas(4, 'sale'), 'done posted not marked', 'posted by people, and seen: it goes on');
sql("UPDATE salesdrive.account SET posting = true WHERE name = 'shop'");
run_engine();
deliver(5, comment => 'ще');
is(state_of(5, 'sale') . ' ' . in_bas(5, 'sale'), 'done posted not marked', 'posted from here: it goes on, too');
sql("UPDATE salesdrive.account SET posting = false WHERE name = 'shop'");

# ---- a sale that somebody gave up

no_rules();
rule('salesdrive', 3, 'sale');
rule('salesdrive', 7, 'return');
deliver(6, statusId => 3);
user(6, 'sale', properties => { DeletionMark => $yes });
sql("SELECT salesdrive.make_followup('shop', 6, 'sale')");
run_engine();
is(state_of(6, 'sale'), 'parked deleted_in_bas', 'a sale marked for deletion, asked for again: parked');
sql('DELETE FROM salesdrive.task WHERE id = ' . follow(6, 'sale', 'task_id'));
deliver(6, statusId => 7);
is(state_of(6, 'return'), 'dropped no_sale', 'its task deleted, as the hint says: a return waits for it no more');
user(6, 'sale', properties => { DeletionMark => $no });
sql("SELECT salesdrive.make_followup('shop', 6, 'sale')");
run_engine();
is(state_of(6, 'sale') . ' ' . made(6), 'done 1', 'and it can be asked for again');

# ---- a database that was adopted, at a base that makes its own keys

no_rules();
my $main = $bas;
$bas = start_peer('bas', '--config', '{"keeps_ref_key": false}');
connect_base('own', 'unf', $bas, 'own');
rule('salesdrive', 3, 'sale', account => 'own');
$account{$_} = 'own' for 40, 41;
deliver(40, statusId => 3);
is(state_of(40, 'sale') . ' ' . made(40), 'done 1', 'a sale is made');
sql('DELETE FROM salesdrive.followup; SELECT salesdrive.adopt()');    # as a dump from before it is
deliver(40, statusId => 1);
deliver(40, statusId => 3);
is(state_of(40, 'sale') . ' ' . made(40), 'done 1', 'asked for anew in a database that knows nothing of it, it is found by its marker');
like(requests(40), qr/create sale.*read sale\z/, 'before anything is written');
deliver(41, statusId => 3);
is(state_of(41, 'sale') . ' ' . made(41), 'done 1', 'one that is not there is made');
$bas = $main;

# ---- Альфа-Авто: a journal of states, with the time of each

no_rules();
my $alfa = start_peer('bas', '--configuration', 'alfa_auto6');
connect_base('alfa', 'alfa_auto6', $alfa, 'alfa');
sql("UPDATE salesdrive.account SET warehouse = 'Основний склад' WHERE name = 'alfa'");
my ($picked, $shipped) = map { "8c1f4a10-00f4-11ee-8000-0000000000b$_" } 0, 1;
$alfa->control(POST => '/load', { 'Catalog_ВидыСостоянийЗаказНарядов' => [ map { { Ref_Key => $_->[0], Description => $_->[1], 'ИспользоватьВЗаказеПокупателя' => \1 } } [ $picked, 'Зібрано' ], [ $shipped, 'Відправлено' ] ] });
sub journal
{
	my ($id, $state, $ago) = @_;
	my $at = sql("SELECT to_char((salesdrive.clock() - interval '$ago s') AT TIME ZONE 'Europe/Kyiv', 'YYYY-MM-DD\"T\"HH24:MI:SS')");
	return $alfa->control(POST => '/load', { 'InformationRegister_ЖурналСостояний' => [ { Period => $at, 'Объект' => key($id, 'order'), 'Объект_Type' => 'StandardODATA.Document_ЗаказПокупателя', 'Состояние' => $state, 'Состояние_Type' => 'StandardODATA.Catalog_ВидыСостоянийЗаказНарядов' } ] });
}
$account{$_} = 'alfa' for 50 .. 54;
deliver($_) for 50 .. 53;
long_ago(50 .. 53);
journal(50, $picked, 7200);
rule('bas', 'Зібрано', 'sale', account => 'alfa');
rule('bas', 'Відправлено', 'close', account => 'alfa');
run_engine();
is(state_of(50, 'sale') . sql("SELECT count(*) FROM salesdrive.bas_state"), '1', 'a state that the journal tells of before the rule asks for nothing');
journal(51, $picked, -1);
pull('alfa');
is(state_of(51, 'sale') . ' ' . follow(51, 'sale', "concat_ws(' ', side, status_name)"), 'done bas Зібрано', 'one of an order from before the rule, reached after it, does');
journal(52, $picked, -2);
journal(52, $shipped, -3);
pull('alfa');
is(state_of(52, 'sale') . ' ' . state_of(52, 'close'), 'done parked close_unknown', 'of several that came between two readings each does');
pull('alfa');
deliver(54);
journal(54, $picked, -4);
pull('alfa');
pull('alfa');
is(state_of(54, 'sale') . ' ' . scalar(my @sales = $alfa->control(GET => '/objects?set=' . uri('Document_РеализацияТоваров'))->{value}->@*), 'done 3', 'and of a new order; each once');

# ---- УТ: a register that BAS works out, without a time

no_rules();
my $trade = start_peer('bas', '--configuration', 'trade32');
connect_base('trade', 'trade32', $trade, 'trade');
sql("UPDATE salesdrive.account SET warehouse = 'Основний склад', status_source = 'state' WHERE name = 'trade'");
sub works_out { my ($id, $state) = @_; return $trade->control(POST => '/load', { 'InformationRegister_СостоянияЗаказовКлиентов' => [ { 'Заказ' => key($id, 'order'), 'Заказ_Type' => 'StandardODATA.Document_ЗаказКлиента', 'Состояние' => $state, 'Состояние_Type' => 'StandardODATA.Enum_СостоянияЗаказовКлиентов' } ] }) }
$account{$_} = 'trade' for 60 .. 63;
deliver($_) for 60 .. 62;
works_out(60, 'ГотовКОтгрузке');
works_out(61, 'ОжидаетсяСогласование');
long_ago(60 .. 62);
rule('bas', 'ГотовКОтгрузке', 'sale', account => 'trade');
run_engine();
is(state_of(60, 'sale') . sql("SELECT string_agg(state, ' ' ORDER BY state) FROM salesdrive.bas_state WHERE infobase = 'trade'"), 'ГотовКОтгрузке ОжидаетсяСогласование', 'what the register tells when the rule is set asks for nothing');
works_out($_, 'ГотовКОтгрузке') for 61, 62;
deliver(63);
works_out(63, 'ГотовКОтгрузке');
pull('trade');
is(join(', ', map { state_of($_, 'sale') } 60 .. 63), ', done, done, done', 'what it tells later does, of orders from before, and of new ones');
works_out(61, 'ГотовКЗакрытию');
pull('trade');
works_out(61, 'ГотовКОтгрузке');
pull('trade');
is(scalar(my @shipments = $trade->control(GET => '/objects?set=' . uri('Document_РеализацияТоваровУслуг'))->{value}->@*), 3, 'each once');

is($_, '', 'no violation') for map { json_encode($_) } map { $_->control(GET => '/state')->{violations}->@* } $main, $alfa, $trade;
done_testing();
