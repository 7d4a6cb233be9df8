/** The errors of `@umbel/testing`. */

import { UmbelError } from '@umbel/core';

/**
 * Thrown when a test waits for a result and no work is left that could produce it.
 * @example
 * await using t = await testApp(app);
 * await t.run(resize, { path: 'a.png', width: 1 }).catch((error) => error instanceof NothingLeftError);
 */
export class NothingLeftError extends UmbelError {
  override readonly name = 'NothingLeftError';
  readonly code = 'TESTING';
}

/** Thrown when a test app is closed while handlers are running. */
export class LeakError extends UmbelError {
  override readonly name = 'LeakError';
  readonly code = 'TESTING';

  constructor(
    readonly tasks: readonly string[],
    app: string,
  ) {
    super(
      `The test ended while handlers of app "${app}" were still running: ${tasks.join(', ')}. ` +
        'Await their results before the test ends.',
    );
  }
}

/** Thrown when a test app is closed while workflows wait for signals. */
export class OpenWaitError extends UmbelError {
  override readonly name = 'OpenWaitError';
  readonly code = 'TESTING';

  constructor(
    /** One sentence for each wait. */
    readonly waits: readonly string[],
    app: string,
  ) {
    super(
      `The test ended while workflows of app "${app}" were still waiting: ${waits.join(' ')} ` +
        "Send the signals, revoke the runs, or open the test app with { openWaits: 'allow' }.",
    );
  }
}

/** Thrown when timers of the process are faked, and code that waits for them would wait forever. */
export class FakedTimersError extends UmbelError {
  override readonly name = 'FakedTimersError';
  readonly code = 'TESTING';
}

/** Thrown when the promise of `testApp` is used without `await`. */
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
