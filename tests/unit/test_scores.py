"""Scores: measured on the originals, each once, in whatever kernel; what fails costs its own cell, and is told."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFilter

from gradient_notebook import GradientNotebookError, InvalidRequestError, Sweep, configure, sweep
from gradient_notebook.simulator import Simulator
from gradient_notebook.sweeps import measures

from .test_sweeps import REFUSED, misbehaving, numbered

__all__ = ["misbehaving"]


def picture() -> Image.Image:
    image = Image.new("RGB", (256, 256), (40, 90, 200))
    pen = ImageDraw.Draw(image)
    for at in range(0, 256, 16):
        pen.ellipse((at, at // 2, at + 90, at + 60), fill=(255 - at, at, 90))
    return image


class Counting:
    """A function of an image that counts how often it was called, on which threads."""

    def __init__(self, failing: tuple[int, ...] = ()) -> None:
        self.calls = 0
        self.threads: set[str] = set()
        self._failing = failing
        self._lock = threading.Lock()

    def __call__(self, image: Image.Image) -> int:
        with self._lock:
            self.calls += 1
            self.threads.add(threading.current_thread().name)
            if self.calls in self._failing:
                raise ValueError("too dark")
            return image.width


def test_blur_takes_sharpness_away_and_gray_has_no_color() -> None:
    """Whatever the image's mode; an image of a single pixel has a value, too."""
    pytest.importorskip("numpy")
    sharp = picture()
    blurred = sharp.filter(ImageFilter.GaussianBlur(3))
    assert measures.sharpness(sharp) > 5 * measures.sharpness(blurred) > 0
    assert measures.colorfulness(sharp) > 30
    for mode in ("L", "1", "P", "RGBA", "CMYK", "I;16"):
        assert (
            measures.colorfulness(sharp.convert("L").convert(mode) if mode != "I;16" else Image.new(mode, (8, 8))) < 15
        )
    assert measures.sharpness(Image.new("RGB", (1, 1))) == 0.0


def test_what_looks_alike_is_marked(configured: Simulator) -> None:
    """With the first that it looks like; what has not been measured is no duplicate."""
    pytest.importorskip("imagehash")
    study = numbered(4).result()
    seen = iter([picture(), picture().resize((300, 300)), picture().rotate(90), picture().filter(ImageFilter.BLUR)])
    for cell, image in zip(study, seen, strict=True):
        cell._note_scores("phash", [measures.phash(image)])
    frame = study.to_frame()
    assert [None if value != value else value for value in frame["duplicate_of"]] == [None, 0, None, 0]  # noqa: PLR0124


def test_an_image_is_like_itself(configured: Simulator) -> None:
    """And less like others; a reference of another size costs the cells of that size, and is told."""
    pytest.importorskip("skimage")
    study = numbered(2).result()
    study.score("ssim", reference=study[0])
    assert study[0].scores["ssim"] == pytest.approx(1.0)
    assert study[1].scores["ssim"] < 0.99  # type: ignore[operator]
    study.score("ssim", reference=study[1].paths[0])
    assert study[1].scores["ssim"] == pytest.approx(1.0)
    with pytest.raises(InvalidRequestError, match="ssim needs a reference"):
        study.score("ssim")


def test_what_was_measured_is_kept_for_all_kernels(configured: Simulator) -> None:
    """By the content of images, not by their cells; of a function, only by a name that is given."""
    study, width = numbered(3).result(), Counting()
    assert study.score(width, name="width") is study
    assert (width.calls, [cell.scores for cell in study]) == (3, [{"width": 1024}] * 3)
    assert list(study.to_frame()["width"]) == [1024] * 3
    more = numbered(4).result().score(width, name="width")
    assert (width.calls, more[3].scores) == (4, {"width": 1024})

    def height(image: Image.Image) -> int:
        return width(image)

    numbered(4).score(height)
    numbered(4).score(height)
    assert width.calls == 12


def test_one_that_raises_costs_its_own_cell(configured: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """It has no value, the others have theirs, and it is measured again the next time."""
    study, width = numbered(3).result(), Counting(failing=(2,))
    with caplog.at_level(logging.WARNING, "gradient_notebook"):
        study.score(width, name="width")
    values = [cell.scores["width"] for cell in study]
    assert sorted(map(str, values)) == ["1024", "1024", "None"]
    assert f"width: 1 not measured (ValueError: too dark); cell {values.index(None)}." in caplog.text
    study.score(width, name="width")
    assert (width.calls, [cell.scores["width"] for cell in study]) == (4, [1024] * 3)


def test_what_is_no_number_is_told(configured: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """A table and the ledger hold numbers and text."""
    study = numbered(1).result().score(lambda image: [image], name="odd")
    assert "expected a number or text, not list" in caplog.text
    assert study[0].scores == {"odd": None}


def test_cells_without_an_image_have_no_score(misbehaving: Any) -> None:
    """They stay in the table."""
    misbehaving([REFUSED])
    width = Counting()
    study = numbered(3).result().score(width, name="width")
    assert width.calls == 2
    assert sorted(len(cell.scores) for cell in study) == [0, 1, 1]
    assert study.to_frame()["width"].isna().sum() == 1


def test_without_an_archive_they_are_measured_all_the_same(configured: Simulator) -> None:
    """From what is in memory, and kept nowhere."""
    configure(archive=False)
    study, width = numbered(2).result(), Counting()
    study.score(width, name="width").score(width, name="width")
    assert (width.calls, [cell.scores for cell in study]) == (4, [{"width": 1024}] * 2)


def test_they_are_measured_in_threads(configured: Simulator) -> None:
    """The kernel's own thread measures none."""
    study, width = numbered(2).result(), Counting()
    study.score(width, name="width")
    assert all(name.startswith("gradient-score") for name in width.threads)


@pytest.mark.parametrize(
    ("measure", "name", "words"),
    [
        ("sharpnes", None, "Did you mean sharpness"),
        ("sharpness", "edge", "has its own"),
        (7, None, "expected a function"),
        (lambda _: 1, None, "The function has no name"),
        (lambda _: 1, "prompt", "another column of that name"),
        (lambda _: 1, "i", "another column of that name"),
        (lambda _: 1, "ssim", "another column of that name"),
    ],
)
def test_what_is_no_measure_is_refused(configured: Simulator, measure: Any, name: str | None, words: str) -> None:
    """Before anything is measured."""
    with pytest.raises(InvalidRequestError, match=words):
        numbered(1).result().score(measure, name=name)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("/no", "reference='/no': No such file"),
        (".", "it is no file"),
        ("\0", "null"),
        ("~nosuchuser/x", "home directory"),
        ("broken.png", r"The image in broken\.png cannot be opened"),
    ],
)
def test_a_reference_that_is_none_is_refused(configured: Simulator, reference: str, words: str) -> None:
    """In words that fit a file."""
    pytest.importorskip("skimage")
    Path("broken.png").write_bytes(b"x")
    with pytest.raises(GradientNotebookError, match=words):
        numbered(1).result().score("ssim", reference=reference)


@pytest.mark.parametrize("measure", ["sharpness", "phash", "ssim"])
def test_a_missing_library_is_named_by_its_extra(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch, measure: str
) -> None:
    """What to install is told as one types it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"pip install 'gradient-notebook\[analysis\]'"):
        numbered(1).result().score(measure)


def test_the_highest_are_found(configured: Simulator) -> None:
    """What has no value is not among them; what was not measured is named."""
    study: Sweep = sweep("hill {{i}}", i=range(4), quality="low").result()
    values = {0: 1.0, 1: 3.0, 2: float("nan"), 3: 2}
    for cell in study:
        cell._note_scores("light", [values[cell.index]])
    assert [cell.index for cell in study.top("light", 2)] == [1, 3]
    assert [cell.index for cell in study.top("light")] == [1, 3, 0]
    with pytest.raises(InvalidRequestError, match="Did you mean light"):
        study.top("lihgt")


def test_nothing_is_loaded_that_is_not_measured(configured: Simulator) -> None:
    """A function of one's own needs no library."""
    before = {name for name in ("skimage", "imagehash") if name in sys.modules}
    numbered(1).result().score(Counting(), name="width")
    assert {name for name in ("skimage", "imagehash") if name in sys.modules} == before
