import type { FinishedStatus } from 'bullmq';
import type { QueueData } from './queue-data.js';
import { sliceRange } from './ranges.js';

const MINUTE = 60_000;

/** Counts one finished job; a new minute closes the points of the minutes before it. */
export function countFinished(queue: QueueData, type: FinishedStatus, maxPoints: number, now: number): void {
  let metrics = queue.metrics.get(type);
  if (!metrics) {
    metrics = { count: 0, previousTime: undefined, previousCount: 0, points: [] };
    queue.metrics.set(type, metrics);
  }
  const before = metrics.count;
  metrics.count += 1;
  if (metrics.previousTime === undefined) {
    metrics.previousTime = now;
    return;
  }
  const minutes = Math.floor(now / MINUTE) - Math.floor(metrics.previousTime / MINUTE);
  const added = Math.min(minutes, maxPoints);
  if (added <= 0) return;
  const points = [before - metrics.previousCount, ...new Array<number>(added - 1).fill(0)].reverse();
  metrics.points = [...points, ...metrics.points].slice(0, maxPoints);
  metrics.previousCount = before;
  metrics.previousTime = now;
}

/** Total, last time and count of the last minute; then the points of a range, newest first; then their number. */
export function readMetrics(
  queue: QueueData,
  type: FinishedStatus,
  start: number,
  end: number,
): [(string | null)[], string[], number] {
  const metrics = queue.metrics.get(type);
  if (!metrics) return [[null, null, null], [], 0];
  const { count, previousTime, previousCount, points } = metrics;
  return [
    [String(count), previousTime === undefined ? null : String(previousTime), String(previousCount)],
    sliceRange(points, start, end).map(String),
    points.length,
  ];
}
