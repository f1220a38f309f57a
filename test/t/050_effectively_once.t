# Effectively once, in its short form: see SalesDrive::Proof. The long form is `make proof`.

use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Proof;

prove_once(name => 'once', orders => 500, keeps_ref_key => 1, rounds => 1, deaths => 4, per_second => 60, timeout => 600);

done_testing();
