# salesdrive: exchange between SalesDrive and BAS, an extension of PostgreSQL
#
#   make demo       the exchange at work, with simulated peers, in a private cluster
#   make test       all tests, in a private cluster
#
#   make            build; make install: install (PG_CONFIG=... picks the PostgreSQL)
#   make deps       install missing Debian packages (or print the command)
#   make proof      the long tests of "effectively once" and of an outage; make bench: speed
#   make fuzz       fuzz the parsers (FUZZ_SECONDS each); make lint, make indent
#   make FAULTS=1   a build for tests, with fault points

EXTENSION  = salesdrive
MODULE_big = salesdrive
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" salesdrive.control)

OBJS = \
	src/salesdrive.o \
	src/launcher.o \
	src/worker.o \
	src/control.o \
	src/loop.o \
	src/receiver.o \
	src/server.o \
	src/connection.o \
	src/intake.o \
	src/inbox.o \
	src/exchanger.o \
	src/client.o \
	src/targets.o \
	src/departure.o \
	src/arrival.o \
	src/metadata.o \
	src/xml.o \
	src/yml.o \
	src/engine.o \
	src/turn.o \
	src/tasks.o \
	src/kinds.o \
	src/messages.o \
	src/probe.o \
	src/functions.o \
	src/document.o \
	src/values.o \
	src/policy.o \
	src/wire.o \
	src/odata.o \
	src/phone.o \
	src/uuid5.o \
	src/fault.o

SCRIPT      = $(EXTENSION)--$(EXTVERSION).sql
# The finish closes the script: triggers that guard shipped rows come after the profiles.
SQL_SOURCES = $(sort $(wildcard sql/[0-8]*.sql)) $(sort $(wildcard sql/profiles/*.sql)) $(sort $(wildcard sql/9*.sql))
DATA        = $(wildcard sql/released/*.sql)
DATA_built  = $(SCRIPT)

override PG_CONFIG := $(or $(PG_CONFIG),pg_config)
CURL_CONFIG ?= curl-config
PKG_CONFIG ?= pkg-config
WERROR     ?= -Werror
FUZZ_SECONDS ?= 60

# Headers of PostgreSQL count as system headers: warnings are for our own code.
PG_CPPFLAGS = -DSD_VERSION='"$(EXTVERSION)"' -isystem $(shell $(PG_CONFIG) --includedir-server) \
	$(shell $(CURL_CONFIG) --cflags) $(shell $(PKG_CONFIG) --cflags libmicrohttpd expat)
# PG_FUNCTION_ARGS, hooks and callbacks have fixed signatures: a parameter may be unused.
PG_CFLAGS   = -Wall -Wextra -Wno-unused-parameter $(WERROR)
SHLIB_LINK  = $(shell $(CURL_CONFIG) --libs) $(shell $(PKG_CONFIG) --libs libmicrohttpd expat)

# A PostgreSQL built by gcc names attributes and options that clang does not know.
ifneq (,$(findstring clang,$(CC)))
PG_CFLAGS += -Wno-ignored-attributes -Wno-ignored-optimization-argument -Wno-unknown-warning-option
endif

ifdef FAULTS
PG_CPPFLAGS += -DSD_FAULTS
endif

EXTRA_CLEAN = $(EXTENSION)--*.sql src/.flags results regression.diffs regression.out output_iso \
	log tmp_check test/unit/bin test/fuzz/bin test/fuzz/corpus

SHELL = /bin/bash

# Targets that need no PostgreSQL come first; `all` stays the default.
.DEFAULT_GOAL = all
.PHONY: deps test proof bench demo demo-stop fuzz lint indent

DEPS = build
deps:
	@PG_CONFIG='$(PG_CONFIG)' .ci/deps $(DEPS)

test:
	@PG_CONFIG='$(PG_CONFIG)' test/run

proof bench:
	@PG_CONFIG='$(PG_CONFIG)' test/run $@

demo:
	@PG_CONFIG='$(PG_CONFIG)' test/demo/demo.sh start

demo-stop:
	@PG_CONFIG='$(PG_CONFIG)' test/demo/demo.sh stop

# Tools that nothing else needs; clang brings the libraries of sanitizers and fuzzers only as a recommendation.
lint: DEPS = build clang-format clang-tidy cppcheck
indent: DEPS = clang-format
fuzz: DEPS = gcc libc6-dev libexpat1-dev clang libclang-rt-dev
lint indent fuzz: deps

fuzz:
	@$(MAKE) -s -C test/fuzz run FUZZ_SECONDS=$(FUZZ_SECONDS)

C_FILES = $(wildcard src/*.c src/*.h test/unit/*.c test/unit/*.h test/fuzz/*.c test/bench/*.c)
LINT_CPPFLAGS = $(PG_CPPFLAGS) -isystem $(shell $(PG_CONFIG) --includedir-server) -DSD_FAULTS -D_GNU_SOURCE

TIDY_CHECKS = -*,clang-analyzer-*,bugprone-*,\
-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,-bugprone-assignment-in-if-condition,\
-bugprone-implicit-widening-of-multiplication-result,-bugprone-narrowing-conversions,-bugprone-branch-clone,\
-bugprone-multi-level-implicit-pointer-conversion,\
-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling

indent:
	clang-format -i $(C_FILES)

lint:
	clang-format --dry-run -Werror $(C_FILES)
	cppcheck --quiet --std=c99 --language=c --error-exitcode=1 --inline-suppr --suppress=normalCheckLevelMaxBranches -j2 \
		--enable=warning,performance,portability --include=test/lint/cppcheck.h --library=posix \
		-DSD_FAULTS -DPG_VERSION_NUM=150000 src
	clang-tidy --quiet --warnings-as-errors='*' --checks='$(subst $(eval) ,,$(TIDY_CHECKS))' \
		$(wildcard src/*.c) -- $(LINT_CPPFLAGS) -Wno-ignored-attributes 2>&1 | grep -v ' warnings generated' ; \
		exit $${PIPESTATUS[0]}

BUILDS    := $(if $(MAKECMDGOALS),$(filter-out clean distclean deps test proof bench demo demo-stop fuzz lint indent,$(MAKECMDGOALS)),yes)
LIBRARIES  = $(shell $(CURL_CONFIG) --version >/dev/null 2>&1 && $(PKG_CONFIG) --exists libmicrohttpd expat 2>/dev/null && echo found)

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq (,$(wildcard $(PGXS)))
ifneq (,$(BUILDS))
ifeq (,$(LIBRARIES))
$(error libcurl, libmicrohttpd or expat was not found through '$(CURL_CONFIG)' and '$(PKG_CONFIG)': install them with 'make deps')
endif
endif
include $(PGXS)
else
all install:
	@echo "PostgreSQL's build files were not found through '$(PG_CONFIG)'." >&2
	@echo "Install them with 'make deps', or say where they are: make PG_CONFIG=/path/to/pg_config" >&2
	@exit 1
clean:
	rm -rf $(EXTRA_CLEAN) src/*.o src/*.bc *.so
endif

# Objects made with other flags, headers or rules are made again.
FLAGS_NOW = $(PG_CONFIG) $(CC) $(PG_CFLAGS) $(EXTVERSION) FAULTS=$(FAULTS)
ifneq (,$(BUILDS))
$(shell echo '$(FLAGS_NOW)' | cmp -s - src/.flags || echo '$(FLAGS_NOW)' > src/.flags)
endif
src/.flags:		# after `make clean` beside other targets
	@echo '$(FLAGS_NOW)' > $@
$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*.h) src/.flags Makefile

$(SCRIPT): $(SQL_SOURCES) salesdrive.control Makefile
	@test -n "$(SQL_SOURCES)" || { echo "no files in sql/" >&2; exit 1; }
	cat $(SQL_SOURCES) > $@.new
	mv $@.new $@
