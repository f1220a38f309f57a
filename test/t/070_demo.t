# make demo: what it shows, that it can be run again, and that make demo-stop leaves nothing behind.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Cwd qw(realpath);
use Encode qw(decode_utf8);
use IPC::Run qw(start finish);
use Test::More;
use SalesDrive::Test;
use PostgreSQL::Test::Utils;

my $work = realpath(PostgreSQL::Test::Utils::tempdir_short()) . '/demo';
my $top = realpath(tree());
$ENV{DEMO_WORK} = $work;

# PostgreSQL in a directory with the name of this project, as a checkout is called.
{
	my $tree = "$ENV{TEST_WORK}/pg";
	my $named = realpath(PostgreSQL::Test::Utils::tempdir_short()) . '/salesdrive';
	mkdir $named or die "$named: $!";
	system('cp', '-a', $tree, $named) == 0 or die "cannot copy $tree";
	$ENV{PG_CONFIG} = $ENV{PG_CONFIG} =~ s/^\Q$tree\E/$named\/pg/r;
}

# Status and output of a target of the Makefile.
sub make
{
	my ($target) = @_;
	my ($out, $err) = ('', '');
	my $run = start [ 'make', '-s', '-C', $top, $target ], '<', '/dev/null', '>', \$out, '2>', \$err, IPC::Run::timeout(800);
	if (!eval { finish $run; 1 })
	{
		$run->kill_kill;
		die $@;
	}
	my $status = $run->result(0);
	diag($out, $err) if $status;
	return ($status, decode_utf8($out), decode_utf8($err));
}

# Processes whose program or arguments are in the work directory.
sub running
{
	my @found;
	for my $process (glob '/proc/[0-9]*')
	{
		my $program = readlink "$process/exe" // next;
		my $arguments = eval { slurp_file("$process/cmdline") } // '';
		push @found, "$process $program $arguments" if $process ne "/proc/$$" && index("$program\0$arguments", "$work/") >= 0;
	}
	return join "\n", @found;
}

# The rows of the table of orders: state => number.
sub states
{
	my ($out) = @_;
	my %n;
	$n{$1}++ while $out =~ /^ 1000\d\d │ [^│]* │ +[\d.]+ │ [^│]* │ [^│]{36} │ (\w+) +│ +\d+ *$/mg;
	return \%n;
}

sub shows_all
{
	my ($out, $run) = @_;
	is_deeply(states($out), { synced => 18, parked => 2 }, "$run: of 20 orders 18 are synced and 2 parked");
	like($out, qr/orders 20: waiting 0, in flight 0, synced 18, parked 2$/m, "$run: progress ends there");
	like($out, qr/^reason │ sum\ndetail │ The lines add up to [\d.]+, paymentAmount is [\d.]+: .*\nhint   │ \w/m, "$run: a wrong sum is parked with both figures and a hint");
	like($out, qr/^reason │ product_unknown\ndetail │ .*"NO-SUCH-\d+".*\nhint   │ [^─]*product_pin/m, "$run: an unknown SKU is parked with a hint");
	like($out, qr/^INSERT INTO salesdrive\.product_pin .*^ 1000\d\d │ +[\d.]+ │ \S+ +│ synced  │ .*^ 1000\d\d │ +[\d.]+ │ +│ skipped │/ms, "$run: one is repaired and goes on, the other is skipped");
	like($out, qr/^ 1000\d\d │ [\d:]+ │ changed +│ Document \S+ changed: СостояниеЗаказа .*^ 1000\d\d │ [\d:]+ │ crm_changed │ SalesDrive: statusId 2 → 5 \(status\)\./ms, "$run: a status travels each way");
	like($out, qr/│ received +│ Version \d+ received \(list\)\. .*│ changed +│ Document \S+ changed: Комментарий /s, "$run: an edit is found by the API");
	like($out, qr/│ sum_told +│ Document \S+ its comment tells that its sum is 1234\.50\..*│ comment +│ … Увага, змінена сума замовлення – 1234\.50 грн\. │ sum +│ (sent|held)/s, "$run: a sum changed in BAS is told on both sides");
	like($out, qr/^ card +│ done +│ .*^ stock │ done +│ +\d+ │ +\d+ │ +[1-9]\d* │ +0 │ .*^ price │ done +│ /ms, "$run: cards, stock and prices are pushed");
	like($out, qr/^ SKU-0004 +│ +29 │ +50\.45 │ /m, "$run: as the registers of the base have them");
	like($out, qr/^ from_bas │ +502 │ НФНФ-000077 │ +([\d.]+) │ 1000\d\d │ sent *\n to_bas +│ +501 │ \S+ │ +([\d.]+) │ 1000\d\d │ made\b/m, "$run: a payment travels each way");
	is(scalar(() = $out =~ /^ 1000\d\d │ .* │ 0\.00\s*$/mg), 2, "$run: and both orders are paid");
	like($out, qr/in webhook.*out create order.*created.*out change order.*changed/s, "$run: the timeline of an order");
	like($out, qr/│ all is well │/, "$run: check() finds nothing wrong");
	my ($sum) = $out =~ /^ orders synced here +│ +19 │ +([\d.]+) │ +19$/m;
	ok(defined $sum, "$run: 19 orders are synced and posted in the end");
	like($out, qr/^ \Q$_\E +│ +19 │ +\Q$sum\E │ +19$/m, "$run: $_") for 'documents in BAS', 'the same Ref_Key, number and sum';
	like($out, qr/^Violations .*: none$/m, "$run: the base finds no violation");
	return;
}

END
{
	local $?;
	system('make', '-s', '-C', $top, 'demo-stop') if defined $work && -d $work;
}

my ($status, $out, $err) = make('demo');
is($status, 0, 'make demo');
is($err, '', 'without complaints');
shows_all($out, 'first run');
is(join("\n", grep { length > 120 } split /\n/, $out =~ s/^(psql|webhook|server log) .*$//mgr), '', 'no line is wider than 120 characters');
isnt(running(), '', 'the servers stay up');

my ($psql) = $out =~ /^psql +(\S.*)$/m;
is(qx{$psql -XAtc "SELECT count(*) FROM salesdrive.order_status"}, "20\n", 'the command shown connects');
my ($webhook) = $out =~ /^webhook +(\S+)$/m;
is(post_json($webhook, { data => { id => 1 } })->{status}, 200, 'the webhook shown accepts');
like(http(GET => "$1/ping")->{content}, qr/true/, 'a control address shown answers') while $out =~ /simulator .* control (\S+)/g;

($status, $out, $err) = make('demo');
is($status, 0, 'make demo once more, beside a running one');
shows_all($out, 'second run');
unlike($out, qr/\Q$webhook\E/, 'it is another demo');
is(http(GET => $webhook =~ s{/webhook/.*}{/health}r)->{status}, 599, 'the first one has ended');

($status, $out) = make('demo-stop');
is($status, 0, 'make demo-stop');
like($out, qr/has ended/, 'says so');
is(running(), '', 'nothing is left running');
ok(!-e "$work/data" && !-e "$work/run", 'and no data');
($status, $out) = make('demo-stop');
is("$status $out", "0 No demo is running.\n", 'make demo-stop may be called again');

done_testing();
