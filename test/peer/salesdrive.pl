#!/usr/bin/perl
# salesdrive.pl - simulator of a SalesDrive account: its API and its webhooks
#
#   perl test/peer/salesdrive.pl [--port N] [--control-port N] [--host 127.0.0.1] [--key TEXT] [--account-key TEXT] [--config '{"option": value}']
#
# Prints one line {"port":N,"control":M,"url":"http://127.0.0.1:N"} and serves until SIGTERM, POST /stop, or the end of a standard input
# that is a pipe. The API key (X-Api-Key or Form-Api-Key) is "demo-key" unless told otherwise. Orders come from Peer/Orders.pm.
#
# API: GET /api/order/list/ (page, limit; filters updateAt, orderTime, id, statusId with __ALL__ and __NOTDELETED__, externalId, any other field
#   by equality) · GET /api/payment/list/ /api/check/list/ · POST /api/payment/ (account key) · GET /api/statuses/ /api/payment-methods/ /api/delivery-methods/ · POST /api/order/update/ (JSON or form) ·
#   POST /api/order/note/ · POST /product-handler/ /category-handler/ (Peer/Cards.pm) · GET /export/yml/export.yml?publicKey=… (Peer/Yml.pm)
#
# Control address, besides the routes of Peer/Control.pm:
#   POST /orders       options of Peer::Orders::generate → {"orders": [expected facts]}; adds to what is there ("replace": true empties first,
#                      "current": "first": order/list shows the first versions until POST /advance)
#   GET  /orders       expected facts of all          GET /order?id=N[&version=i][&shape=webhook|list]: one body
#   POST /deliver      {"url", "orders": "all"|[ids], "versions": "all"|"last"|"first", "duplicates": p (0..1, may exceed 1), "shuffle": bool,
#                      "seed", "concurrency": 1, "keep_alive": true, "chunked": p, "retry": true, "retry_ms": 200, "max_attempts": 0 = no end,
#                      "timeout_ms": 10000, "per_second": 0 = no limit} → {"delivery": n, "planned": k}; goes on by itself
#   GET  /deliveries[?wait=seconds]   {planned, sent, accepted, pending, retries, failed {status or error: n}, done, seconds, ms {p50, p99, max}};
#                      with wait the answer comes when all is delivered or the time is over
#   DELETE /deliveries stops what is going on and clears the figures
#   POST /advance      {"orders": "all"|[ids], "to": "next"|"last"}      versions that order/list shows
#   POST /edit         {"id": N, "data": {...}}  a manager changes fields of the current row; version and updateAt grow
#   POST /payments     {"payments": [row...], "receipts": [row...], "remove": [payment ids]}: rows as given, by their id, with defaults for what is left out
#   GET  /payments     {payments, receipts, calls {list: n}}
#   GET  /state        {orders, updates [{id, data, ignored}], notes [{id, text}], by_id {id: {version, statusId, ...}}}          POST /reset
#   POST /products     {"products": {id: fields}, "categories": {id: {name, parentId}}}: cards that are there
#   POST /offers       {"offers": [{id, sku, name, categoryId, price, available, params {name: value}, ...}], "categories": [{id, name, parentId}]}: what the YML export has from now on
#   GET  /products     {products {id: fields}, categories, ignored ["id key"], requests [{ids, keys, kept}]}; DELETE forgets all
# Options (POST /config): per_minute 10, per_hour 100, per_day 1000 (0 = no limit) for order/list; quota_form 400 | 429 | retry_after | 200;
#   key_error 200 | 401 | 403; sort newest | oldest | updated; max_limit 100; echo_url: webhooks for status changes made through the API;
#   echo status | all: which of them; update_refusal success | status | 400: form of a refusal of update or note; note_key note | text | any;
#   key_headers any | both | none: whether both headers of the key must be there, or only "form" in the body counts; skew 0: seconds its quota is ahead of the clock;
#   deny ["payment/list"...]: methods the account key has no right to; payment_filter any | date | updatedAt | none: which filters payment/list and
#   check/list heed; payment_sort newest | oldest; unique_repeat refuse | same | new: what a uniqueId sent again does; unique_shown none | uniqueId |
#   purpose | comment: what a row of payment/list shows of uniqueId and description;
#   yml_refusal 403 | 404 | html | json: form of a refusal of the link of the YML export (key "public-key"); yml_encoding UTF-8 | windows-1251 | mislabelled (says
#   windows-1251, is UTF-8) | unsaid (windows-1251, says nothing), yml_form good | html | cut | empty | bom;
#   those of Peer/Cards.pm;
#   clock "YYYY-MM-DD HH:MM:SS" of the account or ""; latency_ms, latency_jitter_ms, log, log_limit, log_bodies
use v5.36;
no feature 'unicode_strings';
no warnings 'experimental::builtin';
use builtin qw(true false);
use FindBin;
use lib $FindBin::Bin;
use Getopt::Long;
use POSIX qw(strftime ceil);
use Peer::Json qw(encode decode raw);
use Peer::Loop;
use Peer::Http;
use Peer::Client;
use Peer::Traffic;
use Peer::Control;
use Peer::Orders;
use Peer::Cards;
use Peer::Yml;

my %opt = (port => 0, 'control-port' => 0, host => '127.0.0.1', key => 'demo-key', config => '{}');
GetOptions(\%opt, 'port=i', 'control-port=i', 'host=s', 'key=s', 'account-key=s', 'config=s') or die "see the head of this file\n";

my %config = (per_minute => 10, per_hour => 100, per_day => 1000, quota_form => '400', key_error => '200', key_headers => 'any', skew => 0, sort => 'newest', max_limit => 100, echo_url => '', echo => 'status', update_refusal => 'success', note_key => 'any', deny => [], payment_filter => 'any', payment_sort => 'newest', unique_repeat => 'refuse', unique_shown => 'purpose', clock => '',
	latency_ms => 0, latency_jitter_ms => 0, log => true, log_limit => 100_000, log_bodies => false, %Peer::Cards::DEFAULTS, %Peer::Yml::DEFAULTS);
{
	my ($given, $why) = decode($opt{config});
	die "--config: $why\n" if defined $why;
	for (keys %$given) { die "--config: unknown option $_\n" if !exists $config{$_} }
	%config = (%config, %$given);
}
my %config_at_start = %config;

my $loop = Peer::Loop->new;
my $traffic = Peer::Traffic->new(loop => $loop, config => \%config, body => \&fault_body);
my $server = Peer::Http->listen($loop, $opt{host}, $opt{port}, \&serve);

my $cards = Peer::Cards->new(config => \%config);
my $yml = Peer::Yml->new(config => \%config);
my %order;        # id => { made, at (index of the version shown), patch (fields changed since) }
my @updates;
my @notes;
my %list_calls;    # method => times of its requests
my (%payment, %receipt);    # id => row; of a payment also _unique, which no row shows unless told so
my $run = fresh_run();
my @clients;

# ---------------------------------------------------------------- the API

my %ROUTE = (
	'GET /api/order/list/' => \&order_list, 'POST /api/order/update/' => \&order_update, 'POST /api/order/note/' => \&order_note,
	'GET /api/payment/list/' => sub ($req, @) { paid_list($req, 'payment/list', \%payment, 'sum') }, 'GET /api/check/list/' => sub ($req, @) { paid_list($req, 'check/list', \%receipt, 'totalSum') },
	'POST /api/payment/' => \&payment_create, 'GET /export/yml/export.yml' => sub { },
	'POST /product-handler/' => sub ($req, $body) { cards_answer(products => $body) }, 'POST /category-handler/' => sub ($req, $body) { cards_answer(categories => $body) },
	'GET /api/statuses/' => sub { { success => true, data => Peer::Orders::statuses() } },
	'GET /api/payment-methods/' => sub { { success => true, data => Peer::Orders::payment_methods() } },
	'GET /api/delivery-methods/' => sub { { success => true, data => Peer::Orders::delivery_methods() } });

sub serve ($req)
{
	my $path = Peer::Traffic::decoded($req->{path});
	my $label = "$req->{method} $path";
	$traffic->serve($req, $label, sub { work($req, $label) });
}

sub json ($status, $data, @headers) { return [ $status, [ 'Content-Type', 'application/json; charset=utf-8', @headers ], encode($data) ] }

sub work ($req, $label)
{
	my $route = $ROUTE{$label};
	return [ 404, [ 'Content-Type', 'text/html; charset=utf-8' ], '<html><body><h1>Not Found</h1></body></html>' ] if !$route;
	return $yml->answer(query_of($req->{query})) if $label eq 'GET /export/yml/export.yml';    # by the key in its link alone
	my $body = $req->{body} eq '' ? {} : body_of($req);
	my $form = ref $body eq 'HASH' ? $body->{form} : undef;
	my $key = $config{key_headers} eq 'none' ? $form // '' : $req->{h}{'x-api-key'} // $req->{h}{'form-api-key'} // $form // '';
	$key = '' if $config{key_headers} eq 'both' && grep { ($req->{h}{$_} // '') ne ($label =~ m{ /api/(?:payment|check)/} ? $opt{'account-key'} // $opt{key} : $opt{key}) } qw(x-api-key form-api-key);
	my $wanted = $label =~ m{ /api/(?:payment|check)/} ? $opt{'account-key'} // $opt{key} : $opt{key};
	$key = '' if grep { $label =~ m{ /api/\Q$_\E/\z} } $config{deny}->@*;
	if ($key ne $wanted) { return json($config{key_error}, { status => 'error', message => 'api key is invalid' }) }
	my $answer = eval { $route->($req, $body) };
	return json(400, { status => 'error', message => $@ =~ s/\s+\z//r }) if $@;
	return ref $answer eq 'ARRAY' ? $answer : json(200, $answer);
}

sub cards_answer ($method, $body)
{
	die "bad request\n" if ref $body ne 'HASH';
	my $answer = $cards->$method($body);
	return ref $answer eq 'ARRAY' ? json(@$answer) : $answer;
}

sub query_of ($text)
{
	my %q;
	for my $pair (split /&/, $text // '') {
		my ($k, $v) = map { Peer::Traffic::decoded(tr/+/ /r) } split /=/, $pair, 2;
		next if !defined $k;
		if ($k =~ s/\[\]\z//) { push $q{"$k\[]"}->@*, $v // '' }
		else { $q{$k} = $v // '' }
	}
	return \%q;
}

sub body_of ($req)
{
	my ($data, $why) = decode($req->{body});
	return $data if !defined $why;
	my %h;
	my $q = query_of($req->{body});
	for my $k (keys %$q) {
		if ($k =~ /\Adata\[([^\]]+)\](\[\])?\z/) { $h{data}{$1} = $q->{$k} }
		else { $h{$k} = $q->{$k} }
	}
	return \%h;
}

# undef when within the limits, else the answer.
sub over_quota ($method)
{
	my $list_calls = $list_calls{$method} //= [];
	my $now = Peer::Loop::now() + $config{skew};
	shift @$list_calls while @$list_calls && $list_calls->[0] < $now - 86_400;
	for my $w ([ per_minute => 60 ], [ per_hour => 3600 ], [ per_day => 86_400 ]) {
		my ($name, $seconds) = @$w;
		next if !$config{$name};
		my @in = grep { $_ > $now - $seconds } @$list_calls;
		next if @in < $config{$name};
		my $body = { status => 'error', message => 'API limit reached' };
		return json(200, $body) if $config{quota_form} eq '200';
		return json(400, $body) if $config{quota_form} eq '400';
		return json(429, $body, $config{quota_form} eq 'retry_after' ? ('Retry-After', ceil($in[0] + $seconds - $now)) : ());
	}
	push @$list_calls, $now;
	return undef;
}

# The row of an order as it stands now.
sub row ($o)
{
	my $row = Peer::Orders::list_row($o->{made}, $o->{at});
	return { %$row, $o->{patch}->%* };
}

sub plain ($v) { return ref $v eq 'Peer::Json::Raw' ? $$v : $v // '' }

sub order_list ($req, @)
{
	my $refusal = over_quota('order/list');
	return $refusal if $refusal;
	my $q = query_of($req->{query});
	my $limit = $q->{limit} // 50;
	my $page = $q->{page} // 1;
	die "limit must be a number from 1 to $config{max_limit}\n" if $limit !~ /\A\d+\z/ || $limit < 1 || $limit > $config{max_limit};
	die "page must be a number\n" if $page !~ /\A\d+\z/ || $page < 1;
	my @test = list_tests($q);
	my @rows;
	ORDER: for my $o (values %order) {
		my $head = head_of($o);
		for my $t (@test) { $t->($head) or next ORDER }
		push @rows, [ $o, $head ];
	}
	my $by = $config{sort} eq 'updated' ? sub { $a->[1]{updateAt} cmp $b->[1]{updateAt} || $a->[1]{id} <=> $b->[1]{id} }
	  : $config{sort} eq 'oldest' ? sub { $a->[1]{id} <=> $b->[1]{id} } : sub { $b->[1]{id} <=> $a->[1]{id} };
	@rows = sort $by @rows;
	my $count = @rows;
	my $sum = 0;
	$sum += $_->[1]{kopecks} for @rows;
	my $first = ($page - 1) * $limit;
	@rows = $first > $#rows ? () : @rows[ $first .. ($first + $limit - 1 > $#rows ? $#rows : $first + $limit - 1) ];
	return { status => 'success', data => [ map { row($_->[0]) } @rows ], meta => { fields => fields() },
		pagination => { currentPage => $page + 0, pageCount => ceil($count / $limit), perPage => $limit + 0 },
		totals => { count => $count, paymentAmount => raw(Peer::Orders::decimal($sum, 2)), commission => 0, expenses => 0 } };
}

# The fields that filters and sorting need, without making the whole row.
sub head_of ($o)
{
	my ($b, $v) = ($o->{made}{base}, $o->{made}{versions}[ $o->{at} ]);
	my %h = (id => $b->{id}, version => $v->{version}, updateAt => Peer::Orders::_time($v->{update}), orderTime => Peer::Orders::_time($b->{order_time}), statusId => $v->{status}, externalId => $b->{external},
		userId => $b->{manager}, typeId => $b->{type}, organizationId => $b->{organization}, sajt => $b->{site}, payment_method => $b->{payment_method}, shipping_method => $b->{shipping_method},
		kopecks => Peer::Orders::payment_kopecks($o->{made}, $v));
	for my $k (keys %h) { $h{$k} = plain($o->{patch}{$k}) if exists $o->{patch}{$k} }
	return \%h;
}

sub list_tests ($q)
{
	my (@test, %wanted);
	for my $k (sort keys %$q) {
		my ($field, $rest) = $k =~ /\Afilter\[(\w+)\](.*)\z/ or next;
		my $value = $q->{$k};
		if ($rest eq '[from]' || $rest eq '[to]') {
			my $from = $rest eq '[from]';
			push @test, $field =~ /\A(?:updateAt|orderTime|paymentDate|setStatusTime)\z/
			  ? ($from ? sub ($h) { $h->{$field} ge $value } : sub ($h) { $h->{$field} le $value })
			  : ($from ? sub ($h) { ($h->{$field} // 0) >= $value } : sub ($h) { ($h->{$field} // 0) <= $value });
			next;
		}
		push $wanted{$field}->@*, ref $value ? @$value : $value;
	}
	$wanted{statusId} //= ['__NOTDELETED__'];
	for my $field (sort keys %wanted) {
		my %is = map { $_ => 1 } $wanted{$field}->@*;
		next if $is{__ALL__};
		push @test, $is{__NOTDELETED__} ? sub ($h) { $h->{statusId} != 8 } : sub ($h) { $is{ $h->{$field} // '' } };
	}
	return @test;
}

sub fields ()
{
	my $field = sub ($name, $label, @options) { return { name => $name, label => $label, type => 'select', editable => true, system => true, options => \@options } };
	return {
		statusId => $field->('statusId', 'Статус', map { { value => $_->{id}, text => $_->{name}, active => 1 } } Peer::Orders::statuses()->@*),
		payment_method => $field->('payment_method', 'Оплата', map { { value => $_->{id}, text => $_->{name}, active => 1 } } Peer::Orders::payment_methods()->@*),
		shipping_method => $field->('shipping_method', 'Доставка', map { { value => $_->{id}, text => $_->{name}, active => 1 } } Peer::Orders::delivery_methods()->@*),
		sajt => $field->('sajt', 'Сайт', map { { value => $_, text => "shop$_.example", active => 1 } } 1 .. 3),
		userId => $field->('userId', 'Менеджер', map { { value => $_, text => "Менеджер $_", active => 1 } } 1 .. 5),
		organizationId => $field->('organizationId', 'Організація', { value => 1, text => 'ТОВ «Вигадана Крамниця»', active => 1 }),
		rejectionReason => $field->('rejectionReason', 'Причина відмови', { value => 12, text => 'Дорого', active => 1 }),
		products => { name => 'products', label => 'Товари', type => 'products', options => [ { value => 9001, text => 'Ліхтар', stockBalance => { 1 => 5 } } ],
			fields => { stockId => $field->('stockId', 'Склад', { value => 1, text => 'Основний склад', active => 1 }, { value => 2, text => 'Магазин', active => 1 }) } } };
}

sub account_now () { return $config{clock} || strftime('%Y-%m-%d %H:%M:%S', localtime) }

my %WRITABLE = map { $_ => 1 } qw(statusId paymentDate comment shipping_address adresDostavki sajt nePeredzvonuvati_2 promokod gurt nomerBas posilannyaBas);
my %OPTION_OF = (payment_method => \&Peer::Orders::payment_methods, shipping_method => \&Peer::Orders::delivery_methods);

sub update_refused ($message)
{
	return $config{update_refusal} eq 'success' ? { success => false, message => $message } : json($config{update_refusal} eq '400' ? 400 : 200, { status => 'error', message => $message });
}

# Success even where a field was ignored: unknown names, options given by id, derived sums.
sub order_update ($req, $body)
{
	die "bad request\n" if ref $body ne 'HASH' || ref($body->{data} // {}) ne 'HASH';
	my $o = defined $body->{id} ? $order{ $body->{id} } : (sort { $a->{made}{base}{id} <=> $b->{made}{base}{id} } grep { $_->{made}{base}{external} eq ($body->{externalId} // "\0") } values %order)[0];
	return update_refused('Order not found.') if !$o;
	my $data = $body->{data} // {};
	return update_refused("Status $data->{statusId} not found.") if defined $data->{statusId} && !grep { $_->{id} eq $data->{statusId} } Peer::Orders::statuses()->@*;
	my (%patch, @ignored);
	for my $k (sort keys %$data) {
		if ($WRITABLE{$k}) { $patch{$k} = $data->{$k} }
		elsif (my $options = $OPTION_OF{$k}) {
			my ($option) = grep { $_->{parameter} eq $data->{$k} || $_->{name} eq $data->{$k} } $options->()->@*;
			$option ? ($patch{$k} = $option->{id}) : push @ignored, $k;
		}
		else { push @ignored, $k }
	}
	push @updates, { id => $o->{made}{base}{id}, data => $data, ignored => \@ignored, at => account_now() };
	changed($o, \%patch) if %patch;
	return { success => true };
}

# A note is added each time: nothing tells two equal ones apart.
sub order_note ($req, $body)
{
	die "bad request\n" if ref $body ne 'HASH';
	my $text = $config{note_key} eq 'any' ? $body->{note} // $body->{text} : $body->{ $config{note_key} };
	return update_refused('Order not found.') if !$order{ $body->{orderId} // '' };
	return update_refused('The note is empty.') if ($text // '') eq '';
	push @notes, { id => $body->{orderId} + 0, text => $text };
	return { success => true, data => { noteId => scalar @notes } };
}

# Payments and receipts: a window by date or by updatedAt, where that filter is heeded.
sub paid_list ($req, $method, $rows, $sum)
{
	my $refusal = over_quota($method);
	return $refusal if $refusal;
	my $q = query_of($req->{query});
	my ($limit, $page) = ($q->{limit} // 30, $q->{page} // 1);
	die "limit must be a number from 1 to $config{max_limit}\n" if $limit !~ /\A\d+\z/ || $limit < 1 || $limit > $config{max_limit};
	die "page must be a number\n" if $page !~ /\A\d+\z/ || $page < 1;
	my @all = values %$rows;
	for my $field (qw(date updatedAt)) {
		next if $config{payment_filter} ne 'any' && $config{payment_filter} ne $field;
		my ($from, $to) = map { $q->{"filter[$field][$_]"} } qw(from to);
		@all = grep { (!defined $from || $_->{$field} ge $from) && (!defined $to || $_->{$field} le $to) } @all;
	}
	@all = sort { $a->{date} cmp $b->{date} || $a->{id} <=> $b->{id} } @all;
	@all = reverse @all if $config{payment_sort} eq 'newest';
	my ($count, $total) = (scalar @all, 0);
	$total += plain($_->{$sum}) for @all;
	@all = grep { defined } @all[ ($page - 1) * $limit .. $page * $limit - 1 ] if @all;
	return { status => 'success', data => [ map { shown($_) } @all ], pagination => { currentPage => $page + 0, pageCount => ceil($count / $limit), perPage => $limit + 0 }, totals => { count => $count, sum => raw(sprintf '%.2f', $total) } };
}

sub shown ($row)
{
	my %h = map { $_ => $row->{$_} } grep { !/\A_/ } keys %$row;
	my $how = $config{unique_shown};
	$h{uniqueId} = $row->{_unique} if $how eq 'uniqueId' && defined $row->{_unique};
	$h{$how} = $row->{_description} if $how =~ /\A(?:purpose|comment)\z/ && defined $row->{_description};
	return \%h;
}

# What the list says of a payment: the sum as text, no user as "", keys of what there is not are absent.
sub payment_row ($p)
{
	my $now = account_now();
	return { userId => '', comment => undef, purpose => undef, nds => 0, payerTypeId => 2, responsibleId => 1, type => 'incoming', integrationTypeId => undef, date => $now, createdAt => $now, updatedAt => $now, paymentBreakdown => [], %$p };
}

sub payment_create ($req, $body)
{
	die "bad request\n" if ref $body ne 'HASH';
	for my $k (qw(organizationId accountNumber sum)) { return update_refused("$k is required.") if plain($body->{$k}) eq '' }
	return update_refused('sum must be a number.') if plain($body->{sum}) !~ /\A\d+(?:\.\d{1,2})?\z/ || plain($body->{sum}) == 0;
	my $unique = $body->{uniqueId};
	if (defined $unique && $config{unique_repeat} ne 'new') {
		my ($same) = grep { ($_->{_unique} // '') eq $unique } values %payment;
		return $config{unique_repeat} eq 'same' ? { success => true, data => { paymentId => $same->{id} } } : update_refused('A payment with this uniqueId exists.') if $same;
	}
	my ($last) = sort { $b <=> $a } keys %payment;
	my $id = ($last // 42951) + 1;
	my $sum = sprintf '%.2f', plain($body->{sum});
	$payment{$id} = payment_row({ id => $id, sum => $sum, defined $body->{datetime} ? (date => $body->{datetime}) : (), organizationAccount => { id => 42, title => 'Privat', accountNumber => $body->{accountNumber} },
		organization => { id => $body->{organizationId} + 0, title => 'ТОВ «Вигадана Крамниця»', egrpou => '00000001' },
		defined $body->{orderId} ? (paymentBreakdown => [ { sum => $sum, order => { id => $body->{orderId} + 0, formId => $body->{formId} // 1 } } ]) : (), _unique => $unique, _description => $body->{description} });
	return { success => true, data => { paymentId => $id + 0 } };
}

sub changed ($o, $patch)
{
	my $before = head_of($o);
	%{ $o->{patch} } = ($o->{patch}->%*, %$patch, version => $before->{version} + 1, updateAt => account_now());
	my $status = head_of($o)->{statusId};
	return if $config{echo_url} eq '' || $config{echo} eq 'status' && $status eq $before->{statusId};
	my $body = Peer::Orders::webhook($o->{made}, $o->{at});
	$body->{data}->%* = ($body->{data}->%*, $o->{patch}->%*);
	$body->{info}{webhookEvent} = 'status_change';
	start_run({ url => $config{echo_url}, concurrency => 1 }, [ { body => encode($body), id => $o->{made}{base}{id} } ]);
}

sub fault_body ($kind, $rule, $req, $status)
{
	return (undef, '') if $kind eq 'empty';
	return ('text/html; charset=utf-8', '<html><body><h1>' . ($rule->{text} // "$status") . '</h1></body></html>') if $kind eq 'html';
	return ('text/plain; charset=utf-8', $rule->{text} // 'error') if $kind eq 'text';
	return ('application/json; charset=utf-8', $kind eq 'json' && defined $rule->{text} ? $rule->{text} : encode({ status => 'error', message => $rule->{text} // 'Internal error' }));
}

# ---------------------------------------------------------------- webhooks

sub fresh_run () { return { planned => 0, sent => 0, accepted => 0, pending => 0, retries => 0, failed => {}, took => [], began => undef, ended => undef, waiting => [] } }

# Puts deliveries on a queue of their own and lets a client work it off.
sub start_run ($o, $queue)
{
	my $mine = $run;
	my ($client, $next_at, $left) = (undef, 0, scalar @$queue);
	my $gap = $o->{per_second} ? 1 / $o->{per_second} : 0;
	$mine->{planned} += @$queue;
	$mine->{pending} += @$queue;
	$mine->{began} //= Peer::Loop::now();
	my $next = sub {
		return undef if $mine != $run || !@$queue;
		if ($gap) {
			my $now = Peer::Loop::now();
			if ($now < $next_at) {
				$loop->after($next_at - $now, sub { $client->wake });
				return undef;
			}
			$next_at = ($next_at > $now - 0.1 ? $next_at : $now) + $gap;
		}
		my $d = shift @$queue;
		$d->{began} = Peer::Loop::now();
		$mine->{sent}++;
		return $d;
	};
	my $done = sub ($d, $status, $body, $error) {
		push $mine->{took}->@*, Peer::Loop::now() - $d->{began};
		my $settled = 1;
		if (($status // 0) == 200) { $mine->{accepted}++; $mine->{pending}-- }
		else {
			$mine->{failed}{ $status // $error }++;
			$d->{attempts}++;
			if (($o->{retry} // 1) && (!$o->{max_attempts} || $d->{attempts} < $o->{max_attempts})) {
				$settled = 0;
				$mine->{retries}++;
				$loop->after(($o->{retry_ms} // 200) / 1000, sub { push @$queue, $d; $client->wake });
			}
			else { $mine->{pending}-- }
		}
		$left-- if $settled;
		$client->close_all if !$left;
		finish_run($mine) if !$mine->{pending};
	};
	$client = Peer::Client->new($loop, url => $o->{url}, concurrency => $o->{concurrency} // 1, keep_alive => $o->{keep_alive} // 1, timeout_ms => $o->{timeout_ms} // 10_000, next => $next, done => $done);
	push @clients, $client;
	$client->wake;
	finish_run($mine) if !$mine->{pending};
}

sub finish_run ($r)
{
	$r->{ended} = Peer::Loop::now();
	$_->() for splice $r->{waiting}->@*;
}

sub run_state ($r)
{
	my @t = sort { $a <=> $b } $r->{took}->@*;
	my $at = sub ($p) { @t ? 0 + sprintf('%.3f', 1000 * $t[ int($p * $#t) ]) : 0 };
	my $end = $r->{pending} ? Peer::Loop::now() : $r->{ended} // Peer::Loop::now();
	return { (map { $_ => $r->{$_} + 0 } qw(planned sent accepted pending retries)), failed => $r->{failed}, done => !$r->{pending}, seconds => 0 + sprintf('%.3f', defined $r->{began} ? $end - $r->{began} : 0),
		ms => { p50 => $at->(0.5), p99 => $at->(0.99), max => $at->(1) } };
}

sub chosen ($which)
{
	return sort { $a->{made}{base}{id} <=> $b->{made}{base}{id} } values %order if !defined $which || !ref $which;
	return map { $order{$_} // die "no order $_\n" } @$which;
}

sub deliver ($a, @)
{
	my %known = map { ($_ => 1) } qw(url orders versions duplicates shuffle seed concurrency keep_alive chunked retry retry_ms max_attempts timeout_ms per_second);
	for (keys %$a) { die "unknown option \"$_\"\n" if !$known{$_} }
	die "url is missing\n" if !defined $a->{url};
	my $r = Peer::Orders::Random->new('deliver', $a->{seed} // 1);
	my $versions = $a->{versions} // 'all';
	my @queue;
	for my $o (chosen($a->{orders})) {
		my $last = $o->{made}{versions}->$#*;
		for my $n ($versions eq 'last' ? $last : $versions eq 'first' ? 0 : 0 .. $last) {
			my $copies = 1 + int(($a->{duplicates} // 0) + $r->below(1000) / 1000);
			my $body = Peer::Orders::webhook_json($o->{made}, $n);
			push @queue, map { { body => $body, id => $o->{made}{base}{id} } } 1 .. $copies;
		}
	}
	if ($a->{shuffle}) {
		for my $i (reverse 1 .. $#queue) {
			my $j = $r->below($i + 1);
			@queue[ $i, $j ] = @queue[ $j, $i ];
		}
	}
	if ($a->{chunked}) { $_->{chunked} = $r->below(1000) / 1000 < $a->{chunked} for @queue }
	$run = fresh_run() if !$run->{pending};
	my $n = @queue;
	start_run($a, \@queue);
	return { planned => $n };
}

# ---------------------------------------------------------------- control

sub facts () { return [ map { $_->{made}{expected} } chosen('all') ] }

my $control = Peer::Control->start(
	loop => $loop, host => $opt{host}, port => $opt{'control-port'}, traffic => $traffic, server => $server, config => \%config,
	routes => {
		'POST /orders' => sub ($a, @) {
			my %o = %$a;
			my ($replace, $current) = delete @o{qw(replace current)};
			my $made = Peer::Orders::generate(%o);
			%order = () if $replace;
			for my $m (@$made) { $order{ $m->{base}{id} } = { made => $m, at => ($current // '') eq 'first' ? 0 : $m->{versions}->$#*, patch => {} } }
			return { orders => [ map { $_->{expected} } @$made ] };
		},
		'GET /orders' => sub { { orders => facts() } },
		'GET /order' => sub ($a, $q, @) {
			my $o = $order{ $q->{id} // '' } // die "no such order\n";
			my $n = $q->{version} // -1;
			return ($q->{shape} // 'webhook') eq 'list' ? Peer::Orders::list_row($o->{made}, $n) : Peer::Orders::webhook($o->{made}, $n);
		},
		'POST /deliver' => \&deliver,
		'GET /deliveries' => sub ($a, $q, $req) {
			return run_state($run) if !$q->{wait} || !$run->{pending};
			my ($mine, $answered) = ($run, 0);
			my $answer = sub {
				return if $answered++;
				$req->respond(200, [ 'Content-Type', 'application/json; charset=utf-8' ], encode(run_state($mine)) . "\n");
			};
			$req->{deferred} = 1;
			push $mine->{waiting}->@*, $answer;
			$loop->after($q->{wait}, $answer);
			return undef;
		},
		'DELETE /deliveries' => sub { stop_deliveries(); { ok => true } },
		'POST /advance' => sub ($a, @) {
			my $n = 0;
			for my $o (chosen($a->{orders})) {
				my $last = $o->{made}{versions}->$#*;
				next if $o->{at} == $last;
				$o->{at} = ($a->{to} // 'next') eq 'last' ? $last : $o->{at} + 1;
				$n++;
			}
			return { advanced => $n };
		},
		'POST /payments' => sub ($a, @) {
			for my $p (($a->{payments} // [])->@*) { $payment{ $p->{id} } = payment_row({ ($payment{ $p->{id} } // {})->%*, updatedAt => account_now(), %$p }) }
			for my $r (($a->{receipts} // [])->@*) { $receipt{ $r->{id} } = { fiscalizationStatus => 'done', type => 0, return => undef, hasReturn => undef, documentItems => [], date => account_now(), createdAt => account_now(), updatedAt => account_now(), %$r } }
			delete $payment{$_} for ($a->{remove} // [])->@*;
			return { payments => scalar keys %payment, receipts => scalar keys %receipt };
		},
		'GET /payments' => sub { { payments => [ map { $payment{$_} } sort { $a <=> $b } keys %payment ], receipts => [ map { $receipt{$_} } sort { $a <=> $b } keys %receipt ], calls => { map { $_ => scalar $list_calls{$_}->@* } keys %list_calls } } },
		'POST /edit' => sub ($a, @) {
			my $o = $order{ $a->{id} // '' } // die "no such order\n";
			changed($o, $a->{data} // {});
			return row($o);
		},
		'GET /state' => sub {
			my %by_id = map { my $h = head_of($_); delete $h->{kopecks}; $h->{id} => { %$h, patch => $_->{patch} } } values %order;
			return { orders => scalar keys %order, updates => \@updates, notes => \@notes, by_id => \%by_id, list_calls => scalar(($list_calls{'order/list'} // [])->@*) };
		},
		'POST /offers' => sub ($a, @) { $yml->seed($a) },
		'POST /products' => sub ($a, @) { $cards->seed($a); { ok => true } },
		'GET /products' => sub { $cards->state },
		'DELETE /products' => sub { $cards->clear; { ok => true } },
		'POST /reset' => sub {
			%config = %config_at_start;
			%order = ();
			$cards->clear;
			@updates = @notes = ();
			%list_calls = %payment = %receipt = ();
			stop_deliveries();
			$traffic->reset_log;
			$traffic->{rules}->@* = ();
			return { ok => true };
		},
	});

sub stop_deliveries ()
{
	my $old = $run;
	$run = fresh_run();
	$_->close_all for @clients;
	@clients = ();
	$_->() for splice $old->{waiting}->@*;
}

$| = 1;
say encode({ port => $server->{port}, control => $control->{port}, url => "http://$opt{host}:$server->{port}" });
$loop->run;
