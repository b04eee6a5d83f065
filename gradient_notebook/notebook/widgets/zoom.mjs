// @ts-check
// Zoom and pan as numbers: where a picture stands in its pane.

/**
 * @typedef {{ scale: number, x: number, y: number }} Zoom times what fits, and the picture's point in the pane's middle, 0 to 1
 * @typedef {{ width: number, height: number }} Size
 * @typedef {{ left: number, top: number, width: number, height: number }} Box
 */

/** CSS pixels that one of the picture's is at most. */
const LARGEST_PIXEL = 8;

/** @returns {Zoom} all of the picture */
export function whole() {
  return { scale: 1, x: 0.5, y: 0.5 };
}

/** How large a pixel is where all of the picture fits. @param {Size} pane @param {Size} picture */
export function fit(pane, picture) {
  return Math.min(pane.width / picture.width, pane.height / picture.height) || 1;
}

/** @param {Zoom} zoom @param {Size} pane @param {Size} picture @returns {Box} in pixels of the pane */
export function placed({ scale, x, y }, pane, picture) {
  const pixel = fit(pane, picture) * scale;
  const width = picture.width * pixel;
  const height = picture.height * pixel;
  return { left: pane.width / 2 - x * width, top: pane.height / 2 - y * height, width, height };
}

/** Whether it is larger than its pane. @param {Zoom} zoom @param {Size} pane @param {Size} picture */
export function canPan(zoom, pane, picture) {
  const { width, height } = placed(zoom, pane, picture);
  return width > pane.width + 1 || height > pane.height + 1;
}

/** @param {number} point @param {number} length @param {number} room */
function within(point, length, room) {
  const margin = Math.min(0.5, room / 2 / length);
  return Math.min(1 - margin, Math.max(margin, point));
}

/** As near as it may be: neither too small nor too large, and no ground beside it without need. @param {Zoom} zoom @param {Size} pane @param {Size} picture @returns {Zoom} */
export function bounded(zoom, pane, picture) {
  const pixel = fit(pane, picture);
  const scale = Math.min(Math.max(1, LARGEST_PIXEL / pixel), Math.max(Math.min(1, 1 / pixel), zoom.scale));
  const { width, height } = placed({ ...zoom, scale }, pane, picture);
  return { scale, x: within(zoom.x, width, pane.width), y: within(zoom.y, height, pane.height) };
}

/**
 * Larger or smaller, with the point under `at` where it is.
 * @param {Zoom} zoom @param {number} factor @param {{ x: number, y: number }} at @param {Size} pane @param {Size} picture
 */
export function zoomed(zoom, factor, at, pane, picture) {
  const { scale } = bounded({ ...zoom, scale: zoom.scale * factor }, pane, picture);
  const before = placed(zoom, pane, picture);
  const after = placed({ ...zoom, scale }, pane, picture);
  const x = (at.x - before.left) / before.width + (pane.width / 2 - at.x) / after.width;
  const y = (at.y - before.top) / before.height + (pane.height / 2 - at.y) / after.height;
  return bounded({ scale, x, y }, pane, picture);
}

/** Moved by pixels of the pane. @param {Zoom} zoom @param {number} dx @param {number} dy @param {Size} pane @param {Size} picture */
export function panned(zoom, dx, dy, pane, picture) {
  const { width, height } = placed(zoom, pane, picture);
  return bounded({ ...zoom, x: zoom.x - dx / width, y: zoom.y - dy / height }, pane, picture);
}

/** Pixel by pixel. @param {Zoom} zoom @param {Size} pane @param {Size} picture */
export function actual(zoom, pane, picture) {
  return bounded({ ...zoom, scale: 1 / fit(pane, picture) }, pane, picture);
}
