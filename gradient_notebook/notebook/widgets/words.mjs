// @ts-check
// What is said of a job, as far as a browser says it: times pass there, and states end.

/** @import { Job, Status, Tile, Wait } from "./live.mjs" */

/**
 * @param {number} seconds
 * @returns {string} as `7.4 s` or `1 min 7 s`
 */
export function duration(seconds) {
  const tenths = Math.floor(seconds * 10) / 10;
  if (tenths < 60) return `${tenths.toFixed(1)} s`;
  return `${Math.floor(tenths / 60)} min ${Math.floor(tenths % 60)} s`;
}

/**
 * How far the work is, 0 to 1. The last picture takes as long as the others, so the bar never stands at its end.
 * @param {number} done
 * @param {number} steps
 */
export function fraction(done, steps) {
  return Math.min(1, (done + 0.25) / (steps + 0.25));
}

/**
 * Why nothing happens, counted down.
 * @param {Wait} wait
 * @param {number} passed seconds since it was told
 */
export function countdown({ words, seconds }, passed) {
  return seconds > 0 ? `${words} ${duration(Math.max(0, seconds - passed))}` : words;
}

/**
 * What a screen reader says about the state of things.
 * @param {Pick<Job, "status" | "tiles" | "steps" | "steps_done" | "note" | "wait">} job
 */
export function announcement({ status, tiles, steps, steps_done, note, wait }) {
  if (hasEnded(status)) return `Image ${status === "unknown" ? "failed" : status}`;
  if (wait?.words) return countdown(wait, 0);
  if (tiles.length > 1) return note;
  const partials = Math.min(steps_done, steps - 1); // the last step is the image itself, told at the end
  return partials ? `Partial image ${partials} of ${steps - 1}` : "Waiting for the first image";
}

/**
 * Whether nothing more comes.
 * @param {Status} status
 */
export function hasEnded(status) {
  return status !== "queued" && status !== "running";
}

/** @param {Tile} tile */
export function cameToNothing({ status }) {
  return hasEnded(status) && status !== "done";
}

/** What an empty place says that is alone. @param {Job} job */
export function waitingFor(job) {
  return job.partial_images ? "waiting for the first partial image" : "waiting for the image";
}
