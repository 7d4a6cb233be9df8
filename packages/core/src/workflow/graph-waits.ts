/** Nodes of waits in a workflow graph. A wait is an internal job, which is no task and does not count as one. */
import { durationText } from '../base/time.js';
import type { Envelope } from '../job/envelope.js';
import { INTERNAL_JOB, type JobNode } from '../job/job-tree.js';
import type { GraphNode, GraphState } from './graph-parts.js';

/** Fields of a planned or stored job that describe its wait. */
type WaitFields = Pick<JobNode, 'sleep'> & Pick<Envelope, 'pause'>;

/** Returns the node of an internal job that waits; undefined for other internal jobs. */
export function waitNodeOf(
  name: string,
  { id, queue, state }: { readonly id: string; readonly queue: string; readonly state: GraphState },
  { sleep, pause }: WaitFields,
): GraphNode | undefined {
  if (name !== INTERNAL_JOB.sleep || sleep === undefined) return undefined;
  const label = 'ms' in sleep ? `sleep ${durationText(sleep.ms)}` : `sleep until ${sleep.until}`;
  return { id, kind: 'sleep', task: name, label, queue, state, ...untilOf(state, pause) };
}

/** Returns the end of a wait while its job is delayed. */
function untilOf(state: GraphState, pause: Envelope['pause']): Pick<GraphNode, 'until'> {
  return state === 'delayed' && pause !== undefined ? { until: new Date(pause.until) } : {};
}
