# One line a target: the order of stages lives in Python (`roots run`), so nobody needs make.
#
# LANG is also the variable of the locale. Unset on the command line, make would take en_US.UTF-8 from the environment;
# set, it would be handed to every child as its locale. So it is read from the command line only, and never exported.
ifeq ($(origin LANG),command line)
CODES := $(strip $(LANG))
endif
override LANG :=
unexport LANG
export PYTHONUTF8 := 1

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INPUT ?= tests/fixtures/crawl/*.warc.gz tests/fixtures/crawl/*.wet.gz
WORK ?= work
WORKERS ?= $(shell nproc 2>/dev/null || echo 1)
OPTIONS ?=
TORCH ?= torch==2.13.0

.PHONY: help setup pipeline train test check bench clean
.DEFAULT_GOAL := help

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[datasets]'
	@echo "Compiling for this machine, once (about a minute)"
	$(BIN)/python -m compileall -q roots filters pipelines trainer
	$(BIN)/python -m pipelines.compile_passes
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/pip install --quiet '$(TORCH)' --editable '.[dev,train]'
	@touch $@

setup: $(VENV)/.dev ## a virtual environment with all that is needed

pipeline: language $(VENV)/.run ## the whole job: make pipeline LANG=fr [INPUT='crawl/*.warc.gz' WORK=work WORKERS=2]
	$(BIN)/roots run '$(WORK)' $(foreach input,$(INPUT),--input '$(input)') --lang '$(CODES)' --workers $(WORKERS) $(OPTIONS)

train: language $(VENV)/.dev ## a small model on the dataset of `make pipeline`: make train LANG=fr
	$(BIN)/roots tokenizer train '$(WORK)' --lang '$(CODES)' --preset demo
	$(BIN)/roots tokens '$(WORK)' --lang '$(CODES)' --preset demo
	$(BIN)/roots train '$(WORK)' --lang '$(CODES)' --preset demo $(OPTIONS)
	$(BIN)/roots evaluate '$(WORK)' --lang '$(CODES)'

.PHONY: language
language:
	@test -n "$(CODES)" || { echo "Say which language: make $(firstword $(MAKECMDGOALS)) LANG=fr  (several: LANG=\"fr sw yo\")" >&2; exit 2; }

# Four processes, so that none needs more than 1.5 GB: filters compile passes, pipelines load Arrow's data sets, the
# trainer trains models, and the files of tests/ itself parse all our source.
TESTS = $(BIN)/pytest --ignore=tests/trainer --ignore=tests/pipelines --ignore-glob='tests/test_*.py' && \
	$(BIN)/pytest tests/pipelines && $(BIN)/pytest tests/trainer && $(BIN)/pytest tests/test_*.py
test: $(VENV)/.dev ## all tests
	$(TESTS)

check: $(VENV)/.dev ## what a change must pass: lint, format, types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(TESTS)

bench: $(VENV)/.dev ## side by side with the peers (about an hour)
	$(BIN)/python -m tests.benchmarks.pipeline --make-peer
	$(BIN)/python -m tests.benchmarks.pii --make-peer
	$(BIN)/python -m tests.benchmarks.dedup --make-peer
	@missed=0; for part in "pipeline $(OPTIONS)" "measures speed" "measures fidelity" "measures judge" languages \
	  "lid --part sentences --part speed" dedup "dedup_truth texts" pii "pii --quality" takedown release train \
	  tokenizer ablation; do \
	  echo "== $$part"; $(BIN)/python -m tests.benchmarks.$$part || missed=1; done; exit $$missed

clean: ## remove what was made
	rm -rf $(VENV) work build *.egg-info
