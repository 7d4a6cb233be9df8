/** The arithmetic of moving and zooming in the graph. The graph is an element that scrolls, so touch and wheel move it. */

export const ZOOM = { min: 0.2, max: 2.5, step: 1.25 };

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Box extends Point {
  readonly width: number;
  readonly height: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const bounded = (zoom: number): number => Math.min(ZOOM.max, Math.max(ZOOM.min, zoom));

/** Returns the scroll position after a change of the zoom which keeps the point of the view (`at`) where it is. */
export function scrollAfterZoom(scroll: Point, at: Point, before: number, after: number): Point {
  const factor = after / before;
  return { x: (scroll.x + at.x) * factor - at.x, y: (scroll.y + at.y) * factor - at.y };
}

/** Returns the zoom at which the whole graph is in the view. It never enlarges. */
export function fittingZoom(graph: Size, view: Size): number {
  return bounded(Math.min(1, view.width / graph.width, view.height / graph.height));
}

const MARGIN = 24;

/** Returns the nearest scroll position at which a node is in the view, with a margin. */
export function scrollToShow(scroll: Point, view: Size, node: Box, zoom: number): Point {
  const axis = (position: number, size: number, from: number, length: number) => {
    const [start, end] = [from * zoom - MARGIN, (from + length) * zoom + MARGIN];
    if (start < position || end - start > size) return start;
    return Math.max(position, end - size);
  };
  return {
    x: axis(scroll.x, view.width, node.x, node.width),
    y: axis(scroll.y, view.height, node.y, node.height),
  };
}

/** Returns the node that is next in a direction; undefined if there is none. Distance across the direction counts twice. */
export function neighbourOf<Node extends Box>(
  nodes: readonly Node[],
  from: Node,
  direction: 'left' | 'right' | 'up' | 'down',
): Node | undefined {
  const isAcross = direction === 'left' || direction === 'right';
  const sign = direction === 'right' || direction === 'down' ? 1 : -1;
  const middle = (box: Box) => ({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
  const start = middle(from);
  let best: Node | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const node of nodes) {
    const { x, y } = middle(node);
    const along = sign * (isAcross ? x - start.x : y - start.y);
    if (along <= 1) continue;
    const distance = along + 2 * Math.abs(isAcross ? y - start.y : x - start.x);
    if (distance < bestDistance) [best, bestDistance] = [node, distance];
  }
  return best;
}
