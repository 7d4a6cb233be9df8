/**
 * A run as a tree of jobs, in plain data: what `@umbel/canvas` plans and what a worker executes. A job waits for its
 * children; the last child to end releases it (a BullMQ flow).
 */

import type { Sealer } from '../codec/codecs.js';
import type { TraceLinks } from './envelope.js';
import type { NormalizedOptions, SharedOptions } from './shared-options.js';

/** The queue of the jobs that Umbel adds between a user's tasks. Every worker serves it. */
export const INTERNAL_QUEUE = 'umbel';

/** Names of the jobs in the internal queue. No task can have such a name: it holds a `:`. */
export const INTERNAL_JOB = {
  /** The root of a run: its result is the run's result. */
  run: 'umbel:run',
  /** Gives what its steps give: a group as one list or record, a step with callbacks, a flat list. */
  collect: 'umbel:collect',
  /** Adds what is known only once an earlier step has given its result, below the job that waits for it. */
  fanOut: 'umbel:fan-out',
  /** Stands for the members of a group that its sender is still adding. */
  feed: 'umbel:feed',
  /** Some members of a large group. */
  slice: 'umbel:slice',
  /** Tells a join at once how a member has ended. */
  probe: 'umbel:probe',
  /** Gives what a step gives, or another one if it fails. */
  fallback: 'umbel:fallback',
  /** Fires the slots of a schedule, and goes back to wait for the next one. */
  schedule: 'umbel:schedule',
} as const;

/** Whether a job is the root of a run. */
export function isRunJob(queue: string, name: string | undefined): boolean {
  return queue === INTERNAL_QUEUE && name === INTERNAL_JOB.run;
}

/** Internal jobs only read and add, and are safe to repeat: an outage must not end a run. */
export const INTERNAL_OPTIONS: NormalizedOptions = {
  retry: { attempts: 12, backoff: 'exponential', delayMs: 50, maxMs: 86_400_000, jitter: true },
};

/** What a job takes from those it waits for; ids are paths within the run. */
export type Source = (StepSource | ListSource | RecordSource) & {
  /** The job has its whole input already, and only waits. */
  readonly ignored?: true;
  /** The value, a list of lists, as one list. */
  readonly flat?: true;
};

/** The result of one job. */
interface StepSource {
  readonly step: string;
  /** The fan-out that adds it, or gives its own value on instead. */
  readonly via?: string;
}

interface MembersSource {
  /** The fan-out or the feed that adds the members. */
  readonly via?: string;
  /** Members may fail: the value holds a `StepOutcome` of each. */
  readonly settled?: true;
}

/** The results of the jobs `<list>.0`, `<list>.1` …, in that order. */
export interface ListSource extends MembersSource {
  readonly list: string;
  /** The index of the first one. Absent: 0. */
  readonly first?: number;
  /** Absent: as many as `via` says. */
  readonly count?: number;
  /** The members are below jobs `<list>/0`, `<list>/1` …, `SLICE` of them below each. */
  readonly sliced?: true;
  /** Each of the members gives a list of results. */
  readonly chunked?: true;
}

/** The results of the jobs `<record>.0` …, under the keys in that order. */
export interface RecordSource extends MembersSource {
  readonly record: string;
  readonly keys: readonly string[];
  readonly sliced?: true;
}

/**
 * Members of a large group that are added in one transaction, and stand below one job. A transaction blocks Redis as
 * long as it runs, some 50 µs a job. A part of the stored form: the paths of slices follow from it.
 */
export const SLICE = 50;

/** When a join has its result before all its members have ended. */
export interface JoinRule {
  /** So many members have to succeed; their results are the value. Absent: all of them. */
  readonly need?: number;
  /** The value is the one result that is needed, and not a list. */
  readonly single?: true;
  /** Members that have not started are skipped once the outcome is certain. */
  readonly cancel?: true;
  /** With `cancel`: those that run are given up as well. */
  readonly abort?: true;
}

/** The job that others are added below. */
export interface Parent {
  readonly path: string;
  readonly queue: string;
}

/** What a fan-out job adds below `parent`, once it has its value. */
export type Expansion = { readonly parent: Parent } & (
  | {
      readonly members: readonly JobNode[];
      /** The group, if it has slices, and the index of the first of these members in it. */
      readonly slice?: { readonly list: string; readonly first: number };
      /** It gives its value on. */
      readonly passes?: true;
    }
  | EachExpansion
  | MatchExpansion
  | WhenExpansion
);

/** One member for each item of the value. */
export interface EachExpansion {
  /** Planned at `<list>.*`. */
  readonly each: JobNode;
  readonly list: string;
  /** Each item is a row, whose values go under these keys. */
  readonly keys?: readonly string[];
  /** Items in one job. */
  readonly chunkSize?: number;
}

/** The case that the value names. */
export interface MatchExpansion {
  readonly key: string;
  readonly cases: Readonly<Record<string, JobNode>>;
}

/** One of two, by a condition on the value or by the result of a step. */
export interface WhenExpansion {
  readonly condition?: Condition;
  /** The step that gives true or false, and the fan-out that has the value. */
  readonly tested?: { readonly step: string; readonly value: string };
  readonly onTrue: JobNode;
  /** Absent: the value itself. */
  readonly onFalse?: JobNode;
}

/** What values have to be, by key. */
export type Condition = Readonly<Record<string, unknown>>;

/** Calls and compositions that are sent after a job, each with an id made from the job's: sending twice changes nothing. */
export interface Callbacks {
  /** With the result. */
  readonly success?: readonly JobNode[];
  /** With a `FailureRecord`. */
  readonly failure?: readonly JobNode[];
  /** With a `StepOutcome`. */
  readonly always?: readonly JobNode[];
}

/** What is stored with a job of a run beside its place in it; see `Envelope`. */
interface NodeContent {
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

/** One job of a run, with the jobs it waits for. */
export interface JobNode {
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
  readonly join?: JoinRule;
  readonly callbacks?: Callbacks;
  /** Inputs that one job takes in turn, and the place of the first among those of the whole. */
  readonly items?: readonly unknown[];
  readonly offset?: number;
  /** Its parent goes on waiting for the others if it fails. */
  readonly mayFail?: true;
  /** Takes what the run, or the fan-out that adds it, is given. Only on a node without `after`. */
  readonly open?: true;
  readonly children?: readonly JobNode[];
}

/** The id of a run's job. BullMQ allows no `:` in ids and none that are whole numbers. */
export function jobIdOf(run: string, path: string): string {
  return path === '' ? run : `${run}.${path}`;
}

/** The id of a callback: of its job, or of its run if it is a composition. */
export function callbackId(job: string, kind: keyof Callbacks, index: number): string {
  return `${job}-${kind}-${index}`;
}

// Going through trees of jobs. A long chain is a deep tree, so nothing here calls itself for a child.

/** The jobs of a tree, each after those it waits for. What a fan-out may add is not among them. */
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
 * What `make` makes of the root. It is called for each job, with what it has made of those that the job waits for:
 * undefined if the job has no list of them.
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
    const own = make(node, node.children && made);
    const parent = above.pop();
    if (parent === undefined) return own;
    parent.made.push(own);
    current = parent;
  }
}

// The nodes that a fan-out may add, whatever it is that decides about them.

/** The nodes of an expansion, in an order of their own. */
export function nodesOf(expansion: Expansion): readonly JobNode[] {
  if ('members' in expansion) return expansion.members;
  if ('each' in expansion) return [expansion.each];
  if ('cases' in expansion) return Object.values(expansion.cases);
  return expansion.onFalse === undefined ? [expansion.onTrue] : [expansion.onTrue, expansion.onFalse];
}

/** The expansion with other nodes in the places of its own. */
export function withNodes<E extends Expansion>(expansion: E, nodes: readonly JobNode[]): E {
  const at = (index: number): JobNode => {
    const node = nodes[index];
    if (node === undefined) throw new RangeError('an expansion has as many nodes as before');
    return node;
  };
  if ('members' in expansion) return { ...expansion, members: nodes };
  if ('each' in expansion) return { ...expansion, each: at(0) };
  if ('cases' in expansion) {
    const names = Object.keys(expansion.cases);
    return { ...expansion, cases: Object.fromEntries(names.map((name, index) => [name, at(index)])) };
  }
  return { ...expansion, onTrue: at(0), ...(expansion.onFalse !== undefined && { onFalse: at(1) }) };
}

/** The tree planned at the path `from`, as if it were planned at `to`. */
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
    const own = withNodes({ ...expansion, parent }, nodesOf(expansion).map(movedTree));
    if ('each' in own) return { ...own, list: moved(own.list) };
    if ('members' in own && own.slice !== undefined)
      return { ...own, slice: { ...own.slice, list: moved(own.slice.list) } };
    if (!('onTrue' in own) || own.tested === undefined) return own;
    return { ...own, tested: { step: moved(own.tested.step), value: moved(own.tested.value) } };
  };
  return movedTree(node);
}

// The inputs of a run's jobs through the app's codecs: each is bound to the id of its job.

type Change = (value: unknown, id: string, task: string) => Promise<unknown>;

/** The tree with its inputs as they are stored. */
export function sealTree(sealer: Sealer, run: string, node: JobNode): JobNode | Promise<JobNode> {
  if (!sealer.isActive) return node;
  return changed(run, node, (value, id, task) => sealer.seal(value, { subject: 'input', id, task }));
}

/** The tree with its inputs as they were before `sealTree`. */
export function openTree(sealer: Sealer, run: string, node: JobNode): Promise<JobNode> {
  return changed(run, node, (value, id, task) => sealer.open(value, { subject: 'input', id, task }));
}

async function changed(run: string, root: JobNode, change: Change): Promise<JobNode> {
  const parts = Array.from(
    jobsOf(root),
    async (node) => [node, await changedParts(run, node, change)] as const,
  );
  const own = new Map(await Promise.all(parts));
  return foldTree<JobNode>(root, (node, children) => ({
    ...node,
    ...own.get(node),
    ...(children !== undefined && { children }),
  }));
}

/** What changes in a job itself. */
async function changedParts(run: string, node: JobNode, change: Change): Promise<Partial<JobNode>> {
  const { input, items, expand, callbacks } = node;
  const id = jobIdOf(run, node.path);
  const all = (nodes: readonly JobNode[]) => Promise.all(nodes.map((next) => changed(run, next, change)));
  return {
    ...(input !== undefined && { input: await change(input, id, node.name) }),
    ...(items !== undefined && { items: (await change(items, id, node.name)) as readonly unknown[] }), // or their sealed form
    ...(expand !== undefined && { expand: withNodes(expand, await all(nodesOf(expand))) }),
    ...(callbacks !== undefined && { callbacks: await changedCallbacks(id, callbacks, change) }),
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

/** The tags that the jobs of a tree bear, also those that are not added yet. */
export function tagsOf(root: JobNode, found = new Set<string>()): Set<string> {
  for (const { options, expand } of jobsOf(root)) {
    for (const tag of options?.tags ?? []) found.add(tag);
    if (expand !== undefined) for (const next of nodesOf(expand)) tagsOf(next, found);
  }
  return found;
}
