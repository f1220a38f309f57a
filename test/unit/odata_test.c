/*
 * odata_test.c
 *	  What is an odata.error, what only looks like one, and what it says.
 */
#include <stdlib.h>

#include "tap.h"
#include "wire.h"

#define NS " xmlns:m=\"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata\""

static const struct
{
	const char *body;
	bool        found;
	const char *code;
	const char *message;
} cases[] = {
	/* JSON */
	{"{\"odata.error\":{\"code\":\"9\",\"message\":{\"lang\":\"ru\",\"value\":\"Экземпляр сущности не найден\"}}}", true, "9", "Экземпляр сущности не найден"},
	{"\n{\n \"odata.error\": {\n  \"code\": \"-1\",\n  \"message\": {\n   \"lang\": \"uk\",\n   \"value\": \"x\"\n  }\n }\n}\n", true, "-1", "x"},
	{"\xef\xbb\xbf{\"odata.error\":{\"code\":\"8\"}}", true, "8", ""},
	{"{\"odata.error\":{\"message\":{\"value\":\"a\"},\"code\":\"14\"}}", true, "14", "a"},
	{"{\"x\":[1,{\"odata.error\":{}}],\"y\":\"}\",\"odata.error\":{\"code\":15}}", true, "15", ""},
	{"{\"odata.error\":{\"code\":-1 ,\"message\":\"plain\"}}", true, "-1", "plain"},
	{"{\"odata.error\":{}}", true, "", ""},
	{"{\"odata.error\":{\"code\":null,\"message\":null}}", true, "null", "null"},
	{"{\"odata.error\":{\"code\":{},\"message\":[]}}", true, "", ""},
	{"{\"odata.error\":{\"code\":[\"9\"],\"message\":{\"value\":{\"value\":1}}}}", true, "", ""},
	{"{\"odata.error\":{\"inner\":{\"code\":\"1\"},\"code\":\"2\"}}", true, "2", ""},
	{"{\"odata.error\":{\"code\":\"\\u0039\"}}", true, "9", ""},

	/* escapes */
	{"{\"odata.error\":{\"code\":\"1\",\"message\":{\"value\":\"\\u041f\\u043e\\u043c\\u0438\\u043b\\u043a\\u0430\"}}}", true, "1", "Помилка"},
	{"{\"odata.error\":{\"code\":\"1\",\"message\":{\"value\":\"a\\\"b\\\\c\\/d\"}}}", true, "1", "a\"b\\c/d"},
	{"{\"odata.error\":{\"code\":\"1\",\"message\":{\"value\":\"a\\nb\\tc\\rd\\be\\ff\\u0000g\\u001fh\"}}}", true, "1", "a b c d e f g h"},
	{"{\"odata.error\":{\"code\":\"1\",\"message\":{\"value\":\"\\ud83d\\ude00\"}}}", true, "1", "\xf0\x9f\x98\x80"},
	{"{\"odata.error\":{\"code\":\"1\",\"message\":{\"value\":\"\\ud83d\"}}}", true, "1", "\xef\xbf\xbd"},
	{"{\"odata.error\":{\"code\":\"1\",\"message\":{\"value\":\"\\ud83dx\\ude00\"}}}", true, "1", "\xef\xbf\xbdx\xef\xbf\xbd"},
	{"{\"odata.error\":{\"code\":\"1\",\"message\":{\"value\":\"\\ud83d\\u0041\"}}}", true, "1", "\xef\xbf\xbd"
																								 "A"},
	{"{\"odata.error\":{\"code\":\"1\",\"message\":{\"value\":\"\\u20ac\\u00e9\\uABCD\"}}}", true, "1", "\xe2\x82\xac\xc3\xa9\xea\xaf\x8d"},

	/* XML */
	{"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<m:error" NS "><m:code>9</m:code><m:message xml:lang=\"ru\">Не найден</m:message></m:error>", true, "9", "Не найден"},
	{"\xef\xbb\xbf<?xml version=\"1.0\"?><!-- c --><m:error" NS "><m:code>8</m:code></m:error>", true, "8", ""},
	{"<error xmlns=\"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata\"><code>14</code><message>a &lt;b&gt; &amp; &quot;c&quot; &apos;d&apos; &#1055;&#x41F; &x; &</message></error>", true, "14", "a <b> & \"c\" 'd' ПП &x; &"},
	{"<m:error" NS "><m:code/><m:message/></m:error>", true, "", ""},
	{"<m:error" NS ">\n <m:codex>1</m:codex><m:code>2</m:code>\n</m:error>", true, "2", ""},
	{"<m:error" NS "><m:code>1</m:code><m:message>&#0;&#xD800;&#1114112;&#99999999999;&#x;</m:message></m:error>", true, "1", " \xef\xbf\xbd\xef\xbf\xbd&#99999999999;&#x;"},

	/* none */
	{"", false, "", ""},
	{" ", false, "", ""},
	{"null", false, "", ""},
	{"[]", false, "", ""},
	{"{}", false, "", ""},
	{"\"odata.error\"", false, "", ""},
	{"[{\"odata.error\":{\"code\":\"9\"}}]", false, "", ""},
	{"{\"odata.error\":\"9\"}", false, "", ""},
	{"{\"odata.error\":[]}", false, "", ""},
	{"{\"a\":{\"odata.error\":{\"code\":\"9\"}}}", false, "", ""},
	{"{\"odata.error2\":{\"code\":\"9\"}}", false, "", ""},
	{"{\"error\":{\"code\":\"9\"}}", false, "", ""},
	{"{\"value\":\"\\\"odata.error\\\":{\"}", false, "", ""},
	{"{\"odata.error\":{\"code\":\"9\"}", false, "", ""},
	{"{\"odata.error\":{\"code\":\"9\"}} x", false, "", ""},
	{"{\"odata.error\":{\"code\":\"\xff\"}}", false, "", ""},
	{"<html><body><h1>503</h1></body></html>", false, "", ""},
	{"<!DOCTYPE html><html><error><code>9</code></error></html>", false, "", ""},
	{"<error><code>9</code></error>", false, "", ""},
	{"<Error" NS "><Code>9</Code></Error>", false, "", ""},
	{"<m:error" NS "><m:message>no code</m:message></m:error>", false, "", ""},
	{"<m:errors" NS "><m:code>9</m:code></m:errors>", false, "", ""},
	{"<?xml version=\"1.0\" encoding=\"UTF-8\"?><exception xmlns=\"http://v8.1c.ru/8.2/virtual-resource-system\" reason=\"406\"><descr>x</descr></exception>", false, "", ""},
	{"<", false, "", ""},
	{"<?", false, "", ""},
	{"<?xml", false, "", ""},
	{"<m:error", false, "", ""},
	{"<m:error" NS, false, "", ""},
	{"<m:error" NS ">", false, "", ""},
	{"<m:error" NS "><m:code", false, "", ""}};

/* Cut at every length: always whole characters and terminated. */
static void
test_cut(void)
{
	static const char *const body = "{\"odata.error\":{\"code\":\"1234\",\"message\":{\"value\":\"aП\\u20ac\xf0\x9f\x98\x80z\"}}}";
	static const char *const whole = "aП\xe2\x82\xac\xf0\x9f\x98\x80z";
	static const size_t      kept[] = {0, 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
	char                     code[8];
	size_t                   size;
	int                      wrong = 0;

	for (size = 1; size < lengthof(kept); size++)
	{
		char *message = malloc(size);

		sd_odata_error(body, strlen(body), code, 4, message, size);
		if (strlen(message) != kept[size] || strncmp(message, whole, kept[size]) != 0)
		{
			wrong++;
			printf("# size %zu: '%s'\n", size, message);
		}
		free(message);
	}
	is_int(wrong, 0, "a message is cut after a whole character");
	is_text(code, "123", "a code is cut too");
	ok(sd_odata_error(body, strlen(body), NULL, 0, NULL, 0), "both outputs may be missing");
}

/* The text cut anywhere is never read beyond, and a cut JSON is no error of BAS. */
static void
test_truncated(void)
{
	size_t i;
	size_t len;
	int    found = 0;

	for (i = 0; i < lengthof(cases); i++)
	{
		for (len = 0; len < strlen(cases[i].body); len++)
		{
			char *copy = malloc(len > 0 ? len : 1);
			char  code[8];
			char  message[64];

			memcpy(copy, cases[i].body, len);
			if (sd_odata_error(copy, len, code, sizeof(code), message, sizeof(message)) &&
				memchr(copy, '{', len) != NULL && strchr("}\n ", cases[i].body[len - 1]) == NULL)
				found++;
			free(copy);
		}
	}
	is_int(found, 0, "no cut JSON is taken for an error");
}

int
main(void)
{
	char   code[16];
	char   message[256];
	size_t i;

	for (i = 0; i < lengthof(cases); i++)
	{
		char name[64];
		bool found;

		memset(code, 'x', sizeof(code));
		memset(message, 'x', sizeof(message));
		found = sd_odata_error(cases[i].body, strlen(cases[i].body), code, sizeof(code), message, sizeof(message));
		snprintf(name, sizeof(name), "body %zu: %.40s", i, cases[i].body);
		ok(found == cases[i].found, "%s", name);
		is_text(code, cases[i].code, "  its code");
		is_text(message, cases[i].message, "  its message");
	}
	test_cut();
	test_truncated();
	return done_testing();
}
