/**
 * This module finds the function that runs statements in a transaction of the user: of `pg`, Drizzle, Kysely, Prisma or the
 * user's own. It loads none of them.
 */
import { InvalidOptionError } from '../../../base/errors.js';
import type { OpenTransaction } from '../transaction.js';
import type { SqlResult } from './pg-driver.js';

/** Runs a statement in a transaction. */
export type Run = (statement: string, parameters: readonly unknown[]) => PromiseLike<SqlResult>;

/**
 * Returns the function that runs statements in a transaction.
 * @throws {InvalidOptionError} for an object of another kind.
 */
export function statementsOf(transaction: OpenTransaction): Run {
  if (typeof transaction === 'function')
    return async (statement, parameters) => resultOf(await transaction(statement, parameters));
  const candidate = (typeof transaction === 'object' && transaction !== null ? transaction : {}) as Candidate;
  const has = (...methods: (keyof Candidate)[]) =>
    methods.every((method) => typeof candidate[method] === 'function');
  // Drizzle and Kysely have a `query` that is no method, or another one, so they come first.
  if (has('executeQuery', 'selectFrom')) return kyselyStatements(candidate);
  if (has('execute', 'select')) return drizzleStatements(candidate);
  if (has('$queryRawUnsafe'))
    return async (statement, parameters) =>
      resultOf(await candidate.$queryRawUnsafe(statement, ...parameters));
  if (has('query'))
    return async (statement, parameters) => resultOf(await candidate.query(statement, [...parameters]));
  throw new InvalidOptionError('transaction', EXPECTED, transaction);
}

const EXPECTED =
  'a client of `pg` on which BEGIN ran, the transaction object of Drizzle, Kysely or Prisma, or a function that runs a ' +
  'statement in the transaction';

interface Candidate {
  query(statement: string, parameters: unknown[]): unknown;
  execute(query: object): unknown;
  select: unknown;
  executeQuery(query: object): unknown;
  selectFrom: unknown;
  $queryRawUnsafe(statement: string, ...parameters: unknown[]): unknown;
}

/** Kysely executes an object in the form of its `CompiledQuery`. */
function kyselyStatements(transaction: Candidate): Run {
  return async (sql, parameters) => {
    const node = { kind: 'RawNode', sqlFragments: [sql], parameters: [] };
    const query = { sql, parameters, query: node, queryId: { queryId: 'umbel' } };
    return resultOf(await transaction.executeQuery(query));
  };
}

/** Drizzle executes an object with the methods of its `sql` templates. */
function drizzleStatements(transaction: Candidate): Run {
  return async (sql, params) => {
    const built = { toQuery: () => ({ sql, params: [...params] }), shouldInlineParams: false };
    return resultOf(await transaction.execute({ getSQL: () => built }));
  };
}

function resultOf(answer: unknown): SqlResult {
  if (Array.isArray(answer)) return { rows: [...answer], rowCount: answer.length };
  const { rows, rowCount } = (answer ?? {}) as { rows?: unknown; rowCount?: unknown };
  if (Array.isArray(rows)) return { rows, rowCount: typeof rowCount === 'number' ? rowCount : rows.length };
  throw new InvalidOptionError('transaction', 'one whose statements return rows', answer);
}
