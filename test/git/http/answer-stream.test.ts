// An answer that is broken off with words of ours ends what the backend does for it, whether the client takes them or not.
import { once } from 'node:events'
import { Writable } from 'node:stream'
import type { Test } from 'tap'
import t from 'tap'
import type { BackendRequest, ResponseWriter } from '../../../src/protocol/backend.js'
import { BAND, encodeBand } from '../../../src/protocol/side-band.js'
import { speaking } from '../../../src/git/http/answer-stream.js'

const PACKET = encodeBand(BAND.answer, Buffer.from('some of a pack'), 'side-band-64k')
const WORDS = encodeBand(BAND.fatal, Buffer.from('it was revoked\n'), 'side-band-64k')

/** An answer of which one packet is written. @param takes whether the client takes anything */
function begun(t: Test, takes: boolean) {
  const taken: Buffer[] = []
  const client = new Writable({
    write(piece: Buffer, _encoding, done) {
      taken.push(Buffer.from(piece))
      if (takes) done()
    },
  })
  t.teardown(() => client.destroy())
  const state = { aborted: 0 }
  const git = {} as BackendRequest
  const writer = { begin: () => client } as unknown as ResponseWriter
  const served = speaking(
    { git, writer, end: () => client.end(), abort: () => state.aborted++ },
    'none',
    Buffer.alloc(0),
  )
  served.writer.begin().write(PACKET)
  return { client, served, state, bytes: () => Buffer.concat(taken) }
}

t.test('a client that takes the last words gets nothing after them', async (t) => {
  const { client, served, state, bytes } = begun(t, true)
  t.ok(served.endWith(WORDS))
  await once(client, 'close')
  t.strictSame(bytes(), Buffer.concat([PACKET, WORDS]))
  t.equal(state.aborted, 1)
})

// Attack: a client that reads nothing more when its token is revoked; its connection was reset, but git stayed.
t.test('of a client that never takes them, the run ends with its connection', async (t) => {
  const { client, served, state } = begun(t, false)
  t.ok(served.endWith(WORDS))
  t.equal(state.aborted, 0)
  client.destroy()
  await once(client, 'close')
  t.equal(state.aborted, 1)
})
