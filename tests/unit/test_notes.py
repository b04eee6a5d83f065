"""What is worth knowing beside a job's images."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

import gradient_notebook as gn
from gradient_notebook.api.models import DEFAULT_MODEL
from gradient_notebook.session import session
from gradient_notebook.simulator import Simulator


def answer(size: tuple[int, int], file_format: str) -> dict[str, Any]:
    """Return the fault whose answer has such a picture."""
    return {"image_base64": base64_of(size, file_format)}


def base64_of(size: tuple[int, int], file_format: str = "PNG") -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, file_format)
    return base64.b64encode(buffer.getvalue()).decode()


def notes(**options: Any) -> list[str]:
    job = gn.submit("hills", **options)
    job.result()
    return job.notes


def test_a_value_that_a_model_is_not_known_to_take_is_sent_and_noted(configured: Simulator) -> None:
    """A service that takes it gives the image, and beside it stands what was not documented."""
    configured.script([{"body": {"created": 1, "data": [{"b64_json": base64_of((512, 512))}]}}])
    (note,) = notes(size="512x512", model="openai-gpt-image-2", quality="low")
    assert "512x512 is sent as it is" in note
    assert configured.posts[0].body["size"] == "512x512"


@pytest.mark.parametrize(
    ("picture", "options", "said"),
    [
        (((64, 64), "PNG"), {"size": "1024x1024"}, ["The size is 64x64, not 1024x1024 as requested."]),
        (((64, 64), "PNG"), {"size": "auto"}, []),
        (((64, 64), "PNG"), {}, []),
        (
            ((1024, 1024), "JPEG"),
            {"size": "1024x1024", "output_format": "webp"},
            ["The format is jpeg, not webp as requested."],
        ),
        (((1024, 1024), "JPEG"), {"size": "1024x1024"}, []),
        (((64, 64), "PNG"), {"extra": {"size": "1536x1024"}}, ["The size is 64x64, not 1536x1024 as requested."]),
    ],
)
def test_what_came_otherwise_is_told(
    configured: Simulator, picture: tuple[tuple[int, int], str], options: dict[str, Any], said: list[str]
) -> None:
    """Another size or format than the one asked for; who asked for none is told nothing."""
    configured.script([answer(*picture)])
    assert notes(**options) == said


def test_of_several_images_each_difference_is_told_once(configured: Simulator) -> None:
    """All in one note."""
    configured.script([answer((64, 64), "PNG")])
    assert notes(size="1024x1024", n=3) == ["The size is 64x64, not 1024x1024 as requested."]


def test_more_than_asked_for_are_counted_by_their_images(
    configured: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """One that is not there is none of them, and nothing of what was asked for is missing then."""
    picture, gone = {"b64_json": base64_of((64, 64))}, {"url": f"{configured.url}/files/none.png"}
    configured.script(
        [{"body": {"data": [picture, {"b64_json": base64_of((48, 64))}]}}, {"body": {"data": [picture, gone]}}]
    )
    assert notes() == ["The service sent 1 image more than asked for: job.images and the history have all."]
    assert notes() == []
    assert "What was sent beside what was asked for did not come: " in caplog.text
    assert " of 2 images" not in caplog.text


def test_the_end_of_a_model_is_told_once_a_session(configured: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """With its first run; where nobody sees the job, in the log."""
    session.reset()
    first, second = notes(quality="low"), notes(quality="low")
    assert [note.split(" was ")[0] for note in first] == [DEFAULT_MODEL]
    assert second == []
    assert caplog.text.count("was announced to end") == 1


def test_what_the_service_lists_goes_first(configured: Simulator) -> None:
    """The list of the simulator says of no model that it ends."""
    session.reset()
    gn.Client().models.list()
    assert notes(quality="low") == []


def test_the_built_in_simulator_has_the_sessions_pace() -> None:
    """Also while it runs."""
    gn.configure(seconds_per_image=0)
    assert notes(quality="low") == []
    assert gn.submit("hills", quality="high").result().size == (1024, 1024)
