-- Purpose: tasks of kind followup: make the sale of an order, its return, or have the order closed. The order does not wait for them; they wait for the order.
-- Rights: the engine's role and 'operator' (preview); make_followup() is for 'operator'.
--
--      a write unsure ──▶ looked for, by key and marker        (before anything else)
--      made ──▶ posted, if wanted ──▶ done      what people do to it afterwards stays
--      sale:   order right ──▶ read its document ──▶ none of people there ──▶ create        return: sale there ──▶ read it ──▶ the same        close: order right ──▶ its own task closes it

CREATE FUNCTION followup_reading(f followup, i infobase, order_ref uuid, sale_ref uuid, purpose text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    concept text := split_part(purpose, ' ', 2);
    head    text := entity_set(i.profile, concept) || '?$format=json';
    remark  text := property_names(i.profile, concept) ->> 'comment';
    link    text;
BEGIN
    IF purpose LIKE 'find %' THEN    -- such documents of the order, or of the sale, whoever made them
        link := coalesce(CASE f.action WHEN 'sale' THEN property_names(i.profile, 'sale') ->> 'order' ELSE property_names(i.profile, 'return') ->> 'sale' END, property_names(i.profile, concept) ->> 'basis');
        RETURN head || '&$select=' || url_encode(concat_ws(',', 'Ref_Key', 'Number', 'DeletionMark', remark)) || odata_filter(format('%s eq cast(%s,%s)', link, odata_guid(CASE f.action WHEN 'sale' THEN order_ref ELSE sale_ref END), odata_text(entity_set(i.profile, followup_source(f.action)))));
    ELSIF concept = f.action THEN    -- the document itself
        RETURN head || odata_filter(CASE WHEN f.bas_ref IS NOT NULL THEN 'Ref_Key eq ' || odata_guid(f.bas_ref)
            ELSE concat_ws(' or ', 'Ref_Key eq ' || odata_guid(f.ref_key), CASE WHEN i.keeps_ref_key AND NOT coalesce(has_marker(f.sent_body ->> remark, followup_marker(f)), false) THEN NULL ELSE format('substringof(%s,%s)', odata_text(followup_marker(f)), remark) END) END);
    ELSIF concept = 'order' THEN
        RETURN head || odata_filter('Ref_Key eq ' || odata_guid(order_ref));
    ELSIF sale_ref IS NOT NULL THEN
        RETURN head || odata_filter('Ref_Key eq ' || odata_guid(sale_ref));
    END IF;
    RETURN head || odata_filter(format('%s eq cast(%s,%s)', coalesce(property_names(i.profile, 'sale') ->> 'order', property_names(i.profile, 'sale') ->> 'basis'), odata_guid(order_ref), odata_text(entity_set(i.profile, 'order'))));
END $$;
COMMENT ON FUNCTION followup_reading(followup, infobase, uuid, uuid, text) IS 'Address that reads the document itself (by key, else by key and marker), others like it (by their reference to the order, or to the sale), the order, or the sale (by key, else by its reference to the order)';

-- The next step of each. Read-only, so that preview() shows the same.
CREATE FUNCTION followup_steps(wanted followup[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH state AS MATERIALIZED (
        SELECT f, i, y, y.bas_ref, y.number AS order_number, t.id AS task_id, n.id AS order_task, d.deleted AS order_deleted, s AS sale, s.state = 'wanted' AND p.id IS NOT NULL AS sale_pending,
               f.account || ':' || f.order_id AS key, entity_set(i.profile, f.action) AS set, f.action <> 'close' AS is_document,
               (f.source_read_at >= clock() - greatest(i.total_timeout, interval '10 s')) IS NOT TRUE OR f.source_body IS NULL AS unread,
               coalesce(f.source_body = '{}' OR json_flag(f.source_body -> 'DeletionMark'), false) AS source_gone, coalesce(json_flag(f.source_body -> 'Posted'), false) AS source_posted,
               (SELECT format('The order is cancelled (status %s).', c.title) FROM cancellations(order_keys(f.account, f.order_id)) c) AS cancelled
        FROM few(wanted) f JOIN infobase i ON i.name = f.infobase
        LEFT JOIN order_sync y ON y.account = f.account AND y.order_id = f.order_id
        LEFT JOIN bas_order d ON d.infobase = y.infobase AND d.ref_key = y.bas_ref
        LEFT JOIN task t ON t.scope = f.account AND t.kind = 'followup' AND t.key = f.order_id || '/' || f.action
        LEFT JOIN task n ON n.scope = f.account AND n.kind = 'order' AND n.key = f.order_id::text
        LEFT JOIN followup s ON f.action = 'return' AND s.account = f.account AND s.order_id = f.order_id AND s.action = 'sale'
        LEFT JOIN task p ON p.scope = s.account AND p.kind = 'followup' AND p.key = s.order_id || '/sale'
    ), made AS MATERIALIZED (
        SELECT z.*, b.body, document_total((z.i).profile, (z.f).action, b.body) AS sum, round(json_numeric((z.f).source_body -> (property_names((z.i).profile, followup_source((z.f).action)) ->> 'total')), 2) AS total,
               (SELECT string_agg(format('%s (%s.%s)', g.property, g.entity, g.concept), ', ') FROM followup_gaps((z.i).profile, (z.f).action, b.body) g WHERE (z.f).posting) AS gaps,
               NOT EXISTS (SELECT FROM jsonb_each(b.body) e WHERE jsonb_typeof(e.value) = 'array') AS empty
        FROM state z
        LEFT JOIN LATERAL (SELECT followup_document(z.f, (z.i).profile, z.bas_ref) AS body WHERE z.is_document AND z.set IS NOT NULL AND (z.f).bas_ref IS NULL AND NOT z.unread AND NOT z.source_gone OFFSET 0) b ON true
    )
    SELECT m.task_id, w.step, w.purpose, CASE WHEN w.purpose ~ '^(create|post) ' THEN 'POST' WHEN w.step = 'request' THEN 'GET' END,
           CASE WHEN w.purpose ~ '^(read|find) ' THEN followup_reading(m.f, m.i, m.bas_ref, coalesce((m.sale).bas_ref, (m.f).source_ref), w.purpose) WHEN w.purpose LIKE 'create %' THEN m.set WHEN w.purpose LIKE 'post %' THEN m.set || '(' || odata_guid((m.f).bas_ref) || ')/Post' END,
           CASE WHEN w.purpose LIKE 'create %' THEN jsonb_build_object('Ref_Key', (m.f).ref_key) || m.body END,
           NULL::jsonb, coalesce(w.purpose LIKE 'create %', false), w.run_at, w.reason, w.detail, w.hint, w.blocked_on
    FROM made m
    CROSS JOIN LATERAL (SELECT 'order:' || m.key AS order_cause, followup_name((m.f).action) AS name, clock() + interval '1 day' AS later, creation_next((m.f).writing IS NOT NULL, (m.f).unsure_until, (m.f).asked_early, (m.f).must_read) AS next) c
    CROSS JOIN LATERAL (
        SELECT 'wait' AS step, NULL AS purpose, (m.f).unsure_until AS run_at, 'unsure' AS reason, 'A write without an answer may still be at work in BAS.' AS detail, NULL AS hint, NULL AS blocked_on
                  WHERE c.next = 'wait'
        UNION ALL SELECT 'request', 'read ' || (m.f).action, NULL, NULL, NULL, NULL, NULL WHERE m.is_document AND m.set IS NOT NULL AND c.next = 'look'
        UNION ALL SELECT 'done', NULL, NULL, NULL, NULL, NULL, NULL WHERE (m.f).state <> 'wanted'
        UNION ALL SELECT 'park', NULL, NULL, 'order_skipped', 'The order was taken out of the exchange by skip().', format('SELECT salesdrive.resume(%L, %s);', (m.f).account, (m.f).order_id), NULL WHERE (m.y).skipped_at IS NOT NULL
        -- made already
        UNION ALL SELECT 'park', NULL, NULL, 'deleted_in_bas', format('%s %s is marked for deletion in BAS: it is left so.', c.name, (m.f).number), 'Remove the mark in BAS and call resume(); or leave it: who has the level admin deletes its row of salesdrive.task.', NULL
                  WHERE (m.f).bas_ref IS NOT NULL AND (m.f).deleted
        UNION ALL SELECT 'park', NULL, NULL, 'followup_sum', format('%s %s: BAS holds a sum of %s, and %s was sent.', c.name, (m.f).number, held.sum, sent.sum), 'Compare followup.sent_body with the document, mend it in BAS, and call resume(); post it there if it is right as it is.', NULL
                  FROM (SELECT document_total((m.i).profile, (m.f).action, (m.f).read_body) AS sum) held, (SELECT document_total((m.i).profile, (m.f).action, (m.f).sent_body) AS sum) sent
                  WHERE m.is_document AND (m.f).bas_ref IS NOT NULL AND NOT coalesce((m.f).posted, false) AND held.sum IS DISTINCT FROM sent.sum
        UNION ALL SELECT 'request', 'post ' || (m.f).action, NULL, NULL, NULL, NULL, NULL WHERE m.is_document AND (m.f).bas_ref IS NOT NULL AND (m.f).posting AND NOT coalesce((m.f).posted, false)
        UNION ALL SELECT 'done', NULL, NULL, NULL, NULL, NULL, NULL WHERE m.is_document AND (m.f).bas_ref IS NOT NULL
        -- what the profile says
        UNION ALL SELECT 'park', NULL, NULL, 'profile', format('Profile "%s" does not say what the %s document is called: that is to be verified in the configuration.', (m.i).profile, CASE (m.f).action WHEN 'sale' THEN 'sales' ELSE 'return' END),
                         format('Look its set and properties up in $metadata and give profile_entity and profile_property rows of profile %L, concepts %s and %s_line; then resume() goes on. profile_reference shows those of other profiles.', (m.i).profile, (m.f).action, (m.f).action),
                         format('profile:%s:', (m.i).name) WHERE m.is_document AND (m.set IS NULL OR entity_set((m.i).profile, (m.f).action || '_line') IS NULL)
        UNION ALL SELECT 'park', NULL, NULL, 'not_published', format('Infobase "%s" does not publish %s.', (m.i).name, m.set), 'Add it to the composition of the OData interface, SELECT salesdrive.load_metadata(…), and call resume().', NULL
                  WHERE m.is_document AND EXISTS (SELECT FROM metadata_load l WHERE l.infobase = (m.i).name) AND NOT publishes((m.i).name, m.set)
        UNION ALL SELECT 'done', NULL, NULL, 'cancelled', m.cancelled || ' No sales document is made.', NULL, NULL WHERE (m.f).action = 'sale' AND m.cancelled IS NOT NULL AND (m.f).side <> 'hand'
        UNION ALL SELECT 'done', NULL, NULL, 'no_sale', 'The order has no document in BAS, so no sales document was made from it: there is nothing to return.', NULL, NULL
                  WHERE (m.f).action = 'return' AND m.bas_ref IS NULL AND m.order_task IS NULL AND (m.sale).bas_ref IS NULL AND m.sale_pending IS NOT TRUE
        -- the order first
        UNION ALL SELECT 'wait', NULL, c.later, 'order', CASE WHEN m.bas_ref IS NULL THEN 'The order has no document in BAS yet.' ELSE 'The document of the order is not right yet.' END, NULL, c.order_cause
                  WHERE m.bas_ref IS NULL OR (m.f).action <> 'return' AND NOT coalesce(m.order_deleted, false) AND NOT ((m.f).action = 'close' AND (m.f).due) AND (m.order_task IS NOT NULL OR (m.y).synced_version IS NULL)
        -- close
        UNION ALL SELECT 'done', NULL, NULL, 'nothing_to_close', format('Orders of profile "%s" have no status that could be closed.', (m.i).profile), NULL, NULL FROM closing(m.f, (m.i).profile) x WHERE (m.f).action = 'close' AND x.problem = 'nothing_to_close'
        UNION ALL SELECT 'wait', NULL, NULL, 'dictionary', format('The list of status is being read from infobase "%s".', (m.i).name), NULL, format('dictionary:%s:status', (m.i).name) FROM closing(m.f, (m.i).profile) x WHERE (m.f).action = 'close' AND x.problem = 'dictionary'
        UNION ALL SELECT 'park', NULL, NULL, 'close_status', x.detail, 'It is the constant of concept closed, entity closing, in profile_property: give a row of yours; it goes on by itself.', format('profile:%s:', (m.i).name)
                  FROM closing(m.f, (m.i).profile) x WHERE (m.f).action = 'close' AND x.problem = 'close_status'
        UNION ALL SELECT 'park', NULL, NULL, 'close_unknown', format('How an order of profile "%s" is closed is not known publicly: it is to be verified in the configuration.', (m.i).profile),
                         format('Say which status a closed order has: INSERT INTO salesdrive.profile_property (profile, entity, concept, constant) VALUES (%L, ''closing'', ''closed'', ''"name, code or Ref_Key"''); the order needs a property of concept status, too.', (m.i).profile), format('profile:%s:', (m.i).name)
                  FROM closing(m.f, (m.i).profile) x WHERE (m.f).action = 'close' AND x.problem = 'close_unknown'
        UNION ALL SELECT 'park', NULL, NULL, 'order_not_closed', 'The order was not closed' || coalesce(': ' || (m.y).not_wanted_detail, '.'), 'See what keeps the order from BAS, and call resume(task_id).', NULL WHERE (m.f).action = 'close' AND (m.f).due AND m.order_task IS NULL
        UNION ALL SELECT 'wait', NULL, c.later, 'closing', 'The task of the order closes it.', NULL, c.order_cause WHERE (m.f).action = 'close'
        -- return: of which sale
        UNION ALL SELECT 'wait', NULL, c.later, 'sale', 'Its sales document is not ready yet.', NULL, format('followup:%s/sale', m.key) WHERE (m.f).action = 'return' AND m.sale_pending
        UNION ALL SELECT 'done', NULL, NULL, 'no_sale', 'No sales document was made from the order: there is nothing to return.', NULL, NULL
                  WHERE (m.f).action = 'return' AND (m.sale).bas_ref IS NULL AND (NOT (m.f).foreign_sale OR NOT m.unread AND m.source_gone)
        -- the document it is made from, as BAS holds it
        UNION ALL SELECT 'request', 'read ' || followup_source((m.f).action), NULL, NULL, NULL, NULL, NULL WHERE m.unread
        UNION ALL SELECT 'park', NULL, NULL, 'sale_several', format('Several sales documents were made from the order: %s.', (SELECT string_agg(btrim(e ->> 'Number'), ', ' ORDER BY e ->> 'Number') FROM jsonb_array_elements((m.f).source_body -> 'several') e)),
                         'Make the return in BAS, or mark those that do not count for deletion and call resume().', NULL WHERE (m.f).source_body ? 'several'
        UNION ALL SELECT 'done', NULL, NULL, 'no_sale', format('Sales document %s is marked for deletion in BAS, or gone: there is nothing to return.', coalesce((m.f).source_body ->> 'Number', (m.sale).number)), NULL, NULL WHERE (m.f).action = 'return' AND m.source_gone
        UNION ALL SELECT 'park', NULL, NULL, 'deleted_in_bas', format('Document %s of the order is marked for deletion in BAS, or gone: no sales document is made from it.', m.order_number), 'Remove the mark in BAS and call resume(task_id); if it is gone, resend() makes a new one.', NULL WHERE m.source_gone
        UNION ALL SELECT 'park', NULL, NULL, 'sale_not_posted', format('Sales document %s is not posted in BAS: nothing was shipped by it.', (m.f).source_body ->> 'Number'), 'Post it, or mark it for deletion; then call resume().', NULL WHERE (m.f).action = 'return' AND NOT m.source_posted
        UNION ALL SELECT 'park', NULL, NULL, 'order_not_posted', format('Document %s of the order is not posted in BAS, and the sales document made from it is to be posted.', m.order_number), 'Post it in BAS, or set account.posting; it goes on when the order is looked at next, or at resume(task_id).', c.order_cause
                  WHERE (m.f).action = 'sale' AND (m.f).posting AND NOT m.source_posted
        UNION ALL SELECT 'done', NULL, NULL, 'nothing_to_return', 'The sales document has no goods.', NULL, NULL WHERE (m.f).action = 'return' AND m.empty
        UNION ALL SELECT 'park', NULL, NULL, 'followup_sum', format('The rows of document %s add up to %s, and its sum is %s.', m.order_number, m.sum, m.total), 'Mend the document in BAS and call resume(task_id). Rows of sections that the sales document does not take over do not count.', NULL
                  WHERE (m.f).action = 'sale' AND m.total IS NOT NULL AND m.sum IS DISTINCT FROM m.total
        UNION ALL SELECT 'park', NULL, NULL, 'followup_property', format('BAS needs more to post the document than the one it is made from gives: %s.', m.gaps),
                         format('Give constants: INSERT INTO salesdrive.profile_property (profile, entity, concept, property, edm_type, constant) VALUES (%L, ''%s'', ''…'', ''…'', ''Edm.Guid'', ''"the Ref_Key"''); or have it not posted from here.', (m.i).profile, (m.f).action), format('profile:%s:', (m.i).name) WHERE m.gaps IS NOT NULL
        -- none beside one that people made; who asks by hand knows
        UNION ALL SELECT 'request', 'find ' || (m.f).action, NULL, NULL, NULL, NULL, NULL WHERE (m.f).side <> 'hand' AND ((m.f).looked_at BETWEEN clock() - 3 * greatest((m.i).total_timeout, interval '10 s') AND clock()) IS NOT TRUE
        UNION ALL SELECT 'done', NULL, NULL, 'made_by_people', format('%s %s was made from the %s by people: none is made beside it.', c.name, (m.f).other, followup_source((m.f).action)), NULL, NULL WHERE (m.f).side <> 'hand' AND (m.f).other IS NOT NULL
        UNION ALL SELECT 'request', 'create ' || (m.f).action, NULL, NULL, NULL, NULL, NULL
        LIMIT 1) w;
END $$;
COMMENT ON FUNCTION followup_steps(followup[]) IS 'Next step of each document that is to follow an order: the first of the rules that applies, in their order; done with a reason: it is dropped for it';

CREATE FUNCTION plan_followup(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted followup[] := ARRAY(SELECT f FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t JOIN followup f ON f.account = t.account AND f.order_id = split_part(t.key, '/', 1)::bigint AND f.action = split_part(t.key, '/', 2) ORDER BY t.account, t.key);
    steps  plan_step[];
BEGIN
    SELECT array_agg(s) INTO steps FROM followup_steps(wanted) s;
    PERFORM note_followups_ended(steps);
    PERFORM close_orders(steps);
    RETURN QUERY SELECT * FROM few(steps);
    RETURN QUERY SELECT k, 'done', NULL::text, NULL::text, NULL::text, NULL::jsonb, NULL::jsonb, NULL::boolean, NULL::timestamptz, NULL::text, NULL::text, NULL::text, NULL::text FROM few(tasks) k WHERE NOT EXISTS (SELECT FROM few(steps) s WHERE s.task_id = k);
END $$;
COMMENT ON FUNCTION plan_followup(bigint[]) IS 'Plan of kind followup';

CREATE FUNCTION note_followups_ended(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    WITH ended AS (
        UPDATE followup f SET state = CASE WHEN s.reason IS NULL THEN 'done' ELSE 'dropped' END, reason = s.reason, detail = s.detail, done_at = clock(), source_body = NULL, remake = false, due = false
        FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t
        WHERE s.step = 'done' AND f.account = t.account AND f.order_id = split_part(t.key, '/', 1)::bigint AND f.action = split_part(t.key, '/', 2) AND f.state = 'wanted'
        RETURNING f.account, f.order_id, f.action, f.state, f.reason, f.detail
    )
    INSERT INTO order_event (account, order_id, event, text, detail)
    SELECT e.account, e.order_id, 'followup_dropped', e.detail, jsonb_build_object('action', e.action, 'reason', e.reason) FROM ended e WHERE e.state = 'dropped';
    UPDATE followup f SET source_body = NULL FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t    -- by the time it goes on it may be another
    WHERE s.step = 'park' AND f.account = t.account AND f.order_id = split_part(t.key, '/', 1)::bigint AND f.action = split_part(t.key, '/', 2) AND f.source_body IS NOT NULL;
    INSERT INTO order_event (account, order_id, event, text, detail)
    SELECT t.account, split_part(t.key, '/', 1)::bigint, 'followup_parked', s.detail, jsonb_build_object('action', split_part(t.key, '/', 2), 'reason', s.reason, 'hint', s.hint)
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t WHERE s.step = 'park' AND (t.reason, t.detail) IS DISTINCT FROM (s.reason, s.detail);
END $$;
COMMENT ON FUNCTION note_followups_ended(plan_step[]) IS 'Keeps and tells which documents are done, dropped, or cannot go on';

CREATE FUNCTION close_orders(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    orders order_key[];
BEGIN
    WITH due AS (
        UPDATE followup f SET due = true FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t
        WHERE s.step = 'wait' AND s.reason = 'closing' AND f.account = t.account AND f.order_id = split_part(t.key, '/', 1)::bigint AND f.action = 'close' AND f.state = 'wanted' AND NOT f.due
        RETURNING f.account, f.order_id
    )
    SELECT array_agg((d.account, d.order_id)::order_key) INTO orders FROM due d WHERE NOT EXISTS (SELECT FROM task n WHERE n.scope = d.account AND n.kind = 'order' AND n.key = d.order_id::text);
    IF orders IS NOT NULL THEN
        PERFORM enqueue_orders(orders, 2::smallint);
    END IF;
END $$;
COMMENT ON FUNCTION close_orders(plan_step[]) IS 'Has the tasks of orders close them, now that they are right';

-- Before a write leaves.
CREATE FUNCTION note_followup_writes(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE followup f SET writing = split_part(s.purpose, ' ', 1), (unsure_until, asked_early) = (SELECT n.unsure_until, n.asked_early FROM creation_note('sent', longest_write(i)) n),
        sent_body = CASE WHEN s.creates THEN s.body - 'Ref_Key' ELSE f.sent_body END, sent_at = CASE WHEN s.creates THEN clock() ELSE f.sent_at END
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN infobase i ON i.name = t.infobase
    WHERE s.method <> 'GET' AND f.account = t.account AND f.order_id = split_part(t.key, '/', 1)::bigint AND f.action = split_part(t.key, '/', 2);
END $$;
COMMENT ON FUNCTION note_followup_writes(plan_step[]) IS 'Before documents that follow orders are written: what is sent, and that its outcome is unsure from now on';

-- Answers.

CREATE FUNCTION tell_followup(f followup, word text, how text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    differences jsonb := CASE word WHEN 'created' THEN odata_differences(f.sent_body, f.read_body) END;
BEGIN
    INSERT INTO order_event (account, order_id, event, text, detail)
    VALUES (f.account, f.order_id, f.action || '_' || word, format('%s %s %s%s%s.', followup_name(f.action), f.number, word, how, ', but BAS did not keep as sent: ' || key_list(differences)),
            jsonb_strip_nulls(jsonb_build_object('document', f.bas_ref, 'differences', differences)));
END $$;
COMMENT ON FUNCTION tell_followup(followup, text, text) IS 'Keeps in the history of an order what was made of a document that follows it';

CREATE FUNCTION settle_followup_source(f followup, i infobase, result http_result, purpose text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    sale  followup;
    found jsonb;
    ref   uuid;
BEGIN
    IF f.action = 'return' THEN
        SELECT * INTO sale FROM followup s WHERE s.account = f.account AND s.order_id = f.order_id AND s.action = 'sale' AND s.bas_ref IS NOT NULL;
    END IF;
    SELECT jsonb_agg(e ORDER BY e ->> 'Number') INTO found FROM result_rows(result) e
    WHERE purpose <> 'read sale' OR sale.bas_ref = nil_free(e ->> 'Ref_Key') OR sale.bas_ref IS NULL AND NOT json_flag(e -> 'DeletionMark');
    ref := nil_free(found -> 0 ->> 'Ref_Key');
    UPDATE followup x SET source_ref = CASE WHEN jsonb_array_length(found) = 1 THEN ref ELSE coalesce(sale.bas_ref, x.source_ref) END, source_read_at = clock(),
        source_body = CASE WHEN jsonb_array_length(found) > 1 THEN jsonb_build_object('several', found) ELSE coalesce(found -> 0, '{}') END
    WHERE x.account = f.account AND x.order_id = f.order_id AND x.action = f.action;
    IF sale.bas_ref IS NOT NULL THEN
        UPDATE followup x SET posted = json_flag(found -> 0 -> 'Posted'), deleted = found IS NULL OR json_flag(found -> 0 -> 'DeletionMark'), read_body = coalesce(found -> 0, x.read_body), read_at = clock()
        WHERE x.account = sale.account AND x.order_id = sale.order_id AND x.action = 'sale';
    END IF;
END $$;
COMMENT ON FUNCTION settle_followup_source(followup, infobase, http_result, text) IS 'Takes in the document that a sale or a return is made from, as BAS holds it';

-- One of ours that is not known here is taken in before anything else.
CREATE FUNCTION settle_followup_others(f followup, i infobase, result http_result) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE followup x SET looked_at = clock(), other = o.number, must_read = x.must_read OR o.ours
    FROM (SELECT string_agg(btrim(e ->> 'Number'), ', ' ORDER BY e ->> 'Number') FILTER (WHERE NOT w.ours AND NOT json_flag(e -> 'DeletionMark')) AS number, coalesce(bool_or(w.ours), false) AS ours
          FROM result_rows(result) e CROSS JOIN LATERAL (SELECT coalesce(nil_free(e ->> 'Ref_Key') = f.ref_key OR i.keeps_ref_key IS NOT TRUE AND has_marker(e ->> (property_names(i.profile, f.action) ->> 'comment'), followup_marker(f)), false) AS ours) w) o
    WHERE x.account = f.account AND x.order_id = f.order_id AND x.action = f.action;
END $$;
COMMENT ON FUNCTION settle_followup_others(followup, infobase, http_result) IS 'Takes in which sales of an order, or returns of a sale, are there: those of others, and whether one is ours';

CREATE FUNCTION note_followup(f followup, word text, until timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE followup x SET (writing, unsure_until, asked_early) = (SELECT CASE WHEN n.write_unsure THEN x.writing END, n.unsure_until, n.asked_early FROM creation_note(word, until) n)
    WHERE x.account = f.account AND x.order_id = f.order_id AND x.action = f.action;
END $$;
COMMENT ON FUNCTION note_followup(followup, text, timestamptz) IS 'Notes what is known of a write (creation_note); a posting is unsure, early or over just as a creation is';

CREATE FUNCTION settle_followup_read(f followup, i infobase, t task, result http_result) RETURNS text
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    comment text := property_names(i.profile, f.action) ->> 'comment';
    found   jsonb;
    seen    text;
    n       followup;
BEGIN
    SELECT e INTO found FROM result_rows(result) e
    WHERE nil_free(e ->> 'Ref_Key') IN (f.bas_ref, f.ref_key) OR f.bas_ref IS NULL AND has_marker(e ->> comment, followup_marker(f))
    ORDER BY nil_free(e ->> 'Ref_Key') IS NOT DISTINCT FROM f.bas_ref DESC, nil_free(e ->> 'Ref_Key') = f.ref_key DESC LIMIT 1;
    seen := creation_seen(CASE WHEN f.bas_ref IS NULL THEN found IS NOT NULL ELSE f.writing IS DISTINCT FROM 'post' OR found IS NULL OR json_flag(found -> 'Posted') END, f.writing IS NOT NULL, f.unsure_until, result.started_at);
    PERFORM note_followup(f, seen, f.unsure_until);
    PERFORM note_creation(i.name, t.id, seen, CASE WHEN f.bas_ref IS NULL AND found IS NOT NULL THEN nil_free(found ->> 'Ref_Key') = f.ref_key END);
    IF seen = 'early' THEN
        RETURN seen;
    ELSIF found IS NULL THEN
        UPDATE followup x SET must_read = false, bas_ref = CASE WHEN NOT f.remake THEN x.bas_ref END, deleted = x.bas_ref IS NOT NULL AND NOT f.remake, posted = false, read_at = clock()
        WHERE x.account = f.account AND x.order_id = f.order_id AND x.action = f.action;
        RETURN seen;
    END IF;
    UPDATE followup x SET must_read = false, bas_ref = nil_free(found ->> 'Ref_Key'), number = btrim(found ->> 'Number'),
        posted = json_flag(found -> 'Posted'), deleted = json_flag(found -> 'DeletionMark'), read_body = found, read_at = clock(), sent_body = coalesce(x.sent_body, found)
    WHERE x.account = f.account AND x.order_id = f.order_id AND x.action = f.action RETURNING x.* INTO n;
    IF f.bas_ref IS NULL THEN
        PERFORM tell_followup(n, 'found', ' in BAS by read-back');
    ELSIF f.writing = 'post' AND n.posted THEN
        PERFORM tell_followup(n, 'posted', ', as reading it back shows');
    END IF;
    RETURN seen;
END $$;
COMMENT ON FUNCTION settle_followup_read(followup, infobase, task, http_result) IS 'Takes in a read-back of a sale or return: by our key or our exact marker, or its absence; returns what it showed (creation_seen)';

CREATE FUNCTION settle_followup_created(f followup, body jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    n followup;
BEGIN
    UPDATE followup x SET bas_ref = nil_free(body ->> 'Ref_Key'), number = btrim(body ->> 'Number'), posted = json_flag(body -> 'Posted'), deleted = json_flag(body -> 'DeletionMark'),
        read_body = body, read_at = clock()
    WHERE x.account = f.account AND x.order_id = f.order_id AND x.action = f.action RETURNING x.* INTO n;
    PERFORM tell_followup(n, 'created', '');
END $$;
COMMENT ON FUNCTION settle_followup_created(followup, jsonb) IS 'Takes in a sale or return that was created';

CREATE FUNCTION settle_followup(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r    record;
    s    plan_step;
    n    followup;
    word text;
BEGIN
    FOR r IN SELECT f, i, t::task AS task, u::http_result AS result, u.class, u.odata_code, t.purpose, result_json(u) AS body, answered_write(i, u.started_at) AS unsure
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = t.infobase
             JOIN followup f ON f.account = t.account AND f.order_id = split_part(t.key, '/', 1)::bigint AND f.action = split_part(t.key, '/', 2) ORDER BY t.account, t.key
    LOOP
        s := NULL;
        s.task_id := (r.task).id;
        s.step := 'again';
        IF r.purpose ~ '^(read|find) ' THEN
            CONTINUE WHEN r.class <> 'ok';
            IF r.purpose LIKE 'find %' THEN
                PERFORM settle_followup_others(r.f, r.i, r.result);
            ELSIF split_part(r.purpose, ' ', 2) <> (r.f).action THEN
                PERFORM settle_followup_source(r.f, r.i, r.result, r.purpose);
            ELSIF settle_followup_read(r.f, r.i, r.task, r.result) = 'hidden' THEN
                s := hidden_step((r.task).id, (r.f).ref_key, 'document');
            END IF;
        ELSE
            word := CASE WHEN r.purpose LIKE 'create %' THEN creation_said(r.class, r.odata_code, nil_free(r.body ->> 'Ref_Key')) WHEN r.class = 'unknown_outcome' THEN 'unsure' WHEN r.class = 'ok' THEN 'made' ELSE 'refused' END;
            PERFORM note_followup(r.f, word, r.unsure);
            IF r.purpose LIKE 'create %' THEN
                PERFORM note_creation((r.i).name, (r.task).id, word, CASE word WHEN 'made' THEN nil_free(r.body ->> 'Ref_Key') = (r.f).ref_key END);
            END IF;
            IF word = 'made' AND r.purpose LIKE 'create %' THEN
                PERFORM settle_followup_created(r.f, r.body);
            ELSIF word = 'made' THEN
                UPDATE followup x SET posted = true WHERE x.account = (r.f).account AND x.order_id = (r.f).order_id AND x.action = (r.f).action RETURNING x.* INTO n;
                PERFORM tell_followup(n, 'posted', '');
            ELSIF word = 'refused' THEN    -- the document it is made from may be another by the next try
                UPDATE followup x SET source_body = NULL WHERE x.account = (r.f).account AND x.order_id = (r.f).order_id AND x.action = (r.f).action;
                CONTINUE;
            END IF;
        END IF;
        RETURN NEXT s;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_followup(http_result[]) IS 'Settle of kind followup; what its class says is left to class_step()';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, note_function) VALUES ('followup', 'shipped', 'salesdrive.plan_followup', 'salesdrive.settle_followup', 'salesdrive.note_followup_writes');

-- Closing: what the task of the order wrote. The status that was written comes back, and is no change.

CREATE FUNCTION note_closing_write(account text, order_id bigint, held jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE order_sync y SET crm_status = o.status_id, bas_status = held_status(held, property_names(i.profile, 'order') ->> 'status'), agreed_at = clock(), needs_post = json_flag(held -> 'Posted')
    FROM crm_order o, infobase i
    WHERE y.account = note_closing_write.account AND y.order_id = note_closing_write.order_id AND o.account = y.account AND o.order_id = y.order_id AND i.name = y.infobase;
END $$;
COMMENT ON FUNCTION note_closing_write(text, bigint, jsonb) IS 'Keeps that an order was closed from here: its status counts as agreed, and it is posted again if it was posted';

CREATE FUNCTION settle_order_closed(answers order_answer[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM note_closing_write(a.account, a.order_id, a.body) FROM few(answers) a;
    UPDATE order_sync y SET cancel_write = NULL FROM few(answers) a WHERE y.account = a.account AND y.order_id = a.order_id;
    UPDATE bas_order b SET posted = json_flag(a.body -> 'Posted'), deleted = json_flag(a.body -> 'DeletionMark'), data_version = a.body ->> 'DataVersion', read_body = a.body, read_at = clock()
    FROM few(answers) a WHERE b.infobase = a.infobase AND b.ref_key = a.ref_key;
END $$;
COMMENT ON FUNCTION settle_order_closed(order_answer[]) IS 'Takes in documents that were closed';

-- Orders that are right let those go on that waited for them.
CREATE FUNCTION wake_followups(orders order_key[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    causes text[];
BEGIN
    IF NOT EXISTS (SELECT FROM few(orders) k JOIN followup f ON f.account = k.account AND f.order_id = k.order_id AND f.state = 'wanted') THEN
        RETURN;
    END IF;
    PERFORM note_closings(orders);
    SELECT array_agg('order:' || k.account || ':' || k.order_id) INTO causes FROM few(orders) k;
    PERFORM wake_blocked(causes);
END $$;
COMMENT ON FUNCTION wake_followups(order_key[]) IS 'Makes the documents due that waited for orders, which are right now';

CREATE FUNCTION make_followup(account text, order_id bigint, action text, posting boolean DEFAULT NULL, foreign_sale boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    o crm_order := require_order(account, order_id);
BEGIN
    IF action IS NULL OR action NOT IN ('sale', 'close', 'return') THEN
        RAISE EXCEPTION 'there is no action "%"', action USING ERRCODE = '22023', HINT = 'Actions: sale, close, return.';
    END IF;
    PERFORM want_followups(ARRAY[(o.account, o.order_id, action, 'hand', NULL, coalesce(posting, (SELECT f.posting FROM followup f WHERE f.account = o.account AND f.order_id = o.order_id AND f.action = make_followup.action), false),
                                  coalesce(foreign_sale, false), clock())::followup_wish]);
    RETURN (SELECT t.id FROM task t WHERE t.scope = o.account AND t.kind = 'followup' AND t.key = o.order_id || '/' || make_followup.action);
END $$;
COMMENT ON FUNCTION make_followup(text, bigint, text, boolean, boolean) IS 'Makes the sale of an order, its return, or closes it, also without a rule: sale, close or return; one that was made is looked at again, posted again if that is wanted, and made anew if it is gone; returns the task';
