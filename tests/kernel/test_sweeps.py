"""`%%imagegen --vary`: the sweep in its variable, the grid while it runs, and what a saved notebook keeps of it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from gradient_notebook.simulator import Simulator

from .kernel import VIEW, Cell, Kernel

pytestmark = pytest.mark.kernel

_VARY = "%%imagegen study --vary quality=low,high --vary animal=@animals --size 1024x1024"
_ANIMALS = 'animals, place = {"F": "fox", "O": "otter"}, "a {{animal}} lake"\n'
_BODY = "A {{animal}} at {{place}}"
_REFUSED = {"status": 400, "body": {"error": {"code": "moderation_blocked", "message": "No."}}}


def prompts(simulator: Simulator) -> list[str]:
    return sorted({post.body["prompt"] for post in simulator.posts})


def pages(cell: Cell) -> list[str]:
    return [output["data"].get("text/html", "") for output in cell.of("display_data")]


def test_a_cell_varies_parameters_and_words_of_its_prompt(kernel: Kernel, simulator: Simulator) -> None:
    """Each combination once; other expressions are inserted once, and what they hold is data; the variable has the sweep."""
    kernel.run(_ANIMALS)

    cell = kernel.run(f"{_VARY}\n{_BODY}")

    assert cell.status == "ok", cell
    assert prompts(simulator) == ["A fox at a {{animal}} lake", "A otter at a {{animal}} lake"]
    assert len(simulator.posts) == 4
    assert kernel.value("[(cell.axes, cell.outcome) for cell in study][:2]") == [
        ({"quality": "low", "animal": "F"}, "done"),
        ({"quality": "low", "animal": "O"}, "done"),
    ]
    assert kernel.value("study.sel(animal='F', quality='high')[0].image.size") == (1024, 1024)
    assert not any(post.body.get("stream") for post in simulator.posts)


def test_a_saved_notebook_shows_the_grid_without_a_kernel(kernel: Kernel) -> None:
    """Behind the widget: its pictures with labels and alternative texts, and a line of totals; 150 kB at most."""
    kernel.run(_ANIMALS)

    cell = kernel.run(f"{_VARY} --repeat 8\n{_BODY}")

    assert len(cell.views) == 1
    (picture, line) = pages(cell)[1:]
    assert picture.count("<img src=") == 32
    assert picture.count('alt="A fox at a {{animal}} lake"') == 16
    assert re.findall(r'scope="row"[^>]*>([^<]*)<', picture) == ["low · F", "low · O", "high · F", "high · O"]
    assert re.findall(r'scope="col"[^>]*>([^<]*)<', picture) == [str(number) for number in range(1, 9)]
    assert "32 of 32 done" in line
    assert len(picture) < 150_000
    state = kernel.comms[cell.views[0]].state
    assert (state["outcomes"], state["state"]["status"]) == ("d" * 32, "done")
    assert not any("base64" in str(value) for name, value in state.items() if not name.startswith("_"))


def test_an_executed_notebook_waits_and_keeps_no_widget(kernel: Kernel) -> None:
    """Where nobody can answer, the cell ends with the sweep, and what stays needs no kernel."""
    for code in (
        f"{_VARY}\nA {{{{animal}}}}",
        "from gradient_notebook import sweep\nsweep('a {{b}}', b=[1, 2], quality='low')",
    ):
        kernel.run(_ANIMALS)
        cell = kernel.wait(kernel.start(code, allow_stdin=False))
        (shown,) = cell.of("display_data")
        assert VIEW not in shown["data"]
        assert re.search(r"(\d) of \1 done", shown["data"]["text/plain"])
        assert "<img" in shown["data"]["text/html"]


_WAITED = "study = sweep('a {{b}}', b=[1, 2], quality='low', size='1024x1024', fresh=True)"


@pytest.mark.parametrize("waits", [".result()", ".result(60)\nstudy", "\nawait study"])
def test_a_cell_that_waits_for_a_sweep_shows_its_grid_once(kernel: Kernel, waits: str) -> None:
    """Though the sweep may be its value, too; behind it stands what has come of it, and nobody waits any more."""
    kernel.run("from gradient_notebook import sweep")
    cell = kernel.run(f"{_WAITED}{waits}")
    assert (cell.status, len(cell.views)) == ("ok", 1)
    state = kernel.comms[cell.views[0]].state
    assert (state["outcomes"], state["awaited"]) == ("dd", False)
    assert any(earlier["awaited"] for earlier in kernel.comms[cell.views[0]].history)
    (picture, line) = pages(cell)[1:]
    assert (picture.count("<img"), "2 of 2 done" in line) == (2, True)
    assert len(kernel.run("study").views) == 1


def test_what_is_displayed_twice_is_there_twice(kernel: Kernel) -> None:
    """So a loop that clears the cell shows it again. Who waits for what the cell shows, or has it as the value, adds none."""
    kernel.run("from gradient_notebook import sweep")
    cell = kernel.run(f"{_WAITED}\ndisplay(study)\ndisplay(study)\nstudy.result()\nstudy")
    assert len(cell.views) == 2
    cell = kernel.wait(kernel.start("display(study)\ndisplay(study)", allow_stdin=False))
    assert len(cell.of("display_data")) == 2


def test_a_grid_that_was_closed_comes_again(kernel: Kernel) -> None:
    """`Widget.close_all()` is what people free memory with."""
    kernel.run("from gradient_notebook import sweep\nfrom ipywidgets import Widget")
    kernel.run(f"{_WAITED}.result()\nWidget.close_all()")
    (model_id,) = kernel.run("study").views
    assert (kernel.comms[model_id].closed, kernel.comms[model_id].state["outcomes"]) == (False, "dd")


def test_who_waits_without_the_extension_sees_nothing(kernel: Kernel) -> None:
    """Nor does a program that executes the notebook get a widget: it gets the pictures, once."""
    kernel.run("from gradient_notebook import sweep")
    cell = kernel.wait(kernel.start(f"{_WAITED}.result()\nstudy", allow_stdin=False))
    (shown,) = cell.of("display_data")
    assert (VIEW in shown["data"], shown["data"]["text/html"].count("<img")) == (False, 2)
    cell = kernel.run(f"%unload_ext gradient_notebook\n{_WAITED}.result()")
    assert (cell.status, cell.outputs) == ("ok", [])


def test_a_part_of_a_sweep_that_runs_fills_by_itself(
    start_kernel: Callable[..., Kernel], slow: Simulator, simulator: Simulator
) -> None:
    """Live while something runs; a part that has ended needs no kernel, and a cell shows as its picture."""
    kernel = start_kernel(slow)
    kernel.run("%load_ext gradient_notebook\nfrom gradient_notebook import sweep")
    kernel.run("study = sweep('a {{b}}', b=[1, 2, 3], quality='low', size='1024x1024')")
    cell = kernel.run("study[:2]")
    (model_id,) = cell.views
    state = kernel.comms[model_id].state
    kernel.run("study.cancel()")
    kernel.wait_for(lambda: state["state"]["status"] == "done")
    kernel.use(simulator)
    kernel.run("study = sweep('a {{b}}', b=[1, 2, 3], quality='low', size='1024x1024'); study._wait()")
    cell = kernel.run("study[:2]")
    (shown,) = cell.of("display_data")
    assert (VIEW in shown["data"], shown["data"]["text/html"].count("<img")) == (False, 2)
    (shown,) = kernel.run("study[2]").of("execute_result")
    assert 'alt="b 3: a 3"' in shown["data"]["text/html"]


def test_a_finished_sweep_is_shown_again_and_nothing_is_sent(kernel: Kernel, simulator: Simulator) -> None:
    """The same cell again takes all from the archive; with --fresh it makes all anew."""
    for options, posts in (("", 2), ("", 2), (" --fresh", 4)):
        cell = kernel.run(f"%%imagegen --vary quality=low,high --size 1024x1024{options}\nA lake")
        assert (cell.status, len(simulator.posts)) == ("ok", posts)


def test_cancel_pause_and_retry_get_through_while_the_cell_waits(
    start_kernel: Callable[..., Kernel], slow: Simulator, simulator: Simulator
) -> None:
    """As the buttons say it; a cell whose sweep is cancelled ends, and Retry makes what was cancelled."""
    kernel = start_kernel(slow)
    kernel.run("%load_ext gradient_notebook")
    cell = kernel.start("%%imagegen s --vary i=a,b,c,d,e --quality low\n{{i}}")
    kernel.wait_for(lambda: cell.views)
    (model_id,) = cell.views
    state = kernel.comms[model_id].state
    for what, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        kernel.send(model_id, {"type": "do", "what": what})
        kernel.wait_for(lambda status=status: state["state"]["status"] == status)
    kernel.wait(cell)
    assert (cell.status, state["outcomes"]) == ("ok", "ccccc")
    kernel.use(simulator)
    # What a sweep sends goes where it was made for: the same one again asks anew where that is.
    cell = kernel.run("%%imagegen s --vary i=a,b,c,d,e --quality low\n{{i}}")
    assert kernel.comms[cell.views[0]].state["outcomes"] == "ddddd"


def test_an_interrupt_cancels_and_says_what_there_is(start_kernel: Callable[..., Kernel], slow: Simulator) -> None:
    """One line; the variable holds the sweep."""
    kernel = start_kernel(slow)
    kernel.run("%load_ext gradient_notebook")
    cell = kernel.start("%%imagegen s --vary i=a,b --quality low\n{{i}}")
    kernel.wait_for(lambda: slow.posts)
    kernel.interrupt()
    kernel.wait(cell)
    assert cell.error == [
        "KeyboardInterrupt: s holds the finished images: 0 of 2. Requests already sent may be billed."
    ]
    assert kernel.value("s.status") == "cancelled"


def test_without_waiting_the_grid_goes_on_by_itself(kernel: Kernel) -> None:
    """The cell ends at once; what stands behind the grid is brought up to date at the end."""
    cell = kernel.run("%%imagegen s --vary quality=low,high --no-wait --size 1024x1024\nA lake")
    kernel.wait_for(lambda: "2 of 2 done" in pages(cell)[2])
    assert pages(cell)[1].count("<img") == 2


def test_failures_are_cells_and_retry_makes_them(kernel: Kernel, simulator: Simulator) -> None:
    """A refusal stands with its reason; the cell itself does not fail."""
    simulator.script([_REFUSED, {"status": 400, "body": {"id": "bad_request", "message": "Not this one."}}])
    cell = kernel.run("%config ImageGen.concurrency = 1\nfrom gradient_notebook import sweep")
    cell = kernel.run("%%imagegen s --vary i=a,b,c --quality low --size 1024x1024\n{{i}}")
    (model_id,) = cell.views
    state = kernel.comms[model_id].state
    assert (cell.status, state["outcomes"], state["state"]["again"]) == ("ok", "xfd", 1)
    assert "refused: " in pages(cell)[1]
    kernel.send(model_id, {"type": "do", "what": "retry"})
    kernel.wait_for(lambda: state["outcomes"] == "xdd")
    kernel.wait_for(lambda: state["state"]["notes"] == ["1 refused, not made again: change their prompts."])


def test_a_dry_run_shows_the_plan(kernel: Kernel, simulator: Simulator) -> None:
    """Also of more than may be made; nothing is sent."""
    cell = kernel.run("%%imagegen --vary i=@range(60) --quality low --dry-run\nA {{i}}")
    assert cell.printed.startswith("60 images to make · ")
    assert cell.printed.endswith("  i 0: A 0\n  i 1: A 1\n  i 2: A 2\nNothing was sent.\n")
    assert simulator.posts == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--vary stile=ink,oil", "--vary stile: no parameter, and no {{stile}} in the prompt\nDid you mean style?"),
        ("--vary style=@styles", "--vary style=@styles: 'styles' is not defined"),
        ("--vary style=@place", "--vary style=@place is str, no list of values"),
        ("--vary style=", "style has no values"),
        ("--vary style=@[]", "style has no values"),
        ("--vary style=ink,,oil", "style: value 2 is empty"),
        ("--vary style", "--vary 'style': no axis"),
        ("--vary style=a --vary style=b", "style is varied twice"),
        ("--vary quality=hihg,low", "quality='hihg'"),
        ("--vary repeat=1,2", "repeat can't be varied"),
        ("--vary n=1,2", "n can't be varied\n--repeat 3 makes three of each."),
        ("--vary style=a,b -n 2", "-n does not go with --vary"),
        ("--quality low --vary quality=low,high", "quality is given twice"),
        ("--vary style=a,b --vary quality=low,high,auto --pair", "pair=True needs axes of one length"),
        ("--vary style=@range(60)", "This would make 60 images"),
        ("--vary style=a,b --save x.png", "--save does not go with --vary"),
        ("--repeat 3", "--repeat works with --vary only\n-n 3 makes three of one prompt."),
        ("--yes", "--yes works with --vary only"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(
    kernel: Kernel, simulator: Simulator, options: str, said: str
) -> None:
    """On a line or two, without a traceback."""
    kernel.run("place = 'here'; style = 'none'")
    body = "A fox" if "vary style" not in options and "stile" not in options else "A fox in {{style}}"
    cell = kernel.run(f"%%imagegen {options}\n{body}")
    assert cell.error
    assert said in "\n".join(cell.error)
    assert len(cell.error) <= 3
    assert simulator.posts == []


def test_tab_completes_axes_and_their_values(kernel: Kernel) -> None:
    """After --vary: the parameters, and the values of one, also after a comma."""
    assert "quality=" in kernel.completions("%%imagegen --vary q")
    assert {"low", "high"} <= set(kernel.completions("%%imagegen --vary quality=low,"))
