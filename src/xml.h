/*-------------------------------------------------------------------------
 *
 * xml.h
 *	  XML documents of any length, read as they arrive.
 *
 * Role: what the readers of $metadata (metadata.c) and of YML exports (yml.c)
 * share: expat with bounded memory, a short JSON text as output, why a document
 * is refused.  Pure C over expat: no PostgreSQL header; may be called from
 * callbacks of libraries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_XML_H
#define SD_XML_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Of all readers at work together, in bytes: names and nesting, not the text.
 * Bounds time, too: a tag without an end is read anew with each piece.
 */
#define SD_XML_MEMORY ((size_t) 4 * 1024 * 1024)

/* documents that can be read */
typedef enum SdXmlForm
{
	SD_XML_NONE,
	SD_XML_METADATA, /* $metadata of an OData service: metadata.h */
	SD_XML_YML       /* catalog of goods as SalesDrive exports it: yml.h */
} SdXmlForm;

typedef struct SdXml SdXml;

/* takes a piece of the JSON text; false: no more of it */
typedef bool (*SdXmlSink)(void *arg, const char *data, size_t len);

/* a reader of that form; NULL when there is no memory */
extern SdXml *sd_xml_create(SdXmlForm form, SdXmlSink sink, void *arg);
extern void   sd_xml_destroy(SdXml *reader);

/* false: there is a problem, and nothing more is read */
extern bool sd_xml_feed(SdXml *reader, const char *data, size_t len);

/* the document is complete; false: there is a problem */
extern bool sd_xml_end(SdXml *reader);

/* why it is no such document, as a sentence part; NULL when nothing is wrong */
extern const char *sd_xml_problem(const SdXml *reader);

#endif /* SD_XML_H */
