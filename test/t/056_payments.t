# Payments from SalesDrive to BAS: read by the account key within their own quota, each one document tied to the document of its order, once whatever is
# lost on the way; partial, over- and repayment to the kopeck; what changes later is told and never rewritten; receipts.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine error_of uri);
use SalesDrive::Payments;

my %KEY = (org => '8c1f4a10-00aa-11ee-8000-000000000001', bank => '8c1f4a10-00f5-11ee-8000-000000000001', second => '8c1f4a10-00f5-11ee-8000-000000000002', desk => '8c1f4a10-00f6-11ee-8000-000000000001');
my $OTHER = 'UA403052990000026009030110403';
$ORDER{organizationId} = 1;

sub all_documents { return map { documents($_) } sort keys %DOCUMENT }
sub status { my ($id, $columns) = @_; return sql("SELECT concat_ws(' ', $columns) FROM salesdrive.payment_status WHERE account = 'shop' AND way = 'to_bas' AND payment_id = $id") }
sub sums { my ($id) = @_; return sql("SELECT concat_ws(' ', due, paid_in_salesdrive, paid_in_bas, unposted_in_bas, difference, rest) FROM salesdrive.order_payments WHERE account = 'shop' AND order_id = $id") }
sub rows { my ($d) = @_; return join '; ', map { join ' ', map { defined $_ && $_ ne '' ? $_ : '-' } @$_{ 'Заказ', 'СуммаПлатежа', 'СуммаРасчетов' } } @{ $d->{'РасшифровкаПлатежа'} } }

start_payments('payments', '2026-12-01 10:00+02');
deliver($_, 500) for 1 .. 4;
is(sql("SELECT string_agg(state, ' ') FROM salesdrive.order_status"), 'synced synced synced synced', 'orders are in BAS');

# ---- the account key

$crm->control(POST => '/payments', { payments => [ payment(101, '500.00', { 1 => '500.00' }) ] });
fetch();
is(sql("SELECT method || ': ' || words FROM salesdrive.api_refusal"), 'payment/list: SalesDrive refuses it: 200, the key of the API is refused: api key is invalid', 'without the account key payments are refused');
is(sql("SELECT state FROM salesdrive.fetch_status WHERE feed = 'payments'"), 'account_key', 'and wait');
is(sql("SELECT paused_at IS NULL FROM salesdrive.account_api"), 't', 'while the rest of the API goes on');
like(sql("SELECT concat_ws(' | ', severity, subject, problem, hint) FROM salesdrive.check('shop') WHERE subject LIKE 'method%'"), qr/^error \| method payment\/list \| SalesDrive refuses it.*account_key.*unpause_api\('shop'\)/, 'check() tells');
like(sql("SELECT concat_ws(' ', kind, subject, count, text, hint) FROM salesdrive.incident_open"), qr/^method_refused shop 1 The account key of "shop" is not taken for payment\/list: .*unpause_api\('shop'\)/, 'and so does an incident');
like(error_of("SELECT salesdrive.set_secret('account:shop:money', 'x')"), qr/account:NAME:account_key/, 'the name of the secret');
sql("SELECT salesdrive.set_secret('account:shop:account_key', 'money-key'), salesdrive.unpause_api('shop')");
later(70);
run_engine();
is(sql("SELECT count(*) FROM salesdrive.api_refusal") . sql("SELECT state FROM salesdrive.fetch_status WHERE feed = 'payments'"), '0idle', 'with it they are read');
is(sql("SELECT count(*) FROM salesdrive.incident_open"), 0, 'and the incident is over');
is(sql("SELECT count(*) FROM salesdrive.check('shop') WHERE subject LIKE 'method%'"), 0, 'and check() is quiet');

# ---- off: listed and nothing else

is(status(101, 'state, orders, sum'), 'listed 1 500.00', 'off: the payment is listed');
is(scalar(all_documents()), 0, 'and no document made');
is(sql("SELECT concat_ws(' ', sum, type, direction, account_number, organization_id) FROM salesdrive.crm_payment"), "500.00 incoming in $MAIN 1", 'a sum as text is exact');
is(sums(1), '500 500.00 0 0 500.00 0.00', 'order_payments: due, paid in SalesDrive, in BAS, difference');
is(sql("SELECT payments_since IS NULL FROM salesdrive.account"), 't', 'no day is set');

# ---- on: no rule, then a rule

sql("UPDATE salesdrive.account SET payments_to_bas = true");
is(sql("SELECT payments_since FROM salesdrive.account"), '2026-12-01', 'switched on: from today');
run_engine();
is(status(101, 'state, reason'), 'parked payment_rule', 'money that no rule knows is parked');
like(status(101, 'hint'), qr/INSERT INTO salesdrive\.payment_rule .*'shop', '$MAIN'/, 'with the row that is missing');
like(sql("SELECT string_agg(problem, '|') FROM salesdrive.check('shop') WHERE subject = 'payments'"), qr/No row of payment_rule/, 'check() tells as well');
sql("INSERT INTO salesdrive.payment_rule (account, account_number, form, bas_key) VALUES ('shop', '$MAIN', 'bank', 'Немає такого')");
run_engine();
is(status(101, 'state, reason'), 'parked payment_place', 'a bank account that BAS does not have');
like(status(101, 'detail'), qr/payment_rule gives bank_account "Немає такого", which is not in the base "main" \(there: .*Основний рахунок/, 'with those it has');
sql("UPDATE salesdrive.payment_rule SET bas_key = 'Основний рахунок'");
run_engine();
is(status(101, 'state'), 'made', 'with the row the payment goes on by itself') or diag status(101, 'reason, detail, hint');
my ($d) = documents('bank');
is(join(' ', @$d{ 'Организация_Key', 'БанковскийСчет_Key', 'СуммаДокумента', 'ВидОперации', 'Date' }), "$KEY{org} $KEY{bank} 500 ОтПокупателя 2026-12-01T11:00:00", 'the document: organisation, bank account, sum, operation, date');
my $order = $bas->control(GET => '/objects?set=' . uri('Document_ЗаказПокупателя') . '&key=' . order_ref(1));
is(join(' ', @$d{ 'Контрагент_Key', 'ВалютаДенежныхСредств_Key' }), join(' ', @$order{ 'Контрагент_Key', 'ВалютаДокумента_Key' }), 'counterparty and currency are those of the order');
is(rows($d), order_ref(1) . ' 500 500', 'one row: the order and its share');
is($d->{'РасшифровкаПлатежа'}[0]{'Заказ_Type'}, 'StandardODATA.Document_ЗаказПокупателя', 'the reference carries its type');
is($d->{Ref_Key}, sql("SELECT salesdrive.payment_ref_key('shop', 101)"), 'under the key of the payment');
is($d->{'Комментарий'}, 'shop/p101', 'with the marker in its comment');
ok(!$d->{Posted}, 'not posted');
is(sums(1), '500 500.00 0 500.00 0.00 0.00', 'the order is paid');
like(sql("SELECT string_agg(text, '|' ORDER BY id) FROM salesdrive.order_event WHERE order_id = 1 AND event = 'payment'"), qr/^Payment 101 of SalesDrive: received 500 on 2026-12-01 11:00, account UA46\d+\.\|Document НФНФ-\S+ of payment 101 created\.$/, 'the history of the order tells it');
fetch();
is(scalar(all_documents()), 1, 'listed again: nothing more');

# ---- partial, over-, repayment; cash; several orders

sql("UPDATE salesdrive.account SET payment_posting = true;
	INSERT INTO salesdrive.payment_rule (account, account_number, form, bas_key) VALUES ('shop', '$OTHER', 'bank', '$KEY{second}'), ('shop', 'none', 'cash', 'Головна каса')");
paid(payment(102, '166.67', { 2 => '166.67' }), payment(103, 166.67, { 2 => 166.67 }, number => $OTHER), payment(104, '166.66', { 2 => '166.66' }, number => undef));
is(sums(2), '500 500.00 500.00 0 0.00 0.00', 'partial payments add up to the kopeck');
is(join(' ', map { "$_->{'СуммаДокумента'} $_->{'БанковскийСчет_Key'} " . ($_->{Posted} ? 'posted' : 'not') } grep { $_->{'СуммаДокумента'} == 166.67 } documents('bank')), "166.67 $KEY{bank} posted 166.67 $KEY{second} posted", 'each at its bank account, posted');
($d) = documents('cash');
is(join(' ', @$d{ 'Касса_Key', 'СуммаДокумента', 'ВидОперации' }) . ' ' . rows($d), "$KEY{desk} 166.66 ОтПокупателя " . order_ref(2) . ' 166.66 166.66', 'a payment without an account goes to the cash desk');
paid(payment(105, '700.50', { 3 => '500.00' }));
($d) = grep { $_->{'СуммаДокумента'} == 700.5 } documents('bank');
is(rows($d), order_ref(3) . ' 500 500; - 200.5 200.5', 'an overpayment: what is left over is a row without an order');
paid(payment(106, '600.00', { 4 => '600.00' }), payment(107, '99.99', { 4 => '99.99' }, type => 'outcoming'), payment(108, '-0.01', { 4 => '-0.01' }));
is(sums(4), '500 500.00 500.00 0 0.00 0.00', 'repayments, by type and by sign, are taken off');
is(join(' ', map { $_->{'ВидОперации'} . ' ' . rows($_) } sort { $b->{'СуммаДокумента'} <=> $a->{'СуммаДокумента'} } documents('refund_bank')), 'Покупателю ' . order_ref(4) . ' 99.99 99.99 Покупателю ' . order_ref(4) . ' 0.01 0.01', 'as documents that go out');
deliver(5, 300);
deliver(6, 200);
paid(payment(109, '500.00', { 5 => '300.00', 6 => '200.00' }));
($d) = grep { @{ $_->{'РасшифровкаПлатежа'} } == 2 && $_->{'СуммаДокумента'} == 500 } documents('bank');
is(rows($d), order_ref(5) . ' 300 300; ' . order_ref(6) . ' 200 200', 'one payment of two orders is one document');

# ---- what does not fit

paid(payment(110, 'п’ять', { 1 => 1 }), payment(111, '10.001', { 1 => '10.001' }), payment(112, '10', { 1 => '20' }), payment(113, '10', { 1 => '10' }, type => 'internal'));
is(join(', ', map { status($_, 'state, reason') } 110 .. 113), 'parked payment_type, parked payment_sum, parked payment_sum, parked payment_type', 'no sum, parts of a kopeck, shares above the sum, a type that is not known');
like(error_of("SELECT salesdrive.skip_payment('shop', 999, 'x')"), qr/SD015|payment 999 of account "shop" has not been received.*fetch_payments/s, 'a payment nobody has heard of');
sql("SELECT salesdrive.skip_payment('shop', $_, 'wrong')") for 110 .. 113;
run_engine();
is(join(', ', map { status($_, 'state') } 110 .. 113), 'skipped, skipped, skipped, skipped', 'skip_payment() ends them');
deliver(7, 100, phone => '0501000002');
paid(payment(114, '20', { 1 => '10', 7 => '10' }));
is(status(114, 'state, reason'), 'parked payment_orders', 'orders of different customers do not fit one document');
sql("SELECT salesdrive.skip_payment('shop', 114, 'by hand')");

# ---- attached to nothing, attached later; an order that is not there yet

my $made = all_documents();
paid(payment(120, '55.00', {}, paymentBreakdown => JSON::PP::null()), payment(121, '44.00', { 21 => '44.00' }));
is(status(120, 'state') . ' ' . status(121, 'state, reason'), 'unattached waiting payment_order', 'attached to nothing: listed; to an order not received: waits');
paid(payment(120, '55.00', { 21 => '55.00' }));
is(status(120, 'state'), 'waiting', 'attached later: goes on');
deliver(21, 99, sku => 'NO-SUCH');
is(join(' ', map { status($_, 'state') } 120, 121) . ' ' . sql("SELECT state FROM salesdrive.order_status WHERE order_id = 21"), 'waiting waiting parked', 'while the order is parked the payments wait');
like(status(121, 'detail'), qr/Order 21, which payment 121 pays, has no document in BAS yet/, 'and say so');
$bas->control(POST => '/load', { 'Catalog_Номенклатура' => [ { Ref_Key => '8c1f4a10-0001-11ee-8000-00000000aaaa', 'Артикул' => 'NO-SUCH', Description => 'x', 'ТипНоменклатуры' => 'Запас', 'ЕдиницаИзмерения_Key' => '8c1f4a10-00f3-11ee-8000-000000000001', 'СтавкаНДС_Key' => '8c1f4a10-00f2-11ee-8000-000000000001' } ] });
sql("SELECT salesdrive.resume('shop', 21)");
run_engine();
is(join(' ', map { status($_, 'state') } 120, 121) . ' ' . sums(21), 'posted posted 99 99.00 99.00 0 0.00 0.00', 'its document wakes them');
sql("UPDATE salesdrive.account SET unattached_payments = 'create', fixed_counterparty = '8c1f4a10-00bb-11ee-8000-000000000002'");
paid(payment(122, '33.00', {}));
($d) = grep { $_->{'СуммаДокумента'} == 33 } documents('bank');
is(status(122, 'state') . ' ' . rows($d) . ' ' . $d->{'Контрагент_Key'}, 'posted - 33 33 8c1f4a10-00bb-11ee-8000-000000000002', 'made without an order, if the setting says so');
$bas->control(POST => '/delete', { set => $DOCUMENT{bank}, keys => [ $d->{Ref_Key} ] });    # a document without an order has no organisation: the audit would say so
sql("UPDATE salesdrive.account SET unattached_payments = 'list'");
paid(payment(123, '11.00', { 1 => '11.00' }, date => '2026-11-30 23:59:59'));
is(status(123, 'state'), 'earlier', 'a payment of a day before payments_since is only listed');
sql("UPDATE salesdrive.account SET payments_since = '2026-11-30'");
run_engine();
is(status(123, 'state'), 'posted', 'an earlier day: it is made');

# ---- changes later are told, never written

my $before = sql("SELECT count(*) FROM salesdrive.exchange_log WHERE infobase = 'main' AND method <> 'GET'");
paid(payment(102, '160.00', { 3 => '160.00' }));
is(status(102, 'state, reason'), 'parked payment_changed', 'a payment changed after its document was made is parked');
like(status(102, 'detail'), qr/Payment 102 was changed in SalesDrive after document НФНФ-\S+ was made: orders \{"2": "166.67"\} → \{"3": "160(\.00)?"\}, sum 166.67 → 160\./, 'and tells what was changed');
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE infobase = 'main' AND method <> 'GET'") - $before, 0, 'nothing is written');
sql("SELECT salesdrive.accept_payment('shop', 102)");
run_engine();
is(status(102, 'state'), 'posted', 'accept_payment() takes it for right');
paid(payment(103, 166.67, {}, number => $OTHER));
is(status(103, 'state, reason'), 'parked payment_changed', 'so when it is detached');
paid(payment(103, 166.67, { 2 => 166.67 }, number => $OTHER));
is(status(103, 'state'), 'posted', 'attached again it is right by itself');
paid(payment(103, 166.67, { 2 => 166.67 }, number => $OTHER, comment => 'інше', userId => 7));
is(status(103, 'state'), 'posted', 'what no document depends on changes nothing');
$crm->control(POST => '/payments', { remove => [104] });
fetch();
is(status(104, 'state'), 'posted', 'one window that does not show a payment says nothing');
fetch();
is(status(104, 'state, reason'), 'parked payment_changed', 'two do: it is not in SalesDrive any more');
like(status(104, 'detail'), qr/Payment 104 is not in SalesDrive any more, and document НФНФ-\S+ was made for it/, 'and its document is told');
is(sums(2), '500 166.67 500.00 0 -333.33 333.33', 'it counts no more');
sql("SELECT salesdrive.accept_payment('shop', 104)");
run_engine();
is(status(104, 'state'), 'posted', 'accepted, too');
$crm->control(POST => '/payments', { payments => [ payment(124, '8.00', { 22 => '8.00' }) ] });
fetch();
$crm->control(POST => '/payments', { remove => [124] });
fetch() for 1, 2;
is(status(124, 'state'), 'gone', 'one without a document is ended');
paid(payment(124, '8.00', { 22 => '8.00' }));
is(status(124, 'state, reason'), 'waiting payment_order', 'and goes on when it is back');
sql("SELECT salesdrive.skip_payment('shop', 124, 'no order')");

# ---- answers that are lost

my $n = 200;
for my $case ([ 'reset_before' => 'Document' ], [ 'reset_after' => 'Document' ], [ 'close_after' => 'Document' ], [ 'html_ok' => 'Document' ])
{
	my ($action) = @$case;
	$bas->control(POST => '/faults', { method => 'POST', path => 'POST /base/odata/standard.odata/Document_[^(]*$', action => $action, times => 1, $action eq 'html_ok' ? (after => JSON::PP::true()) : () });
	my $count = all_documents();
	paid(payment(++$n, "1.$n", { 1 => "1.$n" }, sum => '1.00', paymentBreakdown => [ { sum => '1.00', order => { id => 1 } } ]));
	ok(wait_for("payment after $action", sub { later(3); run_engine(); status($n, 'state') eq 'posted' }), "$action: the payment is made");
	is(all_documents() - $count, 1, 'once');
	$bas->control(DELETE => '/faults');
}
$bas->control(POST => '/faults', { method => 'POST', path => '/Post$', action => 'reset_after', times => 1 });
paid(payment(++$n, '2.00', { 1 => '2.00' }));
ok(wait_for('posting', sub { later(3); run_engine(); status($n, 'state') eq 'posted' }), 'a posting whose answer is lost is done again');
$bas->control(POST => '/config', { hidden => { $DOCUMENT{bank} => [ sql("SELECT salesdrive.payment_ref_key('shop', " . ($n + 1) . ')') ] } });
$bas->control(POST => '/faults', { method => 'POST', path => "$DOCUMENT{bank}\$", action => 'reset_after', times => 1 });
my $were = all_documents();
paid(payment(++$n, '2.50', { 1 => '2.50' }));
run_engine();
is(status($n, 'state, reason'), 'parked hidden_in_bas', 'a document that BAS hides is not taken for absent');
$bas->control(POST => '/config', { hidden => {} });
sql("SELECT salesdrive.resume(task_id) FROM salesdrive.payment_status WHERE payment_id = $n");
run_engine();
is(status($n, 'state') . ' ' . (all_documents() - $were), 'posted 1', 'and found when it may be seen');
$bas->control(POST => '/config', { refuse => { "create $DOCUMENT{bank}" => 'Період закрито' } });
paid(payment(++$n, '3.00', { 1 => '3.00' }));
ok(wait_for('the refusal', sub { later(3); run_engine(); status($n, 'state') eq 'parked' }), 'what BAS refuses is parked');
like(status($n, 'reason, detail'), qr/^business .*Період закрито/, 'with its words');
$bas->control(POST => '/config', { refuse => {} });
sql("SELECT salesdrive.resume(task_id) FROM salesdrive.payment_status WHERE payment_id = $n");
run_engine();
is(status($n, 'state'), 'posted', 'and goes on with resume()');

# no right to payment documents is no reason to stop orders
$bas->control(POST => '/config', { deny_sets => [ $DOCUMENT{bank} ] });
my @denied = map { ++$n } 1 .. 4;
paid(map { payment($_, "3.0$_" =~ s/(\.\d\d)\d+/$1/r, { 1 => "3.0$_" =~ s/(\.\d\d)\d+/$1/r }) } @denied);
run_engine();
is(join(' ', map { status($_, 'state, reason') } @denied), join(' ', ('parked denied') x 4), 'payments that BAS denies are parked, each by itself');
is(sql('SELECT count(*) FROM salesdrive.infobase WHERE paused_at IS NOT NULL'), 0, 'and pause nothing');
$bas->control(POST => '/config', { deny_sets => [] });
sql("SELECT salesdrive.resume(task_id) FROM salesdrive.parked WHERE kind = 'payment' AND reason = 'denied'");
run_engine();
is(join(' ', map { status($_, 'state') } @denied), join(' ', ('posted') x 4), 'with the right they go on');

# ---- the engine dies between the attempt and the answer

for my $stage ('sent', 'never sent')
{
	$crm->control(POST => '/payments', { payments => [ payment(++$n, '4.00', { 1 => '4.00' }) ] });
	later(70);
	sql("SELECT salesdrive.fetch_payments('shop')");
	sql("SELECT salesdrive.pause_infobase('main', 'for a moment')");
	run_engine();
	sql("SELECT salesdrive.unpause_infobase('main'); SELECT count(*) FROM salesdrive.claim(10)");
	is(sql("SELECT purpose || ' ' || state FROM salesdrive.task WHERE kind = 'payment' AND key = '$n'"), 'create payment in_flight', 'a creation is in flight');
	my $count = all_documents();
	if ($stage eq 'sent')
	{
		my $body = json_decode(sql_bytes("SELECT sent_body FROM salesdrive.payment_sync WHERE payment_id = $n"));
		$bas->control(POST => '/load', { $DOCUMENT{bank} => [ { %$body, Ref_Key => sql("SELECT ref_key FROM salesdrive.payment_sync WHERE payment_id = $n"), Number => 'НФНФ-999999' } ] });
	}
	$node->stop('immediate');
	$node->start;
	ok(wait_for('the payment', sub { later(3); run_engine(); status($n, 'state') eq 'posted' }), "killed with a creation $stage: the payment is made");
	is(all_documents() - $count, 1, 'once');
}
sub sql_bytes { my ($query) = @_; return $node->safe_psql('postgres', $query) }

# ---- within the quota of its own method

sql("UPDATE salesdrive.account_api SET payment_reread = '0'");
is(sql("SELECT count(*) FROM salesdrive.quota_window WHERE method = 'payment/list'"), 3, 'payments have windows of their own');
$crm->control(POST => '/payments', { payments => [ map { payment(1000 + $_, '1.00', {}, date => sprintf('2026-12-01 12:%02d:%02d', $_ / 60, $_ % 60)) } 1 .. 1150 ] });
later(3700);
sql("SELECT salesdrive.fetch_payments('shop', '2026-11-25')");
run_engine();
is(sql("SELECT concat_ws(' ', state, pages) FROM salesdrive.fetch_status WHERE feed = 'payments_backfill'"), 'quota 12', 'all pages of a backfill, as far as the quota goes');
is(sql("SELECT salesdrive.backfill_ends_at('shop', 'payments_backfill') > salesdrive.clock()"), 't', 'when it ends is told');
later(70);
run_engine();
is(sql("SELECT state FROM salesdrive.fetch_status WHERE feed = 'payments_backfill'") . ' ' . sql("SELECT count(*) FROM salesdrive.crm_payment WHERE payment_id > 1000"), 'idle 1150', 'then the rest');
is($crm->control(GET => '/requests')->{statuses}{400} // 0, 0, 'SalesDrive never had to refuse');
is(sql("SELECT count(*) FROM salesdrive.quota_use WHERE method = 'order/list'"), 0, 'and nothing of it was spent of the quota of orders');

# ---- filters that are not heeded

for my $filter ('updatedAt', 'none')
{
	$crm->control(POST => '/config', { payment_filter => $filter });
	paid(payment(++$n, '5.00', { 1 => '5.00' }));
	later(70);
	run_engine();
	is(status($n, 'state'), 'posted', "filters heeded: $filter: more is read than needed, and nothing lost");
	is(sql("SELECT count(*) FROM salesdrive.crm_payment WHERE gone_at IS NOT NULL AND payment_id <> 104"), 0, 'nor taken for gone');
	$crm->control(POST => '/config', { payment_filter => 'any' });
	later(3700);
}
sql("UPDATE salesdrive.account_api SET payment_field = 'updatedAt'");
paid(payment(++$n, '6.00', { 1 => '6.00' }, date => '2026-11-30 08:00:00'));
is(status($n, 'state'), 'posted', 'by updatedAt, if the account filters by it');
sql("UPDATE salesdrive.account_api SET payment_field = 'date'");

# ---- receipts

later(70);
$crm->control(POST => '/payments', { receipts => [ { id => 996, date => '2026-12-01 11:05:00', totalSum => 500, fiscalCode => 'TEST-Hs9yG', cashier => { id => 1, name => 'Касир' }, order => { id => 1, formId => 1 }, documentItems => [ { description => 'x', price => '500', count => '1' } ] },
	{ id => 997, date => '2026-12-01 11:06:00', totalSum => '20.50', return => { id => 996 }, order => { id => 1 } }, { id => 998, date => '2026-12-01 11:07:00', totalSum => 1 } ] });
$crm->control(POST => '/config', { deny => ['check/list'] });
sql("SELECT salesdrive.fetch_receipts('shop')");
run_engine();
is(sql("SELECT string_agg(method, ' ') FROM salesdrive.api_refusal"), 'check/list', 'a right that is missing stops its own method');
$crm->control(POST => '/config', { deny => [] });
sql("SELECT salesdrive.unpause_api('shop')");
later(70);
run_engine();
is(sql("SELECT string_agg(concat_ws(' ', receipt_id, order_id, total, fiscal_code, is_return), '|' ORDER BY receipt_id) FROM salesdrive.crm_receipt"), '996 1 500 TEST-Hs9yG f|997 1 20.50 t|998 1 f', 'receipts are taken in');
is(sql("SELECT receipts || ' ' || receipts_total FROM salesdrive.order_payments WHERE order_id = 1"), '2 479.50', 'and shown with the order');

is_deeply($bas->control(GET => '/state')->{violations}, [], 'the base reports no violation');

# ---- a base that does not keep our keys

{
	my $other = start_peer('bas', '--config', '{"keeps_ref_key": false}');
	sql("UPDATE salesdrive.account SET payments_to_bas = false");
	sql("SELECT salesdrive.add_infobase('other', 'unf', '" . $other->url('/base') . "', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => 'second', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'other', webhook_token => 'a-token-of-24-characters', identity => 'second');
		SELECT salesdrive.set_secret('account:second:account_key', 'money-key');
		UPDATE salesdrive.infobase SET retry_base = '1 ms', unsure_margin = '0', total_timeout = '2 s', circuit_after = 1000;
		INSERT INTO salesdrive.payment_rule (account, bas_key) VALUES ('*', 'Основний рахунок');
		UPDATE salesdrive.account SET payments_to_bas = true WHERE name = 'second'");
	$crm->control(POST => '/payments', { remove => [ map { $_->{id} } @{ $crm->control(GET => '/payments')->{payments} } ] });
	my $body = '{"data":{"id":31,"version":1,"orderTime":"2026-11-20 10:00:00","paymentAmount":120,"contacts":[{"fName":"X","phone":"0671000001"}],"products":[{"sku":"SKU-0001","amount":1,"price":120}]}}';
	sql("SELECT salesdrive.accept_webhook('second', '$body')");
	run_engine();
	$other->control(POST => '/faults', { method => 'POST', path => 'Document_Поступление', action => 'reset_after', times => 1 });
	$crm->control(POST => '/payments', { payments => [ payment(301, '120.00', { 31 => '120.00' }, comment => 'коментар', date => now_there()) ] });
	later(70);
	sql("SELECT salesdrive.fetch_payments('second')");
	ok(wait_for('the payment', sub { later(3); run_engine(); sql("SELECT state FROM salesdrive.payment_status WHERE account = 'second' AND payment_id = 301") eq 'made' }), 'a base with keys of its own: found by the marker');
	my @found = documents('bank', $other);
	is(scalar(@found) . ' ' . $found[0]{'Комментарий'} . ' ' . ($found[0]{Ref_Key} eq sql("SELECT bas_ref FROM salesdrive.payment_sync WHERE account = 'second'") ? 'known' : 'unknown'), '1 second/p301: коментар known', 'one document, with the marker in its comment');
	is_deeply($other->control(GET => '/state')->{violations}, [], 'no violation');
}

# ---- other configurations

my @CONFIGURATION = (
	[ trade32 => 'Document_ПоступлениеБезналичныхДенежныхСредств', 'Document_СписаниеБезналичныхДенежныхСредств', 'ХозяйственнаяОперация', 'ПоступлениеОплатыОтКлиента', 'БанковскийСчет_Key', 'Валюта_Key', 'Заказ', 'Сумма', 'Document_ЗаказКлиента' ],
	[ erp => 'Document_ПоступлениеБезналичныхДенежныхСредств', 'Document_СписаниеБезналичныхДенежныхСредств', 'ХозяйственнаяОперация', 'ПоступлениеОплатыОтКлиента', 'БанковскийСчет_Key', 'Валюта_Key', 'Заказ', 'Сумма', 'Document_ЗаказКлиента' ],
	[ kup => 'Document_ПоступлениеБезналичныхДенежныхСредств', 'Document_СписаниеБезналичныхДенежныхСредств', 'ХозяйственнаяОперация', 'ПоступлениеОплатыОтКлиента', 'БанковскийСчет_Key', 'Валюта_Key', 'Заказ', 'Сумма', 'Document_ЗаказКлиента' ],
	[ accounting2 => 'Document_ПлатежноеПоручениеВходящее', 'Document_ПлатежноеПоручениеИсходящее', 'ВидОперации', 'ОплатаПокупателя', 'СчетОрганизации_Key', 'ВалютаДокумента_Key', 'Сделка', 'СуммаПлатежа', 'Document_СчетНаОплатуПокупателю' ]);
sql("UPDATE salesdrive.account SET payments_to_bas = false");
my $k = 400;
for my $c (@CONFIGURATION)
{
	my ($profile, $in, $out, $operation, $value, $place, $currency, $deal, $share, $order_set) = @$c;
	my $peer = start_peer('bas', '--configuration', $profile);
	$k += 10;
	sql("SELECT salesdrive.add_infobase('$profile', '$profile', '" . $peer->url('/base') . "', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => '$profile', url => '" . $crm->url . "', api_key => 'demo-key', infobase => '$profile', webhook_token => 'a-token-of-24-characters', identity => '$profile');
		SELECT salesdrive.set_secret('account:$profile:account_key', 'money-key');
		UPDATE salesdrive.infobase SET retry_base = '1 ms', unsure_margin = '0', total_timeout = '2 s', circuit_after = 1000 WHERE name = '$profile';
		INSERT INTO salesdrive.payment_rule (account, account_number, form, bas_key) VALUES ('$profile', 'none', 'cash', NULL);
		UPDATE salesdrive.account SET payments_to_bas = true, payment_posting = true WHERE name = '$profile'");
	my $body = '{"data":{"id":' . $k . ',"version":1,"orderTime":"2026-11-20 10:00:00","paymentAmount":120,"contacts":[{"fName":"X","phone":"0671000001"}],"products":[{"sku":"SKU-0001","amount":1,"price":120}]}}';
	sql("SELECT salesdrive.accept_webhook('$profile', '$body')");
	$crm->control(POST => '/payments', { remove => [ map { $_->{id} } @{ $crm->control(GET => '/payments')->{payments} } ], payments => [] });
	$crm->control(POST => '/payments', { payments => [ payment($k + 1, '120.10', { $k => '120.10' }, date => now_there()), payment($k + 2, '0.10', { $k => '0.10' }, type => 'outcoming', date => now_there()), payment($k + 3, '7', { $k => '7' }, number => undef, date => now_there()) ] });
	later(70);
	sql("SELECT salesdrive.fetch_payments('$profile')");
	ok(wait_for("payments of $profile", sub { later(3); run_engine(); sql("SELECT string_agg(state, ' ') FROM salesdrive.payment_status WHERE account = '$profile'") eq 'posted posted posted' }), "$profile: payment, repayment and cash are made") or diag sql("SELECT string_agg(concat_ws(' ', payment_id, state, detail), '|') FROM salesdrive.payment_status WHERE account = '$profile'");
	my ($d) = documents($in, $peer);
	my $ref = sql("SELECT bas_ref FROM salesdrive.order_status WHERE account = '$profile'");
	my $o = $peer->control(GET => '/objects?set=' . uri($order_set) . "&key=$ref");
	is(join(' ', @$d{ 'СуммаДокумента', $operation, $place, $currency, 'Контрагент_Key' }), join(' ', '120.1', $value, $KEY{bank}, $o->{$currency}, $o->{'Контрагент_Key'}), "$profile: its document");
	my $row = $d->{'РасшифровкаПлатежа'}[0];
	is(join(' ', @$row{ $deal, "${deal}_Type", $share }), "$ref StandardODATA.$order_set 120.1", 'tied to the document of the order');
	is($row->{'Партнер_Key'} // $row->{'ДоговорКонтрагента_Key'}, $o->{'Партнер_Key'} // $o->{'ДоговорКонтрагента_Key'}, 'with its partner or contract');
	is(scalar(documents($out, $peer)), 1, 'the repayment goes out');
	is_deeply($peer->control(GET => '/state')->{violations}, [], 'no violation');
	sql("SELECT salesdrive.load_metadata('$profile')");
	run_engine();
	is(sql("SELECT string_agg(subject || ' ' || problem, '|') FROM salesdrive.check('$profile') WHERE subject ~ '^(entity|property|value|payments)'"), '', 'check() finds nothing amiss');
	if ($profile eq 'accounting2')
	{
		$peer->control(POST => '/config', { unpublished => [$in] });
		sql("SELECT salesdrive.load_metadata('$profile')");
		run_engine();
		like(sql("SELECT string_agg(subject || ' ' || problem, '|') FROM salesdrive.check('$profile') WHERE subject ~ '^entity'"), qr/^entity $in BAS does not publish it/, 'check() names a set that is not published');
		$crm->control(POST => '/payments', { payments => [ payment($k + 4, '1', { $k => '1' }, date => now_there()) ] });
		later(70);
		sql("SELECT salesdrive.fetch_payments('$profile')");
		run_engine();
		like(sql("SELECT concat_ws(' ', state, reason, hint) FROM salesdrive.payment_status WHERE account = '$profile' AND payment_id = $k + 4"), qr/^parked payment_profile Publish it in BAS/, 'and the payment is parked');
	}
	sql("UPDATE salesdrive.account SET payments_to_bas = false WHERE name = '$profile'");
}
sql("SELECT salesdrive.add_infobase('alfa', 'alfa_auto6', '" . $bas->url('/base') . "', 'Обмен', 'secret')");
is(sql("SELECT salesdrive.entity_set('alfa_auto6', 'payment_bank') IS NULL"), 't', 'a configuration whose documents are not known has none');

done_testing();
