/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL 14 and 18, in one place.
 *
 * Role: the only file of the module that may look at PG_VERSION_NUM.  Gives
 * every version the names and signatures of PostgreSQL 16, or names of its own
 * with the prefix sd_.  Included after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_COMPAT_H
#define SD_COMPAT_H

#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 140000
#error "salesdrive needs PostgreSQL 14 or later"
#endif

/* VARDATA and its family moved out of postgres.h in 16. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Wait event sets have a header of their own since 18. */
#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif

/* Shared memory is asked for in a hook since 15, in _PG_init() before. */
#if PG_VERSION_NUM >= 150000
#define SD_HAVE_SHMEM_REQUEST_HOOK 1
#endif

/* The reservation of a prefix of settings got its final name in 15. */
#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/* Why a hash could not be computed is told since 15. */
#if PG_VERSION_NUM < 150000
#define pg_cryptohash_error(hash) "the cryptographic library refused"
#endif

/* A module tells its name and version since 18, see pg_get_loaded_modules(). */
#if PG_VERSION_NUM >= 180000
#define SD_MODULE_MAGIC(name_, version_) PG_MODULE_MAGIC_EXT(.name = name_, .version = version_)
#else
#define SD_MODULE_MAGIC(name_, version_) PG_MODULE_MAGIC
#endif

/* A function that does not return is marked in front of it since 18. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* Backends are numbered from 0 as ProcNumber since 17. */
#if PG_VERSION_NUM >= 170000
#define sd_my_proc_number() ((int) MyProcNumber)
#else
#define sd_my_proc_number() ((int) MyProc->pgprocno)
#endif

/*
 * A wait event set that lives as long as the process.  Since 17 sets belong to
 * resource owners, NULL standing for the session.
 */
static inline WaitEventSet *
sd_create_wait_event_set(int nevents)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, nevents);
#else
	return CreateWaitEventSet(TopMemoryContext, nevents);
#endif
}

/* A wait event that pg_stat_activity shows by name since 17. */
static inline uint32
sd_wait_event(const char *name)
{
#if PG_VERSION_NUM >= 170000
	return WaitEventExtensionNew(name);
#else
	(void) name;
	return PG_WAIT_EXTENSION;
#endif
}

/* The helper for set-returning functions came with 15. */
#if PG_VERSION_NUM < 150000
static inline void
InitMaterializedSRF(FunctionCallInfo fcinfo, bits32 flags)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext  saved;
	TupleDesc      desc;

	(void) flags;
	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) ||
		(rsinfo->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("materialize mode required, but it is not allowed in this context")));

	saved = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("return type must be a row type")));
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult =
		tuplestore_begin_heap((rsinfo->allowedModes & SFRM_Materialize_Random) != 0,
							  false, work_mem);
	rsinfo->setDesc = desc;
	MemoryContextSwitchTo(saved);
}
#endif

#endif /* SD_COMPAT_H */
