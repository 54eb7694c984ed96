# turnlog from a checkout. Needs make and Python 3.11 or newer, nothing else: every target sets up what it runs with.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	if command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$p; break; fi; done)
RUN = .venv/bin/python
TYPED = turnlog _turnlog_pytest.py _turnlog_start.py tests tools $(if $(wildcard examples/*.py),examples)

# The demo's options, each only if it was given.
DEMO = $(if $(TEXT),--text) $(if $(WAV),--wav "$(WAV)") $(if $(PROVIDER),--provider "$(PROVIDER)") $(if $(PAGE),--page)

.PHONY: help demo test soak check bench docs lock clean python

help: ## this list
	@echo "make TARGET, where TARGET is"
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{printf "%-8s %s\n", $$1, $$2}'

demo: python ## a spoken conversation, offline; PAGE=1 in your browser, WAV=my.wav your own question, TEXT=1 typed, PROVIDER=openai with your key
	@$(PYTHON) -m tools.setup $(if $(TEXT),text,demo)
	@$(RUN) -m turnlog demo $(DEMO)

test: python ## the test suite; TURNLOG_CAPTURES=DIR adds captures of real services; TESTS="tests/store -k chain" narrows
	@$(PYTHON) -m tools.setup test
	@$(RUN) -m tools.suite $(TESTS)

soak: python ## the tests that run for minutes
	@$(PYTHON) -m tools.setup test
	@$(RUN) -m pytest -q -m soak $(TESTS)

check: python ## lint and types (ruff, mypy --strict)
	@$(PYTHON) -m tools.setup test
	@$(RUN) -m ruff check
	@$(RUN) -m mypy $(TYPED)

bench: python ## the benchmarks, side by side with the libraries they compare with
	@$(PYTHON) -m tools.setup bench
	@set -e; for script in benchmarks/bench_*.py; do echo "== $$script"; .venv-bench/bin/python "$$script"; done

docs: python ## the generated reference pages
	@$(PYTHON) -m tools.setup test
	@$(RUN) -m tools.gen_errors
	@$(RUN) -m tools.gen_states
	@$(RUN) -m tools.gen_config

lock: python ## resolve the locks anew, after a change in pyproject.toml
	@$(PYTHON) -m tools.lock

clean: ## remove the environments and everything generated
	rm -rf .venv .venv-bench tests/node/node_modules build dist out turnlog.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

python:
	@test -n "$(PYTHON)" || { echo "turnlog needs Python 3.11 or newer, as python3 or python3.11 to python3.14; \
	none was found. Name one: make $(MAKECMDGOALS) PYTHON=/path/to/python"; exit 1; }
