-- Purpose: the engine's side in SQL: asking for tasks, claiming what is due, taking in answers, when to wake next.
-- Rights: the engine's role. Called by the exchanger and by CALL run(), one transaction a turn: settle, ingest, claim; next_due after it.
-- Every set here is small and keyed, in tables that may have been empty when a plan was made: the entries (ingest, claim, settle, next_due) have plans
-- made once, that follow the keys in the order written and never read a whole table.
--
--   state of a task    claim: request ──▶ in_flight ──settle──▶ gone (done and nobody asked again) · ready (again, wait, retry) · parked
--                      claim: no request needed ──▶ the same ends at once

-- Asking.

-- Runs as the owner of the extension: an operator asks for an order, and must not choose the base that its requests go to.
CREATE FUNCTION enqueue_orders(orders order_key[], lane smallint DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM want_tasks(array_agg((k.account, 'order', k.order_id, k.account, a.infobase, coalesce(enqueue_orders.lane, CASE WHEN y.bas_ref IS NULL THEN 1 ELSE 2 END))::task_wish), patient => true)
    FROM few(orders) k LEFT JOIN order_sync y ON y.account = k.account AND y.order_id = k.order_id JOIN account a ON a.name = k.account HAVING count(*) > 0;
END $$;
COMMENT ON FUNCTION enqueue_orders(order_key[], smallint) IS 'Asks for orders to be made right; parked ones become due again';

-- A task that no plan understands, or whose base is not there, would stay for ever and say nothing.
CREATE FUNCTION refuse_task(why text, hint text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%', why USING ERRCODE = '22023', HINT = hint;
END $$;
COMMENT ON FUNCTION refuse_task(text, text) IS 'Error for a task that cannot be asked for';

CREATE FUNCTION enqueue(scope text, kind text, key text, infobase text, lane smallint DEFAULT 1) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    kinds text := (SELECT string_agg(k.kind, ', ' ORDER BY k.kind) FROM task_kind_effective k);
    to_account boolean := EXISTS (SELECT FROM task_kind_effective k WHERE k.kind = enqueue.kind AND k.target = 'account');
BEGIN
    IF scope IS NULL OR kind IS NULL OR key IS NULL OR infobase IS NULL AND NOT to_account OR lane IS NULL THEN
        PERFORM refuse_task('a task has a scope, a kind, a key, an infobase and a lane', 'Example: enqueue(''main'', ''dictionary'', ''organisation'', ''main'').');
    ELSIF NOT EXISTS (SELECT FROM task_kind_effective k WHERE k.kind = enqueue.kind) THEN
        PERFORM refuse_task(format('there is no kind of task "%s"', kind), format('Kinds: %s.', kinds));
    ELSIF to_account THEN
        RETURN enqueue_api(scope, kind, key, infobase, lane);
    END IF;
    PERFORM require_infobase(infobase);
    IF kind = 'order' THEN
        PERFORM refuse_task(format('order %s is not asked for by enqueue()', key), 'Call resume(account, order_id).');
    ELSIF kind = 'payment' THEN
        PERFORM refuse_task(format('payment %s is not asked for by enqueue()', key), 'Call fetch_payments(account), or resume(task_id).');
    ELSIF kind IN ('attribute', 'attribute_set') THEN
        PERFORM refuse_task('additional attributes are not asked for by enqueue()', 'Call prepare_infobase(infobase, apply => true).');
    ELSIF kind = 'folder' THEN
        PERFORM refuse_task(format('folder "%s" is not asked for by enqueue()', key), 'Products that need it ask for it; resume(task_id) goes on with one that is parked.');
    ELSIF kind = 'order_record' THEN
        PERFORM refuse_task(format('the records of order %s are not asked for by enqueue()', key), 'Call resume(account, order_id).');
    ELSIF kind = 'followup' THEN
        PERFORM refuse_task('documents that follow an order are not asked for by enqueue()', 'Call make_followup(account, order_id, action).');
    ELSIF kind IN ('dictionary', 'counterparty', 'partner', 'metadata', 'products', 'goods', 'statuses', 'bas_payments') AND scope <> infobase THEN
        PERFORM refuse_task(format('a task of kind "%s" belongs to an infobase, and "%s" is not "%s"', kind, scope, infobase), 'Give the name of the infobase as scope too.');
    ELSIF kind = 'dictionary' AND key <> ALL (dictionaries() || value_dictionaries() || field_dictionaries() || payment_dictionaries()) THEN
        PERFORM refuse_task(format('there is no dictionary "%s"', key), format('Dictionaries: %s.', array_to_string(dictionaries() || value_dictionaries() || field_dictionaries() || payment_dictionaries(), ', ')));
    ELSIF kind IN ('counterparty', 'partner') AND phone_e164('+' || key) IS DISTINCT FROM key THEN
        PERFORM refuse_task(format('"%s" is no phone in international digits', key), format('Phones are written as by phone_e164(), for example %s.', coalesce(phone_e164(key), '380671112233')));
    ELSIF kind = 'products' AND key NOT IN ('whole', 'changes') THEN
        PERFORM refuse_task(format('goods are not loaded by "%s"', key), 'Call load_products(infobase).');
    ELSIF kind = 'goods' AND goods_key_problem(key) IS NOT NULL THEN
        PERFORM refuse_task(goods_key_problem(key), 'Call load_goods(infobase, what) with catalog, characteristics, kits, stock, cost, or prices/<Ref_Key of the price type>.');
    ELSIF kind = 'statuses' AND NOT EXISTS (SELECT FROM status_poll p WHERE p.infobase = enqueue.infobase AND p.what = enqueue.key) THEN
        PERFORM refuse_task('statuses are not asked for by enqueue()', 'Call pull_statuses(infobase).');
    ELSIF kind = 'bas_payments' AND (key <> 'payments' OR NOT EXISTS (SELECT FROM payment_poll p WHERE p.infobase = enqueue.infobase)) THEN
        PERFORM refuse_task('payment documents are not asked for by enqueue()', 'Call pull_payments(infobase).');
    ELSIF scope <> infobase AND NOT EXISTS (SELECT FROM account a WHERE a.name = scope) THEN
        PERFORM refuse_task(format('"%s" is neither infobase "%s" nor an account', scope, infobase), 'The scope of a task is an account or its infobase.');
    END IF;
    RETURN (want_tasks(ARRAY[(scope, kind, key, NULL, infobase, lane)::task_wish]))[1];
END $$;
COMMENT ON FUNCTION enqueue(text, text, text, text, smallint) IS 'Asks for one thing to be made right; returns the task. A kind that asks the API of an account has the account as scope and no infobase';

-- Only the engine calls it: a task in flight waits for nothing, and is planned anew when its answer is in.
CREATE FUNCTION wake_blocked(what text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    blocked bigint[] := ARRAY(SELECT t.id FROM task t WHERE t.blocked_on = ANY (what) AND t.state <> 'in_flight' ORDER BY t.id FOR UPDATE SKIP LOCKED);
BEGIN
    INSERT INTO wake_pending (cause, put_off_until)    -- what another session holds is woken when it is let go
    SELECT DISTINCT t.blocked_on, clock() + interval '5 s' FROM task t WHERE t.blocked_on = ANY (what) AND t.state <> 'in_flight' AND t.id <> ALL (blocked);
    IF blocked = '{}' THEN
        RETURN;
    END IF;
    INSERT INTO order_event (account, order_id, event, text)
    SELECT t.account, t.key::bigint, 'resumed', format('Due again: %s changed.', rtrim(t.blocked_on, ':'))
    FROM few(blocked) k JOIN task t ON t.id = k WHERE t.state = 'parked' AND t.kind = 'order';
    UPDATE task t SET state = 'ready', run_at = clock(), blocked_on = NULL, changed_at = clock() FROM few(blocked) k WHERE t.id = k;
END $$;
COMMENT ON FUNCTION wake_blocked(text[]) IS 'Makes the tasks due that wait for, or were parked for, exactly these rows or tasks';

-- In a quiet database nothing is parked meanwhile, and adopt() wakes what was; so a dump that is being restored leaves no traces here.
CREATE FUNCTION wake_later(cause text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF quiet_reason() IS NULL THEN
        INSERT INTO wake_pending VALUES (cause);
    END IF;
END $$;
COMMENT ON FUNCTION wake_later(text) IS 'Tells the engine, at COMMIT, of a row that tasks may wait for';

-- What was parked before the change could be seen, is parked by now: the engine parks, and takes the causes, in turns of its own. So no wake is lost,
-- and a session that changes a row locks no task.
CREATE FUNCTION take_wakes() RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    what text[];
    patterns text[];
BEGIN
    IF NOT EXISTS (SELECT FROM wake_pending) THEN
        RETURN;
    END IF;
    WITH taken AS (
        DELETE FROM wake_pending w WHERE w.ctid = ANY (ARRAY(SELECT p.ctid FROM wake_pending p WHERE p.put_off_until IS NULL OR p.put_off_until <= clock() LIMIT 1000 FOR UPDATE SKIP LOCKED)) RETURNING w.cause
    )
    SELECT array_agg(DISTINCT t.cause) INTO what FROM taken t;
    IF what IS NULL THEN
        RETURN;
    END IF;
    PERFORM wake_options(what);
    PERFORM wake_statuses(what);
    PERFORM look_for_rules(what);
    patterns := ARRAY(SELECT regexp_replace(regexp_replace(regexp_replace(w, '([%_\\])', '\\\1', 'g'), '^(value|rule|field|payment_rule|product_rule):\*:', '\1:%:'), '([/:])\*$', '\1%')
                      FROM few(what) w WHERE w ~ '^((value|rule|field|payment_rule|product_rule):\*:|value:.*/\*$|product:[^:]+:\*$)');
    IF patterns <> '{}' THEN    -- a row for every account, all values of a dictionary, many goods: those that tasks wait for
        what := what || ARRAY(SELECT DISTINCT t.blocked_on FROM task t WHERE t.blocked_on LIKE ANY (patterns));
    END IF;
    PERFORM wake_blocked(what);
    UPDATE task t SET state = 'ready', run_at = clock(), changed_at = clock()    -- the cause is a task itself
    FROM (SELECT l.id FROM few(what) w CROSS JOIN LATERAL (SELECT regexp_match(w, '^([^:]+):([^:]+):(.+)$') AS part) c
          JOIN task l ON l.scope = c.part[2] AND l.kind = c.part[1] AND l.key = c.part[3] AND l.state = 'parked' FOR UPDATE OF l SKIP LOCKED) l
    WHERE t.id = l.id;
    INSERT INTO wake_pending (cause, put_off_until)
    SELECT w, clock() + interval '5 s' FROM few(what) w CROSS JOIN LATERAL (SELECT regexp_match(w, '^([^:]+):([^:]+):(.+)$') AS part) c
    JOIN task l ON l.scope = c.part[2] AND l.kind = c.part[1] AND l.key = c.part[3] AND l.state = 'parked';
    UPDATE task t SET run_at = clock()    -- the base, or the API, goes on: what was only put off is due now
    FROM (SELECT l.id FROM few(what) w JOIN task l ON w ~ '^(infobase|account_api):' AND l.target = CASE split_part(w, ':', 1) WHEN 'infobase' THEN '' ELSE 'account:' END || split_part(w, ':', 2)
             AND l.state = 'ready' AND l.run_at > clock() AND l.blocked_on IS NULL
          FOR UPDATE OF l SKIP LOCKED) l
    WHERE t.id = l.id;
END $$;
COMMENT ON FUNCTION take_wakes() IS 'Takes what changed from wake_pending and makes due what was parked for it';

-- Steps.

CREATE FUNCTION apply_steps(steps plan_step[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    now_at timestamptz := clock();
    orders order_key[];    -- that are done
    ended  text[];
    parks  boolean;
    waits  boolean;
    gone   integer := 0;
BEGIN
    SELECT array_agg((t.account, t.key::bigint)::order_key) FILTER (WHERE s.step = 'done' AND t.kind = 'order'),
           array_agg(w.cause) FILTER (WHERE s.step IN ('done', 'park') AND (t.kind <> 'order' OR EXISTS (SELECT FROM task b WHERE b.blocked_on = w.cause))),    -- payments wait for orders
           bool_or(s.step = 'park' AND t.kind = 'order'), bool_or(s.step = 'wait' AND s.blocked_on IS NOT NULL)
    INTO orders, ended, parks, waits
    FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t CROSS JOIN LATERAL (SELECT t.kind || ':' || t.scope || ':' || t.key AS cause) w;
    IF orders IS NOT NULL THEN
        PERFORM note_orders_done(steps);
    END IF;
    IF parks THEN
        PERFORM note_orders_parked(steps);
    END IF;

    IF orders IS NOT NULL OR ended IS NOT NULL THEN
        DELETE FROM task t USING few(steps) s WHERE t.id = s.task_id AND s.step = 'done' AND (t.state = 'ready' OR t.wish = t.claimed_wish);
        GET DIAGNOSTICS gone = ROW_COUNT;
    END IF;
    IF gone < cardinality(steps) THEN
        UPDATE task t SET
            state = CASE WHEN s.step = 'park' AND NOT w.again THEN 'parked' ELSE 'ready' END,
            run_at = CASE WHEN w.again OR s.step = 'done' THEN now_at
                          WHEN s.step = 'again' THEN coalesce(s.run_at, least(t.run_at, now_at))    -- what was begun is finished first
                          WHEN s.step = 'wait' THEN coalesce(s.run_at, now_at + interval '10 min')
                          WHEN s.step = 'retry' THEN s.run_at ELSE t.run_at END,
            failures = CASE WHEN s.step = 'retry' THEN t.failures + 1 WHEN w.over THEN 0 ELSE t.failures END,
            refusals = CASE WHEN s.step = 'retry' THEN t.refusals + (s.reason = 'refused')::integer WHEN w.over THEN 0 ELSE t.refusals END,
            failed = CASE WHEN s.step = 'retry' THEN coalesce(t.failed, t.purpose) WHEN w.over THEN NULL ELSE t.failed END,
            blocked_on = CASE WHEN NOT w.again THEN s.blocked_on END, reason = s.reason, detail = s.detail, hint = s.hint,
            lease_until = NULL, creates = false, changed_at = now_at
        FROM few(steps) s, task o, LATERAL (SELECT o.state = 'in_flight' AND o.wish <> o.claimed_wish AND s.step IN ('park', 'wait') AS again, s.step = 'done' OR s.step = 'again' AND (o.failed IS NULL OR o.failed = o.purpose) AS over) w
        WHERE t.id = s.task_id AND o.id = s.task_id AND s.step <> 'request';
    END IF;
    IF waits THEN
        INSERT INTO task AS t (scope, kind, key, account, infobase, lane)
        SELECT DISTINCT b.part[2], b.part[1], b.part[3], CASE k.target WHEN 'account' THEN b.part[2] END, CASE k.target WHEN 'infobase' THEN b.part[2] END, 1
        FROM few(steps) s CROSS JOIN LATERAL (SELECT regexp_match(s.blocked_on, '^([^:]+):([^:]+):(.+)$') AS part) b JOIN task_kind_effective k ON k.kind = b.part[1]
        WHERE s.step = 'wait' AND k.kind NOT IN ('order', 'followup')    -- of these whoever asks for them knows more
        ORDER BY 1, 2, 3
        ON CONFLICT (scope, kind, key) DO NOTHING;
    END IF;

    IF ended IS NOT NULL THEN
        PERFORM wake_blocked(ended);
    END IF;
    IF orders IS NOT NULL THEN
        PERFORM wake_followups(orders);
        PERFORM wake_payments(orders);
    END IF;
END $$;
COMMENT ON FUNCTION apply_steps(plan_step[]) IS 'Carries out decisions that need no request: ends, delays and parks tasks, asks for the tasks waited for, wakes those that waited for a task ended';

-- Claiming.

-- A secret that is gone must stop its own base or API only, and say so.
CREATE FUNCTION secret_at_hand(target text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    named   text := CASE WHEN target LIKE 'account:%' THEN target || ':api_key' ELSE 'infobase:' || target || ':password' END;
    problem text;
BEGIN
    BEGIN
        IF secret(named) IS NOT NULL THEN
            RETURN true;
        END IF;
        problem := 'it is not set in this database';
    EXCEPTION WHEN OTHERS THEN
        problem := SQLERRM;
    END;
    IF target LIKE 'account:%' THEN
        PERFORM pause_api_for(substr(target, 9), format('The secret %s cannot be used: %s', named, problem), format('SELECT salesdrive.set_secret(%L, ...)', named));
        RETURN false;
    END IF;
    UPDATE infobase i SET paused_at = clock(), paused_reason = format('The secret infobase:%s:password cannot be used: %s', i.name, problem)
    WHERE i.name = secret_at_hand.target AND i.paused_at IS NULL;
    RAISE WARNING 'infobase "%" is paused: its password cannot be used: %', target, problem
        USING ERRCODE = 'SD012', HINT = format('SELECT salesdrive.set_secret(''infobase:%s:password'', ...), then SELECT salesdrive.unpause_infobase(''%s'').', target, target);
    RETURN false;
END $$;
COMMENT ON FUNCTION secret_at_hand(text) IS 'Whether the password of an infobase, or the key of an API, can be read; if not, that is paused with the reason';

-- The client knows how deep a queue keeps the connections of a target busy while a turn lasts: the faster it answers, the deeper.
CREATE FUNCTION open_targets(known text[] DEFAULT NULL, depths integer[] DEFAULT NULL) RETURNS TABLE (name text, open_at timestamptz, most integer)
    LANGUAGE sql STABLE ROWS 2
BEGIN ATOMIC
    SELECT b.name, b.circuit_open_until, CASE WHEN b.circuit_failures >= b.circuit_after THEN 1 ELSE b.max_connections * coalesce(depths[array_position(known, b.name)], 4) END FROM infobase b WHERE b.paused_at IS NULL
    UNION ALL
    SELECT 'account:' || p.account, p.circuit_open_until, CASE WHEN p.circuit_failures >= p.circuit_after THEN 1 ELSE p.max_connections * coalesce(depths[array_position(known, 'account:' || p.account)], 4) END FROM account_api p
    WHERE p.paused_at IS NULL AND EXISTS (SELECT FROM task t WHERE t.target = 'account:' || p.account AND t.state = 'ready');
END;
COMMENT ON FUNCTION open_targets(text[], integer[]) IS 'Infobases that are not paused, and such APIs that something waits for: when each may be asked (its circuit), and how many requests it may have in flight: so many for each connection as depths says of the targets known, else 4';

CREATE FUNCTION pick_due(max_requests integer, known text[], depths integer[]) RETURNS bigint[]
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    now_at timestamptz := clock();
    turn   bigint := nextval('claim_turn_seq');
    i      record;
    room   integer := max_requests;
    wanted integer;
    spared integer;    -- for the oldest of any lane
    picked bigint[];
    part   bigint[];
BEGIN
    FOR i IN SELECT b.name, b.most - (SELECT count(*) FROM task t WHERE t.target = b.name AND t.state = 'in_flight') AS slots
             FROM open_targets(known, depths) b
             WHERE (b.open_at IS NULL OR b.open_at <= now_at) AND EXISTS (SELECT FROM task t WHERE t.target = b.name AND t.state = 'ready' AND t.run_at <= now_at) ORDER BY b.name
    LOOP
        wanted := least(i.slots, room);
        CONTINUE WHEN wanted <= 0 OR NOT secret_at_hand(i.name);
        spared := wanted / 8 + (turn % 8 < wanted % 8)::integer;
        part := ARRAY(
            SELECT l.id FROM generate_series(1, 4) g (lane) CROSS JOIN LATERAL (
                SELECT t.id FROM task t
                WHERE t.target = i.name AND t.state = 'ready' AND t.lane = g.lane AND t.run_at <= now_at
                  AND (t.account IS NULL OR NOT EXISTS (SELECT FROM account a WHERE a.name = t.account AND a.paused_at IS NOT NULL))
                ORDER BY t.run_at LIMIT wanted - spared FOR UPDATE SKIP LOCKED) l
            LIMIT wanted - spared);
        IF spared > 0 AND cardinality(part) = wanted - spared THEN
            part := part || ARRAY(
                SELECT t.id FROM task t
                WHERE t.target = i.name AND t.state = 'ready' AND t.run_at <= now_at AND t.id <> ALL (part)
                  AND (t.account IS NULL OR NOT EXISTS (SELECT FROM account a WHERE a.name = t.account AND a.paused_at IS NOT NULL))
                ORDER BY t.run_at LIMIT spared FOR UPDATE SKIP LOCKED);
        END IF;
        picked := picked || part;
        room := room - cardinality(part);
    END LOOP;
    RETURN nullif(picked, '{}');
END $$;
COMMENT ON FUNCTION pick_due(integer, text[], integer[]) IS 'Locks due tasks, lane by lane (an eighth of them the oldest of any lane), within the room of each infobase and API; an open circuit lets one probe pass';

CREATE FUNCTION runs_as_superuser() RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user);
END $$;
COMMENT ON FUNCTION runs_as_superuser() IS 'Whether the engine runs as a superuser: functions written by users are refused then';

CREATE FUNCTION superuser_steps(kind text, tasks bigint[]) RETURNS plan_step[]
    LANGUAGE sql STABLE SET search_path = salesdrive, pg_temp AS $$
    SELECT array_agg(ROW(id, 'park', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'superuser', format('Kind "%s" is a user''s function, and the engine runs as superuser "%s".', kind, current_user),
               'Set salesdrive.role to a role that is no superuser, and restart_workers(); then call resume().', NULL)::plan_step) FROM few(tasks) id
$$;
COMMENT ON FUNCTION superuser_steps(text, bigint[]) IS 'Parks tasks whose kind is a user''s, while the engine runs as a superuser';

-- Only the engine that holds the lock calls this. What it has in hand is never taken back, be its lease over or not (a COMMIT may have stalled, a clock
-- stepped, the machine slept): so no request is planned again while its first sending can still leave or be answered. All else in flight was left behind,
-- by an engine that died or as an answer given up. A row that another session holds stays, for the next sweep.
CREATE FUNCTION reclaim_leases(in_hand bigint[], over_before timestamptz DEFAULT clock(), why text DEFAULT 'The answer was not taken in.') RETURNS void
    LANGUAGE sql SET search_path = salesdrive, pg_temp AS $$
    WITH back AS (
        UPDATE task t SET state = 'ready', run_at = clock(), lease_until = NULL, creates = false, changed_at = clock()
        FROM (SELECT l.id FROM task l WHERE l.state = 'in_flight' AND coalesce(l.lease_until, '-infinity') < over_before AND l.id <> ALL (in_hand) FOR UPDATE SKIP LOCKED) l
        WHERE t.id = l.id RETURNING t.*
    )
    INSERT INTO exchange_log (direction, account, infobase, order_id, task_id, kind, key, attempt, purpose, class, error)
    SELECT 'out', t.account, t.infobase, task_order(t.kind, t.key), t.id, t.kind, t.key, t.attempt, t.purpose,
           CASE WHEN t.purpose ~ '^(create|change|post|unpost|mark|unmark|close|add|tell|delete) ' THEN 'unknown_outcome' ELSE 'transient' END, why
    FROM back t
$$;
COMMENT ON FUNCTION reclaim_leases(bigint[], timestamptz, text) IS 'Takes back what is in flight, has its lease behind it and is not in the hands of the engine: reads are done again, writes are read back (their outcome is marked unsure)';

CREATE FUNCTION plan_tasks(kind text, tasks bigint[]) RETURNS plan_step[]
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    k     record;
    steps plan_step[];
    part  plan_step[];
    err_state text; err_message text; err_context text;
BEGIN
    SELECT * INTO k FROM task_kind_effective e WHERE e.kind = plan_tasks.kind;
    IF k.origin = 'user' AND runs_as_superuser() THEN
        RETURN superuser_steps(kind, tasks);
    END IF;
    BEGIN
        steps := kind_steps(k.plan_function, tasks);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS err_state = RETURNED_SQLSTATE, err_message = MESSAGE_TEXT, err_context = PG_EXCEPTION_CONTEXT;
        IF is_passing_error(err_state) THEN RAISE; END IF;
        IF cardinality(tasks) = 1 THEN
            RETURN ARRAY[ROW(tasks[1], 'park', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'bug', format('Planning failed with %s: %s (%s)', err_state, err_message, left(err_context, 1000)),
                'This is an error of the extension or of a user''s function. Call resume() when it is mended.', NULL)::plan_step];
        END IF;
        FOR n IN 1 .. cardinality(tasks) LOOP    -- one bad task fails alone
            part := plan_tasks(kind, tasks[n : n]);
            steps := steps || part;
        END LOOP;
    END;
    RETURN steps;
END $$;
COMMENT ON FUNCTION plan_tasks(text, bigint[]) IS 'Plans tasks of one kind as a set, and one by one if the set fails, so that a bad one is parked alone';

CREATE FUNCTION is_step(s plan_step) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE s.step WHEN 'request' THEN s.method IS NOT NULL AND s.path IS NOT NULL ELSE coalesce(s.step IN ('again', 'done', 'wait', 'retry', 'park'), false) END;
COMMENT ON FUNCTION is_step(plan_step) IS 'Whether a plan gave a step that can be taken';

CREATE FUNCTION claim_tasks(picked bigint[], since timestamptz) RETURNS http_request[]
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    steps    plan_step[];
    noted    plan_step[];
    asked    integer := 0;
    requests http_request[];
    bases    text[] := '{}';
    apis     text[] := '{}';
    keyed    text[];
    k        record;
BEGIN
    FOR k IN SELECT t.kind, array_agg(t.id ORDER BY t.id) AS ids, array_agg(DISTINCT t.infobase) FILTER (WHERE t.infobase IS NOT NULL) AS bases, array_agg(DISTINCT t.account) FILTER (WHERE t.infobase IS NULL) AS apis
             FROM task t WHERE t.id = ANY (picked) GROUP BY t.kind ORDER BY t.kind LOOP
        steps := steps || plan_tasks(k.kind, k.ids);
        bases := bases || k.bases;
        apis := apis || k.apis;
    END LOOP;
    IF NOT picked <@ ARRAY(SELECT s.task_id FROM few(steps) s WHERE is_step(s)) THEN
        steps := ARRAY(SELECT s FROM few(steps) s WHERE is_step(s)) || ARRAY(
            SELECT CASE WHEN w.step IS NULL
                THEN ROW(t.id, 'park', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'bug', format('Planning gave no step for %s "%s" of "%s": what it belongs to is not there, or the plan function of its kind left it out.', t.kind, t.key, t.scope),
                    'Is the account or the infobase gone, or the order deleted by hand? Put it back and call resume(), or delete the row of salesdrive.task.', NULL)::plan_step
                ELSE ROW(t.id, 'park', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'bug', format('Planning gave %s "%s" of "%s" %s.', t.kind, t.key, t.scope, CASE WHEN (w.step).step = 'request' THEN 'a request without method or address' ELSE format('the step "%s", which is none', (w.step).step) END),
                    'This is an error of the extension or of a user''s function. Call resume() when it is mended.', NULL)::plan_step END
            FROM few(picked) p JOIN task t ON t.id = p LEFT JOIN LATERAL (SELECT s AS step FROM few(steps) s WHERE s.task_id = p LIMIT 1) w ON true
            WHERE NOT EXISTS (SELECT FROM few(steps) s WHERE s.task_id = p AND is_step(s)));
    END IF;
    IF EXISTS (SELECT FROM infobase i WHERE i.keeps_ref_key IS NULL) THEN
        steps := gate_creations(steps);
    END IF;
    IF apis <> '{}' THEN
        steps := gate_quota(gate_account_key(steps), since);
        keyed := ARRAY(SELECT DISTINCT t.account FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t WHERE s.step = 'request' AND t.infobase IS NULL AND is_account_method(api_method(s.path)));
    END IF;
    FOR k IN SELECT g.tasks, e.note_function
             FROM (SELECT t.kind, array_agg(s.task_id) AS tasks FROM few(steps) s CROSS JOIN LATERAL task_of(s.task_id) t WHERE s.step = 'request' GROUP BY t.kind) g
             JOIN task_kind_effective e ON e.kind = g.kind ORDER BY e.note_function, g.kind LOOP
        asked := asked + cardinality(k.tasks);
        IF k.note_function IS NOT NULL THEN
            noted := steps;
            IF cardinality(k.tasks) < cardinality(steps) THEN
                noted := ARRAY(SELECT s FROM few(steps) s WHERE s.task_id = ANY (k.tasks) AND s.step = 'request');
            END IF;
            PERFORM kind_note(k.note_function, noted);
        END IF;
    END LOOP;
    IF asked < cardinality(steps) THEN
        PERFORM apply_steps(ARRAY(SELECT s FROM few(steps) s WHERE s.step <> 'request'));
    END IF;

    WITH form AS MATERIALIZED (
        SELECT i.name, i.url || '/odata/standard.odata/' AS url, longest_write(i) AS longest, i.username, secret('infobase:' || i.name || ':password') AS password, NULL::text[] AS headers,
               i.connect_timeout, i.total_timeout, i.max_answer, i.max_connections, i.ca_file, i.allow_http, NULL::text AS body_key, NULL::text AS account_key
        FROM infobase i WHERE i.name = ANY (bases)
        UNION ALL
        SELECT f.* FROM api_forms(apis, keyed) f
    ), sent AS (
        UPDATE task t SET state = 'in_flight', attempt = t.attempt + 1, claimed_wish = t.wish, lease_until = f.longest + coalesce(e.total_timeout, '0'), purpose = s.purpose, memo = s.memo,
            creates = coalesce(s.creates, false), blocked_on = NULL, reason = NULL, detail = NULL, hint = NULL, changed_at = clock()
        FROM few(steps) s, form f, task_kind_effective e, LATERAL (SELECT f.account_key IS NOT NULL AND is_account_method(api_method(s.path)) AS other) own_key
        WHERE t.id = s.task_id AND f.name = t.target AND e.kind = t.kind AND s.step = 'request'
        RETURNING ROW(t.id, t.attempt, f.name, s.method, f.url || url_path(s.path), CASE WHEN f.body_key IS NULL OR s.body IS NULL THEN s.body ELSE s.body || jsonb_build_object('form', CASE WHEN own_key.other THEN f.account_key ELSE f.body_key END) END::text, f.username, f.password,
            CASE WHEN own_key.other THEN key_headers(f.account_key) ELSE f.headers END,
            (extract(epoch FROM f.connect_timeout) * 1000)::integer, (extract(epoch FROM coalesce(e.total_timeout, f.total_timeout)) * 1000)::integer,
            CASE e.answer WHEN 'metadata' THEN 16777216 ELSE f.max_answer END, f.max_connections, f.ca_file, f.allow_http, since + f.total_timeout, e.answer)::http_request AS request
    )
    SELECT array_agg(r.request) INTO requests FROM sent r;
    RETURN requests;
END $$;
COMMENT ON FUNCTION claim_tasks(bigint[], timestamptz) IS 'Plans locked tasks, commits attempts of what needs a request, and returns those requests; each must leave so early after since that it ends before its unsure_until';

CREATE FUNCTION claim(max_requests integer, known text[] DEFAULT NULL, depths integer[] DEFAULT NULL) RETURNS SETOF http_request
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = force_generic_plan SET join_collapse_limit = 1 SET from_collapse_limit = 1 SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET cpu_tuple_cost = 1 SET max_parallel_workers_per_gather = 0 SET jit = off AS $$
DECLARE
    since    timestamptz := clock();
    later    timestamptz;
    picked   bigint[];
    id       bigint;
    requests http_request[];
    patience text := current_setting('lock_timeout');
    err_state text; err_message text; err_context text;
BEGIN
    IF quiet_reason() IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM take_wakes();
    picked := pick_due(max_requests, known, depths);
    IF picked IS NULL THEN
        RETURN;
    END IF;
    BEGIN
        requests := claim_tasks(picked, since);
    EXCEPTION WHEN OTHERS THEN
        IF is_passing_error(SQLSTATE) AND SQLSTATE <> '55P03' THEN RAISE; END IF;
        PERFORM set_config('lock_timeout', '100ms', true);
        FOREACH id IN ARRAY picked LOOP    -- what needs rows that another session holds waits alone, and what is bad fails alone
            BEGIN
                requests := requests || claim_tasks(ARRAY[id], clock());
            EXCEPTION WHEN lock_not_available THEN
                later := clock() + interval '5 s';
                PERFORM apply_steps(ARRAY[ROW(id, 'wait', NULL, NULL, NULL, NULL, NULL, NULL, later, 'locked', 'Another session holds rows it needs in a transaction that is still open.',
                    'Look for it in pg_stat_activity (state "idle in transaction"); it goes on by itself when that transaction ends.', NULL)::plan_step]);
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS err_state = RETURNED_SQLSTATE, err_message = MESSAGE_TEXT, err_context = PG_EXCEPTION_CONTEXT;
                IF is_passing_error(err_state) THEN RAISE; END IF;
                PERFORM apply_steps(ARRAY[ROW(id, 'park', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'bug', format('What comes before its request failed with %s: %s (%s)', err_state, err_message, left(err_context, 1000)),
                    'This is an error of the extension or of a user''s function. Call resume() when it is mended.', NULL)::plan_step]);
            END;
        END LOOP;
        PERFORM set_config('lock_timeout', patience, true);
    END;
    RETURN QUERY SELECT * FROM few(requests);
END $$;
COMMENT ON FUNCTION claim(integer, text[], integer[]) IS 'Plans what is due, commits attempts of what needs a request, and returns those requests; everything else is carried out at once. What another session holds is put off, and what fails is parked alone';

CREATE FUNCTION url_path(path text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN path LIKE '$%' THEN path ELSE url_encode(substring(path FROM '^[^(/?]*')) || substring(path FROM '[(/?].*$|$') END;
COMMENT ON FUNCTION url_path(text) IS 'A resource path with its entity set percent-encoded ($metadata stays as it is); key, action and options stand in it as they are to be sent';

-- Settling.

CREATE FUNCTION backoff(failures integer, base interval, cap interval, retry_after integer) RETURNS interval
    LANGUAGE plpgsql VOLATILE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN greatest(random() * least(cap, base * power(2, least(failures, 30))), make_interval(secs => coalesce(retry_after, 0)));
END $$;
COMMENT ON FUNCTION backoff(integer, interval, interval, integer) IS 'Delay before a retry: exponential with full jitter and a cap, never less than Retry-After (seconds)';

CREATE FUNCTION bytes_text(body bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN convert_from(body, 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    RETURN NULL;
END $$;
COMMENT ON FUNCTION bytes_text(bytea) IS 'Bytes as text when they are valid UTF-8, else NULL';

CREATE FUNCTION log_head(body text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN octet_length(body) <= 65536 THEN body ELSE left(body, 16384) END;
COMMENT ON FUNCTION log_head(text) IS 'A body as the log keeps it: whole up to 64 kB, else its first 16384 characters';

CREATE FUNCTION keyless_body(body text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN CASE WHEN body::jsonb ? 'form' THEN (body::jsonb || '{"form": "…"}')::text ELSE body END;
END $$;
COMMENT ON FUNCTION keyless_body(text) IS 'Body of a request to the API of an account as the log keeps it, without the key';

CREATE FUNCTION log_results(results http_result[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO exchange_log (at, direction, account, infobase, order_id, task_id, kind, key, attempt, purpose, method, url, http_status, class, error, late,
        ms_queue, ms_connect, ms_tls, ms_first_byte, ms_total, request_body, request_bytes, request_hash, response_body, response_raw, response_bytes, response_hash)
    SELECT coalesce(r.started_at, clock()), 'out', t.account, CASE WHEN r.target NOT LIKE 'account:%' THEN r.target END, task_order(t.kind, t.key), r.task_id, t.kind, t.key, r.attempt,
        CASE WHEN t.attempt = r.attempt THEN t.purpose END, r.method, keyless_url(r.url), r.http_status, r.class,
        concat_ws(': ', r.error, CASE WHEN r.odata_code IS NOT NULL THEN format('BAS code %s', r.odata_code) END, r.odata_message),
        (t.state = 'in_flight' AND t.attempt = r.attempt) IS NOT TRUE, r.ms_queue, r.ms_connect, r.ms_tls, r.ms_first_byte, r.ms_total,
        log_head(b.request_body), octet_length(r.request_body), CASE WHEN octet_length(r.request_body) > 65536 THEN md5(r.request_body) END,
        log_head(b.body), CASE WHEN b.body IS NULL THEN substring(r.body FROM 1 FOR 65536) END, r.body_bytes, CASE WHEN octet_length(r.body) > 65536 THEN md5(r.body) END
    FROM few(results) r
    LEFT JOIN task t ON t.id = r.task_id
    CROSS JOIN LATERAL (SELECT CASE WHEN r.body IS NULL THEN NULL WHEN r.body_is_json THEN convert_from(r.body, 'UTF8') ELSE bytes_text(r.body) END AS body,
                               CASE WHEN r.target LIKE 'account:%' THEN keyless_body(r.request_body) ELSE r.request_body END AS request_body OFFSET 0) b;
    PERFORM count_exchanges(results);
END $$;
COMMENT ON FUNCTION log_results(http_result[]) IS 'Writes answers to the exchange log, and counts them';

-- An UPDATE of infobase tells the workers that settings have changed, even when it finds no row: so it is made only when there is something to change.
CREATE FUNCTION note_infobases(results http_result[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT u.target, bool_or(u.odata_code IS NOT NULL OR u.class IN ('ok', 'business', 'denied')) AS alive,
                    count(*) FILTER (WHERE u.class IN ('transient', 'throttled', 'unknown_outcome') AND u.odata_code IS NULL) AS failed,
                    (array_agg(concat_ws(', ', u.http_status::text, u.error, u.odata_message)) FILTER (WHERE u.class = 'config'))[1] AS config,
                    (array_agg(u.url) FILTER (WHERE u.class = 'config'))[1] AS config_url, bool_or(u.http_status IS NOT NULL) FILTER (WHERE u.class = 'config') AS refused
             FROM few(results) u WHERE u.target NOT LIKE 'account:%' GROUP BY u.target ORDER BY u.target
    LOOP
        IF r.config IS NOT NULL THEN
            UPDATE infobase i SET paused_at = clock(), paused_reason = format('%s: %s (%s)', CASE WHEN r.refused THEN 'BAS refuses' ELSE 'BAS could not be asked' END, r.config, r.config_url) WHERE i.name = r.target AND i.paused_at IS NULL;
            IF FOUND THEN
                RAISE WARNING 'infobase "%" is paused: %', r.target, r.config
                    USING ERRCODE = 'SD012', DETAIL = r.config_url, HINT = 'Mend address, user, password or rights, then SELECT salesdrive.unpause_infobase(''' || r.target || ''').';
            END IF;
        END IF;
        IF r.alive THEN
            IF EXISTS (SELECT FROM infobase i WHERE i.name = r.target AND i.circuit_failures > 0) THEN    -- the base is back
                UPDATE infobase i SET circuit_failures = 0, circuit_open_until = NULL WHERE i.name = r.target;
                INSERT INTO wake_pending VALUES (format('infobase:%s:', r.target));
            END IF;
        ELSIF r.failed > 0 THEN
            UPDATE infobase i SET circuit_failures = least(i.circuit_failures + r.failed, 1000),
                circuit_open_until = CASE WHEN i.circuit_failures + r.failed >= i.circuit_after THEN clock() + i.circuit_pause END
            WHERE i.name = r.target;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION note_infobases(http_result[]) IS 'Keeps the condition of each base: pauses it on errors of configuration, opens and closes its circuit';

CREATE FUNCTION class_step(t task, result http_result) RETURNS plan_step
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    s      plan_step;
    i      infobase;
    server text := concat_ws(': ', result.http_status::text, nullif(concat_ws(' ', 'BAS code', result.odata_code), 'BAS code'), result.odata_message, result.error);
BEGIN
    IF t.infobase IS NULL THEN
        RETURN api_step(t, result);
    ELSIF result.class = 'denied' THEN
        RETURN denied_step(t, result, server);
    END IF;
    s.task_id := t.id;
    s.detail := server;
    IF result.class IN ('transient', 'throttled') AND (result.odata_code IS NULL OR t.refusals < 5) THEN
        SELECT * INTO i FROM infobase b WHERE b.name = t.infobase;
        s.step := 'retry';
        s.reason := CASE WHEN result.odata_code IS NULL THEN result.class ELSE 'refused' END;
        s.run_at := clock() + backoff(t.failures, i.retry_base, i.retry_cap, result.retry_after);
    ELSIF result.class IN ('ok', 'unknown_outcome', 'config') THEN
        s.step := 'again';    -- config: the base is paused, the task waits with it
    ELSE
        s.step := 'park';
        s.reason := CASE result.class WHEN 'transient' THEN 'business' ELSE result.class END;
        s.hint := 'BAS refused it; the words are those of the server. Mend the cause there and call resume(), or skip() the order.';
    END IF;
    RETURN s;
END $$;
COMMENT ON FUNCTION class_step(task, http_result) IS 'What the class of an answer means where its kind has nothing to say: retry, again, or park; an error raised in BAS is retried 5 times';

CREATE FUNCTION settle_set(results http_result[]) RETURNS integer
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    well    boolean;    -- nothing but writes that went well
    apis    boolean;
    live    integer := 0;
    answers http_result[];
    steps   plan_step[];
    part    plan_step[];
    given   bigint[];
    k       record;
BEGIN
    PERFORM t.id FROM task t WHERE t.id IN (SELECT u.task_id FROM few(results) u) ORDER BY t.id FOR UPDATE;
    SELECT bool_and(u.class = 'ok' AND u.method <> 'GET'), bool_or(u.target LIKE 'account:%') INTO well, apis FROM few(results) u;
    IF well IS NOT TRUE THEN
        results := optional_answers(proper_answers(results));
    END IF;
    IF apis THEN
        results := api_answers(results);
        PERFORM note_apis(results);
    END IF;
    PERFORM log_results(results);
    IF well IS NOT TRUE OR EXISTS (SELECT FROM infobase i WHERE i.circuit_failures > 0 OR i.denied <> '{}') THEN
        PERFORM note_infobases(results);
        PERFORM note_denials(results);
    END IF;
    FOR k IN SELECT g.kind, g.tasks, e.origin, e.settle_function
             FROM (SELECT t.kind, array_agg(u.task_id) AS tasks FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t WHERE t.attempt = u.attempt AND t.state = 'in_flight' GROUP BY t.kind) g
             LEFT JOIN task_kind_effective e ON e.kind = g.kind ORDER BY g.kind
    LOOP
        live := live + cardinality(k.tasks);
        IF k.origin = 'user' AND runs_as_superuser() THEN
            steps := steps || superuser_steps(k.kind, k.tasks);
            CONTINUE;
        END IF;
        IF cardinality(k.tasks) = cardinality(results) THEN
            answers := results;
        ELSE
            answers := ARRAY(SELECT u FROM few(results) u CROSS JOIN LATERAL task_of(u.task_id) t WHERE u.task_id = ANY (k.tasks) AND t.attempt = u.attempt);
        END IF;
        given := NULL;
        IF k.settle_function IS NOT NULL THEN    -- NULL: a user's kind that is gone
            part := kind_steps(k.settle_function, answers);
            given := ARRAY(SELECT s.task_id FROM few(part) s);
            steps := steps || part;
        END IF;
        IF (k.tasks <@ given) IS NOT TRUE THEN    -- what its function has no step for
            steps := steps || ARRAY(SELECT unmarked_step(t, class_step(t, u)) FROM few(answers) u CROSS JOIN LATERAL task_of(u.task_id) t
                                    WHERE (u.task_id = ANY (given)) IS NOT TRUE);
        END IF;
    END LOOP;
    IF steps IS NOT NULL THEN
        PERFORM apply_steps(steps);
    END IF;
    RETURN live;
END $$;
COMMENT ON FUNCTION settle_set(http_result[]) IS 'Takes in answers as one set; an answer to an attempt given up is logged and changes nothing';

CREATE FUNCTION settle(results http_result[]) RETURNS integer
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = force_generic_plan SET join_collapse_limit = 1 SET from_collapse_limit = 1 SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET cpu_tuple_cost = 1 SET max_parallel_workers_per_gather = 0 SET jit = off AS $$
DECLARE
    done integer := 0;
    err_state text; err_message text; err_context text;
BEGIN
    BEGIN
        RETURN settle_set(results);
    EXCEPTION WHEN OTHERS THEN
        IF is_passing_error(SQLSTATE) THEN RAISE; END IF;
    END;
    FOR n IN 1 .. cardinality(results) LOOP    -- one bad answer fails alone
        BEGIN
            done := done + settle_set(results[n : n]);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS err_state = RETURNED_SQLSTATE, err_message = MESSAGE_TEXT, err_context = PG_EXCEPTION_CONTEXT;
            IF is_passing_error(err_state) THEN RAISE; END IF;
            PERFORM log_results(results[n : n]);
            PERFORM apply_steps(ARRAY[ROW(t.id, 'park', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'bug', format('Taking in an answer failed with %s: %s (%s)', err_state, err_message, left(err_context, 1000)),
                'This is an error of the extension or of a user''s function; the answer is in exchange_log. Call resume() when it is mended.', NULL)::plan_step])
            FROM task t WHERE t.id = results[n].task_id AND t.attempt = results[n].attempt AND t.state = 'in_flight';
        END;
    END LOOP;
    RETURN done;
END $$;
COMMENT ON FUNCTION settle(http_result[]) IS 'Takes in answers: first as one set, one by one if that fails';

-- Life of the engine.

CREATE FUNCTION next_due() RETURNS timestamptz
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp
    SET plan_cache_mode = force_generic_plan SET join_collapse_limit = 1 SET from_collapse_limit = 1 SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET cpu_tuple_cost = 1 SET max_parallel_workers_per_gather = 0 SET jit = off AS $$
DECLARE
    now_at timestamptz := clock();
BEGIN
    IF quiet_reason() IS NOT NULL THEN
        RETURN NULL;
    ELSIF EXISTS (SELECT FROM (SELECT FROM inbox_pending p WHERE p.put_off_until IS NULL OR p.put_off_until <= now_at ORDER BY p.id LIMIT 1) d)    -- by the index: after a rush the table is many pages of nothing
          OR EXISTS (SELECT FROM wake_pending p WHERE p.put_off_until IS NULL OR p.put_off_until <= now_at) THEN
        RETURN '-infinity';
    END IF;
    RETURN least((SELECT min(p.put_off_until) FROM inbox_pending p WHERE p.put_off_until IS NOT NULL), (SELECT min(p.put_off_until) FROM wake_pending p), (
        SELECT min(greatest(q.run_at, b.open_at)) FROM open_targets() b CROSS JOIN LATERAL (
            SELECT t.run_at FROM task t
            WHERE t.target = b.name AND t.state = 'ready' AND (t.account IS NULL OR NOT EXISTS (SELECT FROM account a WHERE a.name = t.account AND a.paused_at IS NOT NULL))
            ORDER BY t.run_at LIMIT 1) q
        WHERE (SELECT count(*) FROM task f WHERE f.target = b.name AND f.state = 'in_flight') < b.most));
END $$;
COMMENT ON FUNCTION next_due() IS 'When the engine has something to do next: the past when now, NULL when nothing is planned';

CREATE FUNCTION engine_begin() RETURNS text
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    quiet text := quiet_reason();
BEGIN
    IF quiet IS NOT NULL THEN    -- begins again after adopt()
        RETURN quiet;
    END IF;
    -- Only one engine runs at a time, so what is in flight now was left by one that died.
    PERFORM reclaim_leases('{}', 'infinity', 'The engine ended before the answer came.');
    PERFORM note_clock();
    RETURN NULL;
END $$;
COMMENT ON FUNCTION engine_begin() IS 'Called by an engine that has just got the lock: takes back what a dead one left in flight, and times that a wrong clock wrote; returns why it must keep quiet, or NULL';
