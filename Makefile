# mycompose. `make help` lists the targets.

GO      ?= go
export CGO_ENABLED = 0
# Versions are linked in; asking git for one fails in a checkout of another user.
export GOFLAGS := $(GOFLAGS) -buildvcs=false
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w
PARTS   := cmd/parts/bin
# Calls stay calls in what is seldom or never busy: the small program weighs 37 KB less.
SMALLFLAGS := -gcflags=fmt=-l -gcflags=time=-l -gcflags=github.com/mycompose/mycompose/network/proxy=-l
# Packages whose tests need neither root nor the network, under the race
# detector too; BuildKit is left out of it for the minutes its build takes.
RACE     = $(shell $(GO) list ./... 2>/dev/null | grep -v -e /builder -e /e2e -e /cmd/mycompose$$)

.PHONY: help setup modules build man demo test unit race root-test e2e lint vet-arm64 peers bench bench-write bench-check soak fuzz golden build-faults test-crash test-fresh test-vm clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install what is missing on a Debian machine
	@sh e2e/setup.sh

# What the linker writes, through a mapping, lies in the page cache page by page; a
# copy, like what was downloaded or installed, lies there in large folios, and each
# command begins with a millisecond less of page faults.
build: ## build the one file, bin/mycompose
	@mkdir -p bin $(PARTS)
	$(GO) build -trimpath $(SMALLFLAGS) -ldflags '$(LDFLAGS)' -o $(PARTS)/small ./cmd/small
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/builder ./cmd/builder
	$(GO) run ./cmd/parts/pack bin/builder $(PARTS)/builder.zst
	$(GO) build -trimpath -ldflags '$(LDFLAGS) -X main.version=$(VERSION)' -o bin/linked ./cmd/mycompose
	@cmp -s bin/linked bin/mycompose || cp --remove-destination bin/linked bin/mycompose

# The parts of the second binary are laid over those of the product.
FAULTS := bin/faults
build-faults: ## build bin/faults/mycompose, which can be made to fail (engine/fault)
	@mkdir -p $(FAULTS) $(PARTS)
	$(GO) build -tags faults -trimpath $(SMALLFLAGS) -ldflags '$(LDFLAGS)' -o $(FAULTS)/small ./cmd/small
	$(GO) build -tags faults -trimpath -ldflags '$(LDFLAGS)' -o $(FAULTS)/builder ./cmd/builder
	$(GO) run ./cmd/parts/pack $(FAULTS)/builder $(FAULTS)/builder.zst
	@printf '{"Replace":{"%s/$(PARTS)/small":"%s/$(FAULTS)/small","%s/$(PARTS)/builder.zst":"%s/$(FAULTS)/builder.zst"}}\n' \
		"$(CURDIR)" "$(CURDIR)" "$(CURDIR)" "$(CURDIR)" > $(FAULTS)/overlay.json
	$(GO) build -tags faults -overlay $(FAULTS)/overlay.json -trimpath -ldflags '$(LDFLAGS) -X main.version=$(VERSION)-faults' -o $(FAULTS)/mycompose ./cmd/mycompose

modules: # a module proxy that fails once should not fail the tests
	@sh e2e/again.sh $(GO) list -deps -test ./... >/dev/null

test-crash: build-faults ## kill and fail at every seam of every operation; writes e2e/crash.txt
	MYCOMPOSE_ROOT_TESTS=1 MYCOMPOSE_CRASH=all $(GO) test -count 1 -timeout 60m -v ./e2e/crash

demo: ## set up, build, run examples/flask-redis and show it answering
	@sh examples/demo.sh

test: setup modules build build-faults vet-arm64 ## everything: unit, race, root tests, e2e
	@sh e2e/test.sh

unit: ## tests that need neither root nor the network
	MYCOMPOSE_ROOT_TESTS=0 $(GO) test ./...

race: ## the unit tests under the race detector
	CGO_ENABLED=1 MYCOMPOSE_ROOT_TESTS=0 $(GO) test -race $(RACE)

root-test: build build-faults ## root tests on the real kernel, one package at a time
	MYCOMPOSE_ROOT_TESTS=1 $(GO) test -p 1 ./...

e2e: build build-faults ## the whole binary on the real kernel
	MYCOMPOSE_ROOT_TESTS=1 $(GO) test -count 1 -v ./e2e/...

lint: ## gofmt, vet, staticcheck; golangci-lint where it is installed
	@sh e2e/lint.sh

vet-arm64:
	GOARCH=arm64 $(GO) vet ./...

peers: setup ## install or build what make bench compares with
	@sh e2e/bench/peers.sh

man: build ## write the manual pages into bin/man
	bin/mycompose man bin/man

# QUICK=1: fewer rounds. ROWS: a regular expression that picks rows.
BENCH = $(GO) run ./e2e/bench $(if $(QUICK),-quick) $(if $(ROWS),-rows '$(ROWS)')
bench: build ## the numbers of the design beside the peers'; QUICK=1, ROWS=regexp
	@$(BENCH)

bench-write: build ## bench, into README.md and e2e/bench/ratios.json
	@$(BENCH) -write

bench-check: build ## bench, and what is worse by a quarter than those ratios; fails nothing
	@$(BENCH) -check

DURATION ?= 1h
soak: build ## a busy hundred of containers for DURATION (1h); draws e2e/soak/soak.svg
	@$(GO) run ./e2e/soak -duration $(DURATION)

fuzz: ## each fuzz target for 20 seconds
	@sh e2e/fuzz.sh

golden: ## re-record the golden files; review the diff
	MYCOMPOSE_ROOT_TESTS=0 $(GO) test ./compose/load ./compose/plan ./cmd/ui ./network/firewall -update

test-fresh: ## make demo and make test in a Debian root with only Go, make and git
	@sh e2e/fresh.sh

test-vm: build build-faults ## root tests under Debian's kernel, cgroup v2 and systemd, in qemu
	@sh e2e/vm.sh

clean: ## remove what build made
	rm -rf bin $(PARTS)/small $(PARTS)/builder.zst
