// A response that is broken off with a message aborts the backend's work for it, whether the client reads the message or not.
import { once } from 'node:events'
import { Writable } from 'node:stream'
import type { Test } from 'tap'
import t from 'tap'
import { BAND, encodeBand, SideBandResponse } from '../../../src/protocol/side-band.js'
import { MultiplexedBody } from '../../../src/git/http/git-response.js'

const PACKET = encodeBand(BAND.answer, Buffer.from('some of a pack'), 'side-band-64k')
const MESSAGE = encodeBand(BAND.fatal, Buffer.from('it was revoked\n'), 'side-band-64k')
const FORMAT = { preamble: 'none', sideBand: 'side-band-64k', wantsProgress: true, firstPacket: undefined } as const

/** A response of which one packet is written. @param reads whether the client reads anything */
function begun(t: Test, reads: boolean) {
  const read: Buffer[] = []
  const client = new Writable({
    write(piece: Buffer, _encoding, done) {
      read.push(Buffer.from(piece))
      if (reads) done()
    },
  })
  t.teardown(() => client.destroy())
  const state = { ended: 0 }
  const body = new MultiplexedBody(new SideBandResponse(FORMAT, undefined), client, () => state.ended++)
  body.write(PACKET)
  return { client, body, state, bytes: () => Buffer.concat(read) }
}

t.test('a client that reads the message gets nothing after it', async (t) => {
  const { client, body, state, bytes } = begun(t, true)
  t.ok(body.endWith('it was revoked'))
  body.write(PACKET)
  await once(client, 'close')
  t.strictSame(bytes(), Buffer.concat([PACKET, MESSAGE]))
  t.equal(state.ended, 1)
})

// Attack: a client that reads nothing more when its token is revoked; its connection was reset, but git stayed.
t.test('if a client never reads it, the backend is aborted with the connection', async (t) => {
  const { client, body, state } = begun(t, false)
  t.ok(body.endWith('it was revoked'))
  t.equal(state.ended, 0)
  client.destroy()
  await once(client, 'close')
  t.equal(state.ended, 1)
})
