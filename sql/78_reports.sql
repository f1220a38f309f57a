-- Purpose: reports for managers and accountants: orders and sums by day and by what SalesDrive tells of them; goods as exchanged last; durations and failures by day.
-- Rights: readers. Views count when they are asked for; of an order they show what is known now, not what was on that day.
--
-- Days of a history are taken one by one, so that a report of a week reads a week of it.

CREATE VIEW order_report AS
    SELECT o.account, o.day, crm_name(o.account, 'status', to_jsonb(o.status_id)) #>> '{}' AS status,
           coalesce(cancel_kind(o.account, o.status_id), (SELECT 'rule' FROM cancel_rule_of(o.account, o.status_id) r WHERE r.action <> 'none')) AS cancelled, crm_name(o.account, 'site', to_jsonb(o.site_id)) #>> '{}' AS site, o.source,
           crm_name(o.account, 'manager', to_jsonb(o.user_id)) #>> '{}' AS manager, crm_name(o.account, 'organisation', to_jsonb(o.organization_id)) #>> '{}' AS organisation,
           crm_name(o.account, 'payment_method', to_jsonb(o.payment_method)) #>> '{}' AS payment_method, crm_name(o.account, 'shipping_method', to_jsonb(o.shipping_method)) #>> '{}' AS shipping_method,
           o.orders, o.amount, o.paid, o.documents, o.document_amount, o.posted, o.parked, o.not_in_bas
    FROM (SELECT c.account, coalesce(c.order_time, c.received_at AT TIME ZONE coalesce(a.time_zone, 'Europe/Kyiv'))::date AS day, c.status_id, c.site_id, c.source, c.user_id, c.organization_id, c.payment_method, c.shipping_method,
                 count(*) AS orders, sum(c.payment_amount) AS amount, sum(c.payed_amount) AS paid, count(b.ref_key) AS documents, sum(json_numeric(b.read_body -> (p.names ->> 'total'))) AS document_amount,
                 count(*) FILTER (WHERE b.posted) AS posted, count(*) FILTER (WHERE t.state = 'parked') AS parked, count(*) FILTER (WHERE b.ref_key IS NULL) AS not_in_bas
          FROM crm_order c
          LEFT JOIN account a ON a.name = c.account
          LEFT JOIN LATERAL (SELECT property_names(i.profile, 'order') AS names FROM infobase i WHERE i.name = a.infobase) p ON true
          LEFT JOIN order_sync y ON y.account = c.account AND y.order_id = c.order_id
          LEFT JOIN bas_order b ON b.infobase = y.infobase AND b.ref_key = y.bas_ref AND b.deleted IS NOT TRUE
          LEFT JOIN task t ON t.scope = c.account AND t.kind = 'order' AND t.key = c.order_id::text
          GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9) o;
COMMENT ON VIEW order_report IS 'Orders and sums by account, day of the order, status, site, source, manager, organisation, payment and delivery, under the names of SalesDrive; sum up what you need';
COMMENT ON COLUMN order_report.account IS 'Account';
COMMENT ON COLUMN order_report.day IS 'Day of the order, by the clock of the shop';
COMMENT ON COLUMN order_report.status IS 'Status in SalesDrive';
COMMENT ON COLUMN order_report.cancelled IS 'Kind of a status that cancels orders: deleted, duplicate, cancelled; rule: a row of cancel_rule names it; NULL: none of them';
COMMENT ON COLUMN order_report.site IS 'Site';
COMMENT ON COLUMN order_report.source IS 'Source';
COMMENT ON COLUMN order_report.manager IS 'Manager';
COMMENT ON COLUMN order_report.organisation IS 'Organisation';
COMMENT ON COLUMN order_report.payment_method IS 'Method of payment';
COMMENT ON COLUMN order_report.shipping_method IS 'Method of delivery';
COMMENT ON COLUMN order_report.orders IS 'Orders';
COMMENT ON COLUMN order_report.amount IS 'Their paymentAmount added up';
COMMENT ON COLUMN order_report.paid IS 'Their payedAmount added up';
COMMENT ON COLUMN order_report.documents IS 'Orders that have a document in BAS not marked for deletion';
COMMENT ON COLUMN order_report.document_amount IS 'Sums of these documents, as they were read last';
COMMENT ON COLUMN order_report.posted IS 'Those posted';
COMMENT ON COLUMN order_report.parked IS 'Orders that wait for somebody';
COMMENT ON COLUMN order_report.not_in_bas IS 'Orders without such a document';

CREATE VIEW good_report AS
    SELECT k.account, k.product_id, (n.last).sku, (n.last).name, (n.last).product, stock_total(t.accepted) AS stock, t.accepted_at AS stock_at,
           (p.accepted ->> 'costPerItem')::numeric AS price, p.accepted ->> 'currency' AS currency, p.accepted -> 'additionalPrices' AS additional_prices, p.accepted_at AS price_at,
           nullif(concat_ws(', ', CASE WHEN c.state <> 'accepted' OR c.doubted THEN 'card' END, CASE WHEN p.state <> 'accepted' OR p.doubted THEN 'price' END, CASE WHEN t.state <> 'accepted' OR t.doubted THEN 'stock' END), '') AS unsettled
    FROM (SELECT s.account, s.product_id FROM product_sync s GROUP BY s.account, s.product_id) k
    LEFT JOIN product_sync c ON c.account = k.account AND c.what = 'card' AND c.product_id = k.product_id
    LEFT JOIN product_sync t ON t.account = k.account AND t.what = 'stock' AND t.product_id = k.product_id
    LEFT JOIN product_sync p ON p.account = k.account AND p.what = 'price' AND p.product_id = k.product_id
    CROSS JOIN LATERAL (SELECT CASE greatest(c.run, t.run, p.run) WHEN t.run THEN t WHEN p.run THEN p ELSE c END AS last) n;
COMMENT ON VIEW good_report IS 'Each product with stock and prices as SalesDrive took them last';
COMMENT ON COLUMN good_report.account IS 'Account';
COMMENT ON COLUMN good_report.product_id IS 'External id of the card';
COMMENT ON COLUMN good_report.sku IS 'SKU, as in the last push that found a difference';
COMMENT ON COLUMN good_report.name IS 'Name, likewise';
COMMENT ON COLUMN good_report.product IS 'Ref_Key of the good in BAS';
COMMENT ON COLUMN good_report.stock IS 'Stock of all warehouses that count; NULL: never taken';
COMMENT ON COLUMN good_report.stock_at IS 'When it was taken';
COMMENT ON COLUMN good_report.price IS 'Main price; NULL: never taken';
COMMENT ON COLUMN good_report.currency IS 'Its currency';
COMMENT ON COLUMN good_report.additional_prices IS 'Additional prices, as they were sent';
COMMENT ON COLUMN good_report.price_at IS 'When the prices were taken';
COMMENT ON COLUMN good_report.unsettled IS 'What of it SalesDrive may hold otherwise than it is to: card, price, stock; pushed_good says why';

CREATE FUNCTION days_between(since timestamptz, until timestamptz, zone text) RETURNS TABLE (day date, begins timestamptz, ends timestamptz)
    LANGUAGE sql STABLE ROWS 30
BEGIN ATOMIC
    SELECT d::date, d AT TIME ZONE zone, (d + interval '1 day') AT TIME ZONE zone FROM generate_series(date_trunc('day', since AT TIME ZONE zone), until AT TIME ZONE zone, interval '1 day') d;
END;
COMMENT ON FUNCTION days_between(timestamptz, timestamptz, text) IS 'Days of a time zone from one moment to another, with their ends';

CREATE VIEW order_day AS
    SELECT a.name AS account, d.day, e.received, e.created, e.changed, e.parked,
           round(e.to_document_median::numeric, 1) AS to_document_median, round(e.to_document_p99::numeric, 1) AS to_document_p99
    FROM account a
    CROSS JOIN (SELECT min(v.at) AS since, max(v.at) AS until FROM order_event v) h
    CROSS JOIN LATERAL days_between(h.since, h.until, a.time_zone) d
    CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE v.event = 'received') AS received, count(*) FILTER (WHERE k.created) AS created,
                               count(*) FILTER (WHERE document_changed(v.event, v.detail)) AS changed, count(*) FILTER (WHERE v.event = 'parked') AS parked,
                               percentile_cont(0.5) WITHIN GROUP (ORDER BY k.seconds) AS to_document_median, percentile_cont(0.99) WITHIN GROUP (ORDER BY k.seconds) AS to_document_p99
                        FROM order_event v
                        CROSS JOIN LATERAL (SELECT document_made(v.event, v.detail) AS created, CASE WHEN document_made(v.event, v.detail) THEN extract(epoch FROM v.at - (SELECT c.received_at FROM crm_order c WHERE c.account = v.account AND c.order_id = v.order_id)) END AS seconds) k
                        WHERE v.account = a.name AND v.at >= d.begins AND v.at < d.ends AND v.event IN ('received', 'created', 'changed', 'differs', 'parked') HAVING count(*) > 0) e;
COMMENT ON VIEW order_day IS 'What was done with orders each day, as far as order_event reaches back, and how long it took';
COMMENT ON COLUMN order_day.account IS 'Account';
COMMENT ON COLUMN order_day.day IS 'Day, by the clock of the shop';
COMMENT ON COLUMN order_day.received IS 'Versions of orders received';
COMMENT ON COLUMN order_day.created IS 'Documents made';
COMMENT ON COLUMN order_day.changed IS 'Documents changed';
COMMENT ON COLUMN order_day.parked IS 'How often an order was parked';
COMMENT ON COLUMN order_day.to_document_median IS 'Half of these documents were there so many seconds after the first version of their order';
COMMENT ON COLUMN order_day.to_document_p99 IS '99 of 100 of them';

CREATE VIEW exchange_day AS
    SELECT d.day, e.*
    FROM (SELECT min(l.at) AS since, max(l.at) AS until FROM exchange_log l) h
    CROSS JOIN LATERAL days_between(h.since, h.until, current_setting('TimeZone')) d
    CROSS JOIN LATERAL (SELECT l.direction, CASE l.direction WHEN 'in' THEN l.account ELSE coalesce(l.infobase, 'account:' || l.account) END AS target, l.purpose, count(*) AS exchanges,
                               count(*) FILTER (WHERE l.class IS DISTINCT FROM 'ok') AS failures, count(*) FILTER (WHERE l.class = 'unknown_outcome') AS unknown_outcome, count(*) FILTER (WHERE l.class = 'business') AS refused,
                               round((percentile_cont(0.5) WITHIN GROUP (ORDER BY l.ms_total))::numeric, 1) AS ms_median, round((percentile_cont(0.99) WITHIN GROUP (ORDER BY l.ms_total))::numeric, 1) AS ms_p99, round(max(l.ms_total)::numeric, 1) AS ms_longest
                        FROM exchange_log l WHERE l.at >= d.begins AND l.at < d.ends GROUP BY 1, 2, 3) e;
COMMENT ON VIEW exchange_day IS 'Durations and failures of all exchanges by day, as far as exchange_log reaches back';
COMMENT ON COLUMN exchange_day.day IS 'Day, in the time zone of the session';
COMMENT ON COLUMN exchange_day.direction IS 'in: received; out: sent';
COMMENT ON COLUMN exchange_day.target IS 'Infobase, account:NAME for the API of an account; of what was received the account';
COMMENT ON COLUMN exchange_day.purpose IS 'What it was for';
COMMENT ON COLUMN exchange_day.exchanges IS 'How many';
COMMENT ON COLUMN exchange_day.failures IS 'Those that did not end well';
COMMENT ON COLUMN exchange_day.unknown_outcome IS 'Of them: no answer, so the outcome had to be looked up';
COMMENT ON COLUMN exchange_day.refused IS 'Of them: refused by the other side';
COMMENT ON COLUMN exchange_day.ms_median IS 'Half took no longer, milliseconds';
COMMENT ON COLUMN exchange_day.ms_p99 IS '99 of 100 took no longer';
COMMENT ON COLUMN exchange_day.ms_longest IS 'The longest';
