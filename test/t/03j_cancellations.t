# Cancelled orders: refused, deleted, duplicates. By rule the document takes the status, is marked for deletion (unposted first only where that is allowed),
# or it is only told; each cancellation once, with every request counted, over lost answers, back to life, and without an echo.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine error_of uri);

my $node = new_node('cancellations', preload => 0);
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive', '--config', '{"per_minute": 0, "per_hour": 0, "per_day": 0}');
my $SET = 'Document_ЗаказПокупателя';
my ($yes, $no) = (JSON::PP::true(), JSON::PP::false());

sub status { my ($id, $column) = @_; return sql("SELECT $column FROM salesdrive.order_status WHERE account = 'shop' AND order_id = $id") }
sub state_of { my ($id) = @_; return status($id, "concat_ws(' ', state, reason)") }
sub sync { my ($id, $column) = @_; return sql("SELECT $column FROM salesdrive.order_sync WHERE account = 'shop' AND order_id = $id") }
sub option { my ($set) = @_; return sql("UPDATE salesdrive.account SET $set WHERE name = 'shop'") }
sub held { my ($id) = @_; return $bas->control(GET => '/objects?set=' . uri($SET) . '&key=' . sync($id, 'bas_ref')) }
sub in_bas { my ($id) = @_; my $o = held($id); return join ' ', ($o->{Posted} ? 'posted' : 'not posted'), ($o->{DeletionMark} ? 'marked' : 'not marked') }
sub user { my ($id, %p) = @_; return $bas->control(POST => '/edit', { key => sync($id, 'bas_ref'), %p }) }
sub user_marks { my ($id, $mark) = @_; return user($id, properties => { DeletionMark => $mark }) }
sub documents { my ($id) = @_; return scalar grep { ($_->{'НомерВходящегоДокумента'} // '') =~ /(?:^|\/)$id\s*$/ } $bas->control(GET => '/objects?set=' . uri($SET))->{value}->@* }
sub events { my ($id) = @_; return sql("SELECT string_agg(event, ' ' ORDER BY id) FROM salesdrive.order_event WHERE order_id = $id AND event <> 'received'") }
sub told { my ($id) = @_; return sql("SELECT text FROM salesdrive.order_event WHERE order_id = $id AND event <> 'received' ORDER BY id DESC LIMIT 1") =~ s/ НФ\S+//gr }
sub rule { my ($status, $action, $may) = @_; return sql("INSERT INTO salesdrive.cancel_rule (account, status, action, may_unpost) VALUES ('shop', '$status', '$action', " . ($may ? 'true' : 'false') . ') ON CONFLICT (account, status, origin) DO UPDATE SET action = excluded.action, may_unpost = excluded.may_unpost') }

# What BAS was asked about an order since this was called last: counted there, by method and what it was for.
my %seen;
sub requests
{
	my ($id) = @_;
	my $last = $seen{$id} // 0;
	$seen{$id} = sql("SELECT coalesce(max(id), 0) FROM salesdrive.exchange_log WHERE direction = 'out' AND order_id = $id");
	return sql("SELECT string_agg(purpose, ', ' ORDER BY id) FROM salesdrive.exchange_log WHERE direction = 'out' AND order_id = $id AND id > $last");
}
sub counts { my ($label) = @_; return $bas->control(GET => '/requests')->{counts}{$label} // 0 }

my (%version, %order);
sub deliver
{
	my ($id, %o) = @_;
	my $version = ++$version{$id};
	$order{$id} = { comment => 'зразок', statusId => 1, products => [ { sku => 'SKU-0001', amount => 1, price => 120 } ], ($order{$id} // {})->%*, %o };
	my $body = json_encode({ data => { id => $id, version => $version, orderTime => '2026-11-20 10:00:00', updateAt => sprintf('2026-11-20 10:%02d:%02d', $version / 60, $version % 60), paymentAmount => 120,
		contacts => [ { fName => 'Зразок', phone => '0671000001' } ], $order{$id}->%* },
		meta => { fields => { statusId => { options => [ map { { value => $_->[0], text => $_->[1] } } [ 1, 'Новий' ], [ 6, 'Відмова' ], [ 8, 'Видалений' ], [ 10, 'дубль' ] ] } } } });
	utf8::decode($body);
	$body =~ s/'/''/g;
	sql("SELECT salesdrive.accept_webhook('shop', '$body')");
	return run_engine();
}

# A session that listens; what it heard since it was asked last.
my ($ear_in, $ear_out) = ('', '');
my $ear = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$ear_in, '>', \$ear_out, '2>&1', IPC::Run::timeout(600));
my $mark = 0;
sub heard
{
	$mark++;
	$ear_in .= "SELECT 'mark $mark';\nSELECT 'mark $mark.';\n";    # what is pending is shown after a statement
	$ear->pump until $ear_out =~ /mark $mark\./;
	my @heard = map { my $n = json_decode($_); join ' ', map { $_ // '-' } $n->@{qw(event account order_id status action)}, defined $n->{document} ? 'document' : '-' } $ear_out =~ /notification "salesdrive_order" with payload "(.*)" received/gi;
	$ear_out = '';
	return join ', ', @heard;
}

my %ref;
my $n = 0;
$ref{$_} = sprintf '8c1f4a10-00f4-11ee-8000-0000000000%02x', 0xb0 + $n++ for 'Прийнято', 'Скасовано', 'Прибуло';
my %name = reverse %ref;
$bas->control(POST => '/load', { 'Catalog_СостоянияЗаказовПокупателей' => [ map { { Ref_Key => $ref{$_}, Description => $_ } } sort keys %ref ] });
sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'shop');
	UPDATE salesdrive.infobase SET retry_base = '1 ms', retry_cap = '1 ms', unsure_margin = '0', total_timeout = '1 s', circuit_after = 1000");
$ear_in = "LISTEN salesdrive_order;\n";
heard();
deliver(100);    # customer and goods are known from here on

# ---- rules

is(sql("SELECT string_agg(concat_ws(' ', s, salesdrive.cancel_kind('shop', s), (SELECT action FROM salesdrive.cancel_rule_of('shop', s))), ', ' ORDER BY s::integer) FROM unnest(ARRAY['1', '6', '8', '10']) s"),
	'1, 6 cancelled tell, 8 deleted tell, 10 duplicate tell', 'as delivered it is only told');
sql("INSERT INTO salesdrive.dictionary_value (scope, side, dictionary, key, name, attributes) VALUES ('shop', 'crm', 'status', '77', 'Кошик', '{\"type\": \"4\"}')");
is(sql("SELECT salesdrive.cancel_kind('shop', '77')"), 'deleted', 'a status that SalesDrive calls deleted');
sql("INSERT INTO salesdrive.cancel_rule (status, action) VALUES ('deleted', 'mark'); INSERT INTO salesdrive.cancel_rule (account, status, action) VALUES ('*', '77', 'none'), ('shop', 'deleted', 'set_status')");
sub in_force { my ($status) = @_; return sql("SELECT concat_ws(' ', account, status, origin, action) FROM salesdrive.cancel_rule_of('shop', '$status')") }
is(in_force(8), 'shop deleted user set_status', 'a row of the account before one of all');
is(in_force(77), '* 77 user none', 'the status itself before its kind');
sql("DELETE FROM salesdrive.cancel_rule WHERE account = 'shop'");
is(in_force(8), '* deleted user mark', 'a row of a user before the shipped one');
sql("DELETE FROM salesdrive.cancel_rule WHERE origin = 'user'");
like(error_of("UPDATE salesdrive.cancel_rule SET action = 'mark' WHERE status = 'deleted'"), qr/shipped rows of cancel_rule are read-only/, 'shipped rows stay');
like(error_of("INSERT INTO salesdrive.cancel_rule (status, action) VALUES ('delete', 'mark')"), qr/there is no status "delete" in SalesDrive.*HINT:  Give its id.*deleted, duplicate, cancelled/s, 'what can be no status');
like(error_of("INSERT INTO salesdrive.cancel_rule (status, action, may_unpost) VALUES ('8', 'tell', true)"), qr/cancel_rule_check/, 'only to be marked a document is unposted');
sub found { return sql("SELECT string_agg(problem, '|' ORDER BY problem) FROM salesdrive.check('shop') WHERE subject ~ '^(cancel|status)'") }
is(found(), '', 'check() has nothing to say');
sql("INSERT INTO salesdrive.cancel_rule (account, status, action) VALUES ('shop', '555', 'mark')");
like(found(), qr/^cancel_rule names status 555, which neither SalesDrive lists nor any order has\.$/, 'but of a status nobody knows');
rule(6, 'set_status');
like(found(), qr/and value_map does not say what status 6 "Відмова" is in BAS/, 'and of a status to be set that is not mapped');
sql("DELETE FROM salesdrive.cancel_rule WHERE origin = 'user'");

# ---- only told

deliver(1);
is(requests(1), 'create order', 'a living order');
is(heard(), '', 'of which nothing is told');
deliver(1, statusId => 8);
is(state_of(1) . ', ' . in_bas(1), 'synced, not posted not marked', 'tell: the document stays as it is');
is(requests(1), '', 'no request is made');
is(heard(), 'cancelled shop 1 8 tell document', 'who listens is told');
like(sql("SELECT text FROM salesdrive.order_event WHERE order_id = 1 AND event = 'cancelled'"), qr/^Cancelled in SalesDrive: status 8 "Видалений"\. Document \S+ is left as it is\.$/, 'and so does the history');
is(sql("SELECT concat_ws(' ', order_id, status, status_name, kind, action, bas_number IS NOT NULL, posted, marked, marked_here, state) FROM salesdrive.cancelled_order"), '1 8 Видалений deleted tell t f f f synced', 'and the view');
deliver(1, comment => 'ще');
is(requests(1) . ' ' . held(1)->{'Комментарий'}, 'read order, change order ще', 'edits go on');
is(heard() . ' ' . sql("SELECT count(*) FROM salesdrive.order_event WHERE order_id = 1 AND event = 'cancelled'"), ' 1', 'a cancellation is told once');
deliver(1, statusId => 6);
is(heard(), 'cancelled shop 1 6 tell document', 'another one again');
deliver(1, statusId => 1);
is(heard(), 'revived shop 1 1 - document', 'and that it lives again');
is(requests(1) . ' ' . told(1), 'read order Lives again in SalesDrive: status 1 "Новий".', 'its document is looked at');
is(sql("SELECT count(*) FROM salesdrive.cancelled_order"), 0, 'it is in the view no more');
for (8, 10, 6)
{
	my $id = 200 + $_;
	deliver($id, statusId => $_);
	is(state_of($id) . ' ' . requests($id) . ' ' . events($id), 'not_wanted cancelled  cancelled not_wanted', "not in BAS, status $_: no document is made, and that is told");
	like(heard(), qr/^cancelled shop $id $_ tell -$/, 'also to who listens');
	is(documents($id), 0, 'BAS heard nothing of it');
}
like(status(208, 'detail'), qr/^The order is cancelled \(status 8 "Видалений"\) and has no document in BAS: none is made\.$/, 'the state says why');
deliver(208, comment => 'ще');
is(heard() . events(208), 'cancelled not_wanted', 'a further version says nothing new');
deliver(208, statusId => 1);
is(state_of(208) . ' ' . documents(208) . ' ' . heard(), 'synced 1 revived shop 208 1 - -', 'one that lives again becomes a document');
rule('cancelled', 'none');
run_engine();
is(state_of(206) . ' ' . documents(206), 'synced 1', 'none: an order like any other, as soon as the rule says so');
sql("SELECT salesdrive.resend('shop', 210)");
run_engine();
is(state_of(210) . ' ' . documents(210), 'synced 1', 'resend() makes the document of a cancelled order all the same');
sql("DELETE FROM salesdrive.cancel_rule WHERE origin = 'user'");
heard();

# ---- marked for deletion

rule('deleted', 'mark');
rule('duplicate', 'mark', 1);
deliver(2);
requests(2);
deliver(2, statusId => 8);
is(in_bas(2) . ', ' . state_of(2), 'not posted marked, synced', 'mark: the document is marked for deletion');
is(requests(2), 'read order, mark order', 'by one change, after a look at it');
is(sql("SELECT string_agg(method || ' ' || request_body, ' ') FROM salesdrive.exchange_log WHERE order_id = 2 AND purpose = 'mark order'"), 'PATCH {"DeletionMark": true}', 'of the mark alone');
is(heard() . ' | ' . events(2) . ' | ' . told(2), 'cancelled shop 2 8 mark document | created cancelled marked | Document marked for deletion.', 'told');
is(sql("SELECT concat_ws(' ', action, marked, marked_here) FROM salesdrive.cancelled_order WHERE order_id = 2"), 'mark t t', 'and shown');
deliver(2, comment => 'після', products => [ { sku => 'SKU-0001', amount => 2, price => 60 } ]);
is(requests(2) . state_of(2) . ' ' . held(2)->{'Комментарий'}, 'synced зразок', 'edits of it do not travel to a marked document');
deliver(2, products => []);
is(state_of(2), 'synced', 'nor does it matter what is wrong with them');
deliver(3, statusId => 8);
is(state_of(3) . requests(3) . ' ' . documents(3), 'not_wanted cancelled 0', 'not in BAS: nothing is made to be marked');
deliver(4);
user_marks(4, $yes);
requests(4);
deliver(4, statusId => 8);
is(requests(4) . ' ' . state_of(4) . ' ' . sync(4, "coalesce(mark, '-')"), 'read order synced -', 'one that was marked in BAS is right already, and its mark not ours');

rule('deleted', 'tell');
deliver(14);
heard();
deliver(14, statusId => 8);
is(heard() . ' ' . in_bas(14), 'cancelled shop 14 8 tell document not posted not marked', 'a rule that only tells');
rule('deleted', 'mark');
deliver(14, comment => 'ще');
is(heard() . in_bas(14), 'not posted marked', 'and marks by now: not told once more');

# posted
deliver(5);
user(5, post => $yes);
requests(5);
heard();
deliver(5, statusId => 8);
is(in_bas(5) . ', ' . state_of(5), 'posted not marked, parked cancelled_posted', 'a posted document is not unposted unless a rule allows it');
is(requests(5), 'read order', 'nothing is written');
like(status(5, 'hint'), qr/^Unpost it in BAS and call resume\(\); or resend\(\) unposts and marks it; .*account 'shop', status '8', action 'mark', may_unpost true/, 'the hint tells what can be done');
sql("UPDATE salesdrive.bas_order SET read_at = read_at - interval '1 min'");
rule('deleted', 'mark', 1);
run_engine();
is(in_bas(5) . ', ' . state_of(5), 'not posted marked, synced', 'with the rule it goes on by itself');
is(requests(5), 'read order, unpost order, mark order', 'unposted, then marked') ;
is(sql("SELECT string_agg(DISTINCT method || ' ' || regexp_replace(url, '^.*/', '') || coalesce(request_body, ''), '') FROM salesdrive.exchange_log WHERE order_id = 5 AND purpose = 'unpost order'"), 'POST Unpost', 'by the call BAS has for it');
is(events(5) =~ s/^created //r, 'cancelled parked resumed unposted marked', 'each told');
is(heard(), 'cancelled shop 5 8 mark document', 'and the cancellation once');
deliver(6);
user(6, post => $yes);
requests(6);
deliver(6, statusId => 10);
is(in_bas(6) . ' ' . requests(6), 'not posted marked read order, unpost order, mark order', 'a duplicate, with a rule that allows it');
rule('deleted', 'mark');
deliver(7);
user(7, post => $yes);
deliver(7, statusId => 8);
user(7, post => $no);
sql("SELECT salesdrive.resume('shop', 7)");
run_engine();
is(in_bas(7) . ', ' . state_of(7), 'not posted marked, synced', 'unposted by hand, resume() marks it');
deliver(8);
user(8, post => $yes);
deliver(8, statusId => 8);
requests(8);
sql("SELECT salesdrive.resend('shop', 8)");
run_engine();
is(in_bas(8) . ', ' . state_of(8) . ', ' . requests(8), 'not posted marked, synced, read order, unpost order, mark order', 'resend() does it one time');
is(sync(8, 'force'), 'f', 'and not again');
deliver(9);
user(9, post => $yes);
deliver(9, statusId => 8);
sql("SELECT salesdrive.skip('shop', 9, 'left')");
run_engine();
is(in_bas(9) . ' ' . state_of(9), 'posted not marked skipped skipped', 'skip() leaves it as it is');

# a period that is closed, a user who is faster
deliver(10);
user(10, post => $yes);
requests(10);
$bas->control(POST => '/faults', { path => '/Unpost', action => 'status', status => 500, body => 'odata', text => 'Період закрито' });
deliver(10, statusId => 10);
ok(wait_for('the end', sub { run_engine(); state_of(10) =~ /^parked/ }), 'what BAS refuses is tried, and then parked');
is(state_of(10) . ', ' . in_bas(10), 'parked business, posted not marked', 'with its document as it was');
like(status(10, 'detail'), qr/Період закрито/, 'in the words of BAS');
is(requests(10), join(', ', ('read order, unpost order') x 6), 'read anew each time');
$bas->control(DELETE => '/faults');
sql("SELECT salesdrive.resume('shop', 10)");
run_engine();
is(in_bas(10), 'not posted marked', 'resume() tries again');
rule('deleted', 'mark');
deliver(11);
requests(11);
$bas->control(POST => '/faults', { method => 'PATCH', action => 'status', status => 500, body => 'odata', text => 'Проведенный документ не может быть помечен на удаление!', times => 1 });
$bas->control(POST => '/faults', { method => 'GET', path => 'Document_', action => 'unavailable', skip => 1, times => 1 });
sql("UPDATE salesdrive.infobase SET retry_base = '1 h', retry_cap = '1 h'");
deliver(11, statusId => 8);
user(11, post => $yes);
sql("UPDATE salesdrive.infobase SET retry_base = '1 ms', retry_cap = '1 ms'; UPDATE salesdrive.task SET run_at = now()");
$bas->control(DELETE => '/faults');
run_engine();
is(state_of(11) . ', ' . in_bas(11), 'parked cancelled_posted, posted not marked', 'posted meanwhile: found so before it is tried again');

# unposted, and then BAS refuses the mark
rule('deleted', 'mark', 1);
for my $id (91, 92)
{
	deliver($id);
	user($id, post => $yes);
}
$bas->control(POST => '/faults', { method => 'PATCH', action => 'status', status => 500, body => 'odata', text => 'Період закрито' });
deliver($_, statusId => 8) for 91, 92;
ok(wait_for('the end', sub { run_engine(); state_of(91) . state_of(92) eq 'parked business' x 2 }), 'a mark that BAS refuses is tried, and then parked');
is(in_bas(91), 'not posted not marked', 'with the document unposted');
like(status(91, 'detail'), qr/Період закрито.*\. Document НФ\S+ was unposted to be marked and is left so, without the mark\.$/s, 'which is told beside the words of BAS');
like(status(91, 'hint'), qr/resume\(\) marks it; to have it posted again.*cancel_rule.*'tell'.*resume\(\)/s, 'with both ways on');
$bas->control(DELETE => '/faults');
sql("SELECT salesdrive.resume('shop', 91)");
run_engine();
is(in_bas(91) . ', ' . state_of(91), 'not posted marked, synced', 'resume() marks it');
rule('deleted', 'tell');
sql("SELECT salesdrive.resume('shop', 92)");
run_engine();
is(in_bas(92) . ', ' . state_of(92), 'posted not marked, synced', 'or, by another rule, posts it again');
rule('deleted', 'mark');

# ---- back to life

deliver(2, statusId => 1, comment => 'знову', products => [ { sku => 'SKU-0001', amount => 1, price => 120 } ]);
is(in_bas(2) . ', ' . state_of(2) . ', ' . held(2)->{'Комментарий'}, 'not posted not marked, synced, знову', 'an order that lives again: the mark is taken off, and what was edited meanwhile written');
is(requests(2), 'read order, unmark order, change order', 'one reading for both');
is(sql("SELECT request_body FROM salesdrive.exchange_log WHERE order_id = 2 AND purpose = 'unmark order'"), '{"DeletionMark": false}', 'by the same property');
is(documents(2) . ' ' . sync(2, "concat_ws(' ', coalesce(mark, '-'), coalesce(cancel_status, '-'), coalesce(cancel_action, '-'))"), '1 - - -', 'and forgotten');
deliver(5, statusId => 1);
is(in_bas(5) . ' ' . requests(5), 'posted not marked read order, unmark order, post order', 'what was posted, and unposted from here, is posted again');
option('posting = true');
deliver(12);
is(in_bas(12), 'posted not marked', 'documents are posted');
requests(12);
rule('deleted', 'mark', 1);
deliver(12, statusId => 8);
is(in_bas(12) . ' ' . requests(12), 'not posted marked read order, unpost order, mark order', 'cancelled it is not, and does not become so again');
deliver(12, comment => 'правка');
is(in_bas(12) . requests(12), 'not posted marked', 'whatever comes');
deliver(12, statusId => 1);
is(in_bas(12) . ' ' . requests(12) . ' ' . state_of(12), 'posted not marked read order, unmark order, change order, post order synced', 'living it is');
option('posting = false');
deliver(4, statusId => 1);
is(in_bas(4) . ', ' . state_of(4), 'not posted marked, parked deleted_in_bas', 'a mark of people in BAS stays, and the order is parked');
like(status(4, 'detail'), qr/^The order lives again, and its document \S+ is marked for deletion in BAS, not from here\.$/, 'which says so');
deliver(4, comment => 'ще');
is(state_of(4), 'parked deleted_in_bas', 'also with the next version');
sql("SELECT salesdrive.resend('shop', 4)");
run_engine();
is(in_bas(4) . ', ' . state_of(4), 'not posted marked, parked deleted_in_bas', 'also by resend()');
user_marks(4, $no);
heard();
sql("SELECT salesdrive.resume('shop', 4)");
run_engine();
is(in_bas(4) . ', ' . state_of(4) . ', ' . held(4)->{'Комментарий'} . ', ' . heard(), 'not posted not marked, synced, ще, revived shop 4 1 - document', 'until it is gone');
deliver(13);
deliver(13, statusId => 8);
requests(13);
user_marks(13, $no);
deliver(13, comment => 'ще');
is(requests(13) . in_bas(13) . ', ' . state_of(13), 'not posted not marked, synced', 'a mark that people took off: nothing is known of it');
sql("SELECT salesdrive.resume('shop', 13), salesdrive.pull_statuses('main')");
run_engine();
deliver(13, comment => 'і ще');
is(in_bas(13) . ', ' . state_of(13) . ', ' . requests(13), 'not posted not marked, not_wanted mark_undone, ', 'once it is, it stays off');
like(events(13), qr/marked .*unmarked/, 'and is told');
deliver(13, statusId => 77);
is(in_bas(13) . ' ' . state_of(13), 'not posted marked synced', 'a new cancellation marks it anew');
$bas->control(POST => '/delete', { set => $SET, keys => [ sync(13, 'bas_ref') ] });
deliver(13, statusId => 1);
is(state_of(13) . ' ' . status(13, 'detail') =~ s/НФ\S+/N/r, 'parked deleted_in_bas The order lives again, and its document N is gone from BAS.', 'deleted in BAS for good: parked');
sql("SELECT salesdrive.resend('shop', 13)");
run_engine();
is(state_of(13) . ' ' . documents(13), 'synced 1', 'resend() makes a new one');

# ---- policies of edits

sub policy { my ($id, $policy) = @_; deliver($id); option("edit_policy = '$policy'"); requests($id); deliver($id, statusId => 8); return in_bas($id) . ', ' . state_of($id) }
is(policy(20, 'never'), 'not posted not marked, not_wanted edit_policy', 'never: the document stays as it was made');
like(status(20, 'detail'), qr/^Document \S+ stays as it is: the order is cancelled \(status 8 "Видалений"\), and it would be marked for deletion\.$/, 'and the state says so');
is(policy(21, 'ask'), 'not posted not marked, parked ask', 'ask: asks');
is(requests(21), 'read order', 'having looked at it');
sql("SELECT salesdrive.resend('shop', 21)");
run_engine();
is(in_bas(21) . ', ' . state_of(21), 'not posted marked, synced', 'resend() agrees');
deliver(21, statusId => 1);
is(in_bas(21) . ', ' . state_of(21), 'not posted marked, parked ask', 'and asks on the way back');
sql("SELECT salesdrive.resend('shop', 21)");
run_engine();
is(in_bas(21) . ', ' . state_of(21), 'not posted not marked, synced', 'which resend() allows, too');
is(policy(22, 'until_posted'), 'not posted marked, synced', 'until_posted: this one is not');
is(policy(23, 'free'), 'not posted marked, synced', 'free');
option('edit_policy = NULL');
option('documents = false');
deliver(24, statusId => 8);
deliver(22, statusId => 1);
is(state_of(24) . ', ' . state_of(22) . ', ' . in_bas(22), 'not_wanted documents_off, not_wanted documents_off, not posted marked', 'with documents off nothing happens');
option('documents = true');
run_engine();
is(state_of(24) . ', ' . state_of(22) . ', ' . in_bas(22), 'not_wanted cancelled, synced, not posted not marked', 'and then it does');

# ---- answers that are lost, before the work and after it

sub settled { my ($id) = @_; return wait_for('the end', sub { run_engine(); state_of($id) eq 'synced' }) }
my $id = 30;
my %FAULT = (reset_before => {}, reset_after => {}, 'no object' => { action => 'status', status => 200, body => 'json', text => '{}', after => $yes });
for my $action (sort keys %FAULT)
{
	for my $step ([ 'unpost order', 'POST', '/Unpost' ], [ 'mark order', 'PATCH', 'Document_' ], [ 'unmark order', 'PATCH', 'Document_' ])
	{
		my ($purpose, $method, $path) = @$step;
		next if $action eq 'no object' && $purpose eq 'unpost order';    # whose answer has nothing in it anyway
		$id++;
		deliver($id);
		user($id, post => $yes) if $purpose eq 'unpost order';
		deliver($id, statusId => 8) if $purpose eq 'unmark order';
		requests($id);
		my @before = (counts("POST $SET/Unpost"), counts("PATCH $SET"));
		$bas->control(POST => '/faults', { method => $method, path => $path, action => $action, times => 1, $FAULT{$action}->%* });
		deliver($id, statusId => $purpose eq 'unmark order' ? 1 : 10);
		ok(settled($id), "$purpose, $action: it ends");
		is(in_bas($id), $purpose eq 'unmark order' ? 'not posted not marked' : 'not posted marked', 'well');
		my $requests = requests($id);
		is(scalar(() = $requests =~ /\b$purpose/g), $action eq 'reset_before' ? 2 : 1, $action eq 'reset_before' ? 'what did not arrive is done again' : 'what arrived is not done twice');
		like($requests, qr/$purpose, read order/, 'it is read back first');
		is($bas->control(GET => '/requests')->{counts}{"PATCH $SET"} - $before[1], $purpose eq 'unpost order' || $action ne 'reset_before' ? 1 : 2, 'as BAS counts');
		my $word = { 'unpost order' => 'unposted', 'mark order' => 'marked', 'unmark order' => 'unmarked' }->{$purpose};
		is(scalar(() = events($id) =~ /\b$word\b/g), 1, 'and told once');
		is(sync($id, "coalesce(mark, '-')") . ' ' . documents($id), ($purpose eq 'unmark order' ? '-' : 'set') . ' 1', 'as ours; one document');
	}
}
$bas->control(DELETE => '/faults');
for my $action ('reset_before', 'reset_after')    # cancelled while it is not known whether the document was made
{
	my $id = $action eq 'reset_before' ? 40 : 41;
	sql("UPDATE salesdrive.infobase SET retry_base = '1 h', retry_cap = '1 h'");
	$bas->control(POST => '/faults', { method => 'POST', path => "POST .*$SET\$", action => $action, times => 1 });
	$bas->control(POST => '/faults', { method => 'GET', path => 'Document_', action => 'unavailable', times => 1 });
	deliver($id);
	deliver($id, statusId => 8);
	is(sync($id, 'write_unsure'), 't', "$action: it is not known");
	sql("UPDATE salesdrive.infobase SET retry_base = '1 ms', retry_cap = '1 ms'; UPDATE salesdrive.task SET run_at = now() WHERE kind = 'order'");
	ok(wait_for('the end', sub { run_engine(); state_of($id) =~ /^(synced|not_wanted)/ }), 'it is looked for');
	is(state_of($id) . ', ' . documents($id), $action eq 'reset_before' ? 'not_wanted cancelled, 0' : 'synced, 1', $action eq 'reset_before' ? 'and not made' : 'and found');
}
is(in_bas(41), 'not posted marked', 'and marked');

# a base that is still at work when it is asked
deliver(43);
requests(43);
sql("UPDATE salesdrive.infobase SET unsure_margin = '3 s'");
$bas->control(POST => '/faults', { method => 'PATCH', action => 'delay', ms => 2000, times => 1 });
deliver(43, statusId => 8);
ok(settled(43), 'a mark that comes late');
like(in_bas(43) . ' ' . requests(43), qr/^not posted marked read order, mark order, (read order, )*read order$/, 'is waited for, and not set twice');
sql("UPDATE salesdrive.infobase SET unsure_margin = '0'");

# an engine that dies with the request in hand
deliver(42);
sql("SELECT salesdrive.pause('shop', 'a moment')");
deliver(42, statusId => 8);
sql("SELECT salesdrive.unpause('shop')");
requests(42);
sql("SELECT salesdrive.take_wakes(); UPDATE salesdrive.order_sync SET read_version = $version{42} WHERE order_id = 42");
is(sql("SELECT string_agg(c.method || ' ' || c.request_body, '') FROM salesdrive.claim(10) c (task_id, attempt, target, method, url, request_body)") =~ s/ \{2,}/ /gr, 'PATCH {"DeletionMark": true}', 'claimed, and never sent');
ok(settled(42), 'left behind it ends');
like(in_bas(42) . ' ' . requests(42), qr/^not posted marked mark order, (read order, )+mark order$/, 'read back, and done once');
like(sql("SELECT class FROM salesdrive.exchange_log WHERE order_id = 42 AND purpose = 'mark order' ORDER BY id LIMIT 1"), qr/^unknown_outcome$/, 'the log says that its outcome was not known');

# ---- status: set by the rule, also where statuses do not travel

sql("SELECT salesdrive.map_value('shop', 'status', '1', 'Прийнято', 'to_bas'), salesdrive.map_value('shop', 'status', '6', 'Скасовано', 'to_bas')");
sub bas_status { my ($id) = @_; my $s = held($id)->{'СостояниеЗаказа'}; return $name{$s} // $s }
rule('cancelled', 'set_status');
is(found(), '', 'check() is content');
deliver(50);
is(bas_status(50), '', 'statuses do not travel');
requests(50);
heard();
deliver(50, statusId => 6);
is(bas_status(50) . ' ' . in_bas(50) . ' ' . state_of(50), 'Скасовано not posted not marked synced', 'set_status: the document takes the status');
is(requests(50) . ' | ' . heard(), 'read order, change order | cancelled shop 50 6 set_status document', 'by one change, and told');
deliver(50, comment => 'ще');
is(requests(50) . ' ' . held(50)->{'Комментарий'} . ' ' . bas_status(50), 'read order, change order ще Скасовано', 'edits go on');
deliver(50, products => []);
is(state_of(50), 'parked no_lines', 'as does what is wrong with them');
deliver(50, statusId => 1, products => [ { sku => 'SKU-0001', amount => 1, price => 120 } ]);
is(bas_status(50) . ' ' . state_of(50), 'Прийнято synced', 'one that lives again has its status back');
requests(50);
is(sync(50, "concat_ws(' ', coalesce(cancel_action, '-'), coalesce(cancel_set, '-'), coalesce(cancel_before, '-'))"), '- - -', 'that was that');
deliver(50, statusId => 2);
sql("SELECT salesdrive.map_value('shop', 'status', '2', 'Скасовано', 'to_bas')");
deliver(50, statusId => 1);
deliver(50, statusId => 2);
is(bas_status(50) . requests(50), 'Прийнято', 'from then on its statuses do not travel');
deliver(51);
user(51, post => $yes);
deliver(51, statusId => 6, products => []);
is(bas_status(51) . ', ' . in_bas(51) . ', ' . state_of(51), 'Скасовано, posted not marked, parked no_lines', 'an order without lines: its status arrives all the same, in a document that stays posted');
deliver(52, statusId => 6);
is(state_of(52) . ' ' . documents(52), 'not_wanted cancelled 0', 'not in BAS: none is made');
$bas->control(POST => '/faults', { method => 'PATCH', action => 'reset_after', times => 1 });
deliver(53);
deliver(53, statusId => 6);
ok(settled(53), 'an answer that is lost');
is(bas_status(53) . ' ' . sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 53 AND purpose = 'change order'"), 'Скасовано 1', 'is read back');
$bas->control(POST => '/faults', { method => 'PATCH', action => 'reset_before', times => 1 });
deliver(53, statusId => 1);
ok(settled(53), 'living again, a change that did not arrive');
is(bas_status(53), 'Прийнято', 'is made again');
sub user_sets { my ($id, $status) = @_; return user($id, properties => { 'СостояниеЗаказа' => $ref{$status}, 'СостояниеЗаказа_Type' => 'StandardODATA.Catalog_СостоянияЗаказовПокупателей' }) }
for my $action (undef, 'reset_after')    # the new status is not mapped
{
	my $id = defined $action ? 56 : 55;
	deliver($id);
	user_sets($id, 'Прийнято');
	$bas->control(POST => '/faults', { method => 'PATCH', action => $action, times => 1 }) if defined $action;
	deliver($id, statusId => 6);
	ok(settled($id), 'cancelled');
	is(bas_status($id), 'Скасовано', 'with its status');
	deliver($id, statusId => 3);
	is(bas_status($id) . ' ' . state_of($id), 'Прийнято synced', 'living again, by a status that nobody has mapped, the document has its former one');
}
deliver(57);
deliver(57, statusId => 6);
deliver(57, statusId => 3);
is(bas_status(57), 'Скасовано', 'where it had none before it is left');
like(told(57), qr/^Lives again in SalesDrive: status 3\. Document keeps the status of the cancelled order: value_map does not say what the new one is in BAS, and the one before is not known\.$/, 'and that is told');
deliver(58);
user_sets(58, 'Прийнято');
deliver(58, statusId => 6);
user_sets(58, 'Прибуло');
deliver(58, statusId => 3);
is(bas_status(58), 'Прибуло', 'nor is a status overwritten that was set in BAS meanwhile');
deliver(54);
user_marks(54, $yes);
deliver(54, statusId => 6);
is(join(', ', state_of(54), in_bas(54), bas_status(54)), 'synced, not posted marked, ', 'a document marked in BAS is not written to');

# ---- both directions: our own marks are no change of a BAS user

option('status_to_bas = true');
option('status_from_bas = true');
sql("SELECT salesdrive.map_value('shop', 'status', '1', 'Прийнято'), salesdrive.map_value('shop', 'status', '6', 'Скасовано')");
rule('deleted', 'mark', 1);
deliver(60);
deliver(61);
user(61, post => $yes);
sub updates { return scalar $crm->control(GET => '/state')->{updates}->@* }
sql("SELECT salesdrive.pull_statuses('main')");
run_engine();
my $updates = updates();
my $log = sql("SELECT max(id) FROM salesdrive.exchange_log");
deliver($_, statusId => 8) for 60, 61;
is(in_bas(60) . ', ' . in_bas(61), 'not posted marked, not posted marked', 'two documents are marked');
$log = sql("SELECT max(id) FROM salesdrive.exchange_log");
for (1, 2) { sql("SELECT salesdrive.pull_statuses('main')"); run_engine() }
is(updates() - $updates, 0, 'and SalesDrive hears nothing of it');
is(sql("SELECT string_agg(DISTINCT purpose, ', ') FROM salesdrive.exchange_log WHERE id > $log"), 'read statuses', 'nor does anything else happen');
is(sql("SELECT count(*) FROM salesdrive.task WHERE state <> 'parked'"), 0, 'no order is looked at again');
user(60, properties => { 'СостояниеЗаказа' => $ref{'Скасовано'}, 'СостояниеЗаказа_Type' => 'StandardODATA.Catalog_СостоянияЗаказовПокупателей' });
my $done = sync(60, 'synced_at');
for (1, 2) { sql("SELECT salesdrive.pull_statuses('main')"); run_engine() }
is(updates() - $updates . ' ' . (sync(60, 'synced_at') eq $done ? 'at rest' : 'looked at'), '0 at rest', 'whatever status a marked document of a cancelled order takes');
option('status_to_bas = false');
option('status_from_bas = false');

# ---- found by the API

$crm->control(POST => '/orders', { count => 2, seed => 3, first_id => 3001, from => '2026-11-20 08:00:00', days => 1, plain => 1, versions => [ 1, 1 ] });
sub kyiv { return $crm->control(POST => '/config', { clock => sql("SELECT to_char(salesdrive.clock() AT TIME ZONE 'Europe/Kyiv', 'YYYY-MM-DD HH24:MI:SS')") }) }
sub crm_sets { my ($id, $status) = @_; kyiv(); return $crm->control(POST => '/edit', { id => $id, data => { statusId => $status } }) }
sub poll { kyiv(); sql("SELECT salesdrive.fetch_orders('shop')"); return run_engine() }
crm_sets($_, 1) for 3001, 3002;
poll();
is(state_of(3001) . ' ' . state_of(3002), 'synced synced', 'orders read by the API');
crm_sets(3001, 8);
poll();
is(in_bas(3001) . ', ' . state_of(3001) . ', ' . in_bas(3002), 'not posted marked, synced, not posted not marked', 'one deleted in SalesDrive, of which no webhook tells, is marked in BAS');
crm_sets(3001, 1);
poll();
is(in_bas(3001) . ', ' . state_of(3001), 'not posted not marked, synced', 'and living again it is not');

# ---- what preview() shows, and who may

deliver(70);
user(70, post => $yes);
sql("SELECT salesdrive.pause_infobase('main', 'a look')");
deliver(70, statusId => 8);
sub steps { my ($id) = @_; return sql("SELECT string_agg(concat_ws(' ', step, method, regexp_replace(url, '^.*standard.odata/[^(?/]*', ''), body), ', ') FROM salesdrive.preview('shop', $id) WHERE step <> 'document as it should be'") =~ s/[0-9a-f]{8}-[0-9a-f-]{27}/K/gr }
like(steps(70), qr/^read order GET \?.*, cancelled \(status 8 "Видалений"\): mark, unposted first$/, 'preview() shows the next step, and what the rule says');
sub read_now { my ($posted) = @_; return sql("UPDATE salesdrive.order_sync y SET read_version = o.version FROM salesdrive.crm_order o WHERE o.order_id = y.order_id AND y.order_id = 70; UPDATE salesdrive.bas_order SET read_at = now(), posted = $posted WHERE order_id = 70") }
read_now('true');
like(steps(70), qr/^unpost order POST \(guid'K'\)\/Unpost, /, 'then to unpost');
read_now('false');
like(steps(70), qr/^mark order PATCH \(guid'K'\) \{"DeletionMark": true\}, /, 'then to mark');
sql("CREATE ROLE clerk LOGIN; SELECT salesdrive.grant_access('clerk', 'operator')");
is(sql("SET ROLE clerk; INSERT INTO salesdrive.cancel_rule (account, status, action) VALUES ('shop', '9', 'mark'); DELETE FROM salesdrive.cancel_rule WHERE status = '9'; SELECT count(*) > 0 FROM salesdrive.preview('shop', 70)"), 't', 'an operator writes rules, and previews');
sql("SELECT salesdrive.unpause_infobase('main')");
run_engine();
is(in_bas(70), 'not posted marked', 'and so it is done');

is(sql("SELECT string_agg(s.order_id || ': ' || s.requests, ', ') FROM salesdrive.order_status s WHERE s.requests <> (SELECT count(*) FROM salesdrive.exchange_log l WHERE l.direction = 'out' AND l.kind = 'order' AND l.order_id = s.order_id)"), '', 'every request is counted with its order');
is_deeply($bas->control(GET => '/state')->{violations}, [], 'the base reports no violation');
$ear_in .= "\\q\n";
$ear->finish;

done_testing();
