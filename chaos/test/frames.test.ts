import { describe, expect, test } from 'vitest';
import { commandOf, FrameCutter } from '../src/redis/frames.js';

const FRAMES = [
  '+OK\r\n',
  '-LOADING Redis is loading\r\n',
  ':12\r\n',
  '$-1\r\n',
  '$4\r\na\r\nb\r\n',
  '*-1\r\n',
  '*0\r\n',
  '*2\r\n$3\r\nGET\r\n$1\r\na\r\n',
  '*2\r\n*1\r\n:1\r\n$2\r\nab\r\n',
  '%1\r\n+key\r\n*1\r\n#t\r\n',
  '~1\r\n_\r\n',
  '>2\r\n+message\r\n+text\r\n',
  '|1\r\n+ttl\r\n:3\r\n+value\r\n',
  '=7\r\ntxt:abc\r\n',
  ',1.5\r\n',
];

describe('a stream of the protocol', () => {
  test('is cut where its frames end', () => {
    const frames = new FrameCutter().push(Buffer.from(FRAMES.join('')));
    expect(frames.map(String)).toEqual(FRAMES);
  });

  test('is cut in the same places when it comes byte by byte', () => {
    const cutter = new FrameCutter();
    const frames = [...FRAMES.join('')].flatMap((byte) => cutter.push(Buffer.from(byte)));
    expect(frames.map(String)).toEqual(FRAMES);
  });

  test('has frames of many bytes, not characters', () => {
    const text = '$6\r\näöü\r\n';
    expect(new FrameCutter().push(Buffer.from(text + text)).map(String)).toEqual([text, text]);
  });
});

test('the command of a request is its first word', () => {
  expect(commandOf(Buffer.from('*3\r\n$7\r\nevalsha\r\n$3\r\nabc\r\n$1\r\n0\r\n'))).toBe('EVALSHA');
});
