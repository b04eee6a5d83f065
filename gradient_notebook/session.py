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

from .api.credentials import ENDPOINT_VARIABLE, KEY_VARIABLES, looks_like_key
from .api.docstrings import with_entries
from .api.errors import GradientNotebookError, InvalidSettingsError
from .api.events import Usage
from .api.parameter import Parameter
from .api.params import PARAMETERS
from .api.settings import Settings
from .api.text import nearest

PREFIX = "GRADIENT_IMAGE_"
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
}
"""What is no setting of the session, though one may look for it here; its value is not shown."""

Observer = Callable[[str, Any], None]


def _setting(default: Any, text: str, **bounds: Any) -> Any:
    return field(default=default, metadata={"parameter": Parameter(help=text, default=default, **bounds)})


def _limit(name: str, text: str, **bounds: Any) -> Any:
    return _setting(Settings.__dataclass_fields__[name].default, text, **bounds)


@dataclass(eq=False)
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
    archive_dir: str = _setting("", "Folder of the archive; empty for the system's default.")
    reuse: bool = _setting(
        default=False,
        text="Serve a request that the archive has already answered from there: nothing is sent, nothing is billed.",
        kind=bool,
    )
    concurrency: int = _setting(
        4, "Requests that run at the same time at one endpoint, in the whole process.", kind=int, minimum=1
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
    price_input_text_tokens: float | None = _setting(
        None,
        "Your price per million input text tokens; without both prices only tokens are shown.",
        kind=float,
        minimum=0,
    )
    price_output_image_tokens: float | None = _setting(
        None,
        "Your price per million output image tokens; without both prices only tokens are shown.",
        kind=float,
        minimum=0,
    )
    currency: str = _setting("$", "Currency symbol of your prices.")
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
        try:
            checked = parameter.check(value)
            # Absolute from now on: the archive stays the same, wherever the process goes afterwards.
            if name in ("archive_dir", "replay") and checked:
                checked = str(Path(checked).expanduser().absolute())
            if name == "replay" and checked:
                from .recording import read

                read(checked)  # what is none is refused now, and not with the first request
            return checked
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
            fresh[name] = SHOWN_DEFAULTS.get(name) if name in DEFAULTS else parameter.default
            variable = PREFIX + name.upper()
            if not (text := os.environ.get(variable)):
                continue
            try:
                text = text.strip()  # of files that containers read, lines keep their ends
                value = parameter.parse(text.lower() if parameter.kind is bool else text)  # True as well as true
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

    def cost(self, usage: Usage) -> str:
        """Return what a request's tokens cost, as `$0.04`; empty where prices or tokens are not known.

        Args:
            usage: the request's tokens.
        """
        text_tokens = usage.input_tokens_details.text_tokens or usage.input_tokens
        # A part of the cost would look like the whole.
        if usage.output_tokens is None or text_tokens is None:
            return ""
        return self.price(usage.output_tokens, text_tokens)

    def price(self, output_tokens: int, text_tokens: int = 0) -> str:
        """Return what tokens cost, as `$0.04`; empty where no prices are set.

        Args:
            output_tokens: tokens of images.
            text_tokens: tokens of the prompt.
        """
        # With one price alone the sum would look like the whole cost, and be too low.
        per_text, per_image = self.price_input_text_tokens, self.price_output_image_tokens
        if per_text is None or per_image is None:
            return ""
        cost = (text_tokens * per_text + output_tokens * per_image) / 1e6
        return f"{self.currency}{cost:.2f}" if cost >= 0.01 else f"{self.currency}{cost:.2g}"


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
