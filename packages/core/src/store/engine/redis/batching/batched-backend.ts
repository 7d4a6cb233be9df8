/**
 * This module makes a Redis backend share commands: the calls of BullMQ's scripts that are made in one turn of the event
 * loop on one connection, the jobs of `addJobs`, and those of `addFlow`. BullMQ's own methods build the calls and read the
 * answers, so codes, errors and stored form are BullMQ's.
 */
import { type IQueueBackend, type MinimalJob, RedisQueueBackend } from 'bullmq';
import { claimDetailsOf } from '../../../claim-details.js';
import { isNotedCall, noteCalls } from '../tags.js';
import { type BatchingClient, type ClaimListener, CommandBatcher } from './command-batcher.js';
import type { ScriptArgument, ScriptCall } from './encode-calls.js';

/** Batchers by client, then by prefix. */
const batchers = new WeakMap<object, Map<string, CommandBatcher>>();

/**
 * Makes the backend send calls in batches. Does nothing for stores other than Redis, for Dragonfly, whose scripts must
 * declare all their keys, and for clients other than ioredis, whose scripts are unknown.
 */
export function batchesCommands(backend: IQueueBackend): void {
  if (!(backend instanceof RedisQueueBackend)) return;
  const { execCommand, addJob, addJobs, addFlow, close } = backend;
  let used: CommandBatcher | undefined;
  const claimDetails = claimDetailsOf(backend);
  const onClaim: ClaimListener = (id, details) => {
    if (details !== undefined) claimDetails.set(id, details);
    else if (claimDetails.size > 0) claimDetails.delete(id); // of an earlier claim that no worker read
  };
  backend.execCommand = (client, command, args: ScriptArgument[]) => {
    if (client instanceof CollectedCalls) return client.add(command, args);
    used = batcherOf(backend, client);
    if (used?.canBatch(command) === true) return used.call(command, args, onClaim);
    used?.flush(); // keeps the order of calls
    return execCommand.call(backend, client, command, args);
  };
  /** Returns the backend whose transactions are sent by `run`, or the backend itself if it cannot share commands. */
  const sendingBy = async (run: (batcher: CommandBatcher) => RunCalls) => {
    const batcher = batcherOf(backend, await backend.client);
    if (batcher?.canBatchAll !== true) return backend;
    used = batcher;
    return collecting(backend, batcher, run(batcher));
  };
  // A batch also notes calls. Where there is none, they are noted first.
  backend.addJob = async (job, jobId, link) => {
    if (isNotedCall(job.data) && batcherOf(backend, await backend.client)?.canBatchAll !== true)
      await noteCalls(backend, [{ job, jobId }]);
    return addJob.call(backend, job, jobId, link);
  };
  backend.addJobs = async (entries) => {
    const sending = await sendingBy((batcher) => (calls) => batcher.runAll(calls));
    if (sending === backend) await noteCalls(backend, entries);
    return addJobs.call(sending, entries);
  };
  backend.addFlow = async (entries) =>
    addFlow.call(await sendingBy((batcher) => (calls) => batcher.runTogether(calls)), entries);
  reusesPackedOptions(internalsOf(backend));
  backend.close = (force) => {
    used?.flush();
    return close.call(backend, force);
  };
}

function batcherOf(backend: RedisQueueBackend, client: object): CommandBatcher | undefined {
  let byPrefix = batchers.get(client);
  if (byPrefix === undefined) {
    byPrefix = new Map();
    batchers.set(client, byPrefix);
  }
  const { redisPrefix, version } = internalsOf(backend);
  let batcher = byPrefix.get(redisPrefix);
  if (batcher === undefined && canBatch(backend, client)) {
    batcher = new CommandBatcher(client, version);
    byPrefix.set(redisPrefix, batcher);
  }
  return batcher;
}

/** Fields of BullMQ's backend that its types hide from other classes. */
interface Internals {
  readonly redisPrefix: string;
  /** Version of BullMQ in the names of its scripts. */
  readonly version: string;
  /** BullMQ's methods read their client here. */
  readonly queue: {
    readonly toKey: (id: string) => string;
    readonly closing: unknown;
    /** Those of the class that opened the backend; only a worker has a concurrency. */
    readonly opts: { readonly concurrency?: number };
  };
  moveToFinishedArgs(...args: CommitArguments): ScriptArgument[];
}

type CommitArguments = [
  job: MinimalJob,
  value: string | undefined,
  field: string,
  keep: unknown,
  state: string,
  token: string,
  now: number,
  fetchesNext?: boolean,
  fields?: object,
];

function internalsOf(backend: RedisQueueBackend): Internals {
  return backend as unknown as Internals;
}

function canBatch(backend: RedisQueueBackend, client: object): client is BatchingClient {
  return backend.databaseType !== 'dragonfly' && 'scriptsSet' in client && !('isPipeline' in client);
}

/** Takes the place of a transaction of BullMQ, and notes the calls that BullMQ adds to it. */
class CollectedCalls {
  readonly #batcher: CommandBatcher;
  readonly #run: RunCalls;
  readonly #calls: ScriptCall[] = [];

  constructor(batcher: CommandBatcher, run: RunCalls) {
    this.#batcher = batcher;
    this.#run = run;
  }

  add(command: string, args: readonly ScriptArgument[]): void {
    this.#calls.push(this.#batcher.toCall(command, args));
  }

  /** Returns the error or the answer of each call, in the form of BullMQ's transactions. */
  async exec(): Promise<[error: Error | null, answer: unknown][]> {
    const answers = await this.#run(this.#calls);
    return answers.map((answer) => (answer instanceof Error ? [answer, undefined] : [null, answer]));
  }
}

type RunCalls = (calls: readonly ScriptCall[]) => Promise<unknown[]>;

/** Returns the backend with a client whose transactions are collected and run by `run`. */
function collecting(backend: RedisQueueBackend, batcher: CommandBatcher, run: RunCalls): RedisQueueBackend {
  const transaction = () => new CollectedCalls(batcher, run);
  const client = Promise.resolve({ multi: transaction, pipeline: transaction });
  const collected = Object.create(internalsOf(backend).queue, { client: { value: client } });
  return Object.create(backend, { queue: { value: collected } }) as RedisQueueBackend;
}

/** Indexes of the arguments that differ between two commits of one worker for jobs with the same options. */
const COMMIT = { jobKey: 11, jobId: 14, now: 15, value: 17, fetchesNext: 19 } as const;

/** Arguments of the last commit with a token, and what they were made of. */
interface CommitTemplate {
  readonly args: readonly ScriptArgument[];
  readonly keep: unknown;
  readonly state: string;
  readonly opts: MinimalJob['opts'];
}

/**
 * Keeps the packed options of commits: packing them costs more than the rest of a commit, and a worker reuses its tokens for
 * one job after the other. It has as many tokens as it runs jobs at the same time, and gets others after it was idle.
 */
function reusesPackedOptions(backend: Internals): void {
  const { moveToFinishedArgs } = backend;
  const templates = new Map<string, CommitTemplate>();
  backend.moveToFinishedArgs = (...all) => {
    const [job, value, , keep, state, token, now, fetchesNext = true, fields] = all;
    if (fields !== undefined) return moveToFinishedArgs.apply(backend, all);
    const template = templates.get(token);
    if (template === undefined || !isSameCommit(template, job, keep, state)) {
      const args = moveToFinishedArgs.apply(backend, all);
      const [oldest] = templates.keys();
      const { concurrency = 1 } = backend.queue.opts;
      if (oldest !== undefined && templates.size >= concurrency && template === undefined)
        templates.delete(oldest);
      templates.set(token, { args: args.map(withOwnMemory), keep, state, opts: job.opts });
      return args;
    }
    const args = [...template.args];
    args[COMMIT.jobKey] = backend.queue.toKey(job.id ?? '');
    args[COMMIT.jobId] = job.id;
    args[COMMIT.now] = now;
    args[COMMIT.value] = value ?? 'null';
    args[COMMIT.fetchesNext] = !fetchesNext || backend.queue.closing !== undefined ? 0 : 1;
    return args;
  };
}

/** Packed options are a small part of a block of 8 KB or more, which would live as long as they do. */
function withOwnMemory(argument: ScriptArgument): ScriptArgument {
  if (!Buffer.isBuffer(argument) || argument.buffer.byteLength === argument.length) return argument;
  const own = Buffer.allocUnsafeSlow(argument.length);
  argument.copy(own);
  return own;
}

function isSameCommit(template: CommitTemplate, { opts }: MinimalJob, keep: unknown, state: string): boolean {
  const before = template.opts;
  return (
    template.keep === keep &&
    template.state === state &&
    before.attempts === opts.attempts &&
    before.failParentOnFailure === opts.failParentOnFailure &&
    before.continueParentOnFailure === opts.continueParentOnFailure &&
    before.ignoreDependencyOnFailure === opts.ignoreDependencyOnFailure &&
    before.removeDependencyOnFailure === opts.removeDependencyOnFailure
  );
}
