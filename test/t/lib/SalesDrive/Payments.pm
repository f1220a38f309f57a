# Payments: what their tests, in either direction, have in common. start_payments() starts a server, a base and SalesDrive, all at the same moment of the
# test clock, and connects them as base "main" with account "shop".

package SalesDrive::Payments;

use strict;
use warnings FATAL => 'all';
use utf8;
use SalesDrive::Test qw(:DEFAULT sql run_engine uri);
use Exporter 'import';
our @EXPORT = qw($node $bas $crm %DOCUMENT $MAIN $BANK $DESK $IN $CASH $OUT %ORDER now_there later pull fetch there posts documents key order_ref deliver enter change payment paid start_payments);

our ($node, $bas, $crm);
our ($MAIN, $BANK, $DESK) = ('UA463052990000026008016227980', '8c1f4a10-00f5-11ee-8000-000000000001', '8c1f4a10-00f6-11ee-8000-000000000001');
our %DOCUMENT = (bank => 'Document_ПоступлениеНаСчет', cash => 'Document_ПоступлениеВКассу', refund_bank => 'Document_РасходСоСчета', refund_cash => 'Document_РасходИзКассы');
our ($IN, $CASH, $OUT) = @DOCUMENT{qw(bank cash refund_bank)};
our %ORDER = (formId => 1, organizationId => 3);    # what orders of a test have beside number and sum
my $clock = 0;

sub now_there { return sql("SELECT to_char(salesdrive.clock() AT TIME ZONE 'Europe/Kyiv', 'YYYY-MM-DD HH24:MI:SS')") }

sub later
{
	my ($seconds) = @_;
	$clock += $seconds;
	sql("ALTER DATABASE postgres SET salesdrive.clock_offset = '$clock s'");
	return $crm->control(POST => '/config', { skew => $clock, clock => now_there() });
}
sub pull { later(5); sql("SELECT salesdrive.pull_payments('main')"); return run_engine() }
sub fetch { later(70); sql("SELECT salesdrive.fetch_payments('shop')"); return run_engine() }
sub there { return @{ $crm->control(GET => '/payments')->{payments} } }
sub posts { return $crm->control(GET => '/requests')->{counts}{'POST /api/payment/'} // 0 }
sub documents { my ($set, $peer) = @_; return @{ ($peer // $bas)->control(GET => '/objects?set=' . uri($DOCUMENT{$set} // $set))->{value} } }
sub key { return sprintf '8c1f4a10-0bbb-11ee-8000-%012d', $_[0] }
sub order_ref { my ($id) = @_; return sql("SELECT bas_ref FROM salesdrive.order_status WHERE account = 'shop' AND order_id = $id") }

sub deliver
{
	my ($id, $sum, %o) = @_;
	my $phone = delete $o{phone} // '0671000001';
	my $sku = delete $o{sku} // 'SKU-0001';
	my $body = json_encode({ data => { id => $id, version => 1, orderTime => '2026-11-20 10:00:00', updateAt => '2026-11-20 10:00:00', paymentAmount => $sum, %ORDER,
		contacts => [ { fName => 'Зразок', phone => $phone } ], products => [ { sku => $sku, amount => 1, price => $sum } ], %o } });
	utf8::decode($body);
	sql("SELECT salesdrive.accept_webhook('shop', '$body')");
	return run_engine();
}

# What an accountant enters: number, {order => share}.
sub enter
{
	my ($n, $orders, %o) = @_;
	my $set = delete $o{set} // $IN;
	my $sum = delete $o{sum};
	my $line = 0;
	my @rows = map { { LineNumber => ++$line, 'Заказ' => order_ref($_), 'Заказ_Type' => 'StandardODATA.Document_ЗаказПокупателя', 'СуммаПлатежа' => $orders->{$_}, 'СуммаРасчетов' => $orders->{$_} } } sort keys %$orders;
	$sum //= eval { my $s = 0; $s += $_->{'СуммаПлатежа'} for @rows; $s };
	return $bas->control(POST => '/load', { $set => [ { Ref_Key => key($n), Number => sprintf('НФНФ-%06d', $n), Date => '2026-12-01T11:00:00', Posted => JSON::PP::true(), 'Организация_Key' => '8c1f4a10-00aa-11ee-8000-000000000001', 'Контрагент_Key' => '8c1f4a10-00bb-11ee-8000-000000000001',
		($set eq $CASH ? 'Касса_Key' : 'БанковскийСчет_Key') => $set eq $CASH ? $DESK : $BANK, 'СуммаДокумента' => $sum, 'РасшифровкаПлатежа' => \@rows, %o } ] });
}
sub change { my ($n, %p) = @_; return $bas->control(POST => '/edit', { set => $IN, key => key($n), %p }) }

# A payment as SalesDrive lists it: number, sum, {order => share} or the one order, and whatever else.
sub payment
{
	my ($id, $sum, $orders, %o) = @_;
	my $number = exists $o{number} ? delete $o{number} : $MAIN;
	$orders = { $orders => $sum } unless ref $orders;
	return { id => $id, sum => $sum, date => '2026-12-01 11:00:00', defined $number ? (organizationAccount => { id => 42, title => 'Privat', accountNumber => $number }, organization => { id => $ORDER{organizationId}, title => 'ТОВ' }) : (),
		paymentBreakdown => [ map { { sum => $orders->{$_}, order => { id => 0 + $_, formId => $ORDER{formId} } } } sort keys %$orders ], %o };
}
sub paid { my (@payments) = @_; $crm->control(POST => '/payments', { payments => \@payments }); return fetch() }

# start_payments(name, moment, arguments of the simulator of SalesDrive ...)
sub start_payments
{
	my ($name, $moment, @crm) = @_;
	$node = new_node($name, preload => 0);
	$bas = start_peer('bas');
	$crm = start_peer('salesdrive', '--account-key', 'money-key', @crm);
	later(sql("SELECT round(extract(epoch FROM timestamptz '$moment' - clock_timestamp()))"));
	return sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => 'shop', url => '" . $crm->url . "', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters', identity => 'shop');
		UPDATE salesdrive.infobase SET retry_base = '1 ms', unsure_margin = '0', total_timeout = '2 s', circuit_after = 1000");
}

1;
