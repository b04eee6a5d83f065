"""Take the README's picture: a cell of a real JupyterLab while its image is on its way.

`python tests/browser/picture.py` writes `notebooks/pictures/cell.jpg`.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from lab import Lab, NotebookPage, browser
from PIL import Image

TARGET = Path(__file__).parent.parent.parent / "notebooks" / "pictures" / "cell.jpg"
CELLS = (
    "%load_ext gradient_notebook",
    "%%imagegen otter --size 1536x1024 --quality high\nA cute baby sea otter floating on its back in calm blue water",
)


def take() -> None:
    """Photograph the cell with its second partial image."""
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder)).running() as lab, browser() as chromium:
        lab.write("otter.ipynb", CELLS)
        page = chromium.new_page(viewport={"width": 1000, "height": 900}, device_scale_factor=1.5)
        notebook = NotebookPage(page, lab, "otter.ipynb")
        notebook.run(0)
        notebook.begin(1)
        page.locator(".gradient-picture[data-pictures='2']").wait_for()
        picture = Image.open(io.BytesIO(notebook.cell(1).screenshot(animations="disabled")))
    TARGET.parent.mkdir(exist_ok=True)
    picture.convert("RGB").save(TARGET, quality=85, optimize=True)
    print(TARGET)


if __name__ == "__main__":
    take()
