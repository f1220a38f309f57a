-- Purpose: what is known of BAS: products, counterparties, documents.
-- Rights: written by the engine; 'operator' may pin counterparties; readers read.

CREATE TABLE bas_product (
    infobase   text NOT NULL,
    sku        text NOT NULL,
    state      text NOT NULL CHECK (state IN ('found', 'absent', 'several')),
    ref_key    uuid,
    name       text,
    unit       uuid,
    vat_rate   text,
    is_stock   boolean,
    uses_characteristics boolean,
    candidates jsonb,
    pinned     uuid,
    checked_at timestamptz NOT NULL,
    PRIMARY KEY (infobase, sku)
);
COMMENT ON TABLE bas_product IS 'What the search by article gave for each SKU; also what a pinned product is';
COMMENT ON COLUMN bas_product.infobase IS 'Infobase';
COMMENT ON COLUMN bas_product.sku IS 'SKU';
COMMENT ON COLUMN bas_product.state IS 'found (exactly one), absent, or several';
COMMENT ON COLUMN bas_product.ref_key IS 'Ref_Key of the product found';
COMMENT ON COLUMN bas_product.name IS 'Its name';
COMMENT ON COLUMN bas_product.unit IS 'Its unit';
COMMENT ON COLUMN bas_product.vat_rate IS 'Its VAT rate: Ref_Key, or value of an enumeration';
COMMENT ON COLUMN bas_product.is_stock IS 'Whether it is goods (and not a service)';
COMMENT ON COLUMN bas_product.uses_characteristics IS 'Whether it is kept by characteristics; NULL: not asked, for no account needs to know';
COMMENT ON COLUMN bas_product.candidates IS 'Elements found that do not count (marked for deletion, folders), or all of several';
COMMENT ON COLUMN bas_product.pinned IS 'Ref_Key it was asked for by, that of product_pin at that time; NULL: by the article. Where the pin says otherwise by now, the base is asked anew';
COMMENT ON COLUMN bas_product.checked_at IS 'When the base was asked last';

CREATE TABLE bas_counterparty (
    infobase    text NOT NULL,
    ref_key     uuid NOT NULL,
    name        text,
    created_by_us boolean NOT NULL DEFAULT false,
    read_at     timestamptz NOT NULL,
    code        text,
    partner     uuid,
    contract    uuid,
    alive       boolean,
    PRIMARY KEY (infobase, ref_key)
);
COMMENT ON TABLE bas_counterparty IS 'Counterparties, and partners, met or created';
COMMENT ON COLUMN bas_counterparty.infobase IS 'Infobase';
COMMENT ON COLUMN bas_counterparty.ref_key IS 'Ref_Key';
COMMENT ON COLUMN bas_counterparty.name IS 'Name';
COMMENT ON COLUMN bas_counterparty.created_by_us IS 'Whether this extension created it';
COMMENT ON COLUMN bas_counterparty.read_at IS 'When it was read last';
COMMENT ON COLUMN bas_counterparty.code IS 'Code';
COMMENT ON COLUMN bas_counterparty.partner IS 'Its partner, where the profile has partners';
COMMENT ON COLUMN bas_counterparty.contract IS 'Its main contract, where the profile names it';
COMMENT ON COLUMN bas_counterparty.alive IS 'Whether it was there then, no folder and not marked for deletion; NULL: created and not read since';

CREATE TABLE bas_counterparty_phone (
    infobase     text NOT NULL,
    phone        text NOT NULL,
    entity       text NOT NULL DEFAULT 'counterparty' CHECK (entity IN ('counterparty', 'partner')),
    state        text NOT NULL DEFAULT 'unknown' CHECK (state IN ('unknown', 'absent', 'known', 'several')),
    ref_key      uuid,
    our_ref_key  uuid,
    candidates   uuid[],
    alive        uuid[],
    partner      uuid,
    contract     uuid,
    write_unsure boolean NOT NULL DEFAULT false,
    unsure_until timestamptz,
    asked_early  boolean NOT NULL DEFAULT false,
    checked_at   timestamptz,
    PRIMARY KEY (infobase, phone, entity),
    CHECK ((state = 'known') = (ref_key IS NOT NULL))
);
COMMENT ON TABLE bas_counterparty_phone IS 'Which counterparty a phone means; set ref_key and state known to decide between several';
COMMENT ON COLUMN bas_counterparty_phone.infobase IS 'Infobase';
COMMENT ON COLUMN bas_counterparty_phone.phone IS 'Phone, international digits';
COMMENT ON COLUMN bas_counterparty_phone.entity IS 'counterparty; where the profile has partners, also partner';
COMMENT ON COLUMN bas_counterparty_phone.state IS 'unknown (to be asked), absent (to be created), known, or several';
COMMENT ON COLUMN bas_counterparty_phone.ref_key IS 'Counterparty the phone means';
COMMENT ON COLUMN bas_counterparty_phone.our_ref_key IS 'Key under which it is created: computed once';
COMMENT ON COLUMN bas_counterparty_phone.candidates IS 'Counterparties the last search hit';
COMMENT ON COLUMN bas_counterparty_phone.alive IS 'Those of them that were read and are neither folders nor marked for deletion';
COMMENT ON COLUMN bas_counterparty_phone.partner IS 'Partner of the counterparty, where the profile has partners; 0: it has none';
COMMENT ON COLUMN bas_counterparty_phone.contract IS 'Main contract of the counterparty, where the profile names it';
COMMENT ON COLUMN bas_counterparty_phone.write_unsure IS 'A creation was sent and its outcome is not known';
COMMENT ON COLUMN bas_counterparty_phone.unsure_until IS 'From when on absence in BAS counts after such a creation';
COMMENT ON COLUMN bas_counterparty_phone.asked_early IS 'BAS was asked since and did not show it yet: asked again after unsure_until';
COMMENT ON COLUMN bas_counterparty_phone.checked_at IS 'When the base was asked last';
COMMENT ON CONSTRAINT bas_counterparty_phone_check ON bas_counterparty_phone IS 'A phone is known when, and only when, it names a counterparty';

CREATE TABLE bas_order (
    infobase     text NOT NULL,
    ref_key      uuid NOT NULL,
    account      text NOT NULL,
    order_id     bigint NOT NULL,
    number       text,
    posted       boolean,
    deleted      boolean,
    data_version text,
    sent_body    jsonb,
    accepted_body jsonb,
    sent_version bigint,
    sent_at      timestamptz,
    written_body jsonb,
    read_body    jsonb,
    read_at      timestamptz,
    lineage      jsonb NOT NULL DEFAULT '{}',
    differences  jsonb,
    PRIMARY KEY (infobase, ref_key)
);
COMMENT ON TABLE bas_order IS 'Each document made for an order: last sent, last read, and where every property came from';
COMMENT ON COLUMN bas_order.infobase IS 'Infobase';
COMMENT ON COLUMN bas_order.ref_key IS 'Ref_Key of the document';
COMMENT ON COLUMN bas_order.account IS 'Account of the order';
COMMENT ON COLUMN bas_order.order_id IS 'Order number';
COMMENT ON COLUMN bas_order.number IS 'Number BAS gave it';
COMMENT ON COLUMN bas_order.posted IS 'Whether it was posted when read last';
COMMENT ON COLUMN bas_order.deleted IS 'Whether it was marked for deletion when read last';
COMMENT ON COLUMN bas_order.data_version IS 'DataVersion when read last';
COMMENT ON COLUMN bas_order.sent_body IS 'Last values sent, property by property';
COMMENT ON COLUMN bas_order.accepted_body IS 'Last values BAS is known to have taken, where that is not sent_body; NULL: the same as sent_body';
COMMENT ON COLUMN bas_order.sent_version IS 'Order version they came from';
COMMENT ON COLUMN bas_order.sent_at IS 'When';
COMMENT ON COLUMN bas_order.written_body IS 'What BAS held of each property right after we wrote it last: a later difference was made in BAS';
COMMENT ON COLUMN bas_order.read_body IS 'The document as BAS answered it last';
COMMENT ON COLUMN bas_order.read_at IS 'When';
COMMENT ON COLUMN bas_order.lineage IS 'For each property: order version and rule that gave it';
COMMENT ON COLUMN bas_order.differences IS 'Where the answer to our last write differs from what was sent: {property: {sent, kept}}';
CREATE INDEX bas_order_order ON bas_order (account, order_id);

-- Kept for every document met, for one that is not known as an order's yet may become so.
CREATE TABLE bas_state (
    infobase text NOT NULL,
    ref_key  uuid NOT NULL,
    state    text NOT NULL,
    at       timestamp,
    read_at  timestamptz NOT NULL,
    PRIMARY KEY (infobase, ref_key)
);
COMMENT ON TABLE bas_state IS 'State of documents of orders, where a register of the base tells it';
COMMENT ON COLUMN bas_state.infobase IS 'Infobase';
COMMENT ON COLUMN bas_state.ref_key IS 'Ref_Key of the document';
COMMENT ON COLUMN bas_state.state IS 'Its state: Ref_Key, or value of an enumeration; "" for none';
COMMENT ON COLUMN bas_state.at IS 'Since when, by the clock of the base; NULL: the register does not tell';
COMMENT ON COLUMN bas_state.read_at IS 'When it was read';
