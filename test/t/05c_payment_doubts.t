# Payments where one could be doubled, lost or told to the wrong order: refused and then deleted, copied in BAS, changed while it is on its way, switched off and
# on, of another order base, entered late.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine error_of);
use SalesDrive::Payments;

sub out { my ($n, $columns) = @_; return sql("SELECT concat_ws(' ', $columns) FROM salesdrive.payment_status WHERE account = 'shop' AND way = 'from_bas' AND ref_key = '" . key($n) . "'") }
sub in { my ($id, $columns) = @_; return sql("SELECT concat_ws(' ', $columns) FROM salesdrive.payment_status WHERE account = 'shop' AND way = 'to_bas' AND payment_id = $id") }
sub fault { my (%f) = @_; return $crm->control(POST => '/faults', { method => 'POST', path => '/api/payment/', times => 1, %f }) }

start_payments('payment_doubts', '2026-12-01 12:00+02', '--config', '{"per_minute": 0, "per_hour": 0, "per_day": 0}');
sql("SELECT salesdrive.set_secret('account:shop:account_key', 'money-key');
	INSERT INTO salesdrive.payment_rule (account, account_number, form, bas_key) VALUES ('shop', '$MAIN', 'bank', 'Основний рахунок')");
deliver($_, 500) for 1 .. 4;
my $n = 100;
my ($count, $made);

# ---- read while it is off, then switched on

enter(1, { 1 => 10 });
enter(2, { 1 => 20 }, Date => '2026-11-28T11:00:00');
pull();
sql("UPDATE salesdrive.account_api SET retry_base = '1 ms', retry_cap = '1 ms', total_timeout = '2 s', circuit_after = 1000");
is(out(1, 'state') . ' ' . out(2, 'state') . ' ' . posts(), 'listed listed 0', 'off: documents are listed');
like(error_of("UPDATE salesdrive.account SET payments_from_bas = true"), qr/NOTICE:  1 payment documents of account "shop" since 2026-12-01 are registered in SalesDrive now.*payments_since/s, 'switching on tells how many go');
run_engine();
is(out(1, 'state') . ' ' . out(2, 'state'), 'sent listed', 'switched on: what was read of today goes, what was of before stays');
sql("UPDATE salesdrive.account SET payments_since = '2026-11-28'");
run_engine();
is(out(2, 'state') . ' ' . posts(), 'sent 2', 'an earlier day: that goes, too, each once');
sql("UPDATE salesdrive.account SET payments_from_bas = false");
enter(3, { 1 => 30 });
pull();
sql("UPDATE salesdrive.account SET payments_from_bas = true");
run_engine();
is(out(3, 'state') . ' ' . posts(), 'sent 3', 'so does what was read while it was off for a while');

# ---- refused, and then deleted, unposted or switched off

for my $case ([ 'marked for deletion' => sub { change($n, post => JSON::PP::false()); change($n, properties => { DeletionMark => JSON::PP::true() }) } ], [ unposted => sub { change($n, post => JSON::PP::false()) } ],
	[ 'switched off' => sub { sql("UPDATE salesdrive.account SET payments_from_bas = false"); change($n, properties => { 'НазначениеПлатежа' => 'інше' }) } ])
{
	my ($what, $then) = @$case;
	fault(action => 'status', status => 200, body => 'json', text => '{"success":false,"message":"Account not found."}');
	enter(++$n, { 2 => $n });
	pull();
	is(out($n, 'state, reason'), 'parked business', 'a document that SalesDrive refuses is parked');
	$count = there();
	$then->();
	pull();
	is(there() - $count, 0, "$what afterwards it is not sent") or diag out($n, 'state, detail');
	isnt(out($n, 'state'), 'parked', 'and waits for nobody');
}
sql("UPDATE salesdrive.account SET payments_from_bas = true");
run_engine();
is(out($n, 'state'), 'sent', 'switched on again it goes');

# ---- a document that was made here is copied in BAS, comment and all

sql("UPDATE salesdrive.account SET payments_to_bas = true");
paid(payment(501, '33.33', 3));
like(in(501, 'state'), qr/^made$/, 'a payment of SalesDrive makes its document');
my ($d) = grep { ($_->{'Комментарий'} // '') eq 'shop/p501' } documents($IN);
$count = there();
enter(++$n, { 3 => 33.33 }, 'Комментарий' => $d->{'Комментарий'});
pull();
is(out($n, 'state') . ' ' . (there() - $count), 'sent 1', 'a copy of it is a payment of its own, and goes to SalesDrive');
is(sql("SELECT count(*) FROM salesdrive.bas_payment WHERE ref_key = '$d->{Ref_Key}' AND ours"), 1, 'which the first does not');
fetch();
is(scalar(grep { ($_->{'Комментарий'} // '') =~ /^shop/ } documents($IN)), 2, 'and neither comes back');

# ---- changed in BAS while it is not known whether it arrived

$crm->control(POST => '/config', { unique_shown => 'none' });
fault(action => 'reset_after');
$count = documents($IN);
enter(++$n, { 4 => 60 });
pull();
my $rows = (grep { $_->{Ref_Key} eq key($n) } documents($IN))[0]{'РасшифровкаПлатежа'};
$rows->[0]{'СуммаПлатежа'} = $rows->[0]{'СуммаРасчетов'} = 61;
change($n, properties => { 'СуммаДокумента' => 61, 'РасшифровкаПлатежа' => $rows });
pull();
fetch();
later(10);
run_engine();
later(700);
run_engine();
is(out($n, 'state, reason') . ' ' . (documents($IN) - $count), 'parked payment_unseen 1', 'the payment of the sum that was sent makes no document');
my ($like) = map { $_->{id} } grep { $_->{sum} == 60 } there();
is(in($like, 'state, reason'), 'parked payment_maybe_ours', 'but waits to be told');
sql("SELECT salesdrive.resume(task_id) FROM salesdrive.payment_status WHERE ref_key = '" . key($n) . "'");
run_engine();
like(out($n, 'detail'), qr/of the same order and sum there are: $like of 2026/, 'and is named');
sql("SELECT salesdrive.link_payment('shop', $like, '" . key($n) . "', 4)");
run_engine();
is(out($n, 'state, payment_id') . ' ' . in($like, 'state'), "sent $like from_bas", 'linked both are one');

# ---- refused at the first sending, and entered in SalesDrive by hand

fault(action => 'status', status => 200, body => 'json', text => '{"success":false,"message":"Account not found."}');
$count = documents($IN);
enter(++$n, { 4 => 70 });
pull();
paid(payment(502, '70.00', 4));
is(in(502, 'state, reason') . ' ' . (documents($IN) - $count), 'parked payment_maybe_ours 1', 'a payment like one that was refused makes no document');
sql("SELECT salesdrive.link_payment('shop', 502, '" . key($n) . "', 4)");
run_engine();
is(out($n, 'state, payment_id') . ' ' . in(502, 'state'), 'sent 502 from_bas', 'linked both are one');
$crm->control(POST => '/config', { unique_shown => 'purpose' });

# ---- one that is never to go to SalesDrive

sub by_key { my ($function, $number, $order, @more) = @_; return "SELECT salesdrive.$function('shop', " . join(', ', "'" . key($number) . "'", $order, @more) . ')' }
enter(++$n, { 4 => 5 }, 'БанковскийСчет_Key' => '8c1f4a10-00f5-11ee-8000-000000000002');
pull();
is(out($n, 'state, reason'), 'parked payment_rule', 'a document of a bank account that SalesDrive does not have');
like(out($n, 'hint'), qr/skip_payment\('shop', '@{[ key($n) ]}', 4, /, 'the hint has the way out');
sql(by_key('skip_payment', $n, 4, "'not of this shop'"));
$count = posts();
sql("INSERT INTO salesdrive.payment_rule (account, account_number, form, bas_key) VALUES ('shop', 'UA403052990000026009030110403', 'bank', '8c1f4a10-00f5-11ee-8000-000000000002')");
change($n, properties => { 'НазначениеПлатежа' => 'інше' });
pull();
sql("UPDATE salesdrive.account SET payments_from_bas = false; UPDATE salesdrive.account SET payments_from_bas = true");
run_engine();
is(out($n, 'state, detail') . ' ' . (posts() - $count), 'skipped not of this shop 0', 'skip_payment() ends it, whatever becomes of it');
is(sql("SELECT text ~ 'skipped by .*: not of this shop' FROM salesdrive.order_event WHERE order_id = 4 AND event = 'payment' ORDER BY id DESC LIMIT 1"), 't', 'and the history tells who');
sql(by_key('resend_payment', $n, 4));
run_engine();
is(out($n, 'state') . ' ' . (posts() - $count), 'sent 1', 'resend_payment() takes it back');
like(error_of(by_key('skip_payment', $n, 4, "'too late'")), qr/is payment \d+ of SalesDrive already/, 'what is there cannot be skipped');

# ---- by hand, at the wrong moment

fault(action => 'reset_after');
$count = there();
enter(++$n, { 4 => 6 });
pull();
is(out($n, 'state, reason'), 'waiting unsure', 'while a request may be at work');
like(error_of(by_key('resend_payment', $n, 4)), qr/is on its way to SalesDrive.*known at 2026/s, 'it is not sent again');
later(10);
run_engine();
is(out($n, 'state') . ' ' . (there() - $count), 'sent 1', 'it is there once');
enter(++$n, { 3 => 33.33 }, 'БанковскийСчет_Key' => '8c1f4a10-00f5-11ee-8000-000000000009');
pull();
like(error_of("SELECT salesdrive.link_payment('shop', 501, '" . key($n) . "', 3)"), qr/payment 501 has document НФНФ-\S+ in BAS already/, 'a payment is not linked to a second document');
sql(by_key('skip_payment', $n, 3, "'a double'"));

# ---- in another currency: entered in SalesDrive by hand, it makes no document before it is linked

enter(++$n, { 4 => 7 }, 'ВалютаДенежныхСредств_Key' => '8c1f4a10-0980-11ee-8000-000000000002');
pull();
is(out($n, 'state, reason'), 'parked payment_currency', 'a document in another currency waits for somebody');
$count = documents($IN);
paid(payment(503, '290.00', 4));
is(in(503, 'state, reason') . ' ' . (documents($IN) - $count), 'parked payment_maybe_ours 0', 'what is entered for its order waits');
sql("SELECT salesdrive.link_payment('shop', 503, '" . key($n) . "', 4)");
run_engine();
is(in(503, 'state') . ' ' . out($n, 'state'), 'from_bas sent', 'linked both are one');
enter(++$n, { 4 => 8 }, 'ВалютаДенежныхСредств_Key' => '8c1f4a10-0980-11ee-8000-000000000002');
pull();
paid(payment(504, '12.00', 4));
is(in(504, 'state, reason'), 'parked payment_maybe_ours', 'another one, which has nothing to do with it');
sql(by_key('skip_payment', $n, 4, "'not for SalesDrive'"));
run_engine();
is(in(504, 'state') . ' ' . out($n, 'state'), 'made skipped', 'goes when the document is settled');

# ---- orders of another order base, which the account key lists as well; an order that never comes

my $other = sub { my ($id, $sum, $order, $form) = @_; return payment($id, $sum, $order, paymentBreakdown => [ { sum => $sum, order => { id => $order, formId => $form } } ]) };
my $before = sql("SELECT paid_in_salesdrive FROM salesdrive.order_payments WHERE order_id = 4");
$count = documents($IN);
paid($other->(510, '44.00', 4, 2), $other->(511, '45.00', 900, 2), $other->(512, '46.00', 901, 1), payment(513, '47.00', 4, paymentBreakdown => [ { sum => '46.00', order => { id => 4, formId => 1 } }, { sum => '1.00', order => { id => 902, formId => 2 } } ]));
is(join(', ', map { in($_, 'state, reason') } 510 .. 513), 'other_base, other_base, waiting payment_order, parked payment_orders', 'an order of this number in another base, one that is not here, one that may come, and both in one payment');
is(documents($IN) - $count, 0, 'no document is made');
is(sql("SELECT paid_in_salesdrive - $before FROM salesdrive.order_payments WHERE order_id = 4"), '46.00', 'nor is it counted as money of the order here');
sql("SELECT salesdrive.skip_payment('shop', 513, 'by hand')");
later(7200);
run_engine();
is(in(512, 'state, reason'), 'parked payment_order', 'what is never received parks its payment in the end');
like(in(512, 'hint'), qr/fetch_orders\('shop'.*skip_payment\('shop', 512/, 'with what to do');
deliver(901, 46);
deliver(900, 45, formId => 2);
is(in(512, 'state') . ' ' . in(511, 'state'), 'made made', 'when the orders are here, the payments go on by themselves');

# ---- what would be sent, without sending it

sub seen { my ($id) = @_; return sql("SELECT string_agg(concat_ws(' ', step, method, regexp_replace(url, '^.*//[^/]*/', ''), body ->> 'СуммаДокумента', body ->> 'sum'), '|') FROM salesdrive.preview('shop', $id) WHERE step ~ '^(payment|document [^a])'") }
deliver(6, 100);
paid(payment(515, '51.00', 6, organizationAccount => { accountNumber => 'UA-NEW' }), payment(516, '52.00', 6, date => '2026-11-01 10:00:00'));
sql("SELECT salesdrive.pause_infobase('main', 'for a moment'), salesdrive.pause_api('shop', 'for a moment')");
sql("INSERT INTO salesdrive.payment_rule (account, account_number, form, bas_key) VALUES ('shop', 'UA-NEW', 'bank', 'Основний рахунок')");
like(seen(6), qr{^payment 515: create payment POST base/odata/standard\.odata/Document_ПоступлениеНаСчет 51\.00$}, 'preview() shows the document of a payment');
sql("DELETE FROM salesdrive.payment_rule WHERE account_number = 'UA-NEW'; SELECT salesdrive.unpause_infobase('main')");
like(seen(6), qr/^payment 515: park: payment_rule: No row of payment_rule says/, 'or what keeps it from being made');
enter(++$n, { 6 => 53 });
pull();
like(seen(6), qr{\|document НФНФ-\d+: add payment in SalesDrive POST api/payment/ 53$}, 'and what SalesDrive is to be told');
sql("UPDATE salesdrive.account SET payments_to_bas = false; SELECT salesdrive.unpause_api('shop')");
run_engine();
is(seen(6), 'payment 515: off', 'or why nothing is');
sql("UPDATE salesdrive.account SET payments_to_bas = true; SELECT salesdrive.skip_payment('shop', 515, 'enough')");

# ---- a document made here is changed, unposted and deleted by an accountant

sql("UPDATE salesdrive.account SET payment_posting = true");
paid(payment(520, '64.00', 3));
is(in(520, 'state, detail'), 'posted', 'a payment is made and posted');
my $own = (grep { ($_->{'Комментарий'} // '') eq 'shop/p520' } documents($IN))[0];
sub edit { my (%p) = @_; return $bas->control(POST => '/edit', { set => $IN, key => $own->{Ref_Key}, %p }) }
$own->{'РасшифровкаПлатежа'}[0]{'СуммаПлатежа'} = 63.5;
edit(properties => { 'СуммаДокумента' => 63.5, 'РасшифровкаПлатежа' => $own->{'РасшифровкаПлатежа'} });
pull();
is(in(520, 'state, detail'), 'posted Its document pays orders with {"3": "63.5"} in BAS by now.', 'what it pays by now is told');
edit(post => JSON::PP::false());
pull();
paid(payment(520, '63.50', 3));
is(in(520, 'state, reason'), 'parked payment_changed', 'changed in SalesDrive as well');
sql("SELECT salesdrive.accept_payment('shop', 520)");
run_engine();
is(in(520, 'state, detail'), 'made', 'accepted: and what was unposted is not posted again');
edit(properties => { DeletionMark => JSON::PP::true() });
pull();
is(in(520, 'state, detail'), 'deleted Its document is marked for deletion in BAS, or pays its orders no more.', 'nor is it hidden that it is deleted');
sql("UPDATE salesdrive.account SET payment_posting = false");

# ---- what goes when it is switched on is said

sql("UPDATE salesdrive.account SET payments_to_bas = false");
paid(payment(521, '1.50', 3), payment(522, '1.50', 3));
like(error_of("UPDATE salesdrive.account SET payments_to_bas = true"), qr/NOTICE:  documents are made in BAS now for 2 payments of account "shop" since 2026-11-28.*payments_since/s, 'payments listed while it was off are counted');
run_engine();
is(in(521, 'state') . ' ' . in(522, 'state'), 'made made', 'and made');

# ---- entered late, with a date that no reading of the last days reaches

sql("UPDATE salesdrive.account SET payments_since = '2026-11-01'");
enter(++$n, { 3 => 9 }, Date => '2026-11-16T09:00:00');
pull();
paid(payment(530, '2.50', 3, date => '2026-11-16 09:00:00'));
is(out($n, 'state') . in(530, 'state'), '', 'a reading of the last days does not see them');
later(86400);
pull();
fetch();
is(out($n, 'state') . ' ' . in(530, 'state'), 'sent made', 'once a day one that goes back further does');
$count = $crm->control(GET => '/payments')->{calls}{'payment/list'};
fetch();
is($crm->control(GET => '/payments')->{calls}{'payment/list'} - $count, 1, 'not more often');

# ---- payments that are entered while all since a day are read: the others move down, newest first

sql("UPDATE salesdrive.account_api SET payment_reread = '0'");
for my $sort ('newest', 'oldest')
{
	my ($first, $day) = $sort eq 'newest' ? (10000, 10) : (20000, 20);
	$crm->control(POST => '/config', { payment_sort => $sort });
	$crm->control(POST => '/payments', { payments => [ map { payment($first + $_, '1.00', 1, date => sprintf('2026-11-%02d 12:%02d:00', $day + $_ / 60, $_ % 60), paymentBreakdown => []) } 1 .. 450 ] });
	later(4000);
	sql("UPDATE salesdrive.quota_window SET most = 2 WHERE method = 'payment/list' AND span = '1 minute'; SELECT salesdrive.fetch_payments('shop', '2026-11-" . ($day - 1) . "')");
	for my $turn (1 .. 18)
	{
		run_engine();
		$crm->control(POST => '/payments', { payments => [ map { payment($first + 1000 + $turn * 10 + $_, '1.00', 1, date => now_there(), paymentBreakdown => []) } 1 .. 3 ] });
		later(70);
	}
	is(sql("SELECT state FROM salesdrive.fetch_status WHERE feed = 'payments_backfill'"), 'idle', "$sort first: the reading ends");
	is(sql("SELECT count(*) FROM salesdrive.crm_payment WHERE payment_id BETWEEN $first AND $first + 450"), 450, 'and has missed none');
	sql("UPDATE salesdrive.quota_window SET most = 1000 WHERE method = 'payment/list' AND span = '1 minute'");
}

is_deeply($bas->control(GET => '/state')->{violations}, [], 'the base reports no violation');
done_testing();
