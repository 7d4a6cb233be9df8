import { chain, chord, group } from '@umbel/canvas';
import { expect, test, vi } from 'vitest';
import { onEveryEngine } from '../../../../../test/engines.js';
import type { AnySignature } from '../../support/places.js';
import { failure, soon, start, value } from '../../support/running.js';

onEveryEngine('a chord', (engine) => {
  test('17. chain(group, next) is chord(header, body): next receives the list', async () => {
    const { double, sum, echo } = await start(engine);
    const header = [double, chain(double, double), group([double])] as const;
    const chained = await value(chain(group(header), echo).delay(1));
    expect(chained).toEqual([2, 4, [2]]);
    expect(await value(chord(header, echo).delay(1))).toEqual(chained);
    expect(await value(chord(group(header), echo).delay(1))).toEqual(chained);
    expect(await value(chord([double.si(1), double.si(2)], sum).delay())).toBe(6);
  });

  test('17. groups in a row, chords of chords, groups in chords in groups: ten levels, every node once', async () => {
    const { double, sum, runs } = await start(engine);
    let expected = 2;
    let count = 1;
    let whole = double as unknown as AnySignature;
    for (let level = 0; level < 10; level += 1) {
      const list = [whole, double] as never;
      if (level % 3 === 0) whole = chord(list, sum) as never;
      else if (level % 3 === 1) whole = chain(group(list), group([sum, sum]), sum) as never;
      else whole = chain(group({ a: group(list) }), chord([double.si(3)], sum)) as never;
      const joined = expected + 2;
      expected = level % 3 === 0 ? joined : level % 3 === 1 ? joined * 2 : 6;
      count += level % 3 === 1 ? 4 : level % 3 === 0 ? 2 : 3;
    }
    expect(await value(whole.delay(1))).toBe(expected);
    expect(runs).toHaveLength(count);
    expect(new Set(runs.map(({ id }) => id)).size).toBe(count);
  });

  test('17. a header of a thousand members runs its body once', async () => {
    const { double, sum, count } = await start(engine);
    const members = Array.from({ length: 1000 }, (_, n) => double.si(n));
    expect(await value(chord(members, sum).delay())).toBe(999_000);
    expect([count('double'), count('sum')]).toEqual([1000, 1]);
  });

  test('18. the body gets values in header order; an immutable one ignores them; an empty header gives []', async () => {
    const { double, echo, add, sum, runs } = await start(engine);
    const header = [double.si(3), chain(double.si(1), double), double.si(2)];
    expect(await value(chord(header, echo).delay())).toEqual([6, 4, 4]);
    expect(await value(chord(header, add.si({ x: 1, y: 1 })).delay())).toBe(2);
    expect(runs.at(-1)?.task).toBe('add');
    expect(await value(chord([], echo).delay())).toEqual([]);
    expect(await value(chain(double, chord([] as (typeof double)[], sum)).delay(1))).toBe(0);
    expect(await value(chord([], add.si({ x: 2, y: 1 })).delay())).toBe(3);
  });

  test('19. a chain as a header is one member, its last value', async () => {
    const { double, echo } = await start(engine);
    expect(await value(chord([chain(double, double, double)], echo).delay(1))).toEqual([8]);
    expect(() => chord(chain(double, double) as never, echo)).toThrow('not a group');
  });

  test('20. the body may be a task, chain, group or chord; header members likewise', async () => {
    const { double, sum, echo } = await start(engine);
    const parts = {
      task: sum,
      chain: chain(sum, double),
      group: group({ once: sum, twice: chain(sum, double) }),
      chord: chord([sum, sum], sum),
    };
    const results = { task: 4, chain: 8, group: { once: 4, twice: 8 }, chord: 8 };
    for (const [name, body] of Object.entries(parts)) {
      const expected = results[name as keyof typeof parts];
      expect(await value(chord([double, double], body as AnySignature).delay(1)), name).toEqual(expected);
    }
    const members = [double, chain(double, double), group([double, group([])]), chord([double, double], sum)];
    expect(await value(chord(members as never, echo).delay(1))).toEqual([2, 4, [2, []], 4]);
    const all = chord(Object.values(parts) as never, echo);
    expect(await value(chain(group([double, double]), all).delay(1))).toEqual(Object.values(results));
  });

  const headers = {
    'one member': (bad: AnySignature) => [bad],
    'many members': (bad: AnySignature) => [bad, bad, bad, bad, bad],
    'chains that fail in the middle': (bad: AnySignature) => [chain(bad, bad), chain(bad, bad)],
    'groups in it': (bad: AnySignature) => [group([bad, bad]), group([bad, group([bad])])],
    'chords in it': (bad: AnySignature) => [chord([bad, bad], bad), chord([bad], bad)],
    'two hundred members': (bad: AnySignature) => Array.from({ length: 200 }, () => bad),
  };

  test.each(Object.entries(headers))(
    '21. header failure: of %s; no body, one linkError',
    async (_, header) => {
      const { app, fail, sum, note, notes, count, echo } = await start(engine);
      const bad = fail as AnySignature;
      const body = sum.linkError(note).finally(note).link(note) as unknown as AnySignature;
      const alone = await chord(header(bad), body).delay(1);
      const after = await chain(echo, chord(header(bad), body), echo).delay(1);
      for (const run of [alone, after]) {
        expect(await failure(Promise.resolve(run))).toMatchObject({ task: 'fail', cause: { name: 'Boom' } });
      }
      expect(await app.result(`${alone.id}.0^`).state()).toBe('failed');
      await vi.waitFor(() => expect(notes).toHaveLength(4));
      for (const name of ['default', 'umbel'])
        await vi.waitFor(async () => {
          const counts = engine
            .bareQueue(name)
            .getJobCountByTypes('waiting', 'active', 'delayed', 'waiting-children');
          expect(await counts).toBe(0);
        });
      expect(notes).toHaveLength(4); // of each run the linkError and the finally of its body
      expect(count('sum')).toBe(0);
    },
  );

  test('21. header failure: an immutable body never runs either', async () => {
    const { app, double, fail, add, count } = await start(engine);
    const run = await chord([double.si(1), fail.si(1)], add.si({ x: 1, y: 1 })).delay();
    expect((await failure(Promise.resolve(run))).task).toBe('fail');
    expect(await app.result(`${run.id}.0`).state()).toBe('failed');
    expect(count('add')).toBe(0);
  });

  test('22. a failure anywhere upstream of a join resolves every join downstream', async () => {
    const { app, double, fail, sum, count } = await start(engine);
    const deep = chord([double, chain(double, group([double, fail]), sum)], sum);
    const run = await chain(double, group([chord([deep, double], sum), double]), sum, double).delay(1);
    expect(await failure(Promise.resolve(run))).toMatchObject({ task: 'fail', cause: { name: 'Boom' } });
    const joins = ['0-1.0-0.0-0.1', '0-1.0-0.0', '0-1.0', '0-2', '0', ''];
    for (const path of joins) {
      const join = path === '' ? run : app.result(`${run.id}.${path}`);
      expect(await join.state(), path).toBe('failed');
      await expect(join.get(soon)).rejects.toMatchObject({ task: 'fail' });
    }
    expect(count('sum')).toBe(0);
  });
});
