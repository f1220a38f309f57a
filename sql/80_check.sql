-- Purpose: check(): what would fail, before it fails.
-- Rights: 'operator'.

CREATE FUNCTION salesdrive.check(account text) RETURNS TABLE (severity text, subject text, problem text, hint text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    a account := require_account(account);
    i infobase := require_infobase(a.infobase);
BEGIN
    RETURN QUERY
    WITH found AS (
        SELECT 1 AS rank, 'error' AS severity, 'database' AS subject, quiet_reason() AS problem,
               CASE WHEN EXISTS (SELECT FROM instance n, system_identity() s WHERE (n.system_identifier, n.database_oid) IS DISTINCT FROM (s.system_identifier, s.database_oid))
                    THEN 'Stop the other database first; then SELECT salesdrive.adopt();'
                    WHEN EXISTS (SELECT FROM instance) THEN 'SELECT salesdrive.adopt(); and put the new name into salesdrive.databases.'
                    ELSE 'SELECT salesdrive.adopt();' END AS hint
        WHERE quiet_reason() IS NOT NULL
        UNION ALL
        SELECT 2, 'error', 'secret ' || n.name, 'The secret is not set here.', format('SELECT salesdrive.set_secret(%L, ''value, file:NAME or env:NAME'');', n.name)
        FROM (VALUES ('infobase:' || a.infobase || ':password'), ('account:' || a.name || ':api_key'), ('account:' || a.name || ':webhook_token')) n (name)
        WHERE NOT EXISTS (SELECT FROM credential c LEFT JOIN credential_secret s USING (name) WHERE c.name = n.name AND (c.kind <> 'literal' OR s.name IS NOT NULL))
        UNION ALL
        SELECT 2, CASE WHEN p LIKE 'The webhook token has%' THEN 'warning' ELSE 'error' END, 'secret ' || n.name, p, format('SELECT salesdrive.set_secret(%L, ''value, file:NAME or env:NAME'');', n.name)
        FROM (VALUES ('infobase:' || a.infobase || ':password'), ('account:' || a.name || ':api_key'), ('account:' || a.name || ':webhook_token')) n (name)
        CROSS JOIN LATERAL secret_problem(n.name) p WHERE p IS NOT NULL
        UNION ALL
        SELECT 3, 'error', 'infobase ' || i.name, 'It is paused: ' || i.paused_reason, format('SELECT salesdrive.unpause_infobase(%L);', i.name) WHERE i.paused_at IS NOT NULL
        UNION ALL
        SELECT 3, 'warning', 'infobase ' || i.name, format('Its last %s requests failed.', i.circuit_failures), 'Look at exchange_log: is BAS running and reachable?' WHERE i.circuit_failures >= i.circuit_after
        UNION ALL
        SELECT 3, 'error', 'account ' || a.name, 'It is paused: ' || a.paused_reason, format('SELECT salesdrive.unpause(%L);', a.name) WHERE a.paused_at IS NOT NULL
        UNION ALL
        SELECT 4, 'warning', 'worker ' || r.role, format('The %s of this database is not running.', r.role),
               'Add the database to salesdrive.databases (with shared_preload_libraries), or SELECT salesdrive.start_workers(); without workers CALL salesdrive.run() drives the exchange.'
        FROM (VALUES ('receiver'), ('exchanger')) r (role)
        WHERE NOT EXISTS (SELECT FROM worker_state() w WHERE w.role = r.role AND w.pid IS NOT NULL)
          AND NOT (r.role = 'receiver' AND current_setting('salesdrive.port', true) = '0')
        UNION ALL
        SELECT 4, 'warning', 'worker ' || w.role, w.last_error, 'See the server log; restart_workers() tries again at once.' FROM worker_state() w WHERE w.last_error IS NOT NULL AND w.last_error <> ''
        UNION ALL
        SELECT 5, 'warning', 'worker ' || w.role, format('It runs as superuser "%s"; functions written by users are refused.', w.runs_as),
               'Make a role for it: CREATE ROLE exchange LOGIN; SELECT salesdrive.grant_access(''exchange'', ''admin''); ALTER DATABASE … SET salesdrive.role = ''exchange''; SELECT salesdrive.restart_workers();'
        FROM worker_status w WHERE w.is_superuser AND w.role <> 'launcher'
        UNION ALL
        SELECT 5, 'warning', 'role ' || r.rolname, format('Workers of this database run as role "%s", which may not run the exchange.', r.rolname),
               format('SELECT salesdrive.grant_access(%L, ''admin''); or name another role in salesdrive.role; then SELECT salesdrive.restart_workers();', r.rolname)
        FROM pg_roles r JOIN pg_database d ON d.datname = current_database()
        WHERE r.rolname = coalesce(nullif(current_setting('salesdrive.role', true), ''), pg_get_userbyid(d.datdba))
          AND NOT (has_schema_privilege(r.oid, 'salesdrive', 'USAGE') AND has_function_privilege(r.oid, 'claim(integer)', 'EXECUTE'))
        UNION ALL
        SELECT 6, 'warning', 'setting ' || w.setting, w.detail, format('UPDATE salesdrive.account SET %s = … WHERE name = %L;', w.setting, a.name)
        FROM account_settings(ARRAY[a.name]) s CROSS JOIN LATERAL ROWS FROM (few(s.wrong), few(s.wrong_detail)) w (setting, detail) WHERE s.unread IS NULL
        UNION ALL
        SELECT 6, 'warning', format('value %s %s', m.dictionary, m.crm_key), format('value_map gives "%s", which %s "%s" (there: %s).', m.bas_key, c.problem, a.infobase, coalesce(c.candidates, 'nothing')),
               map_call(m.account, m.dictionary, m.crm_key)
        FROM value_map m JOIN dictionary_load l ON l.infobase = a.infobase AND l.dictionary = m.dictionary
        CROSS JOIN LATERAL chosen_value(a.infobase, m.dictionary, m.bas_key, NULL) c
        WHERE m.account IN (a.name, '*') AND m.direction IN ('to_bas', 'both') AND m.bas_key IS NOT NULL AND c.problem IS NOT NULL
        UNION ALL
        SELECT 7, 'warning', 'parked orders', format('%s orders are parked, the oldest since %s.', count(*), to_char(min(p.parked_at), 'YYYY-MM-DD HH24:MI:SS')), 'SELECT * FROM salesdrive.parked;'
        FROM parked p WHERE p.account = a.name HAVING count(*) > 0
        UNION ALL
        SELECT 8, 'warning', 'rejected deliveries', format('%s deliveries of the last day could not be read.', count(*)), 'SELECT * FROM salesdrive.inbox_reject;'
        FROM inbox_reject r WHERE r.account = a.name AND r.received_at > clock() - interval '1 day' HAVING count(*) > 0
    )
    SELECT f.severity, f.subject, f.problem, f.hint FROM (
        SELECT * FROM found
        UNION ALL SELECT 99, 'ok', 'account ' || a.name, 'all is well', NULL WHERE NOT EXISTS (SELECT FROM found)) f
    ORDER BY f.rank, f.subject;
END $$;
COMMENT ON FUNCTION salesdrive.check(text) IS 'Everything that would keep the orders of an account from travelling: severity, subject, problem, hint; one row "all is well" when there is nothing';
