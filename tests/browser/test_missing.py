"""A server whose environment lacks what draws the card and the panel, which the kernel's has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lab import Lab, NotebookPage
from panel_page import visible_errors
from playwright.sync_api import expect

from gradient_notebook.notebook.missing import INSTALL
from gradient_notebook.simulator import Simulator


@pytest.mark.parametrize("lacking", ["anywidget", "@jupyter-widgets/jupyterlab-manager"])
def test_one_sentence_says_what_to_install_where(
    notebook: Callable[..., NotebookPage], lab: Lab, service: Simulator, lacking: str
) -> None:
    """It stands in the card's place and in the panel's, without a red error; the image comes all the same."""
    lab.leave_out(lacking)
    try:
        opened = notebook(
            "%%imagegen otter --quality low\nA red house",
            "%%imagegen otter --quality low\nA red house",
            "%imagegen_panel otter",
            anew=True,
        )
        service.script([{"silence": True}])
        opened.begin(1)
        expect(opened.output(1).get_by_text(INSTALL)).to_be_visible()
        assert visible_errors(opened) == 0
        opened.page.get_by_title("Interrupt the kernel").click()
        opened.ended(1)
        expect(opened.output(1)).not_to_contain_text(INSTALL)
        opened.run(2)
        expect(opened.output(2).locator("img")).to_have_count(1)
        expect(opened.output(2)).not_to_contain_text(INSTALL)
        opened.run(3)
        expect(opened.output(3).get_by_text(INSTALL)).to_be_visible()
        assert visible_errors(opened) == 0
    finally:
        lab.leave_out()
