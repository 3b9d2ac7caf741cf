# make help lists what there is to make.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
MODULES := . examples benchmarks
CORE_BENCHMARKS := ./broker ./pusher ./presence ./ratelimit ./storage/memory ./internal/wheel
FUZZTIME ?= 30s
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

## chat: install, build and run the chat example
.PHONY: chat
chat: examples/chat/web/dist
	go run ./examples/chat -web examples/chat/web/dist

examples/chat/web/dist: $(shell find examples/chat/web -type f -not -path '*/node_modules/*' -not -path '*/dist/*')
	cd examples/chat/web && npm ci --no-audit --no-fund && npm run build
	touch $@

## test: every check and every test; installs what it needs
.PHONY: test
test: lint test-go conformance e2e

## lint: gofmt, go vet and staticcheck in every module
.PHONY: lint
lint:
	@unformatted="$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go'))"; \
	if [ -n "$$unformatted" ]; then echo "not gofmt-clean:"; echo "$$unformatted"; exit 1; fi
	@for m in $(MODULES); do echo "lint $$m"; (cd $$m && go vet ./... && go run $(STATICCHECK) ./...); done

## test-go: the Go tests of every module, with the race detector
.PHONY: test-go
test-go:
	@for m in $(MODULES); do echo "go test $$m"; (cd $$m && go test -race ./...); done

## conformance: the official clients against examples/standalone
.PHONY: conformance
conformance: debian
	cd conformance && npm ci --no-audit --no-fund && npm test

## e2e: the chat, and pusher-js without WebSocket, in a real browser
.PHONY: e2e
e2e: debian examples/chat/web/dist
	cd examples/chat/web && npm run e2e
	cd conformance/browser && npm ci --no-audit --no-fund && npm test

# What the tests need besides Go and Node, on Debian.
.PHONY: debian
debian:
	@for p in chromium nginx openssl; do command -v $$p >/dev/null || missing="$${missing:-} $$p"; done; \
	if [ -n "$${missing:-}" ]; then \
	  $(SUDO) apt-get update && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $${missing/nginx/nginx-light}; \
	fi

## bench: the benchmarks of the core
.PHONY: bench
bench:
	go test -run '^$$' -bench . -benchmem $(CORE_BENCHMARKS)

## bench-peers: Carillon beside its peers; writes benchmarks/RESULTS.md
.PHONY: bench-peers
bench-peers:
	cd benchmarks && go run .

## fuzz: every fuzz target for FUZZTIME (30s)
.PHONY: fuzz
fuzz:
	@for file in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
	  for target in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$file | cut -c6-); do \
	    echo "$$target in $$(dirname $$file)"; \
	    (cd $$(dirname $$file) && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) .); \
	  done; \
	done

## help: this list
.PHONY: help
help:
	@grep -h '^## ' $(MAKEFILE_LIST) | sed 's/^## /  make /'
