"""The reason in what a service answers instead of an image, wherever it stands: each kind of server has its own place."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .text import SHORT, clean

_FIELDS = (
    "title",
    "message",
    "detail",
    "details",
    "msg",
    "errors",
    "error_description",
    "error_message",
    "errormessage",
    "reason",
    "description",
    "faultstring",
    "exception",
    "cause",
    "status_msg",
    "status_message",
    "finish_reason",
    "finishreason",
)
"""Where a reason stands, beside `error`. Several may say a part of it each."""
_ENDS_WELL = frozenset(
    {"stop", "success", "succeeded", "completed", "done", "end_turn", "length", "finish_reason_stop"}
)
"""Values of `finish_reason` that are no reason for anything."""
_NESTED = ("error", "fault", "exception", "response", "failure")
_CODES = ("code", "error_code", "errorcode", "id", "type", "__type", "error")
_PARAMS = ("param", "parameter", "field", "loc")
_DEEPEST = 6
_MOST_PARTS = 3
_MOST_ITEMS = 5
_LOOKED_AT = 100_000  # characters
_LONGEST = 600
_BEGINNING, _END = 200, 350  # a long text says what happened at its beginning, or like a traceback at its end
_BASE64 = re.compile(r"[A-Za-z0-9+/_=-]{200,}")
_PAGE = re.compile(r"\s*<(!doctype|html|head|body|title|h\d|p|div|center|\?xml|error)\b", re.IGNORECASE)
_HEADINGS = tuple(re.compile(rf"<{name}\b[^<>]*>([^<]*)", re.IGNORECASE) for name in ("title", "message", "h1", "h2"))
_EVENT_DATA = re.compile(r"\A\s*(?:event:[^\r\n]*[\r\n]+)?data:([^\r\n]*)")
_WORD = re.compile(r"[A-Za-z_][\w.-]*")
_LANGUAGE = re.compile(r"[a-z]{2}([-_][A-Za-z]{2,4})?")
_PLAIN_ID = re.compile(r"[A-Za-z][A-Za-z_ -]*")


def reason_in(value: Any) -> str:
    """Return the reason that an answer gives, fit to be shown; empty where it gives none."""
    return clean(_reason(value, 0))


def facts_of(answer: Any) -> dict[str, Any]:
    """Return an error answer of any form as one mapping: the inner error with what stands beside it, and its `message`."""
    outer = answer if isinstance(answer, Mapping) else {}
    if isinstance(answer, list) and answer and isinstance(answer[0], Mapping):
        outer = answer[0]
    inner = _inner(outer) or _of_an_entry(outer)
    if inner is not None:
        inner = _inner(inner) or inner
    body = dict(outer if inner is None else inner)
    beside = {name: outer[name] for name in (*_CODES, *_PARAMS, "request_id") if name in outer and name not in body}
    # With the message only where there is one: without it the error says that none was given.
    told = reason_in(answer)
    return {**body, **beside, **({"message": told} if told else {})}


def _of_an_entry(outer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the error that stands in place of an image."""
    entries = outer.get("data")
    first = next((each for each in entries if isinstance(each, Mapping)), {}) if isinstance(entries, list) else {}
    return _inner(first) or (first if reason_in(first) and not reason_in({**outer, "data": None}) else None)


def _inner(outer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    fields = _folded(outer)
    return next((fields[name] for name in _NESTED if isinstance(fields.get(name), Mapping)), None)


def code_in(body: Mapping[str, Any], status: int | None) -> str | None:
    """Return the service's own word for an error."""
    fields = _folded(body)
    for name in _CODES:
        value = fields.get(name)
        if not isinstance(value, (str, int)) or isinstance(value, bool) or not value:
            continue
        text = clean(value, SHORT) if isinstance(value, str) else str(value)[:SHORT]
        if name == "id" and not _PLAIN_ID.fullmatch(text):
            continue  # of this one answer
        is_kind = name == "type" and (text == "error" or not re.fullmatch(r"[\w -]+", text))
        is_reason = name == "error" and not _WORD.fullmatch(text)
        if text and text != str(status) and not is_kind and not is_reason:
            return text
    return None


def param_in(body: Mapping[str, Any]) -> str | None:
    """Return the parameter that an error is about."""
    lists = [body.get(name) for name in ("detail", "errors", "details")]
    items = [each for found in lists if isinstance(found, list) for each in found[:1] if isinstance(each, Mapping)]
    for told in (body, *items):
        for name in _PARAMS:
            value = told.get(name)
            if isinstance(value, (list, tuple)) and value:
                value = value[-1]
            if isinstance(value, str) and value:
                return clean(value, SHORT)
    return None


def _reason(value: Any, depth: int) -> str:
    if depth > _DEEPEST:
        return ""
    if isinstance(value, bytes):
        value = _decoded(value[:_LOOKED_AT])
    if isinstance(value, str):
        return _words(value, depth)
    if isinstance(value, (list, tuple)):
        return "; ".join(dict.fromkeys(filter(None, (_reason(each, depth + 1) for each in value[:_MOST_ITEMS]))))
    return _reason_of_fields(value, depth) if isinstance(value, Mapping) else ""


def _reason_of_fields(value: Mapping[Any, Any], depth: int) -> str:
    fields = _folded(value)
    if isinstance(fields.get("loc"), (list, tuple)):
        return _located(fields["loc"], _reason(fields.get("msg") or fields.get("message"), depth + 1))
    for name in _NESTED:
        if isinstance(fields.get(name), Mapping) and (found := _reason(fields[name], depth + 1)):
            return found
    parts = [_reason(fields.get("error"), depth + 1), *(_part(fields.get(name), name, depth) for name in _FIELDS)]
    if found := _joined(parts):
        return found
    # Some frameworks answer with the wrong fields alone: {"size": ["Not a valid choice."]}.
    if fields and all(_is_texts(each) for each in fields.values()):
        return _by_name(fields, depth)
    # Some put all that they say into an envelope: {"status": "error", "data": {"message": ...}}; or beside an image
    # that did not come: {"data": [{"error": ...}]}.
    inner = (_reason(each, depth + 1) for each in fields.values() if isinstance(each, Mapping) or _is_objects(each))
    return next(filter(None, inner), "")


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, Mapping) for each in value[:_MOST_ITEMS])


def _folded(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {name.lower().replace("-", "_"): each for name, each in value.items() if isinstance(name, str)}


def _part(value: Any, name: str, depth: int) -> str:
    if name.startswith("finish") and (not isinstance(value, str) or value.lower() in _ENDS_WELL):
        return ""
    if name in ("message", "title", "msg", "description", "reason") and (said := _in_a_language(value)):
        return _reason(said, depth + 1)
    if name in ("errors", "detail", "details") and isinstance(value, Mapping):
        return _reason_of_fields(value, depth + 1) or _by_name(value, depth + 1)
    return _reason(value, depth + 1)


def _in_a_language(value: Any) -> str:
    """Return the English of a text that is written in several languages, or the first of them."""
    if not isinstance(value, Mapping) or not value:
        return ""
    is_by_language = all(_LANGUAGE.fullmatch(str(name)) and isinstance(text, str) for name, text in value.items())
    return str(value.get("en") or next(iter(value.values()))) if is_by_language else ""


def _by_name(fields: Mapping[Any, Any], depth: int) -> str:
    told = ((clean(name, SHORT), _reason(each, depth + 1)) for name, each in list(fields.items())[:_MOST_ITEMS])
    return "; ".join(f"{name}: {reason}" for name, reason in told if reason)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


def _located(place: Sequence[Any], reason: str) -> str:
    names = [clean(str(part), SHORT) for part in place if part not in ("body", "query", "__root__")]
    return f"{'.'.join(names)}: {reason}" if names and reason else reason


def _joined(parts: Iterable[str]) -> str:
    """Return what several fields say, each thing once; a code only where nothing else is said."""
    found = list(dict.fromkeys(filter(None, parts)))
    said = [part for part in found if not any(part != other and part in other for other in found)]
    said = [part for part in said if not _WORD.fullmatch(part)] or said
    return ": ".join(said[:_MOST_PARTS])


def _words(text: str, depth: int) -> str:
    """Return what a text says: it may be a page, or JSON once more."""
    if event := _EVENT_DATA.search(text[:_LOOKED_AT]):
        return _words(event[1], depth + 1) if depth < _DEEPEST else ""  # an error that is sent as a stream
    text = clean(text[:_LOOKED_AT], _LOOKED_AT)
    if text[:1] in ("{", "[") and (found := _reason(_json(text), depth + 1)):
        return found
    if _PAGE.match(text):
        text = next(_headings(text), "") or re.sub(r"<[^<>]*>", " ", text)
        text = " ".join(html.unescape(text).split())
    text = _BASE64.sub("…", text).strip()
    return text if len(text) <= _LONGEST else f"{text[:_BEGINNING].rstrip()} … {text[-_END:].lstrip()}"


def _decoded(data: bytes) -> str:
    """Return the text of a body, empty where it is none."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if error.start >= len(data) - 3:  # only cut off
            return data[: error.start].decode()
    # Old servers write in the encoding of their country; what has many controls in it is packed, or no text at all.
    text = data.decode("cp1252", "replace")
    controls = sum(character < " " and not character.isspace() for character in text)
    return text if controls * 20 < len(text) else ""


def _headings(page: str) -> Iterator[str]:
    for heading in _HEADINGS:
        if (found := heading.search(page)) and found[1].strip():
            yield found[1]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
