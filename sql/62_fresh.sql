-- Purpose: what people ask of the quota of an API: how fresh edits are, when a backfill will end, how far a long task is.
-- Rights: readers.

CREATE INDEX crm_order_version_received ON crm_order_version USING brin (received_at) WITH (pages_per_range = 32, autosummarize = on);

CREATE FUNCTION edits_fresh(account text, share double precision DEFAULT 0.99, since interval DEFAULT '1 day') RETURNS interval
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp SET jit = off AS $$
BEGIN
    RETURN (SELECT percentile_disc(share) WITHIN GROUP (ORDER BY greatest(e.delay, '0'))
            FROM (SELECT v.received_at - v.update_at AT TIME ZONE a.time_zone AS delay FROM account a JOIN crm_order_version v ON v.account = a.name
                  WHERE a.name = edits_fresh.account AND v.received_at > clock() - since AND v.update_at IS NOT NULL
                    AND NOT EXISTS (SELECT FROM inbox i WHERE i.id = v.inbox_id AND i.received_at = v.received_at AND i.source = 'backfill') LIMIT 20000) e);
END $$;
COMMENT ON FUNCTION edits_fresh(text, double precision, interval) IS 'How long after updateAt so large a share of the versions that came lately were here, by webhook or by polling; those of a backfill do not count. Of more than 20000 so many are looked at. NULL: none came';

-- A backfill waits where its share of a window is used, by whomever; and what others use of it goes on being used.
CREATE FUNCTION backfill_ends_at(account text, feed text DEFAULT 'backfill') RETURNS timestamptz
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    left_over bigint := (SELECT p.page FROM crm_poll p WHERE p.account = backfill_ends_at.account AND p.feed = backfill_ends_at.feed AND p.requests > 0);
    used_method text := (SELECT f.method FROM crm_feed f WHERE f.feed = backfill_ends_at.feed);
    each      double precision := (SELECT sum(c.seconds) / sum(c.exchanges) FROM exchange_count c WHERE c.target = 'account:' || backfill_ends_at.account AND c.class = 'ok');
BEGIN
    RETURN (SELECT clock() + make_interval(secs => left_over * coalesce(each, 0)) + greatest(max(w.span * (greatest(left_over - greatest(w.share - u.used, 0), 0) / greatest(w.share - u.by_others, 1)::double precision)), max(w.closed_until) - clock(), '0')
            FROM (SELECT '1 minute'::interval AS span, NULL::timestamptz AS closed_until, 1000000 AS share WHERE left_over IS NOT NULL
                  UNION ALL SELECT q.span, q.closed_until, greatest(floor(q.most * x.backfill_share), 1)::bigint FROM quota_window q JOIN account_api x ON x.account = q.account
                  WHERE q.account = backfill_ends_at.account AND q.method = used_method AND q.most IS NOT NULL) w
            CROSS JOIN LATERAL (SELECT count(*) AS used, count(*) FILTER (WHERE s.lane < 4) AS by_others FROM quota_use s
                                WHERE s.account = backfill_ends_at.account AND s.method = used_method AND s.counted_at > clock() - w.span) u
            WHERE left_over IS NOT NULL);
END $$;
COMMENT ON FUNCTION backfill_ends_at(text, text) IS 'When the backfill of an account will end: pages left by its share of the quota, less what others use, and the time that requests take; NULL: none is at work, or its pages are not known yet';

CREATE FUNCTION task_progress(task_id bigint) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT CASE t.kind
                WHEN 'products' THEN (SELECT format('%s articles taken in', l.products) FROM product_load l WHERE l.infobase = t.infobase AND l.up_to <> '')
                WHEN 'goods' THEN (SELECT format('%s rows read%s', (SELECT count(*) FROM goods_page p WHERE (p.infobase, p.what, p.part) = (s.infobase, s.what, s.part)), ', ' || nullif(jsonb_array_length(s.up_to::jsonb -> 'todo'), 0) || ' parts to go')
                                   FROM goods_snapshot s WHERE s.infobase = t.infobase AND concat_ws('/', s.what, nullif(s.part, '')) = t.key AND s.up_to <> '')
                WHEN 'yml' THEN (SELECT format('%s goods of the export read, %s to be made', l.offers, l.wanted) FROM yml_load l WHERE l.account = t.account AND l.loaded_at >= l.asked_at)
                WHEN 'push' THEN coalesce((SELECT CASE r.state WHEN 'comparing' THEN format('%s products compared, %s to be sent', r.goods, r.changed - r.sent - r.failed)
                                                               ELSE format('%s of %s products taken%s, %s requests', r.sent, r.changed, CASE WHEN r.failed > 0 THEN format(', %s refused', r.failed) END, r.requests) END
                                           FROM push_run r WHERE r.account = t.account AND r.what = t.key AND r.ended_at IS NULL AND (r.state = 'comparing' OR r.compared_at IS NOT NULL AND r.state <> 'reading')),
                                           (SELECT concat_ws(' ', t.detail, task_progress(w.id)) FROM task w WHERE w.kind = 'goods' AND w.scope = split_part(t.blocked_on, ':', 2) AND w.key = split_part(t.blocked_on, ':', 3)))
                ELSE (SELECT format('%s of %s pages to be read, %s %s received%s', p.page, p.pages, p.orders, f.items, ', ends at about ' || to_char(CASE WHEN f.since_a_day THEN backfill_ends_at(p.account, p.feed) END, 'YYYY-MM-DD HH24:MI TZ'))
                      FROM crm_feed f JOIN crm_poll p ON p.feed = f.feed WHERE f.kind = t.kind AND p.account = t.account AND p.feed = t.key AND p.page IS NOT NULL AND p.requests > 0 AND p.pages IS NOT NULL) END
            FROM task t WHERE t.id = task_progress.task_id);
END $$;
COMMENT ON FUNCTION task_progress(bigint) IS 'How far a task of many requests is, for wait(); NULL: it is not one, or has not begun';
