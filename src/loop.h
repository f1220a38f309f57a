/*-------------------------------------------------------------------------
 *
 * loop.h
 *	  The one place that waits: latch, death of the postmaster, at most one
 *	  nested descriptor (the epoll of libmicrohttpd, or of libcurl's sockets),
 *	  and a time-out.
 *
 * Works in background workers and in ordinary backends alike.  Never call it
 * from a callback of a foreign library: it may throw (query cancel) or end the
 * process (termination, death of the postmaster).
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_LOOP_H
#define SD_LOOP_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct SdLoop SdLoop;

/* what sd_loop_wait() returns, or-ed */
#define SD_LOOP_LATCH   (1 << 0)
#define SD_LOOP_SOCKET  (1 << 1)
#define SD_LOOP_TIMEOUT (1 << 2)

/*
 * Makes a loop in CurrentMemoryContext; it frees itself when that context is
 * reset or deleted, also after an error.  nested_fd: PGINVALID_SOCKET = none.
 * The caller closes nested_fd after freeing the loop, or by an earlier-
 * registered reset callback of the same context (they run last in, first out).
 */
extern SdLoop *sd_loop_create(pgsocket nested_fd);
extern void    sd_loop_free(SdLoop *loop);

/*
 * Waits until something happens, at most timeout_ms (negative: for ever).
 * Resets the latch and serves interrupts (CHECK_FOR_INTERRUPTS) before it
 * waits and after.  With SD_LOOP_LATCH the caller looks at its shared state.
 */
extern int sd_loop_wait(SdLoop *loop, long timeout_ms);

/* milliseconds until a moment, 0 when it has passed, at most cap */
extern long sd_loop_until(TimestampTz moment, long cap);

#endif /* SD_LOOP_H */
