"""The session: what holds for this process is checked where it is set, and set whole or not at all."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook import session
from gradient_notebook.api.models import DEFAULT_MODEL
from gradient_notebook.connect import discover
from gradient_notebook.notebook.config import ImageGen
from gradient_notebook.session import DEFAULTS, FIELDS, LIMITS, PREFIX, SHOWN_DEFAULTS
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage.archive import default_folder, get_default


def test_it_begins_with_what_is_declared() -> None:
    """Each setting has its default, its help and the declaration that it is checked by."""
    assert session.values() == {name: SHOWN_DEFAULTS.get(name, FIELDS[name].default) for name in FIELDS} | {
        name: SHOWN_DEFAULTS.get(name) for name in DEFAULTS
    }
    assert all(parameter.help and parameter.expected for parameter in FIELDS.values())
    assert session.defaults() == SHOWN_DEFAULTS


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("concurrency", 8, 8),
        ("read_timeout_s", 60, 60.0),
        ("archive", False, False),
        ("archive_dir", "", ""),
        ("budget", None, None),
        ("budget", 5, 5.0),
        ("size", "1536x1024", "1536x1024"),
        ("size", None, None),
        ("quality", "low", "low"),
        ("currency", "€", "€"),
    ],
)
def test_a_field_keeps_a_value_in_its_plain_type(name: str, value: Any, kept: Any) -> None:
    """Whole numbers are seconds too, and None is no default or no price."""
    setattr(session, name, value)
    assert (getattr(session, name), type(getattr(session, name))) == (kept, type(kept))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("concurrency", 0, "concurrency=0: expected a whole number, 1 or more"),
        ("concurrency", None, "concurrency=None"),
        ("concurrency", "8", "concurrency='8'"),
        ("preview_px", 8, "preview_px=8: expected a whole number, 64 to 4,096"),
        ("archive", "yes", "archive='yes': expected True or False"),
        ("read_timeout_s", 0, "read_timeout_s=0"),
        ("max_retries", -1, "max_retries=-1"),
        ("quality", "hihg", "quality='hihg'"),
        ("archive_dir", "~nobodyatall/x", "archive_dir='~nobodyatall/x'"),
    ],
)
def test_a_wrong_value_is_refused_and_changes_nothing(name: str, value: Any, words: str) -> None:
    """The error names the setting, the value and what is expected, and has the name as a field."""
    before = session.values()
    with pytest.raises(gn.InvalidSettingsError) as caught:
        setattr(session, name, value)
    assert caught.value.summary.startswith(words)
    assert caught.value.param == name
    assert session.values() == before


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    """Setting and reading alike: a misspelled setting is never a new attribute."""
    with pytest.raises(gn.InvalidSettingsError, match=r"concurency=8: no such setting\nDid you mean concurrency\?"):
        session.concurency = 8  # type: ignore[attr-defined]
    with pytest.raises(gn.InvalidSettingsError, match=r"no such setting\nKnown settings: .*, debug"):
        gn.configure(zzz=1)
    with pytest.raises(AttributeError, match="Did you mean concurrency"):
        _ = session.concurency  # type: ignore[attr-defined]
    assert not hasattr(session, "zzz")


def test_several_are_set_together_or_not_at_all() -> None:
    """One wrong value leaves all of them as they were, and nobody is told of a change."""
    told: list[tuple[str, Any]] = []
    observer = lambda name, value: told.append((name, value))  # noqa: E731 - to be taken off again
    session.observe(observer)
    before = session.values()
    for wrong in ({"quality": "hihg"}, {"nothing": 1}):
        with pytest.raises(gn.InvalidSettingsError):
            session.update({"concurrency": 8, **wrong, "max_retries": 0})
    assert (session.values(), told) == (before, [])
    session.update({"concurrency": 8, "max_retries": 0})
    assert told == [("concurrency", 8), ("max_retries", 0)]
    session.unobserve(observer)
    session.concurrency = 2
    assert len(told) == 2


def test_configure_sets_and_returns_it(tmp_path: Path) -> None:
    """A script's way; what is made from then on goes by it."""
    assert gn.configure(archive_dir="images", max_retries=1, read_timeout_s=7) is session
    assert session.archive_dir == str(tmp_path / "images")  # wherever the process goes afterwards
    assert get_default().folder == tmp_path / "images"
    found = discover(key="sk-do-for-tests-only")
    assert (found.max_retries, found.read_timeout_s) == (1, 7.0)
    assert discover(key="sk-do-for-tests-only", max_retries=3).max_retries == 3
    gn.configure(archive=False)
    assert get_default() is None


def test_the_limits_are_those_of_settings() -> None:
    """Each limit of `Settings` has a setting of the same name and default."""
    assert set(LIMITS) == {"connect_timeout_s", "read_timeout_s", "max_request_s", "max_retries", "max_wait_s"}
    fields = gn.Settings.__dataclass_fields__
    assert session.limits() == {name: fields[name].default for name in LIMITS}


def test_reset_is_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was set is gone; what the environment says holds again."""
    gn.configure(concurrency=8, archive_dir="/x", size="1024x1024", debug=True)
    assert gn.GradientNotebookError.debug
    monkeypatch.setenv(PREFIX + "MAX_RETRIES", "7")
    session.reset()
    assert (session.concurrency, session.archive_dir, session.size, session.max_retries) == (4, "", None, 7)
    assert get_default().folder == default_folder()
    assert not gn.GradientNotebookError.debug


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("concurrency", "8", 8),
        ("read_timeout_s", "2.5", 2.5),
        ("archive", "false", False),
        ("archive", "False", False),
        ("debug", "TRUE", True),
        ("model", "openai-gpt-image-2", "openai-gpt-image-2"),
        ("quality", "low", "low"),
        ("partial_images", "0", 0),
        ("archive_dir", "/images", "/images"),
        ("currency", "€", "€"),
        ("budget_per_day", "2.50", 2.5),
        ("concurrency", "", 4),
    ],
)
def test_an_environment_variable_sets_a_field(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any
) -> None:
    """`GRADIENT_IMAGE_<NAME>`, as an option of a magic is written; empty is as if it were not there."""
    monkeypatch.setenv(PREFIX + name.upper(), text)
    session.reset()
    assert getattr(session, name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("concurrency", "many"),
        ("concurrency", "0"),
        ("archive", "yes"),
        ("quality", "hihg"),
        ("archive_dir", "~nobodyatall/x"),
    ],
)
def test_a_wrong_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """The variable, the value and what is expected; and nothing has changed."""
    gn.configure(max_retries=7)
    before = session.values()
    monkeypatch.setenv(PREFIX + name.upper(), text)
    with pytest.raises(gn.InvalidSettingsError, match=rf"^{name}='?{text}'?: .*{PREFIX}{name.upper()}"):
        session.reset()
    assert session.values() == before


def test_a_worker_takes_its_settings_from_the_environment() -> None:
    """A process that only imports the package has them."""
    code = "from gradient_notebook import session; print(session.concurrency, session.quality)"
    environment = {**os.environ, "GRADIENT_IMAGE_CONCURRENCY": "12", "GRADIENT_IMAGE_QUALITY": "low"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "12 low\n"


def test_the_sessions_model_is_the_default_of_every_request(configured: Simulator) -> None:
    """Of `generate`, `submit` and both clients, where a call names none; no other default is theirs."""
    gn.configure(model="openai-gpt-image-2", size="1536x1024")

    async def ask() -> None:
        async with gn.AsyncClient() as client:
            await client.images.generate(prompt="a", quality="low")

    gn.generate("a", quality="low")
    gn.submit("a", quality="low", model=None).result()
    gn.Client().images.generate(prompt="a", quality="low")
    asyncio.run(ask())
    gn.generate("a", quality="low", model=DEFAULT_MODEL)

    assert [post.body["model"] for post in configured.posts] == ["openai-gpt-image-2"] * 4 + [DEFAULT_MODEL]
    assert all("size" not in post.body for post in configured.posts)


def test_the_notebooks_settings_follow_without_an_echo() -> None:
    """A change tells each observer once, however many shells mirror the session; each of them has the value."""
    mirrors, told = [ImageGen(), ImageGen()], []
    gn.session.observe(lambda name, value: told.append((name, value)))

    gn.configure(concurrency=7)
    mirrors[0].max_retries = 2

    assert told == [("concurrency", 7), ("max_retries", 2)]
    assert [(mirror.concurrency, mirror.max_retries) for mirror in mirrors] == [(7, 2)] * 2
    for mirror in mirrors:
        mirror.reset()
