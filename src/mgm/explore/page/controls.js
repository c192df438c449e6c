// The controls, made from what the explorer offers: a new mask or option appears by itself.

import { element } from "./draw.js";

const WORDS = { boundary: "border rule", top_k: "top cells", softness: "softness, in tokens", camera: "camera, by the mask", sides: "sides from", exact: "exact count of" };
const FAMILIES = ["follow the motion", "move by themselves", "ignore motion"];

export class Controls {
  // `change(kind)`: "clip" needs other frames or motion, "mask" another mask, "look" only another painting.
  constructor(form, start, change) {
    Object.assign(this, { form, start, change });
    this.masks = new Map(start.masks.map((mask) => [mask.name, mask]));
    const { frames, stride, motion, reading, camera } = start.clip;
    this.clip = { start: 0, frames, stride, motion, reading, camera };
    this.chosen = [structuredClone(start.mask), { name: "tube", ratio: start.mask.ratio, options: {} }];
    this.seed = 0;
    this.compare = false;
    this.arrows = false;
    this.build();
  }

  // The masks that are shown, with the options that differ from the mask's own.
  get wanted() {
    return (this.compare ? this.chosen : this.chosen.slice(0, 1)).map(({ name, ratio, options }) => {
      const known = this.masks.get(name).options;
      const own = known.filter((option) => option.name in options && options[option.name] !== option.default);
      return { name, ratio, options: Object.fromEntries(own.map((option) => [option.name, options[option.name]])) };
    });
  }

  build() {
    const { clip } = this.start;
    const even = Math.max(1, this.start.tubelet);
    this.form.addEventListener("submit", (event) => event.preventDefault());
    const motion = group(
      "Motion",
      this.choice("source", "motion", this.start.sources, this.clip),
      this.choice("reading", "reading", this.start.readings, this.clip),
      this.choice("camera", "camera", this.start.cameras, this.clip),
      this.flag("arrows", () => this.arrows, (on) => (this.arrows = on), "look"),
    );
    this.mask = element("div", { className: "mask" });
    this.other = element("div", { className: "mask" });
    const seed = this.range("seed", { low: 0, high: 99, step: 1 }, () => this.seed, (value) => (this.seed = value), "mask");
    const compare = this.flag("second mask beside", () => this.compare, (on) => this.setCompare(on), "mask");
    const shape = group(
      "Clip",
      this.range("frames", { low: even, high: clip.most_frames, step: even }, () => this.clip.frames, (v) => (this.clip.frames = v), "clip"),
      this.range("stride", { low: 1, high: clip.most_stride, step: 1 }, () => this.clip.stride, (v) => (this.clip.stride = v), "clip"),
    );
    if (this.start.fixed) for (const input of shape.querySelectorAll("input")) input.disabled = true;
    const save = element("button", { type: "button", id: "export" }, "Save the view as PNG");
    const keys = element("p", { className: "keys" }, "Keys: space plays, ← → step, shift + ← → move the clip, s draws with the next seed, m takes the next mask");
    this.form.replaceChildren(motion, group("Mask", this.mask, seed, compare), this.other, shape, group("View", save, keys));
    this.fillMask(0);
    this.setCompare(false);
  }

  setCompare(on) {
    this.compare = on;
    this.other.hidden = !on;
    this.other.replaceChildren();
    if (on) this.fillMask(1);
  }

  // The select of a mask and the controls of its options.
  fillMask(which) {
    const place = which ? this.other : this.mask;
    const chosen = this.chosen[which];
    const select = element("select", { id: which ? "mask-b" : "mask-a" });
    for (const family of FAMILIES) {
      const members = [...this.masks.values()].filter((mask) => mask.family === family);
      const shown = members.map(({ name }) => element("option", { value: name }, name));
      if (shown.length) select.append(element("optgroup", { label: family }, ...shown));
    }
    select.value = chosen.name;
    select.addEventListener("change", () => {
      this.chosen[which] = { name: select.value, ratio: chosen.ratio, options: {} };
      this.fillMask(which);
      document.getElementById(select.id).focus();
      this.change("mask");
    });
    const mask = this.masks.get(chosen.name);
    const named = label(which ? "second mask" : "mask", select);
    const about = element("p", { className: "about" }, mask.about);
    const ratio = this.range("ratio", { low: 0.05, high: 0.95, step: 0.05 }, () => chosen.ratio, (v) => (chosen.ratio = v), "mask");
    const options = mask.options.map((option) => this.option(option, chosen));
    if (which) place.replaceChildren(group("Second mask", named, about, ratio, ...options));
    else place.replaceChildren(named, about, ratio, ...options);
  }

  nextMask() {
    const names = [...this.masks.keys()];
    const next = names[(names.indexOf(this.chosen[0].name) + 1) % names.length];
    this.chosen[0] = { name: next, ratio: this.chosen[0].ratio, options: {} };
    this.fillMask(0);
    this.change("mask");
  }

  nextSeed() {
    this.seed = (this.seed + 1) % 100;
    const input = this.form.querySelector("[name=seed]");
    input.value = this.seed;
    input.nextSibling.value = this.seed;
    this.change("mask");
  }

  option(option, chosen) {
    const control = this.optionControl(option, chosen);
    control.title = option.about;
    return control;
  }

  optionControl({ name, kind, choices, low, high, step, default: own }, chosen) {
    const words = WORDS[name] || name.replaceAll("_", " ");
    const get = () => chosen.options[name] ?? own;
    const set = (value) => (chosen.options[name] = value);
    if (kind === "choice") return this.choice(words, name, choices, { get [name]() { return get(); }, set [name](value) { set(value); } }, "mask");
    if (kind === "switch") return this.flag(words, get, set, "mask", name);
    return this.range(words, { low, high, step }, get, set, "mask", name);
  }

  choice(words, name, choices, holder, kind = "clip") {
    const select = element("select", { name }, ...choices.map((choice) => element("option", { value: choice }, choice)));
    select.value = holder[name];
    select.addEventListener("change", () => {
      holder[name] = select.value;
      this.change(kind);
    });
    return label(words, select);
  }

  flag(words, get, set, kind, name = words.replaceAll(" ", "-")) {
    const box = element("input", { type: "checkbox", name, checked: get() });
    box.addEventListener("change", () => {
      set(box.checked);
      this.change(kind);
    });
    return element("label", { className: "flag" }, box, words);
  }

  range(words, { low, high, step }, get, set, kind, name = words) {
    const output = element("output", {}, String(get()));
    const input = element("input", { type: "range", name, min: low, max: high, step });
    input.value = get();
    input.addEventListener("input", () => {
      set(Number(input.value));
      output.value = input.value;
      this.change(kind);
    });
    return label(words, input, output);
  }
}

function group(title, ...members) {
  return element("fieldset", {}, element("legend", {}, title), ...members);
}

function label(words, ...members) {
  return element("label", {}, element("span", {}, words), ...members);
}
