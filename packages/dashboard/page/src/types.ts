/** The answers of the server: core's types after JSON, where a date is a text. */
import type {
  ActiveAttempt,
  ConditionCounts,
  ErrorGroups as CoreErrorGroups,
  HistoryAnswer as CoreHistory,
  HistoryPoint as CoreHistoryPoint,
  ListedJob as CoreJob,
  QueueInfo as CoreQueue,
  WaitReason as CoreReason,
  ListedRun as CoreRun,
  RunFacts as CoreRunFacts,
  TaskHistory as CoreTaskHistory,
  DeadLetter,
  HistoryNumbers,
  JobCounts,
  JobFacts,
  OpenWait,
  RunGraphJson,
  ScheduleInfo,
  WorkerInfo,
  WorkerStats,
} from '@umbel/core';

/** A type after JSON. */
type Plain<Value> = Value extends Date
  ? string
  : Value extends readonly (infer Item)[]
    ? readonly Plain<Item>[]
    : Value extends object
      ? { readonly [Key in keyof Value]: Plain<Value[Key]> }
      : Value;

export type { ConditionCounts, JobCounts };
export type Job = Plain<CoreJob>;
export type Run = Plain<CoreRun>;
export type Queue = Plain<CoreQueue>;
export type Schedule = Plain<ScheduleInfo>;
export type Wait = Plain<OpenWait>;
export type Worker = Plain<WorkerInfo>;
export type Stats = Plain<WorkerStats>;
export type Attempt = Plain<ActiveAttempt>;
export type Reason = Plain<CoreReason>;
export type Graph = RunGraphJson;
export type Node = RunGraphJson['nodes'][number];

/** An operation on all jobs of a search. */
export interface BulkOperation {
  readonly id: string;
  readonly action: string;
  readonly q: string;
  readonly user: string;
  readonly state: 'collecting' | 'running' | 'done' | 'aborted' | 'failed';
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly total: number;
  readonly changed: number;
  readonly skipped: number;
  readonly reasons: readonly string[];
  readonly isCut: boolean;
  readonly error?: string;
}

export interface Value {
  readonly json: string;
  readonly isCut: boolean;
  readonly isMasked: boolean;
}

export type JobDetails = Omit<Plain<JobFacts>, 'input' | 'progress'> & {
  readonly input?: Value;
  readonly progress?: Value;
  readonly output?: Value;
  readonly waitReason?: Reason;
  readonly logs: { readonly lines: readonly string[]; readonly left: number };
};

export type RunDetails = Plain<Omit<CoreRunFacts, 'graph'>> & {
  readonly graph: Graph;
  readonly waitReason?: Reason;
  readonly output?: Value;
};

export type ErrorGroups = Plain<CoreErrorGroups>;
export type { HistoryNumbers };
export type HistoryAnswer = Plain<CoreHistory>;
export type HistoryPoint = Plain<CoreHistoryPoint>;
export type TaskHistory = Plain<CoreTaskHistory>;
export type Letter = Omit<Plain<DeadLetter>, 'input'> & { readonly input?: Value };

export interface AppFacts {
  readonly name: string;
  readonly user: string;
  readonly readOnly: boolean;
  /** The address of a trace, with `{traceId}` in it. */
  readonly traceUrl?: string;
  readonly store: { readonly kind: string; readonly address: string };
  readonly queues: readonly string[];
  readonly tasks: readonly string[];
  /** Names of the actions that the user may do, on some target. */
  readonly actions: readonly string[];
}

export interface Found<Item> {
  readonly items: readonly Item[];
  readonly cursor?: string;
  /** Number of jobs that the server read for it. */
  readonly read: number;
  /** Number of those that were sent lately and were not searched. */
  readonly notIndexed?: number;
  /** The actions that may change a job of the search, with the states that each changes. Absent for runs. */
  readonly actions?: Readonly<Record<string, readonly string[]>>;
}

export interface TaskFacts {
  readonly name: string;
  readonly queue: string;
  readonly workers: readonly string[];
  readonly input?: Readonly<Record<string, unknown>> | null;
  readonly attempts?: number;
  readonly timeoutMs?: number | null;
}
