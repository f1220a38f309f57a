# Documents that follow orders: sales made from the document of the order, closing of it, returns made from the sale. By rules in rows, or by hand; each
# once, over lost answers and a base that makes its own keys; with what people did in BAS respected, and every request counted.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX qw(strftime);
use Test::More;
use SalesDrive::Test;
use SalesDrive::Followups;

start_followups('followups');
deliver(100);

# ---- rules

is(sql('SELECT count(*) FROM salesdrive.followup_rule'), 0, 'as delivered no document follows an order');
deliver(100, statusId => 3);
is(sql('SELECT count(*) FROM salesdrive.followup') . ' ' . scalar all('sale'), '0 0', 'and none does');
like(error_of("INSERT INTO salesdrive.followup_rule (status, action) VALUES ('shipped', 'sale')"), qr/there is no status "shipped" in SalesDrive.*HINT:  Give its id/s, 'a status of SalesDrive is a number');
like(error_of("INSERT INTO salesdrive.followup_rule (status, action, posting) VALUES ('3', 'close', true)"), qr/followup_rule_check/, 'closing posts nothing');
like(error_of("INSERT INTO salesdrive.followup_rule (status, action, foreign_sale) VALUES ('3', 'sale', true)"), qr/followup_rule_check1/, 'only a return asks whose sale it is');
rule('salesdrive', 3, 'sale', account => '*', posting => 1);
rule('salesdrive', 3, 'sale');
is(sql("SELECT concat_ws(' ', account, posting) FROM salesdrive.followup_rules('shop', 'salesdrive')"), 'shop f', 'a row of the account before one of all');
sql("UPDATE salesdrive.followup_rule SET enabled = false WHERE account = 'shop'");
is(sql("SELECT count(*) FROM salesdrive.followup_rules('shop', 'salesdrive')"), 0, 'which switches it off, too');
no_rules();

# ---- the sale

rule('salesdrive', 3, 'sale');
deliver(100, comment => 'ще');
is(sql('SELECT count(*) FROM salesdrive.followup'), 0, 'a rule set later asks nothing of orders that have the status already');
deliver(1);
is(requests(1) . ', ' . order(1, 'state'), 'create order, synced', 'an order');
is(sql("SELECT string_agg(step, '|') FROM salesdrive.preview('shop', 1) WHERE step ~ 'sale'"), '', 'preview() says nothing of a sale');
receive(1, statusId => 3);
sql('SELECT salesdrive.ingest(10)');
is(sql("SELECT step FROM salesdrive.preview('shop', 1) WHERE step ~ 'sale'"), 'sale by status 3', 'until the status is reached');
run_engine();
is(requests(1), 'read order, find sale, create sale', 'on its status the document is read, and the sale made from it');
is(state_of(1, 'sale') . ' ' . order(1, 'state'), 'done synced', 'that was that');
is(key(1, 'sale'), sql("SELECT salesdrive.uuid_v5('3d5c2a9e-7b1f-5e48-9c06-4f8a1b6d2e70', 'sale/shop/1')"), 'under a key that is computed');
my ($order, $sale) = (held(1, 'order'), held(1, 'sale'));
is($sale->{$_}, $order->{$_}, "it has the $_ of the order") for 'Организация_Key', 'Контрагент_Key', 'ВалютаДокумента_Key', 'СуммаВключаетНДС', 'НомерВходящегоДокумента', 'СуммаДокумента', 'Комментарий', 'НалогообложениеНДС';
is($sale->{'СтруктурнаяЕдиница_Key'}, $order->{'СтруктурнаяЕдиницаРезерв_Key'}, 'the warehouse of the reserve');
is_deeply([ map { my $r = $_; [ map { $r->{$_} } 'LineNumber', 'Номенклатура_Key', 'Количество', 'Цена', 'Сумма', 'СтавкаНДС_Key', 'СуммаНДС', 'Всего', 'ЕдиницаИзмерения', 'ЕдиницаИзмерения_Type', 'ТипНоменклатурыЗапас' ] } $sale->{'Запасы'}->@* ],
	[ map { my $r = $_; [ map { $r->{$_} } 'LineNumber', 'Номенклатура_Key', 'Количество', 'Цена', 'Сумма', 'СтавкаНДС_Key', 'СуммаНДС', 'Всего', 'ЕдиницаИзмерения', 'ЕдиницаИзмерения_Type', 'ТипНоменклатурыЗапас' ] } $order->{'Запасы'}->@* ], 'and its rows');
is(join(' ', $sale->@{qw(ВидОперации ПоложениеЗаказаПокупателя)}), 'ПродажаПокупателю ВШапке', 'it is a sale');
is_deeply([ $sale->@{qw(Заказ Заказ_Type ДокументОснование ДокументОснование_Type)} ], [ key(1, 'order'), "StandardODATA.$SET", key(1, 'order'), "StandardODATA.$SET" ], 'of the order');
is($sale->{'Запасы'}[0]{'Заказ'}, key(1, 'order'), 'row by row');
is(in_bas(1, 'sale'), 'not posted not marked', 'not posted, as the rule says');
is(events(1) =~ s/^created //r, 'followup sale_created', 'told');
is(sql("SELECT string_agg(what, ', ' ORDER BY at, id) FROM salesdrive.order_timeline WHERE order_id = 1 AND source = 'exchange' AND what ~ 'sale'"), 'out find sale, out create sale', 'and in the timeline');
is(follow(1, 'sale', "concat_ws(' ', side, status, status_name, posting, bas_number IS NOT NULL, posted, deleted, source_ref = '" . key(1, 'order') . "', task_id)"), 'salesdrive 3 Відправлено f t f f t', 'the view shows it');
is(sql("SELECT count(*) FROM salesdrive.order_event WHERE detail ? 'differences'"), 0, 'BAS kept all of it');

requests(1);
deliver(1, comment => 'правка');
is(requests(1) . ' ' . made(1), 'read order, change order 1', 'edits of the order touch no sale');
deliver(1, statusId => 5);
deliver(1, statusId => 3);
is(requests(1) . made(1), '1', 'the status reached again makes no second one');
sql("UPDATE salesdrive.followup_rule SET enabled = false; UPDATE salesdrive.followup_rule SET enabled = true");
deliver(1, comment => 'ще');
is(made(1), 1, 'nor does a rule set anew');
rule('salesdrive', 5, 'sale');
deliver(1, statusId => 5);
is(made(1), 1, 'nor another rule for the same');

# what is reached, and when
deliver(2, statusId => 3);
is(requests(2) . ' ' . made(2), 'create order, read order, find sale, create sale 1', 'met first with the status: made after the order');
receive(3, statusId => 3);
receive(3, statusId => 7);
run_engine();
is(made(3) . ' ' . requests(3), '1 create order, read order, find sale, create sale', 'a status reached and left before the engine looked counts');
deliver(4, statusId => 3, at => time - 86_400);
is(order(4, 'state') . ' ' . made(4), 'synced 0', 'what was changed before the rule was set, as by a backfill, does not');
deliver(4, comment => 'ще');
is(made(4), 0, 'edited later neither');
deliver(4, statusId => 1);
deliver(4, statusId => 3);
is(made(4), 1, 'reached anew it does');
no_rules();
deliver(5);
deliver(5, statusId => 3);
rule('salesdrive', 3, 'sale', posting => 1);
deliver(5, comment => 'ще');
is(made(5), 0, 'a rule set while the order has the status: not from an edit');

no_rules();
deliver(6);
my $reached = time;
deliver(6, statusId => 3, at => $reached);
rule('salesdrive', 3, 'sale');
for (1 .. 8) { $version{6}--; deliver(6, comment => "вигляд $_", at => $reached) }
is(sql("SELECT count(*) FROM salesdrive.crm_order_version WHERE order_id = 6 AND version = 2") . ' ' . made(6), '9 0', 'nor from another shape of the version that reached it before');
no_rules();
rule('salesdrive', 3, 'sale', posting => 1);

# ---- as BAS holds it now: what people changed there goes over

sub with_rows { my ($o, @rows) = @_; my $n = 0; return { 'Запасы' => [ map { my %r = ($o->{'Запасы'}[0]->%*, $_->%*, LineNumber => ++$n); $r{'Всего'} = $r{'Сумма'}; delete $r{Ref_Key}; \%r } @rows ], 'СуммаДокумента' => eval { my $s = 0; $s += $_->{'Сумма'} for @rows; $s } } }
my $char = '8c1f4a10-00ff-11ee-8000-000000000001';
deliver(10);
user(10, 'order', properties => { with_rows(held(10, 'order'), { 'Количество' => 3, 'Сумма' => 180, 'СуммаНДС' => 30, 'Характеристика_Key' => $char, 'Резерв' => 3 }, { 'Количество' => 1, 'Сумма' => 59.99, 'СуммаНДС' => 10 })->%*, 'Комментарий' => 'від людей', 'СтруктурнаяЕдиницаРезерв_Key' => '8c1f4a10-00ee-11ee-8000-000000000002' }, post => $yes);
requests(10);
deliver(10, statusId => 3);
is(state_of(10, 'sale'), 'done', 'an order that people changed');
is(requests(10), 'read order, find sale, create sale, post sale', 'made, and posted by its rule');
$sale = held(10, 'sale');
is_deeply([ map { my $r = $_; join ' ', map { $r->{$_} } 'Количество', 'Сумма', 'СуммаНДС', 'Всего', 'Резерв' } $sale->{'Запасы'}->@* ], [ '3 180 30 180 3', '1 59.99 10 59.99 0' ], 'their rows go over');
is($sale->{'Запасы'}[0]{'Характеристика_Key'}, $char, 'with the characteristic');
is(join(' ', $sale->@{qw(СуммаДокумента Комментарий СтруктурнаяЕдиница_Key)}), '239.99 від людей 8c1f4a10-00ee-11ee-8000-000000000002', 'and the header');
is(in_bas(10, 'sale') . ' ' . events(10) =~ s/^.*followup/followup/r, 'posted not marked followup sale_created sale_posted', 'posted, told');
deliver(11, products => [ map { { sku => "SKU-000$_", amount => 1, price => 10.01 * $_ } } 1 .. 5 ]);
user(11, 'order', post => $yes);
deliver(11, statusId => 3);
is(held(11, 'sale')->{'СуммаДокумента'} . ' ' . held(11, 'sale')->{'Запасы'}->@*, '150.15 5', 'several rows');

# an order that cannot give one
deliver(12);
requests(12);
deliver(12, statusId => 3);
is(state_of(12, 'sale') . ' ' . requests(12), 'parked order_not_posted read order', 'not posted, and the sale is to be: parked');
is(order(12, 'state'), 'synced', 'the order is not held up');
like(follow(12, 'sale', 'detail'), qr/^Document НФ\S+ of the order is not posted in BAS, and the sales document made from it is to be posted\.$/, 'which says so');
is(sql("SELECT concat_ws(' ', kind, account, order_id, reason) FROM salesdrive.parked"), 'followup shop 12 order_not_posted', 'in the list of what is parked, too');
user(12, 'order', post => $yes);
sql("SELECT salesdrive.resume('shop', 12)");
run_engine();
is(state_of(12, 'sale') . ' ' . in_bas(12, 'sale'), 'done posted not marked', 'resume() goes on');
deliver(13);
user(13, 'order', properties => { 'СуммаДокумента' => 121 }, post => $yes);
deliver(13, statusId => 3);
is(state_of(13, 'sale') . ' ' . follow(13, 'sale', 'detail') =~ s/НФ\S+/N/r, 'parked followup_sum The rows of document N add up to 120.00, and its sum is 121.00.', 'a sum that is not that of its rows: parked with both');
is(made(13), 0, 'nothing is made');
user(13, 'order', properties => { 'СуммаДокумента' => 120 });
sql('SELECT salesdrive.resume(' . follow(13, 'sale', 'task_id') . ')');
run_engine();
is(state_of(13, 'sale') . ' ' . made(13), 'done 1', 'mended, it goes on');
deliver(14);
user(14, 'order', properties => { DeletionMark => $yes });
deliver(14, statusId => 3);
is(state_of(14, 'sale'), 'parked deleted_in_bas', 'marked for deletion: parked');
user(14, 'order', properties => { DeletionMark => $no });
user(14, 'order', post => $yes);
sql('SELECT salesdrive.resume(' . follow(14, 'sale', 'task_id') . ')');
run_engine();
is(state_of(14, 'sale') . ' ' . made(14), 'done 1', 'until the mark is gone');
deliver(15);
user(15, 'order', properties => { 'СтруктурнаяЕдиницаРезерв_Key' => $NIL }, post => $yes);
deliver(15, statusId => 3);
is(state_of(15, 'sale') . ' ' . follow(15, 'sale', 'detail'), 'parked followup_property BAS needs more to post the document than the one it is made from gives: СтруктурнаяЕдиница_Key (sale.warehouse).', 'without a warehouse no sale is posted');
sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property, edm_type, constant) VALUES ('unf', 'sale', 'warehouse', 'СтруктурнаяЕдиница_Key', 'Edm.Guid', '\"8c1f4a10-00ee-11ee-8000-000000000001\"')");
run_engine();
is(state_of(15, 'sale') . ' ' . held(15, 'sale')->{'СтруктурнаяЕдиница_Key'}, 'done 8c1f4a10-00ee-11ee-8000-000000000001', 'a constant of the profile gives it, and it goes on by itself');
sql("DELETE FROM salesdrive.profile_property WHERE origin = 'user'");
deliver(16, products => [ { sku => 'NO-SUCH', amount => 1, price => 5 } ], statusId => 3);
is(order(16, 'state') . ' ' . state_of(16, 'sale'), 'parked waiting order', 'an order that is parked: its sale waits for it');
like(follow(16, 'sale', 'detail'), qr/^The order has no document in BAS yet\. Line 1, SKU "NO-SUCH"/, 'and says for what');
deliver(16, products => [ { sku => 'SKU-0003', amount => 1, price => 5 } ]);
is(state_of(16, 'sale'), 'parked order_not_posted', 'as soon as it is there it goes on');
no_rules();
rule('salesdrive', 3, 'sale');
deliver(17);
user(17, 'order', post => $yes);
deliver(17, statusId => 3, products => [ { sku => 'SKU-0001', amount => 5, price => 60 } ]);
is(order(17, "concat_ws(' ', state, reason)") . ' ' . state_of(17, 'sale'), 'parked posted_in_bas waiting order', 'one whose change waits for a decision: so does its sale');
sql("SELECT salesdrive.resend('shop', 17)");
run_engine();
is(state_of(17, 'sale') . ' ' . held(17, 'sale')->{'СуммаДокумента'}, 'done 300', 'it is made from what was decided');
sql("UPDATE salesdrive.account SET posting = true WHERE name = 'shop'");
deliver(18);
requests(18);
deliver(18, statusId => 3, comment => 'разом');
is(requests(18) . ' ' . held(18, 'sale')->{'Комментарий'}, 'read order, change order, post order, read order, find sale, create sale разом', 'a change that comes with the status is written, and posted, first');
sql("UPDATE salesdrive.account SET posting = false WHERE name = 'shop'");
deliver(19);
sql("SELECT salesdrive.skip('shop', 19, 'left')");
deliver(19, statusId => 3);
is(state_of(19, 'sale'), 'parked order_skipped', 'an order that was skipped: parked');
sql("SELECT salesdrive.resume('shop', 19)");
run_engine();
is(state_of(19, 'sale') . ' ' . made(19), 'done 1', 'and resumed with it');
receive(20, statusId => 3);
receive(20, statusId => 6);
run_engine();
is(order(20, "concat_ws(' ', state, reason)") . ' ' . state_of(20, 'sale') . ' ' . made(20), 'not_wanted cancelled dropped cancelled 0', 'shipped, and cancelled before the engine looked: no order, no sale');
deliver(20, statusId => 1);
deliver(20, statusId => 3);
is(state_of(20, 'sale') . ' ' . made(20), 'done 1', 'living again and shipped it has one');

# ---- what people do to it stays

user(1, 'sale', properties => { DeletionMark => $yes });
deliver(1, statusId => 3);
is(in_bas(1, 'sale') . ' ' . made(1), 'not posted marked 1', 'marked for deletion by people: left so');
sql("SELECT salesdrive.make_followup('shop', 1, 'sale')");
run_engine();
is(state_of(1, 'sale') . ' ' . in_bas(1, 'sale') . ' ' . made(1), 'parked deleted_in_bas not posted marked 1', 'also when it is asked for by hand, which says so');
user(1, 'sale', properties => { DeletionMark => $no });
sql('SELECT salesdrive.resume(' . follow(1, 'sale', 'task_id') . ')');
run_engine();
is(state_of(1, 'sale') . ' ' . follow(1, 'sale', 'deleted'), 'done f', 'the mark gone, all is well');
user(10, 'sale', post => $no);
deliver(10, statusId => 1);
deliver(10, statusId => 3);
is(in_bas(10, 'sale'), 'not posted not marked', 'unposted by people: left so');
sql("SELECT salesdrive.make_followup('shop', 10, 'sale')");
run_engine();
is(in_bas(10, 'sale') . ' ' . made(10), 'posted not marked 1', 'by hand it is posted again');
user(2, 'sale', properties => { 'Комментарий' => 'їхнє' }, post => $yes);
sql("SELECT salesdrive.make_followup('shop', 2, 'sale')");
run_engine();
is(held(2, 'sale')->{'Комментарий'} . ' ' . in_bas(2, 'sale') . ' ' . state_of(2, 'sale'), 'їхнє posted not marked done', 'what they wrote into it stays, too');
$bas->control(POST => '/delete', { set => $SALE, keys => [ key(2, 'sale') ] });
deliver(2, comment => 'ще');
is(made(2), 0, 'deleted in BAS: not made again');
requests(2);
sql("SELECT salesdrive.make_followup('shop', 2, 'sale')");
run_engine();
is(made(2) . ' ' . requests(2), '1 read sale, read order, create sale', 'but by hand');

# ---- answers that are lost, before the work and after it

my %FAULT = (reset_before => {}, reset_after => {}, 'no object' => { action => 'status', status => 201, body => 'json', text => '{}', after => $yes });
sub settled { my ($id, $action) = @_; return wait_for('the end', sub { run_engine(); state_of($id, $action) eq 'done' }) }
no_rules();
rule('salesdrive', 3, 'sale', posting => 1);
rule('salesdrive', 7, 'return', posting => 1);
my $id = 30;
for my $fault (sort keys %FAULT)
{
	for my $step ([ 'sale', 'create' ], [ 'sale', 'post' ], [ 'return', 'create' ], [ 'return', 'post' ])
	{
		my ($action, $verb) = @$step;
		next if $fault eq 'no object' && $verb eq 'post';    # whose answer has nothing in it anyway
		$id++;
		deliver($id);
		user($id, 'order', post => $yes);
		deliver($id, statusId => 3) if $action eq 'return';
		requests($id);
		$bas->control(POST => '/faults', { method => 'POST', path => 'POST .*' . set($action) . ($verb eq 'post' ? '.*/Post' : '$'), action => $fault, times => 1, $FAULT{$fault}->%* });
		deliver($id, statusId => $action eq 'sale' ? 3 : 7);
		ok(settled($id, $action), "$verb $action, $fault: it ends");
		is(($action eq 'sale' ? made($id) : returned($id)) . ' ' . in_bas($id, $action), '1 posted not marked', 'with one document, posted');
		my $requests = requests($id);
		is(scalar(() = $requests =~ /\b$verb $action/g), $fault eq 'reset_before' ? 2 : 1, $fault eq 'reset_before' ? 'what did not arrive is done again' : 'what arrived is not done twice');
		like($requests, qr/$verb $action, read $action/, 'it is looked for first');
		is(scalar(() = events($id) =~ /${action}_(?:created|found)/g) . ' ' . scalar(() = events($id) =~ /${action}_posted/g), '1 1', 'and told once');
	}
}
$bas->control(DELETE => '/faults');

# a base that is still at work when it is asked
deliver(50);
user(50, 'order', post => $yes);
requests(50);
sql("UPDATE salesdrive.infobase SET unsure_margin = '3 s'");
$bas->control(POST => '/faults', { method => 'POST', path => "POST .*$SALE\$", action => 'delay', ms => 2000, times => 1 });
deliver(50, statusId => 3);
ok(settled(50, 'sale'), 'a sale that comes late');
like(made(50) . ' ' . requests(50), qr/^1 read order, find sale, create sale, (read sale, )+post sale$/, 'is waited for, and not made twice');
sql("UPDATE salesdrive.infobase SET unsure_margin = '0'");

# an engine that dies with the request in hand
deliver(51);
user(51, 'order', post => $yes);
sql("SELECT salesdrive.make_followup('shop', 51, 'sale', posting => true)");
sql("UPDATE salesdrive.followup SET source_body = (SELECT read_body FROM salesdrive.bas_order b WHERE b.order_id = 51) || '{\"Posted\": true}', source_ref = '" . key(51, 'order') . "', source_read_at = clock_timestamp() WHERE order_id = 51");
requests(51);
sql('SELECT count(*) FROM salesdrive.claim(10)');
is(sql("SELECT string_agg(purpose, ',') FROM salesdrive.task WHERE state = 'in_flight'"), 'create sale', 'a creation that is claimed, and never sent');
is(row(51, 'sale', 'writing'), 'create', 'is unsure');
ok(settled(51, 'sale'), 'left behind it ends');
like(made(51) . ' ' . requests(51), qr/^1 create sale, (?:read sale, )+.*create sale, post sale$/, 'looked for, and made once');
like(sql("SELECT class FROM salesdrive.exchange_log WHERE order_id = 51 AND purpose = 'create sale' ORDER BY id LIMIT 1"), qr/^unknown_outcome$/, 'the log says that its outcome was not known');

# refused in the words of BAS
deliver(52);
user(52, 'order', post => $yes);
$bas->control(POST => '/config', { closed_until => strftime('%Y-%m-%d', localtime time + 86400) });
deliver(52, statusId => 3);
ok(wait_for('the end', sub { run_engine(); state_of(52, 'sale') =~ /^parked/ }), 'a period that is closed: parked');
like(state_of(52, 'sale') . ' ' . follow(52, 'sale', 'detail'), qr/^parked business .*закрытом периоде/, 'in the words of BAS');
is(made(52) . ' ' . in_bas(52, 'sale'), '1 not posted not marked', 'made, and not posted');
$bas->control(POST => '/config', { closed_until => '' });
sql("SELECT salesdrive.resume('shop', 52)");
run_engine();
is(state_of(52, 'sale') . ' ' . in_bas(52, 'sale') . ' ' . made(52), 'done posted not marked 1', 'resume() posts it');

# ---- the return

no_rules();
rule('salesdrive', 3, 'sale', posting => 1);
rule('salesdrive', 6, 'return', posting => 1);
sub shipped { my ($id, %o) = @_; deliver($id, %o); user($id, 'order', post => $yes); deliver($id, statusId => 3); requests($id); return }
shipped(60, products => [ { sku => 'SKU-0001', amount => 2, price => 60 }, { sku => 'SKU-9004', amount => 1, price => 30 } ]);
user(60, 'sale', properties => { 'Комментарий' => 'змінили люди' });
deliver(60, statusId => 6);
is(state_of(60, 'return') . ' ' . requests(60), 'done read sale, find return, create return, post return', 'shipped, then cancelled: the sale is read, and the return made from it');
my $return = held(60, 'return');
like(sql("SELECT url FROM salesdrive.exchange_log WHERE order_id = 60 AND purpose = 'read sale' ORDER BY id LIMIT 1"), qr/Ref_Key%20eq%20guid%27@{[ key(60, 'sale') ]}%27$/, 'its own sale is read by its key');
is(key(60, 'return'), sql("SELECT salesdrive.uuid_v5('3d5c2a9e-7b1f-5e48-9c06-4f8a1b6d2e70', 'return/shop/60')"), 'under a key that is computed');
is_deeply([ $return->@{qw(ВидОперации ДокументОснование ДокументОснование_Type СуммаДокумента Комментарий)} ], [ 'ВозвратОтПокупателя', key(60, 'sale'), "StandardODATA.$SALE", 120, 'змінили люди' ], 'tied to the sale, as people left it');
is(join(' ', map { "$_->{'Количество'}/$_->{'Сумма'}" } $return->{'Запасы'}->@*), '2/120', 'with its goods: a service is not brought back');
is($return->{$_}, held(60, 'sale')->{$_}, "it has the $_ of the sale") for 'СтруктурнаяЕдиница_Key', 'Контрагент_Key', 'Организация_Key', 'ВалютаДокумента_Key';
is(in_bas(60, 'return') . ' ' . in_bas(60, 'sale') . ' ' . in_bas(60, 'order'), 'posted not marked posted not marked posted not marked', 'posted; the others stay as they are');
is(events(60) =~ s/^.*sale_posted //r, 'followup cancelled return_created return_posted', 'told');
deliver(60, statusId => 3);
deliver(60, statusId => 6);
is(requests(60) =~ s/read order(, )?//gr . made(60) . returned(60), '11', 'each once, whatever comes');
deliver(61, statusId => 6);
deliver(62);
deliver(62, statusId => 6);
is(state_of(61, 'return') . ', ' . state_of(62, 'return'), 'dropped no_sale, dropped no_sale', 'never shipped: nothing to return');
like(follow(62, 'return', 'detail'), qr/^No sales document was made from the order/, 'which is told');
shipped(63);
user(63, 'sale', post => $no);
deliver(63, statusId => 6);
is(state_of(63, 'return'), 'parked sale_not_posted', 'a sale that people unposted: parked');
user(63, 'sale', properties => { DeletionMark => $yes });
sql('SELECT salesdrive.resume(' . follow(63, 'return', 'task_id') . ')');
run_engine();
is(state_of(63, 'return') . ' ' . returned(63), 'dropped no_sale 0', 'marked for deletion: nothing to return');
$bas->control(POST => '/config', { refuse => { "post $SALE" => 'Не хватает товара' } });
shipped(64);
wait_for('the end', sub { run_engine(); state_of(64, 'sale') =~ /^parked/ });
deliver(64, statusId => 6);
is(state_of(64, 'sale') . ', ' . state_of(64, 'return'), 'parked business, waiting sale', 'a sale that BAS does not post: its return waits for it');
$bas->control(POST => '/config', { refuse => {} });
sql("SELECT salesdrive.resume('shop', 64)");
run_engine();
is(state_of(64, 'sale') . ' ' . state_of(64, 'return'), 'done done', 'and goes on with it');

# a sale that people made
sub people_sell { my ($id) = @_; my $o = held($id, 'order'); my %s = map { $_ => $o->{$_} } 'Организация_Key', 'Контрагент_Key', 'ВалютаДокумента_Key', 'СуммаДокумента', 'СуммаВключаетНДС';
	my @rows = map { my %r = $_->%*; delete @r{qw(Ref_Key Спецификация_Key)}; \%r } $o->{'Запасы'}->@*;
	$bas->control(POST => '/load', { $SALE => [ { %s, Posted => $yes, 'Заказ' => $o->{Ref_Key}, 'Заказ_Type' => "StandardODATA.$SET", 'СтруктурнаяЕдиница_Key' => '8c1f4a10-00ee-11ee-8000-000000000001', 'Запасы' => \@rows } ] }); return }
deliver(65);
people_sell(65);
deliver(65, statusId => 6);
is(state_of(65, 'return'), 'dropped no_sale', 'a sale that people made does not count');
sql("UPDATE salesdrive.followup_rule SET foreign_sale = true WHERE action = 'return'");
deliver(66);
people_sell(66);
requests(66);
deliver(66, statusId => 6);
my ($theirs) = grep { $_->{'Заказ'} eq key(66, 'order') } all('sale');
is(state_of(66, 'return') . ' ' . requests(66) . ' ' . held(66, 'return')->{'ДокументОснование'}, "done read sale, find return, create return, post return $theirs->{Ref_Key}", 'unless the rule says so: found by its reference to the order');
deliver(67);
people_sell(67);
people_sell(67);
deliver(67, statusId => 6);
is(state_of(67, 'return'), 'parked sale_several', 'several: parked');
like(follow(67, 'return', 'detail'), qr/^Several sales documents were made from the order: \S+, \S+\.$/, 'with their numbers');
my (undef, $other) = grep { $_->{'Заказ'} eq key(67, 'order') } all('sale');
$bas->control(POST => '/edit', { set => $SALE, key => $other->{Ref_Key}, post => $no });
$bas->control(POST => '/edit', { set => $SALE, key => $other->{Ref_Key}, properties => { DeletionMark => $yes } });
sql("SELECT salesdrive.resume('shop', 67)");
run_engine();
is(state_of(67, 'return'), 'done', 'until one is left');
shipped(69);
my $sold = held(69, 'sale');
$bas->control(POST => '/load', { $RETURN => [ { (map { $_ => $sold->{$_} } 'Организация_Key', 'Контрагент_Key', 'ВалютаДокумента_Key', 'СуммаДокумента'), Posted => $yes, 'ДокументОснование' => key(69, 'sale'), 'ДокументОснование_Type' => "StandardODATA.$SALE" } ] });
deliver(69, statusId => 6);
is(state_of(69, 'return') . ' ' . returned(69), 'dropped made_by_people 1', 'a return that people made: none beside it');
no_rules();
rule('salesdrive', 3, 'sale', posting => 1);
deliver(73);
user(73, 'order', post => $yes);
people_sell(73);
requests(73);
deliver(73, statusId => 3);
is(state_of(73, 'sale') . ' ' . made(73) . ' ' . requests(73), 'dropped made_by_people 1 read order, find sale', 'nor a sale beside one that people made from the order');
like(follow(73, 'sale', 'detail'), qr/^Sales document \S+ was made from the order by people: none is made beside it\.$/, 'which is told');
my ($by_people) = grep { $_->{'Заказ'} eq key(73, 'order') } all('sale');
$bas->control(POST => '/edit', { set => $SALE, key => $by_people->{Ref_Key}, post => $no });
$bas->control(POST => '/edit', { set => $SALE, key => $by_people->{Ref_Key}, properties => { DeletionMark => $yes } });
deliver(73, statusId => 1);
deliver(73, statusId => 3);
is(state_of(73, 'sale') . ' ' . made(73), 'done 2', 'one marked for deletion does not count, when the status is reached anew');
deliver(74);
user(74, 'order', post => $yes);
people_sell(74);
sql("SELECT salesdrive.make_followup('shop', 74, 'sale')");
run_engine();
is(state_of(74, 'sale') . ' ' . made(74), 'done 2', 'by hand it is made all the same');
no_rules();
rule('salesdrive', 3, 'sale', posting => 1);
rule('salesdrive', 6, 'return', posting => 1, foreign => 1);
deliver(68);
deliver(68, statusId => 6);
is(state_of(68, 'return'), 'dropped no_sale', 'and none: nothing to return');

# ---- cancelled orders whose document is to be marked for deletion

sql("INSERT INTO salesdrive.cancel_rule (status, action, may_unpost) VALUES ('6', 'mark', true)");
shipped(70);
deliver(70, statusId => 6);
is(order(70, "concat_ws(' ', state, reason)") . ' ' . in_bas(70, 'order') . ' ' . state_of(70, 'return'), 'not_wanted cancelled_sold posted not marked done', 'with a return: the document of the order stays, and that is told');
no_rules();
rule('salesdrive', 3, 'sale', posting => 1);
shipped(71);
deliver(71, statusId => 6);
is(order(71, "concat_ws(' ', state, reason)") . ' ' . in_bas(71, 'order'), 'parked cancelled_sold posted not marked', 'without one it is parked, and not marked');
like(order(71, 'hint'), qr/make_followup\('shop', 71, 'return'\)/, 'the hint says what to do');
sql("SELECT salesdrive.make_followup('shop', 71, 'return', posting => true)");
run_engine();
is(state_of(71, 'return') . ' ' . order(71, "concat_ws(' ', state, reason)"), 'done not_wanted cancelled_sold', 'the return made by hand, it goes on by itself');
shipped(72);
deliver(72, statusId => 6);
user(72, 'sale', post => $no);
sql("SELECT salesdrive.resend('shop', 72)");
run_engine();
is(in_bas(72, 'order') . ' ' . order(72, 'state'), 'not posted marked synced', 'resend() marks it all the same');
sql('DELETE FROM salesdrive.cancel_rule WHERE origin = \'user\'');

# ---- closing

no_rules();
rule('salesdrive', 5, 'close');
my $closed = '8c1f4a10-00f4-11ee-8000-000000000003';
deliver(80);
user(80, 'order', post => $yes);
requests(80);
deliver(80, statusId => 5);
is(state_of(80, 'close') . ' ' . order(80, 'state') . ' ' . requests(80), 'done synced read order, close order, post order', 'closed, by the task of the order, and posted again as it was');
is(join(' ', held(80, 'order')->@{qw(СостояниеЗаказа СостояниеЗаказа_Type ВариантЗавершения)}), "$closed StandardODATA.Catalog_СостоянияЗаказовПокупателей Успешно", 'with the predefined status');
is(sql("SELECT string_agg(request_body, '') FROM salesdrive.exchange_log WHERE order_id = 80 AND purpose = 'close order'") =~ s/[^{]*(\{.*\}).*/$1/r, sql("SELECT jsonb_build_object('ВариантЗавершения', 'Успешно', 'СостояниеЗаказа', '$closed', 'СостояниеЗаказа_Type', 'StandardODATA.Catalog_СостоянияЗаказовПокупателей')"), 'and nothing else');
is(events(80) =~ s/^created //r, 'followup posted closed', 'told');
sql("UPDATE salesdrive.account SET edit_policy = 'free'");
deliver(80, comment => 'після');
sql('UPDATE salesdrive.account SET edit_policy = NULL');
is(requests(80) . ' ' . held(80, 'order')->{'СостояниеЗаказа'}, "read order, change order, post order $closed", 'edits go on, and it stays closed');
user(80, 'order', properties => { 'СостояниеЗаказа' => '8c1f4a10-00f4-11ee-8000-000000000001' });
deliver(80, statusId => 1);
deliver(80, statusId => 5);
is(held(80, 'order')->{'СостояниеЗаказа'}, '8c1f4a10-00f4-11ee-8000-000000000001', 'opened again by people: left so');
deliver(81);
user(81, 'order', properties => { 'СостояниеЗаказа' => $closed, 'СостояниеЗаказа_Type' => 'StandardODATA.Catalog_СостоянияЗаказовПокупателей', 'ВариантЗавершения' => 'Успешно' });
requests(81);
deliver(81, statusId => 5);
is(state_of(81, 'close') . ' ' . requests(81), 'done read order', 'closed by people already: nothing is written');
rule('salesdrive', 6, 'close');
deliver(82);
deliver(82, statusId => 6);
is(state_of(82, 'close') . ' ' . held(82, 'order')->{'ВариантЗавершения'}, 'done Отменен', 'a cancelled order is closed as such');
deliver(83);
user(83, 'order', properties => { DeletionMark => $yes });
deliver(83, statusId => 5);
is(state_of(83, 'close'), 'dropped deleted_in_bas', 'one marked for deletion is not closed');
deliver(84);
sql('UPDATE salesdrive.account SET documents = false');
deliver(84, statusId => 5);
is(state_of(84, 'close') . ' ' . order(84, "concat_ws(' ', state, reason)"), 'parked order_not_closed not_wanted documents_off', 'documents off: parked');
sql('UPDATE salesdrive.account SET documents = true');
run_engine();
sql('SELECT salesdrive.resume(' . follow(84, 'close', 'task_id') . ')');
run_engine();
is(state_of(84, 'close'), 'done', 'and resumed');
sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, constant) VALUES ('unf', 'closing', 'closed', '\"Такого немає\"')");
deliver(88);
deliver(88, statusId => 5);
like(state_of(88, 'close') . ' ' . follow(88, 'close', 'detail'), qr/^parked close_status Infobase "main" has no status "Такого немає" \(there: /, 'a status that the base does not have: parked');
sql("DELETE FROM salesdrive.profile_property WHERE origin = 'user'");
run_engine();
is(state_of(88, 'close'), 'done', 'the constant mended, it goes on by itself');
for my $fault ('reset_before', 'reset_after')
{
	my $id = $fault eq 'reset_before' ? 85 : 86;
	deliver($id);
	requests($id);
	$bas->control(POST => '/faults', { method => 'PATCH', action => $fault, times => 1 });
	deliver($id, statusId => 5);
	ok(settled($id, 'close'), "closing, $fault: it ends");
	is(held($id, 'order')->{'СостояниеЗаказа'} . ' ' . (() = requests($id) =~ /close order/g), $closed . ($fault eq 'reset_before' ? ' 2' : ' 1'), 'well, and is written no more often than needed');
	is(scalar(() = events($id) =~ /\bclosed\b/g), 1, 'told once');
}
sql("SELECT salesdrive.map_value('shop', 'status', '1', 'Відкритий'); SELECT salesdrive.map_value('shop', 'status', '5', 'Завершено', 'to_crm'); UPDATE salesdrive.account SET status_to_bas = true, status_from_bas = true");
deliver(87);
is(held(87, 'order')->{'СостояниеЗаказа'}, '8c1f4a10-00f4-11ee-8000-000000000001', 'where statuses travel');
deliver(87, statusId => 6);
is(state_of(87, 'close') . ' ' . held(87, 'order')->{'СостояниеЗаказа'}, "done $closed", 'it is closed, too');
sql("SELECT salesdrive.pull_statuses('main')");
run_engine();
is(sql("SELECT count(*) FROM salesdrive.crm_change WHERE order_id = 87"), 0, 'and SalesDrive is not told the status that was written from here');
deliver(87, statusId => 1);
is(held(87, 'order')->{'СостояниеЗаказа'}, '8c1f4a10-00f4-11ee-8000-000000000001', 'a status of SalesDrive opens it again');
sql("UPDATE salesdrive.account SET status_to_bas = false, status_from_bas = false; DELETE FROM salesdrive.value_map");

# ---- statuses of BAS

no_rules();
rule('bas', 'В роботі', 'sale');
rule('bas', 'Завершен', 'return');
my $work = '8c1f4a10-00f4-11ee-8000-000000000002';
sub user_status { my ($id, $status) = @_; user($id, 'order', properties => { 'СостояниеЗаказа' => $status, 'СостояниеЗаказа_Type' => 'StandardODATA.Catalog_СостоянияЗаказовПокупателей' }); return }
sub pull { sql("SELECT salesdrive.pull_statuses('main')"); return run_engine() }
deliver(90);
requests(90);
user_status(90, $work);
pull();
is(state_of(90, 'sale') . ' ' . made(90) . ' ' . requests(90), 'done 1 read order, find sale, create sale', 'a status that people set in BAS asks for it');
is(follow(90, 'sale', "concat_ws(' ', side, status, status_name)"), "bas $work В роботі", 'as the view says');
user_status(90, '8c1f4a10-00f4-11ee-8000-000000000001');
pull();
user_status(90, $work);
pull();
is(made(90), 1, 'once');
user(90, 'sale', post => $yes);
user_status(90, $closed);
pull();
is(state_of(90, 'return'), 'done', 'a predefined status by its name');
deliver(91);
user_status(91, $work);
no_rules();
pull();
rule('bas', $work, 'sale');
pull();
deliver(91, comment => 'ще');
is(state_of(91, 'sale'), '', 'what was reached before the rule was set does not count');

# ---- by hand

no_rules();
deliver(95);
like(error_of("SELECT salesdrive.make_followup('shop', 95, 'sell')"), qr/there is no action "sell".*sale, close, return/s, 'actions there are');
like(error_of("SELECT salesdrive.make_followup('shop', 9999, 'sale')"), qr/order 9999 of account "shop" has not been received/, 'orders there are not');
my $task = sql("SELECT salesdrive.make_followup('shop', 95, 'sale')");
is(sql("SELECT concat_ws(' ', step, method) FROM salesdrive.preview('shop', 95) WHERE step ~ 'follow'"), 'sale to follow: read order GET', 'preview() shows the next step');
sql("CALL salesdrive.wait($task)");
is(state_of(95, 'sale') . ' ' . follow(95, 'sale', 'side') . ' ' . in_bas(95, 'sale'), 'done hand not posted not marked', 'made by hand');
user(95, 'order', post => $yes);
sql("SELECT salesdrive.make_followup('shop', 95, 'sale', posting => true)");
run_engine();
is(in_bas(95, 'sale') . ' ' . made(95), 'posted not marked 1', 'and posted');
sql("SELECT salesdrive.make_followup('shop', 95, 'return', true), salesdrive.make_followup('shop', 95, 'close')");
run_engine();
is(state_of(95, 'return') . ' ' . state_of(95, 'close') . ' ' . held(95, 'order')->{'СостояниеЗаказа'}, "done done $closed", 'returned, and closed');

# ---- check()

sub found { my ($account, $base) = @_; return sql("SELECT string_agg(severity || ' ' || problem, E'\\n' ORDER BY problem) FROM salesdrive.check_followups((SELECT a FROM salesdrive.account a WHERE name = '" . ($account // 'shop') . "'), (SELECT i FROM salesdrive.infobase i WHERE name = '" . ($base // 'main') . "')) WHERE subject <> 'followup documents'") }
is(found(), '', 'without rules check() has nothing to say');
rule('salesdrive', 3, 'sale');
rule('salesdrive', 3, 'return', posting => 1);
is(found(), '', 'nor with rules that work');
rule('salesdrive', 555, 'close');
rule('bas', 'Немає такого', 'close');
is(found(), qq{warning followup_rule names status "Немає такого", which is not in the base "main" (there: } . sql("SELECT candidates FROM salesdrive.chosen_value('main', 'status', 'x')") . qq{).\nwarning followup_rule names status 555, which neither SalesDrive lists nor any order has.}, 'statuses that nobody knows');
sql("UPDATE salesdrive.status_poll SET done_at = done_at - interval '2 days'");
like(found(), qr/Rules look at the status of documents in BAS, and nobody asks for it\./, 'and nobody who asks for them');
no_rules();
rule('salesdrive', 3, 'sale');
$bas->control(POST => '/config', { unpublished => [$SALE] });
sql("SELECT salesdrive.load_metadata('main')");
run_engine();
is(found(), 'error A rule makes documents of it (sale), and the OData interface does not publish it.', 'a set that is not published');
deliver(97, statusId => 3);
is(state_of(97, 'sale') . ' ' . sql("SELECT state FROM salesdrive.infobase_status WHERE infobase = 'main'"), 'parked not_published open for work', 'its documents are parked, and nothing else');
$bas->control(POST => '/config', { unpublished => [] });
sql("SELECT salesdrive.load_metadata('main')");
run_engine();
$bas->control(POST => '/config', { unpublished => [$SALE] });
deliver(98, statusId => 3);
is(state_of(98, 'sale') . ' ' . sql("SELECT state FROM salesdrive.infobase_status WHERE infobase = 'main'"), 'parked business open for work', 'also where that is not known yet');
like(follow(98, 'sale', 'detail'), qr/не найден/, 'in the words of BAS');
$bas->control(POST => '/config', { unpublished => [] });
sql("SELECT salesdrive.load_metadata('main')");
run_engine();
sql("SELECT salesdrive.resume('shop', 97), salesdrive.resume('shop', 98)");
run_engine();
is(state_of(97, 'sale') . ' ' . state_of(98, 'sale'), 'done done', 'published, they are made');

# ---- rights

sql("CREATE ROLE ope LOGIN; SELECT salesdrive.grant_access('ope', 'operator')");
sub as_operator { my ($query) = @_; utf8::encode($query) if utf8::is_utf8($query); my ($rc, $out, $err) = $node->psql('postgres', "SET ROLE ope; $query"); utf8::decode($err); return $err . $out }
like(as_operator("SELECT salesdrive.make_followup('shop', 95, 'sale')"), qr/^\d+$/, 'an operator asks for a document');
like(as_operator("SELECT count(*) FROM salesdrive.preview('shop', 95)"), qr/^\d+$/, 'and sees what it would be');
is(as_operator("SELECT salesdrive.resume('shop', 95) > 0"), 't', 'and resumes');
like(as_operator("UPDATE salesdrive.followup SET ref_key = gen_random_uuid()"), qr/permission denied/, 'but chooses no key');
is(as_operator("INSERT INTO salesdrive.followup_rule (status, action) VALUES ('98', 'close'); DELETE FROM salesdrive.followup_rule WHERE status = '98'"), '', 'rules are theirs');
run_engine();

# ---- a base that makes its own keys

no_rules();
rule('salesdrive', 3, 'sale', posting => 1, account => '*');
rule('salesdrive', 6, 'return', posting => 1, account => '*');
my $own = start_peer('bas', '--config', '{"keeps_ref_key": false}');
connect_base('own', 'unf', $own, 'own');
my $main = $bas;
$bas = $own;
my $n = 200;
for my $fault ('', 'reset_before', 'reset_after')
{
	for my $action ('sale', 'return')
	{
		$n++;
		$account{$n} = 'own';
		deliver($n, comment => 'мітка');
		user($n, 'order', post => $yes);
		deliver($n, statusId => 3) if $action eq 'return';
		$bas->control(POST => '/faults', { method => 'POST', path => 'POST .*' . set($action) . '$', action => $fault, times => 1 }) if $fault ne '';
		deliver($n, statusId => $action eq 'sale' ? 3 : 6);
		ok(settled($n, $action), "$action, own keys, " . ($fault || 'no fault') . ': it ends');
		is(($action eq 'sale' ? made($n) : returned($n)) . ' ' . (key($n, $action) ne row($n, $action, 'ref_key') ? 'own key' : 'our key') . ' ' . held($n, $action)->{'Комментарий'}, "1 own key $action/own/$n: мітка", 'one document, known by its marker');
	}
}
$account{$_} = 'own' for 21, 210;
deliver(210);
deliver(21);
user(210, 'order', post => $yes);
user(21, 'order', post => $yes);
deliver(210, statusId => 3);
$own->control(POST => '/faults', { method => 'POST', path => "POST .*$SALE\$", action => 'reset_before', times => 1 });
deliver(21, statusId => 3);
ok(settled(21, 'sale'), 'sale/own/21 is not taken for sale/own/210');
is(made(21) . made(210), '11', 'each has its own');

# the very first creation that is heard of is a sale
my $first = start_peer('bas');
connect_base('first', 'unf', $first, 'first');
$bas = $first;
$account{$_} = 'first' for 220, 221;
deliver(220);
user(220, 'order', post => $yes);
sql("UPDATE salesdrive.infobase SET keeps_ref_key = NULL WHERE name = 'first'");
deliver(220, statusId => 3);
is(held(220, 'sale')->{'Комментарий'} . ' ' . sql("SELECT keeps_ref_key FROM salesdrive.infobase WHERE name = 'first'"), 'sale/first/220: зразок t', 'while it is not known whether a base keeps keys, both; and that is learned');
deliver(221, statusId => 1);
user(221, 'order', post => $yes);
deliver(221, statusId => 3);
is(held(221, 'sale')->{'Комментарий'}, 'зразок', 'from then on the key alone');

# ---- every configuration, at the level of what is sent

no_rules();
rule('salesdrive', 3, 'sale', account => '*');
rule('salesdrive', 5, 'close', account => '*');
rule('salesdrive', 6, 'return', account => '*', posting => 1);
sub parsed { my ($text) = @_; utf8::encode($text); return json_decode($text) }
sub sent { my ($id, $action) = @_; my $body = sql("SELECT request_body FROM salesdrive.exchange_log WHERE order_id = $id AND purpose = 'create $action' ORDER BY id LIMIT 1"); return $body eq '' ? {} : parsed($body) }
my %ORDER = (unf => 'Document_ЗаказПокупателя', trade => 'Document_ЗаказКлиента', accounting => 'Document_СчетНаОплатуПокупателю');
my %KIND = (unf => 'unf', small_business => 'unf', 'unf:3.0' => 'unf', (map { $_ => 'trade' } 'trade32', 'trade32:3.5', 'erp', 'erp:2.5', 'kup', 'kup:2.5'), accounting2 => 'accounting');
my %LINK = (unf => [ 'Заказ', 'ДокументОснование', 'Запасы' ], trade => [ 'ЗаказКлиента', 'ДокументРеализации', 'Товары' ], accounting => [ 'Сделка', 'ДокументОтгрузки', 'Товары' ]);
my %VAT = ('trade32' => 'СтавкаНДС', 'erp' => 'СтавкаНДС', 'kup' => 'СтавкаНДС', 'trade32:3.5' => 'СтавкаНДС_Key', 'erp:2.5' => 'СтавкаНДС_Key', 'kup:2.5' => 'СтавкаНДС_Key');
$n = 300;
for my $c ('small_business', 'unf:3.0', 'trade32', 'trade32:3.5', 'erp', 'erp:2.5', 'kup', 'kup:2.5', 'accounting2', 'alfa_auto6', 'crm3', 'retail')
{
	my $name = $c =~ s/[:.]/-/gr;
	my $id = ++$n;
	$bas = start_peer('bas', '--configuration', $c);
	connect_base($name, split(/:/, $c) ? (split /:/, $c)[0] : $c, $bas, $name);
	sql("UPDATE salesdrive.account SET warehouse = 'Основний склад' WHERE name = '$name'") if $c ne 'retail';
	$account{$id} = $name;
	deliver($id, products => [ { sku => 'SKU-0001', amount => 2, price => 60.5 }, { sku => 'SKU-0002', amount => 1, price => 33.33, discount => 3.33 } ]);
	is(order($id, 'state'), 'synced', "$c: an order") or diag(order($id, 'detail'));
	deliver($id, statusId => 3);
	if ($c eq 'crm3' || $c eq 'retail')
	{
		is(state_of($id, 'sale'), 'parked profile', "$c: what is not known publicly is parked");
		like(follow($id, 'sale', "detail || ' ' || hint"), qr/to be verified.*profile_entity/, 'and says what to confirm');
		like(found($name, $name), qr/does not say what the sales document is called/, 'as check() does');
		is(order($id, 'state'), 'synced', 'the order is not held up');
		next;
	}
	is(state_of($id, 'sale'), 'done', "$c: the sale") or diag(follow($id, 'sale', "concat_ws(' ', state, reason, detail)"));
	my ($sale, $source) = (sent($id, 'sale'), parsed(sql("SELECT read_body FROM salesdrive.bas_order WHERE order_id = $id")));
	is(sql("SELECT count(*) FROM salesdrive.order_event WHERE order_id = $id AND detail ? 'differences'"), 0, 'BAS keeps all that is sent');
	is($sale->{'СуммаДокумента'}, $source->{'СуммаДокумента'}, 'of the sum of the order');
	is_deeply($bas->control(GET => '/state')->{violations}, [], 'no violation');
	if ($c eq 'alfa_auto6')
	{
		is_deeply([ $sale->@{qw(ДокументОснование ДокументОснование_Type)} ], [ key($id, 'order'), 'StandardODATA.Document_ЗаказПокупателя' ], 'made from the order');
		is(join(' ', map { "$_->{'Количество'}/$_->{'СуммаВсего'}/$_->{'Коэффициент'}" } $sale->{'Товары'}->@*), join(' ', map { "$_->{'Количество'}/$_->{'СуммаВсего'}/$_->{'Коэффициент'}" } $source->{'Товары'}->@*), 'with its rows');
		like(sql("SELECT body->>'Комментарий' FROM (SELECT request_body::jsonb AS body FROM salesdrive.exchange_log WHERE order_id = $id AND purpose = 'create sale') b"), qr/^зразок$/, 'and its comment, without the marker of the order');
		sql("UPDATE salesdrive.followup SET posting = true WHERE order_id = $id; SELECT salesdrive.make_followup('$name', $id, 'close')");
		run_engine();
		is(state_of($id, 'close'), 'parked close_unknown', 'how it is closed is to be verified');
		$bas->control(POST => '/edit', { set => 'Document_РеализацияТоваров', key => key($id, 'sale'), post => $yes });
		deliver($id, statusId => 6);
		is(state_of($id, 'return'), 'parked profile', 'and so is its return');
		like(found($name, $name), qr/does not say what the return document is called/, 'as check() says');
		next;
	}
	my $kind = $KIND{$c};
	my ($to_order, $to_sale, $rows) = $LINK{$kind}->@*;
	my ($sale_set, $return_set) = map { sql("SELECT salesdrive.entity_set((SELECT profile FROM salesdrive.infobase WHERE name = '$name'), '$_')") } 'sale', 'return';
	is_deeply([ $sale->@{ $to_order, "${to_order}_Type" } ], [ key($id, 'order'), "StandardODATA.$ORDER{$kind}" ], 'tied to the order');
	is(join(' ', map { join '/', $_->@{qw(LineNumber Количество Цена Сумма СуммаНДС)} } $sale->{$rows}->@*), join(' ', map { join '/', $_->@{qw(LineNumber Количество Цена Сумма СуммаНДС)} } $source->{$rows}->@*), 'with its rows');
	is($sale->{$rows}[0]{ $VAT{$c} }, $source->{$rows}[0]{ $VAT{$c} }, 'and its VAT rate') if $VAT{$c};
	if ($kind eq 'trade')
	{
		is(join(' ', map { $_ ? 'true' : 'false' } $sale->{'РеализацияПоЗаказам'}) . " $sale->{'Статус'} $sale->{'ХозяйственнаяОперация'} " . ($sale->{$rows}[1]{'ЗаказКлиента'} eq key($id, 'order')), 'true Отгружено РеализацияКлиенту 1', 'as a shipment by order, row by row');
		is(join(' ', map { $_->{'СуммаВзаиморасчетов'} eq $_->{'СуммаСНДС'} ? 1 : 0 } $sale->{$rows}->@*), '1 1', 'with sums of settlement');
		is($sale->{'Партнер_Key'}, $source->{'Партнер_Key'}, 'of the partner');
	}
	if ($kind eq 'accounting')
	{
		is($sale->{'ВидОперации'} . ' ' . $sale->{'Комментарий'} . ' ' . $sale->{$rows}[1]{'СуммаСкидки'}, 'ПродажаКомиссия зразок 3.33', 'a sale, without the marker of the order, with its discounts');
		like(found($name, $name), qr/Orders of profile "accounting2" have no status that could be closed/, 'check() says that an invoice is not closed');
	}
	deliver($id, statusId => 5);
	is(state_of($id, 'close'), $kind eq 'accounting' ? 'dropped nothing_to_close' : 'done', 'closed') or diag(follow($id, 'close', "concat_ws(' ', state, reason, detail)"));
	is($bas->control(GET => '/objects?set=' . uri($ORDER{$kind}) . '&key=' . key($id, 'order'))->{'Статус'}, 'Закрыт', 'by its status') if $kind eq 'trade';
	deliver($id, statusId => 6);
	is(state_of($id, 'return'), 'parked sale_not_posted', 'no return of a sale that is not posted');
	$bas->control(POST => '/edit', { set => $sale_set, key => key($id, 'sale'), post => $yes });
	sql("SELECT salesdrive.resume('$name', $id)");
	run_engine();
	if ($kind eq 'accounting')
	{
		is(state_of($id, 'return'), 'parked followup_property', 'without accounts no return is posted');
		like(follow($id, 'return', 'detail'), qr/СчетУчетаРасчетовСКонтрагентом_Key \(return\.settlement_account\).*СчетУчетаБУ_Key \(return_line\.stock_account\)/, 'which are named');
		$bas->control(POST => '/edit', { set => $sale_set, key => key($id, 'sale'), properties => { map { $_ => '8c1f4a10-0acc-11ee-8000-000000000001' } 'СчетУчетаРасчетовСКонтрагентом_Key', 'СчетУчетаРасчетовПоАвансам_Key' } });
		sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property, edm_type, constant) VALUES ('accounting2', 'return_line', 'stock_account', 'СчетУчетаБУ_Key', 'Edm.Guid', '\"8c1f4a10-0acc-11ee-8000-000000000281\"'), ('accounting2', 'return_line', 'income_scheme', 'СхемаРеализации_Key', 'Edm.Guid', '\"8c1f4a10-0acc-11ee-8000-000000000002\"')");
		sql("SELECT salesdrive.resume('$name', $id)");
		run_engine();
	}
	is(state_of($id, 'return'), 'done', 'the return') or diag(follow($id, 'return', "concat_ws(' ', state, reason, detail)"));
	my $return = sent($id, 'return');
	is_deeply([ $return->@{ $to_sale, "${to_sale}_Type" } ], [ key($id, 'sale'), "StandardODATA.$sale_set" ], 'tied to the sale');
	is($return->{'СуммаДокумента'} . ' ' . join(' ', map { join '/', $_->@{qw(LineNumber Количество Сумма)} } $return->{$rows}->@*), $sale->{'СуммаДокумента'} . ' ' . join(' ', map { join '/', $_->@{qw(LineNumber Количество Сумма)} } $sale->{$rows}->@*), 'with its rows and its sum');
	is(join(' ', $return->{'ХозяйственнаяОперация'}, $return->{$rows}[0]->@{qw(ДокументРеализации СпособОпределенияСебестоимости)}), join(' ', 'ВозвратТоваровОтКлиента', key($id, 'sale'), 'ИзДокументаПродажи'), 'row by row, as its configuration wants it') if $kind eq 'trade';
	is($bas->control(GET => '/objects?set=' . uri($return_set) . '&key=' . key($id, 'return'))->{Posted}, $yes, 'posted');
	is(sql("SELECT count(*) FROM salesdrive.order_event WHERE order_id = $id AND detail ? 'differences'"), 0, 'BAS keeps all that is sent');
	is_deeply($bas->control(GET => '/state')->{violations}, [], 'no violation');
	if ($kind eq 'trade' && $c eq 'trade32')    # rows that people cancelled
	{
		my $id2 = $id + 100;
		$account{$id2} = $name;
		deliver($id2, products => [ { sku => 'SKU-0001', amount => 1, price => 10 }, { sku => 'SKU-0002', amount => 1, price => 20 } ]);
		my $o = $bas->control(GET => '/objects?set=' . uri($ORDER{$kind}) . '&key=' . key($id2, 'order'));
		delete $_->{Ref_Key} for $o->{$rows}->@*;
		$o->{$rows}[0]{'Отменено'} = $yes;
		$bas->control(POST => '/edit', { set => $ORDER{$kind}, key => key($id2, 'order'), properties => { $rows => $o->{$rows}, 'СуммаДокумента' => 20 } });
		deliver($id2, statusId => 3);
		is(state_of($id2, 'sale') . ' ' . join(' ', map { "$_->{LineNumber}/$_->{'Сумма'}" } sent($id2, 'sale')->{$rows}->@*), 'done 1/20', 'rows cancelled in the order are not sold');
	}
	if ($kind eq 'accounting')    # services that people added
	{
		my $id2 = $id + 100;
		$account{$id2} = $name;
		deliver($id2);
		$bas->control(POST => '/edit', { set => $ORDER{$kind}, key => key($id2, 'order'), properties => { 'Услуги' => [ { LineNumber => 1, 'Номенклатура_Key' => $source->{$rows}[0]{'Номенклатура_Key'}, 'Содержание' => 'доставка', 'Количество' => 1, 'Цена' => 50, 'Сумма' => 50, 'СуммаНДС' => 8.33, 'СтавкаНДС' => 'НДС20' } ], 'СуммаДокумента' => 170 } });
		deliver($id2, statusId => 3);
		is(state_of($id2, 'sale') . ' ' . join(' ', map { "$_->{'Содержание'}/$_->{'Сумма'}" } sent($id2, 'sale')->{'Услуги'}->@*), 'done доставка/50', 'services that people added go over, too');
	}
}
$bas = $main;

is($_, '', 'no violation') for map { json_encode($_) } $bas->control(GET => '/state')->{violations}->@*;
done_testing();
