/*-------------------------------------------------------------------------
 *
 * turn.c
 *	  One turn of the engine: what it does with answers and requests, what it does
 *	  when that fails, and when the next one is worth making.
 *
 * Role: see engine.h.  The transactions it asks for are tasks.c; here is no SPI.
 * Called by engine.c only.
 *
 * Invariants:
 *
 * - A request leaves only after the transaction that claimed it has committed.
 * - An answer is let go only after the transaction that settled it has
 *	 committed.  When a turn fails it keeps its answers and is tried again;
 *	 failing again, each answer is settled in a transaction of its own, so that
 *	 a bad one fails alone, and ingest and claim likewise.  What fails alone is
 *	 set aside and tried again alone, with growing pauses, while turns go on.
 * - A lock held by another session costs a turn a moment, not its life.  An
 *	 answer whose rows are locked stays as it is, however long that takes; only
 *	 failures that speak of the answer itself are counted.
 * - It never spins: work that is said to be due but cannot be claimed is looked
 *	 at again with growing pauses, at most a second long.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "client.h"
#include "fault.h"
#include "salesdrive.h"
#include "tasks.h"
#include "turn.h"

#define CONFIRM_US         1000000 /* a last look after a turn that wrote */
#define PAUSE_FIRST_MS     20      /* due, but nothing could be claimed */
#define PAUSE_LAST_MS      1000
#define BARREN_TURNS       1000 /* turns that only wrote, before pauses begin */
#define RETRY_FIRST_MS     100
#define RETRY_LAST_MS      30000
#define PROCEDURE_FAILURES 4   /* in a procedure: then it throws */
#define GIVE_UP_AFTER      6   /* failures of one answer alone */
#define PUT_OFF_FIRST_MS   500 /* an answer that failed alone */
#define PUT_OFF_LAST_MS    30000
#define ALONE_FAILURES     2   /* of such answers in one turn */
#define LOCK_WAIT_ALONE_MS 250 /* of an answer alone */

/* ---- answers ---- */

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
	ok = sd_tasks_settle_alone(engine);
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

TimestampTz
sd_turn_aside_at(const SdEngine *engine)
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

/* ---- the turn ---- */

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
	bool       ingest_ok = sd_tasks_ingest(engine);
	bool       claim_ok = sd_tasks_claim(engine);
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
	if (!sd_tasks_turn(engine))
		return false;
	while (!dlist_is_empty(&engine->pending))
		sd_client_release(engine->client, take_first(&engine->pending));
	send_claimed(engine);
	return true;
}

void
sd_turn_make(SdEngine *engine)
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
	ok = ok && sd_tasks_ask_next_due(engine); /* what was claimed does not wait for this */
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
