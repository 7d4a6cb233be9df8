/**
 * The worker in a child process that a supervisor started: takes jobs like any worker, reports to the supervisor and
 * follows its messages. The process ends with its worker and with its supervisor.
 */

import { match, P } from 'ts-pattern';
import { clearInterval, setInterval, setTimeout } from '../../base/real-timers.js';
import { recordError, toError } from '../../codec/error-record.js';
import type { AppWorker } from '../app-worker.js';
import type { WorkerDependencies } from '../dependencies.js';
import type { NormalizedWorkerOptions, WorkerOptions } from '../options.js';
import { QueueWorker } from '../worker.js';
import type { Answer } from './child-process.js';
import {
  type EndReason,
  type FromProcess,
  type Question,
  readToProcess,
  type ToProcess,
  type WorkerChange,
} from './messages.js';
import type { ProcessIdentity } from './plan.js';

/** The message channel to the supervisor. It does not keep the process alive. */
export class SupervisorChannel {
  readonly #onMessage: (message: unknown) => void;
  readonly #onLost: () => void;

  /** @param onLost Called once, when the supervisor has exited. */
  constructor(onMessage: (message: ToProcess) => void, onLost: () => void) {
    this.#onMessage = (received) => {
      const message = readToProcess(received);
      if (message !== undefined) onMessage(message);
    };
    this.#onLost = onLost;
    process.on('message', this.#onMessage);
    process.once('disconnect', onLost);
    process.channel?.unref();
    if (!process.connected) queueMicrotask(onLost);
  }

  /** Resolves when the message is sent, or cannot be sent. */
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
/** Time for the program's own code after its worker has closed. */
const EXIT_DELAY_MS = 2000;

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

export class ChildWorker extends QueueWorker {
  readonly #channel: SupervisorChannel;
  readonly #options: NormalizedWorkerOptions;
  readonly #reports: NodeJS.Timeout;
  #reported = '';
  #endReason: EndReason | undefined;
  #isStarted = false;
  #changed: Promise<void> = Promise.resolve();

  constructor(
    options: WorkerOptions,
    normalized: NormalizedWorkerOptions,
    dependencies: WorkerDependencies,
    identity: ProcessIdentity,
  ) {
    const { health: _, ...childOptions } = options; // one server answers for all processes
    const onClosing: WorkerDependencies['onClosing'] = (reason) =>
      void this.#send({ umbel: 'closing', reason });
    super(
      { ...childOptions, name: identity.name, handleSignals: false },
      { ...dependencies, onClosing, processIndex: identity.index },
    );
    this.#options = normalized;
    this.#channel = new SupervisorChannel(
      (message) => this.#follow(message),
      () => this.#onSupervisorLost(dependencies),
    );
    if (normalized.handlesSignals) for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    this.#reports = setInterval(() => void this.#report(), REPORT_MS);
    this.#reports.unref();
    void this.#send({ umbel: 'loaded' });
    void this.closed.then(() => this.#exitProcess(dependencies));
  }

  override async start(): Promise<AppWorker> {
    try {
      await super.start();
    } catch (error) {
      await this.#send({ umbel: 'failed', error: recordError(toError(error)) });
      void this.close({ force: true });
      throw error;
    }
    if (!this.#isStarted && this.state === 'running') {
      this.#isStarted = true;
      void this.#send({ umbel: 'running' });
    }
    return this;
  }

  /** Signals reach the whole process group, so the supervisor too, which sends a message when jobs must be aborted. */
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    if (signal !== 'SIGTERM' || this.#endReason !== undefined) return;
    this.#endReason = 'signal';
    void this.shutDown(signal);
  };

  #follow(message: ToProcess): void {
    match(message)
      .with({ umbel: 'abort' }, () => void this.close({ force: true }))
      .with({ umbel: 'close' }, ({ reason, timeoutMs }) => {
        this.#endReason ??= reason;
        void this.close(timeoutMs === undefined ? {} : { timeout: timeoutMs });
      })
      .with({ id: P.number }, (question) => void this.#answer(question.id, question))
      .exhaustive();
  }

  async #answer(id: number, question: Question): Promise<void> {
    try {
      await this.#send({ umbel: 'answer', id, ...(await this.#answerTo(question)) });
    } catch (error) {
      await this.#send({ umbel: 'answer', id, error: recordError(toError(error)) });
    }
  }

  async #answerTo(question: Question): Promise<Answer> {
    return match(question)
      .returnType<Answer | Promise<Answer>>()
      .with({ umbel: 'health' }, async () => ({ health: await this.health() }))
      .with({ umbel: 'metrics' }, async () => ({
        metrics: (await this.#options.health?.metrics?.json?.()) ?? [],
      }))
      .with(
        { umbel: 'set-concurrency' },
        { umbel: 'add-queue' },
        { umbel: 'remove-queue' },
        async (change) => {
          await this.#change(change);
          return {};
        },
      )
      .exhaustive();
  }

  /** Applies changes in order. A change does not wait for the running jobs of a removed queue. */
  async #change(change: WorkerChange): Promise<void> {
    const earlier = this.#changed;
    const done = earlier.then(() => this.#apply(change));
    this.#changed = done.then(
      () => {},
      () => {},
    );
    await (await done).ended;
  }

  #apply(change: WorkerChange): Promise<{ readonly ended?: Promise<void> }> {
    return match(change)
      .returnType<Promise<{ readonly ended?: Promise<void> }>>()
      .with({ umbel: 'remove-queue' }, async ({ queue }) => ({ ended: this.removeQueue(queue) }))
      .with({ umbel: 'add-queue' }, async ({ queue, concurrency }) => {
        await this.addQueue(queue, concurrency);
        return {};
      })
      .with({ umbel: 'set-concurrency' }, async ({ queue, concurrency }) => {
        await this.setConcurrency(concurrency, queue);
        return {};
      })
      .exhaustive();
  }

  #onSupervisorLost({ warn }: WorkerDependencies): void {
    if (this.state === 'closed') return;
    warn(`process ${this.processIndex} of worker ${this.name} closes because its supervisor has exited`);
    this.#endReason ??= 'signal';
    const { shutdownTimeoutMs } = this.#options;
    void this.close(shutdownTimeoutMs === undefined ? {} : { timeout: shutdownTimeoutMs });
  }

  #send(message: FromProcess): Promise<void> {
    return this.#channel.send(message);
  }

  async #report(): Promise<void> {
    const { counts, repairs, active, concurrency } = this;
    const report = { counts, repairs, active, concurrency };
    const text = JSON.stringify(report);
    if (text === this.#reported) return;
    this.#reported = text;
    await this.#send({ umbel: 'report', report });
  }

  /** Ends the process, which exists only for its worker. Gives the program's own code 2 s. */
  async #exitProcess({ disconnectApp }: WorkerDependencies): Promise<void> {
    clearInterval(this.#reports);
    await this.#report();
    await disconnectApp().catch(() => {});
    this.#channel.close();
    const isSignalled = this.#endReason === 'signal';
    if (isSignalled && this.#hasOtherListeners()) return; // another listener decides when the process exits
    const isUrgent = isSignalled || this.#endReason === 'changed';
    setTimeout(() => process.exit(), isUrgent ? 0 : EXIT_DELAY_MS).unref();
  }

  #hasOtherListeners(): boolean {
    return SIGNALS.some((signal) =>
      process.listeners(signal).some((listener) => listener !== this.#onSignal),
    );
  }
}
