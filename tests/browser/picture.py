"""Take the README's pictures: a cell, a sweep and a panel of a real JupyterLab while images are on their way.

`python tests/browser/picture.py` writes `arriving.webp`, which moves, `sweep.jpg` and `panel.jpg` into `notebooks/pictures`, and a
small picture of each notebook: of what one of its cells shows.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import nbformat
from lab import Lab, NotebookPage, browser
from PIL import Image
from playwright.sync_api import Browser, Locator

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
FOLDER = NOTEBOOKS / "pictures"
OTTER = "A cute baby sea otter floating on its back in calm blue water"
CELLS = (
    "%load_ext gradient_notebook",
    f"%%imagegen otter --size 1536x1024 --quality high\n{OTTER}",
    "%imagegen_panel valley --size 1536x1024 --quality low",
    """%%imagegen study --vary quality=low,high --size 1024x1024 --vary style=@styles
A red fox in the snow, {{style}}""",
    "styles = {'ink': 'black ink on paper', 'oil': 'thick oil paint', 'photo': 'a photograph'}",
)
EARLIER = ("A lighthouse by the sea at dusk", OTTER, "A forest in autumn")

GALLERY = {
    "01-quickstart": "%%imagegen mountains",
    "02-panel": "panel = Panel(",
    "03-history": "%imagegen_history",
    "04-prompt-study": "await study",
    "05-image-analysis": "def scatter(",
    "06-lecture": "castle = await job",
    "07-when-things-go-wrong": "%%imagegen castle",
}
"""What the cell has whose output is a notebook's picture."""
SMALL = (440, 260)
"""Width x height of such a picture, in pixels: the upper part of what is higher."""


def take() -> None:
    """Take all of them."""
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder)).running() as lab, browser() as chromium:
        take_large(lab, chromium)
        for name, words in GALLERY.items():
            take_small(lab, chromium, name, words)


def take_small(lab: Lab, chromium: Browser, name: str, words: str) -> None:
    """Run a notebook's code up to the first cell with these words, and photograph what that shows."""
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    wanted = next(at for at, source in enumerate(sources) if words in source)
    needed = sources[: wanted + 1 + (name == "02-panel")]  # a panel has something to show when the cell below has run
    lab.write(f"{name}.ipynb", needed)
    page = chromium.new_page(viewport={"width": 900, "height": 8000})  # all cells in view, and so in the page
    notebook = NotebookPage(page, lab, f"{name}.ipynb")
    for at in range(len(needed)):
        notebook.run(at)
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    shot = Image.open(io.BytesIO(notebook.output(wanted).screenshot(animations="disabled"))).convert("RGB")
    height = min(shot.height, shot.width * SMALL[1] // SMALL[0])
    path = FOLDER / f"{name}.jpg"
    shot.crop((0, 0, shot.width, height)).resize((SMALL[0], height * SMALL[0] // shot.width)).save(
        path, quality=80, optimize=True
    )
    print(path)
    page.close()


def take_large(lab: Lab, chromium: Browser) -> None:
    """Photograph the cell and the panel, each with its second partial image."""
    lab.write("pictures.ipynb", CELLS)
    page = chromium.new_page(viewport={"width": 1000, "height": 1000}, device_scale_factor=1.5)
    notebook = NotebookPage(page, lab, "pictures.ipynb")
    notebook.run(0)
    notebook.begin(1)
    notebook.output(1).get_by_role("button", name="Cancel").wait_for()
    frames = [moment(notebook.cell(1), seconds=0.6)]
    for number in (1, 2):
        page.locator(f".gradient-picture[data-pictures='{number}']").wait_for()
        page.locator("[data-loading=true]").wait_for(state="detached")
        frames.append(moment(notebook.cell(1), seconds=1.2))
    notebook.ended(1)
    notebook.output(1).locator("img").first.wait_for()
    frames.append(moment(notebook.cell(1), seconds=3))
    keep_moving("arriving", frames)
    notebook.run(4)
    notebook.run(3)
    notebook.output(3).locator(".gradient-sweep").wait_for()
    page.wait_for_function("document.querySelectorAll('.gradient-sweep img').length >= 6")
    keep("sweep", notebook.cell(3))
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


def moment(shown: Locator, seconds: float) -> tuple[Image.Image, float]:
    """Return a picture of what is shown now, and for how many seconds it is to stand."""
    return Image.open(io.BytesIO(shown.screenshot(animations="disabled"))).convert("RGB"), seconds


def keep_moving(name: str, moments: list[tuple[Image.Image, float]]) -> None:
    """Write pictures as one that moves, all of the size of the largest."""
    width = max(picture.width for picture, _ in moments)
    height = max(picture.height for picture, _ in moments)
    frames = []
    for picture, _ in moments:
        frame = Image.new("RGB", (width, height), "white")
        frame.paste(picture, (0, 0))
        frames.append(frame.resize((width * 2 // 3, height * 2 // 3)))
    first, *others = frames
    durations = [round(1000 * seconds) for _, seconds in moments]
    path = FOLDER / f"{name}.webp"
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0, quality=70, method=6)
    print(path)


def keep(name: str, shown: Locator) -> None:
    """Write a picture of what is shown."""
    picture = Image.open(io.BytesIO(shown.screenshot(animations="disabled")))
    FOLDER.mkdir(exist_ok=True)
    picture.convert("RGB").save(FOLDER / f"{name}.jpg", quality=85, optimize=True)
    print(FOLDER / f"{name}.jpg")


if __name__ == "__main__":
    take()
