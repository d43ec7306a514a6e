.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# What `repomgr version` says. Outside a git checkout, or before its first commit, it is "dev".
VERSION := $(or $(shell git describe --tags --always --dirty 2>/dev/null),dev)

.PHONY: help
help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Build and start a server with docker repositories and its data in ./data
	bin/repomgr serve --data ./data --preset docker

.PHONY: build
build: ## Build the static binary bin/repomgr
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/repomgr ./cmd/repomgr

# The tests come last, so that what is seen at the end is go test's own output. -count=1: tests talk to programs whose
# changes Go's test cache doesn't see.
.PHONY: test
test: ## Set up, vet, lint, check generated code, fuzz for a short time, run all tests
	scripts/test-tools
	go vet ./...
	@$(MAKE) --no-print-directory lint
	scripts/check-generated
	scripts/fuzz
	race=$$(scripts/race) && go test $$race -count=1 -timeout 20m ./...

.PHONY: soak
soak: ## Run the long tests: SOAK each (10m), fuzz targets FUZZTIME each (1m)
	scripts/test-tools
	FUZZTIME=$${FUZZTIME:-1m} scripts/fuzz
	race=$$(scripts/race) && REPOMGR_TEST_SOAK=$${SOAK:-10m} go test $$race -count=1 -timeout 0 -v -run '^TestSoak' ./...

.PHONY: bench
bench: build ## Measure repomgr beside docker-registry and nginx; BENCH="-only push -rounds 1" for less, BENCH=-help for more
	scripts/test-tools
	go build -trimpath -o bin/bench ./scripts/bench
	exec bin/bench $(BENCH)

.PHONY: lint
lint: ## Run golangci-lint
	lint=$$(scripts/tool golangci-lint) && "$$lint" run --allow-serial-runners ./...

.PHONY: generate
generate: ## Generate code anew, from api/openapi.yaml among others
	go generate ./...

.PHONY: vuln
vuln: ## Look for known vulnerabilities; asks an online database
	go tool -modfile=tools/govulncheck/go.mod govulncheck ./...

.PHONY: clean
clean: ## Remove what was built; data and the tool cache stay
	rm -rf bin
