-- Purpose: tasks of kind goods: catalog, characteristics, kits, stock, prices and cost of a base, each read whole in parts and put in place at once.
-- Rights: the engine's role; load_goods() is for 'admin'.
--
-- Lists (catalog, characteristics, kits, packs): pages in the order of the code, else of the name. Each page begins with the last value of the one
--   before ("ge"), and skips those of that value that are known; its first row must be one of them, else that value is read anew. So nothing that was
--   there all the time is missed, whatever comes, goes or changes meanwhile. A page that brings nothing new and is not full is the end.
-- Registers (stock, prices, cost): the virtual table, by ranges of the codes of goods: (-∞, a), [a, b), … [z, ∞). They cover every good in any collation,
--   also one that the catalog does not know yet; what two of them answer counts once. A range whose answer is larger than infobase.max_answer is halved.
-- What was known and is in none of several pages or parts may have moved between them (its code was changed): it is asked for by its key before it
--   counts as gone; unless that is more than a thousand.
-- What is read waits in goods_page. An answer that is no list of rows, or lacks what was asked for, completes nothing.

CREATE FUNCTION goods_page_size() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 1000;
COMMENT ON FUNCTION goods_page_size() IS 'Elements of a list asked for in one page';

CREATE FUNCTION goods_part_size() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 20000;
COMMENT ON FUNCTION goods_part_size() IS 'Goods that one request to a register is for';

CREATE FUNCTION goods_entity(i infobase, what text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    free text := entity_set(i.profile, 'free_stock');
BEGIN
    RETURN CASE what WHEN 'catalog' THEN 'product' WHEN 'characteristics' THEN 'characteristic' WHEN 'kits' THEN 'kit' WHEN 'units' THEN 'pack' WHEN 'prices' THEN 'price' WHEN 'cost' THEN 'cost'
                     WHEN 'stock' THEN CASE WHEN free IS NULL OR EXISTS (SELECT FROM metadata_load l WHERE l.infobase = i.name) AND NOT publishes(i.name, free) THEN 'stock' ELSE 'free_stock' END END;
END $$;
COMMENT ON FUNCTION goods_entity(infobase, text) IS 'Entity of the profile that tells it; stock: the register that knows reserves, where the base has one';

CREATE FUNCTION goods_lists() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['catalog', 'characteristics', 'kits', 'units'];
COMMENT ON FUNCTION goods_lists() IS 'What is read in pages of a catalog; the rest are registers';

CREATE FUNCTION goods_gaps(profile text, entity text) RETURNS text[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN ARRAY(
        SELECT CASE WHEN n.concepts IS NULL THEN n.entity ELSE n.entity || '.' || n.concepts END
        FROM (VALUES (1, 'product', NULL), (2, 'product', 'article'), (3, 'product', 'code|name'), (1, 'characteristic', NULL), (2, 'characteristic', 'name'), (3, 'characteristic', 'owner'),
                     (1, 'kit', NULL), (2, 'kit', 'owner'), (3, 'kit', 'code|name'), (4, 'kit_row', NULL), (5, 'kit_row', 'product'), (6, 'kit_row', 'quantity'), (1, 'pack', NULL), (2, 'pack', 'code|name'), (3, 'pack', 'coefficient|numerator'),
                     (1, 'stock', NULL), (2, 'stock', 'product|extra_1'), (3, 'stock', 'quantity'), (1, 'free_stock', NULL), (2, 'free_stock', 'product'), (3, 'free_stock', 'quantity'),
                     (1, 'price', NULL), (2, 'price', 'price_type'), (3, 'price', 'product'), (4, 'price', 'price'), (1, 'cost', NULL), (2, 'cost', 'product|key|extra_1'), (3, 'cost', 'cost|sum'), (4, 'cost', 'cost|quantity')) n (place, entity, concepts)
        LEFT JOIN profile_resolved r ON r.profile = goods_gaps.profile AND r.entity = n.entity
        CROSS JOIN LATERAL string_to_array(n.concepts, '|') c
        WHERE (n.entity = goods_gaps.entity OR n.entity = 'kit_row' AND goods_gaps.entity = 'kit')
          AND (NOT coalesce(CASE WHEN c IS NULL THEN r.entity_set IS NOT NULL ELSE r.names ?| c END, false)
               OR EXISTS (SELECT FROM few(c) k WHERE r.rules ->> (r.names ->> k) LIKE '%to be verified%'))
        ORDER BY n.place);
END $$;
COMMENT ON FUNCTION goods_gaps(text, text) IS 'What must be known of an entity before goods are read from it, and a profile does not name, or marks "to be verified"';

-- The profile says that the configuration has no such thing: nothing is asked, and nothing is there.
CREATE FUNCTION goods_absent(profile text, entity text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM profile_entity_effective e WHERE e.profile = goods_absent.profile AND e.concept = goods_absent.entity AND e.entity_set IS NULL);
END $$;
COMMENT ON FUNCTION goods_absent(text, text) IS 'Whether the configuration is known to have no such set';

CREATE FUNCTION goods_hint(i infobase, what text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN CASE what
        WHEN 'kits' THEN 'Where does this base keep what kits are made of? Give profile_entity rows of origin user for kit (the catalog) and kit_row (its section), and profile_property rows for kit: owner, code, and kit_row: product, quantity. '
        WHEN 'characteristics' THEN 'Give profile_entity a row of origin user for characteristic (NULL as entity_set: the base has none), and profile_property rows for its owner and name. '
        WHEN 'stock' THEN 'Which register holds stock? Give profile_entity a row of origin user for stock, and profile_property rows for product, characteristic, warehouse, quantity. '
        WHEN 'prices' THEN 'Which register holds prices (with _RecordType at its end when documents write it)? Give profile_entity a row of origin user for price, and profile_property rows for price_type, product, price. '
        WHEN 'cost' THEN 'Which register tells the cost? Give profile_entity a row of origin user for cost, and profile_property rows for product, quantity and sum. '
        ELSE '' END
        || format('Names are in salesdrive.bas_property and bas_metadata after load_metadata(%L); a row of origin user with the same name and an empty rule confirms what is to be verified. Then it goes on by itself.', i.name);
END $$;
COMMENT ON FUNCTION goods_hint(infobase, text) IS 'What to do when a profile does not say where goods are';

-- Requests.

CREATE FUNCTION goods_order(names jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(names ->> 'code', names ->> 'name');
COMMENT ON FUNCTION goods_order(jsonb) IS 'Property that a list is read in the order of';

CREATE FUNCTION goods_any(field text, keys jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT '(' || string_agg(format('%s eq %s', field, odata_guid(k::uuid)), ' or ' ORDER BY k) || ')' FROM jsonb_array_elements_text(keys) k);
END $$;
COMMENT ON FUNCTION goods_any(text, jsonb) IS 'Condition that a reference is one of some keys; NULL: there are none';

CREATE FUNCTION goods_list_path(i infobase, entity text, s jsonb) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names jsonb := property_names(i.profile, entity);
    row   jsonb := CASE entity WHEN 'kit' THEN property_names(i.profile, 'kit_row') ELSE '{}' END;
    kept  text := (SELECT e.filter FROM profile_entity_effective e WHERE e.profile = i.profile AND e.concept = entity);
    value text := nullif(s ->> 'value', '');
    few_folders boolean := s ->> 'mode' = 'changes' AND (SELECT count(*) FROM bas_good g WHERE g.infobase = i.name AND g.is_folder) < goods_page_size() / 2;    -- a configuration need not tell when one changed
BEGIN
    RETURN entity_set(i.profile, entity) || '?$format=json&allowedOnly=true&$top=' || goods_page_size()
        || CASE WHEN (s ->> 'seen')::integer > 1 THEN '&$skip=' || (s ->> 'seen')::integer - 1 ELSE '' END
        || '&$select=' || url_encode((SELECT string_agg(c.name, ',' ORDER BY c.name) FROM (
               SELECT 'Ref_Key' UNION SELECT v FROM jsonb_each_text(names) n (k, v)
               UNION SELECT entity_set(i.profile, 'kit_row') || '/' || v FROM jsonb_each_text(row) n (k, v)) c (name)))
        || CASE s ->> 'mode' WHEN 'whole' THEN '&$orderby=' || url_encode(goods_order(names) || ',Ref_Key') ELSE '' END
        || odata_filter(nullif(concat_ws(' and ', '(' || kept || ')', CASE s ->> 'mode' WHEN 'check' THEN goods_any('Ref_Key', s -> 'keys') WHEN 'changes' THEN format('(%s ge datetime''%s''%s)', names ->> 'changed', s ->> 'from', CASE WHEN few_folders THEN ' or ' || (names ->> 'is_folder') || ' eq true' END)
                                                                                       ELSE goods_order(names) || ' ge ' || odata_text(value) END), ''));
END $$;
COMMENT ON FUNCTION goods_list_path(infobase, text, jsonb) IS 'The next page of a list, what has changed of the catalog, or (mode check) elements by their keys';

-- A property added to the profile is in no good read before, however long ago that one changed.
CREATE FUNCTION goods_form(i infobase, entity text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN md5(concat_ws(' ', goods_list_path(i, entity, whole_list()), property_names(i.profile, entity), profile_constant(i.profile, entity, 'stock_kind')));
END $$;
COMMENT ON FUNCTION goods_form(infobase, text) IS 'What a list is read as: set, properties and what each means, filter';

CREATE FUNCTION goods_call(i infobase, entity text, method text, arguments jsonb) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    brackets boolean := coalesce(profile_constant(i.profile, entity, 'call') = 'brackets', false);
    given    text := (SELECT string_agg(k || '=' || url_encode(odata_text(v)), CASE WHEN brackets THEN ',' ELSE '&' END ORDER BY k) FROM jsonb_each_text(arguments) a (k, v) WHERE v IS NOT NULL);
BEGIN
    RETURN entity_set(i.profile, entity) || '/' || method || CASE WHEN brackets THEN '(' || coalesce(given, '') || ')?$format=json' ELSE '?$format=json' || coalesce('&' || given, '') END;
END $$;
COMMENT ON FUNCTION goods_call(infobase, text, text, jsonb) IS 'Call of a virtual table; parameters as options of the address, or in brackets where a constant "call" of the profile says so';

CREATE FUNCTION goods_range(field text, code text, c jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN nullif(concat_ws(' and ', format('%s/%s ge ', field, code) || odata_text(c ->> 'from'), format('%s/%s lt ', field, code) || odata_text(c ->> 'to')), '');
COMMENT ON FUNCTION goods_range(text, text, jsonb) IS 'Condition that the code of a product, told by a reference, lies in a range; NULL: there is none';

CREATE FUNCTION goods_register_path(i infobase, entity text, part text, c jsonb) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names   jsonb := property_names(i.profile, entity);
    code    text := property_names(i.profile, 'product') ->> 'code';
    keys    jsonb := property_names(i.profile, 'cost_key');
    balance boolean := NOT names ?| ARRAY['price', 'cost'];
    field   text := regexp_replace(names ->> 'product', '_Key$', '');
    kept    text := (SELECT '(' || e.filter || ')' FROM profile_entity_effective e WHERE e.profile = i.profile AND e.concept = entity);
BEGIN
    IF c ->> 'step' = 'keys' THEN
        RETURN entity_set(i.profile, 'cost_key') || '?$format=json&allowedOnly=true&$select=' || url_encode(concat_ws(',', 'Ref_Key', keys ->> 'product', keys ->> 'characteristic'))
               || odata_filter(goods_range(regexp_replace(keys ->> 'product', '_Key$', ''), code, c));
    ELSIF names ? 'key' THEN
        field := regexp_replace(names ->> 'key', '_Key$', '') || '/' || regexp_replace(keys ->> 'product', '_Key$', '');
    END IF;
    RETURN goods_call(i, entity, CASE WHEN balance THEN 'Balance' ELSE 'SliceLast' END, jsonb_build_object(
               'Condition', nullif(concat_ws(' and ', kept, (names ->> 'price_type') || ' eq ' || odata_guid(nullif(part, '')::uuid), goods_range(field, code, c), goods_any(names ->> 'product', c -> 'keys')), ''),
               'Dimensions', CASE WHEN balance AND NOT names ? 'extra_1' THEN (SELECT string_agg(regexp_replace(names ->> k, '_Key$', ''), ',' ORDER BY n) FROM unnest(ARRAY['product', 'characteristic', 'warehouse']) WITH ORDINALITY u (k, n) WHERE names ? k) END,
               'AccountCondition', profile_constant(i.profile, entity, 'accounts')))
        || '&$select=' || url_encode((SELECT string_agg(v.name, ',' ORDER BY v.name) FROM (
               SELECT v FROM jsonb_each_text(names) n (k, v) UNION SELECT v || '_Type' FROM jsonb_each_text(names) n (k, v) WHERE k LIKE 'extra\_%' UNION SELECT 'Period' WHERE NOT balance) v (name)));
END $$;
COMMENT ON FUNCTION goods_register_path(infobase, text, text, jsonb) IS 'Request for a range of goods to the register of an entity; step keys: to the catalog of keys that the register of cost speaks of goods by';

-- Readings.

-- The codes of goods at the borders of parts. What the catalog does not know lies in a part, too.
CREATE FUNCTION goods_parts(i infobase, entity text, size integer) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_nestloop = off SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    names   jsonb := property_names(i.profile, entity);
    borders text[] := '{}';
    steps   text[] := CASE WHEN names ? 'key' THEN ARRAY['keys', 'rows'] ELSE ARRAY['rows'] END;
BEGIN
    IF property_names(i.profile, 'product') ? 'code' AND names ?| ARRAY['product', 'key'] THEN
        borders := ARRAY(SELECT DISTINCT g.code COLLATE "C" FROM (SELECT rtrim(g.code) AS code, row_number() OVER (ORDER BY g.code COLLATE "C") AS n
                                                                   FROM bas_good g WHERE g.infobase = i.name AND NOT g.is_folder AND rtrim(g.code) <> '') g
                         WHERE g.n % size = 0 ORDER BY 1);
    END IF;
    RETURN (SELECT jsonb_agg(jsonb_build_object('from', borders[n], 'to', borders[n + 1], 'step', steps[s]) ORDER BY n, s)
            FROM generate_series(0, cardinality(borders)) n, generate_series(1, cardinality(steps)) s);
END $$;
COMMENT ON FUNCTION goods_parts(infobase, text, integer) IS 'The parts that a register is read in: ranges of codes, of so many goods each';

CREATE FUNCTION whole_list() RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '{"mode": "whole", "value": "", "seen": 0, "lost": 0}'::jsonb;
COMMENT ON FUNCTION whole_list() IS 'Where the reading of a whole list begins';

CREATE FUNCTION begin_goods(i infobase, what text, part text, entity text) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    known   goods_snapshot;
    changed boolean := what = 'catalog' AND property_names(i.profile, 'product') ? 'changed';
    form    text := CASE WHEN what = ANY (goods_lists()) AND NOT goods_absent(i.profile, entity) THEN goods_form(i, entity) END;
    s       jsonb;
BEGIN
    SELECT * INTO known FROM goods_snapshot g WHERE g.infobase = i.name AND g.what = begin_goods.what AND g.part = begin_goods.part;
    IF known.up_to <> '' AND known.up_to::jsonb ->> 'entity' = entity AND known.up_to::jsonb ->> 'form' IS NOT DISTINCT FROM form AND known.asked_at > clock() - (CASE WHEN what = ANY (goods_lists()) THEN interval '1 day' ELSE interval '1 hour' END) THEN
        RETURN known.up_to::jsonb;
    END IF;
    IF NOT what = ANY (goods_lists()) THEN
        s := jsonb_build_object('todo', goods_parts(i, entity, coalesce(known.part_goods, goods_part_size())));
        s := s || jsonb_build_object('several', jsonb_array_length(s -> 'todo') > 1);
    ELSIF changed AND known.changes_from IS NOT NULL AND known.whole_at > clock() - interval '1 day' AND known.form = form THEN
        s := jsonb_build_object('mode', 'changes', 'from', to_char(known.changes_from, 'YYYY-MM-DD"T"HH24:MI:SS'));
    ELSE
        s := whole_list();
    END IF;
    s := s || jsonb_build_object('entity', entity, 'form', form);
    DELETE FROM goods_page p WHERE p.infobase = i.name AND p.what = begin_goods.what AND p.part = begin_goods.part;
    INSERT INTO goods_snapshot AS g (infobase, what, part, asked_at, up_to, changes_from) VALUES (i.name, begin_goods.what, begin_goods.part, clock(), s::text, CASE WHEN changed THEN clock() AT TIME ZONE 'UTC' - interval '1 day' END)
    ON CONFLICT ON CONSTRAINT goods_snapshot_pkey DO UPDATE SET asked_at = excluded.asked_at, up_to = excluded.up_to,
        changes_from = CASE WHEN s ->> 'mode' = 'changes' THEN g.changes_from ELSE excluded.changes_from END;    -- a day covers any clock
    RETURN s;
END $$;
COMMENT ON FUNCTION begin_goods(infobase, text, text, text) IS 'How far a reading is, begun where none is at work, or where that was left lying for too long';

CREATE FUNCTION forget_reading(infobase text, what text, part text) RETURNS void
    LANGUAGE sql SET search_path = salesdrive, pg_temp AS $$
    UPDATE goods_snapshot g SET up_to = '' WHERE g.infobase = forget_reading.infobase AND g.what = forget_reading.what AND g.part = forget_reading.part
$$;
COMMENT ON FUNCTION forget_reading(text, text, text) IS 'What a base has answered of a reading cannot be right: the next attempt begins anew. What was known stays';

CREATE FUNCTION goods_step(id bigint, i infobase, what text, part text) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    step   plan_step;
    entity text := goods_entity(i, what);
    gaps   text[];
    s      jsonb;
BEGIN
    step.task_id := id;
    step.creates := false;
    IF metadata_wanted(i.name) THEN
        step.step := 'wait'; step.reason := 'metadata'; step.detail := 'The $metadata of the base has to show which variant of its profile it is.'; step.blocked_on := format('metadata:%s:$metadata', i.name);
        RETURN step;
    ELSIF goods_absent(i.profile, entity) THEN
        PERFORM begin_goods(i, what, part, entity);
        RETURN goods_finish(id, i, what, part);
    END IF;
    gaps := goods_gaps(i.profile, entity);
    IF what = 'prices' AND part !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        step.step := 'park'; step.reason := 'setting'; step.detail := format('"%s" is no Ref_Key of a price type.', part); step.hint := 'Keys of this kind: prices/<Ref_Key of the price type>.';
    ELSIF gaps <> '{}' THEN
        step.step := 'park'; step.reason := 'setting'; step.blocked_on := format('profile:%s:', i.name);
        step.detail := format('To read %s, profile "%s" of infobase "%s" has to say what these are called, or somebody to confirm it: %s.', what, i.profile, i.name, array_to_string(gaps, ', '));
        step.hint := goods_hint(i, what);
    ELSIF what NOT IN ('catalog', 'units') AND NOT EXISTS (SELECT FROM goods_snapshot g WHERE g.infobase = i.name AND g.what = 'catalog' AND g.complete_at IS NOT NULL) THEN
        step.step := 'wait'; step.reason := 'catalog'; step.detail := 'The catalog is read first.'; step.blocked_on := format('goods:%s:catalog', i.name);
    ELSE
        s := begin_goods(i, what, part, entity);
        IF s -> 'todo' = '[]' AND NOT s ? 'vanished' THEN    -- all is read, and waited for packs
            RETURN goods_finish(id, i, what, part);
        END IF;
        step.step := 'request'; step.method := 'GET';
        step.memo := CASE WHEN s ? 'vanished' THEN jsonb_build_object('mode', 'check', 'keys', (SELECT jsonb_agg(k) FROM jsonb_path_query(s, '$.vanished[0 to 7]') k)) ELSE coalesce(s #> '{todo,0}', s) END || jsonb_build_object('entity', entity);
        step.purpose := 'read ' || CASE WHEN s ? 'vanished' THEN what || ' by key' WHEN s #>> '{todo,0,step}' = 'keys' THEN 'keys of cost' WHEN s ->> 'mode' = 'changes' THEN 'changes of the catalog' ELSE what END;
        step.path := CASE WHEN s ? 'todo' THEN goods_register_path(i, entity, part, step.memo) ELSE goods_list_path(i, entity, step.memo) END;
    END IF;
    RETURN step;
END $$;
COMMENT ON FUNCTION goods_step(bigint, infobase, text, text) IS 'The next step of a reading';

CREATE FUNCTION plan_goods(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT t.id, i, split_part(t.key, '/', 1) AS what, substr(t.key, length(split_part(t.key, '/', 1)) + 2) AS part
             FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t JOIN infobase i ON i.name = t.scope ORDER BY t.scope, t.key
    LOOP
        RETURN NEXT goods_step(r.id, r.i, r.what, r.part);
    END LOOP;
END $$;
COMMENT ON FUNCTION plan_goods(bigint[]) IS 'Plan of kind goods';

-- Answers.

CREATE FUNCTION goods_measures() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['quantity', 'quantity_credit', 'reserved', 'reserved_order', 'sum', 'cost', 'price', 'currency', 'active'];
COMMENT ON FUNCTION goods_measures() IS 'Concepts of a register that are no dimension of it';

CREATE FUNCTION keep_goods(i infobase, what text, part text, entity text, keys boolean, rows jsonb) RETURNS integer
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_nestloop = off SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    measures text[] := ARRAY(SELECT v FROM jsonb_each_text(property_names(i.profile, entity)) n (k, v) WHERE k = ANY (goods_measures())) || ARRAY['Period'];
    whole    boolean := property_names(i.profile, entity) ? 'extra_1';    -- in one part, by more dimensions than are asked for: each row counts
    fresh    integer;
BEGIN
    WITH kept AS (
        INSERT INTO goods_page AS p (infobase, what, part, key, data)
        SELECT DISTINCT ON (k.key) i.name, keep_goods.what, keep_goods.part, k.key, k.e
        FROM (SELECT CASE WHEN keys THEN 'key:' || (e ->> 'Ref_Key') WHEN keep_goods.what = ANY (goods_lists()) THEN e ->> 'Ref_Key' WHEN whole THEN n::text ELSE md5((e - measures)::text) END AS key, e FROM jsonb_array_elements(rows) WITH ORDINALITY a (e, n)) k
        ORDER BY k.key
        ON CONFLICT ON CONSTRAINT goods_page_pkey DO UPDATE SET data = excluded.data RETURNING xmax = 0 AS fresh
    )
    SELECT count(*) FILTER (WHERE k.fresh) INTO fresh FROM kept k;
    RETURN fresh;
END $$;
COMMENT ON FUNCTION keep_goods(infobase, text, text, text, boolean, jsonb) IS 'Keeps rows of a reading under way; returns how many of them are new';

CREATE FUNCTION goods_columns(i infobase, entity text, keys boolean) RETURNS text[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names jsonb := property_names(i.profile, CASE WHEN keys THEN 'cost_key' ELSE entity END);
    must  text[] := CASE WHEN keys THEN ARRAY['product'] ELSE CASE entity WHEN 'product' THEN ARRAY['article', 'deleted'] WHEN 'characteristic' THEN ARRAY['owner'] WHEN 'kit' THEN ARRAY['owner'] WHEN 'pack' THEN ARRAY['coefficient', 'numerator']
                                              ELSE ARRAY['product', 'key', 'extra_1', 'warehouse', 'quantity', 'reserved', 'sum', 'cost', 'price', 'unit'] END END;
BEGIN
    RETURN ARRAY(SELECT names ->> k FROM few(must) k WHERE names ? k) || CASE WHEN keys OR entity IN ('product', 'characteristic', 'kit', 'pack') THEN ARRAY['Ref_Key'] ELSE '{}' END
           || CASE entity WHEN 'kit' THEN ARRAY[entity_set(i.profile, 'kit_row')] ELSE '{}' END;
END $$;
COMMENT ON FUNCTION goods_columns(infobase, text, boolean) IS 'Properties without which an answered row counts for nothing';

-- Answers: the next state of the list, or NULL when it is read to its end.
CREATE FUNCTION next_page(names jsonb, s jsonb, rows jsonb, known boolean, fresh integer) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    n     integer := jsonb_array_length(rows);
    field text := goods_order(names);
    last  text := rtrim(coalesce(rows -> -1 ->> field, ''));
    first text := folded_name(rtrim(coalesce(rows -> 0 ->> field, '')));
    same  integer;
BEGIN
    IF NOT known THEN    -- rows of this value went meanwhile: it is read anew
        RETURN s || jsonb_build_object('seen', 0, 'lost', (s ->> 'lost')::integer + 1);
    ELSIF n < goods_page_size() AND fresh = 0 THEN
        RETURN NULL;
    END IF;
    IF first = folded_name(last) AND folded_name(last) = folded_name(s ->> 'value') THEN
        same := greatest((s ->> 'seen')::integer - 1, 0) + n;
    ELSE
        SELECT count(*) INTO same FROM jsonb_array_elements(rows) e WHERE folded_name(rtrim(coalesce(e ->> field, ''))) = folded_name(last);
    END IF;
    RETURN s || jsonb_build_object('value', last, 'seen', same, 'again', CASE fresh WHEN 0 THEN coalesce((s ->> 'again')::integer, 0) + 1 ELSE 0 END);
END $$;
COMMENT ON FUNCTION next_page(jsonb, jsonb, jsonb, boolean, integer) IS 'Where a list goes on after a page: at the last value, behind the rows of it that are known; NULL: it is read to its end';

CREATE FUNCTION goods_park(id bigint, detail text, hint text) RETURNS plan_step
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ROW(id, 'park', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'business', detail, hint, NULL)::plan_step;
COMMENT ON FUNCTION goods_park(bigint, text, text) IS 'Step that parks a reading';

CREATE FUNCTION goods_again(id bigint) RETURNS plan_step
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ROW(id, 'again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
COMMENT ON FUNCTION goods_again(bigint) IS 'Step that goes on with a reading';

CREATE FUNCTION vanished_goods(i infobase, what text, part text) RETURNS uuid[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_nestloop = off SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    named text := CASE WHEN what = ANY (goods_lists()) THEN 'Ref_Key' ELSE property_names(i.profile, goods_entity(i, what)) ->> 'product' END;
BEGIN
    RETURN ARRAY(
        SELECT DISTINCT k.key FROM (
            SELECT g.ref_key AS key FROM bas_good g WHERE what = 'catalog' AND g.infobase = i.name
            UNION ALL SELECT c.ref_key FROM bas_characteristic c WHERE what = 'characteristics' AND c.infobase = i.name
            UNION ALL SELECT t.product FROM bas_stock t WHERE what = 'stock' AND t.infobase = i.name
            UNION ALL SELECT p.product FROM bas_price p WHERE what = 'prices' AND p.infobase = i.name AND p.price_type::text = part) k
        WHERE NOT EXISTS (SELECT FROM (SELECT p.data ->> named AS key FROM goods_page p WHERE p.infobase = i.name AND p.what = vanished_goods.what AND p.part = vanished_goods.part OFFSET 0) p WHERE p.key = k.key::text)
        ORDER BY 1 LIMIT 1001);
END $$;
COMMENT ON FUNCTION vanished_goods(infobase, text, text) IS 'What was known, and is in nothing that was read this time';

CREATE FUNCTION goods_check(id bigint, i infobase, what text, part text, several boolean) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    gone uuid[] := CASE WHEN several THEN vanished_goods(i, what, part) ELSE '{}' END;
BEGIN
    IF cardinality(gone) BETWEEN 1 AND 1000 AND EXISTS (SELECT FROM goods_page p WHERE p.infobase = i.name AND p.what = goods_check.what AND p.part = goods_check.part) THEN
        UPDATE goods_snapshot g SET up_to = (g.up_to::jsonb || jsonb_build_object('vanished', to_jsonb(gone)))::text WHERE g.infobase = i.name AND g.what = goods_check.what AND g.part = goods_check.part;
        RETURN goods_again(id);
    END IF;
    RETURN goods_finish(id, i, what, part);
END $$;
COMMENT ON FUNCTION goods_check(bigint, infobase, text, text, boolean) IS 'All pages, or parts, are read: what was known and is in none of several is asked for by its key first';

CREATE FUNCTION goods_checked(id bigint, i infobase, what text, part text) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s    jsonb := (SELECT g.up_to::jsonb FROM goods_snapshot g WHERE g.infobase = i.name AND g.what = goods_checked.what AND g.part = goods_checked.part);
    gone jsonb := (SELECT jsonb_agg(k ORDER BY n) FROM jsonb_array_elements(s -> 'vanished') WITH ORDINALITY v (k, n) WHERE n > 8);
BEGIN
    UPDATE goods_snapshot g SET up_to = CASE WHEN gone IS NULL THEN s - 'vanished' ELSE s || jsonb_build_object('vanished', gone) END::text WHERE g.infobase = i.name AND g.what = goods_checked.what AND g.part = goods_checked.part;
    RETURN CASE WHEN gone IS NULL THEN goods_finish(id, i, what, part) ELSE goods_again(id) END;
END $$;
COMMENT ON FUNCTION goods_checked(bigint, infobase, text, text) IS 'Eight of those asked for by key are answered';

CREATE FUNCTION settle_goods_list(id bigint, i infobase, what text, s jsonb, rows jsonb) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    entity text := goods_entity(i, what);
    names  jsonb := property_names(i.profile, entity);
    known  boolean := s ->> 'mode' <> 'whole' OR coalesce((s ->> 'seen')::integer, 0) <= 1 OR EXISTS (SELECT FROM goods_page p WHERE p.infobase = i.name AND p.what = settle_goods_list.what AND p.part = '' AND p.key = rows -> 0 ->> 'Ref_Key');
    n      integer := jsonb_array_length(rows);
    fresh  integer := keep_goods(i, what, '', entity, false, rows);
    next   jsonb;
    kept   bigint;
BEGIN
    IF s ->> 'mode' = 'check' THEN
        RETURN goods_checked(id, i, what, '');
    ELSIF s ->> 'mode' = 'changes' THEN
        IF n < goods_page_size() THEN
            RETURN goods_finish(id, i, what, '', whole => false);
        END IF;
        next := whole_list() || jsonb_build_object('entity', entity, 'form', s ->> 'form');    -- so many that all are read
        DELETE FROM goods_page p WHERE p.infobase = i.name AND p.what = settle_goods_list.what;
        UPDATE goods_snapshot g SET changes_from = clock() AT TIME ZONE 'UTC' - interval '1 day' WHERE g.infobase = i.name AND g.what = settle_goods_list.what;
    ELSE
        next := next_page(names, s, rows, known, fresh);
        IF next IS NULL OR fresh = 0 THEN
            SELECT count(*) INTO kept FROM goods_page p WHERE p.infobase = i.name AND p.what = settle_goods_list.what;
        END IF;
        IF next IS NULL THEN
            RETURN goods_check(id, i, what, '', kept >= goods_page_size());
        ELSIF known AND fresh = 0 AND ((s ->> 'lost')::integer = 0 OR (next ->> 'again')::integer > 1 + kept / goods_page_size()) THEN    -- what is read anew is known
            PERFORM forget_reading(i.name, what, '');
            RETURN goods_park(id, format('The base answers with the elements of %s after "%s" once more.', entity_set(i.profile, entity), s ->> 'value'), 'Does something before it drop options of the address ($orderby, $skip, $filter)? exchange_log has the request.');
        ELSIF (next ->> 'lost')::integer > 20 THEN
            PERFORM forget_reading(i.name, what, '');
            RETURN goods_park(id, format('The elements of %s with "%s" come in another order each time.', entity_set(i.profile, entity), s ->> 'value'), format('Too many elements have the same %s. Give profile_property a row of origin user that orders %s by another property as concept code.', goods_order(names), entity));
        END IF;
    END IF;
    UPDATE goods_snapshot g SET up_to = next::text WHERE g.infobase = i.name AND g.what = settle_goods_list.what AND g.part = '';
    RETURN goods_again(id);
END $$;
COMMENT ON FUNCTION settle_goods_list(bigint, infobase, text, jsonb, jsonb) IS 'Takes in a page of a list';

CREATE FUNCTION settle_goods_register(id bigint, i infobase, what text, part text, memo jsonb, rows jsonb) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s    jsonb := (SELECT g.up_to::jsonb FROM goods_snapshot g WHERE g.infobase = i.name AND g.what = settle_goods_register.what AND g.part = settle_goods_register.part);
    todo jsonb := (s -> 'todo') - 0;
BEGIN
    PERFORM keep_goods(i, what, part, goods_entity(i, what), memo ->> 'step' = 'keys', rows);
    IF memo ->> 'mode' = 'check' THEN
        RETURN goods_checked(id, i, what, part);
    END IF;
    UPDATE goods_snapshot g SET up_to = (s || jsonb_build_object('todo', todo))::text WHERE g.infobase = i.name AND g.what = settle_goods_register.what AND g.part = settle_goods_register.part;
    IF todo = '[]' THEN
        RETURN goods_check(id, i, what, part, (s ->> 'several')::boolean);
    END IF;
    RETURN goods_again(id);
END $$;
COMMENT ON FUNCTION settle_goods_register(bigint, infobase, text, text, jsonb, jsonb) IS 'Takes in a part of a register';

CREATE FUNCTION halve_goods(id bigint, i infobase, what text, part text) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    todo   jsonb;
    c      jsonb;
    goods  bigint;
    middle text;
    size   integer;
BEGIN
    SELECT g.up_to::jsonb -> 'todo', g.part_goods INTO todo, size FROM goods_snapshot g WHERE g.infobase = i.name AND g.what = halve_goods.what AND g.part = halve_goods.part;
    c := todo -> 0;
    IF c IS NOT NULL AND property_names(i.profile, 'product') ? 'code' AND property_names(i.profile, goods_entity(i, what)) ?| ARRAY['product', 'key'] THEN
        SELECT count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY rtrim(g.code) COLLATE "C") INTO goods, middle FROM bas_good g
        WHERE g.infobase = i.name AND NOT g.is_folder AND rtrim(g.code) <> '' AND (c ->> 'from' IS NULL OR g.code COLLATE "C" > c ->> 'from') AND (c ->> 'to' IS NULL OR g.code COLLATE "C" < c ->> 'to');
    END IF;
    IF middle IS NULL OR middle IS NOT DISTINCT FROM c ->> 'from' THEN
        RETURN goods_park(id, format('One answer with %s is larger than infobase.max_answer (%s bytes), and cannot be asked for in smaller parts.', what, i.max_answer), format('UPDATE salesdrive.infobase SET max_answer = %s WHERE name = %L; then resume(%s).', least(i.max_answer::bigint * 4, 268435456), i.name, id));
    END IF;
    UPDATE goods_snapshot g SET part_goods = greatest(goods / 2, 1), up_to = (g.up_to::jsonb || jsonb_build_object('several', true, 'todo', jsonb_build_array(c || jsonb_build_object('to', middle), c || jsonb_build_object('from', middle)) || (todo - 0)))::text
    WHERE g.infobase = i.name AND g.what = halve_goods.what AND g.part = halve_goods.part;
    RETURN goods_again(id);
END $$;
COMMENT ON FUNCTION halve_goods(bigint, infobase, text, text) IS 'An answer was larger than what is taken: its range is asked for in two halves, and later readings in parts of that size';

CREATE FUNCTION settle_goods(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r    record;
    rows jsonb;
    lack text;
    keys boolean;
BEGIN
    FOR r IN SELECT u.task_id, u.class, u.error, u.http_status, u.odata_code, u.odata_message, u.url, u::http_result AS result, i, t.memo, t.purpose,
                    split_part(t.key, '/', 1) AS what, substr(t.key, length(split_part(t.key, '/', 1)) + 2) AS part
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = t.scope WHERE u.class IN ('ok', 'business') ORDER BY t.scope, t.key
    LOOP
        IF r.memo ->> 'entity' IS DISTINCT FROM goods_entity(r.i, r.what) THEN    -- $metadata was read meanwhile: begun anew
            RETURN NEXT goods_again(r.task_id);
            CONTINUE;
        ELSIF r.class = 'business' AND answer_too_large(r.result) THEN
            RETURN NEXT halve_goods(r.task_id, r.i, r.what, r.part);
            CONTINUE;
        ELSIF r.class = 'business' THEN
            RETURN NEXT goods_park(r.task_id, format('The base refuses to %s: %s', r.purpose, concat_ws(', ', r.http_status::text, 'BAS code ' || r.odata_code, r.odata_message, r.error)),
                CASE r.odata_code WHEN '8' THEN 'Is the set published? Add it to the composition of the standard OData interface, or name another in profile_entity (origin user), then call resume(). '
                                  WHEN '20' THEN 'Give the user of the exchange the right to read it in BAS, then call resume(). '
                                  ELSE 'Compare the names with salesdrive.profile_difference after load_metadata(); a base that wants the parameters of virtual tables in brackets needs the constant ''"brackets"'' as concept call of the entity in profile_property (origin user). Then call resume(). ' END || r.url);
            CONTINUE;
        END IF;
        keys := coalesce(r.memo ->> 'step' = 'keys', false);
        rows := result_json(r.result) -> 'value';
        SELECT c INTO lack FROM few(goods_columns(r.i, goods_entity(r.i, r.what), keys)) c
        WHERE EXISTS (SELECT FROM jsonb_array_elements(rows) e WHERE coalesce(e -> c, 'null') = 'null' AND NOT json_flag(e -> 'IsFolder')) LIMIT 1;    -- folders have few properties
        IF lack IS NOT NULL THEN
            RETURN NEXT goods_park(r.task_id, format('The base was asked to %s, and answers rows without "%s".', r.purpose, lack), 'What was read before stays as it is. exchange_log shows how the answer begins; mend the name in profile_property (origin user), then call resume().');
        ELSIF r.what = ANY (goods_lists()) THEN
            RETURN NEXT settle_goods_list(r.task_id, r.i, r.what, r.memo, rows);
        ELSE
            RETURN NEXT settle_goods_register(r.task_id, r.i, r.what, r.part, r.memo, rows);
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_goods(http_result[]) IS 'Settle of kind goods';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, total_timeout) VALUES ('goods', 'shipped', 'salesdrive.plan_goods', 'salesdrive.settle_goods', '5 min');

CREATE FUNCTION goods_key_problem(key text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN key NOT IN ('catalog', 'characteristics', 'kits', 'stock', 'cost', 'units') AND key !~ '^prices/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN format('goods are not read by "%s"', key) END;
COMMENT ON FUNCTION goods_key_problem(text) IS 'Why a task of kind goods cannot have this key; NULL: it can';

CREATE FUNCTION load_goods(infobase text, what text DEFAULT 'catalog', whole boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    i infobase := require_infobase(load_goods.infobase);
BEGIN
    IF whole THEN
        PERFORM hold_tasks(ARRAY[i.name], ARRAY['goods'], ARRAY['catalog']);
        UPDATE goods_snapshot s SET whole_at = NULL WHERE s.infobase = i.name AND s.what = 'catalog' AND load_goods.what = 'catalog';
        PERFORM forget_reading(i.name, split_part(what, '/', 1), split_part(what, '/', 2));
    END IF;
    RETURN enqueue(i.name, 'goods', what, i.name, 3::smallint);
END $$;
COMMENT ON FUNCTION load_goods(text, text, boolean) IS 'Has goods of a base read: catalog (where the configuration tells what changed, that alone, once a day all), characteristics, kits, stock, cost, or prices/<Ref_Key of the price type>; returns the task';
