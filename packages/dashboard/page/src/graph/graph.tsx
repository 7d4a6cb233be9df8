/** Draws the graph of a run as SVG. Loaded with its layout when a run is opened. */
import { useMemo, useState } from 'preact/hooks';
import { duration } from '../format.js';
import { classOf, Empty, shapeOf } from '../parts/parts.js';
import type { Graph, Node } from '../types.js';
import { layoutOf, MAX_LABEL, type PlacedNode } from './layout.js';

const MAX_NODES = 500;
const ZOOM = { min: 0.25, max: 2, step: 1.25 };

interface GraphProps {
  readonly graph: Graph;
  readonly chosen: string;
  readonly onChoose: (id: string) => void;
}

export default function GraphView({ graph, chosen, onChoose }: GraphProps) {
  const [zoom, setZoom] = useState(1);
  // The states change often, the form rarely.
  const form = JSON.stringify([graph.nodes.map(({ id, label }) => [id, label]), graph.edges]);
  const isTooLarge = graph.nodes.length > MAX_NODES;
  const layout = useMemo(() => (isTooLarge ? undefined : layoutOf(graph)), [form]);
  if (layout === undefined)
    return (
      <Empty>
        This run has {graph.nodes.length} different steps: too many to draw. Its timeline is below.
      </Empty>
    );
  const states = new Map(graph.nodes.map((node) => [node.id, node]));
  const change = (factor: number) => setZoom(Math.min(ZOOM.max, Math.max(ZOOM.min, zoom * factor)));
  return (
    <div class="graph">
      <div class="zoom">
        <button type="button" aria-label="Zoom out" onClick={() => change(1 / ZOOM.step)}>
          −
        </button>
        <button type="button" aria-label="Zoom in" onClick={() => change(ZOOM.step)}>
          +
        </button>
      </div>
      <div class="canvas">
        <svg
          width={layout.width * zoom}
          height={layout.height * zoom}
          viewBox={`0 0 ${layout.width} ${layout.height}`}
        >
          <title>Graph of the run</title>
          <defs>
            <marker
              id="arrow"
              viewBox="0 0 8 8"
              refX="7"
              refY="4"
              markerWidth="7"
              markerHeight="7"
              orient="auto"
            >
              <path d="M0,0.5L8,4L0,7.5z" class="arrow" />
            </marker>
          </defs>
          {layout.edges.map(({ key, path, kind, label, middle }) => (
            <g key={key}>
              <path d={path} class={`edge ${kind === undefined ? '' : 'aside'}`} marker-end="url(#arrow)" />
              {(label ?? kind) !== undefined && (
                <text class="edge-label" x={middle.x} y={middle.y - 5} text-anchor="middle">
                  {cut(label ?? kind ?? '')}
                </text>
              )}
            </g>
          ))}
          {layout.nodes.map((placed) => (
            <Box
              key={placed.node.id}
              placed={placed}
              node={states.get(placed.node.id) ?? placed.node}
              isChosen={placed.node.id === chosen}
              onChoose={onChoose}
            />
          ))}
        </svg>
      </div>
    </div>
  );
}

interface BoxProps {
  readonly placed: PlacedNode;
  readonly node: Node;
  readonly isChosen: boolean;
  readonly onChoose: (id: string) => void;
}

function Box({ placed: { x, y, width, height }, node, isChosen, onChoose }: BoxProps) {
  const isPending = node.state === 'pending';
  const choose = () => isPending || onChoose(node.id);
  const classes = [
    'node',
    classOf(node.state),
    isChosen ? 'chosen' : '',
    node.kind === undefined ? '' : 'wait',
  ];
  return (
    // biome-ignore lint/a11y/useSemanticElements: SVG has no buttons
    <g
      class={classes.join(' ')}
      transform={`translate(${x},${y})`}
      role="button"
      tabindex={isPending ? -1 : 0}
      aria-label={`${node.label}: ${detailOf(node)}`}
      aria-pressed={isChosen}
      onClick={choose}
      onKeyDown={(event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        choose();
      }}
    >
      {node.count !== undefined && <rect class="behind" x="5" y="-5" width={width} height={height} rx="8" />}
      <rect width={width} height={height} rx={node.kind === undefined ? 8 : 24} />
      <text class="shape" x="16" y={height / 2 + 5}>
        {shapeOf(node.state)}
      </text>
      <text class="label" x="36" y="20">
        {cut(node.label)}
      </text>
      <text class="detail" x="36" y="37">
        {cut(detailOf(node))}
      </text>
      {node.count !== undefined && <Shares node={node} width={width} y={height - 4} />}
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

function detailOf(node: Node): string {
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

const cut = (text: string) => (text.length > MAX_LABEL ? `${text.slice(0, MAX_LABEL - 1)}…` : text);
