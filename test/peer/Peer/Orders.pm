# Peer::Orders - generator of SalesDrive orders, in the webhook shape and in the order/list shape
#
# generate(%options) gives a list of orders; equal options give equal orders, and an order depends on (seed, position) only. Each order holds
# its versions and what must come of it (expected). webhook() and list_row() write one version; they say the same of the order, but vary
# in form as real bodies do: numbers as text, null, "" or no key, phones as array or text in many notations, missing blocks, kits, renamed
# fields. All people, companies and goods are invented.
#
# Options:
#   count (20)  seed (1)  first_id (100001)  account ("demo")  versions ([1, 3]: least and most)   lines ([1, 5])
#   skus (60): articles SKU-0001 .. SKU-00NN          special_skus (1): sometimes "O'NEIL-7", "АРТ-ЇЖА-1"
#   customers (0.6 × count): size of the pool that orders draw from, so that several orders share a phone in different notations
#   known_customers (4): so many of the pool are those of the seed of bas.pl       foreign (1): sometimes a foreign phone
#   from ("2026-10-20 08:00:00"), days (30): order times (the autumn change of clocks lies inside)
#   discounts (1)  gifts (1)  kits (1)  fractions (1: amounts with three decimals, at most one such undiscounted line; 2: any number)
#   contact_changes (0): so many percent of the edits name another customer
#   plain (0): 1 = one clean form: numbers as numbers, every block present, no oddities
#   address_field: name of the address field (by seed: shipping_address or adresDostavki)
#   anomalies: { name => count or [positions] }:
#     unknown_sku  ambiguous_sku  deleted_sku  folder_sku  empty_sku  sum_mismatch  no_phone  sentence_phone  no_products  huge_comment
package Peer::Orders;
use v5.36;
no feature 'unicode_strings';
use Time::Local qw(timegm);
use POSIX qw(strftime);
use Digest::MD5 qw(md5_hex);
use Peer::Json qw(encode raw);

my %DEFAULT = (count => 20, seed => 1, first_id => 100_001, account => 'demo', versions => [ 1, 3 ], lines => [ 1, 5 ], skus => 60, special_skus => 1,
	known_customers => 4, foreign => 1, from => '2026-10-20 08:00:00', days => 30, discounts => 1, gifts => 1, kits => 1, fractions => 1, contact_changes => 0, plain => 0,
	anomalies => {});
my %OPTIONAL = map { $_ => 1 } qw(customers address_field);

# ---------------------------------------------------------------- randomness (xorshift, own state per stream)

package Peer::Orders::Random {
	sub new ($class, @key)
	{
		my $s = 0x9e3779b9;
		for my $b (unpack 'C*', join "\0", @key) { $s = (($s ^ $b) * 16777619) & 0xffffffff }
		my $self = bless \(my $state = $s || 1), $class;
		$self->next for 1 .. 4;
		return $self;
	}

	sub next ($self)
	{
		my $x = $$self;
		$x ^= ($x << 13) & 0xffffffff;
		$x ^= $x >> 17;
		$x ^= ($x << 5) & 0xffffffff;
		return $$self = $x;
	}

	sub below ($self, $n) { return $self->next % $n }
	sub between ($self, $lo, $hi) { return $lo + $self->next % ($hi - $lo + 1) }
	sub chance ($self, $percent) { return $self->next % 100 < $percent }
	sub pick ($self, @a) { return $a[ $self->next % @a ] }
}

# ---------------------------------------------------------------- exact money
# Prices and amounts are integers of thousandths, percents of hundredths; a line's value is an integer of 10^-10 hryvnia.

my $UNIT = 10_000_000_000;

sub line_value ($line)
{
	my $gross = $line->{price} * $line->{amount} * 10_000;
	return $gross if !$line->{discount};
	return $line->{price} * $line->{amount} * (10_000 - $line->{discount}) if $line->{percent};
	return $gross - $line->{discount} * $UNIT / 1000;
}

# Kopecks of a sum of line values: rounded once, half away from zero.
sub kopecks ($value)
{
	use integer;
	my $half = $UNIT / 200;
	return $value >= 0 ? ($value + $half) / ($UNIT / 100) : -((-$value + $half) / ($UNIT / 100));
}

sub total_kopecks (@lines)
{
	my $sum = 0;
	$sum += line_value($_) for @lines;
	return kopecks($sum);
}

# An integer of 10^-$places as shortest decimal text.
sub decimal ($n, $places)
{
	my $sign = $n < 0 ? '-' : '';
	my $t = sprintf "%0*d", $places + 1, abs $n;
	substr($t, -$places, 0) = '.';
	$t =~ s/\.?0+\z//;
	return $sign . $t;
}

sub money ($kopecks) { return sprintf '%s%d.%02d', $kopecks < 0 ? '-' : '', int(abs($kopecks) / 100), abs($kopecks) % 100 }

# ---------------------------------------------------------------- people

my @LAST = qw(Вигаданенко Прикладна Зразковий Тестенко Уявна Неіснюк Макетна Умовний Казкаренко Ілюзорна Взірцева Пробний);
my @FIRST = qw(Олена Петро Марія Іван Софія Богдан Дарина Остап Квітка Назар Їлена Юрій);
my @MIDDLE = qw(Іванівна Петрович Степанівна Богданович Орестівна Маркович);
my @OPERATOR = qw(67 68 96 97 98 50 66 95 99 63 73 93);
my @KNOWN = qw(380671000001 380501000002 380631000003 380441000004 380671000005 380931000006 48601100007 380681000008);

sub customer ($o, $index)
{
	my $r = Peer::Orders::Random->new('customer', $o->{seed}, $index);
	my $phone = $index < $o->{known_customers} ? $KNOWN[$index] : undef;
	if (!defined $phone) {
		my $n = 2_000_000 + (int($index / @OPERATOR) * 48_271 + $o->{seed} * 1009) % 7_999_993;
		$phone = '380' . $OPERATOR[ $index % @OPERATOR ] . $n;
		$phone = '4860' . $n if $o->{foreign} && $index % 17 == 11;
	}
	return {
		index => $index, phone => $phone, id => 50_000 + $index, last => $r->pick(@LAST), first => $r->pick(@FIRST), middle => $r->pick(@MIDDLE),
		middle_known => $r->chance(30), company => $r->chance(15) ? "ТОВ «Вигадка-$index»" : undef, email => $r->chance(50) ? "client$index\@example.com" : undef };
}

sub known_phones ($n) { return @KNOWN[ 0 .. $n - 1 ] }

# One of the notations people write a phone in; all mean the same number.
sub phone_text ($r, $phone, $plain)
{
	return $phone if $plain;
	if ($phone !~ /\A380(\d\d)(\d{3})(\d\d)(\d\d)\z/) {
		my ($a, $b) = $phone =~ /\A(\d\d)(\d+)\z/;
		return $r->pick("+$phone", "+$a $b", "00$phone", $phone);
	}
	my ($op, $x, $y, $z) = ($1, $2, $3, $4);
	my $local = "0$op$x$y$z";
	return $r->pick($phone, $phone, "+$phone", $local, $local, "+38 (0$op) $x-$y-$z", "(0$op) $x-$y-$z", "0$op $x $y $z", "8$local", "38 $local", "+38\xc2\xa00$op\xc2\xa0$x\xe2\x80\x91$y\xe2\x80\x91$z",
		"+38(0$op)$x$y$z", "0$op-$x-$y-$z", "$op$x$y$z");
}

my @SENTENCES = ('телефон уточнити у менеджера', 'немає, писати в телеграм', 'передзвонити після 18', 'номер у коментарі');

# ---------------------------------------------------------------- goods

my @THINGS = ('Ліхтар', 'Чашка', 'Рюкзак', 'Плед', 'Лампа', 'Зошит', 'Термос', 'Килимок', 'Кава зернова', 'Мотузка');

sub _product ($o, $r)
{
	if ($o->{special_skus} && $r->chance(3)) {
		return $r->pick({ sku => "O'NEIL-7", name => "Куртка O'Neil (вигадана)", n => 9005 }, { sku => 'АРТ-ЇЖА-1', name => 'Їжа похідна', n => 9006 });
	}
	my $n = $r->between(1, $o->{skus});
	return { sku => sprintf('SKU-%04d', $n), name => "$THINGS[$n % 10] «Вигадка» №$n", n => $n };
}

sub _line ($o, $r, $fraction_left)
{
	my $p = _product($o, $r);
	my $line = { %$p, amount => 1000 * ($r->chance(60) ? 1 : $r->between(1, 12)), price => 10 * (2000 + ($p->{n} * 7919) % 300_000) + 10 * $r->between(0, 99), discount => 0, percent => 0,
		fractional => 0, stock => $r->between(1, 3), barcode => $r->chance(50) ? '48200000' . sprintf('%05d', $p->{n}) : '', cost => $r->chance(60) };
	if ($o->{gifts} && $r->chance(5)) { $line->{price} = 0 }
	elsif ($o->{discounts} && $r->chance(35)) {
		if ($r->chance(65)) {
			$line->{percent} = 1;
			$line->{discount} = $r->pick(500, 1000, 1500, 2500, 750, 333, 1250, 1, 10_000);
			$line->{discount} = 500 if $line->{discount} == 10_000 && !$r->chance(10);
		}
		else {
			my $most = int($line->{price} * $line->{amount} / 1_000_000);
			$line->{discount} = 1000 * $r->between(0, $most > 200 ? 200 : $most) + 10 * ($r->chance(30) ? $r->below(100) : 0);
			$line->{discount} = 0 if $line->{discount} * 1000 > $line->{price} * $line->{amount};
		}
	}
	if ($o->{fractions} && $line->{price} && ($line->{discount} || $$fraction_left > 0) && $r->chance(10)) {
		$line->{amount} = $r->between(101, 3999);
		if ($line->{discount} && !$line->{percent}) { $line->{discount} = 0; $$fraction_left > 0 or $line->{amount} = 1000 }
		$$fraction_left-- if !$line->{discount} && $line->{amount} % 1000 && $o->{fractions} < 2;
	}
	$line->{kit} = [ map { my $q = _product($o, $r); +{ %$q, count => $r->between(1, 3) } } 1 .. $r->between(2, 3) ] if $o->{kits} && $r->chance(8);
	return $line;
}

# ---------------------------------------------------------------- orders

my @COMMENTS = ('', '', 'Подзвонити після 18:00', "Перший рядок\nДругий рядок\n\nчетвертий", 'Подарунок 🎁 запакувати «гарно» "дуже"', '<MS> від бота: {"ok":true} \\ кінець',
	"Клієнт сказав: 'не дзвонити' -- drop table orders; --", "Табуляція\tі кінець\r\n", 'Ep ✅ оплачено 👩‍👩‍👧');

sub generate (%given)
{
	for (keys %given) { die "unknown option \"$_\"\n" if !exists $DEFAULT{$_} && !$OPTIONAL{$_} }
	my $o = { %DEFAULT, %given };
	$o->{customers} //= int($o->{count} * 0.6) || 1;
	$o->{address_field} //= $o->{seed} % 2 ? 'shipping_address' : 'adresDostavki';
	my $anomalies = _place_anomalies($o);
	return [ map { _order($o, $_, $anomalies->[$_] // {}) } 0 .. $o->{count} - 1 ];
}

my %ANOMALY = map { $_ => 1 } qw(unknown_sku ambiguous_sku deleted_sku folder_sku empty_sku sum_mismatch no_phone sentence_phone no_products huge_comment);

# Positions of anomalies: as given, else spread so that no order has two.
sub _place_anomalies ($o)
{
	my @at;
	my $next = 0;
	for my $name (sort keys $o->{anomalies}->%*) {
		die "unknown anomaly \"$name\"\n" if !$ANOMALY{$name};
		my $want = $o->{anomalies}{$name};
		if (ref $want) {
			$at[$_]{$name} = 1 for @$want;
			next;
		}
		for (1 .. $want) {
			my $i = ($next++ * 7 + 3) % $o->{count};
			my $tries = 0;
			$i = ($i + 1) % $o->{count} while $at[$i] && $tries++ < $o->{count};
			$at[$i]{$name} = 1;
		}
	}
	return \@at;
}

sub _order ($o, $i, $anomaly)
{
	my $r = Peer::Orders::Random->new('order', $o->{seed}, $i);
	my $c = customer($o, $r->below($o->{customers}));
	my ($y, $mo, $d, $h, $mi, $s) = $o->{from} =~ /(\d+)/g;
	my $t = timegm($s // 0, $mi // 0, $h // 0, $d, $mo - 1, $y) + $r->below($o->{days} * 86_400);
	my $fraction_left = 1;
	my @lines = map { _line($o, $r, \$fraction_left) } 1 .. $r->between($o->{lines}->@*);
	push @lines, { $lines[0]->%*, amount => 1000, discount => 0, percent => 0, kit => undef } if $r->chance(4) && $lines[0]{amount} % 1000 == 0;
	_spoil($o, $r, $anomaly, \@lines);
	my $base = {
		id => $o->{first_id} + $i, o => $o, i => $i, customer => $c, order_time => $t, anomaly => $anomaly, payment_method => $r->between(1, 6), shipping_method => $r->between(1, 4),
		site => $r->between(1, 3), manager => $r->between(1, 5), organization => $r->chance(80) ? 1 : undef, type => $r->between(1, 5),
		external => $r->chance(60) ? '8' . $r->between(10_000_000, 99_999_999) : '', carrier => $r->pick('novaposhta', 'novaposhta', 'ukrposhta', undef),
		payer => $r->pick('Sender', 'Recipient'), postpay => $r->below(2), costs => $r->chance(50) ? '55.83' : undef, flag => $r->pick(undef, 0, 1), wholesale => $r->pick(undef, 'Ні'), edrpou => $r->chance(40),
		phone_text => phone_text($r, $c->{phone}, $o->{plain}) };
	$base->{phone_text} = '' if $anomaly->{no_phone};
	$base->{phone_text} = $r->pick(@SENTENCES) if $anomaly->{sentence_phone};
	my $comment = $o->{plain} ? "Замовлення $base->{id}" : $r->pick(@COMMENTS);
	$comment = "Довгий коментар $base->{id}. " x 400 if $anomaly->{huge_comment};
	my @versions = ({ version => 1, update => $t + $r->between(0, 30), status => 1, lines => \@lines, comment => $comment, event => 'new_order', paid => 0 });
	$versions[0]->@{qw(customer phone_text)} = $base->@{qw(customer phone_text)};
	for (2 .. $r->between($o->{versions}->@*)) {
		push @versions, _edited($o, $r, $versions[-1]);
		_other_contact($o, $i, $versions[-1]) if $o->{contact_changes} && !$anomaly->{no_phone} && !$anomaly->{sentence_phone};
	}
	my $order = { base => $base, versions => \@versions };
	$order->{expected} = _expected($order);
	return $order;
}

sub _spoil ($o, $r, $anomaly, $lines)
{
	my $spoilt = sub ($sku, $name) { $lines->[-1]->@{qw(sku name)} = ($sku, $name) };
	$spoilt->('NO-SUCH-' . $r->between(1000, 9999), 'Невідомий товар') if $anomaly->{unknown_sku};
	$spoilt->('SKU-9001', 'Двійник') if $anomaly->{ambiguous_sku};
	$spoilt->('SKU-9002', 'Стара модель') if $anomaly->{deleted_sku};
	$spoilt->('SKU-9003', 'Група товарів') if $anomaly->{folder_sku};
	$spoilt->('', 'Товар без артикула') if $anomaly->{empty_sku};
	@$lines = () if $anomaly->{no_products};
}

# The next version: always a new status, often more.
sub _edited ($o, $r, $v)
{
	my %n = (%$v, version => $v->{version} + $r->pick(1, 1, 1, 2), update => $v->{update} + $r->between(60, 36_000), event => 'status_change',
		status => $r->pick(grep { $_ != $v->{status} } 2, 3, 4, 5, 1065));
	my @lines = map { {%$_} } $v->{lines}->@*;
	if (@lines && $r->chance(50)) {
		my $line = $r->pick(@lines);
		$line->{amount} += 1000 if $line->{amount} % 1000 == 0 && (!$line->{discount} || $line->{percent});
		if ($r->chance(30) && @lines > 1) { shift @lines if $lines[0]{sku} =~ /\ASKU-0/ }
		if ($r->chance(30)) {
			my $none = 0;
			push @lines, { _line($o, $r, \$none)->%* };
			@lines[ -1, -2 ] = @lines[ -2, -1 ];    # a spoilt line stays the last one
		}
	}
	$n{lines} = \@lines;
	$n{commented} = 1 if $v->{comment} ne '';
	$n{comment} = $r->pick(@COMMENTS) if !$o->{plain} && $r->chance(30);
	$n{paid} = $r->chance(40) ? 1 : 0;
	return \%n;
}

# Another customer takes the order over. A stream of its own, so that the rest of the order does not depend on it.
sub _other_contact ($o, $i, $v)
{
	my $r = Peer::Orders::Random->new('contact', $o->{seed}, $i, $v->{version});
	return if !$r->chance($o->{contact_changes});
	my $c = $v->{customer} = customer($o, $r->below($o->{customers}));
	$v->{phone_text} = phone_text($r, $c->{phone}, $o->{plain});
}

sub payment_kopecks ($order, $v)
{
	my $k = total_kopecks($v->{lines}->@*);
	return $k + ($order->{base}{anomaly}{sum_mismatch} ? 1234 : 0);
}

# Facts that must hold at the end; money as text with two decimals.
sub _expected ($order)
{
	my ($b, $v) = ($order->{base}, $order->{versions}[-1]);
	my $phone_ok = !$b->{anomaly}{no_phone} && !$b->{anomaly}{sentence_phone};
	my @lines = map { { sku => $_->{sku}, amount => decimal($_->{amount}, 3), price => decimal($_->{price}, 3), discount => decimal($_->{discount}, $_->{percent} ? 2 : 3), percent => $_->{percent} ? 1 : 0,
		value => decimal(line_value($_), 10) } } $v->{lines}->@*;
	return {
		id => $b->{id}, versions => [ map { $_->{version} } $order->{versions}->@* ], version => $v->{version}, status => $v->{status},
		payment_amount => money(payment_kopecks($order, $v)), lines_amount => money(total_kopecks($v->{lines}->@*)), phone => $phone_ok ? $v->{customer}{phone} : undef, phone_text => $v->{phone_text},
		customer => $v->{customer}{index}, line_count => scalar @lines, lines => \@lines, order_time => _time($b->{order_time}), update_at => _time($v->{update}), comment => $v->{comment},
		external_id => $b->{external}, anomalies => [ sort keys $b->{anomaly}->%* ] };
}

sub _time ($t) { return strftime('%Y-%m-%d %H:%M:%S', gmtime $t) }

# ---------------------------------------------------------------- the two shapes

# A number as a body may hold it: number or text. $places: decimals of the integer.
sub _number ($r, $plain, $n, $places)
{
	my $t = decimal($n, $places);
	return raw($t) if $plain || !$r->chance(15);
	return $r->chance(50) ? $t : sprintf '%.2f', $t if $places == 3 && $n % 10 == 0;
	return $t;
}

sub _int ($r, $plain, $n) { return $plain || !$r->chance(10) ? $n : "$n" }

# Puts null, "" or nothing.
sub _blank ($r, $plain, $h, $key)
{
	my $how = $plain ? 0 : $r->below(3);
	$h->{$key} = $how == 0 ? undef : '' if $how < 2;
}

sub _contact ($r, $order, $v)
{
	my $b = $order->{base};
	my ($c, $plain) = ($v->{customer}, $b->{o}{plain});
	my %h = (id => $c->{id}, formId => 1, version => $v->{version}, active => 1, lName => $c->{last}, fName => $c->{first}, leadsCount => 1 + $b->{i} % 4, leadsSalesCount => 1, leadsSalesAmount => 0,
		createTime => _time($b->{order_time} - 86_400), userId => $b->{manager}, counterpartyId => undef, comment => '');
	delete $h{fName} if !$plain && $r->chance(6);
	if ($c->{middle_known}) { $h{mName} = $c->{middle} }
	else { _blank($r, $plain, \%h, 'mName') }
	if (defined $c->{company}) { $h{company} = $c->{company} }
	else { _blank($r, $plain, \%h, 'company') }
	my $p = $v->{phone_text};
	if ($p eq '') {
		my $how = $plain ? 0 : $r->below(4);
		$h{phone} = $how == 0 ? [] : $how == 1 ? '' : undef if $how < 3;
	}
	else { $h{phone} = $plain || $r->chance(75) ? [ $p, !$plain && $r->chance(8) ? '' : () ] : $p }
	$h{email} = !defined $c->{email} ? ($plain || $r->chance(60) ? [] : '') : $plain || $r->chance(70) ? [ $c->{email} ] : $c->{email};
	$h{con_eDRPOU} = '00000' . $c->{index} if defined $c->{company} && $b->{edrpou};
	$h{isPhoneHide} = 0 if $r->chance(20);
	return \%h;
}

sub _products ($r, $order, $v, $webhook)
{
	my $plain = $order->{base}{o}{plain};
	my @out;
	for my $l ($v->{lines}->@*) {
		my %h = (productId => 40_000 + $l->{n}, parameter => "p$l->{n}", sku => $l->{sku}, text => $l->{name}, amount => _number($r, $plain, $l->{amount}, 3), price => _number($r, $plain, $l->{price}, 3),
			discount => _number($r, $plain, $l->{discount}, $l->{percent} ? 2 : 3), percentDiscount => _int($r, $plain, $l->{percent}), commission => 0, percentCommission => 0,
			description => '', stockId => $l->{stock}, barcode => $l->{barcode}, documentName => $l->{name});
		delete $h{discount} if !$plain && !$l->{discount} && $r->chance(20);
		$h{discount} = undef if !$plain && exists $h{discount} && !$l->{discount} && $r->chance(10);
		$h{ $plain || $r->chance(50) ? 'upsell' : 'preSale' } = 0;
		$h{costPrice} = raw(decimal(int($l->{price} * 6 / 10), 3)) if $plain || $l->{cost};
		if ($webhook) {
			%h = (%h, name => $l->{name}, nameTranslate => $l->{name}, formId => 1, restCount => $r->between(-1, 40), categoryId => 12, categoryName => 'Вигадане', href => "https://shop.example/p$l->{n}/",
				mass => raw('0.75'), note => '', keywords => '', manufacturer => 'Вигаданий виробник', exciseBarcodes => $r->chance(50) ? undef : []);
		}
		$h{isComplect} = $l->{kit} ? 1 : 0;
		$h{complect} = [ map { { productId => 40_000 + $_->{n}, count => $_->{count}, parameter => "p$_->{n}", sku => $_->{sku}, barcode => '', name => $_->{name} } } $l->{kit}->@* ] if $l->{kit} && ($webhook || $r->chance(50));
		push @out, \%h;
	}
	return undef if !@out && !$plain && $r->chance(50);
	return \@out;
}

sub _delivery ($r, $order, $v, $h, $webhook)
{
	my ($b, $plain) = ($order->{base}, $order->{base}{o}{plain});
	my $carrier = $b->{carrier};
	my $ttn = $v->{status} >= 4 && defined $carrier ? sprintf('2045%010d', $b->{id}) : '';
	if (!defined $carrier) {
		my $how = $plain ? 1 : $r->below(3);
		$h->{ord_delivery_data} = $how ? [] : undef if $how < 2;
		_blank($r, $plain, $h, 'ord_delivery') if $webhook;
		return;
	}
	my %row = (senderId => 1, provider => $carrier, type => 'WarehouseWarehouse', trackingNumber => $ttn ne '' || $r->chance(50) ? $ttn : undef, statusCode => $ttn ne '' ? 1 : undef, cityName => 'Вигаданськ', cityType => 'м.',
		areaName => 'Казкова', branchNumber => $b->{id} % 200, address => 'відділення №' . $b->{id} % 200, payer => $b->{payer}, hasPostpay => $b->{postpay}, ukrposhtaType => 'EXPRESS');
	$row{idEntity} = 1 if $r->chance(50);
	$row{postpaySum} = raw(decimal(payment_kopecks($order, $v), 2)) if $row{hasPostpay};
	$h->{ord_delivery_data} = $plain || $r->chance(85) ? [ \%row ] : undef;
	return if !$webhook;
	$h->{ord_delivery} = $carrier;
	$h->{"ord_$carrier"} = $carrier eq 'novaposhta' ? { cityName => 'Вигаданськ', branchNumber => $b->{id} % 200, EN => $ttn, statusCode => 0, payer => $row{payer}, backDelivery => '', isPrinted => 0 }
	  : { cityName => 'Вигаданськ', branch => '01001', barcode => $ttn, statusCode => undef, typeUkrPoshta => 'EXPRESS' };
	delete $h->{"ord_$carrier"} if !$plain && $r->chance(10);
}

my %STATUS = (1 => 'Новий', 2 => 'Підтверджено', 3 => 'На відправку', 4 => 'Відправлено', 5 => 'Продаж', 6 => 'Відмова', 7 => 'Повернення', 8 => 'Видалений', 1065 => 'Чекає оплати');
my %STATUS_TYPE = (1 => 1, 2 => 2, 3 => 2, 4 => 2, 5 => 3, 6 => 3, 7 => 3, 8 => 4, 1065 => 2);

sub statuses { return [ map { { id => $_, name => $STATUS{$_}, type => $STATUS_TYPE{$_} } } sort { $a <=> $b } keys %STATUS ] }
sub payment_methods { return [ map { { id => $_, name => "Оплата $_", parameter => [ 'id_0', 'card', 'postpay', 'id_3', 'id_4', 'tocard', 'id_6' ]->[$_] } } 1 .. 6 ] }
sub delivery_methods { return [ map { { id => $_, name => [ '', 'Нова пошта', 'Укрпошта', 'Самовивіз', 'Кур’єр' ]->[$_], parameter => [ '', 'novaposhta', 'ukrposhta', 'pickup', 'id_4' ]->[$_] } } 1 .. 4 ] }

# What both shapes share. The stream depends on shape and version, so the same version may differ in form but not in meaning.
sub _data ($r, $order, $v, $webhook)
{
	my $b = $order->{base};
	my $plain = $b->{o}{plain};
	my $sum = payment_kopecks($order, $v);
	my $paid = $v->{paid} ? $sum : 0;
	my %h = (id => $b->{id}, formId => 1, version => $v->{version}, externalId => $b->{external}, orderTime => _time($b->{order_time}), updateAt => _time($v->{update}), statusId => _int($r, $plain, $v->{status}), typeId => $b->{type},
		userId => $b->{manager}, organizationId => $b->{organization}, sajt => $b->{site}, payment_method => _int($r, $plain, $b->{payment_method}), shipping_method => _int($r, $plain, $b->{shipping_method}),
		paymentAmount => $plain || !$r->chance(12) ? raw(decimal($sum, 2)) : money($sum), payedAmount => $paid ? raw(decimal($paid, 2)) : undef, restPay => raw(decimal($sum - $paid, 2)), commissionAmount => 0,
		discountAmount => $webhook ? 0 : undef, shipping_costs => defined $b->{costs} ? raw($b->{costs}) : undef, paymentDate => $v->{status} == 5 ? substr(_time($v->{update}), 0, 10) : undef, rejectionReason => undef,
		comment => $v->{comment}, document_ord_check => undef, contacts => [ _contact($r, $order, $v) ], products => _products($r, $order, $v, $webhook),
		$b->{o}{address_field} => 'м. Вигаданськ, відділення №' . $b->{id} % 200, nePeredzvonuvati_2 => $b->{flag}, promokod => '', gurt => $b->{wholesale}, tipProdazu1 => [], utmSource => '', utmMedium => '',
		utmCampaign => '', utmContent => '', utmTerm => '', utmPage => '', utmSourceFull => '', campaignId => undef);
	if (!$plain) {
		delete $h{formId} if $webhook && $r->chance(10);
		delete $h{externalId} if $b->{external} eq '' && $r->chance(20);
		delete $h{comment} if $v->{comment} eq '' && $r->chance(20) && !$v->{commented};    # a comment taken away is said to be empty
		$h{comment} = undef if exists $h{comment} && $v->{comment} eq '' && $r->chance(20);
		delete $h{discountAmount} if $r->chance(20);
		$h{orderStock} = $r->chance(50) ? [2] : undef if $r->chance(30);
	}
	_delivery($r, $order, $v, \%h, $webhook);
	return \%h;
}

sub _select ($name, $label, $value, $text)
{
	return { label => $label, name => $name, type => 'select', options => defined $value ? [ { value => $value, text => $text } ] : [] };
}

# The body of the webhook of version number $n (index), as a structure.
sub webhook ($order, $n = -1)
{
	my ($b, $v) = ($order->{base}, $order->{versions}[$n]);
	my $r = Peer::Orders::Random->new('webhook', $b->{o}{seed}, $b->{i}, $v->{version});
	my $data = _data($r, $order, $v, 1);
	my %fields = (statusId => _select('statusId', 'Статус', $v->{status}, $STATUS{ $v->{status} } // "Статус $v->{status}"), payment_method => _select('payment_method', 'Оплата', $b->{payment_method}, "Оплата $b->{payment_method}"),
		shipping_method => _select('shipping_method', 'Доставка', $b->{shipping_method}, delivery_methods()->[ $b->{shipping_method} - 1 ]{name}), sajt => _select('sajt', 'Сайт', $b->{site}, "shop$b->{site}.example"),
		userId => _select('userId', 'Менеджер', $b->{manager}, "Менеджер $b->{manager}"), organizationId => _select('organizationId', 'Організація', $b->{organization}, 'ТОВ «Вигадана Крамниця»'));
	my $meta = { fields => \%fields };
	my $contact = { userId => _select('userId', 'Менеджер', $b->{manager}, "Менеджер $b->{manager}") };
	if ($r->chance(50)) { $fields{contacts} = { fields => $contact } }
	else { $meta->{contacts} = { fields => $contact } }
	return { info => { webhookType => 'order', webhookEvent => $v->{event}, account => $b->{o}{account} }, data => $data, meta => $meta };
}

# The row of order/list for version number $n.
sub list_row ($order, $n = -1)
{
	my ($b, $v) = ($order->{base}, $order->{versions}[$n]);
	my $r = Peer::Orders::Random->new('list', $b->{o}{seed}, $b->{i}, $v->{version});
	my $row = _data($r, $order, $v, 0);
	$row->{primaryContact} = { $row->{contacts}[0]->%*, clientRating => { phone => '0' . substr($v->{customer}{phone}, -9) } };
	$row->{token} = md5_hex("$b->{o}{seed}/$b->{id}");
	my $sum = payment_kopecks($order, $v);
	$row->{costPriceAmount} = raw(decimal(int($sum * 6 / 10), 2));
	$row->{expensesAmount} = raw(decimal(int($sum * 6 / 10), 2));
	$row->{profitAmount} = raw(decimal($sum - int($sum * 6 / 10), 2));
	return $row;
}

sub webhook_json ($order, $n = -1) { return encode(webhook($order, $n)) }

1;
