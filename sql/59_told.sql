-- Purpose: what SalesDrive is told of the document of an order: its number, its address, its sum when that was changed in BAS.
-- Rights: the engine's role.

-- An address holds the parts of a key in another order: the last two, the third, the second, the first.
CREATE FUNCTION document_link(link_text text, url text, entity_set text, ref_key uuid, number text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    p text[] := string_to_array(ref_key::text, '-');
BEGIN
    RETURN replace(replace(replace(replace(replace(link_text, '{url}', url), '{document}', regexp_replace(entity_set, '^Document_', 'Документ.')), '{ref}', p[4] || p[5] || p[3] || p[2] || p[1]), '{key}', ref_key::text), '{number}', number);
END $$;
COMMENT ON FUNCTION document_link(text, text, text, uuid, text) IS 'Address of a document in the client of BAS, by the text of account.link_text';

CREATE FUNCTION document_wishes(orders order_key[]) RETURNS SETOF crm_wish
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT y.account, y.order_id, w.field, w.wanted, w.cause
    FROM few(orders) k
    JOIN account a ON a.name = k.account AND (a.number_to IS NOT NULL OR a.link_to IS NOT NULL)
    JOIN infobase i ON i.name = a.infobase
    JOIN order_sync y ON y.account = k.account AND y.order_id = k.order_id
    CROSS JOIN LATERAL (SELECT btrim(y.number) AS number, CASE WHEN a.link_to IS NOT NULL OR a.number_text ~ '\{link\}' THEN document_link(a.link_text, i.url, entity_set(i.profile, 'order'), y.bas_ref, btrim(y.number)) END AS link) d
    CROSS JOIN LATERAL (VALUES (CASE a.number_to WHEN 'note' THEN 'note:number' ELSE a.number_to END, replace(replace(a.number_text, '{number}', d.number), '{link}', coalesce(d.link, '')), 'number'),
                               (a.link_to, d.link, 'link')) w (field, wanted, cause)
    WHERE y.bas_ref IS NOT NULL AND d.number <> '' AND w.field IS NOT NULL
      AND NOT EXISTS (SELECT FROM crm_change c WHERE c.account = y.account AND c.order_id = y.order_id AND c.field = w.field AND c.wanted = w.wanted AND c.state <> 'dropped');
END $$;
COMMENT ON FUNCTION document_wishes(order_key[]) IS 'What SalesDrive is to hold of the documents of orders, where their accounts tell it and it was not asked for yet';

CREATE FUNCTION coming_comment(o crm_order, c crm_change) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN c.state IN ('wanted', 'unknown', 'sent') THEN c.wanted ELSE o.comment END;
COMMENT ON FUNCTION coming_comment(crm_order, crm_change) IS 'Comment an order has in SalesDrive once the one under way is there';

CREATE FUNCTION comment_with_told_line(account text, order_id bigint, comment text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT with_sum_line(comment_with_told_line.comment, y.told_lines, l.line, NULL)
                     FROM order_sync y JOIN crm_order o ON o.account = y.account AND o.order_id = y.order_id
                     LEFT JOIN crm_change c ON c.account = y.account AND c.order_id = y.order_id AND c.field = 'comment'
                     CROSS JOIN LATERAL (SELECT y.told_lines[cardinality(y.told_lines)] AS line) l
                     WHERE y.account = comment_with_told_line.account AND y.order_id = comment_with_told_line.order_id AND y.told_sum IS NOT NULL AND has_line(coming_comment(o, c), ARRAY[l.line])), comment);
END $$;
COMMENT ON FUNCTION comment_with_told_line(text, bigint, text) IS 'A comment that somebody wants an order to have, with the line of its sum, if the comment it takes the place of has that';

CREATE FUNCTION sums_to_tell(orders order_key[]) RETURNS TABLE (account text, order_id bigint, sum numeric, comment text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT y.account, y.order_id, c.sum, with_sum_line(coming_comment(o, w), y.told_lines, sum_line(a.sum_comment, c.sum), NULL)
    FROM few(orders) k
    JOIN account a ON a.name = k.account AND a.sum_comment IS NOT NULL
    JOIN infobase i ON i.name = a.infobase
    JOIN order_sync y ON y.account = k.account AND y.order_id = k.order_id
    JOIN bas_order b ON b.infobase = y.infobase AND b.ref_key = y.bas_ref
    JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id
    CROSS JOIN LATERAL (SELECT changed_sum(b, o.payment_amount, property_names(i.profile, 'order') ->> 'total') AS sum OFFSET 0) c
    LEFT JOIN crm_change w ON w.account = k.account AND w.order_id = k.order_id AND w.field = 'comment'
    WHERE c.sum IS DISTINCT FROM y.told_sum
       OR w.state = 'dropped' AND CASE WHEN c.sum IS NULL THEN w.cause = 'sum' AND has_line(o.comment, y.told_lines) ELSE has_line(w.wanted, ARRAY[sum_line(a.sum_comment, c.sum)]) END;
END $$;
COMMENT ON FUNCTION sums_to_tell(order_key[]) IS 'Orders whose sum was changed in BAS, or is as it was again, since SalesDrive was told, and the comment they are to have there';

CREATE FUNCTION tell_documents(orders order_key[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    documents boolean;
    sums      boolean;
BEGIN
    SELECT bool_or(a.number_to IS NOT NULL OR a.link_to IS NOT NULL), bool_or(a.sum_comment IS NOT NULL) INTO documents, sums FROM account a;
    IF documents THEN
        PERFORM want_in_crm(ARRAY(SELECT w FROM document_wishes(orders) w));
    END IF;
    IF sums THEN
        PERFORM note_lines_told(orders);
        PERFORM want_in_crm(ARRAY(SELECT (s.account, s.order_id, 'comment', s.comment, 'sum')::crm_wish FROM sums_to_tell(orders) s));
        UPDATE order_sync y SET told_sum = s.sum FROM sums_to_tell(orders) s WHERE y.account = s.account AND y.order_id = s.order_id;
    END IF;
END $$;
COMMENT ON FUNCTION tell_documents(order_key[]) IS 'Has SalesDrive told of the documents of orders, where their accounts tell it';
