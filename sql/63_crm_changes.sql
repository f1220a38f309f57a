-- Purpose: tasks of kind order_update, which carry to SalesDrive what it is to hold of an order (31_crm_changes.sql).
-- Rights: the engine's role.
--
-- What that is, is decided elsewhere and written down by want_in_crm(); a task of this kind only carries it. So BAS and SalesDrive may each
-- be away without holding up the other.
--
--   wanted ──claimed──▶ unknown ──success──▶ sent ──seen in a version──▶ held
--      ▲                  │ no answer: read back when it can no more be at work ──▶ held · not there, nobody changed the order: wanted · else dropped
--      └──known undone────┘ refused: parked with the words of SalesDrive
--   A comment is people's own field: the order is read back before it is written, and what they wrote there meanwhile has it dropped.
--   A note (field note, or note:cause) can neither be read back nor be repeated: after no answer it stays unknown.

CREATE FUNCTION is_note(field text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN field = 'note' OR field LIKE 'note:%';
COMMENT ON FUNCTION is_note(text) IS 'Whether a row of crm_change is a note, which is added once and never read back';

-- What SalesDrive holds.

CREATE FUNCTION crm_held(account text, order_id bigint, field text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT v.data -> crm_held.field FROM crm_order_version v WHERE v.account = crm_held.account AND v.order_id = crm_held.order_id AND v.data ? crm_held.field
            ORDER BY v.version DESC, v.update_at DESC NULLS LAST, v.hash DESC LIMIT 1);
END $$;
COMMENT ON FUNCTION crm_held(text, bigint, text) IS 'What SalesDrive holds in a field of an order, as far as versions received tell';

CREATE FUNCTION crm_text(held jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(btrim(replace(CASE WHEN jsonb_typeof(held) IN ('object', 'array') THEN nullif(held, '[]')::text ELSE held #>> '{}' END, E'\r\n', E'\n'), E' \t\n'), '');
COMMENT ON FUNCTION crm_text(jsonb) IS 'A value of SalesDrive as text; blank, [] and null are empty, ends of lines are alike';

-- An option is written by its parameter or text, and read as its number.
CREATE FUNCTION crm_same(account text, field text, held jsonb, wanted text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    here  text := crm_text(CASE WHEN jsonb_typeof(held) = 'array' AND jsonb_array_length(held) = 1 THEN held -> 0 ELSE held END);
    there text := crm_text(to_jsonb(wanted));
BEGIN
    RETURN here = there OR jsonb_typeof(held) = 'number' AND coalesce(json_numeric(held) = json_numeric(to_jsonb(wanted)), false)
           OR here <> '' AND there <> '' AND length(there) <= 200
              AND EXISTS (SELECT FROM dictionary_value d WHERE d.scope = crm_same.account AND d.side = 'crm' AND d.dictionary = crm_same.field AND d.key = here AND (d.code = there OR d.name = there));
END $$;
COMMENT ON FUNCTION crm_same(text, text, jsonb, text) IS 'Whether a field holds a value';

CREATE FUNCTION crm_value(field text, wanted text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN field = 'statusId' AND wanted ~ '^[1-9]\d{0,8}$' THEN to_jsonb(wanted::integer) ELSE to_jsonb(wanted) END;
COMMENT ON FUNCTION crm_value(text, text) IS 'A value as it is written into a field: the number of a status as a number, all else as text';

CREATE FUNCTION brief_text(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN coalesce(value, '') = '' THEN 'nothing' WHEN length(value) <= 80 THEN value ELSE left(value, 79) || '…' END;
COMMENT ON FUNCTION brief_text(text) IS 'A text as a sentence shows it';

-- Wishing. Tasks are locked before rows of crm_change, as by the engine, so that nothing deadlocks.

CREATE FUNCTION enqueue_updates(orders order_key[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM begin_api(a.account) FROM (SELECT DISTINCT k.account FROM few(orders) k) a WHERE NOT EXISTS (SELECT FROM account_api p WHERE p.account = a.account);
    PERFORM want_tasks(array_agg((k.account, 'order_update', k.order_id, k.account, NULL, 1)::task_wish), patient => true) FROM few(orders) k JOIN account_api p ON p.account = k.account HAVING count(*) > 0;
END $$;
COMMENT ON FUNCTION enqueue_updates(order_key[]) IS 'Asks for orders of SalesDrive to be made right; parked tasks become due again';

CREATE FUNCTION want_in_crm(wishes crm_wish[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    news crm_change[];
BEGIN
    IF coalesce(cardinality(wishes), 0) = 0 THEN
        RETURN;
    END IF;
    SELECT array_agg(ROW(n.account, n.order_id, n.field, n.wanted, n.cause, clock(), n.state, n.before, n.version, NULL, NULL, NULL, NULL, NULL, 0, false, false, NULL, NULL)::crm_change ORDER BY n.account, n.order_id, n.field) INTO news
    FROM (SELECT w.account, w.order_id, w.field, w.wanted, w.cause, w.version, coalesce(c.confirmed, crm_text(w.held)) AS before, c AS row,
                 CASE WHEN c.state = 'unknown' THEN 'unknown' WHEN c.sent_version IS NOT NULL AND c.state = 'sent' AND w.wanted = c.sent THEN 'sent'
                      WHEN NOT is_note(w.field) AND c.confirmed IS NULL AND crm_same(w.account, w.field, w.held, w.wanted) THEN 'held' ELSE 'wanted' END AS state
          FROM (SELECT DISTINCT ON (u.account, u.order_id, u.field) u.account, u.order_id, u.field, CASE WHEN u.field = 'comment' AND u.cause <> 'sum' THEN comment_with_told_line(u.account, u.order_id, coalesce(u.wanted, '')) ELSE coalesce(u.wanted, '') END AS wanted, u.cause, o.version, CASE WHEN NOT is_note(u.field) THEN crm_held(u.account, u.order_id, u.field) END AS held
                FROM few(wishes) u CROSS JOIN LATERAL (SELECT c.version FROM crm_order c WHERE c.account = u.account AND c.order_id = u.order_id OFFSET 0) o
                ORDER BY u.account, u.order_id, u.field) w
          LEFT JOIN crm_change c ON c.account = w.account AND c.order_id = w.order_id AND c.field = w.field) n
    WHERE (n.row).account IS NULL OR (n.row).wanted <> n.wanted
       OR NOT is_note(n.field) AND n.state = 'wanted' AND ((n.row).state IN ('held', 'dropped') AND (n.row).sends < 5
                                                        OR (n.row).state IN ('wanted', 'refused') AND NOT crm_same(n.account, n.field, to_jsonb(n.before), (n.row).before));
    IF news IS NULL THEN
        RETURN;
    END IF;
    PERFORM enqueue_updates(array_agg((n.account, n.order_id)::order_key)) FROM few(news) n WHERE n.state <> 'held' HAVING count(*) > 0;
    INSERT INTO crm_change AS c SELECT n.* FROM few(news) n
    ON CONFLICT ON CONSTRAINT crm_change_pkey DO UPDATE SET wanted = excluded.wanted, cause = excluded.cause, wanted_at = excluded.wanted_at, state = excluded.state,
        before = excluded.before, before_version = excluded.before_version, sends = CASE WHEN c.wanted = excluded.wanted THEN c.sends ELSE 0 END, alone = false, read_at = NULL, detail = NULL;
END $$;
COMMENT ON FUNCTION want_in_crm(crm_wish[]) IS 'What fields of orders in SalesDrive are to hold from now on: a later wish replaces an earlier one, what is held already costs nothing, what SalesDrive refused is not asked for again';

CREATE FUNCTION want_in_crm(account text, order_id bigint, field text, wanted text, cause text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM require_order(account, order_id);
    PERFORM want_in_crm(ARRAY[(account, order_id, field, wanted, cause)::crm_wish]);
END $$;
COMMENT ON FUNCTION want_in_crm(text, bigint, text, text, text) IS 'What a field of an order in SalesDrive is to hold from now on; field note adds a note, at most once';

-- Seeing.

-- A version received speaks of what was known when it was made; a row that was asked for after the last request says what is (definite).
CREATE FUNCTION crm_verdicts(seen merged_order[], definite boolean) RETURNS SETOF crm_verdict
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT c.account, c.order_id, c.field, v.state,
           CASE WHEN definite THEN false ELSE c.doubted OR v.state = 'sent' END,
           q.as_sent OR c.confirmed IS NOT NULL AND crm_same(c.account, c.field, m.data -> c.field, c.confirmed) OR v.state IN ('held', 'refused', 'dropped') OR definite, crm_text(m.data -> c.field), m.version,
           CASE WHEN v.state = 'dropped' AND c.state = 'wanted' THEN format('SalesDrive holds %s by now: decided anew.', brief_text(crm_text(m.data -> c.field)))
                WHEN v.state = 'dropped' THEN format('Sent without an answer, and version %s of SalesDrive, changed meanwhile, holds %s.', m.version, brief_text(crm_text(m.data -> c.field)))
                WHEN v.state = 'refused' AND c.state = 'sent' THEN format('SalesDrive answered with success, and holds %s all the same: the field may not be there, or not take this value.', brief_text(crm_text(m.data -> c.field)))
                WHEN v.state = 'refused' AND c.state <> 'refused' THEN format('Sent %s times, never with an answer, and SalesDrive holds %s.', c.sends, brief_text(crm_text(m.data -> c.field)))
                WHEN v.state <> 'held' THEN c.detail END
    FROM few(seen) m
    JOIN crm_change c ON c.account = m.account AND c.order_id = m.order_id
    CROSS JOIN LATERAL (SELECT c.sent IS NOT NULL AND crm_same(c.account, c.field, m.data -> c.field, c.sent) AS as_sent, crm_same(c.account, c.field, m.data -> c.field, c.wanted) AS as_wanted,
                               crm_same(c.account, c.field, m.data -> c.field, c.before) AS as_before, c.sent_version IS NOT NULL AND m.version > c.sent_version AS newer, m.version = c.sent_version + 1 AS next OFFSET 0) q
    CROSS JOIN LATERAL (SELECT CASE c.state
        WHEN 'sent' THEN CASE WHEN q.as_sent THEN 'held' WHEN q.newer AND NOT q.as_before AND NOT q.next THEN 'held' WHEN definite THEN 'refused' WHEN q.newer THEN 'sent' END
        WHEN 'unknown' THEN CASE WHEN q.as_sent THEN CASE WHEN c.wanted = c.sent THEN 'held' ELSE 'wanted' END
                                 WHEN NOT definite THEN NULL WHEN q.newer OR NOT q.as_before THEN 'dropped' WHEN c.sends >= 5 THEN 'refused' ELSE 'wanted' END
        WHEN 'wanted' THEN CASE WHEN q.as_wanted AND c.confirmed IS NULL THEN 'held' WHEN crm_same(c.account, c.field, m.data -> c.field, c.confirmed) AND c.confirmed IS NOT NULL OR definite AND c.doubted AND q.as_before THEN 'wanted' WHEN definite AND c.doubted THEN 'dropped' END
        WHEN 'held' THEN NULL
        ELSE CASE WHEN q.as_wanted THEN 'held' WHEN c.confirmed IS NOT NULL AND (q.newer AND NOT q.next OR crm_same(c.account, c.field, m.data -> c.field, c.confirmed)) THEN c.state END END AS state) v
    WHERE NOT is_note(c.field) AND (definite OR m.data ? c.field OR c.state = 'sent') AND v.state IS NOT NULL AND NOT (c.state = 'sent' AND v.state = 'sent' AND c.doubted);
END $$;
COMMENT ON FUNCTION crm_verdicts(merged_order[], boolean) IS 'What orders as received say of what was wanted or sent; nothing where they say nothing new';

CREATE FUNCTION note_crm_seen(seen merged_order[], definite boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    verdicts crm_verdict[];
BEGIN
    IF NOT EXISTS (SELECT FROM crm_change) THEN
        RETURN;
    END IF;
    SELECT array_agg(v ORDER BY v.account, v.order_id, v.field) INTO verdicts FROM crm_verdicts(seen, definite) v;
    IF verdicts IS NULL THEN
        RETURN;
    END IF;
    PERFORM enqueue_updates(array_agg((v.account, v.order_id)::order_key))
    FROM few(verdicts) v JOIN crm_change c ON c.account = v.account AND c.order_id = v.order_id AND c.field = v.field LEFT JOIN task t ON t.scope = v.account AND t.kind = 'order_update' AND t.key = v.order_id::text
    WHERE NOT definite AND (v.doubted OR t.state = 'parked' AND c.state = 'refused' AND v.state = 'held' OR t.state = 'ready' AND t.run_at > clock() AND c.state = 'unknown') HAVING count(*) > 0;
    INSERT INTO order_event (account, order_id, event, version, text)
    SELECT c.account, c.order_id, CASE WHEN v.state IN ('dropped', 'refused') THEN 'crm_not_changed' ELSE 'crm_changed' END, v.version,
           CASE WHEN v.state IN ('dropped', 'refused') THEN crm_change_text(c) || ': ' || v.detail ELSE format('%s, as version %s shows.', crm_change_text(c), v.version) END
    FROM few(verdicts) v JOIN crm_change c ON c.account = v.account AND c.order_id = v.order_id AND c.field = v.field
    WHERE c.state = 'unknown' AND v.state IN ('held', 'wanted') AND crm_same(c.account, c.field, to_jsonb(v.holds), c.sent) OR v.state IN ('dropped', 'refused') AND c.state <> v.state;
    PERFORM enqueue_orders(array_agg(DISTINCT (v.account, v.order_id)::order_key)) FROM few(verdicts) v JOIN crm_change c ON c.account = v.account AND c.order_id = v.order_id AND c.field = v.field WHERE v.state = 'dropped' AND c.state <> 'dropped' HAVING count(*) > 0;
    UPDATE crm_change c SET state = v.state, doubted = v.doubted, detail = v.detail,
        sent_version = CASE WHEN v.seen THEN NULL ELSE c.sent_version END, confirmed = CASE WHEN v.seen THEN NULL ELSE c.confirmed END, unsure_until = CASE WHEN v.seen THEN NULL ELSE c.unsure_until END,
        sends = CASE WHEN v.state = 'held' AND crm_same(c.account, c.field, to_jsonb(v.holds), c.wanted) THEN 0 ELSE c.sends END,
        before = CASE WHEN v.state = 'held' THEN c.before ELSE v.holds END, before_version = CASE WHEN v.state = 'held' THEN c.before_version ELSE v.version END
    FROM few(verdicts) v WHERE c.account = v.account AND c.order_id = v.order_id AND c.field = v.field;
END $$;
COMMENT ON FUNCTION note_crm_seen(merged_order[], boolean) IS 'Takes in what orders as received say of what was wanted or sent';

CREATE FUNCTION crm_change_text(c crm_change) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN is_note(c.field) THEN format('Note in SalesDrive (%s): %s', c.cause, brief_text(coalesce(c.sent, c.wanted)))
                ELSE format('SalesDrive: %s %s → %s (%s)', c.field, brief_text(c.before), brief_text(coalesce(c.sent, c.wanted)), c.cause) END;
COMMENT ON FUNCTION crm_change_text(crm_change) IS 'What was sent, as a sentence: field old → new (cause)';

-- Kind order_update.

CREATE FUNCTION drop_overtaken(orders order_key[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    overtaken crm_change[];
BEGIN
    SELECT array_agg(c ORDER BY c.account, c.order_id, c.field) INTO overtaken
    FROM few(orders) k JOIN crm_change c ON c.account = k.account AND c.order_id = k.order_id
    CROSS JOIN LATERAL (SELECT o.version FROM crm_order o WHERE o.account = k.account AND o.order_id = k.order_id OFFSET 0) o
    CROSS JOIN LATERAL (SELECT crm_held(c.account, c.order_id, c.field) AS held OFFSET 0) h
    WHERE c.state = 'wanted' AND NOT is_note(c.field) AND o.version > c.before_version
      AND NOT crm_same(c.account, c.field, h.held, c.before) AND NOT crm_same(c.account, c.field, h.held, c.wanted) AND NOT (c.sent IS NOT NULL AND crm_same(c.account, c.field, h.held, c.sent));
    IF overtaken IS NULL THEN
        RETURN;
    END IF;
    UPDATE crm_change c SET state = 'dropped', doubted = false, confirmed = NULL, sent_version = NULL, detail = format('SalesDrive holds %s by now: decided anew.', brief_text(crm_text(crm_held(c.account, c.order_id, c.field))))
    FROM few(overtaken) w WHERE c.account = w.account AND c.order_id = w.order_id AND c.field = w.field;
    INSERT INTO order_event (account, order_id, event, version, text)
    SELECT c.account, c.order_id, 'crm_not_changed', o.version, format('%s is not sent. %s', c.field, c.detail)
    FROM few(overtaken) w JOIN crm_change c ON c.account = w.account AND c.order_id = w.order_id AND c.field = w.field JOIN crm_order o ON o.account = c.account AND o.order_id = c.order_id;
    PERFORM enqueue_orders(array_agg(DISTINCT (w.account, w.order_id)::order_key)) FROM few(overtaken) w;
END $$;
COMMENT ON FUNCTION drop_overtaken(order_key[]) IS 'Takes back what was wanted where SalesDrive holds another value than when it was decided; the order decides anew';

-- Between the reading and the write there is only the write itself, unless that has to wait: then the order is read again.
CREATE FUNCTION doubt_comments(orders order_key[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE crm_change c SET doubted = true FROM few(orders) k
    WHERE c.account = k.account AND c.order_id = k.order_id AND c.field = 'comment' AND c.state = 'wanted' AND NOT c.doubted AND (c.read_at BETWEEN clock() - interval '1 minute' AND clock()) IS NOT TRUE;
END $$;
COMMENT ON FUNCTION doubt_comments(order_key[]) IS 'Has orders read back whose comment is to be written, and was not read just now';

CREATE FUNCTION update_room(account text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT min(CASE WHEN w.closed_until > clock() THEN 0 ELSE w.most - (SELECT count(*) FROM quota_use u WHERE u.account = w.account AND u.method = w.method AND u.counted_at > clock() - w.span) END)
            FROM quota_window w WHERE w.account = update_room.account AND w.method = 'order/update');
END $$;
COMMENT ON FUNCTION update_room(text) IS 'How many changes of orders the quota has room for; NULL: it has no limits';

CREATE FUNCTION plan_order_update(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    orders order_key[] := ARRAY(SELECT (t.account, t.key::bigint)::order_key FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t WHERE t.key ~ '^[1-9]\d{0,10}$');
BEGIN
    PERFORM drop_overtaken(orders);
    PERFORM doubt_comments(orders);
    UPDATE crm_change c SET state = 'wanted', sends = 0, detail = NULL, alone = true    -- resumed: nothing else makes such a task due
    FROM few(orders) k WHERE c.account = k.account AND c.order_id = k.order_id
      AND (c.state = 'refused' AND NOT EXISTS (SELECT FROM crm_change x WHERE x.account = k.account AND x.order_id = k.order_id AND (x.state = 'wanted' OR x.doubted OR x.state = 'unknown' AND (NOT is_note(x.field) OR x.wanted <> x.sent)))
           OR is_note(c.field) AND c.state = 'unknown' AND c.wanted <> c.sent);
    RETURN QUERY
    SELECT t.id, w.step, w.purpose, CASE WHEN w.purpose IS NOT NULL THEN CASE w.purpose WHEN 'read order back' THEN 'GET' ELSE 'POST' END END,
           CASE w.purpose WHEN 'read order back' THEN format('api/order/list/?page=1&limit=1&filter%%5Bid%%5D=%s&filter%%5BstatusId%%5D=__ALL__', t.key)
                WHEN 'change order in SalesDrive' THEN 'api/order/update/' WHEN 'add note in SalesDrive' THEN 'api/order/note/' END,
           CASE w.purpose WHEN 'change order in SalesDrive' THEN jsonb_build_object('id', t.key::bigint, 'data', c.data)
                WHEN 'add note in SalesDrive' THEN jsonb_build_object('orderId', t.key::bigint, 'note', c.note, 'text', c.note) END,    -- clients differ about the name
           CASE w.purpose WHEN 'change order in SalesDrive' THEN jsonb_build_object('fields', c.fields) WHEN 'add note in SalesDrive' THEN jsonb_build_object('fields', jsonb_build_object(c.note_field, c.note)) END,
           false, CASE w.reason WHEN 'unsure' THEN c.unsure_until WHEN 'quota' THEN greatest(quota_free_at(t.account, 'order/update', t.lane), clock() + interval '10 s') END, w.reason,
           CASE w.reason WHEN 'unsure' THEN 'A change without an answer may still be at work in SalesDrive.' WHEN 'quota' THEN format('The quota of order/update in account "%s" has no room now: the order is read when it can be written.', t.account) END,
           CASE w.reason WHEN 'quota' THEN 'It goes on by itself. What was spent on what: SELECT * FROM salesdrive.quota_status.' END, CASE w.reason WHEN 'quota' THEN format('quota:%s:order/update', t.account) END
    FROM (SELECT u AS t, row_number() OVER (PARTITION BY u.account ORDER BY u.lane, u.run_at, u.id) AS turn FROM few(tasks) k CROSS JOIN LATERAL task_of(k) u) q
    CROSS JOIN LATERAL (SELECT (q.t).*) t
    CROSS JOIN LATERAL (
        SELECT max(x.unsure_until) FILTER (WHERE x.state = 'unknown' AND NOT is_note(x.field)) AS unsure_until, coalesce(bool_or(x.state = 'unknown' AND NOT is_note(x.field)), false) AS unsure, coalesce(bool_or(x.doubted), false) AS doubted, coalesce(bool_or(x.doubted AND x.field = 'comment' AND x.state = 'wanted'), false) AS comment,
               jsonb_object_agg(x.field, crm_value(x.field, x.wanted)) FILTER (WHERE x.n = 1 OR NOT x.any_alone) AS data, jsonb_object_agg(x.field, x.wanted) FILTER (WHERE x.n = 1 OR NOT x.any_alone) AS fields,
               (array_agg(x.wanted ORDER BY x.field) FILTER (WHERE is_note(x.field) AND x.state = 'wanted'))[1] AS note, min(x.field) FILTER (WHERE is_note(x.field) AND x.state = 'wanted') AS note_field
        FROM (SELECT y.*, CASE WHEN y.state = 'wanted' AND NOT is_note(y.field) THEN row_number() OVER (PARTITION BY y.state = 'wanted' AND NOT is_note(y.field) ORDER BY y.field) END AS n,
                     CASE WHEN y.state = 'wanted' AND NOT is_note(y.field) THEN bool_or(y.alone AND y.state = 'wanted') OVER () ELSE true END AS any_alone
              FROM crm_change y WHERE y.account = t.account AND y.order_id = t.key::bigint) x) c
    CROSS JOIN LATERAL (
        SELECT 'wait' AS step, NULL AS purpose, 'unsure' AS reason WHERE c.unsure AND c.unsure_until > clock()
        UNION ALL SELECT 'wait', NULL, 'quota' WHERE c.comment AND NOT c.unsure AND q.turn > update_room(t.account)
        UNION ALL SELECT 'request', 'read order back', NULL WHERE c.unsure OR c.doubted
        UNION ALL SELECT 'request', 'change order in SalesDrive', NULL WHERE c.data IS NOT NULL
        UNION ALL SELECT 'request', 'add note in SalesDrive', NULL WHERE c.note IS NOT NULL
        UNION ALL SELECT 'done', NULL, NULL
        LIMIT 1) w
    WHERE t.key ~ '^[1-9]\d{0,10}$' AND EXISTS (SELECT FROM account a WHERE a.name = t.account);
END $$;
COMMENT ON FUNCTION plan_order_update(bigint[]) IS 'Plan of kind order_update: read back what is unsure, send all fields that are wanted in one request, then the note';

CREATE FUNCTION note_crm_writes(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE crm_change c SET state = 'unknown', sent = f.value, sent_at = clock(), unsure_until = clock() + 2 * p.total_timeout, sends = c.sends + 1, doubted = false, read_at = NULL, detail = 'No answer yet.',
        sent_version = CASE WHEN NOT is_note(c.field) THEN greatest((SELECT o.version FROM crm_order o WHERE o.account = c.account AND o.order_id = c.order_id),
                                (SELECT max(x.sent_version) + 1 FROM crm_change x WHERE x.account = c.account AND x.order_id = c.order_id AND NOT is_note(x.field) AND x.state <> 'unknown')) END    -- our own changes that no version received shows yet
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN account_api p ON p.account = t.account CROSS JOIN LATERAL jsonb_each_text(s.memo -> 'fields') f
    WHERE s.purpose IN ('change order in SalesDrive', 'add note in SalesDrive') AND c.account = t.account AND c.order_id = t.key::bigint AND c.field = f.key;
END $$;
COMMENT ON FUNCTION note_crm_writes(plan_step[]) IS 'Before a change of SalesDrive leaves: that its outcome is unknown from now on';

CREATE FUNCTION unsent_version(c crm_change) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT c.sent_version - 1 FROM crm_order o WHERE o.account = c.account AND o.order_id = c.order_id AND o.version < c.sent_version);
END $$;
COMMENT ON FUNCTION unsent_version(crm_change) IS 'The sent_version of a change that is known not to be done: what was sent before it may still be to be seen';

-- What is parked stays so until resume(): a plan takes a task with nothing but refusals for a resumed one.
CREATE FUNCTION order_update_step(t task, next_at timestamptz DEFAULT NULL) RETURNS plan_step
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s       plan_step;
    refused crm_change := (SELECT c FROM crm_change c WHERE c.account = t.account AND c.order_id = t.key::bigint AND c.state = 'refused' ORDER BY c.field LIMIT 1);
BEGIN
    s.task_id := t.id;
    IF EXISTS (SELECT FROM crm_change c WHERE c.account = t.account AND c.order_id = t.key::bigint AND (c.state = 'wanted' OR c.doubted OR c.state = 'unknown' AND (NOT is_note(c.field) OR c.wanted <> c.sent))) THEN
        s.step := 'again';
        s.run_at := next_at;
    ELSIF refused.account IS NOT NULL THEN
        s.step := 'park';
        s.reason := 'business';
        s.detail := format('%s: %s', crm_change_text(refused), refused.detail);
        s.hint := CASE WHEN folded_name(refused.detail) ~ 'not found|не знайден|не найден|is not in salesdrive'
                       THEN format('Is the order there, and the value? If the order is gone for good: DELETE FROM salesdrive.crm_change WHERE account = %L AND order_id = %s; otherwise mend it; then resume(%s).', t.account, t.key, t.id)
                       ELSE format('The words are those of SalesDrive. Mend the cause there, or the rule that wants it; then resume(%s) sends it again.', t.id) END;
    ELSE
        s.step := 'done';
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION order_update_step(task, timestamptz) IS 'How a task of kind order_update goes on after an answer: again while something is wanted, parked for what is refused, or done';

CREATE FUNCTION settle_order_update(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r    record;
    row  jsonb;
    many boolean;
BEGIN
    FOR r IN SELECT u.task_id, u.class, u.body, concat_ws(': ', u.http_status::text, u.error) AS words, t.account, t.key::bigint AS order_id, t.purpose, t.memo -> 'fields' AS fields, t AS task, u::http_result AS result
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t ORDER BY t.account, t.key::bigint
    LOOP
        IF r.purpose = 'read order back' THEN
            CONTINUE WHEN r.class <> 'ok';
            SELECT e INTO row FROM jsonb_array_elements(json_rows(result_json(r.result) -> 'data')) e WHERE order_number(e -> 'id') = r.order_id LIMIT 1;
            IF row IS NULL THEN
                UPDATE crm_change c SET state = 'refused', doubted = false, detail = 'The order is not in SalesDrive.' WHERE c.account = r.account AND c.order_id = r.order_id AND NOT is_note(c.field) AND (c.state = 'unknown' OR c.doubted);
            ELSE
                PERFORM keep_deliveries(ARRAY[r.account], ARRAY[convert_to(row::text, 'UTF8')], ARRAY[NULL::text], ARRAY[NULL::text], 'poll');
                PERFORM note_crm_seen(ARRAY[ROW(r.account, r.order_id, coalesce(json_bigint(row -> 'version'), 0), json_time(row -> 'updateAt'), row, 1, clock(), clock())::merged_order], true);
                UPDATE crm_change c SET doubted = false, read_at = CASE WHEN c.field = 'comment' THEN clock() END WHERE c.account = r.account AND c.order_id = r.order_id AND (c.doubted OR c.field = 'comment');
            END IF;
            RETURN NEXT order_update_step(r.task);
            CONTINUE;
        END IF;
        IF r.class = 'ok' THEN
            INSERT INTO order_event (account, order_id, event, text)
            SELECT c.account, c.order_id, 'crm_changed', crm_change_text(c) || '.' FROM crm_change c WHERE c.account = r.account AND c.order_id = r.order_id AND r.fields ? c.field AND c.state = 'unknown' ORDER BY c.field;
            UPDATE crm_change c SET state = CASE WHEN c.wanted = c.sent THEN 'sent' ELSE 'wanted' END, confirmed = CASE WHEN NOT is_note(c.field) THEN c.sent END, unsure_until = NULL, detail = NULL WHERE c.account = r.account AND c.order_id = r.order_id AND r.fields ? c.field AND c.state = 'unknown';
        ELSIF r.class IN ('business', 'denied', 'bug') THEN
            many := (SELECT count(*) > 1 FROM jsonb_object_keys(r.fields));
            UPDATE crm_change c SET state = CASE WHEN many OR c.wanted <> c.sent THEN 'wanted' ELSE 'refused' END, alone = many, sent_version = unsent_version(c), unsure_until = NULL, detail = r.words
            WHERE c.account = r.account AND c.order_id = r.order_id AND r.fields ? c.field AND c.state = 'unknown';
            INSERT INTO order_event (account, order_id, event, text)
            SELECT c.account, c.order_id, 'crm_not_changed', crm_change_text(c) || ': ' || c.detail FROM crm_change c WHERE c.account = r.account AND c.order_id = r.order_id AND r.fields ? c.field AND c.state = 'refused' ORDER BY c.field;
        ELSIF r.class = 'unknown_outcome' THEN
            UPDATE crm_change c SET detail = 'No answer: ' || r.words WHERE c.account = r.account AND c.order_id = r.order_id AND r.fields ? c.field AND c.state = 'unknown';
            INSERT INTO order_event (account, order_id, event, text)
            SELECT c.account, c.order_id, 'crm_unknown', format('%s: no answer (%s); %s', crm_change_text(c), r.words, CASE WHEN is_note(c.field) THEN 'a note is not sent twice, look for it in SalesDrive.' ELSE 'it is looked for before it is sent again.' END)
            FROM crm_change c WHERE c.account = r.account AND c.order_id = r.order_id AND r.fields ? c.field AND c.state = 'unknown' ORDER BY c.field;
        ELSE    -- known not to be done: the class says when it is tried again
            UPDATE crm_change c SET state = 'wanted', sends = c.sends - 1, sent_version = unsent_version(c), unsure_until = NULL, detail = r.words WHERE c.account = r.account AND c.order_id = r.order_id AND r.fields ? c.field AND c.state = 'unknown';
            CONTINUE;
        END IF;
        RETURN NEXT order_update_step(r.task);
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_order_update(http_result[]) IS 'Settle of kind order_update: success is sent, a refusal parks with the words of SalesDrive, no answer is looked for';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, note_function, target) VALUES ('order_update', 'shipped', 'salesdrive.plan_order_update', 'salesdrive.settle_order_update', 'salesdrive.note_crm_writes', 'account');
