"""The history and the waits in a real JupyterLab: what a person sees, and what a saved notebook keeps of it."""

from __future__ import annotations

import re
from collections.abc import Callable

import nbformat
from gate import Gate
from lab import Lab, NotebookPage
from playwright.sync_api import Page, expect

from gradient_notebook.simulator import Simulator

Opener = Callable[..., NotebookPage]

MADE = "%%imagegen picture --quality low\nA lake in the mountains"
BUSY = {"status": 503, "headers": {"retry-after": "3"}, "body": {"id": "unavailable", "message": "Busy."}}

# What the history shows, as it has arrived in the page: pictures that are really decoded, and nothing that runs.
PICTURES = "nodes => nodes.map(node => [node.naturalWidth > 0, node.src.slice(0, 22), node.alt])"


def test_the_history_shows_what_was_made(notebook: Opener, service: Simulator) -> None:
    """Pictures with their prompts and how they ended, newest first, inside of the page whatever its width."""
    service.script([None, {"cut": "in_final"}])
    opened = notebook(MADE, "%%imagegen broken --quality low\nA forest in autumn", "%imagegen_history")
    for index in (1, 2, 3):
        opened.run(index)
    output = opened.output(3)
    shown, behind = output.locator(".gradient-entry img"), output.locator("img[src^=data]")
    expect(shown).to_have_count(2)
    assert [found[0] for found in shown.evaluate_all(PICTURES)] == [True] * 2
    expect(behind.first).to_be_hidden()
    pictures = behind.evaluate_all(PICTURES)
    assert pictures == [
        [True, "data:image/jpeg;base64", "A forest in autumn"],
        [True, "data:image/jpeg;base64", "A lake in the mountains"],
    ]
    expect(output).to_contain_text("unknown · partial image")
    expect(output).to_contain_text(re.compile(r"\[1\] A lake in the mountains.*1024×1024 · low · png.*\d\stokens"))
    for width in (1100, 420):
        opened.set_width(width)
        assert output.evaluate("node => node.scrollWidth <= node.clientWidth"), width


def test_a_saved_history_is_there_without_a_kernel_and_without_trust(
    notebook: Opener, lab: Lab, elsewhere: Page
) -> None:
    """Opened by somebody else, who has neither run nor trusted it: the pictures and the words are there."""
    opened = notebook(MADE, "%imagegen_history lake")
    opened.run(1)
    opened.run(2)
    opened.save()
    saved = nbformat.read(lab.root / opened.name, 4)
    for cell in saved.cells:
        cell.metadata.pop("trusted", None)
    saved.metadata["signature"] = ""
    (lab.root / "shared.ipynb").write_text(nbformat.writes(saved).replace("A lake in", "A lake  in"))
    shared = NotebookPage(elsewhere, lab, "shared.ipynb", kernel=False)
    expect(shared.output(2).locator("img").first).to_be_visible()
    assert shared.output(2).locator("img").first.evaluate("node => node.naturalWidth > 0")
    expect(shared.output(2)).to_contain_text("A lake")


def test_a_wait_is_counted_down_where_the_settings_stand(notebook: Opener, service: Simulator) -> None:
    """The card says why nothing happens and for how long yet, the seconds get fewer, and then the image comes."""
    service.script([BUSY])
    opened = notebook(MADE)
    opened.begin(1)
    settings = opened.output(1).locator(".gradient-state")
    expect(settings).to_have_text(re.compile(r"The service is busy \(503\) · attempt 2 in [23]\.\d s"))
    expect(settings).to_have_text(re.compile(r"attempt 2 in [01]\.\d s"))
    expect(opened.output(1).get_by_role("status")).to_contain_text("The service is busy (503)")
    opened.ended(1)
    expect(opened.output(1).locator("img")).to_have_count(1)
    assert len(service.posts) == 2


def test_the_panel_counts_down_too(notebook: Opener, service: Simulator) -> None:
    """The same words in the same place; the form stays usable meanwhile."""
    service.script([BUSY])
    opened = notebook("%imagegen_panel --quality low -- A lake")
    opened.run(1)
    panel = opened.output(1)
    panel.get_by_role("button", name="Generate").click()
    expect(panel.locator(".gradient-state")).to_have_text(re.compile(r"The service is busy \(503\) · attempt 2 in"))
    panel.get_by_role("button", name="A lake, done").wait_for()
    assert len(service.posts) == 2


def test_what_is_queued_says_so_in_its_place(notebook: Opener, service: Simulator, gate: Gate) -> None:
    """More images than may be under way at once: the others' places say that they are queued."""
    gate.close()
    opened = notebook("%config ImageGen.concurrency = 2", "%%imagegen pictures -n 3 --quality low\nA lake")
    opened.run(1)
    opened.begin(2)
    expect(opened.output(2).locator(".gradient-badge")).to_have_text(["1", "2", "3 · queued"])
    assert service.wait_for(lambda: len(service.posts) == 2)
    opened.output(2).get_by_role("button", name="Cancel").click()
    opened.ended(2)
    assert len(service.posts) == 2
