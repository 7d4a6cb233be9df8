import { format, inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { cpuMs } from '../../../../test/support/cpu-time.js';
import { maskFor, renderingsOf } from '../../src/codec/masking.js';

describe('a mask', () => {
  const input = {
    user: { name: 'Ada', pin: 123456 },
    token: 'abcd-efgh',
    tokens: ['abcd', 'x'],
    quote: 'say "hi"',
  };
  const mask = maskFor(new Set(['token', 'tokens', 'pin', 'quote']), [input]);

  test('hides values of its keys in texts, longer ones first', () => {
    expect(mask.text('abcd-efgh and abcd, pin 123456, x, Ada')).toBe('*** and ***, pin ***, x, Ada');
  });

  test('hides them as they stand within JSON', () => {
    expect(mask.text(JSON.stringify({ said: 'say "hi"' }))).toBe('{"said":"***"}');
  });

  test('hides them in values, and whatever stands at its keys', () => {
    expect(mask.value({ token: 1, deep: [{ pin: null, text: 'is abcd' }], n: 123456, m: 7 })).toEqual({
      token: '***',
      deep: [{ pin: '***', text: 'is ***' }],
      n: '***',
      m: 7,
    });
  });

  test('hides them in errors and their causes', () => {
    const record = {
      name: 'Error',
      message: 'bad abcd',
      stack: 'at abcd',
      cause: { name: 'E', message: '123456' },
    };
    expect(mask.error(record)).toEqual({
      name: 'Error',
      message: 'bad ***',
      stack: 'at ***',
      cause: { name: 'E', message: '***' },
    });
  });

  test('leaves what tells errors apart as it is, whatever its keys', () => {
    const other = maskFor(new Set(['name', 'code', 'data', 'failure']), [{ name: 'secret', data: 'hidden' }]);
    const record = {
      name: 'ExpectedFailureError',
      message: 'a secret',
      code: 'X',
      failure: 'bad',
      data: { is: 'hidden' },
    };
    expect(other.error(record)).toEqual({ ...record, message: 'a ***', data: { is: '***' } });
  });

  test('without keys changes nothing', () => {
    const none = maskFor(new Set(), [input]);
    expect(none.value(input)).toBe(input);
    expect(none.text('abcd')).toBe('abcd');
  });
});

describe('a secret with signs that others write differently', () => {
  const PLAIN_SECRETS = ['s3cret-token', 'correct horse'];
  const SECRETS = [
    ...PLAIN_SECRETS,
    `it's`,
    `it's "so"`,
    'it\'s "so" `here`',
    `it's "so" \`here\` $${'{x}'}`,
    'back\\slash\\n',
    'C:\\keys\\"zebra"',
    'line one of it\nline two of it\n\tand the last one',
    'bell\u0007 and \u001b[31m and \u007f',
    'p@ss/w:rd?&=#+ %20%',
    "!'()*~ and ü 🌼 世界",
    '<b title="xyzw">&amp;',
    '{"token":"a\\"b"}',
    ' leading and trailing ',
    '../../etc/passwd',
    `${'x'.repeat(40)}' ${'yz '.repeat(4000)}`,
    `${'z\\'.repeat(6000)}`,
  ];

  const RENDERINGS: Readonly<Record<string, (secret: string) => string>> = {
    itself: (secret) => `it is ${secret}.`,
    JSON: (secret) => JSON.stringify({ secret }),
    'JSON in JSON': (secret) => JSON.stringify({ body: JSON.stringify({ secret }) }),
    inspect: (secret) => inspect(secret),
    'inspect, of an object': (secret) => inspect({ deep: { secret }, list: [secret] }, { depth: 9 }),
    'inspect, beside quotes': (secret) => inspect({ a: `'${secret}`, b: `"${secret}`, c: `'"\`${secret}` }),
    'inspect, of JSON': (secret) => inspect({ body: JSON.stringify({ secret }) }),
    'inspect, narrow': (secret) => inspect({ deep: { deeper: { secret } } }, { breakLength: 20 }),
    'inspect, with colours': (secret) => inspect({ secret }, { colors: true }),
    'an error': (secret) => inspect(new Error(`refused ${secret}`)),
    format: (secret) => format('%s %j %o', { secret }, { secret }, { secret }),
    encodeURIComponent: (secret) => `https://host/?t=${encodeURIComponent(secret)}&x`,
    'encodeURIComponent, in small letters': (secret) =>
      encodeURIComponent(secret).replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    encodeURI: (secret) => encodeURI(`https://host/?t=${secret}`),
    URLSearchParams: (secret) => `${new URLSearchParams({ t: secret })}`,
    'a URL': (secret) => {
      const url = new URL('https://host/');
      url.password = secret;
      url.searchParams.set('t', secret);
      return `${url.href} ${inspect(url)}`;
    },
    'JSON in an address': (secret) => encodeURIComponent(JSON.stringify({ secret })),
  };

  /** Whether a text still holds enough of the secret to be used. */
  const tells = (text: string, secret: string) => {
    const pieces = secret.split(/[^A-Za-z0-9]+/).filter((piece) => piece.length >= 4);
    return pieces.some((piece) => text.replaceAll('secret', '').includes(piece));
  };

  test.each(Object.entries(RENDERINGS))('is hidden in %s', (_, render) => {
    for (const secret of SECRETS) {
      const mask = maskFor(new Set(['password']), [{ password: secret }]);
      const shown = mask.text(render(secret));
      expect([secret.slice(0, 60), tells(shown, secret)]).toEqual([secret.slice(0, 60), false]);
      expect(shown.includes('***')).toBe(true);
    }
  });

  test('is hidden in errors that quote it', () => {
    const secret = `it's "so" \`here\``;
    const mask = maskFor(new Set(['password']), [{ password: secret }]);
    const error = mask.error({
      name: 'Error',
      message: `refused ${inspect({ secret })}`,
      stack: inspect(secret),
    });
    expect(error).toMatchObject({
      message: expect.not.stringContaining('here'),
      stack: expect.stringContaining('***'),
    });
  });

  test('takes a time that does not grow with its square', () => {
    const secrets = Array.from({ length: 100 }, (_, index) => `${index}'"\\\n${'ab\\'.repeat(1000)}`);
    const startedAt = cpuMs();
    const mask = maskFor(new Set(['keys']), [{ keys: secrets }]);
    expect(renderingsOf(secrets[0] ?? '').size).toBeLessThan(60);
    expect(mask.text(inspect({ secrets }, { maxArrayLength: 200 }))).not.toContain('abab');
    mask.text('x'.repeat(100_000));
    expect(cpuMs() - startedAt).toBeLessThan(5000);
    const long = 'ab\'"\\\n'.repeat(200_000);
    expect(renderingsOf(long).size).toBeLessThan(500);
    expect(cpuMs() - startedAt).toBeLessThan(10_000);
  });

  test('leaves other text as it is', () => {
    const mask = maskFor(new Set(['password']), [{ password: `a'b "c"` }]);
    expect(mask.text('nothing of it is here: %20, \\n and "quotes"')).toBe(
      'nothing of it is here: %20, \\n and "quotes"',
    );
  });

  test('that is text of which a part is no character is hidden as it is', () => {
    const secret = 'lone \ud800 surrogate';
    const mask = maskFor(new Set(['password']), [{ password: secret }]);
    expect(mask.text(`it is ${secret}`)).toBe('it is ***');
  });
});
