-- Purpose: values of both sides, and which product an article means where the base is not clear.
-- Rights: 'operator' edits, readers read. A change wakes the orders parked for exactly that row.

CREATE FUNCTION touched() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    NEW.changed_at := clock();
    RETURN NEW;
END $$;
COMMENT ON FUNCTION touched() IS 'Trigger: notes when a row changed';

CREATE FUNCTION wake_waiting() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM wake_later(c.cause) FROM (
        SELECT DISTINCT format(TG_ARGV[0], VARIADIC ARRAY(SELECT r ->> u.name FROM unnest(TG_ARGV[1:]) WITH ORDINALITY u (name, n) ORDER BY u.n)) AS cause
        FROM unnest(ARRAY[CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END, CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END]) r WHERE r IS NOT NULL) c;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION wake_waiting() IS 'Trigger (cause as in task.blocked_on, with %s for the columns that follow): what waits for the row, as it was and as it is, becomes due';

CREATE TABLE dictionary_value (
    scope      text NOT NULL,
    side       text NOT NULL CHECK (side IN ('bas', 'crm')),
    dictionary text NOT NULL,
    key        text NOT NULL,
    name       text,
    code       text,
    attributes jsonb NOT NULL DEFAULT '{}',
    loaded_at  timestamptz NOT NULL DEFAULT clock(),
    PRIMARY KEY (scope, side, dictionary, key)
);
COMMENT ON TABLE dictionary_value IS 'Known values of a dictionary: of an infobase (side bas) or of an account (side crm)';
COMMENT ON COLUMN dictionary_value.scope IS 'Name of the infobase or of the account';
COMMENT ON COLUMN dictionary_value.side IS 'bas or crm';
COMMENT ON COLUMN dictionary_value.dictionary IS 'Of BAS: organisation, warehouse, currency, price_type, contact_kind, vat_rate, unit, and those of value_map that the profile has a set for; of SalesDrive: as in value_map, further fields by their own name';
COMMENT ON COLUMN dictionary_value.key IS 'Ref_Key of the element, or id of the option';
COMMENT ON COLUMN dictionary_value.name IS 'Name shown to users';
COMMENT ON COLUMN dictionary_value.code IS 'Code, where the element has one; of SalesDrive the parameter that is written in its place';
COMMENT ON COLUMN dictionary_value.attributes IS 'The element as read';
COMMENT ON COLUMN dictionary_value.loaded_at IS 'When it was read last';

CREATE TABLE dictionary_load (
    infobase   text NOT NULL,
    dictionary text NOT NULL,
    loaded_at  timestamptz NOT NULL,
    PRIMARY KEY (infobase, dictionary)
);
COMMENT ON TABLE dictionary_load IS 'When a dictionary of an infobase was read last; also tells an empty one from an unread one';
COMMENT ON COLUMN dictionary_load.infobase IS 'Infobase';
COMMENT ON COLUMN dictionary_load.dictionary IS 'Dictionary';
COMMENT ON COLUMN dictionary_load.loaded_at IS 'When it was read';

CREATE TABLE product_pin (
    infobase       text NOT NULL REFERENCES infobase (name),
    sku            text NOT NULL CHECK (sku <> ''),
    product        uuid NOT NULL CHECK (product <> '00000000-0000-0000-0000-000000000000'),
    characteristic uuid CHECK (characteristic <> '00000000-0000-0000-0000-000000000000'),
    unit           uuid CHECK (unit <> '00000000-0000-0000-0000-000000000000'),
    note           text,
    changed_at     timestamptz NOT NULL DEFAULT clock(),
    PRIMARY KEY (infobase, sku)
);
CREATE INDEX product_pin_product ON product_pin (infobase, product);
COMMENT ON TABLE product_pin IS 'Which product an SKU means, where the article is missing or not unique in BAS; wins over the search by article';
COMMENT ON COLUMN product_pin.infobase IS 'Infobase';
COMMENT ON COLUMN product_pin.sku IS 'SKU as in SalesDrive';
COMMENT ON COLUMN product_pin.product IS 'Ref_Key of the product';
COMMENT ON COLUMN product_pin.characteristic IS 'Ref_Key of its characteristic, if it has one';
COMMENT ON COLUMN product_pin.unit IS 'Ref_Key of the unit, if not the product''s own';
COMMENT ON COLUMN product_pin.note IS 'Anything worth remembering';
COMMENT ON COLUMN product_pin.changed_at IS 'When it was set last';
