import type { Packet } from './pkt-line.js'
import { encodePktLine, FLUSH, PktLineReader } from './pkt-line.js'

/** One line of a push: what a ref is to be. */
export type PushCommand = {
  readonly oldId: string
  readonly newId: string
  /** The ref's name as text, for rules and people. */
  readonly ref: string
  /** Its very bytes: a name need not be UTF-8. */
  readonly refBytes: Buffer
}

/** What a push begins with: all that stands before the pack (Git's documentation: gitprotocol-pack). */
export type PushHead = {
  readonly commands: readonly PushCommand[]
  /** The words after the NUL of the first command: `report-status`, `side-band-64k`, `atomic` … */
  readonly capabilities: ReadonlySet<string>
  /** Signed: the commands are part of a certificate, from which nothing can be taken away. */
  readonly isSigned: boolean
  /** All of it, as it was sent. */
  readonly bytes: Buffer
  /** What a rewritten head is made of, beside commands. */
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
 * What a command does. A deletion is looked for first, because git takes zero → zero for one; and of a deletion git does not
 * check what is there, so that the old id says nothing (measured).
 */
export function commandKind({ oldId, newId }: PushCommand): CommandKind {
  if (isZero(newId)) return 'delete'
  return isZero(oldId) ? 'create' : 'update'
}

/** Whether a pack follows: it is absent where every command deletes. */
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

/** How far the reading of a head has come. */
export type PushParsing =
  | { readonly kind: 'more' }
  /** `rest` is what was read beyond the head: the beginning of the pack. */
  | { readonly kind: 'head'; readonly head: PushHead; readonly rest: Buffer }
  | { readonly kind: 'malformed'; readonly reason: string }

/** Some 70,000 commands: the mirror of a very large repository. */
const MAX_HEAD = 8 * 1_048_576
// A line of a certificate, or a push option, may be one byte: 8 MiB hold 1.6 million of them.
const MAX_CERTIFICATE_LINES = 100_000
const MAX_OPTIONS = 1_000

/**
 * Reads the head of a push as it arrives, and takes only the strict grammar. Git's own receive-pack is laxer: it takes
 * capabilities on any line, ends the list at other packets than a flush, and stops a name at a NUL. What two parsers read
 * differently could be authorised as one thing and done as another.
 *
 * Each line is checked when it comes, so that a malformed push is refused at once, and no turn of the event loop has to check
 * thousands of them.
 */
export class PushHeadParser {
  readonly #reader = new PktLineReader()
  readonly #commands: PushCommand[] = []
  readonly #names = new Set<string>()
  /** The lines after `push-cert`. */
  readonly #certificate: string[] = []
  /** All packets so far, then room for more. */
  #bytes: Buffer = NOTHING
  #length = 0
  #shallowLength = 0
  #first: FirstLine | undefined
  /** Where the list of push options begins, and how many it has so far. */
  #options: { readonly start: number; count: number } | undefined

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
    if (this.#length + packet.bytes.length > MAX_HEAD) throw new SyntaxError('its commands are more than 8 MiB')
    this.#keep(packet.bytes)
    if (packet.kind === 'data') {
      // A packet of nothing is no line; git's parser and others disagree on what it is.
      if (packet.data.length === 0) throw new SyntaxError('a packet is empty')
      if (this.#options === undefined) this.#takeLine(packet.data)
      else if (++this.#options.count > MAX_OPTIONS) throw new SyntaxError(`it has more than ${MAX_OPTIONS} options`)
      return undefined
    }
    if (this.#options !== undefined) return this.#head()
    if (this.#first?.isSigned === true) {
      for (const line of commandLines(this.#certificate)) this.#addCommand(line, this.#first)
    }
    if (this.#first?.words.has('push-options') !== true) return this.#head()
    this.#options = { start: this.#length, count: 0 }
    return undefined
  }

  /** A copy: views of what arrived would keep all of it, and a view costs more memory than a small packet. */
  #keep(bytes: Buffer): void {
    const length = this.#length + bytes.length
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(2 * length)
      this.#bytes.copy(larger, 0, 0, this.#length)
      this.#bytes = larger
    }
    bytes.copy(this.#bytes, this.#length)
    this.#length = length
  }

  /** @throws SyntaxError */
  #takeLine(data: Buffer): void {
    const text = data.toString('latin1')
    if (this.#first === undefined) {
      if (SHALLOW.test(text)) {
        this.#shallowLength = this.#length
        return
      }
      const nul = text.indexOf('\0')
      const start = nul === -1 ? text : text.slice(0, nul)
      const capabilities = nul === -1 ? '' : text.slice(nul + 1)
      const words = readCapabilities(capabilities)
      this.#first = { words, capabilities: Buffer.from(capabilities, 'latin1'), isSigned: start === 'push-cert' }
      if (!this.#first.isSigned) this.#addCommand(start, this.#first)
    } else if (this.#first.isSigned) {
      if (this.#certificate.push(text) > MAX_CERTIFICATE_LINES)
        throw new SyntaxError(`its certificate has more than ${MAX_CERTIFICATE_LINES} lines`)
    } else this.#addCommand(text, this.#first)
  }

  /** @throws SyntaxError */
  #addCommand(line: string, { words }: FirstLine): void {
    const command = readCommand(line, words.has('object-format=sha256') ? 64 : 40)
    this.#names.add(command.refBytes.toString('latin1'))
    this.#commands.push(command)
    if (this.#names.size < this.#commands.length) throw new SyntaxError('a ref is named twice')
  }

  #head(): PushHead {
    const { words = new Set<string>(), capabilities = NOTHING, isSigned = false } = this.#first ?? {}
    const bytes = this.#bytes.subarray(0, this.#length)
    const shallow = bytes.subarray(0, this.#shallowLength)
    const options = this.#options === undefined ? NOTHING : bytes.subarray(this.#options.start)
    return {
      commands: this.#commands,
      capabilities: words,
      isSigned,
      bytes,
      parts: { shallow, capabilities, options },
    }
  }
}

const NOTHING = Buffer.alloc(0)
const ID = '([0-9a-f]{40}|[0-9a-f]{64})'
const SHALLOW = new RegExp(`^shallow ${ID}\n?$`)
// Bytes above 0x7f stand for themselves: names need not be UTF-8.
const COMMAND = new RegExp(`^${ID} ${ID} (refs/[!-~\x80-\xff]{1,4000})\n?$`)
// Git makes a folder for each level but the last: a name of 4,000 bytes could make 2,000.
const MAX_REF_LEVELS = 32
// In git every white space parts two words, and a NUL ends them; with a space alone there is nothing to read differently.
const CAPABILITIES = /^[ -~]{0,16000}\n?$/

/** What the first line after the shallow ones says. */
type FirstLine = {
  /** The capabilities as words, and as they were sent. */
  readonly words: ReadonlySet<string>
  readonly capabilities: Buffer
  readonly isSigned: boolean
}

/** @throws SyntaxError */
function readCapabilities(text: string): Set<string> {
  if (!CAPABILITIES.test(text)) throw new SyntaxError('its capabilities are not words')
  const words = text.trim().split(' ')
  // Git takes `atomic=no` for atomic.
  return new Set([...words, ...words.map((word) => word.split('=', 1)[0] ?? '')])
}

/** @throws SyntaxError */
function readCommand(line: string, idLength: number): PushCommand {
  const [, oldId = '', newId = '', name = ''] = COMMAND.exec(line) ?? []
  if (oldId.length !== idLength || newId.length !== idLength) {
    throw new SyntaxError('a command is two object ids and the whole name of a ref')
  }
  if (name.split('/').length > MAX_REF_LEVELS) throw new SyntaxError(`a ref has more than ${MAX_REF_LEVELS} levels`)
  const refBytes = Buffer.from(name, 'latin1')
  return { oldId, newId, ref: refBytes.toString('utf8'), refBytes }
}

const CERTIFICATE_END = 'push-cert-end\n'
const SIGNATURE = '-----BEGIN '

/**
 * The commands within a certificate of a signed push: they stand between its empty line and its signature (Git's
 * documentation: gitprotocol-pack, push-cert).
 *
 * @param lines those after `push-cert`, each as its packet held it
 * @throws SyntaxError when it is not one whole certificate, and nothing beside it
 */
function commandLines(lines: readonly string[]): string[] {
  if (lines.some((line) => line.indexOf('\n') !== line.length - 1)) {
    throw new SyntaxError('each packet of a certificate is one line')
  }
  const blank = lines.indexOf('\n')
  const signature = lines.findIndex((line) => line.startsWith(SIGNATURE))
  const isComplete = lines[0] === 'certificate version 0.1\n' && blank !== -1 && signature > blank
  // Git takes the last signature for the one; with a single one there is nothing to disagree about.
  const hasOneSignature = lines.findLastIndex((line) => line.startsWith(SIGNATURE)) === signature
  // Plain commands after the certificate would be done as well.
  if (!isComplete || !hasOneSignature || lines.indexOf(CERTIFICATE_END) !== lines.length - 1) {
    throw new SyntaxError('a push certificate is not whole, or not alone')
  }
  return lines.slice(blank + 1, signature)
}
