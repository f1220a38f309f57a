-- Purpose: the status of an order and that of its document: which side changed it since both agreed last, and what follows from that. Read-only but for the last part.
-- Rights: the engine's role and 'operator' (preview).
--
-- order_sync keeps the pair of the last agreement. A side has changed its status when it differs from its half of the pair, so what was written from
-- here, and comes back, is no change. The map alone would not do: several statuses of one side may be one of the other. Where no pair is known since
-- statuses travel, the first look makes one of what each side has, and writes nothing: of SalesDrive what was known at the switch, of BAS what is
-- read first after it.

CREATE TYPE status_decision AS (
    account     text,
    order_id    bigint,
    decision    text,
    crm_status  text,
    bas_status  text,
    crm_was     text,
    bas_was     text,
    properties  jsonb,
    crm_wanted  text,
    names       text[],
    memo        jsonb,
    made        jsonb,
    cancel_set  text,
    unmapped    boolean,
    reason      text,
    detail      text,
    hint        text,
    blocked_on  text
);
COMMENT ON TYPE status_decision IS 'What is to become of the status of an order';
COMMENT ON COLUMN status_decision.account IS 'Account';
COMMENT ON COLUMN status_decision.order_id IS 'Order number';
COMMENT ON COLUMN status_decision.decision IS 'agreed (new pair), first (the pair of the first look), to_bas, to_crm, ask, kept (set in BAS, and not sent: the order is deleted), or NULL: nothing is to be done';
COMMENT ON COLUMN status_decision.crm_status IS 'Status in SalesDrive';
COMMENT ON COLUMN status_decision.bas_status IS 'Status of the document, as BAS writes it; "" for none, NULL: not known';
COMMENT ON COLUMN status_decision.crm_was IS 'Half of the pair in force: another status by now is a change made in SalesDrive';
COMMENT ON COLUMN status_decision.bas_was IS 'The same of BAS; NULL: none is known yet';
COMMENT ON COLUMN status_decision.properties IS 'The status as the document should carry it, where that is to be written';
COMMENT ON COLUMN status_decision.crm_wanted IS 'Status SalesDrive should have, where that is to be said anew';
COMMENT ON COLUMN status_decision.names IS 'Properties of the document that are its status: nothing else fills them';
COMMENT ON COLUMN status_decision.memo IS 'What the answer to a change of it needs';
COMMENT ON COLUMN status_decision.made IS 'What the answer to a new document needs';
COMMENT ON COLUMN status_decision.cancel_set IS 'Status that the rule of a cancelled order asks for, and that the document has: to be kept';
COMMENT ON COLUMN status_decision.unmapped IS 'A side has changed to a status that is not mapped: to be kept';
COMMENT ON COLUMN status_decision.reason IS 'Why the status keeps the order from going on: a code';
COMMENT ON COLUMN status_decision.detail IS 'Sentence';
COMMENT ON COLUMN status_decision.hint IS 'What to do';
COMMENT ON COLUMN status_decision.blocked_on IS 'What it waits for, as in task.blocked_on';

CREATE FUNCTION held_status(body jsonb, property text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN body ? property THEN CASE WHEN holds_nothing(body -> property) THEN '' ELSE btrim(body ->> property) END END;
COMMENT ON FUNCTION held_status(jsonb, text) IS 'Status of a document as read: "" for none, NULL where it does not tell';

CREATE FUNCTION bas_status_of(account text, infobase text, profile text, crm_status text, OUT value text, OUT problem text, OUT bas_key text, OUT candidates text) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    found record;
BEGIN
    bas_key := mapped_value(account, 'status', crm_status);
    IF bas_key IS NULL THEN
        RETURN;
    ELSIF entity_set(profile, 'status') IS NULL THEN    -- a value of an enumeration
        value := bas_key;
        RETURN;
    END IF;
    problem := list_state(infobase, profile, 'status');
    IF problem IS NULL THEN
        SELECT * INTO found FROM chosen_value(infobase, 'status', bas_key);
        value := found.ref;
        problem := found.problem;
        candidates := found.candidates;
    ELSIF bas_key ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        value := lower(bas_key);
        problem := NULL;
    END IF;
END $$;
COMMENT ON FUNCTION bas_status_of(text, text, text, text) IS 'Status in BAS that value_map gives for one of SalesDrive, as the document carries it; problem: unread, refused, or why the base has no such status';

CREATE FUNCTION crm_status_of(account text, infobase text, bas_status text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT m.crm_key FROM value_map m
            WHERE m.account IN (crm_status_of.account, '*') AND m.dictionary = 'status' AND m.direction IN ('to_crm', 'both') AND m.crm_key <> '*' AND m.bas_key IS NOT NULL AND bas_status <> ''
              AND (bas_status IN (m.bas_key, lower(m.bas_key))
                   OR EXISTS (SELECT FROM dictionary_value d WHERE d.scope = crm_status_of.infobase AND d.side = 'bas' AND d.dictionary = 'status' AND d.key = bas_status AND m.bas_key IN (d.name, d.code)))
            ORDER BY m.direction = 'both', m.account = '*', length(m.crm_key), m.crm_key LIMIT 1);
END $$;
COMMENT ON FUNCTION crm_status_of(text, text, text) IS 'Status in SalesDrive that value_map gives for one of BAS; of several rows the one of direction to_crm, of the account, with the lowest id';

CREATE FUNCTION state_counts(a account, profile text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN a.status_source = 'state' OR NOT property_names(profile, 'order') ? 'status';
END $$;
COMMENT ON FUNCTION state_counts(account, text) IS 'Whether the status of a document is what a register of the base tells of it, and not a property of its own';

-- Half of the pair that SalesDrive had when statuses began to travel, for an order that has no pair since.
CREATE FUNCTION crm_status_at(account text, order_id bigint, at timestamptz) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT v.data ->> 'statusId' FROM crm_order_version v
            WHERE v.account = crm_status_at.account AND v.order_id = crm_status_at.order_id AND v.received_at <= at AND v.data ? 'statusId'
            ORDER BY v.version DESC, v.update_at DESC NULLS LAST, v.hash DESC LIMIT 1);
END $$;
COMMENT ON FUNCTION crm_status_at(text, bigint, timestamptz) IS 'Status in SalesDrive that was known of an order at a time; NULL: it was not known';

CREATE FUNCTION crm_half(a account, y order_sync, now_has text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN CASE WHEN NOT a.status_to_bas THEN CASE WHEN y.agreed_at IS NULL THEN now_has ELSE y.crm_status END
                WHEN y.agreed_at >= a.status_to_since THEN y.crm_status ELSE crm_status_at(y.account, y.order_id, a.status_to_since) END;
END $$;
COMMENT ON FUNCTION crm_half(account, order_sync, text) IS 'Status in SalesDrive from which a change of it counts';

CREATE FUNCTION bas_half(a account, y order_sync, read_at timestamptz, held text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN NOT a.status_from_bas OR y.agreed_at >= a.status_from_since THEN y.bas_status WHEN read_at >= a.status_from_since THEN held END;
COMMENT ON FUNCTION bas_half(account, order_sync, timestamptz, text) IS 'Status of a document from which a change of it counts; NULL: none was seen since statuses travel, so the next one seen is it';

-- An order that is deleted in SalesDrive, or a duplicate there, would come back to life by any other status.
CREATE FUNCTION status_stays(account text, crm_status text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN coalesce(cancel_kind(account, crm_status) IN ('deleted', 'duplicate'), false) AND EXISTS (SELECT FROM cancel_rule_of(account, crm_status) r WHERE r.action <> 'none');
END $$;
COMMENT ON FUNCTION status_stays(text, text) IS 'Whether no status of BAS is written over one of SalesDrive: that of a deleted order, or of a duplicate';

CREATE FUNCTION status_decisions(orders order_key[], cancelled cancellation[]) RETURNS SETOF status_decision
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF cancelled IS NULL AND NOT EXISTS (SELECT FROM account a WHERE a.status_to_bas OR a.status_from_bas) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH by_rule AS MATERIALIZED (    -- a status that cancels is written by its rule also where statuses do not travel, and so is the one after it
        SELECT c.account, c.order_id, false AS revived FROM few(cancelled) c WHERE c.action = 'set_status'
        UNION ALL SELECT y.account, y.order_id, true FROM few(cancelled) c JOIN order_sync y ON y.account = c.account AND y.order_id = c.order_id
        WHERE c.action IS NULL AND coalesce(y.cancel_set, y.cancel_before) IS NOT NULL
    ), base AS MATERIALIZED (
        SELECT a.name, a AS account, a.infobase, i.profile, i.time_zone, a.status_to_bas AND NOT c.by_state AS to_bas, a.status_from_bas AS from_bas, a.status_conflict AS policy, c.by_state,
               n.names ->> 'status' AS property, n.names ->> 'status_type' AS type_property, n.names ->> 'changed' AS changed_property, 'StandardODATA.' || entity_set(i.profile, 'status') AS type,
               c.by_state AND property_names(i.profile, 'order_state') ? 'changed' AS by_journal
        FROM (SELECT DISTINCT k.account FROM few(orders) k) u JOIN account a ON a.name = u.account JOIN infobase i ON i.name = a.infobase
        CROSS JOIN LATERAL (SELECT property_names(i.profile, 'order') AS names OFFSET 0) n
        CROSS JOIN LATERAL (SELECT state_counts(a, i.profile) AS by_state OFFSET 0) c
        WHERE c.by_state AND a.status_from_bas AND entity_set(i.profile, 'order_state') IS NOT NULL
           OR n.names ? 'status' AND (NOT c.by_state AND (a.status_to_bas OR a.status_from_bas) OR EXISTS (SELECT FROM by_rule))
    ), seen AS MATERIALIZED (
        SELECT o.account, o.order_id, b AS base, b.by_state, b.to_bas, r.account IS NOT NULL AND b.property IS NOT NULL AS ruled, coalesce(r.revived, false) AS revived, o.status_id AS crm, o.update_at, y, y.bas_ref IS NOT NULL AS there, coalesce(y.force, false) AS force,
               w.sent, w.wanted, w.state, w.answered, x.doc, x.bas, field_time(d.read_body ->> b.changed_property) AS changed_at,
               crm_half(b.account, y, o.status_id) AS was_crm, bas_half(b.account, y, x.read_at, x.bas) AS was_bas,
               coalesce(y.agreed_at >= greatest(CASE WHEN b.to_bas THEN (b.account).status_to_since END, CASE WHEN b.from_bas THEN (b.account).status_from_since END, '-infinity'), false) AS valid
        FROM few(orders) k
        JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id
        JOIN base b ON b.name = o.account
        LEFT JOIN order_sync y ON y.account = o.account AND y.order_id = o.order_id
        LEFT JOIN bas_order d ON d.infobase = y.infobase AND d.ref_key = y.bas_ref
        LEFT JOIN by_rule r ON r.account = o.account AND r.order_id = o.order_id
        LEFT JOIN bas_state s ON b.by_state AND s.infobase = y.infobase AND s.ref_key = y.bas_ref
        CROSS JOIN LATERAL (SELECT held_status(d.read_body, b.property) AS doc) h
        CROSS JOIN LATERAL (SELECT h.doc, CASE WHEN b.by_state THEN s.state ELSE h.doc END AS bas, CASE WHEN b.by_state THEN s.read_at ELSE d.read_at END AS read_at) x
        LEFT JOIN LATERAL (SELECT CASE WHEN c.sent_at > greatest(y.agreed_at, (b.account).status_from_since) THEN c.sent END AS sent, c.wanted, c.state, c.sent_version IS NULL OR o.version > c.sent_version AS answered FROM crm_change c
                           WHERE b.from_bas AND c.account = o.account AND c.order_id = o.order_id AND c.field = 'statusId' AND c.cause = 'status') w ON true
        WHERE b.to_bas OR b.from_bas OR r.account IS NOT NULL
    ), there AS MATERIALIZED (    -- each status is looked up once
        SELECT u.account, u.crm, m.value, m.problem, m.bas_key, m.candidates, status_stays(u.account, u.crm) AS stays
        FROM (SELECT DISTINCT s.account, s.crm, (s.base).infobase, (s.base).profile FROM seen s WHERE s.crm IS NOT NULL) u
        CROSS JOIN LATERAL bas_status_of(u.account, u.infobase, u.profile, u.crm) m
    ), back AS MATERIALIZED (
        SELECT u.account, u.bas, crm_status_of(u.account, u.infobase, u.bas) AS value
        FROM (SELECT DISTINCT s.account, s.bas, (s.base).infobase FROM seen s WHERE s.bas <> '') u
    ), meant AS MATERIALIZED (
        SELECT s.*, g.goal, t.value AS to_bas_value, t.problem, t.bas_key, t.candidates, coalesce(t.stays, false) AS stays, c.value AS to_crm, s.to_bas OR s.ruled AS writes, NOT (s.base).from_bas OR s.was_bas IS NOT NULL AS known,
               coalesce(g.goal = s.bas AND NOT (s.by_state AND s.ruled), false) OR coalesce(c.value = s.crm, false) AS agree, (y).cancel_set IS NULL OR (y).cancel_set = s.doc AS as_set
        FROM seen s LEFT JOIN there t ON t.crm = s.crm AND t.account = s.account LEFT JOIN back c ON c.bas = s.bas AND c.account = s.account
        CROSS JOIN LATERAL (SELECT CASE WHEN t.value IS NULL AND t.problem IS NULL AND s.revived THEN nullif((s.y).cancel_before, '') ELSE t.value END AS goal) g    -- nobody says what the status is in BAS: that of before
    ), moved AS MATERIALIZED (
        SELECT m.*, v.attempt, t.ours, t.taken, v.attempt AND m.goal IS NOT NULL AND NOT t.ours AS crm_moved,
               (m.base).from_bas AND m.to_crm IS NOT NULL AND m.was_bas IS NOT NULL AND CASE WHEN t.ours THEN true WHEN t.taken THEN false ELSE m.bas <> m.was_bas END AS bas_moved
        FROM meant m
        CROSS JOIN LATERAL (SELECT coalesce(m.sent = m.crm, false) AS ours,    -- what SalesDrive has is what was sent there, and BAS has moved on
                                   coalesce(m.sent = m.to_crm AND m.crm <> m.was_crm AND m.answered AND m.state IN ('sent', 'held'), false) AS taken) t    -- SalesDrive took the status of BAS, and has moved on
        CROSS JOIN LATERAL (SELECT m.writes AND (NOT m.there OR m.to_bas AND m.crm IS DISTINCT FROM m.was_crm
                                                 OR m.ruled AND CASE WHEN m.revived THEN m.as_set ELSE (m.y).cancel_set IS NULL OR (m.y).cancel_set IS DISTINCT FROM m.goal END) AS attempt) v
    ), judged AS MATERIALIZED (
        SELECT m.*, coalesce(m.state IN ('wanted', 'unknown', 'sent') AND m.wanted <> m.crm, false) AS asked, m.by_state AND m.crm_moved AND m.goal IS DISTINCT FROM m.doc AS beside,
               CASE WHEN NOT m.there THEN CASE WHEN m.crm_moved AND NOT m.by_state THEN 'to_bas' END
                         WHEN m.bas IS NULL THEN NULL
                         WHEN m.by_state AND NOT m.known THEN NULL
                         WHEN m.agree THEN CASE WHEN m.known AND (NOT m.valid OR (m.crm, m.bas) IS DISTINCT FROM ((m.y).crm_status, (m.y).bas_status)) THEN 'agreed' END
                         WHEN m.force AND m.writes AND m.goal IS NOT NULL AND NOT m.by_state THEN 'to_bas'
                         WHEN m.crm_moved AND NOT m.by_state AND m.bas_moved THEN CASE (m.base).policy WHEN 'salesdrive' THEN 'to_bas' WHEN 'bas' THEN 'to_crm' WHEN 'ask' THEN 'ask'
                                                                    ELSE CASE WHEN m.changed_at AT TIME ZONE (m.base).time_zone > m.update_at AT TIME ZONE ((m.base).account).time_zone THEN 'to_crm' ELSE 'to_bas' END END
                         WHEN m.crm_moved AND NOT m.by_state THEN 'to_bas'
                         WHEN m.bas_moved THEN 'to_crm'
                         WHEN m.known AND NOT m.valid THEN 'first' END AS decision
        FROM moved m
    ), decided AS MATERIALIZED (
        SELECT j.account, j.order_id, j.base, j.by_state, j.ruled, j.revived, j.y, j.crm, j.bas, j.doc, j.was_crm, j.was_bas, j.goal, j.to_crm, j.asked, j.writes, j.attempt, j.problem, j.bas_key, j.candidates, j.beside,
               CASE WHEN j.decision = 'to_crm' AND j.stays THEN 'kept' ELSE j.decision END AS decision, j.to_bas AND j.to_bas_value IS NULL AS nowhere,
               NOT j.agree AND j.there AND (j.to_bas AND j.crm IS DISTINCT FROM j.was_crm AND j.to_bas_value IS NULL
                                            OR (j.base).from_bas AND j.to_crm IS NULL AND j.bas <> '' AND j.bas <> j.was_bas) IS TRUE AS unmapped
        FROM judged j
    )
    SELECT d.account, d.order_id, d.decision, d.crm, d.bas, d.was_crm, d.was_bas,
           CASE WHEN d.decision = 'to_bas' OR d.beside THEN jsonb_strip_nulls(jsonb_build_object((d.base).property, d.goal)
                || CASE WHEN (d.base).type_property IS NULL THEN '{}' ELSE jsonb_build_object((d.base).type_property, (d.base).type) END) END,
           CASE WHEN d.decision = 'to_crm' THEN d.to_crm WHEN d.asked THEN d.crm END, CASE WHEN d.by_state AND NOT d.ruled THEN '{}' ELSE array_remove(ARRAY[(d.base).property, (d.base).type_property], NULL) END,
           c.memo || CASE WHEN d.by_state THEN '{}' ELSE jsonb_build_object('status', d.crm) END,
           c.memo || CASE WHEN NOT d.by_state THEN jsonb_build_object('status', CASE WHEN NOT d.nowhere THEN d.crm END) WHEN (d.base).by_journal THEN jsonb_build_object('status', d.crm, 'state', '') ELSE '{}' END,
           CASE WHEN d.ruled AND NOT d.revived AND d.goal = d.doc AND (d.y).cancel_set IS DISTINCT FROM d.goal THEN d.goal END, d.unmapped AND NOT (d.y).status_unmapped,
           CASE WHEN p.problem IS NULL THEN NULL WHEN p.problem = 'unread' THEN 'dictionary' WHEN p.problem = 'refused' THEN 'field' ELSE 'value_wrong' END,
           CASE WHEN p.problem IS NULL THEN NULL WHEN p.problem = 'unread' THEN format('The list of status is being read from infobase "%s".', (d.base).infobase)
                WHEN p.problem = 'refused' THEN format('The list of status cannot be read from infobase "%s". %s', (d.base).infobase,
                                                       (SELECT t.detail FROM task t WHERE t.scope = (d.base).infobase AND t.kind = 'dictionary' AND t.key = 'status'))
                ELSE format('value_map gives "%s" for status %s, which %s "%s" (there: %s).', d.bas_key, d.crm, p.problem, (d.base).infobase, coalesce(left(d.candidates, 2000), 'nothing')) END,
           CASE WHEN p.problem IS NULL OR p.problem = 'unread' THEN NULL
                WHEN p.problem = 'refused' THEN format('Add %s to the composition of the OData interface, and give the user of the exchange the right to read it; then call resume(). Or map statuses to Ref_Keys.', substr((d.base).type, 15))
                ELSE map_call(d.account, 'status', d.crm) || ' with a name, code or Ref_Key of the base; the order goes on by itself. After a change in BAS resume() reads the list again.' END,
           CASE WHEN p.problem IS NULL THEN NULL WHEN p.problem IN ('unread', 'refused') THEN format('dictionary:%s:status', (d.base).infobase) ELSE format('value:%s:status/%s', d.account, d.crm) END
    FROM decided d
    CROSS JOIN LATERAL (SELECT CASE WHEN d.attempt THEN d.problem END AS problem) p
    CROSS JOIN LATERAL (SELECT CASE WHEN d.ruled AND NOT d.revived AND d.goal IS NOT NULL THEN jsonb_build_object('cancel', d.goal) ELSE '{}' END AS memo) c;
END $$;
COMMENT ON FUNCTION status_decisions(order_key[], cancellation[]) IS 'What is to become of the statuses of orders: a row for each order of an account that has statuses travel, where the profile knows the status of a document';

CREATE FUNCTION obstacles_statuses(statuses status_decision[]) RETURNS SETOF obstacle
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT s.account, s.order_id, 26, s.reason, s.detail, s.hint, s.blocked_on, s.reason = 'dictionary' FROM few(statuses) s WHERE s.reason IS NOT NULL;
END;
COMMENT ON FUNCTION obstacles_statuses(status_decision[]) IS 'Orders whose status is mapped to what the base does not have, or whose list of statuses is not at hand';
