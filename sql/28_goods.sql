-- Purpose: goods of a base as they were read last: catalog, characteristics, kits, stock, prices, cost, and how far each reading is.
-- Rights: written by the engine; readers read.
--
-- Each table holds, for an infobase, one whole reading (of prices: one for each price type), put in the place of the one before in the transaction
-- that completes it. What is under way is in goods_page, and counts nowhere else.

CREATE FUNCTION no_key() RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '00000000-0000-0000-0000-000000000000'::uuid;
COMMENT ON FUNCTION no_key() IS 'The key that stands for none in BAS';

CREATE TABLE bas_good (
    infobase  text NOT NULL,
    ref_key   uuid NOT NULL,
    sku       text,
    code      text,
    name      text,
    full_name text,
    folder    uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    is_folder boolean NOT NULL DEFAULT false,
    deleted   boolean NOT NULL DEFAULT false,
    kind      text,
    is_stock  boolean,
    unit      uuid,
    vat_rate  text,
    uses_characteristics boolean,
    data      jsonb NOT NULL,
    changed   timestamp,
    read_at   timestamptz NOT NULL,
    PRIMARY KEY (infobase, ref_key)
);
COMMENT ON TABLE bas_good IS 'Goods, services and folders of the catalog of a base, those marked for deletion too';
COMMENT ON COLUMN bas_good.infobase IS 'Infobase';
COMMENT ON COLUMN bas_good.ref_key IS 'Ref_Key';
COMMENT ON COLUMN bas_good.sku IS 'Article, without spaces at its end; NULL: it has none. Not unique';
COMMENT ON COLUMN bas_good.code IS 'Code';
COMMENT ON COLUMN bas_good.name IS 'Name';
COMMENT ON COLUMN bas_good.full_name IS 'Full name; NULL: it has none';
COMMENT ON COLUMN bas_good.folder IS 'Folder it is in; 0: none';
COMMENT ON COLUMN bas_good.is_folder IS 'Whether it is a folder itself';
COMMENT ON COLUMN bas_good.deleted IS 'Whether it is marked for deletion';
COMMENT ON COLUMN bas_good.kind IS 'What the base says of its kind, for example Запас';
COMMENT ON COLUMN bas_good.is_stock IS 'Whether that is goods (and not a service); NULL: the profile does not tell';
COMMENT ON COLUMN bas_good.unit IS 'Its unit; NULL: none, or the profile does not name it';
COMMENT ON COLUMN bas_good.vat_rate IS 'Its VAT rate: Ref_Key, or value of an enumeration';
COMMENT ON COLUMN bas_good.uses_characteristics IS 'Whether it is kept by characteristics; NULL: the profile does not tell';
COMMENT ON COLUMN bas_good.data IS 'The row as read: properties of the profile, those a user added to entity product too';
COMMENT ON COLUMN bas_good.changed IS 'When it was changed last, by the clock of the base; NULL: the configuration does not tell';
COMMENT ON COLUMN bas_good.read_at IS 'When it was read so first: a reading that says the same again is told by goods_snapshot';
CREATE INDEX bas_good_sku ON bas_good (infobase, sku);
CREATE INDEX bas_good_folder ON bas_good (infobase, folder) WHERE is_folder;
CREATE INDEX bas_good_code ON bas_good (infobase, code COLLATE "C");

CREATE TABLE bas_characteristic (
    infobase text NOT NULL,
    ref_key  uuid NOT NULL,
    product  uuid,
    name     text,
    deleted  boolean NOT NULL DEFAULT false,
    read_at  timestamptz NOT NULL,
    PRIMARY KEY (infobase, ref_key)
);
COMMENT ON TABLE bas_characteristic IS 'Characteristics of goods (size, colour)';
COMMENT ON COLUMN bas_characteristic.infobase IS 'Infobase';
COMMENT ON COLUMN bas_characteristic.ref_key IS 'Ref_Key';
COMMENT ON COLUMN bas_characteristic.product IS 'Product it belongs to; NULL: shared by all goods of a kind or category';
COMMENT ON COLUMN bas_characteristic.name IS 'Name';
COMMENT ON COLUMN bas_characteristic.deleted IS 'Whether it is marked for deletion';
COMMENT ON COLUMN bas_characteristic.read_at IS 'When it was read';
CREATE INDEX bas_characteristic_product ON bas_characteristic (infobase, product);

CREATE TABLE bas_kit_part (
    infobase       text NOT NULL,
    kit            uuid NOT NULL,
    line_no        integer NOT NULL,
    product        uuid NOT NULL,
    characteristic uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    quantity       numeric NOT NULL,
    read_at        timestamptz NOT NULL,
    PRIMARY KEY (infobase, kit, line_no)
);
COMMENT ON TABLE bas_kit_part IS 'What kits are made of';
COMMENT ON COLUMN bas_kit_part.infobase IS 'Infobase';
COMMENT ON COLUMN bas_kit_part.kit IS 'Product that is the kit';
COMMENT ON COLUMN bas_kit_part.line_no IS 'Number of the row, from 1';
COMMENT ON COLUMN bas_kit_part.product IS 'Product in it';
COMMENT ON COLUMN bas_kit_part.characteristic IS 'Its characteristic; 0: none';
COMMENT ON COLUMN bas_kit_part.quantity IS 'How many of it are in one kit';
COMMENT ON COLUMN bas_kit_part.read_at IS 'When it was read';

CREATE TABLE bas_stock (
    infobase       text NOT NULL,
    product        uuid NOT NULL,
    characteristic uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    warehouse      uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    quantity       numeric NOT NULL,
    reserved       numeric NOT NULL DEFAULT 0,
    read_at        timestamptz NOT NULL,
    PRIMARY KEY (infobase, product, characteristic, warehouse)
);
COMMENT ON TABLE bas_stock IS 'Stock as the register of the base says; what is not there has none';
COMMENT ON COLUMN bas_stock.infobase IS 'Infobase';
COMMENT ON COLUMN bas_stock.product IS 'Product';
COMMENT ON COLUMN bas_stock.characteristic IS 'Characteristic; 0: none';
COMMENT ON COLUMN bas_stock.warehouse IS 'Warehouse; 0: none';
COMMENT ON COLUMN bas_stock.quantity IS 'How many there are, reserved ones too; below 0 where more was sold than came in';
COMMENT ON COLUMN bas_stock.reserved IS 'How many of them are reserved; 0 also where the register does not tell';
COMMENT ON COLUMN bas_stock.read_at IS 'When it was read so first: a reading that says the same again is told by goods_snapshot';

CREATE TABLE bas_price (
    infobase       text NOT NULL,
    price_type     uuid NOT NULL,
    product        uuid NOT NULL,
    characteristic uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    price          numeric NOT NULL,
    currency       uuid,
    unit           text,
    read_at        timestamptz NOT NULL,
    PRIMARY KEY (infobase, price_type, product, characteristic)
);
COMMENT ON TABLE bas_price IS 'Prices of one base unit of a product';
COMMENT ON COLUMN bas_price.infobase IS 'Infobase';
COMMENT ON COLUMN bas_price.price_type IS 'Price type';
COMMENT ON COLUMN bas_price.product IS 'Product';
COMMENT ON COLUMN bas_price.characteristic IS 'Characteristic; 0: the price of the product itself';
COMMENT ON COLUMN bas_price.price IS 'Price, as the base says it, or divided by the coefficient of its unit';
COMMENT ON COLUMN bas_price.currency IS 'Currency, where the price says it; NULL: that of the price type';
COMMENT ON COLUMN bas_price.unit IS 'Unit the base gives the price for, before it was divided; NULL: it names none';
COMMENT ON COLUMN bas_price.read_at IS 'When it was read so first: a reading that says the same again is told by goods_snapshot';

CREATE TABLE bas_cost (
    infobase       text NOT NULL,
    product        uuid NOT NULL,
    characteristic uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    cost           numeric NOT NULL,
    read_at        timestamptz NOT NULL,
    PRIMARY KEY (infobase, product, characteristic)
);
COMMENT ON TABLE bas_cost IS 'Cost of one base unit of a product, rounded to the kopeck, half a kopeck up; what is not there has none that is known';
COMMENT ON COLUMN bas_cost.infobase IS 'Infobase';
COMMENT ON COLUMN bas_cost.product IS 'Product';
COMMENT ON COLUMN bas_cost.characteristic IS 'Characteristic; 0: that of the product itself';
COMMENT ON COLUMN bas_cost.cost IS 'Cost';
COMMENT ON COLUMN bas_cost.read_at IS 'When it was read';

CREATE TABLE bas_unit (
    infobase    text NOT NULL,
    ref_key     uuid NOT NULL,
    coefficient numeric,
    read_at     timestamptz NOT NULL,
    PRIMARY KEY (infobase, ref_key)
);
COMMENT ON TABLE bas_unit IS 'Packs that prices are given for; read when a price names one that is not known yet';
COMMENT ON COLUMN bas_unit.infobase IS 'Infobase';
COMMENT ON COLUMN bas_unit.ref_key IS 'Ref_Key';
COMMENT ON COLUMN bas_unit.coefficient IS 'Base units in one pack; NULL: the base gives none';
COMMENT ON COLUMN bas_unit.read_at IS 'When it was read';

CREATE TABLE goods_snapshot (
    infobase     text NOT NULL,
    what         text NOT NULL CHECK (what IN ('catalog', 'characteristics', 'kits', 'stock', 'prices', 'cost', 'units')),
    part         text NOT NULL DEFAULT '',
    asked_at     timestamptz,
    complete_at  timestamptz,
    rows         integer NOT NULL DEFAULT 0,
    left_out     integer NOT NULL DEFAULT 0,
    up_to        text NOT NULL DEFAULT '',
    changes_from timestamp,
    whole_at     timestamptz,
    part_goods   integer,
    form         text,
    PRIMARY KEY (infobase, what, part)
);
COMMENT ON TABLE goods_snapshot IS 'How far the goods of a base are read';
COMMENT ON COLUMN goods_snapshot.infobase IS 'Infobase';
COMMENT ON COLUMN goods_snapshot.what IS 'What is read: catalog, characteristics, kits, stock, prices, cost, or units (packs that prices are given for)';
COMMENT ON COLUMN goods_snapshot.part IS 'Of prices the price type; else empty';
COMMENT ON COLUMN goods_snapshot.asked_at IS 'When the first request of the reading at work, or of the last one, was planned: what was booked after may be missing';
COMMENT ON COLUMN goods_snapshot.complete_at IS 'When the last reading was put in place whole; NULL: none was';
COMMENT ON COLUMN goods_snapshot.rows IS 'Rows the table holds of it';
COMMENT ON COLUMN goods_snapshot.left_out IS 'Rows the base answered that did not count: prices of a pack whose coefficient is not known, cost of what there is none of';
COMMENT ON COLUMN goods_snapshot.up_to IS 'How far the reading at work has come, for the engine; empty: none is at work';
COMMENT ON COLUMN goods_snapshot.changes_from IS 'Changes are asked for from this moment of the clock of the base; NULL: the configuration does not tell them';
COMMENT ON COLUMN goods_snapshot.whole_at IS 'When it was read whole last, and not only what had changed';
COMMENT ON COLUMN goods_snapshot.form IS 'Of the catalog: as what it was read whole last (goods_form()). Read otherwise now, it is read whole; NULL: not yet';
COMMENT ON COLUMN goods_snapshot.part_goods IS 'Goods of the catalog that one request to a register is for; NULL: as goods_part_size() says. It is halved when an answer is too large';

CREATE TABLE goods_page (
    infobase text NOT NULL,
    what     text NOT NULL,
    part     text NOT NULL DEFAULT '',
    key      text NOT NULL,
    data     jsonb NOT NULL,
    PRIMARY KEY (infobase, what, part, key)
);
COMMENT ON TABLE goods_page IS 'Rows of a reading under way; they take the place of the last reading when it is complete';
COMMENT ON COLUMN goods_page.infobase IS 'Infobase';
COMMENT ON COLUMN goods_page.what IS 'What is read, as in goods_snapshot';
COMMENT ON COLUMN goods_page.part IS 'Of prices the price type; else empty';
COMMENT ON COLUMN goods_page.key IS 'What makes the row one: a row answered again takes the place of the former';
COMMENT ON COLUMN goods_page.data IS 'The row as answered';

CREATE FUNCTION forget_goods(infobase text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    DELETE FROM goods_page p WHERE p.infobase = forget_goods.infobase;
    DELETE FROM goods_snapshot s WHERE s.infobase = forget_goods.infobase;
    DELETE FROM bas_good g WHERE g.infobase = forget_goods.infobase;
    DELETE FROM bas_characteristic c WHERE c.infobase = forget_goods.infobase;
    DELETE FROM bas_kit_part k WHERE k.infobase = forget_goods.infobase;
    DELETE FROM bas_stock s WHERE s.infobase = forget_goods.infobase;
    DELETE FROM bas_price p WHERE p.infobase = forget_goods.infobase;
    DELETE FROM bas_cost c WHERE c.infobase = forget_goods.infobase;
    DELETE FROM bas_unit u WHERE u.infobase = forget_goods.infobase;
END $$;
COMMENT ON FUNCTION forget_goods(text) IS 'Forgets all that was read of the goods of a base';
