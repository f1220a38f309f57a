-- Purpose: incidents: what somebody should know of at once, one row from its beginning to its end, told by NOTIFY when it begins and when it ends.
-- Rights: written by the engine, the receiver and triggers; readers read.
--
-- Conditions of connections are rows, and triggers see them change, whoever changes them. Orders that are late, and workers, are looked at with each
-- sweep. Nothing is counted or told that did not change, so a database at rest stays at rest, whatever is open.

CREATE SEQUENCE incident_id_seq;
COMMENT ON SEQUENCE incident_id_seq IS 'Numbers of incidents';

CREATE TABLE incident (
    id        bigint PRIMARY KEY DEFAULT nextval('incident_id_seq'),
    kind      text NOT NULL,
    subject   text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock(),
    last_at   timestamptz NOT NULL DEFAULT clock(),
    count     bigint NOT NULL DEFAULT 1,
    closed_at timestamptz,
    text      text NOT NULL,
    hint      text
) WITH (fillfactor = 80);
COMMENT ON TABLE incident IS 'What happened that somebody should know of; of one kind and subject at most one is open';
COMMENT ON COLUMN incident.id IS 'Number';
COMMENT ON COLUMN incident.kind IS 'infobase_paused, account_paused, api_paused, method_refused, circuit_open, quota_exhausted, order_late, order_parked, task_parked, reading_late, stock_guard, price_guard, clock_back, receiver_cannot_bind or worker_failing';
COMMENT ON COLUMN incident.subject IS 'Infobase, account, worker, or (circuit_open of an API, quota_exhausted, task_parked) account:NAME';
COMMENT ON COLUMN incident.opened_at IS 'When it began';
COMMENT ON COLUMN incident.last_at IS 'When it was found, or changed, last';
COMMENT ON COLUMN incident.count IS 'Of method_refused how many methods, of order_late and order_parked how many orders (counted to 1000), of task_parked how many tasks, of reading_late how many readings, of stock_guard and price_guard how many products, of circuit_open failures in a row, of others how often it was found';
COMMENT ON COLUMN incident.closed_at IS 'When its cause was gone; NULL: it is open';
COMMENT ON COLUMN incident.text IS 'What happened';
COMMENT ON COLUMN incident.hint IS 'What to do';
CREATE UNIQUE INDEX incident_one_open ON incident (kind, subject) WHERE closed_at IS NULL;
CREATE INDEX incident_closed ON incident (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX task_waiting_order ON task (scope, state, created_at) WHERE kind = 'order' AND lane < 4;

CREATE VIEW incident_open AS
    SELECT i.id, i.kind, i.subject, i.opened_at, clock() - i.opened_at AS age, i.last_at, i.count, i.text, i.hint FROM incident i WHERE i.closed_at IS NULL;
COMMENT ON VIEW incident_open IS 'Incidents that are not over, with what to do';
COMMENT ON COLUMN incident_open.id IS 'Number';
COMMENT ON COLUMN incident_open.kind IS 'Kind';
COMMENT ON COLUMN incident_open.subject IS 'Infobase, account, worker, or account:NAME';
COMMENT ON COLUMN incident_open.opened_at IS 'When it began';
COMMENT ON COLUMN incident_open.age IS 'For how long it has been open';
COMMENT ON COLUMN incident_open.last_at IS 'When it was found, or changed, last';
COMMENT ON COLUMN incident_open.count IS 'Orders, failures in a row, or how often it was found';
COMMENT ON COLUMN incident_open.text IS 'What happened';
COMMENT ON COLUMN incident_open.hint IS 'What to do';

CREATE FUNCTION tell_incident(i incident) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    -- Any role of the database may listen, so what is told names no more than the connection.
    PERFORM pg_notify('salesdrive_incident', jsonb_build_object('event', CASE WHEN i.closed_at IS NULL THEN 'opened' ELSE 'closed' END, 'id', i.id, 'kind', i.kind, 'subject', left(i.subject, 200),
        'at', coalesce(i.closed_at, i.opened_at))::text);
END $$;
COMMENT ON FUNCTION tell_incident(incident) IS 'Tells the listeners of channel salesdrive_incident, at COMMIT, that an incident began or ended';

CREATE FUNCTION open_incident(kind text, subject text, what text, hint text, count bigint DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    i incident;
BEGIN
    SELECT * INTO i FROM incident x WHERE x.kind = open_incident.kind AND x.subject = open_incident.subject AND x.closed_at IS NULL;
    IF NOT FOUND THEN
        INSERT INTO incident AS x (kind, subject, text, hint, count) VALUES (open_incident.kind, open_incident.subject, what, open_incident.hint, coalesce(open_incident.count, 1))
        ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO NOTHING RETURNING x.* INTO i;
        IF FOUND THEN
            PERFORM tell_incident(i);
        END IF;
    ELSIF open_incident.count IS NULL OR (open_incident.count, what) IS DISTINCT FROM (i.count, i.text) THEN
        UPDATE incident x SET last_at = clock(), count = coalesce(open_incident.count, x.count + 1), text = what, hint = open_incident.hint WHERE x.id = i.id AND x.closed_at IS NULL;
    END IF;
END $$;
COMMENT ON FUNCTION open_incident(text, text, text, text, bigint) IS 'Begins an incident and tells of it, or counts it where it is open already: by one, or to the number given, which without a change writes nothing';

CREATE FUNCTION close_incident(kind text, subject text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    i incident;
BEGIN
    IF NOT EXISTS (SELECT FROM incident x WHERE x.kind = close_incident.kind AND x.subject = close_incident.subject AND x.closed_at IS NULL) THEN
        RETURN;
    END IF;
    UPDATE incident x SET closed_at = clock() WHERE x.kind = close_incident.kind AND x.subject = close_incident.subject AND x.closed_at IS NULL RETURNING x.* INTO i;
    IF FOUND THEN
        PERFORM tell_incident(i);
    END IF;
END $$;
COMMENT ON FUNCTION close_incident(text, text) IS 'Ends an incident, where it is open, and tells of it';

-- Connections. An operator pauses them too, and must not write incidents by hand: so the triggers have the rights of the owner.

CREATE FUNCTION note_pause(kind text, subject text, what text, paused_at timestamptz, reason text, how text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF paused_at IS NULL THEN
        PERFORM close_incident(kind, subject);
    ELSE
        PERFORM open_incident(kind, subject, format('%s is paused: %s', what, reason), format('When the cause is gone: SELECT salesdrive.%s(%L);', how, subject));
    END IF;
END $$;
COMMENT ON FUNCTION note_pause(text, text, text, timestamptz, text, text) IS 'Begins or ends the incident of a pause';

CREATE FUNCTION note_circuit(target text, what text, failures integer, most integer, open boolean) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF open THEN
        PERFORM open_incident('circuit_open', target, format('Requests to %s fail, %s in a row or more.', what, most), 'Is it running, and can this server reach it? The answers are in exchange_log. It is probed, and work goes on by itself when it answers.', failures);
    ELSE
        PERFORM close_incident('circuit_open', target);
    END IF;
END $$;
COMMENT ON FUNCTION note_circuit(text, text, integer, integer, boolean) IS 'Begins, counts or ends the incident of an open circuit';

-- Arguments: column of the name, kind of the pause, what it is as a sentence has it, call that ends the pause, target of its circuit (none: it has no circuit).
CREATE FUNCTION connection_incidents() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
DECLARE
    n    jsonb := to_jsonb(NEW);
    o    jsonb := to_jsonb(OLD);
    name text  := n ->> TG_ARGV[0];
    what text  := format(TG_ARGV[2], name);
BEGIN
    IF (n -> 'paused_at', n -> 'paused_reason') IS DISTINCT FROM (o -> 'paused_at', o -> 'paused_reason') THEN
        PERFORM note_pause(TG_ARGV[1], name, upper(left(what, 1)) || substr(what, 2), (n ->> 'paused_at')::timestamptz, n ->> 'paused_reason', TG_ARGV[3]);
    END IF;
    IF TG_NARGS > 4 AND (n -> 'circuit_failures', n -> 'circuit_after') IS DISTINCT FROM (o -> 'circuit_failures', o -> 'circuit_after') THEN
        PERFORM note_circuit(format(TG_ARGV[4], name), what, (n ->> 'circuit_failures')::integer, (n ->> 'circuit_after')::integer, (n ->> 'circuit_failures')::integer >= (n ->> 'circuit_after')::integer);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION connection_incidents() IS 'Trigger (column of the name, kind of the pause, what it is, call that ends the pause, target of the circuit): a connection was paused, or goes on; its circuit opened or closed';
CREATE TRIGGER incident AFTER UPDATE ON infobase FOR EACH ROW
    WHEN ((NEW.paused_at, NEW.paused_reason, NEW.circuit_failures, NEW.circuit_after) IS DISTINCT FROM (OLD.paused_at, OLD.paused_reason, OLD.circuit_failures, OLD.circuit_after))
    EXECUTE FUNCTION connection_incidents('name', 'infobase_paused', 'infobase "%s"', 'unpause_infobase', '%s');
CREATE TRIGGER incident AFTER UPDATE ON account FOR EACH ROW
    WHEN ((NEW.paused_at, NEW.paused_reason) IS DISTINCT FROM (OLD.paused_at, OLD.paused_reason))
    EXECUTE FUNCTION connection_incidents('name', 'account_paused', 'account "%s"', 'unpause');
CREATE TRIGGER incident AFTER UPDATE ON account_api FOR EACH ROW
    WHEN ((NEW.paused_at, NEW.paused_reason, NEW.circuit_failures, NEW.circuit_after) IS DISTINCT FROM (OLD.paused_at, OLD.paused_reason, OLD.circuit_failures, OLD.circuit_after))
    EXECUTE FUNCTION connection_incidents('account', 'api_paused', 'the API of account "%s"', 'unpause_api', 'account:%s');

CREATE FUNCTION refusal_incidents() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
DECLARE
    name text := CASE TG_OP WHEN 'DELETE' THEN OLD.account ELSE NEW.account END;
    r    record;
BEGIN
    IF TG_OP = 'INSERT' AND quiet_reason() IS NOT NULL THEN    -- a dump is being restored, and brings its incidents along
        RETURN NULL;
    END IF;
    SELECT count(*) AS methods, string_agg(f.method, ', ' ORDER BY f.method) AS names, min(f.words) AS words INTO r FROM api_refusal f WHERE f.account = name;
    IF r.methods = 0 THEN
        PERFORM close_incident('method_refused', name);
    ELSE
        PERFORM open_incident('method_refused', name, format('The account key of "%s" is not taken for %s: %s', name, r.names, r.words),
            format('Nothing of it is read or told meanwhile. Give the account key the right to it in SalesDrive, or SELECT salesdrive.set_secret(''account:%s:account_key'', ...); then SELECT salesdrive.unpause_api(%L);', name, name), r.methods);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION refusal_incidents() IS 'Trigger: SalesDrive refuses the account key for a method, or it cannot be read; or all is asked again';
CREATE TRIGGER incident AFTER INSERT OR DELETE ON api_refusal FOR EACH ROW EXECUTE FUNCTION refusal_incidents();

CREATE FUNCTION connection_gone() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM close_incident(i.kind, i.subject) FROM incident i
    WHERE i.closed_at IS NULL AND CASE TG_TABLE_NAME WHEN 'infobase' THEN i.kind IN ('infobase_paused', 'circuit_open', 'task_parked') AND i.subject = OLD.name
        ELSE i.kind IN ('account_paused', 'api_paused', 'order_late', 'order_parked', 'reading_late', 'stock_guard', 'price_guard') AND i.subject = OLD.name OR i.kind IN ('circuit_open', 'quota_exhausted', 'task_parked') AND i.subject = 'account:' || OLD.name END
    ORDER BY i.kind, i.subject;
    DELETE FROM exchange_count c WHERE c.target = CASE TG_TABLE_NAME WHEN 'infobase' THEN '' ELSE 'account:' END || OLD.name;
    DELETE FROM job_off o WHERE o.scope = OLD.name AND NOT EXISTS (SELECT FROM infobase i WHERE i.name = OLD.name) AND NOT EXISTS (SELECT FROM account a WHERE a.name = OLD.name);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION connection_gone() IS 'Trigger: incidents of an infobase or account that was deleted are over, what was counted of it, and jobs of it that were ended, goes';
CREATE TRIGGER gone AFTER DELETE ON infobase FOR EACH ROW EXECUTE FUNCTION connection_gone();
CREATE TRIGGER gone AFTER DELETE ON account FOR EACH ROW EXECUTE FUNCTION connection_gone();

-- Orders.

CREATE FUNCTION late_orders(account text, states text[], since timestamptz, most integer DEFAULT 1000, OUT orders bigint, OUT oldest text, OUT oldest_at timestamptz) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
BEGIN
    SELECT t.key, t.created_at INTO oldest, oldest_at
    FROM few(states) s CROSS JOIN LATERAL (SELECT x.key, x.created_at FROM task x WHERE x.scope = late_orders.account AND x.kind = 'order' AND x.lane < 4 AND x.state = s AND x.created_at < since ORDER BY x.created_at LIMIT 1) t
    ORDER BY t.created_at, t.key::bigint LIMIT 1;
    IF oldest IS NULL THEN
        orders := 0;
    ELSE
        SELECT least(sum(n.orders), most) INTO orders
        FROM few(states) s CROSS JOIN LATERAL (SELECT count(*) AS orders FROM (SELECT FROM task x WHERE x.scope = late_orders.account AND x.kind = 'order' AND x.lane < 4 AND x.state = s AND x.created_at < since LIMIT most) l) n;
    END IF;
END $$;
COMMENT ON FUNCTION late_orders(text, text[], timestamptz, integer) IS 'How many orders of an account (counted to so many) have been in these states since before then, and the oldest of them; those of a backfill do not count, for they may take days';

CREATE FUNCTION note_late_orders() RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT a.name, k.kind, a.late_after, l.*, EXISTS (SELECT FROM incident i WHERE i.kind = k.kind AND i.subject = a.name AND i.closed_at IS NULL) AS known
             FROM account a CROSS JOIN (VALUES ('order_late', ARRAY['ready', 'in_flight']), ('order_parked', ARRAY['parked'])) k (kind, states)
             CROSS JOIN LATERAL late_orders(a.name, k.states, clock() - a.late_after) l ORDER BY a.name, k.kind
    LOOP
        IF r.orders = 0 THEN
            IF r.known THEN
                PERFORM close_incident(r.kind, r.name);
            END IF;
        ELSIF r.kind = 'order_late' THEN
            PERFORM open_incident(r.kind, r.name, format('%s of account "%s" on the way for more than %s, the oldest, %s, since %s.', CASE r.orders WHEN 1 THEN '1 order' WHEN 1000 THEN '1000 orders or more' ELSE r.orders || ' orders' END, r.name, r.late_after, r.oldest, to_char(r.oldest_at, 'YYYY-MM-DD HH24:MI:SS TZ')),
                format('What holds it up: SELECT state, reason, detail, hint FROM salesdrive.order_status WHERE account = %L AND order_id = %s; does a worker run, or does anybody CALL salesdrive.run()?', r.name, r.oldest), r.orders);
        ELSE
            PERFORM open_incident(r.kind, r.name, format('%s of account "%s" parked and not in BAS for more than %s, the oldest, %s, since %s.', CASE r.orders WHEN 1 THEN '1 order' WHEN 1000 THEN '1000 orders or more' ELSE r.orders || ' orders' END, r.name, r.late_after, r.oldest, to_char(r.oldest_at, 'YYYY-MM-DD HH24:MI:SS TZ')),
                format('SELECT order_id, reason, detail, hint FROM salesdrive.parked WHERE account = %L;', r.name), r.orders);
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION note_late_orders() IS 'Begins, counts and ends the incidents of orders that are not in BAS after account.late_after: on the way, or parked';

-- All else that cannot go on without somebody. A reading that is asked for again and again is due again each time: it is told as late.

CREATE FUNCTION parked_tasks() RETURNS TABLE (subject text, kind text, tasks bigint, oldest bigint, oldest_at timestamptz, late_after interval)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT CASE WHEN t.account IS NULL THEN t.scope ELSE 'account:' || t.account END, t.kind, count(*), (array_agg(t.id ORDER BY t.created_at, t.id))[1], min(t.created_at), min(l.late_after)
    FROM (SELECT k.* FROM task k WHERE k.state = 'parked' AND k.kind <> 'order' LIMIT 10000) t
    CROSS JOIN LATERAL (SELECT coalesce(min(a.late_after), '1 hour') AS late_after FROM account a WHERE a.name = t.account OR t.account IS NULL AND a.infobase = t.infobase) l
    WHERE t.created_at < clock() - l.late_after AND t.kind NOT IN ('statuses', 'bas_payments') AND NOT EXISTS (SELECT FROM crm_feed f WHERE f.kind = t.kind AND f.feed = t.key AND NOT f.since_a_day)
    GROUP BY 1, 2;
END $$;
COMMENT ON FUNCTION parked_tasks() IS 'Tasks that are no orders, by what they are of and their kind, that are parked and were asked for longer ago than account.late_after (counted to 10000)';

CREATE FUNCTION note_parked_tasks() RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM close_incident(i.kind, i.subject) FROM incident i WHERE i.kind = 'task_parked' AND i.closed_at IS NULL AND NOT EXISTS (SELECT FROM parked_tasks() p WHERE p.subject = i.subject)
    ORDER BY i.subject;
    PERFORM open_incident('task_parked', p.subject, format('Parked for more than %s: %s of %s; the oldest since %s.', min(p.late_after), string_agg(p.tasks || ' ' || task_words(p.kind), ', ' ORDER BY p.kind), p.subject, to_char(min(p.oldest_at), 'YYYY-MM-DD HH24:MI:SS TZ')),
        'SELECT * FROM salesdrive.parked WHERE kind <> ''order''; tells each, and what to do. Then SELECT salesdrive.resume(task_id).', sum(p.tasks)::bigint)
    FROM parked_tasks() p GROUP BY p.subject ORDER BY p.subject;
END $$;
COMMENT ON FUNCTION note_parked_tasks() IS 'Begins, counts and ends the incidents of other tasks that are parked';

CREATE FUNCTION late_readings(account text, known boolean) RETURNS TABLE (words text, hint text)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT CASE WHEN s.stuck THEN format('%s is not read since %s: %s', r.what, to_char(coalesce(r.read_at, r.asked_at), 'YYYY-MM-DD HH24:MI:SS TZ'), coalesce(r.detail, 'its task is parked.'))
                ELSE format('%s was read last at %s.', r.what, to_char(r.read_at, 'YYYY-MM-DD HH24:MI:SS TZ')) END,
           CASE WHEN s.stuck THEN concat_ws(' ', r.hint, format('Then %s;', r.command)) ELSE format('Does a scheduler still call %s; and does a worker run?', r.command) END
    FROM account a CROSS JOIN LATERAL account_readings(a.name) r
    CROSS JOIN LATERAL (SELECT r.asked_at < clock() - a.late_after AND (r.task_state = 'parked' OR known) AS stuck,
                               r.wanted AND r.read_at < clock() - coalesce((SELECT p.unread_after FROM account_api p WHERE p.account = a.name), '1 day') AS unread) s
    WHERE a.name = late_readings.account AND NOT r.told AND (s.stuck OR s.unread) ORDER BY r.job;
END $$;
COMMENT ON FUNCTION late_readings(text, boolean) IS 'Readings of an account that are parked since longer than account.late_after, or that nobody has made for account_api.unread_after; known: this was told already, and one that is asked for once more is not over before it ends';

CREATE FUNCTION note_late_readings() RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT a.name, k.known, l.* FROM account a CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM incident i WHERE i.kind = 'reading_late' AND i.subject = a.name AND i.closed_at IS NULL) AS known) k
             CROSS JOIN LATERAL (SELECT count(*) AS readings, string_agg(x.words, ' ') AS words, string_agg(x.hint, ' ') AS hint FROM late_readings(a.name, k.known) x) l ORDER BY a.name
    LOOP
        IF r.readings > 0 THEN
            PERFORM open_incident('reading_late', r.name, format('Account "%s": %s', r.name, r.words), r.hint, r.readings);
        ELSIF r.known THEN
            PERFORM close_incident('reading_late', r.name);
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION note_late_readings() IS 'Begins and ends the incidents of readings that fail for good, or that nobody asks for any more';

-- Quota. What waited may be gone, or have been let pass by a limit that was raised: nobody asks then.
CREATE FUNCTION note_quota_room() RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM close_incident(i.kind, i.subject) FROM incident i
    WHERE i.closed_at IS NULL AND i.kind = 'quota_exhausted'
      AND NOT EXISTS (SELECT FROM quota_window w WHERE 'account:' || w.account = i.subject
                        AND (quota_free_at(w.account, w.method) > clock() OR w.refusals > 0 AND EXISTS (SELECT FROM task t WHERE t.target = i.subject)))
    ORDER BY i.subject;
END $$;
COMMENT ON FUNCTION note_quota_room() IS 'Ends the incidents of quotas that have room again';

-- Workers.

CREATE FUNCTION note_workers() RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
BEGIN
    IF quiet_reason() IS NOT NULL THEN
        RETURN;
    END IF;
    FOR r IN SELECT w.role, coalesce(w.last_error, w.state) AS why,
                    CASE WHEN w.state = 'not listening' THEN 'receiver_cannot_bind' WHEN w.state = 'failed' OR w.state = 'running' AND w.last_error IS NOT NULL AND NOT w.quiet THEN 'worker_failing' END AS kind,
                    w.state IN ('starting', 'down') AND bool_or(w.role = 'launcher' AND w.pid IS NOT NULL) OVER () AS not_yet
             FROM worker_state() w ORDER BY w.role
    LOOP
        CONTINUE WHEN r.role = 'launcher' OR r.not_yet;
        IF r.kind IS NOT NULL THEN
            PERFORM open_incident(r.kind, r.role, format('The %s: %s', r.role, r.why), CASE r.kind WHEN 'receiver_cannot_bind'
                THEN 'Is another process listening there? It tries again by itself; address and port are salesdrive.listen_address and salesdrive.port of this database, and restart_workers() applies them.'
                ELSE 'SELECT * FROM salesdrive.worker_status; the server log has the whole error. It is tried again by itself.' END, 1);
        END IF;
        IF r.kind IS DISTINCT FROM 'receiver_cannot_bind' THEN
            PERFORM close_incident('receiver_cannot_bind', r.role);
        END IF;
        IF r.kind IS DISTINCT FROM 'worker_failing' THEN
            PERFORM close_incident('worker_failing', r.role);
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION note_workers() IS 'Begins and ends the incidents of workers: a receiver that cannot listen, a worker that fails';

CREATE FUNCTION look_for_incidents() RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF quiet_reason() IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM note_clock();
    PERFORM note_late_orders();
    PERFORM note_parked_tasks();
    PERFORM note_late_readings();
    PERFORM note_quota_room();
    PERFORM note_workers();
END $$;
COMMENT ON FUNCTION look_for_incidents() IS 'What is looked for with each sweep, and at the end of run(), because no change of a row tells of it';
