# What SalesDrive is told of documents: their number, by a field or a note, and their address; once, also when it was away.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test;

my $node = new_node('told', preload => 0);
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive', '--config', '{"per_minute": 0, "per_hour": 0, "per_day": 0}');
my $clock = 0;

sub sql { my ($query) = @_; utf8::encode($query) if utf8::is_utf8($query); my $out = $node->safe_psql('postgres', $query); utf8::decode($out); return $out }
sub error_of { my ($query) = @_; my ($rc, $out, $err) = $node->psql('postgres', $query); utf8::decode($err); return $err }
sub run_engine { return sql("SET statement_timeout = '60 s'; CALL salesdrive.run()") }
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
	INSERT INTO salesdrive.account_api (account, retry_base, circuit_after, total_timeout) VALUES ('shop', '1 ms', 1000, '2 s')");
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
is(row(1001)->{nomerBas}, number(1001), 'a number that was taken away there is put back');
edit(1001, statusId => 4);
poll();
poll();
is(scalar(updates(1001)), 2, 'once');

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

is_deeply($bas->control(GET => '/state')->{violations}, [], 'the base reports no violation');
done_testing();
