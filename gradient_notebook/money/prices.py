"""What a model costs: prices by model or family, from code or from a file that a class or a team shares."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.advice import estimated_output_tokens
from ..api.errors import InvalidSettingsError
from ..api.models import AUTO, SIZE, family_of
from ..api.parameter import shown
from ..api.params import PARAMETERS, ImageGenerateParams
from ..api.text import SHORT, clean, misspelled, nearest, normalized
from .currency import checked_currency, in_words

if TYPE_CHECKING:
    from ..api.events import Usage

ANY = "*"
"""Stands for all models, and at the end of a name for whatever may follow; in a price per image for all others."""
TOKENS = ("input_text_tokens", "output_image_tokens")
PER_IMAGE = "per_image"
ABOUT = ("currency", "source", "date")
_HIGHEST = Decimal(10_000_000)
_MILLION = 1_000_000
_NAMED = 3
"""How many qualities and sizes a message names."""
PROMPT_TOKENS_BESIDE = 100
"""Tokens that a service may count for a request beside those of its prompt, at most."""
EXAMPLE = "prices={'gpt-image-1': {'input_text_tokens': 5, 'output_image_tokens': 40}}"
EXPECTED = "a mapping of models to prices, or the path of a TOML file with one"


@dataclass(frozen=True, kw_only=True)
class Price:
    """What the images of one model cost: by a million tokens, or each, perhaps by quality and size."""

    models: str
    """The model's id or family, or a name that ends in `*`."""
    currency: str = ""
    """Empty where the prices do not say it: then it is the session's."""
    source: str
    """Who says so: a file's name, or where it was set."""
    date: str
    input_text_tokens: Decimal | None = None
    output_image_tokens: Decimal | None = None
    per_image: tuple[tuple[str, Decimal], ...] = ()
    """By quality, by size, or by both, as `high 1024x1024`; `*` for all others."""

    def of_tokens(self, output_tokens: int, text_tokens: int = 0) -> Decimal | None:
        """Return what tokens cost; None where images are paid for, and not tokens."""
        if self.input_text_tokens is None or self.output_image_tokens is None:
            return None
        return (text_tokens * self.input_text_tokens + output_tokens * self.output_image_tokens) / _MILLION

    def of_usage(self, usage: Usage | None) -> Decimal | None:
        """Return what a request's tokens cost; None where that is not known."""
        if usage is None:
            return None
        text_tokens = usage.input_tokens_details.text_tokens or usage.input_tokens
        # A part of the cost would look like the whole.
        if usage.output_tokens is None or text_tokens is None:
            return None
        return self.of_tokens(usage.output_tokens, text_tokens)

    def of_image(self, quality: str, size: str) -> Decimal | None:
        """Return what an image costs that is paid for as one; None where no price is for its quality and size."""
        known = dict(self.per_image)
        names = (f"{quality} {size}", quality, size, ANY)
        return next((known[name] for name in names if name in known), None)

    def bounds(self, params: ImageGenerateParams) -> tuple[Decimal, Decimal] | None:
        """Return the least and the most that the images of a request cost; None where that is not known."""
        if self.per_image:
            each = [self.of_image(*look) for look in _looks(params)]
            known = [price for price in each if price is not None]
            return (params.n * min(known), params.n * max(known)) if known and len(known) == len(each) else None
        tokens = estimated_output_tokens(params)
        costs = [self.of_tokens(count) for count in tokens or ()]
        return (costs[0], costs[1]) if costs and costs[0] is not None and costs[1] is not None else None

    def missing(self, params: ImageGenerateParams) -> str:
        """Return in words what is missing to know what a request costs; empty where nothing is."""
        if self.bounds(params) is not None:
            return ""
        if self.per_image:
            lacking = [" ".join(look) for look in _looks(params) if self.of_image(*look) is None]
            more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
            return f"the prices of {self.models} have none per image for {', '.join(lacking[:_NAMED])}{more}"
        look = f"quality {params.effective('quality')} and size {params.effective('size')}"
        return f"it is not known how many tokens an image of {params.model} takes at {look}"

    def most_of_one(self, params: ImageGenerateParams) -> Decimal | None:
        """Return the most that one image of a request may cost, its prompt included; None where nobody knows."""
        bounds = self.bounds(params)
        if bounds is None:
            return None
        # A token is a byte of the prompt at least.
        prompt_tokens = len(params.prompt.encode()) + PROMPT_TOKENS_BESIDE
        return bounds[1] / params.n + (self.of_tokens(0, prompt_tokens) or 0)

    def in_currency(self, currency: str) -> Price:
        """Return the same price in a currency, simulated money for one."""
        return dataclasses.replace(self, currency=currency)

    def __str__(self) -> str:
        def told(amount: Decimal) -> str:
            return in_words(amount, self.currency)

        if self.per_image:
            each = [f"{told(price)} per image{'' if look == ANY else f' {look}'}" for look, price in self.per_image]
        else:
            each = [
                f"{told(self.input_text_tokens or Decimal())} per million input text tokens",
                f"{told(self.output_image_tokens or Decimal())} per million output image tokens",
            ]
        name = "all models" if self.models == ANY else self.models
        return clean(f"{name}: {', '.join(each)} ({self.source}, {self.date})")


def _looks(params: ImageGenerateParams) -> Iterator[tuple[str, str]]:
    """Yield each quality and size that the images of a request may have."""
    family = family_of(params.model)
    every = []
    for name in ("quality", "size"):
        asked = str(params.effective(name))
        known = family.known[name] if family else PARAMETERS[name].choices
        every.append([one for one in known if one != AUTO] if asked == AUTO else [asked])
    yield from product(*every)


def _meant(look: str) -> str:
    """Return a quality, a size, or both, as the service writes what is evidently meant; as it is where it may be meant."""
    known = [*PARAMETERS["quality"].choices, *PARAMETERS["size"].choices]

    def meant(word: str) -> str:
        plain = normalized(word)
        return misspelled(word, known) or (plain if SIZE.fullmatch(plain) else word)

    return " ".join(map(meant, look.split(" ")))


@dataclass(frozen=True)
class PriceList:
    """Prices of models, as `session.prices` keeps them."""

    prices: tuple[Price, ...]

    def of(self, model: str) -> Price | None:
        """Return a model's price: of the names that fit, the longest counts."""
        family = family_of(model)
        bare = re.sub(r"^openai[-/]", "", model.lower())
        names = {model.lower(), bare, *([family.name] if family else [])}

        def fits(name: str) -> bool:
            if name.endswith(ANY):
                return any(one.startswith(name[: -len(ANY)]) for one in names)
            return name in names

        return max(
            (price for price in self.prices if fits(price.models.lower())),
            key=lambda price: len(price.models),
            default=None,
        )

    @property
    def currency(self) -> str:
        """The one currency of all of them; empty where they do not say it."""
        return self.prices[0].currency

    def __repr__(self) -> str:
        return "\n".join(map(str, self.prices))


class _Reader:
    """Reads one mapping of prices; `where` names it in messages, and `line` finds a name's line where it is a file's."""

    def __init__(self, where: str, about: Mapping[str, Any], text: str = "") -> None:
        self._where = where
        self._about = about
        self._lines = text.splitlines()

    def read(self, given: Mapping[Any, Any]) -> PriceList:
        about = {**self._about, **{name: self._about_of(name, given[name]) for name in ABOUT if name in given}}
        models = {name: value for name, value in given.items() if name not in ABOUT}
        if models and models.keys() <= {*TOKENS, PER_IMAGE}:
            return PriceList((self._price(ANY, models, about),))
        if not models:
            raise self._error("", "it has no price", f"Example: {EXAMPLE}.")
        return PriceList(tuple(self._price(name, value, about) for name, value in models.items()))

    def _about_of(self, name: str, value: Any) -> str:
        if name == "currency":
            try:
                return checked_currency(value)
            except InvalidSettingsError as error:
                raise self._error("", error.summary, error.hint, line_of=name) from None
        if isinstance(value, str | dt.date) and str(value).strip():
            return clean(str(value), SHORT)
        raise self._error("", f"{name}={shown(value)}: expected text", line_of=name)

    def _price(self, model: Any, value: Any, about: Mapping[str, Any]) -> Price:
        if not isinstance(model, str) or not model.strip():
            raise self._error("", f"{model!r}: expected a model's ID or family", "Give * for all models.")
        if not isinstance(value, Mapping):
            hint = nearest(model, (*TOKENS, PER_IMAGE, *ABOUT)) or f"Example: {EXAMPLE}."
            raise self._error("", f"{model}={shown(value)}: expected the prices of a model", hint, line_of=model)
        own: dict[str, Any] = {name: self._about_of(name, value[name]) for name in ("source", "date") if name in value}
        for name, inner in value.items():
            if name in own:
                continue
            if name not in (*TOKENS, PER_IMAGE):
                known = f"{nearest(str(name), (*TOKENS, PER_IMAGE))} Known: {', '.join((*TOKENS, PER_IMAGE))}.".strip()
                dotted = f'Quote a name that has a dot: ["{model}.{name}"].' if isinstance(inner, Mapping) else known
                raise self._error(model, f"{name}: no such price", dotted, line_of=str(name))
        if (PER_IMAGE in value) == bool(value.keys() & {*TOKENS}):
            hint = f"Give {' and '.join(TOKENS)}, per million, or {PER_IMAGE}."
            raise self._error(model, "expected prices of tokens, or per image", hint, line_of=model)
        if PER_IMAGE in value:
            return Price(models=model.strip(), **{**about, **own}, per_image=self._per_image(model, value[PER_IMAGE]))
        if missing := [name for name in TOKENS if name not in value]:
            # With one price alone a sum would look like the whole cost, and be too low.
            raise self._error(model, f"{missing[0]} is missing", "Give both; 0 is a price, too.", line_of=model)
        tokens: dict[str, Any] = {name: self._number(model, name, value[name]) for name in TOKENS}
        return Price(models=model.strip(), **{**about, **own}, **tokens)

    def _per_image(self, model: str, value: Any) -> tuple[tuple[str, Decimal], ...]:
        if not isinstance(value, Mapping):
            return ((ANY, self._number(model, PER_IMAGE, value)),)
        if not value:
            raise self._error(
                model, f"{PER_IMAGE} is empty", "Example: {'low': 0.01, 'high 1024x1024': 0.17, '*': 0.2}."
            )
        for look in value:
            if isinstance(look, str) and (meant := _meant(look)) != look:
                # It would never fit, and the price of all others would hold without a word.
                what = f"{PER_IMAGE}: {look!r}: no such quality or size"
                raise self._error(model, what, f"Did you mean {meant}?", line_of=look)
            words = str(look).split(" ")
            is_size = bool(SIZE.fullmatch(words[-1]))
            if not isinstance(look, str) or len(words) > 2 or (len(words) == 2 and not is_size) or not all(words):
                hint = "Example: {'low': 0.01, '1536x1024': 0.1, 'high 1024x1024': 0.17, '*': 0.2}."
                raise self._error(
                    model, f"{PER_IMAGE}: {look!r}: expected a quality, a size, or both", hint, line_of=str(look)
                )
        return tuple((look, self._number(model, look, price)) for look, price in value.items())

    def _number(self, model: str, name: str, value: Any) -> Decimal:
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            number = Decimal(str(value))
            if number.is_finite() and 0 <= number <= _HIGHEST:
                return number
        what = f"{name}={shown(value)}: expected a number, 0 to {_HIGHEST:,}"
        raise self._error(
            model, what, "Write it as a number, without a currency: per million tokens, or per image.", line_of=name
        )

    def _error(self, model: str, what: str, hint: str = "", *, line_of: str = "") -> InvalidSettingsError:
        line = self._line(model, line_of) if line_of else None
        place = ", ".join([self._where, *([f"line {line}"] if line else []), *([model] if model and not line else [])])
        return InvalidSettingsError(f"{place}: {what}", hint, param="prices")

    def _line(self, model: str, name: str) -> int | None:
        """Return the line, from 1, where a name stands below a model's heading."""
        begun = not model
        for number, line in enumerate(self._lines, 1):
            heading = re.match(r"\s*\[+(.*?)\]+", line)
            begun = model in heading[1] if heading and model else begun
            # A model's own heading counts as where its name stands.
            if (begun or name == model) and re.search(
                rf"(?<![\w.-]){re.escape(name)}(?![\w-])", line.partition("#")[0]
            ):
                return number
        return None


def read_prices(value: Any) -> PriceList:
    """Return prices from a mapping, or from the TOML file at a path; raise InvalidSettingsError where they make no sense."""
    if isinstance(value, PriceList):
        return value
    if isinstance(value, Mapping):
        about = {"source": "set in this session", "date": dt.datetime.now().astimezone().date().isoformat()}
        return _Reader("prices", about).read(value)
    if isinstance(value, str | Path) and str(value).strip():
        return _read_file(str(value).strip())
    hint = f"Example: {EXAMPLE}, or prices='prices.toml'."
    raise InvalidSettingsError(f"prices={shown(value)}: expected {EXPECTED}", hint, param="prices")


def _read_file(name: str) -> PriceList:
    import tomllib  # where there is a file

    try:
        path = Path(name).expanduser().absolute()
        text = path.read_bytes().decode("utf-8-sig")
        changed = dt.datetime.fromtimestamp(path.stat().st_mtime).astimezone().date()
        given = tomllib.loads(text, parse_float=Decimal)
    except (OSError, RuntimeError) as error:  # there is no such user
        why = getattr(error, "strerror", None) or str(error)
        hint = f"Give the path of a TOML file with prices, or {EXAMPLE}."
        raise InvalidSettingsError(f"prices={name!r}: {why}", hint, param="prices") from None
    except ValueError as error:  # TOML's mistakes, which name their line, and what is no UTF-8
        hint = "Write prices as [gpt-image-1] and below it input_text_tokens = 5 and output_image_tokens = 40."
        raise InvalidSettingsError(f"{path}: no valid TOML: {error}", hint, param="prices") from None
    about = {"source": path.name, "date": changed.isoformat()}
    return _Reader(str(path), about, text).read(given)
