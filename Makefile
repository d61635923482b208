# `make demo` and `make test` set themselves up on a fresh machine; they need only Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
RUN := runs/demo

.PHONY: help demo test check format clean

help:
	@echo "make demo    train on 46 thousand English-German sentences, score, translate a few (6 minutes on 2 cores)"
	@echo "make test    format, lint, types, layers, tests"
	@echo "make check   the same without the set-up"
	@echo "make format  rewrite the code in its format"
	@echo "make clean   remove what was built; runs/ stays"

demo: .venv/ready
	rm -rf $(RUN)
	$(BIN)/attnkit train translation/tatoeba_en_de --run $(RUN)
	@printf '%s\n' 'Good morning.' 'Where are you?' 'I am very tired today.' 'Tom does not like cats.' \
	  | tee $(RUN)/typed.txt | $(BIN)/attnkit translate --run $(RUN) > $(RUN)/translated.txt
	@echo && paste -d '|' $(RUN)/typed.txt $(RUN)/translated.txt | sed 's/|/  ->  /'

test: .venv/ready-dev
	$(MAKE) check

check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 8 --dist worksteal

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

.venv/ready: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/ready-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ .venv/ready

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is too old; attnkit needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv .venv
