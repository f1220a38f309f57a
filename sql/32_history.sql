-- Purpose: what happened: every HTTP exchange, every decision about an order; partitions by month and their end.
-- Rights: written by the engine; readers read (bodies too); nobody edits.

CREATE SEQUENCE exchange_log_id_seq;
COMMENT ON SEQUENCE exchange_log_id_seq IS 'Numbers of exchanges';

CREATE TABLE exchange_log (
    id             bigint NOT NULL DEFAULT nextval('exchange_log_id_seq'),
    at             timestamptz NOT NULL DEFAULT clock(),
    direction      text NOT NULL,
    account        text,
    infobase       text,
    order_id       bigint,
    task_id        bigint,
    kind           text,
    key            text,
    attempt        integer,
    purpose        text,
    method         text,
    url            text,
    http_status    integer,
    class          text,
    error          text,
    late           boolean NOT NULL DEFAULT false,
    ms_queue       real,
    ms_connect     real,
    ms_tls         real,
    ms_first_byte  real,
    ms_total       real,
    request_body   text,
    request_bytes  bigint,
    request_hash   text,
    response_body  text,
    response_raw   bytea,
    response_bytes bigint,
    response_hash  text,
    inbox_id       bigint
) PARTITION BY RANGE (at);
COMMENT ON TABLE exchange_log IS 'Every HTTP exchange of both directions, without secrets; of equal deliveries the first; the body of a delivery stays in inbox';
COMMENT ON COLUMN exchange_log.id IS 'Number';
COMMENT ON COLUMN exchange_log.at IS 'When it began';
COMMENT ON COLUMN exchange_log.direction IS 'in (to us) or out (from us)';
COMMENT ON COLUMN exchange_log.account IS 'Account';
COMMENT ON COLUMN exchange_log.infobase IS 'Infobase';
COMMENT ON COLUMN exchange_log.order_id IS 'Order number, when it is about one order';
COMMENT ON COLUMN exchange_log.task_id IS 'Task';
COMMENT ON COLUMN exchange_log.kind IS 'Kind of the task';
COMMENT ON COLUMN exchange_log.key IS 'Key of the task';
COMMENT ON COLUMN exchange_log.attempt IS 'Number of the attempt';
COMMENT ON COLUMN exchange_log.purpose IS 'What the request was for';
COMMENT ON COLUMN exchange_log.method IS 'HTTP method';
COMMENT ON COLUMN exchange_log.url IS 'Address, without user and password';
COMMENT ON COLUMN exchange_log.http_status IS 'Status; NULL when there was no complete answer';
COMMENT ON COLUMN exchange_log.class IS 'ok, transient, throttled, unknown_outcome, business, config or bug';
COMMENT ON COLUMN exchange_log.error IS 'What went wrong, in words';
COMMENT ON COLUMN exchange_log.late IS 'An answer to an attempt that had been given up: logged, changed nothing';
COMMENT ON COLUMN exchange_log.ms_queue IS 'Milliseconds until it was sent';
COMMENT ON COLUMN exchange_log.ms_connect IS 'Milliseconds to connect; 0 on a connection kept alive';
COMMENT ON COLUMN exchange_log.ms_tls IS 'Milliseconds of the TLS handshake';
COMMENT ON COLUMN exchange_log.ms_first_byte IS 'Milliseconds until the answer began';
COMMENT ON COLUMN exchange_log.ms_total IS 'Milliseconds in all';
COMMENT ON COLUMN exchange_log.request_body IS 'Body sent, first 64 kB';
COMMENT ON COLUMN exchange_log.request_bytes IS 'Its length';
COMMENT ON COLUMN exchange_log.request_hash IS 'Its MD5, when it was cut here';
COMMENT ON COLUMN exchange_log.response_body IS 'Body received, first 64 kB, when it is text';
COMMENT ON COLUMN exchange_log.response_raw IS 'Body received, first 64 kB, when it is not valid text';
COMMENT ON COLUMN exchange_log.response_bytes IS 'Its length';
COMMENT ON COLUMN exchange_log.response_hash IS 'Its MD5, when it was cut here';
COMMENT ON COLUMN exchange_log.inbox_id IS 'Delivery (direction in)';
CREATE TABLE exchange_log_default PARTITION OF exchange_log DEFAULT;
COMMENT ON TABLE exchange_log_default IS 'Holds exchanges of a month that has no partition yet; stays empty';

CREATE SEQUENCE order_event_id_seq;
COMMENT ON SEQUENCE order_event_id_seq IS 'Numbers of events';

CREATE TABLE order_event (
    id       bigint NOT NULL DEFAULT nextval('order_event_id_seq'),
    at       timestamptz NOT NULL DEFAULT clock(),
    account  text NOT NULL,
    order_id bigint NOT NULL,
    event    text NOT NULL,
    version  bigint,
    text     text,
    detail   jsonb
) PARTITION BY RANGE (at);
COMMENT ON TABLE order_event IS 'Every decision about an order';
COMMENT ON COLUMN order_event.id IS 'Number';
COMMENT ON COLUMN order_event.at IS 'When';
COMMENT ON COLUMN order_event.account IS 'Account';
COMMENT ON COLUMN order_event.order_id IS 'Order number';
COMMENT ON COLUMN order_event.event IS 'received, unreadable, created, found, changed, differs, posted, cancelled, revived, unposted, marked, unmarked, parked, resumed, skipped, resent, sum_told, status_kept, followup, sale_created, sale_found, sale_posted, return_created, return_found, return_posted, closed, followup_dropped, followup_parked, crm_changed, crm_not_changed, crm_unknown, payment';
COMMENT ON COLUMN order_event.version IS 'Order version it is about';
COMMENT ON COLUMN order_event.text IS 'Sentence';
COMMENT ON COLUMN order_event.detail IS 'Particulars';
CREATE TABLE order_event_default PARTITION OF order_event DEFAULT;
COMMENT ON TABLE order_event_default IS 'Holds events of a month that has no partition yet; stays empty';

CREATE FUNCTION document_made(event text, detail jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN event = 'created' OR event = 'differs' AND coalesce(detail ->> 'written' = 'created', false);
COMMENT ON FUNCTION document_made(text, jsonb) IS 'Whether an event of an order tells that its document was made, also where BAS did not keep all of it';

CREATE FUNCTION document_changed(event text, detail jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN event = 'changed' OR event = 'differs' AND coalesce(detail ->> 'written' = 'changed', false);
COMMENT ON FUNCTION document_changed(text, jsonb) IS 'The same of a change';

CREATE TABLE retention (
    history text PRIMARY KEY CHECK (history IN ('inbox', 'exchange_log', 'order_event', 'incident')),
    keep    interval NOT NULL CHECK (keep BETWEEN '1 day' AND '100 years')
);
COMMENT ON TABLE retention IS 'How long a history is kept, where it is not the default (inbox 12 months, exchange_log 3 months, order_event and incident 36 months)';
COMMENT ON COLUMN retention.history IS 'inbox, exchange_log, order_event or incident';
COMMENT ON COLUMN retention.keep IS 'How long; of the first three whole months are dropped';

CREATE FUNCTION history_keep(history text) RETURNS interval
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT r.keep FROM retention r WHERE r.history = history_keep.history),
                    CASE history WHEN 'inbox' THEN interval '12 months' WHEN 'exchange_log' THEN '3 months' ELSE '36 months' END);
END $$;
COMMENT ON FUNCTION history_keep(text) IS 'How long a history is kept';

-- JSON of a few kB is written for every order: it is compressed and stays in its row, because moving it out costs more than it saves. A server
-- that can compresses it fast.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT * FROM (VALUES ('crm_order_version', 'data'), ('bas_order', 'sent_body'), ('bas_order', 'accepted_body'), ('bas_order', 'written_body'), ('bas_order', 'read_body'),
                                   ('bas_order', 'lineage'), ('exchange_log', 'request_body'), ('exchange_log', 'response_body'), ('exchange_log_default', 'request_body'), ('exchange_log_default', 'response_body')) c (tab, col)
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET STORAGE MAIN', c.tab, c.col);
        BEGIN
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET COMPRESSION lz4', c.tab, c.col);
        EXCEPTION WHEN feature_not_supported THEN
            NULL;    -- built without lz4: its default does
        END;
    END LOOP;
END $$;

CREATE FUNCTION history_index(history text, partition text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF history = 'inbox' THEN
        EXECUTE format('CREATE UNIQUE INDEX ON %I (id)', partition);
        EXECUTE format('ALTER TABLE %I ALTER COLUMN body SET STORAGE EXTERNAL', partition);
        EXECUTE format('ALTER TABLE %I SET (toast_tuple_target = 8160)', partition);
    ELSE
        EXECUTE format('CREATE INDEX ON %I (account, order_id)', partition);
        EXECUTE format('CREATE INDEX ON %I (at)', partition);
    END IF;
END $$;
COMMENT ON FUNCTION history_index(text, text) IS 'Gives a new partition its indexes and storage (parents carry none, so that a dump restores)';
SELECT history_index('inbox', 'inbox_default'), history_index('exchange_log', 'exchange_log_default'), history_index('order_event', 'order_event_default');

CREATE FUNCTION copy_rights(history text, partition text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    r record;
BEGIN
    SELECT pg_get_userbyid(c.relowner) AS owner, c.relowner = p.relowner AS same INTO r FROM pg_class c, pg_class p
    WHERE c.oid = to_regclass('salesdrive.' || quote_ident(history)) AND p.oid = to_regclass('salesdrive.' || quote_ident(partition));
    IF NOT r.same THEN
        EXECUTE format('ALTER TABLE %I OWNER TO %I', partition, r.owner);
    END IF;
    EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', partition);    -- default privileges of the database may have given some
    FOR r IN SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee, a.privilege_type,
                    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS option
             FROM pg_class c, aclexplode(c.relacl) a
             WHERE c.oid = to_regclass('salesdrive.' || quote_ident(history)) AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT %s ON %I TO %s%s', r.privilege_type, partition, r.grantee, r.option);
    END LOOP;
END $$;
COMMENT ON FUNCTION copy_rights(text, text) IS 'Gives a partition the owner and the rights of its parent';

CREATE FUNCTION history_clock(history text) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$ SELECT CASE history WHEN 'inbox' THEN 'received_at' ELSE 'at' END $$;
COMMENT ON FUNCTION history_clock(text) IS 'Column by which a history is partitioned';

-- Rows of the month that are in the default partition are moved over first. The lock on the parent lets readers and writers pass and keeps
-- two makers apart.
CREATE FUNCTION make_partition(history text, month date) RETURNS boolean
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    name   text := format('%s_%s', history, to_char(month, 'YYYY_MM'));
    clock_column text := history_clock(history);
    lower  timestamptz := month::timestamp AT TIME ZONE 'UTC';
    upper  timestamptz := (month + interval '1 month')::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass(format('salesdrive.%I', name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE ONLY %I IN SHARE UPDATE EXCLUSIVE MODE', history);
    IF to_regclass(format('salesdrive.%I', name)) IS NOT NULL THEN    -- made by another session meanwhile
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION)', name, history);
    EXECUTE format('COMMENT ON TABLE %I IS %L', name, format('Partition of %s: %s (UTC)', history, to_char(month, 'YYYY-MM')));
    PERFORM history_index(history, name);
    PERFORM copy_rights(history, name);
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', history || '_default');
    EXECUTE format('WITH moved AS (DELETE FROM %I WHERE %I >= $1 AND %I < $2 RETURNING *) INSERT INTO %I SELECT * FROM moved',
                   history || '_default', clock_column, clock_column, name) USING lower, upper;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', history, name, lower, upper);
    RETURN true;
END $$;
COMMENT ON FUNCTION make_partition(text, date) IS 'Makes the partition of a month (UTC) with its indexes and rights; false when it exists';

CREATE FUNCTION drop_partitions(history text) RETURNS integer
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    last_kept date := date_trunc('month', (clock() - history_keep(history)) AT TIME ZONE 'UTC');
    p         record;
    dropped   integer := 0;
BEGIN
    FOR p IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = to_regclass('salesdrive.' || quote_ident(history))
               AND c.relname ~ ('^' || history || '_\d{4}_\d\d$')
               AND to_date(right(c.relname, 7), 'YYYY_MM') < last_kept
    LOOP
        EXECUTE format('DROP TABLE %I', p.relname);
        dropped := dropped + 1;
    END LOOP;
    EXECUTE format('DELETE FROM %I WHERE %I < $1', history || '_default', history_clock(history)) USING last_kept::timestamp AT TIME ZONE 'UTC';
    RETURN dropped;
END $$;
COMMENT ON FUNCTION drop_partitions(text) IS 'Drops the months that are older than the retention of a history, and such rows of the default partition';

-- Runs as the owner of the extension, because only the owner of a parent may attach partitions; takes no argument that could be abused.
-- A quiet database makes none: one that is being restored from a plain dump would make partitions that the dump is about to make.
CREATE FUNCTION prepare_partitions() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    h     text;
    month date := date_trunc('month', clock() AT TIME ZONE 'UTC');
BEGIN
    IF quiet_reason() IS NOT NULL THEN
        RETURN;
    END IF;
    FOREACH h IN ARRAY ARRAY['inbox', 'exchange_log', 'order_event'] LOOP
        PERFORM make_partition(h, month);
        PERFORM make_partition(h, (month + interval '1 month')::date);
    END LOOP;
END $$;
COMMENT ON FUNCTION prepare_partitions() IS 'Makes the partitions of this month and the next, where they are missing; none in a database that keeps quiet; gives up after 2 s of waiting for a lock and is tried again later';

CREATE FUNCTION expire_history() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = salesdrive, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    dropped      integer;
    of_inbox     timestamptz := clock() - history_keep('inbox');
    of_incidents timestamptz := clock() - history_keep('incident');
BEGIN
    dropped := drop_partitions('inbox') + drop_partitions('exchange_log') + drop_partitions('order_event');
    DELETE FROM inbox_digest WHERE received_at < of_inbox;
    DELETE FROM inbox_reject WHERE received_at < of_inbox;
    DELETE FROM incident WHERE closed_at < of_incidents;
    RETURN dropped;
END $$;
COMMENT ON FUNCTION expire_history() IS 'Drops what is older than its retention; gives up after 2 s of waiting for a lock and is tried again later';

CREATE PROCEDURE maintain()
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM salesdrive.prepare_partitions();
    COMMIT;
    PERFORM salesdrive.expire_history();
    COMMIT;
    PERFORM salesdrive.health_rows();
END $$;
COMMENT ON PROCEDURE maintain() IS 'Partitions ahead, retention, and the row of health of yesterday; the exchanger does the same by itself';
