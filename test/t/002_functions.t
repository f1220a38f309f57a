# Secrets by reference: what a file may hold, what the answers never show.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use SalesDrive::Test;

my $directory = PostgreSQL::Test::Utils::tempdir();
my $outside = PostgreSQL::Test::Utils::tempdir();

sub put
{
	my ($name, $bytes) = @_;
	open my $fh, '>:raw', "$directory/$name" or die "$name: $!";
	print $fh $bytes;
	close $fh or die "$name: $!";
	return;
}

local $ENV{SALESDRIVE_TEST_SECRET} = 'from the environment';
my $node = new_node('main', conf => "salesdrive.secrets_directory = '$directory'");

sub value_of
{
	my ($reference) = @_;
	return $node->safe_psql('postgres', "SELECT salesdrive.secret_value('$reference')");
}

# The error of a refused secret, which must not show anything of its value.
sub refused
{
	my ($reference, $pattern, $name, $never) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT salesdrive.secret_value('$reference')");
	isnt($rc, 0, "$name is refused");
	like($err, $pattern, '... and the error says why');
	unlike("$out$err", qr/$never/, '... without showing the value') if defined $never;
	return;
}

put('plain', 'sesame');
put('line', "sesame\n");
put('windows', "sesame\r\n");
put('two.lines', "open\nsesame\n");
put('cyrillic', "сезам\n");
put('spaces', "  sesame  ");
put('largest', 'x' x 65536);
is(value_of('file:plain'), 'sesame', 'a file');
is(value_of('file:line'), 'sesame', 'its line end is no part of it');
is(value_of('file:windows'), 'sesame', 'nor is a line end of Windows');
is(value_of('file:two.lines'), "open\nsesame", 'only the last line end is taken off');
is(value_of('file:cyrillic'), 'сезам', 'text in UTF-8');
is(value_of('file:spaces'), '  sesame  ', 'spaces stay');
is(length value_of('file:largest'), 65536, '64 kB');
is(value_of('env:SALESDRIVE_TEST_SECRET'), 'from the environment', 'an environment variable');
is(value_of('sesame'), 'sesame', 'a literal');
is(value_of('File:plain'), 'File:plain', 'the prefix is in lower case');

put('plain', 'changed');
is(value_of('file:plain'), 'changed', 'a changed file is seen at once');

put('empty', '');
put('only_newline', "\n");
put('binary', "sesame\xff\xfe");
put('nul', "sesame\0street");
put('too_large', 'sesame' x 12000);
mkdir "$directory/folder" or die $!;
refused('file:empty', qr/22023:.*is empty/, 'an empty file');
refused('file:only_newline', qr/22023:.*is empty/, 'an empty line');
refused('file:binary', qr/22021:.*not text/, 'what is not UTF-8', 'sesame');
refused('file:nul', qr/22021:.*not text/, 'a NUL', 'sesame');
refused('file:too_large', qr/54000:.*larger than 64 kB/, 'more than 64 kB', 'sesame');
refused('file:folder', qr/42809:.*not a regular file/, 'a directory');
refused('file:missing', qr/58P01:.*No such file.*HINT/s, 'a file that is not there');
refused('file:../plain', qr/42602:.*no valid name/, 'a way out of the directory');
refused("file:$outside/plain", qr/42602:.*no valid name/, 'an absolute path');
refused('env:SALESDRIVE_NOT_SET', qr/42704:.*not set.*HINT/s, 'a variable that is not set');

unlike(slurp_file($node->logfile), qr/street|sesamesesame/, 'the log shows no value of a refused secret');

$node->stop;
done_testing();
