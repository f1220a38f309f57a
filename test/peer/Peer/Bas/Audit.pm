# Peer::Bas::Audit - what the simulated base says of its own content: counts, sums, and breaches of what must hold
#
# Violations: duplicate_reference (two live documents with one customer reference), marker_and_reference (one id both in plain digits and as
# a marker), duplicate_phone (two live counterparties with the same last nine digits), document_sum (Σ Всего and СуммаДокумента differ),
# row_sum (Сумма far from Цена·Количество·(1 − %)), row_total (Всего against Сумма and VAT), row_vat, broken_reference.
package Peer::Bas::Audit;
use v5.36;
no feature 'unicode_strings';
use Peer::Bas::Schema qw(%TYPE $NIL);

my $ORDER = 'Document_ЗаказПокупателя';
my $CLIENT = 'Catalog_Контрагенты';

# Last nine digits of every phone in a contact row, of the columns or else of the presentation.
sub phones ($o)
{
	my %seen;
	for my $row (($o->{'КонтактнаяИнформация'} // [])->@*) {
		next if ($row->{'Тип'} // '') ne 'Телефон';
		for my $text ($row->{'НомерТелефона'} // '', split m{[,;/]}, $row->{'Представление'} // '') {
			my $digits = ($text =~ s/(?:доб|дод|ext|внутр).*//sr) =~ tr/0-9//cdr;
			$seen{ substr $digits, -9 } = 1 if length $digits >= 9 && length $digits <= 15;
		}
	}
	return sort keys %seen;
}

sub _cents ($v) { return sprintf '%.0f', ($v // 0) * 100 }

sub state ($store, $config, $query)
{
	my @bad;
	my $documents = _documents($store, $config, \@bad, $query);
	my $clients = _clients($store, \@bad, $query);
	if ($query->{brief}) {
		delete $documents->{by_reference};
		delete $clients->{by_phone};
	}
	return { documents => $documents, counterparties => $clients, violations => \@bad };
}

sub _documents ($store, $config, $bad, $query)
{
	my (%by_reference, %by_digits, @list);
	my ($count, $posted, $marked, $sum, $rows) = (0, 0, 0, 0, 0);
	for my $key ($store->keys_of($ORDER)->@*) {
		my $o = $store->get($ORDER, $key);
		$count++;
		$posted++ if $o->{Posted};
		$marked++ if $o->{DeletionMark};
		$sum += _cents($o->{'СуммаДокумента'});
		$rows += ($o->{'Запасы'} // [])->@*;
		my $reference = reference($o);
		if (!$o->{DeletionMark}) {
			push $by_reference{$reference}->@*, $o->{Ref_Key};
			my ($identity, $id) = $reference =~ m{\A(?:(.+)/)?(\d+)\z};
			push $by_digits{$id}->@*, defined $identity ? 'marker' : 'plain' if defined $id;
		}
		_check_rows($store, $config, $o, $bad) if !$o->{_seeded};
		push @list, _document_line($store, $o) if $query->{full};
	}
	for my $r (sort keys %by_reference) {
		push @$bad, { kind => 'duplicate_reference', reference => $r, keys => $by_reference{$r} } if $r ne '' && $by_reference{$r}->@* > 1;
	}
	for my $id (sort keys %by_digits) {
		my %how = map { $_ => 1 } $by_digits{$id}->@*;
		push @$bad, { kind => 'marker_and_reference', reference => $id } if keys %how > 1;
	}
	return { count => $count, posted => $posted, marked => $marked, rows => $rows, sum => sprintf('%d.%02d', int($sum / 100), $sum % 100),
		by_reference => { map { $_ => scalar $by_reference{$_}->@* } keys %by_reference }, $query->{full} ? (list => \@list) : () };
}

# The customer reference, or the marker in the comment when there is none.
sub reference ($o)
{
	my $r = $o->{'НомерВходящегоДокумента'} // '';
	return $r if $r ne '';
	return ($o->{'Комментарий'} // '') =~ m{([\w.-]+/\d+)(?!\d)} ? $1 : '';
}

sub _document_line ($store, $o)
{
	my $client = $store->get($CLIENT, $o->{'Контрагент_Key'} // $NIL);
	my @rows = map { my $p = $store->get('Catalog_Номенклатура', $_->{'Номенклатура_Key'} // $NIL);
		{ article => $p ? $p->{'Артикул'} // '' : undef, quantity => 0 + ($_->{'Количество'} // 0), price => 0 + ($_->{'Цена'} // 0), sum => 0 + ($_->{'Сумма'} // 0) } } ($o->{'Запасы'} // [])->@*;
	return { Ref_Key => $o->{Ref_Key}, Number => $o->{Number}, Date => $o->{Date}, reference => reference($o), sum => 0 + ($o->{'СуммаДокумента'} // 0), posted => $o->{Posted} // !!0,
		marked => $o->{DeletionMark} // !!0, lines => scalar @rows, rows => \@rows, comment => $o->{'Комментарий'} // '', counterparty => $o->{'Контрагент_Key'} // $NIL,
		counterparty_name => $client ? $client->{Description} : undef, phones => $client ? [ phones($client) ] : [], version => $o->{_version} + 0 };
}

sub _check_rows ($store, $config, $o, $bad)
{
	my $total = 0;
	my $tell = sub ($kind, $n, %more) { push @$bad, { kind => $kind, document => $o->{Ref_Key}, reference => reference($o), line => $n, %more } };
	for my $row (($o->{'Запасы'} // [])->@*, ($o->{'Работы'} // [])->@*) {
		my ($price, $amount, $percent, $sum, $vat, $all) = map { $_ // 0 } $row->@{qw(Цена Количество ПроцентСкидкиНаценки Сумма СуммаНДС Всего)};
		$total += _cents($all);
		my $n = $row->{LineNumber} + 0;
		my $full = $price * $amount;
		my $want = $full * (1 - $percent / 100);
		# the percent is kept to two places: half of its last one may be missing from the sum, and one kopeck is placed by rounding
		$tell->('row_sum', $n, sum => 0 + $sum, expected => 0 + sprintf('%.4f', $want)) if abs($sum - $want) > $full * 0.00005 + $config->{row_tolerance} + ($percent ? 0 : $amount * 0.005);
		my $expected_total = $o->{'СуммаВключаетНДС'} ? $sum : $sum + $vat;
		$tell->('row_total', $n, total => 0 + $all, expected => 0 + sprintf('%.2f', $expected_total)) if abs($all - $expected_total) > 0.005;
		my $rate = $store->get('Catalog_СтавкиНДС', $row->{'СтавкаНДС_Key'} // $NIL);
		if ($rate) {
			my $r = $rate->{'Ставка'} // 0;
			my $v = $o->{'СуммаВключаетНДС'} ? $sum * $r / (100 + $r) : $sum * $r / 100;
			$tell->('row_vat', $n, vat => 0 + $vat, expected => 0 + sprintf('%.4f', $v)) if abs($v - $vat) > 0.0101;
		}
		$tell->('broken_reference', $n, property => 'Номенклатура_Key') if !$store->get('Catalog_Номенклатура', $row->{'Номенклатура_Key'} // $NIL);
	}
	$tell->('document_sum', 0, sum => 0 + ($o->{'СуммаДокумента'} // 0), rows => $total / 100) if $total != _cents($o->{'СуммаДокумента'});
	for my $p ([ 'Контрагент_Key', $CLIENT ], [ 'Организация_Key', 'Catalog_Организации' ], [ 'ВалютаДокумента_Key', 'Catalog_Валюты' ]) {
		$tell->('broken_reference', 0, property => $p->[0]) if !$store->get($p->[1], $o->{ $p->[0] } // $NIL);
	}
}

sub _clients ($store, $bad, $query)
{
	my (%by_phone, @list);
	my ($count, $created) = (0, 0);
	for my $key ($store->keys_of($CLIENT)->@*) {
		my $o = $store->get($CLIENT, $key);
		$count++;
		$created++ if !$o->{_seeded};
		my @phones = phones($o);
		if (!$o->{DeletionMark}) { push $by_phone{$_}->@*, $key for @phones }
		push @list, { Ref_Key => $key, name => $o->{Description} // '', phones => \@phones, marked => $o->{DeletionMark} // !!0, created => !$o->{_seeded},
			contacts => [ map { { kind => $_->{'Вид_Key'} // $NIL, shown => $_->{'Представление'} // '', number => $_->{'НомерТелефона'} // '', short => $_->{'НомерТелефонаБезКодов'} // '' } } ($o->{'КонтактнаяИнформация'} // [])->@* ] } if $query->{full};
	}
	for my $p (sort keys %by_phone) {
		push @$bad, { kind => 'duplicate_phone', phone => $p, keys => $by_phone{$p} } if $by_phone{$p}->@* > 1;
	}
	return { count => $count, created => $created, by_phone => { map { $_ => scalar $by_phone{$_}->@* } keys %by_phone }, $query->{full} ? (list => \@list) : () };
}

1;
