/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  How the outcome of one HTTP request is classed.
 *
 * Role: the one place that decides what an outcome means for the task that
 * asked for it.  Pure C: no PostgreSQL header, no allocation, no state; may be
 * called from anywhere, also from callbacks of libraries and from tests.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_POLICY_H
#define SD_POLICY_H

#include <stdbool.h>

/* The order is the order of sd_class_name()'s table. */
typedef enum SdClass
{
	SD_CLASS_OK,              /* done, the answer can be used */
	SD_CLASS_TRANSIENT,       /* known not done: try again later */
	SD_CLASS_THROTTLED,       /* known not done: the peer asks to wait */
	SD_CLASS_UNKNOWN_OUTCOME, /* perhaps done: read back before writing */
	SD_CLASS_BUSINESS,        /* refused: the user must change the data */
	SD_CLASS_DENIED,          /* refused: perhaps this request only */
	SD_CLASS_CONFIG,          /* refused: the user must change the settings */
	SD_CLASS_BUG              /* our own error */
} SdClass;

#define SD_CLASS_COUNT (SD_CLASS_BUG + 1)

/* How far a request came on the wire. */
typedef enum SdTransport
{
	SD_TRANSPORT_ANSWERED,  /* a complete answer is here */
	SD_TRANSPORT_NOT_SENT,  /* failed before the request left */
	SD_TRANSPORT_LOST,      /* sent, in part or whole; no complete answer */
	SD_TRANSPORT_TOO_LARGE, /* the answer is larger than the cap */
	SD_TRANSPORT_TRUNCATED, /* the answer ended too early */
	SD_TRANSPORT_REFUSED,   /* settings forbid it: certificate, URL, http */
	SD_TRANSPORT_BUG        /* libcurl was used wrongly */
} SdTransport;

#define SD_TRANSPORT_COUNT (SD_TRANSPORT_BUG + 1)

typedef struct SdOutcome
{
	SdTransport transport;
	bool        is_read;     /* method GET or HEAD: repeating it is harmless */
	int         http_status; /* 0 unless transport is ANSWERED */
	bool        body_empty;
	bool        body_is_json; /* proved by sd_json_check() */
	const char *odata_code;   /* code of odata.error; NULL when the body has
								 * no odata.error */
	int         retry_after;  /* seconds, -1 when not given */
} SdOutcome;

/*
 * What became of a transfer that libcurl ended with 'curl_code' (a CURLcode).
 * 'request_sent': at least one byte of the request may have left; take it from
 * CURLINFO_REQUEST_SIZE > 0.  A write callback that stops because of the cap
 * makes CURLE_WRITE_ERROR: that is read as TOO_LARGE.
 */
extern SdTransport sd_policy_transport(int curl_code, bool request_sent);

extern SdClass sd_policy_classify(const SdOutcome *outcome);

/* 'ok', 'transient', 'throttled', 'unknown_outcome', 'business', 'denied', 'config', 'bug' */
extern const char *sd_class_name(SdClass class_);

#endif /* SD_POLICY_H */
