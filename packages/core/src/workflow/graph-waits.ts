/** Nodes of waits in a workflow graph. A wait is an internal job, which is no task and does not count as one. */
import { durationText } from '../base/time.js';
import type { Envelope } from '../job/envelope.js';
import { INTERNAL_JOB, type JobNode } from '../job/job-tree.js';
import type { GraphNode, GraphState } from './graph-parts.js';

/** Fields of a planned or stored job that describe its wait. */
type WaitFields = Pick<JobNode, 'sleep'> & Pick<Envelope, 'pause'>;

/** The job of a wait. */
interface WaitJob extends Pick<GraphNode, 'id' | 'queue'> {
  readonly state: GraphState;
}

/** Returns the node of an internal job that waits; undefined for other internal jobs. */
export function waitNodeOf(
  name: string,
  { id, queue, state }: WaitJob,
  { sleep, pause }: WaitFields,
): GraphNode | undefined {
  if (name !== INTERNAL_JOB.sleep || sleep === undefined) return undefined;
  const label = 'ms' in sleep ? `sleep ${durationText(sleep.ms)}` : `sleep until ${sleep.until}`;
  return { id, kind: 'sleep', task: name, label, queue, state, ...untilOf(state, pause) };
}

/** Returns the moment at which a wait ends. The moment is known while the job of the wait is delayed. */
function untilOf(state: GraphState, pause: Envelope['pause']): Pick<GraphNode, 'until'> {
  return state === 'delayed' && pause !== undefined ? { until: new Date(pause.until) } : {};
}
