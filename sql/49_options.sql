-- Purpose: options of an account that are rows: which orders are wanted at all, and values of the header by rules. Where nobody set any, they cost nothing.
-- Rights: 'operator' edits, readers read. A change has the engine look again at the orders it may concern.

CREATE TABLE order_filter (
    account    text NOT NULL CHECK (account <> ''),
    rule       text NOT NULL CHECK (rule IN ('only', 'not')),
    condition  jsonb NOT NULL,
    note       text,
    changed_at timestamptz NOT NULL DEFAULT clock(),
    PRIMARY KEY (account, rule, condition)
);
COMMENT ON TABLE order_filter IS 'Which orders become documents: those that no row "not" holds for, and, where there are rows "only", one of these does. One that has its document is kept right whatever they say';
COMMENT ON COLUMN order_filter.account IS 'Account; * for every account';
COMMENT ON COLUMN order_filter.rule IS 'only or not';
COMMENT ON COLUMN order_filter.condition IS 'Fields and values that must all hold: {"status": "7"}, {"site": ["1", "2"], "organisation": null}, {"from": "2026-01-01"}';
COMMENT ON COLUMN order_filter.note IS 'Anything worth remembering';
COMMENT ON COLUMN order_filter.changed_at IS 'When it was set last';

CREATE TABLE header_rule (
    account    text NOT NULL CHECK (account <> ''),
    dictionary text NOT NULL CHECK (dictionary IN ('organisation', 'warehouse', 'price_type')),
    condition  jsonb NOT NULL,
    bas_key    text CHECK (bas_key <> ''),
    rank       integer NOT NULL DEFAULT 100,
    note       text,
    changed_at timestamptz NOT NULL DEFAULT clock(),
    PRIMARY KEY (account, dictionary, condition)
);
COMMENT ON TABLE header_rule IS 'Organisation, warehouse or price type of documents by what their orders contain; the first row that holds wins over value_map and the setting of the account';
COMMENT ON COLUMN header_rule.account IS 'Account; * for every account';
COMMENT ON COLUMN header_rule.dictionary IS 'organisation, warehouse or price_type';
COMMENT ON COLUMN header_rule.condition IS 'Fields and values that must all hold, as in order_filter';
COMMENT ON COLUMN header_rule.bas_key IS 'Ref_Key, code or name of the element of BAS; NULL leaves the property empty';
COMMENT ON COLUMN header_rule.rank IS 'The lowest that holds counts; of equal ones that of the account first';
COMMENT ON COLUMN header_rule.note IS 'Anything worth remembering';
COMMENT ON COLUMN header_rule.changed_at IS 'When it was set last';

-- Conditions.

CREATE FUNCTION condition_fields(o crm_order) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(v.dictionary, v.crm_key) FROM order_keys_of(o) v)
           || jsonb_build_object('day', to_char(coalesce(o.order_time, o.update_at, o.received_at AT TIME ZONE (SELECT a.time_zone FROM account a WHERE a.name = o.account)), 'YYYY-MM-DD'));
END $$;
COMMENT ON FUNCTION condition_fields(crm_order) IS 'What conditions look at: values of an order by dictionary, and its day';

CREATE FUNCTION condition_holds(fields jsonb, condition jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN NOT EXISTS (
        SELECT FROM jsonb_each(condition) c
        WHERE CASE c.key WHEN 'from' THEN fields ->> 'day' >= c.value #>> '{}'
                         WHEN 'until' THEN fields ->> 'day' <= c.value #>> '{}'
                         ELSE EXISTS (SELECT FROM jsonb_array_elements(CASE jsonb_typeof(c.value) WHEN 'array' THEN c.value ELSE jsonb_build_array(c.value) END) e
                                      WHERE e #>> '{}' IS NOT DISTINCT FROM fields ->> c.key) END IS NOT TRUE);
END $$;
COMMENT ON FUNCTION condition_holds(jsonb, jsonb) IS 'Whether all fields of a condition hold: a value, one of several, null for none; from and until are days, both included';

CREATE FUNCTION condition_guard() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    fields text[] := ARRAY['organisation', 'warehouse', 'status', 'payment_method', 'shipping_method', 'site', 'manager', 'order_type', 'form'];
    c      record;
    named  text;
BEGIN
    IF jsonb_typeof(NEW.condition) <> 'object' OR NEW.condition = '{}' THEN
        RAISE EXCEPTION 'a condition of % names at least one field', TG_TABLE_NAME
            USING ERRCODE = '22023', DETAIL = NEW.condition::text, HINT = 'Example: {"status": "7"}, or {"site": ["1", "2"], "from": "2026-01-01"}.';
    END IF;
    FOR c IN SELECT * FROM jsonb_each(NEW.condition) LOOP
        IF c.key IN ('from', 'until') THEN
            IF text_time(c.value #>> '{}') IS NULL OR length(c.value #>> '{}') <> 10 THEN
                RAISE EXCEPTION '% is no date', c.value USING ERRCODE = '22023', HINT = format('"%s" is the day of an order, as YYYY-MM-DD.', c.key);
            END IF;
        ELSIF c.key <> ALL (fields) THEN
            RAISE EXCEPTION '"%" is no field of an order that a condition may name', c.key
                USING ERRCODE = '22023', HINT = format('Fields: %s, from, until.', array_to_string(fields, ', '));
        ELSIF jsonb_typeof(c.value) = 'object' OR c.value = '[]' OR EXISTS (SELECT FROM jsonb_array_elements(json_list(c.value)) e WHERE jsonb_typeof(e) IN ('array', 'object')) THEN
            RAISE EXCEPTION 'the value of "%" in a condition of % cannot be compared', c.key, TG_TABLE_NAME
                USING ERRCODE = '22023', DETAIL = c.value::text, HINT = 'Give the id of the value in SalesDrive, several as an array, or null for none.';
        ELSE
            SELECT string_agg(DISTINCT format('"%s" is %s', d.name, d.key), ', ') INTO named FROM jsonb_array_elements_text(json_list(c.value)) v JOIN dictionary_value d ON d.side = 'crm' AND d.dictionary = c.key AND d.name = v AND NEW.account IN (d.scope, '*')
            WHERE NOT EXISTS (SELECT FROM dictionary_value e WHERE e.side = 'crm' AND e.dictionary = c.key AND e.key = v AND e.scope = d.scope);
            IF named IS NOT NULL THEN
                RAISE WARNING 'a condition of % names a value of "%" by its name', TG_TABLE_NAME, c.key
                    USING DETAIL = 'Orders carry ids: it never holds.', HINT = format('Ids: %s.', named);
            END IF;
        END IF;
    END LOOP;
    IF TG_OP = 'UPDATE' THEN
        NEW.changed_at := clock();
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION condition_guard() IS 'Trigger: a condition can be read; warns where it has a name in place of an id; notes when it changed';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON order_filter FOR EACH ROW EXECUTE FUNCTION condition_guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON header_rule FOR EACH ROW EXECUTE FUNCTION condition_guard();

CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON order_filter FOR EACH ROW EXECUTE FUNCTION wake_waiting('wanted:%s:', 'account');

CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON header_rule FOR EACH ROW EXECUTE FUNCTION wake_waiting('value:%s:%s/*', 'account', 'dictionary');

CREATE FUNCTION header_rule_of(o crm_order, dictionary text) RETURNS SETOF header_rule
    LANGUAGE plpgsql STABLE ROWS 1 SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    fields jsonb;
BEGIN
    IF EXISTS (SELECT FROM header_rule r WHERE r.account IN (o.account, '*') AND r.dictionary = header_rule_of.dictionary) THEN
        fields := condition_fields(o);
        RETURN QUERY
        SELECT r.* FROM header_rule r
        WHERE r.account IN (o.account, '*') AND r.dictionary = header_rule_of.dictionary AND condition_holds(fields, r.condition)
        ORDER BY r.rank, r.account = '*', r.condition LIMIT 1;
    END IF;
END $$;
COMMENT ON FUNCTION header_rule_of(crm_order, text) IS 'The rule that gives a value of the header of an order; none where none holds';

-- Wanted or not.

CREATE FUNCTION order_filtered(o crm_order) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    fields jsonb := condition_fields(o);
    barred text;
    passed boolean;
BEGIN
    SELECT min(CASE WHEN f.rule = 'not' AND h.holds THEN f.condition::text END), bool_or(h.holds) FILTER (WHERE f.rule = 'only') INTO barred, passed
    FROM order_filter f CROSS JOIN LATERAL (SELECT condition_holds(fields, f.condition) AS holds) h WHERE f.account IN (o.account, '*');
    RETURN CASE WHEN barred IS NOT NULL THEN format('order_filter: not %s, and it holds.', barred)
                WHEN NOT passed THEN format('order_filter: none of the rows "only" holds for %s.', jsonb_strip_nulls(fields)) END;
END $$;
COMMENT ON FUNCTION order_filtered(crm_order) IS 'Why the filters keep an order back; NULL when it passes';

CREATE FUNCTION obstacles_wanted(orders order_key[]) RETURNS SETOF obstacle
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM order_filter) AND NOT EXISTS (SELECT FROM account a WHERE NOT a.documents) THEN
        RETURN;    -- all are wanted
    END IF;
    RETURN QUERY
    SELECT o.account, o.order_id, 0, CASE WHEN a.documents THEN 'filter' ELSE 'documents_off' END,
           CASE WHEN a.documents THEN f.detail ELSE format('account.documents of "%s" is off.', a.name) END, NULL, NULL, false
    FROM few(orders) k
    JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id
    LEFT JOIN order_sync y ON y.account = k.account AND y.order_id = k.order_id
    JOIN account a ON a.name = k.account
    LEFT JOIN LATERAL (SELECT order_filtered(o) AS detail WHERE a.documents AND y.bas_ref IS NULL AND NOT coalesce(y.write_unsure OR y.must_read OR y.force, false)) f ON true
    WHERE NOT a.documents OR f.detail IS NOT NULL;
END $$;
COMMENT ON FUNCTION obstacles_wanted(order_key[]) IS 'Orders that are not to become documents: the switch of their account is off, or the filters keep them back. What may be in BAS already, and what resend() was called for, passes the filters';

-- Called by the engine with what has changed: wanted:ACCOUNT:, or wanted:*:. So many at a time: the cause that is left behind names the last, so that
-- what is found to be not wanted once more does not come up again.
CREATE FUNCTION wake_options(what text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    cause  record;
    woken  order_key[];
BEGIN
    FOR cause IN SELECT m.part[1] AS account, m.part[2] AS last_account, m.part[3]::bigint AS last_order
                 FROM few(what) w CROSS JOIN LATERAL (SELECT regexp_match(w, '^wanted:([^:]+):(?:([^/]+)/(\d+))?$') AS part) m WHERE w LIKE 'wanted:%' ORDER BY w LOOP
        WITH freed AS (
            UPDATE order_sync y SET not_wanted = NULL, not_wanted_detail = NULL
            FROM (SELECT s.account, s.order_id FROM order_sync s
                  WHERE s.not_wanted IS NOT NULL AND (s.account = cause.account OR cause.account = '*')
                    AND (s.account, s.order_id) > (coalesce(cause.last_account, ''), coalesce(cause.last_order, 0))
                  ORDER BY s.account, s.order_id LIMIT 500 FOR UPDATE SKIP LOCKED) s
            WHERE y.account = s.account AND y.order_id = s.order_id RETURNING y.account, y.order_id
        )
        SELECT array_agg((f.account, f.order_id)::order_key ORDER BY f.account, f.order_id) INTO woken FROM freed f;
        IF woken IS NOT NULL THEN
            PERFORM enqueue_orders(woken, 4::smallint);
            INSERT INTO wake_pending VALUES (format('wanted:%s:%s/%s', cause.account, (woken[cardinality(woken)]).account, (woken[cardinality(woken)]).order_id));
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM few(what) w WHERE w LIKE 'goods:%') THEN    -- goods:ACCOUNT:, how its lines are made, or whose counterparty it takes, has changed
        INSERT INTO wake_pending SELECT DISTINCT t.blocked_on FROM few(what) w JOIN task t ON w LIKE 'goods:%' AND t.scope = split_part(w, ':', 2) AND t.kind = 'order'
                                   WHERE t.state = 'parked' AND t.blocked_on ~ '^(product|counterparty|fixed_counterparty):';
    END IF;
END $$;
COMMENT ON FUNCTION wake_options(text[]) IS 'Has orders that were not wanted looked at again, behind the live ones, and those parked for goods or counterparties';

CREATE FUNCTION order_document(account text, order_id bigint, profile text DEFAULT NULL) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    keys     order_key[] := order_keys(account, order_id);
    fields   order_fields[] := mapped_fields(keys);
    settings account_setting[] := account_settings(ARRAY[account]);
    lines    document_line[] := document_lines(keys, settings);    -- goods are those of the account's own base
BEGIN
    IF profile IS NOT NULL THEN
        settings[1].profile := profile;
    END IF;
    RETURN (SELECT CASE WHEN fields IS NULL THEN d.document ELSE fitted_document(d.document, fields[1], NULL, false, false) END FROM order_documents(keys, lines, settings, order_values(keys), fields) d);
END $$;
COMMENT ON FUNCTION order_document(text, bigint, text) IS 'Document an order would be, also while it is not wanted; under another profile: in its names, with the keys of the account''s own base';
