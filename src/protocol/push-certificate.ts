const END = 'push-cert-end\n'
const SIGNATURE = '-----BEGIN '

/**
 * The commands within a certificate of a signed push: they stand between its empty line and its signature (Git's
 * documentation: gitprotocol-pack, push-cert).
 *
 * @param lines those after `push-cert`, each as its packet held it
 * @throws SyntaxError when it is not one whole certificate, and nothing beside it
 */
export function commandLines(lines: readonly string[]): string[] {
  if (lines.some((line) => line.indexOf('\n') !== line.length - 1)) {
    throw new SyntaxError('each packet of a certificate is one line')
  }
  const blank = lines.indexOf('\n')
  const signature = lines.findIndex((line) => line.startsWith(SIGNATURE))
  const isWhole = lines[0] === 'certificate version 0.1\n' && blank !== -1 && signature > blank
  // Git takes the last signature for the one; with a single one there is nothing to disagree about.
  const hasOneSignature = lines.findLastIndex((line) => line.startsWith(SIGNATURE)) === signature
  // Plain commands after the certificate would be done as well.
  if (!isWhole || !hasOneSignature || lines.indexOf(END) !== lines.length - 1) {
    throw new SyntaxError('a push certificate is not whole, or not alone')
  }
  return lines.slice(blank + 1, signature)
}
