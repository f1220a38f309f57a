# The HTTP client against bad peers, and what run() and the exchanger hold while they wait.
#
# The engine's SQL is replaced by a table of requests and a table of answers, so that any request can be made and every
# answer is seen as the client gave it.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use IO::Select;
use IO::Socket::INET;
use IO::Compress::Gzip qw(gzip);
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);
use SalesDrive::Test;

# ---- the bad peer: the path says how it behaves; GET /count tells how often each request has arrived ----

package BadPeer;

my %behaviour;
my (%seen, %input, %requests, @later, $select);

sub answer
{
	my ($line, $body, @headers) = @_;
	return join("\r\n", "HTTP/1.1 $line", @headers, 'Content-Length: ' . length $body, '', $body);
}

sub json { return answer('200 OK', $_[0] // '{"ok":1}', 'Content-Type: application/json', @_[1 .. $#_]) }

sub write_all
{
	my ($client, $bytes) = @_;
	$client->blocking(1);
	syswrite $client, $bytes;
	$client->blocking(0);
	return;
}

sub drop
{
	my ($client) = @_;
	$select->remove($client);
	delete $input{$client};
	delete $requests{$client};
	close $client;
	return;
}

sub drop_with_reset
{
	my ($client) = @_;
	setsockopt $client, main::SOL_SOCKET, main::SO_LINGER, pack('II', 1, 0);
	drop($client);
	return;
}

sub in_time
{
	my ($seconds, $action) = @_;
	@later = sort { $a->[0] <=> $b->[0] } @later, [ main::time() + $seconds, $action ];
	return;
}

sub zipped
{
	my ($plain) = @_;
	my $packed;
	main::gzip(\$plain => \$packed);
	return $packed;
}

my $zip = zipped('{"z":1}');
my $bomb = zipped('0' x 50_000_000);

%behaviour = (
	fast => sub { write_all($_[0], json()) },
	delay => sub { my ($client, $seconds) = @_; in_time($seconds, sub { write_all($client, json()) if defined $input{$client} }) },
	hang => sub { },
	reset => sub { drop_with_reset($_[0]) },
	close => sub { drop($_[0]) },
	close_reused => sub { $requests{ $_[0] } > 1 ? drop($_[0]) : write_all($_[0], json()) },
	half_headers => sub { write_all($_[0], "HTTP/1.1 200 OK\r\nContent-Ty"); drop($_[0]) },
	half_headers_hang => sub { write_all($_[0], "HTTP/1.1 200 OK\r\nContent-Ty") },
	half_body_hang => sub { write_all($_[0], "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":") },
	short => sub { write_all($_[0], "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"); drop($_[0]) },
	unframed => sub { write_all($_[0], "HTTP/1.1 200 OK\r\n\r\n"); drop($_[0]) },
	big => sub { write_all($_[0], json('"' . 'x' x $_[1] . '"')) },
	status => sub { write_all($_[0], answer("$_[1] Some", '', 'Retry-After: 7', 'Location: http://elsewhere.example/')) },
	html => sub { write_all($_[0], answer('200 OK', '<html></html>', 'Content-Type: text/html')) },
	empty => sub { write_all($_[0], answer('200 OK', '')) },
	bad_type => sub { write_all($_[0], answer('200 OK', '{}', "Content-Type: a\xff\xfeb")) },
	zip => sub { write_all($_[0], json($zip, 'Content-Encoding: gzip')) },
	bomb => sub { write_all($_[0], json($bomb, 'Content-Encoding: gzip')) },
	headers => sub { write_all($_[0], answer('200 OK', '{}', map { "X-$_: " . 'y' x 1000 } 1 .. 400)) },
	continue => sub { write_all($_[0], "HTTP/1.1 100 Continue\r\n\r\n" . json()) },
	odata => sub { write_all($_[0], answer('400 Bad', '{"odata.error":{"code":"15","message":{"lang":"ru","value":"\u0422\u0430\u043a"}}}')) },
	echo => sub { my ($client, undef, $request) = @_; $request =~ s/[\\"]/_/g; $request =~ s/\r\n/|/g; write_all($client, json("{\"request\":\"$request\"}")) },
	count => sub { write_all($_[0], json('{' . join(',', map { "\"$_\":$seen{$_}" } sort keys %seen) . '}')) },
);

sub serve
{
	my ($server) = @_;
	$SIG{PIPE} = 'IGNORE';
	$SIG{TERM} = sub { POSIX::_exit(0) };
	$select = IO::Select->new($server);
	while (1)
	{
		my $wait = @later ? $later[0][0] - main::time() : 10;
		for my $client ($select->can_read($wait > 0 ? $wait : 0))
		{
			if ($client == $server)
			{
				my $new = $server->accept or next;
				$new->blocking(0);
				@input{$new} = ('');
				$select->add($new);
				next;
			}
			my $got = sysread $client, $input{$client}, 65536, length $input{$client};
			drop($client), next unless $got;
			take_requests($client);
		}
		(shift @later)->[1]->() while @later && $later[0][0] <= main::time();
	}
}

sub take_requests
{
	my ($client) = @_;
	while (defined $input{$client} && $input{$client} =~ /\r\n\r\n/)
	{
		my $size = $+[0];
		my ($method, $how, $detail) = $input{$client} =~ m{^(\S+) /(\w+)/?([^ ?]*)};
		$size += $1 if $input{$client} =~ /^content-length: *(\d+)/im;
		return if length $input{$client} < $size;
		my $request = substr $input{$client}, 0, $size, '';
		$requests{$client}++;
		$seen{"$method $how"}++;
		$behaviour{$how}->($client, $detail, $request);
	}
	return;
}

package main;

my $server = IO::Socket::INET->new(Listen => 512, LocalAddr => '127.0.0.1', LocalPort => 0) or die "no listening socket: $!";
my $url = 'http://127.0.0.1:' . $server->sockport;
my $test_pid = $$;
my $peer_pid = fork // die "cannot fork: $!";
BadPeer::serve($server) if $peer_pid == 0;
close $server;

END
{
	local $?;
	kill 'TERM', $peer_pid if $peer_pid && $$ == $test_pid;
}

# ---- the engine's SQL, replaced ----

my $node = new_node('client', conf => "log_error_verbosity = default\n");

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE request (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state text NOT NULL DEFAULT 'ready', method text NOT NULL DEFAULT 'GET', url text, body text,
    username text, password text, headers text[], connect_timeout integer DEFAULT 10000, total_timeout integer DEFAULT 30000,
    max_bytes integer DEFAULT 1000000, connections integer DEFAULT 64, ca_file text, allow_http boolean DEFAULT false,
    leave_before timestamptz, answer text, target text DEFAULT 'bad peer');
CREATE TABLE answer OF salesdrive.http_result;
CREATE TABLE asked (depth integer, long_until timestamptz);
CREATE OR REPLACE FUNCTION salesdrive.engine_begin() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.request SET state = 'ready' WHERE state = 'in_flight';
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION salesdrive.claim(max_requests integer, known text[] DEFAULT NULL, depths integer[] DEFAULT NULL) RETURNS SETOF salesdrive.http_request LANGUAGE sql AS $$
    INSERT INTO public.asked VALUES (depths[1]);
    WITH due AS (SELECT id FROM public.request WHERE state = 'ready' ORDER BY id LIMIT max_requests FOR UPDATE SKIP LOCKED)
    UPDATE public.request q SET state = 'in_flight' FROM due WHERE due.id = q.id
    RETURNING q.id, 1, q.target, q.method, q.url, q.body, q.username, q.password, q.headers, q.connect_timeout, q.total_timeout, q.max_bytes, q.connections, q.ca_file, q.allow_http, q.leave_before, q.answer
$$;
CREATE OR REPLACE FUNCTION salesdrive.settle(results salesdrive.http_result[]) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.answer SELECT * FROM unnest(results);
    IF EXISTS (SELECT FROM unnest(results) r WHERE r.url LIKE '%poison%' AND r.class NOT IN ('bug', 'unknown_outcome')) THEN
        RAISE EXCEPTION 'this answer is poison';
    END IF;
    IF EXISTS (SELECT FROM unnest(results) r WHERE r.task_id = 1 AND r.url LIKE '%/delay/0.03') THEN
        PERFORM FROM generate_series(1, 2000) a CROSS JOIN generate_series(1, 2000) b CROSS JOIN generate_series(1, 2000) c WHERE clock_timestamp() > now() + interval '2 s' LIMIT 1;
        UPDATE public.asked SET long_until = clock_timestamp();
    END IF;
    UPDATE public.request q SET state = 'done' FROM unnest(results) r WHERE q.id = r.task_id;
    RETURN cardinality(results);
END $$;
CREATE OR REPLACE FUNCTION salesdrive.next_due() RETURNS timestamptz LANGUAGE sql AS $$
    SELECT '-infinity'::timestamptz FROM public.request WHERE state = 'ready' LIMIT 1
$$;
CREATE TRIGGER wake AFTER INSERT ON request EXECUTE FUNCTION salesdrive.wake('exchanger');
SQL

sub sql
{
	my ($query) = @_;
	utf8::encode($query);
	my $out = $node->safe_psql('postgres', $query);
	utf8::decode($out);
	return $out;
}

# ask([method, path, column => value ...] ...): CALL run(), then for each request its answer: "status class error"
sub ask
{
	my @all = @_;
	sql('TRUNCATE request, answer, asked RESTART IDENTITY');
	for my $one (@all)
	{
		my ($method, $path, %more) = @$one;
		my %row = (method => $method, url => $path =~ /^\// ? $url . $path : $path, %more);
		my @columns = sort keys %row;
		sql(sprintf 'INSERT INTO request (%s) VALUES (%s)', join(', ', @columns), join ', ', map { "E'$row{$_}'" } @columns);
	}
	my ($out, $err) = ('', '');
	$node->psql('postgres', 'CALL salesdrive.run()', stdout => \$out, stderr => \$err);
	diag($err) if $err =~ /ERROR|FATAL|PANIC/;
	return split /\n/, sql(q{SELECT concat_ws(' ', coalesce(http_status::text, '-'), class, error) FROM answer ORDER BY task_id});
}

sub count { my ($what) = @_; return json_decode(http(GET => "$url/count")->{content})->{$what} // 0 }

# ---- one kind of trouble after the other ----

my @table = (
	# method, path, body, answer
	[ 'GET', '/fast', undef, qr/^200 ok$/ ],
	[ 'POST', '/fast', '{}', qr/^200 ok$/ ],
	[ 'GET', '/delay/0.3', undef, qr/^200 ok$/ ],
	[ 'GET', '/reset', undef, qr/^- transient / ],
	[ 'POST', '/reset', '{}', qr/^- unknown_outcome / ],
	[ 'POST', '/reset', undef, qr/^- unknown_outcome / ],
	[ 'PATCH', '/close', '{}', qr/^- unknown_outcome / ],
	[ 'GET', '/half_headers', undef, qr/^- transient the connection closed before the answer was complete/ ],
	[ 'POST', '/half_headers', '{}', qr/^- unknown_outcome the connection closed before the answer was complete/ ],
	[ 'POST', '/unframed', undef, qr/^- unknown_outcome the connection closed before the answer was complete/ ],
	[ 'GET', '/half_headers_hang', undef, qr/^- transient .*time went into receiving the answer/ ],
	[ 'POST', '/half_body_hang', '{}', qr/^- unknown_outcome .*time went into receiving the answer/ ],
	[ 'GET', '/hang', undef, qr/^- transient .*time went into waiting for the first byte/ ],
	[ 'POST', '/hang', '{}', qr/^- unknown_outcome .*time went into waiting for the first byte/ ],
	[ 'GET', '/short', undef, qr/^- transient the connection closed before the answer was complete/ ],
	[ 'POST', '/short', '{}', qr/^- unknown_outcome the connection closed before the answer was complete/ ],
	[ 'GET', '/big/300000', undef, qr/^200 ok$/ ],
	[ 'GET', '/big/3000000', undef, qr/^- transient the answer is larger than the limit of 1000000 bytes/ ],
	[ 'POST', '/big/3000000', '{}', qr/^- unknown_outcome the answer is larger/ ],
	[ 'GET', '/bomb', undef, qr/^- transient the answer is larger/ ],
	[ 'GET', '/zip', undef, qr/^200 ok$/ ],
	[ 'GET', '/headers', undef, qr/^- transient the headers of the answer are larger/ ],
	[ 'GET', '/continue', undef, qr/^200 ok$/ ],
	[ 'GET', '/status/429', undef, qr/^429 throttled / ],
	[ 'POST', '/status/503', '{}', qr/^503 unknown_outcome / ],
	[ 'GET', '/status/302', undef, qr/^302 config .*elsewhere.*not followed/ ],
	[ 'GET', '/html', undef, qr/^200 transient the answer is not JSON.*line 1, column 1/ ],
	[ 'POST', '/html', '{}', qr/^200 unknown_outcome the answer is not JSON/ ],
	[ 'POST', '/empty', undef, qr/^200 ok$/ ],
	[ 'GET', '/empty', undef, qr/^200 transient the answer is empty/ ],
	[ 'GET', '/bad_type', undef, qr/^200 ok$/ ],
	[ 'POST', '/odata', '{}', qr/^400 business / ],
);
# a hanging peer has long enough to do what it does before it hangs, also when it is busy with all the others
my @answers = ask(map { [ $_->[0], $_->[1], defined $_->[2] ? (body => $_->[2]) : (), $_->[1] =~ /hang/ ? (total_timeout => 5000) : () ] } @table);
for my $i (0 .. $#table)
{
	my ($method, $path, $body, $expected) = @{ $table[$i] };
	like($answers[$i], $expected, "$method $path" . (defined $body ? '' : ' without a body'));
}
is(sql(q{SELECT DISTINCT retry_after FROM answer WHERE url LIKE '%/status/429'}), '7', 'Retry-After is read');
is(sql(q{SELECT odata_code || ' ' || odata_message FROM answer WHERE url LIKE '%/odata'}), '15 Так', 'an OData error is read');
is(sql(q{SELECT content_type FROM answer WHERE url LIKE '%/bad_type'}), 'a??b', 'bytes of a header that are no text do no harm');
is(sql(q{SELECT convert_from(body, 'UTF8') || body_is_json || body_bytes FROM answer WHERE url LIKE '%/zip'}), '{"z":1}true7', 'gzip is unpacked');
cmp_ok(sql(q{SELECT body_bytes FROM answer WHERE url LIKE '%/bomb'}), '<', 1_100_000, 'a gzip bomb is stopped at the limit');
is(sql(q{SELECT count(*) FROM answer WHERE http_status IS NULL AND body IS NOT NULL}), '0', 'there is no body without a complete answer');
cmp_ok(sql(q{SELECT ms_first_byte FROM answer WHERE url LIKE '%/delay/0.3'}), '>=', 290, 'the time to the first byte is measured');

# ---- what is never sent ----

my $full = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die $!;
my @waiting = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0) } 1 .. 8;
@answers = ask(
	[ 'GET', 'http://127.0.0.1:1/x' ], [ 'GET', 'http://192.0.2.1/x' ], [ 'GET', 'ftp://127.0.0.1/x' ], [ 'GET', 'http://u:p@127.0.0.1/x' ],
	[ 'GET', 'http://127.0.0.1/a b' ], [ 'GET', '/fast', headers => '{"X-A: 1\\r\\nEvil: 2"}' ], [ 'TRACE', '/fast' ],
	[ 'GET', $url =~ s/^http/https/r . '/fast', connect_timeout => 1000 ],
	[ 'POST', 'http://127.0.0.1:' . $full->sockport . '/x', connect_timeout => 1000 ]);
like($answers[0], qr/^- transient .*connect/i, 'nobody listens');
like($answers[1], qr/^- config plain http is allowed to the local machine only/, 'plain http beyond loopback');
like($answers[2], qr/^- config the URL is neither http nor https/, 'another scheme');
like($answers[3], qr/^- config the URL carries a user name/, 'credentials in the URL');
like($answers[4], qr/^- config the URL is not percent-encoded/, 'a blank in the URL');
like($answers[5], qr/^- config a header is not of the form/, 'a header with a line break');
like($answers[6], qr/^- config the method is not one of/, 'an unusual method');
like($answers[7], qr/^- transient .*time went into waiting for the TLS handshake/, 'a TLS handshake that never comes is known not to have sent anything');
like($answers[8], qr/^- transient .*time went into waiting for the connection/, 'nor has a connection that is not accepted');

my $sent = count('POST fast');
@answers = ask([ 'POST', '/fast', body => '{}', leave_before => 'yesterday' ], [ 'POST', '/fast', body => '{}', leave_before => 'tomorrow' ]);
like($answers[0], qr/^- transient not sent: too much time has passed/, 'a request whose time is over is known not to have been sent');
like($answers[1], qr/^200 ok/, 'before that it leaves');
is(count('POST fast'), $sent + 1, 'and one arrived');

# ---- what is sent ----

ask([ 'POST', '/echo', body => '{"ї":1}', username => 'Ївга', password => 'пароль' ], [ 'POST', '/echo' ], [ 'GET', '/echo', headers => '{"Accept: text/xml"}' ]);
my @echo = split /\n/, sql(q{SELECT convert_from(body, 'UTF8')::json->>'request' FROM answer ORDER BY task_id});
like($echo[0], qr/Authorization: Basic 0IfQstCz0LA60L\/QsNGA0L7Qu9GM\|/, 'Basic authentication in UTF-8');
like($echo[0], qr/\|Accept: application\/json\|.*Content-Type: application\/json; charset=utf-8\|Content-Length: 8\|\|\{_ї_:1\}$/, 'JSON headers and the body');
unlike($echo[0], qr/Expect/i, 'no Expect header');
like($echo[1], qr/Content-Length: 0\|/, 'a POST without a body has a length');
unlike($echo[1], qr/Content-Type/, 'and no type');
like($echo[2], qr/Accept: text\/xml/, 'a header of its own replaces the usual one');
unlike($echo[2], qr/application\/json/, 'wholly');

# ---- TLS: the peer is verified ----

SKIP:
{
	my $dir = PostgreSQL::Test::Utils::tempdir();
	skip 'no openssl program', 4 if system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost "
		  . "-keyout $dir/key.pem -out $dir/cert.pem >$dir/log 2>&1") != 0;
	PostgreSQL::Test::Utils::append_to_file("$dir/answer", '{"tls":1}');
	my $port = free_port();
	my $pid = fork // die "cannot fork: $!";
	if ($pid == 0)
	{
		chdir $dir;
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', "$dir/server.log";
		open STDERR, '>&', \*STDOUT;
		exec qw(openssl s_server -WWW -key key.pem -cert cert.pem -accept), $port;
	}
	wait_for('the TLS server', sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) });
	my %sure = (ca_file => "$dir/cert.pem", connections => 1);
	my @tls = ask([ 'GET', "https://localhost:$port/answer", connections => 1 ], [ 'GET', "https://localhost:$port/answer", %sure ],
		[ 'GET', "https://127.0.0.1:$port/answer", %sure ], [ 'GET', "https://localhost:$port/answer", %sure, ca_file => '/nonexistent' ]);
	like($tls[0], qr/^- config .*certificate/i, 'an unknown certificate is an error of configuration');
	like($tls[1], qr/^200 ok/, 'with ca_file it is known');
	like($tls[2], qr/^- config /, 'but for its own name only');
	like($tls[3], qr/^- config /, 'a ca_file that is not there');
	kill 'TERM', $pid;
	waitpid $pid, 0;
}

# ---- no write is sent twice ----

my %one = (connections => 1);
@answers = ask(map { ([ 'GET', '/fast', %one ], $_) } [ 'POST', '/close_reused', body => '{}', %one ], [ 'POST', '/close_reused', %one ],
	[ 'PATCH', '/close_reused', body => '{}', %one ], [ 'DELETE', '/close_reused', %one ], [ 'GET', '/close_reused', %one ]);
like($answers[$_], qr/^- unknown_outcome .*not sent again/, "a write on a dead kept connection, $_") for 1, 3, 5, 7;
like($answers[9], qr/^200 ok/, 'a GET is sent again by itself');
is(count('POST close_reused'), 2, 'each POST arrived once');
is(count('PATCH close_reused'), 1, 'the PATCH arrived once');
is(count('DELETE close_reused'), 1, 'the DELETE arrived once');
is(count('GET close_reused'), 2, 'the GET arrived twice');

# ---- connections are kept, and limited ----

ask(map { [ 'GET', '/delay/0.4', connections => 1 ] } 1 .. 6);
is(sql('SELECT max(depth) FROM asked'), 4, 'of a slow peer four requests are in hand for each connection');
ask(map { [ 'GET', '/fast', connections => 1 ] } 1 .. 24);
cmp_ok(sql('SELECT max(depth) FROM asked'), '>', 4, 'of a quick one as many as last while a turn is made');
ask(map { [ 'GET', '/delay/0.03', connections => 1 ] } 1 .. 16);
cmp_ok(sql('SELECT count(*) FROM answer r WHERE r.started_at < (SELECT min(long_until) FROM asked)'), '>', 7, 'requests go on leaving while a long statement is at work');
# The first claim takes 32, and with the last of them this peer has many more in hand than it wants. Were these taken from another one, it had no room but
# the eight that are looked for in a second: 56 when the last of these leaves, after 24 times 0.3 s.
ask((map { [ 'GET', '/delay/0.3', connections => $_ < 32 ? 8 : 1 ] } 1 .. 32), map { [ 'GET', '/fast', connections => 1, target => 'another' ] } 1 .. 80);
is(sql("SELECT count(*) FROM answer WHERE target = 'another' AND started_at < (SELECT max(started_at) FROM answer WHERE url LIKE '%/delay/0.3')"), '80',
	'a peer that has become slow, or has fewer connections, takes nothing from another one');
ask(map { [ 'GET', '/delay/0.05', connections => 4 ] } 1 .. 24);
is(sql('SELECT count(*) FROM answer WHERE class = \'ok\''), '24', '24 requests over 4 connections');
cmp_ok(sql('SELECT count(*) FROM answer WHERE ms_connect > 0'), '<=', 4, 'no more than 4 were opened');
is(sql(<<'SQL'), 't', 'never more than 4 at once');
SELECT max(open) <= 4 FROM (SELECT sum(step) OVER (ORDER BY at, step) AS open FROM (
    SELECT started_at AS at, 1 AS step FROM answer UNION ALL SELECT started_at + (ms_total - 2) * interval '1 ms', -1 FROM answer) e) s
SQL

# ---- an answer that cannot be settled does not hold up the others ----

ask((map { [ 'GET', '/fast' ] } 1 .. 5), [ 'GET', '/fast?poison' ], [ 'POST', '/fast?poison', body => '{}' ]);
is(sql('SELECT string_agg(method || class || n, \',\' ORDER BY method, class) FROM (SELECT method, class, count(*) AS n FROM answer GROUP BY 1, 2) c'), 'GETbug1,GETok5,POSTunknown_outcome1',
	'a poisonous answer fails alone and comes back as a bug, that of a write as an unknown outcome');
is(sql(q{SELECT count(*) FROM request WHERE state <> 'done'}), '0', 'nothing stays behind');

# ---- run() holds nothing while it waits ----

sql('TRUNCATE request, answer RESTART IDENTITY');
sql("INSERT INTO request (method, url, body, total_timeout) SELECT 'POST', '$url/hang', '{}', 60000 FROM generate_series(1, 3)");
my $runner = $node->background_psql('postgres', on_error_stop => 0);
$runner->{stdin} .= "SET application_name = 'runner';\nCALL salesdrive.run();\n";
$runner->{run}->pump_nb;
ok(wait_for_sql($node, 'postgres', q{SELECT count(*) = 3 FROM request WHERE state = 'in_flight'}), 'requests hang');
wait_for('the peer', sub { count('POST hang') >= 4 });
# a turn of its own may be under way at any one look; what it held for ever would be seen in all of them
ok(wait_for_sql($node, 'postgres', q{SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE application_name = 'runner'}),
	'no snapshot and no transaction id');
ok(wait_for_sql($node, 'postgres', q{SELECT string_agg(DISTINCT locktype, ',' ORDER BY locktype) = 'advisory,virtualxid' FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'runner'}),
	'no lock but the engine\'s');
is(sql('SELECT salesdrive.engine_alive()'), 't', 'the engine is seen alive');
my ($out, $err) = ('', '');
$node->psql('postgres', 'CALL salesdrive.run()', stderr => \$err);
like($err, qr/NOTICE: .*already runs the exchange/, 'a second run() says so and returns');
sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'runner'});
ok(wait_for_sql($node, 'postgres', 'SELECT NOT salesdrive.engine_alive()', 't'), 'a cancel gives the lock back');
$runner->{stdin} .= "\\q\n";
$runner->{run}->finish;

$node->psql('postgres', "BEGIN; CALL salesdrive.run()", stderr => \$err);
like($err, qr/ERROR: .*cannot run inside a transaction block.*HINT/s, 'not inside a transaction block');
sql("SELECT setval('salesdrive.task_id_seq', 1)");
$node->psql('postgres', "DO 'BEGIN PERFORM 1; CALL salesdrive.wait(1); END'; SELECT 1/0", stderr => \$err);
like($err, qr/division by zero/, 'a DO block may call wait()');
$node->psql('postgres', "SET statement_timeout = '300ms'; CALL salesdrive.run()", stderr => \$err);
like($err, qr/statement timeout/, 'statement_timeout works');
is(sql('SELECT salesdrive.engine_alive()'), 'f', 'and gives the lock back');

sql('TRUNCATE request, answer RESTART IDENTITY');
is(sql("CALL salesdrive.run(); LOAD 'auto_explain'; CALL salesdrive.run(); SELECT 'here'"), 'here', 'a library with hooks of its own may be loaded between two calls');

# ---- wait() ----

sql(<<'SQL');
INSERT INTO salesdrive.task (id, scope, kind, key, infobase, state, run_at, reason, detail, hint) VALUES
    (900001, 'base', 'order', '1', 'base', 'parked', now(), 'sku', 'One SKU is unknown.', 'Pin it.'),
    (900002, 'base', 'order', '2', 'base', 'ready', now() + interval '1 day', NULL, NULL, NULL)
SQL
my $hung;
my $rc = $node->psql('postgres', 'CALL salesdrive.wait(900001)', stderr => \$err);
is($rc, 0, 'waiting for a parked task ends');
like($err, qr/is parked: sku.*DETAIL:  One SKU is unknown.*HINT:  Pin it/s, 'and says why and what to do');
$node->psql('postgres', 'CALL salesdrive.wait(900003)', stderr => \$err);
like($err, qr/ERROR:  there is no task 900003.*HINT/s, 'a number that no task has had is an error');
sql("SELECT setval('salesdrive.task_id_seq', 900003)");
$node->psql('postgres', 'CALL salesdrive.wait(900003)', stderr => \$err);
like($err, qr/task 900003 is done/, 'a task that is gone is done');
$node->psql('postgres', "\\set VERBOSITY verbose\nCALL salesdrive.wait(900002, '300 ms')", stderr => \$err);
like($err, qr/ERROR:  SD008: task 900002 was not done in time.*HINT/s, 'the time-out is an error of its own');
is(sql('SELECT salesdrive.engine_alive()'), 'f', 'and gives the lock back');
sql("INSERT INTO request (method, url, body) SELECT 'POST', '$url/delay/4', '{}' FROM generate_series(1, 3)");
$node->psql('postgres', "CALL salesdrive.wait(900002, '2 s')", stderr => \$err);
like($err, qr/ERROR:  task 900002 was not done in time/, 'the time-out passes while requests of others are out');
is(sql(q{SELECT string_agg(class, ' ') FROM answer}), 'ok ok ok', 'their answers are awaited');
sql('TRUNCATE request, answer RESTART IDENTITY');
sql("INSERT INTO request (method, url, body, total_timeout) VALUES ('POST', '$url/hang', '{}', 60000)");
$hung = count('POST hang');
$node->psql('postgres', "SET statement_timeout = '5 s'; CALL salesdrive.wait(900002, '2 s')", stderr => \$err);
like($err, qr/statement timeout/, 'which can be cancelled');
is(count('POST hang'), $hung + 1, 'after the request has left');
sql('DELETE FROM salesdrive.task WHERE id >= 900001');

# ---- the exchanger leaves at once ----

sql('TRUNCATE request, answer RESTART IDENTITY');
sql('SELECT salesdrive.start_workers()');
ok(wait_for_sql($node, 'postgres', 'SELECT salesdrive.engine_alive()'), 'the exchanger runs the engine');
is(sql(q{SELECT application_name FROM pg_stat_activity WHERE backend_type = 'salesdrive exchanger'}), 'salesdrive exchanger', 'under its name');
sql("INSERT INTO request (url) VALUES ('$url/fast')");
ok(wait_for_sql($node, 'postgres', 'SELECT count(*) = 1 FROM answer'), 'a COMMIT wakes it');
my $hanging = count('POST hang');
sql("INSERT INTO request (method, url, body, total_timeout, connections) SELECT 'POST', '$url/hang', '{}', 60000, 64 FROM generate_series(1, 64)");
wait_for('64 hanging requests', sub { count('POST hang') >= $hanging + 64 });
my $started = time;
$node->stop('fast');
my $took = time - $started;
note(sprintf 'fast shutdown with 64 hung peers: %.2f s', $took);
cmp_ok($took, '<', 30, 'a fast shutdown does not wait for hung peers');    # whose requests may take a minute

done_testing();
