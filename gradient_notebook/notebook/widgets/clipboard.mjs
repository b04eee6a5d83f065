// @ts-check
// What a person takes away: by the clipboard, or as a file.

import { make } from "./dom.mjs";

const NO_CLIPBOARD = "This page may not use the clipboard (it needs https).";
const REVOKE_AFTER_MS = 1600;

/** Pages without https have no clipboard, and some browsers have one for text only. */
const hasClipboard = () => Boolean(navigator.clipboard?.write);

/** The clipboard takes images as PNG only. @param {Blob} blob */
export async function asPng(blob) {
  if (blob.type === "image/png") return blob;
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/png" });
}

/**
 * Copy what is still to come: a browser wants to be asked in the click itself.
 * @param {Record<string, Promise<Blob>>} kinds
 */
export async function copy(kinds) {
  if (!hasClipboard()) throw new Error(NO_CLIPBOARD);
  const plain = Object.fromEntries(Object.entries(kinds).filter(([kind]) => !kind.startsWith("web ")));
  // Formats of one's own need a permission that others do not.
  const write = async (/** @type {typeof kinds} */ some) => navigator.clipboard.write([new ClipboardItem(some)]);
  await write(kinds).catch(() => write(plain));
}

/** @param {Promise<string>} text */
export async function copyText(text) {
  if (hasClipboard()) {
    return copy({ "text/plain": text.then((words) => new Blob([words], { type: "text/plain" })) });
  }
  const words = await text;
  const area = make("textarea", "spoken", document.body); // the way of pages without https
  area.value = words;
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error(NO_CLIPBOARD);
}

/** @param {Blob} blob @param {string} name */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), REVOKE_AFTER_MS);
}
