import { UmbelError } from '@umbel/core';

/** A result is waited for, but nothing is left that could bring it. */
export class NothingLeftError extends UmbelError {
  override readonly name = 'NothingLeftError';
  readonly code = 'TESTING';
}

/** A test's app was closed while handlers still ran. */
export class LeakError extends UmbelError {
  override readonly name = 'LeakError';
  readonly code = 'TESTING';

  constructor(
    readonly tasks: readonly string[],
    app: string,
  ) {
    super(
      `The test ended while handlers of app "${app}" were still running: ${tasks.join(', ')}. ` +
        'Await what they wait for, or their results, before the test ends.',
    );
  }
}

/** Timers of the process are faked, and what waits for them would wait without end. */
export class FakedTimersError extends UmbelError {
  override readonly name = 'FakedTimersError';
  readonly code = 'TESTING';
}

/** A promise of a test's app was used as if it were the app. */
export class NotAwaitedError extends UmbelError {
  override readonly name = 'NotAwaitedError';
  readonly code = 'TESTING';

  constructor(app: string, member: string) {
    super(
      `testApp of app "${app}" was not awaited: it returns a promise, which has no "${member}". ` +
        'Write `const t = await testApp(app)`.',
    );
  }
}
