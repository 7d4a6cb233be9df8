/** What ends a wait, two at the same moment, in every pair: one of them wins, and every answer fits the outcome. */
import { chain, waitFor } from '@umbel/canvas';
import type { AsyncResult, SignalAnswer } from '@umbel/core';
import type { Job } from 'bullmq';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { sized } from '../../../../test/support/length.js';
import { signalRecordId } from '../../../core/src/job/signal-wait.js';
import {
  SIGNAL_QUEUE,
  type SignalPrimitives,
  signalPrimitivesOf,
} from '../../../core/src/store/primitives/signals.js';

const soon = { timeout: '50s' } as const;
const LATE = { by: 'timeout' };
/** When a wait ends by its time, where that is one of the two. */
const SHORT_MS = 80;

interface Wait {
  readonly key: string;
  readonly run: AsyncResult<string>;
  /** Answers of signals, with their senders. */
  readonly answers: { readonly by: string; readonly answer: SignalAnswer }[];
}

/** Something that can end a wait. */
interface Ending {
  /** Options that it needs: of the wait, and of its run. */
  readonly timeout?: number;
  readonly expires?: number;
  act(laboratory: Laboratory, wait: Wait): Promise<unknown>;
}

type Laboratory = Awaited<ReturnType<typeof open>>;

async function open(engine: Engine) {
  const app = engine.app();
  const decided = app.signal({ name: 'decided', payload: z.object({ by: z.string() }) });
  const note = app.task({ name: 'note', input: z.object({ by: z.string() }), run: async ({ by }) => by });
  await app.worker({ concurrency: 20 }).start();
  return { app, decided, note };
}

const signalBy = (by: string): Ending => ({
  act: async ({ decided }, { key, answers }) => {
    answers.push({ by, answer: await decided.send(key, { by }) });
  },
});
/** Resolves at the end of the wait, by the clock of this process. */
const atItsTime = async (): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, SHORT_MS / 2));
};

const ENDINGS: Readonly<Record<string, Ending>> = {
  'a signal': signalBy('a'),
  'another signal': signalBy('b'),
  'its timeout': { timeout: SHORT_MS, act: atItsTime },
  'a revocation': { act: (_, { run }) => run.revoke() },
  'the expiry of its run': { expires: SHORT_MS, act: atItsTime },
  'a wake': { act: ({ app }, { run }) => app.result(run.id).wake().catch(String) }, // refused: it is no sleep
  'a resume': { act: (_, { run }) => run.resume().catch(String) }, // refused while it goes on
  'a repair': { act: ({ app }) => app.repair() },
};

const names = Object.keys(ENDINGS);
const PAIRS = names.flatMap((first, index) =>
  names.slice(index + 1).map((second) => [first, second] as const),
);

/** Starts a wait and lets two endings act at once. Half of the pairs meet around the end of the wait. */
async function race(laboratory: Laboratory, pair: readonly Ending[], key: string): Promise<Wait> {
  const { decided, note, app } = laboratory;
  const timeout = pair.find((ending) => ending.timeout !== undefined)?.timeout ?? '1h';
  const expires = pair.find((ending) => ending.expires !== undefined)?.expires;
  const flow = chain(waitFor(decided, { key: { text: key }, timeout, onTimeout: LATE }), note);
  const run = await flow.applyAsync(undefined, expires === undefined ? {} : { expires });
  const wait: Wait = { key, run, answers: [] };
  const isTimed = timeout !== '1h' || expires !== undefined;
  for (let looks = 0; looks < 50; looks += 1)
    if ((await app.signals.waiting({ key })).items.length > 0) break;
  const [first, second] = pair;
  const act = (ending: Ending | undefined) => ending?.act(laboratory, wait);
  await Promise.all([
    act(first),
    act(second),
    isTimed ? atItsTime().then(() => act(signalBy('late'))) : undefined,
  ]);
  // What has neither a signal nor an end of its own is ended at last.
  if (!isTimed) await act(signalBy('z'));
  return wait;
}

/** What does not fit together in the outcome and the answers. */
async function problemsOf({ run, answers }: Wait): Promise<string[]> {
  const outcome = await run.outcome(soon);
  const problems: string[] = [];
  const accepted = answers.filter(({ answer }) => answer === 'accepted').map(({ by }) => by);
  const isDuplicate = answers.some(({ answer }) => answer === 'duplicate');
  const isTooLate = answers.some(({ answer }) => answer === 'tooLate');
  if (accepted.length > 1) problems.push('two signals were accepted');
  if (isDuplicate && isTooLate) problems.push('a duplicate, and too late');
  if (isDuplicate && accepted.length === 0) problems.push('a duplicate of nothing');
  if (accepted.length > 0 && isTooLate) problems.push('too late for the signal that won');
  if (outcome.ok && outcome.value === LATE.by && accepted.length > 0)
    problems.push('its time was over, and a signal was accepted');
  if (outcome.ok && outcome.value !== LATE.by && outcome.value !== accepted[0])
    problems.push('it took another signal than the accepted one');
  const state = outcome.ok ? 'completed' : outcome.error.state;
  if (!['completed', 'revoked', 'expired'].includes(state ?? '')) problems.push(`its state is ${state}`);
  const told = JSON.stringify({ answers, outcome: outcome.ok ? outcome.value : outcome.error.message });
  return problems.map((problem) => `${problem}: ${told}`);
}

onEveryEngine('two of what can end a wait, at the same moment', (engine) => {
  test.each(PAIRS)('%s and %s: one wins', async (first, second) => {
    const laboratory = await open(engine);
    const pair = [ENDINGS[first], ENDINGS[second]].filter((ending) => ending !== undefined);
    const rounds = Array.from({ length: sized(4, 40) }, (_, round) => round);
    const waits = await Promise.all(
      rounds.map((round) => race(laboratory, round % 2 === 0 ? pair : pair.toReversed(), `key-${round}`)),
    );
    expect((await Promise.all(waits.map(problemsOf))).flat()).toEqual([]);
    await laboratory.app.repair();
    await expect.poll(async () => (await laboratory.app.signals.waiting()).items).toEqual([]);
    await expect
      .poll(() =>
        engine.bareQueue('umbel').getJobCountByTypes('waiting', 'active', 'delayed', 'waiting-children'),
      )
      .toBe(0);
  });

  test('a resume and a signal: the signal is for the wait that begins again, or too late for the old one', async () => {
    const laboratory = await open(engine);
    const { decided, note } = laboratory;
    const flow = chain(waitFor(decided, { key: { text: 'again' }, timeout: 20 }), note);
    const run = await flow.delay();
    expect((await run.outcome(soon)).ok).toBe(false);
    const [, answer] = await Promise.all([run.resume(), decided.send('again', { by: 'a' })]);
    const outcome = await run.outcome(soon);
    expect([answer, outcome.ok]).toEqual(answer === 'accepted' ? ['accepted', true] : ['tooLate', false]);
  });
});

onEveryEngine('a wait whose first worker was lost after it had registered the wait', (engine) => {
  /** Sends a run whose wait is registered in the store, by a start that has stored nothing else. */
  async function registered(endsInMs: number, options: { expires?: number } = {}) {
    const app = engine.app();
    const decided = app.signal({ name: 'decided', payload: z.object({ by: z.string() }) });
    const flow = chain(waitFor(decided, { key: { text: 'k' }, timeout: '1h', onTimeout: LATE }));
    const run = await flow.applyAsync(undefined, options);
    const hand = engine.bareWorker('umbel');
    await hand.waitUntilReady();
    const job = (await hand.getNextJob('lost')) as Job;
    const now = Date.now();
    await (signalPrimitivesOf(engine.bareQueue(SIGNAL_QUEUE).getBackend()) as SignalPrimitives).startWait({
      ...{ id: signalRecordId('decided', 'k'), signal: 'decided', key: 'k', job: job.id as string },
      ...{ since: now + endsInMs - 3_600_000, until: now + endsInMs, isRestart: false },
    });
    return { app, decided, run, recover: () => job.moveToDelayed(Date.now(), 'lost') };
  }

  test('has timed out if a signal was told so', async () => {
    const { app, decided, run, recover } = await registered(-1);
    expect(await decided.send('k', { by: 'a' })).toBe('tooLate');
    await recover();
    await app.worker().start();
    expect(await run.get(soon)).toEqual(LATE);
    expect(await decided.send('k', { by: 'b' })).toBe('tooLate');
  });

  test('has the signal that was accepted, although its run has expired meanwhile', async () => {
    const { app, decided, run, recover } = await registered(60_000, { expires: 200 });
    expect(await decided.send('k', { by: 'a' })).toBe('accepted');
    await new Promise((resolve) => setTimeout(resolve, 200));
    await recover();
    await app.worker().start();
    expect(await run.get(soon)).toEqual({ by: 'a' });
  });
});
