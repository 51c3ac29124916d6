# make demo      build, and show a sandbox at work on a scratch project: no network, no account
# make test      build, and run every test; the last line is `N passed, N failed, N skipped`
# make bench     measure against bwrap, crun, runc, firejail, podman and a minimal launcher in C, the network door
#                against squid, tinyproxy and a minimal relay in C, and the staged workspace against cp, git, rsync
#                and the kernel's own overlay (BENCH_STAGE_FLAGS=--quick: with 10,000 files instead of 200,000);
#                BENCH_FLAGS='--markdown docs/performance.md' puts the tables into the page
# make install   to PREFIX (~/.local): bin/box and libexec/box/box-proxy; `make uninstall` takes them back
# make lint      the formatter's and the shell checker's opinion
# make fuzz      libFuzzer, FUZZ_SECONDS (30) for each target
# make mutants   drop one layer of protection after the other: the probes have to notice each
# make test-agents  run real agents (Claude Code, Codex, aider) inside, against a model API of our own on the loopback
# make test-kernel  limits and probes under Debian's 6.1 kernel, in an emulator
#
# demo, test and bench install the Debian packages that are missing, which needs root or sudo once.

.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

PREFIX ?= $(HOME)/.local
DESTDIR ?=
FUZZ_SECONDS ?= 30
BENCH_FLAGS ?=
BENCH_STAGE_FLAGS ?=
AGENTS_FLAGS ?=
SWIFT ?= swift

binaries := .build-bin
# Types such as Array<Step> are looked up at run time by their mangled names unless this says no: a tenth of the start.
direct_metadata := -Xswiftc -Xfrontend -Xswiftc -disable-concrete-type-metadata-mangled-name-accessors
# Folders count too: a file that was added or removed changes its folder's time.
sources := Package.swift $(shell find Sources proxy profiles)
test_sources := $(shell find Tests)

.PHONY: all build demo test bench lint fuzz mutants test-agents test-kernel install uninstall clean \
	dependencies-build dependencies-test dependencies-bench dependencies-kernel

all: build

build: $(binaries)/box $(binaries)/box-proxy

# box: fully static, so that it starts fast and needs no loader inside the sandbox. Symbols are 40 % of it.
$(binaries)/box: $(sources) | dependencies-build
	$(SWIFT) build -c release --product box -Xswiftc -static-executable $(direct_metadata) --scratch-path .build-box
	@mkdir -p $(binaries)
	strip -s -o $@.new .build-box/release/box
	mv $@.new $@

# box-proxy: position independent, with the host's libc and its name resolution. It comes after box only so that
# the two compilations don't compete for the same cores.
$(binaries)/box-proxy: $(sources) | dependencies-build $(binaries)/box
	$(SWIFT) build -c release --product box-proxy --static-swift-stdlib --scratch-path .build-proxy
	@mkdir -p $(binaries)
	strip -s -o $@.new .build-proxy/release/box-proxy
	mv $@.new $@

# Debug executables and all test targets in one bundle.
.build/tests-built: $(sources) $(test_sources) | dependencies-build build
	$(SWIFT) build --build-tests --scratch-path .build
	@touch $@

demo: build
	@scripts/demo $(binaries)/box

# Readers of hostile bytes, instrumented, with libFuzzer.
.build-fuzz/built: $(sources) $(shell find Tests/Fuzz -name '*.swift' -o -name build.sh) | build
	Tests/Fuzz/build.sh .build-fuzz/bin
	@touch $@

test: dependencies-test build .build/tests-built .build-fuzz/built
	@scripts/test

bench: dependencies-bench build
	@scripts/bench $(BENCH_FLAGS)
	@scripts/bench-proxy $(BENCH_FLAGS)
	@scripts/bench-stage $(BENCH_FLAGS) $(BENCH_STAGE_FLAGS)
	@scripts/bench-sessions $(BENCH_FLAGS)

test-agents: dependencies-test build
	@scripts/test-agents $(AGENTS_FLAGS)

mutants: dependencies-test .build/tests-built
	@scripts/mutants

fuzz: .build-fuzz/built
	@scripts/fuzz $(FUZZ_SECONDS)

test-kernel: dependencies-kernel build
	@scripts/test-kernel

lint:
	$(SWIFT) format lint --strict -r Sources Tests proxy profiles Package.swift
	@scripts/lint-shell

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/box
	install -m 755 $(binaries)/box-proxy $(DESTDIR)$(PREFIX)/libexec/box/box-proxy
	install -m 755 $(binaries)/box $(DESTDIR)$(PREFIX)/bin/box

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/box $(DESTDIR)$(PREFIX)/libexec/box/box-proxy
	[ ! -d $(DESTDIR)$(PREFIX)/libexec/box ] || rmdir --ignore-fail-on-non-empty $(DESTDIR)$(PREFIX)/libexec/box

clean:
	rm -rf .build .build-*

# One after the other: the package manager takes one caller at a time.
dependencies-build:
	@scripts/install-dependencies build
dependencies-test: dependencies-build
	@scripts/install-dependencies test
dependencies-bench: dependencies-build
	@scripts/install-dependencies bench
dependencies-kernel: dependencies-build
	@scripts/install-dependencies kernel
