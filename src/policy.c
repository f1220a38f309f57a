/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  How the outcome of one HTTP request is classed.
 *
 * Role: the one place that decides what an outcome means (see policy.h).
 *
 * The rule behind every branch: a write may be repeated only when it is known
 * not to have been done.  BAS does a request in one transaction and reports its
 * own failures as odata.error, so an odata.error means "not done".  Anything
 * else that comes instead of an answer (a proxy's page, a lost connection, an
 * answer cut short) says nothing about the write: its outcome is unknown and
 * must be read back.  A read can be repeated after any of these.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include <curl/curl.h>

#include "policy.h"

/*
 * Codes of odata.error that speak of the publication, the configuration or the
 * user's rights and not of the data sent.
 */
static const char *const config_codes[] = {
	"0",  /* a feature or an option the server lacks */
	"3",  /* representation not supported */
	"6",  /* bad URL */
	"8",  /* entity set unknown, mostly not published */
	"11", /* method unknown */
	"17", /* load mode not supported */
	"18", /* the interface cannot be initialised */
	"19", /* HTTP method forbidden here */
	"21"  /* function unknown */
};

static const char *const class_names[SD_CLASS_COUNT] = {
	"ok", "transient", "throttled", "unknown_outcome", "business", "denied", "config", "bug"};

const char *
sd_class_name(SdClass class_)
{
	if ((int) class_ < 0 || (int) class_ >= SD_CLASS_COUNT)
		return "bug";
	return class_names[class_];
}

SdTransport
sd_policy_transport(int curl_code, bool request_sent)
{
	switch (curl_code)
	{
		case CURLE_OK:
			return SD_TRANSPORT_ANSWERED;

			/* the caller's write callback stopped at the cap */
		case CURLE_WRITE_ERROR:
		case CURLE_FILESIZE_EXCEEDED:
			return SD_TRANSPORT_TOO_LARGE;

			/* the answer began and did not end well */
		case CURLE_PARTIAL_FILE:
		case CURLE_BAD_CONTENT_ENCODING:
			return SD_TRANSPORT_TRUNCATED;

		default:
			break;
	}

	/*
	 * A request that went out on a dead connection may have been tried again
	 * on a new one: whatever the second try says, the first was sent.
	 */
	if (request_sent)
		return SD_TRANSPORT_LOST;

	switch (curl_code)
	{
			/* settings: no repetition mends these */
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_URL_MALFORMAT:
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_CRL_BADFILE:
		case CURLE_SSL_ISSUER_ERROR:
		case CURLE_SSL_INVALIDCERTSTATUS:
		case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		case CURLE_SSL_ENGINE_NOTFOUND:
		case CURLE_SSL_ENGINE_SETFAILED:
			return SD_TRANSPORT_REFUSED;

			/* our own errors */
		case CURLE_FAILED_INIT:
		case CURLE_NOT_BUILT_IN:
		case CURLE_BAD_FUNCTION_ARGUMENT:
		case CURLE_UNKNOWN_OPTION:
			return SD_TRANSPORT_BUG;

		default:
			return SD_TRANSPORT_NOT_SENT;
	}
}

/* The class of "it may or may not have been done". */
static SdClass
doubtful(const SdOutcome *outcome)
{
	return outcome->is_read ? SD_CLASS_TRANSIENT : SD_CLASS_UNKNOWN_OUTCOME;
}

static bool
is_config_code(const char *code)
{
	size_t i;

	for (i = 0; i < sizeof(config_codes) / sizeof(config_codes[0]); i++)
	{
		if (strcmp(code, config_codes[i]) == 0)
			return true;
	}
	return false;
}

/* BAS itself has answered with an error: the request was not done. */
static SdClass
classify_odata_error(const SdOutcome *outcome)
{
	int status = outcome->http_status;

	/* no rights: to the set, or to one row of it */
	if (strcmp(outcome->odata_code, "20") == 0)
		return SD_CLASS_DENIED;
	if (status == 401 || status == 403 || status == 405 || status == 501 ||
		is_config_code(outcome->odata_code))
		return SD_CLASS_CONFIG;
	if (status == 429)
		return SD_CLASS_THROTTLED;
	if (status >= 500)
		return SD_CLASS_TRANSIENT;
	return SD_CLASS_BUSINESS;
}

/* An answer without odata.error: success, or something before BAS refused. */
static SdClass
classify_plain(const SdOutcome *outcome)
{
	int status = outcome->http_status;

	if (status >= 200 && status < 300)
	{
		if (outcome->body_is_json)
			return SD_CLASS_OK;

		/* an action may answer with nothing; a question may not */
		if (outcome->body_empty && !outcome->is_read)
			return SD_CLASS_OK;
		return doubtful(outcome);
	}

	if (status >= 300 && status < 400)
		return SD_CLASS_CONFIG;

	switch (status)
	{
		case 401:
		case 404:
		case 405:
			return SD_CLASS_CONFIG;
		case 403: /* a firewall or a limit that this body, or address, met */
		case 413:
		case 414:
			return SD_CLASS_DENIED;
		case 406: /* the session had ended */
		case 408:
			return doubtful(outcome);
		case 429:
			return SD_CLASS_THROTTLED;
		case 503:
			if (outcome->is_read && outcome->retry_after >= 0)
				return SD_CLASS_THROTTLED;
			return doubtful(outcome);
		default:
			break;
	}

	if (status >= 400 && status < 500)
		return SD_CLASS_BUSINESS;
	return doubtful(outcome);
}

SdClass
sd_policy_classify(const SdOutcome *outcome)
{
	switch (outcome->transport)
	{
		case SD_TRANSPORT_ANSWERED:
			if (outcome->odata_code != NULL)
				return classify_odata_error(outcome);
			return classify_plain(outcome);
		case SD_TRANSPORT_NOT_SENT:
			return SD_CLASS_TRANSIENT;
		case SD_TRANSPORT_LOST:
		case SD_TRANSPORT_TOO_LARGE:
		case SD_TRANSPORT_TRUNCATED:
			return doubtful(outcome);
		case SD_TRANSPORT_REFUSED:
			return SD_CLASS_CONFIG;
		case SD_TRANSPORT_BUG:
			break;
	}
	return SD_CLASS_BUG;
}
