PYTHON ?= python3
VENV := .venv
IN := $(VENV)/bin
NODE := build/node
TYPESCRIPT := 5.9
DEMO := demo
QUICKSTART := notebooks/01-quickstart.ipynb

# The types of the JavaScript are checked where there is npm, which brings TypeScript.
TYPES_OF_JS := $(if $(shell command -v npm 2>/dev/null),$(NODE)/typescript-$(TYPESCRIPT))

# JupyterLab opens a browser where there is a display, and prints its address where there is none.
HEADLESS := $(if $(or $(DISPLAY),$(WAYLAND_DISPLAY),$(filter Darwin,$(shell uname))),,--no-browser)
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: lab demo test lint bench reliability picture clean

lab: $(VENV)/lab ## JupyterLab on the quickstart
	$(IN)/jupyter lab $(HEADLESS) $(AS_ROOT) --LabApp.default_url=/lab/tree/$(QUICKSTART)

demo: $(VENV)/lab ## the quickstart, executed, as a page with its pictures
	$(IN)/jupyter nbconvert --to html --execute --ExecutePreprocessor.store_widget_state=False \
		--log-level=WARN --output-dir=$(DEMO) --output=quickstart $(QUICKSTART)
	@echo "The page: $(CURDIR)/$(DEMO)/quickstart.html"

test: $(VENV)/test ## everything, in a real kernel and a real browser too
	$(IN)/python -m pytest

lint: $(VENV)/test $(TYPES_OF_JS) ## style and types
	$(IN)/ruff check
	$(IN)/ruff format --check
	$(IN)/mypy
	$(if $(TYPES_OF_JS),$(NODE)/node_modules/.bin/tsc --project tests/js,@echo "Skipped: the types of the JavaScript (there is no npm).")

bench: $(VENV)/test ## speed, as ratios measured in one run
	$(IN)/python tests/bench/run.py

reliability: $(VENV)/test ## nothing lost, nothing sent twice: thousands of faults and kills, counted
	$(IN)/python tests/bench/reliability.py

picture: $(VENV)/test ## the README's pictures, taken anew
	$(IN)/python tests/browser/picture.py

$(VENV)/bin/python:
	$(PYTHON) -c "import sys; sys.exit('Python 3.11 or newer is needed: make PYTHON=python3.11' if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); $(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(VENV)/bin/python install --quiet pip; } || { rm -rf $(VENV); exit 1; }

$(VENV)/lab: $(VENV)/bin/python pyproject.toml
	$(IN)/python -m pip install --quiet --editable ".[lab]"
	touch $@

$(VENV)/test: $(VENV)/bin/python pyproject.toml
	$(IN)/python -m pip install --quiet --editable ".[test]"
	$(IN)/python tests/browser/chromium.py
	touch $(VENV)/lab $@

$(NODE)/typescript-$(TYPESCRIPT):
	rm -rf $(NODE)
	mkdir -p $(NODE)
	npm install --prefix $(NODE) --no-save --no-audit --no-fund --loglevel=error typescript@$(TYPESCRIPT)
	touch $@

clean:
	rm -rf $(VENV) $(NODE) $(DEMO)
