"""Take pictures of every state of a cell and of the panel, in each window and theme, to be looked at.

`python tests/browser/pictures.py [FOLDER]` writes some 300 into a folder that is not committed (`build/pictures`). Each state
is made once, and photographed in all windows and themes while it stands still.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gate import Gate
from lab import Lab, NotebookPage, browser
from playwright.sync_api import Locator, expect

from gradient_notebook.simulator import Simulator

SIZES = ((853, 480), (1100, 700), (1300, 900), (1920, 1080))
THEMES = ("Light", "Dark")
PROMPT = "A lighthouse on a rock, storm coming, wide view"
BUSY = {
    "status": 429,
    "headers": {"retry-after": "90"},
    "body": {"id": "too_many_requests", "message": "API rate limit exceeded."},
}
BROKEN = {
    "error_event": {"message": "The model crashed.", "type": "server_error", "code": "server_error", "param": None}
}
WRONG = {"status": 500, "body": {"id": "server_error", "message": "Unexpected server-side error."}}
UNKNOWN_KEY = {"status": 401, "body": {"id": "unauthorized", "message": "Unable to authenticate you."}}
NOT_JSON = {"status": 502, "body_text": "<html><body>Bad gateway</body></html>", "content_type": "text/html"}
SHAPES = {
    "landscape": "--size 1536x1024",
    "portrait": "--size 1024x1536",
    "auto": "",
    "three": "-n 3 --size 1024x1536",
    "ten": "-n 10",
}
NOWHERE = "import os; os.environ['GRADIENT_INFERENCE_ENDPOINT'] = 'http://127.0.0.1:9'"
REFUSED = {"status": 400, "body": {"error": {"code": "moderation_blocked", "message": "Violence."}}}
SWEEP = """%config ImageGen.concurrency = 3
from gradient_notebook import sweep
study = sweep("A {{place}} at {{time}}", place=["lighthouse", "forest"], time=["dawn", "noon", "night"], quality="low",
              size="1536x1024", stream=True, partial_images=2).result().score("sharpness")"""
ONE = "next(cell for cell in study if cell.outcome == '{}')"
SCRIPTS = {
    "long": "A very long prompt about " + "hills and " * 30 + "W" * 90,
    "rtl": "ثعلب أحمر في الثلج عند الغروب",
    "cjk": "雪の中の赤い狐、夕暮れ、広い眺め",
    "emoji": "🦊🌨️ a fox 👩‍👩‍👧‍👦 with its family",
}
SCROLLED = "e => e.scrollIntoView({ block: 'start' })"


class Studio:
    """A notebook in a window, and the service behind it."""

    def __init__(self, folder: Path, opened: NotebookPage, simulator: Simulator, gate: Gate) -> None:
        self.folder, self.opened, self.simulator, self.gate = folder, opened, simulator, gate
        self.page = opened.page

    def take(self, name: str, shown: Locator | None = None) -> None:
        """Photograph what is shown in each window and theme; `shown` stands at the window's top."""
        for theme in THEMES:
            self.opened.set_theme(theme)
            for width, height in SIZES:
                self.opened.set_size(width, height)
                if shown:
                    shown.evaluate(SCROLLED)
                path = self.folder / f"{width}x{height}-{theme.lower()}-{name}.png"
                self.page.screenshot(path=path, animations="disabled")

    def begin(self, *cells: str) -> None:
        """Put these cells behind one that loads the extension, and has run."""
        self.opened.set_size(1300, 900)
        self.opened.set_cells(("%load_ext gradient_notebook", *cells))
        self.opened.run(0)

    def cells(self) -> None:
        """Take a cell of each shape on its way, and when it is done."""
        for name, options in SHAPES.items():
            self.gate.close()
            self.begin(f"%%imagegen lighthouse -q low {options}\n{PROMPT}", "# below")
            cell, output = self.opened.cell(1), self.opened.output(1)
            self.opened.begin(1)
            output.locator(".gradient-card").wait_for()
            self.take(f"cell-{name}-waiting", cell)
            self.gate.allow(1)
            output.locator(".gradient-picture").first.wait_for()
            self.take(f"cell-{name}-partial", cell)
            if name == "landscape":
                self.large(output.locator(".gradient-grid .gradient-tile"), "cell-large-card")
            self.gate.open()
            self.end(1)
            self.take(f"cell-{name}-done", cell)
            if name == "portrait":
                output.locator("summary").click()
                self.take("cell-large-done", cell)

    def large(self, picture: Locator, name: str) -> None:
        """Take a picture that is shown large."""
        picture.click()
        dialog = self.page.get_by_role("dialog")
        expect(dialog.locator("img")).to_have_attribute("src", re.compile("blob:"))
        self.take(name)
        self.page.keyboard.press("Escape")

    def failures(self) -> None:
        """Take a cell that waits for the rate limit, and what a cell says when no image comes."""
        self.begin(
            f"%%imagegen\n{PROMPT}", "%%imagegen\nA scene of gore", "%%imagegen -q hihg\nA fox", "%imagegen_models"
        )
        cell, output = self.opened.cell(1), self.opened.output(1)
        for fault, name in ((BROKEN, "broken"), (WRONG, "failed")):
            self.simulator.script([fault])
            self.opened.begin(1)
            self.end(1)
            self.take(f"cell-{name}", cell)
        for at, name in ((2, "refused"), (3, "mistake"), (4, "models")):
            self.opened.begin(at)
            self.end(at)
            self.take(f"cell-{name}", self.opened.cell(at))
        # Last: what the service demands holds for all that follows in the kernel.
        self.simulator.script([BUSY])
        self.opened.begin(1)
        expect(output.locator(".gradient-state")).to_contain_text("attempt 2")
        self.take("cell-busy", cell)
        output.get_by_role("button", name="Cancel").click()
        self.end(1)
        self.take("cell-cancelled", cell)
        self.restart()

    def end(self, at: int) -> None:
        """Wait until a cell has ended, and stands still."""
        self.opened.ended(at)
        expect(self.opened.output(at).locator(".gradient-card")).to_have_count(0)

    def panel(self) -> None:
        """Take the panel as it works."""
        panel = self.shown_panel("--size 1536x1024")
        self.take("panel-empty", panel)
        self.gate.close()
        self.generate(PROMPT)
        panel.locator(".gradient-cancel").wait_for()
        self.take("panel-waiting", panel)
        self.gate.allow(1)
        panel.locator(".gradient-grid .gradient-picture").wait_for()
        self.take("panel-partial", panel)
        self.gate.open()
        self.made(PROMPT)
        self.take("panel-done", panel)
        self.large(panel.locator(".gradient-grid .gradient-tile"), "panel-large")
        for size, count in (("1024x1536", 1), ("1024x1536", 3), ("1024x1024", 10)):
            panel.get_by_label("Size", exact=True).fill(size)
            panel.get_by_label("Images", exact=True).fill(str(count))
            self.generate(f"A tower, {count} times")
            self.made(f"A tower, {count} times")
            self.take(f"panel-{count}-of-{size}", panel)
        panel.get_by_label("Images", exact=True).fill("1")
        for name, prompt in SCRIPTS.items():
            self.generate(prompt)
            self.made(prompt)
            self.take(f"panel-{name}", panel)

    def faults(self) -> None:
        """Take the panel when something goes wrong."""
        panel = self.shown_panel("--size 1536x1024")
        self.generate(PROMPT)
        self.made(PROMPT)
        self.generate("A scene of gore")
        panel.locator(".gradient-box[data-kind=refused]").wait_for()
        self.take("panel-refused", panel)
        faults: Sequence[tuple[dict[str, Any], str]] = (
            (BROKEN, "broken"),
            (WRONG, "failed"),
            (UNKNOWN_KEY, "401"),
            (NOT_JSON, "gateway"),
        )
        for fault, name in faults:
            self.simulator.script([fault])
            self.generate(f"A hen, {name}")
            panel.locator(f".gradient-gallery [title='A hen, {name}']:not([data-status=running])").wait_for()
            self.take(f"panel-{name}", panel)
        panel.get_by_label("Images", exact=True).fill("3")
        self.simulator.script([None, WRONG, None])
        self.generate("Three hens")
        expect(panel.locator(".gradient-box")).to_contain_text("images missing")
        self.take("panel-one-of-three-failed", panel)
        panel.get_by_label("Images", exact=True).fill("1")
        self.simulator.script([BUSY])
        self.generate("A fox")
        expect(panel.locator(".gradient-state")).to_contain_text("attempt 2")
        self.take("panel-busy", panel)
        panel.get_by_role("button", name="Cancel").click()
        expect(panel.locator(".gradient-box")).to_contain_text("Cancelled")
        self.take("panel-cancelled", panel)
        self.opened.run(2)
        self.generate("Nobody hears")
        expect(panel.locator(".gradient-head")).to_contain_text("Nobody hears")
        expect(panel.locator(".gradient-state[data-waits=true]")).to_contain_text("attempt")
        self.take("panel-no-network", panel)
        self.kernel_gone(panel)

    def sweeps(self) -> None:
        """Take a sweep while it runs and when it is done, a part of it, one of its cells, and one that was refused."""
        self.gate.close()
        self.simulator.script([None, None, REFUSED])
        self.begin(SWEEP, "study[:2]", ONE.format("done"), ONE.format("refused"), "study[1:5]", "# below")
        cell, output = self.opened.cell(1), self.opened.output(1)
        self.opened.begin(1)
        output.locator("[data-status=running]").first.wait_for()
        self.gate.allow(1)
        output.locator("[data-status=running] img").nth(1).wait_for()
        self.take("sweep-partial", cell)
        self.gate.open()
        self.opened.ended(1)
        expect(output.locator(".gradient-tile[data-status=done] img")).to_have_count(5)
        self.take("sweep-done", cell)
        for at, name in ((2, "part"), (3, "cell"), (4, "refused"), (5, "captions")):
            self.opened.run(at)
            self.take(f"sweep-{name}", self.opened.cell(at))

    def kernel_gone(self, panel: Locator) -> None:
        """Take what is left of the panel when its kernel has gone: there is the last image, and no form."""
        self.restart()
        expect(panel).to_be_hidden()
        self.take("panel-kernel-gone", self.opened.cell(1))
        self.begin("%imagegen_panel otter", "# below")
        self.opened.run(1)
        self.opened.output(1).locator(".gradient-panel").wait_for()
        self.restart()
        expect(panel).to_be_hidden()
        self.take("panel-kernel-gone-before-an-image", self.opened.cell(1))

    def restart(self) -> None:
        """Restart the kernel."""
        self.page.get_by_title("Restart the kernel").first.click()
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.opened.idle()

    def shown_panel(self, options: str) -> Locator:
        """Show a panel, and return it."""
        self.gate.open()
        self.begin(f"%imagegen_panel otter -q low {options}", NOWHERE)
        self.opened.run(1)
        panel = self.opened.output(1).locator(".gradient-panel")
        panel.wait_for()
        return panel

    def generate(self, words: str) -> None:
        """Type a prompt, and press Ctrl+Enter."""
        expect(self.page.get_by_role("button", name="Generate", exact=True)).not_to_have_attribute("aria-busy", "true")
        self.opened.output(1).get_by_label("Prompt", exact=True).fill(words)
        self.page.keyboard.press("Control+Enter")

    def made(self, words: str) -> None:
        """Wait until all images of a prompt are there."""
        thumbs = self.opened.output(1).locator(f".gradient-gallery [title^='{words[:60]}']")
        expect(thumbs.first).to_be_visible()
        expect(thumbs.and_(self.page.locator(":not([data-status=done])"))).to_have_count(0)
        expect(self.page.locator("[data-loading=true]")).to_have_count(0)


def main(folder: Path) -> None:
    """Take them all."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as place,
        Simulator(seconds_per_image=0.5) as simulator,
        Gate(simulator.url) as gate,
    ):
        environment = {
            "GRADIENT_INFERENCE_ENDPOINT": gate.url,
            "GRADIENT_MODEL_ACCESS_KEY": "sk-do-for-pictures",
            "GRADIENT_IMAGE_MODEL": "openai-gpt-image-2",
        }
        with Lab(Path(place), environment).running() as lab, browser() as chromium:
            lab.write("pictures.ipynb", [""])
            page = chromium.new_page(reduced_motion="reduce")
            studio = Studio(folder, NotebookPage(page, lab, "pictures.ipynb"), simulator, gate)
            for take in (studio.cells, studio.failures, studio.panel, studio.faults, studio.sweeps):
                take()
    print(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent.parent / "build" / "pictures")
