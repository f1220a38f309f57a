/*-------------------------------------------------------------------------
 *
 * tasks.h
 *	  The transactions of the engine, and one task as a procedure sees it.
 *
 * Role: all SPI of the engine.  The upper part is for engine.c and turn.c only,
 * the lower for procedures (exchanger.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_TASKS_H
#define SD_TASKS_H

#include "postgres.h"

#include "engine.h"

/*
 * Each does its work in a transaction of its own and tells whether that has
 * committed.  A failure is kept in engine->error and reported; only a cancel of a
 * procedure is thrown on.
 */

/* settles engine->pending, ingests, claims */
extern bool sd_tasks_turn(SdEngine *engine);

/* settles engine->alone */
extern bool sd_tasks_settle_alone(SdEngine *engine);

/* the second part of a turn: ingests the inbox */
extern bool sd_tasks_ingest(SdEngine *engine);

/* the third: claims what is due into engine->requests */
extern bool sd_tasks_claim(SdEngine *engine);

/* after a turn: when is the next one due? */
extern bool sd_tasks_ask_next_due(SdEngine *engine);

/* takes up what an engine before this one left; sets engine->quiet */
extern bool sd_tasks_begin(SdEngine *engine);

/* makes the partitions of the days to come */
extern bool sd_tasks_prepare_partitions(SdEngine *engine);

/* takes back tasks in flight whose lease is over and of which nothing is in hand */
extern bool sd_tasks_reclaim(SdEngine *engine);

/* opens, counts and closes incidents */
extern bool sd_tasks_look_for_incidents(SdEngine *engine);

/* drops history older than its retention */
extern bool sd_tasks_expire(SdEngine *engine);

/* writes how yesterday was */
extern bool sd_tasks_write_health(SdEngine *engine);

/* before the engine goes: SPI keeps plans elsewhere than in its memory */
extern void sd_tasks_free_plans(SdEngine *engine);

/* what sd_task_look() sees; strings live in the context given */
typedef struct SdTaskView
{
	bool  found;
	char *state;
	char *reason; /* these four may be NULL */
	char *detail;
	char *hint;
	char *progress;
	int   attempt;
} SdTaskView;

/* for procedures: reads the task's row in a transaction of its own */
extern void sd_task_look(int64 task_id, MemoryContext context, SdTaskView *view);

/* has any task had this number?  One that is done is gone from the table. */
extern bool sd_task_was_given(int64 task_id);

#endif /* SD_TASKS_H */
