# Several accounts and several bases side by side: order numbers overlap, customers share phones; each order has one document, in its base, and each
# base one counterparty for each phone. What stops one base, or one account, stops no other.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql run_engine);

my $node = new_node('several', preload => 0);
my @bas = (start_peer('bas'), start_peer('bas', '--config', '{"keeps_ref_key": false}'));
my $DOCUMENT = 'Document_ЗаказПокупателя';

sub documents { my ($n) = @_; return @{ $bas[$n]->control(GET => '/state?full=1')->{documents}{list} } }
sub states { my ($account) = @_; return sql("SELECT string_agg(DISTINCT state, ' ') FROM salesdrive.order_status WHERE account = '$account'") }
sub deliver
{
	my ($account, $id, %o) = @_;
	my $phone = delete $o{phone} // sprintf '06720000%02d', $id % 5;
	my $price = 100 + length($account) + $id;
	my $body = json_encode({ data => { id => $id, version => 1, orderTime => '2026-11-20 10:00:00', paymentAmount => $price, comment => "$account $id", contacts => [ { fName => 'Зразок', phone => $phone } ],
		products => [ { sku => 'SKU-0001', amount => 1, price => $price } ], %o } });
	utf8::decode($body);
	return sql("SELECT salesdrive.accept_webhook('$account', '$body')");
}

# one, two and three accounts: alpha and beta go to the first base, gamma and delta to the second
my %base = (alpha => 0, beta => 0, gamma => 1, delta => 1);
sql("SELECT salesdrive.add_infobase('base$_', 'unf', '" . $bas[$_]->url('/base') . "', 'Обмен', 'secret')") for 0, 1;
sql("SELECT salesdrive.add_account(name => '$_', url => 'http://127.0.0.1:9', identity => '$_-shop', api_key => 'k', infobase => 'base$base{$_}', webhook_token => 'a-token-of-24-characters')") for sort keys %base;

for my $id (1 .. 12) { deliver($_, $id) for sort keys %base }
run_engine();

is(states($_), 'synced', "all orders of $_ are right") for sort keys %base;
for my $n (0, 1)
{
	my @documents = documents($n);
	is(scalar @documents, 24, "base $n has one document for each order of its two accounts");
	my %comment = map { $_->{comment} => $_ } @documents;
	is(join(' ', grep { !$comment{$_} } map { my $a = $_; map { "$a $_" } 1 .. 12 } grep { $base{$_} == $n } sort keys %base), '', 'and they are those');
	# in the base that keeps keys the customer reference is the plain number, which two accounts share
	is(json_encode([ grep { $_->{kind} ne 'duplicate_reference' } @{ $bas[$n]->control(GET => '/state?full=1')->{violations} } ]), '[]', 'with the sums of their own lines');
	my $parties = $bas[$n]->control(GET => '/state?full=1')->{counterparties};
	is($parties->{created}, 5, 'and one counterparty for each of the five phones, which the accounts share');
}
is(sql("SELECT count(DISTINCT bas_ref) FROM salesdrive.order_status"), 48, 'no two orders have one key');
is(sql("SELECT string_agg(name || ' ' || keeps_ref_key, ', ' ORDER BY name) FROM salesdrive.infobase"), 'base0 true, base1 false', 'each base is known for what it does with keys');
is(sql("SELECT count(*) FROM salesdrive.order_status s JOIN salesdrive.bas_order b ON b.ref_key = s.bas_ref AND b.infobase = 'base' || CASE WHEN s.account IN ('alpha', 'beta') THEN 0 ELSE 1 END AND b.account = s.account"), 48, 'each document is known in its own base');

# ---- one base stands still, the other goes on

$bas[0]->control(POST => '/faults', { action => 'unavailable' });
sql("UPDATE salesdrive.infobase SET total_timeout = '5 s', unsure_margin = '0' WHERE name = 'base0'");    # a write without an answer counts as not done soon
deliver($_, 20) for sort keys %base;
sql("UPDATE salesdrive.infobase SET circuit_after = 1, circuit_pause = '1 h' WHERE name = 'base0'");
run_engine();
is(sql("SELECT string_agg(account || ' ' || state, ', ' ORDER BY account) FROM salesdrive.order_status WHERE order_id = 20"), 'alpha waiting, beta waiting, delta synced, gamma synced', 'a base that is down holds up its own orders only');
$bas[0]->control(DELETE => '/faults');
sql("UPDATE salesdrive.infobase SET circuit_failures = 0, circuit_open_until = NULL; UPDATE salesdrive.task SET run_at = salesdrive.clock()");
ok(wait_for('its orders', sub { run_engine(); sql("SELECT string_agg(DISTINCT state, ' ') FROM salesdrive.order_status WHERE order_id = 20") eq 'synced' }), 'and they go when it is back');

# ---- one account is paused, or has other settings

sql("SELECT salesdrive.pause('alpha', 'stocktaking'); UPDATE salesdrive.account SET posting = true WHERE name = 'gamma'");
deliver($_, 21) for sort keys %base;
run_engine();
is(sql("SELECT string_agg(account || ' ' || state || ' ' || coalesce(posted::text, '-'), ', ' ORDER BY account) FROM salesdrive.order_status WHERE order_id = 21"),
	'alpha paused -, beta synced false, delta synced false, gamma synced true', 'a pause and a switch are those of one account');
sql("SELECT salesdrive.unpause('alpha')");
run_engine();
is(states('alpha'), 'synced', 'the paused one goes on');
sql("SELECT salesdrive.skip('beta', 21, 'test'); SELECT salesdrive.resend('delta', 21)");
run_engine();
is(sql("SELECT string_agg(account || ' ' || state, ', ' ORDER BY account) FROM salesdrive.order_status WHERE order_id = 21"), 'alpha synced, beta skipped, delta synced, gamma synced', 'what is done to an order is done to that of one account');

# ---- an account of each base gets the edits of its own order

deliver('alpha', 1, version => 2, updateAt => '2026-11-20 11:00:00', comment => 'alpha changed');
run_engine();
is(scalar(grep { $_->{comment} eq 'alpha changed' } documents(0)), 1, 'an edit changes one document');
is(scalar(grep { $_->{comment} =~ /^(?:beta|gamma|delta) 1$/ } documents(0), documents(1)), 3, 'and none of the others with its number');

done_testing();
