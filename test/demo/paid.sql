-- The payments of both sides, and what the orders owe. Variables: orders, a list.
SELECT way, payment_id, number, sum, orders, state
FROM salesdrive.payment_status WHERE account = 'shop' ORDER BY way, payment_id;

SELECT order_id AS "order", due, paid_in_salesdrive, unposted_in_bas, paid_in_bas, rest
FROM salesdrive.order_payments WHERE order_id IN (:orders) ORDER BY order_id;
