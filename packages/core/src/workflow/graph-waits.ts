/** Nodes of waits in a workflow graph. A wait is an internal job, which is no task and does not count as one. */
import { durationText } from '../base/time.js';
import type { Envelope } from '../job/envelope.js';
import { INTERNAL_JOB, INTERNAL_QUEUE, type JobNode } from '../job/job-tree.js';
import {
  type Added,
  type GraphNode,
  type GraphState,
  hasEnded,
  type Part,
  type WaitKind,
} from './graph-parts.js';

/** Fields of a planned or stored job that describe its wait. */
type WaitFields = Pick<JobNode, 'sleep' | 'expand' | 'wait'> & Pick<Envelope, 'pause' | 'turns' | 'waiting'>;

/** The job of a wait. */
interface WaitJob extends Pick<GraphNode, 'id' | 'queue'> {
  readonly state: GraphState;
}

/** Returns the node of an internal job that waits; undefined for other internal jobs. */
export function waitNodeOf(
  name: string,
  { id, queue, state }: WaitJob,
  { sleep, pause, expand, turns, wait, waiting }: WaitFields,
): GraphNode | undefined {
  if (name === INTERNAL_JOB.loop && expand !== undefined && 'body' in expand) {
    const turn = { number: turns?.begun ?? 0, max: expand.max };
    const label = turn.number === 0 ? 'loop' : `loop, turn ${turn.number} of ${turn.max}`;
    return { id, kind: 'loop', task: name, label, queue, state, turn, ...untilOf(state, pause) };
  }
  if (name === INTERNAL_JOB.wait && wait !== undefined) {
    const signal = { name: wait.signal, ...(waiting !== undefined && { key: waiting.key }) };
    const label = `wait for ${wait.signal}`;
    return { id, kind: 'waitFor', task: name, label, queue, state, signal, ...untilOf(state, waiting) };
  }
  if (name !== INTERNAL_JOB.sleep || sleep === undefined) return undefined;
  const label = 'ms' in sleep ? `sleep ${durationText(sleep.ms)}` : `sleep until ${sleep.until}`;
  return { id, kind: 'sleep', task: name, label, queue, state, ...untilOf(state, pause) };
}

/** Returns the moment at which a wait ends. The moment is known while the job of the wait is delayed. */
function untilOf(state: GraphState, wait: { readonly until?: number } | undefined): Pick<GraphNode, 'until'> {
  return state === 'delayed' && wait?.until !== undefined ? { until: new Date(wait.until) } : {};
}

/** The wait of a job that waits now, as `app.jobs.get` returns it. */
export type StepWait = Pick<GraphNode, 'label' | 'until' | 'turn' | 'signal'> & { readonly kind: WaitKind };

/** Returns the wait of a sleep, a loop or a `waitFor`; undefined for other jobs and for those that have ended. */
export function stepWaitOf(name: string, job: WaitJob, fields: WaitFields): StepWait | undefined {
  if (job.queue !== INTERNAL_QUEUE || hasEnded(job.state)) return undefined;
  const { kind, label, until, turn, signal } = waitNodeOf(name, job, fields) ?? {};
  if (kind === undefined || label === undefined) return undefined;
  return {
    kind,
    label,
    ...(until !== undefined && { until }),
    ...(turn !== undefined && { turn }),
    ...(signal !== undefined && { signal }),
  };
}

/**
 * Returns the part of a loop with one turn: the body after the steps before the loop, then the step that decides, then the
 * loop itself.
 */
export function loopPart(loop: Part, body: Part, test: Part | undefined): Part {
  const { id, before, node } = loop;
  const isOpen = node !== undefined && !hasEnded(node.state);
  const sure = (part: Part): Added => ({ part, chance: 'sure' });
  const turn = (below: string): Part => ({ id: `${id}@`, before, adds: { below, parts: [sure(body)] } });
  const decided = `${id}@^t`;
  const inner =
    test === undefined
      ? turn(id)
      : { id: decided, before: [turn(decided)], adds: { below: id, parts: [sure(test)] } };
  return { ...loop, before: [inner], ...(isOpen && { isOpen }) };
}
