-- Purpose: the end of a reading of goods: what was read takes the place of the reading before, in one transaction.
-- Rights: the engine's role.
-- Thousands of rows at once: the plans that the engine is made to take for its small sets would be slow here. Only what differs is written: orders wait for
-- this turn of the engine.

CREATE FUNCTION put_catalog(i infobase, whole boolean) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_nestloop = off SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    n          jsonb := property_names(i.profile, 'product');
    stock_kind text := profile_constant(i.profile, 'product', 'stock_kind');
    alike      boolean := coalesce((SELECT s.form = nullif(s.up_to, '')::jsonb ->> 'form' FROM goods_snapshot s WHERE s.infobase = i.name AND s.what = 'catalog'), false);    -- then a row that is the same means the same
BEGIN
    IF whole THEN
        DELETE FROM bas_good g WHERE g.infobase = i.name AND NOT EXISTS (SELECT FROM goods_page p WHERE p.infobase = i.name AND p.what = 'catalog' AND p.part = '' AND p.key = g.ref_key::text);
    END IF;
    INSERT INTO bas_good AS g (infobase, ref_key, sku, code, name, full_name, folder, is_folder, deleted, kind, is_stock, unit, vat_rate, uses_characteristics, data, changed, read_at)
    SELECT i.name, (e ->> 'Ref_Key')::uuid, nullif(rtrim(e ->> (n ->> 'article')), ''), rtrim(e ->> (n ->> 'code')), rtrim(e ->> (n ->> 'name')), nullif(btrim(e ->> (n ->> 'full_name')), ''),
           coalesce(nil_free(e ->> (n ->> 'parent')), no_key()), json_flag(e -> (n ->> 'is_folder')), json_flag(e -> (n ->> 'deleted')), nullif(e ->> (n ->> 'kind'), ''),
           CASE WHEN n ? 'is_service' THEN NOT json_flag(e -> (n ->> 'is_service')) ELSE e ->> (n ->> 'kind') = stock_kind END, nil_free(e ->> (n ->> 'unit')),
           nullif(nullif(btrim(e ->> (n ->> 'vat_rate')), ''), no_key()::text), CASE WHEN n ? 'uses_characteristics' THEN json_flag(e -> (n ->> 'uses_characteristics')) END,
           e, CASE WHEN e ->> (n ->> 'changed') NOT LIKE '0001%' THEN (e ->> (n ->> 'changed'))::timestamp END, clock()
    FROM (SELECT p.data AS e FROM goods_page p LEFT JOIN bas_good k ON k.infobase = i.name AND k.ref_key::text = p.key
          WHERE p.infobase = i.name AND p.what = 'catalog' AND p.part = '' AND NOT (alike AND k.data IS NOT NULL AND k.data = p.data)) p
    ORDER BY 2
    ON CONFLICT ON CONSTRAINT bas_good_pkey DO UPDATE SET sku = excluded.sku, code = excluded.code, name = excluded.name, full_name = excluded.full_name, folder = excluded.folder, is_folder = excluded.is_folder,
        deleted = excluded.deleted, kind = excluded.kind, is_stock = excluded.is_stock, unit = excluded.unit, vat_rate = excluded.vat_rate, uses_characteristics = excluded.uses_characteristics, data = excluded.data,
        changed = excluded.changed, read_at = excluded.read_at;
    UPDATE goods_snapshot s SET whole_at = CASE WHEN whole THEN s.asked_at ELSE s.whole_at END, form = CASE WHEN whole THEN nullif(s.up_to, '')::jsonb ->> 'form' ELSE s.form END,
        changes_from = CASE WHEN whole THEN s.changes_from
                            ELSE greatest(s.changes_from, (SELECT max(c.at) FROM (SELECT (p.data ->> (n ->> 'changed'))::timestamp AS at FROM goods_page p WHERE p.infobase = i.name AND p.what = 'catalog') c WHERE c.at < clock() AT TIME ZONE 'UTC' + interval '1 day') - interval '10 min') END    -- what was being written then; what is dated into the future hides nothing
    WHERE s.infobase = i.name AND s.what = 'catalog';
END $$;
COMMENT ON FUNCTION put_catalog(infobase, boolean) IS 'Puts goods read in the place of those known: all of them, or those that have changed';

CREATE FUNCTION put_characteristics(i infobase) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_nestloop = off SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    n        jsonb := property_names(i.profile, 'characteristic');
    products text := 'StandardODATA.' || entity_set(i.profile, 'product');
BEGIN
    DELETE FROM bas_characteristic c WHERE c.infobase = i.name;
    INSERT INTO bas_characteristic (infobase, ref_key, product, name, deleted, read_at)
    SELECT i.name, (e ->> 'Ref_Key')::uuid, CASE WHEN n ? 'owner_type' AND e ->> (n ->> 'owner_type') <> products THEN NULL ELSE nil_free(e ->> (n ->> 'owner')) END,
           rtrim(e ->> (n ->> 'name')), json_flag(e -> coalesce(n ->> 'deleted', 'DeletionMark')), clock()
    FROM (SELECT p.data AS e FROM goods_page p WHERE p.infobase = i.name AND p.what = 'characteristics') p ORDER BY 2;
END $$;
COMMENT ON FUNCTION put_characteristics(infobase) IS 'Puts characteristics read in the place of those known; one that belongs to a kind of goods is shared';

CREATE FUNCTION put_units(i infobase) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_nestloop = off SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    n jsonb := property_names(i.profile, 'pack');
BEGIN
    DELETE FROM bas_unit u WHERE u.infobase = i.name;
    INSERT INTO bas_unit (infobase, ref_key, coefficient, read_at)
    SELECT i.name, (e ->> 'Ref_Key')::uuid,
           nullif(greatest(CASE WHEN n ? 'coefficient' THEN json_numeric(e -> (n ->> 'coefficient')) ELSE json_numeric(e -> (n ->> 'numerator')) / nullif(coalesce(json_numeric(e -> (n ->> 'denominator')), 1), 0) END, 0), 0), clock()
    FROM (SELECT p.data AS e FROM goods_page p WHERE p.infobase = i.name AND p.what = 'units') p ORDER BY 2;
END $$;
COMMENT ON FUNCTION put_units(infobase) IS 'Puts packs read in the place of those known';

-- A product may have several compositions: the one marked as the main one counts, or the only one.
CREATE FUNCTION put_kits(i infobase) RETURNS integer
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_nestloop = off SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    n        jsonb := property_names(i.profile, 'kit');
    m        jsonb := property_names(i.profile, 'kit_row');
    section  text := entity_set(i.profile, 'kit_row');
    omitted  integer;
BEGIN
    DELETE FROM bas_kit_part k WHERE k.infobase = i.name;
    WITH composition AS MATERIALIZED (
        SELECT nil_free(e ->> (n ->> 'owner')) AS kit, e -> section AS rows, n ? 'main' AND json_flag(e -> (n ->> 'main')) AS main
        FROM (SELECT p.data AS e FROM goods_page p WHERE p.infobase = i.name AND p.what = 'kits') p
        WHERE jsonb_typeof(e -> section) = 'array' AND e -> section <> '[]' AND NOT json_flag(e -> coalesce(n ->> 'deleted', 'DeletionMark')) AND nil_free(e ->> (n ->> 'owner')) IS NOT NULL
    ), counted AS (
        SELECT c.*, count(*) OVER w AS several, count(*) FILTER (WHERE c.main) OVER w AS mains FROM composition c WINDOW w AS (PARTITION BY c.kit)
    ), made AS (
        INSERT INTO bas_kit_part (infobase, kit, line_no, product, characteristic, quantity, read_at)
        SELECT i.name, c.kit, row_number() OVER (PARTITION BY c.kit ORDER BY r.n), nil_free(r.e ->> (m ->> 'product')), coalesce(nil_free(r.e ->> (m ->> 'characteristic')), no_key()), json_numeric(r.e -> (m ->> 'quantity')), clock()
        FROM counted c CROSS JOIN LATERAL jsonb_array_elements(c.rows) WITH ORDINALITY r (e, n)
        WHERE (c.several = 1 OR c.main AND c.mains = 1) AND nil_free(r.e ->> (m ->> 'product')) IS NOT NULL AND json_numeric(r.e -> (m ->> 'quantity')) > 0
    )
    SELECT count(DISTINCT c.kit) INTO omitted FROM counted c WHERE c.several > 1 AND c.mains <> 1;
    RETURN omitted;
END $$;
COMMENT ON FUNCTION put_kits(infobase) IS 'Puts what kits are made of in the place of what was known; returns the number of kits left out, because several compositions stand side by side';

-- The accounting register tells goods and warehouses as extra dimensions, in an order that is the account's: known by their type.
CREATE FUNCTION extra_reference(e jsonb, names jsonb, wanted_type text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT nil_free((SELECT e ->> v FROM jsonb_each_text(names) x (k, v) WHERE k LIKE 'extra\_%' AND e ->> (v || '_Type') = wanted_type ORDER BY k LIMIT 1));
END;
COMMENT ON FUNCTION extra_reference(jsonb, jsonb, text) IS 'The extra dimension of a row of a register that has this type; NULL: none';

CREATE FUNCTION goods_reference(e jsonb, names jsonb, concept text, wanted_type text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN names ? concept THEN nil_free(e ->> (names ->> concept)) ELSE extra_reference(e, names, wanted_type) END;
COMMENT ON FUNCTION goods_reference(jsonb, jsonb, text, text) IS 'Product or warehouse of a row of a register; NULL: none';

CREATE FUNCTION put_stock(i infobase, entity text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_nestloop = off SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    n          jsonb := property_names(i.profile, entity);
    products   text := 'StandardODATA.' || entity_set(i.profile, 'product');
    warehouses text := 'StandardODATA.' || entity_set(i.profile, 'warehouse');
BEGIN
    WITH told AS MATERIALIZED (
    SELECT r.product, r.characteristic, r.warehouse, sum(r.quantity) AS quantity, sum(r.reserved) AS reserved
    FROM (SELECT goods_reference(e, n, 'product', products) AS product, coalesce(nil_free(e ->> (n ->> 'characteristic')), no_key()) AS characteristic, coalesce(goods_reference(e, n, 'warehouse', warehouses), no_key()) AS warehouse,
                 json_numeric(e -> (n ->> 'quantity')) - coalesce(json_numeric(e -> (n ->> 'quantity_credit')), 0) AS quantity,
                 coalesce(json_numeric(e -> (n ->> 'reserved')), 0) + coalesce(json_numeric(e -> (n ->> 'reserved_order')), 0) AS reserved
          FROM (SELECT p.data AS e FROM goods_page p WHERE p.infobase = i.name AND p.what = 'stock') p) r
    WHERE r.product IS NOT NULL
    GROUP BY r.product, r.characteristic, r.warehouse HAVING sum(r.quantity) <> 0 OR sum(r.reserved) <> 0
    ), gone AS (
        DELETE FROM bas_stock s WHERE s.infobase = i.name AND NOT EXISTS (SELECT FROM told t WHERE t.product = s.product AND t.characteristic = s.characteristic AND t.warehouse = s.warehouse)
    )
    INSERT INTO bas_stock AS s (infobase, product, characteristic, warehouse, quantity, reserved, read_at)
    SELECT i.name, t.product, t.characteristic, t.warehouse, t.quantity, t.reserved, clock()
    FROM told t LEFT JOIN bas_stock k ON k.infobase = i.name AND k.product = t.product AND k.characteristic = t.characteristic AND k.warehouse = t.warehouse
    WHERE k.product IS NULL OR (k.quantity, k.reserved) IS DISTINCT FROM (t.quantity, t.reserved)
    ORDER BY t.product, t.characteristic, t.warehouse
    ON CONFLICT ON CONSTRAINT bas_stock_pkey DO UPDATE SET quantity = excluded.quantity, reserved = excluded.reserved, read_at = excluded.read_at;
END $$;
COMMENT ON FUNCTION put_stock(infobase, text) IS 'Puts stock read in the place of what was known: what was not answered has none';

CREATE FUNCTION price_rows(i infobase, part text) RETURNS TABLE (product uuid, characteristic uuid, price numeric, currency uuid, unit uuid, base boolean, coefficient numeric, period text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_nestloop = off SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    n jsonb := property_names(i.profile, 'price');
BEGIN
    RETURN QUERY
    SELECT r.product, r.characteristic, r.price, r.currency, r.unit, coalesce(r.unit IS NULL OR r.unit = g.unit, false), u.coefficient, r.period
    FROM (SELECT nil_free(e ->> (n ->> 'product')) AS product, coalesce(nil_free(e ->> (n ->> 'characteristic')), no_key()) AS characteristic, json_numeric(e -> (n ->> 'price')) AS price,
                 nil_free(e ->> (n ->> 'currency')) AS currency, nil_free(e ->> (n ->> 'unit')) AS unit, e ->> 'Period' AS period
          FROM (SELECT p.data AS e FROM goods_page p WHERE p.infobase = i.name AND p.what = 'prices' AND p.part = price_rows.part) p
          WHERE NOT n ? 'active' OR json_flag(e -> (n ->> 'active'))) r
    LEFT JOIN bas_good g ON g.infobase = i.name AND g.ref_key = r.product
    LEFT JOIN bas_unit u ON u.infobase = i.name AND u.ref_key = r.unit
    WHERE r.product IS NOT NULL;
END $$;
COMMENT ON FUNCTION price_rows(infobase, text) IS 'Prices read of a type that are in force: whether each is for the base unit of its product, and else how many of those are in its pack';

CREATE FUNCTION put_prices(i infobase, part text) RETURNS integer
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_nestloop = off SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    omitted integer;
BEGIN
    WITH answered AS MATERIALIZED (
        SELECT r.* FROM price_rows(i, part) r
    ), told AS MATERIALIZED (
        SELECT DISTINCT ON (r.product, r.characteristic) r.product, r.characteristic, CASE WHEN r.base THEN r.price ELSE round(r.price / r.coefficient, 2) END AS price, r.currency, r.unit::text AS unit
        FROM answered r WHERE r.base OR r.coefficient IS NOT NULL
        ORDER BY r.product, r.characteristic, r.base DESC, r.period DESC, r.price
    ), gone AS (
        DELETE FROM bas_price p WHERE p.infobase = i.name AND p.price_type = part::uuid AND NOT EXISTS (SELECT FROM told t WHERE t.product = p.product AND t.characteristic = p.characteristic)
    ), put AS (
        INSERT INTO bas_price AS p (infobase, price_type, product, characteristic, price, currency, unit, read_at)
        SELECT i.name, part::uuid, t.product, t.characteristic, t.price, t.currency, t.unit, clock()
        FROM told t LEFT JOIN bas_price k ON k.infobase = i.name AND k.price_type = part::uuid AND k.product = t.product AND k.characteristic = t.characteristic
        WHERE k.product IS NULL OR (k.price, k.currency, k.unit) IS DISTINCT FROM (t.price, t.currency, t.unit)
        ORDER BY t.product, t.characteristic
        ON CONFLICT ON CONSTRAINT bas_price_pkey DO UPDATE SET price = excluded.price, currency = excluded.currency, unit = excluded.unit, read_at = excluded.read_at
    )
    SELECT count(*) INTO omitted FROM answered r WHERE NOT r.base AND r.coefficient IS NULL;
    RETURN omitted;
END $$;
COMMENT ON FUNCTION put_prices(infobase, text) IS 'Puts prices of a type in the place of those known: of the base unit, else of a pack divided by what is in it, to the kopeck; returns the number of those whose pack is not known';

-- By sums: what the register holds, divided by its quantity. By a unit cost: of the latest month in which a product has any, the mean of its rows.
CREATE FUNCTION put_cost(i infobase) RETURNS integer
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_nestloop = off SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    n        jsonb := property_names(i.profile, 'cost');
    k        jsonb := property_names(i.profile, 'cost_key');
    products text := 'StandardODATA.' || entity_set(i.profile, 'product');
    omitted  integer;
BEGIN
    DELETE FROM bas_cost c WHERE c.infobase = i.name;
    WITH answered AS MATERIALIZED (
        SELECT CASE WHEN n ? 'key' THEN nil_free(q.data ->> (k ->> 'product')) ELSE goods_reference(p.e, n, 'product', products) END AS product,
               coalesce(nil_free(CASE WHEN n ? 'key' THEN q.data ->> (k ->> 'characteristic') ELSE p.e ->> (n ->> 'characteristic') END), no_key()) AS characteristic,
               json_numeric(p.e -> (n ->> 'quantity')) AS quantity, json_numeric(p.e -> (n ->> 'sum')) AS sum, nullif(greatest(json_numeric(p.e -> (n ->> 'cost')), 0), 0) AS cost, left(p.e ->> 'Period', 7) AS month
        FROM (SELECT g.data AS e FROM goods_page g WHERE g.infobase = i.name AND g.what = 'cost' AND g.key NOT LIKE 'key:%') p
        LEFT JOIN goods_page q ON n ? 'key' AND q.infobase = i.name AND q.what = 'cost' AND q.part = '' AND q.key = 'key:' || (p.e ->> (n ->> 'key'))
    ), dated AS (
        SELECT a.*, max(a.month) FILTER (WHERE a.cost IS NOT NULL) OVER (PARTITION BY a.product, a.characteristic) AS latest FROM answered a WHERE a.product IS NOT NULL
    ), told AS MATERIALIZED (
        SELECT d.product, d.characteristic, round(CASE WHEN n ? 'cost' THEN avg(d.cost) FILTER (WHERE d.month = d.latest) WHEN sum(d.quantity) > 0 AND sum(d.sum) > 0 THEN sum(d.sum) / sum(d.quantity) END, 2) AS cost
        FROM dated d GROUP BY d.product, d.characteristic
    ), put AS (
        INSERT INTO bas_cost (infobase, product, characteristic, cost, read_at) SELECT i.name, t.product, t.characteristic, t.cost, clock() FROM told t WHERE t.cost IS NOT NULL
    )
    SELECT count(*) INTO omitted FROM told t WHERE t.cost IS NULL;
    RETURN omitted;
END $$;
COMMENT ON FUNCTION put_cost(infobase) IS 'Puts cost read in the place of what was known; returns the number of goods that the register gives no cost for';

CREATE FUNCTION goods_finish(id bigint, i infobase, what text, part text, whole boolean DEFAULT true) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = auto SET enable_hashjoin = on SET enable_nestloop = off SET enable_seqscan = on SET cpu_tuple_cost = 0.01 AS $$
DECLARE
    step    plan_step := ROW(id, 'done', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
    asked   timestamptz := (SELECT s.asked_at FROM goods_snapshot s WHERE s.infobase = i.name AND s.what = goods_finish.what AND s.part = goods_finish.part);
    omitted integer := 0;
    held    bigint;
BEGIN
    IF what = 'prices' AND goods_gaps(i.profile, 'pack') = '{}' AND EXISTS (SELECT FROM price_rows(i, part) r WHERE NOT r.base AND r.coefficient IS NULL)
       AND NOT EXISTS (SELECT FROM goods_snapshot s WHERE s.infobase = i.name AND s.what = 'units' AND s.complete_at > asked)
       AND NOT EXISTS (SELECT FROM task t WHERE t.scope = i.name AND t.kind = 'goods' AND t.key = 'units' AND t.state = 'parked') THEN
        step.step := 'wait'; step.reason := 'units'; step.detail := 'Some prices are for packs: how much is in them is read first.'; step.blocked_on := format('goods:%s:units', i.name);
        RETURN step;
    ELSIF what = 'catalog' AND whole AND NOT EXISTS (SELECT FROM goods_page p WHERE p.infobase = i.name AND p.what = 'catalog') AND EXISTS (SELECT FROM bas_good g WHERE g.infobase = i.name) THEN
        UPDATE goods_snapshot s SET up_to = '' WHERE s.infobase = i.name AND s.what = 'catalog';
        RETURN goods_park(id, format('The base answers that its catalog is empty, and %s goods and folders were in it.', (SELECT count(*) FROM bas_good g WHERE g.infobase = i.name)),
            format('Does the user of the exchange still have the right to see them? (Record-level rights hide without a word.) If they are really gone: DELETE FROM salesdrive.bas_good WHERE infobase = %L; then SELECT salesdrive.resume(%s);', i.name, id));
    END IF;
    CASE what
        WHEN 'catalog' THEN PERFORM put_catalog(i, whole);
        WHEN 'characteristics' THEN PERFORM put_characteristics(i);
        WHEN 'units' THEN PERFORM put_units(i);
        WHEN 'kits' THEN omitted := put_kits(i);
        WHEN 'stock' THEN PERFORM put_stock(i, goods_entity(i, what));
        WHEN 'prices' THEN omitted := put_prices(i, part);
        WHEN 'cost' THEN omitted := put_cost(i);
    END CASE;
    held := CASE what WHEN 'catalog' THEN (SELECT count(*) FROM bas_good g WHERE g.infobase = i.name) WHEN 'characteristics' THEN (SELECT count(*) FROM bas_characteristic c WHERE c.infobase = i.name)
                      WHEN 'kits' THEN (SELECT count(*) FROM bas_kit_part k WHERE k.infobase = i.name) WHEN 'stock' THEN (SELECT count(*) FROM bas_stock t WHERE t.infobase = i.name)
                      WHEN 'prices' THEN (SELECT count(*) FROM bas_price p WHERE p.infobase = i.name AND p.price_type = part::uuid) WHEN 'cost' THEN (SELECT count(*) FROM bas_cost c WHERE c.infobase = i.name)
                      ELSE (SELECT count(*) FROM bas_unit u WHERE u.infobase = i.name) END;
    UPDATE goods_snapshot s SET complete_at = clock(), rows = held, left_out = omitted, up_to = '' WHERE s.infobase = i.name AND s.what = goods_finish.what AND s.part = goods_finish.part;
    DELETE FROM goods_page p WHERE p.infobase = i.name AND p.what = goods_finish.what AND p.part = goods_finish.part;
    RETURN step;
END $$;
COMMENT ON FUNCTION goods_finish(bigint, infobase, text, text, boolean) IS 'Completes a reading: puts it in place, or waits for the packs that its prices are for, or does not believe in an empty catalog';
