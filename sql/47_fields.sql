-- Purpose: what field_map makes of orders: sources, transforms, dictionaries, types; for a whole set at once, and once for each plan. Read-only.
-- Rights: the engine's role and 'operator' (preview). Functions of users run with the rights of the caller.

-- Values.

CREATE FUNCTION json_blank(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE jsonb_typeof(value) WHEN 'string' THEN btrim(value #>> '{}') = '' WHEN 'number' THEN false WHEN 'boolean' THEN false
                WHEN 'array' THEN value IN ('[]', '[null]', '[""]') WHEN 'object' THEN value = '{}' ELSE true END;
COMMENT ON FUNCTION json_blank(jsonb) IS 'Whether a value says nothing: null, blank, an empty list or object, or none at all';

CREATE FUNCTION field_time(value text) RETURNS timestamp
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    value := regexp_replace(btrim(value), '(:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?$', '\1');
    IF value ~ '^\d\d\.\d\d\.\d{4}' THEN
        value := regexp_replace(value, '^(\d\d)\.(\d\d)\.(\d{4})', '\3-\2-\1');
    END IF;
    RETURN text_time(value);
END $$;
COMMENT ON FUNCTION field_time(text) IS 'Wall-clock time of a text YYYY-MM-DD or DD.MM.YYYY, with or without HH:MM[:SS]; NULL for anything else';

CREATE FUNCTION text_flag(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN lower(btrim(value)) IN ('1', 'true', 't', 'yes', 'y', 'on', 'так', 'да') THEN true
                WHEN lower(btrim(value)) IN ('0', 'false', 'f', 'no', 'n', 'off', 'ні', 'нет') THEN false END;
COMMENT ON FUNCTION text_flag(text) IS 'Yes or no, as people write it; NULL for anything else';

CREATE FUNCTION empty_value(edm_type text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE edm_type WHEN 'Edm.Boolean' THEN 'false' WHEN 'Edm.Guid' THEN '"00000000-0000-0000-0000-000000000000"' WHEN 'Edm.DateTime' THEN '"0001-01-01T00:00:00"'
                WHEN 'Edm.Double' THEN '0' WHEN 'Edm.Decimal' THEN '0' WHEN 'Edm.Int16' THEN '0' WHEN 'Edm.Int32' THEN '0' WHEN 'Edm.Int64' THEN '0' ELSE '""' END::jsonb;
COMMENT ON FUNCTION empty_value(text) IS 'How BAS writes a property of a type that holds nothing';

CREATE FUNCTION holds_nothing(held jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(btrim(held #>> '{}') IN ('', '0', 'false', '00000000-0000-0000-0000-000000000000', '0001-01-01T00:00:00', 'StandardODATA.Undefined', '[]'), true);
COMMENT ON FUNCTION holds_nothing(jsonb) IS 'Whether a property as read from BAS is empty, whatever its type';

CREATE FUNCTION typed_value(value jsonb, edm_type text, max_length integer) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    plain  text;
    number numeric;
BEGIN
    IF json_blank(value) THEN
        RETURN empty_value(edm_type);
    ELSIF jsonb_typeof(value) = 'object' THEN
        RETURN NULL;
    END IF;
    plain := json_text(value);
    IF edm_type = 'Edm.String' THEN
        RETURN to_jsonb(CASE WHEN max_length > 0 THEN left(plain, max_length) ELSE plain END);
    ELSIF edm_type = 'Edm.DateTime' THEN
        RETURN to_jsonb(to_char(field_time(plain), 'YYYY-MM-DD"T"HH24:MI:SS'));
    ELSIF edm_type = 'Edm.Boolean' THEN
        RETURN to_jsonb(text_flag(plain));
    ELSIF edm_type LIKE 'Edm.Int%' OR edm_type IN ('Edm.Double', 'Edm.Decimal') THEN
        value := to_jsonb(plain);
        number := trim_scale(json_numeric(value));
        RETURN CASE WHEN edm_type NOT LIKE 'Edm.Int%' OR scale(number) = 0 THEN to_jsonb(number) END;
    END IF;
    RETURN CASE WHEN plain ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN to_jsonb(lower(plain)) END;
END $$;
COMMENT ON FUNCTION typed_value(jsonb, text, integer) IS 'A value as BAS writes its type; nothing becomes the empty value of the type; NULL when it is no value of the type';

CREATE FUNCTION filled_template(parts text[], paths jsonpath[], base jsonb, vars jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    v      jsonb;
    filled text := parts[1];
BEGIN
    FOR n IN 1 .. cardinality(paths) LOOP
        v := jsonb_path_query_first(base, paths[n], vars, true);
        filled := concat(filled, json_text(v), parts[n + 1]);
    END LOOP;
    RETURN btrim(regexp_replace(filled, ' {2,}', ' ', 'g'), E' \n');
END $$;
COMMENT ON FUNCTION filled_template(text[], jsonpath[], jsonb, jsonb) IS 'The parts of a template with the values of its paths between them; runs of spaces become one';

CREATE FUNCTION name_part(name text, part text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    words text[] := regexp_split_to_array(btrim(name), '\s+');
BEGIN
    RETURN CASE part WHEN 'last' THEN words[1] WHEN 'first' THEN words[2] WHEN 'middle' THEN array_to_string(words[3:], ' ')
                     ELSE concat_ws(' ', words[1], left(words[2], 1) || '.', left(words[3], 1) || '.') END;
END $$;
COMMENT ON FUNCTION name_part(text, text) IS 'Part of a name written last, first, middle: last, first, middle, or initials (Вигадана О. П.)';

CREATE FUNCTION transformed(steps text[], value jsonb, arguments jsonb, parts text[], paths jsonpath[], base jsonb, vars jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    v     jsonb := value;
    step  text;
    plain text;
    next  jsonb;
    number numeric;
BEGIN
    FOREACH step IN ARRAY steps LOOP
        IF step = 'template' THEN
            v := to_jsonb(filled_template(parts, paths, base, vars));
            CONTINUE;
        ELSIF step = 'first' THEN
            FOR n IN 1 .. cardinality(paths) LOOP
                EXIT WHEN NOT json_blank(v);
                v := coalesce(jsonb_path_query_first(base, paths[n], vars, true), v);
            END LOOP;
            CONTINUE;
        ELSIF step = 'join' THEN
            v := CASE WHEN jsonb_typeof(v) = 'array' THEN (SELECT to_jsonb(coalesce(string_agg(json_text(e), coalesce(arguments ->> 'separator', ', ') ORDER BY n) FILTER (WHERE NOT json_blank(e)), ''))
                                                           FROM jsonb_array_elements(v) WITH ORDINALITY l (e, n)) ELSE v END;
            CONTINUE;
        END IF;
        CONTINUE WHEN json_blank(v) OR step = 'named';    -- named: by the caller, who knows the account
        plain := CASE WHEN jsonb_typeof(v) <> 'object' THEN json_text(v) END;
        IF step = 'number' THEN
            next := to_jsonb(plain);
            number := json_numeric(next) * coalesce(json_numeric(arguments -> 'factor'), 1);
            next := to_jsonb(CASE WHEN arguments ? 'scale' THEN round(number, (arguments ->> 'scale')::integer) ELSE number END);
        ELSE
            next := to_jsonb(CASE step
                WHEN 'text' THEN btrim(regexp_replace(plain, '\s+', ' ', 'g'))
                WHEN 'upper' THEN upper(plain)
                WHEN 'lower' THEN lower(plain)
                WHEN 'left' THEN left(plain, (arguments ->> 'length')::integer)
                WHEN 'right' THEN right(plain, (arguments ->> 'length')::integer)
                WHEN 'replace' THEN replace(plain, arguments ->> 'from', arguments ->> 'to')
                WHEN 'extract' THEN coalesce(substring(plain FROM arguments ->> 'pattern'), '')
                WHEN 'digits' THEN regexp_replace(plain, '\D', '', 'g')
                WHEN 'date' THEN to_char(field_time(plain), coalesce(arguments ->> 'format', 'YYYY-MM-DD"T"HH24:MI:SS'))
                WHEN 'flag' THEN text_flag(plain)::text
                WHEN 'phone' THEN coalesce(arguments ->> 'prefix', '+') || phone_e164(plain)
                WHEN 'name' THEN coalesce(name_part(plain, arguments ->> 'part'), '') END);
        END IF;
        IF next IS NULL THEN    -- it cannot be read so: an object is no value of any type, and tells what it was
            RETURN jsonb_build_object(step, v);
        END IF;
        v := next;
    END LOOP;
    RETURN v;
END $$;
COMMENT ON FUNCTION transformed(text[], jsonb, jsonb, text[], jsonpath[], jsonb, jsonb) IS 'A value after the steps of a transform; nothing stays nothing; what a step cannot read becomes {step: value}, which no type takes';

-- Rules.

CREATE TYPE field_rule AS (
    account       text,
    infobase      text,
    profile       text,
    target        text,
    property      text,
    rank          integer,
    origin        text,
    source_kind   text,
    source        text,
    path          jsonpath,
    gathers       boolean,
    steps         text[],
    arguments     jsonb,
    parts         text[],
    paths         jsonpath[],
    dictionary    text,
    default_value text,
    condition     jsonpath,
    owner         text,
    required      boolean,
    edm_type      text,
    max_length    integer,
    enabled       boolean
);
COMMENT ON TYPE field_rule IS 'A row of field_map in force for an account';
COMMENT ON COLUMN field_rule.account IS 'Account';
COMMENT ON COLUMN field_rule.infobase IS 'Its infobase';
COMMENT ON COLUMN field_rule.profile IS 'Profile of the infobase';
COMMENT ON COLUMN field_rule.target IS 'Target';
COMMENT ON COLUMN field_rule.property IS 'Property';
COMMENT ON COLUMN field_rule.rank IS 'Of the rows for one property the lowest comes first';
COMMENT ON COLUMN field_rule.origin IS 'shipped or user';
COMMENT ON COLUMN field_rule.source_kind IS 'path, constant or function';
COMMENT ON COLUMN field_rule.source IS 'Source as written';
COMMENT ON COLUMN field_rule.path IS 'Source as a path';
COMMENT ON COLUMN field_rule.gathers IS 'Whether all hits of the path are wanted and not the first alone';
COMMENT ON COLUMN field_rule.steps IS 'Steps of the transform';
COMMENT ON COLUMN field_rule.arguments IS 'Their arguments';
COMMENT ON COLUMN field_rule.parts IS 'Of a template what stands between its paths';
COMMENT ON COLUMN field_rule.paths IS 'Paths of a template, or of the argument paths';
COMMENT ON COLUMN field_rule.dictionary IS 'Dictionary';
COMMENT ON COLUMN field_rule.default_value IS 'Default';
COMMENT ON COLUMN field_rule.condition IS 'Condition';
COMMENT ON COLUMN field_rule.owner IS 'crm, bas or empty';
COMMENT ON COLUMN field_rule.required IS 'Whether an order without a value is parked';
COMMENT ON COLUMN field_rule.edm_type IS 'Type in BAS';
COMMENT ON COLUMN field_rule.max_length IS 'Longest text BAS keeps';
COMMENT ON COLUMN field_rule.enabled IS 'False: the property is left to the engine';

CREATE FUNCTION list_state(infobase text, profile text, list text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN CASE WHEN EXISTS (SELECT FROM dictionary_load d WHERE d.infobase = list_state.infobase AND d.dictionary = list_state.list) THEN NULL
                WHEN entity_set(profile, list) IS NULL THEN 'no_list'
                WHEN EXISTS (SELECT FROM task t WHERE t.scope = list_state.infobase AND t.kind = 'dictionary' AND t.key = list_state.list AND t.state = 'parked') THEN 'refused'
                ELSE 'unread' END;
END $$;
COMMENT ON FUNCTION list_state(text, text, text) IS 'Why a list of a base is not at hand: no_list (the profile names none), refused (BAS does not give it), unread; NULL when it is';

CREATE FUNCTION target_set(profile text, target text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN CASE target WHEN 'order' THEN entity_set(profile, 'order') WHEN 'order_line' THEN entity_set(profile, 'order') || '_' || entity_set(profile, 'order_line')
                       WHEN 'counterparty' THEN entity_set(profile, 'counterparty') WHEN 'partner' THEN entity_set(profile, 'partner') END;
END $$;
COMMENT ON FUNCTION target_set(text, text) IS 'Entity set whose properties a target of field_map names; NULL of attributes and contact information, which name elements';

-- Rows for other profiles are shipped. A variant of a profile has the rows of its parent, too: that is for field_rules() to find out.
CREATE FUNCTION fields_mapped(targets text[]) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM bas_attribute)
        OR EXISTS (SELECT FROM field_map f WHERE f.target = ANY (targets) AND (f.origin = 'user' OR f.target <> 'attribute')
                   AND (f.profile = '*' OR EXISTS (SELECT FROM infobase i LEFT JOIN profile p ON p.name = i.profile WHERE i.profile = f.profile OR p.parent IS NOT NULL)));
END $$;
COMMENT ON FUNCTION fields_mapped(text[]) IS 'Whether a row of field_map may concern any base at all: where none does, mapping costs nothing';

CREATE FUNCTION field_rules(accounts text[], targets text[]) RETURNS SETOF field_rule
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT a.name, a.infobase, i.profile, f.target, f.property,
           row_number() OVER (PARTITION BY a.name, f.target, f.property ORDER BY f.origin DESC, f.account = '*', f.profile = '*', f.turn)::integer,
           f.origin, f.source_kind, f.source, CASE WHEN f.source_kind = 'path' THEN field_path(f.source) END, coalesce('join' = ANY (transform_steps(f.transform)), false),
           transform_steps(f.transform), f.arguments, CASE WHEN f.transform LIKE '%template%' THEN regexp_split_to_array(f.source, '\{[^{}]+\}') END,
           ARRAY(SELECT field_path(t) FROM few(CASE WHEN f.transform LIKE '%template%' THEN template_paths(f.source) WHEN f.arguments ? 'paths' THEN ARRAY(SELECT jsonb_array_elements_text(f.arguments -> 'paths')) END) WITH ORDINALITY l (t, n) ORDER BY n), f.dictionary, f.default_value, field_path(f.condition), f.owner, f.required,
           coalesce(f.edm_type, p.edm_type, CASE WHEN t.edm_type LIKE 'Edm.%' THEN t.edm_type END, CASE WHEN f.property LIKE '%\_Key' AND f.target IN ('order', 'order_line', 'counterparty', 'partner') THEN 'Edm.Guid' ELSE 'Edm.String' END),
           coalesce(p.max_length, t.max_length), f.enabled
    FROM few(accounts) n JOIN account a ON a.name = n JOIN infobase i ON i.name = a.infobase
    JOIN field_map f ON f.account IN (a.name, '*') AND (f.profile = '*' OR f.profile IN (SELECT w.source FROM profile_line w WHERE w.profile = i.profile))
    LEFT JOIN LATERAL (SELECT e.edm_type, e.max_length FROM profile_property_effective e WHERE e.profile = i.profile AND e.entity = f.target AND e.property = f.property LIMIT 1) p ON true
    LEFT JOIN LATERAL (SELECT b.edm_type, b.max_length FROM bas_property b WHERE b.infobase = a.infobase AND b.entity_set = target_set(i.profile, f.target) AND b.property = f.property LIMIT 1) t ON f.edm_type IS NULL
    WHERE f.target = ANY (targets)
      AND (f.origin = 'user' OR f.target <> 'attribute' OR EXISTS (SELECT FROM bas_attribute b WHERE b.infobase = i.name AND b.name = f.property));    -- shipped attributes count where they were asked for
END $$;
COMMENT ON FUNCTION field_rules(text[], text[]) IS 'Rows of field_map in force for accounts, with the types of their properties: as the row says, else the profile, else $metadata of the base';

-- Functions of users.

CREATE FUNCTION field_call(function text, datas jsonb[], lines jsonb[], arguments jsonb) RETURNS jsonb[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    called text := (SELECT format('%I.%I', i[1], i[2]) FROM parse_ident(function) i);
    answers jsonb[];
    answer jsonb;
BEGIN
    IF runs_as_superuser() THEN
        RETURN array_fill('{"superuser": true}'::jsonb, ARRAY[cardinality(datas)]);
    END IF;
    BEGIN
        EXECUTE format('SELECT array_agg(jsonb_build_object(''value'', %s(u.data, u.line, $3)) ORDER BY u.n) FROM ROWS FROM (unnest($1), unnest($2)) WITH ORDINALITY u (data, line, n)', called)
        INTO answers USING datas, lines, arguments;
        RETURN answers;
    EXCEPTION WHEN OTHERS THEN
        IF is_passing_error(SQLSTATE) THEN RAISE; END IF;
    END;
    FOR n IN 1 .. cardinality(datas) LOOP    -- one bad order fails alone
        BEGIN
            EXECUTE format('SELECT jsonb_build_object(''value'', %s($1, $2, $3))', called) INTO answer USING datas[n], lines[n], arguments;
        EXCEPTION WHEN OTHERS THEN
            IF is_passing_error(SQLSTATE) THEN RAISE; END IF;
            answer := jsonb_build_object('error', SQLSTATE || ': ' || SQLERRM);
        END;
        answers := answers || answer;
    END LOOP;
    RETURN answers;
END $$;
COMMENT ON FUNCTION field_call(text, jsonb[], jsonb[], jsonb) IS 'Calls a user''s function for a set of orders (or lines): {value}, {error} or {superuser} for each; as one set, and one by one if that fails';

CREATE FUNCTION called_fields(orders order_key[], rules field_rule[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r      field_rule;
    keys   text[];
    datas  jsonb[];
    lines  jsonb[];
    called jsonb := '{}';
BEGIN
    FOR r IN SELECT * FROM few(rules) u WHERE u.source_kind = 'function' AND u.enabled LOOP
        SELECT array_agg(format('%s/%s/%s/%s/%s', r.account, m.order_id, e.line_no, r.rank, r.target || '/' || r.property)), array_agg(m.data), array_agg(e.line) INTO keys, datas, lines
        FROM merged_orders(ARRAY(SELECT k FROM few(orders) k WHERE k.account = r.account)) m CROSS JOIN LATERAL field_elements(m.data, r.target = 'order_line', account_variable(r.account)) e
        WHERE (e.line_no IS NOT NULL) = (r.target = 'order_line') AND (r.condition IS NULL OR jsonb_path_match(e.base, r.condition, e.vars, true));
        IF keys IS NOT NULL THEN
            called := called || (SELECT jsonb_object_agg(u.k, u.v) FROM ROWS FROM (unnest(keys), unnest(field_call(r.source, datas, lines, r.arguments))) u (k, v));
        END IF;
    END LOOP;
    RETURN called;
END $$;
COMMENT ON FUNCTION called_fields(order_key[], field_rule[]) IS 'What the functions among the rules give for orders, by account, order, line, rank, target and property';

-- Orders.

CREATE FUNCTION field_elements(data jsonb, with_lines boolean, account jsonb DEFAULT 'null') RETURNS TABLE (line_no integer, line jsonb, base jsonb, vars jsonb)
    LANGUAGE plpgsql IMMUTABLE ROWS 1 SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT NULL::integer, NULL::jsonb, data, jsonb_build_object('order', NULL, 'account', account);
    IF with_lines THEN
        RETURN QUERY SELECT l.n::integer, l.e, l.e, jsonb_build_object('order', data, 'account', account) FROM jsonb_array_elements(json_rows(data -> 'products')) WITH ORDINALITY l (e, n);
    END IF;
END $$;
COMMENT ON FUNCTION field_elements(jsonb, boolean, jsonb) IS 'What paths look at: the order itself, and each of its lines with $order beside it; $account beside both';

CREATE FUNCTION account_variable(account text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT jsonb_build_object('name', a.name, 'url', rtrim(a.url, '/')) FROM account a WHERE a.name = account_variable.account);
END $$;
COMMENT ON FUNCTION account_variable(text) IS 'What paths see as $account: its name and its address';

CREATE FUNCTION crm_name(account text, list text, value jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT to_jsonb(nullif(btrim(d.name), '')) FROM dictionary_value d WHERE d.scope = crm_name.account AND d.side = 'crm' AND d.dictionary = crm_name.list AND d.key = json_text(crm_name.value)), crm_name.value);
END $$;
COMMENT ON FUNCTION crm_name(text, text, jsonb) IS 'What SalesDrive calls a value of one of its lists; the value itself where its name is not known';

CREATE TYPE field_value AS (
    account    text,
    order_id   bigint,
    line_no    integer,
    target     text,
    property   text,
    owner      text,
    given      jsonb,
    item       jsonb,
    problem    text,
    detail     text,
    hint       text,
    blocked_on text
);
COMMENT ON TYPE field_value IS 'What one row of field_map gives for one order, or one of its lines';
COMMENT ON COLUMN field_value.account IS 'Account';
COMMENT ON COLUMN field_value.order_id IS 'Order number';
COMMENT ON COLUMN field_value.line_no IS 'Line, of order_line';
COMMENT ON COLUMN field_value.target IS 'Target';
COMMENT ON COLUMN field_value.property IS 'Property';
COMMENT ON COLUMN field_value.owner IS 'crm, bas or empty';
COMMENT ON COLUMN field_value.given IS 'Properties and their values, of order, order_line, counterparty and partner';
COMMENT ON COLUMN field_value.item IS 'Element of BAS and value, of attribute and contact: {ref, value, type, kind}; of an additional information record record stands for ref';
COMMENT ON COLUMN field_value.problem IS 'What keeps it from being filled; NULL: nothing';
COMMENT ON COLUMN field_value.detail IS 'Sentence';
COMMENT ON COLUMN field_value.hint IS 'What to do';
COMMENT ON COLUMN field_value.blocked_on IS 'What it waits for, as in task.blocked_on';

CREATE FUNCTION field_values(orders order_key[], targets text[]) RETURNS SETOF field_value
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    rules      field_rule[];
    with_lines boolean;
    called     jsonb;
    accounts   jsonb;
    ways       jsonb;
BEGIN
    IF NOT fields_mapped(targets) THEN
        RETURN;
    END IF;
    SELECT array_agg(r ORDER BY r.account, r.target, r.property, r.rank), bool_or(r.target = 'order_line') INTO rules, with_lines
    FROM field_rules(ARRAY(SELECT DISTINCT k.account FROM few(orders) k), targets) r;
    IF rules IS NULL THEN
        RETURN;
    END IF;
    called := called_fields(orders, rules);
    accounts := (SELECT jsonb_object_agg(n, account_variable(n)) FROM (SELECT DISTINCT r.account FROM few(rules) r) a (n));
    ways := (SELECT jsonb_object_agg(u.infobase, attribute_way(u.infobase)) FROM (SELECT DISTINCT r.infobase FROM few(rules) r WHERE r.target = 'attribute') u);
    RETURN QUERY
    WITH valued AS MATERIALIZED (    -- the first row whose condition holds, its source and its transform
        SELECT m.account, m.order_id, e.line_no, r.infobase, r.profile, r.target, r.property, r.origin, r.source_kind, r.source, r.steps, r.dictionary, r.default_value, r.owner, r.required, r.edm_type, r.max_length,
               CASE WHEN r.steps IS NULL THEN s.raw ELSE w.value END AS value, s.answer
        FROM merged_orders(orders) m
        CROSS JOIN LATERAL field_elements(m.data, with_lines, accounts -> m.account) e
        CROSS JOIN LATERAL (
            SELECT DISTINCT ON (u.target, u.property) u.* FROM few(rules) u
            WHERE u.account = m.account AND (u.target = 'order_line') = (e.line_no IS NOT NULL) AND (u.condition IS NULL OR jsonb_path_match(e.base, u.condition, e.vars, true))
            ORDER BY u.target, u.property, u.rank) r
        CROSS JOIN LATERAL (
            SELECT CASE r.source_kind WHEN 'constant' THEN to_jsonb(r.source) WHEN 'function' THEN c.answer -> 'value'
                        ELSE CASE WHEN r.gathers THEN nullif(jsonb_path_query_array(e.base, r.path, e.vars, true), '[]') ELSE jsonb_path_query_first(e.base, r.path, e.vars, true) END END AS raw, c.answer
            FROM (SELECT CASE WHEN r.source_kind = 'function' THEN called -> format('%s/%s/%s/%s/%s', r.account, m.order_id, e.line_no, r.rank, r.target || '/' || r.property) END AS answer) c
            OFFSET 0) s
        CROSS JOIN LATERAL (SELECT CASE WHEN t.value IS NULL OR r.steps[cardinality(r.steps)] <> 'named' THEN t.value WHEN json_blank(t.value) THEN t.value ELSE crm_name(m.account, r.arguments ->> 'list', t.value) END AS value
                            FROM (SELECT CASE WHEN r.steps IS NOT NULL THEN transformed(r.steps, s.raw, r.arguments, r.parts, r.paths, e.base, e.vars) END AS value OFFSET 0) t OFFSET 0) w
        WHERE r.enabled
    ), known AS MATERIALIZED (    -- each value of SalesDrive is looked up once
        SELECT jsonb_object_agg(concat_ws('/', u.account, u.dictionary, u.refers, u.crm_key), jsonb_build_object('mapped', w.account IS NOT NULL, 'bas_key', w.bas_key, 'given', coalesce(c.ref::text, w.bas_key),
                   'problem', CASE WHEN w.bas_key IS NULL OR NOT u.refers OR w.bas_key ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN NULL
                                   ELSE coalesce(l.lacks, c.problem) END,
                   'candidates', c.candidates, 'parks', unmapped_parks(u.account, u.dictionary))) AS by_key
        FROM (SELECT DISTINCT v.account, v.infobase, v.profile, v.dictionary, v.edm_type NOT LIKE 'Edm.%' OR v.edm_type = 'Edm.Guid' AS refers, json_text(v.value) AS crm_key
              FROM valued v WHERE v.dictionary IS NOT NULL AND NOT json_blank(v.value) AND jsonb_typeof(v.value) <> 'object') u
        LEFT JOIN LATERAL value_row(u.account, u.dictionary, u.crm_key) w ON true
        CROSS JOIN LATERAL (SELECT CASE WHEN u.refers THEN list_state(u.infobase, u.profile, u.dictionary) END AS lacks) l
        LEFT JOIN LATERAL (SELECT c.* FROM chosen_value(u.infobase, u.dictionary, w.bas_key) c WHERE u.refers AND l.lacks IS NULL AND w.bas_key IS NOT NULL) c ON true
    ), looked AS MATERIALIZED (
        SELECT v.*, json_text(v.value) AS crm_key, d.entry,
               CASE WHEN v.answer ? 'superuser' THEN 'superuser' WHEN v.answer ? 'error' THEN 'error'
                    WHEN NOT (d.entry ->> 'mapped')::boolean AND (d.entry ->> 'parks')::boolean THEN 'unmapped' ELSE d.entry ->> 'problem' END AS problem,
               CASE WHEN json_blank(f.found) THEN coalesce(to_jsonb(v.default_value), f.found) ELSE f.found END AS final
        FROM valued v
        LEFT JOIN LATERAL (SELECT k.by_key -> concat_ws('/', v.account, v.dictionary, v.edm_type NOT LIKE 'Edm.%' OR v.edm_type = 'Edm.Guid', json_text(v.value)) AS entry FROM known k WHERE v.dictionary IS NOT NULL) d ON true
        CROSS JOIN LATERAL (SELECT CASE WHEN d.entry IS NULL THEN v.value ELSE coalesce(d.entry -> 'given', 'null') END AS found OFFSET 0) f
    ), typed AS MATERIALIZED (
        SELECT k.*, t.typed, t.list,
               CASE WHEN k.problem IS NOT NULL THEN k.problem
                    WHEN k.required AND json_blank(k.final) THEN 'required'
                    WHEN k.final IS NOT NULL AND t.typed IS NULL THEN 'unreadable' END AS trouble
        FROM looked k
        CROSS JOIN LATERAL (SELECT CASE WHEN k.problem IS NULL AND k.final IS NOT NULL THEN typed_value(k.final, k.edm_type, k.max_length) END AS typed,
                                   CASE k.target WHEN 'attribute' THEN 'attribute' WHEN 'contact' THEN 'contact_information' END AS list OFFSET 0) t
    ), element AS MATERIALIZED (    -- attributes and kinds of contact information are elements of BAS
        SELECT u.infobase, u.list, u.property, list_state(u.infobase, u.profile, u.list) AS lacks, c.ref, c.problem, c.candidates, d.attributes -> (property_names(u.profile, u.list) ->> 'kind') AS kind
        FROM (SELECT DISTINCT t.infobase, t.profile, t.list, t.property FROM typed t WHERE t.list IS NOT NULL AND t.final IS NOT NULL) u
        CROSS JOIN LATERAL chosen_value(u.infobase, u.list, u.property) c
        LEFT JOIN dictionary_value d ON d.scope = u.infobase AND d.side = 'bas' AND d.dictionary = u.list AND d.key = c.ref::text
    ), whole AS (
        SELECT t.*, e.ref AS element, e.candidates AS elements, e.problem AS element_problem, e.kind AS element_kind, p.way,
               CASE WHEN t.trouble IS NOT NULL OR t.final IS NULL OR t.list IS NULL THEN t.trouble
                    WHEN p.way IN ('comment', 'unknown') THEN CASE WHEN t.origin = 'user' THEN CASE p.way WHEN 'comment' THEN 'no_list' ELSE 'unknown' END END
                    WHEN t.target = 'contact' AND json_blank(t.final) THEN NULL    -- a new counterparty has nothing to clear
                    WHEN e.lacks = 'unread' THEN 'unread' WHEN t.origin <> 'user' THEN NULL    -- what is shipped and not there, is left out
                    WHEN e.lacks IS NOT NULL THEN e.lacks WHEN e.problem IS NOT NULL THEN 'element' END AS stop
        FROM typed t LEFT JOIN element e ON e.infobase = t.infobase AND e.list = t.list AND e.property = t.property
        CROSS JOIN LATERAL (SELECT CASE WHEN t.target = 'attribute' THEN ways ->> t.infobase END AS way) p
    )
    SELECT w.account, w.order_id, w.line_no, w.target, w.property, w.owner,
           CASE WHEN w.stop IS NULL AND w.list IS NULL AND w.typed IS NOT NULL THEN
                jsonb_build_object(w.property, w.typed)
                || CASE WHEN w.edm_type LIKE 'Edm.%' THEN '{}' ELSE jsonb_build_object(w.property || '_Type', CASE WHEN w.typed = '""' THEN 'StandardODATA.Undefined' ELSE w.edm_type END) END END,
           CASE WHEN w.stop IS NULL AND w.element IS NOT NULL AND w.typed IS NOT NULL AND coalesce(w.way, '') NOT IN ('comment', 'unknown') THEN
                jsonb_build_object(CASE w.way WHEN 'record' THEN 'record' ELSE 'ref' END, w.element, 'value', CASE WHEN NOT json_blank(w.final) THEN w.typed END, 'type', w.edm_type, 'kind', w.element_kind)
                WHEN w.stop IS NULL AND w.way = 'comment' AND w.origin = 'shipped' AND NOT json_blank(w.typed) THEN
                jsonb_build_object('line', format('%s: %s', w.property, regexp_replace(w.typed #>> '{}', '\s+', ' ', 'g'))) END,
           w.stop,
           CASE WHEN w.stop IS NOT NULL THEN CASE w.stop
                WHEN 'required' THEN format('Field "%s" of %s must have a value, and %s gives none.', w.property, s.place, s.shown)
                WHEN 'unreadable' THEN format('Field "%s" of %s is to be %s, and %s gives "%s".', w.property, s.place, w.edm_type, s.shown, left(w.final #>> '{}', 200))
                WHEN 'error' THEN format('Field "%s" of %s: %s failed with %s', w.property, s.place, s.shown, w.answer ->> 'error')
                WHEN 'superuser' THEN format('Field "%s" of %s is given by %s of a user, and the exchange runs as superuser "%s".', w.property, s.place, s.shown, current_user)
                WHEN 'unmapped' THEN format('Nobody said what %s %s is in BAS, and the rule of this dictionary is to wait for it (field "%s" of %s).', w.dictionary, w.crm_key, w.property, s.place)
                WHEN 'unread' THEN format('The list of %s is being read from infobase "%s".', coalesce(w.list, w.dictionary), w.infobase)
                WHEN 'unknown' THEN format('Field "%s" is an additional information record, and whether infobase "%s" publishes these, its $metadata must tell, which is being read.', w.property, w.infobase)
                WHEN 'no_list' THEN format('Field "%s" of %s is %s, and profile "%s" names no list of it.', w.property, s.place,
                                           CASE WHEN w.list IS NULL THEN format('an element of BAS by its name "%s"', w.entry ->> 'bas_key') ELSE 'one of the list of ' || w.list END, w.profile)
                WHEN 'refused' THEN format('Field "%s" of %s: the list of %s cannot be read from infobase "%s". %s', w.property, s.place, coalesce(w.list, w.dictionary), w.infobase,
                                           (SELECT k.detail FROM task k WHERE k.scope = w.infobase AND k.kind = 'dictionary' AND k.key = coalesce(w.list, w.dictionary)))
                WHEN 'element' THEN format('The %s "%s" %s "%s" (there: %s).', CASE w.target WHEN 'attribute' THEN 'additional attribute' ELSE 'kind of contact information' END, w.property, w.element_problem,
                                           w.infobase, coalesce(left(w.elements, 2000), 'nothing'))
                ELSE format('value_map gives "%s" for %s %s, which %s "%s" (there: %s).', w.entry ->> 'bas_key', w.dictionary, w.crm_key, w.stop, w.infobase, coalesce(left(w.entry ->> 'candidates', 2000), 'nothing')) END END,
           CASE WHEN w.stop IS NOT NULL THEN CASE w.stop
                WHEN 'required' THEN 'Fill it in in SalesDrive: the new version goes on by itself. Or change the row of salesdrive.field_map (default_value, required); then the order goes on by itself.'
                WHEN 'unreadable' THEN 'Correct it in SalesDrive: the new version goes on by itself. Or change the row of salesdrive.field_map (transform, edm_type); then the order goes on by itself.'
                WHEN 'error' THEN 'Mend the function and call resume(), or change the row of salesdrive.field_map.'
                WHEN 'superuser' THEN 'Set salesdrive.role to a role that is no superuser, and restart_workers(); then call resume(). In preview(): SET ROLE first.'
                WHEN 'unmapped' THEN map_call(w.account, w.dictionary, w.crm_key) || ' with the value of BAS in place of the dots (NULL leaves it empty); the order goes on by itself.'
                WHEN 'no_list' THEN format('Give its Ref_Key in value_map, or name the entity set: INSERT INTO salesdrive.profile_entity (profile, concept, entity_set) VALUES (%L, %L, ''Catalog_…''); then call resume().', w.profile, coalesce(w.list, w.dictionary))
                WHEN 'refused' THEN format('Add %s to the composition of the OData interface, and give the user of the exchange the right to read it; then call resume().', entity_set(w.profile, coalesce(w.list, w.dictionary)))
                WHEN 'element' THEN format('Correct the name in salesdrive.field_map: the order goes on by itself. If it is new in BAS, resume() reads the list again. Is %s in the composition of the OData interface?', entity_set(w.profile, w.list))
                WHEN 'unread' THEN NULL
                WHEN 'unknown' THEN 'It goes on by itself. If $metadata cannot be read, SELECT * FROM salesdrive.parked says why.'
                ELSE map_call(w.account, w.dictionary, w.crm_key) || ' with a name, code or Ref_Key of the base; the order goes on by itself. After a change in BAS resume() reads the list again.' END END,
           CASE WHEN w.stop = 'unknown' THEN format('metadata:%s:$metadata', w.infobase)
                WHEN w.stop IN ('unread', 'refused') THEN format('dictionary:%s:%s', w.infobase, coalesce(w.list, w.dictionary))
                WHEN w.stop IN ('required', 'unreadable', 'error', 'superuser', 'no_list', 'element') THEN format('field:%s:', w.account)
                WHEN w.stop IS NOT NULL THEN format('value:%s:%s/%s', w.account, w.dictionary, w.crm_key) END
    FROM whole w
    CROSS JOIN LATERAL (SELECT CASE w.source_kind WHEN 'path' THEN format('the path %s', w.source) WHEN 'function' THEN format('function %s', w.source) ELSE 'the constant' END AS shown,
                               CASE WHEN w.line_no IS NOT NULL THEN 'line ' || w.line_no ELSE 'the ' || w.target END AS place) s
    WHERE w.final IS NOT NULL OR w.stop IS NOT NULL;
END $$;
COMMENT ON FUNCTION field_values(order_key[], text[]) IS 'What field_map gives for orders: one row for each property that has a source, or a problem. Absent in the order is not mapped, empty there is empty in BAS';

CREATE FUNCTION mapped_fields(orders order_key[]) RETURNS order_fields[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    found field_value[] := ARRAY(SELECT v FROM field_values(orders, ARRAY['order', 'order_line', 'attribute']) v);
BEGIN
    IF found = '{}' THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(
    WITH f AS MATERIALIZED (
        SELECT v.*, v AS value FROM few(found) v
    ), line AS MATERIALIZED (
        SELECT l.account, l.order_id, jsonb_object_agg(l.line_no, l.given) AS by_line
        FROM (SELECT f.account, f.order_id, f.line_no, jsonb_merge(f.given) AS given FROM f WHERE f.target = 'order_line' AND f.given IS NOT NULL GROUP BY f.account, f.order_id, f.line_no) l
        GROUP BY l.account, l.order_id
    ), name AS MATERIALIZED (
        SELECT a.name AS account, property_names(i.profile, 'attribute_row') || jsonb_build_object('section', entity_set(i.profile, 'attribute_row'), 'comment', property_names(i.profile, 'order') ->> 'comment') AS names
        FROM (SELECT DISTINCT f.account FROM f WHERE f.target = 'attribute') n JOIN account a ON a.name = n.account JOIN infobase i ON i.name = a.infobase
    ), whole AS (
        SELECT f.account, f.order_id, jsonb_merge(f.given ORDER BY f.property) FILTER (WHERE f.target = 'order') AS header,
               jsonb_object_agg(f.item ->> 'ref', f.item || jsonb_build_object('owner', f.owner)) FILTER (WHERE f.target = 'attribute' AND f.item ? 'ref') AS attributes,
               jsonb_object_agg(f.item ->> 'record', f.item - '{record,kind}'::text[] || jsonb_build_object('owner', f.owner, 'name', f.property)) FILTER (WHERE f.item ? 'record') AS records,
               string_agg(f.item ->> 'line', E'\n' ORDER BY attribute_place(f.property), f.property) FILTER (WHERE f.item ? 'line') AS notes,
               array_agg(f.given) FILTER (WHERE f.owner = 'bas' AND f.given IS NOT NULL) AS once, array_agg(f.given) FILTER (WHERE f.owner = 'empty' AND f.given IS NOT NULL) AS if_empty,
               (array_agg(f.value ORDER BY f.problem = 'unread', f.target, f.line_no, f.property) FILTER (WHERE f.problem IS NOT NULL))[1] AS stop
        FROM f GROUP BY f.account, f.order_id
    )
    SELECT (w.account, w.order_id, w.header, l.by_line, w.attributes, n.names,
           ARRAY(SELECT jsonb_object_keys(g) FROM few(w.once) g), ARRAY(SELECT jsonb_object_keys(g) FROM few(w.if_empty) g),
           (w.stop).problem, (w.stop).detail, (w.stop).hint, (w.stop).blocked_on, w.notes, w.records)::order_fields
    FROM whole w LEFT JOIN line l ON l.order_id = w.order_id AND l.account = w.account LEFT JOIN name n ON n.account = w.account);
END $$;
COMMENT ON FUNCTION mapped_fields(order_key[]) IS 'What field_map gives for the documents of orders, one row each; orders without a mapped field have none';

CREATE FUNCTION obstacles_fields(fields order_fields[]) RETURNS obstacle[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF fields IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(
    SELECT (f.account, f.order_id, 27,
           CASE f.problem WHEN 'unread' THEN 'dictionary' WHEN 'unknown' THEN 'metadata' WHEN 'unmapped' THEN 'value' WHEN 'superuser' THEN 'superuser'
                WHEN 'required' THEN 'field' WHEN 'unreadable' THEN 'field' WHEN 'error' THEN 'field' WHEN 'no_list' THEN 'field' WHEN 'refused' THEN 'field' WHEN 'element' THEN 'field' ELSE 'value_wrong' END,
           f.detail, f.hint, f.blocked_on, f.problem IN ('unread', 'unknown'))::obstacle
    FROM few(fields) f WHERE f.problem IS NOT NULL);
END $$;
COMMENT ON FUNCTION obstacles_fields(order_fields[]) IS 'Orders with a mapped field that cannot be filled: the first of them';

-- A document that is there: whose properties are whose.

CREATE FUNCTION own_attributes(section jsonb, f order_fields) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(r ->> (f.names ->> 'attribute'), jsonb_build_array(r -> (f.names ->> 'value'), r -> (f.names ->> 'value_type')))
            FROM jsonb_array_elements(CASE jsonb_typeof(section) WHEN 'array' THEN section ELSE '[]' END) r WHERE f.attributes -> (r ->> (f.names ->> 'attribute')) ->> 'owner' = 'crm');
END $$;
COMMENT ON FUNCTION own_attributes(jsonb, order_fields) IS 'Of a section of additional attributes those that are kept equal to the order, by Ref_Key, with their values';

CREATE FUNCTION attribute_section(f order_fields, held jsonb, there boolean, fresh boolean) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    -- BAS replaces a section whole: rows of attributes that are not ours stay as they were read.
    RETURN (SELECT coalesce(jsonb_agg(w.row || jsonb_build_object('LineNumber', w.n) ORDER BY w.n), '[]')
    FROM (SELECT u.row, row_number() OVER (ORDER BY u.turn, u.key) AS n
          FROM (SELECT coalesce(o.key, h.key) AS key, coalesce(h.turn, 1000000) AS turn,
                       CASE WHEN o.key IS NULL OR there AND h.key IS NOT NULL AND (o.item ->> 'owner' = 'bas' OR fresh AND o.item ->> 'owner' = 'empty' AND NOT holds_nothing(h.row -> (f.names ->> 'value'))) THEN (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(h.row) c WHERE c.key NOT IN ('Ref_Key', 'LineNumber') AND c.key NOT LIKE '%@%')
                            WHEN o.plain IS NULL OR there AND o.item ->> 'owner' = 'bas' THEN NULL
                            ELSE jsonb_build_object(f.names ->> 'attribute', o.key, f.names ->> 'value', o.plain, f.names ->> 'value_type', o.item ->> 'type')
                                 || CASE WHEN o.item ->> 'type' = 'Edm.String' AND (o.long OR length(o.plain) > 1024) THEN jsonb_build_object(f.names ->> 'value', left(o.plain, 1024), f.names ->> 'text', o.plain) ELSE '{}' END END AS row
                FROM (SELECT r ->> (f.names ->> 'attribute') AS key, r AS row, n AS turn FROM jsonb_array_elements(CASE WHEN there AND jsonb_typeof(held) = 'array' THEN held ELSE '[]' END) WITH ORDINALITY e (r, n)) h
                FULL JOIN (SELECT a.key, a.value AS item, a.value ->> 'value' AS plain, coalesce(json_numeric(a.value -> 'kind') > 0, false) AS long FROM jsonb_each(f.attributes) a) o ON o.key = h.key) u
          WHERE u.row IS NOT NULL) w);
END $$;
COMMENT ON FUNCTION attribute_section(order_fields, jsonb, boolean, boolean) IS 'The section of additional attributes as it should be: mapped ones by their owners, all others as they were read';

-- What is only filled where BAS holds nothing counts as wanted until the document has been read for this version: so a change of it leads to that reading.
CREATE FUNCTION fitted_document(document jsonb, f order_fields, held jsonb, there boolean, fresh boolean) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    section text := f.names ->> 'section';
    rows    jsonb;
BEGIN
    IF there THEN
        document := document - f.once - ARRAY(SELECT k FROM few(f.if_empty) k WHERE fresh AND NOT holds_nothing(held -> k));
    END IF;
    IF f.attributes IS NOT NULL THEN
        rows := attribute_section(f, held -> section, there, fresh);
        IF rows <> '[]' OR there AND jsonb_array_length(CASE jsonb_typeof(held -> section) WHEN 'array' THEN held -> section ELSE '[]' END) > 0 THEN
            document := document || jsonb_build_object(section, rows);
        END IF;
    END IF;
    RETURN document;
END $$;
COMMENT ON FUNCTION fitted_document(jsonb, order_fields, jsonb, boolean, boolean) IS 'A document as it should be, beside what BAS holds: without what belongs to BAS by now, with the additional attributes';

-- Where values come from.

CREATE FUNCTION field_text(f field_map) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN concat_ws(' ', format('field_map %s:', f.account), CASE f.source_kind WHEN 'path' THEN f.source WHEN 'function' THEN f.source || '()' ELSE quote_literal(f.source) END,
                     '| ' || f.transform, 'by dictionary ' || f.dictionary, 'if ' || f.condition);
COMMENT ON FUNCTION field_text(field_map) IS 'A row of field_map in words, as lineage shows it';

CREATE FUNCTION field_lineages(account text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT fields_mapped(ARRAY['order', 'order_line', 'attribute']) THEN
        RETURN '{}';
    END IF;
    RETURN (SELECT coalesce(jsonb_object_agg(g.property, g.rule), '{}') FROM (
        SELECT CASE f.target WHEN 'order' THEN min(f.property) WHEN 'order_line' THEN entity_set(i.profile, 'order_line') ELSE entity_set(i.profile, 'attribute_row') END AS property,
               CASE WHEN f.target = 'order' THEN '' WHEN f.target = 'order_line' THEN 'lines of the order; ' ELSE '' END
               || string_agg(CASE WHEN f.target <> 'order' THEN f.property || ' from ' ELSE '' END || field_text(f), '; ' ORDER BY f.property, f.origin DESC, f.account = '*', f.profile = '*', f.turn) AS rule
        FROM account a JOIN infobase i ON i.name = a.infobase JOIN field_map f ON f.account IN (a.name, '*') AND (f.profile = '*' OR f.profile IN (SELECT w.source FROM profile_line w WHERE w.profile = i.profile))
        WHERE a.name = field_lineages.account AND f.enabled AND f.target IN ('order', 'order_line', 'attribute')
          AND (f.origin = 'user' OR f.target <> 'attribute' OR EXISTS (SELECT FROM bas_attribute b WHERE b.infobase = a.infobase AND b.name = f.property))
        GROUP BY f.target, CASE WHEN f.target = 'order' THEN f.property END, i.profile) g WHERE g.property IS NOT NULL);
END $$;
COMMENT ON FUNCTION field_lineages(text) IS 'For each property of a document that is mapped in an account: the rows of field_map that may have filled it, in their order';

CREATE VIEW field_map_effective AS
    SELECT a.name AS account, f.target, f.property, f.origin, f.source_kind, f.source, f.transform, f.arguments, f.dictionary, f.default_value, f.condition, f.owner, f.required, f.edm_type, f.enabled,
           row_number() OVER (PARTITION BY a.name, f.target, f.property ORDER BY f.origin DESC, f.account = '*', f.profile = '*', f.turn)::integer AS rank
    FROM account a JOIN infobase i ON i.name = a.infobase JOIN field_map f ON f.account IN (a.name, '*') AND (f.profile = '*' OR f.profile IN (SELECT w.source FROM profile_line w WHERE w.profile = i.profile))
    WHERE (f.origin = 'user' OR f.target <> 'attribute' OR EXISTS (SELECT FROM bas_attribute b WHERE b.infobase = a.infobase AND b.name = f.property))
    UNION ALL
    SELECT a.name, p.entity, p.property, 'profile', CASE WHEN p.constant IS NULL THEN 'engine' ELSE 'constant' END, coalesce(p.constant #>> '{}', p.rule), NULL, NULL, NULL, NULL, NULL, 'crm', false, p.edm_type, true, 1000000
    FROM account a JOIN infobase i ON i.name = a.infobase JOIN profile_property_effective p ON p.profile = i.profile AND p.entity IN ('order', 'order_line', 'counterparty', 'partner') AND p.property IS NOT NULL
    WHERE p.rule <> '';
COMMENT ON VIEW field_map_effective IS 'The whole exchange entity of each account: rows of field_map in force, and what the engine fills by itself where none of them counts';
COMMENT ON COLUMN field_map_effective.account IS 'Account';
COMMENT ON COLUMN field_map_effective.target IS 'Target';
COMMENT ON COLUMN field_map_effective.property IS 'Property in BAS';
COMMENT ON COLUMN field_map_effective.origin IS 'user, shipped, or profile (the engine, by the names of the profile)';
COMMENT ON COLUMN field_map_effective.source_kind IS 'path, constant, function, or engine';
COMMENT ON COLUMN field_map_effective.source IS 'Source; of the engine its rule in words';
COMMENT ON COLUMN field_map_effective.transform IS 'Transform';
COMMENT ON COLUMN field_map_effective.arguments IS 'Its arguments';
COMMENT ON COLUMN field_map_effective.dictionary IS 'Dictionary';
COMMENT ON COLUMN field_map_effective.default_value IS 'Default';
COMMENT ON COLUMN field_map_effective.condition IS 'Condition';
COMMENT ON COLUMN field_map_effective.owner IS 'crm, bas or empty';
COMMENT ON COLUMN field_map_effective.required IS 'Whether an order without a value is parked';
COMMENT ON COLUMN field_map_effective.edm_type IS 'Type, where one is named';
COMMENT ON COLUMN field_map_effective.enabled IS 'False: the property is left to the engine';
COMMENT ON COLUMN field_map_effective.rank IS 'Of the rows for one property the lowest whose condition holds counts';

CREATE FUNCTION map_field(account text, target text, property text, source text, transform text DEFAULT NULL, arguments jsonb DEFAULT '{}', dictionary text DEFAULT NULL, default_value text DEFAULT NULL,
        condition text DEFAULT NULL, owner text DEFAULT 'crm', required boolean DEFAULT false, edm_type text DEFAULT NULL, source_kind text DEFAULT NULL, turn integer DEFAULT 1, note text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    kind text := coalesce(source_kind, CASE WHEN transform_steps(transform) && '{template}' THEN 'constant' ELSE 'path' END);
    own  account;
    base infobase;
BEGIN
    IF account IS NULL OR account <> '*' THEN
        own := require_account(account);
        base := require_infobase(own.infobase);
    END IF;
    IF target IS NULL OR target NOT IN ('order', 'order_line', 'attribute', 'counterparty', 'partner', 'contact') THEN
        RAISE EXCEPTION 'there is no target "%"', target USING ERRCODE = '22023', HINT = 'Targets: order, order_line, attribute, counterparty, partner, contact.';
    ELSIF property IS NULL OR btrim(property) = '' OR source IS NULL OR source = '' THEN
        RAISE EXCEPTION 'a mapping names a property of BAS and its source' USING ERRCODE = '22023', HINT = 'Example: SELECT salesdrive.map_field(''shop'', ''attribute'', ''Кампанія'', ''utmCampaign'');';
    ELSIF kind NOT IN ('path', 'constant', 'function') THEN
        RAISE EXCEPTION 'there is no source of kind "%"', kind USING ERRCODE = '22023', HINT = 'Kinds: path, constant, function.';
    ELSIF owner IS NULL OR owner NOT IN ('crm', 'bas', 'empty') THEN
        RAISE EXCEPTION 'there is no owner "%"', owner USING ERRCODE = '22023', HINT = 'crm keeps the property equal to the order, bas writes it with the creation only, empty while BAS holds nothing there.';
    ELSIF kind = 'function' AND to_regprocedure(source || '(jsonb,jsonb,jsonb)') IS NULL THEN
        RAISE EXCEPTION 'there is no function %(jsonb, jsonb, jsonb)', source USING ERRCODE = '42883', HINT = 'CREATE FUNCTION schema.name(data jsonb, line jsonb, arguments jsonb) RETURNS jsonb …; name it with its schema.';
    ELSIF kind = 'function' AND (SELECT p.prorettype <> 'jsonb'::regtype OR p.proretset FROM pg_proc p WHERE p.oid = to_regprocedure(source || '(jsonb,jsonb,jsonb)')) THEN
        RAISE EXCEPTION 'function % does not return jsonb', source USING ERRCODE = '42P13', HINT = 'A mapping takes one value of type jsonb; to_jsonb() makes one.';
    END IF;
    IF target_set(base.profile, target) IS NOT NULL AND publishes(own.infobase, target_set(base.profile, target)) AND NOT publishes(own.infobase, target_set(base.profile, target) || '.' || btrim(property)) THEN
        RAISE EXCEPTION '% of infobase "%" has no property "%"', target_set(base.profile, target), own.infobase, property
            USING ERRCODE = '22023', DETAIL = 'BAS ignores what it does not know, and says nothing.',
                  HINT = coalesce('Is it ' || (SELECT string_agg(format('"%s"', b.property), ', ' ORDER BY b.property) FROM bas_property b WHERE b.infobase = own.infobase AND b.entity_set = target_set(base.profile, target)
                                               AND left(lower(b.property), 4) = left(lower(btrim(property)), 4)) || '? ', '') || format('All of them: SELECT * FROM salesdrive.bas_property WHERE infobase = %L AND entity_set = %L; an additional attribute has target ''attribute''.', own.infobase, target_set(base.profile, target));
    END IF;
    INSERT INTO field_map AS f (account, target, property, turn, source_kind, source, transform, arguments, dictionary, default_value, condition, owner, required, edm_type, note)
    VALUES (account, target, btrim(property), coalesce(turn, 1), kind, source, transform, coalesce(arguments, '{}'), dictionary, default_value, condition, owner, coalesce(required, false), edm_type, note)
    ON CONFLICT ON CONSTRAINT field_map_pkey DO UPDATE SET source_kind = excluded.source_kind, source = excluded.source, transform = excluded.transform, arguments = excluded.arguments,
        dictionary = excluded.dictionary, default_value = excluded.default_value, condition = excluded.condition, owner = excluded.owner, required = excluded.required, edm_type = excluded.edm_type,
        enabled = true, note = coalesce(excluded.note, f.note);
END $$;
COMMENT ON FUNCTION map_field(text, text, text, text, text, jsonb, text, text, text, text, boolean, text, text, integer, text) IS 'Says how a property of BAS is filled; account * is every account. Takes the place of the row with the same account, target, property and turn';

-- Where the values of a document came from: one row for each property, of its header, its lines and its additional attributes. The lineage that is kept
-- names a section whole, so its rows are told apart here, by the order and the rows of field_map as they are now; where those are not the rows
-- of then, the rule stays that of then.
CREATE FUNCTION lineage_rows(b bas_order) RETURNS TABLE (section text, line_no integer, property text, sent jsonb, held jsonb, version bigint, rule text, path text, dictionary text, crm_key text, bas_key text, element text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp SET jit = off AS $$    -- called for each document: a plan compiled for each takes longer than reading all
#variable_conflict use_column
DECLARE
    own     account := (SELECT a FROM account a WHERE a.name = b.account);
    called  text := (SELECT i.profile FROM infobase i WHERE i.name = b.infobase);
    lines   text := entity_set(called, 'order_line');
    line_of text := property_names(called, 'order_line') ->> 'line_no';
    extras  text := entity_set(called, 'attribute_row');
    extra   jsonb := property_names(called, 'attribute_row');
    remark  text := property_names(called, 'order') ->> 'comment';
    data    jsonb;
    rules   field_rule[];
BEGIN
    IF b.lineage = '{}' THEN
        RETURN;
    END IF;
    data := (SELECT m.data FROM merged_orders(order_keys(b.account, b.order_id)) m);
    rules := ARRAY(SELECT r FROM field_rules(ARRAY[b.account], ARRAY['order', 'order_line', 'attribute']) r);
    RETURN QUERY
    WITH entry AS MATERIALIZED (
        SELECT l.key, b.sent_body -> l.key AS sent, b.read_body -> l.key AS held, (l.value ->> 'version')::bigint AS version, coalesce(l.value ->> 'rule', b.lineage -> regexp_replace(l.key, '_Type$', '') ->> 'rule') AS told
        FROM jsonb_each(b.lineage) l
    ), known AS MATERIALIZED (    -- what the profile says of a property
        SELECT DISTINCT ON (p.entity, p.property) p.entity AS target, p.property, p.concept, p.rule FROM profile_property_effective p
        WHERE p.profile = called AND p.entity IN ('order', 'order_line') AND p.property IS NOT NULL ORDER BY p.entity, p.property, p.rule = '', p.concept
    ), words AS MATERIALIZED (    -- rows of field_map in words, as lineage has them
        SELECT f.target, f.property, row_number() OVER (PARTITION BY f.target, f.property ORDER BY f.origin DESC, f.account = '*', f.profile = '*', f.turn)::integer AS rank,
               CASE WHEN f.enabled THEN field_text(f) END AS text
        FROM field_map f
        WHERE f.account IN (b.account, '*') AND f.target IN ('order', 'order_line', 'attribute') AND (f.profile = '*' OR f.profile IN (SELECT w.source FROM profile_line w WHERE w.profile = called))
          AND (f.origin = 'user' OR f.target <> 'attribute' OR EXISTS (SELECT FROM bas_attribute a WHERE a.infobase = b.infobase AND a.name = f.property))
    ), mapped AS MATERIALIZED (
        SELECT w.target, w.property, string_agg(CASE w.target WHEN 'order' THEN '' ELSE w.property || ' from ' END || w.text, '; ' ORDER BY w.rank) AS texts FROM words w GROUP BY w.target, w.property
    ), attribute AS MATERIALIZED (
        SELECT u.ref, min(u.property) AS property
        FROM (SELECT c.ref::text AS ref, m.property FROM mapped m CROSS JOIN LATERAL chosen_value(b.infobase, 'attribute', m.property) c WHERE m.target = 'attribute') u WHERE u.ref IS NOT NULL GROUP BY u.ref
    ), line AS MATERIALIZED (    -- kits and delivery have lines of their own
        SELECT c.place::integer AS place, c.line_no, c.sku, json_rows(data -> 'products') -> (c.line_no - 1) AS base FROM composed_lines(order_keys(b.account, b.order_id)) c WHERE c.line_no > 0
        UNION ALL SELECT c.place::integer, 0, c.sku, NULL FROM composed_lines(order_keys(b.account, b.order_id)) c WHERE c.line_no = 0
    ), part AS MATERIALIZED (
        SELECT 'order' AS target, NULL::text AS section, NULL::integer AS line_no, e.key AS property, e.sent, e.held, e.version, e.told, data AS base, jsonb_build_object('order', NULL, 'account', account_variable(b.account)) AS vars, NULL::text AS sku
        FROM entry e WHERE NOT (coalesce(e.key IN (lines, extras), false) AND jsonb_typeof(e.sent) = 'array' AND e.sent <> '[]')
        UNION ALL
        SELECT 'order_line', e.key, n.place, v.key, v.value, h.row -> v.key, e.version, e.told, l.base, jsonb_build_object('order', data, 'account', account_variable(b.account)), l.sku
        FROM entry e CROSS JOIN LATERAL jsonb_array_elements(json_rows(e.sent)) WITH ORDINALITY r (row, n)
        CROSS JOIN LATERAL (SELECT coalesce((r.row ->> line_of)::integer, r.n::integer) AS place) n
        CROSS JOIN LATERAL jsonb_each(r.row) v
        LEFT JOIN LATERAL (SELECT o.row FROM jsonb_array_elements(json_rows(e.held)) o (row) WHERE o.row ->> line_of = n.place::text LIMIT 1) h ON true
        LEFT JOIN line l ON l.place = n.place
        WHERE e.key = lines AND v.key <> line_of
        UNION ALL
        SELECT 'attribute', e.key, r.n::integer, coalesce(a.property, t.name, d.code, d.name, k.ref), g.sent, g.held, e.version, e.told, data, jsonb_build_object('order', NULL, 'account', account_variable(b.account)), NULL
        FROM entry e CROSS JOIN LATERAL jsonb_array_elements(json_rows(e.sent)) WITH ORDINALITY r (row, n)
        CROSS JOIN LATERAL (SELECT r.row ->> (extra ->> 'attribute') AS ref) k
        LEFT JOIN LATERAL (SELECT o.row FROM jsonb_array_elements(json_rows(e.held)) o (row) WHERE o.row ->> (extra ->> 'attribute') = k.ref LIMIT 1) h ON true
        CROSS JOIN LATERAL (SELECT CASE WHEN r.row ->> (extra ->> 'text') <> '' THEN r.row -> (extra ->> 'text') ELSE r.row -> (extra ->> 'value') END AS sent,
                                   CASE WHEN h.row ->> (extra ->> 'text') <> '' THEN h.row -> (extra ->> 'text') ELSE h.row -> (extra ->> 'value') END AS held) g
        LEFT JOIN attribute a ON a.ref = k.ref
        LEFT JOIN LATERAL (SELECT t.name FROM bas_attribute t WHERE t.infobase = b.infobase AND t.ref_key::text = k.ref LIMIT 1) t ON true
        LEFT JOIN dictionary_value d ON d.scope = b.infobase AND d.side = 'bas' AND d.dictionary = 'attribute' AND d.key = k.ref
        WHERE e.key = extras
        UNION ALL    -- those kept as records beside the document
        SELECT 'attribute', entity_set(called, 'record'), NULL, q.name, q.sent -> 0, q.held -> 0, q.sent_version, q.rule, data, jsonb_build_object('order', NULL, 'account', account_variable(b.account)), NULL
        FROM bas_record q WHERE q.infobase = b.infobase AND q.document = b.ref_key AND q.sent IS NOT NULL
        UNION ALL    -- where the base has no place for them they are lines of the comment
        SELECT 'attribute', e.key, NULL, m.property, to_jsonb(substr(s.text, length(m.property) + 3)), to_jsonb(substr(h.text, length(m.property) + 3)), e.version, m.texts, data, jsonb_build_object('order', NULL, 'account', account_variable(b.account)), NULL
        FROM entry e JOIN mapped m ON m.target = 'attribute'
        CROSS JOIN LATERAL (SELECT x.text FROM regexp_split_to_table(e.sent #>> '{}', '\n') x (text) WHERE starts_with(x.text, m.property || ': ') LIMIT 1) s
        LEFT JOIN LATERAL (SELECT x.text FROM regexp_split_to_table(e.held #>> '{}', '\r?\n') x (text) WHERE starts_with(x.text, m.property || ': ') LIMIT 1) h ON true
        WHERE extras IS NULL AND e.key = remark
    ), ruled AS MATERIALIZED (    -- the row of field_map whose condition holds, if it gives anything
        SELECT p.*, c.concept, c.rule AS engine, u.source_kind, u.source, u.steps, u.arguments, u.dictionary AS list, w.text, g.value,
               coalesce(CASE p.target WHEN 'order' THEN m.texts = p.told ELSE position('; ' || m.texts || ';' IN '; ' || p.told || ';') > 0 END, false) AS same,
               p.target <> 'order' AND position('; ' || n.name || ' from ' IN '; ' || p.told) > 0 AS named,
               coalesce(u.enabled AND (u.source_kind = 'function' OR u.default_value IS NOT NULL OR g.value IS NOT NULL), false) AS given
        FROM part p
        CROSS JOIN LATERAL (SELECT CASE WHEN EXISTS (SELECT FROM mapped q WHERE q.target = p.target AND q.property = p.property) THEN p.property ELSE regexp_replace(p.property, '_Type$', '') END AS name) n
        LEFT JOIN mapped m ON m.target = p.target AND m.property = n.name
        LEFT JOIN known c ON c.target = p.target AND c.property = p.property
        LEFT JOIN LATERAL (SELECT r.* FROM few(rules) r WHERE p.base IS NOT NULL AND r.target = p.target AND r.property = n.name AND (r.condition IS NULL OR jsonb_path_match(p.base, r.condition, p.vars, true)) ORDER BY r.rank LIMIT 1) u ON true
        LEFT JOIN words w ON w.target = u.target AND w.property = u.property AND w.rank = u.rank
        CROSS JOIN LATERAL (SELECT CASE WHEN u.steps IS NULL THEN s.raw ELSE transformed(u.steps, s.raw, u.arguments, u.parts, u.paths, p.base, p.vars) END AS value
                            FROM (SELECT CASE WHEN u.source_kind = 'constant' THEN to_jsonb(u.source)
                                              WHEN u.source_kind = 'path' THEN CASE WHEN u.gathers THEN nullif(jsonb_path_query_array(p.base, u.path, p.vars, true), '[]') ELSE jsonb_path_query_first(p.base, u.path, p.vars, true) END END AS raw OFFSET 0) s OFFSET 0) g
    ), said AS MATERIALIZED (
        SELECT r.*, r.same AND r.given AS counts,
               CASE WHEN r.same AND r.given THEN r.text
                    WHEN data IS NULL THEN CASE WHEN r.named OR r.target = 'order' THEN r.told ELSE coalesce(nullif(r.engine, ''), r.told) END
                    WHEN r.target = 'order' THEN CASE WHEN r.same THEN coalesce(nullif(r.engine, ''), r.told) ELSE r.told END
                    WHEN r.named AND NOT r.same THEN r.told
                    WHEN r.target = 'attribute' THEN 'kept as it was read from BAS'
                    ELSE coalesce(nullif(r.engine, ''), r.told) END AS rule
        FROM ruled r
    )
    SELECT s.section, s.line_no, s.property, s.sent, s.held, CASE WHEN s.rule <> 'kept as it was read from BAS' THEN s.version END, CASE WHEN pin.sku IS NOT NULL THEN 'product_pin' ELSE s.rule END,
           CASE WHEN s.counts THEN CASE s.source_kind WHEN 'path' THEN s.source END WHEN s.rule ~ '^[A-Za-z_][A-Za-z0-9_]*$' AND s.base ? s.rule THEN s.rule END,
           k.dictionary, k.crm_key, k.bas_key, CASE WHEN k.dictionary = 'product' THEN (SELECT q.name FROM bas_product q WHERE q.infobase = b.infobase AND q.sku = k.crm_key AND q.ref_key::text = s.sent #>> '{}')
               ELSE (SELECT d.name FROM dictionary_value d WHERE d.scope = b.infobase AND d.side = 'bas' AND d.dictionary = k.dictionary AND d.key = s.sent #>> '{}') END
    FROM said s
    LEFT JOIN product_pin pin ON s.target = 'order_line' AND s.concept IN ('product', 'characteristic') AND NOT s.counts AND pin.infobase = b.infobase AND pin.sku = s.sku AND s.sent #>> '{}' IN (pin.product::text, pin.characteristic::text)
    LEFT JOIN LATERAL (    -- the row of the dictionary it was looked up in
        SELECT s.list AS dictionary, coalesce(w.crm_key, json_text(s.value)) AS crm_key, w.bas_key FROM (SELECT) x LEFT JOIN LATERAL value_row(b.account, s.list, json_text(s.value)) w ON jsonb_typeof(s.value) <> 'object' WHERE s.counts AND s.list IS NOT NULL AND s.source_kind <> 'function'
        UNION ALL
        SELECT s.arguments ->> 'list', json_text(s.value), json_text(crm_name(b.account, s.arguments ->> 'list', s.value)) WHERE s.counts AND s.list IS NULL AND s.steps[cardinality(s.steps)] = 'named' AND jsonb_typeof(s.value) <> 'object'
        UNION ALL
        SELECT v.dictionary, CASE v.source WHEN 'header_rule' THEN (SELECT h.condition::text FROM crm_order o CROSS JOIN LATERAL header_rule_of(o, v.dictionary) h WHERE o.account = b.account AND o.order_id = b.order_id) ELSE (SELECT w.crm_key FROM value_row(b.account, v.dictionary, v.crm_key) w) END, v.bas_key
        FROM few(order_values(order_keys(b.account, b.order_id))) v
        WHERE s.target = 'order' AND NOT s.counts AND s.rule ~ '^(value_map|header_rule) ' AND v.dictionary = s.concept AND v.mapped AND starts_with(s.rule, v.source || ' ')
        UNION ALL
        SELECT 'status', w.crm_key, w.bas_key FROM order_sync y CROSS JOIN LATERAL value_row(b.account, 'status', y.crm_status) w WHERE s.target = 'order' AND s.concept = 'status' AND NOT s.counts AND y.account = b.account AND y.order_id = b.order_id
        UNION ALL
        SELECT s.concept, NULL, coalesce(to_jsonb(own) ->> s.concept, s.sent #>> '{}') WHERE s.target = 'order' AND NOT s.counts AND s.rule = 'account.' || s.concept AND s.concept IN ('organisation', 'warehouse', 'currency', 'price_type', 'agreement')
        UNION ALL
        SELECT s.concept, CASE s.concept WHEN 'product' THEN s.sku END, s.sent #>> '{}' WHERE s.target = 'order_line' AND NOT s.counts AND s.concept IN ('product', 'unit', 'vat_rate') LIMIT 1) k ON true;
END $$;
COMMENT ON FUNCTION lineage_rows(bas_order) IS 'For field_lineage: one row for each property of a document, its lines and its additional attributes';

CREATE VIEW field_lineage AS
    SELECT b.account, b.order_id, b.number, r.section, r.line_no, r.property, r.sent, r.held, r.version, r.rule, r.path, r.dictionary, r.crm_key, r.bas_key, r.element
    FROM bas_order b CROSS JOIN LATERAL lineage_rows(b) r;
COMMENT ON VIEW field_lineage IS 'Where every property of a document came from, also those of its lines, its additional attributes and its information records; ask for one order at a time';
COMMENT ON COLUMN field_lineage.account IS 'Account';
COMMENT ON COLUMN field_lineage.order_id IS 'Order number';
COMMENT ON COLUMN field_lineage.number IS 'Number of the document';
COMMENT ON COLUMN field_lineage.section IS 'Section the property is in: lines, or additional attributes (of a document without a place for these the register of information records, or its comment); NULL: the header';
COMMENT ON COLUMN field_lineage.line_no IS 'Line of the section';
COMMENT ON COLUMN field_lineage.property IS 'Property; of an additional attribute its name';
COMMENT ON COLUMN field_lineage.sent IS 'Value sent last';
COMMENT ON COLUMN field_lineage.held IS 'Value BAS held when it was read last';
COMMENT ON COLUMN field_lineage.version IS 'Version of the order that gave it; of a section the last that changed anything in it';
COMMENT ON COLUMN field_lineage.rule IS 'Rule that gave it: a row of field_map, else the rule of the profile, a setting, or a row of value_map or header_rule. Where field_map has been changed since, all rows of then that may have given it';
COMMENT ON COLUMN field_lineage.path IS 'Path in the order it was read from; of a line within its element of products. NULL: none, or several';
COMMENT ON COLUMN field_lineage.dictionary IS 'Dictionary it was looked up in';
COMMENT ON COLUMN field_lineage.crm_key IS 'Row of it that counted: key of value_map (* is every value), condition of header_rule, SKU of a product; else the value that was looked up';
COMMENT ON COLUMN field_lineage.bas_key IS 'What that row gives; of a setting its value; of a product its Ref_Key; else the name SalesDrive has for the value';
COMMENT ON COLUMN field_lineage.element IS 'Name of the element of BAS whose Ref_Key was sent';
