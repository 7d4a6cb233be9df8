/** This module converts jobs between BullMQ's form and the columns of a store that changes texts and refuses fractions. */
import type { IQueueBackend } from 'bullmq';
import { unwrapText, unwrapValue, wrapText } from './text.js';

type NewJobJson = Parameters<IQueueBackend['addJob']>[0];

/** Returns a job as it is stored: its text whole, times without parts of a millisecond, the effect of a failure as options. */
export function asStored(job: NewJobJson): NewJobJson {
  const { parent, opts } = job;
  const link = parent as { fpof?: boolean; cpof?: boolean; idof?: boolean; rdof?: boolean } | undefined;
  const delay = job.delay === undefined ? undefined : Math.round(job.delay);
  const effects = {
    ...(link?.fpof === true && { failParentOnFailure: true }),
    ...(link?.cpof === true && { continueParentOnFailure: true }),
    ...(link?.idof === true && { ignoreDependencyOnFailure: true }),
    ...(link?.rdof === true && { removeDependencyOnFailure: true }),
  };
  return {
    ...job,
    data: wrapText(job.data ?? '{}'),
    timestamp: Math.round(job.timestamp),
    ...(delay !== undefined && { delay }),
    opts: { ...opts, ...(typeof opts?.delay === 'number' && { delay: Math.round(opts.delay) }), ...effects },
  };
}

/**
 * Returns a job in the same form for a statement that adds several: its data is a part of their JSON text, not a text in it.
 * What the store refuses is then marked in the data, too.
 */
export function asStoredEntry(job: NewJobJson): NewJobJson {
  const stored = asStored(job);
  return { ...stored, data: JSON.parse(stored.data ?? '{}') };
}

/** Returns a job of the store with its texts unwrapped. */
export function withText<Job extends { data?: unknown; returnvalue?: unknown; progress?: unknown }>(
  job: Job,
): Job {
  return {
    ...job,
    ...(typeof job.data === 'string' && { data: unwrapText(job.data) }),
    ...(typeof job.returnvalue === 'string' && { returnvalue: unwrapText(job.returnvalue) }),
    ...(job.progress !== undefined && { progress: unwrapValue(job.progress) }),
  };
}

/** Returns an answer with the next job, its texts unwrapped. */
export function withTexts<Answer>(answer: Answer): Answer {
  if (!Array.isArray(answer) || typeof answer[0] !== 'object' || answer[0] === null) return answer;
  return [withText(answer[0] as Record<string, unknown>), ...answer.slice(1)] as Answer;
}
