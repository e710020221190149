// Attack: input of a shape for which a reader takes more than linear time, such as an expression that tries every way to split a run
// of blanks. Each reader of what comes from outside gets texts in which a random unit is repeated; eight times the size may not
// take many times eight.
import fc from 'fast-check'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse as parseQuery } from 'node:querystring'
import type { Test } from 'tap'
import t from 'tap'
import { parseCredential } from '../../src/domain/access/authenticate.js'
import { parseGrant } from '../../src/domain/access/grant.js'
import { parseProtection, refProtections } from '../../src/domain/access/protection.js'
import { parseAddressList } from '../../src/core/address-list.js'
import { parseForm, parseInstant } from '../../src/api/rest/parameters.js'
import type { OptionName } from '../../src/config/options.js'
import { OPTIONS } from '../../src/config/options.js'
import { loadConfig } from '../../src/config/config.js'
import { GitgateError } from '../../src/core/errors.js'
import { parseMailbox, parseSmtpServer } from '../../src/config/smtp-url.js'
import { printable } from '../../src/core/printable.js'
import { encodePktLine } from '../../src/protocol/pkt-line.js'
import { parseGitRequest } from '../../src/protocol/git-request.js'
import { PushHeadParser } from '../../src/protocol/push-head.js'
import type { RepositoryPath } from '../../src/protocol/repository-path.js'
import { parseUploadPackRequest } from '../../src/git/cache/upload-pack-request.js'
import { parseExpiryDate, parseSince, parseSpan } from '../../src/domain/tokens/expiry.js'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import { parseScopes } from '../../src/domain/tokens/scope.js'
import { redactTokens } from '../../src/domain/tokens/token-secret.js'
import { parseLocalPath } from '../../src/web/local-path.js'
import { wildcardMatcher } from '../../src/protocol/pattern.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { KEPT_SEEDS } from '../seeds.js'

const SMALL_BYTES = 8_000
const FACTOR = 8
// Quadratic time is 64 times as much.
const MAX_RATIO = 24
// What takes less is not worth a second look.
const MAX_MS = 20
const TRIES = 5
const NOW = new Date('2026-06-01T12:00:00Z')

type Reader = { readonly units: readonly string[]; readonly read: (text: string) => unknown }

const BLANKS = [' ', '\t', '\n', '\0', '\u00a0']
const LETTERS = ['a', 'b', 'ab', '-', '_', '.', '/', '*', '**', ',', ':', '=', '@', '"', '\\', '%2e', 'é']
const packets = (lines: string) => Buffer.from(lines, 'latin1')
const ID = '1'.repeat(40)

function readPush(text: string, pieceBytes: number): void {
  const parser = new PushHeadParser()
  const bytes = packets(text)
  for (let at = 0; at < bytes.length; at += pieceBytes)
    if (parser.push(bytes.subarray(at, at + pieceBytes)).kind !== 'more') return
}

/** All readers of what comes from outside, and what their inputs are made of. */
const READERS: Readonly<Record<string, Reader>> = {
  'Basic credentials': {
    units: ['Basic ', 'Bearer ', 'YTpi', '=', ' ', ',', '!', '\t'],
    read: parseCredential,
  },
  'request targets': {
    units: ['/', '.git', '..', '.lock', 'a', '%2e', '?service=', '&', 'info/refs', '-', '\\'],
    read: (text) => parseGitRequest('GET', text),
  },
  'pkt-lines and push commands': {
    units: ['0000', '0001', '0004', '0005a', 'ffff', '00', '\0', encodePktLine(`${ID} ${ID} refs/heads/a`).toString()],
    read: (text) => readPush(text, 65_536),
  },
  'push commands in pieces of seven bytes': {
    units: [encodePktLine(`shallow ${ID}`).toString(), encodePktLine('x'.repeat(900)).toString(), '0'],
    read: (text) => readPush(text, 7),
  },
  'a push of one long packet, in pieces of seven bytes': {
    units: ['a', '/', '*', '\xe9'],
    read: (text) => {
      const line = Buffer.from(`${ID} ${ID} refs/${text}`, 'latin1').subarray(0, 65_500)
      readPush(encodePktLine(line).toString('latin1'), 7)
    },
  },
  'fetch requests, version 2': {
    units: [
      '0000',
      '0001',
      encodePktLine('command=fetch').toString(),
      encodePktLine(`want ${ID}`).toString(),
      'ffff',
      '0004',
    ],
    read: (text) => parseUploadPackRequest(packets(text), 'version=2'),
  },
  'fetch requests, version 0': {
    units: [
      '0000',
      encodePktLine(`want ${ID} ofs-delta`).toString(),
      encodePktLine(`have ${ID}`).toString(),
      '0009done\n',
    ],
    read: (text) => parseUploadPackRequest(packets(text), undefined),
  },
  'patterns of repositories': { units: LETTERS, read: (text) => parseRestrictions([text], []) },
  'patterns of refs': { units: [...LETTERS, 'refs/heads/'], read: (text) => parseRestrictions([], [text]) },
  'texts that patterns match': {
    units: ['a', 'b', 'aab'],
    read: (text) =>
      ['*a*a*a*a*a*a*ab', '*aab*ab*b', `*${'a'.repeat(250)}b*`, 'a*'].map((it) => wildcardMatcher(it)(text)),
  },
  'refs that are protected': {
    units: LETTERS,
    read: (text) =>
      refProtections('a' as RepositoryPath, [
        { id: 1, ...parseProtection('*', '*a*b*é*', { push: 'admin', force: 'admin', delete: 'admin' }) },
      ])(text),
  },
  'subjects of grants': { units: [...LETTERS, ...BLANKS], read: (text) => parseGrant(text, 'read', 'a') },
  'forms of the API': { units: ['a', '[', ']', '[]', '=', '&', '%5B', '%', '+', ';', '[0]=1&'], read: parseForm },
  'forms of pages': { units: ['a', '=', '&', '%5B', '%', '+', '%e9'], read: (text) => parseQuery(text) },
  'addresses to return to': { units: ['/', '\\', '.', '%2f', 'a', '?', '#', '\t', '//'], read: parseLocalPath },
  'times of the API': { units: ['2026', '-', ':', '0', 'T', 'Z', '+', ' '], read: (text) => parseInstant('at', text) },
  'spans and dates': {
    units: ['1', 'd', 'h', ' ', '-', '2026-', 'never', '.'],
    read: (text) =>
      [parseSpan, parseExpiryDate, (it: string) => parseSince(it, NOW)].map((read) => quietly(read, text)),
  },
  scopes: { units: ['api', ',', ' ', 'read_', '_'], read: parseScopes },
  addresses: { units: ['1.1.1.1', '/', ',', ' ', '::', ':', '0', '.'], read: parseAddressList },
  'mail servers': { units: ['smtp://', ':', '@', '/', '%', 'a', '[', ']', '?'], read: parseSmtpServer },
  mailboxes: { units: ['a', '<', '>', '@', '"', ' ', '.', ',', '\\'], read: parseMailbox },
  'texts of log lines and messages': {
    units: ['ggpat-', 'glpat-', 'a', '_', '-', 'A1', '\n', '\u202e', '=', 'é', ' '],
    read: (text) => printable(redactTokens(text)),
  },
}

function quietly(read: (text: string) => unknown, text: string): void {
  try {
    read(text)
  } catch (error) {
    // Their mistakes are told by errors of ours, or as texts of the grammar; a TypeError is our own mistake.
    if (error instanceof TypeError || error instanceof RangeError) throw error
  }
}

/** Milliseconds of CPU. */
function cpuOf(read: (text: string) => unknown, text: string): number {
  const before = process.cpuUsage()
  quietly(read, text)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

/** A text of which a unit is repeated, as long as is wanted. */
type Shape = { readonly first: readonly string[]; readonly unit: readonly string[]; readonly last: readonly string[] }

function textOf({ first, unit, last }: Shape, bytes: number): string {
  const repeated = unit.join('')
  return first.join('') + repeated.repeat(Math.ceil(bytes / repeated.length)) + last.join('')
}

function isLinear(read: (text: string) => unknown, shape: Shape): boolean {
  const [small, large] = [textOf(shape, SMALL_BYTES), textOf(shape, SMALL_BYTES * FACTOR)]
  // What a collection of garbage or a first run costs does not come again.
  for (let tries = 0; tries < TRIES; tries++) {
    const cpu = cpuOf(read, large)
    if (cpu <= MAX_MS || cpu <= MAX_RATIO * cpuOf(read, small)) return true
  }
  return false
}

function checkLinear(t: Test, name: string, { units, read }: Reader, numRuns: number): void {
  const some = (constraints: { minLength?: number; maxLength: number }) =>
    fc.array(fc.constantFrom(...units), constraints)
  const shape = fc.record({
    first: some({ maxLength: 3 }),
    unit: some({ minLength: 1, maxLength: 3 }),
    last: some({ maxLength: 2 }),
  })
  for (const seed of KEPT_SEEDS)
    fc.assert(
      fc.property(shape, (one) => isLinear(read, one)),
      { numRuns, seed },
    )
  t.pass(name)
}

for (const [name, reader] of Object.entries(READERS))
  t.test(`${name} are read in linear time`, async (t) => checkLinear(t, name, reader, 60))

t.test('options and the configuration file are read in linear time', async (t) => {
  const file = join(temporaryFolder(t), 'gitgate.conf')
  const units = ['1', ',', ' ', '/', ':', '@', '.', 'a', '=', '"', '#', '\n', 'GITGATE_PORT', '\t', 'http://', '*']
  const names = Object.keys(OPTIONS) as OptionName[]
  for (const name of names)
    checkLinear(t, name, { units, read: (text) => loadConfig({ [name]: text }, {}, undefined) }, 8)
  const read = (text: string): unknown => {
    writeFileSync(file, text)
    return loadConfig({}, {}, file)
  }
  t.throws(() => read('a'), GitgateError)
  checkLinear(t, 'the file', { units, read }, 60)
  t.ok(isLinear(read, { first: ['GITGATE_PORT', '=', 'a'], unit: [' '], last: ['a'] }), 'a value with blanks in it')
})
