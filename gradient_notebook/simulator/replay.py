"""A recorded run, played: the answers that a real service once gave, at their times, to each request that asks for the same."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ..recording import RecordedRequest, body_of
from .validation import RequestRefusedError, invalid

_NAMED = 5
_PROMPT_CHARACTERS = 60


class Replay:
    """The answers of a recording: the k-th identical request gets the k-th, and after the last the first again.

    Args:
        requests: what was recorded.
        speed: how fast it is played: 1 as it was, 2 in half of the time, 0 without any wait.
    """

    def __init__(self, requests: Sequence[RecordedRequest], speed: float = 1.0) -> None:
        self._answers: dict[str, list[RecordedRequest]] = defaultdict(list)
        for request in requests:
            self._answers[_key(request.body)].append(request)
        self._asked: Counter[str] = Counter()
        self.speed = speed

    def take(self, body: Mapping[str, Any], count: int) -> list[RecordedRequest]:
        """Return the answers to a request for so many images, or raise RequestRefusedError where there are none."""
        key = _key(body_of(body))
        if key not in self._answers:
            raise self._unknown(body)
        answers = self._answers[key]
        first = self._asked[key]
        self._asked[key] += count
        return [answers[(first + at) % len(answers)] for at in range(count)]

    def seconds(self, at_s: float) -> float:
        """Return when what came at this time comes now."""
        return at_s / self.speed if self.speed else 0.0

    def _unknown(self, body: Mapping[str, Any]) -> RequestRefusedError:
        prompts = list(
            dict.fromkeys(str(request.body["prompt"]) for same in self._answers.values() for request in same)
        )
        if body.get("prompt") in prompts:
            asked = [request.body for same in self._answers.values() for request in same]
            others = next(one for one in asked if one["prompt"] == body.get("prompt"))
            told = ", ".join(f"{name}={value!r}" for name, value in others.items() if name != "prompt")
            message = f"The recording has this prompt with other parameters: {told}."
        else:
            listed = ", ".join(repr(prompt[:_PROMPT_CHARACTERS]) for prompt in prompts[:_NAMED])
            more = f" and {len(prompts) - _NAMED} more" if len(prompts) > _NAMED else ""
            message = f"The recording has no answer to this prompt. It has {listed}{more}."
        return invalid(message, "prompt", "not_recorded")


def _key(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True)
