-- Purpose: documents that follow an order in each configuration: the sale made from it and the return made from the sale. Comes after the profiles. Only rows.
-- A property takes its value from the document it is made from: from the property of the same concept there, else of the same name. Special concepts:
-- order, basis: a reference to the order, and sale: to the sale (each with _type); settlement_currency: the currency; settlement_sum: the total of the row;
-- left_out: rows where the property named by the constant is true are left out. "needed": without it the document is not posted from here.
-- Names of sales by public dumps of the configurations; those of returns by the code that fills them there.

INSERT INTO profile_entity (profile, concept, origin, entity_set, needed) VALUES
    ('unf', 'sale',                'shipped', 'Document_РасходнаяНакладная', false),
    ('unf', 'sale_line',           'shipped', 'Запасы', false),
    ('unf', 'return',              'shipped', 'Document_ПриходнаяНакладная', false),
    ('unf', 'return_line',         'shipped', 'Запасы', false),
    ('trade32', 'sale_line',       'shipped', 'Товары', false),
    ('trade32', 'return',          'shipped', 'Document_ВозвратТоваровОтКлиента', false),
    ('trade32', 'return_line',     'shipped', 'Товары', false),
    ('accounting2', 'order_service', 'shipped', 'Услуги', false),
    ('accounting2', 'sale_line',   'shipped', 'Товары', false),
    ('accounting2', 'sale_service', 'shipped', 'Услуги', false),
    ('accounting2', 'return',      'shipped', 'Document_ВозвратТоваровОтПокупателя', false),
    ('accounting2', 'return_line', 'shipped', 'Товары', false),
    ('alfa_auto6', 'sale_line',    'shipped', 'Товары', false),
    ('crm3', 'sale',               'shipped', NULL, false),    -- not those of УНФ, as far as is known
    ('crm3', 'return',             'shipped', NULL, false);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, constant, rule, needed)
SELECT profile, entity, concept, 'shipped', property, edm_type, constant::jsonb, rule, needed FROM (VALUES
    ('unf', 'closing', 'closed',           NULL, 'Edm.String', '"Завершен"', 'predefined status of a closed order', false),
    ('unf', 'closing', 'outcome',          'ВариантЗавершения', 'Edm.String', NULL, 'written when the order is closed', false),
    ('unf', 'closing', 'outcome_done',     NULL, 'Edm.String', '"Успешно"', '', false),
    ('unf', 'closing', 'outcome_cancelled', NULL, 'Edm.String', '"Отменен"', '', false),
    ('unf', 'status', 'code',              'PredefinedDataName', 'Edm.String', NULL, '', false),
    ('accounting2', 'closing', 'none',     NULL, 'Edm.Boolean', 'true', 'an invoice has nothing to close', false),
    ('trade32', 'closing', 'closed',       NULL, 'Edm.String', '"Закрыт"', 'status of a closed order', false),

    ('unf', 'sale', 'operation',           'ВидОперации', 'Edm.String', '"ПродажаПокупателю"', 'constant', false),
    ('unf', 'sale', 'order',               'Заказ', 'Edm.String', NULL, 'the order', false),
    ('unf', 'sale', 'order_type',          'Заказ_Type', 'Edm.String', NULL, 'the order', false),
    ('unf', 'sale', 'basis',               'ДокументОснование', 'Edm.String', NULL, 'the order', false),
    ('unf', 'sale', 'basis_type',          'ДокументОснование_Type', 'Edm.String', NULL, 'the order', false),
    ('unf', 'sale', 'order_place',         'ПоложениеЗаказаПокупателя', 'Edm.String', '"ВШапке"', 'constant', false),
    ('unf', 'sale', 'organisation',        'Организация_Key', 'Edm.Guid', NULL, 'order', false),
    ('unf', 'sale', 'counterparty',        'Контрагент_Key', 'Edm.Guid', NULL, 'order', false),
    ('unf', 'sale', 'contract',            'Договор_Key', 'Edm.Guid', NULL, 'order', false),
    ('unf', 'sale', 'currency',            'ВалютаДокумента_Key', 'Edm.Guid', NULL, 'order', false),
    ('unf', 'sale', 'rate',                'Курс', 'Edm.Double', NULL, 'order', false),
    ('unf', 'sale', 'multiplicity',        'Кратность', 'Edm.Int64', NULL, 'order', false),
    ('unf', 'sale', 'price_type',          'ВидЦен_Key', 'Edm.Guid', NULL, 'order', false),
    ('unf', 'sale', 'discount_kind',       'ВидСкидкиНаценки_Key', 'Edm.Guid', NULL, 'order', false),
    ('unf', 'sale', 'warehouse',           'СтруктурнаяЕдиница_Key', 'Edm.Guid', NULL, 'warehouse of the reserve', true),
    ('unf', 'sale', 'cell',                'Ячейка_Key', 'Edm.Guid', NULL, 'order', false),
    ('unf', 'sale', 'vat_taxation',        'НалогообложениеНДС', 'Edm.String', NULL, 'order', false),
    ('unf', 'sale', 'vat_included',        'СуммаВключаетНДС', 'Edm.Boolean', NULL, 'order', false),
    ('unf', 'sale', 'vat_in_cost',         'НДСВключатьВСтоимость', 'Edm.Boolean', NULL, 'order', false),
    ('unf', 'sale', 'responsible',         'Ответственный_Key', 'Edm.Guid', NULL, 'order', false),
    ('unf', 'sale', 'bank_account',        'БанковскийСчет_Key', 'Edm.Guid', NULL, 'order', false),
    ('unf', 'sale', 'customer_reference',  'НомерВходящегоДокумента', 'Edm.String', NULL, 'order', false),
    ('unf', 'sale', 'total',               'СуммаДокумента', 'Edm.Double', NULL, 'order', false),
    ('unf', 'sale', 'comment',             'Комментарий', 'Edm.String', NULL, 'order', false),
    ('unf', 'sale_line', 'order',          'Заказ', 'Edm.String', NULL, 'the order', false),
    ('unf', 'sale_line', 'order_type',     'Заказ_Type', 'Edm.String', NULL, 'the order', false),
    ('unf', 'sale_line', 'reserve',        'Резерв', 'Edm.Double', NULL, 'order', false),

    ('unf', 'return', 'operation',         'ВидОперации', 'Edm.String', '"ВозвратОтПокупателя"', 'constant', false),
    ('unf', 'return', 'sale',              'ДокументОснование', 'Edm.String', NULL, 'the sale', false),
    ('unf', 'return', 'sale_type',         'ДокументОснование_Type', 'Edm.String', NULL, 'the sale', false),
    ('unf', 'return', 'organisation',      'Организация_Key', 'Edm.Guid', NULL, 'sale', false),
    ('unf', 'return', 'counterparty',      'Контрагент_Key', 'Edm.Guid', NULL, 'sale', false),
    ('unf', 'return', 'contract',          'Договор_Key', 'Edm.Guid', NULL, 'sale', false),
    ('unf', 'return', 'currency',          'ВалютаДокумента_Key', 'Edm.Guid', NULL, 'sale', false),
    ('unf', 'return', 'rate',              'Курс', 'Edm.Double', NULL, 'sale', false),
    ('unf', 'return', 'multiplicity',      'Кратность', 'Edm.Int64', NULL, 'sale', false),
    ('unf', 'return', 'warehouse',         'СтруктурнаяЕдиница_Key', 'Edm.Guid', NULL, 'sale', true),
    ('unf', 'return', 'cell',              'Ячейка_Key', 'Edm.Guid', NULL, 'sale', false),
    ('unf', 'return', 'vat_taxation',      'НалогообложениеНДС', 'Edm.String', NULL, 'sale', false),
    ('unf', 'return', 'vat_included',      'СуммаВключаетНДС', 'Edm.Boolean', NULL, 'sale', false),
    ('unf', 'return', 'vat_in_cost',       'НДСВключатьВСтоимость', 'Edm.Boolean', NULL, 'sale', false),
    ('unf', 'return', 'total',             'СуммаДокумента', 'Edm.Double', NULL, 'sum of the rows', false),
    ('unf', 'return', 'comment',           'Комментарий', 'Edm.String', NULL, 'sale', false),

    ('trade32', 'sale', 'operation',       'ХозяйственнаяОперация', 'Edm.String', NULL, 'order', false),
    ('trade32', 'sale', 'sale_status',     'Статус', 'Edm.String', '"Отгружено"', 'constant', false),
    ('trade32', 'sale', 'order',           'ЗаказКлиента', 'Edm.String', NULL, 'the order', false),
    ('trade32', 'sale', 'order_type',      'ЗаказКлиента_Type', 'Edm.String', NULL, 'the order', false),
    ('trade32', 'sale', 'by_orders',       'РеализацияПоЗаказам', 'Edm.Boolean', 'true', 'constant', false),
    ('trade32', 'sale', 'settlement_currency', 'ВалютаВзаиморасчетов_Key', 'Edm.Guid', NULL, 'currency of the order', false),
    ('trade32', 'sale', 'payment_form',    'ФормаОплаты', 'Edm.String', NULL, 'order', false),
    ('trade32', 'sale', 'settlement_order', 'ПорядокРасчетов', 'Edm.String', NULL, 'order', false),
    ('trade32', 'sale', 'delivery_method', 'СпособДоставки', 'Edm.String', NULL, 'order', false),
    ('trade32', 'sale', 'delivery_address', 'АдресДоставки', 'Edm.String', NULL, 'order', false),
    ('trade32', 'sale', 'delivery_note',   'ДополнительнаяИнформацияПоДоставке', 'Edm.String', NULL, 'order', false),
    ('trade32', 'sale', 'deal',            'Сделка_Key', 'Edm.Guid', NULL, 'order', false),
    ('trade32', 'sale_line', 'left_out',   NULL, 'Edm.String', '"Отменено"', 'rows cancelled in the order', false),
    ('trade32', 'sale_line', 'order',      'ЗаказКлиента', 'Edm.String', NULL, 'the order', false),
    ('trade32', 'sale_line', 'order_type', 'ЗаказКлиента_Type', 'Edm.String', NULL, 'the order', false),
    ('trade32', 'sale_line', 'order_row',  'КодСтроки', 'Edm.Int64', NULL, 'order', false),
    ('trade32', 'sale_line', 'settlement_sum', 'СуммаВзаиморасчетов', 'Edm.Double', NULL, 'total of the row', false),
    ('trade32', 'return', 'operation',     'ХозяйственнаяОперация', 'Edm.String', '"ВозвратТоваровОтКлиента"', 'constant', false),
    ('trade32', 'return', 'sale',          'ДокументРеализации', 'Edm.String', NULL, 'the sale', false),
    ('trade32', 'return', 'sale_type',     'ДокументРеализации_Type', 'Edm.String', NULL, 'the sale', false),
    ('trade32', 'return_line', 'sale',     'ДокументРеализации', 'Edm.String', NULL, 'the sale', false),
    ('trade32', 'return_line', 'sale_type', 'ДокументРеализации_Type', 'Edm.String', NULL, 'the sale', false),
    ('trade32', 'return_line', 'cost_from', 'СпособОпределенияСебестоимости', 'Edm.String', '"ИзДокументаПродажи"', 'constant', false),

    ('accounting2', 'sale', 'operation',   'ВидОперации', 'Edm.String', '"ПродажаКомиссия"', 'constant', false),
    ('accounting2', 'sale', 'order',       'Сделка', 'Edm.String', NULL, 'the invoice; to be verified', false),
    ('accounting2', 'sale', 'order_type',  'Сделка_Type', 'Edm.String', NULL, 'the invoice; to be verified', false),
    ('accounting2', 'sale', 'settlement_account', 'СчетУчетаРасчетовСКонтрагентом_Key', 'Edm.Guid', NULL, 'constant of yours', true),
    ('accounting2', 'sale', 'advance_account', 'СчетУчетаРасчетовПоАвансам_Key', 'Edm.Guid', NULL, 'constant of yours', true),
    ('accounting2', 'sale', 'vat_account', 'СчетУчетаНДС_Key', 'Edm.Guid', NULL, 'constant of yours', false),
    ('accounting2', 'sale_line', 'stock_account', 'СчетУчетаБУ_Key', 'Edm.Guid', NULL, 'constant of yours', true),
    ('accounting2', 'sale_line', 'income_scheme', 'СхемаРеализации_Key', 'Edm.Guid', NULL, 'constant of yours', true),
    ('accounting2', 'sale_line', 'tax_purpose', 'НалоговоеНазначение_Key', 'Edm.Guid', NULL, 'constant of yours', false),
    ('accounting2', 'sale_service', 'income_scheme', 'СхемаРеализации_Key', 'Edm.Guid', NULL, 'constant of yours', true),
    ('accounting2', 'sale_service', 'tax_purpose', 'НалоговоеНазначение_Key', 'Edm.Guid', NULL, 'constant of yours', false),
    ('accounting2', 'return', 'operation', 'ВидОперации', 'Edm.String', '"ПродажаКомиссия"', 'constant', false),
    ('accounting2', 'return', 'sale',      'ДокументОтгрузки', 'Edm.String', NULL, 'the sale', false),
    ('accounting2', 'return', 'sale_type', 'ДокументОтгрузки_Type', 'Edm.String', NULL, 'the sale', false),
    ('accounting2', 'return', 'order',     'Сделка', 'Edm.String', NULL, 'the invoice; to be verified', false),
    ('accounting2', 'return', 'order_type', 'Сделка_Type', 'Edm.String', NULL, 'the invoice; to be verified', false),
    ('accounting2', 'return', 'settlement_account', 'СчетУчетаРасчетовСКонтрагентом_Key', 'Edm.Guid', NULL, 'sale', true),
    ('accounting2', 'return', 'advance_account', 'СчетУчетаРасчетовПоАвансам_Key', 'Edm.Guid', NULL, 'sale', true),
    ('accounting2', 'return', 'vat_account', 'СчетУчетаНДС_Key', 'Edm.Guid', NULL, 'sale', false),
    ('accounting2', 'return_line', 'stock_account', 'СчетУчетаБУ_Key', 'Edm.Guid', NULL, 'sale', true),
    ('accounting2', 'return_line', 'income_scheme', 'СхемаРеализации_Key', 'Edm.Guid', NULL, 'sale', true),
    ('accounting2', 'return_line', 'tax_purpose', 'НалоговоеНазначение_Key', 'Edm.Guid', NULL, 'sale', false),

    ('alfa_auto6', 'sale', 'basis',        'ДокументОснование', 'Edm.String', NULL, 'the order', false),
    ('alfa_auto6', 'sale', 'basis_type',   'ДокументОснование_Type', 'Edm.String', NULL, 'the order', false),
    ('alfa_auto6', 'sale', 'operation',    'ХозОперация_Key', 'Edm.Guid', NULL, 'constant of yours', true),
    ('alfa_auto6', 'sale', 'department',   'ПодразделениеКомпании_Key', 'Edm.Guid', NULL, 'order', false),
    ('alfa_auto6', 'sale', 'manager',      'Менеджер_Key', 'Edm.Guid', NULL, 'order', false),
    ('alfa_auto6', 'sale', 'car',          'Автомобиль_Key', 'Edm.Guid', NULL, 'order', false),
    ('alfa_auto6', 'sale', 'contract',     'ДоговорВзаиморасчетов_Key', 'Edm.Guid', NULL, 'order', false)
) r (profile, entity, concept, property, edm_type, constant, rule, needed);

-- What a sale or return calls as the order does.
INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, rule, needed)
SELECT o.profile, w.entity, o.concept, 'shipped', o.property, o.edm_type, w.source, o.concept = 'warehouse'
FROM profile_property o JOIN (VALUES
    ('trade32', 'sale', 'order', ARRAY['organisation', 'partner', 'counterparty', 'agreement', 'currency', 'warehouse', 'vat_included', 'total', 'comment']),
    ('trade32', 'return', 'sale', ARRAY['organisation', 'partner', 'counterparty', 'agreement', 'currency', 'warehouse', 'vat_included', 'total', 'comment']),
    ('accounting2', 'sale', 'order', ARRAY['organisation', 'counterparty', 'contract', 'currency', 'rate', 'multiplicity', 'price_type', 'warehouse', 'vat_included', 'total', 'comment', 'delivery_address']),
    ('accounting2', 'return', 'sale', ARRAY['organisation', 'counterparty', 'contract', 'currency', 'rate', 'multiplicity', 'price_type', 'warehouse', 'vat_included', 'total', 'comment']),
    ('alfa_auto6', 'sale', 'order', ARRAY['organisation', 'counterparty', 'currency', 'rate', 'price_type', 'warehouse', 'total', 'comment'])) w (profile, entity, source, concepts)
  ON w.profile = o.profile AND o.concept = ANY (w.concepts)
WHERE o.entity = 'order' AND o.origin = 'shipped' AND o.property IS NOT NULL;

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, rule)
SELECT 'trade32', w.entity, p.concept, 'shipped', p.property, 'Edm.Guid', w.source
FROM (VALUES ('contract', 'Договор_Key'), ('manager', 'Менеджер_Key'), ('department', 'Подразделение_Key')) p (concept, property), (VALUES ('sale', 'order'), ('return', 'sale')) w (entity, source);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, rule)
SELECT l.profile, w.entity, l.concept, 'shipped', l.property, l.edm_type, w.source
FROM profile_property l JOIN (VALUES ('unf', 'sale_line', 'order'), ('unf', 'return_line', 'sale'), ('trade32', 'sale_line', 'order'), ('trade32', 'return_line', 'sale'), ('accounting2', 'sale_line', 'order'),
                                     ('accounting2', 'return_line', 'sale'), ('alfa_auto6', 'sale_line', 'order')) w (profile, entity, source)
  ON split_part(l.profile, ':', 1) = w.profile OR w.profile = 'trade32' AND l.profile IN ('erp:2.5', 'kup:2.5')    -- also what their variants call otherwise
WHERE l.entity = 'order_line' AND l.origin = 'shipped' AND l.property IS NOT NULL AND l.concept <> 'line_no'
  AND NOT (w.entity = 'return_line' AND l.profile = 'trade32' AND l.concept IN ('discount', 'discount_sum', 'warehouse'));

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, rule)
SELECT 'trade32', 'sale_line', p.concept, 'shipped', p.property, 'Edm.Guid', 'order'
FROM (VALUES ('pack', 'Упаковка_Key'), ('price_kind', 'ВидЦены_Key'), ('warehouse', 'Склад_Key'), ('kit', 'НоменклатураНабора_Key'), ('kit_characteristic', 'ХарактеристикаНабора_Key')) p (concept, property)
ON CONFLICT DO NOTHING;

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, rule)
SELECT 'accounting2', e.entity, p.concept, 'shipped', p.property, p.edm_type, e.source
FROM (VALUES ('order_service', ''), ('sale_service', 'order')) e (entity, source),
     (VALUES ('product', 'Номенклатура_Key', 'Edm.Guid'), ('content', 'Содержание', 'Edm.String'), ('quantity', 'Количество', 'Edm.Double'), ('price', 'Цена', 'Edm.Double'), ('full_sum', 'СуммаБезСкидки', 'Edm.Double'),
             ('discount_sum', 'СуммаСкидки', 'Edm.Double'), ('sum', 'Сумма', 'Edm.Double'), ('vat_rate', 'СтавкаНДС', 'Edm.String'), ('vat_sum', 'СуммаНДС', 'Edm.Double')) p (concept, property, edm_type);
