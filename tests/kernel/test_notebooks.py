"""Every notebook runs from top to bottom, offline, and shows its images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

# Run by each kernel as it starts: nobody waits for the simulator, and nobody looks at its pictures.
FAST = """from gradient_notebook.simulator import Simulator, generations
from gradient_notebook.simulator.painter.noise import Noise
Simulator.default_painter = Noise
generations.Generations._until = lambda self, *_: self.pause(0)
"""
NOTEBOOKS = sorted((Path(__file__).parent.parent.parent / "notebooks").glob("*.ipynb"))


FAILS = "raises-exception"
"""The tag of cells that fail on purpose: JupyterLab and nbclient go on behind them."""
ANSWER = "# Your answer:\n"


def executed(notebook: NotebookNode, folder: Path, **options: Any) -> NotebookNode:
    """Return the notebook as it is after it has run in an empty folder."""
    startup = folder / "ipython" / "profile_default" / "startup" / "fast.py"
    startup.parent.mkdir(parents=True)
    startup.write_text(FAST)
    resources = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=120, resources=resources, **options).execute()


def failures(cell: NotebookNode) -> list[str]:
    """Return what a cell has raised, by its class."""
    return [output.ename for output in cell.get("outputs", ()) if output.output_type == "error"]


@pytest.mark.kernel
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_as_it_is(path: Path, tmp_path: Path) -> None:
    """No cell fails but those that say so; each other cell that makes images ends as one ordinary image and its line.

    What is saved of widgets, where somebody saves it, is text: no picture, not even a small one.
    """
    notebook = executed(nbformat.read(path, 4), tmp_path)
    on_purpose = [cell for cell in notebook.cells if FAILS in cell.metadata.get("tags", ())]
    assert [cell.source for cell in on_purpose if not failures(cell)] == []
    made = [c for c in notebook.cells if c.source.startswith("%%imagegen") and "--dry-run" not in c.source]
    panels = [c for c in notebook.cells if " = Panel(" in c.source]
    assert made or panels or [c for c in notebook.cells if "sweep(" in c.source]
    for cell in [cell for cell in made + panels if cell not in on_purpose]:
        *view, image, line = cell.outputs
        assert [kind for output in view for kind in output.data] == ["text/plain"] * len(view)  # a closed panel
        assert [kind for kind in image.data if kind != "text/plain"] in (["image/jpeg"], ["image/png"])
        assert "text/html" in line.data
    saved = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {})
    assert [model for model in saved.get("state", {}).values() if model.get("buffers")] == []
    assert not panels or len(str(saved)) < 200_000  # what there is of it is code


@pytest.mark.kernel
def test_the_solutions_of_the_lecture_are_right(tmp_path: Path) -> None:
    """Each, written into its answer, passes its check."""
    path = next(path for path in NOTEBOOKS if path.stem.endswith("lecture"))
    lecture = nbformat.read(path, 4)
    told = next(cell.source for cell in lecture.cells if cell.source.startswith("## Solutions"))
    solutions = re.findall(r"```python\n(.*?)```", told, re.DOTALL)
    answers = [number for number, cell in enumerate(lecture.cells) if ANSWER.strip() in cell.source]
    assert len(solutions) == len(answers) > 3
    cells = [cell for cell in lecture.cells if cell.cell_type == "code"][:2]
    for number, solution in zip(answers, solutions, strict=True):
        answer, check = lecture.cells[number : number + 2]
        answer.source += f"\n{solution}"
        del check.metadata["tags"]
        cells += [answer, check]
    lecture.cells = cells
    executed(lecture, tmp_path)
    assert [cell.outputs[-1].text for cell in cells[3::2]] == ["Right.\n"] * len(answers)


GRADED = (
    "from gradient_notebook import testing\n%load_ext gradient_notebook",
    "service = testing.use_simulator(seed=1)",
    "%%imagegen foxes -n 2 --quality low\nA red fox",
    """# The answer has two foxes.
### BEGIN HIDDEN TESTS
testing.assert_requested(prompt="fox", n=2, quality="low", times=1)
### END HIDDEN TESTS""",
    """testing.assert_tokens_below(500)""",
)


@pytest.mark.kernel
def test_a_hidden_check_passes_or_fails_with_one_sentence(tmp_path: Path) -> None:
    """As nbgrader executes a submission: it goes on behind errors, and a check's points go by its cell's error."""
    submission = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in GRADED])
    executed(submission, tmp_path, allow_errors=True)
    *right, wrong = submission.cells
    assert [failures(cell) for cell in right] == [[]] * len(right)
    assert failures(wrong) == ["AssertionError"]
    assert wrong.outputs[0].traceback == [f"AssertionError: {wrong.outputs[0].evalue}"]
