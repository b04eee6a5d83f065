"""The line of options and the braces of a prompt: what is understood, and what a mistake is told."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from gradient_notebook.api.errors import InvalidRequestError
from gradient_notebook.api.params import PARAMETERS, ImageGenerateParams
from gradient_notebook.notebook.config import ImageGen
from gradient_notebook.notebook.magic_args import (
    complete_given,
    looks_like_options,
    numbered,
    parse,
    save_path,
    split_prompt,
)
from gradient_notebook.notebook.magics import ImageGenMagics
from gradient_notebook.notebook.templates import interpolate
from gradient_notebook.storage.files import write_atomic

NAMES = {"color": "blue", "table": {"a": {"b": 1}}, "sly": "{{color}} {{1/0}}"}


def test_every_parameter_is_an_option_with_hyphens_or_underscores() -> None:
    """Each parameter but the prompt can be given by its own name, both ways."""
    values = {"str": "x", "int": "1", "dict": "a=1"}
    for parameter in PARAMETERS.values():
        if parameter.name == "prompt":
            continue
        value = parameter.choices[0] if parameter.choices else values.get(parameter.kind.__name__, "")
        for option in (parameter.option, "--" + parameter.name):
            assert parameter.name in parse(f"{option} {value}").given


def test_a_line_is_read_as_a_shell_would() -> None:
    """Name, long and short options, quotes and repeated --extra."""
    args = parse(
        "otter -s 1536x1024 -n3 --no-stream --user 'a b' --extra seed=7 --extra 'style=\"vivid\"' --save out.png"
    )
    assert (args.name, args.save) == ("otter", "out.png")
    assert args.given == {
        "n": 3,
        "size": "1536x1024",
        "stream": False,
        "user": "a b",
        "extra": {"seed": 7, "style": "vivid"},
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--size big", "size='big': expected auto or WIDTHxHEIGHT"),
        ("--n three", "n='three': expected a whole number, 1 to 10"),
        ("--n 1.5", "n=1.5: expected a whole number"),
        ("-n true", "n=True: expected a whole number"),
        ("--partial-images=-1", "partial_images=-1: expected a whole number, 0 or more"),
        ("--partial-images -1", "partial_images=-1: expected a whole number, 0 or more"),
        ("--model ''", "model='': expected text"),
        ("--stream=maybe", "--stream"),
        ("--siz auto", "--siz: no such option\nDid you mean --size?"),
        (
            "--guidance 5",
            "--guidance: no such option\nA field of another server goes into --extra guidance=VALUE. %imagegen? shows all",
        ),
        ("--help", "%imagegen? shows all options"),
        ("--size", "%imagegen: --size/-s: expected one argument"),
        ("--extra seed", "extra='seed': expected KEY=JSON"),
        ("--quality hihg", "quality='hihg': did you mean high?"),
        ("--extra size=big", "extra='size=big': expected KEY=JSON"),
        ("--extra a=b", "extra='a=b': expected KEY=JSON"),
        ("a b", "%imagegen: unexpected argument 'b'"),
        ("class", "NAME='class' is a Python keyword"),
        ("None", "NAME='None' is a Python keyword"),
        ("2cats", "NAME='2cats' is not a valid Python identifier"),
        ("my.cat", "NAME='my.cat' is not a valid Python identifier"),
        ("my-image", "NAME='my-image' is not a valid Python identifier"),
        ("'open", "No closing quotation"),
        ("--output-compression x", "output_compression='x': expected a whole number, 0 to 100"),
    ],
)
def test_a_mistake_in_the_line_is_told_in_two_lines(line: str, message: str) -> None:
    """What is wrong, and what to do."""
    with pytest.raises(InvalidRequestError, match=re.escape(message)) as caught:
        parse(line)
    assert str(caught.value).count("\n") <= 1


@pytest.fixture(scope="module")
def magics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageGenMagics]:
    """The magics in a shell that runs nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
        shell.user_ns["color"] = "red"
        yield ImageGenMagics(shell, ImageGen(parent=shell))


@pytest.mark.parametrize(
    ("line", "cell", "message"),
    [
        ("", None, "there is no prompt\nWrite %imagegen [NAME] [options] -- prompt."),
        ("house", None, "there is no prompt"),
        ("A red house", None, "there is no prompt"),
        ("house --", None, "there is no prompt"),
        ("house", "", "There is no prompt: write it in the lines below %%imagegen."),
        ("house", "\n   \n", "There is no prompt"),
        ("house --    ", None, "there is no prompt"),
        ("--qualty low", "A house", "%%imagegen: --qualty: no such option\nDid you mean --quality? %%imagegen?"),
        ("--qualty low -- A house", None, "%imagegen: --qualty: no such option"),
        ("", "{{''}}", "prompt=''"),
        ("", "{{'x' * 32_001}}", "(32,001 characters)"),
        ("", "{{chr(0xD800)}}", "prompt='\\ud800'"),
        ("", "A {{colr}} house", "{{colr}}: 'colr' is not defined\nDid you mean color?"),
        ("-- A {{1 / 0}} house", None, "ZeroDivisionError"),
        ("--save nowhere/house.png", "A house", "the folder 'nowhere' does not exist"),
        ("--save '{{missing}}.png'", "A house", "'missing' is not defined"),
        ("--stream --partial-images 0", "A house", "needs partial_images of 1 or more"),
        ("--background transparent -f jpeg", "A house", "needs output_format png or webp"),
    ],
)
def test_what_a_cell_cannot_ask_for_is_told(magics: ImageGenMagics, line: str, cell: str | None, message: str) -> None:
    """No prompt, or one that is none once it is filled in, options that exclude each other, a place that is none."""
    with pytest.raises(InvalidRequestError, match=re.escape(message)) as caught:
        magics._run(line, cell, None)
    assert str(caught.value).count("\n") <= 1
    assert len(str(caught.value)) < 400


def test_values_are_inserted_into_options() -> None:
    """Where the line does not say --raw; what is not given is left alone."""
    fill = {"{{q}}": "high", "{{w}}": "64", "{{h}}": "48"}.__getitem__
    assert parse("pic -q {{q}} --size {{w}}x{{h}}", fill).given == {"quality": "high", "size": "64x48"}
    assert parse("pic -q {{q}} --raw", fill).given == {"quality": "{{q}}"}


@pytest.mark.parametrize(
    ("prompt", "end"),
    [
        ("a red fox --size 1536x1024", "--size 1536x1024"),
        ("a red fox -q low --no-wait", "-q low --no-wait"),
        ("a red fox\n--output_format=webp", "--output_format=webp"),
        ("a red fox --", ""),
        ("a fox -- red", ""),
        ("a well-known fox", ""),
        ("the command ls --all", ""),
        ("--size of a fox, --n of them and more", ""),
        ("a fox, -5 degrees", ""),
    ],
)
def test_a_prompt_that_ends_in_options_is_noticed(prompt: str, end: str) -> None:
    """Only where the last words are options of the magic."""
    assert looks_like_options(prompt) == end


def test_braces_in_the_line_stay_as_they_are() -> None:
    """An expression in --save keeps its spaces and quotes, for the interpolation."""
    assert parse("otter --save {{ table['a'] }}-{{n}}.png").save == "{{ table['a'] }}-{{n}}.png"


def test_a_name_is_read_as_python_reads_it() -> None:
    """Two ways to write the same letter are the same name."""
    assert parse("e\u0301toile").name == "\u00e9toile"


def test_a_sessions_default_that_does_not_fit_gives_way() -> None:
    """What nobody typed does not make a cell fail; what the cell itself says does."""
    session = {"stream": True, "partial_images": 0, "output_format": "webp", "output_compression": 80}
    assert complete_given({"output_format": "png"}, session) == {"partial_images": 0, "output_format": "png"}
    with pytest.raises(InvalidRequestError):
        ImageGenerateParams.of({"prompt": "x", **complete_given({"output_compression": 5}, {"output_format": "png"})})


def test_streaming_gives_way_to_what_is_not_streamed() -> None:
    """A session's default does not make a cell fail whose format comes in one piece; what the cell itself says does."""
    session = {"stream": True, "partial_images": 2, "model": "gpt-image-2.6"}
    assert complete_given({"output_format": "gif"}, session).get("stream") is None
    assert complete_given({"output_format": "gif", "stream": True}, session)["stream"] is True
    assert complete_given({"output_format": "png"}, session)["stream"] is True


def test_what_extra_says_counts_as_given() -> None:
    """A session's default does not stand beside it."""
    session = {"stream": True, "partial_images": 2, "output_format": "webp"}
    values = complete_given({"extra": {"stream": False, "n": 3, "seed": 7}}, session)
    assert values == {"stream": False, "output_format": "webp", "n": 3, "extra": {"seed": 7}}


def test_the_line_form_is_cut_at_its_dashes() -> None:
    """What stands before -- are options, what stands after it is the prompt, further dashes included."""
    assert split_prompt("otter -n 2 -- a -- b --size x") == ("otter -n 2", "a -- b --size x")
    assert split_prompt("-- x") == ("", "x")
    assert split_prompt("otter a prompt") == ("otter a prompt", None)


@pytest.mark.parametrize(
    ("given_values", "sent"),
    [
        ({}, {"stream": True, "partial_images": 2}),
        ({"partial_images": 3}, {"stream": True, "partial_images": 3}),
        ({"stream": False}, {"stream": False}),
        ({"partial_images": 0}, {"partial_images": 0}),
        ({"stream": True, "partial_images": 1}, {"stream": True, "partial_images": 1}),
    ],
)
def test_the_sessions_defaults_give_way(given_values: dict[str, Any], sent: dict[str, Any]) -> None:
    """Streaming with two partial images, unless the cell says otherwise in whatever way."""
    values = complete_given(given_values, {"stream": True, "partial_images": 2})
    assert values == sent
    ImageGenerateParams.of({"prompt": "x", **values})


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{color}} sky", "blue sky"),
        ("{{ color.upper() }}{{color}}", "BLUEblue"),
        ("{{ table['a'] }}", "{'b': 1}"),
        ("{{ {'a': {'b': 1}}['a'] }} }}", "{'b': 1} }}"),
        ("{color} $5 {{", "{color} $5 {{"),
        ('{"css": "a{b:c}", "deep": {"x": {}}}', '{"css": "a{b:c}", "deep": {"x": {}}}'),
        ("{{sly}}", "{{color}} {{1/0}}"),
        ("{{ [n for n in (1, 2)] }}", "[1, 2]"),
    ],
)
def test_braces_insert_a_value_once_and_nothing_else_is_special(text: str, filled: str) -> None:
    """Values go in as they are, and are not looked at again; prices, JSON and CSS survive."""
    assert interpolate(text, NAMES) == filled


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{colour}}", "{{colour}}: 'colour' is not defined\nDid you mean color?"),
        ("{{ color + missing }}", "'missing' is not defined"),
        ("{{ 1 + }}", "{{1 +}}: not a Python expression"),
        ("{{}}", "{{}}: not a Python expression"),
        ("{{ 1/0 }}", "{{1/0}}: ZeroDivisionError: division by zero"),
        ("{{ table['x'] }}", "KeyError"),
    ],
)
def test_braces_that_make_no_sense_are_told(text: str, message: str) -> None:
    """A missing name comes with the nearest one."""
    with pytest.raises(InvalidRequestError, match=re.escape(message)):
        interpolate(text, NAMES)


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_double_braces_is_untouched(text: str) -> None:
    """Nothing but `{{` is special."""
    assert interpolate(text, NAMES) == text


@given(st.text())
def test_any_value_can_be_inserted(value: str) -> None:
    """What a value contains does not matter."""
    assert interpolate("<{{value}}>", {"value": value}) == f"<{value}>"


def test_where_to_save_is_known_before_anything_is_sent(tmp_path: Path) -> None:
    """A folder gets the variable's name, a name without an ending gets the format's, and n images are numbered."""
    params = ImageGenerateParams(prompt="x", output_format="jpeg")
    assert save_path(str(tmp_path), "otter", params) == tmp_path / "otter.jpeg"
    assert save_path(str(tmp_path / "a"), "otter", params) == tmp_path / "a.jpeg"
    assert save_path(str(tmp_path / "a.JPG"), "otter", params) == tmp_path / "a.JPG"
    assert save_path("otter v1.5", "otter", params) == tmp_path / "otter v1.5.jpeg"
    assert numbered(tmp_path / "a.jpg", 1, 3) == tmp_path / "a-2.jpg"


@pytest.mark.parametrize(
    ("save", "message"),
    [
        ("no/such/a.png", "the folder .* does not exist"),
        ("a.jpg", "the image will be png"),
        ("", "expected a path"),
        ("x" * 300, "name too long"),
        ("~nobody-of-that-name/a", "home directory"),
        ("a\0b", "expected a path"),
    ],
)
def test_a_place_that_cannot_be_written_is_told(save: str, message: str) -> None:
    """An impossible --save is found before a request is sent."""
    with pytest.raises(InvalidRequestError, match=message):
        save_path(save, "otter", ImageGenerateParams(prompt="x"))


# Where --save writes


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A folder `out` with one below it, beside which nothing is to be written."""
    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "x.png").write_bytes(b"mine")
    return tmp_path


def saved(magics: ImageGenMagics, line: str, **names: Any) -> Path | None:
    magics.shell.push(names)
    run = magics._run(line, "A red house", None)
    return run.save if run else None


@pytest.mark.parametrize(
    ("save", "value"),
    [
        ("out/{{nm}}.png", "../y"),
        ("out/{{nm}}.png", "../../y"),
        ("out/{{nm}}.png", "sub/../../y"),
        ("out/{{nm}}", "../y.png"),
        ("out/{{nm}}", ".."),
        ("out/a-{{nm}}.png", "/../../y"),
        ("out/{{nm}}./y.png", "."),
        ("out/sub/{{nm}}.png", "../y"),
        ("{{nm}}.png", "../y"),
        ("{{nm}}.png", "/tmp/y"),
        ("{{nm}}.png", "~root/y"),
        ("./{{nm}}.png", "../y"),
        ("out/{{'sub'}}/{{nm}}.png", "../y"),
        ("{{'out'}}/{{nm}}.png", "../y"),
    ],
)
def test_an_inserted_value_stays_in_the_folder_before_it(
    magics: ImageGenMagics, folders: Path, save: str, value: str
) -> None:
    """A table's row must not write wherever it likes: refused before anything is sent, and the expression is named."""
    with pytest.raises(
        InvalidRequestError, match=r"\{\{nm\}\} leads out of the folder .*\nAn inserted value stays"
    ) as caught:
        saved(magics, f"house --no-stream --save {save}", nm=value)
    assert caught.value.sent is False


@pytest.mark.parametrize(
    ("save", "value", "where"),
    [
        ("out/{{nm}}.png", "y", "out/y.png"),
        ("out/{{nm}}.png", "sub/y", "out/sub/y.png"),
        ("out/{{nm}}.png", "sub/../y", "out/y.png"),
        ("out/{{nm}}.png", "a..b", "out/a..b.png"),
        ("out/{{nm}}", "", "out/house.png"),
        ("{{nm}}.png", "y", "y.png"),
        ("{{nm}}/y.png", "{tmp}/out/sub", "out/sub/y.png"),
        ("{{nm}}/y.png", "out/../out/sub/..", "out/y.png"),
        ("{{nm}}", "{tmp}/out/y.png", "out/y.png"),
        ("out/sub/../{{nm}}.png", "y", "out/y.png"),
    ],
)
def test_what_is_inserted_may_name_files_and_folders(
    magics: ImageGenMagics, folders: Path, save: str, value: str, where: str
) -> None:
    """Below what is written before it, or wherever it likes where it is the folder or the whole path itself."""
    found = saved(magics, f"house --save {save}", nm=value.replace("{tmp}", str(folders)))
    assert os.path.normpath(found) == str(folders / where)


@pytest.mark.parametrize(
    ("options", "exists"),
    [("", "x.png"), ("-n 2", "x-2.png"), ("--no-stream -n 3", "x-3.png"), ("", "x.png/")],
)
def test_a_file_that_exists_is_kept(magics: ImageGenMagics, folders: Path, options: str, exists: str) -> None:
    """It is refused before anything is sent, for each of the names that would be written; --overwrite replaces it."""
    folder = folders / "elsewhere"
    folder.mkdir()
    there = folder / exists.rstrip("/")
    there.mkdir() if exists.endswith("/") else there.write_bytes(b"mine")
    if exists.endswith("/"):
        (there / "house.png").write_bytes(b"mine")
    with pytest.raises(InvalidRequestError, match=r"exists\nAdd --overwrite to replace it, or choose another path\."):
        saved(magics, f"house {options} --save elsewhere/x.png")
    assert saved(magics, f"house {options} --overwrite --save elsewhere/x.png")


def test_a_copy_with_the_settings_is_refused_where_there_is_one(magics: ImageGenMagics, folders: Path) -> None:
    """As the original is, and where there is no original to write."""
    (folders / "x.recipe.png").write_bytes(b"mine")
    assert saved(magics, "house --save x.png")
    with pytest.raises(InvalidRequestError, match=r"'x\.recipe\.png' exists"):
        saved(magics, "house --save x.png --recipe")
    with pytest.raises(InvalidRequestError, match="--recipe needs --save"):
        saved(magics, "house --recipe")


def test_a_file_that_comes_into_being_meanwhile_is_kept(tmp_path: Path) -> None:
    """Between the look and the image: what is there stays, and no rest is left."""
    path = tmp_path / "x.png"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        write_atomic(path, b"new", replaces=False)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("x.png", b"mine")]
    write_atomic(path, b"new")
    write_atomic(tmp_path / "y.png", b"another", 0o644, replaces=False)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {"x.png": b"new", "y.png": b"another"}
    assert (tmp_path / "y.png").stat().st_mode & 0o777 == 0o644


# What a prompt and a line may hold

EVIL = "a \x1b[31mred\x1b]0;x\x07 \x9b2J fox\u202e txt"


def test_a_dry_run_shows_what_would_be_sent_and_controls_no_terminal(
    magics: ImageGenMagics, capsys: pytest.CaptureFixture[str]
) -> None:
    """The JSON says the same, with everything escaped that does something to a terminal or to the text around it."""
    magics.shell.push({"evil": EVIL})
    magics.imagegen("--dry-run", "{{evil}} größe 🦦\nand a line --size \x1b[1m")
    shown = capsys.readouterr().out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown)
    assert "größe 🦦" in shown
    body = shown[shown.index("{") : shown.rindex("}") + 1]
    assert json.loads(body)["prompt"].startswith(EVIL)


@pytest.mark.parametrize("line", ["--\x1b[31mx", "\x1b[31m x", "-n \x1b[31m", "--save \x1b[31m/x"])
def test_a_mistake_in_a_line_controls_no_terminal(magics: ImageGenMagics, line: str) -> None:
    """What is wrong is shown, and does nothing."""
    with pytest.raises(InvalidRequestError) as caught:
        magics._run(line, "A house", None)
    assert not re.search("[\x1b\x9b\u202e]", str(caught.value))
