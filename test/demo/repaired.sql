-- What became of two orders. Variables: repaired, skipped.
SELECT order_id AS "order", payment_amount::numeric(12,2) AS sum, bas_number, state, requests, detail
FROM salesdrive.order_status WHERE order_id IN (:repaired, :skipped) ORDER BY state DESC;
