# A day without BAS, hours of it without SalesDrive, in its short form: see SalesDrive::Outage. The long form is `make proof`.

use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Outage;

survive_outage(name => 'outage', orders => 300, steps => 24, timeout => 60);

done_testing();
