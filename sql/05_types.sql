-- Purpose: row types that cross the border between C and SQL, and between the rules.
-- Rights: usage follows the schema.

CREATE TYPE order_key AS (
    account  text,
    order_id bigint
);
COMMENT ON TYPE order_key IS 'Names one order: account and SalesDrive order number';

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
    allow_http      boolean
);
COMMENT ON TYPE http_request IS 'One request that claim() hands to the HTTP client; time-outs in milliseconds';

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
