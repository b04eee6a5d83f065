// @ts-check
// What ends out of sight is told in a corner of the window, with a way to it.

import { make, makeButton } from "./dom.mjs";

/** How long a notice stays, in milliseconds: bad news stay longer. */
const STAYS_MS = 8_000;
const BAD_STAYS_MS = 20_000;
const LOOK_MS = 250;
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
  /** @type {Element | null} */
  cell = null;

  constructor() {
    corner(); // it has to be there before it speaks
  }

  /** Note where it is, while it is seen: a notebook may take cells out of the page that are scrolled away. @param {Element} element */
  note(element) {
    this.cell = element.closest(".jp-Cell");
    this.scroller = element.closest(".jp-WindowedPanel-outer");
    this.top = this.scroller?.scrollTop ?? 0;
  }

  /** Whether it has left the page for good: a whole cell may be scrolled away, and come back. @param {Element} element */
  isGone(element) {
    return !element.isConnected && (!this.scroller?.isConnected || this.cell?.isConnected === true);
  }

  /** Scroll to it. @param {Element} element @returns {Promise<boolean>} whether it is still there */
  async show(element) {
    if (!element.isConnected && this.scroller) {
      this.scroller.scrollTop = this.top;
      await new Promise((resolve) => setTimeout(resolve, PUT_BACK_MS));
    }
    if (!element.isConnected) return false;
    const isHigh = element.getBoundingClientRect().height > innerHeight * ALL_OF_IT;
    element.scrollIntoView({ block: isHigh ? "start" : "nearest" });
    return true;
  }
}

/**
 * What is told of several at once.
 * @param {number} done images @param {number} missing those that did not come
 */
export function together(done, missing) {
  const images = `${done} image${done === 1 ? "" : "s"} done`;
  return missing ? `${images} · ${missing} not` : images;
}

/**
 * How long a notice still stays, after one look at it.
 * @param {number} left in milliseconds @param {boolean} isHeld whether somebody is about to use it, or nobody can see it
 */
export function staying(left, isHeld) {
  return isHeld ? left : Math.max(0, left - LOOK_MS);
}

/**
 * Tell what has ended out of sight, for a while, or until it is seen. A newer notice takes the place of an older one, and
 * counts its images, too.
 * @param {{ what: string, done: number, missing: number, prompt: string, element: Element, spot: Spot, then: () => void }} ended
 */
export function notify({ what, done, missing, prompt, element, spot, then }) {
  const place = corner();
  const before = place.firstElementChild;
  // On the page, not in a variable: each widget has a copy of this module.
  const [doneBefore = 0, missingBefore = 0] = before?.getAttribute("data-told")?.split(" ").map(Number) ?? [];
  const [allDone, allMissing] = [doneBefore + done, missingBefore + missing];
  const root = make("div", "notice");
  root.dataset.told = `${allDone} ${allMissing}`;
  const words = make("div", "words", root);
  make("div", "prompt", words).textContent = before ? together(allDone, allMissing) : what;
  const line = make("div", "line", words);
  line.textContent = prompt;
  line.dir = "auto";
  const show = makeButton("Show", root);
  const dismiss = makeButton("Dismiss", root);
  place.replaceChildren(root);
  const over = new AbortController();
  const end = () => {
    over.abort();
    root.remove();
  };
  show.addEventListener("click", async () => {
    if (await spot.show(element)) {
      end();
      then();
    } else {
      line.textContent = "Its output is no longer in the notebook.";
      show.remove();
    }
  });
  dismiss.addEventListener("click", end);
  watch(element, over.signal, (isSeen) => isSeen && end());
  let left = allMissing ? BAD_STAYS_MS : STAYS_MS;
  const timer = setInterval(() => {
    left = staying(left, root.matches(":hover, :focus-within") || document.hidden);
    if (!left || !root.isConnected || spot.isGone(element)) end();
  }, LOOK_MS);
  over.signal.addEventListener("abort", () => clearInterval(timer));
}
