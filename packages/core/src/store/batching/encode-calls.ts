/** This module writes calls of scripts as the arguments of a batch (see `batchScript`). */

/** An argument of a script in the form that clients accept; undefined and null are sent as empty text. */
export type ScriptArgument = string | number | boolean | Buffer | null | undefined;

/** A call of a script that may share a command with others. */
export interface ScriptCall {
  readonly command: string;
  /** Keys, then arguments. */
  readonly args: readonly ScriptArgument[];
  readonly keyCount: number;
}

/**
 * Returns the arguments of a batch of calls. Consecutive calls of the same script form a run: arguments that are the same in
 * all of them, such as most keys and options, are written once. A run is: number of the script, number of keys, number of
 * calls, the positions of the constant and of the varying arguments, the constant ones, then the varying ones of each call.
 * @param numberOf Returns the number of a script in the batch, from 1.
 */
export function encodeCalls(
  calls: readonly ScriptCall[],
  numberOf: (command: string) => number,
): ScriptArgument[] {
  const batch: ScriptArgument[] = [];
  for (let start = 0; start < calls.length; ) {
    const first = calls[start] as ScriptCall; // within the list
    let end = start + 1;
    for (let next = calls[end]; next !== undefined && isSameShape(first, next); next = calls[end]) end += 1;
    encodeRun(batch, calls.slice(start, end), first, numberOf(first.command));
    start = end;
  }
  return batch;
}

function isSameShape(first: ScriptCall, next: ScriptCall): boolean {
  return next.command === first.command && next.args.length === first.args.length;
}

function encodeRun(
  batch: ScriptArgument[],
  calls: readonly ScriptCall[],
  { args, keyCount }: ScriptCall,
  number: number,
): void {
  let [constant, varying] = ['', ''];
  const constants: ScriptArgument[] = [];
  const columns: number[] = [];
  for (const [column, value] of args.entries()) {
    const position = String.fromCharCode(column + 1); // one byte: scripts have fewer than 127 arguments
    if (calls.every((call) => isSame(call.args[column], value))) {
      constant += position;
      constants.push(value);
    } else {
      varying += position;
      columns.push(column);
    }
  }
  batch.push(number, keyCount, calls.length, constant, varying, ...constants);
  for (const call of calls) for (const column of columns) batch.push(call.args[column]);
}

function isSame(left: ScriptArgument, right: ScriptArgument): boolean {
  if (left === right) return true;
  return left instanceof Buffer && right instanceof Buffer && left.equals(right);
}
