"""`history()`: what has been made is found, shown, opened, asked for again and deleted, in any later session."""

from __future__ import annotations

import base64
import datetime as dt
import html.parser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import gradient_notebook as gn
from gradient_notebook.api.params import PARAMETERS
from gradient_notebook.history.query import SHOWN
from gradient_notebook.notebook.history_view import history_from_line
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage.archive import Archive
from gradient_notebook.storage.ledger import ImageRecord, Ledger, LedgerError
from gradient_notebook.storage.owner import this_process

from .recorded import NOON, png, put


def prompts(found: gn.History) -> list[str]:
    return [entry.prompt for entry in found]


# From a request to the history


def test_what_was_made_is_there_in_a_later_session(configured: Simulator) -> None:
    """The image, the bytes, the settings, the tokens, and code that asks for the same again."""
    image = gn.generate("A red house", quality="low", size="1536x1024", extra={"seed": 1})
    (entry,) = gn.history()
    assert entry.image.tobytes() == image.tobytes()
    assert entry.bytes == Path(image.filename).read_bytes() == entry.paths[0].read_bytes()
    assert entry.image.filename == image.filename
    assert entry.params == gn.ImageGenerateParams(
        prompt="A red house", quality="low", size="1536x1024", extra={"seed": 1}
    )
    assert entry.usage.output_tokens == 400
    assert entry.outcome == "done"
    assert len(entry.request_ids) == 1
    assert entry.started <= dt.datetime.now().astimezone()
    assert entry.elapsed_s > 0
    assert entry.revised_prompt.startswith("A red house.")


def test_its_code_asks_for_the_same_again(configured: Simulator) -> None:
    """What `as_python` says, executed, sends the request that was sent; `as_cell` says so as a cell."""
    gn.generate("Braces {{x}} and\nlines", quality="low", n=2)
    (entry,) = gn.history()
    exec(entry.as_python("again"), names := {})
    assert len(names["again"]) == 2
    assert configured.posts[0].body == configured.posts[1].body
    assert entry.as_cell("again").splitlines() == [
        "%%imagegen again --n 2 --quality low --no-stream --raw",
        "Braces {{x}} and",
        "lines",
    ]


def test_a_partial_image_is_no_image(configured: Simulator) -> None:
    """What had come of a stream that broke is among `partials`, and never `image`."""
    configured.script([{"cut": "in_final"}])
    with pytest.raises(gn.StreamInterruptedError):
        gn.generate("hills", quality="low", stream=True, partial_images=2)
    (entry,) = gn.history()
    assert (entry.outcome, entry.image, entry.bytes, entry.images) == ("unknown", None, None, [])
    assert [image.size for image in entry.partials] == [(1024, 1024)]
    (image,) = entry.record.images
    assert (image.error["type"], image.error["sent"]) == ("StreamInterruptedError", True)
    assert "partial image" in entry._repr_mimebundle_()["text/plain"]


def test_an_image_that_cannot_be_opened_leaves_the_others_usable(configured: Simulator) -> None:
    """The first of three images is none: the other two are what the entry has, shows and counts."""
    pictures = (b"hello", png("red"), png("blue"))
    data = [{"b64_json": base64.b64encode(picture).decode()} for picture in pictures]
    configured.script([{"status": 200, "body": {"created": 1, "data": data}}])
    gn.generate("hills", n=3)
    (entry,) = gn.history()
    assert [image.getpixel((0, 0)) for image in entry.images] == [(255, 0, 0), (0, 0, 255)]
    assert [path.read_bytes() for path in entry.paths] == [png("red"), png("blue")]
    assert (entry.image.getpixel((0, 0)), entry.bytes) == ((255, 0, 0), png("red"))
    shown = entry._repr_mimebundle_()
    assert "2 images" in shown["text/plain"]
    assert "<img" in shown["text/html"]
    assert list(gn.history().to_frame()["images"]) == [2]


def test_an_image_that_was_never_tried_leaves_the_others_usable() -> None:
    """A process that died between keeping and opening left something that is no image, beside one that is."""
    put("hills", b"no image", png("red"), outcome="unknown")
    (entry,) = gn.history()
    assert [image.getpixel((0, 0)) for image in entry.images] == [(255, 0, 0)]


def test_an_image_that_was_kept_is_done_though_its_process_died() -> None:
    """The end was never recorded, and nothing is missing."""
    put("all there", png("red"), outcome="unknown")
    put("one missing", png("blue"), ImageRecord(position=1), outcome="unknown")
    assert {entry.prompt: entry.outcome for entry in gn.history()} == {"all there": "done", "one missing": "unknown"}


# Finding


@pytest.fixture
def several() -> None:
    put("A red House", png("red"), days_ago=3)
    put("A blue house", days_ago=2, outcome="refused", model="other-painter")
    put("Stra\u00dfe im Regen", png("green"), days_ago=1)
    put("100% wool_", ImageRecord(position=0, revised_prompt="A lamb"), days_ago=0, outcome="failed")


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ({}, ["100% wool_", "Stra\u00dfe im Regen", "A blue house", "A red House"]),
        ({"words": "house"}, ["A blue house", "A red House"]),
        ({"words": "HOUSE red"}, ["A red House"]),
        ({"words": "strasse"}, ["Stra\u00dfe im Regen"]),
        ({"words": "%"}, ["100% wool_"]),
        ({"words": "lamb"}, ["100% wool_"]),
        ({"words": "id1"}, ["A blue house"]),
        ({"model": "OTHER"}, ["A blue house"]),
        ({"outcome": "refused"}, ["A blue house"]),
        ({"since": "2026-11-19"}, ["100% wool_", "Stra\u00dfe im Regen"]),
        ({"until": "2026-11-18"}, ["A blue house", "A red House"]),
        ({"since": dt.date(2026, 11, 18), "until": dt.date(2026, 11, 18)}, ["A blue house"]),
        ({"since": NOON, "until": NOON + dt.timedelta(seconds=1)}, ["100% wool_"]),
        ({"until": "2026-11-17T12:00"}, []),
    ],
)
def test_words_dates_model_and_outcome_select(several: None, how: dict[str, Any], found: list[str]) -> None:
    """All words have to be there, in whatever case; days are local and count whole."""
    assert prompts(gn.history(**how)) == found


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"outcome": "don"}, r"outcome='don': expected one of done, .*\nDid you mean done\?"),
        ({"since": "last week"}, "since='last week': expected a date, 2026-11-21, or a time"),
        ({"until": 7}, "until=7: expected a date"),
        ({"since": ""}, "since='': expected a date"),
        ({"until": ""}, "until='': expected a date"),
        ({"words": None}, "words=None: expected text"),
        ({"archive_dir": "~nobodyatall/x"}, "archive_dir='~nobodyatall/x': .*home"),
    ],
)
def test_what_makes_no_sense_is_refused(how: dict[str, Any], words: str) -> None:
    """The thing, the value, what is allowed."""
    with pytest.raises(gn.InvalidRequestError, match=words):
        gn.history(**how)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", 4),
        ("red house", 1),
        ("'red house'", 1),
        ("--outcome refused", 1),
        ("house --since 2026-11-18 --until 2026-11-18 --model painter", 1),
    ],
)
def test_a_line_says_the_same(several: None, line: str, found: int) -> None:
    """`%imagegen_history` takes the same words and options."""
    assert len(history_from_line(line)) == found


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "--outcom done",
            "%imagegen_history: --outcom: no such option\nDid you mean --outcome\\? .* shows all options.$",
        ),
        ("--limit 3", "%imagegen_history: --limit: no such option\n%imagegen_history\\? shows all options.$"),
        ("'red", "No closing quotation"),
        ("--outcome don", "Did you mean done"),
        ("--since", "expected one argument"),
    ],
)
def test_a_mistake_in_a_line_is_named(line: str, words: str) -> None:
    """As with `%%imagegen`: what, and what to do."""
    with pytest.raises(gn.InvalidRequestError, match=words):
        history_from_line(line)


def test_a_history_is_a_sequence(several: None) -> None:
    """Indices, slices, length; its repr says how much there is."""
    found = gn.history()
    assert found[0].prompt == "100% wool_"
    assert prompts(found[1:3]) == ["Stra\u00dfe im Regen", "A blue house"]
    assert isinstance(found[1:3], gn.History)
    assert len(found[:2]) == 2
    assert repr(found) == f"<History: 4 generations, {found.byte_count / 1e6:.1f} MB>"
    assert repr(found[3]) == "<HistoryEntry id0: done, 'A red House'>"


def test_another_archive_can_be_looked_at(tmp_path: Path) -> None:
    """`archive_dir` names its folder."""
    put("elsewhere", png("red"), archive=Archive(tmp_path / "other"))
    assert len(gn.history()) == 0
    (entry,) = gn.history(archive_dir=tmp_path / "other")
    assert entry.image.size == (64, 48)


def test_a_ledger_that_cannot_be_read_says_so() -> None:
    """An error of ours, with the file's name."""
    Archive().ledger.path.mkdir(parents=True)
    with pytest.raises(gn.InvalidSettingsError, match=r"ledger\.sqlite: unable to open database file"):
        gn.history()


# Looking


class Seen(html.parser.HTMLParser):
    """The tags and the words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


EVIL = "<script>alert(1)</script> \"onload='x' <img src=x onerror=alert(1)> &lt;b&gt;"


def test_nothing_that_was_sent_or_answered_is_html() -> None:
    """Prompt, model, revised prompt, error and settings are data: no tag and no attribute gets through."""
    error = {"type": "APIError", "what": EVIL}
    image = ImageRecord(position=0, outcome="failed", error=error, revised_prompt=EVIL, request_id=EVIL)
    put(EVIL, image, outcome="failed", model=EVIL, params={"prompt": EVIL, "size": EVIL, "model": EVIL})
    put("reported", ImageRecord(position=0, reported={"size": EVIL, "quality": EVIL}), outcome="unknown")
    put(EVIL, png("red"))
    seen = Seen(gn.history()._repr_mimebundle_()["text/html"])
    assert {tag for tag, _ in seen.tags} == {"div", "b", "span", "img"}
    assert {name for _, attributes in seen.tags for name in attributes} == {"style", "title", "src", "alt"}
    assert [attributes["src"][:23] for tag, attributes in seen.tags if tag == "img"] == ["data:image/jpeg;base64,"]
    assert "<script>alert(1)</script>" in seen.words


def test_what_is_shown_is_small_and_made_once(several: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures are kept in the ledger: the second look opens no original."""
    put("large", png("red", (2000, 1000)), days_ago=-1)
    first = gn.history()._repr_mimebundle_()["text/html"]
    assert first.count("<img") == 3
    monkeypatch.setattr("gradient_notebook.imaging.open_image", None)
    assert gn.history()._repr_mimebundle_()["text/html"] == first


@pytest.mark.parametrize("fails", ["put_thumbnails", "thumbnails"])
def test_small_pictures_that_cannot_be_kept_are_shown_all_the_same(
    several: None, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """A ledger that is locked, or on a disk that cannot be written, keeps nobody from looking."""

    def refused(*_: Any) -> None:
        raise LedgerError("database is locked")

    monkeypatch.setattr(Ledger, fails, refused)
    text = gn.history()._repr_mimebundle_()["text/html"]
    assert text.count("<img") == 2
    assert "gone" not in text


def test_what_cannot_be_opened_is_not_said_to_be_gone() -> None:
    """Its file is there: a finished image, a partial one, and one that was found to be none."""
    put("done", b"no image")
    kept = Archive()
    for outcome, is_partial in (("failed", False), ("cancelled", True)):
        with kept.storing(b"nor this", outcome, 0) as path:
            put(outcome, ImageRecord(position=0, outcome=outcome, file=path.name, is_partial=is_partial))
    entries = gn.history()
    assert len(entries) == 3
    assert "gone" not in entries._repr_mimebundle_()["text/html"]


def test_an_original_that_is_gone_is_said_to_be() -> None:
    """Somebody has tidied up by hand: the record remains."""
    put("gone", png("red"))
    (entry,) = gn.history()
    entry.paths[0].unlink()
    assert "original file missing" in entry._repr_mimebundle_()["text/html"]
    with pytest.raises(gn.GradientNotebookError, match="The original file is missing: "):
        _ = entry.image


def test_a_long_history_shows_its_newest_and_says_how_many_more() -> None:
    """No cell gets thousands of pictures."""
    for number in range(SHOWN + 2):
        put(f"number {number}", days_ago=number)
    text = gn.history()._repr_mimebundle_()["text/plain"]
    assert "number 0" in text
    assert f"number {SHOWN}" not in text
    assert text.endswith(f"2 older: history()[{SHOWN}:]")


def test_an_empty_history_says_so() -> None:
    """Nothing is an answer."""
    assert gn.history("nothing")._repr_mimebundle_()["text/plain"] == "No images yet, or none that match."


def test_a_record_of_another_time_is_shown_all_the_same() -> None:
    """Values that this version does not take are shown as they are; only `params` refuses them."""
    put("old", params={"prompt": "old", "size": "4096 by 4096", "style": "vivid"})
    (entry,) = gn.history()
    assert "4096 by 4096" in entry._repr_mimebundle_()["text/plain"]
    with pytest.raises(gn.InvalidRequestError):
        _ = entry.params


def test_a_data_frame_has_a_row_for_each() -> None:
    """Settings, tokens, outcome and places in columns."""
    usage = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    put("a", ImageRecord(position=0, usage=usage, request_id="r"), ended_at=NOON.timestamp() + 2)
    put("b", png("red"), days_ago=1, outcome="unknown")
    frame = gn.history().to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["prompt"]) == ["a", "b"]
    assert list(frame["outcome"]) == ["done", "done"]
    assert frame["total_tokens"][0] == 8
    assert frame["elapsed_s"][0] == 2
    assert frame["started"][0] == NOON
    assert [len(paths) for paths in frame["paths"]] == [0, 1]


# Deleting


def test_nothing_goes_unless_it_is_told() -> None:
    """`prune()` that is told nothing refuses."""
    put("a", png("red"))
    with pytest.raises(gn.InvalidRequestError, match="needs older_than= or max_bytes="):
        gn.history().prune()
    assert len(gn.history()) == 1


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        ({"max_bytes": -1}, "max_bytes=-1: expected a whole number of bytes"),
        ({"max_bytes": "2GB"}, "max_bytes='2GB': expected a whole number of bytes"),
        ({"max_bytes": True}, "max_bytes=True: expected a whole number of bytes"),
        ({"older_than": 90}, "older_than=90: expected a timedelta"),
        ({"older_than": dt.timedelta(days=-1)}, "older_than=.*: expected a timedelta, 0 or more"),
        ({"older_than": dt.timedelta(0), "max_bytes": -1}, "max_bytes=-1"),
    ],
)
def test_a_bound_that_makes_no_sense_deletes_nothing(several: None, bound: dict[str, Any], words: str) -> None:
    """The message says what is expected, and that nothing is lost."""
    with pytest.raises(gn.InvalidRequestError, match=rf"{words}(.|\n)*Nothing was deleted\."):
        gn.history().prune(**bound)
    assert len(gn.history()) == 4
    assert all(path.exists() for entry in gn.history() for path in entry.paths)


def test_one_entry_is_deleted_with_its_files(several: None) -> None:
    """Its record and its originals; the others stay."""
    entry = gn.history("red")[0]
    (path,) = entry.paths
    entry.delete()
    assert not path.exists()
    assert len(gn.history()) == 3
    gn.history("house").delete()
    assert prompts(gn.history()) == ["100% wool_", "Stra\u00dfe im Regen"]


def test_pruning_by_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is older goes."""
    now = dt.datetime.now().astimezone()
    for days in (1, 10, 100):
        put(f"{days}", png("red"), started_at=(now - dt.timedelta(days=days)).timestamp())
    rest = gn.history().prune(older_than=dt.timedelta(days=30))
    assert prompts(rest) == prompts(gn.history()) == ["1", "10"]
    assert rest[0].image


def test_pruning_by_size() -> None:
    """The oldest go until the rest fits; an image that two have counts once."""
    size = len(png("red"))
    for number, color in enumerate(["red", "blue", "red", "green"]):
        put(f"{number}", png(color), days_ago=number)
    assert gn.history().byte_count == sum(len(png(color)) for color in ("red", "blue", "green"))
    rest = gn.history().prune(max_bytes=2 * size + 20)
    assert prompts(rest) == prompts(gn.history()) == ["0", "1", "2"]
    assert len(list(Archive().originals.iterdir())) == 2


@pytest.fixture(autouse=True)
def _files_stay_inside(tmp_path: Path) -> Iterator[None]:
    """No test here leaves its own folder."""
    yield
    assert Archive().folder.is_relative_to(tmp_path)


def test_a_name_in_the_ledger_leads_out_of_no_folder(tmp_path: Path) -> None:
    """A ledger that somebody has tampered with reads and deletes nothing elsewhere."""
    (tmp_path / "mine.png").write_bytes(png("red"))
    put("evil", ImageRecord(position=0, outcome="done", file="../../../mine.png"))
    (entry,) = gn.history()
    assert entry.paths[0].parent == Archive().originals
    entry.delete()
    assert (tmp_path / "mine.png").exists()


# What is shown of it, and found again


def shown(value: Any) -> str:
    return str(value._repr_mimebundle_()["text/plain"])


def test_what_is_not_shown_is_named_as_one_writes_it() -> None:
    """With the words that were searched for; a piece goes on where it ends, and each keeps its number."""
    for at in range(2 * SHOWN + 5):
        put(f"tree {at}", days_ago=at)
    found = gn.history("tree", outcome="done")
    assert shown(found).splitlines()[-1] == f"{SHOWN + 5} older: history('tree', outcome='done')[{SHOWN}:]"
    rest = found[SHOWN:]
    assert shown(rest).startswith(f"[{SHOWN}] ")
    assert shown(rest).splitlines()[-1] == f"5 older: history('tree', outcome='done')[{2 * SHOWN}:]"
    assert shown(rest[3]).startswith(f"[{SHOWN + 3}] ")
    assert shown(found[-1]).startswith(f"[{2 * SHOWN + 4}] ")


def test_a_failure_is_shown_with_its_reason_and_request(configured: Simulator) -> None:
    """Where a record is looked at, and not only in a tooltip."""
    configured.script([{"status": 400, "body": {"error": {"message": "size must be divisible by 16"}}}])
    with pytest.raises(gn.BadRequestError) as caught:
        gn.generate("hills")
    text = shown(gn.history(caught.value.record_id))
    assert "size must be divisible by 16" in text
    assert f"Request ID: {caught.value.request_id}" in text


def test_what_a_caption_names_finds_it(configured: Simulator) -> None:
    """The beginning of the record's id, and of its file's name."""
    image = gn.generate("A red house", quality="low")
    gn.generate("A blue house", quality="low")
    (entry,) = gn.history("red")
    for words in (
        entry.id,
        entry.id[:6],
        Path(image.filename).name,
        Path(image.filename).name[:6],
        f"red {entry.id[:8]}",
    ):
        assert [found.id for found in gn.history(words)] == [entry.id]
    assert f"record {entry.id[:6]}" in shown(entry)


@pytest.mark.parametrize(("since", "found"), [("today", 1), ("yesterday", 2), ("7d", 8), (" 7 Days ", 8), ("0d", 1)])
def test_days_are_named_as_people_do(since: str, found: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the beginning of that day on."""
    noon = dt.datetime.now().astimezone().replace(hour=0, minute=0, second=1).timestamp()
    for at in range(10):
        put(f"day {at}", started_at=noon - 86_400 * at + 7_200)  # a day may have 23 hours
    assert len(gn.history(since=since)) == found


def test_an_entry_takes_no_notes() -> None:
    """They would be gone with the next search."""
    put("a")
    with pytest.raises(AttributeError, match="can't keep 'note'"):
        gn.history()[0].note = "best"


def test_the_tokens_of_all_are_summed(configured: Simulator) -> None:
    """As far as they are known; of nothing that is known there is no sum."""
    assert gn.history().usage is None
    for _ in range(2):
        gn.generate("a", quality="low", size="1024x1024")
    assert gn.history().usage.output_tokens == 2 * 272


def test_what_runs_is_told_from_what_died() -> None:
    """In whatever process: one that lives goes on, one that is gone left it unknown."""
    put("here", outcome="unknown", ended_at=None, owner=this_process())
    put("gone", outcome="unknown", ended_at=None, owner="nowhere 1 1")
    assert {entry.prompt: entry.outcome for entry in gn.history()}["here"] == "running"
    assert prompts(gn.history(outcome="running")) == ["here"]


def test_the_frame_has_every_parameter_as_it_was_used(configured: Simulator) -> None:
    """What the service reported goes before what was asked for: auto became something."""
    gn.generate("a wide lake", quality="low")
    frame = gn.history().to_frame()
    assert (frame["size"][0], frame["quality"][0], frame["output_format"][0]) == ("1536x1024", "low", "png")
    assert {name for name in PARAMETERS if name != "extra"} <= set(frame.columns)


def test_a_wait_for_others_is_no_time_of_an_image(configured: Simulator) -> None:
    """The record begins when the request is sent."""
    gn.configure(concurrency=1)
    configured.script([{"delay": 1.0}])
    first, second = gn.submit("a", quality="low"), gn.submit("b", quality="low")
    first.result(), second.result()
    times = {entry.prompt: entry.elapsed_s for entry in gn.history()}
    assert times["a"] >= 1.0 > times["b"]
    assert second.elapsed_s >= 1.0 > second._working_s
