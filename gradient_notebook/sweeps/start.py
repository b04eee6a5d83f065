"""`sweep`: what it is to make, from a prompt or a table, held against how much one call may make unasked."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ..api.errors import BudgetExceededError, GradientNotebookError, InvalidRequestError
from ..api.settings import Settings
from ..api.text import SHORT, clean
from ..connect import discover
from ..session import MAX_COST, session
from ..storage.archive import get_default
from .axes import MAX_IMAGES, Axes, axes_of
from .planning import new_sweep
from .sweep import Sweep
from .table import is_table, rows_of

_MAX_CELLS = 1_000_000


def sweep(
    prompt: Any,
    template: str | None = None,
    /,
    *,
    columns: Mapping[str, str] | None = None,
    repeat: int = 1,
    pair: bool = False,
    start: bool = True,
    yes: bool = False,
    fresh: bool = False,
    max_images: int = MAX_IMAGES,
    max_cost: float | None = None,
    settings: Settings | None = None,
    **axes: Any,
) -> Sweep:
    """Make many images: one for each combination of what varies. Each image costs.

    The same sweep again makes what is missing, also in another kernel, and shows the rest.

    Args:
        prompt: the prompt, in which `{{name}}` stands for an axis; a list or a dict of prompts; or a DataFrame of any library.
        template: with a DataFrame the prompt, in which `{{name}}` stands for a column.
        columns: with a DataFrame, which column has the values of which parameter: `{"quality": "q"}`.
        repeat: how many images of each combination.
        pair: take the first values of all axes together, then the second, instead of all combinations.
        start: start immediately; otherwise `study.start()` does, or waiting for it; `study.detach()` in a process of its own.
        yes: agree to more than `max_images`.
        fresh: make everything again, whatever the archive has.
        max_images: how many images may be made without `yes`, 50 unless given.
        max_cost: the most that all of it may cost, at the session's prices; what may cost more is not begun.
        settings: where requests go, with which key, and their limits; `Settings.discover()` unless given.
        **axes: parameters of the API and names in the prompt. A list is an axis; a dict is one whose keys are labels; a
            single value holds for all cells.

    Returns:
        The sweep, which runs: `await study` or `study.result()` waits for it.

    Raises:
        InvalidRequestError: what makes no sense, a value that cannot be sent, or more images than are agreed to; nothing
            is sent then.
        InvalidSettingsError: a key or an endpoint that cannot be used.
        BudgetExceededError: it may cost more than `max_cost`.

    >>> from gradient_notebook import sweep
    >>> study = sweep("A {{animal}} in {{style}}", animal=["fox", "otter"], style=["ink", "oil"], quality="low")
    >>> [cell.prompt for cell in study.result().sel(animal="otter")]
    ['A otter in ink', 'A otter in oil']
    """
    chosen = _axes(prompt, template, axes, columns=columns, repeat=repeat, pair=pair)
    limit, most = _limit(max_images), None if max_cost is None else MAX_COST.check(max_cost)
    if chosen.count > _MAX_CELLS or (chosen.count > limit and not yes and chosen.count > _MANY):
        raise _too_many(chosen.count, limit)
    made = new_sweep(chosen, settings or discover(), get_default(), fresh=fresh)
    if made.plan.to_make > limit and not yes:
        raise _too_many(made.plan.to_make, limit, str(made.plan))
    if most is not None:
        _check_cost(made, most)
    return made.start() if start and made.plan.to_make else made


_MANY = 20_000
"""From here on it is not even looked what the archive has of them, unless somebody has agreed."""


def _axes(prompt: Any, template: str | None, axes: Mapping[str, Any], **how: Any) -> Axes:
    if is_table(prompt):
        if not isinstance(template, str):
            what = "A table needs a prompt after it"
            raise InvalidRequestError(what, "sweep(df, 'a {{animal}}')", param="prompt", sent=False)
        return axes_of(template, axes, rows=rows_of(prompt), **how)
    if template is not None:
        what = f"{clean(type(prompt).__name__, SHORT)} is no table: expected a DataFrame before the prompt"
        raise InvalidRequestError(what, "Or give the prompt alone.", param="prompt", sent=False)
    if how["columns"]:
        raise InvalidRequestError(
            "columns= needs a table", "sweep(df, 'a {{animal}}', columns=…)", param="columns", sent=False
        )
    return axes_of(prompt, axes, **how)


def _limit(max_images: Any) -> int:
    if type(max_images) is not int or max_images < 0:
        what = f"max_images={max_images!r}: expected a whole number, 0 or more"
        raise InvalidRequestError(what, param="max_images", sent=False)
    return max_images


def _check_cost(made: Sweep, most: float) -> None:
    """Raise BudgetExceededError where it may cost more, or nobody knows how much."""
    plan = made.plan
    if not plan.to_make:
        return
    bound = plan.cost[1] if plan.cost else None
    if bound is None or bound.unknown or bound.amount is None:
        raise _cost_unknown(made, most)
    if bound.amount > Decimal(str(most)):
        what = f"max_cost={most:g}: this may cost {bound}"
        advice = f"Pass a higher max_cost, or vary less.\n{plan}"
        raise BudgetExceededError(what, advice, param="max_cost", sent=False)


def _cost_unknown(made: Sweep, most: float) -> BudgetExceededError:
    """Return the error of a sweep of which nobody knows what it may cost: by what is missing, for that is what to give."""
    what = f"max_cost={most:g}: the most that this may cost is not known"
    for cell in made:
        if cell.has_ended:
            continue
        params = cell.params
        if missing := session.missing_price(params.model):
            words = GradientNotebookError.phrases["set_prices"]
            return BudgetExceededError(f"{what}: {missing}", f"{words}\n{made.plan}", param="max_cost", sent=False)
        price = session.price_of(params.model, billed=made._settings.is_billed)
        if price and (missing := price.missing(params)):
            words = "Add it, or '*' for all others." if price.per_image else "Set a price per_image for it."
            told = f"{what}: {missing} (cell {cell.index})"
            return BudgetExceededError(told, f"{words}\n{made.plan}", param="max_cost", sent=False)
    return BudgetExceededError(what, f"The prices have several currencies.\n{made.plan}", param="max_cost", sent=False)


def _too_many(count: int, limit: int, plan: str = "") -> InvalidRequestError:
    what = f"This would make {count:,} images; without a word of yours at most {limit:,} are made"
    advice = (
        f"Pass yes=True, or max_images={count}."
        if count <= _MAX_CELLS
        else f"A sweep has at most {_MAX_CELLS:,} cells."
    )
    return InvalidRequestError(what, f"{advice}\n{plan}".strip(), param="max_images", sent=False)
