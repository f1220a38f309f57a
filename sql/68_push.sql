-- Purpose: tasks of kind push: goods, stock and prices from what was read of a base to SalesDrive.
-- Rights: 'operator' asks, cancels and allows; the engine does it.
--
-- Of each product SalesDrive's last acceptance is known by value (product_sync); a run compares all of them with what was read of BAS, and sends what
-- differs, up to 100 a request, one request at a time. Orders go on meanwhile: a turn of the engine compares one slice of goods, as one set; the guard
-- judges, and the first request leaves, when all are compared, on one basis of readings and settings.
--
--   reading ──▶ comparing ──▶ sending ──nothing left──▶ done      a refused request is halved until the guilty product stands alone
--      ▲            │ └─▶ guarded (allow_push(), a larger share)   no answer: the same request again, when the first can be at work no more
--      └────────────┴─────────┘                                    cancel_push(): cancelled, at any time
--
-- SalesDrive ignores keys it does not know, and says success. So no key comes from anywhere but product_keys().

CREATE FUNCTION product_keys() RETURNS TABLE (key text, what text, guard text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
    SELECT k.key, k.what, coalesce(k.guard, k.key)    -- what the key is called in dontUpdateFields
    FROM (VALUES ('costPerItem', 'price', 'price'), ('currency', 'price', NULL), ('additionalPrices', 'price', NULL), ('discount', 'price', NULL),
                 ('expenses', 'cost', NULL), ('currencyExpenses', 'cost', NULL), ('stockBalance', 'stock', NULL), ('stockBalanceByStock', 'stock', NULL),
                 ('name', 'card', NULL), ('sku', 'card', NULL), ('category', 'card', NULL), ('set', 'card', NULL), ('parentProductId', 'card', NULL),
                 ('images', NULL, NULL), ('params', NULL, NULL), ('label', NULL, NULL)) k (key, what, guard)
    UNION ALL
    SELECT f, 'card', f FROM unnest(card_fields()) f
$$;
COMMENT ON FUNCTION product_keys() IS 'Every key of a product that SalesDrive takes: what it is of (NULL: never sent), and its name in dontUpdateFields';

CREATE FUNCTION kept_fields(account text, what text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    o account_goods;
BEGIN
    SELECT * INTO o FROM account_goods g WHERE g.account = kept_fields.account;
    RETURN (SELECT coalesce(jsonb_agg(k.guard ORDER BY k.guard), '[]') FROM product_keys() k
            WHERE NOT coalesce(CASE WHEN k.what = 'cost' THEN o.cost = CASE kept_fields.what WHEN 'price' THEN 'prices' ELSE kept_fields.what END
                                    WHEN k.what IS DISTINCT FROM kept_fields.what THEN false
                                    WHEN k.key = 'additionalPrices' THEN EXISTS (SELECT FROM account_price p WHERE p.account = kept_fields.account AND p.role = 'additional')
                                    WHEN k.key = 'discount' THEN EXISTS (SELECT FROM account_price p WHERE p.account = kept_fields.account AND p.role = 'discount')
                                    WHEN k.key = 'parentProductId' THEN o.characteristics = 'products'
                                    WHEN k.what = 'card' THEN k.key = ANY (o.owns) OR EXISTS (SELECT FROM card_field f WHERE f.account = kept_fields.account AND f.field = k.key)
                                    ELSE true END, false));
END $$;
COMMENT ON FUNCTION kept_fields(text, text) IS 'Fields of a card that a push leaves as SalesDrive has them: all but its own (dontUpdateFields)';

CREATE FUNCTION product_body(product_id text, name text, fields jsonb) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = salesdrive, pg_temp AS $$
    SELECT jsonb_build_object('id', product_id, 'name', name) || coalesce(jsonb_object_agg(k.key, fields -> k.key), '{}') FROM product_keys() k WHERE fields ? k.key AND k.what IS NOT NULL
$$;
COMMENT ON FUNCTION product_body(text, text, jsonb) IS 'A product as SalesDrive takes it: its id, its name, and such fields as it knows';

-- Asking.

CREATE FUNCTION require_push(account text, what text) RETURNS account_goods
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    o account_goods;
BEGIN
    PERFORM require_account(account);
    IF what IS NULL OR what NOT IN ('stock', 'price', 'card') THEN
        RAISE EXCEPTION 'nothing of goods is called "%"', what USING ERRCODE = '22023', HINT = 'It is stock, price or card.';
    END IF;
    SELECT * INTO o FROM account_goods g WHERE g.account = require_push.account;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nobody said which goods account "%" is to get', account
            USING ERRCODE = '55000', HINT = format('INSERT INTO salesdrive.account_goods (account) VALUES (%L); its columns are the options.', account);
    END IF;
    RETURN o;
END $$;
COMMENT ON FUNCTION require_push(text, text) IS 'The row of account_goods of an account, or a clear error';

-- First the task, as the engine does. Runs as the owner of the extension: an operator asks, and must not choose what is asked.
CREATE FUNCTION begin_push(account text, what text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    asked bigint;
BEGIN
    PERFORM require_push(account, what);
    PERFORM begin_api(account);
    asked := (want_tasks(ARRAY[(begin_push.account, 'push', begin_push.what, begin_push.account, NULL, 3)::task_wish], patient => true))[1];
    PERFORM open_run(account, what);
    UPDATE task t SET state = 'ready', run_at = clock(), wish = t.wish + 1, blocked_on = NULL    -- what could not be read is tried anew
    WHERE t.id IN (SELECT w.id FROM push_needs(begin_push.account, begin_push.what) n JOIN account a ON a.name = begin_push.account JOIN task w ON w.scope = a.infobase AND w.kind = 'goods' AND w.key = n.key WHERE w.state = 'parked' FOR UPDATE OF w SKIP LOCKED);
    RETURN asked;
END $$;
COMMENT ON FUNCTION begin_push(text, text) IS 'Asks for a push; one at work is followed by another, which reads anew';

CREATE FUNCTION open_run(account text, what text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    UPDATE push_run r SET asked_at = clock() WHERE r.account = open_run.account AND r.what = open_run.what AND r.ended_at IS NULL;
    IF NOT FOUND THEN
        INSERT INTO push_run (account, what, unsure_until)
        VALUES (open_run.account, open_run.what, (SELECT r.unsure_until FROM push_run r WHERE r.account = open_run.account AND r.what = open_run.what ORDER BY r.id DESC LIMIT 1));
        DELETE FROM push_run r WHERE r.account = open_run.account AND r.what = open_run.what AND r.ended_at < clock() - interval '90 days';
    END IF;
END $$;
COMMENT ON FUNCTION open_run(text, text) IS 'The run under way is asked for once more, or one begins; what ended 90 days ago is forgotten';

CREATE FUNCTION push_stock(account text) RETURNS bigint
    LANGUAGE sql SET search_path = salesdrive, pg_temp RETURN begin_push(account, 'stock');
COMMENT ON FUNCTION push_stock(text) IS 'Asks for the stock of a base to be read and sent to SalesDrive, as account_goods says; returns the task';

CREATE FUNCTION push_prices(account text) RETURNS bigint
    LANGUAGE sql SET search_path = salesdrive, pg_temp RETURN begin_push(account, 'price');
COMMENT ON FUNCTION push_prices(text) IS 'Asks for prices to be read and sent to SalesDrive, as account_goods and account_price say; returns the task';

CREATE FUNCTION push_products(account text) RETURNS bigint
    LANGUAGE sql SET search_path = salesdrive, pg_temp RETURN begin_push(account, 'card');
COMMENT ON FUNCTION push_products(text) IS 'Asks for the catalog to be read and its cards and categories to be sent to SalesDrive, as account_goods and card_field say; returns the task';

-- What a push needs of the base.

CREATE FUNCTION push_needs(account text, what text) RETURNS TABLE (key text, no_older_than interval)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    o account_goods;
BEGIN
    SELECT * INTO o FROM account_goods g WHERE g.account = push_needs.account;
    RETURN QUERY
    SELECT n.key, n.age
    FROM (SELECT 'catalog' AS key, CASE push_needs.what WHEN 'card' THEN interval '0' ELSE o.catalog_age END AS age
          UNION ALL SELECT 'characteristics', CASE push_needs.what WHEN 'card' THEN interval '0' ELSE o.catalog_age END WHERE o.characteristics = 'products'
          UNION ALL SELECT 'kits', CASE push_needs.what WHEN 'card' THEN interval '0' ELSE o.catalog_age END WHERE 'set' = ANY (o.owns) AND push_needs.what <> 'price'
          UNION ALL SELECT 'stock', interval '0' WHERE push_needs.what = 'stock'
          UNION ALL SELECT 'cost', interval '0' WHERE o.cost = CASE push_needs.what WHEN 'price' THEN 'prices' ELSE push_needs.what END
          UNION ALL SELECT 'prices/' || t.ref_key, interval '0' FROM push_price_types(push_needs.account) t WHERE push_needs.what = 'price' AND t.ref_key IS NOT NULL) n
    ORDER BY n.key;
END $$;
COMMENT ON FUNCTION push_needs(text, text) IS 'Readings of the base that a push compares, as keys of tasks of kind goods, and how long before its beginning each may have been made';

CREATE FUNCTION push_lacks(r push_run) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT n.key FROM push_needs(r.account, r.what) n JOIN account a ON a.name = r.account JOIN account_goods o ON o.account = a.name
            JOIN infobase i ON i.name = a.infobase LEFT JOIN goods_snapshot s ON s.infobase = a.infobase AND s.what = split_part(n.key, '/', 1) AND s.part = split_part(n.key, '/', 2)
            WHERE NOT coalesce((s.form IS NULL OR s.form = goods_form(i, 'product')) AND s.complete_at >= s.asked_at AND s.asked_at >= r.started_at - n.no_older_than AND s.complete_at >= clock() - greatest(o.stale_after, n.no_older_than), false) ORDER BY n.key LIMIT 1);
END $$;
COMMENT ON FUNCTION push_lacks(push_run) IS 'The next reading that a run waits for: never made, not complete, begun before the run, too old by now, or of a catalog without the properties that are read now; NULL: all are here';

CREATE FUNCTION push_unread(account text, what text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT d FROM account a JOIN infobase i ON i.name = a.infobase CROSS JOIN few(CASE push_unread.what WHEN 'stock' THEN ARRAY['warehouse'] WHEN 'price' THEN ARRAY['price_type', 'currency'] ELSE '{}' END) d
            WHERE a.name = push_unread.account AND entity_set(i.profile, d) IS NOT NULL AND NOT EXISTS (SELECT FROM dictionary_load l WHERE l.infobase = i.name AND l.dictionary = d) LIMIT 1);
END $$;
COMMENT ON FUNCTION push_unread(text, text) IS 'A list of the base that the mappings of a push name elements of, and that has not been read yet';

CREATE FUNCTION push_problem(account text, what text, OUT detail text, OUT hint text) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    SELECT p.detail, p.hint INTO detail, hint FROM (
        SELECT 1 AS n, 'No warehouse of BAS is mapped to a stock of SalesDrive.' AS detail, format('SELECT salesdrive.map_value(%L, ''warehouse'', ''number of the stock'', ''warehouse in BAS''); or UPDATE salesdrive.account_goods SET stock_by = ''total'' …', push_problem.account) AS hint
        FROM account_goods g WHERE push_problem.what = 'stock' AND g.account = push_problem.account AND g.stock_by = 'warehouse' AND NOT EXISTS (SELECT FROM stock_map(g.account))
        UNION ALL
        SELECT 2, 'No price type of BAS is the main price.', format('INSERT INTO salesdrive.account_price (account, role, price_type) VALUES (%L, ''main'', ''name of the price type'');', push_problem.account)
        WHERE push_problem.what = 'price' AND NOT EXISTS (SELECT FROM account_price p WHERE p.account = push_problem.account AND p.role = 'main')
        UNION ALL
        SELECT 3, format('Price type "%s" %s the base (there: %s).', t.price_type, CASE t.problem WHEN 'is not in the base' THEN 'is not in' ELSE 'is not unique in' END, coalesce(t.candidates, 'nothing')),
               format('Correct it: UPDATE salesdrive.account_price SET price_type = … WHERE account = %L; if it is new in BAS: SELECT salesdrive.load_dictionaries(%L).', push_problem.account, push_problem.account)
        FROM push_price_types(push_problem.account) t WHERE push_problem.what = 'price' AND t.ref_key IS NULL) p ORDER BY p.n LIMIT 1;
END $$;
COMMENT ON FUNCTION push_problem(text, text) IS 'What settings and mappings lack for a push, and what to do; NULL: nothing';

CREATE FUNCTION unread_properties(account text) RETURNS TABLE (setting text, property text, detail text, hint text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT u.setting, u.property, format('%s names property "%s" of goods, which is not read from the base.', u.setting, u.property),
           format('INSERT INTO salesdrive.profile_property (profile, entity, concept, property) VALUES (%L, ''product'', ''any word'', %L); or correct %s.', i.profile, u.property, u.setting)
    FROM account a JOIN infobase i ON i.name = a.infobase
    CROSS JOIN LATERAL (SELECT 'card_field' AS setting, split_part(f.source, ',', 1) AS property FROM card_field f WHERE f.account = a.name AND split_part(f.source, ',', 1) NOT IN ('name', 'full_name', 'code', 'kind')
                        UNION SELECT 'account_goods.condition', k FROM account_goods g CROSS JOIN jsonb_object_keys(g.condition) k WHERE g.account = a.name) u
    WHERE a.name = unread_properties.account AND NOT EXISTS (SELECT FROM jsonb_each_text(property_names(i.profile, 'product')) p WHERE p.value = u.property)
    ORDER BY u.setting, u.property;
END $$;
COMMENT ON FUNCTION unread_properties(text) IS 'Properties of goods that settings of an account name, and that are not asked of the base: goods would be left out, or blanks sent, for want of them';

-- Comparing.

CREATE FUNCTION price_moves(accepted jsonb, wanted jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(accepted -> 'costPerItem' <> wanted -> 'costPerItem', false) OR coalesce(accepted -> 'currency' <> wanted -> 'currency', false) OR coalesce(accepted -> 'additionalPrices' <> wanted -> 'additionalPrices', false) OR coalesce(accepted -> 'discount' <> wanted -> 'discount', false);
COMMENT ON FUNCTION price_moves(jsonb, jsonb) IS 'Whether a price that SalesDrive has would be another one';

CREATE FUNCTION push_slice() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 250;
COMMENT ON FUNCTION push_slice() IS 'Goods that a turn of the engine compares: orders wait for no more';

CREATE FUNCTION push_basis(r push_run) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    o account_goods;
BEGIN
    SELECT * INTO o FROM account_goods g WHERE g.account = r.account;
    RETURN (SELECT CASE WHEN bool_and(coalesce(s.complete_at >= clock() - greatest(o.stale_after, n.no_older_than), false)) THEN md5(concat_ws(';',
                       string_agg(concat_ws(' ', n.key, s.complete_at), ',' ORDER BY n.key), to_jsonb(o) - 'lines_seen',
                       (SELECT jsonb_agg(p ORDER BY p) FROM push_price_types(r.account) p), (SELECT jsonb_agg(c ORDER BY c) FROM push_currencies(r.account) c),
                       (SELECT jsonb_agg(m ORDER BY m) FROM stock_map(r.account) m), (SELECT jsonb_agg(f ORDER BY f) FROM card_field f WHERE f.account = r.account))) END
            FROM push_needs(r.account, r.what) n JOIN account a ON a.name = r.account LEFT JOIN goods_snapshot s ON s.infobase = a.infobase AND s.what = split_part(n.key, '/', 1) AND s.part = split_part(n.key, '/', 2));
END $$;
COMMENT ON FUNCTION push_basis(push_run) IS 'Digest of the readings and settings that a run compares; NULL: a reading is too old by now';

CREATE FUNCTION begin_compare(r push_run) RETURNS push_run
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM learn_cards(r.account);
    UPDATE push_run x SET state = 'comparing', stage = 'left', reached = NULL, basis = push_basis(r), found = ROW(0, 0, 0, 0, 0, 0, 0)::push_figures, goods = 0, left_out = 0,
        started_at = greatest(x.started_at, (SELECT min(s.asked_at) FROM push_needs(r.account, r.what) n JOIN account a ON a.name = r.account JOIN goods_snapshot s ON s.infobase = a.infobase AND s.what = split_part(n.key, '/', 1) AND s.part = split_part(n.key, '/', 2) WHERE n.no_older_than = '0'))
    WHERE x.id = r.id RETURNING x.* INTO r;    -- who has asked before that reading began is served by it
    RETURN r;
END $$;
COMMENT ON FUNCTION begin_compare(push_run) IS 'Begins a comparison: all that it needs of the base is read';

CREATE FUNCTION put_aside(r push_run) RETURNS text[]
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    ids  text[] := ARRAY(SELECT s.product_id FROM product_sync s WHERE s.account = r.account AND s.what = r.what AND s.turn IS NOT NULL ORDER BY s.turn, s.product_id LIMIT push_slice());
BEGIN
    UPDATE product_sync s SET turn = NULL, batch = NULL, doubted = s.doubted OR s.state = 'sent', state = CASE s.state WHEN 'sent' THEN 'wanted' ELSE s.state END
    FROM few(ids) i WHERE s.account = r.account AND s.what = r.what AND s.product_id = i;
    RETURN ids;
END $$;
COMMENT ON FUNCTION put_aside(push_run) IS 'Puts aside a slice of what a former comparison left to be sent, and returns it. What has no answer is in doubt';

-- What is known of each product is looked up by its key, one by one (OFFSET 0): whatever statistics say of a table just filled, it is not read whole.
CREATE FUNCTION compare_goods(r push_run, wishes push_wish[]) RETURNS push_figures
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET cpu_tuple_cost = 0.01 SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ids   text[] := ARRAY(SELECT w.product_id FROM unnest(wishes) w WHERE w.problem IS NULL);
    kept  jsonb := kept_fields(r.account, r.what);
    alien text[] := ARRAY(SELECT k.key FROM product_keys() k WHERE kept ? k.guard);
    strange text[] := ARRAY(SELECT i FROM few(ids) i CROSS JOIN LATERAL (SELECT x.accepted FROM product_sync x WHERE x.account = r.account AND x.what = r.what AND x.product_id = i OFFSET 0) s WHERE s.accepted ?| alien);
    f     push_figures;
BEGIN
    UPDATE product_sync s SET accepted = s.accepted - alien FROM few(strange) i WHERE s.account = r.account AND s.what = r.what AND s.product_id = i;    -- left to SalesDrive since: what it holds of them is not known any more
    WITH compared AS MATERIALIZED (
        SELECT w.*, s.accepted, s.product_id IS NULL OR s.accepted IS NULL OR s.doubted OR s.accepted <> w.wanted AS differs, coalesce(s.state = 'refused' AND NOT s.doubted AND s.wanted = w.wanted, false) AS held_back,
               s.state <> 'accepted' OR (s.product, s.characteristic) IS DISTINCT FROM (w.product, w.characteristic) AS otherwise
        FROM unnest(wishes) w
        LEFT JOIN LATERAL (SELECT x.* FROM product_sync x WHERE w.problem IS NULL AND x.account = r.account AND x.what = r.what AND x.product_id = w.product_id OFFSET 0) s ON true
    ), noted AS (
        INSERT INTO product_sync AS s (account, product_id, what, sku, product, characteristic, name, wanted, run, turn)
        SELECT r.account, c.product_id, r.what, c.sku, c.product, c.characteristic, c.name, c.wanted, r.id, c.turn FROM compared c WHERE c.problem IS NULL AND c.differs AND NOT c.held_back ORDER BY c.product_id
        ON CONFLICT ON CONSTRAINT product_sync_pkey DO UPDATE SET sku = excluded.sku, product = excluded.product, characteristic = excluded.characteristic, name = excluded.name, wanted = excluded.wanted,
            run = excluded.run, turn = excluded.turn, state = 'wanted', fails = CASE WHEN s.wanted = excluded.wanted THEN s.fails ELSE 0 END, detail = NULL
    ), held AS (    -- wanted otherwise for a while, or of another good
        UPDATE product_sync s SET wanted = s.accepted, state = 'accepted', fails = 0, detail = NULL, product = c.product, characteristic = c.characteristic
        FROM (SELECT x.* FROM compared x WHERE x.problem IS NULL AND NOT x.differs AND x.otherwise OFFSET 0) c
        WHERE s.account = r.account AND s.what = r.what AND s.product_id = c.product_id
    )
    SELECT (r.found).goods + count(*) FILTER (WHERE c.problem IS NULL), (r.found).left_out + count(*) FILTER (WHERE c.problem IS NOT NULL), (r.found).changed + count(*) FILTER (WHERE c.problem IS NULL AND c.differs AND NOT c.held_back),
           (r.found).known + count(*) FILTER (WHERE c.accepted IS NOT NULL), (r.found).base + count(*) FILTER (WHERE v.in_force), (r.found).hit + count(*) FILTER (WHERE v.in_force AND v.moves),
           (r.found).bare + count(*) FILTER (WHERE CASE r.what WHEN 'stock' THEN c.problem IS NULL AND b.total <= 0 ELSE c.problem = 'no_price' END)
    INTO f
    FROM compared c CROSS JOIN LATERAL stock_sum(c.accepted) a CROSS JOIN LATERAL stock_sum(c.wanted) b
    CROSS JOIN LATERAL (SELECT CASE r.what WHEN 'stock' THEN a.total > 0 WHEN 'price' THEN c.accepted ? 'costPerItem' END AS in_force,
                               CASE r.what WHEN 'stock' THEN c.problem IS NULL AND b.total <= 0 WHEN 'price' THEN price_moves(c.accepted, c.wanted) END AS moves) v;
    RETURN f;
END $$;
COMMENT ON FUNCTION compare_goods(push_run, push_wish[]) IS 'Compares what some products are to hold in SalesDrive with what it took last, as one set, and writes down what differs; returns what the comparison has found with them';

-- Guard.

CREATE FUNCTION guard_examples(r push_run) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT string_agg(e.text, '; ' ORDER BY e.product_id) FROM (
                SELECT s.product_id, format('%s %s: %s → %s', s.sku, brief_text(s.name), coalesce(CASE r.what WHEN 'stock' THEN stock_total(s.accepted)::text ELSE s.accepted ->> 'costPerItem' END, 'not known'),
                              CASE r.what WHEN 'stock' THEN stock_total(s.wanted)::text ELSE s.wanted ->> 'costPerItem' END) AS text
                FROM product_sync s WHERE s.account = r.account AND s.what = r.what AND s.turn IS NOT NULL
                  AND CASE WHEN s.accepted IS NULL THEN true WHEN r.what = 'stock' THEN stock_total(s.accepted) > 0 AND stock_total(s.wanted) <= 0 ELSE price_moves(s.accepted, s.wanted) END
                ORDER BY s.turn, s.product_id LIMIT 5) e);
END $$;
COMMENT ON FUNCTION guard_examples(push_run) IS 'Some of the products that a guard is concerned about, before and after';

-- The first push has nothing to compare with. What is wrong then is a register or a price type that answers for hardly any good.
CREATE FUNCTION guard_verdict(r push_run, f push_figures, OUT share numeric, OUT most numeric, OUT sentence text) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    o     account_goods;
    total bigint := f.goods + CASE r.what WHEN 'price' THEN f.bare ELSE 0 END;
BEGIN
    SELECT * INTO o FROM account_goods g WHERE g.account = r.account;
    IF r.what NOT IN ('stock', 'price') THEN
        RETURN;
    ELSIF f.known = 0 THEN
        IF total >= 10 THEN
            share := round(f.bare::numeric / total, 4);
            most := CASE r.what WHEN 'stock' THEN 0.9 ELSE 0.5 END;
            sentence := CASE r.what WHEN 'stock' THEN format('The first push would give no stock to %s of %s products.', f.bare, f.goods) ELSE format('The first push has no price for %s of %s products.', f.bare, total) END;
        END IF;
    ELSIF f.base > 0 THEN
        share := round(f.hit::numeric / f.base, 4);
        most := CASE r.what WHEN 'stock' THEN o.stock_guard ELSE o.price_guard END;
        sentence := CASE r.what WHEN 'stock' THEN format('It would set %s of %s products in stock to 0', f.hit, f.base) ELSE format('It would change %s of %s prices', f.hit, f.base) END
                    || format(' (%s %%; account_goods.%s_guard is %s %%).', trim_scale(round(100 * share, 2)), r.what, trim_scale(100 * most));
    END IF;
    IF share > 0 AND share > greatest(most, r.allowed + 0.05) THEN
        sentence := concat_ws(' ', sentence, CASE WHEN f.changed > 0 THEN format('%s products would be sent.', f.changed) END, guard_examples(r));
    ELSE
        sentence := NULL;
    END IF;
END $$;
COMMENT ON FUNCTION guard_verdict(push_run, push_figures) IS 'Share of prices a push would change, or of products in stock it would set to 0; the sentence, if that is more than it may: the share of account_goods, or what allow_push() allowed and five hundredths more';

CREATE FUNCTION end_compare(r push_run) RETURNS push_run
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    g record;
BEGIN
    IF r.what = 'card' THEN
        PERFORM order_categories(r.account);
    END IF;
    g := guard_verdict(r, r.found);
    UPDATE push_run x SET state = CASE WHEN g.sentence IS NULL THEN 'sending' ELSE 'guarded' END, stage = NULL, reached = NULL, compared_at = clock(), kept = kept_fields(r.account, r.what), share = g.share, guard_text = g.sentence
    WHERE x.id = r.id RETURNING x.* INTO r;
    IF g.sentence IS NULL THEN
        PERFORM close_incident(r.what || '_guard', r.account);
    ELSE
        PERFORM open_incident(r.what || '_guard', r.account, format('Push %s of account "%s" stopped before its first request. %s', r.id, r.account, g.sentence),
            format('If that is right: SELECT salesdrive.allow_push(%s); else mend it in BAS, and push again. All of it: SELECT * FROM salesdrive.product_sync WHERE run = %s;', r.id, r.id), (r.found).hit);
    END IF;
    RETURN r;
END $$;
COMMENT ON FUNCTION end_compare(push_run) IS 'All is compared: sends or stops, as the guard says';

CREATE FUNCTION compare_slice(r push_run) RETURNS push_run
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp SET enable_seqscan = off SET cpu_tuple_cost = 0.01 SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    base  text := (SELECT a.infobase FROM account a WHERE a.name = r.account);
    goods uuid[];
    cards text[];
    f     push_figures := r.found;
    next  text;    -- behind a whole slice there may be another
BEGIN
    CASE r.stage
        WHEN 'left' THEN
            cards := put_aside(r);
        WHEN 'goods' THEN
            goods := ARRAY(SELECT g.ref_key FROM bas_good g WHERE g.infobase = base AND g.ref_key > coalesce(r.reached::uuid, no_key()) ORDER BY g.ref_key LIMIT push_slice());
            IF r.what = 'card' AND EXISTS (SELECT FROM account_goods o WHERE o.account = r.account AND 'category' = ANY (o.owns)) THEN
                PERFORM want_categories(r.account, goods);
            END IF;
            f := compare_goods(r, ARRAY(SELECT w FROM wanted_goods(r.account, r.what, goods) w));
        WHEN 'gone' THEN
            cards := ARRAY(SELECT s.product_id FROM product_sync s WHERE s.account = r.account AND s.what = r.what AND s.product_id > coalesce(r.reached, '') ORDER BY s.product_id LIMIT push_slice());
            f := compare_goods(r, ARRAY(SELECT w FROM wanted_no_stock(r.account, cards) w));
    END CASE;
    next := coalesce(goods[push_slice()]::text, cards[push_slice()]);
    UPDATE push_run x SET found = f, goods = f.goods, left_out = f.left_out, changed = x.sent + x.failed + f.changed, reached = next,
        stage = CASE WHEN next IS NOT NULL THEN x.stage WHEN x.stage = 'left' THEN 'goods' WHEN x.stage = 'goods' AND x.what = 'stock' THEN 'gone' END
    WHERE x.id = r.id RETURNING x.* INTO r;
    RETURN CASE WHEN r.stage IS NULL THEN end_compare(r) ELSE r END;
END $$;
COMMENT ON FUNCTION compare_slice(push_run) IS 'Compares the next slice of a run; behind the last one the guard judges';

-- Plan.

CREATE FUNCTION push_request(r push_run) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s plan_step;
    n integer;
    id text;
BEGIN
    IF r.what = 'card' THEN
        SELECT min(c.batch) INTO n FROM category_sync c WHERE c.account = r.account AND c.batch IS NOT NULL;
        IF n IS NOT NULL THEN
            s.step := 'request'; s.purpose := 'change categories in SalesDrive'; s.method := 'POST'; s.path := 'category-handler/'; s.memo := jsonb_build_object('run', r.id, 'categories', n);
            SELECT jsonb_build_object('action', 'update', 'category', jsonb_agg(jsonb_build_object('id', c.number) || c.wanted ORDER BY c.place, c.number)) INTO s.body FROM category_sync c WHERE c.account = r.account AND c.batch = n;
            RETURN s;
        END IF;
    END IF;
    SELECT x.batch INTO n FROM product_sync x WHERE x.account = r.account AND x.what = r.what AND x.batch IS NOT NULL ORDER BY x.batch LIMIT 1;
    IF n IS NULL THEN
        FOR id IN SELECT d.product_id FROM product_sync d WHERE d.account = r.account AND d.what = r.what AND d.turn IS NOT NULL ORDER BY d.turn, d.product_id LIMIT 100 LOOP    -- each by its whole key, as in card_obstacles()
            UPDATE product_sync x SET batch = 1 WHERE x.account = r.account AND x.what = r.what AND x.product_id = id;
            n := 1;
        END LOOP;
    END IF;
    IF n IS NOT NULL THEN
        s.step := 'request'; s.method := 'POST'; s.path := 'product-handler/'; s.memo := jsonb_build_object('run', r.id, 'batch', n);
        s.purpose := format('change %s in SalesDrive', CASE r.what WHEN 'price' THEN 'prices' WHEN 'card' THEN 'products' ELSE r.what END);
        SELECT jsonb_build_object('action', 'update', 'dontUpdateFields', r.kept, 'product', jsonb_agg(product_body(x.product_id, x.name, x.wanted) ORDER BY x.turn, x.product_id)) INTO s.body
        FROM product_sync x WHERE x.account = r.account AND x.what = r.what AND x.batch = n;
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION push_request(push_run) IS 'The next request of a run: categories, then products; without a step: none is left';

-- SalesDrive drops a part that it does not have from a set, and puts a category that it does not have at the top, both without a word.
-- Each product by its whole key: what the planner knows of the table may be from before the first push.
CREATE FUNCTION card_obstacles(account text, ids text[], beside text[]) RETURNS TABLE (id text, words text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    refused jsonb := (SELECT coalesce(jsonb_object_agg(c.number, format('SalesDrive has no category "%s", it is refused: %s', c.wanted ->> 'name', c.detail)), '{}') FROM category_sync c
                      WHERE c.account = card_obstacles.account AND c.state = 'refused' AND c.accepted IS NULL);
    cards   jsonb := (SELECT coalesce(jsonb_object_agg(i, x.wanted), '{}') FROM unnest(ids) i
                      CROSS JOIN LATERAL (SELECT y.wanted, y.state FROM product_sync y WHERE y.account = card_obstacles.account AND y.what = 'card' AND y.product_id = i OFFSET 0) x WHERE x.state <> 'refused');
    named   text[] := ARRAY(SELECT DISTINCT n #>> '{}' FROM jsonb_path_query(cards, '$.*.set[*].id') n UNION SELECT n #>> '{}' FROM jsonb_path_query(cards, '$.*.parentProductId') n);
    lost    text[];
BEGIN
    IF named <> '{}' THEN
        lost := ARRAY(SELECT n FROM unnest(named) n WHERE n <> ALL (beside) EXCEPT SELECT k.product_id FROM crm_product k WHERE k.account = card_obstacles.account AND k.product_id = ANY (named));
    END IF;
    RETURN QUERY
    SELECT DISTINCT ON (t.id) t.id, t.words FROM (
        SELECT c.key AS id, 0 AS rank, refused ->> (c.value #>> '{category,id}') AS words FROM jsonb_each(cards) c WHERE refused ? (c.value #>> '{category,id}')
        UNION ALL
        SELECT c.key, 1, format('SalesDrive has no card of its %s %s, which is refused.', n.word, n.id)
        FROM jsonb_each(cards) c CROSS JOIN LATERAL (SELECT 'part' AS word, p ->> 'id' AS id FROM jsonb_array_elements(c.value -> 'set') p UNION ALL SELECT 'good', c.value ->> 'parentProductId') n WHERE n.id = ANY (lost)) t
    ORDER BY t.id, t.rank, t.words;
END $$;
COMMENT ON FUNCTION card_obstacles(text, text[], text[]) IS 'Cards that refer to what SalesDrive does not have, neither sent before nor beside them, and to what';

CREATE FUNCTION hold_cards(r push_run, ids text[], beside text[]) RETURNS integer
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    o    record;
    many integer := 0;
BEGIN
    FOR o IN SELECT c.id, c.words FROM card_obstacles(r.account, ids, beside) c LOOP
        UPDATE product_sync x SET state = 'refused', doubted = true, turn = NULL, batch = NULL, fails = x.fails + 1, detail = left(o.words, 500) WHERE x.account = r.account AND x.what = r.what AND x.product_id = o.id;
        many := many + 1;
    END LOOP;
    RETURN many;
END $$;
COMMENT ON FUNCTION hold_cards(push_run, text[], text[]) IS 'Counts as refused the cards that refer to what SalesDrive does not have: the next push tries them again. Returns how many';

CREATE FUNCTION next_push_request(r push_run) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s    plan_step;
    ids  text[];
    many integer;
BEGIN
    LOOP
        s := push_request(r);
        EXIT WHEN r.what <> 'card' OR s.step IS NULL OR s.memo ? 'categories';
        ids := ARRAY(SELECT p ->> 'id' FROM jsonb_array_elements(s.body -> 'product') p);
        many := hold_cards(r, ids, ids);
        EXIT WHEN many = 0;
        UPDATE push_run x SET failed = x.failed + many WHERE x.id = r.id;
    END LOOP;
    RETURN s;
END $$;
COMMENT ON FUNCTION next_push_request(push_run) IS 'The next request, without cards that cannot be sent yet';

CREATE FUNCTION plan_push_of(t task) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s     plan_step;
    r     push_run;
    lacks text;
    stuck task;
BEGIN
    SELECT * INTO r FROM push_run x WHERE x.account = t.account AND x.what = t.key AND x.ended_at IS NULL FOR UPDATE;
    IF NOT FOUND OR NOT EXISTS (SELECT FROM account_goods g WHERE g.account = t.account) THEN
        UPDATE push_run x SET state = 'cancelled', ended_at = clock() WHERE x.id = r.id;
        PERFORM close_incident(t.key || '_guard', t.account);
        s.task_id := t.id; s.step := 'done';
        RETURN s;
    END IF;
    IF r.state = 'guarded' OR r.state = 'parked' AND (r.asked_at > r.started_at OR r.compared_at IS NULL)    -- asked for anew, allowed, or another share: all of it is looked at afresh
       OR r.state NOT IN ('reading', 'comparing') AND r.compared_at < clock() - (SELECT g.stale_after FROM account_goods g WHERE g.account = r.account) THEN
        UPDATE push_run x SET state = 'reading', started_at = CASE WHEN r.asked_at > coalesce(r.compared_at, r.started_at) THEN r.asked_at WHEN r.compared_at IS NULL THEN r.started_at ELSE clock() END WHERE x.id = r.id RETURNING x.* INTO r;
    END IF;
    IF r.state = 'comparing' AND (r.basis = push_basis(r)) IS NOT TRUE THEN    -- with others it would be a mixture
        UPDATE push_run x SET state = 'reading' WHERE x.id = r.id RETURNING x.* INTO r;
    END IF;
    IF r.state = 'reading' THEN
        lacks := push_unread(r.account, r.what);
        IF lacks IS NOT NULL THEN
            s.task_id := t.id; s.step := 'wait'; s.reason := 'dictionary'; s.detail := format('List "%s" of the base is being read.', lacks);
            s.blocked_on := (SELECT format('dictionary:%s:%s', a.infobase, lacks) FROM account a WHERE a.name = r.account);
            RETURN s;
        END IF;
        SELECT p.detail, p.hint INTO s.detail, s.hint FROM push_problem(r.account, r.what) p WHERE p.detail IS NOT NULL
        UNION ALL SELECT u.detail, u.hint FROM unread_properties(r.account) u WHERE r.what = 'card' OR u.setting <> 'card_field' LIMIT 1;
        IF s.detail IS NOT NULL THEN
            UPDATE push_run x SET state = 'parked' WHERE x.id = r.id;
            s.task_id := t.id; s.step := 'park'; s.reason := 'setting'; s.blocked_on := format('push:%s:', r.account);
            RETURN s;
        END IF;
        lacks := push_lacks(r);
        IF lacks IS NOT NULL THEN
            SELECT w.* INTO stuck FROM account a JOIN task w ON w.scope = a.infobase AND w.kind = 'goods' AND w.key = lacks WHERE a.name = r.account AND w.state = 'parked';
            s.task_id := t.id; s.reason := 'goods';
            s.step := CASE WHEN stuck.id IS NULL THEN 'wait' ELSE 'park' END;
            s.detail := CASE WHEN stuck.id IS NULL THEN format('%s of the base is being read.', upper(left(lacks, 1)) || substr(lacks, 2)) ELSE format('%s of the base could not be read: %s', upper(left(lacks, 1)) || substr(lacks, 2), coalesce(stuck.detail, stuck.reason)) END;
            s.hint := stuck.hint;
            UPDATE push_run x SET state = 'parked' WHERE x.id = r.id AND s.step = 'park';
            s.blocked_on := (SELECT format('goods:%s:%s', a.infobase, lacks) FROM account a WHERE a.name = r.account);
            RETURN s;
        END IF;
        r := begin_compare(r);
    END IF;
    WHILE r.state = 'comparing' LOOP
        r := compare_slice(r);
        IF r.reached IS NOT NULL THEN
            s.task_id := t.id; s.step := 'again';
            RETURN s;
        END IF;
    END LOOP;
    IF r.state = 'guarded' THEN
        s.task_id := t.id; s.step := 'park'; s.reason := 'guard'; s.detail := r.guard_text; s.blocked_on := format('push:%s:', r.account);
        s.hint := format('If that is right: SELECT salesdrive.allow_push(%s); else mend it in BAS, and push again.', r.id);
        RETURN s;
    END IF;
    s := next_push_request(r);
    s.task_id := t.id;
    IF s.step = 'request' AND r.unsure_until > clock() THEN
        s := ROW(t.id, 'wait', NULL, NULL, NULL, NULL, NULL, NULL, r.unsure_until, 'unsure', 'A request without an answer may still be at work in SalesDrive.', NULL, NULL)::plan_step;
    ELSIF s.step = 'request' THEN
        UPDATE push_run x SET state = 'sending' WHERE x.id = r.id AND x.state <> 'sending';    -- resumed
    ELSE
        UPDATE push_run x SET state = 'done', ended_at = clock() WHERE x.id = r.id;
        s.step := 'done';
        IF r.asked_at > r.started_at THEN
            PERFORM open_run(r.account, r.what);
            s.step := 'again';
        END IF;
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION plan_push_of(task) IS 'Next step of a push: what it needs of the base, the comparison, the next request';

CREATE FUNCTION plan_push(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT s.* FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t CROSS JOIN LATERAL plan_push_of(t) s;
END $$;
COMMENT ON FUNCTION plan_push(bigint[]) IS 'Plan of kind push';

CREATE FUNCTION note_push_writes(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE push_run r SET requests = r.requests + 1, unsure_until = clock() + 2 * p.total_timeout
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN account_api p ON p.account = t.account WHERE r.id = (s.memo ->> 'run')::bigint;
    UPDATE product_sync x SET state = 'sent', detail = NULL
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t WHERE x.account = t.account AND x.what = t.key AND x.batch = (s.memo ->> 'batch')::integer;
    UPDATE category_sync c SET state = 'sent', detail = NULL
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t WHERE c.account = t.account AND c.batch = (s.memo ->> 'categories')::integer;
END $$;
COMMENT ON FUNCTION note_push_writes(plan_step[]) IS 'Before a request of a push leaves: that its outcome is unknown from now on';

-- Settle.

CREATE FUNCTION push_words(body jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN jsonb_typeof(body) = 'object' THEN coalesce(json_text(body -> 'message'), json_text(body -> 'errorMessage'), json_text(body -> 'error')) END;
COMMENT ON FUNCTION push_words(jsonb) IS 'What SalesDrive says of a request, whole: it may name a hundred products';

-- SalesDrive tells of single products in its message alone, if at all: product[101, 102] successfully added.
CREATE FUNCTION push_verdicts(message text, ids text[]) RETURNS TABLE (id text, verdict text, words text)
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH said AS (
        SELECT m[1] AS list, btrim(m[2], E' :;,\n\t') AS words FROM regexp_matches(coalesce(message, ''), '(?:product|category)\[([^\]]*)\]((?:(?!(?:product|category)\[).)*)', 'g') m
    ), told AS (
        SELECT i AS id, bool_or(s.words ~* 'success') AS taken, string_agg(s.words, ' ') FILTER (WHERE s.words !~* 'success') AS words
        FROM unnest(ids) i JOIN said s ON i = btrim(s.list) OR i = ANY (regexp_split_to_array(btrim(s.list), '\s*,\s*')) GROUP BY i
    )
    SELECT i, CASE WHEN t.words IS NOT NULL THEN 'refused' WHEN t.taken OR NOT EXISTS (SELECT FROM told) THEN 'accepted' ELSE 'unclear' END, t.words FROM unnest(ids) i LEFT JOIN told t ON t.id = i;
END $$;
COMMENT ON FUNCTION push_verdicts(text, text[]) IS 'What an answer with success says of each product: accepted, refused with words, or unclear, when it names others and not this one. An answer that names none of them accepts all';

CREATE FUNCTION settle_push_products(r push_run, n integer, answer http_result) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    ids   text[] := ARRAY(SELECT x.product_id FROM product_sync x WHERE x.account = r.account AND x.what = r.what AND x.batch = n ORDER BY x.turn, x.product_id);
    alone boolean := cardinality(ids) = 1;
    said  text := coalesce(push_words(result_json(answer)), answer.error);
    good  integer := 0;
    bad   integer := 0;
    lame  integer;
BEGIN
    IF answer.class = 'ok' THEN
        UPDATE product_sync x SET accepted = x.wanted, accepted_at = clock(), state = 'accepted', doubted = false, turn = NULL, batch = NULL, fails = 0, detail = NULL
        FROM push_verdicts(said, ids) v WHERE x.account = r.account AND x.what = r.what AND x.product_id = v.id AND x.batch = n AND v.verdict = 'accepted';
        GET DIAGNOSTICS good = ROW_COUNT;
        UPDATE product_sync x SET state = 'refused', doubted = false, turn = NULL, batch = NULL, fails = x.fails + 1, detail = left(coalesce(v.words, 'SalesDrive names others as taken, not this one: ' || said), 500)
        FROM push_verdicts(said, ids) v WHERE x.account = r.account AND x.what = r.what AND x.product_id = v.id AND x.batch = n AND (v.verdict = 'refused' OR v.verdict = 'unclear' AND alone);
        GET DIAGNOSTICS bad = ROW_COUNT;
        UPDATE product_sync x SET state = 'wanted', batch = n + array_position(ids, v.id) - 1    -- alone, where it stood
        FROM push_verdicts(said, ids) v WHERE v.verdict = 'unclear' AND x.account = r.account AND x.what = r.what AND x.product_id = v.id AND x.batch = n;
        PERFORM tie_cards(r, ids);
        lame := CASE WHEN r.what = 'card' THEN hold_cards(r, ids, '{}') ELSE 0 END;    -- taken beside a part that was not
        good := good - lame;
        bad := bad + lame;
    ELSIF alone THEN
        UPDATE product_sync x SET state = 'refused', doubted = false, turn = NULL, batch = NULL, fails = x.fails + 1, detail = left(said, 500) WHERE x.account = r.account AND x.what = r.what AND x.batch = n;
        bad := 1;
    ELSE    -- one of them is guilty
        UPDATE product_sync x SET state = 'wanted', batch = CASE WHEN x.product_id = ANY (ids[1 : cardinality(ids) / 2]) THEN n ELSE n + cardinality(ids) / 2 END WHERE x.account = r.account AND x.what = r.what AND x.batch = n;
    END IF;
    UPDATE push_run x SET sent = x.sent + good, failed = x.failed + bad WHERE x.id = r.id;
END $$;
COMMENT ON FUNCTION settle_push_products(push_run, integer, http_result) IS 'Takes in what SalesDrive says of a request of products: taken, refused, or to be halved';

CREATE FUNCTION tie_cards(r push_run, ids text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO crm_product AS c (account, product_id, sku, product, characteristic, known_from)
    SELECT x.account, x.product_id, x.sku, x.product, coalesce(x.characteristic, no_key()), 'push' FROM unnest(ids) i
    CROSS JOIN LATERAL (SELECT y.* FROM product_sync y WHERE y.account = r.account AND y.what = r.what AND y.product_id = i OFFSET 0) x WHERE x.state = 'accepted' AND x.product IS NOT NULL ORDER BY x.product_id
    ON CONFLICT ON CONSTRAINT crm_product_pkey DO UPDATE SET sku = CASE WHEN r.what = 'card' OR c.sku IS NULL THEN excluded.sku ELSE c.sku END, product = excluded.product, characteristic = excluded.characteristic
    WHERE (c.product, c.characteristic) IS DISTINCT FROM (excluded.product, excluded.characteristic) OR c.sku IS NULL OR r.what = 'card' AND c.sku <> excluded.sku;
END $$;
COMMENT ON FUNCTION tie_cards(push_run, text[]) IS 'Remembers which good a card is, once SalesDrive has taken something of it';

CREATE FUNCTION settle_push_categories(r push_run, n integer, answer http_result) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    numbers text[] := ARRAY(SELECT c.number::text FROM category_sync c WHERE c.account = r.account AND c.batch = n ORDER BY c.place, c.number);
    alone   boolean := cardinality(numbers) = 1;
    said    text := coalesce(push_words(result_json(answer)), answer.error);
BEGIN
    IF answer.class = 'ok' THEN
        UPDATE category_sync c SET accepted = CASE v.verdict WHEN 'accepted' THEN c.wanted ELSE c.accepted END, state = CASE WHEN v.verdict = 'unclear' AND NOT alone THEN 'wanted' WHEN v.verdict = 'unclear' THEN 'refused' ELSE v.verdict END,
            batch = CASE WHEN v.verdict = 'unclear' AND NOT alone THEN n + array_position(numbers, v.id) - 1 END,    -- alone, where it stood
            detail = CASE WHEN v.verdict = 'refused' OR v.verdict = 'unclear' AND alone THEN left(coalesce(v.words, 'SalesDrive names others as taken, not this one: ' || said), 500) END
        FROM push_verdicts(said, numbers) v WHERE c.account = r.account AND c.batch = n AND c.number::text = v.id;
    ELSIF alone THEN
        UPDATE category_sync c SET state = 'refused', batch = NULL, detail = left(said, 500) WHERE c.account = r.account AND c.batch = n;
    ELSE    -- halves stay in their place: parents before their children
        UPDATE category_sync c SET state = 'wanted', batch = CASE WHEN c.number::text = ANY (numbers[1 : cardinality(numbers) / 2]) THEN n ELSE n + cardinality(numbers) / 2 END WHERE c.account = r.account AND c.batch = n;
    END IF;
END $$;
COMMENT ON FUNCTION settle_push_categories(push_run, integer, http_result) IS 'Takes in what SalesDrive says of a request of categories';

CREATE FUNCTION settle_push(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    u record;
    r push_run;
    s plan_step;
BEGIN
    FOR u IN SELECT x.task_id, x.class, x.error, t.account, t.key, t.memo, x::http_result AS result FROM few(results) x CROSS JOIN LATERAL task_of(x.task_id) t ORDER BY t.account, t.key LOOP
        SELECT * INTO r FROM push_run x WHERE x.id = (u.memo ->> 'run')::bigint FOR UPDATE;
        s := ROW(u.task_id, 'again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
        IF u.class <> 'unknown_outcome' THEN    -- also for a run that was begun meanwhile
            UPDATE push_run x SET unsure_until = NULL WHERE x.id = r.id OR x.account = u.account AND x.what = u.key AND x.ended_at IS NULL;
        END IF;
        IF u.class IN ('ok', 'business') THEN
            IF u.memo ? 'categories' THEN
                PERFORM settle_push_categories(r, (u.memo ->> 'categories')::integer, u.result);
            ELSE
                PERFORM settle_push_products(r, (u.memo ->> 'batch')::integer, u.result);
            END IF;
            UPDATE push_run x SET state = 'parked' WHERE x.id = r.id AND x.ended_at IS NULL AND x.sent = 0 AND x.failed / 10 > r.failed / 10 RETURNING x.* INTO r;
            IF FOUND THEN
                s.step := 'park'; s.reason := 'business';
                s.detail := (SELECT format('SalesDrive has refused %s products and taken none. Of the last it says: %s', r.failed, x.detail) FROM product_sync x WHERE x.account = r.account AND x.what = r.what AND x.run = r.id AND x.state = 'refused' ORDER BY x.product_id DESC LIMIT 1);
                s.hint := format('Mend the cause; SELECT salesdrive.push_again(%L, %L); has those refused sent once more, resume(%s) goes on with the others.', r.account, r.what, u.task_id);
            END IF;
        ELSIF u.class = 'unknown_outcome' THEN
            UPDATE product_sync x SET detail = 'No answer: ' || concat_ws(': ', (u.result).http_status::text, u.error) WHERE x.account = u.account AND x.what = u.key AND x.batch = (u.memo ->> 'batch')::integer;
            UPDATE category_sync x SET detail = 'No answer: ' || concat_ws(': ', (u.result).http_status::text, u.error) WHERE x.account = u.account AND x.batch = (u.memo ->> 'categories')::integer;
            s.step := 'wait'; s.run_at := r.unsure_until; s.reason := 'unsure'; s.detail := 'A request without an answer may still be at work in SalesDrive.';
        ELSE    -- known not to be done: the class says when it is tried again
            UPDATE product_sync x SET state = 'wanted', detail = u.error WHERE x.account = u.account AND x.what = u.key AND x.batch = (u.memo ->> 'batch')::integer;
            UPDATE category_sync x SET state = 'wanted', detail = u.error WHERE x.account = u.account AND x.batch = (u.memo ->> 'categories')::integer;
            CONTINUE;
        END IF;
        RETURN NEXT s;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_push(http_result[]) IS 'Settle of kind push: taken, refused (halved until the guilty product stands alone), or without an answer and sent again as it was';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, note_function, target) VALUES ('push', 'shipped', 'salesdrive.plan_push', 'salesdrive.settle_push', 'salesdrive.note_push_writes', 'account');

-- Deciding.

CREATE FUNCTION push_wake(account text, what text) RETURNS void
    LANGUAGE sql SET search_path = salesdrive, pg_temp AS $$
    UPDATE task t SET state = 'ready', run_at = clock(), wish = t.wish + 1, blocked_on = NULL WHERE t.scope = push_wake.account AND t.kind = 'push' AND t.key = push_wake.what AND t.state <> 'in_flight'
$$;
COMMENT ON FUNCTION push_wake(text, text) IS 'Has the task of a push looked at';

CREATE FUNCTION cancel_push(account text, what text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM require_push(account, what);
    PERFORM push_wake(account, what);    -- first the task, as the engine does
    UPDATE push_run r SET state = 'cancelled', ended_at = clock() WHERE r.account = cancel_push.account AND r.what = cancel_push.what AND r.ended_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION cancel_push(text, text) IS 'Ends a push (stock, price or card): nothing more of it is sent, what SalesDrive has taken counts, the next push goes on from there; false when none is at work';

CREATE FUNCTION allow_push(run bigint) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r push_run;
BEGIN
    SELECT * INTO r FROM push_run x WHERE x.id = allow_push.run;
    IF r.state IS DISTINCT FROM 'guarded' THEN
        RAISE EXCEPTION 'push % is not stopped by a guard', run USING ERRCODE = '55000', DETAIL = CASE WHEN r.id IS NULL THEN 'There is none of this number.' ELSE format('It is %s.', r.state) END, HINT = 'SELECT * FROM salesdrive.push_progress;';
    END IF;
    PERFORM push_wake(r.account, r.what);
    UPDATE push_run x SET allowed = greatest(x.share, x.allowed), asked_at = clock() WHERE x.id = r.id;
    RETURN (SELECT t.id FROM task t WHERE t.scope = r.account AND t.kind = 'push' AND t.key = r.what);
END $$;
COMMENT ON FUNCTION allow_push(bigint) IS 'Lets a push go on that a guard stopped: what it needs is read afresh, and a share like the one shown is sent; returns the task';

CREATE FUNCTION push_again(account text, what text, product_id text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    many bigint;
BEGIN
    PERFORM require_push(account, what);
    UPDATE product_sync s SET doubted = true WHERE s.account = push_again.account AND s.what = push_again.what AND CASE WHEN push_again.product_id IS NULL THEN s.state = 'refused' ELSE s.product_id = push_again.product_id END;
    GET DIAGNOSTICS many = ROW_COUNT;
    IF many = 0 AND push_again.product_id IS NOT NULL THEN
        RAISE EXCEPTION 'product "%" was never sent to account "%"', push_again.product_id, account USING ERRCODE = '22023', HINT = 'SELECT * FROM salesdrive.unsent_good; tells why.';
    ELSIF what = 'card' AND push_again.product_id IS NULL THEN
        UPDATE category_sync c SET wanted = NULL WHERE c.account = push_again.account AND c.state = 'refused';
    END IF;
    RETURN many;
END $$;
COMMENT ON FUNCTION push_again(text, text, text) IS 'Has a product, or all that SalesDrive refused, sent with the next push although nothing changed; returns how many';

CREATE TRIGGER changed AFTER INSERT OR DELETE OR UPDATE OF product_id, unmatched, folders, services, condition, characteristics, stock_by, total_of, reserves, negative_stock, currency, cost, owns, catalog_age, stale_after, stock_guard, price_guard ON account_goods
    FOR EACH ROW EXECUTE FUNCTION wake_waiting('push:%s:', 'account');
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON card_field FOR EACH ROW EXECUTE FUNCTION wake_waiting('push:%s:', 'account');
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON account_price FOR EACH ROW EXECUTE FUNCTION wake_waiting('push:%s:', 'account');

-- A copy does not know what the original has sent since.
CREATE FUNCTION adopt_pushes() RETURNS void
    LANGUAGE sql SET search_path = salesdrive, pg_temp AS $$
    UPDATE product_sync SET doubted = true;
    UPDATE category_sync SET accepted = NULL, wanted = NULL, state = 'wanted';
    UPDATE push_run SET state = 'reading', started_at = clock() WHERE ended_at IS NULL AND state <> 'guarded'
$$;
COMMENT ON FUNCTION adopt_pushes() IS 'For adopt(): all is sent once more, of what is read then';

CREATE VIEW push_progress AS
    SELECT r.id AS run, r.account, r.what, r.state, r.goods, r.left_out, r.changed, r.sent, r.failed, greatest(r.changed - r.sent - r.failed, 0) AS left_over, r.requests, r.started_at, r.compared_at, r.ended_at,
           CASE WHEN r.ended_at IS NULL THEN t.run_at END AS run_at, r.share, coalesce(r.guard_text, CASE WHEN r.ended_at IS NULL THEN t.detail END) AS detail, CASE WHEN r.ended_at IS NULL THEN t.hint END AS hint, t.id AS task_id
    FROM push_run r LEFT JOIN task t ON t.scope = r.account AND t.kind = 'push' AND t.key = r.what
    WHERE r.id IN (SELECT max(x.id) FROM push_run x GROUP BY x.account, x.what);
COMMENT ON VIEW push_progress IS 'The last push of each kind to each account, and how far it is';
COMMENT ON COLUMN push_progress.run IS 'Number; allow_push() takes it';
COMMENT ON COLUMN push_progress.account IS 'Account';
COMMENT ON COLUMN push_progress.what IS 'card, stock or price';
COMMENT ON COLUMN push_progress.state IS 'reading, comparing, guarded, sending, parked, done or cancelled';
COMMENT ON COLUMN push_progress.goods IS 'Products compared';
COMMENT ON COLUMN push_progress.left_out IS 'Goods that are not sent, see unsent_good';
COMMENT ON COLUMN push_progress.changed IS 'Products that differ';
COMMENT ON COLUMN push_progress.sent IS 'Of these, taken by SalesDrive';
COMMENT ON COLUMN push_progress.failed IS 'Of these, refused';
COMMENT ON COLUMN push_progress.left_over IS 'Of these, still to be sent';
COMMENT ON COLUMN push_progress.requests IS 'Requests';
COMMENT ON COLUMN push_progress.started_at IS 'When it began';
COMMENT ON COLUMN push_progress.compared_at IS 'When it was known what differs';
COMMENT ON COLUMN push_progress.ended_at IS 'When it ended';
COMMENT ON COLUMN push_progress.run_at IS 'When it goes on';
COMMENT ON COLUMN push_progress.share IS 'Share of prices it changes, or of products in stock it sets to 0';
COMMENT ON COLUMN push_progress.detail IS 'What it waits for, or why it is stopped';
COMMENT ON COLUMN push_progress.hint IS 'What to do';
COMMENT ON COLUMN push_progress.task_id IS 'Task, for wait()';

CREATE VIEW pushed_good AS
    SELECT s.account, s.what, s.product_id, s.sku, s.name, s.state, s.accepted, s.accepted_at, CASE s.what WHEN 'stock' THEN stock_total(s.accepted) END AS stock, CASE s.what WHEN 'price' THEN (s.accepted ->> 'costPerItem')::numeric END AS price,
           CASE WHEN s.state <> 'accepted' OR s.doubted THEN s.wanted END AS wanted, s.fails, s.detail
    FROM product_sync s;
COMMENT ON VIEW pushed_good IS 'Card, stock and price of each product as exchanged last';
COMMENT ON COLUMN pushed_good.account IS 'Account';
COMMENT ON COLUMN pushed_good.what IS 'card, stock or price';
COMMENT ON COLUMN pushed_good.product_id IS 'External id of the card';
COMMENT ON COLUMN pushed_good.sku IS 'SKU';
COMMENT ON COLUMN pushed_good.name IS 'Name';
COMMENT ON COLUMN pushed_good.state IS 'wanted, sent (no answer yet), accepted or refused';
COMMENT ON COLUMN pushed_good.accepted IS 'Fields as SalesDrive took them last';
COMMENT ON COLUMN pushed_good.accepted_at IS 'When';
COMMENT ON COLUMN pushed_good.stock IS 'Stock of all warehouses together';
COMMENT ON COLUMN pushed_good.price IS 'Main price';
COMMENT ON COLUMN pushed_good.wanted IS 'Fields as they are to be, where SalesDrive may not hold them';
COMMENT ON COLUMN pushed_good.fails IS 'Times in a row that it was refused';
COMMENT ON COLUMN pushed_good.detail IS 'Why it is refused';
