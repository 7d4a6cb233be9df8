import { ValidationError } from '@umbel/core';
import { expect, test } from 'vitest';
import { problemOf } from '../../src/errors.js';

test('an invalid value is that of its task, or of its signal', () => {
  const issues = [{ path: 'input.ok', message: 'expected boolean' }];
  const what = (subject: 'input' | 'result' | 'payload') =>
    problemOf(new ValidationError('expense.approved', subject, issues), false).what;
  expect(what('input')).toBe('The input of task "expense.approved" is invalid.');
  expect(what('result')).toBe('The result of task "expense.approved" is invalid.');
  expect(what('payload')).toBe('The payload of signal "expense.approved" is invalid.');
});
