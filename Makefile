# Two targets do all the set-up on a fresh machine: `make demo` and `make test`.
# The rest are the steps that they are made of.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup setup-test build demo test lint unit integration install uninstall deb docs picture image controller-image \
        compose-test vm-test bench fuzz clean

TRIPLE := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Programs for the tests that scripts/setup installs where the machine has none.
export PATH := $(PATH):$(abspath $(TARGET))/tools/bin

# Where `make install` puts things, and the folder with the programs that it takes.
PREFIX ?= /usr/local
DESTDIR ?=
BIN ?= bin
export PREFIX DESTDIR BIN

help: ## Show the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: ## Install what running a lab needs (Debian packages), and say what.
	@scripts/setup run

setup-test: ## Install what the tests need as well.
	@scripts/setup test

build: setup ## Build labctl and the node, and put both into bin/.
	cargo build --release --locked --bin labctl --bin overlay-node
	@mkdir -p bin
	@install -m 755 $(addprefix $(TARGET)/$(TRIPLE)/release/,labctl overlay-node) bin/
	@echo "built: bin/labctl  (export PATH=\"$$PWD/bin:\$$PATH\" to call it as labctl)"

demo: build ## Measure logins in Exp A, B and C, and print the table next to the published one; with plots in report.html. As any user.
	@bin/labctl reproduce --html report.html
	@echo "with plots and ladder diagrams: $$PWD/report.html"

test: setup-test lint unit integration ## Everything that CI checks.

lint: setup-test ## Format, clippy with warnings denied, licences and duplicate versions.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	cargo fetch --locked --quiet
	cargo deny --offline --locked check bans licenses sources

unit: setup-test ## Tests that need neither root nor an engine.
	cargo test --workspace --locked --lib --bins

integration: setup-test ## Tests that build real labs; they need root. Those of Docker Engine run where it is.
	cargo build --locked --bin labctl --bin overlay-node
	@scripts/as-root scripts/integration $(TARGET)/$(TRIPLE)/debug/labctl

install: ## Install what `make build` made below PREFIX (/usr/local): programs, manual, completions, profiles, topologies.
	@scripts/install

uninstall: ## Remove what `make install` installed.
	@scripts/install --remove

deb: build ## Make a Debian package of it: labctl_VERSION_ARCH.deb.
	@scripts/deb

docs: build ## Write what is made from the code: docs/commands.md and docs/schema/.
	bin/labctl man --markdown > docs/commands.md
	for kind in topology profile firewall; do bin/labctl schema $$kind > docs/schema/$$kind.json || exit 1; done

picture: build setup-test ## Record docs/images/session.svg: the main job in a real lab, as the terminal shows it.
	@scripts/record docs/images/session.svg

image: build ## Build the node's image with docker build, as node-image/Dockerfile describes it.
	docker build --tag labctl/node:local --file node-image/Dockerfile bin

controller-image: build ## Build the controller's image from an image made of this machine's own files.
	scripts/controller-image

compose-test: build ## Bring a lab up and down from the controller's container.
	@scripts/as-root scripts/compose-test

vm-test: ## Test both WAN engines in a virtual machine whose kernel has netem (Debian's; needs qemu-system-x86).
	cargo build --locked --bin labctl
	cargo test --no-run --locked -p labctl --test wan_engines
	scripts/vm-test

bench: build ## Run the benchmarks; figures and commands are in docs/benchmarks.md.
	@scripts/as-root bench/run

fuzz: ## Run each fuzz target for a minute, with the stable toolchain.
	@scripts/fuzz

clean: ## Remove what was built.
	cargo clean
	rm -rf bin
