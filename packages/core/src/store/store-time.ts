/** This module measures the difference between the clock of this machine and the clock of the store, and corrects it. */
import type { IQueueBackend } from 'bullmq';
import { type Clock, systemClock } from '../base/time.js';

/** Differences up to this are ignored: synchronized clocks differ by less. */
const MAX_OFFSET_MS = 1000;
/** If wall clock and monotonic clock drift apart by more between two readings, the wall clock was set. */
const MAX_DRIFT_MS = 500;
/** A reading with a larger error counts only if it proves that the clock is wrong. */
export const EXACT_MS = 250;
/** Time between two exact readings: clocks drift and are set. */
const AGAIN_MS = 300_000;
/** Time until the next reading after an inexact or failed one. */
const SOON_MS = 10_000;

/** How far the clock of this machine is ahead of the store's, measured by one answer of the store. */
export interface ClockReading {
  readonly offsetMs: number;
  /** Maximum error of `offsetMs`: half of the round-trip time. */
  readonly errorMs: number;
}

/** Measures the clock of a server by an answer with its time, in milliseconds; undefined if the answer has none. */
export async function readServerClock<Answer>(
  ask: () => Promise<Answer>,
  timeOf: (answer: Answer) => number | undefined,
): Promise<{ readonly answer: Answer; readonly clock: ClockReading | undefined }> {
  const startedAt = performance.now();
  const answer = await ask();
  const errorMs = (performance.now() - startedAt) / 2;
  const now = systemClock.now() - errorMs;
  const time = timeOf(answer);
  return { answer, clock: time === undefined ? undefined : { offsetMs: now - time, errorMs } };
}

/** Returns a new job with its time in the store's time. */
export function inStoreTime<Job extends { readonly timestamp: number }>(job: Job, offsetMs: number): Job {
  return offsetMs === 0 ? job : { ...job, timestamp: job.timestamp - offsetMs };
}

/** Converts the times of jobs that are added several at a time, before a backend packs them. */
export function addsInStoreTime(backend: IQueueBackend, time: StoreTime): void {
  const { addJobs, addFlow } = backend;
  backend.addJobs = (entries) => {
    const { offsetMs } = time;
    if (offsetMs === 0) return addJobs.call(backend, entries);
    return addJobs.call(
      backend,
      entries.map((entry) => ({ ...entry, job: inStoreTime(entry.job, offsetMs) })),
    );
  };
  backend.addFlow = (entries) => {
    const { offsetMs } = time;
    if (offsetMs === 0) return addFlow.call(backend, entries);
    return addFlow.call(
      backend,
      entries.map((entry) => ({ ...entry, jobData: inStoreTime(entry.jobData, offsetMs) })),
    );
  };
}

/** A reading, and the state of the clocks of this machine at that moment. */
interface Offset {
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
 * Provides the time of the store, which all processes of an app share.
 *
 * W22: BullMQ reads the clock of each machine. A worker whose clock is an hour ahead would start delayed jobs an hour
 * early and treat others as expired. `QueuePool` takes a reading when it connects, whenever one is due, and before the
 * first use of an unknown time. Between two readings the monotonic clock counts, so setting the wall clock has no effect.
 */
export class StoreTime {
  readonly #warn: (message: string) => void;
  readonly #clocks: MachineClocks;
  #offset: Offset | undefined;
  #hasReading = false;
  #dueAt = 0;
  #warnedOf = 0;

  constructor(warn: (message: string) => void, clocks: MachineClocks = MACHINE) {
    this.#warn = warn;
    this.#clocks = clocks;
  }

  /** How far the clock of this machine is ahead, in milliseconds; 0 for less than a second. */
  get offsetMs(): number {
    if (this.#offset === undefined) return 0;
    const offsetMs = this.#current(this.#offset);
    return Math.abs(offsetMs) > MAX_OFFSET_MS ? Math.round(offsetMs) : 0;
  }

  /** Whether a reading was taken and the clock of this machine was not set since. */
  get isKnown(): boolean {
    return this.#hasReading && !this.#wasSet(this.#clocks.monotonic());
  }

  /** Returns whether a new reading is due; `now` is a time of the monotonic clock. */
  isDue(now: number): boolean {
    return now >= this.#dueAt || (this.#dueAt !== Number.POSITIVE_INFINITY && this.#wasSet(now));
  }

  /** Postpones the next reading, after the store did not answer. */
  postpone(): void {
    this.#dueAt = this.#clocks.monotonic() + SOON_MS;
    this.#offset = this.#offset && this.#rebased(this.#current(this.#offset));
  }

  /** Stores a reading and warns if the clock is wrong. Pass undefined for a store without a clock. */
  note(reading: ClockReading | undefined): void {
    this.#hasReading = true;
    if (reading === undefined) {
      this.#dueAt = Number.POSITIVE_INFINITY;
      return;
    }
    const { offsetMs, errorMs } = reading;
    const isExact = errorMs <= EXACT_MS;
    this.#dueAt = this.#clocks.monotonic() + (isExact ? AGAIN_MS : SOON_MS);
    const known = this.#offset === undefined ? 0 : this.#current(this.#offset);
    // An inexact reading that does not contradict the known offset is worse than the known offset.
    const isConsistent = Math.abs(offsetMs - known) <= errorMs + MAX_OFFSET_MS;
    this.#offset = this.#rebased(!isExact && isConsistent ? known : offsetMs);
    this.#warnIfOff();
  }

  /** Returns a clock that shows the store's time. */
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

  #current({ offsetMs, baseMs }: Offset): number {
    return offsetMs + this.#base() - baseMs;
  }

  #rebased(offsetMs: number): Offset {
    return { offsetMs, baseMs: this.#base() };
  }

  #base(): number {
    return this.#clocks.wall() - this.#clocks.monotonic();
  }

  #wasSet(monotonic: number): boolean {
    if (this.#offset === undefined) return false;
    return Math.abs(this.#clocks.wall() - monotonic - this.#offset.baseMs) > MAX_DRIFT_MS;
  }
}
