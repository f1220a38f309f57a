-- Purpose: invariants of the user: conditions in SQL that every order must fulfil before it goes to BAS.
-- Rights: 'admin' writes, since the engine evaluates them with its own rights; refused while that is a superuser. Readers read.

CREATE TABLE check_rule (
    account    text NOT NULL CHECK (account <> ''),
    name       text NOT NULL CHECK (name ~ '^[^/:[:cntrl:]]{1,63}$'),
    condition  text NOT NULL CHECK (btrim(condition) <> ''),
    shows      text CHECK (btrim(shows) <> ''),
    hint       text,
    enabled    boolean NOT NULL DEFAULT true,
    changed_at timestamptz NOT NULL DEFAULT clock(),
    PRIMARY KEY (account, name)
);
COMMENT ON TABLE check_rule IS 'Conditions that every order must fulfil; one that does not is parked with the rule and its values';
COMMENT ON COLUMN check_rule.account IS 'Account; * for every account without a rule of this name';
COMMENT ON COLUMN check_rule.name IS 'Name of the rule';
COMMENT ON COLUMN check_rule.condition IS 'SQL expression that must be true, over o (the row of crm_order) and data (the order as received, jsonb); names of other schemas are qualified';
COMMENT ON COLUMN check_rule.shows IS 'SQL expression whose value is shown when the condition does not hold; NULL: paymentAmount and status';
COMMENT ON COLUMN check_rule.hint IS 'What to do then; NULL: a general sentence';
COMMENT ON COLUMN check_rule.enabled IS 'False switches it off; for an account also a rule of * with this name';
COMMENT ON COLUMN check_rule.changed_at IS 'When it was set last';

-- Only the orders it does not hold for; NULL is not true.
CREATE FUNCTION check_rule_query(rule check_rule) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN format('SELECT o.account, o.order_id, (%s)::text FROM few($1) k JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id%s WHERE (%s) IS NOT TRUE',
                  coalesce(rule.shows, 'format(''paymentAmount %s, status %s'', o.payment_amount, o.status_id)'),
                  CASE WHEN rule.condition || coalesce(rule.shows, '') ~ '\mdata\M' THEN ' JOIN LATERAL (SELECT m.data FROM merged_orders(order_keys(o.account, o.order_id)) m) d ON true' ELSE '' END,
                  rule.condition);
COMMENT ON FUNCTION check_rule_query(check_rule) IS 'Query that finds, among orders, those a rule does not hold for, with what the rule shows';

CREATE FUNCTION check_rule_guard() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    said text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        NEW.changed_at := clock();
    END IF;
    BEGIN
        EXECUTE 'EXPLAIN ' || replace(check_rule_query(NEW), '$1', '''{}''::order_key[]');
    EXCEPTION
        WHEN undefined_function OR undefined_table OR invalid_schema_name OR insufficient_privilege THEN    -- may come later, as in a restore
            RAISE WARNING 'rule "%" cannot be evaluated yet: %', NEW.name, SQLERRM USING ERRCODE = SQLSTATE, HINT = 'Orders it concerns are parked until it can be.';
        WHEN OTHERS THEN
            RAISE EXCEPTION 'rule "%" is no condition over orders: %', NEW.name, SQLERRM
                USING ERRCODE = '22023', DETAIL = format('condition: %s%s', NEW.condition, '; shows: ' || NEW.shows),
                      HINT = 'The condition is a boolean SQL expression over o (row of salesdrive.crm_order) and data (jsonb), for example: o.payment_amount > 0.';
    END;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION check_rule_guard() IS 'Trigger: the condition of a rule can be read';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON check_rule FOR EACH ROW EXECUTE FUNCTION check_rule_guard();

CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON check_rule FOR EACH ROW EXECUTE FUNCTION wake_waiting('rule:%s:%s', 'account', 'name');

CREATE FUNCTION broken_rules(rule check_rule, orders order_key[]) RETURNS obstacle[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    found obstacle[];
BEGIN
    EXECUTE 'SELECT array_agg(ROW(q.account, q.order_id, 15, ''rule'', format(''Rule "%s" does not hold: %s. %s'', $2, $3, q.shown), $4, format(''rule:%s:%s'', q.account, $2), false)::obstacle) FROM ('
            || check_rule_query(rule) || ') q (account, order_id, shown)'
    INTO found USING orders, rule.name, rule.condition, coalesce(rule.hint, 'Correct the order in SalesDrive, the new version goes on by itself; or change the rule in salesdrive.check_rule; or skip() the order.');
    RETURN found;
END $$;
COMMENT ON FUNCTION broken_rules(check_rule, order_key[]) IS 'Orders a rule does not hold for';

CREATE FUNCTION obstacles_rules(orders order_key[]) RETURNS obstacle[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r     check_rule;
    keys  order_key[];
    k     order_key;
    found obstacle[];
    broken obstacle[];
BEGIN
    IF NOT EXISTS (SELECT FROM check_rule c WHERE c.enabled) THEN
        RETURN NULL;
    END IF;
    FOR r IN SELECT c.* FROM check_rule c WHERE c.enabled ORDER BY c.name, c.account LOOP
        keys := ARRAY(SELECT u FROM few(orders) u WHERE u.account = r.account OR r.account = '*' AND NOT EXISTS (SELECT FROM check_rule o WHERE o.account = u.account AND o.name = r.name));
        CONTINUE WHEN keys = '{}';
        IF runs_as_superuser() THEN
            broken := broken || ARRAY(SELECT (u.account, u.order_id, 15, 'superuser', format('Rule "%s" is a user''s expression, and it would be evaluated as superuser "%s".', r.name, current_user),
                'Set salesdrive.role to a role that is no superuser, and restart_workers(); then call resume().', format('rule:%s:%s', u.account, r.name), false)::obstacle FROM few(keys) u);
            CONTINUE;
        END IF;
        BEGIN
            found := broken_rules(r, keys);
        EXCEPTION WHEN OTHERS THEN
            IF is_passing_error(SQLSTATE) THEN RAISE; END IF;
            found := '{}';
            FOREACH k IN ARRAY keys LOOP    -- one order that the rule fails on is parked alone
                BEGIN
                    found := found || broken_rules(r, ARRAY[k]);
                EXCEPTION WHEN OTHERS THEN
                    IF is_passing_error(SQLSTATE) THEN RAISE; END IF;
                    found := found || ROW(k.account, k.order_id, 15, 'rule', format('Rule "%s" cannot be evaluated: %s (%s). It is: %s', r.name, SQLERRM, SQLSTATE, r.condition),
                        'Change the rule in salesdrive.check_rule; the order goes on by itself.', format('rule:%s:%s', k.account, r.name), false)::obstacle;
                END;
            END LOOP;
        END;
        broken := broken || found;
    END LOOP;
    RETURN broken;
END $$;
COMMENT ON FUNCTION obstacles_rules(order_key[]) IS 'Orders that a rule of the user does not hold for; each rule is evaluated once for the whole set, order by order only where it fails';
