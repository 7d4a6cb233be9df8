/** This module writes calls of scripts as the arguments of a batch (see `batchScript`), and reads its answers. */

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
  for (let column = 0; column < args.length; column += 1) {
    const position = String.fromCharCode(column + 1); // one byte: scripts have fewer than 127 arguments
    if (isConstant(calls, column)) {
      constant += position;
      constants.push(args[column]);
    } else {
      varying += position;
      columns.push(column);
    }
  }
  batch.push(number, keyCount, calls.length, constant, varying, ...constants);
  for (const call of calls) for (const column of columns) batch.push(call.args[column]);
}

/** Returns whether an argument is the same in all calls. */
function isConstant(calls: readonly ScriptCall[], column: number): boolean {
  const value = calls[0]?.args[column];
  for (let index = 1; index < calls.length; index += 1)
    if (!isSame(calls[index]?.args[column], value)) return false;
  return true;
}

function isSame(left: ScriptArgument, right: ScriptArgument): boolean {
  if (left === right) return true;
  return left instanceof Buffer && right instanceof Buffer && left.equals(right);
}

/**
 * Returns the answers to the calls of a batch. The record of a claimed job comes as one JSON text: reading some 25 fields and
 * values of an answer one by one costs the client more than all else about it.
 */
export function decodeAnswers(answers: unknown): unknown[] {
  const decoded = answers as unknown[]; // the batch script returns a list
  for (let index = 0; index < decoded.length; index += 1) {
    const answer = decoded[index];
    if (Array.isArray(answer) && typeof answer[0] === 'string') decoded[index] = withRecord(answer);
  }
  return decoded;
}

/** Returns an answer with the record as BullMQ's script returns it: a list of fields and values. */
function withRecord(answer: unknown[]): unknown {
  try {
    const record: unknown = JSON.parse(String(answer[0]));
    answer[0] = Array.isArray(record) ? record : []; // an empty list has the text of an empty object
    return answer;
  } catch (error) {
    return error;
  }
}
