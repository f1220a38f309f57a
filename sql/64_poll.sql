-- Purpose: tasks of kind crm_orders: reading orders by the API of SalesDrive, what changed lately (feed live) and what there is since a day (feed backfill).
-- Rights: the engine's role.
--
-- A feed reads one window of updateAt with fixed ends, all pages of it, and moves on with the COMMIT that keeps the last page. Rows that change
-- meanwhile leave the window, and those behind them move up: so pages are read from the last to the first, and nothing can slip from a page
-- that is still to be read into one that was read.

CREATE TABLE crm_poll (
    account     text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    feed        text NOT NULL CHECK (feed IN ('live', 'backfill')),
    seen_until  timestamptz,
    until       timestamptz,
    window_from timestamp,
    window_to   timestamp,
    page        integer,
    pages       integer,
    orders      bigint NOT NULL DEFAULT 0,
    requests    bigint NOT NULL DEFAULT 0,
    started_at  timestamptz,
    done_at     timestamptz,
    PRIMARY KEY (account, feed)
);
COMMENT ON TABLE crm_poll IS 'How far orders were read by the API: a window of updateAt, page by page';
COMMENT ON COLUMN crm_poll.account IS 'Account';
COMMENT ON COLUMN crm_poll.feed IS 'live (what changed lately) or backfill (all since a day)';
COMMENT ON COLUMN crm_poll.seen_until IS 'What changed before is here: the next window begins there, less account_api.poll_overlap; of a backfill, its beginning';
COMMENT ON COLUMN crm_poll.until IS 'What seen_until becomes when the window is read';
COMMENT ON COLUMN crm_poll.window_from IS 'Beginning of the window, local time of the account';
COMMENT ON COLUMN crm_poll.window_to IS 'Its end';
COMMENT ON COLUMN crm_poll.page IS 'Page to be read next; NULL: no window is being read';
COMMENT ON COLUMN crm_poll.pages IS 'Pages of the window, as the first answer said; NULL: not known yet';
COMMENT ON COLUMN crm_poll.orders IS 'Orders received of the window';
COMMENT ON COLUMN crm_poll.requests IS 'Pages received of the window';
COMMENT ON COLUMN crm_poll.started_at IS 'When its reading began';
COMMENT ON COLUMN crm_poll.done_at IS 'When a window was read to its end last';

CREATE FUNCTION local_hour_shift(at timestamptz, zone text) RETURNS interval
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN CASE WHEN (at AT TIME ZONE zone) - ((at - interval '3 hours') AT TIME ZONE zone) <> interval '3 hours' THEN interval '1 hour' ELSE '0' END;
END $$;
COMMENT ON FUNCTION local_hour_shift(timestamptz, text) IS 'An hour, within three hours of a change of local time: then a naive time is ambiguous, and windows are widened by it';

CREATE FUNCTION begin_poll(account text, feed text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    now_at timestamptz := clock();
BEGIN
    UPDATE crm_poll p SET until = now_at, page = 1, pages = NULL, orders = 0, requests = 0, started_at = now_at,
        window_from = date_trunc('second', (coalesce(p.seen_until, now_at - interval '1 day') - CASE p.feed WHEN 'live' THEN x.poll_overlap ELSE '0' END) AT TIME ZONE a.time_zone) - local_hour_shift(now_at, a.time_zone),
        window_to = date_trunc('second', now_at AT TIME ZONE a.time_zone) + local_hour_shift(now_at, a.time_zone)
    FROM account a JOIN account_api x ON x.account = a.name
    WHERE a.name = begin_poll.account AND p.account = a.name AND p.feed = begin_poll.feed AND p.page IS NULL;
END $$;
COMMENT ON FUNCTION begin_poll(text, text) IS 'Sets the window of a feed, unless one is being read';

CREATE FUNCTION plan_crm_orders(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM begin_poll(t.account, t.key) FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t;
    RETURN QUERY
    SELECT t.id, 'request', CASE t.key WHEN 'live' THEN 'read changed orders' ELSE 'read all orders' END, 'GET',
           format('api/order/list/?page=%s&limit=100&filter%%5BupdateAt%%5D%%5Bfrom%%5D=%s&filter%%5BupdateAt%%5D%%5Bto%%5D=%s&filter%%5BstatusId%%5D=__ALL__',
                  p.page, url_encode(to_char(p.window_from, 'YYYY-MM-DD HH24:MI:SS')), url_encode(to_char(p.window_to, 'YYYY-MM-DD HH24:MI:SS'))),
           NULL::jsonb, jsonb_build_object('page', p.page, 'started_at', p.started_at), false, NULL::timestamptz, NULL::text, NULL::text, NULL::text, NULL::text
    FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t JOIN crm_poll p ON p.account = t.account AND p.feed = t.key WHERE p.page IS NOT NULL;
END $$;
COMMENT ON FUNCTION plan_crm_orders(bigint[]) IS 'Plan of kind crm_orders: the next page of the feed''s window, deleted orders included';

CREATE FUNCTION settle_crm_orders(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r     record;
    p     crm_poll;
    body  jsonb;
    rows  integer;
    next  integer;
BEGIN
    FOR r IN SELECT u.task_id, u.body, t.account, t.key, t.memo, u::http_result AS result FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t WHERE u.class = 'ok' ORDER BY t.account, t.key LOOP
        SELECT * INTO p FROM crm_poll x WHERE x.account = r.account AND x.feed = r.key FOR UPDATE;
        IF p.page IS DISTINCT FROM (r.memo ->> 'page')::integer OR p.started_at IS DISTINCT FROM (r.memo ->> 'started_at')::timestamptz THEN    -- another window was asked for meanwhile
            RETURN NEXT ROW(r.task_id, 'again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
            CONTINUE;
        END IF;
        body := result_json(r.result);
        rows := jsonb_array_length(json_rows(body -> 'data'));
        IF rows > 0 THEN
            IF octet_length(r.body) > 1048576 THEN    -- every page brings all lists of the account along: large ones are not kept with each
                PERFORM keep_crm_values(r.account, body -> 'meta');
                r.body := convert_to((body - 'meta')::text, 'UTF8');
            END IF;
            PERFORM keep_deliveries(ARRAY[r.account], ARRAY[r.body], ARRAY[NULL::text], ARRAY[NULL::text], CASE r.key WHEN 'live' THEN 'poll' ELSE 'backfill' END);
        END IF;
        IF p.requests = 0 THEN    -- how many pages there are is known by now: on from the last
            p.pages := CASE WHEN json_bigint(body #> '{pagination,pageCount}') < 1000000 THEN json_bigint(body #> '{pagination,pageCount}')::integer END;
            next := CASE WHEN p.pages > 1 THEN p.pages WHEN p.pages IS NULL AND rows > 0 THEN 2 END;
        ELSIF p.pages IS NULL THEN    -- an account that does not say: forward to an empty page
            next := CASE WHEN rows > 0 THEN p.page + 1 END;
        ELSE
            next := nullif(p.page - 1, 0);
        END IF;
        UPDATE crm_poll x SET page = next, pages = p.pages, orders = x.orders + rows, requests = x.requests + 1,
            seen_until = CASE WHEN next IS NULL AND x.feed = 'live' THEN x.until ELSE x.seen_until END, done_at = CASE WHEN next IS NULL THEN clock() ELSE x.done_at END
        WHERE x.account = p.account AND x.feed = p.feed;
        RETURN NEXT ROW(r.task_id, CASE WHEN next IS NULL THEN 'done' ELSE 'again' END, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_crm_orders(http_result[]) IS 'Settle of kind crm_orders: keeps the page as a delivery and goes on to the next; the feed moves on when all are kept';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, target) VALUES ('crm_orders', 'shipped', 'salesdrive.plan_crm_orders', 'salesdrive.settle_crm_orders', 'account');

CREATE FUNCTION fetch_orders(account text, since timestamptz DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    a    account := require_account(account);
    feed text := CASE WHEN since IS NULL THEN 'live' ELSE 'backfill' END;
BEGIN
    IF since > clock() THEN
        RAISE EXCEPTION 'orders of account "%" cannot be read since %, which is to come', account, since USING ERRCODE = '22023', HINT = 'Give the day of the oldest order wanted, for example ''2026-01-01''; without one, what changed lately is read.';
    END IF;
    PERFORM begin_api(a.name);
    INSERT INTO crm_poll AS p (account, feed, seen_until) VALUES (a.name, feed, since)
    ON CONFLICT ON CONSTRAINT crm_poll_pkey DO UPDATE SET seen_until = excluded.seen_until, page = NULL    -- another beginning: the window is read anew
    WHERE p.feed = 'backfill' AND (p.page IS NULL OR p.seen_until IS DISTINCT FROM excluded.seen_until);
    RETURN enqueue(a.name, 'crm_orders', feed, NULL, CASE feed WHEN 'live' THEN 1 ELSE 4 END::smallint);
END $$;
COMMENT ON FUNCTION fetch_orders(text, timestamptz) IS 'Asks for orders to be read by the API: what changed since the last time, or all that changed since a day (a backfill, which goes on where it stopped); returns the task';

CREATE VIEW fetch_status AS
    SELECT p.account, p.feed, CASE WHEN t.id IS NULL THEN 'idle' WHEN t.state = 'ready' THEN coalesce(t.reason, 'waiting') ELSE t.state END AS state, p.seen_until, p.window_from, p.window_to,
           p.pages, CASE WHEN p.page IS NULL THEN 0 WHEN p.requests = 0 THEN NULL ELSE p.page END AS pages_left, p.orders, p.requests, p.started_at, p.done_at, t.run_at,
           CASE WHEN p.feed = 'backfill' THEN backfill_ends_at(p.account) WHEN p.page IS NOT NULL AND p.requests > 0 THEN clock() + (clock() - p.started_at) / p.requests * p.page END AS ends_at, t.detail
    FROM crm_poll p LEFT JOIN task t ON t.scope = p.account AND t.kind = 'crm_orders' AND t.key = p.feed;
COMMENT ON VIEW fetch_status IS 'How far orders were read by the API of each account';
COMMENT ON COLUMN fetch_status.account IS 'Account';
COMMENT ON COLUMN fetch_status.feed IS 'live or backfill';
COMMENT ON COLUMN fetch_status.state IS 'idle, waiting (or the reason: quota …), in_flight or parked';
COMMENT ON COLUMN fetch_status.seen_until IS 'What changed before is here; of a backfill, its beginning';
COMMENT ON COLUMN fetch_status.window_from IS 'Beginning of the window that is, or was, read; local time of the account';
COMMENT ON COLUMN fetch_status.window_to IS 'Its end';
COMMENT ON COLUMN fetch_status.pages IS 'Its pages';
COMMENT ON COLUMN fetch_status.pages_left IS 'Pages to be read; NULL: not known yet';
COMMENT ON COLUMN fetch_status.orders IS 'Orders received of it';
COMMENT ON COLUMN fetch_status.requests IS 'Pages received of it';
COMMENT ON COLUMN fetch_status.started_at IS 'When its reading began';
COMMENT ON COLUMN fetch_status.done_at IS 'When a window was read to its end last';
COMMENT ON COLUMN fetch_status.run_at IS 'When the next page is due';
COMMENT ON COLUMN fetch_status.ends_at IS 'When it ends: a backfill by its share of the quota, what changed lately at the pace it has had';
COMMENT ON COLUMN fetch_status.detail IS 'What it waits for';
