/** Waiting for a job: what ends the wait before the job does, and occasions to look at a run until it has ended. */

import { isUmbelError, TimeoutError, UnknownJobError } from '../base/errors.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { durationMs } from '../base/time.js';
import { CancellableWait, onAbort, WakeUp } from '../base/wait.js';
import type { Store } from '../store/store.js';
import type { GetOptions } from './async-result.js';
import type { Runtime } from './runtime.js';

const LAST_LOOK_MS = 1000;
/** More than a worker takes to start a job, unless it is busy. */
const WARN_MS = 5000;

/** Between two looks at a run: its tasks end in quick succession and in queues that are not known from the start. */
const POLL_MS = { first: 50, max: 1000 };
/** At least as long as a look takes, so that the store has time for others. */
const PAUSE_MS = { min: 20, max: 500 };

/** What handles are made with. */
export interface ResultParts {
  readonly store: Store;
  readonly runtime: Runtime;
  /** What is to be done if nobody serves the queue; undefined if somebody does. */
  readonly unserved: (queue: string) => Promise<string | undefined>;
  readonly warn: (message: string) => void;
  /** Whether this process knows the schemas of a task. */
  readonly knowsTask: (name: string) => boolean;
  /** @throws {ValidationError} if an input does not fit its task; its issues are below `path`. */
  readonly checkInput: (task: string, input: unknown, path: string) => Promise<void>;
}

/** The job that is waited for. */
export interface Watched {
  readonly id: string;
  /** The queue that holds it, if that is known from the start. */
  readonly queue: string | undefined;
  /** The queue that holds it. */
  find(): Promise<string | undefined>;
  state(): Promise<string>;
}

/** The store does not answer now. */
export const LATER = Symbol('later');

/** Ends a wait with an error when its time is over, its signal is aborted, or a test has nothing left to do. */
export class WaitLimits {
  readonly #undo: (() => void)[] = [];

  /** @param giveUp Is called instead, when a test's engine has nothing left to do: what was done by then is to be seen. */
  constructor(
    parts: ResultParts,
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

/** An occasion to look at a run. */
export interface Look {
  readonly queue: string;
  /** The answer of the store, or `LATER`; ends with the wait. */
  readonly ask: <T>(question: () => Promise<T>) => Promise<T | typeof LATER>;
  /** Look at once when a job of the run ends in one of these queues. */
  readonly listen: (queues: Iterable<string>) => void;
  /** Something has changed: the next look is soon. */
  readonly again: () => void;
}

/**
 * Gives an occasion to look at the run, at once, at events and now and then, until it is left.
 * @throws what ends the wait.
 */
export async function* looksAt(
  parts: ResultParts,
  job: Watched,
  options: GetOptions,
): AsyncGenerator<Look, void> {
  const { store, runtime } = parts;
  store.checkOpen();
  const { observer } = runtime;
  // A test's engine knows what its waits are for, and whether anything goes on.
  const bell = new WakeUp(observer === undefined);
  const interrupt = new CancellableWait();
  let givenUp: Error | undefined;
  const limits = new WaitLimits(
    parts,
    job,
    options,
    (error) => interrupt.with(error),
    (error) => {
      givenUp = error;
      bell.ring();
    },
  );
  const undo = [
    () => limits.stop(),
    interrupt.on(store.closed),
    // A test's workers are its own affair.
    observer === undefined ? warnLater(parts, job) : undefined,
  ];
  try {
    const queue = await interrupt.race(job.find());
    if (queue === undefined) throw new UnknownJobError(job.id, undefined);
    undo.push(store.watch(queue, job.id, () => bell.ring()));
    let hasAnswered = false;
    const ask: Look['ask'] = async (question) => {
      try {
        const answer = await interrupt.race(question());
        hasAnswered = true;
        return answer;
      } catch (error) {
        // A store that was there once may come back; one that never was is told at once.
        if (hasAnswered && isUmbelError(error, 'CONNECTION')) return LATER;
        throw error;
      }
    };
    const heard = new Set<string>();
    const listen: Look['listen'] = (queues) => {
      for (const each of queues) {
        if (heard.has(each)) continue;
        heard.add(each);
        undo.push(store.watchBelow(each, job.id, () => bell.ring()));
      }
    };
    let pollMs = POLL_MS.first;
    const again = () => {
      pollMs = POLL_MS.first;
    };
    for (;;) {
      const startedAt = performance.now();
      const isLast = givenUp !== undefined; // what was done before that is still to be seen
      yield { queue, ask, listen, again };
      if (isLast) throw givenUp;
      const tookMs = performance.now() - startedAt;
      const waitMs = pollMs;
      pollMs = Math.min(pollMs * 2, POLL_MS.max);
      await interrupt.race(bell.wait(waitMs));
      await interrupt.race(runtime.pause(Math.min(Math.max(tookMs, PAUSE_MS.min), PAUSE_MS.max)));
    }
  } finally {
    bell.ring();
    for (const end of undo) end?.();
  }
}

/** The error of a wait that took too long; a last look at the store may take a moment, not more. */
async function timedOut(parts: ResultParts, job: Watched, timeoutMs: number): Promise<Error> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), LAST_LOOK_MS);
  });
  const state = await Promise.race([job.state().catch(() => undefined), tooLate]);
  const unserved = await Promise.race([whoIsMissing(parts, job, state).catch(() => undefined), tooLate]);
  clearTimeout(timer);
  return new TimeoutError(job.id, timeoutMs, state ?? 'unknown', unserved);
}

/** Tells once, when a job has not been started for a while, that nobody would; gives a function that stops it. */
function warnLater(parts: ResultParts, job: Watched): () => void {
  const timer = setTimeout(() => void warnIfUnserved(parts, job), WARN_MS);
  timer.unref();
  return () => clearTimeout(timer);
}

/** Tells that a job is waited for that nobody starts, if it is so. */
export async function warnIfUnserved(parts: ResultParts, job: Watched): Promise<void> {
  try {
    const unserved = await whoIsMissing(parts, job, await job.state());
    if (unserved !== undefined) parts.warn(`still waiting for the result of job ${job.id}. ${unserved}`);
  } catch {
    // Whoever waits for the result is told if the store cannot be reached.
  }
}

async function whoIsMissing(
  { unserved }: ResultParts,
  job: Watched,
  state: string | undefined,
): Promise<string | undefined> {
  if (state !== 'waiting' && state !== 'waiting-children') return undefined;
  const queue = await job.find();
  return queue === undefined ? undefined : unserved(queue);
}
