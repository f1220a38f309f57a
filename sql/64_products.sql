-- Purpose: tasks of kind products: what is known of the goods of a base, filled whole, or brought up to date by the time of their last change.
-- Rights: the engine's role; load_products() is for 'admin'.
--
-- Whole: pages in the order of the article; of each page the articles that are complete are taken in, and the next page begins after the last of
-- them. So no page misses or splits what is searched for by article, whatever changes meanwhile.
-- Changes: goods that have changed are forgotten, under their old article and their new one, and asked for anew by the next order.

CREATE TABLE product_load (
    infobase     text PRIMARY KEY,
    loaded_at    timestamptz,
    products     integer NOT NULL DEFAULT 0,
    up_to        text NOT NULL DEFAULT '',
    changes_from timestamp
);
COMMENT ON TABLE product_load IS 'How far the goods of an infobase are loaded';
COMMENT ON COLUMN product_load.infobase IS 'Infobase';
COMMENT ON COLUMN product_load.loaded_at IS 'When a loading, whole or of changes, was complete last; NULL: none has been yet';
COMMENT ON COLUMN product_load.products IS 'Articles taken in by the whole loading at work, or by the last one';
COMMENT ON COLUMN product_load.up_to IS 'Article that the whole loading at work has come to; empty: none is at work';
COMMENT ON COLUMN product_load.changes_from IS 'Changes are asked for from this moment of the clock of the base; NULL: the configuration does not tell them';

CREATE FUNCTION product_page() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 500;
COMMENT ON FUNCTION product_page() IS 'Goods asked for in one page';

CREATE FUNCTION plan_product_load(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT t.id, 'request', CASE t.key WHEN 'whole' THEN 'load goods' ELSE 'read changed goods' END, 'GET',
           entity_set(i.profile, 'product') || '?$format=json&allowedOnly=true&$top=' || product_page() || '&$select='
           || url_encode(concat_ws(',', 'Ref_Key', n ->> 'article', n ->> 'name', n ->> 'unit', n ->> 'vat_rate', n ->> 'kind', n ->> 'uses_characteristics', n ->> 'changed', n ->> 'deleted', n ->> 'is_folder'))
           || CASE t.key WHEN 'whole' THEN '&$orderby=' || url_encode((n ->> 'article') || ',Ref_Key') || odata_filter(format('%s gt %s', n ->> 'article', odata_text(coalesce(l.up_to, ''))))
                         ELSE odata_filter(format('%s ge datetime''%s''', n ->> 'changed', to_char(l.changes_from, 'YYYY-MM-DD"T"HH24:MI:SS'))) END,
           NULL::jsonb, jsonb_build_object('from', coalesce(l.up_to, '')), false, NULL::timestamptz, NULL::text, NULL::text, NULL::text, NULL::text
    FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t JOIN infobase i ON i.name = t.scope
    LEFT JOIN product_load l ON l.infobase = i.name
    CROSS JOIN LATERAL property_names(i.profile, 'product') n;
END $$;
COMMENT ON FUNCTION plan_product_load(bigint[]) IS 'Plan of kind products: the next page, or what has changed';

-- A full page may end in the midst of an article: that one, in any case of its letters, belongs to the next page; unless it fills a page alone.
CREATE FUNCTION page_articles(rows jsonb, article text) RETURNS TABLE (sku text, place bigint)
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    last text := folded_name(rtrim(rows -> -1 ->> article));
    cut  boolean := jsonb_array_length(rows) >= product_page() AND folded_name(rtrim(rows -> 0 ->> article)) <> last;
BEGIN
    RETURN QUERY
    SELECT a.sku, max(a.n) FROM (SELECT rtrim(e ->> article) AS sku, n FROM jsonb_array_elements(rows) WITH ORDINALITY r (e, n)) a
    WHERE NOT (cut AND folded_name(a.sku) = last) GROUP BY a.sku;
END $$;
COMMENT ON FUNCTION page_articles(jsonb, text) IS 'Articles that are complete in a page, with the place of their last row';

CREATE FUNCTION settle_product_page(infobase text, profile text, rows jsonb) RETURNS text
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    article text := property_names(profile, 'product') ->> 'article';
    changed text := property_names(profile, 'product') ->> 'changed';
    taken   jsonb;
    reached text;
BEGIN
    SELECT jsonb_object_agg(a.sku, NULL) FILTER (WHERE a.sku <> '' AND NOT EXISTS (SELECT FROM product_pin p WHERE p.infobase = settle_product_page.infobase AND p.sku = a.sku)),
           (array_agg(a.sku ORDER BY a.place DESC))[1]
    INTO taken, reached FROM page_articles(rows, article) a;
    IF taken IS NOT NULL THEN
        PERFORM note_products(infobase, profile, taken, rows);
    END IF;
    INSERT INTO product_load AS l (infobase, products, up_to, changes_from)
    VALUES (infobase, (SELECT count(*) FROM jsonb_object_keys(coalesce(taken, '{}'))), coalesce(reached, ''), CASE WHEN changed IS NOT NULL THEN clock() AT TIME ZONE 'UTC' - interval '1 day' END)
    ON CONFLICT ON CONSTRAINT product_load_pkey DO UPDATE SET products = CASE WHEN l.up_to = '' THEN 0 ELSE l.products END + excluded.products, up_to = excluded.up_to,
        changes_from = CASE WHEN l.up_to = '' THEN excluded.changes_from ELSE l.changes_from END;    -- of the beginning: a day covers any clock
    RETURN reached;
END $$;
COMMENT ON FUNCTION settle_product_page(text, text, jsonb) IS 'Takes in the complete articles of a page; returns the last of them';

CREATE FUNCTION settle_product_changes(infobase text, profile text, rows jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    n    jsonb := property_names(profile, 'product');
    gone text[];
BEGIN
    WITH forgotten AS (
        DELETE FROM bas_product p USING (SELECT (e ->> 'Ref_Key')::uuid AS ref, rtrim(e ->> (n ->> 'article')) AS sku FROM jsonb_array_elements(rows) e) c
        WHERE p.infobase = settle_product_changes.infobase AND (p.sku = c.sku OR p.ref_key = c.ref OR p.candidates @> jsonb_build_array(jsonb_build_object('ref_key', c.ref))) RETURNING p.sku
    )
    SELECT array_agg(DISTINCT format('product:%s:%s', settle_product_changes.infobase, f.sku)) INTO gone FROM forgotten f;
    IF gone IS NOT NULL THEN
        PERFORM wake_blocked(gone);
    END IF;
    UPDATE product_load l SET changes_from = greatest(l.changes_from, (SELECT max(c.at) FROM (SELECT (e ->> (n ->> 'changed'))::timestamp AS at FROM jsonb_array_elements(rows) e) c WHERE c.at < clock() AT TIME ZONE 'UTC' + interval '1 day') - interval '10 min')    -- what was being written then; what is dated into the future hides nothing
    WHERE l.infobase = settle_product_changes.infobase;
END $$;
COMMENT ON FUNCTION settle_product_changes(text, text, jsonb) IS 'Forgets goods that have changed, by their article and by their key; orders parked for them ask anew';

CREATE FUNCTION settle_product_load(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r    record;
    rows jsonb;
    step plan_step;
BEGIN
    FOR r IN SELECT u.task_id, t.scope, t.key, t.memo, i.profile, u::http_result AS result
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = t.scope WHERE u.class = 'ok' ORDER BY t.scope, t.key
    LOOP
        rows := coalesce((SELECT jsonb_agg(e) FROM result_rows(r.result) e), '[]');
        step := ROW(r.task_id, 'done', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
        IF r.key = 'whole' AND settle_product_page(r.scope, r.profile, rows) = r.memo ->> 'from' AND jsonb_array_length(rows) >= product_page() THEN
            step.step := 'park'; step.reason := 'business'; step.detail := format('The base answers with the goods after article "%s" once more.', r.memo ->> 'from');
            step.hint := 'Orders go on without: goods are searched for as they need them.';
        ELSIF r.key = 'whole' AND jsonb_array_length(rows) >= product_page() THEN
            step.step := 'again';
        ELSIF r.key = 'changes' AND jsonb_array_length(rows) >= product_page() THEN    -- so many that all are loaded
            PERFORM load_products(r.scope, true);
        ELSIF r.key = 'changes' THEN
            PERFORM settle_product_changes(r.scope, r.profile, rows);
        END IF;
        IF step.step = 'done' THEN
            UPDATE product_load l SET loaded_at = clock(), up_to = '' WHERE l.infobase = r.scope;
        END IF;
        RETURN NEXT step;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_product_load(http_result[]) IS 'Settle of kind products';
INSERT INTO task_kind (kind, origin, plan_function, settle_function) VALUES ('products', 'shipped', 'salesdrive.plan_product_load', 'salesdrive.settle_product_load');

CREATE FUNCTION load_products(infobase text, whole boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    i     infobase := require_infobase(load_products.infobase);
    known product_load;
BEGIN
    SELECT * INTO known FROM product_load l WHERE l.infobase = i.name;
    IF NOT coalesce(whole, false) AND known.loaded_at IS NOT NULL AND known.changes_from IS NOT NULL AND known.up_to = '' AND property_names(i.profile, 'product') ? 'changed' THEN
        RETURN enqueue(i.name, 'products', 'changes', i.name, 3::smallint);
    END IF;
    RETURN enqueue(i.name, 'products', 'whole', i.name, 3::smallint);
END $$;
COMMENT ON FUNCTION load_products(text, boolean) IS 'Asks for the goods of a base to be loaded: what has changed since the last time, where the configuration tells that, else all; returns the task. Orders do not need it: it saves them the search';
