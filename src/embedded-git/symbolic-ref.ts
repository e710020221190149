import { readFileSync } from 'node:fs'
import { join } from 'node:path'

// git itself follows five.
const MAX_STEPS = 5
const SYMBOLIC = /^ref: *(refs\/[^\s]+)\s*$/

/**
 * The ref that a name stands for: another where it is symbolic, since what is done to the one is done to the other.
 *
 * @param folder the bare repository
 * @param ref the name of a ref that git would take, which holds no `..`
 */
export function followSymbolicRef(folder: string, ref: string): string {
  let name = ref
  for (let step = 0; step < MAX_STEPS; step++) {
    const target = SYMBOLIC.exec(readText(join(folder, name)))?.[1]
    if (target === undefined || target.includes('..')) return name
    name = target
  }
  return name
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Packed, or not there: what is symbolic is a file of its own.
    return ''
  }
}
