/*
 * fuzz.c
 *	  A libFuzzer program for one parser: compile with -DTARGET=target_json and
 *	  so on.
 */
#include "targets.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* every target, so that none is unused; only the chosen one runs */
	static void (*const all[])(const char *, size_t) = {
		target_json, target_odata, target_metadata, target_yml, target_phone, target_retry_after, target_url_encode, target_equal};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
	{
		if (all[i] == TARGET)
			all[i]((const char *) data, size);
	}
	return 0;
}
