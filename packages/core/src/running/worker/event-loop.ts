/** How busy this process is. */
import {
  type EventLoopUtilization,
  type IntervalHistogram,
  monitorEventLoopDelay,
  performance,
} from 'node:perf_hooks';

export interface EventLoopLoad {
  /** How much of the time since the last look the event loop was busy, from 0 to 1. */
  readonly utilization: number;
  /** How late the event loop was at worst since the last look, in milliseconds. */
  readonly delayMs: number;
}

const RESOLUTION_MS = 20;

/** Measures from its making to `stop`. */
export class EventLoopMeter {
  readonly #delays: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #last: EventLoopUtilization = performance.eventLoopUtilization();

  constructor() {
    this.#delays.enable();
  }

  /** The load since the last call. */
  take(): EventLoopLoad {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#last);
    this.#last = now;
    // The histogram counts its own interval too; of one without a sample it tells nonsense.
    const delayMs = this.#delays.count === 0 ? 0 : Math.max(0, this.#delays.max / 1e6 - RESOLUTION_MS);
    this.#delays.reset();
    return { utilization, delayMs };
  }

  stop(): void {
    this.#delays.disable();
  }
}
