/*-------------------------------------------------------------------------
 *
 * client.c
 *	  HTTP requests, many at once, over libcurl's multi interface.
 *
 * Role: see client.h.  Called by tasks.c only.
 *
 * Invariants:
 *
 * - Callbacks of libcurl never throw: they record, sd_client_run() acts.  What
 *	 they allocate is allocated without the right to fail loudly.
 * - All signals are blocked around every call into libcurl, because it may
 *	 start a thread that resolves a name: a thread inherits the mask, and a
 *	 signal of PostgreSQL must never be handled in a foreign thread.
 * - A request that writes leaves at most once.  libcurl would send it again by
 *	 itself when a kept connection turns out to be dead; two things forbid that:
 *	 its body comes from a function that cannot rewind, and the callback before
 *	 sending lets it pass only once (that one covers requests without a body).
 * - A request that has waited in the queue for its total time-out does not leave
 *	 any more, nor one whose moment (leave_before) has passed by the wall clock,
 *	 however long the process slept between taking and sending it.  So nothing
 *	 is on its way later than its total time-out after that moment.
 * - $metadata, and a YML export, is read as it arrives and never held: what is kept of it is short
 *	 and bounded.  An answer that is none is let through to its end, unread.
 * - Each connection on the wire is accounted for as an external descriptor of
 *	 the process, and no more idle ones are kept than are accounted for.
 * - Every exchange is in exactly one place: the queue of its target, the list
 *	 of those running, the list of those finished, or in the caller's hands.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/ilist.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "client.h"
#include "compat.h"
#include "policy.h"
#include "wire.h"

#define MAX_SPARE_HANDLES 64
#define MAX_HEADER_BYTES  ((size_t) 256 * 1024)
#define KEEP_FOREIGN      ((size_t) 16 * 1024) /* of what came in place of such a document */
#define MAX_EVENTS        64
#define FIRST_ROOM        32      /* nothing is known of any target yet */
#define PROBE_ROOM        8       /* now and then, so that a new target is seen */
#define PROBE_US          1000000 /* beside busy ones */
#define LEAST_DEPTH       4       /* requests in hand for each connection */
#define MOST_DEPTH        16
#define FORGET_TARGET_US  (INT64CONST(600) * 1000 * 1000)
#define TOO_LATE          "not sent: too much time has passed since it was claimed; the server was held up"
#define IDLE_READ_S       30L /* a kept connection older than this is closed */
#define IDLE_WRITE_S      4L  /* for writes: below the usual 5 s of web servers */

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
	int        depth;    /* requests in hand wanted for each connection */
	int64      last_used;
	dlist_head queue; /* of Transfer */
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

static void start_ready(SdClient *client);
static void finish(Transfer *transfer, CURLcode code);

/* ---- small things ---- */

static int64
monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static double
ms_between(int64 from, int64 to)
{
	return (from == 0 || to <= from) ? 0.0 : (double) (to - from) / 1000.0;
}

/* around every call into libcurl, see above */
static void
block_signals(sigset_t *saved)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, saved);
}

static void
restore_signals(const sigset_t *saved)
{
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

/* ---- callbacks of libcurl: record only, never throw ---- */

static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	SdClient *client = arg;

	(void) multi;
	client->timer_at = timeout_ms < 0 ? 0 : monotonic_us() + (int64) timeout_ms * 1000;
	return 0;
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	SdClient          *client = arg;
	struct epoll_event event;

	(void) easy;
	(void) socket_arg;
	memset(&event, 0, sizeof(event));
	event.data.fd = fd;
	if (what == CURL_POLL_REMOVE)
	{
		epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, fd, &event);
		return 0;
	}
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	if (epoll_ctl(client->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0 &&
		epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -1;
	return 0;
}

/* sockets are not inherited by programs that SQL may start */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void) arg;
	(void) purpose;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* a pause of the whole machine stops the monotonic clock, not the wall's */
static bool
is_too_late(const Transfer *transfer)
{
	int64 limit = transfer->exchange.request.leave_before;

	return limit != 0 && GetCurrentTimestamp() - (monotonic_us() - transfer->left_at) >= limit;
}

#ifdef HAVE_PREREQ
static int
on_departure(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	Transfer *transfer = arg;

	(void) remote_ip;
	(void) local_ip;
	(void) remote_port;
	(void) local_port;
	if (transfer->departures > 0 && !transfer->is_read)
	{
		transfer->resend_refused = true;
		return CURL_PREREQFUNC_ABORT;
	}
	if (transfer->departures == 0 && is_too_late(transfer))
	{
		transfer->left_too_late = true;
		return CURL_PREREQFUNC_ABORT;
	}
	transfer->departures++;
	transfer->body_sent = 0;
	transfer->sent_at = monotonic_us();
	return CURL_PREREQFUNC_OK;
}
#endif

static size_t
on_read(char *out, size_t size, size_t count, void *arg)
{
	Transfer *transfer = arg;
	size_t    len = Min(size * count, transfer->body_len - transfer->body_sent);

	memcpy(out, transfer->exchange.request.body + transfer->body_sent, len);
	transfer->body_sent += len;
	return len;
}

static bool
is_header(const char *line, size_t len, const char *name)
{
	size_t name_len = strlen(name);

	return len > name_len && line[name_len] == ':' && pg_strncasecmp(line, name, name_len) == 0;
}

/* if the header line bears this name, its value goes to out, trimmed */
static void
take_header(const char *line, size_t len, const char *name, char *out, size_t out_size)
{
	size_t name_len = strlen(name);

	if (!is_header(line, len, name))
		return;
	line += name_len + 1;
	len -= name_len + 1;
	while (len > 0 && (*line == ' ' || *line == '\t'))
		line++, len--;
	while (len > 0 && (unsigned char) line[len - 1] <= ' ')
		len--;
	len = Min(len, out_size - 1);
	memcpy(out, line, len);
	out[len] = '\0';
}

static size_t
on_header(char *line, size_t size, size_t count, void *arg)
{
	Transfer *transfer = arg;
	size_t    len = size * count;

	if (transfer->first_byte_at == 0)
		transfer->first_byte_at = monotonic_us();
	transfer->header_bytes += len;
	if (transfer->header_bytes > MAX_HEADER_BYTES)
	{
		transfer->headers_too_large = true;
		return 0;
	}
	/* a status line begins a new block of headers, as after 100 Continue */
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
	{
		transfer->content_type[0] = transfer->retry_after[0] = transfer->location[0] = '\0';
		transfer->headers_ended = transfer->framed = false;
	}
	if (len > 0 && (line[0] == '\r' || line[0] == '\n'))
		transfer->headers_ended = true;
	if (is_header(line, len, "Content-Length") || is_header(line, len, "Transfer-Encoding"))
		transfer->framed = true;
	take_header(line, len, "Content-Type", transfer->content_type, sizeof(transfer->content_type));
	take_header(line, len, "Retry-After", transfer->retry_after, sizeof(transfer->retry_after));
	take_header(line, len, "Location", transfer->location, sizeof(transfer->location));
	return len;
}

/* false: too large, or no memory; the transfer remembers which */
static bool
keep_bytes(void *arg, const char *data, size_t len)
{
	Transfer *transfer = arg;
	size_t    wanted = transfer->buffer_len + len;

	if (wanted > (size_t) transfer->exchange.request.max_bytes)
	{
		transfer->too_large = true;
		return false;
	}
	if (wanted > transfer->buffer_size)
	{
		size_t bigger = Max(wanted, Max(transfer->buffer_size * 2, (size_t) 4096));
		char  *moved = MemoryContextAllocExtended(transfer->context, bigger,
												  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);

		if (moved == NULL)
		{
			transfer->no_memory = true;
			return false;
		}
		if (transfer->buffer != NULL)
		{
			memcpy(moved, transfer->buffer, transfer->buffer_len);
			pfree(transfer->buffer);
		}
		transfer->buffer = moved;
		transfer->buffer_size = bigger;
	}
	memcpy(transfer->buffer + transfer->buffer_len, data, len);
	transfer->buffer_len += len;
	return true;
}

/* the beginning is kept as it came, for the log when it turns out to be something else */
static bool
take_xml(Transfer *transfer, const char *data, size_t len)
{
	size_t head;

	if (transfer->xml == NULL)
	{
		transfer->foreign = MemoryContextAllocExtended(transfer->context, KEEP_FOREIGN, MCXT_ALLOC_NO_OOM);
		transfer->xml = sd_xml_create(transfer->exchange.request.xml, keep_bytes, transfer);
		if (transfer->foreign == NULL || transfer->xml == NULL)
		{
			transfer->no_memory = true;
			return false;
		}
	}
	head = Min(len, KEEP_FOREIGN - transfer->foreign_len);
	memcpy(transfer->foreign + transfer->foreign_len, data, head);
	transfer->foreign_len += head;
	sd_xml_feed(transfer->xml, data, len);
	return !transfer->too_large && !transfer->no_memory;
}

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	Transfer *transfer = arg;
	size_t    len = size * count;
	long      status = 0;

	transfer->exchange.body_bytes += (int64) len;
	if (transfer->exchange.request.xml != SD_XML_NONE)
		curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status < 300)
		return take_xml(transfer, data, len) ? len : 0;
	return keep_bytes(transfer, data, len) ? len : 0;
}

/* ---- life of the client ---- */

/* the handle leaves the multi and waits for the next transfer, or is freed */
static void
detach_handle(Transfer *transfer)
{
	SdClient *client = transfer->client;
	sigset_t  saved;

	if (transfer->easy == NULL)
		return;
	block_signals(&saved);
	curl_multi_remove_handle(client->multi, transfer->easy);
	if (client->nspare < MAX_SPARE_HANDLES)
	{
		curl_easy_reset(transfer->easy);
		client->spare[client->nspare++] = transfer->easy;
	}
	else
		curl_easy_cleanup(transfer->easy);
	curl_slist_free_all(transfer->header_list);
	restore_signals(&saved);
	transfer->easy = NULL;
	transfer->header_list = NULL;
}

/* the context of a transfer goes: so must libcurl's pointers into it */
static void
release_transfer(void *arg)
{
	Transfer *transfer = arg;

	detach_handle(transfer);
	sd_xml_destroy(transfer->xml);
	transfer->xml = NULL;
}

/* transfers live in child contexts and are gone already */
static void
release_client(void *arg)
{
	SdClient *client = arg;
	sigset_t  saved;

	block_signals(&saved);
	for (int i = 0; i < client->nspare; i++)
		curl_easy_cleanup(client->spare[i]);
	client->nspare = 0;
	if (client->multi != NULL)
		curl_multi_cleanup(client->multi);
	client->multi = NULL;
	restore_signals(&saved);
	if (client->epoll_fd >= 0)
		close(client->epoll_fd);
	client->epoll_fd = -1;
	for (; client->reserved > 0; client->reserved--)
		ReleaseExternalFD();
}

SdClient *
sd_client_create(MemoryContext parent)
{
	static bool   curl_is_ready = false;
	MemoryContext context = AllocSetContextCreate(parent, "salesdrive HTTP client",
												  ALLOCSET_DEFAULT_SIZES);
	SdClient     *client = MemoryContextAllocZero(context, sizeof(SdClient));
	sigset_t      saved;

	client->context = context;
	client->epoll_fd = -1;
	dlist_init(&client->targets);
	dlist_init(&client->all);
	dlist_init(&client->finished);
	client->release.func = release_client;
	client->release.arg = client;
	MemoryContextRegisterResetCallback(context, &client->release);

	block_signals(&saved);
	if (!curl_is_ready)
		curl_is_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	if (curl_is_ready)
		client->multi = curl_multi_init();
	if (client->multi != NULL)
	{
		curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
		curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
		curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer);
		curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
		curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, (long) CURLPIPE_NOTHING);
	}
	restore_signals(&saved);

	if (client->multi != NULL)
	{
		client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		if (client->epoll_fd >= 0)
			return client;
	}
	MemoryContextDelete(context);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("could not set up the HTTP client"),
			 errdetail("libcurl or an epoll descriptor could not be initialised: %m")));
	return NULL; /* not reached */
}

void
sd_client_destroy(SdClient *client)
{
	MemoryContextDelete(client->context);
}

int
sd_client_fd(const SdClient *client)
{
	return client->epoll_fd;
}

long
sd_client_timeout(const SdClient *client)
{
	int64 left;

	if (client->timer_at == 0)
		return -1;
	left = client->timer_at - monotonic_us();
	return left <= 0 ? 0 : (long) ((left + 999) / 1000);
}

int
sd_client_open(const SdClient *client)
{
	return client->queued + client->running;
}

int
sd_client_unsettled(const SdClient *client)
{
	return client->unsettled;
}

int
sd_client_aside(const SdClient *client)
{
	return client->aside;
}

int64 *
sd_client_tasks(const SdClient *client, int *count)
{
	int64     *tasks = palloc(sizeof(int64) * Max(sd_client_open(client) + client->unsettled + client->aside, 1));
	dlist_iter iter;

	*count = 0;
	dlist_foreach(iter, (dlist_head *) &client->all)
		tasks[(*count)++] = dlist_container(Transfer, all_node, iter.cur)->exchange.request.task_id;
	return tasks;
}

long
sd_client_longest(const SdClient *client)
{
	int64 left = client->last_end - monotonic_us();

	return sd_client_open(client) == 0 || left <= 0 ? 0 : (long) (left / 1000 + 1);
}

/* ---- targets ---- */

static Target *
find_target(SdClient *client, const SdRequest *request)
{
	dlist_mutable_iter iter;
	int64              now = monotonic_us();
	Target            *found = NULL;

	dlist_foreach_modify(iter, &client->targets)
	{
		Target *target = dlist_container(Target, node, iter.cur);

		if (strcmp(target->name, request->target) == 0)
			found = target;
		else if (target->running + target->queued + target->finished == 0 &&
				 now - target->last_used > FORGET_TARGET_US)
		{
			dlist_delete(&target->node);
			pfree(target->name);
			pfree(target);
		}
	}
	if (found == NULL)
	{
		found = MemoryContextAllocZero(client->context, sizeof(Target));
		found->name = MemoryContextStrdup(client->context, request->target);
		found->depth = LEAST_DEPTH;
		dlist_init(&found->queue);
		dlist_push_tail(&client->targets, &found->node);
	}
	found->max_connections = Max(request->max_connections, 1);
	found->last_used = now;
	return found;
}

/*
 * The depth of a target's queue follows its speed: a queue that runs dry while
 * the database works doubles, one that stays full shrinks.
 */
static void
adapt_depth(Target *target)
{
	if (target->finished >= target->max_connections && target->queued == 0 &&
		target->running < target->max_connections)
		target->depth = Min(target->depth * 2, MOST_DEPTH);
	else if (target->queued >= target->max_connections && target->depth > LEAST_DEPTH)
		target->depth--;
}

/* may be negative: more in hand than wanted */
static int
missing(const SdClient *client)
{
	int        wanted = 0;
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &client->targets)
	{
		Target *target = dlist_container(Target, node, iter.cur);

		wanted += target->depth * target->max_connections;
	}
	return (wanted == 0 ? FIRST_ROOM : wanted) - sd_client_open(client);
}

bool
sd_client_has_room(const SdClient *client)
{
	return missing(client) > 0 &&
		   sd_client_open(client) + client->unsettled + client->aside < SD_CLIENT_MAX_REQUESTS;
}

int
sd_client_room(SdClient *client)
{
	dlist_iter iter;
	int        room;

	dlist_foreach(iter, &client->targets)
		adapt_depth(dlist_container(Target, node, iter.cur));
	room = missing(client);
	if (room <= 0 && monotonic_us() - client->probed_at >= PROBE_US)
	{
		client->probed_at = monotonic_us();
		room = PROBE_ROOM;
	}
	room = Min(room, SD_CLIENT_MAX_REQUESTS - sd_client_open(client) - client->unsettled - client->aside);
	return Max(room, 0);
}

int
sd_client_depths(const SdClient *client, const char ***names, int **depths)
{
	int        count = 0;
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &client->targets)
		count++;
	*names = palloc(sizeof(char *) * Max(count, 1));
	*depths = palloc(sizeof(int) * Max(count, 1));
	count = 0;
	dlist_foreach(iter, (dlist_head *) &client->targets)
	{
		Target *target = dlist_container(Target, node, iter.cur);

		(*names)[count] = target->name;
		(*depths)[count++] = target->depth;
	}
	return count;
}

bool
sd_client_saturated(const SdClient *client)
{
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &client->targets)
	{
		Target *target = dlist_container(Target, node, iter.cur);

		if (target->finished > 0 &&
			(target->queued <= target->max_connections ||
			 target->running < target->max_connections))
			return false;
	}
	return true;
}

/* ---- taking a request ---- */

static char *
copy_string(MemoryContext context, const char *text)
{
	return text == NULL ? NULL : MemoryContextStrdup(context, text);
}

void
sd_client_add(SdClient *client, const SdRequest *request)
{
	MemoryContext context = AllocSetContextCreate(client->context, "salesdrive HTTP exchange",
												  ALLOCSET_SMALL_SIZES);
	Transfer     *transfer = MemoryContextAllocZero(context, sizeof(Transfer));
	SdRequest    *own = &transfer->exchange.request;

	*own = *request;
	own->target = copy_string(context, request->target);
	own->method = copy_string(context, request->method);
	own->url = copy_string(context, request->url);
	own->body = copy_string(context, request->body);
	own->username = copy_string(context, request->username);
	own->password = copy_string(context, request->password);
	own->ca_file = copy_string(context, request->ca_file);
	own->headers = MemoryContextAlloc(context, sizeof(char *) * Max(request->nheaders, 1));
	for (int i = 0; i < request->nheaders; i++)
		own->headers[i] = copy_string(context, request->headers[i]);

	transfer->context = context;
	transfer->client = client;
	transfer->url_len = strlen(own->url);
	transfer->body_len = own->body == NULL ? 0 : strlen(own->body);
	transfer->is_read = strcmp(own->method, "GET") == 0 || strcmp(own->method, "HEAD") == 0;
	transfer->queued_at = monotonic_us();
	transfer->release.func = release_transfer;
	transfer->release.arg = transfer;
	MemoryContextRegisterResetCallback(context, &transfer->release);

	transfer->target = find_target(client, request);
	dlist_push_tail(&transfer->target->queue, &transfer->exchange.node);
	transfer->target->queued++;
	client->queued++;
	dlist_push_tail(&client->all, &transfer->all_node);
	client->last_end = Max(client->last_end, transfer->queued_at + 2 * (int64) own->total_timeout * 1000);
}

/* ---- starting a request ---- */

static bool
is_loopback(const char *host)
{
	return pg_strcasecmp(host, "localhost") == 0 ||
		   strcmp(host, "[::1]") == 0 ||
		   (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

/* the reason not to send to this URL, or NULL */
static const char *
url_problem(const SdRequest *request)
{
	const char *problem = NULL;
	CURLU      *url;
	char       *scheme = NULL;
	char       *host = NULL;
	char       *user = NULL;

	for (const char *p = request->url; *p != '\0'; p++)
		if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f)
			return "the URL is not percent-encoded";
	url = curl_url();
	if (url == NULL ||
		curl_url_set(url, CURLUPART_URL, request->url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		problem = "the URL is malformed";
	else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		problem = "the URL is neither http nor https";
	else if (curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK)
		problem = "the URL carries a user name; credentials belong to the settings";
	else if (strcmp(scheme, "http") == 0 && !request->allow_http && !is_loopback(host))
		problem = "plain http is allowed to the local machine only, unless infobase.allow_http or account_api.allow_http is true";
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	curl_url_cleanup(url);
	return problem;
}

static const char *
request_problem(const Transfer *transfer)
{
	const SdRequest         *request = &transfer->exchange.request;
	static const char *const methods[] = {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"};
	bool                     known = false;

	for (int i = 0; i < (int) lengthof(methods); i++)
		known = known || strcmp(request->method, methods[i]) == 0;
	if (!known)
		return "the method is not one of GET, HEAD, POST, PATCH, PUT, DELETE";
	for (int i = 0; i < request->nheaders; i++)
		if (strpbrk(request->headers[i], "\r\n") != NULL || strchr(request->headers[i], ':') == NULL)
			return "a header is not of the form Name: value";
	if (request->max_bytes <= 0 || request->connect_timeout <= 0 || request->total_timeout <= 0)
		return "a time-out or the size limit of the answer is not positive";
	return url_problem(request);
}

static bool
has_header(const SdRequest *request, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; i < request->nheaders; i++)
		if (pg_strncasecmp(request->headers[i], name, len) == 0 && request->headers[i][len] == ':')
			return true;
	return false;
}

static bool
append_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (longer != NULL)
		*list = longer;
	return longer != NULL;
}

/* false when there is no memory */
static bool
make_headers(Transfer *transfer)
{
	const SdRequest    *request = &transfer->exchange.request;
	struct curl_slist **list = &transfer->header_list;
	bool                ok = append_header(list, "Expect:");

	if (!has_header(request, "Accept"))
		ok = ok && append_header(list, request->xml != SD_XML_NONE ? "Accept: application/xml" : "Accept: application/json");
	if (!has_header(request, "Content-Type"))
		ok = ok && append_header(list, request->body != NULL ?
										   "Content-Type: application/json; charset=utf-8" :
										   "Content-Type:");
	for (int i = 0; i < request->nheaders; i++)
		ok = ok && append_header(list, request->headers[i]);
	return ok;
}

static void
set_method(Transfer *transfer, CURL *easy)
{
	const SdRequest *request = &transfer->exchange.request;
	bool             is_post = strcmp(request->method, "POST") == 0;

	if (request->body != NULL || is_post)
	{
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) transfer->body_len);
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
	}
	else if (strcmp(request->method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	if (!is_post && strcmp(request->method, "HEAD") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);

		/* see the invariants at the top */
#ifdef HAVE_PREREQ
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_departure);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
#else
	if (!transfer->is_read)
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
#endif
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, transfer->is_read ? IDLE_READ_S : IDLE_WRITE_S);
}

static void
set_security(const SdRequest *request, CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (request->ca_file != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (request->username != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
		curl_easy_setopt(easy, CURLOPT_USERNAME, request->username);
		curl_easy_setopt(easy, CURLOPT_PASSWORD, request->password ? request->password : "");
	}
}

static void
set_handling(Transfer *transfer, CURL *easy)
{
	const SdRequest *request = &transfer->exchange.request;

	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
					 (long) Min(request->connect_timeout, request->total_timeout));
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) request->total_timeout);
	if (request->xml == SD_XML_NONE)
		curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) request->max_bytes);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->header_list);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
}

/* the exchange has an outcome */
static void
move_to_finished(Transfer *transfer)
{
	SdClient *client = transfer->client;

	transfer->target->finished++;
	transfer->target->last_used = monotonic_us();
	client->unsettled++;
	client->body_bytes += transfer->exchange.body_len;
	dlist_push_tail(&client->finished, &transfer->exchange.node);
}

/* ends a transfer that never reached the network */
static void
give_back(Transfer *transfer, SdTransport transport, const char *why)
{
	SdOutcome outcome = {0};

	outcome.transport = transport;
	outcome.is_read = transfer->is_read;
	outcome.body_empty = true;
	outcome.retry_after = -1;
	transfer->exchange.class_ = sd_policy_classify(&outcome);
	transfer->exchange.error = why;
	transfer->exchange.retry_after = -1;
	move_to_finished(transfer);
}

/* hands the transfer to libcurl; it leaves at the next step of the multi */
static bool
hand_over(Transfer *transfer)
{
	SdClient *client = transfer->client;
	sigset_t  saved;
	bool      ok;

	block_signals(&saved);
	transfer->easy = client->nspare > 0 ? client->spare[--client->nspare] : curl_easy_init();
	ok = transfer->easy != NULL && make_headers(transfer);
	if (ok)
	{
		set_handling(transfer, transfer->easy);
		set_method(transfer, transfer->easy);
		set_security(&transfer->exchange.request, transfer->easy);
		ok = curl_multi_add_handle(client->multi, transfer->easy) == CURLM_OK;
	}
	restore_signals(&saved);
	return ok;
}

/* a descriptor for one more connection; with none running there must be one */
static bool
reserve_connection(SdClient *client)
{
	sigset_t saved;

	if (client->running < client->reserved)
		return true;
	if (!AcquireExternalFD())
	{
		if (client->running > 0)
			return false;
		ReserveExternalFD();
	}
	client->reserved++;
	block_signals(&saved);
	curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long) client->reserved);
	restore_signals(&saved);
	return true;
}

static void
start(Target *target, Transfer *transfer)
{
	SdClient   *client = transfer->client;
	int64       waited;
	const char *problem;

	dlist_delete(&transfer->exchange.node);
	target->queued--;
	client->queued--;
	transfer->left_at = monotonic_us();
	transfer->exchange.started_at = GetCurrentTimestamp();
	transfer->exchange.ms_queue = ms_between(transfer->queued_at, transfer->left_at);

	waited = (transfer->left_at - transfer->queued_at) / 1000;
	problem = request_problem(transfer);
	if (problem != NULL)
		give_back(transfer, SD_TRANSPORT_REFUSED, problem);
	else if (waited >= transfer->exchange.request.total_timeout)
		give_back(transfer, SD_TRANSPORT_NOT_SENT,
				  "not sent: no connection of its target became free within the total time-out");
	else if (is_too_late(transfer))
		give_back(transfer, SD_TRANSPORT_NOT_SENT, TOO_LATE);
	else if (!hand_over(transfer))
	{
		detach_handle(transfer);
		give_back(transfer, SD_TRANSPORT_BUG, "not sent: libcurl refused the request or had no memory");
	}
	else
	{
		target->running++;
		client->running++;
	}
}

/* every target gets what its limit allows, one request each in turn */
static void
start_ready(SdClient *client)
{
	bool again = client->queued > 0;

	while (again)
	{
		dlist_iter iter;

		again = false;
		dlist_foreach(iter, &client->targets)
		{
			Target *target = dlist_container(Target, node, iter.cur);

			if (target->queued == 0 || target->running >= target->max_connections)
				continue;
			if (client->body_bytes > SD_CLIENT_MAX_BODIES || !reserve_connection(client))
				return;
			start(target, dlist_head_element(Transfer, exchange.node, &target->queue));
			again = true;
		}
	}
}

/* ---- finishing a request ---- */

/* libcurl's sentence, and for a time-out where the time went */
static void
describe_failure(Transfer *transfer, CURLcode code)
{
	const SdRequest *request = &transfer->exchange.request;
	curl_off_t       name_at = 0;
	curl_off_t       connect_at = 0;
	const char      *phase;
	size_t           len;

	if (transfer->error[0] == '\0')
		strlcpy(transfer->error, curl_easy_strerror(code), sizeof(transfer->error));
	transfer->exchange.error = transfer->error;
	if (transfer->resend_refused || code == CURLE_SEND_FAIL_REWIND)
	{
		transfer->exchange.error = "the peer closed a kept connection after the request had been sent; it was not sent again";
		return;
	}
	if (transfer->left_too_late)
	{
		transfer->exchange.error = TOO_LATE;
		return;
	}
	if (code == CURLE_OK)
	{
		transfer->exchange.error = "the connection closed before the answer was complete";
		return;
	}
	if (transfer->headers_too_large)
	{
		transfer->exchange.error = "the headers of the answer are larger than 256 kB";
		return;
	}
	if (transfer->no_memory)
	{
		transfer->exchange.error = "out of memory while receiving the answer";
		return;
	}
	if (transfer->too_large || code == CURLE_FILESIZE_EXCEEDED)
	{
		snprintf(transfer->error, sizeof(transfer->error),
				 request->xml != SD_XML_NONE ? "what is to be kept of the answer is larger than the limit of " INT64_FORMAT " bytes" :
											   "the answer is larger than the limit of " INT64_FORMAT " bytes",
				 request->max_bytes);
		return;
	}
	if (code != CURLE_OPERATION_TIMEDOUT)
		return;

	curl_easy_getinfo(transfer->easy, CURLINFO_NAMELOOKUP_TIME_T, &name_at);
	curl_easy_getinfo(transfer->easy, CURLINFO_CONNECT_TIME_T, &connect_at);
	if (transfer->first_byte_at != 0)
		phase = "receiving the answer";
	else if (transfer->departures > 0 && transfer->body_sent < transfer->body_len)
		phase = "sending the body of the request";
	else if (transfer->departures > 0)
		phase = "waiting for the first byte of the answer";
	else if (connect_at > 0 || strncmp(transfer->error, "SSL", 3) == 0)
		phase = "waiting for the TLS handshake";
	else if (name_at > 0)
		phase = "waiting for the connection";
	else
		phase = "waiting for the name to be resolved";
	len = strlen(transfer->error);
	snprintf(transfer->error + len, sizeof(transfer->error) - len,
			 "; the time went into %s", phase);
}

/*
 * libcurl takes a connection that closes for the end of an answer, also in the
 * middle of the headers, or before a body of unknown length has begun.
 */
static bool
ended_early(const Transfer *transfer, long status)
{
	if (!transfer->headers_ended)
		return true;
	return transfer->exchange.body_bytes == 0 && !transfer->framed && status != 204 &&
		   strcmp(transfer->exchange.request.method, "HEAD") != 0;
}

static SdTransport
transport_of(Transfer *transfer, CURLcode code, long status)
{
	bool sent = transfer->departures > 0;

#ifndef HAVE_PREREQ
	long request_size = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &request_size);
	sent = request_size > 0;
#endif
	if (transfer->resend_refused || transfer->no_memory)
		return SD_TRANSPORT_LOST;
	if (code == CURLE_OK && ended_early(transfer, status))
		return SD_TRANSPORT_TRUNCATED;
	return sd_policy_transport((int) code, sent);
}

/* what an answer that is not as it should be is called in 'error' */
static void
describe_answer(Transfer *transfer, const SdJsonError *json)
{
	SdExchange *exchange = &transfer->exchange;

	if (exchange->class_ == SD_CLASS_OK)
		return;
	if (exchange->http_status >= 200 && exchange->http_status < 300 && exchange->body == NULL)
		strlcpy(transfer->error, "the answer is empty", sizeof(transfer->error));
	else if (transfer->xml != NULL && sd_xml_problem(transfer->xml) != NULL)
		strlcpy(transfer->error, sd_xml_problem(transfer->xml), sizeof(transfer->error));
	else if (exchange->http_status >= 200 && exchange->http_status < 300)
		snprintf(transfer->error, sizeof(transfer->error),
				 "the answer is not JSON: %s at line %d, column %d",
				 json->message, json->line, json->column);
	else if (exchange->http_status >= 300 && exchange->http_status < 400)
		snprintf(transfer->error, sizeof(transfer->error),
				 "the server redirects to \"%s\"; redirects are not followed", transfer->location);
	else
		snprintf(transfer->error, sizeof(transfer->error),
				 "the server answered with status %d", exchange->http_status);
	exchange->error = transfer->error;
}

/* body, headers and class of a transfer that libcurl has ended */
static void
read_outcome(Transfer *transfer, CURLcode code)
{
	SdExchange *exchange = &transfer->exchange;
	SdOutcome   outcome = {0};
	SdJsonError json = {0};
	long        status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	outcome.transport = transport_of(transfer, code, status);
	outcome.is_read = transfer->is_read;
	if (transfer->xml != NULL && !sd_xml_end(transfer->xml))
	{
		transfer->buffer = transfer->foreign;
		transfer->buffer_len = transfer->foreign_len;
	}
	if (outcome.transport == SD_TRANSPORT_ANSWERED && transfer->buffer_len > 0)
	{
		exchange->body_len = transfer->buffer_len;
		exchange->body = transfer->buffer;
	}
	if (exchange->body != NULL && exchange->body != transfer->foreign)
		exchange->body_is_json = sd_json_check(exchange->body, exchange->body_len,
											   SD_JSON_MAX_DEPTH, &json);
	if (transfer->content_type[0] != '\0')
		exchange->content_type = transfer->content_type;
	exchange->retry_after = transfer->retry_after[0] == '\0' ? -1 :
															   sd_retry_after(transfer->retry_after, time(NULL));
	if (outcome.transport == SD_TRANSPORT_ANSWERED)
	{
		exchange->http_status = (int) status;
		if (status >= 300 && exchange->body_len > 0 &&
			sd_odata_error(exchange->body, exchange->body_len,
						   transfer->odata_code, sizeof(transfer->odata_code),
						   transfer->odata_message, sizeof(transfer->odata_message)))
		{
			exchange->odata_code = transfer->odata_code;
			exchange->odata_message = transfer->odata_message;
		}
	}
	outcome.http_status = exchange->http_status;
	outcome.body_empty = exchange->body_len == 0;
	outcome.body_is_json = exchange->body_is_json;
	outcome.odata_code = exchange->odata_code;
	outcome.retry_after = exchange->retry_after;
	exchange->class_ = sd_policy_classify(&outcome);
	if (outcome.transport == SD_TRANSPORT_ANSWERED)
		describe_answer(transfer, &json);
	else
		describe_failure(transfer, code);
}

static void
read_timings(Transfer *transfer)
{
	SdExchange *exchange = &transfer->exchange;
	curl_off_t  connect_at = 0;
	curl_off_t  tls_at = 0;
	long        new_connections = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &new_connections);
	if (new_connections > 0)
	{
		curl_easy_getinfo(transfer->easy, CURLINFO_CONNECT_TIME_T, &connect_at);
		curl_easy_getinfo(transfer->easy, CURLINFO_APPCONNECT_TIME_T, &tls_at);
		exchange->ms_connect = (double) connect_at / 1000.0;
		exchange->ms_tls = ms_between((int64) connect_at, (int64) tls_at);
	}
	exchange->ms_first_byte = ms_between(transfer->sent_at, transfer->first_byte_at);
	exchange->ms_total = ms_between(transfer->left_at, monotonic_us());
}

static void
finish(Transfer *transfer, CURLcode code)
{
	read_outcome(transfer, code);
	read_timings(transfer);
	detach_handle(transfer);
	transfer->target->running--;
	transfer->client->running--;
	move_to_finished(transfer);
}

/* ---- the turn of the network ---- */

static void
serve_sockets(SdClient *client)
{
	struct epoll_event events[MAX_EVENTS];
	int                count = epoll_wait(client->epoll_fd, events, MAX_EVENTS, 0);
	int                left;
	sigset_t           saved;

	if (count <= 0)
		return;
	block_signals(&saved);
	for (int i = 0; i < count; i++)
	{
		int what = 0;

		if (events[i].events & (EPOLLIN | EPOLLHUP))
			what |= CURL_CSELECT_IN;
		if (events[i].events & EPOLLOUT)
			what |= CURL_CSELECT_OUT;
		if (events[i].events & EPOLLERR)
			what |= CURL_CSELECT_ERR;
		curl_multi_socket_action(client->multi, events[i].data.fd, what, &left);
	}
	restore_signals(&saved);
}

/* libcurl's timer is one-shot: forget it before telling that it has passed */
static bool
serve_timer(SdClient *client)
{
	sigset_t saved;
	int      left;

	if (client->timer_at == 0 || client->timer_at > monotonic_us())
		return false;
	client->timer_at = 0;
	block_signals(&saved);
	curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &left);
	restore_signals(&saved);
	return true;
}

static bool
collect_finished(SdClient *client)
{
	bool any = false;

	for (;;)
	{
		CURLMsg *message;
		CURLcode code;
		char    *arg = NULL;
		int      left;

		message = curl_multi_info_read(client->multi, &left);
		if (message == NULL)
			return any;
		if (message->msg != CURLMSG_DONE)
			continue;
		code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &arg);
		finish((Transfer *) arg, code);
		any = true;
	}
}

/*
 * Rounds are bounded so that a peer as fast as we are cannot keep us from the
 * database; what is left over makes the fd readable or the timer due.
 */
void
sd_client_run(SdClient *client)
{
	for (int round = 0; round < 4; round++)
	{
		bool moved;

		serve_sockets(client);
		moved = serve_timer(client);
		moved |= collect_finished(client);
		start_ready(client);
		if (!moved && (client->timer_at == 0 || client->timer_at > monotonic_us()))
			break;
	}
}

SdExchange *
sd_client_finished(SdClient *client)
{
	if (dlist_is_empty(&client->finished))
		return NULL;
	return dlist_container(SdExchange, node, dlist_pop_head_node(&client->finished));
}

void
sd_client_release(SdClient *client, SdExchange *exchange)
{
	Transfer *transfer = (Transfer *) exchange;

	if (exchange->aside)
	{
		client->aside--;
		client->aside_bytes -= exchange->body_len;
	}
	else
	{
		transfer->target->finished--;
		client->unsettled--;
		client->body_bytes -= exchange->body_len;
	}
	dlist_delete(&transfer->all_node);
	MemoryContextDelete(transfer->context);
}

void
sd_client_set_aside(SdClient *client, SdExchange *exchange)
{
	Transfer *transfer = (Transfer *) exchange;

	if (exchange->aside)
		return;
	exchange->aside = true;
	transfer->target->finished--;
	client->unsettled--;
	client->body_bytes -= exchange->body_len;
	client->aside++;
	if (client->aside_bytes + exchange->body_len > SD_CLIENT_MAX_ASIDE)
	{
		pfree(transfer->buffer);
		transfer->buffer = NULL;
		exchange->body = NULL;
		exchange->body_len = 0;
		exchange->body_dropped = true;
	}
	client->aside_bytes += exchange->body_len;
}
