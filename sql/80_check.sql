-- Purpose: check(): what would fail, before it fails. One function a topic; each gives rows only where something is wrong.
-- Rights: 'operator'.

CREATE TYPE finding AS (
    rank     integer,
    severity text,
    subject  text,
    problem  text,
    hint     text
);
COMMENT ON TYPE finding IS 'Something check() found';
COMMENT ON COLUMN finding.rank IS 'Place in the list: what keeps everything from going comes first';
COMMENT ON COLUMN finding.severity IS 'error: orders do not go; warning: something will go wrong, or is not as it should be';
COMMENT ON COLUMN finding.subject IS 'What it is about';
COMMENT ON COLUMN finding.problem IS 'What is wrong, in a sentence';
COMMENT ON COLUMN finding.hint IS 'What to do';

CREATE FUNCTION account_secrets(a account) RETURNS SETOF text
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT unnest(ARRAY['infobase:' || a.infobase || ':password', 'account:' || a.name || ':api_key', 'account:' || a.name || ':webhook_token'])
    UNION SELECT c.name FROM credential c WHERE c.name IN ('account:' || a.name || ':account_key', 'account:' || a.name || ':yml_key') ORDER BY 1;
END;
COMMENT ON FUNCTION account_secrets(account) IS 'Names of the secrets an account needs, and of those it has been given besides';

CREATE FUNCTION check_database(a account, i infobase) RETURNS SETOF finding
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT 1, 'error', 'database', quiet_reason(),
           CASE WHEN EXISTS (SELECT FROM instance n, system_identity() s WHERE (n.system_identifier, n.database_oid) IS DISTINCT FROM (s.system_identifier, s.database_oid))
                THEN 'Stop the other database first; then SELECT salesdrive.adopt();'
                WHEN EXISTS (SELECT FROM instance) THEN 'SELECT salesdrive.adopt(); and put the new name into salesdrive.databases.'
                ELSE 'SELECT salesdrive.adopt();' END
    WHERE quiet_reason() IS NOT NULL
    UNION ALL
    SELECT 2, 'error', 'secret ' || n.name, 'The secret is not set here.', format('SELECT salesdrive.set_secret(%L, ''value, file:NAME or env:NAME'');', n.name)
    FROM account_secrets(a) n (name)
    WHERE NOT EXISTS (SELECT FROM credential c LEFT JOIN credential_secret s USING (name) WHERE c.name = n.name AND (c.kind <> 'literal' OR s.name IS NOT NULL))
    UNION ALL
    SELECT 2, CASE WHEN p LIKE 'The webhook token has%' THEN 'warning' ELSE 'error' END, 'secret ' || n.name, p, format('SELECT salesdrive.set_secret(%L, ''value, file:NAME or env:NAME'');', n.name)
    FROM account_secrets(a) n (name) CROSS JOIN LATERAL secret_problem(n.name) p WHERE p IS NOT NULL
    UNION ALL
    SELECT 3, 'error', 'infobase ' || i.name, 'It is paused: ' || i.paused_reason, format('SELECT salesdrive.unpause_infobase(%L);', i.name) WHERE i.paused_at IS NOT NULL
    UNION ALL
    SELECT 3, 'warning', 'infobase ' || i.name, format('Its last %s requests failed.', i.circuit_failures), 'Look at exchange_log: is BAS running and reachable?' WHERE i.circuit_failures >= i.circuit_after
    UNION ALL
    SELECT 3, 'error', 'account ' || a.name, 'It is paused: ' || a.paused_reason, format('SELECT salesdrive.unpause(%L);', a.name) WHERE a.paused_at IS NOT NULL
    UNION ALL
    SELECT 3, CASE WHEN p.state = 'paused' THEN 'error' ELSE 'warning' END, 'API of account ' || p.account,
           CASE p.state WHEN 'paused' THEN 'It is paused: ' || p.paused_reason ELSE format('Its last %s requests failed.', p.circuit_failures) END,
           CASE p.state WHEN 'paused' THEN format('SELECT salesdrive.unpause_api(%L);', p.account) ELSE 'Look at exchange_log: is SalesDrive reachable?' END
    FROM api_status p WHERE p.account = a.name AND p.state IN ('paused', 'circuit open')
    UNION ALL
    SELECT 3, 'warning', 'quota ' || q.method, CASE WHEN q.closed_until > clock() THEN format('SalesDrive says that its limit is reached; nothing is asked before %s.', to_char(q.closed_until, 'YYYY-MM-DD HH24:MI:SS TZ'))
                                                    ELSE format('%s of %s requests in %s are used.', q.used, q.most, q.span) END,
           CASE WHEN q.closed_until > clock() THEN 'Others use the same account: lower salesdrive.quota_window.most to leave them room.' ELSE 'SELECT * FROM salesdrive.quota_status; shows on what. Call fetch_orders() less often.' END
    FROM quota_status q WHERE q.account = a.name AND (q.closed_until > clock() OR q.span >= '1 hour' AND q.used >= 0.95 * q.most);
END $$;
COMMENT ON FUNCTION check_database(account, infobase) IS 'For check(): the database is a copy, secrets are missing, something is paused or fails, the quota is used up';

CREATE FUNCTION check_workers(a account, i infobase) RETURNS SETOF finding
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT 4, 'warning', 'worker ' || r.role, format('The %s of this database is not running.', r.role),
           'Add the database to salesdrive.databases (with shared_preload_libraries), or SELECT salesdrive.start_workers(); without workers CALL salesdrive.run() drives the exchange.'
    FROM (VALUES ('receiver'), ('exchanger')) r (role)
    WHERE NOT EXISTS (SELECT FROM worker_state() w WHERE w.role = r.role AND w.pid IS NOT NULL)
      AND NOT (r.role = 'receiver' AND current_setting('salesdrive.port', true) = '0')
    UNION ALL
    SELECT 4, 'warning', 'worker ' || w.role, w.last_error, 'See the server log; restart_workers() tries again at once.' FROM worker_state() w
    WHERE w.last_error <> '' AND NOT (w.role = 'receiver' AND w.configured_port = 0)
    UNION ALL
    SELECT 5, 'warning', 'worker ' || w.role, format('It runs as superuser "%s"; functions written by users are refused.', w.runs_as),
           'Make a role for it: CREATE ROLE exchange LOGIN; SELECT salesdrive.grant_access(''exchange'', ''admin''); ALTER DATABASE … SET salesdrive.role = ''exchange''; SELECT salesdrive.restart_workers();'
    FROM worker_status w WHERE w.is_superuser AND w.role <> 'launcher'
    UNION ALL
    SELECT 5, 'warning', 'role ' || r.rolname, format('Workers of this database run as role "%s", which may not run the exchange.', r.rolname),
           format('SELECT salesdrive.grant_access(%L, ''admin''); or name another role in salesdrive.role; then SELECT salesdrive.restart_workers();', r.rolname)
    FROM pg_roles r JOIN pg_database d ON d.datname = current_database()
    WHERE r.rolname = coalesce(nullif(current_setting('salesdrive.role', true), ''), pg_get_userbyid(d.datdba))
      AND NOT (has_schema_privilege(r.oid, 'salesdrive', 'USAGE') AND has_function_privilege(r.oid, 'claim(integer, text[], integer[])', 'EXECUTE'))
    UNION ALL
    SELECT 5, 'warning', 'pg_cron', 'No exchanger runs here, and pg_cron is not in this database: nothing drives the exchange but CALL salesdrive.run().',
           'SELECT salesdrive.start_workers(); or CREATE EXTENSION pg_cron and schedule CALL salesdrive.run().'
    WHERE NOT engine_alive() AND NOT EXISTS (SELECT FROM worker_state() w WHERE w.role = 'exchanger' AND w.pid IS NOT NULL)
      AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron')
    UNION ALL
    SELECT 5, 'warning', 'pg_cron', format('The last run of job "%s" failed: %s', f.name, split_part(f.message, E'\n', 1)),
           CASE WHEN f.message = 'connection failed' THEN format('pg_cron connects to cron.host (localhost, unless set) as role "%s". Where that wants a password, or TCP is off: set cron.use_background_workers = on and restart PostgreSQL.', f.owner)
                ELSE 'SELECT * FROM cron.job_run_details ORDER BY runid DESC; shows its runs.' END
    FROM failed_jobs() f;
END $$;
COMMENT ON FUNCTION check_workers(account, infobase) IS 'For check(): nobody drives the exchange, or with rights too small or too great';

CREATE FUNCTION check_settings(a account, i infobase) RETURNS SETOF finding
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    recent order_key[];
BEGIN
    IF a.number_to <> 'note' OR a.link_to IS NOT NULL THEN
        recent := ARRAY(SELECT (o.account, o.order_id)::order_key FROM crm_order o WHERE o.account = a.name AND o.changed_at > clock() - interval '30 days' ORDER BY o.changed_at DESC LIMIT 200);
    END IF;
    RETURN QUERY
    SELECT CASE w.setting WHEN 'profile' THEN 2 ELSE 6 END, CASE w.setting WHEN 'profile' THEN 'error' ELSE 'warning' END, 'setting ' || w.setting, w.detail,
           CASE w.setting WHEN 'profile' THEN profile_hint(i.name, i.profile) ELSE format('UPDATE salesdrive.account SET %s = … WHERE name = %L;', w.setting, a.name) END
    FROM few(account_settings(ARRAY[a.name])) s CROSS JOIN LATERAL ROWS FROM (few(s.wrong), few(s.wrong_detail)) w (setting, detail) WHERE s.unread IS NULL
    UNION ALL    -- the only one is taken; among several none is, and nothing stops the order before BAS refuses to post it
    SELECT 6, 'warning', 'setting ' || p.concept, format('Infobase "%s" has several elements of %s, BAS does not post a document without %s, and nothing says which one is meant (there: %s).', i.name, p.concept, p.property, c.candidates),
           format('UPDATE salesdrive.account SET %s = ''name, code or Ref_Key'' WHERE name = %L; or tell it by the order: rows of value_map or header_rule for %s.', p.concept, a.name, p.concept)
    FROM profile_property_effective p JOIN dictionary_load l ON l.infobase = i.name AND l.dictionary = p.concept
    CROSS JOIN LATERAL chosen_value(i.name, p.concept, NULL) c
    WHERE p.profile = i.profile AND p.entity = 'order' AND p.needed AND p.property IS NOT NULL AND p.constant IS NULL AND p.concept IN ('warehouse', 'price_type', 'agreement')
      AND to_jsonb(a) ->> p.concept IS NULL AND c.ref IS NULL AND c.candidates IS NOT NULL
      AND NOT EXISTS (SELECT FROM value_map m WHERE m.account IN (a.name, '*') AND m.dictionary = p.concept AND m.direction IN ('to_bas', 'both') AND m.bas_key IS NOT NULL)
      AND NOT EXISTS (SELECT FROM header_rule r WHERE r.account IN (a.name, '*') AND r.dictionary = p.concept AND r.bas_key IS NOT NULL)
      AND NOT EXISTS (SELECT FROM field_map_effective f WHERE f.account = a.name AND f.target = 'order' AND f.property = p.property AND f.origin <> 'profile' AND f.enabled)
    UNION ALL
    SELECT 6, 'warning', 'setting ' || w.setting, format('None of the last %s orders has a field "%s", nor does SalesDrive list it; what is written there may be lost without a word.', cardinality(recent), w.field),
           format('Is it written as SalesDrive writes it? UPDATE salesdrive.account SET %s = … WHERE name = %L; technical names are in SELECT data FROM salesdrive.crm_order_version …', w.setting, a.name)
    FROM (VALUES ('number_to', a.number_to), ('link_to', a.link_to)) w (setting, field)
    WHERE w.field <> 'note' AND cardinality(recent) > 0
      AND NOT EXISTS (SELECT FROM merged_orders(recent) m WHERE m.data ? w.field OR EXISTS (SELECT FROM jsonb_array_elements(contact_rows(m.data)) c WHERE c ? w.field))
      AND NOT EXISTS (SELECT FROM dictionary_value d WHERE d.scope = a.name AND d.side = 'crm' AND d.dictionary IN (w.field, crm_dictionary(w.field)))
    UNION ALL
    SELECT 6, 'warning', format('value %s %s', m.dictionary, m.crm_key), format('value_map gives "%s", which %s "%s" (there: %s).', m.bas_key, c.problem, a.infobase, coalesce(c.candidates, 'nothing')),
           map_call(m.account, m.dictionary, m.crm_key)
    FROM value_map m JOIN dictionary_load l ON l.infobase = a.infobase AND l.dictionary = m.dictionary
    CROSS JOIN LATERAL chosen_value(a.infobase, m.dictionary, m.bas_key) c
    WHERE m.account IN (a.name, '*') AND m.direction IN ('to_bas', 'both') AND m.bas_key IS NOT NULL AND c.problem IS NOT NULL
    UNION ALL
    SELECT 6, 'warning', 'rule ' || r.dictionary, format('header_rule %s gives "%s", which %s "%s" (there: %s).', r.condition, r.bas_key, c.problem, a.infobase, coalesce(c.candidates, 'nothing')),
           format('UPDATE salesdrive.header_rule SET bas_key = … WHERE account = %L AND dictionary = %L AND condition = %L;', r.account, r.dictionary, r.condition)
    FROM header_rule r JOIN dictionary_load l ON l.infobase = a.infobase AND l.dictionary = r.dictionary
    CROSS JOIN LATERAL chosen_value(a.infobase, r.dictionary, r.bas_key) c
    WHERE r.account IN (a.name, '*') AND r.bas_key IS NOT NULL AND c.problem IS NOT NULL
    UNION ALL
    SELECT 6, 'warning', format('value %s %s', u.dictionary, u.crm_key),
           format('%s orders of the last 30 days have %s %s, and nobody said what it is in BAS.%s', u.orders, u.dictionary, u.crm_key || coalesce(' "' || u.name || '"', ''),
                  CASE WHEN u.turn = 10 AND u.values > 10 THEN format(' So have %s further values of %s.', u.values - 10, u.dictionary) ELSE '' END),
           u.hint || CASE WHEN u.turn = 10 AND u.values > 10 THEN format(' All of them: SELECT * FROM salesdrive.unmapped(%L) WHERE dictionary = %L; if orders hold texts there and no ids, take the dictionary from the row of field_map.', a.name, u.dictionary) ELSE '' END
    FROM (SELECT v.*, count(*) OVER (PARTITION BY v.dictionary) AS values, row_number() OVER (PARTITION BY v.dictionary ORDER BY v.orders DESC, v.crm_key) AS turn
          FROM unmapped_value v
          WHERE v.account = a.name AND v.last_at > clock() - interval '30 days'
            AND (v.unmapped = 'park' OR EXISTS (SELECT FROM field_map_effective f WHERE f.account = a.name AND f.dictionary = v.dictionary AND f.enabled)
                 OR EXISTS (SELECT FROM value_map m WHERE m.account IN (a.name, '*') AND m.dictionary = v.dictionary AND m.direction IN ('to_bas', 'both')))) u
    WHERE u.turn <= 10
    UNION ALL
    SELECT 6, 'warning', 'statuses', format('Profile "%s" has no status of the document: statuses do not travel.', i.profile), format('UPDATE salesdrive.account SET status_to_bas = false, status_from_bas = false WHERE name = %L;', a.name)
    WHERE (a.status_to_bas OR a.status_from_bas) AND NOT property_names(i.profile, 'order') ? 'status' AND entity_set(i.profile, 'order_state') IS NULL
    UNION ALL
    SELECT 6, 'warning', 'statuses', format('In profile "%s" the state of a document stands in %s, which is read and not written: no status travels into BAS.', i.profile, entity_set(i.profile, 'order_state')), format('UPDATE salesdrive.account SET status_to_bas = false WHERE name = %L;', a.name)
    WHERE a.status_to_bas AND NOT property_names(i.profile, 'order') ? 'status' AND entity_set(i.profile, 'order_state') IS NOT NULL
    UNION ALL
    SELECT 6, 'error', 'entity ' || entity_set(i.profile, 'order_state'), 'It tells the states of documents, which SalesDrive is to take, and the OData interface does not publish it.', 'Add it to the composition of the OData interface, then SELECT salesdrive.load_metadata(…).'
    WHERE a.status_from_bas AND state_counts(a, i.profile) AND entity_set(i.profile, 'order_state') IS NOT NULL AND publishes(i.name, entity_set(i.profile, 'order')) AND NOT publishes(i.name, entity_set(i.profile, 'order_state'))
    UNION ALL
    SELECT 6, 'warning', 'statuses', format('Profile "%s" knows no register of states.', i.profile), format('UPDATE salesdrive.account SET status_source = ''document'' WHERE name = %L;', a.name)
    WHERE a.status_source = 'state' AND entity_set(i.profile, 'order_state') IS NULL
    UNION ALL
    SELECT 6, 'warning', 'statuses', 'Statuses are to travel into BAS, and none is mapped.', map_call(a.name, 'status', NULL)
    WHERE a.status_to_bas AND NOT EXISTS (SELECT FROM value_map m WHERE m.account IN (a.name, '*') AND m.dictionary = 'status' AND m.direction IN ('to_bas', 'both'))
    UNION ALL
    SELECT 6, 'warning', 'statuses', 'SalesDrive is to take statuses of BAS, and none is mapped.', map_call(a.name, 'status', NULL)
    WHERE a.status_from_bas AND NOT EXISTS (SELECT FROM value_map m WHERE m.account IN (a.name, '*') AND m.dictionary = 'status' AND m.direction IN ('to_crm', 'both') AND m.crm_key <> '*')
    UNION ALL
    SELECT 6, 'warning', 'status ' || coalesce(q.name, q.bas_key), format('Statuses %s of SalesDrive are this one in BAS; set there, it becomes %s.', q.keys, q.first), format('Give the others direction to_bas: UPDATE salesdrive.value_map SET direction = ''to_bas'' WHERE dictionary = ''status'' AND crm_key <> %L AND bas_key = %L;', q.first, q.bas_key)
    FROM (SELECT m.bas_key, NULL::text AS name, string_agg(m.crm_key, ', ' ORDER BY length(m.crm_key), m.crm_key) AS keys, (array_agg(m.crm_key ORDER BY length(m.crm_key), m.crm_key))[1] AS first
          FROM value_map m WHERE a.status_from_bas AND m.account IN (a.name, '*') AND m.dictionary = 'status' AND m.direction = 'both' AND m.crm_key <> '*' AND m.bas_key IS NOT NULL
            AND NOT EXISTS (SELECT FROM value_map x WHERE x.account IN (a.name, '*') AND x.dictionary = 'status' AND x.direction = 'to_crm' AND x.bas_key = m.bas_key)
          GROUP BY m.bas_key HAVING count(DISTINCT m.crm_key) > 1) q
    UNION ALL
    SELECT 6, 'warning', l.rule_table, format('%s rows are for account "%s", which does not exist: they count for nothing.', l.rules, l.account),
           format('Is it misspelt? UPDATE salesdrive.%I SET account = %L WHERE account = %L; or delete the rows; * is every account.', l.rule_table, a.name, l.account)
    FROM lost_rules() l
    UNION ALL
    SELECT 6, 'warning', 'cancel_rule ' || r.status, format('cancel_rule names status %s, which neither SalesDrive lists nor any order has.', r.status),
           format('Correct the row. Statuses: SELECT key, name FROM salesdrive.dictionary_value WHERE scope = %L AND side = ''crm'' AND dictionary = ''status''; SELECT salesdrive.load_dictionaries(%L) reads them.', a.name, a.name)
    FROM cancel_rule r
    WHERE r.account IN (a.name, '*') AND r.status <> ALL (cancel_kinds())
      AND NOT EXISTS (SELECT FROM dictionary_value d WHERE d.scope = a.name AND d.side = 'crm' AND d.dictionary = 'status' AND d.key = r.status)
      AND NOT EXISTS (SELECT FROM crm_order o WHERE o.status_id = r.status AND (o.account = a.name OR r.account = '*'))
      AND NOT (r.account = '*' AND EXISTS (SELECT FROM dictionary_value d WHERE d.side = 'crm' AND d.dictionary = 'status' AND d.key = r.status))
    UNION ALL
    SELECT 6, 'warning', 'cancel_rule ' || r.status, format('The rule says set_status, and value_map does not say what status %s is in BAS.', status_title(a.name, s.status)), map_call(a.name, 'status', s.status)
    FROM (SELECT d.key AS status FROM dictionary_value d WHERE d.scope = a.name AND d.side = 'crm' AND d.dictionary = 'status'
          UNION SELECT c.status FROM cancel_rule c WHERE c.action = 'set_status' AND c.account IN (a.name, '*') AND c.status <> ALL (cancel_kinds())) s
    CROSS JOIN LATERAL cancel_rule_of(a.name, s.status) r
    WHERE r.action = 'set_status' AND property_names(i.profile, 'order') ? 'status' AND mapped_value(a.name, 'status', s.status) IS NULL
    UNION ALL
    SELECT 6, 'warning', 'cancel_rule ' || r.status, format('The rule says set_status, and profile "%s" has no status of the document: such orders are only told.', i.profile), 'Give the rule the action mark or tell.'
    FROM cancel_rule r WHERE r.account IN (a.name, '*') AND r.action = 'set_status' AND NOT property_names(i.profile, 'order') ? 'status'
    UNION ALL
    SELECT 6, 'warning', 'value status ' || m.crm_key, format('No enumeration of the base has the value "%s".', m.bas_key), map_call(m.account, 'status', m.crm_key)
    FROM value_map m
    WHERE a.status_to_bas AND m.account IN (a.name, '*') AND m.dictionary = 'status' AND m.direction IN ('to_bas', 'both') AND m.bas_key IS NOT NULL
      AND property_names(i.profile, 'order') ? 'status' AND entity_set(i.profile, 'status') IS NULL AND EXISTS (SELECT FROM bas_metadata e WHERE e.infobase = i.name AND e.kind = 'enum')
      AND NOT EXISTS (SELECT FROM bas_metadata e WHERE e.infobase = i.name AND e.kind = 'enum' AND e.members ? m.bas_key)
    UNION ALL
    SELECT 6, 'warning', 'clock', format('Deliveries come %s after the times SalesDrive writes into them.', date_trunc('second', d.median)),
           format('Either the clock of this server is wrong, or SalesDrive writes times of another zone than account.time_zone (%s); webhooks that were held back for so long look the same.', a.time_zone)
    FROM (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v.received_at - v.update_at AT TIME ZONE a.time_zone) AS median, count(*) AS n
          FROM (SELECT v.received_at, v.update_at FROM crm_order_version v
                WHERE v.account = a.name AND v.shape = 'webhook' AND v.update_at IS NOT NULL ORDER BY v.received_at DESC LIMIT 20) v) d
    WHERE d.n >= 3 AND (d.median BETWEEN interval '20 min' AND interval '1 day' OR d.median < interval '-1 min');    -- days are no zone: orders sent once more
END $$;
COMMENT ON FUNCTION check_settings(account, infobase) IS 'For check(): settings and mappings that the base, or SalesDrive, does not bear out, what no setting gives, values nobody mapped, clock and time zone';

CREATE FUNCTION check_fields(a account, i infobase) RETURNS SETOF finding
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    rules  field_rule[];
    recent order_key[];
BEGIN
    SELECT array_agg(r) INTO rules FROM field_rules(ARRAY[a.name], ARRAY['order', 'order_line', 'attribute', 'counterparty', 'partner', 'contact']) r WHERE r.enabled AND r.origin = 'user';
    IF rules IS NULL THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM few(rules) r WHERE r.path IS NOT NULL) THEN
        recent := ARRAY(SELECT (o.account, o.order_id)::order_key FROM crm_order o WHERE o.account = a.name AND o.changed_at > clock() - interval '30 days' ORDER BY o.changed_at DESC LIMIT 200);
    END IF;
    RETURN QUERY
    SELECT 6, f.severity, format('field %s %s', r.target, r.property), f.problem, f.hint
    FROM few(rules) r
    CROSS JOIN LATERAL (SELECT target_set(r.profile, r.target) AS set, CASE r.target WHEN 'attribute' THEN 'attribute' WHEN 'contact' THEN 'contact_information' END AS list) s
    CROSS JOIN LATERAL (
        SELECT 'error' AS severity, format('%s of the base has no property of this name, and BAS ignores what it does not know.', s.set) AS problem,
               format('Correct the row of field_map; names are in salesdrive.bas_property (infobase %L, entity_set %L).', i.name, s.set) AS hint
        WHERE publishes(i.name, s.set) AND NOT publishes(i.name, s.set || '.' || r.property)
        UNION ALL
        SELECT 'error', format('It is sent as %s, and the base has %s there.', r.edm_type, b.edm_type), format('UPDATE salesdrive.field_map SET edm_type = %L WHERE target = %L AND property = %L;', b.edm_type, r.target, r.property)
        FROM bas_property b WHERE b.infobase = i.name AND b.entity_set = s.set AND b.property = r.property AND b.edm_type LIKE 'Edm.%' AND r.edm_type LIKE 'Edm.%' AND b.edm_type <> r.edm_type
          AND NOT (b.edm_type ~ '^Edm\.(Double|Decimal|Int)' AND r.edm_type ~ '^Edm\.(Double|Decimal|Int)')
        UNION ALL
        SELECT 'error', format('The %s %s "%s" (there: %s).', CASE r.target WHEN 'attribute' THEN 'additional attribute' ELSE 'kind of contact information' END, c.problem, i.name, coalesce(left(c.candidates, 2000), 'nothing')),
               'Correct the name in field_map. If it is new in BAS: SELECT salesdrive.load_dictionaries(…).'
        FROM chosen_value(i.name, s.list, r.property) c
        WHERE c.problem IS NOT NULL AND EXISTS (SELECT FROM dictionary_load l WHERE l.infobase = i.name AND l.dictionary = s.list)
        UNION ALL
        SELECT 'error', format('There is no function %s(jsonb, jsonb, jsonb), or it may not be called.', r.source), 'Create it, and GRANT EXECUTE on it, and USAGE of its schema, to the role of the workers.'
        WHERE r.source_kind = 'function' AND coalesce(has_function_privilege(to_regprocedure(r.source || '(jsonb,jsonb,jsonb)'), 'EXECUTE'), false) IS FALSE
        UNION ALL
        SELECT 'warning', format('None of the last %s orders has anything at the path %s.', cardinality(recent), r.source), 'Is it written as SalesDrive writes it? SELECT data FROM salesdrive.crm_order_version …; or nobody has filled it in yet.'
        WHERE r.path IS NOT NULL AND cardinality(recent) >= 10
          AND NOT EXISTS (SELECT FROM merged_orders(recent) m CROSS JOIN LATERAL field_elements(m.data, r.target = 'order_line') e
                          WHERE (r.target = 'order_line') = (e.line_no IS NOT NULL) AND jsonb_path_exists(e.base, r.path, e.vars, true))) f;
END $$;
COMMENT ON FUNCTION check_fields(account, infobase) IS 'For check(): mapped fields that the base does not have, or has of another type, functions that cannot be called, paths that no order has';

-- $metadata does not say which enumeration a property is of, so any that has the value will do; of a mapped field one that has what documents hold there,
-- else one of its other values.
CREATE FUNCTION check_enums(a account, i infobase) RETURNS SETOF finding
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT 4, 'error', format('value %s.%s', p.entity, p.concept), format('No enumeration of the base has the value "%s", which is always sent as %s.', p.constant #>> '{}', p.property),
           format('Give profile_property a row of profile %s, entity %s, concept %s and origin user with a value of the base: SELECT name, members FROM salesdrive.bas_metadata WHERE infobase = %L AND kind = ''enum'';', i.profile, p.entity, p.concept, i.name)
    FROM profile_property_effective p
    WHERE p.profile = i.profile AND p.property IS NOT NULL AND (NOT is_payment_concept(p.entity) OR a.payments_to_bas) AND jsonb_typeof(p.constant) = 'string' AND p.constant #>> '{}' ~ '^[А-ЯІЇЄҐ]'
      AND EXISTS (SELECT FROM bas_metadata m WHERE m.infobase = i.name AND m.kind = 'enum')
      AND NOT EXISTS (SELECT FROM bas_metadata m WHERE m.infobase = i.name AND m.kind = 'enum' AND m.members ? (p.constant #>> '{}'))
    UNION ALL
    SELECT 6, 'warning', format('field %s %s', f.target, f.property),
           format('It is to be "%s", and no enumeration of the base that has its other values has that (there: %s).', g.value, (SELECT string_agg(format('%s: %s', e ->> 'name', e -> 'members'), '; ') FROM jsonb_array_elements(x.enums) e)), g.hint
    FROM field_map_effective f
    CROSS JOIN LATERAL (
        SELECT array_agg(DISTINCT s.value) FILTER (WHERE NOT s.held) AS values, array_agg(DISTINCT s.value) FILTER (WHERE s.held) AS held, jsonb_object_agg(s.value, s.hint) FILTER (WHERE NOT s.held) AS hints
        FROM (SELECT m.bas_key AS value, false AS held, map_call(m.account, m.dictionary, m.crm_key) AS hint FROM value_map m
              WHERE m.account IN (a.name, '*') AND m.dictionary = f.dictionary AND m.direction IN ('to_bas', 'both') AND m.bas_key !~ '^[0-9a-f-]{36}$'
              UNION ALL SELECT f.source, false, 'Correct the row of field_map.' WHERE f.source_kind = 'constant' AND f.transform IS NULL AND f.origin = 'user'
              UNION ALL SELECT h.value, true, NULL FROM (SELECT b.read_body ->> f.property AS value FROM bas_order b WHERE f.target = 'order' AND b.account = a.name ORDER BY b.order_id DESC LIMIT 20) h WHERE h.value <> '') s) v
    CROSS JOIN LATERAL (SELECT jsonb_agg(jsonb_build_object('name', m.name, 'members', m.members) ORDER BY m.name) AS enums FROM bas_metadata m
                        WHERE m.infobase = i.name AND m.kind = 'enum' AND CASE WHEN v.held IS NULL THEN m.members ?| v.values ELSE m.members ?& v.held END) x
    CROSS JOIN LATERAL (SELECT w AS value, v.hints ->> w AS hint FROM unnest(v.values) w) g
    WHERE f.account = a.name AND f.enabled AND f.origin <> 'profile' AND f.target IN ('order', 'order_line') AND coalesce(f.edm_type, 'Edm.String') = 'Edm.String' AND v.values IS NOT NULL AND x.enums IS NOT NULL
      AND NOT EXISTS (SELECT FROM jsonb_array_elements(x.enums) e WHERE e -> 'members' ? g.value);
END $$;
COMMENT ON FUNCTION check_enums(account, infobase) IS 'For check(): constant and mapped values that no enumeration of the base has';

CREATE FUNCTION check_followups(a account, i infobase) RETURNS SETOF finding
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM followup_rule r WHERE r.enabled AND r.account IN (a.name, '*')) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH rule AS MATERIALIZED (
        SELECT r.*, entity_set(i.profile, r.action) AS set FROM followup_rules(a.name, 'salesdrive') r UNION ALL SELECT r.*, entity_set(i.profile, r.action) FROM followup_rules(a.name, 'bas') r
    )
    SELECT DISTINCT 6, 'warning', 'followup ' || r.action, format('Profile "%s" does not say what the %s document is called: none is made.', i.profile, CASE r.action WHEN 'sale' THEN 'sales' ELSE 'return' END),
           format('Look it up in $metadata and give profile_entity and profile_property rows of profile %L, concepts %s and %s_line.', i.profile, r.action, r.action)
    FROM rule r WHERE r.action <> 'close' AND (r.set IS NULL OR entity_set(i.profile, r.action || '_line') IS NULL)
    UNION ALL
    SELECT DISTINCT 6, 'error', 'entity ' || r.set, format('A rule makes documents of it (%s), and the OData interface does not publish it.', r.action), 'Add it to the composition of the OData interface, then SELECT salesdrive.load_metadata(…).'
    FROM rule r WHERE r.set IS NOT NULL AND EXISTS (SELECT FROM metadata_load l WHERE l.infobase = i.name) AND NOT publishes(i.name, r.set)
    UNION ALL
    SELECT DISTINCT 6, 'warning', 'followup close', CASE WHEN profile_constant(i.profile, 'closing', 'none') IS NULL THEN format('How an order of profile "%s" is closed is not known: it is to be verified.', i.profile) ELSE format('Orders of profile "%s" have no status that could be closed.', i.profile) END,
           'Delete the rule, or see the chapter on follow-up documents.'
    FROM rule r WHERE r.action = 'close' AND (profile_constant(i.profile, 'closing', 'closed') IS NULL OR NOT property_names(i.profile, 'order') ? 'status')
    UNION ALL
    SELECT DISTINCT 6, 'warning', 'followup ' || r.action, format('BAS needs %s to post the document, and nothing gives it.', p.property),
           format('INSERT INTO salesdrive.profile_property (profile, entity, concept, property, edm_type, constant) VALUES (%L, %L, %L, %L, ''Edm.Guid'', ''"the Ref_Key"'');', i.profile, p.entity, p.concept, p.property)
    FROM rule r JOIN profile_property_effective p ON p.profile = i.profile AND p.entity IN (r.action, r.action || '_line') AND p.needed AND p.property IS NOT NULL AND p.constant IS NULL AND p.rule = 'constant of yours' WHERE r.posting
    UNION ALL
    SELECT 6, 'warning', 'followup ' || r.status, format('followup_rule names status %s, which neither SalesDrive lists nor any order has.', r.status), 'Correct the row of followup_rule.'
    FROM rule r WHERE r.side = 'salesdrive' AND NOT EXISTS (SELECT FROM dictionary_value d WHERE d.scope = a.name AND d.side = 'crm' AND d.dictionary = 'status' AND d.key = r.status)
      AND NOT EXISTS (SELECT FROM crm_order o WHERE o.account = a.name AND o.status_id = r.status)
    UNION ALL
    SELECT 6, 'warning', 'followup ' || r.status, CASE WHEN c.problem IS NULL THEN format('Profile "%s" has no status of the document: the rule does nothing.', i.profile) ELSE format('followup_rule names status "%s", which %s "%s" (there: %s).', r.status, c.problem, i.name, coalesce(c.candidates, 'nothing')) END, 'Correct the row of followup_rule.'
    FROM rule r LEFT JOIN LATERAL chosen_value(i.name, 'status', r.status) c ON EXISTS (SELECT FROM dictionary_load l WHERE l.infobase = i.name AND l.dictionary = 'status')
    WHERE r.side = 'bas' AND (NOT property_names(i.profile, 'order') ? 'status' AND entity_set(i.profile, 'order_state') IS NULL OR c.problem IS NOT NULL)
    UNION ALL
    SELECT DISTINCT 6, 'warning', 'followup bas', 'Rules look at the status of documents in BAS, and nobody asks for it.', format('Call pull_statuses(%L) by a schedule.', i.name)
    FROM rule r WHERE r.side = 'bas' AND NOT EXISTS (SELECT FROM status_poll p WHERE p.infobase = i.name AND p.done_at > clock() - interval '1 day')
    UNION ALL
    SELECT 7, 'warning', 'followup documents', format('%s documents that are to follow orders are parked.', count(*)), 'SELECT * FROM salesdrive.followup_status WHERE state = ''parked'';'
    FROM followup_status f WHERE f.account = a.name AND f.state = 'parked' HAVING count(*) > 0;
END $$;
COMMENT ON FUNCTION check_followups(account, infobase) IS 'For check(): rules of documents that follow orders, and what keeps them from making any';

CREATE FUNCTION check_orders(a account, i infobase) RETURNS SETOF finding
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    total text := property_names(i.profile, 'order') ->> 'total';
BEGIN
    RETURN QUERY
    SELECT 5, 'warning', 'sums of documents', format('BAS does not keep the sums that are sent: of the last 1000 orders %s documents came to another sum, the latest (%s of order %s) to %s instead of %s.', max(d.documents), max(d.number), max(d.order_id), max(d.kept), max(d.sent)),
           'A handler of the configuration works the sums out anew (discounts or prices of its own?): SELECT order_id, number, differences FROM salesdrive.bas_order WHERE differences IS NOT NULL ORDER BY order_id DESC; switch that off for documents of the exchange, then resend() these orders.'
    FROM (SELECT b.order_id, b.number, b.differences #>> ARRAY[total, 'kept'] AS kept, b.differences #>> ARRAY[total, 'sent'] AS sent, row_number() OVER (ORDER BY b.order_id DESC) AS turn, count(*) OVER () AS documents
          FROM (SELECT l.* FROM bas_order l WHERE l.account = a.name ORDER BY l.order_id DESC LIMIT 1000) b WHERE b.differences ? total) d
    WHERE d.turn = 1 HAVING count(*) > 0
    UNION ALL
    SELECT 7, 'warning', 'parked orders', format('%s orders are parked, the oldest since %s.', count(*), to_char(min(p.parked_at), 'YYYY-MM-DD HH24:MI:SS')), 'SELECT * FROM salesdrive.parked;'
    FROM parked p WHERE p.account = a.name AND p.kind = 'order' HAVING count(*) > 0
    UNION ALL
    SELECT 7, 'warning', 'lost orders', format('Of the last 1000 orders %s have no document, and their tasks were deleted: nothing is at work on them.', count(*)),
           format('SELECT salesdrive.resume(account, order_id) FROM salesdrive.order_status WHERE account = %L AND reason = ''lost'';', a.name)
    FROM (SELECT l.order_id FROM crm_order l WHERE l.account = a.name ORDER BY l.order_id DESC LIMIT 1000) r JOIN order_status s ON s.account = a.name AND s.order_id = r.order_id
    WHERE s.reason = 'lost' HAVING count(*) > 0
    UNION ALL
    SELECT 7, 'warning', 'parked ' || p.kind, format('%s %s are parked, the oldest since %s: %s', count(*), task_words(p.kind), to_char(min(p.parked_at), 'YYYY-MM-DD HH24:MI:SS'), coalesce((array_agg(p.detail ORDER BY p.parked_at))[1], 'no reason is known.')),
           concat_ws(' ', (array_agg(p.hint ORDER BY p.parked_at))[1], format('SELECT * FROM salesdrive.parked WHERE kind = %L; shows them, resume(task_id) lets one go on.', p.kind))
    FROM parked p WHERE (p.account = a.name OR p.account IS NULL AND p.scope = i.name) AND p.kind NOT IN ('order', 'payment', 'payment_out', 'goods', 'push') GROUP BY p.kind
    UNION ALL
    SELECT 8, 'warning', 'rejected deliveries', format('%s deliveries of the last day could not be read.', count(*)), format('SELECT * FROM salesdrive.inbox_reject; once the cause is mended, SELECT salesdrive.read_rejected(%L); has them read again.', a.name)
    FROM inbox_reject r WHERE r.account = a.name AND r.received_at > clock() - interval '1 day' HAVING count(*) > 0;
END $$;
COMMENT ON FUNCTION check_orders(account, infobase) IS 'For check(): sums that BAS keeps otherwise, orders and other tasks that wait for somebody, orders without a task, deliveries that could not be read';

-- Webhooks alone are a way, too: where none of its orders is older, nobody knows yet whether changes are to be read.
CREATE FUNCTION check_readings(a account, i infobase) RETURNS SETOF finding
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    unread_after interval := coalesce((SELECT p.unread_after FROM account_api p WHERE p.account = a.name), '1 day');
BEGIN
    RETURN QUERY
    SELECT CASE r.job WHEN 'orders' THEN 3 ELSE 6 END, 'warning', r.subject,
           CASE WHEN r.read_at IS NULL THEN format('%s: nobody has asked for it yet, and the settings of account "%s" need it.', r.what, a.name) ELSE format('%s was read last at %s.', r.what, to_char(r.read_at, 'YYYY-MM-DD HH24:MI:SS TZ')) END,
           format('Is it still called by a scheduler? %s; By pg_cron: SELECT salesdrive.schedule(%L, %L, %L); what it waits for: SELECT kind, state, detail FROM salesdrive.task;', r.command, a.name, r.job, r.cron)
    FROM account_readings(a.name) r
    WHERE r.wanted AND (r.read_at < clock() - unread_after OR r.read_at IS NULL AND r.task_state IS NULL
        AND (r.job <> 'orders' OR EXISTS (SELECT FROM crm_order o WHERE o.account = a.name AND o.received_at < clock() - unread_after)));
END $$;
COMMENT ON FUNCTION check_readings(account, infobase) IS 'For check(): what is switched on and nobody reads, or no longer';

CREATE FUNCTION check_payments(a account, i infobase) RETURNS SETOF finding
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 3, 'error', 'method ' || f.method, f.words, format('Give the account key (secret account:%s:account_key) the right to it in SalesDrive, then SELECT salesdrive.unpause_api(%L);', a.name, a.name) FROM api_refusal f WHERE f.account = a.name;
    IF NOT a.payments_to_bas AND NOT a.payments_from_bas THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT 6, 'warning', format('secret account:%s:account_key', a.name), 'Payments travel, and no account key is set: that of the order base is used, which SalesDrive may refuse.', format('SELECT salesdrive.set_secret(''account:%s:account_key'', ''value, file:NAME or env:NAME'');', a.name)
    WHERE NOT EXISTS (SELECT FROM credential c WHERE c.name = format('account:%s:account_key', a.name)) AND NOT EXISTS (SELECT FROM crm_poll p WHERE p.account = a.name AND p.feed LIKE 'payments%' AND p.done_at IS NOT NULL)
    UNION ALL
    SELECT 6, 'warning', 'payments', 'No row of payment_rule says which bank account or cash desk of BAS payments go to.', format('INSERT INTO salesdrive.payment_rule (account, account_number, form, bas_key) VALUES (%L, ''*'', ''bank'', ''name, code or Ref_Key in BAS'');', a.name)
    WHERE NOT EXISTS (SELECT FROM payment_rule r WHERE r.account IN (a.name, '*'))
    UNION ALL
    SELECT 6, 'warning', 'payments', format('%s payments of the last 30 days name account %s of organisation %s, and no row of payment_rule is for it.', count(*), coalesce('"' || p.account_number || '"', 'none'), coalesce(p.organization_id, 'none')),
           format('INSERT INTO salesdrive.payment_rule (account, account_number, form, bas_key) VALUES (%L, %L, ''bank'', ''name, code or Ref_Key in BAS'');', a.name, coalesce(p.account_number, 'none'))
    FROM crm_payment p WHERE a.payments_to_bas AND p.account = a.name AND p.paid_at > (clock() - interval '30 days') AT TIME ZONE a.time_zone AND EXISTS (SELECT FROM payment_rule r WHERE r.account IN (a.name, '*'))
        AND (payment_rule_of(p.account, p.account_number, p.organization_id)).form IS NULL GROUP BY p.account_number, p.organization_id
    UNION ALL
    SELECT 4, 'error', 'entity ' || e, format('Profile "%s" names no document for it: payments of this kind wait.', i.profile), format('Give profile_entity and profile_property rows of profile %s, concept %s and origin user.', i.profile, e)
    FROM unnest(payment_entities()) e WHERE entity_set(i.profile, e) IS NULL AND EXISTS (SELECT FROM payment_rule r WHERE r.account IN (a.name, '*') AND e LIKE '%' || r.form)
    UNION ALL
    SELECT 4, 'error', 'entity ' || entity_set(i.profile, e), format('BAS does not publish it, or calls it otherwise; payments need it as %s.', e),
           format('Publish it and SELECT salesdrive.load_metadata(%L); or give profile_entity and profile_property rows of profile %s and origin user.', i.name, i.profile)
    FROM unnest(payment_entities()) e WHERE entity_set(i.profile, e) IS NOT NULL AND EXISTS (SELECT FROM metadata_load l WHERE l.infobase = i.name) AND NOT publishes(i.name, entity_set(i.profile, e))
        AND EXISTS (SELECT FROM payment_rule r WHERE r.account IN (a.name, '*') AND e LIKE '%' || r.form)
    UNION ALL
    SELECT 4, 'error', format('property %s.%s', s.set, p.property), 'The base has no property of this name, and BAS ignores what it does not know.', format('Give profile_property a row of profile %s, entity %s, concept %s and origin user; names are in salesdrive.bas_property.', i.profile, p.entity, p.concept)
    FROM unnest(payment_entities()) e CROSS JOIN LATERAL (VALUES (e, entity_set(i.profile, e)), ('payment_row', entity_set(i.profile, e) || '_' || entity_set(i.profile, 'payment_row'))) s (entity, set)
    JOIN profile_property_effective p ON p.profile = i.profile AND p.entity = s.entity AND p.property IS NOT NULL
    WHERE publishes(i.name, s.set) AND NOT publishes(i.name, s.set || '.' || p.property) AND EXISTS (SELECT FROM payment_rule r WHERE r.account IN (a.name, '*') AND e LIKE '%' || r.form)
    UNION ALL
    SELECT 6, 'warning', 'payments', format('%s of SalesDrive are one %s of BAS%s: what is paid there is told as a payment of %s.', string_agg(u.account_number, ' and ' ORDER BY u.account_number), CASE u.form WHEN 'cash' THEN 'cash desk' ELSE 'bank account' END,
                  coalesce(' (' || min(u.name) || ')', ''), min(u.account_number)),
           format('Let one row tell it: UPDATE salesdrive.payment_rule SET direction = ''to_bas'' WHERE account = %L AND account_number = …; or, where they are of several organisations of SalesDrive, say in each of which.', min(u.account))
    FROM (SELECT r.*, p.ref, coalesce(d.name, r.bas_key) AS name, rank() OVER (PARTITION BY r.form, r.organization, p.ref ORDER BY r.account = '*') AS turn
          FROM payment_rule r CROSS JOIN LATERAL (SELECT CASE r.form WHEN 'cash' THEN 'cash_desk' ELSE 'bank_account' END AS dictionary) l CROSS JOIN LATERAL payment_place(i.name, l.dictionary, r.bas_key) p
          LEFT JOIN dictionary_value d ON d.scope = i.name AND d.side = 'bas' AND d.dictionary = l.dictionary AND d.key = p.ref::text
          WHERE a.payments_from_bas AND r.account IN (a.name, '*') AND r.direction = 'both' AND r.account_number NOT IN ('*', 'none') AND (r.bas_key IS NULL OR p.ref IS NOT NULL)) u
    WHERE u.turn = 1 GROUP BY u.form, u.organization, u.ref HAVING count(*) > 1
    UNION ALL
    SELECT 7, 'warning', 'parked payments', format('%s payments are parked, the oldest since %s.', count(*), to_char(min(t.changed_at), 'YYYY-MM-DD HH24:MI:SS')), 'SELECT * FROM salesdrive.payment_status WHERE state = ''parked'';'
    FROM task t WHERE t.account = a.name AND t.kind IN ('payment', 'payment_out') AND t.state = 'parked' HAVING count(*) > 0;
END $$;
COMMENT ON FUNCTION check_payments(account, infobase) IS 'For check(): account key refused or missing, money without a rule or with two, documents the base does not publish, or payments that are parked';

-- Orders go without goods: only what was asked for is looked at.
CREATE FUNCTION check_goods(a account, i infobase) RETURNS SETOF finding
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT 7, 'warning', 'goods ' || t.key, coalesce(t.detail, 'They are not read.'), t.hint FROM task t WHERE t.scope = i.name AND t.kind = 'goods' AND t.state = 'parked'
    UNION ALL
    SELECT 7, 'warning', 'goods ' || s.what, format('%s of infobase "%s": %s', d.concept, i.name, d.problem), 'If the base calls it otherwise, give profile_entity or profile_property a row of origin user; else add the set to its standard OData interface.'
    FROM goods_snapshot s JOIN profile_difference d ON d.infobase = s.infobase AND NOT d.needed AND split_part(d.concept, '.', 1) = goods_entity(i, s.what) WHERE s.infobase = i.name AND s.what <> 'catalog'
    UNION ALL
    SELECT 7, 'warning', 'goods prices', format('%s prices of type %s are for packs, and the base does not tell what is in them: these goods have no price here.', s.left_out, coalesce(v.name, s.part)), 'Set the prices for the base unit in BAS, or the coefficients of the packs; then load_goods() once more.'
    FROM goods_snapshot s LEFT JOIN dictionary_value v ON v.scope = i.name AND v.side = 'bas' AND v.dictionary = 'price_type' AND v.key = s.part WHERE s.infobase = i.name AND s.what = 'prices' AND s.left_out > 0
    UNION ALL
    SELECT 7, 'warning', 'goods kits', format('%s kits have several compositions side by side, and none is the main one: they are left out.', s.left_out), 'Leave one in BAS, or name the property that tells the main one: profile_property (origin user), entity kit, concept main.'
    FROM goods_snapshot s WHERE s.infobase = i.name AND s.what = 'kits' AND s.left_out > 0;
END $$;
COMMENT ON FUNCTION check_goods(account, infobase) IS 'For check(): readings of goods that are parked, names that the base does not have, prices and kits left out';

CREATE FUNCTION check_offers(a account, i infobase) RETURNS SETOF finding
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT 6, 'warning', format('secret account:%s:yml_key', a.name), 'Products of the YML export are to be made in BAS, and the key of its link is not set.', format('SELECT salesdrive.set_secret(%L, ''the link, or its publicKey'');', format('account:%s:yml_key', a.name))
    WHERE a.products_to_bas = 'yml' AND NOT EXISTS (SELECT FROM credential c WHERE c.name = format('account:%s:yml_key', a.name))
    UNION ALL
    SELECT 6, 'warning', 'YML export', coalesce(t.detail, t.reason), t.hint FROM task t WHERE t.scope = a.name AND t.kind = 'yml' AND t.state = 'parked'
    UNION ALL
    SELECT 6, 'warning', 'YML export', format('%s products of the export are parked.', count(*)), format('SELECT sku, name, detail, hint FROM salesdrive.offer_status WHERE account = %L AND state = ''parked'';', a.name)
    FROM offer_status o WHERE o.account = a.name AND o.state = 'parked' HAVING count(*) > 0
    UNION ALL
    SELECT 6, 'warning', format('product_rule %s', r.rank), w.problem, format('UPDATE salesdrive.product_rule SET … WHERE account = %L AND rank = %s;', r.account, r.rank)
    FROM product_rule r
    LEFT JOIN LATERAL element_named(i, 'unit', r.unit) u ON r.unit IS NOT NULL
    LEFT JOIN LATERAL rate_named(i, r.vat_rate) v ON r.vat_rate IS NOT NULL
    CROSS JOIN LATERAL (
        SELECT format('It names unit "%s": %s.', r.unit, u.problem) AS problem WHERE u.problem IS NOT NULL
        UNION ALL SELECT format('It names vat_rate "%s": %s.', r.vat_rate, v.problem) WHERE v.problem IS NOT NULL
        UNION ALL SELECT format('It names kind "%s", which products of profile "%s" cannot have.', r.kind, i.profile) WHERE r.kind IS NOT NULL AND kind_named(i, r.kind) IS NULL
        UNION ALL SELECT format('It names folder "%s", and the base has %s of that name.', r.folder, cardinality(folder_named(i.name, r.folder)))
                  WHERE r.folder <> 'same' AND cardinality(folder_named(i.name, r.folder)) <> 1 AND EXISTS (SELECT FROM goods_snapshot s WHERE s.infobase = i.name AND s.what = 'catalog' AND s.complete_at IS NOT NULL)) w
    WHERE r.account IN (a.name, '*') AND (a.products_to_bas <> 'off' OR a.unknown_sku = 'create');
END $$;
COMMENT ON FUNCTION check_offers(account, infobase) IS 'For check(): rules for products that name what the base does not have, a YML export that is not read, products that are parked';

CREATE FUNCTION check_pushes(a account, i infobase) RETURNS SETOF finding
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM account_goods g WHERE g.account = a.name) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT 6, 'warning', CASE w.what WHEN 'stock' THEN 'stock' ELSE 'prices' END, p.detail, p.hint
    FROM (VALUES ('stock'), ('price')) w (what) CROSS JOIN LATERAL push_problem(a.name, w.what) p WHERE p.detail IS NOT NULL
    UNION ALL
    SELECT 6, 'warning', 'goods ' || u.property, u.detail, u.hint FROM unread_properties(a.name) u
    UNION ALL
    SELECT 6, 'warning', 'stock ' || coalesce(d.name, s.warehouse::text), format('%s goods are in stock there, and the warehouse is no stock of SalesDrive.', s.goods), format('SELECT salesdrive.map_value(%L, ''warehouse'', ''number of the stock'', %L, direction => ''to_crm''); or leave it, if it is not for sale.', a.name, s.warehouse)
    FROM (SELECT b.warehouse, count(DISTINCT b.product) AS goods FROM account_goods g JOIN bas_stock b ON b.infobase = i.name AND b.quantity > 0 WHERE g.account = a.name AND g.stock_by = 'warehouse' GROUP BY b.warehouse) s
    LEFT JOIN dictionary_value d ON d.scope = i.name AND d.side = 'bas' AND d.dictionary = 'warehouse' AND d.key = s.warehouse::text
    WHERE s.warehouse NOT IN (SELECT m.warehouse FROM stock_map(a.name) m)
    UNION ALL
    SELECT 6, 'warning', 'stock ' || coalesce(m.bas_key, ''), format('Stock %s of SalesDrive gets nothing: its warehouse counts for stock %s.', m.crm_key, t.stock), format('One warehouse of BAS is one stock: DELETE FROM salesdrive.value_map WHERE account = %L AND dictionary = ''warehouse'' AND crm_key = %L; or give it direction to_bas.', m.account, m.crm_key)
    FROM value_map m CROSS JOIN LATERAL chosen_value(i.name, 'warehouse', m.bas_key) c JOIN stock_map(a.name) t ON t.warehouse = c.ref
    WHERE m.account IN (a.name, '*') AND m.dictionary = 'warehouse' AND m.direction IN ('to_crm', 'both') AND m.crm_key NOT IN ('*', t.stock) AND NOT EXISTS (SELECT FROM stock_map(a.name) x WHERE x.stock = m.crm_key)
      AND EXISTS (SELECT FROM account_goods g WHERE g.account = a.name AND g.stock_by = 'warehouse')
    UNION ALL
    SELECT 7, 'warning', 'push ' || string_agg(p.what, ', ' ORDER BY p.what), format('%s goods are not sent.', p.left_out), format('SELECT * FROM salesdrive.unsent_good WHERE account = %L; tells each, and what to do.', a.name)
    FROM push_progress p WHERE p.account = a.name AND p.left_out > 0 GROUP BY p.left_out    -- mostly the same goods, left out for their cards
    UNION ALL
    SELECT 7, 'warning', 'push ' || r.what, format('%s products are refused by SalesDrive.', r.n), format('SELECT * FROM salesdrive.pushed_good WHERE account = %L AND what = %L AND state = ''refused'';', a.name, r.what)
    FROM (SELECT s.what, count(*) AS n FROM product_sync s WHERE s.account = a.name AND s.state = 'refused' GROUP BY s.what) r
    UNION ALL
    SELECT 7, 'warning', 'push ' || p.what, CASE p.state WHEN 'guarded' THEN 'It is stopped: ' ELSE 'It is parked: ' END || p.detail, p.hint FROM push_progress p WHERE p.account = a.name AND p.state IN ('guarded', 'parked') AND p.detail IS NOT NULL;
END $$;
COMMENT ON FUNCTION check_pushes(account, infobase) IS 'For check(): warehouses and price types that are not mapped, goods that are not sent or refused, pushes that are stopped';

CREATE FUNCTION check_peers(a account, i infobase, answers peer_answer[]) RETURNS SETOF finding
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    published text[] := (SELECT p.names FROM unnest(answers) p WHERE p.names IS NOT NULL AND p.entity IS NULL);
    reached   boolean := EXISTS (SELECT FROM unnest(answers) p WHERE p.entity IS NULL AND p.subject LIKE 'infobase %' AND p.class = 'ok');
BEGIN
    RETURN QUERY
    SELECT 3, 'error', p.subject, h.problem || ' ' || p.said, h.hint
    FROM unnest(answers) p
    CROSS JOIN LATERAL (SELECT * FROM (VALUES
        (p.http_status = 401, 'BAS does not know the user or the password.', format('UPDATE salesdrive.infobase SET username = … or SELECT salesdrive.set_secret(%L, …);', 'infobase:' || i.name || ':password')),
        (p.http_status = 404, 'There is no OData interface at this address.', 'Publish the base with the standard OData interface (a publication file with standardOdata enable="true"), or correct infobase.url.'),
        (p.class = 'config', 'The address cannot be asked.', 'Correct infobase.url, ca_file or allow_http.'),
        (true, 'BAS does not answer as it should.', 'Is it running? Look at the address in a browser; the first answer after a rest may take 30 s: try again.')) v (applies, problem, hint)
        WHERE v.applies LIMIT 1) h
    WHERE p.subject LIKE 'infobase %' AND p.entity IS NULL AND p.class IS DISTINCT FROM 'ok'
    UNION ALL
    SELECT 3, CASE WHEN k.refused THEN 'error' ELSE 'warning' END, p.subject,
           CASE WHEN k.refused THEN 'SalesDrive does not take the key. ' ELSE 'SalesDrive does not answer as it should. ' END || p.said,
           CASE WHEN k.refused THEN format('SELECT salesdrive.set_secret(%L, …) with a key of the order base.', 'account:' || a.name || ':api_key') ELSE 'Correct account.url, or try again; webhooks do not depend on it.' END
    FROM unnest(answers) p CROSS JOIN LATERAL (SELECT p.http_status IN (401, 403) OR p.said ~* '\mkey\M' AS refused) k WHERE p.subject LIKE 'account %' AND p.class IS DISTINCT FROM 'ok'
    UNION ALL
    SELECT 4, 'error', 'entity ' || s.set, format('BAS does not publish it; the profile needs it as %s.', s.entity),
           'Add it to the standard OData interface of the base (in the form that sets its composition, or by УстановитьСоставСтандартногоИнтерфейсаOData). If the base calls it otherwise, give profile_entity a row of origin user.'
    FROM profile_sets(i.profile) s WHERE published IS NOT NULL AND s.entity NOT IN ('order_line', 'attribute_row') AND NOT s.set = ANY (published)
    UNION ALL
    SELECT 4, CASE WHEN p.http_status IS NULL THEN 'warning' ELSE 'error' END, 'entity ' || s.set,
           CASE WHEN p.http_status IN (401, 403) OR p.odata_code = '20' THEN 'The user may not read it. '
                WHEN p.odata_code = '6' THEN 'A property the profile names is missing there. '
                ELSE 'It cannot be read. ' END || p.said,
           CASE WHEN p.http_status IN (401, 403) OR p.odata_code = '20' THEN format('Give the BAS user "%s" a role that reads and writes it, and the right of remote access.', i.username)
                WHEN p.odata_code = '6' THEN format('Give profile_property a row of profile %s, entity %s and origin user with the right name, or NULL to leave it out.', i.profile, s.entity)
                ELSE 'Look at the address in a browser: ' || p.address END
    FROM unnest(answers) p JOIN profile_sets(i.profile) s ON s.entity = p.entity
    WHERE reached AND p.class IS DISTINCT FROM 'ok' AND (published IS NULL OR s.entity = 'order_line' AND entity_set(i.profile, 'order') = ANY (published) OR s.set = ANY (published))
    UNION ALL
    SELECT 4, 'error', 'setting ' || o.option, format('Infobase "%s" has no %s "%s".', i.name, CASE o.option WHEN 'fixed_counterparty' THEN 'counterparty' ELSE 'product' END, o.value),
           CASE WHEN o.option <> 'fixed_counterparty' THEN 'Create it in BAS with this article, or ' ELSE '' END || format('UPDATE salesdrive.account SET %s = … WHERE name = %L;', o.option, a.name)
    FROM unnest(answers) p JOIN account_options(a) o ON p.entity = 'option ' || o.option WHERE p.class = 'ok' AND p.rows = 0
    UNION ALL
    SELECT 4, 'error', 'entity ' || s.set, 'There is no kind of contact information for phones of counterparties: nothing fits ' || s.filter || '.',
           'Open the base once in a newer release, so that it makes its predefined kinds; or give profile_entity a row of origin user for contact_kind with another condition.'
    FROM unnest(answers) p JOIN profile_sets(i.profile) s ON s.entity = p.entity WHERE p.entity = 'contact_kind' AND p.class = 'ok' AND p.rows = 0;
END $$;
COMMENT ON FUNCTION check_peers(account, infobase, peer_answer[]) IS 'For check(): connection, user, key, what is not published, may not be read or has other names';

CREATE FUNCTION salesdrive.check(account text) RETURNS TABLE (severity text, subject text, problem text, hint text)
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    a account := require_account(account);
    i infobase := require_infobase(a.infobase);
    answers peer_answer[] := '{}';
    found finding[];
BEGIN
    IF NOT EXISTS (SELECT FROM check_database(a, i) d WHERE d.rank <= 2 AND d.severity = 'error') THEN
        answers := ARRAY(SELECT p FROM ask_peers(a.name, true) p);
    END IF;
    SELECT array_agg(f) INTO found FROM (
        SELECT * FROM check_database(a, i) UNION ALL SELECT * FROM check_workers(a, i) UNION ALL SELECT * FROM check_settings(a, i)
        UNION ALL SELECT * FROM check_fields(a, i) UNION ALL SELECT * FROM check_enums(a, i) UNION ALL SELECT * FROM check_followups(a, i) UNION ALL SELECT * FROM check_orders(a, i) UNION ALL SELECT * FROM check_readings(a, i) UNION ALL SELECT * FROM check_goods(a, i) UNION ALL SELECT * FROM check_offers(a, i) UNION ALL SELECT * FROM check_pushes(a, i) UNION ALL SELECT * FROM check_payments(a, i) UNION ALL SELECT * FROM check_peers(a, i, answers)) f;
    RETURN QUERY
    SELECT f.severity, f.subject, f.problem, f.hint FROM unnest(coalesce(found, ARRAY[ROW(99, 'ok', 'account ' || a.name, 'all is well', NULL)::finding])) f
    ORDER BY f.rank, f.severity, f.subject, f.problem;
END $$;
COMMENT ON FUNCTION salesdrive.check(text) IS 'Everything that would keep the orders of an account from travelling: severity, subject, problem, hint; asks both peers, which takes at most 15 s; one row "all is well" when there is nothing';
