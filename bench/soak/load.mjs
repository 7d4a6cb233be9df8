// What a soak sends: kinds of load, each of which sends, waits until all of it has ended, and pauses.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { chain, chord, group, map } from '@umbel/canvas';

/** Longest wait for one result: jobs of a killed worker wait for half a minute, those of a busy machine longer. */
const WAIT = { timeout: '150s' };
const LARGE = 300;
const WAITERS = 50;
const READERS = 5;
/** How long a reader of events stays. */
const READ_MS = 5000;
/** Schedules give events every second, also while nothing is sent. */
const LONGEST_READ_MS = 40_000;

const equal = (given, expected) => {
  if (given !== expected) throw new Error(`expected ${String(expected)}, got ${String(given)}`);
};
const numbers = (count) => Array.from({ length: count }, (_, n) => ({ n }));

/** By name: how long from one start to the next, and one pass. A pass that takes longer is followed by the next at once. */
export function kindsOf({ app, work, next, sum, flaky, doomed, slow, held, index, save, note }) {
  return {
    calls: {
      everyMs: 250,
      pass: async (n) => {
        const results = await Promise.all(numbers(5).map((input) => work.delay(input)));
        for (const [at, result] of results.entries()) equal((await result.get(WAIT)).n, at + 1);
        if (n % 10 === 0) await results[0].forget();
      },
    },
    retries: { everyMs: 500, pass: async (n) => equal(await (await flaky.delay({ n })).get(WAIT), n) },
    delays: {
      everyMs: 500,
      pass: async (n) => {
        const later = await work.applyAsync({ n }, { countdown: 200 });
        const key = `key-${n}`;
        const twice = await Promise.all(
          [1, 2].map(() => work.applyAsync({ n }, { countdown: 100, idempotencyKey: key })),
        );
        equal(twice[0].id, twice[1].id);
        await Promise.all([later, ...twice].map((result) => result.get(WAIT)));
      },
    },
    chains: {
      everyMs: 300,
      pass: async (n) => {
        const steps = chain(work.s({ n }), next, next).link(note).finally(note);
        equal((await (await steps.delay()).get(WAIT)).n, n + 3);
      },
    },
    chords: {
      everyMs: 500,
      pass: async (n) => {
        const run = await chord(
          numbers(5).map((input) => work.s(input)),
          sum,
        ).delay();
        equal(await run.get(WAIT), 15);
        if (n % 5 > 0) return;
        const both = group({ a: work.s({ n }), b: flaky.s({ n }) });
        equal((await (await both.delay()).get(WAIT)).b, n);
      },
    },
    'large groups': {
      everyMs: 10_000,
      pass: async () => {
        const run = await map(next, numbers(LARGE)).delay();
        let members = 0;
        for await (const member of run.members(WAIT)) if (member.ok) members += 1;
        equal(members, LARGE);
      },
    },
    tags: {
      everyMs: 500,
      pass: async () => {
        const tag = `order-${randomUUID()}`;
        const sent = await work.applyAsync({ n: 1 }, { tags: [tag, 'soak'] });
        const found = [];
        for await (const each of app.find({ tag })) found.push(each.id);
        equal(found.join(), sent.id);
        await sent.get(WAIT);
      },
    },
    duplicates: {
      everyMs: 1000,
      pass: async (n) => {
        const key = `page-${n}`;
        const same = await Promise.all([1, 2, 3].map(() => index.delay({ key })));
        await Promise.all(same.map((result) => result.get(WAIT)));
        for (let count = 0; count < 3; count += 1) await save.delay({ key });
      },
    },
    progress: {
      everyMs: 500,
      pass: async (n) => {
        const result = await slow.delay({ n });
        for await (const { percent } of result.progress(WAIT)) equal(percent % 25, 0);
        equal(await result.get(WAIT), n);
      },
    },
    waiters: {
      everyMs: 2000,
      pass: async (n) => {
        const result = await work.applyAsync({ n }, { countdown: 500 });
        const all = await Promise.all(numbers(WAITERS).map(() => app.result(work, result.id).get(WAIT)));
        equal(all.length, WAITERS);
        // Those that leave before it ends.
        const left = await held.delay();
        const waits = numbers(WAITERS).map(() =>
          left.get({ signal: AbortSignal.timeout(50) }).catch(() => 'left'),
        );
        equal(new Set(await Promise.all(waits)).size, 1);
        await left.revoke({ terminate: true });
      },
    },
    revokes: {
      everyMs: 1000,
      pass: async (n) => {
        const running = await held.delay();
        const waiting = await work.applyAsync({ n }, { countdown: '1h' });
        const steps = await chain(held, note).delay();
        await sleep(100);
        await Promise.all([
          waiting.revoke(),
          running.revoke({ terminate: true }),
          steps.revoke({ terminate: true }),
        ]);
        for (const each of [running, waiting, steps]) equal((await each.outcome(WAIT)).ok, false);
      },
    },
    'dead letters': {
      everyMs: 1000,
      pass: async (n) => {
        const [again, gone, left] = await Promise.all(
          numbers(3).map(() => doomed.delay({ n, isFixed: false })),
        );
        for (const each of [again, gone, left]) equal((await each.outcome(WAIT)).ok, false);
        await app.deadLetters.replay(again.id, { input: { n, isFixed: true } });
        equal(await again.get(WAIT), n);
        await app.deadLetters.discard(gone.id);
        await app.deadLetters.get(left.id);
        const broken = await chain(work.s({ n }), doomed.si({ n, isFixed: false }))
          .link(note)
          .linkError(note)
          .delay();
        equal((await broken.outcome(WAIT)).ok, false);
      },
    },
    ...Object.fromEntries(
      Array.from({ length: READERS }, (_, reader) => [
        `reader ${reader + 1}`,
        {
          everyMs: 1000,
          // By turns it is aborted, and leaves by itself once it has seen something.
          pass: async (n) => {
            const until = performance.now() + READ_MS;
            const signal = AbortSignal.timeout(n % 2 === 0 ? READ_MS : LONGEST_READ_MS);
            let seen = 0;
            for await (const { at } of app.events({ signal })) {
              if (at instanceof Date) seen += 1;
              if (n % 2 === 1 && performance.now() > until) break;
            }
            if (n % 2 === 1 && seen === 0) throw new Error('a reader has seen no event');
          },
        },
      ]),
    ),
  };
}
