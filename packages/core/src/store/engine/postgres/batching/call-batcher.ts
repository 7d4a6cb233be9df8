/**
 * This module collects calls until the end of a turn of the event loop and runs them in batches. While two batches run, calls
 * wait for the next one: a commit takes much longer than a call, so few large batches are faster than many small ones.
 */
import { clearTimeout, performance, setImmediate, setTimeout } from '../../../../base/real-timers.js';

/** Number of batches that run at the same time. */
const RUNNING = 2;
/** A batch that takes longer does not hold others back: it may wait for a transaction of somebody else. */
const SLOW_MS = 100;

export interface BatchLimits {
  /** Maximum number of calls of a batch. */
  readonly calls: number;
  /** Maximum number of characters of a batch; a longer call is alone in its batch. */
  readonly characters: number;
}

interface Pending<Call> {
  readonly call: Call;
  readonly size: number;
}

/** Runs calls in batches. */
export class CallBatcher<Call> {
  readonly #run: (calls: readonly Call[]) => Promise<void>;
  readonly #limits: BatchLimits;
  #pending: Pending<Call>[] = [];
  /** When the batches that run began. */
  readonly #running = new Set<{ readonly since: number }>();
  #isScheduled = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param run Runs a batch, and settles every call of it. */
  constructor(run: (calls: readonly Call[]) => Promise<void>, limits: BatchLimits) {
    this.#run = run;
    this.#limits = limits;
  }

  add(call: Call, size: number): void {
    this.#pending.push({ call, size });
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    clearTimeout(this.#timer);
    while (this.#pending.length > 0) {
      const waitMs = this.#waitMs();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#flush(), waitMs);
        return;
      }
      const batch = this.#take();
      const running = { since: performance.now() };
      this.#running.add(running);
      void this.#run(batch).finally(() => {
        this.#running.delete(running);
        if (!this.#isScheduled) this.#flush();
      });
    }
  }

  /** Time until a batch may begin whatever those do that run; 0 if it may begin now. */
  #waitMs(): number {
    const now = performance.now();
    const recent = [...this.#running].filter(({ since }) => now - since < SLOW_MS);
    if (recent.length < RUNNING) return 0;
    return Math.max(1, Math.min(...recent.map(({ since }) => since)) + SLOW_MS - now);
  }

  #take(): Call[] {
    let count = 0;
    let characters = 0;
    for (const { size } of this.#pending) {
      const isFull = count >= this.#limits.calls || characters + size > this.#limits.characters;
      if (isFull && count > 0) break;
      count += 1;
      characters += size;
    }
    return this.#pending.splice(0, count).map(({ call }) => call);
  }
}
