import { getEventListeners, once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { createAbortController, onAbort } from '../../src/base/wait.js';

/** The warnings of this process from now on. */
function warnings(): string[] {
  const seen: string[] = [];
  const note = (warning: Error) => seen.push(warning.message);
  process.on('warning', note);
  onTestFinished(() => void process.off('warning', note));
  return seen;
}

/** A warning of the test's own, before which all earlier ones have been printed. */
async function printed(): Promise<void> {
  const seen = once(process, 'warning');
  process.emitWarning('the end of the test');
  await seen;
}

test('any number of listeners is one listener of the signal, and each is called once with the reason', async () => {
  const seen = warnings();
  const controller = new AbortController();
  const { signal } = controller;
  const reasons: unknown[] = [];
  for (let n = 0; n < 50; n += 1) onAbort(signal, (reason) => reasons.push(reason));
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  controller.abort('enough');
  expect(reasons).toEqual(Array.from({ length: 50 }, () => 'enough'));
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  await printed();
  expect(seen).toEqual(['the end of the test']);
});

test('one that is removed is not called, and the last takes the listener of the signal with it', () => {
  const controller = new AbortController();
  const { signal } = controller;
  const called: string[] = [];
  const forgetFirst = onAbort(signal, () => called.push('first'));
  const forgetSecond = onAbort(signal, () => called.push('second'));
  forgetFirst();
  forgetFirst();
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  forgetSecond();
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  onAbort(signal, () => called.push('third'));
  forgetSecond();
  controller.abort();
  expect(called).toEqual(['third']);
});

test('a signal that has aborted is told at once', () => {
  const reasons: unknown[] = [];
  onAbort(AbortSignal.abort('before'), (reason) => reasons.push(reason))();
  expect(reasons).toEqual(['before']);
});

test('a listener that comes or goes while the others are called changes nothing for them', () => {
  const controller = new AbortController();
  const { signal } = controller;
  const called: string[] = [];
  onAbort(signal, () => {
    called.push('first');
    onAbort(signal, () => called.push('late'));
  });
  onAbort(signal, () => called.push('second'));
  controller.abort();
  expect(called).toEqual(['first', 'late', 'second']);
});

test('a signal that is handed on takes as many listeners as others add', async () => {
  const seen = warnings();
  const { signal } = createAbortController();
  for (let n = 0; n < 50; n += 1) signal.addEventListener('abort', () => {});
  await printed();
  expect(seen).toEqual(['the end of the test']);
});
