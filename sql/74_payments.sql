-- Purpose: what people look at: what is due and paid of each order on both sides, each payment and where it stands, receipts.
-- Rights: readers.

CREATE VIEW order_payments AS
    SELECT o.account, o.order_id, o.payment_amount AS due, coalesce(c.paid, 0) AS paid_in_salesdrive, coalesce(b.paid, 0) AS paid_in_bas, coalesce(b.unposted, 0) AS unposted_in_bas,
           coalesce(c.paid, 0) - coalesce(b.paid, 0) - coalesce(b.unposted, 0) AS difference, o.payment_amount - coalesce(c.paid, 0) AS rest, coalesce(c.payments, 0) AS payments, coalesce(b.documents, 0) AS documents,
           coalesce(r.receipts, 0) AS receipts, coalesce(r.total, 0) AS receipts_total
    FROM crm_order o
    LEFT JOIN LATERAL (SELECT sum(CASE p.direction WHEN 'out' THEN -abs(q.sum) ELSE abs(q.sum) END) AS paid, count(DISTINCT p.payment_id) AS payments
                       FROM crm_payment_part q JOIN crm_payment p ON p.account = q.account AND p.payment_id = q.payment_id WHERE q.account = o.account AND q.order_id = o.order_id AND (q.form_id <> o.form_id) IS NOT TRUE AND p.gone_at IS NULL AND p.direction IS NOT NULL) c ON true
    LEFT JOIN LATERAL (SELECT round(sum(CASE x.direction WHEN 'out' THEN -x.sum ELSE x.sum END) FILTER (WHERE x.posted), 2) AS paid, round(sum(CASE x.direction WHEN 'out' THEN -x.sum ELSE x.sum END) FILTER (WHERE NOT x.posted), 2) AS unposted, count(*) AS documents
                       FROM bas_payment x WHERE x.account = o.account AND x.order_id = o.order_id AND NOT x.deleted AND NOT x.other_currency) b ON true
    LEFT JOIN LATERAL (SELECT count(*) AS receipts, sum(CASE WHEN f.is_return THEN -f.total ELSE f.total END) AS total FROM crm_receipt f WHERE f.account = o.account AND f.order_id = o.order_id) r ON true;
COMMENT ON VIEW order_payments IS 'What is due of each order, what is paid of it in SalesDrive and in BAS, and what was receipted; exact to the kopeck';
COMMENT ON COLUMN order_payments.account IS 'Account';
COMMENT ON COLUMN order_payments.order_id IS 'Order';
COMMENT ON COLUMN order_payments.due IS 'What the customer pays for the goods';
COMMENT ON COLUMN order_payments.paid_in_salesdrive IS 'Payments attached to it in SalesDrive, less repayments';
COMMENT ON COLUMN order_payments.paid_in_bas IS 'Posted payment documents of BAS that pay it, in its currency, less repayments';
COMMENT ON COLUMN order_payments.unposted_in_bas IS 'The same of documents that are not posted';
COMMENT ON COLUMN order_payments.difference IS 'Paid in SalesDrive less both';
COMMENT ON COLUMN order_payments.rest IS 'Due less paid in SalesDrive; negative: overpaid';
COMMENT ON COLUMN order_payments.payments IS 'Payments in SalesDrive';
COMMENT ON COLUMN order_payments.documents IS 'Payment documents in BAS';
COMMENT ON COLUMN order_payments.receipts IS 'Receipts';
COMMENT ON COLUMN order_payments.receipts_total IS 'Their sum, less returns';

CREATE VIEW payment_status AS
    SELECT p.account, 'to_bas' AS way, p.payment_id, p.paid_at, p.direction, abs(p.sum) AS sum, (SELECT string_agg(o, ', ' ORDER BY length(o), o) FROM jsonb_object_keys(p.essence -> 'orders') o) AS orders,
           CASE WHEN t.state = 'parked' THEN 'parked' WHEN t.id IS NOT NULL THEN 'waiting' WHEN y.bas_ref IS NOT NULL THEN CASE WHEN d.deleted THEN 'deleted' WHEN y.posted THEN 'posted' ELSE 'made' END ELSE coalesce(y.not_wanted, 'listed') END AS state,
           y.bas_ref AS ref_key, y.number, t.reason,
           coalesce(t.detail, y.skip_reason, CASE WHEN d.deleted THEN 'Its document is marked for deletion in BAS, or pays its orders no more.' WHEN d.orders <> w.orders THEN format('Its document pays orders with %s in BAS by now.', d.orders)
                                                  WHEN y.differences IS NOT NULL THEN 'BAS did not keep as sent: ' || key_list(y.differences) END) AS detail, t.hint, t.id AS task_id
    FROM crm_payment p LEFT JOIN payment_sync y ON y.account = p.account AND y.payment_id = p.payment_id LEFT JOIN task t ON t.scope = p.account AND t.kind = 'payment' AND t.key = p.payment_id::text
    LEFT JOIN LATERAL (SELECT bool_and(b.deleted) AS deleted, jsonb_object_agg(b.order_id, trim_scale(round(b.sum, 2))::text) FILTER (WHERE NOT b.deleted) AS orders FROM bas_payment b WHERE b.infobase = y.infobase AND b.ref_key = y.bas_ref) d ON true
    LEFT JOIN LATERAL (SELECT jsonb_object_agg(o.key, trim_scale(abs(o.value::numeric))::text) AS orders FROM jsonb_each_text(y.essence -> 'orders') o) w ON true
    UNION ALL
    SELECT b.account, 'from_bas', b.payment_id, b.paid_at, b.direction, b.sum, b.order_id::text,
           CASE WHEN t.state = 'parked' THEN 'parked' WHEN t.id IS NOT NULL THEN 'waiting' WHEN b.state = 'seen' THEN 'listed' ELSE b.state END, b.ref_key, b.number, t.reason, coalesce(t.detail, b.detail), t.hint, t.id
    FROM bas_payment b LEFT JOIN task t ON t.scope = b.account AND t.kind = 'payment_out' AND t.key = b.ref_key || '/' || b.order_id WHERE NOT b.ours;
COMMENT ON VIEW payment_status IS 'Each payment of SalesDrive on its way into BAS, and each payment document of BAS on its way to SalesDrive';
COMMENT ON COLUMN payment_status.account IS 'Account';
COMMENT ON COLUMN payment_status.way IS 'to_bas or from_bas';
COMMENT ON COLUMN payment_status.payment_id IS 'Payment in SalesDrive';
COMMENT ON COLUMN payment_status.paid_at IS 'Its date';
COMMENT ON COLUMN payment_status.direction IS 'in (the customer pays) or out (money goes back)';
COMMENT ON COLUMN payment_status.sum IS 'Its sum; of a document what it pays of the order';
COMMENT ON COLUMN payment_status.orders IS 'Orders it pays';
COMMENT ON COLUMN payment_status.state IS 'waiting, parked; into BAS: made, posted, deleted (marked for deletion there), or why it is not: listed, off, earlier, unattached, other_base, from_bas, gone, skipped; to SalesDrive: listed, unknown, sent, refused, skipped';
COMMENT ON COLUMN payment_status.ref_key IS 'Document in BAS';
COMMENT ON COLUMN payment_status.number IS 'Its number';
COMMENT ON COLUMN payment_status.reason IS 'Why it waits or is parked: a code';
COMMENT ON COLUMN payment_status.detail IS 'Why, in a sentence; of a document made here also what is otherwise in BAS by now';
COMMENT ON COLUMN payment_status.hint IS 'What to do';
COMMENT ON COLUMN payment_status.task_id IS 'Its task, while there is one';

CREATE FUNCTION preview_payments(account text, order_id bigint) RETURNS TABLE (step text, method text, url text, body jsonb)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    a account := require_account(account);
BEGIN
    RETURN QUERY
    SELECT format('payment %s: %s', p.payment_id, coalesce(w.why, s.purpose, concat_ws(': ', s.step, s.reason, s.detail))), s.method, i.url || '/odata/standard.odata/' || s.path, s.body
    FROM (SELECT DISTINCT q.payment_id FROM crm_payment_part q WHERE q.account = a.name AND q.order_id = preview_payments.order_id) q JOIN crm_payment p ON p.account = a.name AND p.payment_id = q.payment_id
    LEFT JOIN payment_sync y ON y.account = p.account AND y.payment_id = p.payment_id JOIN infobase i ON i.name = coalesce(y.infobase, a.infobase)
    CROSS JOIN LATERAL (SELECT payment_unwanted(p, a, y) AS why OFFSET 0) w LEFT JOIN LATERAL (SELECT (c.x).* FROM (SELECT payment_creation(p, a, i, payment_ref_key(a.identity, p.payment_id)) AS x OFFSET 0) c) s ON w.why IS NULL
    WHERE y.bas_ref IS NULL ORDER BY p.payment_id;
    RETURN QUERY
    SELECT format('document %s: %s', b.number, coalesce(s.purpose, concat_ws(': ', s.step, s.reason, s.detail))), s.method, a.url || '/' || s.path, s.body
    FROM bas_payment b CROSS JOIN LATERAL (SELECT (c.x).* FROM (SELECT payment_telling(b, a) AS x OFFSET 0) c) s
    WHERE a.payments_from_bas AND b.account = a.name AND b.order_id = preview_payments.order_id AND NOT b.ours AND b.state IN ('seen', 'refused') AND b.direction = 'in' AND b.sum > 0 AND b.posted AND NOT b.deleted AND b.paid_at >= a.payments_since ORDER BY b.paid_at, b.ref_key;
END $$;
COMMENT ON FUNCTION preview_payments(text, bigint) IS 'For preview(): what is to be made in BAS of the payments of an order, and told to SalesDrive of its payment documents, or why not';
