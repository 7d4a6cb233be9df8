/** Looks one after another, also while the store does not answer for a while. */
import { setTimeout } from 'node:timers/promises';
import { umbelCode } from '../errors/problem.js';
import type { Sampler, Snapshot } from './sampler.js';

/** How long a look may take before it is said that the store does not answer. */
const PATIENCE_MS = 2000;
/** Between two tries to hear what happens, while the store is away. */
const LISTEN_AGAIN_MS = 1000;

/** A look, or for how long the store has not answered. */
export type Sight = { readonly snapshot: Snapshot } | { readonly silentMs: number };

export class Watching {
  readonly #sampler: Sampler;
  readonly #signal: AbortSignal;
  #looking: Promise<Snapshot | undefined> | undefined;
  #answeredAt = performance.now();

  constructor(sampler: Sampler, signal: AbortSignal) {
    this.#sampler = sampler;
    this.#signal = signal;
  }

  /** Counts events until the signal is aborted, also after the store was away. Rejects with any other error. */
  async listen(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        await this.#sampler.listen(this.#signal);
        return;
      } catch (error) {
        if (!isAway(error)) throw error;
        await setTimeout(LISTEN_AGAIN_MS, undefined, { signal: this.#signal }).catch(() => {}); // it is aborted
      }
    }
  }

  /** The next look, or that there is none yet. @throws what a look throws while the store answers. */
  async next(): Promise<Sight> {
    this.#looking ??= this.#sampler.look().catch((error: unknown) => {
      if (isAway(error)) return undefined;
      throw error;
    });
    const done = new AbortController();
    const signal = AbortSignal.any([done.signal, this.#signal]);
    const late = setTimeout(PATIENCE_MS, undefined, { signal }).then(
      () => LATE,
      () => LATE,
    );
    const seen = await Promise.race([this.#looking, late]).finally(() => done.abort());
    if (seen !== LATE) this.#looking = undefined;
    if (seen === LATE || seen === undefined) return { silentMs: performance.now() - this.#answeredAt };
    this.#answeredAt = performance.now();
    return { snapshot: seen };
  }
}

const LATE = 'late' as const;

function isAway(error: unknown): boolean {
  return umbelCode(error) === 'CONNECTION';
}
