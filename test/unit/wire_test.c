/*
 * wire_test.c
 *	  JSON, UTF-8, Retry-After, comparison of secrets, percent-encoding.
 */
#include <stdlib.h>

#include "tap.h"
#include "wire.h"

/* A copy of exactly this size, so that the sanitizer sees a byte read too far. */
static char *
exact(const char *text, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);

	memcpy(copy, text, len);
	return copy;
}

static bool
check(const char *text, size_t len, int depth, SdJsonError *err)
{
	char *copy = exact(text, len);
	bool  good = sd_json_check(copy, len, depth, err);

	free(copy);
	return good;
}

static void
test_good_json(void)
{
	static const char *const good[] = {
		"{}", "[]", "0", "-0", "-1", "10", "1.5", "-0.25", "1e5", "1E+5", "1e-05", "0e0", "123456789012345678901234567890.5",
		"1e999999", "true", "false", "null", "\"\"", "\"a\"", " \t\r\n1 \t\r\n", "[1]", "[1,2]", "[ 1 , 2 ]", "[[]]", "[{}]",
		"{\"a\":1}", "{\"a\":1,\"a\":2}", "{ \"a\" : [ 1 , { \"b\" : null } ] , \"c\" : {} }", "{\"\":\"\"}",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0000\"", "\"\\uD83D\\uDE00\"", "\"\\ud800\"", "\"\\uABCD\\uabcd\"", "\"\x7f\"",
		"\"замовлення №5 — €\"", "\"\xf0\x9f\x98\x80\"", "\"\xf4\x8f\xbf\xbf\"", "\"\xed\x9f\xbf\xee\x80\x80\"",
		"\"\xc2\x80\xe0\xa0\x80\xf0\x90\x80\x80\"", "{\"телефон\":[\"0671234567\"]}"};
	size_t i;

	for (i = 0; i < lengthof(good); i++)
		ok(check(good[i], strlen(good[i]), SD_JSON_MAX_DEPTH, NULL), "good: %s", good[i]);
}

static const struct
{
	const char *text;
	size_t      len; /* 0: a C string */
	const char *message;
	size_t      offset;
	int         line;
	int         column;
} bad[] = {
	{"", 0, "the text is empty", 0, 1, 1},
	{" \n ", 0, "the text is empty", 3, 2, 2},
	{"x", 0, "a value is expected", 0, 1, 1},
	{"tru", 0, "a value is expected", 0, 1, 1},
	{"truex", 0, "more text follows the value", 4, 1, 5},
	{"True", 0, "a value is expected", 0, 1, 1},
	{"NaN", 0, "a value is expected", 0, 1, 1},
	{"-", 0, "a number lacks a digit", 1, 1, 2},
	{"-x", 0, "a number lacks a digit", 1, 1, 2},
	{"01", 0, "a number begins with a needless zero", 1, 1, 2},
	{"-012", 0, "a number begins with a needless zero", 2, 1, 3},
	{"1.", 0, "a number lacks a digit", 2, 1, 3},
	{"1.e5", 0, "a number lacks a digit", 2, 1, 3},
	{".5", 0, "a value is expected", 0, 1, 1},
	{"+1", 0, "a value is expected", 0, 1, 1},
	{"1e", 0, "a number lacks a digit", 2, 1, 3},
	{"1e+", 0, "a number lacks a digit", 3, 1, 4},
	{"0x10", 0, "more text follows the value", 1, 1, 2},
	{"1 2", 0, "more text follows the value", 2, 1, 3},
	{"{}{}", 0, "more text follows the value", 2, 1, 3},
	{"[", 0, "the text ends too early", 1, 1, 2},
	{"{", 0, "the text ends too early", 1, 1, 2},
	{"[1", 0, "the text ends too early", 2, 1, 3},
	{"[1,", 0, "the text ends too early", 3, 1, 4},
	{"[1,]", 0, "a value is expected", 3, 1, 4},
	{"[,1]", 0, "a value is expected", 1, 1, 2},
	{"[1 2]", 0, "a comma or a closing bracket is expected", 3, 1, 4},
	{"[1}", 0, "a comma or a closing bracket is expected", 2, 1, 3},
	{"[}", 0, "a value is expected", 1, 1, 2},
	{"{]", 0, "a name in double quotes is expected", 1, 1, 2},
	{"{\"a\"}", 0, "a colon is expected after a name", 4, 1, 5},
	{"{\"a\"", 0, "the text ends too early", 4, 1, 5},
	{"{\"a\":}", 0, "a value is expected", 5, 1, 6},
	{"{\"a\":1,}", 0, "a name in double quotes is expected", 7, 1, 8},
	{"{\"a\":1 \"b\":2}", 0, "a comma or a closing brace is expected", 7, 1, 8},
	{"{\"a\":1]", 0, "a comma or a closing brace is expected", 6, 1, 7},
	{"{a:1}", 0, "a name in double quotes is expected", 1, 1, 2},
	{"{'a':1}", 0, "a name in double quotes is expected", 1, 1, 2},
	{"{1:2}", 0, "a name in double quotes is expected", 1, 1, 2},
	{"]", 0, "a value is expected", 0, 1, 1},
	{":", 0, "a value is expected", 0, 1, 1},
	{"\"", 0, "the text ends inside a string", 1, 1, 2},
	{"\"abc", 0, "the text ends inside a string", 4, 1, 5},
	{"\"\\\"", 0, "the text ends inside a string", 3, 1, 4},
	{"\"\\", 0, "a string contains an invalid escape", 1, 1, 2},
	{"\"\\x\"", 0, "a string contains an invalid escape", 1, 1, 2},
	{"\"\\u12\"", 0, "a string contains an invalid escape", 1, 1, 2},
	{"\"\\u12g4\"", 0, "a string contains an invalid escape", 1, 1, 2},
	{"\"\\U1234\"", 0, "a string contains an invalid escape", 1, 1, 2},
	{"\"\\\0\"", 4, "a string contains an invalid escape", 1, 1, 2},
	{"\"a\nb\"", 0, "a string contains a control character", 2, 1, 3},
	{"\"a\tb\"", 0, "a string contains a control character", 2, 1, 3},
	{"\"a\0b\"", 5, "a string contains a control character", 2, 1, 3},
	{"{\"a\":1}\0", 8, "more text follows the value", 7, 1, 8},
	{"\0", 1, "a value is expected", 0, 1, 1},
	{"[1]\xff", 0, "more text follows the value", 3, 1, 4},
	{"[1,\xc2\xa0"
	 "2]",
	 0, "a value is expected", 3, 1, 4},
	{"[1,\v2]", 0, "a value is expected", 3, 1, 4},
	{"// c\n1", 0, "a value is expected", 0, 1, 1},

	/* what is not UTF-8 */
	{"\"\x80\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xbf\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xc0\x80\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xc1\xbf\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xc2\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xc2", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xe0\x9f\xbf\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xe2\x82\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xe2\x82", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xed\xa0\x80\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xed\xbf\xbf\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xf0\x8f\xbf\xbf\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xf0\x9f\x98\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xf4\x90\x80\x80\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xf5\x80\x80\x80\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xff\"", 0, "a string is not valid UTF-8", 1, 1, 2},
	{"\"\xcf\xf0\xe8\xe2\xb3\xf2\"", 0, "a string is not valid UTF-8", 1, 1, 2}, /* windows-1251 */

	/* where it is */
	{"{\n  \"a\": 1,\n  \"b\": x\n}", 0, "a value is expected", 19, 3, 8},
	{"{\n  \"ім'я\": \"Олена\", y}", 0, "a name in double quotes is expected", 29, 2, 20},
	{"[\r\n1,\r\n]", 0, "a value is expected", 7, 3, 1},
	{"[\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\",?]", 0, "a value is expected", 12, 1, 7}};

static void
test_bad_json(void)
{
	size_t i;

	for (i = 0; i < lengthof(bad); i++)
	{
		size_t      len = bad[i].len > 0 ? bad[i].len : strlen(bad[i].text);
		SdJsonError err;

		memset(&err, 0, sizeof(err));
		if (!ok(!check(bad[i].text, len, SD_JSON_MAX_DEPTH, &err) &&
					strcmp(err.message, bad[i].message) == 0 && err.offset == bad[i].offset &&
					err.line == bad[i].line && err.column == bad[i].column,
				"bad %zu: %s at byte %zu", i, bad[i].message, bad[i].offset))
			printf("# got '%s' at byte %zu, line %d, column %d\n",
				   err.message ? err.message : "good", err.offset, err.line, err.column);
	}
}

static bool
nested(int levels, int max_depth, char open, SdJsonError *err)
{
	size_t len = (size_t) levels * (open == '[' ? 2 : 6) + 1;
	char  *text = malloc(len + 1);
	char  *p = text;
	int    i;
	bool   good;

	for (i = 0; i < levels; i++)
		p += sprintf(p, "%s", open == '[' ? "[" : "{\"a\":");
	*p++ = '1';
	for (i = 0; i < levels; i++)
		*p++ = open == '[' ? ']' : '}';
	good = sd_json_check(text, (size_t) (p - text), max_depth, err);
	free(text);
	return good;
}

static void
test_depth(void)
{
	SdJsonError err;

	ok(nested(512, 512, '[', NULL), "512 arrays");
	ok(nested(512, 512, '{', NULL), "512 objects");
	ok(!nested(513, 512, '[', &err), "513 arrays are too many");
	is_text(err.message, "the text is nested too deeply", "the message says so");
	is_int((long long) err.offset, 512, "and where");
	ok(!nested(513, 512, '{', NULL), "513 objects are too many");
	ok(!nested(513, 100000, '[', NULL), "no caller can ask for more than 512");
	ok(!nested(1000000, 512, '[', NULL), "a million levels");
	ok(nested(3, 3, '[', NULL) && !nested(4, 3, '[', NULL), "a smaller limit");
	ok(nested(0, 0, '[', NULL) && !nested(1, 0, '[', NULL), "no nesting at all");
}

static void
test_mend(void)
{
	static const struct
	{
		const char *text;
		const char *mended;
		int         count;
	} cases[] = {
		{"", "", 0},
		{"\"\\u0000\"", "\"\\ufffd\"", 1},
		{"\"\\\\u0000\"", "\"\\\\u0000\"", 0},
		{"\"\\\\\\u0000\"", "\"\\\\\\ufffd\"", 1},
		{"\"\\u00000\\u0001\"", "\"\\ufffd0\\u0001\"", 1},
		{"\"\\uD83D\\uDE00\"", "\"\\uD83D\\uDE00\"", 0},
		{"\"\\uD83D\"", "\"\\ufffd\"", 1},
		{"\"\\uDE00\\uD83D\"", "\"\\ufffd\\ufffd\"", 2},
		{"\"\\uD83D\\uD83D\\uDE00\"", "\"\\ufffd\\uD83D\\uDE00\"", 1},
		{"\"\\ud83d\\\\ude00\"", "\"\\ufffd\\\\ude00\"", 1},
		{"\"\\ud83d\\n\\udbff\\udfff\\ud800\\u0041\"", "\"\\ufffd\\n\\udbff\\udfff\\ufffd\\u0041\"", 2},
		{"\"\\ud7ff\\ue000\\uABCD\"", "\"\\ud7ff\\ue000\\uABCD\"", 0}};

	for (size_t i = 0; i < lengthof(cases); i++)
	{
		size_t len = strlen(cases[i].text);
		char  *copy = exact(cases[i].text, len);

		is_int(sd_json_mend(copy, len), cases[i].count, "escapes mended");
		ok(memcmp(copy, cases[i].mended, len) == 0, "mended: %s", cases[i].text);
		free(copy);
	}
}

static void
test_byte_order_mark(void)
{
	SdJsonError err;

	ok(check("\xef\xbb\xbf{}", 5, 16, NULL), "a byte order mark before JSON");
	ok(!check("\xef\xbb\xbf\xef\xbb\xbf{}", 8, 16, &err), "two of them");
	is_int((int) err.offset, 3, "the second is no value");
	ok(!check(" \xef\xbb\xbf{}", 6, 16, NULL), "one after a space");
	ok(!check("\xef\xbb", 2, 16, NULL), "half of one");
	ok(!check("\xef\xbb\xbf", 3, 16, &err) && strcmp(err.message, "the text is empty") == 0, "nothing after it");
}

static void
test_error_text(void)
{
	SdJsonError err;
	char        text[160];
	char        small[12];

	sd_json_check("{\"a\":\n x}", 9, 16, &err);
	is_int(sd_json_error_text(&err, text, sizeof(text)), 56, "length of the sentence");
	is_text(text, "not JSON: a value is expected (line 2, column 2, byte 8)", "the sentence");
	sd_json_error_text(&err, small, sizeof(small));
	is_text(small, "not JSON: a", "cut where the buffer ends");
}

static void
test_quote(void)
{
	char text[80];
	char small[10];

	is_text(sd_json_quote("a \"b\" \\ \n \x1f є", text, sizeof(text)), "a \\\"b\\\" \\\\ \\u000a \\u001f є", "quoted for JSON");
	is_text(sd_json_quote("\xd1.\xff", text, sizeof(text)), "\\ufffd.\\ufffd", "bytes that are no character");
	is_text(sd_json_quote("абвгґ", small, sizeof(small)), "аб", "cut at the end of a character");
	is_text(sd_json_quote("", small, sizeof(small)), "", "nothing");
}

static void
test_retry_after(void)
{
	static const time_t now = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */
	static const struct
	{
		const char *value;
		int         expected;
	} cases[] = {
		{"0", 0}, {"1", 1}, {"120", 120}, {" 30 ", 30}, {"30\r", 30}, {"86400", 86400}, {"86401", 86400}, {"99999999999999999999999999", 86400}, {"007", 7}, {"Sun, 06 Nov 1994 08:49:37 GMT", 0}, {"Sun, 06 Nov 1994 08:50:37 GMT", 60}, {"Sun, 06 Nov 1994 09:49:37 GMT", 3600}, {"Mon, 07 Nov 1994 08:49:37 GMT", 86400}, {"Fri, 31 Dec 2099 23:59:59 GMT", 86400}, {"Sun, 06 Nov 1994 08:49:36 GMT", 0}, {"Thu, 01 Jan 1970 00:00:00 GMT", 0}, {"Sunday, 06-Nov-94 08:50:37 GMT", 60}, {"Sunday, 06-Nov-93 08:50:37 GMT", 0}, {"Sun Nov  6 08:50:37 1994", 60}, {"", -1}, {" ", -1}, {"-1", -1}, {"1.5", -1}, {"1e3", -1}, {"30s", -1}, {"+5", -1}, {"soon", -1}, {"0x10", -1}, {"Sun, 06 Nov 1994", -1}, {"Sun, 06 Nov 1994 08:49:37", -1}, {"Sun, 06 Nov 1994 08:49:37 EST", -1}, {"Sun, 06 Nov 1994 08:49:37 GMT x", -1}, {"Sun, 06 Xxx 1994 08:49:37 GMT", -1}, {"Sun, 32 Nov 1994 08:49:37 GMT", -1}, {"Sun, 00 Nov 1994 08:49:37 GMT", -1}, {"Sun, 06 Nov 1994 24:49:37 GMT", -1}, {"Sun, 06 Nov 1994 08:60:37 GMT", -1}, {"Sun, 06 Nov 1994 08:49:61 GMT", -1}, {"Sun, 06 Nov 0094 08:49:37 GMT", -1}, {"Sun, -6 Nov 1994 08:49:37 GMT", -1}, {"Sun Nov  6 08:50:37 1994 and a very long rest of this line", -1}};
	size_t i;

	for (i = 0; i < lengthof(cases); i++)
	{
		char name[100];

		snprintf(name, sizeof(name), "Retry-After: %s", cases[i].value);
		is_int(sd_retry_after(cases[i].value, now), cases[i].expected, name);
	}
	is_int(sd_retry_after(NULL, now), -1, "no Retry-After");
}

/* Our dates against the C library's, each day of 200 years. */
static void
test_dates(void)
{
	long long day;
	int       wrong = 0;

	for (day = 0; day < 365 * 200; day++)
	{
		time_t    then = (time_t) (day * 86400 + day % 86400);
		struct tm tm;
		char      text[64];

		gmtime_r(&then, &tm);
		strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		if (sd_retry_after(text, then - 7) != 7)
			wrong++;
	}
	is_int(wrong, 0, "dates of 200 years are read as the C library writes them");
}

static void
test_equal(void)
{
	static const char *const secret = "0123456789abcdef";
	char                     other[17];
	int                      i;
	int                      wrong = 0;

	ok(sd_equal_ct(secret, 16, secret, 16), "equal");
	ok(sd_equal_ct("", 0, "", 0), "both empty");
	ok(!sd_equal_ct("", 0, secret, 16), "given nothing");
	ok(!sd_equal_ct(secret, 16, "", 0), "secret empty");
	ok(!sd_equal_ct(secret, 15, secret, 16), "a part of it");
	ok(!sd_equal_ct("0123456789abcdef0123456789abcdef", 32, secret, 16), "twice the secret");
	ok(!sd_equal_ct("aaaa", 4, "a", 1), "the secret repeated");
	ok(!sd_equal_ct("\0", 1, "", 0), "a NUL against nothing");
	for (i = 0; i < 16; i++)
	{
		memcpy(other, secret, 17);
		other[i] ^= (char) 0x80;
		if (sd_equal_ct(other, 16, secret, 16))
			wrong++;
	}
	is_int(wrong, 0, "one bit of any byte makes a difference");
}

static void
test_url_encode(void)
{
	static const struct
	{
		const char *in;
		const char *out;
	} cases[] = {
		{"", ""},
		{"AZaz09-._~", "AZaz09-._~"},
		{" ", "%20"},
		{"+&=?/#%:@!$'()*,;[]", "%2B%26%3D%3F%2F%23%25%3A%40%21%24%27%28%29%2A%2C%3B%5B%5D"},
		{"Склад", "%D0%A1%D0%BA%D0%BB%D0%B0%D0%B4"},
		{"\x01\x7f\xff\"<>\\^`{|}", "%01%7F%FF%22%3C%3E%5C%5E%60%7B%7C%7D"}};
	char   out[256];
	size_t i;

	for (i = 0; i < lengthof(cases); i++)
	{
		size_t n = sd_url_encode(cases[i].in, strlen(cases[i].in), out);

		out[n] = '\0';
		is_text(out, cases[i].out, cases[i].in[0] == '\x01' ? "bytes" : cases[i].in);
	}
}

int
main(void)
{
	test_good_json();
	test_bad_json();
	test_depth();
	test_mend();
	test_byte_order_mark();
	test_error_text();
	test_quote();
	test_retry_after();
	test_dates();
	test_equal();
	test_url_encode();
	is_int(sd_utf8_length("", 0), 0, "no byte is no character");
	is_int(sd_utf8_length("\0", 1), 1, "NUL is a character of UTF-8");
	return done_testing();
}
