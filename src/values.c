/*-------------------------------------------------------------------------
 *
 * values.c
 *	  Single values of JSON as SalesDrive writes them: hot pure functions; no
 *	  SPI.
 *
 * Role: SalesDrive mixes numbers and texts of numbers, "" and null; here each
 * becomes a text, a number, a flag or a time, or NULL where it is none.  Never
 * raises an error about a value.  Reads no table, keeps nothing between calls.
 * Called by SQL only, some fifty times for an order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "functions.h"

PG_FUNCTION_INFO_V1(sd_sql_json_text);
PG_FUNCTION_INFO_V1(sd_sql_json_numeric);
PG_FUNCTION_INFO_V1(sd_sql_json_bigint);
PG_FUNCTION_INFO_V1(sd_sql_json_flag);
PG_FUNCTION_INFO_V1(sd_sql_json_time);
PG_FUNCTION_INFO_V1(sd_sql_text_time);
PG_FUNCTION_INFO_V1(sd_sql_order_number);

/* digits of a number in a text, before the point and after it */
#define NUMBER_DIGITS 30

/* characters of a number of JSON: of longer ones no sum can be made */
#define NUMBER_LENGTH (2 * NUMBER_DIGITS + 2)

/* digits of the number of an order */
#define ORDER_DIGITS 11

/* bytes that are no string of C; NULL for no value */
typedef struct Span
{
	const char *bytes;
	int         length;
} Span;

/* ---- what a value is ---- */

static Span
span_of(const char *string)
{
	Span span = {string, string ? (int) strlen(string) : 0};

	return span;
}

/* A value as #>> gives it. */
static Span
value_text(JsonbValue *value)
{
	Span span = {NULL, 0};

	switch (value->type)
	{
		case jbvNull:
			return span;
		case jbvString:
			span.bytes = value->val.string.val;
			span.length = value->val.string.len;
			return span;
		case jbvBool:
			return span_of(value->val.boolean ? "true" : "false");
		case jbvNumeric:
			return span_of(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric))));
		default:
			return span_of(JsonbToCString(NULL, value->val.binary.data, value->val.binary.len));
	}
}

/* Of an array its first element. */
static Span
first_text(Jsonb *jsonb)
{
	Span        none = {NULL, 0};
	JsonbValue  value;
	JsonbValue *first;

	sd_jsonb_root(jsonb, &value);
	if (value.type != jbvBinary || !JsonContainerIsArray(value.val.binary.data))
		return value_text(&value);
	first = getIthJsonbValueFromContainer(value.val.binary.data, 0);
	return first ? value_text(first) : none;
}

/* ---- numbers ---- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Copies up to NUMBER_DIGITS digits; how many, 0 when there are none or more. */
static int
copy_digits(const char **in, const char *end, char *out)
{
	int n = 0;

	while (*in < end && is_digit(**in))
	{
		if (n == NUMBER_DIGITS)
			return 0;
		out[n++] = *(*in)++;
	}
	return n;
}

/* Digits, a sign before them, a point or a comma within; NULL: anything else. */
static Numeric
text_number(Span text)
{
	char        plain[2 * NUMBER_DIGITS + 3];
	char       *out = plain;
	const char *in = text.bytes;
	const char *end = text.bytes + text.length;
	int         n;

	while (in < end && is_space(*in))
		in++;
	if (in < end && (*in == '-' || *in == '+'))
		*out++ = *in++;
	if ((n = copy_digits(&in, end, out)) == 0)
		return NULL;
	out += n;
	if (in < end && (*in == '.' || *in == ','))
	{
		*out++ = '.';
		in++;
		if ((n = copy_digits(&in, end, out)) == 0)
			return NULL;
		out += n;
	}
	while (in < end && is_space(*in))
		in++;
	if (in < end)
		return NULL;
	*out = '\0';
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(plain), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static Numeric
value_number(JsonbValue *value)
{
	if (value->type == jbvNumeric)
		return value_text(value).length <= NUMBER_LENGTH ? value->val.numeric : NULL;
	if (value->type == jbvString)
		return text_number(value_text(value));
	return NULL;
}

static int
compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

static bool
is_bigint(Numeric number)
{
	Datum whole = DirectFunctionCall2(numeric_trunc, NumericGetDatum(number), Int32GetDatum(0));

	return compare(number, int64_to_numeric(0)) >= 0 && compare(number, int64_to_numeric(PG_INT64_MAX)) <= 0 &&
		   compare(number, DatumGetNumeric(whole)) == 0;
}

/* ---- times ---- */

/* Two digits within limits; -1 for anything else. */
static int
two_digits(const char *s, int least, int most)
{
	int n;

	if (!is_digit(s[0]) || !is_digit(s[1]))
		return -1;
	n = (s[0] - '0') * 10 + s[1] - '0';
	return n >= least && n <= most ? n : -1;
}

/* YYYY-MM-DD, a day that there is, of the years 1000 to 9999. */
static bool
read_date(const char *s, Timestamp *time)
{
	int century = two_digits(s, 10, 99);
	int year = two_digits(s + 2, 0, 99);
	int month = two_digits(s + 5, 1, 12);
	int day = two_digits(s + 8, 1, 31);

	if (century < 0 || year < 0 || month < 0 || day < 0 || s[4] != '-' || s[7] != '-')
		return false;
	year += century * 100;
	if (day > day_tab[isleap(year)][month - 1])
		return false;
	*time = (Timestamp) (date2j(year, month, day) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	return true;
}

/* A date, and HH:MM or HH:MM:SS after a space or a T. */
static bool
read_time(Span text, Timestamp *time)
{
	const char *s = text.bytes;
	int         hours;
	int         minutes;
	int         seconds = 0;

	if (s == NULL || (text.length != 10 && text.length != 16 && text.length != 19) || !read_date(s, time))
		return false;
	if (text.length == 10)
		return true;
	hours = two_digits(s + 11, 0, 23);
	minutes = two_digits(s + 14, 0, 59);
	if (text.length == 19)
		seconds = s[16] == ':' ? two_digits(s + 17, 0, 59) : -1;
	if ((s[10] != ' ' && s[10] != 'T') || s[13] != ':' || hours < 0 || minutes < 0 || seconds < 0)
		return false;
	*time += hours * USECS_PER_HOUR + minutes * USECS_PER_MINUTE + seconds * USECS_PER_SEC;
	return true;
}

/* ---- for SQL ---- */

Datum
sd_sql_json_text(PG_FUNCTION_ARGS)
{
	Span text = first_text(PG_GETARG_JSONB_P(0));

	while (text.length > 0 && text.bytes[0] == ' ')
	{
		text.bytes++;
		text.length--;
	}
	while (text.length > 0 && text.bytes[text.length - 1] == ' ')
		text.length--;
	if (text.length == 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.bytes, text.length));
}

Datum
sd_sql_json_numeric(PG_FUNCTION_ARGS)
{
	JsonbValue value;
	Numeric    number;

	sd_jsonb_root(PG_GETARG_JSONB_P(0), &value);
	number = value_number(&value);
	if (number == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(datumCopy(NumericGetDatum(number), false, -1));
}

Datum
sd_sql_json_bigint(PG_FUNCTION_ARGS)
{
	JsonbValue value;
	Numeric    number;

	sd_jsonb_root(PG_GETARG_JSONB_P(0), &value);
	number = value_number(&value);
	if (number == NULL || !is_bigint(number))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(DirectFunctionCall1(numeric_int8, NumericGetDatum(number)));
}

Datum
sd_sql_json_flag(PG_FUNCTION_ARGS)
{
	JsonbValue value;
	Span       text;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	sd_jsonb_root(PG_GETARG_JSONB_P(0), &value);
	if (value.type == jbvBinary)
		PG_RETURN_BOOL(false);
	text = value_text(&value);
	PG_RETURN_BOOL((text.length == 1 && (text.bytes[0] == '1' || text.bytes[0] == 't')) ||
				   (text.length == 4 && memcmp(text.bytes, "true", 4) == 0));
}

Datum
sd_sql_json_time(PG_FUNCTION_ARGS)
{
	JsonbValue value;
	Timestamp  time;

	sd_jsonb_root(PG_GETARG_JSONB_P(0), &value);
	if (value.type != jbvString || !read_time(value_text(&value), &time))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMP(time);
}

Datum
sd_sql_text_time(PG_FUNCTION_ARGS)
{
	text     *value = PG_GETARG_TEXT_PP(0);
	Span      span = {VARDATA_ANY(value), (int) VARSIZE_ANY_EXHDR(value)};
	Timestamp time;

	if (!read_time(span, &time))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMP(time);
}

Datum
sd_sql_order_number(PG_FUNCTION_ARGS)
{
	JsonbValue value;
	Span       text;
	int64      number = 0;

	sd_jsonb_root(PG_GETARG_JSONB_P(0), &value);
	if (value.type != jbvString && value.type != jbvNumeric)
		PG_RETURN_NULL();
	text = value_text(&value);
	if (text.length < 1 || text.length > ORDER_DIGITS || text.bytes[0] == '0')
		PG_RETURN_NULL();
	for (int i = 0; i < text.length; i++)
	{
		if (!is_digit(text.bytes[i]))
			PG_RETURN_NULL();
		number = number * 10 + (text.bytes[i] - '0');
	}
	PG_RETURN_INT64(number);
}
