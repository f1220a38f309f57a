/*-------------------------------------------------------------------------
 *
 * inbox.h
 *	  What the receiver does in the database.
 *
 * Role: all SPI of the receiver.  Each call is a transaction of its own, or a
 * few; an error is logged, cleaned up and told by the result, never thrown.
 * What ends the process (termination, a dropped extension) does end it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_INBOX_H
#define SD_INBOX_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct SdDelivery
{
	const char *account;
	const char *body;
	size_t      body_len;
	const char *problem; /* why it is not JSON, or NULL */
	const char *address;
	bool        kept; /* result: committed */
} SdDelivery;

typedef struct SdAccounts
{
	int    n;
	char **names;
	char **tokens;
} SdAccounts;

typedef struct SdHealth
{
	bool        database; /* could it be asked, and can it commit? */
	int64       queue_rows;
	double      oldest_seconds; /* negative = empty */
	TimestampTz last_exchange;  /* 0 = never */
	char        quiet[256];     /* why nothing may be sent, '' = all is well */
} SdHealth;

/*
 * Keeps deliveries under one COMMIT; if that fails for a reason of one of
 * them, each under its own.  Sets 'kept' and returns how many are.
 */
extern int sd_inbox_keep(SdDelivery *deliveries, int n);

/* accounts and tokens, in 'context'; false when they could not be read */
extern bool sd_inbox_accounts(MemoryContext context, SdAccounts *accounts);

/* false when it could not be read: then only 'database' is changed */
extern bool sd_inbox_health(SdHealth *health);
extern bool sd_inbox_prepare_partitions(void);

/* figures of the exchange in OpenMetrics, in 'context'; NULL = failed */
extern char *sd_inbox_metrics(MemoryContext context);

/* begins or ends the incidents of workers, as worker_state() shows them */
extern bool sd_inbox_note_workers(void);

/* resolves 'file:NAME', 'env:NAME' or a literal, in 'context'; NULL = failed */
extern char *sd_inbox_secret(MemoryContext context, const char *value);

#endif /* SD_INBOX_H */
