/*
 * yml_test.c
 *	  YML exports: what is kept of them, in pieces of any size; what is no such
 *	  export; encodings; texts that are cut.
 */
#include "tap.h"
#include "wire.h"
#include "xml_kept.h"
#include "yml.h"

static char *
kept(const char *text, size_t len, size_t piece)
{
	return kept_of(SD_XML_YML, text, len, piece, SIZE_MAX);
}

static const char document[] =
	"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE yml_catalog SYSTEM \"shops.dtd\">\n"
	"<yml_catalog date=\"2026-11-20 10:00\"><shop><name>Крамниця</name><currencies><currency id=\"UAH\" rate=\"1\"/></currencies>"
	"<categories><category id=\"3\">Посуд</category><category id=\"7\" parentId=\"3\">Чашки &amp; <b>келихи</b></category><category>без id</category></categories>"
	"<offers><offer id=\"101\" available=\"true\"><url>http://x.example/1</url><price>120.50</price><currencyId>UAH</currencyId><categoryId>7</categoryId>"
	"<name><![CDATA[Чашка \"Біла\" <велика>]]></name><vendorCode> C-1 </vendorCode><description><name>не та</name>довгий</description>"
	"<param name=\"Колір\">білий</param><param name=\"Розмір\" unit=\"мм\">90</param><quantity_in_stock>4</quantity_in_stock></offer>"
	"<offer id=\"102\"/><offer available=\"false\"><name>без id</name></offer></offers><deliveries><offer id=\"9\"/></deliveries></shop></yml_catalog>";

static const char expected[] =
	"{\"data\":[\n[\"category\",\"3\",{\"name\":\"Посуд\"}],\n[\"category\",\"7\",{\"parentId\":\"3\",\"name\":\"Чашки & келихи\"}],\n"
	"[\"offer\",\"101\",{\"available\":\"true\",\"price\":\"120.50\",\"currencyId\":\"UAH\",\"categoryId\":\"7\",\"name\":\"Чашка \\u0022Біла\\u0022 <велика>\",\"vendorCode\":\" C-1 \","
	"\"param Колір\":\"білий\",\"param Розмір\":\"90\",\"quantity_in_stock\":\"4\"}],\n[\"offer\",\"102\",{}]]}";

static void
test_kept(void)
{
	size_t piece;

	for (piece = 1; piece < sizeof(document); piece = piece * 2 + 1)
	{
		char *text = kept(document, sizeof(document) - 1, piece);

		is_text(text, expected, "what is kept, whatever pieces it came in");
		free(text);
	}
	ok(sd_json_check(expected, strlen(expected), SD_JSON_MAX_DEPTH, NULL), "it is JSON");
}

static void
test_none(void)
{
	static const char *const bad[][2] = {
		{"<!DOCTYPE html><html><body>Sign in</body></html>", "! the answer is a web page (HTML), not a YML export"},
		{"<html>", "! the answer is a web page (HTML), not a YML export"},
		{"<!DOCTYPE yml_catalog [<!ENTITY lol \"lol\">]><yml_catalog>&lol;</yml_catalog>", "! the export declares a document type with entities of its own"},
		{"<rss/>", "! the answer is not a YML export: its root element is \"rss\""},
		{"{\"status\":\"error\"}", "! the answer is not a YML export: not well-formed (invalid token) at line 1, column 1"},
		{"<yml_catalog><shop><offers><offer id=\"1\"><name>x</name></offer>", "! the answer is not a YML export: no element found at line 1, column 64"},
		{"<yml_catalog><shop><offers><offer id=\"1\"><name>x</shop>", "! the answer is not a YML export: mismatched tag at line 1, column 51"},
		{"<?xml version=\"1.0\"?><yml_catalog>\xd7\xe0\xf8\xea\xe0</yml_catalog>", "! the answer is not a YML export: not well-formed (invalid token) at line 1, column 35"},
		{"<?xml version=\"1.0\" encoding=\"koi8-u\"?><yml_catalog/>", "! the answer is not a YML export: unknown encoding at line 1, column 31"},
		{"<?xml version=\"1.0\" encoding=\"windows-1251\"?><yml_catalog>Чашка</yml_catalog>", "! the export says that it is written in windows-1251, and it is in UTF-8"}};
	size_t i;

	for (i = 0; i < lengthof(bad); i++)
	{
		char *whole = kept(bad[i][0], strlen(bad[i][0]), 1000);
		char *bytes = kept(bad[i][0], strlen(bad[i][0]), 1);

		is_text(whole, bad[i][1], bad[i][0]);
		ok(bytes[0] == '!', "also byte by byte");
		free(whole);
		free(bytes);
	}
}

static void
test_encoding(void)
{
	static const char cyrillic[] = "<?xml version=\"1.0\" encoding=\"windows-1251\"?><yml_catalog><shop><categories><category id=\"1\">\xd7\xe0\xf8\xea\xe0 \xb3\xbf\xba\xb4 \xb2\xaf\xaa\xa5 \xb9 \xab\xbb</category></categories></shop></yml_catalog>";
	static const char ascii[] = "<?xml version=\"1.0\" encoding=\"windows-1251\"?><yml_catalog><shop><categories><category id=\"1\">Cup</category></categories></shop></yml_catalog>";
	char             *text = kept(cyrillic, sizeof(cyrillic) - 1, 3);

	is_text(text, "{\"data\":[\n[\"category\",\"1\",{\"name\":\"Чашка іїєґ ІЇЄҐ № «»\"}]]}", "windows-1251");
	free(text);
	text = kept(ascii, sizeof(ascii) - 1, 1000);
	is_text(text, "{\"data\":[\n[\"category\",\"1\",{\"name\":\"Cup\"}]]}", "windows-1251 without a letter of it");
	free(text);
}

static void
test_cut(void)
{
	size_t piece;
	size_t len = 0;
	char   big[8192];
	char   most[SD_YML_TEXT + 64];

	len += (size_t) sprintf(big, "<yml_catalog><shop><categories><category id=\"1\">x");
	while (len < 8000)
		len += (size_t) sprintf(big + len, "\xd0\xaf");
	len += (size_t) sprintf(big + len, "</category></categories></shop></yml_catalog>");
	sprintf(most, "{\"data\":[\n[\"category\",\"1\",{\"name\":\"x");
	while (strlen(most) < 36 + SD_YML_TEXT - 2)
		strcat(most, "\xd0\xaf");
	strcat(most, "\"}]]}");
	for (piece = 1; piece < len; piece = piece * 3)
	{
		char *text = kept(big, len, piece);

		is_text(text, most, "a long text is cut between two letters");
		free(text);
	}
}

static void
test_names(void)
{
	char  big[8192];
	int   len = sprintf(big, "<yml_catalog><shop><offers><offer id=\"1\"><param name=\"x");
	char *text;

	while (len < 5000)
		len += sprintf(big + len, "\xd0\xaf");
	len += sprintf(big + len, "\">red</param></offer></offers></shop></yml_catalog>");
	text = kept(big, (size_t) len, 1000);
	ok(sd_json_check(text, strlen(text), SD_JSON_MAX_DEPTH, NULL), "a long name of a parameter is cut between two letters, too");
	ok(strstr(text, "\xd0\xaf\":\"red\"") != NULL, "and has its value");
	free(text);
}

static void
test_endless(void)
{
	size_t len = 3 * 1024 * 1024;
	char  *big = malloc(len + 64);
	char  *text;
	int    head = sprintf(big, "<yml_catalog><shop name=\"");

	memset(big + head, 'x', len);
	strcpy(big + head + len, "\"/></yml_catalog>");
	text = kept(big, strlen(big), 65536);
	is_text(text, "! a YML export needs more memory than is allowed: a name or a tag has no end", "a tag without an end is given up early");
	free(text);
	free(big);
}

int
main(void)
{
	test_kept();
	test_none();
	test_encoding();
	test_cut();
	test_names();
	test_endless();
	return done_testing();
}
