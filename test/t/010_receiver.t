# The receiver: what it answers, what it keeps, what it survives. Raw sockets where no client would say it.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use IPC::Run ();
use Time::HiRes ();
use SalesDrive::Test;

my $token = 'a-token-of-24-characters';
my $node = new_node('receiver', workers => 1, conf => <<'CONF');
salesdrive.request_timeout = 60s
salesdrive.idle_timeout = 20s
salesdrive.swallow_limit = 2MB
salesdrive.max_connections_per_address = 24
salesdrive.metrics_token = 'only-for-the-monitor'
CONF
my $port = receiver_port($node);
my $base = "http://127.0.0.1:$port";
my $path = "/webhook/shop/$token";

sub sql
{
	my ($query) = @_;
	utf8::encode($query);
	my $out = $node->safe_psql('postgres', $query);
	utf8::decode($out);
	return $out;
}

sub inbox { my ($where) = @_; return sql('SELECT count(*) FROM salesdrive.inbox' . ($where ? " WHERE $where" : '')) }
sub head { my ($method, $target, @lines) = @_; return join("\r\n", "$method $target HTTP/1.1", 'Host: x', @lines) . "\r\n\r\n" }
sub post { my ($body, $target, @lines) = @_; return head('POST', $target // $path, 'Content-Length: ' . length $body, @lines) . $body }
sub chunk { my ($data) = @_; return sprintf("%x\r\n", length $data) . $data . "\r\n" }

# one request on a connection of its own
sub ask
{
	my ($bytes) = @_;
	my $line = raw_connect($port);
	$line->send($bytes);
	my $answer = $line->read_answer;
	return wantarray ? ($answer, $line) : $answer;
}

sub status_of { my ($bytes) = @_; my $answer = ask($bytes); return $answer ? $answer->{status} : 'closed' }

sub metric
{
	my ($name) = @_;
	my $text = http(GET => "$base/metrics")->{content};
	return $text =~ /^salesdrive_\Q$name\E (\S+)$/m ? $1 : undef;
}

# Answers are counted by the process: what it counted is noted before it ends.
my %counted;
sub note_answers { $counted{$_} = 1 for http(GET => "$base/metrics")->{content} =~ /^salesdrive_answers_total\{status="(\d+)"\} \d+$/mg; return }
sub restart_workers { note_answers(); sql('SELECT salesdrive.restart_workers()'); return listens() }

# ---- before anything is configured ----

ok(wait_for_sql($node, 'postgres', "SELECT state || ' ' || last_error FROM salesdrive.worker_state() WHERE role = 'receiver'",
	'running nothing is configured yet; start with salesdrive.add_infobase()'), 'an empty database is quiet and says why');
ok(!IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port), 'and listens nowhere');

sql("SELECT salesdrive.add_infobase(name => 'main', profile => 'unf', url => 'http://127.0.0.1:9/base', username => 'u', password => 'p');
SELECT salesdrive.add_account(name => 'shop', url => 'https://demo-shop.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => '$token');
SELECT salesdrive.add_account(name => 'магазин 2', url => 'https://demo-two.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'ключ/другий-магазин-24');
SELECT salesdrive.pause_infobase('main', 'this test is about the way in');");
sub listens { return wait_for('the receiver', sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) }) }
ok(listens(), 'it listens as soon as there is something to listen for');
wait_for('the accounts', sub { status_of(post('{"first":1}')) eq '200' });

# ---- the good ----

my $answer = ask(post('{"data":{"id":1}}', $path, 'Content-Type: application/json'));
is($answer->{status}, 200, 'JSON is accepted');
is($answer->{content}, "{\"accepted\":1}\n", 'and says so');
is(inbox(q(body = '{"data":{"id":1}}')), 1, 'it is kept');
is(status_of(post('{"data":{"id":1}}')), 200, 'the same again is accepted');
is(inbox(q(body = '{"data":{"id":1}}')), 1, 'and kept once');
is(status_of(post('{"any":"type"}', $path, 'Content-Type: text/plain')), 200, 'any Content-Type that holds JSON');
is(status_of(post(qq({"data":{"name":"Зразок \x{1F4E6}"}}) =~ s/([^\x00-\x7f])/my $c = $1; utf8::encode($c); $c/ger)), 200, 'emoji');
is(inbox(q(convert_from(body, 'UTF8') LIKE '%📦%' AND address = '127.0.0.1')), 1, 'come through, with the address of the peer');
is(status_of(post('{"n":' . '9' x 5000 . '}')), 200, 'huge numbers are kept');
is(status_of(post('{"data":{"id":77,"version":1,"paymentAmount":1e999999}}')), 200, 'numbers that no database holds are taken in');
ok(wait_for_sql($node, 'postgres', q(SELECT count(*) FROM salesdrive.inbox_reject r JOIN salesdrive.inbox i ON i.id = r.inbox_id WHERE convert_from(i.body, 'UTF8') LIKE '%1e999999%'), 1), 'rejected when they are read, and kept');
is(status_of(post('{"data":{"id":78,"version":1,"contacts":[{"id":1,"fName":"x","phone":["call me in the evening, please"]}]}}')), 200, 'a phone that is a sentence');
ok(wait_for_sql($node, 'postgres', 'SELECT phone IS NULL FROM salesdrive.crm_order WHERE order_id = 78'), 'is an order without a phone');
is(status_of(post(json_encode({ data => { id => 2, products => [ map { { sku => "SKU-$_", amount => 1 } } 1 .. 10_000 ] } }))), 200, 'ten thousand lines');
is(status_of(post('[' x 512 . ']' x 512)), 200, '512 levels are JSON');
is(status_of(head('POST', $path, 'Transfer-Encoding: chunked') . chunk('{"chu') . chunk('nked":1}') . "0\r\n\r\n"), 200, 'chunked');
is(inbox(q(body = '{"chunked":1}')), 1, 'is put together');
is(status_of(post('{"encoded":1}', '/webhook/sh%6Fp/a%2dtoken-of-24-characters')), 200, 'account and token may be percent-encoded');
is(status_of(post('{"second":1}', '/webhook/%D0%BC%D0%B0%D0%B3%D0%B0%D0%B7%D0%B8%D0%BD%202/%D0%BA%D0%BB%D1%8E%D1%87%2F%D0%B4%D1%80%D1%83%D0%B3%D0%B8%D0%B9-%D0%BC%D0%B0%D0%B3%D0%B0%D0%B7%D0%B8%D0%BD-24')),
	200, 'names and tokens of any characters');
is(inbox(q(account = 'магазин 2')), 1, 'and it is that account');
is(status_of(post('{"query":1}', "$path?source=crm")), 200, 'a query part is no harm');

# ---- not JSON: refused, said where, kept as bytes ----

my %not_json = (
	'{"a":1' => [ 1, 7, 6 ],
	"{\n \"a\": nope}" => [ 2, 7, 8 ],
	'' => [ 1, 1, 0 ],
	"{\"a\":\"\0\"}" => [ 1, 7, 6 ],
	"{\"a\":\"\xff\xfe\"}" => [ 1, 7, 6 ],
	'[' x 513 . ']' x 513 => [ 1, 513, 512 ],
	"<html>" => [ 1, 1, 0 ],
);
for my $body (sort keys %not_json)
{
	my $name = length $body > 20 ? 'deep nesting' : $body =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger;
	my $a = ask(post($body));
	is($a->{status}, 400, "400: $name");
	my $said = json_decode($a->{content});
	is_deeply([ @$said{qw(line column offset)} ], $not_json{$body}, "says where: $name");
	is(inbox(sprintf(q(body = '\x%s' AND problem LIKE '%%line %d, column %d%%'), unpack('H*', $body), @{ $not_json{$body} }[ 0, 1 ])), 1, "kept as bytes, with the reason: $name");
}
is(status_of(post('{"nul":"\u0000"}')), 200, 'what only jsonb refuses is taken in');

# ---- who may ----

my $before = inbox();
is(status_of(post('{"w":1}', '/webhook/shop/wrong')), 401, 'wrong token');
is(status_of(post('{"w":1}', "/webhook/nobody/$token")), 401, 'unknown account');
is(status_of(post('{"w":1}', "/webhook/shop'%20OR%201=1--/$token")), 401, 'SQL in a name');
is(status_of(post('{"w":1}', "/webhook/shop%00/$token")), 404, 'a NUL in a name');
is(status_of(post('{"w":1}', "/webhook/shop/%zz")), 404, 'wrong percent-encoding');
is(status_of(post('{"w":1}', $_)), 404, "404: $_") for '/webhook/shop', '/webhook/shop/', '/webhook//x', "$path/more", '/', '/nothing';
$answer = ask(head('GET', $path));
is("$answer->{status} $answer->{headers}{allow}", '405 POST', 'GET on a webhook, with Allow');
$answer = ask(post('x', '/health'));
is("$answer->{status} $answer->{headers}{allow}", '405 GET, HEAD', 'POST on /health, with Allow');
($answer, my $line) = ask(post('{"w":1}', '/webhook/shop/wrong'));
is($answer->{status}, 401, 'after a wrong token');
$line->send(post('{"after":401}'));
is($line->read_answer->{status}, 200, 'the connection goes on');
is(inbox(), $before + 1, 'nothing of the refused was kept');

# ---- framing ----

is(status_of(head('POST', $path)), 411, 'neither length nor chunked');
is(status_of(head('POST', $path, 'Content-Length: 2', 'Transfer-Encoding: chunked') . "2\r\n{}\r\n0\r\n\r\n"), 400, 'both');
is(status_of(head('POST', $path, 'Content-Length: 2', 'Content-Length: 9') . '{}'), 400, 'two lengths');
is(status_of(head('POST', $path, 'Content-Length: +2') . '{}'), 400, 'a length that is no number');
like(status_of(head('POST', $path, 'Transfer-Encoding: gzip') . '{}'), qr/^(400|501)$/, 'an encoding that is not chunked: libmicrohttpd 1.0 answers itself');
is(status_of(head('POST', $path, 'Content-Length: 2', 'Transfer-Encoding : chunked') . '{}'), 400, 'both, one of them with a blank before its colon');
is(status_of(head('POST', $path, 'Content-Length: 2', "Transfer-Encoding:\r\n chunked") . '{}'), 400, 'both, one of them folded');
is(status_of(head('POST', $path, 'Content-Length: 2', 'Content-Length-Hint: 7', 'Transfer-Encoding_x: none') . '{}'), 200, 'a longer name is another header');
is(status_of(head('POST', $path, 'Content-Length: 2', "X-A: b\r\n Transfer-Encoding: chunked") . '{}'), 200, 'a folded value of another header is no header');

$line = raw_connect($port);
$line->send(post('{"keep":1}'));
is($line->read_answer->{status}, 200, 'keep-alive: first');
$line->send(post('{"keep":2}'));
is($line->read_answer->{status}, 200, 'keep-alive: second');
$line->send(post('{"pipe":1}') . post('{"pipe":2') . post('{"pipe":3}'));
is(join(' ', map { $line->read_answer->{status} } 1 .. 3), '200 400 200', 'pipelined: answered one by one');

$line = raw_connect($port);
$line->send(head('POST', $path, 'Content-Length: 12', 'Expect: 100-continue'));
like($line->read_until(qr/\r\n\r\n/), qr/\AHTTP\/1\.1 100 /, 'Expect: 100-continue is granted');
$line->send('{"expect":1}');
like($line->read_until(qr/accepted/), qr/HTTP\/1\.1 200 /, 'and the body taken');
is(status_of(head('POST', '/webhook/shop/wrong', 'Content-Length: 12', 'Expect: 100-continue')), 401, 'not with a wrong token');

# ---- too large ----

is(status_of(head('POST', $path, 'Content-Length: 3000000')), 413, '413 at once, by Content-Length');
is(status_of(post('x' x 3_000_000)), 413, '413 reaches a client that sends 3 MB without looking');
my $mega = '"' . 'y' x 1_400_000 . '"';
is(status_of(head('POST', $path, 'Transfer-Encoding: chunked') . join('', map { chunk($_) } unpack '(a100000)*', $mega) . "0\r\n\r\n"),
	413, 'chunked: swallowed, then 413');
sub refusals { return http(GET => "$base/metrics")->{content} =~ /^salesdrive_answers_total\{status="413"\} (\d+)$/m ? $1 : undef }
my $refused = refusals();
($answer, $line) = ask(head('POST', $path, 'Transfer-Encoding: chunked') . join('', map { chunk('z' x 100_000) } 1 .. 60));
ok(!$answer || $answer->{status} == 413, 'chunked beyond the second limit: 413 if it can be said');
is(refusals(), $refused + 1, 'and counted');
$line->read_all(10);
ok($line->closed, 'and closed');
is(inbox(q(length(body) > 1048576)), 0, 'nothing of it is kept');
is(metric('buffered_bytes'), 0, 'nor held in memory');

# bodies that nobody asked for: 8 times 900 kB, all but the last byte
my $idle = 'x' x 900_000;
my @unasked = map { raw_connect($port) } 1 .. 8;
$unasked[$_]->send(head($_ % 2 ? 'GET' : 'HEAD', $_ % 4 < 2 ? '/health' : '/metrics', 'Content-Length: 900001') . $idle) for 0 .. $#unasked;
is(metric('buffered_bytes'), 0, 'a body of GET or HEAD is not held in memory');
$_->send('x') for @unasked;
is(join(' ', map { ($_->read_until(qr/\r\n\r\n/) =~ /\AHTTP\S+ (\d+)/)[0] } @unasked), '200 ' x 7 . '200', 'but read, and the answer comes');
$_->close for @unasked;
is(status_of(head('GET', '/health', 'Content-Length: 3000000')), 413, 'and refused by its length beyond max_body');
($answer, $line) = ask(head('GET', '/health', 'Transfer-Encoding: chunked') . join('', map { chunk('z' x 100_000) } 1 .. 60));
ok(!$answer || $answer->{status} == 413, 'or in chunks beyond swallow_limit');

# ---- what the library answers itself ----

for ([ 400, 'a Content-Length that is no number', 'Content-Length: abc' ], [ 400, 'a negative one', 'Content-Length: -2' ], [ '400|413', 'one that no machine holds', 'Content-Length: 99999999999999999999999' ],
	[ 431, 'a header of 40 kB', 'X-Long: ' . 'x' x 40_000 ])
{
	my ($status, $what, @lines) = @$_;
	($answer, $line) = ask(head('POST', $path, @lines));
	like($answer->{status}, qr/^(?:$status)$/, "$what: $status");
	$line->read_all(10);
	ok($line->closed, 'and closed');
}
is(status_of(head('POST', $path . '?' . 'x' x 40_000)), 414, 'an address of 40 kB: 414');

# ---- slow and broken ----

# as short as these are to be awaited; all others have a minute, so that none is late on a machine that is busy
sql("ALTER DATABASE postgres SET salesdrive.request_timeout = '1500 ms'");
restart_workers();

sub timed_out
{
	my ($name, $send, $after) = @_;
	my $l = raw_connect($port);
	my $started = Time::HiRes::time();
	$l->send($send);
	if ($after)
	{
		until ($l->closed)
		{
			last if Time::HiRes::time() > $started + 60 || !$l->send($after);
			$l->read_until(qr/ 408 /, 0.2);
			last if $l->{buffer} =~ / 408 /;
		}
	}
	$l->read_all;
	my $took = Time::HiRes::time() - $started;
	like($l->{buffer}, qr/\AHTTP\/1\.1 408 /, "$name: 408");
	cmp_ok($took, '<', 15, sprintf '%s: in time (%.1f s)', $name, $took);    # before idle_timeout
}

my $timeouts = metric('requests_timed_out_total');
timed_out('half a header', "POST $path HTTP/1.1\r\nHost: x\r\nContent-Le");
timed_out('half a request line', 'POST /webho');
timed_out('half a body', head('POST', $path, 'Content-Length: 20') . '{"half":');
timed_out('a dripping header', "POST $path HTTP/1.1\r\nHost: x\r\nX-Drip: ", 'a');
timed_out('a dripping body', head('POST', $path, 'Content-Length: 2000') . '{"drip":"', 'b');
is(metric('requests_timed_out_total'), $timeouts + 5, 'they are counted');

$line = raw_connect($port);
is($line->read_all(15), '', 'a connection that says nothing is closed without a word');
ok($line->closed, 'in time');

($line) = (raw_connect($port));
$line->send(post('{"then":"drip"}'));
is($line->read_answer->{status}, 200, 'a good request, then a drip on the same connection');
my $started = Time::HiRes::time();
until ($line->closed || $line->{buffer} =~ / 408 / || Time::HiRes::time() > $started + 60)
{
	last unless $line->send('P');
	$line->read_until(qr/ 408 /, 0.2);
}
like($line->{buffer}, qr/\AHTTP\/1\.1 408 /, 'ends as well');
cmp_ok(Time::HiRes::time() - $started, '<', 15, 'before long');
sql('ALTER DATABASE postgres RESET salesdrive.request_timeout');
restart_workers();

my $cut = metric('requests_cut_total');
$line = raw_connect($port);
$line->send(head('POST', $path, 'Content-Length: 100') . '{"wrong":"length"}');
$line->close;
ok(wait_for('the cut', sub { metric('requests_cut_total') > $cut }), 'a body that ends too early is counted');
is(inbox(q(encode(body, 'escape') LIKE '%wrong":"length%')), 0, 'and not kept');
for (1 .. 20)
{
	my $l = raw_connect($port);
	$l->send($_ % 2 ? post('{"ends":"at once"}') : head('POST', $path, 'Content-Length: 100') . '{"ends":');
	$l->close;
}
ok(wait_for('the ends', sub { metric('connections') == 1 }), 'peers that end together with their last bytes free their places at once');
for (1 .. 20)
{
	my $l = raw_connect($port);
	$l->send($_ % 2 ? "POST $path HTTP/1.1\r\nHost: x\r\nContent-Le" : 'POST /webho');
	$l->close;
}
ok(wait_for('the ends', sub { metric('connections') == 1 }), 'also in the middle of a header or of a request line');
isnt(status_of("GET / HTTP/9.9\r\n\r\n"), 200, 'nonsense 1');
isnt(status_of("\0\1\2\3\r\n\r\n"), 200, 'nonsense 2');
isnt(status_of("POST $path HTTP/1.1\r\n" . join('', map { "X-$_: " . 'h' x 1000 . "\r\n" } 1 .. 60) . "\r\n"), 200, 'too many headers');

# ---- many at once ----

my @lines = map { raw_connect($port) } 1 .. 24;
$_->send("POST $path HTTP/1.1\r\n") for @lines;
$line = raw_connect($port);
$line->send(head('GET', '/health'));
$line->read_all(10);
ok($line->closed && $line->{buffer} eq '', 'a connection beyond the limit of one address is closed');
$_->close for @lines;
wait_for('room', sub { status_of(head('GET', '/health')) eq '200' });
cmp_ok(metric('connections_refused_total'), '>', 0, 'and counted');

# a lock makes the receiver wait, so that what comes meanwhile is one set
{
	my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \my $in, '>', \my $out, '2>', \my $err);
	my $lock = sub {
		$in .= "BEGIN; LOCK TABLE salesdrive.inbox IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n";
		$out = '';
		$psql->pump until $out =~ /locked/;
		my $first = raw_connect($port);
		$first->send(post('{"waits":' . int(rand 1e9) . '}'));
		wait_for_sql($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'salesdrive receiver' AND wait_event_type = 'Lock'", 1);
		return $first;
	};
	my $unlock = sub { $in .= "COMMIT;\n"; $psql->pump_nb };

	my $commits = metric('intake_commits_total');
	my @waiting = $lock->();
	for my $i (1 .. 15)
	{
		push @waiting, raw_connect($port);
		$waiting[-1]->send(post(qq({"group":$i})));
	}
	$unlock->();
	is(join(' ', map { my $a = $_->read_answer; $a ? $a->{status} : 'closed' } @waiting), join(' ', (200) x 16), 'sixteen at once');
	cmp_ok(metric('intake_commits_total') - $commits, '<=', 3, 'share a few commits');
	is(inbox(q(encode(body, 'escape') LIKE '{"group":%')), 15, 'and are all there');

	# one bad row fails alone
	sql(q(CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF encode(NEW.body, 'escape') LIKE '%"poison"%' THEN
		RAISE EXCEPTION 'no' USING ERRCODE = '23514';
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON salesdrive.inbox FOR EACH ROW EXECUTE FUNCTION refuse();));
	@waiting = $lock->();
	for my $body ('{"well":1}', '{"poison":1}', '{"well":2}')
	{
		push @waiting, raw_connect($port);
		$waiting[-1]->send(post($body));
	}
	$unlock->();
	my @answers = map { $_->read_answer } @waiting;
	is(join(' ', map { $_->{status} } @answers), '200 200 503 200', 'one bad row fails alone');
	ok($answers[2]{headers}{'retry-after'}, 'with Retry-After');
	sql('DROP TRIGGER refuse ON salesdrive.inbox');
	is(status_of(post('{"poison":1}')), 200, 'and is taken later');
	$in .= "\\q\n";
	$psql->finish;
}

# ---- when the database cannot commit ----

$answer = ask(head('GET', '/health'));
is($answer->{status}, 200, '/health: well');
my $health = json_decode($answer->{content});
is("$health->{status} $health->{database}", 'ok ok', '/health: says so');
like($health->{queue_rows}, qr/^\d+$/, '/health: queue');

$node->safe_psql('postgres', 'ALTER SYSTEM SET default_transaction_read_only = on');
$node->reload;
ok(wait_for('read-only', sub { ask(head('GET', '/health'))->{status} == 503 }), '/health: 503 when the database is read-only');
$answer = ask(post('{"read":"only"}'));
is($answer->{status}, 503, '503 when it cannot be committed');
ok($answer->{headers}{'retry-after'}, 'with Retry-After');
is(json_decode(ask(head('GET', '/health'))->{content})->{database}, 'cannot commit', '/health: says why');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET default_transaction_read_only');
$node->reload;
ok(wait_for('read-write', sub { ask(head('GET', '/health'))->{status} == 200 }), '/health: well again');
is(status_of(post('{"read":"only"}')), 200, 'and taken again');

# ---- /metrics ----

$answer = http(GET => "$base/metrics");
like($answer->{headers}{'content-type'}, qr{^application/openmetrics-text}, '/metrics: its type');
like($answer->{content}, qr/\n# EOF\n\z/, '/metrics: its end');
note_answers();
ok($counted{$_}, "/metrics: counts $_") for 200, 400, 401, 404, 405, 408, 411, 413, 503;
is(http(GET => "$base/metrics", { 'X-Forwarded-For' => '192.0.2.1' })->{status}, 401, '/metrics: not through a proxy');
is(http(GET => "$base/metrics", { 'X-Forwarded-For' => '192.0.2.1', Authorization => 'Bearer wrong' })->{status}, 401, '/metrics: wrong token');
is(http(GET => "$base/metrics", { 'X-Forwarded-For' => '192.0.2.1', Authorization => 'Bearer only-for-the-monitor' })->{status}, 200, '/metrics: right token');

# ---- accounts come and go ----

sql("SELECT salesdrive.set_secret('account:shop:webhook_token', 'another-token-24-characters')");
ok(wait_for('the new token', sub { status_of(post('{"new":"token"}', '/webhook/shop/another-token-24-characters')) eq '200' }), 'a new token is in force at once');
is(status_of(post('{"old":"token"}')), 401, 'the old one is not');

# ---- TLS ----

SKIP:
{
	my $dir = $node->basedir;
	skip 'no openssl', 4 if system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout $dir/key.pem -out $dir/cert.pem >$dir/openssl.log 2>&1") != 0;
	sql("ALTER DATABASE postgres SET salesdrive.tls_certificate = '$dir/cert.pem'; ALTER DATABASE postgres SET salesdrive.tls_key = '$dir/missing.pem'; SELECT salesdrive.restart_workers()");
	ok(wait_for_sql($node, 'postgres', "SELECT last_error LIKE '%missing.pem%' FROM salesdrive.worker_state() WHERE role = 'receiver'"), 'a missing key file is told');
	sql("ALTER DATABASE postgres SET salesdrive.tls_key = '$dir/key.pem'; SELECT salesdrive.restart_workers()");
	my $target = '/webhook/shop/another-token-24-characters';
	my $request = post('{"tls":1}', $target, 'Connection: close');
	my $reply = '';
	ok(wait_for('TLS', sub {
		$reply = '';
		IPC::Run::run([ 'openssl', 's_client', '-quiet', '-connect', "127.0.0.1:$port", '-CAfile', "$dir/cert.pem", '-verify_return_error' ],
			'<', \$request, '>', \$reply, '2>', \my $noise);
		return $reply =~ /HTTP\/1\.1 200 /;
	}), 'a webhook over TLS');
	is(inbox(q(body = '{"tls":1}')), 1, 'is kept');
	is(status_of(post('{"plain":1}', $target)), 'closed', 'and plain HTTP is not spoken any more');
}

my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP|terminated by signal|another-token|only-for-the-monitor/, 'nothing crashed, and no secret is in the log');
$node->stop('fast');
done_testing();
