-- Purpose: additional attributes of the order document that were asked for in a base: prepare_infobase() (66_prepare.sql) asks for them.
-- Rights: written by the engine and by prepare_infobase(), readers read.

CREATE TABLE bas_attribute (
    infobase     text NOT NULL,
    name         text NOT NULL,
    state        text NOT NULL DEFAULT 'unknown' CHECK (state IN ('unknown', 'absent', 'made', 'there', 'comment')),
    our_ref_key  uuid NOT NULL,
    ref_key      uuid,
    write_unsure boolean NOT NULL DEFAULT false,
    unsure_until timestamptz,
    asked_early  boolean NOT NULL DEFAULT false,
    checked_at   timestamptz,
    PRIMARY KEY (infobase, name)
);
COMMENT ON TABLE bas_attribute IS 'Additional attributes that prepare_infobase() asked for: the shipped rows of field_map for them count in that base, and in no other';
COMMENT ON COLUMN bas_attribute.infobase IS 'Infobase';
COMMENT ON COLUMN bas_attribute.name IS 'Name in BAS, as in field_map.property';
COMMENT ON COLUMN bas_attribute.state IS 'unknown (to be asked), absent (to be created), made (in the base, not yet listed in the set of the document), there, or comment (the document has no such section: a line of its comment)';
COMMENT ON COLUMN bas_attribute.our_ref_key IS 'Key under which it is created';
COMMENT ON COLUMN bas_attribute.ref_key IS 'Its Ref_Key in BAS, once it is there';
COMMENT ON COLUMN bas_attribute.write_unsure IS 'A creation was sent and its outcome is not known';
COMMENT ON COLUMN bas_attribute.unsure_until IS 'From when on absence in BAS counts after such a creation';
COMMENT ON COLUMN bas_attribute.asked_early IS 'BAS was asked since and did not show it yet: asked again after unsure_until';
COMMENT ON COLUMN bas_attribute.checked_at IS 'When the base was asked last';
