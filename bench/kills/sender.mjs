// The sender's side of the conversation with the driver: a request in a line of JSON, an answer in a line of JSON.
import { createInterface } from 'node:readline';

/** Answers until the driver closes its end. Each request has one key, the name of its answerer. */
export async function answer(answerers) {
  for await (const line of createInterface(process.stdin)) {
    const [[name, value]] = Object.entries(JSON.parse(line));
    console.log(JSON.stringify((await answerers[name](value)) ?? {}));
  }
}
