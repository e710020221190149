import { hash } from 'node:crypto'

/** What a key is made of: texts, numbers and lists of them, in a fixed order. */
export type KeyPart = string | number | readonly KeyPart[]

/** What a key stands for, so that keys of different things never meet. */
export type KeyPurpose = 'advertisement' | 'refs' | 'fetch' | 'entry'

/**
 * A key as hexadecimal SHA-256. JSON quotes every text and marks where each list ends, so that no text can be taken for two
 * and no two requests share a key.
 *
 * @param parts texts that stand for bytes are read as Latin-1, one character a byte
 */
export function keyOf(purpose: KeyPurpose, parts: readonly KeyPart[]): string {
  return hash('sha256', JSON.stringify([purpose, parts]))
}
