import { encodePktLine, FLUSH } from './pkt-line.js'

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
