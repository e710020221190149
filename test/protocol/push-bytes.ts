import fc from 'fast-check'
import { encodePktLine, FLUSH } from '../../src/protocol/pkt-line.js'
import type { PushCommand, PushHead, PushParsing } from '../../src/protocol/push-head.js'
import { PushHeadParser } from '../../src/protocol/push-head.js'

/** Object ids of SHA-1. */
export const [ZERO, ONE, TWO] = ['0'.repeat(40), '1'.repeat(40), '2'.repeat(40)] as const

/** One command: an update, unless it is told otherwise. */
export function command(ref: string | Buffer, oldId: string = ONE, newId: string = TWO): PushCommand {
  const refBytes = Buffer.from(ref)
  return { oldId, newId, ref: refBytes.toString(), refBytes }
}

/** Commands that can be compared with {@link command}. */
export function plain(commands: readonly PushCommand[]): PushCommand[] {
  return commands.map(({ oldId, newId, ref, refBytes }) => ({ oldId, newId, ref, refBytes }))
}

/** What a head is made of. */
export type Ingredients = {
  readonly shallow?: readonly string[]
  readonly commands: readonly PushCommand[]
  /** What follows the first NUL. */
  readonly capabilities?: string
  /** Absent: no second list. */
  readonly options?: readonly string[] | undefined
  /** What each command ends in. @default nothing */
  readonly lineEnd?: string
}

/** A head as a client would send it. */
export function encodeHead({ shallow = [], commands, capabilities = '', options, lineEnd = '' }: Ingredients): Buffer {
  const lines = commands.map(({ oldId, newId, refBytes }, index) => {
    const line = [Buffer.from(`${oldId} ${newId} `), refBytes, Buffer.from(lineEnd)]
    return encodePktLine(Buffer.concat(index === 0 ? [...line, Buffer.from(`\0${capabilities}`)] : line))
  })
  const second = options === undefined ? [] : [...options.map((option) => encodePktLine(option)), FLUSH]
  return Buffer.concat([...shallow.map((id) => encodePktLine(`shallow ${id}`)), ...lines, FLUSH, ...second])
}

/** Packets and the flush that ends them. */
export function list(...lines: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat([...lines.map((line) => encodePktLine(line)), FLUSH])
}

/** A command as its packet holds it. */
export const line = ({ oldId, newId, refBytes }: PushCommand): string => `${oldId} ${newId} ${refBytes.toString()}`

/** A certificate around some lines, each a packet of its own. */
export const certificate = (...lines: readonly string[]): Buffer[] =>
  ['certificate version 0.1\n', 'pusher Ada\n', 'nonce 1\n', '\n', ...lines, 'push-cert-end\n'].map(encodePktLine)
export const SIGNATURE = ['-----BEGIN PGP SIGNATURE-----\n', '\n', 'iQ=\n', '-----END PGP SIGNATURE-----\n']

/** A signed push of the packets of a certificate. */
export const signed = (...packets: readonly Buffer[]): Buffer =>
  Buffer.concat([encodePktLine('push-cert\0report-status'), ...packets, FLUSH])

/** What the parser makes of bytes that come in pieces, and what it leaves of them. */
export function parseInPieces(pieces: readonly Buffer[]): { readonly parsing: PushParsing; readonly left: Buffer } {
  const parser = new PushHeadParser()
  let parsing: PushParsing = { kind: 'more' }
  for (const [index, piece] of pieces.entries()) {
    parsing = parser.push(piece)
    if (parsing.kind === 'head') return { parsing, left: Buffer.concat([parsing.rest, ...pieces.slice(index + 1)]) }
    if (parsing.kind === 'malformed') break
  }
  return { parsing, left: Buffer.alloc(0) }
}

/** The head that bytes are, or that they begin with. */
export function parseHead(bytes: Buffer): PushHead {
  const { parsing } = parseInPieces([bytes])
  if (parsing.kind === 'head') return parsing.head
  throw new TypeError(parsing.kind === 'malformed' ? parsing.reason : 'there is more to a head than this')
}

/** Bytes cut at some places. */
export function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
}

const ID = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('hex'))
const REF_BYTE = fc.integer({ min: 0x21, max: 0xff }).filter((byte) => byte !== 0x7f)
const REF = fc
  .array(REF_BYTE, { minLength: 1, maxLength: 12 })
  .map((bytes) => Buffer.concat([Buffer.from('refs/'), Buffer.from(bytes)]))
const MAYBE_ID = fc.oneof(ID, fc.constant(ZERO))

/** Any commands, each about another ref. */
export const someCommands: fc.Arbitrary<PushCommand[]> = fc
  .uniqueArray(REF, { minLength: 1, maxLength: 8, selector: (ref) => ref.toString('latin1') })
  .chain((refs) => fc.tuple(...refs.map((ref) => fc.tuple(fc.constant(ref), MAYBE_ID, MAYBE_ID))))
  .map((parts) => parts.map(([ref, oldId, newId]) => command(ref, oldId, newId)))

/** Any head of the grammar that is not signed. */
export const someHead: fc.Arbitrary<Ingredients> = fc
  .record({
    shallow: fc.array(ID, { maxLength: 2 }),
    commands: someCommands,
    words: fc.subarray(['report-status', 'side-band-64k', 'atomic', 'quiet', 'agent=git/2.39.5']),
    options: fc.option(fc.array(fc.string({ minLength: 1, maxLength: 9 }), { maxLength: 3 }), { nil: undefined }),
    space: fc.constantFrom('', ' '),
    lineEnd: fc.constantFrom('', '\n'),
  })
  .map(({ words, space, ...head }) => {
    const all = head.options === undefined ? words : [...words, 'push-options']
    return { ...head, capabilities: `${space}${all.join(' ')}` }
  })
