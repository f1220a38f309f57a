# Peer::Bas::Register - registers of the simulated base and their virtual tables: Balance, SliceLast, SliceFirst
#
# A register keeps records as they were put in (control /load, /generate), in $store->{records}{name}. The rules of the interface:
#   Balance               bound to an accumulation register that has balances, and to the accounting register; to others code 6
#   SliceLast, SliceFirst bound to an independent register itself, of a register with recorders to its _RecordType alone; else code 6
#   Condition, Dimensions, AccountCondition are texts in quotes, inner quotes doubled; both calls, name(Parameter=value) and name?Parameter=value
#   Condition speaks of dimensions only; Dimensions names them without _Key; what is not listed there is summed up
#   a balance of nothing but zeroes is no row; columns of resources end in Balance, of the accounting register in DebitBalance, CreditBalance
# After a function only $filter, $select, $top, $format and /$count are taken: of the others nobody has told that they work there.
package Peer::Bas::Register;
use v5.36;
no feature 'unicode_strings';
use Peer::Bas::Schema qw(%TYPE $NIL);
use Peer::Bas::Store qw(fail);
use Peer::Bas::Query;

our $FUNCTION = qr/(?:Balance|SliceLast|SliceFirst|Turnovers|BalanceAndTurnovers)/;
my %PARAMETER = (Balance => [qw(Period Condition Dimensions)], accounting => [qw(Period AccountCondition Condition ExtraDimensions Dimensions)], SliceLast => [qw(Period Condition)], SliceFirst => [qw(Period Condition)]);

# Puts a record in; properties that the register does not have are refused, for a test would mean something else.
sub add ($store, $type, $row)
{
	my $flat = $type->{records_of} // die "$type->{name} is no register\n";
	my %record;
	for my $k (keys %$row) {
		my $p = $TYPE{$flat}{props}{$k} // die "$type->{name} has no property $k\n";
		$record{$k} = $p->{convert}->($row->{$k});
	}
	$record{Active} //= !!1 if $TYPE{$flat}{props}{Active};
	push $store->{records}{$flat}->@*, \%record;
}

sub records ($store, $type) { return $store->{records}{ $type->{records_of} } // [] }

sub clear ($store, $type) { $store->{records}{ $type->{records_of} } = [] }

# Arguments of a call, from its brackets and from the options of the address.
sub _arguments ($allowed, $brackets, $o)
{
	my %a;
	my %given;
	if (defined $brackets && $brackets =~ /\A\((.*)\)\z/s) {
		my $text = $1;
		pos($text) = 0;
		while ($text =~ /\G *([A-Za-z]+) *= *((?:datetime|guid)?'(?:[^']|'')*'|[^,']+) *(?:,(?=.)|\z)/gcs) { $given{$1} = $2 }
		fail(400, 6, 'Неверные параметры метода') if (pos($text) // 0) != length $text;
	}
	$given{$_} = $o->{$_} for grep { exists $o->{$_} } qw(Period Condition Dimensions AccountCondition ExtraDimensions);
	for my $k (keys %given) {
		fail(400, 6, "Параметр $k не найден") if !grep { $_ eq $k } @$allowed;
		if ($k eq 'Period') { ($a{$k}) = $given{$k} =~ /\Adatetime'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)'\z/ or fail(400, 1, 'Ошибка разбора параметра Period') }
		else                { ($a{$k}) = map { s/''/'/gr } $given{$k} =~ /\A'((?:[^']|'')*)'\z/s or fail(400, 14, "Ошибка разбора параметра $k") }
	}
	return \%a;
}

# What a call gives: (type of its rows, rows, columns they have).
sub call ($store, $type, $name, $brackets, $o)
{
	my $way = $store->{config}{function_calls};
	fail(400, 6, "Метод $name не найден") if $way eq 'query' && defined $brackets && $brackets ne '()';
	fail(400, 0, 'Опция запроса не поддерживается') if $way eq 'brackets' && grep { exists $o->{$_} } qw(Period Condition Dimensions AccountCondition ExtraDimensions);
	my $virtual = $type->{functions}{$name} // fail(400, 6, "Метод $name не найден");
	my $a = _arguments($PARAMETER{ $type->{accounting} ? 'accounting' : $name }, $brackets, $o);
	my $condition = defined $a->{Condition} ? Peer::Bas::Query::filter($store, $type->{condition_type}, $a->{Condition})->{test} : undef;
	my @rows = grep { $_->{Active} // 1 } records($store, $type)->@*;
	@rows = grep { ($_->{Period} // '') le $a->{Period} } @rows if defined $a->{Period} && $name ne 'SliceFirst';
	@rows = grep { $condition->($_, undef) } @rows if $condition;
	return ($virtual, _slice($type, $name, \@rows), $virtual->{order}) if $name ne 'Balance';
	my @dims = _dimensions($type, $a->{Dimensions});
	return ($virtual, _balance($store, $type, \@dims, $a, \@rows), [ @dims, grep { !$_->{part} } $virtual->{order}->@* ]);
}

sub _dimensions ($type, $listed)
{
	return $type->{dims}->@* if !defined $listed;
	return map { my $d = $_; my @p = grep { $_->{dimension} eq $d } $type->{dims}->@*; @p ? @p : fail(400, 6, "Сегмент пути $d не найден") } split / *, */, $listed;
}

sub _dimension_key ($dims, $row) { return join "\0", map { $row->{ $_->{name} } // $_->{default} } @$dims }

sub _slice ($type, $name, $rows)
{
	my %best;
	my $last = $name eq 'SliceLast';
	for my $row (@$rows) {
		my $key = _dimension_key($type->{dims}, $row);
		my $held = $best{$key};
		my $c = $held ? ($row->{Period} // '') cmp ($held->{Period} // '') : 0;
		$best{$key} = $row if !$held || ($last ? $c >= 0 : $c < 0);
	}
	return [ map { $best{$_} } sort keys %best ];
}

sub _balance ($store, $type, $dims, $a, $rows)
{
	if (defined $a->{AccountCondition}) {
		my $test = Peer::Bas::Query::filter($store, $type->{account_type}, $a->{AccountCondition})->{test};
		$rows = [ grep { $test->($_, undef) } @$rows ];
	}
	fail(501, 21, 'ExtraDimensions не моделируется') if defined $a->{ExtraDimensions};
	my %sum;
	for my $row (@$rows) {
		my $held = $sum{ _dimension_key($dims, $row) } //= { map { $_->{name} => $row->{ $_->{name} } // $_->{default} } @$dims };
		my $sign = ($row->{RecordType} // 'Receipt') eq 'Expense' || ($row->{'ВидДвижения'} // '') eq 'Кредит' ? -1 : 1;
		$held->{"=$_->{name}"} += $sign * ($row->{ $_->{name} } // 0) for $type->{resources}->@*;
	}
	my @out;
	for my $key (sort keys %sum) {
		my $row = $sum{$key};
		my $any = 0;
		for my $r ($type->{resources}->@*) {
			my $v = 0 + sprintf '%.*f', $r->{scale}, delete $row->{"=$r->{name}"};
			$any ||= $v != 0;
			if ($type->{accounting}) { $row->{ _debit($store, $r->{name}) } = $v > 0 ? $v : 0; $row->{"$r->{name}CreditBalance"} = $v < 0 ? -$v : 0; $row->{"$r->{name}Balance"} = $v }
			else                     { $row->{"$r->{name}Balance"} = $v }
		}
		push @out, $row if $any;
	}
	return \@out;
}

# What the column of the quantity is called is not known: an option. Another name is none then.
sub _debit ($store, $resource) { return $resource eq 'Количество' ? $store->{config}{accounting_quantity} : "${resource}DebitBalance" }

sub name_columns ($config)
{
	for my $v (@Peer::Bas::Schema::VIRTUAL) {
		my $known = $v->{quantity} //= { map { $_ => $v->{props}{$_} } grep { $v->{props}{$_} } @Peer::Bas::Schema::ACCOUNTING_QUANTITY };
		next if !%$known;
		delete $v->{props}{$_} for keys %$known;
		$v->{order}->@* = grep { !$known->{ $_->{name} } } $v->{order}->@*;
		my $p = $known->{ $config->{accounting_quantity} } // die "accounting_quantity is one of @{[ sort keys %$known ]}\n";
		$v->{props}{ $p->{name} } = $p;
		push $v->{order}->@*, $p;
	}
}

1;
