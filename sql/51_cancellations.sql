-- Purpose: cancelled orders (refused, deleted, duplicates): which status of SalesDrive is one, and what is to become of the document then. Read-only but for the rules.
-- Rights: 'operator' edits the rules, readers read.

CREATE TABLE cancel_rule (
    account    text NOT NULL DEFAULT '*' CHECK (account <> ''),
    status     text NOT NULL,
    origin     text NOT NULL DEFAULT 'user' CHECK (origin IN ('shipped', 'user')),
    action     text NOT NULL CHECK (action IN ('set_status', 'mark', 'tell', 'none')),
    may_unpost boolean NOT NULL DEFAULT false,
    note       text,
    changed_at timestamptz DEFAULT clock(),
    PRIMARY KEY (account, status, origin),
    CHECK (action = 'mark' OR NOT may_unpost)
);
COMMENT ON TABLE cancel_rule IS 'What becomes of the document of an order that was cancelled, by its status in SalesDrive. The row of the status itself counts before that of its kind, one of the account before one of all, yours before the shipped one';
COMMENT ON COLUMN cancel_rule.account IS 'Account; * for every account';
COMMENT ON COLUMN cancel_rule.status IS 'Id of a status in SalesDrive, or a kind of them: deleted, duplicate, cancelled';
COMMENT ON COLUMN cancel_rule.origin IS 'shipped or user (wins)';
COMMENT ON COLUMN cancel_rule.action IS 'mark (the document for deletion), set_status (as value_map gives it), tell (only tell), or none (an order like any other)';
COMMENT ON COLUMN cancel_rule.may_unpost IS 'Of mark: a posted document is unposted first; else its order is parked';
COMMENT ON COLUMN cancel_rule.note IS 'Anything worth remembering';
COMMENT ON COLUMN cancel_rule.changed_at IS 'When it was set last; NULL of a shipped row';
COMMENT ON CONSTRAINT cancel_rule_check ON cancel_rule IS 'Only to be marked a document is unposted';
INSERT INTO cancel_rule (account, status, origin, action, note, changed_at) VALUES
    ('*', 'deleted',   'shipped', 'tell', 'deleted in SalesDrive', NULL),
    ('*', 'duplicate', 'shipped', 'tell', 'the same order once more', NULL),
    ('*', 'cancelled', 'shipped', 'tell', 'refused', NULL);

CREATE FUNCTION cancel_kinds() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['deleted', 'duplicate', 'cancelled'];
COMMENT ON FUNCTION cancel_kinds() IS 'Kinds of statuses that cancel_rule may name in place of an id';

CREATE FUNCTION cancel_rule_guard() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NEW.status <> ALL (cancel_kinds()) AND NEW.status !~ '^\d{1,18}$' THEN
        RAISE EXCEPTION 'there is no status "%" in SalesDrive', NEW.status
            USING ERRCODE = '22023', HINT = format('Give its id (SELECT key, name FROM salesdrive.dictionary_value WHERE side = ''crm'' AND dictionary = ''status'';), or a kind: %s.', array_to_string(cancel_kinds(), ', '));
    END IF;
    IF TG_OP = 'UPDATE' THEN
        NEW.changed_at := clock();
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION cancel_rule_guard() IS 'Trigger: the status of a rule can be one; notes when it changed';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON cancel_rule FOR EACH ROW EXECUTE FUNCTION cancel_rule_guard();

CREATE FUNCTION cancel_rule_changed() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    accounts text[] := ARRAY[CASE WHEN TG_OP <> 'INSERT' THEN OLD.account END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.account END];
BEGIN
    PERFORM wake_later(format('wanted:%s:', a.name)), wake_later(format('cancel_rule:%s:', a.name)) FROM account a WHERE a.name = ANY (accounts) OR '*' = ANY (accounts);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION cancel_rule_changed() IS 'Trigger: orders without a document, or parked, for a rule are looked at again';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON cancel_rule FOR EACH ROW EXECUTE FUNCTION cancel_rule_changed();

-- Ids of the statuses that every account of SalesDrive begins with stay, whatever their names become; type 4 is that of deleted ones.
CREATE FUNCTION kind_of_status(status text, name text, attributes jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN status = '8' OR attributes ->> 'type' = '4' THEN 'deleted' WHEN name ~ '[Дд]убл|ДУБЛ|[Dd]uplicat|DUPLICAT' THEN 'duplicate' WHEN status = '6' THEN 'cancelled' END;
COMMENT ON FUNCTION kind_of_status(text, text, jsonb) IS 'Kind of a status: deleted (id 8, or of type 4), duplicate (by its name), cancelled (id 6); NULL: none of them';

CREATE FUNCTION cancel_kind(account text, status text) RETURNS text
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT kind_of_status(cancel_kind.status, d.name, d.attributes)
    FROM (SELECT) one LEFT JOIN dictionary_value d ON d.scope = cancel_kind.account AND d.side = 'crm' AND d.dictionary = 'status' AND d.key = cancel_kind.status;
END;
COMMENT ON FUNCTION cancel_kind(text, text) IS 'Kind of a status of an account, known by name or not';

CREATE FUNCTION cancel_rule_of(account text, status text) RETURNS SETOF cancel_rule
    LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
    SELECT r.* FROM (SELECT) one
    LEFT JOIN dictionary_value d ON d.scope = cancel_rule_of.account AND d.side = 'crm' AND d.dictionary = 'status' AND d.key = cancel_rule_of.status
    JOIN cancel_rule r ON r.account IN (cancel_rule_of.account, '*') AND r.status IN (cancel_rule_of.status, kind_of_status(cancel_rule_of.status, d.name, d.attributes))
    ORDER BY r.status <> cancel_rule_of.status, r.account = '*', r.origin = 'shipped' LIMIT 1;
END;
COMMENT ON FUNCTION cancel_rule_of(text, text) IS 'Rule in force for a status of SalesDrive; none: it cancels nothing';

CREATE TYPE cancellation AS (
    account    text,
    order_id   bigint,
    status     text,
    title      text,
    action     text,
    may_unpost boolean
);
COMMENT ON TYPE cancellation IS 'That an order is cancelled, and what its rule says; or, without an action, that it was';
COMMENT ON COLUMN cancellation.account IS 'Account';
COMMENT ON COLUMN cancellation.order_id IS 'Order number';
COMMENT ON COLUMN cancellation.status IS 'Its status in SalesDrive';
COMMENT ON COLUMN cancellation.title IS 'That status as a sentence has it: id and name';
COMMENT ON COLUMN cancellation.action IS 'mark, set_status or tell; NULL: it is cancelled no more';
COMMENT ON COLUMN cancellation.may_unpost IS 'A posted document may be unposted';

CREATE FUNCTION status_title(account text, status text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN coalesce(status, 'none') || coalesce((SELECT ' "' || d.name || '"' FROM dictionary_value d WHERE d.scope = status_title.account AND d.side = 'crm' AND d.dictionary = 'status' AND d.key = status_title.status), '');
END $$;
COMMENT ON FUNCTION status_title(text, text) IS 'A status of SalesDrive as a sentence has it: id and, where it is known, name';

-- Most orders are not cancelled and never were: nothing of all this concerns them, and so nothing else is asked of them.
CREATE FUNCTION cancel_states(orders order_key[]) RETURNS cancellation[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (
    WITH has AS MATERIALIZED (
        SELECT o.account, o.order_id, o.status_id, coalesce(y.cancel_status, y.mark, y.cancel_set, y.cancel_before) IS NOT NULL AS was
        FROM few(orders) k JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id LEFT JOIN order_sync y ON y.account = k.account AND y.order_id = k.order_id
    ), rule AS MATERIALIZED (    -- each status is looked up once
        SELECT s.account, s.status_id, status_title(s.account, s.status_id) AS title, r.action, r.may_unpost
        FROM (SELECT DISTINCT h.account, h.status_id FROM has h) s CROSS JOIN LATERAL cancel_rule_of(s.account, s.status_id) r WHERE r.action <> 'none'
    )
    SELECT array_agg((h.account, h.order_id, r.status_id, r.title, r.action, r.may_unpost)::cancellation)
    FROM has h LEFT JOIN rule r ON r.status_id = h.status_id AND r.account = h.account WHERE r.action IS NOT NULL OR h.was);
END $$;
COMMENT ON FUNCTION cancel_states(order_key[]) IS 'Those of the orders that are cancelled, or were, so that their documents may still show it; NULL: none';

CREATE FUNCTION cancellations(orders order_key[]) RETURNS SETOF cancellation
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.* FROM few(cancel_states(orders)) c WHERE c.action IS NOT NULL;
END;
COMMENT ON FUNCTION cancellations(order_key[]) IS 'Those of the orders that are cancelled';
