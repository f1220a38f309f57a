/*-------------------------------------------------------------------------
 *
 * salesdrive.h
 *	  What every part of the module shares: settings, the small shared memory
 *	  structure by which processes find and wake each other, and the entry
 *	  points of the background workers.
 *
 * Shared memory holds process ids, indexes into the array of PGPROCs, short
 * texts and counters.  No pointer, file descriptor or latch of one process is
 * ever stored there.  SdShared->lock protects all of it; it is held for a few
 * loads and stores only, and never while anything can wait or fail.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_SALESDRIVE_H
#define SD_SALESDRIVE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"

#include "compat.h"

#define SD_EXTENSION     "salesdrive"
#define SD_MAX_DATABASES 64
#define SD_ERROR_LEN     160
#define SD_ADDRESS_LEN   46 /* INET6_ADDRSTRLEN */

/* the advisory lock of the one engine of a database */
#define SD_ENGINE_LOCK INT64CONST(0x73616c6573647276)

/* ---- settings (salesdrive.c) ---- */
extern char *sd_guc_databases;
extern char *sd_guc_listen_address;
extern int   sd_guc_port;
extern char *sd_guc_public_url;
extern char *sd_guc_role;
extern char *sd_guc_secrets_directory;
extern int   sd_guc_sweep_interval; /* milliseconds */
extern int   sd_guc_max_body;       /* bytes */
extern int   sd_guc_swallow_limit;  /* bytes */
extern int   sd_guc_max_connections;
extern int   sd_guc_max_connections_per_address;
extern int   sd_guc_request_timeout; /* milliseconds */
extern int   sd_guc_idle_timeout;    /* milliseconds */
extern char *sd_guc_tls_certificate;
extern char *sd_guc_tls_key;
extern char *sd_guc_metrics_token;
extern char *sd_guc_clock_offset; /* interval as text, '' = none */
extern char *sd_guc_fault;        /* only in builds with -DSD_FAULTS */

/* ---- the workers of a database ---- */
typedef enum SdRole
{
	SD_RECEIVER = 0,
	SD_EXCHANGER = 1
} SdRole;

#define SD_ROLES 2

/* bits for sd_wake() */
#define SD_WAKE_RECEIVER  (1 << SD_RECEIVER)
#define SD_WAKE_EXCHANGER (1 << SD_EXCHANGER)
#define SD_WAKE_SETTINGS  (1 << 2) /* both workers, and a new generation */
#define SD_WAKE_LAUNCHER  (1 << 3)

/*
 * States of a worker.
 *
 *		down ---launcher---> starting ---attach---> running
 *		  ^                                            |
 *		  |                                            v
 *		  +---when due--- failed, absent, off <---detach
 *
 * down: nothing runs and the launcher may start it now.  failed: it ended, or
 * could not be started, and is tried again after a back-off.  absent: the
 * extension is not in the database.  off: a setting says so.  Absent and off
 * stay until somebody wakes the launcher, or its long sweep.
 */
typedef enum SdWorkerState
{
	SD_STATE_DOWN = 0,
	SD_STATE_STARTING,
	SD_STATE_RUNNING,
	SD_STATE_FAILED,
	SD_STATE_ABSENT,
	SD_STATE_OFF
} SdWorkerState;

/* what the launcher knows about a database before it starts workers in it */
typedef enum SdLookState
{
	SD_LOOK_NONE = 0, /* nothing */
	SD_LOOK_STARTED,  /* a probe is on its way */
	SD_LOOK_DONE      /* roleid is known */
} SdLookState;

typedef struct SdWorkerSlot
{
	int           pid;      /* 0 when no process is attached */
	int           procno;   /* its index in ProcGlobal->allProcs */
	int           restarts; /* starts after the first */
	int           failures; /* ends in a row without success */
	int           port;     /* in force; 0 = not listening */
	bool          deaf;     /* it should listen and cannot */
	bool          quiet;    /* last_error says why it keeps quiet */
	bool          no_room;  /* failed: for want of a background worker slot */
	Oid           roleid;   /* in force */
	SdWorkerState state;
	TimestampTz   started_at;
	TimestampTz   retry_at;                       /* failed: not before this */
	char          listen_address[SD_ADDRESS_LEN]; /* in force */
	char          last_error[SD_ERROR_LEN];
} SdWorkerSlot;

typedef struct SdDatabaseSlot
{
	Oid              dbid;    /* InvalidOid = free */
	bool             listed;  /* named in salesdrive.databases */
	bool             asked;   /* start_workers() was called */
	bool             stopped; /* stop_workers() was called; beats both */
	SdLookState      look;
	Oid              roleid; /* found by the probe */
	pg_atomic_uint32 settings_generation;
	SdWorkerSlot     worker[SD_ROLES];
} SdDatabaseSlot;

typedef struct SdShared
{
	LWLock         lock;
	int            launcher_pid;
	int            launcher_procno;
	SdDatabaseSlot database[SD_MAX_DATABASES];
} SdShared;

extern SdShared *sd_shared(void); /* attaches at first use */

/*
 * Waking.  sd_wake() only remembers; latches are set when the transaction has
 * committed.  A process never wakes itself by its own commit.
 */
extern void sd_wake(int mask);
extern void sd_wake_launcher_now(void);

/* ---- for the main functions of the workers (worker.c) ---- */

/*
 * Claims the slot, installs signal handlers and the exit callback, connects to
 * the database; ends the process when it is not wanted.  Call it first.
 */
extern void sd_worker_attach(SdRole role);

/* ends the process with code 0; the launcher leaves it so until woken */
pg_noreturn extern void sd_worker_exit(SdWorkerState why, const char *reason);

/* a short text for worker_status; NULL = all is well */
extern void sd_worker_report(const char *error);

/* the same where the database keeps quiet, which is no failure */
extern void sd_worker_report_quiet(const char *reason);

/* where the receiver listens; port 0 = nowhere, and no address = it cannot */
extern void sd_worker_listening(const char *address, int port);

/* rises whenever a commit changed settings or mappings of this database */
extern uint32 sd_settings_generation(void);

/* reloads the configuration file after a SIGHUP; true if it did */
extern bool sd_worker_reload(void);

/*
 * StartTransactionCommand() for workers: also checks that the extension is
 * there (else the process ends with code 0) and pushes a snapshot.
 * sd_worker_commit() pops it, commits and reports statistics.
 */
extern void sd_worker_begin(const char *activity);
extern void sd_worker_commit(void);
extern void sd_worker_abort(void); /* in PG_CATCH, after CopyErrorData */

/*
 * What the DBA is to do when this worker lacks a right; NULL when the error is
 * another.  The text lives as long as the process.
 */
extern const char *sd_worker_rights_hint(int sqlerrcode);

/* the transaction at work is flushed to disk at its COMMIT; in any backend */
extern void sd_commit_durably(void);

/* looks pg_extension up with a fresh snapshot; needs a transaction */
extern bool sd_extension_exists(void);

/* pid of the live worker of this database, 0 = none; for any backend */
extern int sd_worker_pid(SdRole role);

/* ---- between launcher.c, worker.c and control.c ---- */

/* what a worker is told in bgw_extra */
typedef struct SdWorkerArgs
{
	int    slot;
	Oid    dbid;
	Oid    roleid; /* InvalidOid: the probe, as bootstrap superuser */
	SdRole role;
} SdWorkerArgs;

extern void            sd_launcher_define(void *worker, bool dynamic);
extern SdDatabaseSlot *sd_find_slot(Oid dbid, bool create);
extern void            sd_slot_failed(SdWorkerSlot *w, const char *error);
extern void            sd_slot_no_room(SdWorkerSlot *w);

/* entry points, found by name in the library */
extern PGDLLEXPORT void sd_launcher_main(Datum main_arg);
extern PGDLLEXPORT void sd_receiver_main(Datum main_arg);
extern PGDLLEXPORT void sd_exchanger_main(Datum main_arg);
extern PGDLLEXPORT void sd_probe_main(Datum main_arg);

#endif /* SD_SALESDRIVE_H */
