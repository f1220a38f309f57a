-- Purpose: reading lists by the API of SalesDrive, page by page: orders (tasks of kind crm_orders), payments (crm_payments), receipts (crm_receipts);
-- of each what is new (feed live) and what there is since a day (feed backfill).
-- Rights: the engine's role.
--
-- A feed reads one window of time with fixed ends, all pages of it, and moves on with the COMMIT that keeps the last page. Rows that change
-- meanwhile leave the window, and those behind them move up: so pages are read from the last to the first, and nothing can slip from a page
-- that is still to be read into one that was read. Payments and receipts enter the window while it is read, and move the others down: so what was read
-- is counted from the end of the list, and where rows slipped into a page that was read, that page is read once more.

CREATE VIEW crm_feed (feed, kind, method, keep_function, purpose, items, since_a_day) AS VALUES
    ('live',              'crm_orders',   'order/list',   'salesdrive.keep_order_page',   'read changed orders', 'orders',   false),
    ('backfill',          'crm_orders',   'order/list',   'salesdrive.keep_order_page',   'read all orders',     'orders',   true),
    ('payments',          'crm_payments', 'payment/list', 'salesdrive.keep_payment_page', 'read new payments',   'payments', false),
    ('payments_backfill', 'crm_payments', 'payment/list', 'salesdrive.keep_payment_page', 'read all payments',   'payments', true),
    ('receipts',          'crm_receipts', 'check/list',   'salesdrive.keep_receipt_page', 'read new receipts',   'receipts', false),
    ('receipts_backfill', 'crm_receipts', 'check/list',   'salesdrive.keep_receipt_page', 'read all receipts',   'receipts', true);
COMMENT ON VIEW crm_feed IS 'Lists that are read by the API of SalesDrive';
COMMENT ON COLUMN crm_feed.feed IS 'Name; the key of its task';
COMMENT ON COLUMN crm_feed.kind IS 'Kind of its task';
COMMENT ON COLUMN crm_feed.method IS 'Method of the API, as in quota_window';
COMMENT ON COLUMN crm_feed.keep_function IS 'Function (account, feed, rows of a page, the answer) that keeps a page';
COMMENT ON COLUMN crm_feed.purpose IS 'What its requests are for';
COMMENT ON COLUMN crm_feed.items IS 'What it lists';
COMMENT ON COLUMN crm_feed.since_a_day IS 'A backfill: crm_poll.seen_until is the day it begins with, and stays';

CREATE TABLE crm_poll (
    account     text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    feed        text NOT NULL CHECK (feed IN ('live', 'backfill', 'payments', 'payments_backfill', 'receipts', 'receipts_backfill')),
    seen_until  timestamptz,
    until       timestamptz,
    window_from timestamp,
    window_to   timestamp,
    page        integer,
    pages       integer,
    page_size   integer,
    listed      bigint,
    covered     bigint,
    ahead       bigint,
    orders      bigint NOT NULL DEFAULT 0,
    requests    bigint NOT NULL DEFAULT 0,
    started_at  timestamptz,
    done_at     timestamptz,
    PRIMARY KEY (account, feed)
);
COMMENT ON TABLE crm_poll IS 'How far orders, payments and receipts were read by the API: a window of time, page by page';
COMMENT ON COLUMN crm_poll.account IS 'Account';
COMMENT ON COLUMN crm_poll.feed IS 'crm_feed: live (what changed lately) or backfill (all since a day) of orders; payments, payments_backfill; receipts, receipts_backfill';
COMMENT ON COLUMN crm_poll.seen_until IS 'What changed before is here: the next window begins there, less account_api.poll_overlap or payment_overlap; of a backfill, its beginning';
COMMENT ON COLUMN crm_poll.until IS 'What seen_until becomes when the window is read';
COMMENT ON COLUMN crm_poll.window_from IS 'Beginning of the window, local time of the account';
COMMENT ON COLUMN crm_poll.window_to IS 'Its end';
COMMENT ON COLUMN crm_poll.page IS 'Page to be read next; NULL: no window is being read';
COMMENT ON COLUMN crm_poll.pages IS 'Pages of the window, as the first answer said; NULL: not known yet';
COMMENT ON COLUMN crm_poll.page_size IS 'Rows of a full page, as the first answer shows';
COMMENT ON COLUMN crm_poll.listed IS 'Rows of the window, as the first answer said; NULL: it did not, or not in accord with its pages';
COMMENT ON COLUMN crm_poll.covered IS 'Rows of the window that were received, counted from its end, without a gap';
COMMENT ON COLUMN crm_poll.ahead IS 'The same once the gap before the page read last is closed; NULL: there is none';
COMMENT ON COLUMN crm_poll.orders IS 'Orders, payments or receipts received of the window';
COMMENT ON COLUMN crm_poll.requests IS 'Pages received of the window';
COMMENT ON COLUMN crm_poll.started_at IS 'When its reading began';
COMMENT ON COLUMN crm_poll.done_at IS 'When a window was read to its end last';

CREATE FUNCTION local_hour_shift(at timestamptz, zone text) RETURNS interval
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN CASE WHEN ((at + interval '3 hours') AT TIME ZONE zone) - ((at - interval '3 hours') AT TIME ZONE zone) <> interval '6 hours' THEN interval '1 hour' ELSE '0' END;
END $$;
COMMENT ON FUNCTION local_hour_shift(timestamptz, text) IS 'An hour, within three hours of a change of local time, before it or after: then a naive time is ambiguous, and what begins or ends there is widened by it';

-- What changed between two instants bears local times between theirs, but for an hour where the clock was put back after the first of them or before
-- the second: so each end is widened for its own night.
CREATE FUNCTION begin_poll(account text, feed text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    now_at timestamptz := clock();
BEGIN
    IF EXISTS (SELECT FROM crm_poll p WHERE p.account = begin_poll.account AND p.feed = begin_poll.feed AND p.started_at > now_at) THEN
        PERFORM put_times_right();
    END IF;
    UPDATE crm_poll p SET until = now_at, page = 1, pages = NULL, page_size = NULL, listed = NULL, covered = 0, ahead = NULL, orders = 0, requests = 0, started_at = now_at,
        window_from = date_trunc('second', b.begins_at AT TIME ZONE a.time_zone) - local_hour_shift(b.begins_at, a.time_zone),
        window_to = date_trunc('second', now_at AT TIME ZONE a.time_zone) + local_hour_shift(now_at, a.time_zone)
                    + CASE WHEN f.kind <> 'crm_orders' AND x.payment_field = 'date' THEN interval '1 day' ELSE '0' END    -- a date may be that of the end of the day
    FROM account a JOIN account_api x ON x.account = a.name, crm_feed f, crm_poll o,
         LATERAL (SELECT coalesce(o.seen_until, now_at - interval '1 day') - CASE WHEN f.since_a_day THEN '0' WHEN f.kind = 'crm_orders' THEN x.poll_overlap ELSE x.payment_overlap END AS begins_at) b
    WHERE a.name = begin_poll.account AND o.account = a.name AND o.feed = begin_poll.feed AND f.feed = o.feed AND o.page IS NULL AND p.account = o.account AND p.feed = o.feed;
END $$;
COMMENT ON FUNCTION begin_poll(text, text) IS 'Sets the window of a feed, unless one is being read';

CREATE FUNCTION plan_crm_feed(tasks bigint[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM begin_poll(t.account, t.key) FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t;
    RETURN QUERY
    SELECT t.id, 'request', f.purpose, 'GET',
           format('api/%1$s/?page=%2$s&limit=100&filter%%5B%3$s%%5D%%5Bfrom%%5D=%4$s&filter%%5B%3$s%%5D%%5Bto%%5D=%5$s%6$s', f.method, p.page, CASE f.kind WHEN 'crm_orders' THEN 'updateAt' ELSE x.payment_field END,
                  url_encode(to_char(p.window_from, 'YYYY-MM-DD HH24:MI:SS')), url_encode(to_char(p.window_to, 'YYYY-MM-DD HH24:MI:SS')), CASE f.kind WHEN 'crm_orders' THEN '&filter%5BstatusId%5D=__ALL__' ELSE '' END),
           NULL::jsonb, jsonb_build_object('page', p.page, 'started_at', p.started_at), false, NULL::timestamptz, NULL::text, NULL::text, NULL::text, NULL::text
    FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t JOIN crm_poll p ON p.account = t.account AND p.feed = t.key JOIN crm_feed f ON f.feed = p.feed JOIN account_api x ON x.account = p.account WHERE p.page IS NOT NULL;
END $$;
COMMENT ON FUNCTION plan_crm_feed(bigint[]) IS 'Plan of kinds crm_orders, crm_payments and crm_receipts: the next page of the feed''s window, deleted orders included';

CREATE FUNCTION keep_order_page(account text, feed text, rows jsonb, body bytea) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF octet_length(body) > 1048576 THEN    -- every page brings all lists of the account along: large ones are not kept with each
        PERFORM keep_crm_values(account, body_json(body) -> 'meta');
        body := convert_to((body_json(body) - 'meta')::text, 'UTF8');
    END IF;
    PERFORM keep_deliveries(ARRAY[account], ARRAY[body], ARRAY[NULL::text], ARRAY[NULL::text], CASE feed WHEN 'live' THEN 'poll' ELSE 'backfill' END);
END $$;
COMMENT ON FUNCTION keep_order_page(text, text, jsonb, bytea) IS 'Keeps a page of orders as a delivery';

-- What is entered meanwhile stands in front, and the next window has it: so the end of the list is where rows are counted from.
CREATE FUNCTION next_feed_page(p crm_poll, count bigint) RETURNS crm_poll
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    behind bigint := count - p.page::bigint * p.page_size;    -- rows behind this page
BEGIN
    IF p.listed IS NULL OR count IS NULL THEN
        p.page := nullif(p.page - 1, 0);
        RETURN p;
    END IF;
    p.covered := CASE WHEN behind <= p.covered THEN greatest(behind + p.page_size, p.ahead) ELSE p.covered END;
    p.ahead := CASE WHEN behind > p.covered AND behind - p.covered <= p.page_size THEN behind + p.page_size END;    -- so many have slipped into the page behind it, which was read
    p.page := CASE WHEN p.covered < least(count, p.listed - p.page_size) THEN ceil((count - p.covered)::numeric / p.page_size) END;    -- the first page was read at first
    RETURN p;
END $$;
COMMENT ON FUNCTION next_feed_page(crm_poll, bigint) IS 'A feed with the page to be read after one that is not the first, when its list has so many rows by now; NULL: all are read';

CREATE FUNCTION settle_crm_feed(results http_result[]) RETURNS SETOF plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r     record;
    p     crm_poll;
    body  jsonb;
    rows  integer;
    next  integer;
    count bigint;
BEGIN
    FOR r IN SELECT u.task_id, u.body, t.account, t.key, t.memo, f.kind, f.keep_function, f.since_a_day, u::http_result AS result FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t JOIN crm_feed f ON f.feed = t.key WHERE u.class = 'ok' ORDER BY t.account, t.key LOOP
        SELECT * INTO p FROM crm_poll x WHERE x.account = r.account AND x.feed = r.key FOR UPDATE;
        IF p.page IS DISTINCT FROM (r.memo ->> 'page')::integer OR p.started_at IS DISTINCT FROM (r.memo ->> 'started_at')::timestamptz THEN    -- another window was asked for meanwhile
            RETURN NEXT ROW(r.task_id, 'again', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
            CONTINUE;
        END IF;
        body := result_json(r.result);
        rows := jsonb_array_length(json_rows(body -> 'data'));
        IF rows > 0 THEN
            EXECUTE format('SELECT %s($1, $2, $3, $4)', r.keep_function) USING r.account, r.key, json_rows(body -> 'data'), r.body;
        END IF;
        count := json_bigint(body #> '{totals,count}');
        IF p.requests = 0 THEN    -- how many pages there are is known by now: on from the last
            p.pages := CASE WHEN json_bigint(body #> '{pagination,pageCount}') < 1000000 THEN json_bigint(body #> '{pagination,pageCount}')::integer END;
            p.page_size := nullif(rows, 0);
            p.listed := CASE WHEN r.kind <> 'crm_orders' AND ceil(count::numeric / p.page_size) = p.pages THEN count END;
            next := CASE WHEN p.pages > 1 THEN p.pages WHEN p.pages IS NULL AND rows > 0 THEN 2 END;
        ELSIF p.pages IS NULL THEN    -- an account that does not say: forward to an empty page
            next := CASE WHEN rows > 0 THEN p.page + 1 END;
        ELSE
            p := next_feed_page(p, count);
            next := p.page;
        END IF;
        UPDATE crm_poll x SET page = next, pages = p.pages, page_size = p.page_size, listed = p.listed, covered = p.covered, ahead = p.ahead, orders = x.orders + rows, requests = x.requests + 1,
            seen_until = CASE WHEN next IS NULL AND NOT r.since_a_day THEN x.until ELSE x.seen_until END, done_at = CASE WHEN next IS NULL THEN clock() ELSE x.done_at END
        WHERE x.account = p.account AND x.feed = p.feed RETURNING * INTO p;
        IF next IS NULL AND r.key LIKE 'payments%' THEN
            PERFORM note_payments_missing(p);
            PERFORM reread_payments(p.account);
        END IF;
        RETURN NEXT ROW(r.task_id, CASE WHEN next IS NULL THEN 'done' ELSE 'again' END, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::plan_step;
    END LOOP;
END $$;
COMMENT ON FUNCTION settle_crm_feed(http_result[]) IS 'Settle of kinds crm_orders, crm_payments and crm_receipts: keeps the page and goes on to the next; the feed moves on when all are kept';
INSERT INTO task_kind (kind, origin, plan_function, settle_function, target)
SELECT k, 'shipped', 'salesdrive.plan_crm_feed', 'salesdrive.settle_crm_feed', 'account' FROM unnest(ARRAY['crm_orders', 'crm_payments', 'crm_receipts']) k;

CREATE FUNCTION begin_feed(account text, items text, since timestamptz) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    f crm_feed := (SELECT x FROM crm_feed x WHERE x.items = begin_feed.items AND x.since_a_day = (since IS NOT NULL));
BEGIN
    PERFORM require_account(account);
    IF since > clock() THEN
        RAISE EXCEPTION '% of account "%" cannot be read since %, which is to come', items, account, since USING ERRCODE = '22023', HINT = format('Give the day of the oldest %s wanted, for example ''2026-01-01''; without one, what changed lately is read.', rtrim(items, 's'));
    END IF;
    IF since < '2000-01-01' THEN    -- '-infinity', too: before there was SalesDrive
        since := '2000-01-01';
    END IF;
    PERFORM begin_api(account);
    PERFORM begin_quota(account, f.method);
    PERFORM hold_tasks(ARRAY[account], ARRAY[f.kind], ARRAY[f.feed]);
    INSERT INTO crm_poll AS p (account, feed, seen_until) VALUES (begin_feed.account, f.feed, since)
    ON CONFLICT ON CONSTRAINT crm_poll_pkey DO UPDATE SET seen_until = excluded.seen_until, page = NULL    -- another beginning: the window is read anew
    WHERE f.since_a_day AND (p.page IS NULL OR p.seen_until IS DISTINCT FROM excluded.seen_until);
    RETURN enqueue(account, f.kind, f.feed, NULL, CASE WHEN f.since_a_day THEN 4 WHEN f.kind = 'crm_orders' THEN 1 ELSE 2 END::smallint);
END $$;
COMMENT ON FUNCTION begin_feed(text, text, timestamptz) IS 'Asks for a list of SalesDrive to be read: what is new, or all since a day; returns the task';

CREATE FUNCTION fetch_orders(account text, since timestamptz DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN begin_feed(account, 'orders', since);
END $$;
COMMENT ON FUNCTION fetch_orders(text, timestamptz) IS 'Asks for orders to be read by the API: what changed since the last time, or all that changed since a day (a backfill, which goes on where it stopped); returns the task';

CREATE VIEW fetch_status AS
    SELECT p.account, p.feed, CASE WHEN t.id IS NULL THEN 'idle' WHEN t.state = 'ready' THEN coalesce(t.reason, 'waiting') ELSE t.state END AS state, p.seen_until, p.window_from, p.window_to,
           p.pages, CASE WHEN p.page IS NULL THEN 0 WHEN p.requests = 0 THEN NULL ELSE p.page END AS pages_left, p.orders, p.requests, p.started_at, p.done_at, t.run_at,
           CASE WHEN f.since_a_day THEN backfill_ends_at(p.account, p.feed) WHEN p.page IS NOT NULL AND p.requests > 0 THEN clock() + (clock() - p.started_at) / p.requests * p.page END AS ends_at, t.detail
    FROM crm_poll p JOIN crm_feed f ON f.feed = p.feed LEFT JOIN task t ON t.scope = p.account AND t.kind = f.kind AND t.key = p.feed;
COMMENT ON VIEW fetch_status IS 'How far orders, payments and receipts were read by the API of each account';
COMMENT ON COLUMN fetch_status.account IS 'Account';
COMMENT ON COLUMN fetch_status.feed IS 'live or backfill (of orders), payments, payments_backfill, receipts or receipts_backfill';
COMMENT ON COLUMN fetch_status.state IS 'idle, waiting (or the reason: quota …), in_flight or parked';
COMMENT ON COLUMN fetch_status.seen_until IS 'What changed before is here; of a backfill, its beginning';
COMMENT ON COLUMN fetch_status.window_from IS 'Beginning of the window that is, or was, read; local time of the account';
COMMENT ON COLUMN fetch_status.window_to IS 'Its end';
COMMENT ON COLUMN fetch_status.pages IS 'Its pages';
COMMENT ON COLUMN fetch_status.pages_left IS 'Pages to be read; NULL: not known yet';
COMMENT ON COLUMN fetch_status.orders IS 'Orders, payments or receipts received of it';
COMMENT ON COLUMN fetch_status.requests IS 'Pages received of it';
COMMENT ON COLUMN fetch_status.started_at IS 'When its reading began';
COMMENT ON COLUMN fetch_status.done_at IS 'When a window was read to its end last';
COMMENT ON COLUMN fetch_status.run_at IS 'When the next page is due';
COMMENT ON COLUMN fetch_status.ends_at IS 'When it ends: a backfill by its share of the quota, what changed lately at the pace it has had';
COMMENT ON COLUMN fetch_status.detail IS 'What it waits for';
