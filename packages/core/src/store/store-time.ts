import { type Clock, systemClock } from '../base/time.js';

/** A clock that somebody looks after differs by less. */
const MAX_OFFSET_MS = 1000;
/** Between two readings the wall clock and the monotonic one go on by the same time, unless somebody sets the first. */
const MAX_DRIFT_MS = 500;
/** A reading with a larger error is taken only where it proves that the clock is wrong. */
export const EXACT_MS = 250;
/** Clocks drift, and are set. */
const AGAIN_MS = 300_000;
/** The same after a reading that told little, or none. */
const SOON_MS = 10_000;

/** How far the clock of this machine is ahead of the store's, as an answer of the store shows it. */
export interface ClockReading {
  readonly offsetMs: number;
  /** The true offset differs by no more: half of the time that the answer took. */
  readonly errorMs: number;
}

/** A reading, and where the clocks of this machine stood then. */
interface Taken {
  readonly offsetMs: number;
  /** How far the wall clock was ahead of the monotonic one. */
  readonly baseMs: number;
}

/** The two clocks of a machine. */
export interface MachineClocks {
  readonly wall: () => number;
  readonly monotonic: () => number;
}

const MACHINE: MachineClocks = { wall: systemClock.now, monotonic: () => performance.now() };

/**
 * The time of the store, which all processes of an app share.
 *
 * W22: BullMQ reads the clock of each machine; a worker's that is an hour ahead would start delayed jobs an hour early,
 * and take others for expired. `Backends` takes a reading when it connects, again when one is due, and before anything
 * is computed from the time while it is not known. From one reading to the next the store's time goes on by the
 * monotonic clock, so a wall clock that is set meanwhile changes nothing.
 */
export class StoreTime {
  readonly #warn: (message: string) => void;
  readonly #clocks: MachineClocks;
  #taken: Taken | undefined;
  #isAsked = false;
  #dueAt = 0;
  #warnedOf = 0;

  constructor(warn: (message: string) => void, clocks: MachineClocks = MACHINE) {
    this.#warn = warn;
    this.#clocks = clocks;
  }

  /** How far the clock of this machine is ahead, in milliseconds; 0 if that is less than a second. */
  get offsetMs(): number {
    if (this.#taken === undefined) return 0;
    const offsetMs = this.#current(this.#taken);
    return Math.abs(offsetMs) > MAX_OFFSET_MS ? Math.round(offsetMs) : 0;
  }

  /** Whether the store was asked, and this machine's clock was not set since. */
  get isKnown(): boolean {
    return this.#isAsked && !this.#wasSet(this.#clocks.monotonic());
  }

  /** Whether the store has to be asked again; `now` by the monotonic clock. */
  isDue(now: number): boolean {
    return now >= this.#dueAt || (this.#dueAt !== Number.POSITIVE_INFINITY && this.#wasSet(now));
  }

  /** While the store is being asked, or after it gave no answer: not due again for a moment. */
  postpone(): void {
    this.#dueAt = this.#clocks.monotonic() + SOON_MS;
    this.#taken = this.#taken && this.#rebased(this.#current(this.#taken));
  }

  /** Takes note of a reading, and warns if the clock is far off; undefined for a store that has no clock. */
  note(reading: ClockReading | undefined): void {
    this.#isAsked = true;
    if (reading === undefined) {
      this.#dueAt = Number.POSITIVE_INFINITY;
      return;
    }
    const { offsetMs, errorMs } = reading;
    const isExact = errorMs <= EXACT_MS;
    this.#dueAt = this.#clocks.monotonic() + (isExact ? AGAIN_MS : SOON_MS);
    const known = this.#taken === undefined ? 0 : this.#current(this.#taken);
    // What an inexact reading does not contradict is nearer to the truth.
    const isConsistent = Math.abs(offsetMs - known) <= errorMs + MAX_OFFSET_MS;
    this.#taken = this.#rebased(!isExact && isConsistent ? known : offsetMs);
    this.#warnIfOff();
  }

  /** The clock, set right. */
  correct(clock: Clock): Clock {
    return { ...clock, now: () => clock.now() - this.offsetMs };
  }

  #warnIfOff(): void {
    const { offsetMs } = this;
    if (offsetMs === 0 || Math.abs(offsetMs - this.#warnedOf) < MAX_OFFSET_MS) return;
    this.#warnedOf = offsetMs;
    const seconds = Math.round(Math.abs(offsetMs) / 1000);
    this.#warn(
      `the clock of this machine is ${seconds} s ${offsetMs > 0 ? 'ahead of' : 'behind'} the store's. ` +
        "Umbel uses the store's time; correct the clock (NTP).",
    );
  }

  #current({ offsetMs, baseMs }: Taken): number {
    return offsetMs + this.#base() - baseMs;
  }

  #rebased(offsetMs: number): Taken {
    return { offsetMs, baseMs: this.#base() };
  }

  #base(): number {
    return this.#clocks.wall() - this.#clocks.monotonic();
  }

  #wasSet(monotonic: number): boolean {
    if (this.#taken === undefined) return false;
    return Math.abs(this.#clocks.wall() - monotonic - this.#taken.baseMs) > MAX_DRIFT_MS;
  }
}
