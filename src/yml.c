/*-------------------------------------------------------------------------
 *
 * yml.c
 *	  The YML export of SalesDrive: the form of it that is kept.
 *
 * Role: see yml.h.  A form of xml.c.
 *
 * Invariants: a document type must be yml_catalog, with no declarations of its
 * own.  Text that says it is windows-1251 and reads as UTF-8 in all its bytes
 * is refused, for its letters would come out wrong.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "xml_reader.h"
#include "yml.h"

#define OFFER_DEPTH 4 /* yml_catalog, shop, offers, offer */

typedef struct Yml
{
	int  depth;
	bool in_list;    /* within categories or offers, which lie in shop */
	bool in_row;     /* within a category or an offer */
	bool is_offer;   /* the row is one */
	bool collecting; /* the element at hand is kept */
	char member[SD_YML_TEXT + 8];
	char text[SD_YML_TEXT + 1];
	int  text_len;
	/* how the document is written */
	bool says_1251;
	bool not_ascii;
	bool not_utf8;
	int  expected; /* bytes of a letter of UTF-8 that are to follow */
} Yml;

/* children of an offer that are kept as they are called */
static const char *const kept[] = {"name", "model", "vendorCode", "article", "sku", "categoryId", "price", "currencyId",
								   "quantity", "quantity_in_stock", "stock_quantity", NULL};

/* 0x80 to 0xBF; what follows are the letters from А on */
static const int windows_1251[64] = {
	0x402, 0x403, 0x201A, 0x453, 0x201E, 0x2026, 0x2020, 0x2021, 0x20AC, 0x2030, 0x409, 0x2039, 0x40A, 0x40C, 0x40B, 0x40F,
	0x452, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, -1, 0x2122, 0x459, 0x203A, 0x45A, 0x45C, 0x45B, 0x45F,
	0xA0, 0x40E, 0x45E, 0x408, 0xA4, 0x490, 0xA6, 0xA7, 0x401, 0xA9, 0x404, 0xAB, 0xAC, 0xAD, 0xAE, 0x407,
	0xB0, 0xB1, 0x406, 0x456, 0x491, 0xB5, 0xB6, 0xB7, 0x451, 0x2116, 0x454, 0xBB, 0x458, 0x405, 0x455, 0x457};

static int XMLCALL
on_encoding(void *arg, const XML_Char *name, XML_Encoding *info)
{
	Yml *own = arg;

	if (strcasecmp(name, "windows-1251") != 0 && strcasecmp(name, "cp1251") != 0)
		return XML_STATUS_ERROR;
	own->says_1251 = true;
	for (int i = 0; i < 256; i++)
		info->map[i] = i < 0x80 ? i : i < 0xC0 ? windows_1251[i - 0x80] :
												 0x410 + (i - 0xC0);
	info->data = NULL;
	info->convert = NULL;
	info->release = NULL;
	return XML_STATUS_OK;
}

/* whether all of it could be UTF-8 */
static void
examine(SdXml *reader, const char *data, size_t len)
{
	Yml *own = reader->own;

	for (size_t i = 0; i < len && !own->not_utf8; i++)
	{
		unsigned char byte = (unsigned char) data[i];

		if (byte >= 0x80)
			own->not_ascii = true;
		if (own->expected > 0)
		{
			own->not_utf8 = (byte & 0xC0) != 0x80;
			own->expected--;
		}
		else if (byte >= 0x80)
		{
			own->expected = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 :
															  1;
			own->not_utf8 = byte < 0xC2 || byte > 0xF4;
		}
	}
}

static void
conclude(SdXml *reader)
{
	Yml *own = reader->own;

	if (own->says_1251 && own->not_ascii && !own->not_utf8 && own->expected == 0)
		snprintf(reader->problem, sizeof(reader->problem),
				 "the export says that it is written in windows-1251, and it is in UTF-8");
}

static void XMLCALL
on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id, const XML_Char *public_id, int has_subset)
{
	(void) system_id;
	(void) public_id;
	if (strcmp(name, "yml_catalog") != 0)
		sd_xml_refuse(arg, "the answer is not a YML export: it declares the document type \"%.60s\"", name);
	else if (has_subset)
		sd_xml_refuse(arg, "the export declares a document type with entities of its own", name);
}

/* how much of a text fits into so many bytes: a letter that does not fit whole is left out */
static int
fitting(const char *text, int len, int room)
{
	if (len <= room)
		return len;
	while (room > 0 && ((unsigned char) text[room] & 0xC0) == 0x80)
		room--;
	return room;
}

static void
collect(Yml *own, const char *prefix, const char *name)
{
	size_t len = strlen(name);

	own->collecting = true;
	own->text_len = 0;
	snprintf(own->member, sizeof(own->member), "%s%.*s", prefix,
			 fitting(name, len > SD_YML_TEXT ? SD_YML_TEXT + 1 : (int) len, SD_YML_TEXT), name);
}

static void
put_member(SdXml *reader, const char *name, const char *value)
{
	sd_xml_begin_member(reader);
	sd_xml_put_string(reader, name);
	sd_xml_put(reader, ":");
	sd_xml_put_string(reader, value);
}

static void
begin_entry(SdXml *reader, bool is_offer, const XML_Char **attributes)
{
	Yml        *own = reader->own;
	const char *id = sd_xml_attribute(attributes, "id");
	const char *further = sd_xml_attribute(attributes, is_offer ? "available" : "parentId");

	if (id == NULL)
		return;
	own->in_row = true;
	own->is_offer = is_offer;
	sd_xml_begin_row(reader, is_offer ? "offer" : "category", id);
	sd_xml_put(reader, "{");
	if (further != NULL)
		put_member(reader, is_offer ? "available" : "parentId", further);
	if (!is_offer)
		collect(own, "", "name");
}

static void
begin_child(SdXml *reader, const char *local, const XML_Char **attributes)
{
	Yml        *own = reader->own;
	const char *name = sd_xml_attribute(attributes, "name");

	if (strcmp(local, "param") == 0 && name != NULL)
		collect(own, "param ", name);
	for (int i = 0; kept[i] != NULL; i++)
		if (strcmp(local, kept[i]) == 0)
			collect(own, "", local);
}

static void XMLCALL
on_start(void *arg, const XML_Char *element, const XML_Char **attributes)
{
	SdXml      *reader = arg;
	Yml        *own = reader->own;
	const char *local = sd_xml_local(element);

	own->depth++;
	if (own->depth == 1)
	{
		if (strcmp(local, "yml_catalog") != 0)
			sd_xml_refuse(reader, "the answer is not a YML export: its root element is \"%.60s\"", local);
		sd_xml_put(reader, "{\"data\":[");
	}
	else if (own->depth == OFFER_DEPTH - 1)
		own->in_list = strcmp(local, "categories") == 0 || strcmp(local, "offers") == 0;
	else if (own->depth == OFFER_DEPTH && own->in_list && strcmp(local, "category") == 0)
		begin_entry(reader, false, attributes);
	else if (own->depth == OFFER_DEPTH && own->in_list && strcmp(local, "offer") == 0)
		begin_entry(reader, true, attributes);
	else if (own->depth == OFFER_DEPTH + 1 && own->in_row && own->is_offer)
		begin_child(reader, local, attributes);
}

/* once something did not fit, all that follows is left out */
static void XMLCALL
on_text(void *arg, const XML_Char *text, int len)
{
	SdXml *reader = arg;
	Yml   *own = reader->own;
	int    room = SD_YML_TEXT - own->text_len;
	int    taken;

	if (!own->collecting || room <= 0)
		return;
	taken = fitting(text, len, room);
	memcpy(own->text + own->text_len, text, (size_t) taken);
	own->text[own->text_len + taken] = '\0';
	own->text_len = taken < len ? SD_YML_TEXT : own->text_len + taken;
}

static void XMLCALL
on_end(void *arg, const XML_Char *element)
{
	SdXml *reader = arg;
	Yml   *own = reader->own;

	(void) element;
	if (own->collecting && own->depth == (own->is_offer ? OFFER_DEPTH + 1 : OFFER_DEPTH))
	{
		if (own->text_len > 0)
			put_member(reader, own->member, own->text);
		own->collecting = false;
	}
	if (own->in_row && own->depth == OFFER_DEPTH)
	{
		sd_xml_put(reader, "}]");
		own->in_row = false;
	}
	if (--own->depth == 0)
		sd_xml_put(reader, "]}");
}

bool
sd_yml_form(SdXml *reader)
{
	reader->what = "a YML export";
	reader->examine = examine;
	reader->conclude = conclude;
	reader->own = calloc(1, sizeof(Yml));
	XML_SetElementHandler(reader->parser, on_start, on_end);
	XML_SetCharacterDataHandler(reader->parser, on_text);
	XML_SetStartDoctypeDeclHandler(reader->parser, on_doctype);
	XML_SetUnknownEncodingHandler(reader->parser, on_encoding, reader->own);
	return reader->own != NULL;
}
