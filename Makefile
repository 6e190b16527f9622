# The commands of the project. Only python3, make and a package registry are needed.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install test check fix

.venv/installed: requirements/test.txt
	@test -d .venv || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --require-hashes -r requirements/test.txt
	@touch $@

install: .venv/installed

test: install
	@$(BIN)/python -m pytest $(T)

check: install
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

fix: install
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
