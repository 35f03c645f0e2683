# Every target sets up what it needs in .venv, with the exact versions of constraints.txt.
PYTHON ?= python3
# Extra flags for pip, e.g. an index that serves the CPU build of torch.
PIP_FLAGS ?=
BIN := .venv/bin

export PYTHONHASHSEED := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: figures figures-full test check format recorded-set paper benchmarks gpu clean
.DEFAULT_GOAL := figures

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) --constraint constraints.txt --editable .
	touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) --constraint constraints.txt --editable '.[dev]'
	touch $@ .venv/.installed

# Every study in its quick profile on the bundled digits: figures/<study>/quick/.
figures: .venv/.installed
	$(BIN)/muon-theory run --all --quick

# Every study in its full profile (MNIST from the data folder): figures/<study>/.
figures-full: .venv/.installed
	$(BIN)/muon-theory run --all

# Every claim of the fast, medium and slow tiers, with its mutations.
check: .venv/.installed
	$(BIN)/muon-theory check --full

test: .venv/.installed-dev
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/basedpyright --level error
	$(BIN)/lint-imports --no-cache
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal --durations 10

format: .venv/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The committed test set of recorded spectra, rebuilt; needs MNIST in the data folder (muon-theory fetch mnist).
recorded-set: .venv/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -c "from muon_theory.training.recorded_set import build_recorded_set; \
	  build_recorded_set('muon_theory/spectra/recorded_spectra.parquet')"

# The manuscript, paper/build/main.pdf: every number and table in it is generated. Needs TeX, see the message below.
paper: .venv/.installed
	@command -v latexmk >/dev/null || { echo "make paper needs latexmk and TeX; on Debian or Ubuntu: apt-get install" \
	  "latexmk texlive-latex-recommended texlive-latex-extra texlive-fonts-recommended lmodern"; exit 1; }
	$(BIN)/python paper/generate.py
	cd paper && latexmk -pdf -interaction=nonstopmode -halt-on-error -outdir=build main.tex

benchmarks: .venv/.installed
	$(BIN)/python benchmarks/polar.py
	$(BIN)/python benchmarks/recorder.py
	$(BIN)/python benchmarks/optimizer_step.py

# Recipes, benchmarks and GPU tests on the GPU of this machine, in one table (benchmarks/gpu.md) and under ten minutes.
gpu: .venv/.installed-dev
	$(BIN)/python benchmarks/gpu.py

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
