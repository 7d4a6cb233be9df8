/** What may be wrong with an app and its store, looked at without changing anything. */

import { isUmbelError, type ValidationError, type ValidationIssue } from '../base/errors.js';
import { checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import type { InputChecks } from '../client/input-checks.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { queuedJobs } from '../store/queues.js';
import { NOTHING_REPAIRED, type RepairCounts, repairAll } from '../store/repair.js';
import type { Store } from '../store/store.js';
import { EXACT_MS } from '../store/store-time.js';
import type { StoredJob } from '../store/stored-job.js';
import type { Registry } from '../task/definition.js';

export interface DiagnosisOptions {
  /** So many jobs that have not started are looked at in each queue, 0 to 10,000. Default 100. */
  jobs?: number | undefined;
}

/** What a Redis tells of itself; what it does not tell is absent. */
export interface StoreReport {
  readonly version?: string;
  /** What it does when its memory is full: anything but `noeviction` loses jobs. */
  readonly evictionPolicy?: string;
  /** Whether it logs on disk all that it takes. */
  readonly hasAppendOnlyFile?: boolean;
  readonly isCluster: boolean;
  /** How far the clock of this machine is ahead of its own, in milliseconds. Absent while it answers slowly. */
  readonly clockOffsetMs?: number;
}

/** A job that has not started, and would fail once it does. */
export interface QueuedProblem {
  readonly id: string;
  readonly task: string;
  readonly queue: string;
  /** This process knows no such task; its input does not fit the task's schema; or it was not sent by Umbel. */
  readonly problem: 'unknown-task' | 'invalid-input' | 'foreign';
  /** Of an input that does not fit. */
  readonly issues?: readonly ValidationIssue[];
}

export interface Diagnosis {
  /** Undefined for a store that tells nothing, such as one in memory. */
  readonly store: StoreReport | undefined;
  /** What `app.repair()` would do. */
  readonly stuck: RepairCounts;
  readonly queued: {
    /** Jobs that were looked at. */
    readonly checked: number;
    readonly problems: readonly QueuedProblem[];
  };
}

export interface DiagnosisParts {
  readonly store: Store;
  readonly queues: readonly string[];
  readonly registry: Registry;
  readonly checks: InputChecks;
}

const OPTIONS: OptionNames<DiagnosisOptions> = { jobs: true };

/** @throws {InvalidOptionError} if an option has a value it cannot have. */
export async function diagnose(parts: DiagnosisParts, options: DiagnosisOptions): Promise<Diagnosis> {
  const { jobs = 100 } = checkOptions(options, OPTIONS);
  const limit = checkInteger('jobs', jobs, 0, 10_000);
  const store = await storeReport(parts.store);
  const stuck = await repairAll(parts.store, parts.queues, { isDryRun: true });
  const problems: QueuedProblem[] = [];
  let checked = 0;
  for (const queue of limit === 0 ? [] : parts.queues) {
    if (queue === INTERNAL_QUEUE) continue;
    for (const job of await queuedJobs(parts.store, queue, limit)) {
      checked += 1;
      const problem = await problemOf(parts, job);
      if (problem !== undefined) problems.push({ id: job.id, task: job.name, queue, ...problem });
    }
  }
  return { store, stuck: { ...NOTHING_REPAIRED, ...stuck }, queued: { checked, problems } };
}

async function storeReport(store: Store): Promise<StoreReport | undefined> {
  const facts = await store.facts();
  if (facts === undefined) return undefined;
  const { version, evictionPolicy, hasAppendOnlyFile, isCluster, clock } = facts;
  const isExact = clock !== undefined && clock.errorMs <= EXACT_MS;
  return {
    ...(version !== undefined && { version }),
    ...(evictionPolicy !== undefined && { evictionPolicy }),
    ...(hasAppendOnlyFile !== undefined && { hasAppendOnlyFile }),
    isCluster,
    ...(isExact && { clockOffsetMs: Math.round(clock.offsetMs) }),
  };
}

/** What is known before it starts: of a step that takes what others give, only whether its task is known. */
async function problemOf(
  { registry, checks }: DiagnosisParts,
  { name, envelope }: StoredJob,
): Promise<Pick<QueuedProblem, 'problem' | 'issues'> | undefined> {
  if (envelope === undefined) return { problem: 'foreign' };
  if (registry.get(name) === undefined) return { problem: 'unknown-task' };
  if (envelope.after !== undefined || envelope.items !== undefined) return undefined;
  try {
    await checks.check(name, envelope.input);
    return undefined;
  } catch (error) {
    if (!isUmbelError(error, 'VALIDATION')) throw error;
    return { problem: 'invalid-input', issues: (error as ValidationError).issues };
  }
}
