import { expect, test } from 'vitest';
import { decodeEnvelope, isTraceLinks, isTraceparent, withTraceLinks } from '../../src/job/envelope.js';
import type { JobNode } from '../../src/job/job-tree.js';
import { spanContextOf, traceparentOf } from '../../src/opentelemetry/tracing.js';

const TRACE = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

test('a span goes into text and back', () => {
  const context = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1, isRemote: true };
  expect(traceparentOf(context)).toBe(TRACE);
  expect(spanContextOf(TRACE)).toEqual(context);
});

test.each([
  [undefined],
  [1],
  [''],
  [TRACE.toUpperCase()],
  [`${TRACE}\n`],
  [TRACE.slice(0, -1)],
  [`01${TRACE.slice(2)}`],
])('%j is no traceparent', (value) => {
  expect(isTraceparent(value)).toBe(false);
  expect(isTraceparent(TRACE)).toBe(true);
});

test.each([
  [undefined],
  [[]],
  [{ traces: TRACE, count: 1 }],
  [{ traces: [TRACE] }],
  [{ traces: ['x'], count: 1 }],
  [{ traces: Array(129).fill(TRACE), count: 129 }],
])('stored links are checked: %j', (links) => {
  expect(isTraceLinks(links)).toBe(false);
  expect(isTraceLinks({ traces: Array(128).fill(TRACE), count: 1000 })).toBe(true);
});

test('a job whose fields for traces are not of their kind is corrupt', () => {
  const data = { umbel: 1, trace: TRACE, links: { traces: [TRACE], count: 1 } };
  expect(decodeEnvelope('1', data)).toEqual(data);
  expect(() => decodeEnvelope('1', { umbel: 1, trace: 'x' })).toThrow(
    'its field "trace" is not a traceparent',
  );
  expect(() => decodeEnvelope('1', { umbel: 1, links: [] })).toThrow(
    'its field "links" is not a list of traceparents',
  );
});

test('of a tree the jobs are linked that wait for no other', () => {
  const node = (path: string, more: Partial<JobNode> = {}): JobNode => ({
    path,
    name: 'task',
    queue: 'q',
    ...more,
  });
  const links = { traces: [TRACE], count: 1 };
  const tree = node('0', { children: [node('0-0', { content: { parent: 'p' } })] });
  expect(withTraceLinks(tree, links)).toEqual(
    node('0', { children: [node('0-0', { content: { parent: 'p', links } })] }),
  );
  expect(withTraceLinks(tree, undefined)).toBe(tree);
  expect(withTraceLinks(tree, { traces: [], count: 0 })).toBe(tree);
});
