-- Purpose: follow-up documents (sale, closing of the order, return): on which status of an order they are asked for, and what became of each. Each once.
-- Rights: 'operator' edits the rules, readers read; the engine writes what became of them.
--
-- A rule fires when its status is reached: once for an order and an action, whatever is reached again, or is changed in the rules, later.

CREATE TABLE followup_rule (
    account      text NOT NULL DEFAULT '*' CHECK (account <> ''),
    side         text NOT NULL DEFAULT 'salesdrive' CHECK (side IN ('salesdrive', 'bas')),
    status       text NOT NULL CHECK (status <> ''),
    action       text NOT NULL CHECK (action IN ('sale', 'close', 'return')),
    posting      boolean NOT NULL DEFAULT false,
    foreign_sale boolean NOT NULL DEFAULT false,
    enabled      boolean NOT NULL DEFAULT true,
    note         text,
    since        timestamptz NOT NULL DEFAULT clock(),
    PRIMARY KEY (account, side, status, action),
    CHECK (action <> 'close' OR NOT posting),
    CHECK (action = 'return' OR NOT foreign_sale)
);
COMMENT ON TABLE followup_rule IS 'On which status of an order, in SalesDrive or in BAS, a document follows it; as delivered none does. A row of the account counts before one of all with the same side, status and action';
COMMENT ON COLUMN followup_rule.account IS 'Account; * for every account';
COMMENT ON COLUMN followup_rule.side IS 'Whose status it is: salesdrive, or bas (of the document of the order)';
COMMENT ON COLUMN followup_rule.status IS 'Id of a status in SalesDrive; of one in BAS its Ref_Key, name or code, or the value of an enumeration';
COMMENT ON COLUMN followup_rule.action IS 'sale (a sales document is made from the order), close (the order is closed), return (a return document is made from the sale)';
COMMENT ON COLUMN followup_rule.posting IS 'Whether the document made is posted';
COMMENT ON COLUMN followup_rule.foreign_sale IS 'Of return: a sale that people made from the order counts, too, where none was made from here';
COMMENT ON COLUMN followup_rule.enabled IS 'False switches the row off, and in a row of an account that of all';
COMMENT ON COLUMN followup_rule.note IS 'Anything worth remembering';
COMMENT ON COLUMN followup_rule.since IS 'When it was set: orders that reach the status from then on count';
COMMENT ON CONSTRAINT followup_rule_check ON followup_rule IS 'Closing makes no document that could be posted';
COMMENT ON CONSTRAINT followup_rule_check1 ON followup_rule IS 'Only a return asks whose sale it is';

CREATE FUNCTION followup_rule_guard() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NEW.side = 'salesdrive' AND NEW.status !~ '^\d{1,18}$' THEN
        RAISE EXCEPTION 'there is no status "%" in SalesDrive', NEW.status
            USING ERRCODE = '22023', HINT = 'Give its id: SELECT key, name FROM salesdrive.dictionary_value WHERE side = ''crm'' AND dictionary = ''status'';';
    END IF;
    IF TG_OP = 'UPDATE' AND (NEW.account, NEW.side, NEW.status, NEW.action, NEW.enabled) IS DISTINCT FROM (OLD.account, OLD.side, OLD.status, OLD.action, OLD.enabled) THEN
        NEW.since := clock();
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION followup_rule_guard() IS 'Trigger: the status of a rule can be one; a rule that means something else counts from now on';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON followup_rule FOR EACH ROW EXECUTE FUNCTION followup_rule_guard();
CREATE TRIGGER changed AFTER INSERT OR UPDATE ON followup_rule FOR EACH ROW WHEN (NEW.side = 'bas' AND NEW.enabled) EXECUTE FUNCTION wake_waiting('followup_rule:%s:', 'account');

CREATE TABLE followup (
    account        text NOT NULL,
    order_id       bigint NOT NULL,
    action         text NOT NULL CHECK (action IN ('sale', 'close', 'return')),
    infobase       text NOT NULL,
    side           text NOT NULL CHECK (side IN ('salesdrive', 'bas', 'hand')),
    status         text,
    posting        boolean NOT NULL,
    foreign_sale   boolean NOT NULL DEFAULT false,
    reached_at     timestamptz NOT NULL,
    state          text NOT NULL DEFAULT 'wanted' CHECK (state IN ('wanted', 'done', 'dropped')),
    reason         text,
    detail         text,
    due            boolean NOT NULL DEFAULT false,
    remake         boolean NOT NULL DEFAULT false,
    must_read      boolean NOT NULL DEFAULT false,
    ref_key        uuid,
    bas_ref        uuid,
    number         text,
    posted         boolean,
    deleted        boolean,
    looked_at      timestamptz,
    other          text,
    source_ref     uuid,
    source_body    jsonb,
    source_read_at timestamptz,
    sent_body      jsonb,
    sent_at        timestamptz,
    read_body      jsonb,
    read_at        timestamptz,
    writing        text CHECK (writing IN ('create', 'post')),
    unsure_until   timestamptz,
    asked_early    boolean NOT NULL DEFAULT false,
    done_at        timestamptz,
    PRIMARY KEY (account, order_id, action)
);
COMMENT ON TABLE followup IS 'Documents that follow orders: why each was asked for, and what became of it';
COMMENT ON COLUMN followup.account IS 'Account';
COMMENT ON COLUMN followup.order_id IS 'Order number';
COMMENT ON COLUMN followup.action IS 'sale, close or return';
COMMENT ON COLUMN followup.infobase IS 'Infobase the document is in';
COMMENT ON COLUMN followup.side IS 'Whose status asked for it: salesdrive or bas; hand: make_followup()';
COMMENT ON COLUMN followup.status IS 'That status';
COMMENT ON COLUMN followup.posting IS 'Whether it is to be posted';
COMMENT ON COLUMN followup.foreign_sale IS 'Of return: a sale that people made counts, too';
COMMENT ON COLUMN followup.reached_at IS 'When the status was reached, or it was asked for by hand';
COMMENT ON COLUMN followup.state IS 'wanted, done, or dropped (for reason: it makes no sense any more)';
COMMENT ON COLUMN followup.reason IS 'Why it was dropped: a code';
COMMENT ON COLUMN followup.detail IS 'The same in a sentence';
COMMENT ON COLUMN followup.due IS 'Of close: the order is right, and its task closes it next';
COMMENT ON COLUMN followup.remake IS 'make_followup() was called: made anew if it is gone, posted again if people unposted it';
COMMENT ON COLUMN followup.must_read IS 'Looked for in BAS before anything is written: set by adopt(), resume() and make_followup(), and for orders that a database before this one may have served';
COMMENT ON COLUMN followup.ref_key IS 'Key under which it is created: computed once; NULL of close';
COMMENT ON COLUMN followup.bas_ref IS 'Ref_Key of the document, once it is known to exist';
COMMENT ON COLUMN followup.number IS 'Number BAS gave it';
COMMENT ON COLUMN followup.posted IS 'Whether it was posted when read last';
COMMENT ON COLUMN followup.deleted IS 'Whether it was marked for deletion, or gone, when read last';
COMMENT ON COLUMN followup.looked_at IS 'When BAS was asked whether people made one';
COMMENT ON COLUMN followup.other IS 'Number of one that people made; NULL: there was none';
COMMENT ON COLUMN followup.source_ref IS 'Ref_Key of the document it is made from';
COMMENT ON COLUMN followup.source_body IS 'That document as BAS answered it, until this one is made; {}: it is not there';
COMMENT ON COLUMN followup.source_read_at IS 'When';
COMMENT ON COLUMN followup.sent_body IS 'What was sent';
COMMENT ON COLUMN followup.sent_at IS 'When';
COMMENT ON COLUMN followup.read_body IS 'The document as BAS answered it last';
COMMENT ON COLUMN followup.read_at IS 'When';
COMMENT ON COLUMN followup.writing IS 'Write whose outcome is not known: create or post';
COMMENT ON COLUMN followup.unsure_until IS 'From when on it counts that such a write is not to be seen; NULL with create: BAS says that the key is taken';
COMMENT ON COLUMN followup.asked_early IS 'BAS was asked before that and did not show it: asked again then';
COMMENT ON COLUMN followup.done_at IS 'When it was done, or dropped';

CREATE FUNCTION followup_ref_key(action text, identity text, order_id bigint) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN action <> 'close' THEN uuid_v5(ref_key_namespace(), action || '/' || identity || '/' || order_id) END;
COMMENT ON FUNCTION followup_ref_key(text, text, bigint) IS 'Ref_Key of the sale or return of an order; closing makes no document';

CREATE FUNCTION followup_rules(account text, side text) RETURNS SETOF followup_rule
    LANGUAGE plpgsql STABLE ROWS 3 SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT r.* FROM (SELECT DISTINCT ON (q.status, q.action) q.* FROM followup_rule q
                     WHERE q.account IN (followup_rules.account, '*') AND q.side = followup_rules.side ORDER BY q.status, q.action, q.account = '*') r WHERE r.enabled;
END $$;
COMMENT ON FUNCTION followup_rules(text, text) IS 'Rules in force for statuses of an account in SalesDrive, or in BAS';

CREATE FUNCTION has_followup_rules(wanted_side text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM followup_rule r WHERE r.side = wanted_side AND r.enabled);
END $$;
COMMENT ON FUNCTION has_followup_rules(text) IS 'Whether statuses of that side ask for documents at all';

-- Asking.

CREATE TYPE followup_wish AS (
    account      text,
    order_id     bigint,
    action       text,
    side         text,
    status       text,
    posting      boolean,
    foreign_sale boolean,
    reached_at   timestamptz
);
COMMENT ON TYPE followup_wish IS 'That a document is to follow an order';
COMMENT ON COLUMN followup_wish.account IS 'Account';
COMMENT ON COLUMN followup_wish.order_id IS 'Order number';
COMMENT ON COLUMN followup_wish.action IS 'sale, close or return';
COMMENT ON COLUMN followup_wish.side IS 'salesdrive, bas or hand';
COMMENT ON COLUMN followup_wish.status IS 'Status that was reached';
COMMENT ON COLUMN followup_wish.posting IS 'Whether it is to be posted';
COMMENT ON COLUMN followup_wish.foreign_sale IS 'Of return: a sale that people made counts, too';
COMMENT ON COLUMN followup_wish.reached_at IS 'When the status was reached';

-- What is done stays done; what was dropped is asked for anew by a status reached later. Runs as the owner of the extension: an operator asks for a
-- document, and must not choose its key, nor the base its requests go to.
CREATE FUNCTION want_followups(wishes followup_wish[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM hold_tasks(array_agg(DISTINCT w.account), ARRAY['followup'], array_agg(w.order_id || '/' || w.action)) FROM few(wishes) w;
    WITH asked AS (
        INSERT INTO followup AS f (account, order_id, action, infobase, side, status, posting, foreign_sale, reached_at, ref_key, must_read)
        SELECT DISTINCT ON (w.account, w.order_id, w.action) w.account, w.order_id, w.action, a.infobase, w.side, w.status, w.posting, w.foreign_sale, w.reached_at, followup_ref_key(w.action, a.identity, w.order_id),
               w.action <> 'close' AND coalesce((SELECT (o.order_time AT TIME ZONE a.time_zone > n.adopted_at + interval '1 day') IS NOT TRUE    -- what this database is a copy of may have made it
                                                 FROM instance n LEFT JOIN crm_order o ON o.account = w.account AND o.order_id = w.order_id WHERE n.adopted_at IS NOT NULL), false)
        FROM few(wishes) w JOIN account a ON a.name = w.account ORDER BY w.account, w.order_id, w.action, w.reached_at DESC
        ON CONFLICT (account, order_id, action) DO UPDATE SET side = excluded.side, status = excluded.status, reached_at = excluded.reached_at, state = 'wanted', reason = NULL, detail = NULL, done_at = NULL, due = false,
            posting = excluded.posting, foreign_sale = excluded.foreign_sale, source_body = NULL, looked_at = NULL, other = NULL,
            must_read = f.bas_ref IS NOT NULL OR f.must_read, remake = excluded.side = 'hand'
        WHERE f.state = 'dropped' AND excluded.reached_at > f.reached_at OR excluded.side = 'hand'
        RETURNING f.*
    ), task AS MATERIALIZED (
        SELECT want_tasks(array_agg((k.account, 'followup', k.order_id || '/' || k.action, k.account, k.infobase, 1)::task_wish)) AS ids FROM asked k HAVING count(*) > 0
    )
    INSERT INTO order_event (account, order_id, event, text, detail)
    SELECT k.account, k.order_id, 'followup', format('%s asked for %s.', CASE k.action WHEN 'sale' THEN 'A sales document is' WHEN 'close' THEN 'Closing is' ELSE 'A return document is' END,
               CASE k.side WHEN 'hand' THEN 'by ' || session_user WHEN 'bas' THEN format('by status %s of the document', k.status) ELSE format('by status %s', status_title(k.account, k.status)) END),
           jsonb_strip_nulls(jsonb_build_object('action', k.action, 'side', k.side, 'status', k.status))
    FROM asked k CROSS JOIN task;
END $$;
COMMENT ON FUNCTION want_followups(followup_wish[]) IS 'Asks for documents to follow orders, each once';

-- All versions of an order are kept, so a status that was reached and left before the engine looked counts, too. What was made long before the rule,
-- as orders of a backfill are, does not; an hour allows for clocks and deliveries that are late.
CREATE FUNCTION followups_reached(orders order_key[]) RETURNS SETOF followup_wish
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (v.account, v.order_id, r.action) v.account, v.order_id, r.action, 'salesdrive', v.status, r.posting, r.foreign_sale, v.at
    FROM (SELECT o.account, o.order_id, json_text(o.data -> 'statusId') AS status, coalesce(o.update_at AT TIME ZONE a.time_zone, o.received_at) AS at,
                 min(o.received_at) OVER (PARTITION BY o.account, o.order_id, o.version, json_text(o.data -> 'statusId')) AS received_at,    -- a version comes in several shapes
                 lag(json_text(o.data -> 'statusId')) OVER (PARTITION BY o.account, o.order_id ORDER BY o.version, o.update_at NULLS FIRST, o.hash) AS was
          FROM few(orders) k JOIN crm_order_version o ON o.account = k.account AND o.order_id = k.order_id JOIN account a ON a.name = k.account
          WHERE json_text(o.data -> 'statusId') IS NOT NULL) v
    JOIN LATERAL followup_rules(v.account, 'salesdrive') r ON r.status = v.status
    WHERE v.status IS DISTINCT FROM v.was AND v.received_at >= r.since AND v.at >= r.since - interval '1 hour'
    ORDER BY v.account, v.order_id, r.action, v.at DESC;
END $$;
COMMENT ON FUNCTION followups_reached(order_key[]) IS 'Documents that statuses of SalesDrive ask for, by all versions of the orders since the rules were set';

CREATE FUNCTION note_followups(orders order_key[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    wishes followup_wish[];
BEGIN
    IF NOT has_followup_rules('salesdrive') THEN
        RETURN;
    END IF;
    wishes := ARRAY(SELECT w FROM followups_reached(orders) w LEFT JOIN followup f ON f.account = w.account AND f.order_id = w.order_id AND f.action = w.action
                    WHERE f.account IS NULL OR f.state = 'dropped' AND w.reached_at > f.reached_at);
    IF wishes <> '{}' THEN
        PERFORM want_followups(wishes);
    END IF;
END $$;
COMMENT ON FUNCTION note_followups(order_key[]) IS 'Asks for the documents that statuses of SalesDrive ask for';

-- Of BAS it is the change that counts, as it is read: from one status to another, or the first one of a document made from here. When it was made the base
-- seldom tells. So it counts where the one before was read when the rule was set, or later (an hour allows for readings that are under way); a document that
-- nobody read for long before may have had its status as long. A rule that is set has the base read for it, see look_for_rules().

CREATE FUNCTION status_known_at(b bas_order, what text, read_at timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN greatest(status_known_at.read_at, (
        SELECT p.done_at FROM status_poll p JOIN infobase i ON i.name = p.infobase
        WHERE p.infobase = b.infobase AND p.what = status_known_at.what
          AND (property_names(i.profile, status_entity(p.what)) ? 'changed'
               OR EXISTS (SELECT FROM crm_order o WHERE o.account = b.account AND o.order_id = b.order_id AND coalesce(o.order_time, o.received_at AT TIME ZONE 'UTC') >= (p.done_at - make_interval(days => p.days)) AT TIME ZONE 'UTC'))));
END $$;
COMMENT ON FUNCTION status_known_at(bas_order, text, timestamptz) IS 'Until when the status of a document that is known here is known to have been its status: it was read itself, or the last reading of statuses would have shown another';

CREATE FUNCTION is_bas_status(infobase text, wanted text, held text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN held IN (wanted, lower(wanted))
        OR EXISTS (SELECT FROM dictionary_value d WHERE d.scope = is_bas_status.infobase AND d.side = 'bas' AND d.dictionary = 'status' AND d.key = held AND wanted IN (d.name, d.code));
END $$;
COMMENT ON FUNCTION is_bas_status(text, text, text) IS 'Whether a status that a document holds is the one of a rule';

CREATE FUNCTION document_seen() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM followup_rule) THEN
        RETURN NULL;
    END IF;
    -- A sale that is to be posted waits for the document of the order to be posted, by people too.
    IF EXISTS (SELECT FROM followup_rule r WHERE r.posting) THEN
        PERFORM wake_blocked(array_agg(format('order:%s:%s', n.account, n.order_id)))
        FROM now_is n JOIN was w ON w.infobase = n.infobase AND w.ref_key = n.ref_key WHERE n.posted AND w.posted IS NOT TRUE
        HAVING count(*) > 0;
    END IF;
    IF has_followup_rules('bas') THEN
        PERFORM want_followups(array_agg((n.account, n.order_id, r.action, 'bas', s.held, r.posting, r.foreign_sale, clock())::followup_wish))
        FROM now_is n JOIN was w ON w.infobase = n.infobase AND w.ref_key = n.ref_key
        JOIN account a ON a.name = n.account JOIN infobase i ON i.name = n.infobase
        CROSS JOIN LATERAL (SELECT property_names(i.profile, 'order') ->> 'status' AS property) p
        CROSS JOIN LATERAL (SELECT held_status(n.read_body, p.property) AS held, held_status(w.read_body, p.property) AS before) s
        CROSS JOIN LATERAL followup_rules(n.account, 'bas') r
        WHERE s.held <> '' AND s.held IS DISTINCT FROM s.before AND (w.read_body IS NULL OR s.before IS NOT NULL) AND NOT state_counts(a, i.profile) AND is_bas_status(n.infobase, r.status, s.held)
          AND (w.read_body IS NULL OR status_known_at(w, 'orders', w.read_at) >= r.since - interval '1 hour')
        HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION document_seen() IS 'Trigger: documents of orders were read with another status than before, which may ask for documents that follow, or as posted, and what waited for that goes on';
CREATE TRIGGER seen AFTER UPDATE ON bas_order REFERENCING OLD TABLE AS was NEW TABLE AS now_is FOR EACH STATEMENT EXECUTE FUNCTION document_seen();

CREATE FUNCTION want_state_followups(states bas_state[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT has_followup_rules('bas') THEN
        RETURN;
    END IF;
    PERFORM want_followups(array_agg((b.account, b.order_id, r.action, 'bas', s.state, r.posting, r.foreign_sale, clock())::followup_wish))
    FROM few(states) s JOIN bas_order b ON b.infobase = s.infobase AND b.ref_key = s.ref_key
    JOIN account a ON a.name = b.account JOIN infobase i ON i.name = b.infobase
    CROSS JOIN LATERAL followup_rules(b.account, 'bas') r
    LEFT JOIN bas_state o ON o.infobase = s.infobase AND o.ref_key = s.ref_key
    WHERE state_counts(a, i.profile) AND is_bas_status(s.infobase, r.status, s.state) AND s.state IS DISTINCT FROM o.state AND (o.at > s.at) IS NOT TRUE
      AND (s.at IS NULL OR s.at AT TIME ZONE i.time_zone >= r.since - interval '1 hour')
      AND (s.at AT TIME ZONE i.time_zone >= r.since OR status_known_at(b, 'states', o.read_at) >= r.since - interval '1 hour'
           OR EXISTS (SELECT FROM crm_order c WHERE c.account = b.account AND c.order_id = b.order_id AND c.received_at >= r.since))
    HAVING count(*) > 0;
END $$;
COMMENT ON FUNCTION want_state_followups(bas_state[]) IS 'Before states of documents are kept as read: asks for the documents that follow where one was reached since the rule was set, as a journal tells, or else as it is another than was known then, or the first one of an order that came later';
