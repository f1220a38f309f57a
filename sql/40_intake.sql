-- Purpose: the way in: what the receiver calls, and accept_webhook() for deliveries that come another way.
-- Rights: the receiver's role ('admin'); accept_webhook() for 'operator'.

CREATE FUNCTION receiver_accounts() RETURNS TABLE (account text, token text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT a.name, secret('account:' || a.name || ':webhook_token') FROM account a;
END $$;
COMMENT ON FUNCTION receiver_accounts() IS 'Accounts and their webhook tokens, for the receiver';

CREATE FUNCTION keep_deliveries(accounts text[], bodies bytea[], problems text[], addresses text[], source text DEFAULT 'webhook') RETURNS integer
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    at      timestamptz := clock();
    digests bytea[];
    kept    integer;
BEGIN
    digests := ARRAY(SELECT sha256(convert_to(u.account, 'UTF8') || '\x00'::bytea || u.body) FROM ROWS FROM (few(accounts), few(bodies)) WITH ORDINALITY u (account, body, n) ORDER BY u.n);
    WITH fresh AS (
        INSERT INTO inbox_digest (digest, received_at) SELECT DISTINCT d, at FROM few(digests) d ORDER BY d
        ON CONFLICT DO NOTHING RETURNING digest
    ), delivery AS (
        SELECT min(u.n) AS n FROM few(digests) WITH ORDINALITY u (digest, n) JOIN fresh USING (digest) GROUP BY digest
    ), stored AS (
        INSERT INTO inbox (received_at, account, source, address, body, problem)
        SELECT at, accounts[d.n], keep_deliveries.source, addresses[d.n], bodies[d.n], problems[d.n] FROM delivery d ORDER BY d.n
        RETURNING id, account, problem
    ), pending AS (
        INSERT INTO inbox_pending (id, received_at) SELECT id, at FROM stored WHERE problem IS NULL
    ), rejected AS (
        INSERT INTO inbox_reject (inbox_id, received_at, account, reason, detail)
        SELECT id, at, account, 'not_json', problem FROM stored WHERE problem IS NOT NULL
    )
    SELECT count(*) INTO kept FROM stored;
    RETURN kept;
END $$;
COMMENT ON FUNCTION keep_deliveries(text[], bytea[], text[], text[], text) IS 'Keeps a set of deliveries; equal bodies of one account once; returns how many were new';

CREATE FUNCTION accept_webhook(account text, body text) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    problem text := json_problem(convert_to(body, 'UTF8'));
BEGIN
    PERFORM require_account(account);
    IF problem IS NOT NULL OR body IS NULL THEN
        RAISE EXCEPTION 'delivery for account "%" is not JSON', account
            USING ERRCODE = '22P02', DETAIL = coalesce(problem, 'The body is NULL.'), HINT = 'Pass the body of the webhook unchanged.';
    END IF;
    IF keep_deliveries(ARRAY[account], ARRAY[convert_to(body, 'UTF8')], ARRAY[NULL::text], ARRAY[NULL::text], 'call') = 0 THEN
        RETURN NULL;
    END IF;
    RETURN currval('inbox_id_seq');
END $$;
COMMENT ON FUNCTION accept_webhook(text, text) IS 'Takes in the body of a webhook that was received elsewhere; returns its inbox id, NULL when an equal one is kept already';

CREATE FUNCTION read_rejected(account text, reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    again bigint;
BEGIN
    PERFORM require_account(account);
    WITH freed AS (
        DELETE FROM inbox_reject r WHERE r.account = read_rejected.account AND r.reason <> 'not_json' AND (read_rejected.reason IS NULL OR r.reason = read_rejected.reason) RETURNING r.inbox_id, r.received_at
    )
    INSERT INTO inbox_pending (id, received_at, again) SELECT f.inbox_id, f.received_at, true FROM freed f ORDER BY f.inbox_id;
    GET DIAGNOSTICS again = ROW_COUNT;
    RETURN again;
END $$;
COMMENT ON FUNCTION read_rejected(text, text) IS 'Has the rejected deliveries of an account, or those rejected for one reason, read once more, all but what is not JSON; returns how many';

CREATE FUNCTION receiver_health(OUT queue_rows bigint, OUT oldest_seconds double precision, OUT last_exchange timestamptz, OUT quiet text) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    SELECT count(*), greatest(extract(epoch FROM clock() - min(p.received_at)), 0) INTO queue_rows, oldest_seconds FROM inbox_pending p;
    IF queue_rows = 0 THEN
        oldest_seconds := NULL;
    END IF;
    SELECT x.at INTO last_exchange FROM exchange_log x WHERE x.direction = 'out' AND x.http_status IS NOT NULL AND x.at > clock() - interval '1 day' ORDER BY x.at DESC LIMIT 1;
    quiet := quiet_reason();
END $$;
COMMENT ON FUNCTION receiver_health() IS 'For /health: deliveries waiting, age of the oldest, last answer of a remote system within a day, why the database keeps quiet';
