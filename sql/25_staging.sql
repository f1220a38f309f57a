-- Purpose: what came in (as bytes), and the orders read from it.
-- Rights: written by the engine and accept_webhook(); readers read. inbox is insert-only.

CREATE SEQUENCE inbox_id_seq;
COMMENT ON SEQUENCE inbox_id_seq IS 'Numbers of deliveries';

CREATE TABLE inbox (
    id          bigint NOT NULL DEFAULT nextval('inbox_id_seq'),
    received_at timestamptz NOT NULL DEFAULT clock(),
    account     text NOT NULL,
    source      text NOT NULL DEFAULT 'webhook',
    address     text,
    body        bytea NOT NULL,
    problem     text
) PARTITION BY RANGE (received_at);
COMMENT ON TABLE inbox IS 'Every delivery as received; equal bodies of one account are kept once';
COMMENT ON COLUMN inbox.id IS 'Number of the delivery';
COMMENT ON COLUMN inbox.received_at IS 'When it was received';
COMMENT ON COLUMN inbox.account IS 'Account it is for';
COMMENT ON COLUMN inbox.source IS 'webhook, call (accept_webhook), poll or backfill (pages read by fetch_orders)';
COMMENT ON COLUMN inbox.address IS 'Address of the sender';
COMMENT ON COLUMN inbox.body IS 'The body, byte for byte';
COMMENT ON COLUMN inbox.problem IS 'Why the receiver refused it (not JSON); NULL for a body that went on to staging';

CREATE TABLE inbox_default PARTITION OF inbox DEFAULT;
COMMENT ON TABLE inbox_default IS 'Holds deliveries of a month that has no partition yet; stays empty';

CREATE TABLE inbox_pending (
    id            bigint PRIMARY KEY,
    received_at   timestamptz NOT NULL,
    put_off_until timestamptz,
    again         boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE inbox_pending IS 'Deliveries not read into staging yet';
COMMENT ON COLUMN inbox_pending.id IS 'Number of the delivery';
COMMENT ON COLUMN inbox_pending.received_at IS 'Its time: finds the partition';
COMMENT ON COLUMN inbox_pending.put_off_until IS 'Not read before: another session held rows of its order';
COMMENT ON COLUMN inbox_pending.again IS 'It was read before, and rejected';
CREATE INDEX inbox_pending_put_off ON inbox_pending (put_off_until) WHERE put_off_until IS NOT NULL;
ALTER TABLE inbox_pending SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE inbox_digest (
    digest      bytea PRIMARY KEY,
    received_at timestamptz NOT NULL
);
COMMENT ON TABLE inbox_digest IS 'SHA-256 of account and body of every delivery kept: an equal one is recognised';
COMMENT ON COLUMN inbox_digest.digest IS 'SHA-256 of the account''s name, a zero byte and the body';
COMMENT ON COLUMN inbox_digest.received_at IS 'When the first of them was received';

CREATE TABLE inbox_reject (
    inbox_id    bigint PRIMARY KEY,
    received_at timestamptz NOT NULL,
    account     text NOT NULL,
    reason      text NOT NULL,
    detail      text,
    rejected_at timestamptz NOT NULL DEFAULT clock()
);
COMMENT ON TABLE inbox_reject IS 'Deliveries that could not be read as orders, with the reason; the bytes stay in inbox';
COMMENT ON COLUMN inbox_reject.inbox_id IS 'Number of the delivery';
COMMENT ON COLUMN inbox_reject.received_at IS 'When it was received';
COMMENT ON COLUMN inbox_reject.account IS 'Account it was for';
COMMENT ON COLUMN inbox_reject.reason IS 'not_json, not_order, other_type, other_account, or SQLSTATE of the error';
COMMENT ON COLUMN inbox_reject.detail IS 'Sentence';
COMMENT ON COLUMN inbox_reject.rejected_at IS 'When that was decided';

CREATE TABLE crm_order_version (
    account     text NOT NULL,
    order_id    bigint NOT NULL,
    version     bigint NOT NULL,
    hash        text NOT NULL,
    update_at   timestamp,
    shape       text NOT NULL,
    event       text,
    data        jsonb NOT NULL,
    inbox_id    bigint NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (account, order_id, version, hash)
);
COMMENT ON TABLE crm_order_version IS 'Every version of every order as received; the order is made anew from all of them, so their order of arrival does not matter';
COMMENT ON COLUMN crm_order_version.account IS 'Account';
COMMENT ON COLUMN crm_order_version.order_id IS 'Order number in SalesDrive';
COMMENT ON COLUMN crm_order_version.version IS 'Its version; 0 when the body has none, or none that can be read';
COMMENT ON COLUMN crm_order_version.hash IS 'MD5 of the data: tells bodies of one version apart';
COMMENT ON COLUMN crm_order_version.update_at IS 'updateAt as written: local time of the account';
COMMENT ON COLUMN crm_order_version.shape IS 'webhook or list';
COMMENT ON COLUMN crm_order_version.event IS 'new_order or status_change, from a webhook';
COMMENT ON COLUMN crm_order_version.data IS 'The order as received';
COMMENT ON COLUMN crm_order_version.inbox_id IS 'Delivery that brought it first';
COMMENT ON COLUMN crm_order_version.received_at IS 'When that was';

CREATE TABLE crm_order (
    account          text NOT NULL,
    order_id         bigint NOT NULL,
    version          bigint NOT NULL,
    update_at        timestamp,
    external_id      text,
    form_id          bigint,
    order_time       timestamp,
    status_id        text,
    type_id          text,
    user_id          text,
    organization_id  text,
    site_id          text,
    payment_method   text,
    shipping_method  text,
    payment_amount   numeric,
    payed_amount     numeric,
    rest_pay         numeric,
    discount_amount  numeric,
    shipping_costs   numeric,
    comment          text,
    shipping_address text,
    phone            text,
    phone_raw        text,
    customer_name    text,
    source           text,
    line_count       integer NOT NULL,
    refetch          boolean NOT NULL DEFAULT false,
    received_at      timestamptz NOT NULL,
    changed_at       timestamptz NOT NULL,
    PRIMARY KEY (account, order_id)
);
COMMENT ON TABLE crm_order IS 'Each order as it stands after all deliveries: newest version, present keys over absent ones';
COMMENT ON COLUMN crm_order.account IS 'Account';
COMMENT ON COLUMN crm_order.order_id IS 'Order number in SalesDrive';
COMMENT ON COLUMN crm_order.version IS 'Newest version seen';
COMMENT ON COLUMN crm_order.update_at IS 'updateAt of it, local time of the account';
COMMENT ON COLUMN crm_order.external_id IS 'Number in the shop or marketplace';
COMMENT ON COLUMN crm_order.form_id IS 'Order base of the account';
COMMENT ON COLUMN crm_order.order_time IS 'When it was ordered, local time of the account';
COMMENT ON COLUMN crm_order.status_id IS 'Status';
COMMENT ON COLUMN crm_order.type_id IS 'Type: 1 online, 2 phone, 3 manual, 4 imported, 5 chat';
COMMENT ON COLUMN crm_order.user_id IS 'Manager';
COMMENT ON COLUMN crm_order.organization_id IS 'Own legal entity';
COMMENT ON COLUMN crm_order.site_id IS 'Site';
COMMENT ON COLUMN crm_order.payment_method IS 'Payment method';
COMMENT ON COLUMN crm_order.shipping_method IS 'Delivery method';
COMMENT ON COLUMN crm_order.payment_amount IS 'What the customer pays for the goods, after discounts; the lines must add up to it';
COMMENT ON COLUMN crm_order.payed_amount IS 'Paid so far';
COMMENT ON COLUMN crm_order.rest_pay IS 'Left to pay';
COMMENT ON COLUMN crm_order.discount_amount IS 'Sum of the discounts';
COMMENT ON COLUMN crm_order.shipping_costs IS 'Delivery cost borne by the shop; no part of the order''s sum';
COMMENT ON COLUMN crm_order.comment IS 'Comment';
COMMENT ON COLUMN crm_order.shipping_address IS 'Delivery address';
COMMENT ON COLUMN crm_order.phone IS 'First usable phone of its contacts, international digits';
COMMENT ON COLUMN crm_order.phone_raw IS 'All phones as written';
COMMENT ON COLUMN crm_order.customer_name IS 'Name of the first contact';
COMMENT ON COLUMN crm_order.source IS 'Where the customer came from: utmSource, in older accounts prodex24source';
COMMENT ON COLUMN crm_order.line_count IS 'Number of lines';
COMMENT ON COLUMN crm_order.refetch IS 'Two deliveries of one version contradict each other: worth fetching again';
COMMENT ON COLUMN crm_order.received_at IS 'First delivery of the order';
COMMENT ON COLUMN crm_order.changed_at IS 'Delivery that changed it last';
CREATE INDEX crm_order_phone ON crm_order (phone);

CREATE TABLE crm_order_line (
    account     text NOT NULL,
    order_id    bigint NOT NULL,
    line_no     integer NOT NULL,
    product_id  text,
    parameter   text,
    sku         text,
    name        text,
    amount      numeric,
    price       numeric,
    discount    numeric,
    is_percent  boolean NOT NULL,
    description text,
    stock_id    text,
    is_upsell   boolean NOT NULL,
    is_kit      boolean NOT NULL,
    kit         jsonb,
    PRIMARY KEY (account, order_id, line_no)
);
COMMENT ON TABLE crm_order_line IS 'Lines of the orders';
COMMENT ON COLUMN crm_order_line.account IS 'Account';
COMMENT ON COLUMN crm_order_line.order_id IS 'Order number';
COMMENT ON COLUMN crm_order_line.line_no IS 'Position from 1';
COMMENT ON COLUMN crm_order_line.product_id IS 'Product card in SalesDrive';
COMMENT ON COLUMN crm_order_line.parameter IS 'External id of the product';
COMMENT ON COLUMN crm_order_line.sku IS 'SKU, compared with the article in BAS';
COMMENT ON COLUMN crm_order_line.name IS 'Name';
COMMENT ON COLUMN crm_order_line.amount IS 'Quantity; NULL when it is no number';
COMMENT ON COLUMN crm_order_line.price IS 'Price of a unit before discount; NULL when it is no number';
COMMENT ON COLUMN crm_order_line.discount IS 'Discount: percent or money; NULL when it is no number';
COMMENT ON COLUMN crm_order_line.is_percent IS 'Whether the discount is a percentage';
COMMENT ON COLUMN crm_order_line.description IS 'Note of the line';
COMMENT ON COLUMN crm_order_line.stock_id IS 'Warehouse in SalesDrive';
COMMENT ON COLUMN crm_order_line.is_upsell IS 'Sold in addition (upsell, formerly preSale)';
COMMENT ON COLUMN crm_order_line.is_kit IS 'Whether the line is a kit';
COMMENT ON COLUMN crm_order_line.kit IS 'Parts of the kit as received';

CREATE TABLE crm_order_contact (
    account    text NOT NULL,
    order_id   bigint NOT NULL,
    contact_no integer NOT NULL,
    contact_id text,
    last_name  text,
    first_name text,
    middle_name text,
    company    text,
    phone      text,
    phone_raw  text,
    email      text,
    comment    text,
    PRIMARY KEY (account, order_id, contact_no)
);
COMMENT ON TABLE crm_order_contact IS 'Contacts of the orders; the first is the primary one';
COMMENT ON COLUMN crm_order_contact.account IS 'Account';
COMMENT ON COLUMN crm_order_contact.order_id IS 'Order number';
COMMENT ON COLUMN crm_order_contact.contact_no IS 'Position from 1';
COMMENT ON COLUMN crm_order_contact.contact_id IS 'Contact in SalesDrive';
COMMENT ON COLUMN crm_order_contact.last_name IS 'Last name as written';
COMMENT ON COLUMN crm_order_contact.first_name IS 'First name as written';
COMMENT ON COLUMN crm_order_contact.middle_name IS 'Middle name as written';
COMMENT ON COLUMN crm_order_contact.company IS 'Company';
COMMENT ON COLUMN crm_order_contact.phone IS 'First usable phone, international digits';
COMMENT ON COLUMN crm_order_contact.phone_raw IS 'Phones as written, comma between';
COMMENT ON COLUMN crm_order_contact.email IS 'First e-mail address';
COMMENT ON COLUMN crm_order_contact.comment IS 'Comment on the contact';
