/**
 * This module is the worker's side of a job that it holds: reading and changing it, the claims of all held jobs, and the
 * conversion of an attempt's outcome to BullMQ's terms. `QueueConsumer` uses it.
 */
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
import { takeChildResults, takeNoneFailed } from './claim-details.js';
import { mergeData, retryOf } from './job-options.js';

export const KEPT_LOG_LINES = 1000;
const NO_CHILDREN: ReadonlyMap<string, string> = new Map();

/** What all jobs of a consumer share. */
export interface HeldJobAccess {
  readonly backend: IQueueBackend;
  /** Runs a command for a job, and retries it while the store is not ready. */
  readonly repeat: <T>(job: HeldJob, command: () => Promise<T>) => Promise<T>;
}

/** A BullMQ job that a worker holds. */
export class HeldJob implements ActiveJob {
  mayHavePendingChildren = true;
  refusedWaits = 0;
  readonly #job: Job;
  readonly #access: HeldJobAccess;
  readonly #claim: Claim | undefined;
  #controller: AbortController | undefined;
  #abortReason: Error | undefined;
  #givenUp: Error | undefined;
  /** The first listener, which most jobs have alone. */
  #giveUpListener: GiveUpListener | undefined;
  /** More listeners: in a job with many inputs, the listeners of finished inputs are removed. */
  #moreListeners: GiveUpListener[] | undefined;
  #endedChildren: Map<string, string> | undefined;

  constructor(job: Job, claim: Claim | undefined, access: HeldJobAccess) {
    this.#job = job;
    this.#claim = claim;
    this.#access = access;
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

  /** Created at first use: most handlers never read it, and it costs more than the rest of a small job. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = createAbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  /** Aborts the handler's signal because its worker stops; its result still counts. */
  abort(reason: Error): void {
    this.#abortReason = reason;
    this.#controller?.abort(reason);
  }

  /** Whether the attempt was aborted and its result is ignored. */
  get isGivenUp(): boolean {
    return this.#givenUp !== undefined;
  }

  giveUp(reason: Error): void {
    this.#givenUp ??= reason;
    const more = this.#moreListeners?.slice();
    this.#giveUpListener?.(reason);
    for (const listener of more ?? []) listener(reason);
    this.abort(reason);
  }

  onGiveUp(listener: GiveUpListener): void {
    if (this.#givenUp !== undefined) listener(this.#givenUp);
    if (this.#giveUpListener === undefined && this.#moreListeners === undefined)
      this.#giveUpListener = listener;
    else {
      this.#moreListeners ??= [];
      this.#moreListeners.push(listener);
    }
  }

  offGiveUp(listener: GiveUpListener): void {
    const index = this.#moreListeners?.lastIndexOf(listener) ?? -1;
    if (index >= 0) this.#moreListeners?.splice(index, 1);
    else if (this.#giveUpListener === listener) this.#giveUpListener = undefined;
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

  expectChildren(): void {
    this.#forgetChildren();
    this.mayHavePendingChildren = true;
    this.refusedWaits = 0;
  }

  /** Forgets what came with the job about its children: the next look asks the store. */
  #forgetChildren(): void {
    takeChildResults(this.#job);
    takeNoneFailed(this.#job);
  }

  async childResults(): Promise<ReadonlyMap<string, unknown>> {
    const values =
      takeChildResults(this.#job) ??
      Object.entries<unknown>(await this.#repeat(() => this.#job.getChildrenValues()));
    return new Map(values.map(([key, value]) => [this.#ended(key).id, value]));
  }

  async failedChildren(): Promise<readonly FailedChild[]> {
    if (takeNoneFailed(this.#job)) return [];
    const failures = await this.#repeat(() => this.#job.getIgnoredChildrenFailures());
    return Object.entries(failures).map(([key, reason]) => {
      const { id, queueName } = this.#ended(key);
      return { id, queue: queueName, reason };
    });
  }

  #ended(key: string): { id: string; queueName: string } {
    const place = this.#access.backend.parseNodeKey(key);
    this.#endedChildren ??= new Map();
    this.#endedChildren.set(place.id, place.queueName);
    return place;
  }

  async endUniqueness(): Promise<void> {
    await this.#repeat(() => this.#job.removeDeduplicationKey());
  }

  #repeat<T>(command: () => Promise<T>): Promise<T> {
    return this.#access.repeat(this, command);
  }

  async updateProgress(value: unknown): Promise<void> {
    await this.#repeat(() => this.#job.updateProgress(value as JobProgress)); // BullMQ accepts any JSON value, its type omits null
  }

  async log(line: string): Promise<void> {
    await this.#repeat(() => this.#access.backend.addLog(this.id, line, KEPT_LOG_LINES));
  }

  async save(content: Partial<EnvelopeContent>): Promise<void> {
    if (await this.#merge(() => content)) return;
    // Unreadable data contain nothing to keep, so replace them.
    const data = encodeEnvelope({ ...(this.#job.data as Envelope), ...content });
    await this.#repeat(() => this.#job.updateData(data));
  }

  async change(change: (content: Envelope) => Partial<EnvelopeContent> | undefined): Promise<void> {
    await this.#merge(change);
  }

  /** Merges content into the stored data. Returns false if the store has no readable data. */
  async #merge(change: (content: Envelope) => Partial<EnvelopeContent> | undefined): Promise<boolean> {
    const known = isEnvelope(this.#job.data) ? (this.#job.data as Envelope) : undefined; // only its stored text is compared
    const next = (data: Envelope) => {
      const content = change(data);
      return content && { ...data, ...content };
    };
    const merged = await this.#repeat(() =>
      mergeData(this.#access.backend, this.id, next, { known, starts: this.starts }),
    );
    if (merged !== undefined) this.#job.data = merged;
    return merged !== undefined;
  }

  /** Makes the job wait for its children. Returns false if none is pending: then it must be handled again. */
  async waitForChildren(): Promise<boolean> {
    const isMoved = await this.#job.moveToWaitingChildren(this.#job.token ?? '');
    if (!isMoved) {
      this.#forgetChildren();
      this.mayHavePendingChildren = false;
      this.refusedWaits += 1;
    }
    return isMoved;
  }

  /** Returns the number of failed children. */
  async failedChildrenCount(): Promise<number> {
    const { ignored = 0 } = await this.#job.getDependenciesCount({ ignored: true });
    return ignored;
  }
}

// Claims: the jobs that a worker holds.

export interface Claim {
  readonly id: string;
  /** Token of its lock. */
  readonly token: string;
  /** Number of starts of the job, this one included: unique among the claims of the job. */
  readonly starts: number;
  /** Number of times a sweep had returned the job to its queue before. */
  readonly stalls: number;
  /** Called once its outcome is stored, or it is no longer held. */
  onEnd?: () => void;
  /** Returns whether a loss of the job counts for the poison rule although this worker is alive. */
  isCharged?: () => boolean;
  isLost?: true;
}

const NONE: readonly Claim[] = [];

/** The claims of a worker, each from the start of the attempt until its outcome is stored. */
export class Claims {
  /** By job id, because each job is looked up several times. A list only where a job has more than one claim. */
  readonly #held = new Map<string, Claim | readonly Claim[]>();

  /** Notes a job until it is released. Calls `onEarlier` with each claim that the job has already. */
  hold(job: Job<unknown, unknown>, token: string, onEarlier?: (claim: Claim) => void): Claim {
    const { id = '', attemptsStarted: starts, stalledCounter: stalls } = job;
    const claim: Claim = { id, token, starts, stalls };
    const earlier = this.of(id);
    if (onEarlier !== undefined) for (const one of earlier) onEarlier(one);
    this.#held.set(id, earlier.length === 0 ? claim : [...earlier, claim]);
    return claim;
  }

  /** Releases a claim: its outcome is stored, or the job is no longer held. Returns the other claims of the job. */
  release(claim: Claim): readonly Claim[] {
    const held = this.#held.get(claim.id);
    let others = NONE;
    if (held === claim) this.#held.delete(claim.id);
    else if (held !== undefined) {
      others = listOf(held).filter((other) => other !== claim);
      const [only] = others;
      if (only !== undefined) this.#held.set(claim.id, others.length === 1 ? only : others);
    }
    claim.onEnd?.();
    return others;
  }

  /** Returns the claims of a job; more than one if it was lost and is held again. */
  of(id: string): readonly Claim[] {
    const held = this.#held.get(id);
    return held === undefined ? NONE : listOf(held);
  }

  find(id: string, token: string): Claim | undefined {
    const held = this.#held.get(id);
    if (held === undefined || 'token' in held) return held?.token === token ? held : undefined;
    return held.find((claim) => claim.token === token);
  }
}

function listOf(held: Claim | readonly Claim[]): readonly Claim[] {
  return 'token' in held ? [held] : held;
}

// Deadlines of calls. Nearly all calls end long before, and every call has a deadline, so all share one timer.

/** Maximum time of a timer: Node fires longer ones at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface Deadline {
  /** In the time of `performance.now()`. */
  readonly at: number;
  readonly expire: () => void;
}

export class Deadlines {
  readonly #open = new LinkedItems<Deadline>();
  #timer: NodeJS.Timeout | undefined;
  #onIdle: (() => void) | undefined;
  /** When the timer fires: possibly too early, never too late. */
  #timerAt = Number.POSITIVE_INFINITY;

  /** Calls `expire` at a time of `performance.now()`, unless the returned link is cleared before. */
  set(at: number, expire: () => void): Link<Deadline> {
    if (this.#open.isEmpty) this.#timer?.ref();
    if (at < this.#timerAt) this.#arm(at);
    return this.#open.add({ at, expire });
  }

  /** Clears a deadline. Returns false if it has already expired. */
  clear(deadline: Link<Deadline>): boolean {
    const isCleared = this.#open.remove(deadline);
    if (isCleared && this.#open.isEmpty) {
      // Let the unneeded timer fire, but do not keep the process alive for it.
      this.#timer?.unref();
      this.#onIdle?.();
    }
    return isCleared;
  }

  /** Settles once no deadline is open. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.#open.isEmpty) resolve();
    });
  }

  /** Expires all open deadlines. */
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

// Outcomes of attempts in BullMQ's terms.

/** Throws an outcome without a result in BullMQ's form. */
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
      // BullMQ reads these when it handles the error below: it must retry after the decided delay.
      job.opts.attempts = job.attemptsMade + 2;
      job.opts.backoff = { type: 'fixed', delay: outcome.delayMs };
      throw withStack(new Error(plainMessage(outcome.error)), outcome.error);
  }
}

/** Thrown to return a job to its queue without using up an attempt; the worker fetches the next job in the same command. */
export class ReturnedError extends DelayedError {
  constructor(readonly delayMs: number) {
    super();
  }
}

/** Escapes a message that BullMQ would interpret as a command; a handler may throw one by accident. */
function plainMessage({ message }: ShownError): string {
  return message.startsWith('bullmq:') ? `Error: ${message}` : message;
}

function withStack(error: Error, { stack }: ShownError): Error {
  error.stack = stack ?? error.message;
  return error;
}
