/** How long what has come may wait where no frames are drawn: in a hidden tab. */
const longest = 250

/**
 * Runs what is added together, once per animation frame, in the order added: a
 * hundred events in one frame cost the page one rendering.
 */
export class FrameQueue {
  private waiting: (() => void)[] = []
  private frame = 0
  private timer: ReturnType<typeof setTimeout> | undefined

  add(run: () => void) {
    this.waiting.push(run)
    if (this.waiting.length > 1) return
    this.frame = requestAnimationFrame(this.flush)
    this.timer = setTimeout(this.flush, longest)
  }

  private flush = () => {
    cancelAnimationFrame(this.frame)
    clearTimeout(this.timer)
    const all = this.waiting
    this.waiting = []
    for (const run of all) {
      try {
        run()
      } catch (err) {
        // One listener that fails must not keep the others from what has come.
        reportError(err)
      }
    }
  }
}
