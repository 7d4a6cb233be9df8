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

  constructor(readonly tasks: readonly string[]) {
    super(
      `The test ended while handlers were still running: ${tasks.join(', ')}. ` +
        'Await what they wait for, or their results, before the test ends.',
    );
  }
}
