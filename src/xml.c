/*-------------------------------------------------------------------------
 *
 * xml.c
 *	  XML documents of any length, read as they arrive.
 *
 * Role: see xml.h.  Called by arrival.c; the forms are metadata.c and yml.c.
 *
 * Invariants: what expat asks for comes from an allocator that counts, so that
 * no document, be it one endless tag, makes the process grow.  Entities are
 * never expanded: a document type with declarations of its own is refused
 * before anything of it is read, and web pages show themselves by theirs.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "xml_reader.h"

#define MAX_PIECE (1 << 20) /* expat counts in int */

/* ---- memory of expat ---- */

typedef union Block
{
	size_t      size;
	long double align_float;
	void       *align_pointer;
} Block;

static size_t allocated;

static void *
bounded_realloc(void *old, size_t size)
{
	Block *block = old == NULL ? NULL : (Block *) old - 1;
	Block *moved;
	size_t before = block == NULL ? 0 : block->size;

	if (size > SD_XML_MEMORY || allocated - before + size > SD_XML_MEMORY)
		return NULL;
	moved = realloc(block, sizeof(Block) + size);
	if (moved == NULL)
		return NULL;
	allocated = allocated - before + size;
	moved->size = size;
	return moved + 1;
}

static void *
bounded_malloc(size_t size)
{
	return bounded_realloc(NULL, size);
}

static void
bounded_free(void *old)
{
	Block *block;

	if (old == NULL)
		return;
	block = (Block *) old - 1;
	allocated -= block->size;
	free(block);
}

/* ---- writing ---- */

static void
put(SdXml *reader, const char *data, size_t len)
{
	if (reader->full || reader->problem[0] != '\0')
		return;
	if (!reader->sink(reader->arg, data, len))
	{
		reader->full = true;
		XML_StopParser(reader->parser, XML_FALSE);
	}
}

void
sd_xml_put(SdXml *reader, const char *text)
{
	put(reader, text, strlen(text));
}

void
sd_xml_put_string(SdXml *reader, const char *text)
{
	const char *run = text;

	put(reader, "\"", 1);
	for (; *text != '\0'; text++)
	{
		char escape[8];

		if (*text != '"' && *text != '\\' && (unsigned char) *text >= ' ')
			continue;
		put(reader, run, (size_t) (text - run));
		snprintf(escape, sizeof(escape), "\\u%04x", (unsigned) (unsigned char) *text);
		sd_xml_put(reader, escape);
		run = text + 1;
	}
	put(reader, run, (size_t) (text - run));
	put(reader, "\"", 1);
}

void
sd_xml_begin_row(SdXml *reader, const char *kind, const char *name)
{
	sd_xml_put(reader, reader->any_row ? ",\n[\"" : "\n[\"");
	sd_xml_put(reader, kind);
	sd_xml_put(reader, "\",");
	sd_xml_put_string(reader, name);
	sd_xml_put(reader, ",");
	reader->any_row = true;
	reader->any_member = false;
}

void
sd_xml_begin_member(SdXml *reader)
{
	if (reader->any_member)
		sd_xml_put(reader, ",");
	reader->any_member = true;
}

/* ---- for the forms ---- */

const char *
sd_xml_attribute(const XML_Char **attributes, const char *name)
{
	for (; attributes[0] != NULL; attributes += 2)
		if (strcmp(attributes[0], name) == 0)
			return attributes[1];
	return NULL;
}

const char *
sd_xml_local(const XML_Char *element)
{
	const char *colon = strrchr(element, ':');

	return colon == NULL ? element : colon + 1;
}

void
sd_xml_refuse(SdXml *reader, const char *problem, const char *name)
{
	if (reader->problem[0] == '\0')
	{
		if (strcasecmp(name, "html") == 0)
			snprintf(reader->problem, sizeof(reader->problem), "the answer is a web page (HTML), not %s", reader->what);
		else
			snprintf(reader->problem, sizeof(reader->problem), problem, name);
	}
	XML_StopParser(reader->parser, XML_FALSE);
}

/* ---- life of a reader ---- */

SdXml *
sd_xml_create(SdXmlForm form, SdXmlSink sink, void *arg)
{
	static const XML_Memory_Handling_Suite memory = {bounded_malloc, bounded_realloc, bounded_free};
	SdXml                                 *reader = calloc(1, sizeof(SdXml));

	if (reader == NULL)
		return NULL;
	reader->sink = sink;
	reader->arg = arg;
	reader->parser = XML_ParserCreate_MM(NULL, &memory, NULL);
	if (reader->parser != NULL)
		XML_SetUserData(reader->parser, reader);
	if (reader->parser == NULL || !(form == SD_XML_YML ? sd_yml_form(reader) : sd_metadata_form(reader)))
	{
		sd_xml_destroy(reader);
		return NULL;
	}
	return reader;
}

void
sd_xml_destroy(SdXml *reader)
{
	if (reader == NULL)
		return;
	if (reader->parser != NULL)
		XML_ParserFree(reader->parser);
	free(reader->own);
	free(reader);
}

static bool
parse(SdXml *reader, const char *data, size_t len, bool last)
{
	enum XML_Error error;

	if (reader->problem[0] != '\0')
		return false;
	if (XML_Parse(reader->parser, data, (int) len, last) == XML_STATUS_OK)
		return true;
	error = XML_GetErrorCode(reader->parser);
	if (reader->full)
		snprintf(reader->problem, sizeof(reader->problem), "there is no room for all that %s says", reader->what);
	else if (error == XML_ERROR_NO_MEMORY)
		snprintf(reader->problem, sizeof(reader->problem),
				 "%s needs more memory than is allowed: a name or a tag has no end", reader->what);
	else if (reader->problem[0] == '\0')
		snprintf(reader->problem, sizeof(reader->problem), "the answer is not %s: %s at line %lu, column %lu",
				 reader->what, XML_ErrorString(error), (unsigned long) XML_GetCurrentLineNumber64(reader->parser),
				 (unsigned long) XML_GetCurrentColumnNumber64(reader->parser) + 1);
	return false;
}

bool
sd_xml_feed(SdXml *reader, const char *data, size_t len)
{
	while (len > 0)
	{
		size_t piece = len < MAX_PIECE ? len : MAX_PIECE;

		if (reader->examine != NULL)
			reader->examine(reader, data, piece);
		if (!parse(reader, data, piece, false))
			return false;
		data += piece;
		len -= piece;
	}
	return reader->problem[0] == '\0';
}

bool
sd_xml_end(SdXml *reader)
{
	if (reader->ended)
		return reader->problem[0] == '\0';
	reader->ended = true;
	if (parse(reader, "", 0, true) && reader->conclude != NULL)
		reader->conclude(reader);
	return reader->problem[0] == '\0';
}

const char *
sd_xml_problem(const SdXml *reader)
{
	return reader->problem[0] == '\0' ? NULL : reader->problem;
}
