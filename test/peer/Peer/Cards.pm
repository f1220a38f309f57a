# Peer::Cards - goods and categories of the simulated SalesDrive: /product-handler/ and /category-handler/
#
# As strict, and as silent, as the facts: more than 100 products are refused; keys it does not know, "price" among them, are ignored with success; a
# discount that is a bare number does nothing; dontUpdateFields guards fields of cards that are there, by their names there; a product without id or
# name is refused; an additional price of a price type that the account does not have is dropped without a word.
#
# Options (of salesdrive.pl): absent_fields kept | cleared: what becomes of a field of a card that is there, when the request neither brings nor guards it
#   (not documented); product_refusal status | 400: form of a refusal; bad_products {id: words}: products it does not take, refused by bad_form request (the
#   request fails, nothing is done) or message (the others are taken, the message alone tells, with success); bad_categories {id: words}; price_types: names
#   of additional prices, [] for any; product_message list | short: whether success names the products.
package Peer::Cards;
use v5.36;
no feature 'unicode_strings';
no warnings 'experimental::builtin';
use builtin qw(created_as_number);

our %DEFAULTS = (absent_fields => 'kept', product_refusal => 'status', bad_products => {}, bad_form => 'request', bad_categories => {}, price_types => [], product_message => 'list');

my %FIELD = map { $_ => 1 } qw(name nameTranslate nameForDocuments description descriptionTranslate costPerItem currency discount expenses currencyExpenses sku barcode
  manufacturer uktzed exciseCode country stockBalance stockBalanceByStock weight volume length width height category set additionalPrices params label images url
  note supplier keywords parentProductId);
my %GUARD_OF = (costPerItem => 'price');

sub new ($class, %opt) { return bless { %opt, product => {}, category => {}, ignored => [], guarded => [], requests => [] }, $class }

sub clear ($self) { $self->{$_} = {} for qw(product category); $self->{$_} = [] for qw(ignored guarded requests) }

sub seed ($self, $a)
{
	for my $id (keys $a->{products}->%*) { $self->{product}{$id} = { $a->{products}{$id}->%* } }
	for my $id (keys(($a->{categories} // {})->%*)) { $self->{category}{$id} = { $a->{categories}{$id}->%* } }
}

sub state ($self) { return { products => $self->{product}, categories => $self->{category}, ignored => $self->{ignored}, requests => $self->{requests} } }

sub refusal ($self, $words) { return [ $self->{config}{product_refusal} eq '400' ? 400 : 200, { status => 'error', message => $words } ] }

sub products ($self, $body)
{
	my $list = $body->{product};
	my $action = $body->{action} // '';
	return $self->refusal("Unknown action \"$action\".") if $action !~ /\A(?:update|delete)\z/;
	return $self->refusal('product must be a list.') if ref $list ne 'ARRAY' || !@$list;
	return $self->refusal('No more than 100 products in a request.') if @$list > 100;
	for my $p (@$list) { return $self->refusal('A product has no id.') if ref $p ne 'HASH' || ref $p->{id} || ($p->{id} // '') eq '' }
	my @ids = map { $_->{id} } @$list;
	my %keys = map { $_ => 1 } map { keys %$_ } @$list;
	push $self->{requests}->@*, { ids => \@ids, keys => [ sort keys %keys ], kept => $body->{dontUpdateFields} // [] };
	if ($action eq 'delete') { delete $self->{product}{$_} for @ids; return { status => 'success', message => sprintf('product[%s] successfully deleted.', join ', ', @ids) } }
	for my $p (@$list) { return $self->refusal("product[$p->{id}]: name is required.") if ref $p->{name} || ($p->{name} // '') eq '' }
	my $bad = $self->{config}{bad_products};
	my @bad = grep { exists $bad->{$_} } @ids;
	return $self->refusal($bad->{ $bad[0] }) if @bad && $self->{config}{bad_form} eq 'request';
	my %kept = map { $_ => 1 } ($body->{dontUpdateFields} // [])->@*;
	$self->one($_, \%kept) for grep { !exists $bad->{ $_->{id} } } @$list;
	my @good = grep { !exists $bad->{$_} } @ids;
	my $message = join ' ', (@good && ($self->{config}{product_message} eq 'list' || @bad) ? sprintf('product[%s] successfully added.', join ', ', @good) : ()), map { "product[$_]: $bad->{$_}" } @bad;
	return { status => 'success', ($message eq '' ? () : (message => $message)) };
}

sub one ($self, $p, $kept)
{
	my $there = $self->{product}{ $p->{id} };
	my $card = $there // {};
	my $guarded = sub ($f) { $there && $kept->{ $GUARD_OF{$f} // $f } };
	for my $f (sort keys %$p) {
		next if $f eq 'id';
		if (!$FIELD{$f}) { push $self->{ignored}->@*, "$p->{id} $f"; next }
		next if $guarded->($f);
		my $v = $p->{$f};
		if ($f eq 'discount') {
			if (ref $v ne 'HASH' || created_as_number($v->{value} // 0) || $v->{value} !~ /\A\d+(?:\.\d+)?%?\z/) { push $self->{ignored}->@*, "$p->{id} discount"; next }
			$v->{value} =~ /\A0+(?:\.0+)?%?\z/ ? delete $card->{discount} : ($card->{discount} = $v);
		}
		elsif ($f eq 'stockBalanceByStock') { $card->{$f} = { ($card->{$f} // {})->%*, %$v } }
		elsif ($f eq 'additionalPrices') {
			my %known = map { $_ => 1 } $self->{config}{price_types}->@*;
			push $self->{ignored}->@*, map { "$p->{id} price $_->{priceType}" } grep { %known && !$known{ $_->{priceType} } } @$v;
			$card->{$f} = { map { $_->{priceType} => { value => $_->{priceValue}, currency => $_->{priceCurrency} } } grep { !%known || $known{ $_->{priceType} } } @$v };
		}
		elsif ($f eq 'set') {
			push $self->{ignored}->@*, map { "$p->{id} part $_->{id}" } grep { !$self->{product}{ $_->{id} } } @$v;
			$card->{$f} = [ grep { $self->{product}{ $_->{id} } } @$v ];
		}
		elsif ($f eq 'category') {
			$self->{category}{ $v->{id} } //= { name => $v->{name}, parentId => undef };    # not made before: it stands at the top
			$card->{$f} = $v->{id};
		}
		else { $card->{$f} = $v }
	}
	if ($there && $self->{config}{absent_fields} eq 'cleared') {
		delete $card->{$_} for grep { !exists $p->{$_} && !$guarded->($_) } keys %$card;
	}
	$self->{product}{ $p->{id} } = $card;
}

sub categories ($self, $body)
{
	my $list = $body->{category};
	return $self->refusal('category must be a list.') if ($body->{action} // '') ne 'update' || ref $list ne 'ARRAY' || !@$list;
	my %new = map { $_ => { $self->{category}{$_}->%* } } keys $self->{category}->%*;
	for my $c (@$list) {
		return $self->refusal('A category has no id or no name.') if ref $c ne 'HASH' || !defined $c->{id} || ($c->{name} // '') eq '';
		return $self->refusal($self->{config}{bad_categories}{ $c->{id} }) if exists $self->{config}{bad_categories}{ $c->{id} };
		return $self->refusal("category[$c->{id}]: parent $c->{parentId} not found.") if defined $c->{parentId} && !$new{ $c->{parentId} };
		$new{ $c->{id} } = { name => $c->{name}, parentId => $c->{parentId} };
		for (my ($p, %met) = $c->{parentId}; defined $p; $p = $new{$p}{parentId}) {
			return $self->refusal("category[$c->{id}]: is within itself.") if $p eq $c->{id} || $met{$p}++;
		}
	}
	$self->{category} = \%new;
	return { status => 'success', message => sprintf('category[%s] successfully added.', join ', ', map { $_->{id} } @$list) };
}

1;
