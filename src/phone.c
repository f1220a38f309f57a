/*-------------------------------------------------------------------------
 *
 * phone.c
 *	  Canonical form of phone numbers.
 *
 * Role: the only place that decides whether two spellings are one number (see
 * phone.h).
 *
 * The text is read once into at most 15 digits and two facts: whether it began
 * with a '+' and whether a letter or another foreign character came before its
 * end.  Then one table of forms decides.  Whatever follows a comma, semicolon,
 * slash or a word for "extension" is dropped.  A text with any other word in it
 * is no phone: guessing which of its digits are the number would join
 * customers that are not the same.
 *
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <string.h>

#include "phone.h"
#include "wire.h"

#define COUNTRY          "380"
#define COUNTRY_DIGITS   3
#define LOCAL_DIGITS     9 /* area or operator code and number */
#define MIN_FOREIGN      8
#define MIN_BARE_FOREIGN 11 /* without '+' or '00' */

/* Words, in lower case, that may stand before the number. */
static const char *const lead_words[] = {
	"\xd1\x82\xd0\xb5\xd0\xbb\xd0\xb5\xd1\x84\xd0\xbe\xd0\xbd", /* телефон */
	"\xd0\xbc\xd0\xbe\xd0\xb1",                                 /* моб */
	"\xd1\x82\xd0\xb5\xd0\xbb",                                 /* тел */
	"phone", "mob", "tel"};

/* Words, in lower case, that begin an extension. */
static const char *const extension_words[] = {
	"\xd0\xb4\xd0\xbe\xd0\xb4",                 /* дод */
	"\xd0\xb4\xd0\xbe\xd0\xb1",                 /* доб */
	"\xd0\xb2\xd0\xbd\xd1\x83\xd1\x82\xd1\x80", /* внутр */
	"\xd0\xb2\xd0\xbd",                         /* вн */
	"ext", "x", "#"};

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

typedef struct Scan
{
	char digits[SD_PHONE_MAX + 3]; /* "00" or "810" may still come off */
	int  count;
	int  trunk; /* where a zero in brackets of its own stands, as in +49 (0)30; 0: nowhere */
	bool plus;
	bool colon;   /* after a digit: a time of day, unless no digit follows */
	bool foreign; /* something that no phone contains */
} Scan;

/* The code point at 'p' and its length; bad UTF-8 gives U+FFFD of length 1. */
static unsigned int
decode(const char *p, size_t left, int *length)
{
	const unsigned char *u = (const unsigned char *) p;

	*length = sd_utf8_length(p, left);
	switch (*length)
	{
		case 1:
			return u[0];
		case 2:
			return ((u[0] & 0x1fu) << 6) | (u[1] & 0x3fu);
		case 3:
			return ((u[0] & 0x0fu) << 12) | ((u[1] & 0x3fu) << 6) | (u[2] & 0x3fu);
		case 4:
			return ((u[0] & 0x07u) << 18) | ((u[1] & 0x3fu) << 12) |
				   ((u[2] & 0x3fu) << 6) | (u[3] & 0x3fu);
		default:
			*length = 1;
			return 0xfffd;
	}
}

/* ASCII and Cyrillic letters in lower case. */
static unsigned int
lower(unsigned int c)
{
	if ((c >= 'A' && c <= 'Z') || (c >= 0x410 && c <= 0x42f))
		return c + 0x20;
	return c;
}

/* Length of the first of 'words' that the text begins with, or 0. */
static size_t
skip_word(const char *text, size_t len, const char *const *words, size_t nwords)
{
	size_t w;

	for (w = 0; w < nwords; w++)
	{
		const char *word = words[w];
		size_t      word_len = strlen(word);
		size_t      at = 0;
		size_t      in_word = 0;

		while (in_word < word_len && at < len)
		{
			int          a;
			int          b;
			unsigned int c = lower(decode(text + at, len - at, &a));

			if (c != decode(word + in_word, word_len - in_word, &b))
				break;
			at += (size_t) a;
			in_word += (size_t) b;
		}
		if (in_word == word_len)
			return at;
	}
	return 0;
}

/* Value of an ASCII or fullwidth digit, or -1. */
static int
digit_value(unsigned int c)
{
	if (c >= '0' && c <= '9')
		return (int) (c - '0');
	if (c >= 0xff10 && c <= 0xff19)
		return (int) (c - 0xff10);
	return -1;
}

/* Spaces, dashes, brackets and marks without width, ASCII and other. */
static bool
is_separator(unsigned int c)
{
	switch (c)
	{
		case ' ':
		case '\t':
		case '\r':
		case '\n':
		case '-':
		case '.':
		case '(':
		case ')':
		case '[':
		case ']':
		case '_':
		case ':':
		case '\'':
		case '"':
		case 0x00a0: /* no-break space */
		case 0x00ad: /* soft hyphen */
		case 0x2212: /* minus sign */
		case 0x202f:
		case 0x205f:
		case 0x2060: /* word joiner */
		case 0x3000: /* ideographic space */
		case 0xfe63:
		case 0xff08: /* fullwidth brackets */
		case 0xff09:
		case 0xff0d:
		case 0xfeff: /* byte order mark */
			return true;
		default:
			/* spaces, marks of direction, hyphens and dashes */
			return (c >= 0x2000 && c <= 0x2015) || (c >= 0x202a && c <= 0x202e) ||
				   (c >= 0x2066 && c <= 0x2069);
	}
}

static void
scan(const char *text, size_t len, Scan *s)
{
	size_t at = 0;

	memset(s, 0, sizeof(*s));
	while (at < len)
	{
		int          length;
		unsigned int c = decode(text + at, len - at, &length);
		int          digit = digit_value(c);
		size_t       word;

		if (digit >= 0)
		{
			if (s->count == (int) sizeof(s->digits) || s->colon)
			{
				s->foreign = true; /* longer than any number, or a time */
				return;
			}
			if (s->count > 0 && digit == 0 && at > 0 && at + 1 < len && text[at - 1] == '(' && text[at + 1] == ')')
				s->trunk = s->count;
			s->digits[s->count++] = (char) ('0' + digit);
		}
		else if ((c == '+' || c == 0xff0b) && s->count == 0 && !s->plus)
			s->plus = true;
		else if (s->count > 0 && (c == ',' || c == ';' || c == '/'))
			return;
		else if (s->count > 0 &&
				 skip_word(text + at, len - at, extension_words, lengthof(extension_words)) > 0)
			return;
		else if (s->count == 0 && !s->plus &&
				 (word = skip_word(text + at, len - at, lead_words, lengthof(lead_words))) > 0)
		{
			at += word;
			continue;
		}
		else if (!is_separator(c))
		{
			s->foreign = true;
			return;
		}
		else if (c == ':' && s->count > 0)
			s->colon = true;
		at += (size_t) length;
	}
}

/*
 * Nine digits as they follow Ukraine's country code: operator or area code and
 * number.  No code begins with 0, 1 or 2.
 */
static bool
is_local(const char *digits, int count)
{
	return count == LOCAL_DIGITS && digits[0] >= '3';
}

static bool
begins(const char *digits, int count, const char *prefix)
{
	int n = (int) strlen(prefix);

	return count > n && memcmp(digits, prefix, (size_t) n) == 0;
}

/* The local part of a number of Ukraine, or NULL when it is none. */
static const char *
ukrainian_part(const char *d, int n, bool international)
{
	/*
	 * What may stand before the local part.  The first four are told from
	 * foreign numbers also after a '+': no country has them as its code.
	 */
	static const char *const prefixes[] = {
		"380",  /* +380 67... and +38 (067)... */
		"3800", /* +380 (0) 67... */
		"80",   /* 8 (067)... as dialled long ago */
		"0",    /* 067... */
		""      /* 67... */
	};
	size_t i;

	for (i = 0; i < lengthof(prefixes); i++)
	{
		int skip = (int) strlen(prefixes[i]);

		if (international && skip == 0)
			break;
		if (n == skip + LOCAL_DIGITS && begins(d, n, prefixes[i]) && is_local(d + skip, n - skip))
			return d + skip;
	}
	return NULL;
}

/* A zero in brackets is dialled within the country only; in Italy and its enclaves always. */
static bool
drops_trunk(const char *digits, int count)
{
	return !begins(digits, count, "39") && !begins(digits, count, "378");
}

int
sd_phone_e164(const char *text, size_t len, char out[SD_PHONE_MAX + 1])
{
	Scan        s;
	const char *d;
	const char *local;
	int         n;
	bool        international;

	out[0] = '\0';
	scan(text, len, &s);
	if (s.foreign)
		return 0;

	d = s.digits;
	n = s.count;
	international = s.plus;
	if (!international && begins(d, n, "00"))
	{
		d += 2;
		n -= 2;
		international = true;
	}
	else if (begins(d, n, "810")) /* the same in the old plan */
	{
		d += 3;
		n -= 3;
		international = true;
	}

	local = ukrainian_part(d, n, international);
	if (local != NULL)
	{
		memcpy(out, COUNTRY, COUNTRY_DIGITS);
		memcpy(out + COUNTRY_DIGITS, local, LOCAL_DIGITS);
		out[COUNTRY_DIGITS + LOCAL_DIGITS] = '\0';
		return COUNTRY_DIGITS + LOCAL_DIGITS;
	}

	if (international && s.trunk > 0 && drops_trunk(d, n))
	{
		char *zero = s.digits + s.trunk;

		memmove(zero, zero + 1, (size_t) (s.digits + s.count - zero - 1));
		n--;
	}

	/* no country has a code like 0.. or 810; Ukraine's needs a whole number behind it */
	if (n > SD_PHONE_MAX || n < (international ? MIN_FOREIGN : MIN_BARE_FOREIGN) ||
		d[0] == '0' || begins(d, n, "810") || begins(d, n, COUNTRY))
		return 0;
	memcpy(out, d, (size_t) n);
	out[n] = '\0';
	return n;
}
