/*-------------------------------------------------------------------------
 *
 * engine.c
 *	  The engine of the exchange: its lock, its life, its sense of time.
 *
 * Role: see engine.h.  What a turn does is turn.c, what it does in the database
 * tasks.c; here is no SPI.  Called by exchanger.c.
 *
 * Invariants:
 *
 * - One engine a database, by the session advisory lock.
 * - While a transaction of the engine is at work the network gets its due, and at
 *	 no other time does it move within statements.
 * - Between turns nothing of the database is held but that lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/plancat.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "client.h"
#include "engine.h"
#include "loop.h"
#include "salesdrive.h"
#include "tasks.h"
#include "turn.h"

#define GATHER_US      100000 /* answers of busy targets wait for company */
#define BREATH_US      100    /* the network is looked at no more often */
#define CALLS_A_LOOK   8      /* of a node of a plan, before the clock is read */
#define LEAST_ROWS     1000   /* that plans expect of any table */
#define LEAST_PAGES    10
#define STUCK_AFTER    7    /* fruitless turns in a row; more than a second */
#define SETTLE_LAST_MS 5000 /* for answers, when all requests have ended */

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

/* ---- breathing ---- */

/*
 * While the database works, the network gets its due before each statement and
 * between the rows within it, so that no connection rests because a turn takes
 * its time.
 */
static SdClient               *serving; /* NULL outside a transaction of an engine */
static TimestampTz             served_at;
static ExecutorStart_hook_type next_executor_start;

void
sd_engine_serve(SdClient *client)
{
	serving = client;
}

static void
breathe(void)
{
	TimestampTz now;

	if (serving == NULL || sd_client_open(serving) == 0)
		return;
	now = GetCurrentTimestamp();
	if (now - served_at >= 0 && now - served_at < BREATH_US)
		return;
	served_at = now;
	sd_client_run(serving);
}

static TupleTableSlot *
breathe_and_go_on(PlanState *node)
{
	static uint8 calls;

	if (++calls % CALLS_A_LOOK == 0)
		breathe();
	return node->ExecProcNodeReal(node);
}

/* the nodes of a plan breathe before each row they give */
static bool
let_breathe(PlanState *node, void *context)
{
	if (node->instrument == NULL)
		node->ExecProcNode = breathe_and_go_on;
	return planstate_tree_walker(node, let_breathe, context);
}

static void
serve_network(QueryDesc *query, int flags)
{
	breathe();
	if (next_executor_start != NULL)
		next_executor_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
	if (serving != NULL && sd_client_open(serving) > 0)
		let_breathe(query->planstate, NULL);
}

/* ---- plans ---- */

/*
 * Queues are empty when they are vacuumed and full when it counts.  Where no
 * row is expected, reading a whole index costs the planner as little as looking
 * up a key in it; and the plans of the engine stay.
 */
static get_relation_info_hook_type next_relation_info;

static void
expect_rows(PlannerInfo *root, Oid relation, bool inhparent, RelOptInfo *rel)
{
	ListCell *cell;

	if (next_relation_info != NULL)
		next_relation_info(root, relation, inhparent, rel);
	if (serving == NULL || inhparent)
		return;
	rel->pages = Max(rel->pages, LEAST_PAGES);
	rel->tuples = Max(rel->tuples, LEAST_ROWS);
	foreach (cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst(cell);

		index->pages = Max(index->pages, LEAST_PAGES);
		index->tuples = Max(index->tuples, LEAST_ROWS);
	}
}

/* once in a process: a library loaded since may have put its own hooks before ours */
static void
hook_server(void)
{
	static bool hooked;

	if (hooked)
		return;
	hooked = true;
	next_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = serve_network;
	next_relation_info = get_relation_info_hook;
	get_relation_info_hook = expect_rows;
}

/* ---- time ---- */

static bool
turn_is_due(SdEngine *engine, TimestampTz now)
{
	int         unsettled = sd_client_unsettled(engine->client);
	TimestampTz again = sd_turn_aside_at(engine);

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
	sd_turn_make(engine);
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
	return sooner(sooner(sooner(ms, engine->due_at), engine->confirm_at), sd_turn_aside_at(engine));
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
	hook_server();
	return engine;
}

void
sd_engine_destroy(SdEngine *engine)
{
	sd_tasks_free_plans(engine);
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

bool
sd_engine_begin(SdEngine *engine)
{
	bool ok;

	engine->begun = false;
	ok = sd_tasks_begin(engine);
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

void
sd_engine_sweep(SdEngine *engine)
{
	sd_tasks_prepare_partitions(engine);
	if (engine->begun)
		sd_tasks_reclaim(engine);
	MemoryContextReset(engine->turn);
	engine->woken = true;
}

void
sd_engine_look(SdEngine *engine)
{
	sd_tasks_look_for_incidents(engine);
	MemoryContextReset(engine->turn);
}

bool
sd_engine_expire(SdEngine *engine)
{
	bool ok = sd_tasks_expire(engine);

	ok &= sd_tasks_write_health(engine);
	MemoryContextReset(engine->turn);
	return ok;
}
