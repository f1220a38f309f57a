/*
 * tap.h
 *	  The few words of TAP that the unit tests speak.  Included once by each test
 *	  program, which ends with `return done_testing();`.
 */
#ifndef SD_TAP_H
#define SD_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

static int tests_run;
static int tests_failed;

/* One test; the name is printf's. */
__attribute__((format(printf, 2, 3))) static bool
ok(bool passed, const char *name, ...)
{
	char    text[512];
	char   *p;
	va_list args;

	va_start(args, name);
	vsnprintf(text, sizeof(text), name, args);
	va_end(args);
	for (p = text; *p != '\0'; p++)
	{
		if (*p == '#' || *p == '\n' || *p == '\r' || *p == '\\')
			*p = ' '; /* these have a meaning in TAP */
	}
	tests_run++;
	if (!passed)
		tests_failed++;
	printf("%sok %d - %s\n", passed ? "" : "not ", tests_run, text);
	return passed;
}

__attribute__((unused)) static bool
is_text(const char *got, const char *expected, const char *name)
{
	bool same = strcmp(got, expected) == 0;

	ok(same, "%s", name);
	if (!same)
		printf("#   got:      '%s'\n#   expected: '%s'\n", got, expected);
	return same;
}

__attribute__((unused)) static bool
is_int(long long got, long long expected, const char *name)
{
	bool same = got == expected;

	ok(same, "%s", name);
	if (!same)
		printf("#   got:      %lld\n#   expected: %lld\n", got, expected);
	return same;
}

static int
done_testing(void)
{
	printf("1..%d\n", tests_run);
	return tests_failed > 0 ? 1 : 0;
}

#endif /* SD_TAP_H */
