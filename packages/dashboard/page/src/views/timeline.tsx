/** The steps of a run over time. Long pauses in which no step ran are squeezed; the critical path is marked. */
import { now } from '../api.js';
import { duration } from '../format.js';
import { classOf, Empty } from '../parts/parts.js';
import type { Graph, Node } from '../types.js';
import { criticalPath, squeezed } from './timeline-scale.js';

const MAX_ROWS = 100;

export function Timeline({
  graph,
  onChoose,
}: {
  readonly graph: Graph;
  readonly onChoose: (id: string) => void;
}) {
  const started = graph.nodes
    .filter((node): node is Node & { startedAt: string } => node.startedAt !== undefined)
    .map((node) => ({
      node,
      from: Date.parse(node.startedAt),
      to:
        node.finishedAt === undefined
          ? now()
          : Math.max(Date.parse(node.finishedAt), Date.parse(node.startedAt)),
    }))
    .sort((a, b) => a.from - b.from);
  if (started.length === 0) return <Empty>No step has started.</Empty>;
  const scale = squeezed(started);
  const critical = criticalPath(graph);
  const percent = (share: number) => `${(share * 100).toFixed(3)}%`;
  return (
    <div class="timeline">
      {started.slice(0, MAX_ROWS).map(({ node, from, to }) => {
        const [left, right] = [scale.shareOf(from), scale.shareOf(to)];
        const isCritical = critical.has(node.id);
        const text = `${node.label}${isCritical ? ', on the critical path' : ''}: ${duration(to - from)}`;
        return (
          <button
            type="button"
            class="row"
            key={node.id}
            title={text}
            aria-label={text}
            onClick={() => onChoose(node.id)}
          >
            <span class="name">
              {node.label}
              {node.count !== undefined && ` × ${node.count}`}
            </span>
            <span class="lane">
              {scale.gaps.map(({ at, ms }) => (
                <i
                  class="gap"
                  key={at}
                  style={{ left: percent(at) }}
                  title={`${duration(ms)} without a running step`}
                />
              ))}
              <i
                class={`bar ${classOf(node.state)}${isCritical ? ' critical' : ''}`}
                style={{ left: percent(left), width: `max(3px, ${percent(right - left)})` }}
              />
            </span>
            <span class="length">{duration(to - from)}</span>
          </button>
        );
      })}
      <p class="dim legend">
        An outline marks the critical path
        {scale.gaps.length > 0 && '; a dashed line stands for a pause in which no step ran'}.
        {started.length > MAX_ROWS && ` The first ${MAX_ROWS} of ${started.length} steps are shown.`}
      </p>
    </div>
  );
}
