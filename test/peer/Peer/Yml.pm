# Peer::Yml - the YML export of the simulated SalesDrive, by link: GET /export/yml/export.yml?publicKey=…
#
# What a wrong key gets is not documented: yml_refusal says which form. The export is what POST /offers of the control address said last.
package Peer::Yml;
use v5.36;
no feature 'unicode_strings';
use Encode ();
use Peer::Json qw(encode);

our %DEFAULTS = (yml_refusal => '404', yml_encoding => 'UTF-8', yml_form => 'good');
my $KEY = 'public-key';

sub new ($class, %opt) { return bless { %opt, offers => [], categories => [] }, $class }

sub seed ($self, $a)
{
	$self->{$_} = $a->{$_} // [] for qw(offers categories);
	return { offers => scalar $self->{offers}->@* };
}

sub answer ($self, $query)
{
	my $form = $self->{config}{yml_form};
	return $self->refusal if ($query->{publicKey} // '') ne $KEY;
	return [ 200, [ 'Content-Type', 'text/html; charset=utf-8' ], '<!DOCTYPE html><html><body>Обслуговування</body></html>' ] if $form eq 'html';
	my $text = $self->text;
	$text = "\xef\xbb\xbf$text" if $form eq 'bom';
	substr($text, int(length($text) * 2 / 3)) = '' if $form eq 'cut';
	return [ 200, [ 'Content-Type', 'application/xml' ], $text ];
}

sub refusal ($self)
{
	my $form = $self->{config}{yml_refusal};
	return [ 200, [ 'Content-Type', 'application/json; charset=utf-8' ], encode({ status => 'error', message => 'publicKey is invalid' }) ] if $form eq 'json';
	return [ $form eq 'html' ? 200 : $form, [ 'Content-Type', 'text/html; charset=utf-8' ], '<html><body><h1>Not Found</h1></body></html>' ];
}

sub quoted ($text) { return $text =~ s/&/&amp;/gr =~ s/</&lt;/gr =~ s/>/&gt;/gr =~ s/"/&quot;/gr }

sub plain ($v) { return ref $v eq 'Peer::Json::Raw' ? $$v : $v // '' }

sub text ($self)
{
	my $encoding = $self->{config}{yml_encoding};
	my $said = $encoding eq 'UTF-8' ? ' encoding="UTF-8"' : $encoding eq 'unsaid' ? '' : ' encoding="windows-1251"';
	my @offers = $self->{config}{yml_form} eq 'empty' ? () : $self->{offers}->@*;
	my $text = qq(<?xml version="1.0"$said?>\n<!DOCTYPE yml_catalog SYSTEM "shops.dtd">\n<yml_catalog date="2026-11-20 10:00"><shop><name>Вигадана крамниця</name><currencies><currency id="UAH" rate="1"/></currencies>\n<categories>\n);
	for my $c ($self->{categories}->@*) {
		$text .= sprintf qq(<category id="%s"%s>%s</category>\n), quoted(plain($c->{id})), defined $c->{parentId} ? sprintf(' parentId="%s"', quoted(plain($c->{parentId}))) : '', quoted($c->{name});
	}
	$text .= "</categories>\n<offers>\n";
	for my $o (@offers) {
		$text .= sprintf qq(<offer id="%s" available="%s">), quoted(plain($o->{id})), ($o->{available} // 1) ? 'true' : 'false';
		$text .= sprintf '<%s>%s</%s>', $_->[1], quoted(plain($o->{ $_->[0] })), $_->[1] for grep { defined $o->{ $_->[0] } } [ price => 'price' ], [ categoryId => 'categoryId' ], [ sku => 'vendorCode' ], [ article => 'article' ], [ quantity => 'quantity_in_stock' ];
		$text .= '<currencyId>UAH</currencyId>';
		$text .= "<name><![CDATA[$o->{name}]]></name><description><![CDATA[<p>$o->{name}</p>]]></description>" if defined $o->{name};
		$text .= sprintf '<param name="%s">%s</param>', quoted($_), quoted(plain($o->{params}{$_})) for sort keys(($o->{params} // {})->%*);
		$text .= "</offer>\n";
	}
	$text .= "</offers></shop></yml_catalog>\n";
	return $encoding =~ /windows|unsaid/ ? Encode::encode('cp1251', Encode::decode('UTF-8', $text)) : $text;
}

1;
