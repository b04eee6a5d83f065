"""Exercises and tests: a simulator of one's own, and what was asked of it. Not pixels: what a request says, what it takes.

In a notebook `use_simulator` holds for all cells that follow, in a test `with simulator()` for what is inside:

>>> from gradient_notebook import generate, testing
>>> service = testing.use_simulator(seed=7, seconds_per_image=0)
>>> image = generate("A red fox", quality="low")
>>> testing.assert_requested(prompt="fox", quality="low")
>>> testing.assert_tokens_below(500)
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from .api.advice import hear
from .api.credentials import ENDPOINT_VARIABLE, KEY_VARIABLES
from .api.errors import InvalidRequestError
from .api.params import PARAMETERS
from .api.text import SHORT, clean, nearest
from .connect import UNBILLED
from .simulator import IMAGE_MODELS, Simulator, shared

__all__ = [
    "assert_requested",
    "assert_tokens_below",
    "requested",
    "simulator",
    "stop_simulator",
    "tokens_used",
    "use_simulator",
]

_current: list[Simulator] = []
_of_the_notebook = ExitStack()
"""What ends the simulator of `use_simulator`."""
_KEY = "sk-do-of-the-simulator"


@contextmanager
def simulator(
    *, seed: int | str | None = None, seconds_per_image: float | None = 0, faults: Any = ()
) -> Iterator[Simulator]:
    """Send all requests inside of the `with` to a simulator of its own, whatever key is set.

    As a fixture of pytest: `@pytest.fixture` over a function with `with testing.simulator() as service: yield service`.

    Args:
        seed: another seed is another set of pictures; with the same one, the same requests get the same pictures.
        seconds_per_image: how long one image takes, 0 for as fast as it can; by quality if None.
        faults: how to misbehave, one entry for one request, as `{"status": 429}`.

    Returns:
        The simulator: `.posts` has the requests that it received.

    Raises:
        ValueError: a fault that does not exist.

    >>> from gradient_notebook import generate, testing
    >>> with testing.simulator(seed=7) as service:
    ...     image = generate("A red fox", quality="low", size="1024x1024")
    >>> len(service.posts), image.size
    (1, (1024, 1024))
    """
    # The key as well: one that is set goes to its own service only.
    values = {ENDPOINT_VARIABLE: "", KEY_VARIABLES[0]: _KEY}
    before = {name: os.environ.get(name) for name in values}
    with Simulator(seed=seed, seconds_per_image=seconds_per_image, faults=faults) as service:
        os.environ.update(values | {ENDPOINT_VARIABLE: service.url})
        _current.append(service)
        UNBILLED.add(service.url)
        for model in IMAGE_MODELS:
            hear(service.url, model, None)  # nothing is said of a model's end: there is none here
        try:
            yield service
        finally:
            _current.remove(service)
            UNBILLED.discard(service.url)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def use_simulator(
    *, seed: int | str | None = None, seconds_per_image: float | None = None, faults: Any = ()
) -> Simulator:
    """Send all requests from now on to a simulator of its own, whatever key is set: for a lecture, or an exercise.

    A second call begins again, with nothing requested yet and, of the same seed, with the same pictures.

    Args:
        seed: another seed is another set of pictures; with the same one, the same requests get the same pictures.
        seconds_per_image: how long one image takes, 0 for as fast as it can; by quality if None.
        faults: how to misbehave, one entry for one request, as `{"status": 429}`.

    Returns:
        The simulator: `.posts` has the requests that it received, `.script([...])` adds faults.

    Raises:
        ValueError: a fault that does not exist.

    >>> from gradient_notebook import generate, testing
    >>> first = testing.use_simulator(seed=7, seconds_per_image=0)
    >>> image = generate("A red fox", quality="low")
    >>> again = testing.use_simulator(seed=7, seconds_per_image=0)
    >>> image == generate("A red fox", quality="low")
    True
    """
    stop_simulator()
    chosen = simulator(seed=seed, seconds_per_image=seconds_per_image, faults=faults)
    return _of_the_notebook.enter_context(chosen)


def stop_simulator() -> None:
    """End what `use_simulator` began: requests go where they went before.

    >>> from gradient_notebook import testing
    >>> service = testing.use_simulator(seed=7)
    >>> testing.stop_simulator()
    """
    _of_the_notebook.close()


def requested() -> list[dict[str, Any]]:
    """Return what was asked for so far, oldest first: the bodies of all requests to the simulator that is asked.

    >>> from gradient_notebook import generate, testing
    >>> service = testing.use_simulator(seconds_per_image=0)
    >>> image = generate("A red fox", quality="low")
    >>> testing.requested()[-1]["quality"]
    'low'
    """
    return [dict(post.body) for post in _asked().posts if isinstance(post.body, Mapping)]


def assert_requested(*, times: int | None = None, **parameters: Any) -> None:
    """Fail unless a request was made with these parameters; what is not named may be anything.

    Args:
        times: how many such requests there have to be; one at least unless given.
        **parameters: values by name. A value that was not given counts as its default; of a prompt a part is enough.
            n images that are streamed, as in a cell, are n requests, and count as one where `n` is named.

    Raises:
        AssertionError: there is none, or not as many: it names the nearest request, and what differs.
        InvalidRequestError: no such parameter.

    >>> from gradient_notebook import generate, testing
    >>> service = testing.use_simulator(seconds_per_image=0)
    >>> images = generate("A red fox", quality="low", n=2)
    >>> testing.assert_requested(n=2, quality="low")
    """
    for name in parameters:
        if name not in PARAMETERS:
            raise InvalidRequestError(f"{name}: no such parameter", nearest(name, PARAMETERS), param=name, sent=None)
    bodies = _together(requested(), parameters.get("n"))
    wrong = [_differences(body, parameters) for body in bodies]
    fitting = sum(not differences for differences in wrong)
    if fitting == times or (times is None and fitting):
        return
    told = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
    if times is not None and fitting:
        raise _failed(f"Expected {times} requests with {told or 'any parameters'}, found {fitting}.")
    if not bodies:
        raise _failed(f"No request was made yet; expected one with {told or 'any parameters'}.")
    nearest_one = min(reversed(wrong), key=len)
    raise _failed(f"No request with {told}. In the nearest one, {'; '.join(nearest_one)}.")


def tokens_used() -> int:
    """Return the tokens of all requests so far, as the simulator counts them.

    >>> from gradient_notebook import generate, testing
    >>> service = testing.use_simulator(seconds_per_image=0)
    >>> before = testing.tokens_used()
    >>> image = generate("A red fox", quality="low")
    >>> testing.tokens_used() > before
    True
    """
    return sum(post.usage["total_tokens"] for post in _asked().posts if post.usage)


def assert_tokens_below(limit: int) -> None:
    """Fail if all requests together took as many tokens, or more.

    Args:
        limit: tokens.

    Raises:
        AssertionError: they did; it says how many.

    >>> from gradient_notebook import testing
    >>> with testing.simulator():
    ...     testing.assert_tokens_below(1)
    """
    if (used := tokens_used()) >= limit:
        raise _failed(f"The requests took {used:,} tokens; fewer than {limit:,} were expected.")


def _asked() -> Simulator:
    return _current[-1] if _current else shared()


def _failed(words: str) -> AssertionError:
    """Return the error of a check, which a notebook shows as one sentence: nobody is to read this module there."""
    error = AssertionError(words)
    error._render_traceback_ = lambda: [f"AssertionError: {words}"]  # type: ignore[attr-defined]
    return error


def _together(bodies: list[dict[str, Any]], n: object) -> list[dict[str, Any]]:
    """Return the bodies as they were asked for: of a stream, n equal ones of one image each are one of n images."""
    if type(n) is not int or n < 1:
        return bodies
    streamed = Counter(json.dumps(body, sort_keys=True) for body in bodies if body.get("stream"))
    together = [body for body in bodies if not body.get("stream")]
    for text, count in streamed.items():
        # Of which n they were is not said. A cell that ran twice has asked for n twice; what fits no n is told whole.
        whole, left = divmod(count, n)
        together += [json.loads(text) | {"n": count}] if left else [json.loads(text) | {"n": n}] * whole
    return together


def _differences(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[str]:
    """Return what of a request is not as expected, in words."""
    found = []
    for name, expected in parameters.items():
        default = PARAMETERS[name].default
        value = body.get(name, default)
        is_in = name == "prompt" and isinstance(value, str) and str(expected).casefold() in value.casefold()
        if not is_in and value != expected:
            found.append(f"{name} is {clean(repr(value), SHORT)}")
    return found
