"""Requests by the thousand to a service that misbehaves behind a relay that breaks: nothing is sent twice, or lost."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import random
import socket
import tempfile
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counted import Figure, some, zero
from misbehaviour import GLUED, Line, script
from relay import HOST, Relay

import gradient_notebook as gn
from gradient_notebook.simulator import Received, Simulator
from gradient_notebook.storage.archive import Archive
from gradient_notebook.storage.ledger import Record

AT_ONCE = 16
SUBMITTED_AHEAD = 3 * AT_ONCE
RETRIES = 3
READ_TIMEOUT_S = 3.0
REQUEST_S = 6.0
"""A whole request: of those that are never silent for long, some have no end."""
PATIENCE_S = 120.0
"""No job takes as long: it waits 20 s at most, and its answer is silent for a few."""
UNREACHED = 0.02
"""The share of requests that go where nobody listens."""
IMPATIENT = 0.2
"""The share of requests that are sent once: of those an error says whether they were sent at all."""
UNLIMITED = 10**9  # requests an hour: the rate limit is not the subject


@dataclass(frozen=True)
class Ended:
    """What is to be known of a request when it has ended."""

    prompt: str
    record_id: str
    status: str
    images: Mapping[int, str]
    """The sha256 of each finished image that came, by its position."""
    errors: Sequence[Exception]
    notices: Sequence[str]


@dataclass(frozen=True)
class Run:
    """All that happened."""

    script: Sequence[Line]
    posts: Sequence[Received]
    """In the order of the script: post i was answered by line i."""
    ended: Sequence[Ended]
    endless: int
    fates: Mapping[str, int]
    archive: Archive


def figures(count: int, seed: int = 1) -> list[Figure]:
    """Make `count` requests, and return what is counted."""
    with tempfile.TemporaryDirectory() as folder:
        return counted(made(count, seed, Archive(Path(folder) / "archive")))


def made(count: int, seed: int, archive: Archive) -> Run:
    """Make `count` requests, some at once."""
    # One for each of those who draw at the same time: the order of their turns is not given.
    of_service, of_relay, of_requests = (random.Random(f"{seed} {who}") for who in ("service", "relay", "requests"))
    lines = script(count * (1 + RETRIES), of_service)
    with _service(lines) as service, Relay(int(service.url.rpartition(":")[2]), of_relay) as relay, _kept_in(archive):
        with _nobody() as nobody:
            ended, endless = _all_of(_requests(count, of_requests, relay.url, nobody))
        return Run(lines, service.posts, ended, endless, relay.fates, archive)


def _service(lines: Sequence[Line]) -> Simulator:
    return Simulator(seconds_per_image=0, faults=[line.fault for line in lines], requests_per_hour=UNLIMITED)


@contextmanager
def _kept_in(archive: Archive) -> Iterator[None]:
    before = gn.session.values()
    gn.configure(concurrency=AT_ONCE, archive=True, archive_dir=str(archive.folder))
    try:
        yield
    finally:
        gn.session.update(before)


@contextmanager
def _nobody() -> Iterator[str]:
    """Give an address that nobody listens at, and that nobody else can take meanwhile."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        yield f"http://{HOST}:{taken.getsockname()[1]}"


def _requests(count: int, chance: random.Random, url: str, nobody: str) -> Iterator[gn.Job]:
    """Send each when it is asked for; each has a prompt of its own."""
    limits: dict[str, Any] = {"max_wait_s": 20, "read_timeout_s": READ_TIMEOUT_S, "max_request_s": REQUEST_S}
    for number in range(count):
        settings = gn.Settings.discover(
            key="sk-do-reliability",
            endpoint=nobody if chance.random() < UNREACHED else url,
            max_retries=0 if chance.random() < IMPATIENT else RETRIES,
            **limits,
        )
        how = {"stream": True, "partial_images": 2} if chance.random() < 0.5 else {"n": chance.choice((1, 1, 2))}
        job = gn.submit(f"Hills, number {number}", settings=settings, quality="low", **how)
        job._observe(str)  # as a card would; what nobody observes is logged
        yield job


def _all_of(jobs: Iterator[gn.Job]) -> tuple[list[Ended], int]:
    """Return what became of the jobs, of which a number is always under way, and how many never ended."""
    ended: list[Ended] = []
    waiting: deque[gn.Job] = deque()
    endless = 0
    for job in jobs:
        waiting.append(job)
        if len(waiting) > SUBMITTED_AHEAD:
            endless += not _has_ended(waiting[0])
            ended.append(_what_became_of(waiting.popleft()))
    endless += sum(not _has_ended(job) for job in waiting)
    return [*ended, *map(_what_became_of, waiting)], endless


def _has_ended(job: gn.Job) -> bool:
    done, _ = concurrent.futures.wait([job._ended], timeout=PATIENCE_S)
    return bool(done)


def _what_became_of(job: gn.Job) -> Ended:
    files = {at: slot.image_bytes for at, slot in enumerate(job._slots) if slot.image_bytes is not None}
    return Ended(
        prompt=job.params.prompt,
        record_id=job.id,
        status=job.status,
        images={at: hashlib.sha256(data).hexdigest() for at, data in files.items()},
        errors=job.errors,
        notices=tuple(job._recorder.notices),
    )


def counted(run: Run) -> list[Figure]:
    """Return the figures of a run."""
    records = {record.id: record for record in run.archive.records()}
    received = Counter(post.body["prompt"] for post in run.posts)
    failures = [error for ended in run.ended for error in ended.errors]
    lost, delivered = _lost(run, records), sum(len(ended.images) for ended in run.ended)
    reached = {post.body["prompt"] for line, post in zip(run.script, run.posts, strict=False) if not line.is_unseen}
    unsent = [(ended, error) for ended in run.ended for error in ended.errors if _is_unsent(error)]
    return [
        Figure(what="requests made", count=len(run.ended)),
        some("posts received by the service", len(run.posts)),
        *(Figure(what=f"  {name}", count=number) for name, number in _kinds(run)),
        *(Figure(what=f"connections {name}", count=number) for name, number in sorted(run.fates.items())),
        some("sent again after 429, or 503 with retry-after", len(run.posts) - len(received)),
        zero("SENT AGAIN after what may have reached the model", len(sent_twice(run))),
        some("finished images delivered", delivered),
        zero("finished images delivered, and not on disk as they came", len(lost)),
        zero("images of an answer that nobody has asked for", len(_foreign(run))),
        zero("posts without a record", len(received.keys() - {record.prompt for record in records.values()})),
        zero("records that contradict their job", sum(_contradicts(ended, records) for ended in run.ended)),
        zero("jobs that never ended", run.endless),
        some("errors that say that the last attempt was not sent", len(unsent)),
        zero(
            "  and yet the service had received the only attempt",
            sum(ended.prompt in received for ended, error in unsent if error.attempts == 1),
        ),
        zero("  and yet one may have reached the model", sum(ended.prompt in reached for ended, _ in unsent)),
        zero("errors that are bugs", sum(not isinstance(error, gn.GradientNotebookError) for error in failures)),
        zero("notices of a disk that fails", sum(len(ended.notices) for ended in run.ended)),
    ]


def _is_unsent(error: Exception) -> bool:
    return isinstance(error, gn.GradientNotebookError) and error.sent is False


def _kinds(run: Run) -> list[tuple[str, int]]:
    return Counter(line.name for line, _ in zip(run.script, run.posts, strict=False)).most_common()


def sent_twice(run: Run) -> list[tuple[str, str]]:
    """Return prompt and kind of each post that was sent again although it may have reached the model."""
    may_have_reached: dict[str, str] = {}
    found = []
    for line, post in zip(run.script, run.posts, strict=False):
        prompt = post.body["prompt"]
        if prompt in may_have_reached:
            found.append((prompt, may_have_reached[prompt]))
        if not line.is_unseen:
            may_have_reached[prompt] = line.name
    return found


def _foreign(run: Run) -> list[str]:
    """Return the hashes of the images that came behind an answer, and were taken for the answer to another request."""
    glued = {hashlib.sha256(base64.b64decode(text)).hexdigest() for text in GLUED}
    return [found for ended in run.ended for found in ended.images.values() if found in glued]


def _lost(run: Run, records: Mapping[str, Record]) -> list[str]:
    """Return the hashes of delivered images that the ledger does not name, or whose file is not what it was."""
    return [
        expected
        for ended in run.ended
        for at, expected in ended.images.items()
        if _kept_as(records.get(ended.record_id), at, run.archive) != expected
    ]


def _kept_as(record: Record | None, at: int, archive: Archive) -> str:
    """Return the sha256 of the file that a record names for an image; nothing where it names none, or a partial one."""
    images = [image for image in record.images if image.position == at] if record else []
    path = archive.originals / images[0].file if images and images[0].file and not images[0].is_partial else None
    return hashlib.sha256(path.read_bytes()).hexdigest() if path and path.exists() else ""


def _contradicts(ended: Ended, records: Mapping[str, Record]) -> bool:
    record = records.get(ended.record_id)
    return not record or not record.ended_at or record.outcome != ended.status
