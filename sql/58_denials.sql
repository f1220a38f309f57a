-- Purpose: refusals that may concern one request only: a row hidden by record-level rights (code 20), a body that something before BAS does not
-- let pass (403, 413). Each parks its own task; when nothing of the same purpose passes any more, the base is paused once for all.
-- Rights: the engine's role.

CREATE FUNCTION note_denials(results http_result[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r   record;
    ids bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM few(results) u WHERE u.class = 'denied') AND NOT EXISTS (SELECT FROM infobase i WHERE i.denied <> '{}') THEN
        RETURN;
    END IF;
    FOR r IN SELECT u.target, t.purpose, i.denied, bool_or(u.class IN ('ok', 'business')) AS passed, bool_or(t.kind = 'dictionary') AS for_all,
                    array_agg(u.task_id) FILTER (WHERE u.class = 'denied') AS tasks,
                    (array_agg(concat_ws(', ', u.http_status::text, u.error, u.odata_message)) FILTER (WHERE u.class = 'denied'))[1] AS words,
                    (array_agg(u.url) FILTER (WHERE u.class = 'denied'))[1] AS url
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = u.target
             WHERE t.attempt = u.attempt AND t.state = 'in_flight' AND u.class IN ('ok', 'business', 'denied') AND t.kind NOT IN ('payment', 'followup')    -- orders go on without
             GROUP BY u.target, t.purpose, i.denied ORDER BY u.target, t.purpose
    LOOP
        IF r.passed THEN
            UPDATE infobase i SET denied = i.denied - r.purpose WHERE i.name = r.target AND i.denied ? r.purpose;
            CONTINUE;
        END IF;
        ids := ARRAY(SELECT x::bigint FROM jsonb_array_elements_text(r.denied -> r.purpose) x UNION SELECT x FROM few(r.tasks) x);
        IF cardinality(ids) < 3 AND NOT r.for_all THEN
            UPDATE infobase i SET denied = i.denied || jsonb_build_object(r.purpose, ids) WHERE i.name = r.target;
            CONTINUE;
        END IF;
        UPDATE infobase i SET denied = '{}', paused_at = clock(), paused_reason = format('BAS refuses to %s: %s (%s)', r.purpose, r.words, r.url)
        WHERE i.name = r.target AND i.paused_at IS NULL;
        IF FOUND THEN
            RAISE WARNING 'infobase "%" is paused: %', r.target, r.words
                USING ERRCODE = 'SD012', DETAIL = format('No request to %s passes: %s', r.purpose, r.url),
                      HINT = 'Mend the rights of the user in BAS, or the limits of what stands before it, then SELECT salesdrive.unpause_infobase(''' || r.target || ''').';
        END IF;
        -- those parked before wait with the base, and so do the orders that wait for them
        UPDATE task t SET state = 'ready', run_at = clock(), reason = NULL, detail = NULL, hint = NULL, changed_at = clock()
        WHERE t.id = ANY (ids) AND t.state = 'parked' AND t.reason IN ('denied', 'hidden_in_bas');
        PERFORM wake_blocked(ARRAY(SELECT format('%s:%s:%s', t.kind, t.scope, t.key) FROM task t WHERE t.id = ANY (ids) AND t.kind <> 'order'));
    END LOOP;
END $$;
COMMENT ON FUNCTION note_denials(http_result[]) IS 'Counts, for each base and purpose, the tasks denied in a row: the third, or a dictionary, pauses the base, and those parked before become due again behind the pause. Payments and documents that follow orders pause nothing';

CREATE FUNCTION denied_step(t task, result http_result, words text) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s plan_step;
BEGIN
    s.task_id := t.id;
    s.detail := words;
    IF EXISTS (SELECT FROM infobase i WHERE i.name = t.infobase AND i.paused_at IS NOT NULL) THEN
        s.step := 'again';
    ELSIF t.purpose IN ('read order', 'read payment') AND result.odata_code = '20' THEN
        s.step := 'park';
        s.reason := 'hidden_in_bas';
        s.hint := 'Record-level rights hide the document from the user of the exchange. Give that user the right to it in BAS and call resume(), or skip() the order.';
    ELSE
        s.step := 'park';
        s.reason := 'denied';
        s.hint := CASE WHEN result.odata_code IS NULL
                       THEN 'Something before BAS (web server, proxy, firewall) does not let this request pass; exchange_log has it whole. Mend its rules or limits and call resume(), or skip() the order.'
                       ELSE 'The user of the exchange has no right to this in BAS, perhaps by record-level rights. Give it and call resume(), or skip() the order.' END;
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION denied_step(task, http_result, text) IS 'What a denial means for its task: parked, unless the whole base was paused for it';

CREATE FUNCTION refused_step(task_id bigint, reason text, deed text, r http_result, hint text) RETURNS plan_step
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ROW(task_id, 'park', NULL, NULL, NULL, NULL, NULL, NULL, NULL, reason, format('BAS does not %s: %s', deed, concat_ws(': ', (r).http_status::text, (r).error, (r).odata_message)), hint, NULL)::plan_step;
COMMENT ON FUNCTION refused_step(bigint, text, text, http_result, text) IS 'The end of a task that BAS has refused a deed: parked with the words of BAS';
