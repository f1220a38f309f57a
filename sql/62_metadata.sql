-- Purpose: tasks of kind metadata: read the $metadata of a base, keep what it says, and recognise which variant of its profile the base is.
-- Rights: the engine's role; load_metadata() is for 'admin'.
--
-- The answer (15 MB and 30 s are normal) is read by the HTTP client as it arrives; settle gets the short form that src/metadata.h describes.

CREATE FUNCTION plan_metadata(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE sql STABLE SET search_path = salesdrive, pg_temp AS $$
    SELECT t.id, 'request', 'read metadata', 'GET', '$metadata', NULL::jsonb, NULL::jsonb, false, NULL::timestamptz, NULL::text, NULL::text, NULL::text, NULL::text
    FROM task t WHERE t.id = ANY (tasks)
$$;
COMMENT ON FUNCTION plan_metadata(bigint[]) IS 'Plan of kind metadata: one reading';

-- Thousands of rows at once: the plans that the engine is made to take for its small sets would be slow here.
CREATE FUNCTION store_metadata(infobase text, said bytea) RETURNS integer
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    sets integer;
BEGIN
    DELETE FROM bas_metadata m WHERE m.infobase = store_metadata.infobase;
    WITH item AS MATERIALIZED (
        SELECT e ->> 0 AS kind, e ->> 1 AS name, e -> 2 AS said
        FROM string_to_table(left(substr(convert_from(said, 'UTF8'), length('{"value":[') + 1), -length(']}')), E',\n') line    -- one row a line
        CROSS JOIN LATERAL (SELECT line::jsonb AS e) j WHERE line <> ''
    ), sets AS (
        SELECT s.name, coalesce(t.said, '{}') AS members, s.said #>> '{}' AS of_type
        FROM item s LEFT JOIN item t ON t.kind = 'type' AND t.name = s.said #>> '{}' WHERE s.kind = 'set'
    )
    INSERT INTO bas_metadata (infobase, kind, name, members)
    SELECT store_metadata.infobase, n.kind, n.name, n.members FROM (
        SELECT DISTINCT ON (k.kind, k.name) k.kind, k.name, k.members FROM (
            SELECT 'set' AS kind, s.name, s.members FROM sets s
            UNION ALL SELECT 'type', i.name, i.said FROM item i LEFT JOIN sets s ON s.of_type = i.name WHERE i.kind = 'type' AND s.name IS NULL
            UNION ALL SELECT 'enum', i.name, i.said FROM item i WHERE i.kind = 'enum'
            UNION ALL SELECT 'function', concat_ws('/', regexp_replace(i.said ->> 'bindingParameter', '^(Collection\()?StandardODATA\.|\)$', '', 'g'), i.name), i.said - 'bindingParameter'
                      FROM item i WHERE i.kind = 'function') k
        ORDER BY k.kind, k.name) n;
    SELECT count(*) INTO sets FROM bas_metadata m WHERE m.infobase = store_metadata.infobase AND m.kind = 'set';
    RETURN sets;
END $$;
COMMENT ON FUNCTION store_metadata(text, bytea) IS 'Puts what $metadata said in place of what was known; returns the number of entity sets';

CREATE FUNCTION recognise_variant(infobase text) RETURNS text
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    before text := (SELECT i.profile FROM infobase i WHERE i.name = recognise_variant.infobase);
    root   text := (SELECT coalesce((SELECT p.parent FROM profile_effective p WHERE p.name = before AND p.needs IS NOT NULL), before));
    found  text := (SELECT p.name FROM profile_effective p WHERE p.parent = root AND p.needs IS NOT NULL AND publishes(recognise_variant.infobase, p.needs) ORDER BY p.name LIMIT 1);
BEGIN
    found := coalesce(found, root);
    IF found <> before THEN
        UPDATE infobase i SET profile = found WHERE i.name = recognise_variant.infobase;
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION recognise_variant(text) IS 'Gives the infobase the variant of its profile that its $metadata shows, else the profile itself; returns it';

CREATE FUNCTION settle_metadata(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r    record;
    s    plan_step;
    sets integer;
BEGIN
    FOR r IN SELECT u.task_id, t.scope, u.class, u.error, u.http_status, u.body_bytes, CASE WHEN u.class = 'ok' THEN u.body END AS said
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t ORDER BY t.scope
    LOOP
        s := NULL;
        s.task_id := r.task_id;
        IF r.class = 'ok' THEN
            sets := store_metadata(r.scope, r.said);
            INSERT INTO metadata_load VALUES (r.scope, clock(), r.body_bytes, sets, recognise_variant(r.scope))
            ON CONFLICT (infobase) DO UPDATE SET loaded_at = excluded.loaded_at, bytes = excluded.bytes, sets = excluded.sets, profile = excluded.profile;
            s.step := CASE WHEN sets > 0 THEN 'done' ELSE 'park' END;
            s.reason := CASE WHEN sets = 0 THEN 'metadata' END;
            s.detail := CASE WHEN sets = 0 THEN format('Infobase "%s" publishes nothing: its $metadata names no entity set.', r.scope) END;
            s.hint := CASE WHEN sets = 0 THEN 'In BAS, choose the objects of the standard OData interface (processing НастройкаСтандартногоИнтерфейсаOData); then call load_metadata() again.' END;
        ELSIF r.http_status BETWEEN 200 AND 299 THEN    -- a whole answer, of something before BAS
            s.step := 'park';
            s.reason := 'metadata';
            s.detail := format('Infobase "%s" was asked for $metadata, and with status %s: %s.', r.scope, r.http_status, r.error);
            s.hint := 'Is infobase.url the address of the publication, and does the web server ask for another sign-in (a sign-in page has status 200, too)? How the answer begins is in exchange_log. Then call load_metadata() again.';
        ELSE
            CONTINUE;
        END IF;
        RETURN NEXT s;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_metadata(http_result[]) IS 'Settle of kind metadata: keeps what was said; an answer that is no $metadata parks the task';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, answer, total_timeout) VALUES ('metadata', 'shipped', 'salesdrive.plan_metadata', 'salesdrive.settle_metadata', 'metadata', '5 min');

CREATE FUNCTION load_metadata(infobase text) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM require_infobase(infobase);
    RETURN enqueue(infobase, 'metadata', '$metadata', infobase);
END $$;
COMMENT ON FUNCTION load_metadata(text) IS 'Asks for the $metadata of a base to be read: its entity sets, properties, types, enumerations and functions, and the variant of its profile; returns the task';

CREATE FUNCTION metadata_wanted(infobase text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN NOT EXISTS (SELECT FROM metadata_load l WHERE l.infobase = metadata_wanted.infobase)
       AND EXISTS (SELECT FROM infobase i JOIN profile_effective p ON p.parent = i.profile WHERE i.name = metadata_wanted.infobase AND p.needs IS NOT NULL);
END $$;
COMMENT ON FUNCTION metadata_wanted(text) IS 'Whether $metadata must tell which variant of its profile a base is, and has not been read yet';

CREATE VIEW profile_difference AS
    WITH used AS (
        SELECT i.name AS infobase, i.profile, e.concept, e.needed,
               CASE WHEN e.concept IN ('order_line', 'attribute_row') THEN entity_set(i.profile, 'order') || '_' || e.entity_set WHEN e.concept = 'payment_row' THEN entity_set(i.profile, 'payment_bank') || '_' || e.entity_set WHEN e.concept = 'kit_row' THEN entity_set(i.profile, 'kit') || '_' || e.entity_set ELSE e.entity_set END AS entity_set
        FROM metadata_load l JOIN infobase i ON i.name = l.infobase
        JOIN profile_entity_effective e ON e.profile = i.profile AND e.entity_set IS NOT NULL AND e.concept <> 'contact_row'    -- a section of what has contacts
             AND (NOT is_payment_concept(e.concept) OR EXISTS (SELECT FROM account a WHERE a.infobase = i.name AND (a.payments_to_bas OR a.payments_from_bas)))
    )
    SELECT u.infobase, u.profile, u.concept, u.entity_set, NULL::text AS property, u.needed, 'The base does not publish this set.' AS problem
    FROM used u WHERE NOT publishes(u.infobase, u.entity_set)
    UNION ALL
    SELECT u.infobase, u.profile, u.concept || '.' || p.concept, u.entity_set, p.property, u.needed, d.problem
    FROM used u
    JOIN bas_metadata m ON m.infobase = u.infobase AND m.kind = CASE WHEN u.entity_set ~ '^Acc' THEN 'type' ELSE 'set' END
                       AND m.name = u.entity_set || CASE WHEN u.entity_set ~ '^Acc' THEN '_Balance' ELSE '' END    -- of a register with balances, what they look like
    JOIN profile_property_effective p ON p.profile = u.profile AND p.entity = CASE WHEN u.concept LIKE '%\_contact' THEN 'contact_row' ELSE u.concept END AND p.property IS NOT NULL
    CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(m.members -> p.property) WHEN 'array' THEN m.members -> p.property ->> 0 ELSE m.members ->> p.property END AS edm_type) b
    CROSS JOIN LATERAL (
        SELECT CASE WHEN b.edm_type IS NULL THEN 'The set has no such property.'
                    WHEN p.edm_type <> 'Edm.String' AND regexp_replace(p.edm_type, 'Int(16|32|64)$|Double$', 'number') <> regexp_replace(b.edm_type, 'Int(16|32|64)$|Double$', 'number')
                    THEN format('Its type there is %s, in the profile %s.', b.edm_type, p.edm_type)
                    WHEN p.rule LIKE '%to be verified%' THEN format('It is there (%s); whether it means that is to be verified: %s.', b.edm_type, p.rule) END AS problem) d
    WHERE d.problem IS NOT NULL;
COMMENT ON VIEW profile_difference IS 'Where what a base publishes is not what its profile says, or what the profile says is to be verified; of bases whose $metadata was read';
COMMENT ON COLUMN profile_difference.infobase IS 'Infobase';
COMMENT ON COLUMN profile_difference.profile IS 'Its profile';
COMMENT ON COLUMN profile_difference.concept IS 'Concept of an entity, or entity.property';
COMMENT ON COLUMN profile_difference.entity_set IS 'Entity set the profile names';
COMMENT ON COLUMN profile_difference.property IS 'Property the profile names; NULL: it is the set';
COMMENT ON COLUMN profile_difference.needed IS 'Whether orders need it';
COMMENT ON COLUMN profile_difference.problem IS 'What is wrong, or to be verified';
