/**
 * This module collects calls of BullMQ's scripts on one connection until the end of a turn of the event loop, and sends
 * them as one command for each bounded batch. A call that is alone is sent as BullMQ sends it, unless the batch script does
 * more than that.
 */
import type { RedisClient } from 'bullmq';
import { clearTimeout, setImmediate, setTimeout } from '../../../../base/real-timers.js';
import type { ClaimDetails } from '../../../claim-details.js';
import { isNotedCall } from '../tags.js';
import { decodeAnswers, encodeCalls, type ScriptArgument, type ScriptCall } from './encode-calls.js';
import { addsCalls, batchScript, claimsJobs, type ScriptText, scriptPartsOf } from './script-text.js';

/**
 * Scripts whose calls may share a command, with their cost. 64 calls at cost 1 occupy Redis for about a millisecond. A job
 * that ends costs more, because the command also fetches the next job.
 */
const COSTS: Readonly<Record<string, number>> = {
  addDelayedJob: 1,
  addParentJob: 1,
  addPrioritizedJob: 1,
  addStandardJob: 1,
  moveToActive: 4,
  moveToDelayed: 4,
  moveToFinished: 4,
  moveToWaitingChildren: 2,
  releaseParentIfNoPendingDependencies: 2,
  retryJob: 2,
};

/** Scripts of the transactions that add jobs. */
const ADDING = [
  'addDelayedJob',
  'addParentJob',
  'addPrioritizedJob',
  'addStandardJob',
  'releaseParentIfNoPendingDependencies',
];

/** Maximum cost of a batch. */
const MAX_COST = 64;
/** Maximum size of the arguments of a batch, in characters or bytes; a longer call is sent alone. */
const MAX_SIZE = 512 * 1024;
/** Longest time for which calls are held, in milliseconds: a store may be far away. */
const HELD_MS = 1;
/** Shorter arguments do not count. */
const COUNTED_SIZE = 256;

/** The part of ioredis that batches need. Its scripts are not in BullMQ's types. */
export type BatchingClient = RedisClient & { readonly scriptsSet: Readonly<Record<string, ScriptText>> };

/** Called with the id of a claimed job and what was told about it, if anything was. */
export type ClaimListener = (id: string, details: ClaimDetails | undefined) => void;

interface PendingCall extends ScriptCall {
  readonly onClaim: ClaimListener | undefined;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Calls that one command runs. */
interface PendingFlow {
  readonly calls: readonly ScriptCall[];
  readonly resolve: (answers: unknown[]) => void;
  readonly reject: (error: unknown) => void;
}

/** A script for batches that is defined on the client. */
interface DefinedScript {
  readonly name: string;
  /** The texts that it was made of. */
  readonly sources: readonly string[];
}

/** Runs calls of scripts on one client, for the queues of one prefix: those are on one node of a cluster. */
export class CommandBatcher {
  readonly #client: BatchingClient;
  readonly #version: string;
  readonly #defined = new Map<string, DefinedScript>();
  /** Number of keys of each script that can be batched; undefined for others. */
  readonly #keyCounts = new Map<string, number | undefined>();
  #pending: PendingCall[] = [];
  #pendingFlows: PendingFlow[] = [];
  /** Number of commands of `call` that have no answer yet. */
  #underWay = 0;
  /** Batches that wait for the first answer, and the timer that ends their wait. */
  #held: PendingCall[][] = [];
  #holding: NodeJS.Timeout | undefined;

  /** @param version Version of BullMQ, which is a part of the names of its scripts. */
  constructor(client: BatchingClient, version: string) {
    this.#client = client;
    this.#version = version;
  }

  /** Returns whether calls of a script can be batched: its text has the shape that `batchScript` understands. */
  canBatch(command: string): boolean {
    return this.#keyCountOf(command) !== undefined;
  }

  #keyCountOf(command: string): number | undefined {
    const known = this.#keyCounts.get(command);
    if (known !== undefined || this.#keyCounts.has(command)) return known;
    const script = Object.hasOwn(COSTS, command) ? this.#scriptOf(command) : undefined;
    const isKnown = script !== undefined && scriptPartsOf(script.lua) !== undefined;
    this.#keyCounts.set(command, isKnown ? script.numberOfKeys : undefined);
    return this.#keyCounts.get(command);
  }

  /** Whether every script that adds jobs can be batched. */
  get canBatchAll(): boolean {
    return ADDING.every((command) => this.canBatch(command));
  }

  /** Returns the answer to a call, which is sent at the end of this turn. `canBatch` is true for the script. */
  call(command: string, args: readonly ScriptArgument[], onClaim?: ClaimListener): Promise<unknown> {
    if (this.#pending.length === 0) setImmediate(() => this.#flushInTurns());
    const keyCount = this.#keyCountOf(command) ?? 0;
    return new Promise((resolve, reject) => {
      this.#pending.push({ command, args, keyCount, onClaim, resolve, reject });
    });
  }

  /** Returns a call in the form that `runTogether` accepts. */
  toCall(command: string, args: readonly ScriptArgument[]): ScriptCall {
    return { command, args, keyCount: this.#keyCountOf(command) ?? 0 };
  }

  /** Sends what is pending. */
  flush(): void {
    this.#flushFlows();
    this.#release();
    const calls = this.#pending;
    if (calls.length === 0) return;
    this.#pending = [];
    this.#send(batchesOf(calls));
  }

  /**
   * Sends what is pending. Of more calls than one command runs, it holds the second half until something is answered, if
   * nothing is under way: Redis answers commands together that it has read together, so with all sent at once this process
   * and Redis would work in turns, each while the other one waits.
   */
  #flushInTurns(): void {
    if (this.#underWay > 0 || this.#held.length > 0) {
      this.flush();
      return;
    }
    const calls = this.#pending;
    const cost = costOfAll(calls);
    if (cost <= MAX_COST) {
      this.flush();
      return;
    }
    this.#pending = [];
    const isUniform = cost === calls.length; // new jobs; batches of the same size then
    const batches = batchesOf(calls, isUniform ? Math.ceil(cost / Math.ceil(cost / MAX_COST)) : MAX_COST);
    this.#held = batches.splice(Math.ceil(batches.length / 2));
    this.#send(batches);
    this.#holding = setTimeout(() => this.#release(), HELD_MS);
  }

  #send(batches: readonly PendingCall[][]): void {
    for (const batch of batches) void this.#settle(batch);
  }

  /** Sends what is held. */
  #release(): void {
    const batches = this.#held;
    if (batches.length === 0) return;
    this.#held = [];
    clearTimeout(this.#holding);
    this.#send(batches);
  }

  /**
   * Runs calls in their order, in as few commands as their bounds allow. Returns an error in place of the answer of each
   * call that failed.
   */
  async runAll(calls: readonly ScriptCall[]): Promise<unknown[]> {
    const answers = await Promise.all(
      batchesOf(calls).map((batch) => this.#run(batch).catch((error: unknown) => batch.map(() => error))),
    );
    return answers.flat();
  }

  /**
   * Runs calls in one atomic command, which they may share with others of this turn. Returns an error in place of the answer
   * of each call that failed.
   */
  runTogether(calls: readonly ScriptCall[]): Promise<unknown[]> {
    const batches = batchesOf(calls);
    if (batches.length > 1) return this.#transaction(batches);
    if (this.#pendingFlows.length === 0) setImmediate(() => this.#flushFlows());
    return new Promise((resolve, reject) => {
      this.#pendingFlows.push({ calls, resolve, reject });
    });
  }

  #flushFlows(): void {
    const flows = this.#pendingFlows;
    this.#pendingFlows = [];
    for (const some of inBatches(flows, costOfFlow, sizeOfFlow, MAX_COST)) void this.#settleFlows(some);
  }

  async #settleFlows(flows: readonly PendingFlow[]): Promise<void> {
    try {
      const answers = await this.#run(flows.flatMap(({ calls }) => calls));
      for (const { calls, resolve } of flows) resolve(answers.splice(0, calls.length));
    } catch (error) {
      for (const { reject } of flows) reject(error);
    }
  }

  async #transaction(batches: readonly ScriptCall[][]): Promise<unknown[]> {
    const scripts = batches.map((batch) => this.#scriptFor(batch)); // a transaction has only scripts defined before it
    const transaction = this.#client.multi();
    for (const [index, batch] of batches.entries())
      transaction.runCommand(scripts[index] ?? '', this.#encode(batch));
    const answers = (await transaction.exec()) as [Error | null, unknown][];
    return answers.flatMap(([error, some], index) =>
      error === null ? decodeAnswers(some) : (batches[index] ?? []).map(() => error),
    );
  }

  async #settle(calls: readonly PendingCall[]): Promise<void> {
    let answers: readonly unknown[];
    this.#underWay += 1;
    try {
      answers = await this.#run(calls);
    } catch (error) {
      for (const { reject } of calls) reject(error);
      return;
    } finally {
      this.#underWay -= 1;
      this.#release();
    }
    for (let index = 0; index < calls.length; index += 1) {
      const [answer, call] = [answers[index], calls[index]];
      if (Array.isArray(answer) && call?.onClaim !== undefined) tellDetails(answer, call.onClaim);
      if (answer instanceof Error) call?.reject(answer);
      else call?.resolve(answer);
    }
  }

  /** Runs calls with one command. Rejects if none of them was run, or if the connection was lost. */
  async #run(calls: readonly ScriptCall[]): Promise<unknown[]> {
    const [first] = calls;
    if (first === undefined) return [];
    if (calls.length === 1 && !claimsJobs(first.command) && !notesJob(first))
      return [await this.#client.runCommand(`${first.command}:${this.#version}`, [...first.args])];
    return decodeAnswers(await this.#client.runCommand(this.#scriptFor(calls), this.#encode(calls)));
  }

  #encode(calls: readonly ScriptCall[]): unknown[] {
    const commands = commandsOf(calls);
    const [key] = calls[0]?.args ?? [];
    return [key, ...encodeCalls(calls, (command) => commands.indexOf(command) + 1)];
  }

  #scriptOf(command: string): ScriptText | undefined {
    return this.#client.scriptsSet[`${command}:${this.#version}`];
  }

  /** Returns the name of the script for a batch, and defines it at first use and when BullMQ's scripts were redefined. */
  #scriptFor(calls: readonly ScriptCall[]): string {
    const commands = commandsOf(calls);
    const name = `umbel:batch:${commands.join('+')}`;
    const scripts = commands.map((command) => this.#scriptOf(command) as ScriptText);
    const defined = this.#defined.get(name);
    if (defined?.sources.every((lua, index) => scripts[index]?.lua === lua)) return defined.name;
    const named = scripts.map(({ lua }, index) => ({ command: commands[index] ?? '', lua }));
    const lua = batchScript(named) as string; // `canBatch` was true for each
    this.#client.defineCommand(name, { numberOfKeys: 1, lua });
    this.#defined.set(name, { name, sources: scripts.map((script) => script.lua) });
    return name;
  }
}

/** Returns whether the batch script does more than the script of the call: it notes the job. */
function notesJob({ command, args, keyCount }: ScriptCall): boolean {
  return addsCalls(command) && isNotedCall(args[keyCount + 1]);
}

/** Tells what the batch script adds to the answer of a claimed job (see `batchScript`). */
function tellDetails([, id, , , results, last]: unknown[], onClaim: ClaimListener): void {
  const childResults = Array.isArray(results) ? (results as string[]) : undefined;
  const noneFailed = childResults !== undefined && childResults.length % 2 === 1;
  if (noneFailed) childResults.pop();
  const isLast = last !== undefined;
  const details = { childResults, ...(noneFailed && { noneFailed }), isLast };
  onClaim(String(id), isLast || childResults !== undefined ? details : undefined);
}

/** Returns the scripts that calls need, in the order of their names. */
function commandsOf(calls: readonly ScriptCall[]): string[] {
  const first = calls[0]?.command ?? '';
  if (calls.every(({ command }) => command === first)) return [first];
  const names = new Set<string>();
  for (const { command } of calls) names.add(command);
  return [...names].sort();
}

/** Returns the calls in bounded batches, in their order. */
function batchesOf<Call extends ScriptCall>(calls: readonly Call[], maxCost = MAX_COST): Call[][] {
  return inBatches(calls, costOf, sizeOf, maxCost);
}

function inBatches<Item>(
  items: readonly Item[],
  costOfItem: (item: Item) => number,
  sizeOfItem: (item: Item) => number,
  maxCost: number,
): Item[][] {
  const batches: Item[][] = [];
  let batch: Item[] = [];
  let [cost, size] = [0, 0];
  for (const item of items) {
    const itemCost = costOfItem(item);
    const itemSize = sizeOfItem(item);
    if (batch.length > 0 && (cost + itemCost > maxCost || size + itemSize > MAX_SIZE)) {
      batches.push(batch);
      batch = [];
      [cost, size] = [0, 0];
    }
    batch.push(item);
    cost += itemCost;
    size += itemSize;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

function costOf({ command }: ScriptCall): number {
  return COSTS[command] ?? MAX_COST;
}

function costOfAll(calls: readonly ScriptCall[]): number {
  return calls.reduce((sum, call) => sum + costOf(call), 0);
}

function costOfFlow({ calls }: PendingFlow): number {
  return costOfAll(calls);
}

function sizeOfFlow({ calls }: PendingFlow): number {
  return calls.reduce((sum, call) => sum + sizeOf(call), 0);
}

function sizeOf({ args }: ScriptCall): number {
  let size = 0;
  for (const value of args) {
    if (typeof value !== 'string' && !(value instanceof Buffer)) continue;
    if (value.length > COUNTED_SIZE) size += value.length;
  }
  return size;
}
