/*-------------------------------------------------------------------------
 *
 * odata.c
 *	  Reading of odata.error from the body of an answer.
 *
 * Role: tells an error that BAS itself reported from every other body that may
 * come with an error status.  This decides whether a write is known not to have
 * been done, so what merely looks alike (the XML of a proxy, a cut text) is not
 * taken for one.  Pure C, as all of wire.h.
 *
 *		{"odata.error":{"code":"9","message":{"lang":"ru","value":"..."}}}
 *		<m:error xmlns:m="...metadata"><m:code>9</m:code><m:message>...
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <string.h>

#include "wire.h"

typedef struct Output
{
	char  *text;
	size_t size;
	size_t length;
	bool   full;
} Output;

static void
out_begin(Output *out, char *text, size_t size)
{
	out->text = text;
	out->size = size;
	out->length = 0;
	out->full = size == 0;
	if (size > 0)
		text[0] = '\0';
}

/* Append one character whole, or nothing from here on. */
static void
out_bytes(Output *out, const char *bytes, size_t n)
{
	if (out->full || out->length + n + 1 > out->size)
	{
		out->full = true;
		return;
	}
	memcpy(out->text + out->length, bytes, n);
	out->length += n;
	out->text[out->length] = '\0';
}

static void
out_code_point(Output *out, uint32_t c)
{
	char bytes[4];

	if (c < ' ')
		c = ' '; /* also NUL: the text must stay one C string */
	if ((c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		c = 0xfffd;
	if (c < 0x80)
	{
		bytes[0] = (char) c;
		out_bytes(out, bytes, 1);
	}
	else if (c < 0x800)
	{
		bytes[0] = (char) (0xc0 | (c >> 6));
		bytes[1] = (char) (0x80 | (c & 0x3f));
		out_bytes(out, bytes, 2);
	}
	else if (c < 0x10000)
	{
		bytes[0] = (char) (0xe0 | (c >> 12));
		bytes[1] = (char) (0x80 | ((c >> 6) & 0x3f));
		bytes[2] = (char) (0x80 | (c & 0x3f));
		out_bytes(out, bytes, 3);
	}
	else
	{
		bytes[0] = (char) (0xf0 | (c >> 18));
		bytes[1] = (char) (0x80 | ((c >> 12) & 0x3f));
		bytes[2] = (char) (0x80 | ((c >> 6) & 0x3f));
		bytes[3] = (char) (0x80 | (c & 0x3f));
		out_bytes(out, bytes, 4);
	}
}

/* Copy the character at 'p' and return what follows it. */
static const char *
out_copy(Output *out, const char *p, const char *end)
{
	int length = sd_utf8_length(p, (size_t) (end - p));

	if (length > 1)
		out_bytes(out, p, (size_t) length);
	else if (length == 1)
		out_code_point(out, (unsigned char) *p);
	else
	{
		out_code_point(out, 0xfffd);
		length = 1;
	}
	return p + length;
}

/* ---- JSON: these walk a text that sd_json_check() has found good ---- */

static const char *
json_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

/* From the opening quote to behind the closing one. */
static const char *
json_skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
	{
		if (*p == '\\')
			p++;
	}
	return p < end ? p + 1 : end;
}

/* From the first byte of a value to behind it. */
static const char *
json_skip_value(const char *p, const char *end)
{
	int depth = 0;

	while (p < end)
	{
		if (*p == '"')
			p = json_skip_string(p, end);
		else if (*p == '{' || *p == '[')
		{
			depth++;
			p++;
		}
		else if (*p == '}' || *p == ']')
		{
			if (depth == 0)
				return p;
			depth--;
			p++;
		}
		else if (depth == 0 && *p == ',')
			return p;
		else
		{
			p++;
			continue; /* inside a number or a word */
		}
		if (depth == 0)
			return p;
	}
	return end;
}

/* The value of a member of the object that begins at 'p', or NULL. */
static const char *
json_member(const char *p, const char *end, const char *name)
{
	size_t length = strlen(name);

	if (p == NULL || p == end || *p != '{')
		return NULL;
	p = json_space(p + 1, end);
	while (p < end && *p == '"')
	{
		const char *key = p + 1;

		p = json_skip_string(p, end);
		if ((size_t) (p - key) == length + 1 && memcmp(key, name, length) == 0)
			return json_space(json_space(p, end) + 1, end);
		p = json_space(json_space(p, end) + 1, end);
		p = json_space(json_skip_value(p, end), end);
		if (p < end && *p == ',')
			p = json_space(p + 1, end);
	}
	return NULL;
}

static uint32_t
hex4(const char *p)
{
	uint32_t value = 0;
	int      i;

	for (i = 0; i < 4; i++)
	{
		char c = p[i];

		value = value * 16 + (uint32_t) (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return value;
}

/* Copy one escape; two \u that are halves of one character become one. */
static const char *
json_unescape(Output *out, const char *p, const char *end)
{
	static const char from[] = "bfnrt";
	static const char to[] = "\b\f\n\r\t";
	const char       *found = strchr(from, p[1]);
	uint32_t          c;

	if (p[1] != 'u')
	{
		out_code_point(out, (unsigned char) (found != NULL ? to[found - from] : p[1]));
		return p + 2;
	}
	c = hex4(p + 2);
	p += 6;
	if (c >= 0xd800 && c <= 0xdbff && end - p > 6 && p[0] == '\\' && p[1] == 'u')
	{
		uint32_t low = hex4(p + 2);

		if (low >= 0xdc00 && low <= 0xdfff)
		{
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			p += 6;
		}
	}
	out_code_point(out, c);
	return p;
}

/* Copy a string without quotes and escapes, or a number as it is written. */
static void
json_copy(Output *out, const char *p, const char *end)
{
	if (p == NULL || p == end || *p == '{' || *p == '[')
		return;
	if (*p != '"')
	{
		const char *stop = json_skip_value(p, end);

		while (p != stop && *p > ' ')
			p = out_copy(out, p, stop);
		return;
	}
	p++;
	while (p < end && *p != '"')
	{
		if (*p == '\\')
			p = json_unescape(out, p, end);
		else
			p = out_copy(out, p, end);
	}
}

/* ---- XML ---- */

/* Does the tag at 'p' (behind '<') have this name, whatever its prefix? */
static bool
xml_tag_is(const char *p, const char *end, const char *name)
{
	size_t      length = strlen(name);
	const char *colon = p;

	while (colon < end && colon - p < 64 && *colon > ' ' && *colon != ':' && *colon != '>' && *colon != '/')
		colon++;
	if (colon < end && *colon == ':')
		p = colon + 1;
	return (size_t) (end - p) > length && memcmp(p, name, length) == 0 &&
		   (p[length] == '>' || p[length] == '/' || p[length] <= ' ');
}

/* The root element, behind its '<', or NULL. */
static const char *
xml_root(const char *p, const char *end)
{
	for (;;)
	{
		p = json_space(p, end);
		if (end - p < 2 || *p != '<')
			return NULL;
		if (p[1] != '?' && p[1] != '!')
			return p + 1;
		p = memchr(p, '>', (size_t) (end - p));
		if (p == NULL)
			return NULL;
		p++;
	}
}

/* Copy one reference, or the '&' when it is none that we know. */
static const char *
xml_reference(Output *out, const char *p, const char *end)
{
	static const struct
	{
		const char *name;
		char        value;
	} known[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}};
	size_t left = (size_t) (end - p);
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		size_t length = strlen(known[i].name);

		if (left >= length && memcmp(p, known[i].name, length) == 0)
		{
			out_code_point(out, (unsigned char) known[i].value);
			return p + length;
		}
	}
	if (left > 3 && p[1] == '#')
	{
		bool        hex = p[2] == 'x';
		const char *first = p + (hex ? 3 : 2);
		const char *digit = first;
		uint32_t    c = 0;

		for (; digit < end && c <= 0x10ffff; digit++)
		{
			if (*digit >= '0' && *digit <= '9')
				c = c * (hex ? 16 : 10) + (uint32_t) (*digit - '0');
			else if (hex && (*digit | 0x20) >= 'a' && (*digit | 0x20) <= 'f')
				c = c * 16 + (uint32_t) ((*digit | 0x20) - 'a' + 10);
			else
				break;
		}
		if (digit > first && digit < end && *digit == ';')
		{
			out_code_point(out, c);
			return digit + 1;
		}
	}
	out_code_point(out, '&');
	return p + 1;
}

/* Copy the text of the first element of this name; false when there is none. */
static bool
xml_copy(Output *out, const char *p, const char *end, const char *name)
{
	while ((p = memchr(p, '<', (size_t) (end - p))) != NULL)
	{
		p++;
		if (!xml_tag_is(p, end, name))
			continue;
		p = memchr(p, '>', (size_t) (end - p));
		if (p == NULL)
			return false;
		if (p[-1] == '/')
			return true;
		p++;
		while (p < end && *p != '<')
		{
			if (*p == '&')
				p = xml_reference(out, p, end);
			else
				p = out_copy(out, p, end);
		}
		return true;
	}
	return false;
}

/* Is it the error element of OData: by its name and by its namespace? */
static bool
xml_error(const char *p, const char *end, Output *code, Output *message)
{
	static const char namespace[] = "dataservices/metadata";
	const char *close;

	p = xml_root(p, end);
	if (p == NULL || !xml_tag_is(p, end, "error"))
		return false;
	close = memchr(p, '>', (size_t) (end - p));
	if (close == NULL)
		return false;
	for (; close - p >= (ptrdiff_t) sizeof(namespace) - 1; p++)
	{
		if (memcmp(p, namespace, sizeof(namespace) - 1) == 0)
			return xml_copy(code, close, end, "code") &&
				   (xml_copy(message, close, end, "message"), true);
	}
	return false;
}

/* ---- both ---- */

bool
sd_odata_error(const char *buf, size_t len,
			   char *code, size_t code_size,
			   char *message, size_t message_size)
{
	const char *p = buf;
	const char *end = buf + len;
	const char *error;
	const char *text;
	Output      out_code;
	Output      out_message;

	out_begin(&out_code, code, code_size);
	out_begin(&out_message, message, message_size);

	p += sd_byte_order_mark(p, len);
	p = json_space(p, end);
	if (p == end)
		return false;
	if (*p == '<')
		return xml_error(p, end, &out_code, &out_message);
	if (*p != '{' || !sd_json_check(p, (size_t) (end - p), SD_JSON_MAX_DEPTH, NULL))
		return false;

	error = json_member(p, end, "odata.error");
	if (error == NULL || *error != '{')
		return false;
	json_copy(&out_code, json_member(error, end, "code"), end);
	text = json_member(error, end, "message");
	if (text != NULL && *text == '{')
		text = json_member(text, end, "value");
	json_copy(&out_message, text, end);
	return true;
}
