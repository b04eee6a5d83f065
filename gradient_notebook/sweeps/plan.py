"""What a sweep is about to do: how many images, at what price, how large, how long, beginning with which prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..api.advice import estimated_output_tokens
from ..api.text import clean, shortened
from ..money.cost import Cost
from ..session import session
from ..storage.archive import Archive
from ..storage.runs import typical
from .axes import PROMPT
from .cell import Cell
from .labels import cell_words

_FIRST = 3
_PROMPT_CHARACTERS = 100
_USUAL_BYTES = 2_500_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a sweep is about to do.

    Attributes:
        count: cells.
        to_make: how many of them are to be made: the others are in the archive, or are not made again.
        outcomes: how many cells stand how before it starts.
        tokens: the least and the most output tokens that it takes; None where a model's are not known.
        cost: the least and the most that it costs, at the session's prices; None where there are none.
        byte_count: bytes on disk, about.
        seconds: how long it takes at the session's concurrency, about; None where nothing like it was made before.
        prompts: the first ones that are sent.
        labels: what each of these is on its axes, in words.

    >>> from gradient_notebook import sweep
    >>> plan = sweep("A red fox in {{style}}", style=["ink", "oil"], quality="low", start=False).plan
    >>> plan.count, plan.to_make, plan.prompts
    (2, 2, ('A red fox in ink', 'A red fox in oil'))
    """

    count: int
    to_make: int
    outcomes: dict[str, int]
    tokens: tuple[int, int] | None
    cost: tuple[Cost, Cost] | None = None
    byte_count: int
    seconds: float | None
    prompts: tuple[str, ...]
    labels: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([" · ".join(self.facts), *(f"  {line}" for line in self.first)])

    @property
    def first(self) -> list[str]:
        """The first requests, each by its labels and its prompt."""
        return [": ".join(filter(None, told)) for told in zip(self.labels, self.prompts, strict=True)]

    @property
    def facts(self) -> list[str]:
        """Its numbers in words, one by one."""
        kept = self.outcomes.get("done", 0)
        others = {name: count for name, count in self.outcomes.items() if name not in ("done", "queued") and count}
        return [
            f"{self.to_make:,} image{'' if self.to_make == 1 else 's'} to make",
            *([f"{kept:,} in the archive"] if kept else []),
            *(f"{count:,} {name}, not made again" for name, count in others.items()),
            *([self._cost_words] if self.to_make else []),
            *([f"about {self.byte_count / 1e6:,.0f} MB"] if self.to_make else []),
            *([f"about {_duration(self.seconds)}"] if self.to_make and self.seconds is not None else []),
        ]

    @property
    def _cost_words(self) -> str:
        numbers = "–".join(f"{number:,}" for number in dict.fromkeys(self.tokens or ()))
        cost = "–".join(dict.fromkeys(map(str, self.cost or ())))
        return f"{f'≈ {numbers} tokens' if numbers else 'tokens unknown'}{f', {cost}' if cost else ''}"


def plan_of(cells: Sequence[Cell], archive: Archive | None, *, billed: bool = True) -> Plan:
    """Return what is about to happen to cells that have not been made; `billed` says whether the service bills them."""
    left = [cell for cell in cells if cell.outcome == "queued"]
    bounds = [estimated_output_tokens(cell.params) for cell in left]
    known = [bound for bound in bounds if bound]
    kinds = Counter((str(cell._values["model"]), cell._values.get("quality")) for cell in left)
    usual = {kind: typical(archive.ledger, *kind) if archive else None for kind in kinds}
    seconds = [usual[kind][0] * count for kind, count in kinds.items() if usual[kind]]  # type: ignore[index]
    return Plan(
        count=len(cells),
        to_make=len(left),
        outcomes=dict(Counter(cell.outcome for cell in cells)),
        tokens=(sum(low for low, _ in known), sum(high for _, high in known)) if len(known) == len(left) else None,
        cost=_cost_of(left, billed=billed),
        byte_count=sum((found[1] if (found := usual[kind]) else _USUAL_BYTES) * count for kind, count in kinds.items()),
        seconds=sum(seconds) / min(session.concurrency, max(1, len(left))) if len(seconds) == len(kinds) else None,
        prompts=tuple(shortened(clean(cell.prompt), _PROMPT_CHARACTERS) for cell in left[:_FIRST]),
        labels=tuple(_labels(cell) for cell in left[:_FIRST]),
    )


def _cost_of(cells: Sequence[Cell], *, billed: bool) -> tuple[Cost, Cost] | None:
    """Return the least and the most that cells cost; those without a price, or a known look, are of unknown cost."""
    if session.prices is None:
        return None
    least, most = [Cost()], [Cost()]
    for params in (cell.params for cell in cells):
        price = session.price_of(params.model, billed=billed)
        if price and (bounds := price.bounds(params)):
            least.append(Cost.of(bounds[0], price.currency))
            most.append(Cost.of(bounds[1], price.currency))
        else:
            least.append(Cost(unknown=params.n))
            most.append(Cost(unknown=params.n))
    return Cost.total(least), Cost.total(most)


def _labels(cell: Cell) -> str:
    """Return what a cell is on its axes; a prompt that is its own label is not said twice."""
    is_named = not cell.prompt.startswith(str(cell.axes.get(PROMPT, "")).rstrip("…"))
    return cell_words({name: label for name, label in cell.axes.items() if name != PROMPT or is_named})


def _duration(seconds: float) -> str:
    """Return a time that is only an estimate."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
