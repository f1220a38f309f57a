/*-------------------------------------------------------------------------
 *
 * messages.h
 *	  Requests and exchanges of the client as rows of SQL.
 *
 * Role: the two composite types that cross the border between SQL and the
 * network, salesdrive.http_request and salesdrive.http_result, and their
 * counterparts of client.h.  Times are told by the clock of the rules.  Called
 * by tasks.c and probe.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_MESSAGES_H
#define SD_MESSAGES_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"

#include "client.h"

/* failures of one answer alone, after which its row goes without its body */
#define SD_STRIP_AFTER 3

/* oid of a type of the extension; throws when there is none */
extern Oid sd_message_type(const char *name);

/* throw when the columns are not those this library knows */
extern void sd_result_check(TupleDesc desc);
extern void sd_request_check(TupleDesc desc);

/* a row of http_result, in CurrentMemoryContext */
extern Datum sd_result_row(TupleDesc desc, const SdExchange *exchange);

/* a row of http_request; strings in CurrentMemoryContext; throws on a lack */
extern void sd_request_take(HeapTuple tuple, TupleDesc desc, SdRequest *request);

#endif /* SD_MESSAGES_H */
