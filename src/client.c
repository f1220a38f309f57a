/*-------------------------------------------------------------------------
 *
 * client.c
 *	  HTTP requests, many at once, over libcurl's multi interface.
 *
 * Role: see client.h.  The life of the client, its queues and the turn of the
 * network; what each target wants in hand is targets.c, how one request leaves
 * departure.c, what becomes of its answer arrival.c.  Called by the engine and
 * probe.c.
 *
 * Invariants:
 *
 * - Callbacks of libcurl never throw: they record, sd_client_run() acts.
 * - All signals are blocked around every call into libcurl, because it may
 *	 start a thread that resolves a name: a thread inherits the mask, and a
 *	 signal of PostgreSQL must never be handled in a foreign thread.
 * - A request that has waited in the queue for its total time-out does not leave
 *	 any more, nor one whose moment (leave_before) has passed by the wall clock.
 *	 So nothing is on its way later than its total time-out after that moment.
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
#include <unistd.h>

#include "lib/ilist.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "client.h"
#include "compat.h"
#include "policy.h"
#include "transfer.h"

#define MAX_EVENTS 64

/* ---- signals ---- */

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

/*
 * A connection that libcurl wants to read from has been made, though its TLS
 * may have to come.  Since 8 libcurl tells when only after the handshake.
 */
static void
note_connection(CURL *easy)
{
	Transfer  *transfer = NULL;
	curl_off_t name_at = 0;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
	curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &name_at);
	if (transfer != NULL && name_at > 0) /* else its resolver is read */
		transfer->connected = true;
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	SdClient          *client = arg;
	struct epoll_event event;

	(void) socket_arg;
	memset(&event, 0, sizeof(event));
	event.data.fd = fd;
	if (what == CURL_POLL_REMOVE)
	{
		epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, fd, &event);
		return 0;
	}
	if (what & CURL_POLL_IN)
	{
		event.events |= EPOLLIN;
		note_connection(easy);
	}
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	if (epoll_ctl(client->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0 &&
		epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -1;
	return 0;
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

	transfer->target = sd_target_find(client, request);
	dlist_push_tail(&transfer->target->queue, &transfer->exchange.node);
	transfer->target->queued++;
	client->queued++;
	dlist_push_tail(&client->all, &transfer->all_node);
	client->last_end = Max(client->last_end, transfer->queued_at + 2 * (int64) own->total_timeout * 1000);
}

/* ---- starting a request ---- */

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
	ok = transfer->easy != NULL && sd_departure_prepare(transfer);
	if (ok)
	{
		sd_arrival_prepare(transfer);
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
	problem = sd_departure_problem(transfer);
	if (problem != NULL)
		give_back(transfer, SD_TRANSPORT_REFUSED, problem);
	else if (waited >= transfer->exchange.request.total_timeout)
		give_back(transfer, SD_TRANSPORT_NOT_SENT,
				  "not sent: no connection of its target became free within the total time-out");
	else if (sd_departure_is_late(transfer))
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

static void
finish(Transfer *transfer, CURLcode code)
{
	sd_arrival_read(transfer, code);
	detach_handle(transfer);
	sd_target_took(transfer->target, monotonic_us() - transfer->left_at);
	transfer->target->running--;
	transfer->client->running--;
	move_to_finished(transfer);
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
