/*-------------------------------------------------------------------------
 *
 * receiver.c
 *	  The receiver: takes webhooks from the HTTP server and keeps them.
 *
 * Role: the loop of the worker `salesdrive receiver`.  Brings server.c (no
 * database) and inbox.c (no network) together: every webhook complete in one
 * turn is kept under one COMMIT, and answered only after it.
 *
 * Invariants: 200 means committed.  While the process waits it has no open
 * transaction.  It listens exactly where it is told, or says why not and tries
 * again; and not at all while the database is quiet (a copy that was not
 * adopted).  Memory of a turn is freed at its end.
 *
 *-------------------------------------------------------------------------
 */
#include "salesdrive.h"

#include <sys/resource.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "inbox.h"
#include "loop.h"
#include "server.h"
#include "wire.h"

#define SD_BUFFERED_MIN        ((size_t) 64 * 1024 * 1024)
#define SD_PEM_MAX             (256 * 1024)
#define SD_BIND_BACKOFF_MAX_MS (60 * 1000)
#define SD_HEALTH_AGE_MS       1000
#define SD_METRICS_AGE_MS      (5 * 1000)
#define SD_FIRST_READ_MS       (5 * 1000)

typedef struct Receiver
{
	MemoryContext    life;   /* the loop */
	MemoryContext    turn;   /* reset after each turn */
	MemoryContext    listen; /* loop and certificates of one server */
	SdServer        *server; /* NULL when not listening */
	SdServerCounters counters;
	SdLoop          *loop;
	uint32           generation; /* of the settings that were read */
	bool             reread;     /* accounts must be read again */
	bool             known;      /* health was read at least once */
	bool             quiet;
	bool             failing; /* the last webhooks could not be kept */
	TimestampTz      sweep_at;
	TimestampTz      bind_at; /* next attempt to listen */
	int              bind_failures;
	char             bind_error[SD_ERROR_LEN];
	SdHealth         health;
	TimestampTz      health_at;  /* when it was read */
	MemoryContext    figures;    /* of the exchange, for /metrics */
	char            *metrics;    /* NULL: could not be read */
	TimestampTz      metrics_at; /* when they were read */
	uint64           commits;
	uint64           kept;
	uint64           not_json;
} Receiver;


/* ---- listening ---- */

/* a file of the server, into the context of the listener */
static char *
read_pem(Receiver *rc, const char *path, char *error, size_t error_size)
{
	FILE  *f = AllocateFile(path, "r");
	char  *text;
	size_t n;

	if (f == NULL)
	{
		snprintf(error, error_size, "could not open file \"%s\": %s", path, strerror(errno));
		return NULL;
	}
	text = MemoryContextAllocZero(rc->listen, SD_PEM_MAX + 1);
	n = fread(text, 1, SD_PEM_MAX, f);
	FreeFile(f);
	if (n > 0)
		return text;
	snprintf(error, error_size, "file \"%s\" is empty or cannot be read", path);
	return NULL;
}

/* leaves descriptors for the rest of the process */
static int
connection_limit(void)
{
	struct rlimit rl;
	int           limit = sd_guc_max_connections;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur != RLIM_INFINITY &&
		(rlim_t) limit + 128 > rl.rlim_cur)
	{
		limit = rl.rlim_cur > 256 ? (int) rl.rlim_cur - 128 : (int) rl.rlim_cur / 2;
		ereport(WARNING,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("salesdrive.max_connections is lowered to %d, for the limit of open files is %d",
						limit, (int) rl.rlim_cur),
				 errhint("Raise the limit of open files of the server (ulimit -n, LimitNOFILE).")));
	}
	return limit;
}

static bool
fill_config(Receiver *rc, SdServerConfig *config, char *error, size_t error_size)
{
	memset(config, 0, sizeof(*config));
	config->address = sd_guc_listen_address;
	config->port = sd_guc_port;
	config->max_body = sd_guc_max_body;
	config->swallow_limit = sd_guc_swallow_limit;
	config->max_buffered = Max(SD_BUFFERED_MIN, 4 * (size_t) sd_guc_max_body);
	config->max_connections = connection_limit();
	config->max_per_address = sd_guc_max_connections_per_address;
	config->request_timeout = sd_guc_request_timeout;
	config->idle_timeout = sd_guc_idle_timeout;
	if (sd_guc_metrics_token[0] != '\0')
		config->metrics_token = sd_inbox_secret(rc->listen, sd_guc_metrics_token);
	if (sd_guc_tls_certificate[0] == '\0' && sd_guc_tls_key[0] == '\0')
		return true;
	config->certificate = read_pem(rc, sd_guc_tls_certificate, error, error_size);
	if (config->certificate != NULL)
		config->key = read_pem(rc, sd_guc_tls_key, error, error_size);
	return config->key != NULL;
}

static void
stop_listening(Receiver *rc)
{
	if (rc->server != NULL)
		sd_server_stop(rc->server);
	rc->server = NULL;
	sd_worker_listening("", 0);
	MemoryContextReset(rc->listen); /* frees the loop too */
	MemoryContextSwitchTo(rc->listen);
	rc->loop = sd_loop_create(PGINVALID_SOCKET);
	MemoryContextSwitchTo(rc->life);
}

/* says it once, and again when the reason changes */
static void
bind_failed(Receiver *rc, const char *reason)
{
	char text[SD_ERROR_LEN];
	long delay = Min(1000L << Min(rc->bind_failures, 6), SD_BIND_BACKOFF_MAX_MS);

	rc->bind_failures++;
	rc->bind_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
	snprintf(text, sizeof(text), "cannot listen at %s port %d: %s",
			 sd_guc_listen_address, sd_guc_port, reason);
	sd_worker_report(text);
	sd_worker_listening(NULL, 0);
	if (strcmp(text, rc->bind_error) == 0)
		return;
	strlcpy(rc->bind_error, text, SD_ERROR_LEN);
	(void) sd_inbox_note_workers();
	ereport(WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("salesdrive receiver %s", text),
			 errdetail("It tries again with growing pauses of at most a minute, and never at another port."),
			 errhint("Is another process listening there? Set salesdrive.listen_address and salesdrive.port of this database (ALTER DATABASE ... SET), then call salesdrive.restart_workers().")));
}

static void
start_listening(Receiver *rc)
{
	SdServerConfig config;
	char           error[SD_ERROR_LEN] = "";

	stop_listening(rc);
	if (fill_config(rc, &config, error, sizeof(error)))
		rc->server = sd_server_start(&config, &rc->counters, error, sizeof(error));
	if (rc->server == NULL)
	{
		bind_failed(rc, error);
		return;
	}
	rc->bind_failures = 0;
	rc->bind_error[0] = '\0';
	rc->reread = true;
	sd_loop_free(rc->loop);
	MemoryContextSwitchTo(rc->listen);
	rc->loop = sd_loop_create(sd_server_fd(rc->server));
	MemoryContextSwitchTo(rc->life);
	sd_worker_report(NULL);
	sd_worker_listening(sd_guc_listen_address, sd_guc_port);
	(void) sd_inbox_note_workers(); /* an incident of before is over */
	ereport(LOG,
			(errmsg("salesdrive receiver listens at %s port %d%s", sd_guc_listen_address,
					sd_guc_port, config.certificate ? " (TLS)" : "")));
}


/* ---- settings and sweep ---- */

static bool
read_accounts(Receiver *rc)
{
	SdAccounts accounts;

	if (!sd_inbox_accounts(rc->turn, &accounts))
		return false;
	return sd_server_accounts(rc->server, (const char *const *) accounts.names,
							  (const char *const *) accounts.tokens, accounts.n);
}

/* an error leaves the answer as it was, above all whether to be quiet */
static void
read_health(Receiver *rc)
{
	rc->known |= sd_inbox_health(&rc->health);
	rc->health_at = GetCurrentTimestamp();
	rc->quiet = rc->health.quiet[0] != '\0';
}

static void
sweep(Receiver *rc, TimestampTz now)
{
	(void) sd_inbox_prepare_partitions();
	read_health(rc);
	if (rc->known && !rc->quiet)
		(void) sd_inbox_note_workers();
	rc->sweep_at = TimestampTzPlusMilliseconds(now, rc->known ? sd_guc_sweep_interval :
																SD_FIRST_READ_MS);
}

/* what is done at the start, after a change of settings, and at each sweep */
static void
look_around(Receiver *rc)
{
	TimestampTz now = GetCurrentTimestamp();
	uint32      generation = sd_settings_generation();

	if (generation != rc->generation || now >= rc->sweep_at)
	{
		if (now >= rc->sweep_at)
			sweep(rc, now);
		else
			read_health(rc);
		rc->generation = generation;
		rc->reread = true;
	}
	if (rc->quiet || !rc->known)
	{
		if (rc->server != NULL)
			stop_listening(rc);
		if (rc->quiet)
			sd_worker_report_quiet(rc->health.quiet);
		else
			sd_worker_report("the database could not be read; see the server log");
		rc->bind_at = now;
		return;
	}
	if (rc->server == NULL && now >= rc->bind_at)
		start_listening(rc);
	if (rc->server != NULL && rc->reread)
		rc->reread = !read_accounts(rc);
}


/* ---- webhooks ---- */

typedef struct Batch
{
	int          n;
	int          size;
	SdRequest  **requests;
	SdDelivery  *deliveries;
	SdJsonError *errors;
} Batch;

static void
add_webhook(Receiver *rc, Batch *b, SdRequest *r)
{
	SdDelivery  *d;
	SdJsonError *e;

	if (b->n == b->size)
	{
		int size = b->size ? b->size * 2 : 64;

		b->requests = b->size ? repalloc(b->requests, size * sizeof(SdRequest *)) :
								palloc(size * sizeof(SdRequest *));
		b->deliveries = b->size ? repalloc(b->deliveries, size * sizeof(SdDelivery)) :
								  palloc(size * sizeof(SdDelivery));
		b->errors = b->size ? repalloc(b->errors, size * sizeof(SdJsonError)) :
							  palloc(size * sizeof(SdJsonError));
		b->size = size;
	}
	b->requests[b->n] = r;
	d = &b->deliveries[b->n];
	e = &b->errors[b->n];
	b->n++;
	memset(d, 0, sizeof(*d));
	d->account = r->account;
	d->body = r->body;
	d->body_len = r->body_len;
	d->address = r->address;
	if (!sd_json_check(r->body ? r->body : "", r->body_len, SD_JSON_MAX_DEPTH, e))
	{
		d->problem = psprintf("%s, line %d, column %d (byte %zu)",
							  e->message, e->line, e->column, e->offset);
		rc->not_json++;
	}
}

static void
answer_webhook(Receiver *rc, SdRequest *r, const SdDelivery *d, const SdJsonError *e)
{
	char message[256];
	char text[512];

	if (!d->kept)
		sd_server_answer(rc->server, r, 503, NULL);
	else if (d->problem == NULL)
		sd_server_answer(rc->server, r, 200, NULL);
	else
	{
		snprintf(text, sizeof(text),
				 "{\"error\":\"the body is not JSON\",\"detail\":\"%s\",\"line\":%d,\"column\":%d,\"offset\":%zu}\n",
				 sd_json_quote(e->message, message, sizeof(message)), e->line, e->column, e->offset);
		sd_server_answer(rc->server, r, 400, text);
	}
}

static void
keep_batch(Receiver *rc, Batch *b)
{
	int kept = sd_inbox_keep(b->deliveries, b->n);

	rc->kept += kept;
	rc->commits++;
	if (rc->failing != (kept < b->n))
	{
		rc->failing = kept < b->n;
		sd_worker_report(rc->failing ? "webhooks could not be kept; see the server log" : NULL);
	}
	for (int i = 0; i < b->n; i++)
		answer_webhook(rc, b->requests[i], &b->deliveries[i], &b->errors[i]);
}


/* ---- /health and /metrics ---- */

/* at most once a second, however often it is asked for */
static void
refresh_health(Receiver *rc)
{
	if (rc->health_at == 0 ||
		TimestampDifferenceExceeds(rc->health_at, GetCurrentTimestamp(), SD_HEALTH_AGE_MS))
		read_health(rc);
}

/* the figures of the database cost it something, so they may be some seconds old */
static void
refresh_metrics(Receiver *rc)
{
	if (rc->metrics_at != 0 &&
		!TimestampDifferenceExceeds(rc->metrics_at, GetCurrentTimestamp(), SD_METRICS_AGE_MS))
		return;
	MemoryContextReset(rc->figures);
	rc->metrics = sd_inbox_metrics(rc->figures);
	rc->metrics_at = GetCurrentTimestamp();
}

static double
unix_time(TimestampTz t)
{
	return (double) t / USECS_PER_SEC +
		   (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (double) SECS_PER_DAY;
}

static void
answer_health(Receiver *rc, SdRequest *r)
{
	const SdHealth *h = &rc->health;
	bool            ok;
	StringInfoData  s;
	char            quiet[512];

	refresh_health(rc);
	ok = h->database && h->quiet[0] == '\0';
	initStringInfo(&s);
	appendStringInfo(&s, "{\"status\":\"%s\",\"database\":\"%s\",\"queue_rows\":",
					 ok ? "ok" : "unavailable", h->database ? "ok" : "cannot commit");
	if (h->database)
		appendStringInfo(&s, INT64_FORMAT, h->queue_rows);
	else
		appendStringInfoString(&s, "null");
	appendStringInfoString(&s, ",\"oldest_seconds\":");
	if (h->oldest_seconds >= 0)
		appendStringInfo(&s, "%.3f", h->oldest_seconds);
	else
		appendStringInfoString(&s, "null");
	appendStringInfoString(&s, ",\"last_exchange\":");
	if (h->last_exchange != 0)
		appendStringInfo(&s, "\"%s\"", timestamptz_to_str(h->last_exchange));
	else
		appendStringInfoString(&s, "null");
	if (h->quiet[0] != '\0')
		appendStringInfo(&s, ",\"quiet\":\"%s\"}\n", sd_json_quote(h->quiet, quiet, sizeof(quiet)));
	else
		appendStringInfoString(&s, ",\"quiet\":null}\n");
	sd_server_answer(rc->server, r, ok ? 200 : 503, s.data);
}

static void
put_metric(StringInfo s, const char *name, const char *type, const char *help, double value)
{
	appendStringInfo(s, "# TYPE salesdrive_%s %s\n# HELP salesdrive_%s %s\nsalesdrive_%s%s %.17g\n",
					 name, type, name, help, name, strcmp(type, "counter") == 0 ? "_total" : "",
					 value);
}

static void
answer_metrics(Receiver *rc, SdRequest *r)
{
	const SdServerCounters *c = &rc->counters;
	const SdHealth         *h = &rc->health;
	StringInfoData          s;

	refresh_health(rc);
	refresh_metrics(rc);
	initStringInfo(&s);
	appendStringInfoString(&s, "# TYPE salesdrive_answers counter\n"
							   "# HELP salesdrive_answers Answers of the receiver by HTTP status.\n");
	for (size_t i = 0; i < lengthof(c->answers); i++)
	{
		if (c->answers[i] > 0)
			appendStringInfo(&s, "salesdrive_answers_total{status=\"%zu\"} " UINT64_FORMAT "\n",
							 i, c->answers[i]);
	}
	put_metric(&s, "webhooks_kept", "counter", "Webhooks committed.", rc->kept);
	put_metric(&s, "webhooks_not_json", "counter", "Webhooks whose body is not JSON.", rc->not_json);
	put_metric(&s, "webhook_bytes", "counter", "Bytes of complete webhook bodies.", c->body_bytes);
	put_metric(&s, "intake_commits", "counter", "Commits by which webhooks were kept.", rc->commits);
	put_metric(&s, "requests_timed_out", "counter", "Requests that did not arrive in time.", c->timed_out);
	put_metric(&s, "requests_cut", "counter", "Requests that ended before they were complete.", c->cut);
	put_metric(&s, "connections_accepted", "counter", "Connections accepted.", c->accepted);
	put_metric(&s, "connections_refused", "counter", "Connections beyond the limit of one address.", c->refused);
	put_metric(&s, "connections", "gauge", "Connections open now.", sd_server_connections(rc->server));
	put_metric(&s, "buffered_bytes", "gauge", "Memory held by bodies now.", sd_server_buffered(rc->server));
	put_metric(&s, "database_up", "gauge", "1 when the database can commit.", h->database);
	if (h->database)
		put_metric(&s, "queue_rows", "gauge", "Deliveries that wait in the inbox.", h->queue_rows);
	if (h->database)
		put_metric(&s, "queue_oldest_seconds", "gauge", "Age of the oldest of them.", Max(h->oldest_seconds, 0));
	if (h->last_exchange != 0)
		put_metric(&s, "last_exchange_timestamp_seconds", "gauge", "Time of the last HTTP exchange.", unix_time(h->last_exchange));
	if (rc->metrics != NULL)
		appendStringInfoString(&s, rc->metrics);
	appendStringInfoString(&s, "# EOF\n");
	sd_server_answer(rc->server, r, 200, s.data);
}


/* ---- the loop ---- */

/* answers all that is complete; true when there was any */
static bool
serve_requests(Receiver *rc)
{
	Batch      batch = {0};
	SdRequest *r;
	bool       any = false;

	while ((r = sd_server_take(rc->server)) != NULL)
	{
		any = true;
		if (r->kind == SD_REQUEST_WEBHOOK)
			add_webhook(rc, &batch, r);
		else if (r->kind == SD_REQUEST_METRICS)
			answer_metrics(rc, r);
		else
			answer_health(rc, r);
	}
	if (batch.n > 0)
		keep_batch(rc, &batch);
	return any;
}

static long
how_long(Receiver *rc)
{
	long result = sd_loop_until(rc->sweep_at, sd_guc_sweep_interval);

	if (rc->server != NULL)
	{
		long left = sd_server_timeout(rc->server);

		if (left >= 0 && left < result)
			result = left;
	}
	else if (!rc->quiet && rc->known)
		result = Min(result, sd_loop_until(rc->bind_at, result));
	return result;
}

static void
turn(Receiver *rc)
{
	MemoryContextSwitchTo(rc->turn);
	(void) sd_worker_reload();
	look_around(rc);
	MemoryContextSwitchTo(rc->turn);
	if (rc->server != NULL)
	{
		sd_server_run(rc->server);
		if (serve_requests(rc))
			sd_server_run(rc->server); /* edge-triggered: nobody else would */
	}
	MemoryContextSwitchTo(rc->life);
	MemoryContextReset(rc->turn);
}

void
sd_receiver_main(Datum main_arg)
{
	Receiver *rc;

	sd_worker_attach(SD_RECEIVER);
	if (sd_guc_port == 0)
		sd_worker_exit(SD_STATE_OFF, "salesdrive.port is 0");

	/* a locked table shall cost some webhooks a 503, not silence */
	SetConfigOption("lock_timeout", "5s", PGC_SUSET, PGC_S_OVERRIDE);

	rc = MemoryContextAllocZero(TopMemoryContext, sizeof(Receiver));
	rc->life = AllocSetContextCreate(TopMemoryContext, "salesdrive receiver", ALLOCSET_DEFAULT_SIZES);
	rc->turn = AllocSetContextCreate(rc->life, "salesdrive turn", ALLOCSET_DEFAULT_SIZES);
	rc->figures = AllocSetContextCreate(rc->life, "salesdrive figures", ALLOCSET_DEFAULT_SIZES);
	rc->listen = AllocSetContextCreate(rc->life, "salesdrive listener", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(rc->life);
	stop_listening(rc); /* makes a loop without a server */
	for (;;)
	{
		turn(rc);
		(void) sd_loop_wait(rc->loop, how_long(rc));
	}
}
