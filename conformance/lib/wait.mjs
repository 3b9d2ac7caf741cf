// Waiting for what is to happen, never for a time to pass.

const limit = 10_000;

/** within returns what the promise gives, or fails after 10 s or ms, saying what it waited for. */
export function within(promise, what, ms = limit) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`waited ${ms} ms for ${typeof what === 'function' ? what() : what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Recorder keeps what it is given in order, and lets tests wait for an entry. */
export class Recorder {
  all = [];
  #waiting = new Set();
  #taken = new Set();

  push(entry) {
    this.all.push(entry);
    for (const check of this.#waiting) check();
  }

  /** next returns the first entry that matches and was not returned before. */
  next(matches = () => true, what = matches.toString()) {
    let check;
    const found = new Promise((resolve) => {
      check = () => {
        const i = this.all.findIndex((entry, i) => !this.#taken.has(i) && matches(entry));
        if (i < 0) return;
        this.#taken.add(i);
        this.#waiting.delete(check);
        resolve(this.all[i]);
      };
      this.#waiting.add(check);
      check();
    });
    return within(found, () => `${what}; there were ${JSON.stringify(this.all)}`).finally(() => this.#waiting.delete(check));
  }
}

/** eventually calls get until its result matches; for state that nothing announces. */
export async function eventually(get, matches, what = matches.toString()) {
  const end = Date.now() + limit;
  for (;;) {
    const value = await get();
    if (matches(value)) return value;
    if (Date.now() > end) throw new Error(`waited 10 s for ${what}; the last was ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
