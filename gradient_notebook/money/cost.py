"""What something costs, as a value that adds up and never hides what is not known."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from ..api.fixed import FixedDict
from .currency import in_words


@dataclass(frozen=True, kw_only=True, repr=False)
class Cost:
    """What images cost together; `+` and `sum` add, and what is not known stays unknown in every sum.

    Attributes:
        amounts: what is known, by currency. There is one, unless currencies were changed; what the built-in simulator made
            is counted apart.
        unknown: how many images there are beside these whose cost is not known.

    >>> from decimal import Decimal
    >>> from gradient_notebook import Cost
    >>> print(Cost(amounts={"$": Decimal("1.20")}) + Cost(unknown=3))
    $1.20 and 3 images of unknown cost
    """

    amounts: Mapping[str, Decimal] = dataclasses.field(default_factory=FixedDict)
    unknown: int = 0

    @classmethod
    def of(cls, amount: Decimal, currency: str) -> Cost:
        """Return the cost of an amount.

        Args:
            amount: how much.
            currency: its currency.
        """
        return cls(amounts=FixedDict({currency: amount}))

    @classmethod
    def total(cls, costs: Iterable[Cost]) -> Cost:
        """Return the sum.

        Args:
            costs: what is added.
        """
        amounts: dict[str, Decimal] = {}
        unknown = 0
        for cost in costs:
            unknown += cost.unknown
            for currency, amount in cost.amounts.items():
                amounts[currency] = amounts.get(currency, Decimal()) + amount
        return cls(amounts=FixedDict(amounts), unknown=unknown)

    @property
    def amount(self) -> Decimal | None:
        """The known amount, 0 where there is none; None where there are several currencies, which have no sum."""
        return None if len(self.amounts) > 1 else next(iter(self.amounts.values()), Decimal())

    @property
    def currency(self) -> str | None:
        """The currency of `amount`; None where there is none, or more than one."""
        return next(iter(self.amounts)) if len(self.amounts) == 1 else None

    def __add__(self, other: Cost) -> Cost:
        return Cost.total([self, other]) if isinstance(other, Cost) else NotImplemented

    def __radd__(self, other: object) -> Cost:
        return self if other == 0 else NotImplemented  # `sum` begins with 0

    def __hash__(self) -> int:
        return hash((frozenset(self.amounts.items()), self.unknown))

    def __bool__(self) -> bool:
        return bool(self.unknown or any(self.amounts.values()))

    def __repr__(self) -> str:
        return f"<Cost: {self}>"

    def __str__(self) -> str:
        # What costs nothing is said only where nothing else is.
        told = [in_words(amount, currency) for currency, amount in self.amounts.items() if amount]
        if not told and not self.unknown:
            return in_words(Decimal(), next(iter(self.amounts))) if self.amounts else "nothing"
        if self.unknown:
            told.append(f"{self.unknown:,} image{'' if self.unknown == 1 else 's'} of unknown cost")
        return " and ".join(told)
