# README keeps its word: every command in it is run, here or by the test that is named here, and it names everything there is to name:
# settings, tables, views, functions, errors, reasons, classes, metrics, answers, targets of make.
#
# Kinds of fenced blocks:
#   sql      run in order in the database "shop", each block in a session of its own
#   console  each line is a command: run by a shell, or listed in @ELSEWHERE
#   ini      lines of postgresql.conf the server of this test is started with, those of pg_cron where it is installed
#   json     the first is order.json; all must be JSON
#   text     not run
# A block of any other kind, and a command that no rule knows, fails.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run ();
use Test::More;
use PostgreSQL::Test::Utils ();
use SalesDrive::Test;

my $top = tree();
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive', '--key', 'invented-key');

# What README calls a thing => what it is in this test.
my @SUBSTITUTION = (
	[ 'https://bas.example.com/base' => $bas->url('/base') ],             # plain http is allowed to the loopback
	[ "'https://demo-shop.salesdrive.me'," => "'" . $crm->url('') . "', identity => 'demo-shop'," ],    # that host is somebody's
	[ '/etc/postgresql/salesdrive' => "$dir/secrets" ]);

# Commands that are not run here, and what runs them: a file, which must exist.
my @ELSEWHERE = (
	[ qr/^make demo$/ => 'test/t/070_demo.t' ],
	[ qr/^make test$/ => 'test/run' ],                                     # the harness this test runs in
	[ qr/^(sudo )?make( install)?$/ => 'test/run' ],                       # it builds with "make all install"
	[ qr/^make bench$/ => 'test/bench/run' ],
	[ qr/^test\/run tap \d+$/ => 'test/run' ],
	[ qr/^sudo apt-get install / => '.ci/deps' ],                          # and every package must be one of its list
	[ qr/^psql shop -c "SELECT salesdrive\.(un)?schedule\(/ => 'test/t/03f_schedule.t' ],    # needs pg_cron in the same database
	[ qr/^sudo systemctl restart postgresql$/ => 'test/t/060_readme.t' ]); # the server starts with the lines of the ini block
my $HERE = qr/^(psql|curl|pg_dump|pg_restore|createdb) /;

# What a reader would wait for, or would clean up: after a block that matches.
my @AFTER = (
	[ qr/^curl /m => sub { ok(wait_for_sql(node(), 'shop', "SELECT state FROM salesdrive.order_status WHERE order_id = 1001", 'synced'), 'the order of README is in BAS') } ],
	[ qr/CALL salesdrive\.wait/ => sub { is(state_of(1002), 'synced', 'without workers, too') } ],
	[ qr/salesdrive\.add_account\(/ => sub { ok(own_rows(), 'a user has rows of his own') } ],
	[ qr/cron\.schedule/ => sub { shell(q(psql -XAtq postgres -c "SELECT cron.unschedule('salesdrive history')")) } ]);

# Rows that a reader has already when he types the chapters in order, in every table whose examples README takes back; and how many of them are there.
my $OWN = <<'SQL';
INSERT INTO salesdrive.value_map (account, dictionary, crm_key, bas_key) VALUES ('shop', 'status', '99', 'own'), ('*', 'status', '99', 'own');
INSERT INTO salesdrive.dictionary_rule VALUES ('shop', 'own', 'empty');
INSERT INTO salesdrive.cancel_rule (account, status, action) VALUES ('*', '99', 'none'), ('shop', '99', 'none');
INSERT INTO salesdrive.order_filter (account, rule, condition) VALUES ('shop', 'not', '{"site": "999"}'), ('*', 'not', '{"site": "999"}');
INSERT INTO salesdrive.header_rule (account, dictionary, condition) VALUES ('shop', 'warehouse', '{"site": "999"}');
INSERT INTO salesdrive.check_rule (account, name, condition, enabled) VALUES ('shop', 'own', 'true', false), ('*', 'own', 'true', false);
INSERT INTO salesdrive.field_map (account, target, property, source, enabled) VALUES ('shop', 'order', 'own', 'own', false), ('*', 'order', 'own', 'own', false);
INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES ('unf', 'order', 'own', NULL), ('accounting2', 'stock', 'own', NULL);
SQL
sub own_rows { return node()->safe_psql('shop', $OWN) eq '' }
sub own_left { return node()->safe_psql('shop', "SELECT concat_ws(' ', (SELECT count(*) FROM salesdrive.value_map WHERE crm_key = '99'), (SELECT count(*) FROM salesdrive.dictionary_rule WHERE dictionary = 'own'),
	(SELECT count(*) FROM salesdrive.cancel_rule WHERE status = '99'), (SELECT count(*) FROM salesdrive.order_filter WHERE condition = '{\"site\": \"999\"}'), (SELECT count(*) FROM salesdrive.header_rule WHERE condition = '{\"site\": \"999\"}'),
	(SELECT count(*) FROM salesdrive.check_rule WHERE name = 'own'), (SELECT count(*) FROM salesdrive.field_map WHERE property = 'own'), (SELECT count(*) FROM salesdrive.profile_property WHERE concept = 'own'))") }

sub slurp { my ($file) = @_; open my $h, '<:utf8', $file or die "$file: $!"; local $/; return scalar <$h> }
sub spew { my ($file, $text) = @_; open my $h, '>:utf8', $file or die "$file: $!"; print $h $text; close $h or die $!; return }

# ---- README in parts

my $readme = slurp("$top/README.md");
my @blocks;
{
	my ($block, $n);
	for my $line (split /^/, $readme)
	{
		$n++;
		if ($block) { if ($line =~ /^```\s*$/) { push @blocks, $block; undef $block } else { $block->{text} .= $line } }
		elsif ($line =~ /^\s*```(.*?)\s*$/) { $block = { kind => $1, line => $n, text => '' } }
	}
	ok(!$block, 'every block ends');
}
my %KIND = map { $_ => 1 } qw(sql console ini json text);
is(join(', ', map { "'$_->{kind}' in line $_->{line}" } grep { !$KIND{ $_->{kind} } } @blocks), '', 'blocks are of known kinds');
cmp_ok(scalar(grep { $_->{kind} eq 'sql' } @blocks), '>', 20, 'there are blocks of SQL');

# The text of a section, without the heading; until the next heading of the same or a higher level.
sub section
{
	my ($heading) = @_;
	my ($level, $text, $in, $fence) = (0, '', 0, 0);
	for my $line (split /^/, $readme)
	{
		$fence = !$fence if $line =~ /^```/;
		if (!$fence && $line =~ /^(#+) (.*)$/)
		{
			last if $in && length $1 <= $level;
			($in, $level) = (1, length $1) if $2 eq $heading;
			next;
		}
		$text .= $line if $in;
	}
	die "README has no section $heading" unless $in;
	return $text;
}

# Rows of all tables in a text, as arrays of cells; heads and rules are left out.
sub rows
{
	my ($text) = @_;
	my @lines = split /\n/, $text;
	my @rows;
	for my $i (0 .. $#lines)
	{
		next unless $lines[$i] =~ /^\|/;
		next if $lines[$i] =~ /^\|[-|]+\|$/ || ($i < $#lines && $lines[ $i + 1 ] =~ /^\|[-|]+\|$/);
		push @rows, [ map { s/^\s+|\s+$//gr } split /\|/, $lines[$i] =~ s/^\|//r ];
	}
	return @rows;
}

# What stands in backquotes in a text, outside of blocks.
sub names { my ($text) = @_; $text =~ s/^```.*?^```$//gms; return $text =~ /`([^`]+)`/g }

# Sorted names that are in the first list and not in the second.
sub lacking { my ($these, $in) = @_; my %in = map { $_ => 1 } @$in; return join ' ', sort grep { !$in{$_} } @$these }

# ---- a server as README sets it up

chomp(my $share = `pg_config --sharedir`);
my $have_cron = -e "$share/extension/pg_cron.control";
my $ini = join '', map { $_->{text} } grep { $_->{kind} eq 'ini' && ($have_cron || $_->{text} !~ /cron/) } @blocks;
like($ini, qr/^shared_preload_libraries = 'salesdrive'$/m, 'README preloads the library');
my $node = new_node('readme', preload => 0, extension => 0, conf => $ini);
sub node { return $node }
sub state_of { my ($id) = @_; return $node->safe_psql('shop', "SELECT state FROM salesdrive.order_status WHERE order_id = $id") }

$node->safe_psql('postgres', 'CREATE DATABASE names');
$node->safe_psql('names', 'CREATE EXTENSION salesdrive');
sub column { my ($query) = @_; return split /\n/, $node->safe_psql('names', $query) }

# ---- README names everything

# settings, with their defaults
my @settings = (column("SELECT name FROM pg_settings WHERE name LIKE 'salesdrive.%'"), slurp("$top/src/salesdrive.c") =~ /define_\w+\("(salesdrive\.\w+)"/g);
my %described = map { my ($name) = names($_->[0]); ($name => $_) } rows(section('Settings'));
is(lacking([ grep { $_ ne 'salesdrive.fault' } @settings ], [ keys %described ]), '', 'every setting is described');
is(lacking([ keys %described ], \@settings), '', 'and no other');
like(section('Development'), qr/`salesdrive\.fault`/, 'that of test builds under Development');
for my $row (column("SELECT name, coalesce(unit, ''), boot_val FROM pg_settings WHERE name LIKE 'salesdrive.%' AND name <> 'salesdrive.fault'"))
{
	my ($name, $unit, $default) = split /\|/, $row, -1;
	my $given = $described{$name}[1] =~ s/`//gr;
	if ($unit) { $given =~ s/ \((bytes|ms)\)$// or fail("unit of $name"); }
	$given = $unit eq 'B' ? (column("SELECT pg_size_bytes('$given')"))[0] : $unit eq 'ms' ? (column("SELECT (extract(epoch FROM interval '$given') * 1000)::bigint"))[0] : $given;
	is($given, $default eq '' ? 'empty' : $default, "default of $name");
}
is(lacking([ map { $_->[2] } values %described ], [ 'reload', 'database', 'next session', 'at once' ]), '', 'when a setting takes effect');

# tables and views
my @in_ticks = map { /^([a-z_0-9]+)/ ? $1 : () } map { split /[\s,]+/ } names($readme);
my $no_months = "c.relname !~ '_\\d{4}_\\d\\d\$'";
my @tables = column("SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'salesdrive'::regnamespace AND c.relkind IN ('r', 'p') AND $no_months");
my @views = column("SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'salesdrive'::regnamespace AND c.relkind = 'v'");
is(lacking(\@tables, [ map { names($_->[0]) } rows(section('Tables')) ]), '', 'every table is described');
is(lacking([ map { names($_->[0]) } rows(section('Tables') =~ s/^\| option of.*?\n\n//gmsr) ], \@tables), '', 'and no other');
is(lacking(\@views, [ map { names($_->[0]) } rows(section('Views')) ]), '', 'every view is described');
is(lacking([ map { names($_->[0]) } rows(section('Views')) ], \@views), '', 'and no other');

# options of connections: all columns but keys, addresses and what the engine keeps there
my %no_option = (
	account => [qw(name url infobase identity paused_at paused_reason created_at)],
	account_api => [qw(account circuit_failures circuit_open_until paused_at paused_reason)],
	infobase => [qw(name profile url username keeps_ref_key creating_task denied circuit_failures circuit_open_until paused_at paused_reason created_at)]);
for my $table (sort keys %no_option)
{
	my ($part) = section('Tables') =~ /(^\| option of `$table`.*?)(?:\n\n|\z)/ms;
	my @options = map { names($_->[0]) } rows($part);
	my @columns = column("SELECT attname FROM pg_attribute WHERE attrelid = 'salesdrive.$table'::regclass AND attnum > 0 AND NOT attisdropped");
	is(lacking(\@columns, [ @options, @{ $no_option{$table} } ]), '', "every option of $table is described");
	is(lacking(\@options, \@columns), '', 'and no other');
}
for my $row (rows(section('History')))
{
	my ($history) = names($row->[0]);
	is((column("SELECT salesdrive.history_keep('$history') = interval '$row->[1]'"))[0], 't', "retention of $history");
}

# functions: public ones with arguments and level, the rest in the list of internal ones
my %functions;
for (column("SELECT p.proname, array_to_string(p.proargnames[1:p.pronargs], ' '), coalesce((SELECT f.level FROM salesdrive.access_function f WHERE f.name = p.proname), 'admin')
	FROM pg_proc p WHERE p.pronamespace = 'salesdrive'::regnamespace"))
{
	my ($name, $arguments, $level) = split /\|/, $_, -1;
	push @{ $functions{$name} }, { arguments => $arguments, level => $level };
}
my ($public, $internal) = section('Functions and procedures') =~ /\A(.*?)<details>(.*)<\/details>/s;
my (%public, @wrong);
for my $row (rows($public))
{
	for my $call (names($row->[0]))
	{
		my ($name, $arguments) = $call =~ /^(?:CALL )?(\w+)\((.*)\)$/ or next;
		$public{$name} = 1;
		my $given = join ' ', map { (split)[0] } split /, /, $arguments;
		push @wrong, "$call: arguments" unless grep { $_->{arguments} eq $given } @{ $functions{$name} // [] };
		my $level = $functions{$name}[0]{level};
		push @wrong, "$call: $row->[1], not $level" unless $row->[1] eq $level || $name eq 'grant_access' && $row->[1] eq 'owner';
	}
}
is("@wrong", '', 'functions are described with their arguments and level');
my @internal = map { names(s/`sql\/[^`]+`//r) } split /\n/, $internal;
is(lacking([ keys %functions ], [ keys %public, @internal ]), '', 'every function is described, or listed as internal');
is(lacking(\@internal, [ grep { !$public{$_} } keys %functions ]), '', 'and no other');

# tables that an operator writes
my ($operator) = grep { $_->[0] eq '`operator`' } rows(section('Roles'));
my @written = names($operator->[1] =~ s/^.*; write //r);
my @writable = column("SELECT name FROM salesdrive.access_table WHERE privileges ~ 'INSERT.*UPDATE.*DELETE'");
is(lacking(\@writable, \@written), '', 'every table that an operator writes is named');
is(lacking(\@written, \@writable), '', 'and no other');

# functions that run with other rights than those of their caller
my ($definers) = section('Security') =~ /^(\* All functions run with .*?)(?=^\* |\z)/ms;
is(join(' ', sort map { /^(\w+)$/ ? $1 : () } names($definers)), join(' ', sort(column("SELECT DISTINCT p.proname FROM pg_proc p WHERE p.pronamespace = 'salesdrive'::regnamespace AND p.prosecdef"))), 'functions with the rights of the owner are named');

# errors
my (%states, @reasons);
for my $file (glob("$top/sql/*.sql"), glob("$top/src/*.[ch]"))
{
	my $text = slurp($file);
	$states{$_} = 1 for $text =~ /'(SD\d{3})'/g;
	$states{"$1$2$3$4$5"} = 1 while $text =~ /MAKE_SQLSTATE\('(S)', '(D)', '(\d)', '(\d)', '(\d)'\)/g;
}
my @described_states = map { names($_->[0]) } grep { $_->[0] =~ /^`SD/ } rows(section('Errors'));
is(lacking([ keys %states ], \@described_states), '', 'every SQLSTATE is described');
is(lacking(\@described_states, [ keys %states ]), '', 'and no other');

# reasons: of obstacles, of steps of a plan, of classes, of the views
for my $source (column("SELECT replace(p.prosrc, E'\\n', ' ') FROM pg_proc p WHERE p.pronamespace = 'salesdrive'::regnamespace AND (p.proname LIKE 'obstacles%' OR p.proname ~ '^plan_|_steps\$|^(order|cancel|change)_decisions\$|^gate_|^claim\$|^settle\$|^(class|denied|api)_step\$')"))
{
	push @reasons, $source =~ /'(?:park|wait|done)'(?:, (?:NULL(?:::\w+)?|[\w.()]+))+, '([a-z_]+)'/g;
	push @reasons, $source =~ /reason := '([a-z_]+)'/g;
}
for my $source (column("SELECT replace(p.prosrc, E'\\n', ' ') FROM pg_proc p WHERE p.pronamespace = 'salesdrive'::regnamespace AND p.proname LIKE 'obstacles%'"))
{
	push @reasons, grep { !/^(much|little)$/ } $source =~ /(?:THEN|ELSE) '([a-z_]+)'/g;
	push @reasons, $source =~ /, \d+, '([a-z_]+)', format\(/g;
}
for my $source (column("SELECT replace(p.prosrc, E'\\n', ' ') FROM pg_proc p WHERE p.pronamespace = 'salesdrive'::regnamespace AND p.proname ~ '^payment_(obstacle|telling|(out_)?step)\$|^settle_payment'"))
{
	push @reasons, $source =~ /'(?:park|wait)'(?: AS step| END)?, '([a-z_]+)'/g, grep { /^(?:payment_[a-z]|\w+_in_bas$)/ } $source =~ /(?:reason :=|THEN|ELSE) '([a-z_]+)'/g;
}
for my $source (column("SELECT replace(p.prosrc, E'\\n', ' ') FROM pg_proc p WHERE p.pronamespace = 'salesdrive'::regnamespace AND p.proname IN ('ruled_values', 'want_offers', 'settle_folder', 'settle_yml')"))
{
	push @reasons, $source =~ /reason := '([a-z_]+)'/g;
}
push @reasons, 'refused', (slurp("$top/src/policy.c") =~ /"(transient|throttled|business|bug)"/g);
my %reasons = map { $_ => 1 } @reasons;
cmp_ok(scalar(keys %reasons), '>', 20, 'reasons are found');
my @explained = map { names($_->[0]) } rows(section('Repair what is parked'));
is(lacking([ grep { $_ ne 'skipped' } keys %reasons ], \@explained), '', 'every reason is explained');
is(lacking(\@explained, \@reasons), '', 'and no other');
for my $word (qw(skipped paused not_json not_order other_type other_account))
{
	like(section('Repair what is parked'), qr/`$word`/, "$word is explained");
}

# classes, answers and metrics of the receiver
my ($classes) = slurp("$top/src/policy.c") =~ /class_names\[.*?\{(.*?)\}/s;
my @classes = $classes =~ /"(\w+)"/g;
my @explained_classes = grep { !/^SD/ } map { names($_->[0]) } rows(section('Errors'));
is(lacking(\@classes, \@explained_classes), '', 'every class of answers is explained');
is(lacking(\@explained_classes, \@classes), '', 'and no other');
my $server = join('', map { slurp("$top/src/$_.c") } qw(server connection intake));
my %answers = map { (s/\\"/"/gr => 1) } $server =~ /"(\{\\"(?:error|accepted)\\":.*?\})\\n"/g;
delete $answers{'{"error":"bad request"}'};    # stands in for a 400 without words, which does not occur
is(lacking([ keys %answers ], [ names(section('Receiver')) ]), '', 'every answer of the receiver is described');
is(lacking([ slurp("$top/src/receiver.c") =~ /put_metric\(&s, "(\w+)"/g ], [ map { s/_total\b.*//r } names(section('Receiver')) ]), '', 'every metric is described');

is(join(' ', sort(column('SELECT family FROM salesdrive.metric_families()'))), join(' ', sort map { s/\{.*//r =~ s/_total$//r } map { names($_->[0]) } grep { $_->[0] =~ /^`\w+\{/ && $_->[0] !~ /^`answers/ } rows(section('Receiver'))), 'and so is every figure of the exchange');
is(lacking([ column('SELECT unnest(salesdrive.incident_kinds())') ], [ map { names($_->[0]) } rows(section('Alerts')) ]), '', 'every kind of incident is described');

# targets of make
my $makefile = slurp("$top/Makefile");
my @targets = ('all', 'install', 'clean', map { split } $makefile =~ /^\.PHONY: (.*)$/mg);
is(lacking(\@targets, [ section('Development') =~ /`make ([a-z-]+)/g ]), '', 'every target of make is described');
for my $target (sort { $a cmp $b } $readme =~ /`make ([a-z-]+)/g)
{
	ok($makefile =~ /^(?:[a-z-]+ )*\Q$target\E(?: [a-z-]+)*:/m || $target =~ /^(all|install|clean)$/, "there is make $target");
}

# files of the library
for my $file (map { s{.*/}{}r } glob("$top/src/*.c"))
{
	like(section('Development'), qr/\b\Q$file\E\b/, "$file has its place under Development");
}

# links to headings
my %anchors = map { my $h = lc; $h =~ s/[^\w\s-]//g; $h =~ s/\s/-/g; ($h => 1) } $readme =~ /^#+ (.*)$/mg;
is(lacking([ $readme =~ /\]\(#([^)]+)\)/g ], [ keys %anchors ]), '', 'links lead to headings');
for my $section ($readme =~ /^## (.*)$/mg)
{
	next if $section eq 'Contents';
	like(section('Contents'), qr/\[\Q$section\E\]/, "\"$section\" is in the table of contents");
}
for my $section ($readme =~ s/^```.*?^```$//gmsr =~ /^### (.*)$/mg)
{
	my $anchor = lc($section) =~ s/[^\w\s-]//gr =~ s/\s/-/gr;
	like(section('Contents'), qr/\(#\Q$anchor\E\)/, "so is \"$section\"");
}
like($readme, qr/^## Licence\n(?!.*^## )/ms, 'the licence comes last');

# ---- README works

# curl, as far as README uses it: the machine may have none
mkdir "$dir/bin" or die $!;
spew("$dir/bin/curl", <<'CURL');
#!/usr/bin/env perl
use strict;
use warnings;
use HTTP::Tiny;
my ($url, %headers, $body);
while (defined(my $arg = shift @ARGV))
{
	if ($arg eq '-sS') { next }
	elsif ($arg eq '-H') { my ($name, $value) = split /:\s*/, shift @ARGV, 2; $headers{$name} = $value }
	elsif ($arg eq '--data-binary') { my $file = shift(@ARGV) =~ s/^@//r; open my $h, '<:raw', $file or die "$file: $!"; local $/; $body = <$h> }
	elsif ($arg =~ /^-/) { die "this curl does not know $arg\n" }
	else { $url = $arg }
}
my $answer = HTTP::Tiny->new->request(defined $body ? 'POST' : 'GET', $url, { headers => \%headers, defined $body ? (content => $body) : () });
print $answer->{content};
exit($answer->{success} ? 0 : 22);
CURL
chmod 0755, "$dir/bin/curl" or die $!;
mkdir "$dir/secrets" or die $!;
spew("$dir/secrets/bas_password", "secret\n");
spew("$dir/secrets/yml_key", "public-key\n");

my @json = map { $_->{text} } grep { $_->{kind} eq 'json' } @blocks;
ok(eval { utf8::encode(my $bytes = $_); json_decode($bytes); 1 }, 'a block of JSON is JSON') for @json;
spew("$dir/order.json", $json[0]);

sub substitute { my ($text) = @_; for (@SUBSTITUTION) { my ($from, $to) = @$_; $text =~ s/\Q$from\E/$to/g } return $text }

# Output of a shell command, in the directory of the test; a failing test when it fails.
sub shell
{
	my ($command) = @_;
	my ($out, $err) = ('', '');
	local $ENV{PATH} = "$dir/bin:$ENV{PATH}";
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGCLIENTENCODING} = 'UTF8';
	my $bytes = substitute($command);
	utf8::encode($bytes);
	IPC::Run::run([ 'bash', '-c', "cd '$dir' && $bytes" ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(default_timeout()));
	my $status = $?;
	diag("$bytes\n$out$err") if $status != 0;
	utf8::decode($_) for $out, $err;
	return ($status == 0, $out, $err);
}

sub run_sql
{
	my ($block) = @_;
	spew("$dir/block.sql", substitute($block->{text}));
	return shell(q(psql -X -q -At -F ' | ' -v ON_ERROR_STOP=1 -d shop -f block.sql));
}

sub run_console
{
	my ($line) = @_;
	for my $rule (@ELSEWHERE)
	{
		my ($command, $file) = @$rule;
		next if $line !~ $command;
		ok(-e "$top/$file", "\"$line\" is run by $file");
		if ($line =~ /apt-get install (.*)/)
		{
			my @packages = split ' ', $1;
			my $deps = slurp("$top/$file") =~ s/\$major/15/gr;
			like($deps, qr/(?<![\w-])\Q$_\E(?![\w-])/, "package $_ is one of $file") for @packages;
		}
		return;
	}
	if ($line !~ $HERE) { fail("no rule for the command: $line"); return }
	if ($line =~ /cron/ && !$have_cron) { SKIP: { skip("no pg_cron here: $line", 1) } return }
	my ($ok, $out) = shell($line);
	ok($ok, $line);
	is($out, qq({"accepted":1}\n), 'the receiver answers as README says') if $line =~ /^curl/;
	return;
}

my $previous;
for my $block (@blocks)
{
	my $where = "line $block->{line}";
	if ($block->{kind} eq 'sql')
	{
		my ($ok, $out) = run_sql($block);
		ok($ok, "SQL of $where");
		$previous = $out;
	}
	elsif ($block->{kind} eq 'console')
	{
		run_console($_) for grep { /\S/ && !/^#/ } split /\n/, $block->{text};
	}
	elsif ($block->{kind} eq 'text' && $block->{text} =~ /^[0-9a-f-]{36} \| /)
	{
		is($block->{text}, $previous, "the test vector of $where");
	}
	next unless $block->{kind} =~ /^(sql|console)$/;
	for my $rule (@AFTER) { $rule->[1]->() if $block->{text} =~ $rule->[0] && ($have_cron || $rule->[0] !~ /cron/) }
}

# what is left when all of it has been done
is(own_left(), '2 1 2 2 1 2 2 2', 'no row that README did not make is taken away');
ok(wait_for_sql($node, 'shop', "SELECT string_agg(concat_ws(' ', order_id, state, reason, detail), ', ' ORDER BY order_id) FROM salesdrive.order_status", '1001 synced, 1002 synced'), 'all orders are in BAS');
is_deeply($bas->control(GET => '/state')->{violations}, [], 'and each is there once');
ok(wait_for_sql($node, 'shop', "SELECT string_agg(role || ' ' || runs_as, ', ' ORDER BY role) FROM salesdrive.worker_status WHERE role <> 'launcher'", 'exchanger exchange, receiver exchange'), 'the workers run as the role README makes');
is($node->safe_psql('shop_copy', 'SELECT salesdrive.quiet_reason() IS NULL'), 't', 'the copy was adopted');

done_testing();
