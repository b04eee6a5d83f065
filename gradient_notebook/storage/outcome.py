"""How a request stands and how it ends: one set of words for job, ledger, card and history.

    queued <──> running ──> done        an image came
       │           ├──────> refused     by moderation
       │           ├──────> failed      any other error, with nothing to be billed for
       │           ├──────> unknown     sent, and no answer; or the process died: it may have been billed
       └───────────┴──────> cancelled

A request begins as `running`, and is `queued` while others have to end first. What has ended stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..api.errors import APIConnectionError, ContentPolicyError, JobCancelledError

Outcome = Literal["queued", "running", "done", "refused", "failed", "cancelled", "unknown"]
ENDED: tuple[Outcome, ...] = ("done", "refused", "failed", "cancelled", "unknown")
"""How a request can end, and so what a record says: `unknown` also where no end is recorded."""
CellOutcome = Outcome | Literal["deleted"]
"""How a cell of a sweep stands: as its request, until somebody deletes the record of that."""

TRANSITIONS: Mapping[Outcome, frozenset[Outcome]] = {
    "queued": frozenset({"running", *ENDED}),
    "running": frozenset({"queued", *ENDED}),
}
"""What may follow; what has ended has no line."""


def advance(now: Outcome, to: Outcome) -> Outcome:
    """Return `to`, or raise ValueError where it cannot follow."""
    # Staying is allowed: a request begins as `running`, and is told so again when it gets its place.
    if to != now and to not in TRANSITIONS.get(now, frozenset()):
        msg = f"{to} cannot follow {now}"
        raise ValueError(msg)
    return to


def outcome_of(error: BaseException) -> Outcome:
    """Return how a request ends that ends with this error."""
    if isinstance(error, ContentPolicyError):
        return "refused"
    if isinstance(error, JobCancelledError):
        return "cancelled"
    return "unknown" if isinstance(error, APIConnectionError) and error.sent else "failed"
