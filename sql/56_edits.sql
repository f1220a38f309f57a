-- Purpose: what a change of a document changes, field by field, for the history and for those who are asked.
-- Rights: the engine's role and 'operator' (preview).

CREATE FUNCTION brief_value(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN value IS NULL OR value IN ('null', '""', '"00000000-0000-0000-0000-000000000000"') THEN 'nothing' WHEN length(value::text) <= 80 THEN value::text ELSE left(value::text, 79) || '…' END;
COMMENT ON FUNCTION brief_value(jsonb) IS 'A value as a sentence shows it';

-- Of a section only the rows, and of a row only the properties, that differ.
CREATE FUNCTION change_list(held jsonb, written jsonb, lineage jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (
        SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('property', c.property, 'line', c.line, 'old', c.old, 'new', c.new, 'rule', lineage -> c.section ->> 'rule', 'version', lineage -> c.section -> 'version'))
                         ORDER BY c.section, c.line NULLS FIRST, c.property)
        FROM (
            SELECT p.key AS section, p.key AS property, NULL::integer AS line, held -> p.key AS old, p.value AS new
            FROM jsonb_each(written) p WHERE jsonb_typeof(p.value) <> 'array'
            UNION ALL
            SELECT p.key, p.key || coalesce('.' || f.key, ''), r.n::integer, CASE WHEN f.key IS NULL THEN h.e ELSE h.e -> f.key END, CASE WHEN f.key IS NULL THEN w.e ELSE f.value END
            FROM jsonb_each(written) p
            CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(held -> p.key) WHEN 'array' THEN held -> p.key ELSE '[]' END AS rows) q
            CROSS JOIN LATERAL generate_series(1, greatest(jsonb_array_length(p.value), jsonb_array_length(q.rows))) r (n)
            CROSS JOIN LATERAL (SELECT p.value -> (r.n - 1) AS e) w
            LEFT JOIN LATERAL (SELECT x AS e FROM jsonb_array_elements(q.rows) WITH ORDINALITY x (x, m) WHERE coalesce(x ->> 'LineNumber', m::text) = r.n::text LIMIT 1) h ON true
            LEFT JOIN LATERAL (SELECT d.key, d.value FROM jsonb_each(CASE WHEN jsonb_typeof(w.e) = 'object' AND jsonb_typeof(h.e) = 'object' THEN w.e ELSE '{}' END) d
                               WHERE odata_equal(d.value, h.e -> d.key) IS NOT TRUE) f ON true
            WHERE jsonb_typeof(p.value) = 'array' AND (f.key IS NOT NULL OR w.e IS NULL OR h.e IS NULL)) c);
END $$;
COMMENT ON FUNCTION change_list(jsonb, jsonb, jsonb) IS 'What a write changes: [{property, line, old, new, rule, version}], of a section only what differs; a line without old is new, one without new is gone';

-- A property that was sent and that the order gives no more (a warehouse that is mapped to nothing by now) is emptied; one that the profile leaves out is left alone.
CREATE FUNCTION cleared_document(document jsonb, sent jsonb, account text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM jsonb_object_keys(sent) k WHERE NOT document ? k) THEN
        RETURN document;
    END IF;
    RETURN document || coalesce((
        SELECT jsonb_object_agg(p.property, empty_value(p.edm_type))
        FROM account a JOIN infobase i ON i.name = a.infobase JOIN profile_property_effective p ON p.profile = i.profile AND p.entity = 'order' AND p.concept NOT IN ('status', 'status_type')
        WHERE a.name = cleared_document.account AND p.constant IS NULL AND sent ? p.property AND NOT document ? p.property AND NOT holds_nothing(sent -> p.property)), '{}');
END $$;
COMMENT ON FUNCTION cleared_document(jsonb, jsonb, text) IS 'A document with the empty value of each property of the header that was sent and is not given any more';

CREATE FUNCTION change_text(changes jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    sentence text := (SELECT string_agg(format('%s%s %s → %s', c ->> 'property', ' (line ' || (c ->> 'line') || ')', brief_value(c -> 'old'), brief_value(c -> 'new')), '; ' ORDER BY n)
                      FROM jsonb_array_elements(changes) WITH ORDINALITY u (c, n) WHERE n <= 10);
BEGIN
    RETURN sentence || CASE WHEN jsonb_array_length(changes) > 10 THEN format('; and %s more', jsonb_array_length(changes) - 10) ELSE '' END;
END $$;
COMMENT ON FUNCTION change_text(jsonb) IS 'A list of changes as a sentence: property old → new, the first ten';
