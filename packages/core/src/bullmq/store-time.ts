import type { Clock } from '../clock.js';

/** Clocks that somebody looks after differ by less. */
const MAX_OFFSET_MS = 1000;

/**
 * The time of the store, which all processes of an app share.
 *
 * W22: BullMQ goes by the clock of each machine; a worker's that is an hour ahead would start delayed jobs an hour
 * early, and take others for expired.
 */
export class StoreTime {
  /** How far the clock of this machine is ahead, in milliseconds; 0 if that is less than a second. */
  offsetMs = 0;
  readonly #warn: (message: string) => void;
  #warnedOf = 0;

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  /** Takes note of how far this machine's clock is ahead, and warns if it is far. */
  measured(offsetMs: number): void {
    this.offsetMs = Math.abs(offsetMs) > MAX_OFFSET_MS ? Math.round(offsetMs) : 0;
    const isTold = Math.abs(this.offsetMs - this.#warnedOf) < MAX_OFFSET_MS;
    if (this.offsetMs === 0 || isTold) return;
    this.#warnedOf = this.offsetMs;
    const seconds = Math.round(Math.abs(offsetMs) / 1000);
    this.#warn(
      `the clock of this machine is ${seconds} s ${offsetMs > 0 ? 'ahead of' : 'behind'} the store's. ` +
        "Times are taken from the store's; set the clock (NTP).",
    );
  }

  /** The clock, set right. */
  correct(clock: Clock): Clock {
    return { ...clock, now: () => clock.now() - this.offsetMs };
  }
}
