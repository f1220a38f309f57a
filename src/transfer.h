/*-------------------------------------------------------------------------
 *
 * transfer.h
 *	  What client.c, targets.c, departure.c and arrival.c know of each other: a
 *	  client, its targets and their transfers.
 *
 * Role: a transfer is one request on its way through libcurl.  client.c takes
 * it, queues it and gives it back; targets.c says how many are wanted;
 * departure.c how each leaves; arrival.c keeps what comes and says how it ended.
 * For these four files only.
 *
 * Invariants of all of them:
 *
 * - Callbacks of libcurl never throw: they record, sd_client_run() acts.  What
 *	 they allocate is allocated without the right to fail loudly.
 * - All signals are blocked around calls into libcurl, see client.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_TRANSFER_H
#define SD_TRANSFER_H

#include "postgres.h"

#include <curl/curl.h>
#include <time.h>

#include "lib/ilist.h"

#include "client.h"
#include "xml.h"

#define MAX_SPARE_HANDLES 64
#define TOO_LATE          "not sent: too much time has passed since it was claimed; the server was held up"

/* callback before sending: libcurl 7.80; the way without it is dearer */
#if LIBCURL_VERSION_NUM >= 0x075000
#define HAVE_PREREQ 1
#endif

typedef struct Target
{
	dlist_node node;
	char      *name;
	int        max_connections;
	int        running;
	int        queued;
	int        finished; /* not yet released */
	int64      last_used;
	int64      usual_us; /* that a request takes, 0 = not known yet */
	dlist_head queue;    /* of Transfer */
} Target;

typedef struct Transfer
{
	SdExchange            exchange; /* first: what the caller sees */
	dlist_node            all_node;
	MemoryContext         context;
	MemoryContextCallback release;
	SdClient             *client;
	Target               *target;
	CURL                 *easy; /* while running */
	struct curl_slist    *header_list;
	size_t                url_len;
	size_t                body_len; /* of the request */
	size_t                body_sent;
	int                   departures; /* times the request began to leave */
	bool                  is_read;
	bool                  connected; /* a new connection, be it without its TLS yet */
	bool                  resend_refused;
	bool                  left_too_late;
	bool                  too_large;
	bool                  headers_too_large;
	bool                  no_memory;
	bool                  headers_ended; /* of the last block of headers */
	bool                  framed;        /* the peer says where the body ends */
	SdXml                *xml;           /* reads the answer, once it has begun */
	char                 *foreign;       /* how the answer begins, as it came */
	size_t                foreign_len;
	char                 *buffer; /* of the answer */
	size_t                buffer_len;
	size_t                buffer_size;
	size_t                header_bytes;
	char                  content_type[128];
	char                  retry_after[64];
	char                  location[256];
	char                  odata_code[32];
	char                  odata_message[2048];
	int64                 queued_at; /* monotonic microseconds */
	int64                 left_at;   /* left the queue */
	int64                 sent_at;
	int64                 first_byte_at;
	char                  error[CURL_ERROR_SIZE + 256];
} Transfer;

struct SdClient
{
	MemoryContext         context;
	MemoryContextCallback release;
	CURLM                *multi;
	int                   epoll_fd;
	int64                 timer_at; /* libcurl's one-shot timer, 0 = none */
	int64                 probed_at;
	int                   reserved; /* external descriptors accounted for */
	int                   queued;
	int                   running;
	int                   unsettled;
	int                   aside;
	size_t                body_bytes;  /* of finished exchanges */
	size_t                aside_bytes; /* of those set aside */
	int64                 last_end;    /* monotonic; of all requests taken */
	dlist_head            targets;
	dlist_head            all;      /* of Transfer, until released */
	dlist_head            finished; /* of SdExchange */
	CURL                 *spare[MAX_SPARE_HANDLES];
	int                   nspare;
};

static inline int64
monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline double
ms_between(int64 from, int64 to)
{
	return (from == 0 || to <= from) ? 0.0 : (double) (to - from) / 1000.0;
}

/* ---- targets.c: called by client.c, with what client.h says of room and depth ---- */

/* the target of a request, known or new; forgets those that have long been idle */
extern Target *sd_target_find(SdClient *client, const SdRequest *request);

/* a request of this target took so long */
extern void sd_target_took(Target *target, int64 us);

/* ---- departure.c: called by client.c ---- */

/* the reason not to send this request, or NULL; a constant */
extern const char *sd_departure_problem(const Transfer *transfer);

/* has its moment (leave_before) passed by the wall clock? */
extern bool sd_departure_is_late(const Transfer *transfer);

/* tells the handle what to send and how; false when there is no memory; signals are blocked */
extern bool sd_departure_prepare(Transfer *transfer);

/* ---- arrival.c: called by client.c ---- */

/* tells the handle where the answer goes; signals are blocked */
extern void sd_arrival_prepare(Transfer *transfer);

/* libcurl has ended the transfer: fills its exchange with outcome and times */
extern void sd_arrival_read(Transfer *transfer, CURLcode code);

#endif /* SD_TRANSFER_H */
