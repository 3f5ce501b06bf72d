# `make` without a target lists the targets.

SHELL := /bin/sh
GO ?= go
RUBY ?= ruby
BIN := bin/tasker-rb

# staticcheck comes from the module proxy. It is not in go.mod.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# If pkg-config does not know Ruby (for example with rbenv), scripts/ruby-pc.sh
# writes a ruby.pc into this folder.
export PKG_CONFIG_PATH := $(CURDIR)/.build/pkgconfig:$(PKG_CONFIG_PATH)

# What a program without Ruby imports: it builds without a C compiler, and so do
# its tests and examples.
PURE_GO = ./templates/... $(shell $(GO) list ./internal/... | grep -v /soak/runner) ./orchestration ./orchestration/localpg ./orchestration/sqlsession

GO_DIRS := bench cmd docs internal orchestration rubyhost templates
C_FILES := $(wildcard rubyhost/*.c)
C_WARNINGS := -std=gnu11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
CC ?= cc

EXAMPLE := templates/examples/order_fulfillment

.DEFAULT_GOAL := help
.PHONY: help setup build demo test test/setup test/on test/queue test/ruby test/go test/debug test/planted test/interrupts test/asan test/race test/thorough test/fuzz guard/update test/upgrade test/bench chaos soak soak/controls lint lint/ruby lint/signatures signatures bench bench/setup bench/micro bench/suite bench/dev docs/pictures fmt clean

help: ## print this
	@grep -E '^[a-z/-]+:.*## ' Makefile | sed 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: ## install what is missing: Ruby with headers, PostgreSQL, pkg-config, a C compiler
	@scripts/setup.sh
	@RUBY="$(RUBY)" scripts/ruby-pc.sh

build: setup ## build bin/tasker-rb
	@mkdir -p bin
	$(GO) build -buildvcs=auto -o $(BIN) ./cmd/tasker-rb

demo: build ## run the order example on the private database
	$(BIN) run $(EXAMPLE)/order_fulfillment.yaml --context @$(EXAMPLE)/context.json

test: test/setup ## run all tests: the C queue, the Ruby half, the Go packages, a debug build, one with leaks
	@$(MAKE) --no-print-directory test/queue test/ruby test/go test/debug test/planted
	@echo "make test: all passed"

test/setup: setup # install what only the tests need
	@scripts/setup.sh --for-tests

# As on a fresh machine: set-up, demo, test. docs/versions.md has the results.
test/on: ## run the README's commands on another Debian or Ubuntu (SUITE=trixie, docs/versions.md has the others)
	@PACKAGES="$(PACKAGES)" WITH="$(WITH)" scripts/on.sh "$(SUITE)" $(RUN)

test/queue: ## the queue between Go and Ruby alone, under the sanitizers
	@mkdir -p .build
	@for s in thread address,undefined; do \
		echo "== the C queue under -fsanitize=$$s" && \
		$(CC) -g -O1 $(C_WARNINGS) -fsanitize=$$s -Irubyhost rubyhost/testdata/queue_test.c rubyhost/queue.c -lpthread -o .build/queue_test && \
		.build/queue_test || exit 1; \
	done

test/ruby: test/setup ## the unit tests of the Ruby half, with warnings on
	@echo "== the Ruby half"
	@$(RUBY) -w -Irubyhost/ruby/lib test/ruby/unit/all.rb

# make lint runs vet, so the tests leave it out.
test/go: test/setup ## the Go packages (PACKAGES, default ./...), on a real Ruby and a real PostgreSQL
	@echo "== the Go packages"
	@$(GO) test -vet=off -timeout 25m $(or $(PACKAGES),./...)

test/debug: setup ## the host's tests of control with the checks of a debug build
	CGO_CFLAGS="-g -O2 -DTASKER_DEBUG" $(GO) test -vet=off -count 1 -timeout 15m -run 'Conduct|Guests|Interrupt|Pool' ./rubyhost

# The controls of `tasker-rb soak` need leaks that no other build has.
test/planted: setup ## whether a build with the tag planted leaks what it says
	$(GO) test -vet=off -count 1 -timeout 5m -tags planted -run '^TestPlanted$$' ./rubyhost

INTERRUPTS_FOR ?= 60s
test/interrupts: setup ## interrupts beside honest calls, INTERRUPTS_FOR each (default 60s)
	RUBYHOST_INTERRUPTS_FOR=$(INTERRUPTS_FOR) $(GO) test -vet=off -count 1 -v -parallel 1 -timeout 15m -run TestInterruptHitsItsCallOnly ./rubyhost

# CRuby leaves C frames by __builtin_longjmp, which the sanitizer does not see: it
# would take their stack for poisoned. So the stack is left out, and the heap and
# globals are checked.
ASAN_CALLS ?= 200000
test/asan: setup ## ASAN_CALLS mixed calls (default 200000) under the address sanitizer
	CGO_CFLAGS="-g -O1 --param asan-stack=0" $(GO) test -asan -vet=off -c -o .build/rubyhost_asan.test ./rubyhost
	cd rubyhost && ASAN_OPTIONS=detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigill=0:use_sigaltstack=0:detect_stack_use_after_return=0 \
		RUBYHOST_MIXED_CALLS=$(ASAN_CALLS) ../.build/rubyhost_asan.test -test.v -test.timeout 2h -test.run '^TestMixedCalls$$'

test/race: setup ## run the Go tests under the race detector
	$(GO) test -race -timeout 30m ./...

# The commits before the tables changed: the last ones of schema versions 5 to 8.
UPGRADE_FROM ?= c53ae84 ca4e7dd 13c3f44 41c88d0
empty :=
space := $(empty) $(empty)
test/upgrade: setup ## migrate while workers of versions before work (UPGRADE_FROM: the last commits of versions 5 to 8 of the tables)
	@rm -rf .build/upgrade && mkdir -p .build/upgrade
	@for commit in $(UPGRADE_FROM); do \
		git cat-file -e "$$commit^{commit}" 2>/dev/null || { echo "make test/upgrade: the commit $$commit is not here: it needs the history of the repository" >&2; exit 1; }; \
		mkdir .build/upgrade/source && git archive "$$commit" | tar -x -C .build/upgrade/source && \
		(cd .build/upgrade/source && $(GO) build -o "../$$commit" ./cmd/tasker-rb) && rm -rf .build/upgrade/source || exit 1; \
	done
	TASKER_UPGRADE_FROM=$(subst $(space),:,$(foreach commit,$(UPGRADE_FROM),$(CURDIR)/.build/upgrade/$(commit))) \
		$(GO) test -vet=off -count 1 -v -tags upgrade -parallel 4 -timeout 10m -run '^TestUpgrade' ./cmd/tasker-rb

# The tests with many random cases, of which make test tries some (internal/effort).
test/thorough: test/setup ## all cases of the tests that try some of them in make test
	TASKER_TEST_THOROUGH=1 $(GO) test -vet=off -count 1 -timeout 30m ./orchestration/... ./internal/verdict ./rubyhost
	TASKER_TEST_THOROUGH=1 $(GO) test -vet=off -count 1 -timeout 30m -run '^TestSoak(Controls|AgainstAnotherVersion)$$' ./cmd/tasker-rb

CHAOS_TASKS ?= 10000
CHAOS_FOR ?= 10m
chaos: setup ## CHAOS_TASKS tasks (default 10000) while processes, networks and servers fail, for CHAOS_FOR at most (default 10m)
	CHAOS_TASKS=$(CHAOS_TASKS) CHAOS_FOR=$(CHAOS_FOR) $(GO) test -vet=off -count 1 -v -timeout 30m -run '^TestChaos$$' ./orchestration
	FAILOVERS=20 $(GO) test -vet=off -count 1 -v -timeout 5m -run '^TestFailovers$$' ./orchestration

SOAK_CONTROLS ?= 20
soak/controls: test/setup ## tasker-rb soak on leaks and no leaks, SOAK_CONTROLS times each (default 20): cmd/tasker-rb/testdata/controls.txt
	TASKER_TEST_THOROUGH=1 SOAK_CONTROLS=$(SOAK_CONTROLS) $(GO) test -vet=off -count 1 -v -tags controls -timeout 6h -run '^TestSoakControls' ./cmd/tasker-rb

# The project's own proof. Each task has nine steps, and some attempts fail on purpose.
SOAK_TASKS ?= 140000
SOAK_THREADS ?= 8
SOAK_REPORT ?= .build/soak
soak: build test/setup ## a million steps that use all that a handler may use (SOAK_TASKS tasks of 9 steps, default 140000; SOAK_THREADS), with the report in .build/soak
	@mkdir -p $(SOAK_REPORT)
	cd test/ruby/soak/proof && $(abspath $(BIN)) soak template.yaml --require ./setup.rb --contexts contexts.rb --cancel-every 25 \
		--iterations $(SOAK_TASKS) --threads $(SOAK_THREADS) $(addprefix --report $(abspath $(SOAK_REPORT))/soak,.html .svg .png)

guard/update: test/setup ## accept what steps and calls cost now: write the testdata/costs.txt anew
	$(GO) test -vet=off -count 1 -run '^TestCosts$$' ./orchestration ./rubyhost -update

FUZZTIME ?= 1m
FUZZ ?= ./...
test/fuzz: setup ## fuzz the decoders of FUZZ (default ./...), FUZZTIME each (default 1m)
	@for p in $$($(GO) list $(FUZZ)); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
		done; \
	done

lint: setup ## gofmt, vet, staticcheck, C warnings, ruby -wc, sh -n
	@test -z "$$(gofmt -l $(GO_DIRS))" || { echo "not formatted (make fmt):"; gofmt -l $(GO_DIRS); exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags upgrade ./cmd/tasker-rb
	$(GO) vet -tags planted ./rubyhost ./cmd/tasker-rb
	$(GO) vet -tags controls ./cmd/tasker-rb
	cd bench && $(GO) vet ./...
	CGO_ENABLED=0 $(GO) vet $(PURE_GO)
	$(GO) run $(STATICCHECK) ./...
	cd bench && $(GO) run $(STATICCHECK) ./...
	@$(MAKE) --no-print-directory lint/ruby lint/signatures
	@for f in scripts/*.sh bench/*.sh; do sh -n $$f || exit 1; done; bash -n .ci/run; echo "sh -n: no error"

# These depend on the version of Ruby, so test/on runs them, too.
lint/ruby: setup # C warnings with this Ruby's headers, ruby -wc
	@for f in $(C_FILES); do \
		$(CC) $(C_WARNINGS) $$(pkg-config --cflags ruby | sed 's/-I/-isystem /g') -O2 -c $$f -o /dev/null || exit 1; \
	done; echo "C: $(words $(C_FILES)) files, no warning"
	@scripts/lint-ruby.sh "$(RUBY)"

# The classes of a layer stay loaded, so each suite of a layer runs by itself.
lint/signatures: test/setup # the YARD comments, the RBS signatures, and whether calls are as the signatures say
	@$(RUBY) scripts/signatures.rb --check
	@$(RUBY) -rrbs -rrbs/cli -e 'RBS::CLI.new(stdout: $$stdout, stderr: $$stderr).run(ARGV)' -- \
		$(foreach l,$(shell sed -n 's/.*name: /-r /p' rubyhost/ruby/sig/manifest.yaml),$l) -I rubyhost/ruby/sig validate --silent
	@printf '%s\n' "$(SIGNATURE_TESTS:%=test/ruby/unit/%_test.rb)" test/ruby/unit/compat/*_suite.rb | \
		xargs -P "$$(nproc)" -d '\n' -n 1 sh -c \
		'out=$$($(RUBY) -Irubyhost/ruby/lib test/ruby/signatures/run.rb $$0 2>&1) || { echo "$$out" >&2; exit 1; }; echo "signatures: $$(echo "$$out" | tail -1)"'

signatures: test/setup ## write the RBS signatures of the gem anew, from its comments
	@$(RUBY) scripts/signatures.rb

SIGNATURE_TESTS = sequence context step_handler events task_handler annotations api execution logging testing_checks testing_frameworks \
	testing_exactly_once testing_run_task testing_clock testing_faults

ROUNDS ?= 5
BENCH_FOR ?= 2s
TASKER_RB ?= $(BIN)
FILLED ?= 1000000
BENCH_FLAGS = -rounds $(ROUNDS) -for $(BENCH_FOR) -filled $(FILLED) -shapes '$(if $(PRUNE),prune,$(SHAPES))' -contenders '$(CONTENDERS)' -tasker-rb '$(abspath $(TASKER_RB))' \
	$(if $(BEFORE),-before '$(abspath $(BEFORE))')
bench: build ## tasker-rb beside other queues, ROUNDS times in turns (default 5); SHAPES=all measures more, BEFORE=PROGRAM another build
	cd bench && $(GO) run . $(BENCH_FLAGS)

bench/setup: setup ## install what the other queues of make bench need: Redis, Sidekiq, delayed_job
	@bench/setup.sh

test/bench: build ## the tests of the benchmark, with a few tasks for each contender
	cd bench && $(GO) test -vet=off -count 1 -timeout 10m ./...

BENCHTIME ?= 2s
bench/micro: setup ## measure the parts by themselves: the bridge, SQL from Ruby, the parser
	RUBYHOST_BENCH_THREADS=1 $(GO) test -run '^$$' -bench 'Empty|Task' -benchtime $(BENCHTIME) ./rubyhost
	RUBYHOST_BENCH_THREADS=8 $(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) ./rubyhost
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) ./templates/... ./orchestration/...

bench/suite: build ## time `tasker-rb test` on EXAMPLES examples (default 200) of a task of four steps
	@EXAMPLES=$(EXAMPLES) ROUNDS=$(ROUNDS) scripts/bench_suite.sh

bench/dev: build ## time `tasker-rb dev`, from a save to the first line of a handler, SAVES times (default 40)
	@SAVES=$(SAVES) scripts/bench_dev.sh

docs/pictures: ## draw docs/pictures/*.svg from the text beside them (needs graphviz, mscgen and the network)
	@scripts/pictures.sh

fmt: ## format the Go code
	gofmt -w $(GO_DIRS)

clean: ## remove what was built
	rm -rf bin .build
