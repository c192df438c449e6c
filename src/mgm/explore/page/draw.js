// Paints the panels: frames, motion, masks and what the encoder sees, on canvases of twice the clip's size.

const SHARPNESS = 2;

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export async function loadPicture(url) {
  const picture = new Image();
  picture.src = url;
  await picture.decode();
  return picture;
}

// The tokens of a mask: (step, row, column) -> hidden?
export class Tokens {
  constructor(packed, grid) {
    this.bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    [this.steps, this.rows, this.columns] = grid;
  }

  hidden(step, row, column) {
    const place = (step * this.rows + row) * this.columns + column;
    return ((this.bytes[place >> 3] >> (7 - (place & 7))) & 1) === 1;
  }
}

// A clip with its pictures.
export class ClipPictures {
  static async load(answer) {
    const [frames, motion] = await Promise.all([
      loadPicture(answer.frames),
      answer.motion ? loadPicture(answer.motion.picture) : null,
    ]);
    return new ClipPictures(answer, frames, motion);
  }

  constructor(answer, frames, motion) {
    Object.assign(this, { answer, frames, motion, pixels: new Map() });
    this.sheet = new OffscreenCanvas(answer.size, answer.size);
  }

  step(t) {
    return Math.floor((t * this.answer.grid[0]) / this.answer.count);
  }

  // The pixels of a frame, to be changed by a copy.
  frame(t) {
    if (!this.pixels.has(t)) {
      const { size } = this.answer;
      const pen = this.sheet.getContext("2d", { willReadFrequently: true });
      pen.drawImage(this.frames, 0, t * size, size, size, 0, 0, size, size);
      this.pixels.set(t, pen.getImageData(0, 0, size, size));
    }
    return this.pixels.get(t);
  }
}

function prepare(canvas, size) {
  const side = size * SHARPNESS;
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = true;
  return [pen, side];
}

export function paintFrame(canvas, clip, t) {
  const { size } = clip.answer;
  const [pen, side] = prepare(canvas, size);
  pen.drawImage(clip.frames, 0, t * size, size, size, 0, 0, side, side);
}

export function paintMotion(canvas, clip, t, { arrows }) {
  const { size, motion, grid } = clip.answer;
  const [pen, side] = prepare(canvas, size);
  if (!motion) {
    pen.clearRect(0, 0, side, side);
    return;
  }
  const [rows] = motion.cells;
  const [tall, wide] = motion.shown;
  pen.imageSmoothingEnabled = false;
  pen.drawImage(clip.motion, 0, t * rows, wide, tall, 0, 0, side, side);
  if (arrows && motion.directed) paintArrows(pen, side, motion, t, grid);
}

// An arrow as long as a token moves at full colour; faster ones are cut to twice that.
function paintArrows(pen, side, { arrows, scale, extent }, t, [, rows, columns]) {
  const cell = side / columns;
  const full = scale / extent[1];
  pen.strokeStyle = "#ffffff";
  pen.lineWidth = side / 220;
  pen.lineCap = "round";
  pen.beginPath();
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const place = 2 * ((t * rows + y) * columns + x);
      const speed = Math.hypot(arrows[place], arrows[place + 1]) / full;
      if (speed < 0.08) continue;
      const length = cell * Math.min(0.25 + speed, 2);
      const dx = (arrows[place] / full / speed) * length;
      const dy = (arrows[place + 1] / full / speed) * length;
      const [x0, y0] = [(x + 0.5) * cell - dx / 2, (y + 0.5) * (side / rows) - dy / 2];
      const [x1, y1, head] = [x0 + dx, y0 + dy, Math.min(cell * 0.3, length * 0.5) / length];
      pen.moveTo(x0, y0);
      pen.lineTo(x1, y1);
      pen.lineTo(x1 - head * (dx + dy * 0.6), y1 - head * (dy - dx * 0.6));
      pen.moveTo(x1, y1);
      pen.lineTo(x1 - head * (dx - dy * 0.6), y1 - head * (dy + dx * 0.6));
    }
  }
  pen.stroke();
}

// Hidden tokens veiled and outlined; with `flat`, as the encoder gets them: not at all.
export function paintMask(canvas, clip, t, tokens, colours, { flat }) {
  const { size } = clip.answer;
  const [pen, side] = prepare(canvas, size);
  const source = clip.frame(t);
  const pixels = new ImageData(new Uint8ClampedArray(source.data), size, size);
  const step = clip.step(t);
  const [tall, wide] = [size / tokens.rows, size / tokens.columns];
  for (let row = 0; row < tokens.rows; row++) {
    for (let column = 0; column < tokens.columns; column++) {
      if (tokens.hidden(step, row, column)) {
        hide(pixels, Math.round(row * tall), Math.round(column * wide), Math.ceil(tall), Math.ceil(wide), colours, flat);
      }
    }
  }
  clip.sheet.getContext("2d", { willReadFrequently: true }).putImageData(pixels, 0, 0);
  pen.drawImage(clip.sheet, 0, 0, side, side);
  if (!flat) outline(pen, side, step, tokens, colours.edge);
}

function hide(pixels, top, left, tall, wide, { veil, hidden }, flat) {
  const { data, width, height } = pixels;
  for (let y = top; y < Math.min(top + tall, height); y++) {
    for (let x = left; x < Math.min(left + wide, width); x++) {
      const at = 4 * (y * width + x);
      const grey = 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
      for (let channel = 0; channel < 3; channel++) {
        data[at + channel] = flat ? hidden[channel] : 0.4 * grey + 0.6 * veil[channel];
      }
    }
  }
}

function outline(pen, side, step, tokens, edge) {
  const line = Math.max(2, side / 110);
  const [tall, wide] = [side / tokens.rows, side / tokens.columns];
  const hidden = (row, column) =>
    row < 0 || column < 0 || row >= tokens.rows || column >= tokens.columns || tokens.hidden(step, row, column);
  pen.fillStyle = `rgb(${edge})`;
  for (let row = 0; row < tokens.rows; row++) {
    for (let column = 0; column < tokens.columns; column++) {
      if (!tokens.hidden(step, row, column)) continue;
      const [x, y] = [column * wide, row * tall];
      if (!hidden(row - 1, column)) pen.fillRect(x, y, wide, line);
      if (!hidden(row + 1, column)) pen.fillRect(x, y + tall - line, wide, line);
      if (!hidden(row, column - 1)) pen.fillRect(x, y, line, tall);
      if (!hidden(row, column + 1)) pen.fillRect(x + wide - line, y, line, tall);
    }
  }
}

// A picture of the model, which lies in a strip like the frames.
export function paintStrip(canvas, strip, t, size) {
  const [pen, side] = prepare(canvas, size);
  pen.drawImage(strip, 0, t * size, size, size, 0, 0, side, side);
}

// Attention over a frame in dark grey: brighter and warmer where the query looks, as in all figures; the query is outlined.
export function paintAttention(canvas, clip, t, { weights, query, tokens }, colours) {
  const { size } = clip.answer;
  const [pen, side] = prepare(canvas, size);
  const [steps, rows, columns] = tokens;
  const step = Math.floor((t * steps) / clip.answer.count);
  const { data } = clip.frame(t);
  const pixels = new ImageData(size, size);
  const [down, across] = [between(size, rows), between(size, columns)];
  for (let y = 0; y < size; y++) {
    const [upper, lower, below] = down[y];
    for (let x = 0; x < size; x++) {
      const [left, right, beyond] = across[x];
      const weight = (row, column) => weights[(step * rows + row) * columns + column];
      const high = weight(upper, left) * (1 - beyond) + weight(upper, right) * beyond;
      const low = weight(lower, left) * (1 - beyond) + weight(lower, right) * beyond;
      const heat = high * (1 - below) + low * below;
      const at = 4 * (y * size + x);
      const grey = 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
      for (let channel = 0; channel < 3; channel++) {
        pixels.data[at + channel] = grey * (0.45 - 0.25 * heat) + 0.8 * heat * colours.hot[channel];
      }
      pixels.data[at + 3] = 255;
    }
  }
  clip.sheet.getContext("2d", { willReadFrequently: true }).putImageData(pixels, 0, 0);
  pen.drawImage(clip.sheet, 0, 0, side, side);
  if (step === query[0]) {
    pen.strokeStyle = `rgb(${colours.query})`;
    pen.lineWidth = side / 90;
    pen.strokeRect((query[2] * side) / columns, (query[1] * side) / rows, side / columns, side / rows);
  }
}

// For every pixel of a side the tokens whose centres are around it, and how far it is to the second of them.
function between(size, tokens) {
  return Array.from({ length: size }, (_, pixel) => {
    const place = Math.min(Math.max(((pixel + 0.5) * tokens) / size - 0.5, 0), tokens - 1);
    const first = Math.floor(place);
    return [first, Math.min(first + 1, tokens - 1), place - first];
  });
}

// The share of draws in which each place is visible, as small squares from dark (never) to light.
export function paintVisibility(canvas, visibility) {
  const rows = visibility.length;
  const columns = visibility[0].length;
  canvas.width = columns * 6;
  canvas.height = rows * 6;
  const pen = canvas.getContext("2d");
  const most = Math.max(1e-6, 2 * (visibility.flat().reduce((a, b) => a + b) / (rows * columns)));
  visibility.forEach((line, row) =>
    line.forEach((share, column) => {
      const light = Math.min(share / most, 1);
      pen.fillStyle = `rgb(${[40, 36, 92].map((dark) => dark + light * (255 - dark))})`;
      pen.fillRect(column * 6, row * 6, 6, 6);
    }),
  );
}
