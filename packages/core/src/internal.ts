/** For Umbel's own packages. Not covered by the version promise. */
export { type FlowNode, INTERNAL_JOB, INTERNAL_OPTIONS, INTERNAL_QUEUE, type Source } from './flow/node.js';
export { type NormalizedOptions, normalizeOptions } from './options.js';
export { type Expression, SENDER, type Sender, type TaskExpression } from './signature.js';
export type { Prettify } from './types/bind.js';
