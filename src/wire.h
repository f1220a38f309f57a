/*-------------------------------------------------------------------------
 *
 * wire.h
 *	  Reading and writing of what goes over the wire: JSON, odata.error,
 *	  Retry-After, percent-encoding, secrets.
 *
 * Role: every parser of bytes from the net.  Pure C: no PostgreSQL header, no
 * allocation, no state, no recursion; every function is bounded by the lengths
 * it is given and may be called from anywhere, also from callbacks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_WIRE_H
#define SD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* Deepest nesting that sd_json_check() can be asked for. */
#define SD_JSON_MAX_DEPTH 512

/* Longest wait that sd_retry_after() returns: one day. */
#define SD_RETRY_AFTER_MAX 86400

typedef struct SdJsonError
{
	size_t      offset;  /* bytes before the first bad one */
	int         line;    /* from 1; lines end at \n */
	int         column;  /* from 1; in characters, not bytes */
	const char *message; /* a static sentence without the position */
} SdJsonError;

/*
 * Is the buffer one JSON text (RFC 8259) in strict UTF-8, nested at most
 * 'max_depth' levels?  A byte order mark may precede it.  Names may repeat.  'err' may be NULL; it is filled only
 * when the answer is false.
 */
extern bool sd_json_check(const char *buf, size_t len, int max_depth,
						  SdJsonError *err);

/*
 * Good JSON may hold escapes that stand for no character: \u0000 and halves of
 * a pair, as a cut emoji leaves them.  In place, each becomes \ufffd; returns
 * how many there were.
 */
extern int sd_json_mend(char *buf, size_t len);

/* The sentence with its position, as users read it; returns its length. */
extern int sd_json_error_text(const SdJsonError *err, char *out, size_t size);

/* Quotes a text for JSON, cut to fit; returns 'out'. */
extern char *sd_json_quote(const char *text, char *out, size_t out_size);

/*
 * Read code and message of an OData error, JSON or XML.  False when the body
 * holds none; both outputs are then empty strings.  Outputs are always
 * terminated, valid UTF-8, and cut at the end of a character.
 */
extern bool sd_odata_error(const char *buf, size_t len,
						   char *code, size_t code_size,
						   char *message, size_t message_size);

/*
 * Value of a Retry-After header, in seconds from 'now' (0 when in the past, at
 * most SD_RETRY_AFTER_MAX), or -1 when it cannot be read.  'value' is a C
 * string; NULL is allowed.
 */
extern int sd_retry_after(const char *value, time_t now);

/*
 * Are both byte strings equal?  The time taken depends on 'given_len' only,
 * not on the bytes of either and not on where they differ.
 */
extern bool sd_equal_ct(const char *given, size_t given_len,
						const char *secret, size_t secret_len);

/*
 * Percent-encode everything but A-Z a-z 0-9 - . _ ~ into 'out', which must have
 * room for 3 * len bytes; returns the length written (not terminated).
 */
extern size_t sd_url_encode(const char *in, size_t len, char *out);

/* Length of a byte order mark at 'p': 3 or 0. */
extern size_t sd_byte_order_mark(const char *p, size_t left);

/* Length (1..4) of the valid UTF-8 sequence at 'p', or 0. */
extern int sd_utf8_length(const char *p, size_t left);

#endif /* SD_WIRE_H */
