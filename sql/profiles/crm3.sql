-- Purpose: CRM 3.0: it is known to bring its own sets (CRM_…) beside the customer order; their properties are not public. The order goes the way
-- of УНФ, whose rows it takes over; what was never seen of it is marked "to be verified": check() compares it with what $metadata says. Only rows.

INSERT INTO profile (name, origin, title, parent) VALUES ('crm3', 'shipped', 'CRM 3.0', 'unf');

INSERT INTO profile_entity (profile, concept, origin, entity_set, needed) VALUES
    ('crm3', 'interest',        'shipped', 'Document_CRM_Интерес', false),
    ('crm3', 'request',         'shipped', 'Document_CRM_Заявка', false),
    ('crm3', 'interaction',     'shipped', 'Document_CRM_Взаимодействие', false),
    ('crm3', 'interest_state',  'shipped', 'Catalog_CRM_СостоянияИнтересов', false),
    ('crm3', 'lead',            'shipped', 'Catalog_CRM_ПотенциальныеКлиенты', false),
    ('crm3', 'customer_status', 'shipped', 'Catalog_CRM_СтатусыРаботыСКлиентом', false);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, max_length, constant, rule) VALUES
    ('crm3', 'order', 'date', 'shipped', 'Date', 'Edm.DateTime', NULL, NULL, 'orderTime; to be verified'),
    ('crm3', 'order', 'organisation', 'shipped', 'Организация_Key', 'Edm.Guid', NULL, NULL, 'account.organisation; to be verified'),
    ('crm3', 'order', 'counterparty', 'shipped', 'Контрагент_Key', 'Edm.Guid', NULL, NULL, 'counterparty by phone; to be verified'),
    ('crm3', 'order', 'customer_reference', 'shipped', 'НомерВходящегоДокумента', 'Edm.String', 30, NULL, 'order number, or marker; to be verified'),
    ('crm3', 'order', 'total', 'shipped', 'СуммаДокумента', 'Edm.Double', NULL, NULL, 'sum of the lines; to be verified'),
    ('crm3', 'order', 'comment', 'shipped', 'Комментарий', 'Edm.String', NULL, NULL, 'comment; to be verified'),
    ('crm3', 'order', 'operation', 'shipped', 'ВидОперации', 'Edm.String', NULL, '"ЗаказНаПродажу"', 'constant; to be verified'),
    ('crm3', 'order', 'currency', 'shipped', 'ВалютаДокумента_Key', 'Edm.Guid', NULL, NULL, 'account.currency; to be verified'),
    ('crm3', 'order', 'rate', 'shipped', 'Курс', 'Edm.Double', NULL, '1', 'constant; to be verified'),
    ('crm3', 'order', 'multiplicity', 'shipped', 'Кратность', 'Edm.Int64', NULL, '1', 'constant; to be verified'),
    ('crm3', 'order', 'price_type', 'shipped', 'ВидЦен_Key', 'Edm.Guid', NULL, NULL, 'account.price_type; to be verified'),
    ('crm3', 'order', 'warehouse', 'shipped', 'СтруктурнаяЕдиницаРезерв_Key', 'Edm.Guid', NULL, NULL, 'account.warehouse; to be verified'),
    ('crm3', 'order', 'vat_taxation', 'shipped', 'НалогообложениеНДС', 'Edm.String', NULL, '"ОблагаетсяНДС"', 'constant; to be verified'),
    ('crm3', 'order', 'vat_included', 'shipped', 'СуммаВключаетНДС', 'Edm.Boolean', NULL, NULL, 'account.vat_included; to be verified'),
    ('crm3', 'order_line', 'line_no', 'shipped', 'LineNumber', 'Edm.Int64', NULL, NULL, 'position; to be verified'),
    ('crm3', 'order_line', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, NULL, 'product by article = SKU; to be verified'),
    ('crm3', 'order_line', 'is_stock', 'shipped', 'ТипНоменклатурыЗапас', 'Edm.Boolean', NULL, NULL, 'type of the product; to be verified'),
    ('crm3', 'order_line', 'characteristic', 'shipped', 'Характеристика_Key', 'Edm.Guid', NULL, NULL, 'product_pin; to be verified'),
    ('crm3', 'order_line', 'unit', 'shipped', 'ЕдиницаИзмерения', 'Edm.String', NULL, NULL, 'unit of the product; to be verified'),
    ('crm3', 'order_line', 'unit_type', 'shipped', 'ЕдиницаИзмерения_Type', 'Edm.String', NULL, NULL, 'unit of the product; to be verified'),
    ('crm3', 'order_line', 'quantity', 'shipped', 'Количество', 'Edm.Double', NULL, NULL, 'amount; to be verified'),
    ('crm3', 'order_line', 'price', 'shipped', 'Цена', 'Edm.Double', NULL, NULL, 'price; to be verified'),
    ('crm3', 'order_line', 'discount', 'shipped', 'ПроцентСкидкиНаценки', 'Edm.Double', NULL, NULL, 'discount; to be verified'),
    ('crm3', 'order_line', 'sum', 'shipped', 'Сумма', 'Edm.Double', NULL, NULL, 'price, amount and discount; to be verified'),
    ('crm3', 'order_line', 'vat_rate', 'shipped', 'СтавкаНДС_Key', 'Edm.Guid', NULL, NULL, 'VAT rate of the product; to be verified'),
    ('crm3', 'order_line', 'vat_sum', 'shipped', 'СуммаНДС', 'Edm.Double', NULL, NULL, 'sum and VAT rate; to be verified'),
    ('crm3', 'order_line', 'total', 'shipped', 'Всего', 'Edm.Double', NULL, NULL, 'sum and VAT; to be verified');

-- Of its goods nothing is public: the names of УНФ, each to be confirmed by a row of the user.
INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, constant, rule) VALUES
    ('crm3', 'characteristic', 'owner', 'shipped', 'Owner', 'Edm.String', NULL, 'to be verified'),
    ('crm3', 'characteristic', 'owner_type', 'shipped', 'Owner_Type', 'Edm.String', NULL, 'to be verified'),
    ('crm3', 'characteristic', 'name', 'shipped', 'Description', 'Edm.String', NULL, 'to be verified'),
    ('crm3', 'price', 'price_type', 'shipped', 'ВидЦен_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('crm3', 'price', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('crm3', 'price', 'characteristic', 'shipped', 'Характеристика_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('crm3', 'price', 'price', 'shipped', 'Цена', 'Edm.Double', NULL, 'to be verified'),
    ('crm3', 'price', 'unit', 'shipped', 'ЕдиницаИзмерения', 'Edm.String', NULL, 'to be verified'),
    ('crm3', 'price', 'active', 'shipped', 'Актуальность', 'Edm.Boolean', NULL, 'to be verified'),
    ('crm3', 'pack', 'code', 'shipped', 'Code', 'Edm.String', NULL, 'to be verified'),
    ('crm3', 'pack', 'coefficient', 'shipped', 'Коэффициент', 'Edm.Double', NULL, 'to be verified'),
    ('crm3', 'stock', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('crm3', 'stock', 'characteristic', 'shipped', 'Характеристика_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('crm3', 'stock', 'warehouse', 'shipped', 'СтруктурнаяЕдиница_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('crm3', 'stock', 'quantity', 'shipped', 'КоличествоBalance', 'Edm.Double', NULL, 'to be verified'),
    ('crm3', 'cost', 'product', 'shipped', 'Номенклатура_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('crm3', 'cost', 'characteristic', 'shipped', 'Характеристика_Key', 'Edm.Guid', NULL, 'to be verified'),
    ('crm3', 'cost', 'quantity', 'shipped', 'КоличествоBalance', 'Edm.Double', NULL, 'to be verified'),
    ('crm3', 'cost', 'sum', 'shipped', 'СуммаBalance', 'Edm.Double', NULL, 'to be verified');
