"""Mappings and lists that stay as they are."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("The parameters of a request can't be changed: use replace(extra={...}).")


class FixedDict(dict[str, Any]):
    """A mapping that stays as it is: the parameters of a request are a value, `extra` included."""

    # A dict and no MappingProxyType, which neither json nor pickle takes.
    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        # Sorted: mappings are equal in any order, and then have to have one hash.
        return hash(json.dumps(self, sort_keys=True))

    def __reduce__(self) -> tuple[Any, ...]:
        # By default pickle fills in a subclass of dict item by item, through what refuses here.
        return FixedDict, (dict(self),)


class FixedList(list[Any]):
    """A list in it, which stays as it is, too."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return FixedList, (list(self),)


def fixed(value: Any) -> Any:
    """Return JSON's plain values in containers that can't be changed."""
    if isinstance(value, dict):
        return FixedDict({name: fixed(each) for name, each in value.items()})
    return FixedList(fixed(each) for each in value) if isinstance(value, list) else value
