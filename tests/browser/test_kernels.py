"""Cancel while a cell waits, which few kernels hear: on this kernel, and on those that `make compat` brings.

nbclassic is tried where it is installed.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable

import pytest
from classic import ClassicPage
from kernels import KERNELS
from lab import Lab, NotebookPage
from playwright.sync_api import Page, expect

from gradient_notebook.simulator import Simulator

CANCEL = ".gradient-cancel"
FORMS = {
    "awaits": "%%imagegen house --quality low\nA red house",
    "blocks": "%%time\n%%imagegen house --quality low\nA red house",  # heard by no kernel but by subshells
}
LOAD = """import os
os.environ |= {{"GRADIENT_INFERENCE_ENDPOINT": {url!r}, "GRADIENT_MODEL_ACCESS_KEY": "sk-do-for-tests-only"}}
%load_ext gradient_notebook
%config ImageGen.model = 'openai-gpt-image-2'
%config ImageGen.archive = False"""


def cancelled(opened: NotebookPage | ClassicPage, service: Simulator, cell: int) -> float:
    """Run a cell, cancel it when its request is there, and return the seconds from the click to its end."""
    before = service.disconnected
    service.script([{"silence": True}])
    opened.begin(cell)
    button = opened.output(cell).locator(CANCEL)
    expect(button).to_have_text("Cancel")
    assert service.wait_for(lambda: service.posts and not service.posts[-1].disconnected)
    begun = time.monotonic()
    button.click()
    opened.ended(cell)
    seconds = time.monotonic() - begun
    expect(opened.output(cell)).to_contain_text("Cancelled after")
    expect(opened.output(cell)).to_contain_text("house was not assigned")
    assert service.wait_for(lambda: service.disconnected == before + 1)
    return seconds


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_cancel_stops_a_cell_whether_its_kernel_hears_a_click_or_not(
    notebook: Callable[..., NotebookPage], service: Simulator, front_end: str, kernel: str
) -> None:
    """The button says Cancel and works, in a cell that awaits and in one that blocks, and the kernel goes on."""
    opened = notebook(*FORMS.values(), "6 * 7", front_end=front_end, kernel=kernel)
    for cell, form in enumerate(FORMS, 1):
        print(f"{kernel}, {front_end}, {form}: {cancelled(opened, service, cell):.1f} s")
    opened.run(3)
    expect(opened.output(3)).to_contain_text("42")


@pytest.mark.skipif(not importlib.util.find_spec("nbclassic"), reason="nbclassic is not installed")
@pytest.mark.parametrize("kernel", KERNELS)
def test_cancel_in_nbclassic(elsewhere: Page, lab: Lab, service: Simulator, kernel: str) -> None:
    """It has no subshells, and its own way to interrupt."""
    cells = [LOAD.format(url=service.url), *FORMS.values(), "6 * 7"]
    opened = ClassicPage(elsewhere, lab, lab.write(f"classic-{kernel}.ipynb", cells, kernel).name)
    opened.run(0)
    for cell, form in enumerate(FORMS, 1):
        print(f"{kernel}, nbclassic, {form}: {cancelled(opened, service, cell):.1f} s")
    opened.run(3)
    expect(opened.output(3)).to_contain_text("42")
