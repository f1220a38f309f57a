/*-------------------------------------------------------------------------
 *
 * yml.h
 *	  The YML export of SalesDrive: the form of it that is kept.
 *
 * Role: turns a catalog of goods in YML into a shorter JSON text, one row a
 * line, that is handed on piece by piece:
 *
 *	  {"data":[
 *	   ["category","7",{"parentId":"3","name":"Cups"}],
 *	   ["offer","101",{"available":"true","name":"Cup","vendorCode":"C-1","param Colour":"red"}]]}
 *
 * Descriptions, pictures and links are left out; texts longer than SD_YML_TEXT
 * bytes are cut.  A member that an offer has several times stands there as
 * often.  Read by sd_xml_create(SD_XML_YML, …), see xml.h; UTF-8, UTF-16 and
 * windows-1251 are understood.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_YML_H
#define SD_YML_H

#include "xml.h"

#define SD_YML_TEXT 2000

#endif /* SD_YML_H */
