-- Purpose: tasks of kind statuses: which documents of orders were changed in BAS, for their status and sum to go back to SalesDrive.
-- Rights: the engine's role; pull_statuses() is for 'operator'.
--
-- Where the configuration keeps the time of the last change: all documents changed since the one seen last, less an overlap for what was being
-- written then, page by page in the order of that time; a page that brings nothing later is asked for twice as long. Elsewhere, and in the first
-- reading after an account has its statuses travel: the documents of the orders of the last days, by their keys, newest orders first. What was
-- read is kept with the document; of a document seen for the first time since the switch the pair of statuses is kept, else the task of its order decides.
-- Key orders reads the documents; key states what a register of the base tells of them (a journal by its time, else by the keys of the documents),
-- after the documents, for accounts whose statuses are these.

CREATE TABLE status_poll (
    infobase    text NOT NULL REFERENCES infobase (name) ON DELETE CASCADE,
    what        text NOT NULL DEFAULT 'orders' CHECK (what IN ('orders', 'states')),
    overlap     interval NOT NULL DEFAULT '5 min' CHECK (overlap BETWEEN '0' AND '100 years'),
    days        integer NOT NULL DEFAULT 30 CHECK (days BETWEEN 1 AND 3650),
    seen_until  timestamp,
    page_from   timestamp,
    page_size   integer NOT NULL DEFAULT 200,
    account     text,
    before      bigint,
    documents   bigint NOT NULL DEFAULT 0,
    requests    bigint NOT NULL DEFAULT 0,
    started_at  timestamptz,
    looked_at   timestamptz,
    done_at     timestamptz,
    PRIMARY KEY (infobase, what)
);
COMMENT ON TABLE status_poll IS 'How far the statuses of documents were read from each infobase';
COMMENT ON COLUMN status_poll.infobase IS 'Infobase';
COMMENT ON COLUMN status_poll.what IS 'orders: the documents; states: the register of their states';
COMMENT ON COLUMN status_poll.overlap IS 'How far before the last change seen the next reading begins';
COMMENT ON COLUMN status_poll.days IS 'Where documents are read by their keys, as in every first look: those of orders of so many days; else how many days of changes the first reading goes back';
COMMENT ON COLUMN status_poll.seen_until IS 'Time of the last change seen, by the clock of the base';
COMMENT ON COLUMN status_poll.page_from IS 'Beginning of the next page, by the same clock; NULL: none is to be read';
COMMENT ON COLUMN status_poll.page_size IS 'Documents of one page';
COMMENT ON COLUMN status_poll.account IS 'Account whose documents are read by their keys now; NULL: none';
COMMENT ON COLUMN status_poll.before IS 'Orders below this number are to be read';
COMMENT ON COLUMN status_poll.documents IS 'Documents, or records of the register, received of this reading, or the last one';
COMMENT ON COLUMN status_poll.requests IS 'Pages received of it';
COMMENT ON COLUMN status_poll.started_at IS 'When it began';
COMMENT ON COLUMN status_poll.looked_at IS 'Where documents are read by their time: beginning of the last reading that read them by their keys, for the first look';
COMMENT ON COLUMN status_poll.done_at IS 'When one was complete last';

-- Entity order or order_state of the profile.
CREATE FUNCTION status_entity(what text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE what WHEN 'states' THEN 'order_state' ELSE 'order' END;
COMMENT ON FUNCTION status_entity(text) IS 'Concept of what a reading of statuses reads';

-- Documents are read for every account, states for those whose statuses they are; where documents are read by their time, for those who need the first look.
CREATE FUNCTION status_account(p status_poll, after text, by_time boolean) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT min(a.name) FROM account a JOIN infobase i ON i.name = a.infobase
            WHERE a.infobase = p.infobase AND (after IS NULL OR a.name > after) AND CASE WHEN p.what = 'states' THEN (a.status_from_bas OR has_followup_rules('bas')) AND state_counts(a, i.profile) AND NOT by_time
                     WHEN by_time THEN a.status_from_bas AND NOT state_counts(a, i.profile) AND (a.status_from_since <= p.looked_at) IS NOT TRUE ELSE true END);
END $$;
COMMENT ON FUNCTION status_account(status_poll, text, boolean) IS 'The next account whose documents are read by their keys';

CREATE FUNCTION begin_status_poll(infobase text, what text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    by_time boolean := property_names((SELECT i.profile FROM infobase i WHERE i.name = begin_status_poll.infobase), status_entity(what)) ? 'changed';
    zone    text := (SELECT i.time_zone FROM infobase i WHERE i.name = begin_status_poll.infobase);
BEGIN
    IF EXISTS (SELECT FROM status_poll p WHERE p.infobase = begin_status_poll.infobase AND p.what = begin_status_poll.what AND p.started_at > clock()) THEN
        PERFORM put_times_right();
    END IF;
    UPDATE status_poll p SET started_at = clock(), documents = 0, requests = 0, page_size = 200,
        page_from = CASE WHEN by_time THEN b.begins_at - local_hour_shift(b.begins_at AT TIME ZONE zone, zone) END,    -- in the hour that comes twice, what changed last is not the greatest time
        account = status_account(p, NULL, by_time), before = 9223372036854775807
    FROM status_poll o, LATERAL (SELECT coalesce(o.seen_until, clock() AT TIME ZONE zone - make_interval(days => o.days)) - o.overlap AS begins_at) b
    WHERE o.infobase = begin_status_poll.infobase AND o.what = begin_status_poll.what AND o.page_from IS NULL AND o.account IS NULL AND p.infobase = o.infobase AND p.what = o.what;
END $$;
COMMENT ON FUNCTION begin_status_poll(text, text) IS 'Begins a reading of statuses, unless one is at work';

CREATE FUNCTION status_chunk(p status_poll, each integer) RETURNS TABLE (order_id bigint, ref_key uuid, recent boolean)
    LANGUAGE plpgsql STABLE ROWS 25 SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT y.order_id, CASE WHEN y.infobase = p.infobase THEN y.bas_ref END, coalesce(o.order_time, o.received_at AT TIME ZONE 'UTC') >= (clock() - make_interval(days => p.days)) AT TIME ZONE 'UTC'
    FROM (SELECT s.* FROM order_sync s WHERE s.account = p.account AND s.order_id < p.before ORDER BY s.order_id DESC
          LIMIT greatest(((SELECT i.max_url FROM infobase i WHERE i.name = p.infobase) - 600) / status_chunk.each, 5)) y
    JOIN crm_order o ON o.account = y.account AND o.order_id = y.order_id ORDER BY 1 DESC;
END $$;
COMMENT ON FUNCTION status_chunk(status_poll, integer) IS 'The next orders whose documents are read by their keys: as many as fit into infobase.max_url, each taking so many bytes, the newest first; recent: of the days asked for';

CREATE FUNCTION plan_statuses(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    r    record;
    p    status_poll;
    n    jsonb;
    path text;
    form text;
    keys text;
    last bigint;
    more boolean;
    by_time boolean;
BEGIN
    FOR r IN SELECT t.id, t.scope, t.key, i.profile FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t JOIN infobase i ON i.name = t.scope ORDER BY t.scope, t.key LOOP
        IF r.key = 'states' AND EXISTS (SELECT FROM task t WHERE t.scope = r.scope AND t.kind = 'statuses' AND t.key = 'orders' AND t.state <> 'parked') THEN
            RETURN NEXT ROW(r.id, 'wait', NULL, NULL, NULL, NULL, NULL, NULL, clock() + interval '1 min', 'reading', 'The documents are read first.', NULL, format('statuses:%s:orders', r.scope))::plan_step;
            CONTINUE;
        END IF;
        IF has_followup_rules('bas') AND EXISTS (SELECT FROM task t WHERE t.scope = r.scope AND t.kind = 'dictionary' AND t.key = 'status' AND t.state <> 'parked') THEN    -- rules name statuses
            RETURN NEXT ROW(r.id, 'wait', NULL, NULL, NULL, NULL, NULL, NULL, clock() + interval '1 min', 'dictionary', 'The list of statuses is read first.', NULL, format('dictionary:%s:status', r.scope))::plan_step;
            CONTINUE;
        END IF;
        PERFORM begin_status_poll(r.scope, r.key);
        SELECT * INTO p FROM status_poll x WHERE x.infobase = r.scope AND x.what = r.key;
        n := property_names(r.profile, status_entity(r.key));
        by_time := n ? 'changed';
        path := entity_set(r.profile, status_entity(r.key)) || '?$format=json&allowedOnly=true&$select='
             || url_encode(CASE r.key WHEN 'states' THEN concat_ws(',', n ->> 'order', n ->> 'order_type', n ->> 'state', n ->> 'state_type', n ->> 'changed')
                                      ELSE concat_ws(',', 'Ref_Key', 'Number', 'DataVersion', 'Posted', 'DeletionMark', n ->> 'status', n ->> 'status_type', n ->> 'total', n ->> 'changed') END);
        form := CASE r.key WHEN 'states' THEN format('%s eq cast(%%s,%L)', n ->> 'order', entity_set(r.profile, 'order')) ELSE 'Ref_Key eq %s' END;
        LOOP    -- to the next chunk with documents
            EXIT WHEN p.account IS NULL;
            SELECT string_agg(format(form, odata_guid(c.ref_key)), ' or ' ORDER BY c.order_id DESC) FILTER (WHERE c.recent AND c.ref_key IS NOT NULL), min(c.order_id), bool_or(c.recent) INTO keys, last, more
            FROM status_chunk(p, length(url_encode(format(form, odata_guid('00000000-0000-0000-0000-000000000000')) || ' or '))) c;
            EXIT WHEN keys IS NOT NULL;
            IF more THEN
                p.before := last;
            ELSE
                p.account := status_account(p, p.account, by_time);
                p.before := 9223372036854775807;
            END IF;
        END LOOP;
        UPDATE status_poll x SET account = p.account, before = p.before, looked_at = CASE WHEN by_time AND x.account IS NOT NULL AND p.account IS NULL THEN x.started_at ELSE x.looked_at END,
            done_at = CASE WHEN p.account IS NULL AND p.page_from IS NULL THEN clock() ELSE x.done_at END
        WHERE x.infobase = p.infobase AND x.what = p.what;
        IF p.account IS NULL AND p.page_from IS NOT NULL THEN
            RETURN NEXT ROW(r.id, 'request', 'read statuses', 'GET',
                path || '&$top=' || p.page_size || '&$orderby=' || url_encode(concat_ws(',', n ->> 'changed', CASE r.key WHEN 'states' THEN n ->> 'order' ELSE 'Ref_Key' END))
                     || odata_filter(format('%s ge datetime''%s''', n ->> 'changed', to_char(p.page_from, 'YYYY-MM-DD"T"HH24:MI:SS'))),
                NULL, jsonb_build_object('started_at', p.started_at, 'from', p.page_from), false, NULL, NULL, NULL, NULL, NULL)::plan_step;
        ELSIF p.account IS NULL THEN
            RETURN NEXT ROW(r.id, 'done', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
        ELSE
            RETURN NEXT ROW(r.id, 'request', 'read statuses', 'GET', path || odata_filter(keys), NULL, jsonb_build_object('started_at', p.started_at, 'before', last), false, NULL, NULL, NULL, NULL, NULL)::plan_step;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION plan_statuses(bigint[]) IS 'Plan of kind statuses: the next documents by their keys, then the next page of what has changed';

-- An answer that was under way while a document was written from here tells of before: then the write itself tells.
CREATE FUNCTION note_documents_seen(infobase text, profile text, rows jsonb, asked_at timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    n      jsonb := property_names(profile, 'order');
    wanted order_key[];
    undone order_key[];
    first  status_decision[];
BEGIN
    WITH known AS MATERIALIZED (
        SELECT b.infobase, b.ref_key, b.account, b.order_id, e.row, b.read_body, b.deleted, s.status, s.was, (q.y).mark, (q.y).cancel_status IS NOT NULL AND json_flag(e.row -> 'DeletionMark') AS dead,
               a.sum_comment, t.travels, t.travels AND ((q.y).agreed_at >= a.status_from_since) IS NOT TRUE AND s.status IS NOT NULL AS first, bas_half(a, q.y, b.read_at, s.was) AS half,
               a.status_to_bas, crm_half(a, q.y, o.status_id) AS crm_half, o.status_id
        FROM (SELECT x AS row, nil_free(x ->> 'Ref_Key') AS ref FROM jsonb_array_elements(rows) x) e
        CROSS JOIN LATERAL (SELECT o.* FROM bas_order o WHERE o.infobase = note_documents_seen.infobase AND o.ref_key = e.ref OFFSET 0) b
        CROSS JOIN LATERAL (SELECT s AS y FROM order_sync s WHERE s.account = b.account AND s.order_id = b.order_id AND s.bas_ref = b.ref_key OFFSET 0) q
        JOIN account a ON a.name = b.account
        CROSS JOIN LATERAL (SELECT c.status_id FROM crm_order c WHERE c.account = b.account AND c.order_id = b.order_id OFFSET 0) o
        CROSS JOIN LATERAL (SELECT held_status(e.row, n ->> 'status') AS status, held_status(b.read_body, n ->> 'status') AS was) s
        CROSS JOIN LATERAL (SELECT a.status_from_bas AND NOT state_counts(a, note_documents_seen.profile) AS travels) t
        WHERE b.read_body IS NOT NULL AND (b.read_at < asked_at OR b.read_at > clock()) AND (b.sent_at < asked_at OR b.sent_at > clock()) IS NOT FALSE AND NOT (q.y).write_unsure    -- a time to come is one of a clock that was wrong
    ), taken AS (
        UPDATE bas_order b SET read_body = b.read_body || k.row, number = k.row ->> 'Number', posted = json_flag(k.row -> 'Posted'), deleted = json_flag(k.row -> 'DeletionMark'), data_version = k.row ->> 'DataVersion'
        FROM known k WHERE b.infobase = k.infobase AND b.ref_key = k.ref_key AND b.data_version IS DISTINCT FROM k.row ->> 'DataVersion'
    )
    SELECT array_agg((k.account, k.order_id)::order_key) FILTER (WHERE w.wanted), array_agg((k.account, k.order_id)::order_key) FILTER (WHERE k.mark = 'set' AND NOT json_flag(k.row -> 'DeletionMark')),
           array_agg(jsonb_populate_record(NULL::status_decision, jsonb_build_object('account', k.account, 'order_id', k.order_id, 'decision', 'first', 'crm_was', k.crm_half, 'bas_status', coalesce(k.half, k.status), 'unmapped', false)) ORDER BY k.account, k.order_id) FILTER (WHERE k.first)
    INTO wanted, undone, first
    FROM known k
    CROSS JOIN LATERAL (SELECT k.travels AND NOT k.dead AND CASE WHEN k.first THEN k.status <> k.half OR k.status_to_bas AND k.status_id IS DISTINCT FROM k.crm_half    -- else the order would not be looked at
                                                                 ELSE k.status IS DISTINCT FROM k.was OR k.status IS DISTINCT FROM k.half AND crm_status_of(k.account, k.infobase, k.status) IS NOT NULL END
       OR k.sum_comment IS NOT NULL AND odata_equal(k.row -> (n ->> 'total'), k.read_body -> (n ->> 'total')) IS FALSE AS wanted) w;
    IF wanted IS NOT NULL THEN
        PERFORM enqueue_orders(wanted, 2::smallint);
    END IF;
    IF first IS NOT NULL THEN
        PERFORM note_statuses(first);
    END IF;
    IF undone IS NOT NULL THEN
        PERFORM note_marks_undone(undone);
    END IF;
END $$;
COMMENT ON FUNCTION note_documents_seen(text, text, jsonb, timestamptz) IS 'Keeps what documents of orders hold by now, of those seen first the pair of statuses, and has those orders looked at whose status or sum was changed in BAS';

-- Of several records of a document the latest counts; those of other objects are not ours. A journal tells when a state was set, so what it tells of after
-- the switch is a change, also where nothing is known of before.
CREATE FUNCTION note_states_seen(infobase text, profile text, rows jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    n      jsonb := property_names(profile, 'order_state');
    wanted order_key[];
    kept   status_decision[];
    told   bas_state[];
    seen   bas_state[];
BEGIN
    told := ARRAY(
        SELECT (note_states_seen.infobase, e.ref, e.state, e.at, clock())::bas_state
        FROM (SELECT nil_free(x ->> (n ->> 'order')) AS ref, held_status(x, n ->> 'state') AS state, field_time(x ->> (n ->> 'changed')) AS at, k
              FROM jsonb_array_elements(rows) WITH ORDINALITY r (x, k) WHERE x ->> (n ->> 'order_type') = 'StandardODATA.' || entity_set(profile, 'order')) e
        WHERE e.ref IS NOT NULL AND e.state IS NOT NULL ORDER BY e.ref, e.at DESC NULLS LAST, e.k DESC);
    PERFORM want_state_followups(told);    -- also by those that a document had meanwhile
    seen := ARRAY(SELECT DISTINCT ON (s.ref_key) (s.infobase, s.ref_key, s.state, s.at, s.read_at)::bas_state FROM few(told) WITH ORDINALITY s (infobase, ref_key, state, at, read_at, k) ORDER BY s.ref_key, s.k);
    INSERT INTO bas_state AS s SELECT * FROM few(seen)
    ON CONFLICT ON CONSTRAINT bas_state_pkey DO UPDATE SET state = excluded.state, at = excluded.at, read_at = excluded.read_at WHERE (s.at > excluded.at) IS NOT TRUE;

    WITH seen AS MATERIALIZED (
        SELECT b.account, b.order_id, s.state, (q.y).status_unmapped, f.first, CASE WHEN NOT f.first THEN (q.y).bas_status WHEN s.at AT TIME ZONE i.time_zone > a.status_from_since THEN '' ELSE s.state END AS half, crm_half(a, q.y, o.status_id) AS crm_half,
               crm_status_of(b.account, s.infobase, s.state) IS NOT NULL AS mapped
        FROM (SELECT DISTINCT nil_free(x ->> (n ->> 'order')) AS ref FROM jsonb_array_elements(rows) x) e
        JOIN bas_state s ON s.infobase = note_states_seen.infobase AND s.ref_key = e.ref
        JOIN infobase i ON i.name = s.infobase
        CROSS JOIN LATERAL (SELECT o.account, o.order_id FROM bas_order o WHERE o.infobase = s.infobase AND o.ref_key = s.ref_key OFFSET 0) b
        CROSS JOIN LATERAL (SELECT z AS y FROM order_sync z WHERE z.account = b.account AND z.order_id = b.order_id AND z.bas_ref = s.ref_key OFFSET 0) q
        CROSS JOIN LATERAL (SELECT c.status_id FROM crm_order c WHERE c.account = b.account AND c.order_id = b.order_id OFFSET 0) o
        JOIN account a ON a.name = b.account
        CROSS JOIN LATERAL (SELECT ((q.y).agreed_at >= a.status_from_since) IS NOT TRUE AS first) f
        WHERE a.status_from_bas AND state_counts(a, note_states_seen.profile)
    )
    SELECT array_agg((s.account, s.order_id)::order_key) FILTER (WHERE s.state <> s.half AND s.mapped),
           array_agg(jsonb_populate_record(NULL::status_decision, jsonb_build_object('account', s.account, 'order_id', s.order_id, 'decision', CASE WHEN s.first THEN 'first' END, 'crm_was', s.crm_half, 'bas_status', s.half, 'unmapped', s.open)) ORDER BY s.account, s.order_id) FILTER (WHERE s.first OR s.open AND NOT s.status_unmapped)
    INTO wanted, kept FROM (SELECT x.*, x.state <> x.half AND NOT x.mapped AS open FROM seen x) s;
    IF wanted IS NOT NULL THEN
        PERFORM enqueue_orders(wanted, 2::smallint);
    END IF;
    IF kept IS NOT NULL THEN
        PERFORM note_statuses(kept);
    END IF;
END $$;
COMMENT ON FUNCTION note_states_seen(text, text, jsonb) IS 'Keeps the states of documents that a register tells, and has those orders looked at whose state is another by now';

CREATE FUNCTION settle_statuses(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r     record;
    p     status_poll;
    rows  jsonb;
    latest timestamp;
    count integer;
    ended boolean;
BEGIN
    FOR r IN SELECT u.task_id, u.started_at, t.scope, t.key, t.memo, i.profile, u::http_result AS result
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = t.scope WHERE u.class = 'ok' ORDER BY t.scope, t.key
    LOOP
        SELECT * INTO p FROM status_poll x WHERE x.infobase = r.scope AND x.what = r.key FOR UPDATE;
        IF NOT FOUND OR p.started_at IS DISTINCT FROM (r.memo ->> 'started_at')::timestamptz THEN
            RETURN NEXT ROW(r.task_id, 'again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
            CONTINUE;
        END IF;
        SELECT coalesce(jsonb_agg(e), '[]'), count(*) INTO rows, count FROM result_rows(r.result) e;
        IF r.key = 'states' THEN
            PERFORM note_states_seen(r.scope, r.profile, rows);
        ELSE
            PERFORM note_documents_seen(r.scope, r.profile, rows, r.started_at);
        END IF;
        ended := false;
        IF r.memo ? 'from' THEN
            latest := field_time((SELECT max(e ->> (property_names(r.profile, status_entity(r.key)) ->> 'changed')) FROM jsonb_array_elements(rows) e));
            ended := count < p.page_size;
            p.seen_until := greatest(p.seen_until, least(latest, clock() AT TIME ZONE 'UTC' + interval '1 day'));    -- a clock that was wrong once does not count for ever
            p.page_size := CASE WHEN latest > p.page_from THEN 200 ELSE p.page_size * 2 END;    -- so many in one second
            p.page_from := CASE WHEN NOT ended THEN latest END;
        ELSE
            p.before := (r.memo ->> 'before')::bigint;
        END IF;
        UPDATE status_poll x SET seen_until = p.seen_until, page_from = p.page_from, page_size = p.page_size, before = p.before, documents = x.documents + count, requests = x.requests + 1,
            done_at = CASE WHEN ended THEN clock() ELSE x.done_at END
        WHERE x.infobase = r.scope AND x.what = r.key;
        RETURN NEXT ROW(r.task_id, CASE WHEN ended THEN 'done' ELSE 'again' END, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_statuses(http_result[]) IS 'Settle of kind statuses: takes in a page, and goes on after it';
INSERT INTO task_kind (kind, origin, plan_function, settle_function) VALUES ('statuses', 'shipped', 'salesdrive.plan_statuses', 'salesdrive.settle_statuses');

CREATE FUNCTION pull_statuses(infobase text, days integer DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
DECLARE
    i infobase := require_infobase(infobase);
    part text;
    task bigint;
BEGIN
    IF NOT property_names(i.profile, 'order') ?| ARRAY['status', 'total'] THEN    -- the sum goes back where there is no status, too
        RAISE EXCEPTION 'documents of infobase "%" have neither status nor sum', i.name USING ERRCODE = '55000', DETAIL = format('Profile "%s" names no property for them.', i.profile), HINT = 'Where the base has one: INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES (…, ''order'', ''status'', …).';
    END IF;
    IF days NOT BETWEEN 1 AND 3650 THEN
        RAISE EXCEPTION 'statuses of the last % days cannot be read', days USING ERRCODE = '22023', HINT = 'Give a number of days from 1 to 3650; without one, what was changed since the last reading is read.';
    END IF;
    PERFORM hold_tasks(ARRAY[i.name], ARRAY['statuses']);
    FOREACH part IN ARRAY ARRAY['orders'] || CASE WHEN entity_set(i.profile, 'order_state') IS NOT NULL AND EXISTS (SELECT FROM account a WHERE a.infobase = i.name AND (a.status_from_bas OR has_followup_rules('bas')) AND state_counts(a, i.profile)) THEN ARRAY['states'] END LOOP
        INSERT INTO status_poll AS p (infobase, what, days) VALUES (i.name, part, coalesce(pull_statuses.days, 30))
        ON CONFLICT ON CONSTRAINT status_poll_pkey DO UPDATE SET days = excluded.days, seen_until = NULL, page_from = NULL, account = NULL, started_at = NULL WHERE pull_statuses.days IS NOT NULL;    -- begins anew
        task := enqueue(i.name, 'statuses', part, i.name, 2::smallint);    -- the states wait for the documents
    END LOOP;
    RETURN task;
END $$;
COMMENT ON FUNCTION pull_statuses(text, integer) IS 'Asks for what was changed in the documents of orders in BAS; days: begins anew, with what was changed within so many days, or, where the base does not tell the time of changes, with orders of so many days; returns the task';

-- What is there when a rule is set does not count; so it is read then, and what is another later does.
CREATE FUNCTION look_for_rules(causes text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    i infobase;
BEGIN
    FOR i IN SELECT DISTINCT b.* FROM few(causes) c JOIN account a ON c IN (format('followup_rule:%s:', a.name), 'followup_rule:*:') JOIN infobase b ON b.name = a.infobase ORDER BY 1 LOOP
        IF list_state(i.name, i.profile, 'status') IS DISTINCT FROM 'no_list' AND EXISTS (
            SELECT FROM account a CROSS JOIN LATERAL followup_rules(a.name, 'bas') r CROSS JOIN LATERAL chosen_value(i.name, 'status', r.status) v WHERE a.infobase = i.name AND v.ref IS NULL AND r.status !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$') THEN
            PERFORM enqueue(i.name, 'dictionary', 'status', i.name, 2::smallint);
        END IF;
        IF property_names(i.profile, 'order') ?| ARRAY['status', 'total'] THEN
            PERFORM pull_statuses(i.name);
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION look_for_rules(text[]) IS 'When a rule for statuses of BAS is set: has the statuses there are read, and the list of them where it does not know the one named';

CREATE VIEW seen_bas_status AS
    SELECT s.account, s.bas_key, d.name, s.orders, m.crm_key, CASE WHEN m.crm_key IS NULL THEN format('SELECT salesdrive.map_value(%L, ''status'', ''…'', %L);', s.account, coalesce(d.name, s.bas_key)) END AS hint
    FROM (SELECT b.account, b.infobase, CASE WHEN c.by_state THEN t.state ELSE held_status(b.read_body, c.property) END AS bas_key, count(*) AS orders
          FROM (SELECT a.name, i.profile, state_counts(a, i.profile) AS by_state, property_names(i.profile, 'order') ->> 'status' AS property FROM account a JOIN infobase i ON i.name = a.infobase) c
          JOIN bas_order b ON b.account = c.name LEFT JOIN bas_state t ON t.infobase = b.infobase AND t.ref_key = b.ref_key GROUP BY 1, 2, 3) s
    LEFT JOIN dictionary_value d ON d.scope = s.infobase AND d.side = 'bas' AND d.dictionary = 'status' AND d.key = s.bas_key
    CROSS JOIN LATERAL (SELECT crm_status_of(s.account, s.infobase, s.bas_key) AS crm_key) m
    WHERE s.bas_key <> '';
COMMENT ON VIEW seen_bas_status IS 'Statuses that documents have in BAS, and what they are in SalesDrive; counted when it is asked for, in one pass over the documents';
COMMENT ON COLUMN seen_bas_status.account IS 'Account';
COMMENT ON COLUMN seen_bas_status.bas_key IS 'Ref_Key of the status, or value of the enumeration';
COMMENT ON COLUMN seen_bas_status.name IS 'Its name';
COMMENT ON COLUMN seen_bas_status.orders IS 'Documents that have it';
COMMENT ON COLUMN seen_bas_status.crm_key IS 'Status in SalesDrive it is given; NULL: nobody said';
COMMENT ON COLUMN seen_bas_status.hint IS 'The call that maps it';
