/** This module looks for problems of an app and its store, for `app.diagnose` and `umbel doctor`. It changes nothing. */

import { isUmbelError, type ValidationError, type ValidationIssue } from '../base/errors.js';
import { checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import type { InputChecks } from '../client/input-checks.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import type { EngineKind } from '../store/engine/engine.js';
import { queuedJobs } from '../store/queues.js';
import { NOTHING_REPAIRED, type RepairCounts, repairAll } from '../store/repair.js';
import type { Store } from '../store/store.js';
import { EXACT_MS } from '../store/store-time.js';
import type { StoredJob } from '../store/stored-job.js';
import type { Registry } from '../task/definition.js';

/** Options of `app.diagnose()`. */
export interface DiagnosisOptions {
  /** Number of jobs that have not started to check in each queue, 0 to 10,000. Default 100. */
  jobs?: number | undefined;
}

/** Facts about the server of a store. Facts that it does not report are absent. */
export interface StoreReport {
  /** `other`: a backend that the user has created. */
  readonly kind: EngineKind;
  readonly version?: string;
  /** The policy for a full memory. Every policy except `noeviction` loses jobs. */
  readonly evictionPolicy?: string;
  /** Whether it writes every change to an append-only file. */
  readonly hasAppendOnlyFile?: boolean;
  /** Whether it waits for its disk before it confirms a change. Redis does not report it. */
  readonly isDurable?: boolean;
  /** Whether it removes dead rows by itself. Only PostgreSQL reports it, and the next two. */
  readonly hasAutovacuum?: boolean;
  /** Connections of all clients in use, and the maximum. */
  readonly connections?: { readonly used: number; readonly max: number };
  /** How long the oldest transaction of another client has been open. Absent if there is none. */
  readonly oldestTransactionMs?: number;
  readonly isCluster: boolean;
  /** How far the clock of this machine is ahead of the store's, in milliseconds. Absent while the store answers slowly. */
  readonly clockOffsetMs?: number;
}

/** A job that has not started, and would fail if it did. */
export interface QueuedProblem {
  readonly id: string;
  readonly task: string;
  readonly queue: string;
  /** This process does not know the task, the input does not fit its schema, or Umbel did not send the job. */
  readonly problem: 'unknown-task' | 'invalid-input' | 'foreign';
  /** The issues of an invalid input. */
  readonly issues?: readonly ValidationIssue[];
}

/** The result of `app.diagnose()`. */
export interface Diagnosis {
  /** Undefined for a store without such facts, for example in memory. */
  readonly store: StoreReport | undefined;
  /** The jobs that `app.repair()` would repair. */
  readonly stuck: RepairCounts;
  readonly queued: {
    /** Number of jobs that were checked. */
    readonly checked: number;
    readonly problems: readonly QueuedProblem[];
  };
}

export interface DiagnosisDependencies {
  readonly store: Store;
  readonly queues: readonly string[];
  readonly registry: Registry;
  readonly checks: InputChecks;
}

const OPTIONS: OptionNames<DiagnosisOptions> = { jobs: true };

/** Returns a diagnosis. @throws {InvalidOptionError} if an option is invalid. */
export async function diagnose(
  dependencies: DiagnosisDependencies,
  options: DiagnosisOptions,
): Promise<Diagnosis> {
  const { jobs = 100 } = checkOptions(options, OPTIONS);
  const limit = checkInteger('jobs', jobs, 0, 10_000);
  const store = await storeReport(dependencies.store);
  const stuck = await repairAll(dependencies.store, dependencies.queues, { isDryRun: true });
  const problems: QueuedProblem[] = [];
  let checked = 0;
  for (const queue of limit === 0 ? [] : dependencies.queues) {
    if (queue === INTERNAL_QUEUE) continue;
    for (const job of await queuedJobs(dependencies.store, queue, limit)) {
      checked += 1;
      const problem = await problemOf(dependencies, job);
      if (problem !== undefined) problems.push({ id: job.id, task: job.name, queue, ...problem });
    }
  }
  return { store, stuck: { ...NOTHING_REPAIRED, ...stuck }, queued: { checked, problems } };
}

async function storeReport(store: Store): Promise<StoreReport | undefined> {
  const facts = await store.facts();
  if (facts === undefined) return undefined;
  const { kind, version, evictionPolicy, hasAppendOnlyFile, isDurable, isCluster, clock } = facts;
  const { hasAutovacuum, connections, oldestTransactionMs } = facts;
  const isExact = clock !== undefined && clock.errorMs <= EXACT_MS;
  return {
    kind,
    ...(version !== undefined && { version }),
    ...(evictionPolicy !== undefined && { evictionPolicy }),
    ...(hasAppendOnlyFile !== undefined && { hasAppendOnlyFile }),
    ...(isDurable !== undefined && { isDurable }),
    ...(hasAutovacuum !== undefined && { hasAutovacuum }),
    ...(connections !== undefined && { connections }),
    ...(oldestTransactionMs !== undefined && { oldestTransactionMs }),
    isCluster,
    ...(isExact && { clockOffsetMs: Math.round(clock.offsetMs) }),
  };
}

/** Returns the problem of a job. For a step, whose input is incomplete, it only checks whether the task is known. */
async function problemOf(
  { registry, checks }: DiagnosisDependencies,
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
