/*-------------------------------------------------------------------------
 *
 * metadata.h
 *	  $metadata of an OData service, read as it arrives.
 *
 * Role: turns the EDMX document of a base, fed in pieces of any size, into a
 * much shorter JSON text that is handed on piece by piece:
 *
 *	  {"value":[
 *	   ["type","Catalog_X",{"Ref_Key":"Edm.Guid","Code":["Edm.String",9]}],
 *	   ["enum","E",["A","B"]],
 *	   ["set","Catalog_X","Catalog_X"],
 *	   ["function","Post",{"bindingParameter":"StandardODATA.Document_X"}]]}
 *
 * Associations and row types of sections (which are sets as well) are left
 * out.  Pure C over expat: no PostgreSQL header; may be called from callbacks
 * of libraries.  The memory of all readers together is bounded.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_METADATA_H
#define SD_METADATA_H

#include <stdbool.h>
#include <stddef.h>

/* of all readers at work together, in bytes: names and nesting, not the text */
#define SD_METADATA_MEMORY ((size_t) 16 * 1024 * 1024)

typedef struct SdMetadata SdMetadata;

/* takes a piece of the JSON text; false: no more of it */
typedef bool (*SdMetadataSink)(void *arg, const char *data, size_t len);

/* NULL when there is no memory */
extern SdMetadata *sd_metadata_create(SdMetadataSink sink, void *arg);
extern void        sd_metadata_destroy(SdMetadata *reader);

/* false: there is a problem, and nothing more is read */
extern bool sd_metadata_feed(SdMetadata *reader, const char *data, size_t len);

/* the document is complete; false: there is a problem */
extern bool sd_metadata_end(SdMetadata *reader);

/* why it is no $metadata, as a sentence part; NULL when nothing is wrong */
extern const char *sd_metadata_problem(const SdMetadata *reader);

#endif /* SD_METADATA_H */
