import type { IQueueBackend, Job, JobProgress } from 'bullmq';
import { createAbortController } from '../abort.js';
import type { ActiveJob, FailedChild, GiveUpListener } from '../running/job.js';
import type { NormalizedRetry } from '../tasks/retry.js';
import { type Envelope, type EnvelopeContent, encodeEnvelope, isEnvelope } from '../wire/envelope.js';
import type { Claim } from './claims.js';
import { retryOf } from './job-options.js';
import { mergeData } from './merge-data.js';

export const KEPT_LOG_LINES = 1000;
const NO_CHILDREN: ReadonlyMap<string, string> = new Map();

export interface ClaimedJobParts {
  readonly backend: IQueueBackend;
  readonly claim: Claim | undefined;
  /** Tries a command again while the store is not ready. */
  readonly repeat: <T>(command: () => Promise<T>) => Promise<T>;
}

/** A BullMQ job that a worker holds. */
export class ClaimedJob implements ActiveJob {
  mayHavePendingChildren = true;
  refusedWaits = 0;
  readonly #job: Job;
  readonly #backend: IQueueBackend;
  readonly #claim: Claim | undefined;
  readonly #repeat: ClaimedJobParts['repeat'];
  #controller: AbortController | undefined;
  #abortReason: Error | undefined;
  #givenUp: Error | undefined;
  /** Of one handler at a time: of a job with many inputs, those of the inputs that are done are removed. */
  readonly #giveUpListeners: GiveUpListener[] = [];
  #endedChildren: Map<string, string> | undefined;

  constructor(job: Job, { backend, claim, repeat }: ClaimedJobParts) {
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
