/** What stored fan-outs have added, or will add. */
import type { Store } from '../../bullmq/store.js';
import type { JobPlace } from '../../bullmq/tree.js';
import { nodesOf } from '../../flow/expansion.js';
import { type Expansion, type FlowNode, jobIdOf, SLICE } from '../../flow/node.js';
import type { Added, Adds, Part } from '../../graph/part.js';
import { labelsOf, plannedAdds } from '../../graph/planned.js';
import { hasEnded } from '../../graph/states.js';
import { isPlainObject } from '../../wire/plain-object.js';

/** The children of a job that some of them have added. */
interface AddedChildren {
  /** By the id of the fan-out. */
  readonly parts: ReadonlyMap<string, readonly Part[]>;
  /** The ids of all the children. */
  readonly ids: ReadonlySet<string>;
  /** What adds them had ended before they were listed, so none is missing. */
  readonly isWhole: boolean;
  /** The job that waits for them has ended: no others are added. */
  readonly isOver: boolean;
}

/** By the id of the job that waits for them. */
export type Given = ReadonlyMap<string, AddedChildren>;

interface FanOut extends JobPlace {
  readonly run: string;
  readonly state: string;
  readonly expand: Expansion;
}

/** What a fan-out adds, with those parts that it has added. */
export async function addsOf(store: Store, fanOut: FanOut, given: Given): Promise<Adds> {
  const { id, run, expand } = fanOut;
  const children = given.get(jobIdOf(run, expand.parent.path));
  const state = children?.isWhole === false ? 'active' : fanOut.state;
  const parts = children?.parts.get(id) ?? [];
  const planned = plannedAdds(expand, { run, state: hasEnded(state) ? 'skipped' : 'pending' });
  const { isOptional, ...adds } = planned;
  const labels = labelsOf(expand);
  if (state === 'completed') {
    if (labels === undefined) return { ...adds, parts: parts.map(sure) };
    const taken = await takenBy(store, fanOut);
    const branches = planned.parts.map((branch, index): Added => {
      const [part] = index === taken ? parts : [];
      return part === undefined ? { ...branch, chance: 'none' } : { ...branch, part, chance: 'sure' };
    });
    // With no branch, its value has gone on.
    return { ...adds, parts: branches, ...(taken === undefined && isOptional && { isOptional }) };
  }
  if (hasEnded(state)) {
    const never = planned.parts.map((added): Added => ({ ...added, chance: 'none' }));
    return { ...adds, parts: parts.length > 0 ? parts.map(sure) : never };
  }
  const nodes = nodesOf(expand);
  const missing = planned.parts.filter((_, index) =>
    labels !== undefined ? parts.length === 0 : !isThere(nodes[index], expand, run, children),
  );
  return { ...planned, parts: [...parts.map(sure), ...missing] };
}

function sure(part: Part): Added {
  return { part, chance: 'sure' };
}

/** Whether a fan-out that has not ended has added a node already. */
function isThere(
  node: FlowNode | undefined,
  expand: Expansion,
  run: string,
  children: AddedChildren | undefined,
): boolean {
  if (node === undefined || children === undefined) return false;
  const { ids } = children;
  if ('each' in expand) {
    const list = jobIdOf(run, expand.list);
    return [`${list}.0`, `${list}.0!`, `${list}/0`].some((id) => ids.has(id));
  }
  if ('slice' in expand && expand.slice !== undefined) {
    const { list, first } = expand.slice;
    return ids.has(jobIdOf(run, `${list}/${first / SLICE}`));
  }
  return ids.has(jobIdOf(run, node.path));
}

/** Which of its branches a fan-out has taken; undefined if none. */
async function takenBy(store: Store, { queue, id }: JobPlace): Promise<number | undefined> {
  const outcome = await store.outcome(queue, id);
  const told = outcome.kind === 'completed' && isPlainObject(outcome.value) ? outcome.value.taken : undefined;
  return typeof told === 'number' ? told : undefined;
}
