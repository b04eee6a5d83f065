"""Parameters as code: whatever they are, the cell and the Python that are written ask for the same again."""

from __future__ import annotations

import ast
import inspect
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import gradient_notebook
from gradient_notebook.api.errors import InvalidRequestError
from gradient_notebook.api.models import DEFAULT_MODEL
from gradient_notebook.api.parameter import Parameter
from gradient_notebook.api.params import ALWAYS_SENT, PARAMETERS, ImageGenerateParams
from gradient_notebook.notebook import codegen
from gradient_notebook.notebook.cell_run import CellRun
from gradient_notebook.notebook.codegen import as_cell, as_python
from gradient_notebook.notebook.config import ImageGen
from gradient_notebook.notebook.magic_args import parse
from gradient_notebook.notebook.magics import ImageGenMagics
from gradient_notebook.session import DEFAULTS, SHOWN_DEFAULTS

from .examples import of_full

WATCHED = {"stream": True, "partial_images": 2}
BREAKS = ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]
PROMPTS_OF_SHELLS = [">>> ", "... ", "...: ", "In [1]: ", "[ins] In [1]: ", "    >>> "]
BRACES = ["{{", "}}", "{{1/0}}", "{", "}", "\\x7d", "{''{"]
QUOTES = ["'", '"', '"""', "\\", " ", "\t", "\0", "\x7f", "\xa0", "\ufeff", "👩‍🎨"]
MAGICAL = ["%%time", "%%imagegen", "!ls", "?", "image?", "$HOME", "{image}", "--", "-", "--raw", "#", "=", "a_b"]
WORDS = st.sampled_from(["a", "fox", *BRACES, *QUOTES, *MAGICAL]) | st.text(max_size=3)
TEXTS = st.lists(WORDS | st.sampled_from([*BREAKS, *PROMPTS_OF_SHELLS]), max_size=8).map("".join)
LINES = st.lists(WORDS, max_size=3).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=3,
)
KEYS = st.sampled_from(["seed", "a=b", "", "-x", "{", '{"a"', "größe", "a\nb", "a\u2028b", "\0", "\ud800"]) | WORDS


def plain(parameter: Parameter) -> st.SearchStrategy[Any]:
    """Values of a parameter, found in the declaration: one that is new there is tested with the others."""
    kinds: dict[type, st.SearchStrategy[Any]] = {
        str: TEXTS if parameter.multiline else LINES,
        int: st.integers(parameter.minimum, parameter.maximum or 20),
        bool: st.booleans(),
        dict: st.dictionaries(KEYS, JSON, max_size=2),
    }
    values = st.sampled_from(parameter.choices) if parameter.choices else kinds[parameter.kind]
    return values if parameter.name in ALWAYS_SENT or parameter.kind is dict else st.none() | values


def checked(values: Mapping[str, Any]) -> ImageGenerateParams:
    try:
        return ImageGenerateParams.of(values)
    except InvalidRequestError:
        assume(condition=False)
        raise


def allowed(name: str, value: Any) -> bool:
    try:
        return PARAMETERS[name].check(value) == value
    except InvalidRequestError:
        return False


ANY = st.fixed_dictionaries({name: plain(parameter) for name, parameter in PARAMETERS.items()}).map(checked)
SESSIONS = st.fixed_dictionaries({name: plain(parameter) for name, parameter in DEFAULTS.items()}).map(
    lambda values: {name: value for name, value in values.items() if value is not None and allowed(name, value)}
)


class Notebook:
    """A shell with the magics, in which a cell is read as in a notebook, and not run."""

    def __init__(self) -> None:
        self.shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
        self.magics = ImageGenMagics(self.shell, ImageGen(parent=self.shell))

    def read(self, cell: str, session: Mapping[str, Any] = SHOWN_DEFAULTS, **names: Any) -> CellRun:
        for name in DEFAULTS:
            setattr(self.magics.settings, name, session.get(name))
        self.shell.user_ns.update(names)
        calls: list[tuple[str, str, str]] = []
        ipython = mock.Mock(run_cell_magic=lambda *call: calls.append(call))
        exec(self.shell.transform_cell(cell), {"get_ipython": lambda: ipython})
        [(magic, line, body)] = calls
        assert magic == "imagegen"
        return self.magics._run(line, body, None)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    with mock.patch.dict("os.environ", IPYTHONDIR=str(tmp_path_factory.mktemp("ipython"))):
        notebook = Notebook()
        yield notebook
        notebook.magics.settings.reset()


def run_python(source: str) -> dict[str, Any]:
    """Return what the Python code gives to `generate`, and check that its answer gets the name."""
    calls: list[dict[str, Any]] = []

    def generate(prompt: str, **named: Any) -> str:
        calls.append({"prompt": prompt, **named})
        return "made"

    names: dict[str, Any] = {}
    with mock.patch.object(gradient_notebook, "generate", generate):
        exec(source, names)
    assert names["otter"] == "made"
    [call] = calls
    return call


@pytest.mark.parametrize(
    ("values", "cell"),
    [
        ({}, "%%imagegen otter\nA fox"),
        ({"prompt": "A fox\n\n  in snow"}, "%%imagegen otter\nA fox\n\n  in snow"),
        (
            {"n": 2, "size": "1536x1024", "quality": "low"},
            "%%imagegen otter --n 2 --size 1536x1024 --quality low\nA fox",
        ),
        ({"model": "openai-gpt-image-1.5"}, "%%imagegen otter --model openai-gpt-image-1.5\nA fox"),
        ({"stream": False, "partial_images": None}, "%%imagegen otter --no-stream\nA fox"),
        ({"stream": False}, "%%imagegen otter --no-stream --partial-images 2\nA fox"),
        ({"partial_images": 3}, "%%imagegen otter --partial-images 3\nA fox"),
        ({"user": "it's me"}, "%%imagegen otter --user 'it'\"'\"'s me'\nA fox"),
        ({"user": ""}, "%%imagegen otter --user ''\nA fox"),
        ({"user": "--x"}, "%%imagegen otter --user=--x\nA fox"),
        ({"user": "{{{a b}}"}, "%%imagegen otter --user '{''{''{a b}}'\nA fox"),
        ({"extra": {"seed": 7, "style": "é"}}, "%%imagegen otter --extra seed=7 --extra 'style=\"\\u00e9\"'\nA fox"),
        ({"extra": {"a=b": None}}, "%%imagegen otter --extra '{\"a=b\": null}'\nA fox"),
        ({"extra": {"ö": "é"}}, '%%imagegen otter --extra \'{"\\u00f6": "\\u00e9"}\'\nA fox'),
        ({"prompt": "a {{b}}"}, "%%imagegen otter --raw\na {{b}}"),
        ({"prompt": " a {{b}}"}, "%%imagegen otter\n{{' a {{b\\x7d}'}}"),
        ({"prompt": ">>> 1"}, "%%imagegen otter\n{{'>>> 1'}}"),
        ({"prompt": "... 1"}, "%%imagegen otter\n{{'... 1'}}"),
        ({"prompt": "a\r\n'b'"}, "%%imagegen otter\n{{\"a\\r\\n'b'\"}}"),
    ],
)
def test_a_cell_says_what_is_needed_and_no_more(values: dict[str, Any], cell: str) -> None:
    """What a notebook does anyway is not said; a text that a body cannot hold is one expression."""
    params = ImageGenerateParams.of({"prompt": "A fox", **WATCHED, **values})
    assert as_cell(params, "otter") == cell


@pytest.mark.parametrize(
    ("values", "session", "options"),
    [
        ({}, {}, " --no-stream"),
        ({}, {"quality": "low"}, " --quality auto --no-stream"),
        (
            {"background": "transparent"},
            {"output_format": "jpeg"},
            " --background transparent --output-format png --no-stream",
        ),
        ({"quality": "low"}, {"quality": "low"}, " --quality low --no-stream"),
        (WATCHED, {"stream": False}, " --stream --partial-images 2"),
        (WATCHED, {"stream": True, "partial_images": 1}, " --partial-images 2"),
        (WATCHED, {**WATCHED, "model": "other"}, f" --model {DEFAULT_MODEL}"),
        ({"model": "other", **WATCHED}, {**WATCHED, "model": "other"}, " --model other"),
        (WATCHED, {**WATCHED, "user": "me"}, ""),
    ],
)
def test_a_cell_is_right_in_its_session_and_in_a_new_notebook(
    values: dict[str, Any], session: dict[str, Any], options: str
) -> None:
    """It says what either would do otherwise; what is open becomes the service's default where there is one."""
    params = ImageGenerateParams.of({"prompt": "A fox", **values})
    assert as_cell(params, session=session) == f"%%imagegen image{options}\nA fox"


def test_a_template_keeps_its_expressions(notebook: Notebook) -> None:
    """The prompt that an author typed, braces and all, is the body, and is filled in when the cell runs."""
    cell = as_cell(ImageGenerateParams(prompt="A {{color}} fox", **WATCHED), raw=False)
    assert cell == "%%imagegen image\nA {{color}} fox"
    assert notebook.read(cell, color="red").params.prompt == "A red fox"


@given(params=ANY, session=SESSIONS)
@example(ImageGenerateParams(prompt="a", user="--"), {})
@example(ImageGenerateParams(prompt="a", background="transparent"), {"output_format": "jpeg"})
@example(ImageGenerateParams(prompt="a"), {"background": "transparent", "output_format": "jpeg"})
def test_a_cell_sends_the_parameters_that_it_was_made_from(
    notebook: Notebook, params: ImageGenerateParams, session: dict[str, Any]
) -> None:
    """In its session and in a new notebook: what was given is the same, and the rest is as the service does it."""
    cell = as_cell(params, "otter", session=session)
    for defaults in (session, SHOWN_DEFAULTS):
        run = notebook.read(cell, defaults)
        assert run.args.name == "otter"
        assert params.body().items() <= run.params.body().items()
        for name in run.params.given().keys() - params.given().keys():
            assert PARAMETERS[name].default in (None, run.params.effective(name))


@settings(max_examples=of_full(300))
@given(prompt=TEXTS, extra=plain(PARAMETERS["extra"]))
@example("a\n \nb", {})
@example("...\nb", {})
@example("a\n  >>> b", {})
@example("In [1]: a\nb", {})
@example("[ins] In [1]: a\nb", {})
@example("{{'a}}'}}}", {})
@example("\x7d\x7d\\}}\\\\}}}", {})
def test_what_a_panel_shows_is_sent_by_its_cell(notebook: Notebook, prompt: str, extra: dict[str, Any]) -> None:
    """Any prompt and any extra fields arrive as they are; the body of the request is the same."""
    params = checked({"prompt": prompt, "extra": extra, **WATCHED})
    cell = as_cell(params)
    assert notebook.read(cell).params.body() == params.body()
    first_line = cell.partition("\n")[0]
    assert first_line.isascii()
    assert "{{" not in first_line


def test_a_body_holds_nothing_that_an_editor_might_change() -> None:
    """Of control characters and what ends a line, only tabs and ordinary ends of lines stand in a cell."""
    broken = [chr(code) for code in range(0x3000) if unicodedata.category(chr(code)) in ("Cc", "Zl", "Zp")]
    assert len(broken) == 67
    cells = {character: as_cell(ImageGenerateParams(prompt=f"a{character}b")) for character in broken}
    assert [character for character, cell in cells.items() if character in cell.partition("\n")[2]] == ["\t", "\n"]


@pytest.mark.parametrize("unit", ["x", "\U0001f98a", "}", "{", "\n ", "\n", "\r", "'\"", "{{}}", "\u2028", ">>> \n"])
def test_the_longest_prompts_are_written_and_read_at_once(notebook: Notebook, unit: str) -> None:
    """32,000 characters of whatever kind, and no place in them is taken for the end of an expression."""
    params = ImageGenerateParams(prompt=f" a{unit * 32_000}"[:31_999] + "b", **WATCHED)
    cell = as_cell(params)
    assert "}}" not in cell[:-2]
    assert notebook.read(cell).params == params
    assert run_python(as_python(params, "otter"))["prompt"] == params.prompt


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({"prompt": "A fox"}, ['otter = generate("A fox")']),
        (
            {"prompt": "A fox", "n": 2, "stream": True, "partial_images": 2},
            ['otter = generate("A fox", n=2, stream=True, partial_images=2)'],
        ),
        ({"prompt": 'A "fox"'}, ["otter = generate('A \"fox\"')"]),
        ({"prompt": "A fox's"}, ['otter = generate("A fox\'s")']),
        ({"prompt": "x" * 68}, [f'otter = generate("{"x" * 68}")']),
        ({"prompt": "x" * 69}, ["otter = generate(", f'    "{"x" * 69}",', ")"]),
        (
            {"prompt": "A fox\n\nin snow\n", "extra": {"seed": [1, {"a": None}]}},
            [
                "otter = generate(",
                '    "A fox\\n"',
                '    "\\n"',
                '    "in snow\\n",',
                '    extra={"seed": [1, {"a": None}]},',
                ")",
            ],
        ),
        (
            {"prompt": "A fox jumps. " * 10, "quality": "low"},
            [
                "otter = generate(",
                '    "A fox jumps. A fox jumps. A fox jumps. A fox jumps. A fox jumps. A fox jumps. A "',
                '    "fox jumps. A fox jumps. A fox jumps. A fox jumps. ",',
                '    quality="low",',
                ")",
            ],
        ),
    ],
)
def test_python_is_laid_out_to_be_read(values: dict[str, Any], lines: list[str]) -> None:
    """One line where it fits, else one argument a line, and a long prompt in lines of its own."""
    head = "from gradient_notebook import generate\n\n"
    assert as_python(ImageGenerateParams.of(values), "otter") == head + "\n".join(lines)


@given(params=ANY)
def test_python_gives_the_parameters_that_it_was_made_from(notebook: Notebook, params: ImageGenerateParams) -> None:
    """Each as it was given, and in a notebook no line of it is taken for a command."""
    source = as_python(params, "otter")
    assert ImageGenerateParams.of(run_python(source)) == params
    assert notebook.shell.transform_cell(source) == source + "\n"


@pytest.mark.parametrize(
    "pieces",
    [
        ["a" * 79 + "\n"],
        ["a" * 80, "\n"],
        ["a" * 80 + " ", "b"],
        ["a" * 81, " b"],
        ["a" * 81, "a"],
        ["a" * 50 + " " + "b" * 29],
        ["a" * 40 + " ", "b" * 40],
        [" " * 81, " c"],
    ],
)
def test_a_long_line_is_cut_after_a_word_where_it_can_be(pieces: list[str]) -> None:
    """A piece fills its line and no more, and ends with its space or its end of line."""
    lines = [f'    "{piece}"'.replace("\n", "\\n") for piece in pieces]
    lines[-1] += ","
    assert as_python(ImageGenerateParams(prompt="".join(pieces))).splitlines()[3:-1] == lines
    assert max(map(len, lines)) <= 88


def test_extra_fields_come_as_pairs_and_as_objects() -> None:
    """An object can hold any key; several of either are one mapping, in which the last word counts."""
    given_values = parse("""--extra seed=7 --extra '{"a=b": {"c": 1}, "": 2, "seed": 8}' --extra x=[]""").given
    assert given_values == {"extra": {"seed": 8, "a=b": {"c": 1}, "": 2, "x": []}}


@pytest.mark.parametrize("text", ["'{\"a\": '", "'{\"a\": 1} b'", "'{a=1'", "[1]", "=1", "a=", "=--", "''"])
def test_extra_fields_that_cannot_be_read_are_told(text: str) -> None:
    """What is neither a pair nor an object is shown with what is expected."""
    with pytest.raises(InvalidRequestError, match=r"extra=.*: expected KEY=JSON\nWrite KEY=JSON"):
        parse(f"--extra={text}")


def test_no_parameter_is_written_by_hand() -> None:
    """Everything but the prompt's place comes from the declaration."""
    tree = ast.parse(inspect.getsource(codegen))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert texts & PARAMETERS.keys() == {"prompt"}
