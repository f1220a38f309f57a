# A day without BAS, hours of it without SalesDrive, in its long form: 5 000 orders, steps of ten minutes.

use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Test::More;
use SalesDrive::Outage;

survive_outage(name => 'long', orders => $ENV{PROOF_OUTAGE_ORDERS} // 5000, steps => 144, timeout => 1500);

done_testing();
