#!/usr/bin/perl
# bas.pl - simulator of a BAS infobase (УНФ unless told otherwise) published over the standard OData interface
#
#   perl test/peer/bas.pl [--port N] [--control-port N] [--host 127.0.0.1] [--publication base] [--user NAME] [--password TEXT]
#                         [--config '{"option": value}'] [--configuration unf|trade32|trade32:3.5|accounting2|...]: see Peer/Bas/Schema.pm
#
# Prints one line {"port":N,"control":M,"url":"http://127.0.0.1:N/base"} and serves until SIGTERM, POST /stop, or the end of a standard
# input that is a pipe. Default user "Обмен", password "secret". All data is invented and lives in memory.
#
# Control address, besides the routes of Peer/Control.pm (/config /requests /faults /connections /ping /stop; fault rules: Peer/Traffic.pm):
#   GET  /state[?full=1][&brief=1]  documents {count, posted, marked, sum, rows, by_reference {reference: n}}, counterparties {count, created,
#                      by_phone {last 9 digits: n}}, violations [{kind, ...}]; full=1 adds documents.list and counterparties.list; brief=1
#                      leaves the maps out
#   GET  /objects?set=S[&key=K]     whole objects of a set, as the base would answer
#   POST /load         {"Set": [row, ...]}: puts rows as they are (into registers: adds records), replaces by Ref_Key; no handlers, Posted and PredefinedDataName allowed
#   POST /generate     {"from": 1, "count": N, "rows": {"Set": {row}}}: /load of N such rows; {n}, {n6} (padded), {key} and {q} (n modulo 100) stand in their
#                      texts for the number; a list of rows gives several for each
#   POST /clear        {"set": register}: all its records are gone
#   POST /delete       {"set": S, "keys": [...]}: physically
#   POST /edit         {"set": S, "key": K | "reference": customer reference, "properties": {...}, "post": true|false}: a BAS user at work
#   POST /reset        fresh seed, no faults, empty log; options as they were at the start
# Options (POST /config):
#   keeps_ref_key      true: a Ref_Key in POST is honoured; false: the base makes its own
#   posted_on_create   true: "Posted": true in POST posts
#   latency_ms, latency_jitter_ms    before the work of each request        set_latency_ms {"Set": ms} added for one set
#   cold_start_ms, cold_after_ms     the first request, and each one after such a pause, waits
#   max_url, max_query bytes: beyond it the web server answers its 404 page (long_url_status)
#   licences           0 = none; n: with more than n sessions (licence_by: connections | requests) licence_status and licence_body
#                      (exception | html)
#   sessions           true: IBSession: start gives a cookie, an unknown or expired cookie (session_max_age seconds) gets 406
#   closed_until       "2026-01-31": posting documents up to that date is refused
#   refuse             {"create|write|post Set": "sentence"}: 500, code -1        unique_names {"Set": true}
#   deny_sets          [Set]: 401, code 20       hidden {"Set": [keys]}: rows forbidden by record-level rights
#   unpublished        [Set]: 404, code 8
#   ignore_case        comparisons of text as in a case-insensitive DBMS
#   unordered          true: lists without $orderby come in another order
#   data_version_order server | file          metadata_max_length, metadata_padding (invented sets), nav_links, clock_offset_s, products, log, log_limit, log_bodies
#   function_calls     both, brackets or query: how parameters of virtual tables (Balance, SliceLast) may be given
#   accounting_quantity   name of the column of the quantity in Balance of the accounting register
#   row_tolerance      of the checks behind violations
use v5.36;
no feature 'unicode_strings';
no warnings 'experimental::builtin';
use builtin qw(true false);
use FindBin;
use lib $FindBin::Bin;
BEGIN { for my $n (reverse 0 .. $#ARGV - 1) { ($ENV{BAS_CONFIGURATION}) = (splice @ARGV, $n, 2)[1] if $ARGV[$n] eq '--configuration' } }    # before the schema is read
use Getopt::Long;
use MIME::Base64 qw(encode_base64);
use Peer::Json qw(encode decode raw);
use Peer::Loop;
use Peer::Http;
use Peer::Traffic;
use Peer::Control;
use Peer::Bas::Schema qw(%TYPE %ROLE @SET_NAMES $NIL);
use Peer::Bas::Store qw(fail);
use Peer::Bas::Query;
use Peer::Bas::Answer;
use Peer::Bas::Register;
use Peer::Bas::Seed;
use Peer::Bas::Audit;

my %opt = (port => 0, 'control-port' => 0, host => '127.0.0.1', publication => 'base', user => 'Обмен', password => 'secret', config => '{}');
GetOptions(\%opt, 'port=i', 'control-port=i', 'host=s', 'publication=s', 'user=s', 'password=s', 'config=s') or die "see the head of this file\n";

my %config = (
	keeps_ref_key => true, posted_on_create => true, latency_ms => 0, latency_jitter_ms => 0, set_latency_ms => {}, cold_start_ms => 0, cold_after_ms => 0,
	max_url => 4096, max_query => 2048, long_url_status => 404, licences => 0, licence_by => 'connections', licence_status => 500,
	licence_body => 'exception', sessions => false, session_max_age => 20, closed_until => '', refuse => {}, unique_names => {}, deny_sets => [],
	hidden => {}, unpublished => [], ignore_case => false, unordered => false, data_version_order => 'server', metadata_max_length => false, metadata_padding => 0,
	nav_links => true, clock_offset_s => 0, products => 60, log => true, log_limit => 100_000, log_bodies => false, row_tolerance => 0.02,
	function_calls => 'both', accounting_quantity => 'КоличествоDebitBalance');
{
	my ($given, $why) = decode($opt{config});
	die "--config: $why\n" if defined $why;
	for (keys %$given) { die "--config: unknown option $_\n" if !exists $config{$_} }
	%config = (%config, %$given);
}
my %config_at_start = %config;

my $loop = Peer::Loop->new;
my $store = Peer::Bas::Store->new(\%config);
Peer::Bas::Seed::fill($store, \%config);
my $traffic = Peer::Traffic->new(loop => $loop, config => \%config, body => \&fault_body);
my $server = Peer::Http->listen($loop, $opt{host}, $opt{port}, \&serve);

my $PREFIX = "/$opt{publication}/odata/standard.odata";
my $AUTHORIZATION = 'Basic ' . encode_base64("$opt{user}:$opt{password}", '');
my $JSON = 'application/json;odata=minimalmetadata;charset=utf-8';
my @ODATA = ('DataServiceVersion', '3.0');
my (%published, %unpublished, %denied);
my $last_request = 0;
my %session;
my $session_serial = 0;

sub configure (@)
{
	%unpublished = map { $_ => 1 } $config{unpublished}->@*;
	%denied = map { $_ => 1 } $config{deny_sets}->@*;
	%published = map { $_ => 1 } grep { !$unpublished{$_} && !($TYPE{$_}{parent} && $unpublished{ $TYPE{$_}{parent}{name} }) && !($TYPE{$_}{register} && $unpublished{ $TYPE{$_}{register} }) } @SET_NAMES;
	$store->drop_indexes;
	Peer::Bas::Register::name_columns(\%config);
}
configure();

# ---------------------------------------------------------------- the way of a request

sub serve ($req)
{
	my $now = Peer::Loop::now();
	my $route = route($req);
	$req->{extra_ms} = $config{set_latency_ms}{ $route->{set} } // 0 if defined $route->{set};
	$req->{extra_ms} += $config{cold_start_ms} if $config{cold_start_ms} && (!$last_request || $config{cold_after_ms} && ($now - $last_request) * 1000 > $config{cold_after_ms});
	$last_request = $now;
	$traffic->serve($req, $route->{label}, sub { work($req, $route) });
}

my %route_known;

# Where a path leads: { label, set, type, key, tail }. Paths without a key are remembered.
sub route ($req)
{
	my $raw = $req->{path};
	my $r = $route_known{$raw} // parse_route($raw);
	$route_known{$raw} = $r if !defined $r->{key} && length $raw < 300;
	return { %$r, label => "$req->{method} $r->{name}" };
}

sub parse_route ($raw)
{
	my $path = Peer::Traffic::decoded($raw);
	return { name => '(outside)', outside => 1 } if $path !~ s{\A\Q$PREFIX\E(?:/|\z)}{};
	return { name => '$root', root => 1 } if $path eq '';
	return { name => '$metadata', metadata => 1 } if $path eq '$metadata';
	my ($set, $key, $tail) = $path =~ m{\A([^/(]+)(\([^)]*\))?(?:/(.*))?\z} or return { name => '(bad path)', bad => 1 };
	my $type = $TYPE{$set};
	my $name = $set . (defined $tail && $tail =~ /\A(Post|Unpost|\$count|$Peer::Bas::Register::FUNCTION)\b|\A(\$count)\z/ ? "/$tail" =~ s/[(?].*//r : '');
	return { name => $name, set => $set, type => $type, key => $key, tail => $tail };
}

sub work ($req, $route)
{
	my $long = length $req->{target} > $config{max_url} || length($req->{query} // '') > $config{max_query};
	return page($config{long_url_status}, 'Not Found') if $long;
	return page(404, 'Not Found') if $route->{outside};
	if (($req->{h}{authorization} // '') ne $AUTHORIZATION) {
		my $answer = page(401, 'Unauthorized');
		push $answer->[1]->@*, 'WWW-Authenticate', 'Basic realm="1C:Enterprise 8.3"';
		return $answer;
	}
	my $refusal = platform_refusal($req);
	return $refusal if $refusal;
	$req->{json} = wants_json($req);
	my $answer = eval { odata($req, $route) };
	if (my $e = $@) {
		if (ref $e ne 'ARRAY') {
			warn "bas.pl: $e";
			$e = [ 500, -1, "Внутренняя ошибка имитатора: $e" ];
		}
		my ($type, $body) = Peer::Bas::Answer::error($e->[1], $e->[2], $req->{json});
		$answer = [ $e->[0], [ 'Content-Type', $type, @ODATA ], $body ];
	}
	push $answer->[1]->@*, 'Set-Cookie', "ibsession=$req->{session}; Path=/$opt{publication}" if $req->{session};
	return $answer;
}

sub page ($status, $title)
{
	my ($type, $body) = Peer::Bas::Answer::page($title);
	return [ $status, [ 'Content-Type', $type ], $body ];
}

# Licences and sessions: what fails below OData.
sub platform_refusal ($req)
{
	if ($config{licences}) {
		my $n = $config{licence_by} eq 'requests' ? $traffic->{in_flight} : $server->{open};
		if ($n > $config{licences}) {
			return page($config{licence_status}, 'Не обнаружено свободной лицензии!') if $config{licence_body} eq 'html';
			my ($type, $body) = Peer::Bas::Answer::exception(500, 'Не обнаружено свободной лицензии!');
			return [ $config{licence_status}, [ 'Content-Type', $type ], $body ];
		}
	}
	return undef if !$config{sessions};
	my $now = Peer::Loop::now();
	my $wish = lc($req->{h}{ibsession} // '');
	my ($id) = ($req->{h}{cookie} // '') =~ /\bibsession=([0-9a-f-]+)/;
	if (defined $id) {
		my $seen = $session{$id};
		if (!defined $seen || $now - $seen > $config{session_max_age}) {
			delete $session{$id};
			my ($type, $body) = Peer::Bas::Answer::exception(406, 'Истекло время ожидания сеанса');
			return [ 406, [ 'Content-Type', $type ], $body ];
		}
		$session{$id} = $now;
		delete $session{$id} if $wish eq 'finish';
	}
	elsif ($wish eq 'start') {
		$req->{session} = sprintf '%08x-0000-0000-0000-%012x', ($session_serial * 40503) & 0xffffffff, ++$session_serial;
		$session{ $req->{session} } = $now;
	}
	return undef;
}

sub wants_json ($req)
{
	if (defined $req->{query} && $req->{query} =~ /(?:\A|&)(?:\$|%24)format=([^&]*)/i) {
		my $f = Peer::Traffic::decoded($1);
		$req->{level} = $1 if $f =~ /odata=(\w+)/;
		return $f =~ /json/ ? 1 : 0;
	}
	my $accept = $req->{h}{accept} // '';
	$req->{level} = $1 if $accept =~ /odata=(\w+)/;
	return $accept =~ /json/i ? 1 : 0;
}

my %OPTION = map { $_ => 1 } qw($filter $select $top $skip $orderby $count $inlinecount $format $expand $allowedOnly allowedOnly PostingModeOperational);

my $VIRTUAL = qr/\A($Peer::Bas::Register::FUNCTION)(\(.*\))?(\/\$count)?\z/s;
my %ARGUMENT = map { $_ => 1 } qw(Period Condition Dimensions AccountCondition ExtraDimensions);
my %AFTER_FUNCTION = map { $_ => 1 } qw($filter $select $top $format);

sub options ($req, $route)
{
	my $function = ($route->{tail} // '') =~ $VIRTUAL;
	my %o;
	return \%o if !defined $req->{query} || $req->{query} eq '';
	for my $pair (split /&/, $req->{query}) {
		next if $pair eq '';
		my ($k, $v) = split /=/, $pair, 2;
		$k = Peer::Traffic::decoded($k);
		fail(400, 0, "Опция запроса $k не поддерживается") if $function ? !$AFTER_FUNCTION{$k} && !$ARGUMENT{$k} : !$OPTION{$k};
		$o{$k} = Peer::Traffic::decoded($v // '');
		utf8::decode(my $check = $o{$k}) or fail(400, 1, 'Ошибка разбора строки: не UTF-8');
	}
	return \%o;
}

sub odata ($req, $route)
{
	my $o = options($req, $route);
	my $method = $req->{method};
	if ($route->{root} || $route->{metadata}) {
		fail(405, 19, "Метод $method не поддерживается") if $method ne 'GET' && $method ne 'HEAD';
		return $route->{root} ? service_document($req) : metadata();
	}
	fail(400, 6, 'Сегмент пути не найден') if $route->{bad};
	fail(404, 8, "Тип сущности $route->{set} не найден") if !$route->{type} || !$published{ $route->{set} };
	fail(401, 20, 'Нарушение прав доступа!') if $denied{ $route->{set} };
	my ($type, $key, $tail) = $route->@{qw(type key tail)};
	if (defined $key) {
		return section_row($req, $type, $key, $tail) if $type->{parent};
		my $id = $type->{kind} eq 'register' ? record_key($type, $key) : object_key($key);
		return action($req, $type, $id, $tail, $o) if defined $tail && $tail =~ /\A(?:Post|Unpost)(?:\(|\z)/;
		return read_one($req, $type, $id, $tail, $o) if $method eq 'GET' || $method eq 'HEAD';
		fail(400, 6, "Сегмент пути $tail не найден") if defined $tail && $tail ne '';
		return change($req, $type, $id) if $method eq 'PATCH';
		return erase($type, $id) if $method eq 'DELETE';
		fail(400, 5, 'Отсутствует обязательное свойство') if $method eq 'PUT';
		fail(405, 19, "Метод $method не поддерживается");
	}
	return virtual_table($req, $type, $tail, $o) if ($tail // '') =~ $VIRTUAL && ($method eq 'GET' || $method eq 'HEAD');
	return read_set($req, $type, $tail, $o) if $method eq 'GET' || $method eq 'HEAD';
	fail(501, 21, 'Запись регистров не моделируется') if $type->{register};
	fail(400, 6, "Сегмент пути $tail не найден") if defined $tail && $tail ne '';
	return create($req, $type) if $method eq 'POST';
	fail(405, 19, "Метод $method не поддерживается");
}

sub base_url ($req) { return 'http://' . ($req->{h}{host} // "$opt{host}:$server->{port}") . "$PREFIX/" }

sub service_document ($req)
{
	my $base = base_url($req);
	my @names = grep { $published{$_} } @SET_NAMES;
	return [ 200, [ 'Content-Type', $JSON, @ODATA ], "{\"odata.metadata\":\"$base\$metadata\",\"value\":[" . join(',', map { "{\"name\":\"$_\",\"url\":\"$_\"}" } @names) . ']}' ] if $req->{json};
	return [ 200, [ 'Content-Type', 'application/atomsvc+xml;charset=utf-8', @ODATA ],
		qq{<?xml version="1.0" encoding="UTF-8"?>\n<service xml:base="$base" xmlns="http://www.w3.org/2007/app" xmlns:atom="http://www.w3.org/2005/Atom"><workspace><atom:title>Default</atom:title>}
		  . join('', map { "<collection href=\"$_\"><atom:title>$_</atom:title></collection>" } @names) . '</workspace></service>' ];
}

sub metadata ()
{
	return [ 200, [ 'Content-Type', 'application/xml;charset=utf-8', @ODATA ], Peer::Bas::Schema::metadata(\%published, max_length => $config{metadata_max_length}, padding => $config{metadata_padding}) ];
}

# ---------------------------------------------------------------- writing

sub object_key ($text)
{
	$text =~ /\A\((?:Ref_Key *= *)?guid'([^']*)'\)\z/ or fail(400, $text eq '()' ? 7 : 1, 'Ошибка разбора ключа сущности');
	my $id = lc $1;
	$id =~ /\A[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\z/ or fail(400, 1, 'Ошибка разбора строки: ключ не является Edm.Guid');
	return $id;
}

# (Name=literal,...): all dimensions, with the types of composite ones; the value of such a one as text or as guid.
sub record_key ($type, $text)
{
	my %given;
	my $rest = substr $text, 1, -1;
	while ($rest =~ s/\A *([\w\x80-\xff]+) *= *(guid)?'([^']*)' *(?:,|\z)//) {
		my ($name, $guid, $value) = ($1, $2, $3);
		my ($p) = grep { $_->{name} eq $name } $type->{key}->@* or fail(400, 6, "Сегмент пути $name не найден");
		fail(400, 1, 'Ошибка разбора ключа сущности') if $p->{kind} eq 'guid' ? !$guid : $guid && $p->{kind} ne 'value';
		$given{$name} = $value;
	}
	fail(400, 1, 'Ошибка разбора ключа сущности') if $rest ne '';
	for my $p ($type->{key}->@*) { fail(400, 7, "Отсутствует элемент ключа $p->{name}") if !defined $given{ $p->{name} } }
	return $store->record_key($type, \%given);
}

sub find ($type, $id)
{
	my $o = $store->get($type->{name}, $id) // fail(404, 9, "Экземпляр сущности $type->{name}" . ($type->{key} ? '' : "(guid'$id')") . ' не найден');
	fail(401, 20, 'Нарушение прав доступа!') if grep { $_ eq $id } ($config{hidden}{ $type->{name} } // [])->@*;
	return $o;
}

sub body_of ($req)
{
	fail(400, 2, 'Неверный формат запроса') if ($req->{h}{'content-type'} // '') !~ /json/i;
	my $text = $req->{body} =~ s/\A\xef\xbb\xbf//r;
	utf8::decode(my $check = $text) or fail(400, 2, 'Неверный формат запроса: не UTF-8');
	my ($body, $why) = decode($text);
	fail(400, 2, 'Неверный формат запроса') if defined $why || ref $body ne 'HASH';
	return $body;
}

sub one ($req, $type, $o, $status, @headers)
{
	my $base = base_url($req);
	return [ $status, [ 'Content-Type', 'application/atom+xml;type=entry;charset=utf-8', @ODATA, @headers ], Peer::Bas::Answer::atom_one($type, $o, $base) ] if !$req->{json};
	my $level = $req->{level} // 'minimalmetadata';
	my $head = $level eq 'nometadata' ? '{' : "{\"odata.metadata\":\"$base\$metadata#$type->{name}/\@Element\",";
	$head .= "\"odata.type\":\"StandardODATA.$type->{name}\"," if $level eq 'fullmetadata';
	return [ $status, [ 'Content-Type', "application/json;odata=$level;charset=utf-8", @ODATA, @headers ],
		$head . Peer::Bas::Answer::members($type, $o, $level ne 'nometadata' && $config{nav_links} && !$type->{key}) . '}' ];
}

sub load_mode ($req) { return lc($req->{h}{'1c_odata-dataloadmode'} // '') eq 'true' }

sub create ($req, $type)
{
	fail(400, 13, 'Строки табличной части не могут быть созданы отдельно') if $type->{parent};
	my $o = $store->create($type, body_of($req), load_mode($req));
	return one($req, $type, $o, 200) if $type->{kind} eq 'register';
	return one($req, $type, $o, 201, 'Location', base_url($req) . "$type->{name}(guid'$o->{Ref_Key}')");
}

sub change ($req, $type, $id)
{
	my $o = find($type, $id);
	return one($req, $type, $store->update($type, $o, body_of($req), load_mode($req)), 200);
}

sub erase ($type, $id)
{
	$store->remove($type, find($type, $id));
	return [ 204, [@ODATA], '' ];
}

# GET executes the action as POST does.
sub action ($req, $type, $id, $tail, $o)
{
	my ($name, $arguments) = $tail =~ /\A(Post|Unpost)(\([^)]*\))?\z/ or fail(400, 6, "Сегмент пути $tail не найден");
	fail(404, 11, "Метод $name не найден") if $type->{kind} ne 'document';
	fail(405, 19, "Метод $req->{method} не поддерживается") if $req->{method} !~ /\A(?:GET|POST)\z/;
	for my $a (($arguments // '()'), defined $o->{PostingModeOperational} ? "(PostingModeOperational=$o->{PostingModeOperational})" : ()) {
		fail(400, 12, 'Неверный параметр метода') if $a !~ /\A\((?: *PostingModeOperational *= *(?:true|false) *)?\)\z/;
	}
	$store->post($type, find($type, $id), $name eq 'Post');
	return [ 200, [@ODATA], '' ];
}

# ---------------------------------------------------------------- reading

sub read_one ($req, $type, $id, $tail, $o)
{
	my $object = find($type, $id);
	if (defined $tail && $tail ne '') {
		my $base = base_url($req);
		if (my $nav = $type->{navs}{$tail}) {
			my $target = $TYPE{ $nav->{target} };
			return one($req, $target, find($target, $object->{ $nav->{name} } // $NIL), 200);
		}
		my $p = $type->{props}{$tail} // fail(404, 10, "Свойство $tail не найдено");
		my $value = $p->{kind} eq 'section' ? '[' . join(',', map { '{' . Peer::Bas::Answer::members($p->{of}, $_, 0) . '}' } ($object->{$tail} // [])->@*) . ']' : Peer::Bas::Answer::value($p, $object);
		return [ 200, [ 'Content-Type', $JSON, @ODATA ], "{\"odata.metadata\":\"$base\$metadata#$type->{name}/$tail\",\"value\":$value}" ];
	}
	for my $k (qw($filter $top $skip $orderby $expand $inlinecount allowedOnly $allowedOnly)) { fail(400, 0, "Опция запроса $k не поддерживается") if exists $o->{$k} }
	return one($req, $type, $object, 200) if !exists $o->{'$select'} || !$req->{json};
	my $select = Peer::Bas::Query::select($type, $o->{'$select'});
	my $base = base_url($req);
	return [ 200, [ 'Content-Type', $JSON, @ODATA ], "{\"odata.metadata\":\"$base\$metadata#$type->{name}/\@Element\","
		  . Peer::Bas::Answer::selected($store, $type, $object, $select, $config{nav_links} && !$type->{key}, undef) . '}' ];
}

sub section_row ($req, $type, $key, $tail)
{
	fail(400, 13, 'Строки табличной части не могут быть изменены отдельно') if $req->{method} !~ /\A(?:GET|HEAD)\z/;
	my ($id, $n) = $key =~ /\A\(Ref_Key=guid'([0-9a-fA-F-]{36})', *LineNumber=(\d+)\)\z/ or fail(400, 7, 'Отсутствует элемент ключа');
	my $o = $store->get($type->{parent}{name}, lc $id) // fail(404, 9, 'Экземпляр сущности не найден');
	my ($row) = grep { $_->{LineNumber} == $n } ($o->{ $type->{section} } // [])->@*;
	return one($req, $type, $row // fail(404, 9, 'Экземпляр сущности не найден'), 200);
}

# Rows of a set or a section that pass the filter.
sub rows_of ($type, $filter)
{
	if ($type->{register}) {
		my $records = Peer::Bas::Register::records($store, $type);
		return $filter ? [ grep { $filter->{test}->($_, undef) } @$records ] : $records;
	}
	my $whole = $type->{parent} // $type;
	my $section = $type->{section};
	my $keys = $filter && $filter->{keys} ? $filter->{keys}->() : undef;
	my $rows = $store->{set}{ $whole->{name} }{rows};
	if ($keys) {
		my %seen;
		$keys = [ map { $_->{Ref_Key} } sort { $a->{_n} <=> $b->{_n} } grep { $_ } map { $rows->{$_} } grep { !$seen{$_}++ } @$keys ];
	}
	else { $keys = $store->keys_of($whole->{name}) }
	my $test = $filter ? $filter->{test} : undef;
	my @out;
	for my $key (@$keys) {
		my $o = $rows->{$key};
		if (defined $section) {
			for my $row (($o->{$section} // [])->@*) { push @out, $row if !$test || $test->($row, undef) }
		}
		elsif (!$test || $test->($o, undef)) { push @out, $o }
	}
	return \@out;
}

sub virtual_table ($req, $type, $tail, $o)
{
	my ($name, $brackets, $count) = $tail =~ $VIRTUAL;
	my ($rows_type, $rows, $columns) = Peer::Bas::Register::call($store, $type, $name, $brackets, $o);
	if (exists $o->{'$filter'}) {
		my $test = Peer::Bas::Query::filter($store, $rows_type, $o->{'$filter'})->{test};
		$rows = [ grep { $test->($_, undef) } @$rows ];
	}
	return [ 200, [ 'Content-Type', 'text/plain;charset=utf-8', @ODATA ], scalar @$rows ] if $count;
	my $select = exists $o->{'$select'} ? Peer::Bas::Query::select($rows_type, $o->{'$select'}) : [ map { [ 'plain', $_ ] } @$columns ];
	my %there = map { $_->{name} => 1 } @$columns;
	for my $s (@$select) { fail(400, 6, "Сегмент пути $s->[1]{name} не найден") if $s->[0] eq 'plain' && !$there{ $s->[1]{name} } }    # summed up, so not there
	fail(400, 14, 'Ошибка разбора опции запроса $top') if exists $o->{'$top'} && $o->{'$top'} !~ /\A\d+\z/;
	$rows = [ $rows->@[ 0 .. $o->{'$top'} - 1 ] ] if exists $o->{'$top'} && $o->{'$top'} < @$rows;
	fail(406, 3, 'Тип представления не поддерживается') if !$req->{json};    # Atom of complex types was never seen
	return [ 200, [ 'Content-Type', $JSON, @ODATA ], '{"odata.metadata":"' . base_url($req) . "\$metadata#StandardODATA.$rows_type->{name}\",\"value\":["
		  . join(',', map { '{' . Peer::Bas::Answer::selected($store, $rows_type, $_, $select, 0, undef) . '}' } @$rows) . ']}' ];
}

sub read_set ($req, $type, $tail, $o)
{
	fail(501, 21, 'Наборы записей не моделируются') if $type->{kind} eq 'record_set';
	fail(400, 6, "Сегмент пути $tail не найден") if defined $tail && $tail ne '' && $tail ne '$count';
	my $filter = exists $o->{'$filter'} ? Peer::Bas::Query::filter($store, $type, $o->{'$filter'}) : undef;
	my $select = exists $o->{'$select'} ? Peer::Bas::Query::select($type, $o->{'$select'}) : undef;
	my $order = exists $o->{'$orderby'} ? Peer::Bas::Query::orderby($store, $type, $o->{'$orderby'}) : undef;
	for my $k (qw($top $skip)) { fail(400, 14, "Ошибка разбора опции запроса $k") if exists $o->{$k} && $o->{$k} !~ /\A\d+\z/ }
	my $expand = exists $o->{'$expand'} ? [ split /,/, $o->{'$expand'} ] : undef;
	for my $nav (($expand // [])->@*) { fail(400, 6, "Сегмент пути $nav не найден") if !$type->{navs}{$nav} }
	my @rows = rows_of($type, $filter)->@*;
	@rows = visible($type, \@rows, ($o->{allowedOnly} // $o->{'$allowedOnly'} // '') eq 'true');
	return [ 200, [ 'Content-Type', 'text/plain;charset=utf-8', @ODATA ], scalar @rows ] if ($tail // '') eq '$count';
	if ($order) { @rows = sort { $order->($a, $b) } @rows }
	elsif ($config{unordered}) { @rows = reverse @rows }
	my $all = ($o->{'$inlinecount'} // '') eq 'allpages';
	my $count = @rows;
	if (!$all) {    # with $inlinecount the limits are ignored
		splice @rows, 0, $o->{'$skip'} if $o->{'$skip'};
		splice @rows, $o->{'$top'} if exists $o->{'$top'} && $o->{'$top'} < @rows;
	}
	my $base = base_url($req);
	return [ 200, [ 'Content-Type', 'application/atom+xml;type=feed;charset=utf-8', @ODATA ], Peer::Bas::Answer::atom_feed($type, \@rows, $base, $all ? $count : undef) ] if !$req->{json};
	my $level = $req->{level} // 'minimalmetadata';
	my $links = $level ne 'nometadata' && $config{nav_links} && !$type->{parent} && !$type->{key} && !$type->{register};
	my $plain = !$select && !$expand;
	return [ 200, [ 'Content-Type', "application/json;odata=$level;charset=utf-8", @ODATA ],
		'{' . ($level eq 'nometadata' ? '' : "\"odata.metadata\":\"$base\$metadata#$type->{name}\",") . ($all ? "\"odata.count\":\"$count\"," : '') . '"value":['
		  . join(',', map { '{' . ($plain ? Peer::Bas::Answer::members($type, $_, $links) : Peer::Bas::Answer::selected($store, $type, $_, $select, $links, $expand)) . '}' } @rows) . ']}' ];
}

# Record-level rights: a forbidden row is left out when the client says allowedOnly, else refuses the whole request.
sub visible ($type, $rows, $allowed_only)
{
	my $hidden = $config{hidden}{ ($type->{parent} // $type)->{name} } // return @$rows;
	my %hidden = map { lc($_) => 1 } @$hidden;
	my @seen = grep { !$hidden{ $_->{Ref_Key} } } @$rows;
	fail(401, 20, 'Нарушение прав доступа!') if @seen != @$rows && !$allowed_only;
	return @seen;
}

# ---------------------------------------------------------------- faults and control

sub fault_body ($kind, $rule, $req, $status)
{
	return (undef, '') if $kind eq 'empty';
	return Peer::Bas::Answer::error(-1, $rule->{text} // 'Конфликт блокировок при выполнении транзакции: превышено максимальное время ожидания предоставления блокировки', wants_json($req)) if $kind eq 'lock';
	return Peer::Bas::Answer::exception(406, $rule->{text} // 'Истекло время ожидания сеанса') if $kind eq 'session';
	return Peer::Bas::Answer::exception($rule->{reason} // $status, $rule->{text} // 'Сервер 1С:Предприятия не обнаружен') if $kind eq 'exception';
	return Peer::Bas::Answer::error($rule->{code} // -1, $rule->{text} // 'Ошибка при выполнении обработчика - \'ПередЗаписью\'', wants_json($req)) if $kind eq 'odata';
	return Peer::Bas::Answer::page($rule->{text} // "$status Service Unavailable") if $kind eq 'html';
	return ('application/json;charset=utf-8', $rule->{text} // '{}') if $kind eq 'json';
	return ('text/plain; charset=utf-8', $rule->{text} // 'error');
}

sub type_of ($name) { return $TYPE{ $name // '' } // die 'unknown set "' . ($name // '') . "\"\n" }

sub whole ($type, $o) { return raw('{' . Peer::Bas::Answer::members($type, $o, 0) . '}') }

# Turns a refusal of the store into a sentence of the control address.
sub told ($do)
{
	my @r = eval { $do->() };
	die ref $@ eq 'ARRAY' ? "refused: $@->[0], code $@->[1]: $@->[2]\n" : $@ if $@;
	return $r[0];
}

sub edit ($args, @)
{
	my $type = type_of($args->{set} // $ROLE{order});
	my ($key) = $args->{key};
	if (defined $args->{reference}) {
		($key) = grep { Peer::Bas::Audit::reference($store->get($type->{name}, $_)) eq $args->{reference} } $store->keys_of($type->{name})->@*;
	}
	my $o = $store->get($type->{name}, lc($key // '')) // die "no such object\n";
	told(sub {
		$store->update($type, $o, $args->{properties}) if $args->{properties};
		$store->post($type, $o, $args->{post}) if exists $args->{post};
	});
	return whole($type, $o);
}

my $control = Peer::Control->start(
	loop => $loop, host => $opt{host}, port => $opt{'control-port'}, traffic => $traffic, server => $server, config => \%config, configured => \&configure,
	routes => {
		'GET /state' => sub ($a, $query, @) { Peer::Bas::Audit::state($store, \%config, $query) },
		'GET /objects' => sub ($a, $query, @) {
			my $type = type_of($query->{set});
			return { value => [ map { whole($type, $_) } rows_of($type, undef)->@* ] } if !defined $query->{key};
			my $o = $store->get($type->{name}, lc $query->{key}) // die "no such object\n";
			return whole($type, $o);
		},
		'POST /load' => sub ($args, @) {
			my %n;
			for my $set (sort keys %$args) {
				my $type = type_of($set);
				die "a section cannot be loaded by itself\n" if $type->{parent};
				for my $row ($args->{$set}->@*) {
					told(sub { $type->{register} ? Peer::Bas::Register::add($store, $type, $row) : $store->load($type, $row) });
					$n{$set}++;
				}
			}
			return \%n;
		},
		'POST /generate' => sub ($args, @) {
			for my $n ($args->{from} .. $args->{from} + $args->{count} - 1) {
				my %word = ('n' => $n, n6 => sprintf('%06d', $n), 'key' => sprintf('8c1f4a10-0abc-11ee-8000-%012d', $n), 'q' => $n % 100);
				for my $set (sort keys $args->{rows}->%*) {
					my $type = type_of($set);
					for my $row (ref $args->{rows}{$set} eq 'ARRAY' ? $args->{rows}{$set}->@* : $args->{rows}{$set}) {
						my %row = map { my $v = $row->{$_}; $_ => ref $v || !defined $v || $v !~ /\{/ ? $v : $v =~ s/\{(\w+)\}/$word{$1} \/\/ die "no word $1\n"/ger } keys %$row;
						told(sub { $type->{register} ? Peer::Bas::Register::add($store, $type, \%row) : $store->load($type, \%row) });
					}
				}
			}
			return { ok => true };
		},
		'POST /clear' => sub ($args, @) {
			my $type = type_of($args->{set});
			die "$type->{name} is no register\n" if !$type->{register};
			Peer::Bas::Register::clear($store, $type);
			return { ok => true };
		},
		'POST /delete' => sub ($args, @) {
			my $type = type_of($args->{set});
			my @gone = grep { $_ } map { $store->get($type->{name}, lc) } $args->{keys}->@*;
			$store->remove($type, $_) for @gone;
			return { deleted => scalar @gone };
		},
		'POST /edit' => \&edit,
		'POST /reset' => sub {
			%config = %config_at_start;
			$store->clear;
			Peer::Bas::Seed::fill($store, \%config);
			$traffic->reset_log;
			$traffic->{rules}->@* = ();
			%session = ();
			$last_request = 0;
			configure();
			return { ok => true };
		},
	});

$| = 1;
say encode({ port => $server->{port}, control => $control->{port}, url => "http://$opt{host}:$server->{port}/$opt{publication}" });
$loop->run;
