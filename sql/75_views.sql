-- Purpose: what people look at: the state of orders, what is parked, what happened, how much and how fast.
-- Rights: readers.

CREATE VIEW order_status AS
    SELECT o.account, o.order_id,
           CASE WHEN y.skipped_at IS NOT NULL THEN 'skipped'
                WHEN t.state = 'parked' THEN 'parked'
                WHEN t.state = 'in_flight' THEN 'in_flight'
                WHEN t.id IS NOT NULL AND (a.paused_at IS NOT NULL OR i.paused_at IS NOT NULL) THEN 'paused'
                WHEN t.id IS NOT NULL THEN 'waiting'
                ELSE 'synced' END AS state,
           o.version, o.customer_name, o.phone, CASE WHEN o.payment_amount = round(o.payment_amount, 2) THEN round(o.payment_amount, 2) ELSE o.payment_amount END AS payment_amount, y.bas_ref, y.number AS bas_number, b.posted, y.synced_version, y.synced_at, y.requests,
           coalesce(CASE WHEN y.skipped_at IS NOT NULL THEN 'skipped' END, t.reason, CASE WHEN t.id IS NOT NULL AND (a.paused_at IS NOT NULL OR i.paused_at IS NOT NULL) THEN 'paused' END) AS reason,
           coalesce(y.skip_reason, t.detail, CASE WHEN t.id IS NOT NULL THEN coalesce(i.paused_reason, a.paused_reason) END) AS detail,
           CASE WHEN y.skipped_at IS NULL THEN t.hint END AS hint, t.blocked_on, t.id AS task_id, t.attempt, t.run_at, o.received_at, o.changed_at
    FROM crm_order o
    LEFT JOIN account a ON a.name = o.account
    LEFT JOIN infobase i ON i.name = a.infobase
    LEFT JOIN order_sync y ON y.account = o.account AND y.order_id = o.order_id
    LEFT JOIN bas_order b ON b.infobase = y.infobase AND b.ref_key = y.bas_ref
    LEFT JOIN task t ON t.scope = o.account AND t.kind = 'order' AND t.key = o.order_id::text;
COMMENT ON VIEW order_status IS 'Every order: waiting, in_flight, parked, paused, skipped or synced, with the reason and what to do';

CREATE VIEW parked AS
    SELECT t.id AS task_id, t.kind, t.scope, t.key, t.account, CASE WHEN t.kind = 'order' THEN t.key::bigint END AS order_id, t.infobase,
           t.reason, t.detail, t.hint, t.blocked_on, t.changed_at AS parked_at
    FROM task t WHERE t.state = 'parked';
COMMENT ON VIEW parked IS 'Tasks that cannot go on without you: reason, sentence, what to do';

CREATE VIEW order_timeline AS
    SELECT e.account, e.order_id, e.at, 'event' AS source, e.event AS what, e.text, e.version, NULL::integer AS http_status, NULL::real AS milliseconds, e.id
    FROM order_event e
    UNION ALL
    SELECT l.account, l.order_id, l.at, 'exchange', concat_ws(' ', l.direction, coalesce(l.purpose, l.method)),
           concat_ws(', ', l.class, nullif(l.error, ''), CASE WHEN l.late THEN 'late: changed nothing' END), NULL, l.http_status, l.ms_total, l.id
    FROM exchange_log l WHERE l.order_id IS NOT NULL;
COMMENT ON VIEW order_timeline IS 'Everything that happened to an order: exchanges and decisions; sort by at';

CREATE VIEW exchange_stats AS
    SELECT date_trunc('hour', at) AS hour, direction, CASE direction WHEN 'in' THEN account ELSE coalesce(infobase, account) END AS target, purpose, class, count(*) AS exchanges,
           count(*) FILTER (WHERE late) AS late, sum(CASE direction WHEN 'in' THEN response_bytes ELSE request_bytes END) AS bytes_sent,
           sum(CASE direction WHEN 'in' THEN request_bytes ELSE response_bytes END) AS bytes_received,
           round((percentile_cont(0.5) WITHIN GROUP (ORDER BY ms_total))::numeric, 1) AS ms_median,
           round((percentile_cont(0.99) WITHIN GROUP (ORDER BY ms_total))::numeric, 1) AS ms_p99
    FROM exchange_log GROUP BY 1, 2, 3, 4, 5;
COMMENT ON VIEW exchange_stats IS 'Exchanges by hour, direction, target, purpose and class: number, bytes, durations';

CREATE VIEW worker_status AS
    SELECT w.role, w.pid, w.state, w.started_at, w.restarts, w.last_error, a.usename AS runs_as, coalesce(r.rolsuper, false) AS is_superuser, a.backend_type, a.state AS activity,
           w.listen_address, w.port, w.configured_listen_address, w.configured_port, w.configured_role
    FROM worker_state() w
    LEFT JOIN pg_stat_activity a ON a.pid = w.pid
    LEFT JOIN pg_roles r ON r.rolname = a.usename;
COMMENT ON VIEW worker_status IS 'Launcher, receiver and exchanger of this database: process, state, restarts, last error, role; address and port in force beside those configured';

CREATE VIEW infobase_status AS
    SELECT i.name AS infobase, i.profile, i.keeps_ref_key,
           CASE WHEN i.paused_at IS NOT NULL THEN 'paused' WHEN i.circuit_failures >= i.circuit_after THEN 'circuit open' ELSE 'open for work' END AS state,
           i.paused_at, i.paused_reason, i.circuit_failures, i.circuit_open_until,
           count(t.id) FILTER (WHERE t.state = 'ready') AS ready, count(t.id) FILTER (WHERE t.state = 'in_flight') AS in_flight, count(t.id) FILTER (WHERE t.state = 'parked') AS parked,
           min(t.created_at) FILTER (WHERE t.state <> 'parked') AS oldest
    FROM infobase i LEFT JOIN task t ON t.infobase = i.name GROUP BY i.name;
COMMENT ON VIEW infobase_status IS 'Each infobase: whether it works, what waits for it';
