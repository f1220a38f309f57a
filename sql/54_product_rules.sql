-- Purpose: what product_rule gives a product that is to be made in BAS: the row that holds, and its words as elements of the base.
-- Rights: the engine's role.

CREATE FUNCTION good_category(account text, sku text, order_id bigint, OUT ids text[], OUT path text[]) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    id   text;
    name text;
BEGIN
    SELECT c.ids, c.path INTO ids, path FROM crm_good g JOIN crm_category c ON c.account = g.account AND c.category_id = g.category_id AND c.path IS NOT NULL
    WHERE g.account = good_category.account AND g.sku = good_category.sku AND g.gone_at IS NULL ORDER BY g.offer_id COLLATE "C" LIMIT 1;
    IF ids IS NULL THEN    -- webhooks name the category of each product
        SELECT json_text(p -> 'categoryId'), json_text(p -> 'categoryName') INTO id, name
        FROM crm_order_version v CROSS JOIN LATERAL jsonb_array_elements(json_rows(v.data -> 'products')) p
        WHERE v.account = good_category.account AND v.order_id = good_category.order_id AND btrim(json_text(p -> 'sku')) = good_category.sku AND json_text(p -> 'categoryName') IS NOT NULL
        ORDER BY v.version DESC LIMIT 1;
        SELECT c.ids, c.path INTO ids, path FROM crm_category c WHERE c.account = good_category.account AND c.category_id = id AND c.path IS NOT NULL;
        ids := coalesce(ids, CASE WHEN name IS NOT NULL THEN ARRAY[coalesce(id, name)] END);
        path := coalesce(path, CASE WHEN name IS NOT NULL THEN ARRAY[name] END);
    END IF;
END $$;
COMMENT ON FUNCTION good_category(text, text, bigint) IS 'Category of a product in SalesDrive, with those around it: as the YML export says, else the order; NULL: not known';

CREATE FUNCTION product_rule_of(account text, source text, sku text, name text, category text[]) RETURNS SETOF product_rule
    LANGUAGE plpgsql STABLE ROWS 1 SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT r.* FROM product_rule r
    WHERE r.account IN (product_rule_of.account, '*') AND (r.source IS NULL OR r.source = product_rule_of.source)
      AND (r.sku IS NULL OR folded_name(product_rule_of.sku) LIKE folded_name(r.sku)) AND (r.name IS NULL OR folded_name(product_rule_of.name) LIKE folded_name(r.name))
      AND (r.category IS NULL OR folded_name(array_to_string(product_rule_of.category, '/')) LIKE folded_name(r.category) OR folded_name(product_rule_of.category[cardinality(product_rule_of.category)]) LIKE folded_name(r.category))
    ORDER BY r.rank, r.account = '*' LIMIT 1;
END $$;
COMMENT ON FUNCTION product_rule_of(text, text, text, text, text[]) IS 'The row of product_rule that holds for a product; none where none does';

CREATE FUNCTION product_template(a account, order_id bigint, sku text, name text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM product_rule r WHERE r.account IN (a.name, '*') AND r.template_sku IS NOT NULL) THEN
        RETURN a.template_sku;
    END IF;
    RETURN coalesce((SELECT r.template_sku FROM good_category(a.name, product_template.sku, product_template.order_id) g CROSS JOIN LATERAL product_rule_of(a.name, 'order', product_template.sku, product_template.name, g.path) r), a.template_sku);
END $$;
COMMENT ON FUNCTION product_template(account, bigint, text, text) IS 'SKU of the product that one wanted by an order is made after';

-- The words of a rule. Each of these gives the element of the base, or says why there is none.

CREATE FUNCTION element_named(i infobase, entity text, wanted text, OUT key text, OUT unread boolean, OUT problem text) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    refs uuid;
BEGIN
    unread := entity_set(i.profile, entity) IS NOT NULL AND NOT EXISTS (SELECT FROM dictionary_load d WHERE d.infobase = i.name AND d.dictionary = entity);
    IF entity_set(i.profile, entity) IS NULL THEN    -- no list to look into
        key := CASE WHEN wanted ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN lower(wanted) END;
        problem := CASE WHEN key IS NULL THEN format('profile "%s" names no list of them, so that it must be a Ref_Key', i.profile) END;
    ELSIF NOT unread THEN
        SELECT c.ref, CASE WHEN c.problem IS NOT NULL THEN format('it %s (there: %s)', c.problem, left(coalesce(c.candidates, 'nothing'), 300)) END INTO refs, problem FROM chosen_value(i.name, entity, wanted) c;
        key := refs::text;
    END IF;
END $$;
COMMENT ON FUNCTION element_named(infobase, text, text) IS 'Element of a list of the base by Ref_Key, code or name; unread: the list has to be read first';

CREATE FUNCTION rate_named(i infobase, wanted text, OUT key text, OUT unread boolean, OUT problem text) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    percent numeric := replace(substring(btrim(wanted) FROM '^(\d{1,3}([.,]\d{1,4})?)\s*%?$'), ',', '.')::numeric;
    rate    text := property_names(i.profile, 'vat_rate') ->> 'rate';
    keys    text[];
    named   text[];
BEGIN
    unread := false;
    IF entity_set(i.profile, 'vat_rate') IS NULL THEN    -- rates are values of an enumeration
        SELECT array_agg(e.key), array_agg(e.key) FILTER (WHERE e.key = wanted) INTO keys, named FROM jsonb_each(constants(i.profile, 'vat_value')) e WHERE e.key = wanted OR json_numeric(e.value) = percent;
    ELSE
        unread := NOT EXISTS (SELECT FROM dictionary_load d WHERE d.infobase = i.name AND d.dictionary = 'vat_rate');
        SELECT array_agg(d.key), array_agg(d.key) FILTER (WHERE wanted IN (d.key, d.code, d.name)) INTO keys, named FROM dictionary_value d
        WHERE d.scope = i.name AND d.side = 'bas' AND d.dictionary = 'vat_rate' AND (wanted IN (d.key, d.code, d.name) OR coalesce(json_numeric(d.attributes -> rate), 0) = percent);
    END IF;
    keys := coalesce(named, keys);
    key := CASE WHEN cardinality(keys) = 1 THEN keys[1] END;
    problem := CASE WHEN unread OR key IS NOT NULL THEN NULL WHEN keys IS NULL THEN 'no rate is called so' ELSE 'several rates have it: ' || array_to_string(keys, ', ') END;
END $$;
COMMENT ON FUNCTION rate_named(infobase, text) IS 'VAT rate of the base by Ref_Key, code, name, value of the enumeration, or percentage';

CREATE FUNCTION kind_named(i infobase, wanted text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    n jsonb := property_names(i.profile, 'product');
BEGIN
    RETURN CASE WHEN n ? 'kind' THEN jsonb_build_object('kind', CASE wanted WHEN 'goods' THEN profile_constant(i.profile, 'product', 'stock_kind') WHEN 'service' THEN 'Услуга' ELSE wanted END)
                WHEN n ? 'is_service' AND wanted IN ('goods', 'service') THEN jsonb_build_object('is_service', wanted = 'service') END;
END $$;
COMMENT ON FUNCTION kind_named(infobase, text) IS 'Type of a product as its configuration writes it; NULL: it cannot';

CREATE FUNCTION folders_at(infobase text, path text[]) RETURNS uuid[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN ARRAY(
        WITH RECURSIVE f AS (
            SELECT g.ref_key, 1 AS depth FROM bas_good g WHERE g.infobase = folders_at.infobase AND g.folder = no_key() AND g.is_folder AND NOT g.deleted AND folded_name(g.name) = folded_name(path[1])
            UNION ALL
            SELECT g.ref_key, f.depth + 1 FROM f JOIN bas_good g ON g.infobase = folders_at.infobase AND g.folder = f.ref_key AND g.is_folder AND NOT g.deleted AND folded_name(g.name) = folded_name(path[f.depth + 1])
        )
        SELECT f.ref_key FROM f WHERE f.depth = cardinality(path) ORDER BY 1);
END $$;
COMMENT ON FUNCTION folders_at(text, text[]) IS 'Folders of goods whose names, from the outermost, are these; marked for deletion ones do not count';

CREATE FUNCTION folder_named(infobase text, wanted text) RETURNS uuid[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    refs uuid[] := ARRAY(SELECT g.ref_key FROM bas_good g WHERE g.infobase = folder_named.infobase AND g.is_folder AND NOT g.deleted AND (g.ref_key::text = lower(wanted) OR g.code = wanted OR folded_name(g.name) = folded_name(wanted)) ORDER BY 1);
BEGIN
    RETURN CASE WHEN refs = '{}' AND wanted LIKE '%/%' THEN folders_at(folder_named.infobase, string_to_array(wanted, '/')) ELSE refs END;
END $$;
COMMENT ON FUNCTION folder_named(text, text) IS 'Folders of goods by Ref_Key, code, name or path';

CREATE FUNCTION ruled_values(c product_creation, i infobase, OUT given jsonb, OUT waits boolean, OUT reason text, OUT detail text, OUT hint text, OUT blocked_on text) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r      product_rule;
    n      jsonb := property_names(i.profile, 'product');
    named  record;
    kind   jsonb;
    refs   uuid[];
    what   text;
    wrong  text;
BEGIN
    given := '{}';
    waits := false;
    SELECT x.* INTO r FROM product_rule_of(c.account, c.source, c.sku, c.name, c.category) x;
    IF r.rank IS NULL THEN
        IF c.template IS NULL THEN
            reason := 'product_rule';
            detail := format('No row of product_rule holds for "%s" (category: %s), and account "%s" has no template_sku.', c.name, coalesce(array_to_string(c.category, '/'), 'not known'), c.account);
            hint := format('INSERT INTO salesdrive.product_rule (account, unit, vat_rate, kind) VALUES (%L, ''its unit'', ''its rate'', ''goods''); then it goes on by itself.', c.account);
            blocked_on := format('product_rule:%s:', c.account);
        END IF;
        RETURN;
    END IF;
    IF r.unit IS NULL AND c.template IS NULL AND n ? 'unit' AND property_names(i.profile, 'order_line') ? 'unit' THEN
        wrong := 'neither it nor a template gives a unit, without which no order could be for the product';
    ELSIF r.unit IS NOT NULL THEN
        SELECT * INTO named FROM element_named(i, 'unit', r.unit);
        IF named.unread THEN
            what := 'dictionary:unit';
        ELSIF NOT n ? 'unit' OR named.key IS NULL THEN
            wrong := format('unit "%s": %s', r.unit, coalesce(named.problem, 'the profile names no unit of products'));
        END IF;
        given := given || jsonb_build_object('unit', named.key);
    END IF;
    IF r.vat_rate IS NOT NULL AND what IS NULL AND wrong IS NULL THEN
        SELECT * INTO named FROM rate_named(i, r.vat_rate);
        IF named.unread THEN
            what := 'dictionary:vat_rate';
        ELSIF NOT n ? 'vat_rate' OR named.key IS NULL THEN
            wrong := format('vat_rate "%s": %s', r.vat_rate, CASE WHEN n ? 'vat_rate' THEN named.problem ELSE 'the profile names no VAT rate of products' END);
        END IF;
        given := given || jsonb_build_object('vat_rate', named.key);
    END IF;
    IF r.kind IS NOT NULL AND wrong IS NULL THEN
        kind := kind_named(i, r.kind);
        wrong := CASE WHEN kind IS NULL THEN format('kind "%s": products of profile "%s" can be goods or service at most', r.kind, i.profile) END;
        given := given || coalesce(kind, '{}');
    END IF;
    IF r.bas_category IS NOT NULL AND wrong IS NULL THEN
        wrong := CASE WHEN NOT n ? 'category' THEN format('bas_category: profile "%s" names no such property of products', i.profile) END;
        given := given || jsonb_build_object('category', r.bas_category);
    END IF;
    IF r.folder IS NOT NULL AND what IS NULL AND wrong IS NULL AND (r.folder <> 'same' OR c.category IS NOT NULL) THEN
        IF NOT EXISTS (SELECT FROM goods_snapshot s WHERE s.infobase = i.name AND s.what = 'catalog' AND s.complete_at IS NOT NULL) THEN
            what := 'goods:catalog';
        ELSIF r.folder = 'same' THEN
            refs := folder_of_category(i.name, c.account, c.category_ids, c.category);
            IF refs = '{}' AND r.make_folders THEN
                what := 'folder:' || folder_key(c.account, c.category_ids);
            END IF;
        ELSE
            refs := folder_named(i.name, r.folder);
        END IF;
        IF what IS NULL AND cardinality(refs) <> 1 THEN
            wrong := format('folder "%s": %s', CASE r.folder WHEN 'same' THEN array_to_string(c.category, '/') ELSE r.folder END, CASE WHEN refs = '{}' THEN 'the base has none' ELSE 'the base has several: ' || array_to_string(refs, ', ') END);
        END IF;
        given := given || jsonb_build_object('parent', refs[1]);
    END IF;
    IF wrong IS NOT NULL THEN
        reason := 'product_rule';
        detail := format('Row %s of product_rule (account %s) for SKU "%s" cannot be followed: %s.', r.rank, r.account, c.sku, wrong);
        hint := format('Correct the row, then it goes on by itself; after a change in BAS, SELECT salesdrive.load_dictionaries(%L), salesdrive.load_goods(%L); and call resume() for the task.', c.account, i.name);
        blocked_on := format('product_rule:%s:', c.account);
    ELSIF what IS NOT NULL THEN
        blocked_on := format('%s:%s:%s', split_part(what, ':', 1), i.name, substr(what, strpos(what, ':') + 1));
        SELECT t.reason, t.detail, t.hint INTO reason, detail, hint FROM task t WHERE t.scope = i.name AND t.kind = split_part(what, ':', 1) AND t.key = substr(what, strpos(what, ':') + 1) AND t.state = 'parked';
        waits := NOT FOUND;
        IF waits THEN
            reason := split_part(what, ':', 1);
            detail := format('%s of infobase "%s" is read, or made, first.', what, i.name);
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION ruled_values(product_creation, infobase) IS 'What the rule for a product gives it, by concept; or why it cannot be made now, and whether that passes by itself';
