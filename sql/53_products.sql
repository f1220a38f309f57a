-- Purpose: tasks of kind product: make the product of an SKU that a base does not have, after a template. One task for each SKU, so never two creations.
-- Rights: the engine's role.
--
--      search by article and by our key, with the template ──▶ there: done · not there ──create──▶ there
--         ▲── a creation whose answer was lost (write_unsure) is searched for before anything else, and again after unsure_until if it is not seen

CREATE TABLE product_creation (
    infobase     text NOT NULL,
    sku          text NOT NULL,
    name         text NOT NULL,
    template     uuid NOT NULL,
    our_ref_key  uuid NOT NULL,
    write_unsure boolean NOT NULL DEFAULT false,
    unsure_until timestamptz,
    searched_at  timestamptz,
    body         jsonb,
    problem      text,
    PRIMARY KEY (infobase, sku)
);
COMMENT ON TABLE product_creation IS 'Products made, or to be made, for SKUs that a base did not have';
COMMENT ON COLUMN product_creation.infobase IS 'Infobase';
COMMENT ON COLUMN product_creation.sku IS 'SKU, the article it gets';
COMMENT ON COLUMN product_creation.name IS 'Name it gets: that of the first order';
COMMENT ON COLUMN product_creation.template IS 'Ref_Key of the product it is made after';
COMMENT ON COLUMN product_creation.our_ref_key IS 'Key under which it is created: computed once';
COMMENT ON COLUMN product_creation.write_unsure IS 'A creation was sent and its outcome is not known';
COMMENT ON COLUMN product_creation.unsure_until IS 'From when on absence in BAS counts after such a creation';
COMMENT ON COLUMN product_creation.searched_at IS 'When the base was asked last, and did not have it; NULL: it is to be asked';
COMMENT ON COLUMN product_creation.body IS 'What is to be created, after the template as read then';
COMMENT ON COLUMN product_creation.problem IS 'Why it cannot be made';

CREATE FUNCTION product_ref_key(sku text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN uuid_v5(ref_key_namespace(), 'product/' || sku);
COMMENT ON FUNCTION product_ref_key(text) IS 'Ref_Key of a product created for an SKU';

CREATE FUNCTION plan_product(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT t.id, w.step, w.purpose, CASE w.purpose WHEN 'create product' THEN 'POST' ELSE 'GET' END,
           CASE w.purpose WHEN 'create product' THEN entity_set(i.profile, 'product')
                WHEN 'find product' THEN entity_set(i.profile, 'product') || '?$format=json&allowedOnly=true' || odata_filter(format('%s eq %s or Ref_Key eq %s or Ref_Key eq %s',
                    property_names(i.profile, 'product') ->> 'article', odata_text(t.key), odata_guid(c.our_ref_key), odata_guid(c.template))) END,
           CASE w.purpose WHEN 'create product' THEN c.body END, NULL::jsonb, w.purpose IS NOT DISTINCT FROM 'create product', w.run_at, w.reason, w.detail, w.hint, NULL::text
    FROM task t
    JOIN infobase i ON i.name = t.scope
    LEFT JOIN product_creation c ON c.infobase = t.scope AND c.sku = t.key
    LEFT JOIN bas_product p ON p.infobase = t.scope AND p.sku = t.key
    CROSS JOIN LATERAL (
        SELECT 'done' AS step, NULL AS purpose, NULL::timestamptz AS run_at, NULL AS reason, NULL AS detail, NULL AS hint WHERE c.sku IS NULL OR p.state IN ('found', 'several')
        UNION ALL SELECT 'park', NULL, NULL, 'product_made', c.problem, 'Mend it in BAS and call resume(), or pin the SKU: INSERT INTO salesdrive.product_pin.' WHERE c.problem IS NOT NULL
        UNION ALL SELECT 'wait', NULL, c.unsure_until, 'unsure', 'A creation without an answer may still be at work in BAS.', NULL WHERE NOT c.write_unsure AND c.unsure_until > clock()
        UNION ALL SELECT 'request', 'find product', NULL, NULL, NULL, NULL WHERE c.write_unsure OR c.body IS NULL OR (c.searched_at >= clock() - interval '10 min') IS NOT TRUE
        UNION ALL SELECT 'request', 'create product', NULL, NULL, NULL, NULL
        LIMIT 1) w
    WHERE t.id = ANY (tasks);
END $$;
COMMENT ON FUNCTION plan_product(bigint[]) IS 'Plan of kind product: the first of its rules that applies';

CREATE FUNCTION product_body(profile text, c product_creation, template jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names jsonb := property_names(profile, 'product');
BEGIN
    RETURN jsonb_build_object('Ref_Key', c.our_ref_key) || renamed(jsonb_build_object('article', c.sku, 'name', left(c.name, 100), 'full_name', c.name), names)
           || coalesce((SELECT jsonb_object_agg(names ->> k, template -> (names ->> k)) FROM few(ARRAY['unit', 'vat_rate', 'kind', 'parent', 'category']) k WHERE template ? (names ->> k)), '{}');
END $$;
COMMENT ON FUNCTION product_body(text, product_creation, jsonb) IS 'Product to be created: article and name of its own; unit, VAT rate, kind, group and category of the template';

CREATE FUNCTION settle_product_found(c product_creation, profile text, asked_at timestamptz, result http_result) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    article  text := property_names(profile, 'product') ->> 'article';
    rows     jsonb := (SELECT coalesce(jsonb_agg(e), '[]') FROM result_rows(result) e WHERE rtrim(e ->> article) = c.sku);
    ours     jsonb := (SELECT e FROM result_rows(result) e WHERE (e ->> 'Ref_Key')::uuid = c.our_ref_key);
    model    jsonb := (SELECT e FROM result_rows(result) e WHERE (e ->> 'Ref_Key')::uuid = c.template AND NOT json_flag(e -> 'DeletionMark') AND NOT json_flag(e -> 'IsFolder'));
    early    boolean := coalesce(asked_at < c.unsure_until, false) AND rows = '[]' AND ours IS NULL;
BEGIN
    IF ours IS NOT NULL THEN
        PERFORM learn_keeps_ref_key(c.infobase, true);
    END IF;
    UPDATE product_creation x SET write_unsure = false, unsure_until = CASE WHEN early THEN x.unsure_until END, searched_at = CASE WHEN NOT early THEN clock() END,
        body = CASE WHEN model IS NOT NULL THEN product_body(profile, c, model) END,
        problem = CASE WHEN rows <> '[]' THEN NULL
                       WHEN ours IS NOT NULL THEN format('The product made for SKU "%s" in infobase "%s" has another article by now: %s (%s).', c.sku, c.infobase, ours ->> 'Description', c.our_ref_key)
                       WHEN model IS NULL THEN format('The product that SKU "%s" is to be made after is not in infobase "%s" any more (%s).', c.sku, c.infobase, c.template) END
    WHERE x.infobase = c.infobase AND x.sku = c.sku;
    IF NOT early THEN
        PERFORM note_products(c.infobase, profile, jsonb_build_object(c.sku, NULL), rows);
    END IF;
END $$;
COMMENT ON FUNCTION settle_product_found(product_creation, text, timestamptz, http_result) IS 'Takes in a search for a product to be made: one with its article makes it needless; absence counts only when no creation can be at work';

CREATE FUNCTION settle_product(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r   record;
    ref uuid;
BEGIN
    FOR r IN SELECT u.task_id, t.purpose, u.class, u.odata_code, u.started_at, u::http_result AS result, c, i.profile, i.total_timeout + i.unsure_margin AS unsure
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = t.scope
             JOIN product_creation c ON c.infobase = t.scope AND c.sku = t.key ORDER BY t.scope, t.key
    LOOP
        IF r.purpose = 'find product' THEN
            IF r.class = 'ok' THEN
                PERFORM settle_product_found(r.c, r.profile, r.started_at, r.result);
            END IF;
        ELSE
            ref := CASE WHEN r.class = 'ok' THEN nil_free(result_json(r.result) ->> 'Ref_Key') END;
            UPDATE product_creation x SET write_unsure = r.class = 'unknown_outcome' OR r.class = 'ok' AND ref IS NULL,
                unsure_until = CASE WHEN r.class = 'unknown_outcome' OR r.class = 'ok' AND ref IS NULL THEN r.started_at + r.unsure END,
                searched_at = CASE WHEN r.odata_code IS DISTINCT FROM '15' THEN x.searched_at END
            WHERE x.infobase = (r.c).infobase AND x.sku = (r.c).sku;
            IF ref IS NOT NULL THEN
                PERFORM learn_keeps_ref_key((r.c).infobase, ref = (r.c).our_ref_key);
                PERFORM note_products((r.c).infobase, r.profile, jsonb_build_object((r.c).sku, NULL), jsonb_build_array(result_json(r.result)));
            ELSIF r.class NOT IN ('ok', 'unknown_outcome') AND r.odata_code IS DISTINCT FROM '15' THEN
                PERFORM release_creation((r.c).infobase, r.task_id);
            END IF;
        END IF;
        IF r.class = 'ok' OR r.class = 'business' AND r.odata_code = '15' THEN
            RETURN NEXT ROW(r.task_id, 'again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_product(http_result[]) IS 'Settle of kind product';
INSERT INTO task_kind (kind, origin, plan_function, settle_function) VALUES ('product', 'shipped', 'salesdrive.plan_product', 'salesdrive.settle_product');

CREATE FUNCTION note_product_writes(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE product_creation c SET write_unsure = true, unsure_until = longest_write(i)
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN infobase i ON i.name = t.scope
    WHERE s.creates AND t.kind = 'product' AND c.infobase = t.scope AND c.sku = t.key;
END $$;
COMMENT ON FUNCTION note_product_writes(plan_step[]) IS 'Before products are created: from now on their outcome is unsure, until settled';
