# What goes back to SalesDrive: wanted once, sent once, seen held by the next version; refused, without an answer, overtaken by an edit there; notes at
# most once; never while BAS, or SalesDrive, is needed for something else.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine error_of);

my $node = new_node('updates', preload => 0);
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive', '--config', '{"per_minute": 0, "per_hour": 0, "per_day": 0, "log_bodies": true}');
my $clock = 0;

sub later { my ($seconds) = @_; $clock += $seconds; sql("ALTER DATABASE postgres SET salesdrive.clock_offset = '$clock s'"); kyiv(); return }
sub kyiv { return $crm->control(POST => '/config', { skew => $clock, clock => sql("SELECT to_char(salesdrive.clock() AT TIME ZONE 'Europe/Kyiv', 'YYYY-MM-DD HH24:MI:SS')") }) }
sub want { my ($id, $field, $value, $cause) = @_; $cause //= 'user'; sql("SELECT salesdrive.want_in_crm('shop', $id, '$field', '$value', '$cause')"); return }
sub change { my ($id, $field, $columns) = @_; return sql("SELECT concat_ws(' ', " . ($columns // 'state, wanted') . ") FROM salesdrive.crm_change WHERE order_id = $id AND field = '$field'") }
sub task { my ($id, $columns) = @_; return sql("SELECT concat_ws(' ', " . ($columns // 'state, reason') . ") FROM salesdrive.task WHERE kind = 'order_update' AND key = '$id'") }
sub updates { my ($id) = @_; return grep { $_->{id} == $id } @{ $crm->control(GET => '/state')->{updates} } }
sub notes { my ($id) = @_; return join '|', map { $_->{text} } grep { $_->{id} == $id } @{ $crm->control(GET => '/state')->{notes} } }
sub lists { return $crm->control(GET => '/requests')->{counts}{'GET /api/order/list/'} // 0 }
sub row { my ($id) = @_; return $crm->control(GET => '/state')->{by_id}{$id} }
sub edit { my ($id, %data) = @_; kyiv(); $crm->control(POST => '/edit', { id => $id, data => \%data }); return }
sub fault { $crm->control(POST => '/faults', { path => 'POST /api/order/', @_ }); return }
sub no_faults { $crm->control(DELETE => '/faults'); return }
sub told { my ($id, $event) = @_; return sql("SELECT text FROM salesdrive.order_event WHERE order_id = $id AND event = '$event' ORDER BY id DESC LIMIT 1") }
# What SalesDrive holds comes by: as a poll would bring it.
sub poll { later(1); sql("SELECT salesdrive.fetch_orders('shop')"); run_engine(); return }

sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'shop');
	SELECT salesdrive.pause_infobase('main', 'only SalesDrive here');
	INSERT INTO salesdrive.account_api (account, retry_base, circuit_after, total_timeout) VALUES ('shop', '1 ms', 1000, '2 s');
	SELECT salesdrive.begin_api('shop');
	UPDATE salesdrive.quota_window SET most = NULL");
$crm->control(POST => '/orders', { count => 12, seed => 3, first_id => 1001, from => '2026-11-20 08:00:00', days => 1, plain => 1, versions => [ 1, 1 ] });
kyiv();
sql("SELECT salesdrive.fetch_orders('shop', '2026-11-01')");
run_engine();
is(sql('SELECT count(*) FROM salesdrive.crm_order'), 12, 'orders are here');
is(row(1001)->{statusId} . ' ' . sql('SELECT status_id FROM salesdrive.crm_order WHERE order_id = 1001'), '1 1', 'as SalesDrive holds them');

# ---- wanted, sent, held

like(error_of("SELECT salesdrive.want_in_crm('shop', 77, 'statusId', '3', 'user')"), qr/order 77 of account "shop" has not been received/, 'an order that is not here is named');
want(1001, 'statusId', 1);
is(change(1001, 'statusId') . ' ' . task(1001), 'held 1 ', 'what SalesDrive holds already is held at once');
want(1001, 'statusId', 3, 'status');
is(change(1001, 'statusId') . ' ' . task(1001), 'wanted 3 ready', 'another value is wanted');
want(1001, 'comment', 'перший');
want(1001, 'comment', 'другий');
run_engine();
is_deeply([ map { $_->{data} } updates(1001) ], [ { statusId => 3, comment => 'другий' } ], 'one request carries all; a later wish took the place of the earlier one');
is(change(1001, 'statusId', 'state, wanted, sent, cause') . ' ' . task(1001), 'sent 3 3 status ', 'success is taken for sent');
is(told(1001, 'crm_changed'), 'SalesDrive: statusId 1 → 3 (status).', 'and told');
like(sql("SELECT string_agg(what, ',' ORDER BY at) FROM salesdrive.order_timeline WHERE order_id = 1001 AND source = 'exchange'"), qr/out change order in SalesDrive/, 'the exchange is one of the order');
want(1001, 'statusId', 3);
run_engine();
is(scalar(updates(1001)), 1, 'wanted once more: nothing is sent');
poll();
is(change(1001, 'statusId') . ' ' . change(1001, 'comment'), 'held 3 held другий', 'the next version shows it');
is(scalar(updates(1001)), 1, 'and asks for nothing');
want(1001, 'statusId', 1);
want(1001, 'statusId', 3);
is(change(1001, 'statusId'), 'held 3', 'a wish withdrawn before it was sent');
run_engine();
is(scalar(updates(1001)), 1, 'is not sent');

# to and fro, faster than SalesDrive tells
want(1001, 'statusId', 4);
run_engine();
want(1001, 'statusId', 3);
is(change(1001, 'statusId'), 'wanted 3', 'back to what is known here, which SalesDrive does not hold any more');
run_engine();
is(row(1001)->{statusId}, 3, 'is sent');
poll();
is(change(1001, 'statusId'), 'held 3', 'and held');

# a set of them costs one task each
sql("SELECT salesdrive.want_in_crm(ARRAY(SELECT ('shop', id, 'statusId', '2', 'status')::salesdrive.crm_wish FROM generate_series(1002, 1004) id))");
run_engine();
is(join(' ', map { row($_)->{statusId} } 1002 .. 1004), '2 2 2', 'many at once');

# an edit there is not overwritten
edit(1002, statusId => 5);
poll();
is(change(1002, 'statusId'), 'held 2', 'what was held and changed there since stays so');
is(scalar(updates(1002)), 1, 'and is left alone');
want(1002, 'statusId', 3);
edit(1002, statusId => 6);
my ($fresh) = grep { $_->{id} == 1002 } map { $_ } @{ json_decode(http(GET => $crm->url('/api/order/list/?filter%5Bid%5D=1002&filter%5BstatusId%5D=__ALL__'), { 'X-Api-Key' => 'demo-key' })->{content})->{data} };
my $body = json_encode({ data => $fresh });
utf8::decode($body);
$body =~ s/'/''/g;
sql("SELECT salesdrive.pause_api('shop', 'later'); SELECT salesdrive.accept_webhook('shop', '$body')");
run_engine();
sql("SELECT salesdrive.unpause_api('shop')");
run_engine();
is(row(1002)->{statusId} . ' ' . change(1002, 'statusId'), '6 dropped 3', 'a wish overtaken by an edit there is not sent');
like(told(1002, 'crm_not_changed'), qr/^statusId is not sent\. SalesDrive holds 6 by now: decided anew\.$/, 'and says so');
want(1002, 'statusId', 3, 'status');
run_engine();
is(row(1002)->{statusId}, 3, 'decided anew, it is');

# ---- refused

want(1003, 'statusId', 77);
want(1003, 'comment', 'разом');
run_engine();
is(task(1003), 'parked business', 'a refusal parks');
is(change(1003, 'comment') . ' ' . row(1003)->{statusId}, 'sent разом 2', 'the other field arrived, alone');
like(task(1003, 'detail'), qr/^SalesDrive: statusId 2 → 77 \(user\): 200: Status 77 not found\.$/, 'the words of SalesDrive');
like(task(1003, 'hint'), qr/resume\(\d+\)/, 'and what to do');
run_engine();
want(1003, 'statusId', 77);
run_engine();
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 1003 AND class = 'business'"), 2, 'what is refused is not sent again by itself');
sql("SELECT salesdrive.resume(" . task(1003, 'id') . ")");
run_engine();
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 1003 AND class = 'business'") . ' ' . task(1003), '3 parked business', 'resume() sends it once more');
want(1003, 'comment', 'ще');
run_engine();
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 1003 AND class = 'business'") . ' ' . task(1003) . ' ' . change(1003, 'comment'), '3 parked business sent ще', 'another wish goes by it');
want(1003, 'statusId', 4);
run_engine();
is(row(1003)->{statusId} . task(1003), '4', 'another value ends it');
for my $form (qw(success status 400))
{
	$crm->control(POST => '/config', { update_refusal => $form });
	want(1003, 'statusId', 78);
	run_engine();
	is(task(1003), 'parked business', "refused as $form");
	want(1003, 'statusId', 4);
	run_engine();
}
want(1003, 'noSuchField', 'x');
run_engine();
is(change(1003, 'noSuchField'), 'sent x', 'a field that is not there is ignored with success');
edit(1003, comment => 'інше');
poll();
is(change(1003, 'noSuchField') . ' ' . task(1003), 'refused x parked business', 'the next version tells');
like(change(1003, 'noSuchField', 'detail'), qr/^SalesDrive answered with success, and holds nothing all the same/, 'in words');
sql("DELETE FROM salesdrive.crm_change WHERE order_id = 1003 AND field = 'noSuchField'; SELECT salesdrive.resume(" . task(1003, 'id') . ')');
run_engine();
is(task(1003), '', 'taken away by hand');

# ---- no answer

my $n;
fault(action => 'reset_after', times => 1);
want(1005, 'statusId', 3);
run_engine();
is(change(1005, 'statusId') . ' ' . task(1005), 'unknown 3 ready unsure', 'no answer: unknown');
like(told(1005, 'crm_unknown'), qr/^SalesDrive: statusId 1 → 3 \(user\): no answer \(.+\); it is looked for before it is sent again\.$/, 'told');
my $lists = lists();
later(10);
run_engine();
is(change(1005, 'statusId') . ' ' . task(1005) . scalar(updates(1005)) . (lists() - $lists), 'held 3 11', 'read back when it can be at work no more: it had arrived, and is not sent again');
like(told(1005, 'crm_changed'), qr/^SalesDrive: statusId 1 → 3 \(user\), as version \d+ shows\.$/, 'told, once');

fault(action => 'reset_before', times => 1);
want(1005, 'statusId', 4);
run_engine();
is(change(1005, 'statusId') . ' ' . row(1005)->{statusId}, 'unknown 4 3', 'no answer, and nothing done');
later(10);
run_engine();
is(change(1005, 'statusId') . ' ' . row(1005)->{statusId} . ' ' . scalar(updates(1005)), 'sent 4 4 2', 'read back, then sent again');

fault(action => 'reset_after', times => 1);
want(1006, 'statusId', 3);
run_engine();
$lists = lists();
poll();
is(change(1006, 'statusId') . task(1006) . ' ' . (lists() - $lists), 'held 3 1', 'a version that comes meanwhile tells as well, and spends nothing');

fault(action => 'reset_before', times => 1);
want(1007, 'statusId', 3);
run_engine();
edit(1007, comment => 'менеджер');
later(10);
run_engine();
is(change(1007, 'statusId') . ' ' . row(1007)->{statusId} . ' ' . scalar(updates(1007)), 'dropped 3 1 0', 'changed there meanwhile: not sent again, decided anew');
like(change(1007, 'statusId', 'detail'), qr/^Sent without an answer, and version 2 of SalesDrive, changed meanwhile, holds 1\.$/, 'why');

for my $form ([ action => 'html_ok' ], [ action => 'html_ok', after => \1 ], [ action => 'status', status => 500, body => 'html' ], [ action => 'status', status => 502, body => 'html', after => \1 ], [ action => 'garbage' ], [ action => 'truncate' ], [ action => 'hang_after' ])
{
	my ($id, $name) = (1008, join ' ', map { ref $_ ? 'done' : $_ } @$form);
	my $to = row($id)->{statusId} == 3 ? 4 : 3;
	my $before = scalar updates($id);
	fault(@$form, times => 1);
	want($id, 'statusId', $to);
	run_engine();
	is(change($id, 'statusId', 'state'), 'unknown', "$name: unknown");
	later(10);
	run_engine();
	is(row($id)->{statusId} . ' ' . (scalar(updates($id)) - $before) . task($id), "$to 1", "$name: arrived exactly once");
	poll();
	is(change($id, 'statusId'), "held $to", "$name: held");
}

# known not to be done: tried again without a question
fault(action => 'throttle', retry_after => 30, times => 1);
want(1009, 'statusId', 3);
$lists = lists();
run_engine();
is(change(1009, 'statusId') . ' ' . task(1009), 'wanted 3 ready quota', 'too many requests: later');
later(31);
run_engine();
is(change(1009, 'statusId') . ' ' . scalar(updates(1009)) . ' ' . (lists() - $lists), 'sent 3 1 0', 'then sent');
fault(action => 'unauthorized', times => 1);
want(1009, 'statusId', 4);
run_engine();
is(change(1009, 'statusId') . ' ' . sql("SELECT state FROM salesdrive.api_status"), 'wanted 4 paused', 'the key is refused: the API is paused, nothing is lost');
sql("SELECT salesdrive.unpause_api('shop')");
run_engine();
is(row(1009)->{statusId}, 4, 'then it goes on');

# never an answer: not for ever
fault(action => 'reset_before');
want(1010, 'statusId', 3);
for (1 .. 7) { run_engine(); later(10) }
is(change(1010, 'statusId') . ' ' . task(1010), 'refused 3 parked business', 'five times without an answer: parked');
no_faults();
sql("SELECT salesdrive.resume(" . task(1010, 'id') . ")");
run_engine();
is(row(1010)->{statusId}, 3, 'until resume()');

# ---- notes

want(1011, 'note', 'Документ 000123');
run_engine();
is(notes(1011) . ' ' . change(1011, 'note', 'state'), 'Документ 000123 sent', 'a note is added');
want(1011, 'note', 'Документ 000123');
run_engine();
poll();
is(notes(1011), 'Документ 000123', 'once');
want(1011, 'note', 'Документ 000124');
run_engine();
is(notes(1011), 'Документ 000123|Документ 000124', 'another one is another');
$crm->control(POST => '/config', { note_key => $_ }), want(1011, 'note', "як $_"), run_engine() for qw(note text);
is(notes(1011), 'Документ 000123|Документ 000124|як note|як text', 'under either name of its field');
for my $action (qw(reset_after reset_before))
{
	fault(action => $action, times => 1);
	want(1011, 'note', $action);
	run_engine();
	later(100);
	run_engine();
	want(1011, 'note', $action);
	run_engine();
	is(change(1011, 'note') . task(1011), "unknown $action", "$action: a note without an answer stays unknown");
}
is(notes(1011), 'Документ 000123|Документ 000124|як note|як text|reset_after', 'and is never added again');
like(told(1011, 'crm_unknown'), qr/a note is not sent twice, look for it in SalesDrive\.$/, 'which is told');
want(1011, 'note', 'далі');
run_engine();
like(notes(1011), qr/далі$/, 'the next one goes on');

# ---- before it is sent; the key in the body; the webhook that comes back

want(1012, 'statusId', 2);
want(1012, 'note', 'зразок');
is(sql("SELECT string_agg(concat_ws(' ', step, method, body), ', ' ORDER BY step) FROM salesdrive.preview('shop', 1012) WHERE url LIKE '%/api/%'"), 'add note in SalesDrive POST "зразок", change order in SalesDrive POST {"id": 1012, "data": {"statusId": 2}}', 'preview() shows it');
$crm->control(POST => '/config', { key_headers => 'none' });
sql("UPDATE salesdrive.account_api SET key_in_body = true");
run_engine();
is(row(1012)->{statusId} . ' ' . notes(1012), '2 зразок', 'an account that takes the key in the body only');
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE request_body LIKE '%demo-key%'") . sql("SELECT request_body FROM salesdrive.exchange_log WHERE order_id = 1012 AND purpose LIKE 'change%'"), '0{"id": 1012, "data": {"statusId": 2}, "form": "…"}', 'the log does not show it');
$crm->control(POST => '/config', { key_headers => 'any' });
sql("UPDATE salesdrive.account_api SET key_in_body = false");

want(1012, 'statusId', 79);
run_engine();
is(sql("SELECT concat_ws(' ', kind, order_id, reason) FROM salesdrive.parked"), 'order_update 1012 business', 'parked shows the order');
$n = sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 1012 AND class = 'business'");
sql("SELECT salesdrive.resume('shop', 1012)");
run_engine();
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 1012 AND class = 'business'"), $n + 1, 'resume(account, order_id) resumes this, too');

# ---- the engine ends in the middle

$n = scalar updates(1012);
want(1012, 'statusId', 3);
is(sql('SELECT count(*) FROM salesdrive.claim(10)'), 1, 'claimed, and never sent');
is(change(1012, 'statusId'), 'unknown 3', 'unknown from then on');
run_engine();
is(scalar(updates(1012)) - $n, 0, 'the next engine does not send it blindly');
later(10);
run_engine();
is(row(1012)->{statusId} . ' ' . (scalar(updates(1012)) - $n), '3 1', 'but looks first');

is(sql("SELECT count(*) FROM salesdrive.task WHERE kind = 'order_update'"), 0, 'nothing is left');

# ---- workers, and a webhook that comes back for each change

my $live = new_node('echo', workers => 1);
my $port = receiver_port($live);
$live->safe_psql('postgres', "SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'user', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'echo');
	SELECT salesdrive.pause_infobase('main', 'only SalesDrive here')");
my $hook = "http://127.0.0.1:$port/webhook/shop/a-token-of-24-characters";
ok(wait_for_sql($live, 'postgres', "SELECT state FROM salesdrive.worker_status WHERE role = 'receiver'", 'running'), 'the receiver listens');
$crm->control(POST => '/config', { echo_url => $hook, echo => 'all', clock => '' });
$crm->control(POST => '/orders', { count => 30, seed => 7, first_id => 2001, from => '2026-11-20 08:00:00', days => 1, plain => 1, versions => [ 1, 1 ] });
$crm->control(POST => '/deliver', { url => $hook, orders => [ 2001 .. 2030 ] });
ok(wait_for_sql($live, 'postgres', 'SELECT count(*) FROM salesdrive.crm_order', 30), 'orders are here');
my $sent = scalar @{ $crm->control(GET => '/state')->{updates} };
$live->safe_psql('postgres', "SELECT salesdrive.want_in_crm(ARRAY(SELECT ('shop', id, f, CASE f WHEN 'statusId' THEN '3' ELSE 'x' || id END, 'user')::salesdrive.crm_wish FROM generate_series(2001, 2030) id, unnest(ARRAY['statusId', 'promokod']) f))");
ok(wait_for_sql($live, 'postgres', "SELECT string_agg(DISTINCT state, ' ') || count(*) FROM salesdrive.crm_change", 'held60'), 'all are held, as the webhooks that came back show');
ok(wait_for_sql($live, 'postgres', "SELECT count(*) FROM salesdrive.task WHERE kind = 'order_update'", 0), 'nothing is left');
is(scalar(@{ $crm->control(GET => '/state')->{updates} }) - $sent, 30, 'one request an order');
is($live->safe_psql('postgres', "SELECT count(*) FROM salesdrive.order_event WHERE event = 'crm_changed'"), 60, 'told once each');
done_testing();
