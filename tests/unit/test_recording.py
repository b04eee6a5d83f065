"""Recordings: what was recorded is played as it was, and what is no recording is refused, whatever it is."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradient_notebook import (
    BadRequestError,
    Client,
    ContentPolicyError,
    InvalidRequestError,
    InvalidSettingsError,
    configure,
    connect,
    generate,
    history,
    session,
    submit,
)
from gradient_notebook.jobs import tape
from gradient_notebook.notebook.config import ImageGen
from gradient_notebook.recording import COMPLETED, ERROR, PARTIAL, RecordedEvent, RecordedRequest, append, read
from gradient_notebook.simulator import Simulator

from .recorded import png

USAGE = {
    "input_tokens": 2,
    "output_tokens": 272,
    "total_tokens": 274,
    "input_tokens_details": {"text_tokens": 2, "image_tokens": 0},
}


def recorded(prompt: str, *colors: str, at_s: float = 0.0, **more: Any) -> RecordedRequest:
    """A request whose images have these colors; the last one is finished."""
    *partial, last = [
        RecordedEvent(at_s=at_s * place, type=PARTIAL, image=png(color)) for place, color in enumerate(colors, 1)
    ]
    done = RecordedEvent(at_s=last.at_s, type=COMPLETED, image=last.image, said={"quality": "low", "usage": USAGE})
    return RecordedRequest(body={"prompt": prompt, "model": "openai-gpt-image-2", **more}, events=(*partial, done))


REFUSED = RecordedRequest(
    body={"prompt": "gore", "model": "openai-gpt-image-2"},
    events=(
        RecordedEvent(
            at_s=0, type=ERROR, said={"status": 400, "error": {"code": "moderation_blocked", "message": "No."}}
        ),
    ),
)
LESSON = [
    recorded("A fox", "red", "green", "blue"),
    recorded("A fox", "white"),
    recorded("An owl", "black", n=3),
    REFUSED,
]


@pytest.fixture
def lesson(tmp_path: Path) -> Path:
    """A recording of four requests, which was written in two steps."""
    path = tmp_path / "lesson.imagegen"
    append(path, LESSON[:1])
    append(path, LESSON[1:])
    return path


@pytest.fixture
def client(lesson: Path) -> Any:
    """A client of a simulator that plays it."""
    with Simulator(replay=read(lesson)) as service:
        yield Client(model_access_key="any", base_url=service.url)


def test_what_is_read_is_what_was_written(lesson: Path) -> None:
    """In the order of the requests, however many steps it took."""
    assert read(lesson) == LESSON
    assert [path.name for path in lesson.parent.glob(".gradient*")] == []


def test_it_is_played_as_it_was(client: Any) -> None:
    """The same bytes, in the same order, as a stream or whole; the k-th time the k-th answer, and then from the first."""
    ask = {"prompt": "A fox", "model": "openai-gpt-image-2"}
    events = list(client.images.generate(**ask, stream=True, partial_images=2))
    assert [event.image_bytes for event in events] == [png("red"), png("green"), png("blue")]
    assert [event.type.partition(".")[2] for event in events] == ["partial_image", "partial_image", "completed"]
    assert (events[-1].usage.output_tokens, events[-1].quality) == (272, "low")
    whole = [client.images.generate(**ask).data[0].image_bytes for _ in range(2)]
    assert whole == [png("white"), png("blue")]


def test_no_more_partial_images_are_played_than_are_asked_for(client: Any) -> None:
    """As the service does."""
    ask = {"prompt": "A fox", "model": "openai-gpt-image-2", "stream": True}
    assert len(list(client.images.generate(**ask, partial_images=1))) == 2


def test_several_images_are_several_answers(client: Any) -> None:
    """With the tokens of all of them."""
    response = client.images.generate(prompt="A fox", model="openai-gpt-image-2", n=2)
    assert [image.image_bytes for image in response.data] == [png("blue"), png("white")]
    assert response.usage.total_tokens == 2 * USAGE["total_tokens"]


def test_an_error_is_played_too(client: Any) -> None:
    """With its status and its words."""
    with pytest.raises(BadRequestError, match=r"No\."):
        client.images.generate(prompt="gore", model="openai-gpt-image-2")


def test_what_was_not_recorded_is_told(client: Any) -> None:
    """By what there is: another prompt, or the same with other parameters."""
    with pytest.raises(BadRequestError, match="It has 'A fox', 'An owl', 'gore'"):
        client.images.generate(prompt="A cat", model="openai-gpt-image-2")
    with pytest.raises(BadRequestError, match="this prompt with other parameters: model='openai-gpt-image-2'"):
        client.images.generate(prompt="A fox", model="openai-gpt-image-2", quality="high")


@pytest.mark.parametrize(("speed", "least_s", "most_s"), [(1.0, 0.4, 60), (0.0, 0, 60), (2.0, 0.2, 60)])
def test_it_is_played_at_its_times(speed: float, least_s: float, most_s: float) -> None:
    """No event comes before its time, at whatever speed."""
    import time

    with Simulator(replay=[recorded("A fox", "red", "blue", at_s=0.2)], speed=speed) as service:
        began_s = time.monotonic()
        Client(model_access_key="any", base_url=service.url).images.generate(prompt="A fox", model="openai-gpt-image-2")
        assert least_s <= time.monotonic() - began_s < most_s


def test_the_session_replays(
    lesson: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever key is set: nothing reaches the service, and one line says so."""
    monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-for-tests-only")
    monkeypatch.setattr(connect, "_told_of_replaying", "")
    configure(replay=str(lesson), replay_speed=0, model="openai-gpt-image-2")
    images = [generate("A fox") for _ in range(2)]
    assert [image.getpixel((0, 0)) for image in images] == [(0, 0, 255), (255, 255, 255)]
    told = caplog.text + capsys.readouterr().out  # printed where a test before this one has loaded the extension
    assert told.count("nothing is sent to the service") == 1


def test_a_replay_is_announced_where_it_is_set(
    lesson: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a notebook: a line of the cell that sets it, and none beside the images that come of it."""
    monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-for-tests-only")
    monkeypatch.setattr(connect, "_told_of_replaying", "")
    settings = ImageGen()
    try:
        settings.replay = str(lesson)
        assert capsys.readouterr().out.startswith("gradient_notebook: Replaying lesson.imagegen: nothing is sent")
        configure(replay_speed=0, model="openai-gpt-image-2")
        generate("A fox")
    finally:
        settings.reset()
    assert (caplog.text, capsys.readouterr().out) == ("", "")


def written(path: Path, **entries: Any) -> None:
    """A zip file with these entries."""
    with zipfile.ZipFile(path, "w") as whole:
        for name, content in entries.items():
            whole.writestr(name, content if isinstance(content, (str, bytes)) else json.dumps(content))


HEAD = {"recording.json": {"format": "gradient_notebook recording", "version": 1}}
NAME = f"images/{'0' * 64}.png"
ONE = {"body": {"prompt": "A fox"}, "events": [{"at_s": 1, "type": "completed", "image": NAME}]}
REQUEST = "requests/000001.json"
NO_RECORDING: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-50]),
    "cut in the middle": lambda path: path.write_bytes(path.read_bytes()[:200] + path.read_bytes()[260:]),
    "text": lambda path: path.write_text("a recording"),
    "another zip": lambda path: written(path, readme="hello"),
    "a newer version": lambda path: written(path, **{"recording.json": {**HEAD["recording.json"], "version": 2}}),
    "another format": lambda path: written(path, **{"recording.json": {"format": "x", "version": 1}}),
    "no requests": lambda path: written(path, **HEAD),
    "a path that leads outside": lambda path: written(path, **HEAD, **{"../../evil.png": b"x", REQUEST: ONE}),
    "an image that leads outside": lambda path: written(
        path, **HEAD, **{REQUEST: {**ONE, "events": [{**ONE["events"][0], "image": "../x.png"}]}}
    ),
    "an image that is not there": lambda path: written(path, **HEAD, **{REQUEST: ONE}),
    "an image that was changed": lambda path: written(path, **HEAD, **{REQUEST: ONE, NAME: png("red")}),
    "an entry of a newer version": lambda path: written(path, **HEAD, **{REQUEST: ONE, "notes.txt": "hi"}),
    "a field of a newer version": lambda path: written(path, **HEAD, **{REQUEST: {**ONE, "seed": 1}}),
    "no end": lambda path: written(path, **HEAD, **{REQUEST: {**ONE, "events": []}}),
    "a time before the request": lambda path: written(
        path, **HEAD, **{REQUEST: {**ONE, "events": [{**ONE["events"][0], "at_s": -1}]}}
    ),
    "a status that is none": lambda path: written(
        path, **HEAD, **{REQUEST: {**ONE, "events": [{"at_s": 0, "type": "error", "status": 200, "error": {}}]}}
    ),
    "no object": lambda path: written(path, **HEAD, **{REQUEST: [1]}),
}


@pytest.mark.parametrize("damage", NO_RECORDING.values(), ids=NO_RECORDING)
def test_what_is_no_recording_is_refused(lesson: Path, damage: Callable[[Path], object]) -> None:
    """When it is set, and when it is read; it is not written over either."""
    damage(lesson)
    with pytest.raises(InvalidRequestError, match="recording"):
        read(lesson)
    with pytest.raises(InvalidSettingsError, match="recording"):
        configure(replay=str(lesson))
    assert session.replay == ""
    if lesson.exists():
        before = lesson.read_bytes()
        with pytest.raises(InvalidRequestError):
            append(lesson, LESSON)
        assert lesson.read_bytes() == before


def test_what_comes_is_recorded_and_played_again(configured: Simulator, tmp_path: Path) -> None:
    """Partial images, finished ones and refusals, of jobs and of several images at once, byte for byte."""
    configured.script(
        [None, None, None, {"status": 400, "body": {"error": {"code": "moderation_blocked", "message": "No."}}}]
    )
    file = tmp_path / "mine"
    first = submit("A fox", stream=True, partial_images=2, record=file)
    first.result()
    sheet = submit("An owl", n=2, stream=True, partial_images=1, record=f"{file}.imagegen")
    sheet.result()
    assert isinstance(submit("gore", record=file).exception(), ContentPolicyError)
    kept = read(tmp_path / "mine.imagegen")
    assert [request.body["prompt"] for request in kept] == ["A fox", "An owl", "An owl", "gore"]
    assert [len(request.events) for request in kept] == [3, 2, 2, 1]
    assert all(0 <= event.at_s < 600 for request in kept for event in request.events)
    configure(replay=str(tmp_path / "mine.imagegen"), replay_speed=0)
    again = submit("A fox", stream=True, partial_images=2)
    again.result()
    assert [[*slot.partials, slot.image_bytes] for slot in again._slots] == [
        [*slot.partials, slot.image_bytes] for slot in first._slots
    ]
    assert again.usage == first.usage
    more = submit("An owl", n=2)
    more.result()
    assert [slot.image_bytes for slot in more._slots] == [slot.image_bytes for slot in sheet._slots]
    assert isinstance(submit("gore").exception(), ContentPolicyError)
    assert len(configured.posts) == 4


def test_no_key_is_recorded(configured: Simulator, tmp_path: Path) -> None:
    """Nor for whom it was."""
    generate("A fox", user="somebody", record=tmp_path / "mine.imagegen")
    with zipfile.ZipFile(tmp_path / "mine.imagegen") as whole:
        text = b"".join(whole.read(name) for name in whole.namelist() if name.endswith(".json"))
    assert b"sk-do" not in text
    assert b"somebody" not in text


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("", "expected a path"),
        (3, "expected a path"),
        ("no/such/folder/x.imagegen", "there is no folder"),
        ("folder", "it is a folder"),
        ("\0", "null"),
        ("~nosuchuser/x", "home directory"),
        ("n" * 300, "too long"),
        ("n" * 250, "too long"),
        ("loop.imagegen", "symbolic links"),
    ],
)
def test_where_nothing_can_be_recorded_nothing_is_sent(configured: Simulator, wrong: Any, reason: str) -> None:
    """It is told before."""
    Path("folder").mkdir()
    Path("loop.imagegen").symlink_to("loop.imagegen")
    with pytest.raises(InvalidRequestError, match=f"record=.*{reason}"):
        submit("A fox", record=wrong)
    with pytest.raises(InvalidRequestError, match=f"record=.*{reason}"):
        history().record(wrong)
    Path("text.imagegen").write_text("mine")
    with pytest.raises(InvalidRequestError, match="no whole recording"):
        submit("A fox", record="text.imagegen")
    assert configured.posts == []


def test_a_job_ends_whatever_becomes_of_its_recording(configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its image, which is paid for, and with a note."""

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("no reason")

    monkeypatch.setattr(tape, "append", fail)
    job = submit("A fox", record="mine")
    assert job.result(timeout=60)
    assert job.notes == ["The recording could not be written: no reason"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("no zip", "File is not a zip file"),
        ("no head", r"it does not begin with recording\.json"),
        ("no times", "at_s is missing"),
        ("no image", r"There is no item named 'images/[0-9a-f]{64}\.png' in the archive"),
        ("a pipe", "it is no file"),
    ],
)
def test_why_it_is_no_recording_is_told_in_whole_words(lesson: Path, damage: str, reason: str) -> None:
    """Whatever the reason is."""
    {
        "no zip": lambda: lesson.write_text("x"),
        "no head": lambda: written(lesson, readme="hello"),
        "no times": lambda: written(lesson, **HEAD, **{REQUEST: {**ONE, "events": [{"type": "completed"}]}}),
        "no image": lambda: written(lesson, **HEAD, **{REQUEST: ONE}),
        "a pipe": lambda: (lesson.unlink(), os.mkfifo(lesson)),
    }[damage]()
    with pytest.raises(InvalidSettingsError, match=f"{lesson.name} is no whole recording: {reason}"):
        configure(replay=str(lesson))


def test_a_recording_can_be_made_of_the_history(configured: Simulator, tmp_path: Path) -> None:
    """Of final images, the oldest first; an original that is gone is named, and nothing is written then."""
    made = [generate(prompt, quality="low") for prompt in ("A fox", "An owl")]
    generate("A fox", quality="low", n=2)
    file = tmp_path / "lesson.imagegen"
    assert history().record(file) == 4
    assert [request.body["prompt"] for request in read(file)] == ["A fox", "An owl", "A fox", "A fox"]
    assert [request.last.said["usage"]["output_tokens"] > 0 for request in read(file)[:2]] == [True, True]
    configure(replay=str(file), replay_speed=0)
    assert [generate(prompt, quality="low").tobytes() for prompt in ("A fox", "An owl")] == [
        one.tobytes() for one in made
    ]
    session.replay = ""
    history()[-1].paths[0].unlink()
    with pytest.raises(InvalidRequestError, match="Nothing was recorded: The original file is missing"):
        history().record(tmp_path / "other.imagegen")
    with pytest.raises(InvalidRequestError, match="nothing to record"):
        history("nothing like it").record(file)
    assert not (tmp_path / "other.imagegen").exists()
