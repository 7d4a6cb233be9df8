/** Waiting for a job: occasions to look at it, until it has ended or the wait is given up. */

import { isUmbelError, TimeoutError, UnknownJobError } from '../base/errors.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { durationMs } from '../base/time.js';
import { CancellableWait, WakeUp } from '../base/wait.js';
import type { Store } from '../store/store.js';
import type { GetOptions } from './async-result.js';
import type { Runtime } from './runtime.js';

/** Events only wake a waiter; the store decides. A missed event costs at most this long. */
const POLL_MS = { first: 50, max: 5000 };
const LAST_LOOK_MS = 1000;
/** More than a worker takes to start a job, unless it is busy. */
const WARN_MS = 5000;

/** The same for a whole run, whose tasks end in quick succession and in queues that are not known from the start. */
const RUN_POLL_MS = { first: 50, max: 1000 };
/** Between two looks at a run: as long as a look takes, so that the store has time for others. */
const RUN_PAUSE_MS = { min: 20, max: 500 };

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
  /** The queue that holds it. */
  find(): Promise<string | undefined>;
  state(): Promise<string>;
}

/** The store does not answer now. */
export const LATER = Symbol('later');

/** An occasion to look at a job. */
export interface Look {
  readonly queue: string;
  /** The answer of the store, or `LATER`; ends with the wait. */
  readonly ask: <T>(question: () => Promise<T>) => Promise<T | typeof LATER>;
  /** Whether the wait has ended: what is asked then is read for nobody. */
  readonly isLeft: () => boolean;
  /** Look at once when a job of the run ends in one of these queues. */
  readonly listen: (queues: Iterable<string>) => void;
  /** Something has changed: the next look is soon. */
  readonly again: () => void;
}

/**
 * Gives an occasion to look at the job, at once, at events and now and then, until it is left.
 * @throws what ends the wait.
 */
export async function* looksAt(
  parts: ResultParts,
  job: Watched,
  { timeout, signal }: GetOptions,
  { isRun = false } = {},
): AsyncGenerator<Look, void> {
  const timeoutMs = timeout === undefined ? undefined : durationMs(timeout, 'timeout');
  const { store, runtime } = parts;
  store.checkOpen();
  const { clock, observer } = runtime;
  // A test's engine knows what its waits are for, and whether anything goes on.
  const bell = new WakeUp(observer === undefined);
  const interrupt = new CancellableWait();
  const isOver = () => void timedOut(parts, job, timeoutMs ?? 0).then((error) => interrupt.with(error));
  const deadline = timeoutMs === undefined ? undefined : clock.setTimeout(isOver, timeoutMs);
  let givenUp: Error | undefined;
  const isLeft = () => interrupt.isOver;
  const undo = [
    interrupt.on(signal),
    interrupt.on(store.closed),
    observer?.waiting(job.id, (error) => {
      givenUp = error;
      bell.ring();
    }),
    () => clock.clearTimeout(deadline),
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
    const poll = isRun ? RUN_POLL_MS : POLL_MS;
    let pollMs = poll.first;
    const again = () => {
      pollMs = poll.first;
    };
    for (;;) {
      const startedAt = performance.now();
      const isLast = givenUp !== undefined; // what was done before that is still to be seen
      yield { queue, ask, isLeft, listen, again };
      if (isLast) throw givenUp;
      const tookMs = performance.now() - startedAt;
      const waitMs = pollMs;
      pollMs = Math.min(pollMs * 2, poll.max);
      await interrupt.race(bell.wait(waitMs));
      if (!isRun) continue;
      await interrupt.race(runtime.pause(Math.min(Math.max(tookMs, RUN_PAUSE_MS.min), RUN_PAUSE_MS.max)));
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
  const look = async () => {
    const unserved = await whoIsMissing(parts, job, await job.state());
    if (unserved !== undefined) parts.warn(`a result is waited for that does not come. ${unserved}`);
  };
  // Whoever waits for the result is told if the store cannot be reached.
  const timer = setTimeout(() => void look().catch(() => {}), WARN_MS);
  timer.unref();
  return () => clearTimeout(timer);
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
