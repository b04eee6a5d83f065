"""What people do with a finished sweep: tables, files, a sheet; none of it loses, overwrites or runs anything."""

from __future__ import annotations

import csv
import json
import os
import pickle
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gradient_notebook import InvalidRequestError, Sweep, configure, sweep
from gradient_notebook.simulator import Simulator

from .test_sweeps import REFUSED, misbehaving, numbered

__all__ = ["misbehaving"]

STYLES = ["ink", "../../oil", "=1+1", "<script>alert(1)</script>"]


def styles(**how: Any) -> Sweep:
    return sweep("A fox in {{style}}", style=STYLES, quality="low", **how).result()


def test_a_row_is_an_image_or_a_cell_without_one(misbehaving: Any) -> None:
    """Its axes, what was sent, what came, and why it did not."""
    misbehaving([REFUSED])
    study = styles()
    frame = study.to_frame()
    assert list(frame["style"]) == STYLES
    assert list(frame["prompt"]) == [cell.prompt for cell in study]
    assert list(frame["outcome"]) == [cell.outcome for cell in study]
    refused = next(cell for cell in study if cell.outcome == "refused")
    row = frame.iloc[refused.index]
    assert row["reason"] == refused.error
    assert row[["path", "revised_prompt", "total_tokens"]].isna().all()
    done = frame[frame["outcome"] == "done"]
    assert [Path(path).read_bytes() for path in done["path"]] == [c.bytes for c in study if c.outcome == "done"]
    assert (done["total_tokens"] > 0).all()
    assert (done["seconds"] >= 0).all()
    assert "image" not in frame
    assert [image and image.size for image in study.to_frame(images=True)["image"]].count((1024, 1024)) == 3


def test_cells_go_to_other_processes_and_sweeps_say_so(configured: Simulator) -> None:
    """Without connection and key: what was made is all that a cell knows."""
    study = sweep("A {{animal}}", animal=["fox", "owl"], quality="low", size="1024x1024").result()
    there = pickle.loads(pickle.dumps(list(study[:1])))
    assert [(cell.outcome, cell.prompt, cell.bytes) for cell in there] == [("done", "A fox", study[0].bytes)]
    for whole in (study, study[:1]):
        with pytest.raises(TypeError, match=r"Pickle list\(...\) of them"):
            pickle.dumps(whole)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_each_library_has_the_same_table(configured: Simulator, library: str) -> None:
    """Also of labels of several types, and of columns without any value."""
    pytest.importorskip(library)
    study = sweep("hill {{i}} {{k}}", i=[1, 2.5, "a"], k=[True, None], quality="low").result()
    frame = study.to_frame(library)
    columns = frame.to_pydict() if library == "pyarrow" else {name: list(frame[name]) for name in frame.columns}
    assert list(columns["i"]) == ["1", "1", "2.5", "2.5", "a", "a"]
    assert [None if label is None else bool(label) for label in columns["k"]] == [True, None] * 3
    assert [list(tags) for tags in columns["tags"]] == [[]] * 6
    assert list(columns["path"]) == [str(cell.paths[0]) for cell in study]


def test_an_axis_that_is_called_like_a_column_keeps_both(configured: Simulator) -> None:
    """Its labels have a column beside."""
    frame = sweep("A {{path}}", path=["road", "street"], quality="low").result().to_frame()
    assert list(frame["path_label"]) == ["road", "street"]
    assert all(Path(path).is_file() for path in frame["path"])
    labeled = sweep({"plain": "A fox", "long": "A very red fox"}, quality="low").result().to_frame()
    assert list(zip(labeled["prompt_label"], labeled["prompt"], strict=True)) == [
        ("plain", "A fox"),
        ("long", "A very red fox"),
    ]


def test_a_missing_library_is_named(configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to do about it; a misspelled one, too."""
    study = numbered(1).result()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ImportError, match="pip install polars"):
        study.to_frame("polars")
    with pytest.raises(InvalidRequestError, match="Did you mean pandas"):
        study.to_frame("panda")


def test_costs_are_numbers_that_add_up(misbehaving: Any) -> None:
    """What is refused costs nothing; without a price a cell's cost is missing, and not 0."""
    misbehaving([REFUSED])
    configure(prices={"openai-gpt-image-1": {"per_image": 0.05}}, concurrency=1)
    study = sweep("A {{animal}}", animal=["fox", "owl", "bat"], quality="low", model="openai-gpt-image-1").result()
    frame = study.to_frame()
    assert list(frame["cost"]) == [0.0, 0.05, 0.05]
    assert frame["cost"].sum() == pytest.approx(float(study.cost.amount or 0))
    assert frame["currency"].iloc[1] == study.cost.currency
    configure(prices=None)
    frame = sweep("A hill", quality=["low"], model="openai-gpt-image-1").result().to_frame()
    assert frame[["cost", "currency"]].isna().all(axis=None)


class Page(HTMLParser):
    """What a page has: its images, and the tags of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))


def test_a_folder_has_the_originals_and_what_is_known_of_them(misbehaving: Any) -> None:
    """By names that lead nowhere, and in tables that say the same as the sweep."""
    misbehaving([REFUSED])
    study = styles()
    saved = study.save("study")
    done = [cell for cell in study if cell.outcome == "done"]
    assert [path.read_bytes() for path in saved.images] == [cell.bytes for cell in done]
    assert all(path.parent == Path("study").absolute() for path in saved.images)
    assert all(re.fullmatch(r"\d-[\w-]+\.png", path.name) for path in saved.images)
    rows = [json.loads(line) for line in Path("study/cells.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["style"] for row in rows] == STYLES
    assert [row["file"] for row in rows if row["file"]] == [path.name for path in saved.images]
    with Path("study/cells.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["style"] for row in table] == [f"'{label}" if label.startswith("=") else label for label in STYLES]
    assert [row["reason"] for row in table] == [cell.error or "" for cell in study]
    assert not [path for path in Path().rglob("*") if ".gradient-" in path.name]


def test_what_was_saved_is_called_as_it_was_given(configured: Simulator, tmp_path: Path) -> None:
    """A notebook that is shared does not tell where its author's home is; what code goes on with is absolute."""
    study = numbered(2).result()
    saved = study.save("out")
    assert repr(saved) == f"2 images in out; {Path('out/index.html')} shows them."
    assert (saved.folder, Path(os.fspath(saved))) == (Path("out").absolute(), saved.folder)
    assert repr(study.save(tmp_path / "other")).startswith(f"2 images in {tmp_path / 'other'}; ")


def test_the_page_shows_all_and_runs_nothing(misbehaving: Any) -> None:
    """Each image with what it is in words; why one is missing; text of others is text."""
    misbehaving([{"status": 400, "body": {"error": {"code": "moderation_blocked", "message": "<b>No</b> & never."}}}])
    study = styles()
    saved = study.save("study")
    text = Path("study/index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert {str(image["src"]) for image in page.images} == {path.name for path in saved.images}
    assert all("A fox in" in str(image["alt"]) for image in page.images)
    assert "&lt;b&gt;No&lt;/b&gt; &amp; never." in text
    assert not {"script", "iframe", "link", "base"} & set(page.tags)
    assert not re.search(r"(?:src|href)=\"(?:\w+:|/)", text)


def test_what_is_there_is_not_overwritten(configured: Simulator) -> None:
    """Nor is anything of a second sweep left beside it, unless one says so; a link leads to its folder."""
    first, second = numbered(2).result(), numbered(2, fresh=True).result()
    first.save("study")
    before = {path.name: path.read_bytes() for path in Path("study").iterdir()}
    with pytest.raises(InvalidRequestError, match=r"overwrite=True"):
        second.save("study")
    assert {path.name: path.read_bytes() for path in Path("study").iterdir()} == before
    Path("study/mine.txt").write_text("mine")
    Path("link").symlink_to("study")
    second.save("link", overwrite=True)
    assert Path("study/0-i-0.png").read_bytes() == second[0].bytes
    assert Path("study/mine.txt").read_text() == "mine"
    assert not [path for path in Path().iterdir() if path.name.startswith(".gradient-")]


def test_where_nothing_can_be_written_is_told(configured: Simulator, tmp_path: Path) -> None:
    """Before anything is."""
    study = numbered(1).result()
    Path("file").write_text("x")
    Path("loop").symlink_to("loop")
    for wrong in ("file", "missing/study", "", "\0", None, "n" * 300, "loop", "loop/study", "\ud800"):
        with pytest.raises(InvalidRequestError, match="directory="):
            study.save(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_label_that_cannot_be_written_is_in_the_tables_all_the_same(configured: Simulator, library: str) -> None:
    """With a question mark for half of a character."""
    pytest.importorskip(library)
    study = sweep("A fox {{i}}", i={"\ud800a": "a"}, quality="low").result()
    labels = study.to_frame(library)["i"]
    assert (labels.to_pylist() if library == "pyarrow" else labels.to_list()) == ["?a"]
    assert study.save("study").notes == ()


@pytest.mark.parametrize("px", ["x", None, 0, 1.5])
def test_a_sheet_of_no_size_is_refused(configured: Simulator, px: Any) -> None:
    """In words; nothing is said of what was sent, since nothing was to be."""
    with pytest.raises(InvalidRequestError, match=rf"px={px!r}: expected a whole number, 1 or more$"):
        numbered(1).result().grid(px)


def test_an_original_that_is_gone_is_told(configured: Simulator) -> None:
    """All others are saved; the tables and the page say which is missing."""
    study = numbered(3).result()
    study[1].paths[0].unlink()
    saved = study.save("study")
    assert len(saved.images) == 2
    assert "Cell 1: its original cannot be read" in str(saved)
    assert "its file could not be read" in Path("study/index.html").read_text(encoding="utf-8")
    assert study.grid().size[0] > 0


def test_an_original_that_is_damaged_has_its_place_on_the_sheet(configured: Simulator) -> None:
    """Without a picture, as one that is gone."""
    study = numbered(2).result()
    study[1].paths[0].write_bytes(b"damaged")
    assert study.grid().size[0] > 0


def test_parquet_has_the_bytes(configured: Simulator) -> None:
    """Of each image as it came."""
    pq = pytest.importorskip("pyarrow.parquet")
    study = numbered(2).result()
    study.save("study")
    table = pq.read_table("study/cells.parquet")
    assert [image["bytes"] for image in table["image"].to_pylist()] == [cell.bytes for cell in study]


def test_the_sheet_has_a_place_for_each_label(misbehaving: Any) -> None:
    """Bounded, whatever is asked for; in words it says of each cell what it is, and why there is none."""
    misbehaving([REFUSED])
    study = sweep("A {{animal}} in {{style}}", animal=["fox", "otter"], style=["ink", "oil"], quality="low").result()
    small, large = study.grid(64), study.grid(100_000)
    assert isinstance(small, Image.Image)
    assert small.width < large.width <= 4096
    assert large.height <= 4096
    refused = next(cell for cell in study if cell.outcome == "refused")
    assert all(cell.prompt in small.alt for cell in study)
    assert str(refused.error) in small.alt
    shown = small._repr_mimebundle_()["text/html"]
    assert 'alt="4 cells.' in shown
    assert (small._repr_png_(), small.copy().size) == (None, small.size)
    assert study[:0].grid().size[0] > 0


def test_hundreds_of_cells_are_one_sheet(configured: Simulator) -> None:
    """As many as have room, and how many have none."""
    study = sweep("hill {{i}}", i=range(5000), yes=True, start=False)
    sheet = study.grid()
    assert max(sheet.size) <= 4096
    assert "and 4,950 more" in sheet.alt


def test_the_umask_of_the_user_holds(configured: Simulator) -> None:
    """What is saved is for others, unlike the archive."""
    before = os.umask(0o022)
    try:
        numbered(1).result().save("study")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in Path("study").iterdir()} == {0o644}
