/** Spans as a tree for people. */
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { hrTimeToMilliseconds } from '@opentelemetry/core';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { ATTRIBUTE } from '@umbel/core/opentelemetry';

/** One tree for each trace, in order of time. */
export function treeOf(spans: readonly ReadableSpan[]): string {
  const inOrder = spans.toSorted(
    (a, b) => hrTimeToMilliseconds(a.startTime) - hrTimeToMilliseconds(b.startTime),
  );
  const byId = new Map(inOrder.map((span) => [span.spanContext().spanId, span]));
  const childrenOf = (id: string) =>
    inOrder.filter(({ parentSpanContext }) => parentSpanContext?.spanId === id);
  const below = (parent: string, indent: string): string[] => {
    const children = childrenOf(parent);
    return children.flatMap((child, index) => {
      const isLast = index === children.length - 1;
      const line = `${indent}${isLast ? '└─' : '├─'} ${describe(child, byId)}`;
      return [line, ...below(child.spanContext().spanId, `${indent}${isLast ? '   ' : '│  '}`)];
    });
  };
  return inOrder
    .filter(({ parentSpanContext }) => !byId.has(parentSpanContext?.spanId ?? ''))
    .flatMap((root) => {
      const { traceId, spanId } = root.spanContext();
      return [`trace ${traceId}`, describe(root, byId), ...below(spanId, ''), ''];
    })
    .join('\n');
}

function describe(
  { name, kind, status, attributes, duration, links }: ReadableSpan,
  byId: ReadonlyMap<string, ReadableSpan>,
): string {
  const attempt = attributes[ATTRIBUTE.attempt];
  return [
    name,
    SpanKind[kind],
    ...(attempt === undefined ? [] : [`attempt ${attempt}`]),
    `${hrTimeToMilliseconds(duration).toFixed(1)} ms`,
    ...(status.code === SpanStatusCode.ERROR ? [`ERROR ${status.message}`] : []),
    ...(links.length === 0
      ? []
      : [`← ${links.map(({ context }) => attemptOf(byId.get(context.spanId))).join(', ')}`]),
  ].join(' · ');
}

/** What a link leads to: `price.fetch 2` is the second attempt. */
function attemptOf(span: ReadableSpan | undefined): string {
  return `${span?.attributes[ATTRIBUTE.task]} ${span?.attributes[ATTRIBUTE.attempt]}`;
}
