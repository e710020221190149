import type { Packet } from './pkt-line.js'
import { PktLineReader } from './pkt-line.js'
import { commandLines } from './push-certificate.js'
import type { PushCommand, PushHead } from './push-head.js'

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
  const refBytes = Buffer.from(name, 'latin1')
  return { oldId, newId, ref: refBytes.toString('utf8'), refBytes }
}

function join(packets: readonly Packet[]): Buffer {
  return Buffer.concat(packets.map(({ bytes }) => bytes))
}
