// Painting rough masks on a few pictures: they stay in the browser until the class is learnt.
// Gradio runs this with `element`, which holds mask_painting.html, and `props`.

const most = props.most_pictures;
const side = props.most_side;
const colours = { class: "#e6194b", unsure: "#0082c8" };
const greys = { class: 255, unsure: 128 };
const root = element.querySelector(".painting");
const find = (selector) => root.querySelector(selector);
const view = find("canvas");
const told = find(".told");
const pictures = []; // each: name, canvas, marks (a canvas of its size), strokes
let shown = null;
let stroke = null; // what is being drawn
let cursor = null; // where the brush is, in the picture's pixels
let byKeys = false; // the brush is down, and arrows move it

const tell = (words) => (told.textContent = words);

function blank(width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return canvas;
}

// Pictures

async function add(name, blob) {
  if (pictures.length >= most) {
    tell(`At most ${most} pictures: take one away first`);
    return;
  }
  let bitmap;
  try {
    // Upright, as the camera was held; in the colours that are stored, as it is asked for later.
    bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  } catch {
    tell(`${name} is no picture that this browser can show`);
    return;
  }
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const size = [bitmap.width, bitmap.height].map((own) => Math.max(1, Math.round(scale * own)));
  const canvas = blank(...size);
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // where it is transparent
  context.fillRect(0, 0, ...size);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, ...size);
  bitmap.close();
  if (pictures.length >= most) return; // others have come meanwhile
  const added = { name, canvas, marks: blank(...size), strokes: [] };
  pictures.push(added);
  show(added);
  tell(`${name}: paint the class in it`);
}

function takeAway(picture) {
  const place = pictures.indexOf(picture);
  pictures.splice(place, 1);
  show(pictures[Math.min(place, pictures.length - 1)] ?? null);
  (root.querySelector(".thumbnails [aria-pressed=true]") ?? find("input[type=file]")).focus();
  tell(`${picture.name} is taken away`);
}

function show(picture) {
  shown = picture;
  stroke = null;
  byKeys = false;
  cursor = null;
  find(".desk").hidden = picture === null;
  if (picture !== null) {
    [view.width, view.height] = [picture.canvas.width, picture.canvas.height];
    view.style.width = `min(100%, ${(70 * view.width) / view.height}vh)`;
    view.setAttribute("aria-label", `Paint on ${picture.name}`);
    draw();
  }
  list();
}

function list() {
  const entries = pictures.map((picture, place) => {
    const entry = document.createElement("li");
    const pick = document.createElement("button");
    const small = blank(96, 72);
    const scale = Math.max(96 / picture.canvas.width, 72 / picture.canvas.height);
    const [width, height] = [scale * picture.canvas.width, scale * picture.canvas.height];
    const context = small.getContext("2d");
    const at = [(96 - width) / 2, (72 - height) / 2, width, height];
    context.drawImage(picture.canvas, ...at);
    context.globalAlpha = 0.6;
    context.drawImage(picture.marks, ...at);
    pick.type = "button";
    pick.className = "pick";
    pick.append(small);
    pick.setAttribute("aria-pressed", picture === shown);
    const isPainted = picture.strokes.length > 0 && !picture.strokes.at(-1).clears;
    const state = isPainted ? "painted" : "nothing painted";
    pick.setAttribute("aria-label", `Picture ${place + 1}, ${picture.name}, ${state}`);
    pick.title = picture.name;
    pick.onclick = () => {
      show(picture);
      root.querySelectorAll(".pick")[place].focus();
      tell(`${picture.name}: ${isPainted ? "painted" : "paint the class in it"}`);
    };
    const away = document.createElement("button");
    away.type = "button";
    away.className = "away";
    away.textContent = "×";
    away.setAttribute("aria-label", `Take away picture ${place + 1}, ${picture.name}`);
    away.onclick = () => takeAway(picture);
    entry.append(pick, away);
    return entry;
  });
  find(".thumbnails").replaceChildren(...entries);
}

// Strokes

function brush() {
  const percent = Number(find(".width").value);
  return Math.max(1, (percent / 100) * Math.max(view.width, view.height));
}

function begin(point, erases = false) {
  const tool = erases ? "erase" : find(".tools input:checked").value;
  stroke = { tool, width: brush(), fills: find(".fill").checked, points: [point] };
  mark(stroke, shown.marks.getContext("2d"));
  draw();
}

function go(point) {
  stroke.points.push(point);
  mark({ ...stroke, points: stroke.points.slice(-2) }, shown.marks.getContext("2d"));
  draw();
}

function end() {
  if (stroke === null) return;
  shown.strokes.push(stroke);
  stroke = null;
  byKeys = false;
  redo();
  tell(""); // what was said of it before is done
}

function redo() {
  const context = shown.marks.getContext("2d");
  context.clearRect(0, 0, view.width, view.height);
  for (const each of shown.strokes) {
    mark(each, context);
    if (each.fills) inside(each, context);
  }
  draw();
  list();
}

function outline(each, context) {
  context.globalCompositeOperation = each.tool === "erase" ? "destination-out" : "source-over";
  context.strokeStyle = context.fillStyle = colours[each.tool] ?? "black";
  context.lineWidth = each.width;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(...each.points[0]);
  for (const point of each.points) context.lineTo(...point);
}

function mark(each, context) {
  outline(each, context);
  context.stroke();
}

function inside(each, context) {
  outline(each, context);
  context.fill();
}

function draw() {
  const context = view.getContext("2d");
  context.drawImage(shown.canvas, 0, 0);
  context.globalAlpha = 0.55;
  context.drawImage(shown.marks, 0, 0);
  context.globalAlpha = 1;
  if (cursor === null) return;
  for (const [colour, width] of [["black", 3], ["white", 1.5]]) {
    context.beginPath();
    context.arc(...cursor, brush() / 2, 0, 2 * Math.PI);
    context.strokeStyle = colour;
    context.lineWidth = (width * view.width) / (view.clientWidth || view.width);
    context.stroke();
  }
}

function undo() {
  if (stroke !== null) end();
  const gone = shown.strokes.pop();
  redo();
  tell(gone ? "Undone" : "There is nothing to undo");
}

// Mouse, finger and pen

function place(event) {
  const frame = view.getBoundingClientRect();
  return [
    ((event.clientX - frame.left) * view.width) / frame.width,
    ((event.clientY - frame.top) * view.height) / frame.height,
  ];
}

view.onpointerdown = (event) => {
  if (!event.isPrimary || (event.button !== 0 && event.button !== 5)) return;
  event.preventDefault();
  view.focus({ preventScroll: true });
  view.setPointerCapture(event.pointerId);
  if (stroke !== null) end();
  cursor = place(event);
  begin(cursor, event.button === 5); // the other end of a pen
};
view.onpointermove = (event) => {
  if (!event.isPrimary || byKeys) return;
  if (stroke !== null) {
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const each of passed.length ? passed : [event]) go(place(each));
  }
  cursor = place(event);
  draw();
};
view.onpointerup = view.onpointercancel = (event) => {
  if (event.isPrimary && !byKeys) end();
};
view.onpointerleave = () => {
  if (stroke !== null) return;
  cursor = null;
  draw();
};

// Keys

const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

view.onkeydown = (event) => {
  const limits = [view.width, view.height];
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") undo();
  else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (event.key in directions) {
    const step = event.shiftKey ? 1 : Math.max(1, brush() / 2);
    const from = cursor ?? limits.map((length) => length / 2);
    cursor = from.map((own, axis) =>
      Math.min(limits[axis], Math.max(0, own + step * directions[event.key][axis])),
    );
    if (byKeys) go(cursor);
    draw();
  } else if (event.key === " " || event.key === "Enter") {
    cursor ??= limits.map((length) => length / 2);
    if (byKeys) end();
    else {
      begin(cursor);
      byKeys = true;
    }
    tell(byKeys ? "The brush is down" : "The brush is lifted");
  } else if (event.key === "[" || event.key === "]") {
    const width = find(".width");
    width.value = Number(width.value) + (event.key === "]" ? 1 : -1);
    tell(`The brush is ${width.value} % of the picture wide`);
    draw();
  } else return;
  event.preventDefault();
};
view.onblur = () => {
  if (byKeys) end();
};

// Buttons

find(".undo").onclick = undo;
find(".clear").onclick = () => {
  const { width, height } = view;
  const points = [[0, 0], [width, 0], [width, height], [0, height], [0, 0]];
  shown.strokes.push({ tool: "erase", width: 2, fills: true, points, clears: true });
  redo();
  tell(`${shown.name} is clear`);
};
find("input[type=file]").onchange = async (event) => {
  const files = [...event.target.files];
  event.target.value = ""; // the same ones may be added again
  for (const file of files) await add(file.name, file);
};
find(".take").onclick = async () => {
  const above = document.querySelector("#picture img");
  if (above === null) {
    tell("There is no picture above");
    return;
  }
  const name = decodeURIComponent(new URL(above.src).pathname.split("/").pop());
  await add(name, await (await fetch(above.src)).blob());
};

// What is sent

function maskOf(picture) {
  const { width, height } = picture.marks;
  const marks = picture.marks.getContext("2d").getImageData(0, 0, width, height);
  const data = marks.data;
  for (let at = 0; at < data.length; at += 4) {
    const tool = data[at] >= data[at + 2] ? "class" : "unsure"; // more red than blue
    data[at] = data[at + 1] = data[at + 2] = data[at + 3] >= 128 ? greys[tool] : 0;
    data[at + 3] = 255;
  }
  const mask = blank(width, height);
  mask.getContext("2d").putImageData(marks, 0, 0);
  return mask.toDataURL("image/png");
}

root.collect = () => {
  if (stroke !== null) end();
  return pictures.map((picture) => ({
    name: picture.name,
    picture: picture.canvas.toDataURL("image/jpeg", 0.92),
    mask: maskOf(picture),
  }));
};
