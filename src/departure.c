/*-------------------------------------------------------------------------
 *
 * departure.c
 *	  How a request leaves: what may be sent, with which options of libcurl, and
 *	  that it leaves in time and only once.
 *
 * Role: see transfer.h.  Called by client.c only, and by libcurl.
 *
 * Invariants:
 *
 * - Callbacks of libcurl never throw: they record.
 * - A request that writes leaves at most once.  libcurl would send it again by
 *	 itself when a kept connection turns out to be dead; two things forbid that:
 *	 its body comes from a function that cannot rewind, and the callback before
 *	 sending lets it pass only once (that one covers requests without a body).
 * - A request does not leave when its moment (leave_before) has passed by the
 *	 wall clock, however long the process slept between taking and sending it.
 * - Peers are verified, redirects are not followed, no proxy is used; plain http
 *	 beyond loopback only where the request allows it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include "utils/timestamp.h"

#include "transfer.h"

#define IDLE_READ_S  30L /* a kept connection older than this is closed */
#define IDLE_WRITE_S 4L  /* for writes: below the usual 5 s of web servers */

/* ---- what may be sent ---- */

static bool
is_loopback(const char *host)
{
	return pg_strcasecmp(host, "localhost") == 0 ||
		   strcmp(host, "[::1]") == 0 ||
		   (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

/* the reason not to send to this URL, or NULL */
static const char *
url_problem(const SdRequest *request)
{
	const char *problem = NULL;
	CURLU      *url;
	char       *scheme = NULL;
	char       *host = NULL;
	char       *user = NULL;

	for (const char *p = request->url; *p != '\0'; p++)
		if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f)
			return "the URL is not percent-encoded";
	url = curl_url();
	if (url == NULL ||
		curl_url_set(url, CURLUPART_URL, request->url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		problem = "the URL is malformed";
	else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		problem = "the URL is neither http nor https";
	else if (curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK)
		problem = "the URL carries a user name; credentials belong to the settings";
	else if (strcmp(scheme, "http") == 0 && !request->allow_http && !is_loopback(host))
		problem = "plain http is allowed to the local machine only, unless infobase.allow_http or account_api.allow_http is true";
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	curl_url_cleanup(url);
	return problem;
}

const char *
sd_departure_problem(const Transfer *transfer)
{
	const SdRequest         *request = &transfer->exchange.request;
	static const char *const methods[] = {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"};
	bool                     known = false;

	for (int i = 0; i < (int) lengthof(methods); i++)
		known = known || strcmp(request->method, methods[i]) == 0;
	if (!known)
		return "the method is not one of GET, HEAD, POST, PATCH, PUT, DELETE";
	for (int i = 0; i < request->nheaders; i++)
		if (strpbrk(request->headers[i], "\r\n") != NULL || strchr(request->headers[i], ':') == NULL)
			return "a header is not of the form Name: value";
	if (request->max_bytes <= 0 || request->connect_timeout <= 0 || request->total_timeout <= 0)
		return "a time-out or the size limit of the answer is not positive";
	return url_problem(request);
}

/* a pause of the whole machine stops the monotonic clock, not the wall's */
bool
sd_departure_is_late(const Transfer *transfer)
{
	int64 limit = transfer->exchange.request.leave_before;

	return limit != 0 && GetCurrentTimestamp() - (monotonic_us() - transfer->left_at) >= limit;
}

/* ---- callbacks of libcurl: record only, never throw ---- */

/* sockets are not inherited by programs that SQL may start */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void) arg;
	(void) purpose;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

#ifdef HAVE_PREREQ
static int
on_departure(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	Transfer *transfer = arg;

	(void) remote_ip;
	(void) local_ip;
	(void) remote_port;
	(void) local_port;
	if (transfer->departures > 0 && !transfer->is_read)
	{
		transfer->resend_refused = true;
		return CURL_PREREQFUNC_ABORT;
	}
	if (transfer->departures == 0 && sd_departure_is_late(transfer))
	{
		transfer->left_too_late = true;
		return CURL_PREREQFUNC_ABORT;
	}
	transfer->departures++;
	transfer->body_sent = 0;
	transfer->sent_at = monotonic_us();
	return CURL_PREREQFUNC_OK;
}
#endif

static size_t
on_read(char *out, size_t size, size_t count, void *arg)
{
	Transfer *transfer = arg;
	size_t    len = Min(size * count, transfer->body_len - transfer->body_sent);

	memcpy(out, transfer->exchange.request.body + transfer->body_sent, len);
	transfer->body_sent += len;
	return len;
}

/* ---- options of libcurl ---- */

static bool
has_header(const SdRequest *request, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; i < request->nheaders; i++)
		if (pg_strncasecmp(request->headers[i], name, len) == 0 && request->headers[i][len] == ':')
			return true;
	return false;
}

static bool
append_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (longer != NULL)
		*list = longer;
	return longer != NULL;
}

/* false when there is no memory */
static bool
make_headers(Transfer *transfer)
{
	const SdRequest    *request = &transfer->exchange.request;
	struct curl_slist **list = &transfer->header_list;
	bool                ok = append_header(list, "Expect:");

	if (!has_header(request, "Accept"))
		ok = ok && append_header(list, request->xml != SD_XML_NONE ? "Accept: application/xml" : "Accept: application/json");
	if (!has_header(request, "Content-Type"))
		ok = ok && append_header(list, request->body != NULL ?
										   "Content-Type: application/json; charset=utf-8" :
										   "Content-Type:");
	for (int i = 0; i < request->nheaders; i++)
		ok = ok && append_header(list, request->headers[i]);
	return ok;
}

static void
set_method(Transfer *transfer, CURL *easy)
{
	const SdRequest *request = &transfer->exchange.request;
	bool             is_post = strcmp(request->method, "POST") == 0;

	if (request->body != NULL || is_post)
	{
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) transfer->body_len);
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
	}
	else if (strcmp(request->method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	if (!is_post && strcmp(request->method, "HEAD") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);

#ifdef HAVE_PREREQ
	/* see the invariants at the top */
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_departure);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
#else
	if (!transfer->is_read)
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
#endif
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, transfer->is_read ? IDLE_READ_S : IDLE_WRITE_S);
}

static void
set_security(const SdRequest *request, CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (request->ca_file != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (request->username != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
		curl_easy_setopt(easy, CURLOPT_USERNAME, request->username);
		curl_easy_setopt(easy, CURLOPT_PASSWORD, request->password ? request->password : "");
	}
}

static void
set_handling(Transfer *transfer, CURL *easy)
{
	const SdRequest *request = &transfer->exchange.request;

	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
					 (long) Min(request->connect_timeout, request->total_timeout));
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) request->total_timeout);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->header_list);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
}

bool
sd_departure_prepare(Transfer *transfer)
{
	if (!make_headers(transfer))
		return false;
	set_handling(transfer, transfer->easy);
	set_method(transfer, transfer->easy);
	set_security(&transfer->exchange.request, transfer->easy);
	return true;
}
