import type { Packet } from './pkt-line.js'
import { encodePktLine, FLUSH, PktLineReader } from './pkt-line.js'

/** One line of a push: what a ref is to be. */
export type PushCommand = {
  readonly oldId: string
  readonly newId: string
  /** The ref's name as text, for rules and people. */
  readonly ref: string
  /** The name's bytes, which need not be UTF-8. */
  readonly refBytes: Buffer
}

/** What a push begins with: all that stands before the pack (Git's documentation: gitprotocol-pack). */
export type PushHead = {
  readonly commands: readonly PushCommand[]
  /** The words after the NUL of the first command: `report-status`, `side-band-64k`, `atomic` … */
  readonly capabilities: ReadonlySet<string>
  /** Whether the commands are part of a signed certificate, from which none can be removed. */
  readonly isSigned: boolean
  /** The complete head, as it was sent. */
  readonly bytes: Buffer
  /** What a rewritten head consists of, beside commands. */
  readonly parts: PushHeadParts
}

/** The parts of a head that a rewritten one takes over as they are. */
export type PushHeadParts = {
  /** `shallow` packets. */
  readonly shallow: Buffer
  /** What follows the NUL of the first command. */
  readonly capabilities: Buffer
  /** The list of push options with its flush; empty without one. */
  readonly options: Buffer
}

/** What a push does to a ref, as far as its line tells: an update may be a fast-forward or not. */
export type CommandKind = 'create' | 'update' | 'delete'

/**
 * What a command does. Deletions come first, because Git takes zero → zero for one. Git doesn't check the old ID of a deletion
 * (measured).
 */
export function commandKind({ oldId, newId }: PushCommand): CommandKind {
  if (isZero(newId)) return 'delete'
  return isZero(oldId) ? 'create' : 'update'
}

/** Whether a pack follows: there is none if every command deletes. */
export function hasPack(commands: readonly PushCommand[]): boolean {
  return commands.some((command) => commandKind(command) !== 'delete')
}

/**
 * A head with fewer commands, encoded anew.
 *
 * @param kept at least one of the head's commands; the head must not be signed
 */
export function encodePushHead({ parts }: PushHead, kept: readonly PushCommand[]): Buffer {
  const lines = kept.map(({ oldId, newId, refBytes }, index) => {
    const line = [Buffer.from(`${oldId} ${newId} `), refBytes]
    return encodePktLine(Buffer.concat(index === 0 ? [...line, NUL, parts.capabilities] : line))
  })
  return Buffer.concat([parts.shallow, ...lines, FLUSH, parts.options])
}

const NUL = Buffer.from([0])

function isZero(id: string): boolean {
  return /^0+$/.test(id)
}

/** How far the parsing of a head has come. */
export type PushParsing =
  | { readonly kind: 'more' }
  /** `rest` is what was read beyond the head: the beginning of the pack. */
  | { readonly kind: 'head'; readonly head: PushHead; readonly rest: Buffer }
  | { readonly kind: 'malformed'; readonly reason: string }

/** Some 70,000 commands: the mirror of a very large repository. */
const MAX_HEAD_BYTES = 8 * 1_048_576
// A line of a certificate, or a push option, may be one byte: 8 MiB hold 1.6 million of them.
const MAX_CERTIFICATE_LINES = 100_000
const MAX_OPTIONS = 1_000

/**
 * Parses the head of a push as it arrives, and accepts only the strict grammar. Git's own receive-pack is laxer: it takes
 * capabilities on any line, ends the list at other packets than a flush, and stops a name at a NUL. If two parsers read a push
 * differently, one thing is authorised and another is done.
 *
 * Each line is checked when it comes, so a malformed push is refused immediately, and no turn of the event loop checks
 * thousands of lines.
 */
export class PushHeadParser {
  readonly #reader = new PktLineReader()
  /** All packets so far, then room for more. */
  readonly #source: Source = { bytes: NOTHING, idLength: SHA1_LENGTH }
  readonly #commands: PackedCommand[] = []
  readonly #names = new Set<string>()
  #length = 0
  #shallowLength = 0
  /** Levels of all refs beyond the usual ones. */
  #deepLevels = 0
  #first: FirstLine | undefined
  /** How far the certificate of a signed push has come. */
  #certificate: Certificate | undefined
  /** Where the list of push options begins, and how many it has so far. */
  #options: { readonly start: number; count: number } | undefined

  /** The capabilities; `undefined` until the first line has come. */
  get capabilities(): ReadonlySet<string> | undefined {
    return this.#first?.words
  }

  /** Takes the next bytes, cut anywhere; none may follow a head or a malformed one. */
  push(piece: Buffer): PushParsing {
    this.#reader.add(piece)
    try {
      let packet = this.#reader.next()
      while (packet !== 'more') {
        const head = this.#take(packet)
        if (head !== undefined) return { kind: 'head', head, rest: this.#reader.rest }
        packet = this.#reader.next()
      }
      return { kind: 'more' }
    } catch (error) {
      if (error instanceof SyntaxError) return { kind: 'malformed', reason: error.message }
      throw error
    }
  }

  /** @throws SyntaxError */
  #take(packet: Packet | 'malformed'): PushHead | undefined {
    if (packet === 'malformed' || packet.kind === 'delimiter' || packet.kind === 'response-end') {
      throw new SyntaxError('a list of packets ends in 0000')
    }
    if (this.#length + packet.bytes.length > MAX_HEAD_BYTES) throw new SyntaxError('its commands are more than 8 MiB')
    this.#keep(packet.bytes)
    if (packet.kind === 'data') {
      // Parsers disagree on what an empty packet means.
      if (packet.data.length === 0) throw new SyntaxError('a packet is empty')
      if (this.#options === undefined) this.#takeLine(packet.data)
      else if (++this.#options.count > MAX_OPTIONS) throw new SyntaxError(`it has more than ${MAX_OPTIONS} options`)
      return undefined
    }
    if (this.#options !== undefined) return this.#head()
    if (this.#certificate !== undefined && this.#certificate.part !== 'end') throw new SyntaxError(NOT_ONE_CERTIFICATE)
    if (this.#first?.words.has('push-options') !== true) return this.#head()
    this.#options = { start: this.#length, count: 0 }
    return undefined
  }

  /** Keeps a copy: a view would keep the whole chunk that arrived, and takes more memory than a small packet. */
  #keep(bytes: Buffer): void {
    const length = this.#length + bytes.length
    if (length > this.#source.bytes.length) this.#resize(2 * length)
    bytes.copy(this.#source.bytes, this.#length)
    this.#length = length
  }

  #resize(length: number): void {
    const resized = Buffer.allocUnsafe(length)
    this.#source.bytes.copy(resized, 0, 0, this.#length)
    this.#source.bytes = resized
  }

  /** @throws SyntaxError */
  #takeLine(data: Buffer): void {
    const text = data.toString('latin1')
    const start = this.#length - data.length
    if (this.#first === undefined) {
      if (SHALLOW.test(text)) this.#shallowLength = this.#length
      else this.#takeFirstLine(text, start)
    } else if (this.#certificate === undefined) this.#addCommand(text, start)
    else if (nextPart(this.#certificate, text) === 'commands') this.#addCommand(text, start)
  }

  /** @throws SyntaxError */
  #takeFirstLine(text: string, start: number): void {
    const nul = text.indexOf('\0')
    const line = nul === -1 ? text : text.slice(0, nul)
    const capabilities = nul === -1 ? '' : text.slice(nul + 1)
    const words = readCapabilities(capabilities)
    this.#first = { words, capabilities: Buffer.from(capabilities, 'latin1') }
    if (words.has('object-format=sha256')) this.#source.idLength = SHA256_LENGTH
    if (line === 'push-cert') this.#certificate = { part: 'version', lines: 0 }
    else this.#addCommand(line, start)
  }

  /** @throws SyntaxError */
  #addCommand(line: string, start: number): void {
    const { idLength } = this.#source
    if (!(idLength === SHA1_LENGTH ? SHA1_COMMAND : SHA256_COMMAND).test(line))
      throw new SyntaxError('a command is two object ids and the whole name of a ref')
    const end = start + line.length - (line.endsWith('\n') ? 1 : 0)
    const command = new PackedCommand(this.#source, start, end)
    // A part of the line's text would keep all of it.
    const name = this.#source.bytes.toString('latin1', start + nameOffset(idLength), end)
    const levels = countLevels(name)
    if (levels > MAX_REF_LEVELS) throw new SyntaxError(`a ref has more than ${MAX_REF_LEVELS} levels`)
    if (name.length > MAX_REF_BYTES) throw new SyntaxError(`a ref has more than ${MAX_REF_BYTES} bytes`)
    this.#deepLevels += Math.max(0, levels - USUAL_REF_LEVELS)
    if (this.#deepLevels > MAX_DEEP_LEVELS)
      throw new SyntaxError(`too many of its refs have more than ${USUAL_REF_LEVELS} levels; push fewer at once`)
    this.#names.add(name)
    this.#commands.push(command)
    if (this.#names.size < this.#commands.length) throw new SyntaxError('a ref is named twice')
  }

  #head(): PushHead {
    // A long push keeps its head for hours.
    this.#resize(this.#length)
    const { bytes } = this.#source
    const { words = new Set<string>(), capabilities = NOTHING } = this.#first ?? {}
    const shallow = bytes.subarray(0, this.#shallowLength)
    const options = this.#options === undefined ? NOTHING : bytes.subarray(this.#options.start)
    return {
      commands: this.#commands,
      capabilities: words,
      isSigned: this.#certificate !== undefined,
      bytes,
      parts: { shallow, capabilities, options },
    }
  }
}

const NOTHING = Buffer.alloc(0)
// Digits of an object ID.
const SHA1_LENGTH = 40
const SHA256_LENGTH = 64

/** Where commands are read from. */
type Source = { bytes: Buffer; idLength: number }

/**
 * A command that is read from the bytes of its head whenever it is needed. A push of 80,000 commands may hold its pack back for
 * hours; with texts and buffers of their own, its commands took 75 MB.
 */
class PackedCommand implements PushCommand {
  readonly #source: Source
  readonly #start: number
  readonly #end: number

  /** @param start where its line begins. @param end where the name of its ref ends */
  constructor(source: Source, start: number, end: number) {
    this.#source = source
    this.#start = start
    this.#end = end
  }

  get oldId(): string {
    return this.#source.bytes.toString('latin1', this.#start, this.#start + this.#source.idLength)
  }

  get newId(): string {
    const start = this.#start + this.#source.idLength + 1
    return this.#source.bytes.toString('latin1', start, start + this.#source.idLength)
  }

  get ref(): string {
    return this.#source.bytes.toString('utf8', this.#start + nameOffset(this.#source.idLength), this.#end)
  }

  get refBytes(): Buffer {
    return this.#source.bytes.subarray(this.#start + nameOffset(this.#source.idLength), this.#end)
  }
}

/** Where the name of a ref begins in its line. */
function nameOffset(idLength: number): number {
  return 2 * (idLength + 1)
}

const SHALLOW = /^shallow (?:[0-9a-f]{40}|[0-9a-f]{64})\n?$/
const [SHA1_COMMAND, SHA256_COMMAND] = [commandOf(SHA1_LENGTH), commandOf(SHA256_LENGTH)]
// Each ref is compared with up to 100 rules of a token, and gzip shrinks a long name to a few bytes.
const MAX_REF_BYTES = 1_024
// Git makes a folder for each level but the last: a name of 1,000 bytes could make 500.
const MAX_REF_LEVELS = 32
// 50,000 refs of 32 levels would make 1.5 million folders: gigabytes, and minutes for Git to go through them.
const USUAL_REF_LEVELS = 8
const MAX_DEEP_LEVELS = 10_000
// In git every white space parts two words, and a NUL ends them; with a space alone there is nothing to read differently.
const CAPABILITIES = /^[ -~]{0,16000}\n?$/

function countLevels(name: string): number {
  let levels = 1
  for (let at = name.indexOf('/'); at !== -1; at = name.indexOf('/', at + 1)) levels += 1
  return levels
}

/** Bytes above 0x7f stand for themselves: names need not be UTF-8. */
function commandOf(idLength: number): RegExp {
  return new RegExp(`^[0-9a-f]{${idLength}} [0-9a-f]{${idLength}} refs/[!-~\x80-\xff]+\n?$`)
}

/** What the first line after the shallow ones says. */
type FirstLine = {
  /** The capabilities as words, and as they were sent. */
  readonly words: ReadonlySet<string>
  readonly capabilities: Buffer
}

/** @throws SyntaxError */
function readCapabilities(text: string): Set<string> {
  if (!CAPABILITIES.test(text)) throw new SyntaxError('its capabilities are not words')
  const words = text.trim().split(' ')
  // Git takes `atomic=no` for atomic.
  return new Set([...words, ...words.map((word) => word.split('=', 1)[0] ?? '')])
}

const CERTIFICATE_END = 'push-cert-end\n'
const SIGNATURE = '-----BEGIN '
const NOT_ONE_CERTIFICATE = 'a push certificate is not whole, or not alone'

/** A certificate so far: the part that its latest line belongs to, and the number of lines. */
type Certificate = { part: 'version' | 'header' | 'blank' | 'commands' | 'signature' | 'end'; lines: number }

/**
 * Takes the next line of the certificate of a signed push: the version, further headers, an empty line, the commands, and one
 * signature (Git's documentation: gitprotocol-pack, push-cert).
 *
 * @param line as its packet held it
 * @returns the part that the line belongs to
 * @throws SyntaxError if this is not one complete certificate, and nothing beside it
 */
function nextPart(certificate: Certificate, line: string): Certificate['part'] {
  if (++certificate.lines > MAX_CERTIFICATE_LINES)
    throw new SyntaxError(`its certificate has more than ${MAX_CERTIFICATE_LINES} lines`)
  if (line.indexOf('\n') !== line.length - 1) throw new SyntaxError('each packet of a certificate is one line')
  certificate.part = partOf(line, certificate)
  return certificate.part
}

/** @throws SyntaxError */
function partOf(line: string, { part, lines }: Certificate): Certificate['part'] {
  const isSignature = line.startsWith(SIGNATURE)
  switch (part) {
    case 'version':
    case 'header':
      if (lines === 1 ? line !== 'certificate version 0.1\n' : isSignature || line === CERTIFICATE_END) break
      return line === '\n' ? 'blank' : 'header'
    case 'blank':
    case 'commands':
      if (line === CERTIFICATE_END) break
      return isSignature ? 'signature' : 'commands'
    case 'signature':
      // Git uses the last signature; with a single one there is nothing to read differently.
      if (isSignature) break
      return line === CERTIFICATE_END ? 'end' : 'signature'
    case 'end':
      // Git would carry out plain commands after the certificate.
      break
  }
  throw new SyntaxError(NOT_ONE_CERTIFICATE)
}
