/*-------------------------------------------------------------------------
 *
 * messages.c
 *	  Requests and exchanges of the client as rows of SQL.
 *
 * Role: see messages.h.  No SPI; reads the catalogs for the types, so it wants
 * a transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "functions.h"
#include "messages.h"
#include "salesdrive.h"
#include "wire.h"

/* ---- columns ---- */

/* the columns of http_result, in order */
enum
{
	R_TASK_ID,
	R_ATTEMPT,
	R_TARGET,
	R_METHOD,
	R_URL,
	R_REQUEST_BODY,
	R_HTTP_STATUS,
	R_CLASS,
	R_ERROR,
	R_RETRY_AFTER,
	R_ODATA_CODE,
	R_ODATA_MESSAGE,
	R_CONTENT_TYPE,
	R_BODY,
	R_BODY_IS_JSON,
	R_BODY_BYTES,
	R_STARTED_AT,
	R_MS_QUEUE,
	R_MS_CONNECT,
	R_MS_TLS,
	R_MS_FIRST_BYTE,
	R_MS_TOTAL,
	R_COLUMNS
};

static const char *const result_columns[R_COLUMNS] = {
	"task_id", "attempt", "target", "method", "url", "request_body", "http_status",
	"class", "error", "retry_after", "odata_code", "odata_message", "content_type",
	"body", "body_is_json", "body_bytes", "started_at", "ms_queue", "ms_connect",
	"ms_tls", "ms_first_byte", "ms_total"};

/* the columns of http_request, in order */
enum
{
	Q_TASK_ID,
	Q_ATTEMPT,
	Q_TARGET,
	Q_METHOD,
	Q_URL,
	Q_BODY,
	Q_USERNAME,
	Q_PASSWORD,
	Q_HEADERS,
	Q_CONNECT_TIMEOUT,
	Q_TOTAL_TIMEOUT,
	Q_MAX_BYTES,
	Q_MAX_CONNECTIONS,
	Q_CA_FILE,
	Q_ALLOW_HTTP,
	Q_LEAVE_BEFORE,
	Q_ANSWER,
	Q_COLUMNS
};

static const char *const request_columns[Q_COLUMNS] = {
	"task_id", "attempt", "target", "method", "url", "body", "username", "password",
	"headers", "connect_timeout", "total_timeout", "max_bytes", "max_connections",
	"ca_file", "allow_http", "leave_before", "answer"};

static void
check_columns(TupleDesc desc, const char *const *names, int count, const char *type)
{
	bool same = desc->natts == count;

	for (int i = 0; same && i < count; i++)
		same = strcmp(NameStr(TupleDescAttr(desc, i)->attname), names[i]) == 0;
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("type salesdrive.%s does not have the columns this library knows", type),
				 errdetail("The installed library and the extension in this database are of different versions."),
				 errhint("Run ALTER EXTENSION salesdrive UPDATE, then SELECT salesdrive.restart_workers().")));
}

void
sd_result_check(TupleDesc desc)
{
	check_columns(desc, result_columns, R_COLUMNS, "http_result");
}

void
sd_request_check(TupleDesc desc)
{
	check_columns(desc, request_columns, Q_COLUMNS, "http_request");
}

Oid
sd_message_type(const char *name)
{
	Oid type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name),
							   ObjectIdGetDatum(get_namespace_oid(SD_EXTENSION, false)));

	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type salesdrive.%s does not exist", name)));
	return type;
}

/* ---- exchanges into rows ---- */

/*
 * Text of the client (UTF-8, or bytes of a peer that claim to be) as a datum
 * that any database takes: what is not valid becomes '?'.
 */
static Datum
clean_text(const char *utf8)
{
	size_t len = strlen(utf8);
	char  *copy = pnstrdup(utf8, len);
	bool   ascii = true;

	for (size_t i = 0; i < len;)
	{
		int n = sd_utf8_length(copy + i, len - i);

		if (n <= 0)
			copy[i++] = '?';
		else
		{
			ascii = ascii && n == 1;
			i += n;
		}
	}
	if (!ascii)
		copy = pg_any_to_server(copy, (int) strlen(copy), PG_UTF8);
	return CStringGetTextDatum(copy);
}

static void
put_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text != NULL)
		values[column] = clean_text(text);
}

static void
put_int(Datum *values, bool *nulls, int column, int number, bool known)
{
	nulls[column] = !known;
	values[column] = Int32GetDatum(number);
}

static Datum
bytes_datum(const char *data, size_t len)
{
	bytea *bytes = palloc(VARHDRSZ + len);

	SET_VARSIZE(bytes, VARHDRSZ + len);
	memcpy(VARDATA(bytes), data, len);
	return PointerGetDatum(bytes);
}

/*
 * Without its body an answer to a write proves nothing: what it did must be
 * read back.  A question is asked again, unless its answer was the trouble.
 */
static SdClass
class_stripped(const SdExchange *exchange)
{
	if (strcmp(exchange->request.method, "GET") != 0 && strcmp(exchange->request.method, "HEAD") != 0)
		return SD_CLASS_UNKNOWN_OUTCOME;
	return exchange->settle_failures >= SD_STRIP_AFTER ? SD_CLASS_BUG : SD_CLASS_TRANSIENT;
}

Datum
sd_result_row(TupleDesc desc, const SdExchange *exchange)
{
	const SdRequest *request = &exchange->request;
	bool             stripped = exchange->settle_failures >= SD_STRIP_AFTER || exchange->body_dropped;
	bool             answered = exchange->http_status > 0;
	bool             has_body = exchange->body != NULL && answered && !stripped;
	Datum            values[R_COLUMNS] = {0};
	bool             nulls[R_COLUMNS] = {0};

	values[R_TASK_ID] = Int64GetDatum(request->task_id);
	values[R_ATTEMPT] = Int32GetDatum(request->attempt);
	put_text(values, nulls, R_TARGET, request->target);
	put_text(values, nulls, R_METHOD, request->method);
	put_text(values, nulls, R_URL, request->url);
	put_text(values, nulls, R_REQUEST_BODY, request->body);
	put_int(values, nulls, R_HTTP_STATUS, exchange->http_status, answered);
	put_text(values, nulls, R_CLASS, sd_class_name(stripped ? class_stripped(exchange) : exchange->class_));
	put_text(values, nulls, R_ERROR, stripped ? "the answer could not be settled, see the server log; its body is left out" : exchange->error);
	put_int(values, nulls, R_RETRY_AFTER, exchange->retry_after, exchange->retry_after >= 0);
	put_text(values, nulls, R_ODATA_CODE, stripped ? NULL : exchange->odata_code);
	put_text(values, nulls, R_ODATA_MESSAGE, stripped ? NULL : exchange->odata_message);
	put_text(values, nulls, R_CONTENT_TYPE, stripped ? NULL : exchange->content_type);
	nulls[R_BODY] = !has_body;
	if (has_body)
		values[R_BODY] = bytes_datum(exchange->body, exchange->body_len);
	values[R_BODY_IS_JSON] = BoolGetDatum(has_body && exchange->body_is_json);
	values[R_BODY_BYTES] = Int64GetDatum(exchange->body_bytes);
	/* the rules compare it with their own clock, which tests may move */
	values[R_STARTED_AT] = TimestampTzGetDatum(exchange->started_at +
											   (sd_clock() - GetCurrentTimestamp()));
	values[R_MS_QUEUE] = Float8GetDatum(exchange->ms_queue);
	values[R_MS_CONNECT] = Float8GetDatum(exchange->ms_connect);
	values[R_MS_TLS] = Float8GetDatum(exchange->ms_tls);
	values[R_MS_FIRST_BYTE] = Float8GetDatum(exchange->ms_first_byte);
	values[R_MS_TOTAL] = Float8GetDatum(exchange->ms_total);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/* ---- rows into requests ---- */

static char *
take_text(HeapTuple tuple, TupleDesc desc, int column)
{
	bool  isnull;
	Datum value = heap_getattr(tuple, column + 1, desc, &isnull);
	char *string;

	if (isnull)
		return NULL;
	string = TextDatumGetCString(value);
	return pg_server_to_any(string, (int) strlen(string), PG_UTF8);
}

static char *
need_text(HeapTuple tuple, TupleDesc desc, int column)
{
	char *string = take_text(tuple, desc, column);

	if (string == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a request has no %s", request_columns[column])));
	return string;
}

static int64
take_int(HeapTuple tuple, TupleDesc desc, int column, int64 otherwise)
{
	bool  isnull;
	Datum value = heap_getattr(tuple, column + 1, desc, &isnull);

	if (isnull)
		return otherwise;
	return TupleDescAttr(desc, column)->atttypid == INT8OID ?
			   DatumGetInt64(value) :
			   (int64) DatumGetInt32(value);
}

static void
take_headers(HeapTuple tuple, TupleDesc desc, SdRequest *request)
{
	bool   isnull;
	Datum  value = heap_getattr(tuple, Q_HEADERS + 1, desc, &isnull);
	Datum *items;
	bool  *nulls;
	int    count;

	if (isnull)
		return;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT,
					  &items, &nulls, &count);
	request->headers = palloc0(sizeof(char *) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		char *string;

		if (nulls[i])
			continue;
		string = TextDatumGetCString(items[i]);
		request->headers[request->nheaders++] = pg_server_to_any(string, (int) strlen(string), PG_UTF8);
	}
}

void
sd_request_take(HeapTuple tuple, TupleDesc desc, SdRequest *request)
{
	bool        isnull;
	Datum       value;
	const char *answer;

	memset(request, 0, sizeof(*request));
	request->task_id = take_int(tuple, desc, Q_TASK_ID, 0);
	request->attempt = (int) take_int(tuple, desc, Q_ATTEMPT, 0);
	request->target = need_text(tuple, desc, Q_TARGET);
	request->method = need_text(tuple, desc, Q_METHOD);
	request->url = need_text(tuple, desc, Q_URL);
	request->body = take_text(tuple, desc, Q_BODY);
	request->username = take_text(tuple, desc, Q_USERNAME);
	request->password = take_text(tuple, desc, Q_PASSWORD);
	take_headers(tuple, desc, request);
	request->connect_timeout = (int) take_int(tuple, desc, Q_CONNECT_TIMEOUT, 10000);
	request->total_timeout = (int) take_int(tuple, desc, Q_TOTAL_TIMEOUT, 60000);
	request->max_bytes = take_int(tuple, desc, Q_MAX_BYTES, 16777216);
	request->max_connections = (int) take_int(tuple, desc, Q_MAX_CONNECTIONS, 1);
	request->ca_file = take_text(tuple, desc, Q_CA_FILE);
	value = heap_getattr(tuple, Q_ALLOW_HTTP + 1, desc, &isnull);
	request->allow_http = !isnull && DatumGetBool(value);
	/* told by the clock of the rules, which tests may move */
	value = heap_getattr(tuple, Q_LEAVE_BEFORE + 1, desc, &isnull);
	if (!isnull)
		request->leave_before = DatumGetTimestampTz(value) - (sd_clock() - GetCurrentTimestamp());
	answer = take_text(tuple, desc, Q_ANSWER);
	if (answer != NULL && strcmp(answer, "metadata") == 0)
		request->xml = SD_XML_METADATA;
	else if (answer != NULL && strcmp(answer, "yml") == 0)
		request->xml = SD_XML_YML;
}
