/** Handlers that take their process with them, or never come back. */

export const POISONS = ['exit', 'abort', 'memory', 'loop', 'never', 'text', 'huge'] as const;

export type Poison = (typeof POISONS)[number];

/** What must become of them: those that end their process are given up by the rule for poison, the others by an error. */
export const ENDS_PROCESS: ReadonlySet<Poison> = new Set<Poison>(['exit', 'abort', 'memory', 'loop']);

const HUGE_BYTES = 8 * 1024 * 1024;

export async function takePoison(how: Poison): Promise<unknown> {
  switch (how) {
    case 'exit':
      return process.exit(7);
    case 'abort':
      return process.abort();
    case 'memory': {
      const held: unknown[] = [];
      for (;;) held.push(Array.from({ length: 100_000 }, () => ({ of: held.length })));
    }
    case 'loop':
      for (;;);
    case 'never':
      return new Promise(() => {});
    case 'text':
      throw 'no error, but text';
    case 'huge':
      throw new Error('x'.repeat(HUGE_BYTES));
  }
}
