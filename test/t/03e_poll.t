# Orders read by the API of SalesDrive: what changed lately and all since a day, every page of a fixed window though rows change meanwhile, once,
# within the quota, over a restart; and the lanes they go to.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine error_of);

my $node = new_node('poll', preload => 0);
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive', '--config', '{"per_minute": 10, "per_hour": 0, "per_day": 0}');
my $clock = 0;

sub later { my ($seconds) = @_; $clock += $seconds; sql("ALTER DATABASE postgres SET salesdrive.clock_offset = '$clock s'"); kyiv(); return }
sub kyiv { return $crm->control(POST => '/config', { skew => $clock, clock => sql("SELECT to_char(salesdrive.clock() AT TIME ZONE 'Europe/Kyiv', 'YYYY-MM-DD HH24:MI:SS')") }) }
sub fetch { my ($since) = @_; sql("SELECT salesdrive.fetch_orders('shop'" . (defined $since ? ", '$since'" : '') . ')'); run_engine(); return }
sub feed { my ($feed, $columns) = @_; return sql("SELECT concat_ws(' ', $columns) FROM salesdrive.fetch_status WHERE account = 'shop' AND feed = '$feed'") }
sub received { return $crm->control(GET => '/requests')->{counts}{'GET /api/order/list/'} // 0 }
sub refused { return $crm->control(GET => '/requests')->{statuses}{400} // 0 }
sub edit { my ($id, %data) = @_; kyiv(); return $crm->control(POST => '/edit', { id => $id, data => \%data }) }
sub order { my ($id, $columns) = @_; return sql("SELECT concat_ws(' ', $columns) FROM salesdrive.crm_order WHERE order_id = $id") }

sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'shop');
	SELECT salesdrive.pause_infobase('main', 'only SalesDrive here')");
$crm->control(POST => '/orders', { count => 250, seed => 3, first_id => 1001, from => '2026-09-01 08:00:00', days => 20, plain => 1 });
kyiv();

# ---- a backfill: all pages, from the last to the first

fetch('2026-08-01');
is(feed('backfill', 'state, pages, pages_left, orders, requests'), 'idle 3 0 350 4', 'all pages of the window; the first one twice');
is(sql('SELECT count(*), min(order_id), max(order_id) FROM salesdrive.crm_order'), '250|1001|1250', 'every order is here');
is(sql("SELECT string_agg(DISTINCT (regexp_match(url, 'page=(\\d+)'))[1] || ':' || task_id::text, ' ') IS NOT NULL FROM salesdrive.exchange_log WHERE purpose = 'read all orders'"), 't', 'as one task');
is(sql("SELECT string_agg((regexp_match(url, 'page=(\\d+)'))[1], ' ' ORDER BY id) FROM salesdrive.exchange_log WHERE purpose = 'read all orders'"), '1 3 2 1', 'in this order');
is(sql("SELECT count(DISTINCT (lane, state)) || ' ' || min(lane) FROM salesdrive.task WHERE kind = 'order'"), '1 4', 'they wait in the lane of backfills');
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE direction = 'in'"), 0, 'no delivery is logged that was none');
is(sql("SELECT string_agg(DISTINCT source, ' ') FROM salesdrive.inbox"), 'backfill', 'the pages are kept as received');
is(sql("SELECT name FROM salesdrive.dictionary_value WHERE side = 'crm' AND dictionary = 'manager' AND key = '2'"), 'Менеджер 2', 'names of values come along');
my $bodies = sql('SELECT count(*) FROM salesdrive.crm_order_version');
later(61);
fetch('2026-08-01');
is(sql('SELECT count(*) FROM salesdrive.crm_order_version'), $bodies, 'once more: nothing is new');

# ---- what changed lately

later(61);
fetch();
is(feed('live', 'state, orders, requests'), 'idle 0 1', 'nothing changed');
my $edited = sql('SELECT salesdrive.clock()');
edit(1010, comment => 'змінено', statusId => 2);
later(120);
fetch();
is(order(1010, 'comment, status_id'), 'змінено 2', 'an edit that no webhook told of is found');
is(sql("SELECT DISTINCT edits_fresh BETWEEN '118 s' AND salesdrive.clock() - '$edited' + interval '1 s' FROM salesdrive.quota_status"), 't', 'two minutes after it was made, as is told with the quota');
is(sql("SELECT salesdrive.edits_fresh('shop', 1) < '3 min'"), 't', 'what the backfill brought does not count');
is(sql("SELECT lane FROM salesdrive.task WHERE kind = 'order' AND key = '1010'"), 1, 'and goes ahead of the backfill');
is(feed('live', 'orders, requests'), '1 1', 'by one request');
my $versions = sql('SELECT count(*) FROM salesdrive.crm_order_version');
later(61);
fetch();
is(feed('live', 'orders') . ' ' . sql("SELECT count(*) - $versions FROM salesdrive.crm_order_version"), '1 0', 'windows overlap, and what is known changes nothing');
edit(1011, statusId => 8);
later(61);
my $until = sql("SELECT seen_until FROM salesdrive.crm_poll WHERE feed = 'live'");
fetch();
is(order(1011, 'status_id'), '8', 'a deleted order is seen');
is(sql("SELECT window_from = date_trunc('second', (timestamptz '$until' - interval '15 min') AT TIME ZONE 'Europe/Kyiv') AND window_to <= seen_until AT TIME ZONE 'Europe/Kyiv' FROM salesdrive.crm_poll WHERE feed = 'live'"), 't', 'a window begins before the end of the last one');
is(sql("SELECT salesdrive.local_hour_shift('2026-10-25 01:30+00', 'Europe/Kyiv') || ' ' || salesdrive.local_hour_shift('2026-10-25 06:00+00', 'Europe/Kyiv') || ' ' || salesdrive.local_hour_shift('2026-03-29 02:00+00', 'Europe/Kyiv') || ' ' || salesdrive.local_hour_shift('2026-10-24 23:00+00', 'Europe/Kyiv') || ' ' || salesdrive.local_hour_shift('2026-10-24 21:00+00', 'Europe/Kyiv')"), '01:00:00 00:00:00 01:00:00 01:00:00 00:00:00', 'in the night of the change of time it is wider');

later(90000);
like(sql("SELECT concat_ws(' ', severity, problem) FROM salesdrive.check('shop') WHERE subject = 'orders of the API'"), qr/^warning What changed in SalesDrive was read last at /, 'check() tells when nobody asks any more');
fetch();
is(sql("SELECT count(*) FROM salesdrive.check('shop') WHERE subject ~ 'orders of the API|quota'"), 0, 'and is quiet when it is well');

# ---- rows that change while pages are read; a page a minute; a restart

later(3700);
sql("UPDATE salesdrive.quota_window SET most = 1 WHERE span = '1 minute'");
fetch('2026-08-02');
my $newest = 1250;
for (1 .. 3)
{
	is(feed('backfill', 'state'), 'quota', 'the next page waits for the quota');
	edit($newest--, comment => 'рухається') for 1 .. 30;    # they leave the window: what is behind them moves up
	$node->restart if $_ == 2;
	later(61);
	run_engine();
}
is(feed('backfill', 'state, pages, requests'), 'idle 3 4', 'it goes on where it was, over a restart');
later(61);
sql("UPDATE salesdrive.quota_window SET most = 10 WHERE span = '1 minute'");
fetch();
is(sql("SELECT count(*) FROM salesdrive.crm_order WHERE comment = 'рухається'"), 90, 'those that left it are found as changed');
is(sql('SELECT count(DISTINCT order_id) FROM salesdrive.crm_order_version'), 250, 'no order is missed');

# ---- the backfill leaves room

later(3700);
sql("UPDATE salesdrive.quota_window SET most = 5 WHERE span = '1 minute'; UPDATE salesdrive.account_api SET backfill_share = 0.6");
my $before = received();
fetch('2026-08-03');
is(received() - $before, 3, 'a backfill takes its share of a window');
is(feed('backfill', 'state, pages_left'), 'quota 1', 'then it waits');
my (undef, undef, $waited) = $node->psql('postgres', 'CALL salesdrive.wait(' . sql("SELECT id FROM salesdrive.task WHERE kind = 'crm_orders' AND key = 'backfill'") . ", '1 s')");
like($waited, qr/NOTICE: .*is ready, attempt \d+: 1 of 3 pages to be read, \d+ orders received, ends at about \d{4}-\d\d-\d\d \d\d:\d\d/, 'wait() tells how far a backfill is');
is(sql("SELECT extract(epoch FROM ends_at - salesdrive.clock())::integer BETWEEN 15 AND 60 FROM salesdrive.fetch_status WHERE feed = 'backfill'"), 't', 'one page, three a minute: it ends within the minute');
is(sql("SELECT DISTINCT backfill_ends_at - salesdrive.clock() BETWEEN '15 s' AND '1 min' FROM salesdrive.quota_status"), 't', 'as is told with the quota');
is(sql("BEGIN; UPDATE salesdrive.crm_poll SET page = 3001, pages = 3001 WHERE feed = 'backfill'; UPDATE salesdrive.quota_window SET most = 500 WHERE span = '1 day'; SELECT round(extract(epoch FROM ends_at - salesdrive.clock()) / 86400) BETWEEN 9 AND 13 FROM salesdrive.fetch_status WHERE feed = 'backfill'; ROLLBACK"), 't', '3001 pages, 300 a day: by the narrowest window');
is(sql("BEGIN; UPDATE salesdrive.quota_window SET closed_until = salesdrive.clock() + interval '5 h' WHERE span = '1 minute'; SELECT ends_at - salesdrive.clock() > '4 h' FROM salesdrive.fetch_status WHERE feed = 'backfill'; ROLLBACK"), 't', 'not before the quota is open again');
fetch();
is(feed('live', 'state'), 'idle', 'while live work goes on');
is(refused(), 0, 'SalesDrive never had to refuse');
sql("SELECT salesdrive.fetch_orders('shop', '2026-08-03')");
is(feed('backfill', 'pages_left'), '1', 'asked for again it goes on, and does not begin again');
sql("SELECT salesdrive.fetch_orders('shop', '2026-08-04')");
is(feed('backfill', 'seen_until::date'), '2026-08-04', 'another day begins another');

# ---- accounts that do not say how many pages there are; other answers; errors

later(3700);
sql("UPDATE salesdrive.quota_window SET most = 10 WHERE span = '1 minute'; UPDATE salesdrive.account_api SET retry_base = '1 ms', retry_cap = '1 ms', backfill_share = 1; DELETE FROM salesdrive.task WHERE kind = 'crm_orders'; DELETE FROM salesdrive.crm_poll");
$crm->control(POST => '/faults', { path => 'page=1&', action => 'status', status => 200, body => 'json', text => '{"status":"success","data":[{"id":9001,"version":1,"orderTime":"2026-11-20 10:00:00"}]}', times => 1 });
$crm->control(POST => '/faults', { path => 'page=2&', action => 'status', status => 200, body => 'json', text => '{"status":"success","data":[{"id":9002,"version":1,"orderTime":"2026-11-20 10:00:00"}]}', times => 1 });
$crm->control(POST => '/faults', { path => 'page=3&', action => 'status', status => 200, body => 'json', text => '{"status":"success","data":[]}', times => 1 });
fetch('2026-08-05');
is(feed('backfill', 'state, orders, requests') . ' ' . sql('SELECT count(*) FROM salesdrive.crm_order WHERE order_id > 9000'), 'idle 2 3 2', 'without pagination it goes on to an empty page');
$crm->control(POST => '/faults', { path => 'order/list', action => 'html_ok', times => 2 });
sql("SELECT salesdrive.fetch_orders('shop')");
ok(wait_for('the feed', sub { run_engine(); feed('live', 'state') eq 'idle' }), 'a page that is none is asked for again');
like(error_of("SELECT salesdrive.fetch_orders('shop', now() + interval '1 year')"), qr/which is to come.*HINT:.*day of the oldest order/s, 'since a day to come');
sql("UPDATE salesdrive.quota_window SET most = 100 WHERE span = '1 minute'");
fetch('-infinity');
is(feed('backfill', 'state'), 'idle', 'since ever');
like(error_of("SELECT salesdrive.fetch_orders('nope')"), qr/there is no account "nope"/, 'of no account');
like(error_of("SELECT salesdrive.enqueue('shop', 'crm_orders', 'all', NULL)"), qr/no feed "all".*fetch_orders/s, 'an unknown feed');

later(61);
sql("SELECT salesdrive.fetch_orders('shop'); SELECT count(*) FROM salesdrive.claim(10)");
sql(q(SELECT salesdrive.settle(ARRAY[jsonb_populate_record(NULL::salesdrive.http_result, jsonb_build_object('task_id', t.id, 'attempt', t.attempt, 'target', t.target, 'method', 'GET', 'url', a.url || '/api/order/list/', 'http_status', 200, 'class', 'ok', 'body_is_json', true,
	'body', convert_to(jsonb_build_object('status', 'success', 'data', '[{"id":9003,"version":1,"orderTime":"2026-11-20 10:00:00"}]'::jsonb, 'pagination', '{"pageCount":1}'::jsonb, 'meta', jsonb_build_object('fields', jsonb_build_object('kolir', '{"options":[{"value":1,"text":"red"}]}'::jsonb, 'filler', repeat('x', 1100000))))::text, 'UTF8')::text))])
	FROM salesdrive.task t, salesdrive.account a WHERE t.kind = 'crm_orders'));
run_engine();
is(sql("SELECT (SELECT octet_length(body) < 1000 FROM salesdrive.inbox ORDER BY id DESC LIMIT 1) || ' ' || (SELECT count(*) FROM salesdrive.crm_order WHERE order_id = 9003) || ' ' || (SELECT name FROM salesdrive.dictionary_value WHERE scope = 'shop' AND dictionary = 'kolir')"), 'true 1 red', 'a large page is kept without its lists, which are known');

# ---- into the base

sql("DELETE FROM salesdrive.task WHERE kind = 'order' AND key::bigint NOT BETWEEN 1020 AND 1024; SELECT salesdrive.unpause_infobase('main')");
run_engine();
is(sql("SELECT count(*) FROM salesdrive.order_sync WHERE synced_at IS NOT NULL") + sql("SELECT count(*) FROM salesdrive.parked WHERE kind = 'order'"), 5, 'orders that came by the API become documents');

# ---- the clock of this server was ahead, and is put right

sub server_ahead { my ($seconds) = @_; return sql("ALTER DATABASE postgres SET salesdrive.clock_offset = '" . ($clock + $seconds) . " s'") }
sub clock_incidents { return sql("SELECT string_agg(concat_ws(' ', kind, subject, closed_at IS NULL), ', ') FROM salesdrive.incident WHERE kind = 'clock_back'") }
$crm->control(POST => '/config', { per_minute => 0 });
sql("UPDATE salesdrive.account_api SET poll_overlap = '15 min'; UPDATE salesdrive.infobase SET unsure_margin = '10 s', total_timeout = '2 s'; UPDATE salesdrive.quota_window SET most = 10");
later(90000);
fetch();
is(clock_incidents(), '', 'a clock that goes on is no incident');
server_ahead(365 * 86400);
fetch() for 1 .. 11;
is(feed('live', 'state'), 'quota', 'a year ahead, the quota is used up');
$bas->control(POST => '/faults', { method => 'POST', path => 'Document_ЗаказПокупателя$', action => 'reset_before', times => 1 });
sql(q(SELECT salesdrive.accept_webhook('shop', '{"data":{"id":9100,"version":1,"orderTime":"2026-11-20 14:46:24","updateAt":"2026-11-20 14:46:31","paymentAmount":100,"contacts":[{"id":1,"fName":"A","phone":["0671112233"]}],"products":[{"sku":"SKU-0001","amount":1,"price":100}]}}')));
run_engine();
like(sql("SELECT concat_ws(' ', state, write_unsure) FROM salesdrive.task t JOIN salesdrive.order_sync s ON s.order_id::text = t.key WHERE t.key = '9100'"), qr/^ready t/, 'and a document is not known to be there');
sql("SELECT salesdrive.health_row((salesdrive.clock() AT TIME ZONE 'UTC')::date);
	INSERT INTO salesdrive.folder_creation (infobase, key, account, ids, path, our_ref_key, write_unsure, unsure_until) VALUES ('main', 'x/1', 'shop', '{1}', '{A}', gen_random_uuid(), true, salesdrive.clock());
	INSERT INTO salesdrive.followup (account, order_id, action, infobase, side, posting, reached_at, writing, unsure_until) VALUES ('shop', 1, 'sale', 'main', 'hand', false, now(), 'create', salesdrive.clock())");
server_ahead(0);
later(61);
edit(1030, comment => 'годинник поправили');
later(61);
fetch();
is(order(1030, 'comment'), 'годинник поправили', 'put right, what changed is read');
is(clock_incidents(), 'clock_back server t', 'which is told once');
is(sql("SELECT string_agg(to_jsonb(u) ->> 'unsure_until', ' ') FROM (SELECT unsure_until FROM salesdrive.folder_creation UNION ALL SELECT unsure_until FROM salesdrive.followup) u WHERE unsure_until > salesdrive.clock() + interval '1 day'"), '', 'and nothing waits for a write of that time');
sql("DELETE FROM salesdrive.folder_creation; DELETE FROM salesdrive.followup");
like(sql("SELECT text FROM salesdrive.incident WHERE kind = 'clock_back'"), qr/^The clock of this server went back, by (?:364|365) days/, 'with how far');
later(180);
ok(wait_for('the order', sub { run_engine(); sql("SELECT state FROM salesdrive.order_status WHERE order_id = 9100") eq 'synced' }), 'orders do not wait for the year to pass');
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 9100 AND purpose = 'create order' AND class = 'ok'"), 1, 'nor is one made twice');
is(sql('SELECT count(*) FROM salesdrive.health_day WHERE day > salesdrive.clock()'), 0, 'no row of health is of a day to come');
later(3600);
fetch();
server_ahead(7200);
fetch();
server_ahead(0);
later(1200);
edit(1031, comment => 'між годинниками');
later(1800);
is(sql("BEGIN; SELECT salesdrive.begin_poll('shop', 'live'); SELECT window_to - window_from > interval '23 h' FROM salesdrive.crm_poll WHERE feed = 'live'; ROLLBACK") =~ s/\s//gr, 't', 'two hours ahead, the next window is no empty one');
fetch();
is(order(1031, 'comment'), 'між годинниками', 'and nothing is missed');
is(sql('SELECT salesdrive.clock_ahead() <= interval \'0\''), 't', 'nothing is left in the future');
later(90000);
fetch();
is(clock_incidents(), 'clock_back server f', 'a day later it is over');
is_deeply($bas->control(GET => '/state')->{violations}, [], 'the base reports no violation');

done_testing();
