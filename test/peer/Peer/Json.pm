# Peer::Json - compact JSON codec of the simulators
#
# Works on bytes (UTF-8 in, UTF-8 out) and keeps three things apart that tests care about: a number is a Perl number, a
# string is a Perl string, true and false are Perl booleans (builtin::is_bool). Object keys are written in sorted order, so
# that equal data give equal bytes. raw() wraps text that is to be written as it stands.
package Peer::Json;
use v5.36;
no feature 'unicode_strings';
no warnings qw(experimental::builtin recursion);
use builtin qw(created_as_number is_bool true false);
use Exporter 'import';
our @EXPORT_OK = qw(encode decode quote raw);

my %ESCAPE = ("\"" => '\\"', "\\" => '\\\\', "\n" => '\\n', "\r" => '\\r', "\t" => '\\t', "\b" => '\\b', "\f" => '\\f');
$ESCAPE{ chr $_ } //= sprintf '\\u%04x', $_ for 0 .. 31;
my %UNESCAPE = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t", '"' => '"', '\\' => '\\', '/' => '/');
my %LITERAL = (true => true, false => false, null => undef);

sub raw ($text) { return bless \$text, 'Peer::Json::Raw' }

# A string as a JSON literal; bytes outside ASCII pass as they are.
sub quote ($s)
{
	$s =~ s/(["\\\x00-\x1f])/$ESCAPE{$1}/g;
	return "\"$s\"";
}

sub encode ($v)
{
	return 'null' if !defined $v;
	my $ref = ref $v;
	if ($ref eq 'HASH') { return '{' . join(',', map { quote($_) . ':' . encode($v->{$_}) } sort keys %$v) . '}' }
	if ($ref eq 'ARRAY') { return '[' . join(',', map { encode($_) } @$v) . ']' }
	if ($ref eq 'Peer::Json::Raw') { return $$v }
	return $v ? 'true' : 'false' if is_bool($v);
	return $v == $v && abs($v) < 9e307 ? "$v" : 'null' if created_as_number($v);
	return quote($v);
}

our $J;    # text being parsed; pos($J) is the parser's place

# Returns (value, undef) or (undef, sentence).
sub decode ($text)
{
	return (undef, 'no text') if !defined $text;
	local $J = $text;
	pos($J) = 0;
	my $value;
	my $ok = eval {
		$value = _value();
		$J =~ /\G[ \t\r\n]*\z/gc or die "text after the value\n";
		1;
	};
	return ($value, undef) if $ok;
	my $why = $@ =~ s/\n\z//r;
	return (undef, "$why at byte " . (pos($J) // 0));
}

sub _value
{
	if ($J =~ /\G[ \t\r\n]*(?:"([^"\\\x00-\x1f]*)"|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null)|([\[\{]))/gc) {
		return $1 if defined $1;
		return 0 + $2 if defined $2;
		return $LITERAL{$3} if defined $3;
		return $4 eq '{' ? _object() : _array();
	}
	return _unescape($1) if $J =~ /\G[ \t\r\n]*"([^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*)"/gc;
	die "a value was expected\n";
}

sub _object
{
	my %h;
	return \%h if $J =~ /\G[ \t\r\n]*\}/gc;
	while (1) {
		my ($key, $end);
		if ($J =~ /\G[ \t\r\n]*"([^"\\\x00-\x1f]*)"[ \t\r\n]*:[ \t\r\n]*(?:(?:"([^"\\\x00-\x1f]*)"|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null))[ \t\r\n]*([,\}]))?/gc) {
			if (defined $5) {
				$h{$1} = defined $2 ? $2 : defined $3 ? 0 + $3 : $LITERAL{$4};
				return \%h if $5 eq '}';
				next;
			}
			$key = $1;
		}
		elsif ($J =~ /\G[ \t\r\n]*"([^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*)"[ \t\r\n]*:/gc) { $key = _unescape($1) }
		else { die "a key was expected\n" }
		$h{$key} = _value();
		$J =~ /\G[ \t\r\n]*([,\}])/gc or die "a comma or a closing brace was expected\n";
		return \%h if $1 eq '}';
	}
}

sub _array
{
	my @a;
	return \@a if $J =~ /\G[ \t\r\n]*\]/gc;
	while (1) {
		push @a, scalar _value();
		$J =~ /\G[ \t\r\n]*([,\]])/gc or die "a comma or a closing bracket was expected\n";
		return \@a if $1 eq ']';
	}
}

sub _unescape ($s)
{
	return $s if index($s, '\\') < 0;
	my $bad;
	$s =~ s{\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))}
	{ defined $1 ? _utf8(0x10000 + ((hex($1) & 0x3ff) << 10) + (hex($2) & 0x3ff))
	  : defined $3 ? _utf8(hex $3)
	  : $UNESCAPE{$4} // do { $bad = 1; '' } }gesx;
	die "an unknown escape\n" if $bad;
	return $s;
}

sub _utf8 ($code)
{
	my $c = chr $code;
	utf8::encode($c);
	return $c;
}

1;
