-- Purpose: the one way in which objects are made in BAS under keys computed here: what is noted before a creation leaves, what its answer and a look
-- into the base mean, and what comes next. Counterparties, partners, products, folders, attributes, payments, sales and returns keep it in columns of
-- the same names (of sales and returns the write that is unsure is named: followup.writing), and do here what all of them do; what is looked for, and by
-- what, is theirs. Orders know changes and cancellations besides: 55_orders.sql.
-- Rights: the engine's role; 'operator' (preview).
--
--      create ──note sent──▶ answer   made · refused: not written · taken: error 15, our key is there · unsure: no answer, or none that names the object
--      sent, unsure, taken ──▶ look   found · early: not there, and may still be at work: looked for again after unsure_until · absent: created
--                                     hidden: not there, and taken: parked
--
--                      write_unsure   unsure_until                    asked_early
--      sent, unsure    true           from when on absence counts     false
--      early           true           the same                        true
--      taken           true           NULL                            false
--      all others      false          NULL                            false

CREATE FUNCTION longest_write(i infobase) RETURNS timestamptz
    LANGUAGE sql VOLATILE
    RETURN clock() + 2 * (i).total_timeout + (i).unsure_margin;
COMMENT ON FUNCTION longest_write(infobase) IS 'From when on absence counts if nothing more is heard of a request claimed now: it waits for a connection and runs at most total_timeout each';

-- started_at is when the request left the queue of the client: what it waited there is behind it.
CREATE FUNCTION answered_write(i infobase, started_at timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN started_at + (i).total_timeout + (i).unsure_margin;
COMMENT ON FUNCTION answered_write(infobase, timestamptz) IS 'From when on absence counts after a request that left then and whose outcome is not known';

CREATE FUNCTION creation_note(said text, until timestamptz, OUT write_unsure boolean, OUT unsure_until timestamptz, OUT asked_early boolean) RETURNS record
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT said IN ('sent', 'unsure', 'early', 'taken'), CASE WHEN said IN ('sent', 'unsure', 'early') THEN until END, said = 'early';
END;
COMMENT ON FUNCTION creation_note(text, timestamptz) IS 'What is noted of a creation: that it is sent, what its answer said (creation_said), or what a look showed (creation_seen)';

CREATE FUNCTION creation_said(class text, odata_code text, ref uuid) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN class = 'unknown_outcome' OR class = 'ok' AND ref IS NULL THEN 'unsure' WHEN class = 'ok' THEN 'made' WHEN odata_code = '15' THEN 'taken' ELSE 'refused' END;
COMMENT ON FUNCTION creation_said(text, text, uuid) IS 'What the answer to a creation says: made, unsure, taken or refused; ref: key of the object it names';

CREATE FUNCTION creation_seen(found boolean, write_unsure boolean, unsure_until timestamptz, asked_at timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN found THEN 'found' WHEN write_unsure AND asked_at < unsure_until THEN 'early' WHEN write_unsure AND unsure_until IS NULL THEN 'hidden' ELSE 'absent' END;
COMMENT ON FUNCTION creation_seen(boolean, boolean, timestamptz, timestamptz) IS 'What a look into the base, begun at asked_at, shows: found, early, hidden or absent';

CREATE FUNCTION creation_next(write_unsure boolean, unsure_until timestamptz, asked_early boolean, unseen boolean) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN asked_early AND unsure_until > clock() THEN 'wait' WHEN write_unsure OR unseen THEN 'look' ELSE 'create' END;
COMMENT ON FUNCTION creation_next(boolean, timestamptz, boolean, boolean) IS 'What comes next of an object that is to be made: wait (until unsure_until), look, or create; unseen: it is to be looked for in any case';

-- What is there under our key and not shown: making it again would end in error 15 once more, for ever.
CREATE FUNCTION hidden_step(task_id bigint, key uuid, what text) RETURNS plan_step
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ROW(task_id, 'park', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'hidden_in_bas', format('BAS says that the key %s exists, but does not show the %s.', key, what),
               format('Look for the %s with the rights of an administrator of BAS: record-level rights may hide it from the user of the exchange. Then call resume().', what), NULL)::plan_step;
COMMENT ON FUNCTION hidden_step(bigint, uuid, text) IS 'The end of a creation that is taken and not shown: parked';

-- One at a time, while it is not known whether the base keeps our keys.

CREATE FUNCTION note_creation(infobase text, task_id bigint, word text, kept boolean) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF kept IS NOT NULL THEN
        PERFORM learn_keeps_ref_key(infobase, kept);
    END IF;
    IF word NOT IN ('unsure', 'early') THEN
        PERFORM release_creation(infobase, task_id);
    END IF;
END $$;
COMMENT ON FUNCTION note_creation(text, bigint, text, boolean) IS 'After what an answer said, or a look showed: whether the base keeps our keys, if that tells (kept), and, unless the creation may still be at work, that others may follow';

CREATE FUNCTION learn_keeps_ref_key(infobase text, kept boolean) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM infobase i WHERE i.name = learn_keeps_ref_key.infobase AND (i.keeps_ref_key IS NULL OR i.keeps_ref_key AND NOT kept)) THEN
        UPDATE infobase i SET keeps_ref_key = kept, creating_task = NULL WHERE i.name = learn_keeps_ref_key.infobase;
        PERFORM wake_blocked(ARRAY['first_creation:' || infobase || ':']);
        IF NOT kept THEN
            RAISE WARNING 'infobase "%" does not keep the Ref_Key of new objects', infobase
                USING ERRCODE = 'SD011', DETAIL = 'Documents carry a marker in their customer reference instead, and are found by it.';
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION learn_keeps_ref_key(text, boolean) IS 'Remembers whether a base keeps our keys; one object with a foreign key is enough for no';

CREATE FUNCTION release_creation(infobase text, task_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM infobase i WHERE i.name = release_creation.infobase AND i.creating_task = release_creation.task_id) THEN    -- an UPDATE of no row tells the workers, too
        UPDATE infobase i SET creating_task = NULL WHERE i.name = release_creation.infobase;
        PERFORM wake_blocked(ARRAY['first_creation:' || infobase || ':']);
    END IF;
END $$;
COMMENT ON FUNCTION release_creation(text, bigint) IS 'The one creation allowed is at work no more: another may try';

CREATE FUNCTION creation_unsure(t task) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN CASE t.kind WHEN 'order' THEN EXISTS (SELECT FROM order_sync y WHERE y.account = t.account AND y.order_id = t.key::bigint AND y.unsure_until > clock())
                       WHEN 'counterparty' THEN EXISTS (SELECT FROM bas_counterparty_phone p WHERE p.infobase = t.scope AND p.phone = t.key AND p.entity = t.kind AND p.unsure_until > clock())
                       WHEN 'partner' THEN EXISTS (SELECT FROM bas_counterparty_phone p WHERE p.infobase = t.scope AND p.phone = t.key AND p.entity = t.kind AND p.unsure_until > clock())
                       WHEN 'payment' THEN EXISTS (SELECT FROM payment_sync y WHERE y.account = t.account AND y.payment_id = t.key::bigint AND y.unsure_until > clock())
                       WHEN 'followup' THEN EXISTS (SELECT FROM followup f WHERE f.account = t.account AND f.order_id = split_part(t.key, '/', 1)::bigint AND f.action = split_part(t.key, '/', 2) AND f.unsure_until > clock())
                       WHEN 'product' THEN EXISTS (SELECT FROM product_creation c WHERE c.infobase = t.scope AND c.sku = t.key AND c.unsure_until > clock())
                       WHEN 'attribute' THEN EXISTS (SELECT FROM bas_attribute b WHERE b.infobase = t.scope AND b.name = t.key AND b.unsure_until > clock())
                       WHEN 'folder' THEN EXISTS (SELECT FROM folder_creation c WHERE c.infobase = t.scope AND c.key = t.key AND c.unsure_until > clock())
                       ELSE t.state = 'ready' END;
END $$;
COMMENT ON FUNCTION creation_unsure(task) IS 'Whether the creation a task has sent may still be at work in the base; after that it holds up no other, also when it cannot go on itself';

CREATE FUNCTION gate_creations(steps plan_step[]) RETURNS plan_step[]
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    i      record;
    s      plan_step;
    gated  plan_step[] := steps;
BEGIN
    FOR i IN SELECT b.name, min(u.task_id) AS first, array_agg(u.task_id) AS ids,
                    (SELECT h.id FROM task h WHERE h.id = b.creating_task AND (h.state = 'in_flight' OR creation_unsure(h))) AS holder
             FROM few(steps) u JOIN task t ON t.id = u.task_id JOIN infobase b ON b.name = t.infobase
             WHERE u.creates AND u.step = 'request' AND b.keeps_ref_key IS NULL GROUP BY b.name, b.creating_task
    LOOP
        UPDATE infobase SET creating_task = coalesce(i.holder, i.first) WHERE name = i.name AND creating_task IS DISTINCT FROM coalesce(i.holder, i.first);
        FOR n IN 1 .. cardinality(gated) LOOP
            s := gated[n];
            IF s.task_id = ANY (i.ids) AND s.task_id <> coalesce(i.holder, i.first) THEN
                s.step := 'wait';
                s.reason := 'first_creation';
                s.detail := format('The first creation in infobase "%s" has to show whether the base keeps our keys; one at a time until then.', i.name);
                s.blocked_on := 'first_creation:' || i.name || ':';
                s.run_at := clock() + interval '1 min';
                gated[n] := s;
            END IF;
        END LOOP;
    END LOOP;
    RETURN gated;
END $$;
COMMENT ON FUNCTION gate_creations(plan_step[]) IS 'While it is unknown whether a base keeps our keys, lets one creation pass and makes the others wait for it';
