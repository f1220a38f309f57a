/*-------------------------------------------------------------------------
 *
 * phone.h
 *	  Canonical form of phone numbers.
 *
 * Role: the only place that decides whether two spellings are one number.
 * Pure C: no PostgreSQL header, no allocation, no state.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_PHONE_H
#define SD_PHONE_H

#include <stddef.h>

/* E.164 allows 15 digits. */
#define SD_PHONE_MAX 15

/*
 * Write the digits of the E.164 form (no '+') and a terminating NUL into 'out'
 * and return their count, or return 0 and an empty string when the text holds
 * no usable phone.  Any bytes are allowed as input.  The result comes back
 * unchanged when it is given as input with a '+' before it, and without the '+'
 * too when it has 11 digits or more.
 */
extern int sd_phone_e164(const char *text, size_t len,
						 char out[SD_PHONE_MAX + 1]);

#endif /* SD_PHONE_H */
