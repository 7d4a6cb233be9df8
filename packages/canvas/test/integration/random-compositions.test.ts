/** Random compositions of all that there is, run for real and compared with what the interpreter says of them. */
import type { CanvasExpression } from '@umbel/canvas';
import { type App, type AsyncResult, type SignalAnswer, TaskFailedError } from '@umbel/core';
import type { Queue } from 'bullmq';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { searchSeed, sized } from '../../../../test/support/length.js';
import { type Belongings, Interpreter, type Run, TooManyWorlds, type World } from '../support/interpreter.js';
import { cleaned, DEEDS, effectOf, type NodeInput, withSignalKey, workedOn } from '../support/node-task.js';
import type { AnySignature } from '../support/places.js';
import { build, type NodeTask, type Spec, specs } from '../support/random-specs.js';
import { smallest } from '../support/smaller.js';
import { checkTold, follow } from '../support/told.js';

/** A run that takes longer than this hangs. */
const PATIENCE_MS = 60_000;

/** What happened in one run. */
interface Seen extends Run {
  readonly id: string;
}

/** A signal that was sent, and its answer. */
interface Sending {
  readonly key: string;
  readonly by: string;
  readonly answer: SignalAnswer;
}

const PAYLOAD = z.object({ signalBy: z.string(), signalKey: z.string() });

/** The signals that two senders send for one wait: before it begins, about when it begins, or while it is open. */
async function rivals(send: (by: string) => Promise<Sending>, isOpen: () => Promise<boolean>, when: number) {
  if (when === 2) for (let looks = 0; looks < 50 && !(await isOpen()); looks += 1);
  return Promise.all([send('a'), send('b')]);
}

/** The task of all nodes, and what its handler has noted. */
function nodes(app: App) {
  const seen: Seen[] = [];
  const sendings: Promise<readonly Sending[]>[] = [];
  const signals = {
    decided: app.signal({ name: 'decided', payload: PAYLOAD }),
    silent: app.signal({ name: 'silent', payload: PAYLOAD }),
  };
  const sendTo = (key: string) => async (by: string) => {
    const answer = await signals.decided.send(key, { signalBy: by, signalKey: key });
    return { key, by, answer };
  };
  const isOpen = (key: string) => async () => (await app.signals.waiting({ key })).items.length > 0;
  const belongings = new Map<number, AnySignature>();
  const task = app.task({
    name: 'node',
    input: z.object({
      n: z.number(),
      does: z.enum(DEEDS),
      value: z.unknown().optional(),
      extra: z.unknown().optional(),
    }),
    retry: { attempts: 2, delay: 1, on: (error) => error.message === 'try again' },
    run: async (input, ctx): Promise<unknown> => {
      const { n } = input;
      if (input.does === 'retry' && ctx.attempt === 1) throw new Error('try again');
      const value = workedOn(input);
      seen.push({ n, value, id: ctx.id });
      const effect = effectOf(input, value);
      const own = belongings.get(n);
      if (effect.kind === 'fails') throw new Error(`node ${n} fails`);
      if (effect.kind === 'stops') ctx.stop(effect.value);
      if (effect.kind === 'becomes' && own !== undefined) return ctx.replace(own, value);
      if (effect.kind === 'adds' && own !== undefined) await ctx.addToGroup(own, value);
      if (input.does === 'ticket') {
        const when = sendings.length % 3;
        const sent = rivals(sendTo(ctx.id), isOpen(ctx.id), when);
        sendings.push(sent);
        if (when === 0) await sent; // before the wait begins
      }
      return 'value' in effect ? withSignalKey(input.does, effect.value, ctx.id) : null;
    },
  });
  return { seen, sendings, belongings, task: Object.assign(task, { signals }) as unknown as NodeTask };
}

interface Laboratory extends ReturnType<typeof nodes> {
  readonly app: App;
  readonly queues: readonly Queue[];
}

async function laboratory(engine: Engine): Promise<Laboratory> {
  const app = engine.app();
  const all = nodes(app);
  await app.worker({ concurrency: 20 }).start();
  return { app, ...all, queues: [engine.bareQueue('default'), engine.bareQueue('umbel')] };
}

/** Runs a spec, and says what is wrong with it. */
async function examine(lab: Laboratory, spec: Spec, input: string): Promise<void> {
  const { seen, sendings, belongings, task, queues } = lab;
  seen.length = 0;
  sendings.length = 0;
  belongings.clear();
  const signature = build(spec, task, belongings);
  const worlds = worldsOf(signature, belongings, input);
  if (worlds === undefined || worlds.every(({ runs, blocked }) => runs.length + blocked.length === 0)) return;
  // A workflow of immutable calls alone refuses an input.
  const sent = await signature.delay(input).catch(() => signature.delay());
  const following = follow(sent);
  following.catch(() => {}); // told below
  const outcome = await sent.outcome({ timeout: PATIENCE_MS });
  const actual = outcome.ok ? { value: cleaned(outcome.value) } : { error: outcome.error };
  await vi.waitFor(
    async () => {
      const open = await Promise.all(
        queues.map((queue) => queue.getJobCountByTypes('waiting', 'active', 'delayed', 'waiting-children')),
      );
      expect(open, 'no job is left').toEqual([0, 0]);
    },
    { timeout: PATIENCE_MS, interval: 5 },
  );
  expect(await sent.state()).toBe(outcome.ok ? 'completed' : 'failed');
  if ('error' in actual) expect(actual.error).toBeInstanceOf(TaskFailedError);
  const problems = worlds.map((world) => [...endProblems(world, actual), ...runProblems(world, seen)]);
  const [closest] = problems.toSorted((a, b) => a.length - b.length);
  if (closest !== undefined && closest.length > 0) {
    throw new Error(`of ${worlds.length} worlds, the closest differs: ${closest.join('; ')}`);
  }
  await checkStates(lab, sent, worlds);
  checkSignals((await Promise.all(sendings)).flat(), outcome.ok ? outcome.value : undefined);
  const stored = (await queues[0]?.getJobs(['completed', 'failed'])) ?? [];
  const jobs = stored.map((job) => job.id ?? '');
  const text = JSON.stringify(spec);
  // A group that has failed inside of a settled one lets the run go on, and end, while its other members still run.
  const mayLeave = text.includes('"settled"') && /"(fail|picky)"/.test(text);
  const needsAll = !mayLeave && !/"(atLeast|any|cut|fallback)"/.test(text);
  const showsAll = !text.includes('"loop"'); // of a loop, a graph shows the last turn
  await checkTold({ app: lab.app, sent, jobs, followed: await following, needsAll, showsAll });
  for (const queue of queues)
    for (const state of ['completed', 'failed'] as const) await queue.clean(0, 0, state);
}

function worldsOf(
  signature: AnySignature,
  belongings: ReadonlyMap<number, AnySignature>,
  input: string,
): World[] | undefined {
  const expression = (each: AnySignature) => JSON.parse(JSON.stringify(each)) as CanvasExpression;
  const owned: Belongings = new Map([...belongings].map(([n, each]) => [n, expression(each)]));
  try {
    return new Interpreter(owned).run(expression(signature), input);
  } catch (error) {
    if (error instanceof TooManyWorlds) return undefined;
    throw error;
  }
}

function endProblems({ end }: World, actual: { value: unknown } | { error: Error }): string[] {
  if ('error' in actual) {
    const { message } = actual.error;
    const isExpected = end.kind === 'fails' && end.with.some((text) => message.includes(text));
    return isExpected ? [] : [`it failed: ${message}; expected ${JSON.stringify(end)}`];
  }
  const given = JSON.stringify(actual.value);
  const expected = end.kind === 'fails' ? `a failure: ${end.with.join(' or ')}` : JSON.stringify(end.value);
  return given === expected ? [] : [`it gave ${given}; expected ${expected}`];
}

/** Each node runs exactly as often as it should, with the values that it should. */
function runProblems(world: World, seen: readonly Seen[]): string[] {
  const keyOf = ({ n, value }: Run) => `node ${n} with ${JSON.stringify(value)}`;
  const left = new Map<string, number>();
  for (const run of seen) left.set(keyOf(run), (left.get(keyOf(run)) ?? 0) + 1);
  const problems: string[] = [];
  for (const run of world.runs.toSorted(
    (a, b) => Number(a.isUnsure ?? false) - Number(b.isUnsure ?? false),
  )) {
    const key = keyOf(run);
    const count = left.get(key) ?? 0;
    if (count > 0) left.set(key, count - 1);
    else if (!run.isUnsure) problems.push(`${key} did not run`);
  }
  for (const [key, count] of left) if (count > 0) problems.push(`${key} ran ${count} times too often`);
  return problems;
}

/** Each wait took at most one signal, and a later one was a duplicate of it; the result names whose it was. */
function checkSignals(sendings: readonly Sending[], result: unknown): void {
  for (const key of new Set(sendings.map((sending) => sending.key))) {
    const sent = sendings.filter((sending) => sending.key === key);
    const accepted = sent.filter(({ answer }) => answer === 'accepted');
    const told = `answers for ${key}: ${JSON.stringify(sent)}`;
    expect(accepted.length, told).toBeLessThanOrEqual(1);
    if (sent.some(({ answer }) => answer === 'duplicate')) expect(accepted.length, told).toBe(1);
    if (accepted.length > 0)
      expect(
        sent.map(({ answer }) => answer),
        told,
      ).not.toContain('tooLate');
    for (const payload of payloadsIn(result, key)) expect(payload.signalBy, told).toBe(accepted[0]?.by);
  }
}

/** The payloads for a key in a value. */
function payloadsIn(value: unknown, key: string): { signalBy: string }[] {
  if (typeof value !== 'object' || value === null) return [];
  const own = PAYLOAD.safeParse(value);
  const inner = Object.values(value).flatMap((item) => payloadsIn(item, key));
  return own.success && own.data.signalKey === key ? [own.data, ...inner] : inner;
}

/** Each job has the final state that tells what became of it. */
async function checkStates(
  { app, seen, queues: [queue] }: Laboratory,
  sent: AsyncResult<unknown>,
  worlds: readonly World[],
): Promise<void> {
  const jobs = (await queue?.getJobs(['completed', 'failed'])) ?? [];
  for (const job of jobs) {
    const { input, items } = job.data as { input: NodeInput; items?: unknown };
    const state = await app.result(job.id ?? '').state();
    const runs = seen.filter(({ id }) => id === job.id);
    const label = `state of job ${job.id}, node ${input.n} (${input.does})`;
    expect(job.id?.startsWith(sent.id.replace(/\.0$/, '')), label).toBe(true);
    if (items !== undefined) continue;
    const [run] = runs;
    expect(runs.length, `runs of job ${job.id}`).toBeLessThanOrEqual(1);
    if (run === undefined) {
      const allowed = [
        ...(worlds.some(({ skipped: all }) => all.includes(input.n)) ? ['skipped'] : []),
        ...(worlds.some(({ blocked }) => blocked.includes(input.n)) ? ['failed'] : []),
      ];
      expect(allowed, `${label}, which did not run`).toContain(state);
    } else {
      const effect = effectOf(input, run.value).kind;
      const allowed =
        effect === 'fails' ? ['failed'] : effect === 'becomes' ? ['completed', 'failed'] : ['completed'];
      expect(allowed, label).toContain(state);
    }
  }
}

onEveryEngine('a random composition', (engine) => {
  const usual = engine.name === 'memory' ? sized(40, 200) : sized(10, 40);
  const numRuns = Number(process.env.UMBEL_RANDOM_RUNS ?? usual);
  const seed = searchSeed(process.env.UMBEL_RANDOM_SEED, 1);

  test('gives what its expression says, in order, with every step run once', {
    timeout: 3_600_000,
  }, async () => {
    const lab = await laboratory(engine);
    const property = fc.asyncProperty(specs, fc.string({ maxLength: 3 }), async (spec, input) => {
      const error = await faultIn(lab, spec, input);
      if (error === undefined) return;
      // What a fault leaves behind is not to be taken for another one.
      const anew = async (other: Spec) => faultIn(await laboratory(engine), other, input);
      const found = await smallest(spec, error, anew);
      const first = error instanceof Error ? error.message : String(error);
      throw new Error(`${first}; made smaller: ${JSON.stringify(found.spec)}`, { cause: found.error });
    });
    await fc.assert(property, { numRuns, seed, endOnFailure: true });
  });
});

async function faultIn(lab: Laboratory, spec: Spec, input: string): Promise<unknown> {
  try {
    await examine(lab, spec, input);
    return undefined;
  } catch (error) {
    return error;
  }
}
