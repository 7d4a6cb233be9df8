/** Draws the members of an unfolded node: a page of them, each a cell with its state. */
import { classOf, shapeOf } from '../parts/parts.js';
import type { Found, Job } from '../types.js';
import { MEMBER } from './layout.js';

interface UnfoldedProps {
  readonly page: Found<Job> | undefined;
  readonly chosen: string;
}

/** Its events are handled by the graph, which finds a member by `data-member`. */
export function Unfolded({ page, chosen }: UnfoldedProps) {
  const items = page?.items ?? [];
  const { size, gap, perRow, top, left } = MEMBER;
  return (
    <>
      {items.map((job, index) => {
        const x = left + (index % perRow) * (size + gap);
        const y = top + Math.floor(index / perRow) * (size + gap);
        return (
          // biome-ignore lint/a11y/useSemanticElements: SVG has no buttons
          <g
            key={job.id}
            class={`member ${classOf(job.state)}${job.id === chosen ? ' chosen' : ''}`}
            transform={`translate(${x},${y})`}
            role="button"
            data-member={job.id}
            tabindex={index === 0 ? 0 : -1}
            aria-label={`${job.displayName} ${job.id}: ${job.state}`}
            aria-pressed={job.id === chosen}
          >
            <title>{`${job.displayName}\n${job.id}\n${job.state}`}</title>
            <rect width={size} height={size} rx="4" />
            <text x={size / 2} y={size / 2 + 4} text-anchor="middle">
              {shapeOf(job.state)}
            </text>
          </g>
        );
      })}
      <text class="detail" x={left} y={top + MEMBER.rows * (size + gap) + 12}>
        {page === undefined ? 'Loading …' : textOf(page)}
      </text>
    </>
  );
}

function textOf({ items, cursor }: Found<Job>): string {
  if (items.length === 0) return 'No members on this page.';
  return cursor === undefined ? `${items.length} members` : `${items.length} members; more on the next page`;
}
