# /metrics as OpenMetrics has it, to the letter: names, types, escapes, buckets that add up; and that its figures are those of the tables.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes ();
use SalesDrive::Test qw(:DEFAULT sql);

my $node = new_node('metrics', workers => 1, conf => "salesdrive.sweep_interval = '1 s'");
my $bas = start_peer('bas');
my $crm = start_peer('salesdrive');
my $port = receiver_port($node);


# Every rule of OpenMetrics 1.0 that concerns this; returns { name{labels} => value } and { family => type }, dies at the first breach.
sub parse_strictly
{
	my ($text) = @_;
	die "it does not end with # EOF\n" if $text !~ /\n# EOF\n\z/ || $text =~ /# EOF\n./s;
	die "a blank line\n" if $text =~ /\n\n/ || $text =~ /\A\n/;
	die "it is not UTF-8\n" if !utf8::decode(my $copy = $text);
	my (%value, %type, %help, $family, %ended, $sampled, $last_point, %points);
	my %suffixes = (counter => '_total', gauge => '', histogram => '_bucket|_sum|_count');
	for my $line (split /\n/, $text)
	{
		last if $line eq '# EOF';
		if (my ($what, $name, $rest) = $line =~ /\A# (TYPE|HELP|UNIT) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)\z/)
		{
			if (!defined $family || $family ne $name)
			{
				die "$name: not together\n" if $ended{$name}++;
				($family, $sampled) = ($name, 0);
			}
			die "$name: $what after samples\n" if $sampled;
			if ($what eq 'TYPE') { die "$name: type twice\n" if $type{$name}; $type{$name} = $rest; die "$name: type $rest\n" unless defined $suffixes{$rest} }
			else { die "$name: $what twice\n" if $help{$what}{$name}++; die "$name: escapes in help\n" if $rest =~ /\\(?![\\n"])/ }
			next;
		}
		my ($name, $labels, $number) = $line =~ /\A([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\n"])*",?)*)\})? (\S+)\z/ or die "no sample: $line\n";
		die "a comma too many: $line\n" if ($labels // '') =~ /,\z/;
		die "no number: $line\n" unless $number =~ /\A(?:[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?Inf|NaN)\z/;
		die "no family: $line\n" unless defined $family && $type{$family};
		my $suffix = $suffixes{ $type{$family} };
		die "no name of its family: $line\n" unless $name =~ /\A\Q$family\E(?:$suffix)\z/;
		$sampled = 1;
		my @pairs = ($labels // '') =~ /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;
		my %label = @pairs;
		die "a label twice: $line\n" if 2 * keys %label != @pairs;
		die "a counter below zero: $line\n" if $type{$family} ne 'gauge' && $number < 0;
		if ($type{$family} eq 'histogram')
		{
			my $le = delete $label{le};
			my $point = "$family " . join ',', map { "$_=$label{$_}" } sort keys %label;
			die "$point: not together\n" if (!defined $last_point || $point ne $last_point) && $points{$point};
			$last_point = $point;
			my $p = $points{$point} //= { last => -1, bounds => [] };
			if ($name =~ /_bucket\z/)
			{
				die "$line: a bucket without le\n" unless defined $le;
				die "$line: le is not canonical\n" unless $le =~ /\A(?:\d+\.\d+|\+Inf)\z/;
				die "$line: not cumulative\n" if $number < $p->{last};
				die "$line: bounds do not rise\n" if @{ $p->{bounds} } && $le ne '+Inf' && $le <= $p->{bounds}[-1];
				$p->{last} = $number;
				if ($le eq '+Inf') { $p->{inf} = $number } else { push @{ $p->{bounds} }, $le }
			}
			else { $p->{ $name =~ s/.*_//r } = $number }
		}
		my $key = defined $labels ? "$name\{$labels\}" : $name;
		die "twice: $key\n" if exists $value{$key};
		$value{$key} = $number;
	}
	for my $point (keys %points) { my $p = $points{$point}; die "$point: no +Inf\n" unless defined $p->{inf}; die "$point: count\n" unless ($p->{count} // -1) == $p->{inf}; die "$point: sum\n" unless defined $p->{sum} }
	die "a family without help\n" if grep { !$help{HELP}{$_} } keys %type;
	return (\%value, \%type);
}

sub scrape { my $answer = http(GET => "http://127.0.0.1:$port/metrics"); die "status $answer->{status}" if $answer->{status} != 200; my ($value) = parse_strictly($answer->{content}); return $value }
sub fresh { my ($when) = @_; my $value; ok(wait_for('fresh figures', sub { $value = scrape(); $when->($value) }), 'the figures are fresh'); return $value }

my $gauge = "# TYPE a gauge\n# HELP a x\n";
my $histogram = "# TYPE a histogram\n# HELP a x\n";
for ([ "a 1\n# EOF\n", 'no family' ], [ "# TYPE a counter\n# HELP a x\na 1\n# EOF\n", 'no name of its family' ], [ "${gauge}a{b=\"\\x\"} 1\n# EOF\n", 'no sample' ], [ "${gauge}a 1\n", 'does not end' ],
	[ "${histogram}a_bucket{le=\"1.0\"} 2\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum 1\n# EOF\n", 'not cumulative' ], [ "${histogram}a_bucket{le=\"1\"} 1\n# EOF\n", 'not canonical' ],
	[ "${gauge}a{b=\"1\"} 1\na{b=\"1\"} 2\n# EOF\n", 'twice' ])
{
	my ($bad, $why) = @$_;
	eval { parse_strictly($bad) };
	like($@, qr/\Q$why\E/, "the parser of this test is strict: $why");
}

sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'крам\"ниця\\1', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'shop')");
my @orders = @{ $crm->control(POST => '/orders', { count => 30, seed => 3, versions => [ 1, 1 ], plain => 1 })->{orders} };
my $url = sql("SELECT salesdrive.webhook_url('крам\"ниця\\1')");
wait_for('the receiver', sub { http(GET => "http://127.0.0.1:$port/health")->{status} == 200 });
my $v = scrape();
is($v->{'salesdrive_incidents_open{kind="order_late"}'}, 0, 'before anything: zeros');
is($v->{'salesdrive_tasks{lane="1",state="parked"}'}, 0, 'also of a queue');
$crm->control(POST => '/deliver', { url => $url, orders => 'all', versions => 'last', concurrency => 4, retry => JSON::PP::true() });
sql("SELECT salesdrive.fetch_orders('крам\"ниця\\1')");
ok(wait_for_sql($node, 'postgres', "SELECT (SELECT count(*) FROM salesdrive.order_sync WHERE synced_at IS NOT NULL) = 30 AND (SELECT count(*) FROM salesdrive.task) = 0", 't'), 'orders are in BAS');

my $exchanges = sql("SELECT count(*) FROM salesdrive.exchange_log WHERE direction = 'out' AND infobase = 'main' AND class = 'ok'");
$v = fresh(sub { ($_[0]{'salesdrive_exchanges_total{class="ok",target="main"}'} // 0) == $exchanges });
is($v->{'salesdrive_exchange_seconds_count{target="main"}'}, $exchanges, 'every exchange is in the histogram');
is($v->{'salesdrive_exchange_seconds_bucket{le="+Inf",target="main"}'}, $exchanges, 'in all of its buckets');
cmp_ok(abs($v->{'salesdrive_exchange_seconds_sum{target="main"}'} - sql("SELECT sum(ms_total) / 1000 FROM salesdrive.exchange_log WHERE direction = 'out' AND infobase = 'main'")), '<', 0.01, 'its sum is theirs');
is($v->{'salesdrive_exchange_seconds_bucket{le="0.05",target="main"}'}, sql("SELECT count(*) FROM salesdrive.exchange_log WHERE direction = 'out' AND infobase = 'main' AND ms_total <= 50"), 'and its buckets');
my ($quota) = grep { /^salesdrive_quota_left/ && /"3600"/ } keys %$v;
is($quota, 'salesdrive_quota_left{account="крам\\"ниця\\\\1",method="order/list",seconds="3600"}' =~ s/([^\x00-\x7f])/my $c = $1; utf8::encode($c); $c/ger, 'labels are escaped');
cmp_ok($v->{$quota}, '<', 100, 'the quota is spent');
is($v->{'salesdrive_webhooks_kept_total'}, 30, 'intake');
is("$v->{'salesdrive_target_up{target=\"main\"}'} $v->{'salesdrive_target_connections_limit{target=\"main\"}'} $v->{'salesdrive_target_connections{target=\"main\"}'}", '1 2 0', 'the base works and rests');

# ---- a queue, an incident, a restart

sql("SELECT salesdrive.pause_infobase('main', 'night')");
my @more = @{ $crm->control(POST => '/orders', { count => 5, seed => 4, first_id => 200001, versions => [ 1, 1 ], plain => 1 })->{orders} };
$crm->control(DELETE => '/deliveries');
$crm->control(POST => '/deliver', { url => $url, orders => [ map { $_->{id} } @more ], versions => 'last', retry => JSON::PP::true() });
$v = fresh(sub { $_[0]{'salesdrive_tasks{lane="1",state="ready"}'} == 5 });
is("$v->{'salesdrive_target_up{target=\"main\"}'} $v->{'salesdrive_incidents_open{kind=\"infobase_paused\"}'}", '0 1', 'a paused base');
my ($age) = map { $v->{$_} } grep { /^salesdrive_order_oldest_seconds/ } keys %$v;
cmp_ok($age, '>', 0, 'the oldest order has an age');
$node->restart;
wait_for('the receiver', sub { http(GET => "http://127.0.0.1:$port/health")->{status} == 200 });
my $after = scrape();
is(join(' ', grep { /^salesdrive_exchange/ && $after->{$_} < $v->{$_} } keys %$v), '', 'counters of exchanges do not go back, not even over a restart');

# ---- as rows, by a reader; what it costs

sql("CREATE ROLE rea LOGIN; SELECT salesdrive.grant_access('rea', 'reader')");
is(sql("SET ROLE rea; SELECT value FROM salesdrive.metrics() WHERE family = 'incidents_open' AND labels ->> 'kind' = 'infobase_paused'"), '1', 'as rows, for who asks by SQL');
is(sql("SET ROLE rea; SELECT bool_and(family IN (SELECT family FROM salesdrive.metric_families())) FROM salesdrive.metrics()"), 't', 'of families that are told');
is(sql("SELECT string_agg(kind, ' ') FROM (SELECT DISTINCT kind FROM salesdrive.incident WHERE kind <> ALL (salesdrive.incident_kinds())) k"), '', 'every kind of incident is among them');
my $scans = sub { return sql("SELECT calls FROM pg_stat_user_functions WHERE funcname = 'metrics_text'") || 0 };
sql("ALTER SYSTEM SET track_functions = 'all'");
$node->reload;
my ($asked, $began) = (0, Time::HiRes::time());
ok(wait_for('statistics', sub { scrape(); $asked++; $asked >= 10 && $scans->() > 0 }), 'asked again and again');
my $calls = $scans->();
cmp_ok($calls, '<=', 1 + (Time::HiRes::time() - $began) / 5, "the database is asked once in five seconds, not $asked times");
sql("INSERT INTO salesdrive.task (scope, kind, key, account, infobase) SELECT 'крам\"ниця\\1', 'order', n::text, 'крам\"ниця\\1', 'main' FROM generate_series(1, 120000) n");
my $t = Time::HiRes::time();
sql('SELECT length(salesdrive.metrics_text())');
cmp_ok(Time::HiRes::time() - $t, '<', 20, 'a long queue costs little');
is(sql("SELECT sum(value) FROM salesdrive.metrics() WHERE family = 'tasks'"), 100000, 'no more is counted than said');

done_testing();
