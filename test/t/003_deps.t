# make deps: which packages it asks for, above all of which version of PostgreSQL.

use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use PostgreSQL::Test::Utils ();
use SalesDrive::Test qw(:DEFAULT stand_in_program);

my $dir = PostgreSQL::Test::Utils::tempdir_short();

sub program { my ($name, $script) = @_; return stand_in_program("$dir/$name", $script) }

# What an ordinary user is told where no package is installed; what apt knows of PostgreSQL is given.
sub told
{
	my ($pg_config, $known) = @_;
	program('apt-cache', $known ? "echo '  Depends: postgresql-$known'" : 'exit 0');
	local $ENV{PATH} = "$dir:$ENV{PATH}";
	local $ENV{PG_CONFIG} = $pg_config;
	my $text = qx("@{[ tree() ]}/.ci/deps" 2>&1);
	isnt($?, 0, 'something is missing');
	return $text;
}

sub pg_config { my ($version, $bin) = @_; return program("pg_config_$version", qq{case \$1 in --version) echo "PostgreSQL $version.3 (Debian)" ;; --bindir) echo $bin ;; esac}) }
sub asked { my ($text) = @_; return join ' ', sort $text =~ /(?<= )postgresql-\S+/g }

program('apt-get', 'exit 1');
program('dpkg-query', 'exit 1');
program('id', 'echo 1000');
program('sudo', 'exit 1');

is(asked(told('no-pg_config', 17)), 'postgresql-17 postgresql-17-cron postgresql-server-dev-17', 'without pg_config that of the release of Debian');
is(asked(told(pg_config(16, '/usr/lib/postgresql/16/bin'), 17)), 'postgresql-16 postgresql-16-cron postgresql-server-dev-16', 'else that of pg_config');
is(asked(told('/usr/lib/postgresql/99/bin/pg_config', 17)), 'postgresql-99 postgresql-99-cron postgresql-server-dev-99', 'also of one that is to be installed');
my $own = told(pg_config(18, '/opt/pgsql/bin'), 17);
is(asked($own), '', 'none where PostgreSQL was built by hand');
like($own, qr/^    sudo sh -c 'apt-get update && apt-get install .*libcurl4-openssl-dev/m, 'but all else');
my $unknown = told('no-pg_config', undef);
is(asked($unknown), '', 'no version is guessed');
like($unknown, qr/^    sudo sh -c 'apt-get update'$/m, 'where apt has no lists yet');

# a Debian without sudo: its shell finds no program but these
my %path = map { my $name = $_; $name => (grep { -x } map { "$_/$name" } '/usr/bin', '/bin')[0] } qw(env bash sed head grep xargs echo);
symlink $path{$_}, "$dir/$_" or die "$dir/$_: $!" for keys %path;
unlink "$dir/sudo";
{
	local $ENV{PATH} = $dir;
	local $ENV{PG_CONFIG} = 'no-pg_config';
	for my $known ('exit 1', "echo '  Depends: postgresql-17'")
	{
		program('apt-cache', $known);
		like(qx("@{[ tree() ]}/.ci/deps" 2>&1), qr/:\n    su - -c 'apt-get update\b.*'\n\z/, 'where there is no sudo the command has none');
	}
}

done_testing();
