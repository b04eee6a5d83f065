PYTHON ?= python3
VENV := .venv
IN := $(VENV)/bin
NODE := build/node
TYPESCRIPT := 5.9
PYRIGHT := 1.1
BENCH := .venv-bench
PEERS := openai gradient pydo httpx httpx-sse pybase64
# A worker for each core; a file's tests share a kernel or a JupyterLab, and stay together.
PYTEST := $(IN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(if $(RERUNS),--reruns $(RERUNS) -rR)
DEMO := demo
QUICKSTART := notebooks/01-quickstart.ipynb

# What npm brings checks types where there is npm: TypeScript those of the JavaScript, pyright those that a user's editor shows.
CHECKERS := $(if $(shell command -v npm 2>/dev/null),$(NODE)/typescript-$(TYPESCRIPT)-pyright-$(PYRIGHT))

# JupyterLab opens a browser where there is a display, and prints its address where there is none.
HEADLESS := $(if $(or $(DISPLAY),$(WAYLAND_DISPLAY),$(filter Darwin,$(shell uname))),,--no-browser)
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: lab demo test test-all lint compat bench bench-sweep growth classroom figures reliability picture pictures clean

lab: $(VENV)/lab ## JupyterLab on the quickstart
	$(IN)/jupyter lab $(HEADLESS) $(AS_ROOT) --LabApp.default_url=/lab/tree/$(QUICKSTART)

demo: $(VENV)/lab ## the quickstart, executed, as a page with its pictures
	$(IN)/jupyter nbconvert --to html --execute --ExecutePreprocessor.store_widget_state=False \
		--Exporter.preprocessors=gradient_notebook.notebook.alt_text.describe \
		--log-level=WARN --output-dir=$(DEMO) --output=quickstart $(QUICKSTART)
	@echo "The page: $(CURDIR)/$(DEMO)/quickstart.html"

test: $(VENV)/test ## everything but what is slow, in a real kernel and a real browser too
	$(PYTEST) -m "not slow"

test-all: $(VENV)/test ## everything, with all of Hypothesis's examples
	HYPOTHESIS_PROFILE=full $(PYTEST)

compat: $(VENV)/test ## the main forms with the oldest versions that are allowed, on other kernels and each Python that is found; the wheel alone
	$(IN)/python tests/compat.py $(ON)

lint: $(VENV)/test $(CHECKERS) ## style and types
	$(IN)/ruff check
	$(IN)/ruff format --check
	$(IN)/mypy
ifeq ($(CHECKERS),)
	@echo "Skipped: the types of the JavaScript, and pyright (there is no npm)."
else
	$(NODE)/node_modules/.bin/tsc --project tests/js
	$(NODE)/node_modules/.bin/pyright --project tests/pyright.json
endif

bench: $(VENV)/test $(BENCH)/bin/python ## speed, beside the newest of its peers, as ratios measured in one run
	-$(BENCH)/bin/python -m pip install --quiet --upgrade $(PEERS)
	$(IN)/python tests/bench/run.py
	$(IN)/python tests/bench/growth.py

growth: $(VENV)/test ## how what it takes grows with images, pixels, panels, cells, jobs and kernels
	$(IN)/python tests/bench/growth.py

bench-sweep: $(VENV)/test $(BENCH)/bin/python ## a thousand images by `sweep`, beside asyncio.gather over openai's client
	-$(BENCH)/bin/python -m pip install --quiet --upgrade $(PEERS)
	$(IN)/python tests/bench/gathered.py

classroom: $(VENV)/test ## thirty kernels on this machine: memory, and seconds for an image each, with a simulator each and with one for all
	$(IN)/python tests/bench/classroom.py

reliability: $(VENV)/test ## nothing lost, nothing sent twice: thousands of faults and kills, counted
	$(IN)/python tests/bench/reliability.py
	KILLS=50 $(IN)/python -m pytest -q tests/unit/test_budgets.py -k each_time

picture: $(VENV)/test ## the README's pictures, taken anew
	$(IN)/python tests/browser/picture.py

pictures: $(VENV)/test ## every state of a cell and of the panel, in each window and theme, to be looked at
	$(IN)/python tests/browser/pictures.py

figures: $(VENV)/test $(BENCH)/bin/python ## what a person waits for in Chromium, beside a cell that uses the SDK
	-$(BENCH)/bin/python -m pip install --quiet --upgrade $(PEERS)
	PYTHONPATH=tests/bench $(IN)/python tests/browser/figures.py

$(VENV)/bin/python $(BENCH)/bin/python: %/bin/python:
	$(PYTHON) -c "import sys; sys.exit('Python 3.11 or newer is needed: make PYTHON=python3.11' if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv $* || { rm -rf $*; $(PYTHON) -m venv --without-pip $* && \
		$(PYTHON) -m pip --python $@ install --quiet pip; } || { rm -rf $*; exit 1; }

$(VENV)/lab: $(VENV)/bin/python pyproject.toml
	$(IN)/python -m pip install --quiet --editable ".[lab]"
	touch $@

$(VENV)/test: $(VENV)/bin/python pyproject.toml
	$(IN)/python -m pip install --quiet --editable ".[test]"
	$(IN)/python tests/browser/chromium.py
	touch $(VENV)/lab $@

$(NODE)/typescript-$(TYPESCRIPT)-pyright-$(PYRIGHT):
	rm -rf $(NODE)
	mkdir -p $(NODE)
	npm install --prefix $(NODE) --no-save --no-audit --no-fund --loglevel=error typescript@$(TYPESCRIPT) pyright@$(PYRIGHT)
	touch $@

clean:
	rm -rf $(VENV) $(BENCH) $(DEMO) build
