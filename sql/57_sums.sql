-- Purpose: the line that tells of a sum changed in BAS: in the comment of the document, and (59_told.sql) in that of the order.
-- Rights: the engine's role and 'operator' (preview).
--
-- The API of SalesDrive does not let the sum of an order be changed. So the comment says it: once for each change, in place of the line of an earlier
-- one, and not any more when the sum is that of the order again. The line is no part of a comment that is compared or carried from the order to the document.

CREATE FUNCTION sum_text(sum_comment text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE sum_comment WHEN 'uk' THEN 'Увага, змінена сума замовлення – 0000.00 грн.' WHEN 'ru' THEN 'Внимание измененная сумма заказа – 0000.00 грн.'
                            WHEN 'en' THEN 'Attention, the sum of the order was changed – 0000.00 UAH.' ELSE sum_comment END;
COMMENT ON FUNCTION sum_text(text) IS 'Text of the line by account.sum_comment: a shipped one by name, else as given';

CREATE FUNCTION sum_line(sum_comment text, sum numeric) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN replace(sum_text(sum_comment), '0000.00', round(sum, 2)::text);
COMMENT ON FUNCTION sum_line(text, numeric) IS 'The line for a sum';

-- Also the shipped texts: the setting may have been another when the line was written. Either system may change blanks and dashes.
CREATE FUNCTION sum_pattern(sum_comment text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN '\s*(?:' || (SELECT string_agg(DISTINCT regexp_replace(regexp_replace(replace(regexp_replace(btrim(sum_text(x)), '([][\\.^$*+?(){}|])', '\\\1', 'g'), '0000\.00', '-?\d+[.,]\d\d'), '[–—-](?!\?)', '[–—-]', 'g'), '\s+', '\s+', 'g'), '|')
                        FROM unnest(ARRAY['uk', 'ru', 'en', sum_comment]) x) || ')';
END $$;
COMMENT ON FUNCTION sum_pattern(text) IS 'Regular expression of the line, whatever its sum';

CREATE FUNCTION with_sum_line(sum_comment text, comment text, sum numeric, max_length integer) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    own  text := coalesce(regexp_replace(comment, sum_pattern(sum_comment), '', 'g'), '');
    line text := sum_line(sum_comment, sum);
BEGIN
    IF own IS DISTINCT FROM comment THEN
        own := ltrim(own, E'\r\n');    -- the line was the first
    END IF;
    RETURN CASE WHEN line IS NULL THEN own WHEN own = '' THEN line
                ELSE left(own, greatest(coalesce(max_length, 2147483647) - length(line) - 1, 0)) || E'\n' || line END;
END $$;
COMMENT ON FUNCTION with_sum_line(text, text, numeric, integer) IS 'A comment with the line for a sum as its last, in place of any other such line; without a sum, the comment without the line';

CREATE FUNCTION changed_sum(b bas_order, amount numeric, total text) RETURNS numeric
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    held numeric := round(json_numeric(b.read_body -> total), 2);
BEGIN
    RETURN CASE WHEN NOT coalesce(b.deleted, false) AND held <> round(amount, 2) AND held <> round(json_numeric(coalesce(b.written_body -> total, b.sent_body -> total)), 2) THEN held END;
END $$;
COMMENT ON FUNCTION changed_sum(bas_order, numeric, text) IS 'Sum of a document that was changed in BAS: it is another than we wrote, and than that of the order; else NULL';

CREATE FUNCTION unsummed_document(document jsonb, sum_comment text, profile text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names   jsonb := property_names(profile, 'order');
    comment text := names ->> 'comment';
    own     text;
BEGIN
    IF document ->> comment ~ sum_pattern(sum_comment) THEN
        own := with_sum_line(sum_comment, document ->> comment, NULL, NULL);
        RETURN document || jsonb_build_object(comment, CASE WHEN names ? 'customer_reference' THEN own ELSE regexp_replace(own, '^(\S+/\d+):$', '\1') END);    -- a marker alone
    END IF;
    RETURN document;
END $$;
COMMENT ON FUNCTION unsummed_document(jsonb, text, text) IS 'A document whose comment came back from SalesDrive with the line, without it';

CREATE FUNCTION sum_patch(b bas_order, amount numeric, sum_comment text, profile text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names   jsonb := property_names(profile, 'order');
    comment text := names ->> 'comment';
    sum     numeric := changed_sum(b, amount, names ->> 'total');
    held    text := coalesce(b.read_body ->> comment, '');
BEGIN
    RETURN CASE WHEN comment IS NULL OR coalesce(b.deleted, false) THEN NULL
                WHEN sum IS NULL THEN CASE WHEN held ~ sum_pattern(sum_comment) THEN jsonb_build_object(comment, with_sum_line(sum_comment, held, NULL, NULL)) END
                WHEN position(sum_line(sum_comment, sum) IN coalesce(b.written_body ->> comment, '')) = 0 AND position(sum_line(sum_comment, sum) IN held) = 0
                THEN jsonb_build_object(comment, with_sum_line(sum_comment, held, sum, max_length(profile, 'order', 'comment'))) END;
END $$;
COMMENT ON FUNCTION sum_patch(bas_order, numeric, text, text) IS 'What makes the comment of a document tell of its changed sum, or no more tell of it; NULL: it is right, or someone in BAS has taken the line away';

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
