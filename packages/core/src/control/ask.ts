/** Asks workers something, and collects what they answer within a time. */

import { randomUUID } from 'node:crypto';
import { InvalidOptionError } from '../base/errors.js';
import { checkInteger, checkOptions, checkText, type OptionNames } from '../base/option-checks.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import type { Clock } from '../base/time.js';
import { type Duration, durationMs } from '../base/time.js';
import { onAbort } from '../base/wait.js';
import { publishOrder, readRecords, removeRecords } from '../store/control-queue.js';
import type { BackendOptions } from '../store/queue-pool.js';
import type { Store } from '../store/store.js';
import { isName } from '../task/option-checks.js';
import {
  type Fields,
  isWorkerId,
  MAX_WAIT_MS,
  type OrderKind,
  parsed,
  Replies,
  recordFields,
  storedOrder,
  textOf,
} from './messages.js';
import {
  isTold,
  named,
  sortRecords,
  type WorkerRecord,
  workerLabels,
  workerStateOf,
} from './worker-record.js';

export interface AskOptions {
  /** The workers that are meant, by name or by the id of a process. Default: all. */
  workers?: string | readonly string[] | undefined;
  /** How long answers are waited for, at most 10 min. Default 1 s. */
  timeout?: Duration | undefined;
}

export const ASK_OPTIONS: OptionNames<AskOptions> = { workers: true, timeout: true };

/**
 * What came of asking workers. Each process answers for itself, under the name of its worker: `'mail.17'`. Where several
 * processes have one name, under `'mail.17#0'` and so on by their number, or by the beginning of their id.
 */
export interface Answers<Answer> {
  readonly answers: Readonly<Record<string, Answer>>;
  /** Those that could not do or tell it, with the reason. */
  readonly errors: Readonly<Record<string, string>>;
  /** Those that are known, or were named, and have not answered in time. They will not obey later. */
  readonly missing: readonly string[];
}

/** What a worker may answer in bytes of JSON. */
export const MAX_ANSWER_BYTES = 1_048_576;
/** From workers that nobody knows of. */
const MAX_UNKNOWN = 1000;
const WAIT_MS = 1000;

interface Received {
  readonly answer: Fields;
  readonly afterMs: number;
}

export class WorkerQuery {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #replies: Replies;

  constructor(store: Store, options: BackendOptions, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#replies = new Replies(store, options);
  }

  get now(): number {
    return this.#clock.now();
  }

  /** What is known of workers, without those that have been missing for an hour. */
  async records(): Promise<readonly WorkerRecord[]> {
    const kept = await this.#kept();
    const { now } = this; // by the first answer of the store its time is known
    return kept.filter((record) => isTold(record, now));
  }

  /** The same with those: jobs may be left in their queues. Forgets those that have not been seen for a day. */
  async #kept(): Promise<readonly WorkerRecord[]> {
    const { records, outdated } = sortRecords(await readRecords(this.#store), this.now);
    await removeRecords(this.#store, outdated);
    return records;
  }

  /** The queues that workers serve, also those that this app does not know. */
  async servedQueues(): Promise<string[]> {
    const queues = (await this.#kept()).flatMap((record) => Object.keys(record.queues));
    return [...new Set(queues)].filter(isName);
  }

  /**
   * @param read The answer, or undefined if it cannot be read.
   * @throws {InvalidOptionError}
   */
  async ask<Answer>(
    kind: OrderKind,
    args: Fields,
    read: (answer: unknown, afterMs: number) => Answer | undefined,
    options: AskOptions = {},
  ): Promise<Answers<Answer>> {
    checkOptions(options, ASK_OPTIONS);
    const workers = workersOption(options.workers);
    const timeoutMs = checkInteger(
      'timeout',
      durationMs(options.timeout ?? WAIT_MS, 'timeout'),
      1,
      MAX_WAIT_MS,
    );
    const known = await this.records();
    const { meant, unknown } = workers === undefined ? { meant: known, unknown: [] } : named(known, workers);
    // One that is missing is waited for only where it is named.
    const expected = meant.filter(
      (record) => workers !== undefined || workerStateOf(record, this.now) !== 'missing',
    );
    const to = workers === undefined ? undefined : new Set(meant.map(({ id }) => id));
    const received =
      expected.length === 0
        ? new Map<string, Received>()
        : await this.#collect(kind, args, to, new Set(expected.map(({ id }) => id)), timeoutMs);
    const isComplete = meant.length === received.size && meant.every(({ id }) => received.has(id));
    // Some may have come or gone meanwhile.
    const now = isComplete ? known : await this.records();
    const labels = workerLabels([...known, ...now.filter(({ id }) => !known.some((one) => one.id === id))]);
    const silent = meant.filter(({ id }) => !received.has(id) && now.some((one) => one.id === id));
    return {
      ...sorted(received, labels, read),
      missing: [...silent.map(({ id }) => labels.get(id) ?? id), ...unknown],
    };
  }

  close(): Promise<void> {
    return this.#replies.close();
  }

  /** The answers by the id of the process; settles when all that are expected are there, or the time is over. */
  async #collect(
    kind: OrderKind,
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
      await publishOrder(this.#store, storedOrder({ id, kind, to, args, until: this.now + timeoutMs }));
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
    if (label === undefined) continue; // it has no record: it is no worker, or gone
    const error = textOf(answer.error, 2000);
    const value = error === undefined ? read(answer.ok, afterMs) : undefined;
    if (value === undefined) errors.push([label, error ?? 'its answer cannot be read']);
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
  promise.catch(() => {}); // it may fail before anybody waits
  return { promise, resolve, reject };
}
