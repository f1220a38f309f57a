-- Purpose: tasks that ask the API of an account of SalesDrive: how a request is made, its quota, what an answer means, the condition of the API;
-- and the first kind of them, crm_dictionary: the values of an account.
-- Rights: the engine's role; 'operator' pauses.
--
-- A task without an infobase asks the API of its account. It is found, claimed and settled as any other (60_engine.sql); its plan gives the address
-- below that of the account.

-- Asking.

CREATE FUNCTION enqueue_api(account text, kind text, key text, infobase text DEFAULT NULL, lane smallint DEFAULT 1) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM require_account(account);
    IF infobase IS NOT NULL THEN
        PERFORM refuse_task(format('a task of kind "%s" asks the API of account "%s", no infobase', kind, account), 'Give NULL as infobase.');
    ELSIF kind = 'crm_dictionary' AND key <> ALL (crm_lists()) THEN
        PERFORM refuse_task(format('there is no list "%s" of SalesDrive', key), format('Lists: %s.', array_to_string(crm_lists(), ', ')));
    ELSIF kind IN ('crm_orders', 'crm_payments', 'crm_receipts') AND NOT EXISTS (SELECT FROM crm_poll p JOIN crm_feed f ON f.feed = p.feed WHERE p.account = enqueue_api.account AND p.feed = key AND f.kind = enqueue_api.kind) THEN
        PERFORM refuse_task(format('there is no feed "%s" of account "%s"', key, account), format('Call fetch_%s().', substr(kind, 5)));
    ELSIF kind = 'payment_out' THEN
        PERFORM refuse_task('a payment of BAS is not asked for by enqueue()', 'Call pull_payments(infobase), or resume(task_id).');
    ELSIF kind = 'yml' AND (key <> 'export' OR NOT EXISTS (SELECT FROM yml_load l WHERE l.account = enqueue_api.account)) THEN
        PERFORM refuse_task('the YML export is not asked for by enqueue()', 'Call load_yml(account).');
    ELSIF kind = 'push' THEN
        PERFORM refuse_task('pushes are not asked for by enqueue()', 'Call push_stock(), push_prices() or push_products().');
    END IF;
    PERFORM begin_api(account);
    RETURN (want_tasks(ARRAY[(account, kind, key, account, NULL, lane)::task_wish]))[1];
END $$;
COMMENT ON FUNCTION enqueue_api(text, text, text, text, smallint) IS 'As enqueue(), of a kind that asks the API of an account';

CREATE FUNCTION begin_api(account text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO account_api (account) VALUES (begin_api.account) ON CONFLICT DO NOTHING;
    IF FOUND OR NOT EXISTS (SELECT FROM quota_window w WHERE w.account = begin_api.account) THEN
        INSERT INTO quota_window (account, method, span, most)
        VALUES (begin_api.account, 'order/list', '1 minute', 10), (begin_api.account, 'order/list', '1 hour', 100), (begin_api.account, 'order/list', '1 day', 1000) ON CONFLICT DO NOTHING;
    END IF;
END $$;
COMMENT ON FUNCTION begin_api(text) IS 'Makes the rows of an account''s API and of the limits SalesDrive states for it, where they are not there yet';

CREATE FUNCTION begin_quota(account text, method text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM quota_window w WHERE w.account = begin_quota.account AND w.method = begin_quota.method) THEN
        INSERT INTO quota_window (account, method, span, most)
        VALUES (begin_quota.account, begin_quota.method, '1 minute', 10), (begin_quota.account, begin_quota.method, '1 hour', 100), (begin_quota.account, begin_quota.method, '1 day', 1000) ON CONFLICT DO NOTHING;
    END IF;
END $$;
COMMENT ON FUNCTION begin_quota(text, text) IS 'Makes the rows of the limits that SalesDrive states for every list, where those of a method are not there yet';

CREATE FUNCTION api_method(path text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN regexp_replace(split_part(path, '?', 1), '^/?(api/)?|/+$', '', 'g');
COMMENT ON FUNCTION api_method(text) IS 'Method of an address of the API, as quota_window names it: order/list';

-- SalesDrive has two keys: that of the order base, and that of the account, with rights of its own for each kind of its documents.
CREATE FUNCTION is_account_method(method text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN method ~ '^(payment|check)(/|$)';
COMMENT ON FUNCTION is_account_method(text) IS 'Whether a method of the API takes the account key';

CREATE FUNCTION account_key(account text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN btrim(coalesce(secret('account:' || account || ':account_key'), secret('account:' || account || ':api_key')));
END $$;
COMMENT ON FUNCTION account_key(text) IS 'The account key of an account, else its api_key: some accounts have one key for both';

CREATE FUNCTION key_headers(key text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['X-Api-Key: ' || key, 'Form-Api-Key: ' || key];
COMMENT ON FUNCTION key_headers(text) IS 'Headers that carry a key to newer and older accounts';

CREATE FUNCTION refuse_method(account text, method text, words text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO api_refusal VALUES (refuse_method.account, refuse_method.method, refuse_method.words, clock()) ON CONFLICT ON CONSTRAINT api_refusal_pkey DO NOTHING;
    IF FOUND THEN
        RAISE WARNING 'method % of account "%" is not asked any more: %', method, account, words
            USING ERRCODE = 'SD012', DETAIL = 'Orders are read and changed as before.',
                  HINT = format('Give the account key the right it lacks, or SELECT salesdrive.set_secret(''account:%s:account_key'', ...); then SELECT salesdrive.unpause_api(%L).', account, account);
    END IF;
END $$;
COMMENT ON FUNCTION refuse_method(text, text, text) IS 'Stops asking one method of the account key, with one warning';

CREATE FUNCTION gate_account_key(steps plan_step[]) RETURNS plan_step[]
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r     record;
    s     plan_step;
    words text;
BEGIN
    FOR r IN SELECT u.n, t.account, api_method(u.path) AS method
             FROM few(steps) WITH ORDINALITY u (task_id, step, purpose, method, path, body, memo, creates, run_at, reason, detail, hint, blocked_on, n) CROSS JOIN LATERAL task_of(u.task_id) t
             WHERE u.step = 'request' AND t.infobase IS NULL AND is_account_method(api_method(u.path)) ORDER BY t.account, t.id
    LOOP
        words := NULL;
        BEGIN
            IF account_key(r.account) IS NULL THEN
                words := 'no key is set in this database';
            END IF;
        EXCEPTION WHEN OTHERS THEN
            words := SQLERRM;
        END;
        IF words IS NOT NULL THEN
            PERFORM refuse_method(r.account, r.method, format('The secret account:%s:account_key cannot be used: %s', r.account, words));
        END IF;
        SELECT f.words INTO words FROM api_refusal f WHERE f.account = r.account AND f.method = r.method;
        CONTINUE WHEN NOT FOUND;
        s := steps[r.n];
        s.step := 'wait';
        s.run_at := clock() + interval '1 hour';
        s.reason := 'account_key';
        s.detail := words;
        s.hint := format('Give the account key (secret account:%s:account_key) the right to it, then SELECT salesdrive.unpause_api(%L).', r.account, r.account);
        s.blocked_on := format('account_key:%s:', r.account);
        steps[r.n] := s;
    END LOOP;
    RETURN steps;
END $$;
COMMENT ON FUNCTION gate_account_key(plan_step[]) IS 'Puts off requests for which the account key cannot be read, or was refused';

CREATE FUNCTION api_forms(accounts text[], with_account_key text[]) RETURNS TABLE (name text, url text, longest timestamptz, username text, password text, headers text[],
        connect_timeout interval, total_timeout interval, max_answer integer, max_connections integer, ca_file text, allow_http boolean, body_key text, account_key text)
    LANGUAGE plpgsql VOLATILE ROWS 1 SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF accounts = '{}' THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT 'account:' || p.account, a.url || '/', clock() + 2 * p.total_timeout, NULL::text, NULL::text, key_headers(k.key),
           p.connect_timeout, p.total_timeout, p.max_answer, p.max_connections, p.ca_file, p.allow_http, CASE WHEN p.key_in_body THEN k.key END, CASE WHEN p.account = ANY (with_account_key) THEN account_key(p.account) END
    FROM (SELECT DISTINCT n FROM few(accounts) n) u JOIN account_api p ON p.account = u.n JOIN account a ON a.name = p.account
    CROSS JOIN LATERAL (SELECT btrim(secret('account:' || p.account || ':api_key')) AS key) k;
END $$;
COMMENT ON FUNCTION api_forms(text[], text[]) IS 'What every request to the API of an account has in common, the key in its headers; the account key, of those that need it now';

-- Quota.

CREATE FUNCTION quota_free_at(account text, method text, lane smallint DEFAULT 1) RETURNS timestamptz
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT max(greatest(w.closed_until, f.counted_at + w.span)) FROM quota_window w
            LEFT JOIN LATERAL (SELECT u.counted_at FROM quota_use u WHERE u.account = w.account AND u.method = w.method ORDER BY u.counted_at DESC
                               OFFSET CASE WHEN quota_free_at.lane < 4 THEN w.most ELSE greatest(floor(w.most * (SELECT p.backfill_share FROM account_api p WHERE p.account = w.account)), 1) END - 1 LIMIT 1) f
                ON w.most IS NOT NULL
            WHERE w.account = quota_free_at.account AND w.method = quota_free_at.method);
END $$;
COMMENT ON FUNCTION quota_free_at(text, text, smallint) IS 'From when on all windows of a method have room for one more request of a lane, that of backfills within its share; NULL: it has no limits';

CREATE FUNCTION gate_quota(steps plan_step[], since timestamptz) RETURNS plan_step[]
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r     record;
    s     plan_step;
    free  timestamptz;
BEGIN
    FOR r IN SELECT u.n, t.id, t.attempt + 1 AS attempt, t.account, t.lane, api_method(u.path) AS method, p.total_timeout
             FROM few(steps) WITH ORDINALITY u (task_id, step, purpose, method, path, body, memo, creates, run_at, reason, detail, hint, blocked_on, n)
             CROSS JOIN LATERAL task_of(u.task_id) t JOIN account_api p ON p.account = t.account
             WHERE u.step = 'request' AND t.infobase IS NULL AND EXISTS (SELECT FROM quota_window w WHERE w.account = t.account AND w.method = api_method(u.path))
             ORDER BY t.lane, t.run_at, t.id
    LOOP
        s := steps[r.n];
        free := quota_free_at(r.account, r.method, r.lane);
        IF free > clock() THEN
            s.step := 'wait';
            s.run_at := free;
            s.reason := 'quota';
            s.detail := format('The quota of %s in account "%s" has room again at %s.', r.method, r.account, to_char(free, 'YYYY-MM-DD HH24:MI:SS TZ'));
            s.hint := 'It goes on by itself. What was spent on what: SELECT * FROM salesdrive.quota_status.';
            s.blocked_on := format('quota:%s:%s', r.account, r.method);
            steps[r.n] := s;
            IF r.lane < 4 AND free > clock() + interval '1 minute' THEN    -- a backfill may wait for hours, and so may anything for seconds
                PERFORM open_incident('quota_exhausted', 'account:' || r.account, format('The quota of %s in account "%s" is used up: what is changed there now is known here later.', r.method, r.account), 'What was spent on what: SELECT * FROM salesdrive.quota_status. Ask less often, or let a backfill take a smaller share (account_api.backfill_share).', 1);
            END IF;
        ELSE
            INSERT INTO quota_use VALUES (r.id, r.attempt, r.account, r.method, s.purpose, r.lane, since + 2 * r.total_timeout);
        END IF;
    END LOOP;
    RETURN steps;
END $$;
COMMENT ON FUNCTION gate_quota(plan_step[], timestamptz) IS 'Counts the requests that the quota has room for, lower lanes first, and puts off the others until it has';

-- The windows may move when an answer comes: what waits for them looks again then. A request of which nothing is heard stays counted until the latest
-- moment at which it can have arrived.
CREATE FUNCTION note_quota(results http_result[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r    record;
    w    quota_window;
BEGIN
    FOR r IN SELECT u.task_id, u.attempt, u.class, u.target, make_interval(secs => CASE WHEN u.retry_after > 86400 THEN 86400 ELSE u.retry_after END) AS asked, substr(u.target, 9) AS account, api_method(substr(u.url, length(a.url) + 1)) AS method
             FROM few(results) u JOIN account a ON 'account:' || a.name = u.target WHERE u.target LIKE 'account:%' ORDER BY a.name, u.task_id
    LOOP
        UPDATE quota_use q SET counted_at = clock() WHERE q.task_id = r.task_id AND q.attempt = r.attempt AND q.counted_at > clock();
        IF r.class = 'throttled' AND r.method ~ '^[a-z-]+(/[a-z-]+)*$' THEN
            SELECT * INTO w FROM quota_window q WHERE q.account = r.account AND q.method = r.method ORDER BY q.span LIMIT 1;    -- the shortest window stands for all
            IF w.closed_until > clock() THEN    -- one of several that were sent before the first was refused
                w.closed_until := greatest(w.closed_until, clock() + r.asked);
            ELSE
                w.closed_until := clock() + coalesce(r.asked, least(interval '1 minute' * power(2, coalesce(w.refusals, 0)), '1 hour'));
                w.refusals := coalesce(w.refusals, 0) + 1;
            END IF;
            INSERT INTO quota_window AS q (account, method, span, closed_until, refusals) VALUES (r.account, r.method, coalesce(w.span, '1 minute'), w.closed_until, w.refusals)
            ON CONFLICT (account, method, span) DO UPDATE SET closed_until = excluded.closed_until, refusals = excluded.refusals;
            PERFORM open_incident('quota_exhausted', r.target, format('SalesDrive says that the limit of %s in account "%s" is reached.', r.method, r.account), 'It is asked again by itself. Does somebody else use the API of this account, too? Leave room for them: lower salesdrive.quota_window.most.', w.refusals);
        ELSIF r.class IN ('ok', 'business') THEN
            UPDATE quota_window q SET closed_until = NULL, refusals = 0 WHERE q.account = r.account AND q.method = r.method AND q.refusals > 0 AND q.closed_until <= clock();
            IF EXISTS (SELECT FROM incident i WHERE i.kind = 'quota_exhausted' AND i.subject = r.target AND i.closed_at IS NULL)
                AND NOT EXISTS (SELECT FROM quota_window q WHERE q.account = r.account AND (q.refusals > 0 OR quota_free_at(q.account, q.method) > clock())) THEN
                PERFORM close_incident('quota_exhausted', r.target);
            END IF;
        END IF;
        UPDATE task t SET run_at = l.free
        FROM (SELECT b.id, coalesce(quota_free_at(r.account, r.method, b.lane), clock()) AS free FROM task b WHERE b.blocked_on = format('quota:%s:%s', r.account, r.method) AND b.state = 'ready' FOR UPDATE SKIP LOCKED) l
        WHERE t.id = l.id AND t.run_at > l.free;
    END LOOP;
    DELETE FROM quota_use q WHERE q.counted_at < clock() - interval '25 hours' AND q.account IN (SELECT substr(u.target, 9) FROM few(results) u);
END $$;
COMMENT ON FUNCTION note_quota(http_result[]) IS 'Takes in what answers say of the quota: when each request was counted at the latest, and whether SalesDrive says that the limit is reached';

CREATE TRIGGER changed AFTER INSERT OR UPDATE OF most, span OR DELETE ON quota_window FOR EACH ROW EXECUTE FUNCTION wake_waiting('quota:%s:%s', 'account', 'method');

-- What an answer means. Only here is known how SalesDrive words its errors; a status of 200 says little.

CREATE FUNCTION api_words(body jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN jsonb_typeof(body) = 'object' THEN left(coalesce(json_text(body -> 'message'), json_text(body -> 'errorMessage'), json_text(body -> 'error')), 500) END;
COMMENT ON FUNCTION api_words(jsonb) IS 'What SalesDrive says of an error';

CREATE FUNCTION api_answer(r http_result) RETURNS http_result
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    body   jsonb := CASE WHEN r.url ~ '[?&]publicKey=' THEN NULL ELSE result_json(r) END;    -- a YML export is large
    words  text := api_words(body);
    folded text := folded_name(words);    -- without case also where the locale of the database knows none
    failed boolean := jsonb_typeof(body) = 'object' AND (coalesce(body ->> 'success' IN ('false', '0'), false) OR coalesce(lower(body ->> 'status') = 'error', false) OR coalesce(json_text(body -> 'error') NOT IN ('0', 'false'), false));
BEGIN
    IF r.url ~ '[?&]publicKey=' THEN
        RETURN yml_answer(r);
    ELSIF r.http_status IS NULL OR r.class = 'bug' THEN    -- no complete answer: what the client made of it holds
        RETURN r;
    END IF;
    r.odata_code := NULL;
    r.odata_message := NULL;
    IF r.http_status = 429 OR (failed OR r.http_status >= 400) AND folded ~ 'limit.{0,20}(reached|exceed)|exceed.{0,20}limit|too many requests|rate limit|(ліміт|лимит).{0,20}(вичерпан|перевищен|исчерпан|превышен)|(вичерпан|перевищен|исчерпан|превышен).{0,20}(ліміт|лимит)' THEN
        r.class := 'throttled';
        r.error := concat_ws(': ', 'the limit of the API is reached', words);
    ELSIF r.http_status IN (401, 403) OR (failed OR r.http_status = 400) AND folded ~ '\m(api|access|form)[ _-]?(api[ _-]?)?key\M|\mkey\M.{0,20}(invalid|wrong|incorrect)|(invalid|wrong|incorrect).{0,20}\mkey\M|unauthori[sz]ed|access denied|forbidden' THEN
        r.class := 'config';
        r.error := concat_ws(': ', 'the key of the API is refused', words);
    ELSIF r.http_status BETWEEN 200 AND 299 AND failed OR r.http_status IN (400, 409, 413, 422) THEN
        r.class := 'business';
        r.error := coalesce(words, r.error, 'SalesDrive refuses it without a word');
    ELSIF r.class = 'ok' AND (jsonb_typeof(body) <> 'object' OR r.method = 'GET' AND jsonb_typeof(body -> 'data') NOT IN ('array', 'object')
                              OR NOT body ? 'data' AND NOT body ? 'success' AND NOT body ? 'status') IS NOT FALSE THEN
        r.class := CASE r.method WHEN 'GET' THEN 'transient' ELSE 'unknown_outcome' END;
        r.error := 'The answer is not one of SalesDrive: ' || left(coalesce(words, body::text, ''), 200);
    ELSIF NOT coalesce(r.body_is_json, false) AND r.http_status BETWEEN 200 AND 299 AND r.class <> 'ok' THEN
        r.error := 'The answer is not one of SalesDrive: ' || left(regexp_replace(coalesce(bytes_text(substring(r.body FROM 1 FOR 2000)), 'bytes that are no text'), '\s+', ' ', 'g'), 200);
    ELSIF words IS NOT NULL AND r.class <> 'ok' THEN
        r.error := concat_ws(': ', r.error, words);
    END IF;
    RETURN r;
END $$;
COMMENT ON FUNCTION api_answer(http_result) IS 'An answer of SalesDrive with its class: limits and keys refused are recognised in every form known (429, 400 with words, 200 with success false or status error); a 200 that SalesDrive would not write counts as no answer';

CREATE FUNCTION api_answers(results http_result[]) RETURNS http_result[]
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    FOR n IN 1 .. cardinality(results) LOOP
        IF (results[n]).target LIKE 'account:%' THEN
            results[n] := api_answer(results[n]);
        END IF;
    END LOOP;
    RETURN results;
END $$;
COMMENT ON FUNCTION api_answers(http_result[]) IS 'Answers as they came, those of SalesDrive with the class that its words give';

-- Condition.

CREATE FUNCTION pause_api_for(account text, why text, how text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE account_api p SET paused_at = clock(), paused_reason = why WHERE p.account = pause_api_for.account AND p.paused_at IS NULL;
    IF FOUND THEN
        RAISE WARNING 'the API of account "%" is paused: %', account, why
            USING ERRCODE = 'SD012', DETAIL = 'Webhooks are still received, and orders go on to BAS.', HINT = format('%s, then SELECT salesdrive.unpause_api(%L).', how, account);
    END IF;
END $$;
COMMENT ON FUNCTION pause_api_for(text, text, text) IS 'Pauses the API of an account for a reason that the engine found, with one warning';

CREATE FUNCTION note_apis(results http_result[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT substr(u.target, 9) AS account, bool_or(u.class IN ('ok', 'business', 'throttled')) AS alive, count(*) FILTER (WHERE u.class IN ('transient', 'unknown_outcome')) AS failed,
                    (array_agg(concat_ws(', ', u.http_status::text, u.error)) FILTER (WHERE q.of_all))[1] AS config,
                    (array_agg(u.url) FILTER (WHERE q.of_all))[1] AS url, bool_or(u.http_status IS NOT NULL) FILTER (WHERE q.of_all) AS refused
             FROM few(results) u LEFT JOIN account a ON 'account:' || a.name = u.target
             CROSS JOIN LATERAL (SELECT u.class = 'config' AND NOT (u.http_status IS NOT NULL AND coalesce(is_account_method(api_method(substr(u.url, length(a.url) + 1))), false)) AS of_all) q    -- of the account key one method is refused, and the rest goes on
             WHERE u.target LIKE 'account:%' GROUP BY u.target ORDER BY u.target
    LOOP
        PERFORM refuse_method(r.account, m.method, format('SalesDrive refuses it: %s', m.words))
        FROM (SELECT api_method(substr(u.url, length(a.url) + 1)) AS method, min(concat_ws(', ', u.http_status::text, u.error)) AS words
              FROM few(results) u JOIN account a ON 'account:' || a.name = u.target WHERE a.name = r.account AND u.class = 'config' AND u.http_status IS NOT NULL GROUP BY 1) m WHERE is_account_method(m.method);
        IF r.config IS NOT NULL THEN
            PERFORM pause_api_for(r.account, format('%s: %s (%s)', CASE WHEN r.refused THEN 'SalesDrive refuses' ELSE 'SalesDrive could not be asked' END, r.config, r.url), format('Mend the address, or the key and its rights (SELECT salesdrive.set_secret(''account:%s:api_key'', ...))', r.account));
        END IF;
        IF r.alive THEN
            UPDATE account_api p SET circuit_failures = 0, circuit_open_until = NULL WHERE p.account = r.account AND p.circuit_failures > 0;
            IF FOUND THEN
                INSERT INTO wake_pending VALUES (format('account_api:%s:', r.account));
            END IF;
        ELSIF r.failed > 0 THEN
            UPDATE account_api p SET circuit_failures = least(p.circuit_failures + r.failed, 1000),
                circuit_open_until = CASE WHEN p.circuit_failures + r.failed >= p.circuit_after THEN clock() + p.circuit_pause END
            WHERE p.account = r.account;
        END IF;
    END LOOP;
    PERFORM note_quota(results);
END $$;
COMMENT ON FUNCTION note_apis(http_result[]) IS 'Keeps the condition of each API: pauses it on errors of configuration, opens and closes its circuit, takes in what is said of its quota';

CREATE FUNCTION api_step(t task, result http_result) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s plan_step;
    p account_api;
BEGIN
    s.task_id := t.id;
    s.detail := concat_ws(': ', result.http_status::text, result.error);
    IF result.class IN ('transient', 'throttled') THEN
        SELECT * INTO p FROM account_api x WHERE x.account = t.account;
        s.step := 'retry';
        s.reason := result.class;
        s.run_at := clock() + CASE result.class WHEN 'throttled' THEN interval '0' ELSE backoff(t.failures, p.retry_base, p.retry_cap, result.retry_after) END;    -- the quota says when
    ELSIF result.class IN ('ok', 'unknown_outcome', 'config') THEN
        s.step := 'again';    -- config: the API is paused, the task waits with it
    ELSE
        s.step := 'park';
        s.reason := CASE result.class WHEN 'denied' THEN 'business' ELSE result.class END;
        s.hint := format('SalesDrive refused it; the words are its own, exchange_log has the whole answer. Mend the cause and call resume(%s).', t.id);
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION api_step(task, http_result) IS 'What the class of an answer of SalesDrive means where its kind has nothing to say: retry, again, or park';

CREATE FUNCTION pause_api(account text, reason text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM require_account(account);
    UPDATE account_api p SET paused_at = coalesce(p.paused_at, clock()), paused_reason = coalesce(reason, 'no reason given') WHERE p.account = pause_api.account;
    IF NOT FOUND THEN
        RAISE NOTICE 'the API of account "%" is not used yet', account;
    END IF;
END $$;
COMMENT ON FUNCTION pause_api(text, text) IS 'Stops asking the API of an account; its webhooks are received and its orders sent as before';

CREATE FUNCTION unpause_api(account text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM require_account(account);
    UPDATE account_api p SET paused_at = NULL, paused_reason = NULL, circuit_failures = 0, circuit_open_until = NULL WHERE p.account = unpause_api.account;
    DELETE FROM api_refusal f WHERE f.account = unpause_api.account;
    PERFORM wake_later(format('account_api:%s:', account));
    PERFORM wake_later(format('account_key:%s:', account));
END $$;
COMMENT ON FUNCTION unpause_api(text) IS 'Goes on asking the API of an account, at once, also for what its account key was refused';

CREATE VIEW quota_status AS
    SELECT w.account, w.method, w.span, w.most, u.used, w.most - u.used AS room, w.closed_until,
           CASE WHEN greatest(w.closed_until, CASE WHEN u.used >= w.most THEN f.counted_at + w.span END) > n.at THEN greatest(w.closed_until, CASE WHEN u.used >= w.most THEN f.counted_at + w.span END) END AS free_at,
           u.last_at + w.span AS resets_at, u.spent_on, edits_fresh(w.account) AS edits_fresh, CASE w.method WHEN 'order/list' THEN backfill_ends_at(w.account) WHEN 'payment/list' THEN backfill_ends_at(w.account, 'payments_backfill') WHEN 'check/list' THEN backfill_ends_at(w.account, 'receipts_backfill') END AS backfill_ends_at
    FROM (SELECT clock() AS at) n CROSS JOIN quota_window w
    CROSS JOIN LATERAL (SELECT coalesce(sum(g.uses), 0)::bigint AS used, max(g.last_at) AS last_at, coalesce(jsonb_object_agg(g.purpose, g.uses), '{}') AS spent_on
                        FROM (SELECT coalesce(q.purpose, '') AS purpose, count(*) AS uses, max(q.counted_at) AS last_at FROM quota_use q
                              WHERE q.account = w.account AND q.method = w.method AND q.counted_at > n.at - w.span GROUP BY 1) g) u
    LEFT JOIN LATERAL (SELECT q.counted_at FROM quota_use q WHERE q.account = w.account AND q.method = w.method ORDER BY q.counted_at DESC OFFSET w.most - 1 LIMIT 1) f ON w.most IS NOT NULL;
COMMENT ON VIEW quota_status IS 'Quota of the API of each account: what each window allows, what is used of it and on what it was spent';
COMMENT ON COLUMN quota_status.account IS 'Account';
COMMENT ON COLUMN quota_status.method IS 'Method of the API';
COMMENT ON COLUMN quota_status.span IS 'Length of the window, which slides';
COMMENT ON COLUMN quota_status.most IS 'Most requests within it';
COMMENT ON COLUMN quota_status.used IS 'Requests within it now, those under way included';
COMMENT ON COLUMN quota_status.room IS 'Requests left';
COMMENT ON COLUMN quota_status.closed_until IS 'SalesDrive said that the limit is reached: nothing is asked before';
COMMENT ON COLUMN quota_status.free_at IS 'When this window lets the next request pass; NULL: now';
COMMENT ON COLUMN quota_status.resets_at IS 'When it is empty if nothing more is asked';
COMMENT ON COLUMN quota_status.spent_on IS 'Number of its requests for each purpose';
COMMENT ON COLUMN quota_status.edits_fresh IS 'So long after updateAt 99 of 100 versions that came within the last day were here';
COMMENT ON COLUMN quota_status.backfill_ends_at IS 'When the backfill at work will end';

CREATE VIEW api_status AS
    SELECT p.account, CASE WHEN p.paused_at IS NOT NULL THEN 'paused' WHEN a.paused_at IS NOT NULL THEN 'account paused' WHEN p.circuit_failures >= p.circuit_after THEN 'circuit open' ELSE 'open for work' END AS state,
           p.paused_at, p.paused_reason, p.circuit_failures, p.circuit_open_until,
           count(t.id) FILTER (WHERE t.state = 'ready') AS ready, count(t.id) FILTER (WHERE t.state = 'in_flight') AS in_flight, count(t.id) FILTER (WHERE t.state = 'parked') AS parked,
           min(t.created_at) FILTER (WHERE t.state <> 'parked') AS oldest
    FROM account_api p JOIN account a ON a.name = p.account LEFT JOIN task t ON t.target = 'account:' || p.account GROUP BY p.account, a.name;
COMMENT ON VIEW api_status IS 'The API of each account that is asked: whether it works, what waits for it';
COMMENT ON COLUMN api_status.account IS 'Account';
COMMENT ON COLUMN api_status.state IS 'open for work, circuit open, paused, or account paused';
COMMENT ON COLUMN api_status.paused_at IS 'Since when it is paused';
COMMENT ON COLUMN api_status.paused_reason IS 'Why';
COMMENT ON COLUMN api_status.circuit_failures IS 'Failures of the connection or the server in a row';
COMMENT ON COLUMN api_status.circuit_open_until IS 'When an open circuit lets one probing request pass';
COMMENT ON COLUMN api_status.ready IS 'Tasks that wait or are due';
COMMENT ON COLUMN api_status.in_flight IS 'Requests under way';
COMMENT ON COLUMN api_status.parked IS 'Tasks that cannot go on without you';
COMMENT ON COLUMN api_status.oldest IS 'When the oldest task that is not parked was asked for first';

-- Kind crm_dictionary: the values of an account. Three lists have methods of their own; all others come only with a page of orders.

CREATE FUNCTION crm_lists() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['status', 'payment_method', 'shipping_method', 'fields'];
COMMENT ON FUNCTION crm_lists() IS 'Lists of values that the API of SalesDrive gives; fields: managers, sites, organisations, warehouses and every field with options, as they come with order/list';

CREATE FUNCTION plan_crm_dictionary(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT t.id, 'request', 'read ' || CASE t.key WHEN 'fields' THEN 'fields of orders' ELSE t.key || ' of SalesDrive' END, 'GET',
           CASE t.key WHEN 'status' THEN 'api/statuses/' WHEN 'payment_method' THEN 'api/payment-methods/' WHEN 'shipping_method' THEN 'api/delivery-methods/'
                      ELSE 'api/order/list/?page=1&limit=1&filter%5BstatusId%5D=__ALL__' END,
           NULL::jsonb, NULL::jsonb, false, NULL::timestamptz, NULL::text, NULL::text, NULL::text, NULL::text
    FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t JOIN account a ON a.name = t.account WHERE t.key = ANY (crm_lists());
END $$;
COMMENT ON FUNCTION plan_crm_dictionary(bigint[]) IS 'Plan of kind crm_dictionary: one reading of the list';

CREATE FUNCTION keep_crm_values(account text, meta jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO dictionary_value AS d (scope, side, dictionary, key, name, attributes)
    SELECT keep_crm_values.account, 'crm', o.dictionary, o.key, o.name, o.attributes FROM crm_options(meta) o ORDER BY 3, 4
    ON CONFLICT ON CONSTRAINT dictionary_value_pkey DO UPDATE SET name = excluded.name, attributes = d.attributes || excluded.attributes, loaded_at = clock();
END $$;
COMMENT ON FUNCTION keep_crm_values(text, jsonb) IS 'Keeps the values that come with a page of orders';

CREATE FUNCTION settle_crm_dictionary(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT u.task_id, t.account, t.key, result_json(u::http_result) AS body FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t WHERE u.class = 'ok' ORDER BY t.account, t.key LOOP
        IF r.key = 'fields' THEN
            PERFORM keep_crm_values(r.account, r.body -> 'meta');
        ELSE    -- the whole list: what is not in it is there no more
            DELETE FROM dictionary_value d WHERE d.scope = r.account AND d.side = 'crm' AND d.dictionary = r.key;
            INSERT INTO dictionary_value (scope, side, dictionary, key, name, code, attributes)
            SELECT DISTINCT ON (e.key) r.account, 'crm', r.key, e.key, coalesce(json_text(e.row -> 'name'), e.key), json_text(e.row -> 'parameter'), e.row
            FROM jsonb_array_elements(json_rows(r.body -> 'data')) WITH ORDINALITY x (row, n) CROSS JOIN LATERAL (SELECT x.row, left(json_text(x.row -> 'id'), 200) AS key) e
            WHERE e.key IS NOT NULL ORDER BY e.key, x.n;
        END IF;
        INSERT INTO crm_dictionary_load VALUES (r.account, r.key, clock()) ON CONFLICT (account, list) DO UPDATE SET loaded_at = excluded.loaded_at;
        RETURN NEXT ROW(r.task_id, 'done', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_crm_dictionary(http_result[]) IS 'Settle of kind crm_dictionary: replaces a list that was read whole; of fields it keeps what is new or renamed';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, target) VALUES ('crm_dictionary', 'shipped', 'salesdrive.plan_crm_dictionary', 'salesdrive.settle_crm_dictionary', 'account');

CREATE FUNCTION refresh_crm_dictionaries(infobases text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    old crm_dictionary_load[] := ARRAY(SELECT l FROM few(infobases) n JOIN account a ON a.infobase = n JOIN account_api p ON p.account = a.name JOIN crm_dictionary_load l ON l.account = a.name
                                       WHERE l.loaded_at < clock() - p.dictionary_age
                                         AND NOT EXISTS (SELECT FROM task t WHERE t.scope = l.account AND t.kind = 'crm_dictionary' AND t.key = l.list));
BEGIN
    IF old <> '{}' THEN    -- a statement that inserts nothing would wake the engine, too
        INSERT INTO task (scope, kind, key, account, lane) SELECT l.account, 'crm_dictionary', l.list, l.account, 3 FROM few(old) l ORDER BY 1, 3 ON CONFLICT DO NOTHING;
    END IF;
END $$;
COMMENT ON FUNCTION refresh_crm_dictionaries(text[]) IS 'Has those lists of SalesDrive loaded again that are older than account_api.dictionary_age, for the accounts of these bases';
