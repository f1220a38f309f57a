-- Purpose: what the standard subsystems library has in every configuration with additional attributes: the catalog of their sets, and the register of
-- information records, which stand in for attributes where a document has no section of them. Comes after the profiles. Only rows.

INSERT INTO profile_entity (profile, concept, origin, entity_set, needed)
SELECT e.profile, s.concept, 'shipped', s.entity_set, false
FROM profile_entity e, (VALUES ('attribute_set', 'Catalog_НаборыДополнительныхРеквизитовИСведений'), ('attribute_set_row', 'ДополнительныеРеквизиты'),
                               ('record', 'InformationRegister_ДополнительныеСведения'), ('record_set_row', 'ДополнительныеСведения')) s (concept, entity_set)
WHERE e.concept = 'attribute' AND e.origin = 'shipped' AND e.entity_set IS NOT NULL;

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, max_length, constant, rule)
SELECT e.profile, e.concept, p.concept, 'shipped', p.property, p.edm_type, NULL, NULL, ''
FROM profile_entity e JOIN (VALUES ('attribute_set_row', 'attribute', 'Свойство_Key', 'Edm.Guid'), ('record', 'object', 'Объект', 'Edm.String'), ('record', 'object_type', 'Объект_Type', 'Edm.String'),
                                   ('record', 'attribute', 'Свойство_Key', 'Edm.Guid'), ('record', 'value', 'Значение', 'Edm.String'), ('record', 'value_type', 'Значение_Type', 'Edm.String')) p (entity, concept, property, edm_type) ON p.entity = e.concept
WHERE e.origin = 'shipped';
