/** Draws the graph of a run as SVG. Loaded with its layout when a run is opened. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Empty } from '../parts/parts.js';
import type { Found, Graph, Job } from '../types.js';
import { cut } from './label.js';
import { type Layout, MEMBER } from './layout.js';
import type { LayoutRequest } from './layout-worker.js';
import { GraphNode } from './node.js';
import { StepList } from './step-list.js';
import { useViewport, ZOOM_KEYS } from './use-viewport.js';
import { neighbourOf, ZOOM } from './viewport.js';

const MAX_NODES = 500;

interface GraphProps {
  readonly graph: Graph;
  readonly chosen: string;
  readonly onChoose: (id: string) => void;
  /** The node whose members are drawn in it, and a page of them. */
  readonly unfolded: string;
  readonly members: Found<Job> | undefined;
}

export default function GraphView(props: GraphProps) {
  const { graph, unfolded } = props;
  const isTooLarge = graph.nodes.length > MAX_NODES;
  const layout = useLayout(isTooLarge ? undefined : graph, unfolded);
  if (layout !== undefined) return <Drawing {...props} layout={layout} />;
  return isTooLarge ? <StepList {...props} /> : <Empty>Drawing …</Empty>;
}

/** Returns the places of the nodes, which a worker computes anew when the form of the graph changes. */
function useLayout(graph: Graph | undefined, unfolded: string): Layout | undefined {
  const [layout, setLayout] = useState<Layout>();
  const worker = useRef<Worker>(undefined);
  useEffect(() => {
    worker.current = new Worker(new URL('./layout-worker.ts', import.meta.url), { type: 'module' });
    worker.current.onmessage = ({ data }: MessageEvent<Layout>) => setLayout(data);
    return () => worker.current?.terminate();
  }, []);
  // The states change often, the form rarely.
  const form = graph && JSON.stringify([graph.nodes.map(({ id, label }) => [id, label]), graph.edges]);
  useEffect(() => {
    if (graph !== undefined) worker.current?.postMessage({ graph, unfolded } satisfies LayoutRequest);
  }, [form, unfolded]);
  return layout;
}

const DIRECTIONS = { ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'up', ArrowDown: 'down' } as const;

/** By how many members an arrow key leads on. */
const MEMBER_STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -MEMBER.perRow, ArrowDown: MEMBER.perRow };

function focusMember(from: Element, by: number): void {
  const all = [...(from.closest('.node')?.querySelectorAll<SVGElement>('.member') ?? [])];
  all[all.indexOf(from as SVGElement) + by]?.focus();
}

function Drawing({
  graph,
  chosen,
  onChoose,
  layout,
  unfolded,
  members,
}: GraphProps & { readonly layout: Layout }) {
  const { canvas, zoom, change, fit, show } = useViewport(layout);
  const [focused, setFocused] = useState('');
  const placedOf = (id: string) => layout.nodes.find(({ node }) => node.id === id);
  const tabStop = (placedOf(focused) ?? placedOf(chosen) ?? layout.nodes[0])?.node.id;
  useEffect(() => {
    const placed = placedOf(chosen);
    if (placed !== undefined) show(placed);
  }, [chosen, layout]);
  const idOf = (event: Event) => (event.target as Element).closest<SVGElement>('.node')?.dataset.id;
  const memberOf = (event: Event) =>
    (event.target as Element).closest<SVGElement>('.member')?.dataset.member ?? undefined;
  const choose = (id: string | undefined, member?: string) => {
    if (member !== undefined) return onChoose(member);
    const node = graph.nodes.find((each) => each.id === id);
    if (node !== undefined && node.state !== 'pending') onChoose(node.id);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const id = idOf(event);
    const member = memberOf(event);
    const factor = ZOOM_KEYS[event.key];
    if (factor !== undefined) change(factor);
    else if (event.key === '0') fit();
    else if (id !== undefined && (event.key === 'Enter' || event.key === ' ')) choose(id, member);
    else if (member !== undefined && event.key in MEMBER_STEPS)
      focusMember(event.target as Element, MEMBER_STEPS[event.key as keyof typeof MEMBER_STEPS]);
    else if (id !== undefined && event.key in DIRECTIONS) {
      const from = placedOf(id);
      const direction = DIRECTIONS[event.key as keyof typeof DIRECTIONS];
      const next = from && neighbourOf(layout.nodes, from, direction);
      if (next === undefined) return;
      const element = canvas.current?.querySelector<SVGElement>(`[data-id="${CSS.escape(next.node.id)}"]`);
      element?.focus({ preventScroll: true });
      show(next);
    } else return;
    event.preventDefault();
  };
  // Neither zooming nor moving draws the nodes again.
  const drawn = useMemo(() => {
    const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
    return (
      <>
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
          <GraphNode
            key={placed.node.id}
            placed={placed}
            node={nodes.get(placed.node.id) ?? placed.node}
            isChosen={placed.node.id === chosen}
            isTabStop={placed.node.id === tabStop}
            members={placed.node.id === unfolded ? { page: members, chosen } : undefined}
          />
        ))}
      </>
    );
  }, [graph, layout, chosen, tabStop, unfolded, members]);
  return (
    <div class="graph">
      <div class="zoom">
        <button type="button" aria-label="Zoom out" onClick={() => change(1 / ZOOM.step)}>
          −
        </button>
        <span class="dim level">{Math.round(zoom * 100)} %</span>
        <button type="button" aria-label="Zoom in" onClick={() => change(ZOOM.step)}>
          +
        </button>
        <button type="button" onClick={fit}>
          Fit
        </button>
      </div>
      <div
        class="canvas"
        ref={canvas}
        role="application"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: an application has the keys that its label names
        tabIndex={0}
        aria-label="Graph of the run. Arrow keys lead from step to step; plus, minus and 0 zoom."
        onClick={(event) => choose(idOf(event), memberOf(event))}
        onKeyDown={onKeyDown}
        onFocusCapture={(event) => setFocused(idOf(event) ?? focused)}
      >
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
          {drawn}
        </svg>
      </div>
    </div>
  );
}
