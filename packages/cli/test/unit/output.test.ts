import { describe, expect, test } from 'vitest';
import {
  clean,
  cleanLine,
  closest,
  hasColors,
  inCommands,
  isInteractive,
  jsonText,
  Output,
  progressLine,
  progressShown,
  shortDuration,
} from '../../src/output.js';

const terminal = { isTTY: true, write: () => true };
const pipe = { write: () => true };

function written(env: Record<string, string> = {}, isTTY = false, isJson = false) {
  const texts = { out: '', err: '' };
  const stream = (key: keyof typeof texts) => ({
    isTTY,
    write(text: string) {
      texts[key] += text;
    },
  });
  return { texts, out: new Output({ isJson }, stream('out'), stream('err'), env) };
}

describe('colours', () => {
  test.each([
    [terminal, {}, true],
    [pipe, {}, false],
    [terminal, { NO_COLOR: '1' }, false],
    [terminal, { CI: 'true' }, false],
    [terminal, { TERM: 'dumb' }, false],
    [pipe, { FORCE_COLOR: '1', NO_COLOR: '1' }, true],
    [terminal, { FORCE_COLOR: '0' }, false],
  ])('%o with %j: %s', (stream, env, expected) => {
    expect(hasColors(stream, env)).toBe(expected);
  });

  test('and lines that change in place are for terminals', () => {
    expect(isInteractive(terminal, {})).toBe(true);
    expect(isInteractive(terminal, { CI: '1' })).toBe(false);
    expect(isInteractive(pipe, {})).toBe(false);
  });
});

describe('how far a command is', () => {
  test('stands on one line of a terminal that changes', () => {
    const { out, texts } = written({}, true);
    const show = progressShown(out, 'mail');
    show({ done: 250, total: 1000 });
    show({ done: 500, total: 1000 });
    const lines = texts.err.split('\r\u001b[2K');
    expect(lines).toEqual([
      '',
      expect.stringMatching(/^mail: █{6}░{18} 250/),
      expect.stringContaining('500/1000'),
    ]);
    expect(texts.out).toBe('');
  });

  test('is told every five seconds elsewhere, and not at all beside JSON', () => {
    const clock = { now: 0 };
    const { out, texts } = written();
    const show = progressShown(out, 'mail', () => clock.now);
    for (let done = 0; done <= 1000; done += 100) {
      clock.now += 1000;
      show({ done, total: 1000 });
    }
    const lines = texts.err.trimEnd().split('\n');
    expect(lines.map((line) => line.slice(0, 6))).toEqual(['mail: ', 'mail: ']);
    expect(lines[0]).toContain('400/1000 done');
    const json = written({}, false, true);
    progressShown(json.out, 'mail', () => clock.now++ * 10_000)({ done: 1, total: 2 });
    expect(json.texts).toEqual({ out: '', err: '' });
  });
});

describe('output', () => {
  test('is data on stdout, and the rest on stderr', () => {
    const { out, texts } = written();
    out.data('1');
    out.document('call', { id: 'x' });
    out.note('hello');
    out.status('50%');
    out.problem({ exitCode: 3, what: 'Gone.', why: 'It is not there.\nNor here.', hint: 'Look.' });
    expect(texts).toEqual({
      out: '1\n{"version":1,"kind":"call","id":"x"}\n',
      err: 'hello\nerror: Gone.\n  It is not there.\n  Nor here.\n  Look.\n',
    });
  });

  test('takes a line that changes away before it writes another', () => {
    const { out, texts } = written({}, true);
    out.status('50%');
    out.note('done');
    expect(texts.err).toBe('\r\u001b[2K50%\r\u001b[2Kdone\n');
  });

  test('cuts a line that changes where the terminal ends', () => {
    let text = '';
    const stream = { isTTY: true, columns: 6, write: (part: string) => (text += part) };
    new Output({}, stream, stream, {}).status('█'.repeat(20));
    expect(text).toBe(`\r\u001b[2K${'█'.repeat(5)}`);
  });

  test('of a problem is a document where documents are wanted', () => {
    const { out, texts } = written({}, false, true);
    out.problem({ exitCode: 2, what: 'No.' }, 'at x');
    expect(JSON.parse(texts.err)).toEqual({
      version: 1,
      kind: 'error',
      exitCode: 2,
      what: 'No.',
      stack: 'at x',
    });
  });

  test('of a problem shows nothing that a terminal would obey', () => {
    const { out, texts } = written();
    out.problem({ exitCode: 1, what: 'a\u001b[31m\nb', why: '\u009b2J\u202ex\r' }, '\u0007stack');
    expect(texts.err).toBe('error: a[31m b\n  2Jx\nstack\n');
  });
});

describe('text', () => {
  test('is cleaned of controls', () => {
    expect(clean('a\u001b]0;x\u0007b\tc\nd\u2066')).toBe('a]0;xb\tc\nd');
    expect(cleanLine('a\n  b\tc\r')).toBe('a b c');
    const text = jsonText({ a: '\u001b\u009b\u202e\u2028' });
    expect(text).toBe('{"a":"\\u001b\\u009b\\u202e\\u2028"}');
    expect(JSON.parse(text)).toEqual({ a: '\u001b\u009b\u202e\u2028' });
    expect(jsonText(undefined)).toBe('null');
  });

  test('says commands where core says calls', () => {
    expect(inCommands("Job a is a step of run b: resume that, with app.result('b').resume().")).toBe(
      'Job a is a step of run b: resume that, with umbel runs resume b.',
    );
    expect(inCommands("with app.deadLetters.replay('x', { input }).")).toBe(
      'with umbel dead replay x --input.',
    );
    expect(inCommands("app.jobs.list({ state: 'revoked' }) gives them")).toBe(
      'umbel jobs list --state revoked gives them',
    );
    expect(inCommands('Run it once more with app.deadLetters.replay.')).toBe(
      'Run it once more with umbel dead replay.',
    );
    expect(inCommands('nothing to say')).toBe('nothing to say');
  });

  test('is short for times', () => {
    expect([0.4, 999, 1200, 59_940, 59_960, 185_000, 7_620_000].map(shortDuration)).toEqual([
      '0ms',
      '999ms',
      '1.2s',
      '59.9s',
      '1m00s',
      '3m05s',
      '2h07m',
    ]);
  });

  test('tells how far something is', () => {
    expect(progressLine({ percent: 50 })).toBe(`${'█'.repeat(12)}${'░'.repeat(12)} 50%`);
    expect(progressLine({ done: 1, total: 4, failed: 1 })).toMatch(/^█{6}░{18} 1\/4 done, 1 failed$/);
    expect(progressLine({ done: 0, total: 0 })).toContain('0/0 done');
    expect(progressLine(250)).toBe('250');
    expect(progressLine({ step: 'a\u001b' })).toBe('{"step":"a\\u001b"}');
    expect(progressLine('x'.repeat(300))).toHaveLength(101);
  });

  test('says what may be meant', () => {
    expect(closest('ad', ['add', 'double'])).toBe('Did you mean add?');
    expect(closest('zzz', ['add', 'double'])).toBe('Expected one of: add, double.');
    expect(closest('a', [])).toBe('There are none.');
  });
});
