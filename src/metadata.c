/*-------------------------------------------------------------------------
 *
 * metadata.c
 *	  $metadata of an OData service: the form of it that is kept.
 *
 * Role: see metadata.h.  A form of xml.c.
 *
 * Invariant: a document with a DOCTYPE is refused before anything of it is
 * read.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "metadata.h"
#include "xml_reader.h"

/* what the elements at hand belong to */
typedef enum Inside
{
	IN_NOTHING,
	IN_TYPE,
	IN_ENUM,
	IN_FUNCTION
} Inside;

typedef struct Metadata
{
	Inside inside;
	int    depth;
	int    inside_depth; /* of the element that 'inside' speaks of */
} Metadata;

/* ---- callbacks of expat ---- */

static bool
ends_with(const char *text, const char *end)
{
	size_t len = strlen(text);
	size_t end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void XMLCALL
on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id, const XML_Char *public_id, int has_subset)
{
	(void) system_id;
	(void) public_id;
	(void) has_subset;
	sd_xml_refuse(arg, "the answer is not $metadata: it declares the document type \"%.60s\"", name);
}

static void
put_property(SdXml *reader, const XML_Char **attributes)
{
	const char *name = sd_xml_attribute(attributes, "Name");
	const char *type = sd_xml_attribute(attributes, "Type");
	const char *length = sd_xml_attribute(attributes, "MaxLength");

	if (name == NULL || type == NULL)
		return;
	sd_xml_begin_member(reader);
	sd_xml_put_string(reader, name);
	sd_xml_put(reader, ":");
	if (length != NULL && strlen(length) <= 9 && strspn(length, "0123456789") == strlen(length) && length[0] > '0')
	{
		sd_xml_put(reader, "[");
		sd_xml_put_string(reader, type);
		sd_xml_put(reader, ",");
		sd_xml_put(reader, length);
		sd_xml_put(reader, "]");
	}
	else
		sd_xml_put_string(reader, type);
}

static void
begin_inside(SdXml *reader, Inside inside, const char *kind, const XML_Char **attributes, const char *open)
{
	Metadata   *own = reader->own;
	const char *name = sd_xml_attribute(attributes, "Name");

	if (name == NULL)
		return;
	own->inside = inside;
	own->inside_depth = own->depth;
	sd_xml_begin_row(reader, kind, name);
	sd_xml_put(reader, open);
}

static void
put_set(SdXml *reader, const XML_Char **attributes)
{
	const char *name = sd_xml_attribute(attributes, "Name");
	const char *type = sd_xml_attribute(attributes, "EntityType");
	const char *local = type == NULL ? NULL : strrchr(type, '.');

	if (name == NULL || type == NULL)
		return;
	sd_xml_begin_row(reader, "set", name);
	sd_xml_put_string(reader, local == NULL ? type : local + 1);
	sd_xml_put(reader, "]");
}

static void XMLCALL
on_start(void *arg, const XML_Char *element, const XML_Char **attributes)
{
	SdXml      *reader = arg;
	Metadata   *own = reader->own;
	const char *local = sd_xml_local(element);
	const char *name = sd_xml_attribute(attributes, "Name");

	own->depth++;
	if (own->depth == 1)
	{
		if (strcmp(local, "Edmx") != 0)
			sd_xml_refuse(reader, "the answer is not $metadata: its root element is \"%.60s\"", local);
		sd_xml_put(reader, "{\"value\":[");
	}
	else if (own->inside == IN_TYPE && strcmp(local, "Property") == 0)
		put_property(reader, attributes);
	else if (own->inside == IN_FUNCTION && strcmp(local, "Parameter") == 0)
		put_property(reader, attributes);
	else if (own->inside == IN_ENUM && strcmp(local, "Member") == 0 && name != NULL)
	{
		sd_xml_begin_member(reader);
		sd_xml_put_string(reader, name);
	}
	else if (own->inside != IN_NOTHING)
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
	SdXml    *reader = arg;
	Metadata *own = reader->own;

	(void) element;
	if (own->inside != IN_NOTHING && own->depth == own->inside_depth)
	{
		sd_xml_put(reader, own->inside == IN_ENUM ? "]]" : "}]");
		own->inside = IN_NOTHING;
	}
	if (--own->depth == 0)
		sd_xml_put(reader, "]}");
}

bool
sd_metadata_form(SdXml *reader)
{
	reader->what = "$metadata";
	reader->own = calloc(1, sizeof(Metadata));
	XML_SetElementHandler(reader->parser, on_start, on_end);
	XML_SetStartDoctypeDeclHandler(reader->parser, on_doctype);
	return reader->own != NULL;
}
