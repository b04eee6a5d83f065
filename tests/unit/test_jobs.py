"""Jobs: waiting, cancelling, n images, what is kept on disk."""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import gc
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import gradient_notebook as gn
from gradient_notebook.api import bounds
from gradient_notebook.api.params import ImageGenerateParams
from gradient_notebook.connect import discover
from gradient_notebook.jobs import event_loop
from gradient_notebook.jobs.concurrency import get_limiter
from gradient_notebook.jobs.job import Job, new_job
from gradient_notebook.jobs.runner import Runner
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage.archive import Archive, default_folder

STREAMED = {"stream": True, "partial_images": 2, "quality": "low"}


def params(**values: Any) -> ImageGenerateParams:
    return ImageGenerateParams.of({"prompt": "hills", **STREAMED, **values})


def launch(params: ImageGenerateParams, **how: Any) -> Job:
    job = new_job(params, discover(), **how)
    job._start()
    return job


def base64_of(color: str) -> str:
    """Return a tiny image of one color as the service sends it."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def answered(*images: str) -> dict[str, Any]:
    """Return a fault that answers with these images, given as base64, immediately."""
    return {"status": 200, "body": {"created": 1, "data": [{"b64_json": image} for image in images]}}


def streamed(*events: tuple[str, str]) -> dict[str, Any]:
    """Return a fault that streams these events: their kind, and the color of their image."""
    lines = [
        f"data: {json.dumps({'type': f'image_generation.{kind}', 'b64_json': base64_of(color)})}\n\n"
        for kind, color in events
    ]
    return {"content_type": "text/event-stream", "body_text": "".join(lines)}


def colors(images: list[Any]) -> list[tuple[int, ...]]:
    return [image.getpixel((0, 0)) for image in images]


RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


class Slow(Archive):
    """An archive whose disk takes as long as it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.entered, self.released = threading.Event(), threading.Event()

    def path_of(self, data: bytes) -> Path:
        self.entered.set()
        assert self.released.wait(30)
        return super().path_of(data)


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulator that takes longer than any test."""
    with Simulator(seconds_per_image=600) as service:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", service.url)
        monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-x")
        yield service


def test_generate_returns_a_pil_image_at_full_size(configured: Simulator) -> None:
    """The image is decoded from the bytes that the service sent, and knows where they lie."""
    image = gn.generate("hills", quality="low", size="1024x1536")
    assert image.size == (1024, 1536)
    assert Path(image.filename).read_bytes()[:4] == b"\x89PNG"


def test_n_images_are_a_list(configured: Simulator) -> None:
    """n > 1 gives a list, streaming or not."""
    assert [image.size for image in gn.generate("x", n=2, quality="low")] == [(1024, 1024)] * 2
    assert [image.size for image in gn.generate("x", n=2, **STREAMED)] == [(1024, 1024)] * 2


def test_a_job_goes_on_by_itself_and_tells(configured: Simulator) -> None:
    """`submit` returns immediately; observers are told until the end, and the last time of the end."""
    told: list[str] = []
    job = launch(params(), observer=lambda job: told.append(job.status))
    assert isinstance(job, Job)
    image = job.result()
    assert (job.status, job.images, told[-1], told.count("done")) == ("done", [image], "done", 1)
    assert len(job.partials) == 2
    assert job.usage.output_tokens == 272 + 200
    assert "done: 1 of 1 image" in repr(job)


def test_an_observer_that_fails_does_not_take_the_image_along(
    configured: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in a front end is logged, and the image comes all the same."""
    job = launch(params(), observer=lambda _job: 1 / 0)
    assert job.result()
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    "error", [StopIteration, concurrent.futures.CancelledError, asyncio.CancelledError, SystemExit, KeyboardInterrupt]
)
def test_an_observer_stops_neither_its_job_nor_the_others(
    configured: Simulator, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    """What means an end elsewhere, of an iteration, a task or the process, is logged like any other mistake."""
    configured.script([streamed(("completed", "red"))] * 2)

    def fails(_: Job) -> None:
        raise error

    job, other = launch(params(), observer=fails), launch(params())
    for each in (job, other):
        each.exception(timeout=30)
    assert (colors(job.images), colors(other.images)) == ([RED], [RED])
    assert "An observer of <Job" in caplog.text
    assert error.__name__ in caplog.text


def test_an_observer_cannot_wait_for_its_own_job(configured: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """The job would wait for the observer, and the observer for the job: it is refused, logged, and the job ends."""
    configured.script([streamed(("partial_image", "blue"), ("completed", "red")), streamed(("completed", "green"))])
    other = launch(params())
    other._ended.result(timeout=30)
    waited: list[Any] = []

    def waits(job: Job) -> None:
        waited.append(other.result())  # another one can be waited for
        job.result()

    job = launch(params(), observer=waits)
    job._ended.result(timeout=30)
    assert job.status == "done"
    assert waited[0] is other.images[0]
    assert "RuntimeError: An observer can't wait for the job that tells it" in caplog.text
    assert "An observer of <Job" in caplog.text


def test_a_job_can_be_awaited_in_any_loop(configured: Simulator) -> None:
    """`await job` and `asyncio.gather` of jobs work outside of the package's loop."""

    async def both() -> list[Any]:
        return await asyncio.gather(gn.submit("a", **STREAMED), gn.submit("b", **STREAMED))

    assert [image.size for image in asyncio.run(both())] == [(1024, 1024)] * 2


def test_one_of_n_that_fails_leaves_the_others(configured: Simulator) -> None:
    """The images that came are the result; the error of the other is kept."""
    configured.script([None, {"status": 500}, None])
    job = launch(params(n=3))
    assert len(job.result()) == 2
    assert [type(error) for error in job.errors] == [gn.InternalServerError]
    assert sorted(slot.status for slot in job._slots) == ["done", "done", "failed"]
    assert len(configured.posts) == 3


def test_a_job_of_which_nothing_came_raises(configured: Simulator) -> None:
    """Where no image came, the error is raised."""
    configured.script([{"status": 500}] * 2)
    with pytest.raises(gn.InternalServerError):
        launch(params(n=2)).result()


def test_an_answer_with_fewer_images_than_asked_for_says_so(configured: Simulator) -> None:
    """Fewer images than paid for is an error of the missing ones, not silence."""
    with Simulator(seconds_per_image=0) as other:
        whole = gn.Client(model_access_key="k", inference_endpoint=other.url).images.generate(prompt="x", quality="low")
    configured.script([{"body": {"created": 1, "data": [{"b64_json": whole.data[0].b64_json}]}, "status": 200}])
    job = gn.submit("x", n=2)
    assert len(job.result()) == 1
    assert "fewer images than the 2" in str(job.errors[0])


def test_cancelling_hangs_up_and_keeps_the_partial_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is closed immediately, and what has come is still there."""
    with Simulator(seconds_per_image=60) as service:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", service.url)
        monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-x")
        service.script([{"delay": 0}])
        job = launch(params())
        assert service.wait_for(lambda: len(service.posts) == 1)
        job.cancel()
        job.cancel()
        with pytest.raises(gn.JobCancelledError, match="Cancelled after"):
            job.result()
        assert job.status == "cancelled"
        assert service.wait_for(lambda: service.disconnected == 1)


def test_an_image_that_has_come_is_finished_despite_cancelling(configured: Simulator, tmp_path: Path) -> None:
    """While a finished image goes to disk, cancelling, even twice, does not lose it."""
    archive = Slow(tmp_path / "kept")
    job = launch(params(), archive=archive)
    assert archive.entered.wait(30)
    for _ in range(2):
        job.cancel()
        event_loop.run(asyncio.sleep(0))  # the cancellation has arrived
    archive.released.set()
    assert job.result() is job.images[0]
    assert Path(job.images[0].filename).exists()


def test_images_that_have_come_together_are_all_finished_despite_cancelling(
    configured: Simulator, tmp_path: Path
) -> None:
    """While the first of three images of one answer goes to disk, cancelling, even twice, loses none of them."""
    archive = Slow(tmp_path / "kept")
    configured.script([answered(*map(base64_of, ("red", "green", "blue")))])
    job = launch(params(n=3, stream=None, partial_images=None), archive=archive)
    assert archive.entered.wait(30)
    for _ in range(2):
        job.cancel()
        event_loop.run(asyncio.sleep(0))  # the cancellation has arrived
    archive.released.set()
    assert colors(job.result()) == [RED, GREEN, BLUE]
    assert job.status == "done"
    (record,) = archive.records()
    assert [image.outcome for image in record.images] == ["done"] * 3
    assert [(archive.originals / image.file).read_bytes() for image in record.images] == [
        slot.image_bytes for slot in job._slots
    ]


def test_a_partial_image_behind_the_finished_one_changes_nothing(configured: Simulator) -> None:
    """A service that is not done with sending: one image was asked for, and it is here."""
    configured.script([streamed(("completed", "red"), ("partial_image", "blue"))])
    job = launch(params())
    assert colors([job.result()]) == [RED]
    assert (job.status, len(job._slots), job.errors) == ("done", 1, [])


def test_a_whole_image_behind_broken_ones_is_the_result(configured: Simulator) -> None:
    """One was asked for, three came, and the third can be used."""
    configured.script([answered("@@", "@@", base64_of("green"))])
    job = gn.submit("x")
    assert colors([job.result()]) == [GREEN]
    assert job.status == "done"


def test_an_image_too_many_takes_nobodys_place(configured: Simulator, tmp_path: Path) -> None:
    """Of two requests the first sends two images: all three are there, in memory and on disk."""
    gn.configure(concurrency=1)  # one after the other
    configured.script([streamed(("completed", "red"), ("completed", "green")), streamed(("completed", "blue"))])
    archive = Archive(tmp_path / "kept")
    job = launch(params(n=2), archive=archive)
    assert colors(job.result()) == [RED, BLUE, GREEN]
    (record,) = archive.records()
    assert len({image.file for image in record.images}) == 3
    assert [(archive.originals / image.file).read_bytes() for image in record.images] == [
        slot.image_bytes for slot in job._slots
    ]


def test_a_broken_image_leaves_the_others_their_places(configured: Simulator) -> None:
    """Of three images of one answer the second is broken: the first and the third come, each as what it is."""
    with Simulator(seconds_per_image=0) as other:
        whole = gn.Client(model_access_key="k", inference_endpoint=other.url).images.generate(
            prompt="x", quality="low", n=2
        )
    first, last = (image.b64_json for image in whole.data)
    body = {"created": 1, "data": [{"b64_json": first}, {"b64_json": "@@"}, {"b64_json": last}]}
    configured.script([{"body": body, "status": 200}])
    job = gn.submit("x", n=3)
    assert len(job.result()) == 2
    assert [slot.status for slot in job._slots] == ["done", "failed", "done"]


def test_cancelling_at_once_ends_the_job_too(configured: Simulator) -> None:
    """A job that is cancelled before it has taken its first step still ends."""
    job = launch(params())
    job.cancel()
    with pytest.raises(gn.JobCancelledError):
        job.result()


async def queued(endpoint: str) -> int:
    return get_limiter(endpoint).statistics().tasks_waiting


def test_what_is_cancelled_in_the_queue_has_sent_nothing(endless: Simulator) -> None:
    """A job that waits behind another request says that nothing was sent; one that has sent something does not."""
    gn.configure(concurrency=1)
    first = launch(params())
    assert endless.wait_for(lambda: len(endless.posts) == 1)
    second = launch(params(n=2))
    while event_loop.run(queued(endless.url)) < 2:
        pass
    second.cancel()
    first.cancel()
    facts = []
    for job in (first, second):
        with pytest.raises(gn.JobCancelledError, match="Cancelled after") as caught:
            job.result()
        facts.append((caught.value.sent, caught.value.may_be_billed))
    assert facts == [(True, True), (False, False)]
    assert len(endless.posts) == 1


def test_what_is_cancelled_before_it_is_sent_is_not_sent(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However close that was: a cancellation takes some turns of the loop, and a sweep makes the cell again later."""
    receive = Runner._receive

    async def cancelled(self: Runner, *request: Any) -> None:
        job.cancel()
        await receive(self, *request)

    monkeypatch.setattr(Runner, "_receive", cancelled)
    job = gn.submit("A fox", quality="low")
    failure = job.exception()
    assert isinstance(failure, gn.JobCancelledError)
    assert (failure.sent, configured.posts) == (False, [])


def test_cancelling_after_the_end_changes_nothing(configured: Simulator) -> None:
    """A cancellation that comes too late does not take the image away."""
    job = launch(params())
    image = job.result()
    job.cancel()
    assert job.result() is image


def test_a_cancelled_wait_cancels_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time-out around `await job` stops paying."""
    with Simulator(seconds_per_image=60) as service:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", service.url)
        monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-x")

        async def impatient() -> Job:
            job = gn.submit("x", **STREAMED)
            assert await asyncio.to_thread(service.wait_for, lambda: len(service.posts) == 1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(job, 0.01)
            return job

        job = asyncio.run(impatient())
        assert service.wait_for(lambda: service.disconnected == 1)
        with pytest.raises(gn.JobCancelledError):
            job.result()


def test_an_error_is_left_to_its_taker(caplog: pytest.LogCaptureFixture) -> None:
    """A wait in a running loop leaves asyncio no error to log as never retrieved, also where it is given up."""
    failed: concurrent.futures.Future[None] = concurrent.futures.Future()
    failed.set_exception(RuntimeError("for the caller"))
    late: concurrent.futures.Future[None] = concurrent.futures.Future()

    async def wait_for_both() -> None:
        await event_loop.wait_async(failed)
        given_up = asyncio.ensure_future(event_loop.wait_async(late))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait({given_up})
        late.set_exception(RuntimeError("for nobody"))
        await asyncio.sleep(0)

    asyncio.run(wait_for_both())
    gc.collect()

    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def test_waiting_works_in_a_thread(configured: Simulator) -> None:
    """`generate` works where there is no loop at all."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(gn.generate("x", quality="low")))
    thread.start()
    thread.join()
    assert found[0].size == (1024, 1024)


@pytest.mark.parametrize("asked", [lambda: gn.Client().images.generate(prompt="x"), lambda: gn.generate("x")])
def test_an_interrupt_before_the_wait_is_told_as_one_during_it(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch, asked: Any
) -> None:
    """A request may be on its way before anybody waits for it: an interrupt says so, and cancels it."""

    def interrupted(*_: object) -> None:
        assert configured.wait_for(lambda: len(configured.posts) == 1)
        raise KeyboardInterrupt

    configured.script([{"silence": True}])
    monkeypatch.setattr(event_loop, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt, match="may be billed"):
        asked()
    assert configured.wait_for(lambda: configured.disconnected == 1)


def test_a_jobs_own_thread_cannot_wait_for_a_job(configured: Simulator) -> None:
    """Waiting where the work is done would wait for ever: it is refused."""

    async def wait_there() -> None:
        gn.submit("x", quality="low").result()

    with pytest.raises(RuntimeError, match="await it"):
        event_loop.run(wait_there())


def test_the_original_is_on_disk_byte_for_byte(configured: Simulator) -> None:
    """What is kept is what the service sent, readable by its owner only."""
    job = gn.submit("x", quality="low")
    job.result()
    (path,) = (default_folder() / "originals").iterdir()
    assert path.read_bytes() == job._slots[0].image_bytes
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_disk_that_fails_costs_no_image(configured: Simulator, tmp_path: Path) -> None:
    """Where the original cannot be kept, the image comes and a notice says so."""
    (tmp_path / "file").write_text("no folder")
    job = launch(params(), archive=Archive(tmp_path / "file"))
    assert job.result()
    (notice,) = job.notes
    assert notice.startswith(f"Nothing is kept: {tmp_path / 'file'} cannot be written (")


def test_what_is_no_image_is_kept_and_named(configured: Simulator, tmp_path: Path) -> None:
    """Bytes that Pillow cannot open are on disk, and the error says where."""
    configured.script([{"image_data": "not an image"}])
    job = launch(params(), archive=Archive(tmp_path / "kept"))
    with pytest.raises(gn.InvalidResponseError, match="in the response cannot be opened") as caught:
        job.result()
    (path,) = (tmp_path / "kept" / "originals").iterdir()
    assert path.read_bytes() == b"not an image"
    assert (caught.value.path, caught.value.record_id) == (str(path), job.id)


def test_a_mistake_is_found_before_anything_is_sent(configured: Simulator) -> None:
    """Wrong parameters raise immediately, from `submit` too."""
    with pytest.raises(gn.InvalidRequestError):
        gn.submit("x", size="big")
    assert configured.requests == []


def test_partial_images_without_end_are_left(configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that sends partial images for ever does not fill the memory; it may have been billed."""
    monkeypatch.setattr(bounds, "MAX_EVENTS", 90)
    line = 'data: {"type": "image_generation.partial_image", "b64_json": "AAAA"}\n\n'
    configured.script([{"content_type": "text/event-stream", "body_text": line, "endless": line}])
    job = launch(params())
    with pytest.raises(gn.InvalidResponseError, match="more than 90 events") as caught:
        job.result()
    assert caught.value.may_be_billed
    assert len(job._slots[0].partials) < 100


def test_a_job_is_made_by_submit_alone() -> None:
    """Calling the class says what to call."""
    with pytest.raises(TypeError, match=r"submit\(\) makes jobs"):
        Job()


def test_a_wait_that_is_too_long_leaves_the_job_running(endless: Simulator) -> None:
    """`result` and `exception` raise TimeoutError, plainly and inside a running loop; cancelling ends the job."""
    job = gn.submit("hills", settings=discover(key="k", endpoint=endless.url), **STREAMED)

    async def in_a_loop() -> None:
        with pytest.raises(TimeoutError):
            job.exception(timeout=0.01)

    with pytest.raises(TimeoutError):
        job.result(timeout=0.01)
    asyncio.run(in_a_loop())
    assert (job.done(), job.cancelled(), job.status) == (False, False, "running")

    assert job.cancel()
    assert isinstance(job.exception(timeout=30), gn.JobCancelledError)
    assert (job.done(), job.cancelled(), job.cancel()) == (True, True, False)


def test_an_exception_is_what_a_result_would_raise(configured: Simulator) -> None:
    """None where there is a result."""
    refused = gn.submit("hills [refuse]", quality="low").exception()
    assert isinstance(refused, gn.ContentPolicyError)
    assert gn.submit("hills", quality="low").exception() is None


def test_callbacks_hear_of_the_end_once(configured: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """Those that were there before it, and those that come later; one that fails takes no other along."""
    told: list[tuple[str, str]] = []
    heard = threading.Event()
    job = new_job(params(), discover())
    job.add_done_callback(lambda _: 1 / 0)
    job.add_done_callback(lambda ended: told.append(("before", ended.status)))
    job.add_done_callback(lambda _: heard.set())

    job.result()
    assert heard.wait(30)
    job.add_done_callback(lambda ended: told.append(("after", ended.status)))

    assert told == [("before", "done"), ("after", "done")]
    assert "ZeroDivisionError" in caplog.text
