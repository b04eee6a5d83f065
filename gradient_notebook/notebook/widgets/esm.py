"""The browser's side of a widget as one text: anywidget imports it from a blob URL, where relative imports cannot work.

Each `.mjs` file is a module that node and TypeScript understand alone. `joined` puts a module behind those that it
imports, in one scope, without their comments. It knows as much of JavaScript as these modules need, and refuses the rest: what is at the top
level begins in the first column, imports are `import { a, b } from "./other.mjs";`, and only declarations and a default
on one line are exported.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

# Each begins with a line's end, which is found faster than a line's beginning.
_IMPORT = re.compile(r'\nimport \{([\w$,\s]+)\} from "\./([\w.]+)";(?=\n)')
_DEFAULT = re.compile(r"\nexport default .+;(?=\n)")
_DECLARATION = re.compile(r"\n(export )?((?:async )?(?:function\*?|class|const|let|var) ([\w$]+))")
# Comments of whole lines. What is for people and for type checkers would be saved with each notebook that has a widget.
_COMMENT = re.compile(r"\n *(?://.*|/\*\*(?:(?!\*/)[\s\S])*\*/)(?=\n)")
# Imports and exports that were not understood are left over by then; names in a pattern `_DECLARATION` does not see.
_REFUSED = re.compile(r"\n(?:(?:import|export)\b|(?:const|let|var) *[\[{]).*")


class _Module(NamedTuple):
    name: str
    imports: list[tuple[str, set[str]]]
    """The names that it imports from each other module."""
    declares: set[str]
    exports: set[str]
    default: str
    text: str
    """All the rest."""


def joined(path: Path) -> str:
    """Return a module and all that it imports as one text, whose only export is the module's own default.

    Raises ValueError where the text could mean something else than the modules do.
    """
    modules: dict[str, _Module] = {}
    _collect(path, modules, ())
    owners: dict[str, str] = {}
    for module in modules.values():
        for other, names in module.imports:
            if missing := names - modules[other].exports:
                raise ValueError(f"{module.name} imports {', '.join(sorted(missing))}: not exported by {other}")
        for name in sorted(module.declares):
            if owner := owners.get(name):
                raise ValueError(f"{name} is declared by {owner} and by {module.name}")
            owners[name] = module.name
    default = modules[path.name].default
    if not default:
        raise ValueError(f"{path.name} has no default export")
    return "".join(module.text for module in modules.values()).strip() + f"\n{default}\n"


def _collect(path: Path, modules: dict[str, _Module], importers: tuple[str, ...]) -> None:
    """Add the module behind those that it imports."""
    chain = (*importers, path.name)
    if path.name in importers:
        raise ValueError(f"modules import each other: {' > '.join(chain)}")
    if path.name in modules:
        return
    module = _read(path)
    for other, _ in module.imports:
        _collect(path.with_name(other), modules, chain)
    modules[path.name] = module


def _read(path: Path) -> _Module:
    source = f"\n{path.read_text(encoding='utf-8')}\n"
    imports = [(other, {*re.split(r"\s*,\s*", names.strip(" \n,"))}) for names, other in _IMPORT.findall(source)]
    declarations = _DECLARATION.findall(source)
    # Nothing but the default stays exported: anywidget takes an exported `render` for its deprecated form.
    text = _DECLARATION.sub(r"\n\2", _DEFAULT.sub("", _IMPORT.sub("", _COMMENT.sub("", source))))
    if refused := _REFUSED.search(text):
        raise ValueError(f"{path.name} cannot be joined: {refused.group().strip()}")
    return _Module(
        path.name,
        imports,
        declares={name for _, _, name in declarations},
        exports={name for exported, _, name in declarations if exported},
        default="".join(_DEFAULT.findall(source)),
        text=text,
    )
