/*-------------------------------------------------------------------------
 *
 * exchanger.c
 *	  Who drives the engine: the exchanger worker, CALL run() and CALL wait().
 *
 * Role: takes the engine's lock, waits on the loop, steps the engine.  What a
 * step does stands in turn.c; nothing is decided here but when to stop.
 *
 * Invariants: one engine per database, by the advisory lock.  The procedures
 * hold no snapshot while they wait, and on every way out, errors and cancels
 * included, they give back the lock, the sockets and the memory of the engine.
 * On a way out of the process nothing is given back by hand: the kernel closes
 * sockets faster than libcurl does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "engine.h"
#include "loop.h"
#include "salesdrive.h"
#include "tasks.h"

#define LOCK_RETRY_FIRST_MS         100
#define LOCK_RETRY_LAST_MS          1000
#define BEGIN_RETRY_FIRST_MS        1000
#define BEGIN_RETRY_LAST_MS         30000
#define SD_ERRCODE_NOT_DONE_IN_TIME MAKE_SQLSTATE('S', 'D', '0', '0', '8')
#define SD_ERRCODE_NO_SUCH_TASK     MAKE_SQLSTATE('S', 'D', '0', '0', '7')
#define SD_AFTER_MIDNIGHT_US        (10 * USECS_PER_MINUTE) /* UTC, as the days of health_day */
#define LOOK_MS                     100                     /* how often wait() looks at its task */
#define TELL_MS                     1000                    /* how often, at most, it tells of progress alone */

PG_FUNCTION_INFO_V1(sd_sql_run);
PG_FUNCTION_INFO_V1(sd_sql_wait);
PG_FUNCTION_INFO_V1(sd_sql_engine_alive);

/* ---- the worker ---- */

typedef struct Exchanger
{
	SdEngine   *engine;
	SdLoop     *loop;
	bool        locked;
	bool        begun;
	uint32      generation; /* of the settings, when the engine began */
	int         lock_failures;
	int         begin_failures;
	TimestampTz try_at; /* for the lock, or for beginning */
	TimestampTz sweep_at;
	TimestampTz expire_at; /* not before this: history past its retention */
} Exchanger;

static void
try_later(Exchanger *self, int *failures, int first_ms, int last_ms)
{
	int64 delay = (int64) first_ms << Min(*failures, 16);

	(*failures)++;
	self->try_at = GetCurrentTimestamp() + Min(delay, last_ms) * 1000;
}

/*
 * The lock first, then the beginning; both again until they succeed.  One that
 * cannot begin does not keep the lock from one that can.
 */
static void
get_going(Exchanger *self)
{
	if (self->try_at > GetCurrentTimestamp())
		return;
	if (!self->locked)
		self->locked = sd_engine_lock();
	if (!self->locked)
	{
		try_later(self, &self->lock_failures, LOCK_RETRY_FIRST_MS, LOCK_RETRY_LAST_MS);
		return;
	}
	self->lock_failures = 0;
	self->generation = sd_settings_generation();
	self->begun = sd_engine_begin(self->engine);
	if (self->begun)
	{
		self->begin_failures = 0;
		return;
	}
	sd_engine_unlock();
	self->locked = false;
	try_later(self, &self->begin_failures, BEGIN_RETRY_FIRST_MS, BEGIN_RETRY_LAST_MS);
}

/* what woke it may be that the lock is free, or that what failed is mended */
static bool
worth_a_try(const Exchanger *self)
{
	return !self->locked &&
		   (self->begin_failures == 0 || self->generation != sd_settings_generation());
}

/* A moment set farther away than it may be was set by a clock that was ahead. */
static bool
is_due(TimestampTz moment, int64 farthest)
{
	TimestampTz now = GetCurrentTimestamp();

	return moment <= now || moment - now > farthest;
}

static void
sweep_if_due(Exchanger *self)
{
	if (!is_due(self->sweep_at, (int64) sd_guc_sweep_interval * 1000))
		return;
	sd_engine_sweep(self->engine);
	if (self->begun && sd_engine_quiet(self->engine) == NULL)
		sd_engine_look(self->engine);
	self->sweep_at = GetCurrentTimestamp() + (int64) sd_guc_sweep_interval * 1000;

	/* adopted, or configured, without a trigger having told? */
	if (self->begun && sd_engine_quiet(self->engine) != NULL)
		self->begun = sd_engine_in_hand(self->engine) > 0;
}

/*
 * When it begins, then after each midnight (UTC), with the first look round
 * after it is due: it wakes nobody.  A database that keeps quiet keeps its
 * history too.
 */
static void
expire_if_due(Exchanger *self)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!self->begun || sd_engine_quiet(self->engine) != NULL ||
		!is_due(self->expire_at, USECS_PER_DAY + SD_AFTER_MIDNIGHT_US))
		return;
	if (sd_engine_expire(self->engine))
		self->expire_at = (now / USECS_PER_DAY + 1) * USECS_PER_DAY + SD_AFTER_MIDNIGHT_US;
	else
		self->expire_at = now + (int64) sd_guc_sweep_interval * 1000;
}

static long
exchanger_timeout(const Exchanger *self)
{
	long ms = sd_loop_until(self->sweep_at, sd_guc_sweep_interval);

	return self->begun ? sd_engine_timeout(self->engine, ms) : sd_loop_until(self->try_at, ms);
}

/* settings have changed: perhaps the reason to be quiet is gone */
static void
notice_settings(Exchanger *self)
{
	if (self->begun && sd_engine_quiet(self->engine) != NULL &&
		self->generation != sd_settings_generation() &&
		sd_engine_in_hand(self->engine) == 0)
	{
		self->begun = false;
		self->try_at = 0;
	}
}

void
sd_exchanger_main(Datum main_arg)
{
	Exchanger self = {0};

	sd_worker_attach(SD_EXCHANGER);
	SetConfigOption("application_name", "salesdrive exchanger", PGC_USERSET, PGC_S_SESSION);
	self.engine = sd_engine_create(TopMemoryContext, SD_DRIVER_WORKER);
	MemoryContextSwitchTo(TopMemoryContext);
	self.loop = sd_loop_create(sd_engine_fd(self.engine));

	for (;;)
	{
		sweep_if_due(&self);
		notice_settings(&self);
		if (!self.begun)
			get_going(&self);
		expire_if_due(&self);
		if (self.begun)
			sd_engine_step(self.engine);
		if (sd_loop_wait(self.loop, exchanger_timeout(&self)) & SD_LOOP_LATCH)
		{
			sd_worker_reload();
			sd_engine_wake(self.engine);
			if (worth_a_try(&self))
				self.try_at = 0;
		}
	}
}

/* ---- what the procedures share ---- */

static void
require_autocommit(FunctionCallInfo fcinfo, const char *what)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("%s cannot run inside a transaction block", what),
				 errdetail("It commits as it goes and holds nothing while it waits for the network."),
				 errhint("Call it as a statement of its own, with autocommit on, not after BEGIN and not in a function.")));
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("%s cannot run on a standby", what),
				 errhint("Call it on the primary server.")));
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	SPI_commit();
}

/* a procedure at the wheel; engine is NULL while somebody else drives */
typedef struct Ride
{
	MemoryContext context;
	SdEngine     *engine;
	SdLoop       *loop;
} Ride;

static void
ride_open(Ride *ride)
{
	ride->context = AllocSetContextCreate(TopMemoryContext, "salesdrive procedure",
										  ALLOCSET_DEFAULT_SIZES);
	ride->engine = NULL;
	ride->loop = NULL;
}

static void
ride_set_loop(Ride *ride, int fd)
{
	MemoryContext saved = MemoryContextSwitchTo(ride->context);

	if (ride->loop != NULL)
		sd_loop_free(ride->loop);
	ride->loop = sd_loop_create(fd);
	MemoryContextSwitchTo(saved);
}

/* with the lock held; from here ride_close() gives it back */
static void
ride_begin(Ride *ride)
{
	PG_TRY();
	{
		ride->engine = sd_engine_create(ride->context, SD_DRIVER_PROCEDURE);
	}
	PG_CATCH();
	{
		sd_engine_unlock();
		PG_RE_THROW();
	}
	PG_END_TRY();
	ride_set_loop(ride, sd_engine_fd(ride->engine));
	sd_engine_begin(ride->engine);
}

static void
ride_close(Ride *ride)
{
	if (ride->loop != NULL)
		sd_loop_free(ride->loop);
	ride->loop = NULL;
	if (ride->engine != NULL)
	{
		sd_engine_destroy(ride->engine);
		ride->engine = NULL;
		sd_engine_unlock();
	}
	MemoryContextDelete(ride->context);
}

/* one step, and the pause after it; true if a turn was made */
static bool
ride_on(Ride *ride, long most_ms)
{
	bool turned = false;
	long ms = most_ms;

	if (ride->engine != NULL)
	{
		turned = sd_engine_step(ride->engine);
		ms = sd_engine_is_idle(ride->engine) ? 0 : sd_engine_timeout(ride->engine, most_ms);
	}
	if (sd_loop_wait(ride->loop, ms) & SD_LOOP_LATCH && ride->engine != NULL)
		sd_engine_wake(ride->engine);
	return turned;
}

/*
 * Takes nothing new and waits for the answers to what has been sent: a request
 * cut off would have to be read back.  What cannot be settled by then is left
 * to the next engine, which does that.
 */
static void
ride_to_the_end(Ride *ride)
{
	TimestampTz limit;

	if (ride->engine == NULL)
		return;
	sd_engine_drain(ride->engine);
	limit = GetCurrentTimestamp() + (int64) sd_engine_longest(ride->engine) * 1000;
	while (sd_engine_in_hand(ride->engine) > 0 && GetCurrentTimestamp() < limit)
		ride_on(ride, sd_loop_until(limit, LOCK_RETRY_LAST_MS));
}

/* ---- CALL run() ---- */

static void
run(Ride *ride)
{
	if (!sd_engine_lock())
	{
		ereport(NOTICE,
				(errmsg("another session or the exchanger already runs the exchange of this database"),
				 errdetail("There is nothing to do here; view salesdrive.worker_status shows the exchanger.")));
		return;
	}
	ride_begin(ride);
	if (sd_engine_quiet(ride->engine) != NULL)
		ereport(NOTICE,
				(errmsg("nothing is sent: %s", sd_engine_quiet(ride->engine))));
	sd_engine_sweep(ride->engine);
	while (!sd_engine_is_idle(ride->engine))
		ride_on(ride, LOCK_RETRY_LAST_MS);
	if (sd_engine_quiet(ride->engine) == NULL)
		sd_engine_look(ride->engine);
	if (sd_engine_is_stuck(ride->engine) && sd_engine_quiet(ride->engine) == NULL)
		ereport(NOTICE,
				(errmsg("some tasks are due but cannot be sent now"),
				 errhint("Limits, quotas, pauses or an open circuit hold them back; see salesdrive.order_status.")));
}

Datum
sd_sql_run(PG_FUNCTION_ARGS)
{
	Ride ride;

	require_autocommit(fcinfo, "salesdrive.run()");
	ride_open(&ride);
	PG_TRY();
	{
		run(&ride);
	}
	PG_FINALLY();
	{
		ride_close(&ride);
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_VOID();
}

/* ---- CALL wait() ---- */

/* is there something to tell since it was told last? */
static bool
has_moved(const SdTaskView *told, const SdTaskView *now, TimestampTz told_at)
{
	if (!now->found || !told->found || strcmp(told->state, now->state) != 0 || told->attempt != now->attempt)
		return true;
	return now->progress && (!told->progress || strcmp(told->progress, now->progress) != 0) &&
		   TimestampDifferenceExceeds(told_at, GetCurrentTimestamp(), TELL_MS);
}

/* true when there is nothing more to wait for */
static bool
tell_progress(int64 task_id, const SdTaskView *now)
{
	if (!now->found)
	{
		ereport(NOTICE,
				(errmsg("task " INT64_FORMAT " is done", task_id)));
		return true;
	}
	if (strcmp(now->state, "parked") == 0)
	{
		ereport(NOTICE,
				(errmsg("task " INT64_FORMAT " is parked: %s", task_id, now->reason ? now->reason : "no reason given"),
				 now->detail ? errdetail_internal("%s", now->detail) : 0,
				 now->hint ? errhint("%s", now->hint) : 0));
		return true;
	}
	ereport(NOTICE,
			(errmsg("task " INT64_FORMAT " is %s, attempt %d%s%s", task_id, now->state, now->attempt,
					now->progress ? ": " : "", now->progress ? now->progress : ""),
			 now->reason ? errdetail_internal("%s", now->reason) : 0));
	return false;
}

/* may the caller drive the engine?  If not, and nobody does, says so */
static bool
may_drive(void)
{
	bool isnull;
	bool may;

	if (SPI_execute("SELECT pg_catalog.has_function_privilege('salesdrive.engine_begin()', 'EXECUTE')",
					false, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not look at the rights of the caller");
	may = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	if (!may && !sd_engine_is_locked())
		ereport(NOTICE,
				(errmsg("no exchanger runs in this database, and this role may not run the exchange"),
				 errdetail("wait() only watches the task."),
				 errhint("Let an admin call salesdrive.start_workers(), or CALL salesdrive.run().")));
	SPI_commit();
	return may;
}

typedef struct Watch
{
	int64         task_id;
	MemoryContext contexts[2];
	SdTaskView    views[2];
	int           told; /* which of them was told last */
	TimestampTz   told_at;
} Watch;

static bool
look(Watch *watch)
{
	const SdTaskView *told = &watch->views[watch->told];
	int               other = 1 - watch->told;
	SdTaskView       *now = &watch->views[other];

	MemoryContextReset(watch->contexts[other]);
	sd_task_look(watch->task_id, watch->contexts[other], now);
	if (!now->found && !told->found && !sd_task_was_given(watch->task_id))
		ereport(ERROR,
				(errcode(SD_ERRCODE_NO_SUCH_TASK),
				 errmsg("there is no task " INT64_FORMAT, watch->task_id),
				 errdetail("No task has had this number yet."),
				 errhint("resume(account, order_id) returns the task of an order; view salesdrive.order_status shows it as task_id.")));
	if (!has_moved(told, now, watch->told_at))
		return false;
	watch->told = other;
	watch->told_at = GetCurrentTimestamp();
	return tell_progress(watch->task_id, now);
}

static void
not_done_in_time(const Watch *watch)
{
	const SdTaskView *view = &watch->views[watch->told];

	ereport(ERROR,
			(errcode(SD_ERRCODE_NOT_DONE_IN_TIME),
			 errmsg("task " INT64_FORMAT " was not done in time", watch->task_id),
			 errdetail("It is %s, attempt %d.", view->state, view->attempt),
			 errhint("The task goes on without this call; call wait() again, perhaps with a longer timeout, or see salesdrive.worker_status.")));
}

static void
wait_for_task(Ride *ride, int64 task_id, TimestampTz deadline)
{
	Watch       watch = {0};
	TimestampTz look_at = 0;
	bool        done = false;
	bool        driver = may_drive();

	watch.task_id = task_id;
	for (int i = 0; i < 2; i++)
		watch.contexts[i] = AllocSetContextCreate(ride->context, "salesdrive task", ALLOCSET_SMALL_SIZES);
	ride_set_loop(ride, PGINVALID_SOCKET);
	for (;;)
	{
		if (look_at <= GetCurrentTimestamp())
		{
			done = look(&watch);
			if (done)
				break;
			look_at = GetCurrentTimestamp() + (int64) LOOK_MS * 1000;
		}
		if (deadline <= GetCurrentTimestamp())
			break;
		if (driver && ride->engine == NULL && sd_worker_pid(SD_EXCHANGER) == 0 && sd_engine_lock())
			ride_begin(ride);
		if (ride_on(ride, Min(LOOK_MS, sd_loop_until(deadline, LOOK_MS))))
			look_at = 0;
	}
	ride_to_the_end(ride);
	if (!done && !look(&watch))
		not_done_in_time(&watch);
}

Datum
sd_sql_wait(PG_FUNCTION_ARGS)
{
	Ride        ride;
	int64       task_id;
	TimestampTz deadline;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("salesdrive.wait() needs a task and a time-out")));
	task_id = PG_GETARG_INT64(0);
	deadline = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
													   TimestampTzGetDatum(GetCurrentTimestamp()),
													   PG_GETARG_DATUM(1)));
	require_autocommit(fcinfo, "salesdrive.wait()");
	ride_open(&ride);
	PG_TRY();
	{
		wait_for_task(&ride, task_id, deadline);
	}
	PG_FINALLY();
	{
		ride_close(&ride);
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_VOID();
}

Datum
sd_sql_engine_alive(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(sd_engine_is_locked());
}
