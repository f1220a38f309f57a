package SalesDrive::Goods;

# What the tests of pushes share: an account with goods of a base, put into the tables of its readings as if they had been read just now.
#
#   my $shop = SalesDrive::Goods->new($node, crm => $crm, bas => $bas);
#   $shop->good(7, sku => 'CUP', price => 120, stock => 5);    $shop->key(7): its Ref_Key
#   $shop->push('stock');                                      asked for, read, run
#   $shop->card('CUP');                                        as SalesDrive holds it
#
# The base is paused: nothing is read of it.

use strict;
use warnings FATAL => 'all';
use utf8;
use SalesDrive::Test;

my %CALL = (stock => 'push_stock', price => 'push_prices', card => 'push_products');

sub new
{
	my ($class, $node, %o) = @_;
	my $self = bless { node => $node, crm => $o{crm}, clock => 0 }, $class;
	$self->sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $o{bas}->url('/base') . "', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => 'shop', url => '" . $o{crm}->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'shop');
		SELECT salesdrive.pause_infobase('main', 'only SalesDrive here');
		INSERT INTO salesdrive.dictionary_load SELECT 'main', d, salesdrive.clock() FROM unnest(ARRAY['warehouse', 'price_type', 'currency']) d;
		INSERT INTO salesdrive.account_api (account, retry_base, retry_cap, circuit_after, total_timeout) VALUES ('shop', '1 ms', '1 ms', 1000, '2 s');
		INSERT INTO salesdrive.dictionary_value (scope, side, dictionary, key, name, code) VALUES
			('main', 'bas', 'warehouse', '" . $self->key(9001) . "', 'Основний', 'W1'), ('main', 'bas', 'warehouse', '" . $self->key(9002) . "', 'Магазин', 'W2'), ('main', 'bas', 'warehouse', '" . $self->key(9003) . "', 'Брак', 'W3'),
			('main', 'bas', 'price_type', '" . $self->key(8001) . "', 'Роздрібна', 'P1'), ('main', 'bas', 'price_type', '" . $self->key(8002) . "', 'Оптова', 'P2'), ('main', 'bas', 'price_type', '" . $self->key(8003) . "', 'Акційна', 'P3'),
			('main', 'bas', 'currency', '" . $self->key(7001) . "', 'грн', '980'), ('main', 'bas', 'currency', '" . $self->key(7002) . "', 'долар', '840'), ('main', 'bas', 'currency', '" . $self->key(7003) . "', 'крона', '578')");
	return $self;
}

sub sql { my ($self, $query) = @_; utf8::encode($query) if utf8::is_utf8($query); my $out = $self->{node}->safe_psql('postgres', $query); utf8::decode($out); return $out }
sub error_of { my ($self, $query) = @_; my ($rc, $out, $err) = $self->{node}->psql('postgres', $query); utf8::decode($err); return $err }
sub key { my ($self, $n) = @_; return sprintf '%08d-0000-4000-8000-000000000000', $n }
sub later { my ($self, $seconds) = @_; $self->{clock} += $seconds; return $self->sql("ALTER DATABASE postgres SET salesdrive.clock_offset = '$self->{clock} s'") }
sub run_engine
{
	my ($self) = @_;
	$self->sql("SET statement_timeout = '600 s'; CALL salesdrive.run()");
	my $bug = $self->sql("SELECT string_agg(detail, ' ') FROM salesdrive.task WHERE reason = 'bug'");
	die "$bug\n" if $bug ne '';
	return;
}

# Options: sku, name, code, folder (n), is_folder, deleted, is_stock, data (JSON); stock (in warehouse 9001), price (of type 8001).
sub good
{
	my ($self, $n, %o) = @_;
	my $q = sub { defined $_[0] ? "'" . ($_[0] =~ s/'/''/gr) . "'" : 'NULL' };
	$self->sql("INSERT INTO salesdrive.bas_good (infobase, ref_key, sku, code, name, folder, is_folder, deleted, is_stock, data, read_at) VALUES ('main', '" . $self->key($n) . "', " . $q->($o{sku}) . ', '
		. $q->($o{code} // sprintf 'C%05d', $n) . ', ' . $q->($o{name} // "Товар $n") . ", '" . (defined $o{folder} ? $self->key($o{folder}) : '00000000-0000-0000-0000-000000000000') . "', " . ($o{is_folder} ? 'true' : 'false') . ', '
		. ($o{deleted} ? 'true' : 'false') . ', ' . ($o{is_stock} // 'true') . ", " . $q->($o{data} // '{}') . ", salesdrive.clock()) ON CONFLICT (infobase, ref_key) DO UPDATE SET sku = excluded.sku, code = excluded.code, name = excluded.name, folder = excluded.folder, deleted = excluded.deleted, data = excluded.data");
	$self->stock($n, $o{stock}) if defined $o{stock};
	$self->price($n, $o{price}) if defined $o{price};
	return;
}

# Quantity in a warehouse (9001); undef: the register does not name it. Options: warehouse, reserved, characteristic.
sub stock
{
	my ($self, $n, $quantity, %o) = @_;
	my $where = "infobase = 'main' AND product = '" . $self->key($n) . "' AND warehouse = '" . $self->key($o{warehouse} // 9001) . "'";
	$self->sql("DELETE FROM salesdrive.bas_stock WHERE $where" . ($o{characteristic} ? " AND characteristic = '" . $self->key($o{characteristic}) . "'" : ''));
	$self->sql("INSERT INTO salesdrive.bas_stock (infobase, product, characteristic, warehouse, quantity, reserved, read_at) VALUES ('main', '" . $self->key($n) . "', '" . ($o{characteristic} ? $self->key($o{characteristic}) : '00000000-0000-0000-0000-000000000000')
		. "', '" . $self->key($o{warehouse} // 9001) . "', $quantity, " . ($o{reserved} // 0) . ', salesdrive.clock())') if defined $quantity;
	return;
}

sub price
{
	my ($self, $n, $price, %o) = @_;
	my ($type, $currency) = ($self->key($o{type} // 8001), $o{currency} ? "'" . $self->key($o{currency}) . "'" : 'NULL');
	return $self->sql("DELETE FROM salesdrive.bas_price WHERE product = '" . $self->key($n) . "' AND price_type = '$type'" . (defined $price ? "; INSERT INTO salesdrive.bas_price (infobase, price_type, product, price, currency, read_at) VALUES ('main', '$type', '" . $self->key($n) . "', $price, $currency, salesdrive.clock())" : ''));
}

# One turn of the engine that plans, and no more: only where no request can come of it.
sub turn { my ($self) = @_; return $self->sql('SELECT count(*) FROM salesdrive.claim(10)') }

# What some goods are to hold does not depend on which others are looked at with them.
sub slices_differ
{
	my ($self) = @_;
	return $self->sql("SET jit = off; SELECT string_agg(concat_ws(' ', d.what, d.product_id, d.sku, d.problem, d.wanted), '; ') FROM (
		(SELECT k AS what, w.* FROM unnest(ARRAY['stock', 'price', 'card']) k, salesdrive.wanted_goods('shop', k) w EXCEPT SELECT k, w.* FROM unnest(ARRAY['stock', 'price', 'card']) k, salesdrive.bas_good g, salesdrive.wanted_goods('shop', k, ARRAY[g.ref_key]) w WHERE g.infobase = 'main')
		UNION ALL (SELECT k, w.* FROM unnest(ARRAY['stock', 'price', 'card']) k, salesdrive.bas_good g, salesdrive.wanted_goods('shop', k, ARRAY[g.ref_key]) w WHERE g.infobase = 'main' EXCEPT SELECT k AS what, w.* FROM unnest(ARRAY['stock', 'price', 'card']) k, salesdrive.wanted_goods('shop', k) w)) d");
}

# All there is to read counts as read now.
sub read_all
{
	my ($self) = @_;
	return $self->sql("INSERT INTO salesdrive.goods_snapshot (infobase, what, part, asked_at, complete_at) SELECT 'main', w, p, n.at, n.at FROM (SELECT salesdrive.clock() AS at) n, (VALUES ('catalog', ''), ('characteristics', ''), ('kits', ''), ('stock', ''), ('cost', ''),
		('prices', '" . $self->key(8001) . "'), ('prices', '" . $self->key(8002) . "'), ('prices', '" . $self->key(8003) . "')) v (w, p) ON CONFLICT (infobase, what, part) DO UPDATE SET asked_at = excluded.asked_at, complete_at = excluded.complete_at");
}

sub push
{
	my ($self, $what) = @_;
	my $task = $self->sql("SELECT salesdrive.$CALL{$what}('shop')");
	$self->read_all;
	$self->run_engine;
	return $task;
}

sub cards { my ($self) = @_; return $self->{crm}->control(GET => '/products')->{products} }
sub card { my ($self, $id) = @_; return $self->cards->{$id} }
sub ignored { my ($self) = @_; return join ' ', @{ $self->{crm}->control(GET => '/products')->{ignored} } }
sub requests { my ($self, $path) = @_; return $self->{crm}->control(GET => '/requests')->{counts}{ 'POST /' . ($path // 'product') . '-handler/' } // 0 }
sub run { my ($self, $what, $columns) = @_; return $self->sql("SELECT concat_ws(' ', " . ($columns // 'state, changed, sent, failed') . ") FROM salesdrive.push_run WHERE what = '$what' ORDER BY id DESC LIMIT 1") }
sub sync { my ($self, $what, $id, $columns) = @_; return $self->sql("SELECT concat_ws(' ', " . ($columns // 'state, detail') . ") FROM salesdrive.product_sync WHERE what = '$what' AND product_id = '$id'") }
sub task { my ($self, $what, $columns) = @_; return $self->sql("SELECT concat_ws(' ', " . ($columns // 'state, reason') . ") FROM salesdrive.task WHERE kind = 'push' AND key = '$what'") }
sub unsent { my ($self, $columns) = @_; return $self->sql("SELECT string_agg(concat_ws(' ', " . ($columns // 'what, coalesce(sku, name), reason') . "), ', ' ORDER BY what, reason, sku, name) FROM salesdrive.unsent_good") }
sub fault { my ($self, %rule) = @_; return $self->{crm}->control(POST => '/faults', { path => 'POST /product-handler/', %rule }) }
sub config { my ($self, %o) = @_; return $self->{crm}->control(POST => '/config', \%o) }

1;
