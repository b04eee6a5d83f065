"""Take pictures of every state of a cell and of the panel, in each window and theme, to be looked at.

`python tests/browser/pictures.py [FOLDER]` writes some 150 into a folder that is not committed (`build/pictures`).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from gate import Gate
from lab import Lab, NotebookPage, browser
from playwright.sync_api import Page, expect

from gradient_notebook.simulator import Simulator

SIZES = ((853, 480), (1100, 700), (1300, 900), (1920, 1080))
THEMES = ("Light", "Dark")
PROMPT = "A lighthouse on a rock, storm coming, wide view"
BUSY = {
    "status": 429,
    "headers": {"retry-after": "6"},
    "body": {"id": "too_many_requests", "message": "API rate limit exceeded."},
}
BROKEN = {
    "error_event": {"message": "The model crashed.", "type": "server_error", "code": "server_error", "param": None}
}
WRONG = {"status": 500, "body": {"id": "server_error", "message": "Unexpected server-side error."}}
SHAPES = {
    "landscape": "--size 1536x1024",
    "portrait": "--size 1024x1536",
    "auto": "",
    "three": "-n 3 --size 1024x1536",
    "ten": "-n 10",
}
Take = Callable[[str], None]


class Studio:
    """A notebook in a window, and the service behind it."""

    def __init__(self, folder: Path, lab: Lab, page: Page, simulator: Simulator, gate: Gate) -> None:
        self.folder, self.lab, self.page, self.simulator, self.gate = folder, lab, page, simulator, gate

    def photograph(self, size: tuple[int, int], theme: str) -> None:
        """Take all pictures of one window and theme."""
        self.page.set_viewport_size({"width": size[0], "height": size[1]})
        place = f"{size[0]}x{size[1]}-{theme.lower()}"
        self.lab.set_theme(f"JupyterLab {theme}")
        self.cells(lambda state: self.take(f"{place}-{state}"))
        self.panel(lambda state: self.take(f"{place}-{state}"))

    def take(self, name: str) -> None:
        """Keep what the window shows."""
        self.page.screenshot(path=self.folder / f"{name}.png", animations="disabled")

    def opened(self, *cells: str) -> NotebookPage:
        """Open a notebook of these cells; the first loads the extension, and has run."""
        self.lab.write("pictures.ipynb", ("%load_ext gradient_notebook", *cells))
        opened = NotebookPage(self.page, self.lab, "pictures.ipynb")
        opened.run(0)
        return opened

    def cells(self, take: Take) -> None:
        """Take a cell in each of its states."""
        for name, options in SHAPES.items():
            self.gate.close()
            opened = self.opened(f"%%imagegen lighthouse -q low {options}\n{PROMPT}", "# below")
            opened.begin(1)
            opened.output(1).locator(".gradient-card").wait_for()
            take(f"cell-{name}-waiting")
            self.gate.allow(1)
            opened.output(1).locator(".gradient-picture").first.wait_for()
            take(f"cell-{name}-partial")
            self.gate.open()
            self.end(opened, 1)
            take(f"cell-{name}-done")
        self.failures(take)

    def failures(self, take: Take) -> None:
        """Take a cell that waits for the rate limit, and what a cell says when no image comes."""
        opened = self.opened(
            f"%%imagegen\n{PROMPT}", "%%imagegen\nA scene of gore", "%%imagegen -q hihg\nA fox", "%imagegen_models"
        )
        self.simulator.script([BUSY])
        opened.begin(1)
        expect(opened.output(1).locator(".gradient-state")).to_contain_text("attempt 2")
        take("cell-busy")
        opened.output(1).get_by_role("button", name="Cancel").click()
        self.end(opened, 1)
        take("cell-cancelled")
        for fault, name in ((BROKEN, "broken"), (WRONG, "failed")):
            self.simulator.script([fault])
            opened.begin(1)
            self.end(opened, 1)
            take(f"cell-{name}")
        for at, name in ((2, "refused"), (3, "mistake"), (4, "models")):
            opened.begin(at)
            self.end(opened, at)
            take(f"cell-{name}")

    def end(self, opened: NotebookPage, at: int) -> None:
        """Wait until a cell has ended, and stands still."""
        opened.ended(at)
        expect(opened.output(at).locator(".gradient-card")).to_have_count(0)

    def panel(self, take: Take) -> None:
        """Take the panel in each of its states."""
        opened = self.opened("%imagegen_panel otter --size 1536x1024 -q low", "# below")
        opened.run(1)
        panel = opened.output(1).locator(".gradient-panel")
        panel.evaluate("e => e.scrollIntoView()")
        take("panel-empty")
        prompt = panel.get_by_label("Prompt", exact=True)

        def generate(words: str) -> None:
            prompt.fill(words)
            self.page.keyboard.press("Control+Enter")

        self.gate.close()
        generate(PROMPT)
        panel.locator(".gradient-bar").wait_for()
        take("panel-waiting")
        self.gate.allow(1)
        panel.locator(".gradient-grid .gradient-picture").wait_for()
        take("panel-partial")
        self.gate.open()
        panel.locator(".gradient-gallery [data-status=done]").wait_for()
        take("panel-done")
        self.simulator.script([BUSY])
        generate("A fox")
        expect(panel.locator(".gradient-state")).to_contain_text("attempt 2")
        take("panel-busy")
        panel.get_by_role("button", name="Cancel").click()
        expect(panel.locator(".gradient-box")).to_contain_text("Cancelled")
        take("panel-cancelled")
        generate("A scene of gore")
        panel.locator(".gradient-box[data-kind=refused]").wait_for()
        take("panel-refused")
        for fault, name in (
            (BROKEN, "broken"),
            (WRONG, "failed"),
            ({"status": 401, "body": {"id": "unauthorized", "message": "No."}}, "401"),
        ):
            self.simulator.script([fault])
            generate(f"A hen, {name}")
            panel.locator(f".gradient-gallery [title='A hen, {name}']:not([data-status=running])").wait_for()
            take(f"panel-{name}")
        self.page.get_by_title("Restart the kernel").first.click()
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        opened.idle()
        take("panel-kernel-gone")


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
            page = chromium.new_page()
            for size in SIZES:
                for theme in THEMES:
                    Studio(folder, lab, page, simulator, gate).photograph(size, theme)
    print(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent.parent / "build" / "pictures")
