-- Purpose: Альфа-Авто 6 (Автосервіс + Автозапчастини): names of sets and properties; the order of parts is the document. Only rows.
-- That order has no status (it stands in the journal of states) and no customer reference: the marker stands in its comment, which holds 500 letters.

INSERT INTO profile (name, origin, title) VALUES ('alfa_auto6', 'shipped', 'Альфа-Авто 6 (Автосервіс + Автозапчастини)');

INSERT INTO profile_entity (profile, concept, origin, entity_set, filter) VALUES
    ('alfa_auto6', 'order',                'shipped', 'Document_ЗаказПокупателя', NULL),
    ('alfa_auto6', 'order_line',           'shipped', 'Товары', NULL),
    ('alfa_auto6', 'status',               'shipped', 'Catalog_ВидыСостоянийЗаказНарядов', 'ИспользоватьВЗаказеПокупателя eq true'),
    ('alfa_auto6', 'counterparty',         'shipped', 'Catalog_Контрагенты', NULL),
    ('alfa_auto6', 'counterparty_contact', 'shipped', 'Catalog_Контрагенты_КонтактнаяИнформация', NULL),
    ('alfa_auto6', 'contact_row',          'shipped', 'КонтактнаяИнформация', NULL),
    ('alfa_auto6', 'contact_kind',         'shipped', 'Catalog_ВидыКонтактнойИнформации', 'PredefinedDataName eq ''ТелефонКонтрагента'''),
    ('alfa_auto6', 'product',              'shipped', 'Catalog_Номенклатура', NULL),
    ('alfa_auto6', 'organisation',         'shipped', 'Catalog_Организации', NULL),
    ('alfa_auto6', 'warehouse',            'shipped', 'Catalog_СкладыКомпании', NULL),
    ('alfa_auto6', 'currency',             'shipped', 'Catalog_Валюты', NULL),
    ('alfa_auto6', 'price_type',           'shipped', 'Catalog_ТипыЦен', NULL),
    ('alfa_auto6', 'vat_rate',             'shipped', 'Catalog_СтавкиНДС', NULL);

INSERT INTO profile_entity (profile, concept, origin, entity_set, needed) VALUES
    ('alfa_auto6', 'attribute_row',        'shipped', 'ДополнительныеРеквизиты', false),
    ('alfa_auto6', 'order_state',          'shipped', 'InformationRegister_ЖурналСостояний', false),
    ('alfa_auto6', 'characteristic',       'shipped', 'Catalog_ХарактеристикиНоменклатуры', false),
    ('alfa_auto6', 'contract',             'shipped', 'Catalog_ДоговорыВзаиморасчетов', false),
    ('alfa_auto6', 'stock',                'shipped', 'AccumulationRegister_ОстаткиТоваровКомпании', false),
    ('alfa_auto6', 'cost',                 'shipped', 'AccumulationRegister_ПартииТоваровКомпании', false),
    ('alfa_auto6', 'sale',                 'shipped', 'Document_РеализацияТоваров', false),
    ('alfa_auto6', 'invoice',              'shipped', 'Document_СчетНаОплату', false),
    ('alfa_auto6', 'work_order',           'shipped', 'Document_ЗаказНаряд', false);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, max_length, constant, rule) VALUES
    ('alfa_auto6', 'order', 'date',            'shipped', 'Date', 'Edm.DateTime', NULL, NULL, 'orderTime'),
    ('alfa_auto6', 'order', 'organisation',    'shipped', 'Организация_Key', 'Edm.Guid', NULL, NULL, 'account.organisation'),
    ('alfa_auto6', 'order', 'counterparty',    'shipped', 'Контрагент_Key', 'Edm.Guid', NULL, NULL, 'counterparty by phone'),
    ('alfa_auto6', 'order', 'total',           'shipped', 'СуммаДокумента', 'Edm.Double', NULL, NULL, 'sum of the lines'),
    ('alfa_auto6', 'order', 'comment',         'shipped', 'Комментарий', 'Edm.String', 500, NULL, 'marker and comment'),
    ('alfa_auto6', 'order', 'currency',        'shipped', 'ВалютаДокумента_Key', 'Edm.Guid', NULL, NULL, 'account.currency'),
    ('alfa_auto6', 'order', 'rate',            'shipped', 'КурсДокумента', 'Edm.Double', NULL, '1', 'constant'),
    ('alfa_auto6', 'order', 'price_type',      'shipped', 'ТипЦен_Key', 'Edm.Guid', NULL, NULL, 'account.price_type'),
    ('alfa_auto6', 'order', 'warehouse',       'shipped', 'СкладКомпании_Key', 'Edm.Guid', NULL, NULL, 'account.warehouse'),
    ('alfa_auto6', 'order_state', 'changed',   'shipped', 'Period', 'Edm.DateTime', NULL, NULL, ''),
    ('alfa_auto6', 'order_state', 'order',     'shipped', 'Объект', 'Edm.String', NULL, NULL, ''),
    ('alfa_auto6', 'order_state', 'order_type', 'shipped', 'Объект_Type', 'Edm.String', NULL, NULL, ''),
    ('alfa_auto6', 'order_state', 'state',     'shipped', 'Состояние', 'Edm.String', NULL, NULL, ''),
    ('alfa_auto6', 'order_state', 'state_type', 'shipped', 'Состояние_Type', 'Edm.String', NULL, NULL, ''),
    ('alfa_auto6', 'order_line', 'line_no',    'shipped', 'LineNumber', 'Edm.Int64', NULL, NULL, 'position'),
    ('alfa_auto6', 'order_line', 'product',    'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, NULL, 'product by article = SKU'),
    ('alfa_auto6', 'order_line', 'characteristic', 'shipped', 'ХарактеристикаНоменклатуры_Key', 'Edm.Guid', NULL, NULL, 'product_pin'),
    ('alfa_auto6', 'order_line', 'unit',       'shipped', 'ЕдиницаИзмерения_Key', 'Edm.Guid', NULL, NULL, 'unit of the product'),
    ('alfa_auto6', 'order_line', 'coefficient', 'shipped', 'Коэффициент', 'Edm.Double', NULL, '1', 'constant'),
    ('alfa_auto6', 'order_line', 'quantity',   'shipped', 'Количество', 'Edm.Double', NULL, NULL, 'amount'),
    ('alfa_auto6', 'order_line', 'price',      'shipped', 'Цена', 'Edm.Double', NULL, NULL, 'price'),
    ('alfa_auto6', 'order_line', 'discount',   'shipped', 'ПроцентСкидки', 'Edm.Double', NULL, NULL, 'discount'),
    ('alfa_auto6', 'order_line', 'discount_sum', 'shipped', 'СуммаСкидки', 'Edm.Double', NULL, NULL, 'discount'),
    ('alfa_auto6', 'order_line', 'sum',        'shipped', 'Сумма', 'Edm.Double', NULL, NULL, 'price, amount and discount; to be verified: after the discount'),
    ('alfa_auto6', 'order_line', 'vat_rate',   'shipped', 'СтавкаНДС_Key', 'Edm.Guid', NULL, NULL, 'VAT rate of the product'),
    ('alfa_auto6', 'order_line', 'vat_sum',    'shipped', 'СуммаНДС', 'Edm.Double', NULL, NULL, 'sum and VAT rate'),
    ('alfa_auto6', 'order_line', 'total',      'shipped', 'СуммаВсего', 'Edm.Double', NULL, NULL, 'sum and VAT'),
    ('alfa_auto6', 'counterparty', 'name',     'shipped', 'Description', 'Edm.String', 100, NULL, 'contact'),
    ('alfa_auto6', 'counterparty', 'full_name', 'shipped', 'НаименованиеПолное', 'Edm.String', NULL, NULL, 'contact'),
    ('alfa_auto6', 'counterparty', 'deleted',  'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('alfa_auto6', 'contact_row', 'type',      'shipped', 'Тип', 'Edm.String', NULL, '"Телефон"', 'constant'),
    ('alfa_auto6', 'contact_row', 'kind',      'shipped', 'Вид_Key', 'Edm.Guid', NULL, NULL, 'contact kind ТелефонКонтрагента'),
    ('alfa_auto6', 'contact_row', 'presentation', 'shipped', 'Представление', 'Edm.String', 500, NULL, 'phone'),
    ('alfa_auto6', 'contact_row', 'number',    'shipped', 'НомерТелефона', 'Edm.String', 20, NULL, 'phone'),
    ('alfa_auto6', 'contact_row', 'number_short', 'shipped', 'НомерТелефонаБезКодов', 'Edm.String', 20, NULL, 'phone'),
    ('alfa_auto6', 'product', 'article',       'shipped', 'Артикул', 'Edm.String', 50, NULL, ''),
    ('alfa_auto6', 'product', 'name',          'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('alfa_auto6', 'product', 'unit',          'shipped', 'ОсновнаяЕдиницаИзмерения_Key', 'Edm.Guid', NULL, NULL, ''),
    ('alfa_auto6', 'product', 'vat_rate',      'shipped', 'СтавкаНДС_Key', 'Edm.Guid', NULL, NULL, ''),
    ('alfa_auto6', 'product', 'deleted',       'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('alfa_auto6', 'product', 'is_folder',     'shipped', 'IsFolder', 'Edm.Boolean', NULL, NULL, ''),
    ('alfa_auto6', 'vat_rate', 'name',         'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('alfa_auto6', 'vat_rate', 'rate',         'shipped', 'Ставка', 'Edm.Double', NULL, NULL, ''),
    ('alfa_auto6', 'vat_rate', 'deleted',      'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, '');

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type)
SELECT 'alfa_auto6', e.entity, p.concept, 'shipped', p.property, p.edm_type
FROM (VALUES ('organisation'), ('warehouse'), ('currency'), ('price_type'), ('contact_kind'), ('status')) e (entity)
CROSS JOIN (VALUES ('name', 'Description', 'Edm.String'), ('code', 'Code', 'Edm.String'), ('deleted', 'DeletionMark', 'Edm.Boolean')) p (concept, property, edm_type)
WHERE (e.entity, p.concept) <> ('contact_kind', 'code');

INSERT INTO profile_entity (profile, concept, origin, entity_set, filter, needed) VALUES
    ('alfa_auto6', 'attribute',           'shipped', 'ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения', 'ЭтоДополнительноеСведение eq false', false),
    ('alfa_auto6', 'contact_information', 'shipped', 'Catalog_ВидыКонтактнойИнформации', NULL, false);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type) VALUES
    ('alfa_auto6', 'attribute_row', 'attribute',  'shipped', 'Свойство_Key', 'Edm.Guid'),
    ('alfa_auto6', 'attribute_row', 'value',      'shipped', 'Значение', 'Edm.String'),
    ('alfa_auto6', 'attribute_row', 'value_type', 'shipped', 'Значение_Type', 'Edm.String'),
    ('alfa_auto6', 'attribute_row', 'text',       'shipped', 'ТекстоваяСтрока', 'Edm.String'),
    ('alfa_auto6', 'attribute', 'name',           'shipped', 'Description', 'Edm.String'),
    ('alfa_auto6', 'attribute', 'code',           'shipped', 'Заголовок', 'Edm.String'),
    ('alfa_auto6', 'attribute', 'kind',           'shipped', 'МногострочноеПолеВвода', 'Edm.Int16'),
    ('alfa_auto6', 'attribute', 'deleted',        'shipped', 'DeletionMark', 'Edm.Boolean'),
    ('alfa_auto6', 'contact_information', 'name', 'shipped', 'Description', 'Edm.String'),
    ('alfa_auto6', 'contact_information', 'code', 'shipped', 'PredefinedDataName', 'Edm.String'),
    ('alfa_auto6', 'contact_information', 'kind', 'shipped', 'Тип', 'Edm.String'),
    ('alfa_auto6', 'contact_information', 'deleted', 'shipped', 'DeletionMark', 'Edm.Boolean');

-- Goods: prices for all, not those of one customer or department; the composition of a kit stands in the product itself; stock knows reserves.
INSERT INTO profile_entity (profile, concept, origin, entity_set, filter, needed) VALUES
    ('alfa_auto6', 'pack', 'shipped', 'Catalog_ЕдиницыИзмерения', NULL, false),
    ('alfa_auto6', 'price', 'shipped', 'InformationRegister_Цены_RecordType', 'Контрагент_Key eq guid''00000000-0000-0000-0000-000000000000'' and ПодразделениеКомпании_Key eq guid''00000000-0000-0000-0000-000000000000''', false),
    ('alfa_auto6', 'kit', 'shipped', 'Catalog_Номенклатура', 'СоставНабора/any()', false),
    ('alfa_auto6', 'kit_row', 'shipped', 'СоставНабора', NULL, false);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, constant, rule) VALUES
    ('alfa_auto6', 'product', 'code', 'shipped', 'Code', 'Edm.String', NULL, ''),
    ('alfa_auto6', 'product', 'parent', 'shipped', 'Parent_Key', 'Edm.Guid', NULL, ''),
    ('alfa_auto6', 'product', 'full_name', 'shipped', 'НаименованиеПолное', 'Edm.String', NULL, ''),
    ('alfa_auto6', 'characteristic', 'owner', 'shipped', 'Owner', 'Edm.String', NULL, ''),
    ('alfa_auto6', 'characteristic', 'owner_type', 'shipped', 'Owner_Type', 'Edm.String', NULL, ''),
    ('alfa_auto6', 'characteristic', 'name', 'shipped', 'Description', 'Edm.String', NULL, ''),
    ('alfa_auto6', 'characteristic', 'code', 'shipped', 'Code', 'Edm.String', NULL, ''),
    ('alfa_auto6', 'characteristic', 'deleted', 'shipped', 'DeletionMark', 'Edm.Boolean', NULL, ''),
    ('alfa_auto6', 'pack', 'code', 'shipped', 'Code', 'Edm.String', NULL, ''),
    ('alfa_auto6', 'pack', 'coefficient', 'shipped', 'Коэффициент', 'Edm.Double', NULL, ''),
    ('alfa_auto6', 'kit', 'owner', 'shipped', 'Ref_Key', 'Edm.Guid', NULL, ''),
    ('alfa_auto6', 'kit', 'code', 'shipped', 'Code', 'Edm.String', NULL, ''),
    ('alfa_auto6', 'kit', 'deleted', 'shipped', 'DeletionMark', 'Edm.Boolean', NULL, ''),
    ('alfa_auto6', 'kit_row', 'line_no', 'shipped', 'LineNumber', 'Edm.Int64', NULL, ''),
    ('alfa_auto6', 'kit_row', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, ''),
    ('alfa_auto6', 'kit_row', 'characteristic', 'shipped', 'ХарактеристикаНоменклатуры_Key', 'Edm.Guid', NULL, ''),
    ('alfa_auto6', 'kit_row', 'quantity', 'shipped', 'Количество', 'Edm.Double', NULL, ''),
    ('alfa_auto6', 'price', 'price_type', 'shipped', 'ТипЦен_Key', 'Edm.Guid', NULL, ''),
    ('alfa_auto6', 'price', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, ''),
    ('alfa_auto6', 'price', 'characteristic', 'shipped', 'ХарактеристикаНоменклатуры_Key', 'Edm.Guid', NULL, ''),
    ('alfa_auto6', 'price', 'unit', 'shipped', 'ЕдиницаИзмерения_Key', 'Edm.Guid', NULL, ''),
    ('alfa_auto6', 'price', 'price', 'shipped', 'Цена', 'Edm.Double', NULL, ''),
    ('alfa_auto6', 'stock', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, ''),
    ('alfa_auto6', 'stock', 'characteristic', 'shipped', 'ХарактеристикаНоменклатуры_Key', 'Edm.Guid', NULL, ''),
    ('alfa_auto6', 'stock', 'warehouse', 'shipped', 'СкладКомпании_Key', 'Edm.Guid', NULL, ''),
    ('alfa_auto6', 'stock', 'quantity', 'shipped', 'КоличествоBalance', 'Edm.Double', NULL, ''),
    ('alfa_auto6', 'stock', 'reserved', 'shipped', 'РезервBalance', 'Edm.Double', NULL, ''),
    ('alfa_auto6', 'cost', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, ''),
    ('alfa_auto6', 'cost', 'characteristic', 'shipped', 'ХарактеристикаНоменклатуры_Key', 'Edm.Guid', NULL, ''),
    ('alfa_auto6', 'cost', 'quantity', 'shipped', 'КоличествоBalance', 'Edm.Double', NULL, ''),
    ('alfa_auto6', 'cost', 'sum', 'shipped', 'СуммаBalance', 'Edm.Double', NULL, '');
