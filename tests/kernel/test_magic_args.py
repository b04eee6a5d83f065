"""What a line of options does, and every mistake in it: told in short, before anything is sent."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gradient_notebook.api.models import DEFAULT_MODEL
from gradient_notebook.simulator import Simulator
from gradient_notebook.simulator.validation import IMAGE_MODELS

from .kernel import Cell, Kernel

pytestmark = pytest.mark.kernel

_LOW = "--quality low"

# What each mistake is told stands in `tests/unit/test_magic_args.py`: here that it comes through, wherever it is found.
_MISTAKES = {
    "%%imagegen --size big\nA red house": "size='big': expected auto or WIDTHxHEIGHT in pixels",
    "%%imagegen --siz 1024x1024\nA red house": "Did you mean --size?",
    "%%imagegen --save '{{missing}}.png'\nA red house": "'missing' is not defined",
    "%imagegen house -- A {{colr}} house": "Did you mean color?",
    "%imagegen A red house": "no prompt",
}


def _short(cell: Cell) -> None:
    """Assert that a cell has failed with a few lines, and nothing of our insides."""
    assert cell.status == "error", cell
    lines = [line for text in [*cell.texts, *cell.error] for line in text.splitlines()]
    assert 0 < len(lines) <= 3, cell.said
    assert max(len(line) for line in lines) < 400, cell.said
    assert "gradient_notebook/" not in cell.said
    assert "Traceback" not in cell.said


def _refused(kernel: Kernel, simulator: Simulator, code: str, word: str) -> None:
    kernel.run("color, image, house = 'red', 'before', 'before'")
    cell = kernel.run(code)

    _short(cell)
    assert word in cell.said
    assert kernel.value("image, house") == ("before", "before")
    assert simulator.posts == []
    assert cell.images == cell.views == []


@pytest.mark.parametrize("code", _MISTAKES)
def test_a_mistake_is_told_before_anything_is_sent(kernel: Kernel, simulator: Simulator, code: str) -> None:
    """The message names what is wrong, nothing is sent, nothing lost."""
    _refused(kernel, simulator, code, _MISTAKES[code])


@pytest.mark.parametrize(
    ("form", "awaiting"), [("%%time\n%%imagegen --size big\nA", "on"), ("%imagegen --size big -- A", "off")]
)
def test_a_mistake_is_as_short_whichever_way_it_waits(
    kernel: Kernel, simulator: Simulator, form: str, awaiting: str
) -> None:
    """The same message, whether the cell awaits or waits."""
    kernel.run(f"%autoawait {awaiting}")

    _refused(kernel, simulator, form, "size='big': expected auto or WIDTHxHEIGHT")


@pytest.mark.skipif(os.geteuid() == 0, reason="an administrator writes everywhere")
def test_a_folder_that_cannot_be_written_is_told(kernel: Kernel, simulator: Simulator, tmp_path: Path) -> None:
    """`--save` into a read-only folder is refused before anything is sent."""
    tmp_path.chmod(0o500)

    _refused(kernel, simulator, f"%%imagegen --save {tmp_path}/house.png\nA house", "is not writable")


@pytest.mark.parametrize("options", ["--no-wait --size big", "--dry-run --size big", "--quiet --size big"])
def test_a_mistake_is_told_with_every_flag(kernel: Kernel, simulator: Simulator, options: str) -> None:
    """No flag hides a mistake."""
    _refused(kernel, simulator, f"%%imagegen {options}\nA house", "size='big': expected auto or WIDTHxHEIGHT")


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("os.environ['GRADIENT_MODEL_ACCESS_KEY'] = 'dor_v1_c0ffee'", "refresh token"),
    ],
)
@pytest.mark.parametrize("flag", ["", "--quiet", "--no-wait"])
def test_a_key_or_an_endpoint_that_cannot_be_used_is_told(
    kernel: Kernel, simulator: Simulator, setting: str, word: str, flag: str
) -> None:
    """Settings that cannot be used are found when they are needed: the message says why and never shows the key."""
    kernel.run(f"import os; {setting}; image = 'before'")

    cell = kernel.run(f"%%imagegen {flag}\nA red house")

    _short(cell)
    assert word in cell.said
    assert "c0ffee" not in json.dumps(cell.outputs)
    assert kernel.value("image") == "before"
    assert simulator.requests == []


def test_a_server_that_is_not_there_is_told(kernel: Kernel, simulator: Simulator) -> None:
    """The message names the address, and says that there is no image for all the attempts."""
    simulator.stop()
    kernel.run("%config ImageGen.max_retries = 1\nimage = 'before'")

    cell = kernel.run("%%imagegen\nA red house")

    assert cell.status == "error"
    assert len(cell.said.splitlines()) <= 3, cell.said
    assert f"Could not reach the service at {simulator.url}" in cell.said
    assert "No image was generated. Tried 2 times." in cell.said
    assert kernel.value("image") == "before"


def test_an_unknown_model_is_told_with_those_that_there_are(kernel: Kernel, simulator: Simulator) -> None:
    """Which models exist only the service knows: it is asked when it refuses one."""
    cell = kernel.run("%%imagegen --model gpt-imagine\nA red house")

    assert cell.status == "error"
    assert len(cell.said.splitlines()) <= 3, cell.said
    assert all(name in cell.said for name in IMAGE_MODELS)
    assert [request.method for request in simulator.requests] == ["POST", "GET"]


def test_a_bug_of_ours_shows_its_whole_traceback(kernel: Kernel) -> None:
    """What is no mistake of the person's keeps its whole traceback."""
    kernel.run("import gradient_notebook.jobs.job as job_module; whole = job_module.Job._start")
    kernel.run("def broken(self): raise ZeroDivisionError('a bug')\njob_module.Job._start = broken")

    cell = kernel.run("%%imagegen\nA red house")
    kernel.run("job_module.Job._start = whole")

    assert cell.status == "error"
    assert "ZeroDivisionError: a bug" in cell.said
    assert "in broken(self)" in cell.said


def test_a_dry_run_shows_the_very_request_and_sends_nothing(kernel: Kernel, simulator: Simulator) -> None:
    """`--dry-run` prints the JSON that would be sent and an estimate; the real run then sends just that."""
    options = f"house --model {DEFAULT_MODEL} --size 1536x1024 -q low -f webp --output-compression 40 --extra seed=7"
    dry = kernel.run(f"%%imagegen {options} --dry-run\nA red \u201chouse\u201d & {{{{6 * 7}}}} trees")

    assert (dry.status, dry.views, dry.images) == ("ok", [], [])
    assert simulator.requests == []
    assert kernel.value("'house' in globals()") is False
    first, *lines, last = dry.printed.splitlines()
    assert first == "POST /v1/images/generations"
    assert "Nothing was sent" in last
    assert "about 600 output tokens" in last
    assert lines.pop().startswith(f"Note: {DEFAULT_MODEL} was announced to end")

    kernel.run(f"%%imagegen {options}\nA red \u201chouse\u201d & {{{{6 * 7}}}} trees")

    assert json.loads("\n".join(lines)) == simulator.posts[0].body
    assert simulator.posts[0].body["prompt"] == "A red \u201chouse\u201d & 42 trees"
    assert simulator.posts[0].body["seed"] == 7


def test_only_double_braces_are_special(kernel: Kernel, simulator: Simulator) -> None:
    """JSON, CSS, prices and shell variables survive, and a value is inserted once."""
    kernel.run("value = '{{other}} $HOME'")

    kernel.run('%%imagegen -q low\n{"a": {"b": 1}} p { color: red } $5 $value {value} {{value}}')

    assert simulator.posts[0].body["prompt"] == '{"a": {"b": 1}} p { color: red } $5 $value {value} {{other}} $HOME'


def test_a_line_is_no_more_special_than_a_body(kernel: Kernel, simulator: Simulator) -> None:
    """The line form's prompt is left alone by IPython's own `{x}` and `$x`, too."""
    kernel.run("value = 1")

    kernel.run("%imagegen -q low -- A {value} for $5 or $value -- and more")

    assert simulator.posts[0].body["prompt"] == "A {value} for $5 or $value -- and more"


def test_raw_sends_the_braces(kernel: Kernel, simulator: Simulator) -> None:
    """`--raw` sends the prompt as it is."""
    kernel.run(f"%%imagegen --raw {_LOW}\nA {{{{color}}}} house")

    assert simulator.posts[0].body["prompt"] == "A {{color}} house"


def test_a_name_can_be_any_identifier(kernel: Kernel) -> None:
    """Letters of every language are allowed in NAME."""
    kernel.run(f"%%imagegen größe_2 {_LOW}\nA red house")

    assert kernel.value("größe_2.size") == (1024, 1024)


def test_save_writes_the_bytes_that_came(kernel: Kernel, tmp_path: Path) -> None:
    """`--save` writes the original file, the same that the archive has; `{{ }}` works in the path."""
    kernel.run("color = 'red'")

    cell = kernel.run(f"%%imagegen {_LOW} --save '{tmp_path}/a {{{{color}}}} house.png'\nA house")

    assert cell.status == "ok", cell
    saved = (tmp_path / "a red house.png").read_bytes()
    assert saved == Path(kernel.value("image.filename")).read_bytes()
    assert saved in [path.read_bytes() for path in kernel.originals]
    assert list(tmp_path.iterdir()) == [tmp_path / "a red house.png"]


def test_save_numbers_several_images(kernel: Kernel, tmp_path: Path) -> None:
    """Images of one cell are saved beside one another, in the order of the list."""
    kernel.run(f"%%imagegen houses -n 3 {_LOW} -f jpeg --save {tmp_path}/house.jpeg\nA house")

    names = kernel.value("[house.filename for house in houses]")
    saved = [tmp_path / f"house-{number}.jpeg" for number in (1, 2, 3)]
    assert sorted(tmp_path.iterdir()) == saved
    assert [path.read_bytes() for path in saved] == [Path(name).read_bytes() for name in names]


def test_save_writes_a_copy_with_the_settings_inside(kernel: Kernel, tmp_path: Path) -> None:
    """Beside the original, which stays as it came; `read_recipe` gives them back."""
    cell = kernel.run(f"%%imagegen {_LOW} --save {tmp_path}/house.png --recipe\nA house")

    assert cell.status == "ok", cell
    assert (tmp_path / "house.png").read_bytes() == Path(kernel.value("image.filename")).read_bytes()
    kernel.run(f"from gradient_notebook import read_recipe\nfound = read_recipe('{tmp_path}/house.recipe.png')")
    assert kernel.value("(found.prompt, found.quality)") == ("A house", "low")


@pytest.mark.parametrize(("save", "name"), [("", "house.webp"), ("/", "house.webp"), ("/x", "x.webp")])
def test_save_completes_the_name(kernel: Kernel, tmp_path: Path, save: str, name: str) -> None:
    """A folder gets a file with the variable's name; a missing suffix is added."""
    kernel.run(f"%%imagegen house {_LOW} -f webp --save {tmp_path}{save}\nA house")

    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_save_works_in_the_background(kernel: Kernel, tmp_path: Path) -> None:
    """A job of `--no-wait` saves when it is done."""
    cell = kernel.run(f"%%imagegen house {_LOW} --no-wait --save {tmp_path}/house.png\nA house")
    kernel.wait_for(lambda: cell.images)

    assert [path.name for path in tmp_path.iterdir()] == ["house.png"]


def test_save_that_fails_at_the_end_loses_nothing(
    kernel: Kernel, simulator: Simulator, paint: Callable[[int], None], tmp_path: Path
) -> None:
    """If the folder is gone when the image comes, a line says so, and the variable holds the image."""
    folder = tmp_path / "gone"
    folder.mkdir()
    cell = kernel.start(f"%%imagegen {_LOW} --save {folder}/house.png\nA house")
    kernel.wait_for(lambda: simulator.posts)
    folder.rmdir()
    paint(3)
    kernel.wait(cell)

    assert cell.status == "ok", cell
    assert any("failed" in text and "image holds the image" in text for text in cell.texts), cell
    assert kernel.value("image.size") == (1024, 1024)


def test_models_lists_what_the_service_offers(kernel: Kernel, simulator: Simulator) -> None:
    """`%imagegen_models` is a table of the image models, with which one is used, and why."""
    (table,) = kernel.run("%imagegen_models").outputs
    head, *lines = table["data"]["text/plain"].splitlines()

    assert head.split() == ["Model", "Family", "Ends", "Used"]
    assert {line.split()[0] for line in lines} == set(IMAGE_MODELS)
    assert [line.split("  ")[0] for line in lines if "yes: GRADIENT_IMAGE_MODEL" in line] == ["openai-gpt-image-2"]
    assert table["data"]["text/html"].count("<tr") == 1 + len(IMAGE_MODELS)
    assert simulator.posts == []


def test_models_fails_as_shortly(kernel: Kernel, simulator: Simulator) -> None:
    """Without a server `%imagegen_models` says so in two lines."""
    simulator.stop()

    _short(kernel.run("%imagegen_models"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%imagegen_history --limit 3", "%imagegen_history: --limit: no such option"),
        ("%imagegen_history 'red", "%imagegen_history: No closing quotation"),
        ("%imagegen_panel a sea otter", "%imagegen_panel: unexpected argument 'sea'"),
        ("%imagegen_panel --siz 3", "%imagegen_panel: --siz: no such option\nDid you mean --size?"),
        ("%imagegen_panel -q hihg", "quality='hihg': did you mean high?"),
        ("%imagegen_models all", "%imagegen_models: unexpected argument 'all'"),
        ("%imagegen_models --all", "%imagegen_models: --all: no such option"),
        ("%imagegen_login --keep", "--keep: no such option"),
        ('%imagegen --extra {"seed": 5} -- x', "Quote it as a whole: --extra '{\"seed\": 7}'"),
    ],
)
def test_each_magic_says_what_is_wrong_in_its_own_name(
    kernel: Kernel, simulator: Simulator, line: str, said: str
) -> None:
    """And what to do, on a line or two."""
    cell = kernel.run(line)

    assert cell.status == "error"
    assert said in cell.said
    assert len(cell.said.splitlines()) <= 2, cell.said
    assert simulator.posts == []


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize(
    ("magic", "words"),
    [
        ("imagegen", "--output-compression"),
        ("imagegen_panel", "--output-compression"),
        ("imagegen_history", "--outcome"),
        ("imagegen_models", "which one is used"),
        ("imagegen_login", "--keyring"),
    ],
)
def test_each_magic_has_help(kernel: Kernel, simulator: Simulator, magic: str, words: str, option: str) -> None:
    """Printed, and nothing else is done."""
    cell = kernel.run(f"%{magic} {option}")

    assert cell.status == "ok"
    assert words in cell.printed
    assert simulator.requests == []


def test_options_go_on_behind_a_backslash(kernel: Kernel, simulator: Simulator) -> None:
    """As in a shell; what follows is the prompt."""
    kernel.run("%%imagegen cat \\\n  --size 1536x1024 \\\n  -q low\nA cat\non a mat")

    (post,) = simulator.posts
    assert (post.body["size"], post.body["quality"], post.body["prompt"]) == ("1536x1024", "low", "A cat\non a mat")


def test_comments_may_stand_above_the_magic(kernel: Kernel, simulator: Simulator) -> None:
    """They are no part of the prompt, which keeps its own; of code there it is said where it belongs."""
    assert kernel.run(f"# draft\n\n# 2\n%%imagegen {_LOW}\n# a red house\nin the snow").status == "ok"
    assert [post.body["prompt"] for post in simulator.posts] == ["# a red house\nin the snow"]
    for above in ("x = 1", "%load_ext gradient_notebook", "def f():\n    return 1\n"):
        below = kernel.run(f"# draft\n{above}\n%%imagegen {_LOW}\nA red house")
        _short(below)
        assert "%%imagegen begins its cell" in below.said
    assert kernel.run('text = """\n%%imagegen\n"""').status == "ok"
    assert kernel.run("# no magic\nx = 1\n# %%imagegen\n").status == "ok"


def test_what_is_probably_a_mistake_is_done_and_noted(kernel: Kernel, simulator: Simulator) -> None:
    """Options behind the prompt are part of it; a function of Python's can be overwritten."""
    cell = kernel.run(f"%%imagegen print {_LOW}\nA red fox --size 1536x1024")

    assert cell.status == "ok"
    assert simulator.posts[0].body["prompt"] == "A red fox --size 1536x1024"
    assert "looks like options (--size 1536x1024)" in cell.said
    assert "`del print` brings it back" in cell.said


def test_options_take_values_from_the_notebook(kernel: Kernel, simulator: Simulator) -> None:
    """In braces, as the prompt does; a name that does not exist is told before anything is sent."""
    kernel.run("quality, width = 'low', 1536")
    kernel.run("%%imagegen pic -q {{quality}} --size {{width}}x1024\nA fox")

    assert (simulator.posts[0].body["quality"], simulator.posts[0].body["size"]) == ("low", "1536x1024")
    assert "Did you mean quality?" in kernel.run("%%imagegen pic -q {{qualty}}\nA fox").said
    assert len(simulator.posts) == 1


def test_help_shows_every_option(kernel: Kernel) -> None:
    """`%imagegen?` has what the declaration says."""
    cell = kernel.run("%imagegen?")

    assert cell.reply
    text = cell.reply["payload"][0]["data"]["text/plain"]
    assert all(option in text for option in ("--size", "--output-compression", "--no-stream", "--dry-run", "--save"))


def test_config_lists_each_setting_with_its_help(kernel: Kernel) -> None:
    """`%config ImageGen` shows the parameters, what they allow, and their values."""
    printed = kernel.run("%config ImageGen").printed

    for name in ("model", "size", "quality", "background", "output_format", "partial_images", "archive", "preview_px"):
        assert f"ImageGen.{name}=" in printed
    words = " ".join(printed.split())
    assert "text such as auto, max, xhigh, high, medium, low" in words
    assert "Higher quality takes more time and more tokens." in words


def test_config_sets_a_default_for_the_session(kernel: Kernel, simulator: Simulator) -> None:
    """A session's default is sent with each request; an option wins over it."""
    assert kernel.run("%config ImageGen.quality = 'low'").outputs == []

    kernel.run("%%imagegen\nA house")
    kernel.run("%%imagegen --quality medium\nA house")

    assert [post.body["quality"] for post in simulator.posts] == ["low", "medium"]


@pytest.mark.parametrize(
    ("setting", "option"), [("quality = 'hihg'", "--quality hihg"), ("partial_images = -1", "-p=-1")]
)
def test_config_refuses_a_wrong_value_in_the_same_words(kernel: Kernel, setting: str, option: str) -> None:
    """A wrong default is refused at once, with the message that the option gives, and changes nothing."""
    name = setting.split(maxsplit=1)[0]
    before = kernel.value(f"get_ipython().magics_manager.registry['ImageGenMagics'].settings.{name}")

    refused = kernel.run(f"%config ImageGen.{setting}").said
    words = kernel.run(f"%%imagegen {option}\nA house").said.splitlines()[0]

    assert words in refused
    assert len(refused.splitlines()) <= 3, refused
    assert kernel.value(f"get_ipython().magics_manager.registry['ImageGenMagics'].settings.{name}") == before


def test_config_that_was_refused_leaves_nothing_behind(kernel: Kernel) -> None:
    """After a wrong value the extension can be loaded again."""
    kernel.run("%config ImageGen.quality = 'hihg'")

    assert kernel.run("%reload_ext gradient_notebook").error == []
    assert kernel.run("%%imagegen\nA house").status == "ok"


def test_config_without_an_archive_keeps_nothing(kernel: Kernel) -> None:
    """`%config ImageGen.archive = False`: no file is left anywhere."""
    kernel.run("%config ImageGen.archive = False")
    before = sorted(kernel.folder.rglob("*.png"))

    kernel.run(f"%%imagegen {_LOW}\nA house")

    assert kernel.value("image.size") == (1024, 1024)
    assert sorted(kernel.folder.rglob("*.png")) == before


def test_config_moves_the_archive(kernel: Kernel, tmp_path: Path) -> None:
    """`%config ImageGen.archive_dir` is where originals and the ledger go, readable by their owner only."""
    kernel.run(f"%config ImageGen.archive_dir = '{tmp_path}/kept'")

    kernel.run(f"%%imagegen {_LOW}\nA house")

    (kept,) = (tmp_path / "kept" / "originals").iterdir()
    assert kernel.value("image.filename") == str(kept)
    everything = [tmp_path / "kept", *(tmp_path / "kept").rglob("*")]
    assert tmp_path / "kept" / "ledger.sqlite" in everything
    assert [path for path in everything if path.stat().st_mode & 0o077] == []


def test_a_full_disk_is_no_loss(kernel: Kernel, tmp_path: Path) -> None:
    """An archive that cannot be written is told in a box; the image is in the variable all the same."""
    (tmp_path / "file").write_text("no folder")
    kernel.run(f"%config ImageGen.archive_dir = '{tmp_path}/file/kept'")

    cell = kernel.run(f"%%imagegen {_LOW}\nA house")

    assert cell.status == "ok", cell
    assert any("Nothing is kept" in text for text in cell.texts), cell
    assert kernel.value("image.size") == (1024, 1024)


def test_config_debug_shows_whole_tracebacks(kernel: Kernel) -> None:
    """`%config ImageGen.debug = True` shows mistakes in full, until it is set back."""
    kernel.run("%config ImageGen.debug = True")
    assert len(kernel.run("%%imagegen --size big\nA house").error) > 3

    kernel.run("%config ImageGen.debug = False")
    _short(kernel.run("%%imagegen --size big\nA house"))
