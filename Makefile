# `make` alone lists the targets. Paths are relative throughout: the checkout may lie below a path with spaces.
SHELL := /bin/sh
VENV ?= .venv
PY = "$(VENV)/bin/python"
# More than the usual runner's two cores: many tests wait for processes. Each worker has a database.
TEST_WORKERS ?= 5
# Containers often forbid Python to keep what it compiles. Workers and the processes that tests start would compile the
# same modules some hundred times: a sixth of the suite's time.
COMPILED = PYTHONDONTWRITEBYTECODE=
export VENV PROVIDERS

.PHONY: help setup run demo test fuzz bots bench bench-sizing bench-voice bench-scale chaos hosts soak rolling load attack screenshots export-data check-deploy lint types lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

run: setup ## start everything on http://127.0.0.1:8000 (PORT=8100 changes it); Ctrl-C stops it
	@exec $(PY) manage.py rundev

demo: setup ## push a lead to the running service, connect, show what happened and how long it took
	@exec $(PY) manage.py demo

test: setup ## run the tests (ARGS="-n0 -k claim" passes arguments to pytest, -n0: in one process)
	@$(COMPILED) exec $(PY) -m pytest -n $(TEST_WORKERS) --dist worksteal $(ARGS)

fuzz: setup ## what `make test` does with a few made-up requests for each operation of the API, with a hundred
	@$(COMPILED) FUZZ_EXAMPLES="$${FUZZ_EXAMPLES:-100}" exec $(PY) -m pytest -n $(TEST_WORKERS) --dist worksteal tests/project/test_schemathesis.py

bots: setup ## which bots below a folder can be run here, and what the others lack (ARGS=DIR)
	@exec $(PY) -m pools.agent.census $(ARGS)

bench-sizing: setup ## a pod that follows demand against the simulation, and against a constant stock: three minutes
	@exec $(PY) -m trials sizing $(ARGS)

bench: setup ## measure claims, hand-offs and refills; prints a table and writes JSON
	@exec $(PY) -m trials bench $(ARGS)

bench-voice: setup ## measure spoken calls: press of the button to first word, and where each millisecond goes
	@exec $(PY) -m trials bench --voice --output .data/bench-voice.json $(ARGS)

bench-scale: setup ## a hundred pods on one database: a quarter of an hour (ARGS="--pods 20 --seconds 10 --history 0")
	@exec $(PY) -m trials scale $(ARGS)

hosts: setup ## several hosts on this machine: cables pulled, a slow one, a rolling restart; needs root, cleans up after itself
	@exec $(PY) -m trials hosts $(ARGS)

chaos: setup ## break everything on purpose and count what is lost: a quarter of an hour (ARGS=--busy occupies the cores too); prints findings, writes JSON
	@exec $(PY) -m trials chaos $(ARGS)

soak: setup ## three pods under load and faults for 10 minutes (ARGS="--minutes 60"), then an audit
	@exec $(PY) -m trials soak $(ARGS)

rolling: setup ## restart three pods one after the other under load (ARGS="--pipecat" with the Pipecat bot)
	@exec $(PY) -m trials rolling $(ARGS)

load: setup ## 50 pushes/s and 10 connects/s for two minutes (ARGS="api --seconds 30"), or a campaign that is dialled (ARGS=dial)
	@exec $(PY) -m trials load $(ARGS)

attack: setup ## what a tenant and what nobody can do to the API: three minutes; fails if /health is slow or unanswered
	@exec $(PY) -m trials attack $(ARGS)

screenshots: setup ## draw the pictures of docs/images anew: the browser tests make them
	@mkdir -p docs/images && SCREENSHOTS=docs/images REQUIRE_BROWSER=1 $(PY) -m pytest -n0 -q tests/pools/test_cockpit_browser.py

check-deploy: setup ## lint and validate what is shipped, rehearse a roll-out and an upgrade, build and run the images
	@$(PY) -m trials shipping files && $(PY) -m trials shipping manifests && $(PY) -m trials shipping rehearsal && $(PY) -m trials shipping upgrade && $(PY) -m trials shipping images

export-data: setup ## the whole database in one private file below .data (ARGS=FILE names it); manage.py importdata reads it
	@exec $(PY) manage.py exportdata $(ARGS)

lint: setup ## ruff: rules and format
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .

types: setup ## mypy
	@exec $(PY) -m mypy .

setup: ## install requirements.lock and the bot's requirements.txt into .venv, if they changed (the other targets do this)
	@sh setup.sh

lock: setup ## write requirements*.lock anew from requirements*.txt, and trials/shipping/checkov.lock
	@"$(VENV)/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		-o requirements.lock requirements.txt requirements-agent.txt requirements-dev.txt
	@"$(VENV)/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		-o requirements-providers.lock requirements-providers.txt -c requirements.lock
	@"$(VENV)/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		-o trials/shipping/checkov.lock trials/shipping/checkov.txt

clean: ## remove .venv, caches and .data (with the development database)
	@if [ -e "$(VENV)/requirements.lock.installed" ]; then $(PY) -m devtools.embedded_postgres remove .data/postgres .data/test-postgres; fi
	rm -rf "$(VENV)" .data .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
