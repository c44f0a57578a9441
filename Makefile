# Everything a person does here, one word each. The work itself is in packaging/dev and tests/kit.

PY := .venv/bin/python
VENV := sh packaging/dev/venv.sh
TOP := PYTHONPATH=. $(PY)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test setup check test-fast fmt format lint types floors docs docs-check bench \
	ocpctl deb apt-repo test-packages formula lock clean

help:
	@awk -F ':.*## ' '/^##@/ { print "\n" substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

##@ To use it
run: ## Start ocpd. Not signed in: a demo with canned answers (LOGIN=required: stop instead)
	@$(VENV) build run
	@exec $(PY) -m tests.kit.demo $(ARGS)

##@ To work on it
test: setup format lint types floors docs-check ocpctl ## Everything CI runs
	@$(PY) -m pytest $(ARGS)
	@sh packaging/test/run.sh

check: setup format lint types floors docs-check test-fast ## The fast half of that: style, types, floors, quick tests

setup: ## Make .venv from the lock files: run time, tools, Claude CLI
	@$(VENV) build run dev cli

test-fast: setup ## Only the tests of that half
	@$(PY) -m pytest tests/arch tests/unit tests/property $(ARGS)

fmt: setup ## Format, and mend what ruff can mend
	@$(PY) -m ruff format --quiet
	@$(PY) -m ruff check --quiet --fix

format: setup ## Is everything formatted?
	@$(PY) -m ruff format --quiet --check || { echo "make fmt would format it"; exit 1; }

lint: setup ## ruff
	@$(PY) -m ruff check --quiet

types: setup ## mypy --strict
	@$(PY) -m mypy --no-error-summary

floors: setup ## Does any room look up or sideways? (import-linter)
	@$(PY) -c "from importlinter import cli; cli.lint_imports_command()" --no-logo

docs: setup ## Write the generated pages again
	@$(TOP) packaging/dev/write_docs.py
	@$(PY) packaging/dev/write_man.py

docs-check: setup ## Are the generated pages what the code says?
	@$(TOP) packaging/dev/write_docs.py --check
	@$(PY) packaging/dev/write_man.py --check

ocpctl: setup ## Freeze ocpctl into dist/ocpctl/ocpctl, and try each of its commands
	@sh packaging/ocpctl/build.sh

deb: ## Build the Debian packages into dist/deb (DEB_ARCH=arm64, DEB_VERSION=0.0.9)
	@DEB_ARCH="$(DEB_ARCH)" DEB_VERSION="$(DEB_VERSION)" DEB_OUT="$(DEB_OUT)" \
		sh packaging/deb/build.sh

apt-repo: ## Sign dist/deb as an apt repository in dist/apt (APT_KEY=... APT_URL=...)
	@sh packaging/apt/build.sh

test-packages: setup ## Try the packages in containers with a real systemd (root; else says why not)
	@sh packaging/test/run.sh $(ARGS)

formula: setup ## Write homebrew/ocpd.rb from the lock (ARGS=--help for a release)
	@$(PY) packaging/homebrew/write_formula.py $(ARGS)

bench: setup ## Time it, on this machine only
	@$(PY) -m bench $(ARGS)

lock: ## Pin what packaging/locks/*.in ask for (needs uv; ARGS=--upgrade for the newest)
	@sh packaging/dev/lock.sh $(ARGS)

clean: ## Remove everything that was made here
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
