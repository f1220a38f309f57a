# check() and test_connection(): each way to set the exchange up wrongly gives its own row; a base that is well gives one row.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql);

my $node = new_node('check', conf => "salesdrive.port = 0");
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive');
my ($base, $shop) = ($bas->url('/base'), $crm->url(''));

sub rows { my ($account) = @_; return sql("SELECT severity || ' | ' || subject || ' | ' || problem || ' | ' || coalesce(hint, '') FROM salesdrive.check('" . ($account // 'shop') . "')") }

sql("SELECT salesdrive.add_infobase('main', 'unf', '$base', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => '$shop', identity => 'demo-shop', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters')");
sql("CREATE ROLE engine LOGIN; SELECT salesdrive.grant_access('engine', 'admin'); ALTER DATABASE postgres SET salesdrive.role = 'engine'; SELECT salesdrive.start_workers()");
wait_for_sql($node, 'postgres', "SELECT EXISTS (SELECT FROM salesdrive.worker_status WHERE role = 'exchanger' AND pid IS NOT NULL) AND salesdrive.engine_alive()", 't');
is(rows(), 'ok | account shop | all is well | ', 'a base that is well gives one row');

# What is wrong, how to mend it, and the row that must be there: severity, subject, problem, hint.
my $order = 'Document_ЗаказПокупателя';
my @cases = (
	[ 'the password is wrong', sub { sql("SELECT salesdrive.set_secret('infobase:main:password', 'wrong')") }, sub { sql("SELECT salesdrive.set_secret('infobase:main:password', 'secret')") },
		qr/^error \| infobase main \| BAS does not know the user or the password.*401.*set_secret\('infobase:main:password'/m ],
	[ 'the address has no OData', sub { sql("UPDATE salesdrive.infobase SET url = '" . $bas->url('/elsewhere') . "'") }, sub { sql("UPDATE salesdrive.infobase SET url = '$base'") },
		qr/^error \| infobase main \| There is no OData interface at this address.*404.*standardOdata enable/m ],
	[ 'nobody listens there', sub { sql("UPDATE salesdrive.infobase SET url = 'http://127.0.0.1:" . free_port() . "/base'") }, sub { sql("UPDATE salesdrive.infobase SET url = '$base'") },
		qr/^error \| infobase main \| BAS does not answer as it should\..*connect.*Is it running\?/m ],
	[ 'the server answers a page with 200', sub { $bas->control(POST => '/faults', { action => 'html_ok', times => 1 }) }, sub { $bas->control(DELETE => '/faults') },
		qr/^error \| infobase main \| BAS does not answer as it should\. 200/m ],
	[ 'the server is too slow', sub { $bas->control(POST => '/config', { latency_ms => 3000 }); sql("UPDATE salesdrive.infobase SET total_timeout = '1 s'") }, sub { $bas->control(POST => '/config', { latency_ms => 0 }); sql("UPDATE salesdrive.infobase SET total_timeout = '2 min'") },
		qr/^error \| infobase main \| BAS does not answer as it should\..*(?:time|second|within)/mi ],
	[ 'an entity is not published', sub { $bas->control(POST => '/config', { unpublished => ['Catalog_ВидыЦен'] }) }, sub { $bas->control(POST => '/config', { unpublished => [] }) },
		qr/^error \| entity Catalog_ВидыЦен \| BAS does not publish it; the profile needs it as price_type\. \| Add it to the standard OData interface/m ],
	[ 'the user may not read an entity', sub { $bas->control(POST => '/config', { deny_sets => ['Catalog_Организации'] }) }, sub { $bas->control(POST => '/config', { deny_sets => [] }) },
		qr/^error \| entity Catalog_Организации \| The user may not read it.*BAS user "Обмен" a role/m ],
	[ 'a property has another name', sub { sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('unf', 'order', 'comment', 'Примечание')") }, sub { sql("DELETE FROM salesdrive.profile_property WHERE origin = 'user'") },
		qr/^error \| entity $order \| A property the profile names is missing there\. .*Примечание.*profile unf, entity order and origin user/m ],
	[ 'a property of a section has another name', sub { sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('unf', 'order_line', 'price', 'ЦенаЗаШтуку')") }, sub { sql("DELETE FROM salesdrive.profile_property WHERE origin = 'user'") },
		qr/^error \| entity ${order}_Запасы \| A property the profile names is missing there\. .*ЦенаЗаШтуку.*entity order_line/m ],
	[ 'a constant is no value of an enumeration', sub { sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property, constant) VALUES ('unf', 'order', 'operation', 'ВидОперации', '\"НетТакого\"')") }, sub { sql("DELETE FROM salesdrive.profile_property WHERE origin = 'user'") },
		qr/^error \| value order\.operation \| No enumeration of the base has the value "НетТакого", which is always sent as ВидОперации\..*profile unf, entity order, concept operation/m ],
	[ 'the profile is switched off', sub { sql("INSERT INTO salesdrive.profile (name, title, enabled) VALUES ('unf', 'off', false)") }, sub { sql("DELETE FROM salesdrive.profile WHERE origin = 'user'") },
		qr/^error \| setting profile \| There is no profile "unf", which infobase "main" is to have, or it is switched off\. \| .*profile_entity.*UPDATE salesdrive\.infobase SET profile = '…' WHERE name = 'main'/m ],
	[ 'the profile has no name for the article of goods', sub { sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('unf', 'product', 'article', NULL)") }, sub { sql("DELETE FROM salesdrive.profile_property WHERE origin = 'user'") },
		qr/^error \| setting profile \| Profile "unf" of infobase "main" does not say what these are called: product\.article\. \| Add rows of origin user/m ],
	[ 'there is no kind of phone', sub { sql("INSERT INTO salesdrive.profile_entity (profile, concept, entity_set, filter) VALUES ('unf', 'contact_kind', 'Catalog_ВидыКонтактнойИнформации', 'PredefinedDataName eq ''НетТакого''')") }, sub { sql("DELETE FROM salesdrive.profile_entity WHERE origin = 'user'") },
		qr/^error \| entity Catalog_ВидыКонтактнойИнформации \| There is no kind of contact information for phones.*НетТакого.*predefined kinds/m ],
	[ 'SalesDrive refuses the key with 200', sub { sql("SELECT salesdrive.set_secret('account:shop:api_key', 'wrong')") }, sub { sql("SELECT salesdrive.set_secret('account:shop:api_key', 'demo-key')") },
		qr/^error \| account shop \| SalesDrive does not take the key\. 200: api key is invalid \| SELECT salesdrive.set_secret\('account:shop:api_key'/m ],
	[ 'SalesDrive refuses the key with 403', sub { $crm->control(POST => '/config', { key_error => '403' }); sql("SELECT salesdrive.set_secret('account:shop:api_key', 'wrong')") }, sub { sql("SELECT salesdrive.set_secret('account:shop:api_key', 'demo-key')") },
		qr/^error \| account shop \| SalesDrive does not take the key\. 403/m ],
	[ 'a change of an order in SalesDrive is parked', sub { sql("INSERT INTO salesdrive.task (scope, kind, key, account, state, reason, detail, hint) VALUES ('shop', 'order_update', '77', 'shop', 'parked', 'refused', 'SalesDrive says no.', 'Ask there.')") }, sub { sql("DELETE FROM salesdrive.task WHERE kind = 'order_update'") },
		qr/^warning \| parked order_update \| 1 changes of orders in SalesDrive are parked, the oldest since [^:]+:\d\d:\d\d: SalesDrive says no\. \| Ask there\. SELECT \* FROM salesdrive\.parked WHERE kind = 'order_update';.*resume\(task_id\)/m ],
	[ 'BAS keeps other sums than are sent', sub { sql("INSERT INTO salesdrive.bas_order (infobase, ref_key, account, order_id, number, differences) SELECT 'main', salesdrive.order_ref_key('demo-shop', n), 'shop', n, 'ЗК-' || n, '{\"СуммаДокумента\": {\"sent\": 180, \"kept\": 171.5}, \"Комментарий\": {}}' FROM generate_series(71, 72) n; INSERT INTO salesdrive.bas_order (infobase, ref_key, account, order_id, differences) VALUES ('main', gen_random_uuid(), 'shop', 73, '{\"Комментарий\": {}}')") }, sub { sql("DELETE FROM salesdrive.bas_order WHERE order_id BETWEEN 71 AND 73") },
		qr/^warning \| sums of documents \| BAS does not keep the sums that are sent: of the last 1000 orders 2 documents came to another sum, the latest \(ЗК-72 of order 72\) to 171\.5 instead of 180\. \| .*bas_order.*resend\(\)/m ],
	[ 'a dictionary is named for a field of texts', sub { sql("INSERT INTO salesdrive.dictionary_rule VALUES ('shop', 'source', 'park'); INSERT INTO salesdrive.crm_order (account, order_id, version, source, line_count, received_at, changed_at) SELECT 'shop', 700 + n, 1, 'text ' || n, 0, now(), now() FROM generate_series(1, 12) n; INSERT INTO salesdrive.order_sync (account, order_id, infobase, ref_key, skipped_at) SELECT 'shop', 700 + n, 'main', gen_random_uuid(), now() FROM generate_series(1, 12) n") }, sub { sql("DELETE FROM salesdrive.dictionary_rule; DELETE FROM salesdrive.crm_order WHERE order_id > 700; DELETE FROM salesdrive.order_sync WHERE order_id > 700") },
		qr/\A(?:warning \| value source text \d+ \|[^\n]*\n){9}warning \| value source text \d+ \|[^\n]* So have 2 further values of source\. \|[^\n]*SELECT \* FROM salesdrive\.unmapped\('shop'\) WHERE dictionary = 'source'[^\n]*\z/ ],
	[ 'the task of an order was deleted', sub { sql("INSERT INTO salesdrive.crm_order (account, order_id, version, line_count, received_at, changed_at) VALUES ('shop', 701, 1, 0, now(), now())") }, sub { sql("DELETE FROM salesdrive.crm_order WHERE order_id = 701") },
		qr/\Awarning \| lost orders \| Of the last 1000 orders 1 have no document, .*resume\(account, order_id\) FROM salesdrive\.order_status WHERE account = 'shop' AND reason = 'lost';\z/ ],
	[ 'a reading of the base is parked', sub { sql("INSERT INTO salesdrive.task (scope, kind, key, infobase, state) VALUES ('main', 'counterparty', '380671112233', 'main', 'parked')") }, sub { sql("DELETE FROM salesdrive.task WHERE kind = 'counterparty'") },
		qr/^warning \| parked counterparty \| 1 counterparties are parked, .*no reason is known\./m ],
	[ 'sums are to be told, and nobody reads them', sub { sql("UPDATE salesdrive.account SET sum_comment = 'ru'") }, sub { sql("UPDATE salesdrive.account SET sum_comment = NULL") },
		qr/^warning \| statuses \| What changed in documents of BAS: nobody has asked for it yet, and the settings of account "shop" need it\. \| .*SELECT salesdrive\.pull_statuses\('main'\);.*SELECT salesdrive\.schedule\('shop', 'statuses', '\*\/5 \* \* \* \*'\)/m ],
	[ 'changed orders are never asked for', sub { deliver(9, comment => 'x'); sql("UPDATE salesdrive.crm_order SET received_at = now() - interval '2 days' WHERE order_id = 9") }, sub { sql("UPDATE salesdrive.crm_order SET received_at = now() WHERE order_id = 9") },
		qr/^warning \| orders of the API \| What changed in SalesDrive: nobody has asked for it yet.*SELECT salesdrive\.fetch_orders\('shop'\);.*schedule\('shop', 'orders'/m ],
	[ 'payments are to travel, and nobody reads them', sub { sql("UPDATE salesdrive.account SET payments_from_bas = true") }, sub { sql("UPDATE salesdrive.account SET payments_from_bas = false") },
		qr/^warning \| payments \| Payment documents of BAS: nobody has asked for it yet.*SELECT salesdrive\.pull_payments\('main'\);.*schedule\('shop', 'bas_payments'/m ],
	[ 'statuses are no longer read', sub { sql("UPDATE salesdrive.account SET sum_comment = 'ru'; INSERT INTO salesdrive.status_poll (infobase, done_at) VALUES ('main', now() - interval '25 hours')") }, sub { sql("UPDATE salesdrive.account SET sum_comment = NULL; DELETE FROM salesdrive.status_poll") },
		qr/^warning \| statuses \| What changed in documents of BAS was read last at 20/m ],
	[ 'a secret is not set', sub { sql("DELETE FROM salesdrive.credential WHERE name = 'account:shop:api_key'") }, sub { sql("SELECT salesdrive.set_secret('account:shop:api_key', 'demo-key')") },
		qr/^error \| secret account:shop:api_key \| The secret is not set here\. \| SELECT salesdrive.set_secret/m ],
	[ 'a secret that a dump has not brought along', sub { sql("SELECT salesdrive.set_secret('account:shop:account_key', 'money'); DELETE FROM salesdrive.credential_secret WHERE name = 'account:shop:account_key'") }, sub { sql("DELETE FROM salesdrive.credential WHERE name = 'account:shop:account_key'") },
		qr/^error \| secret account:shop:account_key \| The secret is not set here\. \| SELECT salesdrive.set_secret/m ],
	[ 'the key of the YML export is in a file that is not there', sub { sql("INSERT INTO salesdrive.credential (name, kind, reference) VALUES ('account:shop:yml_key', 'file', 'nothing')") }, sub { sql("DELETE FROM salesdrive.credential WHERE name = 'account:shop:yml_key'") },
		qr/^error \| secret account:shop:yml_key \| It cannot be used: /m ],
	[ 'the account is paused', sub { sql("SELECT salesdrive.pause('shop', 'stocktaking')") }, sub { sql("SELECT salesdrive.unpause('shop')") },
		qr/^error \| account shop \| It is paused: stocktaking \| SELECT salesdrive.unpause\('shop'\)/m ],
	[ 'the infobase is paused', sub { sql("SELECT salesdrive.pause_infobase('main', 'an update')") }, sub { sql("SELECT salesdrive.unpause_infobase('main')") },
		qr/^error \| infobase main \| It is paused: an update \| SELECT salesdrive.unpause_infobase\('main'\)/m ],
	[ 'the last requests failed', sub { sql("UPDATE salesdrive.infobase SET circuit_failures = 7, circuit_open_until = now() + interval '1 h'") }, sub { sql("UPDATE salesdrive.infobase SET circuit_failures = 0, circuit_open_until = NULL") },
		qr/^warning \| infobase main \| Its last 7 requests failed\. \| Look at exchange_log/m ],
	[ 'a setting names nothing in the base', sub { load_lists(); sql("UPDATE salesdrive.account SET organisation = 'ТОВ Немає'") }, sub { sql("UPDATE salesdrive.account SET organisation = NULL") },
		qr/^warning \| setting organisation \| .*ТОВ Немає.* \| UPDATE salesdrive.account SET organisation = … WHERE name = 'shop'/m ],
	[ 'a mapping leads to nothing in the base', sub { load_lists(); sql("INSERT INTO salesdrive.value_map (account, dictionary, crm_key, bas_key) VALUES ('shop', 'warehouse', '7', 'Немає')") }, sub { sql('DELETE FROM salesdrive.value_map') },
		qr/^warning \| value warehouse 7 \| value_map gives "Немає".*map_value\('shop', 'warehouse', '7'/m ],
	[ 'a rule of the header leads to nothing in the base', sub { load_lists(); sql("INSERT INTO salesdrive.header_rule (account, dictionary, condition, bas_key) VALUES ('shop', 'organisation', '{\"site\": \"2\"}', 'ТОВ Немає')") }, sub { sql('DELETE FROM salesdrive.header_rule') },
		qr/^warning \| rule organisation \| header_rule \{"site": "2"\} gives "ТОВ Немає", which is not in the base "main" \(there: .*\| UPDATE salesdrive\.header_rule SET bas_key/m ],
	[ 'orders have a value nobody mapped, and a field takes it', sub { sql("SELECT salesdrive.map_field('shop', 'order', 'Заметки', 'sajt', dictionary => 'site')"); deliver(8, sajt => 3) }, sub { sql("DELETE FROM salesdrive.field_map WHERE origin = 'user'; UPDATE salesdrive.crm_order SET site_id = NULL") },
		qr/^warning \| value site 3 \| 1 orders of the last 30 days have site 3/m ],
	[ 'a value is mapped to what no enumeration has', sub { metadata(); sql("SELECT salesdrive.map_value('shop', 'order_type', '1', 'ЗаказНаПродажу'); SELECT salesdrive.map_value('shop', 'order_type', '2', 'ЗаказНаПродажуУ'); SELECT salesdrive.map_field('shop', 'order', 'ВидОперации', 'typeId', dictionary => 'order_type')") },
		sub { sql("DELETE FROM salesdrive.field_map WHERE origin = 'user'; DELETE FROM salesdrive.value_map") },
		qr/^warning \| field order ВидОперации \| It is to be "ЗаказНаПродажуУ", and no enumeration of the base that has its other values has that \(there: .*ЗаказНаПродажу.*\| SELECT salesdrive\.map_value\('shop', 'order_type', '2'/m ],
	[ 'additional attributes are mapped and not published', sub { $bas->control(POST => '/config', { unpublished => ['ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения'] }); sql("INSERT INTO salesdrive.profile_entity (profile, concept, entity_set, needed) VALUES ('unf', 'attribute', 'ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения', false); SELECT salesdrive.map_field('shop', 'attribute', 'Кампанія', 'utmCampaign')") },
		sub { $bas->control(POST => '/config', { unpublished => [] }); sql("DELETE FROM salesdrive.field_map WHERE origin = 'user'; DELETE FROM salesdrive.profile_entity WHERE origin = 'user'") },
		qr/^error \| entity ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения \| BAS does not publish it; the profile needs it as attribute\./m ],
	[ 'the product for delivery is not in the base', sub { sql("UPDATE salesdrive.account SET delivery_line = 'shown', delivery_sku = 'SKU-NONE'") }, sub { sql("UPDATE salesdrive.account SET delivery_line = 'none', delivery_sku = NULL") },
		qr/^error \| setting delivery_sku \| Infobase "main" has no product "SKU-NONE"\. \| Create it in BAS with this article, or UPDATE salesdrive\.account SET delivery_sku/m ],
	[ 'the counterparty of all orders is not in the base', sub { sql("UPDATE salesdrive.account SET counterparty_mode = 'fixed', fixed_counterparty = '8c1f4a10-00bb-11ee-8000-0000000000ff'") }, sub { sql("UPDATE salesdrive.account SET counterparty_mode = 'phone', fixed_counterparty = NULL") },
		qr/^error \| setting fixed_counterparty \| Infobase "main" has no counterparty "8c1f4a10-00bb-11ee-8000-0000000000ff"\. \| UPDATE salesdrive\.account SET fixed_counterparty/m ],
	[ 'recent orders have a value nobody mapped', sub { sql("INSERT INTO salesdrive.dictionary_rule VALUES ('shop', 'site', 'park')"); deliver(1, sajt => 3) }, sub { sql("DELETE FROM salesdrive.dictionary_rule; SELECT salesdrive.skip('shop', 1, 'test')") },
		qr/^warning \| value site 3 \| 1 orders of the last 30 days have site 3(?: "[^"]*")?, and nobody said.*map_value\('shop', 'site', '3'/m ],
	[ 'the number is to go into a field that no order has', sub { deliver(9, nomerBas => undef); sql("UPDATE salesdrive.account SET number_to = 'nomerBAS', link_to = 'nomerBas'") }, sub { sql("UPDATE salesdrive.account SET number_to = NULL") },
		qr/^warning \| setting number_to \| None of the last \d+ orders has a field "nomerBAS", nor does SalesDrive list it.*UPDATE salesdrive\.account SET number_to = … WHERE name = 'shop'.*\z/m ],
	[ 'the address, too', sub { sql("UPDATE salesdrive.account SET number_to = 'note', link_to = 'posylannya'") }, sub { sql("INSERT INTO salesdrive.dictionary_value (scope, side, dictionary, key) VALUES ('shop', 'crm', 'posylannya', '1')") },
		qr/^warning \| setting link_to \| None of the last \d+ orders has a field "posylannya"[^\n]*SET link_to\N*\z/m ],
	[ 'several warehouses, and documents that need one', sub { sql("UPDATE salesdrive.account SET number_to = NULL, link_to = NULL"); load_lists(); second_warehouse(); need_warehouse() }, sub { sql("SELECT salesdrive.map_value('shop', 'warehouse', '7', 'W-SECOND')") },
		qr/^warning \| setting warehouse \| Infobase "main" has several elements of warehouse, BAS does not post a document without СтруктурнаяЕдиницаРезерв_Key, and nothing says which one is meant \(there: .*Другий склад.*\| UPDATE salesdrive\.account SET warehouse = .*value_map or header_rule/m ],
	[ 'a value that leaves it empty gives none', sub { sql("SELECT salesdrive.map_value('shop', 'warehouse', '7', NULL)") }, sub { sql("INSERT INTO salesdrive.header_rule (account, dictionary, condition, bas_key) VALUES ('*', 'warehouse', '{\"site\": \"2\"}', 'W-SECOND')") },
		qr/^warning \| setting warehouse /m ],
	[ 'nor does a mapping of another account', sub { sql("DELETE FROM salesdrive.header_rule; DELETE FROM salesdrive.value_map; INSERT INTO salesdrive.value_map (account, dictionary, crm_key, bas_key) VALUES ('other', 'warehouse', '7', 'W-SECOND')") }, sub { sql("DELETE FROM salesdrive.value_map WHERE account = 'other'; UPDATE salesdrive.account SET warehouse = 'W-SECOND'") },
		qr/^warning \| setting warehouse /m ],
	[ 'the setting is taken away', sub { sql("UPDATE salesdrive.account SET warehouse = NULL") }, sub { sql("DELETE FROM salesdrive.dictionary_value WHERE code = 'W-SECOND' OR dictionary = 'posylannya'; DELETE FROM salesdrive.value_map") },
		qr/^warning \| setting warehouse /m ],
	[ 'an order is parked', sub { deliver(2, phone => 'call me') }, sub { sql("SELECT salesdrive.skip('shop', 2, 'test')") },
		qr/^warning \| parked orders \| 1 orders are parked.*FROM salesdrive.parked/m ],
	[ 'a delivery could not be read', sub { sql("SELECT salesdrive.accept_webhook('shop', '{\"data\": {\"name\": 1}}')"); wait_for_sql($node, 'postgres', 'SELECT count(*) FROM salesdrive.inbox_reject', '1') }, sub { sql('DELETE FROM salesdrive.inbox_reject') },
		qr/^warning \| rejected deliveries \| 1 deliveries of the last day could not be read.*inbox_reject/m ],
	[ 'times come hours late', sub { deliver($_, updateAt => sql("SELECT to_char(now() AT TIME ZONE 'Europe/Kyiv' - interval '3 h', 'YYYY-MM-DD HH24:MI:SS')")) for 3 .. 6 }, sub { sql("UPDATE salesdrive.crm_order_version SET update_at = NULL") },
		qr/^warning \| clock \| Deliveries come 0?3:00:\d\d after the times SalesDrive writes.*account.time_zone \(Europe\/Kyiv\)/m ],
	[ 'nothing drives the exchange', sub { sql('SELECT salesdrive.stop_workers()') }, sub { sql('SELECT salesdrive.start_workers()'); wait_for_sql($node, 'postgres', 'SELECT salesdrive.engine_alive()', 't') },
		qr/^warning \| worker exchanger \| The exchanger of this database is not running.*^warning \| pg_cron \| No exchanger runs here, and pg_cron is not in this database.*start_workers/ms ],
	[ 'workers run as a superuser', sub { sql("ALTER DATABASE postgres RESET salesdrive.role; SELECT salesdrive.restart_workers()"); wait_for_sql($node, 'postgres', 'SELECT salesdrive.engine_alive()', 't') },
		sub { sql("ALTER DATABASE postgres SET salesdrive.role = 'engine'; SELECT salesdrive.restart_workers()"); wait_for_sql($node, 'postgres', "SELECT count(*) FROM salesdrive.worker_status WHERE role = 'exchanger' AND runs_as = 'engine' AND salesdrive.engine_alive()", '1') },
		qr/^warning \| worker exchanger \| It runs as superuser.*functions written by users are refused/m ],
	[ 'the role of the workers may not run the exchange', sub { sql("CREATE ROLE stranger LOGIN; ALTER DATABASE postgres SET salesdrive.role = 'stranger'") }, sub { sql("ALTER DATABASE postgres SET salesdrive.role = 'engine'") },
		qr/^warning \| role stranger \| Workers of this database run as role "stranger", which may not run the exchange.*grant_access\('stranger', 'admin'\)/m ],
	[ 'a rule is for an account that is not there', sub { sql("INSERT INTO salesdrive.cancel_rule (account, status, action) VALUES ('shopp', '6', 'mark'); INSERT INTO salesdrive.value_map (account, dictionary, crm_key, bas_key) VALUES ('shopp', 'own', '1', 'x'), ('shopp', 'own', '2', 'x')") },
		sub { sql("DELETE FROM salesdrive.cancel_rule WHERE account = 'shopp'; DELETE FROM salesdrive.value_map WHERE account = 'shopp'") },
		qr/^warning \| cancel_rule \| 1 rows are for account "shopp", which does not exist: they count for nothing\. \| Is it misspelt\? UPDATE salesdrive\.cancel_rule SET account = 'shop' WHERE account = 'shopp'.*^warning \| value_map \| 2 rows are for account "shopp"/ms ],
	[ 'this database is a copy', sub { sql("UPDATE salesdrive.instance SET database_name = 'original'") }, sub { sql('UPDATE salesdrive.instance SET database_name = current_database()') },
		qr/^error \| database \| .* \| SELECT salesdrive.adopt\(\)/m ]);

sub load_lists
{
	return if sql('SELECT count(*) FROM salesdrive.dictionary_load') eq '6';
	sql("SELECT salesdrive.load_dictionaries('shop')");
	# all of them: one that comes later would take away what is put in beside it
	return wait_for_sql($node, 'postgres', "SELECT (SELECT count(*) >= 6 FROM salesdrive.dictionary_load) AND NOT EXISTS (SELECT FROM salesdrive.task WHERE kind = 'dictionary')", 't');
}

sub second_warehouse { return sql("INSERT INTO salesdrive.dictionary_value (scope, side, dictionary, key, name, code) VALUES ('main', 'bas', 'warehouse', '8c1f4a10-0099-11ee-8000-000000000099', 'Другий склад', 'W-SECOND')") }
sub need_warehouse { return sql("INSERT INTO salesdrive.profile_property (profile, entity, concept, property, edm_type, needed) VALUES ('unf', 'order', 'warehouse', 'СтруктурнаяЕдиницаРезерв_Key', 'Edm.Guid', true)") }

sub metadata
{
	sql("SELECT salesdrive.load_metadata('main')");
	return wait_for_sql($node, 'postgres', "SELECT EXISTS (SELECT FROM salesdrive.bas_metadata WHERE kind = 'enum')", 't');
}

sub deliver
{
	my ($id, %o) = @_;
	my $body = json_encode({ data => { id => $id, version => 1, orderTime => '2026-11-20 10:00:00', paymentAmount => 120, contacts => [ { fName => 'Зразок', phone => delete $o{phone} // '0671000001' } ], products => [ { sku => 'SKU-0001', amount => 1, price => 120 } ], %o } });
	utf8::decode($body);
	sql("SELECT salesdrive.accept_webhook('shop', '$body')");
	return wait_for_sql($node, 'postgres', "SELECT EXISTS (SELECT FROM salesdrive.order_status WHERE order_id = $id AND state IN ('parked', 'synced'))", 't');
}

for (@cases)
{
	my ($what, $break, $mend, $row) = @$_;
	$break->();
	my $found = rows();
	like($found, $row, $what);
	unlike($found, qr/all is well/, 'and not all is well');
	$mend->();
	sql("UPDATE salesdrive.infobase SET paused_at = NULL, paused_reason = NULL, circuit_failures = 0, circuit_open_until = NULL") if sql('SELECT salesdrive.quiet_reason() IS NULL') eq 't';
	is(rows(), 'ok | account shop | all is well | ', 'mended, all is well');
}

sql("DELETE FROM salesdrive.profile_property WHERE origin = 'user'");
is(sql("SELECT string_agg(DISTINCT profile || ' ' || entity || '.' || concept, ', ') FROM salesdrive.profile_property_effective WHERE needed AND entity = 'order'"),
	'erp order.warehouse, erp:2.5 order.warehouse, kup order.warehouse, kup:2.5 order.warehouse, trade32 order.warehouse, trade32:3.5 order.warehouse', 'shipped profiles that need a warehouse');

# ---- test_connection ----

is(sql("SELECT string_agg(subject || ' ' || answers || ' ' || (milliseconds > 0), ', ') FROM salesdrive.test_connection('shop')"), 'infobase main true true, account shop true true', 'both peers answer');
like(sql("SELECT detail FROM salesdrive.test_connection('shop') WHERE subject LIKE 'infobase%'"), qr/^\d+ entity sets are published\.$/, 'and say what they are');
sql("SELECT salesdrive.set_secret('infobase:main:password', 'wrong')");
like(sql("SELECT answers || ' ' || detail FROM salesdrive.test_connection('shop') WHERE subject LIKE 'infobase%'"), qr/^false 401/, 'a wrong password is told');
sql("SELECT salesdrive.set_secret('infobase:main:password', 'secret'); UPDATE salesdrive.instance SET database_name = 'original'");
my $seen = scalar @{ $bas->control(GET => '/requests')->{requests} };
my ($rc, $out, $err) = $node->psql('postgres', "SELECT * FROM salesdrive.test_connection('shop')");
like($err, qr/nothing is sent from this database/, 'a copy is refused');
rows();
is(scalar @{ $bas->control(GET => '/requests')->{requests} }, $seen, 'neither it nor check() asks anybody');
sql('UPDATE salesdrive.instance SET database_name = current_database()');

# a call that waits can be cancelled
$bas->control(POST => '/config', { latency_ms => 10000 });
($rc, $out, $err) = $node->psql('postgres', "SET statement_timeout = '300ms'; SELECT * FROM salesdrive.check('shop')");
like($err, qr/statement timeout/, 'a wait for peers ends with a cancel');
$bas->control(POST => '/config', { latency_ms => 0 });

# what an operator may do with it
sql("CREATE ROLE op LOGIN; SELECT salesdrive.grant_access('op', 'operator')");
is(sql("SET ROLE op; SELECT string_agg(severity, ',') FROM salesdrive.check('shop')"), 'ok', 'an operator may check');
($rc, $out, $err) = $node->psql('postgres', "SET ROLE op; SELECT * FROM salesdrive.probe('{}', 1000)");
like($err, qr/permission denied for function probe/, 'and may not ask what he likes');

# A rule for an account that is not there says so when it is written, in every table of rules.
my %rule = (cancel_rule => "(account, status, action) VALUES (%s, '6', 'mark')", check_rule => "(account, name, condition) VALUES (%s, 'own', 'true')", dictionary_rule => "(account, dictionary) VALUES (%s, 'own')",
	field_map => "(account, target, property, source) VALUES (%s, 'order', 'own', 'own')", header_rule => "(account, dictionary, condition) VALUES (%s, 'warehouse', '{\"site\": \"1\"}')", order_filter => "(account, rule, condition) VALUES (%s, 'not', '{\"site\": \"999\"}')",
	followup_rule => "(account, status, action) VALUES (%s, '999', 'sale')", product_rule => "(account, note) VALUES (%s, 'own')", payment_rule => "(account) VALUES (%s)", value_map => "(account, dictionary, crm_key) VALUES (%s, 'own', '1')");
is(sql("SELECT string_agg(t, ' ' ORDER BY t) FROM unnest(salesdrive.rule_tables()) t"), join(' ', sort keys %rule), 'tables of rules');
is(sql("SELECT string_agg(c.relname::text, ' ' ORDER BY c.relname::text) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'account' WHERE c.relnamespace = 'salesdrive'::regnamespace AND c.relkind = 'r' AND col_description(c.oid, a.attnum) LIKE '%*%'"), join(' ', sort keys %rule), 'all that have an account or *');
for my $table (sort keys %rule)
{
	my $insert = sub { my ($account) = @_; my ($rc, $out, $err) = $node->psql('postgres', "INSERT INTO salesdrive.$table " . sprintf $rule{$table}, "'$account'"); return "$rc $err" };
	like($insert->('shopp'), qr/^0 .*WARNING:  there is no account "shopp"\nDETAIL:  Rows of $table for it do not count until there is one of this name\.\nHINT:  Accounts: shop; \* is every account\./s, "$table: a misspelt name is told");
	is($insert->('shop'), '0 ', "$table: a right one not");
	is($insert->('*'), '0 ', "$table: nor all accounts");
	my ($rc, $out, $err) = $node->psql('postgres', "UPDATE salesdrive.$table SET account = 'shoq' WHERE account = 'shop'");
	like($err, qr/there is no account "shoq"/, "$table: and so is one that is changed");
}

done_testing();
