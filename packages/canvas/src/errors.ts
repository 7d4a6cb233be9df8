import { UmbelError } from '@umbel/core';

/** A composition that cannot be built or sent as it is. Thrown before anything is stored. */
export class CanvasError extends UmbelError {
  override readonly name = 'CanvasError';
  readonly code = 'CANVAS';
}
