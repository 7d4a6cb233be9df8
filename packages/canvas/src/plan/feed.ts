/** What a waiting job needs, and the jobs that Umbel adds. */
import {
  type Expansion,
  type FlowNode,
  INTERNAL_JOB,
  INTERNAL_OPTIONS,
  INTERNAL_QUEUE,
  type MembersFeed,
  type Parent,
  type Planning,
  type Source,
} from '@umbel/core/internal';
import type { NormalExpression, NormalMember } from '../normalize.js';

/** The jobs that a waiting job needs, and what it takes from them. */
export interface Feed {
  readonly after: Source;
  readonly children: readonly FlowNode[];
}

/** What brings the result of the previous step to a job. */
export type Incoming = (parent: Parent) => Feed;

/** Where an expression stands. */
export interface Place {
  readonly path: string;
  /** The job that takes its value. */
  readonly parent: Parent;
  /** Absent: it has its input, or gets it when the run is sent. */
  readonly incoming?: Incoming | undefined;
}

/** Plans the parts of an expression, each construct by its own rule. */
export interface PartPlanner {
  readonly planning: Planning;
  /** Absent: nobody adds members later. */
  readonly feeds: MembersFeed[] | undefined;
  /** What brings the value of an expression to the job above its place. */
  feed(expression: NormalExpression, place: Place): Feed;
  /** The job of a part that is added later than the run, or is one of many. */
  later(expression: NormalMember, path: string): FlowNode;
}

export function one(node: FlowNode): Feed {
  return { after: { step: node.path }, children: [node] };
}

export function internal(name: string, path: string, feed: Feed): FlowNode {
  return { path, name, queue: INTERNAL_QUEUE, options: INTERNAL_OPTIONS, ...feed };
}

export function fanOut(path: string, expansion: Expansion, incoming?: Incoming): FlowNode {
  const feed = incoming?.(internalPlace(path));
  return {
    path,
    name: INTERNAL_JOB.fanOut,
    queue: INTERNAL_QUEUE,
    options: INTERNAL_OPTIONS,
    expand: expansion,
    ...(feed ?? { open: true }),
  };
}

/** An internal job, as what takes a value. */
export function internalPlace(path: string): Parent {
  return { path, queue: INTERNAL_QUEUE };
}
