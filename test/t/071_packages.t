# A machine that lacks the packages: what make tells an ordinary user, and what it does as root.

use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::Bin/lib";
use Cwd qw(realpath);
use IPC::Run ();
use Test::More;
use SalesDrive::Test qw(:DEFAULT stand_in_program);
use PostgreSQL::Test::Utils;

my $top = realpath(tree());
my $dir = realpath(PostgreSQL::Test::Utils::tempdir_short());

# Programs of a Debian on which nothing is installed yet. Each notes what it was called with.
sub program { my ($name, $script) = @_; return stand_in_program("$dir/$name", qq{echo "$name \$*" >>'$dir/calls'\n$script}) }
program('pg_config', 'exit 1');
program('sudo', 'exit 1');
program('apt-cache', 'echo "  Depends: postgresql-15"');
program('dpkg-query', "[ -e '$dir/installed' ] && echo 'install ok installed'");
# with PostgreSQL comes its user
program('apt-get', "case \"\$*\" in *install*) touch '$dir/installed' ;; esac");
program('id', "case \"\$*\" in -u) cat '$dir/uid' ;; postgres) test -e '$dir/installed' ;; nobody) ;; *) exec /usr/bin/id \"\$@\" ;; esac");
# where it would change the user, all has been seen
program('runuser', 'exit 1');
program('chown', '');

# Status, output and errors of make; whom it calls itself.
sub make
{
	my ($uid, @arguments) = @_;
	my ($out, $err) = ('', '');
	append_to_file("$dir/uid.new", "$uid\n");
	rename "$dir/uid.new", "$dir/uid" or die $!;
	unlink "$dir/calls";
	local $ENV{PATH} = "$dir:$ENV{PATH}";
	local $ENV{TEST_WORK} = "$dir/test";
	local $ENV{DEMO_WORK} = "$dir/demo";
	delete local $ENV{PG_CONFIG};
	IPC::Run::run([ 'make', '-s', '-C', $top, @arguments ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	return ($? >> 8, $out, $err);
}

sub calls { return slurp_file("$dir/calls") }

# ---- an ordinary user gets one command

my $build = qr/\bgcc\b.* libcurl4-openssl-dev\b.* postgresql-15 postgresql-server-dev-15\b/;
for (
	[ 'demo', $build ], [ 'test', $build ], [ 'bench', $build ], [ 'deps', $build ],
	[ 'lint', $build ], [ 'fuzz', qr/\blibexpat1-dev\b.* libclang-rt-dev$/ ])
{
	my ($targets, $packages) = @$_;
	my ($status, $out, $err) = make(1000, split ' ', $targets);
	is($status, 2, "make $targets stops");
	is($out, '', 'and says nothing else');
	my ($list) = $err =~ /\APackages are missing\. Install them with:\n    sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends (\S.*\S)'\nmake: .*\n\z/;
	like($list // $err, $packages, 'than the command that installs them');
	unlike(calls(), qr/^(apt-get|sudo)/m, 'which it leaves to the user');
}

# ---- another PostgreSQL

unlink "$dir/pg_config";
my (undef, undef, $err) = make(1000, 'deps', 'PG_CONFIG=/usr/lib/postgresql/99/bin/pg_config');
like($err, qr/ postgresql-99 postgresql-server-dev-99 postgresql-99-cron /, 'the packages of the PostgreSQL that is asked for');
for my $target (qw(deps test demo))
{
	(my $status, undef, $err) = make(0, $target, "PG_CONFIG=$dir/none");
	like($err, qr/\AThere is no \Q$dir\E\/none\.\nmake: /, "make $target names a pg_config that is not there");
	ok(!-e "$dir/installed", 'and installs no other');
}
(my $status, my $out, $err) = make(1000, 'all', "PG_CONFIG=$dir/none");
like($err, qr/\APostgreSQL's build files were not found through '\Q$dir\E\/none'\.\nInstall them with 'make deps'/, 'so does make');
(undef, undef, $err) = make(1000, 'all', 'CURL_CONFIG=no-such-program');
like($err, qr/\A\S+: \*\*\* libcurl, libmicrohttpd or expat was not found through 'no-such-program' .* 'make deps'\.  Stop\.\n\z/, 'make says which libraries it lacks');
($status, undef, $err) = make(1000, '-n', 'all', 'PG_CONFIG=');
is("$status $err", '0 ', 'an empty PG_CONFIG is none');

# ---- in one breath

my $copy = "$dir/copy";
mkdir $copy or die $!;
system('cp', '-R', "$top/src", "$top/sql", "$top/Makefile", "$top/salesdrive.control", $copy) == 0 or die;
{
	my $log = '';
	IPC::Run::run([ 'make', '-s', '-C', $copy, 'clean', 'src/policy.o' ], '<', \undef, '>', \$log, '2>&1', IPC::Run::timeout(180));
	is("$? $log", '0 ', 'what is cleaned can be built by the same make');
}

# ---- root gets them, and the servers the user that comes with them

for my $target (qw(demo test))
{
	unlink "$dir/installed";
	program('pg_config', 'exit 1');
	($status, $out, $err) = make(0, $target);
	like($out, qr/\Ainstalling: .* postgresql-15 /, "make $target installs as root");
	like(calls(), qr/^apt-get install .* postgresql-15 .*^runuser -u postgres /ms, 'and goes on as the user who came with PostgreSQL');
	unlike(calls(), qr/^runuser -u nobody/m, 'from the start');
	($status, $out) = make(0, $target);
	unlike($out . calls(), qr/install(ing:| )/, 'nothing is installed twice');
}

done_testing();
