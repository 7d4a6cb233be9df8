/**
 * This module adapts BullMQ's PostgreSQL backend: prefixes separate apps, texts are stored unchanged, events are read in the
 * order of their transactions, and lists begin with the oldest job, as on every other store. Each method says what BullMQ
 * 6.7 does otherwise.
 */
import type { EventEmitter } from 'node:events';
import { type IQueueBackend, PostgresQueueBackend, type QueueBaseOptions } from 'bullmq';
import { clearTimeout, setTimeout } from '../../../base/real-timers.js';
import { systemClock } from '../../../base/time.js';
import { claimDetailsOf } from '../../claim-details.js';
import { MARK, UNORDERED_QUEUES } from '../commands.js';
import { BatchedCommands } from './batching/batched-commands.js';
import type { SharedConnection } from './connection.js';
import type { EndListener } from './end-notices.js';
import { isCommonError } from './errors.js';
import { EventReads } from './event-reads.js';
import type { EventRow, RawEvent } from './event-rows.js';
import { JobNotices } from './job-notices.js';
import { countsByType, idsAt } from './lists.js';
import { lateEvents } from './open-transactions.js';
import type { SqlResult } from './pg-driver.js';
import { positionOf } from './positions.js';
import { REPLACED } from './replaced-functions.js';
import { asStored, asStoredEntry, withText, withTexts } from './stored-form.js';
import { decodeRows, encodeParams, unwrapText, unwrapValue, wrapText } from './text.js';

type Command<Name extends keyof IQueueBackend> = IQueueBackend[Name] extends (
  ...args: infer Args
) => infer Answer
  ? (...args: Args) => Answer
  : never;

/** BullMQ's backend with the private methods that this module uses or replaces. */
interface OpenBackend extends IQueueBackend {
  query(text: string, params?: readonly unknown[]): Promise<SqlResult>;
  run(command: string, params?: readonly unknown[]): Promise<SqlResult>;
  buildNextJobResult(
    rows: SqlResult['rows'],
    limiterMax: number | null,
    now: number,
  ): ReturnType<Command<'moveToActive'>>;
}

/** Pause before a worker asks again for a job that a limit of its queue holds back. */
const LIMITED_MS = 1000;

/** Writes an event, and returns its place. */
const PUBLISH = `SELECT horizon::text AS horizon, id::text AS id, created_at_ms::text AS at
  FROM umbel_publish($1, $2, $3::jsonb, $4)`;

/** Options of BullMQ's backends. */
export type SqlBackendOptions = QueueBaseOptions<never> & {
  readonly limiter?: { readonly max?: number };
};

const Base = PostgresQueueBackend as unknown as new (
  connection: unknown,
  queueName: string,
  options: SqlBackendOptions,
  owns: boolean,
) => OpenBackend;

export class SqlBackend extends Base {
  readonly sql: SharedConnection;
  readonly #name: string;
  readonly #prefix: string;
  readonly #options: SqlBackendOptions;
  /** How far the clock of this machine is ahead of the store's. */
  offsetMs: () => number = () => 0;
  /** The last command for each job whose commands keep their order. */
  readonly #tails = new Map<string, Promise<unknown>>();
  readonly #wakes = new Set<() => void>();
  readonly #batched: BatchedCommands | undefined;
  readonly #jobNotices: JobNotices;
  readonly #events: EventReads;

  constructor(
    connection: SharedConnection,
    name: string,
    prefix: string,
    options: SqlBackendOptions,
    owns: boolean,
  ) {
    // BullMQ ignores the prefix.
    super(connection.forBullmq, `${prefix}:${name}`, options, owns);
    this.sql = connection;
    this.#name = name;
    this.#prefix = prefix;
    this.#options = options;
    this.#jobNotices = new JobNotices(connection.database, this.qualifiedName);
    this.#events = new EventReads({
      database: connection.database,
      queue: this.qualifiedName,
      isOrdered: !UNORDERED_QUEUES.has(name),
      query: (text, params) => this.#read(text, params),
      isOver: () => this.#isOver,
      onLate: () => void this.#reportLate(),
    });
    if (connection.database.sharesStatements) this.#batched = this.#newBatches();
  }

  #newBatches(): BatchedCommands {
    const details = claimDetailsOf(this);
    return new BatchedCommands({
      queue: this.qualifiedName,
      query: (statement, params) => this.query(statement, params),
      runAlone: (command, params) => super.run(command, params),
      concernsAll: isCommonError,
      onClaim: (id, told) => {
        if (told.childResults !== undefined || told.isLast) details.set(id, told);
        else details.delete(id); // of an earlier claim that no worker read
      },
      noticed: () => this.#jobNotices.count,
      onIdle: (noticed, dueAt) => this.#jobNotices.noteIdle(noticed, dueAt),
    });
  }

  /** Prefix of the names of this app's queues. */
  get prefix(): string {
    return this.#prefix;
  }

  /** BullMQ keeps the first answer for good, also an error: a program that began before its database would never reach it. */
  override waitUntilReady(): Promise<void> {
    return this.sql.waitUntilReady();
  }

  override forQueue(name: string, prefix = this.#prefix): IQueueBackend {
    const backend = new SqlBackend(this.sql, name, prefix, this.#options, false);
    backend.offsetMs = this.offsetMs;
    return backend as unknown as IQueueBackend;
  }

  override parseNodeKey(key: string): { prefix: string; queueName: string; id: string } {
    const at = key.lastIndexOf(':');
    const queue = key.slice(0, at);
    const colon = queue.lastIndexOf(':');
    return { prefix: queue.slice(0, colon), queueName: queue.slice(colon + 1), id: key.slice(at + 1) };
  }

  override clientName(suffix = ''): string {
    return `${this.#name}${suffix}`;
  }

  override async query(text: string, params?: readonly unknown[]): Promise<SqlResult> {
    const { barrier } = this.sql.database;
    if (barrier !== undefined && text !== PUBLISH) await barrier;
    const { rows, rowCount } = await super.query(text, encodeParams(text, params));
    return { rows: decodeRows(rows), ...(rowCount !== undefined && { rowCount }) };
  }

  /** Runs a statement of a reader. BullMQ's statements get no answer once the backend is closed; this one has no rows then. */
  async #read(text: string, params?: readonly unknown[]): Promise<SqlResult> {
    const { database } = this.sql;
    await database.barrier;
    if (!this.#isOver) await database.ready();
    if (this.#isOver) return { rows: [] };
    const { rows } = await database.query(text, encodeParams(text, params));
    return { rows: decodeRows(rows) };
  }

  override run(command: string, params?: readonly unknown[]): Promise<SqlResult> {
    const statement = REPLACED[command];
    if (statement !== undefined) return this.query(statement, params);
    return this.#batched?.call(command, params ?? []) ?? super.run(command, params);
  }

  /** BullMQ asks for the limit and the next delayed job with another statement. */
  override async buildNextJobResult(
    ...[rows, ...rest]: Parameters<OpenBackend['buildNextJobResult']>
  ): ReturnType<Command<'moveToActive'>> {
    const signal = this.#batched?.signalOf(rows);
    if (signal === undefined) return super.buildNextJobResult(rows, ...rest);
    const { limitMs, dueAt } = signal;
    const dueHere = limitMs > 0 || dueAt === undefined ? 0 : dueAt + this.offsetMs();
    return [null, '', limitMs, dueHere] as unknown as Awaited<ReturnType<Command<'moveToActive'>>>; // BullMQ's answer
  }

  // Adding jobs. BullMQ reads the effect of a failure from the options of the child; Umbel stores it in the link only.

  override addJob(...[job, ...rest]: Parameters<Command<'addJob'>>): Promise<string> {
    return super.addJob(asStored(job), ...rest);
  }

  override addJobs(entries: Parameters<Command<'addJobs'>>[0]): Promise<string[]> {
    return super.addJobs(entries.map((entry) => ({ ...entry, job: asStoredEntry(entry.job) })));
  }

  override addFlow(entries: Parameters<Command<'addFlow'>>[0]): ReturnType<Command<'addFlow'>> {
    return super.addFlow(
      entries.map((entry) => ({
        ...entry,
        jobData: asStoredEntry(entry.jobData),
        queueName: `${entry.prefix ?? this.#prefix}:${entry.queueName}`,
      })),
    );
  }

  // Locks.

  /** The statement skips jobs that a commit has locked; each of them is asked for by a statement that holds no other job. */
  override async extendLocks(ids: string[], tokens: string[], duration: number): Promise<string[]> {
    const tokenOf = new Map(ids.map((id, index) => [id, tokens[index] ?? '']));
    const lost: string[] = [];
    for (const id of await super.extendLocks(ids, tokens, duration)) {
      if (!(await super.extendLock(id, tokenOf.get(id) ?? '', duration))) lost.push(id);
    }
    return lost;
  }

  // Texts. `jsonb` changes them.

  override async updateData(...[job, data]: Parameters<Command<'updateData'>>): Promise<void> {
    const text = JSON.stringify(data) ?? '{}';
    await this.#inOrder(job.id ?? '', () => super.updateData(job, JSON.parse(wrapText(text))));
  }

  override updateProgress(...[id, progress]: Parameters<Command<'updateProgress'>>): Promise<void> {
    const text = JSON.stringify(progress) ?? 'null';
    return this.#inOrder(id, () => super.updateProgress(id, JSON.parse(wrapText(text))));
  }

  override async moveToCompleted(
    ...[job, value, ...rest]: Parameters<Command<'moveToCompleted'>>
  ): ReturnType<Command<'moveToCompleted'>> {
    const text = JSON.stringify(value) ?? 'null';
    await this.#settled(job.id);
    const answer = await super.moveToCompleted(job, JSON.parse(wrapText(text)), ...rest);
    return { ...answer, result: withTexts(answer.result) };
  }

  override async moveToFailed(
    ...args: Parameters<Command<'moveToFailed'>>
  ): ReturnType<Command<'moveToFailed'>> {
    await this.#settled(args[0].id);
    const answer = await super.moveToFailed(...args);
    return { ...answer, result: withTexts(answer.result) };
  }

  override async moveToDelayed(
    ...[id, at, delay, ...rest]: Parameters<Command<'moveToDelayed'>>
  ): ReturnType<Command<'moveToDelayed'>> {
    await this.#settled(id);
    // It refuses parts of a millisecond.
    return withTexts(await super.moveToDelayed(id, Math.round(at), Math.round(delay), ...rest));
  }

  override async moveToActive(
    ...args: Parameters<Command<'moveToActive'>>
  ): ReturnType<Command<'moveToActive'>> {
    return withTexts(await super.moveToActive(...args)) ?? [];
  }

  // Reads of one job keep their order: whoever reads its state and then the job expects what belongs to the state.

  override getState(id: string): ReturnType<Command<'getState'>> {
    return this.#inOrder(id, () => super.getState(id));
  }

  override async getJobData(id: string): ReturnType<Command<'getJobData'>> {
    const job = await this.#inOrder(id, () => super.getJobData(id));
    return job === undefined ? undefined : withText(job);
  }

  /** Returns the job of a row that was read; BullMQ's own method converts it. */
  async jobOf(row: { readonly id: string | null }): ReturnType<Command<'getJobData'>> {
    const answering = Object.create(this, { run: { value: async () => ({ rows: [row] }) } });
    const job = await super.getJobData.call(answering, row.id ?? '');
    return job === undefined ? undefined : withText(job);
  }

  override async isFinished(id: string, hasValue?: boolean): ReturnType<Command<'isFinished'>> {
    const answer = await super.isFinished(id, hasValue);
    if (!Array.isArray(answer) || answer[0] !== 1) return answer;
    return [answer[0], unwrapText(answer[1])];
  }

  override async getProcessedChildrenValues(id: string): Promise<Record<string, string>> {
    const values = await super.getProcessedChildrenValues(id);
    return Object.fromEntries(Object.entries(values).map(([key, text]) => [key, unwrapText(text)]));
  }

  override async getDependencies(
    ...args: Parameters<Command<'getDependencies'>>
  ): ReturnType<Command<'getDependencies'>> {
    const answer = await this.#inOrder(args[0], () => super.getDependencies(...args));
    for (const [key, value] of Object.entries(answer.processed ?? {})) {
      if (answer.processed !== undefined) answer.processed[key] = unwrapValue(value);
    }
    return answer;
  }

  override changeDelay(id: string, delay: number): Promise<void> {
    return super.changeDelay(id, Math.round(delay));
  }

  /** BullMQ counts lines without a lock. */
  override addLog(id: string, row: string, keep?: number): Promise<number> {
    return this.#inOrder(id, async () => {
      try {
        const text = 'SELECT umbel_add_log($1, $2, $3, $4) AS count';
        const { rows } = await this.query(text, [this.qualifiedName, id, row, keep ?? null]);
        return Number(rows[0].count);
      } catch (error) {
        if ((error as { code?: unknown }).code !== FOREIGN_KEY) throw error;
        return super.addLog(id, row, keep); // which throws BullMQ's error for a missing job
      }
    });
  }

  // Lists and counts.

  /** BullMQ counts no waiting job in a paused queue. */
  override getCounts(...[types, before]: Parameters<Command<'getCounts'>>): Promise<number[]> {
    return before === undefined ? countsByType(this, types) : super.getCounts(types, before);
  }

  /** BullMQ begins with the newest where the oldest are asked for, and sorts jobs of the same moment in no order. */
  override async getRanges(
    ...[types, start = 0, end = -1, isAscending = false]: Parameters<Command<'getRanges'>>
  ): ReturnType<Command<'getRanges'>> {
    const ranges: [string][] = [];
    for (const type of types) {
      const ids = await idsAt(this, type, start, end, isAscending);
      if (ids !== undefined)
        ranges.push(ids as [string]); // BullMQ's type of a list
      else ranges.push(...(await super.getRanges([type], start, end, isAscending)));
    }
    return ranges;
  }

  /** BullMQ writes no event. */
  override async remove(id: string, hasChildren: boolean): Promise<number> {
    const { rows } = await this.#mapped(
      () => this.query('SELECT umbel_remove($1, $2, $3) AS n', [this.qualifiedName, id, hasChildren]),
      () => super.remove(id, hasChildren),
    );
    return rows[0].n;
  }

  async #mapped(command: () => Promise<SqlResult>, own: () => Promise<number>): Promise<SqlResult> {
    try {
      return await command();
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'BM001') throw error;
      return { rows: [{ n: await own() }] }; // throws BullMQ's error for the same reason
    }
  }

  // Events.

  override async publishEvent(fields: Record<string, string | number>, maxEvents: number): Promise<string> {
    const { event, ...rest } = fields;
    const params = [this.qualifiedName, String(event), JSON.stringify(rest), maxEvents ?? null];
    const published = this.query(PUBLISH, params);
    // Whoever marks a place sends jobs after it without waiting: they have to be behind the mark, on any connection.
    const { rows } = await (event === MARK.event ? this.sql.database.hold(published) : published);
    const [row] = rows as EventRow[];
    return row === undefined ? '0-0' : positionOf(row.horizon, row.id, row.at);
  }

  override async trimEvents(max: number): Promise<number> {
    const { rows } = await this.query('SELECT umbel_trim_events($1, $2) AS n', [this.qualifiedName, max]);
    return Number(rows[0].n);
  }

  override async readEvents(from: string, blockMs: number): ReturnType<Command<'readEvents'>> {
    const events = await this.#events.after(from, blockMs || 5000);
    return events.length === 0 ? (null as never) : ([['events', events]] as never); // BullMQ's type of the answer
  }

  /** Calls a listener with the ids of jobs that have ended. From then on, other events are read a while later. */
  noticeEnds(listener: EndListener): void {
    this.#events.noticeEnds(listener);
  }

  /** Returns the events after positions of several queues, waiting up to `blockMs` for the first one. */
  eventsAfter(
    places: readonly { readonly queue: string; readonly after: string }[],
    limit: number,
    blockMs = 0,
  ): Promise<RawEvent[][]> {
    return this.#events.afterAll(
      places.map(({ queue, after }) => ({ queue: `${this.#prefix}:${queue}`, after })),
      limit,
      blockMs,
    );
  }

  /** Emits an error that names the transaction for which events were read late. The app logs it. */
  async #reportLate(): Promise<void> {
    const message = await lateEvents(this.sql.database).catch(() => undefined);
    const emitter = this as unknown as EventEmitter; // as BullMQ's backend is
    if (message !== undefined && emitter.listenerCount('error') > 0)
      emitter.emit('error', new Error(message));
  }

  get #isOver(): boolean {
    return this.closing !== undefined || this.sql.isClosing !== undefined;
  }

  override async disconnect(): Promise<void> {
    this.#endWaits();
    await super.disconnect();
  }

  override async close(isForced?: boolean): Promise<void> {
    const closed = super.close(isForced);
    this.#endWaits();
    await closed;
  }

  #endWaits(): void {
    for (const wake of this.#wakes) wake();
    this.#events.stop();
    this.#jobNotices.stop();
  }

  /**
   * Waits for a job. BullMQ returns at once while jobs wait that a limit of the queue holds back, and then asks for a job
   * again and again.
   */
  override async waitForJob(blockSeconds: number): ReturnType<Command<'waitForJob'>> {
    const waiting = this as unknown as {
      blockingDisconnected: boolean;
      cancelWait?: (() => void) | undefined;
    };
    if (this.#isOver || waiting.blockingDisconnected) return null;
    const { database } = this.sql;
    const { qualifiedName } = this;
    await database.ready();
    await database.listen('bullmq_jobs');
    if (this.#isOver || waiting.blockingDisconnected) return null;
    const idle = this.#jobNotices.takeIdle();
    return new Promise((resolve) => {
      const finish = (isReady: boolean) => {
        clearTimeout(timer);
        database.off('notification', note).off('lost', lost);
        this.#wakes.delete(lost);
        waiting.cancelWait = undefined;
        resolve(isReady ? { member: qualifiedName, score: 0 } : null);
      };
      const note = ({ channel, payload }: { channel: string; payload: string }) => {
        if (channel === 'bullmq_jobs' && payload === qualifiedName) finish(true);
      };
      const lost = () => finish(false);
      const limitMs = Math.max(blockSeconds, 0) * 1000;
      let timer = setTimeout(() => finish(false), limitMs);
      const wait = (dueAt: number | undefined, longestMs: number) => {
        const dueMs = dueAt === undefined ? longestMs : dueAt + this.offsetMs() - systemClock.now();
        clearTimeout(timer);
        timer = setTimeout(() => finish(false), Math.min(longestMs, Math.max(1, dueMs)));
      };
      database.on('notification', note).on('lost', lost);
      this.#wakes.add(lost);
      waiting.cancelWait = lost;
      if (idle !== undefined) return wait(idle.dueAt, limitMs);
      this.#signal().then(
        ({ isReady, dueAt }) => {
          if (waiting.cancelWait !== lost) return;
          if (isReady) finish(true);
          else wait(dueAt, Math.min(limitMs, LIMITED_MS));
        },
        () => {}, // the wait ends by its time limit
      );
    });
  }

  async #signal(): Promise<{ isReady: boolean; dueAt: number | undefined }> {
    const text = 'SELECT is_ready AS "isReady", due_at AS "dueAt" FROM umbel_signal($1, $2, $3)';
    const { max = null } = this.#options.limiter ?? {};
    const now = Math.round(systemClock.now() - this.offsetMs());
    const { rows } = await this.query(text, [this.qualifiedName, max, now]);
    const [{ isReady, dueAt }] = rows as [{ isReady: boolean; dueAt: string | null }];
    return { isReady, dueAt: dueAt === null ? undefined : Number(dueAt) };
  }

  /** Runs the commands for a job one after the other: a pool would change their order. */
  #inOrder<T>(id: string, command: () => Promise<T>): Promise<T> {
    const answer = (this.#tails.get(id) ?? Promise.resolve()).then(command);
    const tail = answer.then(
      () => {},
      () => {},
    );
    this.#tails.set(id, tail);
    void tail.then(() => {
      if (this.#tails.get(id) === tail) this.#tails.delete(id);
    });
    return answer;
  }

  /** Waits for the commands for a job that were not awaited. */
  async #settled(id: string | undefined): Promise<void> {
    const tail = this.#tails.get(id ?? '');
    if (tail !== undefined) await tail;
  }
}

/** SQLSTATE for a row that refers to a missing one. */
const FOREIGN_KEY = '23503';
