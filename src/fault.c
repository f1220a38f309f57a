/*-------------------------------------------------------------------------
 *
 * fault.c
 *	  Named points at which tests let a process die.
 *
 * Role: see fault.h.  Empty unless built with -DSD_FAULTS.
 *
 * Each value of the setting acts once: before acting, the value is written as
 * a line to the file salesdrive.faults of the data directory.  Otherwise a
 * process that comes back would die at the same point for ever.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "fault.h"
#include "salesdrive.h"

#ifdef SD_FAULTS

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "storage/fd.h"

#define FAULT_FILE "salesdrive.faults" /* the data directory is the cwd */

/* How often the point of this value of the setting was passed. */
static char counted[256];
static int  passes;

/* Has this value of the setting acted before? */
static bool
acted_before(const char *setting)
{
	FILE *file = AllocateFile(FAULT_FILE, "r");
	char  line[256];
	bool  found = false;

	if (file == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), file) != NULL)
	{
		line[strcspn(line, "\n")] = '\0';
		found = strcmp(line, setting) == 0;
	}
	FreeFile(file);
	return found;
}

static void
remember(const char *setting)
{
	int   fd = OpenTransientFile(FAULT_FILE, O_WRONLY | O_CREAT | O_APPEND);
	char *line = psprintf("%s\n", setting);
	int   length = (int) strlen(line);

	if (fd < 0 || write(fd, line, length) != length)
		ereport(FATAL,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", FAULT_FILE)));
	pg_fsync(fd);
	CloseTransientFile(fd);
	pfree(line);
}

static void
act(const char *name, const char *action)
{
	ereport(LOG,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("fault point \"%s\" reached: %s", name, action)));
	if (strcmp(action, "kill") == 0)
		kill(MyProcPid, SIGKILL);
	else if (strcmp(action, "stop") == 0)
		kill(PostmasterPid, SIGQUIT);
	else if (strcmp(action, "error") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("fault point \"%s\"", name)));
	else if (strcmp(action, "panic") == 0)
		ereport(PANIC,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("fault point \"%s\"", name)));
	else
		ereport(FATAL,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown action \"%s\" in salesdrive.fault", action),
				 errhint("Actions are kill, panic, stop and error.")));

	/* the signal is on its way: go no further */
	for (;;)
		pause();
}

/* name:action[:nth[:label]] */
void
sd_fault_point(const char *name)
{
	char *setting;
	char *part[4] = {"", "kill", "1", ""};
	char *rest;
	int   n;

	if (sd_guc_fault == NULL || sd_guc_fault[0] == '\0' ||
		strncmp(sd_guc_fault, name, strlen(name)) != 0)
		return;

	if (strcmp(counted, sd_guc_fault) != 0)
	{
		strlcpy(counted, sd_guc_fault, sizeof(counted));
		passes = 0;
	}
	setting = pstrdup(counted);
	rest = setting;
	for (n = 0; n < 4 && rest != NULL; n++)
		part[n] = strsep(&rest, ":");
	if (strcmp(part[0], name) == 0 && ++passes == atoi(part[2]) && !acted_before(counted))
	{
		remember(counted);
		act(name, part[1]);
	}
	pfree(setting);
}

#endif /* SD_FAULTS */
