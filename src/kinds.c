/*-------------------------------------------------------------------------
 *
 * kinds.c
 *	  Calls of the functions of task kinds, whose names are data.
 *
 * Role: EXECUTE would parse and plan such a call each time, three times an
 * order; here the plan is kept.  Called by SQL of the engine only.
 *
 * Invariants:
 *
 * - A name is used as it stands: only an admin may write task_kind.
 * - Plans are kept for the life of the session, one for each text of a call; the
 *	 server makes them anew when what they stand on changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(sd_sql_kind_steps);
PG_FUNCTION_INFO_V1(sd_sql_kind_note);

/* of a statement with its name */
#define CALL_LENGTH 256

typedef struct Call
{
	char       text[CALL_LENGTH]; /* key: statement and type of its argument */
	SPIPlanPtr plan;
} Call;

static HTAB *calls;

static Call *
find_call(const char *key)
{
	bool  found;
	Call *call;

	if (calls == NULL)
	{
		HASHCTL control = {0};

		control.keysize = CALL_LENGTH;
		control.entrysize = sizeof(Call);
		control.hcxt = TopMemoryContext;
		calls = hash_create("salesdrive calls of kinds", 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	call = hash_search(calls, key, HASH_ENTER, &found);
	if (!found)
		call->plan = NULL;
	return call;
}

/* head, name and tail are the statement; between SPI_connect and SPI_finish */
static void
execute_call(const char *head, const char *name, const char *tail, Oid type, Datum argument)
{
	char  text[CALL_LENGTH];
	char  key[CALL_LENGTH];
	Call *call;

	if (snprintf(text, sizeof(text), "%s%s%s", head, name, tail) >= (int) sizeof(text) ||
		snprintf(key, sizeof(key), "%u %s", type, text) >= (int) sizeof(key))
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("the name of a function in salesdrive.task_kind is too long: \"%s\"", name),
				 errhint("Give the function a shorter name, and write that into the row of the kind.")));
	call = find_call(key);
	if (call->plan == NULL)
	{
		SPIPlanPtr fresh = SPI_prepare_cursor(text, 1, &type, CURSOR_OPT_GENERIC_PLAN);

		if (fresh == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", text, SPI_result_code_string(SPI_result));
		SPI_keepplan(fresh);
		call->plan = fresh;
	}
	if (SPI_execute_plan(call->plan, &argument, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\"", text);
}

/* as an assignment does, with the same errors: what a user's function returns is not known before */
static Datum
converted(Datum value, Oid from, Oid to)
{
	Oid   output;
	Oid   input;
	Oid   element;
	bool  varlena;
	char *text;

	if (from == to)
		return value;
	getTypeOutputInfo(from, &output, &varlena);
	getTypeInputInfo(to, &input, &element);
	text = OidOutputFunctionCall(output, value);
	return OidInputFunctionCall(input, text, element, -1);
}

/* kind_steps(function, argument): all rows of the function as an array, NULL when there are none */
Datum
sd_sql_kind_steps(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Datum steps;
	bool  isnull;

	SPI_connect();
	execute_call("SELECT array_agg(s) FROM ", name, "($1) s", get_fn_expr_argtype(fcinfo->flinfo, 1),
				 PG_GETARG_DATUM(1));
	if (SPI_processed != 1)
		elog(ERROR, "unexpected number of rows of an aggregate");
	steps = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		steps = SPI_datumTransfer(converted(steps, SPI_gettypeid(SPI_tuptable->tupdesc, 1), get_fn_expr_rettype(fcinfo->flinfo)), false, -1);
	SPI_finish();
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(steps);
}

/* kind_note(function, argument): calls a function that returns nothing */
Datum
sd_sql_kind_note(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	SPI_connect();
	execute_call("SELECT ", name, "($1)", get_fn_expr_argtype(fcinfo->flinfo, 1), PG_GETARG_DATUM(1));
	SPI_finish();
	PG_RETURN_VOID();
}
