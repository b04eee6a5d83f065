"""A cell in Jupyter Notebook: that it is as in JupyterLab, whose tests say more."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from gate import Gate
from lab import NotebookPage
from panel_page import PARTIAL_AND_SILENCE
from playwright.sync_api import expect

from gradient_notebook.simulator import Simulator

LOAD = """import os
os.environ |= {{"GRADIENT_INFERENCE_ENDPOINT": {url!r}, "GRADIENT_MODEL_ACCESS_KEY": "sk-do-for-tests-only"}}
%reload_ext gradient_notebook"""


@pytest.mark.slow
def test_a_cell_in_notebook_is_as_in_jupyterlab(
    pages: Callable[..., NotebookPage], gate: Gate, service: Simulator
) -> None:
    """The card with its partial images, Cancel, an interrupt, then the image; and the history."""
    cell = "%%imagegen otter\nan otter on its back"
    opened = pages(LOAD.format(url=gate.url), cell, cell, cell, "%imagegen_history back", front_end="notebook")
    opened.run(0)
    service.script([PARTIAL_AND_SILENCE, PARTIAL_AND_SILENCE])
    for index, stop in ((1, "Cancel"), (2, "Interrupt the kernel")):
        opened.begin(index)
        card = opened.output(index).locator(".gradient-card")
        expect(card.locator("img")).to_be_visible()
        if stop == "Cancel":
            card.get_by_role("button", name="Cancel").click()
        else:
            opened.page.get_by_title(re.compile(stop)).first.click()
        opened.ended(index)
        expect(opened.output(index)).to_contain_text("otter was not assigned")
        expect(card).to_have_count(0)
        assert service.wait_for(lambda: service.disconnected == index)  # noqa: B023 - waited for here
    opened.run(3)
    expect(opened.output(3).locator("img")).to_have_js_property("naturalWidth", 768)
    expect(opened.output(3)).to_contain_text("otter · PIL")
    opened.run(4)
    expect(opened.output(4).get_by_alt_text("an otter on its back").first).to_be_visible()
