import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { batchTurns } from '../../src/bullmq/batched-writes.js';

/** A stream that notes what is written to its other end at a time. */
function noting() {
  const packets: string[] = [];
  const stream = new Writable({
    writev(chunks, done) {
      packets.push(chunks.map(({ chunk }) => String(chunk)).join(''));
      done();
    },
    write(chunk, _encoding, done) {
      packets.push(String(chunk));
      done();
    },
  });
  return { packets, stream };
}

test('what is written in one turn, also by promises that settle in it, is sent together', async () => {
  const { packets, stream } = noting();
  batchTurns(stream);
  stream.write('a');
  stream.write('b');
  Promise.resolve().then(() => stream.write('c'));
  expect(packets).toEqual([]);
  await new Promise(setImmediate);
  expect(packets).toEqual(['abc']);
  stream.write('d');
  await new Promise(setImmediate);
  expect(packets).toEqual(['abc', 'd']);
});

test('eight are sent without waiting for the end of the turn', async () => {
  const { packets, stream } = noting();
  batchTurns(stream);
  for (const part of '123456789') stream.write(part);
  expect(packets).toEqual(['12345678']);
  await new Promise(setImmediate);
  expect(packets).toEqual(['12345678', '9']);
});

test('a stream is changed once, however often it is given, and ends with all that was written', async () => {
  const { packets, stream } = noting();
  batchTurns(stream);
  const { write } = stream;
  batchTurns(stream);
  expect(stream.write).toBe(write);
  stream.write('a');
  stream.end();
  await new Promise(setImmediate);
  expect(packets).toEqual(['a']);
});

test('what is no stream is left alone', () => {
  expect(() => {
    batchTurns(undefined);
    batchTurns({});
  }).not.toThrow();
});
