"""The options of the magics, made from the declaration, and what a line of them orders."""

from __future__ import annotations

import argparse
import json
import keyword
import os
import re
import shlex
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn

from IPython.core.magic_arguments import MagicArgumentParser

from ..api.advice import not_streamed
from ..api.errors import InvalidRequestError
from ..api.parameter import Parameter
from ..api.params import PARAMETERS, ImageGenerateParams, acting, broken_rule
from ..api.text import clean, nearest
from ..session import DEFAULT_NAME, MAX_COST
from ..storage.outcome import ENDED
from .templates import expressions
from .vary_args import Vary, add_options, vary_of

_FLAGS: Mapping[str, str] = {
    "no-wait": "Return immediately: NAME is a Job until its image is there (await NAME waits for it), and then the image.",
    "dry-run": "Show the request and its estimated cost, and send nothing.",
    "overwrite": "Let --save replace a file that exists: without it, nothing is sent then.",
    "recipe": "With --save, also write a copy with the settings inside, as PATH.recipe.png; read_recipe gives them back.",
    "raw": "Send the prompt as it is: insert nothing for {{ }}.",
    "quiet": "Show nothing but errors.",
}
_RECORD = "Add what comes to this file, with its times, for %config ImageGen.replay."
_REUSE = "Serve what the archive has answered before from there: nothing is sent or billed. --no-reuse overrules the session."

_USAGE = """\
%%imagegen [NAME] [options]        and the prompt in the lines below
       %imagegen [NAME] [options] -- prompt"""
_PANEL_USAGE = "%imagegen_panel [NAME] [options] [-- prompt]"
_DESCRIPTION = """\
Generate images from a prompt, watch them arrive, and use NAME, a PIL image (a list of images if n > 1).
{{expression}} in the prompt and in --save inserts the value of a Python expression."""


@dataclass(frozen=True, kw_only=True)
class MagicArgs:
    """What one line of options says. `given` has the values of the parameters by name, the prompt excepted."""

    name: str
    given: dict[str, Any] = field(default_factory=dict)
    save: str | None = None
    max_cost: float | None = None
    overwrite: bool = False
    recipe: bool = False
    no_wait: bool = False
    dry_run: bool = False
    raw: bool = False
    quiet: bool = False
    record: str | None = None
    reuse: bool | None = None
    vary: Vary | None = None

    @property
    def own_options(self) -> set[str]:
        """The notebook's own options that were given, by their names here."""
        unset = (None, False)
        return {f.name for f in fields(self) if f.name not in ("name", "given") and getattr(self, f.name) not in unset}


class Parser(MagicArgumentParser):
    """Tells mistakes as errors of our own."""

    sent: bool | None = None
    """What an error says of the request: False for a magic that would have sent one."""

    def error(self, message: str) -> NoReturn:
        """Raise InvalidRequestError."""
        message = clean(re.sub(r"^argument ", "", message))
        # Not a UsageError: exactly that prints one line, without advice, and a subclass of it a whole traceback.
        raise InvalidRequestError(f"%{self.prog}: {message}", f"%{self.prog}? shows all options.", sent=self.sent)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        # Python 3.11 loses the value of `--user=--`.
        lost = action.option_strings and arg_strings == ["--"]
        return arg_strings[0] if lost else super()._get_values(action, arg_strings)


def _new_parser(magic: str, usage: str, description: str) -> Parser:
    parser = Parser(  # type: ignore[no-untyped-call] # as IPython has it
        magic,
        usage=_escaped(usage),
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Else --siz means --size. Set here, since IPython's parser does not take it as an argument.
    parser.allow_abbrev = False
    return parser


def make_parser(magic: str, usage: str, description: str) -> Parser:
    """Return the parser of a magic that makes images: an option for each parameter, and the notebook's own."""
    parser = _new_parser(magic, usage, description)
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"Variable for the image ({DEFAULT_NAME} by default).")
    for parameter in PARAMETERS.values():
        if parameter.name != "prompt":
            _add(parser, parameter)
    parser.add_argument(
        "--save",
        "-o",
        metavar="PATH",
        help="Also save the original file there. An inserted value stays in the folder that is written before it.",
    )
    parser.add_argument("--record", metavar="FILE", help=_escaped(_RECORD))
    parser.add_argument("--reuse", action=argparse.BooleanOptionalAction, help=_escaped(_REUSE))
    parser.add_argument("--max-cost", metavar="AMOUNT", help=_escaped(MAX_COST.help))
    for flag, text in _FLAGS.items():
        parser.add_argument(f"--{flag}", action="store_true", help=_escaped(text))
    return parser


def _add(parser: argparse.ArgumentParser, parameter: Parameter) -> None:
    names = [parameter.option, *([f"-{parameter.short}"] if parameter.short else [])]
    text = _escaped(f"{parameter.help} Allowed: {parameter.expected}.")
    if parameter.kind is bool:
        parser.add_argument(*names, action=argparse.BooleanOptionalAction, dest=parameter.name, help=text)
    elif parameter.kind is dict:
        parser.add_argument(*names, action="append", metavar="KEY=JSON", dest=parameter.name, help=text)
    else:
        parser.add_argument(*names, metavar=parameter.name.upper(), dest=parameter.name, help=text)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")  # argparse formats its help texts


PARSER = make_parser("imagegen", _USAGE, _DESCRIPTION)
PARSER.sent = False
add_options(PARSER)
PANEL_PARSER = make_parser("imagegen_panel", _PANEL_USAGE, "Show the panel. The options fill its form.")
MODELS_PARSER = _new_parser(
    "imagegen_models",
    "%imagegen_models",
    "List the image models of the service, what is known of each, and which one is used.",
)


COST_PARSER = _new_parser(
    "imagegen_cost",
    "%imagegen_cost",
    "Show what this session, today and this month cost, what is reserved, what is left of budgets, and the prices.",
)


def make_history_parser() -> Parser:
    """Return the parser of `%imagegen_history`."""
    parser = _new_parser(
        "imagegen_history",
        "%imagegen_history [words] [options]",
        "Show the images of all sessions, newest first. In Python: history().",
    )
    parser.add_argument(
        "words", nargs="*", help="Words that are all in the prompt, or how a record's ID or a file begins."
    )
    parser.add_argument("--since", metavar="DATE", help="Earliest day or time: 2026-11-21, today, yesterday, 7d.")
    parser.add_argument("--until", metavar="DATE", help="Latest day or time.")
    parser.add_argument("--model", metavar="NAME", help="Part of the model's name.")
    parser.add_argument("--outcome", metavar=f"{{{','.join(ENDED)}}}", help="How it ended.")
    return parser


HISTORY_PARSER = make_history_parser()


def asks_for_help(line: str) -> bool:
    """Whether a line of options says --help, or -h, as a word of its own."""
    try:
        return not {"--help", "-h"}.isdisjoint(words_of(line, PARSER))
    except InvalidRequestError:
        return False  # told by what reads the line


def parse(line: str, fill: Callable[[str], str] | None = None, parser: Parser = PARSER) -> MagicArgs:
    """Return what a line of options orders; raise InvalidRequestError where it makes no sense.

    `fill` inserts values for `{{ }}`, where it is given and the line does not say --raw.
    """
    words, kept = _split(line, parser)
    found, rest = parser.parse_known_args([_with_hyphens(word) for word in words])
    # What is no parameter is filled in where it is used, once.
    fill = fill if fill and not found.raw else str
    values = {name: _restored(value, kept, fill if name in PARAMETERS else str) for name, value in vars(found).items()}
    # None is what was not given: False is an answer, as of --no-stream.
    given = {name: _value(name, values[name]) for name in PARAMETERS if values.get(name) is not None}
    if rest:
        raise unknown(_restored(rest[0], kept), parser)
    own = {flag: values[flag] for flag in ("save", "record", "reuse", *(name.replace("-", "_") for name in _FLAGS))}
    most = None if values["max_cost"] is None else MAX_COST.parse(values["max_cost"])
    vary = vary_of(vars(found), lambda text: _restored(text, kept, fill))
    return MagicArgs(name=identifier(found.name or DEFAULT_NAME), given=given, max_cost=most, vary=vary, **own)


def words_of(line: str, parser: Parser) -> list[str]:
    """Split as a shell does; what stands in `{{ }}` stays as it is, with its spaces and quotes."""
    words, kept = _split(line, parser)
    return [_restored(word, kept) for word in words]


def _split(line: str, parser: Parser) -> tuple[list[str], list[str]]:
    """Return the words of a line, with a mark in the place of each expression, and the expressions."""
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"\0{len(kept) - 1}\0"

    try:
        # A shell would split at an expression's spaces and eat its quotes: a mark takes its place meanwhile.
        return shlex.split(re.sub(r"\{\{.*?\}\}", keep, line)), kept
    except ValueError as error:
        advice = "Remove the backslash." if line.rstrip().endswith("\\") else "Close the quotation mark."
        raise InvalidRequestError(f"%{parser.prog}: {error} in {line!r}", advice, sent=parser.sent) from error


def _restored(value: Any, kept: Sequence[str], fill: Callable[[str], str] = str) -> Any:
    """Return a value of the line, or each of several, with expressions, or what `fill` makes of them, for the marks."""
    if isinstance(value, list):
        return [_restored(each, kept, fill) for each in value]
    if not isinstance(value, str):
        return value
    return re.sub("\0(\\d+)\0", lambda match: fill(kept[int(match[1])]), value)


def split_prompt(line: str) -> tuple[str, str | None]:
    """Return the options and the prompt of the line form, `options -- prompt`; None where there is no prompt."""
    options, *prompt = re.split(r"(?:^|\s)--(?:\s|$)", line, maxsplit=1)
    return options, prompt[0].strip() if prompt else None


def complete_given(given: Mapping[str, Any], session: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given, completed by the session's defaults as far as they go with it."""
    given = acting(given)
    values = {**session, **given}
    if not_streamed(values) and "stream" not in given:
        values["stream"] = None
    for name in values.keys() - given.keys():
        if (needed := PARAMETERS[name].only_with) and not values.get(needed):
            del values[name]
    # A rule may be broken by a default of the session alone, which then gives way to what the cell says.
    while (rule := broken_rule(values)) and rule.parameter not in given:
        del values[rule.parameter]
    return values  # what else is wrong is a mistake of the cell's own, told when the request is made


def filled_path(template: str, fill: Callable[[str], str]) -> str:
    """Return a path with `{{ }}` filled in; raise InvalidRequestError where a value leads out of the folder before it.

    A value that is the whole path, or the folder that it begins with, may lead anywhere: it is what was written.
    """
    path, position, bounds = "", 0, []
    for begin, end, source in expressions(template):
        path += template[position:begin]
        rest = template[end:]
        if path or not (rest == "" or rest.startswith(("/", os.sep))):
            bounds.append((source, os.path.dirname(path)))  # noqa: PTH120 - a Path loses what it is about
        path += fill(template[begin:end])
        position = end
    path += template[position:]
    for source, folder in bounds:
        if not _absolute(path).is_relative_to(_absolute(folder or ".")):
            what = f"save={path!r}: {{{{{clean(source)}}}}} leads out of the folder {folder or '.'!r}"
            raise InvalidRequestError(
                what, "An inserted value stays in the folder that is written before it.", param="save"
            )
    # As it was looked at: where a folder is a link, `link/..` is another than the one before it.
    return os.path.normpath(path) if bounds and ".." in Path(path).parts else path


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111 - a Path keeps the `..`


def save_path(
    save: str, name: str, params: ImageGenerateParams, *, overwrite: bool = False, recipe: bool = False
) -> Path:
    """Return where to write the first image; raise InvalidRequestError where it cannot be written, or must not."""
    try:
        # Absolute from now on: the kernel may have gone to another folder when the image comes.
        path = Path(save).expanduser().absolute()
        # Of the text: a Path has lost the slash at its end.
        if path.is_dir() or save.endswith("/"):
            path = path / name
        path = _with_suffix(path, save, params.text("output_format"))
        reason = _unwritable(path, str(Path(save).parent)) if save and "\0" not in save else "expected a path"
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, InvalidRequestError):
            raise
        reason = str(error)
    if reason:
        raise InvalidRequestError(f"save={save!r}: {reason}", "Choose another path.", param="save")
    wanted = [numbered(path, index, params.n) for index in range(0 if overwrite else params.n)]
    for there in [*wanted, *(map(with_recipe_name, wanted) if recipe else ())]:
        if there.exists():
            what, advice = (
                f"save={save!r}: {there.name!r} exists",
                "Add --overwrite to replace it, or choose another path.",
            )
            raise InvalidRequestError(what, advice, param="save")
    return path


def _with_suffix(path: Path, save: str, file_format: str) -> Path:
    known = {"jpg": "jpeg"} | {choice: choice for choice in (file_format, *PARAMETERS["output_format"].choices)}
    meant = known.get(path.suffix.lower().lstrip("."))
    if meant is None:
        # Not `with_suffix`, which would take the .5 of `fox-1.5` away.
        return path.with_name(f"{path.name}.{file_format}")
    if meant != file_format:
        advice = f"Name it {path.stem}.{file_format}, or add --output-format {meant}."
        raise InvalidRequestError(f"save={save!r}: the image will be {file_format}", advice, param="save")
    return path


def numbered(path: Path, index: int, count: int) -> Path:
    """Return the path of image `index` (from 0) of `count`."""
    return path if count == 1 else path.with_stem(f"{path.stem}-{index + 1}")


def with_recipe_name(path: Path) -> Path:
    """Return the path of the copy that has the settings inside."""
    return path.with_stem(f"{path.stem}.recipe")


def _unwritable(path: Path, folder: str) -> str:
    if not path.parent.is_dir():
        return f"the folder {folder!r} does not exist"
    if not os.access(path.parent, os.W_OK):
        return f"the folder {folder!r} is not writable"
    return "the file exists and is not writable" if path.exists() and not os.access(path, os.W_OK) else ""


def _with_hyphens(word: str) -> str:
    """`--output_format=webp` as `--output-format=webp`."""
    option, equals, value = word.partition("=")
    return option.replace("_", "-") + equals + value if option.startswith("--") else word


def _value(name: str, value: Any) -> Any:
    parameter = PARAMETERS[name]
    if parameter.kind is dict:
        return parameter.check({key: item for text in value for key, item in _pairs(text).items()})
    return value if parameter.kind is bool else parameter.parse(value)


def _pairs(text: str) -> dict[str, Any]:
    """Read KEY=JSON, or a JSON object, which can hold any key."""
    key, _, value = text.partition("=")
    try:
        if text.startswith("{"):
            return dict(json.loads(text))
        return {key: json.loads(value if key else "")}
    except ValueError as error:
        advice = "Write KEY=JSON: --extra seed=7, --extra 'style=\"vivid\"'."
        if (
            text.startswith("{") and ":" in text and '"' not in text
        ):  # whose quotation marks the line has taken for its own
            advice = """Quote it as a whole: --extra '{"seed": 7}', or write --extra seed=7."""
        raise InvalidRequestError(f"extra={text!r}: expected KEY=JSON", advice, param="extra") from error


def identifier(name: str) -> str:
    """Return the name of a variable as Python reads it; raise InvalidRequestError if it is none."""
    name = unicodedata.normalize("NFKC", name)  # as Python reads names
    if name.isidentifier() and not keyword.iskeyword(name):
        return name
    why = "a Python keyword" if keyword.iskeyword(name) else "not a valid Python identifier"
    raise InvalidRequestError(f"NAME={name!r} is {why}", "Use letters, digits and _.", param="name")


def unknown(word: str, parser: Parser) -> InvalidRequestError:
    """Return the error of a word that a magic does not take."""
    magic = parser.prog
    if not word.startswith("-"):
        below = "below %%imagegen, or " if parser is PARSER else ""
        option = word.partition("=")[0].lower().replace("_", "-")
        if f"--{option}" in {name for action in parser._actions for name in action.option_strings}:
            what = f"%{magic}: unexpected argument {word!r}"
            return InvalidRequestError(what, f"Did you mean --{option}?", sent=parser.sent)
        named = f"Give one NAME and options; the prompt goes {below}after --."
        advice = named if parser in (PARSER, PANEL_PARSER) else f"%{magic}? shows what it takes."
        return InvalidRequestError(f"%{magic}: unexpected argument {word!r}", advice, sent=parser.sent)
    known = [option for action in parser._actions for option in action.option_strings]
    option = clean(word.partition("=")[0])
    hint = nearest(option, known)
    if not hint and parser in (PARSER, PANEL_PARSER) and option.startswith("--"):
        hint = f"A field of another server goes into --extra {option[2:]}=VALUE."
    advice = f"{hint} %{magic}? shows all options."
    return InvalidRequestError(f"%{magic}: {option}: no such option", advice.strip(), sent=parser.sent)


def looks_like_options(prompt: str) -> str:
    """Return the end of a prompt that was probably meant for the line of options; empty where there is none."""
    end = _OPTIONS_AT_THE_END.search(prompt)
    first = re.split(r"[\s=]", end["options"])[0].replace("_", "-") if end else ""
    return end["options"] if end and first in {name for one in PARSER._actions for name in one.option_strings} else ""


_OPTIONS_AT_THE_END = re.compile(
    r"(?:^|\s)(?P<options>--?[a-z][\w-]*(?:[ =][^\s-]\S*)?(?:\s+--?[a-z][\w-]*(?:[ =][^\s-]\S*)?)*)\s*$"
)
