/*-------------------------------------------------------------------------
 *
 * server.h
 *	  The HTTP side of the receiver: sockets, requests, limits, answers.
 *
 * Role: everything between accept() and a complete, authorised request, and
 * from an answer back to the socket.  Pure C over libmicrohttpd: no PostgreSQL
 * header, no SQL, no logging; it records and the loop acts.  One thread.
 *
 * The caller's loop: wait until sd_server_fd() is readable or
 * sd_server_timeout() has passed; sd_server_run(); take what is complete with
 * sd_server_take(), decide, sd_server_answer() each; then run it again, for
 * the epoll of libmicrohttpd is edge-triggered.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_SERVER_H
#define SD_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct SdServer SdServer;

typedef struct SdServerConfig
{
	const char *address; /* IPv4, IPv6, "localhost" or "*" */
	int         port;
	const char *certificate;   /* PEM; NULL = plain HTTP */
	const char *key;           /* PEM */
	const char *metrics_token; /* NULL or '' = loopback only */
	size_t      max_body;
	size_t      swallow_limit;
	size_t      max_buffered; /* bodies held at one time */
	int         max_connections;
	int         max_per_address;
	int         request_timeout; /* milliseconds */
	int         idle_timeout;    /* milliseconds */
} SdServerConfig;

typedef enum SdRequestKind
{
	SD_REQUEST_NONE = 0,
	SD_REQUEST_WEBHOOK,
	SD_REQUEST_HEALTH,
	SD_REQUEST_METRICS
} SdRequestKind;

/* a complete request that waits for its answer */
typedef struct SdRequest
{
	SdRequestKind          kind;
	char                  *account; /* webhook: name of a known account */
	const char            *address; /* of the peer, as text */
	char                  *body;    /* webhook; not terminated, may be NULL if empty */
	size_t                 body_len;
	struct SdRequest      *next;  /* in the queue of those that wait */
	struct SdRequestState *state; /* of intake.c */
} SdRequest;

/* numbers since the start of the process */
typedef struct SdServerCounters
{
	uint64_t answers[600]; /* by status */
	uint64_t accepted;     /* connections */
	uint64_t refused;      /* connections beyond the limit of an address */
	uint64_t timed_out;    /* requests that did not arrive in time */
	uint64_t cut;          /* requests that ended before they were complete */
	uint64_t body_bytes;   /* of complete webhooks */
} SdServerCounters;

/* NULL and a sentence in 'error' when it cannot be; 'counters' outlives it */
extern SdServer *sd_server_start(const SdServerConfig *config, SdServerCounters *counters,
								 char *error, size_t error_size);
extern void      sd_server_stop(SdServer *server);

extern int    sd_server_fd(const SdServer *server);
extern int    sd_server_port(const SdServer *server);
extern int    sd_server_connections(const SdServer *server);
extern size_t sd_server_buffered(const SdServer *server);

/* milliseconds until sd_server_run() must be called, -1 = no limit */
extern long sd_server_timeout(SdServer *server);

/* serves all that is ready; never waits */
extern void sd_server_run(SdServer *server);

/* the accounts and their tokens; copied */
extern bool sd_server_accounts(SdServer *server, const char *const *names,
							   const char *const *tokens, int n);

/* the oldest waiting request, or NULL; it must be answered */
extern SdRequest *sd_server_take(SdServer *server);

/* 'body' is copied; a JSON document, or OpenMetrics for SD_REQUEST_METRICS */
extern void sd_server_answer(SdServer *server, SdRequest *request, int status, const char *body);

#endif /* SD_SERVER_H */
