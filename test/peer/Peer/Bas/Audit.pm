# Peer::Bas::Audit - what the simulated base says of its own content: counts, sums, and breaches of what must hold
#
# Violations: duplicate_reference (two live documents with one customer reference), marker_and_reference (one id both in plain digits and as
# a marker), duplicate_phone (two live counterparties, or partners, with the same last nine digits), partner (none, or another than the
# counterparty's), row_discount (sums before and after do not differ by it), document_sum (Σ Всего and СуммаДокумента differ),
# payment_sum (rows and sum of a payment document differ), duplicate_payment (two live payment documents with one marker),
# followup_reference (another
# document that names one that is not there), row_sum (Сумма far from Цена·Количество·(1 − %)), row_total (Всего against Сумма and VAT), row_vat, broken_reference.
package Peer::Bas::Audit;
use v5.36;
no feature 'unicode_strings';
use Peer::Bas::Schema qw(%TYPE %ROLE $NIL);

my $ORDER = $ROLE{order};
my $CLIENT = $ROLE{client};
my $PARTNER = $ROLE{partner} ne '-' ? 'Catalog_Партнеры' : undef;
my $SECTION = $ROLE{section};
my %VAT = ('НДС20' => 20, 'НДС14' => 14, 'НДС7' => 7, 'ПДВ20' => 20, 'ПДВ7' => 7);    # values of enumerations

# Sales and returns: every document they name, in header or rows, is there.
sub _followups ($store, $bad)
{
	for my $type (grep { $_->{kind} eq 'document' && $_->{name} ne $ORDER } values %TYPE) {
		for my $o (map { $store->get($type->{name}, $_) } $store->keys_of($type->{name})->@*) {
			for my $holder ($o, map { ($o->{$_} // [])->@* } sort keys $type->{sections}->%*) {
				for my $p (grep { /_Type\z/ && $holder->{$_} =~ /\AStandardODATA\.(Document_.+)/ } sort keys %$holder) {
					my ($set) = $holder->{$p} =~ /(Document_.+)/;
					push @$bad, { kind => 'followup_reference', document => $o->{Ref_Key}, property => $p =~ s/_Type\z//r } if !$store->get($set, $holder->{ $p =~ s/_Type\z//r } // $NIL);
				}
			}
		}
	}
	return;
}

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
	_followups($store, \@bad);
	my $clients = _clients($store, \@bad, $query);
	if ($query->{brief}) {
		delete $documents->{by_reference};
		delete $clients->{by_phone};
	}
	my $payments = _payments($store, \@bad);
	my $partners = $PARTNER ? _clients($store, \@bad, {}, $PARTNER) : undef;
	return { documents => $documents, counterparties => $clients, $partners ? (partners => { map { $_ => $partners->{$_} } qw(count created) }) : (), $payments ? (payments => $payments) : (), violations => \@bad };
}

# Documents that have a section РасшифровкаПлатежа.
sub _payments ($store, $bad)
{
	my @types = grep { $_->{kind} eq 'document' && $_->{sections}{'РасшифровкаПлатежа'} } map { $TYPE{$_} } sort keys %TYPE or return undef;
	my (%n, %by_marker);
	for my $type (@types) {
		for my $key ($store->keys_of($type->{name})->@*) {
			my $o = $store->get($type->{name}, $key);
			$n{$_} += $_ eq 'posted' ? !!$o->{Posted} : 1 for qw(count posted);
			next if $o->{_seeded};
			my $rows = 0;
			for my $row (($o->{'РасшифровкаПлатежа'} // [])->@*) {
				$rows += _cents($row->{'СуммаПлатежа'} // $row->{'Сумма'});
				my $order = $row->{'Заказ'} // $row->{'Сделка'} // '';
				push @$bad, { kind => 'broken_reference', document => $key, property => 'Заказ' } if $order ne '' && !$store->get($ORDER, $order);
			}
			push @$bad, { kind => 'payment_sum', document => $key, sum => 0 + ($o->{'СуммаДокумента'} // 0), rows => $rows / 100 } if $rows != _cents($o->{'СуммаДокумента'});
			push @$bad, { kind => 'broken_reference', document => $key, property => $_->[0] } for grep { !$store->get($_->[1], $o->{ $_->[0] } // $NIL) } [ 'Организация_Key', 'Catalog_Организации' ], [ 'Контрагент_Key', $CLIENT ];
			push $by_marker{$1}->@*, $key if !$o->{DeletionMark} && ($o->{'Комментарий'} // '') =~ m{\A([\w.-]+/p\d+)(?::|\z)};
		}
	}
	push @$bad, { kind => 'duplicate_payment', marker => $_, keys => $by_marker{$_} } for grep { $by_marker{$_}->@* > 1 } sort keys %by_marker;
	return { count => $n{count} // 0, posted => $n{posted} // 0 };
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
		$sum += _cents($o->{ $ROLE{document_sum} });
		$rows += ($o->{$SECTION} // [])->@*;
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
	my $r = $o->{ $ROLE{reference} } // '';
	return $r if $r ne '';
	return ($o->{ $ROLE{comment} } // '') =~ m{([\w.-]+/\d+)(?!\d)} ? $1 : '';
}

sub _document_line ($store, $o)
{
	my $client = $store->get($CLIENT, $o->{ $ROLE{counterparty} } // $NIL);
	my @rows = map { my $p = $store->get($ROLE{product_set}, $_->{ $ROLE{product} } // $NIL);
		{ article => $p ? $p->{ $ROLE{article} } // '' : undef, quantity => 0 + ($_->{ $ROLE{quantity} } // 0), price => 0 + ($_->{ $ROLE{price} } // 0), sum => 0 + ($_->{ $ROLE{sum} } // 0) } } ($o->{$SECTION} // [])->@*;
	return { Ref_Key => $o->{Ref_Key}, Number => $o->{Number}, Date => $o->{Date}, reference => reference($o), sum => 0 + ($o->{ $ROLE{document_sum} } // 0), posted => $o->{Posted} // !!0,
		marked => $o->{DeletionMark} // !!0, lines => scalar @rows, rows => \@rows, comment => $o->{ $ROLE{comment} } // '', counterparty => $o->{ $ROLE{counterparty} } // $NIL,
		counterparty_name => $client ? $client->{Description} : undef, phones => $client ? [ phones($client) ] : [], version => $o->{_version} + 0 };
}

sub _check_rows ($store, $config, $o, $bad)
{
	my $total = 0;
	my $tell = sub ($kind, $n, %more) { push @$bad, { kind => $kind, document => $o->{Ref_Key}, reference => reference($o), line => $n, %more } };
	my $included = $ROLE{included} eq '-' || $o->{ $ROLE{included} };
	for my $row (($o->{$SECTION} // [])->@*, ($o->{'Работы'} // [])->@*) {
		my ($price, $amount, $percent, $sum, $vat) = map { $_ // 0 } $row->@{ @ROLE{qw(price quantity percent sum vat_sum)} };
		my $all = $ROLE{total} ne '-' ? $row->{ $ROLE{total} } // 0 : $included ? $sum : $sum + $vat;
		my $less = $ROLE{discount} ne '-' ? $row->{ $ROLE{discount} } // 0 : 0;
		$total += _cents($all);
		my $n = $row->{LineNumber} + 0;
		my $full = $price * $amount;
		my $want = $full * (1 - $percent / 100) - $less;
		$tell->('row_discount', $n, full => 0 + ($row->{ $ROLE{full} } // 0), discount => 0 + $less) if $ROLE{full} ne '-' && abs(($row->{ $ROLE{full} } // 0) - $less - $sum) > 0.005;
		$tell->('packs', $n) if exists $row->{'КоличествоУпаковок'} && $row->{'КоличествоУпаковок'} != $amount;
		# the percent is kept to two places: half of its last one may be missing from the sum, and one kopeck is placed by rounding
		$tell->('row_sum', $n, sum => 0 + $sum, expected => 0 + sprintf('%.4f', $want)) if abs($sum - $want) > $full * 0.00005 + $config->{row_tolerance} + ($percent ? 0 : $amount * 0.005);
		my $expected_total = $included ? $sum : $sum + $vat;
		$tell->('row_total', $n, total => 0 + $all, expected => 0 + sprintf('%.2f', $expected_total)) if abs($all - $expected_total) > 0.005;
		my $rate = $TYPE{'Catalog_СтавкиНДС'} ? $store->get('Catalog_СтавкиНДС', $row->{'СтавкаНДС_Key'} // $NIL) : undef;
		if ($rate || defined $row->{ $ROLE{vat_rate} }) {
			my $r = $rate ? $rate->{'Ставка'} // 0 : $VAT{ $row->{ $ROLE{vat_rate} } } // 0;
			my $v = $included ? $sum * $r / (100 + $r) : $sum * $r / 100;
			$tell->('row_vat', $n, vat => 0 + $vat, expected => 0 + sprintf('%.4f', $v)) if abs($v - $vat) > 0.0101;
		}
		$tell->('broken_reference', $n, property => $ROLE{product}) if !$store->get($ROLE{product_set}, $row->{ $ROLE{product} } // $NIL);
	}
	$tell->('document_sum', 0, sum => 0 + ($o->{ $ROLE{document_sum} } // 0), rows => $total / 100) if $total != _cents($o->{ $ROLE{document_sum} });
	if ($PARTNER) {
		my $client = $store->get($CLIENT, $o->{ $ROLE{counterparty} } // $NIL);
		my $partner = $o->{ $ROLE{partner} } // $NIL;
		$tell->('partner', 0, partner => $partner) if !$store->get($PARTNER, $partner) || $client && ($client->{ $ROLE{partner} } // $NIL) ne $partner;
	}
	for my $p ([ $ROLE{counterparty}, $CLIENT ], [ $ROLE{organisation}, $TYPE{'Catalog_Организации'} ? 'Catalog_Организации' : 'Catalog_Організації' ], $ROLE{currency} ne '-' ? [ $ROLE{currency}, 'Catalog_Валюты' ] : ()) {
		$tell->('broken_reference', 0, property => $p->[0]) if !$store->get($p->[1], $o->{ $p->[0] } // $NIL);
	}
}

sub _clients ($store, $bad, $query, $set = $CLIENT)
{
	my (%by_phone, @list);
	my ($count, $created) = (0, 0);
	for my $key ($store->keys_of($set)->@*) {
		my $o = $store->get($set, $key);
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
