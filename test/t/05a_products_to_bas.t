# Products of SalesDrive in BAS: by rules, for orders and for the YML export; folders; each once, whatever gets lost.

use strict;
use warnings FATAL => 'all';
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Encode ();
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql error_of);

my $node = new_node('products_to_bas', preload => 0);
my $crm = start_peer('salesdrive');
my %base = map { $_->[0] => start_peer('bas', @$_[1 .. $#$_]) } [ unf => () ], [ trade32 => '--configuration', 'trade32' ], [ accounting2 => '--configuration', 'accounting2' ];
my ($clock, $orders) = (0, 0);

sub run_engine
{
	sql("SET statement_timeout = '600 s'; CALL salesdrive.run()");
	my $bug = sql("SELECT string_agg(kind || ' ' || key || ': ' || detail, ' ') FROM salesdrive.task WHERE reason = 'bug'");
	die Encode::encode("UTF-8", "$bug\n") if $bug ne "";
	return;
}
sub until_state { my ($id, $state) = @_; return wait_for("order $id", sub { run_engine(); status($id) eq $state }) }
sub later { my ($seconds) = @_; $clock += $seconds; return sql("ALTER DATABASE postgres SET salesdrive.clock_offset = '$clock s'") }
sub status { my ($id, $columns) = @_; return sql("SELECT concat_ws(' ', " . ($columns // 'state, reason') . ") FROM salesdrive.order_status WHERE order_id = $id") }
sub path_of { return join '', map { sprintf '%%%02X', ord } split //, Encode::encode('UTF-8', $_[0]) }
sub objects { my ($of) = @_; return @{ $base{ $of // 'unf' }->control(GET => '/objects?set=' . path_of('Catalog_Номенклатура'))->{value} } }
sub made { my ($sku, $of) = @_; return grep { ($_->{'Артикул'} // '') eq $sku } objects($of) }
sub folders { my ($name, $of) = @_; return grep { $_->{IsFolder} && $_->{Description} eq $name } objects($of) }
sub posts { my ($kind) = @_; return sql("SELECT count(*) FROM salesdrive.exchange_log WHERE kind = '$kind' AND method = 'POST'") }
sub option { my ($set) = @_; return sql("UPDATE salesdrive.account SET $set WHERE name = 'shop'") }
sub rules { my (@rows) = @_; return sql("DELETE FROM salesdrive.product_rule" . join '', map { "; INSERT INTO salesdrive.product_rule ($_->[0]) VALUES ($_->[1])" } @rows) }
sub order
{
	my ($sku, %o) = @_;
	my $id = ++$orders;
	my $body = json_encode({ data => { id => $id, version => 1, orderTime => '2026-11-20 10:00:00', paymentAmount => 10, contacts => [ { fName => 'Зразок', phone => '0671000001' } ],
		products => [ { sku => $sku, text => $o{name} // "Товар $sku", amount => 1, price => 10, $o{category} ? (categoryId => $o{category}[0], categoryName => $o{category}[1]) : () } ] } });
	utf8::decode($body);
	$body =~ s/'/''/g;
	sql("SELECT salesdrive.accept_webhook('" . ($o{account} // 'shop') . "', '$body')");
	return $id;
}

my $FOLDER = '8c1f4a10-0001-11ee-8000-00000000f001';
my ($PIECE, $KILO) = map { "8c1f4a10-00f3-11ee-8000-00000000000$_" } 1, 2;
my ($VAT20, $VAT7) = map { "8c1f4a10-00f2-11ee-8000-00000000000$_" } 1, 2;
$base{unf}->control(POST => '/load', { 'Catalog_Номенклатура' => [
	{ Ref_Key => $FOLDER, Code => 'F-1', Description => 'Посуд', IsFolder => JSON::PP::true() },
	{ Ref_Key => '8c1f4a10-0001-11ee-8000-00000000f002', Code => 'F-2', Description => 'Двійня', IsFolder => JSON::PP::true() }, { Ref_Key => '8c1f4a10-0001-11ee-8000-00000000f003', Code => 'F-3', Description => 'Двійня', IsFolder => JSON::PP::true() },
	map { { Ref_Key => "8c1f4a10-0001-11ee-8000-0000000000e$_", 'Артикул' => "TEMPLATE-$_", Description => 'Зразок', 'ТипНоменклатуры' => 'Запас', Parent_Key => $FOLDER, 'ЕдиницаИзмерения_Key' => $PIECE, 'СтавкаНДС_Key' => $VAT20 } } 1, 2 ] });
sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $base{unf}->url('/base') . "', 'Обмен', 'secret');
	SELECT salesdrive.add_account(name => 'shop', url => '" . $crm->url . "', identity => 'demo-shop', api_key => 'demo-key', infobase => 'main', webhook_token => 'a-token-of-24-characters');
	UPDATE salesdrive.infobase SET retry_base = '1 ms', retry_cap = '2 ms', unsure_margin = '0', total_timeout = '2 s', circuit_after = 1000");

# ---- orders: the first rule that holds

rules([ 'account, rank, name, kind', "'shop', 1, '%доставка%', 'service'" ]);
my $id = order('OFF-1');
run_engine();
is(status($id), 'parked product_unknown', 'a rule alone makes nothing');
option("unknown_sku = 'create', template_sku = 'TEMPLATE-1'");
rules([ 'account, rank, name, kind, vat_rate', "'shop', 1, '%Доставка%', 'service', '7'" ], [ 'account, rank, sku, unit, folder', "'shop', 2, 'kg-%', 'кг', 'F-1'" ], [ 'account, rank, category, template_sku, note', "'*', 3, 'Чашки', 'TEMPLATE-2', 'cups'" ], [ 'account, rank, source, unit', "'*', 4, 'yml', 'м'" ]);
$id = order('D-1', name => 'ДОСТАВКА кур’єром');
order('KG-1', name => 'Кава на вагу');
order('CUP-1', name => 'Чашка', category => [ 7, 'Чашки' ]);
order('PLAIN-1', name => 'Зошит');
run_engine();
is(status($_), 'synced', "order $_ has its product") for $id .. $id + 3;
sub shown { my ($sku, $of, @keys) = @_; my @all = made($sku, $of); return join ' ', scalar @all, map { $all[0]{$_} // 'none' } @keys }
my @KEYS = ('ТипНоменклатуры', 'ЕдиницаИзмерения_Key', 'СтавкаНДС_Key', 'Parent_Key');
is(shown('D-1', 'unf', @KEYS), "1 Услуга $PIECE $VAT7 $FOLDER", 'type and rate of the rule by a pattern of the name, the rest of the template');
is(shown('KG-1', 'unf', @KEYS), "1 Запас $KILO $VAT20 $FOLDER", 'unit by name, folder by code');
is(shown('CUP-1', 'unf', @KEYS) . ' ' . sql("SELECT template FROM salesdrive.product_creation WHERE sku = 'CUP-1'"), "1 Запас $PIECE $VAT20 $FOLDER 8c1f4a10-0001-11ee-8000-0000000000e2", 'a template of its own, by the category that the webhook names');
is(shown('PLAIN-1', 'unf', @KEYS), "1 Запас $PIECE $VAT20 $FOLDER", 'without a row that holds, the template alone: a row for the export is none for orders');
is((made('PLAIN-1'))[0]{Ref_Key}, sql("SELECT salesdrive.product_ref_key('PLAIN-1')"), 'under a key computed here');

# ---- orders: what a rule names must be there

for my $case ([ 'unit', "'сажень'", qr/unit "сажень": it is not in the base/ ], [ 'vat_rate', "'0'", qr/vat_rate "0": several rates have it/ ], [ 'vat_rate', "'13 %'", qr/vat_rate "13 %": no rate is called so/ ],
	[ 'folder', "'Немає'", qr/folder "Немає": the base has none/ ], [ 'folder', "'Двійня'", qr/folder "Двійня": the base has several/ ]) {
	my ($column, $value, $words) = @$case;
	my $posts = posts('product');
	rules([ "account, rank, $column", "'shop', 1, $value" ]);
	my $n = order("BAD-$orders");
	run_engine();
	is(status($n), 'parked product_rule', "$column $value parks the order");
	like(status($n, 'detail'), qr/Row 1 of product_rule \(account shop\) for SKU "BAD-\d+" cannot be followed: $words/, 'and is named');
	like(status($n, 'hint'), qr/Correct the row/, 'with what to do');
	is(posts('product'), $posts, 'nothing was sent');
	rules([ 'account, rank, unit', "'shop', 1, 'м'" ]);
	run_engine();
	is(status($n), 'synced', 'a corrected row lets it go on');
}
like(error_of("INSERT INTO salesdrive.product_rule (account, folder, make_folders) VALUES ('shop', 'Посуд', true)"), qr/product_rule_folders/, 'folders are made only along the path of a category');
like(error_of("INSERT INTO salesdrive.product_rule (account, name) VALUES ('shop', '100 \\')"), qr/product_rule_pattern/, 'a pattern that escapes nothing is none');
rules([ 'account, rank, name, unit', "'*', 1, '100 \\\\', 'сажень'" ]);
my $wide = order('WIDE', name => '100 \\');
run_engine();
is(status($wide), 'parked product_rule', 'one that escapes something is one');
sql("INSERT INTO salesdrive.product_rule (account, rank, unit) VALUES ('shop', 0, 'м')");
run_engine();
is(status($wide), 'synced', 'what a row for every account keeps from being made goes on by a row of its own account');

# ---- orders: an article that differs in case only

$base{unf}->control(POST => '/config', { ignore_case => JSON::PP::true() });
$wide = order('Template-2');
run_engine();
is(status($wide) . ' ' . scalar(my @t = grep { lc($_->{'Артикул'} // '') eq 'template-2' } objects()), 'parked product_made 1', 'an SKU that BAS has in other letters is not made beside it');
like(status($wide, 'detail'), qr/has article "TEMPLATE-2" \(8c1f4a10-0001-11ee-8000-0000000000e2\), which differs from SKU "Template-2" in case or spaces only/, 'which is told');
sql("INSERT INTO salesdrive.product_pin (infobase, sku, product) VALUES ('main', 'Template-2', '8c1f4a10-0001-11ee-8000-0000000000e2')");
run_engine();
is(status($wide) . sql("SELECT count(*) FROM salesdrive.task WHERE kind = 'product'"), 'synced0', 'pinned, the order goes on, and nothing is left behind');
$base{unf}->control(POST => '/config', { ignore_case => JSON::PP::false() });

# ---- orders: folders

rules([ 'account, rank, folder', "'shop', 1, 'same'" ]);
my @same = (order('S-1', category => [ 8, 'Посуд' ]), order('S-2', category => [ 9, 'Скло' ]), order('S-3'));
run_engine();
is(join(', ', map { status($_) } @same), 'synced, parked product_rule, synced', 'the folder of the category, where there is one');
is(shown('S-1', 'unf', 'Parent_Key') . ' ' . shown('S-3', 'unf', 'Parent_Key'), "1 $FOLDER 1 $FOLDER", 'without a category, that of the template');
rules([ 'account, rank, folder, make_folders', "'shop', 1, 'same', true" ]);
sql("INSERT INTO salesdrive.crm_category (account, category_id, name, parent_id, ids, path, seen_at) VALUES ('shop', '9', 'Скло', '8', '{8,9}', '{Посуд,Скло}', now()), ('shop', '10', 'Келихи', '9', '{8,9,10}', '{Посуд,Скло,Келихи}', now())");
order("S-$_", category => [ 10, 'Келихи' ]) for 4 .. 7;
run_engine();
is(join(', ', map { status($_) } $same[1], $orders - 3 .. $orders), join(', ', ('synced') x 5), 'folders are made where they are missing');
my ($glass, $cups) = (folders('Скло'), folders('Келихи'));
is(join(' ', scalar(my @a = folders('Скло')), scalar(my @b = folders('Келихи')), scalar(my @c = folders('Посуд'))), '1 1 1', 'each once');
is($cups->{Parent_Key}, $glass->{Ref_Key}, 'the outer one first');
is($cups->{Ref_Key}, sql("SELECT salesdrive.folder_ref_key('demo-shop/10')"), 'under a key computed here');
is(shown('S-4', 'unf', 'Parent_Key'), "1 $cups->{Ref_Key}", 'and the products lie in it');
is(posts('folder'), 2, 'two requests made them');
sql("UPDATE salesdrive.crm_category SET name = 'Бокали', path = '{Посуд,Скло,Бокали}' WHERE category_id = '10'");
order('S-8', category => [ 10, 'Бокали' ]);
run_engine();
is(shown('S-8', 'unf', 'Parent_Key') . ' ' . posts('folder'), "1 $cups->{Ref_Key} 2", 'a category renamed keeps its folder');

# ---- orders: lost answers, restarts

for my $fault ('reset_after', 'reset_before') {
	sql("INSERT INTO salesdrive.crm_category (account, category_id, name, ids, path, seen_at) VALUES ('shop', '$fault', '$fault', '{$fault}', '{$fault}', now())");
	$base{unf}->control(POST => '/faults', { method => 'POST', path => 'Catalog_', action => $fault, times => 2 });
	my $n = order("LOST-$fault", category => [ $fault, $fault ]);
	ok(until_state($n, 'synced'), "$fault: in the end it is there") or diag(sql('SELECT kind, key, state, reason, detail FROM salesdrive.task'));
	is(scalar(my @f = folders($fault)) . ' ' . scalar(my @p = made("LOST-$fault")), '1 1', 'folder and product once');
}
my $n = order('KILLED', category => [ 77, 'Обірвано' ]);
sql('SELECT salesdrive.ingest(10)');
for my $round (1 .. 12) {    # each other turn ends after its attempts were committed, as if the engine had died then
	last if status($n) eq 'synced';
	sql("SELECT count(*) FROM salesdrive.claim(10)");
	run_engine() if $round % 2 == 0;
	later(5);
}
ok(until_state($n, 'synced'), 'an engine that dies again and again');
is(scalar(my @f = folders('Обірвано')) . ' ' . scalar(my @p = made('KILLED')), '1 1', 'folder and product once');

# ---- orders: what was made under our key is not shown, or marked for deletion, before its answer is known

my $posts = posts('product');
$base{unf}->control(POST => '/config', { hidden => { 'Catalog_Номенклатура' => [ (made('PLAIN-1'))[0]{Ref_Key}, sql("SELECT salesdrive.folder_ref_key('demo-shop/99')") ] } });
$base{unf}->control(POST => '/load', { 'Catalog_Номенклатура' => [ { Ref_Key => sql("SELECT salesdrive.folder_ref_key('demo-shop/99')"), Code => 'F-99', Description => 'Сховане', IsFolder => JSON::PP::true() } ] });
sql("DELETE FROM salesdrive.bas_product WHERE sku = 'PLAIN-1'; UPDATE salesdrive.product_creation SET searched_at = NULL WHERE sku = 'PLAIN-1'");
my @hidden = (order('PLAIN-1'), order('IN-HIDDEN', category => [ 99, 'Сховане' ]));
run_engine();
is(join(', ', map { status($_) } @hidden), 'parked hidden_in_bas, parked hidden_in_bas', 'a product, or folder, that BAS says is there and does not show: not tried for ever');
like(status($_, 'detail || hint'), qr/says that the key \S+ exists, but does not show the (?:product|folder)\..*rights of an administrator/, 'and told') for @hidden;
is(posts('product') - $posts, 1, 'one request told so');
$base{unf}->control(POST => '/config', { hidden => {} });
sql("SELECT salesdrive.resume('shop', $_)") for @hidden;
run_engine();
is(join(', ', map { status($_) } @hidden), 'synced, synced', 'with the right to see it they go on');
is(scalar(my @plain = made('PLAIN-1')) . ' ' . scalar(my @not_shown = folders('Сховане')), '1 1', 'with what was there');
sql("UPDATE salesdrive.infobase SET retry_base = '1 h', retry_cap = '1 h'");
$base{unf}->control(POST => '/faults', { method => 'POST', path => 'Catalog_', action => 'reset_after', times => 1 });
$base{unf}->control(POST => '/faults', { method => 'GET', path => 'Catalog_Номенклатура\?', action => 'unavailable', skip => 2, times => 1 });
$posts = posts('product');
$n = order('GONE-1');
run_engine();
$base{unf}->control(POST => '/edit', { set => 'Catalog_Номенклатура', key => (made('GONE-1'))[0]{Ref_Key}, properties => { DeletionMark => JSON::PP::true() } });
sql("UPDATE salesdrive.infobase SET retry_base = '1 ms', retry_cap = '2 ms'; UPDATE salesdrive.task SET run_at = salesdrive.clock()");
run_engine();
is(status($n), 'parked product_unknown', 'one marked for deletion before its answer was known is not made again');
like(status($n, 'detail'), qr/marked for deletion/, 'and named');
is(posts('product') - $posts, 1, 'nor tried again');
$base{unf}->control(DELETE => '/faults');
sql("UPDATE salesdrive.product_creation SET problem = 'It was in the way.' WHERE sku = 'PLAIN-1'; DELETE FROM salesdrive.bas_product WHERE sku = 'PLAIN-1'; SELECT salesdrive.enqueue('main', 'product', 'PLAIN-1', 'main')");
run_engine();
is(sql("SELECT concat_ws(' ', state, reason) FROM salesdrive.task WHERE kind = 'product' AND key = 'PLAIN-1'"), 'parked product_made', 'a product that cannot be made');
sql("SELECT salesdrive.resume(id) FROM salesdrive.task WHERE kind = 'product' AND key = 'PLAIN-1'");
run_engine();
is(sql("SELECT count(*) FROM salesdrive.task WHERE kind = 'product' AND key = 'PLAIN-1'"), 0, 'is looked at anew by resume() of its task');

$base{unf}->control(POST => '/edit', { set => 'Catalog_Номенклатура', key => $cups->{Ref_Key}, properties => { DeletionMark => JSON::PP::true() } });
sql("SELECT salesdrive.load_goods('main', whole => true)");
run_engine();
$n = order('S-9', category => [ 10, 'Бокали' ]);
run_engine();
is(status($n) . ' ' . scalar(my @g = folders('Бокали')), 'parked folder 0', 'a folder of ours that is marked for deletion is not made again');
like(status($n, 'detail'), qr/is marked for deletion/, 'and named');

# ---- the export: read and kept

option("unknown_sku = 'park', template_sku = NULL");
rules();
sub load_yml { my ($account) = @_; my $task = sql("SELECT salesdrive.load_yml('" . ($account // 'shop') . "')"); run_engine(); return sql("SELECT coalesce(string_agg(concat_ws(' ', state, reason), ''), 'done') FROM salesdrive.task WHERE id = $task") }
sub export { my ($categories, @offers) = @_; return $crm->control(POST => '/offers', { categories => [ map { { id => $_->[0], name => $_->[1], parentId => $_->[2] } } @$categories ], offers => \@offers }) }
sub task { my ($column, $account) = @_; return sql("SELECT $column FROM salesdrive.task WHERE kind = 'yml' AND scope = '" . ($account // 'shop') . "'") }
sub offers { my ($columns, $where) = @_; return sql("SELECT coalesce(string_agg(concat_ws(' ', $columns), ', ' ORDER BY offer_id COLLATE \"C\"), '') FROM salesdrive.offer_status WHERE account = 'shop'" . ($where ? " AND $where" : '')) }
my @TREE = ([ 3, 'Кухня' ], [ 4, 'Горнятка & чаші', 3 ], [ 5, 'Коло А', 6 ], [ 6, 'Коло Б', 5 ]);
my @GOODS = ({ id => 101, sku => 'Y-1', name => 'Чашка "Біла" <велика>', categoryId => 4, price => '120.50', quantity => 4, params => { 'Колір' => 'білий' } }, { id => 102, sku => 'Y-2', name => 'Кухоль', categoryId => 4, price => 90, available => JSON::PP::false() },
	{ id => 103, article => ' Y-3 ', name => 'Ложка', categoryId => 3 }, { id => 104, name => 'Без коду', categoryId => 3 }, { id => 105, sku => 'Y-1', name => 'Чашка чорна', categoryId => 4 }, { id => 106, sku => 'SKU-0001', name => 'Ліхтар' },
	{ id => 107, sku => 'SKU-9002', name => 'Стара модель' }, { id => 108, sku => 'X' x 30, name => 'Довгий код' }, { id => 109, sku => 'Y-9', name => 'З кола', categoryId => 5 });
export(\@TREE, @GOODS);
is(load_yml(), 'parked yml_key', 'without the key of the link');
like(task('hint'), qr/set_secret\('account:shop:yml_key'/, 'which is asked for');
for my $refusal ('404', '403', 'html', 'json') {
	$crm->control(POST => '/config', { yml_refusal => $refusal });
	sql("SELECT salesdrive.set_secret('account:shop:yml_key', 'wrong-secret-key')");
	is(load_yml(), 'parked yml', "a key that is refused with $refusal");
	is(sql("SELECT count(*) FROM salesdrive.account_api WHERE paused_at IS NOT NULL OR circuit_failures > 0"), 0, 'says nothing of the API');
}
like(task('detail'), qr/with status 200: the answer is not a YML export.*publicKey is invalid/, 'the words are kept');
is(sql("SELECT count(*) FROM salesdrive.exchange_log l WHERE to_jsonb(l)::text LIKE '%wrong-secret-key%'") . sql("SELECT count(*) FROM salesdrive.task t WHERE to_jsonb(t)::text LIKE '%wrong-secret-key%'"), '00', 'the key is in no log and no task');
like(sql("SELECT url FROM salesdrive.exchange_log WHERE kind = 'yml' ORDER BY id DESC LIMIT 1"), qr{/export/yml/export\.yml\?publicKey=…$}, 'the address is');
sql("SELECT salesdrive.set_secret('account:shop:yml_key', '" . $crm->url('/export/yml/export.yml?publicKey=public-key&x=1') . "')");
is(load_yml(), 'done', 'the secret may be the whole link');
is(sql("SELECT offers || ' ' || categories || ' ' || gone || ' ' || (bytes > 1000) FROM salesdrive.yml_load"), '9 4 0 true', 'the export is kept');
is(sql("SELECT concat_ws('|', sku, name, category_id, price, currency, available, quantity, parameters) FROM salesdrive.crm_good WHERE offer_id = '101'"), 'Y-1|Чашка "Біла" <велика>|4|120.50|UAH|t|4|{"Колір": "білий"}', 'with all it says of a product');
is(sql("SELECT string_agg(coalesce(array_to_string(path, ' > '), 'none'), ', ' ORDER BY category_id) FROM salesdrive.crm_category WHERE gone_at IS NULL AND category_id < '7' AND category_id <> '10'"), 'Кухня, Кухня > Горнятка & чаші, none, none', 'and the tree of categories; one within itself has no path');
is(offers('offer_id, state'), '101 missing, 102 missing, 103 missing, 104 no_sku, 105 double, 106 in_bas, 107 marked_in_bas, 108 sku_too_long, 109 missing', 'nothing is made: it is off') or diag(offers('offer_id, state'));
my $before = sql('SELECT md5(string_agg(g::text, chr(10) ORDER BY g)) FROM salesdrive.crm_good g');
for my $bad ([ yml_form => 'html', qr/is a web page \(HTML\), not a YML export/ ], [ yml_form => 'cut', qr/not a YML export: (?:no element found|unclosed|mismatched)/ ], [ yml_form => 'empty', qr/the export names no goods/ ],
	[ yml_encoding => 'mislabelled', qr/says that it is written in windows-1251, and it is in UTF-8/ ], [ yml_encoding => 'unsaid', qr/not well-formed/ ]) {
	$crm->control(POST => '/config', { $bad->[0] => $bad->[1] });
	is(load_yml(), 'parked yml', "$bad->[0] $bad->[1]");
	like(task('detail'), $bad->[2], 'is told');
	is(sql('SELECT md5(string_agg(g::text, chr(10) ORDER BY g)) FROM salesdrive.crm_good g'), $before, 'and replaces nothing');
	$crm->control(POST => '/config', { yml_form => 'good', yml_encoding => 'UTF-8' });
}
$crm->control(POST => '/config', { yml_encoding => 'windows-1251' });
is(load_yml(), 'done', 'windows-1251');
is(sql("SELECT name FROM salesdrive.crm_good WHERE offer_id = '102'"), 'Кухоль', 'is read as it is');
$crm->control(POST => '/config', { yml_encoding => 'UTF-8', yml_form => 'bom' });
is(load_yml(), 'done', 'a byte order mark');
$crm->control(POST => '/config', { yml_form => 'good' });
sql("INSERT INTO salesdrive.account_api (account) VALUES ('shop') ON CONFLICT DO NOTHING; UPDATE salesdrive.account_api SET max_answer = 300, circuit_after = 1000, retry_base = '1 ms', retry_cap = '2 ms'");
like(load_yml(), qr/parked/, 'more than account_api.max_answer is not kept');
like(task('detail'), qr/larger than the limit of 300 bytes/, 'and that is told');
like(task('hint'), qr/UPDATE salesdrive\.account_api SET max_answer/, 'with what to do');
sql('UPDATE salesdrive.account_api SET max_answer = DEFAULT');
export(\@TREE, @GOODS[ 0 .. 7 ]);
$crm->control(POST => '/faults', { path => 'GET /export', action => 'reset_after', times => 2 });
load_yml();
ok(wait_for('the export', sub { run_engine(); task('count(*)') eq '0' }), 'a connection that breaks is tried again');
is(sql("SELECT string_agg(offer_id, ', ') FROM salesdrive.crm_good WHERE gone_at IS NOT NULL") . ' ' . offers('state', "offer_id = '109'"), '109 gone', 'what is no longer there is marked as gone');

export([ @TREE, map { [ "c$_", "Рівень $_", $_ > 1 ? 'c' . ($_ - 1) : undef ] } 1 .. 150 ], @GOODS[ 0 .. 7 ]);
my $readings = sql("SELECT count(*) FROM salesdrive.exchange_log WHERE kind = 'yml'");
later(3600);
sql("SELECT salesdrive.load_yml('shop')");
later(-3600);
$node->psql('postgres', "SET statement_timeout = '600 s'; CALL salesdrive.run()");
is(task('count(*)') . ' ' . (sql("SELECT count(*) FROM salesdrive.exchange_log WHERE kind = 'yml'") - $readings), '0 1', 'asked for by a clock that was ahead, it is read once');
is(sql("SELECT max(cardinality(path)) || ' ' || count(*) FILTER (WHERE path IS NULL AND gone_at IS NULL) FROM salesdrive.crm_category"), '100 52', 'a chain of categories has a path as far as 100 of them go');

# ---- the export: products

option("products_to_bas = 'yml', products_most = 2");
is(load_yml(), 'parked guard', 'too many at once');
like(task('detail'), qr/^3 products of the YML export of account "shop" are not in infobase "main"/, 'how many are missing: those the base has are known from its catalog');
is(offers('offer_id, state', "state NOT IN ('missing', 'gone')"), '104 no_sku, 105 double, 106 in_bas, 107 marked_in_bas, 108 sku_too_long', 'and what is left out');
my $created = posts('product');
like(error_of("SELECT salesdrive.allow_products('nosuch')"), qr/there is no account "nosuch"/, 'allowed for an account');
sql("SELECT salesdrive.allow_products('shop')");
run_engine();
is(task("concat_ws(' ', state, reason)"), 'parked product_rule', 'allowed, they need a rule');
like(error_of("SELECT salesdrive.allow_products('shop')"), qr/nothing of account "shop" waits to be allowed/, 'there is nothing to allow twice');
is(posts('product'), $created, 'nothing was sent so far');
$base{unf}->control(POST => '/faults', { method => 'POST', path => 'Catalog_', action => 'reset_after', times => 2 });
rules([ 'account, rank, source, unit, vat_rate, kind, folder, make_folders', "'shop', 10, 'yml', 'шт', '20', 'goods', 'same', true" ]);
run_engine();
my $waiting = order('Y-2', name => 'Кухоль');
option("unknown_sku = 'create', template_sku = 'TEMPLATE-1'");
ok(eval { wait_for('the products', sub { run_engine(); later(5); sql("SELECT count(*) FROM salesdrive.task WHERE kind IN ('product', 'folder', 'yml') AND state <> 'parked'") eq '0' }) }, 'they are made, though answers get lost')
  or diag(sql("SELECT string_agg(concat_ws(' ', kind, key, state, reason, detail), E'\\n') FROM salesdrive.task"));
run_engine();
is(status($waiting), 'synced', 'an order for one of them is served by the same task');
is(join(' ', map { my @m = made($_); scalar @m } 'Y-1', 'Y-2', 'Y-3', 'SKU-0001', 'SKU-9002'), '1 1 1 1 1', 'each once, and none for what was there');
my ($kitchen, $mugs) = (folders('Кухня'), folders('Горнятка & чаші'));
is(join(' ', map { shown($_, 'unf', @KEYS) } 'Y-1', 'Y-3'), "1 Запас $PIECE $VAT20 $mugs->{Ref_Key} 1 Запас $PIECE $VAT20 $kitchen->{Ref_Key}", 'as the rule says, without a template; folders of the categories');
is("$mugs->{Parent_Key} " . scalar(my @k = folders('Кухня')) . scalar(my @m = folders('Горнятка & чаші')), "$kitchen->{Ref_Key} 11", 'each folder once, one within the other');
is((made('Y-1'))[0]{Description}, 'Чашка "Біла" <велика>', 'the first of those with one SKU gives the name');
is(sql("SELECT concat_ws(' ', state, offers, in_bas, making, parked, missing, left_out) FROM salesdrive.products_progress WHERE account = 'shop'"), 'idle 8 4 0 0 0 4', 'products_progress counts');
$created = posts('product');
option("unknown_sku = 'park', template_sku = NULL");
is(load_yml(), 'done', 'read again');
is(posts('product'), $created, 'nothing is made twice');
push @GOODS, { id => 201, sku => 'LONG', name => 'Дуже ' x 40, categoryId => 3 }, { id => 202, sku => 'KID', name => 'Не з тої групи', categoryId => 999 };
export(\@TREE, @GOODS[ 0 .. 7, 9, 10 ]);
load_yml();
run_engine();
is(length((made('LONG'))[0]{Description}) . ' ' . length((made('LONG'))[0]{'НаименованиеПолное'}), '100 ' . length($GOODS[9]{name} =~ s/\s+\z//r), 'a long name is cut, the full name is whole') or diag(offers('offer_id, state, detail'));
is(shown('KID', 'unf', 'Parent_Key'), '1 00000000-0000-0000-0000-000000000000', 'a category that is not told: no folder');
rules([ 'account, rank, unit, folder', "'shop', 10, 'сажень', 'Немає'" ]);
my $check = sql("SELECT string_agg(concat_ws(': ', subject, problem), E'\\n') FROM salesdrive.check('shop') WHERE subject LIKE 'product_rule%' OR subject LIKE 'YML%'");
like($check, qr/product_rule 10: It names folder "Немає", and the base has 0.*product_rule 10: It names unit "сажень": it is not in the base/s, 'check() reads the rules');
export([], { id => 301, sku => 'Z-1', name => 'З неправильним правилом' });
load_yml();
is(offers('sku, state, detail', "offer_id = '301'"), 'Z-1 parked Row 10 of product_rule (account shop) for SKU "Z-1" cannot be followed: unit "сажень": it is not in the base (there: кг (0301), м (0101), шт (2009)).', 'a product that a rule cannot be followed for is parked');
like(sql("SELECT string_agg(problem, ' ') FROM salesdrive.check('shop') WHERE subject = 'YML export'"), qr/1 products of the export are parked/, 'and check() says so');

rules([ 'account, rank, vat_rate, kind', "'shop', 10, '20', 'goods'" ]);
run_engine();
is(offers('sku, state, detail', "offer_id = '301'"), 'Z-1 parked Row 10 of product_rule (account shop) for SKU "Z-1" cannot be followed: neither it nor a template gives a unit, without which no order could be for the product.', 'one that would have no unit, too');

# ---- switched off, or paused, while they wait

option("products_to_bas = 'yml'");
rules([ 'account, rank, unit', "'shop', 10, 'сажень'" ]);
export([], map { { id => 400 + $_, sku => "OFF-Y$_", name => "Товар $_" } } 1, 2);
load_yml();
is(offers('state', "offer_id IN ('401', '402')"), 'parked, parked', 'parked for their rule');
sql("SELECT salesdrive.pause('shop', 'stocktaking')");
$created = posts('product');
rules([ 'account, rank, unit', "'shop', 10, 'шт'" ]);
run_engine();
is(posts('product') - $created, 0, 'an account that is paused makes nothing');
option("products_to_bas = 'off'");
sql("SELECT salesdrive.unpause('shop')");
later(700);
run_engine();
is((posts('product') - $created) . ' ' . offers('state', "offer_id IN ('401', '402')"), '0 missing, missing', 'switched off, what waited is not made');
option("unknown_sku = 'create', template_sku = 'TEMPLATE-1'");
is(status(do { my $n = order('OFF-Y1'); run_engine(); $n }), 'synced', 'but for an order');
option("unknown_sku = 'park', template_sku = NULL, products_to_bas = 'yml'");

# ---- other configurations

my %CASE = (
	trade32 => [ "'20', 'goods', NULL, '8c1f4a10-0001-11ee-8000-0000000000cc'", { 'СтавкаНДС' => 'НДС20', 'ТипНоменклатуры' => 'Товар', 'ВидНоменклатуры_Key' => '8c1f4a10-0001-11ee-8000-0000000000cc' } ],
	accounting2 => [ "'НДС7', 'service', 'кг', NULL", { 'СтавкаНДС' => 'НДС7', 'БазоваяЕдиницаИзмерения_Key' => $KILO } ]);
for my $of (sort keys %CASE) {
	sql("SELECT salesdrive.add_infobase('$of', '$of', '" . $base{$of}->url('/base') . "', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => '$of', url => '" . $crm->url . "', identity => '$of', api_key => 'demo-key', infobase => '$of', webhook_token => 'a-token-of-24-characters');
		SELECT salesdrive.set_secret('account:$of:yml_key', 'public-key');
		UPDATE salesdrive.account SET products_to_bas = 'yml' WHERE name = '$of';
		INSERT INTO salesdrive.product_rule (account, vat_rate, kind, unit, bas_category, folder, make_folders) VALUES ('$of', $CASE{$of}[0], 'same', true)");
	export(\@TREE, @GOODS[ 0 .. 3 ]);
	is(load_yml($of), 'done', "$of: read") or diag(task('detail', $of));
	run_engine();
	my @one = made('Y-1', $of);
	is(scalar @one, 1, 'made') or diag(sql("SELECT string_agg(concat_ws(' ', kind, key, state, reason, detail), E'\\n') FROM salesdrive.task WHERE scope = '$of'"));
	is_deeply({ map { $_ => $one[0]{$_} } keys %{ $CASE{$of}[1] } }, $CASE{$of}[1], 'with rate, type and unit as this configuration writes them');
	my ($in) = grep { $_->{Ref_Key} eq $one[0]{Parent_Key} } objects($of);
	is($in->{Description}, 'Горнятка & чаші', 'in its folder');
}

# ---- a large export

$crm->control(POST => '/offers', { categories => [ { id => 3, name => 'Кухня' } ], offers => [ map { { id => $_, sku => "M-$_", name => "Товар $_", categoryId => 3, price => $_, params => { 'Номер' => $_ } } } 1 .. 20_000 ] });
rules([ 'account, rank, unit', "'shop', 10, 'шт'" ]);
is(load_yml(), 'parked guard', '20 000 goods are kept, and none is made without being allowed');
is(sql("SELECT offers FROM salesdrive.yml_load WHERE account = 'shop'"), 20000, 'all of them');

done_testing();
