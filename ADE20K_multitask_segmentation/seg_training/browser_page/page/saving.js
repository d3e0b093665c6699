// A zip of masks, overlay and JSON, at the picture's own size.

import { zipSync } from "./runtime/fflate.js";
import { greyPng } from "./grey_png.js";
import { compete, maskValues, measured, noWinners, probabilities, thresholdOf, tint } from "./maps.js";

const MOST_LETTERS = 50; // of a class in a file's name: each may take 4 of the 255 bytes there are

/** Save what was found, [task, { logits }] of each class, and tasks left out; `told` is told how far it is. */
export async function saveZip(picture, found, model, { threshold, opacity }, told, leftOut) {
  const [cropHeight, cropWidth] = model.crop_size;
  const { name: image, width, height } = picture;
  const files = {}, classes = [];
  const winners = noWinners(width * height); // at this size maps of all classes would fill the memory
  for (const [task, { logits }] of found) {
    told(`Saving: mask ${classes.length + 1} of ${found.length} …`);
    await new Promise((done) => setTimeout(done)); // the page shows it
    const { name } = model.classes[task];
    const map = probabilities(logits, cropWidth, cropHeight, width, height);
    const least = thresholdOf(task, model, threshold);
    const { share, confidence, box } = measured(map, width, least);
    const letters = [...name.replace(/[^\p{L}\p{M}\p{N}_-]+/gu, "_")].slice(0, MOST_LETTERS).join("");
    const stem = letters.replace(/^_+|_+$/g, "");
    const mask = `${String(task).padStart(3, "0")}_${stem}_mask.png`;
    files[mask] = greyPng(maskValues(map, least), width, height);
    compete(winners, task, map, least, model);
    const said = { class: name, task_id: task };
    if (model.thresholds) said.threshold = least;
    if (picture.presence) {
      const presence = picture.presence[task];
      said.presence = Number.isNaN(presence) ? null : presence;
    }
    classes.push({ ...said, share_percent: 100 * share, confidence, box, mask });
  }
  const painted = new Uint8ClampedArray(picture.pixels);
  tint(painted, width, winners, model.classes, opacity);
  files["overlay.png"] = await colourPng(painted, width, height);
  const result = { image, width, height, threshold: model.thresholds ? null : threshold, classes };
  if (leftOut.length) {
    const named = (task) => ({ class: model.classes[task].name, task_id: task, presence: picture.presence[task] });
    result.not_found = leftOut.map(named);
  }
  files["result.json"] = new TextEncoder().encode(JSON.stringify(result, null, 1));
  const zip = new Blob([zipSync(files, { level: 0 })], { type: "application/zip" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(zip);
  link.download = `${image.replace(/\.[^.]*$/, "")}_masks.zip`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // some browsers read it only then
}

async function colourPng(pixels, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/png" });
  return new Uint8Array(await blob.arrayBuffer());
}
