# Peer::Bas::Seed - the invented content of a fresh simulated base
#
# One organisation, two bank accounts, a cash desk, two currencies (980, 840), one warehouse and one department, one price type, four VAT rates, contact kinds, units, states,
# 70 products and 8 counterparties. Keys are fixed and speak: 8c1f4a10-<kind>-11ee-8000-<number>.
package Peer::Bas::Seed;
use v5.36;
no feature 'unicode_strings';
use Peer::Bas::Schema qw(%TYPE %ROLE $NIL);

my %KIND = ('Catalog_Организации' => '00aa', 'Catalog_Контрагенты' => '00bb', 'Catalog_Валюты' => '0980', 'Catalog_ВидыКонтактнойИнформации' => '00dd',
	'Catalog_СтруктурныеЕдиницы' => '00ee', 'Catalog_ВидыЦен' => '00f1', 'Catalog_СтавкиНДС' => '00f2', 'Catalog_КлассификаторЕдиницИзмерения' => '00f3',
	'Catalog_СостоянияЗаказовПокупателей' => '00f4', 'Catalog_ДоговорыКонтрагентов' => '00cc', 'Catalog_Номенклатура' => '0001', 'Catalog_Партнеры' => '00bc',
	'Catalog_БанковскиеСчета' => '00f5', 'Catalog_Кассы' => '00f6');

# What other configurations call them.
my %OTHER = ('Catalog_СтруктурныеЕдиницы' => [qw(Catalog_Склады Catalog_СкладыКомпании)], 'Catalog_ВидыЦен' => [qw(Catalog_ТипыЦенНоменклатуры Catalog_ТипыЦен)],
	'Catalog_КлассификаторЕдиницИзмерения' => [qw(Catalog_УпаковкиЕдиницыИзмерения Catalog_ЕдиницыИзмерения)], 'Catalog_ДоговорыКонтрагентов' => ['Catalog_ДоговорыВзаиморасчетов'],
	'Catalog_Организации' => ['Catalog_Організації'], 'Catalog_Контрагенты' => [ $ROLE{client} ], 'Catalog_Номенклатура' => [ $ROLE{product_set} ]);

sub key ($set, $n) { return sprintf '8c1f4a10-%s-11ee-8000-%012d', $KIND{$set} // '0002', $n }

my ($ORG, $CP, $CUR, $CI, $UNIT, $PRICE, $VAT, $MEASURE, $STATE, $CONTRACT, $PRODUCT) = map { "Catalog_$_" }
  qw(Организации Контрагенты Валюты ВидыКонтактнойИнформации СтруктурныеЕдиницы ВидыЦен СтавкиНДС КлассификаторЕдиницИзмерения СостоянияЗаказовПокупателей ДоговорыКонтрагентов Номенклатура);
my $PARTNER = 'Catalog_Партнеры';
my @VAT_VALUES = (undef, [ 'НДС20', 'ПДВ20' ], [ 'НДС7', 'ПДВ7' ], ['НДС0'], [ 'БезНДС', 'БезПДВ' ]);    # by the number of the rate

# article => name, of the products that are there to be tripped over
our %SPECIAL = (
	'SKU-9001' => 'two products, the article is ambiguous',
	'SKU-9002' => 'marked for deletion',
	'SKU-9003' => 'a folder',
	"O'NEIL-7" => 'a quote in the article',
	'АРТ-ЇЖА-1' => 'Cyrillic article',
	'SKU-9004' => 'service',
);

sub _row ($store, $set, $n, %props)
{
	my ($name) = grep { $TYPE{$_} } $set, ($OTHER{$set} // [])->@* or return;    # the configuration has none
	my $type = $TYPE{$name};
	delete $props{$_} for grep { my $p = $type->{props}{$_}; $p && $p->{values} && !$p->{values}{ $props{$_} } } keys %props;
	return $store->load($type, { Ref_Key => key($set, $n), %props });
}

sub fill ($store, $config)
{
	_row($store, $VAT, 1, Description => '20%', 'Ставка' => 20);
	_row($store, $VAT, 2, Description => '7%', 'Ставка' => 7);
	_row($store, $VAT, 3, Description => '0%', 'Ставка' => 0);
	_row($store, $VAT, 4, Description => 'без ПДВ', 'Ставка' => 0, 'НеОблагается' => !!1);
	_row($store, $CUR, 1, Code => '980', Description => 'грн', 'НаименованиеПолное' => 'Українська гривня', 'СимвольноеПредставление' => 'грн');
	_row($store, $CUR, 2, Code => '840', Description => 'USD', 'НаименованиеПолное' => 'Долар США', 'СимвольноеПредставление' => '$');
	_row($store, $ORG, 1, Description => 'ТОВ «Вигадана Крамниця»', 'НаименованиеПолное' => 'Товариство з обмеженою відповідальністю «Вигадана Крамниця»',
		'КодПоЕДРПОУ' => '00000001', 'Префикс' => 'ВК', 'ЮридическоеФизическоеЛицо' => 'ЮридическоеЛицо', 'СтавкаНДСПоУмолчанию_Key' => key($VAT, 1));
	_row($store, $UNIT, 1, Description => 'Основний склад', 'ТипСтруктурнойЕдиницы' => 'Склад', 'Организация_Key' => key($ORG, 1));
	_row($store, $UNIT, 2, Description => 'Відділ продажу', 'ТипСтруктурнойЕдиницы' => 'Подразделение', 'Организация_Key' => key($ORG, 1));
	_row($store, $PRICE, 1, Description => 'Роздрібна', 'ВалютаЦены_Key' => key($CUR, 1), 'ЦенаВключаетНДС' => !!1);
	my @kinds = ([ 'Телефон', 'Телефон', 'ТелефонКонтрагента' ], [ 'Email', 'АдресЭлектроннойПочты', 'EmailКонтрагента' ],
		[ 'Юридична адреса', 'Адрес', 'ЮрАдресКонтрагента' ], [ 'Факс', 'Факс', 'ФаксКонтрагента' ], [ 'Телефон організації', 'Телефон', 'ТелефонОрганизации' ], [ 'Телефон партнера', 'Телефон', 'ТелефонПартнера' ]);
	_row($store, $CI, $_ + 1, Description => $kinds[$_][0], 'Тип' => $kinds[$_][1], Predefined => !!1, PredefinedDataName => $kinds[$_][2], 'Используется' => !!1) for 0 .. $#kinds;
	_row($store, $MEASURE, 1, Code => '2009', Description => 'шт', 'НаименованиеПолное' => 'штука');
	_row($store, $MEASURE, 2, Code => '0301', Description => 'кг', 'НаименованиеПолное' => 'кілограм');
	_row($store, $MEASURE, 3, Code => '0101', Description => 'м', 'НаименованиеПолное' => 'метр');
	_row($store, $STATE, 1, Description => 'Відкритий');
	_row($store, $STATE, 2, Description => 'В роботі');
	_row($store, $STATE, 3, Description => 'Завершено', Predefined => !!1, PredefinedDataName => 'Завершен');
	_row($store, 'Catalog_БанковскиеСчета', 1, Description => 'Основний рахунок', 'НомерСчета' => 'UA463052990000026008016227980');
	_row($store, 'Catalog_БанковскиеСчета', 2, Description => 'Другий рахунок', 'НомерСчета' => 'UA403052990000026009030110403');
	_row($store, 'Catalog_Кассы', 1, Description => 'Головна каса');
	_products($store, $config->{products} // 60);
	_counterparties($store);
}

sub _products ($store, $count)
{
	my @things = ('Ліхтар', 'Чашка', 'Рюкзак', 'Плед', 'Лампа', 'Зошит', 'Термос', 'Килимок', 'Кава зернова', 'Мотузка');
	my $vat = sub ($n) { $n % 10 == 7 ? 2 : $n % 10 == 9 ? 4 : 1 };
	my $type = $TYPE{ $ROLE{product_set} };
	my $unit = sub ($n) { key($MEASURE, $n % 10 == 8 ? 2 : $n % 10 == 0 ? 3 : 1) };
	my $product = sub ($n, $article, $name, %more) {
		my ($by_value) = map { my $p = $type->{props}{$_}; $p && $p->{values} ? $p : () } 'СтавкаНДС', 'СтавкаПДВ';
		my ($value) = $by_value ? grep { $by_value->{values}{$_} } $VAT_VALUES[ $vat->($n) ]->@* : ();
		_row($store, $PRODUCT, $n, $ROLE{article} => $article, $by_value ? ($by_value->{name} => $value) : (), 'БазоваяЕдиницаИзмерения_Key' => $unit->($n), 'ОсновнаяЕдиницаИзмерения_Key' => $unit->($n), Description => $name, 'НаименованиеПолное' => $name, 'ТипНоменклатуры' => 'Запас',
			'ЕдиницаИзмерения_Key' => $unit->($n), 'СтавкаНДС_Key' => key($VAT, $vat->($n)), %more);
	};
	$product->($_, sprintf('SKU-%04d', $_), "$things[$_ % 10] «Вигадка» №$_") for 1 .. $count;
	my $n = 9000;
	$product->(++$n, 'SKU-9001', 'Двійник перший');
	$product->(++$n, 'SKU-9001', 'Двійник другий');
	$product->(++$n, 'SKU-9002', 'Стара модель', DeletionMark => !!1);
	$product->(++$n, 'SKU-9003', 'Група товарів', IsFolder => !!1);
	$product->(++$n, "O'NEIL-7", "Куртка O'Neil (вигадана)");
	$product->(++$n, 'АРТ-ЇЖА-1', 'Їжа похідна');
	$product->(++$n, 'SKU-9004', 'Пакування', 'ТипНоменклатуры' => 'Услуга');
	$product->(++$n, '', 'Без артикула');
	$product->(++$n, 'SKU-9005', 'Стара модель, номер 5', DeletionMark => !!1);
	$product->(++$n, 'SKU-9005', 'Нова модель, номер 5');
}

# Phones stand in the notations found in such bases: digits, with code in brackets, only in the presentation, two in one row.
sub _counterparties ($store)
{
	my @people = (
		[ 'Вигаданенко Олена', '+38 (067) 100-00-01', '380671000001', '1000001' ],
		[ 'Приклад Петро', '+38 (050) 100-00-02', '', '' ],
		[ 'Зразкова Марія', '0631000003', '0631000003', '1000003' ],
		[ 'ТОВ «Неіснуюче»', '8 (044) 100-00-04', '80441000004', '1000004' ],
		[ 'Тестенко Іван', '067 100 00 05', '', '' ],
		[ 'Уявна Софія', '(093) 100-00-06, дод. 12', '380931000006', '1000006' ],
		[ 'Вигадько Богдан', '+48 601 100 007', '48601100007', '601100007' ],
		[ 'ФОП Макетний', '068 100-00-08; 099 100-00-09', '', '' ],
	);
	for my $n (1 .. @people) {
		my ($name, $shown, $digits, $short) = $people[ $n - 1 ]->@*;
		if ($TYPE{$PARTNER}) {    # the first has its phone with the counterparty too, the second only with the partner
			_row($store, $PARTNER, $n, Description => $name, 'НаименованиеПолное' => $name, 'Клиент' => !!1,
				'КонтактнаяИнформация' => [ { LineNumber => 1, 'Тип' => 'Телефон', 'Вид_Key' => key($CI, 6), 'Представление' => $shown, 'НомерТелефона' => $digits, 'НомерТелефонаБезКодов' => $short } ]);
		}
		_row($store, $CP, $n, Description => $name, 'Партнер_Key' => key($PARTNER, $n), 'ОсновнойДоговорКонтрагента_Key' => key($CONTRACT, $n), 'НаименованиеПолное' => $name, 'Покупатель' => !!1,
			'ВидКонтрагента' => $name =~ /ТОВ/ ? 'ЮридическоеЛицо' : 'ФизическоеЛицо',
			$TYPE{$PARTNER} && $n == 2 ? () : ('КонтактнаяИнформация' => [ { LineNumber => 1, 'Тип' => 'Телефон', 'Вид_Key' => key($CI, 1), 'Представление' => $shown, 'НомерТелефона' => $digits, 'НомерТелефонаБезКодов' => $short } ]));
		_row($store, $CONTRACT, $n, Description => 'Основний договір', Owner_Key => key($CP, $n), 'ВидДоговора' => 'СПокупателем',
			'ВалютаРасчетов_Key' => key($CUR, 1), 'Организация_Key' => key($ORG, 1));
	}
	_row($store, $CP, 99, Description => 'Видалений покупець', DeletionMark => !!1, 'КонтактнаяИнформация' =>
		[ { LineNumber => 1, 'Тип' => 'Телефон', 'Вид_Key' => key($CI, 1), 'Представление' => '+38 (067) 100-00-01', 'НомерТелефона' => '380671000001', 'НомерТелефонаБезКодов' => '1000001' } ]);
}

1;
