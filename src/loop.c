/*-------------------------------------------------------------------------
 *
 * loop.c
 *	  The one place that waits.
 *
 * Role: a WaitEventSet of latch, death of the postmaster and at most one
 * nested descriptor, which is itself an epoll of many.  Timers are the
 * time-out of the wait; whoever keeps timers computes the nearest.
 *
 * Invariants: a loop belongs to a memory context and dies with it, so that an
 * error in a procedure leaks no descriptor.  Interrupts are served before and
 * after each wait, with the latch reset in between, so that a signal is never
 * slept over.  For workers and backends; never from a foreign callback.
 *
 *-------------------------------------------------------------------------
 */
#include "loop.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"

struct SdLoop
{
	WaitEventSet         *set;
	MemoryContextCallback on_reset;
};

static void
release_set(void *arg)
{
	SdLoop *loop = arg;

	if (loop->set != NULL)
		FreeWaitEventSet(loop->set);
	loop->set = NULL;
}

SdLoop *
sd_loop_create(pgsocket nested_fd)
{
	SdLoop *loop = palloc0(sizeof(SdLoop));

	loop->on_reset.func = release_set;
	loop->on_reset.arg = loop;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &loop->on_reset);

	loop->set = sd_create_wait_event_set(3);
	AddWaitEventToSet(loop->set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(loop->set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	if (nested_fd != PGINVALID_SOCKET)
		AddWaitEventToSet(loop->set, WL_SOCKET_READABLE, nested_fd, NULL, NULL);
	return loop;
}

/* the rest of it goes with its memory context */
void
sd_loop_free(SdLoop *loop)
{
	release_set(loop);
}

/*
 * A worker that was told to end does so without a FATAL in the log.  The code
 * 0 would tell the postmaster to forget one that it shall start again.
 */
static void
leave_if_told(void)
{
	if (ProcDiePending && MyBgworkerEntry != NULL)
		proc_exit(MyBgworkerEntry->bgw_restart_time == BGW_NEVER_RESTART ? 0 : 1);
}

int
sd_loop_wait(SdLoop *loop, long timeout_ms)
{
	static uint32 wait_event = 0;
	WaitEvent     event[3];
	int           mask = 0;
	int           n;

	if (wait_event == 0)
		wait_event = sd_wait_event("SalesdriveLoop");
	leave_if_told();
	CHECK_FOR_INTERRUPTS();
	n = WaitEventSetWait(loop->set, timeout_ms, event, lengthof(event), wait_event);
	if (n == 0)
		mask |= SD_LOOP_TIMEOUT;
	for (int i = 0; i < n; i++)
	{
		if (event[i].events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			mask |= SD_LOOP_LATCH;
		}
		if (event[i].events & WL_SOCKET_MASK)
			mask |= SD_LOOP_SOCKET;
	}
	leave_if_told();
	CHECK_FOR_INTERRUPTS();
	return mask;
}

long
sd_loop_until(TimestampTz moment, long cap)
{
	TimestampTz now = GetCurrentTimestamp();
	int64       left;

	if (TIMESTAMP_IS_NOBEGIN(moment) || moment <= now)
		return 0;
	if (TIMESTAMP_IS_NOEND(moment))
		return cap;
	left = (moment - now + 999) / 1000;
	return left < cap ? (long) left : cap;
}
