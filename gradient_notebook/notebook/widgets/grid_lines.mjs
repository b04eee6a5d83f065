// @ts-check
// Where the cells of a sweep stand, by arithmetic alone: thousands of them must not cost anything until they are in view.

/** @import { Plan } from "./grid_store.mjs" */

/**
 * Lines of cells. Each row of a table is one; where cells wrap, each row is a heading, if it has words, and lines below it.
 * @typedef {{
 *   columns: number, tile: number, picture: number, label: number, gap: number, line: number, heading: number,
 *   each: number, count: number, height: number, width: number, across: number, total: number,
 * }} Lines lengths in CSS pixels
 * `each` is how many lines a row has, `heading` the height of the one that only has words, or 0
 */

const GAP = 6;
const NARROWEST = 92;
const WIDEST = 220;
const USUAL = 150;
const NARROW = 700;
const BELOW = 2;
const NOTE = 18; // a line of it
const CAPTION = 19;

/**
 * @param {Pick<Plan, "columns" | "rows" | "across" | "captions" | "count">} plan
 * @param {number} width of the place that it is in
 * @param {number} shape width over height of a picture
 * @param {number} notes lines below a picture
 * @returns {Lines}
 */
export function linesOf(plan, width, shape, notes = 1) {
  const isTable = plan.columns.length > 0;
  const label = isTable ? (width < NARROW ? 88 : 132) : 0;
  const room = width - label - (isTable ? GAP : 0);
  const usual = width < NARROW ? 118 : USUAL;
  const columns = isTable ? plan.across : Math.max(1, Math.min(plan.across, Math.floor((room + GAP) / (usual + GAP))));
  const tile = Math.max(NARROWEST, Math.min(WIDEST, Math.floor((room - (columns - 1) * GAP) / columns)));
  const picture = Math.round(Math.min(tile / shape, tile * 1.5));
  const captioned = plan.captions.some(Boolean);
  const line = picture + BELOW + NOTE * notes + (captioned ? CAPTION : 0) + GAP;
  const heading = !isTable && plan.rows.some(Boolean) ? 28 : 0;
  const each = Math.ceil(plan.across / columns) + (heading ? 1 : 0);
  const rows = Math.ceil(plan.count / plan.across);
  const inEach = heading + (each - (heading ? 1 : 0)) * line;
  const last = plan.count - (rows - 1) * plan.across; // the last row may have been cut off
  const inLast = heading + Math.ceil(last / columns) * line;
  return {
    columns, tile, picture, label, gap: GAP, line, heading, each, across: plan.across, total: plan.count,
    count: (rows - 1) * each + Math.ceil(last / columns) + (heading ? 1 : 0),
    height: (rows - 1) * inEach + inLast,
    width: label + (isTable ? GAP : 0) + columns * (tile + GAP) - GAP,
  };
}

/**
 * Where line `number` stands, and which cells are in it; `heading` is the row whose words it has, or -1.
 * @param {Lines} lines @param {number} number
 */
export function placed(lines, number) {
  const { each, across, columns, heading, line, total } = lines;
  const row = Math.floor(number / each);
  const within = number - row * each;
  const above = row * (heading + (each - (heading ? 1 : 0)) * line);
  if (heading && within === 0) return { heading: row, first: row * across, count: 0, top: above, height: heading };
  const at = within - (heading ? 1 : 0);
  const first = row * across + at * columns;
  const count = Math.max(0, Math.min(columns, row * across + across - first, total - first));
  return { heading: heading || columns < across || lines.label === 0 ? -1 : row, first, count, top: above + heading + at * line, height: line };
}

/** The line that a cell stands in. @param {Lines} lines @param {number} at */
export function lineOf(lines, at) {
  const row = Math.floor(at / lines.across);
  return row * lines.each + (lines.heading ? 1 : 0) + Math.floor((at % lines.across) / lines.columns);
}

/** The lines that stand within `height` from `top` on. @param {Lines} lines @param {number} top @param {number} height */
export function linesWithin(lines, top, height) {
  const { each, heading, line, count } = lines;
  const inEach = heading + (each - (heading ? 1 : 0)) * line;
  /** @param {number} y @returns {number} the line at this height */
  const at = (y) => {
    const row = Math.max(0, Math.floor(y / inEach));
    const within = y - row * inEach;
    return row * each + (heading && within < heading ? 0 : Math.floor((within - heading) / line) + (heading ? 1 : 0));
  };
  const first = Math.max(0, Math.min(count - 1, at(Math.max(0, top))));
  const last = Math.max(0, Math.min(count - 1, at(Math.max(0, top + height))));
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/**
 * The cell that a key leads to, or -1 where it leads nowhere.
 * @param {Lines} lines @param {number} at @param {string} key @param {boolean} far with Ctrl @param {number} page lines
 */
export function moved(lines, at, key, far, page) {
  const { total, columns } = lines;
  const { first, count } = placed(lines, lineOf(lines, at));
  /** @param {number} by lines */
  const down = (by) => {
    let number = lineOf(lines, at);
    for (let left = Math.abs(by); left > 0; ) {
      const next = number + Math.sign(by);
      if (next < 0 || next >= lines.count) break;
      number = next;
      if (placed(lines, number).count) left -= 1;
    }
    const to = placed(lines, number);
    return to.count ? to.first + Math.min(to.count - 1, (at - first) % columns) : at;
  };
  /** @type {Record<string, () => number>} */
  const keys = {
    ArrowRight: () => Math.min(total - 1, at + 1),
    ArrowLeft: () => Math.max(0, at - 1),
    ArrowDown: () => down(1),
    ArrowUp: () => down(-1),
    PageDown: () => down(page),
    PageUp: () => down(-page),
    Home: () => (far ? 0 : first),
    End: () => (far ? total - 1 : first + count - 1),
  };
  return keys[key]?.() ?? -1;
}
