"""Work that waits for a disk or a front end, done beside the loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any


async def in_a_thread(work: Callable[..., Any], *arguments: Any) -> None:
    """Do what waits for a disk or a front end without holding up the loop."""
    # An executor does not copy it, and ipykernel 7 keeps there which cell an output belongs to.
    context = contextvars.copy_context()
    try:
        working = asyncio.get_running_loop().run_in_executor(None, context.run, work, *arguments)
    except RuntimeError:  # the interpreter is on its way out, and starts no more threads
        work(*arguments)
    else:
        await working


async def finish_despite_cancel(work: Awaitable[None]) -> None:
    """Finish `work` even if the task is cancelled meanwhile: it keeps what is paid for."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
