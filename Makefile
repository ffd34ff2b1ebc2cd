# Every verb makes and reuses .venv by itself. PYTHON chooses the interpreter it is made with.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test lint format bench pairs torture full clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP)  ## train a VAE on MNIST for 10 epochs, sample it, and say where the pictures are
	$(BIN)/python examples/demo.py

test: $(STAMP)  ## the whole test suite, under 8 minutes on 2 cores
	$(BIN)/pytest

lint: $(STAMP)  ## formatting, lint rules and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)  ## mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)  ## training speed against the loop that courses teach, interleaved in one run
	$(BIN)/python benchmarks/speed.py

pairs: $(STAMP)  ## all models on mnist and cifar10, one epoch each: images/s and peak memory
	$(BIN)/python benchmarks/pairs.py

torture: $(STAMP)  ## kill -9 a training run at 20 random moments; every resumed run must end bit-equal
	$(BIN)/pytest tests/test_kill.py -m torture -rP

full: $(STAMP)  ## the tests that need the large data sets
	$(BIN)/pytest -m full

clean:  ## remove the environment and build files
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
