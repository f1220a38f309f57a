/*-------------------------------------------------------------------------
 *
 * intake.c
 *	  The intake of a request: its head, its body, its answer.
 *
 * Role: see connection.h.  Called by server.c only, and by libmicrohttpd.
 *
 * Invariants
 *
 *	- A request is taken in steps: head (framing, route, method, token), body,
 *	  and only when it is complete it waits, suspended, for the loop's answer.
 *	- Bytes of a body are kept for a webhook whose token was found right, and of
 *	  no other request.
 *	- A POST without a length counts as empty for the library, and one with two
 *	  lengths is taken: both are refused here.
 *	- Memory: at most max_body a request and max_buffered in all.
 *
 *-------------------------------------------------------------------------
 */
#include "connection.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h> /* SHUT_WR */

#include "wire.h"

#define FIRST_CHUNK (64 * 1024)

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

/*
 * A blank before its colon stands in the name the library gives, and so does,
 * without one, the value of a header that is folded; a hyphen and a letter, or
 * an underscore, make it the name of another header.
 */
static bool
is_bent(const char *name, const char *header)
{
	size_t len = strlen(header);

	return strncasecmp(name, header, len) == 0 && name[len] != '_' && !(name[len] == '-' && isalpha((unsigned char) name[len + 1]));
}

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
	else if (is_bent(name, "Content-Length") || is_bent(name, "Transfer-Encoding"))
		f->lengths = 99; /* another server may read it */
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
	sd_connection_answer_raw(r->connection, 413, "{\"error\":\"the body is too large\"}\n", SHUT_WR);
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
		(void) sd_connection_received(r->connection->fd, &ended);
		sd_connection_notice_end(r->connection, ended);
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

static Connection *
connection_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

enum MHD_Result
sd_intake_on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
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
		sd_connection_set_deadline(c, c->until);
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

void *
sd_intake_on_request_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	Connection *c = connection_of(mhd);

	(void) cls;
	(void) uri;
	if (c == NULL || c->phase == DOOMED)
		return NULL;
	if (c->phase == KEPT)
		sd_connection_await(c, monotonic_ms());
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

void
sd_intake_on_completed(void *cls, struct MHD_Connection *mhd, void **context,
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
	c->received = sd_connection_received(c->fd, &ended);
	sd_connection_set_deadline(c, monotonic_ms() + server->config.request_timeout);
	sd_connection_notice_end(c, ended);
}

/* callback: paths are decoded here, part by part */
size_t
sd_intake_on_unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
	(void) cls;
	(void) mhd;
	return strlen(text);
}

void
sd_intake_answer(SdRequestState *r, int status, const char *body)
{
	set_answer(r, status, body);
	r->step = ANSWERED;
	drop_body(r);
	MHD_resume_connection(r->connection->mhd);
}
