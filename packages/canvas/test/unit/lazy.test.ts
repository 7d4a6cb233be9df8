/** Members and inputs that are read while they are sent. What becomes of them there is not the matter here. */
import { CanvasError, type CanvasExpression, chain, chunks, group, map, starmap } from '@umbel/canvas';
import { createApp, type Step, ValidationError } from '@umbel/core';
import type { Sender } from '@umbel/core/internal';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { LazyMembers } from '../../src/expression.js';
import { lazyIn } from '../../src/lazy.js';
import { EXPRESSION } from '../../src/part.js';
import { add, app, double, scale, sum } from '../support/tasks.js';

const submit = vi.hoisted(() =>
  vi.fn(async (_expression: CanvasExpression, _sender: Sender | undefined) => ({}) as unknown),
);
vi.mock('../../src/submit.js', () => ({ submit, planExpression: vi.fn(), planUnsent: vi.fn() }));
afterEach(() => void submit.mockReset());

const DOUBLE = { kind: 'task', task: 'double' } as const;
const untyped = (fn: unknown) => fn as (...args: unknown[]) => Step<string, never, unknown>;

function rawOf(signature: object): CanvasExpression {
  return (signature as { readonly [EXPRESSION]: CanvasExpression })[EXPRESSION];
}

function lazyOf(signature: object): LazyMembers {
  const [members] = lazyIn(rawOf(signature));
  if (members === undefined) throw new Error('no members are read lazily');
  return members;
}

async function read(signature: object): Promise<CanvasExpression[]> {
  const members: CanvasExpression[] = [];
  for await (const member of lazyOf(signature).read()) members.push(member);
  return members;
}

/** Gives items, and notes what is asked of it. */
function noted<Item>(items: readonly Item[]) {
  const log: string[] = [];
  function* generate() {
    try {
      for (const item of items) {
        log.push('next');
        yield item;
      }
    } finally {
      log.push('end');
    }
  }
  return { log, generate };
}

async function* inTime<Item>(items: readonly Item[]) {
  for (const item of items) yield await Promise.resolve(item);
}

describe('a group of members that are read lazily', () => {
  test('reads nothing before it is sent', async () => {
    const { log, generate } = noted([double, double]);
    const members = group(generate());
    expect(log).toEqual([]);
    expect(await read(members)).toEqual([DOUBLE, DOUBLE]);
    expect(log).toEqual(['next', 'next', 'end']);
  });

  test('takes generators, async generators, sets and streams', async () => {
    expect(await read(group(inTime([double])))).toEqual([DOUBLE]);
    expect(await read(group(new Set([double])))).toEqual([DOUBLE]);
    expect(await read(group.settled(inTime([double])))).toEqual([DOUBLE]);
    expect(rawOf(group.atLeast(5, inTime([double])))).toMatchObject({
      policy: { kind: 'atLeast', count: 5 },
    });
    expect(await read(group(new ReadableStream({ start: fill }) as AsyncIterable<typeof double>))).toEqual([
      DOUBLE,
    ]);
    function fill(controller: ReadableStreamDefaultController) {
      controller.enqueue(double);
      controller.close();
    }
  });

  test('takes one item after the other, so that a long list is never in memory', async () => {
    const { log, generate } = noted([double, double, double]);
    const members = lazyOf(group(generate())).read()[Symbol.asyncIterator]();
    await members.next();
    expect(log).toEqual(['next']);
    await members.return?.();
    expect(log).toEqual(['next', 'end']);
  });

  test('names the member that is no step, and ends the reading', async () => {
    const { log, generate } = noted([double, Promise.resolve(1), double]);
    await expect(read(untyped(group)(generate()))).rejects.toThrow(/^Member 2 of the group is a promise/);
    expect(log).toEqual(['next', 'next', 'end']);
    await expect(read(untyped(group)(inTime([3])))).rejects.toThrow(CanvasError);
  });

  test('of two apps is refused', async () => {
    const other = createApp({ name: 'other' }).task({ name: 'other', run: async () => 1 });
    await expect(read(group(inTime([double.si(1), other.si()])))).rejects.toThrow('different apps');
  });

  test('passes on what reading throws, and does not end it again', async () => {
    const end = vi.fn();
    const broken = {
      [Symbol.iterator]: () => ({
        next: () => {
          throw new Error('disk');
        },
        return: end,
      }),
    };
    await expect(read(untyped(group)(broken))).rejects.toThrow('disk');
    expect(end).not.toHaveBeenCalled();
  });

  test('can be read again if its iterable can', async () => {
    const members = group({ [Symbol.iterator]: () => [double][Symbol.iterator]() });
    expect(await read(members)).toEqual([DOUBLE]);
    expect(await read(members)).toEqual([DOUBLE]);
  });

  test.each([
    ['a generator', () => noted([double]).generate()],
    ['an async generator', () => inTime([double])],
  ])('of %s cannot be read twice', async (_, source) => {
    const members = group(source() as Iterable<typeof double>);
    await read(members);
    await expect(read(members)).rejects.toThrow(CanvasError);
    await expect(read(members)).rejects.toThrow('can be read only once');
  });

  test('has no JSON, at any depth', () => {
    const members = group(noted([double]).generate());
    expect(() => members.toJSON()).toThrow(CanvasError);
    expect(() => JSON.stringify(chain(members, sum, double))).toThrow('group([...members])');
    expect(() => map(double, new Set([1])).toJSON()).toThrow(CanvasError);
  });
});

describe('the app of members that are read lazily', () => {
  const senderOf = () => submit.mock.calls[0]?.[1];

  test('is that of the first member', async () => {
    const { log, generate } = noted([double.si(1), double.si(2)]);
    submit.mockImplementation(async (expression) => {
      expect(log).toEqual(['next']);
      const [members] = lazyIn(expression);
      let count = 0;
      for await (const _ of members?.read() ?? []) count += 1;
      expect(count).toBe(2);
      return {};
    });
    await group(generate()).delay();
    expect(senderOf()).toBe(app);
  });

  test('is that of the other steps if there is no member', async () => {
    await chain(group(inTime<typeof double>([])), sum).delay(1);
    expect(senderOf()).toBe(app);
    submit.mockReset();
    await group(inTime<typeof double>([])).delay(1);
    expect(senderOf()).toBeUndefined();
  });

  test('is that of the other steps if the members have none', async () => {
    await chain(group(inTime([scale])), app.signature('x').si()).delay({ file: 'a' });
    expect(senderOf()).toBe(app);
  });

  test('must be that of the other steps', async () => {
    const other = createApp({ name: 'other' }).task({ name: 'other', run: async () => 1 });
    const { log, generate } = noted([other.si()]);
    await expect(chain(double, group(generate())).delay(1)).rejects.toThrow('different apps');
    expect(submit).not.toHaveBeenCalled();
    expect(log).toEqual(['next', 'end']);
  });

  test('is let go of if the sending fails before the members are read', async () => {
    const { log, generate } = noted([double.si(1)]);
    submit.mockRejectedValue(new Error('refused'));
    await expect(group(generate()).delay()).rejects.toThrow('refused');
    expect(log).toEqual(['next', 'end']);
  });
});

describe('inputs that are read lazily', () => {
  const call = (input: unknown) => ({ ...DOUBLE, immutable: true, input });

  test('make a call of the task each', async () => {
    expect(await read(map(double, new Set([1, 2])))).toEqual([call(1), call(2)]);
    expect(await read(map(double, inTime([1])))).toEqual([call(1)]);
    expect(rawOf(map(double, inTime([1])))).toMatchObject({ kind: 'group' });
  });

  test('fill what is open', async () => {
    const added = (input: unknown) => ({ kind: 'task', task: 'add', immutable: true, input });
    expect(await read(map(add.s({ x: 1 }), inTime([{ y: 2 }])))).toEqual([added({ x: 1, y: 2 })]);
    expect(await read(map(add.into('x', { y: 2 }), inTime([1])))).toEqual([added({ x: 1, y: 2 })]);
    expect(await read(map(add.si({ x: 1, y: 2 }), inTime([5])))).toEqual([added({ x: 1, y: 2 })]);
    expect(await read(starmap(add, ['x', 'y'], inTime([[1, 2]] as const)))).toEqual([added({ x: 1, y: 2 })]);
    await expect(read(untyped(map)(add.s({ x: 1 }), inTime([3])))).rejects.toThrow(ValidationError);
  });

  test('keep the options and the callbacks of the call', async () => {
    const step = double.set({ priority: 1 }).link(double);
    expect(await read(map(step, inTime([1])))).toEqual([
      { ...call(1), options: { priority: 1 }, callbacks: { success: [DOUBLE] } },
    ]);
  });

  test('are one map each for a composition, made flat', async () => {
    const step = chain(double, double);
    const mapped = map(step, inTime([1, 2]));
    expect(rawOf(mapped)).toMatchObject({ kind: 'flat', step: { kind: 'group' } });
    expect(await read(mapped)).toEqual([
      { kind: 'map', step: step.toJSON(), inputs: [1] },
      { kind: 'map', step: step.toJSON(), inputs: [2] },
    ]);
  });

  test('are one map for each chunk, made flat', async () => {
    const packed = chunks(double, inTime([1, 2, 3, 4, 5]), 2);
    const chunk = (inputs: number[], offset: number) => ({
      kind: 'map',
      step: DOUBLE,
      inputs,
      chunkSize: 2,
      offset,
    });
    expect(rawOf(packed)).toMatchObject({ kind: 'flat', step: { kind: 'group' } });
    expect(await read(packed)).toEqual([chunk([1, 2], 0), chunk([3, 4], 2), chunk([5], 4)]);
    expect(await read(chunks(double, inTime<number>([]), 2))).toEqual([]);
    expect(await read(chunks(double, inTime([1, 2]), 2))).toEqual([chunk([1, 2], 0)]);
  });

  test('of chunks are not read further than needed, and once', async () => {
    const { log, generate } = noted([1, 2, 3]);
    const packed = chunks(double, generate(), 2);
    for await (const _ of lazyOf(packed).read()) break;
    expect(log).toEqual(['next', 'next', 'end']);
    await expect(read(packed)).rejects.toThrow('can be read only once');
  });

  test('must fit the keys of starmap', async () => {
    await expect(read(untyped(starmap)(add, ['x', 'y'], inTime([[1, 2], [1]])))).rejects.toThrow(
      'Row 2 of starmap has 1 values',
    );
  });

  test('belong to the app of the step', async () => {
    await map(double, inTime<number>([])).delay();
    expect(submit.mock.calls[0]?.[1]).toBe(app);
  });
});
