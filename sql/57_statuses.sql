-- Purpose: what is kept of statuses that agree, and the call that decides where both sides changed one.
-- Rights: the engine's role; 'operator' decides.

CREATE FUNCTION note_statuses(statuses status_decision[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    WITH agreed AS (
        UPDATE order_sync y SET crm_status = CASE s.decision WHEN 'first' THEN s.crm_was ELSE s.crm_status END, bas_status = s.bas_status, agreed_at = clock(), status_unmapped = s.unmapped
        FROM few(statuses) s WHERE s.decision IN ('agreed', 'first', 'kept') AND y.account = s.account AND y.order_id = s.order_id
        RETURNING y.infobase, y.bas_ref, s.names
    )
    UPDATE bas_order b SET sent_body = b.sent_body || same_keys(b.read_body, same_keys(b.sent_body, n.own)), written_body = b.written_body || same_keys(b.read_body, same_keys(b.written_body, n.own))
    FROM agreed a CROSS JOIN LATERAL (SELECT jsonb_object_agg(k, true) AS own FROM few(a.names) k) n
    WHERE b.infobase = a.infobase AND b.ref_key = a.bas_ref AND b.accepted_body IS NULL AND b.sent_body ?| a.names;    -- what BAS holds instead is accepted
    UPDATE order_sync y SET status_unmapped = y.status_unmapped OR s.unmapped, cancel_set = coalesce(s.cancel_set, y.cancel_set)
    FROM few(statuses) s WHERE (s.unmapped OR s.cancel_set IS NOT NULL) AND y.account = s.account AND y.order_id = s.order_id;
    INSERT INTO order_event (account, order_id, event, version, text)
    SELECT y.account, y.order_id, 'status_kept', o.version, format('Document %s has status "%s" by now, set in BAS. The order stays as it is in SalesDrive (status %s): any other would bring it back.', y.number,
               coalesce((SELECT d.name FROM dictionary_value d WHERE d.scope = y.infobase AND d.side = 'bas' AND d.dictionary = 'status' AND d.key = s.bas_status), s.bas_status), status_title(y.account, s.crm_status))
    FROM few(statuses) s JOIN order_sync y ON y.account = s.account AND y.order_id = s.order_id JOIN crm_order o ON o.account = s.account AND o.order_id = s.order_id WHERE s.decision = 'kept';
    PERFORM want_in_crm(array_agg((s.account, s.order_id, 'statusId', s.crm_wanted, 'status')::crm_wish)) FROM few(statuses) s WHERE s.crm_wanted IS NOT NULL HAVING count(*) > 0;
END $$;
COMMENT ON FUNCTION note_statuses(status_decision[]) IS 'Keeps the pairs of statuses that agree, or were seen first, and has SalesDrive told of those it should have';

CREATE FUNCTION wake_statuses(causes text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    orders order_key[];
BEGIN
    SELECT array_agg((y.account, y.order_id)::order_key) INTO orders FROM order_sync y
    WHERE y.status_unmapped AND (format('status:%s:', y.account) = ANY (causes) OR 'status:*:' = ANY (causes));
    IF orders IS NOT NULL THEN
        PERFORM enqueue_orders(orders, 2::smallint);
    END IF;
END $$;
COMMENT ON FUNCTION wake_statuses(text[]) IS 'Has orders looked at again whose status was not mapped when it was changed, when a row for statuses changes';

CREATE FUNCTION decide_status(account text, order_id bigint, side text) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    o crm_order := require_order(account, order_id);
    d status_decision;
    task bigint;
BEGIN
    IF side IS NULL OR side NOT IN ('salesdrive', 'bas') THEN
        RAISE EXCEPTION 'there is no side "%"', side USING ERRCODE = '22023', HINT = 'Sides: salesdrive, bas.';
    END IF;
    task := order_task(o.account, o.order_id);    -- first the task, as the engine does
    SELECT * INTO d FROM status_decisions(order_keys(o.account, o.order_id), cancel_states(order_keys(o.account, o.order_id)));
    IF d.account IS NULL OR NOT EXISTS (SELECT FROM order_sync y WHERE y.account = o.account AND y.order_id = o.order_id) THEN
        RAISE EXCEPTION 'the status of order % of account "%" does not travel', o.order_id, o.account
            USING ERRCODE = '55000', HINT = 'Switch it on: account.status_to_bas, account.status_from_bas; some configurations have no status of orders: SELECT * FROM salesdrive.check(…).';
    ELSIF d.decision IS DISTINCT FROM 'ask' THEN    -- moving the pair would hide what one side changed
        RAISE NOTICE 'the statuses of order % of account "%" do not conflict: nothing is decided', o.order_id, o.account
            USING DETAIL = format('SalesDrive: %s; document %s: %s.', status_title(o.account, d.crm_status), coalesce((SELECT y.number FROM order_sync y WHERE y.account = o.account AND y.order_id = o.order_id), 'not made yet'), coalesce(nullif(d.bas_status, ''), 'none')),
                  HINT = 'What one side changes travels by itself. Conflicts are parked where account.status_conflict is "ask": SELECT * FROM salesdrive.parked WHERE reason = ''status_conflict''.';
        RETURN task;
    END IF;
    UPDATE order_sync y SET crm_status = CASE side WHEN 'bas' THEN d.crm_status ELSE d.crm_was END, bas_status = CASE side WHEN 'salesdrive' THEN d.bas_status ELSE d.bas_was END, agreed_at = clock()
    WHERE y.account = o.account AND y.order_id = o.order_id;
    INSERT INTO order_event (account, order_id, event, version, text) VALUES (o.account, o.order_id, 'resumed', o.version, format('Status of %s chosen by %s.', CASE side WHEN 'bas' THEN 'BAS' ELSE 'SalesDrive' END, session_user));
    RETURN task;
END $$;
COMMENT ON FUNCTION decide_status(text, bigint, text) IS 'Where the status of an order was changed on both sides, says whose counts: salesdrive or bas; returns the task';
