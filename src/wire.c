/*-------------------------------------------------------------------------
 *
 * wire.c
 *	  Reading and writing of what goes over the wire.
 *
 * Role: every parser of bytes from the net (see wire.h).  Nothing here trusts
 * a terminating NUL in a buffer with a length, recurses or allocates.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "wire.h"

/* ---- UTF-8 ---- */

int
sd_utf8_length(const char *p, size_t left)
{
	const unsigned char *u = (const unsigned char *) p;

	if (left == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xc2 || left < 2 || (u[1] & 0xc0) != 0x80)
		return 0; /* continuation, overlong or cut */
	if (u[0] < 0xe0)
		return 2;
	if (left < 3 || (u[2] & 0xc0) != 0x80)
		return 0;
	if (u[0] < 0xf0)
	{
		if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f))
			return 0; /* overlong, surrogate */
		return 3;
	}
	if (u[0] > 0xf4 || left < 4 || (u[3] & 0xc0) != 0x80)
		return 0;
	if ((u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
		return 0; /* overlong, beyond U+10FFFF */
	return 4;
}

size_t
sd_byte_order_mark(const char *p, size_t left)
{
	return left >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* ---- JSON ---- */

typedef struct Json
{
	const char *p;
	const char *end;
	const char *problem;
} Json;

static bool
json_fail(Json *j, const char *problem)
{
	j->problem = problem;
	return false;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* a byte order mark; RFC 8259 lets a reader ignore it */
static void
json_mark(Json *j)
{
	j->p += sd_byte_order_mark(j->p, (size_t) (j->end - j->p));
}

static void
json_space(Json *j)
{
	while (j->p < j->end && is_space(*j->p))
		j->p++;
}

/* An escape; on failure the position stays at the backslash. */
static bool
json_escape(Json *j)
{
	size_t left = (size_t) (j->end - j->p);

	if (left >= 2 && j->p[1] != '\0' && strchr("\"\\/bfnrt", j->p[1]) != NULL)
	{
		j->p += 2;
		return true;
	}
	if (left >= 6 && j->p[1] == 'u' && is_hex(j->p[2]) && is_hex(j->p[3]) &&
		is_hex(j->p[4]) && is_hex(j->p[5]))
	{
		j->p += 6;
		return true;
	}
	return json_fail(j, "a string contains an invalid escape");
}

/* A string; the position is at its opening quote. */
static bool
json_string(Json *j)
{
	j->p++;
	while (j->p < j->end)
	{
		unsigned char c = (unsigned char) *j->p;

		if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\')
			j->p++;
		else if (c == '"')
		{
			j->p++;
			return true;
		}
		else if (c == '\\')
		{
			if (!json_escape(j))
				return false;
		}
		else if (c < 0x20)
			return json_fail(j, "a string contains a control character");
		else
		{
			int length = sd_utf8_length(j->p, (size_t) (j->end - j->p));

			if (length == 0)
				return json_fail(j, "a string is not valid UTF-8");
			j->p += length;
		}
	}
	return json_fail(j, "the text ends inside a string");
}

/* One digit or more. */
static bool
json_digits(Json *j)
{
	const char *first = j->p;

	while (j->p < j->end && is_digit(*j->p))
		j->p++;
	return j->p > first || json_fail(j, "a number lacks a digit");
}

static bool
json_number(Json *j)
{
	if (*j->p == '-')
		j->p++;
	if (j->p < j->end && *j->p == '0')
	{
		j->p++;
		if (j->p < j->end && is_digit(*j->p))
			return json_fail(j, "a number begins with a needless zero");
	}
	else if (!json_digits(j))
		return false;

	if (j->p < j->end && *j->p == '.')
	{
		j->p++;
		if (!json_digits(j))
			return false;
	}
	if (j->p < j->end && (*j->p == 'e' || *j->p == 'E'))
	{
		j->p++;
		if (j->p < j->end && (*j->p == '+' || *j->p == '-'))
			j->p++;
		if (!json_digits(j))
			return false;
	}
	return true;
}

static bool
json_scalar(Json *j)
{
	static const char *const words[] = {"true", "false", "null"};
	size_t                   i;

	if (*j->p == '"')
		return json_string(j);
	if (*j->p == '-' || is_digit(*j->p))
		return json_number(j);

	for (i = 0; i < 3; i++)
	{
		size_t length = strlen(words[i]);

		if ((size_t) (j->end - j->p) >= length && memcmp(j->p, words[i], length) == 0)
		{
			j->p += length;
			return true;
		}
	}
	return json_fail(j, "a value is expected");
}

/* A name of an object's member with its colon. */
static bool
json_name(Json *j)
{
	if (*j->p != '"')
		return json_fail(j, "a name in double quotes is expected");
	if (!json_string(j))
		return false;
	json_space(j);
	if (j->p == j->end)
		return json_fail(j, "the text ends too early");
	if (*j->p != ':')
		return json_fail(j, "a colon is expected after a name");
	j->p++;
	return true;
}

/*
 * The whole grammar as four states.  'closer' holds the bracket that ends each
 * level.
 *
 *		VALUE	a value must follow
 *		FIRST	right after '[' or '{': as ITEM, or the closing bracket
 *		ITEM	after ',': a value, or a name and then a value
 *		AFTER	a value is complete: ',', the closing bracket, or the end
 */
static bool
json_text(Json *j, int max_depth)
{
	enum
	{
		VALUE,
		FIRST,
		ITEM,
		AFTER
	} state = VALUE;
	char closer[SD_JSON_MAX_DEPTH];
	int  depth = 0;

	for (;;)
	{
		json_space(j);
		if (j->p == j->end)
			return (state == AFTER && depth == 0) || json_fail(j, "the text ends too early");

		if (state == FIRST || state == AFTER)
		{
			if (depth == 0)
				return json_fail(j, "more text follows the value");
			if (*j->p == closer[depth - 1])
			{
				j->p++;
				depth--;
				state = AFTER;
				continue;
			}
		}

		if (state == AFTER)
		{
			if (*j->p != ',')
				return json_fail(j, closer[depth - 1] == '}' ?
										"a comma or a closing brace is expected" :
										"a comma or a closing bracket is expected");
			j->p++;
			state = ITEM;
		}
		else if (state != VALUE && closer[depth - 1] == '}')
		{
			if (!json_name(j))
				return false;
			state = VALUE;
		}
		else if (*j->p == '{' || *j->p == '[')
		{
			if (depth >= max_depth)
				return json_fail(j, "the text is nested too deeply");
			closer[depth++] = *j->p == '{' ? '}' : ']';
			j->p++;
			state = FIRST;
		}
		else if (json_scalar(j))
			state = AFTER;
		else
			return false;
	}
}

/* Line and column of an offset, both from 1. */
static void
json_locate(const char *buf, SdJsonError *err)
{
	size_t i;

	err->line = 1;
	err->column = 1;
	for (i = 0; i < err->offset; i++)
	{
		if (buf[i] == '\n')
		{
			err->line++;
			err->column = 1;
		}
		else if (((unsigned char) buf[i] & 0xc0) != 0x80)
			err->column++;
	}
}

bool
sd_json_check(const char *buf, size_t len, int max_depth, SdJsonError *err)
{
	Json j = {buf, buf + len, NULL};

	if (max_depth > SD_JSON_MAX_DEPTH)
		max_depth = SD_JSON_MAX_DEPTH;
	json_mark(&j);
	if (json_text(&j, max_depth))
		return true;
	if (err != NULL)
	{
		err->offset = (size_t) (j.p - buf);
		err->message = j.problem;
		json_locate(buf, err);
		j.p = buf;
		json_mark(&j);
		json_space(&j);
		if (j.p == j.end)
			err->message = "the text is empty";
	}
	return false;
}

/* The number in the four hex digits of an escape. */
static unsigned int
hex4(const char *p)
{
	unsigned int n = 0;

	for (int i = 0; i < 4; i++)
		n = n << 4 | (unsigned int) (is_digit(p[i]) ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
	return n;
}

/* Length of the escape \uXXXX at 'p', 0 when there is none; its code unit. */
static size_t
unicode_escape(const char *p, const char *end, unsigned int *unit)
{
	if (end - p < 6 || p[0] != '\\' || p[1] != 'u' ||
		!is_hex(p[2]) || !is_hex(p[3]) || !is_hex(p[4]) || !is_hex(p[5]))
		return 0;
	*unit = hex4(p + 2);
	return 6;
}

int
sd_json_mend(char *buf, size_t len)
{
	char       *p = buf;
	const char *end = buf + len;
	int         mended = 0;

	/* outside of strings JSON has no backslash */
	while ((p = memchr(p, '\\', (size_t) (end - p))) != NULL)
	{
		unsigned int unit;
		unsigned int next;

		if (unicode_escape(p, end, &unit) == 0)
		{
			if (end - p < 2)
				break;
			p += 2;
			continue;
		}
		if (unit >= 0xd800 && unit <= 0xdbff && unicode_escape(p + 6, end, &next) > 0 &&
			next >= 0xdc00 && next <= 0xdfff)
			p += 6; /* a whole character of two units */
		else if (unit == 0 || (unit >= 0xd800 && unit <= 0xdfff))
		{
			memcpy(p + 2, "fffd", 4);
			mended++;
		}
		p += 6;
	}
	return mended;
}

int
sd_json_error_text(const SdJsonError *err, char *out, size_t size)
{
	return snprintf(out, size, "not JSON: %s (line %d, column %d, byte %zu)",
					err->message, err->line, err->column, err->offset + 1);
}

char *
sd_json_quote(const char *text, char *out, size_t out_size)
{
	size_t n = 0;

	for (const unsigned char *p = (const unsigned char *) text; *p != '\0';)
	{
		int len = *p < 0x80 ? 1 : sd_utf8_length((const char *) p, strlen((const char *) p));

		if (n + 7 > out_size)
			break;
		if (len == 0 || *p < 0x20)
			n += snprintf(out + n, out_size - n, "\\u%04x", len == 0 ? 0xfffd : *p);
		else
		{
			if (*p == '"' || *p == '\\')
				out[n++] = '\\';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len == 0 ? 1 : len;
	}
	out[n] = '\0';
	return out;
}

/* ---- Retry-After ---- */

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static long long
days_of(int year, int month, int day)
{
	static const int before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	long long        y = month > 2 ? year : year - 1; /* leap days up to here */

	return 365LL * (year - 1970) + (y / 4 - y / 100 + y / 400) - 477 + before[month - 1] + day - 1;
}

static int
month_of(const char *name)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int               i;

	for (i = 0; i < 12; i++)
	{
		if (memcmp(name, names + 3 * i, 3) == 0)
			return i + 1;
	}
	return 0;
}

/* The three forms of an HTTP date; false when it is none. */
static bool
http_date(const char *value, time_t now, long long *seconds)
{
	char name[4] = "";
	int  year;
	int  month;
	int  day;
	int  h;
	int  m;
	int  s;
	int  end = 0;

	if (sscanf(value, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n",
			   &day, name, &year, &h, &m, &s, &end) == 6 &&
		end > 0)
		;
	else if (sscanf(value, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n",
					&day, name, &year, &h, &m, &s, &end) == 6 &&
			 end > 0)
	{
		/* two digits: the nearest year that is not far ahead */
		int this_year = 1970 + (int) (now / 31556952);

		year += this_year - this_year % 100;
		if (year > this_year + 50)
			year -= 100;
	}
	else if (sscanf(value, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n",
					name, &day, &h, &m, &s, &year, &end) != 6 ||
			 end == 0)
		return false;

	month = strlen(name) == 3 ? month_of(name) : 0;
	if (value[end] != '\0' || month == 0 || year < 1900 || day < 1 || day > 31 ||
		h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60)
		return false;
	*seconds = days_of(year, month, day) * 86400 + h * 3600LL + m * 60LL + s;
	return true;
}

int
sd_retry_after(const char *value, time_t now)
{
	long long   seconds = 0;
	char        text[48];
	size_t      length;
	const char *p;

	if (value == NULL)
		return -1;
	while (is_space(*value))
		value++;
	length = strlen(value);
	while (length > 0 && is_space(value[length - 1]))
		length--;
	if (length == 0 || length >= sizeof(text))
		return -1;
	memcpy(text, value, length);
	text[length] = '\0';

	for (p = text; is_digit(*p); p++)
	{
		if (seconds <= SD_RETRY_AFTER_MAX)
			seconds = seconds * 10 + (*p - '0');
	}
	if (*p != '\0')
	{
		if (!http_date(text, now, &seconds))
			return -1;
		seconds -= (long long) now;
	}
	if (seconds < 0)
		return 0;
	return seconds > SD_RETRY_AFTER_MAX ? SD_RETRY_AFTER_MAX : (int) seconds;
}

/* ---- secrets, URLs ---- */

bool
sd_equal_ct(const char *given, size_t given_len,
			const char *secret, size_t secret_len)
{
	volatile unsigned char difference = given_len != secret_len;
	size_t                 at = 0;
	size_t                 i;

	for (i = 0; i < given_len; i++)
	{
		unsigned char s = secret_len > 0 ? (unsigned char) secret[at] : 0;

		difference |= (unsigned char) ((unsigned char) given[i] ^ s);
		at = at + 1 < secret_len ? at + 1 : 0;
	}
	return difference == 0;
}

size_t
sd_url_encode(const char *in, size_t len, char *out)
{
	static const char hex[] = "0123456789ABCDEF";
	char             *o = out;
	size_t            i;

	for (i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) in[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit((char) c) ||
			c == '-' || c == '.' || c == '_' || c == '~')
			*o++ = (char) c;
		else
		{
			*o++ = '%';
			*o++ = hex[c >> 4];
			*o++ = hex[c & 15];
		}
	}
	return (size_t) (o - out);
}
