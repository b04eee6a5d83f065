"""The history is searched in SQLite, and finds what the plain rule finds, whatever has been written and by whom."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook.history.query import SHOWN
from gradient_notebook.storage import ledger as ledger_module
from gradient_notebook.storage import reading, schema
from gradient_notebook.storage.archive import Archive
from gradient_notebook.storage.ledger import VERSION, ImageRecord, Record
from gradient_notebook.storage.search import Query

from .recorded import png

ODD = [
    "Stra\u00dfe STRASSE \u1e9e ss",
    "\u0130stanbul istanbul \u0131\u0307 Izmir",
    "\u72d0\u72f8\u5728\u96ea\u5730 \u30ad\u30c4\u30cd",
    "\U0001f98a\U0001f469\u200d\U0001f680 fox",
    "say \"cheese\" 'please' \\ back",
    "100% wool_ * ? [a-z] ]^x[ [^b] a*b",
    "a?b [ab] --; DROP TABLE texts",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\u00c9t\u00e9 e\u0301te\u0301 \ufb01re \u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
    "zero\0inside",
    "half\ud800",
    "",
]


def record(number: int, **values: Any) -> Record:
    known: dict[str, Any] = {"outcome": "done", "model": "m", "prompt": "p", "params": {}, "endpoint": "e"}
    return Record(**{"id": f"{number:04x}", "started_at": 1e9 + number, "ended_at": 1e9 + number, **known, **values})


def fill(archive: Archive, records: Collection[Record]) -> None:
    """Write many at once, as `Ledger.put` writes each."""
    with archive.ledger._writing() as connection:
        for one in records:
            ledger_module._put(connection, one)


@contextlib.contextmanager
def raw(archive: Archive) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(archive.ledger.path)) as connection:
        yield connection
        connection.commit()


def by_hand(archive: Archive, *statements: str) -> None:
    with raw(archive) as connection:
        for statement in statements:
            connection.execute(statement)


def prompts(found: gn.History) -> list[str]:
    return [entry.prompt for entry in found]


def number_of_texts(archive: Archive) -> int:
    with raw(archive) as connection:
        return int(connection.execute("SELECT count(*) FROM texts").fetchone()[0])


# Words


@pytest.fixture
def odd() -> Archive:
    """Each odd text as a prompt, as a revised prompt, and next to another."""
    archive = Archive()
    revised = [(ImageRecord(position=0), ImageRecord(position=1, revised_prompt=text)) for text in ODD]
    file = (ImageRecord(position=0, file="00ab*[.png", outcome="done"),)
    fill(
        archive,
        [
            *(record(at, prompt=text) for at, text in enumerate(ODD)),
            *(record(100 + at, images=images) for at, images in enumerate(revised)),
            *(record(200 + at, prompt=f"{text}{ODD[at - 1]}".upper()) for at, text in enumerate(ODD)),
            record(300, prompt="q", images=file),
        ],
    )
    return archive


def has(one: Record, words: str) -> bool:
    """Whether a record has all the words: the rule as it is told to people."""
    revised = next((image.revised_prompt for image in one.images if image.revised_prompt), "")
    text = f"{one.prompt}\n{revised}".casefold()
    words = words.encode("utf-8", "replace").decode()  # as it was written: no file holds half a surrogate pair
    names = [one.id, *(image.file or "" for image in one.images)]
    return all(word.casefold() in text or any(map(str.startswith, names, [word] * 9)) for word in words.split())


def looked_for() -> set[str]:
    """Return each piece of one to three characters, and each whole word, of all odd texts, and names and their beginnings."""
    pieces = {text[at : at + size] for text in ODD for size in (1, 2, 3) for at in range(len(text))}
    words = {word for text in ODD for word in text.split()}
    return pieces | words | {"00", "0064", "00ab*", "ab*[", "s \u00df", "a b 0", "zebra", "\U0010ffff"}


@pytest.mark.parametrize("is_seen", [True, False], ids=["in SQL", "not seen yet"])
def test_a_search_finds_what_the_plain_rule_finds(odd: Archive, is_seen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever script and case, with all that SQL and its patterns take for signs; newest first."""
    everything = odd.records()
    if not is_seen:
        by_hand(odd, "DELETE FROM texts")
        monkeypatch.setattr(ledger_module.Ledger, "_keep_texts", lambda *_: None)
    for words in sorted(looked_for() if is_seen else list(looked_for())[::7]):
        expected = [one.id for one in everything if has(one, words)]
        assert list(odd.find(Query(words=tuple(words.split()))).ids) == expected, words


def test_a_whole_prompt_can_be_searched_for(odd: Archive) -> None:
    """However long it is: one word of 32,000 characters, and as many words as fit in."""
    long, many = "\u72d0" * 32_000, " ".join(f"word{at}" for at in range(4_000))
    fill(odd, [record(400, prompt=long), record(401, prompt=many)])
    assert [len(gn.history(words)) for words in (long, many, f"{many} another", f"{long}x")] == [1, 1, 0, 0]


# What somebody else has written


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE generations SET prompt = 'zebra' WHERE id = '0001'",
        "UPDATE images SET revised_prompt = 'A Zebra' WHERE generation = '0001'",
        "INSERT INTO images (generation, position, is_partial, byte_count, revised_prompt, reported) "  # noqa: ISC004
        "VALUES ('0001', 1, 0, 0, 'zebra', '{}')",
        "UPDATE images SET revised_prompt = 'zebra', thumbnail = x'00' WHERE generation = '0001'",
    ],
)
def test_what_is_changed_by_other_ways_is_found_as_it_is(statement: str) -> None:
    """Nothing that was kept for the search outlives the record that it was made of."""
    archive = Archive()
    fill(archive, [record(at, images=(ImageRecord(position=0),)) for at in range(3)])
    by_hand(archive, statement)
    assert [entry.id for entry in gn.history("zebra")] == ["0001"]
    assert number_of_texts(archive) == 3
    assert [entry.id for entry in gn.history("zebra")] == ["0001"]
    by_hand(archive, "DELETE FROM generations WHERE id = '0001'")
    assert (len(gn.history("zebra")), number_of_texts(archive)) == (0, 2)


def test_a_newer_version_that_searches_in_another_way_is_read() -> None:
    """What this version searches in is not there: each record is looked at."""
    archive = Archive()
    fill(archive, [record(1, prompt="a fox"), record(2, prompt="an otter", outcome="failed")])
    with raw(archive) as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    by_hand(
        archive,
        *(f"DROP TRIGGER {name}" for (name,) in triggers),
        "DROP TABLE texts",
        f"PRAGMA user_version = {VERSION + 1}",
    )
    assert prompts(gn.history("FOX")) == ["a fox"]
    assert prompts(gn.history(outcome="failed", model="M")) == ["an otter"]
    assert prompts(gn.history()) == ["an otter", "a fox"]


def test_a_ledger_without_its_texts_is_mended() -> None:
    """It is no ledger of this version, and the next request is kept."""
    archive = Archive()
    fill(archive, [record(1, prompt="a fox")])
    by_hand(archive, "DROP TABLE texts")
    archive.ledger.put(record(2, prompt="another fox"))
    assert prompts(gn.history("fox")) == ["another fox", "a fox"]


# Outcomes


def test_an_outcome_that_the_ledger_could_not_know_is_found() -> None:
    """The process died with all images kept, or lives; a word of a newer version's counts as unknown."""
    archive = Archive()
    kept = (ImageRecord(position=0, outcome="done", file="a.png"),)
    fill(
        archive,
        [
            record(1, outcome="unknown", images=kept),
            record(2, outcome="unknown", images=(ImageRecord(position=0),)),
            record(3, outcome="done", images=kept),
            record(4, outcome="failed"),
        ],
    )
    by_hand(archive, "UPDATE generations SET outcome = 'admired' WHERE id = '0004'")
    found = {outcome: [entry.id for entry in gn.history(outcome=outcome)] for outcome in ("done", "unknown", "failed")}
    assert found == {"done": ["0003", "0001"], "unknown": ["0004", "0002"], "failed": []}
    assert [entry.id for entry in gn.history("p", outcome="done", since="2001-01-01", model="M")] == ["0003", "0001"]


# A long history


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> Archive:
    """A history of many pages."""
    monkeypatch.setattr(reading, "AT_ONCE", 30)
    archive = Archive()
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    fill(
        archive,
        [
            record(
                at,
                prompt=f"tree {at}",
                images=(ImageRecord(position=0, outcome="done", file=f"{at // 2}.png", byte_count=10, usage=usage),),
            )
            for at in range(400)
        ],
    )
    return archive


def test_a_long_history_is_read_as_far_as_it_is_looked_at(long: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """To open, count, show and search it reads a page; an entry in the middle costs one more."""
    read: list[str] = []
    real = reading.record_of
    monkeypatch.setattr(reading, "record_of", lambda row, images: (read.append(row["id"]), real(row, images))[1])
    found = gn.history("tree")
    assert repr(found) == "<History: 400 generations, 0.0 MB>"
    assert len(found._repr_mimebundle_()["text/html"].split("Record ")) == SHOWN + 1
    assert len(read) == reading.AT_ONCE
    assert found[250].prompt == "tree 149"
    assert prompts(found[300:303]) == ["tree 99", "tree 98", "tree 97"]
    assert len(read) <= 3 * reading.AT_ONCE


def test_a_long_history_gives_what_a_short_one_gives(long: Archive) -> None:
    """Page by page: its order, its tokens, its bytes, its frame, and what is pruned of it."""
    found = gn.history()
    assert prompts(found) == [found[at].prompt for at in range(400)] == [f"tree {at}" for at in range(399, -1, -1)]
    assert prompts(found[::-100]) == ["tree 0", "tree 100", "tree 200", "tree 300"]
    assert (found.usage.total_tokens, found[:100].usage.total_tokens) == (1_200, 300)
    assert (found.byte_count, found[:100].byte_count, gn.history("tree").byte_count) == (2_000, 500, 2_000)
    assert len(found.to_frame()) == 400
    assert (
        prompts(found.prune(max_bytes=1_005)) == prompts(gn.history()) == [f"tree {at}" for at in range(399, 199, -1)]
    )
    gn.history()[150:].delete()
    assert len(gn.history()) == 150


def test_a_history_stays_what_it_was(long: Archive) -> None:
    """What comes or goes while it is looked at moves nothing; what is gone is passed over, and told where it is asked for."""
    found = gn.history()
    fill(long, [record(1_000, prompt="new")])
    long.delete([found[200].id])
    again = iter(found)
    assert next(again).prompt == "tree 399"
    assert len(found) == len(list(again)) + 2 == 400
    assert found.usage.total_tokens == 3 * 399
    assert found[201].prompt == "tree 198"
    with pytest.raises(gn.GradientNotebookError, match="Record 00c7 was deleted after this history was made"):
        _ = found[200]
    assert len(gn.history()) == 400


def test_a_ledger_that_breaks_while_it_is_looked_at_is_mended(long: Archive) -> None:
    """All originals are found, those that lost their records as well, and the length is that of what there is."""
    long.originals.mkdir()
    for at in range(200):
        name = f"{at:03x}{'0' * 61}.png"
        long.write(long.originals / name, png("red", (8, 8)))
        by_hand(long, f"UPDATE images SET file = '{name}' WHERE file = '{at}.png'")
    gn.history()
    by_hand(long, "PRAGMA wal_checkpoint(TRUNCATE)")
    found = gn.history()
    assert found.notes == []
    data = bytearray(long.ledger.path.read_bytes())
    for start in range(4096, len(data), 4096):
        # The leaves of the images that are looked at last.
        if data[start] == 0x0A and b"000f" in data[start : start + 4096] and b"{}" in data[start : start + 4096]:
            data[start : start + 200] = b"\xff" * 200
    long.ledger.path.write_bytes(data)
    entries = list(found)
    assert {path.name for entry in entries for path in entry.paths} == {path.name for path in long.originals.iterdir()}
    assert len(found) == len(entries) == len(gn.history())
    assert "The ledger was damaged" in found.notes[0]


# Earlier versions


@pytest.mark.parametrize("version", range(1, VERSION))
def test_a_ledger_of_each_earlier_version_is_searched_and_kept(
    version: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before the next write, which changes nothing of what was there, where nothing can be written, and after it."""
    archive = Archive(tmp_path / "old")
    archive.folder.mkdir()
    held = [
        record(at, prompt=f"Stra\u00dfe {at}", images=(ImageRecord(position=0, file=f"{at}.png"),)) for at in (2, 1)
    ]
    with contextlib.closing(sqlite3.connect(archive.ledger.path, isolation_level=None)) as connection:
        schema.migrate(connection, version)
        columns = [row[1] for row in connection.execute("PRAGMA table_info(generations)")]
        # What later versions write beside a record, into tables of their own.
        monkeypatch.setattr(ledger_module.search, "put_text", lambda *_: None)
        monkeypatch.setattr(ledger_module.budget, "put", lambda *_: None)
        monkeypatch.setattr(ledger_module, "_PUT_GENERATION", ledger_module._upsert("generations", columns, ["id"]))
        of_images = [row[1] for row in connection.execute("PRAGMA table_info(images)") if row[1] != "thumbnail"]
        put_image = ledger_module._upsert("images", of_images, ["generation", "position"])
        monkeypatch.setattr(ledger_module, "_PUT_IMAGE", put_image)
        for one in held:
            ledger_module._put(connection, one)
        monkeypatch.undo()
    before = archive.ledger.path.read_bytes()
    query = Query(words=("strasse",), outcome="done")
    assert archive.records() == held
    assert list(archive.find(query).ids) == ["0002", "0001"]
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *_: False)
        assert list(archive.find(query).ids) == ["0002", "0001"]
    assert archive.ledger.path.read_bytes() == before
    archive.ledger.put(record(3, prompt="newest"))
    assert archive.records() == [record(3, prompt="newest"), *held]
    assert list(archive.find(query).ids) == ["0002", "0001"]
    assert number_of_texts(archive) == 3
    assert dataclasses.astuple(held[0]) == dataclasses.astuple(archive.records()[1])
