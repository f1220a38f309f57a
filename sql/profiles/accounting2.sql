-- Purpose: BAS Бухгалтерія 2.1: names of sets and properties. It has no customer order: the buyer's invoice stands for it. Only rows.
-- The invoice has neither a status nor a customer reference nor a section of additional attributes: the marker of the order stands in its comment.

INSERT INTO profile (name, origin, title) VALUES ('accounting2', 'shipped', 'BAS Бухгалтерія 2.1');

INSERT INTO profile_entity (profile, concept, origin, entity_set, filter) VALUES
    ('accounting2', 'order',                'shipped', 'Document_СчетНаОплатуПокупателю', NULL),
    ('accounting2', 'order_line',           'shipped', 'Товары', NULL),
    ('accounting2', 'counterparty',         'shipped', 'Catalog_Контрагенты', NULL),
    ('accounting2', 'counterparty_contact', 'shipped', 'Catalog_Контрагенты_КонтактнаяИнформация', NULL),
    ('accounting2', 'contact_row',          'shipped', 'КонтактнаяИнформация', NULL),
    ('accounting2', 'contact_kind',         'shipped', 'Catalog_ВидыКонтактнойИнформации', 'PredefinedDataName eq ''ТелефонКонтрагента'''),
    ('accounting2', 'product',              'shipped', 'Catalog_Номенклатура', NULL),
    ('accounting2', 'unit',                 'shipped', 'Catalog_КлассификаторЕдиницИзмерения', NULL),
    ('accounting2', 'organisation',         'shipped', 'Catalog_Организации', NULL),
    ('accounting2', 'warehouse',            'shipped', 'Catalog_Склады', NULL),
    ('accounting2', 'currency',             'shipped', 'Catalog_Валюты', NULL),
    ('accounting2', 'price_type',           'shipped', 'Catalog_ТипыЦенНоменклатуры', NULL),
    ('accounting2', 'vat_value',            'shipped', NULL, NULL);

INSERT INTO profile_entity (profile, concept, origin, entity_set, filter, needed) VALUES
    ('accounting2', 'attribute',            'shipped', 'ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения', 'ЭтоДополнительноеСведение eq true', false);

INSERT INTO profile_entity (profile, concept, origin, entity_set, needed) VALUES
    ('accounting2', 'contract',             'shipped', 'Catalog_ДоговорыКонтрагентов', false),
    ('accounting2', 'price',                'shipped', 'InformationRegister_ЦеныНоменклатуры_RecordType', false),
    ('accounting2', 'sale',                 'shipped', 'Document_РеализацияТоваровУслуг', false);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, max_length, constant, rule) VALUES
    ('accounting2', 'order', 'date',            'shipped', 'Date', 'Edm.DateTime', NULL, NULL, 'orderTime'),
    ('accounting2', 'order', 'organisation',    'shipped', 'Организация_Key', 'Edm.Guid', NULL, NULL, 'account.organisation'),
    ('accounting2', 'order', 'counterparty',    'shipped', 'Контрагент_Key', 'Edm.Guid', NULL, NULL, 'counterparty by phone'),
    ('accounting2', 'order', 'contract',        'shipped', 'ДоговорКонтрагента_Key', 'Edm.Guid', NULL, NULL, 'main contract of the counterparty'),
    ('accounting2', 'order', 'total',           'shipped', 'СуммаДокумента', 'Edm.Double', NULL, NULL, 'sum of the lines'),
    ('accounting2', 'order', 'comment',         'shipped', 'Комментарий', 'Edm.String', NULL, NULL, 'marker and comment'),
    ('accounting2', 'order', 'currency',        'shipped', 'ВалютаДокумента_Key', 'Edm.Guid', NULL, NULL, 'account.currency'),
    ('accounting2', 'order', 'rate',            'shipped', 'КурсВзаиморасчетов', 'Edm.Double', NULL, '1', 'constant'),
    ('accounting2', 'order', 'multiplicity',    'shipped', 'КратностьВзаиморасчетов', 'Edm.Int64', NULL, '1', 'constant'),
    ('accounting2', 'order', 'price_type',      'shipped', 'ТипЦен_Key', 'Edm.Guid', NULL, NULL, 'account.price_type'),
    ('accounting2', 'order', 'warehouse',       'shipped', 'Склад_Key', 'Edm.Guid', NULL, NULL, 'account.warehouse'),
    ('accounting2', 'order', 'vat_included',    'shipped', 'СуммаВключаетНДС', 'Edm.Boolean', NULL, NULL, 'account.vat_included'),
    ('accounting2', 'order', 'delivery_address', 'shipped', 'АдресДоставки', 'Edm.String', 250, NULL, ''),
    ('accounting2', 'order_line', 'line_no',    'shipped', 'LineNumber', 'Edm.Int64', NULL, NULL, 'position'),
    ('accounting2', 'order_line', 'product',    'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, NULL, 'product by article = SKU'),
    ('accounting2', 'order_line', 'unit',       'shipped', 'ЕдиницаИзмерения_Key', 'Edm.Guid', NULL, NULL, 'unit of the product'),
    ('accounting2', 'order_line', 'coefficient', 'shipped', 'Коэффициент', 'Edm.Double', NULL, '1', 'constant'),
    ('accounting2', 'order_line', 'quantity',   'shipped', 'Количество', 'Edm.Double', NULL, NULL, 'amount'),
    ('accounting2', 'order_line', 'price',      'shipped', 'Цена', 'Edm.Double', NULL, NULL, 'price'),
    ('accounting2', 'order_line', 'full_sum',   'shipped', 'СуммаБезСкидки', 'Edm.Double', NULL, NULL, 'price and amount'),
    ('accounting2', 'order_line', 'discount_sum', 'shipped', 'СуммаСкидки', 'Edm.Double', NULL, NULL, 'discount'),
    ('accounting2', 'order_line', 'sum',        'shipped', 'Сумма', 'Edm.Double', NULL, NULL, 'price, amount and discount'),
    ('accounting2', 'order_line', 'vat_rate',   'shipped', 'СтавкаНДС', 'Edm.String', NULL, NULL, 'VAT rate of the product'),
    ('accounting2', 'order_line', 'vat_sum',    'shipped', 'СуммаНДС', 'Edm.Double', NULL, NULL, 'sum and VAT rate'),
    ('accounting2', 'counterparty', 'name',     'shipped', 'Description', 'Edm.String', 100, NULL, 'contact'),
    ('accounting2', 'counterparty', 'full_name', 'shipped', 'НаименованиеПолное', 'Edm.String', 250, NULL, 'contact'),
    ('accounting2', 'counterparty', 'kind',     'shipped', 'ЮридическоеФизическоеЛицо', 'Edm.String', NULL, '"ФизическоеЛицо"', 'constant'),
    ('accounting2', 'counterparty', 'contract', 'shipped', 'ОсновнойДоговорКонтрагента_Key', 'Edm.Guid', NULL, NULL, 'left to BAS'),
    ('accounting2', 'counterparty', 'deleted',  'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('accounting2', 'contact_row', 'type',      'shipped', 'Тип', 'Edm.String', NULL, '"Телефон"', 'constant'),
    ('accounting2', 'contact_row', 'kind',      'shipped', 'Вид_Key', 'Edm.Guid', NULL, NULL, 'contact kind ТелефонКонтрагента'),
    ('accounting2', 'contact_row', 'presentation', 'shipped', 'Представление', 'Edm.String', 500, NULL, 'phone'),
    ('accounting2', 'contact_row', 'number',    'shipped', 'НомерТелефона', 'Edm.String', 20, NULL, 'phone'),
    ('accounting2', 'contact_row', 'number_short', 'shipped', 'НомерТелефонаБезКодов', 'Edm.String', 20, NULL, 'phone'),
    ('accounting2', 'product', 'article',       'shipped', 'Артикул', 'Edm.String', 25, NULL, ''),
    ('accounting2', 'product', 'name',          'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('accounting2', 'product', 'unit',          'shipped', 'БазоваяЕдиницаИзмерения_Key', 'Edm.Guid', NULL, NULL, ''),
    ('accounting2', 'product', 'vat_rate',      'shipped', 'СтавкаНДС', 'Edm.String', NULL, NULL, ''),
    ('accounting2', 'product', 'deleted',       'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('accounting2', 'product', 'is_folder',     'shipped', 'IsFolder', 'Edm.Boolean', NULL, NULL, ''),
    ('accounting2', 'attribute', 'name',         'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('accounting2', 'attribute', 'code',         'shipped', 'Заголовок', 'Edm.String', NULL, NULL, ''),
    ('accounting2', 'attribute', 'kind',         'shipped', 'МногострочноеПолеВвода', 'Edm.Int16', NULL, NULL, ''),
    ('accounting2', 'attribute', 'deleted',      'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('accounting2', 'vat_value', 'vat20',        'shipped', 'НДС20', 'Edm.String', NULL, '20', 'value of the enumeration СтавкиНДС'),
    ('accounting2', 'vat_value', 'vat14',        'shipped', 'НДС14', 'Edm.String', NULL, '14', 'value of the enumeration СтавкиНДС'),
    ('accounting2', 'vat_value', 'vat7',         'shipped', 'НДС7', 'Edm.String', NULL, '7', 'value of the enumeration СтавкиНДС'),
    ('accounting2', 'vat_value', 'vat0',         'shipped', 'НДС0', 'Edm.String', NULL, '0', 'value of the enumeration СтавкиНДС'),
    ('accounting2', 'vat_value', 'exempt',       'shipped', 'БезНДС', 'Edm.String', NULL, '0', 'value of the enumeration СтавкиНДС'),
    ('accounting2', 'vat_value', 'none',         'shipped', 'НеНДС', 'Edm.String', NULL, '0', 'value of the enumeration СтавкиНДС');

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type)
SELECT 'accounting2', e.entity, p.concept, 'shipped', p.property, p.edm_type
FROM (VALUES ('organisation'), ('warehouse'), ('currency'), ('price_type'), ('unit'), ('contact_kind')) e (entity)
CROSS JOIN (VALUES ('name', 'Description', 'Edm.String'), ('code', 'Code', 'Edm.String'), ('deleted', 'DeletionMark', 'Edm.Boolean')) p (concept, property, edm_type)
WHERE (e.entity, p.concept) <> ('contact_kind', 'code');

INSERT INTO field_map (account, target, property, origin, profile, source, transform, arguments, note, changed_at) VALUES
    ('*', 'order', 'АдресДоставки', 'shipped', 'accounting2', 'delivery[*].address', 'join', '{"separator": "; "}', 'addresses of the parcels', NULL);

-- Goods: no characteristics; stock and cost are balances of the accounting register on the accounts of goods. Where kits are kept is not known.
INSERT INTO profile_entity (profile, concept, origin, entity_set, filter, needed) VALUES
    ('accounting2', 'characteristic', 'shipped', NULL, NULL, false),
    ('accounting2', 'stock', 'shipped', 'AccountingRegister_Хозрасчетный', NULL, false),
    ('accounting2', 'cost', 'shipped', 'AccountingRegister_Хозрасчетный', NULL, false);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, constant, rule) VALUES
    ('accounting2', 'product', 'code', 'shipped', 'Code', 'Edm.String', NULL, ''),
    ('accounting2', 'product', 'parent', 'shipped', 'Parent_Key', 'Edm.Guid', NULL, ''),
    ('accounting2', 'product', 'full_name', 'shipped', 'НаименованиеПолное', 'Edm.String', NULL, ''),
    ('accounting2', 'product', 'is_service', 'shipped', 'Услуга', 'Edm.Boolean', NULL, ''),
    ('accounting2', 'price', 'price_type', 'shipped', 'ТипЦен_Key', 'Edm.Guid', NULL, ''),
    ('accounting2', 'price', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, ''),
    ('accounting2', 'price', 'price', 'shipped', 'Цена', 'Edm.Double', NULL, ''),
    ('accounting2', 'price', 'currency', 'shipped', 'Валюта_Key', 'Edm.Guid', NULL, ''),
    ('accounting2', 'stock', 'accounts', 'shipped', NULL, 'Edm.String', '"Account/Code eq ''281''"', 'account of goods; other accounts: a row of the user'),
    ('accounting2', 'stock', 'extra_1', 'shipped', 'ExtDimension1', 'Edm.String', NULL, ''),
    ('accounting2', 'stock', 'extra_2', 'shipped', 'ExtDimension2', 'Edm.String', NULL, ''),
    ('accounting2', 'stock', 'extra_3', 'shipped', 'ExtDimension3', 'Edm.String', NULL, ''),
    ('accounting2', 'stock', 'quantity', 'shipped', 'КоличествоDebitBalance', 'Edm.Double', NULL, 'named as the column of the sum is'),
    ('accounting2', 'cost', 'accounts', 'shipped', NULL, 'Edm.String', '"Account/Code eq ''281''"', 'account of goods; other accounts: a row of the user'),
    ('accounting2', 'cost', 'extra_1', 'shipped', 'ExtDimension1', 'Edm.String', NULL, ''),
    ('accounting2', 'cost', 'extra_2', 'shipped', 'ExtDimension2', 'Edm.String', NULL, ''),
    ('accounting2', 'cost', 'extra_3', 'shipped', 'ExtDimension3', 'Edm.String', NULL, ''),
    ('accounting2', 'cost', 'quantity', 'shipped', 'КоличествоDebitBalance', 'Edm.Double', NULL, 'named as the column of the sum is'),
    ('accounting2', 'stock', 'quantity_credit', 'shipped', 'КоличествоCreditBalance', 'Edm.Double', NULL, 'named as the column of the sum is'),
    ('accounting2', 'cost', 'sum', 'shipped', 'СуммаDebitBalance', 'Edm.Double', NULL, '');
