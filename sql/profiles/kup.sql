-- Purpose: BAS Комплексне управління підприємством (КУП) 2.1 to 2.5: what it calls otherwise than УТ, whose rows it takes over (trade32.sql). Only rows.
-- Names by those of its models, ERP 2.1 and КА 2.5. The VAT rate of a row is a value of an enumeration, or an element of a catalog: the variant is told by $metadata.
-- In 2.1 the unit of a product is a reference of several types.

INSERT INTO profile (name, origin, title, parent, needs) VALUES
    ('kup',     'shipped', 'BAS Комплексне управління підприємством (КУП) 2.1', 'trade32', NULL),
    ('kup:2.5', 'shipped', 'BAS Комплексне управління підприємством (КУП) 2.5', 'kup', 'Document_ЗаказКлиента_Товары.СтавкаНДС_Key');

INSERT INTO profile_entity (profile, concept, origin, entity_set, filter) VALUES
    ('kup:2.5', 'vat_rate',         'shipped', 'Catalog_СтавкиНДС', NULL);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, max_length, constant, rule) VALUES
    ('kup', 'product', 'unit',             'shipped', 'ЕдиницаИзмерения', 'Edm.String', NULL, NULL, ''),
    ('kup', 'product', 'unit_type',        'shipped', 'ЕдиницаИзмерения_Type', 'Edm.String', NULL, NULL, ''),
    ('kup:2.5', 'product', 'unit',         'shipped', 'ЕдиницаИзмерения_Key', 'Edm.Guid', NULL, NULL, ''),
    ('kup:2.5', 'product', 'unit_type',    'shipped', NULL, 'Edm.String', NULL, NULL, ''),
    ('kup:2.5', 'order_line', 'vat_rate',  'shipped', 'СтавкаНДС_Key', 'Edm.Guid', NULL, NULL, 'VAT rate of the product'),
    ('kup:2.5', 'product', 'vat_rate',     'shipped', 'СтавкаНДС_Key', 'Edm.Guid', NULL, NULL, ''),
    ('kup:2.5', 'vat_rate', 'name',        'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('kup:2.5', 'vat_rate', 'rate',        'shipped', 'Ставка', 'Edm.Double', NULL, NULL, ''),
    ('kup:2.5', 'vat_rate', 'deleted',     'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, '');

-- Its model КА 2.5 has no register of free stock any more.
INSERT INTO profile_entity (profile, concept, origin, entity_set, filter, needed) VALUES
    ('kup:2.5', 'free_stock', 'shipped', NULL, NULL, false);
