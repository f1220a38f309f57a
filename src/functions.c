/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  Functions of SQL written in C that need no worker: wrappers of the pure
 *	  files, the clock, the secrets, the identity of the database.
 *
 * Role: converts between Datums and plain C.  Decides nothing about business.
 * Reads no table and starts no transaction; called by SQL, and through
 * functions.h by the workers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "common/cryptohash.h"
#include "common/sha1.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "functions.h"
#include "phone.h"
#include "salesdrive.h"
#include "uuid5.h"
#include "wire.h"

#define SECRET_MAX (64 * 1024)

PG_FUNCTION_INFO_V1(sd_sql_few);
PG_FUNCTION_INFO_V1(sd_sql_uuid_v5);
PG_FUNCTION_INFO_V1(sd_sql_phone_e164);
PG_FUNCTION_INFO_V1(sd_sql_url_encode);
PG_FUNCTION_INFO_V1(sd_sql_json_problem);
PG_FUNCTION_INFO_V1(sd_sql_body_json);
PG_FUNCTION_INFO_V1(sd_sql_secret_value);
PG_FUNCTION_INFO_V1(sd_sql_system_identity);
PG_FUNCTION_INFO_V1(sd_sql_clock);

/* ---- pure functions ---- */

/* The bytes of a text in UTF-8, whatever the encoding of the database. */
static const char *
text_as_utf8(const text *value, size_t *len)
{
	const char *bytes = VARDATA_ANY(value);
	int         n = (int) VARSIZE_ANY_EXHDR(value);
	char       *converted = pg_server_to_any(bytes, n, PG_UTF8);

	*len = converted == bytes ? (size_t) n : strlen(converted);
	return converted;
}

/* As a function of language internal it would be searched for among all of the server's by name, whenever a plan that uses it starts. */
Datum
sd_sql_few(PG_FUNCTION_ARGS)
{
	return array_unnest(fcinfo);
}

Datum
sd_sql_uuid_v5(PG_FUNCTION_ARGS)
{
	pg_uuid_t         *space = PG_GETARG_UUID_P(0);
	size_t             len;
	const char        *name = text_as_utf8(PG_GETARG_TEXT_PP(1), &len);
	unsigned char      sha1[SHA1_DIGEST_LENGTH];
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA1);
	pg_uuid_t         *uuid = palloc(sizeof(pg_uuid_t));

	if (hash == NULL ||
		pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, space->data, UUID_LEN) < 0 ||
		pg_cryptohash_update(hash, (const uint8 *) name, len) < 0 ||
		pg_cryptohash_final(hash, sha1, sizeof(sha1)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute SHA-1: %s",
						hash == NULL ? "out of memory" : pg_cryptohash_error(hash)),
				 errhint("SHA-1 must be allowed in the configuration of the server's OpenSSL.")));
	pg_cryptohash_free(hash);
	sd_uuid5_from_sha1(sha1, uuid->data);
	PG_RETURN_UUID_P(uuid);
}

Datum
sd_sql_phone_e164(PG_FUNCTION_ARGS)
{
	size_t      len;
	const char *phone = text_as_utf8(PG_GETARG_TEXT_PP(0), &len);
	char        digits[SD_PHONE_MAX + 1];
	int         n = sd_phone_e164(phone, len, digits);

	if (n == 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(digits, n));
}

Datum
sd_sql_url_encode(PG_FUNCTION_ARGS)
{
	size_t      len;
	const char *value = text_as_utf8(PG_GETARG_TEXT_PP(0), &len);
	text       *encoded = palloc(VARHDRSZ + 3 * len);

	SET_VARSIZE(encoded, VARHDRSZ + sd_url_encode(value, len, VARDATA(encoded)));
	PG_RETURN_TEXT_P(encoded);
}

Datum
sd_sql_json_problem(PG_FUNCTION_ARGS)
{
	bytea      *body = PG_GETARG_BYTEA_PP(0);
	SdJsonError error;
	char        sentence[160];

	if (sd_json_check(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body), SD_JSON_MAX_DEPTH, &error))
		PG_RETURN_NULL();
	sd_json_error_text(&error, sentence, sizeof(sentence));
	PG_RETURN_TEXT_P(cstring_to_text(sentence));
}

/* JSON as peers send it, into JSON as jsonb takes it. */
Datum
sd_sql_body_json(PG_FUNCTION_ARGS)
{
	bytea *body = PG_GETARG_BYTEA_PP(0);
	size_t mark = sd_byte_order_mark(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body));
	size_t len = VARSIZE_ANY_EXHDR(body) - mark;
	char  *json = pnstrdup(VARDATA_ANY(body) + mark, len);

	(void) sd_json_mend(json, len);
	json = pg_any_to_server(json, (int) len, PG_UTF8);
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
}

/* ---- secrets ---- */

/* Letters, digits, '_', '-' and '.', not beginning with '.': no way out. */
static bool
is_plain_name(const char *name)
{
	const char *p;

	if (name[0] == '\0' || name[0] == '.' || strlen(name) > 255)
		return false;
	for (p = name; *p != '\0'; p++)
	{
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			  *p == '_' || *p == '-' || *p == '.'))
			return false;
	}
	return true;
}

/* The text of one secret without its last line end, checked. */
static char *
finish_secret(const char *reference, char *value, size_t len)
{
	if (len > 0 && value[len - 1] == '\n')
		len--;
	if (len > 0 && value[len - 1] == '\r')
		len--;
	value[len] = '\0';

	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("secret \"%s\" is empty", reference)));
	if (strlen(value) != len || !pg_verify_mbstr(GetDatabaseEncoding(), value, (int) len, true))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("secret \"%s\" is not text in the encoding of the database", reference),
				 errhint("Secrets are text; save the file in %s.", GetDatabaseEncodingName())));
	return value;
}

static char *
secret_from_file(const char *reference, const char *name)
{
	char       *path;
	char       *value;
	FILE       *file;
	struct stat st;
	size_t      len;

	if (!is_plain_name(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is no valid name of a secret file", reference),
				 errhint("A name has letters, digits, '_', '-' and '.', does not begin with '.', and is looked up in salesdrive.secrets_directory.")));
	if (sd_guc_secrets_directory == NULL || !is_absolute_path(sd_guc_secrets_directory))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("secret \"%s\" cannot be read: salesdrive.secrets_directory is not set to an absolute path", reference),
				 errhint("Set it as superuser: ALTER DATABASE ... SET salesdrive.secrets_directory = '/path', and reconnect.")));

	path = psprintf("%s/%s", sd_guc_secrets_directory, name);
	file = AllocateFile(path, PG_BINARY_R);
	if (file == NULL || fstat(fileno(file), &st) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("secret \"%s\" cannot be read: %m", reference),
				 errhint("The file must be in salesdrive.secrets_directory and readable by the server's operating system user.")));
	if (!S_ISREG(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("secret \"%s\" is not a regular file", reference)));

	value = palloc(SECRET_MAX + 2);
	len = fread(value, 1, SECRET_MAX + 1, file);
	if (ferror(file))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("secret \"%s\" cannot be read: %m", reference)));
	FreeFile(file);
	if (len > SECRET_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("secret \"%s\" is larger than 64 kB", reference)));
	return finish_secret(reference, value, len);
}

static char *
secret_from_environment(const char *reference, const char *name)
{
	const char *value = is_plain_name(name) ? getenv(name) : NULL;

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("secret \"%s\" is not set in the environment of the server", reference),
				 errhint("Set the variable where the server is started, and restart it.")));
	return finish_secret(reference, pstrdup(value), strlen(value));
}

char *
sd_secret_value(const char *reference)
{
	if (strncmp(reference, "file:", 5) == 0)
		return secret_from_file(reference, reference + 5);
	if (strncmp(reference, "env:", 4) == 0)
		return secret_from_environment(reference, reference + 4);
	return pstrdup(reference);
}

Datum
sd_sql_secret_value(PG_FUNCTION_ARGS)
{
	char *reference = text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_TEXT_P(cstring_to_text(sd_secret_value(reference)));
}

/* ---- identity and time ---- */

Datum
sd_sql_system_identity(PG_FUNCTION_ARGS)
{
	TupleDesc desc;
	Datum     values[3];
	bool      nulls[3] = {false, false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("return type must be a row type")));
	values[0] = CStringGetTextDatum(psprintf(UINT64_FORMAT, GetSystemIdentifier()));
	values[1] = ObjectIdGetDatum(MyDatabaseId);
	values[2] = CStringGetTextDatum(get_database_name(MyDatabaseId));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

TimestampTz
sd_clock(void)
{
	static char    *known_text; /* the setting that 'offset' was read from */
	static Interval offset;
	TimestampTz     now = GetCurrentTimestamp();
	const char     *text = sd_guc_clock_offset;

	if (text == NULL || text[0] == '\0')
		return now;
	if (known_text == NULL || strcmp(text, known_text) != 0)
	{
		Interval *read = DatumGetIntervalP(DirectFunctionCall3(interval_in,
															   CStringGetDatum(text),
															   ObjectIdGetDatum(InvalidOid),
															   Int32GetDatum(-1)));
		char     *copy = MemoryContextStrdup(TopMemoryContext, text);

		if (known_text != NULL)
			pfree(known_text);
		known_text = copy;
		offset = *read;
	}
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(now),
												   IntervalPGetDatum(&offset)));
}

Datum
sd_sql_clock(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(sd_clock());
}
