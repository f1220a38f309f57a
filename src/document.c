/*-------------------------------------------------------------------------
 *
 * document.c
 *	  Comparison and selection of properties of documents: hot pure functions
 *	  over jsonb documents; no SPI.
 *
 * Role: what planning and settling ask of every order, many times over: which
 * properties BAS did not keep as sent, which it does not hold yet, which have
 * changed, and how they are called in its configuration.  Reads no table, keeps
 * nothing between calls.  Called by SQL only.
 *
 * Equal values of jsonb mostly have equal bytes; that is tried before anything
 * slower.  Values point into the arguments and are copied once, into the result;
 * what is allocated on the way is freed, or small and left to the caller's
 * memory context, which is reset for each row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "compat.h"
#include "functions.h"

PG_FUNCTION_INFO_V1(sd_sql_renamed);
PG_FUNCTION_INFO_V1(sd_sql_named_object);
PG_FUNCTION_INFO_V1(sd_sql_odata_equal);
PG_FUNCTION_INFO_V1(sd_sql_odata_differences);
PG_FUNCTION_INFO_V1(sd_sql_odata_wanted);
PG_FUNCTION_INFO_V1(sd_sql_changed_properties);
PG_FUNCTION_INFO_V1(sd_sql_same_keys);
PG_FUNCTION_INFO_V1(sd_sql_lineage_of);

/* by this property the rows of a section are told apart */
#define ROW_KEY "LineNumber"

/* Whether a value was kept.  As in SQL, null makes it unknown. */
typedef enum Kept
{
	KEPT_NO,
	KEPT_YES,
	KEPT_UNKNOWN
} Kept;

/* One argument: an SQL NULL has neither datum nor value. */
typedef struct Argument
{
	Jsonb     *jsonb;
	JsonbValue value; /* a scalar, or jbvBinary */
} Argument;

/* The text of a value as ->> gives it; bytes are NULL for null. */
typedef struct Text
{
	const char *bytes;
	int         length;
	char       *allocated; /* to be freed, or NULL */
} Text;

/* A walk over the pairs of an object, or the elements of an array. */
typedef struct Walk
{
	JsonbIterator *iterator;
	JsonbValue     key;
	JsonbValue     value;
} Walk;

/* A row of a section by its key. */
typedef struct Row
{
	JsonbContainer *container;
	Text            key;
} Row;

static Kept kept_as_sent(const JsonbValue *sent, const JsonbValue *kept);

/* ---- arguments and results ---- */

void
sd_jsonb_root(Jsonb *jsonb, JsonbValue *value)
{
	if (JsonbExtractScalar(&jsonb->root, value))
		return;
	value->type = jbvBinary;
	value->val.binary.data = &jsonb->root;
	value->val.binary.len = (int) (VARSIZE(jsonb) - VARHDRSZ);
}

static void
get_argument(FunctionCallInfo fcinfo, int n, Argument *argument)
{
	argument->jsonb = NULL;
	if (PG_ARGISNULL(n))
		return;
	argument->jsonb = PG_GETARG_JSONB_P(n);
	sd_jsonb_root(argument->jsonb, &argument->value);
}

static void
free_argument(FunctionCallInfo fcinfo, int n, Argument *argument)
{
	if (argument->jsonb != NULL && (Pointer) argument->jsonb != PG_GETARG_POINTER(n))
		pfree(argument->jsonb);
}

/* The container, when the argument is an object, else NULL. */
static JsonbContainer *
object_of(const Argument *argument)
{
	if (argument->jsonb == NULL || !JB_ROOT_IS_OBJECT(argument->jsonb))
		return NULL;
	return &argument->jsonb->root;
}

/* The same of an argument that must be an object or NULL. */
static JsonbContainer *
required_object(const Argument *argument, const char *name)
{
	JsonbContainer *object = object_of(argument);

	if (argument->jsonb != NULL && object == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot take properties from a non-object"),
				 errdetail("Argument \"%s\" is of type %s.", name, JsonbTypeName((JsonbValue *) &argument->value))));
	return object;
}

/* Add a pair to an object, which is begun by its first pair. */
static void
add_pair(JsonbParseState **state, const JsonbValue *key, const JsonbValue *value)
{
	if (*state == NULL)
		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	pushJsonbValue(state, WJB_KEY, (JsonbValue *) key);
	pushJsonbValue(state, WJB_VALUE, (JsonbValue *) value);
}

static Datum
finish_object(JsonbParseState *state)
{
	if (state == NULL)
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/* ---- walks ---- */

static void
walk_begin(Walk *walk, JsonbContainer *container)
{
	JsonbValue ignored;

	walk->iterator = JsonbIteratorInit(container);
	JsonbIteratorNext(&walk->iterator, &ignored, true);
}

/* The next pair or element; false after the last. */
static bool
walk_next(Walk *walk)
{
	switch (JsonbIteratorNext(&walk->iterator, &walk->key, true))
	{
		case WJB_KEY:
			JsonbIteratorNext(&walk->iterator, &walk->value, true);
			return true;
		case WJB_ELEM:
			walk->value = walk->key;
			return true;
		default:
			return false; /* the iterator has freed itself */
	}
}

/* For walks that stop before the last. */
static void
walk_end(Walk *walk)
{
	pfree(walk->iterator);
}

/* The value of a key; NULL when there is none, or no object. */
static JsonbValue *
value_of(JsonbContainer *object, const JsonbValue *key, JsonbValue *value)
{
	if (object == NULL)
		return NULL;
	return getKeyJsonValueFromContainer(object, key->val.string.val, key->val.string.len, value);
}

/* ---- comparison ---- */

static bool
is_array(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);
}

/* As ->> does; numbers and containers need memory of their own. */
static void
get_text(const JsonbValue *value, Text *text)
{
	text->bytes = NULL;
	text->length = 0;
	text->allocated = NULL;
	switch (value->type)
	{
		case jbvNull:
			return;
		case jbvString:
			text->bytes = value->val.string.val;
			text->length = value->val.string.len;
			return;
		case jbvBool:
			text->bytes = value->val.boolean ? "true" : "false";
			text->length = (int) strlen(text->bytes);
			return;
		case jbvNumeric:
			text->allocated = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
			break;
		default:
			text->allocated = JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);
			break;
	}
	text->bytes = text->allocated;
	text->length = (int) strlen(text->bytes);
}

static void
free_text(Text *text)
{
	if (text->allocated != NULL)
		pfree(text->allocated);
}

/* As rtrim() does: spaces only. */
static void
trim(Text *text)
{
	while (text->length > 0 && text->bytes[text->length - 1] == ' ')
		text->length--;
}

/* Null is equal to nothing. */
static bool
same_text(const Text *a, const Text *b)
{
	return a->bytes != NULL && b->bytes != NULL &&
		   a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

/* Equality of jsonb: 1 is 1.00. */
static bool
same_value(const JsonbValue *a, const JsonbValue *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type)
	{
		case jbvNull:
			return true;
		case jbvBool:
			return a->val.boolean == b->val.boolean;
		case jbvString:
			return a->val.string.len == b->val.string.len &&
				   memcmp(a->val.string.val, b->val.string.val, a->val.string.len) == 0;
		case jbvNumeric:
			if (VARSIZE_ANY(a->val.numeric) == VARSIZE_ANY(b->val.numeric) &&
				memcmp(a->val.numeric, b->val.numeric, VARSIZE_ANY(a->val.numeric)) == 0)
				return true;
			return DatumGetBool(DirectFunctionCall2(numeric_eq,
													NumericGetDatum(a->val.numeric),
													NumericGetDatum(b->val.numeric)));
		default:
			if (a->val.binary.len == b->val.binary.len &&
				memcmp(a->val.binary.data, b->val.binary.data, a->val.binary.len) == 0)
				return true;
			return compareJsonbContainers(a->val.binary.data, b->val.binary.data) == 0;
	}
}

/*
 * Whether two values that are not equal have the same text, padding aside:
 * Int64 comes as text, text of fixed length padded.  Without a text among them
 * they have not, since different values are written differently.
 */
static Kept
kept_as_text(const JsonbValue *sent, const JsonbValue *kept)
{
	Text s;
	Text k;
	bool same;

	if (sent->type == jbvNull || kept->type == jbvNull)
		return KEPT_NO;
	if (sent->type != jbvString && kept->type != jbvString)
		return KEPT_NO;
	get_text(sent, &s);
	get_text(kept, &k);
	trim(&s);
	trim(&k);
	same = same_text(&s, &k);
	free_text(&s);
	free_text(&k);
	return same ? KEPT_YES : KEPT_NO;
}

/* Whether an object has a property that is known not to be kept. */
static bool
any_difference(JsonbContainer *sent, JsonbContainer *kept)
{
	Walk       walk;
	JsonbValue value;

	for (walk_begin(&walk, sent); walk_next(&walk);)
	{
		if (kept_as_sent(&walk.value, value_of(kept, &walk.key, &value)) == KEPT_NO)
		{
			walk_end(&walk);
			return true;
		}
	}
	return false;
}

/* The rows of a section by their key; what has none, or is no object, stays without. */
static Row *
get_rows(JsonbContainer *section)
{
	Row       *rows = palloc(Max(JsonContainerSize(section), 1) * sizeof(Row));
	Row       *row = rows;
	Walk       walk;
	JsonbValue key;

	for (walk_begin(&walk, section); walk_next(&walk); row++)
	{
		row->key.bytes = NULL;
		row->key.allocated = NULL;
		if (walk.value.type != jbvBinary || !JsonContainerIsObject(walk.value.val.binary.data))
			continue;
		row->container = walk.value.val.binary.data;
		if (getKeyJsonValueFromContainer(row->container, ROW_KEY, strlen(ROW_KEY), &key) != NULL)
			get_text(&key, &row->key);
	}
	return rows;
}

static void
free_rows(Row *rows, uint32 n)
{
	for (uint32 i = 0; i < n; i++)
		free_text(&rows[i].key);
	pfree(rows);
}

/* Rows without a key come last. */
static int
compare_rows(const void *a, const void *b)
{
	const Text *x = &((const Row *) a)->key;
	const Text *y = &((const Row *) b)->key;

	if (x->bytes == NULL || y->bytes == NULL)
		return (x->bytes == NULL) - (y->bytes == NULL);
	if (x->length != y->length)
		return x->length < y->length ? -1 : 1;
	return memcmp(x->bytes, y->bytes, x->length);
}

/* Whether there is a row of that key, and none of that key differs from what was sent; kept is sorted. */
static bool
row_kept(const Row *sent, const Row *kept, uint32 n)
{
	uint32 low = 0;
	uint32 high = n;
	uint32 i;

	if (sent->key.bytes == NULL)
		return false;
	while (low < high)
	{
		uint32 middle = low + (high - low) / 2;

		if (compare_rows(&kept[middle], sent) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (i = low; i < n && compare_rows(&kept[i], sent) == 0; i++)
	{
		if (any_difference(sent->container, kept[i].container))
			return false;
	}
	return i > low;
}

/* Rows of a section, by LineNumber; only what was sent is compared. */
static bool
section_kept(JsonbContainer *sent, JsonbContainer *kept)
{
	uint32 n = JsonContainerSize(sent);
	uint32 i;
	Row   *sent_rows;
	Row   *kept_rows;

	if (JsonContainerSize(kept) != n)
		return false;
	sent_rows = get_rows(sent);
	kept_rows = get_rows(kept);
	qsort(kept_rows, n, sizeof(Row), compare_rows);
	for (i = 0; i < n && row_kept(&sent_rows[i], kept_rows, n); i++)
		CHECK_FOR_INTERRUPTS();
	free_rows(sent_rows, n);
	free_rows(kept_rows, n);
	return i == n;
}

/* Whether BAS kept a value; kept is NULL when it has no such property. */
static Kept
kept_as_sent(const JsonbValue *sent, const JsonbValue *kept)
{
	if (kept == NULL)
		return KEPT_NO;
	if (same_value(sent, kept))
		return KEPT_YES;
	if (!is_array(sent))
		return kept_as_text(sent, kept);
	check_stack_depth();
	return is_array(kept) && section_kept(sent->val.binary.data, kept->val.binary.data) ? KEPT_YES : KEPT_NO;
}

/* ---- functions of SQL ---- */

Datum
sd_sql_odata_equal(PG_FUNCTION_ARGS)
{
	Argument sent;
	Argument kept;
	Kept     result;

	get_argument(fcinfo, 0, &sent);
	get_argument(fcinfo, 1, &kept);
	if (kept.jsonb == NULL)
		result = KEPT_NO;
	else if (sent.jsonb == NULL)
		result = KEPT_UNKNOWN;
	else
		result = kept_as_sent(&sent.value, &kept.value);
	free_argument(fcinfo, 0, &sent);
	free_argument(fcinfo, 1, &kept);
	if (result == KEPT_UNKNOWN)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(result == KEPT_YES);
}

/* Makes {"sent": value, "kept": value}; what is not there counts as null. */
static void
add_difference(JsonbParseState **state, const JsonbValue *key, const JsonbValue *sent, const JsonbValue *kept)
{
	static const JsonbValue null_value = {.type = jbvNull};
	static const JsonbValue sent_key = {.type = jbvString, .val.string = {.len = 4, .val = (char *) "sent"}};
	static const JsonbValue kept_key = {.type = jbvString, .val.string = {.len = 4, .val = (char *) "kept"}};

	if (*state == NULL)
		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	pushJsonbValue(state, WJB_KEY, (JsonbValue *) key);
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	add_pair(state, &sent_key, sent);
	add_pair(state, &kept_key, kept != NULL ? kept : &null_value);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

Datum
sd_sql_odata_differences(PG_FUNCTION_ARGS)
{
	Argument         sent;
	Argument         kept;
	JsonbContainer  *object;
	JsonbParseState *state = NULL;
	Datum            result = (Datum) 0;
	Walk             walk;
	JsonbValue       value;

	get_argument(fcinfo, 0, &sent);
	get_argument(fcinfo, 1, &kept);
	object = required_object(&sent, "sent");
	if (object != NULL)
	{
		for (walk_begin(&walk, object); walk_next(&walk);)
		{
			JsonbValue *found = value_of(object_of(&kept), &walk.key, &value);

			if (kept_as_sent(&walk.value, found) == KEPT_NO)
				add_difference(&state, &walk.key, &walk.value, found);
		}
	}
	if (state != NULL)
		result = finish_object(state);
	free_argument(fcinfo, 0, &sent);
	free_argument(fcinfo, 1, &kept);
	if (result == (Datum) 0)
		PG_RETURN_NULL();
	return result;
}

/* The properties of one object that another lacks, by a rule; NULL when there are none. */
static Datum
lacking(FunctionCallInfo fcinfo, bool (*lacks)(const JsonbValue *wanted, const JsonbValue *there))
{
	Argument         wanted;
	Argument         there;
	JsonbContainer  *object;
	JsonbParseState *state = NULL;
	Datum            result = (Datum) 0;
	Walk             walk;
	JsonbValue       value;

	get_argument(fcinfo, 0, &wanted);
	get_argument(fcinfo, 1, &there);
	object = required_object(&wanted, "wanted");
	if (object != NULL)
	{
		for (walk_begin(&walk, object); walk_next(&walk);)
		{
			if (lacks(&walk.value, value_of(object_of(&there), &walk.key, &value)))
				add_pair(&state, &walk.key, &walk.value);
		}
	}
	if (state != NULL)
		result = finish_object(state);
	free_argument(fcinfo, 0, &wanted);
	free_argument(fcinfo, 1, &there);
	if (result == (Datum) 0)
		PG_RETURN_NULL();
	return result;
}

static bool
not_held(const JsonbValue *wanted, const JsonbValue *held)
{
	return kept_as_sent(wanted, held) == KEPT_NO;
}

static bool
not_accepted(const JsonbValue *wanted, const JsonbValue *accepted)
{
	return accepted == NULL || !same_value(wanted, accepted);
}

Datum
sd_sql_odata_wanted(PG_FUNCTION_ARGS)
{
	return lacking(fcinfo, not_held);
}

Datum
sd_sql_changed_properties(PG_FUNCTION_ARGS)
{
	return lacking(fcinfo, not_accepted);
}

/* Those properties of a body that an object has; what the body lacks becomes null. */
Datum
sd_sql_same_keys(PG_FUNCTION_ARGS)
{
	static const JsonbValue null_value = {.type = jbvNull};
	Argument                body;
	Argument                pattern;
	JsonbContainer         *object;
	JsonbParseState        *state = NULL;
	Datum                   result;
	Walk                    walk;
	JsonbValue              value;

	get_argument(fcinfo, 0, &body);
	get_argument(fcinfo, 1, &pattern);
	object = required_object(&pattern, "object");
	if (object != NULL)
	{
		for (walk_begin(&walk, object); walk_next(&walk);)
		{
			JsonbValue *found = value_of(object_of(&body), &walk.key, &value);

			add_pair(&state, &walk.key, found != NULL ? found : &null_value);
		}
	}
	result = finish_object(state);
	free_argument(fcinfo, 0, &body);
	free_argument(fcinfo, 1, &pattern);
	return result;
}

/* {property: {"version": version, "rule": rule}} for each property of a body; {} when there is none. */
Datum
sd_sql_lineage_of(PG_FUNCTION_ARGS)
{
	static const JsonbValue null_value = {.type = jbvNull};
	static const JsonbValue version_key = {.type = jbvString, .val.string = {.len = 7, .val = (char *) "version"}};
	static const JsonbValue rule_key = {.type = jbvString, .val.string = {.len = 4, .val = (char *) "rule"}};
	Argument                written;
	Argument                rules;
	JsonbContainer         *object;
	JsonbParseState        *state = NULL;
	JsonbValue              version = null_value;
	Datum                   result;
	Walk                    walk;
	JsonbValue              value;

	get_argument(fcinfo, 0, &written);
	get_argument(fcinfo, 2, &rules);
	if (!PG_ARGISNULL(1))
	{
		version.type = jbvNumeric;
		version.val.numeric = int64_to_numeric(PG_GETARG_INT64(1));
	}
	object = required_object(&written, "written");
	if (object != NULL)
	{
		for (walk_begin(&walk, object); walk_next(&walk);)
		{
			JsonbValue *rule = value_of(object_of(&rules), &walk.key, &value);

			if (state == NULL)
				pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
			pushJsonbValue(&state, WJB_KEY, &walk.key);
			pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
			add_pair(&state, &version_key, &version);
			add_pair(&state, &rule_key, rule != NULL ? rule : &null_value);
			pushJsonbValue(&state, WJB_END_OBJECT, NULL);
		}
	}
	result = finish_object(state);
	free_argument(fcinfo, 0, &written);
	free_argument(fcinfo, 2, &rules);
	return result;
}

/*
 * The name of a concept, as a key of the result; false when there is none.  As
 * with the operator ?, an element of an array is there too, but has no name.
 */
static bool
get_name(const Argument *names, const JsonbValue *concept, JsonbValue *name)
{
	JsonbValue *found;
	Text        text;

	if (names->jsonb == NULL)
		return false;
	found = findJsonbValueFromContainer(&names->jsonb->root, JB_FOBJECT | JB_FARRAY, (JsonbValue *) concept);
	if (found == NULL)
		return false;
	if (!JB_ROOT_IS_OBJECT(names->jsonb) || found->type == jbvNull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field name must not be null"),
				 errdetail("Concept \"%.*s\" is among the names, but has none.",
						   concept->val.string.len, concept->val.string.val)));
	get_text(found, &text); /* goes into the result: freed with it */
	pfree(found);
	name->type = jbvString;
	name->val.string.val = (char *) text.bytes;
	name->val.string.len = text.length;
	return true;
}

/* An object with concepts replaced by names; of two with one name the latter stays. */
Datum
sd_sql_renamed(PG_FUNCTION_ARGS)
{
	Argument         concepts;
	Argument         names;
	JsonbContainer  *object;
	JsonbParseState *state = NULL;
	Datum            result;
	Walk             walk;
	JsonbValue       name;

	get_argument(fcinfo, 0, &concepts);
	get_argument(fcinfo, 1, &names);
	object = required_object(&concepts, "object");
	if (object != NULL)
	{
		for (walk_begin(&walk, object); walk_next(&walk);)
		{
			if (walk.value.type != jbvNull && get_name(&names, &walk.key, &name))
				add_pair(&state, &name, &walk.value);
		}
	}
	result = finish_object(state);
	free_argument(fcinfo, 0, &concepts);
	free_argument(fcinfo, 1, &names);
	return result;
}

static void
add_pairs(JsonbParseState **state, JsonbContainer *object)
{
	Walk walk;

	if (object == NULL)
		return;
	for (walk_begin(&walk, object); walk_next(&walk);)
		add_pair(state, &walk.key, &walk.value);
}

static void
get_array(ArrayType *array, JsonbValue *value)
{
	Datum      *elements;
	bool       *nulls;
	int         n;
	JsonbValue *element;

	deconstruct_array(array, JSONBOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	value->type = jbvArray;
	value->val.array.rawScalar = false;
	value->val.array.nElems = n;
	value->val.array.elems = element = palloc(Max(n, 1) * sizeof(JsonbValue));
	for (int i = 0; i < n; i++, element++)
	{
		if (nulls[i])
			element->type = jbvNull;
		else
			sd_jsonb_root(DatumGetJsonbP(elements[i]), element);
	}
}

/* A datum as jsonb_build_object() takes it, of the types that properties have. */
static void
get_value(FunctionCallInfo fcinfo, int n, JsonbValue *value)
{
	Oid      type = get_fn_expr_argtype(fcinfo->flinfo, n);
	Argument argument;
	text    *string;

	switch (type)
	{
		case TEXTOID:
			string = PG_GETARG_TEXT_PP(n);
			value->type = jbvString;
			value->val.string.val = VARDATA_ANY(string);
			value->val.string.len = (int) VARSIZE_ANY_EXHDR(string);
			return;
		case UNKNOWNOID: /* a literal */
		case UUIDOID:
			value->type = jbvString;
			value->val.string.val = type == UNKNOWNOID ? PG_GETARG_CSTRING(n) : DatumGetCString(DirectFunctionCall1(uuid_out, PG_GETARG_DATUM(n)));
			value->val.string.len = (int) strlen(value->val.string.val);
			return;
		case BOOLOID:
			value->type = jbvBool;
			value->val.boolean = PG_GETARG_BOOL(n);
			return;
		case INT8OID:
			value->type = jbvNumeric;
			value->val.numeric = int64_to_numeric(PG_GETARG_INT64(n));
			return;
		case NUMERICOID:
			value->type = jbvNumeric;
			value->val.numeric = PG_GETARG_NUMERIC(n);
			if (numeric_is_nan(value->val.numeric) || numeric_is_inf(value->val.numeric))
				break;
			return;
		case JSONBOID:
			get_argument(fcinfo, n, &argument);
			*value = argument.value;
			return;
		case JSONBARRAYOID:
			get_array(PG_GETARG_ARRAYTYPE_P(n), value);
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("no property takes the value of argument %d", n + 1),
			 errdetail("It is of type %s.", format_type_be(type)),
			 errhint("Give text, uuid, boolean, bigint, numeric (a finite number), jsonb or an array of jsonb.")));
}

/*
 * An object of three layers, of which a later one wins: the properties of one,
 * pairs of concepts and values by their names, and the properties of another.
 */
Datum
sd_sql_named_object(PG_FUNCTION_ARGS)
{
	Argument         under;
	Argument         names;
	Argument         over;
	JsonbParseState *state = NULL;

	if (PG_NARGS() % 2 == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a concept has no value"),
				 errhint("Pairs of concepts and values follow the third argument.")));
	get_argument(fcinfo, 0, &under);
	get_argument(fcinfo, 1, &names);
	get_argument(fcinfo, 2, &over);
	add_pairs(&state, required_object(&under, "under"));
	for (int n = 3; n + 1 < PG_NARGS(); n += 2)
	{
		JsonbValue concept;
		JsonbValue name;
		JsonbValue value;

		if (PG_ARGISNULL(n) || PG_ARGISNULL(n + 1))
			continue;
		get_value(fcinfo, n, &concept);
		if (concept.type != jbvString)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument %d is no concept", n + 1),
					 errhint("A concept is text; its value follows it.")));
		if (!get_name(&names, &concept, &name))
			continue;
		get_value(fcinfo, n + 1, &value);
		add_pair(&state, &name, &value);
	}
	add_pairs(&state, required_object(&over, "over"));
	return finish_object(state);
}
