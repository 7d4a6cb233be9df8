/** Matchers for Vitest, and a `testApp` that closes itself. Importing it is enough. */
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
  /** That a call of the task was sent, with at least this input. */
  toHaveEnqueued<Task extends AnyTask>(
    task: Task,
    input?: Expected<InputOf<Task>>,
    options?: EnqueuedOptions,
  ): R;
  /** That these calls (tasks, or tasks with inputs) were sent, in this order, and nothing else. */
  toHaveEnqueuedExactly(...calls: (AnyTask | readonly [AnyTask, unknown])[]): R;
  /** That the task's handler, or its fake, ran. */
  toHaveRun(task: AnyTask, options?: RunOptions): R;
  /** That an attempt of the task failed, with an error whose message holds `text`. */
  toHaveFailed(task: AnyTask, text?: string): R;
  /** That a composition is the same workflow as another. */
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

/** The app's tasks on an engine of their own, until the test ends. */
export function testApp(app: App, options?: TestAppOptions): Promise<TestApp> {
  // Before it is open, so that one that is not awaited is closed as well.
  onTestFinished(async () => (await opened.catch(() => undefined))?.close());
  const opened = openTestApp(app, options);
  return opened;
}
