"""A card, and what it leaves, that everybody can read and use: whatever the prompt, however many images, of any shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gate import Gate
from lab import NotebookPage
from playwright.sync_api import expect
from readable import OVER_THE_EDGE, faint

Opener = Callable[..., NotebookPage]
COUNTS = (1, 2, 3, 5, 10)
SHAPES = ("1024x1024", "1536x1024", "1024x1536", "2048x768", "auto")
PROMPTS = (
    "A very long prompt about " + "hills and " * 30 + "W" * 120,
    "ثعلب أحمر في الثلج عند الغروب",
    "雪の中の赤い狐、夕暮れ、広い眺め",
    "🦊🌨️ a fox 👩‍👩‍👧‍👦 with its family",
    "A fox",
)
WIDTHS = (1300, 853, 420)

MEASURED = """(card) => {
  const box = (e) => e.getBoundingClientRect();
  const [head, cancel, grid, prompt] = ["head", "cancel", "grid", "prompt"].map((name) => card.querySelector(`.gradient-${name}`));
  const tiles = [...grid.children].map((e) => [box(e).width, box(e).height].map(Math.round).join("x"));
  return {
    tiles: [...new Set(tiles)].length, count: tiles.length,
    height: box(grid).height, onTop: box(head).bottom <= box(grid).top + 1,
    cancel: box(cancel).right <= box(card).right && box(cancel).bottom <= box(head).bottom + 1,
    oneLine: box(prompt).height < 30, direction: getComputedStyle(prompt).direction,
  };
}"""


def test_a_card_is_whole_whatever_it_shows(notebook: Opener, gate: Gate) -> None:
    """Tiles of one size, at most 480 pixels high together; the words in a line, read as they are written; Cancel beside them.

    All shapes, numbers and scripts stand in cells of one page, which wait, and then have ended.
    """
    gate.close()
    cells = [
        f"%%imagegen --no-wait -q low -n {n} --size {shape}\n{prompt}"
        for n, shape, prompt in zip(COUNTS, SHAPES, PROMPTS, strict=True)
    ]
    opened = notebook(*cells)
    for at in range(1, len(cells) + 1):
        opened.run(at)
    cards = [opened.output(at).locator(".gradient-card") for at in range(1, len(cells) + 1)]
    for width in WIDTHS:
        opened.set_width(width)
        for card, n, prompt in zip(cards, COUNTS, PROMPTS, strict=True):
            said = card.evaluate(MEASURED)
            wanted: dict[str, Any] = {"tiles": 1, "count": n, "onTop": True, "cancel": True, "oneLine": True}
            wanted |= {"height": said["height"], "direction": "rtl" if "ثعلب" in prompt else "ltr"}
            assert said == wanted, (width, n)
            assert said["height"] <= 481, (width, n)
            assert card.evaluate(OVER_THE_EDGE) == [], (width, n)
    opened.set_width(1100)
    assert faint(opened, *cards) == []
    gate.open()
    for at, card in enumerate(cards, 1):
        expect(card).to_have_count(0)
        expect(opened.output(at)).to_contain_text("record")
    outputs = [opened.output(at) for at in range(1, len(cells) + 1)]
    assert faint(opened, *outputs) == []
    for output, prompt in zip(outputs, PROMPTS, strict=True):
        height = output.locator(".jp-RenderedImage img").evaluate("e => e.getBoundingClientRect().height")
        assert height <= 481, prompt
