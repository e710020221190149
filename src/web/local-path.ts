/**
 * Where to go after signing in, as given by whoever made the link.
 *
 * @returns a path of this gate, or `undefined` for anything that a browser might take for another site
 */
export function parseLocalPath(text: unknown): string | undefined {
  // `//host` and `/\host` are other hosts to a browser; tabs and line ends are dropped by it before it looks.
  if (typeof text !== 'string' || text.length > 2_000 || !/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(text))
    return undefined
  const url = new URL(text, 'http://gate.invalid')
  // Dots go only now: `/.//host` has become `//host`.
  return url.host === 'gate.invalid' && !url.pathname.startsWith('//') ? `${url.pathname}${url.search}` : undefined
}
