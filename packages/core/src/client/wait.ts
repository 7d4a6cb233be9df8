/** This module implements waits for jobs: their limits, and repeated looks at a run until it has ended. */

import { isUmbelError, TimeoutError, UnknownJobError } from '../base/errors.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { durationMs } from '../base/time.js';
import { CancellableWait, onAbort, WakeUp } from '../base/wait.js';
import type { Store } from '../store/store.js';
import type { GetOptions } from './async-result.js';
import type { Runtime } from './runtime.js';

/** Time limit of the last look after a timeout. */
const LAST_LOOK_MS = 1000;
/** Time after which a wait warns if no worker serves the queue: idle workers start jobs much earlier. */
const WARN_MS = 5000;

/** Time between two looks at a run: its tasks end quickly after each other, and in queues that are unknown at first. */
const POLL_MS = { first: 50, max: 1000 };
/** Pause after a look: at least as long as the look took, within these bounds, so that the store can serve others. */
const PAUSE_MS = { min: 20, max: 500 };

/** Dependencies of handles. */
export interface ResultDependencies {
  readonly store: Store;
  readonly runtime: Runtime;
  /** Returns advice if no worker serves the queue; undefined if one does. */
  readonly unserved: (queue: string) => Promise<string | undefined>;
  readonly warn: (message: string) => void;
  /** Returns whether this program defines a task. */
  readonly knowsTask: (name: string) => boolean;
  /** @throws {ValidationError} if an input does not match the schema of its task; the issues are below `path`. */
  readonly checkInput: (task: string, input: unknown, path: string) => Promise<void>;
  /** @throws {JobStateError} if the job was sent in a transaction that is not committed. */
  readonly checkStored?: (id: string) => Promise<void>;
}

/** The job of a wait. */
export interface Watched {
  readonly id: string;
  /** The queue that holds it, if it is known at the start. */
  readonly queue: string | undefined;
  /** Returns the queue that holds it. */
  find(): Promise<string | undefined>;
  state(): Promise<string>;
}

/** Answer while the store is unreachable. */
export const LATER = Symbol('later');

/** Ends a wait with an error at its timeout, when its signal is aborted, or when a test's engine has nothing left to do. */
export class WaitLimits {
  readonly #undo: (() => void)[] = [];

  /** @param giveUp Called instead of `end` when a test's engine has nothing left to do, so that finished work is still seen. */
  constructor(
    parts: ResultDependencies,
    job: Watched,
    { timeout, signal }: GetOptions,
    end: (error: unknown) => void,
    giveUp: (error: Error) => void,
  ) {
    const { clock, observer } = parts.runtime;
    if (signal !== undefined) this.#undo.push(onAbort(signal, end));
    if (timeout !== undefined) {
      const timeoutMs = durationMs(timeout, 'timeout');
      const deadline = clock.setTimeout(() => void timedOut(parts, job, timeoutMs).then(end), timeoutMs);
      this.#undo.push(() => clock.clearTimeout(deadline));
    }
    if (observer !== undefined) this.#undo.push(observer.waiting(job.id, giveUp));
  }

  stop(): void {
    for (const undo of this.#undo.splice(0)) undo();
  }
}

/** One look at a run. */
export interface Look {
  readonly queue: string;
  /** Returns the answer of the store, or `LATER`; rejects when the wait ends. */
  readonly ask: <T>(question: () => Promise<T>) => Promise<T | typeof LATER>;
  /** Triggers the next look when a job of the run ends in one of these queues. */
  readonly listen: (queues: Iterable<string>) => void;
  /** Schedules the next look soon, after a change. */
  readonly again: () => void;
}

/**
 * Yields looks at a run: at once, after events, and periodically, until the caller stops.
 * @throws the error that ends the wait.
 */
export async function* looksAt(
  parts: ResultDependencies,
  job: Watched,
  options: GetOptions,
): AsyncGenerator<Look, void> {
  const { store, runtime } = parts;
  store.checkOpen();
  const { observer } = runtime;
  // A test's engine knows its waits, and whether anything still runs.
  const wakeUp = new WakeUp(observer === undefined);
  const cancellable = new CancellableWait();
  let givenUp: Error | undefined;
  const limits = new WaitLimits(
    parts,
    job,
    options,
    (error) => cancellable.with(error),
    (error) => {
      givenUp = error;
      wakeUp.ring();
    },
  );
  const undo = [
    () => limits.stop(),
    cancellable.on(store.closed),
    // Tests control their own workers.
    observer === undefined ? warnLater(parts, job) : undefined,
  ];
  try {
    const queue = await cancellable.race(job.find());
    if (queue === undefined) throw new UnknownJobError(job.id, undefined);
    undo.push(store.watch(queue, job.id, () => wakeUp.ring()));
    let hasAnswered = false;
    const ask: Look['ask'] = async (question) => {
      try {
        const answer = await cancellable.race(question());
        hasAnswered = true;
        return answer;
      } catch (error) {
        // Continue if the store was reachable before; otherwise fail at once.
        if (hasAnswered && isUmbelError(error, 'CONNECTION')) return LATER;
        throw error;
      }
    };
    const watchedQueues = new Set<string>();
    const listen: Look['listen'] = (queues) => {
      for (const each of queues) {
        if (watchedQueues.has(each)) continue;
        watchedQueues.add(each);
        undo.push(store.watchBelow(each, job.id, () => wakeUp.ring()));
      }
    };
    let pollMs = POLL_MS.first;
    const again = () => {
      pollMs = POLL_MS.first;
    };
    for (;;) {
      const startedAt = performance.now();
      const isLast = givenUp !== undefined; // one last look at finished work
      yield { queue, ask, listen, again };
      if (isLast) throw givenUp;
      const tookMs = performance.now() - startedAt;
      const waitMs = pollMs;
      pollMs = Math.min(pollMs * 2, POLL_MS.max);
      await cancellable.race(wakeUp.wait(waitMs));
      await cancellable.race(runtime.pause(Math.min(Math.max(tookMs, PAUSE_MS.min), PAUSE_MS.max)));
    }
  } finally {
    wakeUp.ring();
    for (const end of undo) end?.();
  }
}

/** Returns the error of a timed-out wait, after a last look at the store of limited duration. */
async function timedOut(parts: ResultDependencies, job: Watched, timeoutMs: number): Promise<Error> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), LAST_LOOK_MS);
  });
  const state = await Promise.race([job.state().catch(() => undefined), tooLate]);
  const unserved = await Promise.race([adviceIfUnserved(parts, job, state).catch(() => undefined), tooLate]);
  clearTimeout(timer);
  return new TimeoutError(job.id, timeoutMs, state ?? 'unknown', unserved);
}

/** Warns once if a job has not started for a while and no worker serves its queue. Returns a function that stops it. */
function warnLater(parts: ResultDependencies, job: Watched): () => void {
  const timer = setTimeout(() => void warnIfUnserved(parts, job), WARN_MS);
  timer.unref();
  return () => clearTimeout(timer);
}

/** Warns if no worker serves the queue of a job. */
export async function warnIfUnserved(parts: ResultDependencies, job: Watched): Promise<void> {
  try {
    const unserved = await adviceIfUnserved(parts, job, await job.state());
    if (unserved !== undefined) parts.warn(`still waiting for the result of job ${job.id}. ${unserved}`);
  } catch {
    // The wait itself reports an unreachable store.
  }
}

async function adviceIfUnserved(
  { unserved }: ResultDependencies,
  job: Watched,
  state: string | undefined,
): Promise<string | undefined> {
  if (state !== 'waiting' && state !== 'waiting-children') return undefined;
  const queue = await job.find();
  return queue === undefined ? undefined : unserved(queue);
}
