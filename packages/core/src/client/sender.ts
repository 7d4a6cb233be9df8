/** This module checks, routes and stores calls and runs. Tasks, signatures and workflows send through it. */
import { InvalidOptionError } from '../base/errors.js';
import { positiveMs, type Writable } from '../base/option-checks.js';
import { runInOrder } from '../base/wait.js';
import type { EnvelopeContent, MemberStream } from '../job/envelope.js';
import { randomId } from '../job/ids.js';
import { type Callbacks, INTERNAL_QUEUE, type JobNode, jobIdOf } from '../job/job-tree.js';
import { atSending, type NormalizedOptions, resolveExpiry, sharedOptions } from '../job/shared-options.js';
import { addJob, addJobs, addRun, addsInOrder, BULK_SLICE } from '../store/add.js';
import type { StoredDeduplication } from '../store/job-options.js';
import type { NewJob, Store } from '../store/store.js';
import type { Noting } from '../store/tag-notes.js';
import type { TagIndex } from '../store/tags.js';
import { deduplicationId, normalizeDeduplication } from '../task/deduplication.js';
import type { Registry } from '../task/definition.js';
import { type AnyMiddleware, type OutgoingCall, throughMiddleware } from '../task/middleware.js';
import {
  type BulkOptions,
  mergeOptions,
  NO_OPTIONS,
  normalizeOptions,
  type SendOptions,
} from '../task/options.js';
import type { Router } from '../task/routing.js';
import type { TaskExpression } from '../task/signature.js';
import { shapeOf } from '../workflow/added-members.js';
import { fill } from '../workflow/input.js';
import { withSendContext } from '../workflow/prepare.js';
import type { AsyncResult } from './async-result.js';
import { linkedTo, mergeCallbacks, runWithCallbacks, sentCallbacks } from './callbacks.js';
import { type InputChecks, isStored, keyedContent, looksLikeOptions, wholeInput } from './input-checks.js';
import { Batch, feedMembers } from './member-stream.js';
import { StoredResult } from './result.js';
import { observeTree, type Runtime } from './runtime.js';
import type { ResultDependencies } from './wait.js';

/** Dependencies of a sender. */
export interface JobSenderDependencies {
  readonly registry: Registry;
  readonly router: Router;
  readonly store: Store;
  readonly runtime: Runtime;
  readonly results: ResultDependencies;
  readonly middleware: readonly AnyMiddleware[];
  readonly checks: InputChecks;
  readonly tags: TagIndex;
  readonly maxMembers: number;
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

/** Options that sendMany() does not support. */
const OF_ONE_CALL = ['idempotencyKey', 'link', 'linkError'] as const;

/** The option with the sender of a call that is sent in a transaction. It has no name, so it is no public option. */
export const JOB_SENDER: unique symbol = Symbol('sender');

/** Returns the sender in the options of a call, or another one. */
export function senderIn(options: object, otherwise: () => JobSender): JobSender {
  return (options as { readonly [JOB_SENDER]?: JobSender })[JOB_SENDER] ?? otherwise();
}

/** A call of one task, with its options. */
interface Calling {
  readonly expression: TaskExpression;
  readonly options: SendOptions<never>;
  /** Options of the sending over those of the signature. */
  readonly own: NormalizedOptions;
  /** Options of the workflow that consists of this call, for jobs that its handler adds. */
  readonly shared: NormalizedOptions;
}

/** The input of a call. Keys of repeated calls are made from the sent one, since a default may differ each time. */
interface CallInput {
  readonly sent: unknown;
  /** With the defaults of the task's schema. */
  readonly stored: unknown;
}

/** Checks, routes and stores calls and runs. */
export class JobSender {
  readonly #parts: JobSenderDependencies;
  readonly #checks: InputChecks;

  get dependencies(): JobSenderDependencies {
    return this.#parts;
  }

  constructor(parts: JobSenderDependencies) {
    this.#parts = parts;
    this.#checks = parts.checks;
  }

  /** Sends one call. */
  async send(
    expression: TaskExpression,
    input: unknown,
    options: SendOptions<never>,
    shared?: NormalizedOptions,
  ): Promise<AsyncResult<unknown>> {
    const whole = wholeInput(expression, input);
    if (looksLikeOptions(input)) await this.#checks.refuseOptions(expression, input);
    const completing = this.#checks.complete(expression.task, whole);
    const inputs = { sent: whole, stored: completing instanceof Promise ? await completing : completing };
    if (!this.#parts.store.isTimeKnown) await this.#timeKnownFor(expression, options);
    const callbacks = this.#callbacks(expression, options);
    const calling = this.#calling(expression, options, shared);
    if (this.#parts.middleware.length === 0) {
      const job = this.#newJob(calling, inputs, calling.own);
      return this.#result(job.queue, await this.#store(job, inputs, callbacks, options));
    }
    let queue = '';
    const { id } = await this.#throughMiddleware(calling, whole, async (own) => {
      const job = this.#newJob(calling, inputs, own);
      queue = job.queue;
      return { id: await this.#store(job, inputs, callbacks, options) };
    });
    return this.#result(queue, id);
  }

  /** Sends many calls of one task. Sends nothing if an input is invalid or a middleware throws. */
  async sendMany(
    expression: TaskExpression,
    inputs: Iterable<unknown>,
    options: BulkOptions & Pick<SendOptions, (typeof OF_ONE_CALL)[number]>,
  ): Promise<AsyncResult<unknown>[]> {
    for (const option of OF_ONE_CALL) {
      if (options[option] === undefined) continue;
      throw new InvalidOptionError(
        option,
        'absent for sendMany(), which sends several calls',
        options[option],
      );
    }
    const wholes: CallInput[] = [];
    for (const input of inputs) {
      const whole = wholeInput(expression, input);
      if (looksLikeOptions(input)) await this.#checks.refuseOptions(expression, input);
      const completing = this.#checks.complete(expression.task, whole, `inputs[${wholes.length}]`);
      wholes.push({ sent: whole, stored: completing instanceof Promise ? await completing : completing });
    }
    if (!this.#parts.store.isTimeKnown) await this.#timeKnownFor(expression, options);
    if (this.#parts.middleware.length === 0) return this.#sendAll(expression, wholes, options);
    const batch = new Batch((jobs) => this.#storeMany(jobs, options));
    const calling = this.#calling(expression, options);
    const sent = wholes.map((whole) =>
      batch.add((store) =>
        this.#throughMiddleware(calling, whole.sent, (own) => store(this.#newJob(calling, whole, own))),
      ),
    );
    await batch.send();
    const jobs = await Promise.all(sent);
    return jobs.map(({ queue, id }) => this.#result(queue, id));
  }

  /** Sends many calls without middleware. */
  async #sendAll(
    expression: TaskExpression,
    inputs: readonly CallInput[],
    options: BulkOptions,
  ): Promise<AsyncResult<unknown>[]> {
    const calling = this.#calling(expression, options);
    const jobs = inputs.map((input) => this.#newJob(calling, input, calling.own));
    const ids = await this.#storeMany(jobs, options);
    return jobs.map((job) => this.#result(job.queue, ids.get(job) ?? job.id));
  }

  /** Sends a planned run and passes `input` to its open nodes. */
  async sendRun(
    root: JobNode,
    input: unknown,
    options: SendOptions<never>,
    feeds: readonly MemberStream[] = [],
  ): Promise<AsyncResult<unknown>> {
    if (looksLikeOptions(input)) await this.#checks.refuseOptionsOfRun(root, input);
    const filled = fill(root, input);
    const deduplication = normalizeDeduplication(options);
    if (deduplication !== undefined) {
      throw new InvalidOptionError(
        deduplication.mode,
        'absent for a workflow: only single calls can be deduplicated',
        true,
      );
    }
    await this.#checks.checkTree(filled);
    const callbacks = mergeCallbacks(root.callbacks ?? {}, sentCallbacks(options));
    const call: OutgoingCall = { task: undefined, input, headers: { ...options.headers } };
    const { id } = await this.#through(call, async () => {
      await this.timeKnown(options);
      const now = this.#parts.runtime.clock.now();
      const content = lineageOf(options);
      const tags = options.tags === undefined ? {} : { tags: options.tags };
      const addition = { now, headers: call.headers, ...tags, content };
      const tree = withSendContext(filled, addition);
      const own = { ...tree.content, ...(options.ignoreResult && { ignoreResult: true as const }) };
      const sent = { ...tree, content: own, ...(callbacks !== undefined && { callbacks }) };
      const stored = await this.#storeRun(sent, 'run', input, options);
      const feeding = { run: stored.id, input, addition, timeoutMs: timeoutOf(options) };
      if (stored.isNew) for (const feed of feeds) await feedMembers(this.#parts, feed, feeding);
      return { id: stored.id };
    });
    return this.#result(root.queue, id);
  }

  /** Sends a planned and checked run under a given id; idempotent. */
  async sendPlanned(id: string, node: JobNode, headers: Readonly<Record<string, string>>): Promise<void> {
    const task = node.queue === INTERNAL_QUEUE ? undefined : node.name;
    const call: OutgoingCall = { task, input: node.input, headers: { ...headers } };
    await this.#through(call, async () => {
      const { store, runtime, tags } = this.#parts;
      const now = runtime.clock.now();
      const tree = withSendContext(node, { now, headers: call.headers });
      await tags.add(tags.labelsOf(tree), { queue: tree.queue, id }, now);
      await addRun(store, id, tree, { isRepeated: true });
      if (runtime.observer !== undefined) observeTree(runtime.observer, id, tree);
      return { id };
    });
  }

  /** Returns the options of a call over those of its task, and its queue. @throws {UnknownQueueError} */
  optionsOf(
    { task, options = NO_OPTIONS }: TaskExpression,
    headers?: Readonly<Record<string, string>>,
  ): NormalizedOptions & { queue: string } {
    const all = this.#withTaskOptions(task, options);
    const routed = headers === undefined ? all : { ...all, headers: { ...headers, ...all.headers } };
    return { ...all, queue: this.#queueOf(task, undefined, routed) };
  }

  /** Returns options over those of their task. */
  #withTaskOptions(task: string, options: NormalizedOptions): NormalizedOptions {
    const defaults = this.#parts.registry.get(task)?.options;
    if (defaults === undefined) return options;
    return options === NO_OPTIONS ? defaults : { ...defaults, ...options };
  }

  /** @throws {UnknownQueueError} */
  #queueOf(task: string, input: unknown, { queue, headers = NO_HEADERS }: NormalizedOptions): string {
    const { registry, router } = this.#parts;
    return router.queueOf({ task, input, headers }, queue, registry.queues());
  }

  /** Settles once the time of the store is known; undefined if it is known. */
  timeKnown(options: SendOptions<never>): Promise<void> | undefined {
    return this.#parts.store.timeKnown(timeoutOf(options));
  }

  /** Waits for the time of the store if the options of a call depend on it. */
  async #timeKnownFor(expression: TaskExpression, options: SendOptions<never>): Promise<void> {
    const { expiresMs, tags } = this.#withTaskOptions(
      expression.task,
      this.#calling(expression, options).own,
    );
    if (
      options.eta !== undefined ||
      expiresMs !== undefined ||
      tags !== undefined ||
      this.#parts.tags.hasTerms
    )
      await this.timeKnown(options);
  }

  normalizeOptions(options: SendOptions<never>): NormalizedOptions {
    return normalizeOptions(options, this.#parts.runtime.clock.now());
  }

  /** Returns the callbacks of a call; undefined for most calls. */
  #callbacks(expression: TaskExpression, options: SendOptions<never>): Callbacks | undefined {
    const { link, linkError } = options;
    if (expression.callbacks === undefined && link === undefined && linkError === undefined) return undefined;
    const linked = linkedTo(expression, {
      optionsOf: (call) => this.optionsOf(call),
      maxMembers: this.#parts.maxMembers,
    });
    return mergeCallbacks(linked, sentCallbacks(options));
  }

  #calling(expression: TaskExpression, options: SendOptions<never>, shared?: NormalizedOptions): Calling {
    const sent = this.normalizeOptions(options);
    return { expression, options, own: mergeOptions(expression.options, sent), shared: shared ?? sent };
  }

  #result(queue: string, id: string): StoredResult {
    return new StoredResult(this.#parts.results, { queue }, id);
  }

  /** Returns the job of a call. @param own Options of the call, as changed by middleware. */
  #newJob(
    { expression, options, shared }: Calling,
    { sent, stored: input }: CallInput,
    own: NormalizedOptions,
  ): NewJob {
    const { task } = expression;
    const all = this.#withTaskOptions(task, own);
    const queue = this.#queueOf(task, sent, all);
    const now = this.#parts.runtime.clock.now();
    const deduplication = normalizeDeduplication(options) ?? this.#parts.registry.get(task)?.deduplication;
    // Assignments: every call comes here, and each conditional spread copies an object.
    const content: Writable<EnvelopeContent> = {};
    if (input !== undefined) content.input = input;
    if (options.parent !== undefined) Object.assign(content, lineageOf(options));
    if (options.ignoreResult) content.ignoreResult = true;
    if (deduplication?.until === 'started') content.uniqueUntilStarted = true;
    if (deduplication?.maxWaitMs !== undefined) content.debouncedSince = now;
    if (shared !== NO_OPTIONS) {
      const stored = sharedOptions(shared, all, queue);
      if (stored !== undefined) content.shared = atSending(stored, now);
    }
    const job: Writable<NewJob> = {
      id: randomId(),
      name: task,
      queue,
      content,
      options: resolveExpiry(withoutQueue(all), now),
    };
    if (deduplication !== undefined) {
      const { mode, forMs, maxWaitMs } = deduplication;
      const stored: Writable<StoredDeduplication> = { id: deduplicationId(task, deduplication, sent), mode };
      if (forMs !== undefined) stored.forMs = forMs;
      if (maxWaitMs !== undefined) stored.maxWaitMs = maxWaitMs;
      job.deduplication = stored;
    }
    if (this.#parts.tags.hasTerms && this.#parts.tags.notesCalls) job.isIndexed = true;
    checkCombination(job, options);
    return job;
  }

  async #storeMany(jobs: readonly NewJob[], options: BulkOptions): Promise<Map<NewJob, string>> {
    const { store, runtime } = this.#parts;
    const ids = new Map<NewJob, string>();
    const byQueue = new Map<string, NewJob[]>();
    for (const job of jobs) {
      const ofQueue = byQueue.get(job.queue);
      if (ofQueue === undefined) byQueue.set(job.queue, [job]);
      else ofQueue.push(job);
    }
    const isDebounced = jobs.some(({ deduplication }) => deduplication?.mode === 'debounce');
    const add = async (queue: string, slice: readonly NewJob[]): Promise<void> => {
      const noting = this.#noteLabels(slice);
      await noting?.issued;
      const [added] = await Promise.all([
        isDebounced
          ? inSequence(slice, (job) => addJob(store, job, timeoutOf(options)))
          : addJobs(store, queue, slice, timeoutOf(options)),
        noting?.done(),
      ]);
      for (const [index, job] of slice.entries()) ids.set(job, added[index] ?? job.id);
    };
    const slices: (() => Promise<void>)[] = [];
    for (const [queue, ofQueue] of byQueue) {
      for (let start = 0; start < ofQueue.length; start += BULK_SLICE)
        slices.push(() => add(queue, ofQueue.slice(start, start + BULK_SLICE)));
    }
    await runInOrder(slices, { overlap: !isDebounced && addsInOrder(store) });
    for (const job of jobs) if (ids.get(job) === job.id) runtime.observer?.enqueued(enqueued(job));
    return ids;
  }

  /** Stores a job. Returns its id, or that of the job that it duplicates. */
  #store(
    job: NewJob,
    input: CallInput,
    callbacks: Callbacks | undefined,
    options: SendOptions<never>,
  ): Promise<string> {
    const { store, runtime, tags } = this.#parts;
    const isPlain =
      callbacks === undefined && options.idempotencyKey === undefined && runtime.observer === undefined;
    const isNoted = tags.hasTerms || job.options.tags !== undefined;
    if (isPlain && (!isNoted || this.#isNotedByStore([job]))) return addJob(store, job, timeoutOf(options));
    return this.#storeSpecial(job, input, callbacks, options);
  }

  /** Stores a job with callbacks, an idempotency key, or labels that the store does not note. */
  async #storeSpecial(
    job: NewJob,
    input: CallInput,
    callbacks: Callbacks | undefined,
    options: SendOptions<never>,
  ): Promise<string> {
    const { store, runtime } = this.#parts;
    const { idempotencyKey: key } = options;
    if (callbacks !== undefined) {
      const run = runWithCallbacks(job, callbacks, options);
      const sent = { ...job, content: { ...job.content, input: input.sent } };
      const shape = shapeOf(input.sent === input.stored ? run : runWithCallbacks(sent, callbacks, options));
      return jobIdOf((await this.#storeRun(run, job.name, input.sent, options, shape)).id, '0');
    }
    if (key === undefined) {
      const noting = this.#noteLabels([job]);
      await noting?.issued;
      const [id] = await Promise.all([addJob(store, job, timeoutOf(options)), noting?.done()]);
      if (id === job.id) runtime.observer?.enqueued(enqueued(job));
      return id;
    }
    const keyed = keyedContent(job.name, key, input.sent);
    const added: NewJob = { ...job, id: keyed.id, content: { ...job.content, ...keyed.content } };
    const timeoutMs = timeoutOf(options);
    if (await isStored(store, added.queue, job.name, keyed, timeoutMs)) return keyed.id;
    const noting = this.#noteLabels([added]);
    await noting?.issued;
    const [id] = await Promise.all([addJob(store, added, timeoutMs), noting?.done()]);
    if (id === keyed.id) await isStored(store, added.queue, job.name, keyed, timeoutMs); // another sender may have stored it first
    runtime.observer?.enqueued(enqueued(added));
    return id;
  }

  /** Stores a run. Returns its id, and whether it is new. */
  async #storeRun(
    root: JobNode,
    name: string,
    input: unknown,
    options: SendOptions<never>,
    /** What distinguishes it from another run with the same idempotency key. */
    shape: unknown = shapeOf(root),
  ): Promise<{ id: string; isNew: boolean }> {
    const { store, runtime } = this.#parts;
    const { idempotencyKey } = options;
    const keyed =
      idempotencyKey === undefined ? undefined : keyedContent(name, idempotencyKey, [input, shape]);
    const run = keyed?.id ?? randomId();
    const timeoutMs = timeoutOf(options);
    const tree = keyed === undefined ? root : { ...root, content: { ...root.content, ...keyed.content } };
    if (keyed !== undefined && (await isStored(store, root.queue, name, keyed, timeoutMs))) {
      await addRun(store, run, tree, { timeoutMs, isRepeated: true }); // it may be stored incompletely
      return { id: run, isNew: false };
    }
    const tagged = { tags: this.#parts.tags.labelsOf(tree), place: { queue: root.queue, id: run } };
    const noting = this.#parts.tags.addAll([tagged], runtime.clock.now());
    await noting?.issued;
    await Promise.all([addRun(store, run, tree, { timeoutMs }), noting?.done()]);
    if (keyed !== undefined) await isStored(store, root.queue, name, keyed, timeoutMs);
    if (runtime.observer !== undefined) observeTree(runtime.observer, run, tree);
    return { id: run, isNew: true };
  }

  /** Returns whether the store notes calls when it adds their jobs. */
  #isNotedByStore(jobs: readonly NewJob[]): boolean {
    const { tags, runtime } = this.#parts;
    if (!tags.notesCalls) return false;
    tags.noted(jobs.length, runtime.clock.now());
    return true;
  }

  /** Writes notes of jobs before the jobs are stored, on the same connection; undefined if there is none to write. */
  #noteLabels(jobs: readonly NewJob[]): Noting | undefined {
    const { tags: index, runtime } = this.#parts;
    const isNoted = index.hasTerms || jobs.some(({ options }) => options.tags !== undefined);
    if (!isNoted || this.#isNotedByStore(jobs)) return undefined;
    const tagged = jobs.flatMap(({ name, options: { tags = [], delayMs }, queue, id }) => {
      const labels = [...tags, ...index.termsOf(name)];
      return labels.length === 0 ? [] : [{ tags: labels, place: { queue, id }, delayMs }];
    });
    return index.addAll(tagged, runtime.clock.now());
  }

  #throughMiddleware(
    { expression, own }: Calling,
    input: unknown,
    send: (own: NormalizedOptions) => Promise<{ id: string }>,
  ): Promise<{ id: string }> {
    if (this.#parts.middleware.length === 0) return send(own);
    const call = { task: expression.task, input, headers: { ...own.headers } };
    return this.#through(call, () =>
      send(Object.keys(call.headers).length > 0 ? { ...own, headers: call.headers } : own),
    );
  }

  #through(call: OutgoingCall, send: () => Promise<{ id: string }>): Promise<{ id: string }> {
    return throughMiddleware(
      this.#parts.middleware,
      (layer, next) => (layer.send === undefined ? next() : layer.send(call, next)),
      send,
    );
  }
}

/** @throws {InvalidOptionError} if options contradict each other about duplicates or the start of a call. */
function checkCombination(
  { deduplication, options: { delayMs } }: NewJob,
  options: SendOptions<never>,
): void {
  if (deduplication === undefined) return;
  const { mode } = deduplication;
  if (options.idempotencyKey !== undefined) {
    throw new InvalidOptionError(
      'idempotencyKey',
      `absent for a call with \`${mode}\``,
      options.idempotencyKey,
    );
  }
  if (mode === 'debounce' && delayMs !== undefined) {
    throw new InvalidOptionError(
      'countdown',
      'absent for a call with `debounce`, which sets the delay',
      delayMs,
    );
  }
}

async function inSequence<Item, Answer>(
  items: readonly Item[],
  ask: (item: Item) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const item of items) answers.push(await ask(item));
  return answers;
}

/** Removes the queue from options: a job stores it separately. */
function withoutQueue(options: NormalizedOptions): NormalizedOptions {
  if (options.queue === undefined) return options;
  const { queue: _, ...others } = options;
  return others;
}

function lineageOf({ parent }: SendOptions<never>): { parent?: string; root?: string } {
  return parent === undefined ? {} : { parent: parent.id, root: parent.rootId };
}

function timeoutOf({ sendTimeout }: Pick<SendOptions, 'sendTimeout'>): number | undefined {
  return sendTimeout === undefined ? undefined : positiveMs(sendTimeout, 'sendTimeout');
}

function enqueued({ id, name, queue, options, content }: NewJob) {
  const { input } = content;
  return { id, name, queue, options, ...(input !== undefined && { input }) };
}
