"""Every notebook runs from top to bottom, offline, and shows its images."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

# Run by each kernel as it starts: nobody waits for the simulator, and nobody looks at its pictures.
FAST = """from gradient_notebook.simulator import Simulator, generations
from gradient_notebook.simulator.painter.noise import Noise
Simulator.default_painter = Noise
generations.SECONDS_PER_IMAGE.update(dict.fromkeys(generations.SECONDS_PER_IMAGE, 0))
"""
NOTEBOOKS = sorted((Path(__file__).parent.parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.kernel
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_as_it_is(path: Path, tmp_path: Path) -> None:
    """No cell fails; each cell that makes images ends as one ordinary image and what is said of it.

    What is saved of widgets, where somebody saves it, is text: no picture, not even a small one.
    """
    startup = tmp_path / "ipython" / "profile_default" / "startup" / "fast.py"
    startup.parent.mkdir(parents=True)
    startup.write_text(FAST)
    notebook = nbformat.read(path, 4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    made = [c for c in notebook.cells if c.source.startswith("%%imagegen") and "--dry-run" not in c.source]
    panels = [c for c in notebook.cells if " = Panel(" in c.source]
    assert made or panels or [c for c in notebook.cells if "sweep(" in c.source]
    for cell in made + panels:
        *view, image, line = cell.outputs
        assert [kind for output in view for kind in output.data] == ["text/plain"] * len(view)  # a closed panel
        assert [kind for kind in image.data if kind != "text/plain"] == ["image/jpeg"]
        assert "text/html" in line.data
    saved = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {})
    assert [model for model in saved.get("state", {}).values() if model.get("buffers")] == []
    assert not panels or len(str(saved)) < 150_000
