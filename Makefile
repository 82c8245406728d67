SHELL := /bin/bash
export PATH := $(CURDIR)/.tools/bin:$(PATH)

SOCKET    ?= /run/berth/berth.sock
DATA_ROOT ?= /var/lib/berth
EXEC_ROOT ?= /run/berth
FLAGS     ?=
BENCH     ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: build ## what berth does, shown step by step and checked, on hosts of its own
	@tools/demo.sh

test: build ## type check, unit tests, and the compatibility tests against a real daemon
	npm run --silent check
	npm run --silent test:unit
	npm run --silent test:compat

run: build ## the daemon in the foreground (SOCKET=, DATA_ROOT=, EXEC_ROOT=, FLAGS=)
	@mkdir -p $(dir $(SOCKET))
	@echo 'export DOCKER_HOST=unix://$(SOCKET)'
	@command -v docker | grep -q '^$(CURDIR)/.tools/' && echo 'export PATH=$(CURDIR)/.tools/bin:$$PATH' || true
	@exec node dist/main.js -H unix://$(SOCKET) --data-root $(DATA_ROOT) --exec-root $(EXEC_ROOT) --pidfile $(EXEC_ROOT)/berth.pid $(FLAGS)

soak: build ## kills, power cuts and hostile clients for a long time (SOAK_SECONDS=300), then a table; root
	@node --import tsx compat-tests/soak.ts

bench: build ## times and memory, beside the reference engine where there is one (BENCH='--slow --only ports')
	@npm run --silent bench -- $(BENCH)

build: dist/main.js ## dist/, after installing what is missing

install-tools: ## Debian packages and the docker CLI, where this machine lacks them
	@tools/install.sh

clean: ## removes what was built and installed in this directory
	rm -rf dist node_modules .tools

node_modules/.package-lock.json: package-lock.json | install-tools
	npm ci --no-audit --no-fund
	@touch $@

dist/main.js: node_modules/.package-lock.json package.json tsconfig.json tsconfig.build.json $(shell find src -name '*.ts') | install-tools
	npm run --silent build
	@touch $@

.PHONY: help demo test run soak bench build install-tools clean
