# Peer::Bas::Answer - how the simulated base writes what it answers: JSON of entities and lists, Atom, errors
#
# For each entity type a writer is generated from the property table, since the whole object goes back after every write. Edm.Int64
# is written as a string, other numbers as numbers, references also as @navigationLinkUrl.
package Peer::Bas::Answer;
use v5.36;
no feature 'unicode_strings';
use Peer::Bas::Schema qw(%TYPE $NIL);
use Peer::Json qw(quote);

my %WRITER;

sub _text ($v) { return $v =~ /["\\\x00-\x1f]/ ? quote($v) : "\"$v\"" }

# Perl source of the expression that writes property $p of $o.
sub _source ($p)
{
	my $at = "\$o->{'$p->{name}'}";
	my $k = $p->{kind};
	return "(defined(\$t = $at) ? '\"' . \$t . '\"' : '\"$p->{default}\"')" if $k eq 'guid' || $k eq 'date' || $k eq 'enum' || $k eq 'type';
	return "($at ? 'true' : 'false')" if $k eq 'bool';
	return "'\"' . ($at // 0) . '\"'" if $p->{int64};
	return "($at // 0)" if $k eq 'num' || $k eq 'int';
	return "(defined(\$t = $at) ? (\$t =~ /[\"\\\\\\x00-\\x1f]/ ? Peer::Json::quote(\$t) : '\"' . \$t . '\"') : '\"$p->{default}\"')";
}

sub _writer ($type, $links)
{
	return $WRITER{$links}{ $type->{name} } //= do {
		my @parts;
		my $comma = '';
		for my $p ($type->{order}->@*) {
			push @parts, "'$comma\"$p->{name}\":'", _source($p);
			$comma = ',';
			if ($links && $p->{nav} && $p->{target}) {
				my $self = $type->{parent} ? "$type->{name}(Ref_Key=guid\\'' . \$o->{Ref_Key} . '\\',LineNumber=' . \$o->{LineNumber} . ')"
				  : "$type->{name}(guid\\'' . \$o->{Ref_Key} . '\\')";
				push @parts, "(defined(\$t = \$o->{'$p->{name}'}) && \$t ne \$NIL ? ',\"$p->{nav}\@navigationLinkUrl\":\"$self/$p->{nav}\"' : '')";
			}
		}
		my $code = "sub { my (\$o) = \@_; my \$t; return join '', " . join(', ', @parts) . '; }';
		my $body = eval $code or die "$@\n$code";
		my @sections = map { [ ",\"$_->{section}\":[", $_->{section}, _writer($_, 0) ] } $type->{section_order}->@*;
		!@sections ? $body : sub ($o) {
			my $j = $body->($o);
			for my $s (@sections) {
				my $rows = $o->{ $s->[1] };
				$j .= $s->[0] . ($rows && @$rows ? join(',', map { '{' . $s->[2]->($_) . '}' } @$rows) : '') . ']';
			}
			return $j;
		};
	};
}

# The members of one object, without the braces.
sub members ($type, $o, $links) { return _writer($type, $links ? 1 : 0)->($o) }

sub value ($p, $row)
{
	my $v = $row->{ $p->{name} } // $p->{default};
	return $v ? 'true' : 'false' if $p->{kind} eq 'bool';
	return "\"$v\"" if $p->{int64};
	return "$v" if $p->{kind} eq 'num' || $p->{kind} eq 'int';
	return _text("$v");
}

sub presentation ($store, $set, $key)
{
	my $o = $store->get($set, $key) or return '';
	return $o->{Description} // '' if $TYPE{$set}{kind} ne 'document';
	return "$set $o->{Number} $o->{Date}" =~ s/\ADocument_//r;
}

# One object by $select (or whole when undef).
sub selected ($store, $type, $o, $select, $links, $expand)
{
	my @m;
	if (!$select) { push @m, members($type, $o, $links) }
	for my $item (($select // [])->@*) {
		my ($kind, $p, $extra) = @$item;
		if ($kind eq 'plain') {
			push @m, "\"$p->{name}\":" . value($p, $o);
			push @m, "\"$p->{nav}\@navigationLinkUrl\":\"$type->{name}(guid'$o->{Ref_Key}')/$p->{nav}\""
			  if $links && $p->{nav} && $p->{target} && ($o->{ $p->{name} } // $NIL) ne $NIL;
		}
		elsif ($kind eq 'section') {
			my @rows = ($o->{ $p->{name} } // [])->@*;
			push @m, "\"$p->{name}\":[" . join(',', map {
				my $row = $_;
				'{' . ($extra ? join(',', map { "\"$_->{name}\":" . value($_, $row) } @$extra) : members($p->{of}, $row, 0)) . '}'
			} @rows) . ']';
		}
		elsif ($kind eq 'presentation') { push @m, '"Presentation":' . _text(presentation($store, $type->{name}, $o->{Ref_Key})) }
		elsif ($kind eq 'nav_presentation') { push @m, "\"$extra\":" . _text(presentation($store, $p->{target}, $o->{ $p->{name} } // $NIL)) }
	}
	my %picked = map { $_->[1]{nav} // '' => 1 } grep { $_->[0] eq 'nav' } ($select // [])->@*;
	for my $nav (($expand // [])->@*) {
		next if $select && !$picked{$nav};
		my $p = $type->{navs}{$nav};
		my $target = $store->get($p->{target}, $o->{ $p->{name} } // $NIL);
		push @m, "\"$nav\":" . ($target ? '{' . members($TYPE{ $p->{target} }, $target, $links) . '}' : 'null');
	}
	return join ',', @m;
}

# ---------------------------------------------------------------- Atom, errors

sub xml ($s) { return $s =~ s/&/&amp;/gr =~ s/</&lt;/gr =~ s/>/&gt;/gr =~ s/"/&quot;/gr =~ s/[\x00-\x08\x0b\x0c\x0e-\x1f]/?/gr }

sub atom_entry ($type, $o, $base)
{
	my $p = '';
	for my $prop ($type->{order}->@*) {
		my $v = $o->{ $prop->{name} } // $prop->{default};
		$v = $v ? 'true' : 'false' if $prop->{kind} eq 'bool';
		$p .= "<d:$prop->{name}>" . xml("$v") . "</d:$prop->{name}>";
	}
	for my $s ($type->{section_order}->@*) {
		$p .= "<d:$s->{section} m:type=\"Collection(StandardODATA.$s->{name}_RowType)\">";
		for my $row (($o->{ $s->{section} } // [])->@*) {
			$p .= '<d:element>' . join('', map { my $v = $row->{ $_->{name} } // $_->{default}; $v = $v ? 'true' : 'false' if $_->{kind} eq 'bool'; "<d:$_->{name}>" . xml("$v") . "</d:$_->{name}>" } $s->{order}->@*) . '</d:element>';
		}
		$p .= "</d:$s->{section}>";
	}
	my $key = $type->{key} ? join ',', map { "$_->{name}=" . ($_->{kind} eq 'guid' ? 'guid' : '') . "'$o->{ $_->{name} }'" } $type->{key}->@* : "guid'$o->{Ref_Key}'";
	return "<entry><id>${base}$type->{name}($key)</id><category term=\"StandardODATA.$type->{name}\" scheme=\"http://schemas.microsoft.com/ado/2007/08/dataservices/scheme\"/>"
	  . "<title type=\"text\"/><content type=\"application/xml\"><m:properties>$p</m:properties></content></entry>";
}

my $NS = 'xmlns="http://www.w3.org/2005/Atom" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"';

sub atom_one ($type, $o, $base) { return qq{<?xml version="1.0" encoding="UTF-8"?>\n} . atom_entry($type, $o, $base) =~ s/<entry>/<entry $NS>/r }

sub atom_feed ($type, $rows, $base, $count)
{
	return qq{<?xml version="1.0" encoding="UTF-8"?>\n<feed $NS><id>${base}$type->{name}</id><title type="text">$type->{name}</title>}
	  . (defined $count ? "<m:count>$count</m:count>" : '') . join('', map { atom_entry($type, $_, $base) } @$rows) . '</feed>';
}

# An OData error; (content type, body).
sub error ($code, $text, $json)
{
	return ('application/json;odata=minimalmetadata;charset=utf-8', "{\"odata.error\":{\"code\":\"$code\",\"message\":{\"lang\":\"ru\",\"value\":" . quote($text) . '}}}') if $json;
	return ('application/xml;charset=utf-8', qq{<?xml version="1.0" encoding="UTF-8"?>\n<m:error xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><m:code>$code</m:code><m:message xml:lang="ru">} . xml($text) . '</m:message></m:error>');
}

# A failure of the platform, not of OData.
sub exception ($reason, $text)
{
	return ('application/xml;charset=utf-8', qq{<?xml version="1.0" encoding="UTF-8"?>\n<exception xmlns="http://v8.1c.ru/8.2/virtual-resource-system" reason="$reason"><descr>} . xml($text) . '</descr></exception>');
}

# A page of the web server.
sub page ($title)
{
	return ('text/html; charset=utf-8', "<!DOCTYPE html><html><head><title>$title</title></head><body><h1>$title</h1></body></html>\n");
}

1;
