-- Purpose: refusals that may concern one request only: a row hidden by record-level rights (code 20), a body that something before BAS does not
-- let pass (403, 413), an address that is too long for it (414). Each parks its own task; when nothing of the same purpose passes any more, the base
-- is paused once for all. Of addresses shorter ones are tried first.
-- Rights: the engine's role.

CREATE FUNCTION long_query(t task, r http_result) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN r.http_status = 414 AND r.odata_code IS NULL AND strpos(r.url, '?') > 0 AND length(r.url) - strpos(r.url, '?') > 500 AND t.refusals < 5 THEN length(r.url) - strpos(r.url, '?') END;
COMMENT ON FUNCTION long_query(task, http_result) IS 'Length of the query string of an address that was too long, where it pays to plan a shorter one: up to five times, and above the least of infobase.max_url; else NULL';

-- An address that was refused shows that max_url, as set, is more than there is: so what is written there is true for all searches of the base.
CREATE FUNCTION shorten_searches(results http_result[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT u.target, min(long_query(t, u)) AS refused, greatest(500, min(long_query(t, u)) / 2) AS most FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t
             WHERE u.class = 'denied' AND long_query(t, u) IS NOT NULL GROUP BY u.target ORDER BY u.target
    LOOP
        UPDATE infobase i SET max_url = r.most WHERE i.name = r.target AND i.max_url > r.most;
        IF FOUND THEN
            RAISE WARNING 'searches of infobase "%" are too long for what stands before it: infobase.max_url is % now', r.target, r.most
                USING ERRCODE = 'SD012', DETAIL = format('A query string of %s bytes was answered with 414.', r.refused), HINT = 'Where the web server, or the proxy, allows longer addresses by now, set max_url again.';
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION shorten_searches(http_result[]) IS 'Halves infobase.max_url where a search was too long for what stands before the base';

CREATE FUNCTION note_denials(results http_result[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r   record;
    ids bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM few(results) u WHERE u.class = 'denied') AND NOT EXISTS (SELECT FROM infobase i WHERE i.denied <> '{}') THEN
        RETURN;
    END IF;
    PERFORM shorten_searches(results);
    FOR r IN SELECT u.target, t.purpose, i.denied, bool_or(u.class IN ('ok', 'business')) AS passed, bool_or(t.kind = 'dictionary') AS for_all,
                    array_agg(u.task_id) FILTER (WHERE u.class = 'denied') AS tasks,
                    (array_agg(concat_ws(', ', u.http_status::text, u.error, u.odata_message)) FILTER (WHERE u.class = 'denied'))[1] AS words,
                    (array_agg(u.url) FILTER (WHERE u.class = 'denied'))[1] AS url
             FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN infobase i ON i.name = u.target
             WHERE t.attempt = u.attempt AND t.state = 'in_flight' AND u.class IN ('ok', 'business', 'denied') AND t.kind NOT IN ('payment', 'followup')    -- orders go on without
               AND long_query(t, u) IS NULL
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
    ELSIF long_query(t, result) IS NOT NULL THEN
        s.step := 'retry';
        s.reason := 'refused';
        s.run_at := clock();
    ELSIF t.purpose IN ('read order', 'read payment') AND result.odata_code = '20' THEN
        s.step := 'park';
        s.reason := 'hidden_in_bas';
        s.hint := 'Record-level rights hide the document from the user of the exchange. Give that user the right to it in BAS and call resume(), or skip() the order.';
    ELSE
        s.step := 'park';
        s.reason := 'denied';
        s.hint := CASE WHEN result.http_status = 414 AND result.odata_code IS NULL
                       THEN format('The address is too long for what stands before BAS (web server, proxy), though no search of this base is longer than it must be by now (infobase.max_url is %s). Raise the limit there, then max_url, and call resume(); or skip() the order.',
                                   (SELECT i.max_url FROM infobase i WHERE i.name = t.infobase))
                       WHEN result.odata_code IS NULL
                       THEN 'Something before BAS (web server, proxy, firewall) does not let this request pass; exchange_log has it whole. Mend its rules or limits and call resume(), or skip() the order.'
                       ELSE 'The user of the exchange has no right to this in BAS, perhaps by record-level rights. Give it and call resume(), or skip() the order.' END;
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION denied_step(task, http_result, text) IS 'What a denial means for its task: parked, unless the whole base was paused for it, or a shorter address is to be tried';

CREATE FUNCTION refused_step(task_id bigint, reason text, deed text, r http_result, hint text) RETURNS plan_step
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ROW(task_id, 'park', NULL, NULL, NULL, NULL, NULL, NULL, NULL, reason, format('BAS does not %s: %s', deed, concat_ws(': ', (r).http_status::text, (r).error, (r).odata_message)), hint, NULL)::plan_step;
COMMENT ON FUNCTION refused_step(bigint, text, text, http_result, text) IS 'The end of a task that BAS has refused a deed: parked with the words of BAS';
