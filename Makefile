# Everything from nothing: Python 3.11 or newer and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A test file at a time on each core.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile
INSTALLED := $(VENV)/.installed

.PHONY: help demo test test-slow test-all test-faults test-mobile transformers-tests lint map recipes clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements.txt -e .
	@touch $@

demo: $(INSTALLED) ## draw synthetic scenes, train on them on the CPU, evaluate, draw predictions
	$(BIN)/python train.py --config demo.yaml

test: $(INSTALLED) ## run the fast tests
	$(PYTEST)

test-slow: $(INSTALLED) ## run the slow tests: every training command of the documents, two processes
	$(PYTEST) -m "slow and not gpu"

test-all: test test-slow ## run every test that needs no GPU

test-faults: $(INSTALLED) ## kill trainings, damage files 310,000 times, train on and on: hours; goes on
	@mkdir -p outputs
	FAULT_ROUNDS=20 TASFORMER_FUZZ_CASES=5000 TASFORMER_FUZZ_TABLE=outputs/fuzzed_files.md \
		TASFORMER_FUZZ_RECORDS=outputs/fuzzed_files \
		$(BIN)/python -m pytest -m "slow or not slow" -s tests/faults
	@grep "^|" outputs/fuzzed_files.md

test-mobile: $(INSTALLED) ## install ExecuTorch and torchao, and run the tests that need them
	$(BIN)/pip install --quiet -r requirements-mobile.txt
	$(BIN)/python -m pytest -m slow tests/test_export_torch.py \
		tests/transformers_update_for_adapters/test_foreign_layers.py::test_weights_of_eight_bits

transformers-tests: $(INSTALLED) ## fetch Transformers' own tests of models: the tests then run them on ours
	@version=$$($(BIN)/python -c "import importlib.metadata as m; print(m.version('transformers'))") && \
	source=.transformers/transformers-$$version && \
	{ [ -f $$source/tests/test_modeling_common.py ] || { \
		$(BIN)/pip download --quiet --no-deps --no-binary transformers --dest .transformers \
			transformers==$$version && \
		tar -xzf $$source.tar.gz -C .transformers; }; }

lint: $(INSTALLED) ## check style, types and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

map: $(INSTALLED) ## write CONTRIBUTING's map of the modules and the table of settings anew
	$(BIN)/python .ci/write_map.py
	$(BIN)/python .ci/write_settings.py

recipes: $(INSTALLED) ## write the tables of recipes anew from docs/results
	$(BIN)/python .ci/write_recipes.py

clean: ## remove the virtual environment, node_modules and caches, not outputs/
	rm -rf $(VENV) node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .transformers
