"""The results of a panel: looking back at them, taking them away."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
from lab import Lab, NotebookPage
from panel_page import CELLS, EMPTY, MARKUP, PANEL, PanelPage, visible_errors
from playwright.sync_api import Page, expect

Panels = Callable[..., PanelPage]


def test_keys_go_along_the_film(panel: Panels) -> None:
    """Arrows, Home and End set_default an image, which is in view and has the focus."""
    seen = panel()
    seen.make("one", "two", "three")
    seen.thumb("three").focus()
    steps = {"ArrowRight": "two", "End": "one", "ArrowLeft": "two", "Home": "three"}
    for key, prompt in steps.items():
        seen.page.keyboard.press(key)
        expect(seen.words).to_have_text(prompt)
        expect(seen.thumb(prompt)).to_be_focused()
        expect(seen.thumb(prompt)).to_have_attribute("aria-pressed", "true")


def test_the_scrubber_shows_the_partial_images(panel: Panels) -> None:
    """Each step back shows another picture; the end is the final image again."""
    seen = panel()
    seen.make("a hill")
    expect(seen.stage).to_contain_text(
        "record"
    )  # a job is done before its last picture is here, and this comes with it
    expect(seen.position).to_have_text("final")
    sources = [seen.source()]
    scrubber = seen.stage.get_by_label("Partial images of this image")
    scrubber.focus()
    for words in ("2 of 2", "1 of 2"):
        seen.page.keyboard.press("ArrowLeft")
        expect(seen.position).to_have_text(words)
        # A picture that has not come yet leaves another one in its place.
        expect(seen.picture).not_to_have_attribute("src", re.compile("|".join(map(re.escape, sources))))
        sources.append(seen.source())
    assert len(set(sources)) == 3
    seen.page.keyboard.press("End")
    expect(seen.position).to_have_text("final")
    expect(seen.picture).to_have_attribute("src", sources[0])


def test_the_original_bytes_can_be_taken_away(panel: Panels) -> None:
    """Download and the clipboard have the file as the service sent it, byte for byte, as it lies on disk."""
    seen = panel()
    seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    seen.make("a fox")
    with seen.page.expect_download() as download:
        seen.button("Download").click()
    assert re.fullmatch(r"otter-.*\.png", download.value.suggested_filename)
    data = Path(download.value.path()).read_bytes()
    originals = Path(
        seen.python("from gradient_notebook.storage.archive import get_default\nprint(get_default().originals)")
    )
    kept = originals / f"{hashlib.sha256(data).hexdigest()}.png"
    assert kept.read_bytes() == data
    seen.button("Copy").click()
    expect(seen.button("Copied")).to_be_visible()
    copied = seen.page.evaluate("""async () => {
      const [item] = await navigator.clipboard.read();
      const bytes = async (type) => new Uint8Array(await (await item.getType(type)).arrayBuffer());
      const digest = await crypto.subtle.digest("SHA-256", await bytes("web image/png"));
      return {
        digest: [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
        start: [...(await bytes("image/png")).slice(1, 4)],
      };
    }""")
    assert copied == {"digest": kept.stem, "start": list(b"PNG")}


def test_plain_keys_in_the_panel_do_nothing_to_the_notebook(panel: Panels) -> None:
    """Letters that are the notebook's shortcuts delete, add and change no cell wherever in the panel they are pressed."""
    seen = panel()
    seen.make("a fox")
    seen.header.click()
    cells = seen.page.locator(".jp-Notebook .jp-CodeCell")
    places = [seen.thumb("a fox"), seen.button("Download"), seen.stage.locator("input[type=range]")]
    places += [seen.button("Generate"), seen.button("Copy as cell"), seen.control("stream"), seen.control("size")]
    for place in places:
        for keys in ("dd", "x", "a", "b", "m"):
            place.focus()
            for key in keys:
                seen.page.keyboard.press(key)
            expect(cells, f"{keys} on {place}").to_have_count(len(CELLS))
    expect(seen.thumbs).to_have_count(1)
    assert seen.sent == ["a fox"]


# The saved notebook


def reopened(lab: Lab, elsewhere: Page, name: str, *, trusted: bool) -> NotebookPage:
    """Open a copy of a notebook in another page, without a kernel."""
    saved = nbformat.read(lab.root / name, 4)
    saved.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "none"}
    copy = lab.root / f"{'trusted' if trusted else 'untrusted'}-{name}"
    nbformat.write(saved, copy)
    if trusted:
        subprocess.run([sys.executable, "-m", "jupyter", "trust", str(copy)], env=lab.environment, check=True)
    return NotebookPage(elsewhere, lab, copy.name, kernel=False)


def test_a_saved_notebook_shows_the_last_image_without_a_kernel(panel: Panels, lab: Lab, elsewhere: Page) -> None:
    """Trusted or not, an ordinary image and its settings stand there; the file grows by less than 200 kB."""
    seen = panel()
    path = lab.root / seen.opened.name
    seen.opened.save()
    size = path.stat().st_size
    seen.control("size").fill("1536x1024")
    seen.make("an earlier one", f"{MARKUP} at sea")
    expect(seen.opened.output(PANEL).locator(".jp-OutputArea-child").filter(visible=True)).to_have_count(1)
    seen.opened.cell(EMPTY).locator(".cm-content").click()
    seen.opened.save()
    assert path.stat().st_size - size < 200_000  # of a real painting: a plain one is small
    assert "widgets" not in nbformat.read(path, 4).metadata
    for trusted in (True, False):
        again = reopened(lab, elsewhere, seen.opened.name, trusted=trusted)
        output = again.output(PANEL)
        expect(output.locator("img")).to_have_js_property("naturalWidth", 768)
        expect(output.locator("img")).to_be_visible()
        for words in (f"{MARKUP} at sea", "otter · PIL 1536×1024 png", "size 1536x1024", "quality low"):
            expect(output).to_contain_text(words)
        expect(output.locator(".gradient-panel")).to_have_count(0)
        assert visible_errors(again) == 0
        assert again.page.evaluate("window.hacked") is None


COUNT_URLS = """() => {
  window.urls = new Set();
  const { createObjectURL, revokeObjectURL } = URL;
  URL.createObjectURL = (blob) => {
    const url = createObjectURL.call(URL, blob);
    if (blob.type.startsWith("image/")) window.urls.add(url);
    return url;
  };
  URL.revokeObjectURL = (url) => { window.urls.delete(url); revokeObjectURL.call(URL, url); };
}"""


NUMBERS = """import gc, threading
from ipywidgets.widgets.widget import _instances
gc.collect()
print(len(_instances), len(get_ipython().kernel.comm_manager.comms), sorted(one.name for one in threading.enumerate()
    if not one.name.startswith(("asyncio_", "subshell-"))))"""  # the loop's own few, and the kernel's


def test_closed_panels_leave_nothing_but_their_last_image(panel: Panels) -> None:
    """close() takes the view away and shows the ordinary image; no comm, no thread and no picture's memory is left."""
    seen = panel()
    seen.page.evaluate(COUNT_URLS)
    seen.make("a first one")
    seen.python("panel.close()")
    expect(seen.root).to_have_count(0)
    before = seen.python(NUMBERS)
    seen = PanelPage(seen.opened, seen.lab, seen.simulator, seen.gate)
    seen.make("a fox", "a hen")
    assert seen.page.evaluate("window.urls.size") > 0
    seen.python("panel.close()")
    output = seen.opened.output(PANEL)
    expect(seen.root).to_have_count(0)
    expect(output).to_contain_text("a hen")
    expect(output.locator("img")).to_be_visible()
    expect(output).to_contain_text("otter · PIL 1024×1024 png")
    assert visible_errors(seen.opened) == 0
    seen.page.wait_for_function("window.urls.size === 0")
    assert seen.python(NUMBERS) == before
