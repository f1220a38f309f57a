/*-------------------------------------------------------------------------
 *
 * turn.h
 *	  What engine.c, turn.c and tasks.c know of each other: the state of an engine
 *	  and of its turn.
 *
 * Role: the structure that the three share, and what engine.c and turn.c offer
 * each other and tasks.c; what tasks.c offers is in tasks.h.  For these three
 * files only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_TURN_H
#define SD_TURN_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "lib/ilist.h"

#include "client.h"
#include "engine.h"

#define LOCK_WAIT_MS 2000 /* of a turn */

struct SdEngine
{
	MemoryContext context;
	MemoryContext turn; /* reset after each turn */
	MemoryContext rows; /* reset after each call of settle() */
	SdClient     *client;
	char         *quiet;
	SdDriver      driver;
	bool          begun; /* so every task in flight that is not in hand is left over */
	bool          draining;

	/* plans, made at first use; settle depends on the oid of its type */
	SPIPlanPtr plan_begin;
	SPIPlanPtr plan_settle;
	SPIPlanPtr plan_ingest;
	SPIPlanPtr plan_claim;
	SPIPlanPtr plan_next_due;
	SPIPlanPtr plan_partitions;
	SPIPlanPtr plan_expire;
	SPIPlanPtr plan_reclaim;
	SPIPlanPtr plan_look;
	SPIPlanPtr plan_health;
	Oid        result_type;

	/* the transaction at work */
	int  lock_wait_ms;
	bool in_subxact;

	/* the turn at work */
	dlist_head pending;   /* of SdExchange: answers to be settled */
	dlist_head alone;     /* one of them, tried alone */
	dlist_head aside;     /* failed alone, tried again later */
	SdRequest *requests;  /* claimed */
	int64      due_in_us; /* -1 = nothing scheduled */
	int        nrequests;
	int        asked;
	int        settled;
	int        to_ingest;
	int        ingested;
	bool       wrote;

	/* when the next turn is due, in microseconds of the wall clock; 0 = never */
	bool        woken;
	int         fruitless; /* turns in a row that could claim nothing due */
	TimestampTz due_at;
	TimestampTz confirm_at;
	TimestampTz gather_until; /* answers are waiting */
	int         barren;       /* turns in a row that only wrote */

	/* trouble */
	int         failures; /* of turns, in a row */
	ErrorData  *error;    /* the last one */
	bool        careful;  /* everything in transactions of its own */
	bool        told;     /* worker_status shows a failure */
	TimestampTz retry_at;
};

/* ---- turn.c: called by engine.c ---- */

/* makes a turn; in a procedure it throws when turns keep failing */
extern void sd_turn_make(SdEngine *engine);

/* when the first of the answers set aside is due, 0 = there are none */
extern TimestampTz sd_turn_aside_at(const SdEngine *engine);

/* ---- engine.c: called by tasks.c ---- */

/* from now on this client breathes within statements; NULL = no more; never throws */
extern void sd_engine_serve(SdClient *client);

#endif /* SD_TURN_H */
