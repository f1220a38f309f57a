/*-------------------------------------------------------------------------
 *
 * client.h
 *	  HTTP requests, many at once: libcurl's multi interface behind a queue for
 *	  each target.
 *
 * Role: takes requests, keeps at most max_connections of them on the wire for
 * each target, hands back every one of them exactly once, as an exchange with
 * its outcome already classed.  No SPI, no transaction, no waiting: the caller
 * waits on sd_client_fd() for at most sd_client_timeout() and then calls
 * sd_client_run().  Everything lives in the memory context of the client and
 * goes with it, sockets included.
 *
 * Called by the engine (engine.c, turn.c, tasks.c), and by probe.c for a session
 * that asks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_CLIENT_H
#define SD_CLIENT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/ilist.h"

#include "policy.h"
#include "xml.h"

/* requests taken and not yet given back, at most */
#define SD_CLIENT_MAX_REQUESTS 1024

/* bodies of finished exchanges kept before new requests have to wait */
#define SD_CLIENT_MAX_BODIES ((size_t) 64 * 1024 * 1024)

/* bodies of exchanges set aside; beyond it they are dropped */
#define SD_CLIENT_MAX_ASIDE ((size_t) 32 * 1024 * 1024)

typedef struct SdClient SdClient;

/*
 * One request.  Strings are UTF-8.  sd_client_add() copies all of it.
 */
typedef struct SdRequest
{
	int64     task_id;
	int       attempt;
	char     *target; /* key of the pool and of its limit */
	char     *method;
	char     *url;      /* complete and percent-encoded */
	char     *body;     /* NULL = none */
	char     *username; /* NULL = no authentication */
	char     *password;
	char    **headers; /* 'Name: value' */
	int       nheaders;
	int       connect_timeout; /* milliseconds */
	int       total_timeout;   /* milliseconds, from leaving the queue */
	int64     leave_before;    /* wall clock (TimestampTz), 0 = no limit */
	int64     max_bytes;       /* of the answer, decompressed; of an XML document, what is kept */
	int       max_connections;
	char     *ca_file;    /* NULL = the system's */
	bool      allow_http; /* plain http beyond loopback */
	SdXmlForm xml;        /* the answer is such a document: read as it arrives, see xml.h */
} SdRequest;

/*
 * A finished exchange: request and outcome.  Strings may hold bytes that are
 * not valid UTF-8 where they come from the peer (error, content_type).
 */
typedef struct SdExchange
{
	dlist_node node; /* the caller's, once it has been handed back */
	SdRequest  request;

	SdClass     class_;
	int         http_status; /* 0 = no complete answer */
	const char *error;       /* NULL when there is nothing to say */
	int         retry_after; /* seconds, -1 = not given */
	const char *odata_code;  /* NULL = no odata.error in the body */
	const char *odata_message;
	const char *content_type; /* NULL = not given */
	const char *body;         /* NULL = empty; of an XML document the short form */
	size_t      body_len;
	bool        body_is_json;
	int64       body_bytes; /* received, also of an answer given up */
	TimestampTz started_at; /* left the queue */
	double      ms_queue;
	double      ms_connect; /* 0 on a reused connection */
	double      ms_tls;
	double      ms_first_byte; /* from sending to the first byte */
	double      ms_total;      /* from leaving the queue to the end */

	bool aside;        /* see sd_client_set_aside() */
	bool body_dropped; /* then, for want of room */

	/* the caller's */
	int         settle_failures;
	int         put_off; /* how often */
	bool        passing; /* the last failure does not speak of this answer */
	TimestampTz settle_at;
} SdExchange;

/* throws; frees itself with its parent context */
extern SdClient *sd_client_create(MemoryContext parent);
extern void      sd_client_destroy(SdClient *client);

extern int sd_client_fd(const SdClient *client);

/* milliseconds until sd_client_run() is wanted, -1 = not before the fd says so */
extern long sd_client_timeout(const SdClient *client);

/* queues a request; it leaves at the next sd_client_run() */
extern void sd_client_add(SdClient *client, const SdRequest *request);

/* moves bytes, finishes and starts requests; never blocks */
extern void sd_client_run(SdClient *client);

/* the next finished exchange or NULL; the caller owes sd_client_release() */
extern SdExchange *sd_client_finished(SdClient *client);
extern void        sd_client_release(SdClient *client, SdExchange *exchange);

/*
 * An exchange handed back that cannot be released for a while: it no longer
 * counts as unsettled, its target no longer as waiting for the caller.  There
 * is little room for such bodies; one that does not fit is dropped.
 */
extern void sd_client_set_aside(SdClient *client, SdExchange *exchange);
extern int  sd_client_aside(const SdClient *client);

/* the tasks of all exchanges not yet released, palloc'd */
extern int64 *sd_client_tasks(const SdClient *client, int *count);

/* milliseconds after which every request taken until now has ended */
extern long sd_client_longest(const SdClient *client);

/* queued and on the wire */
extern int sd_client_open(const SdClient *client);

/* handed back or about to be, neither released nor set aside */
extern int sd_client_unsettled(const SdClient *client);

/* how many more requests the caller had better look for, once a turn */
extern int sd_client_room(SdClient *client);

/*
 * How many requests in hand for each connection keep the targets known busy:
 * arrays of their names and depths, allocated in the current context; returns
 * their length.
 */
extern int sd_client_depths(const SdClient *client, const char ***names, int **depths);

/* would that be more than none? */
extern bool sd_client_has_room(const SdClient *client);

/*
 * Is every target that has answers waiting as busy as its limit allows, with
 * enough requests behind them to stay so for a while?  Then there is no hurry to
 * look for more.
 */
extern bool sd_client_saturated(const SdClient *client);

#endif /* SD_CLIENT_H */
