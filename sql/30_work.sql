-- Purpose: the work: what is to be made right, what kinds of it exist, and how far each order is.
-- Rights: written by the engine and the functions of the public interface; readers read.

CREATE TABLE task_kind (
    kind            text NOT NULL,
    origin          text NOT NULL DEFAULT 'user' CHECK (origin IN ('shipped', 'user')),
    plan_function   text NOT NULL,
    settle_function text NOT NULL,
    answer          text NOT NULL DEFAULT 'json' CHECK (answer IN ('json', 'metadata', 'yml')),
    total_timeout   interval CHECK (total_timeout BETWEEN '1 ms' AND '1 day'),
    target          text NOT NULL DEFAULT 'infobase' CHECK (target IN ('infobase', 'account')),
    note_function   text,
    PRIMARY KEY (kind, origin)
);
COMMENT ON TABLE task_kind IS 'Kinds of tasks; plan(task ids) and settle(results) are set-based functions named here';
COMMENT ON COLUMN task_kind.kind IS 'Kind';
COMMENT ON COLUMN task_kind.origin IS 'shipped or user (wins)';
COMMENT ON COLUMN task_kind.plan_function IS 'Function (bigint[]) returning setof plan_step: the next step of each task';
COMMENT ON COLUMN task_kind.settle_function IS 'Function (http_result[]) returning setof plan_step: takes in the answers';
COMMENT ON COLUMN task_kind.answer IS 'What its requests are answered with: json, or a document read as it arrives: metadata (infobase.max_answer does not count), or yml (what is kept of it counts)';
COMMENT ON COLUMN task_kind.total_timeout IS 'Longest time of a request of this kind; NULL: infobase.total_timeout';
COMMENT ON COLUMN task_kind.target IS 'Whom its requests go to: an infobase, or the API of an account';
COMMENT ON COLUMN task_kind.note_function IS 'Function (plan_step[]) returning void: keeps, before the requests leave, what they carry and that their outcome is not known; NULL: nothing of the sort';

CREATE VIEW task_kind_effective AS
    SELECT k.kind, k.origin, k.plan_function, k.settle_function, k.answer, k.total_timeout, k.target, k.note_function FROM task_kind k
    WHERE k.origin = 'user' OR NOT EXISTS (SELECT FROM task_kind u WHERE u.kind = k.kind AND u.origin = 'user');
COMMENT ON VIEW task_kind_effective IS 'Kind in force: the user''s row, else the shipped one';
COMMENT ON COLUMN task_kind_effective.kind IS 'Kind';
COMMENT ON COLUMN task_kind_effective.origin IS 'shipped or user';
COMMENT ON COLUMN task_kind_effective.plan_function IS 'Function that plans its tasks';
COMMENT ON COLUMN task_kind_effective.settle_function IS 'Function that takes in their answers';
COMMENT ON COLUMN task_kind_effective.answer IS 'What its requests are answered with';
COMMENT ON COLUMN task_kind_effective.total_timeout IS 'Longest time of a request';
COMMENT ON COLUMN task_kind_effective.target IS 'Whom their requests go to: infobase or account';
COMMENT ON COLUMN task_kind_effective.note_function IS 'Function that keeps what their requests carry before they leave';

CREATE SEQUENCE task_id_seq;
COMMENT ON SEQUENCE task_id_seq IS 'Numbers of tasks';
CREATE SEQUENCE claim_turn_seq CYCLE;
COMMENT ON SEQUENCE claim_turn_seq IS 'Counts claims: an eighth of what they take is the oldest of any lane, so that none starves';

CREATE TABLE task (
    id           bigint PRIMARY KEY DEFAULT nextval('task_id_seq'),
    scope        text NOT NULL,
    kind         text NOT NULL,
    key          text NOT NULL,
    account      text,
    infobase     text,
    target       text NOT NULL GENERATED ALWAYS AS (coalesce(infobase, 'account:' || account)) STORED,
    state        text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'in_flight', 'parked')),
    lane         smallint NOT NULL DEFAULT 1 CHECK (lane BETWEEN 1 AND 4),
    run_at       timestamptz NOT NULL DEFAULT clock(),
    wish         bigint NOT NULL DEFAULT 1,
    claimed_wish bigint,
    attempt      integer NOT NULL DEFAULT 0,
    failures     integer NOT NULL DEFAULT 0,
    refusals     integer NOT NULL DEFAULT 0,
    failed       text,
    lease_until  timestamptz,
    purpose      text,
    memo         jsonb,
    creates      boolean NOT NULL DEFAULT false,
    blocked_on   text,
    reason       text,
    detail       text,
    hint         text,
    created_at   timestamptz NOT NULL DEFAULT clock(),
    changed_at   timestamptz NOT NULL DEFAULT clock(),
    UNIQUE (scope, kind, key)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
COMMENT ON TABLE task IS 'A thing to make right; it is gone when it is right. State ready (due at run_at), in_flight (attempt committed, lease) or parked (the user must act)';
COMMENT ON COLUMN task.id IS 'Number; resume(task_id) and wait(task_id) take it';
COMMENT ON COLUMN task.scope IS 'Account or infobase the key belongs to';
COMMENT ON COLUMN task.kind IS 'Kind (task_kind)';
COMMENT ON COLUMN task.key IS 'Order number, phone, dictionary …';
COMMENT ON COLUMN task.account IS 'Account, when the scope is one';
COMMENT ON COLUMN task.infobase IS 'Infobase its requests go to; NULL: the API of its account';
COMMENT ON COLUMN task.target IS 'The same as one name: that of the infobase, or account:NAME';
COMMENT ON COLUMN task.state IS 'ready, in_flight or parked';
COMMENT ON COLUMN task.lane IS '1 live, 2 edits, 3 reconciliation, 4 backfill';
COMMENT ON COLUMN task.run_at IS 'When it is due';
COMMENT ON COLUMN task.wish IS 'Raised each time someone asks for it';
COMMENT ON COLUMN task.claimed_wish IS 'wish when it was claimed: the task ends only when they are equal';
COMMENT ON COLUMN task.attempt IS 'Number of the last request; a late answer of an older one changes nothing';
COMMENT ON COLUMN task.failures IS 'Failures in a row';
COMMENT ON COLUMN task.refusals IS 'Of these, errors raised in BAS, and addresses too long for it: after the fifth retry it is parked';
COMMENT ON COLUMN task.failed IS 'Purpose of the first of them: they are over when it succeeds, not when another request of the task does, such as the reading before each write';
COMMENT ON COLUMN task.lease_until IS 'Until when a request in flight can be at work in BAS; after it the task is taken back, unless the engine has it in hand';
COMMENT ON COLUMN task.purpose IS 'What the last request was for';
COMMENT ON COLUMN task.memo IS 'What its answer needs to be understood';
COMMENT ON COLUMN task.creates IS 'Whether it creates an object in BAS';
COMMENT ON COLUMN task.blocked_on IS 'Row or task it waits for, as kind:scope:key';
COMMENT ON COLUMN task.reason IS 'Why it is parked or waits: a code';
COMMENT ON COLUMN task.detail IS 'Why, in a sentence';
COMMENT ON COLUMN task.hint IS 'What to do';
COMMENT ON COLUMN task.created_at IS 'When it was asked for first';
COMMENT ON COLUMN task.changed_at IS 'When its state changed last';
CREATE INDEX task_due ON task (target, lane, run_at) WHERE state = 'ready';
CREATE INDEX task_oldest ON task (target, run_at) WHERE state = 'ready';
CREATE INDEX task_in_flight ON task (target, lease_until) WHERE state = 'in_flight';
CREATE INDEX task_parked ON task (scope, kind, created_at) WHERE state = 'parked' AND kind <> 'order';
CREATE INDEX task_blocked ON task (blocked_on) WHERE blocked_on IS NOT NULL;

CREATE FUNCTION task_words(kind text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce((SELECT w.words FROM (VALUES
        ('order', 'orders'), ('order_update', 'changes of orders in SalesDrive'), ('order_record', 'records of orders'), ('crm_orders', 'readings of orders'), ('crm_payments', 'readings of payments'),
        ('crm_receipts', 'readings of receipts'), ('crm_dictionary', 'readings of lists of SalesDrive'), ('dictionary', 'readings of lists of BAS'), ('metadata', 'readings of $metadata'),
        ('statuses', 'readings of documents of orders'), ('bas_payments', 'readings of payment documents'), ('payment', 'payments'), ('payment_out', 'payments for SalesDrive'), ('counterparty', 'counterparties'),
        ('partner', 'partners'), ('product', 'new products'), ('products', 'readings of products'), ('goods', 'readings of goods'), ('push', 'pushes of goods')) w (kind, words) WHERE w.kind = task_words.kind), format('tasks of kind %s', kind));
COMMENT ON FUNCTION task_words(text) IS 'What tasks of a kind are about, as a sentence has it';

CREATE FUNCTION task_order(kind text, key text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN kind IN ('order', 'order_update', 'order_record', 'followup') AND key ~ '^[1-9]\d{0,10}(/|$)' THEN split_part(key, '/', 1)::bigint END;
COMMENT ON FUNCTION task_order(text, text) IS 'Number of the order that a task is about; NULL: of none';

CREATE FUNCTION task_of(id bigint) RETURNS SETOF task
    LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
    SELECT t.* FROM task t WHERE t.id = task_of.id OFFSET 0;
END;
COMMENT ON FUNCTION task_of(bigint) IS 'The task of this number; in a join always looked up by it, whatever else is asked of the task (OFFSET 0 keeps the planner from other ways)';

CREATE TYPE task_wish AS (
    scope    text,
    kind     text,
    key      text,
    account  text,
    infobase text,
    lane     smallint
);
COMMENT ON TYPE task_wish IS 'A thing that is to be made right, and how soon';
COMMENT ON COLUMN task_wish.scope IS 'Account or infobase the key belongs to';
COMMENT ON COLUMN task_wish.kind IS 'Kind (task_kind)';
COMMENT ON COLUMN task_wish.key IS 'Order number, phone, dictionary …';
COMMENT ON COLUMN task_wish.account IS 'Account, when the scope is one';
COMMENT ON COLUMN task_wish.infobase IS 'Infobase its requests go to; NULL: the API of the account';
COMMENT ON COLUMN task_wish.lane IS '1 live, 2 edits, 3 reconciliation, 4 backfill';

-- What the engine asks for itself, and what comes with every delivery, is patient: it must not shorten the delay of what has failed. Who asks by hand may.
CREATE FUNCTION want_tasks(wishes task_wish[], patient boolean DEFAULT false) RETURNS bigint[]
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    ids bigint[];
BEGIN
    WITH asked AS (
        INSERT INTO task AS t (scope, kind, key, account, infobase, lane) SELECT DISTINCT ON (w.scope, w.kind, w.key) w.* FROM few(wishes) w ORDER BY w.scope, w.kind, w.key, w.lane
        ON CONFLICT ON CONSTRAINT task_scope_kind_key_key DO UPDATE SET wish = t.wish + 1, lane = least(t.lane, excluded.lane), state = CASE t.state WHEN 'in_flight' THEN t.state ELSE 'ready' END,
            run_at = CASE WHEN patient AND t.failures > 0 AND t.state = 'ready' THEN t.run_at ELSE least(t.run_at, excluded.run_at) END,
            blocked_on = CASE t.state WHEN 'in_flight' THEN t.blocked_on END, changed_at = clock()
        RETURNING t.id
    )
    SELECT array_agg(a.id) INTO ids FROM asked a;
    RETURN ids;
END $$;
COMMENT ON FUNCTION want_tasks(task_wish[], boolean) IS 'Asks for things to be made right, each by one task: what is parked becomes due again, what is in flight is looked at once more when its answer is in; patient: what has failed keeps the time of its next attempt; returns the tasks';

-- The engine locks tasks by their numbers, and then what belongs to them. Whoever locks both in another order may stop it, or be stopped, by a deadlock.
CREATE FUNCTION hold_tasks(scopes text[], kinds text[], keys text[] DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM FROM task t WHERE t.scope = ANY (scopes) AND t.kind = ANY (kinds) AND (keys IS NULL OR t.key = ANY (keys)) ORDER BY t.id FOR UPDATE;
END $$;
COMMENT ON FUNCTION hold_tasks(text[], text[], text[]) IS 'Locks these tasks, those that there are, in the order the engine has: called before what belongs to them is changed';

CREATE TABLE wake_pending (
    cause         text NOT NULL,
    put_off_until timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
COMMENT ON TABLE wake_pending IS 'Rows that changed and may be waited for: inserted by triggers, so visible at COMMIT, and taken by the engine, which alone parks, at its next turn';
COMMENT ON COLUMN wake_pending.cause IS 'As in task.blocked_on; infobase:NAME: for all that was only put off in a base';
COMMENT ON COLUMN wake_pending.put_off_until IS 'Not taken before: another session held a task to be made due';

CREATE TABLE order_sync (
    account            text NOT NULL,
    order_id           bigint NOT NULL,
    infobase           text NOT NULL,
    ref_key            uuid NOT NULL,
    customer_reference text,
    bas_ref            uuid,
    number             text,
    write_unsure       boolean NOT NULL DEFAULT false,
    unsure_until       timestamptz,
    asked_early        boolean NOT NULL DEFAULT false,
    must_read          boolean NOT NULL DEFAULT false,
    needs_post         boolean NOT NULL DEFAULT false,
    force              boolean NOT NULL DEFAULT false,
    read_version       bigint,
    synced_version     bigint,
    synced_at          timestamptz,
    skipped_at         timestamptz,
    skip_reason        text,
    requests           integer NOT NULL DEFAULT 0,
    not_wanted         text,
    not_wanted_detail  text,
    told_sum           numeric,
    told_lines         text[],
    crm_status         text,
    bas_status         text,
    agreed_at          timestamptz,
    status_unmapped    boolean NOT NULL DEFAULT false,
    cancel_status      text,
    cancel_action      text,
    cancelled_at       timestamptz,
    cancel_set         text,
    cancel_before      text,
    mark               text CHECK (mark IN ('set', 'undone')),
    cancel_write       text,
    PRIMARY KEY (account, order_id)
) WITH (fillfactor = 80);
COMMENT ON TABLE order_sync IS 'How far each order is on its way into BAS';
COMMENT ON COLUMN order_sync.account IS 'Account';
COMMENT ON COLUMN order_sync.order_id IS 'Order number';
COMMENT ON COLUMN order_sync.infobase IS 'Infobase its document is in';
COMMENT ON COLUMN order_sync.ref_key IS 'Key under which the document is created: computed once, before the first attempt';
COMMENT ON COLUMN order_sync.customer_reference IS 'Text in the customer reference: the marker, or plain digits once the base has proved that it keeps our key';
COMMENT ON COLUMN order_sync.bas_ref IS 'Ref_Key of the document in BAS, once it is known to exist';
COMMENT ON COLUMN order_sync.number IS 'Number of the document';
COMMENT ON COLUMN order_sync.write_unsure IS 'A write was sent and its outcome is not known: read back before the next';
COMMENT ON COLUMN order_sync.unsure_until IS 'From when on absence (or an old value) in BAS counts after such a write';
COMMENT ON COLUMN order_sync.asked_early IS 'BAS was asked since that write and did not show it yet: asked again after unsure_until';
COMMENT ON COLUMN order_sync.must_read IS 'Read back before the first write: set by adopt()';
COMMENT ON COLUMN order_sync.needs_post IS 'The document was changed and must be posted again';
COMMENT ON COLUMN order_sync.force IS 'resend() was called: send even over changes made in BAS';
COMMENT ON COLUMN order_sync.read_version IS 'Order version for which the document was read before changing it; NULL once that change was made, or failed';
COMMENT ON COLUMN order_sync.synced_version IS 'Order version BAS holds';
COMMENT ON COLUMN order_sync.synced_at IS 'When it became right last';
COMMENT ON COLUMN order_sync.skipped_at IS 'Taken out of the exchange by skip()';
COMMENT ON COLUMN order_sync.skip_reason IS 'Why';
COMMENT ON COLUMN order_sync.requests IS 'Requests spent on it';
COMMENT ON COLUMN order_sync.not_wanted IS 'Why the order, or the change of it, is not wanted in BAS: a code; counts while it has no task';
COMMENT ON COLUMN order_sync.not_wanted_detail IS 'The same in a sentence';
COMMENT ON COLUMN order_sync.told_sum IS 'Sum changed in BAS that SalesDrive was told of; NULL: none';
COMMENT ON COLUMN order_sync.told_lines IS 'Lines that told of such sums in either comment, the last one last: known by that, they are no text of people';
COMMENT ON COLUMN order_sync.crm_status IS 'Status in SalesDrive when both sides agreed last, or at the first look: another one by now was set there. NULL: none that BAS knows yet';
COMMENT ON COLUMN order_sync.bas_status IS 'Status of the document then, as BAS writes it ("" for none): another one by now was set in BAS';
COMMENT ON COLUMN order_sync.agreed_at IS 'When that was; each half counts when this is after account.status_to_since, or status_from_since';
COMMENT ON COLUMN order_sync.status_unmapped IS 'One side has changed its status since to one that value_map does not know: looked at again when a row for statuses changes';
COMMENT ON COLUMN order_sync.cancel_status IS 'Status in SalesDrive by which the order is cancelled, once that was told; NULL: it lives';
COMMENT ON COLUMN order_sync.cancel_action IS 'What its rule says: mark, set_status or tell';
COMMENT ON COLUMN order_sync.cancelled_at IS 'When it was found cancelled';
COMMENT ON COLUMN order_sync.cancel_set IS 'Status of the document that its rule has set, or found there; kept until the order lives again and is right';
COMMENT ON COLUMN order_sync.cancel_before IS 'Status the document had before its rule set one ("" for none)';
COMMENT ON COLUMN order_sync.mark IS 'The mark for deletion of the document: set (from here), undone (set from here, and taken off in BAS); NULL: none, or one that is not from here';
COMMENT ON COLUMN order_sync.cancel_write IS 'Write whose outcome is not known, where it is one of these: unpost order, mark order, unmark order';
CREATE INDEX order_sync_not_wanted ON order_sync (account, order_id) WHERE not_wanted IS NOT NULL;
CREATE INDEX order_sync_unmapped ON order_sync (account, order_id) WHERE status_unmapped;
CREATE INDEX order_sync_cancelled ON order_sync (account, order_id) WHERE cancel_status IS NOT NULL;
