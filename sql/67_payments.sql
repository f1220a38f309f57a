-- Purpose: payments of SalesDrive: taking them in as listed, and tasks of kind payment, which make the payment document of each in BAS, exactly once.
-- Rights: the engine's role; 'operator' asks for them, skips and accepts.
--
--   listed ──▶ not wanted (off, earlier, unattached, from BAS, gone, skipped): nothing is made, until that changes
--          ──▶ its order has no document yet: waits for the order
--          ──▶ create ──▶ there ──▶ post, if wanted ──▶ done      a creation whose answer was lost is read back before anything else
--   listed again otherwise than its document was made from: parked and told. What stands in BAS is never rewritten.

-- Taking in.

CREATE FUNCTION payment_direction(type text, sum numeric) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN sum IS NULL OR type IS NULL OR lower(type) NOT IN ('incoming', 'outcoming') THEN NULL WHEN (lower(type) = 'incoming') = (sum >= 0) THEN 'in' ELSE 'out' END;
COMMENT ON FUNCTION payment_direction(text, numeric) IS 'Whether money comes in (the customer pays) or goes out (back to him): by the type, turned round by a negative sum; NULL for a type that is not known';

CREATE FUNCTION kopeck_sum(value jsonb) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN abs(json_numeric(value)) < 1e13 THEN json_numeric(value) END;
COMMENT ON FUNCTION kopeck_sum(jsonb) IS 'A sum of money as written, exact; NULL when it is none, or too large for BAS';

CREATE FUNCTION payment_parts(listed jsonb) RETURNS TABLE (part_no integer, order_id bigint, sum numeric, invoice text, form_id bigint)
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT e.n::integer, order_number(e.part #> '{order,id}'), kopeck_sum(e.part -> 'sum'), json_text(e.part #> '{invoice,number}'), json_bigint(e.part #> '{order,formId}')
    FROM jsonb_array_elements(json_rows(listed -> 'paymentBreakdown')) WITH ORDINALITY e (part, n) WHERE jsonb_typeof(e.part) = 'object'
    UNION ALL    -- an older shape: the order beside the sum
    SELECT 1, order_number(listed #> '{order,id}'), kopeck_sum(listed -> 'sum'), NULL, json_bigint(listed #> '{order,formId}') WHERE json_rows(listed -> 'paymentBreakdown') = '[]' AND order_number(listed #> '{order,id}') IS NOT NULL;
END $$;
COMMENT ON FUNCTION payment_parts(jsonb) IS 'What a payment as received is attached to';

CREATE FUNCTION payment_essence(listed jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN jsonb_build_object('date', json_time(listed -> 'date'), 'sum', trim_scale(kopeck_sum(listed -> 'sum'))::text, 'direction', payment_direction(json_text(listed -> 'type'), kopeck_sum(listed -> 'sum')),
        'account', json_text(listed #> '{organizationAccount,accountNumber}'), 'organization', json_text(listed #> '{organization,id}'),
        'orders', (SELECT coalesce(jsonb_object_agg(o.order_id, o.sum::text), '{}') FROM (SELECT p.order_id, trim_scale(sum(p.sum)) AS sum FROM payment_parts(listed) p WHERE p.order_id IS NOT NULL GROUP BY p.order_id) o));
END $$;
COMMENT ON FUNCTION payment_essence(jsonb) IS 'What the document of a payment depends on';

CREATE FUNCTION keep_payment_page(account text, feed text, rows jsonb, body bytea) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    now_at timestamptz := clock();
    known  jsonb;
    news   bigint[];
BEGIN
    SELECT coalesce(jsonb_object_agg(p.payment_id, p.essence), '{}') INTO known
    FROM jsonb_array_elements(rows) e JOIN crm_payment p ON p.account = keep_payment_page.account AND p.payment_id = order_number(e -> 'id') AND p.gone_at IS NULL;    -- one that is back is new

    INSERT INTO crm_payment AS p (account, payment_id, paid_at, sum, type, direction, organization_id, organization, account_number, purpose, comment, contact_name, counterparty_name, counterparty_code,
        created_at, updated_at, essence, data, received_at, changed_at, seen_at)
    SELECT DISTINCT ON (order_number(e -> 'id')) keep_payment_page.account, order_number(e -> 'id'), json_time(e -> 'date'), kopeck_sum(e -> 'sum'), json_text(e -> 'type'), payment_direction(json_text(e -> 'type'), kopeck_sum(e -> 'sum')),
        json_text(e #> '{organization,id}'), json_text(e #> '{organization,title}'), json_text(e #> '{organizationAccount,accountNumber}'), json_text(e -> 'purpose'), json_text(e -> 'comment'),
        nullif(concat_ws(' ', json_text(e #> '{contact,lName}'), json_text(e #> '{contact,fName}'), json_text(e #> '{contact,mName}')), ''), json_text(e #> '{counterparty,title}'), json_text(e #> '{counterparty,egrpou}'),
        json_time(e -> 'createdAt'), json_time(e -> 'updatedAt'), payment_essence(e), e, now_at, now_at, now_at
    FROM jsonb_array_elements(rows) e WHERE order_number(e -> 'id') IS NOT NULL ORDER BY order_number(e -> 'id')
    ON CONFLICT ON CONSTRAINT crm_payment_pkey DO UPDATE SET paid_at = excluded.paid_at, sum = excluded.sum, type = excluded.type, direction = excluded.direction, organization_id = excluded.organization_id,
        organization = excluded.organization, account_number = excluded.account_number, purpose = excluded.purpose, comment = excluded.comment, contact_name = excluded.contact_name,
        counterparty_name = excluded.counterparty_name, counterparty_code = excluded.counterparty_code, created_at = excluded.created_at, updated_at = excluded.updated_at,
        changed_at = CASE WHEN p.essence = excluded.essence THEN p.changed_at ELSE excluded.changed_at END, essence = excluded.essence, data = excluded.data, seen_at = excluded.seen_at, misses = 0, gone_at = NULL;

    news := ARRAY(SELECT DISTINCT order_number(e -> 'id') FROM jsonb_array_elements(rows) e WHERE order_number(e -> 'id') IS NOT NULL AND known -> order_number(e -> 'id')::text IS DISTINCT FROM payment_essence(e) ORDER BY 1);
    DELETE FROM crm_payment_part q WHERE q.account = keep_payment_page.account AND q.payment_id = ANY (news);
    INSERT INTO crm_payment_part SELECT p.account, p.payment_id, x.part_no, x.order_id, x.sum, x.invoice, x.form_id
    FROM few(news) k JOIN crm_payment p ON p.account = keep_payment_page.account AND p.payment_id = k CROSS JOIN LATERAL payment_parts(p.data) x;
    INSERT INTO order_event (account, order_id, event, text)
    SELECT p.account, o.order_id::bigint, 'payment', format('Payment %s of SalesDrive: %s', p.payment_id, CASE WHEN known ? p.payment_id::text THEN 'changed: ' || payment_changes(known -> p.payment_id::text, p.essence) ELSE payment_sentence(p) END)
    FROM few(news) k JOIN crm_payment p ON p.account = keep_payment_page.account AND p.payment_id = k
    CROSS JOIN LATERAL (SELECT jsonb_object_keys(p.essence -> 'orders') UNION SELECT jsonb_object_keys(known -> p.payment_id::text -> 'orders')) o (order_id);
    PERFORM enqueue_payments(account, news, CASE WHEN feed LIKE '%backfill' THEN 4 ELSE 2 END::smallint);
END $$;
COMMENT ON FUNCTION keep_payment_page(text, text, jsonb, bytea) IS 'Takes in a page of payments, and asks for the documents of those that are new or changed';

CREATE FUNCTION payment_sentence(p crm_payment) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN format('%s %s on %s%s.', CASE p.direction WHEN 'in' THEN 'received' WHEN 'out' THEN 'paid back' ELSE coalesce(p.type, 'of no type,') END, trim_scale(abs(p.sum)), to_char(p.paid_at, 'YYYY-MM-DD HH24:MI'), coalesce(', account ' || p.account_number, ''));
COMMENT ON FUNCTION payment_sentence(crm_payment) IS 'A payment in words';

CREATE FUNCTION payment_changes(before jsonb, after jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT string_agg(format('%s %s → %s', k, nullif(before ->> k, '{}'), nullif(after ->> k, '{}')), ', ' ORDER BY k)
            FROM jsonb_object_keys(coalesce(before, '{}') || coalesce(after, '{}')) k WHERE before -> k IS DISTINCT FROM after -> k);
END $$;
COMMENT ON FUNCTION payment_changes(jsonb, jsonb) IS 'What differs between two essences of a payment, in words';

-- The answer of a page may be older than one that was taken in meanwhile, and rows may move between pages: so one window that does not show it proves nothing.
CREATE FUNCTION note_payments_missing(p crm_poll) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    gone bigint[];
BEGIN
    IF p.pages IS NULL OR (SELECT x.payment_field FROM account_api x WHERE x.account = p.account) <> 'date' THEN
        RETURN;
    END IF;
    WITH missed AS (
        UPDATE crm_payment c SET misses = c.misses + 1, gone_at = CASE WHEN c.misses >= 1 THEN clock() END
        WHERE c.account = p.account AND c.paid_at BETWEEN p.window_from AND p.window_to AND c.seen_at < p.started_at AND c.gone_at IS NULL RETURNING c.*
    ), told AS (
        INSERT INTO order_event (account, order_id, event, text)
        SELECT m.account, o::bigint, 'payment', format('Payment %s of %s is not in SalesDrive any more.', m.payment_id, trim_scale(abs(m.sum))) FROM missed m CROSS JOIN LATERAL jsonb_object_keys(m.essence -> 'orders') o WHERE m.gone_at IS NOT NULL
    )
    SELECT array_agg(m.payment_id ORDER BY m.payment_id) INTO gone FROM missed m WHERE m.gone_at IS NOT NULL;
    PERFORM enqueue_payments(p.account, gone, 2::smallint);
END $$;
COMMENT ON FUNCTION note_payments_missing(crm_poll) IS 'After a whole window was read: a payment of its time that two such windows did not show is not in SalesDrive any more';

-- Windows are by date, and people enter payments late: a bank statement after holidays has dates that no window reaches back to.
CREATE FUNCTION reread_payments(account text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    since timestamptz := (SELECT clock() - x.payment_reread FROM account_api x JOIN account a ON a.name = x.account WHERE x.account = reread_payments.account AND x.payment_reread > '0' AND x.payment_field = 'date' AND a.payments_to_bas);
BEGIN
    IF since IS NOT NULL AND NOT EXISTS (SELECT FROM crm_poll p WHERE p.account = reread_payments.account AND p.feed = 'payments_backfill' AND (p.page IS NOT NULL OR p.started_at IS NULL OR p.done_at BETWEEN clock() - interval '1 day' AND clock() AND p.seen_until <= since)) THEN
        PERFORM begin_feed(account, 'payments', since);
    END IF;
END $$;
COMMENT ON FUNCTION reread_payments(text) IS 'Asks once a day for the payments of account_api.payment_reread to be read, unless a backfill of them is at work or was made';

CREATE FUNCTION keep_receipt_page(account text, feed text, rows jsonb, body bytea) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    now_at timestamptz := clock();
BEGIN
    INSERT INTO crm_receipt AS r (account, receipt_id, order_id, issued_at, total, discount, type, fiscal_code, state, is_return, cash_register, cashier, organization, updated_at, data, received_at, seen_at)
    SELECT DISTINCT ON (order_number(e -> 'id')) keep_receipt_page.account, order_number(e -> 'id'), order_number(e #> '{order,id}'), json_time(e -> 'date'), kopeck_sum(e -> 'totalSum'), kopeck_sum(e -> 'discount'), json_text(e -> 'type'),
        json_text(e -> 'fiscalCode'), json_text(e -> 'fiscalizationStatus'), coalesce(jsonb_typeof(e -> 'return') = 'object', false) OR json_flag(e -> 'return'), json_text(e #> '{cashRegister,name}'), json_text(e #> '{cashier,name}'),
        json_text(e #> '{organization,title}'), json_time(e -> 'updatedAt'), e, now_at, now_at
    FROM jsonb_array_elements(rows) e WHERE order_number(e -> 'id') IS NOT NULL ORDER BY order_number(e -> 'id')
    ON CONFLICT ON CONSTRAINT crm_receipt_pkey DO UPDATE SET order_id = excluded.order_id, issued_at = excluded.issued_at, total = excluded.total, discount = excluded.discount, type = excluded.type, fiscal_code = excluded.fiscal_code,
        state = excluded.state, is_return = excluded.is_return, cash_register = excluded.cash_register, cashier = excluded.cashier, organization = excluded.organization, updated_at = excluded.updated_at, data = excluded.data, seen_at = excluded.seen_at;
END $$;
COMMENT ON FUNCTION keep_receipt_page(text, text, jsonb, bytea) IS 'Takes in a page of receipts';

-- Asking.

CREATE FUNCTION enqueue_payments(account text, payments bigint[], lane smallint DEFAULT 2) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM want_tasks(array_agg((a.name, 'payment', k, a.name, a.infobase, enqueue_payments.lane)::task_wish)) FROM account a CROSS JOIN few(payments) k
    WHERE a.name = enqueue_payments.account AND EXISTS (SELECT FROM crm_payment p WHERE p.account = a.name AND p.payment_id = k) AND (a.payments_to_bas OR EXISTS (SELECT FROM payment_sync y WHERE y.account = a.name AND y.payment_id = k)) HAVING count(*) > 0;
END $$;
COMMENT ON FUNCTION enqueue_payments(text, bigint[], smallint) IS 'Asks for payments to be made right in BAS, where the account wants that, or they were begun; parked ones become due again';

CREATE FUNCTION wake_payments(orders order_key[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM payment_sync y WHERE y.not_wanted = 'other_base') THEN
        PERFORM enqueue_payments(n.account, n.payments) FROM (
            SELECT y.account, array_agg(DISTINCT y.payment_id) AS payments FROM few(orders) k JOIN crm_payment_part q ON q.account = k.account AND q.order_id = k.order_id
            JOIN payment_sync y ON y.account = q.account AND y.payment_id = q.payment_id AND y.not_wanted = 'other_base' GROUP BY 1 ORDER BY 1) n;
    END IF;
END $$;
COMMENT ON FUNCTION wake_payments(order_key[]) IS 'Asks for payments of orders, which are right now, that were taken for those of another order base';

CREATE FUNCTION fetch_payments(account text, since timestamptz DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN begin_feed(account, 'payments', since);
END $$;
COMMENT ON FUNCTION fetch_payments(text, timestamptz) IS 'Asks for payments to be read by the API: those of the last days (account_api.payment_overlap), or all since a day; returns the task';

CREATE FUNCTION fetch_receipts(account text, since timestamptz DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN begin_feed(account, 'receipts', since);
END $$;
COMMENT ON FUNCTION fetch_receipts(text, timestamptz) IS 'Asks for fiscal receipts to be read by the API: those of the last days, or all since a day; returns the task';

CREATE FUNCTION payments_switched() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    old_ones  bigint;
    documents bas_payment[];
BEGIN
    IF TG_WHEN = 'BEFORE' THEN
        NEW.payments_since := coalesce(NEW.payments_since, (clock() AT TIME ZONE NEW.time_zone)::date);
        RETURN NEW;
    END IF;
    PERFORM enqueue_payments(NEW.name, ARRAY(SELECT p.payment_id FROM crm_payment p LEFT JOIN payment_sync y ON y.account = p.account AND y.payment_id = p.payment_id
                                             WHERE p.account = NEW.name AND p.paid_at >= NEW.payments_since AND y.bas_ref IS NULL ORDER BY 1)) WHERE NEW.payments_to_bas;
    IF NEW.payments_to_bas AND (NOT OLD.payments_to_bas OR NEW.payments_since IS DISTINCT FROM OLD.payments_since) THEN
        old_ones := (SELECT count(*) FROM crm_payment p LEFT JOIN payment_sync y ON y.account = p.account AND y.payment_id = p.payment_id WHERE p.account = NEW.name AND p.paid_at >= NEW.payments_since AND y.bas_ref IS NULL AND payment_unwanted(p, NEW, y) IS NULL);
        IF old_ones > 0 THEN
            RAISE NOTICE 'documents are made in BAS now for % payments of account "%" since %', old_ones, NEW.name, NEW.payments_since
                USING HINT = 'If they were entered there by hand, set payments_since to a later day, best in the same UPDATE.';
        END IF;
    END IF;
    IF NEW.payments_from_bas AND (NOT OLD.payments_from_bas OR NEW.payments_since IS DISTINCT FROM OLD.payments_since) THEN
        documents := ARRAY(SELECT b FROM bas_payment b WHERE b.account = NEW.name AND NOT b.ours AND b.state IN ('seen', 'refused') AND b.posted AND NOT b.deleted AND b.direction = 'in' AND b.paid_at >= NEW.payments_since);
        IF documents <> '{}' THEN
            RAISE NOTICE '% payment documents of account "%" since % are registered in SalesDrive now', cardinality(documents), NEW.name, NEW.payments_since
                USING HINT = 'If they were entered there by hand, set payments_since to a later day, best in the same UPDATE.';
            PERFORM enqueue_payments_out(documents);
        END IF;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION payments_switched() IS 'Trigger: payments were switched on, or from an earlier day on, or others of them are wanted: what was only listed goes; BEFORE: they begin with today unless told otherwise';
CREATE TRIGGER payments_begin BEFORE INSERT OR UPDATE OF payments_to_bas, payments_from_bas, payments_since ON account FOR EACH ROW WHEN (NEW.payments_to_bas OR NEW.payments_from_bas) EXECUTE FUNCTION payments_switched();
CREATE TRIGGER payments_wanted AFTER UPDATE OF payments_to_bas, payments_from_bas, payments_since, unattached_payments ON account FOR EACH ROW EXECUTE FUNCTION payments_switched();

CREATE TRIGGER touched BEFORE UPDATE ON payment_rule FOR EACH ROW EXECUTE FUNCTION touched();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON payment_rule FOR EACH ROW EXECUTE FUNCTION wake_waiting('payment_rule:%s:', 'account');

-- Rules.

CREATE FUNCTION payment_ref_key(identity text, payment_id bigint) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN uuid_v5(ref_key_namespace(), 'payment/' || identity || '/' || payment_id);
COMMENT ON FUNCTION payment_ref_key(text, bigint) IS 'Ref_Key of the document of a payment';

CREATE FUNCTION payment_marker(identity text, payment_id bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN identity || '/p' || payment_id;
COMMENT ON FUNCTION payment_marker(text, bigint) IS 'Marker that stands first in the comment of the document of a payment: by it the document is recognised when its key is not ours, or when this database does not know the payment yet';

CREATE FUNCTION is_marked(comment text, marker text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(comment = marker OR left(comment, length(marker) + 1) = marker || ':', false);
COMMENT ON FUNCTION is_marked(text, text) IS 'Whether a comment begins with exactly this marker';

CREATE FUNCTION marked_payment(comment text, identity text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN split_part(comment, '/p', 1) = identity AND split_part(split_part(comment, ':', 1), '/p', 2) ~ '^[1-9]\d{0,16}$' THEN split_part(split_part(comment, ':', 1), '/p', 2)::bigint END;
COMMENT ON FUNCTION marked_payment(text, text) IS 'Payment whose marker a comment begins with';

CREATE FUNCTION payment_entities() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['payment_bank', 'payment_cash', 'refund_bank', 'refund_cash'];
COMMENT ON FUNCTION payment_entities() IS 'Concepts of payment documents';

CREATE FUNCTION payment_rule_of(account text, account_number text, organization text) RETURNS payment_rule
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT r FROM payment_rule r
            WHERE r.account IN (payment_rule_of.account, '*') AND r.account_number IN (coalesce(payment_rule_of.account_number, 'none'), '*') AND r.organization IN (coalesce(payment_rule_of.organization, 'none'), '*')
            ORDER BY r.account_number = '*', r.organization = '*', r.account = '*' LIMIT 1);
END $$;
COMMENT ON FUNCTION payment_rule_of(text, text, text) IS 'Row of payment_rule in force: that of the account number before that of any, then that of the organisation, then that of the account';

CREATE FUNCTION payment_place(infobase text, dictionary text, bas_key text, OUT ref uuid, OUT problem text, OUT unread boolean) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    c record;
BEGIN
    IF bas_key ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        ref := lower(bas_key)::uuid;
    ELSIF bas_key IS NOT NULL THEN
        unread := NOT EXISTS (SELECT FROM dictionary_load l WHERE l.infobase = payment_place.infobase AND l.dictionary = payment_place.dictionary);
        SELECT * INTO c FROM chosen_value(infobase, dictionary, bas_key);
        ref := c.ref;
        problem := CASE WHEN NOT unread AND c.problem IS NOT NULL THEN format('payment_rule gives %s "%s", which %s "%s" (there: %s).', dictionary, bas_key, c.problem, infobase, coalesce(c.candidates, 'nothing')) END;
    END IF;
END $$;
COMMENT ON FUNCTION payment_place(text, text, text) IS 'Bank account or cash desk that a rule names; unread: its list is to be read first';

-- The account key lists the payments of all order bases of an account of SalesDrive, and the orders here may be those of one.
CREATE FUNCTION is_other_base(p crm_payment, order_id bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    form bigint := (SELECT min(q.form_id) FROM crm_payment_part q WHERE q.account = p.account AND q.payment_id = p.payment_id AND q.order_id = is_other_base.order_id);
    here bigint;
BEGIN
    IF form IS NULL THEN
        RETURN false;
    END IF;
    SELECT x.form_id INTO here FROM crm_order x WHERE x.account = p.account AND x.order_id = is_other_base.order_id;
    IF FOUND THEN
        RETURN coalesce(here <> form, false);
    END IF;
    RETURN coalesce((SELECT bool_and(coalesce(l.form_id <> form, false)) FROM (SELECT x.form_id FROM crm_order x WHERE x.account = p.account ORDER BY x.order_id DESC LIMIT 1000) l), false);
END $$;
COMMENT ON FUNCTION is_other_base(crm_payment, bigint) IS 'Whether an order that a payment pays is of another order base than that of this number here, or, not received, of one that none of the last 1000 orders here is of';

CREATE FUNCTION payment_orders(p crm_payment) RETURNS TABLE (order_id bigint, sum numeric, received boolean, bas_ref uuid, document jsonb, awaited boolean, other_base boolean)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT o.key::bigint, abs(o.value::numeric), EXISTS (SELECT FROM crm_order c WHERE c.account = p.account AND c.order_id = o.key::bigint), CASE WHEN NOT coalesce(b.deleted, false) THEN y.bas_ref END, b.read_body,
           EXISTS (SELECT FROM task t WHERE t.scope = p.account AND t.kind = 'order' AND t.key = o.key), is_other_base(p, o.key::bigint)
    FROM jsonb_each_text(p.essence -> 'orders') o LEFT JOIN order_sync y ON y.account = p.account AND y.order_id = o.key::bigint LEFT JOIN bas_order b ON b.infobase = y.infobase AND b.ref_key = y.bas_ref
    ORDER BY 1;
END $$;
COMMENT ON FUNCTION payment_orders(crm_payment) IS 'Orders a payment pays, with their shares and documents; awaited: the order has a task; other_base: it is not of those that are exchanged here';

-- Header and contract are those of the order's document, so that BAS settles one against the other. What is left over (an overpayment, a payment attached
-- to nothing) is a row without an order.
CREATE FUNCTION payment_document(p crm_payment, a account, profile text, entity text, place uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    header jsonb := property_names(profile, entity);
    line   jsonb := property_names(profile, 'payment_row');
    other  jsonb := property_names(profile, 'order');
    total  numeric := round(abs(p.sum), 2);
    first  jsonb;
    rest   numeric;
    rows   jsonb;
    text   text := coalesce(p.comment, CASE WHEN NOT header ? 'purpose' THEN p.purpose END);
BEGIN
    SELECT (array_agg(o.document ORDER BY o.order_id))[1], total - coalesce(sum(o.sum), 0),
           coalesce(jsonb_agg(renamed(jsonb_build_object('line_no', o.n, 'order', o.bas_ref, 'order_type', 'StandardODATA.' || entity_set(profile, 'order'), 'contract', nil_free(o.document ->> (other ->> 'contract')),
               'partner', nil_free(o.document ->> (other ->> 'partner')), 'currency', nil_free(o.document ->> (other ->> 'currency')), 'sum', o.sum, 'settlement_sum', o.sum), line) || constants(profile, 'payment_row') ORDER BY o.n), '[]')
    INTO first, rest, rows FROM (SELECT x.*, row_number() OVER (ORDER BY x.order_id) AS n FROM payment_orders(p) x) o;
    IF rest > 0 THEN
        rows := rows || (renamed(jsonb_build_object('line_no', jsonb_array_length(rows) + 1, 'contract', nil_free(first ->> (other ->> 'contract')), 'partner', nil_free(first ->> (other ->> 'partner')),
                                                    'currency', nil_free(first ->> (other ->> 'currency')), 'sum', rest, 'settlement_sum', rest), line) || constants(profile, 'payment_row'));
    END IF;
    RETURN constants(profile, entity)
        || renamed(jsonb_build_object('date', to_char(p.paid_at, 'YYYY-MM-DD"T"HH24:MI:SS'), 'organisation', nil_free(first ->> (other ->> 'organisation')),
               'counterparty', coalesce(nil_free(first ->> (other ->> 'counterparty')), CASE WHEN first IS NULL THEN a.fixed_counterparty END), 'currency', nil_free(first ->> (other ->> 'currency')), 'total', total, 'place', place,
               'comment', marked_comment(payment_marker(a.identity, p.payment_id), text, max_length(profile, entity, 'comment')), 'purpose', left(p.purpose, coalesce(max_length(profile, entity, 'purpose'), 1000))), header)
        || CASE WHEN entity_set(profile, 'payment_row') IS NULL THEN '{}' ELSE jsonb_build_object(entity_set(profile, 'payment_row'), rows) END;
END $$;
COMMENT ON FUNCTION payment_document(crm_payment, account, text, text, uuid) IS 'Document a payment should be in BAS, in the names of its configuration; without Ref_Key';

CREATE FUNCTION payment_unwanted(p crm_payment, a account, y payment_sync) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN CASE WHEN y.skipped_at IS NOT NULL THEN 'skipped'
                WHEN EXISTS (SELECT FROM bas_payment b WHERE b.account = p.account AND b.payment_id = p.payment_id AND NOT b.ours)
                     OR concat_ws(' ', '(' || (p.data ->> 'uniqueId') || ')', p.purpose, p.comment) ~ '\(bas-[0-9a-f]{20}\)' THEN 'from_bas'    -- also what a database this one is a copy of has sent
                WHEN NOT a.payments_to_bas THEN 'off'
                WHEN p.gone_at IS NOT NULL THEN 'gone'
                WHEN p.paid_at < a.payments_since THEN 'earlier'
                WHEN p.essence -> 'orders' = '{}' AND (a.unattached_payments = 'list' OR EXISTS (SELECT FROM account o WHERE o.url = a.url AND o.name < a.name AND o.payments_to_bas AND o.unattached_payments = 'create')) THEN 'unattached'    -- of several accounts that list it, one makes it
                WHEN (SELECT bool_and(is_other_base(p, o::bigint)) FROM jsonb_object_keys(p.essence -> 'orders') o) THEN 'other_base' END;
END $$;
COMMENT ON FUNCTION payment_unwanted(crm_payment, account, payment_sync) IS 'Why no document is to be made for a payment; NULL: one is';

-- Obstacles, the first that applies: (waits, reason, detail, hint, blocked_on).
CREATE FUNCTION payment_obstacle(p crm_payment, a account, i infobase) RETURNS plan_step
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s      plan_step;
    r      payment_rule := payment_rule_of(p.account, p.account_number, p.organization_id);
    entity text := CASE p.direction WHEN 'out' THEN 'refund_' ELSE 'payment_' END || r.form;
    list   text := CASE r.form WHEN 'cash' THEN 'cash_desk' ELSE 'bank_account' END;
    place  record;
    skip   text := format('; or SELECT salesdrive.skip_payment(%L, %s, ''why'');', p.account, p.payment_id);
    other  jsonb := property_names(i.profile, 'order');
BEGIN
    SELECT * INTO place FROM payment_place(i.name, list, CASE WHEN property_names(i.profile, entity) ? 'place' THEN r.bas_key END);
    SELECT w.step, w.reason, w.detail, w.hint, w.blocked_on INTO s.step, s.reason, s.detail, s.hint, s.blocked_on FROM (
        SELECT 1 AS rank, 'park' AS step, 'payment_type' AS reason, format('Payment %s is of type "%s" with sum "%s": whether money comes or goes cannot be told.', p.payment_id, coalesce(p.type, ''), p.data ->> 'sum') AS detail,
               'Correct it in SalesDrive' || skip AS hint, NULL AS blocked_on WHERE p.direction IS NULL
        UNION ALL SELECT 2, 'park', 'payment_sum', format('Payment %s has sum "%s" on "%s", attached to orders with %s.', p.payment_id, p.data ->> 'sum', coalesce(p.data ->> 'date', ''), p.essence -> 'orders'),
               'A payment needs a date and a sum of whole kopecks, not less than its shares. Correct it in SalesDrive' || skip, NULL
               WHERE p.sum = 0 OR p.sum <> round(p.sum, 2) OR p.paid_at IS NULL OR (SELECT sum(o.sum) > abs(p.sum) OR bool_or(o.sum IS NULL OR o.sum <> round(o.sum, 2)) FROM payment_orders(p) o)
        UNION ALL (SELECT 3, CASE WHEN b.state <> 'refused' AND t.state <> 'parked' THEN 'wait' ELSE 'park' END, 'payment_maybe_ours',
               format('Payment %s has the sum of document %s, which %s.', p.payment_id, b.number, CASE b.state WHEN 'refused' THEN 'SalesDrive refused' ELSE 'was sent to SalesDrive without an answer' END),
               CASE WHEN b.state <> 'refused' AND t.state <> 'parked' THEN 'It goes on by itself when that is known.'
                    ELSE format('If they are one, SELECT salesdrive.link_payment(%1$L, %2$s, %3$L, %4$s); if not, settle the document first: SELECT * FROM salesdrive.payment_status WHERE ref_key = %3$L;', b.account, p.payment_id, b.ref_key, b.order_id) END,
               format('payment_out:%s:%s/%s', b.account, b.ref_key, b.order_id)
               FROM bas_payment b LEFT JOIN task t ON t.scope = b.account AND t.kind = 'payment_out' AND t.key = b.ref_key || '/' || b.order_id
               WHERE b.account = p.account AND b.sends > 0 AND b.state NOT IN ('sent', 'skipped') AND NOT b.ours AND abs(p.sum) IN (b.sum, told_sum(b)) AND (p.essence -> 'orders' = '{}' OR p.essence -> 'orders' ? b.order_id::text)
                 AND NOT (b.state = 'refused' AND b.sends = 1 AND (b.deleted OR NOT b.posted)) ORDER BY b.ref_key, b.order_id LIMIT 1)
        UNION ALL (SELECT 3, 'park', 'payment_maybe_ours', format('Order %s is paid by document %s in another currency, which is to be entered in SalesDrive by hand: payment %s may be it.', b.order_id, b.number, p.payment_id),
               format('If it is, SELECT salesdrive.link_payment(%1$L, %2$s, %3$L, %4$s); if not, enter and link that first, or SELECT salesdrive.skip_payment(%1$L, %3$L, %4$s, ''why'');', b.account, p.payment_id, b.ref_key, b.order_id),
               format('payment_out:%s:%s/%s', b.account, b.ref_key, b.order_id)
               FROM jsonb_object_keys(p.essence -> 'orders') o JOIN bas_payment b ON b.account = p.account AND b.order_id = o::bigint JOIN task t ON t.scope = b.account AND t.kind = 'payment_out' AND t.key = b.ref_key || '/' || b.order_id
               WHERE b.other_currency AND b.state = 'seen' AND t.state = 'parked' AND t.reason = 'payment_currency' ORDER BY b.ref_key, b.order_id LIMIT 1)
        UNION ALL (SELECT 4, 'park', 'payment_orders', format('Order %s, which payment %s pays besides others, is of another order base than those here.', o.order_id, p.payment_id), 'Divide it in SalesDrive' || skip, NULL
               FROM payment_orders(p) o WHERE o.other_base ORDER BY o.order_id LIMIT 1)
        UNION ALL (SELECT 5, CASE WHEN CASE WHEN o.received THEN NOT o.awaited ELSE p.received_at < clock() - a.late_after END THEN 'park' ELSE 'wait' END, 'payment_order',
               CASE WHEN NOT o.received THEN format('Order %s, which payment %s pays, has not been received yet.', o.order_id, p.payment_id)
                    WHEN o.awaited THEN format('Order %s, which payment %s pays, has no document in BAS yet.', o.order_id, p.payment_id)
                    ELSE format('Order %s, which payment %s pays, has no document in BAS, or one marked for deletion, and none is being made.', o.order_id, p.payment_id) END,
               CASE WHEN NOT o.received THEN format('SELECT salesdrive.fetch_orders(%L, ''the day it was made'');', p.account) || ' If it is never to come' || skip
                    WHEN o.awaited THEN 'It goes on by itself when the order does: SELECT * FROM salesdrive.order_status.' ELSE 'Resume or resend the order' || skip END, format('order:%s:%s', p.account, o.order_id)
               FROM payment_orders(p) o WHERE o.bas_ref IS NULL ORDER BY o.order_id LIMIT 1)
        UNION ALL SELECT 6, 'park', 'payment_orders', format('The orders that payment %s pays have different customers, organisations or currencies in BAS, and one document has one of each: %s.', p.payment_id, (SELECT string_agg(o.order_id::text, ', ' ORDER BY o.order_id) FROM payment_orders(p) o)),
               'Divide it in SalesDrive' || skip, NULL
               WHERE (SELECT count(DISTINCT (o.document ->> (other ->> 'counterparty'), o.document ->> (other ->> 'organisation'), o.document ->> (other ->> 'currency'))) > 1 FROM payment_orders(p) o)
        UNION ALL SELECT 7, 'park', 'payment_rule', format('No row of payment_rule says which money account %s of organisation %s is in BAS.', coalesce('"' || p.account_number || '"', 'none'), coalesce(p.organization_id, 'none')),
               format('INSERT INTO salesdrive.payment_rule (account, account_number, form, bas_key) VALUES (%L, %L, ''bank'', ''name, code or Ref_Key in BAS''); the payment goes on by itself.', p.account, coalesce(p.account_number, 'none')), format('payment_rule:%s:', p.account)
               WHERE r.form IS NULL
        UNION ALL SELECT 8, 'park', 'payment_profile', CASE WHEN entity_set(i.profile, entity) IS NULL THEN format('Profile "%s" names no document for %s.', i.profile, entity)
                    ELSE format('Infobase "%s" does not publish %s, which profile "%s" names for %s.', i.name, entity_set(i.profile, entity), i.profile, entity) END,
               format('Publish it in BAS and SELECT salesdrive.load_metadata(%L); or give profile_entity and profile_property rows of profile %s, concept %s and origin user: SELECT name FROM salesdrive.bas_metadata WHERE infobase = %L;', i.name, i.profile, entity, i.name), format('profile:%s:', i.name)
               WHERE entity_set(i.profile, entity) IS NULL OR EXISTS (SELECT FROM metadata_load l WHERE l.infobase = i.name) AND NOT publishes(i.name, entity_set(i.profile, entity))
        UNION ALL SELECT 9, CASE WHEN d.state = 'parked' THEN 'park' ELSE 'wait' END, 'dictionary', coalesce(CASE WHEN d.state = 'parked' THEN d.detail END, format('The list of %s is being read from infobase "%s".', list, i.name)),
               CASE WHEN d.state = 'parked' THEN 'Publish it in BAS, or give payment_rule the Ref_Key of the element.' END, CASE WHEN d.state = 'parked' THEN format('payment_rule:%s:', p.account) ELSE format('dictionary:%s:%s', i.name, list) END
               FROM (SELECT 1) x LEFT JOIN task d ON d.scope = i.name AND d.kind = 'dictionary' AND d.key = list WHERE place.unread
        UNION ALL SELECT 10, 'park', 'payment_place', place.problem, format('UPDATE salesdrive.payment_rule SET bas_key = … WHERE account = %L AND account_number = %L; or, if it is new in BAS, SELECT salesdrive.load_dictionaries(%L) and resume.', r.account, r.account_number, a.name), format('payment_rule:%s:', p.account)
               WHERE place.problem IS NOT NULL
        ) w ORDER BY w.rank LIMIT 1;
    s.run_at := CASE s.step WHEN 'wait' THEN clock() + interval '10 min' END;
    RETURN s;
END $$;
COMMENT ON FUNCTION payment_obstacle(crm_payment, account, infobase) IS 'What keeps the document of a payment from being made: the first of the rules that applies; no reason: nothing does';

-- Kind payment.

CREATE FUNCTION payment_creation(p crm_payment, a account, i infobase, ref_key uuid) RETURNS plan_step
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s      plan_step := payment_obstacle(p, a, i);
    r      payment_rule := payment_rule_of(p.account, p.account_number, p.organization_id);
    entity text := CASE p.direction WHEN 'out' THEN 'refund_' ELSE 'payment_' END || r.form;
BEGIN
    IF s.reason IS NULL THEN
        s.step := 'request';
        s.purpose := 'create payment';
        s.method := 'POST';
        s.path := entity_set(i.profile, entity);
        s.body := jsonb_build_object('Ref_Key', ref_key) || payment_document(p, a, i.profile, entity,
                      (payment_place(i.name, CASE r.form WHEN 'cash' THEN 'cash_desk' ELSE 'bank_account' END, CASE WHEN property_names(i.profile, entity) ? 'place' THEN r.bas_key END)).ref);
        s.memo := jsonb_build_object('entity', entity, 'essence', p.essence);
        s.creates := true;
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION payment_creation(crm_payment, account, infobase, uuid) IS 'The step that makes the document of a payment, or what keeps it from being made';

CREATE FUNCTION payment_step(t task) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s    plan_step;
    look plan_step;
    p    crm_payment;
    a    account;
    i    infobase;
    y    payment_sync;
    why  text;
    next text;
BEGIN
    SELECT * INTO p FROM crm_payment x WHERE x.account = t.account AND x.payment_id = t.key::bigint;
    SELECT * INTO a FROM account x WHERE x.name = t.account;
    INSERT INTO payment_sync (account, payment_id, infobase, ref_key, must_read)
    SELECT p.account, p.payment_id, a.infobase, payment_ref_key(a.identity, p.payment_id), coalesce((SELECT p.paid_at AT TIME ZONE a.time_zone <= n.adopted_at + interval '1 day' FROM instance n WHERE n.adopted_at IS NOT NULL), false)
    WHERE p.account IS NOT NULL ON CONFLICT ON CONSTRAINT payment_sync_pkey DO UPDATE SET infobase = excluded.infobase WHERE payment_sync.infobase <> excluded.infobase AND payment_sync.bas_ref IS NULL AND NOT payment_sync.write_unsure;
    SELECT * INTO y FROM payment_sync x WHERE x.account = p.account AND x.payment_id = p.payment_id;
    SELECT * INTO i FROM infobase x WHERE x.name = y.infobase;
    s.task_id := t.id;
    why := CASE WHEN y.bas_ref IS NULL AND NOT y.write_unsure THEN payment_unwanted(p, a, y) END;
    next := creation_next(y.write_unsure, y.unsure_until, y.asked_early, y.must_read);
    IF next = 'wait' THEN
        s.step := 'wait';
        s.run_at := y.unsure_until;
        s.reason := 'unsure';
        s.detail := 'A creation without an answer may still be at work in BAS.';
    ELSIF y.write_unsure AND y.entity IS NOT NULL THEN
        RETURN payment_reading(s, y, y.entity, i, a);
    ELSIF y.bas_ref IS NOT NULL AND y.skipped_at IS NULL AND (y.essence IS DISTINCT FROM p.essence OR p.gone_at IS NOT NULL) THEN
        s.step := 'park';
        s.reason := CASE WHEN y.essence IS NULL THEN 'found_in_bas' ELSE 'payment_changed' END;
        s.detail := CASE WHEN y.essence IS NULL THEN format('Document %s was in BAS before this database wrote it, and holds another sum than payment %s.', y.number, p.payment_id)
                         WHEN p.gone_at IS NOT NULL THEN format('Payment %s is not in SalesDrive any more, and document %s was made for it.', p.payment_id, y.number)
                         ELSE format('Payment %s was changed in SalesDrive after document %s was made: %s.', p.payment_id, y.number, payment_changes(y.essence, p.essence)) END;
        s.hint := format('Nothing is rewritten. Correct the document in BAS by hand, then SELECT salesdrive.accept_payment(%L, %s);', p.account, p.payment_id);
    ELSIF y.bas_ref IS NOT NULL THEN
        IF a.payment_posting AND NOT y.posted AND NOT y.posted_once AND y.skipped_at IS NULL THEN
            s.step := 'request';
            s.purpose := 'post payment';
            s.method := 'POST';
            s.path := entity_set(i.profile, y.entity) || '(' || odata_guid(y.bas_ref) || ')/Post';
        ELSE
            s.step := 'done';
        END IF;
    ELSIF why IS NOT NULL THEN
        s.step := 'done';
    ELSE
        s := payment_creation(p, a, i, y.ref_key);
        s.task_id := t.id;
        IF s.step = 'request' AND next = 'look' THEN
            look.task_id := t.id;
            RETURN payment_reading(look, y, s.memo ->> 'entity', i, a);
        END IF;
    END IF;
    UPDATE payment_sync x SET not_wanted = why WHERE x.account = y.account AND x.payment_id = y.payment_id AND x.not_wanted IS DISTINCT FROM why;
    RETURN s;
END $$;
COMMENT ON FUNCTION payment_step(task) IS 'Next step of a payment: the first of the rules that applies';

CREATE FUNCTION payment_reading(s plan_step, y payment_sync, entity text, i infobase, a account) RETURNS plan_step
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    s.step := 'request';
    s.purpose := 'read payment';
    s.method := 'GET';
    s.path := entity_set(i.profile, entity) || '?$format=json'    -- without allowedOnly: a document that is hidden must not look absent
              || odata_filter(format('Ref_Key eq %s', odata_guid(y.ref_key)) || coalesce(format(' or substringof(%s,%s)', odata_text(payment_marker(a.identity, y.payment_id)), property_names(i.profile, entity) ->> 'comment'), ''));
    s.memo := jsonb_build_object('entity', entity);
    RETURN s;
END $$;
COMMENT ON FUNCTION payment_reading(plan_step, payment_sync, text, infobase, account) IS 'The step that reads the document of a payment back, by our key and by the marker';

CREATE FUNCTION plan_payment(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT s.* FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t CROSS JOIN LATERAL payment_step(t) s    -- (payment_step(t)).* would call it for each column
    WHERE t.key ~ '^[1-9]\d{0,17}$' AND EXISTS (SELECT FROM crm_payment p WHERE p.account = t.account AND p.payment_id = t.key::bigint);
END $$;
COMMENT ON FUNCTION plan_payment(bigint[]) IS 'Plan of kind payment';

CREATE FUNCTION note_payment_writes(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE payment_sync y SET requests = y.requests + 1 FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t WHERE y.account = t.account AND y.payment_id = t.key::bigint;
    UPDATE payment_sync y SET (write_unsure, unsure_until, asked_early) = (SELECT n.* FROM creation_note('sent', longest_write(i)) n),
        entity = s.memo ->> 'entity', essence = s.memo -> 'essence', sent_body = s.body - 'Ref_Key', sent_at = clock()
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN infobase i ON i.name = t.infobase
    WHERE s.creates AND y.account = t.account AND y.payment_id = t.key::bigint;
END $$;
COMMENT ON FUNCTION note_payment_writes(plan_step[]) IS 'Before requests of payments are sent: what is sent, and that the outcome of a creation is unsure from now on';

CREATE FUNCTION note_payment_there(y payment_sync, profile text, entity text, body jsonb, said text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    ref    uuid := (body ->> 'Ref_Key')::uuid;
    doc    text := btrim(body ->> 'Number');
    total  text := property_names(profile, entity) ->> 'total';
    p      crm_payment := (SELECT x FROM crm_payment x WHERE x.account = y.account AND x.payment_id = y.payment_id);
    differs jsonb := odata_differences(y.sent_body, body);
BEGIN
    UPDATE payment_sync x SET bas_ref = ref, number = doc, entity = note_payment_there.entity, posted = json_flag(body -> 'Posted'), posted_once = x.posted_once OR json_flag(body -> 'Posted'), read_body = body, differences = differs, must_read = false,
        essence = CASE WHEN x.sent_body IS NOT NULL THEN x.essence WHEN odata_equal(to_jsonb(abs(p.sum)), body -> total) THEN p.essence END
    WHERE x.account = y.account AND x.payment_id = y.payment_id;
    PERFORM keep_bas_payments(y.infobase, profile, entity, jsonb_build_array(body), clock());
    INSERT INTO order_event (account, order_id, event, text, detail)
    SELECT y.account, o::bigint, CASE WHEN differs IS NULL THEN 'payment' ELSE 'differs' END, format('Document %s of payment %s %s%s.', doc, y.payment_id, said, coalesce(', but BAS did not keep as sent: ' || key_list(differs), '')), differs
    FROM jsonb_object_keys(p.essence -> 'orders') o;
END $$;
COMMENT ON FUNCTION note_payment_there(payment_sync, text, text, jsonb, text) IS 'Takes in the document of a payment as BAS answered it';

CREATE FUNCTION settle_payment(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r    record;
    y    payment_sync;
    body jsonb;
    word text;
BEGIN
    FOR r IN SELECT u.task_id, u.class, u.odata_code, u.started_at, answered_write(i, u.started_at) AS unsure, t.account, t.key::bigint AS payment_id, t.purpose, t.memo, i.profile, a.identity, u::http_result AS result
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = t.infobase JOIN account a ON a.name = t.account ORDER BY t.account, t.key::bigint
    LOOP
        SELECT * INTO y FROM payment_sync x WHERE x.account = r.account AND x.payment_id = r.payment_id FOR UPDATE;
        word := NULL;
        IF r.purpose = 'create payment' THEN
            body := CASE WHEN r.class = 'ok' THEN result_json(r.result) END;
            word := creation_said(r.class, r.odata_code, nil_free(body ->> 'Ref_Key'));
        ELSIF r.class <> 'ok' AND NOT (r.purpose = 'post payment' AND r.class = 'unknown_outcome') THEN
            CONTINUE;
        ELSIF r.purpose = 'post payment' THEN    -- repeated without harm when its answer was lost
            IF r.class = 'ok' THEN
                UPDATE payment_sync x SET posted = true, posted_once = true WHERE x.account = y.account AND x.payment_id = y.payment_id;
                UPDATE bas_payment b SET posted = true WHERE b.infobase = y.infobase AND b.ref_key = y.bas_ref;
                INSERT INTO order_event (account, order_id, event, text)
                SELECT b.account, b.order_id, 'payment', format('Document %s of payment %s posted.', y.number, y.payment_id) FROM bas_payment b WHERE b.infobase = y.infobase AND b.ref_key = y.bas_ref;
            END IF;
        ELSE
            body := (SELECT e FROM result_rows(r.result) e
                     WHERE (e ->> 'Ref_Key')::uuid = y.ref_key OR is_marked(e ->> (property_names(r.profile, r.memo ->> 'entity') ->> 'comment'), payment_marker(r.identity, y.payment_id))
                     ORDER BY (e ->> 'Ref_Key')::uuid = y.ref_key DESC LIMIT 1);
            word := creation_seen(body IS NOT NULL, y.write_unsure, y.unsure_until, r.started_at);
        END IF;
        IF word IS NOT NULL THEN
            UPDATE payment_sync x SET (write_unsure, unsure_until, asked_early) = (SELECT n.* FROM creation_note(word, CASE word WHEN 'early' THEN x.unsure_until ELSE r.unsure END) n), must_read = x.must_read AND word NOT IN ('absent', 'hidden')
            WHERE x.account = y.account AND x.payment_id = y.payment_id;
            PERFORM note_creation(y.infobase, r.task_id, word, CASE WHEN word IN ('made', 'found') THEN (body ->> 'Ref_Key')::uuid = y.ref_key END);
        END IF;
        CONTINUE WHEN word = 'refused';
        IF word IN ('made', 'found') THEN
            PERFORM note_payment_there(y, r.profile, r.memo ->> 'entity', body, CASE word WHEN 'made' THEN 'created' ELSE 'found in BAS by read-back' END);
        ELSIF word = 'hidden' THEN
            RETURN NEXT hidden_step(r.task_id, y.ref_key, 'document');
            CONTINUE;
        END IF;
        RETURN NEXT ROW(r.task_id, 'again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_payment(http_result[]) IS 'Settle of kind payment';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, note_function) VALUES ('payment', 'shipped', 'salesdrive.plan_payment', 'salesdrive.settle_payment', 'salesdrive.note_payment_writes');

-- By hand.

CREATE FUNCTION require_payment(account text, payment_id bigint) RETURNS crm_payment
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    p crm_payment;
BEGIN
    PERFORM require_account(account);
    SELECT * INTO p FROM crm_payment x WHERE x.account = require_payment.account AND x.payment_id = require_payment.payment_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'payment % of account "%" has not been received', payment_id, account
            USING ERRCODE = 'SD015', HINT = format('SELECT salesdrive.fetch_payments(%L, ''the day it was made'');', account);
    END IF;
    RETURN p;
END $$;
COMMENT ON FUNCTION require_payment(text, bigint) IS 'The payment, or a clear error';

-- Runs as the owner of the extension: an operator must not choose the key, and with it the document, that a payment is known by.
CREATE FUNCTION skip_payment(account text, payment_id bigint, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
DECLARE
    p crm_payment := require_payment(account, payment_id);
    a account := require_account(account);
    why text := coalesce(nullif(btrim(reason), ''), 'no reason given');
BEGIN
    PERFORM FROM task t WHERE t.scope = p.account AND t.kind = 'payment' AND t.key = p.payment_id::text FOR UPDATE;    -- first the task, as the engine does
    INSERT INTO payment_sync AS y (account, payment_id, infobase, ref_key, skipped_at, skip_reason) VALUES (p.account, p.payment_id, a.infobase, payment_ref_key(a.identity, p.payment_id), clock(), why)
    ON CONFLICT ON CONSTRAINT payment_sync_pkey DO UPDATE SET skipped_at = excluded.skipped_at, skip_reason = excluded.skip_reason;
    PERFORM enqueue_payments(p.account, ARRAY[p.payment_id]);
    INSERT INTO order_event (account, order_id, event, text) SELECT p.account, o::bigint, 'payment', format('Payment %s skipped by %s: %s', p.payment_id, session_user, why) FROM jsonb_object_keys(p.essence -> 'orders') o;
END $$;
COMMENT ON FUNCTION skip_payment(text, bigint, text) IS 'Makes no document in BAS for a payment of SalesDrive, whatever becomes of it; accept_payment() takes it back';

CREATE FUNCTION accept_payment(account text, payment_id bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
DECLARE
    p crm_payment := require_payment(account, payment_id);
BEGIN
    PERFORM enqueue_payments(p.account, ARRAY[p.payment_id]);    -- first the task, as the engine does
    UPDATE payment_sync y SET essence = CASE WHEN y.bas_ref IS NOT NULL THEN p.essence ELSE y.essence END, posted_once = y.posted_once OR y.bas_ref IS NOT NULL, skipped_at = CASE WHEN p.gone_at IS NOT NULL AND y.bas_ref IS NOT NULL THEN clock() END, skip_reason = CASE WHEN p.gone_at IS NOT NULL AND y.bas_ref IS NOT NULL THEN 'It is not in SalesDrive any more.' END
    WHERE y.account = p.account AND y.payment_id = p.payment_id;
    INSERT INTO order_event (account, order_id, event, text) SELECT p.account, o::bigint, 'payment', format('Payment %s accepted as it stands by %s.', p.payment_id, session_user) FROM jsonb_object_keys(p.essence -> 'orders') o;
    RETURN (SELECT t.id FROM task t WHERE t.scope = p.account AND t.kind = 'payment' AND t.key = p.payment_id::text);
END $$;
COMMENT ON FUNCTION accept_payment(text, bigint) IS 'Says that the document of a payment in BAS agrees with SalesDrive as it stands now; or lets a payment that was skipped go on; returns the task';
