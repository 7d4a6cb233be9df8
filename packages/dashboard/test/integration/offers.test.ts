/** Every action in every state: what a page offers changes something, and the server refuses the rest with a reason. */
import { chain, sleep } from '@umbel/canvas';
import type { App, JobState } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';
import { actionsOnJob, actionsOnRun, actionsOnSearch } from '../../page/src/parts/offers.js';
import { dashboard } from '../../src/index.js';
import { Client } from '../support/client.js';

const soon = { timeout: '50s' } as const;

const JOB_ACTIONS = ['job.replay', 'job.promote', 'job.revoke', 'job.drop'];
const RUN_ACTIONS = ['run.resume', 'run.wake', 'job.revoke', 'job.drop'];
const BULK_ACTIONS = ['jobs.replay', 'jobs.promote', 'jobs.revoke', 'jobs.drop'];

/** Functions that send a job or a run, and wait until it is in a state. */
type Creators = Readonly<Record<string, () => Promise<string>>>;

/** Calls `use`, and ends the jobs that run until they are aborted: else the app never closes. */
async function withCreators(app: App, use: (all: { jobs: Creators; runs: Creators }) => Promise<void>) {
  const end = new AbortController();
  try {
    await use(await declared(app, end.signal));
  } finally {
    end.abort();
  }
}

async function declared(app: App, end: AbortSignal) {
  const idle = app.task({ name: 'idle', queue: 'unserved', run: async () => null });
  const good = app.task({ name: 'good', run: async () => null });
  const bad = app.task({
    name: 'bad',
    run: async (): Promise<null> => {
      throw new Error('no');
    },
  });
  const endless = app.task({
    name: 'endless',
    run: (_input: void, { signal }) =>
      new Promise<null>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        end.addEventListener('abort', () => resolve(null));
      }),
  });
  const late = app.task({ name: 'late', input: z.number(), run: async () => null });
  await app.worker({ queues: ['default'], concurrency: 20 }).start();
  const reached = async (id: string, state: JobState) => {
    await vi.waitFor(async () => expect(await app.result(id).state()).toBe(state), 20_000);
    return id;
  };
  const revoked = async (id: string) => {
    await app.result(id).revoke({ terminate: true });
    return reached(id, 'revoked');
  };
  const jobs: Creators = {
    waiting: async () => (await idle.delay()).id,
    delayed: async () => (await good.applyAsync(undefined, { countdown: '1h' })).id,
    active: async () => reached((await endless.delay()).id, 'active'),
    completed: async () => reached((await good.delay()).id, 'completed'),
    failed: async () => reached((await bad.delay()).id, 'failed'),
    expired: async () => reached((await late.applyAsync(1, { countdown: 20, expires: 1 })).id, 'expired'),
    revoked: async () => revoked((await endless.delay()).id),
    'waiting-children': async () =>
      reached(`${(await chain(idle, good.si()).delay()).id}.0`, 'waiting-children'),
  };
  const runs: Creators = {
    'in progress': async () => (await chain(idle, good.si()).delay()).id,
    asleep: async () => {
      const { id } = await chain(good, sleep('1h'), good.si()).delay();
      await vi.waitFor(async () => expect((await app.result(id).counts()).completed).toBe(1), 20_000);
      await vi.waitFor(async () => expect((await app.jobs.waitReason(id))?.text).toContain('sleep'), 20_000);
      return id;
    },
    completed: async () => reached((await chain(good, good.si()).delay()).id, 'completed'),
    failed: async () => reached((await chain(bad, good.si()).delay()).id, 'failed'),
    revoked: async () => revoked((await chain(endless, good.si()).delay()).id),
  };
  return { jobs, runs };
}

onEveryEngine(
  'an action',
  (engine) => {
    function opened() {
      const app = engine.app();
      const client = new Client(dashboard(app, { onAction: () => {} }));
      /** Sends an action: `done`, or the reason of a refusal. */
      const send = async (action: string, id: string) => {
        const response = await client.post(`/api/actions/${action}`, { id, terminate: true });
        const answer = (await response.json()) as { error?: { message: string } };
        expect([200, 409]).toContain(response.status);
        return response.status === 200 ? 'done' : (answer.error?.message ?? '');
      };
      return { app, client, send };
    }

    test('on a job changes it in each state in which it is offered, and in no other one', async () => {
      const { app, client, send } = opened();
      await withCreators(app, async ({ jobs }) => {
        const refusals: Record<string, string> = {};
        for (const [state, create] of Object.entries(jobs)) {
          for (const action of JOB_ACTIONS) {
            const id = await create();
            const job = await client.read<Parameters<typeof actionsOnJob>[0]>(`/jobs/${id}`);
            expect(job.state).toBe(state);
            const isOffered = actionsOnJob(job).includes(action);
            const answer = await send(action, id);
            expect({ state, action, isDone: answer === 'done' }).toEqual({
              state,
              action,
              isDone: isOffered,
            });
            if (!isOffered) refusals[`${state} ${action}`] = answer.replaceAll(id, 'ID');
            else {
              await vi.waitFor(async () => {
                // A revoked job is in its queue until a worker takes it.
                const reason = action === 'job.revoke' ? await app.jobs.waitReason(id) : undefined;
                const isRevoked = reason?.text.includes('It is revoked') === true;
                expect(isRevoked || (await app.result(id).state()) !== state).toBe(true);
              }, 20_000);
            }
          }
        }
        expect(refusals).toMatchObject({
          'failed job.promote': 'Job ID is not delayed.',
          'completed job.revoke': 'Job ID has ended, or is revoked already.',
          'waiting job.replay': 'Job ID is waiting, not failed.',
        });
      });
    });

    test('on a run changes it in each state in which it is offered, and in no other one', async () => {
      const { app, client, send } = opened();
      await withCreators(app, async ({ runs }) => {
        for (const [name, create] of Object.entries(runs)) {
          for (const action of RUN_ACTIONS) {
            const id = await create();
            const run = await client.read<Parameters<typeof actionsOnRun>[0]>(`/runs/${id}`);
            const isOffered = actionsOnRun(run).includes(action);
            const answer = await send(action, id);
            expect({ name, action, isDone: answer === 'done' }).toEqual({ name, action, isDone: isOffered });
            if (action === 'run.wake' && isOffered) await app.result(id).get(soon);
          }
        }
      });
    });

    test('on a search is offered if it can change one of the jobs, else refused with the states that it changes', async () => {
      const { app, client } = opened();
      await withCreators(app, async ({ jobs }) => {
        for (const create of Object.values(jobs)) await create();
        const searches = [
          ...Object.keys(jobs).map((state) => `state:${state}`),
          ...[
            'state:retrying',
            'state:stuck',
            'task:bad',
            'task:good',
            'task:endless -state:active',
            'task:none',
          ],
        ];
        const offered = new Map<string, readonly string[]>();
        for (const q of searches) {
          const found = await client.read<Parameters<typeof actionsOnSearch>[0]>(
            `/list/jobs?${new URLSearchParams({ q })}`,
          );
          const { items } = found;
          const actions = actionsOnSearch(found, true);
          offered.set(q, actions);
          for (const action of BULK_ACTIONS) {
            const response = await client.get(
              `/api/operations/preview?${new URLSearchParams({ action, q })}`,
            );
            const answer = (await response.json()) as { count?: number; error?: { message: string } };
            const isOffered = actions.includes(action);
            if (isOffered) expect({ q, action, ...answer }).toMatchObject({ count: expect.any(Number) });
            expect({ q, action, isChange: (answer.count ?? 0) > 0 }).toEqual({
              q,
              action,
              isChange: isOffered,
            });
            if (q.startsWith('state:') && items.length > 0 && !isOffered)
              expect(answer.error?.message).toContain('a search for jobs that are');
          }
        }
        expect(Object.fromEntries(offered)).toMatchObject({
          'state:failed': ['jobs.replay', 'jobs.drop'],
          'state:delayed': ['jobs.revoke', 'jobs.promote'],
          'state:revoked': ['jobs.drop'],
          'task:bad': ['jobs.replay', 'jobs.drop'],
          'task:good': ['jobs.revoke', 'jobs.promote', 'jobs.drop'],
          'task:none': [],
        });
      });
    });
  },
  ['memory'],
);
