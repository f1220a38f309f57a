# Objects made in BAS under keys computed here, of every kind: the same answers and the same looks into the base mean the same (44_creations.sql).
# No request leaves: each case puts a creation into the state it is about, and hands an answer to settle().

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql);

my $node = new_node('creations', preload => 0);

sql("SELECT salesdrive.add_infobase('main', 'unf', 'http://127.0.0.1:9/base', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => 'http://127.0.0.1:9', identity => 'demo-shop', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters');
	UPDATE salesdrive.infobase SET total_timeout = '2 min', unsure_margin = '30 s'");

my $OTHER = '8c1f4a10-0001-11ee-8000-000000000001';
my %KIND = (
	counterparty => { table => 'bas_counterparty_phone', key => '380671112233', look => 'find counterparty', taken => 'read counterparties', our => "salesdrive.counterparty_ref_key('380671112233')", hidden => 'counterparty_several', other => 'unseen',
		row => "INSERT INTO salesdrive.bas_counterparty_phone (infobase, phone, state, our_ref_key, checked_at) VALUES ('main', '380671112233', 'absent', OUR, salesdrive.clock())", object => {} },
	product => { table => 'product_creation', key => 'SKU-1', our => "salesdrive.product_ref_key('SKU-1')",
		row => "INSERT INTO salesdrive.product_creation (infobase, sku, name, our_ref_key, account, body, searched_at) VALUES ('main', 'SKU-1', 'Товар', OUR, 'shop', '{}', salesdrive.clock())", object => { 'Артикул' => 'SKU-1' } },
	folder => { table => 'folder_creation', key => 'demo-shop/7', our => "salesdrive.folder_ref_key('demo-shop/7')",
		row => "INSERT INTO salesdrive.folder_creation (infobase, key, account, ids, path, our_ref_key, searched_at) VALUES ('main', 'demo-shop/7', 'shop', '{7}', '{Посуд}', OUR, salesdrive.clock())", object => { Description => 'Посуд', IsFolder => JSON::PP::true() } },
	attribute => { table => 'bas_attribute', key => 'Канал SalesDrive', our => "salesdrive.attribute_ref_key('Канал SalesDrive')",
		row => "INSERT INTO salesdrive.bas_attribute (infobase, name, state, our_ref_key, checked_at) VALUES ('main', 'Канал SalesDrive', 'absent', OUR, salesdrive.clock())", object => { Description => 'Канал SalesDrive' } },
	payment => { table => 'payment_sync', account => 1, key => '17', look => 'read payment', our => "salesdrive.payment_ref_key('demo-shop', 17)", memo => '{"entity": "payment_bank", "essence": {}}', marker => [ 'Комментарий', 'demo-shop/p17' ],
		before => "INSERT INTO salesdrive.crm_payment (account, payment_id, paid_at, sum, type, direction, essence, data, received_at, changed_at, seen_at) VALUES ('shop', 17, now(), 5, 'incoming', 'in', '{\"orders\": {}}', '{}', now(), now(), now()) ON CONFLICT DO NOTHING",
		row => "INSERT INTO salesdrive.payment_sync (account, payment_id, infobase, ref_key, entity, essence, sent_body) VALUES ('shop', 17, 'main', OUR, 'payment_bank', '{}', '{}')", object => { Number => '1', Posted => JSON::PP::false() } },
	followup => { table => 'followup', account => 1, noun => 'sale', key => '17/sale', look => 'read sale', our => "salesdrive.followup_ref_key('sale', 'demo-shop', 17)", marker => [ 'Комментарий', 'sale/demo-shop/17' ],
		row => "INSERT INTO salesdrive.followup (account, order_id, action, infobase, side, posting, reached_at, ref_key, sent_body) VALUES ('shop', 17, 'sale', 'main', 'hand', false, now(), OUR, '{}')", object => { Number => '1', Posted => JSON::PP::false() } });

# Which of the notes stands, and whether others may create: as one word, alike for every kind.
sub noted
{
	my ($k) = @_;
	return sql("SELECT CASE WHEN j ->> 'writing' IS NOT NULL OR (j ->> 'write_unsure')::boolean THEN CASE WHEN (j ->> 'asked_early')::boolean THEN 'early' WHEN j ->> 'unsure_until' IS NULL THEN 'taken' ELSE 'unsure' END
			WHEN (j ->> 'asked_early')::boolean OR j ->> 'unsure_until' IS NOT NULL THEN 'muddled' ELSE 'over' END || CASE WHEN i.creating_task IS NULL THEN ', others may' ELSE '' END || coalesce(CASE WHEN i.keeps_ref_key THEN ', keeps' WHEN NOT i.keeps_ref_key THEN ', keeps not' END, '')
		FROM (SELECT to_jsonb(x) AS j FROM salesdrive.$k->{table} x) x, salesdrive.infobase i");
}
sub until_when { my ($k) = @_; return sql("SELECT unsure_until = '2026-11-20 10:02:30+00' FROM salesdrive.$k->{table}") }
sub next_step { my ($name) = @_; return sql("SELECT concat_ws(' ', s.step, s.purpose, s.reason) FROM salesdrive.task t CROSS JOIN LATERAL salesdrive.plan_$name(ARRAY[t.id]) s WHERE t.kind = '$name'") }
sub task_state { my ($name) = @_; return sql("SELECT concat_ws(' ', state, reason) FROM salesdrive.task WHERE kind = '$name'") }

# state: how far the creation is when the answer comes; purpose: of the request that is answered.
sub answered
{
	my ($name, $k, $state, $purpose, %r) = @_;
	my $columns = { sent => "true, '2026-11-20 11:00+00', false", taken => 'true, NULL, false' }->{$state};
	my $set = $name eq 'followup' ? "(writing, unsure_until, asked_early) = (SELECT CASE WHEN n.u THEN 'create' END, n.t::timestamptz, n.e FROM (VALUES ($columns)) n (u, t, e))" : "(write_unsure, unsure_until, asked_early) = (SELECT n.u, n.t::timestamptz, n.e FROM (VALUES ($columns)) n (u, t, e))";
	my $row = $k->{row} =~ s/\bOUR\b/$k->{our}/r;
	my ($account, $scope, $memo) = ($k->{account} ? ("'shop'", 'shop') : ('NULL', 'main'), $k->{memo} // '{}');
	sql("DELETE FROM salesdrive.task; DELETE FROM salesdrive.wake_pending; DELETE FROM salesdrive.$k->{table}; DELETE FROM salesdrive.bas_product; DELETE FROM salesdrive.bas_good; DELETE FROM salesdrive.bas_counterparty; DELETE FROM salesdrive.goods_snapshot;
		" . ($k->{before} // 'SELECT') . "; $row; UPDATE salesdrive.$k->{table} SET $set;
		INSERT INTO salesdrive.task (scope, kind, key, account, infobase, state, attempt, claimed_wish, purpose, memo, creates) VALUES ('$scope', '$name', '$k->{key}', $account, 'main', 'in_flight', 1, 1, '$purpose', '$memo', false);
		UPDATE salesdrive.infobase SET keeps_ref_key = NULL, creating_task = (SELECT id FROM salesdrive.task)");
	my $body = $r{body} ? json_encode($r{body}) : '';
	utf8::decode($body);
	$body =~ s/'/''/g;
	my $method = $purpose =~ /^create/ ? 'POST' : 'GET';
	sql("SELECT salesdrive.settle(ARRAY[jsonb_populate_record(NULL::salesdrive.http_result, jsonb_strip_nulls(jsonb_build_object('task_id', id, 'attempt', attempt, 'target', infobase, 'method', '$method', 'url', 'http://127.0.0.1:9/base/odata/standard.odata/Set', 'class', '$r{class}',
			'http_status', $r{status}, 'odata_code', nullif('" . ($r{code} // '') . "', ''), 'started_at', '" . ($r{at} // '2026-11-20 10:00+00') . "'::timestamptz, 'ms_queue', 90000, 'body_is_json', " . ($body ne '' ? 'true' : 'false') . ", 'body_bytes', " . length($body) . "))
			|| CASE WHEN '$body' <> '' THEN jsonb_build_object('body', convert_to('$body', 'UTF8')) ELSE '{}' END)]) FROM salesdrive.task");
	return;
}

for my $name (sort keys %KIND)
{
	my $k = $KIND{$name};
	my $noun = $k->{noun} // $name;
	my ($create, $look) = ("create $noun", $k->{look} // "find $noun");
	my $our = sql("SELECT $k->{our}");
	my $taken = $k->{taken} // $look;
	my %own = (%{ $k->{object} }, Ref_Key => $our);
	my $list = sub { return { 'odata.metadata' => 'x', value => [@_] } };

	answered($name, $k, 'sent', $create, class => 'unknown_outcome', status => 'NULL');
	is(noted($k) . ', next: ' . next_step($name), "unsure, next: request $look", "$name: an answer that is lost");
	is(until_when($k), 't', '... counts as absent when the time it may take, and the margin, are over since it left');
	answered($name, $k, 'sent', $create, class => 'ok', status => 201, body => { x => 1 });
	is(noted($k) . ', next: ' . next_step($name), "unsure, next: request $look", "$name: an answer that does not name the object");
	answered($name, $k, 'sent', $create, class => 'business', status => 400, code => '14');
	is(noted($k), 'over, others may', "$name: refused");
	is(task_state($name) =~ /^parked/ ? 'parked' : task_state($name), 'parked', '... and parked');
	answered($name, $k, 'sent', $create, class => 'transient', status => 500, code => '-1');
	is(noted($k), 'over, others may', "$name: an error raised in BAS is not written");
	like(task_state($name), qr/^ready refused/, '... and tried again');
	answered($name, $k, 'sent', $create, class => 'ok', status => 201, body => \%own);
	is(noted($k), 'over, others may, keeps', "$name: made");
	answered($name, $k, 'sent', $create, class => 'ok', status => 201, body => { %own, Ref_Key => $OTHER });
	is(noted($k), 'over, others may, keeps not', "$name: made under another key");
	answered($name, $k, 'sent', $create, class => 'business', status => 400, code => '15');
	is(noted($k) . ', next: ' . next_step($name), "taken, others may, next: request $taken", "$name: error 15: what our key holds is looked at");

	answered($name, $k, 'sent', $look, class => 'ok', status => 200, body => $list->());
	is(noted($k), 'early', "$name: not there, and it may still be at work");
	sql("UPDATE salesdrive.$k->{table} SET unsure_until = salesdrive.clock() + interval '1 min'");
	is(next_step($name), 'wait unsure', '... is waited for');
	sql("UPDATE salesdrive.$k->{table} SET unsure_until = salesdrive.clock() - interval '1 s'");
	is(next_step($name), "request $look", '... and looked for again');
	answered($name, $k, 'sent', $look, class => 'ok', status => 200, body => $list->(), at => '2026-11-20 11:00+00');
	is(noted($k), 'over, others may', "$name: not there after that");
	answered($name, $k, 'sent', $look, class => 'ok', status => 200, body => $list->(\%own));
	is(noted($k), 'over, others may, keeps', "$name: found under our key");
	if ($k->{marker})
	{
		answered($name, $k, 'sent', $look, class => 'ok', status => 200, body => $list->({ %own, Ref_Key => $OTHER, $k->{marker}[0] => $k->{marker}[1] }));
		is(noted($k), 'over, others may, keeps not', "$name: found by its marker under another key");
	}
	if ($name ne 'counterparty')    # it is read by its key then: 030_order.t
	{
		answered($name, $k, 'taken', $look, class => 'ok', status => 200, body => $list->());
		is(noted($k) . ': ' . task_state($name), 'over, others may: parked hidden_in_bas', "$name: error 15, and not shown: parked, not tried for ever");
	}
	answered($name, $k, 'sent', $look, class => 'transient', status => 'NULL');
	is(noted($k) . ', next: ' . next_step($name), "unsure, next: request $look", "$name: a look that fails says nothing");
}

# While it may be at work it holds up other creations, also when it cannot go on itself.
for my $name (sort keys %KIND)
{
	my $k = $KIND{$name};
	answered($name, $k, 'sent', $k->{look} // 'find ' . ($k->{noun} // $name), class => 'transient', status => 'NULL');
	sql("UPDATE salesdrive.task SET state = 'parked'");
	is(sql("UPDATE salesdrive.$k->{table} SET unsure_until = salesdrive.clock() + interval '1 min'; SELECT salesdrive.creation_unsure(t) FROM salesdrive.task t"), 't', "$name: holds up others while it may be at work");
	is(sql("UPDATE salesdrive.$k->{table} SET unsure_until = salesdrive.clock() - interval '1 s'; SELECT salesdrive.creation_unsure(t) FROM salesdrive.task t"), 'f', '... and not after');
}

# What the base of this copy did not have when the copy was taken, the original may have made since.
for my $name (sort keys %KIND)
{
	my $k = $KIND{$name};
	answered($name, $k, 'sent', $k->{look} // 'find ' . ($k->{noun} // $name), class => 'ok', status => 200, body => { 'odata.metadata' => 'x', value => [] }, at => '2026-11-20 11:00+00');
	sql('SELECT salesdrive.adopt()');
	is(next_step($name), 'request ' . ($k->{look} // "find $name"), "$name: looked for after adopt(), before it is made") if $name ne 'payment';    # by its date: 040_dump_restore.t
}

$node->stop;
done_testing();
