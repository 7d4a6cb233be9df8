/** Names, tags, ids and patterns are matched in a time in proportion to their length, whatever they are. */
import { chain, group } from '@umbel/canvas';
import { createApp, InvalidOptionError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import { memory } from '../../../../test/engines.js';
import { maskFor } from '../../src/codec/masking.js';
import { adderIn, chainOf, isJobId, memberOf } from '../../src/job/ids.js';
import { Router } from '../../src/task/routing.js';
import { addedInOrder } from '../../src/workflow/added-members.js';
import { codeOf, sourceFiles } from '../support/sources.js';

/** So long that a time in proportion to the square of it would be hours. */
const LONG = 2_000_000;

describe('the sources', () => {
  test('make no regular expression of a value', () => {
    expect(sourceFiles.length).toBeGreaterThan(100);
    const making =
      /\bRegExp\s*\(|\.(?:match|matchAll|search|split|replace|replaceAll)\(\s*new\b|\.search\s*\(/;
    expect(sourceFiles.filter((file) => making.test(codeOf(file)))).toEqual([]);
  });

  test('hold no regular expression with a repetition in a repetition, or several free ones in a row', () => {
    const literals = sourceFiles.flatMap((file) =>
      [
        ...codeOf(file).matchAll(
          /(?<=[=(,:?|&!]\s*)\/(?![/*])((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+)\/[a-z]*/g,
        ),
      ].map(([, pattern = '']) => ({ file, pattern })),
    );
    expect(literals.length).toBeGreaterThan(10);
    const nested = /[+*]\)[+*{]|[+*]\)\?[+*]/; // (a+)+
    const repeated = /\.[*+].*\.[*+]/; // .*…​.*
    const risky = literals.filter(({ pattern }) => nested.test(pattern) || repeated.test(pattern));
    expect(risky.map(({ file, pattern }) => `${file}: ${pattern}`)).toEqual([
      // Of the URL that the operator gives, to hide its password.
      'packages/core/src/store/engine/urls.ts: ^(.*?:\\/\\/)?.*@',
    ]);
  });
});

describe('an id of two million signs', () => {
  const many = (text: string) => text.repeat(LONG / text.length);

  test.each([
    ['of wrapped places', many('^')],
    ['of wrapped places with letters', many('^a')],
    ['of places that were replaced', many('~')],
    ['of both', many('^~')],
    ['of letters', many('a')],
    ['of steps', many('-1')],
    ['of numbers', many('1')],
    ['of members', many('.1')],
    ['of members that others have added', many('.1+')],
    ['of turns', many('+1')],
    ['of signs of all kinds', many('.1+-2^a~!/3')],
  ])('%s is read in one go, with any end', (_what, text) => {
    for (const end of ['', '!', '.', '+', '+0', '-0', '^', '~', '\n', ':']) {
      const id = `${text}${end}`;
      for (const read of [
        chainOf,
        memberOf,
        adderIn,
        isJobId,
        (one: string) => addedInOrder('', [`.${one}`]),
      ]) {
        expect(() => read(id)).not.toThrow();
      }
    }
  });

  test('is refused as the id of a job', async () => {
    const app = createApp({ name: 'long', connection: memory() });
    expect(() => app.result(many('x'))).toThrow(InvalidOptionError);
    await app.close();
  });
});

describe('the readers of ids', () => {
  test.each([
    ['a-0', 'a'],
    ['a-0^', 'a'],
    ['a-0~^b', 'a'],
    ['a-0^t~', 'a'],
    ['a', undefined],
    ['a-0.1', undefined],
    ['a-0!', undefined],
  ])('find the chain of %s', (path, chainPath) => {
    expect(chainOf(path)).toBe(chainPath);
  });

  test.each([
    ['0.3', '0', '0.3'],
    ['0.3-1', '0', '0.3'],
    ['0.3.4^', '0.3', '0.3.4'],
    ['0.12+-1+0', '0', '0.12'],
  ])('find the member of %s', (path, list, member) => {
    expect(memberOf(path)).toEqual({ group: list, member });
  });

  test.each(['0', '0.', '0.x', '', '.'])('find no member in %j', (path) => {
    expect(memberOf(path)).toBeUndefined();
  });

  test.each([
    ['r-0.3++0', 'r-0.3'],
    ['r-0.3+-1+0', 'r-0.3-1'],
    ['r-0.3+++0+1', 'r-0.3++0'],
    ['r-0.3+-0.1+2', 'r-0.3-0.1'],
    ['r-0.3', undefined],
    ['r-0.3+0', undefined],
    ['r+0+1', undefined],
  ])('find what has added %s', (id, adder) => {
    expect(adderIn(id)).toBe(adder);
  });
});

describe('a pattern of a route', () => {
  const wild = (signs: number) => `${'a*'.repeat(signs)}b`;

  test('with thousands of wildcards matches a name in one go', () => {
    const name = 'a'.repeat(100);
    const router = new Router(undefined, {
      [wild(50)]: 'first',
      [wild(5000)]: 'second',
      ['*'.repeat(100_000)]: 'third',
      [`${'*a'.repeat(50)}*b*`]: 'fourth',
    });
    const call = { task: name, input: undefined, headers: {} };
    expect(router.queueOf(call, undefined, new Set())).toBe('third');
    expect(router.queueOf({ ...call, task: `${name.slice(1)}b` }, undefined, new Set())).toBe('first');
  });

  test('with signs of regular expressions means those signs', () => {
    const patterns = ['(a+)+', '[a-z]*', 'a{1,9}', '^a', 'a$', 'a|b', '.', '\\w'];
    for (const pattern of patterns) {
      const router = new Router(undefined, { [pattern]: 'there' });
      for (const task of ['aaa', 'a', 'b', 'x']) {
        expect(router.queueOf({ task, input: undefined, headers: {} }, undefined, new Set())).toBe('default');
      }
    }
  });
});

describe('text of a user', () => {
  test('with the signs of regular expressions is sought as it is when it is masked', () => {
    const secrets = ['(a+)+$', '.*.*.*=', '[[[[', '$&$1', '\\'.repeat(40)];
    const mask = maskFor(new Set(['secret']), [{ secret: secrets }]);
    for (const secret of secrets) expect(mask.text(`a ${secret} b`)).toBe('a *** b');
    expect(mask.text('a'.repeat(LONG))).toHaveLength(LONG);
  });

  test('as tags, names and keys of a composition is planned and sent in one go', async () => {
    const app = createApp({ name: 'text', connection: memory() });
    const task = app.task({ name: 'a'.repeat(100), run: async () => 1 });
    const tags = ['(a+)+$', 'a*'.repeat(100), '^'.repeat(200), '\0'.repeat(200)];
    const key = 'k'.repeat(LONG / 20);
    const run = await chain(group({ [key]: task.tag(...tags), '(a+)+': task })).delay();
    const found: string[] = [];
    for (const tag of tags) for await (const each of app.find({ tag })) found.push(each.id);
    expect(found).toEqual(tags.map(() => run.id));
    await app.worker().start();
    expect(await run.get({ timeout: '50s' })).toEqual({ [key]: 1, '(a+)+': 1 });
    await app.close();
  });
});
