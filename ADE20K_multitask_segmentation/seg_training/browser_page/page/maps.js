// Maps of numbers: resizing as in training and evaluation, probabilities, masks.

/** Where bilinear resizing reads: for each place the one before, the one after, and its weight. */
function places(size, target) {
  const before = new Int32Array(target), after = new Int32Array(target);
  const weight = new Float32Array(target);
  for (let place = 0; place < target; place++) {
    const source = Math.max(0, ((place + 0.5) * size) / target - 0.5);
    before[place] = Math.min(Math.floor(source), size - 1);
    after[place] = Math.min(before[place] + 1, size - 1);
    weight[place] = source - before[place];
  }
  return { before, after, weight };
}

/** Resize RGBA pixels to planes of red, green and blue as OpenCV does, in its whole numbers. */
export function planes(pixels, width, height, targetWidth, targetHeight) {
  const result = new Uint8Array(3 * targetHeight * targetWidth);
  const x = places(width, targetWidth), y = places(height, targetHeight);
  const parts = (weight) => [Math.round((1 - weight) * 2048), Math.round(weight * 2048)];
  for (let row = 0; row < targetHeight; row++) {
    const above = y.before[row] * width, below = y.after[row] * width;
    const [ofAbove, ofBelow] = parts(y.weight[row]);
    for (let column = 0; column < targetWidth; column++) {
      const left = x.before[column], right = x.after[column];
      const [ofLeft, ofRight] = parts(x.weight[column]);
      for (let channel = 0; channel < 3; channel++) {
        const at = (offset) => pixels[4 * offset + channel];
        const top = at(above + left) * ofLeft + at(above + right) * ofRight;
        const bottom = at(below + left) * ofLeft + at(below + right) * ofRight;
        const sum = ((ofAbove * (top >> 4)) >> 16) + ((ofBelow * (bottom >> 4)) >> 16);
        result[(channel * targetHeight + row) * targetWidth + column] = (sum + 2) >> 2;
      }
    }
  }
  return result;
}

/** Resize logits, bilinear, and turn them into probabilities. */
export function probabilities(logits, width, height, targetWidth, targetHeight) {
  const result = new Float32Array(targetHeight * targetWidth);
  const x = places(width, targetWidth), y = places(height, targetHeight);
  for (let row = 0; row < targetHeight; row++) {
    const above = y.before[row] * width, below = y.after[row] * width, down = y.weight[row];
    for (let column = 0; column < targetWidth; column++) {
      const left = x.before[column], right = x.after[column], across = x.weight[column];
      const top = logits[above + left] * (1 - across) + logits[above + right] * across;
      const bottom = logits[below + left] * (1 - across) + logits[below + right] * across;
      result[row * targetWidth + column] = 1 / (1 + Math.exp(-(top * (1 - down) + bottom * down)));
    }
  }
  return result;
}

/**
 * Give the probability from which on a pixel is of a class: the slider's, unless the network has
 * thresholds (logits); then 0.5 leaves these where they are, and others move them together.
 */
export function thresholdOf(task, { thresholds }, slider) {
  if (!thresholds) return slider;
  return 1 / (1 + Math.exp(-thresholds[task] - Math.log(slider / (1 - slider))));
}

/** Measure a map: share of the picture, mean probability there, box, and the highest of all. */
export function measured(map, width, threshold) {
  let pixels = 0, sum = 0, highest = 0;
  let left = Infinity, top = Infinity, right = -1, bottom = -1;
  for (let place = 0; place < map.length; place++) {
    if (map[place] > highest) highest = map[place];
    if (map[place] < threshold) continue;
    pixels++;
    sum += map[place];
    const row = Math.floor(place / width), column = place - row * width;
    if (column < left) left = column;
    if (column > right) right = column;
    if (row < top) top = row;
    if (row > bottom) bottom = row;
  }
  return {
    share: pixels / map.length,
    confidence: pixels ? sum / pixels : null,
    box: pixels ? [left, top, right - left + 1, bottom - top + 1] : null,
    highest,
  };
}

/** Pixels that no class has won yet: -1. */
export function noWinners(size) {
  return { tasks: new Int32Array(size).fill(-1), ranks: new Float32Array(size).fill(-Infinity) };
}

/**
 * Let a class win where it is above the threshold and the highest yet; of equals the first wins.
 * One that the recogniser does not know wins where no other is: no margin compares it with these.
 */
export function compete({ tasks, ranks }, task, map, threshold, { recogniser }) {
  const behind = recogniser?.unknown?.includes(task) ? 1 : 0;
  for (let place = 0; place < map.length; place++) {
    const own = map[place] - behind, best = ranks[place];
    if (map[place] < threshold || own < best || (own === best && task > tasks[place])) continue;
    tasks[place] = task;
    ranks[place] = own;
  }
}

/** Tint RGBA pixels by the colours of the classes that won them, and draw borders, in place. */
export function tint(pixels, width, { tasks }, classes, opacity) {
  const borders = Math.min(0.6, 2 * opacity); // of white
  for (let place = 0; place < tasks.length; place++) {
    const task = tasks[place];
    const border =
      (place % width > 0 && tasks[place - 1] !== task) ||
      (place >= width && tasks[place - width] !== task);
    if (task < 0 && !border) continue;
    for (let channel = 0; channel < 3; channel++) {
      const at = 4 * place + channel;
      let value = pixels[at];
      if (task >= 0) value = value * (1 - opacity) + classes[task].colour[channel] * opacity;
      pixels[at] = border ? value * (1 - borders) + 255 * borders : value;
    }
  }
}

/** Turn a map into a mask: 255 where it is above the threshold, 0 elsewhere. */
export function maskValues(map, threshold) {
  return Uint8Array.from(map, (probability) => (probability >= threshold ? 255 : 0));
}
