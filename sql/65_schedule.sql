-- Purpose: recurring work by pg_cron: one statement a job, short, and without harm when it comes twice. Any other scheduler can make the same calls.
-- Rights: 'admin', who needs the rights of pg_cron, too.

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

CREATE FUNCTION job_name(job text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN format('salesdrive %s %s', current_database(), job);
COMMENT ON FUNCTION job_name(text) IS 'Name of a job in pg_cron, which serves all databases';

CREATE FUNCTION schedule(job text, schedule text, command text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    c record := cron_problem();
BEGIN
    IF nullif(btrim(job), '') IS NULL OR nullif(btrim(schedule), '') IS NULL OR nullif(btrim(command), '') IS NULL THEN
        RAISE EXCEPTION 'a job has a name, a schedule and a command' USING ERRCODE = '22023', HINT = 'Example: schedule(''orders'', ''*/3 * * * *'', ''SELECT salesdrive.fetch_orders(''''shop'''')'').';
    ELSIF c.problem IS NOT NULL THEN
        RAISE EXCEPTION 'job "%" cannot be scheduled from here', job
            USING ERRCODE = '55000', DETAIL = c.problem,
                  HINT = CASE WHEN c.problem LIKE '%lives in%' THEN format('In database "%s": SELECT cron.schedule_in_database(%L, %L, %L, %L);', c.home, job_name(job), schedule, command, current_database())
                              WHEN c.problem LIKE '%not created%' THEN 'CREATE EXTENSION pg_cron; as superuser.'
                              ELSE format('Load pg_cron (shared_preload_libraries), or let any other scheduler do: %s', command) END;
    END IF;
    EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING job_name(job), schedule, command;
END $$;
COMMENT ON FUNCTION schedule(text, text, text) IS 'Has a statement run by pg_cron in this database; the same job again changes it. Where pg_cron lives in another database, the error says what to run there';

CREATE FUNCTION unschedule(job text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    c    record := cron_problem();
    done boolean;
BEGIN
    IF c.problem IS NOT NULL THEN
        RAISE EXCEPTION 'job "%" cannot be unscheduled from here', job
            USING ERRCODE = '55000', DETAIL = c.problem, HINT = format('In database "%s": SELECT cron.unschedule(%L);', c.home, job_name(job));
    END IF;
    EXECUTE 'SELECT count(cron.unschedule(j.jobname)) > 0 FROM cron.job j WHERE j.jobname = $1' INTO done USING job_name(job);
    RETURN done;
END $$;
COMMENT ON FUNCTION unschedule(text) IS 'Ends a job of schedule(); false when there is none';

CREATE FUNCTION default_schedules(account text) RETURNS TABLE (job text, schedule text, command text, elsewhere text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    a account := require_account(account);
BEGIN
    RETURN QUERY
    SELECT d.job, d.schedule, d.command, format('SELECT cron.schedule_in_database(%L, %L, %L, %L);', job_name(d.job), d.schedule, d.command, current_database())
    FROM (VALUES ('orders of ' || a.name, '*/3 * * * *', format('SELECT salesdrive.fetch_orders(%L)', a.name)),
                 ('values of ' || a.name, '40 5 * * *', format('SELECT salesdrive.load_dictionaries(%L)', a.name)),
                 ('history', '17 3 * * *', 'CALL salesdrive.maintain()'),
                 ('health', '10 0 * * *', 'SELECT salesdrive.health_row()'),
                 ('run', '* * * * *', 'CALL salesdrive.run()')) d (job, schedule, command);
END $$;
COMMENT ON FUNCTION default_schedules(text) IS 'Jobs that schedule_defaults() makes, and for each the statement that makes it where pg_cron lives in another database. Beside a worker, run does nothing';

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
            USING ERRCODE = '55000', DETAIL = c.problem, HINT = format('SELECT elsewhere FROM salesdrive.default_schedules(%L); gives the statements for database "%s"; any other scheduler can run the commands.', a.name, c.home);
    END IF;
    FOR d IN SELECT * FROM default_schedules(a.name) LOOP
        PERFORM schedule(d.job, d.schedule, d.command);
        RETURN NEXT d.job;
    END LOOP;
END $$;
COMMENT ON FUNCTION schedule_defaults(text) IS 'Schedules by pg_cron what an account needs: changed orders every three minutes, values once a day, history, and the engine where no worker runs; returns the jobs';
