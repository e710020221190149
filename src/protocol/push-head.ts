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

/**
 * Reads the head of a push as it arrives, and takes only the strict grammar. Git's own receive-pack is laxer: it takes
 * capabilities on any line, ends the list at other packets than a flush, and stops a name at a NUL. What two parsers read
 * differently could be authorised as one thing and done as another.
 */
export class PushHeadParser {
  readonly #reader = new PktLineReader()
  readonly #commands: Packet[] = []
  readonly #options: Packet[] = []
  #list = this.#commands
  #length = 0
  #first: FirstList | undefined

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
    this.#length += packet.bytes.length
    if (this.#length > MAX_HEAD) throw new SyntaxError('its commands are more than 8 MiB')
    // A packet of nothing is no line; git's parser and others disagree on what it is.
    if (packet.kind === 'data' && packet.data.length === 0) throw new SyntaxError('a packet is empty')
    this.#list.push(packet)
    if (packet.kind === 'data') return undefined
    if (this.#list === this.#commands) {
      this.#first = readFirstList(this.#commands.slice(0, -1))
      if (this.#first.capabilities.has('push-options')) {
        this.#list = this.#options
        return undefined
      }
    }
    const { commands = [], capabilities = new Set<string>(), isSigned = false, parts } = this.#first ?? {}
    const options = join(this.#options)
    return {
      commands,
      capabilities,
      isSigned,
      bytes: Buffer.concat([join(this.#commands), options]),
      parts: { shallow: NOTHING, capabilities: NOTHING, ...parts, options },
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

type FirstList = Pick<PushHead, 'commands' | 'capabilities' | 'isSigned'> & {
  readonly parts: Omit<PushHead['parts'], 'options'>
}

/** @throws SyntaxError */
function readFirstList(packets: readonly Packet[]): FirstList {
  const first = packets.findIndex(({ data }) => !SHALLOW.test(data.toString('latin1')))
  const lines = first === -1 ? [] : packets.slice(first).map(({ data }) => data)
  const shallow = join(first === -1 ? packets : packets.slice(0, first))
  const [head = NOTHING, ...others] = lines
  const nul = head.indexOf(0)
  const capabilities = nul === -1 ? NOTHING : head.subarray(nul + 1)
  const words = readCapabilities(capabilities.toString('latin1'))
  const start = nul === -1 ? head : head.subarray(0, nul)
  const isSigned = start.toString('latin1') === 'push-cert'
  const texts = [...(lines.length === 0 ? [] : [start]), ...others].map((line) => line.toString('latin1'))
  const idLength = words.has('object-format=sha256') ? 64 : 40
  const commands = (isSigned ? commandLines(texts.slice(1)) : texts).map((line) => readCommand(line, idLength))
  if (new Set(commands.map(({ refBytes }) => refBytes.toString('latin1'))).size < commands.length) {
    throw new SyntaxError('a ref is named twice')
  }
  return { commands, capabilities: words, isSigned, parts: { shallow, capabilities } }
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

function join(packets: readonly Packet[]): Buffer {
  return Buffer.concat(packets.map(({ bytes }) => bytes))
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
