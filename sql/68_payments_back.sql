-- Purpose: payment documents of BAS: tasks of kind bas_payments, which read them, and of kind payment_out, which register each in SalesDrive, once.
-- Rights: the engine's role; pull_payments(), link_payment() and resend_payment() are for 'operator'.
--
-- A reading takes the documents of the last days, once a day of many more, page by page in the order of their dates, one kind of document after the other. Those that pay orders
-- known here are kept; those that were not made here for a payment of SalesDrive go there.
--
--   seen ──sent──▶ unknown ──success──▶ sent (payment_id)
--                    │ no answer: looked for in payment/list when the request can no more be at work ──▶ there: sent · not to be seen: parked
--                    └ refused: parked with the words of SalesDrive
--   whatever is not sent can be skipped by hand

CREATE FUNCTION payment_unique_id(identity text, ref uuid, order_id bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 'bas-' || left(replace(uuid_v5(ref_key_namespace(), 'bas_payment/' || identity || '/' || ref || '/' || order_id)::text, '-', ''), 20);
COMMENT ON FUNCTION payment_unique_id(text, uuid, bigint) IS 'The uniqueId by which SalesDrive tells a payment document of BAS, and its order, from all others; it stands in the description, too';

-- The document may have been changed since.
CREATE FUNCTION told_sum(b bas_payment) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(json_numeric(b.sent_body -> 'sum'), b.sum);
COMMENT ON FUNCTION told_sum(bas_payment) IS 'Sum that a payment document was sent to SalesDrive with last, or would be';

CREATE FUNCTION told_at(b bas_payment) RETURNS timestamp
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(json_time(b.sent_body -> 'datetime'), b.paid_at);
COMMENT ON FUNCTION told_at(bas_payment) IS 'Time that a payment document was sent to SalesDrive with last, or would be';

-- Reading.

CREATE FUNCTION payment_document_rows(profile text, body jsonb) RETURNS TABLE (ref uuid, sum numeric)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    line jsonb := property_names(profile, 'payment_row');
    kind text := 'StandardODATA.' || entity_set(profile, 'order');
BEGIN
    RETURN QUERY
    SELECT x.ref, sum(x.sum)
    FROM (SELECT CASE WHEN e ->> (line ->> 'order') ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN nil_free(e ->> (line ->> 'order')) END AS ref, json_numeric(e -> (line ->> 'sum')) AS sum, e ->> (line ->> 'order_type') AS type
          FROM jsonb_array_elements(json_rows(body -> entity_set(profile, 'payment_row'))) e) x
    WHERE x.ref IS NOT NULL AND (NOT line ? 'order_type' OR x.type = kind) GROUP BY x.ref;
END $$;
COMMENT ON FUNCTION payment_document_rows(text, jsonb) IS 'Documents of orders that a payment document pays, and what of each';

-- People copy documents, comment and marker included. A copy beside the document it was taken from is a payment of its own; one whose original is marked
-- for deletion stands in its place.
CREATE FUNCTION has_other_document(account text, payment_id bigint, ref uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM payment_sync y WHERE y.account = has_other_document.account AND y.payment_id = has_other_document.payment_id AND y.bas_ref <> ref
                     AND NOT coalesce((SELECT bool_and(b.deleted) FROM bas_payment b WHERE b.infobase = y.infobase AND b.ref_key = y.bas_ref), false));
END $$;
COMMENT ON FUNCTION has_other_document(text, bigint, uuid) IS 'Whether the document of a payment of SalesDrive is known, and is another than this, and not marked for deletion';

CREATE FUNCTION keep_bas_payments(infobase text, profile text, entity text, rows jsonb, asked_at timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    header jsonb := property_names(profile, entity);
    now_at timestamptz := clock();
    news   bas_payment[];
BEGIN
    WITH document AS MATERIALIZED (
        SELECT (e ->> 'Ref_Key')::uuid AS ref_key, e AS body FROM jsonb_array_elements(rows) e WHERE nil_free(e ->> 'Ref_Key') IS NOT NULL
    ), pays AS MATERIALIZED (
        SELECT d.ref_key, d.body, o.account, o.order_id, x.sum, a.identity, nil_free(d.body ->> (header ->> 'currency')) <> nil_free(o.currency) AS other_currency
        FROM document d CROSS JOIN LATERAL payment_document_rows(profile, d.body) x
        CROSS JOIN LATERAL (SELECT b.account, b.order_id, b.read_body ->> (property_names(profile, 'order') ->> 'currency') AS currency FROM bas_order b WHERE b.infobase = keep_bas_payments.infobase AND b.ref_key = x.ref OFFSET 0) o JOIN account a ON a.name = o.account
    ), origin AS MATERIALIZED (    -- made here, also when the answer to its creation is not known yet
        SELECT DISTINCT ON (d.ref_key) d.ref_key, y.payment_id FROM (SELECT DISTINCT p.ref_key, p.account, p.identity, p.body ->> (header ->> 'comment') AS comment FROM pays p) d
        CROSS JOIN LATERAL (SELECT s.payment_id FROM payment_sync s WHERE s.ref_key = d.ref_key UNION ALL SELECT s.payment_id FROM payment_sync s WHERE s.infobase = keep_bas_payments.infobase AND s.bas_ref = d.ref_key
                            UNION ALL SELECT m.payment_id FROM marked_payment(d.comment, d.identity) m (payment_id) WHERE NOT has_other_document(d.account, m.payment_id, d.ref_key)) y WHERE y.payment_id IS NOT NULL ORDER BY d.ref_key, y.payment_id
    ), kept AS (
        INSERT INTO bas_payment AS b (infobase, ref_key, account, order_id, entity, number, paid_at, sum, direction, posted, deleted, data_version, place, other_currency, purpose, ours, read_at, payment_id, must_look)
        SELECT keep_bas_payments.infobase, p.ref_key, p.account, p.order_id, entity, btrim(p.body ->> 'Number'), field_time(p.body ->> 'Date'), p.sum, CASE WHEN entity LIKE 'refund%' THEN 'out' ELSE 'in' END,
               json_flag(p.body -> 'Posted'), json_flag(p.body -> 'DeletionMark'), p.body ->> 'DataVersion', nil_free(p.body ->> (header ->> 'place')), coalesce(p.other_currency, false),
               left(coalesce(nullif(btrim(p.body ->> (header ->> 'purpose')), ''), nullif(btrim(p.body ->> (header ->> 'comment')), '')), 500), o.payment_id IS NOT NULL, now_at, o.payment_id,
               coalesce((SELECT field_time(p.body ->> 'Date') AT TIME ZONE 'UTC' <= n.adopted_at + interval '1 day' FROM instance n WHERE n.adopted_at IS NOT NULL), false)
        FROM pays p LEFT JOIN origin o ON o.ref_key = p.ref_key ORDER BY 1, 2, 3, 4
        ON CONFLICT ON CONSTRAINT bas_payment_pkey DO UPDATE SET number = excluded.number, paid_at = excluded.paid_at, sum = excluded.sum, posted = excluded.posted, deleted = excluded.deleted, data_version = excluded.data_version,
            place = excluded.place, other_currency = excluded.other_currency, purpose = excluded.purpose, ours = b.ours OR excluded.ours, payment_id = coalesce(b.payment_id, excluded.payment_id), read_at = excluded.read_at
        WHERE b.read_at < asked_at AND b.data_version IS DISTINCT FROM excluded.data_version OR excluded.ours AND NOT b.ours
        RETURNING b.*
    ), left_out AS (    -- it was taken off the order
        UPDATE bas_payment b SET deleted = true, data_version = d.body ->> 'DataVersion', read_at = now_at FROM document d
        WHERE b.infobase = keep_bas_payments.infobase AND b.ref_key = d.ref_key AND NOT b.deleted AND b.read_at < asked_at AND NOT EXISTS (SELECT FROM pays p WHERE p.ref_key = b.ref_key AND p.account = b.account AND p.order_id = b.order_id)
        RETURNING b.*
    )
    SELECT array_agg(k::bas_payment) INTO news FROM (SELECT * FROM kept UNION ALL SELECT * FROM left_out) k;
    UPDATE payment_sync y SET posted = n.posted, posted_once = y.posted_once OR n.posted, number = n.number FROM few(news) n WHERE n.ours AND y.infobase = n.infobase AND y.bas_ref = n.ref_key;
    PERFORM enqueue_payments_out(news);
END $$;
COMMENT ON FUNCTION keep_bas_payments(text, text, text, jsonb, timestamptz) IS 'Keeps payment documents that pay orders known here, and asks for those that are new or changed to be told to SalesDrive';

CREATE FUNCTION enqueue_payments_out(news bas_payment[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM begin_api(n.account) FROM (SELECT DISTINCT x.account FROM few(news) x) n WHERE NOT EXISTS (SELECT FROM account_api p WHERE p.account = n.account);
    PERFORM want_tasks(array_agg((n.account, 'payment_out', n.ref_key || '/' || n.order_id, n.account, NULL, 2)::task_wish))
    FROM few(news) n JOIN account a ON a.name = n.account WHERE NOT n.ours AND (a.payments_from_bas OR n.state <> 'seen') HAVING count(*) > 0;
END $$;
COMMENT ON FUNCTION enqueue_payments_out(bas_payment[]) IS 'Asks for payment documents of BAS to be told to SalesDrive, where the account wants that, or they were begun';

CREATE FUNCTION next_payment_entity(profile text, after text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT e FROM unnest(payment_entities()) WITH ORDINALITY u (e, n)
            WHERE entity_set(profile, e) IS NOT NULL AND n > coalesce(array_position(payment_entities(), after), 0) ORDER BY n LIMIT 1);
END $$;
COMMENT ON FUNCTION next_payment_entity(text, text) IS 'Kind of payment document that is read after another; NULL: that was the last';

CREATE FUNCTION plan_bas_payments(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
    p payment_poll;
BEGIN
    FOR r IN SELECT t.id, t.scope, i.profile FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t JOIN infobase i ON i.name = t.scope JOIN payment_poll x ON x.infobase = t.scope ORDER BY t.scope LOOP
        UPDATE payment_poll x SET reach = CASE WHEN x.daily_at BETWEEN clock() - interval '1 day' AND clock() THEN x.days ELSE greatest(x.days, x.daily_days) END WHERE x.infobase = r.scope AND x.entity IS NULL;
        UPDATE payment_poll x SET entity = next_payment_entity(r.profile, NULL), page_from = clock() AT TIME ZONE 'UTC' - make_interval(days => x.reach + 1), page_size = 200, documents = 0, requests = 0, started_at = clock()    -- a day covers any clock
        WHERE x.infobase = r.scope AND x.entity IS NULL;
        SELECT * INTO p FROM payment_poll x WHERE x.infobase = r.scope;
        IF p.entity IS NULL THEN
            RETURN NEXT ROW(r.id, 'park', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'payment_profile', format('Profile "%s" names no payment document.', r.profile),
                format('Give profile_entity and profile_property rows of profile %s, concepts %s and origin user.', r.profile, array_to_string(payment_entities(), ', ')), format('profile:%s:', r.scope))::plan_step;
        ELSE
            RETURN NEXT ROW(r.id, 'request', 'read payments', 'GET', entity_set(r.profile, p.entity) || '?$format=json&allowedOnly=true&$top=' || p.page_size || '&$orderby=' || url_encode('Date,Ref_Key')
                || odata_filter(format('Date ge datetime''%s''', to_char(p.page_from, 'YYYY-MM-DD"T"HH24:MI:SS'))), NULL, jsonb_build_object('started_at', p.started_at, 'entity', p.entity, 'from', p.page_from), false, NULL, NULL, NULL, NULL, NULL)::plan_step;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION plan_bas_payments(bigint[]) IS 'Plan of kind bas_payments: the next page of payment documents';

CREATE FUNCTION settle_bas_payments(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r      record;
    p      payment_poll;
    rows   jsonb;
    count  integer;
    latest timestamp;
    next   text;
BEGIN
    FOR r IN SELECT u.task_id, u.class, u.started_at, t.scope, t.memo, i.profile, u::http_result AS result
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = t.scope WHERE u.class = 'ok' OR u.class = 'business' AND u.odata_code IN ('8', '20') ORDER BY t.scope
    LOOP
        SELECT * INTO p FROM payment_poll x WHERE x.infobase = r.scope FOR UPDATE;
        IF r.class <> 'ok' THEN    -- the kinds before it are read again with the next call
            UPDATE payment_poll x SET entity = NULL WHERE x.infobase = r.scope;
            RETURN NEXT ROW(r.task_id, 'park', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'payment_profile',
                format('The base does not publish %s, or its user has no right to it (%s).', entity_set(r.profile, r.memo ->> 'entity'), concat_ws(': ', (r.result).http_status::text, (r.result).odata_message)),
                format('Add it to the composition of the OData interface, and give the user the right to read it, then resume(%s); if the base calls it otherwise, or to leave it out: INSERT INTO salesdrive.profile_entity (profile, concept, entity_set) VALUES (%L, %L, NULL), with its name in place of NULL.',
                       r.task_id, r.profile, r.memo ->> 'entity'), format('profile:%s:', r.scope))::plan_step;
            CONTINUE;
        END IF;
        IF NOT FOUND OR p.started_at IS DISTINCT FROM (r.memo ->> 'started_at')::timestamptz OR p.entity IS DISTINCT FROM r.memo ->> 'entity' OR p.page_from IS DISTINCT FROM (r.memo ->> 'from')::timestamp THEN
            RETURN NEXT ROW(r.task_id, 'again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
            CONTINUE;
        END IF;
        SELECT coalesce(jsonb_agg(e), '[]'), count(*), max(field_time(e ->> 'Date')) INTO rows, count, latest FROM result_rows(r.result) e;
        PERFORM keep_bas_payments(r.scope, r.profile, p.entity, rows, r.started_at);
        next := CASE WHEN count >= p.page_size THEN p.entity ELSE next_payment_entity(r.profile, p.entity) END;
        UPDATE payment_poll x SET entity = next, documents = x.documents + count, requests = x.requests + 1, done_at = CASE WHEN next IS NULL THEN clock() ELSE x.done_at END, daily_at = CASE WHEN next IS NULL AND x.reach >= x.daily_days THEN x.started_at ELSE x.daily_at END,
            page_size = CASE WHEN next IS NOT DISTINCT FROM p.entity AND NOT latest > p.page_from THEN x.page_size * 2 ELSE 200 END,    -- so many at one moment
            page_from = CASE WHEN next IS NOT DISTINCT FROM p.entity THEN latest ELSE p.started_at AT TIME ZONE 'UTC' - make_interval(days => x.reach + 1) END
        WHERE x.infobase = r.scope;
        RETURN NEXT ROW(r.task_id, CASE WHEN next IS NULL THEN 'done' ELSE 'again' END, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_bas_payments(http_result[]) IS 'Settle of kind bas_payments: takes in a page, and goes on after it';
INSERT INTO task_kind (kind, origin, plan_function, settle_function) VALUES ('bas_payments', 'shipped', 'salesdrive.plan_bas_payments', 'salesdrive.settle_bas_payments');

CREATE FUNCTION pull_payments(infobase text, days integer DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
DECLARE
    i infobase := require_infobase(infobase);
BEGIN
    IF days NOT BETWEEN 1 AND 3650 THEN
        RAISE EXCEPTION 'payments of the last % days cannot be read', days USING ERRCODE = '22023', HINT = 'Give a number of days from 1 to 3650; without one, as many as the last time are read, at first 7.';
    END IF;
    PERFORM hold_tasks(ARRAY[i.name], ARRAY['bas_payments'], ARRAY['payments']);
    INSERT INTO payment_poll AS p (infobase, days) VALUES (i.name, coalesce(pull_payments.days, 7))
    ON CONFLICT ON CONSTRAINT payment_poll_pkey DO UPDATE SET days = excluded.days, entity = NULL WHERE pull_payments.days IS NOT NULL;
    RETURN enqueue(i.name, 'bas_payments', 'payments', i.name, 2::smallint);
END $$;
COMMENT ON FUNCTION pull_payments(text, integer) IS 'Asks for the payment documents of BAS of the last days to be read, and told to SalesDrive where the account wants that; returns the task';

-- Telling.

CREATE FUNCTION payment_out_body(b bas_payment, a account) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    own  text := coalesce(b.unique_id, payment_unique_id(a.identity, b.ref_key, b.order_id));
    r    payment_rule;
    o    crm_order := (SELECT x FROM crm_order x WHERE x.account = b.account AND x.order_id = b.order_id);
    money text := substring(b.entity FROM '[a-z]+$');
BEGIN
    SELECT x.* INTO r FROM payment_rule x    -- the rule that gives this bank account or cash desk
    WHERE x.account IN (b.account, '*') AND x.form = money AND x.direction = 'both' AND x.account_number NOT IN ('*', 'none') AND (x.bas_key IS NULL OR (payment_place(b.infobase, CASE money WHEN 'cash' THEN 'cash_desk' ELSE 'bank_account' END, x.bas_key)).ref = b.place)
    ORDER BY x.bas_key IS NULL, x.organization IS DISTINCT FROM o.organization_id, x.organization NOT IN ('*', 'none'), x.account = '*', x.account_number LIMIT 1;    -- as check_payments() tells it
    RETURN CASE WHEN r.account IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object(
        'organizationId', json_bigint(to_jsonb(coalesce(CASE WHEN r.organization NOT IN ('*', 'none') THEN r.organization END, o.organization_id))), 'accountNumber', r.account_number, 'sum', b.sum,
        'datetime', to_char(b.paid_at, 'YYYY-MM-DD HH24:MI:SS'), 'timezone', (SELECT CASE i.time_zone WHEN 'Europe/Kyiv' THEN 'Europe/Kiev' ELSE i.time_zone END FROM infobase i WHERE i.name = b.infobase),    -- the name SalesDrive knows
        'description', concat_ws(' ', b.number, '(' || own || ')', b.purpose), 'uniqueId', own, 'orderId', b.order_id, 'formId', o.form_id)) END;
END $$;
COMMENT ON FUNCTION payment_out_body(bas_payment, account) IS 'How a payment document of BAS is registered in SalesDrive; NULL: no rule says which account it is there';

CREATE FUNCTION payment_telling(b bas_payment, a account) RETURNS plan_step
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s     plan_step;
    body  jsonb;
    money text := substring(b.entity FROM '[a-z]+$');
    list  text := CASE money WHEN 'cash' THEN 'cash_desk' ELSE 'bank_account' END;
BEGIN
    IF b.other_currency THEN
        s.step := 'park';
        s.reason := 'payment_currency';
        s.detail := format('Document %s is in another currency than the document of order %s, and SalesDrive knows none.', b.number, b.order_id);
        s.hint := format('Enter the payment in SalesDrive by hand, then SELECT salesdrive.link_payment(%1$L, its number, %2$L, %3$s); or SELECT salesdrive.skip_payment(%1$L, %2$L, %3$s, ''why'');', b.account, b.ref_key, b.order_id);
        RETURN s;
    END IF;
    IF EXISTS (SELECT FROM payment_rule r WHERE r.account IN (b.account, '*') AND r.form = money AND r.direction = 'both' AND (payment_place(b.infobase, list, r.bas_key)).unread)
       AND NOT EXISTS (SELECT FROM task d WHERE d.scope = b.infobase AND d.kind = 'dictionary' AND d.key = list AND d.state = 'parked') THEN
        s.step := 'wait';
        s.reason := 'dictionary';
        s.detail := format('The list of %s is being read from infobase "%s".', list, b.infobase);
        s.blocked_on := format('dictionary:%s:%s', b.infobase, list);
        RETURN s;
    END IF;
    body := payment_out_body(b, a);
    IF body IS NULL OR NOT body ? 'organizationId' THEN
        s.step := 'park';
        s.reason := 'payment_rule';
        s.detail := CASE WHEN body IS NULL THEN format('No row of payment_rule says which account of SalesDrive %s %s is, which document %s names.', list, coalesce(b.place::text, '(none)'), b.number)
                         ELSE format('Neither payment_rule nor order %s names the organisation in SalesDrive that document %s was paid to.', b.order_id, b.number) END;
        s.hint := format('INSERT INTO salesdrive.payment_rule (account, account_number, organization, form, bas_key) VALUES (%1$L, ''its number in SalesDrive'', ''id of the organisation in SalesDrive'', %2$L, %3$L); the document goes on by itself; or SELECT salesdrive.skip_payment(%1$L, %4$L, %5$s, ''why'');', b.account, money, b.place, b.ref_key, b.order_id);
        s.blocked_on := format('payment_rule:%s:', b.account);
    ELSE
        s.step := 'request';
        s.purpose := 'add payment in SalesDrive';
        s.method := 'POST';
        s.path := 'api/payment/';
        s.body := body;
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION payment_telling(bas_payment, account) IS 'The step that registers a payment document in SalesDrive, or what keeps it from being sent';

CREATE FUNCTION payment_out_step(t task) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s    plan_step;
    b    bas_payment;
    a    account;
    p    account_api;
BEGIN
    SELECT * INTO b FROM bas_payment x WHERE x.account = t.account AND x.ref_key = split_part(t.key, '/', 1)::uuid AND x.order_id = split_part(t.key, '/', 2)::bigint;
    SELECT * INTO a FROM account x WHERE x.name = t.account;
    IF b.unique_id IS NULL THEN
        UPDATE bas_payment x SET unique_id = payment_unique_id(a.identity, x.ref_key, x.order_id) WHERE x.infobase = b.infobase AND x.ref_key = b.ref_key AND x.account = b.account AND x.order_id = b.order_id RETURNING * INTO b;
    END IF;
    s.task_id := t.id;
    IF b.state = 'unknown' AND b.unsure_until > clock() THEN
        s.step := 'wait';
        s.run_at := b.unsure_until;
        s.reason := 'unsure';
        s.detail := 'A payment without an answer may still be at work in SalesDrive.';
        RETURN s;
    ELSIF b.ours OR b.state = 'skipped' OR b.state IN ('seen', 'refused') AND (NOT a.payments_from_bas OR b.deleted OR NOT b.posted OR b.paid_at < a.payments_since) THEN
        s.step := 'done';
        RETURN s;
    ELSIF b.state = 'sent' THEN
        IF b.deleted OR NOT b.posted OR b.sum IS DISTINCT FROM b.sent_sum THEN
            s.step := 'park';
            s.reason := 'payment_changed_in_bas';
            s.detail := format('Payment %s of SalesDrive (%s) was registered from document %s, which %s by now.', b.payment_id, b.sent_sum, b.number,
                               CASE WHEN b.deleted THEN 'is marked for deletion, or pays the order no more,' WHEN NOT b.posted THEN 'is not posted' ELSE format('pays %s', b.sum) END);
            s.hint := format('The API of SalesDrive changes and deletes no payment: correct it there by hand, then SELECT salesdrive.link_payment(%L, %s, %L, %s);', b.account, b.payment_id, b.ref_key, b.order_id);
        ELSE
            s.step := 'done';
        END IF;
        RETURN s;
    ELSIF b.state = 'unknown' OR b.must_look THEN
        SELECT * INTO p FROM account_api x WHERE x.account = b.account;
        PERFORM begin_quota(b.account, 'payment/list');
        s.step := 'request';
        s.purpose := 'look for payment';
        s.method := 'GET';
        s.path := format('api/payment/list/?page=%s&limit=100&filter%%5Bdate%%5D%%5Bfrom%%5D=%s&filter%%5Bdate%%5D%%5Bto%%5D=%s', coalesce(b.look_page, 1),
                         url_encode(to_char(told_at(b) - interval '1 day', 'YYYY-MM-DD HH24:MI:SS')), url_encode(to_char(told_at(b) + interval '1 day', 'YYYY-MM-DD HH24:MI:SS')));
        s.memo := jsonb_build_object('page', coalesce(b.look_page, 1));
        RETURN s;
    ELSIF b.direction = 'out' OR b.sum <= 0 THEN
        s.step := 'done';    -- the API knows no payment that goes out: it is listed, and order_payments counts it
        UPDATE bas_payment x SET detail = 'A repayment: the API of SalesDrive takes none.' WHERE x.infobase = b.infobase AND x.ref_key = b.ref_key AND x.account = b.account AND x.order_id = b.order_id AND x.detail IS NULL;
        RETURN s;
    END IF;
    s := payment_telling(b, a);
    s.task_id := t.id;
    RETURN s;
END $$;
COMMENT ON FUNCTION payment_out_step(task) IS 'Next step of a payment document on its way to SalesDrive: the first of the rules that applies';

CREATE FUNCTION plan_payment_out(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT s.* FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t CROSS JOIN LATERAL payment_out_step(t) s
    WHERE t.key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/\d{1,11}$' AND EXISTS (SELECT FROM bas_payment b WHERE b.account = t.account AND b.ref_key = split_part(t.key, '/', 1)::uuid AND b.order_id = split_part(t.key, '/', 2)::bigint);
END $$;
COMMENT ON FUNCTION plan_payment_out(bigint[]) IS 'Plan of kind payment_out';

CREATE FUNCTION note_payments_sent(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE bas_payment b SET state = 'unknown', sent_body = s.body, sent_at = clock(), sends = b.sends + 1, unsure_until = clock() + 2 * p.total_timeout, look_page = NULL, must_look = false, detail = 'No answer yet.'
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN account_api p ON p.account = t.account
    WHERE s.purpose = 'add payment in SalesDrive' AND b.account = t.account AND b.ref_key = split_part(t.key, '/', 1)::uuid AND b.order_id = split_part(t.key, '/', 2)::bigint;
END $$;
COMMENT ON FUNCTION note_payments_sent(plan_step[]) IS 'Before payments leave for SalesDrive: that their outcome is unknown from now on';

CREATE FUNCTION shows_unique_id(listed jsonb, unique_id text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(listed ->> 'uniqueId' = unique_id, false) OR position('(' || unique_id || ')' IN concat_ws(' ', listed ->> 'purpose', listed ->> 'comment', listed ->> 'description')) > 0;
COMMENT ON FUNCTION shows_unique_id(jsonb, text) IS 'Whether a payment as listed is the one registered with a uniqueId: it shows it, by itself or in its description';

CREATE FUNCTION settle_payment_out(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r     record;
    b     bas_payment;
    s     plan_step;
    body  jsonb;
    id    bigint;
    like_it text;
    pages bigint;
BEGIN
    FOR r IN SELECT u.task_id, u.class, concat_ws(': ', u.http_status::text, u.error) AS words, u.started_at, t.account, t.key, t.purpose, t.memo, p.total_timeout, u::http_result AS result
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN account_api p ON p.account = t.account ORDER BY t.account, t.key
    LOOP
        SELECT * INTO b FROM bas_payment x WHERE x.account = r.account AND x.ref_key = split_part(r.key, '/', 1)::uuid AND x.order_id = split_part(r.key, '/', 2)::bigint FOR UPDATE;
        s := NULL;
        s.task_id := r.task_id;
        s.step := 'again';
        body := CASE WHEN r.class = 'ok' THEN result_json(r.result) END;
        id := NULL;
        IF r.purpose = 'add payment in SalesDrive' THEN
            id := order_number(body #> '{data,paymentId}');
            IF id IS NULL AND r.class IN ('ok', 'unknown_outcome') THEN
                IF b.state = 'unknown' THEN
                    b.detail := 'No answer: ' || coalesce(nullif(r.words, ''), 'it names no payment');
                    b.unsure_until := CASE r.class WHEN 'ok' THEN NULL ELSE b.unsure_until END;
                END IF;
            ELSIF id IS NULL AND r.class IN ('business', 'denied', 'bug') THEN
                IF b.state = 'unknown' THEN    -- else it was said meanwhile what it is
                    b.state := 'refused';
                    b.detail := r.words;
                END IF;
                s.step := 'park';
                s.reason := 'business';
                s.detail := format('SalesDrive refuses document %s: %s', b.number, r.words);
                s.hint := format('The words are those of SalesDrive. Mend the cause, then SELECT salesdrive.resend_payment(%1$L, %2$L, %3$s); or SELECT salesdrive.skip_payment(%1$L, %2$L, %3$s, ''why'');', b.account, b.ref_key, b.order_id);
            ELSIF id IS NULL THEN    -- known not to be done: the class says when it is tried again
                b.sends := b.sends - 1;
                IF b.state = 'unknown' THEN
                    b.state := 'seen';
                    b.detail := r.words;
                END IF;
                s.step := NULL;
            END IF;
        ELSIF r.class <> 'ok' THEN
            CONTINUE;
        ELSE
            id := (SELECT order_number(e -> 'id') FROM jsonb_array_elements(json_rows(body -> 'data')) e WHERE shows_unique_id(e, b.unique_id) LIMIT 1);
            pages := json_bigint(body #> '{pagination,pageCount}');
            IF id IS NULL AND (pages > (r.memo ->> 'page')::integer OR pages IS NULL AND json_rows(body -> 'data') <> '[]') AND (r.memo ->> 'page')::integer < 1000 THEN
                b.look_page := (r.memo ->> 'page')::integer + 1;
            ELSIF id IS NULL AND b.state <> 'unknown' THEN    -- it was only to be looked for before it is sent first
                b.must_look := false;
            ELSIF id IS NULL THEN
                b.look_page := NULL;
                like_it := (SELECT string_agg(format('%s of %s', p.payment_id, to_char(p.paid_at, 'YYYY-MM-DD HH24:MI')), ', ' ORDER BY p.payment_id) FROM crm_payment p WHERE p.account = b.account AND p.sum = told_sum(b) AND p.essence -> 'orders' ? b.order_id::text AND p.paid_at BETWEEN told_at(b) - interval '1 day' AND told_at(b) + interval '1 day');
                b.detail := format('Document %s was sent without an answer, and SalesDrive shows no payment with uniqueId %s%s.', b.number, b.unique_id, coalesce('; of the same order and sum there are: ' || like_it, ''));
                s.step := 'park';
                s.reason := 'payment_unseen';
                s.detail := b.detail;
                s.hint := format('Look in SalesDrive. It is there: SELECT salesdrive.link_payment(%L, its number, %L, %s); it is not: SELECT salesdrive.resend_payment(%L, %L, %s).', b.account, b.ref_key, b.order_id, b.account, b.ref_key, b.order_id);
            END IF;
        END IF;
        IF id IS NOT NULL THEN
            b.state := 'sent';
            b.payment_id := id;
            b.sent_sum := told_sum(b);
            b.unsure_until := NULL;
            b.look_page := NULL;
            b.must_look := false;
            b.detail := NULL;
        END IF;
        UPDATE bas_payment x SET state = b.state, payment_id = b.payment_id, sent_sum = b.sent_sum, sends = b.sends, unsure_until = b.unsure_until, look_page = b.look_page, must_look = b.must_look, detail = b.detail
        WHERE x.infobase = b.infobase AND x.ref_key = b.ref_key AND x.account = b.account AND x.order_id = b.order_id;
        INSERT INTO order_event (account, order_id, event, text)
        SELECT b.account, b.order_id, 'payment', CASE WHEN id IS NOT NULL THEN format('Document %s of %s is payment %s of SalesDrive%s.', b.number, b.sum, id, CASE r.purpose WHEN 'look for payment' THEN ', as its list shows' ELSE '' END) ELSE coalesce(s.detail, format('Document %s: %s', b.number, b.detail)) END
        WHERE id IS NOT NULL OR s.step = 'park' OR r.class = 'unknown_outcome';
        IF s.step IS NOT NULL THEN
            RETURN NEXT s;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_payment_out(http_result[]) IS 'Settle of kind payment_out: success names the payment, a refusal parks with the words of SalesDrive, no answer is looked for';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, note_function, target) VALUES ('payment_out', 'shipped', 'salesdrive.plan_payment_out', 'salesdrive.settle_payment_out', 'salesdrive.note_payments_sent', 'account');

-- By hand.

CREATE FUNCTION require_bas_payment(account text, ref_key uuid, order_id bigint) RETURNS bas_payment
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    b bas_payment;
BEGIN
    PERFORM require_account(account);
    PERFORM FROM task t WHERE t.scope = require_bas_payment.account AND t.kind = 'payment_out' AND t.key = ref_key || '/' || order_id FOR UPDATE;    -- first the task, as the engine does
    SELECT * INTO b FROM bas_payment x WHERE x.account = require_bas_payment.account AND x.ref_key = require_bas_payment.ref_key AND x.order_id = require_bas_payment.order_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no payment document % of order % of account "%" is known', ref_key, order_id, account
            USING ERRCODE = 'SD016', HINT = 'Documents are in salesdrive.bas_payment; SELECT salesdrive.pull_payments(infobase, days) reads older ones.';
    END IF;
    RETURN b;
END $$;
COMMENT ON FUNCTION require_bas_payment(text, uuid, bigint) IS 'The payment document, locked, or a clear error';

CREATE FUNCTION link_payment(account text, payment_id bigint, ref_key uuid, order_id bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
DECLARE
    b bas_payment := require_bas_payment(account, ref_key, order_id);
BEGIN
    IF has_other_document(b.account, link_payment.payment_id, b.ref_key) THEN
        RAISE EXCEPTION 'payment % has document % in BAS already', link_payment.payment_id, (SELECT y.number FROM payment_sync y WHERE y.account = b.account AND y.payment_id = link_payment.payment_id)
            USING ERRCODE = '55000', HINT = format('If both are of the same money, delete one of them in BAS: that one and SELECT salesdrive.pull_payments(%1$L), then link once more; or this one. If this is not to go to SalesDrive: SELECT salesdrive.skip_payment(%2$L, %3$L, %4$s, ''why'');', b.infobase, b.account, b.ref_key, b.order_id);
    END IF;
    UPDATE bas_payment x SET state = 'sent', payment_id = link_payment.payment_id, sent_sum = x.sum, unsure_until = NULL, look_page = NULL, must_look = false, detail = NULL
    WHERE x.infobase = b.infobase AND x.ref_key = b.ref_key AND x.account = b.account AND x.order_id = b.order_id;
    DELETE FROM task t WHERE t.scope = b.account AND t.kind = 'payment_out' AND t.key = b.ref_key || '/' || b.order_id AND t.state <> 'in_flight';
    PERFORM enqueue_payments(b.account, ARRAY[link_payment.payment_id]);
    PERFORM wake_later(format('payment_out:%s:%s/%s', b.account, b.ref_key, b.order_id));
    INSERT INTO order_event (account, order_id, event, text) VALUES (b.account, b.order_id, 'payment', format('Document %s said to be payment %s of SalesDrive by %s.', b.number, link_payment.payment_id, session_user));
END $$;
COMMENT ON FUNCTION link_payment(text, bigint, uuid, bigint) IS 'Says that a payment of SalesDrive and a payment document of BAS are one and agree as they stand: neither is made from the other any more';

CREATE FUNCTION resend_payment(account text, ref_key uuid, order_id bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
DECLARE
    b bas_payment := require_bas_payment(account, ref_key, order_id);
BEGIN
    IF b.ours OR b.state = 'sent' THEN
        RAISE EXCEPTION 'document % is payment % of SalesDrive already', b.number, b.payment_id USING ERRCODE = '55000', HINT = 'The API of SalesDrive deletes no payment: what is wrong there is corrected there.';
    ELSIF b.state = 'unknown' AND b.unsure_until > clock() THEN
        RAISE EXCEPTION 'document % is on its way to SalesDrive', b.number USING ERRCODE = '55000', HINT = format('Whether it arrived is looked for by itself; what became of it is known at %s or soon after.', to_char(b.unsure_until, 'YYYY-MM-DD HH24:MI:SS'));
    END IF;
    UPDATE bas_payment x SET state = 'seen', unsure_until = NULL, look_page = NULL, detail = NULL WHERE x.infobase = b.infobase AND x.ref_key = b.ref_key AND x.account = b.account AND x.order_id = b.order_id RETURNING * INTO b;
    PERFORM enqueue_payments_out(ARRAY[b]);
    INSERT INTO order_event (account, order_id, event, text) VALUES (b.account, b.order_id, 'payment', format('Document %s sent to SalesDrive again by %s.', b.number, session_user));
    RETURN (SELECT t.id FROM task t WHERE t.scope = b.account AND t.kind = 'payment_out' AND t.key = b.ref_key || '/' || b.order_id);
END $$;
COMMENT ON FUNCTION resend_payment(text, uuid, bigint) IS 'Sends a payment document to SalesDrive again, with the same uniqueId, after it was refused or is not to be seen there; returns the task';

CREATE FUNCTION skip_payment(account text, ref_key uuid, order_id bigint, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
DECLARE
    b   bas_payment := require_bas_payment(account, ref_key, order_id);
    why text := coalesce(nullif(btrim(reason), ''), 'no reason given');
BEGIN
    IF b.ours OR b.state = 'sent' THEN
        RAISE EXCEPTION 'document % is payment % of SalesDrive already', b.number, b.payment_id USING ERRCODE = '55000', HINT = 'The API of SalesDrive deletes no payment: what is wrong there is corrected there.';
    END IF;
    UPDATE bas_payment x SET state = 'skipped', unsure_until = NULL, look_page = NULL, detail = why WHERE x.infobase = b.infobase AND x.ref_key = b.ref_key AND x.account = b.account AND x.order_id = b.order_id;
    DELETE FROM task t WHERE t.scope = b.account AND t.kind = 'payment_out' AND t.key = b.ref_key || '/' || b.order_id AND t.state <> 'in_flight';
    PERFORM wake_later(format('payment_out:%s:%s/%s', b.account, b.ref_key, b.order_id));
    INSERT INTO order_event (account, order_id, event, text) VALUES (b.account, b.order_id, 'payment', format('Document %s skipped by %s: %s', b.number, session_user, why));
END $$;
COMMENT ON FUNCTION skip_payment(text, uuid, bigint, text) IS 'Sends a payment document of BAS never to SalesDrive, whatever becomes of it; resend_payment() takes it back';
