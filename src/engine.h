/*-------------------------------------------------------------------------
 *
 * engine.h
 *	  The engine of the exchange: turns between database and network.
 *
 * Role: engine.c is its life and its sense of time, turn.c one turn, tasks.c its
 * transactions, which hold all its SPI.  One turn is one transaction: settle the
 * answers that have come, ingest the inbox, claim due tasks, commit; then the
 * claimed requests leave, and another one asks when the next turn is due.
 * Between turns there is no snapshot, no transaction id and no relation lock.
 *
 * Whoever drives an engine (a worker, or a procedure in an ordinary session;
 * both stand in exchanger.c) holds the engine's advisory lock, waits on
 * sd_engine_fd() for at most sd_engine_timeout(), and calls sd_engine_step().
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_ENGINE_H
#define SD_ENGINE_H

#include "postgres.h"

typedef struct SdEngine SdEngine;

typedef enum SdDriver
{
	SD_DRIVER_WORKER,   /* transactions of its own */
	SD_DRIVER_PROCEDURE /* SPI is connected and not atomic */
} SdDriver;

/* the one engine of a database: a session advisory lock */
extern bool sd_engine_lock(void);
extern void sd_engine_unlock(void);
extern bool sd_engine_is_locked(void); /* by anyone, this session included */

extern SdEngine *sd_engine_create(MemoryContext parent, SdDriver driver);
extern void      sd_engine_destroy(SdEngine *engine);

/*
 * To be called once after taking the lock, and again as long as the answer is
 * false or sd_engine_quiet() gives a reason; never with requests in hand.
 * False: it failed, try later.
 */
extern bool sd_engine_begin(SdEngine *engine);

/* why the database sends nothing, or NULL */
extern const char *sd_engine_quiet(const SdEngine *engine);

/*
 * The regular look at things that woke nobody: partitions, requests that were
 * given up, then a turn.
 */
extern void sd_engine_sweep(SdEngine *engine);

/* looks for incidents: with each sweep, and when run() is at its end */
extern void sd_engine_look(SdEngine *engine);

/*
 * Once a day: drops history older than its retention, and writes how
 * yesterday was; false: it failed and was logged.
 */
extern bool sd_engine_expire(SdEngine *engine);

/* somebody committed something: the next step makes a turn */
extern void sd_engine_wake(SdEngine *engine);

/* from now on take nothing new, only finish what is in hand */
extern void sd_engine_drain(SdEngine *engine);

/*
 * Moves the network and makes a turn if one is due.  In a procedure it throws
 * on a cancel and when turns keep failing; in a worker errors of SQL are
 * logged and tried again.  True if a turn was made.
 */
extern bool sd_engine_step(SdEngine *engine);

extern int sd_engine_fd(const SdEngine *engine);

/* milliseconds until the next step is wanted, at most cap */
extern long sd_engine_timeout(const SdEngine *engine, long cap);

/* requests taken from the database and not yet settled */
extern int sd_engine_in_hand(const SdEngine *engine);

/* milliseconds after which the requests in hand have ended and are settled */
extern long sd_engine_longest(const SdEngine *engine);

/* nothing in hand and nothing due now */
extern bool sd_engine_is_idle(const SdEngine *engine);

/* idle although something is due: nothing of it could be claimed for a second */
extern bool sd_engine_is_stuck(const SdEngine *engine);

#endif /* SD_ENGINE_H */
