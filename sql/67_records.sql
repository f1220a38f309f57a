-- Purpose: where a document has no section of additional attributes they go into additional information records: rows of an independent register
-- beside the document. Tasks of kind order_record write those of one order; the order waits for them and is not done before.
-- Rights: the engine's role and 'operator' (preview).
--
--      a write unsure ──▶ read back · not read lately, or there and not ours ──▶ read · changed on both sides ──▶ park
--      missing ──▶ create (BAS refuses a second one, code 15: read) · differs ──▶ change · cleared ──▶ delete ──▶ done
--
-- A record is known by document and property, so no request makes two of it. It is no part of the document: it changes neither its DataVersion nor
-- its posting.

CREATE TABLE bas_record (
    infobase     text NOT NULL,
    document     uuid NOT NULL,
    property     uuid NOT NULL,
    account      text NOT NULL,
    order_id     bigint NOT NULL,
    name         text NOT NULL,
    sent         jsonb,
    sent_version bigint,
    sent_at      timestamptz,
    rule         text,
    written      jsonb,
    held         jsonb,
    read_at      timestamptz,
    trying       jsonb,
    unsure_until timestamptz,
    asked_early  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (infobase, document, property)
);
COMMENT ON TABLE bas_record IS 'Additional information records of the documents of orders, where a document has no section of additional attributes; values are [value, type]';
COMMENT ON COLUMN bas_record.infobase IS 'Infobase';
COMMENT ON COLUMN bas_record.document IS 'Ref_Key of the document';
COMMENT ON COLUMN bas_record.property IS 'Ref_Key of the property';
COMMENT ON COLUMN bas_record.account IS 'Account';
COMMENT ON COLUMN bas_record.order_id IS 'Order number';
COMMENT ON COLUMN bas_record.name IS 'Name of the property, as in field_map';
COMMENT ON COLUMN bas_record.sent IS 'Value BAS took last from here; NULL: none, or it was deleted from here';
COMMENT ON COLUMN bas_record.sent_version IS 'Order version it came from';
COMMENT ON COLUMN bas_record.sent_at IS 'When BAS took it, or was seen to hold it';
COMMENT ON COLUMN bas_record.rule IS 'Rows of field_map that may have given it';
COMMENT ON COLUMN bas_record.written IS 'What BAS held right after that: a later difference was made in BAS';
COMMENT ON COLUMN bas_record.held IS 'What BAS held when it was read last; NULL: no record';
COMMENT ON COLUMN bas_record.read_at IS 'When; NULL: to be read before anything is written';
COMMENT ON COLUMN bas_record.trying IS 'Value of a write whose outcome is not known (null: a deletion); NULL: no such write';
COMMENT ON COLUMN bas_record.unsure_until IS 'From when on it counts that such a write is not to be seen';
COMMENT ON COLUMN bas_record.asked_early IS 'BAS was asked before that and did not show it: asked again then';
CREATE INDEX bas_record_order ON bas_record (account, order_id);

-- Which way.

CREATE FUNCTION attribute_way(infobase text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    profile  text := (SELECT i.profile FROM infobase i WHERE i.name = attribute_way.infobase);
    register text := entity_set(profile, 'record');
BEGIN
    RETURN CASE WHEN entity_set(profile, 'attribute_row') IS NOT NULL THEN 'section'
                WHEN register IS NULL THEN 'comment'
                WHEN publishes(infobase, register) THEN 'record'
                WHEN EXISTS (SELECT FROM metadata_load l WHERE l.infobase = attribute_way.infobase) THEN 'comment'
                ELSE 'unknown' END;
END $$;
COMMENT ON FUNCTION attribute_way(text) IS 'Where additional attributes of the documents of a base are kept: section (of the document), else record (of the register, where $metadata shows it), else comment; unknown: $metadata was not read yet';

CREATE FUNCTION attribute_filter(infobase text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN CASE WHEN attribute_way(infobase) = 'record' THEN 'ЭтоДополнительноеСведение eq true'
                ELSE (SELECT e.filter FROM infobase i JOIN profile_entity_effective e ON e.profile = i.profile AND e.concept = 'attribute' WHERE i.name = attribute_filter.infobase) END;
END $$;
COMMENT ON FUNCTION attribute_filter(text) IS 'Condition for those properties of the common chart that a base keeps its attributes under: attributes, or information records';

CREATE FUNCTION record_accounts(orders order_key[]) RETURNS text[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM bas_attribute) AND NOT EXISTS (SELECT FROM field_map f WHERE f.target = 'attribute' AND f.origin = 'user') THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT a.name FROM (SELECT DISTINCT k.account FROM few(orders) k) u JOIN account a ON a.name = u.account WHERE attribute_way(a.infobase) = 'record');
END $$;
COMMENT ON FUNCTION record_accounts(order_key[]) IS 'Accounts of the orders whose attributes are kept in information records';

-- What differs. Read-only, so that preview() shows the same.

CREATE FUNCTION same_record(a jsonb, b jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN a IS NOT DISTINCT FROM b OR coalesce(a -> 1 = b -> 1 AND odata_equal(a -> 0, b -> 0), false);
COMMENT ON FUNCTION same_record(jsonb, jsonb) IS 'Whether two values of a record are the same, as BAS writes them; NULL is no record';

CREATE TYPE record_change AS (
    account   text,
    order_id  bigint,
    infobase  text,
    profile   text,
    document  uuid,
    property  uuid,
    name      text,
    action    text,
    wanted    jsonb,
    known     bas_record,
    fresh     boolean,
    conflict  boolean
);
COMMENT ON TYPE record_change IS 'A record that is not as its order wants it';
COMMENT ON COLUMN record_change.account IS 'Account';
COMMENT ON COLUMN record_change.order_id IS 'Order number';
COMMENT ON COLUMN record_change.infobase IS 'Infobase';
COMMENT ON COLUMN record_change.profile IS 'Its profile';
COMMENT ON COLUMN record_change.document IS 'Ref_Key of the document';
COMMENT ON COLUMN record_change.property IS 'Ref_Key of the property';
COMMENT ON COLUMN record_change.name IS 'Name of the property, as in field_map';
COMMENT ON COLUMN record_change.action IS 'create, change or delete; read: what BAS holds must be known first';
COMMENT ON COLUMN record_change.wanted IS 'Value as it should be; NULL: none';
COMMENT ON COLUMN record_change.known IS 'What is known of the record';
COMMENT ON COLUMN record_change.fresh IS 'Whether it may be written without reading it again: it was read, or written, lately and for this version';
COMMENT ON COLUMN record_change.conflict IS 'Whether it was changed in BAS, too, since it was written last';

-- A record of which nothing is known is created without asking: BAS says so if there is one.
CREATE FUNCTION record_changes(fields order_fields[]) RETURNS SETOF record_change
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM few(fields) f WHERE f.records IS NOT NULL) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT f.account, f.order_id, a.infobase, i.profile, d.document, c.property, c.name, w.action, c.wanted, r, r.property IS NULL OR coalesce(r.read_at >= greatest(o.changed_at, clock() - greatest(i.total_timeout, interval '10 s')), false),
           c.owner = 'crm' AND r.property IS NOT NULL AND r.held IS DISTINCT FROM r.written AND NOT coalesce(y.force, false)
    FROM few(fields) f
    JOIN account a ON a.name = f.account
    JOIN infobase i ON i.name = a.infobase
    JOIN crm_order o ON o.account = f.account AND o.order_id = f.order_id
    LEFT JOIN order_sync y ON y.account = f.account AND y.order_id = f.order_id
    LEFT JOIN bas_order b ON b.infobase = a.infobase AND b.ref_key = y.bas_ref
    CROSS JOIN LATERAL (SELECT coalesce(y.bas_ref, y.ref_key, order_ref_key(a.identity, f.order_id)) AS document) d
    CROSS JOIN LATERAL (SELECT e.key::uuid AS property, e.value ->> 'name' AS name, e.value ->> 'owner' AS owner,
                               CASE WHEN e.value ->> 'value' IS NOT NULL THEN jsonb_build_array(CASE e.value ->> 'type' WHEN 'Edm.String' THEN left(e.value ->> 'value', 1024) ELSE e.value ->> 'value' END, e.value ->> 'type') END AS wanted
                        FROM jsonb_each(f.records) e) c
    LEFT JOIN bas_record r ON r.infobase = a.infobase AND r.document = d.document AND r.property = c.property
    CROSS JOIN LATERAL (
        SELECT CASE WHEN r.trying IS NOT NULL OR y.force AND r.property IS NOT NULL AND r.read_at IS NULL THEN 'read'
                    WHEN same_record(c.wanted, r.held) AND r.read_at IS NOT NULL THEN CASE WHEN NOT same_record(c.wanted, r.sent) THEN 'read' END    -- so it counts as ours
                    WHEN c.owner = 'bas' AND (y.synced_version IS NOT NULL OR r.sent IS NOT NULL OR r.held IS NOT NULL) THEN NULL    -- written with the creation only
                    WHEN c.owner = 'empty' AND NOT holds_nothing(r.held -> 0) THEN NULL
                    WHEN same_record(c.wanted, r.sent) AND NOT coalesce(y.force, false) THEN NULL
                    WHEN c.wanted IS NULL AND (r.sent IS NULL OR r.held IS NULL) THEN NULL    -- what was not written from here is not deleted
                    WHEN c.wanted IS NULL THEN 'delete'
                    WHEN r.held IS NULL THEN 'create' ELSE 'change' END AS action) w
    WHERE f.records IS NOT NULL AND w.action IS NOT NULL AND NOT coalesce(b.deleted, false)
      AND NOT coalesce(a.edit_policy = 'never' AND y.synced_version IS NOT NULL AND NOT y.force AND r.trying IS NULL, false);
END $$;
COMMENT ON FUNCTION record_changes(order_fields[]) IS 'Information records that are not as the orders want them, and what each needs';

CREATE FUNCTION record_address(profile text, document uuid, property uuid) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    n jsonb := property_names(profile, 'record');
BEGIN
    RETURN format('%s(%s=''%s'',%s=''%s'',%s=%s)', entity_set(profile, 'record'), url_encode(n ->> 'object'), document, url_encode(n ->> 'object_type'), url_encode('StandardODATA.' || entity_set(profile, 'order')),
                  url_encode(n ->> 'attribute'), odata_guid(property));
END $$;
COMMENT ON FUNCTION record_address(text, uuid, uuid) IS 'Address of a record: the register, with all dimensions as its key';

CREATE FUNCTION record_body(profile text, document uuid, property uuid, wanted jsonb, whole boolean) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN renamed(jsonb_build_object('value', wanted -> 0, 'value_type', wanted -> 1)
                   || CASE WHEN whole THEN jsonb_build_object('object', document, 'object_type', 'StandardODATA.' || entity_set(profile, 'order'), 'attribute', property) ELSE '{}' END, property_names(profile, 'record'));
END $$;
COMMENT ON FUNCTION record_body(text, uuid, uuid, jsonb, boolean) IS 'A record to be created (whole), or what is changed of it';

CREATE FUNCTION record_rule(account text, name text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT string_agg(f.property || ' from ' || field_text(f), '; ' ORDER BY f.origin DESC, f.account = '*', f.profile = '*', f.turn)
            FROM account a JOIN infobase i ON i.name = a.infobase JOIN field_map f ON f.account IN (a.name, '*') AND (f.profile = '*' OR f.profile IN (SELECT w.source FROM profile_line w WHERE w.profile = i.profile))
            WHERE a.name = record_rule.account AND f.target = 'attribute' AND f.property = record_rule.name AND f.enabled);
END $$;
COMMENT ON FUNCTION record_rule(text, text) IS 'Rows of field_map that may have given a record, as lineage has them';

CREATE FUNCTION obstacles_records(fields order_fields[]) RETURNS SETOF obstacle
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT u.account, u.order_id, 90, CASE WHEN p.id IS NULL THEN 'records' ELSE p.reason END, coalesce(p.detail, 'Its additional information records are being written.'), p.hint, format('order_record:%s:%s', u.account, u.order_id), p.id IS NULL
    FROM (SELECT DISTINCT c.account, c.order_id FROM record_changes(fields) c) u
    JOIN order_sync y ON y.account = u.account AND y.order_id = u.order_id AND y.bas_ref IS NOT NULL
    JOIN crm_order o ON o.account = u.account AND o.order_id = u.order_id
    LEFT JOIN task p ON p.scope = u.account AND p.kind = 'order_record' AND p.key = u.order_id::text AND p.state = 'parked' AND p.changed_at >= o.changed_at;    -- a newer version tries again
END $$;
COMMENT ON FUNCTION obstacles_records(order_fields[]) IS 'Orders whose document is there, and whose records are not right yet: they wait, or are parked for what their records are parked for';

CREATE FUNCTION ask_for_records(orders order_key[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO task AS t (scope, kind, key, account, infobase, lane)
    SELECT k.account, 'order_record', k.order_id::text, k.account, o.infobase, o.lane
    FROM few(orders) k CROSS JOIN LATERAL (SELECT u.infobase, u.lane FROM task u WHERE u.scope = k.account AND u.kind = 'order' AND u.key = k.order_id::text OFFSET 0) o
    ORDER BY 1, 3
    ON CONFLICT (scope, kind, key) DO UPDATE SET state = 'ready', run_at = clock(), blocked_on = NULL, changed_at = clock() WHERE t.state = 'parked';
END $$;
COMMENT ON FUNCTION ask_for_records(order_key[]) IS 'Asks for the records of orders to be made right; those parked for an older version try again';

-- The task.

CREATE FUNCTION plan_order_record(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    orders  order_key[] := ARRAY(SELECT (t.account, t.key::bigint)::order_key FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t ORDER BY t.account, t.key::bigint);
    changes record_change[] := ARRAY(SELECT c FROM record_changes(ARRAY(SELECT f FROM few(mapped_fields(orders)) f WHERE f.problem IS NULL)) c);
BEGIN
    RETURN QUERY
    SELECT t.id, w.step, w.purpose, CASE w.purpose WHEN 'create record' THEN 'POST' WHEN 'change record' THEN 'PATCH' WHEN 'delete record' THEN 'DELETE' ELSE 'GET' END,
           CASE w.purpose WHEN 'read records' THEN entity_set(c.profile, 'record') || '?$format=json' || odata_filter(format('%s eq cast(%s,%s)', property_names(c.profile, 'record') ->> 'object', odata_guid(c.document), odata_text(entity_set(c.profile, 'order'))))
                WHEN 'create record' THEN entity_set(c.profile, 'record') ELSE record_address(c.profile, c.document, c.property) END,
           CASE WHEN w.purpose IN ('create record', 'change record') THEN record_body(c.profile, c.document, c.property, c.wanted, w.purpose = 'create record') END,
           jsonb_build_object('version', o.version, 'document', c.document)
               || CASE w.purpose WHEN 'read records' THEN jsonb_build_object('records', q.records) ELSE jsonb_build_object('property', c.property, 'name', c.name, 'wanted', c.wanted) END,
           false, w.run_at, w.reason, w.detail, w.hint, NULL::text
    FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t
    LEFT JOIN crm_order o ON o.account = t.account AND o.order_id = t.key::bigint
    LEFT JOIN order_sync y ON y.account = t.account AND y.order_id = t.key::bigint
    LEFT JOIN LATERAL (SELECT l.* FROM few(changes) l WHERE l.account = t.account AND l.order_id = t.key::bigint ORDER BY attribute_place(l.name), l.name LIMIT 1) c ON y.bas_ref IS NOT NULL AND y.skipped_at IS NULL
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(l.property, jsonb_build_object('name', l.name, 'wanted', l.wanted)) AS records, bool_or(l.action = 'read' OR NOT l.fresh) AS must_read,
               string_agg(format('%s: %s there, %s here', l.name, brief_value((l.known).held -> 0), brief_value(l.wanted -> 0)), '; ' ORDER BY attribute_place(l.name), l.name) FILTER (WHERE l.conflict) AS conflicts,
               max((l.known).unsure_until) FILTER (WHERE (l.known).asked_early) AS unsure_until
        FROM few(changes) l WHERE l.account = t.account AND l.order_id = t.key::bigint) q
    CROSS JOIN LATERAL (
        SELECT 'done' AS step, NULL AS purpose, NULL::timestamptz AS run_at, NULL AS reason, NULL AS detail, NULL AS hint WHERE c.account IS NULL
        UNION ALL SELECT 'wait', NULL, q.unsure_until, 'unsure', 'A write without an answer may still be at work in BAS.', NULL WHERE q.unsure_until > clock()
        UNION ALL SELECT 'request', 'read records', NULL, NULL, NULL, NULL WHERE q.must_read
        UNION ALL SELECT 'park', NULL, NULL, 'conflict', format('Information records of document %s were changed in BAS, and the order in SalesDrive, in the same place: %s.', y.number, q.conflicts),
                         'resend() writes the values of SalesDrive, skip() leaves those of BAS.' WHERE q.conflicts IS NOT NULL
        UNION ALL SELECT 'request', c.action || ' record', NULL, NULL, NULL, NULL
        LIMIT 1) w;
END $$;
COMMENT ON FUNCTION plan_order_record(bigint[]) IS 'Plan of kind order_record: the first of its rules that applies';

CREATE FUNCTION note_record_writes(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE order_sync y SET requests = y.requests + 1
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t WHERE y.account = t.account AND y.order_id = t.key::bigint;

    INSERT INTO bas_record AS r (infobase, document, property, account, order_id, name, trying, unsure_until)
    SELECT t.infobase, (s.memo ->> 'document')::uuid, (s.memo ->> 'property')::uuid, t.account, t.key::bigint, s.memo ->> 'name', s.memo -> 'wanted', longest_write(i)
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN infobase i ON i.name = t.infobase
    WHERE s.method <> 'GET' ORDER BY 1, 2, 3
    ON CONFLICT (infobase, document, property) DO UPDATE SET name = excluded.name, trying = excluded.trying, unsure_until = excluded.unsure_until, asked_early = false;
END $$;
COMMENT ON FUNCTION note_record_writes(plan_step[]) IS 'Before requests of records are sent: counts them, and keeps what every write carries; its outcome is unsure from now on';

CREATE FUNCTION tell_record(t task, r bas_record, before jsonb, told text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO order_event (account, order_id, event, version, text)
    SELECT t.account, t.key::bigint, CASE WHEN same_record(r.sent, r.held) THEN 'record' ELSE 'differs' END, r.sent_version,
           format('Information record of document %s: %s %s → %s%s%s.', y.number, r.name, brief_value(before -> 0), brief_value(r.sent -> 0), told,
                  CASE WHEN same_record(r.sent, r.held) THEN '' ELSE ', but BAS keeps ' || brief_value(r.held -> 0) END)
    FROM order_sync y WHERE y.account = t.account AND y.order_id = t.key::bigint;
END $$;
COMMENT ON FUNCTION tell_record(task, bas_record, jsonb, text) IS 'Keeps in the history of an order what was written of a record';

CREATE FUNCTION settle_record_written(t task, r http_result, names jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    body   jsonb := result_json(r);
    before jsonb;
    now_is bas_record;
BEGIN
    IF t.purpose = 'delete record' AND r.body_bytes > 0 OR t.purpose <> 'delete record' AND nil_free(body ->> (names ->> 'attribute')) IS DISTINCT FROM (t.memo ->> 'property')::uuid THEN
        RETURN;    -- answered by something before BAS: its outcome stays unsure
    END IF;
    SELECT k.held INTO before FROM bas_record k WHERE k.infobase = t.infobase AND k.document = (t.memo ->> 'document')::uuid AND k.property = (t.memo ->> 'property')::uuid;
    UPDATE bas_record k SET sent = nullif(k.trying, 'null'), sent_version = (t.memo ->> 'version')::bigint, sent_at = clock(), rule = record_rule(t.account, k.name),
        held = h.held, written = h.held, read_at = clock(), trying = NULL, unsure_until = NULL, asked_early = false
    FROM (SELECT CASE WHEN t.purpose <> 'delete record' THEN jsonb_build_array(body -> (names ->> 'value'), body -> (names ->> 'value_type')) END AS held) h
    WHERE k.infobase = t.infobase AND k.document = (t.memo ->> 'document')::uuid AND k.property = (t.memo ->> 'property')::uuid
    RETURNING k.* INTO now_is;
    PERFORM tell_record(t, now_is, before, '');
END $$;
COMMENT ON FUNCTION settle_record_written(task, http_result, jsonb) IS 'Takes in a record created, changed or deleted, if the answer is one of BAS';

CREATE FUNCTION settle_records_read(t task, r http_result, names jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    rows jsonb := (SELECT jsonb_object_agg(e ->> (names ->> 'attribute'), jsonb_build_array(e -> (names ->> 'value'), e -> (names ->> 'value_type'))) FROM result_rows(r) e);
    c    record;
BEGIN
    INSERT INTO bas_record (infobase, document, property, account, order_id, name)
    SELECT t.infobase, (t.memo ->> 'document')::uuid, p.key::uuid, t.account, t.key::bigint, p.value ->> 'name' FROM jsonb_each(t.memo -> 'records') p ORDER BY p.key ON CONFLICT DO NOTHING;

    FOR c IN
        UPDATE bas_record k SET held = v.held, read_at = clock(), trying = CASE WHEN v.early THEN k.trying END, unsure_until = CASE WHEN v.early THEN k.unsure_until END, asked_early = v.early,
            sent = CASE WHEN v.is_ours THEN v.ours ELSE k.sent END, written = CASE WHEN v.is_ours THEN v.held ELSE k.written END,
            sent_version = CASE WHEN v.is_ours THEN (t.memo ->> 'version')::bigint ELSE k.sent_version END, sent_at = CASE WHEN v.is_ours THEN clock() ELSE k.sent_at END,
            rule = CASE WHEN v.is_ours THEN record_rule(t.account, k.name) ELSE k.rule END
        FROM (
            SELECT o.property, o.held AS before, h.held, o.trying IS NOT NULL AND NOT a.arrived AND r.started_at < o.unsure_until AS early, a.arrived,
                   a.arrived OR t.memo -> 'records' ? o.property::text AND same_record(w.wanted, h.held) AS is_ours, CASE WHEN a.arrived THEN nullif(o.trying, 'null') ELSE w.wanted END AS ours    -- what the order wants and BAS holds already counts as ours
            FROM bas_record o
            CROSS JOIN LATERAL (SELECT rows -> o.property::text AS held) h
            CROSS JOIN LATERAL (SELECT nullif(t.memo -> 'records' -> o.property::text -> 'wanted', 'null') AS wanted) w
            CROSS JOIN LATERAL (SELECT o.trying IS NOT NULL AND same_record(nullif(o.trying, 'null'), h.held) AS arrived) a
            WHERE o.infobase = t.infobase AND o.document = (t.memo ->> 'document')::uuid) v
        WHERE k.infobase = t.infobase AND k.document = (t.memo ->> 'document')::uuid AND k.property = v.property
        RETURNING k AS known, v.before, v.arrived
    LOOP
        IF c.arrived THEN
            PERFORM tell_record(t, c.known, c.before, ', as reading it back shows');
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_records_read(task, http_result, jsonb) IS 'Takes in all records of a document: what arrived of unsure writes, and what was changed in BAS';

CREATE FUNCTION settle_order_record(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r     record;
    s     plan_step;
    known bas_record;
BEGIN
    FOR r IN SELECT t::task AS task, u::http_result AS result, u.class, u.odata_code, i.profile, i.retry_base, i.retry_cap, property_names(i.profile, 'record') AS names
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = t.infobase ORDER BY t.account, t.key::bigint
    LOOP
        s := NULL;
        s.task_id := (r.task).id;
        IF (r.task).purpose = 'read records' THEN
            IF r.class = 'ok' THEN
                PERFORM settle_records_read(r.task, r.result, r.names);
                s.step := 'again';
            END IF;
        ELSIF r.class = 'unknown_outcome' OR r.class = 'ok' THEN
            IF r.class = 'ok' THEN
                PERFORM settle_record_written(r.task, r.result, r.names);
            END IF;
            s.step := 'again';    -- what is unsure stays so, and is read back
        ELSE    -- not written; there already, or gone: looked at before anything else
            SELECT * INTO known FROM bas_record k WHERE k.infobase = (r.task).infobase AND k.document = ((r.task).memo ->> 'document')::uuid AND k.property = ((r.task).memo ->> 'property')::uuid;
            UPDATE bas_record k SET trying = NULL, unsure_until = NULL, asked_early = false, read_at = CASE WHEN r.odata_code IN ('9', '15') THEN NULL ELSE k.read_at END
            WHERE k.infobase = known.infobase AND k.document = known.document AND k.property = known.property;
            IF r.class = 'business' AND r.odata_code IN ('9', '15') AND (r.task).refusals < 5 THEN
                s.step := CASE WHEN r.odata_code = '15' AND known.read_at IS NULL THEN 'again' ELSE 'retry' END;    -- it was read just before: not in a tight circle
                s.reason := 'refused';
                s.run_at := CASE s.step WHEN 'retry' THEN clock() + backoff((r.task).failures, r.retry_base, r.retry_cap, NULL) END;
            END IF;
        END IF;
        IF r.class = 'business' AND s.step IS NULL THEN
            s := refused_step((r.task).id, 'business', CASE (r.task).purpose WHEN 'read records' THEN 'let the information records of the document be read'
                     ELSE format('let the information record "%s" of the document be %s', (r.task).memo ->> 'name', CASE split_part((r.task).purpose, ' ', 1) WHEN 'change' THEN 'changed' ELSE split_part((r.task).purpose, ' ', 1) || 'd' END) END,
                     r.result, format('The words are those of BAS. Is %s in the composition of the OData interface, and may the user of the exchange change it? Then call resume(), or skip() the order.', entity_set(r.profile, 'record')));
        END IF;
        IF s.step IS NOT NULL THEN
            RETURN NEXT s;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_order_record(http_result[]) IS 'Settle of kind order_record';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, note_function) VALUES ('order_record', 'shipped', 'salesdrive.plan_order_record', 'salesdrive.settle_order_record', 'salesdrive.note_record_writes');
