/*-------------------------------------------------------------------------
 *
 * metadata.c
 *	  $metadata of an OData service, read as it arrives.
 *
 * Role: see metadata.h.  Called by client.c only.
 *
 * Invariants: what expat asks for comes from an allocator that counts, so that
 * no document, be it one endless tag, makes the process grow.  A document with
 * a DOCTYPE is refused before anything of it is read: entities are never
 * expanded, and web pages show themselves.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <expat.h>

#include "metadata.h"

#define MAX_PIECE (1 << 20) /* expat counts in int */

/* what the elements at hand belong to */
typedef enum Inside
{
	IN_NOTHING,
	IN_TYPE,
	IN_ENUM,
	IN_FUNCTION
} Inside;

struct SdMetadata
{
	XML_Parser     parser;
	SdMetadataSink sink;
	void          *arg;
	Inside         inside;
	int            depth;
	int            inside_depth; /* of the element that 'inside' speaks of */
	bool           any_row;
	bool           any_member; /* of the row at hand */
	bool           full;       /* the sink took no more */
	bool           ended;
	char           problem[256];
};

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

	if (size > SD_METADATA_MEMORY || allocated - before + size > SD_METADATA_MEMORY)
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
put(SdMetadata *reader, const char *data, size_t len)
{
	if (reader->full || reader->problem[0] != '\0')
		return;
	if (!reader->sink(reader->arg, data, len))
	{
		reader->full = true;
		XML_StopParser(reader->parser, XML_FALSE);
	}
}

static void
put_text(SdMetadata *reader, const char *text)
{
	put(reader, text, strlen(text));
}

static void
put_string(SdMetadata *reader, const char *text)
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
		put_text(reader, escape);
		run = text + 1;
	}
	put(reader, run, (size_t) (text - run));
	put(reader, "\"", 1);
}

static void
begin_row(SdMetadata *reader, const char *kind, const char *name)
{
	put_text(reader, reader->any_row ? ",\n[\"" : "\n[\"");
	put_text(reader, kind);
	put_text(reader, "\",");
	put_string(reader, name);
	put_text(reader, ",");
	reader->any_row = true;
	reader->any_member = false;
}

static void
begin_member(SdMetadata *reader)
{
	if (reader->any_member)
		put_text(reader, ",");
	reader->any_member = true;
}

/* ---- reading: callbacks of expat ---- */

static const char *
attribute(const XML_Char **attributes, const char *name)
{
	for (; attributes[0] != NULL; attributes += 2)
		if (strcmp(attributes[0], name) == 0)
			return attributes[1];
	return NULL;
}

static bool
ends_with(const char *text, const char *end)
{
	size_t len = strlen(text);
	size_t end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void
refuse(SdMetadata *reader, const char *problem, const char *name)
{
	if (reader->problem[0] == '\0')
	{
		if (strcasecmp(name, "html") == 0)
			snprintf(reader->problem, sizeof(reader->problem), "the answer is a web page (HTML), not $metadata");
		else
			snprintf(reader->problem, sizeof(reader->problem), problem, name);
	}
	XML_StopParser(reader->parser, XML_FALSE);
}

static void XMLCALL
on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id, const XML_Char *public_id, int has_subset)
{
	(void) system_id;
	(void) public_id;
	(void) has_subset;
	refuse(arg, "the answer is not $metadata: it declares the document type \"%.60s\"", name);
}

static void
put_property(SdMetadata *reader, const XML_Char **attributes)
{
	const char *name = attribute(attributes, "Name");
	const char *type = attribute(attributes, "Type");
	const char *length = attribute(attributes, "MaxLength");

	if (name == NULL || type == NULL)
		return;
	begin_member(reader);
	put_string(reader, name);
	put_text(reader, ":");
	if (length != NULL && strlen(length) <= 9 && strspn(length, "0123456789") == strlen(length) && length[0] > '0')
	{
		put_text(reader, "[");
		put_string(reader, type);
		put_text(reader, ",");
		put_text(reader, length);
		put_text(reader, "]");
	}
	else
		put_string(reader, type);
}

static void
begin_inside(SdMetadata *reader, Inside inside, const char *kind, const XML_Char **attributes, const char *open)
{
	const char *name = attribute(attributes, "Name");

	if (name == NULL)
		return;
	reader->inside = inside;
	reader->inside_depth = reader->depth;
	begin_row(reader, kind, name);
	put_text(reader, open);
}

static void
put_set(SdMetadata *reader, const XML_Char **attributes)
{
	const char *name = attribute(attributes, "Name");
	const char *type = attribute(attributes, "EntityType");
	const char *local = type == NULL ? NULL : strrchr(type, '.');

	if (name == NULL || type == NULL)
		return;
	begin_row(reader, "set", name);
	put_string(reader, local == NULL ? type : local + 1);
	put_text(reader, "]");
}

static void XMLCALL
on_start(void *arg, const XML_Char *element, const XML_Char **attributes)
{
	SdMetadata *reader = arg;
	const char *colon = strrchr(element, ':');
	const char *local = colon == NULL ? element : colon + 1;
	const char *name = attribute(attributes, "Name");

	reader->depth++;
	if (reader->depth == 1)
	{
		if (strcmp(local, "Edmx") != 0)
			refuse(reader, "the answer is not $metadata: its root element is \"%.60s\"", local);
		put_text(reader, "{\"value\":[");
	}
	else if (reader->inside == IN_TYPE && strcmp(local, "Property") == 0)
		put_property(reader, attributes);
	else if (reader->inside == IN_FUNCTION && strcmp(local, "Parameter") == 0)
		put_property(reader, attributes);
	else if (reader->inside == IN_ENUM && strcmp(local, "Member") == 0 && name != NULL)
	{
		begin_member(reader);
		put_string(reader, name);
	}
	else if (reader->inside != IN_NOTHING)
		return;
	else if (strcmp(local, "EntityType") == 0 ||
			 (strcmp(local, "ComplexType") == 0 && name != NULL && !ends_with(name, "_RowType")))
		begin_inside(reader, IN_TYPE, "type", attributes, "{");
	else if (strcmp(local, "EnumType") == 0)
		begin_inside(reader, IN_ENUM, "enum", attributes, "[");
	else if (strcmp(local, "FunctionImport") == 0)
		begin_inside(reader, IN_FUNCTION, "function", attributes, "{");
	else if (strcmp(local, "EntitySet") == 0)
		put_set(reader, attributes);
}

static void XMLCALL
on_end(void *arg, const XML_Char *element)
{
	SdMetadata *reader = arg;

	(void) element;
	if (reader->inside != IN_NOTHING && reader->depth == reader->inside_depth)
	{
		put_text(reader, reader->inside == IN_ENUM ? "]]" : "}]");
		reader->inside = IN_NOTHING;
	}
	if (--reader->depth == 0)
		put_text(reader, "]}");
}

/* ---- life of a reader ---- */

SdMetadata *
sd_metadata_create(SdMetadataSink sink, void *arg)
{
	static const XML_Memory_Handling_Suite memory = {bounded_malloc, bounded_realloc, bounded_free};
	SdMetadata                            *reader = calloc(1, sizeof(SdMetadata));

	if (reader == NULL)
		return NULL;
	reader->sink = sink;
	reader->arg = arg;
	reader->parser = XML_ParserCreate_MM(NULL, &memory, NULL);
	if (reader->parser == NULL)
	{
		free(reader);
		return NULL;
	}
	XML_SetUserData(reader->parser, reader);
	XML_SetElementHandler(reader->parser, on_start, on_end);
	XML_SetStartDoctypeDeclHandler(reader->parser, on_doctype);
	return reader;
}

void
sd_metadata_destroy(SdMetadata *reader)
{
	if (reader == NULL)
		return;
	XML_ParserFree(reader->parser);
	free(reader);
}

static bool
parse(SdMetadata *reader, const char *data, size_t len, bool last)
{
	enum XML_Error error;

	if (reader->problem[0] != '\0')
		return false;
	if (XML_Parse(reader->parser, data, (int) len, last) == XML_STATUS_OK)
		return true;
	error = XML_GetErrorCode(reader->parser);
	if (reader->full)
		snprintf(reader->problem, sizeof(reader->problem), "there is no room for all that $metadata says");
	else if (error == XML_ERROR_NO_MEMORY)
		snprintf(reader->problem, sizeof(reader->problem),
				 "$metadata needs more memory than is allowed: a name or a tag has no end");
	else if (reader->problem[0] == '\0')
		snprintf(reader->problem, sizeof(reader->problem), "the answer is not $metadata: %s at line %lu, column %lu",
				 XML_ErrorString(error), (unsigned long) XML_GetCurrentLineNumber(reader->parser),
				 (unsigned long) XML_GetCurrentColumnNumber(reader->parser) + 1);
	return false;
}

bool
sd_metadata_feed(SdMetadata *reader, const char *data, size_t len)
{
	while (len > 0)
	{
		size_t piece = len < MAX_PIECE ? len : MAX_PIECE;

		if (!parse(reader, data, piece, false))
			return false;
		data += piece;
		len -= piece;
	}
	return reader->problem[0] == '\0';
}

bool
sd_metadata_end(SdMetadata *reader)
{
	if (reader->ended)
		return reader->problem[0] == '\0';
	reader->ended = true;
	return parse(reader, "", 0, true);
}

const char *
sd_metadata_problem(const SdMetadata *reader)
{
	return reader->problem[0] == '\0' ? NULL : reader->problem;
}
