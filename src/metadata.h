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
 * out.  Read by sd_xml_create(SD_XML_METADATA, …), see xml.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_METADATA_H
#define SD_METADATA_H

#include "xml.h"

#endif /* SD_METADATA_H */
