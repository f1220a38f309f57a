# A base that does not keep our Ref_Key: the marker stands in for the key, also when the very first answer is the one that is lost;
# while it is unknown, one creation at a time.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test;

my $node = new_node('foreign', preload => 0);
my $db = 'postgres';

sub sql { my ($query) = @_; utf8::encode($query) if utf8::is_utf8($query); my $out = $node->safe_psql($db, $query); utf8::decode($out); return $out }
sub deliver { my ($id, $phone, $version) = @_;
	$version //= 1;
	return sql("SELECT salesdrive.accept_webhook('shop', '{\"data\":{\"id\":$id,\"version\":$version,\"orderTime\":\"2026-11-20 10:00:00\",\"updateAt\":\"2026-11-20 10:0$version:00\",\"paymentAmount\":100,\"comment\":\"v$version\",\"contacts\":[{\"fName\":\"N$id\",\"phone\":\"$phone\"}],\"products\":[{\"sku\":\"SKU-0001\",\"amount\":1,\"price\":100}]}}')") }
sub settled { return sql("SELECT count(*) FROM salesdrive.order_status WHERE state <> 'synced'") eq '0' }
sub run_until_settled { my ($what) = @_; return ok(wait_for($what, sub { sql('CALL salesdrive.run()'); settled() }), $what) }
sub set_up
{
	my ($bas) = @_;
	my $url = $bas->url('/base');
	sql("SELECT salesdrive.add_infobase('main', 'unf', '$url', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters');
		UPDATE salesdrive.infobase SET retry_base = '1 ms', unsure_margin = '100 ms', total_timeout = '1 s', circuit_after = 1000, max_connections = 4");
}
sub fresh_database { my ($name) = @_; $node->safe_psql('postgres', "CREATE DATABASE $name"); $db = $name; sql('CREATE EXTENSION salesdrive') }

for my $keeps (0, 1)
{
	my $word = $keeps ? 'keeps' : 'does not keep';
	for my $lost (qw(none order counterparty))
	{
		my $bas = start_peer('bas', '--config', $keeps ? '{"keeps_ref_key": true}' : '{"keeps_ref_key": false}');
		fresh_database("d_${keeps}_$lost");
		set_up($bas);
		my $set = { order => 'Document_ЗаказПокупателя$', counterparty => 'Catalog_Контрагенты$' }->{$lost};
		# a known customer, so that the order's POST is the first creation of all
		my $phone = $lost eq 'order' ? '0671000001' : '0631112233';
		$bas->control(POST => '/faults', { method => 'POST', path => $set, action => 'reset_after', times => 1 }) if $set;
		deliver($_, $phone) for 1 .. 6;
		run_until_settled("base $word keys, first lost answer: $lost: all orders arrive");
		my $state = $bas->control(GET => '/state?full=1');
		is($state->{documents}{count}, 6, 'each exactly once');
		is_deeply($state->{violations}, [], 'nothing is double');
		is($state->{counterparties}{created}, $lost eq 'order' ? 0 : 1, 'one counterparty for the phone');
		is(sql('SELECT keeps_ref_key FROM salesdrive.infobase'), $keeps ? 't' : 'f', 'and it was learned whether the base keeps keys');
		is(sql("SELECT count(*) FROM salesdrive.order_sync WHERE bas_ref = ref_key"), $keeps ? 6 : 0, 'documents are known by the key they have');
		my $markers = sql("SELECT count(*) FROM salesdrive.bas_order WHERE sent_body ->> 'НомерВходящегоДокумента' = 'demo-shop/' || order_id");
		$keeps ? cmp_ok($markers, '<=', 1, 'plain digits once it is known') : is($markers, 6, 'every document carries its marker');
		deliver(3, $phone, 2);
		run_until_settled('an edit finds its document');
		is($bas->control(GET => '/state')->{documents}{count}, 6, 'and makes no other');
	}
}

# a write that BAS does only after the request was given up: its absence must not count too early
{
	my $bas = start_peer('bas', '--config', '{"keeps_ref_key": false}');
	fresh_database('d_late');
	set_up($bas);
	sql("UPDATE salesdrive.infobase SET unsure_margin = '3 s'");
	deliver(1, '0671000001');
	run_until_settled('a first order');
	# done late: when it was given up, and was looked for and not found
	$bas->control(POST => '/faults', [ { method => 'POST', path => 'Document_ЗаказПокупателя$', action => 'hold', times => 1 }, { method => 'GET', path => 'Document_ЗаказПокупателя', action => 'release' } ]);
	deliver(2, '0671000001');
	run_until_settled('an order whose creation is done late');
	is($bas->control(GET => '/state')->{documents}{count}, 2, 'is not made twice');
	is(sql("SELECT string_agg(purpose, ', ' ORDER BY id) FROM salesdrive.exchange_log WHERE order_id = 2 AND direction = 'out'"), 'create order, read order, read order', 'absence seen early is asked for again when it counts');

	# the same for a change, and the order goes back to what it was meanwhile
	$bas->control(DELETE => '/faults');
	$bas->control(POST => '/faults', [ { method => 'PATCH', action => 'hold', times => 1 }, { method => 'GET', path => 'Document_ЗаказПокупателя', action => 'release' } ]);
	deliver(2, '0671000001', 2);
	ok(wait_for('the change to be given up', sub { sql('CALL salesdrive.run()'); sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 2 AND class = 'unknown_outcome'") eq '2' }), 'a change without an answer');
	sql("SELECT salesdrive.accept_webhook('shop', '{\"data\":{\"id\":2,\"version\":3,\"orderTime\":\"2026-11-20 10:00:00\",\"updateAt\":\"2026-11-20 10:09:00\",\"paymentAmount\":100,\"comment\":\"v1\",\"contacts\":[{\"fName\":\"N2\",\"phone\":\"0671000001\"}],\"products\":[{\"sku\":\"SKU-0001\",\"amount\":1,\"price\":100}]}}')");
	run_until_settled('and a newer version that takes it back');
	my ($document) = grep { $_->{reference} eq 'demo-shop/2' } @{ $bas->control(GET => '/state?full=1')->{documents}{list} };
	my $kept = sql("SELECT read_body ->> 'Комментарий' FROM salesdrive.bas_order WHERE order_id = 2");
	is($bas->control(GET => "/objects?set=Document_%D0%97%D0%B0%D0%BA%D0%B0%D0%B7%D0%9F%D0%BE%D0%BA%D1%83%D0%BF%D0%B0%D1%82%D0%B5%D0%BB%D1%8F&key=$document->{Ref_Key}")->{value}[0]{'Комментарий'} // $kept, 'v1', 'ends in the newest version, not in the late one');
}

# the same for a counterparty whose phone stands on a card marked for deletion
{
	my $bas = start_peer('bas', '--config', '{"keeps_ref_key": false}');
	fresh_database('d_late_card');
	set_up($bas);
	sql("UPDATE salesdrive.infobase SET unsure_margin = '3 s'");
	$bas->control(POST => '/load', { 'Catalog_Контрагенты' => [ { Ref_Key => '00000000-0000-4000-8000-000000000001', Description => 'Стара картка', DeletionMark => JSON::PP::true(),
		'КонтактнаяИнформация' => [ { LineNumber => 1, 'Тип' => 'Телефон', 'Представление' => '063 111 22 33', 'НомерТелефона' => '380631112233' } ] } ] });
	$bas->control(POST => '/faults', [ { method => 'POST', path => 'Catalog_Контрагенты$', action => 'hold', times => 1 }, { method => 'GET', path => 'Catalog_Контрагенты', action => 'release' } ]);
	deliver(1, '0631112233');
	run_until_settled('a counterparty whose creation is done late, beside a deleted card');
	is($bas->control(GET => '/state')->{counterparties}{created}, 1, 'is not made twice');
	is(sql("SELECT string_agg(purpose, ', ' ORDER BY id) FROM salesdrive.exchange_log WHERE kind = 'counterparty' AND purpose LIKE 'create%'"), 'create counterparty', 'nor tried');
	is(sql("SELECT count(*) FROM salesdrive.bas_counterparty_phone WHERE state = 'known' AND unsure_until IS NULL"), 1, 'and known when it is seen');
}

# while it is unknown, an order that cannot go on holds up the others only as long as its creation may be at work
{
	my $bas = start_peer('bas', '--config', '{"keeps_ref_key": true}');
	fresh_database('d_holder');
	set_up($bas);
	sql("SELECT salesdrive.add_account(name => 'other', url => 'https://other.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters')");
	$bas->control(POST => '/faults', { method => 'POST', path => 'Document_ЗаказПокупателя$', action => 'reset_before', times => 1 });
	deliver(1, '0671000001');
	ok(wait_for('the creation to be lost', sub { sql('CALL salesdrive.run()'); sql('SELECT asked_early FROM salesdrive.order_sync WHERE order_id = 1') eq 't' }), 'a first creation without an answer');
	sql("SELECT salesdrive.pause('shop', 'stocktaking')");
	ok(wait_for('its absence to count', sub { sql('SELECT unsure_until < salesdrive.clock() FROM salesdrive.order_sync') eq 't' }), 'its account is paused until absence counts');
	is(sql('SELECT count(*) FROM salesdrive.infobase i JOIN salesdrive.task t ON t.id = i.creating_task'), 1, 'it is the one that may create');
	sql("SELECT salesdrive.accept_webhook('other', '{\"data\":{\"id\":2,\"version\":1,\"orderTime\":\"2026-11-20 10:00:00\",\"paymentAmount\":100,\"contacts\":[{\"phone\":\"0671000001\"}],\"products\":[{\"sku\":\"SKU-0001\",\"amount\":1,\"price\":100}]}}')");
	sql('CALL salesdrive.run()');
	is(sql('SELECT state FROM salesdrive.order_status WHERE order_id = 2'), 'synced', 'an order of another account passes it');
	sql("SELECT salesdrive.unpause('shop')");
	run_until_settled('and it goes on when it may');
	is($bas->control(GET => '/state')->{documents}{count}, 2, 'two orders, two documents');
}

# one creation at a time while it is unknown
my $bas = start_peer('bas', '--config', '{"keeps_ref_key": false, "latency_ms": 50}');
fresh_database('d_gate');
set_up($bas);
deliver($_, '0671000001') for 1 .. 8;
run_until_settled('eight orders in a base whose habits are unknown');
is($bas->control(GET => '/state')->{documents}{count}, 8, 'eight documents');
my $overlap = sql("WITH w AS (SELECT at, at + make_interval(secs => ms_total / 1000.0) AS till FROM salesdrive.exchange_log WHERE method = 'POST' AND direction = 'out' ORDER BY at LIMIT 2)
	SELECT (SELECT min(till) FROM w) > (SELECT max(at) FROM w)");
is($overlap, 'f', 'the second creation waited for the answer to the first');

done_testing();
