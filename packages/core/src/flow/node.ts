/**
 * A run as a tree of jobs, in plain data: what `@umbel/canvas` plans and what a worker executes. A job waits for its
 * children; the last child to end releases it (a BullMQ flow).
 */
import type { NormalizedOptions } from '../tasks/options.js';

/** The queue of the jobs that Umbel adds between a user's tasks. Every worker serves it. */
export const INTERNAL_QUEUE = 'umbel';

/** Names of the jobs in the internal queue. No task can have such a name: it holds a `:`. */
export const INTERNAL_JOB = {
  /** The root of a run: its result is the run's result. */
  run: 'umbel:run',
  /** Gives the results of a group as one list or record. */
  collect: 'umbel:collect',
  /** Adds the members of a group that stands after another step, as children of the job that joins them. */
  fanOut: 'umbel:fan-out',
} as const;

/** Internal jobs only read and add, and are safe to repeat: an outage must not end a run. */
export const INTERNAL_OPTIONS: NormalizedOptions = {
  retry: { attempts: 12, backoff: 'exponential', delayMs: 50, maxMs: 86_400_000, jitter: true },
};

/** What a job takes from those it waits for; ids are paths within the run. */
export type Source =
  /** The result of one job. */
  | { readonly step: string }
  /** The results of the jobs `<list>.0` to `<list>.<count - 1>`, in that order. */
  | { readonly list: string; readonly count: number }
  /** The results of the jobs `<record>.0` …, under the keys in that order. */
  | { readonly record: string; readonly keys: readonly string[] }
  /** Nothing: the job waits for its children and has its whole input already. */
  | { readonly ignored: true };

/** What a fan-out job adds, and below which job. */
export interface Expansion {
  readonly parent: { readonly path: string; readonly queue: string };
  readonly members: readonly FlowNode[];
}

/** Calls and compositions that are sent after a job, each with an id made from the job's: sending twice changes nothing. */
export interface Callbacks {
  /** With the result. */
  readonly success?: readonly FlowNode[];
  /** With a `FailureRecord`. */
  readonly failure?: readonly FlowNode[];
}

/** What is stored with a job of a run beside its place in it; see `Envelope`. */
interface NodeContent {
  readonly key?: string;
  readonly digest?: string;
  readonly parent?: string;
  readonly root?: string;
  readonly ignoreResult?: true;
  readonly alone?: true;
}

/** One job of a run, with the jobs it waits for. */
export interface FlowNode {
  /** Unique in the run, and empty for its root; the job's id is `<run id>.<path>`. */
  readonly path: string;
  /** The task's name, or one of `INTERNAL_JOB`. */
  readonly name: string;
  readonly queue: string;
  readonly options?: NormalizedOptions;
  /** What is stored with the job beside its place in the run. */
  readonly content?: NodeContent;
  /** The whole input, or the bound part of it. */
  readonly input?: unknown;
  readonly into?: string;
  readonly after?: Source;
  readonly expand?: Expansion;
  readonly callbacks?: Callbacks;
  /** Takes what the run, or the fan-out that adds it, is given. Only on a node without `after`. */
  readonly open?: true;
  readonly children?: readonly FlowNode[];
}

/** The id of a run's job. BullMQ allows no `:` in ids and none that are whole numbers. */
export function jobIdOf(run: string, path: string): string {
  return path === '' ? run : `${run}.${path}`;
}

/** The id of a callback: of its job, or of its run if it is a composition. */
export function callbackId(job: string, kind: keyof Callbacks, index: number): string {
  return `${job}-${kind}-${index}`;
}
