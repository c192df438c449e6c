// Numbers in words: statistics, facts of the motion, and the title of a view.

import { element, paintVisibility } from "./draw.js";

const percent = (share) => (share === null || share === undefined ? "–" : `${Math.round(100 * share)} %`);
const decimal = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));

const ROWS = [
  ["hidden per step", (m) => `${span(m.hidden)} of ${m.tokens}`, "tokens, fewest to most"],
  ["hidden share", (m) => percent(m.ratio), "of all tokens of the clip"],
  ["hidden motion", (m) => percent(m.motion_share), "of the motion energy of the clip, by this draw"],
  ["… in 50 draws", (m) => percent(m.draws.motion_share), "mean over 50 draws"],
  ["overlap of steps", (m) => decimal(m.step_iou), "IoU of successive steps: 1 = the mask stands still"],
  ["overlap of draws", (m) => decimal(m.draws.overlap), "IoU of two draws: 1 = always the same mask"],
  ["never visible", (m) => `${m.draws.never_visible} places`, "places that are hidden in all 50 draws"],
  ["without motion", (m) => percent(m.draws.fallback_share), "that had none to follow"],
];

function span(counts) {
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return least === most ? `${least}` : `${least} to ${most}`;
}

export function showStatistics(masks, wanted) {
  const table = document.querySelector("#statistics table");
  table.caption.textContent = masks.length > 1 ? "The masks" : "The mask";
  const head = element("tr", {}, element("td"), ...wanted.map(({ name }) => element("th", { scope: "col" }, name)));
  const lines = ROWS.map(([words, value, about]) =>
    element("tr", { title: about }, element("th", { scope: "row" }, words), ...masks.map((mask) => element("td", {}, value(mask)))),
  );
  table.tBodies[0].replaceChildren(head, ...lines);
  const maps = masks.map((mask, place) => {
    const canvas = element("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `How often ${wanted[place].name} shows each place: ${percent(mask.draws.least_visible)} at least`);
    paintVisibility(canvas, mask.draws.visibility);
    return element("figure", {}, canvas, element("figcaption", {}, wanted[place].name));
  });
  const key = element("p", {}, "visible in 50 draws: dark never, white often");
  document.getElementById("visibility").replaceChildren(...maps, key);
}

export function showFacts({ motion, indices }) {
  const rows = [["frames", `${indices[0]} to ${indices[indices.length - 1]}`]];
  if (motion) {
    rows.push(["source", { codec: "codec", flow: "optical flow", difference: "frame difference" }[motion.source]]);
    rows.push(["mean", `${decimal(motion.mean, 1)} ${motion.unit}`], ["99 % below", `${decimal(motion.p99, 1)} ${motion.unit}`]);
    rows.push(["measured", percent(motion.measured)], ["region", `${motion.extent[1]} × ${motion.extent[0]} px`]);
  }
  const lines = rows.map(([words, value]) => element("tr", {}, element("th", { scope: "row" }, words), element("td", {}, value)));
  document.querySelector("#facts tbody").replaceChildren(...lines);
}

export function title(name, clip, wanted, seed) {
  const masks = wanted.map((mask) => {
    const options = Object.entries(mask.options).map(([key, value]) => `${key}=${value}`);
    return [mask.name, `ratio ${mask.ratio}`, ...options].join(", ");
  });
  const camera = clip.camera === "none" ? "" : `, camera ${clip.camera}`;
  return [name, `frames ${clip.start} + ${clip.frames} × ${clip.stride}; motion ${clip.motion}, ${clip.reading}${camera}`, `${masks.join("  |  ")}; seed ${seed}`];
}
