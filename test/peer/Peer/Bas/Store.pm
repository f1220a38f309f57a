# Peer::Bas::Store - the objects of the simulated base and the rules of writing them
#
# Objects are hashes of property => value (bytes, numbers, booleans); a property left at its default may be absent. Refusals
# are thrown as [HTTP status, OData code, sentence]. Writes are atomic: an object changes wholly or not at all.
package Peer::Bas::Store;
use v5.36;
no feature 'unicode_strings';
no warnings 'experimental::builtin';
use builtin qw(is_bool);
use MIME::Base64 qw(encode_base64);
use Encode ();
use POSIX qw(strftime);
use Peer::Bas::Schema qw(%TYPE @SET_NAMES $NIL);
use Exporter 'import';
our @EXPORT_OK = qw(fail);

my $GRAM = 9;    # length of the pieces by which substringof is looked up

sub fail ($status, $code, $text) { die [ $status, $code, $text ] }

sub new ($class, $config)
{
	my $self = bless { config => $config }, $class;
	$self->clear;
	return $self;
}

sub clear ($self)
{
	$self->{set} = { map { $_ => { rows => {}, seq => [], index => {}, gram => {} } } grep { !$TYPE{$_}{parent} } @SET_NAMES };
	$self->{records} = {};
	$self->{numbers} = {};
	$self->{serial} = 0;
	$self->{random} = 20261120;
}

sub now ($self)
{
	my $t = time + ($self->{config}{clock_offset_s} // 0);
	return $self->{now_text} if $t == ($self->{now_at} // 0);
	$self->{now_at} = $t;
	return $self->{now_text} = strftime('%Y-%m-%dT%H:%M:%S', localtime $t);
}

# A key as the base would make one: unlike any the client computes, but the same in each run.
sub own_key ($self)
{
	$self->{serial}++;
	return sprintf '%08x-%04x-11ef-8000-%012x', ($self->{serial} * 2654435761) & 0xffffffff, $self->{serial} & 0xffff, $self->{serial};
}

sub get ($self, $set, $key) { return $self->{set}{$set}{rows}{$key} }

# Keys of a set in the order of creation.
sub keys_of ($self, $set)
{
	my $s = $self->{set}{$set};
	if ($s->{gone}) {
		$s->{seq}->@* = grep { exists $s->{rows}{$_} } $s->{seq}->@*;
		$s->{gone} = 0;
	}
	return $s->{seq};
}

# ---------------------------------------------------------------- values

sub _cut ($v, $length)
{
	return $v if !$length || length $v <= $length;
	my $chars = Encode::decode('UTF-8', $v);
	return $v if length $chars <= $length;
	return Encode::encode('UTF-8', substr $chars, 0, $length);
}

# Rounds to $scale places, half away from zero, in decimal; too large values stop at the largest of the precision.
sub round_to ($v, $precision, $scale)
{
	my $limit = 10**($precision - $scale);
	if (abs($v) >= $limit) { return ($v < 0 ? -1 : 1) * ($limit - 10**-$scale) }
	return 0 + $v if $v =~ /\A-?\d+(?:\.(\d+))?\z/ && length($1 // '') <= $scale;
	my $t = sprintf '%.15g', $v;
	$t = sprintf '%.20f', $v if $t =~ /e/;
	my ($sign, $int, $frac) = $t =~ /\A(-?)(\d+)(?:\.(\d+))?\z/;
	$frac = ($frac // '') . '0' x ($scale + 1);
	my $n = $int . substr $frac, 0, $scale;
	$n++ if substr($frac, $scale, 1) >= 5;
	return ($sign ? -1 : 1) * $n / 10**$scale;
}

my $GUID = qr/\A[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\z/;
my $NUMBER = qr/\A-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\z/;

sub _bad ($p) { fail(400, 1, "Ошибка разбора строки: значение свойства $p->{name} не соответствует типу $p->{edm}") }

# kind => maker of a converter for one property: takes a value that is not null, gives what is stored, or undef to leave it as it was.
# Converters run for every property of every write, so they are plain subs made once.
my %CONVERTER = (
	guid => sub ($p) { sub { my $v = $_[0]; _bad($p) if ref $v || $v !~ $GUID; $v =~ tr/A-F// ? lc $v : $v } },
	str => sub ($p) {
		my $length = $p->{length};
		sub {
			my $v = $_[0];
			_bad($p) if ref $v;
			$v = $v ? 'true' : 'false' if is_bool($v);
			!$length || length $v <= $length ? "$v" : _cut("$v", $length);
		};
	},
	fix => sub ($p) {
		my $length = $p->{length};
		sub { _bad($p) if ref $_[0]; my $v = _cut("$_[0]", $length); $v . ' ' x ($length - length Encode::decode('UTF-8', $v)) };
	},
	bool => sub ($p) {
		sub {
			my $v = $_[0];
			return $v if is_bool($v);
			_bad($p) if ref $v || $v !~ /\A(?:true|false)\z/;
			return $v eq 'true';
		};
	},
	date => sub ($p) {
		sub {
			my $v = $_[0];
			_bad($p) if ref $v || $v !~ /\A\d{4}-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?\z/ || $1 < 1 || $1 > 12 || $2 < 1 || $2 > 31 || $3 > 23 || $4 > 59 || $5 > 59;
			return substr $v, 0, 19;
		};
	},
	num => sub ($p) {
		my ($precision, $scale) = $p->@{qw(precision scale)};
		my $whole = $precision - $scale;
		my $fits = $scale ? qr/\A-?\d{1,$whole}(?:\.\d{1,$scale})?\z/ : qr/\A-?\d{1,$whole}\z/;
		sub {
			my $v = $_[0];
			return 0 + $v if $v =~ $fits;
			_bad($p) if ref $v || is_bool($v) || $v !~ $NUMBER;
			return round_to($v, $precision, $scale);
		};
	},
	int => sub ($p) {
		my $limit = 10**$p->{precision};
		sub { my $v = $_[0]; ref $v || is_bool($v) || $v !~ /\A-?\d+(?:\.0+)?\z/ || abs($v) >= $limit ? undef : int $v };
	},
	enum => sub ($p) { sub { my $v = $_[0]; _bad($p) if ref $v || ($v ne '' && !$p->{values}{$v}); $v } },
	type => sub ($p) {
		sub {
			my $v = $_[0];
			fail(400, 4, "Неверное значение свойства $p->{name}") if ref $v || ($v ne '' && $v ne 'StandardODATA.Undefined' && !$p->{types}{$v});
			return $v eq '' ? $p->{default} : $v;
		};
	},
	value => sub ($p) { sub { my $v = $_[0]; _bad($p) if ref $v; is_bool($v) ? ($v ? 'true' : 'false') : "$v" } },
);

my %KEEP = map { $_ => 1 } qw(Ref_Key DataVersion Posted Predefined PredefinedDataName);

# What a value that needs no conversion looks like; the usual case, told by one match.
my %FITS = (
	guid => sub ($p) { qr/\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\z/ },
	date => sub ($p) { qr/\A\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\z/ },
	int => sub ($p) { my $more = $p->{precision} - 1; qr/\A(?:0|[1-9]\d{0,$more})\z/ },
	num => sub ($p) {
		my ($more, $least) = ($p->{precision} - $p->{scale} - 1, $p->{scale} - 1);
		return $p->{scale} ? qr/\A-?(?:0|[1-9]\d{0,$more})(?:\.\d{0,$least}[1-9])?\z/ : qr/\A-?(?:0|[1-9]\d{0,$more})\z/;
	});

# {fits}: property => expression; {convert}: property => converter, of what needs no other property.
for my $type (values %TYPE, @Peer::Bas::Schema::VIRTUAL) {
	for my $p ($type->{order}->@*) {
		$p->{convert} = $CONVERTER{ $p->{kind} }->($p);
		next if $p->{kind} eq 'value' || $KEEP{ $p->{name} };
		$type->{convert}{ $p->{name} } = $p->{convert};
		$type->{fits}{ $p->{name} } = $FITS{ $p->{kind} }->($p) if $FITS{ $p->{kind} };
	}
}

# Makes a decoded body what is to be stored, in place: unknown properties go, values are converted, sections checked. $old is the object
# that is changed, if any. A large part of the time of a write goes here, so values that fit are not even copied.
sub _clean ($self, $type, $body, $ref, $old = undef, $seed = 0)
{
	my ($fits, $converters, $props) = $type->@{qw(fits convert props)};
	my @composite;
	for my $k (keys %$body) {
		my $re = $fits->{$k};
		next if $re && defined $body->{$k} && $body->{$k} =~ $re;
		if (my $convert = $converters->{$k}) {
			my $v = defined $body->{$k} ? $convert->($body->{$k}) : $props->{$k}{default};
			if (defined $v) { $body->{$k} = $v }
			else            { delete $body->{$k} }
			next;
		}
		my $p = $props->{$k};
		if (!$p) { delete $body->{$k} }
		elsif ($p->{kind} eq 'section') { $body->{$k} = $self->_rows($p->{of}, $ref, $body->{$k}) }
		elsif ($p->{kind} eq 'value') {
			push @composite, $p;
			$body->{$k} = defined $body->{$k} ? $p->{convert}->($body->{$k}) : '';
		}
		elsif ($seed) { $body->{$k} = defined $body->{$k} ? $p->{convert}->($body->{$k}) : $p->{default} }
		else          { delete $body->{$k} }
	}
	for my $p (@composite) {
		my $k = $p->{name};
		my $t = $body->{ $p->{type_prop} } // ($old ? $old->{ $p->{type_prop} } : undef) // 'StandardODATA.Undefined';
		if ($t eq 'StandardODATA.Undefined') { $body->{$k} = '' }
		elsif ($t =~ /\AStandardODATA\.Enum_(.+)/) { grep { $_ eq $body->{$k} } ($Peer::Bas::Schema::ENUM{$1} // [])->@* or _bad($p) }
		elsif ($t =~ /\AStandardODATA\./) {
			$body->{$k} =~ $GUID or _bad($p);
			$body->{$k} = lc $body->{$k};
		}
	}
	return $body;
}

sub _rows ($self, $type, $ref, $v)
{
	return [] if !defined $v;
	fail(400, 2, "Неверный формат запроса: $type->{section}") if ref $v ne 'ARRAY';
	my ($n, $shuffled) = (0, 0);
	for my $row (@$v) {
		fail(400, 2, "Неверный формат запроса: $type->{section}") if ref $row ne 'HASH';
		$self->_clean($type, $row, $ref);
		fail(500, -1, 'Внутренняя ошибка сервиса OData') if !$row->{LineNumber};
		$row->{Ref_Key} = $ref;
		$shuffled = 1 if $row->{LineNumber} != ++$n;
	}
	return $v if !$shuffled;
	my @rows = sort { $a->{LineNumber} <=> $b->{LineNumber} } @$v;
	for my $i (0 .. $#rows) {
		fail(400, 4, 'Неверное значение свойства LineNumber') if $rows[$i]{LineNumber} != $i + 1;
	}
	return \@rows;
}

# ---------------------------------------------------------------- writing

sub _bump ($self, $o)
{
	$o->{_version}++;
	my $n = $o->{_version} - 1;
	my $bytes = $self->{config}{data_version_order} eq 'file' ? pack('NN', 0, $n) : pack('NN', $n, 0);
	$o->{DataVersion} = encode_base64($bytes, '');
}

sub _number ($self, $type, $o)
{
	my ($prop, $prefix, $digits) = ('Number', $type->{number_prefix}, 6);
	if ($type->{kind} ne 'document') {
		return if !$type->{code_length};
		($prop, $prefix, $digits) = ('Code', $type->{code_length} >= 9 ? 'НФ-' : '', $type->{code_length} >= 9 ? $type->{code_length} - 3 : $type->{code_length});
	}
	return if ($o->{$prop} // '') ne '';
	$o->{$prop} = sprintf "%s%0${digits}d", $prefix, ++$self->{numbers}{ $type->{name} };
}

# Configuration code that refuses: config refuse => {"create|write|post Set": "sentence"}.
sub _handler ($self, $event, $type)
{
	my $text = $self->{config}{refuse}{"$event $type->{name}"} // return;
	fail(500, -1, $text);
}

sub _unique_name ($self, $type, $o)
{
	return if !$self->{config}{unique_names}{ $type->{name} };
	my $rows = $self->{set}{ $type->{name} }{rows};
	for my $other (values %$rows) {
		next if $other->{Ref_Key} eq $o->{Ref_Key} || ($other->{Description} // '') ne ($o->{Description} // '');
		fail(500, -1, 'Рабочее наименование не уникально');
	}
}

sub _before_write ($self, $type, $o, $load_mode)
{
	return if $load_mode;
	$o->{'ДатаИзменения'} = $self->now if $type->{props}{'ДатаИзменения'};
	$self->_handler('write', $type);
	$self->_unique_name($type, $o);
}

my %FILL = (
	'Document_ЗаказПокупателя' => { 'ВидОперации' => 'ЗаказНаПродажу', 'ПоложениеДатыОтгрузки' => 'ВШапке' },
	'Catalog_Контрагенты' => { 'ВидКонтрагента' => 'ЮридическоеЛицо' },
	'Catalog_Номенклатура' => { 'ТипНоменклатуры' => 'Запас' },
	'Document_ЗаказКлиента' => { 'Статус' => 'НеСогласован' },
);

sub create ($self, $type, $body, $load_mode = 0)
{
	my $set = $self->{set}{ $type->{name} };
	$self->_handler('create', $type);
	return $self->_create_record($type, $body, $load_mode) if $type->{kind} eq 'register';
	my $key = $body->{Ref_Key};
	if (defined $key) {
		fail(400, 1, 'Ошибка разбора строки: значение свойства Ref_Key не соответствует типу Edm.Guid') if ref $key || $key !~ $GUID;
		$key = $self->{config}{keeps_ref_key} && $key ne $NIL ? lc $key : undef;
	}
	$key //= $self->own_key;
	fail(400, 15, 'Сущность с таким ключом уже существует') if $set->{rows}{$key};
	my $post = $type->{kind} eq 'document' && $self->{config}{posted_on_create} && _truth($body->{Posted});
	my $o = $self->_clean($type, $body, $key);
	$o->{Ref_Key} = $key;
	if (!$load_mode) {
		my $fill = $FILL{ $type->{name} } // {};
		for my $k (keys %$fill) {
			my $p = $type->{props}{$k} // next;
			$o->{$k} //= $fill->{$k} if !$p->{values} || $p->{values}{ $fill->{$k} };
		}
		$o->{'ДатаСоздания'} //= $self->now if $type->{props}{'ДатаСоздания'};
	}
	if ($type->{kind} eq 'document' && ($o->{Date} // '0001') =~ /\A0001/) { $o->{Date} = $self->now }
	$self->_before_write($type, $o, $load_mode);
	$self->_may_post($type, $o) if $post;
	$self->_number($type, $o);
	$o->{Posted} = !!1 if $post;
	$self->_bump($o);
	$self->_keep($type, $o);
	return $o;
}

# The name a record is kept by: the values of its dimensions. The store calls it Ref_Key, as it does of other objects; nobody else sees it.
sub record_key ($self, $type, $o) { return lc join '|', map { $o->{ $_->{name} } // $_->{default} } $type->{key}->@* }

sub _create_record ($self, $type, $body, $load_mode)
{
	for my $p ($type->{key}->@*) { fail(400, 5, "Отсутствует обязательное свойство $p->{name}") if ($body->{ $p->{name} } // '') eq '' }
	my $o = $self->_clean($type, $body, undef);
	$o->{Ref_Key} = $self->record_key($type, $o);
	fail(400, 15, 'Запись с такими значениями уже существует') if $self->get($type->{name}, $o->{Ref_Key});
	$self->_before_write($type, $o, $load_mode);
	$self->_keep($type, $o);
	return $o;
}

# Rows of the seed and of control /load: keys and service properties as given, no handlers.
sub load ($self, $type, $body)
{
	my $key = $type->{kind} eq 'register' ? $self->record_key($type, $body) : lc($body->{Ref_Key} // $self->own_key);
	my $old = $self->{set}{ $type->{name} }{rows}{$key};
	my %o = (($old // {})->%*, $self->_clean($type, $body, $key, $old, 1)->%*, Ref_Key => $key);
	$o{Date} //= $self->now if $type->{kind} eq 'document';
	$self->_number($type, \%o);
	$self->_bump(\%o);
	$o{_seeded} = 1;
	$self->_keep($type, \%o);
	return \%o;
}

sub _keep ($self, $type, $o)
{
	my $set = $self->{set}{ $type->{name} };
	my $key = $o->{Ref_Key};
	if (my $old = $set->{rows}{$key}) { %$old = %$o }
	else {
		$self->keys_of($type->{name});    # forgets what was removed, perhaps under this key
		$o->{_n} = ++$self->{serial};
		$set->{rows}{$key} = $o;
		push $set->{seq}->@*, $key;
	}
	$self->_reindex($type, $o);
}

sub _truth ($v) { return defined $v && !ref $v && (is_bool($v) ? $v : $v eq 'true') }

sub update ($self, $type, $o, $body, $load_mode = 0)
{
	my $posted = $type->{kind} eq 'document' && exists $body->{Posted} ? $type->{props}{Posted}{convert}->($body->{Posted} // !!0) : undef;
	delete @$body{ map { $_->{name} } ($type->{key} // [])->@* };    # the dimensions are the address
	my %n = (%$o, $self->_clean($type, $body, $o->{Ref_Key}, $o)->%*);
	if ($type->{kind} eq 'document') {
		if ($n{DeletionMark} && ($posted // $n{Posted})) {
			fail(500, -1, 'Проведенный документ не может быть помечен на удаление!') if !$o->{DeletionMark};
			$self->_may_post($type, \%n);
		}
		if (defined $posted && $posted) { $self->_may_post($type, \%n) }
		$n{Posted} = $posted if defined $posted;
	}
	$self->_before_write($type, \%n, $load_mode);
	$self->_bump(\%n);
	%$o = %n;
	$self->_reindex($type, $o);
	return $o;
}

sub _may_post ($self, $type, $o)
{
	$self->_handler('post', $type);
	fail(500, -1, 'Помеченный на удаление документ не может быть проведен!') if $o->{DeletionMark};
	my $closed = $self->{config}{closed_until} // '';
	fail(500, -1, "Дата $o->{Date} находится в закрытом периоде: изменение запрещено по $closed") if $closed ne '' && substr($o->{Date}, 0, length $closed) le $closed;
}

sub post ($self, $type, $o, $posted)
{
	$self->_may_post($type, $o) if $posted;
	$o->{Posted} = $posted ? !!1 : !!0;
	$self->_bump($o);
}

sub remove ($self, $type, $o)
{
	my $set = $self->{set}{ $type->{name} };
	delete $set->{rows}{ $o->{Ref_Key} };
	$set->{gone} = 1;
}

# ---------------------------------------------------------------- look-ups for filters
# An index answers with keys of objects that may satisfy a term (never too few, perhaps too many). It is made at its first use
# and grows with each write. $type is a set or a section; keys are always those of the whole objects.

sub fold ($self, $v)
{
	return $v if !$self->{config}{ignore_case};
	return Encode::encode('UTF-8', lc Encode::decode('UTF-8', $v));
}

sub lookup ($self, $type, $prop, $value)
{
	my $set = $self->{set}{ ($type->{parent} // $type)->{name} };
	my $id = "$type->{name}/$prop";
	my $index = $set->{index}{$id} // $self->_index($type, $prop, $set, $id);
	return $index->{map}{ $self->fold($value) } // [];
}

sub lookup_piece ($self, $type, $prop, $needle)
{
	return undef if length $needle < $GRAM;
	my $set = $self->{set}{ ($type->{parent} // $type)->{name} };
	my $id = "$type->{name}/$prop/pieces";
	my $index = $set->{index}{$id} // $self->_index($type, $prop, $set, $id, 1);
	return $index->{map}{ substr $self->fold($needle), 0, $GRAM } // [];
}

sub drop_indexes ($self) { $_->{index} = {} for values $self->{set}->%* }

sub _index ($self, $type, $prop, $set, $id, $pieces = 0)
{
	my $index = $set->{index}{$id} = { type => $type, prop => $prop, pieces => $pieces, map => {}, default => $type->{props}{$prop}{default} };
	my $whole = $type->{parent} // $type;
	$self->_enter($index, $set->{rows}{$_}) for $self->keys_of($whole->{name})->@*;
	return $index;
}

sub _reindex ($self, $type, $o)
{
	my $indexes = $self->{set}{ $type->{name} }{index};
	$self->_enter($_, $o) for values %$indexes;
}

sub _enter ($self, $index, $o)
{
	my $map = $index->{map};
	my $key = $o->{Ref_Key};
	my $section = $index->{type}{section};
	for my $row (defined $section ? ($o->{$section} // [])->@* : $o) {
		my $v = $self->fold($row->{ $index->{prop} } // $index->{default});
		if (!$index->{pieces}) {
			push $map->{$v}->@*, $key;
			next;
		}
		for my $i (0 .. length($v) - $GRAM) { push $map->{ substr $v, $i, $GRAM }->@*, $key }
	}
}

1;
