# Everything a contributor runs. `make` alone prints the list.
#
# Three environments: .venv holds the package as a user installs it (from a wheel),
# .venv-dev the package built in place with what the tests and the linters need,
# .venv-engines the package beside Ray, Spark and Daft, for the tests that run them.

PYTHON ?= python3
VENV ?= .venv
VENV_DEV ?= .venv-dev
VENV_ENGINES ?= .venv-engines

DEMO_FLAGS ?=
PYTEST_FLAGS ?=
BENCH_FLAGS ?=
FUZZ_SECONDS ?= 60
TARGET ?= safetensors gguf config gguf_config index packed run
MUTATE_CASES ?= 2000

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Both installations build in this folder, so one at a time.
.NOTPARALLEL:

# What the extension is built from, and what else goes into a wheel.
C_SOURCES := setup.py pyproject.toml $(shell find csrc/core csrc/python -name '*.[ch]')
PACKAGE := $(shell find attninfluence -type f ! -path '*/__pycache__/*' ! -name '*.so' \
	! -name '*.LICENSE.txt')
C_FILES := $(shell find csrc -name '*.[ch]')
PIP_FLAGS := -qq --disable-pip-version-check

CHECK_PYTHON := import sys; sys.version_info >= (3, 10) or sys.exit( \
	"attninfluence needs Python 3.10 or later; $(PYTHON) is %d.%d. " \
	"Name another one: make PYTHON=python3.12" % sys.version_info[:2])

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables: PYTHON=$(PYTHON) DEMO_FLAGS PYTEST_FLAGS BENCH_FLAGS FUZZ_SECONDS TARGET"

# ---------------------------------------------------------------- environments

$(VENV)/.made $(VENV_DEV)/.made:
	@$(PYTHON) -c '$(CHECK_PYTHON)'
	$(PYTHON) -m venv $(@D)
	@touch $@

$(VENV)/.installed: $(VENV)/.made $(C_SOURCES) $(PACKAGE)
	@rm -rf build/lib* build/bdist*
	@echo "Building and installing into $(VENV)"
	@$(VENV)/bin/python -m pip install $(PIP_FLAGS) .
	@touch $@

$(VENV_DEV)/.installed: $(VENV_DEV)/.made $(C_SOURCES)
	@echo "Building in place and installing what tests and lint need into $(VENV_DEV)"
	@$(VENV_DEV)/bin/python -m pip install $(PIP_FLAGS) --editable '.[test,lint,build]'
	@touch $@

.PHONY: install develop
install: $(VENV)/.installed ## Install the package into .venv
develop: $(VENV_DEV)/.installed ## Build in place, with the tools of tests and lint, in .venv-dev

# ------------------------------------------------------------------- use, test

.PHONY: demo
demo: $(VENV)/.installed ## Install, find heads, score several hundred texts, write a report
	$(VENV)/bin/attninfluence demo $(DEMO_FLAGS)

.PHONY: demo-real
demo-real: $(VENV)/.installed ## The same with SmolLM2-135M, a real model, and its stored heads
	$(VENV)/bin/python tools/real_models.py smollm2
	$(VENV)/bin/attninfluence demo --model build/models/SmolLM2-135M-Instruct.Q4_1.gguf \
		--stored-heads --documents 30 $(DEMO_FLAGS)

.PHONY: test
test: $(VENV_DEV)/.installed ## Test with Python, a C compiler and make alone
	$(MAKE) -s --no-print-directory -C csrc test
	$(VENV_DEV)/bin/python -m pytest $(PYTEST_FLAGS)

$(VENV_ENGINES)/.installed: $(C_SOURCES) $(PACKAGE) tools/engines-venv.sh
	@echo "Installing the package, Ray, Spark and Daft into $(VENV_ENGINES)"
	@PYTHON=$(PYTHON) tools/engines-venv.sh $(VENV_ENGINES)
	@touch $@

$(VENV_DEV)/.browser: $(VENV_DEV)/.installed pyproject.toml
	@echo "Installing what drives a browser into $(VENV_DEV)"
	@$(VENV_DEV)/bin/python -m pip install $(PIP_FLAGS) --no-build-isolation --editable '.[browser]'
	@touch $@

.PHONY: test-full
test-full: test $(VENV_ENGINES)/.installed $(VENV_DEV)/.browser ## Test also what takes minutes, a browser, Ray, Spark
	@tools/system-packages.sh chromium=chromium pkg-config=pkg-config \
		openblas.pc=libopenblas-dev java=default-jre-headless
	ATTNINFLUENCE_ENGINES_PYTHON=$(abspath $(VENV_ENGINES))/bin/python \
		$(VENV_DEV)/bin/python -m pytest -m full $(PYTEST_FLAGS)

.PHONY: real-models test-real
real-models: $(VENV_DEV)/.installed
	$(VENV_DEV)/bin/python tools/real_models.py --folders
test-real: real-models ## Test with two published models, 350 MB of packages (some minutes)
	PYTHONPATH=. $(VENV_DEV)/bin/python -m pytest -m real $(PYTEST_FLAGS) tests/real

.PHONY: notebooks screenshots
notebooks: $(VENV_DEV)/.browser ## Run notebooks/ and store them with their outputs
	PYTHONPATH=. $(VENV_DEV)/bin/python tools/render_notebooks.py
screenshots: $(VENV_DEV)/.browser ## Make the pictures of README and docs/images
	PYTHONPATH=. $(VENV_DEV)/bin/python tools/screenshots.py

.PHONY: test-sanitize
test-sanitize: $(VENV_DEV)/.installed ## Test a build with AddressSanitizer and UBSan
	PYTHON=$(abspath $(VENV_DEV))/bin/python tools/test-sanitize.sh $(PYTEST_FLAGS)

.PHONY: torture simulate-scale
torture: $(VENV_DEV)/.installed ## Kill 60 runs at random instants; score millions of rows
	$(VENV_DEV)/bin/python -m pytest -m torture $(PYTEST_FLAGS)
simulate-scale: $(VENV_DEV)/.installed ## Run a datatrove job of 200 tasks that are killed at random
	PYTHONPATH=. $(VENV_DEV)/bin/python tools/simulate_scale.py

.PHONY: fuzz fuzz-coverage mutate
fuzz: $(VENV_DEV)/.installed ## Feed readers and runs malformed input (FUZZ_SECONDS=60 a TARGET)
	$(MAKE) -s --no-print-directory -C csrc fuzz FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_TARGETS="$(TARGET)"
fuzz-coverage: $(VENV_DEV)/.installed ## Tell the lines of the readers that the fuzzers reach, by clang
	$(MAKE) -s --no-print-directory -C csrc fuzz-coverage
mutate: $(VENV_DEV)/.installed ## Damage every file that commands read, by chance (MUTATE_CASES=2000)
	$(VENV_DEV)/bin/python tools/mutate_files.py --cases $(MUTATE_CASES)

.PHONY: bench bench-gemm error-table check-deltas
bench: $(VENV_DEV)/.installed ## Compare the speed with other libraries (BENCH_FLAGS=--quick, --write)
	$(VENV_DEV)/bin/python -m benchmarks.bench_score $(BENCH_FLAGS)
bench-gemm: $(VENV_DEV)/.installed ## Time the matrix products alone, every kernel that this CPU runs
	$(MAKE) -s --no-print-directory -C csrc bench-gemm

error-table: $(VENV_DEV)/.installed ## Compare every model family with transformers (docs/ACCURACY.md)
	$(VENV_DEV)/bin/python -m benchmarks.error_table
check-deltas: $(VENV_DEV)/.installed ## Remove each peculiarity of each family; a test must fail
	PYTHONPATH=. $(VENV_DEV)/bin/python tools/check_deltas.py

# ------------------------------------------------------------------------ docs

$(VENV_DEV)/.docs: $(VENV_DEV)/.installed
	@echo "Installing what the documentation is built with into $(VENV_DEV)"
	@# The package is there, so that only its extra is installed and nothing is compiled again.
	@$(VENV_DEV)/bin/python -m pip install $(PIP_FLAGS) 'attninfluence[docs]'
	@touch $@

.PHONY: docs
docs: $(VENV_DEV)/.docs ## Build the documentation into build/docs, warnings as errors
	@rm -rf build/docs build/doctrees
	$(VENV_DEV)/bin/python -m sphinx -q -W --keep-going -n -d build/doctrees docs build/docs
	@echo "Open build/docs/index.html"

# ------------------------------------------------------------------------ lint

.PHONY: lint format
lint: $(VENV_DEV)/.installed ## Check style and types of Python and C
	$(VENV_DEV)/bin/ruff check .
	$(VENV_DEV)/bin/ruff format --check .
	$(VENV_DEV)/bin/mypy
	$(VENV_DEV)/bin/clang-format --dry-run --Werror $(C_FILES)

format: $(VENV_DEV)/.installed ## Rewrite Python and C in the project's layout
	$(VENV_DEV)/bin/ruff check --fix .
	$(VENV_DEV)/bin/ruff format .
	$(VENV_DEV)/bin/clang-format -i $(C_FILES)

.PHONY: clean
clean: ## Remove environments and everything built
	rm -rf $(VENV) $(VENV_DEV) $(VENV_ENGINES) build dist *.egg-info attninfluence/*.so \
		attninfluence/*.LICENSE.txt .mypy_cache .pytest_cache .ruff_cache .hypothesis
	$(MAKE) --no-print-directory -C csrc clean
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
