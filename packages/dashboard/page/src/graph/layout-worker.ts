/** Places the nodes of large graphs without freezing the page. */
import type { Graph } from '../types.js';
import { layoutOf } from './layout.js';

/** What the graph sends to the worker. */
export interface LayoutRequest {
  readonly graph: Graph;
  /** The id of the node whose members are drawn in it. */
  readonly unfolded: string;
}

addEventListener('message', ({ data }: MessageEvent<LayoutRequest>) => {
  (self as unknown as { postMessage(message: unknown): void }).postMessage(
    layoutOf(data.graph, data.unfolded),
  );
});
