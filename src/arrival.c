/*-------------------------------------------------------------------------
 *
 * arrival.c
 *	  What is kept of an answer while it comes, and how the exchange ended.
 *
 * Role: see transfer.h.  Called by client.c only, and by libcurl.  The class of
 * the outcome is policy.c's; here stands what it is told, and the sentence that
 * says what was wrong and where the time went.
 *
 * Invariants:
 *
 * - Callbacks of libcurl never throw: they record.  What they allocate is
 *	 allocated without the right to fail loudly.
 * - No more is kept than the limit of the request (max_bytes).
 * - $metadata, and a YML export, is read as it arrives and never held: what is kept of it is short
 *	 and bounded.  An answer that is none is let through to its end, unread.
 * - An answer counts as one only when it is complete.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <time.h>

#include "utils/memutils.h"

#include "policy.h"
#include "transfer.h"
#include "wire.h"

#define MAX_HEADER_BYTES ((size_t) 256 * 1024)
#define KEEP_FOREIGN     ((size_t) 16 * 1024) /* of what came in place of such a document */

/* ---- callbacks of libcurl: record only, never throw ---- */

static bool
is_header(const char *line, size_t len, const char *name)
{
	size_t name_len = strlen(name);

	return len > name_len && line[name_len] == ':' && pg_strncasecmp(line, name, name_len) == 0;
}

/* if the header line bears this name, its value goes to out, trimmed */
static void
take_header(const char *line, size_t len, const char *name, char *out, size_t out_size)
{
	size_t name_len = strlen(name);

	if (!is_header(line, len, name))
		return;
	line += name_len + 1;
	len -= name_len + 1;
	while (len > 0 && (*line == ' ' || *line == '\t'))
		line++, len--;
	while (len > 0 && (unsigned char) line[len - 1] <= ' ')
		len--;
	len = Min(len, out_size - 1);
	memcpy(out, line, len);
	out[len] = '\0';
}

static size_t
on_header(char *line, size_t size, size_t count, void *arg)
{
	Transfer *transfer = arg;
	size_t    len = size * count;

	if (transfer->first_byte_at == 0)
		transfer->first_byte_at = monotonic_us();
	transfer->header_bytes += len;
	if (transfer->header_bytes > MAX_HEADER_BYTES)
	{
		transfer->headers_too_large = true;
		return 0;
	}
	/* a status line begins a new block of headers, as after 100 Continue */
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
	{
		transfer->content_type[0] = transfer->retry_after[0] = transfer->location[0] = '\0';
		transfer->headers_ended = transfer->framed = false;
	}
	if (len > 0 && (line[0] == '\r' || line[0] == '\n'))
		transfer->headers_ended = true;
	if (is_header(line, len, "Content-Length") || is_header(line, len, "Transfer-Encoding"))
		transfer->framed = true;
	take_header(line, len, "Content-Type", transfer->content_type, sizeof(transfer->content_type));
	take_header(line, len, "Retry-After", transfer->retry_after, sizeof(transfer->retry_after));
	take_header(line, len, "Location", transfer->location, sizeof(transfer->location));
	return len;
}

/* false: too large, or no memory; the transfer remembers which */
static bool
keep_bytes(void *arg, const char *data, size_t len)
{
	Transfer *transfer = arg;
	size_t    wanted = transfer->buffer_len + len;

	if (wanted > (size_t) transfer->exchange.request.max_bytes)
	{
		transfer->too_large = true;
		return false;
	}
	if (wanted > transfer->buffer_size)
	{
		size_t bigger = Max(wanted, Max(transfer->buffer_size * 2, (size_t) 4096));
		char  *moved = MemoryContextAllocExtended(transfer->context, bigger,
												  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);

		if (moved == NULL)
		{
			transfer->no_memory = true;
			return false;
		}
		if (transfer->buffer != NULL)
		{
			memcpy(moved, transfer->buffer, transfer->buffer_len);
			pfree(transfer->buffer);
		}
		transfer->buffer = moved;
		transfer->buffer_size = bigger;
	}
	memcpy(transfer->buffer + transfer->buffer_len, data, len);
	transfer->buffer_len += len;
	return true;
}

/* the beginning is kept as it came, for the log when it turns out to be something else */
static bool
take_xml(Transfer *transfer, const char *data, size_t len)
{
	size_t head;

	if (transfer->xml == NULL)
	{
		transfer->foreign = MemoryContextAllocExtended(transfer->context, KEEP_FOREIGN, MCXT_ALLOC_NO_OOM);
		transfer->xml = sd_xml_create(transfer->exchange.request.xml, keep_bytes, transfer);
		if (transfer->foreign == NULL || transfer->xml == NULL)
		{
			transfer->no_memory = true;
			return false;
		}
	}
	head = Min(len, KEEP_FOREIGN - transfer->foreign_len);
	memcpy(transfer->foreign + transfer->foreign_len, data, head);
	transfer->foreign_len += head;
	sd_xml_feed(transfer->xml, data, len);
	return !transfer->too_large && !transfer->no_memory;
}

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	Transfer *transfer = arg;
	size_t    len = size * count;
	long      status = 0;

	transfer->exchange.body_bytes += (int64) len;
	if (transfer->exchange.request.xml != SD_XML_NONE)
		curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status < 300)
		return take_xml(transfer, data, len) ? len : 0;
	return keep_bytes(transfer, data, len) ? len : 0;
}

void
sd_arrival_prepare(Transfer *transfer)
{
	const SdRequest *request = &transfer->exchange.request;
	CURL            *easy = transfer->easy;

	if (request->xml == SD_XML_NONE)
		curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) request->max_bytes);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
}

/* ---- how it ended ---- */

/* libcurl's sentence, and for a time-out where the time went */
static void
describe_failure(Transfer *transfer, CURLcode code)
{
	const SdRequest *request = &transfer->exchange.request;
	curl_off_t       name_at = 0;
	const char      *phase;
	size_t           len;

	if (transfer->error[0] == '\0')
		strlcpy(transfer->error, curl_easy_strerror(code), sizeof(transfer->error));
	transfer->exchange.error = transfer->error;
	if (transfer->resend_refused || code == CURLE_SEND_FAIL_REWIND)
	{
		transfer->exchange.error = "the peer closed a kept connection after the request had been sent; it was not sent again";
		return;
	}
	if (transfer->left_too_late)
	{
		transfer->exchange.error = TOO_LATE;
		return;
	}
	if (code == CURLE_OK || code == CURLE_PARTIAL_FILE)
	{
		transfer->exchange.error = "the connection closed before the answer was complete";
		return;
	}
	if (transfer->headers_too_large)
	{
		transfer->exchange.error = "the headers of the answer are larger than 256 kB";
		return;
	}
	if (transfer->no_memory)
	{
		transfer->exchange.error = "out of memory while receiving the answer";
		return;
	}
	if (transfer->too_large || code == CURLE_FILESIZE_EXCEEDED)
	{
		snprintf(transfer->error, sizeof(transfer->error),
				 request->xml != SD_XML_NONE ? "what is to be kept of the answer is larger than the limit of " INT64_FORMAT " bytes" :
											   "the answer is larger than the limit of " INT64_FORMAT " bytes",
				 request->max_bytes);
		return;
	}
	if (code != CURLE_OPERATION_TIMEDOUT)
		return;

	curl_easy_getinfo(transfer->easy, CURLINFO_NAMELOOKUP_TIME_T, &name_at);
	if (transfer->first_byte_at != 0)
		phase = "receiving the answer";
	else if (transfer->departures > 0 && transfer->body_sent < transfer->body_len)
		phase = "sending the body of the request";
	else if (transfer->departures > 0)
		phase = "waiting for the first byte of the answer";
	else if (transfer->connected)
		phase = "waiting for the TLS handshake";
	else if (name_at > 0)
		phase = "waiting for the connection";
	else
		phase = "waiting for the name to be resolved";
	len = strlen(transfer->error);
	snprintf(transfer->error + len, sizeof(transfer->error) - len,
			 "; the time went into %s", phase);
}

/*
 * libcurl takes a connection that closes for the end of an answer, also in the
 * middle of the headers, or before a body of unknown length has begun.
 */
static bool
ended_early(const Transfer *transfer, long status)
{
	if (!transfer->headers_ended)
		return true;
	return transfer->exchange.body_bytes == 0 && !transfer->framed && status != 204 &&
		   strcmp(transfer->exchange.request.method, "HEAD") != 0;
}

static SdTransport
transport_of(Transfer *transfer, CURLcode code, long status)
{
	bool sent = transfer->departures > 0;

#ifndef HAVE_PREREQ
	long request_size = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &request_size);
	sent = request_size > 0;
#endif
	if (transfer->resend_refused || transfer->no_memory)
		return SD_TRANSPORT_LOST;
	if (code == CURLE_OK && ended_early(transfer, status))
		return SD_TRANSPORT_TRUNCATED;
	return sd_policy_transport((int) code, sent);
}

/* what an answer that is not as it should be is called in 'error' */
static void
describe_answer(Transfer *transfer, const SdJsonError *json)
{
	SdExchange *exchange = &transfer->exchange;

	if (exchange->class_ == SD_CLASS_OK)
		return;
	if (exchange->http_status >= 200 && exchange->http_status < 300 && exchange->body == NULL)
		strlcpy(transfer->error, "the answer is empty", sizeof(transfer->error));
	else if (transfer->xml != NULL && sd_xml_problem(transfer->xml) != NULL)
		strlcpy(transfer->error, sd_xml_problem(transfer->xml), sizeof(transfer->error));
	else if (exchange->http_status >= 200 && exchange->http_status < 300)
		snprintf(transfer->error, sizeof(transfer->error),
				 "the answer is not JSON: %s at line %d, column %d",
				 json->message, json->line, json->column);
	else if (exchange->http_status >= 300 && exchange->http_status < 400)
		snprintf(transfer->error, sizeof(transfer->error),
				 "the server redirects to \"%s\"; redirects are not followed", transfer->location);
	else
		snprintf(transfer->error, sizeof(transfer->error),
				 "the server answered with status %d", exchange->http_status);
	exchange->error = transfer->error;
}

/* body, headers and class of a transfer that libcurl has ended */
static void
read_outcome(Transfer *transfer, CURLcode code)
{
	SdExchange *exchange = &transfer->exchange;
	SdOutcome   outcome = {0};
	SdJsonError json = {0};
	long        status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	outcome.transport = transport_of(transfer, code, status);
	outcome.is_read = transfer->is_read;
	if (transfer->xml != NULL && !sd_xml_end(transfer->xml))
	{
		transfer->buffer = transfer->foreign;
		transfer->buffer_len = transfer->foreign_len;
	}
	if (outcome.transport == SD_TRANSPORT_ANSWERED && transfer->buffer_len > 0)
	{
		exchange->body_len = transfer->buffer_len;
		exchange->body = transfer->buffer;
	}
	if (exchange->body != NULL && exchange->body != transfer->foreign)
		exchange->body_is_json = sd_json_check(exchange->body, exchange->body_len,
											   SD_JSON_MAX_DEPTH, &json);
	if (transfer->content_type[0] != '\0')
		exchange->content_type = transfer->content_type;
	exchange->retry_after = transfer->retry_after[0] == '\0' ? -1 :
															   sd_retry_after(transfer->retry_after, time(NULL));
	if (outcome.transport == SD_TRANSPORT_ANSWERED)
	{
		exchange->http_status = (int) status;
		if (status >= 300 && exchange->body_len > 0 &&
			sd_odata_error(exchange->body, exchange->body_len,
						   transfer->odata_code, sizeof(transfer->odata_code),
						   transfer->odata_message, sizeof(transfer->odata_message)))
		{
			exchange->odata_code = transfer->odata_code;
			exchange->odata_message = transfer->odata_message;
		}
	}
	outcome.http_status = exchange->http_status;
	outcome.body_empty = exchange->body_len == 0;
	outcome.body_is_json = exchange->body_is_json;
	outcome.odata_code = exchange->odata_code;
	outcome.retry_after = exchange->retry_after;
	exchange->class_ = sd_policy_classify(&outcome);
	if (outcome.transport == SD_TRANSPORT_ANSWERED)
		describe_answer(transfer, &json);
	else
		describe_failure(transfer, code);
}

static void
read_timings(Transfer *transfer)
{
	SdExchange *exchange = &transfer->exchange;
	curl_off_t  connect_at = 0;
	curl_off_t  tls_at = 0;
	long        new_connections = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &new_connections);
	if (new_connections > 0)
	{
		curl_easy_getinfo(transfer->easy, CURLINFO_CONNECT_TIME_T, &connect_at);
		curl_easy_getinfo(transfer->easy, CURLINFO_APPCONNECT_TIME_T, &tls_at);
		exchange->ms_connect = (double) connect_at / 1000.0;
		exchange->ms_tls = ms_between((int64) connect_at, (int64) tls_at);
	}
	exchange->ms_first_byte = ms_between(transfer->sent_at, transfer->first_byte_at);
	exchange->ms_total = ms_between(transfer->left_at, monotonic_us());
}

void
sd_arrival_read(Transfer *transfer, CURLcode code)
{
	read_outcome(transfer, code);
	read_timings(transfer);
}
