/** Draws one node of the graph: its state by shape, colour and text. */
import { duration } from '../format.js';
import { classOf, shapeOf } from '../parts/parts.js';
import type { Found, Job, Node } from '../types.js';
import { cut } from './label.js';
import { HEIGHT, type PlacedNode } from './layout.js';
import { Unfolded } from './unfolded.js';

interface NodeProps {
  readonly placed: PlacedNode;
  readonly node: Node;
  readonly isChosen: boolean;
  /** Whether the tabulator reaches it: one node of the graph. Arrow keys lead to the others. */
  readonly isTabStop: boolean;
  /** Present if its members are drawn in it. */
  readonly members?: { readonly page: Found<Job> | undefined; readonly chosen: string } | undefined;
}

/** Its events are handled by the graph, which finds it by `data-id`. */
export function GraphNode({ placed, node, isChosen, isTabStop, members }: NodeProps) {
  const { x, y, width, height } = placed;
  const isPending = node.state === 'pending';
  const classes = ['node', classOf(node.state)];
  if (isChosen) classes.push('chosen');
  if (node.kind !== undefined) classes.push('wait');
  return (
    // biome-ignore lint/a11y/useSemanticElements: SVG has no buttons
    <g
      class={classes.join(' ')}
      transform={`translate(${x},${y})`}
      role="button"
      data-id={node.id}
      tabindex={isTabStop ? 0 : -1}
      aria-label={`${node.label}: ${detailOf(node)}`}
      aria-pressed={isChosen}
      aria-expanded={node.count === undefined ? undefined : members !== undefined}
      aria-disabled={isPending}
    >
      <title>{`${node.label}\n${detailOf(node)}${node.error === undefined ? '' : `\n${node.error}`}`}</title>
      {node.count !== undefined && <rect class="behind" x="5" y="-5" width={width} height={height} rx="8" />}
      <rect width={width} height={height} rx={node.kind === undefined ? 8 : 24} />
      <text class="shape" x="16" y={HEIGHT / 2 + 5}>
        {shapeOf(node.state)}
      </text>
      <text class="label" x="36" y="20">
        {cut(node.label)}
      </text>
      <text class="detail" x="36" y="37">
        {cut(detailOf(node))}
      </text>
      {node.count !== undefined && <Shares node={node} width={width} y={HEIGHT - 4} />}
      {members !== undefined && <Unfolded {...members} />}
    </g>
  );
}

/** The states of many jobs as a bar. */
function Shares({ node, width, y }: { readonly node: Node; readonly width: number; readonly y: number }) {
  const entries = Object.entries(node.counts ?? {});
  const total = entries.reduce((sum, [, count]) => sum + count, 0) || 1;
  let at = 0;
  return (
    <>
      {entries.map(([state, count]) => {
        const size = (count / total) * (width - 16);
        const x = 8 + at;
        at += size;
        return <rect key={state} class={`share ${classOf(state)}`} x={x} y={y} width={size} height="3" />;
      })}
    </>
  );
}

export function detailOf(node: Node): string {
  if (node.count !== undefined) {
    const done = node.counts?.completed ?? 0;
    const failed = node.counts?.failed ?? 0;
    return `${done} of ${node.count} done${failed > 0 ? `, ${failed} failed` : ''}`;
  }
  if (node.isEach) return 'one for each item';
  const tries = (node.attempts ?? 0) > 1 ? `, ${node.attempts} attempts` : '';
  if (node.state === 'waiting-children') return 'waits for steps';
  return node.durationMs === undefined ? node.state : `${node.state}, ${duration(node.durationMs)}${tries}`;
}
