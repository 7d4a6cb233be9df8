/** What a program has asked for and cannot have: it is to be changed. */
import { UmbelError } from './base.js';
import { describe, listed } from './describe.js';
import { nearest } from './nearest.js';
import { escaped } from './printable.js';
import type { ValidationIssue, ValidationSubject } from './records.js';

/** An option has a value it cannot have. Thrown where the option is given, before anything is sent. */
export class InvalidOptionError extends UmbelError {
  override readonly name = 'InvalidOptionError';
  readonly code = 'INVALID_OPTION';

  constructor(
    readonly option: string,
    readonly expected: string,
    readonly received: unknown,
  ) {
    super(`Expected \`${option}\` to be ${expected}, got ${describe(received)}.`);
  }
}

/** Two tasks of one app have the same name. */
export class DuplicateTaskError extends UmbelError {
  override readonly name = 'DuplicateTaskError';
  readonly code = 'DUPLICATE_TASK';

  constructor(readonly task: string) {
    super(
      `Task "${task}" is already defined in this app. Give one of the two another name; if they are one, define it once, ` +
        'where its module is loaded: not in a handler or a request, nor in a module that is loaded twice.',
    );
  }
}

/** A worker received a job for a task that it does not hold a handler for. */
export class UnknownTaskError extends UmbelError {
  override readonly name = 'UnknownTaskError';
  readonly code = 'UNKNOWN_TASK';

  constructor(
    readonly task: string,
    readonly known: readonly string[],
  ) {
    super(
      `Task "${escaped(task)}" has no handler in this worker (known: ${listed(known)}). ${meant(task, known)}` +
        'Import the module that defines or implements it before starting the worker.',
    );
  }
}

/** A contract was sent without being bound to an app. */
export class UnboundTaskError extends UmbelError {
  override readonly name = 'UnboundTaskError';
  readonly code = 'UNBOUND_TASK';

  constructor(readonly task: string) {
    super(
      `Task "${task}" is not bound to an app, so there is nowhere to send it. ` +
        'Define it with app.defineTask(…), or call app.bind(contract) and use what that returns.',
    );
  }
}

/** A composition is needed and `@umbel/canvas`, which makes and plans them, was not imported. */
export class CanvasNotLoadedError extends UmbelError {
  override readonly name = 'CanvasNotLoadedError';
  readonly code = 'CANVAS';

  constructor(what: string) {
    super(
      `${what} needs @umbel/canvas: import it once (\`import "@umbel/canvas"\`). ` +
        'If it is imported, two copies of @umbel/core are loaded: `npm ls @umbel/core` shows them.',
    );
  }
}

/** A task's input, result, progress or declared failure does not fit its schema, or JSON would change it. Never retried. */
export class ValidationError extends UmbelError {
  override readonly name = 'ValidationError';
  readonly code = 'VALIDATION';

  constructor(
    readonly task: string,
    readonly subject: ValidationSubject,
    readonly issues: readonly ValidationIssue[],
  ) {
    const list = issues.map((issue) => `\n  ${escaped(issue.path)}: ${issue.message}`).join('');
    super(`The ${subject} of task "${escaped(task)}" is not valid:${list}`);
  }
}

/** A call has the idempotency key of an earlier one, and another input. Nothing was sent. */
export class IdempotencyConflictError extends UmbelError {
  override readonly name = 'IdempotencyConflictError';
  readonly code = 'IDEMPOTENCY_CONFLICT';

  constructor(
    readonly task: string,
    readonly idempotencyKey: string,
    readonly jobId: string,
  ) {
    super(
      `Idempotency key ${describe(idempotencyKey)} of ${task === 'run' ? 'a composition' : `task "${task}"`} was used before with another input (job ${jobId}). ` +
        'Use a key that is made from what makes the call unique.',
    );
  }
}

/** A call or a worker names a queue that the app does not have, so that nobody would serve it. */
export class UnknownQueueError extends UmbelError {
  override readonly name = 'UnknownQueueError';
  readonly code = 'UNKNOWN_QUEUE';

  constructor(
    readonly queue: string,
    readonly known: readonly string[],
  ) {
    super(
      `Queue ${describe(queue)} is not one of this app's (${listed(known)}). ${meant(queue, known)}` +
        'Correct the name, or list it in createApp({ queues }).',
    );
  }
}

/** A package is not installed that only a part of Umbel needs, and which is therefore an optional peer. */
export class MissingPackageError extends UmbelError {
  override readonly name = 'MissingPackageError';
  readonly code = 'MISSING_PACKAGE';

  constructor(
    readonly needs: string,
    what: string,
    options?: ErrorOptions,
  ) {
    super(`${what} needs the package ${needs}, which is not installed: npm install ${needs}`, options);
  }
}

/** A schedule cannot be declared or stored: its name is taken, or its target cannot be sent as it is. */
export class ScheduleError extends UmbelError {
  override readonly name = 'ScheduleError';
  readonly code = 'SCHEDULE';

  constructor(
    readonly schedule: string,
    reason: string,
    options?: ErrorOptions,
  ) {
    super(`Schedule "${schedule}" ${reason}`, options);
  }
}

/** The store holds no schedule of this name. */
export class UnknownScheduleError extends UmbelError {
  override readonly name = 'UnknownScheduleError';
  readonly code = 'UNKNOWN_SCHEDULE';

  constructor(readonly schedule: string) {
    super(
      `The store holds no schedule "${schedule}". If the code declares it, store it with app.schedules.sync(), ` +
        'or start a worker that declares it.',
    );
  }
}

function meant(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === undefined ? '' : `Did you mean "${near}"? `;
}
