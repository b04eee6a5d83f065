"""What holds for this process: defaults, limits, prices, the archive. One plain object, `session`.

In a notebook `%config ImageGen` shows and sets it, a script or a worker uses `configure(concurrency=8)`, and an
environment variable `GRADIENT_IMAGE_<NAME>` sets a field before anything else does.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .address import checked_address, looks_like_address
from .api.credentials import ENDPOINT_VARIABLE, KEY_VARIABLES, looks_like_key
from .api.docstrings import with_entries
from .api.errors import GradientNotebookError, InvalidSettingsError
from .api.parameter import Parameter
from .api.params import PARAMETERS
from .api.settings import Settings
from .api.text import nearest
from .money.currency import EXPECTED as CURRENCY_EXPECTED
from .money.currency import SIMULATED, checked_currency
from .money.prices import EXAMPLE, Price, PriceList, read_prices
from .money.prices import EXPECTED as PRICES_EXPECTED

PREFIX = "GRADIENT_IMAGE_"
DEFAULT_NAME = "image"
"""The variable that a cell, a panel and code give an image to, unless they are told another."""
SHOWN_DEFAULTS = {"stream": True, "partial_images": 2}
"""Where somebody is watching, in a cell and in a panel."""
NOT_FOR_A_SESSION = ("prompt", "n", "extra")
DEFAULTS: Mapping[str, Parameter] = {name: p for name, p in PARAMETERS.items() if name not in NOT_FOR_A_SESSION}
"""The parameters that a session has a default for. Cells and panels use them all, `generate` the model alone."""

_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(
        ("key", "api_key", "model_access_key", "access_token"),
        f"Set {KEY_VARIABLES[0]} in the environment, or pass settings=Settings(...).",
    ),
    **dict.fromkeys(
        ("endpoint", "base_url", "inference_endpoint"),
        f"Set {ENDPOINT_VARIABLE} in the environment, or pass settings=Settings(...).",
    ),
    **dict.fromkeys(
        ("price", "cost", "price_input_text_tokens", "price_output_image_tokens"),
        f"Set prices: {EXAMPLE}, or without the model's name for all models.",
    ),
}
"""What is no setting of the session, though one may look for it here; its value is not shown."""

_READ: Mapping[str, Callable[[Any], Any]] = {"prices": read_prices, "currency": checked_currency}
"""What checks the value of a field that is more than a number or a text."""

Observer = Callable[[str, Any], None]


def _setting(default: Any, text: str, **bounds: Any) -> Any:
    return field(default=default, metadata={"parameter": Parameter(help=text, default=default, **bounds)})


def _limit(name: str, text: str, **bounds: Any) -> Any:
    return _setting(Settings.__dataclass_fields__[name].default, text, **bounds)


@dataclass(eq=False, repr=False)
class Session:
    """What holds for this process, as `gradient_notebook.session`: each field is read and set as an attribute.

    Setting one checks the value: InvalidSettingsError names what is expected. `%config ImageGen` shows and sets the same
    in a notebook, `configure(...)` sets several at once, `GRADIENT_IMAGE_<NAME>` in the environment sets one for a new
    process. Cells and the panel take all defaults of parameters from here, Python takes the model alone.

    Attributes:
        **fields: a line for each.

    >>> from gradient_notebook import session
    >>> session.preview_px = 512
    >>> session.preview_px, session.max_retries
    (512, 4)
    """

    preview_px: int = _setting(
        768, "Long edge of the images shown and saved in the notebook, in pixels.", kind=int, minimum=64, maximum=4096
    )
    archive: bool = _setting(
        default=True, text="Keep every finished image, and a record of its request, on disk.", kind=bool
    )
    archive_dir: str = _setting(
        "", "Folder of the archive, or where its originals go, as s3://bucket/prefix; empty for the system's default."
    )
    reuse: bool = _setting(
        default=False,
        text="Serve a request that the archive has already answered from there: nothing is sent, nothing is billed.",
        kind=bool,
    )
    concurrency: int = _setting(
        4, "Requests that run at the same time at one endpoint, in all processes of an archive.", kind=int, minimum=1
    )
    connect_timeout_s: float = _limit(
        "connect_timeout_s", "Timeout for connecting to the service, in seconds.", kind=float, minimum=0.001
    )
    read_timeout_s: float = _limit(
        "read_timeout_s", "Timeout for silence within a response, in seconds.", kind=float, minimum=0.001
    )
    max_request_s: float = _limit(
        "max_request_s",
        "Longest time of a whole request, from sending it to its last byte, in seconds.",
        kind=float,
        minimum=0.001,
    )
    max_retries: int = _limit("max_retries", "Retries for requests that never reached the model.", kind=int, minimum=0)
    max_wait_s: float = _limit("max_wait_s", "Longest total wait before retries, in seconds.", kind=float, minimum=0)
    exit_wait_s: float = _setting(
        120.0,
        "Longest wait of a script for its running jobs when it ends, in seconds; 0 to end at once.",
        kind=float,
        minimum=0,
    )
    prices: PriceList | None = _setting(  # noqa: RUF009 - a field, as the others
        None,
        "What models cost, by ID or family; without it only tokens are shown. For all models: "
        "{'input_text_tokens': 5, 'output_image_tokens': 40}, per million, or {'per_image': 0.04}.",
        kind=dict,
        words=PRICES_EXPECTED,
    )
    currency: str = _setting(
        "$",
        "Currency of your prices and budgets, unless the prices say it themselves. A budget counts what is in its own.",
        words=CURRENCY_EXPECTED,
    )
    budget: float | None = _setting(
        None, "The most that this process may spend; what may cost more is not sent.", kind=float, minimum=0
    )
    budget_per_day: float | None = _setting(
        None,
        "The most that all processes of the archive may spend on a day, by local time; what may cost more is not sent.",
        kind=float,
        minimum=0,
    )
    seconds_per_image: float | None = _setting(
        None, "Seconds that the built-in simulator takes for an image; by quality if None.", kind=float, minimum=0
    )
    replay: str = _setting(
        "", "File of a recorded run, which answers all requests instead of the service; empty for none."
    )
    replay_speed: float = _setting(
        1.0, "How fast a recorded run is played: 2 in half of its time, 0 without any wait.", kind=float, minimum=0
    )
    debug: bool = _setting(default=False, text="Show full tracebacks for all errors.", kind=bool)

    def __post_init__(self) -> None:
        self.__dict__.update(_observers=[], _told=set())
        for name in DEFAULTS:
            setattr(self, name, SHOWN_DEFAULTS.get(name))

    def __repr__(self) -> str:
        changed = [f"{name}={value!r}" for name, value in self.values().items() if value != default_of(name)]
        return f"<Session: {', '.join(changed) or 'all settings'}{'; all others' if changed else ''} as by default>"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"There is no setting {name!r}. {nearest(name, FIELDS)}".rstrip())

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = checked = self.checked(name, value)
        if name == "debug":
            # Handed down: `api` knows no session, and an error has to know how it shows itself.
            GradientNotebookError.debug = checked
        for observer in list(self.__dict__.get("_observers", ())):
            observer(name, checked)

    def checked(self, name: str, value: Any) -> Any:
        """Return a value as a field keeps it.

        Args:
            name: the field's name.
            value: what it may become.

        Raises:
            InvalidSettingsError: it cannot.
        """
        if name not in FIELDS:
            hint = _ELSEWHERE.get(name) or nearest(name, FIELDS) or f"Known settings: {', '.join(FIELDS)}."
            shown = name if name in _ELSEWHERE or looks_like_key(repr(value)) else f"{name}={value!r}"
            raise InvalidSettingsError(f"{shown}: no such setting", hint)
        parameter = FIELDS[name]
        if value is None and (name in DEFAULTS or parameter.default is None):
            return None
        if name in _READ:
            return _READ[name](value)
        try:
            checked = parameter.check(value)
            # Absolute from now on: the archive stays the same, wherever the process goes afterwards.
            if name == "archive_dir" and looks_like_address(checked):
                return checked_address(checked)
            if name in ("archive_dir", "replay") and checked:
                checked = str(Path(checked).expanduser().absolute())
            if name == "replay" and checked:
                from .recording import read

                read(checked)  # what is none is refused now, and not with the first request
            return checked
        except InvalidSettingsError:
            raise
        except GradientNotebookError as error:
            raise InvalidSettingsError(error.summary, param=name) from None
        except RuntimeError as error:  # there is no such user
            raise InvalidSettingsError(f"{name}={value!r}: {error}", param=name) from None

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several fields: all of them, or none where one is wrong.

        Args:
            values: new values, by name.

        Raises:
            InvalidSettingsError: a name or a value that is not known.
        """
        checked = {name: self.checked(name, value) for name, value in values.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def values(self) -> dict[str, Any]:
        """Return all fields by name."""
        return {name: self.__dict__[name] for name in FIELDS}

    def reset(self) -> None:
        """Set every field to what it is in a new process."""
        fresh: dict[str, Any] = {}
        for name, parameter in FIELDS.items():
            fresh[name] = default_of(name)
            variable = PREFIX + name.upper()
            if not (text := os.environ.get(variable)):
                continue
            try:
                text = text.strip()  # of files that containers read, lines keep their ends
                # True as well as true. Of prices it is a file's path.
                value = text if name in _READ else parameter.parse(text.lower() if parameter.kind is bool else text)
                fresh[name] = self.checked(name, value)
            except GradientNotebookError as error:
                what = f"{error.summary} (from {variable} in the environment)"
                raise InvalidSettingsError(what, param=name) from None
        self.update(fresh)
        self.__dict__["_told"].clear()

    def has_told(self, words: str) -> bool:
        """Whether words have been said in this session.

        Args:
            words: what there is to say.
        """
        return words in self.__dict__["_told"]

    def is_first(self, words: str) -> bool:
        """Whether words have not been said in this session; from now on they have.

        Args:
            words: what there is to say.
        """
        told: set[str] = self.__dict__["_told"]
        is_new = words not in told
        told.add(words)
        return is_new

    def observe(self, observer: Observer) -> None:
        """Have a function called after each change.

        Args:
            observer: called with the name and the new value of the field.
        """
        self.__dict__["_observers"].append(observer)

    def unobserve(self, observer: Observer) -> None:
        """Have a function called no more.

        Args:
            observer: what `observe` was given.
        """
        self.__dict__["_observers"].remove(observer)

    def defaults(self) -> dict[str, Any]:
        """Return the defaults of the parameters, as far as there are any."""
        return {name: self.__dict__[name] for name in DEFAULTS if self.__dict__[name] is not None}

    def with_model(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that are given, with the default model where they name none: Python takes no other default.

        Args:
            options: parameters, by name; None is not given.
        """
        given = {name: value for name, value in options.items() if value is not None}
        return {"model": self.__dict__["model"], **given} if self.__dict__["model"] else given

    def limits(self) -> dict[str, Any]:
        """Return the timeouts and the bounds of retries, as fields of `Settings`."""
        return {name: self.__dict__[name] for name in LIMITS}

    def money(self, *, billed: bool = True) -> str:
        """Return the currency that everything is counted in.

        Args:
            billed: whether the service bills what it makes; what the built-in simulator makes is counted apart.
        """
        prices: PriceList | None = self.__dict__["prices"]
        return ((prices.currency if prices else "") or self.__dict__["currency"]) + SIMULATED * (not billed)

    def price_of(self, model: str, *, billed: bool = True) -> Price | None:
        """Return what a model costs, if that is known: of the names of models in `prices`, the longest that fits counts.

        Args:
            model: its id.
            billed: whether the service bills what it makes; the prices of the built-in simulator are in simulated money.
        """
        prices: PriceList | None = self.__dict__["prices"]
        price = prices.of(model) if prices else None
        return price.in_currency(self.money(billed=billed)) if price else None

    def missing_price(self, model: str) -> str:
        """Return in words what is missing of a price; empty where a model has one.

        Args:
            model: its id.
        """
        if not self.__dict__["prices"]:
            return "no prices are set"
        return "" if self.price_of(model) else f"the prices that are set have none for {model}"


def default_of(name: str) -> Any:
    """Return what a field is in a new process, where the environment says nothing of it."""
    return SHOWN_DEFAULTS.get(name) if name in DEFAULTS else FIELDS[name].default


MAX_COST = Parameter(
    name="max_cost", kind=float, minimum=0, help="The most that the request may cost; what may cost more is not sent."
)
"""A limit of one request."""
OWN: Mapping[str, Parameter] = {
    declared.name: dataclasses.replace(declared.metadata["parameter"], name=declared.name, label=declared.name)
    for declared in dataclasses.fields(Session)
}
"""The settings beside the defaults of parameters, each with its help, its kind and its bounds."""
FIELDS: Mapping[str, Parameter] = {**DEFAULTS, **OWN}
Session.__doc__ = with_entries(Session.__doc__, [one.entry for one in FIELDS.values()])
LIMITS = tuple(name for name in OWN if name in Settings.__dataclass_fields__)


session = Session()
session.reset()


def configure(**values: Any) -> Session:
    """Set what holds for this process: all that is given, or nothing where one is wrong.

    Args:
        **values: a line for each.

    Returns:
        The session.

    Raises:
        InvalidSettingsError: a name or a value that is not known.

    >>> from gradient_notebook import configure
    >>> configure(concurrency=8, max_retries=2).concurrency
    8
    """
    session.update(values)
    return session


configure.__doc__ = with_entries(configure.__doc__, [one.entry for one in FIELDS.values()])
