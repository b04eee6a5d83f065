"""`compare`: what is taken, what differs between requests, and what stays where there is no widget."""

from __future__ import annotations

import re
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image

import gradient_notebook as gn
from gradient_notebook.imaging import digest, open_image
from gradient_notebook.notebook.compare import _chosen
from gradient_notebook.notebook.differences import compared_words, differences
from gradient_notebook.notebook.labeled import Labeled, labeled
from gradient_notebook.notebook.widgets.compare import compared
from gradient_notebook.simulator import Simulator


def image(width: int = 96, height: int = 64, color: str = "red") -> Image.Image:
    return Image.new("RGB", (width, height), color)


def rows(*values: Any) -> dict[str, list[str]]:
    """Return what differs, as text."""
    found = differences(_chosen(values))
    return {row.name: ["".join(text for text, _ in words) for words in row.values] for row in found.rows}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((), "takes 2 to 6 images, and there are none"),
        ((image(),), "takes 2 to 6 images, and there is 1"),
        (([image()] * 7,), "takes 2 to 6 images, and there are more than 6"),
        ((image(), "a.png"), "str has no images"),
        ((image(), None), "NoneType has no images"),
    ],
)
def test_what_cannot_be_compared_is_told(values: tuple[Any, ...], words: str) -> None:
    """In one line, with what can be given in the next."""
    with pytest.raises(gn.InvalidRequestError, match=words):
        gn.compare(*values)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((image(), image()), ["1", "2"]),
        (([image(), image()],), ["1", "2"]),
        (({"low": image(), "high": image()},), ["low", "high"]),
        (({"low": image()}, image()), ["low", "2"]),
        (({"a": image()}, {"a": image()}), ["1 · a", "2 · a"]),
    ],
)
def test_labels_tell_images_apart(values: tuple[Any, ...], labels: list[str]) -> None:
    """Those that were given where there are any, else numbers."""
    assert [one.label for one in _chosen(values)] == labels


def test_cells_jobs_entries_and_variables_are_known_by_their_requests(configured: Simulator) -> None:
    """However an image is given, its settings, tokens and words are found; a stranger's are not known."""
    study = gn.sweep("a {{animal}} at night", animal=["fox", "owl"], quality="low", size="1024x1024").result()
    assert [one.label for one in _chosen(study)] == ["fox", "owl"]
    job = gn.submit("a fox at dawn", quality="high", size="1536x1024")
    kept = job.result()
    entry = gn.history("a owl")[0]
    for late in (job, kept):
        found = rows(study[0], late, entry, image(1024, 1024))
        assert found["prompt"] == ["a fox at night", "a fox at dawn", "a owl at night", "–"]
        assert found["quality"] == ["low", "high", "low", "–"]
        assert found["size"] == ["1024x1024", "1536x1024", "1024x1024", "–"]
        assert len(set(found["tokens"])) > 1
        assert not {"n", "pixels", "stream"} & found.keys()


def test_an_image_took_as_long_wherever_it_is_looked_at(configured: Simulator) -> None:
    """By its record: of two numbers nobody would know which is right."""
    study = gn.sweep("a {{animal}}", animal=["fox", "owl"], quality="low", size="1024x1024").result()
    again = gn.Sweep.attach(study.id)
    job = gn.submit("a hill", quality="low")
    job.result()
    for cell in study:
        assert cell.record_id
        assert cell.elapsed_s == again[cell.index].elapsed_s == gn.history(cell.record_id)[0].elapsed_s
    assert {job._working_s} == {entry.elapsed_s for entry in gn.history("a hill")}


def test_a_recipe_in_an_image_is_read(configured: Simulator, tmp_path: Any) -> None:
    """An image from elsewhere may say itself what was asked for."""
    study = gn.sweep("a {{animal}}", animal=["fox", "owl"], quality="low").result()
    study.save(tmp_path / "saved", recipes=True)
    copies = [open_image(path.read_bytes()) for path in sorted((tmp_path / "saved" / "recipes").iterdir())]
    assert rows(*copies)["prompt"] == ["a fox", "a owl"]


def test_requests_that_are_alike_differ_in_nothing() -> None:
    """Sizes alone differ where nothing else is known."""
    assert rows(image(), image()) == {}
    assert rows(image(), image(64, 64)) == {"pixels": ["96×64", "64×64"]}
    assert not differences(_chosen([image(), image()])).is_known


def test_what_one_alone_is_known_to_be_is_not_said_of_all(configured: Simulator) -> None:
    """An image of which nothing is known may have had another prompt."""
    fox = gn.generate("a fox", quality="low")
    assert differences(_chosen([fox, fox])).prompt == "a fox"
    assert differences(_chosen([fox, image()])).prompt == ""


@pytest.mark.parametrize(
    ("texts", "marked"),
    [
        (["A lake at dawn, wide", "A lake at night, wide"], ["A lake at [dawn], wide", "A lake at [night], wide"]),
        (["a red fox", "a fox"], ["a [red] fox", "a fox"]),
        (["a fox", "an owl"], ["a fox", "an owl"]),
        (["one two", "one", "three one"], ["one [two]", "one", "[three] one"]),
        (["夜の海", "夜の山"], ["夜の[海]", "夜の[山]"]),
        (["", "a"], ["", "a"]),
    ],
)
def test_the_words_that_differ_are_marked(texts: list[str], marked: list[str]) -> None:
    """Without the space behind them, and nothing of a text is lost."""
    found = compared_words(texts)
    assert ["".join(text for text, _ in words) for words in found] == texts
    some_same = [any(not differs for _, differs in words) for words in found]
    brackets = [
        "".join(f"[{text}]" if differs and same else text for text, differs in words)
        for words, same in zip(found, some_same, strict=True)
    ]
    assert brackets == marked


def test_equal_pixels_are_known_whatever_the_file() -> None:
    """And no others: neither another color, nor another shape of the same bytes."""
    same = [image(), image().convert("RGBA").convert("RGB"), image().convert("P")]
    assert len({digest(one) for one in same}) == 1
    others = [image(), image(64, 96), image(color="#fe0000"), image().convert("RGBA")]
    others[3].putalpha(254)
    assert len({digest(one) for one in others}) == 4


def test_previews_have_a_bound_and_no_trait_holds_one() -> None:
    """What is sent is at most 1536 pixels long, and what is saved with a notebook is words."""
    found = _chosen([image(4000, 2000), image(300, 200)])
    view = compared(found, differences(found))
    assert [(view._pictures[key].width, view._pictures[key].height) for key in "01"] == [(1536, 768), (300, 200)]
    assert [(one["width"], one["height"]) for one in view.images] == [(4000, 2000), (300, 200)]
    assert len(str(view.get_state())) < len(view._esm) + len(view._css) + 5_000
    view.close()


def test_a_saved_notebook_has_the_table_with_its_words_marked(configured: Simulator) -> None:
    """Text is text, whatever it holds."""
    first = gn.submit("a <b>fox</b>", quality="low")
    second = gn.submit("a <b>owl</b>", quality="low")
    first.result()
    second.result()
    found = _chosen([{"x": first, "y": second}])
    page = differences(found).html([one.label for one in found])
    told = re.findall(r"<td [^>]*>(.*?)</td>", page)
    assert told[0] == "<span>a &lt;b&gt;</span><b>fox</b><span>&lt;/b&gt;</span>"


def test_a_terminal_has_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Sizes, and what differs."""
    InteractiveShell.instance()
    with capture_output() as captured:
        gn.compare({"a": image(), "b": image(64, 64)})
    assert captured.stdout.splitlines() == ["a: 96x64", "b: 64x64", "pixels: 96×64 | 64×64"]
    assert captured.outputs == []


def test_what_an_image_was_found_in_is_kept(configured: Simulator) -> None:
    """Of a job with several images each is its own."""
    job = gn.submit("hills", n=2)
    job.result()
    assert [(type(one), one.label, one.source) for one in labeled(job, "")] == [
        (Labeled, "hills · 1", job),
        (Labeled, "hills · 2", job),
    ]
