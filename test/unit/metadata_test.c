/*
 * metadata_test.c
 *	  $metadata: what is kept of it, in pieces of any size; what is no $metadata;
 *	  bounded memory.
 */
#include "metadata.h"
#include "tap.h"
#include "wire.h"
#include "xml_kept.h"

static const char document[] =
	"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a comment -->\n"
	"<edmx:Edmx xmlns:edmx=\"http://schemas.microsoft.com/ado/2007/06/edmx\" Version=\"1.0\"><edmx:DataServices><Schema Namespace=\"StandardODATA\">"
	"<EntityType Name=\"Catalog_Склады\"><Key><PropertyRef Name=\"Ref_Key\"/></Key><Property Name=\"Ref_Key\" Type=\"Edm.Guid\" Nullable=\"false\"/>"
	"<Property Name=\"Code\" Type=\"Edm.String\" Nullable=\"true\" MaxLength=\"9\"/><Property MaxLength=\"Max\" Type=\"Edm.String\" Name=\"Описание\"/>"
	"<Property Name=\"without type\"/><NavigationProperty Name=\"Parent\" Relationship=\"x\"/></EntityType>"
	"<Association Name=\"A\"><End Role=\"Begin\" Type=\"StandardODATA.Catalog_Склады\"/></Association>"
	"<ComplexType Name=\"Document_X_Товары_RowType\"><Property Name=\"LineNumber\" Type=\"Edm.Int64\"/></ComplexType>"
	"<ComplexType Name=\"R_Balance\"><Property Name=\"a&quot;\\&#9;b\" Type=\"Edm.Double\"/></ComplexType>"
	"<EnumType Name=\"СтавкиНДС\"><Member Name=\"НДС20\"/><Member Name=\"БезНДС\"/></EnumType><EnumType Name=\"Пустое\"/>"
	"<EntityContainer Name=\"EnterpriseV8\"><EntitySet Name=\"Catalog_Склады\" EntityType=\"StandardODATA.Catalog_Склады\"/>"
	"<FunctionImport Name=\"Post\" IsBindable=\"true\"><Parameter Name=\"bindingParameter\" Type=\"StandardODATA.Document_X\"/></FunctionImport>"
	"</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>\n";

static const char expected[] =
	"{\"value\":[\n[\"type\",\"Catalog_Склады\",{\"Ref_Key\":\"Edm.Guid\",\"Code\":[\"Edm.String\",9],\"Описание\":\"Edm.String\"}],\n"
	"[\"type\",\"R_Balance\",{\"a\\u0022\\u005c\\u0009b\":\"Edm.Double\"}],\n[\"enum\",\"СтавкиНДС\",[\"НДС20\",\"БезНДС\"]],\n[\"enum\",\"Пустое\",[]],\n"
	"[\"set\",\"Catalog_Склады\",\"Catalog_Склады\"],\n[\"function\",\"Post\",{\"bindingParameter\":\"StandardODATA.Document_X\"}]]}";

static void
test_kept(void)
{
	size_t piece;
	char  *text;

	for (piece = 1; piece < sizeof(document); piece = piece * 2 + 1)
	{
		text = kept_of(SD_XML_METADATA, document, sizeof(document) - 1, piece, 100000);
		ok(strcmp(text, expected) == 0, "in pieces of %zu bytes", piece);
		if (strcmp(text, expected) != 0)
			printf("# %s\n", text);
		free(text);
	}
	ok(sd_json_check(expected, strlen(expected), SD_JSON_MAX_DEPTH, NULL), "what is kept is JSON");
}

static void
test_none(void)
{
	static const char *const bad[][2] = {
		{"<!DOCTYPE html><html><body>Sign in</body></html>", "! the answer is a web page (HTML), not $metadata"},
		{"<html><head><meta charset=utf-8></head>", "! the answer is a web page (HTML), not $metadata"},
		{"<HTML>", "! the answer is a web page (HTML), not $metadata"},
		{"<!DOCTYPE lolz [<!ENTITY lol \"lol\">]><lolz>&lol;</lolz>", "! the answer is not $metadata: it declares the document type \"lolz\""},
		{"<m:error><m:code>9</m:code></m:error>", "! the answer is not $metadata: its root element is \"error\""},
		{"<exception xmlns=\"http://v8.1c.ru/8.2/virtual-resource-system\"/>", "! the answer is not $metadata: its root element is \"exception\""},
		{"{\"value\":[]}", "! the answer is not $metadata: not well-formed (invalid token) at line 1, column 1"},
		{"", "! the answer is not $metadata: no element found at line 1, column 1"},
		{"<Edmx>\n<Schema>", "! the answer is not $metadata: no element found at line 2, column 9"},
		{"<Edmx><a></b></Edmx>", "! the answer is not $metadata: mismatched tag at line 1, column 12"},
		{"<?xml version=\"1.0\" encoding=\"cp1251\"?><Edmx/>", "! the answer is not $metadata: unknown encoding at line 1, column 31"}};
	size_t i;

	for (i = 0; i < lengthof(bad); i++)
	{
		char *whole = kept_of(SD_XML_METADATA, bad[i][0], strlen(bad[i][0]), 1000, 100000);
		char *bytes = kept_of(SD_XML_METADATA, bad[i][0], strlen(bad[i][0]), 1, 100000);

		is_text(whole, bad[i][1], bad[i][0]);
		ok(whole[0] == '!' && bytes[0] == '!', "also byte by byte");
		free(whole);
		free(bytes);
	}
}

static void
test_bounds(void)
{
	size_t len = 40 * 1024 * 1024;
	char  *big = malloc(len);
	char  *text;
	size_t at;
	int    round;

	memset(big, 'x', len);
	memcpy(big, "<Edmx><", 7);
	text = kept_of(SD_XML_METADATA, big, len, 16384, 100000);
	ok(strstr(text, "more memory than is allowed") != NULL, "a tag without an end is refused");
	free(text);
	for (at = 6; at + 3 <= len; at += 3)
		memcpy(big + at, "<a>", 3);
	text = kept_of(SD_XML_METADATA, big, at, 16384, 100000);
	ok(strstr(text, "more memory than is allowed") != NULL, "and nesting without an end");
	free(text);
	for (at = 6; at + 11 <= len; at += 11)
		memcpy(big + at, "<a>xxxx</a>", 11);
	memcpy(big + at - 11, "</Edmx>    ", 11);
	text = kept_of(SD_XML_METADATA, big, at, 16384, 100000);
	is_text(text, "{\"value\":[]}", "long $metadata that says nothing is read to its end");
	free(text);
	free(big);

	text = kept_of(SD_XML_METADATA, document, sizeof(document) - 1, 100, 200);
	is_text(text, "! there is no room for all that $metadata says", "a sink that is full ends it");
	free(text);
	for (round = 0; round < 100; round++)
		free(kept_of(SD_XML_METADATA, document, sizeof(document) - 1 - (size_t) round, 7, 100000));
	text = kept_of(SD_XML_METADATA, document, sizeof(document) - 1, 7, 100000);
	is_text(text, expected, "what others read in part leaves room for the next");
	free(text);
}

int
main(void)
{
	test_kept();
	test_none();
	test_bounds();
	return done_testing();
}
