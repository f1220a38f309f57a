/*-------------------------------------------------------------------------
 *
 * tasks.c
 *	  The engine of the exchange: its transactions and its sense of time.
 *
 * Role: see tasks.h.  Calls the SQL functions engine_begin, settle, ingest,
 * claim, next_due and those of the sweep, and nothing else of SQL, save one
 * look at a task's row.  Called by exchanger.c; breathing also by functions.c
 * and document.c.
 *
 * Invariants:
 *
 * - A request leaves only after the transaction that claimed it has committed.
 * - An answer is let go only after the transaction that settled it has
 *	 committed.  When a turn fails it keeps its answers and is tried again;
 *	 failing again, each answer is settled in a transaction of its own, so that
 *	 a bad one fails alone, and ingest and claim likewise.  What fails alone is
 *	 set aside and tried again alone, with growing pauses, while turns go on.
 * - A lock held by another session costs a turn a moment, not its life: waits
 *	 for locks end.  An answer whose rows are locked stays as it is, however
 *	 long that takes; only failures that speak of the answer itself are counted.
 * - A task is taken back only if no exchange of it is in hand.
 * - Its commits are flushed to disk, also where synchronous_commit is off.
 * - Between transactions nothing of the database is held but the engine's
 *	 advisory lock.
 * - It never spins: work that is said to be due but cannot be claimed is looked
 *	 at again with growing pauses, at most a second long.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "client.h"
#include "compat.h"
#include "fault.h"
#include "functions.h"
#include "loop.h"
#include "messages.h"
#include "salesdrive.h"
#include "tasks.h"

#define INGEST_ROWS        1000
#define INGEST_BESIDE      64   /* beside requests: long statements would let connections rest */
#define SETTLE_RESULTS     1000 /* in one call of settle() */
#define SETTLE_BYTES       ((size_t) 64 * 1024 * 1024)
#define GATHER_US          100000  /* answers of busy targets wait for company */
#define BREATH_US          100     /* the network is looked at no more often */
#define CONFIRM_US         1000000 /* a last look after a turn that wrote */
#define PAUSE_FIRST_MS     20      /* due, but nothing could be claimed */
#define PAUSE_LAST_MS      1000
#define STUCK_AFTER        7    /* such turns in a row; more than a second */
#define BARREN_TURNS       1000 /* turns that only wrote, before pauses begin */
#define RETRY_FIRST_MS     100
#define RETRY_LAST_MS      30000
#define PROCEDURE_FAILURES 4   /* in a procedure: then it throws */
#define GIVE_UP_AFTER      6   /* failures of one answer alone */
#define PUT_OFF_FIRST_MS   500 /* an answer that failed alone */
#define PUT_OFF_LAST_MS    30000
#define ALONE_FAILURES     2    /* of such answers in one turn */
#define LOCK_WAIT_MS       2000 /* of a turn */
#define LOCK_WAIT_ALONE_MS 250  /* of an answer alone */
#define SETTLE_LAST_MS     5000 /* for answers, when all requests have ended */

struct SdEngine
{
	MemoryContext context;
	MemoryContext turn; /* reset after each turn */
	MemoryContext rows; /* reset after each call of settle() */
	SdClient     *client;
	char         *quiet;
	SdDriver      driver;
	bool          begun; /* so every task in flight that is not in hand is left over */
	bool          draining;

	/* plans, made at first use; settle depends on the oid of its type */
	SPIPlanPtr plan_begin;
	SPIPlanPtr plan_settle;
	SPIPlanPtr plan_ingest;
	SPIPlanPtr plan_claim;
	SPIPlanPtr plan_next_due;
	SPIPlanPtr plan_partitions;
	SPIPlanPtr plan_expire;
	SPIPlanPtr plan_reclaim;
	SPIPlanPtr plan_look;
	SPIPlanPtr plan_health;
	Oid        result_type;

	/* the transaction at work */
	int  lock_wait_ms;
	bool in_subxact;

	/* the turn at work */
	dlist_head pending;   /* of SdExchange: answers to be settled */
	dlist_head alone;     /* one of them, tried alone */
	dlist_head aside;     /* failed alone, tried again later */
	SdRequest *requests;  /* claimed */
	int64      due_in_us; /* -1 = nothing scheduled */
	int        nrequests;
	int        asked;
	int        settled;
	int        to_ingest;
	int        ingested;
	bool       wrote;

	/* when the next turn is due, in microseconds of the wall clock; 0 = never */
	bool        woken;
	int         fruitless; /* turns in a row that could claim nothing due */
	TimestampTz due_at;
	TimestampTz confirm_at;
	TimestampTz gather_until; /* answers are waiting */
	int         barren;       /* turns in a row that only wrote */

	/* trouble */
	int         failures; /* of turns, in a row */
	ErrorData  *error;    /* the last one */
	bool        careful;  /* everything in transactions of its own */
	bool        told;     /* worker_status shows a failure */
	TimestampTz retry_at;
};

typedef void (*Work)(SdEngine *engine);

/* ---- the engine's lock ---- */

static void
engine_lock_tag(LOCKTAG *tag)
{
	uint64 key = (uint64) SD_ENGINE_LOCK;

	/* as pg_advisory_lock(bigint) makes it */
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key, 1);
}

bool
sd_engine_lock(void)
{
	LOCKTAG tag;

	engine_lock_tag(&tag);
	switch (LockAcquire(&tag, ExclusiveLock, true, true))
	{
		case LOCKACQUIRE_OK:
			return true;
		case LOCKACQUIRE_ALREADY_HELD:
		case LOCKACQUIRE_ALREADY_CLEAR:
			/* this session took it by other means, or drives an engine already */
			LockRelease(&tag, ExclusiveLock, true);
			return false;
		default:
			return false;
	}
}

void
sd_engine_unlock(void)
{
	LOCKTAG tag;

	engine_lock_tag(&tag);
	LockRelease(&tag, ExclusiveLock, true);
}

bool
sd_engine_is_locked(void)
{
	LockData *locks = GetLockStatusData();
	LOCKTAG   tag;

	engine_lock_tag(&tag);
	for (int i = 0; i < locks->nelements; i++)
		if (memcmp(&locks->locks[i].locktag, &tag, sizeof(tag)) == 0 &&
			(locks->locks[i].holdMask & LOCKBIT_ON(ExclusiveLock)))
			return true;
	return false;
}

/* ---- transactions ---- */

/* until the end of the transaction; a shorter time of the session counts */
static void
limit_lock_waits(int ms)
{
	char text[32];

	if (LockTimeout > 0 && LockTimeout <= ms)
		return;
	snprintf(text, sizeof(text), "%dms", ms);
	set_config_option("lock_timeout", text, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

static void
begin_transaction(SdEngine *engine)
{
	if (engine->driver == SD_DRIVER_WORKER)
	{
		sd_worker_begin("exchange");
		limit_lock_waits(engine->lock_wait_ms);
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "could not connect to SPI");
		return;
	}

	/* in a subtransaction, because only so a failure can be survived here */
	BeginInternalSubTransaction(NULL);
	engine->in_subxact = true;
	sd_commit_durably();
	limit_lock_waits(engine->lock_wait_ms);
	MemoryContextSwitchTo(engine->turn);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!sd_extension_exists())
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"%s\" is no longer in this database", SD_EXTENSION)));
}

static void
commit_transaction(SdEngine *engine, ResourceOwner owner)
{
	if (engine->driver == SD_DRIVER_WORKER)
	{
		SPI_finish();
		sd_worker_commit();
		return;
	}
	PopActiveSnapshot();
	ReleaseCurrentSubTransaction();
	engine->in_subxact = false;
	CurrentResourceOwner = owner;
	SPI_commit();
}

/* in a PG_CATCH, the error copied */
static void
abort_transaction(SdEngine *engine, ResourceOwner owner)
{
	if (engine->driver == SD_DRIVER_WORKER)
	{
		sd_worker_abort();
		return;
	}

	/* a failed SPI_commit() has left a new transaction */
	if (!engine->in_subxact)
		return;
	RollbackAndReleaseCurrentSubTransaction();
	engine->in_subxact = false;
	CurrentResourceOwner = owner;
	SPI_rollback();
}

static void
report_failure(SdEngine *engine, const char *what, const ErrorData *error)
{
	bool        worker = engine->driver == SD_DRIVER_WORKER;
	const char *hint = error->hint;

	if (hint == NULL && worker)
		hint = sd_worker_rights_hint(error->sqlerrcode);
	ereport(worker ? LOG : WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("salesdrive could not %s: %s", what, error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 hint ? errhint("%s", hint) : 0,
			 error->context ? errcontext("%s", error->context) : 0));
	if (worker && sd_worker_rights_hint(error->sqlerrcode) != NULL)
	{
		char text[SD_ERROR_LEN];

		snprintf(text, sizeof(text), "%s: %s", error->message, hint);
		sd_worker_report(text);
	}
	else if (worker)
		sd_worker_report(error->message);
	engine->told = true;
}

/*
 * While the database works, the network gets its due before each statement and
 * from functions that long statements call, so that no connection rests because
 * a turn takes its time.
 */
static SdClient               *serving; /* NULL outside a transaction of an engine */
static TimestampTz             served_at;
static ExecutorStart_hook_type next_executor_start;

void
sd_engine_breathe(void)
{
	TimestampTz now;

	if (serving == NULL)
		return;
	now = GetCurrentTimestamp();
	if (now - served_at >= 0 && now - served_at < BREATH_US)
		return;
	served_at = now;
	sd_client_run(serving);
}

static void
serve_network(QueryDesc *query, int flags)
{
	sd_engine_breathe();
	if (next_executor_start != NULL)
		next_executor_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

static void
hook_executor(void)
{
	if (ExecutorStart_hook == serve_network)
		return;
	next_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = serve_network;
}

/*
 * Does the work in a transaction of its own.  A failure is kept in
 * engine->error and reported; only a cancel of a procedure is thrown on.
 */
static bool
attempt(SdEngine *engine, Work work, const char *what)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	PG_TRY();
	{
		begin_transaction(engine);
		MemoryContextSwitchTo(engine->turn);
		serving = engine->client;
		work(engine);
		serving = NULL;
		engine->wrote |= TransactionIdIsValid(GetTopTransactionIdIfAny());
		commit_transaction(engine, owner);
	}
	PG_CATCH();
	{
		serving = NULL;
		MemoryContextSwitchTo(engine->context);
		error = CopyErrorData();
		FlushErrorState();
		abort_transaction(engine, owner);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);

	if (error == NULL)
		return true;
	if (engine->error != NULL)
		FreeErrorData(engine->error);
	engine->error = error;
	if (engine->driver == SD_DRIVER_PROCEDURE && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	report_failure(engine, what, error);
	return false;
}

/* ---- calling SQL ---- */

/* SPI leaves its own memory context behind; here the caller's stays current */
static void
execute(SPIPlanPtr *plan, const char *sql, int nargs, Oid *types, Datum *values)
{
	MemoryContext caller = CurrentMemoryContext;
	int           rc;

	if (*plan == NULL)
	{
		/* a generic plan: a custom one would copy the arguments into itself */
		SPIPlanPtr fresh = SPI_prepare_cursor(sql, nargs, types, CURSOR_OPT_GENERIC_PLAN);

		if (fresh == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
		SPI_keepplan(fresh);
		*plan = fresh;
	}
	rc = SPI_execute_plan(*plan, values, NULL, false, 0);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(rc));
	MemoryContextSwitchTo(caller);
}

static int
call_int(SPIPlanPtr *plan, const char *sql, int argument)
{
	Oid   type = INT4OID;
	Datum value = Int32GetDatum(argument);
	bool  isnull = true;
	int   result = 0;

	execute(plan, sql, 1, &type, &value);
	if (SPI_processed > 0)
		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		result = DatumGetInt32(value);
	SPI_freetuptable(SPI_tuptable);
	return result;
}

/* ---- settle ---- */

static size_t
result_bytes(const SdExchange *exchange)
{
	size_t bytes = exchange->body_len + 1024;

	if (exchange->request.body != NULL)
		bytes += strlen(exchange->request.body);
	return bytes;
}

static void
settle_rows(SdEngine *engine, Oid type, Datum *rows, int count)
{
	Oid           array_type = get_array_type(type);
	MemoryContext saved = MemoryContextSwitchTo(engine->rows);
	Datum         array = PointerGetDatum(construct_array(rows, count, type, -1, false,
														  TYPALIGN_DOUBLE));

	MemoryContextSwitchTo(saved);
	if (engine->plan_settle != NULL && engine->result_type != type)
	{
		SPI_freeplan(engine->plan_settle);
		engine->plan_settle = NULL;
	}
	engine->result_type = type;
	execute(&engine->plan_settle, "SELECT salesdrive.settle($1)", 1, &array_type, &array);
	SPI_freetuptable(SPI_tuptable);
	MemoryContextReset(engine->rows);
}

/* in calls of bounded size */
static void
settle_some(SdEngine *engine, dlist_head *answers)
{
	Oid        type = sd_message_type("http_result");
	TupleDesc  desc = lookup_rowtype_tupdesc_copy(type, -1);
	Datum     *rows = palloc(sizeof(Datum) * SETTLE_RESULTS);
	size_t     bytes = 0;
	int        count = 0;
	dlist_iter iter;

	sd_result_check(desc);
	MemoryContextReset(engine->rows);
	engine->settled = 0;
	dlist_foreach(iter, answers)
	{
		SdExchange   *exchange = dlist_container(SdExchange, node, iter.cur);
		MemoryContext saved;

		if (count > 0 &&
			(count >= SETTLE_RESULTS || bytes + result_bytes(exchange) > SETTLE_BYTES))
		{
			settle_rows(engine, type, rows, count);
			count = 0;
			bytes = 0;
		}
		saved = MemoryContextSwitchTo(engine->rows);
		rows[count++] = sd_result_row(desc, exchange);
		MemoryContextSwitchTo(saved);
		bytes += result_bytes(exchange);
		engine->settled++;
	}
	if (count > 0)
		settle_rows(engine, type, rows, count);
}

/* ---- claim ---- */

/* arrays of the names of the targets known and of their depths */
static void
take_depths(const SdClient *client, Datum *names, Datum *depths)
{
	const char **name;
	int         *depth;
	int          count = sd_client_depths(client, &name, &depth);
	Datum       *texts = palloc(sizeof(Datum) * Max(count, 1));
	Datum       *numbers = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
	{
		texts[i] = CStringGetTextDatum(name[i]);
		numbers[i] = Int32GetDatum(depth[i]);
	}
	*names = PointerGetDatum(construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT));
	*depths = PointerGetDatum(construct_array(numbers, count, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

static void
claim(SdEngine *engine)
{
	Oid            types[] = {INT4OID, TEXTARRAYOID, INT4ARRAYOID};
	Datum          arguments[lengthof(types)];
	SPITupleTable *table;

	engine->nrequests = 0;
	engine->asked = engine->draining ? 0 : sd_client_room(engine->client);
	if (engine->asked == 0)
		return;
	arguments[0] = Int32GetDatum(engine->asked);
	take_depths(engine->client, &arguments[1], &arguments[2]);
	execute(&engine->plan_claim, "SELECT * FROM salesdrive.claim($1, $2, $3)", lengthof(types), types,
			arguments);
	table = SPI_tuptable;
	if (SPI_processed > 0)
	{
		sd_request_check(table->tupdesc);
		engine->requests = palloc(sizeof(SdRequest) * SPI_processed);
		for (uint64 i = 0; i < SPI_processed; i++)
			sd_request_take(table->vals[i], table->tupdesc, &engine->requests[i]);
		engine->nrequests = (int) SPI_processed;
	}
	SPI_freetuptable(table);
}

/* compared with the clock of the rules, which tests may move */
static void
ask_next_due(SdEngine *engine)
{
	bool        nothing = true;
	TimestampTz now = sd_clock();
	TimestampTz at = 0;

	execute(&engine->plan_next_due, "SELECT salesdrive.next_due()", 0, NULL, NULL);
	if (SPI_processed > 0)
		at = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
											   1, &nothing));
	SPI_freetuptable(SPI_tuptable);
	if (nothing || TIMESTAMP_IS_NOEND(at))
		engine->due_in_us = -1;
	else
		engine->due_in_us = at <= now ? 0 : at - now;
}

/* ---- the turn ---- */

static void
ingest(SdEngine *engine)
{
	engine->ingested = 0;
	engine->to_ingest = sd_engine_in_hand(engine) > 0 ? INGEST_BESIDE : INGEST_ROWS;
	if (!engine->draining)
		engine->ingested = call_int(&engine->plan_ingest, "SELECT salesdrive.ingest($1)", engine->to_ingest);
	SD_FAULT("engine_after_ingest");
}

static void
work_ingest(SdEngine *engine)
{
	ingest(engine);
}

static void
work_claim(SdEngine *engine)
{
	claim(engine);
	ask_next_due(engine);
	SD_FAULT("engine_before_claim_commit");
}

static void
work_settle_alone(SdEngine *engine)
{
	SD_FAULT("engine_before_settle");
	settle_some(engine, &engine->alone);
	SD_FAULT("engine_after_settle");
}

static void
work_turn(SdEngine *engine)
{
	if (!dlist_is_empty(&engine->pending))
	{
		SD_FAULT("engine_before_settle");
		settle_some(engine, &engine->pending);
		SD_FAULT("engine_after_settle");
	}
	ingest(engine);
	work_claim(engine);
}

static void
collect_answers(SdEngine *engine)
{
	SdExchange *exchange;

	while ((exchange = sd_client_finished(engine->client)) != NULL)
		dlist_push_tail(&engine->pending, &exchange->node);
}

static SdExchange *
take_first(dlist_head *answers)
{
	return dlist_container(SdExchange, node, dlist_pop_head_node(answers));
}

static void
send_claimed(SdEngine *engine)
{
	if (engine->nrequests == 0)
		return;
	SD_FAULT("engine_after_claim_commit");
	for (int i = 0; i < engine->nrequests; i++)
		sd_client_add(engine->client, &engine->requests[i]);
	sd_client_run(engine->client);
	SD_FAULT("engine_after_send");
}

/* conditions of the server, not of the row at hand; as is_passing_error() in SQL */
static bool
is_passing(const ErrorData *error)
{
	static const char *const classes[] = {"08", "25", "40", "53", "55", "57", "58"};
	const char              *state = unpack_sql_state(error->sqlerrcode);

	for (int i = 0; i < (int) lengthof(classes); i++)
		if (strncmp(state, classes[i], 2) == 0)
			return true;
	return false;
}

/* settles one answer in a transaction of its own; on failure the caller has it */
static bool
settle_alone(SdEngine *engine, SdExchange *exchange)
{
	bool ok;

	dlist_init(&engine->alone);
	dlist_push_tail(&engine->alone, &exchange->node);
	engine->lock_wait_ms = LOCK_WAIT_ALONE_MS;
	ok = attempt(engine, work_settle_alone, "settle an answer");
	engine->lock_wait_ms = LOCK_WAIT_MS;
	dlist_init(&engine->alone);
	if (ok)
		sd_client_release(engine->client, exchange);
	else
		exchange->passing = is_passing(engine->error);
	MemoryContextReset(engine->turn);
	sd_client_run(engine->client);
	return ok;
}

/* an answer that has failed alone: later again, then without its body, then away */
static void
put_off(SdEngine *engine, SdExchange *exchange)
{
	int64 delay = (int64) PUT_OFF_FIRST_MS << Min(exchange->put_off, 10);

	if (!exchange->passing && ++exchange->settle_failures >= GIVE_UP_AFTER)
	{
		ereport(WARNING,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("salesdrive gives up settling an answer of task " INT64_FORMAT ", attempt %d",
						exchange->request.task_id, exchange->request.attempt),
				 errdetail("HTTP status %d, class %s.", exchange->http_status,
						   sd_class_name(exchange->class_)),
				 errhint("The task is taken up again when its lease ends, as after an unknown outcome.")));
		sd_client_release(engine->client, exchange);
		return;
	}
	exchange->put_off++;
	exchange->settle_at = GetCurrentTimestamp() + Min(delay, PUT_OFF_LAST_MS) * 1000;
	sd_client_set_aside(engine->client, exchange);
	dlist_push_tail(&engine->aside, &exchange->node);
}

/* settles each answer in a transaction of its own; failed ones go to 'failed' */
static int
settle_each(SdEngine *engine, dlist_head *failed)
{
	int settled = 0;
	int failures = 0;

	dlist_init(failed);
	while (!dlist_is_empty(&engine->pending) && (settled > 0 || failures < 3))
	{
		SdExchange *exchange = take_first(&engine->pending);

		if (settle_alone(engine, exchange))
			settled++;
		else
		{
			dlist_push_tail(failed, &exchange->node);
			failures++;
		}
	}
	return settled;
}

/* tries again what was set aside and is due */
static void
retry_aside(SdEngine *engine)
{
	TimestampTz        now = GetCurrentTimestamp();
	int                failures = 0;
	dlist_mutable_iter iter;
	dlist_head         due;

	dlist_init(&due);
	dlist_foreach_modify(iter, &engine->aside)
	{
		SdExchange *exchange = dlist_container(SdExchange, node, iter.cur);

		if (exchange->settle_at > now)
			continue;
		dlist_delete(&exchange->node);
		dlist_push_tail(&due, &exchange->node);
	}
	while (!dlist_is_empty(&due))
	{
		SdExchange *exchange = take_first(&due);

		if (failures >= ALONE_FAILURES)
			dlist_push_head(&engine->aside, &exchange->node); /* in the next turn */
		else if (!settle_alone(engine, exchange))
		{
			put_off(engine, exchange);
			failures++;
		}
	}
}

/* when the first of them is due, 0 = there are none */
static TimestampTz
aside_at(const SdEngine *engine)
{
	TimestampTz at = 0;
	dlist_iter  iter;

	dlist_foreach(iter, (dlist_head *) &engine->aside)
	{
		SdExchange *exchange = dlist_container(SdExchange, node, iter.cur);

		if (at == 0 || exchange->settle_at < at)
			at = exchange->settle_at;
	}
	return at;
}

/*
 * Everything in transactions of its own; true if all of them succeeded.  As
 * long as anything moves on, the failures count for themselves and not for the
 * engine.
 */
static bool
careful_turn(SdEngine *engine)
{
	dlist_head failed;
	int        settled = settle_each(engine, &failed);
	bool       ingest_ok = attempt(engine, work_ingest, "ingest the inbox");
	bool       claim_ok = attempt(engine, work_claim, "claim tasks");
	bool       any_ok = settled > 0 || ingest_ok || claim_ok;

	if (claim_ok)
		send_claimed(engine);
	else
		engine->nrequests = 0;
	if (settled > 0 || engine->ingested > 0 || engine->nrequests > 0 || (any_ok && !dlist_is_empty(&failed)))
		engine->failures = 1;
	while (!dlist_is_empty(&failed))
	{
		SdExchange *exchange = take_first(&failed);

		if (any_ok)
			put_off(engine, exchange);
		else
			dlist_push_tail(&engine->pending, &exchange->node);
	}
	engine->settled = settled;
	return ingest_ok && claim_ok && dlist_is_empty(&engine->pending);
}

/* what a turn has shown about when the next one is worth making */
static void
plan_next_turn(SdEngine *engine, TimestampTz now)
{
	bool more;

	engine->due_at = 0;
	engine->confirm_at = engine->wrote ? now + CONFIRM_US : 0;
	if (engine->settled > 0 || engine->ingested > 0 || engine->nrequests > 0)
		engine->fruitless = engine->barren = 0;
	if (engine->draining)
		return;

	more = (engine->ingested > 0 && engine->ingested >= engine->to_ingest) ||
		   (engine->nrequests >= engine->asked && engine->asked > 0 && engine->due_in_us == 0 &&
			sd_client_has_room(engine->client));
	if (more)
		engine->due_at = now;
	else if (engine->due_in_us > 0)
		engine->due_at = now + engine->due_in_us;
	else if (engine->due_in_us == 0)
	{
		/* due, but not claimed: held back by a limit, or not yet ripe */
		if (engine->wrote && engine->nrequests == 0 && engine->asked > 0 &&
			engine->barren++ < BARREN_TURNS)
			engine->due_at = now;
		else
		{
			int64 pause = (int64) PAUSE_FIRST_MS << Min(engine->fruitless, 6);

			engine->fruitless++;
			engine->due_at = now + Min(pause, PAUSE_LAST_MS) * 1000;
		}
	}
}

static bool
plain_turn(SdEngine *engine)
{
	if (!attempt(engine, work_turn, "make a turn of the exchange"))
		return false;
	while (!dlist_is_empty(&engine->pending))
		sd_client_release(engine->client, take_first(&engine->pending));
	send_claimed(engine);
	return true;
}

static void
turn(SdEngine *engine)
{
	bool ok;

	collect_answers(engine);
	engine->woken = false;
	engine->gather_until = 0;
	retry_aside(engine);
	engine->settled = engine->ingested = engine->to_ingest = engine->nrequests = engine->asked = 0;
	engine->wrote = false;
	engine->due_in_us = -1;

	ok = engine->careful ? careful_turn(engine) : plain_turn(engine);
	MemoryContextReset(engine->turn);
	if (ok)
	{
		if (engine->told && dlist_is_empty(&engine->aside))
		{
			if (engine->driver == SD_DRIVER_WORKER)
				sd_worker_report_quiet(engine->quiet);
			engine->told = false;
		}
		engine->failures = 0;
		engine->careful = false;
		engine->retry_at = 0;
		plan_next_turn(engine, GetCurrentTimestamp());
	}
	else
	{
		int64 delay = (int64) RETRY_FIRST_MS << Min(engine->failures, 10);

		engine->failures++;
		engine->careful = engine->failures >= 2 ||
						  engine->error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
		engine->woken = true;
		engine->retry_at = GetCurrentTimestamp() + Min(delay, RETRY_LAST_MS) * 1000;
		if (engine->driver == SD_DRIVER_PROCEDURE && engine->failures >= PROCEDURE_FAILURES)
			ReThrowError(engine->error);
	}
}

/* ---- time ---- */

static bool
turn_is_due(SdEngine *engine, TimestampTz now)
{
	int         unsettled = sd_client_unsettled(engine->client);
	TimestampTz again = aside_at(engine);

	if (engine->retry_at > now)
		return false;
	if (engine->woken ||
		(engine->due_at != 0 && engine->due_at <= now) ||
		(engine->confirm_at != 0 && engine->confirm_at <= now) ||
		(again != 0 && again <= now))
		return true;
	if (unsettled == 0)
		return false;
	if (engine->gather_until == 0)
		engine->gather_until = now + GATHER_US;
	return engine->gather_until <= now || unsettled >= SD_CLIENT_MAX_REQUESTS / 4 ||
		   !sd_client_saturated(engine->client);
}

bool
sd_engine_step(SdEngine *engine)
{
	sd_client_run(engine->client);
	if (!turn_is_due(engine, GetCurrentTimestamp()))
		return false;
	turn(engine);
	sd_client_run(engine->client);
	return true;
}

static long
sooner(long ms, TimestampTz moment)
{
	return moment == 0 ? ms : sd_loop_until(moment, ms);
}

long
sd_engine_timeout(const SdEngine *engine, long cap)
{
	long network = sd_client_timeout(engine->client);
	long ms = network < 0 ? cap : Min(network, cap);

	if (engine->retry_at > GetCurrentTimestamp())
		return sooner(ms, engine->retry_at);
	if (engine->woken)
		return 0;
	if (sd_client_unsettled(engine->client) > 0)
	{
		if (engine->gather_until == 0)
			return 0;
		ms = sooner(ms, engine->gather_until);
	}
	return sooner(sooner(sooner(ms, engine->due_at), engine->confirm_at), aside_at(engine));
}

int
sd_engine_in_hand(const SdEngine *engine)
{
	return sd_client_open(engine->client) + sd_client_unsettled(engine->client) +
		   sd_client_aside(engine->client);
}

long
sd_engine_longest(const SdEngine *engine)
{
	return sd_client_longest(engine->client) + SETTLE_LAST_MS;
}

bool
sd_engine_is_stuck(const SdEngine *engine)
{
	return engine->fruitless >= STUCK_AFTER;
}

bool
sd_engine_is_idle(const SdEngine *engine)
{
	return sd_engine_in_hand(engine) == 0 && !engine->woken &&
		   (engine->due_in_us != 0 || sd_engine_is_stuck(engine)) &&
		   (engine->due_at == 0 || engine->due_at > GetCurrentTimestamp());
}

/* ---- life of the engine ---- */

SdEngine *
sd_engine_create(MemoryContext parent, SdDriver driver)
{
	MemoryContext context = AllocSetContextCreate(parent, "salesdrive engine",
												  ALLOCSET_DEFAULT_SIZES);
	SdEngine     *engine = MemoryContextAllocZero(context, sizeof(SdEngine));

	engine->context = context;
	engine->turn = AllocSetContextCreate(context, "salesdrive turn", ALLOCSET_DEFAULT_SIZES);
	engine->rows = AllocSetContextCreate(context, "salesdrive results", ALLOCSET_DEFAULT_SIZES);
	engine->driver = driver;
	engine->due_in_us = -1;
	engine->lock_wait_ms = LOCK_WAIT_MS;
	dlist_init(&engine->pending);
	dlist_init(&engine->alone);
	dlist_init(&engine->aside);
	engine->client = sd_client_create(context);
	hook_executor();
	return engine;
}

void
sd_engine_destroy(SdEngine *engine)
{
	SPIPlanPtr plans[] = {
		engine->plan_begin, engine->plan_settle, engine->plan_ingest,
		engine->plan_claim, engine->plan_next_due, engine->plan_partitions, engine->plan_expire,
		engine->plan_reclaim, engine->plan_look, engine->plan_health};

	for (int i = 0; i < (int) lengthof(plans); i++)
		if (plans[i] != NULL)
			SPI_freeplan(plans[i]);
	MemoryContextDelete(engine->context);
}

int
sd_engine_fd(const SdEngine *engine)
{
	return sd_client_fd(engine->client);
}

void
sd_engine_wake(SdEngine *engine)
{
	engine->woken = true;
}

void
sd_engine_drain(SdEngine *engine)
{
	engine->draining = true;
}

static void
work_begin(SdEngine *engine)
{
	char *quiet;

	execute(&engine->plan_begin, "SELECT salesdrive.engine_begin()", 0, NULL, NULL);
	quiet = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (engine->quiet != NULL)
		pfree(engine->quiet);
	engine->quiet = quiet ? MemoryContextStrdup(engine->context, quiet) : NULL;
	SPI_freetuptable(SPI_tuptable);
}

bool
sd_engine_begin(SdEngine *engine)
{
	bool ok;

	engine->begun = false;
	ok = attempt(engine, work_begin, "begin the exchange");
	MemoryContextReset(engine->turn);
	if (!ok && engine->driver == SD_DRIVER_PROCEDURE)
		ReThrowError(engine->error);
	if (ok)
	{
		engine->begun = engine->quiet == NULL;
		engine->failures = 0;
		engine->woken = true;
		engine->told = false;
		if (engine->driver == SD_DRIVER_WORKER)
			sd_worker_report_quiet(engine->quiet);
	}
	return ok;
}

const char *
sd_engine_quiet(const SdEngine *engine)
{
	return engine->quiet;
}

static void
work_partitions(SdEngine *engine)
{
	execute(&engine->plan_partitions, "SELECT salesdrive.prepare_partitions()", 0, NULL, NULL);
	SPI_freetuptable(SPI_tuptable);
}

/*
 * The net under what should not happen: a task in flight whose lease is over
 * and of which nothing is in hand, as after an answer that was given up.
 */
static void
work_reclaim(SdEngine *engine)
{
	Oid    type = INT8ARRAYOID;
	int    count;
	int64 *tasks = sd_client_tasks(engine->client, &count);
	Datum *items = palloc(sizeof(Datum) * Max(count, 1));
	Datum  argument;

	for (int i = 0; i < count; i++)
		items[i] = Int64GetDatum(tasks[i]);
	argument = PointerGetDatum(construct_array(items, count, INT8OID, sizeof(int64),
											   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	execute(&engine->plan_reclaim, "SELECT salesdrive.reclaim_leases($1)", 1, &type, &argument);
	SPI_freetuptable(SPI_tuptable);
}

void
sd_engine_sweep(SdEngine *engine)
{
	attempt(engine, work_partitions, "prepare partitions");
	if (engine->begun)
		attempt(engine, work_reclaim, "take back requests that were given up");
	MemoryContextReset(engine->turn);
	engine->woken = true;
}

static void
work_look(SdEngine *engine)
{
	execute(&engine->plan_look, "SELECT salesdrive.look_for_incidents()", 0, NULL, NULL);
	SPI_freetuptable(SPI_tuptable);
}

void
sd_engine_look(SdEngine *engine)
{
	attempt(engine, work_look, "look for incidents");
	MemoryContextReset(engine->turn);
}

static void
work_expire(SdEngine *engine)
{
	execute(&engine->plan_expire, "SELECT salesdrive.expire_history()", 0, NULL, NULL);
	SPI_freetuptable(SPI_tuptable);
}

static void
work_health(SdEngine *engine)
{
	execute(&engine->plan_health, "SELECT salesdrive.health_rows()", 0, NULL, NULL);
	SPI_freetuptable(SPI_tuptable);
}

bool
sd_engine_expire(SdEngine *engine)
{
	bool ok = attempt(engine, work_expire, "drop expired history");

	ok &= attempt(engine, work_health, "write the row of health");
	MemoryContextReset(engine->turn);
	return ok;
}

/* ---- one task ---- */

void
sd_task_look(int64 task_id, MemoryContext context, SdTaskView *view)
{
	Oid           type = INT8OID;
	Datum         argument = Int64GetDatum(task_id);
	MemoryContext saved;

	memset(view, 0, sizeof(*view));
	if (SPI_execute_with_args("SELECT state, reason, detail, hint, attempt, salesdrive.task_progress(id)"
							  " FROM salesdrive.task"
							  " WHERE id OPERATOR(pg_catalog.=) $1",
							  1, &type, &argument, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look at the task");
	view->found = SPI_processed > 0;
	if (view->found)
	{
		HeapTuple row = SPI_tuptable->vals[0];
		TupleDesc desc = SPI_tuptable->tupdesc;
		bool      isnull;
		Datum     attempts = SPI_getbinval(row, desc, 5, &isnull);

		saved = MemoryContextSwitchTo(context);
		view->attempt = isnull ? 0 : DatumGetInt32(attempts);
		view->state = SPI_getvalue(row, desc, 1);
		view->reason = SPI_getvalue(row, desc, 2);
		view->detail = SPI_getvalue(row, desc, 3);
		view->hint = SPI_getvalue(row, desc, 4);
		view->progress = SPI_getvalue(row, desc, 6);
		MemoryContextSwitchTo(saved);
	}
	SPI_freetuptable(SPI_tuptable);
	SPI_commit();
}

/* has any task had this number?  One that is done is gone from the table. */
bool
sd_task_was_given(int64 task_id)
{
	Oid   type = INT8OID;
	Datum argument = Int64GetDatum(task_id);
	bool  isnull;
	bool  given;

	if (SPI_execute_with_args("SELECT $1 OPERATOR(pg_catalog.>=) 1 AND $1 OPERATOR(pg_catalog.<=)"
							  " pg_catalog.pg_sequence_last_value('salesdrive.task_id_seq')",
							  1, &type, &argument, NULL, false, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not look at the numbers of tasks");
	given = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	given = given && !isnull;
	SPI_freetuptable(SPI_tuptable);
	SPI_commit();
	return given;
}
