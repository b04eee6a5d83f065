"""Every notebook runs from top to bottom, offline, and shows its images."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.kernel
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_as_it_is(path: Path, tmp_path: Path) -> None:
    """No cell fails; each cell that makes images ends as one ordinary image and one line."""
    notebook = nbformat.read(path, 4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    made = [c for c in notebook.cells if c.source.startswith("%%imagegen") and "--dry-run" not in c.source]
    assert made
    for cell in made:
        image, line = cell.outputs
        assert [kind for kind in image.data if kind != "text/plain"] == ["image/jpeg"]
        assert "text/html" in line.data
