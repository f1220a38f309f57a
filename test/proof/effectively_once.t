# Effectively once, in its long form: 10 000 orders, with a base that keeps our keys and with one that does not.

use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Test::More;
use SalesDrive::Proof;

my $orders = $ENV{PROOF_ORDERS} // 10_000;
$ENV{PG_TEST_TIMEOUT_DEFAULT} //= 300;    # one call of the simulator makes all of them
for my $keeps (1, 0)
{
	subtest $keeps ? 'a base that keeps our keys' : 'a base that makes its own' => sub {
		prove_once(name => "long$keeps", orders => $orders, keeps_ref_key => $keeps, rounds => 3, deaths => 12, timeout => 1800);
	};
}

done_testing();
