/*-------------------------------------------------------------------------
 *
 * functions.h
 *	  What the files of SQL-callable functions give to other C files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_FUNCTIONS_H
#define SD_FUNCTIONS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

/*
 * The time every rule of business uses: the wall clock moved by
 * salesdrive.clock_offset.  The C side of SQL's salesdrive.clock().
 */
extern TimestampTz sd_clock(void);

/*
 * The value behind 'file:NAME' or 'env:NAME', else the text itself; palloc'd.
 * Reports an ERROR that names the reference but never a value.
 */
extern char *sd_secret_value(const char *reference);

/* the value at the root; a container is jbvBinary; what it points to is in the jsonb (document.c) */
extern void sd_jsonb_root(Jsonb *jsonb, JsonbValue *value);

#endif /* SD_FUNCTIONS_H */
