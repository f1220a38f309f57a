-- Purpose: УНФ для України 1.6 (also the base of BAS Малий бізнес): names of sets and properties. Only rows.

INSERT INTO profile (name, origin, title) VALUES ('unf', 'shipped', 'УНФ (Управління невеликою фірмою) 1.6');

INSERT INTO profile_entity (profile, concept, origin, entity_set, filter) VALUES
    ('unf', 'order',                'shipped', 'Document_ЗаказПокупателя', NULL),
    ('unf', 'order_line',           'shipped', 'Запасы', NULL),
    ('unf', 'counterparty',         'shipped', 'Catalog_Контрагенты', NULL),
    ('unf', 'counterparty_contact', 'shipped', 'Catalog_Контрагенты_КонтактнаяИнформация', NULL),
    ('unf', 'contact_row',          'shipped', 'КонтактнаяИнформация', NULL),
    ('unf', 'product',              'shipped', 'Catalog_Номенклатура', NULL),
    ('unf', 'organisation',         'shipped', 'Catalog_Организации', NULL),
    ('unf', 'warehouse',            'shipped', 'Catalog_СтруктурныеЕдиницы', 'ТипСтруктурнойЕдиницы eq ''Склад'''),
    ('unf', 'currency',             'shipped', 'Catalog_Валюты', NULL),
    ('unf', 'price_type',           'shipped', 'Catalog_ВидыЦен', NULL),
    ('unf', 'contact_kind',         'shipped', 'Catalog_ВидыКонтактнойИнформации', 'PredefinedDataName eq ''ТелефонКонтрагента'''),
    ('unf', 'vat_rate',             'shipped', 'Catalog_СтавкиНДС', NULL),
    ('unf', 'status',               'shipped', 'Catalog_СостоянияЗаказовПокупателей', NULL),

    ('unf', 'unit',                 'shipped', 'Catalog_КлассификаторЕдиницИзмерения', NULL);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, max_length, constant, rule) VALUES
    ('unf', 'order', 'date',               'shipped', 'Date', 'Edm.DateTime', NULL, NULL, 'orderTime'),
    ('unf', 'order', 'organisation',       'shipped', 'Организация_Key', 'Edm.Guid', NULL, NULL, 'account.organisation'),
    ('unf', 'order', 'counterparty',       'shipped', 'Контрагент_Key', 'Edm.Guid', NULL, NULL, 'counterparty by phone'),
    ('unf', 'order', 'customer_reference', 'shipped', 'НомерВходящегоДокумента', 'Edm.String', 30, NULL, 'order number, or marker'),
    ('unf', 'order', 'total',              'shipped', 'СуммаДокумента', 'Edm.Double', NULL, NULL, 'sum of the lines'),
    ('unf', 'order', 'comment',            'shipped', 'Комментарий', 'Edm.String', NULL, NULL, 'comment'),
    ('unf', 'order', 'operation',          'shipped', 'ВидОперации', 'Edm.String', NULL, '"ЗаказНаПродажу"', 'constant'),
    ('unf', 'order', 'currency',           'shipped', 'ВалютаДокумента_Key', 'Edm.Guid', NULL, NULL, 'account.currency'),
    ('unf', 'order', 'rate',               'shipped', 'Курс', 'Edm.Double', NULL, '1', 'constant'),
    ('unf', 'order', 'multiplicity',       'shipped', 'Кратность', 'Edm.Int64', NULL, '1', 'constant'),
    ('unf', 'order', 'price_type',         'shipped', 'ВидЦен_Key', 'Edm.Guid', NULL, NULL, 'account.price_type'),
    ('unf', 'order', 'warehouse',          'shipped', 'СтруктурнаяЕдиницаРезерв_Key', 'Edm.Guid', NULL, NULL, 'account.warehouse'),
    ('unf', 'order', 'vat_taxation',       'shipped', 'НалогообложениеНДС', 'Edm.String', NULL, '"ОблагаетсяНДС"', 'constant'),
    ('unf', 'order', 'vat_included',       'shipped', 'СуммаВключаетНДС', 'Edm.Boolean', NULL, NULL, 'account.vat_included'),
    ('unf', 'order', 'status',             'shipped', 'СостояниеЗаказа', 'Edm.String', NULL, NULL, 'status, where account.status_to_bas is on'),
    ('unf', 'order', 'status_type',        'shipped', 'СостояниеЗаказа_Type', 'Edm.String', NULL, NULL, 'status, where account.status_to_bas is on'),
    ('unf', 'order', 'changed',            'shipped', 'ДатаИзменения', 'Edm.DateTime', NULL, NULL, ''),
    ('unf', 'order_line', 'line_no',       'shipped', 'LineNumber', 'Edm.Int64', NULL, NULL, 'position'),
    ('unf', 'order_line', 'product',       'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, NULL, 'product by article = SKU'),
    ('unf', 'order_line', 'is_stock',      'shipped', 'ТипНоменклатурыЗапас', 'Edm.Boolean', NULL, NULL, 'type of the product'),
    ('unf', 'order_line', 'characteristic', 'shipped', 'Характеристика_Key', 'Edm.Guid', NULL, NULL, 'product_pin'),
    ('unf', 'order_line', 'unit',          'shipped', 'ЕдиницаИзмерения', 'Edm.String', NULL, NULL, 'unit of the product'),
    ('unf', 'order_line', 'unit_type',     'shipped', 'ЕдиницаИзмерения_Type', 'Edm.String', NULL, NULL, 'unit of the product'),
    ('unf', 'order_line', 'quantity',      'shipped', 'Количество', 'Edm.Double', NULL, NULL, 'amount'),
    ('unf', 'order_line', 'price',         'shipped', 'Цена', 'Edm.Double', NULL, NULL, 'price'),
    ('unf', 'order_line', 'discount',      'shipped', 'ПроцентСкидкиНаценки', 'Edm.Double', NULL, NULL, 'discount'),
    ('unf', 'order_line', 'sum',           'shipped', 'Сумма', 'Edm.Double', NULL, NULL, 'price, amount and discount'),
    ('unf', 'order_line', 'vat_rate',      'shipped', 'СтавкаНДС_Key', 'Edm.Guid', NULL, NULL, 'VAT rate of the product'),
    ('unf', 'order_line', 'vat_sum',       'shipped', 'СуммаНДС', 'Edm.Double', NULL, NULL, 'sum and VAT rate'),
    ('unf', 'order_line', 'total',         'shipped', 'Всего', 'Edm.Double', NULL, NULL, 'sum and VAT'),
    ('unf', 'order_line', 'content',       'shipped', 'Содержание', 'Edm.String', NULL, NULL, 'SKU and name of a product that was substituted'),
    ('unf', 'counterparty', 'name',        'shipped', 'Description', 'Edm.String', 100, NULL, 'contact'),
    ('unf', 'counterparty', 'full_name',   'shipped', 'НаименованиеПолное', 'Edm.String', NULL, NULL, 'contact'),
    ('unf', 'counterparty', 'kind',        'shipped', 'ВидКонтрагента', 'Edm.String', NULL, '"ФизическоеЛицо"', 'constant'),
    ('unf', 'counterparty', 'is_customer', 'shipped', 'Покупатель', 'Edm.Boolean', NULL, 'true', 'constant'),
    ('unf', 'counterparty', 'deleted',     'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('unf', 'contact_row', 'type',         'shipped', 'Тип', 'Edm.String', NULL, '"Телефон"', 'constant'),
    ('unf', 'contact_row', 'kind',         'shipped', 'Вид_Key', 'Edm.Guid', NULL, NULL, 'contact kind ТелефонКонтрагента'),
    ('unf', 'contact_row', 'presentation', 'shipped', 'Представление', 'Edm.String', 500, NULL, 'phone'),
    ('unf', 'contact_row', 'number',       'shipped', 'НомерТелефона', 'Edm.String', 20, NULL, 'phone'),
    ('unf', 'contact_row', 'number_short', 'shipped', 'НомерТелефонаБезКодов', 'Edm.String', 20, NULL, 'phone'),
    ('unf', 'product', 'article',          'shipped', 'Артикул', 'Edm.String', 25, NULL, ''),
    ('unf', 'product', 'name',             'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('unf', 'product', 'unit',             'shipped', 'ЕдиницаИзмерения_Key', 'Edm.Guid', NULL, NULL, ''),
    ('unf', 'product', 'unit_set',         'shipped', NULL, 'Edm.String', NULL, '"StandardODATA.Catalog_КлассификаторЕдиницИзмерения"', ''),
    ('unf', 'product', 'vat_rate',         'shipped', 'СтавкаНДС_Key', 'Edm.Guid', NULL, NULL, ''),
    ('unf', 'product', 'kind',             'shipped', 'ТипНоменклатуры', 'Edm.String', NULL, NULL, ''),
    ('unf', 'product', 'stock_kind',       'shipped', NULL, 'Edm.String', NULL, '"Запас"', ''),
    ('unf', 'product', 'changed',          'shipped', 'ДатаИзменения', 'Edm.DateTime', NULL, NULL, ''),
    ('unf', 'product', 'deleted',          'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('unf', 'product', 'is_folder',        'shipped', 'IsFolder', 'Edm.Boolean', NULL, NULL, ''),
    ('unf', 'product', 'full_name',        'shipped', 'НаименованиеПолное', 'Edm.String', NULL, NULL, ''),
    ('unf', 'product', 'parent',           'shipped', 'Parent_Key', 'Edm.Guid', NULL, NULL, ''),
    ('unf', 'product', 'category',         'shipped', 'КатегорияНоменклатуры_Key', 'Edm.Guid', NULL, NULL, ''),
    ('unf', 'product', 'uses_characteristics', 'shipped', 'ИспользоватьХарактеристики', 'Edm.Boolean', NULL, NULL, ''),
    ('unf', 'unit', 'name',                'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('unf', 'unit', 'code',                'shipped', 'Code', 'Edm.String', NULL, NULL, ''),
    ('unf', 'unit', 'deleted',             'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('unf', 'organisation', 'name',        'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('unf', 'organisation', 'code',        'shipped', 'Code', 'Edm.String', NULL, NULL, ''),
    ('unf', 'organisation', 'deleted',     'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('unf', 'warehouse', 'name',           'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('unf', 'warehouse', 'code',           'shipped', 'Code', 'Edm.String', NULL, NULL, ''),
    ('unf', 'warehouse', 'deleted',        'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('unf', 'currency', 'name',            'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('unf', 'currency', 'code',            'shipped', 'Code', 'Edm.String', NULL, NULL, ''),
    ('unf', 'currency', 'deleted',         'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('unf', 'price_type', 'name',          'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('unf', 'price_type', 'code',          'shipped', 'Code', 'Edm.String', NULL, NULL, ''),
    ('unf', 'price_type', 'deleted',       'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('unf', 'contact_kind', 'name',        'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('unf', 'contact_kind', 'predefined',  'shipped', 'PredefinedDataName', 'Edm.String', NULL, NULL, ''),
    ('unf', 'contact_kind', 'deleted',     'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('unf', 'vat_rate', 'name',            'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('unf', 'vat_rate', 'rate',            'shipped', 'Ставка', 'Edm.Double', NULL, NULL, ''),
    ('unf', 'vat_rate', 'deleted',         'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('unf', 'status', 'name',              'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('unf', 'status', 'deleted',           'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, '');

INSERT INTO profile_entity (profile, concept, origin, entity_set, filter) VALUES
    ('unf', 'attribute_row',       'shipped', 'ДополнительныеРеквизиты', NULL),
    ('unf', 'attribute',           'shipped', 'ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения', 'ЭтоДополнительноеСведение eq false'),
    ('unf', 'contact_information', 'shipped', 'Catalog_ВидыКонтактнойИнформации', NULL);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, max_length, constant, rule) VALUES
    ('unf', 'attribute_row', 'attribute',  'shipped', 'Свойство_Key', 'Edm.Guid', NULL, NULL, 'field_map'),
    ('unf', 'attribute_row', 'value',      'shipped', 'Значение', 'Edm.String', NULL, NULL, 'field_map'),
    ('unf', 'attribute_row', 'value_type', 'shipped', 'Значение_Type', 'Edm.String', NULL, NULL, 'field_map'),
    ('unf', 'attribute_row', 'text',       'shipped', 'ТекстоваяСтрока', 'Edm.String', NULL, NULL, 'field_map'),
    ('unf', 'attribute', 'name',           'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('unf', 'attribute', 'code',           'shipped', 'Заголовок', 'Edm.String', NULL, NULL, ''),
    ('unf', 'attribute', 'kind',           'shipped', 'МногострочноеПолеВвода', 'Edm.Int16', NULL, NULL, ''),
    ('unf', 'attribute', 'deleted',        'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, ''),
    ('unf', 'contact_information', 'name', 'shipped', 'Description', 'Edm.String', NULL, NULL, ''),
    ('unf', 'contact_information', 'code', 'shipped', 'PredefinedDataName', 'Edm.String', NULL, NULL, ''),
    ('unf', 'contact_information', 'kind', 'shipped', 'Тип', 'Edm.String', NULL, NULL, ''),
    ('unf', 'contact_information', 'deleted', 'shipped', 'DeletionMark', 'Edm.Boolean', NULL, NULL, '');

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, max_length, constant, rule) VALUES
    ('unf', 'contact_row', 'email',      'shipped', 'АдресЭП', 'Edm.String', 100, NULL, 'field_map'),
    ('unf', 'contact_row', 'email_type', 'shipped', NULL, 'Edm.String', NULL, '"АдресЭлектроннойПочты"', '');

INSERT INTO field_map (account, target, property, origin, profile, source, note, changed_at) VALUES
    ('*', 'contact', 'EmailКонтрагента', 'shipped', 'unf', '$.contacts[*].email[*] ? (@ != "")', 'first e-mail address of the contacts', NULL);

-- УНФ 3.0: the product of a row may also be a text, so it travels with its type. How a product tells its VAT rate is to be verified there.
INSERT INTO profile (name, origin, title, parent, needs) VALUES ('unf:3.0', 'shipped', 'УНФ 3.0', 'unf', 'Document_ЗаказПокупателя_Запасы.Номенклатура_Type');

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, max_length, constant, rule) VALUES
    ('unf:3.0', 'order_line', 'product',      'shipped', 'Номенклатура', 'Edm.String', NULL, NULL, 'product by article = SKU'),
    ('unf:3.0', 'order_line', 'product_type', 'shipped', 'Номенклатура_Type', 'Edm.String', NULL, '"StandardODATA.Catalog_Номенклатура"', 'constant'),
    ('unf:3.0', 'product', 'article',         'shipped', 'Артикул', 'Edm.String', 50, NULL, ''),
    ('unf:3.0', 'product', 'vat_rate',        'shipped', NULL, 'Edm.Guid', NULL, NULL, 'to be verified');

-- Goods: prices stand in an independent register; stock knows no reserves; cost is the average of the register of stocks. Where kits are kept is not known.
INSERT INTO profile_entity (profile, concept, origin, entity_set, filter, needed) VALUES
    ('unf', 'characteristic', 'shipped', 'Catalog_ХарактеристикиНоменклатуры', NULL, false),
    ('unf', 'pack', 'shipped', 'Catalog_ЕдиницыИзмерения', NULL, false),
    ('unf', 'price', 'shipped', 'InformationRegister_ЦеныНоменклатуры', NULL, false),
    ('unf', 'stock', 'shipped', 'AccumulationRegister_ЗапасыНаСкладах', NULL, false),
    ('unf', 'cost', 'shipped', 'AccumulationRegister_Запасы', NULL, false);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, constant, rule) VALUES
    ('unf', 'product', 'code', 'shipped', 'Code', 'Edm.String', NULL, ''),
    ('unf', 'characteristic', 'owner', 'shipped', 'Owner', 'Edm.String', NULL, ''),
    ('unf', 'characteristic', 'owner_type', 'shipped', 'Owner_Type', 'Edm.String', NULL, ''),
    ('unf', 'characteristic', 'name', 'shipped', 'Description', 'Edm.String', NULL, ''),
    ('unf', 'characteristic', 'code', 'shipped', 'Code', 'Edm.String', NULL, ''),
    ('unf', 'characteristic', 'deleted', 'shipped', 'DeletionMark', 'Edm.Boolean', NULL, ''),
    ('unf', 'price', 'price_type', 'shipped', 'ВидЦен_Key', 'Edm.Guid', NULL, ''),
    ('unf', 'price', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, ''),
    ('unf', 'price', 'characteristic', 'shipped', 'Характеристика_Key', 'Edm.Guid', NULL, ''),
    ('unf', 'price', 'price', 'shipped', 'Цена', 'Edm.Double', NULL, ''),
    ('unf', 'price', 'unit', 'shipped', 'ЕдиницаИзмерения', 'Edm.String', NULL, ''),
    ('unf', 'price', 'active', 'shipped', 'Актуальность', 'Edm.Boolean', NULL, ''),
    ('unf', 'pack', 'code', 'shipped', 'Code', 'Edm.String', NULL, ''),
    ('unf', 'pack', 'coefficient', 'shipped', 'Коэффициент', 'Edm.Double', NULL, ''),
    ('unf', 'stock', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, ''),
    ('unf', 'stock', 'characteristic', 'shipped', 'Характеристика_Key', 'Edm.Guid', NULL, ''),
    ('unf', 'stock', 'warehouse', 'shipped', 'СтруктурнаяЕдиница_Key', 'Edm.Guid', NULL, ''),
    ('unf', 'stock', 'quantity', 'shipped', 'КоличествоBalance', 'Edm.Double', NULL, ''),
    ('unf', 'cost', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, ''),
    ('unf', 'cost', 'characteristic', 'shipped', 'Характеристика_Key', 'Edm.Guid', NULL, ''),
    ('unf', 'cost', 'quantity', 'shipped', 'КоличествоBalance', 'Edm.Double', NULL, ''),
    ('unf', 'cost', 'sum', 'shipped', 'СуммаBalance', 'Edm.Double', NULL, '');

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, constant, rule) VALUES
    ('unf:3.0', 'price', 'currency', 'shipped', 'ВалютаЦены_Key', 'Edm.Guid', NULL, '');
