// One line over time, filled below, on one canvas; zero is always in the picture.

import { h, setText } from './dom.js';
import { clock } from './text.js';

/**
 * @typedef {{ at: number, value: number | null }} Dot
 */

const foot = 18;
const head = 18;

export class Chart {
  /**
   * @param {object} options
   * @param {string} options.label
   * @param {(value: number | null) => string} options.format
   * @param {(value: number | null) => void} [options.onLook] The value under the pointer, or that of now.
   */
  constructor({ label, format, onLook }) {
    this.format = format;
    this.label = label;
    this.onLook = onLook;
    /** @type {Dot[]} */
    this.dots = [];
    this.span = 60_000;
    this.end = Date.now();
    /** @type {number | null} */
    this.looked = null;
    this.canvas = h('canvas', {
      tabindex: 0,
      role: 'slider',
      'aria-label': `${label}, over time`,
      'aria-orientation': 'horizontal',
      onpointermove: (/** @type {PointerEvent} */ e) => this.#look(this.#nearest(e.offsetX)),
      onpointerleave: () => this.#look(document.activeElement === this.canvas ? this.looked : null),
      onblur: () => this.#look(null),
      onkeydown: (/** @type {KeyboardEvent} */ e) => this.#key(e),
    });
    this.tip = h('span.tip', { hidden: true });
    this.element = h('div.chart', null, this.canvas, this.tip);
    this.#watch = new ResizeObserver(() => this.draw());
    this.#watch.observe(this.canvas);
  }

  /** @type {ResizeObserver} */
  #watch;

  stop() {
    this.#watch.disconnect();
  }

  /**
   * set gives what to draw.
   * @param {Dot[]} dots Oldest first.
   * @param {number} span How much time the picture shows, in milliseconds.
   */
  set(dots, span) {
    this.dots = dots;
    this.span = span;
    this.end = dots.at(-1)?.at ?? Date.now();
    if (this.looked !== null && !dots.some((d) => d.at === this.looked)) this.looked = dots[0]?.at ?? null;
    this.draw();
    this.#tell();
  }

  /** @param {KeyboardEvent} e */
  #key(e) {
    const seen = this.dots.filter((d) => d.at >= this.end - this.span);
    const at = this.looked === null ? seen.length - 1 : seen.findIndex((d) => d.at === this.looked);
    const to = { ArrowLeft: at - (this.looked === null ? 0 : 1), ArrowRight: at + 1, Home: 0, End: seen.length - 1, Escape: -1 }[e.key];
    if (to === undefined) return;
    if (e.key === 'Escape' && this.looked === null) return;
    e.preventDefault();
    e.stopPropagation();
    this.#look(e.key === 'Escape' ? null : (seen[Math.max(0, Math.min(seen.length - 1, to))]?.at ?? null));
  }

  /** @param {number} x */
  #nearest(x) {
    const at = this.end - this.span + (x / this.canvas.clientWidth) * this.span;
    let best = null;
    for (const dot of this.dots) {
      if (best === null || Math.abs(dot.at - at) < Math.abs(best - at)) best = dot.at;
    }
    return best;
  }

  /** @param {number | null} at */
  #look(at) {
    this.looked = at;
    this.draw();
    this.#tell();
  }

  #tell() {
    const dot = this.looked === null ? this.dots.at(-1) : this.dots.find((d) => d.at === this.looked);
    const value = dot?.value ?? null;
    const when = dot ? clock(dot.at) : '';
    this.onLook?.(value);
    this.canvas.setAttribute('aria-valuenow', String(value ?? 0));
    this.canvas.setAttribute('aria-valuemin', '0');
    this.canvas.setAttribute('aria-valuetext', dot ? `${this.format(value)} at ${when}` : 'nothing yet');
    this.tip.hidden = this.looked === null;
    if (this.looked === null || !dot) return;
    setText(this.tip, `${when}  ${this.format(value)}`);
    const x = ((dot.at - this.end + this.span) / this.span) * this.canvas.clientWidth;
    const wide = this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(0, Math.min(this.canvas.clientWidth - wide, x - wide / 2))}px`;
  }

  draw() {
    const { canvas } = this;
    const wide = canvas.clientWidth;
    const high = canvas.clientHeight;
    const paint = canvas.getContext('2d');
    if (!paint || !wide || !high) return;
    const scale = devicePixelRatio || 1;
    if (canvas.width !== Math.round(wide * scale) || canvas.height !== Math.round(high * scale)) {
      canvas.width = Math.round(wide * scale);
      canvas.height = Math.round(high * scale);
    }
    const style = getComputedStyle(canvas);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name);
    paint.setTransform(scale, 0, 0, scale, 0, 0);
    paint.clearRect(0, 0, wide, high);
    const floor = high - foot;
    const most = Math.max(0, ...this.dots.map((d) => d.value ?? 0));
    const top = nice(most);
    const x = (/** @type {number} */ at) => ((at - this.end + this.span) / this.span) * wide;
    const y = (/** @type {number} */ value) => floor - (value / top) * (floor - head);

    paint.strokeStyle = colour('--chart-floor');
    paint.lineWidth = 1;
    paint.beginPath();
    paint.moveTo(0, floor + 0.5);
    paint.lineTo(wide, floor + 0.5);
    paint.stroke();

    for (const run of runs(this.dots.filter((d) => d.at >= this.end - this.span), this.span / 40)) {
      paint.beginPath();
      run.forEach((dot, i) => paint[i ? 'lineTo' : 'moveTo'](x(dot.at), y(dot.value)));
      paint.strokeStyle = colour('--chart-line');
      paint.lineWidth = 1.5;
      paint.lineJoin = 'round';
      paint.stroke();
      paint.lineTo(x(run[run.length - 1].at), floor);
      paint.lineTo(x(run[0].at), floor);
      paint.closePath();
      paint.fillStyle = colour('--chart-fill');
      paint.fill();
    }

    const dot = this.dots.find((d) => d.at === this.looked);
    if (dot) {
      paint.strokeStyle = colour('--chart-text');
      paint.beginPath();
      paint.moveTo(x(dot.at), head - 4);
      paint.lineTo(x(dot.at), floor);
      paint.stroke();
      if (dot.value !== null) {
        paint.fillStyle = colour('--chart-line');
        paint.beginPath();
        paint.arc(Math.max(3, Math.min(wide - 3, x(dot.at))), y(dot.value), 3, 0, 2 * Math.PI);
        paint.fill();
      }
    }

    paint.font = `12px ${style.fontFamily}`;
    paint.fillStyle = colour('--chart-text');
    paint.textBaseline = 'alphabetic';
    paint.textAlign = 'left';
    if (most > 0 && this.looked === null) paint.fillText(this.format(top).replace(/\.0(?= |$)/, ''), 0, 11);
    paint.fillText(this.span > 120_000 ? '60 min ago' : '60 s ago', 0, high - 3);
    paint.textAlign = 'right';
    paint.fillText('now', wide, high - 3);
  }
}

/**
 * runs cuts the line where nothing was measured.
 * @param {Dot[]} dots
 * @param {number} gap
 */
function runs(dots, gap) {
  /** @type {{ at: number, value: number }[][]} */
  const out = [];
  let last = -Infinity;
  for (const { at, value } of dots) {
    if (value === null) {
      last = -Infinity;
      continue;
    }
    if (at - last > gap + 1500) out.push([]);
    out[out.length - 1].push({ at, value });
    last = at;
  }
  return out.filter((run) => run.length > 0);
}

/**
 * nice is the next round number, so that the scale stays where it is while values dance.
 * @param {number} value
 */
function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((n) => n >= value) ?? value;
}
