-- Purpose: what becomes of the document of a cancelled order, and of one that lives again; and what is kept and told of it.
-- Rights: the engine's role and 'operator' (preview); readers read the view.
--
--      cancelled ──▶ no document: none is made · marked already: right · else read it ──▶ posted: unpost, if allowed ──▶ mark ──▶ right
--      lives again ──▶ read it ──▶ marked from here: take the mark off, then on as any order · marked in BAS: parked
--
-- order_sync.mark tells whose mark it is: BAS refuses to mark a posted document and to post a marked one, and a mark that people set or took off stays so.

CREATE FUNCTION cancel_decisions(orders order_key[], cancelled cancellation[]) RETURNS order_decision[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    statuses status_decision[];
BEGIN
    SELECT array_agg(d) INTO statuses FROM status_decisions(ARRAY(SELECT (c.account, c.order_id)::order_key FROM few(cancelled) c WHERE c.action = 'set_status'), cancelled) d WHERE d.properties IS NOT NULL AND d.reason IS NULL;
    RETURN ARRAY(
    WITH state AS MATERIALIZED (    -- a write of unknown outcome, and skip(), come first, as with any order
        SELECT o.account, o.order_id, o.version, c.status, c.title, c.action, coalesce(c.may_unpost OR y.force, false) AS may_unpost, entity_set(i.profile, 'order') || '(' || odata_guid(y.bas_ref) || ')' AS document, y, y.bas_ref IS NOT NULL AS there,
               coalesce(b.deleted, false) AS deleted, coalesce(b.posted, false) AS posted, b.read_body = '{}' AS gone, b.sent_body IS NOT NULL AS ours, y.read_version IS DISTINCT FROM o.version OR b.read_at < clock() - greatest(i.total_timeout, interval '10 s') AS unread,
               y.mark IS NOT NULL AND y.cancel_status = c.status AS was_marked, CASE WHEN y.force THEN 'free' ELSE a.edit_policy END AS policy, odata_wanted(t.properties, b.read_body) AS status_patch, t.memo AS status_memo,
               p.number AS sold, r.state AS returned, EXISTS (SELECT FROM task q WHERE q.scope = k.account AND q.kind = 'followup' AND q.key = k.order_id || '/return') AS return_task
        FROM few(orders) k
        JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id
        JOIN account a ON a.name = k.account
        JOIN infobase i ON i.name = a.infobase
        LEFT JOIN order_sync y ON y.account = k.account AND y.order_id = k.order_id
        LEFT JOIN bas_order b ON b.infobase = y.infobase AND b.ref_key = y.bas_ref
        JOIN few(cancelled) c ON c.account = k.account AND c.order_id = k.order_id
        LEFT JOIN few(statuses) t ON t.account = k.account AND t.order_id = k.order_id
        LEFT JOIN followup p ON p.account = k.account AND p.order_id = k.order_id AND p.action = 'sale' AND p.bas_ref IS NOT NULL AND NOT coalesce(p.deleted, false)
        LEFT JOIN followup r ON r.account = k.account AND r.order_id = k.order_id AND r.action = 'return'
        WHERE (c.action IS NOT NULL OR y.cancel_status IS NOT NULL OR y.mark IS NOT NULL) AND NOT coalesce(y.write_unsure OR y.must_read, false) AND y.skipped_at IS NULL
    )
    SELECT (s.account, s.order_id, w.step, w.purpose, CASE w.purpose WHEN 'read order' THEN 'GET' WHEN 'unpost order' THEN 'POST' ELSE CASE WHEN w.step = 'request' THEN 'PATCH' END END,
           CASE w.purpose WHEN 'read order' THEN split_part(s.document, '(', 1) || '?$format=json' || odata_filter('Ref_Key eq ' || odata_guid((s.y).bas_ref)) WHEN 'unpost order' THEN s.document || '/Unpost' ELSE CASE WHEN w.step = 'request' THEN s.document END END,
           CASE w.purpose WHEN 'mark order' THEN '{"DeletionMark": true}' WHEN 'unmark order' THEN '{"DeletionMark": false}' WHEN 'change order' THEN s.status_patch END,
           jsonb_build_object('version', s.version) || CASE w.purpose WHEN 'change order' THEN s.status_memo || '{"again": true}' ELSE '{}' END,
           NULL, w.reason, w.detail, w.hint, w.blocked_on, NULL, NULL)::order_decision
    FROM state s
    CROSS JOIN LATERAL (
        -- cancelled
        SELECT 'done', NULL, 'cancelled', format('The order is cancelled (status %s) and has no document in BAS: none is made.', s.title), NULL, NULL
                  WHERE s.action IS NOT NULL AND NOT s.there AND NOT coalesce((s.y).force, false)
        UNION ALL SELECT 'done', NULL, NULL, NULL, NULL, NULL WHERE s.action IS NOT NULL AND s.there AND s.deleted
        UNION ALL SELECT 'done', NULL, 'mark_undone', format('The order is cancelled (status %s), and the mark for deletion of document %s was taken off in BAS: left so.', s.title, (s.y).number), NULL, NULL
                  WHERE s.action = 'mark' AND s.there AND s.was_marked AND NOT (s.y).force
        UNION ALL SELECT 'done', NULL, 'edit_policy', format('Document %s stays as it is: the order is cancelled (status %s), and it would be marked for deletion.', (s.y).number, s.title), NULL, NULL
                  WHERE s.action = 'mark' AND s.there AND s.policy = 'never'
        UNION ALL SELECT 'wait', NULL, 'followup', format('The order is cancelled (status %s): its return document is made first.', s.title), NULL, format('followup:%s:%s/return', s.account, s.order_id)
                  WHERE s.action = 'mark' AND s.there AND s.sold IS NOT NULL AND s.returned = 'wanted' AND s.return_task AND NOT (s.y).force
        UNION ALL SELECT 'done', NULL, 'cancelled_sold', format('The order is cancelled (status %s). Sales document %s was made from it, and a return of that: document %s stays as it is.', s.title, s.sold, (s.y).number), NULL, NULL
                  WHERE s.action = 'mark' AND s.there AND s.sold IS NOT NULL AND s.returned = 'done' AND NOT (s.y).force
        UNION ALL SELECT 'park', NULL, 'cancelled_sold', format('The order is cancelled (status %s), and sales document %s was made from it: document %s is not marked for deletion.', s.title, s.sold, (s.y).number),
                         format('Make the return: SELECT salesdrive.make_followup(%L, %s, ''return''), or by a rule (salesdrive.followup_rule, status %L, action ''return''). resend() marks the document all the same, skip() leaves it.', s.account, s.order_id, s.status),
                         format('followup:%s:%s/return', s.account, s.order_id)
                  WHERE s.action = 'mark' AND s.there AND s.sold IS NOT NULL AND NOT (s.y).force
        UNION ALL SELECT 'request', 'read order', NULL, NULL, NULL, NULL WHERE (s.action = 'mark' OR s.action = 'set_status' AND s.status_patch IS NOT NULL AND s.ours) AND s.there AND s.unread
        UNION ALL SELECT 'park', NULL, 'ask', format('The order is cancelled (status %s): document %s%s would be marked for deletion.', s.title, (s.y).number, CASE WHEN s.posted THEN ', which is posted,' ELSE '' END),
                         'resend() marks it, skip() leaves the document as it is. account.edit_policy is "ask".', format('account:%s:', s.account)
                  WHERE s.action = 'mark' AND s.there AND s.policy = 'ask'
        UNION ALL SELECT 'park', NULL, 'cancelled_posted', format('The order is cancelled (status %s), and its document %s is posted: BAS marks no posted document for deletion, and no rule lets it be unposted.', s.title, (s.y).number),
                         format('Unpost it in BAS and call resume(); or resend() unposts and marks it; or skip() the order. With a row of salesdrive.cancel_rule (account %L, status %L, action ''mark'', may_unpost true) this happens by itself.', s.account, s.status), format('cancel_rule:%s:', s.account)
                  WHERE s.action = 'mark' AND s.there AND s.posted AND NOT s.may_unpost
        UNION ALL SELECT 'request', 'unpost order', NULL, NULL, NULL, NULL WHERE s.action = 'mark' AND s.there AND s.posted
        UNION ALL SELECT 'request', 'mark order', NULL, NULL, NULL, NULL WHERE s.action = 'mark' AND s.there
        UNION ALL SELECT 'request', 'change order', NULL, NULL, NULL, NULL WHERE s.action = 'set_status' AND s.there AND s.status_patch IS NOT NULL AND s.ours    -- whatever else of the order keeps it from going on
        -- lives again
        UNION ALL SELECT 'request', 'read order', NULL, NULL, NULL, NULL WHERE s.action IS NULL AND s.there AND s.unread AND ((s.y).cancel_status IS NOT NULL OR (s.y).mark = 'set')
        UNION ALL SELECT 'park', NULL, 'deleted_in_bas', format('The order lives again, and its document %s is %s.', (s.y).number, CASE WHEN s.gone THEN 'gone from BAS' ELSE 'marked for deletion in BAS, not from here' END),
                         'Remove the mark in BAS and call resume(); if the document is gone, resend() makes a new one; or skip() the order.', NULL
                  WHERE s.action IS NULL AND s.there AND s.deleted AND (s.y).cancel_status IS NOT NULL AND ((s.y).mark IS DISTINCT FROM 'set' OR s.gone)
        UNION ALL SELECT 'park', NULL, 'ask', format('The order lives again: document %s, which was marked for deletion from here, would lose the mark.', (s.y).number),
                         'resend() takes it off, skip() leaves the document as it is. account.edit_policy is "ask".', format('account:%s:', s.account)
                  WHERE s.action IS NULL AND s.there AND s.deleted AND (s.y).mark = 'set' AND s.policy = 'ask'
        UNION ALL SELECT 'done', NULL, 'edit_policy', format('Document %s stays as it is: the order lives again, and it would lose its mark for deletion.', (s.y).number), NULL, NULL
                  WHERE s.action IS NULL AND s.there AND s.deleted AND (s.y).mark = 'set' AND s.policy = 'never'
        UNION ALL SELECT 'request', 'unmark order', NULL, NULL, NULL, NULL WHERE s.action IS NULL AND s.there AND s.deleted AND (s.y).mark = 'set'
        LIMIT 1) w (step, purpose, reason, detail, hint, blocked_on));
END $$;
COMMENT ON FUNCTION cancel_decisions(order_key[], cancellation[]) IS 'Next step of each order that is cancelled, or lives again; none where it goes on as any order';

CREATE FUNCTION cancel_text(c cancellation, number text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN format('Cancelled in SalesDrive: status %s. ', c.title)
        || CASE WHEN number IS NULL THEN 'It has no document in BAS.' ELSE format(CASE c.action WHEN 'mark' THEN 'Document %s is to be marked for deletion.' WHEN 'set_status' THEN 'Document %s is to take the status.' ELSE 'Document %s is left as it is.' END, number) END;
END $$;
COMMENT ON FUNCTION cancel_text(cancellation, text) IS 'That an order was cancelled, and what is to become of its document, as a sentence';

-- A cancellation is told once, whatever versions follow. That an order lives again is told when it is known what its document is by now.
CREATE FUNCTION note_cancellations(decided order_decision[], cancelled cancellation[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    notices text[];
BEGIN
    WITH news AS MATERIALIZED (
        SELECT y.account, y.order_id, y.number, y.cancel_status AS was, c, o.version, o.status_id,
               y.cancel_set IS NOT NULL AND coalesce(y.cancel_before, '') = '' AND mapped_value(y.account, 'status', o.status_id) IS NULL AS left_so
        FROM few(decided) d JOIN order_sync y ON y.account = d.account AND y.order_id = d.order_id JOIN crm_order o ON o.account = d.account AND o.order_id = d.order_id
        JOIN few(cancelled) c ON c.account = d.account AND c.order_id = d.order_id
        WHERE coalesce(d.reason NOT IN ('skipped', 'documents_off', 'filter'), true)
          AND CASE WHEN c.action IS NOT NULL THEN (y.cancel_status, y.cancel_action) IS DISTINCT FROM (c.status, c.action)
                   ELSE y.cancel_status IS NOT NULL AND coalesce(d.reason NOT IN ('unsure', 'deleted_in_bas'), true) AND d.purpose IS DISTINCT FROM 'read order' END
    ), noted AS (
        UPDATE order_sync y SET cancel_status = (n.c).status, cancelled_at = CASE WHEN (n.c).status IS NULL THEN NULL WHEN (n.c).status = n.was THEN y.cancelled_at ELSE clock() END,
            cancel_action = (n.c).action,
            mark = CASE WHEN y.mark = 'undone' AND (n.c).status IS DISTINCT FROM n.was THEN NULL ELSE y.mark END
        FROM news n WHERE y.account = n.account AND y.order_id = n.order_id
        RETURNING y.account, y.order_id
    ), told AS (
        SELECT n.*, CASE WHEN (n.c).status IS NULL THEN 'revived' ELSE 'cancelled' END AS event FROM news n WHERE (n.c).status IS DISTINCT FROM n.was
    ), kept AS (
        INSERT INTO order_event (account, order_id, event, version, text, detail)
        SELECT t.account, t.order_id, t.event, t.version, CASE t.event WHEN 'cancelled' THEN cancel_text(t.c, t.number) ELSE format('Lives again in SalesDrive: status %s.%s', status_title(t.account, t.status_id),
                                                                                  CASE WHEN t.left_so THEN format(' Document %s keeps the status of the cancelled order: value_map does not say what the new one is in BAS, and the one before is not known.', t.number) ELSE '' END) END,
               jsonb_strip_nulls(jsonb_build_object('status', t.status_id, 'action', (t.c).action))
        FROM told t
    )
    SELECT array_agg(jsonb_build_object('event', t.event, 'account', left(t.account, 200), 'order_id', t.order_id, 'status', t.status_id, 'action', (t.c).action, 'document', t.number)::text) INTO notices FROM told t;
    PERFORM pg_notify('salesdrive_order', n) FROM few(notices) n;    -- any role of the database may listen: no names, no sums
END $$;
COMMENT ON FUNCTION note_cancellations(order_decision[], cancellation[]) IS 'Keeps which orders are cancelled, and tells of each that it is, or lives again: an event, and a NOTIFY on channel salesdrive_order at COMMIT';

-- Answers.

CREATE FUNCTION settle_cancellations(answers order_answer[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE bas_order b SET posted = json_flag(a.body -> 'Posted'), deleted = json_flag(a.body -> 'DeletionMark'), data_version = a.body ->> 'DataVersion', read_body = a.body, read_at = clock()
    FROM few(answers) a WHERE a.purpose <> 'unpost order' AND b.infobase = a.infobase AND b.ref_key = a.ref_key;
    UPDATE bas_order b SET posted = false, read_body = b.read_body || '{"Posted": false}', read_at = clock() FROM few(answers) a JOIN order_sync y USING (account, order_id)    -- its answer is empty
    WHERE a.purpose = 'unpost order' AND b.infobase = a.infobase AND b.ref_key = y.bas_ref;
    PERFORM note_cancel_write(a.account, a.order_id, a.purpose, a.purpose = 'unpost order' OR json_flag(a.body -> 'DeletionMark') = (a.purpose = 'mark order'), '', (a.memo ->> 'version')::bigint) FROM few(answers) a;
END $$;
COMMENT ON FUNCTION settle_cancellations(order_answer[]) IS 'Takes in documents that were unposted, marked for deletion or freed of the mark';

CREATE FUNCTION note_cancel_write(account text, order_id bigint, write text, kept boolean, how text, version bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    done text := CASE write WHEN 'unpost order' THEN 'unposted' WHEN 'mark order' THEN 'marked' ELSE 'unmarked' END;
BEGIN
    UPDATE order_sync y SET mark = CASE write WHEN 'mark order' THEN CASE WHEN kept THEN 'set' ELSE y.mark END WHEN 'unmark order' THEN NULL ELSE y.mark END,
        needs_post = y.needs_post OR write = 'unpost order', cancel_write = NULL    -- what was posted is posted again should the order live again
    WHERE y.account = note_cancel_write.account AND y.order_id = note_cancel_write.order_id;
    INSERT INTO order_event (account, order_id, event, version, text)
    SELECT y.account, y.order_id, CASE WHEN kept THEN done ELSE 'differs' END, note_cancel_write.version,
           format('Document %s %s%s%s.', y.number, CASE done WHEN 'marked' THEN 'marked for deletion' WHEN 'unmarked' THEN 'no more marked for deletion' ELSE done END, how, CASE WHEN kept THEN '' ELSE ', but BAS did not keep it' END)
    FROM order_sync y WHERE y.account = note_cancel_write.account AND y.order_id = note_cancel_write.order_id;
END $$;
COMMENT ON FUNCTION note_cancel_write(text, bigint, text, boolean, text, bigint) IS 'Keeps that a document was unposted, marked for deletion or freed of the mark, and tells it';

-- It is not posted again by itself: the order is cancelled, so that would reserve and move goods for nothing, and BAS may refuse that as well.
CREATE FUNCTION unmarked_step(t task, s plan_step) RETURNS plan_step
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    y order_sync;
BEGIN
    IF t.kind = 'order' AND t.purpose = 'mark order' AND s.step = 'park' THEN
        SELECT o.* INTO y FROM order_sync o WHERE o.account = t.account AND o.order_id = t.key::bigint;
        IF y.needs_post THEN
            s.detail := format('%s. Document %s was unposted to be marked and is left so, without the mark.', rtrim(s.detail, '. '), y.number);
            s.hint := 'The words are those of BAS. Mend the cause there: resume() marks it; to have it posted again, set the action of its row in salesdrive.cancel_rule to ''tell'' first, and resume() posts it; or skip() leaves it as it is.';
        END IF;
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION unmarked_step(task, plan_step) IS 'The step after a refusal; where a document was unposted to be marked and the mark is refused, it tells that';

CREATE FUNCTION cancel_write_seen(y order_sync, held jsonb) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN CASE y.cancel_write WHEN 'unpost order' THEN NOT json_flag(held -> 'Posted') WHEN 'mark order' THEN json_flag(held -> 'DeletionMark') WHEN 'unmark order' THEN NOT json_flag(held -> 'DeletionMark')
                              WHEN 'close order' THEN odata_wanted(closing_of(y.account, y.order_id, (SELECT i.profile FROM infobase i WHERE i.name = y.infobase)), held) IS NULL END;
END $$;
COMMENT ON FUNCTION cancel_write_seen(order_sync, jsonb) IS 'Whether a document as read shows what such a write without an answer was to do; NULL: the write was no such one';

CREATE FUNCTION note_marks_undone(orders order_key[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    WITH undone AS (
        UPDATE order_sync y SET mark = 'undone', needs_post = false
        FROM (SELECT s.account, s.order_id FROM few(orders) k JOIN order_sync s ON s.account = k.account AND s.order_id = k.order_id WHERE s.mark = 'set' FOR UPDATE OF s SKIP LOCKED) k    -- one that is held elsewhere is found so by its next reading
        WHERE y.account = k.account AND y.order_id = k.order_id RETURNING y.account, y.order_id, y.number
    )
    INSERT INTO order_event (account, order_id, event, text) SELECT u.account, u.order_id, 'unmarked', format('The mark for deletion of document %s was taken off in BAS.', u.number) FROM undone u;
END $$;
COMMENT ON FUNCTION note_marks_undone(order_key[]) IS 'Keeps that marks set from here were taken off in BAS, and tells it';
