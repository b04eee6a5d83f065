"""`show`: images side by side, small."""

from __future__ import annotations

import re
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output
from PIL import Image

import gradient_notebook as gn
from gradient_notebook.history.entry import HistoryEntry
from gradient_notebook.notebook.sheet import MOST_IMAGES
from gradient_notebook.simulator import Simulator


def image(width: int = 1536, height: int = 1024) -> Image.Image:
    return Image.effect_noise((width, height), 60).convert("RGB")


@pytest.fixture(autouse=True)
def shell() -> InteractiveShell:
    return InteractiveShell.instance()


def shown(value: Any) -> RichOutput:
    with capture_output() as captured:
        gn.show(value)
    (output,) = captured.outputs
    return output


def test_one_image_is_an_ordinary_image() -> None:
    """As under a cell: a preview with its size, and no HTML."""
    output = shown(image())
    assert set(output.data) == {"image/jpeg", "text/plain"}
    assert output.metadata["image/jpeg"] | {"alt": ""} == {"alt": "", "width": 720, "height": 480}


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ({"dawn": image(), "night": image()}, ["dawn", "night"]),
        ([image(), image()], ["1", "2"]),
        ({"a": [image(), image()], "b": image()}, ["a · 1", "a · 2", "b"]),
        ((image(),) * 2, ["1", "2"]),
        ({"<b>": image(), "\x1b[31mred": image()}, ["&lt;b&gt;", "red"]),
    ],
)
def test_several_stand_side_by_side_with_their_labels(value: Any, labels: list[str]) -> None:
    """As text and as alternative texts; a label is text, whatever it holds."""
    page = shown(value).data["text/html"]
    assert re.findall(r'alt="([^"]*)"', page) == labels
    assert re.findall(r"<div>([^<]*)</div>", page) == labels


def test_jobs_and_history_entries_show_their_images(configured: Simulator) -> None:
    """Under their prompts; several of one are numbered."""
    job = gn.submit("red hills", n=2)
    job.result()
    for value in (job, gn.history("red")[0]):
        page = shown(value).data["text/html"]
        assert re.findall(r'alt="([^"]*)"', page) == ["red hills · 1", "red hills · 2"]
    assert shown(gn.history("nothing like it")).data["text/html"].count("<img") == 0


def test_however_many_there_are_it_stays_small() -> None:
    """Together they are about as large as one; beyond a bound it says how many are left out."""
    for count in (1, 4, 20):
        data = shown([image()] * count).data
        assert len(data.get("text/html") or data["image/jpeg"]) < 300_000, count
    page = shown([image(96, 64)] * (MOST_IMAGES + 5)).data["text/html"]
    assert (page.count("<img"), f"Only the first {MOST_IMAGES} are shown" in page) == (MOST_IMAGES, True)


@pytest.mark.parametrize("value", ["a.png", 3, None, {"a": 1}, [b"x"]])
def test_what_has_no_images_is_told(value: Any) -> None:
    """With what can be given."""
    with pytest.raises(gn.InvalidRequestError, match="has no images\nGive an image, a job"):
        gn.show(value)


def test_a_long_history_is_opened_as_far_as_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of originals would fill the memory."""
    opened = []

    class Entry(HistoryEntry):
        @property
        def images(self) -> list[Image.Image]:
            opened.append(self)
            return [image(96, 64)]

    monkeypatch.setattr(HistoryEntry, "prompt", "A fox")
    entries = [Entry(None, None) for _ in range(1000)]  # type: ignore[arg-type]
    shown(entries)
    assert len(opened) == MOST_IMAGES + 1


def test_a_sweep_is_labeled_by_its_axes(configured: Simulator) -> None:
    """Each image by what it is on each axis."""
    study = gn.sweep("a {{animal}}", animal=["fox", "owl"], quality=["low"]).result()
    assert [line.partition(":")[0] for line in shown(study).data["text/plain"].splitlines()] == [
        "fox · low",
        "owl · low",
    ]
