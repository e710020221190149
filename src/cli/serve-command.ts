import { isIP } from 'node:net'
import type { Command } from 'commander'
import type { Config, Flags } from '../config/config.js'
import { addressMatcher } from '../core/address-list.js'
import type { CliContext, OpenCli } from './context.js'
import { addCommand, withStore } from './context.js'

/** The flags of `serve` and `quickstart`. */
export type ServeFlags = Omit<Flags, 'cache'> & { json?: true; cache?: boolean }

/** `gitgate serve`: serves Git over HTTP until SIGTERM or SIGINT. */
export function addServeCommand(program: Command, context: CliContext): void {
  const example = 'gitgate serve --upstream http://127.0.0.1:9000'
  addListenOptions(addCommand(program, 'serve', 'serve Git over HTTP', example))
    .option('--upstream <url>', 'URL of the Git server behind the gate, instead of the embedded server')
    .action((flags: ServeFlags) =>
      withStore(context, (cli) =>
        serve(cli, flags, async (url) => {
          const accounts = await cli.store.accounts.list()
          if (accounts.length === 0) cli.output.note('No accounts yet. Add one: gitgate user add NAME')
          announce(cli, url, flags.json)
        }),
      ),
    )
}

/** Adds the options for where to listen and what to serve. */
export function addListenOptions(command: Command): Command {
  return command
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--port <number>', 'port to listen on (default: 8080)')
    .option('--repos <folder>', 'folder for the bare repositories (default: ./repos)')
    .option('--public-url <url>', 'public URL of the gate, if it differs from the listening address')
    .option('--tls-cert <file>', 'PEM certificate chain, for HTTPS')
    .option('--tls-key <file>', 'private key for the certificate')
    .option('--http-redirect-port <number>', 'port on which to redirect plain HTTP to HTTPS')
    .option('--workers <number>', 'number of worker processes (default: 1)')
    .option('--no-cache', 'turn the response cache off')
}

/**
 * Runs a gate until SIGTERM or SIGINT.
 *
 * @param onListening called with the public URL of the gate
 */
export async function serve(
  cli: OpenCli,
  flags: ServeFlags,
  onListening: (url: string) => Promise<void>,
): Promise<void> {
  const config = cli.config(configurationOf(flags))
  const gate = await cli.store.createGate(config)
  cli.terminal.onReload(() => gate.reload())
  try {
    const url = await gate.listen()
    warnAboutPlainHttp(cli, config)
    await onListening(config.publicUrl ?? url)
    await aborted(cli.terminal.signal)
    cli.output.note('Shutting down; waiting for running transfers.')
  } finally {
    await gate.close()
  }
}

/** The configuration in the flags; commander passes `--no-cache` as a boolean. */
export function configurationOf({ cache, ...others }: ServeFlags): Flags {
  return cache === false ? { ...others, cache: 'off' } : others
}

/** Says where the gate listens. */
export function announce({ output }: OpenCli, url: string, json: true | undefined): void {
  if (json === true) output.json({ url })
  else output.answer(`gitgate listens on ${url}`)
}

/** Over plain HTTP, anybody on the network path can read tokens. */
function warnAboutPlainHttp({ output }: OpenCli, { host, tls, publicUrl }: Config): void {
  const isLoopback = host === 'localhost' || (isIP(host) !== 0 && addressMatcher(['127.0.0.0/8', '::1'])(host))
  if (tls !== undefined || isLoopback || publicUrl?.startsWith('https:') === true) return
  output.note(
    `Warning: plain HTTP on ${host} exposes tokens on the network. Use --tls-cert and --tls-key, or a proxy with TLS and --public-url https://…`,
  )
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
