-- Purpose: figures for a monitor: rows for one that asks by SQL, text in OpenMetrics for /metrics. What is asked here is bounded, whatever waits.
-- Rights: readers.

CREATE FUNCTION incident_kinds() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['infobase_paused', 'account_paused', 'api_paused', 'method_refused', 'circuit_open', 'quota_exhausted', 'order_late', 'order_parked', 'task_parked', 'reading_late', 'stock_guard', 'price_guard', 'clock_back', 'receiver_cannot_bind', 'worker_failing'];
COMMENT ON FUNCTION incident_kinds() IS 'Kinds of incidents';

CREATE FUNCTION metric_families() RETURNS TABLE (family text, type text, help text)
    LANGUAGE sql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
    VALUES ('tasks', 'gauge', 'Tasks that wait, are in flight or are parked, by lane; of more than 100000 a sample of so many.'),
           ('order_oldest_seconds', 'gauge', 'Age of the oldest order of an account that is on the way, those of a backfill aside.'),
           ('exchanges', 'counter', 'Requests to a base or an API, by the class of the answer.'),
           ('exchange_seconds', 'histogram', 'How long requests took.'),
           ('target_up', 'gauge', '1 when a base or an API works, 0 when it is paused or its circuit is open.'),
           ('target_connections', 'gauge', 'Connections in use.'),
           ('target_connections_limit', 'gauge', 'Most connections at once.'),
           ('quota_left', 'gauge', 'Requests that a window of the quota of an account has left.'),
           ('incidents_open', 'gauge', 'Incidents that are not over.')
$$;
COMMENT ON FUNCTION metric_families() IS 'Families of metrics(), as OpenMetrics has them: name, type, meaning';

CREATE FUNCTION metrics() RETURNS TABLE (family text, suffix text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT 'tasks', '', jsonb_build_object('state', s, 'lane', l::text), coalesce(c.n, 0)::double precision
    FROM unnest(ARRAY['ready', 'in_flight', 'parked']) WITH ORDINALITY x (s, o) CROSS JOIN generate_series(1, 4) l
    LEFT JOIN (SELECT t.state, t.lane, count(*) AS n FROM (SELECT k.state, k.lane FROM task k LIMIT 100000) t GROUP BY 1, 2) c ON c.state = s AND c.lane = l ORDER BY x.o, l;

    RETURN QUERY SELECT 'order_oldest_seconds', '', jsonb_build_object('account', a.name), greatest(coalesce(extract(epoch FROM clock() - l.oldest_at), 0), 0)::double precision
    FROM account a CROSS JOIN LATERAL late_orders(a.name, ARRAY['ready', 'in_flight'], 'infinity', 1) l ORDER BY a.name;

    RETURN QUERY SELECT 'exchanges', '_total', jsonb_build_object('target', c.target, 'class', c.class), c.exchanges::double precision FROM exchange_count c ORDER BY c.target, c.class;

    RETURN QUERY SELECT 'exchange_seconds', p.suffix, jsonb_build_object('target', p.target) || CASE WHEN p.le IS NULL THEN '{}' ELSE jsonb_build_object('le', p.le) END, sum(p.value)
    FROM (SELECT c.target, '_bucket' AS suffix, CASE WHEN b.most = floor(b.most) THEN b.most || '.0' ELSE b.most::text END AS le, b.n, coalesce(c.within[b.n], 0)::double precision AS value
          FROM exchange_count c CROSS JOIN unnest(latency_bounds()) WITH ORDINALITY b (most, n)
          UNION ALL SELECT c.target, '_bucket', '+Inf', 1000, c.exchanges FROM exchange_count c
          UNION ALL SELECT c.target, '_count', NULL, 1001, c.exchanges FROM exchange_count c
          UNION ALL SELECT c.target, '_sum', NULL, 1002, c.seconds FROM exchange_count c) p
    GROUP BY p.target, p.suffix, p.le, p.n ORDER BY p.target, p.n;

    RETURN QUERY SELECT f.family, '', jsonb_build_object('target', t.name), CASE f.family WHEN 'target_up' THEN t.up::integer WHEN 'target_connections_limit' THEN t.most
        ELSE (SELECT least(count(*), t.most) FROM task k WHERE k.target = t.name AND k.state = 'in_flight') END::double precision
    FROM (VALUES ('target_up', 1), ('target_connections', 2), ('target_connections_limit', 3)) f (family, o)
    CROSS JOIN (SELECT i.name, i.paused_at IS NULL AND i.circuit_failures < i.circuit_after AS up, i.max_connections AS most FROM infobase i
                UNION ALL SELECT 'account:' || p.account, p.paused_at IS NULL AND p.circuit_failures < p.circuit_after, p.max_connections FROM account_api p) t
    ORDER BY f.o, t.name;

    RETURN QUERY SELECT 'quota_left', '', jsonb_build_object('account', q.account, 'method', q.method, 'seconds', extract(epoch FROM q.span)::bigint::text), greatest(q.room, 0)::double precision
    FROM quota_status q WHERE q.most IS NOT NULL ORDER BY q.account, q.method, q.span;

    RETURN QUERY SELECT 'incidents_open', '', jsonb_build_object('kind', k), (SELECT count(*) FROM incident i WHERE i.kind = k AND i.closed_at IS NULL)::double precision FROM unnest(incident_kinds()) k;
END $$;
COMMENT ON FUNCTION metrics() IS 'Figures of the exchange for a monitor: family, suffix of the name, labels, value';

CREATE FUNCTION metrics_text() RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT string_agg(format(E'# TYPE salesdrive_%s %s\n# HELP salesdrive_%s %s\n%s', f.family, f.type, f.family, f.help, s.lines), '' ORDER BY f.n)
            FROM metric_families() WITH ORDINALITY f (family, type, help, n)
            JOIN (SELECT m.family, string_agg(format(E'salesdrive_%s%s{%s} %s\n', m.family, m.suffix,
                             (SELECT string_agg(format('%s="%s"', l.key, replace(replace(replace(l.value, '\', '\\'), '"', '\"'), E'\n', '\n')), ',' ORDER BY l.key) FROM jsonb_each_text(m.labels) l), m.value), '' ORDER BY m.n) AS lines
                  FROM metrics() WITH ORDINALITY m (family, suffix, labels, value, n) GROUP BY m.family) s ON s.family = f.family);
END $$;
COMMENT ON FUNCTION metrics_text() IS 'The same in OpenMetrics, for /metrics of the receiver';
