# What SalesDrive is told of documents: their number, by a field or a note, and their address; once, also when it was away. And the line in the
# comments of both that tells of a sum changed in BAS: once for each change, never piled up, no edit of anyone.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine error_of);

my $node = new_node('told', preload => 0);
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive', '--config', '{"per_minute": 0, "per_hour": 0, "per_day": 0}');
my $clock = 0;

sub kyiv { return $crm->control(POST => '/config', { skew => $clock, clock => sql("SELECT to_char(salesdrive.clock() AT TIME ZONE 'Europe/Kyiv', 'YYYY-MM-DD HH24:MI:SS')") }) }
sub later { my ($seconds) = @_; $clock += $seconds; sql("ALTER DATABASE postgres SET salesdrive.clock_offset = '$clock s'"); kyiv(); return }
sub poll { later(1); sql("SELECT salesdrive.fetch_orders('shop')"); run_engine(); return }
sub edit { my ($id, %data) = @_; kyiv(); $crm->control(POST => '/edit', { id => $id, data => \%data }); return }
sub change { my ($id, $field, $columns) = @_; return sql("SELECT concat_ws(' ', " . ($columns // 'state, wanted') . ") FROM salesdrive.crm_change WHERE order_id = $id AND field = '$field'") }
sub updates { my ($id) = @_; return map { $_->{data} } grep { $_->{id} == $id } @{ $crm->control(GET => '/state')->{updates} } }
sub notes { my ($id) = @_; return join '|', map { $_->{text} } grep { $_->{id} == $id } @{ $crm->control(GET => '/state')->{notes} } }
sub row { my ($id) = @_; return $crm->control(GET => '/state')->{by_id}{$id}{patch} }
sub number { my ($id) = @_; return sql("SELECT btrim(number) FROM salesdrive.order_sync WHERE order_id = $id") }
sub ref_of { my ($id) = @_; return sql("SELECT bas_ref FROM salesdrive.order_sync WHERE order_id = $id") }
sub requests { my ($id, $condition) = @_; return sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = $id AND direction = 'out' AND infobase = 'main'" . ($condition // '')) }
sub bas_edit { my ($id, %properties) = @_; $bas->control(POST => '/edit', { set => 'Document_ЗаказПокупателя', key => ref_of($id), properties => \%properties }); return }
sub state_of { my ($id) = @_; return sql("SELECT concat_ws(' ', state, reason) FROM salesdrive.order_status WHERE order_id = $id") }

my $url = $bas->url('/base');
sql("SELECT salesdrive.add_infobase('main', 'unf', '$url', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'shop');
	UPDATE salesdrive.infobase SET retry_base = '1 ms', unsure_margin = '0', total_timeout = '2 s', circuit_after = 1000;
	INSERT INTO salesdrive.account_api (account, retry_base, circuit_after, total_timeout) VALUES ('shop', '1 ms', 1000, '2 s');
	SELECT salesdrive.begin_api('shop');
	UPDATE salesdrive.quota_window SET most = NULL");
$crm->control(POST => '/orders', { count => 12, seed => 3, first_id => 1001, from => '2026-11-20 08:00:00', days => 1, plain => 1, versions => [ 1, 1 ] });

# ---- off: nothing

kyiv();
sql("SELECT salesdrive.fetch_orders('shop', '2026-11-01')");
run_engine();
is(sql("SELECT count(*) FROM salesdrive.order_status WHERE state = 'synced'"), 12, 'documents are made');
is(sql('SELECT count(*) FROM salesdrive.crm_change'), 0, 'and SalesDrive is told nothing unless asked for');

# ---- number and address in fields

like(error_of("UPDATE salesdrive.account SET number_to = 'comment'"), qr/account_number_to_check/, 'the comment of an order is not overwritten by a number');
like(error_of("UPDATE salesdrive.account SET number_to = 'a', link_to = 'a'"), qr/account_told/, 'nor one by the other');
sql("UPDATE salesdrive.account SET number_to = 'nomerBas', link_to = 'posilannyaBas'");
my $spent = requests(1001);
sql("SELECT salesdrive.resume('shop', 1001)");
run_engine();
my $ref = ref_of(1001);
my @p = split /-/, $ref;
is_deeply([ updates(1001) ], [ { nomerBas => number(1001), posilannyaBas => "$url/#e1cib/data/Документ.ЗаказПокупателя?ref=$p[3]$p[4]$p[2]$p[1]$p[0]" } ], 'both in one request');
is(requests(1001) - $spent, 0, 'BAS is not asked for it');
poll();
is(change(1001, 'nomerBas', 'state, cause') . ' ' . change(1001, 'posilannyaBas', 'state, cause'), 'held number held link', 'held');
is(scalar(updates(1001)), 1, 'and not sent again');
is(requests(1001) - $spent, 0, 'what comes back is no edit');

$crm->control(POST => '/orders', { count => 3, seed => 4, first_id => 1101, from => '2026-11-21 08:00:00', days => 1, plain => 1, versions => [ 1, 1 ] });
edit($_) for 1101 .. 1103;
$crm->control(POST => '/faults', { path => 'POST /api/order/', action => 'reset_before' });
poll();
is(sql("SELECT count(*) FROM salesdrive.order_status WHERE order_id > 1100 AND state = 'synced'"), 3, 'SalesDrive away: documents are made all the same');
$crm->control(DELETE => '/faults');
later(10);
run_engine();
run_engine();
is(join(' ', map { row($_)->{nomerBas} } 1101 .. 1103), join(' ', map { number($_) } 1101 .. 1103), 'and the numbers arrive when it is back');

edit(1001, nomerBas => '');
poll();
is(scalar(updates(1001)), 1, 'what people do to it there is theirs');

# ---- as a note

sql("UPDATE salesdrive.account SET number_to = 'note', number_text = 'BAS: {number} {link}', link_to = NULL, link_text = '{key}'");
sql("SELECT salesdrive.resume('shop', 1002)");
run_engine();
is(notes(1002), 'BAS: ' . number(1002) . ' ' . ref_of(1002), 'a note with number and key');
sql("SELECT salesdrive.want_in_crm('shop', 1002, 'note', 'інше', 'user')");
run_engine();
edit(1002, statusId => 4);
poll();
sql("SELECT salesdrive.resume('shop', 1002)");
run_engine();
is(notes(1002), 'BAS: ' . number(1002) . ' ' . ref_of(1002) . '|інше', 'at most once, other notes notwithstanding');
for my $action (qw(reset_before reset_after))
{
	my $id = $action eq 'reset_before' ? 1003 : 1004;
	$crm->control(POST => '/faults', { path => 'POST /api/order/note', action => $action, times => 1 });
	sql("SELECT salesdrive.resume('shop', $id)");
	run_engine();
	later(10);
	sql("SELECT salesdrive.resume('shop', $id)");
	run_engine();
	is(change($id, 'note:number', 'state') . ' ' . (notes($id) ne '' ? 1 : 0), $action eq 'reset_before' ? 'unknown 0' : 'unknown 1', "$action: never twice");
}
sql("UPDATE salesdrive.account SET number_to = NULL, number_text = '{number}'");

# ---- the sum was changed in BAS

my %LINE = (uk => 'Увага, змінена сума замовлення – %s грн.', ru => 'Внимание измененная сумма заказа – %s грн.', en => 'Attention, the sum of the order was changed – %s UAH.');
sub line { my ($sum, $language) = @_; return sprintf $LINE{ $language // 'ru' }, $sum }
sub comment_of { my ($id) = @_; return $bas->control(POST => '/edit', { set => 'Document_ЗаказПокупателя', key => ref_of($id) })->{'Комментарий'} }
sub crm_comment { my ($id) = @_; return row($id)->{comment} // "Замовлення $id" }
sub amount { my ($id) = @_; return sql("SELECT round(payment_amount, 2) FROM salesdrive.crm_order WHERE order_id = $id") }
sub patches { my ($id) = @_; return requests($id, " AND method = 'PATCH'") }
# Someone changes a document in BAS, and it is read.
sub seen_in_bas
{
	my ($id, %properties) = @_;
	bas_edit($id, %properties);
	sql("UPDATE salesdrive.order_sync SET must_read = true WHERE order_id = $id; SELECT salesdrive.enqueue_orders(salesdrive.order_keys('shop', $id))");
	run_engine();
	return;
}
# A comment of which the lines 1.00 and 3.00 are known to be ours.
sub f { my ($comment, $sum, $max) = @_; return sql("SELECT replace(salesdrive.with_sum_line(" . (defined $comment ? "E'$comment'" : 'NULL') . ", ARRAY['" . line('1.00') . "', '" . line('3.00', 'uk') . "'], salesdrive.sum_line('ru', $sum), " . ($max // 'NULL') . "), E'\\n', '|')") }

is(f('текст', '1234.5'), 'текст|' . line('1234.50'), 'the line is the last of the comment');
is(f(undef, 10), line('10.00'), 'or all of it');
is(f('текст\n' . line('1.00'), 2), 'текст|' . line('2.00'), 'an older one gives way');
is(f('перед\n' . line('1.00') . "\n" . line('3.00', 'uk') . '\nпісля', 2), 'перед|після|' . line('2.00'), 'wherever it is, and in whatever text');
is(f('текст\r\n Внимание  измененная сумма заказа - 1,00 грн. \nдалі', 'NULL'), 'текст|далі', 'blanks, dashes and commas may have changed');
is(f($_, 'NULL'), s/\n/|/r, 'what is not a line that was written stays') for 'перед ' . line('1.00'), line('1.00') . ' передоплата', "текст\n" . line('7.00');
is(f('текст\n' . line('1.00'), 'NULL'), 'текст', 'without a sum it goes');
is(f(' рівно так\n', 'NULL'), ' рівно так|', 'and a comment without it stays as it is');
is(f('x' x 100, 5, 60), 'x' x (59 - length line('5.00')) . '|' . line('5.00'), 'a comment that is too long makes room for it');
is(sql("SELECT replace(salesdrive.with_sum_line(E'a\\n[Сума: 5.00 (UAH)?]', ARRAY['[Сума: 5.00 (UAH)?]'], salesdrive.sum_line('[Сума: 0000.00 (UAH)?]', 7), NULL), E'\\n', '|')"), 'a|[Сума: 7.00 (UAH)?]', 'a text of your own');
is(sql("SELECT string_agg(salesdrive.unsummed_document(jsonb_build_object('Комментарий', c || E'" . line('5.00') . "'), ARRAY['" . line('5.00') . "'], 'accounting2') ->> 'Комментарий', '|' ORDER BY c) FROM unnest(ARRAY['shop/7: ', E'shop/7: a\\n']) c"), 'shop/7|shop/7: a', 'a comment that begins with a marker');
like(error_of("UPDATE salesdrive.account SET sum_comment = 'сума'"), qr/account_sum_comment_check/, 'which has a place for the sum');

seen_in_bas(1005, 'СуммаДокумента' => 777.5);
is(patches(1005) . change(1005, 'comment'), '0', 'off: nothing is told');
sql("UPDATE salesdrive.account SET sum_comment = 'ru'");
seen_in_bas(1006);
is(patches(1006) . change(1006, 'comment'), '0', 'a sum as it was written is none to tell of');
seen_in_bas(1006, 'СуммаДокумента' => 777.5);
is(comment_of(1006), "Замовлення 1006\n" . line('777.50'), 'the comment of the document tells');
is(crm_comment(1006), "Замовлення 1006\n" . line('777.50'), 'and that of the order');
is(change(1006, 'comment', 'state, cause'), 'sent sum', 'by what is carried to SalesDrive');
is(patches(1006), 1, 'by one PATCH');
like(sql("SELECT text FROM salesdrive.order_event WHERE order_id = 1006 AND event = 'sum_told'"), qr/^Document \S+: its comment tells that its sum is 777\.50?\.?$/, 'which the history tells');
poll();
poll();
is(patches(1006) . ' ' . scalar(updates(1006)) . ' ' . change(1006, 'comment', 'state') . ' ' . state_of(1006), '1 1 held synced', 'what comes back is no edit');
seen_in_bas(1006);
is(patches(1006) . ' ' . scalar(updates(1006)), '1 1', 'once for each change');
seen_in_bas(1006, 'СуммаДокумента' => 800);
poll();
is(comment_of(1006) . '/' . crm_comment(1006), join('/', ("Замовлення 1006\n" . line('800.00')) x 2), 'another change: in place of the line before');
is(patches(1006) . ' ' . scalar(updates(1006)), '2 2', 'once');

# both sides go on with their comments
edit(1006, comment => "Новий коментар\n" . line('800.00'));
poll();
is(comment_of(1006) . '/' . crm_comment(1006) . ' ' . scalar(updates(1006)), join('/', ("Новий коментар\n" . line('800.00')) x 2) . ' 2', 'a comment edited in SalesDrive travels, with the line');
edit(1006, comment => 'Ще новіший');
poll();
is(comment_of(1006) . '/' . crm_comment(1006) . ' ' . scalar(updates(1006)), "Ще новіший\n" . line('800.00') . '/Ще новіший 2', 'a line that was taken away there stays away there');
seen_in_bas(1006, 'Комментарий' => "Ще новіший і запис бухгалтера\n" . line('800.00'), 'СуммаДокумента' => 900);
is(comment_of(1006), "Ще новіший і запис бухгалтера\n" . line('900.00'), 'what a user of BAS wrote stays');
poll();
is(crm_comment(1006), "Ще новіший\n" . line('900.00'), 'in its own place');
my $before = patches(1006);
seen_in_bas(1006, 'Комментарий' => 'без рядка');
edit(1006, statusId => 3);
poll();
is(comment_of(1006) . ' ' . (patches(1006) - $before), 'без рядка 0', 'a line that was taken away in BAS stays away');

# as it was
seen_in_bas(1007, 'СуммаДокумента' => 1);
poll();
is(comment_of(1007) . '/' . crm_comment(1007), join('/', ("Замовлення 1007\n" . line('1.00')) x 2), 'told');
seen_in_bas(1007, 'СуммаДокумента' => amount(1007));
poll();
is(comment_of(1007) . '/' . crm_comment(1007), 'Замовлення 1007/Замовлення 1007', 'the sum is that of the order again: so are the comments');

# posted, and without an answer
$bas->control(POST => '/edit', { set => 'Document_ЗаказПокупателя', key => ref_of(1008), post => \1 });
$bas->control(POST => '/faults', { method => 'PATCH', action => 'reset_after', times => 1 });
seen_in_bas(1008, 'СуммаДокумента' => 5);
ok(wait_for('the end', sub { run_engine(); state_of(1008) eq 'synced' }), 'a document that is posted, an answer that is lost');
is(comment_of(1008) . ' ' . patches(1008), "Замовлення 1008\n" . line('5.00') . ' 1', 'is told in once');

# a text that is short, and users who write the like
sql("UPDATE salesdrive.account SET sum_comment = 'Сума 0000.00 грн'");
edit(1012, comment => 'Сума 150.00 грн передоплата, решта 200.00 готівкою');
poll();
is(comment_of(1012), 'Сума 150.00 грн передоплата, решта 200.00 готівкою', 'what a user wrote is no line of ours, whatever it looks like');
edit(1012, comment => "Сума 150.00 грн\nпередоплата");
poll();
seen_in_bas(1012, 'СуммаДокумента' => 11);
poll();
is(comment_of(1012) . '/' . crm_comment(1012), join('/', ("Сума 150.00 грн\nпередоплата\nСума 11.00 грн") x 2), 'nor when a sum is told');
sql("UPDATE salesdrive.account SET sum_comment = 'ru'");
seen_in_bas(1012, 'СуммаДокумента' => 12);
poll();
is(comment_of(1012) . '/' . crm_comment(1012), join('/', ("Сума 150.00 грн\nпередоплата\n" . line('12.00')) x 2), 'the line told gives way, also when the text is another by now');
seen_in_bas(1012, 'СуммаДокумента' => 11);
seen_in_bas(1012, 'СуммаДокумента' => amount(1012));
poll();
is(comment_of(1012) . '/' . crm_comment(1012), join('/', ("Сума 150.00 грн\nпередоплата") x 2), 'and goes when the sum is that of the order again');

# overtaken in SalesDrive
sql("SELECT salesdrive.pause_api('shop', 'later')");
seen_in_bas(1009, 'СуммаДокумента' => 6);
my $mine = json_decode(http(GET => $crm->url('/api/order/list/?filter%5Bid%5D=1009'), { 'X-Api-Key' => 'demo-key' })->{content})->{data}[0];
kyiv();
edit(1009, comment => 'Менеджер');
my $body = json_encode({ data => { %$mine, comment => 'Менеджер', version => $mine->{version} + 1 } });
utf8::decode($body);
$body =~ s/'/''/g;
sql("SELECT salesdrive.accept_webhook('shop', '$body')");
run_engine();
sql("SELECT salesdrive.unpause_api('shop')");
run_engine();
run_engine();
is(crm_comment(1009), "Менеджер\n" . line('6.00'), 'a comment edited there meanwhile is kept, and gets the line');
is(comment_of(1009), "Менеджер\n" . line('6.00'), 'here too');

# edited there, which nothing has told of yet: the order is read before its comment is written
$crm->control(POST => '/orders', { count => 6, seed => 5, first_id => 1201, from => '2026-11-22 08:00:00', days => 1, plain => 1, versions => [ 1, 1 ] });
edit($_) for 1201 .. 1206;
poll();
sub lists { return $crm->control(GET => '/requests')->{counts}{'GET /api/order/list/'} // 0 }
sub told { my ($id, $event) = @_; return sql("SELECT count(*) FROM salesdrive.order_event WHERE order_id = $id AND event = '$event'") }
edit(1201, comment => 'Дзвонити після 18:00');
seen_in_bas(1201, 'СуммаДокумента' => 9);
is(crm_comment(1201), "Дзвонити після 18:00\n" . line('9.00'), 'an edit that is not known yet stays, and gets the line');
is(told(1201, 'crm_not_changed'), 1, 'which the history tells');
is(comment_of(1201), "Дзвонити після 18:00\n" . line('9.00'), 'and it goes to BAS');
my $lists = lists();
seen_in_bas(1202, 'СуммаДокумента' => 9);
is(lists() - $lists, 1, 'one reading for each write');
sql("SELECT salesdrive.want_in_crm('shop', 1203, 'comment', salesdrive.crm_text(salesdrive.crm_held('shop', 1203, 'comment')), 'user')");
run_engine();
is(change(1203, 'comment', 'state') . ' ' . (lists() - $lists), 'held 1', 'and none for a comment that is there already');
edit(1203, comment => 'Менеджер');
sql("SELECT salesdrive.want_in_crm('shop', 1203, 'comment', 'користувач', 'user')");
run_engine();
is(crm_comment(1203) . ' ' . change(1203, 'comment', 'state'), 'Менеджер dropped', 'any other wish is dropped by such an edit');

# written at last after a time: read again; and not read before it can be written
$crm->control(POST => '/faults', { path => 'POST /api/order/', action => 'status', status => 429, body => 'json', text => '{"error":"Too many requests"}' });
sql("SELECT salesdrive.want_in_crm('shop', 1204, 'comment', 'користувач', 'user')");
run_engine();
$crm->control(DELETE => '/faults');
edit(1204, comment => 'Менеджер');
later(120);
run_engine();
run_engine();
is(crm_comment(1204) . ' ' . change(1204, 'comment', 'state'), 'Менеджер dropped', 'a write that was put off is preceded by another reading');
sql("INSERT INTO salesdrive.quota_window AS w (account, method, span, most) VALUES ('shop', 'order/update', '1 hour', 1) ON CONFLICT (account, method, span) DO UPDATE SET most = 1; DELETE FROM salesdrive.quota_use");
$lists = lists();
sql("SELECT salesdrive.want_in_crm(ARRAY[('shop', 1205, 'comment', 'а', 'user'), ('shop', 1206, 'comment', 'б', 'user')]::salesdrive.crm_wish[])");
run_engine();
is(crm_comment(1205) . ' ' . crm_comment(1206) . ' ' . (lists() - $lists), 'а Замовлення 1206 1', 'what the quota has no room to write is not read');
like(sql("SELECT concat_ws(' ', reason, blocked_on) FROM salesdrive.task WHERE kind = 'order_update' AND key = '1206'"), qr/^quota quota:shop:order\/update$/, 'but waits for it');
later(3700);
run_engine();
is(crm_comment(1206) . ' ' . (lists() - $lists), 'б 2', 'and goes on then');
sql("UPDATE salesdrive.quota_window SET most = NULL");

# a wish of a user and the line: both arrive, whichever came first
my @more = (1301 .. 1305);
$crm->control(POST => '/orders', { count => 5, seed => 6, first_id => 1301, from => '2026-11-23 08:00:00', days => 1, plain => 1, versions => [ 1, 1 ] });
edit($_) for @more;
poll();
sub wish { my ($id, $text) = @_; return sql("SELECT salesdrive.want_in_crm('shop', $id, 'comment', '$text', 'user')") }
sql("SELECT salesdrive.pause_api('shop', 'later')");
wish(1301, 'чекає клієнт');
seen_in_bas(1301, 'СуммаДокумента' => 9);
seen_in_bas(1302, 'СуммаДокумента' => 9);
wish(1302, 'чекає клієнт');
wish(1302, 'чекає клієнт');
sql("SELECT salesdrive.unpause_api('shop')");
run_engine();
is(crm_comment(1301), "чекає клієнт\n" . line('9.00'), 'the line joins a wish that is not sent yet');
is(crm_comment(1302), "чекає клієнт\n" . line('9.00'), 'a wish keeps a line that is not sent yet');
wish(1303, 'чекає клієнт');
run_engine();
seen_in_bas(1303, 'СуммаДокумента' => 9);
is(crm_comment(1303), "чекає клієнт\n" . line('9.00'), 'and one that was sent, and that no version shows yet');
wish(1303, 'інше');
run_engine();
is(crm_comment(1303), "інше\n" . line('9.00'), 'and so does the next wish');
poll();
wish(1303, 'ще');
run_engine();
poll();
is(crm_comment(1303) . ' ' . change(1303, 'comment', 'state'), "ще\n" . line('9.00') . ' held', 'and one after the line was seen');
edit(1303, comment => 'ще');
poll();
wish(1303, 'останнє');
run_engine();
is(crm_comment(1303), 'останнє', 'a line that was taken away there does not come back');
is(join(' ', map { scalar(updates($_)) } 1301 .. 1303), '1 1 5', 'and each is one write');
# overtaken by an edit, the line is told all the same
sql("SELECT salesdrive.pause_api('shop', 'later')");
wish(1304, 'чекає клієнт');
seen_in_bas(1304, 'СуммаДокумента' => 9);
wish(1304, 'інше');
edit(1304, comment => 'Менеджер');
sql("SELECT salesdrive.unpause_api('shop')");
run_engine();
poll();
is(crm_comment(1304), "Менеджер\n" . line('9.00'), 'a wish with the line that is overtaken: the line is told');
seen_in_bas(1305, 'СуммаДокумента' => 9);
poll();
edit(1305, comment => "Менеджер\n" . line('9.00'));
seen_in_bas(1305, 'СуммаДокумента' => amount(1305));
poll();
is(crm_comment(1305), 'Менеджер', 'so it is when the line is to go');

# found by pull_statuses(), also where the configuration has neither a status nor the time of a change: by the keys of recent orders
sql("SELECT salesdrive.pull_statuses('main', days => 3650)");
run_engine();
later(1);
bas_edit(1010, 'СуммаДокумента' => 7);
sql("SELECT salesdrive.pull_statuses('main')");
run_engine();
is(comment_of(1010), "Замовлення 1010\n" . line('7.00'), 'a sum is found by the time of the change');
sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('unf', 'order', 'status', NULL), ('unf', 'order', 'status_type', NULL), ('unf', 'order', 'changed', NULL)");
sql("UPDATE salesdrive.infobase SET max_url = 1000");
later(1);
bas_edit(1011, 'СуммаДокумента' => 8);
my $read = sql("SELECT count(*) FROM salesdrive.exchange_log WHERE purpose = 'read statuses'");
sql("SELECT salesdrive.pull_statuses('main')");
run_engine();
is(comment_of(1011), "Замовлення 1011\n" . line('8.00'), 'or by the keys of the documents');
is(sql("SELECT count(*) - $read FROM salesdrive.exchange_log WHERE purpose = 'read statuses'") . ' ' . sql("SELECT max(length(url)) <= 1000 FROM salesdrive.exchange_log WHERE purpose = 'read statuses' AND url LIKE '%Ref_Key\%20eq%'"), '6 t', 'as many at once as an address holds');
is(sql("SELECT documents FROM salesdrive.status_poll"), 26, 'each once');
sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('unf', 'order', 'total', NULL)");
like(error_of("SELECT salesdrive.pull_statuses('main')"), qr/have neither status nor sum/, 'without either there is nothing to ask for');
sql("DELETE FROM salesdrive.profile_property WHERE origin = 'user'");

is(sql("SELECT string_agg(concat_ws(' ', kind, key, reason, detail), ', ') FROM salesdrive.task WHERE state = 'parked'"), '', 'nothing is parked');

is_deeply([ grep { $_->{kind} ne 'document_sum' } @{ $bas->control(GET => '/state')->{violations} } ], [], 'the base reports no violation but the sums changed here by hand');
done_testing();
