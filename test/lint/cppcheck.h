/*
 * cppcheck.h
 *	  What cppcheck, which reads none of PostgreSQL's headers, must know of their
 *	  macros to follow the control flow.
 */
#define dlist_foreach(iter, list) for (;;)
#define dlist_foreach_modify(iter, list) for (;;)
#define slist_foreach(iter, list) for (;;)
#define slist_foreach_modify(iter, list) for (;;)
#define foreach(cell, list) for (;;)
#define PG_TRY() do {
#define PG_CATCH() } while (0); do {
#define PG_FINALLY() } while (0); do {
#define PG_END_TRY() } while (0)
#define PG_FUNCTION_ARGS FunctionCallInfo fcinfo
#define PG_FUNCTION_INFO_V1(name) extern Datum name(FunctionCallInfo fcinfo)
#define SD_MODULE_MAGIC(name, version) extern int sd_module_magic
#define pg_attribute_noreturn() __attribute__((noreturn))
#define INT64_FORMAT "%lld"
#define UINT64_FORMAT "%llu"
#define PGDLLEXPORT
