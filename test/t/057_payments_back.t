# Payment documents of BAS, registered in SalesDrive: posted ones that pay known orders, once whatever is lost on the way; nothing that came from there
# goes back, nor the other way round; what changes later is told.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine error_of);
use SalesDrive::Payments;

%ORDER = (formId => 2, organizationId => 3);

sub row { my ($n, $columns) = @_; return sql("SELECT concat_ws(' ', $columns) FROM salesdrive.payment_status WHERE account = 'shop' AND way = 'from_bas' AND ref_key = '" . key($n) . "'") }
sub sums { my ($id) = @_; return sql("SELECT concat_ws(' ', due, paid_in_salesdrive, paid_in_bas, unposted_in_bas, difference) FROM salesdrive.order_payments WHERE account = 'shop' AND order_id = $id") }

start_payments('payments_back', '2026-12-01 12:00+02', '--config', '{"per_minute": 0, "per_hour": 0, "per_day": 0}');
sql("SELECT salesdrive.set_secret('account:shop:account_key', 'money-key')");
deliver($_, 500) for 1 .. 3;

# ---- off: listed, and shown with the order

enter(1, { 1 => 200 });
pull();
sql("UPDATE salesdrive.account_api SET retry_base = '1 ms', retry_cap = '1 ms', total_timeout = '2 s', circuit_after = 1000");
is(row(1, 'state, sum, orders') . ' ' . sums(1), 'listed 200 1 500 0 200.00 0 -200.00', 'off: a payment document is listed, and counted');
is(scalar(there()), 0, 'and not sent');
enter(2, { 1 => 1 }, Posted => JSON::PP::false());
enter(3, {}, sum => 7);
pull();
is(sums(1), '500 0 200.00 1.00 -201.00', 'one that is not posted is counted apart');
is(sql("SELECT count(*) FROM salesdrive.bas_payment"), 2, 'one that pays no order is not kept');

# ---- a kind of document that the base does not publish stops its own reading and nothing else

sub reading { return sql("SELECT concat_ws(' ', state, reason, blocked_on) FROM salesdrive.task WHERE kind = 'bas_payments'") }
$bas->control(POST => '/config', { unpublished => [$OUT] });
enter(4, { 2 => 5 });
pull();
is(reading(), 'parked payment_profile profile:main:', 'a payment document is not published: its reading is parked');
is(sql("SELECT count(*) FROM salesdrive.infobase WHERE paused_at IS NOT NULL"), 0, 'the base is not paused');
like(sql("SELECT detail || ' ' || hint FROM salesdrive.parked WHERE kind = 'bas_payments'"), qr/does not publish \Q$OUT\E.*composition of the OData interface.*INSERT INTO salesdrive\.profile_entity \(profile, concept, entity_set\) VALUES \('unf', 'refund_bank', NULL\)/, 'it says which, and how to leave it out');
deliver(4, 500);
is(sql("SELECT state FROM salesdrive.order_status WHERE order_id = 4"), 'synced', 'orders go on');
enter(5, { 2 => 6 });
pull();
is(row(4, 'state, sum') . ' ' . row(5, 'state, sum') . ' ' . reading(), 'listed 5 listed 6 parked payment_profile profile:main:', 'the kinds before it are read each time');
sql("INSERT INTO salesdrive.profile_entity (profile, concept, entity_set) VALUES ('unf', 'refund_bank', NULL)");
run_engine();
is(reading(), '', 'left out, the reading goes on by itself');
sql("DELETE FROM salesdrive.profile_entity WHERE profile = 'unf' AND concept = 'refund_bank' AND origin = 'user'");
$bas->control(POST => '/config', { unpublished => [] });
$bas->control(POST => '/delete', { set => $IN, keys => [ key(4), key(5) ] });
sql("DELETE FROM salesdrive.bas_payment WHERE ref_key IN ('" . key(4) . "', '" . key(5) . "')");

# ---- on

sql("UPDATE salesdrive.account SET payments_from_bas = true");
change(1, properties => { 'Комментарий' => 'змінено' });
pull();
is(row(1, 'state, reason'), 'parked payment_rule', 'which account of SalesDrive it is must be said');
like(row(1, 'hint'), qr/payment_rule .*'bank', '$BANK'/, 'with the row that is missing');
sql("INSERT INTO salesdrive.payment_rule (account, account_number, form, bas_key) VALUES ('shop', '$MAIN', 'bank', 'Основний рахунок')");
run_engine();
my ($p) = there();
is(row(1, 'state, payment_id'), "sent $p->{id}", 'with the row it goes there by itself');
my $unique = sql("SELECT salesdrive.payment_unique_id('shop', '" . key(1) . "', 1)");
is_deeply(json_decode($node->safe_psql('postgres', "SELECT request_body FROM salesdrive.exchange_log WHERE purpose = 'add payment in SalesDrive'")),
	{ organizationId => 3, accountNumber => $MAIN, sum => 200, datetime => '2026-12-01 11:00:00', timezone => 'Europe/Kiev', description => "НФНФ-000001 ($unique) змінено", uniqueId => $unique, orderId => 1, formId => 2 }, 'organisation, account, sum, time, order, and a uniqueId of its own');
is($p->{_unique}, $unique, 'which is there');
pull();
is(posts(), 1, 'once');
is(sql("SELECT state FROM salesdrive.payment_status WHERE ref_key = '" . key(2) . "'"), 'listed', 'one that is not posted stays here');
change(2, post => JSON::PP::true());
pull();
is(scalar(there()), 2, 'until it is');
enter(4, { 1 => 100.1, 2 => 50.05 });
pull();
is(join(' ', map { "$_->{paymentBreakdown}[0]{order}{id}=$_->{sum}" } (there())[ 2, 3 ]), '1=100.10 2=50.05', 'a document of two orders is a payment for each, to the kopeck');
enter(5, { 1 => 5 }, Date => '2026-11-30T10:00:00');
pull();
is(row(5, 'state'), 'listed', 'one of before payments_since stays here');
enter(6, { 1 => 6 }, set => $OUT);
pull();
like(row(6, 'state, detail'), qr/^listed A repayment: the API of SalesDrive takes none/, 'a repayment is listed');
enter(7, { 2 => 70 }, set => $CASH);
pull();
is(row(7, 'state, reason'), 'parked payment_rule', 'a cash desk needs a rule, too');
sql("INSERT INTO salesdrive.payment_rule (account, account_number, organization, form, bas_key) VALUES ('shop', 'КАСА', '5', 'cash', 'Головна каса')");
run_engine();
is(join(' ', map { "$_->{organizationAccount}{accountNumber} $_->{organization}{id}" } (there())[4]), 'КАСА 5', 'which may name the organisation');

# two accounts of SalesDrive that are one of BAS
sub doubts { return sql("SELECT string_agg(problem, '|') FROM salesdrive.check('shop') WHERE problem LIKE '%told as%'") }
is(doubts(), '', 'check() has no doubt which account it is');
sql("INSERT INTO salesdrive.payment_rule (account, account_number, form, bas_key) VALUES ('shop', '0-СТАРИЙ', 'bank', '$BANK')");
like(doubts(), qr/^0-СТАРИЙ and $MAIN of SalesDrive are one bank account of BAS \(Основний рахунок\): what is paid there is told as a payment of 0-СТАРИЙ\.$/, 'of two rows for one bank account check() says which one counts');
sql("UPDATE salesdrive.payment_rule SET direction = 'to_bas' WHERE account_number = '0-СТАРИЙ'");
is(doubts(), '', 'one for payments of SalesDrive alone counts for none of BAS');
is(sql("SELECT salesdrive.payment_out_body(b, a) ->> 'accountNumber' FROM salesdrive.bas_payment b, salesdrive.account a WHERE a.name = 'shop' AND b.ref_key = '" . key(1) . "'"), $MAIN, 'and the other one is told');
sql("UPDATE salesdrive.payment_rule SET direction = 'both', organization = '77' WHERE account_number = '0-СТАРИЙ'");
is(sql("SELECT salesdrive.payment_out_body(b, a) ->> 'accountNumber' FROM salesdrive.bas_payment b, salesdrive.account a WHERE a.name = 'shop' AND b.ref_key = '" . key(1) . "'"), $MAIN, 'a row of another organisation does not come before one for all');
is(doubts(), '', 'and is no doubt');
sql("DELETE FROM salesdrive.payment_rule WHERE account_number = '0-СТАРИЙ'");

# ---- no echo, in both directions

my ($count, $made) = (scalar(there()), scalar(documents($IN)));
sql("UPDATE salesdrive.account SET payments_to_bas = true");
fetch();
is(sql("SELECT string_agg(DISTINCT state, ' ') FROM salesdrive.payment_status WHERE way = 'to_bas'"), 'from_bas', 'payments that came from BAS are known as such');
is(scalar(documents($IN)), $made, 'and make no document');
$crm->control(POST => '/payments', { payments => [ { id => 50001, sum => '33.33', date => now_there(), organizationAccount => { accountNumber => $MAIN }, organization => { id => 3 }, paymentBreakdown => [ { sum => '33.33', order => { id => 3 } } ] } ] });
sql("UPDATE salesdrive.account SET payment_posting = true");
fetch();
is(scalar(documents($IN)) - $made, 1, 'a payment of SalesDrive makes its document');
pull();
pull();
is(scalar(there()) - $count, 1, 'which never goes back');
is(sums(3), '500 33.33 33.33 0 0.00', 'and is counted once on each side');
for (1 .. 3) { fetch(); pull() }
is(scalar(there()) . ' ' . (scalar(documents($IN)) - $made), $count + 1 . ' 1', 'however often both are asked');

# ---- answers that are lost

my $n = 20;
for my $shown (qw(purpose comment uniqueId))
{
	$crm->control(POST => '/config', { unique_shown => $shown });
	$crm->control(POST => '/faults', { method => 'POST', path => '/api/payment/', action => 'reset_after', times => 1 });
	$count = there();
	enter(++$n, { 3 => "1.$n" });
	pull();
	is(row($n, 'state, reason'), 'waiting unsure', "shown in $shown: an answer that is lost is waited for");
	$made = documents($IN);
	fetch();
	ok(wait_for('the payment', sub { later(5); run_engine(); row($n, 'state') eq 'sent' }), 'and the payment looked for');
	fetch();
	is(there() - $count . ' ' . (documents($IN) - $made), '1 0', 'once there, and not back in BAS');
}
$crm->control(POST => '/config', { unique_shown => 'purpose' });
$crm->control(POST => '/faults', { method => 'POST', path => '/api/payment/', action => 'reset_before', times => 1 });
$count = there();
enter(++$n, { 3 => 40 });
pull();
later(10);
run_engine();
is(row($n, 'state, reason'), 'parked payment_unseen', 'one that is not to be seen is parked');
is(there() - $count . ' ' . sql("SELECT state FROM salesdrive.bas_payment WHERE ref_key = '" . key($n) . "'"), '0 unknown', 'and not sent again by itself');
sql("SELECT salesdrive.resume(task_id) FROM salesdrive.parked WHERE kind = 'payment_out'");
run_engine();
is(row($n, 'state, reason') . ' ' . (there() - $count), 'parked payment_unseen 0', 'resume() looks again');
like(row($n, 'hint'), qr/link_payment\('shop', its number, '@{[ key($n) ]}', 3\).*resend_payment\('shop', '@{[ key($n) ]}', 3\)/, 'the hint has both ways on');
sql("SELECT salesdrive.resend_payment('shop', '" . key($n) . "', 3)");
run_engine();
is(row($n, 'state') . ' ' . (there() - $count), 'sent 1', 'resend_payment() sends it');
like(error_of("SELECT salesdrive.resend_payment('shop', '" . key($n) . "', 3)"), qr/is payment \d+ of SalesDrive already/, 'not what is there');
like(error_of("SELECT salesdrive.resend_payment('shop', '" . key(999) . "', 3)"), qr/SD016|no payment document .* is known/, 'nor what is not known');

# not to be seen although it is there: the list shows nothing of it; the payment that is listed waits, and the user says what it is
for my $repeat (qw(refuse same new))
{
	$crm->control(POST => '/config', { unique_shown => 'none', unique_repeat => $repeat });
	$crm->control(POST => '/faults', { method => 'POST', path => '/api/payment/', action => 'reset_after', times => 1 });
	($count, $made) = (scalar(there()), scalar(documents($IN)));
	enter(++$n, { 3 => $n });
	$made++;
	pull();
	fetch();
	later(10);
	run_engine();
	sql("SELECT salesdrive.resume(task_id) FROM salesdrive.parked WHERE kind = 'payment_out'");    # it may have looked before the list was here
	run_engine();
	later(700);
	run_engine();
	is(row($n, 'state, reason'), 'parked payment_unseen', "repeated: $repeat: shown nothing of it, it is parked");
	like(row($n, 'detail'), qr/of the same order and sum there are: \d+ of 2026/, 'with what looks like it') or diag(sql("SELECT string_agg(concat_ws(' ', at, purpose, url, http_status, class, error), E'\\n' ORDER BY id) FROM (SELECT * FROM salesdrive.exchange_log ORDER BY id DESC LIMIT 12) l"), sql("SELECT string_agg(concat_ws(' ', scope, kind, key, state, run_at, reason, detail), E'\\n') FROM salesdrive.task"), sql("SELECT string_agg(concat_ws(' ', payment_id, sum, paid_at, essence), E'\\n') FROM (SELECT * FROM salesdrive.crm_payment ORDER BY payment_id DESC LIMIT 3) p"));
	my ($like) = row($n, 'detail') =~ /there are: (\d+)/;
	is(sql("SELECT concat_ws(' ', state, reason) FROM salesdrive.payment_status WHERE way = 'to_bas' AND payment_id = $like"), 'parked payment_maybe_ours', 'while that makes no document') or diag sql("SELECT detail FROM salesdrive.payment_status WHERE way = 'to_bas' AND payment_id = $like");
	if ($repeat eq 'new') { sql("SELECT salesdrive.link_payment('shop', $like, '" . key($n) . "', 3)") }
	else { sql("SELECT salesdrive.resend_payment('shop', '" . key($n) . "', 3)") }
	run_engine();
	if ($repeat eq 'refuse')
	{
		like(row($n, 'state, detail'), qr/^parked .*SalesDrive refuses document .*uniqueId exists/, 'sent again SalesDrive refuses its uniqueId');
		sql("SELECT salesdrive.link_payment('shop', $like, '" . key($n) . "', 3)");
		run_engine();
	}
	fetch();
	is(row($n, 'state, payment_id') . ' ' . sql("SELECT state FROM salesdrive.payment_status WHERE way = 'to_bas' AND payment_id = $like"), "sent $like from_bas", 'then both are one');
	is((there() - $count) . ' ' . (documents($IN) - $made), '1 0', 'once on each side');
}
$crm->control(POST => '/config', { unique_shown => 'purpose', unique_repeat => 'refuse' });

# ---- the engine dies between the attempt and the answer

for my $stage ('sent', 'never sent')
{
	$count = there();
	enter(++$n, { 3 => $n });
	later(5);
	sql("SELECT salesdrive.pull_payments('main'), salesdrive.pause_api('shop', 'for a moment')");
	run_engine();
	sql("SELECT salesdrive.unpause_api('shop'); SELECT count(*) FROM salesdrive.claim(10)");
	is(sql("SELECT purpose || ' ' || state FROM salesdrive.task WHERE kind = 'payment_out'"), 'add payment in SalesDrive in_flight', 'a payment is in flight');
	if ($stage eq 'sent')
	{
		my $answer = http(POST => $crm->url('/api/payment/'), { 'Content-Type' => 'application/json', 'X-Api-Key' => 'money-key' }, $node->safe_psql('postgres', "SELECT sent_body FROM salesdrive.bas_payment WHERE ref_key = '" . key($n) . "'"));
		is($answer->{status}, 200, 'it arrived');
	}
	$node->stop('immediate');
	$node->start;
	ok(wait_for('the end', sub { later(5); run_engine(); row($n, 'state') =~ /^(sent|parked)$/ }), "killed with a payment $stage");
	is(row($n, 'state') . ' ' . (there() - $count), $stage eq 'sent' ? 'sent 1' : 'parked 0', $stage eq 'sent' ? 'it is found, once' : 'it is parked, not sent twice');
	sql("SELECT salesdrive.resend_payment('shop', '" . key($n) . "', 3)") if $stage ne 'sent';
	run_engine();
	is(there() - $count, 1, 'and is there once');
}

# ---- refused, throttled

$crm->control(POST => '/faults', { method => 'POST', path => '/api/payment/', action => 'status', status => 200, body => 'json', text => '{"success":false,"message":"Account not found."}', times => 1 });
enter(++$n, { 3 => $n });
pull();
like(row($n, 'state, detail'), qr/^parked SalesDrive refuses document .*Account not found/, 'what SalesDrive refuses is parked with its words');
sql("SELECT salesdrive.resend_payment('shop', '" . key($n) . "', 3)");
run_engine();
is(row($n, 'state'), 'sent', 'and goes with resend_payment()');
$crm->control(POST => '/faults', { method => 'POST', path => '/api/payment/', action => 'throttle', retry_after => 30, times => 1 });
enter(++$n, { 3 => $n });
$count = there();
pull();
is(row($n, 'state') . ' ' . sql("SELECT state FROM salesdrive.bas_payment WHERE ref_key = '" . key($n) . "'"), 'waiting seen', 'a limit puts it off');
later(40);
run_engine();
is(row($n, 'state') . ' ' . (there() - $count), 'sent 1', 'then it goes, once');

# ---- changes later

change($n, post => JSON::PP::false());
pull();
is(row($n, 'state, reason'), 'parked payment_changed_in_bas', 'a document unposted after it was registered is told');
like(row($n, 'detail'), qr/Payment \d+ of SalesDrive \($n\) was registered from document НФНФ-0000$n, which is not posted by now/, 'in words');
change($n, post => JSON::PP::true());
pull();
is(row($n, 'state'), 'sent', 'posted again it is right by itself');
my $rows = (grep { $_->{Ref_Key} eq key($n) } documents($IN))[0]{'РасшифровкаПлатежа'};
$rows->[0]{'СуммаПлатежа'} = $rows->[0]{'СуммаРасчетов'} = 12;
change($n, properties => { 'СуммаДокумента' => 12, 'РасшифровкаПлатежа' => $rows });
$count = posts();
pull();
like(row($n, 'state, reason, detail'), qr/^parked payment_changed_in_bas .*pays 12 by now/, 'another sum, too');
is(posts() - $count, 0, 'nothing is sent');
sql("SELECT salesdrive.link_payment('shop', (SELECT payment_id FROM salesdrive.bas_payment WHERE ref_key = '" . key($n) . "'), '" . key($n) . "', 3)");
run_engine();
is(row($n, 'state'), 'sent', 'corrected by hand, and said so');
change($n, properties => { 'СуммаДокумента' => 0, 'РасшифровкаПлатежа' => [] });
pull();
like(row($n, 'reason, detail'), qr/^payment_changed_in_bas .*pays the order no more/, 'taken off the order');

# ---- many documents, pages of one moment

enter(1000 + $_, { 2 => 0.01 }, Date => '2026-12-01T11:30:00') for 1 .. 3;
$bas->control(POST => '/load', { $IN => [ map { { Ref_Key => key(2000 + $_), Number => "П$_", Date => '2026-12-01T11:31:00', Posted => JSON::PP::true(), 'Организация_Key' => '8c1f4a10-00aa-11ee-8000-000000000001', 'Контрагент_Key' => '8c1f4a10-00bb-11ee-8000-000000000001', 'СуммаДокумента' => 0 } } 1 .. 450 ] });
enter(3000, { 2 => 0.02 }, Date => '2026-12-01T11:32:00');
$count = there();
pull();
is(there() - $count, 4, 'a moment with more documents than a page hides none');
is(sql("SELECT entity IS NULL AND documents > 450 AND requests > 5 FROM salesdrive.payment_poll"), 't', 'the reading ends');

# ---- another currency; documents and payments of a database that this one is a copy of

enter(3001, { 1 => 9 }, 'ВалютаДенежныхСредств_Key' => '8c1f4a10-0980-11ee-8000-000000000002');
enter(3002, { 1 => 8 }, 'Комментарий' => 'shop/p70001: від оригіналу');
$count = there();
pull();
is(row(3001, 'state, reason') . ' ' . (there() - $count), 'parked payment_currency 0', 'a payment in another currency is not registered');
is(sums(1) =~ /^500 \S+ (\S+)/ ? sql("SELECT sum(CASE direction WHEN 'out' THEN -sum ELSE sum END) = $1 FROM salesdrive.bas_payment WHERE order_id = 1 AND ref_key <> '" . key(3001) . "'") : sums(1), 't', 'nor counted');
is(sql("SELECT ours FROM salesdrive.bas_payment WHERE ref_key = '" . key(3002) . "'"), 't', 'a document with our marker is not sent, though its payment is not known here');
sql("SELECT salesdrive.link_payment('shop', 59999, '" . key(3001) . "', 1)");
run_engine();
is(row(3001, 'state'), 'sent', 'by hand, and said so');
$made = documents($IN);
$crm->control(POST => '/payments', { payments => [ { id => 70002, sum => '3.00', date => now_there(), purpose => 'x (bas-0123456789abcdef0123)', organizationAccount => { accountNumber => $MAIN }, paymentBreakdown => [ { sum => '3.00', order => { id => 1 } } ] } ] });
fetch();
is(documents($IN) - $made, 0, 'nor does a payment with a uniqueId of ours make a document');

# ---- adopted: looked for before it is sent

sql("UPDATE salesdrive.account SET payments_from_bas = false");
enter(4000, { 2 => 4 });
pull();
sql("UPDATE salesdrive.account SET payments_from_bas = true; SELECT salesdrive.adopt()");
$unique = sql("SELECT salesdrive.payment_unique_id('shop', '" . key(4000) . "', 2)");
$crm->control(POST => '/payments', { payments => [ { id => 60001, sum => '4.00', date => '2026-12-01 11:00:00', purpose => "НФНФ-004000 ($unique)", paymentBreakdown => [ { sum => '4.00', order => { id => 2 } } ] } ] });
change(4000, properties => { 'Комментарий' => 'ще раз' });
$count = posts();
pull();
is(row(4000, 'state, payment_id') . ' ' . (posts() - $count), 'sent 60001 0', 'what the original of a copy had sent is found, not sent again');
is(sql("SELECT string_agg(concat_ws(' ', kind, reason), '|') FROM salesdrive.parked"), 'payment_out payment_changed_in_bas', 'what was told waits for somebody, and nothing else');
like(sql("SELECT string_agg(problem, '|') FROM salesdrive.check('shop') WHERE subject ~ 'payment'"), qr/^1 payments are parked, the oldest since [^|]*\.$/, 'check() tells of what is parked');

is_deeply($bas->control(GET => '/state')->{violations}, [], 'the base reports no violation');

# ---- other configurations

for my $c ([ trade32 => 'Document_ПоступлениеБезналичныхДенежныхСредств', 'Document_ЗаказКлиента', 'Заказ', 'Сумма', 'БанковскийСчет_Key' ], [ erp => 'Document_ПоступлениеБезналичныхДенежныхСредств', 'Document_ЗаказКлиента', 'Заказ', 'Сумма', 'БанковскийСчет_Key' ],
	[ accounting2 => 'Document_ПлатежноеПоручениеВходящее', 'Document_СчетНаОплатуПокупателю', 'Сделка', 'СуммаПлатежа', 'СчетОрганизации_Key' ])
{
	my ($profile, $set, $order_set, $deal, $share, $place) = @$c;
	my $peer = start_peer('bas', '--configuration', $profile);
	sql("SELECT salesdrive.add_infobase('$profile', '$profile', '" . $peer->url('/base') . "', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => '$profile', url => '" . $crm->url . "', api_key => 'demo-key', infobase => '$profile', webhook_token => 'a-token-of-24-characters', identity => '$profile');
		SELECT salesdrive.set_secret('account:$profile:account_key', 'money-key');
		INSERT INTO salesdrive.payment_rule (account, account_number, bas_key) VALUES ('$profile', '$MAIN', '$BANK');
		UPDATE salesdrive.account SET payments_from_bas = true WHERE name = '$profile'");
	sql(qq(SELECT salesdrive.accept_webhook('$profile', '{"data":{"id":77,"version":1,"orderTime":"2026-11-20 10:00:00","paymentAmount":120,"organizationId":3,"contacts":[{"fName":"X","phone":"0671000001"}],"products":[{"sku":"SKU-0001","amount":1,"price":120}]}}')));
	run_engine();
	my $ref = sql("SELECT bas_ref FROM salesdrive.order_status WHERE account = '$profile'");
	$peer->control(POST => '/load', { $set => [ { Ref_Key => key(1), Number => 'П-1', Date => sql("SELECT to_char(salesdrive.clock() AT TIME ZONE 'Europe/Kyiv', 'YYYY-MM-DD\"T\"HH24:MI:SS')"), Posted => JSON::PP::true(), $place => $BANK, 'СуммаДокумента' => 120.55,
		'РасшифровкаПлатежа' => [ { LineNumber => 1, $deal => $ref, "${deal}_Type" => "StandardODATA.$order_set", $share => 120.55 } ] } ] });
	$count = there();
	sql("SELECT salesdrive.pull_payments('$profile')");
	run_engine();
	is(sql("SELECT string_agg(concat_ws(' ', state, sum, orders), '|') FROM salesdrive.payment_status WHERE account = '$profile'") . ' ' . (there() - $count), 'sent 120.55 77 1', "$profile: a payment document goes to SalesDrive") or diag sql("SELECT string_agg(concat_ws(' ', kind, state, detail), '|') FROM salesdrive.task");
}

# ---- workers, killed while a request of either direction is out: done or not, each is there once

{
	my $other = start_peer('bas');
	my $money = start_peer('salesdrive');
	my $killed = new_node('payments_killed', workers => 1);
	my $ask = sub { my ($query) = @_; utf8::encode($query) if utf8::is_utf8($query); return $killed->safe_psql('postgres', $query) };
	my $now = sub { return $ask->("SELECT to_char(salesdrive.clock() AT TIME ZONE 'Europe/Kyiv', 'YYYY-MM-DD HH24:MI:SS')") };
	my $paid = sub { return @{ $money->control(GET => '/payments')->{payments} } };
	$money->control(POST => '/config', { clock => $now->() });
	$ask->("SELECT salesdrive.add_infobase('main', 'unf', '" . $other->url('/base') . "', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => 'shop', url => '" . $money->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'shop');
		INSERT INTO salesdrive.payment_rule (account, account_number, bas_key) VALUES ('shop', '$MAIN', '$BANK');
		UPDATE salesdrive.infobase SET unsure_margin = '0', total_timeout = '1 s', circuit_after = 1000, retry_base = '1 ms'; UPDATE salesdrive.account SET payments_to_bas = true, payments_from_bas = true");
	$ask->(q(SELECT salesdrive.accept_webhook('shop', '{"data":{"id":1,"version":1,"orderTime":"2026-11-20 10:00:00","paymentAmount":120,"organizationId":3,"contacts":[{"fName":"X","phone":"0671000001"}],"products":[{"sku":"SKU-0001","amount":1,"price":120}]}}')));
	wait_for_sql($killed, 'postgres', 'SELECT state FROM salesdrive.order_status', 'synced');
	$ask->("SELECT salesdrive.fetch_payments('shop')");
	wait_for_sql($killed, 'postgres', "SELECT state FROM salesdrive.fetch_status WHERE feed = 'payments'", 'idle');
	$ask->("UPDATE salesdrive.account_api SET total_timeout = '1 s', circuit_after = 1000, retry_base = '1 ms'");
	my $kill = sub {
		my ($peer, $what, $label, $asked) = @_;
		wait_for('the request', sub { $ask->("SELECT count(*) FROM salesdrive.task WHERE state = 'in_flight' AND purpose = '$what'") });
		wait_for('it to arrive', sub { ($peer->control(GET => '/requests')->{counts}{$label} // 0) > $asked });
		kill 'KILL', $ask->("SELECT pid FROM salesdrive.worker_state() WHERE role = 'exchanger'");
		$peer->control(DELETE => '/faults');
	};
	my $id = 80000;
	my $asked = sub { my ($peer, $label) = @_; return $peer->control(GET => '/requests')->{counts}{$label} // 0 };
	for my $action (qw(hang hang_after))
	{
		my ($before, $sent) = (scalar(documents($IN, $other)), $asked->($other, "POST $IN"));
		$other->control(POST => '/faults', { method => 'POST', path => 'Document_Поступление', action => $action });
		$money->control(POST => '/payments', { payments => [ { id => ++$id, sum => '5.00', date => $now->(), organizationAccount => { accountNumber => $MAIN }, paymentBreakdown => [ { sum => '5.00', order => { id => 1 } } ] } ] });
		$ask->("SELECT salesdrive.fetch_payments('shop')");
		$kill->($other, 'create payment', "POST $IN", $sent);
		ok(wait_for_sql($killed, 'postgres', "SELECT state FROM salesdrive.payment_status WHERE way = 'to_bas' AND payment_id = $id", 'made'), "$action: the exchanger is killed, and the document made");
		is(documents($IN, $other) - $before, 1, 'once');
	}
	for my $action (qw(hang hang_after))
	{
		my ($before, $sent) = (scalar($paid->()), $asked->($money, 'POST /api/payment/'));
		$money->control(POST => '/faults', { method => 'POST', path => '/api/payment/', action => $action });
		my $ref = key($action eq 'hang' ? 1 : 2);
		$other->control(POST => '/load', { $IN => [ { Ref_Key => $ref, Number => "К-$action", Date => $now->() =~ s/ /T/r, Posted => JSON::PP::true(), 'Организация_Key' => '8c1f4a10-00aa-11ee-8000-000000000001', 'Контрагент_Key' => '8c1f4a10-00bb-11ee-8000-000000000001', 'БанковскийСчет_Key' => $BANK, 'СуммаДокумента' => 7,
			'РасшифровкаПлатежа' => [ { LineNumber => 1, 'Заказ' => $ask->('SELECT bas_ref FROM salesdrive.order_status'), 'Заказ_Type' => 'StandardODATA.Document_ЗаказПокупателя', 'СуммаПлатежа' => 7 } ] } ] });
		$ask->("SELECT salesdrive.pull_payments('main')");
		$kill->($money, 'add payment in SalesDrive', 'POST /api/payment/', $sent);
		my $end = $action eq 'hang' ? 'parked' : 'sent';
		ok(wait_for_sql($killed, 'postgres', "SELECT state FROM salesdrive.payment_status WHERE way = 'from_bas' AND ref_key = '$ref'", $end), "$action: the exchanger is killed, and the payment " . ($end eq 'sent' ? 'found' : 'parked'));
		is($paid->() - $before, $end eq 'sent' ? 1 : 0, $end eq 'sent' ? 'there once' : 'not there, and not sent again by itself');
	}
	is_deeply($other->control(GET => '/state')->{violations}, [], 'the base reports no violation');
}

done_testing();
