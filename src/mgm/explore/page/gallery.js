// The list of videos: thumbnails as they come into view, search, and sorting by name, by motion or by the loss of a run's model.

import { ask, upload } from "./api.js";
import { element } from "./draw.js";
import { oneStop } from "./keys.js";

const AT_ONCE = 2;

export class Gallery {
  constructor({ choose, fail }) {
    this.choose = choose;
    this.fail = fail;
    this.videos = [];
    this.summaries = new Map();
    this.errors = new Map();
    this.entries = new Map();
    this.waiting = [];
    this.asking = 0;
    this.list = document.getElementById("videos");
    this.enterAt = oneStop(this.list);
    this.search = document.getElementById("search");
    this.sort = document.getElementById("sort");
    this.found = document.getElementById("found");
    this.seen = new IntersectionObserver((changes) => {
      for (const { isIntersecting, target } of changes) if (isIntersecting) this.want(target.dataset.id, true);
    });
    this.search.addEventListener("input", () => this.show());
    this.sort.addEventListener("change", () => {
      if (this.sort.value === "error") this.measure();
      else if (this.sort.value !== "name") for (const { id } of this.videos) this.want(id);
      this.show();
    });
  }

  // With a run that reconstructs: its loss is an order, too.
  offerErrors() {
    this.sort.append(element("option", { value: "error" }, "largest loss first"));
  }

  // One video after the other: the model works for one at a time.
  async measure() {
    if (this.measuring) return;
    this.measuring = true;
    for (const { id } of this.videos) {
      if (this.errors.has(id)) continue;
      const { error } = await ask("error", { video: id }).catch(() => ({ error: null }));
      this.errors.set(id, error);
      this.fill(id);
      if (this.sort.value === "error") this.show();
    }
    this.measuring = false;
  }

  async load() {
    this.videos = (await ask("videos")).videos;
    this.show();
  }

  async add(file, limit, progress) {
    if (file.size > limit) {
      const size = (bytes) => `${Math.round(bytes / 2 ** 20)} MB`;
      throw new Error(`${file.name} has ${size(file.size)}; an upload may have ${size(limit)}. Name its folder when you start mgm explore.`);
    }
    const made = await upload(file, progress);
    this.summaries.set(made.id, made);
    await this.load();
    return made.id;
  }

  mark(id) {
    this.chosen = id;
    for (const [own, entry] of this.entries) entry.querySelector("button").setAttribute("aria-pressed", own === id);
  }

  // Ask for a video's summary; those in view come first.
  want(id, now = false) {
    if (this.summaries.has(id)) return;
    this.waiting = this.waiting.filter((other) => other !== id);
    if (now) this.waiting.unshift(id);
    else this.waiting.push(id);
    this.next();
  }

  async next() {
    if (this.asking >= AT_ONCE || !this.waiting.length) return;
    const id = this.waiting.shift();
    this.asking++;
    this.summaries.set(id, null);
    try {
      this.summaries.set(id, await ask("summary", { video: id }));
    } catch (error) {
      this.summaries.set(id, { failed: error.message });
    }
    this.asking--;
    this.fill(id);
    if (this.sort.value !== "name" && !this.waiting.length && !this.asking) this.show();
    this.count();
    this.next();
  }

  show() {
    const wanted = this.search.value.trim().toLowerCase();
    const sign = { motion: -1, still: 1, error: -1 }[this.sort.value];
    const known = ({ id }) => (this.sort.value === "error" ? this.errors.get(id) : this.summaries.get(id)?.motion);
    const value = (video) => known(video) ?? (sign > 0 ? Infinity : -Infinity);
    const shown = this.videos.filter(({ name }) => name.toLowerCase().includes(wanted));
    if (sign) shown.sort((a, b) => sign * (value(a) - value(b) || 0));
    this.seen.disconnect();
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
    this.list.replaceChildren(...shown.map((video) => this.entry(video)));
    focused?.focus();
    for (const { id } of shown) this.seen.observe(this.entries.get(id));
    this.shown = shown;
    this.count();
    if (this.chosen) this.mark(this.chosen);
    this.enterAt();
  }

  count() {
    const by = this.sort.value === "error" ? "error" : "motion";
    const ready = this.videos.filter(({ id }) => (by === "error" ? this.errors.has(id) : this.summaries.get(id))).length;
    const sorting = this.sort.value !== "name" && ready < this.videos.length ? `, ${by === "error" ? "loss" : by} of ${ready}` : "";
    const all = this.videos.length;
    this.found.textContent = all ? `${this.shown.length} of ${all} videos${sorting}` : "no videos yet";
  }

  entry({ id, name, own }) {
    if (!this.entries.has(id)) {
      const button = element("button", { type: "button", title: name }, element("span", { className: "thumb" }));
      button.append(element("span", { className: "name" }, own ? `${name} (yours)` : name), element("span", { className: "meta" }));
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => this.choose(id));
      const entry = element("li", {}, button);
      entry.dataset.id = id;
      this.entries.set(id, entry);
      this.fill(id);
    }
    return this.entries.get(id);
  }

  fill(id) {
    const [entry, summary] = [this.entries.get(id), this.summaries.get(id)];
    if (!entry || !summary) return;
    const meta = entry.querySelector(".meta");
    if (summary.failed) {
      entry.classList.add("failed");
      meta.textContent = "cannot be read";
      entry.querySelector("button").title = summary.failed;
      return;
    }
    const picture = element("img", { src: summary.thumbnail, alt: "" });
    entry.querySelector(".thumb").replaceChildren(picture);
    const long = summary.seconds === null ? `${summary.frames} frames` : `${summary.seconds.toFixed(1)} s`;
    const moves = summary.motion === null ? "" : `, motion ${summary.motion.toFixed(1)}`;
    const error = this.errors.get(id);
    meta.textContent = `${long}${moves}${error == null ? "" : `, loss ${error.toFixed(3)}`}`;
    meta.title = "motion: thousandths of the height per frame, mean of the middle; loss: of the model on the middle clip, under the run's mask";
  }
}
