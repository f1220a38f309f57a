-- Purpose: which value of SalesDrive means which value of BAS, and what becomes of a value that nobody mapped.
-- Rights: 'operator' edits, readers read. A change wakes the orders parked for exactly that value.

CREATE TABLE value_map (
    account    text NOT NULL CHECK (account <> ''),
    dictionary text NOT NULL CHECK (dictionary ~ '^[^/:[:space:][:cntrl:]]{1,63}$'),
    crm_key    text NOT NULL CHECK (crm_key <> '' AND length(crm_key) <= 200),
    bas_key    text CHECK (bas_key <> ''),
    direction  text NOT NULL DEFAULT 'both' CHECK (direction IN ('to_bas', 'to_crm', 'both')),
    note       text,
    changed_at timestamptz NOT NULL DEFAULT clock(),
    PRIMARY KEY (account, dictionary, crm_key, direction)
);
COMMENT ON TABLE value_map IS 'Which value of SalesDrive means which value of BAS; written by map_value()';
COMMENT ON COLUMN value_map.account IS 'Account; * for every account';
COMMENT ON COLUMN value_map.dictionary IS 'organisation, warehouse, price_type, status, payment_method, shipping_method, site, manager, order_type, source, or any other';
COMMENT ON COLUMN value_map.crm_key IS 'Id of the value in SalesDrive; * for every value without a row of its own';
COMMENT ON COLUMN value_map.bas_key IS 'Ref_Key, code or name of the element of BAS, or member of its enumeration; NULL leaves the property empty';
COMMENT ON COLUMN value_map.direction IS 'to_bas, to_crm or both; a row of one direction wins over one of both';
COMMENT ON COLUMN value_map.note IS 'Anything worth remembering';
COMMENT ON COLUMN value_map.changed_at IS 'When it was set last';

CREATE TABLE dictionary_rule (
    account    text NOT NULL CHECK (account <> ''),
    dictionary text NOT NULL CHECK (dictionary ~ '^[^/:[:space:][:cntrl:]]{1,63}$'),
    unmapped   text NOT NULL DEFAULT 'empty' CHECK (unmapped IN ('park', 'empty')),
    PRIMARY KEY (account, dictionary)
);
COMMENT ON TABLE dictionary_rule IS 'What becomes of an order with a value that value_map does not hold';
COMMENT ON COLUMN dictionary_rule.account IS 'Account; * for every account without a row of its own';
COMMENT ON COLUMN dictionary_rule.dictionary IS 'Dictionary, as in value_map';
COMMENT ON COLUMN dictionary_rule.unmapped IS 'park: the order waits for the row; empty: it goes on as if there were no such value. Without a row: empty';

CREATE FUNCTION value_row(account text, dictionary text, crm_key text) RETURNS SETOF value_map
    LANGUAGE plpgsql STABLE ROWS 1 SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT m.* FROM value_map m
    WHERE m.account IN (value_row.account, '*') AND m.dictionary = value_row.dictionary AND m.crm_key IN (value_row.crm_key, '*') AND m.direction IN ('to_bas', 'both')
    ORDER BY m.crm_key = '*', m.account = '*', m.direction = 'both' LIMIT 1;
END $$;
COMMENT ON FUNCTION value_row(text, text, text) IS 'Row of value_map in force towards BAS: of the value itself, else of all values; each for the account, else for all accounts';

CREATE FUNCTION mapped_value(account text, dictionary text, crm_key text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT m.bas_key FROM value_row(account, dictionary, crm_key) m);
END $$;
COMMENT ON FUNCTION mapped_value(text, text, text) IS 'Value of BAS that value_map gives for a value of SalesDrive; NULL when there is no row, or one that leaves it empty';

CREATE FUNCTION unmapped_parks(account text, dictionary text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT r.unmapped = 'park' FROM dictionary_rule r
                     WHERE r.account IN (unmapped_parks.account, '*') AND r.dictionary = unmapped_parks.dictionary ORDER BY r.account = '*' LIMIT 1), false);
END $$;
COMMENT ON FUNCTION unmapped_parks(text, text) IS 'Whether an order with an unmapped value of this dictionary is parked';

CREATE TYPE order_value AS (
    account    text,
    order_id   bigint,
    dictionary text,
    crm_key    text,
    mapped     boolean,
    bas_key    text,
    ref        uuid,
    problem    text,
    candidates text,
    source     text
);
COMMENT ON TYPE order_value IS 'A value of an order and what value_map makes of it';
COMMENT ON COLUMN order_value.account IS 'Account';
COMMENT ON COLUMN order_value.order_id IS 'Order number';
COMMENT ON COLUMN order_value.dictionary IS 'Dictionary';
COMMENT ON COLUMN order_value.crm_key IS 'Id of the value in SalesDrive; NULL when the order has none';
COMMENT ON COLUMN order_value.mapped IS 'Whether value_map has a row for it';
COMMENT ON COLUMN order_value.bas_key IS 'What the row gives';
COMMENT ON COLUMN order_value.ref IS 'Ref_Key of that element, in dictionaries of the document''s header';
COMMENT ON COLUMN order_value.problem IS 'Why there is no such element';
COMMENT ON COLUMN order_value.candidates IS 'Elements there are';
COMMENT ON COLUMN order_value.source IS 'Table that gives it: value_map or header_rule';

-- Waking. A list that the base does not give parks the orders that need it; with another row they may need it no longer.

CREATE FUNCTION wake_refused(accounts text[], lists text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM wake_later(format('dictionary:%s:%s', t.scope, t.key))
    FROM task t WHERE t.kind = 'dictionary' AND t.state = 'parked' AND t.key = ANY (lists)
         AND EXISTS (SELECT FROM account a WHERE a.infobase = t.scope AND (a.name = ANY (accounts) OR '*' = ANY (accounts)));
END $$;
COMMENT ON FUNCTION wake_refused(text[], text[]) IS 'Has lists that a base refused asked for again, and the orders parked for them looked at, when a row of accounts that named one changes';

CREATE TRIGGER touched BEFORE UPDATE ON value_map FOR EACH ROW EXECUTE FUNCTION touched();

CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON value_map FOR EACH ROW EXECUTE FUNCTION wake_waiting('value:%s:%s/%s', 'account', 'dictionary', 'crm_key');

CREATE FUNCTION value_map_changed() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM wake_refused(ARRAY[CASE WHEN TG_OP <> 'INSERT' THEN OLD.account END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.account END], ARRAY[CASE WHEN TG_OP <> 'INSERT' THEN OLD.dictionary END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.dictionary END]);
    PERFORM wake_later(format('status:%s:', r.account)) FROM (SELECT OLD.account, OLD.dictionary UNION SELECT NEW.account, NEW.dictionary) r WHERE r.dictionary = 'status';
    RETURN NULL;
END $$;
COMMENT ON FUNCTION value_map_changed() IS 'Trigger: orders parked for a list that the base refused may need it no longer; those whose status was not mapped are looked at again';
CREATE TRIGGER refused AFTER INSERT OR UPDATE OR DELETE ON value_map FOR EACH ROW EXECUTE FUNCTION value_map_changed();

CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON dictionary_rule FOR EACH ROW EXECUTE FUNCTION wake_waiting('value:%s:%s/*', 'account', 'dictionary');
