"""The structure of the package: who imports whom, who imports which library, what loads when."""

from __future__ import annotations

import ast
import graphlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import gradient_notebook
from gradient_notebook.api import errors
from gradient_notebook.api.params import PARAMETERS
from gradient_notebook.notebook.magic_args import PARSER

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "gradient_notebook"

# From the bottom up: a module imports from its own package and from those before it.
LAYERS = (
    "api",
    "address",
    "recording",
    "money",
    "simulator",
    "session",
    "connect",
    "testing",
    "display_hooks",
    "imaging",
    "storage",
    "recipes",
    "jobs",
    "clients",
    "history",
    "cluster",
    "sweeps",
    "notebook",
    "cli",
)
ALONE = {"simulator": {"simulator", "api.params", "api.parameter", "api.models", "api.errors", "recording"}}
"""Packages that take less than the layers allow: the simulator reads the protocol for itself."""
IMPORTERS = {
    "IPython": {"notebook"},
    "PIL": {"imaging", "recipes", "simulator.painter", "sweeps.sheet"},
    "anyio": {"jobs.concurrency"},
    "anywidget": {"notebook.widgets.live"},
    "httpx": {"api.transport"},
    "ipywidgets": {
        "notebook.widgets.bundle",
        "notebook.widgets.controls",
        "notebook.widgets.form",
        "notebook.widgets.live",
        "notebook.widgets.panel",
    },
    "nest_asyncio2": {"jobs.event_loop"},
    "platformdirs": {"connect", "storage.archive"},
    "pybase64": {
        "api",
        "notebook.history_view",
        "notebook.sheet",
        "notebook.static_output",
        "notebook.sweep_sheet",
        "simulator.generations",
        "sweeps.sheet",
    },
    "tornado": {"simulator"},
    "traitlets": {"notebook"},
    "gradient_notebook.simulator": {"cli", "connect", "testing"},
    "sqlite3": {"storage.ledger", "storage.limits", "storage.locks"},
    "narwhals": {"sweeps.frame", "sweeps.table"},
}
"""Who may import what: one package, or one module of it."""
OPTIONAL = {
    "distributed": {"cluster.on_dask"},
    "dotenv": {"connect"},
    "fsspec": {"address", "storage.remote"},
    "google": {"connect"},
    "imagehash": {"sweeps.measures"},
    "keyring": {"connect"},
    "numpy": {"sweeps.measures"},
    "pandas": {"history.query"},
    "pyarrow": {"sweeps.files"},
    "skimage": {"sweeps.measures"},
}
TYPES = "TYPE_CHECKING"
WHEN_USED = {
    *(name for name in IMPORTERS | OPTIONAL if "." not in name and name != "pybase64"),
    *("asyncio", "difflib", "email", "random", "socket", "ssl", "subprocess", "tempfile", "urllib.request"),
}
"""What a script that imports a public name has not asked for yet."""
LATE = {"httpx", "PIL", "ipywidgets", "anywidget", "tornado", "IPython", "traitlets", "asyncio", "dataclasses"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


NAMES = {name for name, _ in modules()}


def for_types_only(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes that only a type checker sees."""
    blocks = (node for node in ast.walk(tree) if isinstance(node, ast.If) and getattr(node.test, "id", "") == TYPES)
    return {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}


def imports(name: str, tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Yield what a module imports, anywhere in it, and whether it is of the package; a library's types load nothing."""
    skipped = for_types_only(tree)
    package = name.split(".") if (PACKAGE / name.replace(".", "/")).is_dir() else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names if node not in skipped)
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            target = ".".join(filter(None, [*base, node.module or ""]))
            for alias in node.names:
                module = ".".join(filter(None, [target, alias.name]))
                yield (module if module in NAMES else target), True
        elif isinstance(node, ast.ImportFrom) and node not in skipped:
            yield node.module or "", False


IMPORTED = {name: set(imports(name, tree)) for name, tree in modules()}


def inside(module: str, places: Iterable[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def test_imports_go_down_only() -> None:
    """A module imports from its own package and from the layers below, wherever in the file the import stands."""
    wrong = []
    for name, found in IMPORTED.items():
        layer = name.split(".")[0]
        if not layer:
            continue  # the package itself stands above all
        allowed = ALONE.get(layer, LAYERS[: LAYERS.index(layer) + 1])
        wrong += [f"{name} imports {target}" for target, ours in found if ours and not inside(target, allowed)]
    assert wrong == []


def test_there_is_no_circle() -> None:
    """No module imports itself by way of others, for types or in a function either."""
    graph = {name: {target for target, ours in found if ours} - {name} for name, found in IMPORTED.items()}
    graph.pop("")
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"They import one another: {' <- '.join(error.args[1])}")


def test_no_front_end_imports_another() -> None:
    """Neither the cell's output nor the panel knows of the other: they share the live view."""
    assert "notebook.widgets.panel" not in {target for target, _ in IMPORTED["notebook.cell_output"]}
    assert "notebook.cell_output" not in {target for target, _ in IMPORTED["notebook.widgets.panel"]}


def test_each_library_has_its_importer() -> None:
    """What has a line in the table is imported there only; what has none comes with Python, or is a mistake."""
    wrong = []
    for name, found in IMPORTED.items():
        for target, ours in found:
            library = f"gradient_notebook.{target.split('.')[0]}" if ours else target.split(".")[0]
            known = (IMPORTERS | OPTIONAL).get(library)
            is_free = ours or library in sys.stdlib_module_names
            if (known is None and not is_free) or (known is not None and not inside(name, {*known, *own(library)})):
                wrong.append(f"{name} imports {target}")
    assert wrong == []


def own(library: str) -> set[str]:
    return {library.removeprefix("gradient_notebook.")} if library.startswith("gradient_notebook.") else set()


def test_dependencies_are_those_with_an_importer() -> None:
    """The dependencies are the libraries of the table and no more."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[<>=\[]", text)[0].lower().replace("-", "_") for text in project["dependencies"]}
    names = {"PIL": "pillow", "IPython": "ipython"}
    libraries = {name for name in IMPORTERS if "." not in name and name not in sys.stdlib_module_names}
    assert declared == {names.get(name, name) for name in libraries} - {"traitlets"}  # which comes with IPython


def test_public_names_are_sorted_and_true() -> None:
    """`__all__` is sorted, each name exists, and what a type checker sees is the same list."""
    names = gradient_notebook.__all__
    assert names == sorted(names)
    assert all(getattr(gradient_notebook, name).__name__ == name for name in names if name != "session")
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(names)


def test_a_module_of_the_same_name_hides_no_public_name() -> None:
    """`history` and `session` are what they are, whichever of the package's modules have been loaded before."""
    loads = "import gradient_notebook.history.query, gradient_notebook.session, gradient_notebook as g"
    told = loaded_by(
        f"{loads}; assert callable(g.history); g.session.concurrency; from gradient_notebook import history; history()"
    )
    assert "gradient_notebook.history.query" in told


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    """A typing error in a name of the package is told as Python tells it."""
    with pytest.raises(AttributeError, match="has no attribute 'generat'"):
        _ = gradient_notebook.generat


def loaded_by(code: str) -> set[str]:
    """Return the modules that a new Python loads for this."""
    told = f"import sys; before = set(sys.modules); {code}; print(*(set(sys.modules) - before))"
    return set(subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import gradient_notebook` loads none of the libraries; each is loaded at its first use."""
    loaded = loaded_by("import gradient_notebook")
    ours = {name for name in loaded if name.startswith("gradient_notebook")}
    assert ours == {"gradient_notebook", "gradient_notebook.display_hooks"}
    assert loaded & LATE == set()


def test_a_public_name_loads_what_it_needs() -> None:
    """What talks to the service, opens images or reads the disk loads that when it is done; a client loads httpx and asyncio."""
    clients = {"AsyncClient", "Client"}
    others = {*gradient_notebook.__all__} - {*clients, "Panel"}
    assert loaded_by(f"from gradient_notebook import {', '.join(others)}") & WHEN_USED == set()
    loaded = loaded_by(f"from gradient_notebook import {', '.join(clients)}")
    assert loaded & WHEN_USED <= loaded_by("import asyncio, httpx")


def test_importing_generate_loads_no_job() -> None:
    """A job, its disk and its ledger are loaded with the first call, and OpenSSL not before."""
    loaded = {name.removeprefix("gradient_notebook.") for name in loaded_by("from gradient_notebook import generate")}
    assert loaded & {"jobs.job", "jobs.recorder", "storage", "recording", "api.client", "hashlib", "_hashlib"} == set()
    assert "_hashlib" not in loaded_by("from gradient_notebook import history")


def test_the_error_tree_is_drawn_as_it_is() -> None:
    """The tree in the docstring of `api/errors.py` has the classes that there are, each under its parent."""
    drawn: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").split("\n\n")[1].splitlines():
        if match := re.match(r"^([│ ]*(?:[├└]── )?)([A-Z]\w+)(?: |$)", line):
            drawn.append((len(match[1]) // 4, match[2]))
    drawn = drawn[next(at for at, (_, name) in enumerate(drawn) if name == "GradientNotebookError") :]
    parents = {
        name: next((above for depth, above in reversed(drawn[:at]) if depth == level - 1), None)
        for at, (level, name) in enumerate(drawn)
    }
    real = {
        name: next((base.__name__ for base in kind.__bases__ if base.__name__ in vars(errors)), None)
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.GradientNotebookError)
    }
    assert parents == real


def readme_table() -> str:
    rows = ["| option | what it does | allowed | the service's default |", "| --- | --- | --- | --- |"]
    for parameter in PARAMETERS.values():
        if parameter.name == "prompt":
            continue
        option = f"`{parameter.option}`" + (f", `-{parameter.short}`" if parameter.short else "")
        option += f", `--no-{parameter.name}`" if parameter.kind is bool else ""
        default = (
            ""
            if parameter.default is None
            else str(parameter.default).lower()
            if parameter.kind is bool
            else parameter.default
        )
        rows.append(f"| {option} | {parameter.help} | {parameter.expected} | {default} |")
    return "\n".join(rows)


def test_the_readme_has_the_table_of_options() -> None:
    """The README's table of options is the declaration's; a drifted one is printed as it should be."""
    table = readme_table()
    assert table in (ROOT / "README.md").read_text(encoding="utf-8"), f"README.md needs this table:\n\n{table}\n"


def readme_table_of_own() -> str:
    rows = ["| option of the cell | what it does |", "| --- | --- |"]
    others = {parameter.option for parameter in PARAMETERS.values()} | {"--help"}
    for action in PARSER._actions:
        if not action.option_strings or others.intersection(action.option_strings):
            continue
        value = f" {action.metavar}" if action.metavar else ""
        options = ", ".join(f"`{option}{value if option.startswith('--') else ''}`" for option in action.option_strings)
        rows.append(f"| {options} | {(action.help or '').replace('%%', '%')} |")
    return "\n".join(rows)


def test_the_readme_has_the_table_of_the_cells_own_options() -> None:
    """What is no parameter of the service, and stands in no request, is listed too."""
    table = readme_table_of_own()
    assert table in (ROOT / "README.md").read_text(encoding="utf-8"), f"README.md needs this table:\n\n{table}\n"


def test_the_help_has_every_option() -> None:
    """`%%imagegen?` names each parameter's option with its help."""
    text = " ".join(PARSER.format_help().split())
    for parameter in PARAMETERS.values():
        if parameter.name != "prompt":
            assert parameter.option in text
            assert " ".join(parameter.help.split()) in text


def committed(path: Path) -> str:
    """Return a file as it is committed: one that is open in JupyterLab has outputs, and may."""
    name = path.relative_to(ROOT).as_posix()
    shown = subprocess.run(["git", "show", f":{name}"], cwd=ROOT, capture_output=True, text=True, check=False)
    return path.read_text(encoding="utf-8") if shown.returncode else shown.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_committed_clean(path: Path) -> None:
    """No outputs, no counts, no widget state and no key stand in a committed notebook."""
    text = committed(path)
    notebook = json.loads(text)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"]] == []
    assert "widgets" not in notebook["metadata"]
    assert not re.search(r"sk-do-|do[opr]_v1_", text)


def test_the_version_has_a_changelog_entry() -> None:
    """The newest entry of the changelog is the version's."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[?([\d.]+)", text, re.MULTILINE)[1] == gradient_notebook.__version__
