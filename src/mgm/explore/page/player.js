// Time: which frame is shown, and playing at the clip's own speed, in a loop.

export class Player {
  constructor(show) {
    this.show = show;
    this.times = [0];
    this.t = 0;
    this.playing = false;
    this.began = 0;
  }

  load(times) {
    this.times = times.length ? times : [0];
    this.t = Math.min(this.t, this.times.length - 1);
    this.began = performance.now() - this.seconds(this.t) * 1000;
  }

  seconds(t) {
    return this.times[t] ?? t / 8;
  }

  // The last frame is shown as long as the one before.
  get length() {
    const last = this.times.length - 1;
    const step = last > 0 ? this.seconds(last) - this.seconds(last - 1) : 0;
    return this.seconds(last) + Math.max(step, 0.04);
  }

  go(t) {
    const count = this.times.length;
    this.t = ((t % count) + count) % count;
    this.began = performance.now() - this.seconds(this.t) * 1000;
    this.show(this.t);
  }

  toggle() {
    this.playing = !this.playing;
    this.began = performance.now() - this.seconds(this.t) * 1000;
    if (this.playing) requestAnimationFrame(() => this.tick());
    return this.playing;
  }

  tick() {
    if (!this.playing) return;
    const at = ((performance.now() - this.began) / 1000) % this.length;
    let t = this.times.findIndex((_, place) => this.seconds(place) > at) - 1;
    if (t < 0) t = at < this.seconds(0) ? 0 : this.times.length - 1;
    if (t !== this.t) {
      this.t = t;
      this.show(t);
    }
    requestAnimationFrame(() => this.tick());
  }
}
