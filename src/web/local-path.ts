/**
 * Parses the page to open after signing in. Anybody can have written the link.
 *
 * @returns a path of this gate, or `undefined` for anything that a browser might take for another site
 */
export function parseLocalPath(text: unknown): string | undefined {
  // To a browser, `//host` and `/\host` are other hosts; it drops tabs and line ends first.
  if (typeof text !== 'string' || text.length > 2_000 || !/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(text))
    return undefined
  const url = new URL(text, 'http://gate.invalid')
  // Parsing has removed dots: `/.//host` has become `//host`.
  return url.host === 'gate.invalid' && !url.pathname.startsWith('//') ? `${url.pathname}${url.search}` : undefined
}
