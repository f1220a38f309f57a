/*-------------------------------------------------------------------------
 *
 * inbox.c
 *	  What the receiver does in the database, see inbox.h.
 *
 * Invariants: a delivery is 'kept' only after COMMIT returned.  Plans are
 * prepared once and saved.  Work memory is that of the transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "inbox.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "fault.h"
#include "salesdrive.h"

/* so much of bodies goes into one array, which must stay below 1 GB */
#define SD_KEEP_MAX_BYTES (64 * 1024 * 1024)

/* how often one and the same error is logged */
#define SD_LOG_EVERY_MS (10 * 1000)

/* a plan that lives as long as the process */
typedef struct SavedPlan
{
	const char *query;
	int         nargs;
	Oid         types[4];
	SPIPlanPtr  plan;
} SavedPlan;

static SavedPlan keep_plan = {
	"SELECT salesdrive.keep_deliveries($1, $2, $3, $4)",
	4,
	{TEXTARRAYOID, BYTEAARRAYOID, TEXTARRAYOID, TEXTARRAYOID},
	NULL};
static SavedPlan accounts_plan = {"SELECT account, token FROM salesdrive.receiver_accounts()", 0, {0}, NULL};
static SavedPlan health_plan = {
	"SELECT queue_rows, oldest_seconds, last_exchange, quiet FROM salesdrive.receiver_health()",
	0,
	{0},
	NULL};
static SavedPlan partitions_plan = {"SELECT salesdrive.prepare_partitions()", 0, {0}, NULL};
static SavedPlan metrics_plan = {"SELECT salesdrive.metrics_text()", 0, {0}, NULL};
static SavedPlan workers_plan = {"SELECT salesdrive.note_workers()", 0, {0}, NULL};
static SavedPlan secret_plan = {"SELECT salesdrive.secret_value($1)", 1, {TEXTOID}, NULL};


/* ---- transactions that do not throw ---- */

/* runs a plan; its rows are in SPI_tuptable */
static void
execute(SavedPlan *p, Datum *args, bool read_only)
{
	int rc;

	if (p->plan == NULL)
	{
		SPIPlanPtr plan = SPI_prepare(p->query, p->nargs, p->types);

		if (plan == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", p->query, SPI_result_code_string(SPI_result));
		SPI_keepplan(plan);
		p->plan = plan;
	}
	rc = SPI_execute_plan(p->plan, args, NULL, read_only, 0);
	if (rc < 0)
		elog(ERROR, "could not execute \"%s\": %s", p->query, SPI_result_code_string(rc));
}

/* the same error again and again must not fill the log */
static bool
worth_a_line(int sqlstate)
{
	static int         last;
	static TimestampTz last_at;
	TimestampTz        now = GetCurrentTimestamp();

	if (sqlstate == last && !TimestampDifferenceExceeds(last_at, now, SD_LOG_EVERY_MS))
		return false;
	last = sqlstate;
	last_at = now;
	return true;
}

/*
 * Does 'work' in a transaction.  An error is logged and its SQLSTATE returned;
 * 0 = committed.
 */
static int
in_transaction(const char *activity, void (*work)(void *), void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile int  sqlstate = 0;

	PG_TRY();
	{
		sd_worker_begin(activity);
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		work(arg);
		SPI_finish();
		sd_worker_commit();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(caller);
		sqlstate = geterrcode();
		if (sd_worker_rights_hint(sqlstate) != NULL)
			errhint("%s", sd_worker_rights_hint(sqlstate));
		if (worth_a_line(sqlstate))
			EmitErrorReport();
		FlushErrorState();
		sd_worker_abort();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return sqlstate;
}


/* ---- deliveries ---- */

typedef struct KeepWork
{
	SdDelivery *deliveries;
	int         n;
} KeepWork;

static Datum
array_of(Datum *values, bool *nulls, int n, Oid type)
{
	int dims[1] = {n};
	int lower[1] = {1};

	return PointerGetDatum(construct_md_array(values, nulls, 1, dims, lower, type, -1, false,
											  TYPALIGN_INT));
}

static Datum
bytea_of(const char *bytes, size_t len)
{
	bytea *b = palloc(VARHDRSZ + len);

	SET_VARSIZE(b, VARHDRSZ + len);
	if (len > 0)
		memcpy(VARDATA(b), bytes, len);
	return PointerGetDatum(b);
}

static void
keep_work(void *arg)
{
	KeepWork *w = arg;
	Datum    *accounts = palloc(w->n * sizeof(Datum));
	Datum    *bodies = palloc(w->n * sizeof(Datum));
	Datum    *problems = palloc0(w->n * sizeof(Datum));
	Datum    *addresses = palloc(w->n * sizeof(Datum));
	bool     *no_problem = palloc(w->n * sizeof(bool));
	Datum     args[4];

	for (int i = 0; i < w->n; i++)
	{
		SdDelivery *d = &w->deliveries[i];

		accounts[i] = CStringGetTextDatum(d->account);
		bodies[i] = bytea_of(d->body, d->body_len);
		no_problem[i] = d->problem == NULL;
		if (d->problem != NULL)
			problems[i] = CStringGetTextDatum(d->problem);
		addresses[i] = CStringGetTextDatum(d->address);
	}
	args[0] = array_of(accounts, NULL, w->n, TEXTOID);
	args[1] = array_of(bodies, NULL, w->n, BYTEAOID);
	args[2] = array_of(problems, no_problem, w->n, TEXTOID);
	args[3] = array_of(addresses, NULL, w->n, TEXTOID);
	execute(&keep_plan, args, false);
	SD_FAULT("receiver_before_commit");
}

/* is it the database that cannot, whatever the delivery? */
static bool
fails_for_all(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case MAKE_SQLSTATE('2', '5', '0', '0', '0'): /* read-only */
		case MAKE_SQLSTATE('4', '2', '0', '0', '0'): /* missing or forbidden */
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'): /* disk full, out of memory */
		case MAKE_SQLSTATE('5', '5', '0', '0', '0'): /* lock not available */
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'): /* operator intervention */
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'): /* input and output */
			return true;
		default:
			return false;
	}
}

static int
keep_set(SdDelivery *deliveries, int n)
{
	KeepWork work = {deliveries, n};
	int      sqlstate = in_transaction("keeping webhooks", keep_work, &work);
	int      kept = 0;

	if (sqlstate == 0)
	{
		SD_FAULT("receiver_after_commit");
		for (int i = 0; i < n; i++)
			deliveries[i].kept = true;
		return n;
	}
	if (n == 1 || fails_for_all(sqlstate))
		return 0;
	for (int i = 0; i < n; i++)
		kept += keep_set(&deliveries[i], 1);
	return kept;
}

int
sd_inbox_keep(SdDelivery *deliveries, int n)
{
	int kept = 0;

	for (int from = 0, to; from < n; from = to)
	{
		size_t bytes = deliveries[from].body_len;

		for (to = from + 1; to < n && bytes + deliveries[to].body_len <= SD_KEEP_MAX_BYTES; to++)
			bytes += deliveries[to].body_len;
		kept += keep_set(&deliveries[from], to - from);
	}
	return kept;
}


/* ---- accounts, health, partitions, secrets ---- */

typedef struct AccountsWork
{
	MemoryContext context;
	SdAccounts   *accounts;
} AccountsWork;

static char *
column(HeapTuple tuple, int number, MemoryContext context)
{
	char *value = SPI_getvalue(tuple, SPI_tuptable->tupdesc, number);

	return value ? MemoryContextStrdup(context, value) : NULL;
}

static void
accounts_work(void *arg)
{
	AccountsWork *w = arg;
	SdAccounts   *a = w->accounts;
	int           rows;

	execute(&accounts_plan, NULL, true);
	rows = (int) SPI_processed;
	a->n = 0;
	a->names = MemoryContextAllocZero(w->context, (rows + 1) * sizeof(char *));
	a->tokens = MemoryContextAllocZero(w->context, (rows + 1) * sizeof(char *));
	for (int i = 0; i < rows; i++)
	{
		a->names[a->n] = column(SPI_tuptable->vals[i], 1, w->context);
		a->tokens[a->n] = column(SPI_tuptable->vals[i], 2, w->context);
		if (a->names[a->n] != NULL && a->tokens[a->n] != NULL)
			a->n++;
	}
}

bool
sd_inbox_accounts(MemoryContext context, SdAccounts *accounts)
{
	AccountsWork work = {context, accounts};

	return in_transaction("reading accounts", accounts_work, &work) == 0;
}

static void
health_work(void *arg)
{
	SdHealth *h = arg;
	HeapTuple tuple;
	TupleDesc desc;
	Datum     d;
	bool      isnull;

	execute(&health_plan, NULL, true);
	if (SPI_processed != 1)
		elog(ERROR, "salesdrive.receiver_health() returned %d rows", (int) SPI_processed);
	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	d = SPI_getbinval(tuple, desc, 1, &isnull);
	h->queue_rows = isnull ? 0 : DatumGetInt64(d);
	d = SPI_getbinval(tuple, desc, 2, &isnull);
	h->oldest_seconds = isnull ? -1 : DatumGetFloat8(d);
	d = SPI_getbinval(tuple, desc, 3, &isnull);
	h->last_exchange = isnull ? 0 : DatumGetTimestampTz(d);
	d = SPI_getbinval(tuple, desc, 4, &isnull);
	if (!isnull)
		strlcpy(h->quiet, TextDatumGetCString(d), sizeof(h->quiet));
	h->database = !XactReadOnly;
}

bool
sd_inbox_health(SdHealth *health)
{
	SdHealth fresh = {.oldest_seconds = -1};

	if (in_transaction("reading health", health_work, &fresh) != 0)
	{
		health->database = false;
		return false;
	}
	*health = fresh;
	return true;
}

static void
partitions_work(void *arg)
{
	execute(&partitions_plan, NULL, false);
}

bool
sd_inbox_prepare_partitions(void)
{
	return in_transaction("preparing partitions", partitions_work, NULL) == 0;
}

static void
workers_work(void *arg)
{
	execute(&workers_plan, NULL, false);
}

bool
sd_inbox_note_workers(void)
{
	return in_transaction("noting incidents", workers_work, NULL) == 0;
}

typedef struct MetricsWork
{
	MemoryContext context;
	char         *result;
} MetricsWork;

static void
metrics_work(void *arg)
{
	MetricsWork *w = arg;

	execute(&metrics_plan, NULL, true);
	if (SPI_processed == 1)
		w->result = column(SPI_tuptable->vals[0], 1, w->context);
}

char *
sd_inbox_metrics(MemoryContext context)
{
	MetricsWork work = {context, NULL};

	return in_transaction("reading metrics", metrics_work, &work) == 0 ? work.result : NULL;
}

typedef struct SecretWork
{
	MemoryContext context;
	const char   *value;
	char         *result;
} SecretWork;

static void
secret_work(void *arg)
{
	SecretWork *w = arg;
	Datum       args[1] = {CStringGetTextDatum(w->value)};

	execute(&secret_plan, args, false);
	if (SPI_processed == 1)
		w->result = column(SPI_tuptable->vals[0], 1, w->context);
}

char *
sd_inbox_secret(MemoryContext context, const char *value)
{
	SecretWork work = {context, value, NULL};

	return in_transaction("reading a secret", secret_work, &work) == 0 ? work.result : NULL;
}
