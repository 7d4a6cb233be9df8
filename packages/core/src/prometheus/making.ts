/** Makes metrics in one register, under one prefix, and takes them out again. */
import type { Aggregator, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { PromClient } from './client.js';

export class Making {
  readonly #client: PromClient;
  readonly #register: Registry;
  readonly #prefix: string;
  readonly #names: string[] = [];

  constructor(client: PromClient, register: Registry, prefix: string) {
    this.#client = client;
    this.#register = register;
    this.#prefix = prefix;
  }

  counter<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    collect?: (this: Counter<Label>) => void,
  ): Counter<Label> {
    return new this.#client.Counter({ ...this.#common(name, help), labelNames, ...(collect && { collect }) });
  }

  /** @param aggregator How the values of several processes become one. */
  gauge<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    aggregator: Aggregator,
    collect: (this: Gauge<Label>) => void | Promise<void>,
  ): Gauge<Label> {
    return new this.#client.Gauge({ ...this.#common(name, help), labelNames, aggregator, collect });
  }

  histogram<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    buckets: readonly number[],
  ): Histogram<Label> {
    return new this.#client.Histogram({ ...this.#common(name, help), labelNames, buckets: [...buckets] });
  }

  /** Takes all of them out of the register. */
  removeAll(): void {
    for (const name of this.#names) this.#register.removeSingleMetric(name);
  }

  #common(name: string, help: string): { name: string; help: string; registers: Registry[] } {
    const whole = `${this.#prefix}${name}`;
    this.#names.push(whole);
    return { name: whole, help, registers: [this.#register] };
  }
}
