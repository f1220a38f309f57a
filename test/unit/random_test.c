/*
 * random_test.c
 *	  A short, repeatable fuzzing of every parser: what must hold for any input
 *	  (test/fuzz/targets.h) is tried with inputs of a seeded generator.
 */
#include "../fuzz/targets.h"
#include "tap.h"

#define ROUNDS     60000
#define MAX_LENGTH 300

static uint64_t state = 88172645463325252u;

static unsigned
draw(unsigned below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned) (state >> 33) % below;
}

/* Pieces that lead deep into the parsers. */
static const char *const pieces[] = {
	"{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\"", "\"a\":", "1", "-0.5e3", "true", "null", " ", "\n",
	"\\u041f", "\\ud83d\\ude00", "\\ud83d", "\\u00", "\xd0\x9f", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff", "\xd0", "\xed\xa0\x80",
	"{\"odata.error\":{\"code\":\"9\",\"message\":{\"value\":\"x\"}}}", "\"odata.error\":", "\"code\":", "\"message\":", "\"value\":",
	"<m:error xmlns:m=\"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata\">", "<m:code>", "</m:code>", "<m:message>", "<?xml?>", "<", ">", "/>",
	"<yml_catalog>", "<shop>", "<offers>", "<offer id=\"1\">", "<name>", "</name>", "<param name=\"a\">", "<![CDATA[", "]]>", "<?xml version=\"1.0\" encoding=\"windows-1251\"?>",
	"&amp;", "&#1055;", "&#x41F;", "&#", ";", "&",
	"+", "380", "38", "0", "00", "810", "067", "1234567", "671234567", "(067) ", "-", "ext", "\xd0\xb4\xd0\xbe\xd0\xb1", "\xd1\x82\xd0\xb5\xd0\xbb.",
	"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 ", "120", "GMT", "99999999999"};

/* Mostly pieces, then a few bytes changed. */
static size_t
generate(char *out)
{
	size_t   len = 0;
	unsigned n = draw(30);
	unsigned i;

	for (i = 0; i < n; i++)
	{
		const char *piece = pieces[draw(lengthof(pieces))];
		size_t      piece_len = strlen(piece);

		if (draw(8) == 0)
		{
			piece = (const char *) &state;
			piece_len = draw(4);
		}
		if (len + piece_len > MAX_LENGTH)
			break;
		memcpy(out + len, piece, piece_len);
		len += piece_len;
	}
	while (len > 0 && draw(3) == 0)
		out[draw((unsigned) len)] = (char) draw(256);
	return len;
}

/* Good JSON of any shape, written by a generator that knows only how to write. */
static size_t
generate_json(char *out, int depth)
{
	static const char *const scalars[] = {"0", "-1.5e+3", "true", "false", "null", "\"\"", "\"\xd0\x9f\\n\\u0416\"", "1E5"};
	char                    *p = out;
	unsigned                 kind = depth > 6 ? 0 : draw(3);
	unsigned                 n = draw(3);
	unsigned                 i;

	if (draw(4) == 0)
		*p++ = " \n\t\r"[draw(4)];
	if (kind == 0)
		p += sprintf(p, "%s", scalars[draw(lengthof(scalars))]);
	else
	{
		*p++ = kind == 1 ? '[' : '{';
		for (i = 0; i < n; i++)
		{
			if (i > 0)
				*p++ = ',';
			if (kind == 2)
				p += sprintf(p, " \"k%u\" :", i);
			p += generate_json(p, depth + 1);
		}
		*p++ = kind == 1 ? ']' : '}';
	}
	if (draw(4) == 0)
		*p++ = ' ';
	return (size_t) (p - out);
}

int
main(void)
{
	static const struct
	{
		const char *name;
		void (*run)(const char *, size_t);
	} targets[] = {
		{"json", target_json},
		{"odata", target_odata},
		{"metadata", target_metadata},
		{"yml", target_yml},
		{"phone", target_phone},
		{"retry_after", target_retry_after},
		{"url_encode", target_url_encode},
		{"equal", target_equal}};
	static char text[65536];
	size_t      t;
	int         round;
	int         refused = 0;

	for (t = 0; t < lengthof(targets); t++)
	{
		for (round = 0; round < ROUNDS / (t == 1 ? 1 : 2); round++)
		{
			size_t len = generate(text);
			char  *exact = malloc(len > 0 ? len : 1);

			memcpy(exact, text, len);
			targets[t].run(exact, len);
			free(exact);
		}
		ok(true, "%s holds for %d generated inputs", targets[t].name, round);
	}

	for (round = 0; round < 2000; round++)
	{
		size_t len = generate_json(text, 0);

		if (!sd_json_check(text, len, SD_JSON_MAX_DEPTH, NULL))
			refused++;
	}
	is_int(refused, 0, "every generated JSON is good");
	return done_testing();
}
