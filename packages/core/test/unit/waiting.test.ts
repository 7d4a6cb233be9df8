import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { CancellableWait, runInOrder } from '../../src/base/wait.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

describe('an ending', () => {
  test('ends a race with its error, and every later one', async () => {
    const ending = new CancellableWait();
    const race = ending.race(new Promise(() => {}));
    ending.with(new Error('first'));
    ending.with(new Error('second'));
    await expect(race).rejects.toThrow('first');
    await expect(ending.race(Promise.resolve(1))).rejects.toThrow('first');
    expect(ending.isOver).toBe(true);
  });

  test('leaves what is there first as it is', async () => {
    const ending = new CancellableWait();
    expect(await ending.race(Promise.resolve('value'))).toBe('value');
    await expect(ending.race(Promise.reject(new Error('its own')))).rejects.toThrow('its own');
    expect(ending.isOver).toBe(false);
  });

  test('ends with a signal, until that is called off', async () => {
    const ending = new CancellableWait();
    const controller = new AbortController();
    ending.on(controller.signal)();
    controller.abort(new Error('called off'));
    expect(ending.isOver).toBe(false);
    ending.on(AbortSignal.abort(new Error('aborted')));
    await expect(ending.race(Promise.resolve(1))).rejects.toThrow('aborted');
  });

  test('keeps no value of races that are over, however long it lasts itself', async () => {
    const ending = new CancellableWait();
    const values: WeakRef<object>[] = [];
    for (let count = 0; count < 100; count += 1) {
      const value = { count };
      values.push(new WeakRef(value));
      await ending.race(Promise.resolve(value));
    }
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    expect(values.filter((value) => value.deref() !== undefined).length).toBeLessThan(5);
    expect(ending.isOver).toBe(false);
  });
});

describe('functions in their order', () => {
  /** Functions that end when they are told to, and what has begun and ended. */
  function controlled(count: number) {
    const log: string[] = [];
    const settle: ((error?: Error) => void)[] = [];
    const functions = Array.from({ length: count }, (_, index) => async () => {
      log.push(`begins ${index}`);
      await new Promise<void>((resolve, reject) => {
        settle[index] = (error) => (error === undefined ? resolve() : reject(error));
      });
      log.push(`ends ${index}`);
    });
    return { functions, log, settle };
  }

  const turn = () => new Promise((resolve) => setImmediate(resolve));

  test('begin when the one before has ended', async () => {
    const { functions, log, settle } = controlled(2);
    const running = runInOrder(functions, { overlap: false });
    await turn();
    expect(log).toEqual(['begins 0']);
    settle[0]?.();
    await turn();
    settle[1]?.();
    await running;
    expect(log).toEqual(['begins 0', 'ends 0', 'begins 1', 'ends 1']);
  });

  test('begin beside the one before, and not beside two', async () => {
    const { functions, log, settle } = controlled(3);
    const running = runInOrder(functions, { overlap: true });
    await turn();
    expect(log).toEqual(['begins 0', 'begins 1']);
    settle[0]?.();
    await turn();
    expect(log).toEqual(['begins 0', 'begins 1', 'ends 0', 'begins 2']);
    settle[2]?.();
    settle[1]?.();
    await running;
  });

  test('end with the first error, and begin none after it', async () => {
    const { functions, log, settle } = controlled(4);
    const outcome = expect(runInOrder(functions, { overlap: true })).rejects.toThrow('of 0');
    await turn();
    settle[1]?.(new Error('of 1'));
    await turn();
    settle[0]?.(new Error('of 0'));
    await outcome;
    expect(log).toEqual(['begins 0', 'begins 1']);
  });

  test('leave nothing running after an error', async () => {
    const { functions, log, settle } = controlled(4);
    let isOver = false;
    const running = runInOrder(functions, { overlap: true }).finally(() => {
      isOver = true;
    });
    const outcome = expect(running).rejects.toThrow('of 0');
    await turn();
    settle[0]?.(new Error('of 0'));
    await turn();
    expect(isOver).toBe(false);
    settle[1]?.();
    await outcome;
    expect(log).toEqual(['begins 0', 'begins 1', 'ends 1']);
  });
});
