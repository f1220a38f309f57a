-- Purpose: the API of each SalesDrive account: how it is asked, in what condition it is, and its quota.
-- Rights: 'admin' sets it, 'operator' pauses it; the engine keeps condition and quota. An account that was never asked has no row here.

CREATE TABLE account_api (
    account            text PRIMARY KEY REFERENCES account (name) ON DELETE CASCADE,
    max_connections    integer NOT NULL DEFAULT 2 CHECK (max_connections BETWEEN 1 AND 100),
    connect_timeout    interval NOT NULL DEFAULT '10 s' CHECK (connect_timeout BETWEEN '1 ms' AND '1 day'),
    total_timeout      interval NOT NULL DEFAULT '1 min' CHECK (total_timeout BETWEEN '1 ms' AND '1 day'),
    max_answer         integer NOT NULL DEFAULT 33554432 CHECK (max_answer BETWEEN 1 AND 268435456),
    retry_base         interval NOT NULL DEFAULT '5 s' CHECK (retry_base > '0' AND retry_base <= '1 year'),
    retry_cap          interval NOT NULL DEFAULT '10 min' CHECK (retry_cap > '0' AND retry_cap <= '1 year'),
    circuit_after      integer NOT NULL DEFAULT 5 CHECK (circuit_after > 0),
    circuit_pause      interval NOT NULL DEFAULT '30 s' CHECK (circuit_pause > '0' AND circuit_pause <= '1 year'),
    dictionary_age     interval NOT NULL DEFAULT '1 day' CHECK (dictionary_age > '0' AND dictionary_age <= '100 years'),
    poll_overlap       interval NOT NULL DEFAULT '15 min' CHECK (poll_overlap BETWEEN '0' AND '100 years'),
    unread_after       interval NOT NULL DEFAULT '1 day' CHECK (unread_after > '0' AND unread_after <= '100 years'),
    payment_field      text NOT NULL DEFAULT 'date' CHECK (payment_field IN ('date', 'updatedAt')),
    payment_overlap    interval NOT NULL DEFAULT '3 days' CHECK (payment_overlap BETWEEN '0' AND '100 years'),
    payment_reread     interval NOT NULL DEFAULT '35 days' CHECK (payment_reread BETWEEN '0' AND '100 years'),
    backfill_share     numeric NOT NULL DEFAULT 0.9 CHECK (backfill_share > 0 AND backfill_share <= 1),
    key_in_body        boolean NOT NULL DEFAULT false,
    allow_http         boolean NOT NULL DEFAULT false,
    ca_file            text CHECK (ca_file ~ '^/'),
    circuit_failures   integer NOT NULL DEFAULT 0,
    circuit_open_until timestamptz,
    paused_at          timestamptz,
    paused_reason      text,
    CONSTRAINT account_api_retry_bounds CHECK (retry_base <= retry_cap)
);
COMMENT ON TABLE account_api IS 'How the API of an account is asked, and in what condition it is; webhooks and BAS do not depend on it';
COMMENT ON COLUMN account_api.account IS 'Account';
COMMENT ON COLUMN account_api.max_connections IS 'Most requests at once';
COMMENT ON COLUMN account_api.connect_timeout IS 'Longest time to a connection';
COMMENT ON COLUMN account_api.total_timeout IS 'Longest time of one request';
COMMENT ON COLUMN account_api.max_answer IS 'Largest answer taken, bytes: a page of 100 orders comes with all dictionaries of the account';
COMMENT ON COLUMN account_api.retry_base IS 'Upper bound of the first random delay of a retry; doubles each time';
COMMENT ON COLUMN account_api.retry_cap IS 'Upper bound of any delay of a retry';
COMMENT ON COLUMN account_api.circuit_after IS 'So many failures of the connection or the server in a row open the circuit';
COMMENT ON COLUMN account_api.circuit_pause IS 'How long an open circuit waits before one probing request';
COMMENT ON COLUMN account_api.dictionary_age IS 'Values of SalesDrive that were loaded by load_dictionaries() and are older are loaded again as orders come by';
COMMENT ON COLUMN account_api.poll_overlap IS 'How far each window of changed orders reaches back into the one before';
COMMENT ON COLUMN account_api.unread_after IS 'What is to be read again and again, and was not for so long, is an incident, and told by check()';
COMMENT ON COLUMN account_api.payment_field IS 'Field by which windows of payments and receipts are asked for: their date, or updatedAt where SalesDrive filters by it';
COMMENT ON COLUMN account_api.payment_overlap IS 'How far each window of payments and receipts reaches back: what is entered or changed with an earlier date waits for payment_reread';
COMMENT ON COLUMN account_api.payment_reread IS 'Once a day payments that go to BAS are read so far back, as a backfill, for what is entered or changed late; 0: never';
COMMENT ON COLUMN account_api.backfill_share IS 'Share of each window of the quota that may be used when lane 4 (backfill) asks';
COMMENT ON COLUMN account_api.key_in_body IS 'Send the key also as "form" in the body of changes: some older accounts take it only there';
COMMENT ON COLUMN account_api.allow_http IS 'Allow plain http to other hosts than loopback';
COMMENT ON COLUMN account_api.ca_file IS 'Bundle of certificate authorities, absolute path on the server; NULL uses that of the system';
COMMENT ON COLUMN account_api.circuit_failures IS 'Failures in a row';
COMMENT ON COLUMN account_api.circuit_open_until IS 'When an open circuit lets one probing request pass';
COMMENT ON COLUMN account_api.paused_at IS 'Set while the API of this account is not asked';
COMMENT ON COLUMN account_api.paused_reason IS 'Why it is paused';
COMMENT ON CONSTRAINT account_api_retry_bounds ON account_api IS 'The first delay of a retry is not above the longest one';

CREATE TABLE api_refusal (
    account    text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    method     text NOT NULL,
    words      text NOT NULL,
    refused_at timestamptz NOT NULL,
    PRIMARY KEY (account, method)
);
COMMENT ON TABLE api_refusal IS 'Methods of the account key that SalesDrive refused it for, or for which it cannot be read: not asked until unpause_api(); the rest of the API goes on';
COMMENT ON COLUMN api_refusal.account IS 'Account';
COMMENT ON COLUMN api_refusal.method IS 'Method, as in quota_window';
COMMENT ON COLUMN api_refusal.words IS 'Why';
COMMENT ON COLUMN api_refusal.refused_at IS 'Since when';

CREATE TABLE quota_window (
    account      text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    method       text NOT NULL CHECK (method ~ '^[a-z-]+(/[a-z-]+)*$'),
    span         interval NOT NULL CHECK (span > '0' AND span <= '1 day'),
    most         integer CHECK (most > 0),
    closed_until timestamptz,
    refusals     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (account, method, span)
);
COMMENT ON TABLE quota_window IS 'Limits of the API, of every method that has any; a request waits until all windows of its method have room';
COMMENT ON COLUMN quota_window.account IS 'Account';
COMMENT ON COLUMN quota_window.method IS 'Address of the method below /api/, without slash at its end: order/list';
COMMENT ON COLUMN quota_window.span IS 'Length of the window; it slides, so that it holds wherever SalesDrive lets its own begin';
COMMENT ON COLUMN quota_window.most IS 'Most requests within it; NULL: no limit is known, the row only remembers a refusal';
COMMENT ON COLUMN quota_window.closed_until IS 'SalesDrive said that the limit is reached: nothing is asked before';
COMMENT ON COLUMN quota_window.refusals IS 'Such answers in a row; each doubles the time it is closed, up to one hour';

CREATE TABLE quota_use (
    task_id    bigint NOT NULL,
    attempt    integer NOT NULL,
    account    text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    method     text NOT NULL,
    purpose    text,
    lane       smallint,
    counted_at timestamptz NOT NULL,
    PRIMARY KEY (task_id, attempt)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
COMMENT ON TABLE quota_use IS 'Requests of the last day that count for a quota: written when they are claimed, before they are sent';
COMMENT ON COLUMN quota_use.task_id IS 'Task';
COMMENT ON COLUMN quota_use.attempt IS 'Number of its attempt';
COMMENT ON COLUMN quota_use.account IS 'Account';
COMMENT ON COLUMN quota_use.method IS 'Method';
COMMENT ON COLUMN quota_use.purpose IS 'What it was for';
COMMENT ON COLUMN quota_use.lane IS 'Lane of the task';
COMMENT ON COLUMN quota_use.counted_at IS 'Latest moment at which SalesDrive can have counted it: that of the answer, until then the latest possible one';
CREATE INDEX quota_use_window ON quota_use (account, method, counted_at);

CREATE TABLE crm_dictionary_load (
    account    text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    list       text NOT NULL,
    loaded_at  timestamptz NOT NULL,
    PRIMARY KEY (account, list)
);
COMMENT ON TABLE crm_dictionary_load IS 'When a list of values of SalesDrive was loaded last by its API';
COMMENT ON COLUMN crm_dictionary_load.account IS 'Account';
COMMENT ON COLUMN crm_dictionary_load.list IS 'status, payment_method, shipping_method, or fields (what comes with order/list)';
COMMENT ON COLUMN crm_dictionary_load.loaded_at IS 'When it was loaded';
