/*-------------------------------------------------------------------------
 *
 * fault.h
 *	  Named points at which tests let a process die.
 *
 * Role: nothing in a normal build.  Built with `make FAULTS=1` each
 * SD_FAULT("name") compares its name with the setting salesdrive.fault:
 *
 *		name:action[:nth[:label]]
 *
 * and acts when a process passes the point for the nth time (default 1).  Each
 * value of the setting acts once in the life of a data directory, also across
 * restarts; change the label to let the same fault happen again.
 *
 *		kill	SIGKILL to the process itself
 *		panic	PANIC: all processes end at once, recovery follows
 *		stop	immediate stop of the cluster, as `pg_ctl stop -m immediate`
 *		error	an ordinary ERROR
 *
 * Must not be placed in a callback of libcurl or libmicrohttpd.
 * The setting itself is defined with the others, in salesdrive.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_FAULT_H
#define SD_FAULT_H

#ifdef SD_FAULTS

extern void sd_fault_point(const char *name);

#define SD_FAULT(name) sd_fault_point(name)

#else

#define SD_FAULT(name) ((void) 0)

#endif

#endif /* SD_FAULT_H */
