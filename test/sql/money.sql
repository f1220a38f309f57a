-- Money of an order: line sums exact to the kopeck, the remainder against paymentAmount placed by rule, or the obstacle with both figures.
-- All data is invented.
SET client_min_messages = warning;
SET search_path = salesdrive;
BEGIN;
INSERT INTO infobase (name, profile, url, username) VALUES ('b', 'unf', 'http://127.0.0.1:1/b', 'u');
SELECT record_instance();
INSERT INTO account (name, url, infobase, identity) VALUES ('a', 'https://a.salesdrive.me', 'b', 'a');
INSERT INTO account (name, url, infobase, identity, money_discount) VALUES ('u', 'https://u.salesdrive.me', 'b', 'u', 'unit');

CREATE FUNCTION pg_temp.case_of(account text, id bigint, paid text, lines jsonb) RETURNS void LANGUAGE sql AS $$
    SELECT salesdrive.accept_webhook(account, jsonb_build_object('data', jsonb_build_object('id', id, 'paymentAmount', paid,
        'products', (SELECT jsonb_agg(jsonb_build_object('sku', 'S', 'amount', l -> 0, 'price', l -> 1, 'discount', l -> 2, 'percentDiscount', l -> 3)) FROM jsonb_array_elements(lines) l)))::text)
$$;
-- [amount, price, discount, percent?]
SELECT pg_temp.case_of('a', 1, '5166', '[[1, 5740, 10, 1]]');                                   -- percent of the line
SELECT pg_temp.case_of('a', 2, '5730', '[[1, 5740, 10, 0]]');                                   -- money
SELECT pg_temp.case_of('a', 3, '190', '[[2, 100, 10, 0]]');                                     -- money, for the line
SELECT pg_temp.case_of('u', 3, '180', '[[2, 100, 10, 0]]');                                     -- money, for each unit
SELECT pg_temp.case_of('a', 4, '100.01', '[[1, 33.33, 0, 0], [1, 66.68, 0, 0]]');               -- no discount: exact
SELECT pg_temp.case_of('a', 5, '66.67', '[[1, 33.34, 33.33, 1], [1, 33.33, 0, 0], [1, 11.11, 0, 0]]');
SELECT pg_temp.case_of('a', 6, '0', '[[1, 0, 0, 0]]');                                          -- gift
SELECT pg_temp.case_of('a', 7, '3.51', '[[0.333, 10.55, 0, 0]]');                               -- weight: 3.51315
SELECT pg_temp.case_of('a', 8, '7.03', '[[0.333, 10.55, 0, 0], [0.333, 10.55, 0, 0]]');         -- 7.0263: one kopeck of rounding
SELECT pg_temp.case_of('a', 9, '289.99', '[[3, 33.33, 3.3333, 1], [3, 33.33, 3.3333, 1], [3, 33.34, 3.3333, 1]]');
SELECT pg_temp.case_of('a', 10, '100', '[[1, 99.99, 0, 0]]');                                   -- a kopeck without any discount is no rounding
SELECT pg_temp.case_of('a', 11, '90.03', '[[1, 100, 10, 1]]');                                  -- three kopecks on one discounted line
SELECT pg_temp.case_of('a', 12, '100.005', '[[1, 100, 0.5, 1]]');                               -- half a kopeck
SELECT pg_temp.case_of('a', 13, 'n/a', '[[1, 100, 0, 0]]');
SELECT pg_temp.case_of('a', 14, '-10', '[[1, 100, 110, 1]]');                                   -- discount above the price
SELECT pg_temp.case_of('a', 15, '100', '[[0, 100, 0, 0], [1, 100, 0, 0]]');                     -- nothing of it
SELECT pg_temp.case_of('a', 16, '0.12', '[[0.0012, 100, 0, 0]]');                               -- BAS keeps three decimals
SELECT pg_temp.case_of('a', 17, '99999999999999999999.99', '[[1, 99999999999999999999.99, 0, 0]]');
SELECT pg_temp.case_of('a', 18, '0.01', '[[1, 100, 100, 1], [1, 0.01, 50, 1]]');                -- whole discount, and half of a kopeck
SELECT pg_temp.case_of('a', 19, '999000000000000', '[[1000, 999000000000, 0, 0]]');             -- more than a document can hold
SELECT pg_temp.case_of('a', 20, '1000000000000', '[[1, 600000000000, 0, 0], [1, 400000000000, 0, 0]]');    -- all of it
SELECT ingest(100);
SELECT account, order_id, line_no, quantity, price, discount, sum, kopecks, places
FROM priced_lines(ARRAY(SELECT (account, order_id)::order_key FROM crm_order)) ORDER BY 2, 1, 3;
SELECT o.account, o.order_id, o.reason, o.detail
FROM (SELECT array_agg((account, order_id)::order_key) AS k FROM crm_order) s, few(obstacles_money(s.k, document_lines(s.k, account_settings(ARRAY['a', 'u'])))) o ORDER BY 2, 1;
-- VAT contained and on top, rounded half away from zero
SELECT sum, rate, line_vat(sum, rate, true) AS contained, line_vat(sum, rate, false) AS on_top
FROM (VALUES (575.00, 20), (0.03, 20), (100.01, 7), (100, 0), (0.00, 20), (5166.00, 20)) v (sum, rate);
ROLLBACK;
