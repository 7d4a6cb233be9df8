/**
 * Trees of jobs as BullMQ's backend takes them. Its `FlowProducer` makes the same of a flow, but calls itself for each
 * child, and the steps of a chain stand below each other: it ends at some thousand of them.
 */
import type { IQueueBackend } from 'bullmq';
import { type FlowNode, INTERNAL_QUEUE, jobIdOf } from '../flow/node.js';
import { encodeEnvelope } from '../wire/envelope.js';
import type { EnvelopeQueue } from './backends.js';
import { type Below, jobJson, linkOf, type OwnOptions, type ParentKey } from './job-json.js';
import { contentOf, toJobOptions } from './job-options.js';

export type FlowEntry = Parameters<IQueueBackend['addFlow']>[0][number];

export interface FlowPlace {
  /** The job that the trees are added below. */
  readonly above?: ParentKey;
  /** How long a tree is kept that stands below none: all of it goes with its root. */
  readonly keep?: OwnOptions;
}

/** The jobs of these trees, each after its parent, and members of a group in their order. */
export function flowEntries(
  queueOf: (name: string) => EnvelopeQueue,
  run: string,
  roots: readonly FlowNode[],
  { above, keep }: FlowPlace = {},
): FlowEntry[] {
  const entries: FlowEntry[] = [];
  const next = roots.map((node) => ({ node, parent: above })).reverse();
  for (let place = next.pop(); place !== undefined; place = next.pop()) {
    const { node, parent } = place;
    const id = jobIdOf(run, node.path);
    const queue = queueOf(node.queue);
    const { name, children = [] } = node;
    entries.push(
      flowEntry(queue, id, {
        name,
        data: dataOf(run, node),
        opts: toJobOptions(node.options, parent === undefined ? keep : undefined),
        below: belowOf(node, parent),
        waits: children.length > 0,
      }),
    );
    if (children.length === 0) continue;
    const own = { id, queue: queue.qualifiedName };
    for (const child of children.toReversed()) next.push({ node: child, parent: own });
  }
  return entries;
}

/** A job of a flow; with `waits` it waits for jobs that are added below it. */
export interface FlowJob {
  readonly name: string;
  readonly data: object;
  readonly opts: OwnOptions;
  readonly below: Below | undefined;
  readonly waits?: boolean;
}

/** One job that is stored together with others. */
export function flowEntry(
  { name: queueName, opts: { prefix = '' } }: EnvelopeQueue,
  id: string,
  { name, data, opts, below, waits }: FlowJob,
): FlowEntry {
  return {
    jobData: jobJson(id, name, data, opts, below),
    jobId: id,
    parentKeyOpts: linkOf(below, waits),
    prefix,
    queueName,
  };
}

function dataOf(run: string, node: FlowNode): object {
  const {
    path,
    name: _name,
    queue,
    options,
    children: _,
    open: _open,
    mayFail: _may,
    content,
    ...rest
  } = node;
  return encodeEnvelope({
    // A callback of one task is no run.
    ...((path !== '' || queue === INTERNAL_QUEUE) && { run }),
    ...content,
    ...rest,
    ...contentOf(options),
  });
}

/**
 * A node below another continues its parent on failure: the parent starts at once, sees the failure and fails in turn,
 * so that a failure always climbs to the run (BullMQ's default would leave the parent waiting for ever). Where members
 * may fail, the parent goes on waiting for the others.
 */
function belowOf({ mayFail }: FlowNode, parent: ParentKey | undefined): Below | undefined {
  if (parent === undefined) return undefined;
  return { parent, onFailure: mayFail ? 'ignoreDependencyOnFailure' : 'continueParentOnFailure' };
}
