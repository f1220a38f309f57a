# Invariants of the user: an order that breaks one is parked with the rule and its values; a rule that fails harms one order, one that is no
# condition is refused; a superuser evaluates none.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql);

my $node = new_node('rules', preload => 0);
my $bas = start_peer('bas');
my $url = $bas->url('/base');

sub failure { my ($query) = @_; utf8::encode($query) if utf8::is_utf8($query); my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query"); utf8::decode($err); return $err }
sub run_engine { return sql('SET ROLE engine; CALL salesdrive.run()') }
sub status { my ($id, $column, $account) = @_; $account //= 'shop'; return sql("SELECT $column FROM salesdrive.order_status WHERE account = '$account' AND order_id = $id") }
sub deliver
{
	my ($id, %o) = @_;
	my $account = delete $o{account} // 'shop';
	my $price = delete $o{price} // 120;
	my $body = json_encode({ data => { id => $id, version => 1, orderTime => '2026-11-20 10:00:00', paymentAmount => $price, contacts => [ { fName => 'Зразок', phone => '0671000001' } ],
		products => [ { sku => 'SKU-0001', amount => 1, price => $price } ], %o } });
	utf8::decode($body);
	$body =~ s/'/''/g;
	return sql("SELECT salesdrive.accept_webhook('$account', '$body')");
}

sql("SELECT salesdrive.add_infobase('main', 'unf', '$url', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => 'http://127.0.0.1:9', identity => 'demo-shop', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters');
	SELECT salesdrive.add_account(name => 'other', url => 'http://127.0.0.1:9', identity => 'other', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters');
	CREATE ROLE engine LOGIN; SELECT salesdrive.grant_access('engine', 'admin'); CREATE ROLE op LOGIN; SELECT salesdrive.grant_access('op', 'operator')");

# ---- what is no rule is refused

like(failure("INSERT INTO salesdrive.check_rule (account, name, condition) VALUES ('shop', 'x', 'o.payment_amount >')"), qr/ERROR:  22023: rule "x" is no condition over orders: syntax error.*DETAIL:  condition: o\.payment_amount >.*HINT/s, 'a syntax error');
like(failure("INSERT INTO salesdrive.check_rule (account, name, condition) VALUES ('shop', 'x', 'o.nosuch > 0')"), qr/ERROR:  22023:.*column o\.nosuch does not exist/s, 'an unknown column');
like(failure("INSERT INTO salesdrive.check_rule (account, name, condition) VALUES ('shop', 'x', 'o.payment_amount')"), qr/ERROR:  22023:.*must be type boolean/s, 'a number');
like(failure("INSERT INTO salesdrive.check_rule (account, name, condition) VALUES ('shop', 'a/b', 'true')"), qr/ERROR:  23514/, 'a name with a slash');
like(failure("INSERT INTO salesdrive.check_rule (account, name, condition) VALUES ('shop', 'later', 'app.fine(o.order_id)')"), qr/WARNING:  .*rule "later" cannot be evaluated yet.*schema "app" does not exist/s, 'a function that may come later is warned of');
is(sql("DELETE FROM salesdrive.check_rule RETURNING name"), 'later', 'and kept');

# ---- a rule at work

sql("INSERT INTO salesdrive.check_rule (account, name, condition, shows) VALUES
	('*', 'no order below 50', 'o.payment_amount >= 50', 'o.payment_amount'),
	('shop', 'paid online has a payment', 'o.payment_method IS DISTINCT FROM ''7'' OR data ->> ''payedAmount'' IS NOT NULL', 'data ->> ''id'''),
	('shop', 'ratio', '100 / coalesce((data ->> ''divisor'')::numeric, 1) > 0', NULL)");
deliver(1);
deliver(2, price => 20);
deliver(3, payment_method => 7);
deliver(4, payment_method => 7, payedAmount => 120);
deliver(5, divisor => 0);
deliver(6, price => 20, account => 'other');
run_engine();
is(join(' ', map { "$_:" . status($_, 'state') } 1 .. 5), '1:synced 2:parked 3:parked 4:synced 5:parked', 'orders that fulfil all rules go, the others are parked');
is(status(2, 'reason'), 'rule', 'by their rule');
like(status(2, 'detail'), qr/^Rule "no order below 50" does not hold: o\.payment_amount >= 50\. 20$/, 'with its text and the value');
like(status(3, 'detail'), qr/^Rule "paid online has a payment" does not hold: .*\. 3$/, 'data is the order as received');
like(status(5, 'detail'), qr/^Rule "ratio" cannot be evaluated: division by zero \(22012\)/, 'a rule that fails on one order parks that one');
is(status(6, 'reason', 'other'), 'rule', 'a rule of * counts for every account');
like(sql("SET ROLE op; SELECT string_agg(step, ' ') FROM salesdrive.preview('shop', 2)"), qr/rule/, 'an operator sees it in preview()');
like(failure("SET ROLE op; UPDATE salesdrive.check_rule SET enabled = false"), qr/42501/, 'and changes no rule');

# ---- a change wakes what it concerns

sql("INSERT INTO salesdrive.check_rule (account, name, condition, enabled) VALUES ('shop', 'no order below 50', 'false', false)");
run_engine();
is(status(2, 'state'), 'synced', 'a row of the account switches a rule of * off');
is(status(6, 'state', 'other'), 'parked', 'for that account alone');
sql("UPDATE salesdrive.check_rule SET condition = 'o.payment_amount >= 10' WHERE account = '*'");
run_engine();
is(status(6, 'state', 'other'), 'synced', 'a changed rule of * wakes every account');
sql("DELETE FROM salesdrive.check_rule WHERE name = 'ratio'; UPDATE salesdrive.check_rule SET enabled = false WHERE name LIKE 'paid%'");
run_engine();
is(join(' ', map { status($_, 'state') } 3, 5), 'synced synced', 'a rule deleted or switched off keeps nothing back');

# ---- a superuser evaluates none

sql("UPDATE salesdrive.check_rule SET enabled = true WHERE name LIKE 'paid%'");
deliver(7);
sql('CALL salesdrive.run()');
is(status(7, 'reason'), 'superuser', 'a superuser evaluates no expression of a user');
like(status(7, 'hint'), qr/Set salesdrive\.role/, 'and it is said what to do');
sql("SELECT salesdrive.resume('shop', 7)");
run_engine();
is(status(7, 'state'), 'synced', 'another role does');

done_testing();
