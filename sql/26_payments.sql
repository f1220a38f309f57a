-- Purpose: payments and receipts as received from SalesDrive, payment documents as known of BAS, how far each is on its way, and which money goes where.
-- Rights: written by the engine; 'operator' edits payment_rule; readers read.

CREATE TABLE crm_payment (
    account        text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    payment_id     bigint NOT NULL,
    paid_at        timestamp,
    sum            numeric,
    type           text,
    direction      text CHECK (direction IN ('in', 'out')),
    organization_id text,
    organization   text,
    account_number text,
    purpose        text,
    comment        text,
    contact_name   text,
    counterparty_name text,
    counterparty_code text,
    created_at     timestamp,
    updated_at     timestamp,
    essence        jsonb NOT NULL,
    data           jsonb NOT NULL,
    received_at    timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL,
    seen_at        timestamptz NOT NULL,
    misses         integer NOT NULL DEFAULT 0,
    gone_at        timestamptz,
    PRIMARY KEY (account, payment_id)
);
CREATE INDEX crm_payment_paid_at ON crm_payment (account, paid_at);
COMMENT ON TABLE crm_payment IS 'Payments of SalesDrive as its API lists them';
COMMENT ON COLUMN crm_payment.account IS 'Account';
COMMENT ON COLUMN crm_payment.payment_id IS 'Number of the payment in SalesDrive';
COMMENT ON COLUMN crm_payment.paid_at IS 'Its date, local time of the account';
COMMENT ON COLUMN crm_payment.sum IS 'Its sum as written; NULL when it is no number';
COMMENT ON COLUMN crm_payment.type IS 'Its type as written: incoming, outcoming';
COMMENT ON COLUMN crm_payment.direction IS 'in (the customer pays) or out (money goes back), by type and sign; NULL when the type is unknown';
COMMENT ON COLUMN crm_payment.organization_id IS 'Own legal entity; NULL when the payment names none';
COMMENT ON COLUMN crm_payment.organization IS 'Its name';
COMMENT ON COLUMN crm_payment.account_number IS 'Number of the account that was paid to; NULL when the payment names none, as cash does';
COMMENT ON COLUMN crm_payment.purpose IS 'Purpose of the payment';
COMMENT ON COLUMN crm_payment.comment IS 'Comment';
COMMENT ON COLUMN crm_payment.contact_name IS 'Name of the contact it is attached to';
COMMENT ON COLUMN crm_payment.counterparty_name IS 'Who paid, as the bank says';
COMMENT ON COLUMN crm_payment.counterparty_code IS 'Code of that';
COMMENT ON COLUMN crm_payment.created_at IS 'When it was entered, local time of the account';
COMMENT ON COLUMN crm_payment.updated_at IS 'When it was changed last, local time of the account';
COMMENT ON COLUMN crm_payment.essence IS 'What its document depends on: date, sum, direction, account, organisation, orders';
COMMENT ON COLUMN crm_payment.data IS 'The payment as received last';
COMMENT ON COLUMN crm_payment.received_at IS 'When it was received first';
COMMENT ON COLUMN crm_payment.changed_at IS 'When essence changed last';
COMMENT ON COLUMN crm_payment.seen_at IS 'When it was listed last';
COMMENT ON COLUMN crm_payment.misses IS 'Complete windows in a row that should have shown it and did not';
COMMENT ON COLUMN crm_payment.gone_at IS 'Set when two did not: it is not in SalesDrive any more';

CREATE TABLE crm_payment_part (
    account    text NOT NULL,
    payment_id bigint NOT NULL,
    part_no    integer NOT NULL,
    order_id   bigint,
    sum        numeric,
    invoice    text,
    form_id    bigint,
    PRIMARY KEY (account, payment_id, part_no),
    FOREIGN KEY (account, payment_id) REFERENCES crm_payment (account, payment_id) ON DELETE CASCADE
);
COMMENT ON TABLE crm_payment_part IS 'What each payment pays: the orders it is attached to';
COMMENT ON COLUMN crm_payment_part.account IS 'Account';
COMMENT ON COLUMN crm_payment_part.payment_id IS 'Payment';
COMMENT ON COLUMN crm_payment_part.part_no IS 'Position from 1';
COMMENT ON COLUMN crm_payment_part.order_id IS 'Order; NULL: an invoice without one';
COMMENT ON COLUMN crm_payment_part.sum IS 'Share of the payment';
COMMENT ON COLUMN crm_payment_part.invoice IS 'Number of the invoice';
COMMENT ON COLUMN crm_payment_part.form_id IS 'Order base of the order; NULL: not said';
CREATE INDEX crm_payment_part_order ON crm_payment_part (account, order_id);

CREATE TABLE crm_receipt (
    account      text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    receipt_id   bigint NOT NULL,
    order_id     bigint,
    issued_at    timestamp,
    total        numeric,
    discount     numeric,
    type         text,
    fiscal_code  text,
    state        text,
    is_return    boolean NOT NULL,
    cash_register text,
    cashier      text,
    organization text,
    updated_at   timestamp,
    data         jsonb NOT NULL,
    received_at  timestamptz NOT NULL,
    seen_at      timestamptz NOT NULL,
    PRIMARY KEY (account, receipt_id)
);
COMMENT ON TABLE crm_receipt IS 'Fiscal receipts as the API of SalesDrive lists them';
COMMENT ON COLUMN crm_receipt.account IS 'Account';
COMMENT ON COLUMN crm_receipt.receipt_id IS 'Number of the receipt in SalesDrive';
COMMENT ON COLUMN crm_receipt.order_id IS 'Order it was issued for; NULL: none';
COMMENT ON COLUMN crm_receipt.issued_at IS 'When, local time of the account';
COMMENT ON COLUMN crm_receipt.total IS 'Its sum';
COMMENT ON COLUMN crm_receipt.discount IS 'Discount on the whole receipt';
COMMENT ON COLUMN crm_receipt.type IS 'Type as written';
COMMENT ON COLUMN crm_receipt.fiscal_code IS 'Fiscal number';
COMMENT ON COLUMN crm_receipt.state IS 'State of fiscalisation: done …';
COMMENT ON COLUMN crm_receipt.is_return IS 'Whether it returns another receipt';
COMMENT ON COLUMN crm_receipt.cash_register IS 'Cash register';
COMMENT ON COLUMN crm_receipt.cashier IS 'Cashier';
COMMENT ON COLUMN crm_receipt.organization IS 'Own legal entity';
COMMENT ON COLUMN crm_receipt.updated_at IS 'When it was changed last, local time of the account';
COMMENT ON COLUMN crm_receipt.data IS 'The receipt as received last';
COMMENT ON COLUMN crm_receipt.received_at IS 'When it was received first';
COMMENT ON COLUMN crm_receipt.seen_at IS 'When it was listed last';
CREATE INDEX crm_receipt_order ON crm_receipt (account, order_id);

CREATE TABLE payment_rule (
    account        text NOT NULL CHECK (account <> ''),
    account_number text NOT NULL DEFAULT '*' CHECK (account_number <> ''),
    organization   text NOT NULL DEFAULT '*' CHECK (organization <> ''),
    form           text NOT NULL DEFAULT 'bank' CHECK (form IN ('bank', 'cash')),
    bas_key        text CHECK (bas_key <> ''),
    direction      text NOT NULL DEFAULT 'both' CHECK (direction IN ('to_bas', 'both')),
    note           text,
    changed_at     timestamptz NOT NULL DEFAULT clock(),
    PRIMARY KEY (account, account_number, organization)
);
COMMENT ON TABLE payment_rule IS 'Which money of SalesDrive is which bank account or cash desk of BAS, in both directions';
COMMENT ON COLUMN payment_rule.account IS 'Account; * for every account';
COMMENT ON COLUMN payment_rule.account_number IS 'Number of the account in SalesDrive; none: payments that name none; *: any';
COMMENT ON COLUMN payment_rule.organization IS 'Id of the own legal entity in SalesDrive; none: payments that name none; *: any';
COMMENT ON COLUMN payment_rule.form IS 'bank or cash: which document it becomes';
COMMENT ON COLUMN payment_rule.bas_key IS 'Ref_Key, code or name of the bank account or cash desk of BAS; NULL leaves it empty';
COMMENT ON COLUMN payment_rule.direction IS 'both, or to_bas: a payment made in BAS is told by another row of the same bank account or cash desk';
COMMENT ON COLUMN payment_rule.note IS 'Anything worth remembering';
COMMENT ON COLUMN payment_rule.changed_at IS 'When it was set last';

CREATE TABLE payment_sync (
    account      text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    payment_id   bigint NOT NULL,
    infobase     text NOT NULL,
    ref_key      uuid NOT NULL,
    entity       text,
    bas_ref      uuid,
    number       text,
    posted       boolean NOT NULL DEFAULT false,
    posted_once  boolean NOT NULL DEFAULT false,
    essence      jsonb,
    sent_body    jsonb,
    sent_at      timestamptz,
    read_body    jsonb,
    differences  jsonb,
    write_unsure boolean NOT NULL DEFAULT false,
    unsure_until timestamptz,
    asked_early  boolean NOT NULL DEFAULT false,
    must_read    boolean NOT NULL DEFAULT false,
    skipped_at   timestamptz,
    skip_reason  text,
    requests     integer NOT NULL DEFAULT 0,
    not_wanted   text,
    PRIMARY KEY (account, payment_id)
);
COMMENT ON TABLE payment_sync IS 'How far each payment of SalesDrive is on its way into BAS';
COMMENT ON COLUMN payment_sync.account IS 'Account';
COMMENT ON COLUMN payment_sync.payment_id IS 'Payment';
COMMENT ON COLUMN payment_sync.infobase IS 'Infobase its document is in';
COMMENT ON COLUMN payment_sync.ref_key IS 'Key under which the document is created: computed once, before the first attempt';
COMMENT ON COLUMN payment_sync.entity IS 'Concept of the document that was sent: payment_bank, payment_cash, refund_bank or refund_cash';
COMMENT ON COLUMN payment_sync.bas_ref IS 'Ref_Key of the document, once it is known to exist';
COMMENT ON COLUMN payment_sync.number IS 'Number of the document';
COMMENT ON COLUMN payment_sync.posted IS 'Whether it was posted when read last';
COMMENT ON COLUMN payment_sync.posted_once IS 'It was posted once, or accept_payment() took it for right: whoever unposts it then has a reason, and it is not posted again';
COMMENT ON COLUMN payment_sync.essence IS 'crm_payment.essence the document was made from, or that accept_payment() took for right';
COMMENT ON COLUMN payment_sync.sent_body IS 'The document as sent';
COMMENT ON COLUMN payment_sync.sent_at IS 'When';
COMMENT ON COLUMN payment_sync.read_body IS 'The document as BAS answered it last';
COMMENT ON COLUMN payment_sync.differences IS 'Where that differs from what was sent: {property: {sent, kept}}';
COMMENT ON COLUMN payment_sync.write_unsure IS 'A creation was sent and its outcome is not known: read back before the next';
COMMENT ON COLUMN payment_sync.unsure_until IS 'From when on absence in BAS counts after such a creation';
COMMENT ON COLUMN payment_sync.asked_early IS 'BAS was asked since and did not show it yet: asked again after unsure_until';
COMMENT ON COLUMN payment_sync.must_read IS 'Read back before the first write: set by adopt()';
COMMENT ON COLUMN payment_sync.skipped_at IS 'Taken out of the exchange by skip_payment()';
COMMENT ON COLUMN payment_sync.skip_reason IS 'Why';
COMMENT ON COLUMN payment_sync.requests IS 'Requests spent on it';
COMMENT ON COLUMN payment_sync.not_wanted IS 'Why no document is made, while there is no task: off, earlier (than payments_since), unattached, other_base, from_bas, gone or skipped';
CREATE INDEX payment_sync_other_base ON payment_sync (account) WHERE not_wanted = 'other_base';
CREATE INDEX payment_sync_ref ON payment_sync (infobase, bas_ref);
CREATE INDEX payment_sync_key ON payment_sync (ref_key);

CREATE TABLE bas_payment (
    infobase     text NOT NULL,
    ref_key      uuid NOT NULL,
    account      text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    order_id     bigint NOT NULL,
    entity       text NOT NULL,
    number       text,
    paid_at      timestamp,
    sum          numeric,
    direction    text NOT NULL CHECK (direction IN ('in', 'out')),
    posted       boolean NOT NULL,
    deleted      boolean NOT NULL,
    data_version text,
    place        uuid,
    other_currency boolean NOT NULL DEFAULT false,
    purpose      text,
    ours         boolean NOT NULL,
    read_at      timestamptz NOT NULL,
    unique_id    text,
    state        text NOT NULL DEFAULT 'seen' CHECK (state IN ('seen', 'unknown', 'sent', 'refused', 'skipped')),
    payment_id   bigint,
    sent_body    jsonb,
    sent_at      timestamptz,
    sent_sum     numeric,
    sends        integer NOT NULL DEFAULT 0,
    unsure_until timestamptz,
    look_page    integer,
    must_look    boolean NOT NULL DEFAULT false,
    detail       text,
    PRIMARY KEY (infobase, ref_key, account, order_id)
);
COMMENT ON TABLE bas_payment IS 'Payment documents of BAS that pay orders, a row for each of their orders, and how far each is on its way to SalesDrive';
COMMENT ON COLUMN bas_payment.infobase IS 'Infobase';
COMMENT ON COLUMN bas_payment.ref_key IS 'Ref_Key of the document';
COMMENT ON COLUMN bas_payment.account IS 'Account of the order';
COMMENT ON COLUMN bas_payment.order_id IS 'Order it pays';
COMMENT ON COLUMN bas_payment.entity IS 'Concept of the document: payment_bank, payment_cash, refund_bank or refund_cash';
COMMENT ON COLUMN bas_payment.number IS 'Its number';
COMMENT ON COLUMN bas_payment.paid_at IS 'Its date, by the clock of the base';
COMMENT ON COLUMN bas_payment.sum IS 'What it pays of the order';
COMMENT ON COLUMN bas_payment.direction IS 'in (the customer pays) or out (money goes back)';
COMMENT ON COLUMN bas_payment.posted IS 'Whether it was posted when read last';
COMMENT ON COLUMN bas_payment.deleted IS 'Whether it was marked for deletion then, or pays the order no more';
COMMENT ON COLUMN bas_payment.data_version IS 'DataVersion when read last';
COMMENT ON COLUMN bas_payment.place IS 'Its bank account or cash desk';
COMMENT ON COLUMN bas_payment.other_currency IS 'Whether its currency is another than that of the order''s document: its sum is no sum of the order';
COMMENT ON COLUMN bas_payment.purpose IS 'Purpose of the payment, or comment';
COMMENT ON COLUMN bas_payment.ours IS 'Made here for a payment of SalesDrive (payment_id): never sent back';
COMMENT ON COLUMN bas_payment.read_at IS 'When it was read last';
COMMENT ON COLUMN bas_payment.unique_id IS 'uniqueId it is registered in SalesDrive with: computed once';
COMMENT ON COLUMN bas_payment.state IS 'seen (not sent), unknown (sent, no answer yet or none), sent (SalesDrive has it as payment_id), refused (by SalesDrive), skipped (by skip_payment())';
COMMENT ON COLUMN bas_payment.payment_id IS 'The payment in SalesDrive: the one it became, or was made for';
COMMENT ON COLUMN bas_payment.sent_body IS 'What was sent last';
COMMENT ON COLUMN bas_payment.sent_at IS 'When';
COMMENT ON COLUMN bas_payment.sent_sum IS 'Sum that SalesDrive has of it';
COMMENT ON COLUMN bas_payment.sends IS 'How often it was sent';
COMMENT ON COLUMN bas_payment.unsure_until IS 'When a request without an answer can no more be at work';
COMMENT ON COLUMN bas_payment.look_page IS 'Page of payment/list to be looked at next; NULL: the first';
COMMENT ON COLUMN bas_payment.must_look IS 'Looked for in SalesDrive before it is sent first: this database was adopted';
COMMENT ON COLUMN bas_payment.detail IS 'Why it is not sent, refused, skipped or unknown';
CREATE INDEX bas_payment_order ON bas_payment (account, order_id);
CREATE INDEX bas_payment_doubtful ON bas_payment (account) WHERE sends > 0 AND state NOT IN ('sent', 'skipped');
CREATE INDEX bas_payment_payment ON bas_payment (account, payment_id);

CREATE TABLE payment_poll (
    infobase   text PRIMARY KEY REFERENCES infobase (name) ON DELETE CASCADE,
    days       integer NOT NULL DEFAULT 7 CHECK (days BETWEEN 1 AND 3650),
    daily_days integer NOT NULL DEFAULT 45 CHECK (daily_days BETWEEN 0 AND 3650),
    reach      integer NOT NULL DEFAULT 0,
    entity     text,
    page_from  timestamp,
    page_size  integer NOT NULL DEFAULT 200,
    documents  bigint NOT NULL DEFAULT 0,
    requests   bigint NOT NULL DEFAULT 0,
    started_at timestamptz,
    done_at    timestamptz,
    daily_at   timestamptz
);
COMMENT ON TABLE payment_poll IS 'How far the payment documents of each infobase were read';
COMMENT ON COLUMN payment_poll.infobase IS 'Infobase';
COMMENT ON COLUMN payment_poll.days IS 'Documents of so many days are read each time: what is entered, posted or changed with an earlier date waits for the reading of daily_days';
COMMENT ON COLUMN payment_poll.daily_days IS 'Documents of so many days are read once a day, for what is entered, posted or changed late; 0: never';
COMMENT ON COLUMN payment_poll.reach IS 'Days of the reading at work, or of the last one';
COMMENT ON COLUMN payment_poll.entity IS 'Concept of the documents being read; NULL: none are';
COMMENT ON COLUMN payment_poll.page_from IS 'Date at which the next page begins';
COMMENT ON COLUMN payment_poll.page_size IS 'Documents of one page';
COMMENT ON COLUMN payment_poll.documents IS 'Documents received of this reading, or the last one';
COMMENT ON COLUMN payment_poll.requests IS 'Pages received of it';
COMMENT ON COLUMN payment_poll.started_at IS 'When it began';
COMMENT ON COLUMN payment_poll.done_at IS 'When one was complete last';
COMMENT ON COLUMN payment_poll.daily_at IS 'When the last one began that was of daily_days, and complete';
