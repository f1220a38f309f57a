/*-------------------------------------------------------------------------
 *
 * xml_reader.h
 *	  What xml.c and the forms it reads (metadata.c, yml.c) know of each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_XML_READER_H
#define SD_XML_READER_H

#include <expat.h>

#include "xml.h"

/* Where a parser stands has had names of its own for 64 bits since expat 2.9, and the old ones are deprecated. */
#if XML_MAJOR_VERSION * 100 + XML_MINOR_VERSION < 209
#define XML_GetCurrentLineNumber64(parser)   XML_GetCurrentLineNumber(parser)
#define XML_GetCurrentColumnNumber64(parser) XML_GetCurrentColumnNumber(parser)
#endif

struct SdXml
{
	XML_Parser  parser;
	const char *what; /* the document that is meant */
	SdXmlSink   sink;
	void       *arg;
	void       *own; /* of the form; freed with the reader */
	bool        any_row;
	bool        any_member; /* of the row at hand */
	bool        full;       /* the sink took no more */
	bool        ended;
	/* looks at the bytes as they came, before expat does; may be NULL */
	void (*examine)(SdXml *reader, const char *data, size_t len);
	/* looks at the whole once it is complete; may be NULL */
	void (*conclude)(SdXml *reader);
	char problem[256];
};

/* a form: sets handlers, and takes its own memory; false when there is none */
extern bool sd_metadata_form(SdXml *reader);
extern bool sd_yml_form(SdXml *reader);

/* writing */
extern void sd_xml_put(SdXml *reader, const char *text);
extern void sd_xml_put_string(SdXml *reader, const char *text);
extern void sd_xml_begin_row(SdXml *reader, const char *kind, const char *name);
extern void sd_xml_begin_member(SdXml *reader);

/* the document is none of these, or not as it should be: 'problem' holds at most one %s, the name given */
extern void sd_xml_refuse(SdXml *reader, const char *problem, const char *name);

/* value of an attribute, or NULL */
extern const char *sd_xml_attribute(const XML_Char **attributes, const char *name);

/* name of an element without its prefix */
extern const char *sd_xml_local(const XML_Char *element);

#endif /* SD_XML_READER_H */
