/*-------------------------------------------------------------------------
 *
 * salesdrive.c
 *	  Where the module begins: settings, shared memory, and waking at COMMIT.
 *
 * Role: _PG_init() and what must exist in every process that loaded the
 * library.  NOTIFY cannot reach a background worker, so statement triggers
 * call sd_wake(), a transaction callback sets the latches after COMMIT, and a
 * small shared memory structure says whose latches.
 *
 * Invariants: the structure fits in the slack every cluster has, so the module
 * works without shared_preload_libraries.  The transaction callback allocates
 * nothing and cannot fail.  Nothing is started and nothing is attached in a
 * binary upgrade.
 *
 *-------------------------------------------------------------------------
 */
#include "salesdrive.h"

#include <arpa/inet.h>

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "compat.h"

SD_MODULE_MAGIC(SD_EXTENSION, SD_VERSION);

void _PG_init(void);

char *sd_guc_databases;
char *sd_guc_listen_address;
int   sd_guc_port;
char *sd_guc_public_url;
char *sd_guc_role;
char *sd_guc_secrets_directory;
int   sd_guc_sweep_interval;
int   sd_guc_max_body;
int   sd_guc_swallow_limit;
int   sd_guc_max_connections;
int   sd_guc_max_connections_per_address;
int   sd_guc_request_timeout;
int   sd_guc_idle_timeout;
char *sd_guc_tls_certificate;
char *sd_guc_tls_key;
char *sd_guc_metrics_token;
char *sd_guc_clock_offset;
#ifdef SD_FAULTS
char *sd_guc_fault;
#endif

static SdShared               *shared;       /* this process's address of it */
static int                     pending_wake; /* mask of this transaction */
static object_access_hook_type next_object_access_hook;
static shmem_startup_hook_type next_shmem_startup_hook;
#ifdef SD_HAVE_SHMEM_REQUEST_HOOK
static shmem_request_hook_type next_shmem_request_hook;
#endif


/* ---- settings ---- */

static bool
check_databases(char **newval, void **extra, GucSource source)
{
	char *copy = pstrdup(*newval);
	List *names = NIL;
	bool  ok = SplitIdentifierString(copy, ',', &names);

	if (!ok)
		GUC_check_errdetail("It must be a list of database names, separated by commas, quoted as in SQL.");
	list_free(names);
	pfree(copy);
	return ok;
}

/* addresses only: a resolver could make the receiver wait */
static bool
check_listen_address(char **newval, void **extra, GucSource source)
{
	unsigned char buf[sizeof(struct in6_addr)];
	const char   *v = *newval;

	if (strcmp(v, "*") == 0 || strcmp(v, "localhost") == 0 ||
		inet_pton(AF_INET, v, buf) == 1 || inet_pton(AF_INET6, v, buf) == 1)
		return true;
	GUC_check_errdetail("It must be an IPv4 or IPv6 address, \"localhost\", or \"*\" for all IPv4 addresses.");
	GUC_check_errhint("To have no receiver set salesdrive.port to 0.");
	return false;
}

static bool
check_public_url(char **newval, void **extra, GucSource source)
{
	const char *v = *newval;
	const char *host = NULL;

	if (v[0] == '\0')
		return true;
	if (strncmp(v, "https://", 8) == 0)
		host = v + 8;
	else if (strncmp(v, "http://", 7) == 0)
		host = v + 7;
	if (host != NULL && host[0] != '\0' && host[0] != '/' && host[0] != ':' &&
		strpbrk(v, " \t\r\n?#@") == NULL)
		return true;
	GUC_check_errdetail("It must begin with http:// or https:// and a host, and have no user, blank, ? or #.");
	GUC_check_errhint("For example https://hooks.example.com.");
	return false;
}

static bool
check_secrets_directory(char **newval, void **extra, GucSource source)
{
	if ((*newval)[0] == '\0' || is_absolute_path(*newval))
		return true;
	GUC_check_errdetail("It must be an absolute path.");
	return false;
}

static void
define_string(const char *name, const char *desc, char **var, const char *boot,
			  GucContext context, int flags, GucStringCheckHook check)
{
	DefineCustomStringVariable(name, desc, NULL, var, boot, context, flags, check, NULL, NULL);
}

static void
define_int(const char *name, const char *desc, int *var, int boot, int min, int max, int flags)
{
	DefineCustomIntVariable(name, desc, NULL, var, boot, min, max, PGC_SUSET, flags,
							NULL, NULL, NULL);
}

static void
define_text_settings(void)
{
	define_string("salesdrive.databases",
				  "Databases whose workers start with the cluster.",
				  &sd_guc_databases, "", PGC_SIGHUP, GUC_LIST_INPUT, check_databases);
	define_string("salesdrive.listen_address",
				  "Address at which the receiver of this database listens.",
				  &sd_guc_listen_address, "127.0.0.1", PGC_SUSET, 0, check_listen_address);
	define_string("salesdrive.public_url",
				  "Address of the receiver as SalesDrive reaches it, used by webhook_url().",
				  &sd_guc_public_url, "", PGC_SUSET, 0, check_public_url);
	define_string("salesdrive.role",
				  "Role as which the workers of this database run; empty means the owner of the database.",
				  &sd_guc_role, "", PGC_SUSET, 0, NULL);
	define_string("salesdrive.secrets_directory",
				  "Directory of the server from which 'file:NAME' secrets are read.",
				  &sd_guc_secrets_directory, "", PGC_SUSET, GUC_SUPERUSER_ONLY, check_secrets_directory);
	define_string("salesdrive.tls_certificate",
				  "File with the receiver's certificate chain in PEM; empty means plain HTTP.",
				  &sd_guc_tls_certificate, "", PGC_SUSET, 0, NULL);
	define_string("salesdrive.tls_key",
				  "File with the private key of salesdrive.tls_certificate in PEM.",
				  &sd_guc_tls_key, "", PGC_SUSET, GUC_SUPERUSER_ONLY, NULL);
	define_string("salesdrive.metrics_token",
				  "Token with which others than the loopback may read /metrics: 'file:NAME', 'env:NAME' or a literal.",
				  &sd_guc_metrics_token, "", PGC_SUSET,
				  GUC_SUPERUSER_ONLY | GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE, NULL);
	define_string("salesdrive.clock_offset",
				  "Interval by which tests move the clock of the exchange.",
				  &sd_guc_clock_offset, "", PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL);
#ifdef SD_FAULTS
	define_string("salesdrive.fault",
				  "Point at which a process dies, for tests: name:action[:nth[:label]].",
				  &sd_guc_fault, "", PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL);
#endif
}

static void
define_number_settings(void)
{
	define_int("salesdrive.port",
			   "Port of the receiver of this database; 0 means no receiver.",
			   &sd_guc_port, 8787, 0, 65535, 0);
	define_int("salesdrive.sweep_interval",
			   "Longest time between two looks of a worker at its tables.",
			   &sd_guc_sweep_interval, 60 * 1000, 1000, 24 * 3600 * 1000, GUC_UNIT_MS);
	define_int("salesdrive.max_body",
			   "Largest webhook body that is accepted.",
			   &sd_guc_max_body, 1024 * 1024, 1024, 64 * 1024 * 1024, GUC_UNIT_BYTE);
	define_int("salesdrive.swallow_limit",
			   "How much of a too large chunked body is read, without keeping it, before it is answered 413 and cut off.",
			   &sd_guc_swallow_limit, 8 * 1024 * 1024, 0, 1024 * 1024 * 1024, GUC_UNIT_BYTE);
	define_int("salesdrive.max_connections",
			   "Most connections to the receiver at one time; further ones wait in the queue of the kernel.",
			   &sd_guc_max_connections, 256, 1, 8192, 0);
	define_int("salesdrive.max_connections_per_address",
			   "Most connections to the receiver from one address at one time; further ones are closed.",
			   &sd_guc_max_connections_per_address, 64, 1, 8192, 0);
	define_int("salesdrive.request_timeout",
			   "Longest time a whole request, header and body, may take to arrive.",
			   &sd_guc_request_timeout, 10 * 1000, 100, 3600 * 1000, GUC_UNIT_MS);
	define_int("salesdrive.idle_timeout",
			   "Longest time a connection to the receiver may be silent.",
			   &sd_guc_idle_timeout, 30 * 1000, 1000, 3600 * 1000, GUC_UNIT_MS);
}


/* ---- shared memory ---- */

static void
init_shared(SdShared *s)
{
	memset(s, 0, sizeof(SdShared));
	LWLockInitialize(&s->lock, LWLockNewTrancheId());
	for (int i = 0; i < SD_MAX_DATABASES; i++)
		pg_atomic_init_u32(&s->database[i].settings_generation, 1);
}

SdShared *
sd_shared(void)
{
	bool found;

	if (shared != NULL)
		return shared;
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("salesdrive", sizeof(SdShared), &found);
	if (!found)
		init_shared(shared);
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(shared->lock.tranche, "salesdrive");
	return shared;
}

static void
shmem_startup(void)
{
	if (next_shmem_startup_hook)
		next_shmem_startup_hook();
	shared = NULL; /* made anew after a crash of a backend */
	(void) sd_shared();
}

#ifdef SD_HAVE_SHMEM_REQUEST_HOOK
static void
shmem_request(void)
{
	if (next_shmem_request_hook)
		next_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(SdShared)));
}
#endif


/* ---- waking ---- */

void
sd_wake(int mask)
{
	(void) sd_shared(); /* may fail, so not in the callback */
	pending_wake |= mask;
}

static void
set_latch_of(int pid, int procno)
{
	if (pid != 0 && pid != MyProcPid)
		SetLatch(&GetPGProcByNumber(procno)->procLatch);
}

void
sd_wake_launcher_now(void)
{
	SdShared *s = sd_shared();

	LWLockAcquire(&s->lock, LW_SHARED);
	set_latch_of(s->launcher_pid, s->launcher_procno);
	LWLockRelease(&s->lock);
}

/* after COMMIT; a latch of a process that ended meanwhile is set in vain */
static void
wake_now(int mask)
{
	SdDatabaseSlot *db;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	db = sd_find_slot(MyDatabaseId, false);
	if (db != NULL)
	{
		if (mask & SD_WAKE_SETTINGS)
		{
			pg_atomic_fetch_add_u32(&db->settings_generation, 1);
			mask |= SD_WAKE_RECEIVER | SD_WAKE_EXCHANGER;
		}
		for (int r = 0; r < SD_ROLES; r++)
		{
			if (mask & (1 << r))
				set_latch_of(db->worker[r].pid, db->worker[r].procno);
			if ((mask & SD_WAKE_LAUNCHER) && (db->worker[r].state == SD_STATE_ABSENT ||
											  db->worker[r].state == SD_STATE_OFF))
				db->worker[r].state = SD_STATE_DOWN;
		}
	}
	if (mask & SD_WAKE_LAUNCHER)
		set_latch_of(shared->launcher_pid, shared->launcher_procno);
	LWLockRelease(&shared->lock);
}

static void
xact_callback(XactEvent event, void *arg)
{
	int mask = pending_wake;

	switch (event)
	{
		case XACT_EVENT_COMMIT:
			pending_wake = 0;
			if (mask != 0)
				wake_now(mask);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE: /* the sweep will see its COMMIT PREPARED */
			pending_wake = 0;
			break;
		default:
			break;
	}
}

/* DROP EXTENSION and DROP DATABASE: at COMMIT those concerned look around */
static void
object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (next_object_access_hook)
		next_object_access_hook(access, classId, objectId, subId, arg);
	if (access != OAT_DROP)
		return;
	if (classId == DatabaseRelationId)
		sd_wake(SD_WAKE_LAUNCHER);
	else if (classId == ExtensionRelationId)
	{
		char *name = get_extension_name(objectId);

		if (name != NULL && strcmp(name, SD_EXTENSION) == 0)
			sd_wake(SD_WAKE_SETTINGS); /* reading them, they find it gone */
	}
}

/*
 * salesdrive.wake(): statement trigger; its arguments name whom to wake.
 */
PG_FUNCTION_INFO_V1(sd_sql_wake);
Datum
sd_sql_wake(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	int          mask = 0;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("salesdrive.wake() must be called as a statement trigger")));
	for (int i = 0; i < data->tg_trigger->tgnargs; i++)
	{
		const char *whom = data->tg_trigger->tgargs[i];

		if (strcmp(whom, "exchanger") == 0)
			mask |= SD_WAKE_EXCHANGER;
		else if (strcmp(whom, "receiver") == 0)
			mask |= SD_WAKE_RECEIVER;
		else if (strcmp(whom, "settings") == 0)
			mask |= SD_WAKE_SETTINGS;
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("salesdrive.wake() does not know \"%s\"", whom),
					 errhint("Its arguments are any of: exchanger, receiver, settings.")));
	}
	sd_wake(mask);
	return PointerGetDatum(NULL);
}

/* salesdrive.wake_launcher(): the install script ends with it */
PG_FUNCTION_INFO_V1(sd_sql_wake_launcher);
Datum
sd_sql_wake_launcher(PG_FUNCTION_ARGS)
{
	if (!IsBinaryUpgrade)
		sd_wake(SD_WAKE_LAUNCHER);
	PG_RETURN_VOID();
}


/* ---- the beginning ---- */

static void
init_preloaded(void)
{
	BackgroundWorker worker;

	next_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
#ifdef SD_HAVE_SHMEM_REQUEST_HOOK
	next_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
#else
	RequestAddinShmemSpace(MAXALIGN(sizeof(SdShared)));
#endif
	if (IsBinaryUpgrade)
		return;
	sd_launcher_define(&worker, false);
	RegisterBackgroundWorker(&worker);
}

void
_PG_init(void)
{
	define_text_settings();
	define_number_settings();
	MarkGUCPrefixReserved("salesdrive");

	next_object_access_hook = object_access_hook;
	object_access_hook = object_access;
	RegisterXactCallback(xact_callback, NULL);

	if (process_shared_preload_libraries_in_progress)
		init_preloaded();
}
