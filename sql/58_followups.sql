-- Purpose: what a sale is made of from the document of its order, a return from its sale, and how an order is closed. Read-only: planning and preview() both stand on it.
-- Rights: the engine's role and 'operator' (preview).
--
-- Rows and header are those of the document it is made from as BAS holds it: what people changed there goes over, characteristics and parts of kits included.

CREATE FUNCTION followup_source(action text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE action WHEN 'sale' THEN 'order' ELSE 'sale' END;
COMMENT ON FUNCTION followup_source(text) IS 'Concept of the document that a sale or a return is made from';

CREATE FUNCTION carried(value jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN btrim(value #>> '{}') NOT IN ('', '00000000-0000-0000-0000-000000000000', '0001-01-01T00:00:00', 'StandardODATA.Undefined') THEN value END;
COMMENT ON FUNCTION carried(jsonb) IS 'A value that goes over to another document; NULL for nothing, which is left to BAS there';

-- One object, header or row: constants, references, and what the source holds under the same concept, else under the same name.
CREATE FUNCTION carried_object(profile text, entity text, source_entity text, source jsonb, refs jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    there jsonb := property_names(profile, source_entity);
BEGIN
    RETURN (
        SELECT coalesce(jsonb_object_agg(n.property, v.value) FILTER (WHERE v.value IS NOT NULL), '{}')
        FROM profile_resolved r CROSS JOIN LATERAL jsonb_each_text(r.names) n (concept, property)
        CROSS JOIN LATERAL (SELECT CASE n.concept WHEN 'settlement_currency' THEN 'currency' WHEN 'settlement_sum' THEN 'total' ELSE n.concept END AS concept) c
        CROSS JOIN LATERAL (SELECT CASE WHEN r.constants ? n.concept THEN r.constants -> n.concept WHEN refs ? n.concept THEN refs -> n.concept
                                        ELSE carried(source -> coalesce(there ->> c.concept, n.property)) END AS value) v
        WHERE r.profile = carried_object.profile AND r.entity = carried_object.entity);
END $$;
COMMENT ON FUNCTION carried_object(text, text, text, jsonb, jsonb) IS 'Header, or row, of a document as another gives it; refs: references by concept';

-- Of a return only goods count: services are not brought back.
CREATE FUNCTION carried_rows(profile text, entity text, source_entity text, rows jsonb, refs jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    left_out text := profile_constant(profile, entity, 'left_out');
    is_stock text := CASE WHEN entity LIKE 'return%' THEN property_names(profile, source_entity) ->> 'is_stock' END;
BEGIN
    RETURN (
        SELECT jsonb_agg(jsonb_build_object('LineNumber', q.n) || carried_object(profile, entity, source_entity, q.e, refs) ORDER BY q.n)
        FROM (SELECT e, row_number() OVER (ORDER BY (e ->> 'LineNumber')::integer) AS n
              FROM jsonb_array_elements(CASE jsonb_typeof(rows) WHEN 'array' THEN rows ELSE '[]' END) e
              WHERE (left_out IS NULL OR NOT json_flag(e -> left_out)) AND (is_stock IS NULL OR NOT e ? is_stock OR json_flag(e -> is_stock))) q);
END $$;
COMMENT ON FUNCTION carried_rows(text, text, text, jsonb, jsonb) IS 'Rows of a section as another document gives them, numbered anew; NULL: none';

CREATE FUNCTION rows_total(profile text, entity text, rows jsonb, included boolean) RETURNS numeric
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    n jsonb := property_names(profile, entity);
BEGIN
    RETURN (SELECT coalesce(sum(round(coalesce(json_numeric(e -> (n ->> 'total')), json_numeric(e -> (n ->> 'sum')) + CASE WHEN included THEN 0 ELSE coalesce(json_numeric(e -> (n ->> 'vat_sum')), 0) END), 2)), 0)
            FROM jsonb_array_elements(CASE jsonb_typeof(rows) WHEN 'array' THEN rows ELSE '[]' END) e);
END $$;
COMMENT ON FUNCTION rows_total(text, text, jsonb, boolean) IS 'Sum of the rows of a section, VAT and all';

CREATE FUNCTION document_total(profile text, action text, document jsonb) RETURNS numeric
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT sum(rows_total(profile, e.entity, document -> entity_set(profile, e.entity), coalesce(json_flag(document -> (property_names(profile, action) ->> 'vat_included')), true)))
            FROM (VALUES (action || '_line'), (action || '_service')) e (entity) WHERE entity_set(profile, e.entity) IS NOT NULL);
END $$;
COMMENT ON FUNCTION document_total(text, text, jsonb) IS 'Sum of all rows of a sale or return';

CREATE FUNCTION followup_marker(f followup) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT f.action || '/' || a.identity || '/' || f.order_id FROM account a WHERE a.name = f.account);
END $$;
COMMENT ON FUNCTION followup_marker(followup) IS 'Text in the comment by which a sale or return is recognised when its key is not ours';

CREATE FUNCTION has_marker(comment text, marker text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN comment ~ ('(^|\s)' || regexp_replace(marker, '([^A-Za-z0-9/])', '\\\1', 'g') || '(:|\s|$)');
COMMENT ON FUNCTION has_marker(text, text) IS 'Whether a comment carries exactly this marker';

-- The marker of the order, or of the sale, is no part of the comment that goes over.
CREATE FUNCTION followup_comment(f followup, comment text, max_length integer) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    plain text := coalesce(regexp_replace(comment, '^\s*(sale/)?' || (SELECT regexp_replace(a.identity, '([^A-Za-z0-9])', '\\\1', 'g') FROM account a WHERE a.name = f.account) || '/' || f.order_id || '(:\s*|$)', ''), '');
BEGIN
    RETURN CASE WHEN (SELECT i.keeps_ref_key FROM infobase i WHERE i.name = f.infobase) THEN left(plain, coalesce(max_length, 2147483647)) ELSE marked_comment(followup_marker(f), plain, max_length) END;
END $$;
COMMENT ON FUNCTION followup_comment(followup, text, integer) IS 'Comment of a sale or return: that of the document it is made from, with a marker while the base has not proved that it keeps our keys';

CREATE FUNCTION followup_document(f followup, profile text, order_ref uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    source text := followup_source(f.action);
    names  jsonb := property_names(profile, f.action);
    refs   jsonb := '{}';
    document jsonb;
    s      record;
    rows   jsonb;
BEGIN
    refs := jsonb_build_object('order', order_ref, 'order_type', 'StandardODATA.' || entity_set(profile, 'order'), 'basis', order_ref, 'basis_type', 'StandardODATA.' || entity_set(profile, 'order'));
    IF f.action = 'return' THEN
        refs := refs || jsonb_build_object('sale', f.source_ref, 'sale_type', 'StandardODATA.' || entity_set(profile, 'sale'));
    END IF;
    document := carried_object(profile, f.action, source, f.source_body, refs);
    FOR s IN SELECT e.part FROM (VALUES ('_line'), ('_service')) e (part) WHERE entity_set(profile, f.action || e.part) IS NOT NULL LOOP
        rows := carried_rows(profile, f.action || s.part, source || s.part, f.source_body -> entity_set(profile, source || s.part), refs);
        IF rows IS NOT NULL THEN
            document := document || jsonb_build_object(entity_set(profile, f.action || s.part), rows);
        END IF;
    END LOOP;
    IF f.action = 'return' AND names ? 'total' THEN
        document := document || jsonb_build_object(names ->> 'total', document_total(profile, f.action, document));
    END IF;
    IF names ? 'comment' THEN
        document := document || jsonb_build_object(names ->> 'comment', followup_comment(f, f.source_body ->> (property_names(profile, source) ->> 'comment'), max_length(profile, 'order', 'comment')));
    END IF;
    RETURN document;
END $$;
COMMENT ON FUNCTION followup_document(followup, text, uuid) IS 'Sale, or return, as the document it is made from gives it';

-- What BAS does not post a document without, and neither it nor a constant of the profile gives.
CREATE FUNCTION followup_gaps(profile text, action text, document jsonb) RETURNS TABLE (entity text, concept text, property text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT p.entity, p.concept, p.property FROM profile_property_effective p
    WHERE p.profile = followup_gaps.profile AND p.needed AND p.property IS NOT NULL
      AND CASE WHEN p.entity = action THEN carried(document -> p.property) IS NULL
               WHEN p.entity IN (action || '_line', action || '_service')
               THEN EXISTS (SELECT FROM jsonb_array_elements(coalesce(document -> entity_set(p.profile, p.entity), '[]')) e WHERE carried(e -> p.property) IS NULL) END
    ORDER BY p.entity, p.concept;
END $$;
COMMENT ON FUNCTION followup_gaps(text, text, jsonb) IS 'Properties that a sale or return lacks and that BAS needs to post it';

CREATE FUNCTION followup_name(action text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE action WHEN 'sale' THEN 'Sales document' ELSE 'Return document' END;
COMMENT ON FUNCTION followup_name(text) IS 'What a sentence calls it';

-- Closing.

CREATE FUNCTION closing(f followup, profile text, OUT properties jsonb, OUT problem text, OUT detail text) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names jsonb := property_names(profile, 'order');
    own   jsonb := property_names(profile, 'closing');
    word  text  := profile_constant(profile, 'closing', 'closed');
    set   text  := entity_set(profile, 'status');
    found record;
BEGIN
    IF word IS NULL OR NOT names ? 'status' THEN
        problem := CASE WHEN profile_constant(profile, 'closing', 'none') IS NOT NULL THEN 'nothing_to_close' ELSE 'close_unknown' END;
        RETURN;
    END IF;
    IF set IS NULL THEN    -- a value of an enumeration
        properties := jsonb_build_object(names ->> 'status', word);
    ELSE
        IF list_state(f.infobase, profile, 'status') IS NOT NULL THEN
            problem := 'dictionary';
            RETURN;
        END IF;
        SELECT * INTO found FROM chosen_value(f.infobase, 'status', word);
        IF found.ref IS NULL THEN
            problem := 'close_status';
            detail := format('Infobase "%s" has no status "%s" (there: %s).', f.infobase, word, coalesce(found.candidates, 'nothing'));
            RETURN;
        END IF;
        properties := jsonb_build_object(names ->> 'status', found.ref) || CASE WHEN names ? 'status_type' THEN jsonb_build_object(names ->> 'status_type', 'StandardODATA.' || set) ELSE '{}' END;
    END IF;
    IF own ? 'outcome' THEN
        properties := properties || jsonb_build_object(own ->> 'outcome', profile_constant(profile, 'closing',
            CASE WHEN EXISTS (SELECT FROM cancellations(order_keys(f.account, f.order_id))) THEN 'outcome_cancelled' ELSE 'outcome_done' END));
    END IF;
END $$;
COMMENT ON FUNCTION closing(followup, text) IS 'What a closed order carries; problem: nothing_to_close, close_unknown, close_status, or dictionary (its statuses are not read yet)';

CREATE FUNCTION closing_of(account text, order_id bigint, profile text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT c.properties FROM followup f CROSS JOIN LATERAL closing(f, closing_of.profile) c
            WHERE f.account = closing_of.account AND f.order_id = closing_of.order_id AND f.action = 'close' AND f.state = 'wanted' AND f.due);
END $$;
COMMENT ON FUNCTION closing_of(text, bigint, text) IS 'What the document of an order is to carry because it is to be closed now; NULL: it is not';

CREATE FUNCTION note_closings(orders order_key[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM few(orders) k JOIN followup f ON f.account = k.account AND f.order_id = k.order_id AND f.action = 'close' AND f.due AND f.state = 'wanted') THEN
        RETURN;
    END IF;
    WITH ended AS (
        UPDATE followup f SET state = CASE WHEN d.deleted THEN 'dropped' ELSE 'done' END, due = false, done_at = clock(), bas_ref = d.ref_key, number = d.number,
            reason = CASE WHEN d.deleted THEN 'deleted_in_bas' END, detail = CASE WHEN d.deleted THEN format('Document %s is marked for deletion in BAS or gone: it is not closed.', d.number) END
        FROM few(orders) k JOIN order_sync y ON y.account = k.account AND y.order_id = k.order_id JOIN bas_order d ON d.infobase = y.infobase AND d.ref_key = y.bas_ref
        JOIN infobase i ON i.name = y.infobase
        WHERE f.account = k.account AND f.order_id = k.order_id AND f.action = 'close' AND f.due AND f.state = 'wanted' AND (d.deleted OR odata_wanted(closing_of(f.account, f.order_id, i.profile), d.read_body) IS NULL)
        RETURNING f.account, f.order_id, f.state, f.number, f.detail
    )
    INSERT INTO order_event (account, order_id, event, text) SELECT e.account, e.order_id, CASE e.state WHEN 'done' THEN 'closed' ELSE 'followup_dropped' END, coalesce(e.detail, format('Order %s is closed in BAS.', e.number)) FROM ended e;
END $$;
COMMENT ON FUNCTION note_closings(order_key[]) IS 'Of orders that are right: those that were to be closed are';
