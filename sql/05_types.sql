-- Purpose: row types that cross the border between C and SQL, and between the rules.
-- Rights: usage follows the schema.

CREATE TYPE order_key AS (
    account  text,
    order_id bigint
);
COMMENT ON TYPE order_key IS 'Names one order: account and SalesDrive order number';
COMMENT ON COLUMN order_key.account IS 'Account';
COMMENT ON COLUMN order_key.order_id IS 'Order number in SalesDrive';

CREATE TYPE http_request AS (
    task_id         bigint,
    attempt         integer,
    target          text,
    method          text,
    url             text,
    body            text,
    username        text,
    password        text,
    headers         text[],
    connect_timeout integer,
    total_timeout   integer,
    max_bytes       integer,
    max_connections integer,
    ca_file         text,
    allow_http      boolean,
    leave_before    timestamptz,
    answer          text
);
COMMENT ON TYPE http_request IS 'One request that claim() hands to the HTTP client; time-outs in milliseconds';
COMMENT ON COLUMN http_request.task_id IS 'Task it is for';
COMMENT ON COLUMN http_request.attempt IS 'Number of the attempt; the answer carries it back';
COMMENT ON COLUMN http_request.target IS 'Infobase, or account:NAME for the API of an account; limits of connections count by it';
COMMENT ON COLUMN http_request.method IS 'HTTP method';
COMMENT ON COLUMN http_request.url IS 'Whole address, percent-encoded';
COMMENT ON COLUMN http_request.body IS 'Body as text; NULL for none';
COMMENT ON COLUMN http_request.username IS 'User of BAS';
COMMENT ON COLUMN http_request.password IS 'Its password';
COMMENT ON COLUMN http_request.headers IS 'Further headers, each as Name: value';
COMMENT ON COLUMN http_request.connect_timeout IS 'Longest time to a connection';
COMMENT ON COLUMN http_request.total_timeout IS 'Longest time of the request';
COMMENT ON COLUMN http_request.max_bytes IS 'Largest answer taken, bytes';
COMMENT ON COLUMN http_request.max_connections IS 'Most requests to the target at once';
COMMENT ON COLUMN http_request.ca_file IS 'Bundle of certificate authorities; NULL: that of the system';
COMMENT ON COLUMN http_request.allow_http IS 'Whether plain http to another host than the loopback will do';
COMMENT ON COLUMN http_request.leave_before IS 'After this moment it is given back and not sent: its lease would end before its answer';
COMMENT ON COLUMN http_request.answer IS 'metadata: the answer is $metadata, read as it arrives, and max_bytes is of its short form; else JSON';

CREATE TYPE http_result AS (
    task_id       bigint,
    attempt       integer,
    target        text,
    method        text,
    url           text,
    request_body  text,
    http_status   integer,
    class         text,
    error         text,
    retry_after   integer,
    odata_code    text,
    odata_message text,
    content_type  text,
    body          bytea,
    body_is_json  boolean,
    body_bytes    bigint,
    started_at    timestamptz,
    ms_queue      double precision,
    ms_connect    double precision,
    ms_tls        double precision,
    ms_first_byte double precision,
    ms_total      double precision
);
COMMENT ON TYPE http_result IS 'One answer (or the lack of one) that the HTTP client hands to settle(); class is ok, transient, throttled, unknown_outcome, business, denied, config or bug; retry_after in seconds';
COMMENT ON COLUMN http_result.task_id IS 'Task it is for';
COMMENT ON COLUMN http_result.attempt IS 'Number of the attempt it answers';
COMMENT ON COLUMN http_result.target IS 'Infobase, or account:NAME';
COMMENT ON COLUMN http_result.method IS 'HTTP method of the request';
COMMENT ON COLUMN http_result.url IS 'Address of the request';
COMMENT ON COLUMN http_result.request_body IS 'Body of the request';
COMMENT ON COLUMN http_result.http_status IS 'Status; NULL when there was no complete answer';
COMMENT ON COLUMN http_result.class IS 'What it means for the task';
COMMENT ON COLUMN http_result.error IS 'What went wrong, in words; NULL when nothing';
COMMENT ON COLUMN http_result.retry_after IS 'Seconds the server asks to wait';
COMMENT ON COLUMN http_result.odata_code IS 'Code of an odata.error';
COMMENT ON COLUMN http_result.odata_message IS 'Its message';
COMMENT ON COLUMN http_result.content_type IS 'Content-Type of the answer';
COMMENT ON COLUMN http_result.body IS 'Body of the answer, as much as was taken';
COMMENT ON COLUMN http_result.body_is_json IS 'Whether the body was found to be JSON in UTF-8';
COMMENT ON COLUMN http_result.body_bytes IS 'Length of the answer';
COMMENT ON COLUMN http_result.started_at IS 'When the request left the queue of the client';
COMMENT ON COLUMN http_result.ms_queue IS 'Milliseconds it waited there before that';
COMMENT ON COLUMN http_result.ms_connect IS 'Milliseconds to connect; 0 on a connection kept alive';
COMMENT ON COLUMN http_result.ms_tls IS 'Milliseconds of the TLS handshake';
COMMENT ON COLUMN http_result.ms_first_byte IS 'Milliseconds until the answer began';
COMMENT ON COLUMN http_result.ms_total IS 'Milliseconds in all';

CREATE TYPE plan_step AS (
    task_id    bigint,
    step       text,
    purpose    text,
    method     text,
    path       text,
    body       jsonb,
    memo       jsonb,
    creates    boolean,
    run_at     timestamptz,
    reason     text,
    detail     text,
    hint       text,
    blocked_on text
);
COMMENT ON TYPE plan_step IS 'What a plan or settle function decides about one task: step is request, again (plan anew), done, wait (until run_at, or for blocked_on), retry (as the failure class says) or park';
COMMENT ON COLUMN plan_step.task_id IS 'Task';
COMMENT ON COLUMN plan_step.step IS 'request, again (plan anew), done, wait, retry or park';
COMMENT ON COLUMN plan_step.purpose IS 'What the request is for';
COMMENT ON COLUMN plan_step.method IS 'HTTP method of the request';
COMMENT ON COLUMN plan_step.path IS 'Its address below odata/standard.odata, or below the address of the account, with options';
COMMENT ON COLUMN plan_step.body IS 'Its body';
COMMENT ON COLUMN plan_step.memo IS 'What its answer needs to be understood';
COMMENT ON COLUMN plan_step.creates IS 'Whether the request creates an object in BAS';
COMMENT ON COLUMN plan_step.run_at IS 'When it is due again; NULL: as the step says';
COMMENT ON COLUMN plan_step.reason IS 'Why it waits or is parked: a code';
COMMENT ON COLUMN plan_step.detail IS 'Why, in a sentence';
COMMENT ON COLUMN plan_step.hint IS 'What to do';
COMMENT ON COLUMN plan_step.blocked_on IS 'Row or task it waits for, as kind:scope:key';
