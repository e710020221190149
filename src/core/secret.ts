import { inspect } from 'node:util'

/**
 * A value that must never be printed: a password, a token's secret, a digest, a seed. However it is printed (template
 * string, JSON, `inspect`, a log line), it shows only its label. `reveal` is the only way to the value, so a search for it
 * finds every place that uses a secret.
 */
export class Secret {
  readonly #value: string
  readonly #label: string

  /**
   * @param value the secret text
   * @param label what it is, such as `password`; printed in place of the value
   */
  constructor(value: string, label: string) {
    this.#value = value
    this.#label = label
  }

  /** Returns the secret. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return `[${this.#label}]`
  }

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    return this.toString()
  }
}
