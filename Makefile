# make help lists what there is.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT  ?= $(shell git rev-parse --verify --quiet HEAD 2>/dev/null || echo unknown)
FUZZTIME ?= 30s

# Tools that no package is built with; their own file keeps them from choosing versions for it.
TOOL := go tool -modfile=tools.mod

# The race detector needs a C compiler; the program itself never does.
RACE := $(if $(shell command -v gcc),-race,)

# What generated pages are dated by: the time of the commit.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH

# Its client says something even where nobody answers it.
DOCKER := $(shell docker info >/dev/null 2>&1 && echo yes)

.PHONY: no-docker help build manuals packages packaged test lint vet unit real pages browser monitoring trial vuln notices sbom soak picture bench demo demo-stop fuzz clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: ## bin/portreeve, one static program
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION) -X main.commit=$(COMMIT)' -o bin/portreeve ./cmd/portreeve

manuals: ## build/man and build/completions, of the texts of --help and docs/configuration.md
	rm -rf build/man build/completions
	CGO_ENABLED=0 go run -trimpath -tags manuals -buildvcs=false -ldflags '-X main.version=$(VERSION)' ./cmd/portreeve build

# The manuals in them have their version: that of git describe is shorter in a small clone.
packages: VERSION = $(or $(PACKAGE_VERSION),$(shell packaging/version.sh))
packages: manuals ## build/packages: .deb and .rpm for amd64 and arm64
	rm -rf build/packages
	packaging/build.sh build/packages

packaged: packages ## the packages: reproducible, lintian, and on clean hosts: install, stories, restart and upgrade under load, purge (Docker)
	@if docker info >/dev/null 2>&1; then for suite in bookworm trixie; do integration/image.sh $$suite || exit 1; done; fi
	@packaging/reproduce.sh & again=$$!; packaging/lint.sh & lint=$$!; integration/packaged/run.sh; status=$$?; \
	wait $$again || status=1; wait $$lint || status=1; exit $$status

# Where there is no Docker, no-docker says what is not tried; all else is.
test: lint vet vuln unit real pages browser monitoring $(if $(DOCKER),packaged trial,no-docker) ## everything: lint, vet, known vulnerabilities, the tests in-process, on real Postfix and Dovecot, of the documentation, in chromium, in Prometheus, of the packages, and contrib/docker

lint: ## gofumpt, staticcheck, and actionlint on the workflows
	@unformatted=$$(go tool gofumpt -l .) || exit 1; \
	if [ -n "$$unformatted" ]; then echo "not formatted, run go tool gofumpt -w on:"; echo "$$unformatted"; exit 1; fi
	go tool staticcheck -tags real,packaged ./...
	$(TOOL) actionlint -shellcheck= -pyflakes= .github/workflows/*.yml

# Whatever govulncheck finds fails; a build without a network goes on, and says so.
vuln: ## known vulnerabilities in what the program calls (govulncheck), where their database can be reached
	@found=$$($(TOOL) govulncheck ./... 2>&1); status=$$?; \
	case "$$status $$found" in \
	0*) echo "govulncheck: no known vulnerability is called" ;; \
	1*"fetching vulnerabilities"*) echo "govulncheck: its database cannot be reached from here, so nothing was looked up; make vuln says more where it can" ;; \
	*) echo "$$found"; exit 1 ;; esac

notices: ## renews THIRD_PARTY_NOTICES.md
	go run ./internal/thirdparty notices THIRD_PARTY_NOTICES.md

sbom: build ## bin/portreeve.cdx.json, the program's bill of materials (CycloneDX)
	go run ./internal/thirdparty sbom -version '$(VERSION)' bin/portreeve > bin/portreeve.cdx.json

vet: ## go vet
	go vet -tags real,packaged ./...
	go vet -tags manuals ./cmd/portreeve

unit: ## the tests in-process, with the race detector where gcc is
	@$(if $(RACE),:,echo "no gcc here: running the tests WITHOUT the race detector; apt-get install gcc libc6-dev")
	go test -timeout 25m $(RACE) ./...

real: ## the stories on real Postfix and Dovecot (Docker, or root on Debian)
	integration/run.sh

pages: ## every command of the documentation, on real Postfix and Dovecot (Docker, or root on Debian)
	integration/pages/run.sh

browser: ## the help-desk page in Debian's chromium (Docker, chromium here, or root on Debian)
	integration/browser/run.sh

monitoring: ## the alerts and the dashboard in Debian's Prometheus, on a daemon that runs (Docker, Prometheus here, or root on Debian)
	integration/monitoring/run.sh

trial: ## does what contrib/docker/README.md says, and compares the answers (Docker with compose)
	integration/trial/run.sh

no-docker: packages
	packaging/reproduce.sh
	@echo "no Docker here: the units, a restart and an upgrade under load, lintian and rpmlint, and contrib/docker are NOT tried; start Docker, then: make packaged trial"

soak: ## kills by the fifty, and SOAK_MINUTES (20) of mixed traffic with bad days in between, on the real programs
	KILLS=50 go test -count=1 -v -timeout 30m -run 'TestKilledUnderLoad|TestStoppedUnderLoad' ./internal/daemon
	TESTFLAGS='-tags real,soak -run TestSoak$$ -timeout 2h' TESTPACKAGES=./integration integration/run.sh bookworm

picture: ## renews docs/help-desk-page.png
	SHOTS=docs TESTFLAGS='-run TestPicture$$' integration/browser/run.sh

bench: ## measures everything and renews docs/performance.md (an hour; BENCHFLAGS='-only passes' for less)
	go run ./bench -docs docs $(BENCHFLAGS)

demo: ## a mail host to try by hand, and the documented refusals as a transcript
	demo/start.sh

demo-stop: ## ends the demo
	docker rm --force portreeve-demo

fuzz: ## every fuzz test for FUZZTIME each
	@go list ./... | while read -r package; do \
		for fuzz in $$(go test -list '^Fuzz' "$$package" | grep '^Fuzz'); do \
			echo "$$package $$fuzz"; \
			go test -run '^$$' -fuzz "^$$fuzz$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 2s "$$package" || exit 1; \
		done; \
	done

clean: ## removes what make made
	rm -rf bin build
