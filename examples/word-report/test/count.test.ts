import { describe, expect, test } from 'vitest';
import { cpuMs } from '../../../test/support/cpu-time.js';
import { countWords } from '../src/count.js';
import { linksIn } from '../src/links.js';

const words = (text: string) => Object.fromEntries(countWords(text));

describe('words', () => {
  test('are counted in lower case, in order of first appearance', () => {
    expect(countWords('The cat, the CAT; a dog.')).toEqual([
      ['the', 2],
      ['cat', 2],
      ['a', 1],
      ['dog', 1],
    ]);
  });

  test('may have letters of any script, composed or not', () => {
    expect(words('Ünïcode cafe\u0301 CAFÉ Привет привет')).toEqual({ ünïcode: 1, café: 2, привет: 2 });
  });

  test('keep an apostrophe or a hyphen inside, and are no words without a letter', () => {
    expect(words("don't don’t well-known 'quoted' - 2026 v2")).toEqual({
      "don't": 2,
      'well-known': 1,
      quoted: 1,
      v2: 1,
    });
  });

  test('named like a property of every object are counted like others', () => {
    expect(countWords('constructor toString constructor')).toEqual([
      ['constructor', 2],
      ['tostring', 1],
    ]);
  });

  test('are not found in links, tags, entities and comments', () => {
    expect(
      words('See [docs](https://example.com/page) <b class="x">now</b>&nbsp;<!-- never --> <br/>'),
    ).toEqual({ see: 1, docs: 1, now: 1 });
  });

  test('are not found in fenced code, which ends at a fence as long as its first', () => {
    expect(words('before\n````js\ncode\n```\nstill code\n````\nafter `inline`')).toEqual({
      before: 1,
      after: 1,
      inline: 1,
    });
    expect(words('before\n~~~\nnever closed\n')).toEqual({ before: 1 });
    expect(words('```not a fence``` here')).toEqual({ not: 1, a: 1, fence: 1, here: 1 });
  });

  test('of an empty text are none', () => {
    expect(countWords('')).toEqual([]);
  });
});

describe('links', () => {
  test('are found in Markdown', () => {
    const text = `[a](https://a.org/x "title") ![i](http://i.org/p.png) <https://auto.org>
[![badge](https://badge.org/b.svg)](https://target.org)
[ref]: https://ref.org/page`;
    expect(linksIn(text)).toEqual([
      'https://a.org/x',
      'http://i.org/p.png',
      'https://auto.org',
      'https://badge.org/b.svg',
      'https://target.org',
      'https://ref.org/page',
    ]);
  });

  test('are found in HTML, with entities decoded', () => {
    expect(linksIn('<a href="https://a.org/?x=1&amp;y=2">a</a><img src=https://b.org/i.png>')).toEqual([
      'https://a.org/?x=1&y=2',
      'https://b.org/i.png',
    ]);
  });

  test('are found bare, without the punctuation of the sentence', () => {
    expect(
      linksIn('See https://a.org/b_(c). Or (https://d.org), **https://e.org/**, HTTPS://F.org!'),
    ).toEqual(['https://a.org/b_(c)', 'https://d.org', 'https://e.org/', 'HTTPS://F.org']);
  });

  test('are collected once each', () => {
    expect(linksIn('https://a.org https://a.org')).toEqual(['https://a.org']);
  });

  test('in fenced code, of other schemes, or without a host are not collected', () => {
    expect(
      linksIn('```\nhttps://code.org\n```\njavascript:alert(1) ftp://f.org mailto:a@b.c https://'),
    ).toEqual([]);
  });
});

test('a hostile text of a mebibyte takes linear time', () => {
  const size = 2 ** 20;
  for (const piece of [
    '<!--',
    '<a ',
    'word',
    'a-',
    '((',
    'https://',
    'https://)',
    'https://a.',
    '...',
    '```\n',
    '&a',
    'é ',
  ]) {
    const text = `https://${piece.repeat(size / piece.length)}-`;
    const startedAt = cpuMs();
    countWords(text);
    linksIn(text);
    expect(cpuMs() - startedAt, piece).toBeLessThan(5000); // quadratic time would be minutes
  }
});
