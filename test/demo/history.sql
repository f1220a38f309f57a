-- The life of one order, the exchanges counted, and what check() says. Variables: order.
SELECT to_char(at, 'HH24:MI:SS.MS') AS at, what,
       CASE WHEN length(text) > 46 THEN left(text, 45) || '…' ELSE text END AS text, version, http_status AS http,
       round(milliseconds::numeric, 1) AS ms
FROM salesdrive.order_timeline t
WHERE account = 'shop' AND order_id = :order
ORDER BY t.at, id;

SELECT direction, target, purpose, class, exchanges, bytes_sent AS sent, bytes_received AS received, ms_median, ms_p99
FROM salesdrive.exchange_stats
ORDER BY hour, direction, exchanges DESC, purpose;

SELECT * FROM salesdrive.check(account => 'shop');
