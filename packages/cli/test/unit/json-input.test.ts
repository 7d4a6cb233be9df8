import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CliError } from '../../src/errors.js';
import { firstMistake, parseJson } from '../../src/input.js';

const refusal = (text: string) => {
  try {
    parseJson(text, 'The input');
  } catch (error) {
    if (error instanceof CliError) return error.problem;
  }
  throw new Error('it was read');
};

describe('JSON that people write', () => {
  test('is read', () => {
    expect(parseJson(' {"a": [1, -2.5e3, "\\u00e4", true, null]} ', 'The input')).toEqual({
      a: [1, -2500, 'ä', true, null],
    });
  });

  test.each([
    ['', 'line 1, column 1', 'a value', 'the text ends'],
    ['{"a":1,}', 'line 1, column 8', 'a key in double quotes', 'got "}"'],
    ['{a:1}', 'line 1, column 2', 'a key in double quotes, or "}"', 'got "a"'],
    ["['x']", 'line 1, column 2', 'a value', 'got "\'"'],
    ['[1,\n  2\n  3]', 'line 3, column 3', '"," or "]"', 'got "3"'],
    ['{"a" 1}', 'line 1, column 6', '":"', 'got "1"'],
    ['{"a":"x\ny"}', 'line 1, column 8', 'the closing double quote', 'got "\\n"'],
    ['"\\x"', 'line 1, column 2', 'a valid escape sequence', 'got "\\\\"'],
    ['01', 'line 1, column 2', 'the end', 'got "1"'],
    ['{"a":1} x', 'line 1, column 9', 'the end', 'got "x"'],
    ['{"a":{"b":[1', 'line 1, column 13', '"," or "]"', 'the text ends'],
  ])('%j is refused at its place', (text, place, expected, found) => {
    const { what, why, exitCode } = refusal(text);
    expect(what).toBe(`The input is not valid JSON (${place}).`);
    expect(why?.split('\n')[0]).toBe(`Expected ${expected}, but ${found}.`);
    expect(exitCode).toBe(2);
  });

  test('shows the place in a long line', () => {
    const { why } = refusal(`{"a":"${'x'.repeat(200)}" "b":1}`);
    const [, line = '', mark = ''] = why?.split('\n') ?? [];
    expect(line[mark.indexOf('^')]).toBe('"');
    expect(line.slice(mark.indexOf('^'))).toBe('"b":1}');
  });

  test('finds a mistake exactly where JSON.parse refuses, and none where it does not', () => {
    const isJson = (text: string) => {
      try {
        JSON.parse(text);
        return true;
      } catch {
        return false;
      }
    };
    const damaged = fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '"', '}', '[', '1', 'e', '\\', '\n', ':'))
      .map(([text, at, sign]) => {
        const place = at % (text.length + 1);
        return text.slice(0, place) + sign + text.slice(place + (sign === '' ? 1 : 0));
      });
    fc.assert(
      fc.property(damaged, (text) => {
        const { expected, offset } = firstMistake(text);
        const isClean = expected === 'the end' && offset === text.length;
        expect(isClean).toBe(isJson(text));
      }),
      { numRuns: 2000 },
    );
  });

  test('may be nested as deep as it likes', () => {
    expect(firstMistake('['.repeat(200_000))).toMatchObject({ offset: 200_000, expected: 'a value' });
  });
});
