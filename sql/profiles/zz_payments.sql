-- Purpose: payment documents of the configurations: names of sets and properties. Only rows.
-- No public source shows these documents whole, so every name is "to be verified": check() compares those in use with what $metadata says, and rows
-- of origin user replace them. The row of a payment names its order; where a reference has several types, order_type goes with it. Альфа-Авто and
-- BAS Роздрібна торгівля have none here: their payments wait for such rows.

INSERT INTO profile_entity (profile, concept, origin, entity_set, needed) VALUES
    ('unf', 'payment_bank',         'shipped', 'Document_ПоступлениеНаСчет', false),
    ('unf', 'payment_cash',         'shipped', 'Document_ПоступлениеВКассу', false),
    ('unf', 'refund_bank',          'shipped', 'Document_РасходСоСчета', false),
    ('unf', 'refund_cash',          'shipped', 'Document_РасходИзКассы', false),
    ('trade32', 'payment_bank',     'shipped', 'Document_ПоступлениеБезналичныхДенежныхСредств', false),
    ('trade32', 'payment_cash',     'shipped', 'Document_ПриходныйКассовыйОрдер', false),
    ('trade32', 'refund_bank',      'shipped', 'Document_СписаниеБезналичныхДенежныхСредств', false),
    ('trade32', 'refund_cash',      'shipped', 'Document_РасходныйКассовыйОрдер', false),
    ('accounting2', 'payment_bank', 'shipped', 'Document_ПлатежноеПоручениеВходящее', false),
    ('accounting2', 'payment_cash', 'shipped', 'Document_ПриходныйКассовыйОрдер', false),
    ('accounting2', 'refund_bank',  'shipped', 'Document_ПлатежноеПоручениеИсходящее', false),
    ('accounting2', 'refund_cash',  'shipped', 'Document_РасходныйКассовыйОрдер', false);

INSERT INTO profile_entity (profile, concept, origin, entity_set, needed)
SELECT p.profile, e.concept, 'shipped', e.entity_set, false
FROM (VALUES ('unf'), ('trade32'), ('accounting2')) p (profile)
CROSS JOIN (VALUES ('payment_row', 'РасшифровкаПлатежа'), ('bank_account', 'Catalog_БанковскиеСчета'), ('cash_desk', 'Catalog_Кассы')) e (concept, entity_set);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, constant, rule)
SELECT d.profile, e.entity, d.concept, 'shipped', d.property, d.edm_type, NULL, d.rule || '; to be verified'
FROM (VALUES ('payment_bank'), ('payment_cash'), ('refund_bank'), ('refund_cash')) e (entity)
CROSS JOIN (VALUES
    ('unf', 'date',         'Date', 'Edm.DateTime', 'date of the payment'),
    ('unf', 'organisation', 'Организация_Key', 'Edm.Guid', 'that of the order'),
    ('unf', 'counterparty', 'Контрагент_Key', 'Edm.Guid', 'that of the order'),
    ('unf', 'currency',     'ВалютаДенежныхСредств_Key', 'Edm.Guid', 'that of the order'),
    ('unf', 'total',        'СуммаДокумента', 'Edm.Double', 'sum of the payment'),
    ('unf', 'comment',      'Комментарий', 'Edm.String', 'marker and comment'),
    ('trade32', 'date',         'Date', 'Edm.DateTime', 'date of the payment'),
    ('trade32', 'organisation', 'Организация_Key', 'Edm.Guid', 'that of the order'),
    ('trade32', 'counterparty', 'Контрагент_Key', 'Edm.Guid', 'that of the order'),
    ('trade32', 'currency',     'Валюта_Key', 'Edm.Guid', 'that of the order'),
    ('trade32', 'total',        'СуммаДокумента', 'Edm.Double', 'sum of the payment'),
    ('trade32', 'comment',      'Комментарий', 'Edm.String', 'marker and comment'),
    ('accounting2', 'date',         'Date', 'Edm.DateTime', 'date of the payment'),
    ('accounting2', 'organisation', 'Организация_Key', 'Edm.Guid', 'that of the order'),
    ('accounting2', 'counterparty', 'Контрагент_Key', 'Edm.Guid', 'that of the order'),
    ('accounting2', 'currency',     'ВалютаДокумента_Key', 'Edm.Guid', 'that of the order'),
    ('accounting2', 'total',        'СуммаДокумента', 'Edm.Double', 'sum of the payment'),
    ('accounting2', 'comment',      'Комментарий', 'Edm.String', 'marker and comment')) d (profile, concept, property, edm_type, rule);

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, constant, rule) VALUES
    ('unf', 'payment_bank', 'operation', 'shipped', 'ВидОперации', 'Edm.String', '"ОтПокупателя"', 'constant; to be verified'),
    ('unf', 'payment_cash', 'operation', 'shipped', 'ВидОперации', 'Edm.String', '"ОтПокупателя"', 'constant; to be verified'),
    ('unf', 'refund_bank',  'operation', 'shipped', 'ВидОперации', 'Edm.String', '"Покупателю"', 'constant; to be verified'),
    ('unf', 'refund_cash',  'operation', 'shipped', 'ВидОперации', 'Edm.String', '"Покупателю"', 'constant; to be verified'),
    ('unf', 'payment_bank', 'place',     'shipped', 'БанковскийСчет_Key', 'Edm.Guid', NULL, 'payment_rule; to be verified'),
    ('unf', 'refund_bank',  'place',     'shipped', 'БанковскийСчет_Key', 'Edm.Guid', NULL, 'payment_rule; to be verified'),
    ('unf', 'payment_cash', 'place',     'shipped', 'Касса_Key', 'Edm.Guid', NULL, 'payment_rule; to be verified'),
    ('unf', 'refund_cash',  'place',     'shipped', 'Касса_Key', 'Edm.Guid', NULL, 'payment_rule; to be verified'),
    ('unf', 'payment_bank', 'purpose',   'shipped', 'НазначениеПлатежа', 'Edm.String', NULL, 'purpose; to be verified'),
    ('unf', 'refund_bank',  'purpose',   'shipped', 'НазначениеПлатежа', 'Edm.String', NULL, 'purpose; to be verified'),
    ('trade32', 'payment_bank', 'operation', 'shipped', 'ХозяйственнаяОперация', 'Edm.String', '"ПоступлениеОплатыОтКлиента"', 'constant; to be verified'),
    ('trade32', 'payment_cash', 'operation', 'shipped', 'ХозяйственнаяОперация', 'Edm.String', '"ПоступлениеОплатыОтКлиента"', 'constant; to be verified'),
    ('trade32', 'refund_bank',  'operation', 'shipped', 'ХозяйственнаяОперация', 'Edm.String', '"ВозвратОплатыКлиенту"', 'constant; to be verified'),
    ('trade32', 'refund_cash',  'operation', 'shipped', 'ХозяйственнаяОперация', 'Edm.String', '"ВозвратОплатыКлиенту"', 'constant; to be verified'),
    ('trade32', 'payment_bank', 'place',     'shipped', 'БанковскийСчет_Key', 'Edm.Guid', NULL, 'payment_rule; to be verified'),
    ('trade32', 'refund_bank',  'place',     'shipped', 'БанковскийСчет_Key', 'Edm.Guid', NULL, 'payment_rule; to be verified'),
    ('trade32', 'payment_cash', 'place',     'shipped', 'Касса_Key', 'Edm.Guid', NULL, 'payment_rule; to be verified'),
    ('trade32', 'refund_cash',  'place',     'shipped', 'Касса_Key', 'Edm.Guid', NULL, 'payment_rule; to be verified'),
    ('trade32', 'payment_bank', 'purpose',   'shipped', 'НазначениеПлатежа', 'Edm.String', NULL, 'purpose; to be verified'),
    ('trade32', 'refund_bank',  'purpose',   'shipped', 'НазначениеПлатежа', 'Edm.String', NULL, 'purpose; to be verified'),
    ('accounting2', 'payment_bank', 'operation', 'shipped', 'ВидОперации', 'Edm.String', '"ОплатаПокупателя"', 'constant; to be verified'),
    ('accounting2', 'payment_cash', 'operation', 'shipped', 'ВидОперации', 'Edm.String', '"ОплатаПокупателя"', 'constant; to be verified'),
    ('accounting2', 'refund_bank',  'operation', 'shipped', 'ВидОперации', 'Edm.String', '"ВозвратПокупателю"', 'constant; to be verified'),
    ('accounting2', 'refund_cash',  'operation', 'shipped', 'ВидОперации', 'Edm.String', '"ВозвратПокупателю"', 'constant; to be verified'),
    ('accounting2', 'payment_bank', 'place',     'shipped', 'СчетОрганизации_Key', 'Edm.Guid', NULL, 'payment_rule; to be verified'),
    ('accounting2', 'refund_bank',  'place',     'shipped', 'СчетОрганизации_Key', 'Edm.Guid', NULL, 'payment_rule; to be verified'),
    ('accounting2', 'payment_bank', 'purpose',   'shipped', 'НазначениеПлатежа', 'Edm.String', NULL, 'purpose; to be verified'),
    ('accounting2', 'refund_bank',  'purpose',   'shipped', 'НазначениеПлатежа', 'Edm.String', NULL, 'purpose; to be verified');

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, constant, rule) VALUES
    ('unf', 'payment_row', 'line_no',        'shipped', 'LineNumber', 'Edm.Int64', NULL, 'position'),
    ('unf', 'payment_row', 'order',          'shipped', 'Заказ', 'Edm.String', NULL, 'document of the order; to be verified'),
    ('unf', 'payment_row', 'order_type',     'shipped', 'Заказ_Type', 'Edm.String', NULL, 'document of the order; to be verified'),
    ('unf', 'payment_row', 'contract',       'shipped', 'Договор_Key', 'Edm.Guid', NULL, 'that of the order; to be verified'),
    ('unf', 'payment_row', 'sum',            'shipped', 'СуммаПлатежа', 'Edm.Double', NULL, 'share of the order; to be verified'),
    ('unf', 'payment_row', 'settlement_sum', 'shipped', 'СуммаРасчетов', 'Edm.Double', NULL, 'share of the order; to be verified'),
    ('unf', 'payment_row', 'rate',           'shipped', 'Курс', 'Edm.Double', '1', 'constant; to be verified'),
    ('unf', 'payment_row', 'multiplicity',   'shipped', 'Кратность', 'Edm.Int64', '1', 'constant; to be verified'),
    ('unf', 'payment_row', 'advance',        'shipped', 'ПризнакАванса', 'Edm.Boolean', 'true', 'constant; to be verified'),
    ('trade32', 'payment_row', 'line_no',        'shipped', 'LineNumber', 'Edm.Int64', NULL, 'position'),
    ('trade32', 'payment_row', 'order',          'shipped', 'Заказ', 'Edm.String', NULL, 'document of the order; to be verified'),
    ('trade32', 'payment_row', 'order_type',     'shipped', 'Заказ_Type', 'Edm.String', NULL, 'document of the order; to be verified'),
    ('trade32', 'payment_row', 'partner',        'shipped', 'Партнер_Key', 'Edm.Guid', NULL, 'that of the order; to be verified'),
    ('trade32', 'payment_row', 'sum',            'shipped', 'Сумма', 'Edm.Double', NULL, 'share of the order; to be verified'),
    ('trade32', 'payment_row', 'settlement_sum', 'shipped', 'СуммаВзаиморасчетов', 'Edm.Double', NULL, 'share of the order; to be verified'),
    ('trade32', 'payment_row', 'currency',       'shipped', 'ВалютаВзаиморасчетов_Key', 'Edm.Guid', NULL, 'that of the order; to be verified'),
    ('accounting2', 'payment_row', 'line_no',        'shipped', 'LineNumber', 'Edm.Int64', NULL, 'position'),
    ('accounting2', 'payment_row', 'order',          'shipped', 'Сделка', 'Edm.String', NULL, 'document of the order; to be verified'),
    ('accounting2', 'payment_row', 'order_type',     'shipped', 'Сделка_Type', 'Edm.String', NULL, 'document of the order; to be verified'),
    ('accounting2', 'payment_row', 'contract',       'shipped', 'ДоговорКонтрагента_Key', 'Edm.Guid', NULL, 'that of the order; to be verified'),
    ('accounting2', 'payment_row', 'sum',            'shipped', 'СуммаПлатежа', 'Edm.Double', NULL, 'share of the order; to be verified'),
    ('accounting2', 'payment_row', 'settlement_sum', 'shipped', 'СуммаВзаиморасчетов', 'Edm.Double', NULL, 'share of the order; to be verified'),
    ('accounting2', 'payment_row', 'rate',           'shipped', 'КурсВзаиморасчетов', 'Edm.Double', '1', 'constant; to be verified'),
    ('accounting2', 'payment_row', 'multiplicity',   'shipped', 'КратностьВзаиморасчетов', 'Edm.Int64', '1', 'constant; to be verified');

INSERT INTO profile_property (profile, entity, concept, origin, property, edm_type, rule)
SELECT p.profile, e.entity, c.concept, 'shipped', c.property, c.edm_type, ''
FROM (VALUES ('unf'), ('trade32'), ('accounting2')) p (profile) CROSS JOIN (VALUES ('bank_account'), ('cash_desk')) e (entity)
CROSS JOIN (VALUES ('name', 'Description', 'Edm.String'), ('deleted', 'DeletionMark', 'Edm.Boolean')) c (concept, property, edm_type);
