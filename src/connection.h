/*-------------------------------------------------------------------------
 *
 * connection.h
 *	  What server.c, connection.c and intake.c know of each other: a server, its
 *	  connections and the request of each.
 *
 * Role: connection.c watches over connections, from accept() to the end, and
 * their deadlines; intake.c takes in a request, head and body, and answers it;
 * server.c is the daemon around them.  For these three files only.  No
 * PostgreSQL header, no SQL, no logging; one thread.  Callbacks of libmicrohttpd
 * record, the loop acts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_CONNECTION_H
#define SD_CONNECTION_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <time.h>

#include "server.h"

#define NO_DEADLINE   INT64_MAX
#define MAX_LINGERING 32

/*
 * Phases of a connection.
 *
 *		FRESH ---request line---> READING ---complete---> ANSWERING
 *		            ^                                         |
 *		            +----request line---- KEPT <----answered--+
 *
 * FRESH and READING have a deadline, and until the head is complete looks before
 * it, with growing pauses, whether the peer has ended.  KEPT has a time to look
 * whether bytes have come of a request line that does not end.  Any may become
 * DOOMED: shut down, waiting for the library to notice.
 */
typedef enum Phase
{
	FRESH,
	READING,
	ANSWERING,
	KEPT,
	DOOMED
} Phase;

typedef struct Connection
{
	struct Connection     *next;
	struct Connection     *prev;
	SdServer              *server;
	struct MHD_Connection *mhd;
	int                    fd;
	Phase                  phase;
	int64_t                deadline; /* monotonic milliseconds; also of a look before it */
	int64_t                until;    /* the deadline of the request */
	int64_t                look;     /* milliseconds to the next look before it */
	uint64_t               received; /* bytes when the last request was done */
	bool                   linger;   /* answered before its body was read */
	bool                   loopback;
	unsigned char          prefix[16]; /* address for the limit: IPv6 by /64 */
	char                   address[INET6_ADDRSTRLEN];
	struct SdRequestState *request;
} Connection;

typedef enum Step
{
	IN_BODY,
	WAITING,
	ANSWERED
} Step;

typedef struct SdRequestState
{
	SdRequest public;
	Connection *connection;
	Step        step;
	int         status;    /* 0 = still undecided */
	const char *allow;     /* for 405 */
	char       *answer;    /* body of the answer */
	size_t      capacity;  /* of public.body */
	size_t      swallowed; /* bytes read and not kept */
	size_t      taken;     /* bytes read */
	size_t      length;    /* Content-Length */
	bool        chunked;
} SdRequestState;

typedef struct Lingering
{
	int     fd;
	int64_t until;
} Lingering;

typedef struct Account
{
	char *name;
	char *token;
} Account;

struct SdServer
{
	SdServerConfig     config;
	SdServerCounters  *counters;
	char              *metrics_token;
	struct MHD_Daemon *daemon;
	Connection        *connections;
	int                n_connections;
	int64_t            now;
	int64_t            next_deadline; /* not after the nearest */
	SdRequest         *first;         /* waiting for the loop */
	SdRequest         *last;
	size_t             buffered;
	Account           *accounts;
	int                n_accounts;
	Lingering          lingering[MAX_LINGERING];
	int                n_lingering;
};

static inline int64_t
monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- connection.c ---- */

/* callback of libmicrohttpd: may this peer have one more connection? */
extern enum MHD_Result sd_connection_on_accept(void *cls, const struct sockaddr *sa, socklen_t len);

/* callback of libmicrohttpd: a connection begins or ends */
extern void sd_connection_on_notify(void *cls, struct MHD_Connection *mhd, void **context,
									enum MHD_ConnectionNotificationCode code);

/* bytes the kernel has received on a connection; will no more come to be read? */
extern uint64_t sd_connection_received(int fd, bool *ended);

/* the moment at which sd_connection_enforce_deadlines() looks at it; NO_DEADLINE is set directly */
extern void sd_connection_set_deadline(Connection *c, int64_t deadline);

/* a request begins: its deadline, and the first look before it */
extern void sd_connection_await(Connection *c, int64_t now);

/* the peer has perhaps ended: then the deadline comes near */
extern void sd_connection_notice_end(Connection *c, bool ended);

/* says what the library cannot say, and ends the connection; 'how' as for shutdown() */
extern void sd_connection_answer_raw(Connection *c, int status, const char *body, int how);

/* once a turn: looks at the connections whose deadline has passed */
extern void sd_connection_enforce_deadlines(SdServer *server);

/* reads and forgets what still comes on sockets that were answered early */
extern void sd_connection_drain(SdServer *server);

/* ---- intake.c ---- */

/* callback of libmicrohttpd: the request line is there */
extern void *sd_intake_on_request_line(void *cls, const char *uri, struct MHD_Connection *mhd);

/* callback of libmicrohttpd: head, parts of the body, end of it, and after a resume */
extern enum MHD_Result sd_intake_on_request(void *cls, struct MHD_Connection *mhd, const char *url,
											const char *method, const char *version, const char *upload,
											size_t *upload_size, void **context);

/* callback of libmicrohttpd: answered, or given up */
extern void sd_intake_on_completed(void *cls, struct MHD_Connection *mhd, void **context,
								   enum MHD_RequestTerminationCode why);

/* callback of libmicrohttpd: leaves paths as they came, intake.c decodes them part by part */
extern size_t sd_intake_on_unescape(void *cls, struct MHD_Connection *mhd, char *text);

/* the loop has decided: the request goes on to its answer */
extern void sd_intake_answer(SdRequestState *r, int status, const char *body);

#endif /* SD_CONNECTION_H */
