/**
 * Applies a delta to its base object (Git's documentation: gitformat-pack, deltified representation).
 *
 * @param maxSize maximum bytes of the result
 * @returns `undefined` if the delta is damaged, belongs to another base, or its result is too large
 */
export function applyDelta(base: Buffer, delta: Buffer, maxSize: number): Buffer | undefined {
  const reader = { bytes: delta, at: 0 }
  const [baseSize, size] = [readSize(reader), readSize(reader)]
  if (baseSize !== base.length || size === undefined || size > maxSize) return undefined
  const parts: Buffer[] = []
  let length = 0
  while (reader.at < delta.length && length <= size) {
    const part = readPart(reader, base)
    if (part === undefined) return undefined
    parts.push(part)
    length += part.length
  }
  return length === size ? Buffer.concat(parts) : undefined
}

type Reader = { readonly bytes: Buffer; at: number }

/** Seven bits a byte, the lowest first. */
function readSize(reader: Reader): number | undefined {
  let [size, factor] = [0, 1]
  for (;;) {
    const byte = reader.bytes[reader.at++]
    if (byte === undefined || factor > 2 ** 42) return undefined
    size += (byte & 0x7f) * factor
    factor *= 128
    if ((byte & 0x80) === 0) return size
  }
}

/** One instruction: copy from the base, or insert the bytes that follow. */
function readPart(reader: Reader, base: Buffer): Buffer | undefined {
  const instruction = reader.bytes[reader.at++] ?? 0
  if ((instruction & 0x80) === 0) {
    const part = reader.bytes.subarray(reader.at, reader.at + instruction)
    reader.at += instruction
    return instruction > 0 && part.length === instruction ? part : undefined
  }
  const offset = readSparse(reader, instruction & 0x0f)
  const size = readSparse(reader, (instruction >> 4) & 0x07) || 0x10000
  return offset + size <= base.length ? base.subarray(offset, offset + size) : undefined
}

/** A number of which only the bytes in the mask are present. */
function readSparse(reader: Reader, mask: number): number {
  let value = 0
  for (let bit = 0; bit < 4; bit++) {
    if ((mask & (1 << bit)) !== 0) value += (reader.bytes[reader.at++] ?? 0) * 256 ** bit
  }
  return value
}
