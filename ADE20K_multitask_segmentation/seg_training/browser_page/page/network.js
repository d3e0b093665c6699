// A worker that holds the network: a picture is encoded once, each class then runs its part only.

import * as ort from "./runtime/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./runtime/", import.meta.url).href;
// Threads need a page that is isolated from others: the server has to say so.
const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;
ort.env.wasm.numThreads = threads;

let imagePart, classPart;
let maps = null, mapsOf = null; // of a picture: what its classes share

async function fetched(file, told) {
  const answer = await fetch(file);
  if (!answer.ok) throw new Error(`${file}: ${answer.status} ${answer.statusText}`);
  const total = Number(answer.headers.get("Content-Length"));
  const reader = answer.body.getReader();
  const parts = [];
  let loaded = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    told(loaded, total);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

const answers = {
  async load() {
    const told = (loaded, total) => postMessage({ kind: "progress", loaded, total });
    const classFile = await fetched("network_class.onnx", told);
    const imageFile = await fetched("network_image.onnx", () => {});
    const options = { executionProviders: ["wasm"] };
    imagePart = await ort.InferenceSession.create(imageFile, options);
    classPart = await ort.InferenceSession.create(classFile, options);
    return { kind: "ready", threads };
  },

  async encode({ picture, pixels, height, width }) {
    const images = new ort.Tensor("uint8", pixels, [1, 3, height, width]);
    const begun = performance.now();
    const { presence, ...shared } = await imagePart.run({ images });
    maps = shared;
    mapsOf = picture;
    const seconds = (performance.now() - begun) / 1000;
    return { kind: "encoded", picture, presence: presence?.data ?? null, seconds };
  },

  async ask({ picture, task }) {
    if (picture !== mapsOf) return null; // another picture has come since
    const classIds = new ort.Tensor("int64", BigInt64Array.of(BigInt(task)), [1, 1]);
    const begun = performance.now();
    const { logits } = await classPart.run({ ...maps, class_ids: classIds });
    const seconds = (performance.now() - begun) / 1000;
    return { kind: "logits", picture, task, logits: logits.data, seconds };
  },
};

let last = Promise.resolve(); // one after the other
onmessage = ({ data }) => {
  last = last
    .then(() => answers[data.kind](data))
    .then((answer) => answer && postMessage(answer))
    .catch((error) => postMessage({ kind: "error", text: String(error.message ?? error) }));
};
