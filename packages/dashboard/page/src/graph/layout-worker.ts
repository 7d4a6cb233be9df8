/** Places the nodes of large graphs without freezing the page. */
import type { Graph } from '../types.js';
import { layoutOf } from './layout.js';

addEventListener('message', ({ data }: MessageEvent<Graph>) => {
  (self as unknown as { postMessage(message: unknown): void }).postMessage(layoutOf(data));
});
