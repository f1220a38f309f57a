-- Purpose: what a base itself says of its names, read from its $metadata: entity sets, properties, types, enumerations, functions.
-- Rights: written by the engine, readers read.

CREATE TABLE bas_metadata (
    infobase text NOT NULL,
    kind     text NOT NULL CHECK (kind IN ('set', 'type', 'enum', 'function')),
    name     text NOT NULL,
    members  jsonb NOT NULL,
    PRIMARY KEY (infobase, kind, name)
);
COMMENT ON TABLE bas_metadata IS 'What a base publishes, as its $metadata said last; read by load_metadata()';
COMMENT ON COLUMN bas_metadata.infobase IS 'Infobase';
COMMENT ON COLUMN bas_metadata.kind IS 'set (entity set), type (of no set: what functions give), enum or function';
COMMENT ON COLUMN bas_metadata.name IS 'Name; of a function bound to a set: set/function';
COMMENT ON COLUMN bas_metadata.members IS 'Of a set or type {property: type, or [type, longest text]}, of a function {parameter: type}, of an enumeration [value]';

CREATE TABLE metadata_load (
    infobase  text PRIMARY KEY,
    loaded_at timestamptz NOT NULL,
    bytes     bigint NOT NULL,
    sets      integer NOT NULL,
    profile   text NOT NULL
);
COMMENT ON TABLE metadata_load IS 'When the $metadata of an infobase was read last';
COMMENT ON COLUMN metadata_load.infobase IS 'Infobase';
COMMENT ON COLUMN metadata_load.loaded_at IS 'When it was read';
COMMENT ON COLUMN metadata_load.bytes IS 'Its length';
COMMENT ON COLUMN metadata_load.sets IS 'Entity sets in it';
COMMENT ON COLUMN metadata_load.profile IS 'Profile, or variant of one, that it shows';

CREATE VIEW bas_property AS
    SELECT m.infobase, m.name AS entity_set, p.key AS property,
           CASE jsonb_typeof(p.value) WHEN 'array' THEN p.value ->> 0 ELSE p.value #>> '{}' END AS edm_type,
           CASE jsonb_typeof(p.value) WHEN 'array' THEN (p.value ->> 1)::integer END AS max_length
    FROM bas_metadata m CROSS JOIN LATERAL jsonb_each(m.members) p WHERE m.kind = 'set';
COMMENT ON VIEW bas_property IS 'Properties of the entity sets that a base publishes, one a row';
COMMENT ON COLUMN bas_property.infobase IS 'Infobase';
COMMENT ON COLUMN bas_property.entity_set IS 'Entity set; sections of documents and catalogs are sets, too';
COMMENT ON COLUMN bas_property.property IS 'Name of the property';
COMMENT ON COLUMN bas_property.edm_type IS 'Its type';
COMMENT ON COLUMN bas_property.max_length IS 'Longest text, where the base tells it';

CREATE FUNCTION publishes(infobase text, what text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM bas_metadata m WHERE m.infobase = publishes.infobase AND m.kind = 'set' AND m.name = split_part(what, '.', 1)
                   AND (what NOT LIKE '%.%' OR m.members ? split_part(what, '.', 2)));
END $$;
COMMENT ON FUNCTION publishes(text, text) IS 'Whether the base publishes an entity set (Name), or a property of it (Name.Property), as its $metadata said last';
