/** Judges what was found out about a store and the jobs in it. */
import type { Diagnosis, StoreReport } from '@umbel/core';
import { counted, shortDuration } from '../output/text.js';
import { type Check, ok } from './check.js';

/** What BullMQ's scripts need, and what it recommends. */
const OLDEST = [5, 0];
const RECOMMENDED = [6, 2];
const MAX_OFFSET_MS = 1000;
const MOST_DETAILS = 20;

export function storeChecks(store: StoreReport | undefined): Check[] {
  if (store === undefined) return [ok('store', 'a store that tells nothing of itself')];
  return [versionCheck(store), policyCheck(store), persistenceCheck(store), clockCheck(store)].filter(
    (check) => check !== undefined,
  );
}

function versionCheck({ version }: StoreReport): Check | undefined {
  if (version === undefined) return undefined;
  const own = version.split('.').map(Number);
  const message = `Redis ${version}`;
  const isBelow = ([major = 0, minor = 0]: readonly number[]) =>
    (own[0] ?? 0) < major || ((own[0] ?? 0) === major && (own[1] ?? 0) < minor);
  if (isBelow(OLDEST)) return { id: 'version', status: 'error', message, hint: 'Workers need 5.0 or newer.' };
  if (isBelow(RECOMMENDED))
    return { id: 'version', status: 'warning', message, hint: '6.2 or newer is better.' };
  return ok('version', message);
}

function policyCheck({ evictionPolicy: policy }: StoreReport): Check | undefined {
  if (policy === undefined) return undefined;
  const message = `maxmemory-policy is ${policy}`;
  if (policy === 'noeviction') return ok('eviction', message);
  const hint = 'It loses jobs when its memory is full: CONFIG SET maxmemory-policy noeviction';
  return { id: 'eviction', status: 'error', message, hint };
}

function persistenceCheck({ hasAppendOnlyFile: hasIt }: StoreReport): Check | undefined {
  if (hasIt === undefined) return undefined;
  if (hasIt) return ok('persistence', 'it keeps an append-only file');
  return {
    id: 'persistence',
    status: 'warning',
    message: 'it keeps no append-only file',
    hint: 'What it has taken since its last snapshot is lost when it stops: appendonly yes',
  };
}

function clockCheck({ clockOffsetMs: offset }: StoreReport): Check | undefined {
  if (offset === undefined) return undefined;
  const far = shortDuration(Math.abs(offset));
  if (Math.abs(offset) <= MAX_OFFSET_MS)
    return ok('clock', `this machine's clock is within ${far} of the store's`);
  const message = `this machine's clock is ${far} ${offset > 0 ? 'ahead of' : 'behind'} the store's`;
  return { id: 'clock', status: 'warning', message, hint: 'Set it by NTP; workers go by that of the store.' };
}

export function stuckCheck({ stuck: { checked, started, lost, ended } }: Diagnosis): Check {
  const count = started + lost + ended;
  const looked = counted(checked, 'waiting step');
  if (count === 0) return ok('stuck', `${looked}, none of them waits in vain`);
  return {
    id: 'stuck',
    status: 'error',
    message: `of ${looked}, ${count} wait for what will never come`,
    hint: 'A running worker repairs them within minutes, app.repair() does at once. Has something removed or evicted jobs?',
    details: [
      `${started} wait for nothing`,
      `${lost} wait for a job that is gone from the store`,
      `${ended} wait for a job that has ended`,
    ],
  };
}

/** Without the app's code, nothing can be said of tasks and inputs. */
export function queuedCheck({ queued: { checked, problems } }: Diagnosis, knowsTasks: boolean): Check {
  const looked = counted(checked, 'queued job');
  if (!knowsTasks)
    return ok('queued', `${looked}; what they hold is checked with the app's code only (--app)`);
  const bad = problems.filter(({ problem }) => problem !== 'foreign');
  const foreign = problems.length - bad.length;
  const others = foreign === 0 ? '' : `, ${foreign} of another program`;
  if (bad.length === 0) return ok('queued', `${looked} fit the tasks of the app${others}`);
  const unknown = bad.filter(({ problem }) => problem === 'unknown-task').length;
  return {
    id: 'queued',
    status: 'error',
    message: `of ${looked}, ${bad.length - unknown} do not fit the schema of their task, and ${unknown} are of tasks that the app does not have${others}`,
    hint: 'They fail once a worker with this code takes them. Let the code take the old form too until they are done.',
    details: bad.slice(0, MOST_DETAILS).map(({ id, task, queue, problem, issues = [] }) => {
      const why =
        problem === 'unknown-task'
          ? 'no such task'
          : issues.map(({ path, message }) => `${path}: ${message}`).join('; ');
      return `${task} ${id} in ${queue}: ${why}`;
    }),
  };
}
