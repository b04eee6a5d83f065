"""Measure what a person waits for in a real JupyterLab, beside a cell that uses the SDK: `make figures`.

The simulator is a process of its own. A gate stands before it: it holds each answer until all of it has been painted,
so that no painting disturbs, and lets one event through at a time; when its last byte goes out is where the way of a
picture to the screen begins, the same for every contestant. Milliseconds do not travel to another machine.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from gate import Gate
from lab import Lab, NotebookPage, browser
from playwright.sync_api import Browser, Locator, Page
from table import drawn

ROOT = Path(__file__).parent.parent.parent
BENCH = ROOT / ".venv-bench"
RESULT = ROOT / "build" / "figures.json"
REPEATS = 5
PARTIALS = 3
BETWEEN_S = 0.2
"""The rest of an event has been read when its last byte comes, as on a network that is slower than its reader."""

PROMPT = "A low sun over blue hills, film grain"
KEY = "sk-do-for-figures-only"
OURS = f"%%imagegen picture --size 1536x1024 --quality high -p {PARTIALS}\n{PROMPT}"
PANEL = f"""from gradient_notebook import Panel
panel = Panel("picture", size="1536x1024", quality="high", partial_images={PARTIALS})
panel"""
NAIVE = f"""import base64, openai
from IPython.display import Image, display
client = openai.OpenAI(base_url=endpoint + "/v1", api_key={KEY!r})
shown = None
for event in client.images.generate(
    prompt={PROMPT!r},
    model="openai-gpt-image-1",
    n=1,
    size="1536x1024",
    quality="high",
    stream=True,
    partial_images={PARTIALS},
):
    picture = Image(base64.b64decode(event.b64_json))
    if shown is None:
        shown = display(picture, display_id=True)
    else:
        shown.update(picture)"""

LIVE, ORDINARY = ".gradient-grid .gradient-picture", ".jp-OutputArea-output > img"
"""Where pictures are: those of a card or a panel, and those that a cell displays."""
FAILED = ".jp-Notebook [data-mime-type='application/vnd.jupyter.error']"

# Notes when something was done, and in which animation frame what is waited for was there; in the clock of the gate.
WATCH = """(where) => {
  const clear = () => { window.noted = { done: [], card: [], tile: [], pictures: [], end: [] }; };
  clear();
  window.clearNoted = clear;
  addEventListener("keydown", (e) => e.key === "Enter" && noted.done.push(Date.now()), true);
  addEventListener("click", () => noted.done.push(Date.now()), true);
  const last = {};
  const note = (name, found) => {
    if (found && found !== last[name]) noted[name].push(Date.now());
    last[name] = found;
  };
  const look = () => {
    note("card", document.querySelector(".gradient-card"));
    note("tile", document.querySelector(".gradient-gallery [data-status='running']")?.dataset.name);
    const image = document.querySelector(where);
    // Each output that is replaced is another element; the live picture is one, with another source.
    if (image?.complete && image.naturalWidth && image.isConnected) {
      if (image !== last.image || image.getAttribute("src") !== last.source) noted.pictures.push(Date.now());
      last.image = image;
      last.source = image.getAttribute("src");
    }
    const isRunning = [...document.querySelectorAll(".jp-InputPrompt")].some((p) => p.textContent.includes("*"));
    note("end", isRunning ? false : "ended");
    requestAnimationFrame(look);
  };
  look();
}"""


class NothingMeasuredError(Exception):
    """A figure has no data: what it was to be measured by did not happen."""


@dataclass(frozen=True)
class Figure:
    """One line of the result: the median of the values, and what the cell with the SDK needs for the same."""

    what: str
    unit: str
    values: Sequence[float]
    target: float | None = None
    naive: Sequence[float] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for whose, values in (("ours", self.values), ("naive", self.naive)):
            if values is not None and not values:
                raise NothingMeasuredError(f"{self.what}, {whose}")

    @property
    def reached(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def is_missed(self) -> bool:
        """Whether the target is missed."""
        return self.target is not None and self.reached > self.target

    def line(self) -> tuple[str, ...]:
        """Return the cells of its line."""
        target = "" if self.target is None else f"<= {self.target:g}{' (missed)' if self.is_missed else ''}"
        spread = f"{min(self.values):,.0f} to {max(self.values):,.0f}" if len(self.values) > 1 else ""
        naive = "" if self.naive is None else f"{statistics.median(self.naive):,.0f}"
        return self.what, self.unit, f"{self.reached:,.0f}", spread, target, naive, self.note


HEADINGS = ("what", "unit", "median", "from to", "target", "SDK + display", "note")


def delays(what: str, begun: Sequence[float], seen: Sequence[float]) -> list[float]:
    """Return how long after its beginning each thing was seen, in ms; raise if there is not one for the other."""
    if not begun or len(begun) != len(seen):
        raise NothingMeasuredError(f"{what}: {len(begun)} began, {len(seen)} were seen")
    found = [end - start for start, end in zip(begun, seen, strict=True)]
    if min(found) < 0:
        raise NothingMeasuredError(f"{what}: seen {-min(found):.0f} ms before it began")
    return found


class Watched:
    """A notebook whose page notes what happens when."""

    def __init__(self, page: Page, lab: Lab, gate: Gate, name: str, *cells: str, picture: str = LIVE) -> None:
        self.path = lab.write(name, cells)  # of a name of its own: two notebooks of one name share a kernel
        self.gate = gate
        self.notebook = NotebookPage(page, lab, self.path.name)
        self.notebook.page.evaluate(WATCH, picture)
        self.notebook.run(0)

    def close(self) -> None:
        """Close the page."""
        self.notebook.page.close()

    def clear(self) -> None:
        """Forget what has been noted so far."""
        self.notebook.page.evaluate("clearNoted()")

    def noted(self, name: str, count: int = 1) -> list[float]:
        """Return the first `count` times that something has happened, in ms, and wait for them."""
        page = self.notebook.page
        page.wait_for_function(f"noted.{name}.length >= {count} || document.querySelector({FAILED!r})")
        found: list[float] = page.evaluate(f"noted.{name}.slice(0, {count})")
        if len(found) < count:
            raise NothingMeasuredError(f"{name}: {page.locator(FAILED).first.inner_text()}")
        return found

    def since_done(self, what: str, name: str) -> list[float]:
        """Return how long after the last key or click something was first seen."""
        seen = self.noted(name)
        return delays(what, self.notebook.page.evaluate("noted.done.slice(-1)"), seen)

    def first_picture(self, index: int) -> list[float]:
        """Run a cell with all doors open; return how long after the key its first picture was there."""
        self.gate.open()
        self.clear()
        self.notebook.run(index)
        return self.since_done("first picture", "pictures")

    def partials(self, what: str, begin: Callable[[], None]) -> list[float]:
        """Return how long each partial image takes from its last byte to the screen, and let all come to its end."""
        self.gate.close()
        self.clear()
        begin()
        if not self.gate.wait_for(PARTIALS + 1):
            raise NothingMeasuredError(f"{what}: {PARTIALS + 1} events were to come")
        for count in range(1, PARTIALS + 1):
            time.sleep(BETWEEN_S)
            self.gate.allow(count)
            self.noted("pictures", count)
        found = delays(what, [at * 1000 for at in self.gate.passed], self.noted("pictures", PARTIALS))
        self.gate.open()
        return found

    def size(self) -> int:
        """Return the bytes of the saved notebook."""
        self.notebook.save()
        return self.path.stat().st_size


@dataclass(frozen=True)
class Session:
    """What a cell shows when it runs for the first time in a kernel, and then again and again."""

    first: list[float]
    later: list[float]
    partials: list[float]
    kilobytes: float
    cards: list[float]


def session(watched: Watched, index: int, *, has_card: bool) -> Session:
    """Run cell `index` of a new kernel as often as is needed."""
    before = watched.size()
    first = watched.first_picture(index)
    cards = watched.since_done("card", "card") if has_card else []
    kilobytes = (watched.size() - before) / 1000
    later = watched.first_picture(index)
    partials = []
    for _ in range(REPEATS):
        partials += watched.partials("partial image of a cell", lambda: watched.notebook.begin(index))
        watched.notebook.ended(index)
        cards += watched.since_done("card", "card") if has_card else []
    return Session(first, later, partials, kilobytes, cards)


def stopping(watched: Watched, index: int, button: Locator) -> list[float]:
    """Return how long after a click a cell that has shown one picture has ended."""
    watched.gate.close()
    watched.clear()
    watched.notebook.begin(index)
    watched.gate.allow(1)
    watched.noted("pictures")
    watched.clear()
    button.click()
    found = watched.since_done("end of the cell", "end")
    watched.gate.open()
    return found


def panel(watched: Watched, index: int) -> tuple[list[float], list[float]]:
    """Return how long after a click on Generate its place is there, and how long its partial images take."""
    watched.notebook.run(index)
    output = watched.notebook.output(index)
    output.get_by_label("Prompt", exact=True).fill(PROMPT)
    generate = output.get_by_role("button", name="Generate", exact=True)
    tiles: list[float] = []
    partials = []

    def begin() -> None:
        generate.click()
        tiles.extend(watched.since_done("place of a generation", "tile"))

    for count in range(1, REPEATS + 1):
        partials += watched.partials("partial image of a panel", begin)
        done = output.locator(".gradient-gallery [data-status='done']")
        done.nth(count - 1).wait_for()
        watched.noted("pictures", PARTIALS + 1)  # the finished one, which would count as the next one's first
    return tiles, partials


def measure(peers: Path) -> list[Figure]:
    """Run everything once."""
    load = "import os\nos.environ |= " + repr({"MODEL_ACCESS_KEY": KEY})
    with ExitStack() as stack:
        gate = stack.enter_context(Gate(stack.enter_context(simulator())))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lab = stack.enter_context(Lab(folder, {"GRADIENT_INFERENCE_ENDPOINT": gate.url}).running())
        chromium = stack.enter_context(browser())
        cell = Watched(new_page(chromium), lab, gate, "cell.ipynb", f"%load_ext gradient_notebook\n{load}", OURS)
        ours = session(cell, 1, has_card=True)
        cancel = stopping(cell, 1, cell.notebook.output(1).locator(".gradient-cancel"))
        interrupt = stopping(cell, 1, cell.notebook.page.get_by_title("Interrupt the kernel").first)
        cell.close()
        in_panel = Watched(new_page(chromium), lab, gate, "panel.ipynb", load, PANEL)
        tiles, panel_partials = panel(in_panel, 1)
        in_panel.close()
        setup = f"import sys\nsys.path.append({str(peers)!r})\nendpoint = {gate.url!r}"
        plain = Watched(new_page(chromium), lab, gate, "naive.ipynb", setup, NAIVE, picture=ORDINARY)
        naive = session(plain, 1, has_card=False)
    service = "the service's own time in it"
    return [
        Figure("key pressed to card on screen, first cell of a session", "ms", ours.cards[:1], 100),
        Figure("key pressed to card on screen, later cells", "ms", ours.cards[1:], 70),
        Figure("key pressed to first picture, first cell of a session", "ms", ours.first, None, naive.first, service),
        Figure("key pressed to first picture, a later cell", "ms", ours.later, None, naive.later, service),
        Figure("last byte of a partial image to pixels, cell", "ms", ours.partials, 60, naive.partials),
        Figure("last byte of a partial image to pixels, panel", "ms", panel_partials, 60),
        Figure("one finished 1536x1024 image in the notebook", "kB", [ours.kilobytes], 60, [naive.kilobytes]),
        Figure("Cancel to the end of the cell", "ms", cancel),
        Figure("Interrupt to the end of the cell", "ms", interrupt),
        Figure("click on Generate to its place in the panel", "ms", tiles),
    ]


def new_page(chromium: Browser) -> Page:
    """Open a page as large as all that is looked at."""
    return chromium.new_page(viewport={"width": 1100, "height": 1600})


@contextmanager
def simulator() -> Iterator[str]:
    """A simulator in a process of its own; its address."""
    command = [sys.executable, "-m", "gradient_notebook.simulator", "--seconds-per-image", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().strip()
            if not url:
                raise NothingMeasuredError("The simulator did not start.")
            yield url
        finally:
            process.terminate()


def site_packages(environment: Path) -> Path:
    """Return where the environment of the peers has its packages; the SDK has to be there."""
    found = next(environment.glob("lib/python*/site-packages/openai"), None)
    if found is None:
        sys.exit(f"{environment} has no openai: `make figures` installs it.")
    return found.parent


def report(figures: Sequence[Figure]) -> Mapping[str, object]:
    """Return what is written as JSON."""
    machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
    return {"machine": machine, "repeats": REPEATS, "figures": [asdict(one) for one in figures]}


def main() -> None:
    """Print the table, and write the JSON beside it."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    figures = measure(site_packages(Path(sys.argv[1]) if sys.argv[1:] else BENCH))
    print(drawn([HEADINGS, *(figure.line() for figure in figures)]))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(report(figures), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
