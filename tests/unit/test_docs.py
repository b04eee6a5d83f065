"""The documentation of public names: each says what it does, takes and returns, and its example runs as it stands."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook import testing
from gradient_notebook.api import client, events, sdk
from gradient_notebook.jobs import sync_client
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage import ratings
from gradient_notebook.sweeps import files, sheet, voting

NAMES = (
    {name: getattr(gn, name) for name in gn.__all__ if name != "session"}
    | {"Simulator": Simulator}
    | {f"testing.{name}": getattr(testing, name) for name in testing.__all__}
)
"""What users import; `session` is a `Session`."""
REACHED = {
    f"{place.__name__.rpartition('.')[2]}.{kind.__name__}": kind
    for place, kinds in {
        client: (client.Images, client.Models, client.RawImages, client.RawResponse),
        sync_client: (
            sync_client.Images,
            sync_client.Models,
            sync_client.RawImages,
            sync_client.Stream,
        ),
        events: (events.GeneratedImage, events.InputTokensDetails, events.Model, events.ModelListResponse),
        sdk: (sdk.HTTPAnswer,),
        ratings: (ratings.Rating,),
        files: (files.Saved,),
        sheet: (sheet.Sheet,),
        voting: (voting.Standing,),
    }.items()
    for kind in kinds
}
"""What they come to from there."""
FOR_JOBS = {
    "AsyncClient.open",
    "AsyncClient.post",
    "AsyncClient.error",
    "AsyncClient.fetch",
    "AsyncClient.with_defaults",
    "AsyncClient.meter",
    "AsyncClient.store",
    "client.Images.send",
}
"""What a client has for the package's jobs, beside what it has for users."""


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties of a class that are the package's own."""
    for name in dir(kind):
        home = next((base for base in kind.__mro__ if name in vars(base)), object)
        found = inspect.getattr_static(kind, name)
        found = found.__func__ if isinstance(found, (classmethod, staticmethod)) else found
        is_ours = home.__module__.startswith("gradient_notebook") and not name.startswith("_")
        if is_ours and (inspect.isfunction(found) or isinstance(found, (property, cached_property))):
            yield name, found


CLASSES = {name: kind for name, kind in (NAMES | REACHED).items() if isinstance(kind, type)}
MEMBERS = {
    f"{name}.{member}": found
    for name, kind in CLASSES.items()
    for member, found in members(kind)
    if f"{name}.{member}" not in FOR_JOBS
}
FUNCTIONS = {
    name: found for name, found in (NAMES | MEMBERS).items() if not isinstance(found, (type, property, cached_property))
}
MADE_BY_USERS = {"AsyncClient", "Client", "ImageGenerateParams", "Panel", "Settings", "Simulator"}
EXAMPLES = [
    test
    for name, found in NAMES.items()
    for test in doctest.DocTestFinder(exclude_empty=True).find(found, name, module=False, globs={})
    if test.examples
]


def text_of(found: Any) -> str:
    return inspect.cleandoc(found.__doc__ or "")


def entries(found: Any, *sections: str) -> set[str]:
    """Return the names that have an entry in these sections of a docstring."""
    pattern = rf"^(?:{'|'.join(sections)}):\n((?:(?: +.*)?\n)*)"
    told = "".join(re.findall(pattern, text_of(found) + "\n", re.MULTILINE))
    return {name for names in re.findall(r"^    (\w+(?:, \w+)*):", told, re.MULTILINE) for name in names.split(", ")}


def parameters(found: Any) -> set[str]:
    """Return what a function or a class takes by name."""
    taken = inspect.signature(found).parameters.values()
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {one.name for one in taken if one.kind not in kinds} - {"self", "cls"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_runs(
    example: Any, configured: Simulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And shows what it says, on a machine where each image takes as long as another."""
    monkeypatch.setattr(gn.HistoryEntry, "elapsed_s", 1.0)
    try:
        failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, clear_globs=False).failed
    finally:
        gn.session.reset()
        testing.stop_simulator()
    assert not failed, capsys.readouterr().out


def test_a_name_has_an_example() -> None:
    """Each function and class that is imported; how an error is met stands once, at the root of all. A method may have one."""
    errors = {name for name, found in CLASSES.items() if issubclass(found, gn.GradientNotebookError)}
    assert NAMES.keys() - (errors - {"GradientNotebookError"}) == {
        example.name for example in EXAMPLES if example.name in NAMES
    }


def test_a_docstring_begins_with_a_sentence() -> None:
    """Whatever more there is stands below it."""
    summaries = {name: text_of(found).split("\n\n")[0] for name, found in (NAMES | REACHED | MEMBERS).items()}
    assert {name: summary for name, summary in summaries.items() if not summary.endswith((".", ":"))} == {}


def test_each_argument_is_explained() -> None:
    """Of functions, of methods, and of the classes that users make something of."""
    taking = FUNCTIONS | {name: CLASSES[name] for name in MADE_BY_USERS}
    left = {name: parameters(found) - entries(found, "Args") for name, found in taking.items()}
    assert {name: names for name, names in left.items() if names} == {}


def test_what_is_returned_is_said() -> None:
    """In a section of its own, or in the first sentence where that says it all."""
    silent = [
        name
        for name, found in FUNCTIONS.items()
        if inspect.signature(found).return_annotation not in {"None", "NoReturn"}
        and "\nReturns:\n" not in text_of(found)
        and not re.search(r"\b[Rr]eturns?\b|^Whether\b", text_of(found).split("\n\n")[0])
    ]
    assert silent == []


def test_each_field_is_explained() -> None:
    """Of values and errors, in the docstring that `help()` shows; those of a base class may stand there."""
    left = {
        name: fields_of(kind) - {field for base in kind.__mro__ for field in entries(base, "Args", "Attributes")}
        for name, kind in CLASSES.items()
    }
    assert {name: names for name, names in left.items() if names} == {}


def fields_of(kind: type) -> set[str]:
    """Return the public fields of a value, or the facts of an error."""
    fields: set[str] = set()
    if dataclasses.is_dataclass(kind):
        fields = {declared.name for declared in dataclasses.fields(kind)}
    elif issubclass(kind, gn.GradientNotebookError):
        fields = {field for base in kind.__mro__ for field in inspect.get_annotations(base)}
    return {field for field in fields if not field.startswith("_")}


def test_the_package_lists_its_names() -> None:
    """`gradient_notebook?` is the map: each public name has its line, in one of the groups."""
    assert entries(gn, *re.findall(r"^(\w[\w ,]*):$", text_of(gn), re.MULTILINE)) == set(gn.__all__)
