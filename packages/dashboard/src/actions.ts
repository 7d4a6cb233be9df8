/** This module defines what users can do in the dashboard, as `can` and the audit log name it, and carries it out. */
import {
  type App,
  type DeadLetterFilter,
  InvalidOptionError,
  JobStateError,
  type SendOptions,
} from '@umbel/core';
import type { BulkAction, BulkOperations, BulkUser } from './bulk.js';

/** What an action or a view is about. */
export interface DashboardTarget {
  readonly kind: 'app' | 'job' | 'jobs' | 'run' | 'queue' | 'schedule' | 'signal' | 'task' | 'dead-letters';
  /** The id of a job or a run; the name of a queue, a schedule, a signal or a task; for `jobs` the search text. */
  readonly id?: string;
}

/** What a user wants to do: `view` reads; all others change something. */
export type DashboardAction = 'view' | keyof typeof ACTIONS;

type Body = Readonly<Record<string, unknown>>;

interface ActionDefinition {
  readonly target: (body: Body) => DashboardTarget;
  /** Returns what the page shows: JSON. */
  readonly run: (app: App, body: Body, context: ActionContext) => Promise<object>;
}

/** What actions on many jobs need. */
interface ActionContext {
  readonly bulk: BulkOperations;
  readonly user: BulkUser;
}

const onSearch = (action: BulkAction) =>
  ({
    target: (body) => ({ kind: 'jobs', id: queryOf(body) }),
    run: async (_, body, { bulk, user }) => bulk.start(action, queryOf(body), user),
  }) satisfies ActionDefinition;

const ofKind =
  (kind: DashboardTarget['kind'], field = 'id') =>
  (body: Body): DashboardTarget => ({ kind, id: textOf(body, field) });

/** All actions by their names. */
export const ACTIONS = {
  'job.replay': {
    target: ofKind('job'),
    run: async (app, body) => {
      const id = textOf(body, 'id');
      await app.deadLetters.replay(id, 'input' in body ? { input: body.input } : {});
      return { id };
    },
  },
  'job.revoke': {
    target: ofKind('job'),
    run: async (app, body) => {
      const id = textOf(body, 'id');
      const isRevoked = await app.result(id).revoke({ terminate: body.terminate === true });
      return { isRevoked: changed(isRevoked, `Job ${id} has ended, or is revoked already.`) };
    },
  },
  'job.promote': {
    target: ofKind('job'),
    run: async (app, body) => {
      const id = textOf(body, 'id');
      return { isPromoted: changed(await app.jobs.promote(id), `Job ${id} is not delayed.`) };
    },
  },
  'job.drop': {
    target: ofKind('job'),
    run: async (app, body) => {
      await app.result(textOf(body, 'id')).forget();
      return {};
    },
  },
  'run.resume': {
    target: ofKind('run'),
    run: async (app, body) => ({
      jobs: await app.result(textOf(body, 'id')).resume({ inputs: inputsOf(body.inputs) }),
    }),
  },
  'run.wake': {
    target: ofKind('run'),
    run: async (app, body) => {
      const id = textOf(body, 'id');
      const waits = await app.result(id).wake(body.step === undefined ? undefined : textOf(body, 'step'));
      return { waits: changed(waits, `No step of run ${id} sleeps or waits in a loop.`) };
    },
  },
  'queue.pause': {
    target: ofKind('queue'),
    run: async (app, body) => {
      await app.control.pause(textOf(body, 'id'));
      return {};
    },
  },
  'queue.resume': {
    target: ofKind('queue'),
    run: async (app, body) => {
      await app.control.resume(textOf(body, 'id'));
      return {};
    },
  },
  'queue.limit': {
    target: ofKind('queue'),
    run: async (app, body) => {
      const { rate, concurrency } = body;
      const queue = textOf(body, 'id');
      // Core checks the values, which come from a form.
      if (concurrency !== undefined)
        await app.control.limitConcurrency(queue, (concurrency ?? undefined) as number | undefined);
      if (rate !== undefined)
        await app.control.rateLimit(queue, (rate ?? undefined) as Parameters<App['control']['rateLimit']>[1]);
      return {};
    },
  },
  'queue.purge': {
    target: ofKind('queue'),
    run: async (app, body) => {
      const queue = textOf(body, 'id');
      if (body.confirm !== queue)
        throw new InvalidOptionError('confirm', 'the name of the queue', body.confirm);
      return app.queue(queue).purge();
    },
  },
  'schedule.pause': {
    target: ofKind('schedule'),
    run: async (app, body) => {
      await app.schedules.get(textOf(body, 'id')).pause();
      return {};
    },
  },
  'schedule.resume': {
    target: ofKind('schedule'),
    run: async (app, body) => {
      await app.schedules.get(textOf(body, 'id')).resume();
      return {};
    },
  },
  'schedule.run': {
    target: ofKind('schedule'),
    run: async (app, body) => ({ id: (await app.schedules.get(textOf(body, 'id')).runNow()).id }),
  },
  'signal.send': {
    target: ofKind('signal'),
    run: async (app, body) => ({
      answer: await app.signals.send(textOf(body, 'id'), textOf(body, 'key'), body.payload),
    }),
  },
  'task.send': {
    target: ofKind('task'),
    run: async (app, body) => {
      const { countdown, tags, queue } = body;
      const options = {
        ...(countdown !== undefined && { countdown }),
        ...(tags !== undefined && { tags }),
        ...(queue !== undefined && { queue }),
      } as SendOptions; // core checks them
      return { id: (await app.send(textOf(body, 'id'), body.input, options)).id };
    },
  },
  'jobs.replay': onSearch('jobs.replay'),
  'jobs.revoke': onSearch('jobs.revoke'),
  'jobs.promote': onSearch('jobs.promote'),
  'jobs.drop': onSearch('jobs.drop'),
  'jobs.abort': {
    target: (body) => ({ kind: 'jobs', id: textOf(body, 'id') }),
    run: async (_, body, { bulk }) => ({ isAborted: bulk.abort(textOf(body, 'id')) }),
  },
  'dead-letters.replay': {
    target: () => ({ kind: 'dead-letters' }),
    run: (app, body) => app.deadLetters.replayMany(filterOf(body.filter), manyOf(body)),
  },
  'dead-letters.discard': {
    target: () => ({ kind: 'dead-letters' }),
    run: (app, body) => app.deadLetters.discardMany(filterOf(body.filter), manyOf(body)),
  },
} as const satisfies Readonly<Record<string, ActionDefinition>>;

/** Returns the action of a name; undefined for any other text. */
export function actionOf(
  name: string,
): { readonly name: Exclude<DashboardAction, 'view'>; readonly action: ActionDefinition } | undefined {
  if (!Object.hasOwn(ACTIONS, name)) return undefined;
  const known = name as Exclude<DashboardAction, 'view'>;
  return { name: known, action: ACTIONS[known] };
}

/** Returns what was changed. @throws {JobStateError} if that is nothing: then a user must not think it was done. */
function changed<Change extends boolean | number>(change: Change, reason: string): Change {
  if (!change) throw new JobStateError(reason);
  return change;
}

// Checks of bodies: what core does not check

const MAX_TEXT_LENGTH = 1000;

function textOf(body: Body, field: string): string {
  const text = body[field];
  if (typeof text === 'string' && text !== '' && text.length <= MAX_TEXT_LENGTH) return text;
  throw new InvalidOptionError(field, 'a text', text);
}

function queryOf({ q = '' }: Body): string {
  if (typeof q === 'string') return q;
  throw new InvalidOptionError('q', 'a search text', q);
}

/** Returns whether a value is a JSON object. */
export function isRecord(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function inputsOf(inputs: unknown): Body | undefined {
  if (inputs === undefined || isRecord(inputs)) return inputs;
  throw new InvalidOptionError('inputs', 'an object of inputs by step', inputs);
}

function filterOf(filter: unknown): DeadLetterFilter {
  if (!isRecord(filter)) throw new InvalidOptionError('filter', 'an object', filter);
  const { since, until, ...others } = filter;
  return {
    ...others, // core checks them
    ...(typeof since === 'string' && { since: new Date(since) }),
    ...(typeof until === 'string' && { until: new Date(until) }),
  };
}

/** Maximum number of dead letters of one bulk action. */
const MAX_MANY = 1000;

const manyOf = (body: Body) => ({ dryRun: body.dryRun === true, limit: MAX_MANY });
