"""The rules of the house: who imports whom, by which door a library enters, what loads when."""

from __future__ import annotations

import ast
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

# From the bottom up: a room imports from itself and from those before it.
ROOMS = ("api", "imaging", "storage", "jobs", "notebook")
DOORS = {
    "IPython": {"notebook"},
    "PIL": {"imaging", "simulator"},
    "anywidget": {"notebook.widgets.live"},
    "httpx": {"api.transport"},
    "ipywidgets": {"notebook.widgets.controls", "notebook.widgets.form", "notebook.widgets.panel"},
    "nest_asyncio2": {"jobs.event_loop"},
    "platformdirs": {"api.credentials", "storage.archive"},
    "pybase64": {"api", "notebook.history_view", "notebook.static_output", "simulator"},
    "tornado": {"simulator"},
    "traitlets": {"notebook"},
}
OPTIONAL = {
    "dotenv": {"api.credentials"},
    "google": {"api.credentials"},
    "keyring": {"api.credentials"},
    "pandas": {"notebook.history"},
}
THE_CHOICE_OF_THE_SIMULATOR = ("api.settings", "simulator")
LATE = {"httpx", "PIL", "ipywidgets", "anywidget", "tornado", "IPython", "traitlets", "asyncio", "dataclasses"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def runs(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes of what runs: not what only a type checker sees."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    yield from ast.walk(tree)


def imports(name: str, nodes: Iterable[ast.AST]) -> Iterator[tuple[str, bool]]:
    """Yield what a module imports, and whether it is of the package."""
    package = name.split(".")[:-1] if (PACKAGE / f"{name.replace('.', '/')}.py").exists() else name.split(".")
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] if node.level > 1 else package
            target = ".".join(filter(None, [*base, node.module or ""]))
            yield from ((target or alias.name, True) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", False


def inside(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def test_imports_go_down_only() -> None:
    """A room imports from itself and from the rooms below; the simulator only the declaration."""
    wrong = []
    for name, tree in modules():
        room = name.split(".")[0]
        for target, ours in imports(name, ast.walk(tree)):
            if not ours or not name or (name, target.split(".")[0]) == THE_CHOICE_OF_THE_SIMULATOR:
                continue
            allowed = {"simulator", "api.params"} if room == "simulator" else set(ROOMS[: ROOMS.index(room) + 1])
            if not inside(target, allowed):
                wrong.append(f"{name} imports {target}")
    assert wrong == []


def test_no_face_imports_another() -> None:
    """Neither the card nor the panel knows of the other: they share the live picture."""
    seen = {name: {target for target, ours in imports(name, ast.walk(tree)) if ours} for name, tree in modules()}
    assert "notebook.widgets.panel" not in seen["notebook.cell_output"]
    assert "notebook.cell_output" not in seen.get("notebook.widgets.panel", set())


def test_a_library_enters_by_one_door() -> None:
    """What is not in the standard library is imported in its own place only, and is a declared dependency."""
    wrong = []
    for name, tree in modules():
        for target, ours in imports(name, runs(tree)):
            library = target.split(".")[0]
            if ours or library in sys.stdlib_module_names or library in ("gradient_notebook", "__future__"):
                continue
            if not inside(name, (DOORS | OPTIONAL).get(library, set())):
                wrong.append(f"{name} imports {target}")
    assert wrong == []


def test_dependencies_are_those_with_a_door() -> None:
    """The dependencies are the declared doors' and no more."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[<>=\[]", text)[0].lower().replace("-", "_") for text in project["dependencies"]}
    names = {"PIL": "pillow", "IPython": "ipython"}
    assert declared == {names.get(door, door) for door in DOORS} - {"traitlets"}  # which comes with IPython


def test_public_names_are_sorted_and_true() -> None:
    """`__all__` is sorted, each name exists, and what a type checker sees is the same list."""
    names = gradient_notebook.__all__
    assert names == sorted(names)
    assert all(getattr(gradient_notebook, name).__name__ == name for name in names)
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(names)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    """A typing error in a name of the package is told as Python tells it."""
    with pytest.raises(AttributeError, match="has no attribute 'generat'"):
        _ = gradient_notebook.generat


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import gradient_notebook` loads none of the libraries; each is loaded at its first use."""
    code = "import sys; before = set(sys.modules); import gradient_notebook; print(*(set(sys.modules) - before))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert {"gradient_notebook"} == {name for name in loaded if name.startswith("gradient_notebook")}
    assert loaded & LATE == set()


def test_the_error_tree_is_drawn_as_it_is() -> None:
    """The tree in the docstring of `api/errors.py` has the classes that there are, each under its parent."""
    drawn: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^([│ ]*(?:[├└]── )?)([A-Z]\w+)(?: |$)", line):
            drawn.append((len(match[1]) // 4, match[2]))
    drawn = drawn[next(at for at, (_, name) in enumerate(drawn) if name == "GradientNotebookError") :]
    parents = {
        name: next((above for depth, above in reversed(drawn[:at]) if depth == level - 1), None)
        for at, (level, name) in enumerate(drawn)
    }
    real = {
        name: next((base.__name__ for base in kind.__bases__ if base.__module__ == errors.__name__), None)
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
