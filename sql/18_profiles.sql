-- Purpose: what a BAS configuration calls things. Shipped rows come from sql/profiles; a user's row of the same name wins.
-- Rights: readers see them, 'admin' adds rows of origin 'user'; shipped rows are read-only.

CREATE TABLE profile (
    name    text NOT NULL,
    origin  text NOT NULL DEFAULT 'user' CHECK (origin IN ('shipped', 'user')),
    title   text NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    parent  text,
    needs   text CHECK (needs ~ '^[^.[:space:]]+(\.[^.[:space:]]+)?$'),
    PRIMARY KEY (name, origin),
    CONSTRAINT profile_variant CHECK (parent <> name AND (needs IS NULL OR parent IS NOT NULL))
);
COMMENT ON TABLE profile IS 'A configuration of BAS, chosen by one word in add_infobase()';
COMMENT ON COLUMN profile.name IS 'The word';
COMMENT ON COLUMN profile.origin IS 'shipped, or user (wins over a shipped row of the same name)';
COMMENT ON COLUMN profile.title IS 'Name of the configuration';
COMMENT ON COLUMN profile.enabled IS 'False in a user row switches the shipped one off';
COMMENT ON COLUMN profile.parent IS 'Profile whose rows count too, where this one has none of its own';
COMMENT ON COLUMN profile.needs IS 'It is a variant of its parent, and this entity set (Name) or property (Name.Property) in $metadata shows it: then load_metadata() gives it to the infobase';
COMMENT ON CONSTRAINT profile_variant ON profile IS 'A parent is another profile, and a variant has one';

CREATE TABLE profile_entity (
    profile    text NOT NULL,
    concept    text NOT NULL,
    origin     text NOT NULL DEFAULT 'user' CHECK (origin IN ('shipped', 'user')),
    entity_set text,
    filter     text,
    needed     boolean NOT NULL DEFAULT true,
    PRIMARY KEY (profile, concept, origin)
);
COMMENT ON TABLE profile_entity IS 'Entity set that stands for a concept';
COMMENT ON COLUMN profile_entity.profile IS 'Profile';
COMMENT ON COLUMN profile_entity.concept IS 'Concept: order, order_line, counterparty, counterparty_contact, product, organisation, warehouse, currency, price_type, contact_kind, vat_rate, unit; vat_value (rates that are values of an enumeration); where the configuration has them partner, partner_contact, partner_contact_kind, agreement; status, payment_method and further dictionaries of values; others are there to be looked up';
COMMENT ON COLUMN profile_entity.origin IS 'shipped or user';
COMMENT ON COLUMN profile_entity.entity_set IS 'Name of the entity set; for order_line the name of the section within the order; NULL: the configuration has none';
COMMENT ON COLUMN profile_entity.filter IS 'OData condition that every reading of the set adds';
COMMENT ON COLUMN profile_entity.needed IS 'False: orders go without it, so check() does not ask for it';

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
    needed     boolean NOT NULL DEFAULT false,
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
COMMENT ON COLUMN profile_property.rule IS 'Where the value comes from, in words: shown as lineage of the property; "to be verified": not known from public sources';
COMMENT ON COLUMN profile_property.needed IS 'BAS does not post a document where it is empty, though a setting may leave it so: check() says where nothing gives it';

CREATE FUNCTION shipped_row_guard() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF (TG_OP <> 'INSERT' AND OLD.origin = 'shipped') OR (TG_OP <> 'DELETE' AND NEW.origin = 'shipped') THEN
        RAISE EXCEPTION 'shipped rows of % are read-only', TG_TABLE_NAME
            USING ERRCODE = 'SD002', HINT = CASE TG_OP WHEN 'DELETE' THEN 'Add WHERE origin = ''user'' to delete rows of your own. A shipped one stays; a row with the same key and origin ''user'' wins over it.'
                                              ELSE 'Insert a row with the same key and origin ''user'': it wins over the shipped one.' END;
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
COMMENT ON FUNCTION shipped_row_guard() IS 'Trigger: shipped rows are read-only';

CREATE VIEW profile_effective AS
    SELECT p.name, p.title, p.parent, p.needs
    FROM (SELECT DISTINCT ON (q.name) q.* FROM profile q ORDER BY q.name, q.origin DESC) p WHERE p.enabled;
COMMENT ON VIEW profile_effective IS 'Profiles in force: the user''s row, else the shipped one; those switched off are left out';
COMMENT ON COLUMN profile_effective.name IS 'Name';
COMMENT ON COLUMN profile_effective.title IS 'Name of the configuration';
COMMENT ON COLUMN profile_effective.parent IS 'Profile whose rows count too';
COMMENT ON COLUMN profile_effective.needs IS 'What $metadata must show, when it is a variant of its parent';

CREATE VIEW profile_line AS
    SELECT p.name AS profile, p.name AS source, 0 AS distance FROM profile_effective p
    UNION ALL SELECT p.name, p.parent, 1 FROM profile_effective p WHERE p.parent IS NOT NULL
    UNION ALL SELECT p.name, q.parent, 2 FROM profile_effective p JOIN profile_effective q ON q.name = p.parent WHERE q.parent IS NOT NULL
    UNION ALL SELECT p.name, r.parent, 3 FROM profile_effective p JOIN profile_effective q ON q.name = p.parent JOIN profile_effective r ON r.name = q.parent WHERE r.parent IS NOT NULL;
COMMENT ON VIEW profile_line IS 'Profiles whose rows count for a profile: itself, its parent, and so on (three steps at most)';
COMMENT ON COLUMN profile_line.profile IS 'Profile';
COMMENT ON COLUMN profile_line.source IS 'Profile whose rows count for it';
COMMENT ON COLUMN profile_line.distance IS 'Steps between them: the nearest wins';

CREATE VIEW profile_entity_effective AS
    SELECT DISTINCT ON (l.profile, e.concept) l.profile, e.concept, e.entity_set, e.filter, e.needed
    FROM profile_line l JOIN profile_entity e ON e.profile = l.source ORDER BY l.profile, e.concept, e.origin DESC, l.distance;
COMMENT ON VIEW profile_entity_effective IS 'Entity set in force for each concept: the user''s row, else the shipped one; of the profile itself, else of its parent';
COMMENT ON COLUMN profile_entity_effective.profile IS 'Profile';
COMMENT ON COLUMN profile_entity_effective.concept IS 'Concept';
COMMENT ON COLUMN profile_entity_effective.entity_set IS 'Entity set that stands for it; NULL: the configuration has none';
COMMENT ON COLUMN profile_entity_effective.filter IS 'Condition of OData that every reading of the set carries';
COMMENT ON COLUMN profile_entity_effective.needed IS 'Whether orders need it';

CREATE VIEW profile_property_effective AS
    SELECT DISTINCT ON (l.profile, p.entity, p.concept) l.profile, p.entity, p.concept, p.property, p.edm_type, p.max_length, p.constant, p.rule, p.needed
    FROM profile_line l JOIN profile_property p ON p.profile = l.source ORDER BY l.profile, p.entity, p.concept, p.origin DESC, l.distance;
COMMENT ON VIEW profile_property_effective IS 'Property in force for each concept: the user''s row, else the shipped one; of the profile itself, else of its parent';
COMMENT ON COLUMN profile_property_effective.profile IS 'Profile';
COMMENT ON COLUMN profile_property_effective.entity IS 'Concept of the entity the property belongs to';
COMMENT ON COLUMN profile_property_effective.concept IS 'Concept of the property';
COMMENT ON COLUMN profile_property_effective.property IS 'Its name in BAS; NULL: left out';
COMMENT ON COLUMN profile_property_effective.edm_type IS 'Its type';
COMMENT ON COLUMN profile_property_effective.max_length IS 'Longest text it holds';
COMMENT ON COLUMN profile_property_effective.constant IS 'Value that is always sent';
COMMENT ON COLUMN profile_property_effective.rule IS 'Rule that gives its value';
COMMENT ON COLUMN profile_property_effective.needed IS 'Whether BAS does not post a document without it';

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

-- Names are asked for many times in every turn of the engine, and the views above are joined anew each time: so their answers are kept.
CREATE TABLE profile_resolved (
    profile     text NOT NULL,
    entity      text NOT NULL,
    entity_set  text,
    names       jsonb NOT NULL,
    constants   jsonb NOT NULL,
    fixed       jsonb NOT NULL,
    max_lengths jsonb NOT NULL,
    rules       jsonb NOT NULL,
    PRIMARY KEY (profile, entity)
);
COMMENT ON TABLE profile_resolved IS 'Names in force of each profile and entity, derived from the tables of profiles by triggers; not dumped';
COMMENT ON COLUMN profile_resolved.profile IS 'Profile';
COMMENT ON COLUMN profile_resolved.entity IS 'Concept of the entity';
COMMENT ON COLUMN profile_resolved.entity_set IS 'Entity set that stands for it; NULL: the configuration has none';
COMMENT ON COLUMN profile_resolved.names IS 'Names of its properties by concept';
COMMENT ON COLUMN profile_resolved.constants IS 'Values always sent, by concept';
COMMENT ON COLUMN profile_resolved.fixed IS 'The same by name of the property';
COMMENT ON COLUMN profile_resolved.max_lengths IS 'Longest texts, by concept';
COMMENT ON COLUMN profile_resolved.rules IS 'Where values come from, by name of the property';

CREATE FUNCTION resolve_profiles() RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    LOCK TABLE profile_resolved IN SHARE ROW EXCLUSIVE MODE;    -- two sessions that change names at once: the second sees the rows of the first
    DELETE FROM profile_resolved;
    INSERT INTO profile_resolved (profile, entity, entity_set, names, constants, fixed, max_lengths, rules)
    SELECT profile, entity, e.entity_set, coalesce(p.names, '{}'), coalesce(p.constants, '{}'), coalesce(p.fixed, '{}'), coalesce(p.max_lengths, '{}'), coalesce(p.rules, '{}')
    FROM (SELECT f.profile, f.concept AS entity, f.entity_set FROM profile_entity_effective f) e
    FULL JOIN (SELECT q.profile, q.entity, jsonb_object_agg(q.concept, q.property) FILTER (WHERE q.property IS NOT NULL) AS names,
                      jsonb_object_agg(q.concept, q.constant) FILTER (WHERE q.constant IS NOT NULL) AS constants,
                      jsonb_object_agg(q.property, q.constant) FILTER (WHERE q.property IS NOT NULL AND q.constant IS NOT NULL) AS fixed,
                      jsonb_object_agg(q.concept, q.max_length) FILTER (WHERE q.max_length IS NOT NULL) AS max_lengths,
                      jsonb_object_agg(q.property, q.rule) FILTER (WHERE q.property IS NOT NULL) AS rules
               FROM profile_property_effective q GROUP BY q.profile, q.entity) p USING (profile, entity);
END $$;
COMMENT ON FUNCTION resolve_profiles() IS 'Derives profile_resolved anew from the tables of profiles';

CREATE FUNCTION profile_changed() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM resolve_profiles();
    PERFORM wake_later(format('profile:%s:', i.name)) FROM infobase i;
    PERFORM wake_later(format('push:%s:', g.account)) FROM account_goods g;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION profile_changed() IS 'Trigger: names in force are derived anew, and orders and pushes parked for them become due';

CREATE FUNCTION entity_set(profile text, concept text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT r.entity_set FROM profile_resolved r WHERE r.profile = entity_set.profile AND r.entity = entity_set.concept);
END $$;
COMMENT ON FUNCTION entity_set(text, text) IS 'Entity set that stands for a concept in a profile';

CREATE FUNCTION is_payment_concept(concept text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN concept ~ '^((payment|refund)_(bank|cash)|payment_row|bank_account|cash_desk)$';
COMMENT ON FUNCTION is_payment_concept(text) IS 'Whether an entity is used by payments only';

-- Without these no document is found again, none has goods or a customer, or no customer is looked for.
CREATE FUNCTION profile_gaps(profile text, by_phone boolean DEFAULT true) RETURNS text[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN ARRAY(
        SELECT CASE WHEN n.concepts IS NULL THEN n.entity ELSE n.entity || '.' || n.concepts END
        FROM (VALUES (1, 'order', NULL), (2, 'order', 'customer_reference|comment'), (3, 'order', 'counterparty'), (4, 'order_line', NULL), (5, 'order_line', 'line_no'), (6, 'order_line', 'product'),
                     (7, 'order_line', 'quantity'), (8, 'counterparty', NULL), (9, 'counterparty', 'name'), (10, 'counterparty_contact', NULL), (11, 'contact_row', NULL), (12, 'contact_row', 'type'), (13, 'contact_row', 'kind'),
                     (14, 'contact_row', 'presentation'), (15, 'contact_row', 'number'), (16, 'contact_kind', NULL), (17, 'product', NULL), (18, 'product', 'article')) n (place, entity, concepts)
        LEFT JOIN profile_resolved r ON r.profile = profile_gaps.profile AND r.entity = n.entity
        WHERE (by_phone OR n.entity NOT IN ('counterparty_contact', 'contact_row', 'contact_kind'))
          AND NOT coalesce(CASE WHEN n.concepts IS NULL THEN r.entity_set IS NOT NULL ELSE r.names ?| string_to_array(n.concepts, '|') END, false)
        ORDER BY n.place);
END $$;
COMMENT ON FUNCTION profile_gaps(text, boolean) IS 'Concepts that every profile must name (those of contacts where counterparties are found by phone) and this one does not; all of them when there is no such profile';

CREATE FUNCTION property_names(profile text, entity text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT r.names FROM profile_resolved r WHERE r.profile = property_names.profile AND r.entity = property_names.entity), '{}');
END $$;
COMMENT ON FUNCTION property_names(text, text) IS 'Names of the properties of an entity by concept, as one object';

CREATE FUNCTION constants(profile text, entity text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT r.fixed FROM profile_resolved r WHERE r.profile = constants.profile AND r.entity = constants.entity), '{}');
END $$;
COMMENT ON FUNCTION constants(text, text) IS 'Properties of an entity that always carry the same value';

CREATE FUNCTION profile_constant(profile text, entity text, concept text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT r.constants ->> profile_constant.concept FROM profile_resolved r WHERE r.profile = profile_constant.profile AND r.entity = profile_constant.entity);
END $$;
COMMENT ON FUNCTION profile_constant(text, text, text) IS 'Constant of a concept';

CREATE FUNCTION max_length(profile text, entity text, concept text) RETURNS integer
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT (r.max_lengths ->> max_length.concept)::integer FROM profile_resolved r WHERE r.profile = max_length.profile AND r.entity = max_length.entity);
END $$;
COMMENT ON FUNCTION max_length(text, text, text) IS 'Longest text that a property holds; NULL: no limit';
