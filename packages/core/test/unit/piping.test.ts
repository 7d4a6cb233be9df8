/** This file does not import `@umbel/canvas`. */
import { CanvasNotLoadedError, createApp, isUmbelError } from '@umbel/core';
import { expect, test } from 'vitest';

test('a signature is not piped without what makes chains', () => {
  const task = createApp({ name: 'alone' }).task({ name: 'alone', run: async () => 1 });
  expect(() => task.pipe(task.si())).toThrow(CanvasNotLoadedError);
  expect(() => task.pipe(task.si())).toThrow(/import "@umbel\/canvas"/);
  try {
    task.pipe(task.si());
  } catch (error) {
    expect(isUmbelError(error, 'CANVAS')).toBe(true);
  }
});
