import { CanvasError, chain, chord, group, map } from '@umbel/canvas';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../../test/engines.js';
import { failure, soon, start, value } from '../../support/running.js';

onEveryEngine('a chain', (engine) => {
  test('6. each result is the next step’s input; the chain’s result is the last step’s', async () => {
    const { add, double, runs } = await start(engine);
    expect(await value(chain(add, double, double).delay({ x: 1, y: 2 }))).toBe(12);
    expect(runs.map((run) => run.task)).toEqual(['add', 'double', 'double']);
  });

  test('6. a chain of one step is that step’s result, nested chains are spliced, none is refused', async () => {
    const { double, add } = await start(engine);
    expect(await value(chain(double).delay(4))).toBe(8);
    const inner = chain(double, add.into('x', { y: 1 }));
    const nested = await chain(inner, chain(chain(double)), inner).delay(1);
    expect(await nested.get(soon)).toBe(13);
    expect(await engine.bareQueue('umbel').getCompletedCount()).toBe(1); // the run itself, and no joins
    expect(() => chain.of([])).toThrow(CanvasError);
    expect(() => (chain as unknown as () => void)()).toThrow('A chain needs at least one step.');
  });

  test.each([0, 1, 3])(
    '7. a failing step: of four, the one at %i, no later one runs, and all end',
    async (at) => {
      const { app, double, fail, runs } = await start(engine);
      const steps = [double, double, double, double].with(at, fail as unknown as typeof double);
      const run = await chain.of(steps).delay(1);
      const error = await failure(Promise.resolve(run));
      expect(error.cause).toMatchObject({ name: 'Boom', message: 'it went wrong' });
      expect(error).toMatchObject({ task: 'fail', jobId: `${run.id}.${['0-0', '0-1', '0-2', '0'][at]}` });
      expect(runs).toHaveLength(at + 1);
      for (const path of ['0-0', '0-1', '0-2', '0'].slice(at)) {
        const later = app.result(`${run.id}.${path}`);
        expect(await later.state()).toBe('failed');
        await expect(later.get(soon)).rejects.toMatchObject({ task: 'fail', cause: { name: 'Boom' } });
      }
    },
  );

  test('7. a failing step: siblings elsewhere are not touched', async () => {
    const { app, double, fail, hold, signals, count } = await start(engine);
    const run = await group([chain(double, fail, double), chain(hold, double, double)]).delay(1);
    expect((await failure(Promise.resolve(run))).task).toBe('fail');
    await vi.waitFor(() => expect(count('hold')).toBe(1));
    signals.emit('release');
    expect(await app.result(`${run.id}.0.1`).get(soon)).toBe(4);
    expect(count('double')).toBe(3);
  });

  test('8. a retried step keeps its id and its place', async () => {
    const { double, flaky, runs } = await start(engine);
    expect(await value(chain(double, flaky, double).delay(1))).toBe(4);
    const tries = runs.filter((run) => run.task === 'flaky');
    expect(tries.map((run) => run.attempt)).toEqual([1, 2, 3]);
    expect(new Set(tries.map((run) => run.id)).size).toBe(1);
  });

  test.each([
    ['revoked', 'RevokedError'],
    ['expired', 'ExpiredError'],
    ['failed', 'RejectedError'],
  ] as const)('8. a step that is %s ends the chain in a final state (%s)', async (state, cause) => {
    const { app, double, count } = await start(engine);
    const reject = app.task({
      name: 'reject',
      input: z.number(),
      run: async (_, ctx): Promise<number> => ctx.reject('no'),
    });
    const step =
      state === 'failed'
        ? reject
        : state === 'expired'
          ? double.set({ expires: new Date(Date.now() - 1) })
          : double.set({ countdown: '1h' });
    const run = await chain(double, step, double).delay(1);
    if (state === 'revoked') {
      const late = app.result(`${run.id}.0-1`);
      await vi.waitFor(async () => expect(await late.state()).toBe('delayed'));
      await late.revoke();
    }
    await expect(run.get(soon)).rejects.toMatchObject({ state, cause: { name: cause } });
    expect(await app.result(`${run.id}.0`).state()).toBe(state);
    expect(count('double')).toBe(1);
  });

  test('9. ctx.stop(value) ends the chain: later steps are skipped, the run succeeds with the value', async () => {
    const { app, double, sum, count, note, notes } = await start(engine);
    const stop = app.task({
      name: 'stop',
      input: z.unknown(),
      run: async (_, ctx): Promise<number> => ctx.stop(0.5),
    });
    const run = await chain(
      stop.link(note),
      double.link(note).linkError(note).finally(note),
      group([double]),
      sum,
    ).delay(1);
    expect(await run.get(soon)).toBe(0.5);
    expect(await run.state()).toBe('completed');
    expect(await app.result(`${run.id}.0-0`).state()).toBe('completed');
    expect(await app.result(`${run.id}.0-1`).state()).toBe('skipped');
    expect(await app.result(`${run.id}.0`).state()).toBe('skipped');
    await vi.waitFor(() => expect(notes).toEqual([0.5])); // of the step that ended it, not of those that were skipped
    expect(count('double')).toBe(0);
  });

  test('9. ctx.stop(value) goes no further than the innermost chain in which a step follows', async () => {
    const { app, double, sum, echo } = await start(engine);
    const stop = app.task({
      name: 'stop',
      input: z.unknown(),
      run: async (_, ctx): Promise<number> => ctx.stop(0.5),
    });
    expect(await value(group([chain(stop, double), double]).delay(1))).toEqual([0.5, 2]);
    expect(await value(chain(group([chain(stop, double), stop]), sum).delay(1))).toBe(1);
    expect(await value(chain(chain(double, stop), double).delay(1))).toBe(0.5);
    expect(await value(chain(chain(stop, double).link(echo), double).delay(1))).toBe(1);
    expect(await value(chain(stop, double.link(echo)).delay(1))).toBe(0.5);
    expect(await value(chain(stop, map(double) as never).delay(1))).toBe(0.5);
    expect(
      await value(
        chain(
          stop,
          chord(
            Array.from({ length: 120 }, () => double),
            sum,
          ),
        ).delay(1),
      ),
    ).toBe(0.5);
    expect(await value(stop.delay(1))).toBe(0.5);
  });

  test('10. rootId, parentId and runId are set on every node and visible in ctx', async () => {
    const { app } = await start(engine);
    const seen: { id: string; root: string; parent: string | undefined; run: string | undefined }[] = [];
    const see = app.task({
      name: 'see',
      input: z.unknown(),
      run: async (given, { id, rootId, parentId, runId, replace }): Promise<unknown> => {
        seen.push({ id, root: rootId, parent: parentId, run: runId });
        return given === 'replace' ? replace(chain(see, see), 'new') : given;
      },
    });
    const flow = chain(see, group([see, chord([see], see)]), map(see) as never, see.si('replace')).link(see);
    const run = await flow.delay(1);
    await run.get(soon);
    await vi.waitFor(() => expect(seen).toHaveLength(10));
    const replaced = `${run.id}.0^`;
    const inside = seen.filter(
      ({ id }) => id.startsWith(run.id) && !id.includes('~') && !id.includes('-success'),
    );
    for (const { root, parent, run: own } of inside)
      expect([root, parent, own]).toEqual([run.id, run.id, run.id]);
    const replacing = seen.filter(({ id }) => id.includes('~'));
    expect(replacing).toHaveLength(2);
    const [{ id: by } = { id: '' }] = inside.slice(-1);
    for (const each of replacing) expect(each).toMatchObject({ root: run.id, run: run.id });
    expect(replacing.map(({ parent }) => parent)).toEqual([by, by]);
    void replaced;
    const call = await app.signature('see').applyAsync(1, { parent: { id: 'up', rootId: 'top' } as never });
    await call.get(soon);
    expect(seen.at(-1)).toMatchObject({ id: call.id, root: 'top', parent: 'up', run: undefined });
  });
});
