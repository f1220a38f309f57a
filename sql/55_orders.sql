-- Purpose: tasks of kind order: makes the document of each order in BAS right.
-- Rights: the engine's role.
--
--      outcome of a write unsure ──▶ read back                 (before anything else)
--      obstacle ──▶ wait or park · SKUs to ask for ──▶ find products, as often as it takes
--      no document ──▶ create ──▶ there ──▶ differs from what was accepted: read it, then change it ──▶ post, if wanted ──▶ done

CREATE FUNCTION product_search(infobase text, skus text[], OUT path text, OUT memo jsonb) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    i infobase;
    names jsonb;
    head text;
BEGIN
    SELECT * INTO i FROM infobase b WHERE b.name = product_search.infobase;
    names := property_names(i.profile, 'product');
    head := entity_set(i.profile, 'product') || '?$format=json&allowedOnly=true&$select=' || url_encode(concat_ws(',', 'Ref_Key', names ->> 'article', names ->> 'name', names ->> 'unit', names ->> 'vat_rate', names ->> 'kind', names ->> 'deleted', names ->> 'is_folder',
                CASE WHEN EXISTS (SELECT FROM account a WHERE a.infobase = product_search.infobase AND a.characteristics = 'required') THEN names ->> 'uses_characteristics' END))
            || '&$filter=';
    SELECT head || url_encode(string_agg(c.condition, ' or ' ORDER BY c.n)),
           jsonb_build_object('skus', jsonb_object_agg(c.sku, c.pinned)) || CASE WHEN count(*) < cardinality(skus) THEN jsonb_build_object('rest', skus[count(*)::integer + 1 : count(*)::integer + 4000]) ELSE '{}' END INTO path, memo
    FROM (SELECT u.*, sum(length(url_encode(u.condition)) + 8) OVER (ORDER BY u.n) AS length
          FROM (SELECT s.sku, s.n, p.product AS pinned, CASE WHEN p.product IS NULL THEN format('%s eq %s', names ->> 'article', odata_text(left(s.sku, 150))) ELSE 'Ref_Key eq ' || odata_guid(p.product) END AS condition    -- no article is longer: a longer SKU is that of none, and fits into no address
                FROM few(skus[1:40]) WITH ORDINALITY s (sku, n) LEFT JOIN product_pin p ON p.infobase = product_search.infobase AND p.sku = s.sku) u) c
    WHERE c.n = 1 OR c.length <= i.max_url - (length(head) - length(entity_set(i.profile, 'product')));
END $$;
COMMENT ON FUNCTION product_search(text, text[]) IS 'One search for as many of the SKUs (at most 40) as fit into infobase.max_url; memo: skus, {sku: pinned Ref_Key or null}, and the rest of them, to be searched for next';

CREATE FUNCTION skus_to_ask(lines document_line[], account text, order_id bigint) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN ARRAY(SELECT DISTINCT l.sku FROM few(lines) l WHERE l.account = skus_to_ask.account AND l.order_id = skus_to_ask.order_id AND l.goods = 'ask' ORDER BY l.sku);
END $$;
COMMENT ON FUNCTION skus_to_ask(document_line[], text, bigint) IS 'SKUs of an order that the base is to be asked for';

-- The next step of each order. Read-only, so that preview() shows the same.

CREATE TYPE order_decision AS (
    account    text,
    order_id   bigint,
    step       text,
    purpose    text,
    method     text,
    path       text,
    body       jsonb,
    memo       jsonb,
    run_at     timestamptz,
    reason     text,
    detail     text,
    hint       text,
    blocked_on text,
    document   jsonb,
    status     status_decision
);
COMMENT ON TYPE order_decision IS 'Next step of an order (as plan_step), and its document as it should be';
COMMENT ON COLUMN order_decision.account IS 'Account';
COMMENT ON COLUMN order_decision.order_id IS 'Order number';
COMMENT ON COLUMN order_decision.step IS 'request, again (plan anew), done, wait, retry or park';
COMMENT ON COLUMN order_decision.purpose IS 'What the request is for';
COMMENT ON COLUMN order_decision.method IS 'HTTP method of the request';
COMMENT ON COLUMN order_decision.path IS 'Its address below odata/standard.odata, with options';
COMMENT ON COLUMN order_decision.body IS 'Its body';
COMMENT ON COLUMN order_decision.memo IS 'What its answer needs to be understood';
COMMENT ON COLUMN order_decision.run_at IS 'When it is due again';
COMMENT ON COLUMN order_decision.reason IS 'Why it waits or is parked: a code';
COMMENT ON COLUMN order_decision.detail IS 'Why, in a sentence';
COMMENT ON COLUMN order_decision.hint IS 'What to do';
COMMENT ON COLUMN order_decision.blocked_on IS 'Row or task it waits for, as kind:scope:key';
COMMENT ON COLUMN order_decision.document IS 'The document as it should be';
COMMENT ON COLUMN order_decision.status IS 'What is to become of its status';

CREATE FUNCTION undecided(orders order_key[], decided order_decision[]) RETURNS order_key[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF decided IS NULL THEN
        RETURN orders;
    END IF;
    RETURN ARRAY(SELECT k FROM few(orders) k WHERE NOT EXISTS (SELECT FROM few(decided) d WHERE d.account = k.account AND d.order_id = k.order_id));
END $$;
COMMENT ON FUNCTION undecided(order_key[], order_decision[]) IS 'Those of the orders that have no decision yet';

CREATE FUNCTION first_obstacles(orders order_key[], lines document_line[], settings account_setting[], vals order_value[], fields order_fields[], statuses status_decision[]) RETURNS obstacle[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    found obstacle[] := obstacles_money(orders, lines) || obstacles_rules(orders) || obstacles_settings(orders, settings, vals) || obstacles_values(orders, vals) || obstacles_fields(fields) || obstacles_goods(lines, settings) || obstacles_customer(orders, settings);
BEGIN
    IF statuses IS NOT NULL THEN
        found := found || ARRAY(SELECT x FROM obstacles_statuses(statuses) x);
    END IF;
    IF found IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(SELECT DISTINCT ON (x.account, x.order_id) x FROM few(found) x ORDER BY x.account, x.order_id, x.rank);
END $$;
COMMENT ON FUNCTION first_obstacles(order_key[], document_line[], account_setting[], order_value[], order_fields[], status_decision[]) IS 'What keeps orders from going on, the first obstacle of each; ask: goods that are to be searched for';

CREATE FUNCTION new_document(document jsonb, f order_fields, s status_decision) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF f.account IS NOT NULL THEN
        document := fitted_document(document, f, NULL, false, false);
    END IF;
    RETURN CASE WHEN s.account IS NULL THEN document ELSE document - s.names || coalesce(s.properties, '{}') END;
END $$;
COMMENT ON FUNCTION new_document(jsonb, order_fields, status_decision) IS 'A document that is to be made, with its additional attributes and its status';

CREATE FUNCTION begin_decisions(orders order_key[], lines document_line[], settings account_setting[], vals order_value[], fields order_fields[], statuses status_decision[], stops obstacle[]) RETURNS TABLE (there boolean, decision order_decision)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT y.bas_ref IS NOT NULL, (
           d.account, d.order_id, CASE r.rule WHEN 'unsure' THEN 'wait' WHEN 'skipped' THEN 'done' WHEN 'obstacle' THEN CASE WHEN x.waits THEN 'wait' ELSE 'park' END ELSE CASE WHEN r.rule IS NOT NULL THEN 'request' END END,
           CASE WHEN r.rule IN ('read order', 'find products', 'create order') THEN r.rule END, CASE r.rule WHEN 'create order' THEN 'POST' ELSE 'GET' END,
           CASE r.rule
                -- without allowedOnly: a document that is hidden must not look absent (code 20 parks the order)
                WHEN 'read order' THEN n.entity_set || '?$format=json' || odata_filter(format('Ref_Key eq %s or %s', odata_guid(y.ref_key), marker_condition(s.infobase, order_marker(d.account, d.order_id, y.customer_reference))))
                WHEN 'find products' THEN (product_search(s.infobase, skus_to_ask(lines, d.account, d.order_id))).path
                WHEN 'create order' THEN n.entity_set END,
           CASE r.rule WHEN 'create order' THEN jsonb_build_object('Ref_Key', coalesce(y.ref_key, order_ref_key(a.identity, d.order_id))) || r.document END,
           CASE r.rule
                WHEN 'find products' THEN (product_search(s.infobase, skus_to_ask(lines, d.account, d.order_id))).memo
                WHEN 'create order' THEN jsonb_build_object('version', o.version) || coalesce(t.made, '{}')
                                         || CASE WHEN coalesce(y.force, false) AND closing_of(d.account, d.order_id, s.profile) IS NOT NULL THEN '{"again": true}' ELSE jsonb '{}' END
                ELSE jsonb_build_object('version', o.version) END,
           CASE r.rule WHEN 'unsure' THEN y.unsure_until END,
           CASE r.rule WHEN 'unsure' THEN 'unsure' WHEN 'skipped' THEN 'skipped' WHEN 'obstacle' THEN x.reason END,
           CASE r.rule WHEN 'unsure' THEN 'A write without an answer may still be at work in BAS.' WHEN 'obstacle' THEN x.detail END,
           CASE r.rule WHEN 'obstacle' THEN x.hint END, CASE r.rule WHEN 'obstacle' THEN x.blocked_on END, r.document, t)::order_decision
    FROM few(settings) s
    JOIN account a ON a.name = s.account
    LEFT JOIN profile_resolved n ON n.profile = s.profile AND n.entity = 'order'
    JOIN order_documents(orders, lines, settings, vals, fields) d ON d.account = s.account
    JOIN crm_order o ON o.account = d.account AND o.order_id = d.order_id
    LEFT JOIN order_sync y ON y.account = d.account AND y.order_id = d.order_id
    LEFT JOIN few(stops) x ON x.order_id = d.order_id AND x.account = d.account
    LEFT JOIN few(fields) f ON f.order_id = d.order_id AND f.account = d.account
    LEFT JOIN few(statuses) t ON t.order_id = d.order_id AND t.account = d.account
    CROSS JOIN LATERAL (SELECT CASE WHEN y.told_lines IS NULL THEN d.document ELSE unsummed_document(d.document, y.told_lines, s.profile) END AS document) u
    CROSS JOIN LATERAL (SELECT CASE WHEN y.write_unsure AND y.asked_early AND y.unsure_until > clock() THEN 'unsure'
                                    WHEN (y.write_unsure OR y.must_read) AND n.entity_set IS NOT NULL THEN 'read order'
                                    WHEN y.skipped_at IS NOT NULL THEN 'skipped'
                                    WHEN x.reason = 'ask' THEN 'find products'
                                    WHEN x.reason IS NOT NULL THEN 'obstacle'
                                    WHEN y.bas_ref IS NULL THEN 'create order' END AS rule,
                               CASE WHEN y.bas_ref IS NULL AND (f.account IS NOT NULL OR t.account IS NOT NULL) THEN new_document(u.document, f, t) ELSE u.document END AS document OFFSET 0) r;    -- OFFSET 0: once for each order
END $$;
COMMENT ON FUNCTION begin_decisions(order_key[], document_line[], account_setting[], order_value[], order_fields[], status_decision[], obstacle[]) IS 'Next step of each order: what an unsure write, skip() and obstacles ask for, else that its document is made; no step where one is there';

CREATE FUNCTION change_decisions(begun order_decision[], fields order_fields[]) RETURNS order_decision[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    records obstacle[] := (SELECT array_agg(r) FROM obstacles_records(fields) r);
    closes  boolean := EXISTS (SELECT FROM few(begun) d JOIN followup f ON f.account = d.account AND f.order_id = d.order_id AND f.action = 'close' WHERE f.due);
BEGIN
    RETURN ARRAY(
    WITH own AS MATERIALIZED (
        SELECT d, d.account, d.order_id, d.status, o.version, n.entity_set || '(' || odata_guid(y.bas_ref) || ')' AS address, a.posting, CASE WHEN closes THEN closing_of(d.account, d.order_id, i.profile) END AS closed,
               CASE WHEN y.force THEN 'free' ELSE coalesce(a.edit_policy, CASE WHEN a.posting THEN 'free' ELSE 'until_posted' END) END AS policy,
               y, b, b.read_body AS held, coalesce(b.accepted_body, b.sent_body) AS accepted, e AS fields, o.payment_amount, a.sum_comment, i.profile, y.read_version IS DISTINCT FROM o.version OR b.read_at < u.lately AS unread,
               CASE WHEN e.account IS NULL THEN c.document ELSE fitted_document(c.document, e, b.read_body, true, y.read_version = o.version AND b.read_at >= u.lately OR a.edit_policy = 'never') END
               - coalesce((d.status).names, '{}') AS plain    -- without the status, which is decided for itself
        FROM few(begun) d
        JOIN crm_order o ON o.account = d.account AND o.order_id = d.order_id
        JOIN order_sync y ON y.account = d.account AND y.order_id = d.order_id
        JOIN account a ON a.name = d.account
        JOIN infobase i ON i.name = a.infobase
        LEFT JOIN profile_resolved n ON n.profile = i.profile AND n.entity = 'order'
        LEFT JOIN bas_order b ON b.infobase = y.infobase AND b.ref_key = y.bas_ref
        LEFT JOIN few(fields) e ON e.order_id = d.order_id AND e.account = d.account
        CROSS JOIN LATERAL (SELECT clock() - greatest(i.total_timeout, interval '10 s') AS lately) u
        CROSS JOIN LATERAL (SELECT CASE WHEN b.account IS NULL THEN d.document ELSE cleared_document(d.document, coalesce(b.accepted_body, b.sent_body), d.account) END AS document) c
    ), change AS MATERIALIZED (
        SELECT z.*, CASE WHEN (z.y).force THEN odata_wanted(z.plain, z.held) ELSE changed_properties(z.plain, z.accepted) END AS other,
               CASE WHEN odata_wanted((z.status).properties, z.held) IS NOT NULL THEN (z.status).properties END AS status_patch
        FROM own z
    ), held_up AS MATERIALIZED (    -- a status that is to be written does not wait for other changes that somebody has to decide on, and is none of edit_policy
        SELECT c.*, c.other IS NOT NULL AND (c.policy = 'never' OR c.status_patch IS NOT NULL AND NOT (c.y).force
                    AND (c.policy = 'ask' OR c.policy = 'until_posted' AND (c.b).posted OR both_changed(odata_wanted(c.other, c.held), c.held, (c.b).written_body, c.fields) IS NOT NULL)) AS out
        FROM change c
    ), todo AS MATERIALIZED (
        SELECT c.d, c.account, c.order_id, c.version, c.address, c.posting, c.policy, c.y, c.b, c.held, c.fields, c.unread, c.status, c.sum_comment, c.closed, CASE WHEN NOT coalesce((c.b).deleted, false) THEN odata_wanted(c.closed, c.held) END AS closing,
               CASE WHEN c.sum_comment IS NOT NULL AND c.policy <> 'never' THEN sum_patch(c.b, c.payment_amount, c.sum_comment, (c.y).told_lines, c.profile) END AS telling,
               CASE WHEN c.out THEN c.plain - ARRAY(SELECT jsonb_object_keys(c.other)) || same_keys(c.accepted, c.other) ELSE c.plain END || coalesce(c.status_patch, '{}') AS document,
               CASE WHEN c.out OR c.other IS NULL THEN c.status_patch ELSE c.other || coalesce(c.status_patch, '{}') END AS changed, CASE WHEN c.out THEN c.other END AS left_out,
               w.edit, CASE WHEN w.edit IS NULL THEN c.status_patch ELSE w.edit || coalesce(c.status_patch, '{}') END AS patch
        FROM held_up c CROSS JOIN LATERAL (SELECT CASE WHEN c.other IS NOT NULL AND NOT c.out THEN odata_wanted(c.other, c.held) END AS edit) w
    )
    SELECT (t.account, t.order_id, w.step, w.purpose,
           CASE w.purpose WHEN 'change order' THEN 'PATCH' WHEN 'tell changed sum' THEN 'PATCH' WHEN 'close order' THEN 'PATCH' WHEN 'post order' THEN 'POST' ELSE 'GET' END,
           CASE w.purpose
                WHEN 'read order' THEN split_part(t.address, '(', 1) || '?$format=json' || odata_filter('Ref_Key eq ' || odata_guid((t.y).bas_ref))    -- without allowedOnly, as above
                WHEN 'find products' THEN (t.d).path
                WHEN 'post order' THEN t.address || '/Post'
                ELSE CASE WHEN w.step = 'request' THEN t.address END END,
           CASE w.purpose WHEN 'change order' THEN t.patch WHEN 'tell changed sum' THEN t.telling WHEN 'close order' THEN t.closing END,
           CASE w.purpose WHEN 'find products' THEN (t.d).memo ELSE jsonb_build_object('version', t.version) || CASE WHEN t.left_out IS NULL AND t.telling IS NULL AND t.closed IS NULL AND (t.sum_comment IS NULL OR t.patch IS NULL) AND (t.status).decision IS DISTINCT FROM 'ask' THEN jsonb '{}' ELSE '{"again": true}' END
                || CASE WHEN w.purpose = 'change order' AND t.patch ?| (t.status).names THEN (t.status).memo ELSE '{}' END END,
           w.run_at, w.reason, w.detail, w.hint, w.blocked_on, t.document, t.status)::order_decision
    FROM todo t
    CROSS JOIN LATERAL (
        SELECT (t.d).step, (t.d).purpose, (t.d).run_at, (t.d).reason, (t.d).detail, (t.d).hint, (t.d).blocked_on WHERE (t.d).step IS NOT NULL
        UNION ALL SELECT 'request', 'read order', NULL, NULL, NULL, NULL, NULL WHERE (t.changed IS NOT NULL OR (t.y).force AND (t.b).deleted) AND t.unread
        UNION ALL SELECT 'park', NULL, NULL, 'deleted_in_bas', format('Document %s is marked for deletion in BAS or gone, and the order has changed since.', (t.y).number),
                         'Remove the mark in BAS and call resume(); if the document is gone, resend() makes a new one; or skip() the order.', NULL WHERE (t.patch IS NOT NULL OR (t.y).force) AND (t.b).deleted
        UNION ALL SELECT 'park', NULL, NULL, 'ask', format('Version %s of the order would change document %s%s: %s.', t.version, (t.y).number, CASE WHEN (t.b).posted THEN ', which is posted,' ELSE '' END,
                         change_text(change_list(t.held, t.edit, NULL))),
                         'resend() writes it, skip() leaves the document as it is. account.edit_policy is "ask".', format('account:%s:', t.account)
                  WHERE t.edit IS NOT NULL AND t.policy = 'ask'
        UNION ALL SELECT 'park', NULL, NULL, 'posted_in_bas', format('Document %s is posted in BAS, and the order has changed since: %s.', (t.y).number, key_list(t.edit)),
                         'Unpost it in BAS and call resume(); or resend() writes it and posts it again; or skip() the order. With account.edit_policy = ''free'' this happens by itself.', format('account:%s:', t.account)
                  WHERE t.edit IS NOT NULL AND (t.b).posted AND t.policy = 'until_posted'
        UNION ALL SELECT 'park', NULL, NULL, 'conflict', format('Document %s was changed in BAS, and the order in SalesDrive, in the same place: %s.', (t.y).number, key_list(both_changed(t.edit, t.held, (t.b).written_body, t.fields))),
                         'Compare bas_order.read_body with preview(); then resend() writes the values of SalesDrive, or skip() leaves those of BAS.', NULL
                  WHERE t.edit IS NOT NULL AND both_changed(t.edit, t.held, (t.b).written_body, t.fields) IS NOT NULL AND NOT (t.y).force
        UNION ALL SELECT 'park', NULL, NULL, 'found_in_bas', format('Document %s was in BAS before this database wrote it, and differs from version %s of the order: %s.', (t.y).number, t.version, key_list(t.patch)),
                         'Compare bas_order.read_body with preview(); then resend() writes the values of SalesDrive, or skip() leaves those of BAS.', NULL
                  WHERE t.patch IS NOT NULL AND (t.b).sent_body IS NULL AND NOT (t.y).force
        UNION ALL SELECT 'request', 'change order', NULL, NULL, NULL, NULL, NULL WHERE t.patch IS NOT NULL
        UNION ALL SELECT 'request', 'post order', NULL, NULL, NULL, NULL, NULL WHERE ((t.y).needs_post OR t.posting AND NOT coalesce((t.b).posted, false)) AND NOT coalesce((t.b).deleted, false)
        UNION ALL SELECT 'request', 'read order', NULL, NULL, NULL, NULL, NULL WHERE t.telling IS NOT NULL AND t.unread
        UNION ALL SELECT 'request', 'tell changed sum', NULL, NULL, NULL, NULL, NULL WHERE t.telling IS NOT NULL
        UNION ALL SELECT 'request', 'read order', NULL, NULL, NULL, NULL, NULL WHERE t.closed IS NOT NULL AND t.unread
        UNION ALL SELECT 'request', 'close order', NULL, NULL, NULL, NULL, NULL WHERE t.closing IS NOT NULL
        UNION ALL SELECT CASE WHEN r.waits THEN 'wait' ELSE 'park' END, NULL, NULL, r.reason, r.detail, r.hint, r.blocked_on FROM few(records) r WHERE r.account = t.account AND r.order_id = t.order_id
        UNION ALL SELECT 'park', NULL, NULL, 'status_conflict', format('The status was changed in SalesDrive (to %s) and in BAS (document %s, to %s) since both agreed last.', (t.status).crm_status, (t.y).number, brief_value(to_jsonb((t.status).bas_status))),
                         format('SELECT salesdrive.decide_status(%L, %s, ''salesdrive''); or ''bas''. With another account.status_conflict it is decided by itself.', t.account, t.order_id), format('account:%s:', t.account)
                  WHERE (t.status).decision = 'ask'
        UNION ALL SELECT 'done', NULL, NULL, 'edit_policy', format('Document %s stays as it is: version %s of the order would change %s.', (t.y).number, t.version, change_text(change_list(t.held, t.left_out, NULL))), NULL, NULL
                  WHERE t.left_out IS NOT NULL
        UNION ALL SELECT 'done', NULL, NULL, NULL, NULL, NULL, NULL
        LIMIT 1) w (step, purpose, run_at, reason, detail, hint, blocked_on));
END $$;
COMMENT ON FUNCTION change_decisions(order_decision[], order_fields[]) IS 'Next step of each order whose document is there: the step decided already, else the first of the rules of changes, posting, closing and records that applies';

CREATE FUNCTION document_decisions(orders order_key[], cancelled cancellation[]) RETURNS order_decision[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    lines    document_line[];
    settings account_setting[];
    vals     order_value[];
    fields   order_fields[];
    statuses status_decision[];
    stops    obstacle[];
    absent   order_decision[];
    present  order_decision[];
BEGIN
    IF orders = '{}' THEN
        RETURN NULL;
    END IF;
    settings := account_settings(ARRAY(SELECT DISTINCT k.account FROM few(orders) k));
    lines := document_lines(orders, settings);
    vals := order_values(orders);
    fields := mapped_fields(orders);
    SELECT array_agg(d) INTO statuses FROM status_decisions(orders, cancelled) d;
    stops := first_obstacles(orders, lines, settings, vals, fields, statuses);
    SELECT array_agg(b.decision) FILTER (WHERE NOT b.there), array_agg(b.decision) FILTER (WHERE b.there) INTO absent, present FROM begin_decisions(orders, lines, settings, vals, fields, statuses, stops) b;
    RETURN absent || CASE WHEN present IS NOT NULL THEN change_decisions(present, fields) END;
END $$;
COMMENT ON FUNCTION document_decisions(order_key[], cancellation[]) IS 'Next step of each order whose document is to be made, or to be as the order wants it';

CREATE FUNCTION order_decisions(orders order_key[], cancelled cancellation[]) RETURNS order_decision[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    decided order_decision[];
BEGIN
    SELECT array_agg((u.account, u.order_id, 'done', NULL, NULL, NULL, NULL, NULL, NULL, u.reason, u.detail, NULL, NULL, NULL, NULL)::order_decision) INTO decided FROM obstacles_wanted(orders) u;
    IF cancelled IS NOT NULL THEN
        decided := decided || cancel_decisions(undecided(orders, decided), cancelled);
    END IF;
    RETURN decided || document_decisions(undecided(orders, decided), cancelled);
END $$;
COMMENT ON FUNCTION order_decisions(order_key[], cancellation[]) IS 'Next step of each order: not wanted, cancelled, else what its document needs';

CREATE FUNCTION order_marker(account text, order_id bigint, reference text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT CASE WHEN reference LIKE '%/%' THEN reference ELSE customer_reference(a.identity, order_id, false) END FROM account a WHERE a.name = account);
END $$;
COMMENT ON FUNCTION order_marker(text, bigint, text) IS 'Marker by which a document of the order is recognised when its key is not ours';

CREATE FUNCTION marker_condition(infobase text, marker text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names jsonb := property_names((SELECT i.profile FROM infobase i WHERE i.name = marker_condition.infobase), 'order');
BEGIN
    RETURN CASE WHEN names ? 'customer_reference' THEN format('%s eq %s', names ->> 'customer_reference', odata_text(marker))
                ELSE format('substringof(%s,%s)', odata_text(marker), names ->> 'comment') END;
END $$;
COMMENT ON FUNCTION marker_condition(text, text) IS 'OData condition that finds documents with a marker; the hits are compared exactly afterwards';

-- What was never written from here counts as changed in BAS when it holds something; what is filled where BAS holds nothing was not. Of additional attributes only those that are mapped count.
CREATE FUNCTION both_changed(patch jsonb, held jsonb, written jsonb, fields order_fields) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(p.key, p.value) FROM jsonb_each(patch) p
    WHERE written IS NOT NULL AND p.key <> ALL (coalesce(fields.if_empty, '{}'))
      AND NOT coalesce(fields.notes IS NOT NULL AND p.key = fields.names ->> 'comment' AND position(own_comment(p.value #>> '{}') IN own_comment(held ->> p.key)) > 0, false)    -- what people added to the comment stays
      AND CASE WHEN p.key = fields.names ->> 'section' THEN own_attributes(held -> p.key, fields) IS DISTINCT FROM own_attributes(written -> p.key, fields)
               WHEN written ? p.key THEN held -> p.key IS DISTINCT FROM written -> p.key
               ELSE NOT holds_nothing(held -> p.key) END);
END $$;
COMMENT ON FUNCTION both_changed(jsonb, jsonb, jsonb, order_fields) IS 'Properties to be changed that were changed in BAS too since our last write; NULL when there are none';

CREATE FUNCTION key_list(object jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT string_agg(k, ', ' ORDER BY k) FROM jsonb_object_keys(object) k);
END $$;
COMMENT ON FUNCTION key_list(jsonb) IS 'Keys of an object as text';

-- What the order wants and the document, as read, holds already counts as ours from now on: written or not, it needs no more writing.
CREATE FUNCTION note_documents_there(decided order_decision[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE bas_order b SET accepted_body = NULL, sent_body = coalesce(b.accepted_body, b.sent_body, '{}') || g.got,
        sent_version = CASE WHEN d.purpose IS DISTINCT FROM 'change order' THEN (d.memo ->> 'version')::bigint ELSE b.sent_version END,
        written_body = coalesce(b.written_body, '{}') || same_keys(b.read_body, g.got),
        lineage = b.lineage || lineage_of(g.got, (d.memo ->> 'version')::bigint, property_rules(b.account) || coalesce(h.rules, '{}'))
    FROM few(decided) d JOIN order_sync y ON y.account = d.account AND y.order_id = d.order_id
    JOIN bas_order o ON o.infobase = y.infobase AND o.ref_key = y.bas_ref
    CROSS JOIN LATERAL (SELECT changed_properties(d.document, coalesce(o.accepted_body, o.sent_body))
                               - CASE WHEN d.purpose = 'change order' THEN ARRAY(SELECT jsonb_object_keys(d.body)) ELSE '{}' END AS got) g
    LEFT JOIN header_lineages(ARRAY(SELECT (x.account, x.order_id)::order_key FROM few(decided) x)) h ON h.account = d.account AND h.order_id = d.order_id
    WHERE (d.step = 'done' AND d.reason IS NULL OR d.purpose IN ('change order', 'post order')) AND g.got <> '{}'
      AND b.infobase = o.infobase AND b.ref_key = o.ref_key;
END $$;
COMMENT ON FUNCTION note_documents_there(order_decision[]) IS 'Keeps as accepted what the documents hold already';

-- Runs as the owner of the extension: an operator who skips an order must not choose the key, and with it the document, it is known by.
CREATE FUNCTION begin_orders(orders order_key[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO order_sync (account, order_id, infobase, ref_key, must_read)
    SELECT k.account, k.order_id, a.infobase, order_ref_key(a.identity, k.order_id),
           coalesce((SELECT (o.order_time AT TIME ZONE a.time_zone > i.adopted_at + interval '1 day') IS NOT TRUE FROM instance i WHERE i.adopted_at IS NOT NULL), false)
    FROM few(orders) k JOIN account a ON a.name = k.account
    CROSS JOIN LATERAL (SELECT c.order_time FROM crm_order c WHERE c.account = k.account AND c.order_id = k.order_id OFFSET 0) o    -- OFFSET 0: else it is read whole for its order
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING;
END $$;
COMMENT ON FUNCTION begin_orders(order_key[]) IS 'Gives each order its row in order_sync before anything else: its key, and whether it must be read back first';

CREATE FUNCTION note_unwanted(decided order_decision[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    WITH noted AS (
        UPDATE order_sync y SET not_wanted = d.reason, not_wanted_detail = d.detail
        FROM few(decided) d
        WHERE y.account = d.account AND y.order_id = d.order_id
        RETURNING y.account, y.order_id, y.not_wanted, y.not_wanted_detail
    )
    INSERT INTO order_event (account, order_id, event, version, text, detail)
    SELECT n.account, n.order_id, 'not_wanted', o.version, n.not_wanted_detail, jsonb_build_object('reason', n.not_wanted)
    FROM noted n JOIN crm_order o ON o.account = n.account AND o.order_id = n.order_id
    WHERE NOT EXISTS (SELECT FROM (SELECT e.event, e.text FROM order_event e WHERE e.account = n.account AND e.order_id = n.order_id AND e.event <> 'received' ORDER BY e.id DESC LIMIT 1) l
                      WHERE l.event = 'not_wanted' AND l.text = n.not_wanted_detail);
END $$;
COMMENT ON FUNCTION note_unwanted(order_decision[]) IS 'Keeps which orders, or edits of them, were not wanted and why';

CREATE FUNCTION note_products_wanted(decided order_decision[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO product_creation AS c (infobase, sku, name, template, our_ref_key, account, category_ids, category)
    SELECT DISTINCT ON (w.part[2], w.part[3]) w.part[2], w.part[3], coalesce(l.name, w.part[3]), t.ref_key, product_ref_key(w.part[3]), a.name, g.ids, g.path
    FROM few(decided) d CROSS JOIN LATERAL (SELECT regexp_match(d.blocked_on, '^(product):([^:]+):(.+)$') AS part) w
    JOIN account a ON a.name = d.account
    LEFT JOIN LATERAL (SELECT x.name FROM composed_lines(order_keys(d.account, d.order_id)) x WHERE x.sku = w.part[3] LIMIT 1) l ON true
    JOIN bas_product t ON t.infobase = a.infobase AND t.sku = product_template(a, d.order_id, w.part[3], l.name) AND t.state = 'found'
    LEFT JOIN LATERAL good_category(a.name, w.part[3], d.order_id) g ON true
    ORDER BY w.part[2], w.part[3], d.order_id, d.account
    ON CONFLICT (infobase, sku) DO UPDATE SET template = excluded.template, searched_at = CASE WHEN c.template = excluded.template AND c.problem IS NULL THEN c.searched_at END, problem = NULL,
        account = excluded.account, source = 'order', category_ids = coalesce(excluded.category_ids, c.category_ids), category = coalesce(excluded.category, c.category);
    UPDATE task t SET lane = 1 FROM few(decided) d    -- one of a long list that an order waits for now
    WHERE t.scope = split_part(d.blocked_on, ':', 2) AND t.kind = 'product' AND t.key = substring(d.blocked_on FROM '^[^:]+:[^:]+:(.+)$') AND t.lane > 1 AND t.state = 'ready';
END $$;
COMMENT ON FUNCTION note_products_wanted(order_decision[]) IS 'Before orders wait for products to be made: what they are to be called, and after which template';

CREATE FUNCTION plan_order(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    orders  order_key[];
    bases   text[];
    cancelled cancellation[];
    decided order_decision[];
    beside  text[];    -- accounts whose orders are not right before their records are
    there   order_decision[];
    ended   order_decision[];
    tells   order_key[];
    news    status_decision[];
    products order_decision[];
    records order_key[];
    searches bigint[];
BEGIN
    SELECT array_agg((t.account, t.key::bigint)::order_key ORDER BY t.account, t.key::bigint) FILTER (WHERE NOT s.goes_on), array_agg(DISTINCT t.infobase), array_agg(t.id) FILTER (WHERE s.goes_on) INTO orders, bases, searches
    FROM task t CROSS JOIN LATERAL (SELECT (t.purpose = 'find products' AND t.memo ? 'rest' AND t.wish = t.claimed_wish AND t.failures = 0
                                            AND EXISTS (SELECT FROM infobase i JOIN profile_resolved n ON n.profile = i.profile AND n.entity = 'product' AND n.entity_set IS NOT NULL AND n.names ? 'article' WHERE i.name = t.infobase)) IS TRUE AS goes_on) s
    WHERE t.id = ANY (tasks);
    IF searches IS NOT NULL THEN    -- of an order of many goods: what was searched for and not taken in, the plan after the last search finds
        RETURN QUERY
        SELECT k, 'request', 'find products', 'GET', q.path, NULL::jsonb, q.memo, false, NULL::timestamptz, NULL::text, NULL::text, NULL::text, NULL::text
        FROM few(searches) k CROSS JOIN LATERAL task_of(k) t CROSS JOIN LATERAL product_search(t.infobase, ARRAY(SELECT r.sku FROM jsonb_array_elements_text(t.memo -> 'rest') WITH ORDINALITY r (sku, n) ORDER BY r.n)) q;
        IF orders IS NULL THEN
            RETURN;
        END IF;
    END IF;

    PERFORM begin_orders(orders);
    PERFORM note_followups(orders);
    beside := record_accounts(orders);
    cancelled := cancel_states(orders);
    decided := order_decisions(orders, cancelled);
    SELECT array_agg(d) FILTER (WHERE d.step = 'done' OR d.purpose IN ('change order', 'post order')), array_agg(d) FILTER (WHERE d.step = 'done' AND d.reason <> 'skipped'),
           array_agg((d.account, d.order_id)::order_key) FILTER (WHERE d.step = 'done' AND d.reason IS NULL OR d.step = 'park'),
           array_agg(d.status) FILTER (WHERE ((d.status).decision IN ('agreed', 'first', 'kept') OR (d.status).crm_wanted IS NOT NULL OR (d.status).cancel_set IS NOT NULL OR (d.status).unmapped) AND d.reason IS DISTINCT FROM 'skipped'),
           array_agg(d) FILTER (WHERE d.step = 'wait' AND d.reason = 'product'), array_agg((d.account, d.order_id)::order_key) FILTER (WHERE d.step = 'wait' AND d.reason = 'records')
    INTO there, ended, tells, news, products, records FROM few(decided) d;
    IF there IS NOT NULL THEN PERFORM note_documents_there(there); END IF;
    IF cancelled IS NOT NULL THEN PERFORM note_cancellations(decided, cancelled); END IF;
    IF ended IS NOT NULL THEN PERFORM note_unwanted(ended); END IF;
    IF tells IS NOT NULL THEN PERFORM tell_documents(tells); END IF;
    IF news IS NOT NULL THEN PERFORM note_statuses(news); END IF;
    IF products IS NOT NULL THEN PERFORM note_products_wanted(products); END IF;
    IF records IS NOT NULL THEN PERFORM ask_for_records(records); END IF;
    PERFORM refresh_dictionaries(bases);

    RETURN QUERY
    SELECT t.id, d.step, d.purpose, d.method, d.path, d.body || coalesce(c.merged, '{}'), d.memo || CASE WHEN d.step = 'request' AND d.method <> 'GET' AND d.account = ANY (beside) THEN '{"again": true}' ELSE jsonb '{}' END
               || CASE WHEN c.merged IS NULL THEN '{}' ELSE jsonb_build_object('merged', c.merged, 'own', same_keys(d.body, c.merged)) END, d.purpose IS NOT DISTINCT FROM 'create order', d.run_at, d.reason, d.detail, d.hint, d.blocked_on
    FROM few(decided) d CROSS JOIN LATERAL (SELECT o.id FROM task o WHERE o.scope = d.account AND o.kind = 'order' AND o.key = d.order_id::text OFFSET 0) t
    CROSS JOIN LATERAL (SELECT CASE WHEN d.purpose = 'change order' THEN merged_comment(d) END AS merged OFFSET 0) c;
END $$;
COMMENT ON FUNCTION plan_order(bigint[]) IS 'Plan of kind order; one that still searches for goods, and of which nothing is new, searches on without being planned anew';

-- Before a write leaves: what is sent, and that its outcome is unsure from now on.

CREATE FUNCTION note_order_writes(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    purposes text[] := ARRAY(SELECT DISTINCT s.purpose FROM few(steps) s);
BEGIN
    UPDATE order_sync y SET requests = y.requests + 1, not_wanted = NULL, not_wanted_detail = NULL,
        write_unsure = y.write_unsure OR s.method <> 'GET',
        unsure_until = CASE WHEN s.method <> 'GET' THEN longest_write(i) ELSE y.unsure_until END,
        asked_early = y.asked_early AND s.method = 'GET',
        cancel_write = CASE WHEN s.method = 'GET' THEN y.cancel_write WHEN s.purpose IN ('unpost order', 'mark order', 'unmark order', 'close order') THEN s.purpose END,
        customer_reference = CASE WHEN s.creates THEN coalesce(y.customer_reference, s.body ->> (n.names ->> 'customer_reference')) ELSE y.customer_reference END
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN infobase i ON i.name = t.infobase LEFT JOIN profile_resolved n ON n.profile = i.profile AND n.entity = 'order'
    WHERE y.account = t.account AND y.order_id = t.key::bigint;

    IF purposes && ARRAY['change order', 'close order'] THEN
        UPDATE order_sync y SET needs_post = y.needs_post OR coalesce(b.posted, false),
            cancel_before = CASE WHEN c.cancels THEN coalesce(y.cancel_before, held_status(b.read_body, n.names ->> 'status'), '') ELSE y.cancel_before END
        FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN order_sync k ON k.account = t.account AND k.order_id = t.key::bigint
        LEFT JOIN bas_order b ON b.infobase = k.infobase AND b.ref_key = k.bas_ref
        JOIN infobase i ON i.name = t.infobase LEFT JOIN profile_resolved n ON n.profile = i.profile AND n.entity = 'order'
        CROSS JOIN LATERAL (SELECT s.memo ? 'cancel' AND s.purpose = 'change order' AS cancels) c
        WHERE y.account = k.account AND y.order_id = k.order_id AND s.purpose IN ('change order', 'close order') AND (b.posted OR c.cancels);
    END IF;
    IF 'tell changed sum' = ANY (purposes) THEN
        PERFORM note_lines_told(array_agg((t.account, t.key::bigint)::order_key)) FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t WHERE s.purpose = 'tell changed sum';
    END IF;
    IF purposes && ARRAY['create order', 'change order'] THEN
        INSERT INTO bas_order AS b (infobase, ref_key, account, order_id, sent_body, sent_version, sent_at)
        SELECT t.infobase, coalesce(y.bas_ref, y.ref_key), y.account, y.order_id, s.body - 'Ref_Key' || coalesce(s.memo -> 'own', '{}'), (s.memo ->> 'version')::bigint, clock()
        FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t
        JOIN order_sync y ON y.account = t.account AND y.order_id = t.key::bigint
        WHERE s.purpose IN ('create order', 'change order')
        ORDER BY 1, 2
        ON CONFLICT (infobase, ref_key) DO UPDATE SET
            accepted_body = CASE WHEN b.read_body IS NOT NULL THEN coalesce(b.accepted_body, b.sent_body, '{}') END,
            sent_body = coalesce(b.sent_body, '{}') || excluded.sent_body, sent_version = excluded.sent_version, sent_at = excluded.sent_at;
    END IF;
END $$;
COMMENT ON FUNCTION note_order_writes(plan_step[]) IS 'Before requests of orders are sent: counts them, and keeps what every write carries';

-- Answers.

CREATE TYPE order_answer AS (
    task_id    bigint,
    account    text,
    order_id   bigint,
    infobase   text,
    profile    text,
    purpose    text,
    class      text,
    odata_code text,
    memo       jsonb,
    body       jsonb,
    ref_key    uuid,
    asked_at   timestamptz,
    unsure_until timestamptz
);
COMMENT ON TYPE order_answer IS 'An answer to a request of an order; unsure_until: from when on its absence counts, were its outcome unknown';
COMMENT ON COLUMN order_answer.task_id IS 'Task';
COMMENT ON COLUMN order_answer.account IS 'Account';
COMMENT ON COLUMN order_answer.order_id IS 'Order number';
COMMENT ON COLUMN order_answer.infobase IS 'Infobase that was asked';
COMMENT ON COLUMN order_answer.profile IS 'Its profile';
COMMENT ON COLUMN order_answer.purpose IS 'What the request was for';
COMMENT ON COLUMN order_answer.class IS 'Class of the answer';
COMMENT ON COLUMN order_answer.odata_code IS 'Code of an odata.error';
COMMENT ON COLUMN order_answer.memo IS 'What the plan noted with the request';
COMMENT ON COLUMN order_answer.body IS 'The answer as JSON';
COMMENT ON COLUMN order_answer.ref_key IS 'Ref_Key in the answer';
COMMENT ON COLUMN order_answer.asked_at IS 'When the request was sent';
COMMENT ON COLUMN order_answer.unsure_until IS 'From when on absence counts, if the outcome is not known';

CREATE FUNCTION order_answers(results http_result[]) RETURNS SETOF order_answer
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT t.id, t.account, t.key::bigint, t.infobase, i.profile, t.purpose,
           CASE WHEN u.class = 'ok' AND (t.purpose = 'create order' AND (k.ref IS NULL OR k.ref <> y.ref_key AND EXISTS (SELECT FROM bas_order b WHERE b.infobase = t.infobase AND b.ref_key = k.ref))    -- the base may give it a key of its own
                                         OR t.purpose IN ('change order', 'tell changed sum', 'close order', 'mark order', 'unmark order') AND k.ref IS DISTINCT FROM y.bas_ref) THEN 'unknown_outcome' ELSE u.class END,
           u.odata_code, t.memo, j.body, k.ref, u.started_at,
           answered_write(i, u.started_at)
    FROM few(results) u
    CROSS JOIN LATERAL task_of(u.task_id) t
    JOIN infobase i ON i.name = t.infobase
    LEFT JOIN order_sync y ON y.account = t.account AND y.order_id = t.key::bigint
    CROSS JOIN LATERAL (SELECT result_json(u) AS body OFFSET 0) j    -- OFFSET 0: read the body once
    CROSS JOIN LATERAL (SELECT nil_free(j.body ->> 'Ref_Key') AS ref) k
    ORDER BY t.account, t.key::bigint;
END $$;
COMMENT ON FUNCTION order_answers(http_result[]) IS 'Answers with what is known of their orders; a write answered with 2xx but without its object, or with another, counts as unknown';

CREATE FUNCTION settle_order(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    answers order_answer[];
    hidden  bigint[] := '{}';
    done    text[];    -- purposes of what went well
    written order_answer[];
    writes  order_answer[];    -- all others
    refused order_answer[];
BEGIN
    SELECT array_agg(a), array_agg(DISTINCT a.purpose) FILTER (WHERE a.class = 'ok'), array_agg(a) FILTER (WHERE a.class = 'ok' AND a.purpose IN ('create order', 'change order')),
           array_agg(a) FILTER (WHERE a.purpose IN ('tell changed sum', 'close order', 'post order', 'unpost order', 'mark order', 'unmark order') OR a.purpose IN ('create order', 'change order') AND a.class <> 'ok'),
           array_agg(a) FILTER (WHERE a.purpose = 'create order' AND a.class NOT IN ('ok', 'unknown_outcome') AND a.odata_code IS DISTINCT FROM '15')
    INTO answers, done, written, writes, refused FROM order_answers(results) a;
    IF writes IS NOT NULL THEN
        UPDATE order_sync y SET
            write_unsure = a.class = 'unknown_outcome' OR a.purpose = 'create order' AND a.odata_code IS NOT DISTINCT FROM '15',
            unsure_until = CASE WHEN a.class = 'unknown_outcome' THEN a.unsure_until END,
            read_version = CASE WHEN a.class = 'ok' OR a.purpose NOT IN ('change order', 'close order', 'unpost order', 'mark order', 'unmark order') THEN y.read_version END    -- else read anew before it is tried again
        FROM few(writes) a WHERE y.account = a.account AND y.order_id = a.order_id;
    END IF;
    IF refused IS NOT NULL THEN
        PERFORM release_creation(a.infobase, a.task_id) FROM few(refused) a;
    END IF;
    IF written IS NOT NULL THEN
        PERFORM settle_order_written(written);
    END IF;
    IF 'tell changed sum' = ANY (done) THEN
        PERFORM settle_sum_told(array_agg(a)) FROM few(answers) a WHERE a.class = 'ok' AND a.purpose = 'tell changed sum';
    END IF;
    IF 'close order' = ANY (done) THEN
        PERFORM settle_order_closed(array_agg(a)) FROM few(answers) a WHERE a.class = 'ok' AND a.purpose = 'close order';
    END IF;
    IF 'post order' = ANY (done) THEN
        PERFORM settle_order_posted(array_agg(a)) FROM few(answers) a WHERE a.class = 'ok' AND a.purpose = 'post order';
    END IF;
    IF done && ARRAY['unpost order', 'mark order', 'unmark order'] THEN
        PERFORM settle_cancellations(array_agg(a)) FROM few(answers) a WHERE a.class = 'ok' AND a.purpose IN ('unpost order', 'mark order', 'unmark order');
    END IF;
    IF written IS NOT NULL THEN
        PERFORM tell_documents(ARRAY(SELECT (a.account, a.order_id)::order_key FROM few(written) a));
    END IF;
    IF 'read order' = ANY (done) THEN
        hidden := ARRAY(SELECT a.task_id FROM few(answers) a WHERE a.class = 'ok' AND a.purpose = 'read order' AND NOT settle_order_read(a));
    END IF;
    IF 'find products' = ANY (done) THEN
        PERFORM note_products(a.infobase, a.profile, a.memo -> 'skus', a.body -> 'value') FROM few(answers) a WHERE a.class = 'ok' AND a.purpose = 'find products';
    END IF;

    RETURN QUERY
    SELECT a.task_id, CASE WHEN a.class = 'ok' AND NOT a.memo ? 'again' AND (a.purpose IN ('post order', 'mark order') OR a.purpose IN ('create order', 'change order') AND NOT c.posting AND NOT y.needs_post) THEN 'done' ELSE 'again' END,
           a.purpose, NULL::text, NULL::text, NULL::jsonb, a.memo, NULL::boolean, NULL::timestamptz, NULL::text, NULL::text, NULL::text, NULL::text
    FROM few(answers) a JOIN order_sync y ON y.account = a.account AND y.order_id = a.order_id JOIN account c ON c.name = y.account
    WHERE a.task_id <> ALL (hidden) AND (a.class IN ('ok', 'unknown_outcome') OR a.purpose = 'create order' AND a.odata_code = '15');
    IF hidden <> '{}' THEN
        RETURN QUERY
        SELECT h.task_id, h.step, a.purpose, h.method, h.path, h.body, a.memo, h.creates, h.run_at, h.reason, h.detail, h.hint, h.blocked_on
        FROM few(answers) a JOIN order_sync y ON y.account = a.account AND y.order_id = a.order_id CROSS JOIN LATERAL hidden_step(a.task_id, y.ref_key, 'document') h
        WHERE a.task_id = ANY (hidden);
    END IF;
END $$;
COMMENT ON FUNCTION settle_order(http_result[]) IS 'Settle of kind order';

CREATE FUNCTION property_rules(account text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT coalesce(r.rules, '{}') || jsonb_build_object(coalesce(l.entity_set, ''), 'lines of the order')
                   || CASE WHEN a.counterparty_mode = 'fixed' AND r.names ? 'counterparty' THEN jsonb_build_object(r.names ->> 'counterparty', 'account.fixed_counterparty') ELSE '{}' END || field_lineages(a.name)
            FROM account a JOIN infobase i ON i.name = a.infobase LEFT JOIN profile_resolved r ON r.profile = i.profile AND r.entity = 'order' LEFT JOIN profile_resolved l ON l.profile = i.profile AND l.entity = 'order_line'
            WHERE a.name = property_rules.account);
END $$;
COMMENT ON FUNCTION property_rules(text) IS 'Rule behind each property of the documents of an account; of a mapped one its row of field_map';

CREATE FUNCTION unkept(differences jsonb, written jsonb, before jsonb, body jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(d.key, d.value) FROM jsonb_each(differences) d WHERE written ? d.key OR body -> d.key IS DISTINCT FROM before -> d.key);
END $$;
COMMENT ON FUNCTION unkept(jsonb, jsonb, jsonb, jsonb) IS 'Of what BAS holds otherwise than it was ever sent, what this write sent or brought about; the rest was changed there before';

CREATE FUNCTION settle_order_written(answers order_answer[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    base record;
BEGIN
    FOR base IN SELECT a.infobase, bool_and(a.ref_key = y.ref_key) AS kept FROM few(answers) a JOIN order_sync y USING (account, order_id) JOIN infobase i ON i.name = a.infobase
                WHERE a.purpose = 'create order' AND (i.keeps_ref_key IS NULL OR a.ref_key <> y.ref_key) GROUP BY a.infobase ORDER BY a.infobase LOOP
        PERFORM learn_keeps_ref_key(base.infobase, base.kept);
        IF NOT base.kept THEN
            UPDATE bas_order b SET ref_key = a.ref_key FROM few(answers) a JOIN order_sync y USING (account, order_id)
            WHERE a.infobase = base.infobase AND b.infobase = a.infobase AND b.ref_key = y.ref_key AND a.ref_key <> y.ref_key AND a.purpose = 'create order';
        END IF;
    END LOOP;

    WITH rules AS MATERIALIZED (
        SELECT p.account, property_rules(p.account) AS rules FROM (SELECT DISTINCT account FROM few(answers)) p
    ), written AS (
        UPDATE bas_order b SET number = a.body ->> 'Number', posted = json_flag(a.body -> 'Posted'), deleted = json_flag(a.body -> 'DeletionMark'),
            data_version = a.body ->> 'DataVersion', read_body = a.body, read_at = clock(), accepted_body = NULL,
            written_body = coalesce(b.written_body, '{}') || same_keys(a.body, p.patch),
            differences = odata_differences(b.sent_body || coalesce(a.memo -> 'merged', '{}'), a.body),
            lineage = b.lineage || lineage_of(p.patch, b.sent_version, r.rules || coalesce(h.rules, '{}'))
        FROM few(answers) a JOIN rules r ON r.account = a.account
        JOIN bas_order o ON o.infobase = a.infobase AND o.ref_key = a.ref_key    -- the row as it was before
        CROSS JOIN LATERAL (SELECT changed_properties(o.sent_body, o.accepted_body) AS patch OFFSET 0) p
        LEFT JOIN header_lineages(ARRAY(SELECT (x.account, x.order_id)::order_key FROM few(answers) x)) h ON h.account = a.account AND h.order_id = a.order_id
        WHERE b.infobase = a.infobase AND b.ref_key = a.ref_key
        RETURNING a.account, a.order_id, a.purpose, a.memo ? 'status' AS with_status, a.memo ->> 'status' AS crm_status,
                  CASE WHEN a.memo ? 'state' THEN a.memo ->> 'state' WHEN a.memo ? 'status' THEN held_status(a.body, property_names(a.profile, 'order') ->> 'status') END AS bas_status, a.memo ->> 'cancel' AS cancel_set, b.ref_key, b.number, b.posted, b.sent_version, CASE WHEN b.differences IS NOT NULL THEN unkept(b.differences, p.patch, o.read_body, a.body) END AS differences,
                  CASE a.purpose WHEN 'change order' THEN change_list(o.read_body, p.patch, b.lineage) END AS changes
    ), synced AS (
        UPDATE order_sync y SET bas_ref = w.ref_key, number = w.number, write_unsure = false, unsure_until = NULL, needs_post = w.posted AND w.purpose = 'change order',
            crm_status = CASE WHEN w.with_status THEN w.crm_status ELSE y.crm_status END, bas_status = CASE WHEN w.with_status THEN w.bas_status ELSE y.bas_status END,
            agreed_at = CASE WHEN w.with_status THEN clock() ELSE y.agreed_at END, cancel_set = coalesce(w.cancel_set, y.cancel_set),
            status_unmapped = CASE WHEN w.with_status THEN w.crm_status IS NULL ELSE y.status_unmapped END    -- BAS does not know it yet
        FROM written w WHERE y.account = w.account AND y.order_id = w.order_id
    )
    INSERT INTO order_event (account, order_id, event, version, text, detail)
    SELECT w.account, w.order_id, CASE WHEN w.differences IS NOT NULL THEN 'differs' WHEN w.purpose = 'create order' THEN 'created' ELSE 'changed' END, w.sent_version,
           format('Document %s %s%s%s.', w.number, CASE w.purpose WHEN 'create order' THEN 'created' ELSE 'changed' END, ': ' || change_text(w.changes),
                  coalesce(', but BAS did not keep as sent: ' || key_list(w.differences), '')),
           nullif(jsonb_strip_nulls(jsonb_build_object('changes', w.changes, 'differences', w.differences, 'written', CASE WHEN w.differences IS NOT NULL THEN CASE w.purpose WHEN 'create order' THEN 'created' ELSE 'changed' END END)), '{}')
    FROM written w;
END $$;
COMMENT ON FUNCTION settle_order_written(order_answer[]) IS 'Takes in documents created or changed: what BAS answers is compared with what was sent';

CREATE FUNCTION settle_order_posted(answers order_answer[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE bas_order b SET posted = true FROM few(answers) a JOIN order_sync y USING (account, order_id) WHERE b.infobase = a.infobase AND b.ref_key = y.bas_ref;
    UPDATE order_sync y SET needs_post = false FROM few(answers) a WHERE y.account = a.account AND y.order_id = a.order_id;
    INSERT INTO order_event (account, order_id, event, version, text)
    SELECT a.account, a.order_id, 'posted', (a.memo ->> 'version')::bigint, format('Document %s posted.', y.number)
    FROM few(answers) a JOIN order_sync y USING (account, order_id);
END $$;
COMMENT ON FUNCTION settle_order_posted(order_answer[]) IS 'Takes in documents posted';

CREATE FUNCTION settle_order_read(answer order_answer) RETURNS boolean
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    y      order_sync;
    found_body jsonb;
    found_ref  uuid;
    reference text := property_names(answer.profile, 'order') ->> 'customer_reference';
BEGIN
    SELECT * INTO y FROM order_sync s WHERE s.account = answer.account AND s.order_id = answer.order_id;
    SELECT e, (e ->> 'Ref_Key')::uuid INTO found_body, found_ref
    FROM jsonb_array_elements(answer.body -> 'value') e
    WHERE (e ->> 'Ref_Key')::uuid IN (y.ref_key, y.bas_ref) OR carries_marker(answer.profile, e, order_marker(y.account, y.order_id, y.customer_reference))
    ORDER BY (e ->> 'Ref_Key')::uuid IS NOT DISTINCT FROM y.bas_ref DESC, (e ->> 'Ref_Key')::uuid = y.ref_key DESC LIMIT 1;

    -- What an unsure write was to do is not to be seen, and it may still be at work: asked again after unsure_until.
    IF y.write_unsure AND answer.asked_at < y.unsure_until
       AND (y.bas_ref IS NULL AND found_ref IS NULL OR y.bas_ref IS NOT NULL AND found_ref IS NOT NULL
            AND coalesce(NOT cancel_write_seen(y, found_body), EXISTS (SELECT FROM bas_order b WHERE b.infobase = y.infobase AND b.ref_key = y.bas_ref
                        AND (CASE WHEN y.force THEN odata_wanted(b.sent_body, found_body) ELSE unwritten(b, found_body) END IS NOT NULL OR y.needs_post AND NOT json_flag(found_body -> 'Posted'))))) THEN
        UPDATE order_sync s SET asked_early = true WHERE s.account = y.account AND s.order_id = y.order_id;
        RETURN true;
    END IF;

    IF found_ref IS NULL THEN
        IF y.write_unsure AND y.unsure_until IS NULL AND y.bas_ref IS NULL THEN    -- error 15 said that it exists
            UPDATE order_sync s SET write_unsure = false WHERE s.account = y.account AND s.order_id = y.order_id;
            PERFORM release_creation(y.infobase, answer.task_id);
            RETURN false;
        ELSIF y.bas_ref IS NOT NULL AND y.force THEN    -- deleted physically, and resend() asks for a new one
            DELETE FROM bas_order b WHERE b.infobase = y.infobase AND b.ref_key = y.bas_ref;
            UPDATE order_sync s SET bas_ref = NULL, number = NULL WHERE s.account = y.account AND s.order_id = y.order_id;
        ELSIF y.bas_ref IS NOT NULL THEN
            UPDATE bas_order b SET deleted = true, read_body = '{}', read_at = clock() WHERE b.infobase = y.infobase AND b.ref_key = y.bas_ref;
            UPDATE order_sync s SET read_version = (SELECT o.version FROM crm_order o WHERE o.account = y.account AND o.order_id = y.order_id)
            WHERE s.account = y.account AND s.order_id = y.order_id;
        END IF;
        UPDATE order_sync s SET write_unsure = false, must_read = false, asked_early = false, unsure_until = NULL, cancel_write = NULL WHERE s.account = y.account AND s.order_id = y.order_id;
        PERFORM release_creation(y.infobase, answer.task_id);
        RETURN true;
    END IF;

    IF y.bas_ref IS NULL THEN
        PERFORM learn_keeps_ref_key(y.infobase, found_ref = y.ref_key);
        INSERT INTO order_event (account, order_id, event, version, text)
        VALUES (y.account, y.order_id, 'found', (answer.memo ->> 'version')::bigint, format('Document %s found in BAS by read-back.', found_body ->> 'Number'));
        UPDATE bas_order b SET ref_key = found_ref WHERE b.infobase = y.infobase AND b.ref_key = y.ref_key AND found_ref <> y.ref_key;
    END IF;
    IF forget_before_adoption(y, found_ref, found_body ->> 'DataVersion') THEN
        y.write_unsure := false;
    END IF;
    IF y.write_unsure AND y.cancel_write IS NOT NULL THEN
        y.write_unsure := false;    -- nothing else was written
        IF y.cancel_write = 'close order' THEN
            IF cancel_write_seen(y, found_body) THEN
                PERFORM note_closing_write(y.account, y.order_id, found_body);
            END IF;
        ELSIF cancel_write_seen(y, found_body) THEN
            PERFORM note_cancel_write(y.account, y.order_id, y.cancel_write, true, ', as reading it back shows', (answer.memo ->> 'version')::bigint);
        END IF;
    ELSIF y.mark = 'set' AND NOT json_flag(found_body -> 'DeletionMark') THEN
        PERFORM note_marks_undone(order_keys(y.account, y.order_id));
    END IF;
    IF y.write_unsure AND y.bas_ref IS NOT NULL THEN    -- of a change without an answer: it arrived
        INSERT INTO order_event (account, order_id, event, version, text, detail)
        SELECT y.account, y.order_id, 'changed', b.sent_version, format('Document %s changed, as reading it back shows%s.', found_body ->> 'Number', ': ' || change_text(c.changes)), jsonb_build_object('changes', c.changes)
        FROM bas_order b
        CROSS JOIN LATERAL (SELECT changed_properties(b.sent_body, b.accepted_body) AS patch) p
        CROSS JOIN LATERAL (SELECT change_list(b.read_body, p.patch, lineage_of(p.patch, b.sent_version, property_rules(b.account))) AS changes) c
        WHERE b.infobase = y.infobase AND b.ref_key = found_ref AND b.accepted_body IS NOT NULL AND p.patch IS NOT NULL AND unwritten(b, found_body) IS NULL;
    END IF;
    PERFORM note_document_read(answer.account, answer.order_id, y, found_ref, found_body);
    UPDATE order_sync s SET bas_ref = found_ref, number = found_body ->> 'Number', write_unsure = false, must_read = false, asked_early = false, unsure_until = NULL, cancel_write = NULL,
        read_version = (SELECT o.version FROM crm_order o WHERE o.account = y.account AND o.order_id = y.order_id),
        customer_reference = coalesce(s.customer_reference, rtrim(found_body ->> reference))
    WHERE s.account = y.account AND s.order_id = y.order_id;
    RETURN true;
END $$;
COMMENT ON FUNCTION settle_order_read(order_answer) IS 'Takes in a read-back: a document with our key or our exact marker, or its absence; false when BAS hides what it says exists';

-- The database this one is a copy of may have written after the copy was taken, also newer versions than those known here. So a document that
-- is met for the first time, or was written since, counts as not ours: what differs is parked (found_in_bas) and not overwritten, unless the
-- version to be sent was made after adopt() and the document was known.
CREATE FUNCTION forget_before_adoption(y order_sync, ref uuid, data_version text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT y.must_read OR y.force OR NOT EXISTS (
        SELECT FROM instance i, crm_order o JOIN account a ON a.name = o.account
        WHERE o.account = y.account AND o.order_id = y.order_id AND i.adopted_at IS NOT NULL
          AND (y.bas_ref IS NULL OR (o.update_at AT TIME ZONE a.time_zone > i.adopted_at) IS NOT TRUE)) THEN
        RETURN false;
    END IF;
    UPDATE bas_order b SET sent_body = NULL, accepted_body = NULL, written_body = NULL
    WHERE b.infobase = y.infobase AND b.ref_key = ref AND (y.bas_ref IS NULL OR b.data_version IS DISTINCT FROM forget_before_adoption.data_version);
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION forget_before_adoption(order_sync, uuid, text) IS 'At the first reading after adopt(): forgets what was sent before, where the original may have written since';

-- After a write of unknown outcome the document tells whether it arrived: all that it was to change is there, or the values accepted before still
-- count. What BAS, or its user, did to other properties says nothing. A property that BAS is known to keep otherwise than sent is there when it is
-- another than before the write.
CREATE FUNCTION unwritten(b bas_order, held jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(w.key, w.value)
    FROM jsonb_each(CASE WHEN b.accepted_body IS NOT NULL OR b.written_body IS NULL THEN odata_wanted(changed_properties(b.sent_body, b.accepted_body), held) END) w
    WHERE (b.differences ? w.key AND held -> w.key IS DISTINCT FROM b.read_body -> w.key) IS NOT TRUE);
END $$;
COMMENT ON FUNCTION unwritten(bas_order, jsonb) IS 'Of what the last write was to change, what the document as read does not hold; NULL when it is all there';

CREATE FUNCTION note_document_read(account text, order_id bigint, y order_sync, ref uuid, body jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO bas_order AS b (infobase, ref_key, account, order_id, number, posted, deleted, data_version, read_body, read_at)
    VALUES (y.infobase, ref, account, order_id, body ->> 'Number', json_flag(body -> 'Posted'), json_flag(body -> 'DeletionMark'), body ->> 'DataVersion', body, clock())
    ON CONFLICT (infobase, ref_key) DO UPDATE SET
        number = excluded.number, posted = excluded.posted, deleted = excluded.deleted, data_version = excluded.data_version, read_body = excluded.read_body, read_at = excluded.read_at,
        written_body = CASE WHEN y.write_unsure AND (b.written_body IS NULL OR b.accepted_body IS NOT NULL AND unwritten(b, body) IS NULL)
                            THEN coalesce(b.written_body, '{}') || same_keys(body, changed_properties(b.sent_body, b.accepted_body)) ELSE b.written_body END,
        accepted_body = CASE WHEN y.write_unsure AND unwritten(b, body) IS NULL THEN NULL
                             WHEN y.write_unsure AND b.written_body IS NULL THEN coalesce(b.accepted_body, '{}') ELSE b.accepted_body END,
        differences = CASE WHEN y.write_unsure THEN odata_differences(b.sent_body, body) ELSE b.differences END,
        lineage = CASE WHEN y.write_unsure AND b.lineage = '{}' THEN lineage_of(b.sent_body, b.sent_version, property_rules(b.account) || coalesce((SELECT h.rules FROM header_lineages(order_keys(b.account, b.order_id)) h), '{}'))
                       WHEN y.write_unsure AND b.accepted_body IS NOT NULL AND unwritten(b, body) IS NULL
                       THEN b.lineage || lineage_of(changed_properties(b.sent_body, b.accepted_body), b.sent_version, property_rules(b.account) || coalesce((SELECT h.rules FROM header_lineages(order_keys(b.account, b.order_id)) h), '{}')) ELSE b.lineage END;
END $$;
COMMENT ON FUNCTION note_document_read(text, bigint, order_sync, uuid, jsonb) IS 'Keeps a document as read';

CREATE FUNCTION note_products(infobase text, profile text, asked jsonb, rows jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    n jsonb := property_names(profile, 'product');
    stock_kind text := profile_constant(profile, 'product', 'stock_kind');
BEGIN
    INSERT INTO bas_product AS p (infobase, sku, state, ref_key, name, unit, vat_rate, is_stock, uses_characteristics, candidates, pinned, checked_at)
    SELECT note_products.infobase, f.sku, CASE f.alive WHEN 0 THEN 'absent' WHEN 1 THEN 'found' ELSE 'several' END,
           (f.one ->> 'Ref_Key')::uuid, f.one ->> (n ->> 'name'), nil_free(f.one ->> (n ->> 'unit')), nullif(nullif(btrim(f.one ->> (n ->> 'vat_rate')), ''), '00000000-0000-0000-0000-000000000000'), f.one ->> (n ->> 'kind') = stock_kind,
           CASE WHEN NOT n ? 'uses_characteristics' OR f.one ? (n ->> 'uses_characteristics') THEN json_flag(f.one -> (n ->> 'uses_characteristics')) END, f.candidates, f.pinned::uuid, clock()
    FROM (
        SELECT s.sku, s.pinned, count(*) FILTER (WHERE g.alive) AS alive,
               CASE WHEN count(*) FILTER (WHERE g.alive) = 1 THEN (jsonb_agg(g.e) FILTER (WHERE g.alive)) -> 0 END AS one,
               CASE WHEN count(*) FILTER (WHERE g.alive) <> 1 THEN jsonb_agg(jsonb_build_object('ref_key', g.e ->> 'Ref_Key', 'name', g.e ->> (n ->> 'name'), 'alive', g.alive)) FILTER (WHERE g.e IS NOT NULL) END AS candidates
        FROM jsonb_each_text(asked) s (sku, pinned)
        LEFT JOIN (SELECT e, e ->> 'Ref_Key' AS ref, rtrim(e ->> (n ->> 'article')) AS article, NOT json_flag(e -> (n ->> 'deleted')) AND NOT json_flag(e -> (n ->> 'is_folder')) AS alive
                   FROM jsonb_array_elements(rows) e) g ON CASE WHEN s.pinned IS NULL THEN g.article = s.sku ELSE g.ref = s.pinned END
        GROUP BY s.sku, s.pinned) f
    ORDER BY f.sku
    ON CONFLICT (infobase, sku) DO UPDATE SET state = excluded.state, ref_key = excluded.ref_key, name = excluded.name, unit = excluded.unit, vat_rate = excluded.vat_rate,
        is_stock = excluded.is_stock, uses_characteristics = excluded.uses_characteristics, candidates = excluded.candidates, pinned = excluded.pinned, checked_at = excluded.checked_at;
END $$;
COMMENT ON FUNCTION note_products(text, text, jsonb, jsonb) IS 'Keeps what rows of goods say of the SKUs asked for: {sku: pinned Ref_Key or null}; what was asked for and is not among them is kept as absent. By which pin it was asked for is kept too, for it may have changed meanwhile';

CREATE FUNCTION note_orders_done(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE order_sync y SET synced_version = (s.memo ->> 'version')::bigint, synced_at = clock(), force = false, read_version = NULL, not_wanted = NULL, not_wanted_detail = NULL,
        cancel_set = CASE WHEN y.cancel_status IS NOT NULL THEN y.cancel_set END, cancel_before = CASE WHEN y.cancel_status IS NOT NULL THEN y.cancel_before END
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t
    WHERE t.kind = 'order' AND s.step = 'done' AND s.reason IS NULL AND y.account = t.account AND y.order_id = t.key::bigint
      AND (t.state = 'ready' OR t.wish = t.claimed_wish);    -- a resend() that came while the request was out still counts
END $$;
COMMENT ON FUNCTION note_orders_done(plan_step[]) IS 'Keeps which orders became right';

CREATE FUNCTION note_orders_parked(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO order_event (account, order_id, event, version, text, detail)
    SELECT t.account, t.key::bigint, 'parked', (s.memo ->> 'version')::bigint, s.detail, jsonb_build_object('reason', s.reason, 'hint', s.hint)
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t
    WHERE t.kind = 'order' AND s.step = 'park' AND (t.reason, t.detail) IS DISTINCT FROM (s.reason, s.detail);
END $$;
COMMENT ON FUNCTION note_orders_parked(plan_step[]) IS 'Tells which orders were parked';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, note_function) VALUES ('order', 'shipped', 'salesdrive.plan_order', 'salesdrive.settle_order', 'salesdrive.note_order_writes');
