/** Spans as a tree for people. */
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { hrTimeToMilliseconds } from '@opentelemetry/core';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { ATTRIBUTE } from './tracing.js';

/** One tree for each trace, in order of time. */
export function treeOf(spans: readonly ReadableSpan[]): string {
  const inOrder = spans.toSorted(
    (a, b) => hrTimeToMilliseconds(a.startTime) - hrTimeToMilliseconds(b.startTime),
  );
  const ids = new Set(inOrder.map((span) => span.spanContext().spanId));
  const childrenOf = (id: string) =>
    inOrder.filter(({ parentSpanContext }) => parentSpanContext?.spanId === id);
  const below = (parent: string, indent: string): string[] => {
    const children = childrenOf(parent);
    return children.flatMap((child, index) => {
      const isLast = index === children.length - 1;
      const line = `${indent}${isLast ? '└─' : '├─'} ${describe(child)}`;
      return [line, ...below(child.spanContext().spanId, `${indent}${isLast ? '   ' : '│  '}`)];
    });
  };
  return inOrder
    .filter(({ parentSpanContext }) => !ids.has(parentSpanContext?.spanId ?? ''))
    .flatMap((root) => {
      const { traceId, spanId } = root.spanContext();
      return [`trace ${traceId}`, describe(root), ...below(spanId, ''), ''];
    })
    .join('\n');
}

function describe({ name, kind, status, attributes, duration }: ReadableSpan): string {
  const attempt = attributes[ATTRIBUTE.attempt];
  return [
    name,
    SpanKind[kind],
    ...(attempt === undefined ? [] : [`attempt ${attempt}`]),
    `${hrTimeToMilliseconds(duration).toFixed(1)} ms`,
    ...(status.code === SpanStatusCode.ERROR ? [`ERROR ${status.message}`] : []),
  ].join(' · ');
}
