-- Purpose: the catalog of sets of additional attributes, which is that of the standard subsystems library in every configuration that has the
-- section of such attributes in its order document. Comes after the profiles. Only rows.

INSERT INTO profile_entity (profile, concept, origin, entity_set, needed)
SELECT e.profile, s.concept, 'shipped', s.entity_set, false
FROM profile_entity e, (VALUES ('attribute_set', 'Catalog_НаборыДополнительныхРеквизитовИСведений'), ('attribute_set_row', 'ДополнительныеРеквизиты')) s (concept, entity_set)
WHERE e.concept = 'attribute_row' AND e.origin = 'shipped' AND e.entity_set IS NOT NULL;

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, max_length, constant, rule)
SELECT e.profile, 'attribute_set_row', 'attribute', 'shipped', 'Свойство_Key', 'Edm.Guid', NULL, NULL, ''
FROM profile_entity e WHERE e.concept = 'attribute_set_row' AND e.origin = 'shipped';
