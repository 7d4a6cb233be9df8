/** Methods that are called without their object say what to write. */
import { chain } from '@umbel/canvas';
import { createApp, InvalidOptionError } from '@umbel/core';
import { memory } from '@umbel/testing';
import { expect, test } from 'vitest';
import { z } from 'zod';

const app = createApp({ name: 'unbound', connection: memory() });
const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
const bound = double.si(1);
const both = chain(double, double);
const worker = app.worker();
const result = app.result(double, 'one');

test.each([
  ['delay', () => [1, 2].map(double.delay), 'call.delay'],
  ['applyAsync', () => [1, 2].map((double as { applyAsync: (n: number) => unknown }).applyAsync), 'call.'],
  ['si', () => [1, 2].map(double.si), 'task.si'],
  ['set', () => [{}].map(bound.set), 'call.set'],
  ['delay', () => [1].map(both.delay), 'composition.delay'],
  ['pipe', () => [double].map(double.pipe), 'call.pipe'],
  ['close', () => [{}].map(worker.close), 'worker.close'],
  ['close', () => [0].map(app.close), 'app.close'],
  ['result', () => ['a'].map(app.result), 'app.result'],
  ['get', () => [{}].map(result.get), 'result.get'],
])('%s without its object', (name, call, write) => {
  let error: unknown;
  try {
    call();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(InvalidOptionError);
  const { message } = error as Error;
  expect(message).toContain(`\`${name}\``);
  expect(message).toContain(`(…) => ${write}`);
});

test('methods keep their names, and objects that inherit from a task can call them', () => {
  expect(double.delay.name).toBe('delay');
  expect(double.s.name).toBe('s');
  expect(JSON.stringify(double.si(2))).toContain('"task":"double"');
});
