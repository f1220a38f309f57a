-- Purpose: BAS Роздрібна торгівля: little of it is public. What is of the common design of the family stands as there; all else is marked
-- "to be verified": check() compares it with what $metadata says. Only rows.

INSERT INTO profile (name, origin, title) VALUES ('retail', 'shipped', 'BAS Роздрібна торгівля');

INSERT INTO profile_entity (profile, concept, origin, entity_set, filter) VALUES
    ('retail', 'order',                'shipped', 'Document_ЗаказПокупателя', NULL),
    ('retail', 'order_line',           'shipped', 'Товары', NULL),
    ('retail', 'counterparty',         'shipped', 'Catalog_Контрагенты', NULL),
    ('retail', 'counterparty_contact', 'shipped', 'Catalog_Контрагенты_КонтактнаяИнформация', NULL),
    ('retail', 'contact_row',          'shipped', 'КонтактнаяИнформация', NULL),
    ('retail', 'contact_kind',         'shipped', 'Catalog_ВидыКонтактнойИнформации', 'PredefinedDataName eq ''ТелефонКонтрагента'''),
    ('retail', 'product',              'shipped', 'Catalog_Номенклатура', NULL),
    ('retail', 'organisation',         'shipped', 'Catalog_Организации', NULL),
    ('retail', 'warehouse',            'shipped', 'Catalog_Склады', NULL),
    ('retail', 'currency',             'shipped', 'Catalog_Валюты', NULL),
    ('retail', 'vat_value',            'shipped', NULL, NULL);

INSERT INTO profile_entity (profile, concept, origin, entity_set, needed) VALUES
    ('retail', 'shop',                 'shipped', 'Catalog_Магазины', false),
    ('retail', 'price',                'shipped', 'InformationRegister_ЦеныНоменклатуры', false),
    ('retail', 'stock',                'shipped', 'AccumulationRegister_ТоварыНаСкладах', false);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, max_length, constant, rule) VALUES
    ('retail', 'order', 'date',            'shipped', 'Date', 'Edm.DateTime', NULL, NULL, 'orderTime'),
    ('retail', 'order', 'organisation',    'shipped', 'Организация_Key', 'Edm.Guid', NULL, NULL, 'account.organisation; to be verified'),
    ('retail', 'order', 'counterparty',    'shipped', 'Контрагент_Key', 'Edm.Guid', NULL, NULL, 'counterparty by phone; to be verified'),
    ('retail', 'order', 'warehouse',       'shipped', 'Склад_Key', 'Edm.Guid', NULL, NULL, 'account.warehouse; to be verified'),
    ('retail', 'order', 'vat_included',    'shipped', 'ЦенаВключаетНДС', 'Edm.Boolean', NULL, NULL, 'account.vat_included; to be verified'),
    ('retail', 'order', 'total',           'shipped', 'СуммаДокумента', 'Edm.Double', NULL, NULL, 'sum of the lines; to be verified'),
    ('retail', 'order', 'comment',         'shipped', 'Комментарий', 'Edm.String', NULL, NULL, 'marker and comment; to be verified'),
    ('retail', 'order_line', 'line_no',    'shipped', 'LineNumber', 'Edm.Int64', NULL, NULL, 'position'),
    ('retail', 'order_line', 'product',    'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, NULL, 'product by article = SKU; to be verified'),
    ('retail', 'order_line', 'characteristic', 'shipped', 'Характеристика_Key', 'Edm.Guid', NULL, NULL, 'product_pin; to be verified'),
    ('retail', 'order_line', 'quantity',   'shipped', 'Количество', 'Edm.Double', NULL, NULL, 'amount; to be verified'),
    ('retail', 'order_line', 'packs',      'shipped', 'КоличествоУпаковок', 'Edm.Double', NULL, NULL, 'amount; to be verified'),
    ('retail', 'order_line', 'price',      'shipped', 'Цена', 'Edm.Double', NULL, NULL, 'price; to be verified'),
    ('retail', 'order_line', 'sum',        'shipped', 'Сумма', 'Edm.Double', NULL, NULL, 'price, amount and discount; to be verified'),
    ('retail', 'order_line', 'vat_rate',   'shipped', 'СтавкаНДС', 'Edm.String', NULL, NULL, 'VAT rate of the product; to be verified'),
    ('retail', 'order_line', 'vat_sum',    'shipped', 'СуммаНДС', 'Edm.Double', NULL, NULL, 'sum and VAT rate; to be verified'),
    ('retail', 'counterparty', 'name',     'shipped', 'Description', 'Edm.String', 100, NULL, 'contact'),
    ('retail', 'counterparty', 'full_name', 'shipped', 'НаименованиеПолное', 'Edm.String', NULL, NULL, 'contact; to be verified'),
    ('retail', 'counterparty', 'deleted',  'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('retail', 'contact_row', 'type',      'shipped', 'Тип', 'Edm.String', NULL, '"Телефон"', 'constant'),
    ('retail', 'contact_row', 'kind',      'shipped', 'Вид_Key', 'Edm.Guid', NULL, NULL, 'contact kind ТелефонКонтрагента'),
    ('retail', 'contact_row', 'presentation', 'shipped', 'Представление', 'Edm.String', 500, NULL, 'phone'),
    ('retail', 'contact_row', 'number',    'shipped', 'НомерТелефона', 'Edm.String', 20, NULL, 'phone'),
    ('retail', 'contact_row', 'number_short', 'shipped', 'НомерТелефонаБезКодов', 'Edm.String', 20, NULL, 'phone'),
    ('retail', 'product', 'article',       'shipped', 'Артикул', 'Edm.String', NULL, NULL, ''),
    ('retail', 'product', 'name',          'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('retail', 'product', 'vat_rate',      'shipped', 'СтавкаНДС', 'Edm.String', NULL, NULL, 'to be verified'),
    ('retail', 'product', 'deleted',       'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('retail', 'product', 'is_folder',     'shipped', 'IsFolder', 'Edm.Boolean', NULL, NULL, ''),
    ('retail', 'vat_value', 'vat20',        'shipped', 'НДС20', 'Edm.String', NULL, '20', 'value of the enumeration СтавкиНДС; to be verified'),
    ('retail', 'vat_value', 'vat7',         'shipped', 'НДС7', 'Edm.String', NULL, '7', 'value of the enumeration СтавкиНДС; to be verified'),
    ('retail', 'vat_value', 'vat0',         'shipped', 'НДС0', 'Edm.String', NULL, '0', 'value of the enumeration СтавкиНДС; to be verified'),
    ('retail', 'vat_value', 'exempt',       'shipped', 'БезНДС', 'Edm.String', NULL, '0', 'value of the enumeration СтавкиНДС; to be verified');

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type)
SELECT 'retail', e.entity, p.concept, 'shipped', p.property, p.edm_type
FROM (VALUES ('organisation'), ('warehouse'), ('currency'), ('contact_kind')) e (entity)
CROSS JOIN (VALUES ('name', 'Description', 'Edm.String'), ('code', 'Code', 'Edm.String'), ('deleted', 'DeletionMark', 'Edm.Boolean')) p (concept, property, edm_type)
WHERE p.concept <> 'code' OR e.entity = 'currency';

-- Goods: two registers were seen by name; what is in them is to be confirmed. Characteristics, kits and cost are not known at all.
INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, constant, rule) VALUES
    ('retail', 'product', 'code', 'shipped', 'Code', 'Edm.String', NULL, ''),
    ('retail', 'product', 'parent', 'shipped', 'Parent_Key', 'Edm.Guid', NULL, ''),
    ('retail', 'price', 'price_type', 'shipped', 'ВидЦены_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('retail', 'price', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('retail', 'price', 'characteristic', 'shipped', 'Характеристика_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('retail', 'price', 'price', 'shipped', 'Цена', 'Edm.Double', NULL, 'to be verified'),
    ('retail', 'stock', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('retail', 'stock', 'characteristic', 'shipped', 'Характеристика_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('retail', 'stock', 'warehouse', 'shipped', 'Склад_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('retail', 'stock', 'quantity', 'shipped', 'ВНаличииBalance', 'Edm.Double', NULL, 'to be verified');
