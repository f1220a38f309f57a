# Peer::Bas::Schema - what the simulated base publishes: entity sets, properties, types, lengths, enums
#
# One table in text drives everything: validation of writes, defaults, answers, $select, $filter and $metadata. Here stands an
# excerpt of УНФ for Ukraine 1.6; other configurations are in test/peer/configurations, chosen by BAS_CONFIGURATION. Line forms:
#   set NAME [code N|number PREFIX] [folders] [owner SET]       begins an entity set; standard properties are added
#   section NAME                                                begins a tabular section of that set
#   register NAME            begins an independent information register; its key: the properties marked dim
#   dim Property ...         a dimension of such a register
#   Property guid SET|-      reference, property is Property_Key        Property str N    N = 0: unlimited; fix N: padded
#   Property num P S         Edm.Double     Property int N    Int16/32/64 by digits      bool, date
#   Property enum NAME       name of a value                    Property comp SET,SET    composite: value and value_Type
#   enum NAME VALUE...       values of an enumeration           include contact|attributes    a section that many sets have
#   register NAME KIND       begins a register with virtual tables: independent, subordinate (to recorders), balance, turnover (accumulation) or accounting;
#   dim|res|attr LINE        its dimensions, resources and further columns
#   role NAME WORD           what the order, its section, its properties … are called, for Seed and Audit; -: there is none
#   ?WORD LINE               only in configurations of the variant WORD
package Peer::Bas::Schema;
use v5.36;
no feature 'unicode_strings';
use Exporter 'import';
our @EXPORT_OK = qw(%TYPE %ENUM %ROLE @SET_NAMES $NIL);

our $NIL = '00000000-0000-0000-0000-000000000000';
my $EMPTY_DATE = '0001-01-01T00:00:00';

our %ENUM = (
	'ТипыКонтактнойИнформации' => [qw(Skype Адрес АдресЭлектроннойПочты ВебСтраница Другое Телефон Факс)],
	'ВидыКонтрагентов' => [qw(ГосударственныйОрган ИндивидуальныйПредприниматель ФизическоеЛицо ЮридическоеЛицо)],
	'ВидыОперацийЗаказПокупателя' => [qw(ЗаказНаПереработку ЗаказНаПродажу ЗаказНаряд)],
	'ВидыОперацийРасходнаяНакладная' => [qw(ПродажаПокупателю ПередачаНаКомиссию ВозвратПоставщику)],
	'ВидыОперацийПриходнаяНакладная' => [qw(ПоступлениеОтПоставщика ВозвратОтПокупателя ВозвратОтКомиссионера)],
	'ТипыНалогообложенияНДС' => [qw(ОблагаетсяНДС НеОблагаетсяНДС)],
	'ТипыСтруктурныхЕдиниц' => [qw(Склад Подразделение Розница РозницаСуммовойУчет)],
	'ТипыНоменклатуры' => [qw(Запас Услуга Работа Операция ВидРабот)],
	'ВариантыЗавершенияЗаказа' => [qw(Успешно Отменен)],
	'ВидыДоговоров' => [qw(СПокупателем СПоставщиком СКомитентом СКомиссионером Прочее)],
	'ЮридическоеФизическоеЛицо' => [qw(ЮридическоеЛицо ФизическоеЛицо)],
	'ПоложениеРеквизита' => [qw(ВШапке ВТабличнойЧасти)],
	'ВидыОперацийПоступлениеНаСчет' => [qw(ОтПокупателя ОтПоставщика Прочее)],
	'ВидыОперацийПоступлениеВКассу' => [qw(ОтПокупателя ОтПоставщика РозничнаяВыручка Прочее)],
	'ВидыОперацийРасходСоСчета' => [qw(Покупателю Поставщику Прочее)],
	'ВидыОперацийРасходИзКассы' => [qw(Покупателю Поставщику Прочее)],
);

our %ROLE = (order => 'Document_ЗаказПокупателя', section => 'Запасы', reference => 'НомерВходящегоДокумента', comment => 'Комментарий', document_sum => 'СуммаДокумента',
	included => 'СуммаВключаетНДС', currency => 'ВалютаДокумента_Key', counterparty => 'Контрагент_Key', organisation => 'Организация_Key', partner => '-', client => 'Catalog_Контрагенты',
	product_set => 'Catalog_Номенклатура', article => 'Артикул', product => 'Номенклатура_Key', quantity => 'Количество', price => 'Цена', percent => 'ПроцентСкидкиНаценки',
	full => '-', discount => '-', sum => 'Сумма', vat_rate => 'СтавкаНДС', vat_sum => 'СуммаНДС', total => 'Всего');

# Configuration => file of its table and variants; those of УНФ are here.
my %CONFIGURATION = (unf => [], small_business => [], crm3 => [], 'unf:3.0' => [ undef, 'v3' ], trade32 => [qw(trade enum unit)], 'trade32:3.5' => [qw(trade key unit)], erp => [qw(trade enum units)],
	'erp:2.5' => [qw(trade key unit)], kup => [qw(trade enum units)], 'kup:2.5' => [qw(trade key unit)], accounting2 => ['accounting'], alfa_auto6 => ['alfa'], retail => ['retail'], tenth => ['tenth']);

my $CONTACT = <<'EOT';
section КонтактнаяИнформация
Тип enum ТипыКонтактнойИнформации
Вид guid Catalog_ВидыКонтактнойИнформации
Представление str 500
ЗначенияПолей str 0
Страна str 100
Регион str 50
Город str 50
АдресЭП str 100
ДоменноеИмяСервера str 100
НомерТелефона str 20
НомерТелефонаБезКодов str 20
EOT
my $ATTRIBUTES = <<'EOT';
section ДополнительныеРеквизиты
Свойство guid -
Значение comp Edm.String,Edm.Boolean,Edm.Double,Edm.DateTime,Catalog_Номенклатура,Catalog_Контрагенты
ТекстоваяСтрока str 0
EOT

my $TABLE = <<"EOT";
set Document_ЗаказПокупателя number НФНФ-
Автор guid -
БанковскийСчет guid -
ВалютаДокумента guid Catalog_Валюты
ВариантЗавершения enum ВариантыЗавершенияЗаказа
ВидОперации enum ВидыОперацийЗаказПокупателя
ВидРабот guid Catalog_Номенклатура
ВидСкидкиНаценки guid -
ВидЦен guid Catalog_ВидыЦен
ДатаВходящегоДокумента date
ДатаИзменения date
ДатаОтгрузки date
Договор guid Catalog_ДоговорыКонтрагентов
Заметки str 0
ЗапланироватьОплату bool
ИспользоватьМатериалы bool
ИспользоватьТовары bool
Касса guid -
Комментарий str 0
Контрагент guid Catalog_Контрагенты
Кратность int 10
Курс num 10 4
НалогообложениеНДС enum ТипыНалогообложенияНДС
НДСВключатьВСтоимость bool
НомерВходящегоДокумента str 30
Организация guid Catalog_Организации
Ответственный guid -
ПоложениеДатыОтгрузки enum ПоложениеРеквизита
ПричинаОтмены guid -
Проект guid -
ПроцентСкидкиПоДисконтнойКарте num 5 2
СкидкиРассчитаны bool
СостояниеЗаказа comp Catalog_СостоянияЗаказовПокупателей
Старт date
СтруктурнаяЕдиницаПродажи guid Catalog_СтруктурныеЕдиницы
СтруктурнаяЕдиницаРезерв guid Catalog_СтруктурныеЕдиницы
СуммаВключаетНДС bool
СуммаДокумента num 15 2
Финиш date
АвторасчетНДС bool
МестоСоставленияДокумента str 100
Получил str 250
section Запасы
?v1 Номенклатура guid Catalog_Номенклатура
?v3 Номенклатура comp Catalog_Номенклатура,Edm.String
?v3 role product Номенклатура
ТипНоменклатурыЗапас bool
Характеристика guid -
Партия guid -
СерийныеНомера str 0
Резерв num 15 3
РезервОтгрузка num 15 3
ЕдиницаИзмерения comp Catalog_КлассификаторЕдиницИзмерения,Catalog_ЕдиницыИзмерения
Цена num 15 2
ПроцентСкидкиНаценки num 5 2
Сумма num 15 2
СтавкаНДС guid Catalog_СтавкиНДС
СуммаНДС num 15 2
Всего num 15 2
ДатаОтгрузки date
Спецификация guid -
Содержание str 0
ПроцентАвтоматическойСкидки num 5 2
СуммаАвтоматическойСкидки num 15 2
Количество num 15 3
КлючСвязи int 5
section Работы
ВидРабот guid Catalog_Номенклатура
Номенклатура guid Catalog_Номенклатура
Характеристика guid -
Количество num 15 3
Цена num 15 2
ПроцентСкидкиНаценки num 5 2
Сумма num 15 2
СтавкаНДС guid Catalog_СтавкиНДС
СуммаНДС num 15 2
Всего num 15 2
Содержание str 0
КлючСвязи int 5
section ПлатежныйКалендарь
ДатаОплаты date
ПроцентОплаты num 5 2
СуммаОплаты num 15 2
СуммаНДСОплаты num 15 2
section Предоплата
Документ comp Document_ЗаказПокупателя
СуммаРасчетов num 15 2
Курс num 10 4
Кратность int 10
СуммаПлатежа num 15 2
$ATTRIBUTES
set Catalog_Контрагенты code 9 folders
НаименованиеПолное str 0
ВестиРасчетыПоДокументам bool
БанковскийСчетПоУмолчанию guid -
ВидКонтрагента enum ВидыКонтрагентов
ГруппаДоступа guid -
ДатаРождения date
ДатаСоздания date
ДоговорПоУмолчанию guid Catalog_ДоговорыКонтрагентов
ДокументУдостоверяющийЛичность str 0
ИНН str 12
ИННВведенКорректно bool
ИсточникПривлеченияПокупателя guid -
КодГосударственногоОргана fix 3
Комментарий str 0
КодПоЕДРПОУ str 12
НомерТелефона str 100
ОсновныеСведения str 0
Ответственный guid -
Недействителен bool
Покупатель bool
Поставщик bool
ПрочиеОтношения bool
АдресЭП str 100
ФИО str 100
ВестиРасчетыПоДоговорам bool
ВестиРасчетыПоЗаказам bool
НеЯвляетсяРезидентом bool
МобНомерТелефона str 100
$CONTACT$ATTRIBUTES
set Catalog_Номенклатура code 11 folders
Артикул str 25
ГарантийныйСрок num 3 0
ДатаИзменения date
ЕдиницаИзмерения guid Catalog_КлассификаторЕдиницИзмерения
ИспользоватьПартии bool
ИспользоватьСерийныеНомера bool
ИспользоватьХарактеристики bool
КатегорияНоменклатуры guid -
Комментарий str 0
НаименованиеПолное str 0
Недействителен bool
НормаВремени num 15 3
Поставщик guid Catalog_Контрагенты
Склад guid Catalog_СтруктурныеЕдиницы
СрокИсполненияЗаказа int 10
?v1 СтавкаНДС guid Catalog_СтавкиНДС
ТипНоменклатуры enum ТипыНоменклатуры
ЦеноваяГруппа guid -
ЭтоНовинка bool
$ATTRIBUTES
set Catalog_СтруктурныеЕдиницы code 9 parent
ТипСтруктурнойЕдиницы enum ТипыСтруктурныхЕдиниц
ОрдерныйСклад bool
Организация guid Catalog_Организации
МОЛ guid -
РозничныйВидЦен guid Catalog_ВидыЦен
set Catalog_Организации code 9
НаименованиеПолное str 0
ИНН str 12
КодПоЕДРПОУ str 12
Префикс str 2
ЮридическоеФизическоеЛицо enum ЮридическоеФизическоеЛицо
СтавкаНДСПоУмолчанию guid Catalog_СтавкиНДС
set Catalog_Валюты code 3
НаименованиеПолное str 50
Наценка num 10 2
ОсновнаяВалюта guid Catalog_Валюты
СимвольноеПредставление str 3
set Catalog_ВидыЦен code 9
ВалютаЦены guid Catalog_Валюты
ЦенаВключаетНДС bool
БазовыйВидЦен guid Catalog_ВидыЦен
Процент num 5 2
Комментарий str 0
set Catalog_ВидыКонтактнойИнформации nocode folders
Тип enum ТипыКонтактнойИнформации
РеквизитДопУпорядочивания int 5
Используется bool
set ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения nocode
Виден bool
Доступен bool
Заголовок str 0
ЗаполнятьОбязательно bool
Комментарий str 0
МногострочноеПолеВвода int 4
НаборСвойств guid -
ЭтоДополнительноеСведение bool
set Catalog_НаборыДополнительныхРеквизитовИСведений nocode folders
Используется bool
КоличествоРеквизитов str 5
КоличествоСведений str 5
section ДополнительныеРеквизиты
Свойство guid ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения
ПометкаУдаления bool
section ДополнительныеСведения
Свойство guid ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения
ПометкаУдаления bool
set Catalog_СтавкиНДС nocode
Ставка num 5 2
НеОблагается bool
НомерНалога int 2
set Catalog_КлассификаторЕдиницИзмерения code 4
НаименованиеПолное str 100
МеждународноеСокращение str 3
set Catalog_ЕдиницыИзмерения code 9
Owner comp Catalog_Номенклатура,Catalog_КатегорииНоменклатуры
Коэффициент num 10 3
set Catalog_ХарактеристикиНоменклатуры code 9
Owner comp Catalog_Номенклатура,Catalog_КатегорииНоменклатуры
НаименованиеДляПечати str 0
set Catalog_СостоянияЗаказовПокупателей nocode
УдалитьРеквизитДопУпорядочивания int 5
set Document_РасходнаяНакладная number НФНФ-
ВалютаДокумента guid Catalog_Валюты
ВидОперации enum ВидыОперацийРасходнаяНакладная
ВидСкидкиНаценки guid -
ВидЦен guid Catalog_ВидыЦен
Договор guid Catalog_ДоговорыКонтрагентов
ДокументОснование comp Document_ЗаказПокупателя
Заказ comp Document_ЗаказПокупателя
Комментарий str 0
Контрагент guid Catalog_Контрагенты
Кратность int 10
Курс num 10 4
НалогообложениеНДС enum ТипыНалогообложенияНДС
НДСВключатьВСтоимость bool
НомерВходящегоДокумента str 30
Организация guid Catalog_Организации
Ответственный guid -
БанковскийСчет guid -
ПоложениеЗаказаПокупателя enum ПоложениеРеквизита
СтруктурнаяЕдиница guid Catalog_СтруктурныеЕдиницы
СуммаВключаетНДС bool
СуммаДокумента num 15 2
Ячейка guid -
section Запасы
?v1 Номенклатура guid Catalog_Номенклатура
?v3 Номенклатура comp Catalog_Номенклатура,Edm.String
ТипНоменклатурыЗапас bool
Характеристика guid -
Резерв num 15 3
ЕдиницаИзмерения comp Catalog_КлассификаторЕдиницИзмерения,Catalog_ЕдиницыИзмерения
Цена num 15 2
ПроцентСкидкиНаценки num 5 2
Сумма num 15 2
СтавкаНДС guid Catalog_СтавкиНДС
СуммаНДС num 15 2
Всего num 15 2
Заказ comp Document_ЗаказПокупателя
Содержание str 0
Количество num 15 3
set Document_ПриходнаяНакладная number НФНФ-
ВалютаДокумента guid Catalog_Валюты
ВидОперации enum ВидыОперацийПриходнаяНакладная
Договор guid Catalog_ДоговорыКонтрагентов
ДокументОснование comp Document_РасходнаяНакладная,Document_ЗаказПокупателя
Комментарий str 0
Контрагент guid Catalog_Контрагенты
Кратность int 10
Курс num 10 4
НалогообложениеНДС enum ТипыНалогообложенияНДС
НДСВключатьВСтоимость bool
Организация guid Catalog_Организации
СтруктурнаяЕдиница guid Catalog_СтруктурныеЕдиницы
СуммаВключаетНДС bool
СуммаДокумента num 15 2
Ячейка guid -
section Запасы
?v1 Номенклатура guid Catalog_Номенклатура
?v3 Номенклатура comp Catalog_Номенклатура,Edm.String
ТипНоменклатурыЗапас bool
Характеристика guid -
ЕдиницаИзмерения comp Catalog_КлассификаторЕдиницИзмерения,Catalog_ЕдиницыИзмерения
Цена num 15 2
ПроцентСкидкиНаценки num 5 2
Сумма num 15 2
СтавкаНДС guid Catalog_СтавкиНДС
СуммаНДС num 15 2
Всего num 15 2
Содержание str 0
Количество num 15 3
set Catalog_ДоговорыКонтрагентов code 9 owner Catalog_Контрагенты
ВалютаРасчетов guid Catalog_Валюты
ВидДоговора enum ВидыДоговоров
ВидЦен guid Catalog_ВидыЦен
ДатаДоговора date
НомерДоговора str 50
Организация guid Catalog_Организации
СрокОплатыПокупателя int 10
set Document_ПоступлениеНаСчет number НФНФ-
ВидОперации enum ВидыОперацийПоступлениеНаСчет
Организация guid Catalog_Организации
БанковскийСчет guid Catalog_БанковскиеСчета
Контрагент guid Catalog_Контрагенты
ВалютаДенежныхСредств guid Catalog_Валюты
СуммаДокумента num 15 2
НазначениеПлатежа str 0
Комментарий str 0
section РасшифровкаПлатежа
Договор guid Catalog_ДоговорыКонтрагентов
Заказ comp Document_ЗаказПокупателя,Document_СчетНаОплату
СуммаПлатежа num 15 2
СуммаРасчетов num 15 2
Курс num 10 4
Кратность int 10
ПризнакАванса bool
set Document_ПоступлениеВКассу number НФНФ-
ВидОперации enum ВидыОперацийПоступлениеВКассу
Организация guid Catalog_Организации
Касса guid Catalog_Кассы
Контрагент guid Catalog_Контрагенты
ВалютаДенежныхСредств guid Catalog_Валюты
СуммаДокумента num 15 2
Комментарий str 0
section РасшифровкаПлатежа
Договор guid Catalog_ДоговорыКонтрагентов
Заказ comp Document_ЗаказПокупателя,Document_СчетНаОплату
СуммаПлатежа num 15 2
СуммаРасчетов num 15 2
Курс num 10 4
Кратность int 10
ПризнакАванса bool
set Document_РасходСоСчета number НФНФ-
ВидОперации enum ВидыОперацийРасходСоСчета
Организация guid Catalog_Организации
БанковскийСчет guid Catalog_БанковскиеСчета
Контрагент guid Catalog_Контрагенты
ВалютаДенежныхСредств guid Catalog_Валюты
СуммаДокумента num 15 2
НазначениеПлатежа str 0
Комментарий str 0
section РасшифровкаПлатежа
Договор guid Catalog_ДоговорыКонтрагентов
Заказ comp Document_ЗаказПокупателя,Document_СчетНаОплату
СуммаПлатежа num 15 2
СуммаРасчетов num 15 2
Курс num 10 4
Кратность int 10
ПризнакАванса bool
set Document_РасходИзКассы number НФНФ-
ВидОперации enum ВидыОперацийРасходИзКассы
Организация guid Catalog_Организации
Касса guid Catalog_Кассы
Контрагент guid Catalog_Контрагенты
ВалютаДенежныхСредств guid Catalog_Валюты
СуммаДокумента num 15 2
Комментарий str 0
section РасшифровкаПлатежа
Договор guid Catalog_ДоговорыКонтрагентов
Заказ comp Document_ЗаказПокупателя,Document_СчетНаОплату
СуммаПлатежа num 15 2
СуммаРасчетов num 15 2
Курс num 10 4
Кратность int 10
ПризнакАванса bool
set Catalog_БанковскиеСчета code 9
НомерСчета str 34
set Catalog_Кассы code 9
register InformationRegister_ЦеныНоменклатуры independent
dim ВидЦен guid Catalog_ВидыЦен
dim Номенклатура guid Catalog_Номенклатура
dim Характеристика guid Catalog_ХарактеристикиНоменклатуры
res Цена num 15 2
res Актуальность bool
res ЕдиницаИзмерения comp Catalog_КлассификаторЕдиницИзмерения,Catalog_ЕдиницыИзмерения
?v3 res ВалютаЦены guid Catalog_Валюты
register AccumulationRegister_ЗапасыНаСкладах balance
dim Организация guid Catalog_Организации
dim Номенклатура guid Catalog_Номенклатура
dim Характеристика guid Catalog_ХарактеристикиНоменклатуры
dim Партия guid -
dim СтруктурнаяЕдиница guid Catalog_СтруктурныеЕдиницы
dim Ячейка guid -
res Количество num 15 3
register AccumulationRegister_Запасы balance
dim Организация guid Catalog_Организации
dim СтруктурнаяЕдиница comp Catalog_СтруктурныеЕдиницы,Catalog_Контрагенты
dim СчетУчета guid -
dim Номенклатура guid Catalog_Номенклатура
dim Характеристика guid Catalog_ХарактеристикиНоменклатуры
dim Партия guid -
dim ЗаказПокупателя guid Document_ЗаказПокупателя
res Количество num 15 3
res Сумма num 15 2
register AccumulationRegister_Продажи turnover
dim Номенклатура guid Catalog_Номенклатура
res Количество num 15 3
EOT

# %TYPE{entity set} = { name, kind (document catalog section register), key => [prop] of a register, props => {name => prop}, order => [prop], sections => {name => type}, navs => {name => prop} }
# prop = { name, kind: guid str fix num int bool date enum section, edm, length, precision, scale, target, type_of, default, json_default }
our (%TYPE, @SET_NAMES, @VIRTUAL);
our @ACCOUNTING_QUANTITY = qw(КоличествоDebitBalance КоличествоBalanceDt);    # names that the column may have

sub _prop ($type, $name, $kind, %rest)
{
	my %edm = (guid => 'Guid', str => 'String', fix => 'String', num => 'Double', bool => 'Boolean', date => 'DateTime', enum => 'String',
		type => 'String', value => 'String');
	my $p = { name => $name, kind => $kind, edm => 'Edm.' . ($edm{$kind} // ''), %rest };
	if ($kind eq 'int') { $p->{edm} = 'Edm.' . ($p->{precision} <= 4 ? 'Int16' : $p->{precision} <= 9 ? 'Int32' : 'Int64') }
	$p->{int64} = 1 if $p->{edm} eq 'Edm.Int64';
	$p->{default} //= $kind eq 'guid' ? $NIL : $kind eq 'date' ? $EMPTY_DATE : $kind eq 'bool' ? !!0
	  : $kind eq 'num' || $kind eq 'int' ? 0 : $kind eq 'type' ? 'StandardODATA.Undefined' : $kind eq 'fix' ? ' ' x $p->{length} : '';
	if ($kind eq 'enum') { $p->{values} = { map { $_ => 1 } $ENUM{ $p->{enum} }->@* } }
	$type->{props}{$name} = $p;
	push $type->{order}->@*, $p;
	return $p;
}

sub _new_type ($name, $kind)
{
	my $t = { name => $name, kind => $kind, props => {}, order => [], sections => {}, section_order => [], navs => {} };
	$TYPE{$name} = $t;
	push @SET_NAMES, $name;
	return $t;
}

sub _set ($name, @words)
{
	my $t = _new_type($name, $name =~ /\ADocument_/ ? 'document' : 'catalog');
	my %w;
	while (@words) {
		my $w = shift @words;
		$w{$w} = $w =~ /\A(?:code|number|owner)\z/ ? shift @words : 1;
	}
	_prop($t, 'Ref_Key', 'guid');
	_prop($t, 'DataVersion', 'str', length => 12);
	_prop($t, 'DeletionMark', 'bool');
	if ($t->{kind} eq 'document') {
		_prop($t, 'Number', 'str', length => 11);
		_prop($t, 'Date', 'date');
		_prop($t, 'Posted', 'bool');
		$t->{number_prefix} = $w{number};
		return $t;
	}
	_reference($t, 'Owner', $w{owner}) if $w{owner};
	_reference($t, 'Parent', $name) if $w{folders} || $w{parent};
	_prop($t, 'IsFolder', 'bool') if $w{folders};
	if ($w{code}) {
		_prop($t, 'Code', 'str', length => $w{code});
		$t->{code_length} = $w{code};
	}
	_prop($t, 'Description', 'str', length => 100);
	_prop($t, 'Predefined', 'bool');
	_prop($t, 'PredefinedDataName', 'str', length => 0);
	return $t;
}

# An independent register that is written record by record. Records are known by their dimensions and have neither a key of their own nor a DataVersion.
sub _register ($name)
{
	my $t = _new_type($name, 'register');
	$t->{key} = [];
	return $t;
}

# A register: the set itself (of records of one recorder, or, when independent, of its records), with recorders also _RecordType, which is flat.
# {functions}{name} = type of the rows that the virtual table gives, {dims}, {resources}, {condition_type}: what a Condition may speak of.
my %RECORDERS = (subordinate => 1, balance => 1, turnover => 1, accounting => 1);

sub _virtual_register ($name, $kind)
{
	my $flat = _new_type($RECORDERS{$kind} ? "${name}_RecordType" : $name, 'records');
	_prop($flat, 'Period', 'date');
	if ($RECORDERS{$kind}) {
		_prop($flat, 'Recorder', 'str', length => 0);
		_prop($flat, 'Recorder_Type', 'str', length => 0);
		_prop($flat, 'LineNumber', 'int', precision => 10);
		_prop($flat, 'Active', 'bool');
		_prop($flat, 'RecordType', 'str', length => 0) if $kind eq 'balance';
	}
	$flat->{records_of} = $flat->{name};
	$flat->{register} = $name;
	$flat->{register_kind} = $kind;
	return $flat;
}

sub _finish_register ($flat)
{
	my ($name, $kind) = $flat->@{qw(register register_kind)};
	my @dims = grep { $_->{part} eq 'dim' } grep { $_->{part} } $flat->{order}->@*;
	my @resources = grep { ($_->{part} // '') eq 'res' } $flat->{order}->@*;
	my %dim_props = map { $_->{name} => $_ } @dims;
	my %own = (dims => \@dims, resources => \@resources, records_of => $flat->{name}, register => $name,
		condition_type => { name => "${name}_Condition", props => \%dim_props, order => \@dims, sections => {}, section_order => [], navs => { map { $_->{nav} => $_ } grep { $_->{nav} && $_->{target} } @dims } });
	my $set = $flat;
	if ($RECORDERS{$kind}) {
		$set = _new_type($name, 'record_set');
		_prop($set, 'Recorder', 'str', length => 0);
		_prop($set, 'Recorder_Type', 'str', length => 0);
	}
	$_->%* = ($_->%*, %own) for $set, $flat;
	if ($kind eq 'independent' || $kind eq 'subordinate') { $flat->{functions}{$_} = $flat for qw(SliceLast SliceFirst) }
	return if $kind ne 'balance' && $kind ne 'accounting';
	my $v = { name => "${name}_Balance", kind => 'virtual', props => {}, order => [], sections => {}, section_order => [], navs => {} };
	for my $d (@dims) {
		$v->{props}{ $d->{name} } = $d;
		push $v->{order}->@*, $d;
	}
	$v->{navs} = $own{condition_type}{navs};
	my @suffixes = $kind eq 'accounting' ? qw(Balance DebitBalance CreditBalance) : ('Balance');
	for my $r (@resources) {
		_prop($v, $r->{name} . ($_ eq 'DebitBalance' && $r->{name} eq 'Количество' ? '' : $_), 'num', precision => $r->{precision}, scale => $r->{scale}) for grep { !($kind eq 'accounting' && $_ eq 'DebitBalance' && $r->{name} eq 'Количество') } @suffixes;
	}
	_prop($v, $_, 'num', precision => 15, scale => 3) for $kind eq 'accounting' ? @ACCOUNTING_QUANTITY : ();
	$set->{functions}{Balance} = $v;
	push @VIRTUAL, $v;
	return if $kind ne 'accounting';
	$set->{accounting} = 1;
	my ($account) = grep { $_->{name} eq 'Account_Key' } @dims;
	$set->{account_type} = { name => "${name}_Account", props => { Account_Key => $account }, order => [$account], sections => {}, section_order => [], navs => { Account => $account } };
}

sub _reference ($t, $name, $target)
{
	my $p = _prop($t, "${name}_Key", 'guid', target => $target eq '-' ? undef : $target, nav => $name);
	$t->{navs}{$name} = $p if $p->{target};
}

sub _section ($set, $name)
{
	my $t = _new_type("$set->{name}_$name", 'section');
	$t->{parent} = $set;
	$t->{section} = $name;
	_prop($t, 'Ref_Key', 'guid');
	_prop($t, 'LineNumber', 'int', precision => 10);
	$set->{sections}{$name} = $t;
	push $set->{section_order}->@*, $t;
	$set->{props}{$name} = { name => $name, kind => 'section', edm => "Collection(StandardODATA.$t->{name}_RowType)", of => $t };
	return $t;
}

sub _build
{
	my ($set, $type, @registers);
	my ($file, @variants) = ($CONFIGURATION{ $ENV{BAS_CONFIGURATION} // 'unf' } // die "there is no configuration $ENV{BAS_CONFIGURATION}\n")->@*;
	my $table = $TABLE;
	if (defined $file) {
		open my $h, '<:raw', __FILE__ =~ s{Peer/Bas/Schema\.pm\z}{configurations/$file.txt}r or die "configurations/$file.txt: $!";
		local $/;
		$table = <$h> =~ s/^#.*\n//gmr =~ s/^(\?\w+ )?include contact\n/$CONTACT/gmr =~ s/^include attributes\n/$ATTRIBUTES/gmr;
	}
	@variants = ('v1') if !@variants;
	for my $line (split /\n/, $table) {
		if ($line =~ s/\A\?(\w+) //) { next if !grep { $_ eq $1 } @variants }
		my $part = $line =~ s/\A(dim|res|attr) // ? $1 : undef;
		my ($name, $kind, @w) = split ' ', $line or next;
		my $known = $type ? $type->{order}->@* : 0;
		if ($name eq 'role') { $ROLE{$kind} = $w[0]; next }
		if ($name eq 'enum' && $line !~ /\Aenum enum /) { $ENUM{$kind} = \@w; next }
		if    ($name eq 'register' && @w) { push @registers, $type = _virtual_register($kind, @w) }
		elsif ($name eq 'set')     { $set = $type = _set($kind, @w) }
		elsif ($name eq 'section') { $type = _section($set, $kind) }
		elsif ($name eq 'register') { $set = $type = _register($kind) }
		elsif ($kind eq 'guid')    { _reference($type, $name, $w[0]) }
		elsif ($kind eq 'str' || $kind eq 'fix') { _prop($type, $name, $kind, length => $w[0]) }
		elsif ($kind eq 'num')     { _prop($type, $name, 'num', precision => $w[0], scale => $w[1]) }
		elsif ($kind eq 'int')     { _prop($type, $name, 'int', precision => $w[0]) }
		elsif ($kind eq 'enum')    { _prop($type, $name, 'enum', enum => $w[0]) }
		elsif ($kind eq 'comp') {
			my %types = map { (/\AEdm\./ ? $_ : "StandardODATA.$_") => 1 } split /,/, $w[0];
			my $v = _prop($type, $name, 'value', length => 0, types => \%types);
			$v->{type_prop} = _prop($type, "${name}_Type", 'type', length => 0, types => \%types, value_prop => $name)->{name};
		}
		else { _prop($type, $name, $kind) }
		push $type->{key}->@*, $type->{order}->@[ $known .. $type->{order}->$#* ] if $type->{key} && ($part // '') eq 'dim';
		if (defined $part) { $_->@{qw(part dimension)} = ($part, $name) for $type->{order}->@[ $known .. $type->{order}->$#* ] }
	}
	_finish_register($_) for @registers;
}

_build();

# The $metadata document. Options: max_length => 1 writes MaxLength facets, padding => N adds so many invented sets (3.4 kB each).
sub metadata ($published, %opt)
{
	my $x = qq{<?xml version="1.0" encoding="UTF-8"?>\n<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" Version="1.0">}
	  . q{<edmx:DataServices xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" m:DataServiceVersion="3.0" m:MaxDataServiceVersion="3.0">}
	  . qq{<Schema xmlns="http://schemas.microsoft.com/ado/2009/11/edm" Namespace="StandardODATA">\n};
	my @names = grep { $published->{$_} } @SET_NAMES;
	for my $name (@names) {
		my $t = $TYPE{$name};
		my @key = $t->{key} ? map { $_->{name} } $t->{key}->@* : $t->{kind} eq 'record_set' ? qw(Recorder Recorder_Type) : $t->{register} ? ('Period', map { $_->{name} } $t->{dims}->@*) : $t->{parent} ? qw(Ref_Key LineNumber) : 'Ref_Key';
		$x .= qq{<EntityType Name="$name"><Key>} . join('', map { qq{<PropertyRef Name="$_"/>} } @key) . "</Key>\n";
		$x .= _metadata_props($t, %opt);
		for my $nav (sort keys $t->{navs}->%*) {
			next if !$published->{ $t->{navs}{$nav}{target} };
			$x .= qq{<NavigationProperty Name="$nav" Relationship="StandardODATA.${name}_$nav" FromRole="Begin" ToRole="End"/>\n};
		}
		$x .= "</EntityType>\n";
		for my $nav (sort keys $t->{navs}->%*) {
			my $target = $t->{navs}{$nav}{target};
			next if !$published->{$target};
			$x .= qq{<Association Name="${name}_$nav"><End Role="Begin" Type="StandardODATA.$name" Multiplicity="*"/><End Role="End" Type="StandardODATA.$target" Multiplicity="0..1"/></Association>\n};
		}
	}
	for my $name (grep { $TYPE{$_}{parent} } @names) { $x .= qq{<ComplexType Name="${name}_RowType">\n} . _metadata_props($TYPE{$name}, %opt) . "</ComplexType>\n" }
	for my $v (grep { $published->{ $_->{name} =~ s/_Balance\z//r } } @VIRTUAL) { $x .= qq{<ComplexType Name="$v->{name}">\n} . _metadata_props($v, %opt) . "</ComplexType>\n" }
	for my $n (1 .. $opt{padding} // 0) {
		push @names, "InformationRegister_Вигаданий$n";
		$x .= qq{<EntityType Name="InformationRegister_Вигаданий$n">\n} . join('', map { qq{<Property Name="ДовгаНазваВластивості$_" Type="Edm.String" Nullable="true"/>\n} } 1 .. 34) . "</EntityType>\n";
	}
	for my $e (sort keys %ENUM) { $x .= qq{<EnumType Name="$e">} . join('', map { qq{<Member Name="$_"/>} } $ENUM{$e}->@*) . "</EnumType>\n" }
	$x .= q{<EntityContainer Name="EnterpriseV8" m:IsDefaultEntityContainer="true">} . "\n";
	$x .= qq{<EntitySet Name="$_" EntityType="StandardODATA.$_"/>\n} for @names;
	for my $name (grep { ($TYPE{$_}{kind} // '') eq 'document' } @names) {
		for my $f (qw(Post Unpost)) {
			$x .= qq{<FunctionImport Name="$f" IsBindable="true" IsSideEffecting="true"><Parameter Name="bindingParameter" Type="StandardODATA.$name"/>}
			  . ($f eq 'Post' ? '<Parameter Name="PostingModeOperational" Type="Edm.Boolean"/>' : '') . "</FunctionImport>\n";
		}
	}
	for my $name (grep { $TYPE{$_} && $TYPE{$_}{functions} } @names) {
		my $t = $TYPE{$name};
		for my $f (sort keys $t->{functions}->%*) {
			$x .= qq{<FunctionImport Name="$f" IsBindable="true" IsSideEffecting="false" ReturnType="Collection(StandardODATA.$t->{functions}{$f}{name})"><Parameter Name="bindingParameter" Type="StandardODATA.$name"/>}
			  . join('', map { qq{<Parameter Name="$_" Type="Edm.String"/>} } 'Condition', $f eq 'Balance' ? 'Dimensions' : (), $t->{accounting} ? qw(AccountCondition ExtraDimensions) : ()) . qq{<Parameter Name="Period" Type="Edm.DateTime"/></FunctionImport>\n};
		}
	}
	return $x . "</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>\n";
}

sub _metadata_props ($t, %opt)
{
	my $x = '';
	for my $p ($t->{order}->@*) {
		my $null = $p->{name} =~ /\A(?:Ref_Key|LineNumber)\z/ || grep({ $_ == $p } ($t->{key} // [])->@*) ? 'false' : 'true';
		my $len = $opt{max_length} && $p->{length} ? qq{ MaxLength="$p->{length}"} : '';
		$x .= qq{<Property Name="$p->{name}" Type="$p->{edm}" Nullable="$null"$len/>\n};
	}
	$x .= qq{<Property Name="$_->{section}" Type="Collection(StandardODATA.$_->{name}_RowType)" Nullable="false"/>\n} for $t->{section_order}->@*;
	return $x;
}

1;
