/*-------------------------------------------------------------------------
 *
 * tasks.c
 *	  The transactions of the engine, and its calls of SQL.
 *
 * Role: see tasks.h.  Calls the SQL functions engine_begin, settle, ingest,
 * claim, next_due and those of the sweep, and nothing else of SQL, save one
 * look at a task's row.  Called by engine.c and turn.c, and by exchanger.c for
 * that look.
 *
 * Invariants:
 *
 * - Waits for locks end: see lock_wait_ms.
 * - A task is taken back only if no exchange of it is in hand.
 * - Its commits are flushed to disk, also where synchronous_commit is off.
 * - Between transactions nothing of the database is held but the engine's
 *	 advisory lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/ilist.h"
#include "miscadmin.h"
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
#include "messages.h"
#include "salesdrive.h"
#include "tasks.h"
#include "turn.h"

#define INGEST_ROWS    1000
#define INGEST_BESIDE  128  /* beside requests: answers and new requests wait for the end of the turn */
#define SETTLE_RESULTS 1000 /* in one call of settle() */
#define SETTLE_BYTES   ((size_t) 64 * 1024 * 1024)

typedef void (*Work)(SdEngine *engine);

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
		sd_engine_serve(engine->client);
		work(engine);
		sd_engine_serve(NULL);
		engine->wrote |= TransactionIdIsValid(GetTopTransactionIdIfAny());
		commit_transaction(engine, owner);
	}
	PG_CATCH();
	{
		sd_engine_serve(NULL);
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

/* ---- the transactions of a turn ---- */

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

bool
sd_tasks_turn(SdEngine *engine)
{
	return attempt(engine, work_turn, "make a turn of the exchange");
}

bool
sd_tasks_settle_alone(SdEngine *engine)
{
	return attempt(engine, work_settle_alone, "settle an answer");
}

bool
sd_tasks_ingest(SdEngine *engine)
{
	return attempt(engine, work_ingest, "ingest the inbox");
}

bool
sd_tasks_claim(SdEngine *engine)
{
	return attempt(engine, work_claim, "claim tasks");
}

bool
sd_tasks_ask_next_due(SdEngine *engine)
{
	return attempt(engine, ask_next_due, "ask when something is due");
}

/* ---- life and sweep ---- */

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
sd_tasks_begin(SdEngine *engine)
{
	return attempt(engine, work_begin, "begin the exchange");
}

static void
work_partitions(SdEngine *engine)
{
	execute(&engine->plan_partitions, "SELECT salesdrive.prepare_partitions()", 0, NULL, NULL);
	SPI_freetuptable(SPI_tuptable);
}

bool
sd_tasks_prepare_partitions(SdEngine *engine)
{
	return attempt(engine, work_partitions, "prepare partitions");
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

bool
sd_tasks_reclaim(SdEngine *engine)
{
	return attempt(engine, work_reclaim, "take back requests that were given up");
}

static void
work_look(SdEngine *engine)
{
	execute(&engine->plan_look, "SELECT salesdrive.look_for_incidents()", 0, NULL, NULL);
	SPI_freetuptable(SPI_tuptable);
}

bool
sd_tasks_look_for_incidents(SdEngine *engine)
{
	return attempt(engine, work_look, "look for incidents");
}

static void
work_expire(SdEngine *engine)
{
	execute(&engine->plan_expire, "SELECT salesdrive.expire_history()", 0, NULL, NULL);
	SPI_freetuptable(SPI_tuptable);
}

bool
sd_tasks_expire(SdEngine *engine)
{
	return attempt(engine, work_expire, "drop expired history");
}

static void
work_health(SdEngine *engine)
{
	execute(&engine->plan_health, "SELECT salesdrive.health_rows()", 0, NULL, NULL);
	SPI_freetuptable(SPI_tuptable);
}

bool
sd_tasks_write_health(SdEngine *engine)
{
	return attempt(engine, work_health, "write the row of health");
}

void
sd_tasks_free_plans(SdEngine *engine)
{
	SPIPlanPtr plans[] = {
		engine->plan_begin, engine->plan_settle, engine->plan_ingest,
		engine->plan_claim, engine->plan_next_due, engine->plan_partitions, engine->plan_expire,
		engine->plan_reclaim, engine->plan_look, engine->plan_health};

	for (int i = 0; i < (int) lengthof(plans); i++)
		if (plans[i] != NULL)
			SPI_freeplan(plans[i]);
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
