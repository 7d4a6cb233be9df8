/** A fault, and how it strikes again and again. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Driver } from '../driver.js';
import type { History } from '../history.js';
import type { ProducerPool } from '../producer-pool.js';
import type { Random } from '../random.js';
import type { WorkerPool } from '../worker-pool.js';

/** What faults strike at. */
export interface Targets {
  readonly pool: WorkerPool;
  readonly driver: Driver;
  readonly producers: ProducerPool | undefined;
  readonly history: History;
  readonly lockMs: number;
  /** Of all keys of the app. */
  readonly prefix: string;
}

export interface Fault {
  readonly name: string;
  /** Between two strikes, in milliseconds. */
  readonly everyMs: readonly [min: number, max: number];
  /** False if there was nothing to strike at. */
  strike(targets: Targets, random: Random, signal: AbortSignal): Promise<boolean>;
}

/** A fault that has struck so often. */
export interface Strikes {
  readonly name: string;
  /** Strikes that have begun; not every one finds something to strike at. */
  begun: number;
  count: number;
}

/** Lets a fault strike until `signal` aborts, and what it has begun is over. */
export async function strikeRepeatedly(
  fault: Fault,
  targets: Targets,
  random: Random,
  signal: AbortSignal,
  strikes: Strikes,
): Promise<void> {
  for (let share = 0.5; ; share = 1) {
    await pause(random.between(...fault.everyMs) * share, signal);
    if (signal.aborted) return;
    strikes.begun += 1;
    if (await fault.strike(targets, random, signal)) strikes.count += 1;
  }
}

/** Resolves after a time, or once the faults are to end. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
