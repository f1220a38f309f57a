-- The same for edits that no webhook tells of: the job orders.
\o /dev/null
SELECT salesdrive.fetch_orders(account => 'shop');
