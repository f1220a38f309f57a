-- Purpose: from bytes to orders: reads deliveries of either shape, keeps every version, makes each order anew from all of them.
-- Rights: the engine's role ('admin').

-- Rows and lists, whatever they come as.

CREATE FUNCTION keyed_rows(value jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT jsonb_agg(o.value) FROM jsonb_each(value) o);
END $$;
COMMENT ON FUNCTION keyed_rows(jsonb) IS 'Values of an object keyed by number, as an array in their order';

CREATE FUNCTION json_rows(value jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE jsonb_typeof(value) WHEN 'array' THEN value WHEN 'object' THEN coalesce(keyed_rows(value), '[]') ELSE '[]' END;
COMMENT ON FUNCTION json_rows(jsonb) IS 'Rows as an array: an array itself, the values of an object keyed by number, nothing for null';

CREATE FUNCTION json_list(value jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE jsonb_typeof(value) WHEN 'array' THEN value WHEN 'null' THEN '[]' ELSE coalesce('[]'::jsonb || value, '[]') END;
COMMENT ON FUNCTION json_list(jsonb) IS 'A single value as an array of one; an array itself; nothing for null';

CREATE AGGREGATE jsonb_merge(jsonb) (SFUNC = jsonb_concat, STYPE = jsonb, INITCOND = '{}');
COMMENT ON AGGREGATE jsonb_merge(jsonb) IS 'Merges objects key by key, later ones over earlier ones';

-- A delivery.

CREATE FUNCTION order_bodies(body jsonb) RETURNS TABLE (n bigint, shape text, event text, data jsonb)
    LANGUAGE sql IMMUTABLE ROWS 1
BEGIN ATOMIC
    SELECT 1, 'webhook', body #>> '{info,webhookEvent}', body -> 'data' WHERE jsonb_typeof(body -> 'data') = 'object'
    UNION ALL
    SELECT e.n, 'list', NULL, e.data FROM jsonb_array_elements(CASE jsonb_typeof(body -> 'data') WHEN 'array' THEN body -> 'data' ELSE '[]' END) WITH ORDINALITY e (data, n)
    UNION ALL
    SELECT 1, 'list', NULL, body WHERE body ? 'id' AND NOT body ? 'data';
END;
COMMENT ON FUNCTION order_bodies(jsonb) IS 'Orders within a delivery: a webhook, a page of order/list, or a bare row of it';

CREATE FUNCTION url_host(url text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN split_part(split_part(split_part(lower(url), '://', 2), '/', 1), ':', 1);
COMMENT ON FUNCTION url_host(text) IS 'Host of an address, in small letters';

-- A regular expression that has to tell what it found, not only whether, takes as long as reading half of the body.
CREATE FUNCTION foreign_delivery(body jsonb, account_url text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN lower(body #>> '{info,webhookType}') <> 'order' THEN 'other_type'
                WHEN url_host(account_url) NOT IN (lower(btrim(body #>> '{info,account}')), lower(btrim(body #>> '{info,account}')) || '.salesdrive.me')
                     AND url_host(account_url) ~ '^[a-z0-9-]+\.salesdrive\.me$' THEN 'other_account' END;
COMMENT ON FUNCTION foreign_delivery(jsonb, text) IS 'Why a webhook is none of this account''s orders: other_type, or other_account when info.account contradicts the account''s address; else NULL';

CREATE TYPE delivered_order AS (
    account     text,
    order_id    bigint,
    version     bigint,
    hash        text,
    update_at   timestamp,
    shape       text,
    event       text,
    data        jsonb,
    inbox_id    bigint,
    received_at timestamptz,
    infobase    text,
    source      text,
    bytes       integer,
    meta        jsonb
);
COMMENT ON TYPE delivered_order IS 'An order within a delivery, with what staging needs of the delivery: read once';
COMMENT ON COLUMN delivered_order.account IS 'Account';
COMMENT ON COLUMN delivered_order.order_id IS 'Order number; NULL where the body has none';
COMMENT ON COLUMN delivered_order.version IS 'As in crm_order_version, like all down to received_at';
COMMENT ON COLUMN delivered_order.hash IS 'MD5 of the data';
COMMENT ON COLUMN delivered_order.update_at IS 'updateAt as written';
COMMENT ON COLUMN delivered_order.shape IS 'webhook or list; NULL: the delivery holds no order, or belongs elsewhere';
COMMENT ON COLUMN delivered_order.event IS 'Event of a webhook';
COMMENT ON COLUMN delivered_order.data IS 'The order as received';
COMMENT ON COLUMN delivered_order.inbox_id IS 'Delivery';
COMMENT ON COLUMN delivered_order.received_at IS 'When that was';
COMMENT ON COLUMN delivered_order.infobase IS 'Infobase of the account';
COMMENT ON COLUMN delivered_order.source IS 'How the delivery came (inbox.source)';
COMMENT ON COLUMN delivered_order.bytes IS 'Length of its body';
COMMENT ON COLUMN delivered_order.meta IS 'Its meta, with the first of its orders';

CREATE FUNCTION delivered_orders(ids bigint[], times timestamptz[]) RETURNS SETOF delivered_order
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT i.account, order_number(o.data -> 'id'), coalesce(json_bigint(o.data -> 'version'), 0), md5(o.data::text), json_time(o.data -> 'updateAt'), o.shape, o.event, o.data,
           i.id, i.received_at, a.infobase, i.source, octet_length(i.body), CASE WHEN coalesce(o.n, 1) = 1 THEN b.body -> 'meta' END
    FROM ROWS FROM (few(ids), few(times)) k (id, at)
    JOIN inbox i ON i.id = k.id AND i.received_at = k.at
    LEFT JOIN account a ON a.name = i.account
    CROSS JOIN LATERAL (SELECT body_json(i.body) AS body OFFSET 0) b    -- OFFSET 0: read the body once
    LEFT JOIN LATERAL order_bodies(b.body) o ON foreign_delivery(b.body, a.url) IS NULL;
END;
COMMENT ON FUNCTION delivered_orders(bigint[], timestamptz[]) IS 'Orders within the deliveries named; one row without data for a delivery that holds none or belongs elsewhere';

CREATE FUNCTION unreadable_parts(data jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    version    text := CASE WHEN json_bigint(data -> 'version') IS NULL THEN left(json_text(data -> 'version'), 100) END;
    update_at  text := CASE WHEN json_time(data -> 'updateAt') IS NULL THEN left(json_text(data -> 'updateAt'), 100) END;
    order_time text := CASE WHEN json_time(data -> 'orderTime') IS NULL THEN left(json_text(data -> 'orderTime'), 100) END;
BEGIN
    RETURN nullif(concat_ws(' ',
        'The version "' || version || '" cannot be read and counts as 0: older than any other.',
        'updateAt "' || update_at || '" cannot be read: this body counts as the oldest of its version.',
        'orderTime "' || order_time || '" cannot be read: the document gets the date of updateAt, else of the delivery.'), '');
END $$;
COMMENT ON FUNCTION unreadable_parts(jsonb) IS 'What of version and times of an order as received cannot be read, and what counts in its place; NULL when nothing';

-- An order out of all its versions.

CREATE TYPE merged_order AS (
    account     text,
    order_id    bigint,
    version     bigint,
    update_at   timestamp,
    data        jsonb,
    deliveries  bigint,
    received_at timestamptz,
    changed_at  timestamptz
);
COMMENT ON TYPE merged_order IS 'An order made from all versions received';
COMMENT ON COLUMN merged_order.account IS 'Account';
COMMENT ON COLUMN merged_order.order_id IS 'Order number';
COMMENT ON COLUMN merged_order.version IS 'Newest version';
COMMENT ON COLUMN merged_order.update_at IS 'updateAt of it, local time of the account';
COMMENT ON COLUMN merged_order.data IS 'The order: newest values, present keys over absent ones';
COMMENT ON COLUMN merged_order.deliveries IS 'Number of bodies it was made from';
COMMENT ON COLUMN merged_order.received_at IS 'When the first of them was received';
COMMENT ON COLUMN merged_order.changed_at IS 'When the last of them was received';

CREATE FUNCTION order_lines(data jsonb) RETURNS TABLE (line_no integer, product_id text, parameter text, sku text, name text, amount numeric, price numeric,
        discount numeric, is_percent boolean, description text, stock_id text, is_upsell boolean, is_kit boolean, kit jsonb)
    LANGUAGE sql IMMUTABLE ROWS 3
BEGIN ATOMIC
    SELECT l.n::integer, json_text(p -> 'productId'), json_text(p -> 'parameter'), left(json_text(p -> 'sku'), 500),    -- so much fits into an index
           coalesce(json_text(p -> 'text'), json_text(p -> 'name')),
           json_numeric(p -> 'amount'), json_numeric(p -> 'price'),
           CASE WHEN json_text(p -> 'discount') IS NULL THEN 0 ELSE json_numeric(p -> 'discount') END,
           json_flag(p -> 'percentDiscount'), json_text(p -> 'description'), json_text(p -> 'stockId'),
           json_flag(coalesce(p -> 'upsell', p -> 'preSale')), json_flag(p -> 'isComplect'), nullif(p -> 'complect', 'null')
    FROM jsonb_array_elements(json_rows(data -> 'products')) WITH ORDINALITY l (p, n);
END;
COMMENT ON FUNCTION order_lines(jsonb) IS 'Lines of an order as received, in either shape; what is no proper line has neither quantity nor price and parks the order';

CREATE FUNCTION contact_rows(data jsonb) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN jsonb_typeof(data -> 'primaryContact') = 'object' AND NOT json_rows(data -> 'contacts') @> jsonb_build_array(jsonb_build_object('id', data #> '{primaryContact,id}'))
                THEN jsonb_build_array(data -> 'primaryContact') ELSE '[]' END || json_rows(data -> 'contacts');
COMMENT ON FUNCTION contact_rows(jsonb) IS 'Contacts of an order; a primaryContact that is not among them comes first';

CREATE FUNCTION order_contacts(data jsonb) RETURNS TABLE (contact_no integer, contact_id text, last_name text, first_name text, middle_name text,
        company text, phone text, phone_raw text, email text, comment text)
    LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
    SELECT r.n::integer, json_text(c -> 'id'), json_text(c -> 'lName'), json_text(c -> 'fName'), json_text(c -> 'mName'),
           json_text(c -> 'company'), p.phone, p.raw, json_text(c -> 'email'), json_text(c -> 'comment')
    FROM jsonb_array_elements(contact_rows(data)) WITH ORDINALITY r (c, n)
    CROSS JOIN LATERAL (
        SELECT (array_agg(t.e164) FILTER (WHERE t.e164 IS NOT NULL))[1] AS phone, string_agg(nullif(btrim(t.phone), ''), ', ') AS raw
        FROM (SELECT e.phone, phone_e164(e.phone) AS e164 FROM jsonb_array_elements_text(json_list(c -> 'phone')) e (phone) OFFSET 0) t) p;    -- OFFSET 0: each once
END;
COMMENT ON FUNCTION order_contacts(jsonb) IS 'Contacts of an order as received, with the first usable phone of each';

-- Two bodies of one version contradict each other when a value both carry differs, blank and number spelling aside.

CREATE FUNCTION plain_value(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(trim_scale(json_numeric(value))::text, json_text(value));
COMMENT ON FUNCTION plain_value(jsonb) IS 'A value in one spelling: 6, "6" and "6.0" are equal, "" and null are NULL';

CREATE FUNCTION order_essence(data jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT coalesce(jsonb_object_agg(e.key, plain_value(e.value)), '{}')
           || CASE WHEN data ? 'products' THEN jsonb_build_object('products',
                  (SELECT jsonb_agg(jsonb_build_array(l.sku, trim_scale(l.amount), trim_scale(l.price), trim_scale(l.discount), l.is_percent) ORDER BY l.line_no)
                   FROM order_lines(data) l)) ELSE '{}' END
    FROM jsonb_each(data) e
    WHERE e.key IN ('statusId', 'paymentAmount', 'comment', 'payment_method', 'shipping_method', 'sajt', 'organizationId', 'externalId', 'orderTime', 'updateAt'));
END $$;
COMMENT ON FUNCTION order_essence(jsonb) IS 'What both shapes of an order must agree on';

CREATE FUNCTION versions_conflict(account text, order_id bigint, version bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM (SELECT e.key, e.value
                     FROM crm_order_version v, jsonb_each(order_essence(v.data)) e
                     WHERE v.account = versions_conflict.account AND v.order_id = versions_conflict.order_id AND v.version = versions_conflict.version) s
        GROUP BY key HAVING count(DISTINCT coalesce(value, 'null')) > 1);
END $$;
COMMENT ON FUNCTION versions_conflict(text, bigint, bigint) IS 'Whether two deliveries of one version contradict each other';

-- Writing the rows.

CREATE FUNCTION write_orders(orders order_key[]) RETURNS merged_order[]
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    merged  merged_order[];
    again   boolean;
    parcels boolean;
BEGIN
    SELECT array_agg(m), bool_or(m.deliveries > 1), bool_or(m.data ? 'delivery') INTO merged, again, parcels FROM merged_orders(orders) m;
    IF again THEN
        DELETE FROM crm_order_contact o USING few(merged) m WHERE o.account = m.account AND o.order_id = m.order_id AND m.deliveries > 1;
        DELETE FROM crm_order_line o USING few(merged) m WHERE o.account = m.account AND o.order_id = m.order_id AND m.deliveries > 1;
        DELETE FROM crm_order_delivery o USING few(merged) m WHERE o.account = m.account AND o.order_id = m.order_id AND m.deliveries > 1;
    END IF;
    INSERT INTO crm_order_contact SELECT m.account, m.order_id, c.* FROM few(merged) m CROSS JOIN LATERAL order_contacts(m.data) c;

    INSERT INTO crm_order AS o (account, order_id, version, update_at, external_id, form_id, order_time, status_id, type_id, user_id, organization_id,
        site_id, payment_method, shipping_method, payment_amount, payed_amount, rest_pay, discount_amount, shipping_costs, comment, shipping_address,
        phone, phone_raw, customer_name, source, line_count, refetch, received_at, changed_at)
    SELECT m.account, m.order_id, m.version, m.update_at, json_text(d -> 'externalId'), json_bigint(d -> 'formId'), json_time(d -> 'orderTime'),
        json_text(d -> 'statusId'), json_text(d -> 'typeId'), json_text(d -> 'userId'), json_text(d -> 'organizationId'),
        json_text(d -> 'sajt'), json_text(d -> 'payment_method'), json_text(d -> 'shipping_method'), json_numeric(d -> 'paymentAmount'),
        json_numeric(d -> 'payedAmount'), json_numeric(d -> 'restPay'), json_numeric(d -> 'discountAmount'), json_numeric(d -> 'shipping_costs'),
        d ->> 'comment', json_text(d -> 'shipping_address'), c.phone, c.phone_raw, c.name, left(coalesce(json_text(d -> 'utmSource'), json_text(d -> 'prodex24source')), 200), l.lines,
        m.deliveries > 1 AND versions_conflict(m.account, m.order_id, m.version), m.received_at, m.changed_at
    FROM few(merged) m
    CROSS JOIN LATERAL (SELECT m.data AS d) x
    CROSS JOIN LATERAL (SELECT jsonb_array_length(json_rows(d -> 'products')) AS lines) l
    CROSS JOIN LATERAL (
        SELECT (array_agg(k.phone) FILTER (WHERE k.phone IS NOT NULL))[1] AS phone, string_agg(nullif(k.phone_raw, ''), ', ') AS phone_raw,
               (array_agg(coalesce(nullif(concat_ws(' ', k.last_name, k.first_name, k.middle_name), ''), k.company)))[1] AS name
        FROM (SELECT n.* FROM crm_order_contact n WHERE n.account = m.account AND n.order_id = m.order_id ORDER BY n.contact_no) k) c
    ORDER BY m.account, m.order_id
    ON CONFLICT (account, order_id) DO UPDATE SET
        version = excluded.version, update_at = excluded.update_at, external_id = excluded.external_id, form_id = excluded.form_id,
        order_time = excluded.order_time, status_id = excluded.status_id, type_id = excluded.type_id, user_id = excluded.user_id,
        organization_id = excluded.organization_id, site_id = excluded.site_id, payment_method = excluded.payment_method, shipping_method = excluded.shipping_method,
        payment_amount = excluded.payment_amount, payed_amount = excluded.payed_amount, rest_pay = excluded.rest_pay, discount_amount = excluded.discount_amount,
        shipping_costs = excluded.shipping_costs, comment = excluded.comment, shipping_address = excluded.shipping_address, phone = excluded.phone,
        phone_raw = excluded.phone_raw, customer_name = excluded.customer_name, source = excluded.source, line_count = excluded.line_count, refetch = excluded.refetch,
        received_at = excluded.received_at, changed_at = excluded.changed_at;

    INSERT INTO crm_order_line SELECT m.account, m.order_id, l.* FROM few(merged) m CROSS JOIN LATERAL order_lines(m.data) l;
    IF parcels THEN
        INSERT INTO crm_order_delivery SELECT d.* FROM few(merged) m CROSS JOIN LATERAL delivery_rows(m.account, m.order_id, m.data -> 'delivery') d WHERE m.data ? 'delivery';
    END IF;
    RETURN merged;
END $$;
COMMENT ON FUNCTION write_orders(order_key[]) IS 'Writes orders, their lines, contacts and parcels, made from all their versions; returns what they were made into';

CREATE FUNCTION reject_deliveries(ids bigint[], times timestamptz[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO inbox_reject (inbox_id, received_at, account, reason, detail)
    SELECT i.id, i.received_at, i.account, coalesce(f.why, 'not_order'),
           CASE f.why WHEN 'other_type' THEN format('The webhook is of type "%s", not "order".', left(b.body #>> '{info,webhookType}', 100))
                WHEN 'other_account' THEN format('The webhook comes from account "%s" of SalesDrive, but the address of account "%s" here is %s. Give that account its own webhook address.', left(b.body #>> '{info,account}', 100), a.name, a.url)
                ELSE 'The body holds no order with a number: neither a webhook nor a row of order/list.' END
    FROM ROWS FROM (few(ids), few(times)) k (id, at) JOIN inbox i ON i.id = k.id AND i.received_at = k.at LEFT JOIN account a ON a.name = i.account
    CROSS JOIN LATERAL (SELECT body_json(i.body) AS body) b
    CROSS JOIN LATERAL (SELECT foreign_delivery(b.body, a.url) AS why) f
    ON CONFLICT DO NOTHING;
END $$;
COMMENT ON FUNCTION reject_deliveries(bigint[], timestamptz[]) IS 'Keeps why nothing was read from these deliveries';

CREATE FUNCTION note_unreadable(orders order_key[], ids bigint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO order_event (at, account, order_id, event, version, text)
    SELECT v.received_at, v.account, v.order_id, 'unreadable', v.version, u
    FROM few(orders) k JOIN crm_order_version v ON v.account = k.account AND v.order_id = k.order_id AND v.inbox_id = ANY (ids) CROSS JOIN LATERAL unreadable_parts(v.data) u WHERE u IS NOT NULL;
END $$;
COMMENT ON FUNCTION note_unreadable(order_key[], bigint[]) IS 'Tells what of the versions that these deliveries brought cannot be read';

CREATE FUNCTION stage_deliveries(ids bigint[], times timestamptz[], again bigint[] DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    delivered delivered_order[];
    some_void boolean;
    some_list boolean;
    some_meta boolean;
    fresh     order_key[];
    unclear   order_key[];
    old       order_key[];
BEGIN
    SELECT array_agg(v), bool_or(v.order_id IS NULL), bool_or(v.shape = 'list'), bool_or(v.meta ? 'fields') INTO delivered, some_void, some_list, some_meta FROM delivered_orders(ids, times) v;

    IF some_void THEN
        PERFORM reject_deliveries(array_agg(r.inbox_id), array_agg(r.received_at))
        FROM (SELECT v.inbox_id, v.received_at FROM few(delivered) v GROUP BY v.inbox_id, v.received_at HAVING count(v.order_id) = 0) r;
    END IF;

    IF again IS NOT NULL THEN    -- the log tells of a delivery once, as it was read last
        DELETE FROM exchange_log l USING few(delivered) v WHERE v.inbox_id = ANY (again) AND l.at = v.received_at AND l.direction = 'in' AND l.inbox_id = v.inbox_id;
    END IF;
    INSERT INTO exchange_log (at, direction, account, infobase, order_id, purpose, method, http_status, class, request_bytes, inbox_id)
    SELECT DISTINCT ON (v.inbox_id) v.received_at, 'in', v.account, v.infobase, v.order_id, v.source, 'POST', 200, 'ok', v.bytes, v.inbox_id    -- with the first order of each delivery
    FROM few(delivered) v WHERE v.source NOT IN ('poll', 'backfill') ORDER BY v.inbox_id, v.order_id;    -- those are in the log as answers

    WITH kept AS (
        INSERT INTO crm_order_version
        SELECT v.account, v.order_id, v.version, v.hash, v.update_at, v.shape, v.event, v.data, v.inbox_id, v.received_at FROM few(delivered) v WHERE v.order_id IS NOT NULL ORDER BY v.account, v.order_id, v.version, v.hash
        ON CONFLICT DO NOTHING RETURNING account, order_id, version, update_at, event, shape, data, received_at
    ), noted AS (
        INSERT INTO order_event (at, account, order_id, event, version, text)
        SELECT received_at, account, order_id, 'received', version, format('Version %s received (%s).', version, coalesce(event, shape)) FROM kept
    )
    SELECT array_agg(DISTINCT (account, order_id)::order_key),
           array_agg(DISTINCT (account, order_id)::order_key) FILTER (WHERE version = 0 OR update_at IS NULL OR json_time(data -> 'orderTime') IS NULL) INTO fresh, unclear FROM kept;

    IF unclear IS NOT NULL THEN PERFORM note_unreadable(unclear, ids); END IF;
    IF some_meta THEN PERFORM note_crm_values(delivered); END IF;
    IF fresh IS NULL THEN
        RETURN;
    END IF;
    PERFORM note_crm_seen(write_orders(fresh));
    IF some_list THEN    -- what only a backfill brought has time
        old := ARRAY(SELECT (v.account, v.order_id)::order_key FROM few(delivered) v GROUP BY v.account, v.order_id HAVING bool_and(v.source = 'backfill') INTERSECT SELECT k FROM few(fresh) k);
        PERFORM enqueue_orders(old, 4::smallint);
        fresh := ARRAY(SELECT k FROM few(fresh) k EXCEPT SELECT k FROM few(old) k);
    END IF;
    PERFORM enqueue_orders(fresh);
END $$;
COMMENT ON FUNCTION stage_deliveries(bigint[], timestamptz[], bigint[]) IS 'Reads a set of deliveries into staging and asks for a task for every order that got something new; again: those of them that were read before';

CREATE FUNCTION is_passing_error(state text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN left(state, 2) IN ('08', '25', '40', '53', '55', '57', '58');
COMMENT ON FUNCTION is_passing_error(text) IS 'Whether an SQLSTATE speaks of the server''s condition (disk, memory, locks, shutdown) and not of the row at hand';

CREATE FUNCTION ingest(max_rows integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = force_generic_plan SET join_collapse_limit = 1 SET from_collapse_limit = 1 SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET cpu_tuple_cost = 1 SET max_parallel_workers_per_gather = 0 SET jit = off AS $$
DECLARE
    ids    bigint[];
    times  timestamptz[];
    again  bigint[];
    locked bigint[] := '{}';
    patience text := current_setting('lock_timeout');
    why    text;
BEGIN
    IF quiet_reason() IS NOT NULL THEN    -- a copy waits for adopt(); one that is being restored must not be written to
        RETURN 0;
    END IF;
    SELECT array_agg(p.id), array_agg(p.received_at), array_agg(p.id) FILTER (WHERE p.again) INTO ids, times, again
    FROM (SELECT q.id, q.received_at, q.again FROM inbox_pending q WHERE q.put_off_until IS NULL OR q.put_off_until <= clock() ORDER BY q.id LIMIT max_rows FOR UPDATE SKIP LOCKED) p;
    IF ids IS NULL THEN
        RETURN 0;
    END IF;
    BEGIN
        PERFORM stage_deliveries(ids, times, again);
    EXCEPTION WHEN OTHERS THEN
        IF is_passing_error(SQLSTATE) AND SQLSTATE <> '55P03' THEN RAISE; END IF;
        PERFORM set_config('lock_timeout', '100ms', true);
        FOR i IN 1 .. cardinality(ids) LOOP    -- one bad delivery fails alone, and one whose order another session holds waits alone
            BEGIN
                PERFORM stage_deliveries(ids[i : i], times[i : i], again);
            EXCEPTION WHEN lock_not_available THEN
                locked := locked || ids[i];
            WHEN OTHERS THEN
                IF is_passing_error(SQLSTATE) THEN RAISE; END IF;
                GET STACKED DIAGNOSTICS why = MESSAGE_TEXT;
                INSERT INTO inbox_reject (inbox_id, received_at, account, reason, detail)
                SELECT i2.id, i2.received_at, i2.account, SQLSTATE, why FROM inbox i2 WHERE i2.id = ids[i] AND i2.received_at = times[i]
                ON CONFLICT DO NOTHING;
            END;
        END LOOP;
        PERFORM set_config('lock_timeout', patience, true);
        UPDATE inbox_pending SET put_off_until = clock() + interval '5 s' WHERE id = ANY (locked);
    END;
    DELETE FROM inbox_pending WHERE id = ANY (ids) AND id <> ALL (locked);
    RETURN cardinality(ids) - cardinality(locked);
END $$;
COMMENT ON FUNCTION ingest(integer) IS 'Reads up to so many waiting deliveries into staging; returns how many. A bad one is rejected alone, with its reason; one whose order another session holds is put off; a quiet database reads none';
