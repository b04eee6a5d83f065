"""Take the README's pictures: a cell and a panel of a real JupyterLab while an image is on its way.

`python tests/browser/picture.py` writes `notebooks/pictures/cell.jpg` and `panel.jpg`.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from lab import Lab, NotebookPage, browser
from PIL import Image
from playwright.sync_api import Locator

FOLDER = Path(__file__).parent.parent.parent / "notebooks" / "pictures"
OTTER = "A cute baby sea otter floating on its back in calm blue water"
CELLS = (
    "%load_ext gradient_notebook",
    f"%%imagegen otter --size 1536x1024 --quality high\n{OTTER}",
    "%imagegen_panel valley --size 1536x1024 --quality low",
)
EARLIER = ("A lighthouse by the sea at dusk", OTTER, "A forest in autumn")


def take() -> None:
    """Photograph the cell and the panel, each with its second partial image."""
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder)).running() as lab, browser() as chromium:
        lab.write("pictures.ipynb", CELLS)
        page = chromium.new_page(viewport={"width": 1000, "height": 1000}, device_scale_factor=1.5)
        notebook = NotebookPage(page, lab, "pictures.ipynb")
        notebook.run(0)
        notebook.begin(1)
        page.locator(".gradient-picture[data-pictures='2']").wait_for()
        keep("cell", notebook.cell(1))
        notebook.ended(1)
        notebook.run(2)
        fill_the_panel(notebook)
        keep("panel", notebook.output(2).locator(".gradient-panel"))


def fill_the_panel(notebook: NotebookPage) -> None:
    """Make a few images, and begin another."""
    panel = notebook.output(2)
    for prompt in (*EARLIER, "A valley at dawn"):
        if prompt == "A valley at dawn":
            panel.get_by_label("Quality").select_option("high")
        panel.get_by_label("Prompt").fill(prompt)
        panel.get_by_role("button", name="Generate").click()
        if prompt in EARLIER:
            panel.get_by_role("button", name=f"{prompt}, done").wait_for()
    notebook.page.locator(".gradient-gallery [data-status='running'] .gradient-picture[data-pictures='2']").wait_for()


def keep(name: str, shown: Locator) -> None:
    """Write a picture of what is shown."""
    picture = Image.open(io.BytesIO(shown.screenshot(animations="disabled")))
    FOLDER.mkdir(exist_ok=True)
    picture.convert("RGB").save(FOLDER / f"{name}.jpg", quality=85, optimize=True)
    print(FOLDER / f"{name}.jpg")


if __name__ == "__main__":
    take()
