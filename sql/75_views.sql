-- Purpose: what people look at: the state of orders, what is parked, what happened, how much and how fast.
-- Rights: readers.

CREATE VIEW order_status AS
    SELECT o.account, o.order_id,
           CASE WHEN y.skipped_at IS NOT NULL THEN 'skipped'
                WHEN t.state = 'parked' THEN 'parked'
                WHEN t.state = 'in_flight' THEN 'in_flight'
                WHEN t.id IS NOT NULL AND (a.paused_at IS NOT NULL OR i.paused_at IS NOT NULL) THEN 'paused'
                WHEN t.id IS NOT NULL THEN 'waiting'
                WHEN y.not_wanted IS NOT NULL THEN 'not_wanted'
                WHEN l.lost THEN 'parked'
                ELSE 'synced' END AS state,
           o.version, o.customer_name, o.phone, CASE WHEN o.payment_amount = round(o.payment_amount, 2) THEN round(o.payment_amount, 2) ELSE o.payment_amount END AS payment_amount, y.bas_ref, y.number AS bas_number, b.posted, y.synced_version, y.synced_at, y.requests,
           coalesce(CASE WHEN y.skipped_at IS NOT NULL THEN 'skipped' END, t.reason, CASE WHEN t.id IS NOT NULL AND (a.paused_at IS NOT NULL OR i.paused_at IS NOT NULL) THEN 'paused' END, CASE WHEN l.lost THEN 'lost' WHEN t.id IS NULL THEN y.not_wanted END) AS reason,
           coalesce(y.skip_reason, t.detail, CASE WHEN t.id IS NOT NULL THEN coalesce(i.paused_reason, a.paused_reason) WHEN l.lost THEN 'It has no document, and its task was deleted: nothing is at work on it.' ELSE y.not_wanted_detail END) AS detail,
           CASE WHEN l.lost THEN format('SELECT salesdrive.resume(%L, %s); rows of salesdrive.task are not for people to delete: skip() takes an order out.', o.account, o.order_id) WHEN y.skipped_at IS NULL THEN t.hint END AS hint, t.blocked_on, t.id AS task_id, t.attempt, t.run_at, o.received_at, o.changed_at
    FROM crm_order o
    LEFT JOIN account a ON a.name = o.account
    LEFT JOIN infobase i ON i.name = a.infobase
    LEFT JOIN order_sync y ON y.account = o.account AND y.order_id = o.order_id
    LEFT JOIN bas_order b ON b.infobase = y.infobase AND b.ref_key = y.bas_ref
    LEFT JOIN task t ON t.scope = o.account AND t.kind = 'order' AND t.key = o.order_id::text
    CROSS JOIN LATERAL (SELECT t.id IS NULL AND y.bas_ref IS NULL AND y.skipped_at IS NULL AND y.not_wanted IS NULL AS lost) l;    -- the task was deleted by hand
COMMENT ON VIEW order_status IS 'Every order: waiting, in_flight, parked, paused, skipped, not_wanted or synced, with the reason and what to do';
COMMENT ON COLUMN order_status.account IS 'Account';
COMMENT ON COLUMN order_status.order_id IS 'Order number in SalesDrive';
COMMENT ON COLUMN order_status.state IS 'waiting, in_flight, parked, paused, skipped, not_wanted or synced';
COMMENT ON COLUMN order_status.version IS 'Newest version received';
COMMENT ON COLUMN order_status.customer_name IS 'Name of the first contact';
COMMENT ON COLUMN order_status.phone IS 'First usable phone, international digits';
COMMENT ON COLUMN order_status.payment_amount IS 'What the customer pays for the goods';
COMMENT ON COLUMN order_status.bas_ref IS 'Ref_Key of the document in BAS';
COMMENT ON COLUMN order_status.bas_number IS 'Number BAS gave it';
COMMENT ON COLUMN order_status.posted IS 'Whether it was posted when read last';
COMMENT ON COLUMN order_status.synced_version IS 'Order version BAS holds';
COMMENT ON COLUMN order_status.synced_at IS 'When it became right last';
COMMENT ON COLUMN order_status.requests IS 'Requests spent on it';
COMMENT ON COLUMN order_status.reason IS 'Why it is not synced: a code';
COMMENT ON COLUMN order_status.detail IS 'Why, in a sentence';
COMMENT ON COLUMN order_status.hint IS 'What to do';
COMMENT ON COLUMN order_status.blocked_on IS 'Row or task it waits for, as kind:scope:key';
COMMENT ON COLUMN order_status.task_id IS 'Its task, while there is one';
COMMENT ON COLUMN order_status.attempt IS 'Number of its last request';
COMMENT ON COLUMN order_status.run_at IS 'When the task is due';
COMMENT ON COLUMN order_status.received_at IS 'First delivery';
COMMENT ON COLUMN order_status.changed_at IS 'Delivery that changed it last';

CREATE VIEW cancelled_order AS
    SELECT y.account, y.order_id, y.cancel_status AS status, d.name AS status_name, cancel_kind(y.account, y.cancel_status) AS kind, y.cancel_action AS action, y.cancelled_at, o.customer_name, y.bas_ref, y.number AS bas_number,
           b.posted, b.deleted AS marked, CASE WHEN b.deleted IS NOT NULL THEN b.deleted AND y.mark IS NOT DISTINCT FROM 'set' END AS marked_here, o.state, o.reason, o.detail, o.hint
    FROM order_sync y
    JOIN order_status o ON o.account = y.account AND o.order_id = y.order_id
    LEFT JOIN bas_order b ON b.infobase = y.infobase AND b.ref_key = y.bas_ref
    LEFT JOIN dictionary_value d ON d.scope = y.account AND d.side = 'crm' AND d.dictionary = 'status' AND d.key = y.cancel_status
    WHERE y.cancel_status IS NOT NULL;
COMMENT ON VIEW cancelled_order IS 'Orders that are cancelled in SalesDrive, and what became of their documents';
COMMENT ON COLUMN cancelled_order.account IS 'Account';
COMMENT ON COLUMN cancelled_order.order_id IS 'Order number';
COMMENT ON COLUMN cancelled_order.status IS 'Status in SalesDrive that cancels it';
COMMENT ON COLUMN cancelled_order.status_name IS 'Its name, where it is known';
COMMENT ON COLUMN cancelled_order.kind IS 'Kind of the status: deleted, duplicate, cancelled; NULL: a rule names the status itself';
COMMENT ON COLUMN cancelled_order.action IS 'What the rule says: mark, set_status, tell';
COMMENT ON COLUMN cancelled_order.cancelled_at IS 'When it was found cancelled';
COMMENT ON COLUMN cancelled_order.customer_name IS 'Customer';
COMMENT ON COLUMN cancelled_order.bas_ref IS 'Its document; NULL: it has none';
COMMENT ON COLUMN cancelled_order.bas_number IS 'Number of the document';
COMMENT ON COLUMN cancelled_order.posted IS 'Whether the document is posted, as read last';
COMMENT ON COLUMN cancelled_order.marked IS 'Whether it is marked for deletion, or gone, as read last';
COMMENT ON COLUMN cancelled_order.marked_here IS 'Whether that mark was set from here';
COMMENT ON COLUMN cancelled_order.state IS 'State of the order, as in order_status';
COMMENT ON COLUMN cancelled_order.reason IS 'Why it waits, is parked or not wanted';
COMMENT ON COLUMN cancelled_order.detail IS 'The same in a sentence';
COMMENT ON COLUMN cancelled_order.hint IS 'What to do';

CREATE VIEW followup_status AS
    SELECT f.account, f.order_id, f.action, CASE WHEN f.state <> 'wanted' THEN f.state WHEN t.state = 'parked' THEN 'parked' WHEN t.state = 'in_flight' THEN 'in_flight' WHEN a.paused_at IS NOT NULL OR i.paused_at IS NOT NULL THEN 'paused' ELSE 'waiting' END AS state,
           f.side, f.status, d.name AS status_name, f.reached_at, f.posting, f.bas_ref, f.number AS bas_number, f.posted, f.deleted, f.source_ref, coalesce(f.reason, t.reason) AS reason, coalesce(f.detail, CASE t.reason WHEN 'order' THEN concat_ws(' ', t.detail, coalesce(n.detail, y.not_wanted_detail)) ELSE t.detail END) AS detail, t.hint, t.id AS task_id, f.done_at
    FROM followup f
    LEFT JOIN account a ON a.name = f.account
    LEFT JOIN infobase i ON i.name = f.infobase
    LEFT JOIN task t ON t.scope = f.account AND t.kind = 'followup' AND t.key = f.order_id || '/' || f.action
    LEFT JOIN task n ON n.scope = f.account AND n.kind = 'order' AND n.key = f.order_id::text
    LEFT JOIN order_sync y ON y.account = f.account AND y.order_id = f.order_id
    LEFT JOIN dictionary_value d ON d.dictionary = 'status' AND d.key = f.status AND CASE f.side WHEN 'salesdrive' THEN d.scope = f.account AND d.side = 'crm' WHEN 'bas' THEN d.scope = f.infobase AND d.side = 'bas' END;
COMMENT ON VIEW followup_status IS 'Documents that follow orders: asked for by what, how far each is, and what to do';
COMMENT ON COLUMN followup_status.account IS 'Account';
COMMENT ON COLUMN followup_status.order_id IS 'Order number';
COMMENT ON COLUMN followup_status.action IS 'sale, close or return';
COMMENT ON COLUMN followup_status.state IS 'waiting, in_flight, parked, paused, done or dropped';
COMMENT ON COLUMN followup_status.side IS 'Whose status asked for it: salesdrive or bas; hand: make_followup()';
COMMENT ON COLUMN followup_status.status IS 'That status';
COMMENT ON COLUMN followup_status.status_name IS 'Its name, where it is known';
COMMENT ON COLUMN followup_status.reached_at IS 'When it was reached';
COMMENT ON COLUMN followup_status.posting IS 'Whether the document is to be posted';
COMMENT ON COLUMN followup_status.bas_ref IS 'Ref_Key of the document; of close that of the order';
COMMENT ON COLUMN followup_status.bas_number IS 'Its number';
COMMENT ON COLUMN followup_status.posted IS 'Whether it was posted when read last';
COMMENT ON COLUMN followup_status.deleted IS 'Whether it was marked for deletion, or gone, when read last';
COMMENT ON COLUMN followup_status.source_ref IS 'Ref_Key of the document it was made from';
COMMENT ON COLUMN followup_status.reason IS 'Why it waits, is parked or was dropped: a code';
COMMENT ON COLUMN followup_status.detail IS 'The same in a sentence';
COMMENT ON COLUMN followup_status.hint IS 'What to do';
COMMENT ON COLUMN followup_status.task_id IS 'Its task, while there is one; resume(task_id) lets it go on';
COMMENT ON COLUMN followup_status.done_at IS 'When it was done, or dropped';

CREATE VIEW parked AS
    SELECT t.id AS task_id, t.kind, t.scope, t.key, t.account, task_order(t.kind, t.key) AS order_id, t.infobase,
           t.reason, t.detail, t.hint, t.blocked_on, t.changed_at AS parked_at
    FROM task t WHERE t.state = 'parked';
COMMENT ON VIEW parked IS 'Tasks that cannot go on without you: reason, sentence, what to do';
COMMENT ON COLUMN parked.task_id IS 'Task; resume(task_id) lets it go on';
COMMENT ON COLUMN parked.kind IS 'Kind: order, order_record, followup, counterparty, dictionary, crm_dictionary, crm_orders, order_update, payment, payment_out, push, or yours';
COMMENT ON COLUMN parked.scope IS 'Account or infobase the key belongs to';
COMMENT ON COLUMN parked.key IS 'Order number, phone, dictionary …';
COMMENT ON COLUMN parked.account IS 'Account, when the scope is one';
COMMENT ON COLUMN parked.order_id IS 'Order number, of an order';
COMMENT ON COLUMN parked.infobase IS 'Infobase its requests go to';
COMMENT ON COLUMN parked.reason IS 'Why it is parked: a code';
COMMENT ON COLUMN parked.detail IS 'Why, in a sentence';
COMMENT ON COLUMN parked.hint IS 'What to do';
COMMENT ON COLUMN parked.blocked_on IS 'Row whose change makes it due, as kind:scope:key';
COMMENT ON COLUMN parked.parked_at IS 'Since when';

CREATE VIEW order_timeline AS
    SELECT e.account, e.order_id, e.at, 'event' AS source, e.event AS what, e.text, e.version, NULL::integer AS http_status, NULL::real AS milliseconds, e.id
    FROM order_event e
    UNION ALL
    SELECT l.account, l.order_id, l.at, 'exchange', concat_ws(' ', l.direction, coalesce(l.purpose, l.method)),
           concat_ws(', ', l.class, nullif(l.error, ''), CASE WHEN l.late THEN 'late: changed nothing' END), NULL, l.http_status, l.ms_total, l.id
    FROM exchange_log l WHERE l.order_id IS NOT NULL;
COMMENT ON VIEW order_timeline IS 'Everything that happened to an order: exchanges and decisions; sort by at';
COMMENT ON COLUMN order_timeline.account IS 'Account';
COMMENT ON COLUMN order_timeline.order_id IS 'Order number';
COMMENT ON COLUMN order_timeline.at IS 'When';
COMMENT ON COLUMN order_timeline.source IS 'event (a decision) or exchange (HTTP)';
COMMENT ON COLUMN order_timeline.what IS 'Event, or direction and purpose of the exchange';
COMMENT ON COLUMN order_timeline.text IS 'Sentence, or class and error of the exchange';
COMMENT ON COLUMN order_timeline.version IS 'Order version it is about';
COMMENT ON COLUMN order_timeline.http_status IS 'Status of the exchange';
COMMENT ON COLUMN order_timeline.milliseconds IS 'How long the exchange took';
COMMENT ON COLUMN order_timeline.id IS 'Number of the event or of the exchange; tells equal times apart';

-- Hour by hour, so that the last day is read alone.
CREATE VIEW exchange_stats AS
    SELECT d.hour, e.*
    FROM (SELECT min(l.at) AS since, max(l.at) AS until FROM exchange_log l) h
    CROSS JOIN LATERAL generate_series(date_trunc('hour', h.since), h.until, interval '1 hour') d (hour)
    CROSS JOIN LATERAL (SELECT l.direction, CASE l.direction WHEN 'in' THEN l.account ELSE coalesce(l.infobase, 'account:' || l.account) END AS target, l.purpose, l.class, count(*) AS exchanges,
                               count(*) FILTER (WHERE l.late) AS late, sum(CASE l.direction WHEN 'in' THEN l.response_bytes ELSE l.request_bytes END) AS bytes_sent,
                               sum(CASE l.direction WHEN 'in' THEN l.request_bytes ELSE l.response_bytes END) AS bytes_received,
                               round((percentile_cont(0.5) WITHIN GROUP (ORDER BY l.ms_total))::numeric, 1) AS ms_median,
                               round((percentile_cont(0.99) WITHIN GROUP (ORDER BY l.ms_total))::numeric, 1) AS ms_p99
                        FROM exchange_log l WHERE l.at >= d.hour AND l.at < d.hour + interval '1 hour' GROUP BY 1, 2, 3, 4) e;
COMMENT ON VIEW exchange_stats IS 'Exchanges by hour, direction, target, purpose and class: number, bytes, durations';
COMMENT ON COLUMN exchange_stats.hour IS 'Beginning of the hour';
COMMENT ON COLUMN exchange_stats.direction IS 'in (to us) or out (from us)';
COMMENT ON COLUMN exchange_stats.target IS 'Infobase, account:NAME for the API of an account; of deliveries the account';
COMMENT ON COLUMN exchange_stats.purpose IS 'What the exchanges were for';
COMMENT ON COLUMN exchange_stats.class IS 'Class of the answers';
COMMENT ON COLUMN exchange_stats.exchanges IS 'Number';
COMMENT ON COLUMN exchange_stats.late IS 'Of these, answers that came too late to change anything';
COMMENT ON COLUMN exchange_stats.bytes_sent IS 'Bytes of bodies sent';
COMMENT ON COLUMN exchange_stats.bytes_received IS 'Bytes of bodies received';
COMMENT ON COLUMN exchange_stats.ms_median IS 'Median of milliseconds';
COMMENT ON COLUMN exchange_stats.ms_p99 IS '99th percentile of milliseconds';

CREATE VIEW worker_status AS
    SELECT w.role, w.pid, w.state, w.started_at, w.restarts, w.last_error, a.usename AS runs_as, coalesce(r.rolsuper, false) AS is_superuser, a.backend_type, a.state AS activity,
           w.listen_address, w.port, w.configured_listen_address, w.configured_port, w.configured_role
    FROM worker_state() w
    LEFT JOIN pg_stat_activity a ON a.pid = w.pid
    LEFT JOIN pg_roles r ON r.rolname = a.usename;
COMMENT ON VIEW worker_status IS 'Launcher, receiver and exchanger of this database: process, state, restarts, last error, role; address and port in force beside those configured';
COMMENT ON COLUMN worker_status.role IS 'launcher, receiver or exchanger';
COMMENT ON COLUMN worker_status.pid IS 'Process id; NULL when none runs';
COMMENT ON COLUMN worker_status.state IS 'running, not listening, starting, failed, absent, off, stopped or down';
COMMENT ON COLUMN worker_status.started_at IS 'When it started';
COMMENT ON COLUMN worker_status.restarts IS 'Starts after the first';
COMMENT ON COLUMN worker_status.last_error IS 'Why it does not do its work; NULL when it does';
COMMENT ON COLUMN worker_status.runs_as IS 'Role it runs as';
COMMENT ON COLUMN worker_status.is_superuser IS 'Whether that is a superuser';
COMMENT ON COLUMN worker_status.backend_type IS 'As in pg_stat_activity';
COMMENT ON COLUMN worker_status.activity IS 'State in pg_stat_activity';
COMMENT ON COLUMN worker_status.listen_address IS 'Address the receiver listens at';
COMMENT ON COLUMN worker_status.port IS 'Port it listens at';
COMMENT ON COLUMN worker_status.configured_listen_address IS 'Address it would take after a restart';
COMMENT ON COLUMN worker_status.configured_port IS 'Port it would take after a restart';
COMMENT ON COLUMN worker_status.configured_role IS 'salesdrive.role as configured; empty: the owner of the database';

CREATE VIEW infobase_status AS
    SELECT i.name AS infobase, i.profile, i.keeps_ref_key,
           CASE WHEN i.paused_at IS NOT NULL THEN 'paused' WHEN i.circuit_failures >= i.circuit_after THEN 'circuit open' ELSE 'open for work' END AS state,
           i.paused_at, i.paused_reason, i.circuit_failures, i.circuit_open_until,
           count(t.id) FILTER (WHERE t.state = 'ready') AS ready, count(t.id) FILTER (WHERE t.state = 'in_flight') AS in_flight, count(t.id) FILTER (WHERE t.state = 'parked') AS parked,
           min(t.created_at) FILTER (WHERE t.state <> 'parked') AS oldest
    FROM infobase i LEFT JOIN task t ON t.infobase = i.name GROUP BY i.name;
COMMENT ON VIEW infobase_status IS 'Each infobase: whether it works, what waits for it';
COMMENT ON COLUMN infobase_status.infobase IS 'Infobase';
COMMENT ON COLUMN infobase_status.profile IS 'Its profile';
COMMENT ON COLUMN infobase_status.keeps_ref_key IS 'Whether it keeps the Ref_Key of a POST; NULL: not known yet';
COMMENT ON COLUMN infobase_status.state IS 'open for work, circuit open or paused';
COMMENT ON COLUMN infobase_status.paused_at IS 'Since when it is paused';
COMMENT ON COLUMN infobase_status.paused_reason IS 'Why';
COMMENT ON COLUMN infobase_status.circuit_failures IS 'Failures of the connection or the server in a row';
COMMENT ON COLUMN infobase_status.circuit_open_until IS 'When an open circuit lets one probing request pass';
COMMENT ON COLUMN infobase_status.ready IS 'Tasks that wait or are due';
COMMENT ON COLUMN infobase_status.in_flight IS 'Requests under way';
COMMENT ON COLUMN infobase_status.parked IS 'Tasks that cannot go on without you';
COMMENT ON COLUMN infobase_status.oldest IS 'When the oldest task that is not parked was asked for first';
