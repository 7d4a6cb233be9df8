import { afterEach, expect, test, vi } from 'vitest';

const names = [
  ...(['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] as const),
  ...(['setImmediate', 'clearImmediate'] as const),
];
type Name = (typeof names)[number];
const machine = Object.fromEntries(names.map((name) => [name, globalThis[name]])) as Record<Name, unknown>;

/** The module, loaded while Node's own timers and the globals are these. */
async function loadedWith(timerOf: (name: Name) => unknown) {
  const fakes = Object.fromEntries(names.map((name) => [name, timerOf(name)]));
  vi.resetModules();
  vi.doMock('node:timers', () => ({ default: fakes }));
  Object.assign(globalThis, fakes);
  try {
    return await import('../../src/base/real-timers.js');
  } finally {
    Object.assign(globalThis, machine);
  }
}

/** A function of a faked clock that has replaced `original`. */
const faked = (name: Name, original: unknown) =>
  Object.assign(() => undefined, { clock: { [`_${name}`]: original } });

afterEach(() => {
  vi.doUnmock('node:timers');
  vi.resetModules();
});

test('the timers are those of Node', async () => {
  const timers = await loadedWith((name) => machine[name]);
  for (const name of names) expect(timers[name], name).toBe(machine[name]);
  expect(timers.timersFakedAtLoad).toEqual([]);
});

test('those that were faked before are found below the fakes, however many there are', async () => {
  const timers = await loadedWith((name) => faked(name, faked(name, machine[name])));
  for (const name of names) {
    expect(timers[name], name).toBe(machine[name]);
    expect(timers.isFakedTimer(timers[name]), name).toBe(false);
  }
  expect(timers.timersFakedAtLoad).toEqual([]);
  expect(timers.isFakedTimer(faked('setTimeout', machine.setTimeout))).toBe(true);
});

test('those of which nothing is left are named', async () => {
  const mock = () => Object.assign(() => undefined, { _isMockFunction: true });
  const timers = await loadedWith((name) => (name === 'setImmediate' ? mock() : machine[name]));
  expect(timers.timersFakedAtLoad).toEqual(['setImmediate']);
  expect(timers.isFakedTimer(mock())).toBe(true);
});
