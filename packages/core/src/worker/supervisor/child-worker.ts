/**
 * A worker in a process that a supervisor has started: it runs like any other, tells its supervisor how it is, and does
 * what that says. Its process ends with it, and with its supervisor.
 */

import { clearInterval, setInterval, setTimeout } from '../../base/real-timers.js';
import { recordError, toError } from '../../codec/error-record.js';
import type { AppWorker } from '../app-worker.js';
import type { NormalizedWorkerOptions, WorkerOptions } from '../options.js';
import type { WorkerParts } from '../parts.js';
import { QueueWorker } from '../worker.js';
import type { Answer } from './child-process.js';
import {
  type Change,
  type EndReason,
  type FromProcess,
  type Question,
  readToProcess,
  type ToProcess,
} from './messages.js';
import type { ProcessIdentity } from './plan.js';

// What ties a process of a worker to its supervisor.

/** Does not keep the process alive. */
export class SupervisorChannel {
  readonly #onMessage: (message: unknown) => void;
  readonly #onLost: () => void;

  /** @param lost Called once, when the supervisor is gone. */
  constructor(obey: (order: ToProcess) => void, lost: () => void) {
    this.#onMessage = (message) => {
      const order = readToProcess(message);
      if (order !== undefined) obey(order);
    };
    this.#onLost = lost;
    process.on('message', this.#onMessage);
    process.once('disconnect', lost);
    process.channel?.unref();
    if (!process.connected) queueMicrotask(lost);
  }

  /** Settles when the message has gone out, or cannot. */
  send(message: FromProcess): Promise<void> {
    return new Promise((resolve) => {
      if (process.connected) process.send?.(message, () => resolve());
      else resolve();
    });
  }

  close(): void {
    process.off('message', this.#onMessage);
    process.off('disconnect', this.#onLost);
    if (process.connected) process.disconnect();
  }
}

const REPORT_MS = 250;
/** For what the program does once its worker is closed. */
const LEAVE_MS = 2000;

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

export class ChildWorker extends QueueWorker {
  readonly #channel: SupervisorChannel;
  readonly #options: NormalizedWorkerOptions;
  readonly #reports: NodeJS.Timeout;
  #reported = '';
  #isTold: EndReason | undefined;
  #isStarted = false;
  #changed: Promise<void> = Promise.resolve();

  constructor(
    options: WorkerOptions,
    normalized: NormalizedWorkerOptions,
    parts: WorkerParts,
    place: ProcessIdentity,
  ) {
    const { health: _, ...own } = options; // one server answers for all processes
    const onClosing: WorkerParts['onClosing'] = (reason) => void this.#tell({ umbel: 'closing', reason });
    super(
      { ...own, name: place.name, handleSignals: false },
      { ...parts, onClosing, processIndex: place.index },
    );
    this.#options = normalized;
    this.#channel = new SupervisorChannel(
      (order) => this.#obey(order),
      () => this.#abandoned(parts),
    );
    if (normalized.handlesSignals) for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    this.#reports = setInterval(() => void this.#report(), REPORT_MS);
    this.#reports.unref();
    void this.#tell({ umbel: 'loaded' });
    void this.closed.then(() => this.#leave(parts));
  }

  override async start(): Promise<AppWorker> {
    try {
      await super.start();
    } catch (error) {
      await this.#tell({ umbel: 'failed', error: recordError(toError(error)) });
      void this.close({ force: true });
      throw error;
    }
    if (!this.#isStarted && this.state === 'running') {
      this.#isStarted = true;
      void this.#tell({ umbel: 'running' });
    }
    return this;
  }

  /** These reach whole groups of processes, and the supervisor too, which says by a message when to give up jobs. */
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    if (signal !== 'SIGTERM' || this.#isTold !== undefined) return;
    this.#isTold = 'signal';
    void this.shutDown(signal);
  };

  #obey(order: ToProcess): void {
    if (order.umbel === 'abort') void this.close({ force: true });
    else if (order.umbel === 'close') {
      this.#isTold ??= order.reason;
      void this.close(order.timeoutMs === undefined ? {} : { timeout: order.timeoutMs });
    } else void this.#answer(order.id, order);
  }

  async #answer(id: number, question: Question): Promise<void> {
    try {
      await this.#tell({ umbel: 'answer', id, ...(await this.#answerTo(question)) });
    } catch (error) {
      await this.#tell({ umbel: 'answer', id, error: recordError(toError(error)) });
    }
  }

  async #answerTo(question: Question): Promise<Answer> {
    if (question.umbel === 'health') return { health: await this.health() };
    if (question.umbel === 'metrics')
      return { metrics: (await this.#options.health?.metrics?.json?.()) ?? [] };
    await this.#change(question);
    return {};
  }

  /** One after the other, as they were made; but none waits for the jobs of a queue that is not served any more. */
  async #change(change: Change): Promise<void> {
    const earlier = this.#changed;
    const done = earlier.then(() => this.#apply(change));
    this.#changed = done.then(
      () => {},
      () => {},
    );
    await (await done).ended;
  }

  async #apply(change: Change): Promise<{ readonly ended?: Promise<void> }> {
    if (change.umbel === 'remove-queue') return { ended: this.removeQueue(change.queue) };
    if (change.umbel === 'add-queue') await this.addQueue(change.queue, change.concurrency);
    else await this.setConcurrency(change.concurrency, change.queue);
    return {};
  }

  #abandoned({ warn }: WorkerParts): void {
    if (this.state === 'closed') return;
    warn(`process ${this.processIndex} of worker ${this.name} ends: its supervisor is gone`);
    this.#isTold ??= 'signal';
    const { shutdownTimeoutMs } = this.#options;
    void this.close(shutdownTimeoutMs === undefined ? {} : { timeout: shutdownTimeoutMs });
  }

  #tell(message: FromProcess): Promise<void> {
    return this.#channel.send(message);
  }

  async #report(): Promise<void> {
    const { counts, repairs, active, concurrency } = this;
    const report = { counts, repairs, active, concurrency };
    const text = JSON.stringify(report);
    if (text === this.#reported) return;
    this.#reported = text;
    await this.#tell({ umbel: 'report', report });
  }

  /** The process has no other purpose. Whatever the program does after its worker has a moment. */
  async #leave({ disconnectApp }: WorkerParts): Promise<void> {
    clearInterval(this.#reports);
    await this.#report();
    await disconnectApp().catch(() => {});
    this.#channel.close();
    const isSignalled = this.#isTold === 'signal';
    if (isSignalled && this.#hasOtherListeners()) return; // who listens decides when the process ends
    const isUrgent = isSignalled || this.#isTold === 'changed';
    setTimeout(() => process.exit(), isUrgent ? 0 : LEAVE_MS).unref();
  }

  #hasOtherListeners(): boolean {
    return SIGNALS.some((signal) =>
      process.listeners(signal).some((listener) => listener !== this.#onSignal),
    );
  }
}
