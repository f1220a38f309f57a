-- Purpose: recurring work by pg_cron: one statement a job, short, and without harm when it comes twice. Any other scheduler can make the same calls.
-- Rights: 'admin', who needs the rights of pg_cron, too.

CREATE TABLE job_off (
    scope  text NOT NULL,
    job    text NOT NULL,
    off_at timestamptz NOT NULL DEFAULT clock(),
    off_by name NOT NULL DEFAULT current_user,
    PRIMARY KEY (scope, job)
);
COMMENT ON TABLE job_off IS 'Jobs that unschedule() ended: schedule_defaults() leaves them off, schedule() brings one back';
COMMENT ON COLUMN job_off.scope IS 'Account or infobase of the job; empty: the database';
COMMENT ON COLUMN job_off.job IS 'Job, as in default_schedules()';
COMMENT ON COLUMN job_off.off_at IS 'When it was ended';
COMMENT ON COLUMN job_off.off_by IS 'By whom';

CREATE FUNCTION cron_problem(OUT problem text, OUT home text) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
        RETURN;
    END IF;
    home := nullif(current_setting('cron.database_name', true), '');
    problem := CASE WHEN home IS NULL THEN 'pg_cron is not loaded by this server.'
                    WHEN home = current_database() THEN 'pg_cron is loaded, and its extension is not created in this database.'
                    ELSE format('pg_cron lives in database "%s", not in this one.', home) END;
    home := coalesce(home, 'postgres');
END $$;
COMMENT ON FUNCTION cron_problem() IS 'Why jobs cannot be scheduled from this database, and where pg_cron lives or would live; NULL when they can';

-- pg_cron shows everybody his own jobs, and takes a name once for each role: so it is asked as the owner of the extension.
CREATE FUNCTION job_owner(name text) RETURNS name
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
DECLARE
    owner name;
BEGIN
    EXECUTE 'SELECT j.username FROM cron.job j WHERE j.jobname = $1 AND j.database = current_database() ORDER BY j.jobid LIMIT 1' INTO owner USING name;
    RETURN owner;
END $$;
COMMENT ON FUNCTION job_owner(text) IS 'Role whose job of this name there is in pg_cron for this database';

-- As the owner, likewise. pg_cron keeps its runs for ever and has no index by job: only the youngest are looked at.
CREATE FUNCTION failed_jobs() RETURNS TABLE (name text, owner name, message text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF to_regclass('cron.job_run_details') IS NULL OR NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE $q$
        SELECT coalesce(j.jobname::text, j.command), j.username::name, d.return_message
        FROM (SELECT DISTINCT ON (r.jobid) r.jobid, r.status, r.return_message FROM cron.job_run_details r
              WHERE r.runid > (SELECT max(y.runid) - 10000 FROM cron.job_run_details y) AND r.status IN ('succeeded', 'failed') ORDER BY r.jobid, r.runid DESC) d
        JOIN cron.job j USING (jobid)
        WHERE d.status = 'failed' AND j.active AND j.database = current_database() AND j.command ~ '\msalesdrive\.'
        ORDER BY j.jobid $q$;
END $$;
COMMENT ON FUNCTION failed_jobs() IS 'Jobs of pg_cron for the exchange of this database whose last run failed, and what pg_cron says; empty where pg_cron lives in another database';

CREATE FUNCTION default_schedules(account text) RETURNS TABLE (job text, cron text, command text, name text, elsewhere text, wanted boolean, scope text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    a account := require_account(account);
BEGIN
    RETURN QUERY
    SELECT d.job, d.cron, d.command, n.name, format('SELECT cron.schedule_in_database(%L, %L, %L, %L);', n.name, d.cron, d.command, current_database()), d.wanted, coalesce(d.scope, '')
    FROM (VALUES ('orders',       a.name,     '*/3 * * * *', format('SELECT salesdrive.fetch_orders(%L)', a.name), true),
                 ('statuses',     a.infobase, '*/5 * * * *', format('SELECT salesdrive.pull_statuses(%L)', a.infobase), a.status_from_bas OR a.sum_comment IS NOT NULL OR has_followup_rules('bas')),
                 ('payments',     a.name,     '*/15 * * * *', format('SELECT salesdrive.fetch_payments(%L)', a.name), a.payments_to_bas),
                 ('bas_payments', a.infobase, '*/15 * * * *', format('SELECT salesdrive.pull_payments(%L)', a.infobase), a.payments_from_bas),
                 ('receipts',     a.name,     '*/30 * * * *', format('SELECT salesdrive.fetch_receipts(%L)', a.name), false),
                 ('dictionaries', a.name,     '40 5 * * *',  format('SELECT salesdrive.load_dictionaries(%L)', a.name), true),
                 ('metadata',     a.infobase, '20 4 * * *',  format('SELECT salesdrive.load_metadata(%L)', a.infobase), true),
                 ('products',     a.infobase, '10 4 * * *',  format('SELECT salesdrive.load_products(%L)', a.infobase), false),
                 ('yml',          a.name,     '15 5 * * *',  format('SELECT salesdrive.load_yml(%L)', a.name), a.products_to_bas = 'yml'),
                 ('stock',        a.name,     '*/15 * * * *', format('SELECT salesdrive.push_stock(%L)', a.name), EXISTS (SELECT FROM account_goods g WHERE g.account = a.name)),
                 ('prices',       a.name,     '25 * * * *',  format('SELECT salesdrive.push_prices(%L)', a.name), EXISTS (SELECT FROM account_goods g JOIN account_price p USING (account) WHERE g.account = a.name AND p.role = 'main')),
                 ('goods',        a.name,     '50 4 * * *',  format('SELECT salesdrive.push_products(%L)', a.name), EXISTS (SELECT FROM account_goods g WHERE g.account = a.name)),
                 ('retention',    NULL,       '17 3 * * *',  'CALL salesdrive.maintain()', true),
                 ('health',       NULL,       '10 0 * * *',  'SELECT salesdrive.health_row()', true),
                 ('run',          NULL,       '* * * * *',   'CALL salesdrive.run()', true)) d (job, scope, cron, command, wanted)
    CROSS JOIN LATERAL (SELECT concat_ws(' ', 'salesdrive', current_database(), d.scope, d.job) AS name) n;    -- pg_cron serves all databases
END $$;
COMMENT ON FUNCTION default_schedules(text) IS 'Jobs there are for an account, each with its usual times, its statement, its name in pg_cron, and the call that makes it where pg_cron lives in another database; wanted: schedule_defaults() makes it, unless job_off has it. Jobs of its base, and of the database, are shared by their accounts; beside a worker, run does nothing';

CREATE FUNCTION account_readings(account text) RETURNS TABLE (job text, what text, subject text, command text, cron text, wanted boolean, read_at timestamptz, task_state text, asked_at timestamptz, detail text, hint text, told boolean)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    a account := require_account(account);
    i infobase := require_infobase(a.infobase);
    x account_api := (SELECT p FROM account_api p WHERE p.account = a.name);
BEGIN
    RETURN QUERY
    SELECT d.job, r.what, r.subject, d.command, d.cron, d.wanted, r.read_at, t.state, t.created_at, t.detail, t.hint,
           a.paused_at IS NOT NULL OR CASE WHEN r.scope = a.name THEN x.paused_at IS NOT NULL OR x.circuit_failures >= x.circuit_after ELSE i.paused_at IS NOT NULL OR i.circuit_failures >= i.circuit_after END
    FROM (SELECT 'orders' AS job, 'What changed in SalesDrive' AS what, 'orders of the API' AS subject, a.name AS scope, 'crm_orders' AS kind, 'live' AS key,
                 (SELECT coalesce(p.seen_until, p.started_at) FROM crm_poll p WHERE p.account = a.name AND p.feed = 'live') AS read_at
          UNION ALL SELECT 'payments', 'Payments of SalesDrive', 'payments', a.name, 'crm_payments', 'payments', (SELECT coalesce(p.done_at, p.started_at) FROM crm_poll p WHERE p.account = a.name AND p.feed = 'payments')
          UNION ALL SELECT 'statuses', 'What changed in documents of BAS', 'statuses', i.name, 'statuses', 'orders', (SELECT coalesce(p.done_at, p.started_at) FROM status_poll p WHERE p.infobase = i.name AND p.what = 'orders')
          UNION ALL SELECT 'bas_payments', 'Payment documents of BAS', 'payments', i.name, 'bas_payments', 'payments', (SELECT coalesce(p.done_at, p.started_at) FROM payment_poll p WHERE p.infobase = i.name)) r
    JOIN default_schedules(a.name) d ON d.job = r.job
    LEFT JOIN task t ON t.scope = r.scope AND t.kind = r.kind AND t.key = r.key;
END $$;
COMMENT ON FUNCTION account_readings(text) IS 'What is read again and again for an account: whether its switches ask for it, when it was done last, its task; told: a pause or an open circuit tells already why not';

CREATE FUNCTION require_job(account text, job text) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    d record;
BEGIN
    SELECT * INTO d FROM default_schedules(account) s WHERE s.job = require_job.job;
    IF d IS NULL THEN
        RAISE EXCEPTION 'there is no job "%"', job USING ERRCODE = '22023', HINT = format('Jobs: %s.', (SELECT string_agg(s.job, ', ') FROM default_schedules(account) s));
    END IF;
    RETURN d;
END $$;
COMMENT ON FUNCTION require_job(text, text) IS 'A row of default_schedules(), or an error';

CREATE FUNCTION schedule(account text, job text, cron text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    d     record := require_job(account, job);
    c     record := cron_problem();
    owner name;
BEGIN
    IF nullif(btrim(cron), '') IS NULL THEN
        RAISE EXCEPTION 'job "%" has no times', job USING ERRCODE = '22023', HINT = format('Example: schedule(%L, %L, %L).', account, job, d.cron);
    ELSIF c.problem IS NOT NULL THEN
        RAISE EXCEPTION 'job "%" cannot be scheduled from here', job
            USING ERRCODE = '55000', DETAIL = c.problem,
                  HINT = CASE WHEN c.problem LIKE '%lives in%' THEN format('In database "%s": SELECT cron.schedule_in_database(%L, %L, %L, %L);', c.home, d.name, cron, d.command, current_database())
                              WHEN c.problem LIKE '%not created%' THEN 'CREATE EXTENSION pg_cron; as superuser.'
                              ELSE format('Load pg_cron (shared_preload_libraries), or let any other scheduler do: %s', d.command) END;
    ELSIF cron ~* 'seconds?\s*$' AND (SELECT string_to_array(regexp_replace(e.extversion, '[^0-9.].*', ''), '.')::integer[] < ARRAY[1, 5] FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
        RAISE EXCEPTION 'pg_cron % knows no seconds', (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'pg_cron')
            USING ERRCODE = '0A000', HINT = 'They came with version 1.5; before, a minute is the shortest time: * * * * *.';
    END IF;
    owner := job_owner(d.name);
    IF owner <> current_user THEN    -- the same work would be done twice
        RAISE EXCEPTION 'job "%" is scheduled by role "%" already', job, owner
            USING ERRCODE = '42710', DETAIL = format('Its name in pg_cron is "%s".', d.name),
                  HINT = format('Change it as that role, or end it first: as "%s" or a superuser, SELECT salesdrive.unschedule(%L, %L);', owner, account, job);
    END IF;
    EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING d.name, cron, d.command;
    DELETE FROM job_off o WHERE o.scope = d.scope AND o.job = d.job;
END $$;
COMMENT ON FUNCTION schedule(text, text, text) IS 'Has a job of an account run by pg_cron at the times given, or at others from now on. Where pg_cron lives in another database, the error says what to run there';

CREATE FUNCTION unschedule(account text, job text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    d     record := require_job(account, job);
    c     record := cron_problem();
    owner name;
    done  boolean;
BEGIN
    IF c.problem IS NOT NULL THEN
        RAISE EXCEPTION 'job "%" cannot be unscheduled from here', job
            USING ERRCODE = '55000', DETAIL = c.problem,
                  HINT = CASE WHEN c.problem LIKE '%lives in%' THEN format('In database "%s": SELECT cron.unschedule(%L);', c.home, d.name)
                              ELSE format('pg_cron runs no job here. Does another scheduler call it? Take this out there: %s', d.command) END;
    END IF;
    owner := job_owner(d.name);
    IF owner <> current_user AND NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
        RAISE EXCEPTION 'job "%" is of role "%"', job, owner USING ERRCODE = '42501', HINT = format('As that role, or as a superuser: SELECT salesdrive.unschedule(%L, %L);', account, job);
    END IF;
    EXECUTE 'SELECT count(cron.unschedule(j.jobid)) > 0 FROM cron.job j WHERE j.jobname = $1 AND j.database = current_database()' INTO done USING d.name;
    INSERT INTO job_off (scope, job) VALUES (d.scope, d.job) ON CONFLICT DO NOTHING;
    RETURN done;
END $$;
COMMENT ON FUNCTION unschedule(text, text) IS 'Ends a job, and keeps schedule_defaults() from making it; false when pg_cron had none';

CREATE FUNCTION schedule_defaults(account text) RETURNS SETOF text
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    a account := require_account(account);
    c record := cron_problem();
    d record;
BEGIN
    IF c.problem IS NOT NULL THEN
        RAISE EXCEPTION 'the jobs of account "%" cannot be scheduled from here', account
            USING ERRCODE = '55000', DETAIL = c.problem, HINT = format('SELECT elsewhere FROM salesdrive.default_schedules(%L) WHERE wanted; gives the statements for database "%s"; any other scheduler can run the commands.', a.name, c.home);
    END IF;
    FOR d IN SELECT * FROM default_schedules(a.name) s WHERE s.wanted AND job_owner(s.name) IS NULL AND NOT EXISTS (SELECT FROM job_off o WHERE o.scope = s.scope AND o.job = s.job) LOOP
        PERFORM schedule(a.name, d.job, d.cron);
        RETURN NEXT d.job;
    END LOOP;
END $$;
COMMENT ON FUNCTION schedule_defaults(text) IS 'Schedules by pg_cron what an account needs and what is not there yet, but for what unschedule() ended: changed orders every three minutes, statuses where they come from BAS every five, payments where they travel every fifteen, stock, prices and goods where account_goods has a row, lists and $metadata once a day, history, the row of health, and the engine where no worker runs; returns the jobs it has made';
