"""Print what a person waits for, in a real JupyterLab: `python tests/browser/figures.py`.

Milliseconds do not travel to another machine; what they mean is said in each line.
"""

from __future__ import annotations

import re
import statistics
import tempfile
from pathlib import Path
from typing import Any

from lab import Lab, NotebookPage, browser

REPEATS = 5
PROMPT = "A low sun over blue hills, film grain"

# Kernel: when the last byte of each partial image had been decoded.
STAMP = """%load_ext gradient_notebook
import time
from gradient_notebook.jobs.job import Job
stamps = []
take = Job._take
async def stamped(self, event):
    stamps.append(time.time() * 1000)
    await take(self, event)
Job._take = stamped"""

# Browser: when keys were pressed, cards stood, pictures changed and cells ended, each in its animation frame.
WATCH = """() => {
  window.noted = { key: [], card: [], pictures: [], end: [] };
  const now = () => performance.timeOrigin + performance.now();
  addEventListener("keydown", (e) => e.key === "Enter" && noted.key.push(now()), true);
  addEventListener("click", () => noted.key.push(now()), true);
  let card = null, source = "", busy = false;
  const look = () => {
    const found = document.querySelector(".gradient-card");
    if (found && found !== card) noted.card.push(now());
    card = found;
    const image = document.querySelector(".gradient-picture");
    if (image?.complete && image.src && image.src !== source) { source = image.src; noted.pictures.push(now()); }
    const running = [...document.querySelectorAll(".jp-InputPrompt")].some((p) => p.textContent.includes("*"));
    if (busy && !running) noted.end.push(now());
    busy = running;
    requestAnimationFrame(look);
  };
  look();
}"""


def last(noted: dict[str, Any], name: str) -> float:
    """Return the newest time noted, in ms."""
    return float(noted[name][-1])


def measure() -> None:
    """Run the cells and print the figures."""
    long = f"%%imagegen picture --size 1536x1024 --quality high -p 3\n{PROMPT}"
    cells = [STAMP, long, "print(*stamps)", *[f"%%imagegen again -q low\n{PROMPT}"] * REPEATS, long, long]
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder)).running() as lab, browser() as chromium:
        path = lab.write("figures.ipynb", cells)
        notebook = NotebookPage(chromium.new_page(viewport={"width": 1100, "height": 900}), lab, path.name)
        notebook.page.evaluate(WATCH)
        notebook.run(0)
        notebook.save()
        before = path.stat().st_size
        one_image(notebook)
        notebook.save()
        print(f"one finished 1536x1024 image adds {(path.stat().st_size - before) / 1000:.0f} kB to the notebook")
        later_cards(notebook)
        notebook.begin(3 + REPEATS)
        notebook.page.locator(".gradient-picture").wait_for()
        notebook.page.locator(".gradient-cancel").click()
        ending(notebook, 3 + REPEATS, "Cancel")
        notebook.begin(4 + REPEATS)
        notebook.page.locator(".gradient-picture").wait_for()
        notebook.page.get_by_title(re.compile("Interrupt the kernel")).click()
        ending(notebook, 4 + REPEATS, "Interrupt")


def noted(notebook: NotebookPage) -> dict[str, Any]:
    """Return what the browser has noted so far."""
    found: dict[str, Any] = notebook.page.evaluate("noted")
    return found


def one_image(notebook: NotebookPage) -> None:
    """Measure a first image: its card, and its partial images from the kernel to the screen."""
    notebook.run(1)
    seen = noted(notebook)
    print(f"first card of a session: {last(seen, 'card') - last(seen, 'key'):.0f} ms after the key")
    notebook.run(2)
    decoded = [float(stamp) for stamp in notebook.output(2).inner_text().split()]
    shown = seen["pictures"][: len(decoded) - 1]
    delays = [at - stamp for at, stamp in zip(shown, decoded, strict=False)]
    print(f"partial image, decoded to on screen: median {statistics.median(delays):.0f} ms of {len(delays)}")


def later_cards(notebook: NotebookPage) -> None:
    """Measure the cards after the first."""
    delays = []
    for index in range(REPEATS):
        notebook.run(3 + index)
        seen = noted(notebook)
        delays.append(last(seen, "card") - last(seen, "key"))
    print(f"later cards: median {statistics.median(delays):.0f} ms after the key, worst {max(delays):.0f}")


def ending(notebook: NotebookPage, index: int, what: str) -> None:
    """Measure from a click to the end of the cell."""
    notebook.ended(index)
    notebook.page.wait_for_function("noted.end.at(-1) > noted.key.at(-1)")
    seen = noted(notebook)
    print(f"{what} to the end of the cell: {last(seen, 'end') - last(seen, 'key'):.0f} ms")


PANEL = """from gradient_notebook import Panel
panel = Panel("picture", size="1536x1024", quality="high", partial_images=3)
panel"""
MANY = """import gc, os, threading
from pathlib import Path
from ipywidgets.widgets.widget import _instances
def megabytes():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
async def use(count):
    for _ in range(count):
        panel = Panel("used", prompt="A low sun", quality="low")
        panel._ipython_display_()
        await panel.generate()
        panel.close()
    return f"{megabytes():.0f} MB, {threading.active_count()} threads, {len(_instances)} widgets"
"""
# In each animation frame: when Generate was clicked, when the job stood there, and when another picture did.
WATCH_PANEL = """() => {
  window.noted = { click: [], stands: [], pictures: [] };
  const now = () => performance.timeOrigin + performance.now();
  addEventListener("pointerup", (e) => e.target.closest(".gradient-form-generate") && noted.click.push(now()), true);
  let job = "", source = "";
  const look = () => {
    const tile = document.querySelector(".gradient-gallery [data-status='running']");
    if (tile && tile.dataset.name !== job) { job = tile.dataset.name; noted.stands.push(now()); }
    const image = document.querySelector(".gradient-grid .gradient-picture");
    if (image?.complete && image.src && image.src !== source) { source = image.src; noted.pictures.push(now()); }
    requestAnimationFrame(look);
  };
  look();
}"""


def measure_panel() -> None:
    """Use panels, and print the figures."""
    cells = [STAMP, PANEL, "print(*stamps)", MANY, "said = await use(10)", "said", "said = await use(40)", "said"]
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder)).running() as lab, browser() as chromium:
        path = lab.write("panel.ipynb", cells)
        notebook = NotebookPage(chromium.new_page(viewport={"width": 1100, "height": 1000}), lab, path.name)
        notebook.run(0)
        notebook.run(1)
        before = path.stat().st_size
        panel = notebook.output(1)
        panel.get_by_label("Prompt").fill(PROMPT)
        notebook.page.evaluate(WATCH_PANEL)
        for count in range(1, REPEATS + 1):
            panel.get_by_role("button", name="Generate").click()
            notebook.page.wait_for_function(f"noted.stands.length === {count}")
            panel.get_by_role("button", name="Download").wait_for()
        notebook.run(2)
        panel_figures(noted(notebook), [float(stamp) for stamp in notebook.output(2).inner_text().split()])
        notebook.save()
        print(f"a panel with {REPEATS} results adds {(path.stat().st_size - before) / 1000:.0f} kB to the notebook")
        for index in range(3, len(cells)):
            notebook.run(index, timeout_s=600)
        for index, count in ((5, 10), (7, 50)):
            notebook.cell(index).scroll_into_view_if_needed()  # what is out of sight is not in the page
            notebook.output(index).get_by_text("threads").wait_for()
            held = re.search(r"\d+ MB.*widgets", notebook.output(index).inner_text())
            print(f"after {count} panels opened, used and closed: {held[0] if held else 'no figures'}")


def panel_figures(seen: dict[str, Any], decoded: list[float]) -> None:
    """Print how long a click and a picture take, and how many pictures were seen."""
    clicks = [at - clicked for at, clicked in zip(seen["stands"], seen["click"], strict=True)]
    print(f"Generate to its tile: median {statistics.median(clicks):.0f} ms, worst {max(clicks):.0f}")
    print(f"pictures sent {len(decoded)}, seen in the panel {len(seen['pictures'])}")
    if len(decoded) == len(seen["pictures"]):
        delays = [at - stamp for at, stamp in zip(seen["pictures"], decoded, strict=True)]
        finished = delays[3::4]
        partial = [delay for delay in delays if delay not in finished]
        for what, some in (("partial image", partial), ("finished image", finished)):
            print(f"{what}, decoded to on screen: median {statistics.median(some):.0f} ms, worst {max(some):.0f}")


if __name__ == "__main__":
    measure()
    measure_panel()
