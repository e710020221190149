import { writev } from 'node:fs'

/** The total length of pieces in bytes. */
export function lengthOf(pieces: readonly Buffer[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0)
}

/** Writes all pieces to a file: one writev may write fewer bytes. */
export async function writeAll(file: number, pieces: readonly Buffer[], position: number): Promise<void> {
  const wanted = lengthOf(pieces)
  let left = pieces
  for (let written = 0; written < wanted;) {
    const count = await new Promise<number>((resolve, reject) => {
      writev(file, [...left], position + written, (error, bytes) => (error === null ? resolve(bytes) : reject(error)))
    })
    written += count
    left = after(left, count)
  }
}

function after(pieces: readonly Buffer[], count: number): Buffer[] {
  let left = count
  return pieces.flatMap((piece) => {
    const taken = Math.min(left, piece.length)
    left -= taken
    return taken === piece.length ? [] : [piece.subarray(taken)]
  })
}
