"""Modules of our own as one text, since anywidget imports it from a blob."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gradient_notebook.notebook.widgets.compare import Compare
from gradient_notebook.notebook.widgets.esm import joined
from gradient_notebook.notebook.widgets.live import Gallery, LiveView, Pictured
from gradient_notebook.notebook.widgets.vote import Vote

NODE = shutil.which("node")

Modules = Callable[..., Path]


@pytest.fixture
def modules(tmp_path: Path) -> Modules:
    """Write modules by their names, and return the path of the first."""

    def write(**texts: str) -> Path:
        for name, text in texts.items():
            (tmp_path / f"{name}.mjs").write_text(text, encoding="utf-8")
        return tmp_path / f"{next(iter(texts))}.mjs"

    return write


def lines(text: str) -> list[str]:
    return list(filter(None, text.splitlines()))


@pytest.mark.parametrize("widget", [LiveView, Gallery, Compare, Vote])
def test_a_widget_has_one_text_that_exports_its_default_alone(widget: type[Pictured]) -> None:
    """A blob cannot import its neighbors, and anywidget takes an exported `render` for its deprecated form."""
    text = widget._esm
    assert re.findall(r"^import\b.*", text, re.MULTILINE) == []
    assert re.findall(r"^export\b.*", text, re.MULTILINE) == [text.splitlines()[-1]]
    assert text.splitlines()[-1].startswith("export default ")


@pytest.mark.skipif(NODE is None, reason="there is no node")
@pytest.mark.parametrize("widget", [LiveView, Gallery, Compare, Vote])
def test_a_widgets_text_is_a_module(widget: type[Pictured], tmp_path: Path) -> None:
    """It parses as one, and has a default to import: nothing is declared twice, nothing is used before it is there."""
    path = tmp_path / "widget.mjs"
    path.write_text(widget._esm, encoding="utf-8")
    code = f"import({str(path)!r}).then(({{ default: widget }}) => console.log(Object.keys(widget()).join()))"
    for arguments in (["--check", str(path)], ["--eval", code]):
        done = subprocess.run([NODE or "", *arguments], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
    assert done.stdout == "initialize,render\n"


def test_a_module_comes_once_and_behind_what_it_imports(modules: Modules) -> None:
    """Classes are there when others extend them, in whatever order and how often they are imported."""
    path = modules(
        top='import { B } from "./b.mjs";\nimport {\n  A,\n} from "./a.mjs";\nexport default new B(A);\n',
        a="export class A {}\n",
        b='import { A } from "./a.mjs";\nexport class B extends A {}\n',
    )
    assert lines(joined(path)) == ["class A {}", "class B extends A {}", "export default new B(A);"]


def test_defaults_and_exports_of_other_modules_are_none_of_the_whole(modules: Modules) -> None:
    """The default of an imported module is left out, and what it declares is declared and no more."""
    path = modules(
        top='import { one, two } from "./other.mjs";\nexport const three = one + two;\nexport default three;\n',
        other="export const one = 1;\nexport async function two() {}\nexport default one;\n",
    )
    assert lines(joined(path)) == [
        *["const one = 1;", "async function two() {}"],
        *["const three = one + two;", "export default three;"],
    ]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("const x = 1;\nexport const y = 2;\n", "x is declared by other.mjs and by top.mjs"),
        ("export function* x() {}\nexport const y = 2;\n", "x is declared by other.mjs and by top.mjs"),
        ("const y = 2;\n", "top.mjs imports y: not exported by other.mjs"),
        ('import { x } from "./top.mjs";\nexport const y = 2;\n', "import each other: top.mjs > other.mjs > top.mjs"),
        (
            'import { z } from "elsewhere";\nexport const y = 2;\n',
            'other.mjs cannot be joined: import { z } from "else',
        ),
        ('import z from "./z.mjs";\nexport const y = 2;\n', "other.mjs cannot be joined: import z"),
        ("const y = 2;\nexport { y };\n", "other.mjs cannot be joined: export { y };"),
        ("export const { y } = {};\n", "other.mjs cannot be joined: export const { y }"),
        ("const [z] = [];\nexport const y = 2;\n", "other.mjs cannot be joined: const [z]"),
        ("export const y = 2;\nexport default {\n};\n", "other.mjs cannot be joined: export default {"),
    ],
)
def test_what_would_not_be_the_same_in_one_scope_is_refused(modules: Modules, other: str, words: str) -> None:
    """Names that meet, names that are not there, circles, and syntax that is not understood."""
    path = modules(
        top='import { y } from "./other.mjs";\nexport const x = y;\nexport default x;\n',
        other=other,
        z="const z = 1;\n",
    )
    with pytest.raises(ValueError, match=re.escape(words)):
        joined(path)


def test_a_renamed_import_is_refused(modules: Modules) -> None:
    """In one scope there is no other name for it."""
    path = modules(top='import { y as x } from "./other.mjs";\nexport default x;\n', other="export const y = 2;\n")
    with pytest.raises(ValueError, match="imports y as x: not exported by other"):
        joined(path)


def test_a_widget_without_a_default_is_refused(modules: Modules) -> None:
    """It would show nothing, and say so in the browser's console only."""
    with pytest.raises(ValueError, match="has no default export"):
        joined(modules(top="export const x = 1;\n"))


def test_comments_of_whole_lines_are_left_out_and_all_else_stays(modules: Modules) -> None:
    """They would be saved with each notebook; what only looks like one, or shares its line with code, is kept."""
    code = [
        'const address = "https://example.com"; // kept',
        "const cast = /** @type {Node} */ (address);",
        "/** @type {Node} */ (cast).of;",
        "export default 1 / 2;",
    ]
    written = ["// @ts-check", "/**", " * About. */", code[0], "  // More.", *code[1:3], "/** One. */", code[3]]
    first = modules(first="\n".join(written))
    assert lines(joined(first)) == code
