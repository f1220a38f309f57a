-- What travelled. Variables: orders, a list; since.
SELECT order_id AS "order", to_char(at, 'HH24:MI:SS') AS at, event,
       CASE WHEN length(text) > 70 THEN left(text, 69) || '…' ELSE text END AS text
FROM salesdrive.order_event
WHERE order_id IN (:orders) AND at >= :'since' AND event <> 'received'
ORDER BY order_id, order_event.at, id;

SELECT order_id AS "order", field, regexp_replace(wanted, '^.*\n', '… ') AS wanted, cause, state
FROM salesdrive.crm_change WHERE order_id IN (:orders) ORDER BY order_id, field;
