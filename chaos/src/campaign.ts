/** One campaign: sends random workflows while faults strike, waits until all is quiet, and judges what is left. */
import { setMaxListeners } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '@umbel/core';
import type { StoreName, StoreReader } from './campaign-store.js';
import { connectionOf } from './connection.js';
import { Driver } from './driver.js';
import { evidenceOf } from './evidence-of.js';
import { type Strikes, strikeRepeatedly, type Targets } from './faults/fault.js';
import { History } from './history.js';
import type { Violation } from './invariants/evidence.js';
import { judge } from './invariants/index.js';
import { type LedgerEntry, readLedger } from './ledger.js';
import { ProducerPool } from './producer-pool.js';
import { Random } from './random.js';
import { SCENARIOS, type ScenarioName, type Scene } from './scenarios.js';
import type { Sender } from './sender.js';
import type { StoredState } from './stored-state.js';
import { TimedLoad } from './timed-load.js';
import { LIMITED_QUEUE } from './timed-tasks.js';
import { LAST_VERSION, queuesOf } from './versions.js';
import { WorkerPool } from './worker-pool.js';
import { Workload } from './workload.js';

export interface CampaignOptions {
  readonly store: StoreName;
  readonly scenario: ScenarioName;
  readonly seed: number;
  /** Sends so many workflows, */
  readonly workflows: number;
  /** or for so long. */
  readonly forMs: number;
  readonly workers: number;
  /** Default: that of `app.worker()`. */
  readonly lockMs: number | undefined;
  readonly haste: number;
  /** The campaign makes a folder of its own in it. */
  readonly folder: string;
  readonly report: (line: string) => void;
}

export interface CampaignReport {
  readonly scenario: ScenarioName;
  readonly seed: number;
  readonly folder: string;
  readonly workflows: number;
  readonly runs: number;
  /** Of these, those that a fault has made necessary. */
  readonly runsAgain: number;
  readonly seconds: number;
  readonly strikes: readonly Strikes[];
  readonly violations: readonly Violation[];
}

/** Of `app.worker()`. */
const DEFAULT_LOCK_MS = 30_000;
/** Beside lock and sweeps, for the work that is left when the faults end. */
const WORK_MS = 30_000;
const IN_FLIGHT = 400;
/** For faults that have not struck yet when all is sent. */
const PATIENCE_MS = 60_000;
/** After the time to live of the last result, until it is gone. */
const REMOVAL_MS = 120_000;
/** How far times of processes whose clocks are wrong may differ. */
const CLOCK_ERROR_MS = 250;

export async function runCampaign(options: CampaignOptions): Promise<CampaignReport> {
  const { scenario, seed, haste, report } = options;
  const lockMs = options.lockMs ?? DEFAULT_LOCK_MS;
  const folder = join(options.folder, `${scenario}-${seed}`);
  mkdirSync(folder, { recursive: true });
  const startedAt = Date.now();
  const scene = await SCENARIOS[scenario]({ haste, lockMs, store: options.store, folder });
  try {
    const found = await fight({ ...options, lockMs, folder }, scene);
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    report(`${scenario}: done in ${seconds} s`);
    return { scenario, seed, folder, seconds, ...found };
  } finally {
    scene.proxy?.close();
    await scene.store.stop();
  }
}

type Found = Pick<CampaignReport, 'workflows' | 'runs' | 'runsAgain' | 'strikes' | 'violations'>;

async function fight(options: CampaignOptions & { readonly lockMs: number }, scene: Scene): Promise<Found> {
  const { seed, folder, lockMs, report, scenario } = options;
  const history = new History(folder);
  const workload = new Workload({ seed, ...scene.workload });
  const name = `chaos-${scenario}-${seed}`;
  const { connection } = scene.store;
  const isDefaultLock = lockMs === DEFAULT_LOCK_MS;
  const pool = new WorkerPool({
    size: options.workers,
    settings: {
      app: name,
      folder,
      blocking: scene.blocking && { ...scene.blocking, seed: `${seed}` },
      slowness: (scene.slowness ?? 1) / options.haste,
      lockMs: isDefaultLock ? undefined : lockMs,
      timed: scene.timed,
      ttlMs: scene.ttlMs,
    },
    skewsMs: scene.skewsMs,
    connection: scene.proxy?.connection ?? connection,
    history,
    heapMb: scene.heapMb,
    silenceMs: scene.silenceMs,
  });
  const { timed, ttlMs } = scene;
  const limited = timed === undefined ? [] : [LIMITED_QUEUE];
  const queues = [...queuesOf(LAST_VERSION), ...limited];
  const app = createApp({
    name,
    connection: connectionOf(connection),
    logger: SILENT,
    queues: Object.fromEntries(queues.map((queue) => [queue, {}])),
    ...(ttlMs !== undefined && { resultTtl: ttlMs, failureTtl: ttlMs }),
  });
  const driver = new Driver(app, workload, history, timed);
  const producers =
    scene.producers === undefined
      ? undefined
      : new ProducerPool({
          size: scene.producers,
          folder,
          settings: { app: name, connection, workload: { seed, ...scene.workload } },
          history,
          acknowledged: (index, run) => driver.acknowledged(index, run),
          skewsMs: scene.skewsMs?.toReversed(),
        });
  const decided = new AbortController();
  const reader = scene.store.reader();
  try {
    await Promise.all([pool.start(), producers?.start()]);
    const end = new AbortController();
    setMaxListeners(0, end.signal); // all faults listen
    const load =
      timed === undefined || driver.limited === undefined
        ? undefined
        : new TimedLoad(app, driver.limited, timed);
    const loading = load?.send(end.signal);
    const signalling = driver.sendSignals(decided.signal);
    signalling.catch(() => {}); // awaited below
    const targets: Targets = { pool, driver, producers, history, lockMs, prefix: `umbel:{${name}}` };
    const random = new Random(seed);
    const strikes = scene.faults.map(({ name: fault }): Strikes => ({ name: fault, begun: 0, count: 0 }));
    const striking = Promise.all(
      scene.faults.map((fault, index) => {
        const own = random.for(`fault ${index}`);
        return strikeRepeatedly(fault, targets, own, end.signal, strikes[index] ?? NO_STRIKES);
      }),
    );
    // A fault that cannot strike ends the campaign.
    await Promise.race([submitAll(options, scene, driver, producers ?? driver, strikes, report), striking]);
    history.note({ event: 'all-submitted' });
    end.abort();
    await Promise.all([striking, loading]);
    history.note({ event: 'faults-ended' });
    report(`${scenario}: ${driver.open} workflows are open when the faults end`);
    const { mayReject = false, recoveries = 1 } = scene;
    const recoveryMs = recoveries * 3 * lockMs + WORK_MS;
    // A worker that starts declares its schedules once more.
    await within(recoveryMs, async () => pool.areReady);
    const schedules = await load?.end(folder, recoveryMs);
    const isDone = async () =>
      driver.open === 0 && (await reader.countOpenJobs(name, ['umbel', ...queues])) === 0;
    const isQuiet = await within(recoveryMs, isDone);
    history.note({ event: isQuiet ? 'quiet' : 'gave-up' });
    decided.abort();
    await signalling;
    if (ttlMs === undefined) await driver.readFinals();
    else await within(ttlMs + REMOVAL_MS, () => isEmpty(reader, name));
    await app.repair(); // closes the records of waits whose worker died before it did
    const store = await readUnlocked(reader, name, lockMs);
    await pool.close();
    const ledger = readLedger(folder);
    if (scene.blocking !== undefined) {
      const count = ledger.filter(({ event }) => event === 'blocked').length;
      strikes.push({ name: 'block-loop', begun: count, count });
    }
    const lines = history.lines;
    const clockErrorMs = scene.skewsMs === undefined ? 0 : CLOCK_ERROR_MS;
    const judged = { lockMs, mayReject, recoveries, clockErrorMs, limits: timed?.limits, schedules, ttlMs };
    const evidence = evidenceOf({ workload, history: lines, ledger, store, ...judged });
    const violations = [...judge(evidence), ...missingFaults(scene, driver.submitted, strikes)];
    if (violations.length > 0) writeFileSync(join(folder, 'store.json'), JSON.stringify(store, undefined, 1));
    return { workflows: driver.submitted, ...runsIn(ledger), strikes, violations };
  } finally {
    decided.abort();
    await Promise.all([pool.close(), producers?.close()]);
    await reader.close();
    await driver.close();
  }
}

/** Whether something comes to be so in a time. */
async function within(ms: number, isSo: () => Promise<boolean>): Promise<boolean> {
  const deadline = Date.now() + ms;
  while (!(await isSo())) {
    if (Date.now() > deadline) return false;
    await sleep(250);
  }
  return true;
}

/** Whether no job is left whose time to live has begun. */
async function isEmpty(reader: StoreReader, name: string): Promise<boolean> {
  const { jobs } = await reader.state(name);
  return jobs.every(({ state, queue }) => state === 'delayed' || queue === 'umbel.tags');
}

/** How often handlers ran, and how often they had to run again. */
function runsIn(ledger: readonly LedgerEntry[]): Pick<CampaignReport, 'runs' | 'runsAgain'> {
  const starts = ledger.filter(({ event }) => event === 'start');
  const once = new Set(starts.map(({ job, attempt, value }) => JSON.stringify([job, attempt, value])));
  return { runs: starts.length, runsAgain: starts.length - once.size };
}

/** What is stored, once the locks have run out that a worker has taken too late. */
async function readUnlocked(reader: StoreReader, name: string, lockMs: number): Promise<StoredState> {
  const deadline = Date.now() + lockMs + 1000;
  for (;;) {
    const store = await reader.state(name);
    if (store.locks.length === 0 || Date.now() > deadline) return store;
    await sleep(500);
  }
}

/** Keeps sending, no faster than the faults strike. */
async function submitAll(
  { workflows, forMs, scenario }: CampaignOptions,
  { workflowsPerStrike }: Scene,
  driver: Driver,
  sender: Sender,
  strikes: readonly Strikes[],
  report: (line: string) => void,
): Promise<void> {
  const [pace] = strikes;
  const deadline = Date.now() + forMs;
  let reportedAt = Date.now();
  for (let index = 0; index < workflows && Date.now() < deadline; index += 1) {
    while (
      (driver.open >= IN_FLIGHT || index >= ((pace?.begun ?? 0) + 1) * workflowsPerStrike) &&
      Date.now() < deadline
    ) {
      await sleep(20);
    }
    driver.start(index, sender);
    if (Date.now() - reportedAt > 10_000) {
      reportedAt = Date.now();
      report(`${scenario}: ${index + 1} workflows sent, ${driver.open} open, ${pace?.count} × ${pace?.name}`);
    }
  }
  // The last ones are under way when the last faults strike; a short campaign waits for the faults that are rare.
  const patience = Date.now() + PATIENCE_MS;
  const isShort = () =>
    (pace?.begun ?? 0) * workflowsPerStrike < driver.submitted || strikes.some(({ count }) => count === 0);
  while (isShort() && Date.now() < patience) await sleep(20);
}

/** A campaign in which the faults did not strike shows nothing. */
function missingFaults(
  { workflowsPerStrike }: Scene,
  submitted: number,
  strikes: readonly Strikes[],
): Violation[] {
  return strikes.flatMap(({ name, count }, index) => {
    const least = index === 0 ? Math.floor((submitted / workflowsPerStrike) * 0.9) : 1;
    if (count >= least) return [];
    return [{ invariant: 'faults', message: `${name} struck ${count} times, expected at least ${least}` }];
  });
}

/** Connection errors are what a campaign is made of. */
const SILENT = { info() {}, warn() {}, error() {} };

const NO_STRIKES: Strikes = { name: '', begun: 0, count: 0 };
