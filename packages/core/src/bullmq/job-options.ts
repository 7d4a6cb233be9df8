import type { FlowJob, JobsOptions } from 'bullmq';
import { type FlowNode, jobIdOf } from '../flow/node.js';
import type { NormalizedOptions } from '../tasks/options.js';
import { type EnvelopeContent, encodeEnvelope } from '../wire/envelope.js';

/** Options as BullMQ takes them. */
export function toJobOptions(id: string, options: NormalizedOptions = {}): JobsOptions {
  const { priority, delayMs, retry } = options;
  return {
    jobId: id,
    ...(priority !== undefined && { priority }),
    ...(delayMs !== undefined && { delay: delayMs }),
    ...(retry !== undefined && {
      attempts: retry.attempts,
      backoff: { type: retry.backoff, delay: retry.delayMs, jitter: retry.jitter ? 1 : 0 },
    }),
  };
}

/** The headers among the options, which are stored with the data. */
export function headersOf({ headers }: NormalizedOptions = {}): Pick<EnvelopeContent, 'headers'> {
  return headers === undefined ? {} : { headers };
}

/**
 * The tree as BullMQ's flow. Every node below another continues its parent on failure: the parent starts at once,
 * sees the failure and fails in turn, so that a failure always climbs to the run (BullMQ's default would leave the
 * parent waiting for ever).
 */
export function toFlowJob(run: string, node: FlowNode, parent?: { id: string; queue: string }): FlowJob {
  const { path, name, queue, options, children, open: _open, ...content } = node;
  return {
    name,
    queueName: queue,
    data: encodeEnvelope({ run, ...content, ...headersOf(options) }),
    opts: {
      ...toJobOptions(jobIdOf(run, path), options),
      ...(parent !== undefined && { parent, continueParentOnFailure: true }),
    },
    ...(children !== undefined && {
      children: children.map((child) => {
        const flow = toFlowJob(run, child);
        return { ...flow, opts: { ...flow.opts, continueParentOnFailure: true } };
      }),
    }),
  };
}
