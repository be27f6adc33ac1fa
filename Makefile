# Targets for people and for CI; `make` lists them.

BIN     := $(CURDIR)/bin
BINARY  := $(BIN)/meshwright
VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo unknown)

# One set of flags for every build, so that they share the build cache.
GOBUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags='-s -w -X main.version=$(VERSION)'

# The race detector needs a C compiler; without one the same tests run plain.
RACE := $(shell command -v $$(go env CC) >/dev/null 2>&1 && echo -race)
GOTEST := $(if $(RACE),CGO_ENABLED=1,CGO_ENABLED=0) go test $(RACE)

FUZZTIME  ?= 10s
BENCHTIME ?= 1s

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.PHONY: build
build: ## build bin/meshwright
	$(GOBUILD) -o $(BINARY) ./cmd/meshwright

.PHONY: run
run: build ## start a node with the example fleet; stop it with Ctrl-C
	@BINARY=$(BINARY) ./deploy/example/run.sh

.PHONY: test
test: ## all unit and integration tests, with the race detector where there is a C compiler
	@$(if $(RACE),,echo 'no C compiler: the tests run without the race detector')
	$(GOTEST) ./...

.PHONY: istiod
istiod: ## build the istiod that e2e tests drive (ten CPU-minutes the first time)
	cd test && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags='-s -w' -o $(BIN)/istiod istio.io/istio/pilot/cmd/pilot-discovery

.PHONY: e2e
e2e: build istiod ## whole-system tests with real istiods and a proxyless gRPC client
	cd test && CGO_ENABLED=0 MESHWRIGHT_BINARY=$(BINARY) MESHWRIGHT_ISTIOD=$(BIN)/istiod go test -count=1 -trimpath -buildvcs=false -timeout=20m ./...

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (10s)
	@for p in $$(go list ./...); do \
	  for f in $$(CGO_ENABLED=0 go test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; CGO_ENABLED=0 go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; \
	done

.PHONY: bench
bench: build istiod ## run the benchmarks, those with a real istiod too; read them with benchstat
	CGO_ENABLED=0 go test -run '^$$' -bench . -benchtime $(BENCHTIME) -benchmem ./...
	cd test && CGO_ENABLED=0 MESHWRIGHT_BINARY=$(BINARY) MESHWRIGHT_ISTIOD=$(BIN)/istiod go test -trimpath -buildvcs=false -run '^$$' -bench . -benchtime $(BENCHTIME) .

.PHONY: check
check: ## gofumpt, go vet, staticcheck
	@unformatted=$$(CGO_ENABLED=0 go tool gofumpt -l . ); test -z "$$unformatted" || { echo "not gofumpt-ed: $$unformatted"; exit 1; }
	CGO_ENABLED=0 go vet ./...
	CGO_ENABLED=0 go tool staticcheck ./...
	cd test && CGO_ENABLED=0 go vet -trimpath ./...

.PHONY: lint
lint: ## golangci-lint, from a module of its own (its first build takes minutes)
	CGO_ENABLED=0 go tool -modfile=lint.mod golangci-lint run ./...

.PHONY: clean
clean: ## remove what the targets made
	rm -rf $(BIN) ./data
