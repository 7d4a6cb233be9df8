import type { IQueueBackend, Job, JobProgress } from 'bullmq';
import type { ActiveJob, FailedChild } from '../running/job.js';
import type { NormalizedRetry } from '../tasks/retry.js';
import { type Envelope, type EnvelopeContent, encodeEnvelope, isEnvelope } from '../wire/envelope.js';
import type { Claim } from './claims.js';
import { retryOf } from './job-options.js';
import { mergeData } from './merge-data.js';

const KEPT_LOG_LINES = 1000;
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
  readonly #job: Job;
  readonly #backend: IQueueBackend;
  readonly #claim: Claim | undefined;
  readonly #repeat: ClaimedJobParts['repeat'];
  #controller: AbortController | undefined;
  #abortReason: Error | undefined;
  #givenUp: Error | undefined;
  #onGiveUp: ((reason: Error) => void) | undefined;
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
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  /** Tells the handler that its worker goes; what it gives still counts. */
  abort(reason: Error): void {
    this.#abortReason = reason;
    this.#controller?.abort(reason);
  }

  giveUp(reason: Error): void {
    this.#givenUp ??= reason;
    this.#onGiveUp?.(reason);
    this.abort(reason);
  }

  onGiveUp(listener: (reason: Error) => void): void {
    if (this.#givenUp !== undefined) listener(this.#givenUp);
    const earlier = this.#onGiveUp;
    this.#onGiveUp =
      earlier === undefined
        ? listener
        : (reason) => {
            earlier(reason);
            listener(reason);
          };
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
    const known = isEnvelope(this.#job.data) ? (this.#job.data as Envelope) : undefined; // as far as this needs it
    const merged = await this.#repeat(() =>
      mergeData(this.#backend, this.id, (data) => ({ ...data, ...content }), { known, starts: this.starts }),
    );
    if (merged !== undefined) {
      this.#job.data = merged;
      return;
    }
    // What cannot be read is replaced: there is nothing in it to keep.
    const data = encodeEnvelope({ ...(this.#job.data as Envelope), ...content });
    await this.#repeat(() => this.#job.updateData(data));
  }

  /** Leaves the job to its children. False if none of them is pending: then it is to be handled once more. */
  async waitForChildren(): Promise<boolean> {
    const isMoved = await this.#job.moveToWaitingChildren(this.#job.token ?? '');
    if (!isMoved) this.mayHavePendingChildren = false;
    return isMoved;
  }

  /** How many of its children have failed. */
  async failedChildrenCount(): Promise<number> {
    const { ignored = 0 } = await this.#job.getDependenciesCount({ ignored: true });
    return ignored;
  }
}
