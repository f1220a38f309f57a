-- Purpose: asks the peers of an account now, in the session of the caller: for check() and test_connection().
-- Rights: 'operator'. ask_peers() runs as the owner of the extension, since it needs the secrets, and makes up its requests itself: readings only,
-- of sets and properties that the profile names.

CREATE TYPE peer_answer AS (
    subject     text,
    entity      text,
    address     text,
    http_status integer,
    class       text,
    said        text,
    odata_code  text,
    ms          double precision,
    rows        integer,
    names       text[]
);
COMMENT ON TYPE peer_answer IS 'What a peer answered to one question of check()';
COMMENT ON COLUMN peer_answer.subject IS 'infobase or account, and its name';
COMMENT ON COLUMN peer_answer.entity IS 'Concept of the entity read, or option and the name of a setting of the account; NULL: the list of what is published, or SalesDrive';
COMMENT ON COLUMN peer_answer.address IS 'What was asked for';
COMMENT ON COLUMN peer_answer.http_status IS 'Status; NULL when no answer came';
COMMENT ON COLUMN peer_answer.class IS 'As in exchange_log; NULL when it did not end in time';
COMMENT ON COLUMN peer_answer.said IS 'Words of the peer, or of the network';
COMMENT ON COLUMN peer_answer.odata_code IS 'Code of an error of BAS';
COMMENT ON COLUMN peer_answer.ms IS 'Milliseconds it took';
COMMENT ON COLUMN peer_answer.rows IS 'Elements in the answer';
COMMENT ON COLUMN peer_answer.names IS 'Entity sets published, in answer to the first question';

CREATE FUNCTION profile_sets(profile text) RETURNS TABLE (entity text, set text, filter text, properties text[])
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT e.concept, CASE WHEN e.concept IN ('order_line', 'attribute_row') THEN entity_set(profile_sets.profile, 'order') || '_' || e.entity_set ELSE e.entity_set END, e.filter,
           ARRAY(SELECT DISTINCT p.property FROM profile_property_effective p
                 WHERE p.profile = e.profile AND p.entity = CASE WHEN e.concept IN ('counterparty_contact', 'partner_contact') THEN 'contact_row' ELSE e.concept END AND p.property IS NOT NULL ORDER BY 1)
    FROM profile_entity_effective e
    WHERE e.profile = profile_sets.profile AND e.entity_set IS NOT NULL AND e.concept NOT IN ('contact_row', 'contact_information', 'attribute_set', 'attribute_set_row')    -- read as counterparty_contact, and contact_kind
      AND CASE WHEN e.concept IN ('attribute', 'attribute_row')    -- needed where one is mapped
               THEN EXISTS (SELECT FROM infobase i JOIN account a ON a.infobase = i.name JOIN field_map f ON f.account IN (a.name, '*') AND (f.profile = '*' OR f.profile IN (SELECT w.source FROM profile_line w WHERE w.profile = i.profile))
                            WHERE i.profile = e.profile AND f.target = 'attribute' AND f.enabled AND (f.origin = 'user' OR EXISTS (SELECT FROM bas_attribute b WHERE b.infobase = i.name))
                              AND attribute_way(i.name) IN ('section', 'record'))
               ELSE e.needed END;
END $$;
COMMENT ON FUNCTION profile_sets(text) IS 'Entity sets a profile uses, sections of documents as the sets BAS publishes for them, with their properties';

CREATE FUNCTION account_options(a account) RETURNS TABLE (option text, value text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 4
BEGIN ATOMIC
    SELECT o.option, o.value FROM (VALUES ('fixed_counterparty', CASE a.counterparty_mode WHEN 'fixed' THEN a.fixed_counterparty::text END), ('delivery_sku', CASE WHEN a.delivery_line <> 'none' THEN a.delivery_sku END),
        ('substitute_sku', CASE a.unknown_sku WHEN 'substitute' THEN a.substitute_sku END), ('template_sku', CASE a.unknown_sku WHEN 'create' THEN a.template_sku END)) o (option, value)
    WHERE o.value IS NOT NULL;
END;
COMMENT ON FUNCTION account_options(account) IS 'Options of an account that name one element of the base, where they count';

CREATE FUNCTION peer_questions(a account, i infobase, all_sets boolean) RETURNS TABLE (n bigint, subject text, entity text, request http_request)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    patience integer := least(extract(epoch FROM i.total_timeout) * 1000, 14000);
BEGIN
    RETURN QUERY
    SELECT row_number() OVER (ORDER BY q.rank, q.entity), q.subject, q.entity,
           ROW(row_number() OVER (ORDER BY q.rank, q.entity), 1, q.subject, 'GET', q.url, NULL, q.username, q.password, q.headers,
               least(extract(epoch FROM i.connect_timeout) * 1000, 14000)::integer, patience, i.max_answer, least(i.max_connections, 2), q.ca_file, q.allow_http, NULL, NULL)::http_request
    FROM (
        SELECT 1 AS rank, 'infobase ' || i.name AS subject, NULL AS entity, i.url || '/odata/standard.odata/?$format=json' AS url,
               i.username, secret('infobase:' || i.name || ':password') AS password, NULL::text[] AS headers, i.ca_file, i.allow_http
        UNION ALL
        SELECT 2, 'account ' || a.name, NULL, a.url || '/api/statuses/', NULL, NULL, ARRAY['X-Api-Key: ' || secret('account:' || a.name || ':api_key')], NULL, false
        UNION ALL
        SELECT 3, 'infobase ' || i.name, s.entity, i.url || '/odata/standard.odata/' || url_path(s.set || '?$format=json&allowedOnly=true&$top=1&$select=' || url_encode(concat_ws(',', 'Ref_Key', nullif(array_to_string(s.properties, ','), ''))))
               || odata_filter(s.filter), i.username, secret('infobase:' || i.name || ':password'), NULL, i.ca_file, i.allow_http
        FROM profile_sets(i.profile) s WHERE all_sets
        UNION ALL
        SELECT 4, 'infobase ' || i.name, 'option ' || o.option, i.url || '/odata/standard.odata/' || url_path(CASE o.option WHEN 'fixed_counterparty' THEN entity_set(i.profile, 'counterparty') || '?$format=json&$select=Ref_Key' || odata_filter('Ref_Key eq ' || odata_guid(o.value::uuid))
                   ELSE (product_search(i.name, ARRAY[o.value])).path END), i.username, secret('infobase:' || i.name || ':password'), NULL, i.ca_file, i.allow_http
        FROM account_options(a) o WHERE all_sets AND profile_gaps(i.profile, a.counterparty_mode = 'phone') = '{}') q;
END $$;
COMMENT ON FUNCTION peer_questions(account, infobase, boolean) IS 'What check() asks: the list of what BAS publishes, the statuses of SalesDrive, one row of each set with all properties of the profile, what options of the account name';

-- SalesDrive says that a key is wrong with status 200, and a page of a web server may be JSON too.
CREATE FUNCTION answers_question(subject text, body jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(jsonb_typeof(body -> CASE WHEN subject LIKE 'account %' THEN 'data' ELSE 'value' END) = 'array', false);
COMMENT ON FUNCTION answers_question(text, jsonb) IS 'Whether a body is what the peer answers when all is well: a list';

CREATE FUNCTION ask_peers(account text, all_sets boolean) RETURNS SETOF peer_answer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    a account := require_account(ask_peers.account);
    i infobase := require_infobase(a.infobase);
    questions http_request[];
BEGIN
    IF quiet_reason() IS NOT NULL THEN    -- a copy asks nobody
        RETURN;
    END IF;
    SELECT array_agg(q.request ORDER BY q.n) INTO questions FROM peer_questions(a, i, all_sets) q;
    RETURN QUERY
    WITH answered AS MATERIALIZED (SELECT * FROM probe(questions, 15000))
    SELECT q.subject, q.entity, (q.request).url, r.http_status, w.class,
           CASE WHEN r.class IS NULL THEN 'No answer within 15 s.' WHEN w.class = 'ok' THEN NULL
                ELSE concat_ws(': ', r.http_status::text, r.error, nullif(concat_ws(' ', 'BAS code', r.odata_code), 'BAS code'), r.odata_message, left(result_json(r) ->> 'message', 500)) END,
           r.odata_code, r.ms_total, v.rows, v.names
    FROM peer_questions(a, i, all_sets) q LEFT JOIN answered r ON r.task_id = q.n
    CROSS JOIN LATERAL (SELECT CASE WHEN r.class <> 'ok' THEN r.class WHEN NOT answers_question(q.subject, result_json(r)) THEN 'config' ELSE r.class END AS class) w
    LEFT JOIN LATERAL (SELECT count(*)::integer AS rows, array_agg(e ->> 'name') AS names FROM result_rows(r) e WHERE w.class = 'ok') v ON true
    ORDER BY q.n;
END $$;
COMMENT ON FUNCTION ask_peers(text, boolean) IS 'Asks both peers of an account, all sets of the profile or only whether they answer; nothing from a copy that was not adopted';

CREATE FUNCTION test_connection(account text) RETURNS TABLE (subject text, answers boolean, milliseconds numeric, detail text)
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    quiet text := quiet_reason();
BEGIN
    IF quiet IS NOT NULL THEN
        RAISE EXCEPTION 'nothing is sent from this database: %', quiet USING ERRCODE = 'SD014', HINT = 'SELECT * FROM salesdrive.check(...) says what to do.';
    END IF;
    RETURN QUERY
    SELECT p.subject, coalesce(p.class = 'ok', false), round(p.ms::numeric, 1),
           CASE WHEN p.class = 'ok' AND p.names IS NOT NULL THEN format('%s entity sets are published.', cardinality(p.names)) WHEN p.class = 'ok' THEN 'The key is accepted.' ELSE p.said END
    FROM ask_peers(account, false) p;
END $$;
COMMENT ON FUNCTION test_connection(text) IS 'Asks BAS and SalesDrive now whether they answer, with the user, password and key set here; takes at most 15 s';
