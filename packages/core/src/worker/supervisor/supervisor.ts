/**
 * A worker with several processes that run the same program. This process, the supervisor, takes no jobs: it starts the
 * child processes, restarts those that ended, and ends them. Callers see one worker.
 *
 * ```
 * new ─▶ starting ─▶ running ─▶ closing ─▶ closed
 * ```
 */

import { UnknownQueueError } from '../../base/errors.js';
import { ChildProcessError } from '../../base/failures.js';
import { durationMs } from '../../base/time.js';
import type { ActiveAttempt, AttemptCounts } from '../../control/answers.js';
import { processDefaults } from '../../store/connection.js';
import type { RepairCounts } from '../../store/repair.js';
import { type Concurrency, checkQueue, concurrencyBounds } from '../../task/option-checks.js';
import {
  type AppWorker,
  type CloseOptions,
  type CloseReason,
  checkClose,
  describeWait,
  endWithProcess,
  type Stoppable,
  workerClosed,
} from '../app-worker.js';
import type { WorkerDependencies } from '../dependencies.js';
import { HealthServer, type MetricsSource, type WorkerHealth } from '../health.js';
import { isIsolatedChild } from '../isolate/messages.js';
import { type NormalizedWorkerOptions, queuesToServe } from '../options.js';
import { QueueWorker } from '../worker.js';
import { ChildWorker } from './child-worker.js';
import { watchFiles, watchPlan } from './file-watch.js';
import { type EndReason, healthOfAll, summed, type WorkerChange, withChange } from './messages.js';
import { type Program, programOf, type WorkerPlan, type WorkerRole } from './plan.js';
import { ChildSlot } from './slot.js';

class WorkerSupervisor implements AppWorker, Stoppable {
  readonly name: string;
  readonly isSupervisor = true;
  readonly processIndex = undefined;
  readonly closed: Promise<CloseReason>;
  readonly #options: NormalizedWorkerOptions;
  readonly #dependencies: WorkerDependencies;
  /** Number of this worker among those of the program. */
  readonly #number: number;
  readonly #slots: ChildSlot[] = [];
  readonly #stops: (() => unknown)[] = [];
  #changes: WorkerChange[] = [];
  #queues: Set<string> | undefined;
  #state: AppWorker['state'] = 'new';
  #healthPort: number | undefined;
  #started: Promise<AppWorker> | undefined;
  #closing: Promise<void> | undefined;
  #resolveClosed: (reason: CloseReason) => void = () => {};

  constructor(options: NormalizedWorkerOptions, dependencies: WorkerDependencies, number: number) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#number = number;
    this.name = options.name;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  get queues(): readonly string[] {
    return [...(this.#queues ?? this.#queuesToServe())];
  }

  get state(): AppWorker['state'] {
    return this.#state;
  }

  get active(): readonly ActiveAttempt[] {
    return this.#report().active;
  }

  get concurrency(): Readonly<Record<string, number>> {
    return this.#report().concurrency;
  }

  get counts(): AttemptCounts {
    return this.#report().counts;
  }

  get repairs(): RepairCounts {
    return this.#report().repairs;
  }

  get healthPort(): number | undefined {
    return this.#healthPort;
  }

  start(): Promise<AppWorker> {
    if (this.#closing !== undefined) return Promise.reject(workerClosed());
    this.#started ??= this.#start();
    return this.#started;
  }

  async health(): Promise<WorkerHealth> {
    const processes = await Promise.all(this.#slots.map((slot) => slot.health()));
    return healthOfAll(this.#state, processes);
  }

  async setConcurrency(concurrency: Concurrency, queue?: string): Promise<void> {
    if (this.#isEnding()) throw workerClosed();
    concurrencyBounds('concurrency', concurrency);
    if (queue !== undefined && !this.#served().has(queue)) throw new UnknownQueueError(queue, this.queues);
    await this.#change({ umbel: 'set-concurrency', concurrency, ...(queue !== undefined && { queue }) });
  }

  async addQueue(queue: string, concurrency?: Concurrency): Promise<void> {
    if (this.#isEnding()) throw workerClosed();
    checkQueue('queue', queue);
    this.#dependencies.checkQueue(queue);
    if (concurrency !== undefined) concurrencyBounds('concurrency', concurrency);
    if (this.#served().has(queue)) return;
    this.#served().add(queue);
    await this.#change({ umbel: 'add-queue', queue, ...(concurrency !== undefined && { concurrency }) });
  }

  async removeQueue(queue: string): Promise<void> {
    if (!this.#served().delete(queue)) throw new UnknownQueueError(queue, this.queues);
    await this.#change({ umbel: 'remove-queue', queue });
  }

  async close(options: CloseOptions = {}): Promise<void> {
    const { force = false, timeout } = checkClose(options);
    const timeoutMs = timeout === undefined ? undefined : durationMs(timeout, 'timeout');
    if (force) for (const slot of this.#slots) void slot.abort();
    await this.#end('closed', 'closed', timeoutMs);
  }

  async shutDown(signal: NodeJS.Signals): Promise<void> {
    const { shutdownTimeoutMs } = this.#options;
    const wait = describeWait(this.active.length, shutdownTimeoutMs);
    this.#dependencies.info(`${signal}: worker ${this.name} takes no more jobs in any process${wait}`);
    // Other listeners of the program in the child processes need the signal too, before an idle process has closed and exited.
    for (const slot of this.#slots) slot.forward(signal);
    await this.#end('signal', 'signal', shutdownTimeoutMs);
    await this.#dependencies.disconnectApp();
  }

  /** Each process received the control message itself, and one of them reported it. */
  async #shutDownByControl(): Promise<void> {
    if (this.#closing !== undefined) return;
    await this.#end('control', 'closed', this.#options.shutdownTimeoutMs);
    await this.#dependencies.disconnectApp();
  }

  abort(): Promise<void> {
    this.#dependencies.warn(`worker ${this.name} returns the running jobs of its processes to their queues`);
    return this.close({ force: true });
  }

  async #start(): Promise<AppWorker> {
    if (isIsolatedChild()) {
      throw new ChildProcessError(
        'A worker was started by a module that an isolated task is loaded from. Define the task in a separate module.',
      );
    }
    const program = programOf();
    for (const queue of this.#served()) this.#dependencies.checkQueue(queue);
    this.#state = 'starting';
    try {
      if (this.#options.handlesSignals) this.#stops.push(endWithProcess(this));
      await this.#startHealthServer();
      // If the worker was closed during that, no process must start.
      if (!this.#isEnding()) {
        this.#watch(program);
        await Promise.race([this.#startProcesses(program), this.closed]);
      }
    } catch (error) {
      await this.#end('closed', 'closed', 0);
      throw error;
    }
    if (this.#isEnding()) await this.#closing;
    else this.#state = 'running';
    return this;
  }

  #isEnding(): boolean {
    return this.#closing !== undefined;
  }

  /** Starts the processes; resolves once every one takes jobs. */
  #startProcesses(program: Program): Promise<void> {
    const { processes, watch } = this.#options;
    const { info, warn } = this.#dependencies;
    return new Promise((resolve, reject) => {
      const waiting = new Set(Array.from({ length: processes }, (_, index) => index));
      for (const index of waiting) {
        const slot = new ChildSlot({
          program,
          identity: { worker: this.#number, index, name: this.name },
          isWatching: watch !== undefined,
          isStarting: () => this.#state === 'starting',
          changes: () => this.#changes,
          onRunning: () => {
            waiting.delete(index);
            if (waiting.size === 0) resolve();
          },
          onFailed: reject,
          onShutDown: () => void this.#shutDownByControl(),
          info,
          warn,
        });
        this.#slots.push(slot);
        slot.start();
      }
    });
  }

  #watch({ file }: Program): void {
    const { watch } = this.#options;
    if (watch === undefined) return;
    const { mainModule: main = file } = processDefaults();
    const changed = (files: readonly string[]) => {
      const more = files.length > 3 ? ` and ${files.length - 3} more` : '';
      this.#dependencies.info(`${files.slice(0, 3).join(', ')}${more} changed: worker ${this.name} restarts`);
      for (const slot of this.#slots) void slot.renew();
    };
    this.#stops.push(watchFiles(watchPlan(watch, main, process.cwd()), changed, this.#dependencies.warn));
  }

  async #startHealthServer(): Promise<void> {
    const { health } = this.#options;
    if (health === undefined) return;
    const server = new HealthServer(
      () => this.health(),
      health.metrics && this.#mergeMetrics(health.metrics),
    );
    this.#stops.push(() => server.close());
    this.#healthPort = await server.listen(health.port, health.host);
  }

  /** Merges the metrics of all processes. */
  #mergeMetrics(source: MetricsSource): MetricsSource {
    if (source.json === undefined || source.together === undefined) return source;
    const { together } = source;
    return {
      contentType: source.contentType,
      text: async () => {
        const all = await Promise.all(this.#slots.map((slot) => slot.metrics()));
        return together(all.filter((metrics) => metrics !== undefined));
      },
    };
  }

  async #change(change: WorkerChange): Promise<void> {
    this.#changes = withChange(this.#changes, change);
    await Promise.all(this.#slots.map((slot) => slot.change(change)));
  }

  #served(): Set<string> {
    this.#queues ??= new Set(this.#queuesToServe());
    return this.#queues;
  }

  #queuesToServe(): string[] {
    return queuesToServe(this.#options, this.#dependencies.defaultQueues);
  }

  #report() {
    return summed(this.#slots.map(({ report }) => report));
  }

  #end(reason: CloseReason, processReason: EndReason, timeoutMs: number | undefined): Promise<void> {
    const ended = Promise.all(this.#slots.map((slot) => slot.close(processReason, timeoutMs)));
    this.#closing ??= this.#close(reason, ended);
    return this.#closing;
  }

  async #close(reason: CloseReason, ended: Promise<unknown>): Promise<void> {
    this.#state = 'closing';
    await ended;
    await Promise.allSettled(this.#stops.splice(0).map(async (stop) => stop()));
    this.#state = 'closed';
    this.#dependencies.onClose();
    this.#resolveClosed(reason);
  }
}

/** Creates the worker of a plan. */
export function createWorker(
  { options, normalized, role }: WorkerPlan<WorkerRole>,
  dependencies: WorkerDependencies,
): AppWorker {
  switch (role.kind) {
    case 'worker':
      return new QueueWorker(options, dependencies);
    case 'process':
      return new ChildWorker(options, normalized, dependencies, role.identity);
    case 'supervisor':
      return new WorkerSupervisor(normalized, dependencies, role.number);
  }
}
