# The simulators of BAS and SalesDrive keep the rules they are meant to stand for. Needs no PostgreSQL.
use v5.36;
no feature 'unicode_strings';
use FindBin;
use lib "$FindBin::Bin/../peer";
use Test::More;
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use IPC::Open2;
use MIME::Base64 qw(encode_base64 decode_base64);
use Time::HiRes qw(time);
use Peer::Json qw(encode decode raw);
use Peer::Orders;

alarm 800;
my $PEER = "$FindBin::Bin/../peer";
my @children;

sub start ($name, @args)
{
	my $pid = open2(my $out, my $in, $^X, "$PEER/$name.pl", @args);
	push @children, $pid;
	my ($info) = decode(scalar <$out>);
	return { %$info, pid => $pid, in => $in, out => $out };
}
END { local $?; kill 'TERM', @children; waitpid $_, 0 for @children }

my $http = HTTP::Tiny->new(timeout => 180, keep_alive => 1);

sub control ($peer, $method, $path, $data = undef)
{
	my $r = $http->request($method, "http://127.0.0.1:$peer->{control}$path", { defined $data ? (content => encode($data), headers => { 'Content-Type' => 'application/json' }) : () });
	my ($d, $why) = decode($r->{content});
	die "$method $path: $r->{status} $r->{content}" if $r->{status} != 200 || defined $why;
	return $d;
}

sub enc ($s) { return $s =~ s/([^A-Za-z0-9._~()',-])/sprintf '%%%02X', ord $1/ger }

my $bas = start('bas');
my $base = "$bas->{url}/odata/standard.odata/";
my $auth = 'Basic ' . encode_base64('Обмен:secret', '');

# One OData request; path and query are given plainly and encoded here.
sub odata ($method, $path, %o)
{
	my %h = (Authorization => $auth, Accept => 'application/json', ($o{headers} // {})->%*);
	delete $h{$_} for grep { !defined $h{$_} } keys %h;
	my $url = $base . join '/', map { enc($_) } split m{/}, $path;
	$url .= '?' . join '&', map { enc($_) . '=' . enc($o{query}{$_}) } sort keys $o{query}->%* if $o{query};
	$url .= "?$o{raw_query}" if defined $o{raw_query};
	my %body;
	if (exists $o{body}) {
		%body = (content => ref $o{body} ? encode($o{body}) : $o{body});
		$h{'Content-Type'} = 'application/json; charset=utf-8';
	}
	my $r = $http->request($method, $url, { headers => \%h, %body });
	my ($json) = decode($r->{content});
	my $e = ref $json eq 'HASH' ? $json->{'odata.error'} : undef;
	return { status => $r->{status}, text => $r->{content}, json => $json, code => $e ? $e->{code} : undef, message => $e ? $e->{message}{value} : undef, headers => $r->{headers} };
}
sub filter ($set, $filter, %more) { return odata('GET', $set, query => { '$filter' => $filter, %more }) }
sub keys_of ($r) { return join ' ', map { $_->{Ref_Key} } $r->{json}{value}->@* }

my $ORDER = 'Document_ЗаказПокупателя';
my $CLIENT = 'Catalog_Контрагенты';
my $CONTACT = 'Catalog_Контрагенты_КонтактнаяИнформация';
my $serial = 0;
sub new_key { return sprintf 'aaaaaaaa-0000-5000-8000-%012x', ++$serial }
sub seed_key ($kind, $n) { return sprintf '8c1f4a10-%s-11ee-8000-%012d', $kind, $n }

sub row ($n, %more)
{
	return { LineNumber => $n, 'Номенклатура_Key' => seed_key('0001', $n), 'Количество' => 2, 'Цена' => 287.5, 'Сумма' => 575, 'СтавкаНДС_Key' => seed_key('00f2', 1), 'СуммаНДС' => 95.83, 'Всего' => 575,
		'ЕдиницаИзмерения' => seed_key('00f3', 1), 'ЕдиницаИзмерения_Type' => 'StandardODATA.Catalog_КлассификаторЕдиницИзмерения', %more };
}

sub order (%more)
{
	my $rows = $more{'Запасы'} // [ row(1) ];
	my $reference = 'T' . ++$serial;
	return { Ref_Key => new_key(), Date => '2026-11-20T14:46:24', 'Организация_Key' => seed_key('00aa', 1), 'Контрагент_Key' => seed_key('00bb', 1), 'ВалютаДокумента_Key' => seed_key('0980', 1), 'СуммаВключаетНДС' => !!1,
		'НомерВходящегоДокумента' => $reference, 'СуммаДокумента' => 575 * @$rows, 'Запасы' => $rows, %more };
}

subtest 'who may ask' => sub {
	is odata('GET', '', headers => { Authorization => undef })->{status}, 401, 'no credentials: 401';
	like odata('GET', '', headers => { Authorization => undef })->{headers}{'www-authenticate'}, qr/Basic/, '401 names the scheme';
	is odata('GET', '', headers => { Authorization => 'Basic ' . encode_base64('Обмен:wrong', '') })->{status}, 401, 'wrong password: 401';
	is odata('GET', '', headers => { Authorization => 'Basic ' . encode_base64("\xce\xe1\xec\xe5\xed:secret", '') })->{status}, 401, 'user name in cp1251: 401';
	is odata('GET', '')->{status}, 200, 'user name in UTF-8 is accepted';
	control($bas, 'POST', '/config', { deny_sets => ['Catalog_Валюты'] });
	my $r = odata('GET', 'Catalog_Валюты');
	is "$r->{status} $r->{code}", '401 20', 'no rights to a set: 401 with code 20';
	control($bas, 'POST', '/config', { deny_sets => [], unpublished => ['Catalog_ВидыЦен'] });
	$r = odata('GET', 'Catalog_ВидыЦен');
	is "$r->{status} $r->{code}", '404 8', 'a set that is not published: 404 with code 8';
	unlike odata('GET', '$metadata')->{text}, qr/EntitySet Name="Catalog_ВидыЦен"/, 'and it is absent from $metadata';
	control($bas, 'POST', '/config', { unpublished => [] });
	like odata('GET', '$metadata')->{text}, qr/EntitySet Name="Catalog_ВидыЦен"/, '$metadata lists a published set';
};

subtest 'forms of answers' => sub {
	my $r = odata('GET', 'Catalog_Валюты');
	is $r->{json}{value}[0]{Code}, '980', 'a list in JSON';
	like $r->{json}{'odata.metadata'}, qr/\$metadata#Catalog_Валюты\z/, 'with its context';
	is $r->{headers}{dataserviceversion}, '3.0', 'DataServiceVersion header';
	like odata('GET', 'Catalog_Валюты', headers => { Accept => undef })->{text}, qr/<feed /, 'without Accept and $format: Atom';
	like odata('GET', 'Catalog_Валюты', headers => { Accept => undef }, query => { '$format' => 'json' })->{text}, qr/^\{"odata/, '$format=json';
	ok !exists odata('GET', 'Catalog_Валюты', query => { '$format' => 'application/json;odata=nometadata' })->{json}{'odata.metadata'}, 'nometadata leaves the context out';
	like odata('GET', 'Catalog_Нет', headers => { Accept => undef })->{text}, qr/<m:error.*<m:code>8</s, 'errors are XML where JSON was not asked for';
	is odata('GET', 'Catalog_Валюты/$count')->{text}, '2', '$count';
	my $many = odata('GET', 'Catalog_Номенклатура', query => { '$inlinecount' => 'allpages', '$top' => 5 });
	is $many->{json}{'odata.count'}, '70', '$inlinecount is a string';
	is scalar $many->{json}{value}->@*, 70, 'and makes $top ignored';
	my @c = map { $_->{'Артикул'} } odata('GET', 'Catalog_Номенклатура', query => { '$orderby' => 'Артикул desc', '$filter' => "startswith(Артикул,'SKU-00')", '$top' => 2, '$skip' => 1 })->{json}{value}->@*;
	is "@c", 'SKU-0059 SKU-0058', '$orderby desc, $skip before $top';
	my $one = odata('GET', "$CLIENT(guid'" . seed_key('00bb', 1) . "')", query => { '$select' => 'Description,КонтактнаяИнформация/НомерТелефона' })->{json};
	is_deeply [ sort grep { !/odata/ } keys %$one ], [ 'Description', 'КонтактнаяИнформация' ], '$select with columns of a section';
	is_deeply $one->{'КонтактнаяИнформация'}, [ { 'НомерТелефона' => '380671000001' } ], 'only those columns';
};

subtest 'refused questions' => sub {
	my $is = sub ($r, $want, $name) { is "$r->{status} " . ($r->{code} // '-'), $want, $name };
	$is->(odata('GET', 'Catalog_Валюты', query => { '$select' => 'Нет' }), '400 6', 'unknown field in $select: code 6');
	$is->(odata('GET', 'Catalog_Валюты', query => { '$orderby' => 'Нет' }), '400 6', 'unknown field in $orderby: code 6');
	$is->(odata('GET', 'Catalog_Валюты', query => { '$wish' => 1 }), '400 0', 'unknown option: code 0');
	$is->(filter('Catalog_Валюты', "contains(Code,'9')"), '400 14', 'contains: code 14');
	$is->(filter('Catalog_Валюты', "tolower(Code) eq '9'"), '400 14', 'tolower: code 14');
	$is->(filter('Catalog_Валюты', "Code in ('9')"), '400 14', 'in: code 14');
	$is->(filter('Catalog_Валюты', "Code eq 980"), '400 14', 'text against a number: code 14');
	$is->(filter('Catalog_Валюты', "Ref_Key eq '" . seed_key('0980', 1) . "'"), '400 14', 'reference against text: code 14');
	$is->(odata('GET', 'Catalog_Валюты', raw_query => '$filter=Code+eq+%27980%27'), '400 14', 'plus for a space: code 14');
	$is->(odata('GET', "$ORDER(guid'" . new_key() . "')"), '404 9', 'no such object: code 9');
	$is->(odata('GET', "$ORDER(guid'xyz')"), '400 1', 'bad key: code 1');
	$is->(odata('POST', "${ORDER}_Запасы", body => row(1)), '400 13', 'POST to a section: code 13');
	my $long = odata('GET', 'Catalog_Номенклатура', query => { '$filter' => join ' or ', map { "Артикул eq 'SKU-$_'" } 1 .. 200 });
	is $long->{status}, 404, 'a query longer than 2048 bytes never reaches OData: 404';
	like $long->{text}, qr/<html>/, 'with a page of the web server';
	$is->(odata('DELETE', 'Catalog_Валюты'), '405 19', 'DELETE of a set: code 19');
};

subtest 'filters' => sub {
	is scalar filter('Catalog_Номенклатура', "Артикул eq 'SKU-0001' or Артикул eq 'SKU-9001'")->{json}{value}->@*, 3, 'an ambiguous article gives two products';
	is scalar filter('Catalog_Номенклатура', "Артикул eq 'O''NEIL-7'")->{json}{value}->@*, 1, 'a doubled quote';
	is scalar filter('Catalog_Номенклатура', "Артикул eq 'АРТ-ЇЖА-1'")->{json}{value}->@*, 1, 'a Cyrillic article';
	is scalar filter('Catalog_Номенклатура', "Артикул eq 'SKU-9002' and not DeletionMark")->{json}{value}->@*, 0, 'not, over a Boolean';
	is scalar filter('Catalog_Номенклатура', "Артикул eq 'SKU-9003' and IsFolder eq true")->{json}{value}->@*, 1, 'a folder';
	is keys_of(filter($CONTACT, "Тип eq 'Телефон' and substringof('671000001',НомерТелефона)", '$select' => 'Ref_Key,Представление', '$orderby' => 'Ref_Key')), seed_key('00bb', 1) . ' ' . seed_key('00bb', 99),
	  'phone by the column of the contact section, the deleted owner too';
	is keys_of(filter($CONTACT, "substringof('100-00-02',Представление)")), seed_key('00bb', 2), 'phone by the presentation';
	is keys_of(filter($CONTACT, "substringof('+38 (050)',Представление)")), seed_key('00bb', 2), 'a plus inside a literal is a plus';
	is keys_of(filter($CLIENT, "КонтактнаяИнформация/any(c: substringof('671000001', c/НомерТелефона) eq true) and DeletionMark eq false")), seed_key('00bb', 1), 'any over a section';
	is keys_of(filter('Catalog_ДоговорыКонтрагентов', "Owner/Description eq 'Тестенко Іван'")), seed_key('00cc', 5), 'a path over a reference';
	is keys_of(filter('Catalog_ВидыКонтактнойИнформации', "PredefinedDataName eq 'ТелефонКонтрагента'")), seed_key('00dd', 1), 'kind of contact by predefined name';
	is keys_of(filter('Catalog_СтруктурныеЕдиницы', "ТипСтруктурнойЕдиницы eq 'Склад'")), seed_key('00ee', 1), 'warehouse by kind';
	my $o = order('СостояниеЗаказа' => seed_key('00f4', 2), 'СостояниеЗаказа_Type' => 'StandardODATA.Catalog_СостоянияЗаказовПокупателей');
	is odata('POST', $ORDER, body => $o)->{json}{'СостояниеЗаказа'}, seed_key('00f4', 2), 'a composite value with its type is kept';
	my $g = "guid'" . seed_key('00f4', 2) . "'";
	is keys_of(filter($ORDER, "СостояниеЗаказа eq $g")), '', 'composite against a bare guid: silently nothing';
	is keys_of(filter($ORDER, "СостояниеЗаказа eq cast($g,'Catalog_СостоянияЗаказовПокупателей')")), $o->{Ref_Key}, 'composite against cast';
	is keys_of(filter($ORDER, "Date ge datetime'2026-11-20T00:00:00' and СуммаДокумента gt 574.5 and СуммаДокумента div 5 eq 115")), $o->{Ref_Key}, 'dates, numbers, arithmetic';
	is keys_of(filter($ORDER, "НомерВходящегоДокумента eq '$o->{'НомерВходящегоДокумента'}'")), $o->{Ref_Key}, 'by customer reference';
	is keys_of(filter($ORDER, "НомерВходящегоДокумента eq 'changed'")), '', 'nothing yet by another reference';
	odata('PATCH', "$ORDER(guid'$o->{Ref_Key}')", body => { 'НомерВходящегоДокумента' => 'changed' });
	is keys_of(filter($ORDER, "НомерВходящегоДокумента eq 'changed'")), $o->{Ref_Key}, 'a change is found at once';
	is keys_of(filter($ORDER, "НомерВходящегоДокумента eq '$o->{'НомерВходящегоДокумента'}'")), '', 'and no longer under the old value';
};

subtest 'creating' => sub {
	my $o = order('Невідоме' => 'x', 'Получил' => 'я' x 300, 'Кратность' => 'wrong', 'ВидЦен_Key' => new_key());
	my $r = odata('POST', $ORDER, body => $o);
	is $r->{status}, 201, 'status 201';
	my $j = $r->{json};
	is $j->{Ref_Key}, $o->{Ref_Key}, 'our Ref_Key is kept';
	like $r->{headers}{location}, qr/$ORDER\(guid'$o->{Ref_Key}'\)\z/, 'Location in raw UTF-8';
	like $j->{Number}, qr/\AНФНФ-\d{6}\z/, 'a number is given';
	is $j->{Posted}, !!0, 'not posted';
	is length decode_base64($j->{DataVersion}), 8, 'DataVersion of eight bytes';
	ok !exists $j->{'Невідоме'}, 'an unknown property is ignored silently';
	is $j->{'Получил'}, 'я' x 250, 'a long string is cut silently, by characters';
	is $j->{'Кратность'}, '0', 'wrong text for Int64 is not stored';
	is $j->{'ВидЦен_Key'}, $o->{'ВидЦен_Key'}, 'a broken reference is stored';
	is $j->{'Запасы'}[0]{LineNumber}, '1', 'Int64 comes as a string';
	like $r->{text}, qr/"LineNumber":"1"/, 'as its bytes show';
	is $j->{'Контрагент@navigationLinkUrl'}, "$ORDER(guid'$o->{Ref_Key}')/Контрагент", 'navigation link of a reference';
	is_deeply $j->{'Работы'}, [], 'sections not sent come back empty';
	like $j->{'ДатаИзменения'}, qr/\A\d{4}-/, 'ДатаИзменения is set';
	$r = odata('POST', $ORDER, body => $o);
	is "$r->{status} $r->{code}", '400 15', 'the same Ref_Key again: code 15';
	$r = odata('POST', $ORDER, body => order('Контрагент_Key' => 'nonsense'));
	is "$r->{status} $r->{code}", '400 1', 'wrong Guid: code 1';
	$r = odata('POST', $ORDER, body => order('СуммаВключаетНДС' => 'так'));
	is "$r->{status} $r->{code}", '400 1', 'wrong Boolean: code 1';
	$r = odata('POST', $ORDER, body => '{"Date":');
	is "$r->{status} $r->{code}", '400 2', 'broken JSON: code 2';
	my %row = row(1)->%*;
	delete $row{LineNumber};
	$r = odata('POST', $ORDER, body => order('Запасы' => [ \%row ]));
	is "$r->{status} $r->{code}", '500 -1', 'a row without LineNumber: 500 with code -1';
	is odata('POST', $ORDER, body => order('Запасы' => [ row(2) ]))->{status}, 400, 'rows not from 1: 400';
	is odata('POST', $ORDER, body => order('Запасы' => [ row(1), row(3) ]))->{status}, 400, 'rows with a gap: 400';
	is odata('POST', $ORDER, body => order('Запасы' => [ row(2), row('1') ], 'СуммаДокумента' => 1150))->{status}, 201, 'LineNumber as text and in any order is fine';
	$r = odata('POST', $ORDER, body => order('Запасы' => [ row(1, 'Количество' => 1.23456, 'Цена' => 287.505, 'Сумма' => raw('-1.005'), 'ПроцентСкидкиНаценки' => 33.3333) ]))->{json}{'Запасы'}[0];
	is "$r->{'Количество'} $r->{'Цена'} $r->{'Сумма'} $r->{'ПроцентСкидкиНаценки'}", '1.235 287.51 -1.01 33.33', 'numbers are rounded to their precision';
	$r = odata('POST', $CLIENT, body => { Description => 'Новий', 'КонтактнаяИнформация' => [ { LineNumber => 1, 'Тип' => 'Телефон', 'Представление' => '+380 67 555 55 55' } ] })->{json};
	is $r->{'КонтактнаяИнформация'}[0]{'НомерТелефона'}, '', 'phone columns are not filled by themselves';
	like $r->{Code}, qr/\AНФ-\d{6}\z/, 'a catalog gets a code';
	control($bas, 'POST', '/config', { refuse => { "create $ORDER" => "Ошибка при выполнении обработчика - 'ОбработкаЗаполнения'" } });
	$r = odata('POST', $ORDER, body => order());
	is "$r->{status} $r->{code}", '500 -1', 'a handler of the configuration may refuse';
	control($bas, 'POST', '/config', { refuse => {}, unique_names => { $CLIENT => !!1 } });
	$r = odata('POST', $CLIENT, body => { Description => 'Новий' });
	is "$r->{status} $r->{code} $r->{message}", '500 -1 Рабочее наименование не уникально', 'unique names, where the configuration asks for them';
	control($bas, 'POST', '/config', { unique_names => {}, keeps_ref_key => !!0 });
	$o = order();
	isnt odata('POST', $ORDER, body => $o)->{json}{Ref_Key}, $o->{Ref_Key}, 'with keeps_ref_key off the base makes its own key';
	control($bas, 'POST', '/config', { keeps_ref_key => !!1 });
};

subtest 'changing and posting' => sub {
	my $o = order('Запасы' => [ row(1), row(2) ], 'СуммаДокумента' => 1150, 'Комментарий' => 'перший');
	my $v = odata('POST', $ORDER, body => $o)->{json}{DataVersion};
	my $at = "$ORDER(guid'$o->{Ref_Key}')";
	my %versions = ($v => 1);
	my $r = odata('PATCH', $at, body => { 'Комментарий' => 'другий', Ref_Key => new_key() }, headers => { 'If-Match' => '"stale"' });
	is $r->{status}, 200, 'PATCH: 200 with the whole object, If-Match ignored';
	is $r->{json}{Ref_Key}, $o->{Ref_Key}, 'Ref_Key in PATCH is ignored';
	is $r->{json}{'Комментарий'}, 'другий', 'the property is changed';
	is scalar $r->{json}{'Запасы'}->@*, 2, 'a section not mentioned stays';
	ok !$versions{ $r->{json}{DataVersion} }++, 'DataVersion grows';
	$r = odata('PATCH', $at, body => { 'Запасы' => [ row(1) ], 'СуммаДокумента' => 575 });
	is scalar $r->{json}{'Запасы'}->@*, 1, 'a section mentioned is replaced whole';
	my %row = row(1)->%*;
	delete $row{LineNumber};
	is odata('PATCH', $at, body => { 'Запасы' => [ \%row ], 'Комментарий' => 'не має статися' })->{status}, 500, 'a bad row fails the whole PATCH';
	is odata('GET', $at)->{json}{'Комментарий'}, 'другий', 'and nothing of it is written';
	$r = odata('POST', "$at/Post");
	is "$r->{status} <$r->{text}>", '200 <>', 'Post: 200 with an empty body';
	my $j = odata('GET', $at)->{json};
	is $j->{Posted}, !!1, 'posted';
	ok !$versions{ $j->{DataVersion} }++, 'DataVersion grows with Post';
	is odata('POST', "$at/Post()", query => { PostingModeOperational => 'false' })->{status}, 200, 'Post again, with brackets and a parameter';
	$r = odata('PATCH', $at, body => { DeletionMark => !!1 });
	is "$r->{status} $r->{code}", '500 -1', 'a posted document cannot be marked for deletion';
	is odata('GET', "$at/Unpost")->{status}, 200, 'GET executes Unpost';
	is odata('GET', $at)->{json}{Posted}, !!0, 'really';
	is odata('GET', "$at/Post")->{status}, 200, 'GET executes Post';
	is odata('PATCH', $at, body => { Posted => !!0 })->{json}{Posted}, !!0, 'PATCH Posted unposts';
	is odata('PATCH', $at, body => { Posted => !!1 })->{json}{Posted}, !!1, 'PATCH Posted posts';
	is odata('PATCH', $at, body => { 'Комментарий' => 'третій' })->{json}{Posted}, !!1, 'PATCH of another field keeps it posted';
	odata('POST', "$at/Unpost");
	is odata('PATCH', $at, body => { DeletionMark => !!1 })->{status}, 200, 'unposted, it can be marked';
	is odata('POST', "$at/Post")->{status}, 500, 'a marked document cannot be posted';
	my $closed = order(Date => '2026-01-10T10:00:00');
	control($bas, 'POST', '/config', { closed_until => '2026-01-31' });
	is odata('POST', $ORDER, body => $closed)->{status}, 201, 'a closed period lets a document be written';
	is odata('POST', "$ORDER(guid'$closed->{Ref_Key}')/Post")->{code}, '-1', 'but not posted';
	control($bas, 'POST', '/config', { closed_until => '' });
	is odata('DELETE', $at)->{status}, 204, 'DELETE: 204';
	is odata('GET', $at)->{code}, '9', 'and gone';
	is odata('POST', $ORDER, body => order(Ref_Key => $o->{Ref_Key}))->{status}, 201, 'made anew under the same key';
	is scalar(grep { $_->{Ref_Key} eq $o->{Ref_Key} } odata('GET', $ORDER)->{json}{value}->@*), 1, 'it is listed once';
	is odata('PUT', "$ORDER(guid'$closed->{Ref_Key}')", body => {})->{status}, 400, 'PUT without all properties is refused';
};

subtest 'platform troubles' => sub {
	control($bas, 'POST', '/config', { licences => 1, licence_by => 'connections', licence_status => 500, licence_body => 'exception' });
	my $other = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$bas->{port}");
	my $second = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$bas->{port}");
	my $r = odata('GET', 'Catalog_Валюты');
	is $r->{status}, 500, 'more connections than licences: refused';
	like $r->{text}, qr/<exception .*лицензии/s, 'with an exception of the platform';
	close $_ for $other, $second;
	control($bas, 'POST', '/config', { licences => 0, sessions => !!1, session_max_age => 100 });
	$r = odata('GET', 'Catalog_Валюты', headers => { IBSession => 'start' });
	my ($cookie) = ($r->{headers}{'set-cookie'} // '') =~ /(ibsession=[^;]+)/;
	ok $cookie, 'IBSession: start gives a cookie';
	is odata('GET', 'Catalog_Валюты', headers => { Cookie => $cookie })->{status}, 200, 'the cookie works';
	$r = odata('GET', 'Catalog_Валюты', headers => { Cookie => 'ibsession=0000' });
	is $r->{status}, 406, 'an expired session: 406';
	like $r->{text}, qr/<exception /, 'with an exception of the platform';
	control($bas, 'POST', '/config', { sessions => !!0, hidden => { 'Catalog_Валюты' => [ seed_key('0980', 2) ] } });
	is odata('GET', 'Catalog_Валюты')->{code}, '20', 'a row hidden by rights refuses the list';
	is scalar odata('GET', 'Catalog_Валюты', query => { allowedOnly => 'true' })->{json}{value}->@*, 1, 'allowedOnly leaves it out';
	control($bas, 'POST', '/config', { hidden => {} });
};

subtest 'faults' => sub {
	my $fault = sub (@rules) { control($bas, 'DELETE', '/faults'); control($bas, 'POST', '/faults', \@rules) };
	my $count = sub { control($bas, 'GET', '/state?brief=1')->{documents}{count} };
	my $n = $count->();
	$fault->({ action => 'reset_before', method => 'POST', times => 1 });
	is odata('POST', $ORDER, body => order())->{status}, 599, 'reset_before: no answer';
	is $count->(), $n, 'and nothing done';
	$fault->({ action => 'reset_after', path => 'POST .*ЗаказПокупателя', times => 1 });
	is odata('POST', $ORDER, body => order())->{status}, 599, 'reset_after: no answer';
	is $count->(), ++$n, 'but done';
	is odata('POST', $ORDER, body => order())->{status}, 201, 'times ends a rule';
	$n++;
	$fault->({ action => 'status', status => 502, body => 'html', after => !!1, label => "POST $ORDER", every => 2 });
	is join(' ', map { odata('POST', $ORDER, body => order())->{status} } 1 .. 4), '201 502 201 502', 'every second, 502 after the work';
	is $count->(), $n += 4, 'all done';
	$fault->({ action => 'status', status => 500, body => 'odata', nth => 2, method => 'POST' });
	my @r = map { odata('POST', $ORDER, body => order()) } 1 .. 3;
	is join(' ', map { $_->{status} . ($_->{code} // '') } @r), '201 500-1 201', 'only the second: 500 with odata.error';
	is $count->(), $n += 2, 'which means not done';
	$fault->({ action => 'lock_conflict', times => 1 }, { action => 'unavailable', retry_after => 7, skip => 1, times => 1 }, { action => 'garbage', skip => 2, times => 1 }, { action => 'session_expired', skip => 3, times => 1 });
	@r = map { odata('GET', 'Catalog_Валюты') } 1 .. 4;
	like $r[0]{message}, qr/Конфликт блокировок/, 'lock conflict';
	is "$r[1]{status} $r[1]{headers}{'retry-after'}", '503 7', '503 with Retry-After';
	is "$r[2]{status} " . (defined $r[2]{json} ? 'JSON' : 'broken'), '200 broken', '200 with broken JSON';
	is $r[3]{status}, 406, 'session expired';
	$fault->({ action => 'delay', ms => 120 }, { action => 'delay_after', ms => 80 });
	my $t = time;
	odata('GET', 'Catalog_Валюты');
	cmp_ok time - $t, '>=', 0.2, 'delays add up';
	$fault->({ action => 'drip', bytes => 400, interval_ms => 10 });
	is scalar odata('GET', 'Catalog_Валюты')->{json}{value}->@*, 2, 'a dripping answer is whole in the end';
	$fault->({ action => 'truncate', keep => 20 });
	is odata('GET', 'Catalog_Валюты')->{status}, 599, 'a truncated body';
	my $random = sub { $fault->({ action => 'status', status => 503, probability => 0.5, seed => 42 }); join ' ', map { odata('GET', 'Catalog_Валюты')->{status} } 1 .. 20 };
	my $first = $random->();
	is $random->(), $first, 'probability with a seed repeats itself';
	like $first, qr/200.*503|503.*200/, 'and is mixed';
	$fault->({ action => 'hang', times => 1 });
	my $plain = sub ($set) { my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$bas->{port}"); syswrite $s, "GET /base/odata/standard.odata/" . enc($set) . " HTTP/1.1\r\nHost: x\r\nAuthorization: $auth\r\nAccept: application/json\r\n\r\n"; return $s };
	my $until = sub ($condition) { for (1 .. 6000) { return 1 if $condition->(); select undef, undef, undef, 0.02 } return 0 };
	my $hung = $plain->('Catalog_X');
	ok $until->(sub { control($bas, 'GET', '/faults')->{rules}[0]{fired} }), 'a request hangs';
	is odata('GET', 'Catalog_Валюты')->{status}, 200, 'others are served meanwhile';
	ok !IO::Select->new($hung)->can_read(0), 'hang: never an answer';
	my $log = control($bas, 'GET', '/requests?limit=1')->{requests}[0];
	is "$log->{label} $log->{status}", 'GET Catalog_Валюты 200', 'the log names method and set';
	for ([ 'hold', 0 ], [ 'hold_after', 1 ]) {
		my ($action, $done) = @$_;
		$n = $count->();
		$fault->({ action => $action, method => 'POST', times => 1 });
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$bas->{port}");
		my $body = encode(order());
		syswrite $s, "POST /base/odata/standard.odata/" . enc($ORDER) . " HTTP/1.1\r\nHost: x\r\nAuthorization: $auth\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
		ok $until->(sub { control($bas, 'GET', '/faults')->{rules}[0]{fired} }), "$action: a request waits";
		is $count->() - $n, $done, $done ? 'with its work done' : 'and nothing is done';
		ok !IO::Select->new($s)->can_read(0), 'unanswered';
		if ($done) { is control($bas, 'POST', '/release')->{released}, 1, 'it is released' }
		else { $fault->({ action => 'release' }); is odata('GET', 'Catalog_Валюты')->{status}, 200, 'another request releases it' }
		sysread $s, my $answer, 65536;
		like $answer, qr{\AHTTP/1\.1 201}, 'and answered';
		is $count->() - $n, 1, 'and done once';
	}
	$fault->({ action => 'drip', bytes => 10, hold => !!1 });
	my $s = $plain->('Catalog_Валюты');
	my $got = '';
	sysread($s, $got, 65536, length $got) or last while $got !~ /\r\n\r\n.{10}/s;
	is length($got =~ s/.*?\r\n\r\n//sr), 10, 'an answer that stops after its first piece';
	control($bas, 'POST', '/release');
	sysread($s, $got, 65536, length $got) or last while $got !~ /\}\s*\z/;
	like $got, qr/"value":\[.*\}\s*\z/s, 'and goes on when released';
	control($bas, 'DELETE', '/faults');
};

subtest 'wire' => sub {
	my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$bas->{port}");
	my $path = "/base/odata/standard.odata/" . enc($ORDER);
	my ($b1, $b2) = map { encode(order()) } 1 .. 2;
	my $head = "POST $path HTTP/1.1\r\nHost: x\r\nAuthorization: $auth\r\nAccept: application/json\r\nContent-Type: application/json\r\n";
	my $text = "${head}Content-Length: " . length($b1) . "\r\n\r\n$b1${head}Transfer-Encoding: chunked\r\n\r\n" . join('', map { sprintf("%x\r\n", length) . "$_\r\n" } unpack '(a100)*', $b2) . "0\r\n\r\n";
	syswrite $s, substr $text, 0, 777;
	select undef, undef, undef, 0.02;
	syswrite $s, substr $text, 777;
	my $got = '';
	while ((() = $got =~ /HTTP\/1\.1 201/g) < 2) { sysread $s, $got, 65536, length $got or last }
	is scalar(() = $got =~ /HTTP\/1\.1 201/g), 2, 'pipelined requests, Content-Length and chunked, in pieces';
	control($bas, 'POST', '/config', { latency_ms => 1000 });
	control($bas, 'DELETE', '/connections');
	my @s = map { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$bas->{port}") } 1 .. 4;
	my $get = "GET /base/odata/standard.odata/Catalog_" . enc('Валюты') . " HTTP/1.1\r\nHost: x\r\nAuthorization: $auth\r\nAccept: application/json\r\n\r\n";
	my $t = time;
	syswrite $_, $get for @s;
	sysread $_, my $x, 65536 for @s;
	cmp_ok time - $t, '<', 4, 'latency of several requests runs side by side';    # not one after another
	my $c = control($bas, 'GET', '/connections');
	is $c->{requests_peak}, 4, 'peak of requests under work is known';
	cmp_ok $c->{peak}, '>=', 4, 'and of connections';
	my $n = control($bas, 'GET', '/state?brief=1')->{documents}{count};
	syswrite $s[0], "${head}Content-Length: " . length($b1 = encode(order())) . "\r\n\r\n$b1";
	close $s[0];
	my $done = 0;
	for (1 .. 6000) { last if $done = control($bas, 'GET', '/state?brief=1')->{documents}{count} == $n + 1; select undef, undef, undef, 0.02 }
	ok $done, 'work begun goes on when the client has left';
	control($bas, 'POST', '/config', { latency_ms => 0 });
};

subtest 'state, edits, violations' => sub {
	control($bas, 'POST', '/reset');
	is_deeply control($bas, 'GET', '/state')->{violations}, [], 'a fresh base has no violations';
	my $o = order('НомерВходящегоДокумента' => '555');
	odata('POST', $ORDER, body => $o);
	is control($bas, 'GET', '/state')->{documents}{sum}, '575.00', 'sum of documents';
	my $e = control($bas, 'POST', '/edit', { reference => '555', properties => { 'Комментарий' => 'бухгалтер' }, post => !!1 });
	is "$e->{'Комментарий'} $e->{Posted}", 'бухгалтер 1', 'a user edits and posts a document';
	odata('POST', $ORDER, body => order('НомерВходящегоДокумента' => '555', 'СуммаДокумента' => 1, 'Запасы' => [ row(1, 'Сумма' => 570, 'Всего' => 570) ]));
	odata('POST', $CLIENT, body => { Description => 'Дубль', 'КонтактнаяИнформация' => [ { LineNumber => 1, 'Тип' => 'Телефон', 'Представление' => '050 100 00 02' } ] });
	my %kind = map { $_->{kind} => 1 } control($bas, 'GET', '/state')->{violations}->@*;
	is_deeply [ sort keys %kind ], [qw(document_sum duplicate_phone duplicate_reference row_sum row_vat)], 'violations are seen';
	control($bas, 'POST', '/load', { 'Catalog_Номенклатура' => [ { 'Артикул' => 'NEW-1', Description => 'Нове' } ] });
	is scalar filter('Catalog_Номенклатура', "Артикул eq 'NEW-1'")->{json}{value}->@*, 1, 'rows can be loaded';
	my $r = $http->get("http://127.0.0.1:$bas->{control}/nothing");
	is $r->{status}, 404, 'an unknown control route is refused';
};

subtest 'generator of orders' => sub {
	my %o = (count => 300, seed => 7, anomalies => { unknown_sku => 2, sum_mismatch => 2, no_phone => 3, sentence_phone => 1, no_products => 1 });
	my ($a, $b) = map { Peer::Orders::generate(%o) } 1 .. 2;
	is encode([ map { Peer::Orders::webhook($_) } @$a ]), encode([ map { Peer::Orders::webhook($_) } @$b ]), 'equal options give equal bodies';
	isnt encode(Peer::Orders::webhook($a->[0])), encode(Peer::Orders::webhook(Peer::Orders::generate(%o, seed => 8)->[0])), 'another seed gives others';
	require Math::BigFloat;
	my ($wrong, $mismatch, %seen, %phones, %notations) = (0, 0);
	for my $order (@$a) {
		for my $n (0 .. $order->{versions}->$#*) {
			my ($w) = decode(encode(Peer::Orders::webhook($order, $n)));
			my ($l) = decode(encode(Peer::Orders::list_row($order, $n)));
			for my $d ($w->{data}, $l) {
				my $sum = Math::BigFloat->bzero;
				for my $p (($d->{products} // [])->@*) {
					my $gross = Math::BigFloat->new("$p->{price}")->bmul("$p->{amount}");
					my $discount = $p->{discount} // 0;
					$sum->badd(($p->{percentDiscount} // 0) ? $gross->copy->bmul(Math::BigFloat->new(100)->bsub("$discount"))->bmul("0.01") : $gross->copy->bsub("$discount"));
				}
				my $same = $sum->bfround(-2, '+inf')->bcmp("$d->{paymentAmount}") == 0;
				my $meant = grep { $_ eq 'sum_mismatch' } $order->{expected}{anomalies}->@*;
				$wrong++ if $same == !!$meant;
				$mismatch++ if $meant && !$same;
			}
			$seen{string_number} ||= grep { encode($_->{price}) =~ /"/ } ($w->{data}{products} // [])->@*;
			$seen{kit} ||= grep { $_->{isComplect} } ($w->{data}{products} // [])->@*;
			$seen{upsell} ||= grep { exists $_->{upsell} } ($w->{data}{products} // [])->@*;
			$seen{preSale} ||= grep { exists $_->{preSale} } ($w->{data}{products} // [])->@*;
			$seen{percent} ||= grep { $_->{percentDiscount} } ($w->{data}{products} // [])->@*;
			$seen{money_discount} ||= grep { !$_->{percentDiscount} && $_->{discount} } ($w->{data}{products} // [])->@*;
			$seen{gift} ||= grep { $_->{price} == 0 } ($w->{data}{products} // [])->@*;
			$seen{fraction} ||= grep { $_->{amount} =~ /\./ } ($w->{data}{products} // [])->@*;
			my $phone = $w->{data}{contacts}[0]{phone};
			$seen{'phone ' . (ref $phone || (exists $w->{data}{contacts}[0]{phone} ? 'text' : 'absent'))} = 1;
			$seen{delivery_null} ||= !defined $w->{data}{ord_delivery_data};
			$seen{no_form} ||= !exists $w->{data}{formId};
			$seen{no_first_name} ||= !exists $w->{data}{contacts}[0]{fName};
			$seen{emoji} ||= ($w->{data}{comment} // '') =~ /\xf0\x9f/;
			is $l->{primaryContact}{id}, $w->{data}{contacts}[0]{id}, 'one customer in both shapes' if $n == 0 && $order->{base}{i} < 3;
		}
		my $x = $order->{expected};
		push $phones{ $x->{phone} }->@*, $x->{phone_text} if defined $x->{phone};
		my @v = $x->{versions}->@*;
		$wrong++ if grep { $v[$_] <= $v[ $_ - 1 ] } 1 .. $#v;
	}
	is $wrong, 0, 'paymentAmount is exactly the rounded sum in both shapes, versions grow';
	cmp_ok $mismatch, '>', 0, 'except where a mismatch was wished for';
	ok $seen{$_}, "varies: $_" for 'string_number', 'kit', 'upsell', 'preSale', 'percent', 'money_discount', 'gift', 'fraction', 'phone ARRAY', 'phone text', 'delivery_null', 'no_form', 'no_first_name', 'emoji';
	ok((grep { my %t = map { $_ => 1 } @$_; keys %t > 1 } values %phones), 'orders of one customer write the phone in different notations');
	is scalar(grep { !defined $_->{expected}{phone} } @$a), 4, 'orders without a usable phone, as many as wished';
	is Peer::Orders::kopecks(125_000_000 * 4), 5, 'exact kopecks stay';
	is Peer::Orders::kopecks(50_000_000), 1, 'half a kopeck goes up';
	is Peer::Orders::kopecks(-50_000_000), -1, 'away from zero';
	is Peer::Orders::decimal(1005, 3), '1.005', 'thousandths as text';
	is Peer::Orders::decimal(2000, 3), '2', 'without needless zeros';
};

my $crm = start('salesdrive');

sub api ($path, %o)
{
	my $r = $http->request($o{method} // 'GET', "http://127.0.0.1:$crm->{port}$path", { headers => { 'X-Api-Key' => $o{key} // 'demo-key', ($o{headers} // {})->%* }, exists $o{body} ? (content => $o{body}) : () });
	my ($json) = decode($r->{content});
	return { status => $r->{status}, json => $json, headers => $r->{headers}, text => $r->{content} };
}

subtest 'SalesDrive API' => sub {
	my $made = control($crm, 'POST', '/orders', { count => 120, seed => 3, plain => 1 })->{orders};
	is scalar @$made, 120, 'orders are made';
	is api('/api/statuses/', key => 'wrong')->{json}{message}, 'api key is invalid', 'a wrong key: 200 with an error';
	control($crm, 'POST', '/config', { key_error => '401' });
	is api('/api/statuses/', key => 'wrong')->{status}, 401, 'or 401, by option';
	is $http->get("http://127.0.0.1:$crm->{port}/api/statuses/", { headers => { 'Form-Api-Key' => 'demo-key' } })->{status}, 200, 'the older header is accepted too';
	is api('/api/delivery-methods/')->{json}{data}[0]{parameter}, 'novaposhta', 'dictionary of delivery methods';
	my $r = api('/api/order/list/')->{json};
	is scalar $r->{data}->@*, 50, '50 rows by default';
	is $r->{pagination}{pageCount}, 3, 'pages are counted';
	is $r->{data}[0]{id}, 100120, 'newest first';
	ok $r->{meta}{fields}{userId}{options}, 'dictionaries come along';
	is scalar api('/api/order/list/?limit=100&page=2')->{json}{data}->@*, 20, 'second page of 100';
	is api('/api/order/list/?limit=101')->{json}{status}, 'error', 'more than 100 is refused';
	my $x = $made->[5];
	$r = api("/api/order/list/?filter[id][from]=$x->{id}&filter%5Bid%5D%5Bto%5D=$x->{id}&filter[statusId]=__ALL__")->{json}{data};
	is "$r->[0]{id} $r->[0]{version} " . scalar @$r, "$x->{id} $x->{version} 1", 'one order by id range';
	is 0 + $r->[0]{paymentAmount}, 0 + $x->{payment_amount}, 'with the amount that was promised';
	my ($from, $to) = ($made->[7]{update_at}) x 2;
	$r = api('/api/order/list/?filter[updateAt][from]=' . enc($from) . '&filter[updateAt][to]=' . ($to =~ tr/ /+/r))->{json}{data};
	ok((grep { $_->{id} == $made->[7]{id} } @$r), 'by time of change; a plus is a space here');
	control($crm, 'POST', '/edit', { id => $x->{id}, data => { statusId => 8 } });
	control($crm, 'POST', '/config', { per_minute => 0 });
	is api('/api/order/list/?limit=1')->{json}{totals}{count}, 119, 'deleted orders are left out';
	is api('/api/order/list/?limit=1&filter[statusId]=__ALL__')->{json}{totals}{count}, 120, 'unless __ALL__ is asked for';
	control($crm, 'POST', '/config', { per_minute => 10 });
	my $over;
	for (1 .. 12) { $over = api('/api/order/list/?limit=1'); last if $over->{json}{status} eq 'error' }
	is "$over->{status} $over->{json}{message}", '400 API limit reached', 'beyond the quota: 400 and a sentence';
	control($crm, 'POST', '/config', { quota_form => 'retry_after' });
	$over = api('/api/order/list/?limit=1');
	is $over->{status}, 429, 'or 429, by option';
	cmp_ok $over->{headers}{'retry-after'}, '>', 0, 'with Retry-After';
	$r = api('/api/order/update/', method => 'POST', body => encode({ id => $made->[0]{id}, data => { comment => 'з бухгалтерії', payment_method => '4', nonsense => 1 } }))->{json};
	is $r->{success}, !!1, 'an update is a success even where fields are ignored';
	my $u = control($crm, 'GET', '/state')->{updates}[-1];
	is "$u->{data}{comment} @{$u->{ignored}}", 'з бухгалтерії nonsense payment_method', 'the control address tells which';
	is control($crm, 'GET', '/state')->{by_id}{ $made->[0]{id} }{version}, $made->[0]{version} + 1, 'version grows';
	is api('/api/order/update/', method => 'POST', body => encode({ id => 1, data => {} }))->{json}{message}, 'Order not found.', 'an unknown order';
	is api('/api/order/update/', method => 'POST', headers => { 'Content-Type' => 'application/x-www-form-urlencoded' }, body => "id=$made->[1]{id}&data%5Bcomment%5D=a+b")->{json}{success}, !!1, 'a form-encoded update';
};

subtest 'SalesDrive goods' => sub {
	my $post = sub ($path, $data) { return api("/$path-handler/", method => 'POST', body => encode($data)) };
	my $update = sub (@products) { return $post->(product => { action => 'update', product => \@products })->{json} };
	my $state = sub () { return control($crm, 'GET', '/products') };
	is $update->(map { { id => "$_", name => 'x' } } 1 .. 101)->{message}, 'No more than 100 products in a request.', 'more than 100 products are refused';
	is $update->({ id => '1' })->{message}, 'product[1]: name is required.', 'as is one without a name';
	is scalar keys $state->()->{products}->%*, 0, 'and nothing of them is done';
	is $update->({ id => '1', name => 'Ліхтар', price => 9, costPerItem => 10, discount => 5, additionalPrices => [ { priceType => 'Опт', priceValue => 8 } ], bogus => 1 })->{message}, 'product[1] successfully added.', 'success, whatever is ignored';
	is_deeply $state->()->{products}{1}, { name => 'Ліхтар', costPerItem => 10, additionalPrices => { 'Опт' => { value => 8, currency => undef } } }, '"price", a bare discount and unknown keys are';
	is "@{ $state->()->{ignored} }", '1 bogus 1 discount 1 price', 'the control address tells which';
	$post->(product => { action => 'update', dontUpdateFields => [ 'price', 'name' ], product => [ { id => '1', name => 'Інше', costPerItem => 11, discount => { value => '10%' }, stockBalanceByStock => { 1 => 5 } }, { id => '2', name => 'Новий', costPerItem => 12 } ] });
	is_deeply $state->()->{products}, { 1 => { name => 'Ліхтар', costPerItem => 10, additionalPrices => { 'Опт' => { value => 8, currency => undef } }, discount => { value => '10%' }, stockBalanceByStock => { 1 => 5 } }, 2 => { name => 'Новий', costPerItem => 12 } },
		'dontUpdateFields guards what is there, under the name "price"; a new card gets all';
	control($crm, 'POST', '/config', { absent_fields => 'cleared', price_types => ['Роздріб'], bad_products => { 3 => 'no such tariff' }, bad_form => 'message' });
	is $update->({ id => '2', name => 'Новий', additionalPrices => [ { priceType => 'Опт', priceValue => 8 } ] }, { id => '3', name => 'x' })->{message}, 'product[2] successfully added. product[3]: no such tariff', 'refusals of single products are in the message alone, by option';
	is_deeply $state->()->{products}{2}, { name => 'Новий', additionalPrices => {} }, 'what is not sent is cleared, by option; a price type that is not there is dropped';
	control($crm, 'POST', '/config', { bad_form => 'request', product_refusal => '400' });
	is $post->(product => { action => 'update', product => [ { id => '2', name => 'y' }, { id => '3', name => 'x' } ] })->{status}, 400, 'or fail the request';
	is $state->()->{products}{2}{name}, 'Новий', 'then nothing is done';
	my $tree = sub (@list) { return $post->(category => { action => 'update', category => \@list })->{json} };
	is $tree->({ id => 1, name => 'A' }, { id => 2, name => 'B', parentId => 1 })->{message}, 'category[1, 2] successfully added.', 'categories';
	is $tree->({ id => 4, name => 'D', parentId => 3 }, { id => 3, name => 'C' })->{message}, 'category[4]: parent 3 not found.', 'parents before children';
	is $tree->({ id => 1, name => 'A', parentId => 2 })->{message}, 'category[1]: is within itself.', 'and no circles';
	is $post->(product => { action => 'delete', product => [ { id => '1' } ] })->{json}{status} . (exists $state->()->{products}{1} ? 1 : 0), 'success0', 'deleted';
};

subtest 'SalesDrive webhooks' => sub {
	control($crm, 'POST', '/reset');
	my $made = control($crm, 'POST', '/orders', { count => 20, seed => 5, versions => [ 2, 3 ] })->{orders};
	my $versions = 0;
	$versions += $_->{versions}->@* for @$made;
	# another simulator is the receiver: its log shows what came
	my $receiver = start('bas', '--config', '{"log_bodies":true}');
	control($receiver, 'POST', '/faults', [ { action => 'status', status => 503, every => 5, times => 3 }, { action => 'reset_before', every => 7, times => 2 }, { action => 'status', status => 200, body => 'json' } ]);
	my $d = control($crm, 'POST', '/deliver', { url => "http://127.0.0.1:$receiver->{port}/webhook/x/token", duplicates => 0.5, shuffle => !!1, concurrency => 4, chunked => 0.3, retry_ms => 20 });
	cmp_ok $d->{planned}, '>', $versions, 'duplicates are planned';
	my $s = control($crm, 'GET', '/deliveries?wait=180');
	is "$s->{done} $s->{accepted} $s->{pending}", "1 $d->{planned} 0", 'all are delivered in the end';
	is $s->{failed}{503}, 3, 'refusals are counted';
	cmp_ok $s->{retries}, '>=', 5, 'and tried again';
	my @bodies = map { (decode($_->{body}))[0] } grep { $_->{status} eq '200' } control($receiver, 'GET', '/requests')->{requests}->@*;
	is scalar @bodies, $d->{planned}, 'the receiver got as many';
	my %got = map { ("$_->{data}{id}/$_->{data}{version}" => 1) } @bodies;
	is scalar keys %got, $versions, 'every version of every order';
	is join(' ', sort { $a cmp $b } map { $_->{info}{webhookEvent} } grep { $_->{data}{version} == 1 && $_->{data}{id} == 100001 } @bodies) =~ /\A(?:new_order ?)+\z/ ? 1 : 0, 1, 'version 1 is a new_order';
	control($receiver, 'POST', '/stop');
};

subtest 'BAS: independent information registers' => sub {
	my ($unf, $there) = ($bas, $base);
	$bas = start('bas', '--configuration', 'accounting2');
	$base = "$bas->{url}/odata/standard.odata/";
	my ($set, $invoice) = ('InformationRegister_ДополнительныеСведения', 'Document_СчетНаОплатуПокупателю');
	my ($doc, $property) = ('8c1f4a10-0001-11ee-8000-00000000000a', '8c1f4a10-0002-11ee-8000-00000000000b');
	my %record = ('Объект' => $doc, 'Объект_Type' => "StandardODATA.$invoice", 'Свойство_Key' => $property, 'Значення' => 'x', 'Значение' => 'перше', 'Значение_Type' => 'Edm.String');
	my $key = sub (%o) { "$set(" . join(',', map { "$_=$o{$_}" } sort keys %o) . ')' };
	my %address = ('Объект' => "'$doc'", 'Объект_Type' => "'StandardODATA.$invoice'", 'Свойство_Key' => "guid'$property'");
	my $r = odata('GET', '$metadata');
	like $r->{text}, qr{EntityType Name="$set"><Key><PropertyRef Name="Объект"/><PropertyRef Name="Объект_Type"/><PropertyRef Name="Свойство_Key"/></Key>}, 'its dimensions are its key';
	$r = odata('POST', $set, body => \%record);
	is "$r->{status} " . join(' ', map { $r->{json}{$_} // 'none' } qw(Объект Значение Значення Ref_Key DataVersion)), "200 $doc перше none none none", 'a record is made, with 200; unknown properties are ignored';
	$r = odata('POST', $set, body => { %record, 'Значение' => 'друге' });
	is "$r->{status} $r->{code}", '400 15', 'never twice';
	is odata('GET', $key->(%address))->{json}{'Значение'}, 'перше', 'the first stands; read by its key';
	is odata('GET', $key->(%address, 'Объект' => "guid'$doc'"))->{status}, 200, 'which may be written as a guid, too';
	is odata('GET', $key->(%address{ 'Объект', 'Свойство_Key' }))->{code}, 7, 'a key is whole';
	is odata('POST', $set, body => { map { $_ => $record{$_} } grep { $_ ne 'Объект_Type' } keys %record })->{code}, 5, 'and a composite dimension has its type';
	my $find = sub ($condition) { scalar filter($set, $condition)->{json}{value}->@* };
	is $find->("Объект eq cast(guid'$doc','$invoice')"), 1, 'found by its object';
	is $find->("Объект eq guid'$doc'"), 0, 'which without its type is nothing, silently';
	$r = odata('PATCH', $key->(%address), body => { 'Объект' => $property, 'Значение' => 'третє', 'Значение_Type' => 'Edm.String' });
	is "$r->{status} $r->{json}{'Объект'} $r->{json}{'Значение'}", "200 $doc третє", 'a change leaves the dimensions';
	is odata('DELETE', $key->(%address))->{status}, 204, 'deleted';
	$r = odata('PATCH', $key->(%address), body => { 'Значение' => 'x' });
	is "$r->{status} $r->{code}", '404 9', 'gone';
	control($bas, 'POST', '/stop');
	($bas, $base) = ($unf, $there);
};

subtest 'end of a simulator' => sub {
	close $bas->{in};
	my $gone = 0;
	for (1 .. 6000) {
		if (waitpid($bas->{pid}, 1) == $bas->{pid}) { $gone = 1; last }
		select undef, undef, undef, 0.02;
	}
	ok $gone, 'it ends when its parent closes the pipe';
	@children = grep { $_ != $bas->{pid} } @children if $gone;
};

done_testing;
