/** The only source of time in this package, so that tests can run on a clock of their own. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `run` once, `ms` milliseconds from now; the answer is for `clearTimeout`. */
  setTimeout(run: () => void, ms: number): unknown;
  /** The same for a limit on work that goes on meanwhile: who sets it does not wait for it. */
  setDeadline(run: () => void, ms: number): unknown;
  /** Of either kind. */
  clearTimeout(handle: unknown): void;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (run, ms) => new LongTimer(run, ms),
  setDeadline: (run, ms) => new LongTimer(run, ms),
  clearTimeout: (handle) => (handle as LongTimer | undefined)?.clear(),
};

/** Node fires a timer at once that is set for longer than this, 24.8 days. */
const LONGEST_MS = 2 ** 31 - 1;

class LongTimer {
  #timer: NodeJS.Timeout;

  constructor(run: () => void, ms: number) {
    this.#timer = this.#start(run, ms);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }

  #start(run: () => void, ms: number): NodeJS.Timeout {
    if (ms <= LONGEST_MS) return setTimeout(run, ms);
    return setTimeout(() => {
      this.#timer = this.#start(run, ms - LONGEST_MS);
    }, LONGEST_MS);
  }
}
