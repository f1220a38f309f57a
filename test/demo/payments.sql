-- Which account of SalesDrive is which of BAS; payments travel both ways from today. The jobs payments and bas_payments call the same.
\o /dev/null
SELECT salesdrive.set_secret('account:shop:account_key', 'demo-key');
INSERT INTO salesdrive.payment_rule (account, account_number, form, bas_key)
VALUES ('shop', 'UA463052990000026008016227980', 'bank', 'Основний рахунок');
UPDATE salesdrive.account SET payments_to_bas = true, payments_from_bas = true WHERE name = 'shop';
SELECT salesdrive.fetch_payments(account => 'shop');
SELECT salesdrive.pull_payments(infobase => 'bas');
