# Orders with documents that follow them: what the tests of sales, closings and returns have in common. start_followups() starts a server and a base,
# and connects them as base "main" with account "shop".

package SalesDrive::Followups;

use strict;
use warnings FATAL => 'all';
use utf8;
use POSIX qw(strftime);
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql error_of uri);
use Exporter 'import';
our @EXPORT = qw($node $bas $SET $SALE $RETURN $yes $no $NIL %seen %version %order %account $clock sql error_of run_engine uri order follow state_of row key set held in_bas user all made returned events rule no_rules requests body receive deliver connect_base start_followups);

our ($node, $bas);
our ($SET, $SALE, $RETURN) = qw(Document_ЗаказПокупателя Document_РасходнаяНакладная Document_ПриходнаяНакладная);
our ($yes, $no) = (JSON::PP::true(), JSON::PP::false());
our $NIL = '00000000-0000-0000-0000-000000000000';

sub run_engine
{
	SalesDrive::Test::run_engine();
	my $bug = sql("SELECT string_agg(detail, '|') FROM salesdrive.parked WHERE reason = 'bug'");
	die $bug if $bug ne '';
	return;
}
sub order { my ($id, $column) = @_; return sql("SELECT $column FROM salesdrive.order_status WHERE order_id = $id") }
sub follow { my ($id, $action, $column) = @_; return sql("SELECT $column FROM salesdrive.followup_status WHERE order_id = $id AND action = '$action'") }
sub state_of { my ($id, $action) = @_; return follow($id, $action, "concat_ws(' ', state, reason)") }
sub row { my ($id, $action, $column) = @_; return sql("SELECT $column FROM salesdrive.followup WHERE order_id = $id AND action = '$action'") }
sub key { my ($id, $action) = @_; return $action eq 'order' ? sql("SELECT bas_ref FROM salesdrive.order_sync WHERE order_id = $id") : row($id, $action, 'bas_ref') }
sub set { my ($action) = @_; return { order => $SET, sale => $SALE, return => $RETURN }->{$action} }
sub held { my ($id, $action, $from) = @_; return ($from // $bas)->control(GET => '/objects?set=' . uri(set($action)) . '&key=' . key($id, $action)) }
sub in_bas { my ($id, $action) = @_; my $o = held($id, $action); return join ' ', ($o->{Posted} ? 'posted' : 'not posted'), ($o->{DeletionMark} ? 'marked' : 'not marked') }
sub user { my ($id, $action, %p) = @_; return $bas->control(POST => '/edit', { set => set($action), key => key($id, $action), %p }) }
sub all { my ($action) = @_; return $bas->control(GET => '/objects?set=' . uri(set($action)))->{value}->@* }
sub made { my ($id) = @_; my $ref = key($id, 'order'); return scalar grep { $_->{'Заказ'} eq $ref } all('sale') }    # sales of the order
sub returned { my ($id) = @_; my $ref = key($id, 'sale'); return scalar grep { $_->{'ДокументОснование'} eq $ref } all('return') }
sub events { my ($id) = @_; return sql("SELECT string_agg(event, ' ' ORDER BY id) FROM salesdrive.order_event WHERE order_id = $id AND event <> 'received'") }
sub rule { my ($side, $status, $action, %o) = @_; return sql("INSERT INTO salesdrive.followup_rule (account, side, status, action, posting, foreign_sale) VALUES ('" . ($o{account} // 'shop') . "', '$side', '$status', '$action', " . ($o{posting} ? 'true' : 'false') . ', ' . ($o{foreign} ? 'true' : 'false') . ')') }
sub no_rules { return sql('DELETE FROM salesdrive.followup_rule') }

# What BAS was asked for an order since this was called last.
our %seen;
sub requests
{
	my ($id) = @_;
	my $last = $seen{$id} // 0;
	$seen{$id} = sql("SELECT coalesce(max(id), 0) FROM salesdrive.exchange_log WHERE direction = 'out' AND order_id = $id");
	return sql("SELECT string_agg(purpose, ', ' ORDER BY id) FROM salesdrive.exchange_log WHERE direction = 'out' AND order_id = $id AND id > $last");
}

our (%version, %order, %account);
our $clock = my $began = time;
sub tick { my $now = time; $clock = $now if $clock < $now; return ++$clock }    # a second for each version, and never behind the server
sub body
{
	my ($id, %o) = @_;
	my $version = ++$version{$id};
	my $at = delete $o{at};
	$order{$id} = { comment => 'зразок', statusId => 1, products => [ { sku => 'SKU-0001', amount => 2, price => 60 } ], ($order{$id} // {})->%*, %o };
	my $sum = 0;
	$sum += $_->{amount} * $_->{price} - ($_->{discount} // 0) for $order{$id}{products}->@*;
	local $ENV{TZ} = 'Europe/Kyiv';
	POSIX::tzset();
	my $body = json_encode({ data => { id => $id, version => $version, orderTime => strftime('%Y-%m-%d 08:00:00', localtime $began), updateAt => strftime('%Y-%m-%d %H:%M:%S', localtime($at // tick())), paymentAmount => $sum,
		contacts => [ { fName => 'Зразок', phone => '0671000001' } ], $order{$id}->%* }, meta => { fields => { statusId => { options => [ map { { value => $_->[0], text => $_->[1] } } [ 1, 'Новий' ], [ 3, 'Відправлено' ], [ 5, 'Продаж' ], [ 6, 'Відмова' ], [ 7, 'Повернення' ] ] } } } });
	utf8::decode($body);
	$body =~ s/'/''/g;
	return $body;
}
sub receive { my ($id, %o) = @_; my $body = body($id, %o); return sql("SELECT salesdrive.accept_webhook('" . ($account{$id} // 'shop') . "', '$body')") }
sub deliver { my ($id, %o) = @_; receive($id, %o); return run_engine() }

sub connect_base
{
	my ($name, $profile, $peer, $account) = @_;
	return sql("SELECT salesdrive.add_infobase('$name', '$profile', '" . $peer->url('/base') . "', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => '$account', url => 'http://127.0.0.1:9', api_key => 'demo-key', infobase => '$name', webhook_token => 'a-token-of-24-characters', identity => '$account');
		UPDATE salesdrive.infobase SET retry_base = '1 ms', retry_cap = '1 ms', unsure_margin = '0', total_timeout = '1 s', circuit_after = 1000 WHERE name = '$name'");
}
sub start_followups
{
	my ($name) = @_;
	$node = new_node($name, preload => 0);
	$bas = start_peer('bas');
	return connect_base('main', 'unf', $bas, 'shop');
}

1;
