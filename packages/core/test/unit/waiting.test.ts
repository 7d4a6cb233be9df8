import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { CancellableWait } from '../../src/base/wait.js';

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
