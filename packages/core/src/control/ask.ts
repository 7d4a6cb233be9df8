/**
 * Sends control messages to workers and collects their answers within a timeout. `app.inspect` and `app.control` use it.
 * A worker that answers too late is reported as missing.
 */

import { randomUUID } from 'node:crypto';
import { InvalidOptionError } from '../base/errors.js';
import { checkInteger, checkOptions, checkText, type OptionNames } from '../base/option-checks.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { type Clock, type Duration, durationMs } from '../base/time.js';
import { onAbort } from '../base/wait.js';
import { publishMessage, readRecords, removeRecords } from '../store/control-queue.js';
import type { BackendOptions } from '../store/queue-pool.js';
import type { Store } from '../store/store.js';
import { isName } from '../task/option-checks.js';
import {
  type ControlMessageKind,
  type Fields,
  isWorkerId,
  MAX_WAIT_MS,
  parsed,
  Replies,
  recordFields,
  storedMessage,
  textOf,
} from './messages.js';
import {
  isShown,
  matchWorkers,
  sortRecords,
  type WorkerRecord,
  workerLabels,
  workerStateOf,
} from './worker-record.js';

/** Options of calls that ask workers. */
export interface AskOptions {
  /** Workers to ask, by name or by process id (`id` of `WorkerProcess`). Default: all workers. */
  workers?: string | readonly string[] | undefined;
  /** Longest wait for answers, at most 10 min. Default 1 s. */
  timeout?: Duration | undefined;
}

export const ASK_OPTIONS: OptionNames<AskOptions> = { workers: true, timeout: true };

/**
 * The answers of workers, one for each process, with the name of its worker as the key: `'mail.17'`. If several processes
 * have that name, the keys are `'mail.17#0'` with the index of the process, or with the beginning of its id.
 * @example
 * const { answers, missing } = await app.inspect.stats({ timeout: '2s' });
 */
export interface Answers<Answer> {
  readonly answers: Readonly<Record<string, Answer>>;
  /** Reasons of workers that answered with an error. */
  readonly errors: Readonly<Record<string, string>>;
  /** Workers that did not answer in time, and unknown names. They ignore the message if they receive it later. */
  readonly missing: readonly string[];
}

/** Maximum size of an answer, in bytes of JSON. */
export const MAX_ANSWER_BYTES = 1_048_576;
/** Maximum number of answers from unknown workers. */
const MAX_UNKNOWN = 1000;
const DEFAULT_TIMEOUT_MS = 1000;

interface Received {
  readonly answer: Fields;
  readonly afterMs: number;
}

export class WorkerQuery {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #replies: Replies;
  /** Pending calls of `shutdown`. */
  readonly #shutdowns = new Set<Promise<unknown>>();

  constructor(store: Store, options: BackendOptions, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#replies = new Replies(store, options);
  }

  get now(): number {
    return this.#clock.now();
  }

  /** Returns the records of workers, without those that are missing for more than an hour. */
  async records(): Promise<readonly WorkerRecord[]> {
    const records = await this.#allRecords();
    const { now } = this; // after the read: the first reply of the store synchronizes the clock
    return records.filter((record) => isShown(record, now));
  }

  /** Returns all records of the last day, because their queues may hold jobs, and deletes older ones. */
  async #allRecords(): Promise<readonly WorkerRecord[]> {
    const { records, outdated } = sortRecords(await readRecords(this.#store), this.now);
    await removeRecords(this.#store, outdated);
    return records;
  }

  /** Returns the queues that workers serve, including queues that this app does not know. */
  async servedQueues(): Promise<string[]> {
    const queues = (await this.#allRecords()).flatMap((record) => Object.keys(record.queues));
    return [...new Set(queues)].filter(isName);
  }

  /**
   * Sends a control message and collects the answers.
   * @param read Parses an answer; returns undefined if it is invalid.
   * @throws {InvalidOptionError} if an option is invalid.
   */
  ask<Answer>(
    kind: ControlMessageKind,
    args: Fields,
    read: (answer: unknown, afterMs: number) => Answer | undefined,
    options: AskOptions = {},
  ): Promise<Answers<Answer>> {
    const asked = this.#ask(kind, args, read, options);
    if (kind === 'shutdown') {
      this.#shutdowns.add(asked);
      const forget = () => this.#shutdowns.delete(asked);
      asked.then(forget, forget);
    }
    return asked;
  }

  async #ask<Answer>(
    kind: ControlMessageKind,
    args: Fields,
    read: (answer: unknown, afterMs: number) => Answer | undefined,
    options: AskOptions,
  ): Promise<Answers<Answer>> {
    checkOptions(options, ASK_OPTIONS);
    const workers = workersOption(options.workers);
    const timeoutMs = checkInteger(
      'timeout',
      durationMs(options.timeout ?? DEFAULT_TIMEOUT_MS, 'timeout'),
      1,
      MAX_WAIT_MS,
    );
    const known = await this.records();
    const { matched, unknown } =
      workers === undefined ? { matched: known, unknown: [] } : matchWorkers(known, workers);
    // A missing worker is waited for only if it is named.
    const expected = matched.filter(
      (record) => workers !== undefined || workerStateOf(record, this.now) !== 'missing',
    );
    const to = workers === undefined ? undefined : new Set(matched.map(({ id }) => id));
    const received =
      expected.length === 0
        ? new Map<string, Received>()
        : await this.#collect(kind, args, to, new Set(expected.map(({ id }) => id)), timeoutMs);
    const isComplete = matched.length === received.size && matched.every(({ id }) => received.has(id));
    // Workers may have started or ended during the wait.
    const current = isComplete ? known : await this.records();
    const labels = workerLabels([
      ...known,
      ...current.filter(({ id }) => !known.some((one) => one.id === id)),
    ]);
    const silent = matched.filter(({ id }) => !received.has(id) && current.some((one) => one.id === id));
    return {
      ...sorted(received, labels, read),
      missing: [...silent.map(({ id }) => labels.get(id) ?? id), ...unknown],
    };
  }

  /**
   * Resolves once no call of this app waits for workers to shut down, which takes at most the `timeout` of that call. A worker
   * of the app that asks is among those that shut down, and must not close the connection that the answers arrive by.
   */
  async shutdownsAnswered(): Promise<void> {
    await Promise.allSettled(this.#shutdowns);
  }

  close(): Promise<void> {
    return this.#replies.close();
  }

  /** Returns answers by process id; resolves when all expected answers have arrived, or at the timeout. */
  async #collect(
    kind: ControlMessageKind,
    args: Fields,
    to: ReadonlySet<string> | undefined,
    expected: Set<string>,
    timeoutMs: number,
  ): Promise<ReadonlyMap<string, Received>> {
    const id = randomUUID();
    const received = new Map<string, Received>();
    const limit = expected.size + MAX_UNKNOWN;
    const { promise: isOver, resolve: finish, reject } = deferred();
    const { closed } = this.#store;
    const stopListening = onAbort(closed, reject);
    let askedAt = 0;
    const stop = await this.#replies
      .expect(id, ({ from, answer }) => {
        if (!isWorkerId(from) || received.has(from) || received.size >= limit) return;
        const fields = recordFields(parsed(answer, 2 * MAX_ANSWER_BYTES));
        received.set(from, { answer: fields, afterMs: performance.now() - askedAt });
        expected.delete(from);
        if (expected.size === 0) finish();
      })
      .catch((error: unknown) => {
        stopListening();
        throw error;
      });
    let timer: NodeJS.Timeout | undefined;
    try {
      askedAt = performance.now();
      await publishMessage(this.#store, storedMessage({ id, kind, to, args, until: this.now + timeoutMs }));
      timer = setTimeout(finish, timeoutMs);
      await isOver;
    } finally {
      clearTimeout(timer);
      stopListening();
      stop();
    }
    return received;
  }
}

function sorted<Answer>(
  received: ReadonlyMap<string, Received>,
  labels: ReadonlyMap<string, string>,
  read: (answer: unknown, afterMs: number) => Answer | undefined,
): Pick<Answers<Answer>, 'answers' | 'errors'> {
  const answers: [string, Answer][] = [];
  const errors: [string, string][] = [];
  for (const [id, { answer, afterMs }] of received) {
    const label = labels.get(id);
    if (label === undefined) continue; // no record: not a worker, or it has ended
    const error = textOf(answer.error, 2000);
    const value = error === undefined ? read(answer.ok, afterMs) : undefined;
    if (value === undefined) errors.push([label, error ?? 'its answer is invalid']);
    else answers.push([label, value]);
  }
  return { answers: byLabel(answers), errors: byLabel(errors) };
}

function byLabel<Value>(entries: [string, Value][]): Record<string, Value> {
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function workersOption(workers: AskOptions['workers']): readonly string[] | undefined {
  if (workers === undefined) return undefined;
  const list = typeof workers === 'string' ? [workers] : workers;
  if (!Array.isArray(list) || list.length > 10_000)
    throw new InvalidOptionError('workers', 'a name, or a list of at most 10,000 names', workers);
  return list.map((worker: string) => checkText('workers', worker, 300));
}

function deferred() {
  let resolve = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(() => {}); // it may reject before it is awaited
  return { promise, resolve, reject };
}
