/*-------------------------------------------------------------------------
 *
 * server.c
 *	  The HTTP side of the receiver over libmicrohttpd, see server.h.
 *
 * Invariants
 *
 *	- A request is taken in steps: head (framing, route, method, token), body,
 *	  and only when it is complete it waits, suspended, for the loop's answer.
 *	- Bytes of a body are kept for a webhook whose token was found right, and of
 *	  no other request.
 *	- Every request has a deadline, from its first byte to its last.  The
 *	  library has only an idle time-out, which a dripping peer outlives.
 *	- The library refuses an answer in the middle of a body, and times out
 *	  without one.  What must be said there is written to the socket directly
 *	  (plain HTTP only), then the socket is shut down.
 *	- A POST without a length counts as empty for the library, and one with two
 *	  lengths is taken: both are refused here.
 *	- Memory: at most max_body a request and max_buffered in all.
 *
 *-------------------------------------------------------------------------
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define NO_DEADLINE       INT64_MAX
#define FIRST_CHUNK       (64 * 1024)
#define MAX_LINGERING     32
#define LINGER_MS         2000
#define LINGER_STEP_MS    50
#define RUNS_PER_TURN     64
#define CONNECTION_MEMORY (32 * 1024)
#define NOTICE_END_MS     100
#define PEER_TALKS        1 /* TCP_ESTABLISHED; its header and linux/tcp.h exclude each other */

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


/* ---- small things ---- */

static int64_t
monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* bytes the kernel has received on a connection; will no more come to be read? */
static uint64_t
bytes_received(int fd, bool *ended)
{
	struct tcp_info info;
	socklen_t       len = sizeof(info);
	int             unread = 0;

	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		memset(&info, 0, sizeof(info));
	*ended = info.tcpi_state != PEER_TALKS &&
			 (ioctl(fd, FIONREAD, &unread) != 0 || unread == 0);
	return info.tcpi_bytes_received;
}

char *
sd_json_quote(const char *text, char *out, size_t out_size)
{
	size_t n = 0;

	for (const unsigned char *p = (const unsigned char *) text; *p != '\0';)
	{
		int len = *p < 0x80 ? 1 : sd_utf8_length((const char *) p, strlen((const char *) p));

		if (n + 7 > out_size)
			break;
		if (len == 0 || *p < 0x20)
			n += snprintf(out + n, out_size - n, "\\u%04x", len == 0 ? 0xfffd : *p);
		else
		{
			if (*p == '"' || *p == '\\')
				out[n++] = '\\';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len == 0 ? 1 : len;
	}
	out[n] = '\0';
	return out;
}

static void
set_deadline(Connection *c, int64_t deadline)
{
	c->deadline = deadline;
	if (deadline < c->server->next_deadline)
		c->server->next_deadline = deadline;
}

/* a request begins: its deadline, and the first look before it */
static void
await_request(Connection *c, int64_t now)
{
	c->until = now + c->server->config.request_timeout;
	c->look = NOTICE_END_MS;
	set_deadline(c, now + c->look < c->until ? now + c->look : c->until);
}

static Connection *
connection_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}


/* ---- connections ---- */

/* what counts as one address, and its text */
static void
read_address(const struct sockaddr *sa, unsigned char *prefix, char *text, bool *loopback)
{
	memset(prefix, 0, 16);
	text[0] = '\0';
	*loopback = false;
	if (sa == NULL)
		return;
	if (sa->sa_family == AF_INET6)
	{
		const struct in6_addr *a = &((const struct sockaddr_in6 *) sa)->sin6_addr;

		memcpy(prefix, a, IN6_IS_ADDR_V4MAPPED(a) ? 16 : 8);
		*loopback = IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
		if (IN6_IS_ADDR_LOOPBACK(a))
			prefix[15] = 1;
		if (IN6_IS_ADDR_V4MAPPED(a))
			inet_ntop(AF_INET, &a->s6_addr[12], text, INET6_ADDRSTRLEN);
		else
			inet_ntop(AF_INET6, a, text, INET6_ADDRSTRLEN);
	}
	else if (sa->sa_family == AF_INET)
	{
		const struct in_addr *a = &((const struct sockaddr_in *) sa)->sin_addr;

		prefix[10] = prefix[11] = 0xff;
		memcpy(prefix + 12, a, 4);
		*loopback = (ntohl(a->s_addr) >> 24) == 127;
		inet_ntop(AF_INET, a, text, INET6_ADDRSTRLEN);
	}
}

/* callback: may this peer have one more connection? */
static enum MHD_Result
on_accept(void *cls, const struct sockaddr *sa, socklen_t len)
{
	SdServer     *server = cls;
	unsigned char prefix[16];
	char          text[INET6_ADDRSTRLEN];
	bool          loopback;
	int           n = 0;

	(void) len;
	read_address(sa, prefix, text, &loopback);
	for (Connection *c = server->connections; c != NULL; c = c->next)
		n += memcmp(c->prefix, prefix, sizeof(prefix)) == 0;
	if (n < server->config.max_per_address)
		return MHD_YES;
	server->counters->refused++;
	return MHD_NO;
}

static void
connection_opened(SdServer *server, struct MHD_Connection *mhd, void **context)
{
	Connection                     *c = calloc(1, sizeof(Connection));
	const union MHD_ConnectionInfo *info;

	*context = c;
	if (c == NULL)
		return; /* on_request() will refuse it */
	c->server = server;
	c->mhd = mhd;
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	c->fd = info ? info->connect_fd : -1;
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	read_address(info ? info->client_addr : NULL, c->prefix, c->address, &c->loopback);
	c->phase = FRESH;
	await_request(c, monotonic_ms());
	c->next = server->connections;
	if (c->next)
		c->next->prev = c;
	server->connections = c;
	server->n_connections++;
	server->counters->accepted++;
}

/*
 * A socket closed with unread bytes is reset, and the peer may lose the answer
 * that came before its body was read.  So a copy of it is drained for a while.
 */
static void
linger(SdServer *server, int fd)
{
	Lingering *l;
	int        copy;

	if (server->n_lingering >= MAX_LINGERING)
		return;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return;
	l = &server->lingering[server->n_lingering++];
	l->fd = copy;
	l->until = monotonic_ms() + LINGER_MS;
}

static void
connection_closed(Connection *c)
{
	SdServer *server = c->server;

	if (c->linger)
		linger(server, c->fd);
	if (c->prev)
		c->prev->next = c->next;
	else
		server->connections = c->next;
	if (c->next)
		c->next->prev = c->prev;
	server->n_connections--;
	free(c);
}

/* callback: a connection begins or ends */
static void
on_connection(void *cls, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		connection_opened(cls, mhd, context);
	else if (*context != NULL)
	{
		connection_closed(*context);
		*context = NULL;
	}
}

/* reads and forgets what still comes on lingering sockets */
static void
drain_lingering(SdServer *server)
{
	char waste[16 * 1024];

	for (int i = 0; i < server->n_lingering;)
	{
		Lingering *l = &server->lingering[i];
		ssize_t    n = 0;

		for (int k = 0; k < 64; k++)
		{
			n = recv(l->fd, waste, sizeof(waste), MSG_DONTWAIT);
			if (n <= 0)
				break;
		}
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || server->now >= l->until)
		{
			close(l->fd);
			*l = server->lingering[--server->n_lingering];
		}
		else
			i++;
	}
}


/* ---- deadlines ---- */

static const char *
reason_phrase(int status)
{
	return status == 408 ? "Request Timeout" : "Content Too Large";
}

/*
 * Says what the library cannot say, and ends the connection.  SHUT_RDWR makes
 * the library notice; SHUT_WR leaves room to drain, when it knows already.
 */
static void
answer_raw(Connection *c, int status, const char *body, int how)
{
	char text[512];
	int  n;

	if (c->server->config.certificate == NULL)
	{
		n = snprintf(text, sizeof(text),
					 "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
					 "Content-Length: %zu\r\n\r\n%s",
					 status, reason_phrase(status), strlen(body), body);
		if (send(c->fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL) == n)
			c->server->counters->answers[status]++;
	}
	c->linger = true;
	c->phase = DOOMED;
	c->deadline = NO_DEADLINE;
	shutdown(c->fd, how);
}

/* the library notices, and ends the connection */
static void
doom(Connection *c)
{
	c->phase = DOOMED;
	c->deadline = NO_DEADLINE;
	shutdown(c->fd, SHUT_RDWR);
}

/* a connection whose deadline has passed */
static void
expire(Connection *c)
{
	SdServer *server = c->server;
	bool      ended;
	uint64_t  received = bytes_received(c->fd, &ended);

	if (ended)
	{
		if (c->phase == READING)
			server->counters->cut++;
		doom(c);
	}
	else if (c->phase == KEPT)
	{
		/* bytes of a next request, but no request line: now it has a deadline */
		if (received != c->received)
		{
			c->phase = READING;
			await_request(c, server->now);
		}
		else
			set_deadline(c, server->now + server->config.request_timeout);
	}
	else if (server->now < c->until)
	{
		c->look *= 2;
		set_deadline(c, server->now + c->look < c->until ? server->now + c->look : c->until);
	}
	else
	{
		server->counters->timed_out++;
		if (received > 0)
			answer_raw(c, 408, "{\"error\":\"the request did not arrive in time\"}\n", SHUT_RDWR);
		else
			doom(c);
	}
}

static void
enforce_deadlines(SdServer *server)
{
	Connection *next;

	if (server->now < server->next_deadline)
		return;
	for (Connection *c = server->connections; c != NULL; c = next)
	{
		next = c->next;
		if (c->deadline <= server->now)
			expire(c);
	}
	server->next_deadline = NO_DEADLINE;
	for (Connection *c = server->connections; c != NULL; c = c->next)
		set_deadline(c, c->deadline);
}


/* ---- the head of a request ---- */

/* decodes %XX into a new string; NULL when it is wrong or holds a NUL */
static char *
percent_decode(const char *in, size_t len)
{
	char  *out = malloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; out != NULL && i < len; i++)
	{
		unsigned int c = (unsigned char) in[i];

		if (c == '%' && (i + 2 >= len || sscanf(in + i + 1, "%2x", &c) != 1 ||
						 strspn(in + i + 1, "0123456789abcdefABCDEF") < 2))
			c = 0;
		if (c == 0)
		{
			free(out);
			return NULL;
		}
		if (in[i] == '%')
			i += 2;
		out[n++] = (char) c;
	}
	if (out != NULL)
		out[n] = '\0';
	return out;
}

/* compares with every account's token, so that time tells nothing of names */
static bool
token_is_right(const SdServer *server, const char *account, const char *token)
{
	bool right = false;

	for (int i = 0; i < server->n_accounts; i++)
	{
		const Account *a = &server->accounts[i];
		bool           equal = sd_equal_ct(token, strlen(token), a->token, strlen(a->token));

		right |= equal & (strcmp(account, a->name) == 0) & (a->token[0] != '\0');
	}
	return right;
}

/* /webhook/<account>/<token>: sets the account, or 401 or 404 */
static void
check_webhook(SdRequestState *r, const char *path)
{
	const char *slash = strchr(path, '/');
	char       *account;
	char       *token;

	if (slash == NULL || slash == path || slash[1] == '\0' || strchr(slash + 1, '/') != NULL)
	{
		r->status = 404;
		return;
	}
	account = percent_decode(path, slash - path);
	token = percent_decode(slash + 1, strlen(slash + 1));
	if (account == NULL || token == NULL)
		r->status = 404;
	else if (!token_is_right(r->connection->server, account, token))
		r->status = 401;
	free(token);
	r->public.account = account;
	r->public.kind = SD_REQUEST_WEBHOOK;
}

/* loopback and not through a proxy on it, or the token */
static void
check_metrics(SdRequestState *r)
{
	struct MHD_Connection *mhd = r->connection->mhd;
	const char            *wanted = r->connection->server->metrics_token;
	const char            *given = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "Authorization");
	const char            *proxied = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "X-Forwarded-For");

	r->public.kind = SD_REQUEST_METRICS;
	if (proxied == NULL)
		proxied = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "Forwarded");
	if (proxied == NULL)
		proxied = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "X-Real-IP");
	if (r->connection->loopback && proxied == NULL)
		return;
	if (wanted != NULL && given != NULL && strncasecmp(given, "Bearer ", 7) == 0 &&
		sd_equal_ct(given + 7, strlen(given + 7), wanted, strlen(wanted)))
		return;
	r->status = 401;
}

static void
route(SdRequestState *r, const char *url, const char *method)
{
	bool post = strcmp(method, "POST") == 0;
	bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;

	if (strncmp(url, "/webhook/", 9) == 0)
	{
		r->allow = post ? NULL : "POST";
		if (post)
			check_webhook(r, url + 9);
	}
	else if (strcmp(url, "/health") == 0 || strcmp(url, "/metrics") == 0)
	{
		r->allow = get ? NULL : "GET, HEAD";
		if (get && url[1] == 'm')
			check_metrics(r);
		else if (get)
			r->public.kind = SD_REQUEST_HEALTH;
	}
	else
		r->status = 404;
	if (r->allow != NULL)
		r->status = 405;
}

typedef struct Framing
{
	int    lengths;
	int    encodings;
	bool   chunked;
	bool   expects;
	size_t length;
} Framing;

/* callback: one header */
static enum MHD_Result
on_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	Framing *f = cls;

	(void) kind;
	if (strcasecmp(name, "Content-Length") == 0)
	{
		f->lengths++;
		f->length = value ? strtoull(value, NULL, 10) : 0;
		if (value == NULL || value[0] == '\0' || value[strspn(value, "0123456789")] != '\0')
			f->lengths = 99;
	}
	else if (strcasecmp(name, "Transfer-Encoding") == 0)
	{
		f->encodings++;
		f->chunked = value && strcasecmp(value, "chunked") == 0;
	}
	else if (strcasecmp(name, "Expect") == 0)
		f->expects = true;
	return MHD_YES;
}

static void
set_answer(SdRequestState *r, int status, const char *body)
{
	r->status = status;
	free(r->answer);
	r->answer = body ? strdup(body) : NULL;
}

/*
 * Decides by the head alone.  True: the answer goes out at once and the
 * connection closes, for where the next request begins is not sure or the
 * body is not worth reading.
 */
static bool
examine_head(SdRequestState *r, const char *url, const char *method)
{
	Framing f = {0};

	MHD_get_connection_values(r->connection->mhd, MHD_HEADER_KIND, on_header, &f);
	r->chunked = f.chunked;
	r->length = f.length;
	if (f.lengths > 1 || f.encodings > 1 || (f.encodings == 1 && !f.chunked) ||
		(f.lengths == 1 && f.encodings == 1))
	{
		set_answer(r, 400, f.lengths == 1 ? "{\"error\":\"both Content-Length and Transfer-Encoding were sent\"}\n" : "{\"error\":\"Content-Length or Transfer-Encoding is wrong\"}\n");
		return true;
	}
	route(r, url, method);
	if (r->status == 0)
	{
		if (r->public.kind == SD_REQUEST_WEBHOOK && f.lengths == 0 && !f.chunked)
			r->status = 411;
		else if (f.length > r->connection->server->config.max_body)
			r->status = 413;
		return r->status != 0;
	}
	return f.expects || f.length > r->connection->server->config.max_body;
}


/* ---- the body ---- */

static void
drop_body(SdRequestState *r)
{
	r->connection->server->buffered -= r->capacity;
	free(r->public.body);
	r->public.body = NULL;
	r->capacity = 0;
	r->public.body_len = 0;
}

static bool
make_room(SdRequestState *r, size_t needed)
{
	SdServer *server = r->connection->server;
	size_t    capacity = r->capacity ? r->capacity : FIRST_CHUNK / 16;
	char     *body;

	while (capacity < needed)
		capacity *= 2;
	if (capacity == r->capacity)
		return true;
	if (server->buffered - r->capacity + capacity > server->config.max_buffered)
		return false;
	body = realloc(r->public.body, capacity);
	if (body == NULL)
		return false;
	server->buffered += capacity - r->capacity;
	r->public.body = body;
	r->capacity = capacity;
	return true;
}

/*
 * The library misses an end that came together with bytes.  Then the deadline
 * comes near; what can still be taken of them is taken until then.
 */
static void
notice_end(Connection *c, bool ended)
{
	int64_t soon = monotonic_ms() + NOTICE_END_MS;

	if (ended && c->deadline > soon)
		set_deadline(c, soon);
}

/* keeps or swallows some bytes; false closes the connection */
static bool
take_bytes(SdRequestState *r, const char *bytes, size_t n)
{
	const SdServerConfig *config = &r->connection->server->config;

	if (r->status == 0 && r->public.kind == SD_REQUEST_WEBHOOK)
	{
		if (n > config->max_body || r->public.body_len > config->max_body - n)
			r->status = 413;
		else if (!make_room(r, r->public.body_len + n))
			r->status = 503;
		else
		{
			memcpy(r->public.body + r->public.body_len, bytes, n);
			r->public.body_len += n;
			return true;
		}
		r->swallowed = r->public.body_len;
		drop_body(r);
	}
	r->swallowed += n;
	if (!r->chunked || r->swallowed <= config->swallow_limit)
		return true;
	if (config->certificate != NULL)
		r->connection->server->counters->cut++; /* closed without an answer */
	answer_raw(r->connection, 413, "{\"error\":\"the body is too large\"}\n", SHUT_WR);
	return false;
}

/* some bytes of the body, perhaps the last that come */
static bool
take_part(SdRequestState *r, const char *bytes, size_t n)
{
	bool ended;

	r->taken += n;
	if (!take_bytes(r, bytes, n))
		return false;
	if (r->taken != r->length)
	{
		(void) bytes_received(r->connection->fd, &ended);
		notice_end(r->connection, ended);
	}
	return true;
}


/* ---- the answer ---- */

static const char *
standard_answer(int status)
{
	switch (status)
	{
		case 200:
			return "{\"accepted\":1}\n";
		case 400:
			return "{\"error\":\"bad request\"}\n";
		case 401:
			return "{\"error\":\"wrong account or token\"}\n";
		case 404:
			return "{\"error\":\"no such address\"}\n";
		case 405:
			return "{\"error\":\"this method is not allowed here\"}\n";
		case 411:
			return "{\"error\":\"Content-Length or chunked transfer encoding is needed\"}\n";
		case 413:
			return "{\"error\":\"the body is too large\"}\n";
		default:
			return "{\"error\":\"not possible at the moment, try again\"}\n";
	}
}

static enum MHD_Result
queue_answer(SdRequestState *r)
{
	const char          *body = r->answer ? r->answer : standard_answer(r->status);
	bool                 metrics = r->public.kind == SD_REQUEST_METRICS && r->status == 200;
	struct MHD_Response *response;
	enum MHD_Result      result;

	response = MHD_create_response_from_buffer(strlen(body), (void *) body,
											   r->answer ? MHD_RESPMEM_MUST_COPY :
														   MHD_RESPMEM_PERSISTENT);
	if (response == NULL)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8" : "application/json");
	if (r->public.kind == SD_REQUEST_HEALTH || metrics)
		MHD_add_response_header(response, "Cache-Control", "no-store");
	if (r->allow != NULL)
		MHD_add_response_header(response, "Allow", r->allow);
	if (r->status == 503)
		MHD_add_response_header(response, "Retry-After", "5");
	if (r->status == 401)
		MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"salesdrive\"");
	result = MHD_queue_response(r->connection->mhd, r->status, response);
	MHD_destroy_response(response);
	if (result == MHD_YES)
		r->connection->server->counters->answers[r->status]++;
	return result;
}

/* the request is complete and belongs to the loop until it is answered */
static void
hand_over(SdRequestState *r)
{
	SdServer *server = r->connection->server;

	r->step = WAITING;
	r->public.next = NULL;
	if (server->last)
		server->last->next = &r->public;
	else
		server->first = &r->public;
	server->last = &r->public;
	if (r->public.kind == SD_REQUEST_WEBHOOK)
		server->counters->body_bytes += r->public.body_len;
	MHD_suspend_connection(r->connection->mhd);
}

static SdRequestState *
new_request(Connection *c)
{
	SdRequestState *r = calloc(1, sizeof(SdRequestState));

	if (r == NULL)
		return NULL;
	r->connection = c;
	r->public.state = r;
	r->public.address = c->address;
	c->request = r;
	return r;
}

/* callback: head, parts of the body, end of it, and after a resume */
static enum MHD_Result
on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
		   const char *version, const char *upload, size_t *upload_size, void **context)
{
	Connection     *c = connection_of(mhd);
	SdRequestState *r;

	(void) cls;
	(void) version;
	(void) context;
	if (c == NULL || c->phase == DOOMED)
		return MHD_NO;
	r = c->request;
	if (r == NULL)
	{
		r = new_request(c);
		if (r == NULL)
			return MHD_NO;
		set_deadline(c, c->until);
		if (!examine_head(r, url, method))
			return MHD_YES;
		c->linger = true;
		c->phase = ANSWERING;
		c->deadline = NO_DEADLINE;
		return queue_answer(r);
	}
	if (*upload_size > 0)
	{
		size_t n = *upload_size;

		*upload_size = 0;
		return take_part(r, upload, n) ? MHD_YES : MHD_NO;
	}
	c->phase = ANSWERING;
	c->deadline = NO_DEADLINE;
	if (r->status != 0)
		return queue_answer(r);
	if (r->step == IN_BODY)
		hand_over(r);
	return MHD_YES;
}

/* callback: the request line is there */
static void *
on_request_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	Connection *c = connection_of(mhd);

	(void) cls;
	(void) uri;
	if (c == NULL || c->phase == DOOMED)
		return NULL;
	if (c->phase == KEPT)
		await_request(c, monotonic_ms());
	c->phase = READING;
	return NULL;
}

static void
free_request(SdRequestState *r)
{
	drop_body(r);
	free(r->public.account);
	free(r->answer);
	free(r);
}

/* callback: answered, or given up */
static void
on_completed(void *cls, struct MHD_Connection *mhd, void **context,
			 enum MHD_RequestTerminationCode why)
{
	SdServer   *server = cls;
	Connection *c = connection_of(mhd);
	bool        ended;

	(void) context;
	if (c == NULL)
		return;
	if (why == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED && c->phase == READING)
		server->counters->timed_out++;
	else if (why != MHD_REQUEST_TERMINATED_COMPLETED_OK && c->phase == READING)
		server->counters->cut++;
	if (c->request != NULL)
		free_request(c->request);
	c->request = NULL;
	if (c->phase == DOOMED)
		return;
	c->phase = KEPT;
	c->received = bytes_received(c->fd, &ended);
	set_deadline(c, monotonic_ms() + server->config.request_timeout);
	notice_end(c, ended);
}

/* callback: paths are decoded here, part by part */
static size_t
on_unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
	(void) cls;
	(void) mhd;
	return strlen(text);
}


/* ---- the daemon ---- */

static bool
read_listen_address(const char *address, int port, struct sockaddr_storage *ss, socklen_t *len)
{
	struct sockaddr_in  *v4 = (struct sockaddr_in *) ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) ss;

	memset(ss, 0, sizeof(*ss));
	if (strcmp(address, "localhost") == 0)
		address = "127.0.0.1";
	else if (strcmp(address, "*") == 0)
		address = "0.0.0.0";
	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1)
	{
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*len = sizeof(*v4);
		return true;
	}
	if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1)
	{
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		*len = sizeof(*v6);
		return true;
	}
	return false;
}

/* a socket of our own: so the reason of a failure is known */
static int
listen_at(const SdServerConfig *config, char *error, size_t error_size)
{
	struct sockaddr_storage ss;
	socklen_t               len;
	int                     on = 1;
	int                     fd;

	if (!read_listen_address(config->address, config->port, &ss, &len))
	{
		snprintf(error, error_size, "\"%s\" is not an address", config->address);
		return -1;
	}
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
		(ss.ss_family != AF_INET6 ||
		 setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
		bind(fd, (struct sockaddr *) &ss, len) == 0 &&
		listen(fd, 1024) == 0)
		return fd;
	snprintf(error, error_size, "%s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static struct MHD_Daemon *
start_daemon(SdServer *server, int fd)
{
	const SdServerConfig *config = &server->config;
	unsigned int          flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *) config->certificate},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, (void *) config->key},
		{MHD_OPTION_END, 0, NULL}};
	struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

	if (config->certificate != NULL)
		flags |= MHD_USE_TLS;
	return MHD_start_daemon(flags, 0, on_accept, server, on_request, server,
							MHD_OPTION_LISTEN_SOCKET, fd,
							MHD_OPTION_CONNECTION_LIMIT, (unsigned int) config->max_connections,
							MHD_OPTION_CONNECTION_TIMEOUT,
							(unsigned int) ((config->idle_timeout + 999) / 1000),
							MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) CONNECTION_MEMORY,
							MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
							MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
							MHD_OPTION_URI_LOG_CALLBACK, on_request_line, server,
							MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, server,
							MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
							MHD_OPTION_ARRAY, config->certificate != NULL ? tls : none,
							MHD_OPTION_END);
}

SdServer *
sd_server_start(const SdServerConfig *config, SdServerCounters *counters,
				char *error, size_t error_size)
{
	SdServer *server;
	int       fd = listen_at(config, error, error_size);

	if (fd < 0)
		return NULL;
	server = calloc(1, sizeof(SdServer));
	if (server != NULL)
	{
		server->config = *config;
		server->counters = counters;
		server->next_deadline = NO_DEADLINE;
		server->now = monotonic_ms();
		if (config->metrics_token != NULL && config->metrics_token[0] != '\0')
			server->metrics_token = strdup(config->metrics_token);
		server->daemon = start_daemon(server, fd);
	}
	if (server == NULL || server->daemon == NULL)
	{
		snprintf(error, error_size, "%s", config->certificate != NULL ? "the HTTP server could not be started; are certificate and key right?" : "the HTTP server could not be started");
		close(fd);
		if (server != NULL)
			free(server->metrics_token);
		free(server);
		return NULL;
	}
	return server;
}

static void
free_accounts(SdServer *server)
{
	for (int i = 0; i < server->n_accounts; i++)
	{
		free(server->accounts[i].name);
		free(server->accounts[i].token);
	}
	free(server->accounts);
	server->accounts = NULL;
	server->n_accounts = 0;
}

void
sd_server_stop(SdServer *server)
{
	SdRequest *r;

	while ((r = sd_server_take(server)) != NULL)
		sd_server_answer(server, r, 503, NULL);
	sd_server_run(server);
	MHD_stop_daemon(server->daemon);
	for (int i = 0; i < server->n_lingering; i++)
		close(server->lingering[i].fd);
	free_accounts(server);
	free(server->metrics_token);
	free(server);
}

int
sd_server_fd(const SdServer *server)
{
	return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

int
sd_server_port(const SdServer *server)
{
	return server->config.port;
}

int
sd_server_connections(const SdServer *server)
{
	return server->n_connections;
}

size_t
sd_server_buffered(const SdServer *server)
{
	return server->buffered;
}

long
sd_server_timeout(SdServer *server)
{
	unsigned long long left;
	int64_t            result = -1;
	int64_t            now = monotonic_ms();

	if (server->first != NULL)
		return 0;
	if (MHD_get_timeout(server->daemon, &left) == MHD_YES)
		result = left > 3600 * 1000 ? 3600 * 1000 : (int64_t) left;
	if (server->next_deadline != NO_DEADLINE)
	{
		int64_t d = server->next_deadline > now ? server->next_deadline - now : 0;

		if (result < 0 || d < result)
			result = d;
	}
	if (server->n_lingering > 0 && (result < 0 || result > LINGER_STEP_MS))
		result = LINGER_STEP_MS;
	return (long) result;
}

void
sd_server_run(SdServer *server)
{
	unsigned long long left;
	bool               was_full;

	server->now = monotonic_ms();
	enforce_deadlines(server);
	for (int i = 0; i < RUNS_PER_TURN; i++)
	{
		was_full = server->n_connections >= server->config.max_connections;
		MHD_run(server->daemon);
		if (was_full && server->n_connections < server->config.max_connections)
			continue; /* it looks at the queue of the kernel again only now */
		if (MHD_get_timeout(server->daemon, &left) != MHD_YES || left > 0)
			break;
	}
	if (server->n_lingering > 0)
		drain_lingering(server);
}

bool
sd_server_accounts(SdServer *server, const char *const *names, const char *const *tokens, int n)
{
	free_accounts(server);
	server->accounts = calloc(n > 0 ? n : 1, sizeof(Account));
	if (server->accounts == NULL)
		return false;
	for (int i = 0; i < n; i++)
	{
		Account *a = &server->accounts[server->n_accounts];

		a->name = strdup(names[i]);
		a->token = strdup(tokens[i]);
		server->n_accounts++;
		if (a->name == NULL || a->token == NULL)
		{
			free_accounts(server);
			return false;
		}
	}
	return true;
}

SdRequest *
sd_server_take(SdServer *server)
{
	SdRequest *r = server->first;

	if (r == NULL)
		return NULL;
	server->first = r->next;
	if (server->first == NULL)
		server->last = NULL;
	r->next = NULL;
	return r;
}

void
sd_server_answer(SdServer *server, SdRequest *request, int status, const char *body)
{
	SdRequestState *r = request->state;

	(void) server;
	set_answer(r, status, body);
	r->step = ANSWERED;
	drop_body(r);
	MHD_resume_connection(r->connection->mhd);
}
