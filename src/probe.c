/*-------------------------------------------------------------------------
 *
 * probe.c
 *	  salesdrive.probe(): asks peers in the session that calls it.
 *
 * Role: for check() and test_connection(), the one exception to "no snapshot
 * across a wait": short, with a time-out for all requests together, and ended
 * by a cancel.  Decides nothing; an exchange that has not ended in time gives
 * no row.  Sockets and memory go with a context of the call, errors included.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "client.h"
#include "compat.h"
#include "loop.h"
#include "messages.h"
#include "salesdrive.h"

#define PROBE_LONGEST_MS 60000

PG_FUNCTION_INFO_V1(sd_sql_probe);

static int
add_requests(SdClient *client, ArrayType *array)
{
	Oid       type = ARR_ELEMTYPE(array);
	TupleDesc desc = lookup_rowtype_tupdesc_copy(type, -1);
	int16     typlen;
	bool      typbyval;
	char      typalign;
	Datum    *rows;
	bool     *nulls;
	int       count;
	int       added = 0;

	sd_request_check(desc);
	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	deconstruct_array(array, type, typlen, typbyval, typalign, &rows, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		HeapTupleHeader header;
		HeapTupleData   tuple = {0};
		SdRequest       request;

		if (nulls[i])
			continue;
		header = DatumGetHeapTupleHeader(rows[i]);
		tuple.t_len = HeapTupleHeaderGetDatumLength(header);
		tuple.t_data = header;
		sd_request_take(&tuple, desc, &request);
		sd_client_add(client, &request);
		added++;
	}
	return added;
}

static void
put_results(SdClient *client, ReturnSetInfo *rsinfo)
{
	SdExchange *exchange;

	while ((exchange = sd_client_finished(client)) != NULL)
	{
		HeapTupleHeader header = DatumGetHeapTupleHeader(sd_result_row(rsinfo->setDesc, exchange));
		HeapTupleData   tuple = {0};

		tuple.t_len = HeapTupleHeaderGetDatumLength(header);
		tuple.t_data = header;
		tuplestore_puttuple(rsinfo->setResult, &tuple);
		sd_client_release(client, exchange);
	}
}

Datum
sd_sql_probe(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext  context;
	SdClient      *client;
	SdLoop        *loop;
	TimestampTz    deadline;
	int            open;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_GETARG_INT32(1) <= 0 ||
		PG_GETARG_INT32(1) > PROBE_LONGEST_MS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("salesdrive.probe() needs requests and a time-out between 1 and %d milliseconds",
						PROBE_LONGEST_MS)));
	InitMaterializedSRF(fcinfo, 0);
	sd_result_check(rsinfo->setDesc);
	deadline = GetCurrentTimestamp() + (int64) PG_GETARG_INT32(1) * 1000;

	/* freed at the end of the call, or with the portal when it throws */
	context = AllocSetContextCreate(CurrentMemoryContext, "salesdrive probe", ALLOCSET_DEFAULT_SIZES);
	client = sd_client_create(context);
	open = add_requests(client, PG_GETARG_ARRAYTYPE_P(0));
	{
		MemoryContext saved = MemoryContextSwitchTo(context);

		loop = sd_loop_create(sd_client_fd(client));
		MemoryContextSwitchTo(saved);
	}
	while (open > 0)
	{
		long network;
		long left;

		sd_client_run(client);
		put_results(client, rsinfo);
		open = sd_client_open(client);
		left = sd_loop_until(deadline, PROBE_LONGEST_MS);
		if (open == 0 || left == 0)
			break;
		network = sd_client_timeout(client);
		sd_loop_wait(loop, network < 0 ? left : Min(network, left));
	}
	sd_loop_free(loop);
	MemoryContextDelete(context);
	return (Datum) 0;
}
