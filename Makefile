# Ordeal. Two targets do everything, set-up included: "make run" and "make test".

GO ?= go
DRIVER ?= auto
ARGS ?=
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOTESTSUM := gotest.tools/gotestsum@v1.13.0
# The revision goes into the program where there is one; a tarball builds as well.
BUILDFLAGS := -trimpath -buildvcs=auto
TEST_TIMEOUT := 20m
STREAM ?= 200000
FUZZTIME ?= 20s
MIXED ?= node,node,apache node,apache,apache node,node,apache,apache,node

export CGO_ENABLED = 0

.PHONY: run build test unit race integration differential lint deps fuzz bench power mixed catalogue clean

run: build ## build and run the default test: make run DRIVER=process ARGS='--duration 20s'
	bin/ordeal run --driver $(DRIVER) $(ARGS)

build: ## build bin/ordeal, static
	$(GO) build $(BUILDFLAGS) -o bin/ordeal ./harness/cmd/ordeal

test: deps lint unit race integration ## everything, with what it needs installed first

deps: ## install what the tests need where that is allowed, name it otherwise
	.ci/install

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt: these files are not formatted: $$unformatted"; exit 1; fi
	$(GO) vet -tags integration ./...
	$(GO) run $(STATICCHECK) -tags integration ./...

unit: ## fast tests, all seeds
	$(GO) run $(GOTESTSUM) --format pkgname -- -timeout $(TEST_TIMEOUT) ./...

race: ## the same under the race detector, with fewer seeds; it needs a C compiler
	@if [ "$(CI)" != true ] && ! printf '#include <stdlib.h>\nint main(void) { return 0; }' | $$(CGO_ENABLED=1 $(GO) env CC) -x c -o /dev/null - 2>/dev/null; then \
		echo "SKIPPED the race detector for $$($(GO) list ./... | wc -l) packages: no C compiler works (apt-get install gcc libc6-dev)"; \
	else \
		CGO_ENABLED=1 $(GO) run $(GOTESTSUM) --format pkgname -- -race -short -timeout $(TEST_TIMEOUT) ./...; \
	fi

integration: build ## tests with Docker, Java and Apache ZooKeeper
	$(GO) run $(GOTESTSUM) --format testname -- -tags integration -run Integration -p 1 -parallel 1 -timeout $(TEST_TIMEOUT) ./...

differential: ## what make test asks our server and Apache's, alone and as ensembles, with another seed every time: no answer may differ
	ORDEAL_STREAM=$(STREAM) $(GO) test -tags integration -count 1 -run 'IntegrationStreamAgainstApache|IntegrationEnsemblesAgainstApache' -timeout 60m -v ./node/server

fuzz: ## feed everything that strangers can reach, each target for FUZZTIME; go test takes one at a time
	@for package in $$($(GO) list ./...); do \
		targets=$$($(GO) test -list '^Fuzz' $$package) || exit 1; \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$package || exit 1; \
		done; \
	done

bench: build ## measure speed, at last beside Apache ZooKeeper: benchmarks assert nothing
	$(GO) test -run '^$$' -bench . -benchtime 1s ./...
	@echo "where the simulator spends its time:"
	@mkdir -p bin
	$(GO) test -run '^$$' -bench BenchmarkSeed -benchtime 3s -o bin/sim.test -cpuprofile bin/sim.cpu ./harness/sim
	$(GO) tool pprof -top -nodecount 20 bin/sim.test bin/sim.cpu
	bin/ordeal bench --large $(ARGS)

power: build ## does the toolkit find every planted defect, and nothing in sound servers?
	bin/ordeal power $(ARGS)

mixed: build ## our node and Apache ZooKeeper in one ensemble, under every nemesis by every driver: is every run valid?
	bin/ordeal power $(addprefix --ensemble ,$(MIXED)) $(ARGS)

catalogue: build ## how fast does the simulator find every planted defect? writes node/defect/README.md
	bin/ordeal repro --measure node/defect/README.md

clean: ## remove what was built, and what killed runs left behind
	-[ -x bin/ordeal ] && bin/ordeal clean
	rm -rf bin
