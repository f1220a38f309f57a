# States of documents that a register of the base tells: the journal of Альфа-Авто, by its time, and the register of УТ, ERP and КУП, by the keys of documents.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX qw(strftime);
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine error_of);

my $node = new_node('states', preload => 0);
my $crm = start_peer('salesdrive');
my $DAY = strftime('%Y-%m-%d', gmtime time - 10 * 86400);    # states of the orders of a month are read
my %bas = (alfa_auto6 => start_peer('bas', '--configuration', 'alfa_auto6'), trade32 => start_peer('bas', '--configuration', 'trade32'));

sub pull { my ($infobase) = @_; my $task = sql("SELECT salesdrive.pull_statuses('$infobase')"); run_engine(); return sql("SELECT count(*) FROM salesdrive.task WHERE id = $task") }
sub wanted { my ($account) = @_; return sql("SELECT coalesce(string_agg(order_id || ' ' || wanted, ', ' ORDER BY order_id), 'nothing') FROM salesdrive.crm_change WHERE account = '$account' AND field = 'statusId'") }
sub ref_of { my ($account, $id) = @_; return sql("SELECT bas_ref FROM salesdrive.order_status WHERE account = '$account' AND order_id = $id") }
sub reads { my ($infobase, $set) = @_; return sql("SELECT count(*) FROM salesdrive.exchange_log WHERE infobase = '$infobase' AND purpose = 'read statuses' AND position('$set' IN url) > 0") }
sub coded { my ($text) = @_; utf8::encode($text); return $text =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ger }
sub findings { my ($account) = @_; return sql("SELECT coalesce(string_agg(subject || ': ' || problem, E'\\n' ORDER BY subject, problem), '') FROM salesdrive.check('$account') WHERE subject ~ 'statuses|Register'") }
sub deliver
{
	my ($account, @ids) = @_;
	for (@ids)
	{
		my ($id, $version, $status) = ref ? @$_ : ($_, 1, 1);
		my $body = json_encode({ data => { id => $id, version => $version, statusId => $status, orderTime => "$DAY 10:00:00", updateAt => "$DAY 10:00:00", paymentAmount => 120,
			contacts => [ { fName => 'Зразок', phone => '0671000001' } ], products => [ { sku => 'SKU-0001', amount => 1, price => 120 } ] } });
		utf8::decode($body);
		sql("SELECT salesdrive.accept_webhook('$account', '$body')");
	}
	return run_engine();
}

for my $profile (sort keys %bas)
{
	sql("SELECT salesdrive.add_infobase('$profile', '$profile', '" . $bas{$profile}->url('/base') . "', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => '$profile', url => '" . $crm->url . "', identity => '$profile', api_key => 'demo-key', infobase => '$profile', webhook_token => 'a-token-of-24-characters');
		UPDATE salesdrive.account SET status_from_bas = true WHERE name = '$profile'");
}

# ---- Альфа-Авто: a journal of states, with the time of each

my ($picked, $sent) = map { "8c1f4a10-00f4-11ee-8000-0000000000b$_" } 0, 1;
my $journal = 'InformationRegister_ЖурналСостояний';
my $alfa = $bas{alfa_auto6};
sub state_at { my ($key, $time, $state, $type) = @_; return $alfa->control(POST => '/load', { $journal => [ { Period => $time, 'Объект' => $key, 'Объект_Type' => 'StandardODATA.' . ($type // 'Document_ЗаказПокупателя'), 'Состояние' => $state, 'Состояние_Type' => 'StandardODATA.Catalog_ВидыСостоянийЗаказНарядов' } ] }) }
$alfa->control(POST => '/load', { 'Catalog_ВидыСостоянийЗаказНарядов' => [ map { { Ref_Key => $_->[0], Description => $_->[1], 'ИспользоватьВЗаказеПокупателя' => \1 } } [ $picked, 'Зібрано' ], [ $sent, 'Відправлено' ] ] });
sql("SELECT salesdrive.load_dictionaries('alfa_auto6')");
deliver('alfa_auto6', 1, 2, 3);
sql("SELECT salesdrive.map_value('alfa_auto6', 'status', '2', 'Зібрано', 'to_crm'), salesdrive.map_value('alfa_auto6', 'status', '3', 'Відправлено', 'to_crm')");
my @key = map { $_ ? ref_of('alfa_auto6', $_) : undef } 0 .. 3;
my $now = sql("SELECT to_char(salesdrive.clock() AT TIME ZONE 'Europe/Kyiv', 'YYYY-MM-DD\"T\"HH24:MI')");
state_at($key[1], "$now:01", $picked);
state_at($key[1], "$now:05", $sent);
state_at($key[2], "$now:03", $picked);
state_at('8c1f4a10-0000-11ee-8000-0000000000ff', "$now:04", $picked);
state_at($key[3], "$now:04", $picked, 'Catalog_Контрагенты');
is(pull('alfa_auto6'), 0, 'the task that is returned ends when the journal is read, after the documents');
is(wanted('alfa_auto6'), '1 3, 2 2', 'of several states of a document the latest goes to SalesDrive; what is no document of an order is left');
is(sql("SELECT count(*) FROM salesdrive.bas_state WHERE infobase = 'alfa_auto6'"), 3, 'the states of all documents are kept');
is(sql("SELECT string_agg(name || ' ' || orders || ' ' || crm_key, ', ' ORDER BY name) FROM salesdrive.seen_bas_status WHERE account = 'alfa_auto6'"), 'Відправлено 1 3, Зібрано 1 2', 'and shown with what they are in SalesDrive');
my $before = reads('alfa_auto6', coded($journal));
is($before, 1, 'by one request');
pull('alfa_auto6');
is(reads('alfa_auto6', coded($journal)) - $before . ' ' . wanted('alfa_auto6'), '1 1 3, 2 2', 'nothing new: nothing more is wanted');
state_at($key[2], "$now:06", $sent);
state_at($key[2], "$now:02", $picked);
pull('alfa_auto6');
is(wanted('alfa_auto6'), '1 3, 2 3', 'a later state goes, one written in afterwards with an earlier time does not');
state_at($key[3], "$now:07", $picked);
sql("UPDATE salesdrive.status_poll SET page_size = 1 WHERE what = 'states'");
for my $n (10 .. 14) { state_at($key[3], "$now:$n", $n % 2 ? $sent : $picked) }
for my $n (1 .. 6) { state_at("8c1f4a10-0000-11ee-8000-00000000010$n", "$now:20", $picked) }
pull('alfa_auto6');
is(wanted('alfa_auto6') =~ s/.*3 (\d+)\z/$1/r, 2, 'page by page, also when many changed in one second');
is(findings('alfa_auto6'), '', 'check() has nothing to say');
sql("UPDATE salesdrive.account SET status_to_bas = true WHERE name = 'alfa_auto6'");
like(findings('alfa_auto6'), qr/stands in $journal, which is read and not written/, 'but that no status goes into the journal, where that is asked for');

# ---- УТ: the document has a status of its own, and a register has what the base works out of it

my $register = 'InformationRegister_СостоянияЗаказовКлиентов';
my $trade = $bas{trade32};
sub works_out { my ($key, $state) = @_; return $trade->control(POST => '/load', { $register => [ { 'Заказ' => $key, 'Заказ_Type' => 'StandardODATA.Document_ЗаказКлиента', 'Состояние' => $state, 'Состояние_Type' => 'StandardODATA.Enum_СостоянияЗаказовКлиентов' } ] }) }
deliver('trade32', 1 .. 30);
is(sql("SELECT string_agg(DISTINCT state, ' ') FROM salesdrive.order_status WHERE account = 'trade32'"), 'synced', 'documents are in УТ');
sql("SELECT salesdrive.map_value('trade32', 'status', '2', 'ГотовКОтгрузке', 'to_crm'), salesdrive.map_value('trade32', 'status', '3', 'Закрыт', 'to_crm')");
works_out(ref_of('trade32', $_), 'ОжидаетсяСогласование') for 1, 30;
works_out(ref_of('trade32', 2), 'ГотовКОтгрузке');
pull('trade32');
is(reads('trade32', coded($register)) . ' ' . wanted('trade32'), '0 nothing', 'as delivered the status of the document counts, and the register is not read');
like(error_of("UPDATE salesdrive.account SET status_source = 'state', status_to_bas = true WHERE name = 'trade32'"), qr/ERROR:  account "trade32" .*HINT:  .*status_to_bas = false/s, 'what the base works out cannot be written, and the error says what to do');
sql("UPDATE salesdrive.account SET status_source = 'state' WHERE name = 'trade32'");
pull('trade32');
is(wanted('trade32'), 'nothing', 'where the account says so, states are read, and those there are are no change');
works_out(ref_of('trade32', $_), 'ГотовКОтгрузке') for 1, 30;
$before = reads('trade32', coded($register));
pull('trade32');
is(wanted('trade32'), '1 2, 30 2', 'a state that the base works out from then on goes to SalesDrive');
my $requests = reads('trade32', coded($register)) - $before;
cmp_ok($requests, '<=', 5, "by the keys of the documents, many a request ($requests for 30)");
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE infobase = 'trade32' AND purpose = 'read statuses' AND length(url) > 2100"), 0, 'within the longest address');
my $version = sql("SELECT data_version FROM salesdrive.bas_order WHERE account = 'trade32' AND order_id = 1");
works_out(ref_of('trade32', 1), 'Закрыт');
pull('trade32');
is(wanted('trade32') . ' ' . ($version eq sql("SELECT data_version FROM salesdrive.bas_order WHERE account = 'trade32' AND order_id = 1") ? 'same document' : 'changed'), '1 3, 30 2 same document', 'a state changes without the document');

# cancelled by a rule that sets the status of the document: the state of the register is another thing
sub document { my ($id) = @_; return $trade->control(GET => '/objects?set=' . coded('Document_ЗаказКлиента') . '&key=' . ref_of('trade32', $id))->{'Статус'} }
sub pair { my ($id) = @_; return sql("SELECT concat_ws(' ', crm_status, bas_status) FROM salesdrive.order_sync WHERE account = 'trade32' AND order_id = $id") }
my %version;
sub moves { my ($id, $status) = @_; return deliver('trade32', [ $id, 1 + ++$version{$id}, $status ]) }
sub synced_at { my ($id) = @_; return sql("SELECT synced_at FROM salesdrive.order_sync WHERE account = 'trade32' AND order_id = $id") }
sql("UPDATE salesdrive.account SET status_conflict = 'bas' WHERE name = 'trade32';
	INSERT INTO salesdrive.cancel_rule (account, status, action) VALUES ('trade32', '6', 'set_status');
	INSERT INTO salesdrive.value_map (account, dictionary, crm_key, bas_key, direction) VALUES ('trade32', 'status', '6', 'Закрыт', 'to_bas'), ('trade32', 'status', '1', 'НеСогласован', 'both')");
my $was = document(2);
my $pair = pair(2);
moves(2, 6);
is(document(2) . ' | ' . pair(2), "Закрыт | $pair", 'set_status beside states: the document takes the status, and what is known of the state stays');
my $rest = synced_at(2);
for (1, 2) { pull('trade32') }
is(wanted('trade32') . ' ' . (synced_at(2) eq $rest ? 'at rest' : 'looked at'), '1 3, 30 2 at rest', 'no status of BAS comes back for it, also where BAS wins, and nothing is planned');
moves(2, 3);
for (1, 2) { pull('trade32') }
is(document(2) . ' | ' . wanted('trade32'), "$was | 1 3, 30 2", 'living again the document has its former status, and the register, which says what it said, changes nothing');
works_out(ref_of('trade32', 2), 'Закрыт');
moves(2, 2);
pull('trade32');
is(wanted('trade32'), '1 3, 2 3, 30 2', 'until it does');
$rest = synced_at(3);
works_out(ref_of('trade32', 3), 'ОжидаетсяСогласование');
pull('trade32');
works_out(ref_of('trade32', 3), 'ГотовКОбеспечению');
for (1, 2) { pull('trade32') }
is(wanted('trade32') . ' ' . (synced_at(3) eq $rest ? 'at rest' : 'looked at'), '1 3, 2 3, 30 2 at rest', 'a state that nobody has mapped costs no plan');
sql("INSERT INTO salesdrive.value_map (account, dictionary, crm_key, bas_key, direction) VALUES ('trade32', 'status', '4', 'ГотовКОбеспечению', 'to_crm')");
run_engine();
is(wanted('trade32'), '1 3, 2 3, 3 4, 30 2', 'and goes once it is mapped');
sql("DELETE FROM salesdrive.cancel_rule WHERE origin = 'user'; DELETE FROM salesdrive.value_map WHERE account = 'trade32' AND crm_key IN ('1', '6')");
is(findings('trade32'), '', 'check() has nothing to say');
$trade->control(POST => '/config', { unpublished => [ $register ] });
sql("SELECT salesdrive.load_metadata('trade32')");
run_engine();
like(findings('trade32'), qr/$register: It tells the states of documents/, 'but where the register is not published');

# ---- an order without a time of its own is as old as its delivery, whatever zone the session has

is(sql("BEGIN; SET LOCAL TimeZone = 'America/Adak'; UPDATE salesdrive.crm_order SET order_time = NULL, received_at = salesdrive.clock() - interval '30 days' + interval '1 h' WHERE account = 'trade32';
	SELECT 'recent ' || bool_and(c.recent) FROM salesdrive.status_chunk(jsonb_populate_record(NULL::salesdrive.status_poll, '{\"infobase\": \"trade32\", \"account\": \"trade32\", \"before\": 999999, \"days\": 30}'), 30) c; ROLLBACK") =~ s/\s+\z//r, 'recent true', 'its states are read as long');

done_testing();
