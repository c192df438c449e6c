// With a run: what its model reconstructs and attends to, and the map of embeddings.

import { ask, latest } from "./api.js";
import { element, loadPicture, paintAttention, paintFrame, paintStrip } from "./draw.js";
import { arrowsMove, oneStop } from "./keys.js";

const PROJECTIONS = { pca: "by two main components (PCA)", umap: "by neighbours (UMAP)" };
const at = (id) => document.getElementById(id);

export class RunPanels {
  constructor(app) {
    this.app = app;
    this.run = app.start.run;
    this.strip = null;
    this.attention = null;
    this.layer = this.run.layers - 1;
    this.head = "";
    this.query = null;
    this.read = latest((signal) => this.load(signal));
    this.makeControls();
    at("map").hidden = false;
    at("projection").replaceChildren(...this.run.projections.map((name) => element("option", { value: name }, PROJECTIONS[name])));
    at("draw-map").addEventListener("click", () => this.drawMap());
    this.enterMap = oneStop(at("points"));
  }

  panels() {
    const { size } = this;
    return [
      {
        id: "reconstruction",
        caption: () => (this.run.reconstructs ? `reconstruction${this.loss === undefined ? "" : `, loss ${this.loss.toFixed(3)}`}` : "reconstruction: the run has no decoder"),
        paint: (canvas, t) => (this.strip ? paintStrip(canvas, this.strip, t, this.app.clip.answer.size) : paintFrame(canvas, this.app.clip, t)),
      },
      {
        id: "attention",
        caption: () => `attention, layer ${this.layer + 1}, ${this.head === "" ? "mean of heads" : `head ${Number(this.head) + 1}`}`,
        paint: (canvas, t) => (this.attention ? paintAttention(canvas, this.app.clip, t, this.attention, this.app.start.colours) : paintFrame(canvas, this.app.clip, t)),
      },
    ];
  }

  makeControls() {
    const layers = Array.from({ length: this.run.layers }, (_, n) => element("option", { value: n }, `${n + 1} of ${this.run.layers}`));
    const heads = Array.from({ length: this.run.heads }, (_, n) => element("option", { value: n }, n + 1));
    const layer = element("select", { name: "layer" }, ...layers);
    layer.value = this.layer;
    const head = element("select", { name: "head" }, element("option", { value: "" }, "mean"), ...heads);
    layer.addEventListener("change", () => this.set({ layer: Number(layer.value) }));
    head.addEventListener("change", () => this.set({ head: head.value }));
    const word = (words, input) => element("label", {}, element("span", {}, words), input);
    const hint = element("p", { className: "about" }, "Click a place of the attention panel to ask what it looks at, or move it with the arrow keys.");
    const about = element("p", { className: "about" }, `${this.run.name}: ${this.run.model}`);
    at("controls").append(element("fieldset", {}, element("legend", {}, "Model"), about, word("layer", layer), word("head", head), hint));
  }

  listen(canvas) {
    canvas.addEventListener("click", (event) => {
      const [steps, rows, columns] = this.app.clip.answer.grid;
      const row = Math.min(rows - 1, Math.floor((event.offsetY / canvas.clientHeight) * rows));
      const column = Math.min(columns - 1, Math.floor((event.offsetX / canvas.clientWidth) * columns));
      this.set({ query: [Math.min(steps - 1, this.app.clip.step(this.app.player.t)), row, column] });
    });
    arrowsMove(canvas, () => this.query ?? this.attention?.query, () => this.app.clip.answer.grid, (query) => this.set({ query }));
  }

  set(values) {
    Object.assign(this, values);
    this.changed();
  }

  async changed() {
    const canvas = document.querySelector("#panel-attention canvas");
    if (canvas && !this.listening) {
      this.listening = true;
      this.listen(canvas);
    }
    try {
      await this.read();
    } catch (error) {
      this.app.fail(error);
    }
  }

  async load(signal) {
    const { controls, video } = this.app;
    const body = { video: video.id, clip: controls.clip, mask: controls.wanted[0], seed: controls.seed, layer: this.layer };
    if (this.head !== "") body.head = Number(this.head);
    if (this.query) body.query = this.query;
    const answer = await ask("model", body, signal);
    const strip = answer.reconstruction ? await loadPicture(answer.reconstruction) : null;
    if (signal.aborted) return;
    this.strip = strip;
    this.loss = answer.loss ?? undefined;
    this.attention = answer.attention;
    document.documentElement.dataset.model = Number(document.documentElement.dataset.model || 0) + 1;
    this.app.paint(this.app.player.t);
  }

  async drawMap() {
    const place = at("points");
    const first = at("projection").value === "umap" ? " The first map by UMAP takes longest." : "";
    place.textContent = `encoding and placing the videos …${first}`;
    try {
      const { points, explained, left_out } = await ask("map", { method: at("projection").value });
      const shown = points.map(({ id, name, x, y, thumbnail }) => {
        const button = element("button", { type: "button", title: name }, element("img", { src: thumbnail, alt: name }));
        button.style.setProperty("--x", x);
        button.style.setProperty("--y", 1 - y);
        button.addEventListener("click", () => this.app.choose(id));
        return button;
      });
      const shares = explained?.map((part) => `${Math.round(100 * part)} %`).join(" and ");
      const axes = shares ? `The axes explain ${shares} of the variance` : "Near means alike; the axes and long distances mean nothing";
      const rest = left_out ? `; ${left_out} videos are left out` : "";
      place.replaceChildren(element("div", {}, ...shown), element("p", {}, `${axes}${rest}.`));
      this.enterMap();
    } catch (error) {
      place.textContent = "";
      this.app.fail(error);
    }
  }
}
