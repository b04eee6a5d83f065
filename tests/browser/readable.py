"""What a page measures of its own: the contrast of its texts, and what stands over an edge."""

from __future__ import annotations

from lab import NotebookPage
from playwright.sync_api import Locator

# The contrast of the text of one element.
CONTRAST = """(selector) => {
  const element = document.querySelector(selector);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  let ground = element;
  while (ground && rgb(getComputedStyle(ground).backgroundColor)[3] < 255) ground = ground.parentElement;
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const [a, b] = [rgb(getComputedStyle(element).color), rgb(getComputedStyle(ground).backgroundColor)].map(light);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""

# The contrast of every visible text that is neither on a picture nor of a control that is disabled.
CONTRASTS = f"""(root) => {{
  const contrast = {CONTRAST};
  const found = [];
  const own = (e) => [...e.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  for (const element of root.querySelectorAll("*")) {{
    const isText = own(element) || (element.matches("input, textarea") && element.value);
    if (!isText || !element.checkVisibility({{ visibilityProperty: true }}) || element.closest("option, select[disabled]")) continue;
    if (element.matches(".gradient-badge, .gradient-spoken, style, :disabled, input[type=range]")) continue;
    element.dataset.probe = "";
    found.push([contrast("[data-probe]"), `${{element.className}}: ${{(element.value ?? element.textContent).slice(0, 30)}}`]);
    delete element.dataset.probe;
  }}
  return found;
}}"""

# What of the panel stands over its edge or the window's: a film can be scrolled, a pane cuts off what is in it.
OVER_THE_EDGE = """(root) => {
  const edge = Math.min(innerWidth, root.getBoundingClientRect().right) + 0.5;
  const visible = [...root.querySelectorAll("*")].filter((e) => e.checkVisibility({ visibilityProperty: true }));
  return [root, ...visible]
    .filter((e) => !e.closest(".gradient-gallery .gradient-tile, .gradient-pane, .gradient-spoken, option"))
    .filter((e) => e.getBoundingClientRect().right > edge || e.getBoundingClientRect().left < root.getBoundingClientRect().left - 0.5)
    .map((e) => `${e.tagName} ${e.className}: ${e.textContent.slice(0, 30)}`);
}"""


LEAST_CONTRAST = 4.5
"""Of text in the size of ours (WCAG 2.2, 1.4.3)."""


def faint(opened: NotebookPage, *shown: Locator) -> list[tuple[str, float, str]]:
    """Return the texts that are hard to read, with the theme and the contrast; the theme is light afterwards."""
    found = []
    for theme in ("Dark", "Light"):
        opened.set_theme(theme)
        for one in shown:
            measured = one.evaluate(CONTRASTS)
            found += [(theme, round(ratio, 2), what) for ratio, what in measured if ratio < LEAST_CONTRAST]
    return found
