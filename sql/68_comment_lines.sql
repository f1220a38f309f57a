-- Purpose: attributes as lines of the comment, where the base has no other place for them: the lines are ours, all other text that people wrote into the
-- comment in BAS stays.
-- Rights: the engine's role and 'operator' (preview).

CREATE FUNCTION attribute_line(line text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT d.title FROM deal_attributes() d WHERE starts_with(attribute_line.line, d.title || ': ');
END;
COMMENT ON FUNCTION attribute_line(text) IS 'Attribute that a line of a comment holds, by its name before the colon; NULL: it is none of ours';

CREATE FUNCTION own_comment(comment text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT string_agg(l.text, E'\n' ORDER BY l.n) FROM regexp_split_to_table(comment, '\r?\n') WITH ORDINALITY l (text, n) WHERE attribute_line(l.text) IS NULL), '');
END $$;
COMMENT ON FUNCTION own_comment(text) IS 'A comment without the lines of attributes';

-- A line stays where it stands; new ones come last. The comment of the order takes the place of the one it had before.
CREATE FUNCTION kept_comment(held text, wanted text, before text, max_length integer) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    own  text := own_comment(wanted);
    was  text := own_comment(before);
    kept text;
BEGIN
    WITH there AS MATERIALIZED (SELECT l.text, l.n, attribute_line(l.text) AS title FROM regexp_split_to_table(held, '\r?\n') WITH ORDINALITY l (text, n)),
         line AS MATERIALIZED (SELECT l.text, l.n, attribute_line(l.text) AS title FROM regexp_split_to_table(wanted, '\r?\n') WITH ORDINALITY l (text, n))
    SELECT string_agg(u.text, E'\n' ORDER BY u.turn, u.n) INTO kept
    FROM (SELECT coalesce(w.text, t.text) AS text, 1 AS turn, t.n FROM there t LEFT JOIN line w ON w.title = t.title WHERE t.title IS NULL OR w.title IS NOT NULL
          UNION ALL SELECT w.text, 2, w.n FROM line w WHERE w.title IS NOT NULL AND NOT EXISTS (SELECT FROM there t WHERE t.title = w.title)) u;
    IF position(own IN kept) > 0 AND position(was IN own) > 0 THEN
        NULL;    -- it is there already
    ELSIF was <> '' AND position(was IN kept) > 0 THEN
        kept := ltrim(overlay(kept PLACING own FROM position(was IN kept) FOR length(was)), E'\n');
    ELSIF position(own IN kept) = 0 THEN
        RETURN wanted;    -- somebody rewrote ours
    END IF;
    RETURN left(kept, coalesce(max_length, 2147483647));
END $$;
COMMENT ON FUNCTION kept_comment(text, text, text, integer) IS 'Comment to be written: the one BAS holds, with the lines of attributes and the comment of the order as wanted, in place of those sent before';

CREATE FUNCTION merged_comment(d order_decision) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    name   text;
    merged text;
BEGIN
    IF d.purpose IS DISTINCT FROM 'change order' OR NOT EXISTS (SELECT FROM bas_attribute) THEN
        RETURN NULL;
    END IF;
    SELECT n.name, kept_comment(b.read_body ->> n.name, d.body ->> n.name, coalesce(b.accepted_body, b.sent_body) ->> n.name, max_length(i.profile, 'order', 'comment')) INTO name, merged
    FROM order_sync y JOIN bas_order b ON b.infobase = y.infobase AND b.ref_key = y.bas_ref JOIN infobase i ON i.name = y.infobase
    CROSS JOIN LATERAL (SELECT property_names(i.profile, 'order') ->> 'comment' AS name) n
    WHERE y.account = d.account AND y.order_id = d.order_id AND NOT y.force AND d.body ? n.name AND EXISTS (SELECT FROM bas_attribute a WHERE a.infobase = y.infobase) AND attribute_way(y.infobase) = 'comment';
    RETURN CASE WHEN merged <> d.body ->> name THEN jsonb_build_object(name, merged) END;
END $$;
COMMENT ON FUNCTION merged_comment(order_decision) IS 'What a change of a document is to write as its comment instead, where attributes are lines of it and people wrote into it, too; NULL: what it says';
