/**
 * Signals, timeouts and revocations race for the same waits while workers die. Afterwards each wait has one outcome, which
 * fits every answer that a sender got.
 */
import { chain, waitFor } from '@umbel/canvas';
import { type AsyncResult, createApp, type SignalAnswer, TaskFailedError } from '@umbel/core';
import { createRedisBackend } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, expect, inject, test } from 'vitest';
import { z } from 'zod';
import { sized } from '../../../../test/support/length.js';
import { dyingStore } from '../support/dying-store.js';
import type { CommandPoint } from '../support/kill-points.js';

const quiet = { info() {}, warn() {}, error() {} };
const soon = { timeout: '2m' } as const;
const PREFIX = `signals-${crypto.randomUUID()}`;
/** Races that run at the same time. */
const AT_ONCE = 8;
const [LEAST_RACES, MOST_RACES] = [sized(40, 300), 3000];
const LATE = { by: 'timeout' };
const redis = new Redis(inject('redisUrl'));

afterAll(async () => {
  for await (const keys of redis.scanStream({ match: `umbel:{${PREFIX}*`, count: 1000 }))
    if (keys.length > 0) await redis.unlink(keys);
  redis.disconnect();
});

/** Where workers die, one after the other. */
const DEATHS: readonly CommandPoint[] = [
  { when: 'before', command: 'moveToDelayed' },
  { when: 'after', command: 'moveToDelayed' },
  { when: 'after', command: 'moveToActive' },
  { when: 'before', command: 'moveToCompleted', job: 'umbel:wait' },
  { when: 'after', command: 'moveToCompleted', job: 'umbel:wait' },
];

function open(name: string, death?: CommandPoint, times = 1) {
  const store = dyingStore(createRedisBackend, inject('redisUrl'), death, times);
  const app = createApp({ name, connection: store.connection, logger: quiet, sendTimeout: '1m' });
  const decided = app.signal({ name: 'decided', payload: z.object({ by: z.string() }) });
  const note = app.task({ name: 'note', input: z.object({ by: z.string() }), run: async ({ by }) => by });
  return { app, store, decided, note };
}

type Sender = ReturnType<typeof open>;

interface Race {
  readonly key: string;
  readonly run: AsyncResult<string>;
  readonly answers: readonly { readonly by: string; readonly answer: SignalAnswer }[];
}

/** A wait that only one of the racers is there for, so that each kind of outcome is seen whatever the machine's speed. */
async function walkover({ decided, note }: Sender, winner: 'signal' | 'timeout' | 'revoked'): Promise<Race> {
  const key = `only-${winner}`;
  const timeout = winner === 'timeout' ? 100 : '1h';
  const run = await chain(waitFor(decided, { key: { text: key }, timeout, onTimeout: LATE }), note).delay();
  if (winner === 'revoked') await run.revoke();
  const answers = winner === 'signal' ? [{ by: 'a', answer: await decided.send(key, { by: 'a' }) }] : [];
  return { key, run, answers };
}

/** Lets senders, a timeout and sometimes a revocation race for one wait. */
async function race({ decided, note }: Sender, key: string, random: () => number): Promise<Race> {
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, random() * ms));
  const answers: { by: string; answer: SignalAnswer }[] = [];
  const send = async (by: string, ms: number) => {
    await pause(ms);
    answers.push({ by, answer: await decided.send(key, { by }) });
  };
  const timeout = 100 + Math.round(random() * 500);
  const run = await chain(waitFor(decided, { key: { text: key }, timeout, onTimeout: LATE }), note).delay();
  const sending = [send('a', 800), send('b', 800), send('c', 2000)];
  const revoking = random() < 0.3 ? pause(800).then(() => run.revoke()) : undefined;
  await Promise.all([...sending, revoking]);
  return { key, run, answers };
}

/** What is wrong with the outcome of a race. */
async function problemsOf({ key, run, answers }: Race): Promise<string[]> {
  const outcome = await run.outcome(soon);
  const accepted = answers.filter(({ answer }) => answer === 'accepted');
  const told = JSON.stringify(answers);
  const by = outcome.ok ? outcome.value : undefined;
  const problems: string[] = [];
  const say = (problem: string) => problems.push(`${key}: ${problem}, answers ${told}, result ${by}`);
  if (!outcome.ok) {
    // A revoked run may have taken a signal before.
    const isRevoked = outcome.error instanceof TaskFailedError && outcome.error.state === 'revoked';
    if (!isRevoked) say(`failed: ${outcome.error.message}`);
    if (accepted.length > 1) say('two signals were accepted');
    return problems;
  }
  if (by === LATE.by && accepted.length > 0) say('timed out although a signal was accepted');
  if (by !== LATE.by && (accepted.length !== 1 || accepted[0]?.by !== by)) say('another signal was accepted');
  if (by === LATE.by && answers.some(({ answer }) => answer === 'duplicate')) say('a duplicate of nothing');
  if (by !== LATE.by && answers.some(({ answer }) => answer === 'tooLate'))
    say('too late for a signal that won');
  return problems;
}

test('have one winner each, which fits every answer', async () => {
  const name = `${PREFIX}-race`;
  const sender = open(name);
  const isDying = { is: true };
  const deaths: string[] = [];
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const dieAgainAndAgain = async () => {
    for (let nth = 0; isDying.is; nth += 1) {
      const death = DEATHS[nth % DEATHS.length];
      if (death === undefined) return;
      const dying = open(name, death, 1 + (nth % 7));
      const worker = await dying.app.worker({ lockDuration: '1s', repairInterval: '1s' }).start();
      begin();
      while (isDying.is && !dying.store.isDead) await new Promise((resolve) => setTimeout(resolve, 10));
      if (dying.store.isDead) {
        deaths.push(`${death.when} ${death.command}`);
        worker.close({ force: true }).catch(() => {});
      } else await dying.app.close();
    }
  };
  let seed = 7;
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  const dying = [dieAgainAndAgain(), dieAgainAndAgain()];
  await begun;
  const races: Race[] = await Promise.all(
    (['signal', 'timeout', 'revoked'] as const).map((winner) => walkover(sender, winner)),
  );
  let count = 0;
  const raceOn = async () => {
    // However slowly workers die, several of their deaths fall into the races.
    while (count < LEAST_RACES || (new Set(deaths).size <= 2 && count < MOST_RACES)) {
      count += 1;
      races.push(await race(sender, `key-${count}`, random));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, raceOn));
  isDying.is = false;
  await Promise.all(dying);
  const survivor = open(name);
  await survivor.app.worker({ lockDuration: '1s', repairInterval: '1s' }).start();
  const problems = (await Promise.all(races.map(problemsOf))).flat();
  expect(problems).toEqual([]);
  expect(new Set(deaths).size).toBeGreaterThan(2);
  const results = await Promise.all(races.map(({ run }) => run.outcome(soon)));
  const kinds = new Set(
    results.map((outcome) => (outcome.ok ? (outcome.value === LATE.by ? 'late' : 'signal') : 'revoked')),
  );
  expect([...kinds].sort()).toEqual(['late', 'revoked', 'signal']);
  await survivor.app.repair();
  expect((await survivor.app.signals.waiting()).items).toEqual([]);
  await Promise.all([survivor.app.close(), sender.app.close()]);
}, 300_000);
