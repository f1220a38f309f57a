-- Purpose: tasks of kind yml: the YML export of an account is read, kept, and, where account.products_to_bas says so, what BAS does not have is handed to tasks of kind product.
-- Rights: the engine's role; load_yml() is for 'admin', allow_products() for 'operator'.
--
--      asked for ──read export──▶ kept ──▶ catalog of the base read? ──▶ SKUs that the base does not have: too many, wait to be allowed · else a task each, in lane 4
--
-- The export (100 MB and 100 000 goods are normal) is read by the HTTP client as it arrives; settle gets the short form that src/yml.h describes, of at
-- most account_api.max_answer bytes. An answer that is no export, or breaks off, replaces nothing.

CREATE TABLE yml_load (
    account    text PRIMARY KEY REFERENCES account (name) ON DELETE CASCADE,
    asked_at   timestamptz NOT NULL,
    loaded_at  timestamptz,
    planned_at timestamptz,
    bytes      bigint,
    offers     integer NOT NULL DEFAULT 0,
    categories integer NOT NULL DEFAULT 0,
    gone       integer NOT NULL DEFAULT 0,
    wanted     integer NOT NULL DEFAULT 0,
    allowed    integer
);
COMMENT ON TABLE yml_load IS 'The YML export of each account: when it was read, and what came of it';
COMMENT ON COLUMN yml_load.account IS 'Account';
COMMENT ON COLUMN yml_load.asked_at IS 'When it was asked for last';
COMMENT ON COLUMN yml_load.loaded_at IS 'When it was read whole last';
COMMENT ON COLUMN yml_load.planned_at IS 'When it was compared with the base last, and products were asked for';
COMMENT ON COLUMN yml_load.bytes IS 'Its length';
COMMENT ON COLUMN yml_load.offers IS 'Goods in it';
COMMENT ON COLUMN yml_load.categories IS 'Categories in it';
COMMENT ON COLUMN yml_load.gone IS 'Goods that this reading did not have any more';
COMMENT ON COLUMN yml_load.wanted IS 'Products that the last comparison asked, or would ask, to be made';
COMMENT ON COLUMN yml_load.allowed IS 'So many were allowed by allow_products(); NULL: account.products_most counts';

CREATE FUNCTION yml_key(account text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    given text := btrim(secret('account:' || account || ':yml_key'));
BEGIN
    RETURN coalesce(substring(given FROM '[?&]publicKey=([^&#]+)'), url_encode(given));
END $$;
COMMENT ON FUNCTION yml_key(text) IS 'Key of the link to the YML export, as it stands in addresses; the secret account:NAME:yml_key may also hold the whole link';

CREATE FUNCTION keyless_url(url text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN strpos(url, 'publicKey=') > 0 THEN regexp_replace(url, '([?&]publicKey=)[^&#]*', '\1…') ELSE url END;
COMMENT ON FUNCTION keyless_url(text) IS 'An address as logs and messages show it, without the key of the YML export';

CREATE FUNCTION kept_too_large() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 'what is to be kept of the answer is larger than the limit of %';
COMMENT ON FUNCTION kept_too_large() IS 'Pattern of what the client says of a document of which more was to be kept than max_answer';

-- The link is not part of the API: that it is refused says nothing of the key of the API, and no limit is known.
CREATE FUNCTION yml_answer(r http_result) RETURNS http_result
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    r.url := keyless_url(r.url);
    IF r.http_status = 429 OR r.class = 'throttled' THEN
        r.class := 'transient';
    ELSIF r.error LIKE kept_too_large() OR r.http_status BETWEEN 200 AND 499 AND r.http_status <> 408 AND r.class <> 'ok' THEN
        r.class := 'business';
        r.error := concat_ws('; it begins with: ', r.error, nullif(left(regexp_replace(bytes_text(substring(r.body FROM 1 FOR 2000)), '\s+', ' ', 'g'), 150), ''));
    END IF;
    RETURN r;
END $$;
COMMENT ON FUNCTION yml_answer(http_result) IS 'An answer to the link of the YML export with its class: what came whole and is no export is asked for again by people only';

CREATE FUNCTION load_yml(account text) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM require_account(account);
    PERFORM hold_tasks(ARRAY[account], ARRAY['yml'], ARRAY['export']);
    INSERT INTO yml_load AS l (account, asked_at) VALUES (load_yml.account, clock()) ON CONFLICT ON CONSTRAINT yml_load_pkey DO UPDATE SET asked_at = excluded.asked_at, allowed = NULL;
    RETURN enqueue(account, 'yml', 'export', NULL, 4::smallint);
END $$;
COMMENT ON FUNCTION load_yml(text) IS 'Has the YML export of an account read, and with account.products_to_bas products made of what BAS does not have; returns the task';

-- Thousands of rows at once: the plans that the engine is made to take for its small sets would be slow here.
CREATE FUNCTION keep_categories(account text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
BEGIN
    WITH RECURSIVE line AS (
        SELECT c.category_id, ARRAY[c.category_id] AS ids, ARRAY[c.name] AS path FROM crm_category c WHERE c.account = keep_categories.account AND c.parent_id IS NULL AND c.gone_at IS NULL
        UNION ALL
        SELECT c.category_id, l.ids || c.category_id, l.path || c.name FROM line l JOIN crm_category c ON c.account = keep_categories.account AND c.parent_id = l.category_id AND c.gone_at IS NULL WHERE c.category_id <> ALL (l.ids) AND cardinality(l.ids) < 100    -- of a longer chain the arrays would have no end
    )
    UPDATE crm_category c SET ids = w.ids, path = w.path
    FROM (SELECT x.category_id, l.ids, l.path FROM crm_category x LEFT JOIN line l USING (category_id) WHERE x.account = keep_categories.account) w
    WHERE c.account = keep_categories.account AND c.category_id = w.category_id AND (c.ids, c.path) IS DISTINCT FROM (w.ids, w.path);
END $$;
COMMENT ON FUNCTION keep_categories(text) IS 'Works out the path of each category';

CREATE FUNCTION keep_yml(account text, said bytea, bytes bigint) RETURNS integer
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    now_at  timestamptz := clock();
    goods   integer;
    others  integer;
    missing integer;
BEGIN
    WITH item AS MATERIALIZED (
        SELECT e ->> 0 AS kind, left(btrim(e ->> 1), 200) AS id, e -> 2 AS said, n
        FROM string_to_table(left(substr(convert_from(said, 'UTF8'), length('{"data":[') + 1), -length(']}')), E',\n') WITH ORDINALITY l (line, n)    -- one row a line
        CROSS JOIN LATERAL (SELECT line::jsonb AS e) j WHERE line <> ''
    ), category AS (
        INSERT INTO crm_category AS c (account, category_id, name, parent_id, seen_at)
        SELECT DISTINCT ON (i.id) keep_yml.account, i.id, btrim(i.said ->> 'name'), nullif(nullif(btrim(i.said ->> 'parentId'), ''), '0'), now_at FROM item i
        WHERE i.kind = 'category' AND i.id <> '' AND btrim(i.said ->> 'name') <> '' AND EXISTS (SELECT FROM item o WHERE o.kind = 'offer') ORDER BY i.id, i.n DESC
        ON CONFLICT ON CONSTRAINT crm_category_pkey DO UPDATE SET name = excluded.name, parent_id = excluded.parent_id, seen_at = excluded.seen_at, gone_at = NULL RETURNING 1
    ), good AS (
        INSERT INTO crm_good AS g (account, offer_id, sku, name, category_id, price, currency, available, quantity, parameters, seen_at)
        SELECT DISTINCT ON (i.id) keep_yml.account, i.id, nullif(btrim(coalesce(nullif(btrim(s ->> 'vendorCode'), ''), nullif(btrim(s ->> 'article'), ''), s ->> 'sku')), ''), nullif(btrim(coalesce(nullif(btrim(s ->> 'name'), ''), s ->> 'model')), ''),
               nullif(btrim(s ->> 'categoryId'), ''), json_numeric(s -> 'price'), nullif(btrim(s ->> 'currencyId'), ''), CASE lower(s ->> 'available') WHEN 'true' THEN true WHEN 'false' THEN false END,
               json_numeric(coalesce(s -> 'quantity', s -> 'quantity_in_stock', s -> 'stock_quantity')), coalesce((SELECT jsonb_object_agg(substr(p.key, 7), p.value) FROM jsonb_each(s) p WHERE p.key LIKE 'param %'), '{}'), now_at
        FROM item i CROSS JOIN LATERAL (SELECT i.said AS s) w WHERE i.kind = 'offer' AND i.id <> '' ORDER BY i.id, i.n DESC
        ON CONFLICT ON CONSTRAINT crm_good_pkey DO UPDATE SET sku = excluded.sku, name = excluded.name, category_id = excluded.category_id, price = excluded.price, currency = excluded.currency, available = excluded.available,
            quantity = excluded.quantity, parameters = excluded.parameters, seen_at = excluded.seen_at, gone_at = NULL RETURNING 1
    )
    SELECT (SELECT count(*) FROM good), (SELECT count(*) FROM category) INTO goods, others;
    IF goods > 0 THEN
        UPDATE crm_category c SET gone_at = now_at WHERE c.account = keep_yml.account AND c.seen_at < now_at AND c.gone_at IS NULL;
        UPDATE crm_good g SET gone_at = now_at WHERE g.account = keep_yml.account AND g.seen_at < now_at AND g.gone_at IS NULL;
        GET DIAGNOSTICS missing = ROW_COUNT;
        PERFORM keep_categories(account);
        -- asked for by a clock that went back since, it would be read without end
        UPDATE yml_load l SET loaded_at = now_at, asked_at = least(l.asked_at, now_at), bytes = keep_yml.bytes, offers = goods, categories = others, gone = missing WHERE l.account = keep_yml.account;
    END IF;
    RETURN goods;
END $$;
COMMENT ON FUNCTION keep_yml(text, bytea, bigint) IS 'Keeps what an export says, and which goods and categories it has no more; returns the number of goods. One without goods changes nothing';

CREATE VIEW offer_status AS
    SELECT o.account, o.offer_id, o.sku, o.name, c.path AS category, o.price, o.currency,
           CASE WHEN o.gone_at IS NOT NULL THEN 'gone' WHEN o.sku IS NULL THEN 'no_sku' WHEN o.turn > 1 THEN 'double'
                WHEN b.alive THEN 'in_bas' WHEN t.state = 'parked' THEN 'parked' WHEN t.id IS NOT NULL THEN 'making' WHEN b.alive IS NOT NULL THEN 'marked_in_bas'
                WHEN length(o.sku) > coalesce(max_length(i.profile, 'product', 'article'), 150) THEN 'sku_too_long' ELSE 'missing' END AS state,
           CASE WHEN o.gone_at IS NULL AND o.turn = 1 THEN t.detail END AS detail, CASE WHEN o.gone_at IS NULL AND o.turn = 1 THEN t.hint END AS hint, t.id AS task_id
    FROM (SELECT g.*, row_number() OVER (PARTITION BY g.account, g.sku, g.gone_at IS NULL ORDER BY g.offer_id COLLATE "C") AS turn FROM crm_good g) o
    JOIN account a ON a.name = o.account JOIN infobase i ON i.name = a.infobase
    LEFT JOIN crm_category c ON c.account = o.account AND c.category_id = o.category_id
    LEFT JOIN task t ON t.scope = a.infobase AND t.kind = 'product' AND t.key = o.sku
    LEFT JOIN LATERAL (
        SELECT bool_or(x.alive) AS alive FROM (
            SELECT NOT g.deleted AND NOT g.is_folder AS alive FROM bas_good g WHERE g.infobase = a.infobase AND g.sku = o.sku
            UNION ALL SELECT p.state <> 'absent' FROM bas_product p WHERE p.infobase = a.infobase AND p.sku = o.sku AND (p.state <> 'absent' OR p.candidates IS NOT NULL)
            UNION ALL SELECT true FROM product_pin p WHERE p.infobase = a.infobase AND p.sku = o.sku) x) b ON true;
COMMENT ON VIEW offer_status IS 'Goods of the YML export, and where each is: gone, no_sku, double (another good has its SKU), in_bas, marked_in_bas (marked for deletion there, or a folder), sku_too_long, missing, making or parked';
COMMENT ON COLUMN offer_status.account IS 'Account';
COMMENT ON COLUMN offer_status.offer_id IS 'Id of the offer';
COMMENT ON COLUMN offer_status.sku IS 'SKU';
COMMENT ON COLUMN offer_status.name IS 'Name';
COMMENT ON COLUMN offer_status.category IS 'Names of its category and those around it, from the outermost';
COMMENT ON COLUMN offer_status.price IS 'Price';
COMMENT ON COLUMN offer_status.currency IS 'Its currency';
COMMENT ON COLUMN offer_status.state IS 'Where it is';
COMMENT ON COLUMN offer_status.detail IS 'Why it waits or is parked';
COMMENT ON COLUMN offer_status.hint IS 'What to do';
COMMENT ON COLUMN offer_status.task_id IS 'Task that makes it; resume(task_id) goes on with one that is parked';

CREATE VIEW products_progress AS
    SELECT l.account, CASE WHEN t.id IS NULL THEN 'idle' WHEN t.state = 'ready' THEN coalesce(t.reason, 'waiting') ELSE t.state END AS state, t.detail, l.loaded_at, l.planned_at,
           count(s.offer_id) FILTER (WHERE s.state <> 'gone') AS offers, count(s.offer_id) FILTER (WHERE s.state = 'in_bas') AS in_bas, count(s.offer_id) FILTER (WHERE s.state = 'making') AS making,
           count(s.offer_id) FILTER (WHERE s.state = 'parked') AS parked, count(s.offer_id) FILTER (WHERE s.state = 'missing') AS missing,
           count(s.offer_id) FILTER (WHERE s.state IN ('no_sku', 'double', 'sku_too_long', 'marked_in_bas')) AS left_out
    FROM yml_load l LEFT JOIN task t ON t.scope = l.account AND t.kind = 'yml' LEFT JOIN offer_status s ON s.account = l.account
    GROUP BY l.account, t.id;
COMMENT ON VIEW products_progress IS 'How far the goods of each YML export are in BAS';
COMMENT ON COLUMN products_progress.account IS 'Account';
COMMENT ON COLUMN products_progress.state IS 'Of the reading: idle, waiting (or the reason), in_flight or parked';
COMMENT ON COLUMN products_progress.detail IS 'What it waits for';
COMMENT ON COLUMN products_progress.loaded_at IS 'When the export was read last';
COMMENT ON COLUMN products_progress.planned_at IS 'When products were asked for last';
COMMENT ON COLUMN products_progress.offers IS 'Goods in the export';
COMMENT ON COLUMN products_progress.in_bas IS 'Of them in BAS';
COMMENT ON COLUMN products_progress.making IS 'Being made';
COMMENT ON COLUMN products_progress.parked IS 'Parked: offer_status says why';
COMMENT ON COLUMN products_progress.missing IS 'Not in BAS, and not asked for';
COMMENT ON COLUMN products_progress.left_out IS 'Never made: without SKU, with one that another good has, too long, or marked for deletion in BAS';

-- What is to be made. Of a template the base must have exactly one.

CREATE FUNCTION offers_wanted(a account) RETURNS TABLE (sku text, name text, ids text[], path text[], template_sku text, template uuid)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT s.sku, coalesce(s.name, s.sku), c.ids, c.path, m.sku, CASE WHEN m.sku IS NOT NULL THEN (SELECT CASE WHEN count(*) = 1 THEN min(b.ref_key::text)::uuid END FROM bas_good b WHERE b.infobase = a.infobase AND b.sku = m.sku AND NOT b.deleted AND NOT b.is_folder) END
    FROM offer_status s JOIN crm_good g ON g.account = s.account AND g.offer_id = s.offer_id LEFT JOIN crm_category c ON c.account = g.account AND c.category_id = g.category_id
    LEFT JOIN LATERAL product_rule_of(a.name, 'yml', s.sku, s.name, c.path) r ON true
    CROSS JOIN LATERAL (SELECT coalesce(r.template_sku, a.template_sku) AS sku) m
    WHERE s.account = a.name AND s.state = 'missing';
END $$;
COMMENT ON FUNCTION offers_wanted(account) IS 'Goods of the export that the base does not have, with the product each is made after';

CREATE FUNCTION want_offers(t task, a account) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    l     yml_load := (SELECT y FROM yml_load y WHERE y.account = a.name);
    s     plan_step := ROW(t.id, 'done', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
    stuck task;
    lost  text;
    many  integer;
BEGIN
    IF a.products_to_bas = 'off' THEN
        RETURN s;
    ELSIF NOT EXISTS (SELECT FROM goods_snapshot g WHERE g.infobase = a.infobase AND g.what = 'catalog' AND g.complete_at IS NOT NULL AND g.asked_at > l.loaded_at - interval '1 day') THEN
        SELECT w.* INTO stuck FROM task w WHERE w.scope = a.infobase AND w.kind = 'goods' AND w.key = 'catalog' AND w.state = 'parked';
        s.step := CASE WHEN stuck.id IS NULL THEN 'wait' ELSE 'park' END;
        s.reason := 'goods'; s.blocked_on := format('goods:%s:catalog', a.infobase);
        s.detail := CASE WHEN stuck.id IS NULL THEN 'The catalog of the base is read first.' ELSE 'The catalog of the base could not be read: ' || coalesce(stuck.detail, stuck.reason) END; s.hint := stuck.hint;
        RETURN s;
    END IF;
    SELECT count(*) INTO many FROM offer_status o WHERE o.account = a.name AND o.state = 'missing';
    UPDATE yml_load y SET wanted = many WHERE y.account = a.name;
    IF many > greatest(a.products_most, l.allowed) THEN
        s.step := 'park'; s.reason := 'guard'; s.blocked_on := format('products:%s:', a.name);
        s.detail := format('%s products of the YML export of account "%s" are not in infobase "%s"; more than account.products_most (%s) are not made unless that is allowed.', many, a.name, a.infobase, a.products_most);
        s.hint := format('Look at them: SELECT * FROM salesdrive.offer_status WHERE account = %L AND state = ''missing''. If that is right: SELECT salesdrive.allow_products(%L).', a.name, a.name);
        RETURN s;
    ELSIF many > 0 AND a.template_sku IS NULL AND NOT EXISTS (SELECT FROM product_rule r WHERE r.account IN (a.name, '*') AND r.source IS DISTINCT FROM 'order') THEN
        s.step := 'park'; s.reason := 'product_rule'; s.blocked_on := format('product_rule:%s:', a.name);
        s.detail := format('Nothing says what products of account "%s" are to look like in BAS: it has no rows of product_rule for them, and no template_sku.', a.name);
        s.hint := format('INSERT INTO salesdrive.product_rule (account, unit, vat_rate, kind) VALUES (%L, ''unit'', ''rate'', ''goods''); then it goes on by itself.', a.name);
        RETURN s;
    END IF;
    WITH wanted AS MATERIALIZED (
        SELECT w.* FROM offers_wanted(a) w
    ), creation AS (
        INSERT INTO product_creation AS c (infobase, sku, name, template, our_ref_key, account, source, category_ids, category)
        SELECT a.infobase, w.sku, w.name, w.template, product_ref_key(w.sku), a.name, 'yml', w.ids, w.path FROM wanted w WHERE w.template_sku IS NULL OR w.template IS NOT NULL ORDER BY w.sku
        ON CONFLICT ON CONSTRAINT product_creation_pkey DO UPDATE SET name = excluded.name, template = excluded.template, account = excluded.account, source = excluded.source, category_ids = excluded.category_ids, category = excluded.category,
            body = NULL, searched_at = NULL, problem = NULL
    ), asked AS (
        INSERT INTO task (scope, kind, key, infobase, lane) SELECT a.infobase, 'product', w.sku, a.infobase, 4 FROM wanted w WHERE w.template_sku IS NULL OR w.template IS NOT NULL ORDER BY w.sku
        ON CONFLICT ON CONSTRAINT task_scope_kind_key_key DO NOTHING
    )
    SELECT string_agg(DISTINCT w.template_sku, ', ') INTO lost FROM wanted w WHERE w.template_sku IS NOT NULL AND w.template IS NULL;
    UPDATE yml_load y SET planned_at = clock(), allowed = NULL WHERE y.account = a.name;
    IF lost IS NOT NULL THEN
        s.step := 'park'; s.reason := 'template'; s.blocked_on := format('product_rule:%s:', a.name);
        s.detail := format('Infobase "%s" has none, or several, of the products that others are made after: %s.', a.infobase, lost);
        s.hint := format('Correct template_sku (of account, or product_rule); or mend it in BAS, SELECT salesdrive.load_goods(%L), and call resume(%s).', a.infobase, t.id);
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION want_offers(task, account) IS 'Compares an export that was kept with the catalog of the base, and asks for the products it lacks; or says why not';

CREATE FUNCTION plan_yml_of(t task) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    a account := (SELECT x FROM account x WHERE x.name = t.account);
    l yml_load := (SELECT y FROM yml_load y WHERE y.account = t.account);
    key text;
    why text;
BEGIN
    IF l.account IS NULL THEN
        RETURN ROW(t.id, 'done', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
    ELSIF l.loaded_at >= l.asked_at THEN
        RETURN want_offers(t, a);
    END IF;
    BEGIN
        key := yml_key(a.name);
        why := CASE WHEN key IS NULL THEN 'it is not set in this database' END;
    EXCEPTION WHEN OTHERS THEN
        why := SQLERRM;
    END;
    IF why IS NOT NULL THEN
        RETURN ROW(t.id, 'park', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'yml_key', format('The secret account:%s:yml_key cannot be used: %s', a.name, why),
                   format('Switch on the export "by link" in SalesDrive, SELECT salesdrive.set_secret(%L, ''the link, or its publicKey''), and load_yml() again.', format('account:%s:yml_key', a.name)), NULL)::plan_step;
    END IF;
    RETURN ROW(t.id, 'request', 'read YML export', 'GET', a.yml_path || '?publicKey=' || key, NULL, jsonb_build_object('asked_at', l.asked_at), false, NULL, NULL, NULL, NULL, NULL)::plan_step;
END $$;
COMMENT ON FUNCTION plan_yml_of(task) IS 'Next step of the reading of an export: the request, or what comes after it';

CREATE FUNCTION plan_yml(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT s.* FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t CROSS JOIN LATERAL plan_yml_of(t) s;
END $$;
COMMENT ON FUNCTION plan_yml(bigint[]) IS 'Plan of kind yml';

CREATE FUNCTION settle_yml(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
    s plan_step;
BEGIN
    FOR r IN SELECT u.task_id, t.account, t.memo, u.class, u.error, u.http_status, u.body_bytes, CASE WHEN u.class = 'ok' THEN u.body END AS said
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t ORDER BY t.account
    LOOP
        s := ROW(r.task_id, 'again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
        IF r.class = 'ok' AND keep_yml(r.account, r.said, r.body_bytes) > 0 THEN
            NULL;
        ELSIF r.class IN ('ok', 'business') THEN
            s.step := 'park'; s.reason := 'yml';
            s.detail := format('Account "%s" was asked for its YML export, and%s: %s.', r.account, ' with status ' || r.http_status, CASE r.class WHEN 'ok' THEN 'the export names no goods' ELSE r.error END);
            s.hint := CASE WHEN r.error LIKE kept_too_large() THEN format('UPDATE salesdrive.account_api SET max_answer = %s WHERE account = %L; then call load_yml() again.', 2 * (SELECT x.max_answer::bigint FROM account_api x WHERE x.account = r.account), r.account) ELSE format('Is the export switched on "by link" in SalesDrive, and is the secret account:%s:yml_key that link, or its publicKey? What was known of the goods stays; call load_yml() again.', r.account) END;
        ELSE
            CONTINUE;
        END IF;
        RETURN NEXT s;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_yml(http_result[]) IS 'Settle of kind yml: keeps the export; an answer that is none parks the task';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, answer, total_timeout, target) VALUES ('yml', 'shipped', 'salesdrive.plan_yml', 'salesdrive.settle_yml', 'yml', '10 min', 'account');

CREATE FUNCTION allow_products(account text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM require_account(account);
    IF NOT EXISTS (SELECT FROM task t WHERE t.scope = allow_products.account AND t.kind = 'yml' AND t.state = 'parked' AND t.reason = 'guard') THEN
        RAISE EXCEPTION 'nothing of account "%" waits to be allowed', account USING ERRCODE = '22023', HINT = 'SELECT * FROM salesdrive.products_progress; says how far it is.';
    END IF;
    UPDATE yml_load l SET allowed = l.wanted WHERE l.account = allow_products.account;
    PERFORM wake_later(format('products:%s:', account));
END $$;
COMMENT ON FUNCTION allow_products(text) IS 'Lets as many products be made in BAS as a comparison that stopped has counted';
