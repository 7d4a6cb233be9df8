/**
 * The job tree: a workflow run as plain data. `@umbel/canvas` plans it, and workers execute it. A job waits for its
 * children; the last child to end releases it (a BullMQ flow).
 */
import type { Sealer } from '../codec/codecs.js';
import type { TraceLinks } from './envelope.js';
import type { Sleep } from './pause.js';
import type { NormalizedOptions, SharedOptions } from './shared-options.js';
import type { SignalWait } from './signal-wait.js';

/** The queue of internal jobs, which Umbel adds to run workflows and schedules. Every worker serves it. */
export const INTERNAL_QUEUE = 'umbel';

/** Names of the internal jobs. They contain a `:`, which no task name can. */
export const INTERNAL_JOB = {
  /** The root of a run. Its result is the result of the run. */
  run: 'umbel:run',
  /** Collects the results of its steps: of a group as one list or record, of a step with callbacks, or of a flat list. */
  collect: 'umbel:collect',
  /** Adds the jobs that depend on the result of an earlier step, below the job that waits for them. */
  fanOut: 'umbel:fan-out',
  /** Represents the members of a group while its sender adds them. */
  feed: 'umbel:feed',
  /** Waits for some members of a large group. */
  slice: 'umbel:slice',
  /** Reports the outcome of a member to a join immediately. */
  probe: 'umbel:probe',
  /** Returns the result of a step, or of another step if the first fails. */
  fallback: 'umbel:fallback',
  /** Passes a value on after a time, or at a moment. */
  sleep: 'umbel:sleep',
  /** Repeats its body until a condition holds. */
  loop: 'umbel:loop',
  /** Sends the jobs of a schedule, and then waits for its next occurrence. */
  schedule: 'umbel:schedule',
  /** Waits for a signal, as a delayed job. */
  wait: 'umbel:wait',
} as const;

/** Returns whether a job is the root of a run. */
export function isRunJob(queue: string, name: string | undefined): boolean {
  return queue === INTERNAL_QUEUE && name === INTERNAL_JOB.run;
}

/** Internal jobs are retried, so that an outage does not end a run. They only read and add jobs, so repeating is safe. */
export const INTERNAL_OPTIONS: NormalizedOptions = {
  retry: { attempts: 12, backoff: 'exponential', delayMs: 50, maxMs: 86_400_000, jitter: true },
};

/** The value that a job receives from the jobs it waits for. Jobs are identified by their paths in the run. */
export type Source = (StepSource | ListSource | RecordSource) & {
  /** The job has its whole input already and only waits. */
  readonly ignored?: true;
  /** The value is a list of lists, which is flattened to one list. */
  readonly flat?: true;
};

/** The result of one job. */
interface StepSource {
  readonly step: string;
  /** The fan-out that adds the step, or passes its own value on instead. */
  readonly via?: string;
}

interface MembersSource {
  /** The fan-out or the feed that adds the members. */
  readonly via?: string;
  /** Members may fail: the value has a `StepOutcome` for each. */
  readonly settled?: true;
}

/** The results of the jobs `<list>.0`, `<list>.1` …, in that order. */
export interface ListSource extends MembersSource {
  readonly list: string;
  /** The index of the first member. Absent: 0. */
  readonly first?: number;
  /** Absent: `via` supplies the number. */
  readonly count?: number;
  /** The members are below the jobs `<list>/0`, `<list>/1` …, `SLICE` below each. */
  readonly sliced?: true;
  /** Each member returns a list of results. */
  readonly chunked?: true;
}

/** The results of the jobs `<record>.0`, `<record>.1` …, under `keys` in that order. */
export interface RecordSource extends MembersSource {
  readonly record: string;
  readonly keys: readonly string[];
  readonly sliced?: true;
}

/**
 * Number of members of a large group that are added in one transaction, below one slice job. A transaction blocks Redis for
 * about 50 µs per job. This number is a part of the stored form, because the paths of slices depend on it.
 */
export const SLICE = 50;

/** Decides when a join has its result before all members have ended. */
export interface JoinRule {
  /** Number of members that must succeed; their results are the value. Absent: all. */
  readonly need?: number;
  /** The value is the single result, not a list. */
  readonly single?: true;
  /** Members that have not started are skipped when the outcome is certain. */
  readonly cancel?: true;
  /** With `cancel`: running members are given up as well. */
  readonly abort?: true;
}

/** A job below which others are added. */
export interface Parent {
  readonly path: string;
  readonly queue: string;
}

/** The jobs that a fan-out adds below `parent` when it has its value. */
export type Expansion = { readonly parent: Parent } & (
  | {
      readonly members: readonly JobNode[];
      /** For a group with slices: its path, and the index of the first of these members. */
      readonly slice?: { readonly list: string; readonly first: number };
      /** The fan-out passes its value on. */
      readonly passes?: true;
    }
  | EachExpansion
  | MatchExpansion
  | WhenExpansion
  | LoopExpansion
);

/** Adds one member for each item of the value. */
export interface EachExpansion {
  /** The node of a member, planned at the path `<list>.*`. */
  readonly each: JobNode;
  readonly list: string;
  /** Each item is a row, whose values become an object with these keys. */
  readonly keys?: readonly string[];
  /** Number of items in one job. */
  readonly chunkSize?: number;
}

/** Adds the case that the value's property `key` names. */
export interface MatchExpansion {
  readonly key: string;
  readonly cases: Readonly<Record<string, JobNode>>;
}

/** Adds one of two nodes, selected by a condition on the value or by the result of a step. */
export interface WhenExpansion {
  readonly condition?: Condition;
  /** The step that returns true or false, and the fan-out that has the value. */
  readonly tested?: { readonly step: string; readonly value: string };
  readonly onTrue: JobNode;
  /** Absent: the value is passed on. */
  readonly onFalse?: JobNode;
}

/** Adds its body again and again, one turn after the other, below the job itself. */
export interface LoopExpansion {
  /** The node of a turn, planned at the path `<loop>@*`. */
  readonly body: JobNode;
  /** When the loop is done: a condition on the value, or a step at the path `<loop>@*^t` that returns true or false. */
  readonly until: { readonly condition: Condition } | { readonly step: JobNode };
  /** Maximum number of turns. */
  readonly max: number;
  /** Time between two turns, in milliseconds. */
  readonly everyMs?: number;
  /** The key of the value with what a turn has spent, and the sum from which on no turn begins. */
  readonly budget?: { readonly key: string; readonly max: number };
}

/** The expected values by key. */
export type Condition = Readonly<Record<string, unknown>>;

/** Calls and workflows that are sent after a job. Their ids are derived from the job's, so sending twice has no effect. */
export interface Callbacks {
  /** Sent with the result. */
  readonly success?: readonly JobNode[];
  /** Sent with a `FailureRecord`. */
  readonly failure?: readonly JobNode[];
  /** Sent with a `StepOutcome`. */
  readonly always?: readonly JobNode[];
}

/** Further fields of a job's envelope; see `Envelope`. */
interface NodeContent {
  /** The name of a run. */
  readonly label?: string;
  readonly key?: string;
  readonly digest?: string;
  readonly parent?: string;
  readonly root?: string;
  readonly ignoreResult?: true;
  readonly alone?: true;
  readonly revoked?: number;
  readonly skipped?: true;
  readonly links?: TraceLinks;
  readonly shared?: SharedOptions;
}

/** One job of a run, with the jobs that it waits for. */
export interface JobNode {
  /** Unique in the run, and empty for its root; the job's id is `<run id>.<path>`. */
  readonly path: string;
  /** The task's name, or one of `INTERNAL_JOB`. */
  readonly name: string;
  readonly queue: string;
  readonly options?: NormalizedOptions;
  /** Further fields of the job's envelope. */
  readonly content?: NodeContent;
  /** The whole input, or its bound keys. */
  readonly input?: unknown;
  readonly into?: string;
  readonly after?: Source;
  readonly expand?: Expansion;
  readonly join?: JoinRule;
  readonly sleep?: Sleep;
  /** The signal that the job waits for. */
  readonly wait?: SignalWait;
  readonly callbacks?: Callbacks;
  /** Inputs that the job processes one after the other, and the index of the first among all inputs. */
  readonly items?: readonly unknown[];
  readonly offset?: number;
  /** If it fails, its parent continues to wait for the others. */
  readonly mayFail?: true;
  /** Receives the input of the run, or of the fan-out that adds it. Only on a node without `after`. */
  readonly open?: true;
  readonly children?: readonly JobNode[];
}

/** Returns the id of a job of a run. BullMQ does not allow a `:` in an id, or an id that is a whole number. */
export function jobIdOf(run: string, path: string): string {
  return path === '' ? run : `${run}.${path}`;
}

/** Returns the id of a callback's job, or of its run if the callback is a workflow. */
export function callbackId(job: string, kind: keyof Callbacks, index: number): string {
  return `${job}-${kind}-${index}`;
}

// Traversal. It is not recursive, because a long chain is a deep tree.

/** Yields the jobs of a tree, each after its children. Jobs that a fan-out may add are not included. */
export function* jobsOf(root: JobNode): Generator<JobNode> {
  const above: { node: JobNode; next: number }[] = [];
  let current = { node: root, next: 0 };
  for (;;) {
    const child = current.node.children?.[current.next];
    if (child !== undefined) {
      current.next += 1;
      above.push(current);
      current = { node: child, next: 0 };
      continue;
    }
    yield current.node;
    const parent = above.pop();
    if (parent === undefined) return;
    current = parent;
  }
}

/**
 * Folds a tree from its leaves to its root. `make` is called for each job with the values it returned for the job's
 * children, or undefined if the job has no `children`.
 */
export function foldTree<T>(root: JobNode, make: (node: JobNode, children: T[] | undefined) => T): T {
  const above: { node: JobNode; made: T[] }[] = [];
  let current: { node: JobNode; made: T[] } = { node: root, made: [] };
  for (;;) {
    const { node, made } = current;
    const child = node.children?.[made.length];
    if (child !== undefined) {
      above.push(current);
      current = { node: child, made: [] };
      continue;
    }
    const value = make(node, node.children && made);
    const parent = above.pop();
    if (parent === undefined) return value;
    parent.made.push(value);
    current = parent;
  }
}

// The nodes of an expansion, for all kinds.

/** Returns the nodes that an expansion may add, in a fixed order. */
export function nodesOf(expansion: Expansion): readonly JobNode[] {
  if ('members' in expansion) return expansion.members;
  if ('each' in expansion) return [expansion.each];
  if ('cases' in expansion) return Object.values(expansion.cases);
  if ('body' in expansion)
    return 'step' in expansion.until ? [expansion.body, expansion.until.step] : [expansion.body];
  return expansion.onFalse === undefined ? [expansion.onTrue] : [expansion.onTrue, expansion.onFalse];
}

/** Returns the expansion with its nodes replaced, in the order of `nodesOf`. */
export function withNodes<E extends Expansion>(expansion: E, nodes: readonly JobNode[]): E {
  const at = (index: number): JobNode => {
    const node = nodes[index];
    if (node === undefined) throw new RangeError('Bug in Umbel: an expansion must keep its number of nodes');
    return node;
  };
  if ('members' in expansion) return { ...expansion, members: nodes };
  if ('each' in expansion) return { ...expansion, each: at(0) };
  if ('cases' in expansion) {
    const names = Object.keys(expansion.cases);
    return { ...expansion, cases: Object.fromEntries(names.map((name, index) => [name, at(index)])) };
  }
  if ('body' in expansion)
    return { ...expansion, body: at(0), ...('step' in expansion.until && { until: { step: at(1) } }) };
  return { ...expansion, onTrue: at(0), ...(expansion.onFalse !== undefined && { onFalse: at(1) }) };
}

/** Returns the tree that was planned at the path `from` with the paths it would have if it were planned at `to`. */
export function relocated(node: JobNode, from: string, to: string): JobNode {
  const moved = (path: string) => (path.startsWith(from) ? `${to}${path.slice(from.length)}` : path);
  const movedTree = (root: JobNode): JobNode =>
    foldTree<JobNode>(root, (next, children) => {
      const { path, after, expand } = next;
      return {
        ...next,
        path: moved(path),
        ...(after !== undefined && { after: movedSource(after) }),
        ...(expand !== undefined && { expand: movedExpansion(expand) }),
        ...(children !== undefined && { children }),
      };
    });
  const movedSource = (source: Source): Source => {
    const via = source.via === undefined ? {} : { via: moved(source.via) };
    if ('step' in source) return { ...source, ...via, step: moved(source.step) };
    return 'list' in source
      ? { ...source, ...via, list: moved(source.list) }
      : { ...source, ...via, record: moved(source.record) };
  };
  const movedExpansion = (expansion: Expansion): Expansion => {
    const parent = { ...expansion.parent, path: moved(expansion.parent.path) };
    const result = withNodes({ ...expansion, parent }, nodesOf(expansion).map(movedTree));
    if ('each' in result) return { ...result, list: moved(result.list) };
    if ('members' in result && result.slice !== undefined)
      return { ...result, slice: { ...result.slice, list: moved(result.slice.list) } };
    if (!('onTrue' in result) || result.tested === undefined) return result;
    return { ...result, tested: { step: moved(result.tested.step), value: moved(result.tested.value) } };
  };
  return movedTree(node);
}

// Encoding of inputs by the app's codecs. Each encoded input is bound to the id of its job.

type Change = (value: unknown, id: string, task: string) => Promise<unknown>;

/** Returns the tree with encoded inputs. */
export function sealTree(sealer: Sealer, run: string, node: JobNode): JobNode | Promise<JobNode> {
  if (!sealer.isActive) return node;
  return changed(run, node, (value, id, task) => sealer.encode(value, { subject: 'input', id, task }));
}

/** Returns the tree with decoded inputs. */
export function openTree(sealer: Sealer, run: string, node: JobNode): Promise<JobNode> {
  return changed(run, node, (value, id, task) => sealer.decode(value, { subject: 'input', id, task }));
}

async function changed(run: string, root: JobNode, change: Change): Promise<JobNode> {
  const parts = Array.from(
    jobsOf(root),
    async (node) => [node, await changedFields(run, node, change)] as const,
  );
  const changes = new Map(await Promise.all(parts));
  return foldTree<JobNode>(root, (node, children) => ({
    ...node,
    ...changes.get(node),
    ...(children !== undefined && { children }),
  }));
}

/** Returns the changed fields of one job. */
async function changedFields(run: string, node: JobNode, change: Change): Promise<Partial<JobNode>> {
  const { input, items, expand, callbacks, wait } = node;
  const id = jobIdOf(run, node.path);
  const all = (nodes: readonly JobNode[]) => Promise.all(nodes.map((next) => changed(run, next, change)));
  return {
    ...(input !== undefined && { input: await change(input, id, node.name) }),
    ...(items !== undefined && { items: (await change(items, id, node.name)) as readonly unknown[] }), // or their sealed form
    ...(expand !== undefined && { expand: withNodes(expand, await all(nodesOf(expand))) }),
    ...(callbacks !== undefined && { callbacks: await changedCallbacks(id, callbacks, change) }),
    ...(wait?.onTimeout !== undefined && {
      wait: { ...wait, onTimeout: { value: await change(wait.onTimeout.value, id, node.name) } },
    }),
  };
}

async function changedCallbacks(id: string, callbacks: Callbacks, change: Change): Promise<Callbacks> {
  const kinds = Object.entries(callbacks) as [keyof Callbacks, readonly JobNode[]][];
  const entries = kinds.map(async ([kind, nodes]) => [
    kind,
    await Promise.all(nodes.map((node, index) => changed(callbackId(id, kind, index), node, change))),
  ]);
  return Object.fromEntries(await Promise.all(entries)) as Callbacks;
}

/** Returns the names of the tasks of a tree, including those that a fan-out may add. */
export function taskNamesOf(root: JobNode): string[] {
  const names: string[] = [];
  for (const { name, queue, expand } of jobsOf(root)) {
    if (queue !== INTERNAL_QUEUE) names.push(name);
    if (expand !== undefined) for (const next of nodesOf(expand)) names.push(...taskNamesOf(next));
  }
  return names;
}

/**
 * Returns the tags of all jobs of a tree, including those that a fan-out may add.
 * @param termsOf Returns further labels of each task.
 */
export function searchLabelsOf(
  root: JobNode,
  termsOf: (task: string) => readonly string[],
  found = new Set<string>(),
): Set<string> {
  for (const { name, queue, options, expand } of jobsOf(root)) {
    for (const tag of options?.tags ?? []) found.add(tag);
    if (queue !== INTERNAL_QUEUE) for (const term of termsOf(name)) found.add(term);
    if (expand !== undefined) for (const next of nodesOf(expand)) searchLabelsOf(next, termsOf, found);
  }
  return found;
}
