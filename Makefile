.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# HF_HUB_OFFLINE: tests and the demo never reach for a hub; set it to 0 to use a model from there.
export HF_HUB_OFFLINE ?= 1

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

##@ People
.PHONY: demo
demo: $(STAMP) ## Start servers, upload 3,000 pictures, search them six ways (ARGS="--once --json" for programs)
	@$(BIN)/imgsearch demo $(ARGS)

##@ Developers
.PHONY: install test test-long trust versions postgres adopt lint format wheels bench soak soak-models
install: $(STAMP) ## Set up .venv

# A file's tests share its databases, so a file goes to one process; the slowest files begin (tests/conftest.py).
test: $(STAMP) ## Run the tests on real embedded servers, but for the long ones (ARGS goes to pytest)
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not long" $(ARGS)

test-long: $(STAMP) ## Run the long ones: browsers, soaks, benches, upgrades, failover, models that change, generated clients
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m long $(ARGS)

trust: $(STAMP) ## Run the tests ten times, three of them beside a process that keeps both cores busy (ARGS="--runs 5")
	$(BIN)/python -m tests.trust $(ARGS)

versions: $(STAMP) ## Run the doors' tests with the oldest and newest Python, Django, SQLAlchemy, psycopg (ARGS="oldest")
	$(BIN)/python -m tests.versions $(ARGS)

postgres: $(STAMP) ## Run the core of the tests on each PostgreSQL that can be had (ARGS="17" for another, --record for the README)
	$(BIN)/python -m tests.postgres $(ARGS)

adopt: $(STAMP) ## Run what others wrote with image search added: Oscar, Wagtail, FastAPI, Flask-Admin, flask-shop
	$(BIN)/python -m tests.versions oscar wagtail fastapi flaskadmin flaskshop $(ARGS)

lint: $(STAMP) ## Check style, types and the import rule
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheels: $(STAMP) ## Build both wheels into dist/: imgsearch-postgres, and imgsearch-postgres-dev with servers and demo
	$(BIN)/python -m build --quiet --wheel --no-isolation --outdir dist .
	$(BIN)/python -m build --quiet --wheel --no-isolation --outdir dist dev

##@ Figures
bench: $(STAMP) ## Measure filtered search against every single method and the peers (ARGS="--rows 1000000")
	$(BIN)/python -m bench $(ARGS)

soak-models: $(STAMP) ## Change the model and change it back under load, workers killed every 5 s (ARGS="--pictures 1500" for less)
	$(BIN)/python -m bench.models $(ARGS)

soak: $(STAMP) ## Try to lose a picture: kill workers, Redis and Postgres under load (ARGS="--pictures 2000" for less)
	$(BIN)/python -m bench.soak $(ARGS)

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
