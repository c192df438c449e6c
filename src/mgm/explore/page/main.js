// The page: it puts the parts together. Every control repaints at once; of requests that overtake each other the last one counts.

import { ask, latest } from "./api.js";
import { Controls } from "./controls.js";
import { ClipPictures, Tokens, element, loadPicture, paintFrame, paintMask, paintMotion } from "./draw.js";
import { Gallery } from "./gallery.js";
import { RunPanels } from "./model.js";
import { Player } from "./player.js";
import { saveView } from "./save.js";
import { showFacts, showStatistics, title } from "./words.js";

const at = (id) => document.getElementById(id);
const page = document.documentElement;
const DELAYS = {
  opening: "PyTorch and the model of the run are loading …",
  starting: "The explorer is starting: the first picture takes longer.",
  compiling: "Loops are being compiled, once for this installation: until then pictures take longer.",
};
const LOOK_AGAIN = 1000; // milliseconds
const SETTLED = 120; // milliseconds after the last change of a mask, before its draws are counted

class App {
  async begin() {
    this.start = await this.opened();
    this.showDelay(this.start.delay);
    at("place").textContent = this.start.place;
    this.wheel = await loadPicture(this.start.colours.wheel);
    this.controls = new Controls(at("controls"), this.start, (kind) => this.changed(kind));
    this.gallery = new Gallery({ choose: (id) => this.choose(id), fail: (error) => this.fail(error) });
    this.player = new Player((t) => this.paint(t));
    this.model = this.start.run ? new RunPanels(this) : null;
    if (this.start.run?.reconstructs) this.gallery.offerErrors();
    this.panels = this.makePanels();
    this.readClip = latest((signal) => this.loadClip(signal));
    this.readMasks = latest((signal, began) => this.loadMasks(signal, began));
    this.readDraws = latest((signal, masks) => this.loadDraws(signal, masks));
    this.listen();
    await this.gallery.load();
    if (this.gallery.videos.length) await this.choose(this.gallery.videos[0].id);
    else at("stage").classList.add("nothing");
  }

  // What the explorer offers, once the model of its run is loaded.
  async opened() {
    let start;
    while ((start = await ask("start")).delay === "opening") {
      page.classList.add("opening");
      at("delay").hidden = false;
      at("delay").textContent = DELAYS.opening;
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
    }
    page.classList.remove("opening");
    return start;
  }

  makePanels() {
    const { colours } = this.start;
    const mask = (which, flat) => (canvas, t) => {
      if (this.tokens?.[which]) paintMask(canvas, this.clip, t, this.tokens[which], colours, { flat });
    };
    const of = (which) => this.controls.wanted[which]?.name ?? "";
    const scale = () => (this.clip?.answer.motion ? `full colour: ${this.clip.answer.motion.scale.toFixed(1)} ${this.clip.answer.motion.unit}` : "none");
    const motion = (canvas, t) => paintMotion(canvas, this.clip, t, { arrows: this.controls.arrows });
    const panels = [
      { id: "frames", caption: () => "frames", paint: (canvas, t) => paintFrame(canvas, this.clip, t) },
      { id: "motion", caption: () => `motion; ${scale()}`, paint: motion, motion: true },
      { id: "mask", caption: () => `mask: ${of(0)}`, paint: mask(0, false) },
      { id: "seen", caption: () => `what the encoder sees: ${of(0)}`, paint: mask(0, true) },
      { id: "mask-2", caption: () => `mask: ${of(1)}`, paint: mask(1, false), second: true },
      { id: "seen-2", caption: () => `what the encoder sees: ${of(1)}`, paint: mask(1, true), second: true },
      ...(this.model ? this.model.panels() : []),
    ];
    for (const panel of panels) {
      panel.canvas = element("canvas", { width: 448, height: 448 });
      panel.canvas.setAttribute("role", "img");
      panel.words = element("figcaption");
      const picture = element("div", { className: "picture" }, panel.canvas);
      panel.figure = element("figure", { id: `panel-${panel.id}` }, picture, panel.words);
      if (panel.motion) {
        this.wheel.alt = "Key of colours: right coral, down yellow-green, left cyan, up violet";
        this.wheel.className = "wheel";
        picture.append(this.wheel);
      }
    }
    return panels;
  }

  arrange() {
    const shown = this.panels.filter(({ second }) => !second || this.controls.compare);
    at("panels").dataset.columns = Math.ceil(shown.length / 2);
    at("panels").style.setProperty("--columns", Math.ceil(shown.length / 2));
    const now = [...at("panels").children];
    if (now.length !== shown.length) at("panels").replaceChildren(...shown.map(({ figure }) => figure));
  }

  listen() {
    at("play").addEventListener("click", () => this.play());
    at("scrub").addEventListener("input", (event) => this.player.go(Number(event.target.value)));
    at("start").addEventListener("input", (event) => {
      this.controls.clip.start = Number(event.target.value);
      this.showStart();
      this.changed("clip");
    });
    at("export").addEventListener("click", () => this.save());
    at("file").addEventListener("change", (event) => this.open(event.target.files[0], event.target));
    at("message").querySelector("button").addEventListener("click", () => (at("message").hidden = true));
    for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => this.copy(button));
    addEventListener("dragover", (event) => {
      event.preventDefault();
      at("drop").hidden = false;
    });
    addEventListener("dragleave", (event) => (at("drop").hidden = event.relatedTarget === null));
    addEventListener("drop", (event) => {
      event.preventDefault();
      at("drop").hidden = true;
      this.open(event.dataTransfer.files[0]);
    });
    addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const { target, key } = event;
    if (key === "Escape") at("message").hidden = true;
    if (!this.clip || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.matches("input:not([type=checkbox]), select, pre")) return; // its own keys
    const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (key === " " && !target.matches("button, [type=checkbox], summary")) this.play();
    else if (step && event.shiftKey) this.move(step * this.controls.clip.stride * 4);
    else if (step) this.player.go(this.player.t + step);
    else if (key === "s") this.controls.nextSeed();
    else if (key === "m") this.controls.nextMask();
    else return;
    event.preventDefault();
  }

  play() {
    at("play").textContent = this.player.toggle() ? "Pause" : "Play";
  }

  move(frames) {
    at("start").value = Math.max(0, Number(at("start").value) + frames);
    at("start").dispatchEvent(new Event("input"));
  }

  async open(file, input = null) {
    if (!file) return;
    try {
      const progress = (share) => this.tell(share < 1 ? `uploading ${file.name}: ${Math.round(100 * share)} %` : `reading ${file.name}`);
      const id = await this.gallery.add(file, this.start.limits.bytes, progress);
      await this.choose(id);
    } catch (error) {
      this.fail(error);
    }
    if (input) input.value = "";
  }

  async choose(id) {
    this.video = this.gallery.videos.find((video) => video.id === id);
    this.gallery.mark(id);
    this.controls.clip.start = 0;
    this.player.t = 0;
    page.dataset.video = "";
    if (await this.changed("clip")) this.setLength(id);
  }

  // The range of the clip's start needs the length of the video, which the summary knows.
  async setLength(id) {
    const summary = this.gallery.summaries.get(id) || (await ask("summary", { video: id }).catch(() => null));
    if (!summary?.frames || this.video.id !== id) return;
    this.gallery.summaries.set(id, summary);
    this.gallery.fill(id);
    this.frames = summary.frames;
    this.rate = summary.seconds ? summary.frames / summary.seconds : null;
    this.showStart();
  }

  showStart() {
    const { clip } = this.controls;
    const span = (clip.frames - 1) * clip.stride + 1;
    at("start").max = Math.max(0, (this.frames ?? span) - span, clip.start);
    at("start").value = clip.start;
    at("start-at").value = this.rate ? `${(clip.start / this.rate).toFixed(2)} s` : `frame ${clip.start}`;
  }

  async changed(kind) {
    if (!this.video) return false;
    const began = performance.now();
    if (kind === "look") {
      this.paint(this.player.t);
      this.painted(began);
      return true;
    }
    try {
      if (kind === "clip" && !(await this.readClip())) return false;
      return Boolean(await this.readMasks(began));
    } catch (error) {
      if (page.dataset.video !== this.video.id) this.clear();
      this.fail(error);
      return false;
    }
  }

  // No picture: the chosen video cannot be read, and the one before is another.
  clear() {
    this.clip = this.tokens = null;
    at("stage").classList.add("nothing");
  }

  async loadClip(signal) {
    this.tell("reading …");
    const answer = await ask("clip", { video: this.video.id, clip: this.controls.clip }, signal);
    this.showDelay(answer.delay);
    const clip = await ClipPictures.load(answer);
    if (signal.aborted) return false;
    const same = this.clip && String(this.clip.answer.grid) === String(answer.grid);
    this.clip = clip;
    at("stage").classList.remove("nothing");
    if (!same) this.tokens = null;
    this.player.load(answer.times);
    at("scrub").max = answer.count - 1;
    this.showStart();
    showFacts(answer);
    this.paint(this.player.t);
    page.dataset.video = this.video.id;
    return true;
  }

  async loadMasks(signal, began) {
    const { clip, wanted, seed } = this.controls;
    const answer = await ask("masks", { video: this.video.id, clip, masks: wanted, seed }, signal);
    this.showDelay(answer.delay);
    if (signal.aborted) return false;
    this.tokens = answer.masks.map(({ bits }) => new Tokens(bits, this.clip.answer.grid));
    this.arrange();
    this.paint(this.player.t);
    this.painted(began);
    at("command").textContent = answer.command;
    at("python").textContent = answer.python;
    at("message").hidden = true;
    this.readDraws(answer.masks).catch((error) => this.fail(error));
    this.model?.changed();
    return true;
  }

  // Many draws take longer than one: the picture does not wait for their statistics.
  async loadDraws(signal, masks) {
    await new Promise((resolve) => setTimeout(resolve, SETTLED));
    if (signal.aborted) return;
    const { clip, wanted, seed } = this.controls;
    const { draws } = await ask("draws", { video: this.video.id, clip, masks: wanted, seed }, signal);
    if (signal.aborted) return;
    showStatistics(masks.map((mask, place) => ({ ...mask, draws: draws[place] })), wanted);
    page.dataset.counted = Number(page.dataset.counted || 0) + 1;
  }

  // Why pictures take longer than usual, for as long as they do.
  showDelay(delay) {
    at("delay").hidden = !delay;
    if (delay) at("delay").textContent = DELAYS[delay];
    clearTimeout(this.delayed);
    const look = () => ask("start").then((start) => this.showDelay(start.delay), () => this.showDelay(null));
    if (delay) this.delayed = setTimeout(look, LOOK_AGAIN);
  }

  paint(t) {
    if (!this.clip) return;
    this.arrange();
    for (const panel of this.panels) {
      if (!panel.figure.isConnected) continue;
      panel.paint(panel.canvas, t);
      panel.words.textContent = panel.caption();
      panel.canvas.setAttribute("aria-label", `${panel.caption()}, frame ${t + 1} of ${this.clip.answer.count}`);
    }
    at("scrub").value = t;
    at("frame-at").value = `${t + 1} of ${this.clip.answer.count}, ${this.player.seconds(t).toFixed(2)} s`;
  }

  painted(began) {
    const milliseconds = performance.now() - began;
    page.dataset.repaint = milliseconds.toFixed(1);
    page.dataset.painted = Number(page.dataset.painted || 0) + 1;
    this.tell(`repainted in ${Math.round(milliseconds)} ms`);
  }

  async save() {
    if (!this.clip) return;
    const { clip, wanted, seed } = this.controls;
    await saveView(this.panels, title(this.video.name, clip, wanted, seed), this.wheel);
    this.tell("saved");
  }

  async copy(button) {
    const shown = at(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(shown.textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    } catch {
      getSelection().selectAllChildren(shown); // without a permission: Ctrl-C copies it
    }
  }

  tell(words) {
    at("state").textContent = words;
  }

  fail(error) {
    at("message").firstChild.textContent = error.message;
    at("message").hidden = false;
    this.tell("");
    page.dataset.failed = Number(page.dataset.failed || 0) + 1;
  }
}

const app = new App();
app.begin().catch((error) => app.fail(error));
