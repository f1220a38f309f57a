-- Purpose: tasks of kind attribute and attribute_set: make the additional attributes of SalesDrive in a base, and list them in the set of the order
-- document, so that its form shows them. These are data of the base: its configuration is not touched.
-- Rights: the engine's role; prepare_infobase() is for 'admin'.
--
--   attribute      unknown ──search──▶ nothing ──▶ absent ──create──▶ made          one task for each name, so never two creations
--                     ▲                one alive: made · several, ours dead or renamed: parked
--                     └── a creation whose answer was lost is searched for before anything else (44_creations.sql)
--   attribute_set  waits for all of those, then read ──▶ change (the section is replaced whole, by one task) ──▶ read back ──▶ there

CREATE FUNCTION deal_attributes() RETURNS TABLE (place integer, attribute text, title text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 13
BEGIN ATOMIC
    SELECT * FROM (VALUES (1, 'order_id', 'Номер замовлення SalesDrive'), (2, 'link', 'Посилання на замовлення SalesDrive'), (3, 'status', 'Статус SalesDrive'),
        (4, 'delivery_method', 'Спосіб доставки SalesDrive'), (5, 'delivery_sender', 'Відправник доставки SalesDrive'), (6, 'prom_site', 'Сайт Prom.ua SalesDrive'),
        (7, 'page', 'Сторінка сайту SalesDrive'), (8, 'campaign', 'Рекламна кампанія SalesDrive'), (9, 'source', 'Джерело SalesDrive'),
        (10, 'utm_campaign', 'utm_campaign SalesDrive'), (11, 'channel', 'Канал SalesDrive'), (12, 'ttn', 'ТТН SalesDrive'), (13, 'delivery_address', 'Адреса доставки SalesDrive')) v;
END;
COMMENT ON FUNCTION deal_attributes() IS 'Additional attributes that prepare_infobase() makes, with their names in BAS';

CREATE FUNCTION attribute_place(title text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT d.place FROM deal_attributes() d WHERE d.title = attribute_place.title;
END;
COMMENT ON FUNCTION attribute_place(text) IS 'Place of such an attribute among them: the order of its line in a comment';

INSERT INTO field_map (account, target, property, origin, profile, source_kind, source, transform, arguments, note, changed_at)
SELECT '*', 'attribute', d.title, 'shipped', '*', v.source_kind, v.source, v.transform, v.arguments::jsonb, v.note, NULL
FROM (VALUES ('order_id', 'path', 'id', NULL, '{}', 'order number of SalesDrive'),
             ('link', 'constant', '{$account.url}/ua/index.html?formId={formId}#/order/view/{id}', 'template', '{}', 'address of the order'),
             ('status', 'path', 'statusId', 'named', '{"list": "status"}', 'name of the status in SalesDrive'),
             ('delivery_method', 'path', 'shipping_method', 'named', '{"list": "shipping_method"}', NULL),
             ('delivery_sender', 'path', '$.ord_delivery_data[*].senderId', 'named', '{"list": "senderId"}', 'sender of the first parcel'),
             ('prom_site', 'path', 'sajt', 'named', '{"list": "site"}', 'site the order came from'),
             ('page', 'path', 'utmPage', NULL, '{}', NULL),
             ('campaign', 'path', 'campaignId', 'named', '{"list": "campaignId"}', NULL),
             ('source', 'path', 'utmSource', 'first', '{"paths": ["utmSourceFull"]}', NULL),
             ('utm_campaign', 'path', 'utmCampaign', NULL, '{}', NULL),
             ('channel', 'path', 'utmMedium', NULL, '{}', NULL),
             ('ttn', 'path', 'delivery[*].ttn', 'join', '{}', 'waybills of the parcels'),
             ('delivery_address', 'path', 'delivery[*].address', 'join', '{"separator": "; "}', 'addresses of the parcels')) v (attribute, source_kind, source, transform, arguments, note)
JOIN deal_attributes() d ON d.attribute = v.attribute;

CREATE FUNCTION attribute_ref_key(name text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN uuid_v5(ref_key_namespace(), 'attribute/' || name);
COMMENT ON FUNCTION attribute_ref_key(text) IS 'Ref_Key of an additional attribute created under a name';

CREATE FUNCTION attribute_set_name(profile text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN replace(entity_set(profile, 'order'), 'Document_', 'Документ_');
END $$;
COMMENT ON FUNCTION attribute_set_name(text) IS 'Predefined name of the set of attributes of the order document';

CREATE FUNCTION attribute_clicks(infobase text, name text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    profile text := (SELECT i.profile FROM infobase i WHERE i.name = attribute_clicks.infobase);
BEGIN
    RETURN format('In BAS: Адміністрування (Налаштування) → Загальні налаштування → Додаткові реквізити та відомості → %s, the set of %s: Додати%s. Or publish %s for OData and let the user of the exchange change them. Then: SELECT * FROM salesdrive.prepare_infobase(%L, apply => true).',
                  CASE attribute_way(infobase) WHEN 'section' THEN 'Додаткові реквізити' ELSE 'Додаткові відомості' END, entity_set(profile, 'order'), CASE WHEN name IS NULL THEN ' → the attributes whose name ends with SalesDrive' ELSE format(' → Новий, name "%s", type Рядок', name) END,
                  array_to_string(ARRAY[coalesce(entity_set(profile, 'attribute'), 'the chart of additional attributes'), coalesce(entity_set(profile, 'attribute_set'), 'the catalog of their sets')], ' and '), infobase);
END $$;
COMMENT ON FUNCTION attribute_clicks(text, text) IS 'What to click in BAS for an attribute, or (name NULL) for its set, that cannot be made from here';

CREATE FUNCTION attribute_body(infobase text, profile text, name text, ref uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    chart text := entity_set(profile, 'attribute');
    n     jsonb := property_names(profile, 'attribute');
    body  jsonb := jsonb_build_object('Ref_Key', ref, coalesce(n ->> 'name', 'Description'), name, coalesce(n ->> 'code', 'Заголовок'), name,
                                      'Имя', regexp_replace(name, '[ !-/:-@[-^`{-~]', '', 'g'), 'Виден', true, 'Доступен', true, 'ЭтоДополнительноеСведение', attribute_way(infobase) = 'record');
BEGIN
    RETURN (SELECT jsonb_object_agg(b.key, b.value) FROM jsonb_each(body) b    -- Имя: of newer configurations only; letters of any alphabet, also where the locale knows but English ones
            WHERE CASE WHEN publishes(infobase, chart) THEN publishes(infobase, chart || '.' || b.key) ELSE b.key <> 'Имя' END);
END $$;
COMMENT ON FUNCTION attribute_body(text, text, text, uuid) IS 'Additional attribute to be created: common (of no set of its own), visible; an additional information record where the base keeps them so';

CREATE FUNCTION plan_attribute(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO bas_attribute (infobase, name, our_ref_key)
    SELECT t.scope, t.key, attribute_ref_key(t.key) FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t ORDER BY t.scope, t.key ON CONFLICT DO NOTHING;
    UPDATE bas_attribute b SET state = 'comment' FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t WHERE b.infobase = t.scope AND b.name = t.key AND attribute_way(t.scope) = 'comment';
    PERFORM wake_later(format('attributes:%s:', w.scope)) FROM (SELECT DISTINCT t.scope FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t JOIN infobase i ON i.name = t.scope JOIN bas_attribute b ON b.infobase = t.scope AND b.name = t.key
        WHERE b.state IN ('made', 'there', 'comment') OR entity_set(i.profile, 'attribute') IS NULL) w;    -- these end now: their set may go on

    RETURN QUERY
    SELECT t.id, w.step, w.purpose, CASE w.purpose WHEN 'create attribute' THEN 'POST' ELSE 'GET' END,
           CASE w.purpose WHEN 'create attribute' THEN e.entity_set
                WHEN 'find attribute' THEN e.entity_set || '?$format=json&$select=' || url_encode(concat_ws(',', 'Ref_Key', n.names ->> 'name', n.names ->> 'code', n.names ->> 'deleted'))
                     || odata_filter(format('(Ref_Key eq %s or startswith(%s,%s))', odata_guid(b.our_ref_key), n.names ->> 'name', odata_text(t.key)) || coalesce(' and ' || attribute_filter(t.scope), '')) END,
           CASE w.purpose WHEN 'create attribute' THEN attribute_body(t.scope, i.profile, t.key, b.our_ref_key) END,
           NULL::jsonb, w.purpose = 'create attribute', w.run_at, w.reason, w.detail, w.hint, w.blocked_on
    FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t
    JOIN infobase i ON i.name = t.scope
    JOIN bas_attribute b ON b.infobase = t.scope AND b.name = t.key
    LEFT JOIN profile_entity_effective e ON e.profile = i.profile AND e.concept = 'attribute'
    LEFT JOIN task m ON m.scope = t.scope AND m.kind = 'metadata' AND m.key = '$metadata' AND m.state = 'parked'
    CROSS JOIN LATERAL (SELECT '{"name": "Description", "code": "Заголовок", "deleted": "DeletionMark"}'::jsonb || property_names(i.profile, 'attribute') AS names) n
    CROSS JOIN LATERAL (SELECT creation_next(b.write_unsure, b.unsure_until, b.asked_early, b.state = 'unknown' OR b.checked_at < clock() - interval '10 min') AS next) u
    CROSS JOIN LATERAL (
        SELECT 'done' AS step, NULL AS purpose, NULL::timestamptz AS run_at, NULL AS reason, NULL AS detail, NULL AS hint, NULL AS blocked_on WHERE b.state IN ('made', 'there', 'comment')
        UNION ALL SELECT CASE WHEN m.id IS NULL THEN 'wait' ELSE 'park' END, NULL, NULL, 'attribute',
                         CASE WHEN m.id IS NULL THEN format('The $metadata of infobase "%s" is being read: it tells whether the base publishes %s.', t.scope, entity_set(i.profile, 'record'))
                              ELSE format('Whether infobase "%s" publishes %s is not known: %s', t.scope, entity_set(i.profile, 'record'), m.detail) END, m.hint, format('metadata:%s:$metadata', t.scope) WHERE attribute_way(t.scope) = 'unknown'
        UNION ALL SELECT 'park', NULL, NULL, 'attribute', format('Profile "%s" names no entity set of additional attributes.', i.profile), attribute_clicks(t.scope, t.key), NULL WHERE e.entity_set IS NULL
        UNION ALL SELECT 'wait', NULL, b.unsure_until, 'unsure', 'A creation without an answer may still be at work in BAS.', NULL, NULL WHERE u.next = 'wait'
        UNION ALL SELECT 'request', 'find attribute', NULL, NULL, NULL, NULL, NULL WHERE u.next = 'look'
        UNION ALL SELECT 'request', 'create attribute', NULL, NULL, NULL, NULL, NULL
        LIMIT 1) w;
END $$;
COMMENT ON FUNCTION plan_attribute(bigint[]) IS 'Plan of kind attribute: the first of its rules that applies';

CREATE FUNCTION note_attribute_writes(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE bas_attribute b SET (write_unsure, unsure_until, asked_early) = (SELECT n.* FROM creation_note('sent', longest_write(i)) n)
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN infobase i ON i.name = t.scope
    WHERE s.creates AND b.infobase = t.scope AND b.name = t.key;
END $$;
COMMENT ON FUNCTION note_attribute_writes(plan_step[]) IS 'Before attributes are created: from now on their outcome is unsure, until settled';

CREATE FUNCTION settle_attribute_created(t task, r http_result, i infobase, own uuid) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s    plan_step;
    ref  uuid := CASE WHEN r.class = 'ok' THEN nil_free(result_json(r) ->> 'Ref_Key') END;
    word text := creation_said(r.class, r.odata_code, ref);
BEGIN
    UPDATE bas_attribute b SET (write_unsure, unsure_until, asked_early) = (SELECT n.* FROM creation_note(word, answered_write(i, r.started_at)) n),
        state = CASE word WHEN 'made' THEN 'made' WHEN 'refused' THEN 'unknown' ELSE b.state END, ref_key = coalesce(ref, b.ref_key), checked_at = CASE word WHEN 'made' THEN clock() ELSE b.checked_at END
    WHERE b.infobase = t.scope AND b.name = t.key;
    PERFORM note_creation(t.scope, t.id, word, ref = own);
    s.task_id := t.id;
    IF word <> 'refused' THEN
        s.step := 'again';
    ELSIF r.class = 'business' THEN
        s := refused_step(t.id, 'attribute', format('let the additional attribute "%s" be made', t.key), r, attribute_clicks(t.scope, t.key));
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION settle_attribute_created(task, http_result, infobase, uuid) IS 'Takes in the outcome of the creation of an attribute; no step: as its class says';

CREATE FUNCTION settle_attribute_found(t task, r http_result, b bas_attribute, names jsonb) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s     plan_step;
    alive uuid[];
    ours  jsonb;
    seen  text;
BEGIN
    SELECT array_agg((e ->> 'Ref_Key')::uuid ORDER BY e ->> 'Ref_Key') FILTER (WHERE t.key IN (btrim(e ->> (names ->> 'name')), btrim(e ->> (names ->> 'code'))) AND NOT json_flag(e -> (names ->> 'deleted'))),
           (array_agg(e) FILTER (WHERE e ->> 'Ref_Key' = b.our_ref_key::text))[1] INTO alive, ours FROM result_rows(r) e;
    seen := creation_seen(alive IS NOT NULL OR ours IS NOT NULL, b.write_unsure, b.unsure_until, r.started_at);
    UPDATE bas_attribute a SET (write_unsure, unsure_until, asked_early) = (SELECT n.* FROM creation_note(seen, a.unsure_until) n),
        state = CASE WHEN cardinality(alive) = 1 THEN 'made' WHEN seen = 'absent' THEN 'absent' ELSE 'unknown' END, ref_key = CASE WHEN cardinality(alive) = 1 THEN alive[1] END, checked_at = clock()
    WHERE a.infobase = t.scope AND a.name = t.key;
    PERFORM note_creation(t.scope, t.id, seen, CASE WHEN ours IS NOT NULL THEN true END);
    IF seen = 'hidden' THEN
        RETURN hidden_step(t.id, b.our_ref_key, 'additional attribute');
    END IF;
    s.task_id := t.id;
    s.step := 'again';
    IF cardinality(alive) > 1 OR alive IS NULL AND ours IS NOT NULL THEN
        s.step := 'park';
        s.reason := 'attribute';
        s.detail := CASE WHEN cardinality(alive) > 1 THEN format('Infobase "%s" has several additional attributes "%s": %s.', t.scope, t.key, array_to_string(alive, ', '))
                         ELSE format('The additional attribute made for "%s" (%s) is marked for deletion, or bears another name by now: "%s".', t.key, b.our_ref_key, ours ->> (names ->> 'name')) END;
        s.hint := format('In BAS leave exactly one of this name that is not marked for deletion; then: SELECT * FROM salesdrive.prepare_infobase(%L, apply => true).', t.scope);
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION settle_attribute_found(task, http_result, bas_attribute, jsonb) IS 'Takes in the hits of a search: one alive of exactly this name, or title, is it';

CREATE FUNCTION settle_attribute(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
    s plan_step;
BEGIN
    FOR r IN SELECT t::task AS task, b::bas_attribute AS known, i::infobase AS base, u::http_result AS result, u.class, t.purpose, t.key, t.scope,
                    '{"name": "Description", "code": "Заголовок", "deleted": "DeletionMark"}'::jsonb || property_names(i.profile, 'attribute') AS names
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = t.scope JOIN bas_attribute b ON b.infobase = t.scope AND b.name = t.key ORDER BY t.scope, t.key
    LOOP
        s := NULL;
        IF r.purpose = 'create attribute' THEN
            s := settle_attribute_created(r.task, r.result, r.base, (r.known).our_ref_key);
        ELSIF r.class = 'ok' THEN
            s := settle_attribute_found(r.task, r.result, r.known, r.names);
        ELSIF r.class = 'business' THEN
            s := refused_step((r.task).id, 'attribute', 'show its additional attributes', r.result, attribute_clicks(r.scope, r.key));
        END IF;
        IF s.step = 'park' THEN
            PERFORM wake_later(format('attributes:%s:', r.scope));
        END IF;
        IF s.step IS NOT NULL THEN
            RETURN NEXT s;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_attribute(http_result[]) IS 'Settle of kind attribute';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, note_function) VALUES ('attribute', 'shipped', 'salesdrive.plan_attribute', 'salesdrive.settle_attribute', 'salesdrive.note_attribute_writes');

-- The set of the document.

CREATE FUNCTION attribute_set_section(infobase text, profile text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN CASE attribute_way(infobase) WHEN 'record' THEN coalesce(entity_set(profile, 'record_set_row'), 'ДополнительныеСведения') ELSE coalesce(entity_set(profile, 'attribute_set_row'), 'ДополнительныеРеквизиты') END;
END $$;
COMMENT ON FUNCTION attribute_set_section(text, text) IS 'Section of a set that lists its attributes, or its information records';

CREATE FUNCTION plan_attribute_set(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT t.id, w.step, w.purpose, CASE w.purpose WHEN 'change attribute set' THEN 'PATCH' ELSE 'GET' END,
           CASE w.purpose WHEN 'change attribute set' THEN format('%s(%s)', e.entity_set, odata_guid((t.memo ->> 'ref')::uuid))
                WHEN 'read attribute set' THEN e.entity_set || '?$format=json' || odata_filter(coalesce(e.filter, format('PredefinedDataName eq %s', odata_text(t.key)))) END,
           CASE w.purpose WHEN 'change attribute set' THEN jsonb_build_object(n.section, t.memo -> 'rows') END,
           jsonb_build_object('sent', w.purpose = 'change attribute set' OR t.purpose = 'change attribute set' AND coalesce((t.memo ->> 'sent')::boolean, false)), false, NULL::timestamptz,
           w.reason, w.detail, w.hint, w.blocked_on
    FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t
    JOIN infobase i ON i.name = t.scope
    LEFT JOIN profile_entity_effective e ON e.profile = i.profile AND e.concept = 'attribute_set'
    CROSS JOIN LATERAL (SELECT attribute_set_section(t.scope, i.profile) AS section) n
    CROSS JOIN LATERAL (
        SELECT 'wait' AS step, NULL AS purpose, 'attribute' AS reason, 'The additional attributes are being made.' AS detail, NULL AS hint, format('attributes:%s:', t.scope) AS blocked_on
        WHERE EXISTS (SELECT FROM task a WHERE a.scope = t.scope AND a.kind = 'attribute' AND a.state <> 'parked')
        UNION ALL SELECT 'done', NULL, NULL, NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM bas_attribute b WHERE b.infobase = t.scope AND b.state = 'made')
        UNION ALL SELECT 'park', NULL, 'attribute', format('Profile "%s" names no catalog of sets of additional attributes.', i.profile), attribute_clicks(t.scope, NULL), NULL WHERE e.entity_set IS NULL
        UNION ALL SELECT 'request', 'change attribute set', NULL, NULL, NULL, NULL WHERE t.purpose = 'read attribute set' AND t.memo ? 'rows' AND (t.memo ->> 'read_at')::timestamptz > clock() - interval '1 min'
        UNION ALL SELECT 'request', 'read attribute set', NULL, NULL, NULL, NULL
        LIMIT 1) w;
END $$;
COMMENT ON FUNCTION plan_attribute_set(bigint[]) IS 'Plan of kind attribute_set: after the attributes, read the set, change it, read it back';

CREATE FUNCTION settle_attribute_set_read(t task, r http_result, profile text) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s       plan_step;
    section text := attribute_set_section(t.scope, profile);
    ref     text := coalesce(property_names(profile, 'attribute_set_row') ->> 'attribute', 'Свойство_Key');
    found   jsonb;
    held    jsonb;
    missing uuid[];
BEGIN
    s.task_id := t.id;
    s.step := 'park';
    s.reason := 'attribute';
    s.hint := attribute_clicks(t.scope, NULL);
    SELECT jsonb_agg(e) INTO found FROM result_rows(r) e WHERE NOT json_flag(e -> 'DeletionMark') AND NOT json_flag(e -> 'IsFolder');
    IF jsonb_array_length(found) IS DISTINCT FROM 1 THEN
        s.detail := format('Infobase "%s" has %s sets of additional attributes with the predefined name %s, and exactly one is meant.', t.scope, coalesce(jsonb_array_length(found), 0), t.key);
        s.hint := s.hint || format(' Another set: INSERT INTO salesdrive.profile_entity (profile, concept, entity_set, filter) VALUES (%L, ''attribute_set'', …, ''Ref_Key eq guid''''…'''''').', profile);
        RETURN s;
    END IF;
    held := CASE jsonb_typeof(found -> 0 -> section) WHEN 'array' THEN found -> 0 -> section ELSE '[]' END;
    missing := ARRAY(SELECT b.ref_key FROM bas_attribute b WHERE b.infobase = t.scope AND b.state = 'made' AND NOT EXISTS (SELECT FROM jsonb_array_elements(held) h WHERE h ->> ref = b.ref_key::text)
                     ORDER BY attribute_place(b.name), b.name);
    IF missing = '{}' THEN
        UPDATE bas_attribute b SET state = 'there', checked_at = clock() WHERE b.infobase = t.scope AND b.state = 'made';
        s := ROW(t.id, 'done', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
    ELSIF (t.memo ->> 'sent')::boolean THEN
        s.detail := format('BAS took the change of the set %s, and does not show the attributes in it.', t.key);
    ELSE    -- what is there stays as it was read, ours come after it
        UPDATE task k SET memo = jsonb_build_object('ref', found -> 0 ->> 'Ref_Key', 'read_at', clock(), 'rows', (
            SELECT jsonb_agg(u.row || jsonb_build_object('LineNumber', u.n) ORDER BY u.n)
            FROM (SELECT (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(h) c WHERE c.key NOT IN ('Ref_Key', 'LineNumber') AND c.key NOT LIKE '%@%') AS row, n
                  FROM jsonb_array_elements(held) WITH ORDINALITY l (h, n)
                  UNION ALL SELECT jsonb_build_object(ref, m), jsonb_array_length(held) + n FROM few(missing) WITH ORDINALITY l (m, n)) u)) WHERE k.id = t.id;
        s := ROW(t.id, 'again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION settle_attribute_set_read(task, http_result, text) IS 'Takes in the set as it is: all listed, or what its section must become';

CREATE FUNCTION settle_attribute_set(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
    s plan_step;
BEGIN
    FOR r IN SELECT t::task AS task, t.id, t.scope, t.key, t.purpose, i.profile, u::http_result AS result, u.class
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = t.scope ORDER BY t.scope, t.key
    LOOP
        s := NULL;
        s.task_id := r.id;
        IF r.class = 'business' THEN
            s := refused_step(r.id, 'attribute', format('let the set of additional attributes %s be %s', r.key, CASE WHEN r.purpose LIKE 'read%' THEN 'read' ELSE 'changed' END), r.result, attribute_clicks(r.scope, NULL));
        ELSIF r.class = 'ok' AND r.purpose = 'read attribute set' THEN
            s := settle_attribute_set_read(r.task, r.result, r.profile);
        ELSIF r.class = 'ok' THEN
            s.step := 'again';
        ELSE    -- not known to be done: what is read back then is no refusal
            UPDATE task k SET memo = NULL WHERE k.id = r.id;
        END IF;
        IF s.step IN ('done', 'park') THEN    -- orders look them up in the list
            PERFORM enqueue(r.scope, 'dictionary', 'attribute', r.scope);
        END IF;
        IF s.step IS NOT NULL THEN
            RETURN NEXT s;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_attribute_set(http_result[]) IS 'Settle of kind attribute_set; the list of attributes is read again after it';
INSERT INTO task_kind VALUES ('attribute_set', 'shipped', 'salesdrive.plan_attribute_set', 'salesdrive.settle_attribute_set');

-- Asking.

CREATE FUNCTION ask_for_attributes(i infobase) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    in_comment boolean := attribute_way(i.name) = 'comment';
    chart      text := entity_set(i.profile, 'attribute');
BEGIN
    IF NOT in_comment AND (chart IS NULL OR EXISTS (SELECT FROM metadata_load l WHERE l.infobase = i.name) AND NOT publishes(i.name, chart)) THEN
        RETURN;    -- by hand
    END IF;
    INSERT INTO bas_attribute AS b (infobase, name, state, our_ref_key)
    SELECT i.name, d.title, CASE WHEN in_comment THEN 'comment' ELSE 'unknown' END, attribute_ref_key(d.title) FROM deal_attributes() d ORDER BY d.title
    ON CONFLICT ON CONSTRAINT bas_attribute_pkey DO UPDATE SET state = excluded.state WHERE b.state NOT IN ('unknown', 'absent') OR in_comment;    -- asked anew, also what was there
    IF in_comment THEN
        RETURN;
    END IF;
    PERFORM want_tasks(array_agg((i.name, k.kind, k.key, NULL, i.name, 1)::task_wish)) FROM (SELECT 'attribute' AS kind, d.title AS key FROM deal_attributes() d UNION ALL SELECT 'attribute_set', attribute_set_name(i.profile)) k;
END $$;
COMMENT ON FUNCTION ask_for_attributes(infobase) IS 'Asks for all attributes of SalesDrive to be made in a base, or puts the rule of the comment into force';

CREATE FUNCTION prepare_infobase(infobase text, apply boolean DEFAULT false) RETURNS TABLE (attribute text, title text, state text, detail text)
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    i     infobase := require_infobase(prepare_infobase.infobase);
    chart text := entity_set(i.profile, 'attribute');
    way   text := attribute_way(i.name);
    no_place text := 'The document has no section of additional attributes' || CASE WHEN entity_set(i.profile, 'record') IS NULL THEN '' ELSE ', and the base does not publish ' || entity_set(i.profile, 'record') END;
    listed record;
BEGIN
    IF prepare_infobase.apply THEN
        PERFORM ask_for_attributes(i);
    END IF;
    SELECT t.state, t.detail, t.hint INTO listed FROM task t WHERE t.scope = i.name AND t.kind = 'attribute_set' LIMIT 1;
    RETURN QUERY
    SELECT d.attribute, d.title, w.state, w.detail
    FROM deal_attributes() d
    LEFT JOIN bas_attribute b ON b.infobase = i.name AND b.name = d.title
    LEFT JOIN task t ON t.scope = i.name AND t.kind = 'attribute' AND t.key = d.title
    CROSS JOIN LATERAL (
        SELECT 'there' AS state, no_place || ': a line of its comment.' AS detail WHERE way = 'comment' AND b.infobase IS NOT NULL AND t.id IS NULL
        UNION ALL SELECT 'missing', no_place || ': apply => true adds a line to its comment.' WHERE way = 'comment' AND b.infobase IS NULL
        UNION ALL SELECT 'missing', format('The document has no section of additional attributes: apply => true makes an information record, if the $metadata of the base shows %s, else a line of its comment.', entity_set(i.profile, 'record')) WHERE way = 'unknown' AND b.infobase IS NULL
        UNION ALL SELECT 'refused', concat_ws(' ', t.detail, CASE WHEN t.reason = 'attribute' THEN t.hint ELSE attribute_clicks(i.name, d.title) END) WHERE t.state = 'parked'
        UNION ALL SELECT 'to be made', coalesce(t.detail, 'The exchange is at it.') WHERE t.id IS NOT NULL
        UNION ALL SELECT 'there', format('Additional %s %s.', CASE way WHEN 'record' THEN 'information record' ELSE 'attribute' END, b.ref_key) WHERE b.state = 'there'
        UNION ALL SELECT 'by hand', concat_ws(' ', 'The attribute is filled, but no form shows it.', listed.detail, listed.hint) WHERE b.state = 'made' AND listed.state = 'parked'
        UNION ALL SELECT 'to be made', 'It is there, and is being added to the set of the document.' WHERE b.state = 'made'
        UNION ALL SELECT 'missing', 'It is in the base, and not yet in use: call with apply => true.' FROM dictionary_value v
                  WHERE b.infobase IS NULL AND v.scope = i.name AND v.side = 'bas' AND v.dictionary = 'attribute' AND d.title IN (v.name, v.code)
        UNION ALL SELECT 'by hand', attribute_clicks(i.name, d.title) WHERE chart IS NULL OR EXISTS (SELECT FROM metadata_load l WHERE l.infobase = i.name) AND NOT publishes(i.name, chart)
        UNION ALL SELECT 'missing', 'apply => true makes it.'
        LIMIT 1) w
    ORDER BY d.place;
END $$;
COMMENT ON FUNCTION prepare_infobase(text, boolean) IS 'Shows the additional attributes for the data of SalesDrive, and with apply => true asks for them to be made; call it again to see how far they are';
