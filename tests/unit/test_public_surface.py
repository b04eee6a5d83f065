"""What a user's editor and `help()` show: parameters in sight, types, names that read well."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

import gradient_notebook as gn
from gradient_notebook.api.options import GenerateOptions
from gradient_notebook.api.params import PARAMETERS


def test_the_types_of_the_options_are_the_declarations() -> None:
    """The TypedDict that checkers read has each parameter but the prompt, with its type."""
    hints = typing.get_type_hints(GenerateOptions)
    assert set(hints) == PARAMETERS.keys() - {"prompt"}
    for name, hint in hints.items():
        kind = PARAMETERS[name].kind
        assert hint == (Mapping[str, Any] if kind is dict else kind | None), name


@pytest.mark.parametrize(
    "function",
    [gn.generate, gn.submit, gn.Panel, gn.Client().images.generate, gn.AsyncClient().images.generate],
    ids=["generate", "submit", "Panel", "Client", "AsyncClient"],
)
def test_every_parameter_is_in_the_signature(function: Any) -> None:
    """By its name, as a keyword, and nothing hides behind `**`."""
    shown = inspect.signature(function).parameters
    assert PARAMETERS.keys() <= shown.keys()
    assert inspect.Parameter.VAR_KEYWORD not in {one.kind for one in shown.values()}


@pytest.mark.parametrize("jedi", [True, False])
@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('generate("x", si', "size="),
        ('submit("x", qual', "quality="),
        ('client.images.generate(prompt="x", output_f', "output_format="),
        ('aclient.images.generate(prompt="x", extra_h', "extra_headers="),
        ("Panel(backg", "background="),
    ],
)
def test_tab_completes_parameters(line: str, name: str, jedi: bool) -> None:
    """In IPython, however it looks for them."""
    shell = InteractiveShell.instance()
    shell.push(
        {
            "generate": gn.generate,
            "submit": gn.submit,
            "Panel": gn.Panel,
            "client": gn.Client(),
            "aclient": gn.AsyncClient(),
        }
    )
    shell.Completer.use_jedi = jedi
    with provisionalcompleter():
        assert name in {found.text for found in shell.Completer.completions(line, len(line))}


def test_public_names_read_as_they_are_imported() -> None:
    """`gradient_notebook.APIError`, not the module that it lives in."""
    for name in gn.__all__:
        public = getattr(gn, name)
        if isinstance(public, type) or inspect.isfunction(public):
            assert public.__module__ == "gradient_notebook", name


def test_dir_shows_public_names_only() -> None:
    """What Tab offers after `gradient_notebook.` is what is meant for users."""
    shown = {name for name in dir(gn) if not name.startswith("__")}
    assert shown == {*gn.__all__, "load_ipython_extension", "unload_ipython_extension"}
