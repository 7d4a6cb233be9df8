import { expect, test } from 'vitest';
import { SubmitError } from '../../../src/base/errors.js';
import { isTransient } from '../../../src/store/engine/drivers.js';
import { readsWhole } from '../../../src/store/guards/unreadable-jobs.js';
import { stubBackend } from '../../support/stub-backend.js';

const aborted = (...previousErrors: Error[]) =>
  Object.assign(new Error('EXECABORT Transaction discarded because of previous errors.'), { previousErrors });

test.each([
  Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
  new Error('OOM command not allowed when used memory > maxmemory'),
  new Error('Too many Cluster redirections. Last error: ReplyError: CLUSTERDOWN The cluster is down'),
  new Error('Command aborted due to connection close'),
  aborted(new Error('LOADING Redis is loading')),
])('%s may pass', (error) => expect(isTransient(error)).toBe(true));

test.each([
  new Error('NOPERM this user has no permissions'),
  new Error('WRONGTYPE Operation against a key'),
  aborted(new Error('NOPERM this user has no permissions')),
  // What quotes a job is not the client's.
  new Error('Missing key for job Connection is closed. moveToFinished'),
  new SubmitError('Connection is closed: job 1 was not stored.'),
  new SyntaxError('LOADING is not valid JSON'),
  'LOADING',
  undefined,
])('%s does not pass by itself', (error) => expect(isTransient(error)).toBe(false));

test('a read of which the store refuses a part is tried again', async () => {
  const backend = stubBackend({
    getDependencies: async () => {
      throw new TypeError("Cannot read properties of undefined (reading '0')");
    },
  });
  readsWhole(backend);
  const error = await backend.getDependencies('1', {}).catch((thrown: unknown) => thrown);
  expect(isTransient(error)).toBe(true);
});
