/*-------------------------------------------------------------------------
 *
 * control.c
 *	  SQL-callable functions by which a session controls and sees the workers
 *	  of its database: start_workers(), stop_workers(), restart_workers(),
 *	  worker_state().
 *
 * Role: writes wishes into the slot of the database, wakes the launcher and
 * waits, interruptibly, until they are fulfilled.  Starts the launcher where
 * it is not preloaded.  Who may call these functions, SQL grants decide.
 *
 *-------------------------------------------------------------------------
 */
#include "salesdrive.h"

#include <signal.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "loop.h"

#define SD_CONTROL_LIMIT_MS (10 * 1000)
#define SD_CONTROL_STEP_MS  20

/* a slot of a process that is just ending is free at the launcher's next try */
#define SD_NO_ROOM_LIMIT_MS 3500

static const char *const role_names[SD_ROLES] = {"receiver", "exchanger"};
static const char *const state_names[] = {"down", "starting", "running", "failed", "absent", "off"};


/* ---- waiting for the launcher ---- */

/* calls 'ready' until it says true or the limit has passed */
static bool
wait_until(bool (*ready)(void *), void *arg)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SD_CONTROL_LIMIT_MS);
	SdLoop     *loop = sd_loop_create(PGINVALID_SOCKET);
	bool        ok;

	while (!(ok = ready(arg)) && GetCurrentTimestamp() < deadline)
		(void) sd_loop_wait(loop, SD_CONTROL_STEP_MS);
	sd_loop_free(loop);
	return ok;
}

/* are the processes that were told to end gone, also from the process array? */
static bool
workers_gone(void *arg)
{
	int            *pids = arg;
	SdShared       *s = sd_shared();
	SdDatabaseSlot *db;
	bool            gone = true;

	LWLockAcquire(&s->lock, LW_SHARED);
	db = sd_find_slot(MyDatabaseId, false);
	for (int r = 0; db != NULL && r < SD_ROLES; r++)
	{
		if (db->worker[r].pid != 0 || db->worker[r].state == SD_STATE_STARTING)
			gone = false;
		if (db->worker[r].pid != 0)
		{
			pids[r] = db->worker[r].pid;
			kill(pids[r], SIGTERM);
		}
	}
	if (db != NULL && db->look == SD_LOOK_STARTED)
		gone = false;
	LWLockRelease(&s->lock);
	for (int r = 0; r < SD_ROLES; r++)
	{
		if (pids[r] != 0 && BackendPidGetProc(pids[r]) != NULL)
			gone = false;
	}
	return gone;
}

/* has each worker come to a state that says something, and stays? */
static bool
workers_settled(void *arg)
{
	const TimestampTz *patience = arg;
	bool               patient = GetCurrentTimestamp() < *patience;
	SdShared          *s = sd_shared();
	SdDatabaseSlot    *db;
	bool               settled = true;

	LWLockAcquire(&s->lock, LW_SHARED);
	db = sd_find_slot(MyDatabaseId, false);
	for (int r = 0; db != NULL && r < SD_ROLES; r++)
	{
		if (db->worker[r].state == SD_STATE_DOWN || db->worker[r].state == SD_STATE_STARTING ||
			(patient && db->worker[r].state == SD_STATE_FAILED && db->worker[r].no_room))
			settled = false;
	}
	LWLockRelease(&s->lock);
	return settled;
}

static bool
launcher_is_up(void *arg)
{
	SdShared *s = sd_shared();
	bool      up;

	LWLockAcquire(&s->lock, LW_SHARED);
	up = s->launcher_pid != 0;
	LWLockRelease(&s->lock);
	return up;
}


/* ---- start and stop ---- */

static void
start_launcher(void)
{
	BackgroundWorker        worker;
	BackgroundWorkerHandle *handle;

	if (launcher_is_up(NULL))
		return;
	sd_launcher_define(&worker, true);
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("out of background worker slots for the salesdrive launcher"),
				 errhint("Increase max_worker_processes; each served database needs two, the launcher one.")));
	if (!wait_until(launcher_is_up, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("the salesdrive launcher did not start"),
				 errhint("More details may be available in the server log.")));
}

static void
refuse_on_standby(void)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("salesdrive workers do not run on a standby"),
				 errhint("They start after promotion.")));
}

/* the wish to be served; forgets earlier failures, so that it is tried now */
static void
ask_for_workers(void)
{
	SdShared       *s = sd_shared();
	SdDatabaseSlot *db;

	LWLockAcquire(&s->lock, LW_EXCLUSIVE);
	db = sd_find_slot(MyDatabaseId, true);
	if (db != NULL)
	{
		db->asked = true;
		db->stopped = false;
		if (db->look == SD_LOOK_DONE)
			db->look = SD_LOOK_NONE; /* the role may be another one now */
		for (int r = 0; r < SD_ROLES; r++)
		{
			SdWorkerSlot *w = &db->worker[r];

			if (w->pid != 0 || w->state == SD_STATE_STARTING)
				continue;
			w->state = SD_STATE_DOWN;
			w->failures = 0;
		}
	}
	LWLockRelease(&s->lock);
	if (db == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("salesdrive serves at most %d databases", SD_MAX_DATABASES)));
}

static void
report_failure(void)
{
	SdShared       *s = sd_shared();
	SdDatabaseSlot *db;
	char            error[SD_ERROR_LEN] = "";
	int             failed = -1;

	LWLockAcquire(&s->lock, LW_SHARED);
	db = sd_find_slot(MyDatabaseId, false);
	for (int r = 0; db != NULL && r < SD_ROLES && failed < 0; r++)
	{
		if (db->worker[r].state != SD_STATE_FAILED)
			continue;
		failed = r;
		strlcpy(error, db->worker[r].last_error, SD_ERROR_LEN);
	}
	LWLockRelease(&s->lock);
	if (failed >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the salesdrive %s did not start", role_names[failed]),
				 errdetail("%s", error),
				 errhint("The launcher goes on trying; see worker_status and the server log.")));
}

static void
start_workers(void)
{
	TimestampTz patience = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SD_NO_ROOM_LIMIT_MS);

	refuse_on_standby();
	ask_for_workers();
	start_launcher();
	sd_wake_launcher_now();
	sd_wake(SD_WAKE_LAUNCHER); /* the extension may be of this very transaction */
	(void) wait_until(workers_settled, &patience);
	report_failure();
}

/*
 * 'for_good' forgets that start_workers() was called.  That changes what the
 * launcher has to remember, and it hands over to another; so a restart, which
 * would do that twice, leaves it.
 */
static void
stop_workers(bool for_good)
{
	SdShared       *s = sd_shared();
	SdDatabaseSlot *db;
	int             pids[SD_ROLES] = {0, 0};

	LWLockAcquire(&s->lock, LW_EXCLUSIVE);
	db = sd_find_slot(MyDatabaseId, true);
	if (db != NULL)
	{
		if (for_good)
			db->asked = false;
		db->stopped = true;
	}
	LWLockRelease(&s->lock);
	sd_wake_launcher_now();
	if (!wait_until(workers_gone, pids))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("the salesdrive workers of this database have not ended yet"),
				 errhint("They were told to and will not be started again; see pg_stat_activity.")));
}

PG_FUNCTION_INFO_V1(sd_sql_start_workers);
Datum
sd_sql_start_workers(PG_FUNCTION_ARGS)
{
	start_workers();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(sd_sql_stop_workers);
Datum
sd_sql_stop_workers(PG_FUNCTION_ARGS)
{
	stop_workers(true);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(sd_sql_restart_workers);
Datum
sd_sql_restart_workers(PG_FUNCTION_ARGS)
{
	refuse_on_standby();
	stop_workers(false);
	start_workers();
	PG_RETURN_VOID();
}


/* ---- worker_state() ---- */

/* value of a setting in pg_db_role_setting for this database and role, or NULL */
static char *
stored_setting(Oid dbid, Oid roleid, const char *name)
{
	Relation    rel = table_open(DbRoleSettingRelationId, AccessShareLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple   tuple;
	char       *found = NULL;
	size_t      len = strlen(name);

	ScanKeyInit(&key[0], Anum_pg_db_role_setting_setdatabase, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(dbid));
	ScanKeyInit(&key[1], Anum_pg_db_role_setting_setrole, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(roleid));
	scan = systable_beginscan(rel, DbRoleSettingDatidRolidIndexId, true, NULL, 2, key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool   isnull;
		Datum  config = heap_getattr(tuple, Anum_pg_db_role_setting_setconfig,
									 RelationGetDescr(rel), &isnull);
		Datum *items = NULL;
		int    n = 0;

		if (!isnull)
			deconstruct_array(DatumGetArrayTypeP(config), TEXTOID, -1, false, TYPALIGN_INT,
							  &items, NULL, &n);
		for (int i = 0; i < n && found == NULL; i++)
		{
			char *item = TextDatumGetCString(items[i]);

			if (strncmp(item, name, len) == 0 && item[len] == '=')
				found = item + len + 1;
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* what a worker started now would get; the order is PostgreSQL's */
static Datum
configured(Oid roleid, const char *name)
{
	char *v = NULL;

	if (OidIsValid(roleid))
	{
		v = stored_setting(MyDatabaseId, roleid, name);
		if (v == NULL)
			v = stored_setting(InvalidOid, roleid, name);
	}
	if (v == NULL)
		v = stored_setting(MyDatabaseId, InvalidOid, name);
	if (v == NULL)
		v = stored_setting(InvalidOid, InvalidOid, name);
	return CStringGetTextDatum(v ? v : GetConfigOptionResetString(name));
}

/* columns: see the end of put_worker(); fewer may be declared */
#define SD_STATE_COLUMNS 13

static void
put_launcher(ReturnSetInfo *rsinfo, int pid)
{
	Datum values[SD_STATE_COLUMNS] = {0};
	bool  nulls[SD_STATE_COLUMNS];

	memset(nulls, true, sizeof(nulls));
	values[0] = CStringGetTextDatum("launcher");
	values[1] = Int32GetDatum(pid);
	values[2] = CStringGetTextDatum(pid != 0 ? "running" : "down");
	nulls[0] = nulls[2] = false;
	nulls[1] = pid == 0;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static const char *
state_name(const SdWorkerSlot *w, bool stopped)
{
	if (w->pid == 0)
		return stopped ? "stopped" : state_names[w->state];
	return w->state == SD_STATE_RUNNING && w->deaf ? "not listening" : state_names[w->state];
}

static void
put_worker(ReturnSetInfo *rsinfo, int role, const SdWorkerSlot *w, bool stopped)
{
	Datum values[SD_STATE_COLUMNS] = {0};
	bool  nulls[SD_STATE_COLUMNS] = {false};
	bool  live = w->pid != 0;
	char *name = OidIsValid(w->roleid) ? GetUserNameFromId(w->roleid, true) : NULL;

	values[0] = CStringGetTextDatum(role_names[role]);
	values[1] = Int32GetDatum(w->pid);
	nulls[1] = !live;
	values[2] = CStringGetTextDatum(state_name(w, stopped));
	values[3] = TimestampTzGetDatum(w->started_at);
	nulls[3] = w->started_at == 0;
	values[4] = Int32GetDatum(w->restarts);
	values[5] = CStringGetTextDatum(w->last_error);
	nulls[5] = w->last_error[0] == '\0';
	/* in force: listen_address, port, db_role */
	values[6] = CStringGetTextDatum(w->listen_address);
	nulls[6] = w->listen_address[0] == '\0';
	values[7] = Int32GetDatum(w->port);
	nulls[7] = w->port == 0;
	nulls[8] = !live || name == NULL;
	if (!nulls[8])
		values[8] = CStringGetTextDatum(name);
	/* configured_listen_address, configured_port, configured_role */
	nulls[9] = nulls[10] = role != SD_RECEIVER;
	if (role == SD_RECEIVER)
	{
		values[9] = configured(w->roleid, "salesdrive.listen_address");
		values[10] = Int32GetDatum(atoi(TextDatumGetCString(configured(w->roleid, "salesdrive.port"))));
	}
	values[11] = configured(InvalidOid, "salesdrive.role");
	values[12] = BoolGetDatum(w->quiet);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(sd_sql_worker_state);
Datum
sd_sql_worker_state(PG_FUNCTION_ARGS)
{
	ReturnSetInfo  *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	SdShared       *s = sd_shared();
	SdWorkerSlot    worker[SD_ROLES];
	SdDatabaseSlot *db;
	bool            stopped = false;
	int             launcher_pid;

	InitMaterializedSRF(fcinfo, 0);
	memset(worker, 0, sizeof(worker));
	LWLockAcquire(&s->lock, LW_SHARED);
	launcher_pid = s->launcher_pid;
	db = sd_find_slot(MyDatabaseId, false);
	if (db != NULL)
	{
		memcpy(worker, db->worker, sizeof(worker));
		stopped = db->stopped;
	}
	LWLockRelease(&s->lock);

	if (rsinfo->setDesc->natts > SD_STATE_COLUMNS)
		elog(ERROR, "salesdrive.worker_state() is declared with too many columns");
	put_launcher(rsinfo, launcher_pid);
	for (int r = 0; r < SD_ROLES; r++)
		put_worker(rsinfo, r, &worker[r], stopped);
	return (Datum) 0;
}
