-- Comparison and selection of properties of documents.
SET search_path = salesdrive;

-- odata_equal: numbers as text, padding aside
SELECT s, k, odata_equal(s, k) FROM (VALUES
    ('1'::jsonb, '1.00'::jsonb), ('1', '"1"'), ('1.50', '"1.5"'), ('"1.50  "', '1.50'), ('1', '2'), ('1', 'true'),
    ('"a"', '"a   "'), ('"a  "', '"a"'), ('" a"', '"a"'), (E'"a\\t"', '"a"'), ('""', '"   "'), ('"Олена"', '"Олена "'),
    ('true', '"true"'), ('false', '"false "'), ('true', 'true'), ('true', 'false'),
    ('null', 'null'), ('null', '"x"'), ('"x"', 'null'), ('null', '[]'), ('{}', 'null'), ('null', NULL), (NULL, 'null'), ('1', NULL), (NULL, '1'), (NULL, NULL),
    ('{"a": 1}', '{"a": 1.0}'), ('{"a": 1}', '{"a": "1"}'), ('{"a": 1}', '"{\"a\": 1} "'), ('"[1]"', '[1]'), ('[1]', '"[1]"'), ('[]', '{}'), ('1', '[1]'), ('[1]', '1')) v (s, k);

-- rows of a section: by LineNumber, in any order, and only what was sent
SELECT s, k, odata_equal(s, k) FROM (VALUES
    ('[]'::jsonb, '[]'::jsonb), ('[]', '[1]'), ('[]', 'null'), ('[1, 2]', '[1, 2.0]'), ('[1, 2]', '[2, 1]'),
    ('[{"LineNumber": 1, "a": 1}]', '[{"LineNumber": "1", "a": "1", "b": 2}]'),
    ('[{"LineNumber": 1, "a": 1}]', '[{"LineNumber": "1 ", "a": 1}]'),
    ('[{"LineNumber": 1, "a": 1}]', '[{"LineNumber": 1.0, "a": 1, "b": 2}]'),
    ('[{"LineNumber": 1, "a": 1}, {"LineNumber": 2, "a": 2}]', '[{"LineNumber": "2", "a": 2}, {"LineNumber": "1", "a": 1}]'),
    ('[{"LineNumber": 1, "a": 1}, {"LineNumber": 2, "a": 2}]', '[{"LineNumber": "2", "a": 1}, {"LineNumber": "1", "a": 2}]'),
    ('[{"LineNumber": 1, "a": 1}, {"LineNumber": 2, "a": 2}]', '[{"LineNumber": "1", "a": 1}]'),
    ('[{"LineNumber": 1, "a": 1}]', '[{"LineNumber": 1}]'), ('[{"LineNumber": 1, "a": 1}]', '[{"LineNumber": "1", "a": null}]'),
    ('[{"a": 1}]', '[{"a": 1, "b": 2}]'), ('[{"LineNumber": null, "a": 1}]', '[{"LineNumber": null, "a": "1"}]'),
    ('[{"LineNumber": [1], "a": 1}]', '[{"LineNumber": "[1]", "a": "1"}]'), ('[{"LineNumber": "", "a": 1}]', '[{"LineNumber": "", "a": "1"}]'),
    ('[{"LineNumber": 1, "a": 1}, {"LineNumber": 1, "a": 1}]', '[{"LineNumber": "1", "a": 1}, {"LineNumber": "7", "a": 1}]'),
    ('[{"LineNumber": 1, "a": 1}, {"LineNumber": 1, "a": 1}]', '[{"LineNumber": "1", "a": 1}, {"LineNumber": "1", "a": 2}]'),
    ('[{"LineNumber": 1, "a": [{"LineNumber": 5, "x": 1}]}]', '[{"LineNumber": 1, "a": [{"LineNumber": "5", "x": "1", "y": 0}]}]')) v (s, k);

-- odata_differences, odata_wanted, changed_properties
SELECT s, k, odata_differences(s, k), odata_wanted(s, k), changed_properties(s, k) FROM (VALUES
    ('{"a": 1, "b": "x", "c": true}'::jsonb, '{"a": "1", "b": "x ", "c": "true"}'::jsonb),
    ('{"a": 1, "b": "x", "c": null}', '{"a": 2, "c": "y", "d": 1}'), ('{"a": 1.0}', '{"a": 1}'), ('{"a": null}', '{"a": null}'), ('{"a": null}', '{}'),
    ('{"a": 1}', 'null'), ('{"a": [1, {"b": 2}]}', '[{"a": 1}]'), ('{"a": {"b": [2]}}', '"a"'), ('{"a": 1}', NULL), ('{}', '{"a": 1}'), ('{}', NULL), (NULL, '{"a": 1}'), (NULL, NULL),
    ('{"Rows": [{"LineNumber": 1, "a": 1}], "z": 1}', '{"Rows": [{"LineNumber": "1", "a": 2}], "z": 1}')) v (s, k);
-- unwritten: what the last write changed, and what is not there; x is what BAS is known to keep in its own way
SELECT b.n, unwritten(jsonb_populate_record(NULL::bas_order, b.known), b.held) FROM (VALUES
    (1, '{"sent_body": {"a": 2, "b": 1}, "accepted_body": {"a": 1, "b": 1}, "written_body": {}}'::jsonb, '{"a": "2", "b": "9"}'::jsonb),
    (2, '{"sent_body": {"a": 2, "b": 1}, "accepted_body": {"a": 1, "b": 1}, "written_body": {}}', '{"a": 1, "b": 1}'),
    (3, '{"sent_body": {"x": "long"}, "accepted_body": {"x": "old"}, "written_body": {}, "read_body": {"x": "OLD"}, "differences": {"x": {}}}', '{"x": "LONG"}'),
    (4, '{"sent_body": {"x": "long"}, "accepted_body": {"x": "old"}, "written_body": {}, "read_body": {"x": "OLD"}, "differences": {"x": {}}}', '{"x": "OLD"}'),
    (5, '{"sent_body": {"x": "long", "a": 2}, "accepted_body": {"x": "old", "a": 1}, "written_body": {}, "read_body": {"x": "OLD", "a": 1}, "differences": {"x": {}}}', '{"x": "LONG", "a": 1}'),
    (6, '{"sent_body": {"a": 2}, "written_body": {"a": 2}}', '{"a": 3}'),    -- it was posted, not changed
    (7, '{"sent_body": {"a": 2}}', '{"a": 3}'), (8, '{}', '{"a": 3}')) b (n, known, held) ORDER BY b.n;
SELECT odata_differences('[1]', '{}');
SELECT odata_wanted('"a"', NULL);
SELECT changed_properties('null', '{}');

-- same_keys
SELECT b, o, same_keys(b, o) FROM (VALUES
    ('{"a": 1, "b": [2], "c": 3}'::jsonb, '{"b": 0, "a": null, "z": 1}'::jsonb), ('{"a": 1}', '{}'), ('{"a": 1}', NULL), (NULL, '{"a": 1}'), ('["a"]', '{"a": 1}'), (NULL, NULL)) v (b, o);
SELECT same_keys('{}', '[1]');
SELECT same_keys('{}', '1');

-- renamed
SELECT o, n, renamed(o, n) FROM (VALUES
    ('{"date": "2024-03-01", "sum": 1.50, "comment": "", "rows": [{"a": null}]}'::jsonb, '{"date": "Date", "comment": "Коментар", "rows": "Запаси", "total": "Сума"}'::jsonb),
    ('{"a": null, "b": 1}', '{"a": "A", "b": "B"}'), ('{"a": 1, "b": 2}', '{"a": "X", "b": "X"}'), ('{"bb": 1, "a": 2}', '{"a": "X", "bb": "X"}'),
    ('{"a": 1, "b": 2, "c": 3}', '{"a": 7, "b": true, "c": {"d": [1]}}'), ('{"a": null}', '{"a": null}'), ('{"a": 1}', '["b"]'), ('{"a": 1}', '"b"'),
    ('{"a": 1}', '{}'), ('{"a": 1}', NULL), ('{}', '{"a": "A"}'), (NULL, '{"a": "A"}'), (NULL, NULL)) v (o, n);
SELECT renamed('{"a": 1}', '{"a": null}');
SELECT renamed('{"a": 1}', '["a"]');
SELECT renamed('[]', '{}');

-- named_object: three layers, of which a later one wins; what is null or has no name falls away
SELECT named_object('{"A": 0, "Z": 1}', '{"a": "A", "b": "B", "c": "C", "d": "D", "e": "E", "f": "F", "h": "H"}', '{"B": "over"}',
    'a', 1.50, 'b', 'under'::text, 'c', '00000000-0000-5000-8000-00000000000c'::uuid, 'd', true, 'e', 7::bigint, 'f', '[{"x": null}]'::jsonb, 'g', 'no name', 'h', NULL::text);
SELECT named_object(NULL, '{"a": "X", "b": "X"}', NULL, 'b', 'first', 'a', 'second') AS one_name, named_object(NULL, '{"a": "A"}', NULL, 'a', 'null'::jsonb) AS json_null, named_object(NULL, '{"a": "A"}', NULL, 'a', ARRAY['{"b": [1]}', '2', NULL]::jsonb[]) AS rows,
       named_object(NULL, NULL, NULL, 'a', 1.0) AS no_names;
SELECT named_object('[]', '{}', NULL, 'a', 1.0);
SELECT named_object(NULL, '{}', NULL, 'a');
SELECT named_object(NULL, '{"1": "A"}', NULL, 1::bigint, 'value');
SELECT named_object(NULL, '{"a": null}', NULL, 'a', 1.0);
SELECT named_object(NULL, '{"a": "A"}', NULL, 'a', 1.5::float8);
SELECT named_object(NULL, '{"a": "A"}', NULL, 'a', 'NaN'::numeric);

-- The same rules written in SQL, over generated documents.
CREATE FUNCTION pg_temp.renamed(object jsonb, names jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT coalesce(jsonb_object_agg(names ->> e.key, e.value), '{}') FROM jsonb_each(object) e WHERE names ? e.key AND e.value <> 'null');
END $$;
CREATE FUNCTION pg_temp.odata_equal(sent jsonb, kept jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF sent = kept THEN
        RETURN true;
    ELSIF kept IS NULL THEN
        RETURN false;
    ELSIF jsonb_typeof(sent) = 'array' THEN
        RETURN jsonb_typeof(kept) = 'array' AND jsonb_array_length(sent) = jsonb_array_length(kept) AND NOT EXISTS (
            SELECT FROM jsonb_array_elements(sent) s
            LEFT JOIN jsonb_array_elements(kept) k ON k ->> 'LineNumber' = s ->> 'LineNumber'
            WHERE k IS NULL OR pg_temp.odata_differences(s, k) IS NOT NULL);
    ELSE
        RETURN CASE WHEN sent IS NOT NULL THEN coalesce(rtrim(sent #>> '{}') = rtrim(kept #>> '{}'), false) END;    -- JSON null on one side only is a difference
    END IF;
END $$;
CREATE FUNCTION pg_temp.odata_differences(sent jsonb, kept jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(s.key, jsonb_build_object('sent', s.value, 'kept', kept -> s.key))
    FROM jsonb_each(sent) s WHERE NOT pg_temp.odata_equal(s.value, kept -> s.key));
END $$;
CREATE FUNCTION pg_temp.odata_wanted(wanted jsonb, held jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(w.key, w.value) FROM jsonb_each(wanted) w WHERE NOT pg_temp.odata_equal(w.value, held -> w.key));
END $$;
CREATE FUNCTION pg_temp.changed_properties(wanted jsonb, accepted jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(w.key, w.value) FROM jsonb_each(wanted) w WHERE w.value IS DISTINCT FROM accepted -> w.key);
END $$;
CREATE FUNCTION pg_temp.same_keys(body jsonb, object jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT coalesce(jsonb_object_agg(k, body -> k), '{}') FROM jsonb_object_keys(object) k);
END $$;

-- A number below n for each seed.
CREATE FUNCTION pg_temp.draw(seed text, n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT ('x' || substr(md5(seed), 1, 7))::bit(28)::integer % n $$;
CREATE FUNCTION pg_temp.scalar(seed text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT ('{1,1.0,1.00,"\"1\"","\"1.0\"","\"1 \"",2,"\"2\"",true,"\"true\"",false,null,"\"\"","\" \"","\"a\"","\"a  \"","\"ї\"","{}","{\"a\": 1}","\"{\\\"a\\\": 1}\"","[]","[1, 2]","[1.0, 2]","\"[1, 2]\""}'::text[])[1 + pg_temp.draw(seed, 24)]::jsonb
$$;
CREATE FUNCTION pg_temp.flat(seed text, keys integer) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(repeat('k', 1 + i % 4) || i, pg_temp.scalar(seed || '.' || i)), '{}') FROM generate_series(1, keys) i WHERE pg_temp.draw(seed || '?' || i, 5) > 0
$$;
CREATE FUNCTION pg_temp.generated(seed text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE pg_temp.draw(seed || 't', 20) WHEN 0 THEN NULL ELSE pg_temp.flat(seed, 8) || jsonb_build_object('Rows', (
        SELECT coalesce(jsonb_agg(pg_temp.flat(seed || 'r' || r % 2, 1 + pg_temp.draw(seed || r, 2)) || CASE pg_temp.draw(seed || 'l' || r, 4)
                    WHEN 0 THEN jsonb_build_object('LineNumber', pg_temp.draw(seed || 'n' || r, 3)) WHEN 1 THEN '{}' ELSE jsonb_build_object('LineNumber', r::text) END), '[]')
        FROM generate_series(1, pg_temp.draw(seed || 'c', 4)) r)) END
$$;
-- What BAS may make of it: each value as it was, as text, padded, or another; further properties; the rows turned round.
CREATE FUNCTION pg_temp.kept(seed text, sent jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_object_agg(e.key, CASE pg_temp.draw(seed || e.key, 8)
        WHEN 0 THEN pg_temp.scalar(seed || e.key || 'x') WHEN 1 THEN to_jsonb(e.value #>> '{}') WHEN 2 THEN to_jsonb((e.value #>> '{}') || '  ')
        ELSE CASE WHEN jsonb_typeof(e.value) <> 'array' THEN e.value
                  ELSE (SELECT coalesce(jsonb_agg(CASE jsonb_typeof(r) WHEN 'object' THEN r || '{"more": 1}' || CASE WHEN r ? 'LineNumber' THEN jsonb_build_object('LineNumber', r ->> 'LineNumber') ELSE '{}' END ELSE r END ORDER BY o DESC), '[]')
                        FROM jsonb_array_elements(e.value) WITH ORDINALITY a (r, o)) END END) || '{"further": true}'
    FROM jsonb_each(sent) e WHERE pg_temp.draw(seed || '-' || e.key, 12) > 0
$$;
CREATE TEMP TABLE pair AS
SELECT n, s, CASE WHEN n % 4 = 0 THEN pg_temp.generated('b' || n) ELSE pg_temp.kept('k' || n, s) END AS k
FROM (SELECT n, pg_temp.generated('a' || n) AS s FROM generate_series(1, 4000) n) g;
INSERT INTO pair SELECT 10000 + n, pg_temp.scalar('s' || n), CASE WHEN n % 20 > 0 THEN pg_temp.scalar('t' || n) END FROM generate_series(1, 3000) n;

SELECT count(*) FILTER (WHERE odata_equal(s, k)) > 100 AS some_equal, count(*) FILTER (WHERE NOT odata_equal(s, k)) > 100 AS some_not,
       count(*) FILTER (WHERE odata_equal(s -> 'Rows', k -> 'Rows') AND s -> 'Rows' <> k -> 'Rows') > 100 AS some_rows_equal FROM pair;
SELECT count(*) AS compared,
       count(*) FILTER (WHERE odata_equal(s, k) IS DISTINCT FROM pg_temp.odata_equal(s, k)) AS equal,
       count(*) FILTER (WHERE odata_equal(s -> 'Rows', k -> 'Rows') IS DISTINCT FROM pg_temp.odata_equal(s -> 'Rows', k -> 'Rows')) AS rows_equal
FROM pair;
SELECT count(*) AS compared,
       count(*) FILTER (WHERE odata_differences(s, k)::text IS DISTINCT FROM pg_temp.odata_differences(s, k)::text) AS differences,
       count(*) FILTER (WHERE odata_wanted(s, k)::text IS DISTINCT FROM pg_temp.odata_wanted(s, k)::text) AS wanted,
       count(*) FILTER (WHERE changed_properties(s, k)::text IS DISTINCT FROM pg_temp.changed_properties(s, k)::text) AS changed,
       count(*) FILTER (WHERE same_keys(k, s)::text IS DISTINCT FROM pg_temp.same_keys(k, s)::text) AS same_keys,
       count(*) FILTER (WHERE renamed(s, r)::text IS DISTINCT FROM pg_temp.renamed(s, r)::text) AS renamed
FROM (SELECT s, k, (SELECT jsonb_object_agg(e.key, coalesce(nullif(e.value, 'null'), '"none"')) FROM jsonb_each(k) e) AS r FROM pair WHERE n < 10000) p;
