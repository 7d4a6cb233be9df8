/** The steps of a run over time: how long each was queued, retried, waited and ran. Long pauses are squeezed. */
import { now } from '../api.js';
import { duration } from '../format.js';
import { classOf, Empty } from '../parts/parts.js';
import type { Graph } from '../types.js';
import { criticalPath, type PartKind, type Row, rowsOf, squeezed } from './timeline-scale.js';

const MAX_ROWS = 100;

/** The waits in the order of the legend, with its text. */
const WAITS: Readonly<Record<Exclude<PartKind, 'ran'>, string>> = {
  queued: 'queued',
  retried: 'earlier attempts',
  slept: 'slept',
  waited: 'waited',
};

interface TimelineProps {
  readonly graph: Graph;
  /** When the run was sent. */
  readonly sentAt: string;
  readonly onChoose: (id: string) => void;
}

export function Timeline({ graph, sentAt, onChoose }: TimelineProps) {
  const rows = rowsOf(graph, Date.parse(sentAt), now());
  if (rows.length === 0) return <Empty>No step has started.</Empty>;
  const parts = rows.flatMap((row) => row.parts);
  const scale = squeezed(
    parts.filter(({ kind }) => kind === 'ran'),
    parts.filter(({ kind }) => kind !== 'ran'),
  );
  const critical = criticalPath(graph);
  const percent = (share: number) => `${(share * 100).toFixed(3)}%`;
  return (
    <div class="timeline">
      {rows.slice(0, MAX_ROWS).map((row) => {
        const { node } = row;
        const isCritical = critical.has(node.id);
        const text = `${node.label}: ${describe(row)}${isCritical ? ', on the critical path' : ''}`;
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
              {row.parts.map(({ kind, from, to }) => {
                const [left, right] = [scale.shareOf(from), scale.shareOf(to)];
                const look = kind === 'ran' ? `bar ${classOf(node.state)}` : `wait ${kind}`;
                const isMain = kind === 'ran' || row.parts.length === 1;
                return (
                  <i
                    key={kind}
                    class={`${look}${isCritical && isMain ? ' critical' : ''}`}
                    style={{ left: percent(left), width: `max(3px, ${percent(right - left)})` }}
                  />
                );
              })}
            </span>
            <span class="length">{lengthOf(row)}</span>
          </button>
        );
      })}
      <p class="dim legend">
        {Object.entries(WAITS).map(
          ([kind, text]) =>
            parts.some((part) => part.kind === kind) && (
              <span key={kind}>
                <i class={`wait ${kind}`} /> {text}
              </span>
            ),
        )}
        <span>
          <i class="bar critical" /> critical path
        </span>
        {scale.gaps.length > 0 && (
          <span>
            <i class="gap" /> pause without a running step, squeezed
          </span>
        )}
        {rows.length > MAX_ROWS && ` The first ${MAX_ROWS} of ${rows.length} steps are shown.`}
      </p>
    </div>
  );
}

/** Returns `queued 20 ms, ran 1.2 s`. */
function describe({ parts, node: { attempts = 0 } }: Row): string {
  return parts
    .map(({ kind, from, to }) => {
      const length = duration(to - from);
      return kind === 'retried'
        ? `earlier attempts ${length}, ${attempts} attempts ended`
        : `${kind} ${length}`;
    })
    .join(', ');
}

/** The last part is the one that matters: the run of the step, or what it waits for. */
function lengthOf({ parts }: Row): string {
  const last = parts.at(-1);
  return last === undefined ? '' : duration(last.to - last.from);
}
