/** The store, and what is connected to it. */
import { UmbelError } from './base.js';

/** A worker or an app was closed, so that what was asked of it cannot happen any more. */
export class ClosedError extends UmbelError {
  override readonly name = 'ClosedError';
  readonly code = 'CLOSED';
}

/** The store could not be reached. */
export class ConnectionError extends UmbelError {
  override readonly name = 'ConnectionError';
  readonly code = 'CONNECTION';
}

/** The store is set up so that it may lose jobs. Thrown before a worker takes any. */
export class StoreConfigurationError extends UmbelError {
  override readonly name = 'StoreConfigurationError';
  readonly code = 'STORE_CONFIGURATION';
}

/** The store accepted only a part of a run. What it accepted does not run to an end by itself. */
export class SubmitError extends UmbelError {
  override readonly name = 'SubmitError';
  readonly code = 'SUBMIT';
}
