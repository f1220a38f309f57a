-- All orders, then those that wait for a human.
SELECT order_id AS "order", customer_name AS customer, payment_amount::numeric(12,2) AS sum,
       bas_number, bas_ref AS ref_key, state, requests
FROM salesdrive.order_status
ORDER BY order_id;

\pset expanded on
SELECT order_id AS "order", reason, detail, hint FROM salesdrive.parked ORDER BY order_id;
