/*
 * xml_kept.h
 *	  What a reader of xml.h keeps of a document, as one text.  Included once by a
 *	  test program, after tap.h.
 */
#ifndef SD_XML_KEPT_H
#define SD_XML_KEPT_H

#include <stdint.h>
#include <stdlib.h>

#include "xml.h"

typedef struct Text
{
	char  *data;
	size_t len;
	size_t most; /* takes no more than this */
} Text;

static bool
take(void *arg, const char *data, size_t len)
{
	Text *text = arg;

	if (text->len + len > text->most)
		return false;
	text->data = realloc(text->data, text->len + len + 1);
	memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
	return true;
}

/*
 * What is kept of the document, fed in pieces of this size, each in memory of
 * its own so that reading past its end is seen; or "! problem".
 */
static char *
kept_of(SdXmlForm form, const char *document, size_t len, size_t piece, size_t most)
{
	Text   text = {NULL, 0, most};
	SdXml *reader = sd_xml_create(form, take, &text);
	size_t at;
	bool   fine = true;

	take(&text, "", 0);
	for (at = 0; at < len && fine; at += piece)
	{
		size_t part = len - at < piece ? len - at : piece;
		char  *exact = malloc(part);

		memcpy(exact, document + at, part);
		fine = sd_xml_feed(reader, exact, part);
		free(exact);
	}
	fine = sd_xml_end(reader) && fine;
	if (fine != (sd_xml_problem(reader) == NULL))
		ok(false, "a problem is told when, and only when, there is one");
	if (!fine)
	{
		text.data = realloc(text.data, 512);
		snprintf(text.data, 512, "! %s", sd_xml_problem(reader));
	}
	sd_xml_destroy(reader);
	return text.data;
}

#endif
