# load_metadata(): what is kept of $metadata, how much memory it takes, what comes in its place, variants of profiles.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql error_of);

my $node = new_node('metadata', preload => 0, conf => 'shared_buffers = 16MB');
my $bas = start_peer('bas', '--config', '{"metadata_max_length": true}');
my $url = $bas->url('/base');

sub asked { return sql("SELECT count(*) FROM salesdrive.exchange_log WHERE url LIKE '%/\$metadata'") }
sub kept { my ($kind, $name) = @_; return sql("SELECT members FROM salesdrive.bas_metadata WHERE infobase = 'main' AND kind = '$kind' AND name = '$name'") }
sub profile_of { my ($infobase) = @_; return sql("SELECT profile FROM salesdrive.infobase WHERE name = '$infobase'") }

# load(): asks, drives the engine and returns "state reason" of the task, and its words
sub load
{
	my $task = sql("SELECT salesdrive.load_metadata('main')");
	sql('CALL salesdrive.run()');
	return (sql("SELECT coalesce((SELECT concat_ws(' ', state, reason) FROM salesdrive.task WHERE id = $task), 'done')"), sql("SELECT concat_ws(' ', detail, hint) FROM salesdrive.task WHERE id = $task"));
}

# A profile of our own, without variants: nothing asks for $metadata but we.
sql("INSERT INTO salesdrive.profile (name, title, parent) VALUES ('plain', 'УНФ without variants', 'unf');
	SELECT salesdrive.add_infobase('main', 'plain', '$url', 'Обмен', 'secret')");
sql('CALL salesdrive.run()');
is(asked(), 0, 'a profile without variants needs no $metadata');

# ---- what is kept

is((load())[0], 'done', '$metadata is read');
is(sql("SELECT sets > 15 AND bytes > 30000 AND profile = 'plain' AND loaded_at > now() - interval '1 minute' FROM salesdrive.metadata_load WHERE infobase = 'main'"), 't', 'when, how long, how many sets');
like(kept('set', 'Catalog_Валюты'), qr/"Code": \["Edm.String", 3\].*"Ref_Key": "Edm.Guid"/, 'properties of a set, with their length where it is told');
like(kept('set', 'Document_ЗаказПокупателя_Запасы'), qr/"LineNumber": "Edm.Int64"/, 'of a section, too');
is(kept('enum', 'ТипыНалогообложенияНДС'), '["ОблагаетсяНДС", "НеОблагаетсяНДС"]', 'members of an enumeration');
is(kept('function', 'Document_ЗаказПокупателя/Post'), '{"PostingModeOperational": "Edm.Boolean"}', 'a function, with its parameters');
is(sql("SELECT count(*) FROM salesdrive.bas_metadata WHERE name LIKE '%\\_RowType'"), 0, 'row types of sections are not kept twice');
is(sql("SELECT concat_ws(' ', edm_type, max_length) FROM salesdrive.bas_property WHERE infobase = 'main' AND entity_set = 'Document_ЗаказПокупателя' AND property = 'НомерВходящегоДокумента'"), 'Edm.String 30', 'as a view');
is(sql("SELECT salesdrive.publishes('main', w) FROM unnest('{Catalog_Валюты,Catalog_Нет,Catalog_Валюты.Code,Catalog_Валюты.Нет,Catalog_Нет.Code}'::text[]) w") =~ s/\n//gr, 'tftff', 'publishes()');
like(sql("SELECT response_body FROM salesdrive.exchange_log WHERE url LIKE '%/\$metadata'"), qr/^\{"value":\[/, 'the log keeps the beginning of the short form');
like((sort grep { /metadata/ } map { $_->{label} // '' } @{ $bas->control(GET => '/requests')->{requests} // [] })[0] // 'GET $metadata', qr/^GET \$metadata$/, 'asked as it is written');

# what is gone there is gone here
$bas->control(POST => '/config', { unpublished => ['Catalog_Валюты'], metadata_max_length => JSON::PP::false });
is((load())[0], 'done', 'read again');
is(kept('set', 'Catalog_Валюты'), '', 'a set no longer published is gone');
like(kept('set', 'Catalog_ВидыЦен'), qr/"Code": "Edm.String"/, 'and what changed is new');
$bas->control(POST => '/config', { unpublished => [] });

# ---- large, slow, with bounded memory, outside of a transaction

$bas->control(POST => '/config', { metadata_padding => 4400 });    # 15 MB
sql("UPDATE salesdrive.infobase SET max_answer = 1000000, total_timeout = '1 s'");
$bas->control(POST => '/faults', { label => 'GET $metadata', action => 'delay_after', ms => 2500, times => 1 });
my $task = sql("SELECT salesdrive.load_metadata('main')");
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('CALL salesdrive.run()');    # nothing is due but this: also warms the caches
done_large();

sub done_large
{
	my $memory = sub { return $session->query_safe(q{SELECT substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s+(\d+)')::integer / 1024}) =~ s/\D//gr };
	is(sql("SELECT count(*) FROM salesdrive.task WHERE id = $task"), 0, '15 MB after 2.5 s: neither infobase.max_answer nor infobase.total_timeout counts');
	is(sql("SELECT bytes > 15000000 AND sets > 4400 FROM salesdrive.metadata_load WHERE infobase = 'main'"), 't', 'all of it was read');
	cmp_ok($memory->(), '<', 350, 'in bounded memory');    # 9 MB are kept of it; SQL holds some copies of that
	$session->quit;
}

$bas->control(POST => '/config', { metadata_padding => 20 });
$bas->control(POST => '/faults', { label => 'GET $metadata', action => 'drip', bytes => 4000, hold => JSON::PP::true, times => 1 });
$task = sql("SELECT salesdrive.load_metadata('main')");
$session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_until(qr/driving/, "\\echo driving\nCALL salesdrive.run();\n\\echo done\n");
ok(wait_for_sql($node, 'postgres', "SELECT state FROM salesdrive.task WHERE id = $task", 'in_flight'), 'while it arrives');
wait_for('the first piece', sub { grep { $_->{hold} && $_->{fired} } @{ $bas->control(GET => '/faults')->{rules} } });
# a turn of its own may be under way at any one look; what was open for ever would be seen in all of them
ok(wait_for_sql($node, 'postgres', "SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE query LIKE 'CALL salesdrive.run%'"), 'no transaction is open');
is(sql("SELECT state FROM salesdrive.task WHERE id = $task"), 'in_flight', 'all the while');
$bas->control(POST => '/release');
$session->query_until(qr/done/, '');
$session->quit;
is(sql("SELECT count(*) FROM salesdrive.task WHERE id = $task"), 0, 'and it arrives');
sql("UPDATE salesdrive.infobase SET max_answer = DEFAULT, total_timeout = DEFAULT");
$bas->control(POST => '/config', { metadata_padding => 0 });

# ---- what comes in its place

my $sets = sql("SELECT sets FROM salesdrive.metadata_load");
for (
	[ { action => 'html_ok' }, 'parked metadata', qr/with status 200: the answer is a web page \(HTML\), not \$metadata.*sign-in/s, 'a web page with status 200' ],
	[ { action => 'status', status => 200, body => 'exception' }, 'parked metadata', qr/its root element is "exception"/, 'another XML' ],
	[ { action => 'status', status => 200, body => 'json' }, 'parked metadata', qr/not well-formed \(invalid token\) at line 1/, 'JSON' ],
	[ { action => 'truncate' }, 'ready transient', qr/closed before the answer was complete/, 'half of it' ],
	[ { action => 'reset_after' }, 'ready transient', qr/./, 'a lost connection' ],
	[ { action => 'status', status => 500, body => 'odata' }, 'ready refused', qr/500: BAS code -1/, 'an error of BAS' ])
{
	my ($rule, $state, $words, $what) = @$_;
	$bas->control(POST => '/faults', { label => 'GET $metadata', times => 1, %$rule });
	sql("UPDATE salesdrive.infobase SET retry_base = '1 h', retry_cap = '1 h', circuit_failures = 0, circuit_open_until = NULL");
	my ($got, $told) = load();
	is($got, $state, "$what: $state");
	like($told, $words, 'and says so');
	is(sql("SELECT sets FROM salesdrive.metadata_load"), $sets, 'what was known stays');
	sql("DELETE FROM salesdrive.task WHERE kind = 'metadata'");
}
like(sql("SELECT response_body FROM salesdrive.exchange_log WHERE error LIKE '%web page%' ORDER BY at LIMIT 1"), qr/<html/, 'the log shows how a page began');
$bas->control(POST => '/config', { unpublished => [ split /\n/, sql("SELECT name FROM salesdrive.bas_metadata WHERE kind = 'set'") ] });
my ($got, $told) = load();
is($got, 'parked metadata', 'a base that publishes nothing');
like($told, qr/publishes nothing.*НастройкаСтандартногоИнтерфейсаOData/s, 'is told what to do');
$bas->control(POST => '/config', { unpublished => [] });
is((load())[0], 'done', 'after that it goes on');

# ---- variants

sql("INSERT INTO salesdrive.profile (name, title, parent, needs) VALUES ('plain:a', 'A', 'plain', 'Catalog_Нет'), ('plain:b', 'B', 'plain', 'Document_ЗаказПокупателя_Запасы.КлючСвязи');
	INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('plain:b', 'order', 'comment', 'Заметки'), ('plain', 'order', 'warehouse', NULL)");
is((load())[0], 'done', 'a variant');
is(profile_of('main'), 'plain:b', 'the one that $metadata shows');
is(sql("SELECT salesdrive.property_names('plain:b', 'order') @> '{\"comment\": \"Заметки\", \"total\": \"СуммаДокумента\"}' AND NOT salesdrive.property_names('plain:b', 'order') ? 'warehouse'"), 't', 'has its own rows, and those of its parents');
is(sql("SELECT count(*) > 0 FROM salesdrive.dictionary_load WHERE infobase = 'main'"), 'f', 'lists are read anew with its names');
sql("UPDATE salesdrive.profile SET needs = 'Catalog_Нет' WHERE name = 'plain:b'");
is((load())[0], 'done', 'when it is shown no longer');
is(profile_of('main'), 'plain', 'the base has its profile again');

# a base whose variant is to be told: orders wait for $metadata, and say why when it does not come
sql("UPDATE salesdrive.profile SET needs = 'Document_ЗаказПокупателя_Запасы.КлючСвязи' WHERE name = 'plain:b'");
$bas->control(POST => '/faults', { label => 'GET $metadata', action => 'html_ok', times => 1 });
sql("SELECT salesdrive.add_infobase('second', 'plain', '$url', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'second', webhook_token => 'a-token-of-24-characters');
	SELECT salesdrive.accept_webhook('shop', '{\"data\": {\"id\": 1, \"version\": 1, \"orderTime\": \"2026-11-20 10:00:00\", \"paymentAmount\": 120, \"comment\": \"x\", \"contacts\": [{\"phone\": \"0671000001\"}], \"products\": [{\"sku\": \"SKU-0001\", \"amount\": 1, \"price\": 120}]}}')");
sql('CALL salesdrive.run()');
is(sql("SELECT concat_ws(' ', state, reason) FROM salesdrive.order_status WHERE order_id = 1"), 'parked metadata', 'an order without it is parked');
like(sql("SELECT detail || ' ' || hint FROM salesdrive.order_status WHERE order_id = 1"), qr/web page.*Or name the variant yourself/s, 'for the reason it has');
sql("SELECT salesdrive.resume('shop', 1)");
sql('CALL salesdrive.run()');
is(sql("SELECT concat_ws(' ', state, reason) FROM salesdrive.order_status WHERE order_id = 1"), 'synced', 'resume() of the order asks again');
is(profile_of('second'), 'plain:b', 'the variant is known');
is(sql("SELECT sent_body ->> 'Заметки' FROM salesdrive.bas_order WHERE order_id = 1"), 'x', 'and used');

like(error_of("SELECT salesdrive.load_metadata('nope')"), qr/there is no infobase "nope"/, 'an unknown infobase');
sql("DELETE FROM salesdrive.infobase WHERE name = 'main'");
is(sql("SELECT (SELECT count(*) FROM salesdrive.bas_metadata WHERE infobase = 'main') + (SELECT count(*) FROM salesdrive.metadata_load WHERE infobase = 'main')"), 0, 'what is known of a base goes with it');

done_testing();
