// @ts-check
// What ends out of sight is told in a corner of the window, with a way to it.

import { make, makeButton } from "./dom.mjs";

const MOST = 3;
const SEEN = 0.25;
/** Of the window's height is there for a cell at most. */
const ALL_OF_IT = 0.7;
const PUT_BACK_MS = 100;

/**
 * Whether enough of something is in view to have been noticed.
 * @param {Pick<IntersectionObserverEntry, "intersectionRect" | "boundingClientRect">} entry
 * @param {number} height of the window
 */
export function isNoticed({ intersectionRect: seen, boundingClientRect: whole }, height) {
  return seen.height > 0 && seen.height >= SEEN * Math.min(whole.height, height);
}

/**
 * Tell whether an element is seen, from now on.
 * @param {Element} element @param {AbortSignal} signal @param {(isSeen: boolean) => void} tell
 */
export function watch(element, signal, tell) {
  const steps = Array.from({ length: 21 }, (_, index) => index / 20);
  const observer = new IntersectionObserver(
    (entries) => tell(entries.slice(-1).some((entry) => isNoticed(entry, innerHeight))),
    { threshold: steps },
  );
  observer.observe(element);
  signal.addEventListener("abort", () => observer.disconnect());
}

/** The corner of all notices, which a screen reader hears. */
function corner() {
  const there = document.querySelector(".gradient-corner");
  if (there) return there;
  const made = make("div", "corner", document.body);
  made.setAttribute("role", "status");
  return made;
}

/** Where something stands in a notebook, to find it again when it has been scrolled away. */
export class Spot {
  top = 0;
  /** @type {Element | null} */
  scroller = null;

  constructor() {
    corner(); // it has to be there before it speaks
  }

  /** Note where it is, while it is seen: a notebook may take cells out of the page that are scrolled away. @param {Element} element */
  note(element) {
    this.scroller = element.closest(".jp-WindowedPanel-outer");
    this.top = this.scroller?.scrollTop ?? 0;
  }

  /** Scroll to it. @param {Element} element */
  async show(element) {
    if (!element.isConnected && this.scroller) {
      this.scroller.scrollTop = this.top;
      await new Promise((resolve) => setTimeout(resolve, PUT_BACK_MS));
    }
    const isHigh = element.getBoundingClientRect().height > innerHeight * ALL_OF_IT;
    element.scrollIntoView({ block: isHigh ? "start" : "nearest" });
  }
}

/**
 * Tell what has ended out of sight, until it is seen.
 * @param {{ what: string, prompt: string, element: Element, spot: Spot, then: () => void }} ended
 */
export function notify({ what, prompt, element, spot, then }) {
  const place = corner();
  const root = make("div", "notice", place);
  const words = make("div", "words", root);
  make("div", "prompt", words).textContent = what;
  const line = make("div", "line", words);
  line.textContent = prompt;
  line.dir = "auto";
  const show = makeButton("Show", root);
  const dismiss = makeButton("Dismiss", root);
  const over = new AbortController();
  const end = () => {
    over.abort();
    root.remove();
  };
  show.addEventListener("click", async () => {
    end();
    await spot.show(element);
    then();
  });
  dismiss.addEventListener("click", end);
  watch(element, over.signal, (isSeen) => isSeen && end());
  while (place.children.length > MOST) place.firstElementChild?.remove();
}
