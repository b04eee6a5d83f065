"""Loading and unloading the extension, what they leave behind, and completion in a kernel."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradient_notebook.simulator import Simulator

from .kernel import Kernel

pytestmark = pytest.mark.kernel

_STATE = """\
def state():
    shell = get_ipython()
    magics = {kind: sorted(names) for kind, names in shell.magics_manager.magics.items()}
    [shell.find_magic(name, kind) for kind, names in magics.items() for name in names]  # some are loaded when asked for
    return {
        "magics": magics,
        "registry": sorted(shell.magics_manager.registry),
        "configurables": [type(each).__name__ for each in shell.configurables],
        "transformers": [
            [str(each) for each in found]
            for found in (
                shell.input_transformers_post,
                shell.input_transformer_manager.cleanup_transforms,
                shell.input_transformer_manager.line_transforms,
                shell.input_transformer_manager.token_transformers,
            )
        ],
        "events": {name: [str(each) for each in found] for name, found in shell.events.callbacks.items()},
        "matchers": [str(each) for each in shell.Completer.custom_matchers],
        "names": sorted(name for name in shell.user_ns if not name.startswith("_")),
    }
"""


@pytest.fixture
def fresh(start_kernel: Callable[..., Kernel], simulator: Simulator) -> Kernel:
    """A kernel that has not loaded the extension, and knows `state()`."""
    kernel = start_kernel(simulator)
    kernel.run(_STATE)
    return kernel


@pytest.mark.compat
def test_unloading_undoes_all_that_loading_did(fresh: Kernel) -> None:
    """Magics, completion, transformers, events and settings are as before; loading again gives all of them back."""
    before = fresh.value("state()")
    fresh.run("%load_ext gradient_notebook")
    loaded = fresh.value("state()")
    fresh.run("%config ImageGen.quality = 'low'\n%config ImageGen.debug = True")
    assert fresh.run("%%imagegen\nA house").status == "ok"
    fresh.run("del image")

    assert fresh.run("%unload_ext gradient_notebook").outputs == []

    assert fresh.value("state()") == before
    assert "not found" in fresh.run("%%imagegen\nA house").said
    assert "`%imagegen_models` not found" in fresh.run("%imagegen_models").said
    assert fresh.completions("%%imagegen --si") == []
    assert fresh.run("%load_ext gradient_notebook").outputs == []
    again = fresh.value("state()")
    for name in ("magics", "registry", "configurables", "names"):
        assert again[name] == loaded[name]
    for name in ("matchers", "events", "transformers"):
        assert str(again[name]).count("magic") == str(loaded[name]).count("magic")
    ours = fresh.value("hasattr(__import__('IPython.core.completer').core.completer, 'context_matcher')")
    assert len(again["matchers"]) == len(loaded["matchers"]) == len(before["matchers"]) + ours
    assert fresh.run("%%imagegen\nA house").status == "ok"


def test_reloading_is_unloading_and_loading(kernel: Kernel, simulator: Simulator) -> None:
    """`%reload_ext` leaves one of each."""
    for _ in range(2):
        assert kernel.run("%reload_ext gradient_notebook").outputs == []

    shell = "get_ipython()"
    assert kernel.value(f"len([each for each in {shell}.configurables if type(each).__name__ == 'ImageGen'])") == 1
    assert kernel.value(f"len({shell}.Completer.custom_matchers)") == 1
    assert kernel.value(f"len({shell}.input_transformers_post)") == 1
    assert kernel.run("%%imagegen --quality low\nA house").status == "ok"
    assert len(simulator.posts) == 1


def test_loading_twice_is_said_by_ipython_and_changes_nothing(kernel: Kernel, simulator: Simulator) -> None:
    """A second `%load_ext` adds nothing."""
    assert "already loaded" in kernel.run("%load_ext gradient_notebook").printed

    assert kernel.value("len(get_ipython().Completer.custom_matchers)") == 1
    kernel.run("%%imagegen --quality low\nA house")
    assert len(simulator.posts) == 1


LOADED = "loaded = sorted(set(sys.modules) - before)"


def test_loading_loads_no_heavy_library(fresh: Kernel) -> None:
    """`%load_ext` loads no widget code, no HTTP and no Pillow beyond what the kernel had; nor jobs and their disk."""
    fresh.run("import sys; before = set(sys.modules)")

    fresh.run(f"%load_ext gradient_notebook\n{LOADED}")

    loaded = set(fresh.value("loaded"))
    ours = {name.removeprefix("gradient_notebook.").split(".")[0] for name in loaded if name.startswith("gradient_")}
    assert {"notebook", "session", "connect"} <= ours
    unwanted = {"anywidget", "ipywidgets", "httpx", "httpcore", "PIL", "numpy", "ssl", "nest_asyncio2", "tornado"}
    assert unwanted & {name.split(".")[0] for name in loaded} == set()
    unused = {"history", "recording", "imaging", "clients", "simulator", "testing"}
    assert unused & ours == set()
    assert {"jobs.job", "storage.archive", "storage.ledger", "notebook.cell_run"} & {
        name.removeprefix("gradient_notebook.") for name in loaded
    } == set()


def test_loading_starts_nothing(fresh: Kernel, simulator: Simulator) -> None:
    """`%load_ext` itself starts no thread, and says nothing where a key is set."""
    fresh.run("import threading; before = threading.active_count()")

    assert fresh.run("%load_ext gradient_notebook\nstarted = threading.active_count() - before").outputs == []

    assert fresh.value("started") == 0
    assert simulator.requests == []


def test_what_a_card_needs_is_loaded_between_cells(fresh: Kernel) -> None:
    """After the cell that loads the extension a thread loads it, and ends; the first card has nothing left to load."""
    fresh.run("import sys, threading; before = set(sys.modules)")
    fresh.run("%load_ext gradient_notebook")

    fresh.wait_for(lambda: not fresh.value("[t.name for t in threading.enumerate() if 'preloading' in t.name]"))

    fresh.run(f"{LOADED}; before = set(sys.modules)")
    assert {"ipywidgets", "anywidget", "PIL.Image", "httpx", "gradient_notebook.jobs.job"} <= set(fresh.value("loaded"))
    assert fresh.run("%%imagegen --quality low\nA house").outputs
    fresh.run(LOADED)
    assert {name for name in fresh.value("loaded") if name.startswith(("ipywidgets", "anywidget", "httpx"))} == set()


@pytest.mark.parametrize("first_line", ["%%imagegen house", "%imagegen house"])
def test_tab_completes_options(kernel: Kernel, first_line: str) -> None:
    """Option names are completed on the line of either form."""
    assert kernel.completions(f"{first_line} --si") == ["--size"]
    assert set(kernel.completions(f"{first_line} --output-")) == {"--output-format", "--output-compression"}
    assert {"--no-wait", "--no-stream"} <= set(kernel.completions(f"{first_line} --no-"))
    assert kernel.completions(f"{first_line} --zebra") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--quality ", ["auto", "high", "medium", "low"]),
        ("--quality l", ["low"]),
        ("-q m", ["medium"]),
        ("--quality=h", ["high"]),
        ("--output-format w", ["webp"]),
        ("--output_format w", ["webp"]),
        ("--model gpt-image-1 -s 10", ["1024x1024", "1024x1536"]),
        ("-m gpt-image-2 --size=38", ["3840x2160"]),
        ("--model=gpt-image-2.5-fast -q x", ["xhigh"]),
        ("-m gpt-image-2.6 -f g", ["gif"]),
    ],
)
def test_tab_completes_allowed_values(kernel: Kernel, line: str, expected: list[str]) -> None:
    """After an option come the values that the model takes, and nothing else."""
    assert kernel.completions(f"%%imagegen house {line}") == expected


def test_tab_completes_variables_within_braces(kernel: Kernel) -> None:
    """Within `{{` the person's variables are completed, and their attributes."""
    kernel.run("import datetime\ncolor_of_walls, color_of_roof = 'red', 'blue'")

    assert kernel.completions("%%imagegen\nA {{color_of") == ["color_of_roof", "color_of_walls"]
    assert kernel.completions("%imagegen -- A {{ color_of_w") == ["color_of_walls"]
    assert any("timedelta" in match for match in kernel.completions("%%imagegen\nA {{datetime.timed"))


def test_a_completion_replaces_just_the_word(kernel: Kernel) -> None:
    """What is offered takes the place of the word that is being written."""
    kernel.run("color = 'red'")
    for code, begins in [("%%imagegen --si", 11), ("%%imagegen --quality=h", 21), ("%%imagegen\nA {{col", 15)]:
        message_id = kernel.client.complete(code, len(code))
        kernel.wait_for(lambda message_id=message_id: message_id in kernel.replies)
        reply = kernel.replies[message_id]
        assert (reply["cursor_start"], reply["cursor_end"]) == (begins, len(code)), code


@pytest.mark.parametrize(
    "code", ["--si", "x = '%%imagegen'\n--si", "%%timeit\n--si", "print(--si", "%%imagegen_models --si"]
)
def test_tab_is_left_alone_outside_of_our_cells(kernel: Kernel, code: str) -> None:
    """Nothing of ours is offered in other cells."""
    assert "--size" not in kernel.completions(code)


def test_tab_in_other_cells_is_as_before(fresh: Kernel) -> None:
    """What Python and IPython complete by themselves is the same with the extension and without it."""
    codes = ["import o", "%lo", "pri", "state().ke", "%%ti"]
    before = [fresh.completions(code) for code in codes]

    fresh.run("%load_ext gradient_notebook")

    assert [fresh.completions(code) for code in codes] == before


def test_tab_completes_the_names_of_the_magics(kernel: Kernel) -> None:
    """The magics themselves are found by Tab."""
    assert {"%imagegen", "%imagegen_models"} <= set(kernel.completions("%image"))
    assert "%%imagegen" in kernel.completions("%%image")
