# make help lists what there is to make.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GORELEASER := github.com/goreleaser/goreleaser/v2@v2.15.1
CYCLONEDX := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
GOTESTSUM := gotest.tools/gotestsum@v1.13.0
MODULES := . benchmarks console cmd/carillon examples examples/chat internal/release observe/otel observe/prometheus storage/sqlite storage/sqlite/internal/drivers storage/storagetest/linearizability
CORE_BENCHMARKS := ./broker ./pusher ./presence ./ratelimit ./storage/memory ./internal/wheel
FUZZTIME ?= 30s
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Where Debian has nginx and HAProxy, which only root's PATH has.
export PATH := $(PATH):/usr/sbin

## chat: install, build and run the chat example, at ADDR if that is given; with DEMO=1 people are there already
.PHONY: chat
chat: examples/chat/web/dist
	go run ./examples/chat -web examples/chat/web/dist

examples/chat/web/dist: $(shell find examples/chat/web clients/pusher-resume/src -type f -not -path '*/node_modules/*' -not -path '*/dist/*') | node
	cd examples/chat/web && npm ci --no-audit --no-fund && npm run build
	touch $@

## test: every check and every test; installs what it needs
.PHONY: test
test: lint test-go addon conformance e2e

## lint: gofmt, go vet and staticcheck in every module
.PHONY: lint
lint:
	@unformatted="$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go'))"; \
	if [ -n "$$unformatted" ]; then echo "not gofmt-clean:"; echo "$$unformatted"; exit 1; fi
	@failed=(); for m in $(MODULES); do echo "lint $$m"; \
	(cd $$m && go vet ./... && go run $(STATICCHECK) ./...) || failed+=("$$m"); done; \
	if [ "$${#failed[@]}" -gt 0 ]; then echo "not clean: $${failed[*]}"; exit 1; fi

## test-go: the Go tests of every module, with the race detector
.PHONY: test-go
test-go: debian
	@failed=(); for m in $(MODULES); do echo "go test $$m"; \
	(cd $$m && go run $(GOTESTSUM) --format pkgname --format-hide-empty-pkg -- -race ./...) || failed+=("$$m"); done; \
	if [ "$${#failed[@]}" -gt 0 ]; then echo "failed: $${failed[*]}"; exit 1; fi

## addon: clients/pusher-resume, built, tested and packed
.PHONY: addon
addon: clients/pusher-resume/dist
	cd clients/pusher-resume && npm test

clients/pusher-resume/dist: $(shell find clients/pusher-resume -type f -not -path '*/node_modules/*' -not -path '*/dist/*') | node
	cd clients/pusher-resume && npm ci --no-audit --no-fund && npm run build
	touch $@

## conformance: the official clients against cmd/carillon
.PHONY: conformance
conformance: debian node clients/pusher-resume/dist
	cd conformance && npm ci --no-audit --no-fund && npm test

## e2e: the chat, the console, and pusher-js with and without WebSocket, in real browsers
.PHONY: e2e
e2e: debian examples/chat/web/dist clients/pusher-resume/dist
	@failed=0; (cd examples/chat/web && npm test && npm run e2e) || failed=1; \
	(cd console/e2e && npm ci --no-audit --no-fund && npm test) || failed=1; \
	(cd conformance/browser && npm ci --no-audit --no-fund && npm test) || failed=1; exit $$failed

## soak: for half an hour what tests do briefly: 200 cuts of every client of the add-on and of three who chat, kill -9 and power cuts under SQLite; SEED repeats the cuts of a run
.PHONY: soak
soak: debian clients/pusher-resume/dist examples/chat/web/dist
	cd storage/sqlite && go test -count 1 -timeout 30m -v -run '^(TestKill|TestPowerCuts)$$' . -kills 100 -power-cuts 1000
	cd conformance && npm ci --no-audit --no-fund && CUTS=200 npm test -- tests/resume.test.mjs
	cd conformance/browser && npm ci --no-audit --no-fund && CUTS=200 node --test --test-force-exit resume.test.mjs
	cd examples/chat/web && npm run soak

## looks: pictures of every state of the chat, in three widths, light and dark, in SHOTS
.PHONY: looks
looks: debian examples/chat/web/dist
	cd examples/chat/web && npm run looks

## console-looks: pictures of every state of the console, in three widths, light and dark, in SHOTS
.PHONY: console-looks
console-looks: debian node
	cd console/e2e && npm ci --no-audit --no-fund && npm run looks

## pictures: the README's pictures of the chat and the console, in docs/pictures
.PHONY: pictures
pictures: debian examples/chat/web/dist
	cd console/e2e && npm ci --no-audit --no-fund && node pictures.mjs

# What the tests need besides Go and Node: a C compiler for the race detector,
# browsers (or CHROMIUM and FIREFOX, which say where they are), certificates, proxies,
# and what reads the documents' PHP, Python and Ruby.
.PHONY: debian
debian:
	@missing=(); \
	need() { command -v "$$1" >/dev/null || missing+=("$${@:2}"); }; \
	need git git; need gcc gcc libc6-dev; need openssl openssl; \
	need nginx nginx-light; need caddy caddy; need haproxy haproxy; \
	need php php-cli; need python3 python3; need ruby ruby; need prometheus prometheus; \
	need "$${CHROMIUM:-chromium}" chromium; need "$${FIREFOX:-firefox-esr}" firefox-esr; \
	if [ "$${#missing[@]}" -eq 0 ]; then exit; fi; \
	if ! command -v apt-get >/dev/null; then echo "install what the tests need: $${missing[*]}"; exit 1; fi; \
	$(SUDO) apt-get update; \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$${missing[@]}"

.PHONY: node
node:
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' || \
	{ echo "Node 20.19 or newer is needed"; exit 1; }

## tidy: go mod tidy in every module, and go.work, against what is here
.PHONY: tidy
tidy:
	go run ./internal/release tidy

## release: make the modules ask each other for VERSION, and prove that the server can be installed from that
.PHONY: release
release:
	@test -n "$(VERSION)" || { echo "make release VERSION=v0.1.0"; exit 1; }
	go run ./internal/release release $(VERSION)

## sbom: what the server is made of, as CycloneDX, and the licences to pass on with it, in SBOM (.cache/sbom)
SBOM ?= .cache/sbom
.PHONY: sbom
sbom:
	mkdir -p $(SBOM)
	CGO_ENABLED=0 go build -trimpath -o $(SBOM)/carillon ./cmd/carillon
	go run ./internal/release licenses $(SBOM)/carillon > $(SBOM)/THIRD_PARTY_LICENSES.txt
	go run $(CYCLONEDX) bin -json -output $(SBOM)/carillon.cdx.json $(SBOM)/carillon

## goreleaser-check: check .goreleaser.yaml with GoReleaser itself, which takes minutes to build the first time
.PHONY: goreleaser-check
goreleaser-check:
	go run $(GORELEASER) check

## fresh: what the README and docs/ tell newcomers to do, in a bare Debian in a folder; STEPS are some of chat, install, docs and test
STEPS ?= chat install docs test
.PHONY: fresh
fresh:
	$(SUDO) env PATH="$$PATH" packaging/fresh.sh $(STEPS)

## bench: the benchmarks of the core
.PHONY: bench
bench:
	go test -run '^$$' -bench . -benchmem $(CORE_BENCHMARKS)

## bench-sqlite: storage/sqlite beside a bare table of the same driver, for some minutes on a machine with nothing else to do
.PHONY: bench-sqlite
bench-sqlite:
	go run ./storage/sqlite/internal/bench

## bench-peers: Carillon beside its peers; writes benchmarks/RESULTS.md
.PHONY: bench-peers
bench-peers:
	cd benchmarks && go run .

## attack: what attacks cost a server of this tree, beside one of the commit BEFORE if that is given
.PHONY: attack
attack:
	@dir="$$(mktemp -d)"; servers=(); \
	trap 'rm -rf "$$dir"; git worktree prune' EXIT; \
	if [ -n "$(BEFORE)" ]; then \
	  git worktree add -q --detach "$$dir/tree" $(BEFORE); \
	  (cd "$$dir/tree" && go build -o "$$dir/before" ./cmd/carillon); \
	  servers+=(-server "before=$$dir/before"); \
	fi; \
	go build -o "$$dir/after" ./cmd/carillon; \
	cd benchmarks; go run ./attack "$${servers[@]}" -server "after=$$dir/after" $(ATTACK); \
	echo "in process:"; go run ./attack/inprocess; go run ./attack/lookup

## mutants: break the rules of a channel's order one by one, and see that tests find it
.PHONY: mutants
mutants:
	go test -tags mutants -count=1 -timeout 30m -v ./internal/mutants

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
