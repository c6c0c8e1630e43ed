# The steps that a change must pass. .ci/run calls them all, in this order.
#
#   make test             needs only Go
#   make -j1 all          also needs Python 3 and the package registries
#   make fuzz FUZZ=2s     fuzzes each target for 2 seconds

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

# Where acceptance keeps its lakes and its Python environment, which bench uses.
WORK ?= $(or $(TMPDIR),/tmp)/prospector-acceptance
# How long each fuzz target runs. If it is empty, .ci/fuzz decides.
FUZZ ?=
# The trials with a disturbed emulator of Cloud Storage. All of them, which take about ten
# minutes: make faults FAULTS=2000 SPEEDUP=1
FAULTS ?= 200
SPEEDUP ?= 16
SEED ?= 1

.PHONY: all build lint test race fuzz faults acceptance bench clean
all: lint build test race fuzz faults acceptance bench

# The tag leaves out gRPC's DirectPath, which prospector does not use: docs/performance.md.
build:
	CGO_ENABLED=0 go build -trimpath -tags disable_grpc_modules -ldflags '-s -w' -o bin/prospector ./cmd/prospector

lint:
	unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt would change: $$unformatted"; exit 1; }
	go mod tidy -diff
	go -C .ci/tools mod tidy -diff
	go vet ./...
	go tool -modfile .ci/tools/go.mod golangci-lint run ./...

test:
	go test ./...

# Packages with several goroutines. Tests that measure memory are left out, because they
# would measure the memory of the race detector.
race:
	go test -race -timeout 40m -skip 'TakeLittleMemory|TakesLittleMemory' ./extract ./extract/spool ./sink ./sink/stage ./sink/parquetfile ./sink/store/... ./jobs/run ./jobs/state ./jobs/config ./jobs/publish ./jobs/read ./jobs/reconcile ./jobs/quarantine

fuzz:
	bash .ci/fuzz $(FUZZ)

faults:
	go run ./cmd/gcsfaults trials -faults $(FAULTS) -speedup $(SPEEDUP) -seed $(SEED)

acceptance: build
	rm -rf "$(WORK)"
	mkdir -p "$(WORK)"
	bash .ci/acceptance "$(CURDIR)/bin/prospector" "$(WORK)"

bench:
	python="$(WORK)/venv/bin/python"; go run ./cmd/bench -guard $$([ ! -x "$$python" ] || echo "-python=$$python")

clean:
	rm -rf bin "$(WORK)"
