# Staging: both shapes of an order become the same rows; every order of arrival of a set of versions ends in the same rows; bad bodies are
# rejected alone and kept.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(shuffle);
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql);

my $node = new_node('staging', preload => 0);

sub literal { my ($text) = @_; $text =~ s/'/''/g; return "'$text'" }
sub text_of { my ($data) = @_; my $t = json_encode($data); utf8::decode($t); return $t }

sql("INSERT INTO salesdrive.infobase (name, profile, url, username) VALUES ('b', 'unf', 'http://127.0.0.1:1/b', 'u'); SELECT salesdrive.adopt()");
my $accounts = 0;
sub new_account { my $name = 'a' . $accounts++; sql("INSERT INTO salesdrive.account (name, url, infobase, identity) VALUES ('$name', 'https://x.salesdrive.me', 'b', '$name')"); return $name }

# deliver(account, batch size, bodies ...): in this order, read in batches
sub deliver
{
	my ($account, $batch, @bodies) = @_;
	my $n = 0;
	my $statements = '';
	for (@bodies)
	{
		$statements .= 'SELECT salesdrive.accept_webhook(' . literal($account) . ', ' . literal(text_of($_)) . ");\n";
		$statements .= "SELECT salesdrive.ingest(1000);\n" unless ++$n % $batch;
	}
	sql($statements . "SELECT salesdrive.ingest(1000);");
}

# one account's rows, without what names the account or the time of arrival
my $ROWS = "SELECT md5(string_agg(r, E'\\n' ORDER BY r)) FROM (
	SELECT (to_jsonb(o) - '{account,received_at,changed_at}'::text[])::text AS r FROM salesdrive.crm_order o WHERE account = 'NAME'
	UNION ALL SELECT (to_jsonb(l) - 'account')::text FROM salesdrive.crm_order_line l WHERE account = 'NAME'
	UNION ALL SELECT (to_jsonb(c) - 'account')::text FROM salesdrive.crm_order_contact c WHERE account = 'NAME'
	UNION ALL SELECT (to_jsonb(v) - '{account,inbox_id,received_at}'::text[])::text FROM salesdrive.crm_order_version v WHERE account = 'NAME') s";
sub rows_of { my ($account) = @_; (my $q = $ROWS) =~ s/NAME/$account/g; return sql($q) }

# ---- shapes

my $webhook = { info => { webhookType => 'order', webhookEvent => 'new_order', account => 'x' }, data => {
	id => 100, formId => 1, version => 3, externalId => '', orderTime => '2026-03-01 10:00:00', updateAt => '2026-03-01 10:05:00', statusId => 5,
	paymentAmount => 516.6, payment_method => '6', shipping_method => undef, comment => "Рядок\n«лапки» \x{1F600} <MS>", payedAmount => undef,
	contacts => [ { id => 1, fName => 'Іван', lName => 'Вигаданий', mName => '', phone => '380501234567', email => [] } ],
	products => [
		{ productId => 5, parameter => '77', sku => 'FR1', name => 'Сукня', text => 'Сукня синя', amount => 1, price => '574', discount => 10, percentDiscount => 1, upsell => 1 },
		{ productId => 6, sku => '', text => 'Подарунок', amount => '1', price => 0, discount => '', percentDiscount => 0, isComplect => 1, complect => [ { sku => 'P1', count => 2 } ] } ],
	ord_delivery_data => undef } };
my $row = { status => 'success', data => [ { %{ $webhook->{data} }, primaryContact => { id => 1, fName => 'Іван', lName => 'Вигаданий', mName => undef, phone => ['0501234567'] },
	contacts => [ { id => 1, fName => 'Іван', lName => 'Вигаданий', mName => undef, phone => ['0501234567'], email => [] } ],
	products => [ map { my %p = %$_; $p{preSale} = delete $p{upsell} if exists $p{upsell}; delete $p{name}; \%p } @{ $webhook->{data}{products} } ] } ] };
my ($w, $l) = (new_account(), new_account());
deliver($w, 1, $webhook);
deliver($l, 1, $row);
my $core = "SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM (SELECT to_jsonb(l) - '{account,name}'::text[] AS x FROM salesdrive.crm_order_line l WHERE account = 'NAME'
	UNION ALL SELECT to_jsonb(c) - '{account,phone_raw}'::text[] FROM salesdrive.crm_order_contact c WHERE account = 'NAME') s";
is(sql($core =~ s/NAME/$w/gr), sql($core =~ s/NAME/$l/gr), 'webhook and list row become the same lines and contacts');
is(sql("SELECT phone || ' ' || customer_name FROM salesdrive.crm_order WHERE account = '$w'"), '380501234567 Вигаданий Іван', 'phone as text and empty middle name');
is(sql("SELECT phone FROM salesdrive.crm_order WHERE account = '$l'"), '380501234567', 'phone as array, national form');
is(sql("SELECT payment_method || coalesce(shipping_method, '-') || payment_amount || coalesce(payed_amount::text, '-') FROM salesdrive.crm_order WHERE account = '$w'"), '6-516.6-', 'numbers as text, null, exact amounts');
is(sql("SELECT string_agg(concat_ws('|', line_no, coalesce(sku, 'none'), amount, price, discount, is_percent, is_upsell, is_kit), ' ' ORDER BY line_no) FROM salesdrive.crm_order_line WHERE account = '$l'"),
	'1|FR1|1|574|10|t|t|f 2|none|1|0|0|f|f|t', 'lines: preSale as upsell, gift, kit, blank SKU');
is(sql("SELECT kit ->0->>'sku' FROM salesdrive.crm_order_line WHERE account = '$w' AND is_kit"), 'P1', 'parts of a kit are kept');
is(sql("SELECT comment = E'Рядок\\n«лапки» \x{1F600} <MS>' FROM salesdrive.crm_order WHERE account = '$w'"), 't', 'comment letter by letter');

# ---- odd bodies

my $o = new_account();
deliver($o, 1, { data => { id => 1, products => undef, contacts => [] } }, { data => { id => '2', products => { 1 => { sku => 'A', amount => 1, price => 1 }, 0 => { sku => 'B', amount => 2, price => 1 } } } },
	{ data => { id => 3, contacts => [ { phone => ['дзвонити після обіду', '+48 22 123 45 67'] } ], products => [ { sku => 'A', amount => '1,5', price => '500,00', discount => '10%' } ] } });
is(sql("SELECT string_agg(order_id || ':' || line_count || ':' || coalesce(phone, '-'), ' ' ORDER BY order_id) FROM salesdrive.crm_order WHERE account = '$o'"), '1:0:- 2:2:- 3:1:48221234567', 'missing blocks, products keyed by number, second phone usable');
is(sql("SELECT amount || ' ' || price || ' ' || coalesce(discount::text, 'none') FROM salesdrive.crm_order_line WHERE account = '$o' AND order_id = 3"), '1.5 500.00 none', 'decimal comma read, a discount that is no number is none');

my $bad = new_account();
sql("SELECT salesdrive.keep_deliveries(ARRAY['$bad','$bad','$bad','$bad','$bad','$bad','$bad'], ARRAY[convert_to('{\"data\":{\"id\":1}}','UTF8'), convert_to('{\"a\":1}','UTF8'), convert_to('{\"data\":{\"id\":\"x\"}}','UTF8'),
	convert_to('{\"data\":{\"id\":2,\"comment\":\"' || chr(92) || 'u0000\"}}','UTF8'), convert_to('{\"data\":{\"id\":3,\"paymentAmount\":1e999999}}','UTF8'), convert_to('[]','UTF8'), convert_to('{\"data\":{\"id\":4}}','UTF8')],
	array_fill(NULL::text, ARRAY[7]), array_fill(NULL::text, ARRAY[7])); SELECT salesdrive.ingest(100)");
is(sql("SELECT string_agg(order_id::text, ' ' ORDER BY order_id) FROM salesdrive.crm_order WHERE account = '$bad'"), '1 2 4', 'good orders among bad ones arrive');
is(sql("SELECT string_agg(reason, ' ' ORDER BY inbox_id) FROM salesdrive.inbox_reject WHERE account = '$bad'"), 'not_order not_order 22003 not_order', 'each bad one is rejected with its reason');
is(sql("SELECT count(*) FROM salesdrive.inbox WHERE account = '$bad'"), 7, 'and its bytes are kept');
is(sql('SELECT count(*) FROM salesdrive.inbox_pending'), 0, 'nothing waits for ever');
my ($rc, $out, $err) = $node->psql('postgres', "SELECT salesdrive.accept_webhook('$bad', '{\"data\": oops}')");
like($err, qr/is not JSON/, 'accept_webhook refuses what is not JSON');
($rc, $out, $err) = $node->psql('postgres', "SELECT salesdrive.accept_webhook('nobody''; DROP TABLE x', '{}')");
like($err, qr/there is no account "nobody'; DROP TABLE x"/, 'and an unknown account, SQL in its name or not');

# what belongs to another account, or is no order, is kept and not staged
my $foreign = new_account();
deliver($foreign, 2, { info => { webhookType => 'order', account => 'y' }, data => { id => 17, comment => 'of y' } }, { info => { webhookType => 'order', account => 'X' }, data => { id => 17, comment => 'of x' } },
	{ info => { webhookType => 'product', account => 'x' }, data => { id => 18 } }, { info => { webhookType => 'order', account => 'x.salesdrive.me' }, data => { id => 19 } }, { info => {}, data => { id => 20 } });
is(sql("SELECT string_agg(order_id || coalesce(comment, ''), ' ' ORDER BY order_id) FROM salesdrive.crm_order WHERE account = '$foreign'"), '17of x 19 20', 'an order of another SalesDrive account is not merged into ours');
is(sql("SELECT string_agg(reason, ' ' ORDER BY inbox_id) FROM salesdrive.inbox_reject WHERE account = '$foreign'"), 'other_account other_type', 'rejected with the reason');
like(sql("SELECT detail FROM salesdrive.inbox_reject WHERE account = '$foreign' AND reason = 'other_account'"), qr/"y".*x\.salesdrive\.me/, 'that names both accounts');

# what was rejected is read again once its cause is mended
my $moved = new_account();
deliver($moved, 1, ({ info => { webhookType => 'order', account => 'y' }, data => { id => 31 } }) x 2, { info => { webhookType => 'order', account => 'z' }, data => { id => 32 } }, { info => { webhookType => 'product', account => 'y' }, data => { id => 33 } });
sub staged { return sql("SELECT string_agg(order_id::text, ' ' ORDER BY order_id) FROM salesdrive.crm_order WHERE account = '$moved'") }
sub logged { return sql("SELECT string_agg(concat_ws(' ', inbox_id - (SELECT min(id) FROM salesdrive.inbox WHERE account = '$moved'), order_id), ', ' ORDER BY inbox_id, id) FROM salesdrive.exchange_log WHERE account = '$moved' AND direction = 'in'") }
sub rejected { return sql("SELECT string_agg(reason, ' ' ORDER BY inbox_id) FROM salesdrive.inbox_reject WHERE account = '$moved'") }
is(staged() . rejected(), 'other_account other_account other_type', 'a wrong address keeps all orders out, and an equal body that comes again');
sql("UPDATE salesdrive.account SET url = 'https://proxy.example' WHERE name = '$moved'; UPDATE salesdrive.account SET url = 'https://y.salesdrive.me' WHERE name = '$moved'; SELECT salesdrive.ingest(100)");
is(staged() . ' ' . rejected(), '31 other_account other_type', 'the right one lets them in by itself, and no others');
is(logged(), '0 31, 1, 2', 'each delivery is in the log once, with its order where there is one by now');
is(sql("SELECT string_agg(what, ', ' ORDER BY what) FROM salesdrive.order_timeline WHERE account = '$moved' AND order_id = 31"), 'in call, received', 'and the timeline shows it once');
sql("ALTER TABLE salesdrive.crm_order ADD CONSTRAINT odd CHECK (order_id <> 34)");
deliver($moved, 1, { data => { id => 34 } });
is(rejected(), 'other_account other_type 23514', 'an error rejects a delivery');
sql("ALTER TABLE salesdrive.crm_order DROP CONSTRAINT odd");
is(sql("SELECT salesdrive.read_rejected('$moved', '23514')"), 1, 'which is read again when it is asked for');
sql('SELECT salesdrive.ingest(100)');
is(staged() . ' ' . rejected(), '31 34 other_account other_type', 'and it alone');
sql("SELECT salesdrive.keep_deliveries(ARRAY['$moved'], ARRAY['nope'::bytea], ARRAY['no value'], ARRAY['127.0.0.1'])");
is(sql("SELECT salesdrive.read_rejected('$moved')"), 2, 'all are, but what is not JSON');
sql('SELECT salesdrive.ingest(100)');
is(staged() . ' ' . rejected(), '31 34 other_account other_type not_json', 'and rejected again, where nothing was mended');
is(logged(), '0 31, 1, 2, 3 34', 'and none of them is in the log twice');

sql("UPDATE salesdrive.account SET url = 'https://proxy.example' WHERE name = '$foreign'");
deliver($foreign, 1, { info => { webhookType => 'order', account => 'y' }, data => { id => 21 } });
is(sql("SELECT count(*) FROM salesdrive.crm_order WHERE account = '$foreign' AND order_id = 21"), 1, 'an address that is not of salesdrive.me tells nothing of the account');

# what jsonb does not take, and numbers and times that cannot be read
my $mend = new_account();
sub keep { my (@bodies) = @_; sql("SELECT salesdrive.keep_deliveries(array_fill('$mend'::text, ARRAY[" . @bodies . "]), ARRAY[" . join(', ', map { "convert_to(" . literal($_) . ", 'UTF8')" } @bodies) . "],
	array_fill(NULL::text, ARRAY[" . @bodies . "]), array_fill(NULL::text, ARRAY[" . @bodies . "])); SELECT salesdrive.ingest(100)"); return }
keep('{"data":{"id":1,"comment":"a\\u0000b"}}', '{"data":{"id":2,"comment":"cut \\ud83d"}}', '{"data":{"id":3,"comment":"\\ude00 \\uD83D\\uDE00 \\\\u0000 \\ud83d\\ud83d\\ude00 \\ud83d\\n"}}',
	"\x{FEFF}" . '{"data":{"id":4,"comment":"mark"}}', '{"data":{"id":5,"\\ud800":1,"comment":"name"}}');
is(sql("SELECT string_agg(comment, '|' ORDER BY order_id) FROM salesdrive.crm_order WHERE account = '$mend'"), "a\x{FFFD}b|cut \x{FFFD}|\x{FFFD} \x{1F600} \\u0000 \x{FFFD}\x{1F600} \x{FFFD}\n|mark|name",
	'NUL, halves of an emoji and a byte order mark are mended, whole emoji and escaped backslashes stay');
is(sql("SELECT count(*) FROM salesdrive.inbox WHERE account = '$mend' AND position('\\x7564383364'::bytea IN body) > 0"), 2, 'the bytes stay as they came');
is(sql("SELECT count(*) FROM salesdrive.inbox_reject WHERE account = '$mend'"), 0, 'nothing of it is rejected');
keep('{"data":{"id":6,"version":5,"updateAt":"2026-03-01 10:00:00","comment":"good"}}', '{"data":{"id":6,"version":99999999999999999999,"updateAt":"2026-03-02 10:00:00","comment":"who knows"}}',
	'{"data":{"id":7,"version":"soon","formId":1e300,"orderTime":"01.03.2026","updateAt":"2026-03-01 10:00:00","comment":"the only one"}}');
is(sql("SELECT string_agg(concat_ws(' ', order_id, version, comment), '|' ORDER BY order_id) FROM salesdrive.crm_order WHERE account = '$mend' AND order_id > 5"), '6 5 good|7 0 the only one',
	'a version that cannot be read never beats one that can, and rejects no order');
is(sql("SELECT string_agg(order_id || ' ' || text, '|' ORDER BY order_id) FROM salesdrive.order_event WHERE account = '$mend' AND event = 'unreadable'"),
	'6 The version "99999999999999999999" cannot be read and counts as 0: older than any other.'
	. '|7 The version "soon" cannot be read and counts as 0: older than any other. orderTime "01.03.2026" cannot be read: the document gets the date of updateAt, else of the delivery.', 'and it is told');
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE account = '$mend'"), 8, 'each delivery is in the log');

my $many = new_account();
deliver($many, 1, { data => { id => 5, paymentAmount => 10000, products => [ map { { sku => "S$_", amount => 1, price => 1 } } 1 .. 10000 ] } });
is(sql("SELECT line_count FROM salesdrive.crm_order WHERE account = '$many'"), 10000, 'ten thousand lines');

# ---- every order of arrival ends in the same rows

srand(20261124);
sub version_bodies
{
	my ($id) = @_;
	my @set;
	for my $v (1 .. 3)
	{
		my $base = { id => $id, version => $v, orderTime => '2026-03-01 10:00:00', updateAt => sprintf('2026-03-01 10:%02d:00', $v), statusId => $v, paymentAmount => 100 * $v,
			comment => "v$v", products => [ { sku => 'A', amount => $v, price => 100 } ], contacts => [ { id => $v, phone => ["050123456$v"], fName => "N$v" } ] };
		delete $base->{products} if $v == 3;    # a newer version without the block: absent is not empty
		push @set, { data => $base } unless $v == 1;
		push @set, { data => [ { %$base, token => "t$v", shipping_address => 'Київ', primaryContact => { id => $v, phone => "050123456$v", fName => "N$v" } } ] } if $v != 3;
	}
	push @set, { data => { id => $id, version => 2, updateAt => '2026-03-01 10:02:00', statusId => 7, comment => 'other body of version 2' } };
	push @set, { data => { id => $id, version => 2, updateAt => '2026-03-01 10:02:30', statusId => 2, comment => 'later body of version 2' } };
	return @set;
}
my @set = version_bodies(1);
my $reference = new_account();
deliver($reference, 100, @set);
my $expected = rows_of($reference);
is(sql("SELECT version || ' ' || status_id || ' ' || comment || ' ' || payment_amount || ' ' || line_count || ' ' || shipping_address FROM salesdrive.crm_order WHERE account = '$reference'"),
	'3 3 v3 300 1 Київ', 'newest version, absent keys from older ones');
is(sql("SELECT string_agg(contact_no || ':' || phone, ' ') FROM salesdrive.crm_order_contact WHERE account = '$reference'"), '1:380501234563', 'contacts of the newest version alone: no primaryContact of an older one');
is(sql("SELECT phone FROM salesdrive.crm_order WHERE account = '$reference'"), '380501234563', 'and its phone');
is(sql("SELECT amount FROM salesdrive.crm_order_line WHERE account = '$reference'"), 2, 'lines of the newest version that has any');
my $wrong = 0;
for my $round (1 .. 60)
{
	my $account = new_account();
	my @arrival = shuffle(@set, map { $set[ rand @set ] } 1 .. int(rand 4));
	deliver($account, 1 + int(rand 5), @arrival);
	$wrong++ if rows_of($account) ne $expected;
}
is($wrong, 0, '60 random orders of arrival, with duplicates and in batches of any size, end in the same rows');

# the primaryContact of a list row counts within its version and after, until contacts come again
my ($p1, $p2) = (new_account(), new_account());
my @primary = ({ data => { id => 1, version => 1, updateAt => '2026-03-01 10:00:00', contacts => [ { id => 2, phone => '0501234562' } ] } },
	{ data => [ { id => 1, version => 1, updateAt => '2026-03-01 10:00:00', contacts => [ { id => 2, phone => '0501234562' } ], primaryContact => { id => 1, phone => '0501234561' } } ] },
	{ data => { id => 1, version => 2, updateAt => '2026-03-01 10:01:00', comment => 'no contacts' } });
deliver($p1, 1, @primary);
deliver($p2, 1, reverse @primary);
is(sql("SELECT phone FROM salesdrive.crm_order WHERE account = '$p1'"), '380501234561', 'a primaryContact beside the contacts comes first');
is(rows_of($p1), rows_of($p2), 'in any order of arrival');

# one version, two bodies that contradict each other
my $c1 = new_account();
my $c2 = new_account();
my @pair = ({ data => { id => 1, version => 1, updateAt => '2026-03-01 10:00:00', statusId => 1, comment => 'x' } }, { data => [ { id => 1, version => 1, updateAt => '2026-03-01 10:00:00', statusId => '2', comment => 'x', token => 't' } ] });
deliver($c1, 1, @pair);
deliver($c2, 1, reverse @pair);
is(rows_of($c1), rows_of($c2), 'a contradiction is decided the same way either way round');
is(sql("SELECT refetch FROM salesdrive.crm_order WHERE account = '$c1'"), 't', 'and marked for fetching again');
my $c3 = new_account();
deliver($c3, 1, { data => { id => 1, version => 1, payment_method => '6', comment => '', paymentAmount => 5.0 } }, { data => [ { id => 1, version => 1, payment_method => 6, comment => undef, paymentAmount => '5', token => 't' } ] });
is(sql("SELECT refetch FROM salesdrive.crm_order WHERE account = '$c3'"), 'f', 'another spelling of the same is no contradiction');
is(sql("SELECT count(*) FROM salesdrive.task WHERE kind = 'order' AND scope = '$c3'"), 1, 'two deliveries of an order are one task');

is(sql("SELECT salesdrive.foreign_delivery('{\"info\": {\"account\": \"y\"}}', 'https://X.SalesDrive.me') || ' ' || coalesce(salesdrive.foreign_delivery('{\"info\": {\"account\": \"X\"}}', 'https://x.SalesDrive.me'), 'ours')"), 'other_account ours',
	'an address counts in whatever letters');

# numbers that jsonb holds and no sum of them does
my $big = new_account();
sql("SELECT salesdrive.accept_webhook('$big', format('{\"data\": {\"id\": %s, \"version\": 1, \"orderTime\": \"2026-03-01 10:00:00\", \"paymentAmount\": 9e131071, \"payedAmount\": 1e-16000, \"products\": [{\"sku\": \"A\", \"amount\": 9e131071, \"price\": 9e131071}]}}', n)) FROM generate_series(1, 2) n; SELECT salesdrive.ingest(1000)");
is(sql("SELECT sum(orders) || ' ' || coalesce(sum(amount), 0) FROM salesdrive.order_report WHERE account = '$big'"), '2 0', 'a number that nobody can add up does not break the report of all orders');
is(sql("SELECT o.reason || ': ' || o.detail FROM salesdrive.few(salesdrive.obstacles_money(salesdrive.order_keys('$big', 1), salesdrive.document_lines(salesdrive.order_keys('$big', 1), salesdrive.account_settings(ARRAY['$big'])))) o"),
	'line: Line 1 has quantity not a number, price not a number, discount 0.', 'and counts as none');

done_testing();
