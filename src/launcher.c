/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The launcher: one per cluster, starts the workers of the databases that
 *	  are to be served and starts them again with a back-off.  And the probe, a
 *	  process of a few milliseconds that looks into a database for it.
 *
 * Role: the launcher is connected to no database, so that none is kept from
 * being dropped.  So it can read pg_database and pg_authid only.  Which role
 * the workers shall have (salesdrive.role of that database, else its owner),
 * and whether the extension is there at all, the probe finds out: it connects
 * as the bootstrap superuser, runs no SQL, writes its answer into the slot of
 * the database and ends.
 *
 * Invariants: workers are BGW_NEVER_RESTART; only this file starts them.  The
 * launcher keeps nothing but handles: states are in shared memory, so a new
 * launcher goes on where the old one ended.  Shared memory is lost when a
 * process of the cluster crashes; which databases start_workers() was called
 * for is not, since the postmaster remembers it in bgw_extra of the launcher.
 * So when that set changes the launcher registers its successor and ends.
 *
 *-------------------------------------------------------------------------
 */
#include "salesdrive.h"

#include <signal.h>

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "compat.h"
#include "loop.h"

/* since 17 a worker may run as a role that cannot log in */
#ifdef BGWORKER_BYPASS_ROLELOGINCHECK
#define SD_MUST_LOGIN    false
#define SD_CONNECT_FLAGS BGWORKER_BYPASS_ROLELOGINCHECK
#else
#define SD_MUST_LOGIN    true
#define SD_CONNECT_FLAGS 0
#endif

/* how often a database without the extension is looked at again */
#define SD_ABSENT_SWEEP_MS (5 * 60 * 1000)

/* a worker that did not attach in this time will not */
#define SD_START_LIMIT_MS (60 * 1000)

#define SD_PROBE SD_ROLES /* index of the probe's handle */

/* bgw_extra of the launcher; further databases are forgotten by a crash */
#define SD_MAX_REMEMBERED (BGW_EXTRALEN / sizeof(Oid) - 1)

typedef struct LauncherArgs
{
	int n;
	Oid asked[SD_MAX_REMEMBERED];
} LauncherArgs;

StaticAssertDecl(sizeof(LauncherArgs) <= BGW_EXTRALEN, "bgw_extra is too small");

typedef struct Seat
{
	BackgroundWorkerHandle *handle;
	TimestampTz             since;
} Seat;

static Seat        seats[SD_MAX_DATABASES][SD_ROLES + 1];
static TimestampTz absent_sweep_at;
static TimestampTz out_of_slots_warned_at;


/* ---- which databases ---- */

static bool
name_in_list(List *names, const char *name)
{
	ListCell *lc;

	foreach (lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

/* reads pg_database: the oids that exist, and those that are listed */
static void
read_databases(List *names, List **existing, List **listed)
{
	Relation      rel = table_open(DatabaseRelationId, AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(rel, 0, NULL);
	HeapTuple     tuple;

	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database row = (Form_pg_database) GETSTRUCT(tuple);

		*existing = lappend_oid(*existing, row->oid);
		if (row->datallowconn && name_in_list(names, NameStr(row->datname)))
			*listed = lappend_oid(*listed, row->oid);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* databases that were dropped give their slots back */
static void
forget_dropped(SdDatabaseSlot *db, List *existing)
{
	if (list_member_oid(existing, db->dbid))
		return;
	if (db->worker[SD_RECEIVER].pid == 0 && db->worker[SD_EXCHANGER].pid == 0)
		db->dbid = InvalidOid;
	else
		db->asked = false;
}

/*
 * Writes it into the slots, at once.  'known' are the slots in use before
 * pg_database was read: one made since is of a database too new to be there.
 * Returns how many listed databases found no room.
 */
static int
update_slots(const Oid *known, List *existing, List *listed)
{
	SdShared *s = sd_shared();
	ListCell *lc;
	int       no_room = 0;

	LWLockAcquire(&s->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SD_MAX_DATABASES; i++)
	{
		SdDatabaseSlot *db = &s->database[i];

		if (OidIsValid(db->dbid) && db->dbid == known[i])
			forget_dropped(db, existing);
		db->listed = OidIsValid(db->dbid) && list_member_oid(listed, db->dbid);
	}
	foreach (lc, listed)
	{
		SdDatabaseSlot *db = sd_find_slot(lfirst_oid(lc), true);

		if (db != NULL)
			db->listed = true;
		else
			no_room++;
	}
	LWLockRelease(&s->lock);
	return no_room;
}

/* compares salesdrive.databases and the slots with pg_database */
static void
look_databases_up(void)
{
	SdShared  *s = sd_shared();
	Oid        known[SD_MAX_DATABASES];
	List      *names = NIL;
	List      *existing = NIL;
	List      *listed = NIL;
	static int no_room_before = 0;
	int        no_room;

	LWLockAcquire(&s->lock, LW_SHARED);
	for (int i = 0; i < SD_MAX_DATABASES; i++)
		known[i] = s->database[i].dbid;
	LWLockRelease(&s->lock);

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	pgstat_report_activity(STATE_RUNNING, "reading pg_database");
	(void) SplitIdentifierString(pstrdup(sd_guc_databases), ',', &names);
	read_databases(names, &existing, &listed);
	no_room = update_slots(known, existing, listed);
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);

	if (no_room > 0 && no_room != no_room_before)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("salesdrive serves at most %d databases, %d more are named in salesdrive.databases",
						SD_MAX_DATABASES, no_room),
				 errhint("Name fewer databases.")));
	no_room_before = no_room;
}


/* ---- starting ---- */

static void
fill_worker(BackgroundWorker *worker, const SdWorkerArgs *args, const char *what, const char *function)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	worker->bgw_notify_pid = MyProcPid;
	strlcpy(worker->bgw_library_name, "salesdrive", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, function, BGW_MAXLEN);
	snprintf(worker->bgw_type, BGW_MAXLEN, "salesdrive %s", what);
	snprintf(worker->bgw_name, BGW_MAXLEN, "salesdrive %s of database %u", what, args->dbid);
	memcpy(worker->bgw_extra, args, sizeof(*args));
}

/* registers it, or says once a minute that there is no room */
static bool
start(int slot, int seat, const SdWorkerArgs *args, const char *what, const char *function)
{
	BackgroundWorker worker;
	Seat            *p = &seats[slot][seat];
	TimestampTz      now = GetCurrentTimestamp();
	MemoryContext    old = MemoryContextSwitchTo(TopMemoryContext);
	bool             ok;

	fill_worker(&worker, args, what, function);
	if (p->handle != NULL)
		pfree(p->handle);
	p->handle = NULL;
	p->since = now;
	ok = RegisterDynamicBackgroundWorker(&worker, &p->handle);
	MemoryContextSwitchTo(old);
	if (!ok && (out_of_slots_warned_at == 0 ||
				TimestampDifferenceExceeds(out_of_slots_warned_at, now, 60 * 1000)))
	{
		out_of_slots_warned_at = now;
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("out of background worker slots for the salesdrive %s of database %u",
						what, args->dbid),
				 errhint("Increase max_worker_processes; each served database needs two, the launcher one.")));
	}
	return ok;
}

static void
start_probe(SdDatabaseSlot *db, int slot)
{
	SdWorkerArgs args = {.slot = slot, .dbid = db->dbid, .roleid = InvalidOid};
	SdShared    *s = sd_shared();

	db->look = SD_LOOK_STARTED;
	LWLockRelease(&s->lock);
	if (!start(slot, SD_PROBE, &args, "probe", "sd_probe_main"))
	{
		LWLockAcquire(&s->lock, LW_EXCLUSIVE);
		db->look = SD_LOOK_NONE;
		for (int r = 0; r < SD_ROLES; r++)
		{
			if (db->worker[r].state == SD_STATE_DOWN || db->worker[r].state == SD_STATE_FAILED)
				sd_slot_no_room(&db->worker[r]);
		}
	}
	else
		LWLockAcquire(&s->lock, LW_EXCLUSIVE);
}

static void
start_worker(SdDatabaseSlot *db, int slot, SdRole role)
{
	SdWorkerArgs args = {.slot = slot, .dbid = db->dbid, .roleid = db->roleid, .role = role};
	SdShared    *s = sd_shared();
	bool         ok;

	db->worker[role].state = SD_STATE_STARTING;
	LWLockRelease(&s->lock);
	if (role == SD_RECEIVER)
		ok = start(slot, role, &args, "receiver", "sd_receiver_main");
	else
		ok = start(slot, role, &args, "exchanger", "sd_exchanger_main");
	LWLockAcquire(&s->lock, LW_EXCLUSIVE);
	if (!ok)
		sd_slot_no_room(&db->worker[role]);
}


/* ---- one turn ---- */

/* has the process of this seat ended, or never come? */
static bool
seat_empty(int slot, int seat, TimestampTz now)
{
	Seat *p = &seats[slot][seat];
	pid_t pid;

	if (p->handle != NULL)
		return GetBackgroundWorkerPid(p->handle, &pid) == BGWH_STOPPED;
	if (p->since == 0)
		p->since = now; /* started by a launcher before this one */
	return TimestampDifferenceExceeds(p->since, now, SD_START_LIMIT_MS);
}

/* only then is the place of its process free for another */
static bool
probe_is_gone(int slot, TimestampTz now)
{
	return seats[slot][SD_PROBE].handle == NULL || seat_empty(slot, SD_PROBE, now);
}

/* notices starts that came to nothing */
static void
reap(SdDatabaseSlot *db, int slot, TimestampTz now)
{
	for (int r = 0; r < SD_ROLES; r++)
	{
		SdWorkerSlot *w = &db->worker[r];

		if (w->state == SD_STATE_STARTING && w->pid == 0 && seat_empty(slot, r, now))
		{
			if (db->stopped)
				w->state = SD_STATE_DOWN;
			else
				sd_slot_failed(w, "it ended before it was ready; see the server log");
		}
	}
	if (db->look == SD_LOOK_STARTED && seat_empty(slot, SD_PROBE, now))
	{
		db->look = SD_LOOK_NONE;
		for (int r = 0; r < SD_ROLES; r++)
		{
			if (db->worker[r].state == SD_STATE_DOWN || db->worker[r].state == SD_STATE_FAILED)
				sd_slot_failed(&db->worker[r],
							   "the database could not be connected to; see the server log");
		}
	}
}

static bool
is_due(const SdWorkerSlot *w, TimestampTz now)
{
	return w->pid == 0 && (w->state == SD_STATE_DOWN ||
						   (w->state == SD_STATE_FAILED && w->retry_at <= now));
}

/* one database; the caller holds the lock, which may be let go meanwhile */
static void
serve(SdDatabaseSlot *db, int slot, TimestampTz now, TimestampTz *next)
{
	bool due[SD_ROLES];

	reap(db, slot, now);
	if (db->stopped || !(db->listed || db->asked))
	{
		for (int r = 0; r < SD_ROLES; r++)
		{
			if (db->worker[r].pid != 0)
				kill(db->worker[r].pid, SIGTERM);
		}
		return;
	}
	for (int r = 0; r < SD_ROLES; r++)
		due[r] = is_due(&db->worker[r], now);
	if (db->look == SD_LOOK_NONE && (due[SD_RECEIVER] || due[SD_EXCHANGER]))
		start_probe(db, slot);
	else if (db->look == SD_LOOK_DONE && probe_is_gone(slot, now))
	{
		db->look = SD_LOOK_NONE;
		for (int r = 0; r < SD_ROLES; r++)
		{
			if (due[r] && !db->stopped)
				start_worker(db, slot, r);
		}
	}
	for (int r = 0; r < SD_ROLES; r++)
	{
		if (db->worker[r].state == SD_STATE_FAILED && db->worker[r].retry_at < *next)
			*next = db->worker[r].retry_at;
		if (db->worker[r].state == SD_STATE_STARTING)
			*next = Min(*next, TimestampTzPlusMilliseconds(now, 1000));
	}
}

/* those without the extension are looked at now and then, or when woken */
static void
absent_sweep(SdDatabaseSlot *db)
{
	for (int r = 0; r < SD_ROLES; r++)
	{
		if (db->worker[r].state == SD_STATE_ABSENT)
			db->worker[r].state = SD_STATE_DOWN;
	}
}

/* returns when to come again */
static TimestampTz
turn(void)
{
	SdShared   *s = sd_shared();
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = TimestampTzPlusMilliseconds(now, sd_guc_sweep_interval);
	bool        sweep = now >= absent_sweep_at;

	if (sweep)
		absent_sweep_at = TimestampTzPlusMilliseconds(now, SD_ABSENT_SWEEP_MS);
	LWLockAcquire(&s->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SD_MAX_DATABASES; i++)
	{
		SdDatabaseSlot *db = &s->database[i];

		if (!OidIsValid(db->dbid))
			continue;
		if (sweep)
			absent_sweep(db);
		serve(db, i, now, &next);
	}
	LWLockRelease(&s->lock);
	return next;
}


/* ---- the process ---- */

void
sd_launcher_define(void *arg, bool dynamic)
{
	BackgroundWorker *worker = arg;

	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = 1;
	worker->bgw_notify_pid = dynamic ? MyProcPid : 0;
	strlcpy(worker->bgw_library_name, "salesdrive", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, "sd_launcher_main", BGW_MAXLEN);
	strlcpy(worker->bgw_name, "salesdrive launcher", BGW_MAXLEN);
	strlcpy(worker->bgw_type, "salesdrive launcher", BGW_MAXLEN);
}

static void
launcher_detach(int code, Datum arg)
{
	SdShared *s = sd_shared();

	LWLockAcquire(&s->lock, LW_EXCLUSIVE);
	if (s->launcher_pid == MyProcPid)
		s->launcher_pid = 0;
	LWLockRelease(&s->lock);
}

static bool
launcher_claim(void)
{
	SdShared *s = sd_shared();
	bool      mine;

	LWLockAcquire(&s->lock, LW_EXCLUSIVE);
	mine = s->launcher_pid == 0;
	if (mine)
	{
		s->launcher_pid = MyProcPid;
		s->launcher_procno = sd_my_proc_number();
	}
	LWLockRelease(&s->lock);
	return mine;
}

/* after a crash: what the postmaster remembers comes back */
static void
recall_asked(const LauncherArgs *args)
{
	SdShared *s = sd_shared();

	LWLockAcquire(&s->lock, LW_EXCLUSIVE);
	for (int i = 0; i < args->n; i++)
	{
		SdDatabaseSlot *db;

		if (sd_find_slot(args->asked[i], false) != NULL)
			continue; /* it was never forgotten */
		db = sd_find_slot(args->asked[i], true);
		if (db != NULL)
			db->asked = true;
	}
	LWLockRelease(&s->lock);
}

/* what the postmaster should remember now */
static void
collect_asked(LauncherArgs *args)
{
	SdShared *s = sd_shared();

	memset(args, 0, sizeof(*args));
	LWLockAcquire(&s->lock, LW_SHARED);
	for (int i = 0; i < SD_MAX_DATABASES && args->n < (int) SD_MAX_REMEMBERED; i++)
	{
		SdDatabaseSlot *db = &s->database[i];

		if (OidIsValid(db->dbid) && db->asked && !db->listed)
			args->asked[args->n++] = db->dbid;
	}
	LWLockRelease(&s->lock);
}

/* another launcher with the new set takes over; if there is no room, later */
static void
hand_over(const LauncherArgs *args)
{
	BackgroundWorker worker;
	bool             ok;

	sd_launcher_define(&worker, false);
	memcpy(worker.bgw_extra, args, sizeof(*args));
	launcher_detach(0, (Datum) 0); /* or the successor would give way */
	ok = RegisterDynamicBackgroundWorker(&worker, NULL);
	if (ok || !launcher_claim())
		proc_exit(0);
}

static void
check_memory(const LauncherArgs *remembered)
{
	LauncherArgs args;

	collect_asked(&args);
	if (memcmp(&args, remembered, sizeof(args)) != 0)
		hand_over(&args);
}

void
sd_launcher_main(Datum main_arg)
{
	LauncherArgs remembered;
	SdLoop      *loop;

	memcpy(&remembered, MyBgworkerEntry->bgw_extra, sizeof(remembered));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	before_shmem_exit(launcher_detach, 0);
	if (!launcher_claim())
		proc_exit(0);
	recall_asked(&remembered);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	loop = sd_loop_create(PGINVALID_SOCKET);
	for (;;)
	{
		TimestampTz next;

		(void) sd_worker_reload();
		look_databases_up();
		check_memory(&remembered);
		next = turn();
		(void) sd_loop_wait(loop, sd_loop_until(next, sd_guc_sweep_interval));
	}
}


/* ---- the probe ---- */

/* the role the workers shall have; InvalidOid and *error when it will not do */
static Oid
find_role(const char **error)
{
	HeapTuple tuple;
	Oid       roleid;

	if (sd_guc_role[0] != '\0')
	{
		roleid = get_role_oid(sd_guc_role, true);
		if (!OidIsValid(roleid))
		{
			*error = psprintf("role \"%s\" (salesdrive.role) does not exist", sd_guc_role);
			return InvalidOid;
		}
	}
	else
	{
		tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for database %u", MyDatabaseId);
		roleid = ((Form_pg_database) GETSTRUCT(tuple))->datdba;
		ReleaseSysCache(tuple);
	}

	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(roleid));
	if (!HeapTupleIsValid(tuple))
	{
		*error = psprintf("role %u, the owner of the database, does not exist", roleid);
		return InvalidOid;
	}
	if (SD_MUST_LOGIN && !((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin)
	{
		*error = psprintf("role \"%s\" is not permitted to log in",
						  NameStr(((Form_pg_authid) GETSTRUCT(tuple))->rolname));
		roleid = InvalidOid;
	}
	ReleaseSysCache(tuple);
	return roleid;
}

/* writes what was found where the launcher will read it */
static void
probe_answer(const SdWorkerArgs *args, bool exists, Oid roleid, const char *error)
{
	SdShared       *s = sd_shared();
	SdDatabaseSlot *db = &s->database[args->slot];

	LWLockAcquire(&s->lock, LW_EXCLUSIVE);
	if (db->dbid == args->dbid && db->look == SD_LOOK_STARTED)
	{
		db->look = exists && OidIsValid(roleid) ? SD_LOOK_DONE : SD_LOOK_NONE;
		db->roleid = roleid;
		for (int r = 0; r < SD_ROLES; r++)
		{
			SdWorkerSlot *w = &db->worker[r];

			if (w->state != SD_STATE_DOWN && w->state != SD_STATE_FAILED)
				continue;
			if (!exists)
			{
				w->state = SD_STATE_ABSENT;
				strlcpy(w->last_error, "the extension is not in this database", SD_ERROR_LEN);
			}
			else if (error != NULL)
				sd_slot_failed(w, error);
		}
	}
	LWLockRelease(&s->lock);
	sd_wake_launcher_now();
}

void
sd_probe_main(Datum main_arg)
{
	SdWorkerArgs args;
	const char  *error = NULL;
	Oid          roleid = InvalidOid;
	bool         exists;

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(args.dbid, InvalidOid, 0);

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	exists = sd_extension_exists();
	if (exists)
		roleid = find_role(&error);
	if (error != NULL)
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("salesdrive workers of database %u cannot be started: %s", args.dbid, error),
				 errhint("Set salesdrive.role of the database to a role that exists and may log in, then call salesdrive.restart_workers().")));
	probe_answer(&args, exists, roleid, error);
	CommitTransactionCommand();
	proc_exit(0);
}
