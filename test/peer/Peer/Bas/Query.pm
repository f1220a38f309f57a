# Peer::Bas::Query - $filter, $orderby, $select of the simulated base
#
# The filter grammar is the documented one: eq ne gt ge lt le and or not, add sub mul div, parentheses, substringof startswith
# endswith substring concat like, year..second, round, cast, isof, paths over references, any/all over sections. Everything
# else is refused with code 14. A parsed filter is { test => sub ($row) , keys => sub -> keys that may match, or undef = all }.
package Peer::Bas::Query;
use v5.36;
no feature 'unicode_strings';
use Peer::Bas::Schema qw(%TYPE $NIL);
use Encode ();
use Peer::Bas::Store qw(fail);

our ($T, $S, $TYPE, %VAR);    # tokens, store, type of the set, lambda variables => section types

sub _bad ($why) { fail(400, 14, "Ошибка разбора опции запроса \$filter: $why") }

sub _tokens ($text)
{
	my @t;
	for ($text) {
		while (1) {
			/\G +/gc;
			last if /\G\z/gc;
			if (/\Gguid'([^']*)'/gc) {
				my $g = $1;
				$g =~ /\A[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\z/ or _bad('guid');
				push @t, [ guid => lc $g ];
			}
			elsif (/\Gdatetime'(\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?)?)'/gc) {
				my $d = $1;
				$d .= 'T00:00:00' if length $d == 10;
				$d .= ':00' if length $d == 16;
				push @t, [ date => $d ];
			}
			elsif (/\G'((?:[^']|'')*)'/gc) { push @t, [ str => $1 =~ s/''/'/gr ] }
			elsif (/\G(-?\d+(?:\.\d+)?)[LlDdFfMm]?(?![\w\x80-\xff])/gc) { push @t, [ num => 0 + $1 ] }
			elsif (/\G([A-Za-z_\x80-\xff][\w\x80-\xff]*)/gc) { push @t, [ id => $1 ] }
			elsif (/\G([(),\/:])/gc) { push @t, [ $1 => $1 ] }
			else { _bad('неожиданный символ') }
		}
	}
	push @t, [ end => '' ];
	return \@t;
}

sub _is ($kind, $value = undef) { return $T->[0][0] eq $kind && (!defined $value || $T->[0][1] eq $value) }
sub _take ($kind, $value = undef) { return _is($kind, $value) ? shift @$T : _bad("ожидалось $kind") }
sub _accept ($kind, $value) { return _is($kind, $value) ? shift @$T : undef }

sub filter ($store, $type, $text)
{
	local $S = $store;
	local $TYPE = $type;
	local $T = _tokens($text);
	local %VAR;
	my $n = _or();
	_take('end');
	_bad('ожидалось условие') if $n->{kind} ne 'bool';
	return { test => $n->{f}, keys => $n->{keys} };
}

sub _or
{
	my $n = _and();
	while (_accept('id', 'or')) {
		my $m = _and();
		$n = _both($n, $m, 0);
	}
	return $n;
}

sub _and
{
	my $n = _not();
	while (_accept('id', 'and')) {
		my $m = _not();
		$n = _both($n, $m, 1);
	}
	return $n;
}

sub _both ($n, $m, $and)
{
	_bad('ожидалось условие') if $n->{kind} ne 'bool' || $m->{kind} ne 'bool';
	my ($f, $g, $kf, $kg) = ($n->{f}, $m->{f}, $n->{keys}, $m->{keys});
	if ($and) {
		my $keys = !$kf ? $kg : !$kg ? $kf : sub {
			my ($a, $b) = ($kf->(), $kg->());
			return !defined $a ? $b : !defined $b ? $a : @$a <= @$b ? $a : $b;
		};
		return { kind => 'bool', f => sub ($r, $v) { $f->($r, $v) && $g->($r, $v) }, keys => $keys };
	}
	my $keys = $kf && $kg && sub {
		my $a = $kf->() // return undef;
		my $b = $kg->() // return undef;
		return [ @$a, @$b ];
	};
	return { kind => 'bool', f => sub ($r, $v) { $f->($r, $v) || $g->($r, $v) }, keys => $keys };
}

sub _not
{
	if (_accept('id', 'not')) {
		my $n = _not();
		_bad('not') if $n->{kind} ne 'bool';
		my $f = $n->{f};
		return { kind => 'bool', f => sub ($r, $v) { !$f->($r, $v) } };
	}
	return _comparison();
}

my %ORDER = (
	eq => sub ($c) { $c == 0 }, ne => sub ($c) { $c != 0 }, gt => sub ($c) { $c > 0 },
	ge => sub ($c) { $c >= 0 }, lt => sub ($c) { $c < 0 }, le => sub ($c) { $c <= 0 });

sub _comparison
{
	my $l = _sum();
	return $l if !_is('id') || !$ORDER{ $T->[0][1] };
	my $op = (shift @$T)->[1];
	my $r = _sum();
	return _compare($op, $l, $r);
}

sub _compare ($op, $l, $r)
{
	($l, $r) = ($r, $l), $op = { gt => 'lt', lt => 'gt', ge => 'le', le => 'ge' }->{$op} // $op if exists $l->{const} && !exists $r->{const};
	my ($lk, $rk) = ($l->{kind}, $r->{kind});
	my ($f, $g) = ($l->{f}, $r->{f});
	if ($lk eq 'comp') {
		if ($rk eq 'guid') { return { kind => 'bool', f => sub { 0 }, keys => sub { [] } } }    # silently empty
		if ($rk eq 'cast' || $rk eq 'str') {
			_bad($op) if $op ne 'eq' && $op ne 'ne';
			my $type = $rk eq 'cast' ? "StandardODATA.$r->{type}" : 'Edm.String';
			my $tf = $l->{type_f};
			my $same = sub ($row, $v) { $tf->($row, $v) eq $type && $f->($row, $v) eq $g->($row, $v) };
			return { kind => 'bool', f => $op eq 'eq' ? $same : sub ($row, $v) { !$same->($row, $v) } };
		}
		_bad("сравнение составного поля с $rk");
	}
	$rk = 'guid' if $rk eq 'cast';
	_bad("сравнение $lk и $rk") if $lk ne $rk;
	my $keys;
	if ($op eq 'eq' && exists $r->{const} && $l->{prop}) {
		my ($store, $type, $prop, $const) = ($S, $l->{of}, $l->{prop}, $r->{const});
		$keys = $prop eq 'Ref_Key' ? sub { [$const] } : $lk =~ /\A(?:str|guid)\z/ ? sub { $store->lookup($type, $prop, $const) } : undef;
	}
	my $test;
	if ($lk eq 'num') {
		my $o = $ORDER{$op};
		$test = sub ($row, $v) { $o->($f->($row, $v) <=> $g->($row, $v)) };
	}
	elsif ($lk eq 'bool') {
		_bad($op) if $op ne 'eq' && $op ne 'ne';
		my $want = $op eq 'eq';
		$test = sub ($row, $v) { (!!$f->($row, $v) == !!$g->($row, $v)) == $want };
	}
	elsif ($op eq 'eq' && !$S->{config}{ignore_case}) { $test = sub ($row, $v) { $f->($row, $v) eq $g->($row, $v) } }
	else {
		my ($o, $store) = ($ORDER{$op}, $S);
		$test = sub ($row, $v) { $o->($store->fold($f->($row, $v)) cmp $store->fold($g->($row, $v))) };
	}
	return { kind => 'bool', f => $test, keys => $keys };
}

sub _sum
{
	my $l = _product();
	while (_is('id', 'add') || _is('id', 'sub')) {
		my $op = (shift @$T)->[1];
		$l = _arithmetic($op, $l, _product());
	}
	return $l;
}

sub _product
{
	my $l = _primary();
	while (_is('id', 'mul') || _is('id', 'div')) {
		my $op = (shift @$T)->[1];
		$l = _arithmetic($op, $l, _primary());
	}
	return $l;
}

sub _arithmetic ($op, $l, $r)
{
	_bad($op) if $l->{kind} ne 'num' || $r->{kind} ne 'num';
	my ($f, $g) = ($l->{f}, $r->{f});
	my %do = (
		add => sub ($row, $v) { $f->($row, $v) + $g->($row, $v) }, sub => sub ($row, $v) { $f->($row, $v) - $g->($row, $v) },
		mul => sub ($row, $v) { $f->($row, $v) * $g->($row, $v) },
		div => sub ($row, $v) { my $d = $g->($row, $v); $d ? $f->($row, $v) / $d : 0 });
	return { kind => 'num', f => $do{$op} };
}

sub _const ($kind, $value) { return { kind => $kind, const => $value, f => sub { $value } } }

sub _primary
{
	if (_accept('(', '(')) {
		my $n = _or();
		_take(')');
		return $n;
	}
	my $t = shift @$T;
	my ($kind, $value) = @$t;
	return _const($kind, $value) if $kind =~ /\A(?:str|num|guid|date)\z/;
	_bad('ожидалось выражение') if $kind ne 'id';
	return _const('bool', $value eq 'true') if $value eq 'true' || $value eq 'false';
	return _function($value) if _is('(');
	return _path($value);
}

# A property, a path over references, or any/all over a section.
sub _path ($name)
{
	my ($type, $get, $own) = ($TYPE, sub ($r, $v) { $r }, 1);
	if (my $var = $VAR{$name}) {
		$type = $var;
		my $bound = $name;
		$get = sub ($r, $v) { $v->{$bound} };
		_take('/');
		$name = _take('id')->[1];
	}
	while (1) {
		if (my $p = $type->{props}{$name}) {
			return _lambda($type, $p, $get, $own) if $p->{kind} eq 'section';
			return _property($type, $p, $get, $own);
		}
		my $nav = $type->{navs}{$name} or _bad("поле $name");
		_take('/');
		my ($up, $key, $set, $store) = ($get, $nav->{name}, $nav->{target}, $S);
		$get = sub ($r, $v) { my $row = $up->($r, $v) // return undef; $store->get($set, $row->{$key} // $NIL) };
		$type = $TYPE{$set};
		$own = 0;
		$name = _take('id')->[1];
	}
}

sub _property ($type, $p, $get, $own)
{
	my ($name, $default, $kind) = ($p->{name}, $p->{default}, $p->{kind});
	my $value = sub ($r, $v) { my $row = $get->($r, $v); $row->{$name} // $default };
	my $k = { guid => 'guid', bool => 'bool', date => 'date', num => 'num', int => 'num', value => 'comp' }->{$kind} // 'str';
	my $n = { kind => $k, f => $value };
	if ($own) {
		$n->{prop} = $name;
		$n->{of} = $type;
	}
	if ($k eq 'comp') {
		my ($tp, $undef) = ($p->{type_prop}, 'StandardODATA.Undefined');
		$n->{type_f} = sub ($r, $v) { my $row = $get->($r, $v); $row->{$tp} // $undef };
	}
	return $n;
}

sub _lambda ($type, $p, $get, $own)
{
	_take('/');
	my $how = _take('id')->[1];
	_bad($how) if $how ne 'any' && $how ne 'all';
	my $section = $p->{of};
	my $name = $p->{name};
	_take('(');
	if (_accept(')', ')')) {
		_bad('all') if $how eq 'all';
		return { kind => 'bool', f => sub ($r, $v) { scalar(($get->($r, $v)->{$name} // [])->@*) } };
	}
	my $var = _take('id')->[1];
	_take(':');
	local $VAR{$var} = $section;
	my $n = _or();
	_take(')');
	_bad($how) if $n->{kind} ne 'bool';
	my $f = $n->{f};
	my $any = $how eq 'any';
	return {
		kind => 'bool',
		keys => $any && $own ? $n->{keys} : undef,
		f => sub ($r, $v) {
			my %inner = %{ $v // {} };
			for my $row (($get->($r, $v)->{$name} // [])->@*) {
				$inner{$var} = $row;
				return $any if !!$f->($r, \%inner) == $any;
			}
			return !$any;
		} };
}

my %DATE_PART = (year => [ 0, 4 ], month => [ 5, 2 ], day => [ 8, 2 ], hour => [ 11, 2 ], minute => [ 14, 2 ], second => [ 17, 2 ]);

sub _function ($name)
{
	_take('(');
	my @a;
	if (!_accept(')', ')')) {
		do { push @a, _or() } while _accept(',', ',');
		_take(')');
	}
	my $kinds = join ' ', map { $_->{kind} } @a;
	my ($f, $g, $h) = map { $_->{f} } @a;
	my $store = $S;
	if ($name eq 'cast' || $name eq 'isof') {
		_bad($name) if @a != 2 || $kinds !~ /\A(?:guid|comp|str|num) str\z/ || !exists $a[1]{const};
		my $to = $a[1]{const} =~ s/\AStandardODATA\.//r;
		if ($name eq 'isof') {
			my $tf = $a[0]{type_f} or _bad($name);
			return { kind => 'bool', f => sub ($r, $v) { $tf->($r, $v) =~ s/\AStandardODATA\.//r eq $to } };
		}
		return $a[0] if $to =~ /\AEdm\./;
		_bad("тип $to") if !$TYPE{$to} || $kinds ne 'guid str';
		return { kind => 'cast', type => $to, f => $f, exists $a[0]{const} ? (const => $a[0]{const}) : () };
	}
	if ($name eq 'substringof') {
		_bad($name) if $kinds ne 'str str';
		my $keys;
		if (exists $a[0]{const} && $a[1]{prop}) {
			my ($type, $prop, $needle) = ($a[1]{of}, $a[1]{prop}, $a[0]{const});
			my $max = $type->{props}{$prop}{length};
			$keys = sub { $store->lookup_piece($type, $prop, $needle) } if $max && $max <= 500;
		}
		return { kind => 'bool', f => sub ($r, $v) { index($store->fold($g->($r, $v)), $store->fold($f->($r, $v))) >= 0 }, keys => $keys };
	}
	if ($name eq 'startswith') {
		_bad($name) if $kinds ne 'str str';
		return { kind => 'bool', f => sub ($r, $v) { index($store->fold($f->($r, $v)), $store->fold($g->($r, $v))) == 0 } };
	}
	if ($name eq 'endswith') {
		_bad($name) if $kinds ne 'str str';
		return { kind => 'bool', f => sub ($r, $v) { my $t = $store->fold($g->($r, $v)); $t eq '' || substr($store->fold($f->($r, $v)), -length $t) eq $t } };
	}
	if ($name eq 'like') {
		_bad($name) if $kinds ne 'str str' || !exists $a[1]{const};
		my $re = join '', map { $_ eq '%' ? '.*' : $_ eq '_' ? '.' : /\A\[/ ? $_ : quotemeta } $a[1]{const} =~ /(\[[^\]]*\]|.)/gs;
		my $match = eval { qr/\A$re\z/s } or _bad($name);
		return { kind => 'bool', f => sub ($r, $v) { $f->($r, $v) =~ $match } };
	}
	if ($name eq 'concat') {
		_bad($name) if $kinds ne 'str str';
		return { kind => 'str', f => sub ($r, $v) { $f->($r, $v) . $g->($r, $v) } };
	}
	if ($name eq 'substring') {
		_bad($name) if $kinds !~ /\Astr num(?: num)?\z/;
		return { kind => 'str', f => sub ($r, $v) {
			my $chars = Encode::decode('UTF-8', $f->($r, $v));
			my $from = $g->($r, $v);
			return '' if $from > length $chars;
			return Encode::encode('UTF-8', $h ? substr($chars, $from, $h->($r, $v)) : substr($chars, $from));
		} };
	}
	if (my $part = $DATE_PART{$name}) {
		_bad($name) if $kinds ne 'date';
		return { kind => 'num', f => sub ($r, $v) { 0 + substr $f->($r, $v), $part->[0], $part->[1] } };
	}
	if ($name eq 'round') {
		_bad($name) if $kinds ne 'num';
		return { kind => 'num', f => sub ($r, $v) { Peer::Bas::Store::round_to($f->($r, $v), 15, 0) } };
	}
	_bad("функция $name не поддерживается");
}

# ---------------------------------------------------------------- $select and $orderby

# Returns undef for everything, else [ [kind, property, columns] ... ].
sub select ($type, $text)
{
	my (@out, %columns);
	for my $item (split /,/, $text) {
		$item =~ s/\A +| +\z//g;
		if ($item eq '*' || $item eq '**') {
			return undef if $item eq '*';
			push @out, map { [ 'plain', $_ ] } $type->{order}->@*;
			next;
		}
		my $p = $type->{props}{$item};
		if ($p) { push @out, [ $p->{kind} eq 'section' ? 'section' : 'plain', $p ] }
		elsif ($item eq 'Presentation' && !$type->{parent}) { push @out, [ 'presentation', undef ] }
		elsif ($item =~ /\A(.+)____Presentation\z/ && !$type->{parent} && $type->{navs}{ $1 =~ s/_Key\z//r }) {
			push @out, [ 'nav_presentation', $type->{navs}{ $1 =~ s/_Key\z//r }, $item ];
		}
		elsif ($item =~ m{\A([^/]+)/(.+)\z} && $type->{sections}{$1} && $type->{sections}{$1}{props}{$2}) {
			my ($s, $c) = ($1, $2);
			push @out, [ 'section', $type->{props}{$s}, $columns{$s} = [] ] if !$columns{$s};
			push $columns{$s}->@*, $type->{sections}{$s}{props}{$c};
		}
		elsif ($type->{navs}{$item}) { push @out, [ 'nav', $type->{navs}{$item} ] }
		else { fail(400, 6, "Сегмент пути $item не найден") }
	}
	return \@out;
}

# Returns a comparison of two rows.
sub orderby ($store, $type, $text)
{
	my @keys;
	for my $item (split /,/, $text) {
		my ($path, $way) = $item =~ /\A *([^ ]+)(?: +(asc|desc))? *\z/ or fail(400, 14, 'Ошибка разбора опции запроса $orderby');
		my @steps = split m{/}, $path;
		my ($t, @navs) = ($type);
		while (@steps > 1) {
			my $nav = $t->{navs}{ shift @steps } or fail(400, 6, "Сегмент пути $path не найден");
			push @navs, $nav;
			$t = $TYPE{ $nav->{target} };
		}
		my $p = $t->{props}{ $steps[0] };
		fail(400, 6, "Сегмент пути $path не найден") if !$p || $p->{kind} eq 'section';
		my $get = sub ($row) {
			for my $nav (@navs) { $row = $store->get($nav->{target}, $row->{ $nav->{name} } // $NIL) // {} }
			return $row->{ $p->{name} } // $p->{default};
		};
		my $sign = ($way // '') eq 'desc' ? -1 : 1;
		my $num = $p->{kind} =~ /\A(?:num|int)\z/;
		push @keys, sub ($a, $b) { $sign * ($num ? $get->($a) <=> $get->($b) : $get->($a) cmp $get->($b)) };
	}
	return sub ($a, $b) {
		for my $k (@keys) {
			my $c = $k->($a, $b);
			return $c if $c;
		}
		return 0;
	};
}

1;
