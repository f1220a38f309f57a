/*
 * targets.h
 *	  What must hold for any input of the parsers.  One function a parser, used
 *	  by the fuzzers here and, with a seeded generator, by the unit tests.  Each
 *	  ends the program when something does not hold.
 */
#ifndef SD_FUZZ_TARGETS_H
#define SD_FUZZ_TARGETS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "phone.h"
#include "wire.h"
#include "xml.h"

#define MUST(condition)                                                                    \
	do                                                                                     \
	{                                                                                      \
		if (!(condition))                                                                  \
		{                                                                                  \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                       \
		}                                                                                  \
	} while (0)

static void
must_be_utf8(const char *text, size_t len)
{
	while (len > 0)
	{
		int n = sd_utf8_length(text, len);

		MUST(n >= 1 && n <= 4 && (size_t) n <= len);
		text += n;
		len -= (size_t) n;
	}
}

/* mended, good JSON is good JSON with nothing left to mend */
static void
mended_json(const char *data, size_t len)
{
	char *copy = malloc(len);
	int   count;

	memcpy(copy, data, len);
	count = sd_json_mend(copy, len);
	MUST((count > 0) == (memcmp(copy, data, len) != 0));
	MUST(sd_json_mend(copy, len) == 0 && sd_json_check(copy, len, SD_JSON_MAX_DEPTH, NULL));
	free(copy);
}

static void
target_json(const char *data, size_t len)
{
	SdJsonError err;
	char        sentence[160];

	if (sd_json_check(data, len, SD_JSON_MAX_DEPTH, &err))
	{
		must_be_utf8(data, len);
		MUST(memchr(data, '\0', len) == NULL);
		mended_json(data, len);
		return;
	}
	MUST(err.offset <= len && err.line >= 1 && err.column >= 1 && err.message != NULL);
	MUST((size_t) err.line <= err.offset + 1 && (size_t) err.column <= err.offset + 1);
	MUST(sd_json_error_text(&err, sentence, sizeof(sentence)) < (int) sizeof(sentence));

	/* cut where the error was found, it has no earlier one */
	if (err.offset > 0)
	{
		SdJsonError prefix;

		if (!sd_json_check(data, err.offset, SD_JSON_MAX_DEPTH, &prefix))
			MUST(prefix.offset <= err.offset);
	}
}

static void
target_odata(const char *data, size_t len)
{
	char code[8];
	char message[24];
	char code2[8];
	char tiny[1];

	memset(code, 'x', sizeof(code));
	memset(message, 'x', sizeof(message));
	if (sd_odata_error(data, len, code, sizeof(code), message, sizeof(message)))
		MUST(sd_odata_error(data, len, code2, sizeof(code2), tiny, sizeof(tiny)) && strcmp(code, code2) == 0 &&
			 tiny[0] == '\0');
	else
		MUST(code[0] == '\0' && message[0] == '\0');
	MUST(memchr(code, '\0', sizeof(code)) != NULL && memchr(message, '\0', sizeof(message)) != NULL);
	must_be_utf8(code, strlen(code));
	must_be_utf8(message, strlen(message));
}

typedef struct Kept
{
	char   data[8192];
	size_t len;
} Kept;

static bool
keep(void *arg, const char *data, size_t len)
{
	Kept *kept = arg;

	if (len > sizeof(kept->data) - kept->len)
		return false;
	memcpy(kept->data + kept->len, data, len);
	kept->len += len;
	return true;
}

/* a good document gives good JSON; in one piece and byte by byte it is the same */
static void
xml_document(SdXmlForm form, const char *data, size_t len)
{
	Kept   kept[2];
	bool   good[2];
	int    i;
	size_t at;

	for (i = 0; i < 2; i++)
	{
		SdXml *reader = sd_xml_create(form, keep, &kept[i]);

		MUST(reader != NULL);
		kept[i].len = 0;
		for (at = 0; i == 1 && at < len; at++)
			sd_xml_feed(reader, data + at, 1);
		if (i == 0)
			sd_xml_feed(reader, data, len);
		good[i] = sd_xml_end(reader);
		MUST(good[i] == (sd_xml_problem(reader) == NULL));
		sd_xml_destroy(reader);
	}
	MUST(good[0] == good[1]);
	if (!good[0])
		return;
	MUST(kept[0].len == kept[1].len && memcmp(kept[0].data, kept[1].data, kept[0].len) == 0);
	MUST(sd_json_check(kept[0].data, kept[0].len, SD_JSON_MAX_DEPTH, NULL));
}

static void
target_metadata(const char *data, size_t len)
{
	xml_document(SD_XML_METADATA, data, len);
}

static void
target_yml(const char *data, size_t len)
{
	xml_document(SD_XML_YML, data, len);
}

static void
target_phone(const char *data, size_t len)
{
	char out[SD_PHONE_MAX + 1];
	char again[SD_PHONE_MAX + 1];
	char plus[SD_PHONE_MAX + 2];
	int  n = sd_phone_e164(data, len, out);

	MUST(n == (int) strlen(out));
	MUST(n == 0 || (n >= 8 && n <= SD_PHONE_MAX));
	MUST(strspn(out, "0123456789") == (size_t) n);
	if (n == 0)
		return;
	MUST(out[0] != '0');
	MUST(strncmp(out, "380", 3) != 0 || n == 12);

	plus[0] = '+';
	memcpy(plus + 1, out, (size_t) n + 1);
	MUST(sd_phone_e164(plus, (size_t) n + 1, again) == n && strcmp(out, again) == 0);
	if (n >= 11)
		MUST(sd_phone_e164(out, (size_t) n, again) == n && strcmp(out, again) == 0);
}

static void
target_retry_after(const char *data, size_t len)
{
	char value[65];
	int  seconds;

	if (len > sizeof(value) - 1)
		len = sizeof(value) - 1;
	memcpy(value, data, len);
	value[len] = '\0';
	seconds = sd_retry_after(value, 1700000000);
	MUST(seconds >= -1 && seconds <= SD_RETRY_AFTER_MAX);
}

static void
target_url_encode(const char *data, size_t len)
{
	char  *out = malloc(3 * len + 1);
	size_t n = sd_url_encode(data, len, out);
	size_t i;
	size_t at = 0;

	MUST(n >= len && n <= 3 * len);
	for (i = 0; i < n; i++)
	{
		char c = out[i];

		if (c == '%')
		{
			char hex[3] = {out[i + 1], out[i + 2], '\0'};

			c = (char) strtol(hex, NULL, 16);
			i += 2;
		}
		MUST(at < len && data[at] == c); /* decoded, it is what it was */
		at++;
	}
	MUST(at == len);
	free(out);
}

static void
target_equal(const char *data, size_t len)
{
	size_t half = len / 2;

	MUST(sd_equal_ct(data, len, data, len));
	MUST(sd_equal_ct(data, half, data + half, len - half) ==
		 (half == len - half && memcmp(data, data + half, half) == 0));
}

#endif /* SD_FUZZ_TARGETS_H */
