"""How a request stands and how it ends: which step may follow which, and which error is which end."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest

import gradient_notebook as gn
from gradient_notebook.storage.outcome import ENDED, Outcome, advance, outcome_of

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
STEPS = {
    *itertools.product(("queued", "running"), OUTCOMES),
    *((ended, ended) for ended in ENDED),
}
"""What may follow what: before its end anything, after it nothing else."""


@pytest.mark.parametrize("now", OUTCOMES)
@pytest.mark.parametrize("to", OUTCOMES)
def test_a_step_is_taken_or_refused(now: Outcome, to: Outcome) -> None:
    """A request can be queued again, and fail before it is sent; what has ended stays as it is."""
    if (now, to) in STEPS:
        assert advance(now, to) == to
    else:
        with pytest.raises(ValueError, match=f"{to} cannot follow {now}"):
            advance(now, to)


def test_what_has_ended_is_neither_queued_nor_running() -> None:
    """Each outcome is one or the other."""
    assert set(OUTCOMES) == {"queued", "running", *ENDED}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (gn.ContentPolicyError("no"), "refused"),
        (gn.JobCancelledError("no", sent=True), "cancelled"),
        (gn.JobCancelledError("no", sent=False), "cancelled"),
        (gn.APIConnectionError("no"), "failed"),
        (gn.APITimeoutError("no"), "failed"),
        (gn.APITimeoutError("no", sent=True), "unknown"),
        (gn.NoResponseError("no"), "unknown"),
        (gn.StreamInterruptedError("no"), "unknown"),
        (gn.InternalServerError("no", status_code=500), "failed"),
        (gn.RateLimitError("no"), "failed"),
        (gn.InvalidResponseError("no"), "failed"),
        (gn.InvalidRequestError("no"), "failed"),
        (gn.APIError("no"), "failed"),
        (ZeroDivisionError(), "failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{type(value).__name__} {getattr(value, 'sent', '')}",
)
def test_an_error_is_an_outcome(error: Exception, outcome: Outcome) -> None:
    """Sent and not answered, nobody knows what became of it; all other errors have failed."""
    assert outcome_of(error) == outcome
