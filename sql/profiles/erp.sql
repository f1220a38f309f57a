-- Purpose: BAS ERP 2.1 to 2.5: what it calls otherwise than УТ, whose rows it takes over (trade32.sql). Only rows.
-- In 2.1 the VAT rate of a row is a value of an enumeration, in 2.5 an element of a catalog: the variant is told by $metadata.
-- In 2.1 the unit of a product is a reference of several types.

INSERT INTO profile (name, origin, title, parent, needs) VALUES
    ('erp',     'shipped', 'BAS ERP 2.1', 'trade32', NULL),
    ('erp:2.5', 'shipped', 'BAS ERP 2.5', 'erp', 'Document_ЗаказКлиента_Товары.СтавкаНДС_Key');

INSERT INTO profile_entity (profile, concept, origin, entity_set, filter) VALUES
    ('erp:2.5', 'vat_rate',         'shipped', 'Catalog_СтавкиНДС', NULL);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, max_length, constant, rule) VALUES
    ('erp', 'product', 'unit',             'shipped', 'ЕдиницаИзмерения', 'Edm.String', NULL, NULL, ''),
    ('erp', 'product', 'unit_type',        'shipped', 'ЕдиницаИзмерения_Type', 'Edm.String', NULL, NULL, ''),
    ('erp:2.5', 'product', 'unit',         'shipped', 'ЕдиницаИзмерения_Key', 'Edm.Guid', NULL, NULL, ''),
    ('erp:2.5', 'product', 'unit_type',    'shipped', NULL, 'Edm.String', NULL, NULL, ''),
    ('erp:2.5', 'order_line', 'vat_rate',  'shipped', 'СтавкаНДС_Key', 'Edm.Guid', NULL, NULL, 'VAT rate of the product'),
    ('erp:2.5', 'product', 'vat_rate',     'shipped', 'СтавкаНДС_Key', 'Edm.Guid', NULL, NULL, ''),
    ('erp:2.5', 'vat_rate', 'name',        'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('erp:2.5', 'vat_rate', 'rate',        'shipped', 'Ставка', 'Edm.Double', NULL, NULL, ''),
    ('erp:2.5', 'vat_rate', 'deleted',     'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, '');
