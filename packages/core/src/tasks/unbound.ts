/**
 * Methods that are called without their object: `[1, 2].map(task.delay)`, `process.once('SIGTERM', worker.close)`. The
 * error of the language would name a private field; this one says what to write.
 */
import { InvalidOptionError } from '../errors.js';

type Method = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Makes the methods of a class refuse to be called without an object of it.
 * @param owner The name of a variable that holds such an object, for the message.
 */
export function refuseUnbound(Class: abstract new (...args: never[]) => object, owner: string): void {
  const methods = Object.entries(Object.getOwnPropertyDescriptors(Class.prototype));
  for (const [name, descriptor] of methods) {
    const method = descriptor.value as unknown;
    if (name === 'constructor' || typeof method !== 'function') continue;
    const checked: Method = function (...args) {
      if (this instanceof Class) return (method as Method).apply(this, args);
      const instead = `called on its object (write \`(…) => ${owner}.${name}(…)\` instead of \`${owner}.${name}\`)`;
      throw new InvalidOptionError(name, instead, this);
    };
    Object.defineProperty(checked, 'name', { value: name });
    Object.defineProperty(Class.prototype, name, { ...descriptor, value: checked });
  }
}
