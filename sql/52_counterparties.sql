-- Purpose: tasks of kinds counterparty and partner: find the one of a phone in a base, else create it. One task for each phone, so never two creations.
-- Rights: the engine's role.
--
--      unknown ──search──▶ nothing ─────────────▶ absent ──create──▶ known
--         ▲                hits ──read them──▶ one alive: known · several: several (parked) · none: absent
--         ├── many hits are read 20 at a time
--         │   where the profile has partners, an absent counterparty is one of the phone's partner, so first the partner is made known; then its
--         │   counterparties are listed, and only when there is none is one created
--         └── a creation whose answer was lost is searched for before anything else (44_creations.sql); while it may be at work, of what is found only what is alive counts

CREATE FUNCTION phone_tails(phone text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
    SELECT array_agg(t ORDER BY length(t), n, t)
    FROM (SELECT DISTINCT ON (left(four, cut) || separator || substr(four, cut + 1)) left(four, cut) || separator || substr(four, cut + 1) AS t, n
          FROM right(phone, 4) four, few(ARRAY[2, 1, 3]) cut, few(ARRAY['', '-', ' ', '.']) WITH ORDINALITY s (separator, n)
          WHERE cut < 3 OR separator <> '.' ORDER BY 1, n) e
$$;
COMMENT ON FUNCTION phone_tails(text) IS 'Last four digits of a phone in every usual grouping: 4567, 45-67, 4-567 …; whatever the digits before them look like, one of these stands in its presentation';

CREATE FUNCTION counterparty_search(profile text, entity text, phone text, own uuid, max_url integer) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names jsonb := property_names(profile, 'contact_row');
    head  text  := '?$format=json&allowedOnly=true&$select=' || url_encode(format('Ref_Key,%s,%s', names ->> 'presentation', names ->> 'number')) || '&$filter=';
    fixed text  := format('%s eq %s and (substringof(%s,%s)', names ->> 'type', odata_text(profile_constant(profile, 'contact_row', 'type')), odata_text(right(phone, 9)), names ->> 'number')
                   || coalesce(' or Ref_Key eq ' || odata_guid(own), '');
BEGIN
    RETURN entity_set(profile, entity || '_contact') || head || url_encode(fixed || (
        SELECT string_agg(t.condition, '' ORDER BY t.n)
        FROM (SELECT u.n, u.condition, sum(length(url_encode(u.condition))) OVER (ORDER BY u.n) AS length
              FROM (SELECT s.n, format(' or substringof(%s,%s)', odata_text(s.tail), names ->> 'presentation') AS condition
                    FROM few(phone_tails(phone)) WITH ORDINALITY s (tail, n)) u) t
        WHERE t.n <= 2 OR t.length <= max_url - length(head) - length(url_encode(fixed)) - 3) || ')');
END $$;
COMMENT ON FUNCTION counterparty_search(text, text, text, uuid, integer) IS 'Search of the contact section for a phone in any notation that fits into max_url, and for our own key: hits are compared exactly afterwards';

CREATE FUNCTION next_candidates(candidates uuid[], max_url integer) RETURNS uuid[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN candidates[1 : greatest(1, least(20, (max_url - 80) / 70))];
COMMENT ON FUNCTION next_candidates(uuid[], integer) IS 'So many of the candidates as one reading may ask for';

CREATE FUNCTION counterparty_order(infobase text, phone text) RETURNS order_key
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT (c.account, c.order_id)::order_key FROM crm_order c JOIN account a ON a.name = c.account
            WHERE a.infobase = counterparty_order.infobase AND c.phone = counterparty_order.phone
            ORDER BY c.customer_name IS NULL, c.order_id, c.account LIMIT 1);
END $$;
COMMENT ON FUNCTION counterparty_order(text, text) IS 'Order that a counterparty is made after: the first of its phone, one with a name before others';

CREATE FUNCTION counterparty_fields(infobase text, entity text, phone text) RETURNS SETOF order_fields
    LANGUAGE plpgsql STABLE ROWS 1 SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    k order_key;
BEGIN
    IF NOT EXISTS (SELECT FROM field_map f WHERE f.target IN (entity, 'contact')) THEN
        RETURN;
    END IF;
    k := counterparty_order(infobase, phone);
    RETURN QUERY
    SELECT v.account, v.order_id, jsonb_merge(v.given ORDER BY v.property), jsonb_object_agg(v.property, v.item) FILTER (WHERE v.item -> 'value' <> 'null'), NULL::jsonb, NULL::jsonb, NULL::text[], NULL::text[],
           (array_agg(v.problem ORDER BY v.problem = 'unread', v.property) FILTER (WHERE v.problem IS NOT NULL))[1], (array_agg(v.detail ORDER BY v.problem = 'unread', v.property) FILTER (WHERE v.problem IS NOT NULL))[1],
           (array_agg(v.hint ORDER BY v.problem = 'unread', v.property) FILTER (WHERE v.problem IS NOT NULL))[1], (array_agg(v.blocked_on ORDER BY v.problem = 'unread', v.property) FILTER (WHERE v.problem IS NOT NULL))[1], NULL::text, NULL::jsonb
    FROM field_values(ARRAY[k], CASE entity WHEN 'counterparty' THEN ARRAY['counterparty', 'contact'] ELSE ARRAY[entity] END) v GROUP BY v.account, v.order_id;
END $$;
COMMENT ON FUNCTION counterparty_fields(text, text, text) IS 'What field_map gives for the counterparty or partner of a phone, as header, and for its contact information, as by_line; nothing when nothing is mapped';

CREATE FUNCTION contact_line(profile text, n bigint, item jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    shown  text := item ->> 'value';
    number text := CASE WHEN item ->> 'kind' = profile_constant(profile, 'contact_row', 'type') THEN phone_e164(shown) END;
BEGIN
    RETURN jsonb_build_object('LineNumber', n)
        || renamed(jsonb_build_object('type', item ->> 'kind', 'kind', item ->> 'ref', 'presentation', left(shown, 500), 'number', number, 'number_short', CASE WHEN number LIKE '380%' THEN right(number, 7) ELSE number END,
                                      'email', CASE WHEN item ->> 'kind' = profile_constant(profile, 'contact_row', 'email_type') THEN left(shown, 100) END), property_names(profile, 'contact_row'));
END $$;
COMMENT ON FUNCTION contact_line(text, bigint, jsonb) IS 'A row of contact information of any kind: e-mail addresses and phones in the columns BAS searches, too';

CREATE FUNCTION counterparty_body(infobase text, profile text, entity text, phone text, ref uuid, contact_kind uuid, partner uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN (SELECT constants(profile, entity)
        || renamed(jsonb_build_object('name', left(n.name, 100), 'full_name', n.name, 'partner', partner), property_names(profile, entity))
        || coalesce(f.header, '{}') || jsonb_build_object('Ref_Key', ref)
        || jsonb_build_object(entity_set(profile, 'contact_row'), jsonb_build_array(constants(profile, 'contact_row') || jsonb_build_object('LineNumber', 1)
            || renamed(jsonb_build_object('kind', contact_kind, 'presentation', '+' || phone, 'number', phone,
                                          'number_short', CASE WHEN phone LIKE '380%' THEN right(phone, 7) ELSE phone END), property_names(profile, 'contact_row')))
            || coalesce((SELECT jsonb_agg(contact_line(profile, c.n + 1, c.value) ORDER BY c.n) FROM jsonb_each(f.by_line) WITH ORDINALITY c (key, value, n)), '[]'))
    FROM (SELECT coalesce((SELECT o.customer_name FROM counterparty_order(infobase, phone) k JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id), 'Покупець +' || phone) AS name) n
    LEFT JOIN counterparty_fields(infobase, entity, phone) f ON true);
END $$;
COMMENT ON FUNCTION counterparty_body(text, text, text, text, uuid, uuid, uuid) IS 'Counterparty or partner to be created for a phone, named after the contact of its first order, mapped fields over all others';

CREATE FUNCTION breaks_ties(infobase text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM account a WHERE a.infobase = breaks_ties.infobase AND a.shared_phone <> 'park');
END $$;
COMMENT ON FUNCTION breaks_ties(text) IS 'Whether an account of the base chooses among counterparties that share a phone, so that all of them must be read';

CREATE FUNCTION creates_counterparty(infobase text, phone text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN NOT EXISTS (SELECT FROM account a WHERE a.infobase = creates_counterparty.infobase AND (NOT a.create_counterparties OR a.counterparty_mode <> 'phone'))
        OR EXISTS (SELECT FROM crm_order o JOIN account a ON a.name = o.account
                   WHERE o.phone = creates_counterparty.phone AND a.infobase = creates_counterparty.infobase AND a.create_counterparties AND a.counterparty_mode = 'phone');
END $$;
COMMENT ON FUNCTION creates_counterparty(text, text) IS 'Whether an order with this phone is of an account that creates counterparties';

CREATE FUNCTION plan_counterparty(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO bas_counterparty_phone (infobase, phone, entity, our_ref_key)
    SELECT t.scope, t.key, t.kind, entity_ref_key(t.kind, t.key) FROM task t WHERE t.id = ANY (tasks) ORDER BY t.scope, t.key, t.kind ON CONFLICT DO NOTHING;

    RETURN QUERY
    SELECT t.id, w.step,
           CASE t.kind WHEN 'partner' THEN replace(replace(w.purpose, 'counterparties', 'partners'), 'counterparty', 'partner') ELSE w.purpose END, CASE WHEN w.purpose = 'create counterparty' THEN 'POST' ELSE 'GET' END,
           CASE w.purpose WHEN 'create counterparty' THEN entity_set(i.profile, t.kind)
                WHEN 'list counterparties' THEN entity_set(i.profile, t.kind) || '?$format=json&allowedOnly=true' || odata_filter(format('%s eq %s', property_names(i.profile, t.kind) ->> 'partner', odata_guid(q.ref_key)))
                WHEN 'read counterparties' THEN entity_set(i.profile, t.kind) || '?$format=json&allowedOnly=true' || odata_filter(
                    (SELECT string_agg('Ref_Key eq ' || odata_guid(c), ' or ') FROM few(next_candidates(n.candidates, i.max_url)) c))
                WHEN 'find counterparty' THEN counterparty_search(i.profile, t.kind, t.key, p.our_ref_key, i.max_url) END,
           CASE w.purpose WHEN 'create counterparty' THEN counterparty_body(t.scope, i.profile, t.kind, t.key, p.our_ref_key, kind.ref, q.ref_key) END,
           CASE w.purpose WHEN 'read counterparties' THEN to_jsonb(next_candidates(n.candidates, i.max_url)) WHEN 'list counterparties' THEN to_jsonb(q.ref_key) END, w.purpose = 'create counterparty', w.run_at, w.reason, w.detail, w.hint, w.blocked_on
    FROM task t
    JOIN infobase i ON i.name = t.scope
    JOIN bas_counterparty_phone p ON p.infobase = t.scope AND p.phone = t.key AND p.entity = t.kind
    CROSS JOIN LATERAL (SELECT t.kind = 'counterparty' AND entity_set(i.profile, 'partner') IS NOT NULL AS of_partner, CASE t.kind WHEN 'partner' THEN 'partner_contact_kind' ELSE 'contact_kind' END AS contact_kind,
                               CASE p.state WHEN 'known' THEN ARRAY[p.ref_key] ELSE p.candidates END AS candidates) n
    LEFT JOIN bas_counterparty_phone q ON n.of_partner AND q.infobase = t.scope AND q.phone = t.key AND q.entity = 'partner' AND q.state = 'known'
    LEFT JOIN task pt ON n.of_partner AND pt.scope = t.scope AND pt.kind = 'partner' AND pt.key = t.key AND pt.state = 'parked'
    CROSS JOIN LATERAL (SELECT creation_next(p.write_unsure, p.unsure_until, p.asked_early, p.state = 'unknown' OR p.state = 'absent' AND p.checked_at < clock() - interval '10 min') AS next) u
    LEFT JOIN dictionary_load l ON l.infobase = t.scope AND l.dictionary = n.contact_kind
    LEFT JOIN LATERAL (SELECT min(d.key)::uuid AS ref FROM dictionary_value d WHERE d.scope = t.scope AND d.side = 'bas' AND d.dictionary = n.contact_kind) kind ON true
    CROSS JOIN LATERAL (
        SELECT 'done' AS step, NULL AS purpose, NULL::timestamptz AS run_at, NULL AS reason, NULL AS detail, NULL AS hint, NULL AS blocked_on WHERE p.state = 'known' AND (NOT n.of_partner OR p.partner IS NOT NULL)
        UNION ALL SELECT 'request', 'read counterparties', NULL, NULL, NULL, NULL, NULL WHERE p.state = 'known'    -- decided by hand: its partner is not known yet
        UNION ALL SELECT 'request', 'read counterparties', NULL, NULL, NULL, NULL, NULL WHERE p.state = 'unknown' AND p.candidates IS NOT NULL
        UNION ALL SELECT 'wait', NULL, p.unsure_until, 'unsure', 'A creation without an answer may still be at work in BAS.', NULL, NULL WHERE u.next = 'wait'
        UNION ALL SELECT 'request', 'find counterparty', NULL, NULL, NULL, NULL, NULL WHERE u.next = 'look'
        UNION ALL SELECT 'request', 'read counterparties', NULL, NULL, NULL, NULL, NULL WHERE p.state = 'several' AND breaks_ties(t.scope) AND NOT p.candidates <@ p.alive
        UNION ALL SELECT 'done', NULL, NULL, NULL, NULL, NULL, NULL WHERE p.state = 'several' AND t.kind = 'counterparty' AND breaks_ties(t.scope)    -- each account decides for its orders
        UNION ALL SELECT 'park', NULL, NULL, 'counterparty_several', format(CASE WHEN cardinality(p.candidates) = 1 THEN 'The %s made for the phone in infobase "%s" (%s) is marked for deletion or hidden: %s.' ELSE 'Several %s of infobase "%s" have the phone %s: %s.' END, CASE WHEN cardinality(p.candidates) = 1 THEN t.kind WHEN t.kind = 'partner' THEN 'partners' ELSE 'counterparties' END, t.scope, t.key,
                      (SELECT string_agg(format('%s (%s)', coalesce(b.name, 'not shown'), c), ', ' ORDER BY b.name) FROM few(p.candidates) c LEFT JOIN bas_counterparty b ON b.infobase = t.scope AND b.ref_key = c)),
                      format('Decide: UPDATE salesdrive.bas_counterparty_phone SET state = ''known'', ref_key = ''the Ref_Key meant'' WHERE infobase = %L AND phone = %L AND entity = %L; its orders go on by themselves.', t.scope, t.key, t.kind), NULL
                  WHERE p.state = 'several'
        UNION ALL SELECT 'done', NULL, NULL, NULL, NULL, NULL, NULL WHERE t.kind = 'counterparty' AND NOT creates_counterparty(t.scope, t.key)
        UNION ALL SELECT 'park', NULL, NULL, pt.reason, pt.detail, pt.hint, format('partner:%s:%s', t.scope, t.key) WHERE n.of_partner AND q.ref_key IS NULL AND pt.id IS NOT NULL
        UNION ALL SELECT 'wait', NULL, NULL, 'partner', format('The partner with phone %s is being found or created.', t.key), NULL, format('partner:%s:%s', t.scope, t.key) WHERE n.of_partner AND q.ref_key IS NULL
        UNION ALL SELECT 'request', 'list counterparties', NULL, NULL, NULL, NULL, NULL WHERE n.of_partner AND p.partner IS DISTINCT FROM q.ref_key
        UNION ALL SELECT 'wait', NULL, NULL, 'dictionary', 'The kinds of contact information are being read.', NULL, format('dictionary:%s:%s', t.scope, n.contact_kind) WHERE l.loaded_at IS NULL
        UNION ALL SELECT 'park', NULL, NULL, 'contact_kind', format('Infobase "%s" has no kind of contact information with the predefined name that phones of a %s have.', t.scope, t.kind),
                      'Publish the catalog of contact kinds for OData, or name the kind in salesdrive.profile_entity (origin user, concept contact_kind or partner_contact_kind); then call resume().',
                      format('dictionary:%s:%s', t.scope, n.contact_kind) WHERE kind.ref IS NULL
        UNION ALL SELECT CASE WHEN o.waits THEN 'wait' ELSE 'park' END, NULL, NULL, o.reason, o.detail, o.hint, o.blocked_on FROM counterparty_fields(t.scope, t.kind, t.key) f CROSS JOIN LATERAL few(obstacles_fields(ARRAY[f])) o
        UNION ALL SELECT 'request', 'create counterparty', NULL, NULL, NULL, NULL, NULL
        LIMIT 1) w
    WHERE t.id = ANY (tasks);
END $$;
COMMENT ON FUNCTION plan_counterparty(bigint[]) IS 'Plan of kinds counterparty and partner: the first of its rules that applies';

CREATE FUNCTION settle_counterparty(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r    record;
    word text;
BEGIN
    FOR r IN SELECT u.task_id, t.scope, t.kind, t.key, t.purpose, t.memo, u.class, u.odata_code, u.started_at, u::http_result AS result, i.profile, answered_write(i, u.started_at) AS unsure
             FROM few(results) u JOIN task t ON t.id = u.task_id JOIN infobase i ON i.name = t.scope
             JOIN bas_counterparty_phone p ON p.infobase = t.scope AND p.phone = t.key AND p.entity = t.kind ORDER BY t.scope, t.key, t.kind
    LOOP
        word := NULL;
        IF r.purpose LIKE 'create %' THEN
            word := settle_counterparty_created(r.task_id, r.scope, r.kind, r.key, r.class, r.odata_code, r.unsure, result_json(r.result));
        ELSIF r.class <> 'ok' THEN
            CONTINUE;
        ELSIF r.purpose LIKE 'find %' THEN
            PERFORM settle_counterparty_found(r.task_id, r.scope, r.kind, r.key, r.profile, r.started_at, r.result);
        ELSIF r.purpose = 'list counterparties' THEN
            PERFORM settle_counterparty_listed(r.scope, r.key, r.profile, r.memo, r.result);
        ELSE
            PERFORM settle_counterparty_read(r.task_id, r.scope, r.kind, r.key, r.profile, r.memo, r.result);
        END IF;
        IF word IS DISTINCT FROM 'refused' THEN
            RETURN NEXT ROW(r.task_id, 'again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_counterparty(http_result[]) IS 'Settle of kinds counterparty and partner';

CREATE FUNCTION settle_counterparty_created(task_id bigint, infobase text, entity text, phone text, class text, odata_code text, unsure_until timestamptz, body jsonb) RETURNS text
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    ref  uuid := CASE WHEN class = 'ok' THEN nil_free(body ->> 'Ref_Key') END;
    word text := creation_said(class, odata_code, ref);
BEGIN
    PERFORM note_creation(infobase, task_id, word, ref = entity_ref_key(entity, phone));
    INSERT INTO bas_counterparty AS b SELECT infobase, ref, body ->> 'Description', true, clock() WHERE word = 'made' ON CONFLICT ON CONSTRAINT bas_counterparty_pkey DO NOTHING;
    UPDATE bas_counterparty_phone p SET (write_unsure, unsure_until, asked_early) = (SELECT n.* FROM creation_note(word, settle_counterparty_created.unsure_until) n),
        state = CASE word WHEN 'made' THEN 'known' WHEN 'taken' THEN 'unknown' ELSE p.state END, ref_key = CASE word WHEN 'made' THEN ref ELSE p.ref_key END, checked_at = CASE word WHEN 'made' THEN clock() ELSE p.checked_at END,
        candidates = CASE word WHEN 'taken' THEN ARRAY[p.our_ref_key] ELSE p.candidates END, alive = CASE WHEN word IN ('taken', 'refused') THEN NULL ELSE p.alive END    -- taken: what our key holds is read
    WHERE p.infobase = settle_counterparty_created.infobase AND p.phone = settle_counterparty_created.phone AND p.entity = settle_counterparty_created.entity;
    RETURN word;
END $$;
COMMENT ON FUNCTION settle_counterparty_created(bigint, text, text, text, text, text, timestamptz, jsonb) IS 'Takes in the outcome of a creation, and returns it (creation_said)';

CREATE FUNCTION settle_counterparty_found(task_id bigint, infobase text, entity text, phone text, profile text, asked_at timestamptz, result http_result) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names jsonb := property_names(profile, 'contact_row');
    own   uuid := entity_ref_key(entity, phone);
    hits  uuid[];
    seen  text;
BEGIN
    SELECT array_agg(h.ref ORDER BY h.ref = own, h.ref) INTO hits    -- our own last: settle_counterparty_read wants it among the last read
    FROM (SELECT DISTINCT (e ->> 'Ref_Key')::uuid AS ref
          FROM result_rows(result) e
          WHERE phone_e164(btrim(e ->> (names ->> 'number'))) = phone
             OR EXISTS (SELECT FROM regexp_split_to_table(e ->> (names ->> 'presentation'), '[,;/\n]') part WHERE phone_e164(part) = phone)
             OR (e ->> 'Ref_Key')::uuid = own) h;
    -- While a creation may still be at work, what was found decides only when it is alive (settle_counterparty_read), and absence not before unsure_until.
    SELECT creation_seen(own = ANY (hits), p.write_unsure, p.unsure_until, asked_at) INTO seen
    FROM bas_counterparty_phone p WHERE p.infobase = settle_counterparty_found.infobase AND p.phone = settle_counterparty_found.phone AND p.entity = settle_counterparty_found.entity;
    UPDATE bas_counterparty_phone p SET (write_unsure, unsure_until, asked_early) = (SELECT n.* FROM creation_note(seen, p.unsure_until) n),
        candidates = hits, alive = NULL, state = CASE WHEN hits IS NOT NULL OR seen = 'early' THEN 'unknown' ELSE 'absent' END, checked_at = clock()
    WHERE p.infobase = settle_counterparty_found.infobase AND p.phone = settle_counterparty_found.phone AND p.entity = settle_counterparty_found.entity;
    PERFORM note_creation(infobase, task_id, seen, CASE WHEN own = ANY (hits) THEN true END);
END $$;
COMMENT ON FUNCTION settle_counterparty_found(bigint, text, text, text, text, timestamptz, http_result) IS 'Takes in the hits of a search: only an exactly equal phone, or our own key, counts';

CREATE FUNCTION settle_counterparty_read(task_id bigint, infobase text, entity text, phone text, profile text, asked jsonb, result http_result) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names jsonb := property_names(profile, entity);
    nil   uuid := '00000000-0000-0000-0000-000000000000';
    p     bas_counterparty_phone;
    alive uuid[];
    rest  uuid[];
BEGIN
    INSERT INTO bas_counterparty AS b (infobase, ref_key, name, created_by_us, read_at, code, partner, contract, alive)
    SELECT settle_counterparty_read.infobase, (e ->> 'Ref_Key')::uuid, e ->> (names ->> 'name'), (e ->> 'Ref_Key')::uuid = entity_ref_key(entity, phone), clock(), nullif(btrim(e ->> 'Code'), ''),
           nil_free(e ->> (names ->> 'partner')), nil_free(e ->> (names ->> 'contract')), NOT json_flag(e -> (names ->> 'deleted')) AND NOT json_flag(e -> 'IsFolder')
    FROM result_rows(result) e
    ON CONFLICT ON CONSTRAINT bas_counterparty_pkey DO UPDATE SET name = excluded.name, read_at = excluded.read_at, code = excluded.code, partner = excluded.partner, contract = excluded.contract, alive = excluded.alive;
    SELECT * INTO p FROM bas_counterparty_phone q WHERE q.infobase = settle_counterparty_read.infobase AND q.phone = settle_counterparty_read.phone AND q.entity = settle_counterparty_read.entity;
    SELECT array_agg(ref ORDER BY ref) INTO alive    -- with those read before
    FROM (SELECT (e ->> 'Ref_Key')::uuid AS ref FROM result_rows(result) e WHERE NOT json_flag(e -> (names ->> 'deleted')) AND NOT json_flag(e -> 'IsFolder')
          UNION SELECT c FROM few(p.alive) c WHERE NOT asked ? c::text) a;
    IF p.state = 'known' THEN
        alive := ARRAY[p.ref_key];
    END IF;
    rest := ARRAY(SELECT c FROM few(p.candidates) WITH ORDINALITY u (c, n) WHERE NOT asked ? c::text AND c <> ALL (coalesce(p.alive, '{}')) ORDER BY n);
    p.alive := alive;
    SELECT coalesce(b.partner, nil), b.contract INTO p.partner, p.contract FROM bas_counterparty b WHERE b.infobase = settle_counterparty_read.infobase AND b.ref_key = p.alive[1] AND b.alive IS NOT NULL;

    IF p.state = 'known' THEN
        p.partner := coalesce(p.partner, nil);    -- its own element is not shown to us
    ELSIF cardinality(rest) > 0 AND (alive IS NULL OR cardinality(alive) = 1 OR breaks_ties(infobase)) THEN    -- not all have been read
        p.state := 'unknown';
        p.candidates := rest;
    ELSIF alive IS NULL AND p.asked_early THEN    -- these are dead, and ours may still come: searched for again after unsure_until
        p.candidates := NULL;
    ELSE
        p.state := CASE WHEN cardinality(alive) = 1 THEN 'known' WHEN alive IS NULL AND NOT p.our_ref_key = ANY (p.candidates) THEN 'absent' ELSE 'several' END;    -- our own key is taken for ever
        p.ref_key := CASE WHEN cardinality(alive) = 1 THEN alive[1] END;
        p.candidates := CASE WHEN alive IS NULL THEN ARRAY[p.our_ref_key] ELSE rest || alive END;
        SELECT n.* INTO p.write_unsure, p.unsure_until, p.asked_early FROM creation_note('found', NULL) n;
        PERFORM release_creation(infobase, task_id);
    END IF;
    UPDATE bas_counterparty_phone q SET state = p.state, ref_key = p.ref_key, candidates = p.candidates, alive = p.alive, partner = p.partner, contract = p.contract, write_unsure = p.write_unsure, unsure_until = p.unsure_until, asked_early = p.asked_early, checked_at = clock()
    WHERE q.infobase = p.infobase AND q.phone = p.phone AND q.entity = p.entity;
END $$;
COMMENT ON FUNCTION settle_counterparty_read(bigint, text, text, text, text, jsonb, http_result) IS 'Takes in the counterparties hit: those marked for deletion do not count; goes on with the next of many hits until all are read or two are alive';

CREATE FUNCTION settle_counterparty_listed(infobase text, phone text, profile text, partner jsonb, result http_result) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names jsonb := property_names(profile, 'counterparty');
    living uuid[] := ARRAY(SELECT (e ->> 'Ref_Key')::uuid FROM result_rows(result) e WHERE NOT json_flag(e -> (names ->> 'deleted')) AND NOT json_flag(e -> 'IsFolder') ORDER BY 1);
BEGIN
    INSERT INTO bas_counterparty AS b (infobase, ref_key, name, read_at)
    SELECT settle_counterparty_listed.infobase, (e ->> 'Ref_Key')::uuid, e ->> (names ->> 'name'), clock() FROM result_rows(result) e
    ON CONFLICT ON CONSTRAINT bas_counterparty_pkey DO UPDATE SET name = excluded.name, read_at = excluded.read_at;
    UPDATE bas_counterparty_phone p SET alive = NULL, partner = (settle_counterparty_listed.partner #>> '{}')::uuid, checked_at = clock(),
        state = CASE cardinality(living) WHEN 0 THEN p.state WHEN 1 THEN 'known' ELSE 'several' END,
        ref_key = CASE WHEN cardinality(living) = 1 THEN living[1] END, candidates = CASE WHEN cardinality(living) > 1 THEN living ELSE p.candidates END
    WHERE p.infobase = settle_counterparty_listed.infobase AND p.phone = settle_counterparty_listed.phone AND p.entity = 'counterparty';
END $$;
COMMENT ON FUNCTION settle_counterparty_listed(text, text, text, jsonb, http_result) IS 'Takes in the counterparties of a partner: the only one is that of the phone; none: one is created';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, note_function) VALUES ('counterparty', 'shipped', 'salesdrive.plan_counterparty', 'salesdrive.settle_counterparty', 'salesdrive.note_counterparty_writes'),
    ('partner', 'shipped', 'salesdrive.plan_counterparty', 'salesdrive.settle_counterparty', 'salesdrive.note_counterparty_writes');

CREATE FUNCTION note_counterparty_writes(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE bas_counterparty_phone p SET (write_unsure, unsure_until, asked_early) = (SELECT n.* FROM creation_note('sent', longest_write(i)) n)
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t JOIN infobase i ON i.name = t.scope
    WHERE s.creates AND p.infobase = t.scope AND p.phone = t.key AND p.entity = t.kind;
END $$;
COMMENT ON FUNCTION note_counterparty_writes(plan_step[]) IS 'Before creations are sent: from now on their outcome is unsure, until settled';

CREATE FUNCTION counterparty_decided() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF OLD.state IN ('known', 'several') AND NEW.ref_key IS DISTINCT FROM OLD.ref_key AND NEW.partner IS NOT DISTINCT FROM OLD.partner THEN
        NEW.partner := NULL;    -- that of another
        NEW.contract := NULL;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION counterparty_decided() IS 'Trigger: where another counterparty is said to be that of a phone, its partner and contract are to be read anew';
CREATE TRIGGER decided BEFORE UPDATE OF ref_key ON bas_counterparty_phone FOR EACH ROW EXECUTE FUNCTION counterparty_decided();

-- The one counterparty of all orders of an account: read once, so that no document refers to nothing.

CREATE FUNCTION plan_fixed_counterparty(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT t.id, 'request', 'read counterparties', 'GET', entity_set(i.profile, 'counterparty') || '?$format=json&allowedOnly=true' || odata_filter('Ref_Key eq ' || odata_guid(t.key::uuid)),
           NULL::jsonb, NULL::jsonb, false, NULL::timestamptz, NULL::text, NULL::text, NULL::text, NULL::text
    FROM task t JOIN infobase i ON i.name = t.scope
    WHERE t.id = ANY (tasks);
END $$;
COMMENT ON FUNCTION plan_fixed_counterparty(bigint[]) IS 'Plan of kind fixed_counterparty: one reading by its key';

CREATE FUNCTION settle_fixed_counterparty(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO bas_counterparty AS b (infobase, ref_key, name, read_at, code, partner, contract, alive)
    SELECT t.scope, t.key::uuid, e.body ->> (n.names ->> 'name'), clock(), nullif(btrim(e.body ->> 'Code'), ''), nil_free(e.body ->> (n.names ->> 'partner')), nil_free(e.body ->> (n.names ->> 'contract')),
           e.body IS NOT NULL AND NOT json_flag(e.body -> (n.names ->> 'deleted')) AND NOT json_flag(e.body -> 'IsFolder')
    FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = t.scope
    CROSS JOIN LATERAL (SELECT property_names(i.profile, 'counterparty') AS names) n
    LEFT JOIN LATERAL (SELECT r AS body FROM result_rows(u::http_result) r WHERE (r ->> 'Ref_Key')::uuid = t.key::uuid LIMIT 1) e ON true
    WHERE u.class = 'ok' ORDER BY 1, 2
    ON CONFLICT ON CONSTRAINT bas_counterparty_pkey DO UPDATE SET name = coalesce(excluded.name, b.name), read_at = excluded.read_at, code = excluded.code, partner = excluded.partner, contract = excluded.contract, alive = excluded.alive;
    RETURN QUERY
    SELECT u.task_id, 'done', NULL::text, NULL::text, NULL::text, NULL::jsonb, NULL::jsonb, NULL::boolean, NULL::timestamptz, NULL::text, NULL::text, NULL::text, NULL::text
    FROM few(results) u WHERE u.class = 'ok';
END $$;
COMMENT ON FUNCTION settle_fixed_counterparty(http_result[]) IS 'Settle of kind fixed_counterparty: keeps whether it is there';
INSERT INTO task_kind VALUES ('fixed_counterparty', 'shipped', 'salesdrive.plan_fixed_counterparty', 'salesdrive.settle_fixed_counterparty');
