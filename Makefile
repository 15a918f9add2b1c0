# The project's jobs. Needs git, make and Python >= 3.11 with venv; everything else is installed,
# pinned by hash, into .venv by the first target that wants it. Paths are relative: a checkout may
# lie anywhere, also under a name with spaces.

SHELL := /bin/sh
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11
PY := .venv/bin/python
STAMP := .venv/.installed
SOURCES := $(shell find gatewayd -name '*.py')
# The hot modules become machine code where there is a C compiler; COMPILE=0 leaves them as they are.
COMPILE ?= 1
READY := .venv/.compiled-$(COMPILE)
PYTEST_JOBS ?= 2
QUICK ?=
KILLS ?= 50
SECONDS ?= 120
SOAK_MINUTES ?= 30
PREFIX ?= /usr/local
DESTDIR ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test guarantees check lint format types imports replay fuzz bench torture lab constraints clean \
  install uninstall deb deb-test

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## .venv with the pinned packages and gatewayd itself, its hot modules compiled

$(STAMP): constraints-dev.txt setup.cfg pyproject.toml
	@set -e; found=; for python in $${PYTHON:-$(PYTHONS)}; do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then found=$$python; break; fi; done; \
	if [ -z "$$found" ]; then \
	  echo "gatewayd needs Python 3.11 or later with venv (Debian: apt-get install python3-venv)" >&2; \
	  exit 1; fi; \
	"$$found" -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints-dev.txt
	GATEWAYD_COMPILE=0 $(PY) -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation -e .
	@touch $(STAMP)

# A compiled module hides its source, so it is made again, or goes, as soon as a source is newer.
PLAIN = rm -f .venv/.compiled-* .venv/lib/python*/site-packages/gatewayd__mypyc.* && \
  find gatewayd -name '*.so' -delete
$(READY): $(STAMP) setup.py $(SOURCES)
	@$(PLAIN)
	@if [ "$(COMPILE)" != 0 ]; then \
	  echo "compiling the hot modules, which takes a minute"; \
	  if $(PY) setup.py --quiet build_ext --inplace --parallel 2 >build.log 2>&1; then \
	    mv gatewayd__mypyc.* .venv/lib/python*/site-packages/ 2>/dev/null; \
	    find gatewayd -name '*.so' -exec touch {} +; \
	    grep '^gatewayd is not compiled' build.log; rm build.log; \
	  else $(PLAIN); tail -n 20 build.log; echo "gatewayd is not compiled, and slower: see build.log"; fi; fi
	@touch $(READY)

run: $(READY) ## the gateway on conf/demo.yaml with a simulated SMSC and a demo platform (Ctrl-C ends it)
	@exec .venv/bin/gatewayd demo

test: $(READY) ## the whole test suite, with the guarantees in their short form
	$(PY) -m pytest -q -n $(PYTEST_JOBS) --dist worksteal

guarantees: $(READY) ## of the tests, only the guarantees on running processes
	$(PY) -m pytest -q -n $(PYTEST_JOBS) --dist worksteal tests/guarantees -m rig

check: lint types imports replay test ## what CI runs: lint, types, import rules, Kannel's recorded cases, tests

lint: $(STAMP) ## ruff: rules and layout
	$(PY) -m ruff check
	$(PY) -m ruff format --check

format: $(STAMP) ## ruff: mend what can be mended
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

types: $(STAMP) ## mypy, strict
	$(PY) -m mypy

imports: $(STAMP) ## the layers import only downwards
	.venv/bin/lint-imports

replay: $(READY) ## the recorded cases of Kannel 1.4.5, against the shares of tests/kannel/minimum.json
	$(PY) tests/kannel/replay.py --target gatewayd --command ".venv/bin/gatewayd run -c {CONF}" \
	  --minimum tests/kannel/minimum.json -qq $(REPLAY)

bench: $(READY) ## rates, delays and targets beside Kannel, about 45 minutes (QUICK=1: a shorter look)
	$(PY) -m tests.bench.bench $(if $(QUICK),--quick) $(BENCH)

torture: $(READY) ## every guarantee with its fault, an hour at most; writes docs/guarantees.md
	$(PY) -m tests.guarantees $(TORTURE)

kills: $(READY) ## kill -9 under load, again and again (KILLS=50 SECONDS=120)
	$(PY) -m tests.live.torture --kills $(KILLS) --seconds $(SECONDS) $(TORTURE)

soak: $(READY) ## load, and a fault each minute; memory, descriptors, timers, tasks (SOAK_MINUTES=30)
	$(PY) -m tests.live.soak --minutes $(SOAK_MINUTES)

lab: $(READY) ## a VPN that breaks in every way, and the unit under systemd; writes docs/lab.md (root, Linux)
	$(PY) -m tests.lab --report $(LAB)

fuzz: $(READY) ## hostile input for SECONDS=120, on chance; rates, the slowest case; findings in tests/golden/fuzz
	$(PY) -m tests.badinput.fuzz --seconds $(SECONDS) $(FUZZ)

install: $(READY) ## into PREFIX=/usr/local: program, units, documentation, /etc/gatewayd (as root)
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' PYTHON='$(PYTHON)' sh packaging/install.sh install

uninstall: ## takes it away again; keeps configuration and store
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' sh packaging/install.sh uninstall

deb: $(READY) ## the package for the Debian this runs on, into dist/ (wants python3-venv)
	@sh packaging/build-deb.sh

deb-test: $(READY) ## the package on a clean Debian 12: install, upgrade under load, purge (root, debootstrap)
	@sh tests/package/try_on_debian.sh

# One resolver run for the daemon, one for everything, held to the first; no address of an index,
# no path and no option of the machine that ran it may get into the files.
PIP_COMPILE = CUSTOM_COMPILE_COMMAND="make constraints" $(PY) -m piptools compile --quiet \
  --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links \
  --no-emit-trusted-host --no-emit-options $(UPGRADE)

constraints: $(STAMP) ## pin again after a change of setup.cfg (UPGRADE=--upgrade for newer versions)
	$(PIP_COMPILE) --output-file constraints.txt setup.cfg
	$(PIP_COMPILE) --extra dev --constraint constraints.txt --output-file constraints-dev.txt setup.cfg
	@! grep -nE '^-|://|/(opt|root|home|tmp)/' constraints.txt constraints-dev.txt

clean: ## everything that can be made again
	rm -rf .venv build build.log dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache .coverage tests/bench/tools/bin tests/bench/work
	find gatewayd -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
