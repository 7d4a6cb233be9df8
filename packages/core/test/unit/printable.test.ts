import { describe, expect, test } from 'vitest';
import { clean, cleanLine } from '../../../cli/src/output.js';
import { appLoggerOf } from '../../src/app/wiring.js';
import { CorruptJobError, LostJobError, UnknownTaskError, ValidationError } from '../../src/base/errors.js';
import { TaskFailedError, UpstreamFailedError } from '../../src/base/failures.js';
import { escaped, printable } from '../../src/base/text.js';
import { rebuildError } from '../../src/codec/error-record.js';

const HOSTILE = 'a\r\nb\u001b[2J\u009b1m\u202ec\u2028d\u0000\te';
/** Every character that escapes, or is one of the lines that a log has. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const OBEYED = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

describe('text from the store', () => {
  test('is one line without anything that a terminal obeys', () => {
    expect(escaped(HOSTILE)).toBe('a\\r\\nb\\u001b[2J\\u009b1m\\u202ec\\u2028d\\u0000\\te');
    expect(escaped('Grüße, 世界 🌼 "x" \\n')).toBe('Grüße, 世界 🌼 "x" \\n');
  });

  test('may keep its lines', () => {
    expect(printable('a\n\tb\u001b[1m\r')).toBe('a\n\tb\\u001b[1m\\r');
  });

  test('has the same characters taken out by the command line', () => {
    for (let code = 0; code < 0x3000; code += 1) {
      const text = String.fromCharCode(code);
      expect([code, clean(text) !== text]).toEqual([code, printable(text) !== text]);
      expect(cleanLine(`x${escaped(text)}y`)).toBe(`x${escaped(text)}y`);
    }
  });

  test('is escaped in whatever the app logs', () => {
    const lines: string[] = [];
    const log = (line: string) => void lines.push(line);
    const telling = appLoggerOf('shop', { info: log, warn: log, error: log });
    telling.info(HOSTILE);
    telling.warn(HOSTILE);
    telling.once(HOSTILE);
    telling.error(new Error(HOSTILE));
    expect(lines).toHaveLength(4);
    for (const line of lines) expect(line).toBe(`umbel "shop": ${escaped(HOSTILE)}`);
  });

  test('is escaped in the messages of errors, whose fields are as they were', () => {
    const errors = [
      new CorruptJobError(HOSTILE, HOSTILE),
      new LostJobError(HOSTILE),
      new UnknownTaskError(HOSTILE, []),
      new TaskFailedError(HOSTILE, HOSTILE, new Error('no')),
      new UpstreamFailedError({ task: HOSTILE, jobId: HOSTILE, error: { name: 'E', message: 'no' } }),
    ];
    for (const { message } of errors) {
      expect(message).not.toMatch(OBEYED);
      expect(message).not.toContain('\n');
      expect(message).toContain(escaped(HOSTILE));
    }
    expect(errors[0]).toMatchObject({ jobId: HOSTILE });
    const lines = new ValidationError('t', 'input', [{ path: 'a\nb', message: 'no\u001b[1m' }]);
    expect(lines.message).toBe('The input of task "t" is not valid:\n  a\\nb: no\\u001b[1m');
    expect(lines.issues).toEqual([{ path: 'a\nb', message: 'no\u001b[1m' }]);
  });

  test('is escaped in errors that are made again from it, which may have several lines', () => {
    for (const name of ['Error', 'TypeError', 'Own\u001b[1m', 'RangeError']) {
      const record = { name, message: 'a\nb\u001b[2J', stack: 'at x\n\u009b1m', code: 'X' };
      const error = rebuildError({ ...record, cause: record });
      for (const { name: shown, message, stack = '' } of [error, error.cause as Error]) {
        expect(`${shown}${message}${stack}`).not.toMatch(OBEYED);
        expect(message).toBe('a\nb\\u001b[2J');
      }
    }
  });
});
