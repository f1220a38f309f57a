-- Purpose: tasks of kind dictionary: read a small catalog of a base (organisations, currencies, warehouses …) whole.
-- Rights: the engine's role.

CREATE FUNCTION odata_filter(condition text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce('&$filter=' || url_encode(condition), '');
COMMENT ON FUNCTION odata_filter(text) IS 'The $filter option of an OData address, encoded; nothing for NULL';

CREATE FUNCTION odata_text(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '''' || replace(value, '''', '''''') || '''';
COMMENT ON FUNCTION odata_text(text) IS 'A text literal of OData: quotes doubled';

CREATE FUNCTION odata_guid(value uuid) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 'guid''' || value || '''';
COMMENT ON FUNCTION odata_guid(uuid) IS 'A guid literal of OData';

CREATE FUNCTION nil_free(value text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN nullif(nullif(btrim(value), ''), '00000000-0000-0000-0000-000000000000')::uuid;
COMMENT ON FUNCTION nil_free(text) IS 'A reference as BAS writes it; the empty one is NULL';

CREATE FUNCTION result_json(result http_result) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN result.body_is_json THEN body_json(result.body) END;
COMMENT ON FUNCTION result_json(http_result) IS 'Body of an answer as JSON; NULL when it is not';

CREATE FUNCTION result_rows(result http_result) RETURNS SETOF jsonb
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT e FROM jsonb_array_elements(CASE jsonb_typeof(result_json(result) -> 'value') WHEN 'array' THEN result_json(result) -> 'value' ELSE '[]' END) e;
END $$;
COMMENT ON FUNCTION result_rows(http_result) IS 'Elements of a list that BAS answered';

CREATE FUNCTION answers_read(url text, body jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    address text := split_part(url, '?', 1);
BEGIN
    RETURN CASE WHEN address LIKE '%/$count' THEN jsonb_typeof(body) = 'number'
                WHEN jsonb_typeof(body) <> 'object' THEN false
                ELSE coalesce(jsonb_typeof(body -> 'value') = 'array', false) OR address LIKE '%)' AND address !~ '/(Balance|SliceLast)\([^/]*$' AND body ?| ARRAY['Ref_Key', 'odata.metadata'] END;
END $$;
COMMENT ON FUNCTION answers_read(text, jsonb) IS 'Whether a body is what BAS answers to a reading: a list, or for a single key its object, or a count';

-- Absence must be said by BAS: a 200 of something before it ({"status": "maintenance"}) says nothing of what is in the base.
CREATE FUNCTION proper_answers(results http_result[]) RETURNS http_result[]
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r http_result;
    n integer := 0;
BEGIN
    FOREACH r IN ARRAY results LOOP
        n := n + 1;
        IF r.class = 'ok' AND r.method = 'GET' AND r.target NOT LIKE 'account:%' AND r.url NOT LIKE '%/$metadata' AND answers_read(r.url, result_json(r)) IS NOT TRUE THEN
            r.class := 'transient';
            r.error := 'The answer is not one of BAS: it holds neither a list nor the object asked for.';
            results[n] := r;
        END IF;
    END LOOP;
    RETURN results;
END $$;
COMMENT ON FUNCTION proper_answers(http_result[]) IS 'Answers as they came, but a reading answered with other JSON than BAS would write counts as not answered (transient)';

CREATE FUNCTION dictionaries() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['organisation', 'currency', 'warehouse', 'price_type', 'agreement', 'vat_rate', 'contact_kind', 'partner_contact_kind'];
COMMENT ON FUNCTION dictionaries() IS 'Names of the lists of a base without which no document is made';

CREATE FUNCTION value_dictionaries() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['status', 'payment_method', 'shipping_method', 'source', 'site', 'manager', 'order_type', 'unit'];
COMMENT ON FUNCTION value_dictionaries() IS 'Names of the lists that a base may have besides, where its profile names a set for them: values of orders, and units of pins, are checked and suggested by them';

CREATE FUNCTION payment_dictionaries() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['bank_account', 'cash_desk'];
COMMENT ON FUNCTION payment_dictionaries() IS 'Names of the lists of a base that rows of payment_rule name elements of: read when the first payment needs them';

CREATE FUNCTION answer_too_large(result http_result) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(result.error LIKE 'the answer is larger than the limit of %', false);
COMMENT ON FUNCTION answer_too_large(http_result) IS 'Whether the client took no answer because it is larger than max_answer';

-- A list that no document needs, and that is not published or not allowed, must not stop the base.
CREATE FUNCTION optional_answers(results http_result[]) RETURNS http_result[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM few(results) u WHERE u.class IN ('config', 'denied', 'transient')) THEN
        RETURN results;
    END IF;
    FOR n IN 1 .. cardinality(results) LOOP
        IF (results[n]).class IN ('config', 'denied') AND (results[n]).odata_code IN ('8', '20')
           AND EXISTS (SELECT FROM task_of((results[n]).task_id) t WHERE t.kind = 'dictionary' AND t.key <> ALL (dictionaries()) OR t.kind = 'statuses' AND t.key = 'states' OR t.kind IN ('attribute', 'attribute_set', 'order_record', 'followup', 'bas_payments') OR t.kind = 'payment' AND (results[n]).odata_code = '8') THEN
            results[n].class := 'business';
        ELSIF ((results[n]).class IN ('config', 'denied') AND ((results[n]).odata_code IS NOT NULL OR (results[n]).http_status IN (403, 404, 413, 414))
               OR (results[n]).class = 'transient' AND answer_too_large(results[n]))
              AND EXISTS (SELECT FROM task_of((results[n]).task_id) t WHERE t.kind = 'goods') THEN    -- orders go on without
            results[n].class := 'business';
        END IF;
    END LOOP;
    RETURN results;
END $$;
COMMENT ON FUNCTION optional_answers(http_result[]) IS 'Answers as they came, but a list beyond dictionaries(), additional attributes, information records, documents that follow orders, payment documents, a register of states or goods, that the base does not publish, or hides, is refused alone and pauses nothing; so is an answer with goods that is too large';

CREATE FUNCTION plan_dictionary(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT t.id, CASE WHEN e.entity_set IS NULL THEN 'done' ELSE 'request' END, 'read ' || t.key, 'GET',
           e.entity_set || '?$format=json&allowedOnly=true' || odata_filter(CASE t.key WHEN 'attribute' THEN attribute_filter(t.scope) ELSE e.filter END), NULL::jsonb, NULL::jsonb, false, NULL::timestamptz, NULL::text, NULL::text, NULL::text, NULL::text
    FROM task t JOIN infobase i ON i.name = t.scope
    LEFT JOIN profile_entity_effective e ON e.profile = i.profile AND e.concept = t.key
    WHERE t.id = ANY (tasks);
END $$;
COMMENT ON FUNCTION plan_dictionary(bigint[]) IS 'Plan of kind dictionary: one reading of the whole set';

CREATE FUNCTION settle_dictionary(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
    names jsonb;
BEGIN
    FOR r IN SELECT u.task_id, t.scope, t.key, i.profile, u::http_result AS result
             FROM few(results) u JOIN task t ON t.id = u.task_id JOIN infobase i ON i.name = t.scope WHERE u.class = 'ok' ORDER BY t.key
    LOOP
        names := property_names(r.profile, r.key);
        DELETE FROM dictionary_value WHERE scope = r.scope AND side = 'bas' AND dictionary = r.key;
        INSERT INTO dictionary_value (scope, side, dictionary, key, name, code, attributes)
        SELECT DISTINCT ON (e ->> 'Ref_Key') r.scope, 'bas', r.key, e ->> 'Ref_Key', btrim(e ->> coalesce(names ->> 'name', 'Description')), btrim(e ->> coalesce(names ->> 'code', 'Code')), e
        FROM result_rows(r.result) e
        WHERE e ->> 'Ref_Key' IS NOT NULL AND NOT json_flag(e -> coalesce(names ->> 'deleted', 'DeletionMark')) AND NOT json_flag(e -> 'IsFolder');
        INSERT INTO dictionary_load VALUES (r.scope, r.key, clock())
        ON CONFLICT (infobase, dictionary) DO UPDATE SET loaded_at = excluded.loaded_at;
        RETURN NEXT ROW(r.task_id, 'done', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_dictionary(http_result[]) IS 'Settle of kind dictionary: replaces what was known';
INSERT INTO task_kind VALUES ('dictionary', 'shipped', 'salesdrive.plan_dictionary', 'salesdrive.settle_dictionary');

-- Called with the plan of orders: a base that no order goes to is not asked. While it is read, what was read before counts; one that failed stays asked for.
CREATE FUNCTION refresh_dictionaries(infobases text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    old dictionary_load[] := ARRAY(SELECT l FROM few(infobases) n JOIN infobase i ON i.name = n JOIN dictionary_load l ON l.infobase = i.name
                                   WHERE l.loaded_at < clock() - i.dictionary_age
                                     AND NOT EXISTS (SELECT FROM task t WHERE t.scope = l.infobase AND t.kind = 'dictionary' AND t.key = l.dictionary));
BEGIN
    IF old <> '{}' THEN
        INSERT INTO task (scope, kind, key, infobase, lane) SELECT l.infobase, 'dictionary', l.dictionary, l.infobase, 3 FROM few(old) l ORDER BY 1, 3 ON CONFLICT DO NOTHING;
    END IF;
    IF EXISTS (SELECT FROM crm_dictionary_load) THEN
        PERFORM refresh_crm_dictionaries(infobases);
    END IF;
END $$;
COMMENT ON FUNCTION refresh_dictionaries(text[]) IS 'Has those lists of the bases, and of the accounts that send to them, read again that are older than dictionary_age of infobase and account_api';
