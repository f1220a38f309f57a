-- Purpose: the line that tells of a sum changed in BAS: in the comment of the document, and (59_told.sql) in that of the order.
-- Rights: the engine's role and 'operator' (preview).
--
-- The API of SalesDrive does not let the sum of an order be changed. So the comment says it: once for each change, in place of the line of an earlier
-- one, and not any more when the sum is that of the order again. The line is no part of a comment that is compared or carried from the order to the document.
-- order_sync.told_lines keeps every line written so, here or there: by that it is known again.

CREATE FUNCTION sum_text(sum_comment text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE sum_comment WHEN 'uk' THEN 'Увага, змінена сума замовлення – 0000.00 грн.' WHEN 'ru' THEN 'Внимание измененная сумма заказа – 0000.00 грн.'
                            WHEN 'en' THEN 'Attention, the sum of the order was changed – 0000.00 UAH.' ELSE sum_comment END;
COMMENT ON FUNCTION sum_text(text) IS 'Text of the line by account.sum_comment: a shipped one by name, else as given';

CREATE FUNCTION sum_line(sum_comment text, sum numeric) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN replace(sum_text(sum_comment), '0000.00', round(sum, 2)::text);
COMMENT ON FUNCTION sum_line(text, numeric) IS 'The line for a sum';

-- Either system may change blanks, dashes and commas.
CREATE FUNCTION line_key(line text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN btrim(regexp_replace(regexp_replace(translate(line, '–—', '--'), '(\d),(\d\d)(?!\d)', '\1.\2', 'g'), '\s+', ' ', 'g'));
COMMENT ON FUNCTION line_key(text) IS 'A line as it is compared';

CREATE FUNCTION has_line(comment text, lines text[]) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM regexp_split_to_table(comment, '\r?\n') c JOIN few(lines) l ON line_key(l) = line_key(c));
END $$;
COMMENT ON FUNCTION has_line(text, text[]) IS 'Whether a whole line of a comment is one of these';

-- Only a whole line that is known to be ours is one: what people write may look like it.
CREATE FUNCTION without_lines(comment text, lines text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN CASE WHEN has_line(comment, lines)
                THEN coalesce((SELECT string_agg(c.text, E'\n' ORDER BY c.n) FROM regexp_split_to_table(comment, '\r?\n') WITH ORDINALITY c (text, n)
                               WHERE NOT EXISTS (SELECT FROM few(lines) l WHERE line_key(l) = line_key(c.text))), '')
                ELSE comment END;
END $$;
COMMENT ON FUNCTION without_lines(text, text[]) IS 'A comment without such lines';

CREATE FUNCTION with_sum_line(comment text, told text[], line text, max_length integer) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    own text := coalesce(without_lines(comment, told), '');
BEGIN
    RETURN CASE WHEN line IS NULL THEN own WHEN own = '' THEN line
                ELSE left(own, greatest(coalesce(max_length, 2147483647) - length(line) - 1, 0)) || E'\n' || line END;
END $$;
COMMENT ON FUNCTION with_sum_line(text, text[], text, integer) IS 'A comment with a line as its last, in place of those told before; without one, the comment without them';

CREATE FUNCTION changed_sum(b bas_order, amount numeric, total text) RETURNS numeric
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    held numeric := round(json_numeric(b.read_body -> total), 2);
BEGIN
    RETURN CASE WHEN NOT coalesce(b.deleted, false) AND held <> round(amount, 2) AND held <> round(json_numeric(coalesce(b.written_body -> total, b.sent_body -> total)), 2) THEN held END;
END $$;
COMMENT ON FUNCTION changed_sum(bas_order, numeric, text) IS 'Sum of a document that was changed in BAS: it is another than we wrote, and than that of the order; else NULL';

CREATE FUNCTION unsummed_document(document jsonb, told text[], profile text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names   jsonb := property_names(profile, 'order');
    comment text := names ->> 'comment';
    marker  text := CASE WHEN names ? 'customer_reference' THEN '' ELSE coalesce(substring(document ->> comment FROM '^\S+/\d+: '), '') END;
    own     text := substr(document ->> comment, length(marker) + 1);
BEGIN
    IF has_line(own, told) THEN
        own := without_lines(own, told);
        RETURN document || jsonb_build_object(comment, CASE WHEN own = '' THEN rtrim(marker, ': ') ELSE marker || own END);
    END IF;
    RETURN document;
END $$;
COMMENT ON FUNCTION unsummed_document(jsonb, text[], text) IS 'A document whose comment came back from SalesDrive with the line, without it';

CREATE FUNCTION sum_patch(b bas_order, amount numeric, sum_comment text, told text[], profile text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names   jsonb := property_names(profile, 'order');
    comment text := names ->> 'comment';
    line    text := sum_line(sum_comment, changed_sum(b, amount, names ->> 'total'));
    held    text := coalesce(b.read_body ->> comment, '');
BEGIN
    RETURN CASE WHEN comment IS NULL OR coalesce(b.deleted, false) THEN NULL
                WHEN line IS NULL THEN CASE WHEN has_line(held, told) THEN jsonb_build_object(comment, without_lines(held, told)) END
                WHEN NOT has_line(b.written_body ->> comment, ARRAY[line]) AND NOT has_line(held, ARRAY[line])
                THEN jsonb_build_object(comment, with_sum_line(held, told, line, max_length(profile, 'order', 'comment'))) END;
END $$;
COMMENT ON FUNCTION sum_patch(bas_order, numeric, text, text[], text) IS 'What makes the comment of a document tell of its changed sum, or no more tell of it; NULL: it is right, or someone in BAS has taken the line away';

-- Before a line leaves: an answer may be lost.
CREATE FUNCTION note_lines_told(orders order_key[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE order_sync y SET told_lines = array_append(array_remove(y.told_lines, t.line), t.line)
    FROM (SELECT k.account, k.order_id, sum_line(a.sum_comment, changed_sum(b, o.payment_amount, property_names(i.profile, 'order') ->> 'total')) AS line
          FROM few(orders) k
          JOIN account a ON a.name = k.account AND a.sum_comment IS NOT NULL
          JOIN infobase i ON i.name = a.infobase
          JOIN order_sync s ON s.account = k.account AND s.order_id = k.order_id
          JOIN bas_order b ON b.infobase = s.infobase AND b.ref_key = s.bas_ref
          JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id) t
    WHERE y.account = t.account AND y.order_id = t.order_id AND t.line <> coalesce(y.told_lines[cardinality(y.told_lines)], '');
END $$;
COMMENT ON FUNCTION note_lines_told(order_key[]) IS 'Keeps the lines that tell of the sums of documents by now, the present one as the last';

CREATE FUNCTION settle_sum_told(answers order_answer[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE bas_order b SET posted = json_flag(a.body -> 'Posted'), deleted = json_flag(a.body -> 'DeletionMark'), data_version = a.body ->> 'DataVersion', read_body = a.body, read_at = clock(),
        written_body = coalesce(b.written_body, '{}') || same_keys(a.body, jsonb_build_object(property_names(a.profile, 'order') ->> 'comment', NULL))
    FROM few(answers) a WHERE b.infobase = a.infobase AND b.ref_key = a.ref_key;
    INSERT INTO order_event (account, order_id, event, version, text)
    SELECT a.account, a.order_id, 'sum_told', (a.memo ->> 'version')::bigint,
           format('Document %s: its comment %s.', y.number, CASE WHEN s.sum IS NULL THEN 'does not tell of a changed sum any more' ELSE 'tells that its sum is ' || s.sum END)
    FROM few(answers) a JOIN order_sync y ON y.account = a.account AND y.order_id = a.order_id JOIN crm_order o ON o.account = a.account AND o.order_id = a.order_id
    JOIN bas_order b ON b.infobase = a.infobase AND b.ref_key = a.ref_key
    CROSS JOIN LATERAL (SELECT changed_sum(b, o.payment_amount, property_names(a.profile, 'order') ->> 'total') AS sum) s;
END $$;
COMMENT ON FUNCTION settle_sum_told(order_answer[]) IS 'Takes in documents whose comment tells of their sum: that line is ours, no change made in BAS';
