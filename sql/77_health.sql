-- Purpose: one row a day that says how it went, above all that all is well: where it fails to come, nobody is at work.
-- Rights: written by the engine and maintain(); readers read.

CREATE TABLE health_day (
    day             date PRIMARY KEY,
    written_at      timestamptz NOT NULL DEFAULT clock(),
    verdict         text NOT NULL,
    versions        bigint NOT NULL,
    orders          bigint NOT NULL,
    created         bigint NOT NULL,
    changed         bigint NOT NULL,
    parked          bigint NOT NULL,
    requests        bigint NOT NULL,
    failures        jsonb NOT NULL DEFAULT '{}',
    incidents       jsonb NOT NULL DEFAULT '{}',
    waiting_now     bigint NOT NULL,
    parked_now      bigint NOT NULL,
    oldest_at       timestamptz,
    incidents_now   bigint NOT NULL,
    edits_fresh     jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE health_day IS 'How each day (UTC) went; one row a day, also when nothing happened';
COMMENT ON COLUMN health_day.day IS 'Day, from midnight to midnight UTC';
COMMENT ON COLUMN health_day.written_at IS 'When the row was written; what is said of now is of then';
COMMENT ON COLUMN health_day.verdict IS 'all is well, or what is not';
COMMENT ON COLUMN health_day.versions IS 'Versions of orders received on that day';
COMMENT ON COLUMN health_day.orders IS 'Orders these were of';
COMMENT ON COLUMN health_day.created IS 'Documents created';
COMMENT ON COLUMN health_day.changed IS 'Documents changed';
COMMENT ON COLUMN health_day.parked IS 'Times an order was parked';
COMMENT ON COLUMN health_day.requests IS 'Requests sent';
COMMENT ON COLUMN health_day.failures IS 'Of these, those that were not answered well: {class: number}';
COMMENT ON COLUMN health_day.incidents IS 'Incidents that began: {kind: number}';
COMMENT ON COLUMN health_day.waiting_now IS 'Orders on the way';
COMMENT ON COLUMN health_day.parked_now IS 'Orders parked';
COMMENT ON COLUMN health_day.oldest_at IS 'When the oldest order on the way was asked for';
COMMENT ON COLUMN health_day.incidents_now IS 'Incidents open';
COMMENT ON COLUMN health_day.edits_fresh IS 'So long after updateAt 99 of 100 versions were here: {account: seconds}, of the day before it was written';

CREATE FUNCTION health_row(day date DEFAULT (clock() AT TIME ZONE 'UTC')::date - 1) RETURNS health_day
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp SET jit = off AS $$
DECLARE
    low  timestamptz := day::timestamp AT TIME ZONE 'UTC';
    high timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
    h    health_day;
BEGIN
    IF day IS NULL OR low > clock() THEN
        RAISE EXCEPTION 'there is no row of health for %, which is to come', coalesce(day::text, 'no day') USING ERRCODE = '22023', HINT = 'Give a day that has begun; without one, yesterday.';
    END IF;
    SELECT * INTO h FROM health_day x WHERE x.day = health_row.day;
    IF h.written_at >= high OR quiet_reason() IS NOT NULL THEN    -- a day that is over does not change
        RETURN h;
    END IF;
    h.day := day;
    h.written_at := clock();
    SELECT count(*), count(DISTINCT (v.account, v.order_id)) INTO h.versions, h.orders FROM crm_order_version v WHERE v.received_at >= low AND v.received_at < high;
    SELECT count(*) FILTER (WHERE document_made(e.event, e.detail)), count(*) FILTER (WHERE document_changed(e.event, e.detail)), count(*) FILTER (WHERE e.event = 'parked') INTO h.created, h.changed, h.parked
    FROM order_event e WHERE e.at >= low AND e.at < high;
    SELECT coalesce(sum(c.n), 0), coalesce(jsonb_object_agg(c.class, c.n) FILTER (WHERE c.class <> 'ok'), '{}') INTO h.requests, h.failures
    FROM (SELECT coalesce(l.class, 'bug') AS class, count(*) AS n FROM exchange_log l WHERE l.at >= low AND l.at < high AND l.direction = 'out' GROUP BY 1) c;
    SELECT coalesce(jsonb_object_agg(c.kind, c.n), '{}') INTO h.incidents FROM (SELECT i.kind, count(*) AS n FROM incident i WHERE i.opened_at >= low AND i.opened_at < high GROUP BY 1) c;
    SELECT count(*) FILTER (WHERE t.state <> 'parked'), count(*) FILTER (WHERE t.state = 'parked'), min(t.created_at) FILTER (WHERE t.state <> 'parked') INTO h.waiting_now, h.parked_now, h.oldest_at FROM task t WHERE t.kind = 'order';
    SELECT count(*) INTO h.incidents_now FROM incident i WHERE i.closed_at IS NULL;
    SELECT coalesce(jsonb_object_agg(f.name, extract(epoch FROM f.fresh)::bigint) FILTER (WHERE f.fresh IS NOT NULL), '{}') INTO h.edits_fresh FROM (SELECT a.name, edits_fresh(a.name) AS fresh FROM account a) f;
    h.verdict := coalesce((SELECT string_agg(s, ', ') FROM unnest(ARRAY[
        CASE WHEN h.incidents_now > 0 THEN format('incidents open: %s', (SELECT string_agg(i.kind || ' ' || i.subject, ', ' ORDER BY i.kind, i.subject) FROM incident i WHERE i.closed_at IS NULL)) END,
        CASE WHEN h.parked_now > 0 THEN format('orders parked: %s', h.parked_now) END,
        (SELECT 'parked: ' || string_agg(p.n || ' ' || task_words(p.kind), ', ' ORDER BY p.kind) FROM (SELECT t.kind, count(*) AS n FROM task t WHERE t.state = 'parked' AND t.kind <> 'order' GROUP BY t.kind) p)]) s), 'all is well');
    INSERT INTO health_day AS x SELECT h.* ON CONFLICT ON CONSTRAINT health_day_pkey DO UPDATE SET (written_at, verdict, versions, orders, created, changed, parked, requests, failures, incidents, waiting_now, parked_now, oldest_at, incidents_now, edits_fresh)
        = (h.written_at, h.verdict, h.versions, h.orders, h.created, h.changed, h.parked, h.requests, h.failures, h.incidents, h.waiting_now, h.parked_now, h.oldest_at, h.incidents_now, h.edits_fresh);
    RETURN h;
END $$;
COMMENT ON FUNCTION health_row(date) IS 'Writes the row of a day, without one of yesterday, and returns it; that of a day that is over is written once';

CREATE FUNCTION health_rows() RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    yesterday date := (clock() AT TIME ZONE 'UTC')::date - 1;
BEGIN
    IF quiet_reason() IS NULL THEN
        PERFORM health_row(d::date) FROM generate_series(greatest(coalesce((SELECT max(x.day) + 1 FROM health_day x WHERE x.day <= yesterday AND x.written_at >= (x.day + 1)::timestamp AT TIME ZONE 'UTC'), yesterday), yesterday - 30), yesterday, interval '1 day') d;
    END IF;
END $$;
COMMENT ON FUNCTION health_rows() IS 'Writes the rows that are missing since the last one, a month at most';
