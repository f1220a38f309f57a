-- Cards of goods that SalesDrive does not have, stock of all warehouses, retail prices. The jobs goods, stock and prices call the same.
\o /dev/null
INSERT INTO salesdrive.account_goods (account, unmatched, stock_by) VALUES ('shop', 'export', 'total');
INSERT INTO salesdrive.account_price (account, role, price_type) VALUES ('shop', 'main', 'Роздрібна');
SELECT salesdrive.push_products(account => 'shop');
SELECT salesdrive.push_stock(account => 'shop');
SELECT salesdrive.push_prices(account => 'shop');
