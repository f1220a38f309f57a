# The API of SalesDrive: values of an account loaded by it, its quota (exact, shared, kept over a restart, refused in every known form), what its
# answers mean, and its condition, which is not that of the base.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use PostgreSQL::Test::Utils qw(slurp_file);
use SalesDrive::Test qw(:DEFAULT sql error_of);

my $KEY = 'Hidden-Api-Key-4711';
my $node = new_node('crm', preload => 0);
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive', '--key', $KEY, '--config', '{"key_headers": "both"}');
my $clock = 0;

sub run_engine { my ($rc, $out, $err) = $node->psql('postgres', 'CALL salesdrive.run()'); die $err if $rc; utf8::decode($err); return $err }
sub later    # both clocks go on
{
	my ($seconds) = @_;
	$clock += $seconds;
	$node->safe_psql('postgres', "ALTER DATABASE postgres SET salesdrive.clock_offset = '$clock s'");
	$crm->control(POST => '/config', { skew => $clock });
}
sub asked { return sql("SELECT count(*) FROM salesdrive.exchange_log WHERE kind = 'crm_dictionary' AND key = 'fields' AND direction = 'out'") }
sub received { return $crm->control(GET => '/requests')->{counts}{'GET /api/order/list/'} // 0 }
sub ask { my ($list) = @_; return sql("SELECT salesdrive.enqueue('shop', 'crm_dictionary', '" . ($list // 'fields') . "', NULL)") }
sub ask_and_run { ask(@_); return run_engine() }
sub task { my ($column, $list) = @_; return sql("SELECT $column FROM salesdrive.task WHERE kind = 'crm_dictionary' AND key = '" . ($list // 'fields') . "'") }
sub last_answer { return sql("SELECT concat_ws(' ', class, http_status, nullif(error, '')) FROM salesdrive.exchange_log WHERE kind = 'crm_dictionary' ORDER BY id DESC LIMIT 1") }
sub api { my ($column) = @_; return sql("SELECT $column FROM salesdrive.api_status WHERE account = 'shop'") }
sub values_of { my ($dictionary) = @_; return sql("SELECT string_agg(concat_ws(' ', key, name, code), ', ' ORDER BY key::integer) FROM salesdrive.dictionary_value WHERE scope = 'shop' AND side = 'crm' AND dictionary = '$dictionary'") }
sub fault { $crm->control(POST => '/faults', { path => 'GET /api/', @_ }) }
sub no_faults { $crm->control(DELETE => '/faults') }

sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => '" . $crm->url . "', api_key => '$KEY', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'shop')");
run_engine();
is(sql('SELECT count(*) FROM salesdrive.account_api') . ' ' . received(), '0 0', 'an account whose API is not used has no part in it');

# ---- values

my $lists = sql("SELECT count(*) FROM salesdrive.load_dictionaries('shop')");
is(sql("SELECT string_agg(target || ' ' || n, ', ' ORDER BY target) FROM (SELECT target, count(*) AS n FROM salesdrive.task GROUP BY 1) t"), 'account:shop 4, main ' . ($lists - 4), 'all lists of both sides are asked for');
is(run_engine(), '', 'and read, without a warning');
is(sql('SELECT count(*) FROM salesdrive.task'), 0, 'nothing is left to do');
is(values_of('status'), '1 Новий, 2 Підтверджено, 3 На відправку, 4 Відправлено, 5 Продаж, 6 Відмова, 7 Повернення, 8 Видалений, 1065 Чекає оплати', 'statuses');
is(values_of('shipping_method'), '1 Нова пошта novaposhta, 2 Укрпошта ukrposhta, 3 Самовивіз pickup, 4 Кур’єр id_4', 'delivery methods, with the parameter that is written');
like(values_of('payment_method'), qr/^1 Оплата 1 card, /, 'payment methods');
is(values_of('manager'), join(', ', map { "$_ Менеджер $_" } 1 .. 5), 'managers come with a page of orders');
is(values_of('site') . '; ' . values_of('organisation'), '1 shop1.example, 2 shop2.example, 3 shop3.example; 1 ТОВ «Вигадана Крамниця»', 'so do sites and organisations');
is(values_of('warehouse') . '; ' . values_of('rejectionReason'), '1 Основний склад, 2 Магазин; 12 Дорого', 'warehouses of lines, and any field with options');
is(sql("SELECT string_agg(list, ' ' ORDER BY list) FROM salesdrive.crm_dictionary_load"), 'fields payment_method shipping_method status', 'noted when');
is(sql("SELECT string_agg(name, ', ' ORDER BY name) FROM salesdrive.dictionary_value WHERE scope = 'main' AND dictionary = 'status'"), 'В роботі, Відкритий, Завершено', 'statuses of the base');
is(sql("SELECT string_agg(concat_ws(' ', dictionary, crm_key, bas_name), ', ' ORDER BY dictionary) FROM salesdrive.value_suggestion WHERE account = 'shop'"),
	'organisation 1 ТОВ «Вигадана Крамниця», warehouse 1 Основний склад', 'equal names of both sides are suggested');
is(sql("SELECT salesdrive.folded_name(' КУР’ЄР  Їжак ') = salesdrive.folded_name('кур''єр їжак') AND salesdrive.folded_name('Ґанок') <> salesdrive.folded_name('ганок')"), 't', 'case and apostrophes do not part them, in any locale');
like(error_of("SELECT salesdrive.map_value('shop', 'status', '1', 'Нема')"), qr/status "Нема" is not in the base/, 'a status that the base does not have is refused');
sql("SELECT salesdrive.map_value('shop', 'status', '1', 'Відкритий')");
sql("UPDATE salesdrive.dictionary_value SET name = 'old' WHERE scope = 'shop' AND dictionary = 'status' AND key = '1'; INSERT INTO salesdrive.dictionary_value (scope, side, dictionary, key, name) VALUES ('shop', 'crm', 'status', '99', 'gone')");
ask_and_run('status');
unlike(values_of('status'), qr/old|gone/, 'what is no more is forgotten');

# what the base does not publish stops nothing
sql("INSERT INTO salesdrive.profile_entity (profile, concept, entity_set) VALUES ('unf', 'payment_method', 'Catalog_Нема')");
is(sql("SELECT count(*) FROM salesdrive.load_dictionaries('shop')"), $lists + 1, 'a further list of the base, by a row');
run_engine();
is(sql("SELECT concat_ws(' ', state, reason) FROM salesdrive.task WHERE kind = 'dictionary'"), 'parked business', 'one that is not published is parked alone');
is(sql('SELECT state FROM salesdrive.infobase_status'), 'open for work', 'the base is not paused for it');
sql("DELETE FROM salesdrive.profile_entity WHERE origin = 'user'; DELETE FROM salesdrive.task WHERE kind = 'dictionary'");

# ---- the quota

is(sql("SELECT string_agg(concat_ws(' ', method, span, most, used, room), ', ' ORDER BY span) FROM salesdrive.quota_status"), 'order/list 00:01:00 10 2 8, order/list 01:00:00 100 2 98, order/list 1 day 1000 2 998', 'what is allowed and used');
is(sql("SELECT spent_on FROM salesdrive.quota_status WHERE span = '1 hour'"), '{"read fields of orders": 2}', 'and on what');
ask_and_run() for 1 .. 8;
is(received(), 10, 'ten in a minute are sent');
ask_and_run();
is(received(), 10, 'the eleventh is not');
is(task("concat_ws(' ', state, reason, blocked_on)"), 'ready quota quota:shop:order/list', 'it waits for the quota');
like(task('detail'), qr/^The quota of order\/list in account "shop" has room again at 20/, 'and says so');
is(sql("SELECT bool_and(t.run_at = (SELECT min(counted_at) + interval '1 minute' FROM salesdrive.quota_use) AND salesdrive.next_due() = t.run_at) FROM salesdrive.task t"), 't', 'until the first of them is a minute old, not a moment longer');
is(sql("SELECT free_at IS NOT NULL AND room = 0 FROM salesdrive.quota_status WHERE span = '1 minute'"), 't', 'the window is full');
ask_and_run('status');
is(last_answer(), 'ok 200', 'a method without limits is asked meanwhile');
$node->restart;
run_engine();
is(received(), 10, 'a restart changes nothing');
later(61);
run_engine();
is(received() . ' ' . sql('SELECT count(*) FROM salesdrive.task'), '11 0', 'a minute later it is sent');
sql("UPDATE salesdrive.quota_window SET most = 11 WHERE span = '1 hour'");
ask_and_run();
is(received(), 11, 'every window counts');
sql("UPDATE salesdrive.quota_window SET most = 100 WHERE span = '1 hour'");
run_engine();
is(received(), 12, 'a limit raised lets it go at once');
is($crm->control(GET => '/requests')->{statuses}{400} // 0, 0, 'SalesDrive never had to refuse');

# in flight: counted before it is sent, and until it may have arrived
ask();
is(sql('SELECT count(*) FROM salesdrive.claim(10)'), 1, 'a request is claimed');
is(sql("SELECT count(*) FROM salesdrive.quota_use WHERE counted_at > salesdrive.clock() + interval '1 min'"), 1, 'and counts before it is sent, as of the latest moment it can arrive');
later(61);
is(sql("SELECT used FROM salesdrive.quota_status WHERE span = '1 minute'"), 1, 'while nothing is heard of it');
run_engine();
later(3700);

# ---- the limit is reached, says SalesDrive: someone else uses the key, too

$crm->control(POST => '/config', { per_minute => 1 });
for my $form (qw(400 429 retry_after 200))
{
	$crm->control(POST => '/config', { quota_form => $form });
	later(3700);
	ask_and_run();
	my $before = received();
	is(task('count(*)'), 0, "$form: the first passes");
	ask_and_run();
	is(received(), $before + 1, 'the second is sent once');
	like(last_answer(), qr/^throttled \d+ the limit of the API is reached: API limit reached/, 'and understood');
	is(task("concat_ws(' ', state, reason)"), 'ready quota', 'it waits');
	is(sql("SELECT count(*) FROM salesdrive.quota_status WHERE closed_until > salesdrive.clock() AND closed_until <= salesdrive.clock() + interval '61 s'"), 1, 'the window is closed for a minute');
	is(sql("SELECT count(*) FROM salesdrive.quota_status WHERE free_at IS NOT NULL"), 1, 'as the view says');
	like(sql("SELECT concat_ws(' ', severity, problem) FROM salesdrive.check('shop') WHERE subject = 'quota order/list'"), qr/^warning SalesDrive says that its limit is reached/, 'and check()') if $form eq '400';
	run_engine();
	is(received(), $before + 1, 'meanwhile nothing is asked');
	later(62);
	run_engine();
	is(received() . task("concat_ws(' ', state, reason)"), $before + 2, 'then it passes');
	is(sql('SELECT sum(refusals) FROM salesdrive.quota_window'), 0, 'and all is forgotten');
}
later(3700);
fault(action => 'status', status => 429, body => 'json', text => '{"error":"Too many requests"}', times => 3);
my @closed;
ask();
for (1 .. 3)
{
	run_engine();
	push @closed, sql("SELECT round(extract(epoch FROM closed_until - salesdrive.clock()) / 60) FROM salesdrive.quota_window WHERE span = '1 minute'");
	later($closed[-1] * 60 + 1);
}
is("@closed", '1 2 4', 'each refusal in a row doubles the time');
run_engine();
is(task('count(*)'), 0, 'until it passes');
fault(action => 'throttle', retry_after => 7, path => 'statuses', times => 1);
ask_and_run('status');
is(sql("SELECT concat_ws(' ', method, most, closed_until BETWEEN (SELECT max(at) FROM salesdrive.exchange_log WHERE direction = 'out') + interval '7 s' AND salesdrive.clock() + interval '7 s') FROM salesdrive.quota_window WHERE method <> 'order/list'"), 'statuses t', 'a refusal of a method without limits is remembered, too, with Retry-After');
later(8);
run_engine();
is(task('count(*)', 'status'), 0, 'and obeyed');
$crm->control(POST => '/config', { per_minute => 10 });
no_faults();
later(3700);

# ---- the key is refused

for my $form (qw(200 401 403))
{
	$crm->control(POST => '/config', { key_error => $form });
	sql("SELECT salesdrive.set_secret('account:shop:api_key', 'another')");
	my $warnings = ask_and_run('status');
	like($warnings, qr/WARNING:  the API of account "shop" is paused: SalesDrive refuses: $form, the key of the API is refused/, "$form: one warning");
	is(scalar(() = $warnings =~ /WARNING/g), 1, '... and no more');
	is(api('state'), 'paused', 'the API is paused');
	is(task("concat_ws(' ', state, attempt)", 'status'), 'ready 1', 'its task waits with it');
	is(run_engine(), '', 'silently');
	is(sql('SELECT salesdrive.next_due() IS NULL'), 't', 'nothing is planned');
	sql("SELECT salesdrive.set_secret('account:shop:api_key', '$KEY'), salesdrive.unpause_api('shop')");
	run_engine();
	is(api('state') . task('count(*)', 'status'), 'open for work0', 'the right key, and unpause_api(): it goes on');
}
sql("SELECT salesdrive.set_secret('account:shop:api_key', 'another')");
ask_and_run('status');
sql(q(SELECT salesdrive.accept_webhook('shop', '{"data":{"id":1,"version":1,"orderTime":"2026-11-20 10:00:00","paymentAmount":100,"utmSource":"Google","contacts":[{"fName":"A","phone":"0671112233"}],"products":[{"sku":"SKU-0001","amount":1,"price":100}]}}')));
run_engine();
is(sql("SELECT state FROM salesdrive.order_status WHERE order_id = 1"), 'synced', 'orders go on to the base');
is(sql("SELECT string_agg(concat_ws(' ', dictionary, crm_key), ', ') FROM salesdrive.seen_value WHERE dictionary = 'source'"), 'source Google', 'the source of the order is a value of it');
like(sql("SELECT concat_ws(' ', severity, problem, hint) FROM salesdrive.check('shop') WHERE subject = 'API of account shop'"), qr/^error It is paused: SalesDrive refuses: .*unpause_api\('shop'\)/, 'check() says so');
sql("SELECT salesdrive.set_secret('account:shop:api_key', '$KEY'), salesdrive.unpause_api('shop'); DELETE FROM salesdrive.credential_secret WHERE name = 'account:shop:api_key'");
like(run_engine(), qr/WARNING:  the API of account "shop" is paused: The secret account:shop:api_key cannot be used: it is not set/, 'a key that is gone pauses, too');
sql("SELECT salesdrive.set_secret('account:shop:api_key', '$KEY'), salesdrive.unpause_api('shop')");
run_engine();
is(task('count(*)', 'status'), 0, 'and can be given back');

# ---- other answers

sql("UPDATE salesdrive.account_api SET retry_base = '1 ms', retry_cap = '1 ms', circuit_after = 3");
for ([ { action => 'html_ok' }, qr/^transient 200 The answer is not one of SalesDrive: <html>/, 'a page with status 200' ],
	[ { action => 'status', status => 200, body => 'json', text => '{"status":"maintenance"}' }, qr/^transient 200 The answer is not one of SalesDrive: \{"status": "maintenance"\}/, 'other JSON with status 200' ],
	[ { action => 'status', status => 502, body => 'html' }, qr/^transient 502/, 'a proxy that has no one behind it' ],
	[ { action => 'reset_before' }, qr/^transient \S/, 'a connection lost' ])
{
	my ($fault, $answer, $what) = @$_;
	fault(%$fault, times => 1);
	ask('status');
	sql('SELECT count(*) FROM salesdrive.account_api');
	ok(wait_for('the list', sub { run_engine(); task('count(*)', 'status') eq '0' }), "$what: tried again");
	like(sql("SELECT concat_ws(' ', class, http_status, error) FROM salesdrive.exchange_log WHERE kind = 'crm_dictionary' AND class <> 'ok' ORDER BY id DESC LIMIT 1"), $answer, 'the log has its beginning');
	no_faults();
}
fault(action => 'status', status => 400, body => 'json', text => '{"status":"error","message":"Unknown filter"}');
ask_and_run('status');
is(task("concat_ws(' ', state, reason, detail)", 'status'), 'parked business 400: Unknown filter', 'what it refuses is parked, in its words');
like(sql("SELECT hint FROM salesdrive.parked WHERE kind = 'crm_dictionary'"), qr/SalesDrive refused it/, 'with a hint');
no_faults();
sql("SELECT salesdrive.resume(id) FROM salesdrive.task WHERE state = 'parked'");
run_engine();
is(task('count(*)', 'status'), 0, 'resume() lets it go on');
fault(action => 'status', status => 500, body => 'html');
ask_and_run('status');
ok(wait_for('the circuit', sub { run_engine(); api('state') eq 'circuit open' }), 'failures in a row open the circuit of the API');
is(sql('SELECT state FROM salesdrive.infobase_status'), 'open for work', 'not that of the base');
no_faults();
later(31);
run_engine();
is(api('state') . task('count(*)', 'status'), 'open for work0', 'a probe closes it');

# every form of answer that is known, as it reaches the rules
for ([ 429, '', 'transient', 'throttled' ], [ 400, '{"status":"error","message":"API limit reached"}', 'business', 'throttled' ], [ 200, '{"status":"error","message":"Rate limit exceeded"}', 'ok', 'throttled' ],
	[ 400, '{"error":"Too many requests"}', 'business', 'throttled' ], [ 403, '{"message":"API limit reached"}', 'denied', 'throttled' ], [ 200, '{"status":"error","message":"Перевищено ліміт"}', 'ok', 'throttled' ], [ 200, '{"status":"error","message":"Ліміт символів: 500"}', 'ok', 'business' ], [ 200, '{"status":"error","message":"Ліміт запитів вичерпано"}', 'ok', 'throttled' ],
	[ 401, '', 'config', 'config' ], [ 403, '<html>no</html>', 'denied', 'config' ], [ 200, '{"status":"error","message":"api key is invalid"}', 'ok', 'config' ], [ 400, '{"success":false,"message":"Invalid API key"}', 'business', 'config' ],
	[ 200, '{"success":false,"message":"Order not found."}', 'ok', 'business' ], [ 200, '{"error":"text"}', 'ok', 'business' ], [ 400, '', 'business', 'business' ], [ 413, '<html>', 'denied', 'business' ], [ 422, '{"message":"x"}', 'business', 'business' ],
	[ 404, '<html>', 'config', 'config' ], [ 302, '', 'config', 'config' ], [ 500, '<html>', 'transient', 'transient' ], [ 503, '', 'throttled', 'throttled' ], [ 200, '[]', 'ok', 'transient' ], [ 200, '{"success":true}', 'ok', 'transient' ], [ 200, '{"data":null}', 'ok', 'transient' ],
	[ 200, '{"success":true,"data":[],"error":0}', 'ok', 'ok' ], [ 200, '{"status":"success","data":[{"comment":"API limit reached, key invalid"}]}', 'ok', 'ok' ], [ undef, '', 'transient', 'transient' ], [ undef, '', 'config', 'config' ], [ 200, '"x"', 'ok', 'transient' ])
{
	my ($status, $answer, $class, $expected) = @$_;
	my $is_json = $answer =~ /^[\[{"]/ ? 'true' : 'false';
	is(sql("SELECT (salesdrive.api_answer(jsonb_populate_record(NULL::salesdrive.http_result, jsonb_build_object('method', 'GET', 'class', '$class', 'http_status', " . ($status // 'NULL') . ", 'body_is_json', $is_json, 'body', convert_to('$answer', 'UTF8')::text)))).class"), $expected, 'answer ' . ($status // 'none') . ' is ' . $expected);
}
for ([ 200, '{"success":true}', 'ok', 'ok' ], [ 200, '', 'ok', 'unknown_outcome' ], [ 200, '<html>', 'unknown_outcome', 'unknown_outcome' ], [ 502, '<html>', 'unknown_outcome', 'unknown_outcome' ], [ 200, '{"success":false,"message":"Order not found."}', 'ok', 'business' ])
{
	my ($status, $answer, $class, $expected) = @$_;
	my $is_json = $answer =~ /^\{/ ? 'true' : 'false';
	is(sql("SELECT (salesdrive.api_answer(jsonb_populate_record(NULL::salesdrive.http_result, jsonb_build_object('method', 'POST', 'class', '$class', 'http_status', $status, 'body_is_json', $is_json, 'body', convert_to('$answer', 'UTF8')::text)))).class"), $expected, "to a write: $status is $expected");
}

# ---- lanes, pause, age

sql("SELECT salesdrive.pause('shop', 'stocktaking')");
ask_and_run('status');
is(task("concat_ws(' ', state, attempt)", 'status'), 'ready 0', 'pause() of the account stops its API, too');
is(api('state'), 'account paused', 'as the view says');
sql("SELECT salesdrive.unpause('shop'), salesdrive.pause_api('shop', 'by hand')");
run_engine();
is(task('attempt', 'status') . api("' ' || paused_reason"), '0 by hand', 'so does pause_api()');
sql("SELECT salesdrive.unpause_api('shop')");
run_engine();
is(task('count(*)', 'status'), 0, 'until unpause_api()');
sql("UPDATE salesdrive.crm_dictionary_load SET loaded_at = salesdrive.clock() - interval '25 h' WHERE list = 'shipping_method'");
my $read = sql("SELECT count(*) FROM salesdrive.exchange_log WHERE kind = 'crm_dictionary'");
sql(q(SELECT salesdrive.accept_webhook('shop', '{"data":{"id":2,"version":1,"orderTime":"2026-11-20 10:00:00","paymentAmount":100,"contacts":[{"fName":"A","phone":"0671112233"}],"products":[{"sku":"SKU-0001","amount":1,"price":100}]}}')));
run_engine();
is(sql("SELECT count(*) - $read FROM salesdrive.exchange_log WHERE kind = 'crm_dictionary'"), 1, 'an old list is loaded again as orders come by');

# ---- errors, secrets, the end

like(error_of("SELECT salesdrive.enqueue('shop', 'crm_dictionary', 'colours', NULL)"), qr/there is no list "colours" of SalesDrive.*status, payment_method/s, 'an unknown list');
like(error_of("SELECT salesdrive.enqueue('main', 'crm_dictionary', 'status', NULL)"), qr/there is no account "main"/, 'of an infobase');
like(error_of("SELECT salesdrive.enqueue('shop', 'crm_dictionary', 'status', 'main')"), qr/asks the API of account "shop", no infobase/, 'with an infobase');
like(error_of("SELECT salesdrive.enqueue('main', 'dictionary', 'organisation', NULL)"), qr/a task has a scope/, 'a task of a base without one');
is(sql("SELECT count(*) FROM salesdrive.exchange_log l WHERE l::text ~ 'Hidden-Api'") + sql("SELECT count(*) FROM salesdrive.task t WHERE t::text ~ 'Hidden-Api'"), 0, 'the key is in no log and no task');
my $log = slurp_file($node->logfile) =~ s/^.*(?:STATEMENT|set_secret|add_account).*$//mgr;
unlike($log, qr/Hidden-Api/, 'nor in that of the server, but for statements that hold it');
is(sql("SELECT string_agg(DISTINCT coalesce(infobase, '-') || ' ' || account, ', ') FROM salesdrive.exchange_log WHERE kind = 'crm_dictionary'"), '- shop', 'the log names the account');
sql("SELECT salesdrive.add_account(name => 'idle', url => '" . $crm->url . "', api_key => '$KEY', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'idle'); SELECT salesdrive.enqueue('idle', 'crm_dictionary', 'fields', NULL)");
run_engine();
sql("SELECT salesdrive.enqueue('idle', 'crm_dictionary', 'fields', NULL); DELETE FROM salesdrive.account WHERE name = 'idle'");
is(sql("SELECT (SELECT count(*) FROM salesdrive.task) + (SELECT count(*) FROM salesdrive.account_api WHERE account = 'idle') + (SELECT count(*) FROM salesdrive.quota_use WHERE account = 'idle') + (SELECT count(*) FROM salesdrive.dictionary_value WHERE scope = 'idle')"), 0, 'what was known and asked of an account goes with it');
is_deeply($bas->control(GET => '/state')->{violations}, [], 'the base reports no violation');

done_testing();
