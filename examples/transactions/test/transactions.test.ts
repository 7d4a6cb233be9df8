import { expect, test } from 'vitest';
import { blocks, readme, start } from '../../../test/support/example.js';
import { describeOnPostgres } from '../../../test/support/on-postgres.js';

describeOnPostgres('the example of transactions', ({ server }) => {
  test('prints what its page says', async (context) => {
    const example = start(context, 'transactions', { url: `${server().url}?schema=orders` });
    const { code, stdout, stderr } = await example.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^(?:|.*fsync.*\n)$/) });
    expect(stdout).toBe(blocks(readme('transactions'), 'text')[0]);
  });
});
