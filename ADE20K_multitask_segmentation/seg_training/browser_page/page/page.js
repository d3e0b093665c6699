// The page: a picture, the classes that were picked, and what the network says of them.

import { compete, measured, noWinners, planes, probabilities, thresholdOf, tint } from "./maps.js";
import { find, matching, plain } from "./names.js";
import { saveZip } from "./saving.js";

// Pixels of a side on the screen, and those of all classes' maps; files are of the picture's own size.
const MOST_SHOWN = 1400, MOST_KEPT = 2 ** 26;
const REDRAWN_AFTER = 150; // ms: many answers are drawn together

const EVERY = "all"; // asks for every class
const MOST_SAID = 4; // of those that were not looked for

const element = (id) => document.getElementById(id);
const worker = new Worker("network.js", { type: "module" });

let model = null, ready = false;
let picture = null; // { id, name, width, height, pixels (RGBA), presence, shown: { width, height, pixels } }
let encoding = null; // seconds that the picture took
const answers = new Map(); // task to { logits, seconds, map (of the shown size) } or null
let every = false; // all classes were asked for: those that are probably not there are not looked for

// ---- the network --------------------------------------------------------------------------

worker.onmessage = ({ data }) => {
  if (data.kind === "progress") {
    element("progress").value = data.total ? data.loaded / data.total : 0;
  } else if (data.kind === "ready") {
    ready = true;
    element("progress").classList.add("done");
    element("search").disabled = false;
    say(`Ready, on ${data.threads} thread${data.threads > 1 ? "s" : ""}: choose a picture.`);
    drawClasses();
    if (picture) encode();
  } else if (data.kind === "encoded" && data.picture === picture.id) {
    encoding = data.seconds;
    picture.presence = data.presence; // by task, NaN where it is not known; null where nothing tells
    if (every) askEvery();
    tellTimes();
  } else if (data.kind === "logits" && data.picture === picture.id && answers.has(data.task)) {
    const [height, width] = model.crop_size;
    const { width: w, height: h } = picture.shown;
    const map = probabilities(data.logits, width, height, w, h);
    answers.set(data.task, { logits: data.logits, seconds: data.seconds, map });
    tellTimes();
    drawSoon();
  } else if (data.kind === "error") {
    complain(`The network could not run: ${data.text}`);
    element("progress").classList.add("done");
  }
};
worker.onerror = (event) => complain(`The network could not be started: ${event.message}`);

function encode() {
  const [height, width] = model.crop_size;
  const pixels = planes(picture.pixels, picture.width, picture.height, width, height);
  worker.postMessage({ kind: "encode", picture: picture.id, pixels, height, width });
  encoding = null;
  if (every) answers.clear(); // what this picture shows is said when it is encoded
  for (const task of answers.keys()) ask(task);
}

function ask(task) {
  answers.set(task, null);
  if (picture && ready) worker.postMessage({ kind: "ask", picture: picture.id, task });
}

function askEvery() {
  if (picture.presence === undefined) return; // until the picture is encoded
  for (const { task } of model.classes) if (!answers.has(task) && isLikely(task)) ask(task);
  drawClasses();
  draw();
}

/** Whether a class is worth looking for; one of which nobody knows is. */
function isLikely(task) {
  const presence = picture.presence?.[task] ?? NaN;
  return !(presence < (model.presence_least ?? 0));
}

/** The classes of all that were not looked for, the likeliest first. */
function leftOut() {
  if (!every || !picture?.presence) return [];
  const tasks = model.classes.map(({ task }) => task).filter((task) => !answers.has(task));
  return tasks.sort((one, other) => picture.presence[other] - picture.presence[one]);
}

// ---- the picture --------------------------------------------------------------------------

let opened = 0; // pictures that were chosen: the latest counts, whichever is read first

async function open(blob, name) {
  complain("", "picture-message");
  const turn = ++opened;
  await starting; // the model's classes say how large a picture is shown
  // Upright, as its EXIF data says; in the colours that are stored, as everywhere else.
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" }).catch(() => null);
  if (turn !== opened) return;
  if (!bitmap) {
    const still = picture ? ` “${picture.name}” is still here.` : "";
    complain(`“${name}” is no picture that this browser can read.${still}`, "picture-message");
    return;
  }
  const { width, height } = bitmap;
  const room = Math.sqrt(MOST_KEPT / (model.classes.length * width * height));
  const scale = Math.min(1, MOST_SHOWN / Math.max(width, height), room);
  const shown = { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
  shown.pixels = pixelsOf(bitmap, shown.width, shown.height);
  picture = { id: crypto.randomUUID?.() ?? String(Math.random()), name, width, height, shown };
  picture.pixels = pixelsOf(bitmap, width, height);
  element("drop").classList.add("full");
  element("empty").hidden = true;
  element("canvas").hidden = false;
  if (ready) encode();
  if (ready && !answers.size) say("Now pick a class.");
  drawClasses();
  draw();
}

function pixelsOf(bitmap, width, height) {
  const context = canvasOf(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white"; // below what is transparent
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

function canvasOf(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

// ---- what is shown ------------------------------------------------------------------------

const answered = () => [...answers].filter(([, answer]) => answer);

function sliders() {
  const [threshold, opacity] = ["threshold", "opacity"].map((name) => Number(element(name).value));
  return { threshold, opacity };
}

let drawing = null;

function drawSoon() {
  drawing ??= setTimeout(draw, REDRAWN_AFTER);
}

function draw() {
  clearTimeout(drawing);
  drawing = null;
  const { threshold, opacity } = sliders(), found = answered();
  if (picture) {
    const { width, height, pixels } = picture.shown;
    const painted = new Uint8ClampedArray(pixels);
    const winners = noWinners(width * height);
    for (const [task, { map }] of found) compete(winners, task, map, thresholdOf(task, model, threshold), model);
    tint(painted, width, winners, model.classes, opacity);
    const canvas = element("canvas");
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").putImageData(new ImageData(painted, width, height), 0, 0);
  }
  const rows = found.map(([task, answer]) => legendOf(task, answer, threshold));
  const missing = (row) => row.querySelector(".missing") !== null;
  rows.sort((one, other) => missing(one) - missing(other)); // what was found comes first
  element("legend").replaceChildren(...rows);
  element("save").disabled = saving || !found.length;
  const named = leftOut().map((task) => `${model.classes[task].name} (${Math.round(100 * picture.presence[task])} %)`);
  const more = named.length > MOST_SAID ? ` and ${named.length - MOST_SAID} more` : "";
  complain(named.length ? `Not looked for, probably not there: ${named.slice(0, MOST_SAID).join(", ")}${more}.` : "", "left-out");
}

function legendOf(task, answer, threshold) {
  const { name, colour } = model.classes[task];
  const least = thresholdOf(task, model, threshold);
  const { share, confidence, highest } = measured(answer.map, picture.shown.width, least);
  const row = document.createElement("li");
  row.dataset.name = name;
  row.style.setProperty("--colour", `rgb(${colour})`);
  row.append(document.createElement("i"), name);
  const percent = 100 * share;
  const shareText = confidence === null ? "not found" : percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
  row.append(Object.assign(document.createElement("span"), { className: "share", textContent: shareText }));
  const small = document.createElement("small");
  const presence = picture.presence?.[task] ?? NaN;
  const there = Number.isNaN(presence) ? "" : `, ${Math.round(100 * presence)} % likely to be there`;
  const first = confidence === null
    ? `highest probability ${highest.toFixed(2)}`
    : `of the picture, confidence ${confidence.toFixed(2)}`;
  small.textContent = `${first}${there}, ${milliseconds(answer.seconds)}`;
  small.classList.toggle("missing", confidence === null);
  row.append(small);
  return row;
}

function drawClasses() {
  const words = element("search").value;
  const named = matching(words, model);
  const narrowed = words.trim() && named.length;
  const shown = narrowed ? named : model.classes;
  const focused = document.activeElement.dataset.task; // which stays so in the new list
  const every = classButton(`all ${model.classes.length}`, EVERY, allAsked(), toggleAll);
  const buttons = shown.map(({ task, name, colour }) => {
    const button = classButton(name, task, answers.has(task), () => toggle(task));
    button.style.setProperty("--colour", `rgb(${colour})`);
    button.classList.toggle("light", isLight(colour));
    return button;
  });
  element("classes").replaceChildren(...(narrowed ? [] : [every]), ...buttons);
  if (focused) element("classes").querySelector(`[data-task="${focused}"]`)?.focus();
}

function classButton(text, task, pressed, onclick) {
  const button = Object.assign(document.createElement("button"), { type: "button", onclick });
  button.textContent = text;
  button.dataset.task = task;
  button.setAttribute("aria-pressed", String(pressed));
  button.disabled = !ready || !picture;
  return button;
}

/** Whether dark letters are easier to read on a colour. */
function isLight([red, green, blue]) {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 150;
}

function allAsked() {
  return every || answers.size === model.classes.length;
}

function toggleAll() {
  complain("");
  if (!picture) return complain("First choose a picture.");
  every = !allAsked();
  if (every) return askEvery();
  answers.clear();
  drawClasses();
  draw();
}

function toggle(task) {
  complain("");
  if (!picture) return complain("First choose a picture.");
  if (answers.has(task)) {
    answers.delete(task);
    every = false;
  } else ask(task);
  drawClasses();
  draw();
}

function tellTimes() {
  const times = [...answers.values()].filter(Boolean).map(({ seconds }) => seconds);
  const mean = times.reduce((sum, each) => sum + each, 0) / times.length;
  const each = times.length ? `, each class takes ${milliseconds(mean)}` : "";
  if (encoding !== null) say(`Picture encoded once in ${milliseconds(encoding)}${each}.`);
}

const milliseconds = (seconds) => `${Math.max(1, Math.round(1000 * seconds))} ms`;

function say(text) {
  element("status").textContent = text;
}

function complain(text, place = "message") {
  element(place).textContent = text;
  element(place).hidden = !text;
}

// ---- saving -------------------------------------------------------------------------------

let saving = false;

async function save() {
  saving = true;
  element("save").disabled = true;
  try {
    await saveZip(picture, answered(), model, sliders(), say, leftOut());
    tellTimes();
  } catch (error) {
    complain(`The masks could not be saved: ${error.message}`);
  } finally {
    saving = false;
    draw();
  }
}

// ---- what a person does -------------------------------------------------------------------

const drop = element("drop");
drop.onclick = () => element("file").click();
drop.onkeydown = (event) => ["Enter", " "].includes(event.key) && element("file").click();
element("file").onchange = ({ target }) => {
  if (target.files[0]) open(target.files[0], target.files[0].name);
  target.value = ""; // so that the same file can be chosen again
};
document.ondragover = (event) => {
  event.preventDefault();
  drop.classList.add("over");
};
document.ondragleave = () => drop.classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) open(file, file.name);
};
element("search").oninput = () => {
  complain("");
  drawClasses();
};
element("search-form").onsubmit = (event) => {
  event.preventDefault();
  const words = element("search").value;
  if (!words.trim()) return;
  const { found, every, message } = find(words, model);
  if (message) return complain(message);
  element("search").value = "";
  if (every ? allAsked() : answers.has(found.task)) drawClasses();
  else if (every) toggleAll();
  else toggle(found.task);
};
for (const name of ["threshold", "opacity"]) {
  element(name).oninput = () => {
    element(`${name}-value`).value = Number(element(name).value).toFixed(2);
    draw();
  };
}
element("save").onclick = save;

// ---- the start ----------------------------------------------------------------------------

async function start() {
  model = await (await fetch("model.json")).json();
  model.classes.forEach((each, task) => {
    each.task = task;
    each.words = [each.name, ...each.synonyms].map(plain);
  });
  const measuredText = model.measured
    ? ` bIoU ${model.measured.bIoU.toFixed(1)} % over ${model.measured.num_masks} masks of the validation split.`
    : "";
  element("facts").textContent =
    `${model.classes.length} classes, method ${model.method}, pictures seen at ` +
    `${model.crop_size[1]}×${model.crop_size[0]}.${measuredText} ` +
    (model.presence_least === null
      ? "A class that a picture does not show may be painted all the same."
      : "How likely a class is to be in the picture at all is said beside it.");
  if (model.thresholds) element("threshold").title = "At 0.50 each class has its own threshold";
  if (model.iou_temperature) element("facts").textContent += " Masks here are from the threshold on; the network was calibrated to paint the largest expected IoU (rankseg), which this page does not.";
  element("licence").textContent = `Weights: ${model.licence}`;
  for (const name of model.examples) {
    const button = Object.assign(document.createElement("button"), { type: "button", title: name });
    button.append(Object.assign(new Image(), { src: `examples/${encodeURIComponent(name)}`, alt: name }));
    button.onclick = async () => open(await (await fetch(button.firstChild.src)).blob(), name);
    element("examples").append(button);
    element("examples").hidden = false;
  }
  drawClasses();
  worker.postMessage({ kind: "load" });
}

const starting = start();
starting.catch((error) => complain(`The page could not be loaded: ${error.message}`));
