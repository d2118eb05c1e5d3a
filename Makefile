# Two targets do all the set-up on a fresh machine: `make demo` and `make test`.
# The rest are the steps that they are made of.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup setup-test build demo test lint unit integration image controller-image compose-test bench clean

TRIPLE := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## Show the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: ## Install what running a lab needs (Debian packages), and say what.
	@scripts/setup run

setup-test: ## Install what the tests need as well.
	@scripts/setup test

build: setup ## Build labctl and the node, and put both into bin/.
	cargo build --release --locked --bin labctl --bin overlay-node
	@mkdir -p bin
	@install -m 755 $(TARGET)/$(TRIPLE)/release/labctl $(TARGET)/$(TRIPLE)/release/overlay-node bin/
	@echo "built: bin/labctl  (export PATH=\"$$PWD/bin:\$$PATH\" to call it as labctl)"

demo: build ## Bring up Exp A, B and C, measure logins, and print the table next to the published one.
	@scripts/as-root bin/labctl reproduce

test: setup-test lint unit integration ## Everything that CI checks.

lint: setup-test ## Format, clippy with warnings denied, licences and duplicate versions.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	cargo fetch --locked --quiet
	cargo deny --offline --locked check bans licenses sources

unit: setup-test ## Tests that need neither root nor an engine.
	cargo test --workspace --locked --lib --bins

integration: setup-test ## Tests that build real labs; they need root and Docker Engine.
	cargo build --locked --bin labctl --bin overlay-node
	@scripts/as-root $$(command -v cargo) test --workspace --locked --test '*'

image: build ## Build the node's image with docker build, as node-image/Dockerfile describes it.
	docker build --tag labctl/node:local --file node-image/Dockerfile bin

controller-image: build ## Build the controller's image from an image made of this machine's own files.
	scripts/controller-image

compose-test: build ## Bring a lab up and down from the controller's container.
	@scripts/as-root scripts/compose-test

bench: build ## Run the benchmarks; figures and commands are in docs/benchmarks.md.
	@scripts/as-root bench/run

clean: ## Remove what was built.
	cargo clean
	rm -rf bin
