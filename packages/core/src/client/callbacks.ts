/** This module collects the callbacks of a call or run (`link`, `linkError`, `finally`), and plans a call with callbacks. */
import { InvalidOptionError } from '../base/errors.js';
import {
  type Callbacks,
  INTERNAL_JOB,
  INTERNAL_OPTIONS,
  INTERNAL_QUEUE,
  type JobNode,
} from '../job/job-tree.js';
import type { NewJob } from '../store/store.js';
import type { SendOptions } from '../task/options.js';
import {
  type Expression,
  PLAN,
  type Plannable,
  type Planning,
  planned,
  type TaskExpression,
} from '../task/signature.js';

/** Returns the planned callbacks of send options. @throws {InvalidOptionError} if one is not a signature. */
export function sentCallbacks({ link, linkError }: SendOptions<never>): Callbacks {
  return ofKinds({ success: plansOf('link', link), failure: plansOf('linkError', linkError) });
}

/** Returns the planned callbacks of a signature. */
export function linkedTo({ callbacks = {} }: TaskExpression, planning: Planning): Callbacks {
  const { success = [], failure = [], always = [] } = callbacks;
  const plans = (expressions: readonly Expression[]) => expressions.map((each) => planned(each, planning));
  return ofKinds({ success: plans(success), failure: plans(failure), always: plans(always) });
}

/** Returns the callbacks of both; undefined if there are none. */
export function mergeCallbacks(one: Callbacks, other: Callbacks = {}): Callbacks | undefined {
  const kinds = ['success', 'failure', 'always'] as const;
  const both = ofKinds(
    Object.fromEntries(kinds.map((kind) => [kind, [...(one[kind] ?? []), ...(other[kind] ?? [])]])),
  );
  return Object.keys(both).length === 0 ? undefined : both;
}

function ofKinds(callbacks: Callbacks): Callbacks {
  return Object.fromEntries(Object.entries(callbacks).filter(([, nodes]) => nodes.length > 0));
}

function plansOf(option: string, value: unknown): JobNode[] {
  const signatures: unknown[] = value === undefined ? [] : Array.isArray(value) ? value : [value];
  return signatures.map((signature) => {
    if (typeof signature === 'object' && signature !== null && PLAN in signature) {
      return (signature as Plannable)[PLAN](); // only signatures have this symbol
    }
    throw new InvalidOptionError(option, 'a task, a signature, a workflow, or an array of these', signature);
  });
}

/**
 * Returns the run that represents a call with callbacks.
 * @throws {InvalidOptionError} if the call may be a duplicate of an earlier one, or its result is not kept.
 */
export function runWithCallbacks(
  { name, queue, options, content, deduplication }: NewJob,
  callbacks: Callbacks,
  { ignoreResult, idempotencyKey: key }: SendOptions<never>,
): JobNode {
  if (ignoreResult) throw new InvalidOptionError('ignoreResult', 'absent for a call with callbacks', true);
  if (deduplication !== undefined) {
    throw new InvalidOptionError('link', `absent for a call with \`${deduplication.mode}\``, 'a callback');
  }
  const { input, ...rest } = content;
  const { headers, tags, displayName = name } = options;
  const call: JobNode = {
    path: '0',
    name,
    queue,
    options,
    content: { ...rest, alone: true, ...(key !== undefined && { key }) },
    ...(input !== undefined && { input }),
  };
  return {
    path: '',
    name: INTERNAL_JOB.run,
    queue: INTERNAL_QUEUE,
    // Headers and tags of the run apply to the callbacks.
    options: {
      ...INTERNAL_OPTIONS,
      ...(headers !== undefined && { headers }),
      ...(tags !== undefined && { tags }),
    },
    content: { label: displayName },
    after: { step: call.path },
    children: [call],
    callbacks,
  };
}
