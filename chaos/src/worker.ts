/** A worker process, to be killed: `node worker.js '<settings as JSON>'`. */
import { createApp } from '@umbel/core';
import { type ConnectionSettings, connectionOf } from './connection.js';
import { LedgerWriter } from './ledger.js';
import { Random } from './random.js';
import { defineTasks, type TaskSettings } from './tasks.js';
import { LIMITED_QUEUE, limitedQueue, type TimedSettings } from './timed-tasks.js';
import { queuesOf } from './versions.js';

export interface WorkerSettings {
  readonly app: string;
  readonly connection: ConnectionSettings;
  /** Where the ledger is written. */
  readonly folder: string;
  readonly slot: number;
  /** Default: that of `app.worker()`. */
  readonly lockMs?: number | undefined;
  readonly slowness?: TaskSettings['slowness'];
  /** See `TaskSettings`; drawn anew by each process. */
  readonly blocking?: { readonly oneIn: number; readonly ms: number; readonly seed: string } | undefined;
  /** The version of its code. Default 1. */
  readonly version?: number | undefined;
  readonly timed?: TimedSettings | undefined;
  /** How long results and failures are kept. Default: as `createApp` does. */
  readonly ttlMs?: number | undefined;
  /** How wrong its clock is. */
  readonly skewMs?: number | undefined;
}

/** How often a worker shows that its event loop turns. */
const SIGN_OF_LIFE_MS = 1000;

/** A machine that has other work is a fault too: how long the event loop may stand still unnoticed, and how often it is looked. */
const STANDSTILL_MS = 500;
const TURN_MS = 100;

/** Told to whoever started the worker, beside 'ready' and 'alive'. */
export interface Standstill {
  readonly stoodStillMs: number;
}

const settings = JSON.parse(process.argv[2] ?? '') as WorkerSettings;
const {
  app: name,
  connection,
  folder,
  slot,
  lockMs,
  slowness,
  blocking,
  version = 1,
  timed,
  ttlMs,
} = settings;
const queues = Object.fromEntries(queuesOf(version).map((queue) => [queue, {}]));
const app = createApp({
  name,
  connection: connectionOf(connection),
  queues: { ...queues, ...(timed !== undefined && { [LIMITED_QUEUE]: limitedQueue(timed.limits) }) },
  ...(ttlMs !== undefined && { resultTtl: ttlMs, failureTtl: ttlMs }),
});
const ledger = new LedgerWriter(folder, slot, settings.skewMs);
defineTasks(app, {
  note: (entry) => ledger.note(entry),
  slowness,
  version,
  timed,
  blocking: blocking && { ...blocking, random: new Random(`${blocking.seed} ${process.pid}`) },
});
await app.worker(lockMs === undefined ? {} : { lockDuration: lockMs }).start();
process.send?.('ready');
setInterval(() => process.send?.('alive'), SIGN_OF_LIFE_MS);
let turnedAt = Date.now();
setInterval(() => {
  const forMs = Date.now() - turnedAt - TURN_MS;
  turnedAt += forMs + TURN_MS;
  if (forMs > STANDSTILL_MS) process.send?.({ stoodStillMs: forMs });
}, TURN_MS);
// Nobody is left to kill it.
process.on('disconnect', () => process.exit(0));
