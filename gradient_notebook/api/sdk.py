"""What SDK code looks for on answers and clients: ways to plain values, and what to use for what is left out."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, Self

from .text import nearest

_OURS = ("image_bytes", "image_index", "headers")
"""Fields that the SDK does not have, and so no plain value of ours."""


class _LeftOut:
    """An attribute of the SDK's that is left out: asking for it raises AttributeError, which says what to use."""

    def __init__(self, name: str, advice: str) -> None:
        self._name = name
        self._advice = advice

    def __get__(self, one: object, kind: type) -> Self:
        if one is None:
            return self
        what = f"{kind.__name__!r} object has no attribute {self._name!r}: {self._advice}."
        raise AttributeError(what, name=self._name, obj=one)


class NamesWhatToUse:
    """Has a word for what SDK code may look for, and what is left out."""

    _left_out: ClassVar[Mapping[str, str]] = {}
    """What to use, by attribute."""

    # Not by `__getattr__`: IPython completes nothing after an object that has one.
    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in cls._left_out.keys() - {*dir(cls)}:
            setattr(cls, name, _LeftOut(name, cls._left_out[name]))

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in self._left_out]


def refuse_arguments(called: str, others: dict[str, Any], advice: str) -> None:
    """Raise TypeError for arguments that a method does not take, with what to do instead of them."""
    names = list(others)
    others.clear()  # a value may be a key, which a traceback can show
    if names:
        raise TypeError(f"{called}({names[0]}=) is left out: {advice}.")


_DUMP = "use model_dump() or to_dict()"


class Convertible(NamesWhatToUse):
    """The SDK's ways to plain values. Images are base64 text there, as on the wire."""

    _left_out: ClassVar[Mapping[str, str]] = {
        "dict": _DUMP,
        "json": "use model_dump_json() or to_json()",
        "model_fields_set": _DUMP,
        "model_extra": _DUMP,
    }

    def model_dump(
        self,
        *,
        mode: str = "python",  # noqa: ARG002 - plain in either
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
        exclude_none: bool = False,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
    ) -> dict[str, Any]:
        """Return it as plain values, None where something is not known.

        Args:
            mode: as in the SDK; the values are the same in each.
            include: names of the fields that are returned; all unless given.
            exclude: names of the fields that are left out.
            exclude_none: leave out what is not known.
            exclude_unset: the same.
            exclude_defaults: the same.
        """
        plain: dict[str, Any] = _plain(self)
        if exclude_none or exclude_unset or exclude_defaults:
            plain = _without_none(plain)
        names = plain.keys() if include is None else plain.keys() & set(include)
        return {name: value for name, value in plain.items() if name in names and name not in (exclude or ())}

    def to_dict(self, *, mode: str = "python", exclude_unset: bool = True, **how: Any) -> dict[str, Any]:
        """Return it as plain values, without what is not known.

        Args:
            mode: as in the SDK; the values are the same in each.
            exclude_unset: False has None where something is not known.
            **how: more of `model_dump`.
        """
        return self.model_dump(mode=mode, exclude_unset=exclude_unset, **how)

    def to_json(self, *, indent: int | None = 2, **how: Any) -> str:
        """Return it as JSON text, without what is not known.

        Args:
            indent: spaces for each level; None for one line.
            **how: arguments of `to_dict`.
        """
        return json.dumps(self.to_dict(**how), indent=indent, ensure_ascii=False)

    def model_dump_json(self, *, indent: int | None = None, **how: Any) -> str:
        """Return it as JSON text, null where something is not known.

        Args:
            indent: spaces for each level; None for one line.
            **how: arguments of `model_dump`.
        """
        return json.dumps(self.model_dump(**how), indent=indent, ensure_ascii=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # noqa: ARG002
        """Return a copy.

        Args:
            update: new values of fields, by name.
            deep: as in the SDK; the values cannot be changed, so both are the same.
        """
        return dataclasses.replace(self, **(update or {}))  # type: ignore[type-var] # all that inherit are dataclasses

    def __iter__(self) -> Iterator[Any]:
        yield from _fields(self).items()


def _fields(value: Any) -> dict[str, Any]:
    names = [declared.name for declared in dataclasses.fields(value) if declared.name not in _OURS]
    encoded = {"b64_json": value.b64_json} if hasattr(type(value), "b64_json") else {}
    return encoded | {name: getattr(value, name) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return {name: _plain(each) for name, each in _fields(value).items()} if dataclasses.is_dataclass(value) else value


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(each) for name, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list) else value


@dataclasses.dataclass(frozen=True)
class HTTPAnswer:
    """The HTTP side of an answer: its status and its headers, without the key.

    Attributes:
        status_code: the HTTP status.
        headers: by name, in any case.
        body: what the answer says, as plain values.
    """

    status_code: int | None
    headers: Mapping[str, str]
    body: Any = None

    def json(self) -> Any:
        """Return what the answer says, as plain values."""
        return self.body

    @property
    def text(self) -> str:
        """The same as JSON text."""
        return json.dumps(self.body, ensure_ascii=False)


_RESOURCES = [
    "agents",
    "chat",
    "completions",
    "databases",
    "embeddings",
    "files",
    "gpu_droplets",
    "inference",
    "knowledge_bases",
    "nfs",
    "prompts",
    "responses",
    "retrieve",
]


class WithSDKNames(NamesWhatToUse):
    """What both clients have from the SDK beside their resources."""

    settings: Any
    _left_out: ClassVar[Mapping[str, str]] = {
        "with_raw_response": "use client.images.with_raw_response",
        "with_streaming_response": "use client.images.generate(stream=True, partial_images=2)",
        "is_closed": "use close(), which closes what is open; a client opens connections whenever it needs some",
        **dict.fromkeys(
            ("model_access_key", "access_token", "api_key", "auth_headers"),
            "use client.settings.key_source, which says where the key came from; the key is shown nowhere",
        ),
        **dict.fromkeys(("default_headers", "default_query"), "use Client(default_headers=) to set them"),
        **dict.fromkeys(
            ("get", "post", "put", "patch", "delete", "request"),
            "use client.images.generate(...), whose extra_body= takes further fields, or client.models",
        ),
        **dict.fromkeys(_RESOURCES, "here are client.images and client.models; use the SDK for the rest"),
    }
    _without: ClassVar[Mapping[str, str]] = {  # arguments
        "api_key": "use model_access_key=",
        "default_query": "use generate(extra_query=)",
        "_strict_response_validation": "leave it out, every answer is checked",
        **dict.fromkeys(("agent_access_key", "agent_endpoint"), "use the SDK for agents"),
        **dict.fromkeys(("organization", "project", "webhook_secret"), "leave it out, the service has none"),
    }

    def __new__(cls, *_: Any, **arguments: Any) -> Self:  # noqa: D102 - it looks at the arguments' names
        # Not in `__init__`, whose signature is what checkers and editors go by; and by names alone: a value may be a key.
        names = list(arguments)
        del arguments
        # Not of the class: before 3.11.4 Python takes that of `__new__` for a class that has no `__init__` of its own.
        known = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
        for name in names:
            if name in cls._without:
                raise TypeError(f"{cls.__name__}({name}=) is left out: {cls._without[name]}.")
            if name not in known:
                hint = nearest(name, known) or f"Use one of {', '.join(known)}."
                raise TypeError(f"{cls.__name__}({name}=): there is no such argument. {hint}")
        return super().__new__(cls)

    @property
    def base_url(self) -> str:
        """Where requests go."""
        return str(self.settings.endpoint)

    @property
    def timeout(self) -> float:
        """Seconds of silence allowed within an answer."""
        return float(self.settings.read_timeout_s)

    @property
    def max_retries(self) -> int:
        """How often a request that never reached the model is sent again."""
        return int(self.settings.max_retries)


IMAGES_LEFT_OUT: Mapping[str, str] = {
    "with_streaming_response": "it is left out: use generate(stream=True, partial_images=2)",
    **dict.fromkeys(("edit", "create_variation"), "the service makes images from text alone: use generate(...)"),
}
MODELS_LEFT_OUT: Mapping[str, str] = {
    **dict.fromkeys(("with_raw_response", "with_streaming_response"), "use list() or retrieve(id)"),
    "delete": "the service's models cannot be deleted: use list() or retrieve(id)",
}
RENAMED: Mapping[str, str] = {
    **dict.fromkeys(("Gradient", "OpenAI"), "Client"),
    **dict.fromkeys(("AsyncGradient", "AsyncOpenAI"), "AsyncClient"),
    **dict.fromkeys(("GradientError", "OpenAIError"), "GradientNotebookError"),
    **dict.fromkeys(("NOT_GIVEN", "NotGiven", "Omit", "omit"), "None"),
    **dict.fromkeys(("Stream", "AsyncStream"), "what generate(stream=True, partial_images=2) returns"),
    **dict.fromkeys(("DefaultHttpxClient", "DefaultAsyncHttpxClient"), "httpx.AsyncClient"),
    "APIResponseValidationError": "InvalidResponseError",
    "ConflictError": "APIStatusError, whose status_code is 409",
    "Timeout": "seconds, or httpx.Timeout",
}
"""What to use for the SDK's names that this package does not have."""
