/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The life of a worker process, the same for receiver and exchanger: its
 *	  slot in shared memory, its connection, its transactions, its end.
 *
 * Role: called by sd_receiver_main(), sd_exchanger_main() and sd_probe_main()
 * only, save for the look-ups at the end, which any backend may use.
 *
 * Invariants: a slot with a pid belongs to a live process, because the exit
 * callback clears it on every way out but SIGKILL, and after that the cluster
 * makes shared memory anew.  Every transaction first looks whether the
 * extension is still there; if not, the process ends with code 0.
 *
 *-------------------------------------------------------------------------
 */
#include "salesdrive.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"

/* a worker that ran so long was well: the back-off starts anew */
#define SD_WELL_AFTER_MS  (10 * 1000)
#define SD_BACKOFF_MAX_MS (60 * 1000)

static SdDatabaseSlot *my_database;
static SdWorkerSlot   *my_slot;

/* for the time when no catalog can be read: after an error */
static char rights_hint[NAMEDATALEN * 2 + 80];

/* how this process is going to end; a crash or a termination leaves FAILED */
static SdWorkerState my_end = SD_STATE_FAILED;
static char          my_end_reason[SD_ERROR_LEN];


/* ---- slots ---- */

/* the slot of a database; the caller holds the lock */
SdDatabaseSlot *
sd_find_slot(Oid dbid, bool create)
{
	SdShared       *s = sd_shared();
	SdDatabaseSlot *empty = NULL;

	for (int i = 0; i < SD_MAX_DATABASES; i++)
	{
		SdDatabaseSlot *db = &s->database[i];

		if (db->dbid == dbid && OidIsValid(dbid))
			return db;
		if (!OidIsValid(db->dbid) && empty == NULL)
			empty = db;
	}
	if (!create || empty == NULL)
		return NULL;
	memset(empty->worker, 0, sizeof(empty->worker));
	empty->dbid = dbid;
	empty->listed = empty->asked = empty->stopped = false;
	empty->look = SD_LOOK_NONE;
	return empty;
}

/* marks a worker as ended or not startable; the caller holds the lock */
void
sd_slot_failed(SdWorkerSlot *w, const char *error)
{
	TimestampTz now = GetCurrentTimestamp();
	int64       delay;

	if (w->state == SD_STATE_RUNNING &&
		TimestampDifferenceExceeds(w->started_at, now, SD_WELL_AFTER_MS))
		w->failures = 0;
	delay = Min(INT64CONST(1000) << Min(w->failures, 6), SD_BACKOFF_MAX_MS);
	w->failures++;
	w->state = SD_STATE_FAILED;
	w->no_room = false;
	w->retry_at = TimestampTzPlusMilliseconds(now, delay);
	if (error != NULL)
		strlcpy(w->last_error, error, SD_ERROR_LEN);
}

/* the same where max_worker_processes does not let it start */
void
sd_slot_no_room(SdWorkerSlot *w)
{
	sd_slot_failed(w, "out of background worker slots: increase max_worker_processes");
	w->no_room = true;
}

static void
detach(int code, Datum arg)
{
	SdShared *s = sd_shared();

	if (my_slot == NULL)
		return;
	LWLockAcquire(&s->lock, LW_EXCLUSIVE);
	if (my_slot->pid == MyProcPid)
	{
		if (my_database->stopped || !(my_database->listed || my_database->asked))
			my_slot->state = SD_STATE_DOWN;
		else if (my_end == SD_STATE_FAILED)
			sd_slot_failed(my_slot, my_slot->state == SD_STATE_STARTING ?
										"it could not connect to the database; see the server log" :
										"it was terminated or failed; see the server log");
		else
		{
			my_slot->state = my_end;
			strlcpy(my_slot->last_error, my_end_reason, SD_ERROR_LEN);
		}
		my_slot->pid = 0;
		my_slot->port = 0;
		my_slot->deaf = false;
		my_slot->listen_address[0] = '\0';
	}
	LWLockRelease(&s->lock);
	my_slot = NULL;
	sd_wake_launcher_now();
}

/* false when another one is there, or nobody wants this one any more */
static bool
claim_slot(const SdWorkerArgs *args)
{
	SdShared       *s = sd_shared();
	SdDatabaseSlot *db = &s->database[args->slot];
	SdWorkerSlot   *w = &db->worker[args->role];
	bool            ok;

	LWLockAcquire(&s->lock, LW_EXCLUSIVE);
	ok = db->dbid == args->dbid && !db->stopped && w->pid == 0;
	if (ok)
	{
		if (w->started_at != 0)
			w->restarts++;
		w->pid = MyProcPid;
		w->procno = sd_my_proc_number();
		w->state = SD_STATE_STARTING;
		w->started_at = GetCurrentTimestamp();
		w->roleid = args->roleid;
		my_database = db;
		my_slot = w;
	}
	LWLockRelease(&s->lock);
	return ok;
}


/* ---- beginning and end ---- */

/*
 * A turn's memory goes back to malloc at its end.  Left alone glibc gives it
 * back to the kernel each time, and half of the turns is spent on page faults
 * (measured with 42 webhooks of 3 kB a turn).
 */
static void
keep_freed_memory(void)
{
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
	mallopt(M_TRIM_THRESHOLD, 32 * 1024 * 1024);
	mallopt(M_TOP_PAD, 1024 * 1024);
#endif
}

void
sd_worker_attach(SdRole role)
{
	SdWorkerArgs args;

	keep_freed_memory();
	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	if (args.role != role || args.slot < 0 || args.slot >= SD_MAX_DATABASES)
		elog(ERROR, "salesdrive worker was started with wrong arguments");
	before_shmem_exit(detach, 0);
	if (!claim_slot(&args))
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(args.dbid, args.roleid, 0);

	LWLockAcquire(&sd_shared()->lock, LW_EXCLUSIVE);
	my_slot->state = SD_STATE_RUNNING;
	my_slot->last_error[0] = '\0';
	my_slot->quiet = false;
	LWLockRelease(&sd_shared()->lock);
	pgstat_report_activity(STATE_IDLE, NULL);
}

void
sd_worker_exit(SdWorkerState why, const char *reason)
{
	my_end = why;
	strlcpy(my_end_reason, reason ? reason : "", SD_ERROR_LEN);
	proc_exit(0);
}

void
sd_worker_report(const char *error)
{
	if (my_slot == NULL)
		return;
	LWLockAcquire(&sd_shared()->lock, LW_EXCLUSIVE);
	strlcpy(my_slot->last_error, error ? error : "", SD_ERROR_LEN);
	my_slot->quiet = false;
	LWLockRelease(&sd_shared()->lock);
}

void
sd_worker_report_quiet(const char *reason)
{
	if (my_slot == NULL)
		return;
	LWLockAcquire(&sd_shared()->lock, LW_EXCLUSIVE);
	strlcpy(my_slot->last_error, reason ? reason : "", SD_ERROR_LEN);
	my_slot->quiet = reason != NULL;
	LWLockRelease(&sd_shared()->lock);
}

void
sd_worker_listening(const char *address, int port)
{
	if (my_slot == NULL)
		return;
	LWLockAcquire(&sd_shared()->lock, LW_EXCLUSIVE);
	strlcpy(my_slot->listen_address, address ? address : "", SD_ADDRESS_LEN);
	my_slot->port = port;
	my_slot->deaf = address == NULL;
	LWLockRelease(&sd_shared()->lock);
}

uint32
sd_settings_generation(void)
{
	return my_database ? pg_atomic_read_u32(&my_database->settings_generation) : 0;
}

bool
sd_worker_reload(void)
{
	if (!ConfigReloadPending)
		return false;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	return true;
}


/* ---- transactions ---- */

/*
 * A scan with the catalog snapshot of a new transaction: the latch set by a
 * DROP EXTENSION may arrive before its cache invalidations do.
 */
bool
sd_extension_exists(void)
{
	Relation    rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	bool        found;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(SD_EXTENSION));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * What is answered 200, or sent to BAS, relies on the COMMIT before it: a crash
 * must not forget it, whatever this database thinks of its other commits.
 */
void
sd_commit_durably(void)
{
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		set_config_option("synchronous_commit", "local", PGC_USERSET, PGC_S_SESSION,
						  GUC_ACTION_LOCAL, true, 0, false);
}

const char *
sd_worker_rights_hint(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE && rights_hint[0] != '\0' ? rights_hint : NULL;
}

static void
prepare_rights_hint(void)
{
	char *role = GetUserNameFromId(GetUserId(), true);

	if (role != NULL)
		snprintf(rights_hint, sizeof(rights_hint), "SELECT salesdrive.grant_access(%s, 'admin'); as owner of the extension",
				 quote_literal_cstr(role));
}

void
sd_worker_begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	sd_commit_durably();
	pgstat_report_activity(STATE_RUNNING, activity);
	if (!sd_extension_exists())
	{
		CommitTransactionCommand();
		sd_worker_exit(SD_STATE_ABSENT, "the extension is not in this database");
	}
	if (rights_hint[0] == '\0')
		prepare_rights_hint();
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
sd_worker_commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

void
sd_worker_abort(void)
{
	AbortCurrentTransaction();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}


/* ---- for any backend ---- */

int
sd_worker_pid(SdRole role)
{
	SdShared       *s = sd_shared();
	SdDatabaseSlot *db;
	int             pid = 0;

	LWLockAcquire(&s->lock, LW_SHARED);
	db = sd_find_slot(MyDatabaseId, false);
	if (db != NULL && db->worker[role].state == SD_STATE_RUNNING)
		pid = db->worker[role].pid;
	LWLockRelease(&s->lock);
	return pid;
}
