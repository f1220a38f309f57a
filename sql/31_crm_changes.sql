-- Purpose: what SalesDrive is to hold of each order, and how far it is on its way there.
-- Rights: written by the engine; readers read.

CREATE TABLE crm_change (
    account        text NOT NULL,
    order_id       bigint NOT NULL,
    field          text NOT NULL CHECK (field ~ '^([A-Za-z_][A-Za-z0-9_]*|note:[a-z]+)$'),
    wanted         text NOT NULL,
    cause          text NOT NULL,
    wanted_at      timestamptz NOT NULL DEFAULT clock(),
    state          text NOT NULL DEFAULT 'wanted' CHECK (state IN ('wanted', 'unknown', 'sent', 'held', 'refused', 'dropped')),
    before         text,
    before_version bigint,
    sent           text,
    sent_at        timestamptz,
    sent_version   bigint,
    confirmed      text,
    unsure_until   timestamptz,
    sends          integer NOT NULL DEFAULT 0,
    alone          boolean NOT NULL DEFAULT false,
    doubted        boolean NOT NULL DEFAULT false,
    read_at        timestamptz,
    detail         text,
    PRIMARY KEY (account, order_id, field)
) WITH (fillfactor = 80);
COMMENT ON TABLE crm_change IS 'What SalesDrive is to hold of an order because of this exchange, field by field, and how far it is on its way there';
COMMENT ON COLUMN crm_change.account IS 'Account';
COMMENT ON COLUMN crm_change.order_id IS 'Order number';
COMMENT ON COLUMN crm_change.field IS 'Technical name of the field in SalesDrive; note, or note:cause: a note is added';
COMMENT ON COLUMN crm_change.wanted IS 'What it is to hold';
COMMENT ON COLUMN crm_change.cause IS 'What it comes from: status, number, link, sum, user …';
COMMENT ON COLUMN crm_change.wanted_at IS 'Since when';
COMMENT ON COLUMN crm_change.state IS 'wanted, unknown (sent, no answer yet or none), sent (answered with success), held (a version received shows it), refused (by SalesDrive), or dropped (the order was changed there meanwhile: decided anew)';
COMMENT ON COLUMN crm_change.before IS 'What SalesDrive held when that was decided';
COMMENT ON COLUMN crm_change.before_version IS 'Order version known then';
COMMENT ON COLUMN crm_change.sent IS 'Last value sent';
COMMENT ON COLUMN crm_change.sent_at IS 'When';
COMMENT ON COLUMN crm_change.sent_version IS 'Order version SalesDrive had when it was sent, as far as known; NULL once a version received shows it';
COMMENT ON COLUMN crm_change.confirmed IS 'Last value answered with success that no version received shows yet';
COMMENT ON COLUMN crm_change.unsure_until IS 'From when on its absence in SalesDrive counts, if no answer came';
COMMENT ON COLUMN crm_change.sends IS 'How often the value wanted was sent since it was seen last: after the fifth time it is parked';
COMMENT ON COLUMN crm_change.alone IS 'Sent without other fields: SalesDrive refused them together';
COMMENT ON COLUMN crm_change.doubted IS 'To be read back: a version received does not show what was answered with success, this database was adopted, or it is a comment about to be written';
COMMENT ON COLUMN crm_change.read_at IS 'Of a comment: when SalesDrive was read for it, before it is written';
COMMENT ON COLUMN crm_change.detail IS 'Why it is refused, unknown or dropped';

CREATE TYPE crm_wish AS (
    account  text,
    order_id bigint,
    field    text,
    wanted   text,
    cause    text
);
COMMENT ON TYPE crm_wish IS 'A value that a field of an order in SalesDrive is to hold';
COMMENT ON COLUMN crm_wish.account IS 'Account';
COMMENT ON COLUMN crm_wish.order_id IS 'Order number';
COMMENT ON COLUMN crm_wish.field IS 'Technical name of the field, or note';
COMMENT ON COLUMN crm_wish.wanted IS 'What it is to hold';
COMMENT ON COLUMN crm_wish.cause IS 'What it comes from';

CREATE TYPE crm_verdict AS (
    account  text,
    order_id bigint,
    field    text,
    state    text,
    doubted  boolean,
    seen     boolean,
    holds    text,
    version  bigint,
    detail   text
);
COMMENT ON TYPE crm_verdict IS 'What a version received says of a row of crm_change';
COMMENT ON COLUMN crm_verdict.account IS 'Account';
COMMENT ON COLUMN crm_verdict.order_id IS 'Order number';
COMMENT ON COLUMN crm_verdict.field IS 'Field';
COMMENT ON COLUMN crm_verdict.state IS 'State it gets';
COMMENT ON COLUMN crm_verdict.doubted IS 'Whether it is to be read back';
COMMENT ON COLUMN crm_verdict.seen IS 'Whether what was sent is over: seen, or known not to be there';
COMMENT ON COLUMN crm_verdict.holds IS 'What SalesDrive holds';
COMMENT ON COLUMN crm_verdict.version IS 'Order version that says so';
COMMENT ON COLUMN crm_verdict.detail IS 'Why';
