-- Purpose: what SalesDrive is to hold of the goods of a base: which card each good is, its stock, its prices, its card. Each is one set for an account.
-- Rights: 'operator' and the engine.
--
-- A good is what an order means by its SKU: the good pinned to it, else the only one with this article. A card of SalesDrive is addressed by its external
-- id, which orders tell. What is not clear is listed in unsent_good, and nothing is sent of it.
--
-- These functions have plans of their own: their sets are whole catalogs, also within the engine, which plans for a few rows at a time. Or they are told
-- which goods (their argument goods): then all they read is looked up by arrays of keys, and what they answer of these goods is the same.

CREATE TYPE push_good AS (
    product_id     text,
    sku            text,
    product        uuid,
    characteristic uuid,
    name           text,
    is_new         boolean,
    problem        text
);
COMMENT ON TYPE push_good IS 'A good of BAS and the card of SalesDrive that it is';
COMMENT ON COLUMN push_good.product_id IS 'External id of the card, of a new one too';
COMMENT ON COLUMN push_good.sku IS 'SKU';
COMMENT ON COLUMN push_good.product IS 'Ref_Key';
COMMENT ON COLUMN push_good.characteristic IS 'Its characteristic; 0: none';
COMMENT ON COLUMN push_good.name IS 'Name';
COMMENT ON COLUMN push_good.is_new IS 'Whether SalesDrive does not know it';
COMMENT ON COLUMN push_good.problem IS 'Why nothing is sent of it, as in good_problems(); NULL: it is clear';

CREATE TYPE push_wish AS (
    product_id     text,
    sku            text,
    product        uuid,
    characteristic uuid,
    name           text,
    problem        text,
    wanted         jsonb,
    turn           integer
);
COMMENT ON TYPE push_wish IS 'What a card of SalesDrive is to hold, or why it gets nothing';
COMMENT ON COLUMN push_wish.product_id IS 'External id of the card';
COMMENT ON COLUMN push_wish.sku IS 'SKU';
COMMENT ON COLUMN push_wish.product IS 'Ref_Key of the good';
COMMENT ON COLUMN push_wish.characteristic IS 'Its characteristic; 0: none';
COMMENT ON COLUMN push_wish.name IS 'Name';
COMMENT ON COLUMN push_wish.problem IS 'Why it gets nothing, as in good_problems()';
COMMENT ON COLUMN push_wish.wanted IS 'Fields it is to hold';
COMMENT ON COLUMN push_wish.turn IS 'What is sent before what: others refer to it';

CREATE FUNCTION good_problems() RETURNS TABLE (problem text, means text, hint text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
    VALUES ('no_sku', 'It has no article in BAS.', 'Give it one in BAS, or pin an SKU to it (product_pin).'),
           ('sku_twice', 'Another good has the same article.', 'Give them different articles in BAS, or pin the SKU to one of them (product_pin).'),
           ('sku_pinned', 'Its article is an SKU that is pinned to another good.', 'Right, if orders mean the other one; else correct product_pin.'),
           ('card_twice', 'Several cards in SalesDrive have its SKU.', 'Join them in SalesDrive, or say which one it is: INSERT INTO salesdrive.crm_product (account, product_id, sku, product) VALUES (…).'),
           ('card_without_id', 'The card in SalesDrive has no external id, so it cannot be addressed.', 'Give the card an id in SalesDrive (field ID of the product); the next order with it tells the id.'),
           ('no_code', 'It has no code in BAS that could be the id of its card.', 'Give it one in BAS, or set account_goods.product_id to sku.'),
           ('id_taken', 'The id its card would get is that of another card.', 'Say which card it is: INSERT INTO salesdrive.crm_product (account, product_id, sku, product) VALUES (…).'),
           ('id_twice', 'Several goods would have the same card.', 'Give them different articles or codes in BAS, or say which one the card is (crm_product.product).'),
           ('unknown', 'SalesDrive has no card of it, as far as orders tell.', 'Set account_goods.unmatched to export, and push_products() makes the card; or, where it has one, say so in crm_product.'),
           ('in_export', 'The YML export of SalesDrive has a card with its SKU, whose id no order has told.', 'Say which card it is: INSERT INTO salesdrive.crm_product (account, product_id, sku) VALUES (…), with the ID that the product has in SalesDrive; crm_good has what the export says of it.'),
           ('characteristic_unpinned', 'It is a characteristic without an SKU.', 'Pin an SKU to it (product_pin), for orders too; or set account_goods.characteristics to sum.'),
           ('no_price', 'It has no price of the main price type, or 0.', 'Set the price in BAS, or another price type in account_price.'),
           ('currency', 'The currency of its price has no name in SalesDrive.', 'SELECT salesdrive.map_value(account, ''currency'', ''USD'', ''name in BAS'', direction => ''to_crm'');'),
           ('kit_part', 'It is a kit, and one of its parts has no card.', 'What keeps the part back is in this list, too; if it is not, account_goods (folders, services, condition) does not choose it.')
$$;
COMMENT ON FUNCTION good_problems() IS 'Why nothing is sent of a good: code, meaning, what to do';

-- Goods by their article as it is compared, and by what may be the id of a card: to tell of some goods whether others have the same.
CREATE INDEX bas_good_folded ON bas_good (infobase, folded_name(sku));
CREATE INDEX bas_good_id ON bas_good (infobase, btrim(code));

-- Cards. Orders tell of them: those that came since the last time are looked through.
CREATE FUNCTION learn_cards(account text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp SET enable_seqscan = on SET enable_hashjoin = on SET cpu_tuple_cost = 0.01 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    now_at timestamptz := clock();
    since  timestamptz := coalesce((SELECT g.lines_seen FROM account_goods g WHERE g.account = learn_cards.account) - interval '1 hour', '-infinity');    -- what was committed late
BEGIN
    INSERT INTO crm_product AS c (account, product_id, crm_id, sku, without_id, known_from)
    SELECT DISTINCT ON (n.id) learn_cards.account, n.id, l.product_id, btrim(l.sku), n.parameter IS NULL, 'order'
    FROM (SELECT v.order_id, max(v.received_at) AS received_at FROM crm_order_version v WHERE v.account = learn_cards.account AND v.received_at >= since GROUP BY v.order_id) o
    JOIN crm_order_line l ON l.account = learn_cards.account AND l.order_id = o.order_id
    CROSS JOIN LATERAL (SELECT nullif(btrim(l.parameter), '') AS parameter) p
    CROSS JOIN LATERAL (SELECT p.parameter, coalesce(p.parameter, '#' || l.product_id) AS id) n
    WHERE nullif(btrim(l.sku), '') IS NOT NULL AND n.id IS NOT NULL
    ORDER BY n.id, o.received_at DESC, o.order_id DESC, l.line_no
    ON CONFLICT ON CONSTRAINT crm_product_pkey DO UPDATE SET crm_id = excluded.crm_id, sku = CASE c.known_from WHEN 'order' THEN excluded.sku ELSE c.sku END
    WHERE c.crm_id IS DISTINCT FROM excluded.crm_id OR c.known_from = 'order' AND c.sku IS DISTINCT FROM excluded.sku;
    DELETE FROM crm_product c WHERE c.account = learn_cards.account AND c.without_id AND EXISTS (SELECT FROM crm_product x WHERE x.account = c.account AND x.crm_id = c.crm_id AND NOT x.without_id);    -- it was given one
    UPDATE account_goods g SET lines_seen = now_at WHERE g.account = learn_cards.account;
END $$;
COMMENT ON FUNCTION learn_cards(text) IS 'Takes in what lines of orders tell of the cards of SalesDrive';

-- What is true of a good depends on others: with the same article, with a pin of its SKU, with a card that either could be. And of those on others still.
CREATE FUNCTION goods_near(account text, goods uuid[], OUT near uuid[], OUT skus text[], OUT cards text[]) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp SET enable_seqscan = off SET enable_hashjoin = on SET enable_mergejoin = on SET enable_nestloop = off SET cpu_tuple_cost = 0.01 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    base   text := (SELECT a.infobase FROM account a WHERE a.name = goods_near.account);
    ids_by text := (SELECT g.product_id FROM account_goods g WHERE g.account = goods_near.account);
    newly  uuid[] := goods;
    named  text[];    -- SKUs of these goods, and what else the ids of their cards may be
    ids    text[];
    ours   text[];
    folded text[];
BEGIN
    near := '{}'; skus := '{}'; cards := '{}';
    WHILE cardinality(newly) > 0 LOOP
        near := near || newly;
        named := ARRAY(SELECT btrim(g.sku) FROM bas_good g WHERE g.infobase = base AND g.ref_key = ANY (newly) AND g.sku IS NOT NULL UNION SELECT p.sku FROM product_pin p WHERE p.infobase = base AND p.product = ANY (newly));
        ids := ARRAY(SELECT n FROM unnest(named) n
                     UNION SELECT CASE ids_by WHEN 'code' THEN btrim(g.code) ELSE g.ref_key::text END FROM bas_good g WHERE ids_by <> 'sku' AND g.infobase = base AND g.ref_key = ANY (newly)
                     UNION SELECT p.characteristic::text FROM product_pin p WHERE ids_by = 'ref_key' AND p.infobase = base AND p.product = ANY (newly));
        ours := ARRAY(SELECT c.product_id FROM crm_product c WHERE c.account = goods_near.account AND c.product = ANY (newly) UNION SELECT c.product_id FROM crm_product c WHERE c.account = goods_near.account AND c.sku = ANY (named)
                      UNION SELECT c.product_id FROM crm_product c WHERE c.account = goods_near.account AND c.product_id = ANY (ids));
        named := ARRAY(SELECT n FROM unnest(named) n UNION SELECT c.sku FROM crm_product c WHERE c.account = goods_near.account AND c.product_id = ANY (ours));
        ids := ARRAY(SELECT n FROM unnest(ids || ours) n UNION SELECT n FROM unnest(named) n);
        folded := ARRAY(SELECT DISTINCT folded_name(n) FROM unnest(CASE ids_by WHEN 'sku' THEN ids ELSE named END) n WHERE n <> '');
        skus := skus || named;
        cards := cards || ours;
        newly := ARRAY(
            SELECT g.ref_key FROM bas_good g WHERE g.infobase = base AND folded_name(g.sku) = ANY (folded) AND NOT g.is_folder
            UNION SELECT g.ref_key FROM bas_good g WHERE ids_by = 'code' AND g.infobase = base AND btrim(g.code) = ANY (ids) AND NOT g.is_folder
            UNION SELECT g.ref_key FROM bas_good g WHERE ids_by = 'ref_key' AND g.infobase = base AND g.ref_key = ANY (ARRAY(SELECT i::uuid FROM unnest(ids) i WHERE i ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'))
            UNION SELECT p.product FROM product_pin p WHERE p.infobase = base AND p.sku = ANY (ids)
            UNION SELECT p.product FROM product_pin p WHERE ids_by = 'ref_key' AND p.infobase = base AND p.characteristic::text = ANY (ids)
            UNION SELECT c.product FROM crm_product c WHERE c.account = goods_near.account AND c.product_id = ANY (ours) AND c.product IS NOT NULL
            EXCEPT SELECT n FROM unnest(near) n);
    END LOOP;
END $$;
COMMENT ON FUNCTION goods_near(text, uuid[]) IS 'Goods, and with them all those on which it depends which cards they are; the SKUs of all these, and the cards that they may be';

CREATE FUNCTION push_goods(account text, goods uuid[] DEFAULT NULL) RETURNS SETOF push_good
    LANGUAGE plpgsql STABLE ROWS 10000 SET search_path = salesdrive, pg_temp SET enable_seqscan = on SET enable_hashjoin = on SET enable_mergejoin = on SET enable_nestloop = off SET cpu_tuple_cost = 0.01 SET random_page_cost = 1.1 SET join_collapse_limit = 8 SET from_collapse_limit = 8 SET plan_cache_mode = force_custom_plan SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    o      account_goods;
    base   text := (SELECT a.infobase FROM account a WHERE a.name = push_goods.account);
    inside uuid[];
    near   uuid[];    -- those goods, and others they depend on
    skus   text[];
    cards  text[];
BEGIN
    SELECT * INTO o FROM account_goods g WHERE g.account = push_goods.account;
    IF goods IS NOT NULL THEN
        SELECT ARRAY(SELECT DISTINCT x FROM unnest(n.near) x), n.skus, ARRAY(SELECT DISTINCT x FROM unnest(n.cards) x) INTO near, skus, cards FROM goods_near(push_goods.account, goods) n;
    END IF;
    IF o.folders IS NOT NULL THEN
        WITH RECURSIVE tree AS (
            SELECT f AS ref_key FROM unnest(o.folders) f
            UNION SELECT g.ref_key FROM tree t JOIN bas_good g ON g.infobase = base AND g.is_folder AND g.folder = t.ref_key
        )
        SELECT array_agg(t.ref_key) INTO inside FROM tree t;
    END IF;
    RETURN QUERY
    WITH pin AS MATERIALIZED (
        SELECT p.sku, p.product, coalesce(p.characteristic, no_key()) AS characteristic FROM product_pin p WHERE p.infobase = base AND (goods IS NULL OR p.product = ANY (near) OR p.sku = ANY (skus))
    ), pinned AS MATERIALIZED (
        SELECT p.product FROM pin p WHERE p.characteristic = no_key() GROUP BY p.product
    ), live AS MATERIALIZED (
        SELECT g.ref_key, nullif(btrim(g.sku), '') AS sku, nullif(btrim(g.code), '') AS code, coalesce(nullif(btrim(g.name), ''), nullif(btrim(g.full_name), ''), nullif(btrim(g.sku), ''), g.ref_key::text) AS name,
               (o.folders IS NULL OR g.folder = ANY (inside)) AND (o.services OR g.is_stock IS NOT FALSE) AND (o.condition = '{}' OR g.data @> o.condition) AS chosen
        FROM (SELECT g.* FROM bas_good g WHERE g.infobase = base AND goods IS NULL
              UNION ALL SELECT g.* FROM few(near) n CROSS JOIN LATERAL (SELECT x.* FROM bas_good x WHERE x.infobase = base AND x.ref_key = n OFFSET 0) g) g    -- of some goods by their keys, whatever statistics say
        WHERE NOT g.is_folder AND NOT g.deleted
    ), named AS MATERIALIZED (
        SELECT row_number() OVER () AS n, x.* FROM (
            SELECT l.sku, l.ref_key AS product, no_key() AS characteristic, l.name, l.code, l.chosen, true AS own,
                   CASE WHEN l.sku IS NULL THEN 'no_sku' WHEN p.product <> l.ref_key OR p.characteristic <> no_key() THEN 'sku_pinned'
                        WHEN p.sku IS NULL AND count(*) OVER (PARTITION BY folded_name(l.sku)) > 1 THEN 'sku_twice' END AS problem
            FROM live l LEFT JOIN pin p ON p.sku = l.sku
            UNION ALL
            SELECT p.sku, p.product, p.characteristic, concat_ws(', ', l.name, nullif(btrim(c.name), '')), l.code, l.chosen, false, NULL
            FROM pin p JOIN live l ON l.ref_key = p.product LEFT JOIN bas_characteristic c ON c.infobase = base AND c.ref_key = p.characteristic
            WHERE CASE WHEN p.characteristic = no_key() THEN l.sku IS DISTINCT FROM p.sku ELSE o.characteristics = 'products' AND c.deleted IS NOT TRUE END) x
        WHERE x.chosen AND NOT (x.own AND x.problem IS NOT NULL AND EXISTS (SELECT FROM pinned q WHERE q.product = x.product))
    ), settled AS MATERIALIZED (    -- pinned goods that have an article of their own, too
        SELECT n.product FROM named n JOIN pinned q ON q.product = n.product WHERE n.own AND n.problem IS NULL
    ), keyed AS MATERIALIZED (
        SELECT n.*, CASE o.product_id WHEN 'sku' THEN n.sku WHEN 'code' THEN CASE WHEN n.own THEN n.code ELSE n.sku END ELSE CASE n.characteristic WHEN no_key() THEN n.product ELSE n.characteristic END::text END AS key FROM named n
    ), card AS MATERIALIZED (    -- tied to a good as long as that is there, and its SKU is not pinned to another since
        SELECT c.product_id, c.sku, CASE WHEN h.holds THEN c.product END AS product, CASE WHEN h.holds THEN c.characteristic ELSE no_key() END AS characteristic, c.without_id, CASE c.known_from WHEN 'user' THEN 0 WHEN 'push' THEN 1 ELSE 2 END AS rank
        FROM (SELECT c.* FROM crm_product c WHERE c.account = push_goods.account AND goods IS NULL
              UNION ALL SELECT c.* FROM few(cards) n CROSS JOIN LATERAL (SELECT x.* FROM crm_product x WHERE x.account = push_goods.account AND x.product_id = n OFFSET 0) c) c
        LEFT JOIN live l ON l.ref_key = c.product LEFT JOIN pin p ON p.sku = c.sku LEFT JOIN (SELECT DISTINCT x.product, x.characteristic FROM pin x) q ON q.product = c.product AND q.characteristic = c.characteristic
        CROSS JOIN LATERAL (SELECT l.ref_key IS NOT NULL AND (c.characteristic = no_key() OR q.product IS NOT NULL) AND (p.sku IS NULL OR p.product = c.product AND p.characteristic = c.characteristic) AS holds) h
    ), candidate AS (
        SELECT k.n, c.product_id, c.without_id, c.rank + CASE WHEN c.sku = k.sku THEN 0 ELSE 10 END AS rank
        FROM keyed k JOIN card c ON c.product = k.product AND c.characteristic = k.characteristic LEFT JOIN pin p ON p.sku = c.sku AND p.product = c.product
        WHERE c.sku = k.sku OR k.own AND p.sku IS NULL
        UNION ALL
        SELECT k.n, c.product_id, c.without_id, c.rank FROM keyed k JOIN card c ON c.sku = k.sku AND c.product IS NULL
        UNION ALL
        SELECT k.n, c.product_id, c.without_id, c.rank FROM keyed k JOIN card c ON c.product_id = k.key AND c.product IS NULL AND c.sku IS NULL
    ), found AS MATERIALIZED (
        SELECT DISTINCT ON (c.n) c.n, c.product_id, c.without_id, count(*) OVER (PARTITION BY c.n, c.rank) AS same FROM candidate c ORDER BY c.n, c.rank, c.product_id
    ), exported AS MATERIALIZED (    -- else it would be there twice
        SELECT DISTINCT g.sku FROM crm_good g WHERE g.account = push_goods.account AND g.gone_at IS NULL AND g.sku IS NOT NULL AND (goods IS NULL OR g.sku = ANY (skus))
    ), clear AS MATERIALIZED (
        SELECT coalesce(f.product_id, k.key) AS product_id, k.sku, k.product, k.characteristic, k.name, f.n IS NULL AS is_new,
               CASE WHEN k.problem IS NOT NULL THEN k.problem WHEN f.same > 1 THEN 'card_twice' WHEN f.without_id THEN 'card_without_id'
                    WHEN f.n IS NULL AND k.key IS NULL THEN 'no_code' WHEN f.n IS NULL AND t.product_id IS NOT NULL THEN 'id_taken' WHEN f.n IS NULL AND y.sku IS NOT NULL THEN 'in_export' WHEN f.n IS NULL AND o.unmatched = 'list' THEN 'unknown' END AS problem
        FROM keyed k LEFT JOIN found f ON f.n = k.n LEFT JOIN card t ON t.product_id = k.key LEFT JOIN exported y ON y.sku = k.sku
        WHERE f.n IS NOT NULL OR k.own OR NOT EXISTS (SELECT FROM settled e WHERE e.product = k.product)    -- a further SKU of a good that SalesDrive does not know is none to be made
    )
    SELECT c.product_id, c.sku, c.product, c.characteristic, c.name, c.is_new,
           coalesce(c.problem, CASE WHEN d.product_id IS NOT NULL THEN 'id_twice' END)
    FROM clear c LEFT JOIN (SELECT x.product_id FROM clear x WHERE x.problem IS NULL GROUP BY x.product_id HAVING count(*) > 1) d ON d.product_id = c.product_id
    WHERE goods IS NULL OR c.product = ANY (goods);
END $$;
COMMENT ON FUNCTION push_goods(text, uuid[]) IS 'Goods that an account is to get, with the card that each is, or why it gets nothing; of some goods, or of all';

-- Stock.

CREATE FUNCTION stock_map(account text) RETURNS TABLE (warehouse uuid, stock text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (c.ref) c.ref, m.crm_key
    FROM account a JOIN value_map m ON m.account IN (a.name, '*') AND m.dictionary = 'warehouse' AND m.direction IN ('to_crm', 'both') AND m.crm_key <> '*' AND m.bas_key IS NOT NULL
    CROSS JOIN LATERAL chosen_value(a.infobase, 'warehouse', m.bas_key) c
    WHERE a.name = stock_map.account AND c.ref IS NOT NULL
    ORDER BY c.ref, m.direction = 'both', m.account = '*', length(m.crm_key), m.crm_key;
END $$;
COMMENT ON FUNCTION stock_map(text) IS 'Warehouses of BAS and the stock of SalesDrive that each is: of several rows of value_map the one of direction to_crm, of the account, with the lowest id. So nothing counts twice';

CREATE FUNCTION stock_sum(fields jsonb) RETURNS TABLE (total numeric)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT CASE WHEN fields ? 'stockBalance' THEN (fields ->> 'stockBalance')::numeric ELSE (SELECT sum(e.value::numeric) FROM jsonb_each_text(fields -> 'stockBalanceByStock') e) END;
END;
COMMENT ON FUNCTION stock_sum(jsonb) IS 'As stock_total(), for many: a query takes it in whole';

CREATE FUNCTION stock_total(fields jsonb) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT s.total FROM stock_sum(fields) s);
COMMENT ON FUNCTION stock_total(jsonb) IS 'Stock that fields of a card tell, of all warehouses together';

CREATE FUNCTION no_stock(account text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT CASE o.stock_by WHEN 'total' THEN '{"stockBalance": 0}' ELSE (SELECT jsonb_build_object('stockBalanceByStock', jsonb_object_agg(m.stock, 0)) FROM stock_map(o.account) m) END
            FROM account_goods o WHERE o.account = no_stock.account);
END $$;
COMMENT ON FUNCTION no_stock(text) IS 'Fields of a card that has no stock';

CREATE FUNCTION wanted_stock(account text, goods uuid[] DEFAULT NULL) RETURNS SETOF push_wish
    LANGUAGE plpgsql STABLE ROWS 10000 SET search_path = salesdrive, pg_temp SET enable_seqscan = on SET enable_hashjoin = on SET enable_mergejoin = on SET enable_nestloop = off SET cpu_tuple_cost = 0.01 SET random_page_cost = 1.1 SET join_collapse_limit = 8 SET from_collapse_limit = 8 SET plan_cache_mode = force_custom_plan SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    o    account_goods;
    base text := (SELECT a.infobase FROM account a WHERE a.name = wanted_stock.account);
    none jsonb := no_stock(wanted_stock.account);
BEGIN
    SELECT * INTO o FROM account_goods g WHERE g.account = wanted_stock.account;
    RETURN QUERY
    WITH place AS MATERIALIZED (
        SELECT m.warehouse, m.stock FROM stock_map(wanted_stock.account) m WHERE o.stock_by = 'warehouse'
    ), listed AS MATERIALIZED (    -- of some goods by their keys, whatever statistics say
        SELECT s.* FROM bas_stock s WHERE s.infobase = base AND goods IS NULL
        UNION ALL SELECT s.* FROM few(goods) g CROSS JOIN LATERAL (SELECT x.* FROM bas_stock x WHERE x.infobase = base AND x.product = g OFFSET 0) s
    ), held AS MATERIALIZED (
        SELECT s.product, CASE o.characteristics WHEN 'sum' THEN no_key() ELSE s.characteristic END AS characteristic, p.stock,
               sum(s.quantity - CASE o.reserves WHEN 'subtract' THEN s.reserved ELSE 0 END) AS quantity
        FROM listed s LEFT JOIN place p ON p.warehouse = s.warehouse
        WHERE CASE o.stock_by WHEN 'total' THEN o.total_of IS NULL OR s.warehouse = ANY (o.total_of) ELSE p.stock IS NOT NULL END
        GROUP BY 1, 2, 3
    ), told AS MATERIALIZED (
        SELECT h.product, h.characteristic, CASE o.stock_by WHEN 'total' THEN jsonb_build_object('stockBalance', trim_scale(sum(v.quantity))) ELSE jsonb_object_agg(coalesce(h.stock, ''), trim_scale(v.quantity)) END AS fields
        FROM held h CROSS JOIN LATERAL (SELECT CASE o.negative_stock WHEN 'zero' THEN greatest(h.quantity, 0) ELSE h.quantity END AS quantity) v GROUP BY 1, 2
    ), good AS MATERIALIZED (
        SELECT g.* FROM push_goods(wanted_stock.account, goods) g
        WHERE NOT ('set' = ANY (o.owns) AND EXISTS (SELECT FROM bas_kit_part k WHERE k.infobase = base AND k.kit = g.product))    -- SalesDrive counts the parts of a kit
    )
    SELECT g.product_id, g.sku, g.product, g.characteristic, g.name, coalesce(g.problem, CASE WHEN g.is_new THEN 'unknown' END),
           CASE WHEN t.product IS NULL THEN none WHEN o.stock_by = 'total' THEN t.fields ELSE jsonb_build_object('stockBalanceByStock', none -> 'stockBalanceByStock' || t.fields) END, 0
    FROM good g LEFT JOIN told t ON t.product = g.product AND t.characteristic = g.characteristic;
END $$;
COMMENT ON FUNCTION wanted_stock(text, uuid[]) IS 'Stock that the cards of an account are to have, those of some goods, or of all: what the register of the base does not name has none';

-- What is in the catalog no more cannot be sold. A card that another good has become by now is that one's (product_sync.product).
CREATE FUNCTION wanted_no_stock(account text, cards text[]) RETURNS SETOF push_wish
    LANGUAGE plpgsql STABLE ROWS 100 SET search_path = salesdrive, pg_temp SET enable_seqscan = off SET enable_hashjoin = on SET enable_nestloop = on SET cpu_tuple_cost = 0.01 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT s.product_id, s.sku, s.product, s.characteristic, s.name, NULL::text, no_stock(wanted_no_stock.account), 0
    FROM account a CROSS JOIN few(cards) k
    CROSS JOIN LATERAL (SELECT x.* FROM product_sync x WHERE x.account = wanted_no_stock.account AND x.what = 'stock' AND x.product_id = k OFFSET 0) s    -- by their keys, whatever statistics say
    WHERE a.name = wanted_no_stock.account AND s.turn IS NULL AND (s.state <> 'accepted' OR s.doubted OR stock_total(s.accepted) > 0)
      AND s.product IS NOT NULL AND NOT EXISTS (SELECT FROM bas_good b WHERE b.infobase = a.infobase AND b.ref_key = s.product AND NOT b.deleted);
END $$;
COMMENT ON FUNCTION wanted_no_stock(text, text[]) IS 'Of some cards those whose good has left the catalog: they are to have no stock';

-- Prices.

CREATE FUNCTION push_currencies(account text) RETURNS TABLE (ref_key uuid, name text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (d.key) d.key::uuid, coalesce(m.crm_key, c.name)
    FROM account a JOIN dictionary_value d ON d.scope = a.infobase AND d.side = 'bas' AND d.dictionary = 'currency'
    LEFT JOIN value_map m ON m.account IN (a.name, '*') AND m.dictionary = 'currency' AND m.direction IN ('to_crm', 'both') AND m.crm_key <> '*' AND m.bas_key IN (d.key, d.code, d.name)
    LEFT JOIN (VALUES ('980', 'UAH'), ('840', 'USD'), ('978', 'EUR'), ('985', 'PLN'), ('826', 'GBP'), ('498', 'MDL'), ('946', 'RON'), ('203', 'CZK'), ('348', 'HUF')) c (code, name) ON c.code = btrim(d.code)
    WHERE a.name = push_currencies.account AND coalesce(m.crm_key, c.name) IS NOT NULL
    ORDER BY d.key, m.direction = 'both', m.account = '*', m.crm_key;
END $$;
COMMENT ON FUNCTION push_currencies(text) IS 'Currencies of the base as SalesDrive writes them: by value_map (dictionary currency), else by their ISO number';

CREATE FUNCTION push_price_types(account text) RETURNS TABLE (role text, price_type text, name text, ref_key uuid, problem text, candidates text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT p.role, p.price_type, p.name, c.ref, c.problem, c.candidates
    FROM account a JOIN account_price p ON p.account = a.name CROSS JOIN LATERAL chosen_value(a.infobase, 'price_type', p.price_type) c WHERE a.name = push_price_types.account;
END $$;
COMMENT ON FUNCTION push_price_types(text) IS 'Rows of account_price with the price type of the base that each names, or why it names none';

CREATE FUNCTION wanted_prices(account text, goods uuid[] DEFAULT NULL) RETURNS SETOF push_wish
    LANGUAGE plpgsql STABLE ROWS 10000 SET search_path = salesdrive, pg_temp SET enable_seqscan = on SET enable_hashjoin = on SET enable_mergejoin = on SET enable_nestloop = off SET cpu_tuple_cost = 0.01 SET random_page_cost = 1.1 SET join_collapse_limit = 8 SET from_collapse_limit = 8 SET plan_cache_mode = force_custom_plan SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    o         account_goods;
    base      text := (SELECT a.infobase FROM account a WHERE a.name = wanted_prices.account);
    main      uuid;
    reduced   uuid;
    further   uuid[];
BEGIN
    SELECT * INTO o FROM account_goods g WHERE g.account = wanted_prices.account;
    SELECT (array_agg(t.ref_key) FILTER (WHERE t.role = 'main'))[1], (array_agg(t.ref_key) FILTER (WHERE t.role = 'discount'))[1], array_agg(t.ref_key) FILTER (WHERE t.role = 'additional')
    INTO main, reduced, further FROM push_price_types(wanted_prices.account) t;
    RETURN QUERY
    WITH good AS MATERIALIZED (
        SELECT g.* FROM push_goods(wanted_prices.account, goods) g
    ), currency AS MATERIALIZED (
        SELECT c.ref_key, c.name FROM push_currencies(wanted_prices.account) c
    ), listed AS MATERIALIZED (    -- of some goods by their keys, whatever statistics say
        SELECT p.* FROM bas_price p WHERE p.infobase = base AND goods IS NULL AND p.price_type = ANY (ARRAY[main, reduced] || further)
        UNION ALL SELECT p.* FROM few(goods) g CROSS JOIN LATERAL (SELECT x.* FROM bas_price x WHERE x.infobase = base AND x.price_type = ANY (ARRAY[main, reduced] || further) AND x.product = g OFFSET 0) p
    ), price AS MATERIALIZED (    -- of a characteristic its own, else that of its good
        SELECT DISTINCT ON (g.product_id, p.price_type) g.product_id, p.price_type, p.price, CASE WHEN coalesce(p.currency, no_key()) = no_key() THEN o.currency ELSE c.name END AS currency
        FROM good g JOIN listed p ON p.product = g.product AND p.characteristic IN (g.characteristic, no_key())
        LEFT JOIN currency c ON c.ref_key = p.currency
        WHERE g.problem IS NULL AND p.price > 0
        ORDER BY g.product_id, p.price_type, p.characteristic = no_key()
    ), additional AS MATERIALIZED (
        SELECT p.product_id, jsonb_agg(jsonb_build_object('priceType', t.name, 'priceValue', trim_scale(p.price), 'priceCurrency', p.currency) ORDER BY t.name) AS list
        FROM price p JOIN push_price_types(wanted_prices.account) t ON t.role = 'additional' AND t.ref_key = p.price_type WHERE p.currency IS NOT NULL GROUP BY p.product_id
    ), cost AS MATERIALIZED (
        SELECT g.product_id, e.expenses FROM good g JOIN pushed_cost(wanted_prices.account, goods) e ON e.product = g.product AND e.characteristic = g.characteristic WHERE o.cost = 'prices' AND g.problem IS NULL
    )
    SELECT g.product_id, g.sku, g.product, g.characteristic, g.name,
           CASE WHEN g.problem IS NOT NULL THEN g.problem WHEN g.is_new THEN 'unknown' WHEN m.product_id IS NULL THEN 'no_price' WHEN m.currency IS NULL THEN 'currency' END,
           jsonb_build_object('costPerItem', trim_scale(m.price), 'currency', m.currency)
           || CASE WHEN further IS NOT NULL THEN jsonb_build_object('additionalPrices', coalesce(a.list, '[]')) ELSE '{}' END
           || CASE WHEN reduced IS NOT NULL THEN jsonb_build_object('discount', jsonb_build_object('value', CASE WHEN d.price < m.price AND d.currency = m.currency THEN trim_scale(round(100 - 100 * d.price / m.price, 4)) ELSE 0 END || '%')) ELSE '{}' END
           || CASE WHEN c.expenses IS NOT NULL THEN jsonb_build_object('expenses', c.expenses, 'currencyExpenses', o.currency)
                   WHEN o.cost = 'prices' AND t.accepted ? 'expenses' THEN jsonb_build_object('expenses', t.accepted -> 'expenses', 'currencyExpenses', t.accepted -> 'currencyExpenses') ELSE '{}' END, 0    -- sold out: the last one known
    FROM good g LEFT JOIN price m ON m.product_id = g.product_id AND m.price_type = main AND g.problem IS NULL LEFT JOIN price d ON d.product_id = g.product_id AND d.price_type = reduced
    LEFT JOIN additional a ON a.product_id = g.product_id LEFT JOIN cost c ON c.product_id = g.product_id
    LEFT JOIN LATERAL (SELECT s.accepted FROM product_sync s WHERE s.account = wanted_prices.account AND s.what = 'price' AND s.product_id = g.product_id OFFSET 0) t ON o.cost = 'prices';
END $$;
COMMENT ON FUNCTION wanted_prices(text, uuid[]) IS 'Prices that the cards of an account are to have, those of some goods, or of all; a good without a main price gets none';

CREATE FUNCTION pushed_cost(account text, goods uuid[] DEFAULT NULL) RETURNS TABLE (product uuid, characteristic uuid, expenses numeric)
    LANGUAGE plpgsql STABLE ROWS 10000 SET search_path = salesdrive, pg_temp SET enable_seqscan = on SET enable_hashjoin = on SET enable_nestloop = off SET cpu_tuple_cost = 0.01 SET random_page_cost = 1.1 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.product, c.characteristic, trim_scale(c.cost) FROM account a JOIN bas_cost c ON c.infobase = a.infobase WHERE a.name = pushed_cost.account AND c.cost > 0 AND (goods IS NULL OR c.product = ANY (goods));
END $$;
COMMENT ON FUNCTION pushed_cost(text, uuid[]) IS 'Costs that are known of goods of an account''s base, of some, or of all';

-- Cards.

-- Folders are numbered when they are met first. A folder within itself is none: it is never come to from the top.
CREATE FUNCTION want_categories(account text, goods uuid[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp SET enable_seqscan = on SET enable_hashjoin = on SET enable_mergejoin = on SET enable_nestloop = off SET cpu_tuple_cost = 0.01 SET random_page_cost = 1.1 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    base    text := (SELECT a.infobase FROM account a WHERE a.name = want_categories.account);
    first   integer := (SELECT g.first_category FROM account_goods g WHERE g.account = want_categories.account);
    folders jsonb;
BEGIN
    WITH RECURSIVE folder AS MATERIALIZED (
        SELECT g.ref_key, g.folder AS parent, coalesce(nullif(btrim(g.name), ''), g.code, g.ref_key::text) AS name FROM bas_good g WHERE g.infobase = base AND g.is_folder
    ), up AS (
        SELECT b.folder FROM push_goods(want_categories.account, goods) g JOIN bas_good b ON b.infobase = base AND b.ref_key = ANY (goods) AND b.ref_key = g.product WHERE g.problem IS NULL AND b.folder <> no_key()
        UNION SELECT f.parent FROM up u JOIN folder f ON f.ref_key = u.folder WHERE f.parent <> no_key()
    ), down AS (
        SELECT f.ref_key, NULL::uuid AS parent, f.name, 1 AS depth FROM up u JOIN folder f ON f.ref_key = u.folder LEFT JOIN folder p ON p.ref_key = f.parent WHERE p.ref_key IS NULL
        UNION ALL SELECT f.ref_key, f.parent, f.name, d.depth + 1 FROM down d JOIN folder f ON f.parent = d.ref_key JOIN up u ON u.folder = f.ref_key
    )
    SELECT jsonb_agg(jsonb_build_object('folder', d.ref_key, 'parent', d.parent, 'name', d.name, 'place', d.depth)) INTO folders FROM down d;
    INSERT INTO category_sync (account, folder, number)
    SELECT want_categories.account, f.folder, greatest(first, coalesce((SELECT max(c.number) FROM category_sync c WHERE c.account = want_categories.account) + 1, 0)) - 1 + row_number() OVER (ORDER BY f.place, f.name, f.folder)
    FROM jsonb_to_recordset(folders) f (folder uuid, name text, place integer) LEFT JOIN category_sync c ON c.account = want_categories.account AND c.folder = f.folder WHERE c.folder IS NULL;
    UPDATE category_sync c SET wanted = w.wanted, place = w.place, detail = NULL, state = CASE WHEN c.accepted = w.wanted AND c.state <> 'sent' THEN 'accepted' ELSE 'wanted' END
    FROM (SELECT f.folder, f.place, jsonb_build_object('name', f.name, 'parentId', p.number) AS wanted
          FROM jsonb_to_recordset(folders) f (folder uuid, parent uuid, name text, place integer) LEFT JOIN category_sync p ON p.account = want_categories.account AND p.folder = f.parent) w
    WHERE c.account = want_categories.account AND c.folder = w.folder AND (c.wanted IS DISTINCT FROM w.wanted OR c.state = 'sent' OR c.place IS DISTINCT FROM w.place);
END $$;
COMMENT ON FUNCTION want_categories(text, uuid[]) IS 'Numbers the folders that goods to be sent are in, with those above, and says what their categories are to be';

CREATE FUNCTION order_categories(account text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp SET enable_seqscan = on SET enable_hashjoin = on SET enable_nestloop = off SET cpu_tuple_cost = 0.01 AS $$
#variable_conflict use_column
BEGIN
    UPDATE category_sync c SET batch = b.batch
    FROM (SELECT x.folder, CASE WHEN x.state = 'wanted' THEN (row_number() OVER (PARTITION BY x.state = 'wanted' ORDER BY x.place, x.number) - 1) / 100 * 100 + 1 END AS batch FROM category_sync x WHERE x.account = order_categories.account AND x.wanted IS NOT NULL) b
    WHERE c.account = order_categories.account AND c.folder = b.folder AND c.batch IS DISTINCT FROM b.batch;
END $$;
COMMENT ON FUNCTION order_categories(text) IS 'Puts categories to be sent into requests of 100: parents go before their children';

CREATE FUNCTION card_value(good jsonb, source text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(nullif(good #> string_to_array(source, ','), 'null'), '""');
COMMENT ON FUNCTION card_value(jsonb, text) IS 'What a good has at a source of card_field; nothing is blank';

CREATE FUNCTION wanted_cards(account text, goods uuid[] DEFAULT NULL) RETURNS SETOF push_wish
    LANGUAGE plpgsql STABLE ROWS 10000 SET search_path = salesdrive, pg_temp SET enable_seqscan = on SET enable_hashjoin = on SET enable_mergejoin = on SET enable_nestloop = off SET cpu_tuple_cost = 0.01 SET random_page_cost = 1.1 SET join_collapse_limit = 8 SET from_collapse_limit = 8 SET plan_cache_mode = force_custom_plan SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    o      account_goods;
    base   text := (SELECT a.infobase FROM account a WHERE a.name = wanted_cards.account);
    near   uuid[] := goods;    -- with the parts of kits among them
    mapped jsonb := (SELECT jsonb_object_agg(f.field, f.source) FROM card_field f WHERE f.account = wanted_cards.account);
    whole  boolean := NOT EXISTS (SELECT FROM goods_snapshot s WHERE s.infobase = base AND s.what = 'kits' AND s.left_out > 0);    -- else a kit that is not there may be one of those left out
BEGIN
    SELECT * INTO o FROM account_goods g WHERE g.account = wanted_cards.account;
    IF goods IS NOT NULL AND 'set' = ANY (o.owns) THEN
        near := goods || ARRAY(SELECT DISTINCT k.product FROM bas_kit_part k WHERE k.infobase = base AND k.kit = ANY (goods));
    END IF;
    RETURN QUERY
    WITH RECURSIVE good AS MATERIALIZED (
        SELECT g.* FROM push_goods(wanted_cards.account, near) g
    ), part AS MATERIALIZED (
        SELECT k.kit, p.product_id AS id, sum(k.quantity) AS quantity
        FROM bas_kit_part k LEFT JOIN good p ON p.product = k.product AND p.characteristic = CASE o.characteristics WHEN 'sum' THEN no_key() ELSE k.characteristic END AND p.problem IS NULL
        WHERE k.infobase = base AND (goods IS NULL OR k.kit = ANY (goods)) AND 'set' = ANY (o.owns) GROUP BY 1, 2
    ), nest AS (    -- a kit in a kit goes first; one within itself, never mind when
        SELECT p.kit, p.kit AS within, 0 AS depth FROM (SELECT DISTINCT x.kit FROM part x) p
        UNION SELECT n.kit, k.product, n.depth + 1 FROM nest n JOIN bas_kit_part k ON k.infobase = base AND k.kit = n.within AND EXISTS (SELECT FROM bas_kit_part x WHERE x.infobase = base AND x.kit = k.product) WHERE n.depth < 8
    ), kit AS MATERIALIZED (
        SELECT p.kit, bool_or(p.id IS NULL) AS lacks, jsonb_agg(jsonb_build_object('id', p.id, 'quantity', trim_scale(p.quantity)) ORDER BY p.id) AS list, max(d.depth) AS depth
        FROM part p JOIN (SELECT n.kit, max(n.depth) AS depth FROM nest n GROUP BY n.kit) d ON d.kit = p.kit GROUP BY p.kit
    ), category AS MATERIALIZED (
        SELECT c.folder, jsonb_build_object('id', c.number, 'name', c.wanted ->> 'name') AS fields FROM category_sync c WHERE c.account = wanted_cards.account AND c.wanted IS NOT NULL AND 'category' = ANY (o.owns)
    ), owner AS MATERIALIZED (
        SELECT g.product, min(g.product_id) AS product_id FROM good g WHERE g.characteristic = no_key() AND g.problem IS NULL GROUP BY g.product
    ), cost AS MATERIALIZED (
        SELECT e.product, e.characteristic, e.expenses FROM pushed_cost(wanted_cards.account, goods) e WHERE o.cost = 'card'
    )
    SELECT g.product_id, g.sku, g.product, g.characteristic, g.name, coalesce(g.problem, CASE WHEN k.lacks THEN 'kit_part' END),
           CASE WHEN g.is_new OR 'name' = ANY (o.owns) THEN jsonb_build_object('name', g.name) ELSE '{}' END || CASE WHEN g.is_new OR 'sku' = ANY (o.owns) THEN jsonb_build_object('sku', g.sku) ELSE '{}' END
           || CASE WHEN c.folder IS NOT NULL THEN jsonb_build_object('category', c.fields) ELSE '{}' END
           || CASE WHEN k.kit IS NOT NULL THEN jsonb_build_object('set', k.list) WHEN 'set' = ANY (o.owns) AND t.accepted ? 'set' THEN jsonb_build_object('set', CASE WHEN whole THEN '[]' ELSE t.accepted -> 'set' END) ELSE '{}' END
           || CASE WHEN g.characteristic <> no_key() AND p.product_id IS NOT NULL THEN jsonb_build_object('parentProductId', p.product_id) ELSE '{}' END
           || CASE WHEN e.expenses IS NOT NULL THEN jsonb_build_object('expenses', e.expenses, 'currencyExpenses', o.currency)
                   WHEN o.cost = 'card' AND t.accepted ? 'expenses' THEN jsonb_build_object('expenses', t.accepted -> 'expenses', 'currencyExpenses', t.accepted -> 'currencyExpenses') ELSE '{}' END    -- sold out: the last one known
           || CASE WHEN mapped IS NOT NULL THEN (SELECT jsonb_object_agg(f.key, card_value(b.data || jsonb_build_object('name', b.name, 'full_name', b.full_name, 'code', b.code, 'kind', b.kind), f.value)) FROM jsonb_each_text(mapped) f) ELSE '{}' END,
           CASE WHEN k.kit IS NOT NULL THEN 2 + k.depth WHEN g.characteristic <> no_key() THEN 1 ELSE 0 END
    FROM good g JOIN bas_good b ON b.infobase = base AND b.ref_key = g.product AND (goods IS NULL OR b.ref_key = ANY (goods)) LEFT JOIN kit k ON k.kit = g.product AND g.characteristic = no_key() LEFT JOIN category c ON c.folder = b.folder
    LEFT JOIN owner p ON p.product = g.product LEFT JOIN cost e ON e.product = g.product AND e.characteristic = g.characteristic 
    LEFT JOIN LATERAL (SELECT s.accepted FROM product_sync s WHERE s.account = wanted_cards.account AND s.what = 'card' AND s.product_id = g.product_id OFFSET 0) t ON true;
END $$;
COMMENT ON FUNCTION wanted_cards(text, uuid[]) IS 'What the cards of an account are to hold, those of some goods, or of all: all that BAS owns of them; of a new one name and SKU whoever owns them. Parts go before their kits, goods before their characteristics';

CREATE FUNCTION wanted_goods(account text, what text, goods uuid[] DEFAULT NULL) RETURNS SETOF push_wish
    LANGUAGE plpgsql STABLE ROWS 10000 SET search_path = salesdrive, pg_temp SET jit = off AS $$    -- plans without nested loops look dear: a look at 60 goods was compiled for 3.5 s
BEGIN
    CASE what
        WHEN 'stock' THEN RETURN QUERY SELECT * FROM wanted_stock(account, goods);
        WHEN 'price' THEN RETURN QUERY SELECT * FROM wanted_prices(account, goods);
        ELSE RETURN QUERY SELECT * FROM wanted_cards(account, goods);
    END CASE;
END $$;
COMMENT ON FUNCTION wanted_goods(text, text, uuid[]) IS 'What the cards of an account are to hold of their stock, price or card, those of some goods, or of all';

CREATE FUNCTION loose_characteristics(account text) RETURNS TABLE (product uuid, characteristic uuid, name text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT DISTINCT s.product, s.characteristic, concat_ws(', ', b.name, c.name)
    FROM account_goods o JOIN account a ON a.name = o.account JOIN bas_stock s ON s.infobase = a.infobase AND s.characteristic <> no_key() AND s.quantity > 0
    JOIN bas_good b ON b.infobase = a.infobase AND b.ref_key = s.product AND NOT b.deleted LEFT JOIN bas_characteristic c ON c.infobase = a.infobase AND c.ref_key = s.characteristic
    WHERE o.account = loose_characteristics.account AND o.characteristics = 'products'
      AND NOT EXISTS (SELECT FROM product_pin p WHERE p.infobase = a.infobase AND p.product = s.product AND p.characteristic = s.characteristic);
END $$;
COMMENT ON FUNCTION loose_characteristics(text) IS 'Characteristics in stock that have no SKU, where characteristics are products of their own';

CREATE VIEW unsent_good AS
    SELECT g.account, u.what, u.sku, u.name, u.product, u.characteristic, u.problem AS reason, p.means AS detail, p.hint
    FROM account_goods g
    CROSS JOIN LATERAL (
        SELECT 'card' AS what, w.sku, w.name, w.product, w.characteristic, w.problem FROM wanted_goods(g.account, 'card') w WHERE w.problem IS NOT NULL
        UNION ALL
        SELECT 'price', w.sku, w.name, w.product, w.characteristic, w.problem FROM wanted_goods(g.account, 'price') w WHERE w.problem IN ('no_price', 'currency') AND EXISTS (SELECT FROM account_price x WHERE x.account = g.account)
        UNION ALL
        SELECT 'stock', NULL, c.name, c.product, c.characteristic, 'characteristic_unpinned' FROM loose_characteristics(g.account) c) u
    LEFT JOIN good_problems() p ON p.problem = u.problem;
COMMENT ON VIEW unsent_good IS 'Goods that are not sent to SalesDrive, each with its reason; made when it is asked for, of what was read of the base last';
COMMENT ON COLUMN unsent_good.account IS 'Account';
COMMENT ON COLUMN unsent_good.what IS 'card (and so nothing of it), price or stock';
COMMENT ON COLUMN unsent_good.sku IS 'SKU';
COMMENT ON COLUMN unsent_good.name IS 'Name';
COMMENT ON COLUMN unsent_good.product IS 'Ref_Key';
COMMENT ON COLUMN unsent_good.characteristic IS 'Its characteristic; 0: none';
COMMENT ON COLUMN unsent_good.reason IS 'Code, as in good_problems()';
COMMENT ON COLUMN unsent_good.detail IS 'What it means';
COMMENT ON COLUMN unsent_good.hint IS 'What to do';
