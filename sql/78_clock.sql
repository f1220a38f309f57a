-- Purpose: a clock of this server that was ahead and went back. What was written meanwhile lies in the future: tasks would wait until then, quotas stay
-- used up, and readings begin after what is to be read.
-- Rights: the engine's role.
--
-- It is looked for when an engine begins and with each sweep, in times that are always written as now. A minute is let pass, which overlaps cover. Then
-- what lies in the future is put right, and told once.

CREATE FUNCTION clock_ahead() RETURNS interval
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp SET jit = off AS $$
BEGIN
    RETURN (SELECT max(w.at) - clock() FROM (
        SELECT max(p.started_at) AS at FROM crm_poll p
        UNION ALL SELECT max(p.started_at) FROM status_poll p
        UNION ALL SELECT max(p.started_at) FROM payment_poll p
        UNION ALL SELECT max(t.changed_at) FROM (SELECT i.name FROM infobase i UNION ALL SELECT 'account:' || p.account FROM account_api p) b
            CROSS JOIN LATERAL (SELECT k.changed_at FROM task k WHERE k.target = b.name AND k.state = 'ready' AND k.run_at > clock() ORDER BY k.run_at DESC LIMIT 100) t) w);
END $$;
COMMENT ON FUNCTION clock_ahead() IS 'How far in the future the latest of what was done lies: above 0 the clock went back since; of tasks those are looked at that are due last';

CREATE FUNCTION put_times_right() RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    now_at timestamptz := clock();
    ahead  interval := clock_ahead();
    sure   timestamptz := greatest((SELECT max(longest_write(i)) FROM infobase i), (SELECT max(now_at + 2 * p.total_timeout) FROM account_api p));
    part   text;
BEGIN
    PERFORM open_incident('clock_back', 'server', format('The clock of this server went back, by %s or more.', date_trunc('second', ahead)),
        'Times written meanwhile were put right: what waited is due, and what changed within the last day is read once more. Does the server keep its time by NTP?', 1);
    UPDATE crm_poll p SET started_at = now_at, until = now_at, done_at = least(p.done_at, now_at),
        seen_until = CASE WHEN f.since_a_day THEN p.seen_until ELSE now_at - interval '1 day' END, page = CASE WHEN f.since_a_day THEN p.page END
    FROM crm_feed f WHERE f.feed = p.feed AND p.started_at > now_at;
    UPDATE status_poll p SET started_at = now_at, done_at = least(p.done_at, now_at), seen_until = now_at AT TIME ZONE i.time_zone - interval '1 day', page_from = NULL, account = NULL
    FROM infobase i WHERE i.name = p.infobase AND p.started_at > now_at;
    UPDATE payment_poll p SET started_at = now_at, done_at = least(p.done_at, now_at) WHERE p.started_at > now_at;
    DELETE FROM quota_use q USING account_api p WHERE p.account = q.account AND q.counted_at > now_at + 2 * p.total_timeout;
    UPDATE quota_window w SET closed_until = now_at WHERE w.closed_until > now_at + interval '1 day';
    UPDATE infobase i SET circuit_open_until = now_at WHERE i.circuit_open_until > now_at + i.circuit_pause;
    UPDATE account_api p SET circuit_open_until = now_at WHERE p.circuit_open_until > now_at + p.circuit_pause;
    UPDATE bas_order b SET read_at = now_at - interval '1 day' WHERE b.read_at > now_at;    -- long ago: it is read before it is written
    UPDATE bas_order b SET sent_at = now_at WHERE b.sent_at > now_at;
    FOR part IN SELECT c.relname FROM pg_class c JOIN pg_attribute b ON b.attrelid = c.oid AND b.attname = 'unsure_until' WHERE c.relnamespace = 'salesdrive'::regnamespace AND c.relkind = 'r' ORDER BY 1 LOOP
        EXECUTE format('UPDATE %I SET unsure_until = $1 WHERE unsure_until > $1', part) USING sure;    -- what may be at work ends no later than what begins now
    END LOOP;
    FOREACH part IN ARRAY ARRAY['inbox_pending', 'wake_pending'] LOOP
        EXECUTE format('UPDATE %I SET put_off_until = $1 WHERE put_off_until > $1 + $2', part) USING now_at, interval '1 minute';
    END LOOP;
    DELETE FROM health_day h WHERE h.written_at > now_at;
    UPDATE task t SET run_at = least(t.run_at, now_at), lease_until = now_at + (t.lease_until - t.changed_at), created_at = least(t.created_at, now_at), changed_at = now_at
    WHERE t.changed_at > now_at;    -- what waits with reason finds the reason again
END $$;
COMMENT ON FUNCTION put_times_right() IS 'Puts right what a clock that was ahead has written, and tells of it';

CREATE FUNCTION note_clock() RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF clock_ahead() > interval '1 minute' THEN
        PERFORM put_times_right();
    ELSE
        PERFORM close_incident(i.kind, i.subject) FROM incident i WHERE i.kind = 'clock_back' AND i.closed_at IS NULL AND i.last_at NOT BETWEEN clock() - interval '1 day' AND clock();
    END IF;
END $$;
COMMENT ON FUNCTION note_clock() IS 'Puts times right where the clock of this server went back; the incident is over after a day';
