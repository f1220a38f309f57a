/*
 * policy_test.c
 *	  The whole table of classes, and what libcurl's codes mean.
 */
#include <curl/curl.h>

#include "policy.h"
#include "tap.h"

#define READ  true
#define WRITE false

typedef enum Body
{
	EMPTY,
	JSON,
	HTML
} Body;

/* odata_code NULL: no odata.error; retry_after as in the header, -1 = none */
static const struct
{
	int         status;
	Body        body;
	const char *odata_code;
	int         retry_after;
	SdClass     read;
	SdClass     write;
} answers[] = {
	/* success */
	{200, JSON, NULL, -1, SD_CLASS_OK, SD_CLASS_OK},
	{201, JSON, NULL, -1, SD_CLASS_OK, SD_CLASS_OK},
	{204, EMPTY, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_OK},
	{200, EMPTY, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_OK},
	{200, HTML, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{201, HTML, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},

	/* no redirects */
	{301, HTML, NULL, -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{302, EMPTY, NULL, -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{308, JSON, NULL, -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},

	/* refused without odata.error */
	{400, HTML, NULL, -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{401, HTML, NULL, -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{402, EMPTY, NULL, -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{403, HTML, NULL, -1, SD_CLASS_DENIED, SD_CLASS_DENIED},
	{404, HTML, NULL, -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{405, HTML, NULL, -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{406, HTML, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{408, EMPTY, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{409, JSON, NULL, -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{413, HTML, NULL, -1, SD_CLASS_DENIED, SD_CLASS_DENIED},
	{414, HTML, NULL, -1, SD_CLASS_DENIED, SD_CLASS_DENIED},
	{422, JSON, NULL, -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{429, HTML, NULL, -1, SD_CLASS_THROTTLED, SD_CLASS_THROTTLED},
	{429, JSON, NULL, 30, SD_CLASS_THROTTLED, SD_CLASS_THROTTLED},

	/* failed without odata.error */
	{500, HTML, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{500, EMPTY, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{500, JSON, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{501, HTML, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{502, HTML, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{502, HTML, NULL, 5, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{503, HTML, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{503, HTML, NULL, 0, SD_CLASS_THROTTLED, SD_CLASS_UNKNOWN_OUTCOME},
	{503, HTML, NULL, 120, SD_CLASS_THROTTLED, SD_CLASS_UNKNOWN_OUTCOME},
	{504, HTML, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{599, HTML, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},

	/* no status that HTTP knows as final */
	{0, EMPTY, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{100, EMPTY, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{700, JSON, NULL, -1, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},

	/* odata.error: the code decides, then the status */
	{400, JSON, "0", -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{400, JSON, "1", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{400, JSON, "2", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{406, JSON, "3", -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{400, JSON, "4", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{400, JSON, "5", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{400, JSON, "6", -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{400, JSON, "7", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{404, JSON, "8", -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{404, JSON, "9", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{404, JSON, "10", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{404, JSON, "11", -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{400, JSON, "12", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{400, JSON, "13", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{400, JSON, "14", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{400, JSON, "15", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{400, JSON, "16", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{400, JSON, "17", -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{500, JSON, "18", -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{405, JSON, "19", -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{401, JSON, "20", -1, SD_CLASS_DENIED, SD_CLASS_DENIED},
	{500, JSON, "20", -1, SD_CLASS_DENIED, SD_CLASS_DENIED},
	{501, JSON, "21", -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{400, JSON, "21", -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{401, JSON, "-1", -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{403, JSON, "", -1, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{429, JSON, "-1", -1, SD_CLASS_THROTTLED, SD_CLASS_THROTTLED},
	{500, JSON, "-1", -1, SD_CLASS_TRANSIENT, SD_CLASS_TRANSIENT},
	{500, HTML, "-1", -1, SD_CLASS_TRANSIENT, SD_CLASS_TRANSIENT},
	{500, JSON, "", -1, SD_CLASS_TRANSIENT, SD_CLASS_TRANSIENT},
	{503, JSON, "-1", 10, SD_CLASS_TRANSIENT, SD_CLASS_TRANSIENT},
	{400, JSON, "-1", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS},
	{400, JSON, "99", -1, SD_CLASS_BUSINESS, SD_CLASS_BUSINESS}};

static const struct
{
	SdTransport transport;
	SdClass     read;
	SdClass     write;
} broken[] = {
	{SD_TRANSPORT_NOT_SENT, SD_CLASS_TRANSIENT, SD_CLASS_TRANSIENT},
	{SD_TRANSPORT_LOST, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{SD_TRANSPORT_TOO_LARGE, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{SD_TRANSPORT_TRUNCATED, SD_CLASS_TRANSIENT, SD_CLASS_UNKNOWN_OUTCOME},
	{SD_TRANSPORT_REFUSED, SD_CLASS_CONFIG, SD_CLASS_CONFIG},
	{SD_TRANSPORT_BUG, SD_CLASS_BUG, SD_CLASS_BUG},
	{(SdTransport) 99, SD_CLASS_BUG, SD_CLASS_BUG}};

static const struct
{
	int         code;
	const char *name;
	SdTransport unsent;
	SdTransport sent;
} codes[] = {
	{CURLE_OK, "OK", SD_TRANSPORT_ANSWERED, SD_TRANSPORT_ANSWERED},
	{CURLE_COULDNT_RESOLVE_HOST, "COULDNT_RESOLVE_HOST", SD_TRANSPORT_NOT_SENT, SD_TRANSPORT_LOST},
	{CURLE_COULDNT_CONNECT, "COULDNT_CONNECT", SD_TRANSPORT_NOT_SENT, SD_TRANSPORT_LOST},
	{CURLE_SSL_CONNECT_ERROR, "SSL_CONNECT_ERROR", SD_TRANSPORT_NOT_SENT, SD_TRANSPORT_LOST},
	{CURLE_OPERATION_TIMEDOUT, "OPERATION_TIMEDOUT", SD_TRANSPORT_NOT_SENT, SD_TRANSPORT_LOST},
	{CURLE_OUT_OF_MEMORY, "OUT_OF_MEMORY", SD_TRANSPORT_NOT_SENT, SD_TRANSPORT_LOST},
	{CURLE_SEND_ERROR, "SEND_ERROR", SD_TRANSPORT_NOT_SENT, SD_TRANSPORT_LOST},
	{CURLE_RECV_ERROR, "RECV_ERROR", SD_TRANSPORT_NOT_SENT, SD_TRANSPORT_LOST},
	{CURLE_GOT_NOTHING, "GOT_NOTHING", SD_TRANSPORT_NOT_SENT, SD_TRANSPORT_LOST},
	{CURLE_SEND_FAIL_REWIND, "SEND_FAIL_REWIND", SD_TRANSPORT_NOT_SENT, SD_TRANSPORT_LOST},
	{CURLE_ABORTED_BY_CALLBACK, "ABORTED_BY_CALLBACK", SD_TRANSPORT_NOT_SENT, SD_TRANSPORT_LOST},
	{CURLE_PARTIAL_FILE, "PARTIAL_FILE", SD_TRANSPORT_TRUNCATED, SD_TRANSPORT_TRUNCATED},
	{CURLE_BAD_CONTENT_ENCODING, "BAD_CONTENT_ENCODING", SD_TRANSPORT_TRUNCATED, SD_TRANSPORT_TRUNCATED},
	{CURLE_WRITE_ERROR, "WRITE_ERROR", SD_TRANSPORT_TOO_LARGE, SD_TRANSPORT_TOO_LARGE},
	{CURLE_FILESIZE_EXCEEDED, "FILESIZE_EXCEEDED", SD_TRANSPORT_TOO_LARGE, SD_TRANSPORT_TOO_LARGE},
	{CURLE_PEER_FAILED_VERIFICATION, "PEER_FAILED_VERIFICATION", SD_TRANSPORT_REFUSED, SD_TRANSPORT_LOST},
	{CURLE_SSL_CACERT_BADFILE, "SSL_CACERT_BADFILE", SD_TRANSPORT_REFUSED, SD_TRANSPORT_LOST},
	{CURLE_URL_MALFORMAT, "URL_MALFORMAT", SD_TRANSPORT_REFUSED, SD_TRANSPORT_LOST},
	{CURLE_UNSUPPORTED_PROTOCOL, "UNSUPPORTED_PROTOCOL", SD_TRANSPORT_REFUSED, SD_TRANSPORT_LOST},
	{CURLE_BAD_FUNCTION_ARGUMENT, "BAD_FUNCTION_ARGUMENT", SD_TRANSPORT_BUG, SD_TRANSPORT_LOST},
	{CURLE_FAILED_INIT, "FAILED_INIT", SD_TRANSPORT_BUG, SD_TRANSPORT_LOST}};

static void
test_answers(void)
{
	size_t i;
	int    is_read;

	for (i = 0; i < lengthof(answers); i++)
	{
		for (is_read = 0; is_read <= 1; is_read++)
		{
			SdOutcome outcome = {
				.transport = SD_TRANSPORT_ANSWERED,
				.is_read = is_read != 0,
				.http_status = answers[i].status,
				.body_empty = answers[i].body == EMPTY,
				.body_is_json = answers[i].body == JSON,
				.odata_code = answers[i].odata_code,
				.retry_after = answers[i].retry_after};
			SdClass expected = is_read ? answers[i].read : answers[i].write;
			SdClass got = sd_policy_classify(&outcome);

			ok(got == expected, "%s %d, %s body, odata.error %s, retry after %d: %s (got %s)",
			   is_read ? "GET" : "POST", answers[i].status,
			   answers[i].body == EMPTY ? "no" : answers[i].body == JSON ? "JSON" :
																		   "HTML",
			   answers[i].odata_code ? answers[i].odata_code : "none", answers[i].retry_after,
			   sd_class_name(expected), sd_class_name(got));
		}
	}
}

/* A write is never classed as repeatable unless BAS or the wire says so. */
static void
test_write_is_never_repeated_blindly(void)
{
	int status;
	int body;
	int retry_after;
	int bad = 0;

	for (status = 0; status < 700; status++)
	{
		for (body = EMPTY; body <= HTML; body++)
		{
			for (retry_after = -1; retry_after <= 1; retry_after++)
			{
				SdOutcome outcome = {
					.transport = SD_TRANSPORT_ANSWERED,
					.http_status = status,
					.body_empty = body == EMPTY,
					.body_is_json = body == JSON,
					.retry_after = retry_after};
				SdClass got = sd_policy_classify(&outcome);

				if (got == SD_CLASS_TRANSIENT || (got == SD_CLASS_THROTTLED && status != 429))
					bad++;
				if (got == SD_CLASS_OK && (status < 200 || status > 299))
					bad++;
			}
		}
	}
	is_int(bad, 0, "no answer without odata.error makes a write repeatable, but 429");
}

int
main(void)
{
	size_t i;
	int    is_read;

	test_answers();
	test_write_is_never_repeated_blindly();

	for (i = 0; i < lengthof(broken); i++)
	{
		for (is_read = 0; is_read <= 1; is_read++)
		{
			SdOutcome outcome = {
				.transport = broken[i].transport,
				.is_read = is_read != 0,
				.retry_after = -1};
			SdClass expected = is_read ? broken[i].read : broken[i].write;

			ok(sd_policy_classify(&outcome) == expected, "transport %d of a %s is %s",
			   (int) broken[i].transport, is_read ? "read" : "write", sd_class_name(expected));
		}
	}

	for (i = 0; i < lengthof(codes); i++)
	{
		ok(sd_policy_transport(codes[i].code, false) == codes[i].unsent,
		   "CURLE_%s before sending", codes[i].name);
		ok(sd_policy_transport(codes[i].code, true) == codes[i].sent,
		   "CURLE_%s after sending", codes[i].name);
	}

	is_text(sd_class_name(SD_CLASS_UNKNOWN_OUTCOME), "unknown_outcome", "name of a class");
	is_text(sd_class_name(SD_CLASS_OK), "ok", "name of the first class");
	is_text(sd_class_name((SdClass) -1), "bug", "no class below the first");
	is_text(sd_class_name((SdClass) SD_CLASS_COUNT), "bug", "no class above the last");
	return done_testing();
}
