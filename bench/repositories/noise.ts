import { createCipheriv } from 'node:crypto'

/** Bytes that look random and are the same in every run: the key stream of AES-128 in counter mode. */
export class Noise {
  readonly #cipher

  /** @param seed another number, other bytes */
  constructor(seed: number) {
    const key = Buffer.alloc(16)
    key.writeUInt32BE(seed)
    this.#cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  }

  bytes(length: number): Buffer {
    return this.#cipher.update(Buffer.alloc(length))
  }

  /** A number from 0 to below a limit. */
  below(limit: number): number {
    return this.bytes(4).readUInt32BE() % limit
  }

  /** A line of 64 characters that compress to 48 bytes. */
  line(): string {
    return `${this.bytes(48).toString('base64')}\n`
  }
}
