# SalesDrive tells local times without a zone: in the night of October one hour comes twice, in that of March one is missing. No change is missed by
# polling, none counts twice, and documents carry the wall clock.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::Local qw(timelocal);
use SalesDrive::Test qw(:DEFAULT sql run_engine);

my $node = new_node('local_time', preload => 0);
my $bas = start_peer('bas');
my $picked = '8c1f4a10-00f4-11ee-8000-0000000000b1';
my $crm = start_peer('salesdrive', '--config', '{"per_minute": 0, "per_hour": 0, "per_day": 0}');

# Sets both clocks to an instant; the wall clock of SalesDrive follows it.
sub at
{
	my ($instant) = @_;
	sql("ALTER DATABASE postgres SET salesdrive.clock_offset = '" . sql("SELECT extract(epoch FROM timestamptz '$instant' - now())") . " s'");
	$crm->control(POST => '/config', { clock => sql("SELECT to_char(timestamptz '$instant' AT TIME ZONE 'Europe/Kyiv', 'YYYY-MM-DD HH24:MI:SS')") });
	return;
}
sub fetch { sql("SELECT salesdrive.fetch_orders('shop')"); run_engine(); return }
sub comment { my ($id) = @_; return sql("SELECT comment FROM salesdrive.crm_order WHERE order_id = $id") }
sub versions { return sql('SELECT count(*) FROM salesdrive.crm_order_version') }
sub date_in_bas { my ($id) = @_; return sql("SELECT read_body ->> 'Date' FROM salesdrive.bas_order WHERE order_id = $id") }
sub deliver
{
	my ($id, $time, %o) = @_;
	my $body = json_encode({ data => { id => $id, version => $o{version} // 1, orderTime => $time, updateAt => $o{update_at} // $time, paymentAmount => 120, comment => $o{comment} // 'зразок',
		contacts => [ { fName => 'Зразок', phone => '0671000001' } ], products => [ { sku => 'SKU-0001', amount => 1, price => 120 } ] } });
	utf8::decode($body);
	sql("SELECT salesdrive.accept_webhook('shop', '$body')");
	return run_engine();
}

sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'shop')");

$crm->control(POST => '/orders', { count => 30, seed => 3, first_id => 1001, from => '2026-03-20 08:00:00', days => 2, plain => 1 });
at('2026-03-28 20:00+00');
sql("SELECT salesdrive.pause_infobase('main', 'only SalesDrive here'); SELECT salesdrive.fetch_orders('shop', '2026-03-01')");
run_engine();
is(sql('SELECT count(*) FROM salesdrive.crm_order'), 30, 'all orders are here');
fetch();

# ---- polling over the night of March: 03:00 to 04:00 is missing

at('2026-03-29 00:58:00+00');
fetch();
at('2026-03-29 01:00:30+00');
is(sql("SELECT to_char(salesdrive.clock() AT TIME ZONE 'Europe/Kyiv', 'HH24:MI')"), '04:00', 'the clock jumps');
$crm->control(POST => '/edit', { id => 1029, data => { comment => 'після стрибка' } });
at('2026-03-29 01:02:00+00');
fetch();
is(comment(1029), 'після стрибка', 'what is changed right after it is read');

# ---- and over that of October: 03:00 to 04:00 comes twice, at 00:00 and at 01:00 UTC

at('2026-10-24 20:00+00');
fetch();
my $known = versions();
my $n = 1001;
my @night = map { [ sprintf('2026-10-25 %02d:%02d:00+00', int($_ / 60), $_ % 60), $n++ ] } map { $_ * 10 + 3 } 0 .. 23;    # each ten minutes from 00:03 to 03:53 UTC
for my $edit (@night)
{
	at($edit->[0]);
	$crm->control(POST => '/edit', { id => $edit->[1], data => { comment => "о $edit->[0]" } });
	at(sql("SELECT timestamptz '$edit->[0]' + interval '4 min'"));
	fetch() if $edit->[0] !~ / 01:/;    # between 00:57 and 02:07 nobody polls: then times of the second hour lie before the last poll
}
is(join(' ', grep { comment($_->[1]) ne "о $_->[0]" } @night), '', 'every edit of the night was read');
is(versions() - $known, scalar @night, 'and each once');
at('2026-10-25 06:00:00+00');
fetch();
is(versions() - $known, scalar @night, 'after the night nothing is new');

# ---- documents carry the wall clock, whatever it means

sql("SELECT salesdrive.skip('shop', o.order_id, 'not of this part') FROM salesdrive.crm_order o; SELECT salesdrive.unpause_infobase('main')");
at('2026-10-25 07:00+00');
deliver(1, '2026-10-25 03:30:00');
deliver(2, '2026-10-25 02:59:59');
deliver(3, '2026-10-25 00:00:00');
deliver(4, '2026-03-29 03:30:00');
deliver(5, '2026-10-24 23:59:59');
is(join(' ', map { date_in_bas($_) } 1 .. 5), '2026-10-25T03:30:00 2026-10-25T02:59:59 2026-10-25T00:00:00 2026-03-29T03:30:00 2026-10-24T23:59:59',
	'the hour that comes twice, midnight, the hour that is missing: the day and the hour of the shop');
for my $zone ('America/New_York', 'UTC') { sql("ALTER DATABASE postgres SET timezone = '$zone'"); deliver(6, '2026-10-25 03:45:00', version => $zone eq 'UTC' ? 2 : 1, comment => $zone) }
is(date_in_bas(6), '2026-10-25T03:45:00', 'whatever the time zone of the session');
is(sql("SELECT read_body ->> 'Комментарий' FROM salesdrive.bas_order WHERE order_id = 6"), 'UTC', 'and an edit changes no date');
is(sql("SELECT count(*) FROM salesdrive.exchange_log WHERE order_id = 6 AND method = 'PATCH' AND request_body ~ 'Date'"), 0, 'nor writes it');

# ---- the version decides, not the time: the second of these hours is later, and looks earlier

deliver(7, '2026-10-25 03:50:00', version => 1, update_at => '2026-10-25 03:50:00', comment => 'перша третя година');
deliver(7, '2026-10-25 03:50:00', version => 2, update_at => '2026-10-25 03:10:00', comment => 'друга третя година');
is(comment(7), 'друга третя година', 'a newer version with an earlier local time wins');
deliver(7, '2026-10-25 03:50:00', version => 1, update_at => '2026-10-25 03:55:00', comment => 'запізніла');
is(comment(7), 'друга третя година', 'an older version with a later one does not');

# ---- the same night a year later: nobody asks from before the hour is put back until long after

sub bas_at { my ($instant) = @_; at($instant); return $bas->control(POST => '/config', { clock_offset_s => timelocal(reverse(split /\D/, sql("SELECT to_char(timestamptz '$instant' AT TIME ZONE 'Europe/Kyiv', 'YYYY MM DD HH24 MI SS')") =~ s/^(\d+) (\d+)/$1 . ' ' . ($2 - 1)/er)) - time }) }
sub user_sets { my ($id, $status) = @_; return $bas->control(POST => '/edit', { set => 'Document_ЗаказПокупателя', key => sql("SELECT bas_ref FROM salesdrive.order_sync WHERE order_id = $id"), properties => { 'СостояниеЗаказа' => $status, 'СостояниеЗаказа_Type' => 'StandardODATA.Catalog_СостоянияЗаказовПокупателей' } }) }
sub pull { sql("SELECT salesdrive.pull_statuses('main')"); return run_engine() }
sub held { my ($id) = @_; return sql("SELECT read_body ->> 'СостояниеЗаказа' = '$picked' FROM salesdrive.bas_order WHERE order_id = $id") }
bas_at('2027-10-31 00:50:00+00');
user_sets(1, $picked);
bas_at('2027-10-31 00:57:00+00');
fetch();
pull();
is(held(1), 't', 'a status set in BAS in the first of these hours is read');
bas_at('2027-10-31 01:20:00+00');
$crm->control(POST => '/edit', { id => 1025, data => { comment => 'у другій третій годині' } });
user_sets(2, $picked);
bas_at('2027-10-31 01:22:00+00');
pull();
is(held(2), 't', 'one set in the second, too, though its time is less than what was seen');
bas_at('2027-10-31 01:40:00+00');
user_sets(3, $picked);
bas_at('2027-10-31 04:30:00+00');
fetch();
pull();
is(comment(1025), 'у другій третій годині', 'what was changed in SalesDrive then is read, whenever the next poll comes');
is(held(3), 't', 'so is what was changed in BAS');

# ---- how far back the first reading goes, and one that begins anew

bas_at('2027-11-01 10:00:00+00');
user_sets(5, $picked);
bas_at('2027-11-20 10:00:00+00');
user_sets(6, $picked);
sql('DELETE FROM salesdrive.status_poll');
pull();
is(held(5), 't', 'the first reading goes back a month');
sql("UPDATE salesdrive.bas_order SET read_body = read_body || '{\"СостояниеЗаказа\": \"\"}', data_version = 'older', read_at = salesdrive.clock() - interval '1 hour' WHERE order_id = 5");
bas_at('2027-11-20 12:00:00+00');
pull();
is(held(5), 'f', 'the next ones begin where the last one ended');
sql("SELECT salesdrive.pull_statuses('main', days => 10)");
run_engine();
is(held(5), 'f', 'or so many days back as asked for');
sql("SELECT salesdrive.pull_statuses('main', days => 25)");
run_engine();
is(held(5), 't', 'however many');

# ---- a document that was read while the clock of this server was ahead is no newer than what is read now

is(sql("BEGIN; UPDATE salesdrive.bas_order SET read_at = salesdrive.clock() + interval '1 hour', sent_at = salesdrive.clock() + interval '1 hour' WHERE order_id = 4;
	SELECT salesdrive.note_documents_seen('main', 'unf', (SELECT jsonb_build_array(read_body || '{\"DataVersion\": \"later\", \"СостояниеЗаказа\": \"$picked\"}') FROM salesdrive.bas_order WHERE order_id = 4), salesdrive.clock());
	SELECT read_body ->> 'СостояниеЗаказа' = '$picked' FROM salesdrive.bas_order WHERE order_id = 4; ROLLBACK") =~ s/\s//gr, 't', 'a time to come does not count');

done_testing();
