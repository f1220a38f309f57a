-- Purpose: values of orders: what they contain, what value_map makes of it, what nobody mapped; and the calls that map them.
-- Rights: readers see, 'operator' maps. The dictionaries of SalesDrive are written by the engine as orders come in.

-- The side of SalesDrive: deliveries bring the names of their values along, in meta.fields.

CREATE FUNCTION crm_dictionary(field text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE field WHEN 'statusId' THEN 'status' WHEN 'organizationId' THEN 'organisation' WHEN 'sajt' THEN 'site' WHEN 'userId' THEN 'manager'
                      WHEN 'typeId' THEN 'order_type' WHEN 'stockId' THEN 'warehouse' ELSE field END;
COMMENT ON FUNCTION crm_dictionary(text) IS 'Dictionary that the options of a field of SalesDrive belong to; a field without one of ours names its own';

CREATE FUNCTION option_fields(fields jsonb) RETURNS TABLE (name text, field jsonb)
    LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT e.key, e.value FROM jsonb_each(CASE jsonb_typeof(fields) WHEN 'object' THEN fields ELSE '{}' END) e
    UNION ALL
    SELECT json_text(e -> 'name'), e FROM jsonb_array_elements(CASE jsonb_typeof(fields) WHEN 'array' THEN fields ELSE '[]' END) e;
END;
COMMENT ON FUNCTION option_fields(jsonb) IS 'Fields that the meta of a delivery describes, whether they come by name or as a list';

CREATE FUNCTION crm_options(meta jsonb) RETURNS TABLE (dictionary text, key text, name text, attributes jsonb)
    LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT DISTINCT ON (1, 2) crm_dictionary(f.name), k.key, k.name, o.option
    FROM (SELECT g.name, g.field FROM option_fields(meta -> 'fields') g
          UNION ALL
          SELECT h.name, h.field FROM option_fields(meta -> 'fields') g CROSS JOIN LATERAL option_fields(g.field -> 'fields') h WHERE g.name = 'products' AND h.name = 'stockId') f    -- warehouses of lines
    CROSS JOIN LATERAL jsonb_array_elements(json_rows(f.field -> 'options')) WITH ORDINALITY o (option, n)
    CROSS JOIN LATERAL (SELECT coalesce(o.option -> 'value', o.option -> 'id') AS key, coalesce(o.option -> 'text', o.option -> 'name') AS name) r
    CROSS JOIN LATERAL (SELECT json_text(r.key) AS key, json_text(r.name) AS name) k
    WHERE f.name ~ '^[A-Za-z0-9_]{1,63}$' AND f.name NOT IN ('products', 'contacts') AND f.name NOT LIKE 'ord\_%'    -- goods and parcels are no dictionaries
      AND jsonb_typeof(r.key) IN ('string', 'number') AND jsonb_typeof(r.name) IN ('string', 'number') AND length(k.key) <= 200 AND k.name IS NOT NULL
    ORDER BY 1, 2, o.n DESC;
END;
COMMENT ON FUNCTION crm_options(jsonb) IS 'Values of dictionaries in the meta of a delivery, webhook or page of order/list; what is no list of options gives nothing';

CREATE FUNCTION note_crm_values(delivered delivered_order[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO dictionary_value AS d (scope, side, dictionary, key, name, attributes)
    SELECT DISTINCT ON (v.account, v.dictionary, v.key) v.account, 'crm', v.dictionary, v.key, v.name, v.attributes
    FROM (SELECT i.account, i.inbox_id, o.* FROM few(delivered) i CROSS JOIN LATERAL crm_options(i.meta) o WHERE i.meta IS NOT NULL) v
    WHERE NOT EXISTS (SELECT FROM dictionary_value e WHERE e.scope = v.account AND e.side = 'crm' AND e.dictionary = v.dictionary AND e.key = v.key AND e.name = v.name)
    ORDER BY v.account, v.dictionary, v.key, v.inbox_id DESC
    ON CONFLICT (scope, side, dictionary, key) DO UPDATE SET name = excluded.name, attributes = d.attributes || excluded.attributes, loaded_at = clock();
END $$;
COMMENT ON FUNCTION note_crm_values(delivered_order[]) IS 'Keeps the names of values that deliveries bring along; writes only what is new or renamed';

-- What an order carries, and what becomes of it.

CREATE FUNCTION header_dictionaries() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['organisation', 'warehouse', 'price_type'];
COMMENT ON FUNCTION header_dictionaries() IS 'Dictionaries whose mapped value goes into the header of the document, in place of the account''s setting';

CREATE FUNCTION order_stock(account text, order_id bigint) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT CASE WHEN min(l.stock_id) = max(l.stock_id) THEN min(l.stock_id) END FROM crm_order_line l WHERE l.account = order_stock.account AND l.order_id = order_stock.order_id);
END $$;
COMMENT ON FUNCTION order_stock(text, bigint) IS 'Warehouse that all lines of an order name; NULL when none does, or they differ';

CREATE FUNCTION order_key_of(o crm_order, dictionary text) RETURNS text
    LANGUAGE sql STABLE
    RETURN CASE dictionary WHEN 'organisation' THEN o.organization_id WHEN 'warehouse' THEN order_stock(o.account, o.order_id) WHEN 'status' THEN o.status_id
                           WHEN 'payment_method' THEN o.payment_method WHEN 'shipping_method' THEN o.shipping_method WHEN 'site' THEN o.site_id WHEN 'manager' THEN o.user_id
                           WHEN 'order_type' THEN o.type_id WHEN 'source' THEN o.source WHEN 'form' THEN o.form_id::text END;
COMMENT ON FUNCTION order_key_of(crm_order, text) IS 'Value of an order in a dictionary; SalesDrive has no price type of an order, so only a row for all values gives one';

CREATE FUNCTION order_keys_of(o crm_order) RETURNS TABLE (dictionary text, crm_key text)
    LANGUAGE plpgsql STABLE ROWS 11 SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT d, order_key_of(o, d) FROM few(ARRAY['organisation', 'warehouse', 'price_type', 'status', 'payment_method', 'shipping_method', 'site', 'manager', 'order_type', 'source', 'form']) d;
END $$;
COMMENT ON FUNCTION order_keys_of(crm_order) IS 'Values of an order by dictionary';

CREATE FUNCTION order_values(orders order_key[]) RETURNS order_value[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT FROM value_map) AND NOT EXISTS (SELECT FROM dictionary_rule) AND NOT EXISTS (SELECT FROM header_rule) THEN
        RETURN NULL;    -- nobody maps anything here
    END IF;
    RETURN ARRAY(
    WITH asked AS MATERIALIZED (
        SELECT a.name AS account, a.infobase, d AS dictionary, h.rules
        FROM (SELECT DISTINCT account FROM few(orders)) k JOIN account a ON a.name = k.account
        CROSS JOIN few(ARRAY['organisation', 'warehouse', 'price_type', 'status', 'payment_method', 'shipping_method', 'site', 'manager', 'order_type', 'source']) d
        CROSS JOIN LATERAL (SELECT d = ANY (header_dictionaries()) AND EXISTS (SELECT FROM header_rule r WHERE r.account IN (a.name, '*') AND r.dictionary = d) AS rules OFFSET 0) h
        WHERE h.rules OR d = ANY (header_dictionaries()) AND EXISTS (SELECT FROM value_map m WHERE m.account IN (a.name, '*') AND m.dictionary = d AND m.direction IN ('to_bas', 'both'))
           OR EXISTS (SELECT FROM dictionary_rule r WHERE r.account IN (a.name, '*') AND r.dictionary = d) AND unmapped_parks(a.name, d)
    ), carried AS MATERIALIZED (
        SELECT o.account, o.order_id, q.infobase, q.dictionary, order_key_of(o, q.dictionary) AS crm_key, h.account IS NOT NULL AS ruled, h.bas_key AS rule_key
        FROM few(orders) k JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id
        JOIN asked q ON q.account = o.account
        LEFT JOIN LATERAL (SELECT r.account, r.bas_key FROM crm_order w CROSS JOIN LATERAL header_rule_of(w, q.dictionary) r
                           WHERE q.rules AND w.account = o.account AND w.order_id = o.order_id OFFSET 0) h ON true    -- OFFSET 0: the whole order is read for rules only
    ), known AS MATERIALIZED (
        SELECT u.*, u.ruled OR m.account IS NOT NULL AS mapped, g.bas_key, c.ref, c.problem, c.candidates
        FROM (SELECT DISTINCT account, infobase, dictionary, crm_key, ruled, rule_key FROM carried) u
        LEFT JOIN LATERAL value_row(u.account, u.dictionary, u.crm_key) m ON NOT u.ruled
        CROSS JOIN LATERAL (SELECT CASE WHEN u.ruled THEN u.rule_key ELSE m.bas_key END AS bas_key) g
        LEFT JOIN LATERAL (SELECT c.* FROM chosen_value(u.infobase, u.dictionary, g.bas_key) c WHERE g.bas_key IS NOT NULL AND u.dictionary = ANY (header_dictionaries())) c ON true
    )
    SELECT (c.account, c.order_id, c.dictionary, c.crm_key, n.mapped, n.bas_key, n.ref, n.problem, n.candidates, CASE WHEN c.ruled THEN 'header_rule' ELSE 'value_map' END)::order_value
    FROM carried c JOIN known n ON n.account = c.account AND n.dictionary = c.dictionary AND coalesce(n.crm_key, '') = coalesce(c.crm_key, '')
                                   AND n.ruled = c.ruled AND coalesce(n.rule_key, '') = coalesce(c.rule_key, ''));
END $$;
COMMENT ON FUNCTION order_values(order_key[]) IS 'Values of orders that a rule or a mapping looks at; each is looked up once for the whole set';

CREATE FUNCTION header_values(vals order_value[]) RETURNS TABLE (account text, order_id bigint, given jsonb)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF vals IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT v.account, v.order_id, jsonb_object_agg(v.dictionary, v.ref) FROM few(vals) v
    WHERE v.mapped AND v.dictionary = ANY (header_dictionaries()) GROUP BY v.account, v.order_id;
END $$;
COMMENT ON FUNCTION header_values(order_value[]) IS 'What value_map gives for the header of each document, by concept; null leaves the property out';

CREATE FUNCTION header_lineages(orders order_key[]) RETURNS TABLE (account text, order_id bigint, rules jsonb)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    given order_value[] := ARRAY(SELECT v FROM few(order_values(orders)) v WHERE v.mapped AND v.dictionary = ANY (header_dictionaries()));
BEGIN
    IF given = '{}' THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH named AS MATERIALIZED (    -- what field_map fills, it fills last
        SELECT a.name AS account, property_names(i.profile, 'order') AS names, field_lineages(a.name) AS fields FROM (SELECT DISTINCT account FROM few(given)) g JOIN account a ON a.name = g.account JOIN infobase i ON i.name = a.infobase
    )
    SELECT g.account, g.order_id, jsonb_object_agg(n.names ->> g.dictionary, concat_ws(' ', g.source, g.dictionary, m.crm_key))
    FROM few(given) g JOIN named n ON n.account = g.account LEFT JOIN LATERAL value_row(g.account, g.dictionary, g.crm_key) m ON g.source = 'value_map'
    WHERE n.names ? g.dictionary AND NOT n.fields ? (n.names ->> g.dictionary) GROUP BY g.account, g.order_id;
END $$;
COMMENT ON FUNCTION header_lineages(order_key[]) IS 'For each property of the header that value_map or header_rule filled: the row, in words, as lineage shows it';

CREATE FUNCTION value_cause(account text, order_id bigint, dictionary text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN (SELECT format('value:%s:%s/%s', o.account, v.dictionary, v.crm_key) FROM crm_order o CROSS JOIN LATERAL order_keys_of(o) v
            WHERE o.account = value_cause.account AND o.order_id = value_cause.order_id AND v.dictionary = value_cause.dictionary);
END $$;
COMMENT ON FUNCTION value_cause(text, bigint, text) IS 'What an order without a value of a dictionary waits for, as task.blocked_on';

CREATE FUNCTION map_call(account text, dictionary text, crm_key text, bas_key text DEFAULT '…') RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN format('SELECT salesdrive.map_value(%L, %L, %L, %L);', account, dictionary, coalesce(crm_key, '*'), bas_key);
COMMENT ON FUNCTION map_call(text, text, text, text) IS 'The call that maps a value, for hints';

CREATE FUNCTION obstacles_values(orders order_key[], vals order_value[]) RETURNS obstacle[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF vals IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(
    SELECT DISTINCT ON (v.account, v.order_id) (v.account, v.order_id, 25, CASE WHEN v.mapped THEN 'value_wrong' ELSE 'value' END,
           CASE WHEN v.mapped THEN format('%s gives "%s" for %s %s, which %s "%s" (there: %s).', v.source, v.bas_key, v.dictionary, w.shown, v.problem, a.infobase, coalesce(v.candidates, 'nothing'))
                ELSE format('Nobody said what %s %s is in BAS, and the rule of this dictionary is to wait for it.', v.dictionary, w.shown) END,
           CASE WHEN v.source = 'header_rule' THEN 'UPDATE salesdrive.header_rule SET bas_key = a name, code or Ref_Key of the base; the order goes on by itself. After a change in BAS resume() reads the list again.'
                WHEN v.mapped THEN map_call(v.account, v.dictionary, v.crm_key) || ' with a name, code or Ref_Key of the base; the order goes on by itself. After a change in BAS resume() reads the list again.'
                ELSE map_call(v.account, v.dictionary, v.crm_key) || ' with the value of BAS in place of the dots (NULL leaves it empty); the order goes on by itself.' END,
           format('value:%s:%s/%s', v.account, v.dictionary, v.crm_key), false)::obstacle
    FROM few(vals) v JOIN account a ON a.name = v.account
    LEFT JOIN dictionary_value d ON d.scope = v.account AND d.side = 'crm' AND d.dictionary = v.dictionary AND d.key = v.crm_key
    CROSS JOIN LATERAL (SELECT coalesce(v.crm_key, '(none)') || coalesce(' "' || d.name || '"', '') AS shown) w
    WHERE v.problem IS NOT NULL OR NOT v.mapped AND v.crm_key IS NOT NULL AND unmapped_parks(v.account, v.dictionary)
    ORDER BY v.account, v.order_id, v.dictionary);
END $$;
COMMENT ON FUNCTION obstacles_values(order_key[], order_value[]) IS 'Orders with a value that is not mapped, where the rule is to park, or mapped to what the base does not have: the first such value';

-- What is there to map.

CREATE FUNCTION field_values_seen(account text) RETURNS TABLE (dictionary text, crm_key text, orders bigint, last_order bigint, last_at timestamptz)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    rules  field_rule[] := ARRAY(SELECT r FROM field_rules(ARRAY[field_values_seen.account], ARRAY['order', 'order_line', 'attribute', 'counterparty', 'partner', 'contact']) r
                                 WHERE r.enabled AND r.source_kind = 'path' AND r.dictionary IS NOT NULL
                                   AND r.dictionary <> ALL (ARRAY['organisation', 'warehouse', 'price_type', 'status', 'payment_method', 'shipping_method', 'site', 'manager', 'order_type', 'source']));
    recent order_key[];
BEGIN
    IF cardinality(rules) = 0 THEN
        RETURN;
    END IF;
    recent := ARRAY(SELECT (o.account, o.order_id)::order_key FROM crm_order o WHERE o.account = field_values_seen.account ORDER BY o.order_id DESC LIMIT 1000);
    RETURN QUERY
    SELECT r.dictionary, v.crm_key, count(DISTINCT m.order_id), max(m.order_id), max(o.changed_at)
    FROM merged_orders(recent) m JOIN crm_order o ON o.account = m.account AND o.order_id = m.order_id
    CROSS JOIN LATERAL field_elements(m.data, true, account_variable(m.account)) e
    JOIN few(rules) r ON (r.target = 'order_line') = (e.line_no IS NOT NULL) AND (r.condition IS NULL OR jsonb_path_match(e.base, r.condition, e.vars, true))
    CROSS JOIN LATERAL (SELECT CASE WHEN r.gathers THEN nullif(jsonb_path_query_array(e.base, r.path, e.vars, true), '[]') ELSE jsonb_path_query_first(e.base, r.path, e.vars, true) END AS raw OFFSET 0) s
    CROSS JOIN LATERAL (SELECT CASE WHEN r.steps IS NULL THEN s.raw ELSE transformed(r.steps, s.raw, r.arguments, r.parts, r.paths, e.base, e.vars) END AS value OFFSET 0) t
    CROSS JOIN LATERAL (SELECT json_text(t.value) AS crm_key) v
    WHERE NOT json_blank(t.value) AND jsonb_typeof(t.value) <> 'object' AND length(v.crm_key) <= 200
    GROUP BY r.dictionary, v.crm_key;
END $$;
COMMENT ON FUNCTION field_values_seen(text) IS 'Values of further dictionaries, those that mapped fields name, in the last orders of an account (1000, by their numbers)';

CREATE VIEW seen_value AS
    SELECT s.account, s.dictionary, s.crm_key, d.name, s.orders, s.last_order, s.last_at
    FROM (
        SELECT o.account,
               CASE WHEN grouping(o.status_id) = 0 THEN 'status' WHEN grouping(o.payment_method) = 0 THEN 'payment_method' WHEN grouping(o.shipping_method) = 0 THEN 'shipping_method'
                    WHEN grouping(o.organization_id) = 0 THEN 'organisation' WHEN grouping(o.site_id) = 0 THEN 'site' WHEN grouping(o.user_id) = 0 THEN 'manager'
                    WHEN grouping(o.source) = 0 THEN 'source' ELSE 'order_type' END AS dictionary,
               coalesce(o.status_id, o.payment_method, o.shipping_method, o.organization_id, o.site_id, o.user_id, o.type_id, o.source) AS crm_key,
               count(*) AS orders, max(o.order_id) AS last_order, max(o.changed_at) AS last_at
        FROM crm_order o
        GROUP BY o.account, GROUPING SETS (o.status_id, o.payment_method, o.shipping_method, o.organization_id, o.site_id, o.user_id, o.type_id, o.source)
        UNION ALL
        SELECT l.account, 'warehouse', l.stock_id, count(*), max(l.order_id), max(o.changed_at)
        FROM (SELECT DISTINCT account, order_id, stock_id FROM crm_order_line WHERE stock_id IS NOT NULL) l JOIN crm_order o ON o.account = l.account AND o.order_id = l.order_id
        GROUP BY l.account, l.stock_id
        UNION ALL
        SELECT a.name, f.dictionary, f.crm_key, f.orders, f.last_order, f.last_at
        FROM account a CROSS JOIN LATERAL field_values_seen(a.name) f) s
    LEFT JOIN dictionary_value d ON d.scope = s.account AND d.side = 'crm' AND d.dictionary = s.dictionary AND d.key = s.crm_key
    WHERE s.crm_key IS NOT NULL;
COMMENT ON VIEW seen_value IS 'Values that orders contain, with their number; counted when it is asked for, in one pass over the orders. Of dictionaries that only mapped fields name: in the last 1000 orders of the account';
COMMENT ON COLUMN seen_value.account IS 'Account';
COMMENT ON COLUMN seen_value.dictionary IS 'Dictionary';
COMMENT ON COLUMN seen_value.crm_key IS 'Id of the value in SalesDrive';
COMMENT ON COLUMN seen_value.name IS 'Its name there, as deliveries told it last';
COMMENT ON COLUMN seen_value.orders IS 'Orders that have it';
COMMENT ON COLUMN seen_value.last_order IS 'The one with the highest number';
COMMENT ON COLUMN seen_value.last_at IS 'When one of them changed last';

CREATE VIEW unmapped_value AS
    SELECT s.*, CASE WHEN unmapped_parks(s.account, s.dictionary) THEN 'park' ELSE 'empty' END AS unmapped, map_call(s.account, s.dictionary, s.crm_key) AS hint
    FROM seen_value s
    WHERE NOT EXISTS (SELECT FROM value_map m WHERE m.account IN (s.account, '*') AND m.dictionary = s.dictionary AND m.crm_key IN (s.crm_key, '*') AND m.direction IN ('to_bas', 'both'));
COMMENT ON VIEW unmapped_value IS 'Values that orders contain and nobody mapped';
COMMENT ON COLUMN unmapped_value.account IS 'Account';
COMMENT ON COLUMN unmapped_value.dictionary IS 'Dictionary';
COMMENT ON COLUMN unmapped_value.crm_key IS 'Id of the value in SalesDrive';
COMMENT ON COLUMN unmapped_value.name IS 'Its name there, as deliveries told it last';
COMMENT ON COLUMN unmapped_value.orders IS 'Orders that have it';
COMMENT ON COLUMN unmapped_value.last_order IS 'The one with the highest number';
COMMENT ON COLUMN unmapped_value.last_at IS 'When one of them changed last';
COMMENT ON COLUMN unmapped_value.unmapped IS 'What becomes of such orders: park or empty';
COMMENT ON COLUMN unmapped_value.hint IS 'The call that maps it';

CREATE FUNCTION folded_name(name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN lower(translate(regexp_replace(btrim(name), '\s+', ' ', 'g'), 'АБВГҐДЕЄЁЖЗИІЇЙКЛМНОПРСТУЎФХЦЧШЩЪЫЬЭЮЯ’ʼ`', 'абвгґдеєёжзиіїйклмнопрстуўфхцчшщъыьэюя''''''') COLLATE "C");
COMMENT ON FUNCTION folded_name(text) IS 'A name without case, runs of spaces and kinds of apostrophes: Latin and Cyrillic letters, whatever the locale of the database';

CREATE VIEW value_suggestion AS
    SELECT a.name AS account, c.dictionary, c.key AS crm_key, c.name AS crm_name, b.key AS bas_key, b.name AS bas_name,
           count(*) OVER (PARTITION BY a.name, c.dictionary, c.key) AS candidates
    FROM account a
    JOIN dictionary_value c ON c.scope = a.name AND c.side = 'crm'
    JOIN dictionary_value b ON b.scope = a.infobase AND b.side = 'bas' AND b.dictionary = c.dictionary
         AND folded_name(b.name) = folded_name(c.name)
    WHERE NOT EXISTS (SELECT FROM value_map m WHERE m.account IN (a.name, '*') AND m.dictionary = c.dictionary AND m.crm_key = c.key AND m.direction IN ('to_bas', 'both'));
COMMENT ON VIEW value_suggestion IS 'Values without a mapping whose name is also that of an element in BAS: to be accepted by accept_value(), never applied by themselves';
COMMENT ON COLUMN value_suggestion.account IS 'Account';
COMMENT ON COLUMN value_suggestion.dictionary IS 'Dictionary';
COMMENT ON COLUMN value_suggestion.crm_key IS 'Id of the value in SalesDrive';
COMMENT ON COLUMN value_suggestion.crm_name IS 'Its name there';
COMMENT ON COLUMN value_suggestion.bas_key IS 'Ref_Key of the element';
COMMENT ON COLUMN value_suggestion.bas_name IS 'Its name in BAS: the same, case, runs of spaces and kinds of apostrophes aside';
COMMENT ON COLUMN value_suggestion.candidates IS 'Elements of BAS with this name; only a single one can be accepted';

CREATE FUNCTION unmapped(account text) RETURNS SETOF unmapped_value
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM require_account(unmapped.account);
    RETURN QUERY SELECT u.* FROM unmapped_value u WHERE u.account = unmapped.account ORDER BY u.unmapped DESC, u.orders DESC, u.dictionary, u.crm_key;
END $$;
COMMENT ON FUNCTION unmapped(text) IS 'Values that the orders of an account contain and nobody mapped: those that park orders first, then the most frequent';

-- Calls.

CREATE FUNCTION map_value(account text, dictionary text, crm_key text, bas_key text, direction text DEFAULT 'both', note text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    a     account;
    named text;
    found record;
BEGIN
    IF account IS NULL OR account <> '*' THEN
        a := require_account(account);
    END IF;
    IF dictionary IS NULL OR dictionary !~ '^[^/:[:space:][:cntrl:]]{1,63}$' THEN
        RAISE EXCEPTION '"%" is no name of a dictionary', dictionary
            USING ERRCODE = '22023', HINT = 'Dictionaries of orders: organisation, warehouse, price_type, status, payment_method, shipping_method, site, manager, order_type, source.';
    ELSIF crm_key IS NULL OR crm_key = '' OR length(crm_key) > 200 THEN
        RAISE EXCEPTION 'the value of dictionary "%" that is to be mapped is missing', dictionary
            USING ERRCODE = '22023', HINT = 'Give the id of the value in SalesDrive (see salesdrive.seen_value), or * for every value without a row of its own.';
    ELSIF bas_key = '' OR bas_key = '…' THEN
        RAISE EXCEPTION 'the value of BAS for % "%" is missing', dictionary, crm_key
            USING ERRCODE = '22023', HINT = 'Give its name, code or Ref_Key; NULL leaves the property empty.';
    ELSIF direction IS NULL OR direction NOT IN ('to_bas', 'to_crm', 'both') THEN
        RAISE EXCEPTION 'there is no direction "%"', direction USING ERRCODE = '22023', HINT = 'Directions: to_bas, to_crm, both.';
    END IF;
    SELECT string_agg(format('%s (%s)', d.key, d.scope), ', ' ORDER BY d.key) INTO named FROM dictionary_value d
    WHERE d.side = 'crm' AND d.scope = a.name AND d.dictionary = dictionary AND d.name = crm_key
      AND NOT EXISTS (SELECT FROM dictionary_value e WHERE e.side = 'crm' AND e.scope = a.name AND e.dictionary = dictionary AND e.key = crm_key);
    IF named IS NOT NULL THEN
        RAISE EXCEPTION '"%" is the name of a value of dictionary "%", not its id', crm_key, dictionary
            USING ERRCODE = '22023', DETAIL = 'Orders carry ids; a name would never match.', HINT = format('Its id: %s.', named);
    END IF;
    IF bas_key IS NOT NULL AND EXISTS (SELECT FROM dictionary_load l WHERE l.infobase = a.infobase AND l.dictionary = dictionary) THEN
        SELECT * INTO found FROM chosen_value(a.infobase, dictionary, bas_key);
        IF found.problem IS NOT NULL THEN
            RAISE EXCEPTION '% "%" % "%"', dictionary, bas_key, found.problem, a.infobase
                USING ERRCODE = '22023', DETAIL = format('There: %s.', coalesce(found.candidates, 'nothing')),
                      HINT = format('Give the Ref_Key, code or name of one of them. If it is new in BAS: SELECT salesdrive.load_dictionaries(%L), and try again when it is read.', a.name);
        END IF;
    END IF;
    IF dictionary <> ALL (header_dictionaries() || value_dictionaries() || '{currency}') AND NOT EXISTS (SELECT FROM dictionary_value d WHERE d.dictionary = dictionary) AND NOT EXISTS (SELECT FROM field_map f WHERE f.dictionary = dictionary) THEN
        RAISE WARNING 'nothing has values of dictionary "%" yet', dictionary
            USING DETAIL = 'The row is kept, and counts when a row of field_map names this dictionary.', HINT = 'Dictionaries of orders: organisation, warehouse, price_type, status, payment_method, shipping_method, site, manager, order_type, source; of goods: currency.';
    END IF;
    INSERT INTO value_map AS m (account, dictionary, crm_key, bas_key, direction, note) VALUES (account, dictionary, crm_key, bas_key, direction, note)
    ON CONFLICT ON CONSTRAINT value_map_pkey DO UPDATE SET bas_key = excluded.bas_key, note = coalesce(excluded.note, m.note);
END $$;
COMMENT ON FUNCTION map_value(text, text, text, text, text, text) IS 'Says which value of BAS a value of SalesDrive means; account * is every account, crm_key * every value without a row, bas_key NULL leaves it empty';

CREATE FUNCTION accept_value(account text, dictionary text, crm_key text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    offered value_suggestion[];
BEGIN
    PERFORM require_account(account);
    SELECT array_agg(s) INTO offered FROM value_suggestion s WHERE s.account = account AND s.dictionary = dictionary AND s.crm_key = crm_key;
    IF offered IS NULL THEN
        RAISE EXCEPTION 'nothing is suggested for % "%" of account "%"', dictionary, crm_key, account
            USING ERRCODE = '22023', DETAIL = 'It is mapped already, or no element of BAS has its name.', HINT = 'Suggestions: SELECT * FROM salesdrive.value_suggestion; map it yourself: ' || map_call(account, dictionary, crm_key);
    ELSIF cardinality(offered) > 1 THEN
        RAISE EXCEPTION 'several elements of BAS have the name of % "%" of account "%"', dictionary, crm_key, account
            USING ERRCODE = '22023', DETAIL = (SELECT string_agg(s.bas_key, ', ' ORDER BY s.bas_key) FROM unnest(offered) s), HINT = 'Say which one: ' || map_call(account, dictionary, crm_key, offered[1].bas_key);
    END IF;
    PERFORM map_value(account, dictionary, crm_key, offered[1].bas_key, 'both', format('by name: %s', offered[1].bas_name));
END $$;
COMMENT ON FUNCTION accept_value(text, text, text) IS 'Accepts the suggestion for a value: maps it to the element of BAS that has its name';

CREATE FUNCTION load_dictionaries(account text) RETURNS SETOF bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    a account := require_account(account);
BEGIN
    PERFORM hold_tasks(ARRAY[a.infobase, a.name], ARRAY['dictionary', 'crm_dictionary']);
    RETURN QUERY
    SELECT enqueue(a.infobase, 'dictionary', d, a.infobase) FROM unnest(dictionaries()) d WHERE entity_set((SELECT i.profile FROM infobase i WHERE i.name = a.infobase), d) IS NOT NULL
    UNION ALL
    SELECT enqueue(a.infobase, 'dictionary', d, a.infobase) FROM unnest(value_dictionaries()) d
    WHERE EXISTS (SELECT FROM infobase i WHERE i.name = a.infobase AND entity_set(i.profile, d) IS NOT NULL)
    UNION ALL
    SELECT enqueue(a.infobase, 'dictionary', l.dictionary, a.infobase) FROM dictionary_load l WHERE l.infobase = a.infobase AND l.dictionary <> ALL (dictionaries() || value_dictionaries())    -- of mapped fields
    UNION ALL
    SELECT enqueue(a.name, 'crm_dictionary', d, NULL) FROM unnest(crm_lists()) d;
END $$;
COMMENT ON FUNCTION load_dictionaries(text) IS 'Asks for all lists to be read again: those of the account''s infobase, and by the API of SalesDrive those of the account; returns the tasks';
