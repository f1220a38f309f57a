-- What was pushed, and what SalesDrive has now.
SELECT what, state, goods, changed, sent, failed, left_out, requests FROM salesdrive.push_progress ORDER BY run;

SELECT sku, max(stock) AS stock, max(price) AS price, max(accepted_at)::timestamptz(0) AS accepted_at
FROM salesdrive.pushed_good WHERE state = 'accepted' GROUP BY sku ORDER BY sku LIMIT 6;

SELECT DISTINCT sku, reason, left(detail, 60) AS detail FROM salesdrive.unsent_good ORDER BY reason, sku LIMIT 5;
