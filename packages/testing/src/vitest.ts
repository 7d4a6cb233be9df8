/** Matchers for Vitest, registered on import, and a `testApp` that closes itself when the test ends. */
import type { AnyStep, AnyTask, App, InputOf } from '@umbel/core';
import { expect, onTestFinished } from 'vitest';
import {
  type EnqueuedOptions,
  type Expected,
  enqueued,
  enqueuedExactly,
  failed,
  matchesCanvas,
  type RunOptions,
  ran,
  type Verdict,
} from './assertions.js';
import { testApp as openTestApp, type TestApp, type TestAppOptions } from './test-app.js';

interface UmbelMatchers<R> {
  /** Asserts that a call of the task was sent, with at least this input. */
  toHaveEnqueued<Task extends AnyTask>(
    task: Task,
    input?: Expected<InputOf<Task>>,
    options?: EnqueuedOptions,
  ): R;
  /** Asserts that exactly these calls (tasks, or tasks with inputs) were sent, in this order. */
  toHaveEnqueuedExactly(...calls: (AnyTask | readonly [AnyTask, unknown])[]): R;
  /** Asserts that the task's handler or its fake ran. */
  toHaveRun(task: AnyTask, options?: RunOptions): R;
  /** Asserts that an attempt of the task failed with an error whose message contains `text`. */
  toHaveFailed(task: AnyTask, text?: string): R;
  /** Asserts that a workflow equals another one after normalization. */
  toMatchCanvas(expected: AnyStep): R;
}

declare module 'vitest' {
  // biome-ignore lint/suspicious/noExplicitAny: the declaration that is augmented has this default
  interface Matchers<T = any> extends UmbelMatchers<T> {}
}

const answer = ({ pass, message }: Verdict) => ({ pass, message: () => message });

expect.extend({
  toHaveEnqueued: (t: TestApp, task: AnyTask, input?: Expected<never>, options?: EnqueuedOptions) =>
    answer(enqueued(t, task, input, options)),
  toHaveEnqueuedExactly: (t: TestApp, ...calls: (AnyTask | readonly [AnyTask, unknown])[]) =>
    answer(enqueuedExactly(t, calls)),
  toHaveRun: (t: TestApp, task: AnyTask, options?: RunOptions) => answer(ran(t, task, options)),
  toHaveFailed: (t: TestApp, task: AnyTask, text?: string) => answer(failed(t, task, text)),
  toMatchCanvas: (actual: AnyStep, expected: AnyStep) => answer(matchesCanvas(actual, expected)),
});

/**
 * Opens a test app that closes when the test ends; see `TestApp`.
 * @example
 * const t = await testApp(app);
 */
export function testApp(app: App, options?: TestAppOptions): Promise<TestApp> {
  // Registered before it is open, so that a test app that is not awaited is closed too.
  onTestFinished(async () => (await opened.catch(() => undefined))?.close());
  const opened = openTestApp(app, options);
  return opened;
}
