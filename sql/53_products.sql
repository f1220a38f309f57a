-- Purpose: tasks of kind product: make the product of an SKU that a base does not have, after a template and by the rules of 54_product_rules.sql. One task for each SKU, so never two creations.
-- Rights: the engine's role.
--
--      search by article and by our key, with the template ──▶ there: done · not there ──create──▶ there
--         ▲── a creation whose answer was lost is searched for before anything else (44_creations.sql)

CREATE TABLE product_creation (
    infobase     text NOT NULL,
    sku          text NOT NULL,
    name         text NOT NULL,
    template     uuid,
    our_ref_key  uuid NOT NULL,
    account      text,
    source       text NOT NULL DEFAULT 'order' CHECK (source IN ('order', 'yml')),
    category_ids text[],
    category     text[],
    write_unsure boolean NOT NULL DEFAULT false,
    unsure_until timestamptz,
    asked_early  boolean NOT NULL DEFAULT false,
    searched_at  timestamptz,
    body         jsonb,
    problem      text,
    PRIMARY KEY (infobase, sku)
);
COMMENT ON TABLE product_creation IS 'Products made, or to be made, for SKUs that a base did not have';
COMMENT ON COLUMN product_creation.infobase IS 'Infobase';
COMMENT ON COLUMN product_creation.sku IS 'SKU, the article it gets';
COMMENT ON COLUMN product_creation.name IS 'Name it gets: that of the first order';
COMMENT ON COLUMN product_creation.template IS 'Ref_Key of the product it is made after; NULL: a row of product_rule gives all';
COMMENT ON COLUMN product_creation.our_ref_key IS 'Key under which it is created: computed once';
COMMENT ON COLUMN product_creation.account IS 'Account that wants it: its rows of product_rule count';
COMMENT ON COLUMN product_creation.source IS 'What wants it: order, or yml (the YML export alone, as long as account.products_to_bas says so)';
COMMENT ON COLUMN product_creation.category_ids IS 'Ids of its category in SalesDrive and those around it, from the outermost; NULL: not known';
COMMENT ON COLUMN product_creation.category IS 'Their names';
COMMENT ON COLUMN product_creation.write_unsure IS 'A creation was sent and its outcome is not known';
COMMENT ON COLUMN product_creation.unsure_until IS 'From when on absence in BAS counts after such a creation';
COMMENT ON COLUMN product_creation.asked_early IS 'BAS was asked since and did not show it yet: asked again after unsure_until';
COMMENT ON COLUMN product_creation.searched_at IS 'When the base was asked last, and did not have it; NULL: it is to be asked';
COMMENT ON COLUMN product_creation.body IS 'What is to be created, after the template as read then; what product_rule gives is put over it when it is sent';
COMMENT ON COLUMN product_creation.problem IS 'Why it cannot be made';

CREATE FUNCTION product_ref_key(sku text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN uuid_v5(ref_key_namespace(), 'product/' || sku);
COMMENT ON FUNCTION product_ref_key(text) IS 'Ref_Key of a product created for an SKU';

CREATE FUNCTION plan_product(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    steps plan_step[];
BEGIN
    SELECT array_agg(s) INTO steps FROM product_steps(tasks) s;
    PERFORM want_folders(c.infobase, c.account, c.category_ids, c.category)
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN product_creation c ON c.infobase = t.scope AND c.sku = t.key WHERE s.step = 'wait' AND s.reason = 'folder';
    RETURN QUERY SELECT s.* FROM few(steps) s;
END $$;
COMMENT ON FUNCTION plan_product(bigint[]) IS 'Plan of kind product';

CREATE FUNCTION product_steps(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT t.id, w.step, w.purpose, CASE w.purpose WHEN 'create product' THEN 'POST' ELSE 'GET' END,
           CASE w.purpose WHEN 'create product' THEN entity_set(i.profile, 'product')
                WHEN 'find product' THEN entity_set(i.profile, 'product') || '?$format=json&allowedOnly=true' || odata_filter(format('%s eq %s or Ref_Key eq %s', property_names(i.profile, 'product') ->> 'article', odata_text(t.key), odata_guid(c.our_ref_key)) || coalesce(' or Ref_Key eq ' || odata_guid(c.template), '')) END,
           CASE w.purpose WHEN 'create product' THEN c.body || renamed(v.given, property_names(i.profile, 'product')) END, NULL::jsonb, w.purpose IS NOT DISTINCT FROM 'create product', w.run_at, w.reason, w.detail, w.hint, w.blocked_on
    FROM task t
    JOIN infobase i ON i.name = t.scope
    LEFT JOIN product_creation c ON c.infobase = t.scope AND c.sku = t.key
    LEFT JOIN bas_product p ON p.infobase = t.scope AND p.sku = t.key
    CROSS JOIN LATERAL (SELECT creation_next(c.write_unsure, c.unsure_until, c.asked_early, c.body IS NULL OR (c.searched_at >= clock() - interval '10 min') IS NOT TRUE) AS next) u
    LEFT JOIN account a ON a.name = c.account
    CROSS JOIN LATERAL (SELECT c.source = 'yml' AND a.products_to_bas IS DISTINCT FROM 'yml' AS off, c.source = 'yml' AND a.paused_at IS NOT NULL AS paused) y
    LEFT JOIN LATERAL ruled_values(c, i) v ON u.next = 'create' AND c.problem IS NULL AND (p.state IN ('found', 'several')) IS NOT TRUE
    CROSS JOIN LATERAL (
        SELECT 'done' AS step, NULL AS purpose, NULL::timestamptz AS run_at, NULL AS reason, NULL AS detail, NULL AS hint, NULL AS blocked_on WHERE c.sku IS NULL OR p.state IN ('found', 'several') OR u.next = 'create' AND p.state = 'absent' AND p.candidates IS NOT NULL OR y.off AND NOT c.write_unsure    -- one marked for deletion, too: the order says so
        UNION ALL SELECT 'wait', NULL, NULL, 'paused', format('Account "%s" is paused.', c.account), NULL, NULL WHERE y.paused AND NOT c.write_unsure
        UNION ALL SELECT 'park', NULL, NULL, 'product_made', c.problem, 'Mend it in BAS and call resume(), or pin the SKU: INSERT INTO salesdrive.product_pin.', NULL WHERE c.problem IS NOT NULL
        UNION ALL SELECT 'wait', NULL, c.unsure_until, 'unsure', 'A creation without an answer may still be at work in BAS.', NULL, NULL WHERE u.next = 'wait'
        UNION ALL SELECT 'request', 'find product', NULL, NULL, NULL, NULL, NULL WHERE u.next = 'look'
        UNION ALL SELECT CASE WHEN v.waits THEN 'wait' ELSE 'park' END, NULL, NULL, v.reason, v.detail, v.hint, v.blocked_on WHERE v.reason IS NOT NULL
        UNION ALL SELECT 'request', 'create product', NULL, NULL, NULL, NULL, NULL
        LIMIT 1) w
    WHERE t.id = ANY (tasks);
END $$;
COMMENT ON FUNCTION product_steps(bigint[]) IS 'Next step of each product to be made: the first of its rules that applies';

CREATE FUNCTION longest_text(infobase text, entity text, concept text, otherwise integer) RETURNS integer
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    profile text := (SELECT i.profile FROM infobase i WHERE i.name = longest_text.infobase);
BEGIN
    RETURN coalesce((SELECT p.max_length FROM bas_property p WHERE p.infobase = longest_text.infobase AND p.entity_set = entity_set(profile, entity) AND p.property = property_names(profile, entity) ->> concept),
                    max_length(profile, entity, concept), otherwise);
END $$;
COMMENT ON FUNCTION longest_text(text, text, text, integer) IS 'Longest text a property holds: as the $metadata of the base says, else the profile, else the number given';

CREATE FUNCTION product_body(profile text, c product_creation, template jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names jsonb := property_names(profile, 'product');
BEGIN
    RETURN jsonb_build_object('Ref_Key', c.our_ref_key) || renamed(jsonb_build_object('article', c.sku, 'name', left(c.name, longest_text(c.infobase, 'product', 'name', 100)), 'full_name', left(c.name, longest_text(c.infobase, 'product', 'full_name', 1000000))), names)
           || coalesce((SELECT jsonb_object_agg(names ->> k, template -> (names ->> k)) FROM few(ARRAY['unit', 'unit_type', 'vat_rate', 'kind', 'is_service', 'parent', 'category']) k WHERE template ? (names ->> k)), '{}');
END $$;
COMMENT ON FUNCTION product_body(text, product_creation, jsonb) IS 'Product to be created: article and name of its own; unit, VAT rate, kind, folder and category of the template, if there is one';

CREATE FUNCTION settle_product_found(c product_creation, profile text, asked_at timestamptz, result http_result) RETURNS text
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    article  text := property_names(profile, 'product') ->> 'article';
    rows     jsonb := (SELECT coalesce(jsonb_agg(e), '[]') FROM result_rows(result) e WHERE rtrim(e ->> article) = c.sku);
    ours     jsonb := (SELECT e FROM result_rows(result) e WHERE (e ->> 'Ref_Key')::uuid = c.our_ref_key);
    alike    jsonb := (SELECT e FROM result_rows(result) e WHERE rtrim(e ->> article) <> c.sku AND folded_name(e ->> article) = folded_name(c.sku) AND (e ->> 'Ref_Key')::uuid <> c.our_ref_key ORDER BY e ->> 'Ref_Key' LIMIT 1);    -- BAS compares without case
    model    jsonb := (SELECT e FROM result_rows(result) e WHERE (e ->> 'Ref_Key')::uuid = c.template AND NOT json_flag(e -> 'DeletionMark') AND NOT json_flag(e -> 'IsFolder'));
    seen     text := creation_seen(rows <> '[]' OR ours IS NOT NULL, c.write_unsure, c.unsure_until, asked_at);
BEGIN
    UPDATE product_creation x SET (write_unsure, unsure_until, asked_early) = (SELECT n.* FROM creation_note(seen, x.unsure_until) n), searched_at = CASE WHEN seen <> 'early' THEN clock() END,
        body = CASE WHEN model IS NOT NULL OR c.template IS NULL THEN product_body(profile, c, coalesce(model, '{}')) END,
        problem = CASE WHEN rows <> '[]' THEN NULL
                       WHEN ours IS NOT NULL THEN format('The product made for SKU "%s" in infobase "%s" has another article by now: %s (%s).', c.sku, c.infobase, ours ->> 'Description', c.our_ref_key)
                       WHEN alike IS NOT NULL THEN format('Infobase "%s" has article "%s" (%s), which differs from SKU "%s" in case or spaces only: it is not made beside it.', c.infobase, alike ->> article, alike ->> 'Ref_Key', c.sku)
                       WHEN model IS NULL AND c.template IS NOT NULL THEN format('The product that SKU "%s" is to be made after is not in infobase "%s" any more (%s).', c.sku, c.infobase, c.template) END
    WHERE x.infobase = c.infobase AND x.sku = c.sku;
    IF seen <> 'early' THEN
        PERFORM note_products(c.infobase, profile, jsonb_build_object(c.sku, NULL), rows);
    END IF;
    RETURN seen;
END $$;
COMMENT ON FUNCTION settle_product_found(product_creation, text, timestamptz, http_result) IS 'Takes in a search for a product to be made: one with its article makes it needless; returns what it showed (creation_seen)';

CREATE FUNCTION settle_product(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r    record;
    ref  uuid;
    word text;
BEGIN
    FOR r IN SELECT u.task_id, t.purpose, u.class, u.odata_code, u.started_at, u::http_result AS result, c, i.profile, answered_write(i, u.started_at) AS unsure
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = t.scope
             JOIN product_creation c ON c.infobase = t.scope AND c.sku = t.key ORDER BY t.scope, t.key
    LOOP
        IF r.purpose = 'find product' THEN
            CONTINUE WHEN r.class <> 'ok';
            ref := (SELECT nil_free(e ->> 'Ref_Key') FROM result_rows(r.result) e WHERE (e ->> 'Ref_Key')::uuid = (r.c).our_ref_key);
            word := settle_product_found(r.c, r.profile, r.started_at, r.result);
        ELSE
            ref := CASE WHEN r.class = 'ok' THEN nil_free(result_json(r.result) ->> 'Ref_Key') END;
            word := creation_said(r.class, r.odata_code, ref);
            UPDATE product_creation x SET (write_unsure, unsure_until, asked_early) = (SELECT n.* FROM creation_note(word, r.unsure) n) WHERE x.infobase = (r.c).infobase AND x.sku = (r.c).sku;
            IF word = 'made' THEN
                PERFORM note_products((r.c).infobase, r.profile, jsonb_build_object((r.c).sku, NULL), jsonb_build_array(result_json(r.result)));
            END IF;
        END IF;
        PERFORM note_creation((r.c).infobase, r.task_id, word, ref = (r.c).our_ref_key);
        IF word = 'hidden' THEN
            RETURN NEXT hidden_step(r.task_id, (r.c).our_ref_key, 'product');
        ELSIF word <> 'refused' THEN
            RETURN NEXT ROW(r.task_id, 'again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_product(http_result[]) IS 'Settle of kind product';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, note_function) VALUES ('product', 'shipped', 'salesdrive.plan_product', 'salesdrive.settle_product', 'salesdrive.note_product_writes');

CREATE FUNCTION note_product_writes(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE product_creation c SET (write_unsure, unsure_until, asked_early) = (SELECT n.* FROM creation_note('sent', longest_write(i)) n)
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN infobase i ON i.name = t.scope
    WHERE s.creates AND c.infobase = t.scope AND c.sku = t.key;
END $$;
COMMENT ON FUNCTION note_product_writes(plan_step[]) IS 'Before products are created: from now on their outcome is unsure, until settled';
