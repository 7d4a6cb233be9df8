/** WebAssembly in tests. */
import { setFlagsFromString } from 'node:v8';

/** Flags of Node for programs that open a PGlite for a moment: optimising its code takes longer than that saves. */
export const QUICK_WASM = ['--liftoff-only', '--wasm-lazy-compilation'];

/** Sets them in this process. */
export function compilesQuickly(): void {
  for (const flag of QUICK_WASM) setFlagsFromString(flag);
}
