import {
  DelayedError,
  type IQueueBackend,
  type Job,
  type JobProgress,
  UnrecoverableError,
  WaitingError,
} from 'bullmq';
import { type Link, LinkedItems } from '../base/linked-list.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { createAbortController } from '../base/wait.js';
import { type Envelope, type EnvelopeContent, encodeEnvelope, isEnvelope } from '../job/envelope.js';
import type { ActiveJob, AttemptOutcome, FailedChild, GiveUpListener, ShownError } from '../job/job.js';
import type { NormalizedRetry } from '../job/shared-options.js';
import { mergeData, retryOf } from './job-options.js';

export const KEPT_LOG_LINES = 1000;
const NO_CHILDREN: ReadonlyMap<string, string> = new Map();

export interface HeldJobOptions {
  readonly backend: IQueueBackend;
  readonly claim: Claim | undefined;
  /** Tries a command again while the store is not ready. */
  readonly repeat: <T>(command: () => Promise<T>) => Promise<T>;
}

/** A BullMQ job that a worker holds. */
export class HeldJob implements ActiveJob {
  mayHavePendingChildren = true;
  refusedWaits = 0;
  readonly #job: Job;
  readonly #backend: IQueueBackend;
  readonly #claim: Claim | undefined;
  readonly #repeat: HeldJobOptions['repeat'];
  #controller: AbortController | undefined;
  #abortReason: Error | undefined;
  #givenUp: Error | undefined;
  /** Of one handler at a time: of a job with many inputs, those of the inputs that are done are removed. */
  readonly #giveUpListeners: GiveUpListener[] = [];
  #endedChildren: Map<string, string> | undefined;

  constructor(job: Job, { backend, claim, repeat }: HeldJobOptions) {
    this.#job = job;
    this.#backend = backend;
    this.#claim = claim;
    this.#repeat = repeat;
  }

  get id(): string {
    return this.#job.id ?? '';
  }

  get token(): string | undefined {
    return this.#job.token;
  }

  get name(): string {
    return this.#job.name;
  }

  get queue(): string {
    return this.#job.queueName;
  }

  get data(): unknown {
    return this.#job.data;
  }

  get attempt(): number {
    return this.#job.attemptsMade + 1;
  }

  get starts(): number {
    return this.#job.attemptsStarted;
  }

  get stalls(): number {
    return this.#job.stalledCounter;
  }

  get retry(): NormalizedRetry | undefined {
    return retryOf(this.#job.opts);
  }

  get priority(): number | undefined {
    const { priority } = this.#job.opts;
    return typeof priority === 'number' && priority >= 0 ? priority : undefined;
  }

  get delayMs(): number {
    const { delay } = this.#job.opts;
    return typeof delay === 'number' && delay > 0 ? delay : 0;
  }

  get enqueuedAt(): number {
    return this.#job.timestamp;
  }

  /** Made when it is asked for: most handlers do not, and it costs more than the rest of a small job. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = createAbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  /** Tells the handler that its worker goes; what it gives still counts. */
  abort(reason: Error): void {
    this.#abortReason = reason;
    this.#controller?.abort(reason);
  }

  /** Whether nobody waits for its attempt any more. */
  get isGivenUp(): boolean {
    return this.#givenUp !== undefined;
  }

  giveUp(reason: Error): void {
    this.#givenUp ??= reason;
    for (const listener of [...this.#giveUpListeners]) listener(reason);
    this.abort(reason);
  }

  onGiveUp(listener: GiveUpListener): void {
    if (this.#givenUp !== undefined) listener(this.#givenUp);
    this.#giveUpListeners.push(listener);
  }

  offGiveUp(listener: GiveUpListener): void {
    const index = this.#giveUpListeners.lastIndexOf(listener);
    if (index >= 0) this.#giveUpListeners.splice(index, 1);
  }

  onceStored(listener: () => void): void {
    const claim = this.#claim;
    if (claim === undefined) {
      listener();
      return;
    }
    const earlier = claim.onEnd;
    claim.onEnd = () => {
      earlier?.();
      listener();
    };
  }

  chargeLossIf(isCharged: () => boolean): void {
    if (this.#claim !== undefined) this.#claim.isCharged = isCharged;
  }

  get endedChildren(): ReadonlyMap<string, string> {
    return this.#endedChildren ?? NO_CHILDREN;
  }

  async childResults(): Promise<ReadonlyMap<string, unknown>> {
    const values = await this.#repeat(() => this.#job.getChildrenValues());
    return new Map(Object.entries(values).map(([key, value]) => [this.#ended(key).id, value]));
  }

  async failedChildren(): Promise<readonly FailedChild[]> {
    const failures = await this.#repeat(() => this.#job.getIgnoredChildrenFailures());
    return Object.entries(failures).map(([key, reason]) => {
      const { id, queueName } = this.#ended(key);
      return { id, queue: queueName, reason };
    });
  }

  #ended(key: string): { id: string; queueName: string } {
    const place = this.#backend.parseNodeKey(key);
    this.#endedChildren ??= new Map();
    this.#endedChildren.set(place.id, place.queueName);
    return place;
  }

  async endUniqueness(): Promise<void> {
    await this.#repeat(() => this.#job.removeDeduplicationKey());
  }

  async updateProgress(value: unknown): Promise<void> {
    await this.#repeat(() => this.#job.updateProgress(value as JobProgress)); // BullMQ takes what JSON carries, its type leaves out null
  }

  async log(line: string): Promise<void> {
    await this.#repeat(() => this.#backend.addLog(this.id, line, KEPT_LOG_LINES));
  }

  async save(content: Partial<EnvelopeContent>): Promise<void> {
    if (await this.#merge(() => content)) return;
    // What cannot be read is replaced: there is nothing in it to keep.
    const data = encodeEnvelope({ ...(this.#job.data as Envelope), ...content });
    await this.#repeat(() => this.#job.updateData(data));
  }

  async change(change: (content: Envelope) => Partial<EnvelopeContent> | undefined): Promise<void> {
    await this.#merge(change);
  }

  /** False if there is nothing in the store to add to. */
  async #merge(change: (content: Envelope) => Partial<EnvelopeContent> | undefined): Promise<boolean> {
    const known = isEnvelope(this.#job.data) ? (this.#job.data as Envelope) : undefined; // as far as this needs it
    const next = (data: Envelope) => {
      const content = change(data);
      return content && { ...data, ...content };
    };
    const merged = await this.#repeat(() =>
      mergeData(this.#backend, this.id, next, { known, starts: this.starts }),
    );
    if (merged !== undefined) this.#job.data = merged;
    return merged !== undefined;
  }

  /** Leaves the job to its children. False if none of them is pending: then it is to be handled once more. */
  async waitForChildren(): Promise<boolean> {
    const isMoved = await this.#job.moveToWaitingChildren(this.#job.token ?? '');
    if (!isMoved) {
      this.mayHavePendingChildren = false;
      this.refusedWaits += 1;
    }
    return isMoved;
  }

  /** How many of its children have failed. */
  async failedChildrenCount(): Promise<number> {
    const { ignored = 0 } = await this.#job.getDependenciesCount({ ignored: true });
    return ignored;
  }
}

// The jobs that a worker holds.

export interface Claim {
  readonly id: string;
  /** Of its lock. */
  readonly token: string;
  /** How often the job had been started when it was claimed, this time included: no other claim of it has the same. */
  readonly starts: number;
  /** How often a sweep had put the job back by then. */
  readonly stalls: number;
  /** Called once its outcome is stored, or it is not held any more. */
  onEnd?: () => void;
  /** Whether its loss counts for the poison rule although this worker lives. */
  isCharged?: () => boolean;
  isLost?: true;
}

const NONE: readonly Claim[] = [];

/** What a worker holds, from the moment a job is handed to it to the moment its outcome is stored. */
export class Claims {
  /** By the id of the job: looked at several times for each. */
  readonly #held = new Map<string, readonly Claim[]>();

  /** Notes a job until it is released. */
  hold(job: Job<unknown, unknown>, token: string): Claim {
    const claim: Claim = { id: job.id ?? '', token, starts: job.attemptsStarted, stalls: job.stalledCounter };
    const others = this.#held.get(claim.id);
    this.#held.set(claim.id, others === undefined ? [claim] : [...others, claim]);
    return claim;
  }

  /** Its outcome is stored, or it is held no more. */
  release(claim: Claim): void {
    const held = this.of(claim.id);
    if (held.length > 1)
      this.#held.set(
        claim.id,
        held.filter((other) => other !== claim),
      );
    else if (held[0] === claim) this.#held.delete(claim.id);
    claim.onEnd?.();
  }

  /** Every claim of a job; more than one if it was lost and is held again. */
  of(id: string): readonly Claim[] {
    return this.#held.get(id) ?? NONE;
  }

  find(id: string, token: string): Claim | undefined {
    return this.of(id).find((claim) => claim.token === token);
  }
}

// Limits on waits that nearly always end long before: one timer for all of them, since each call to a store has one.

/** Node fires a timer at once that is set for longer. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface Deadline {
  /** By `performance.now()`. */
  readonly at: number;
  readonly expire: () => void;
}

export class Deadlines {
  readonly #open = new LinkedItems<Deadline>();
  #timer: NodeJS.Timeout | undefined;
  #onIdle: (() => void) | undefined;
  /** When the timer fires. It may be too early, never too late. */
  #timerAt = Number.POSITIVE_INFINITY;

  /** Calls `expire` at a moment by `performance.now()`, unless what it gives is cleared before. */
  set(at: number, expire: () => void): Link<Deadline> {
    if (this.#open.isEmpty) this.#timer?.ref();
    if (at < this.#timerAt) this.#arm(at);
    return this.#open.add({ at, expire });
  }

  /** Whether it has not expired, and never will now. */
  clear(deadline: Link<Deadline>): boolean {
    const isCleared = this.#open.remove(deadline);
    if (isCleared && this.#open.isEmpty) {
      // A timer that nobody needs is left to fire, and keeps no process alive.
      this.#timer?.unref();
      this.#onIdle?.();
    }
    return isCleared;
  }

  /** Settles once none is open. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.#open.isEmpty) resolve();
    });
  }

  /** Expires all that are open. */
  expireAll(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    for (const link of this.#open.links()) if (this.#open.remove(link)) link.item.expire();
  }

  #arm(at: number): void {
    clearTimeout(this.#timer);
    this.#timerAt = at;
    const ms = Math.min(Math.max(at - performance.now(), 0), LONGEST_TIMER_MS);
    this.#timer = setTimeout(() => this.#fire(), Math.ceil(ms));
  }

  #fire(): void {
    const now = performance.now();
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    let next = Number.POSITIVE_INFINITY;
    const expired: Deadline[] = [];
    for (const link of this.#open.links()) {
      const { item } = link;
      if (item.at > now) next = Math.min(next, item.at);
      else if (this.#open.remove(link)) expired.push(item);
    }
    if (next < Number.POSITIVE_INFINITY) this.#arm(next);
    expired.sort((a, b) => a.at - b.at); // a busy process fires late, for several at once
    for (const { expire } of expired) expire();
  }
}

// How an attempt has ended, in BullMQ's terms.

/** An outcome without a result, as BullMQ takes it: thrown. */
export function toBullError(
  job: Job,
  outcome: Exclude<AttemptOutcome, { kind: 'completed' | 'waiting' }>,
): never {
  switch (outcome.kind) {
    case 'lost':
      throw new WaitingError(`Job ${job.id} was taken over by another worker.`);
    case 'returned':
      throw new ReturnedError(outcome.delayMs);
    case 'failed':
      throw withStack(new UnrecoverableError(plainMessage(outcome.error)), outcome.error);
    case 'retry':
      // Read by BullMQ when it handles the error below: it must retry, and wait as long as was decided.
      job.opts.attempts = job.attemptsMade + 2;
      job.opts.backoff = { type: 'fixed', delay: outcome.delayMs };
      throw withStack(new Error(plainMessage(outcome.error)), outcome.error);
  }
}

/** Puts a job back, uncharged: the worker does that, and takes the next job by the same command. */
export class ReturnedError extends DelayedError {
  constructor(readonly delayMs: number) {
    super();
  }
}

/** BullMQ reads a command into one message, which a handler may throw without knowing. */
function plainMessage({ message }: ShownError): string {
  return message.startsWith('bullmq:') ? `Error: ${message}` : message;
}

function withStack(error: Error, { stack }: ShownError): Error {
  error.stack = stack ?? error.message;
  return error;
}
