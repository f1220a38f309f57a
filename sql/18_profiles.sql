-- Purpose: what a BAS configuration calls things. Shipped rows come from sql/profiles; a user's row of the same name wins.
-- Rights: readers see them, 'admin' adds rows of origin 'user'; shipped rows are read-only.

CREATE TABLE profile (
    name    text NOT NULL,
    origin  text NOT NULL DEFAULT 'user' CHECK (origin IN ('shipped', 'user')),
    title   text NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    PRIMARY KEY (name, origin)
);
COMMENT ON TABLE profile IS 'A configuration of BAS, chosen by one word in add_infobase()';
COMMENT ON COLUMN profile.name IS 'The word';
COMMENT ON COLUMN profile.origin IS 'shipped, or user (wins over a shipped row of the same name)';
COMMENT ON COLUMN profile.title IS 'Name of the configuration';
COMMENT ON COLUMN profile.enabled IS 'False in a user row switches the shipped one off';

CREATE TABLE profile_entity (
    profile    text NOT NULL,
    concept    text NOT NULL,
    origin     text NOT NULL DEFAULT 'user' CHECK (origin IN ('shipped', 'user')),
    entity_set text,
    filter     text,
    PRIMARY KEY (profile, concept, origin)
);
COMMENT ON TABLE profile_entity IS 'Entity set that stands for a concept';
COMMENT ON COLUMN profile_entity.profile IS 'Profile';
COMMENT ON COLUMN profile_entity.concept IS 'Concept: order, order_line, counterparty, counterparty_contact, product, organisation, warehouse, currency, price_type, contact_kind, vat_rate';
COMMENT ON COLUMN profile_entity.origin IS 'shipped or user';
COMMENT ON COLUMN profile_entity.entity_set IS 'Name of the entity set; for order_line the name of the section within the order; NULL: the configuration has none';
COMMENT ON COLUMN profile_entity.filter IS 'OData condition that every reading of the set adds';

CREATE TABLE profile_property (
    profile    text NOT NULL,
    entity     text NOT NULL,
    concept    text NOT NULL,
    origin     text NOT NULL DEFAULT 'user' CHECK (origin IN ('shipped', 'user')),
    property   text,
    edm_type   text NOT NULL DEFAULT 'Edm.String',
    max_length integer,
    constant   jsonb,
    rule       text NOT NULL DEFAULT '',
    PRIMARY KEY (profile, entity, concept, origin)
);
COMMENT ON TABLE profile_property IS 'Property that stands for a concept of an entity';
COMMENT ON COLUMN profile_property.profile IS 'Profile';
COMMENT ON COLUMN profile_property.entity IS 'Concept of the entity (profile_entity.concept)';
COMMENT ON COLUMN profile_property.concept IS 'Concept of the property, for example customer_reference';
COMMENT ON COLUMN profile_property.origin IS 'shipped or user';
COMMENT ON COLUMN profile_property.property IS 'Name of the property; NULL: the configuration has none';
COMMENT ON COLUMN profile_property.edm_type IS 'Type in $metadata';
COMMENT ON COLUMN profile_property.max_length IS 'Longest text BAS keeps; longer ones are cut there silently, so here first';
COMMENT ON COLUMN profile_property.constant IS 'Value always written; NULL: the value comes from the order';
COMMENT ON COLUMN profile_property.rule IS 'Where the value comes from, in words: shown as lineage of the property';

CREATE FUNCTION shipped_row_guard() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF (TG_OP <> 'INSERT' AND OLD.origin = 'shipped') OR (TG_OP <> 'DELETE' AND NEW.origin = 'shipped') THEN
        RAISE EXCEPTION 'shipped rows of % are read-only', TG_TABLE_NAME
            USING ERRCODE = 'SD002', HINT = 'Insert a row with the same key and origin ''user'': it wins over the shipped one.';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
COMMENT ON FUNCTION shipped_row_guard() IS 'Trigger: shipped rows are read-only';

CREATE VIEW profile_entity_effective AS
    SELECT DISTINCT ON (profile, concept) profile, concept, entity_set, filter
    FROM profile_entity ORDER BY profile, concept, origin DESC;
COMMENT ON VIEW profile_entity_effective IS 'Entity set in force for each concept: the user''s row, else the shipped one';
COMMENT ON COLUMN profile_entity_effective.profile IS 'Profile';
COMMENT ON COLUMN profile_entity_effective.concept IS 'Concept';
COMMENT ON COLUMN profile_entity_effective.entity_set IS 'Entity set that stands for it; NULL: the configuration has none';
COMMENT ON COLUMN profile_entity_effective.filter IS 'Condition of OData that every reading of the set carries';

CREATE VIEW profile_property_effective AS
    SELECT DISTINCT ON (profile, entity, concept) profile, entity, concept, property, edm_type, max_length, constant, rule
    FROM profile_property ORDER BY profile, entity, concept, origin DESC;
COMMENT ON VIEW profile_property_effective IS 'Property in force for each concept: the user''s row, else the shipped one';
COMMENT ON COLUMN profile_property_effective.profile IS 'Profile';
COMMENT ON COLUMN profile_property_effective.entity IS 'Concept of the entity the property belongs to';
COMMENT ON COLUMN profile_property_effective.concept IS 'Concept of the property';
COMMENT ON COLUMN profile_property_effective.property IS 'Its name in BAS; NULL: left out';
COMMENT ON COLUMN profile_property_effective.edm_type IS 'Its type';
COMMENT ON COLUMN profile_property_effective.max_length IS 'Longest text it holds';
COMMENT ON COLUMN profile_property_effective.constant IS 'Value that is always sent';
COMMENT ON COLUMN profile_property_effective.rule IS 'Rule that gives its value';

CREATE VIEW profile_reference AS
    SELECT e.profile, e.concept || CASE WHEN p.concept IS NULL THEN '' ELSE '.' || p.concept END AS concept,
           e.entity_set, p.property, p.edm_type
    FROM profile_entity_effective e
    LEFT JOIN profile_property_effective p ON p.profile = e.profile AND p.entity = e.concept
    ORDER BY 1, 2;
COMMENT ON VIEW profile_reference IS 'Every name a profile uses: profile, concept, entity set, property, type';
COMMENT ON COLUMN profile_reference.profile IS 'Profile';
COMMENT ON COLUMN profile_reference.concept IS 'Concept of an entity, or entity.property';
COMMENT ON COLUMN profile_reference.entity_set IS 'Entity set in BAS';
COMMENT ON COLUMN profile_reference.property IS 'Property in BAS; NULL for the entity itself, or when it is left out';
COMMENT ON COLUMN profile_reference.edm_type IS 'Type of the property';

CREATE FUNCTION entity_set(profile text, concept text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT e.entity_set FROM profile_entity_effective e WHERE e.profile = entity_set.profile AND e.concept = entity_set.concept);
END $$;
COMMENT ON FUNCTION entity_set(text, text) IS 'Entity set that stands for a concept in a profile';

CREATE FUNCTION property_names(profile text, entity text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT coalesce(jsonb_object_agg(p.concept, p.property), '{}')
    FROM profile_property_effective p
    WHERE p.profile = property_names.profile AND p.entity = property_names.entity AND p.property IS NOT NULL);
END $$;
COMMENT ON FUNCTION property_names(text, text) IS 'Names of the properties of an entity by concept, as one object';
