"""`%imagegen_cost`: what this session, today and this month cost, what is reserved, what is left, and at which prices."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Iterator
from decimal import Decimal

from ..api.params import ImageGenerateParams
from ..connect import is_billed
from ..jobs import spending
from ..money.cost import Cost
from ..money.currency import SIMULATED, in_words
from ..session import session
from ..storage.archive import get_default
from ..storage.budget import Total, Totals
from . import formatting


def cost_report() -> str:
    """Return the lines of `%imagegen_cost`."""
    mine, today = spending.of_process.totals(), spending.today()
    archive = get_default()
    month = archive.ledger.totals(spending.day_began(months=True)) if archive else mine
    lines = [
        ("This session", mine, session.budget),
        ("Today" if archive else "Today, this process", today, session.budget_per_day),
        *([("This month", month, None)] if archive else []),
    ]
    width = max(len(name) for name, _, _ in lines)
    told = [f"{name:{width}}  {in_full(totals, limit)}" for name, totals, limit in lines]
    return "\n".join([*told, *_prices()])


def estimate_html(params: ImageGenerateParams) -> str:
    """Return what a request may cost and, on a line of its own, what has been spent and is left, for a form."""
    lines = [formatting.tokens(params, session.price_of(params.model)), in_short()]
    return "<br>".join(html.escape(line) for line in lines if line)


def in_short() -> str:
    """Return what this session has spent, and what is left of the budget that has least left; empty without prices."""
    if session.prices is None:
        return ""
    currency = session.money(billed=is_billed())
    mine = spending.of_process.totals()
    total = mine.get(currency, Total())
    unknown = sum(one.unknown for one in mine.values())
    told = [f"session {Cost.of(total.spent, currency) + Cost(unknown=unknown)}"]
    left = []
    if session.budget is not None:
        left.append(Decimal(str(session.budget)) - total.used)
    if session.budget_per_day is not None:
        with contextlib.suppress(OSError):  # a request tells what is wrong with the ledger
            left.append(Decimal(str(session.budget_per_day)) - spending.today().get(currency, Total()).used)
    told += [f"{in_words(max(Decimal(), min(left)), session.money())} left"] if left else []
    return formatting.DOT.join(told)


def in_full(totals: Totals, limit: float | None) -> str:
    """Return what was spent, what is reserved, and what is left of a budget."""
    unknown = sum(total.unknown for total in totals.values())
    amounts = [_told(total, str(currency)) for currency, total in totals.items() if currency and total.used]
    amounts += [f"{unknown:,} image{'' if unknown == 1 else 's'} of unknown cost"] if unknown else []
    left = f"; {left_of(limit, totals)}" if limit is not None else ""
    return (" and ".join(amounts) or "nothing") + left


def left_of(limit: float, totals: Totals) -> str:
    """Return what is left of a budget, in words."""
    currency = session.money(billed=is_billed())
    left = max(Decimal(), Decimal(str(limit)) - totals.get(currency, Total()).used)
    shown = session.money()
    return f"{in_words(left, shown)} of {in_words(Decimal(str(limit)), shown)} left"


def _told(total: Total, currency: str) -> str:
    beside = [f"{in_words(total.reserved, currency)} reserved"] if total.reserved else []
    if total.uncertain:
        images = f"{total.uncertain_images:,} image{'' if total.uncertain_images == 1 else 's'}"
        beside.append(f"up to {in_words(total.uncertain, currency)} for {images} that may have been billed")
    known = in_words(total.spent, currency)
    return f"{known} (beside {', '.join(beside)})" if beside else known


def _prices() -> Iterator[str]:
    if session.prices is None:
        yield "No prices are set: %config ImageGen.prices = {'input_text_tokens': 5, 'output_image_tokens': 40}, your own."
        return
    for price in session.prices.prices:
        yield f"Price of {price.in_currency(session.money())}"
    if not is_billed():
        yield f"The images of the simulator, or of a recording, are counted as{SIMULATED} money: nothing is billed."
