// Attack: somebody on the network between client and gate makes the two agree on an old version of TLS, or on a cipher without forward
// secrecy or with known weaknesses, to read tokens later.
import type { ConnectionOptions } from 'node:tls'
import { connect } from 'node:tls'
import t from 'tap'
import { makeCertificates } from '../acceptance/certificates.js'
import { requireProgram } from '../acceptance/programs.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { createWorld } from '../acceptance/world.js'

t.test('only TLS 1.2 and newer with forward secrecy is spoken', { skip: requireProgram('openssl') }, async (t) => {
  const { cert, key } = makeCertificates(temporaryFolder(t))
  const world = await createWorld(t, { tlsCert: cert, tlsKey: key })
  const { hostname, port } = new URL(world.url)
  /** @returns version and cipher, or why there is no connection */
  const handshake = async (options: ConnectionOptions): Promise<string> =>
    await new Promise((resolve) => {
      const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false, ...options }, () => {
        resolve(`${String(socket.getProtocol())} ${socket.getCipher().standardName}`)
        socket.destroy()
      })
      socket.on('error', (error: Error) => resolve(error.message))
    })
  // At security level 0 OpenSSL, which is the client's, too, offers what is old.
  const old = (ciphers: string, more: ConnectionOptions = {}): ConnectionOptions => ({
    ciphers: `${ciphers}:@SECLEVEL=0`,
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.2',
    ...more,
  })
  t.equal(await handshake({}), 'TLSv1.3 TLS_AES_128_GCM_SHA256')
  t.equal(await handshake({ maxVersion: 'TLSv1.2' }), 'TLSv1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256')
  for (const maxVersion of ['TLSv1', 'TLSv1.1'] as const)
    t.match(await handshake(old('ALL', { maxVersion })), /alert protocol version/, maxVersion)
  const weak = {
    'no forward secrecy': 'AES128-GCM-SHA256:AES256-GCM-SHA384',
    'CBC with SHA-1': 'ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA',
    'CBC with SHA-2': 'ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384',
    DHE: 'DHE-RSA-AES128-GCM-SHA256',
    'no encryption': 'NULL-SHA256:ECDHE-RSA-NULL-SHA',
    'no authentication': 'ADH-AES128-GCM-SHA256:AECDH-AES128-SHA',
  }
  for (const [name, ciphers] of Object.entries(weak))
    t.match(await handshake(old(ciphers)), /alert handshake failure/, name)
})
