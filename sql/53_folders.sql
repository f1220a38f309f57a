-- Purpose: tasks of kind folder: make the folder of goods for a category of SalesDrive, after the one it lies in. One task for each category of an account.
-- Rights: the engine's role.
--
--      known in the catalog ──▶ done · folder around it not there ──▶ wait for it · search by our key, and by name within that folder ──▶ there: done · not there ──create──▶ there
--         ▲── a creation whose answer was lost is searched for before anything else (44_creations.sql)

CREATE TABLE folder_creation (
    infobase     text NOT NULL,
    key          text NOT NULL,
    account      text NOT NULL,
    ids          text[] NOT NULL,
    path         text[] NOT NULL,
    our_ref_key  uuid NOT NULL,
    ref_key      uuid,
    write_unsure boolean NOT NULL DEFAULT false,
    unsure_until timestamptz,
    asked_early  boolean NOT NULL DEFAULT false,
    searched_at  timestamptz,
    PRIMARY KEY (infobase, key)
);
COMMENT ON TABLE folder_creation IS 'Folders of goods made, or to be made, for categories of SalesDrive';
COMMENT ON COLUMN folder_creation.infobase IS 'Infobase';
COMMENT ON COLUMN folder_creation.key IS 'Identity of the account and id of the category';
COMMENT ON COLUMN folder_creation.account IS 'Account';
COMMENT ON COLUMN folder_creation.ids IS 'Ids of the category and those around it, from the outermost';
COMMENT ON COLUMN folder_creation.path IS 'Their names';
COMMENT ON COLUMN folder_creation.our_ref_key IS 'Key under which it is created: computed once';
COMMENT ON COLUMN folder_creation.ref_key IS 'Its key, once it is known to be there';
COMMENT ON COLUMN folder_creation.write_unsure IS 'A creation was sent and its outcome is not known';
COMMENT ON COLUMN folder_creation.unsure_until IS 'From when on absence in BAS counts after such a creation';
COMMENT ON COLUMN folder_creation.asked_early IS 'BAS was asked since and did not show it yet: asked again after unsure_until';
COMMENT ON COLUMN folder_creation.searched_at IS 'When the base was asked last, and did not have it; NULL: it is to be asked';

CREATE FUNCTION folder_key(account text, ids text[]) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT a.identity || '/' || ids[cardinality(ids)] FROM account a WHERE a.name = folder_key.account);
END $$;
COMMENT ON FUNCTION folder_key(text, text[]) IS 'Key of the task that makes the folder of a category';

CREATE FUNCTION folder_ref_key(key text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN uuid_v5(ref_key_namespace(), 'folder/' || key);
COMMENT ON FUNCTION folder_ref_key(text) IS 'Ref_Key of a folder created for a category: identity of the account, a slash, id of the category';

-- One that was made, or found, for the category counts also when it was renamed or moved since.
CREATE FUNCTION folder_of_category(infobase text, account text, ids text[], path text[]) RETURNS uuid[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    made uuid := (SELECT f.ref_key FROM folder_creation f JOIN bas_good g ON g.infobase = f.infobase AND g.ref_key = f.ref_key AND g.is_folder AND NOT g.deleted
                  WHERE f.infobase = folder_of_category.infobase AND f.key = folder_key(folder_of_category.account, folder_of_category.ids));
BEGIN
    RETURN CASE WHEN made IS NOT NULL THEN ARRAY[made] ELSE folders_at(folder_of_category.infobase, path) END;
END $$;
COMMENT ON FUNCTION folder_of_category(text, text, text[], text[]) IS 'Folders that are the category of SalesDrive with these ids and names';

CREATE FUNCTION want_folders(infobase text, account text, ids text[], path text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO folder_creation AS f (infobase, key, account, ids, path, our_ref_key)
    SELECT want_folders.infobase, k.key, want_folders.account, ids[1:n], path[1:n], folder_ref_key(k.key)
    FROM generate_series(1, cardinality(ids)) n CROSS JOIN LATERAL (SELECT folder_key(want_folders.account, ids[1:n]) AS key) k ORDER BY 2
    ON CONFLICT ON CONSTRAINT folder_creation_pkey DO UPDATE SET ids = excluded.ids, path = excluded.path WHERE (f.ids, f.path) IS DISTINCT FROM (excluded.ids, excluded.path);
END $$;
COMMENT ON FUNCTION want_folders(text, text, text[], text[]) IS 'Before products wait for the folder of a category: what it, and those around it, are to be called';

CREATE FUNCTION plan_folder(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT t.id, w.step, w.purpose, CASE w.purpose WHEN 'create folder' THEN 'POST' ELSE 'GET' END,
           CASE w.purpose WHEN 'create folder' THEN s.set WHEN 'find folder' THEN s.set || '?$format=json&allowedOnly=true' || odata_filter(format('Ref_Key eq %s or (%s eq %s and %s eq true and %s eq %s)',
                odata_guid(c.our_ref_key), n ->> 'name', odata_text(s.name), n ->> 'is_folder', n ->> 'parent', odata_guid(s.parent))) END,
           CASE w.purpose WHEN 'create folder' THEN jsonb_build_object('Ref_Key', c.our_ref_key) || renamed(jsonb_build_object('name', s.name, 'is_folder', true, 'parent', s.parent), n) END,
           jsonb_build_object('parent', s.parent), w.purpose IS NOT DISTINCT FROM 'create folder', w.run_at, w.reason, w.detail, w.hint, w.blocked_on
    FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t
    JOIN infobase i ON i.name = t.scope
    LEFT JOIN folder_creation c ON c.infobase = t.scope AND c.key = t.key
    CROSS JOIN LATERAL property_names(i.profile, 'product') n
    CROSS JOIN LATERAL (SELECT folder_of_category(i.name, c.account, c.ids, c.path) AS there, CASE WHEN cardinality(c.ids) > 1 THEN folder_of_category(i.name, c.account, trim_array(c.ids, 1), trim_array(c.path, 1)) ELSE ARRAY[no_key()] END AS around) f
    CROSS JOIN LATERAL (SELECT entity_set(i.profile, 'product') AS set, left(c.path[cardinality(c.path)], longest_text(i.name, 'product', 'name', 100)) AS name, f.around[1] AS parent) s
    LEFT JOIN task p ON p.scope = t.scope AND p.kind = 'folder' AND p.key = folder_key(c.account, trim_array(c.ids, 1)) AND p.state = 'parked' AND f.around = '{}'
    CROSS JOIN LATERAL (SELECT creation_next(c.write_unsure, c.unsure_until, c.asked_early, (c.searched_at >= clock() - interval '10 min') IS NOT TRUE) AS next) u
    CROSS JOIN LATERAL (
        SELECT 'done' AS step, NULL AS purpose, NULL::timestamptz AS run_at, NULL AS reason, NULL AS detail, NULL AS hint, NULL AS blocked_on WHERE c.key IS NULL OR f.there <> '{}' AND NOT c.write_unsure
        UNION ALL SELECT 'park', NULL, NULL, 'folder', format('Profile "%s" does not name folders of goods (product: parent, is_folder).', i.profile), 'Give product_rule.folder a folder that is there, or name the properties in profile_property.', format('profile:%s:', i.name) WHERE NOT n ?& ARRAY['name', 'parent', 'is_folder']
        UNION ALL SELECT CASE WHEN p.id IS NULL THEN 'wait' ELSE 'park' END, NULL, NULL, 'folder', coalesce(p.detail, format('Folder "%s" is made first.', array_to_string(trim_array(c.path, 1), '/'))), p.hint, format('folder:%s:%s', t.scope, folder_key(c.account, trim_array(c.ids, 1))) WHERE f.around = '{}'
        UNION ALL SELECT 'park', NULL, NULL, 'folder', format('Infobase "%s" has several folders "%s": %s.', i.name, array_to_string(trim_array(c.path, 1), '/'), array_to_string(f.around, ', ')), 'Leave one of them in BAS, load_goods(), and call resume().', format('goods:%s:catalog', i.name) WHERE cardinality(f.around) > 1
        UNION ALL SELECT 'wait', NULL, c.unsure_until, 'unsure', 'A creation without an answer may still be at work in BAS.', NULL, NULL WHERE u.next = 'wait'
        UNION ALL SELECT 'request', 'find folder', NULL, NULL, NULL, NULL, NULL WHERE u.next = 'look'
        UNION ALL SELECT 'request', 'create folder', NULL, NULL, NULL, NULL, NULL
        LIMIT 1) w;
END $$;
COMMENT ON FUNCTION plan_folder(bigint[]) IS 'Plan of kind folder: the first of its rules that applies';

CREATE FUNCTION note_folder(c folder_creation, profile text, folder jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    n jsonb := property_names(profile, 'product');
BEGIN
    UPDATE folder_creation x SET ref_key = (folder ->> 'Ref_Key')::uuid WHERE x.infobase = c.infobase AND x.key = c.key;
    INSERT INTO bas_good AS g (infobase, ref_key, code, name, folder, is_folder, deleted, data, read_at)
    VALUES (c.infobase, (folder ->> 'Ref_Key')::uuid, rtrim(folder ->> (n ->> 'code')), rtrim(folder ->> (n ->> 'name')), coalesce(nil_free(folder ->> (n ->> 'parent')), no_key()), true, json_flag(folder -> (n ->> 'deleted')), folder, clock())
    ON CONFLICT ON CONSTRAINT bas_good_pkey DO UPDATE SET name = excluded.name, folder = excluded.folder, deleted = excluded.deleted, data = excluded.data, read_at = excluded.read_at;
END $$;
COMMENT ON FUNCTION note_folder(folder_creation, text, jsonb) IS 'A folder was found, or made: it is part of the catalog from now on';

CREATE FUNCTION settle_folder(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r     record;
    n     jsonb;
    found jsonb;
    word  text;
    s     plan_step;
BEGIN
    FOR r IN SELECT u.task_id, t.purpose, t.memo, u.class, u.odata_code, u.started_at, u::http_result AS result, c, i.profile, answered_write(i, u.started_at) AS unsure
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = t.scope JOIN folder_creation c ON c.infobase = t.scope AND c.key = t.key ORDER BY t.scope, t.key
    LOOP
        n := property_names(r.profile, 'product');
        s := ROW(r.task_id, 'again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
        IF r.purpose = 'find folder' THEN
            CONTINUE WHEN r.class <> 'ok';
            found := (SELECT e FROM result_rows(r.result) e WHERE (e ->> 'Ref_Key')::uuid = (r.c).our_ref_key OR NOT json_flag(e -> (n ->> 'deleted')) ORDER BY (e ->> 'Ref_Key')::uuid <> (r.c).our_ref_key, e ->> 'Ref_Key' LIMIT 1);
            word := creation_seen(found IS NOT NULL, (r.c).write_unsure, (r.c).unsure_until, r.started_at);
        ELSE
            found := CASE WHEN r.class = 'ok' AND nil_free(result_json(r.result) ->> 'Ref_Key') IS NOT NULL THEN result_json(r.result) END;
            word := creation_said(r.class, r.odata_code, (found ->> 'Ref_Key')::uuid);
        END IF;
        UPDATE folder_creation x SET (write_unsure, unsure_until, asked_early) = (SELECT w.* FROM creation_note(word, CASE word WHEN 'early' THEN x.unsure_until ELSE r.unsure END) w),
            searched_at = CASE WHEN word IN ('absent', 'hidden') THEN clock() WHEN word <> 'early' THEN x.searched_at END
        WHERE x.infobase = (r.c).infobase AND x.key = (r.c).key;
        PERFORM note_creation((r.c).infobase, r.task_id, word, CASE WHEN word = 'made' OR (found ->> 'Ref_Key')::uuid = (r.c).our_ref_key THEN (found ->> 'Ref_Key')::uuid = (r.c).our_ref_key END);
        CONTINUE WHEN word = 'refused';
        IF word = 'hidden' THEN
            s := hidden_step(r.task_id, (r.c).our_ref_key, 'folder');
        ELSIF word = 'found' AND json_flag(found -> (n ->> 'deleted')) THEN
            s.step := 'park'; s.reason := 'folder'; s.detail := format('The folder made for category "%s" (%s) is marked for deletion in infobase "%s".', array_to_string((r.c).path, '/'), (r.c).our_ref_key, (r.c).infobase);
            s.hint := 'Remove the mark in BAS and call resume(); or give product_rule.folder another folder.';
        ELSIF word IN ('found', 'made') THEN
            PERFORM note_folder(r.c, r.profile, found);
        END IF;
        RETURN NEXT s;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_folder(http_result[]) IS 'Settle of kind folder: one of the name within its folder makes a new one needless';
CREATE FUNCTION note_folder_writes(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE folder_creation c SET (write_unsure, unsure_until, asked_early) = (SELECT n.* FROM creation_note('sent', longest_write(i)) n)
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN infobase i ON i.name = t.scope
    WHERE s.creates AND c.infobase = t.scope AND c.key = t.key;
END $$;
COMMENT ON FUNCTION note_folder_writes(plan_step[]) IS 'Before folders are created: from now on their outcome is unsure, until settled';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, note_function) VALUES ('folder', 'shipped', 'salesdrive.plan_folder', 'salesdrive.settle_folder', 'salesdrive.note_folder_writes');
