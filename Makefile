# Every target is one plain command of the virtual environment; the README shows them too.

VENV ?= .venv
PYTHON ?=
ARGS ?=

BIN := $(VENV)/bin
# One stamp for each place of this folder: a moved or copied environment sets itself up again.
STAMP := $(VENV)/.ready-$(firstword $(shell pwd | cksum))

export PIP_DISABLE_PIP_VERSION_CHECK := 1
.DEFAULT_GOAL := help
.PHONY: help setup demo up test lint types bench faults soak fuzz mutants browser sbom lock FORCE

help: ## list the targets
	@awk 'BEGIN { FS = ":[^#]*## " } /^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	@printf '\n%s\n%s\n' 'ARGS= adds arguments: make demo ARGS=--once, make test ARGS="-k receipts -x"' \
		'PYTHON= and VENV= choose the interpreter and the folder of the virtual environment.'

setup: $(STAMP) ## make .venv with the pinned and hashed dependencies, and the command pruuf in it
	@echo "ready: $(BIN)/pruuf"

demo: $(STAMP) ## play one day on a real database and simulated providers; Ctrl-C ends it
	@$(BIN)/pruuf demo $(ARGS)

up: $(STAMP) ## run gateway, relay and dashboard here with the configured providers
	@$(BIN)/pruuf up $(ARGS)

test: $(STAMP) ## run every test that this machine can run, except the long ones
	$(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

lint: $(STAMP) ## check style and formatting
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: $(STAMP) ## check the types
	$(BIN)/python -m mypy $(ARGS)

bench: $(STAMP) ## measure intake and relay, each beside the raw limits of this machine
	$(BIN)/python -m tests.benchmarks $(ARGS)

faults: $(STAMP) ## kill processes and stop databases under load; takes minutes
	$(BIN)/python -m pytest tests/faults -m "(faults or long) and not soak" $(ARGS)

soak: $(STAMP) ## the longest: a soak, a year of billing, millions of rows; takes hours
	$(BIN)/python -m pytest tests -m soak -s $(ARGS)

fuzz: $(STAMP) ## an hour of bent bytes against every parser; PRUUF_FUZZ_MINUTES= says otherwise
	$(BIN)/python -m pytest tests/fuzz -m "not long" -s $(ARGS)

mutants: $(STAMP) ## break the code on purpose, one bug after the other; each has to be noticed
	$(BIN)/python -m tests.mutants $(ARGS)

browser: $(STAMP) ## look at the dashboard with a headless Chromium
	$(BIN)/python -m pytest tests/browser -m browser $(ARGS)

sbom: $(STAMP) ## list what is installed, with versions and licences, in sbom.json (CycloneDX)
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON \
		--output-file sbom.json $(BIN)/python

lock: $(STAMP) ## pin and hash the dependencies again; ARGS=--upgrade takes newer versions
	$(BIN)/uv pip compile pyproject.toml --group dev --python-version 3.11 --universal \
		--generate-hashes --no-header --no-config --no-emit-index-url --no-emit-find-links \
		--output-file requirements.lock $(ARGS)

# The first Python that runs, is new enough, and can make a virtual environment; the one of an
# environment that is there already comes first.
define PROBE
import sys
if sys.version_info < (3, 11):
    sys.exit(f"{sys.executable} is Python {sys.version.split()[0]}; 3.11 or newer is needed")
try:
    import ensurepip, ssl, venv
except ImportError as error:
    sys.exit(f"{sys.executable} lacks the module {error.name}; on Debian and Ubuntu: "
             f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv")
endef
export PROBE

# A vanished interpreter, or another one asked for, makes the environment anew.
ifeq ($(wildcard $(BIN)/python),)
$(STAMP): FORCE
else ifneq ($(PYTHON),)
ifneq ($(shell $(BIN)/python -V 2>&1),$(shell $(PYTHON) -V 2>&1))
$(STAMP): FORCE
endif
endif
FORCE:

$(STAMP): requirements.lock pyproject.toml
	@set -e; \
	python=; said=; \
	for name in $(or $(PYTHON),$(BIN)/python python3 python3.14 python3.13 python3.12 python3.11 python); do \
		if why=$$("$$name" -c "$$PROBE" 2>&1); then python=$$name; break; fi; \
		case $$why in *needed*|*lacks*) said="$$said\n  $$why" ;; esac; \
	done; \
	if [ -z "$$python" ]; then \
		printf 'No usable Python 3.11 or newer$(if $(PYTHON), at $(PYTHON)).%b\n' "$$said" >&2; \
		echo 'Install one, or name it: make setup PYTHON=/path/to/python3' >&2; \
		exit 1; \
	fi; \
	version=$$("$$python" -c 'import sys; print(sys.version.split()[0])'); \
	found=$$($(BIN)/python -c 'import sys; print(sys.version.split()[0])' 2>/dev/null || true); \
	if [ "$$found" != "$$version" ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		echo "making $(VENV) with Python $$version"; \
		"$$python" -m venv --clear "$(VENV)"; \
	fi; \
	count=$$(grep -c '^[A-Za-z0-9]' requirements.lock); \
	echo "installing $$count pinned packages into $(VENV): a minute or two the first time"; \
	$(BIN)/python -m pip install -q --require-hashes -r requirements.lock; \
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .; \
	touch $@
