# SPDX-License-Identifier: MIT
# Builds Ferry. `make help` lists the targets; `make BUILD=dir` builds elsewhere, `make CC=clang` with another
# compiler. BUILD/config.mk comes from ./configure, which runs by itself when it has to.

VERSION := 0.1.0
BUILD ?= build

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh

# --- Configuration ---

# What the goals need installed: nothing is installed for a plain `make`, which only says what is missing.
GOALS := $(or $(MAKECMDGOALS),all)
UNCONFIGURED := clean distclean help deps format fuzz-inputs
DEPS :=
ifneq ($(filter run,$(GOALS)),)
DEPS := run
endif
ifneq ($(filter check check-% fuzz-float bench,$(GOALS)),)
DEPS := check
endif
ifneq ($(filter fuzz-inputs-program,$(GOALS)),)
DEPS := fuzz-inputs
endif

ifneq ($(filter-out $(UNCONFIGURED),$(GOALS)),)
include $(BUILD)/config.mk

$(BUILD)/config.mk: configure $(if $(DEPS),$(BUILD)/deps-$(DEPS).stamp)
	@if [ -x $(BUILD)/config.status ]; then $(BUILD)/config.status; else \
	    ./configure --build=$(BUILD) $(if $(filter command line,$(origin CC)),--cc='$(CC)') \
	        $(CONFIGURE_FLAGS); fi

$(BUILD)/deps-%.stamp: scripts/deps
	@mkdir -p $(BUILD)
	@scripts/deps $*
	@touch $@
endif

# --- Flags ---

CFLAGS := -O2 -g
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wwrite-strings -Werror
DEFINES := -DFERRY_VERSION='"$(VERSION)"' $(if $(filter x86_64,$(HOST)),-DFERRY_HOST_X86_64) \
    $(if $(STRESS),-DFERRY_STRESS) $(if $(STRESS)$(SANITIZE),-DFERRY_DEBUG)
override ALL_CFLAGS := -std=gnu17 $(WARNINGS) -I. $(DEFINES) $(LIB_CFLAGS) $(SANITIZE) -pthread $(CFLAGS)
override ALL_LDFLAGS := $(SANITIZE) -pthread $(LDFLAGS)
override ALL_LIBS := $(LIB_LIBS) -ldl -lm

# --- Sources ---

HOSTS := x86_64 aarch64
OTHER_HOSTS := $(filter-out $(HOST),$(HOSTS))
SOURCES := $(sort $(wildcard base/*.c softmmu/*.c translator/*.c translator/host/*.c translator/host/*/*.c \
    cpu/*/*.c backend/*.c hw/*.c machine/*.c control/*.c ui/*.c))
SOURCES := $(filter-out $(foreach h,$(OTHER_HOSTS),translator/$(h)% translator/host/$(h)%),$(SOURCES))
LIB_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out control/main.c,$(SOURCES)))
MAIN_OBJECT := $(BUILD)/control/main.o
PROGRAM := $(BUILD)/ferry
LIBRARY := $(BUILD)/libferry.a
# A file of tests/unit that is not a test is code that the tests share.
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
UNIT_SHARED := $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))

RISCV_CC ?= riscv64-unknown-elf-gcc
RISCV_OBJCOPY ?= riscv64-unknown-elf-objcopy

# --- Building ---

.PHONY: all lib unit-tests
all: $(PROGRAM)
lib: $(LIBRARY)
unit-tests: $(UNIT_TESTS)

# Changes whenever the compiler or its flags do, so that objects never mix.
$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD)
	@printf '%s\n' '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(ALL_LIBS))' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(ALL_CFLAGS) $(OBJECT_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/tests/unit/%.o: OBJECT_CFLAGS = $(CRITERION_CFLAGS)

# The list is a file too: an object whose source went away must not stay in the library.
$(BUILD)/objects: FORCE
	@mkdir -p $(BUILD)
	@printf '%s\n' $(LIB_OBJECTS) >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(LIBRARY): $(LIB_OBJECTS) $(BUILD)/objects
	@echo "  AR      $@"
	@rm -f $@
	@ar qcs $@ $(LIB_OBJECTS)

$(PROGRAM): $(MAIN_OBJECT) $(LIBRARY)
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) $^ -o $@ $(ALL_LIBS)

# What some tests alone need: the exact reference for floating point.
FLOAT_TESTS := $(BUILD)/tests/unit/test_softfloat $(BUILD)/tests/unit/test_riscv_float
FLOAT_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/float/*.c))
$(FLOAT_TESTS): $(FLOAT_OBJECTS)
$(FLOAT_TESTS): TEST_LIBS := -lmpfr -lgmp

# A guest that some of them run.
BUSY := $(BUILD)/tests/unit/guests/busy.elf
$(BUILD)/tests/unit/test_snapshot $(BUILD)/tests/unit/test_timeline: | $(BUSY)
$(BUSY): tests/unit/guests/busy.c
	@mkdir -p $(@D)
	@echo "  RISCV   $@"
	@$(RISCV_CC) -O2 -march=rv64imafd_zicsr_zifencei -mabi=lp64d -mcmodel=medany -ffreestanding -nostdlib \
	    -Wall -Wextra -Werror -Wl,-N,--no-warn-rwx-segments,--section-start=.start=0x80000000,-Ttext=0x80000100,--build-id=none $< -o $@

$(BUILD)/tests/unit/test_%: $(BUILD)/tests/unit/test_%.o $(UNIT_SHARED) $(LIBRARY)
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) $^ -o $@ $(ALL_LIBS) $(CRITERION_LIBS) $(TEST_LIBS)

.PRECIOUS: $(BUILD)/%.o
-include $(patsubst %.o,%.d,$(LIB_OBJECTS) $(MAIN_OBJECT) $(UNIT_SHARED) $(FLOAT_OBJECTS) $(UNIT_TESTS:%=%.o))

# --- Random programs ---

FUZZ_DIR := $(BUILD)/tests/fuzz
FUZZ_FILES := $(FUZZ_DIR)/fuzz $(FUZZ_DIR)/runtime32.bin $(FUZZ_DIR)/runtime64.bin
FUZZ_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/fuzz/*.c)))
.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_FILES)

$(FUZZ_DIR)/fuzz: $(FUZZ_OBJECTS) $(LIBRARY)
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) $^ -o $@ $(ALL_LIBS)

$(FUZZ_DIR)/runtime32.bin: RISCV_ARCH := -march=rv32imafd_zicsr_zifencei -mabi=ilp32
$(FUZZ_DIR)/runtime64.bin: RISCV_ARCH := -march=rv64imafd_zicsr_zifencei -mabi=lp64
$(FUZZ_DIR)/runtime%.bin: tests/fuzz/runtime.S tests/fuzz/layout.h
	@mkdir -p $(@D)
	@echo "  RISCV   $@"
	@$(RISCV_CC) $(RISCV_ARCH) -I. -nostdlib -Wl,-Ttext=0,--build-id=none $< -o $@.elf
	@$(RISCV_OBJCOPY) -O binary $@.elf $@

-include $(FUZZ_OBJECTS:.o=.d)

# --- Targets for fuzzing ---

# The same sources make a program with libFuzzer, in a build of its own, and one that runs the inputs that are kept.
INPUTS_DIR := $(BUILD)/tests/fuzzers
INPUTS_MAINS := $(INPUTS_DIR)/replay.o $(INPUTS_DIR)/libfuzzer.o
INPUTS_OBJECTS := $(filter-out $(INPUTS_MAINS),$(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/fuzzers/*.c)))) \
    $(BUILD)/tests/unit/device_rig.o $(BUILD)/tests/unit/vm_rig.o
FUZZ_CC ?= clang
TIME ?= 60

.PHONY: fuzz-inputs fuzz-inputs-program
$(INPUTS_DIR)/replay: $(INPUTS_DIR)/replay.o $(INPUTS_OBJECTS) $(LIBRARY)
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) $^ -o $@ $(ALL_LIBS)

$(INPUTS_DIR)/fuzz: $(INPUTS_DIR)/libfuzzer.o $(INPUTS_OBJECTS) $(LIBRARY)
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer $^ -o $@ $(ALL_LIBS)

fuzz-inputs-program: $(INPUTS_DIR)/fuzz

# Searches for TIME seconds for each of TARGETS, or of all.
fuzz-inputs:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz-inputs CC='$(FUZZ_CC)' CONFIGURE_FLAGS=--enable-fuzzer \
	    fuzz-inputs-program
	@tests/fuzzers/run --build $(BUILD)/fuzz-inputs --time $(TIME) $(TARGETS)

-include $(INPUTS_OBJECTS:.o=.d) $(INPUTS_MAINS:.o=.d)

# --- Privileged architecture: bare guest programs, one a topic ---

PRIV_DIR := $(BUILD)/tests/privileged
PRIV_TOPICS := $(patsubst tests/privileged/topics/%.c,%,$(sort $(wildcard tests/privileged/topics/*.c)))
PRIV_SHARED := $(notdir $(basename $(wildcard tests/privileged/*.c tests/privileged/*.S)))
PRIV_CFLAGS := -std=gnu17 -O2 -Wall -Wextra -Wshadow -Werror -ffreestanding -fno-tree-loop-distribute-patterns \
    -mcmodel=medany -nostdlib -Itests/privileged
PRIVILEGED :=
ifneq ($(shell command -v $(RISCV_CC)),) # the harness says what is missing
PRIVILEGED := $(foreach rv,rv64 rv32,$(PRIV_TOPICS:%=$(PRIV_DIR)/$(rv)/%.elf))
endif

.PHONY: privileged-programs
privileged-programs: $(PRIVILEGED)

$(PRIV_DIR)/rv64/%: RISCV_ARCH := -march=rv64imafd_zicsr_zifencei -mabi=lp64
$(PRIV_DIR)/rv32/%: RISCV_ARCH := -march=rv32imafd_zicsr_zifencei -mabi=ilp32
define PRIV_RULES
$(PRIV_DIR)/$1/%.o: tests/privileged/%.c
	@mkdir -p $$(@D)
	@$$(RISCV_CC) $$(RISCV_ARCH) $$(PRIV_CFLAGS) -MMD -MP -c $$< -o $$@
$(PRIV_DIR)/$1/%.o: tests/privileged/%.S
	@mkdir -p $$(@D)
	@$$(RISCV_CC) $$(RISCV_ARCH) $$(PRIV_CFLAGS) -MMD -MP -c $$< -o $$@
$(PRIV_DIR)/$1/%.elf: $(PRIV_DIR)/$1/topics/%.o $(PRIV_SHARED:%=$(PRIV_DIR)/$1/%.o) tests/privileged/guest.ld
	@echo "  RISCV   $$@"
	@$$(RISCV_CC) $$(RISCV_ARCH) $$(PRIV_CFLAGS) -Wl,--build-id=none,--no-warn-rwx-segments -T tests/privileged/guest.ld \
	    $$(filter %.o,$$^) -o $$@
endef
$(foreach rv,rv64 rv32,$(eval $(call PRIV_RULES,$(rv))))
.PRECIOUS: $(PRIV_DIR)/rv64/%.o $(PRIV_DIR)/rv32/%.o
-include $(wildcard $(PRIV_DIR)/*/*.d $(PRIV_DIR)/*/topics/*.d)

# --- Floating point against the exact reference, at length ---

# For each group of instructions, by each executor.
FLOAT_CASES := 10000000
.PHONY: fuzz-float
fuzz-float: $(FLOAT_TESTS)
	@RISCV_FLOAT_CASES=$(FLOAT_CASES) $(BUILD)/tests/unit/test_riscv_float
	@SOFTFLOAT_CASES=$$(($(FLOAT_CASES) / 16)) $(BUILD)/tests/unit/test_softfloat

# --- Running and testing ---

.PHONY: deps run check check-quick check-interp check-asan check-unit check-stress bench
deps:
	@scripts/deps $(or $(FOR),check)

run: all
	@FERRY=$(abspath $(PROGRAM)) tests/guests/run

TEST := tests/run --build $(BUILD)
# What tests run, besides the emulator.
TEST_PROGRAMS := unit-tests privileged-programs $(INPUTS_DIR)/replay
check: all $(TEST_PROGRAMS)
	@$(TEST) $(TESTS)
check-quick: all $(TEST_PROGRAMS)
	@$(TEST) --quick $(TESTS)
check-interp: all $(TEST_PROGRAMS)
	@$(TEST) --accel interp $(TESTS)
check-unit: unit-tests
	@$(TEST) --unit $(TESTS)

# The sanitizers and the stress build live in build directories of their own.
check-asan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan CONFIGURE_FLAGS=--enable-asan check-quick
check-stress:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/stress CONFIGURE_FLAGS=--enable-stress check-quick

bench: all
	@FERRY=$(abspath $(PROGRAM)) FERRY_BUILD=$(abspath $(BUILD)) tests/bench/all $(BENCH)

# --- Installing ---

.PHONY: install uninstall
DOCS = $(wildcard docs/*.md)
install: all
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/ferry
	install -D -m 644 docs/ferry.1 $(DESTDIR)$(PREFIX)/share/man/man1/ferry.1
	install -d $(DESTDIR)$(PREFIX)/share/doc/ferry
	install -m 644 README.md LICENSE $(DOCS) $(DESTDIR)$(PREFIX)/share/doc/ferry

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/ferry $(DESTDIR)$(PREFIX)/share/man/man1/ferry.1
	rm -f $(patsubst %,$(DESTDIR)$(PREFIX)/share/doc/ferry/%,README.md LICENSE $(notdir $(DOCS)))
	-rmdir $(DESTDIR)$(PREFIX)/share/doc/ferry

# --- Housekeeping ---

.PHONY: clean distclean format format-check help FORCE
clean:
	rm -rf $(BUILD)/base $(BUILD)/softmmu $(BUILD)/translator $(BUILD)/cpu $(BUILD)/backend $(BUILD)/hw \
	    $(BUILD)/machine $(BUILD)/control $(BUILD)/ui $(BUILD)/tests $(BUILD)/asan $(BUILD)/stress $(BUILD)/fuzz-inputs \
	    $(PROGRAM) $(LIBRARY) $(BUILD)/flags $(BUILD)/objects $(BUILD)/cppcheck

distclean: clean
	rm -f $(BUILD)/config.mk $(BUILD)/config.status $(BUILD)/deps-*.stamp
	-rmdir $(BUILD)

format-check:
	@scripts/format-check

format:
	@git ls-files '*.c' '*.h' | xargs -r clang-format -i

help:
	@echo 'make              build $(BUILD)/ferry'
	@echo 'make run          boot Linux: a shell in a terminal, a self-check elsewhere'
	@echo 'make check        run all tests (TESTS="name..." for some of them)'
	@echo 'make check-quick  run those that take less than a minute together'
	@echo 'make check-interp run all tests with the interpreter'
	@echo 'make check-asan   the quick ones under the sanitizers; check-stress: with tiny caches'
	@echo 'make fuzz-inputs  search for inputs that break something (TARGETS="name..." TIME=seconds for each)'
	@echo 'make fuzz-float   floating point against MPFR, ten million cases a group (FLOAT_CASES=N)'
	@echo 'make bench        measure (BENCH="boot kernels run" for some of it)'
	@echo 'make deps         install the Debian packages that all of this needs'
	@echo 'make install      PREFIX, DESTDIR; make uninstall'
	@echo 'make clean, distclean, format, format-check'
	@echo 'Variables: BUILD=dir CC=compiler CFLAGS=flags CONFIGURE_FLAGS="..." (./configure --help)'
