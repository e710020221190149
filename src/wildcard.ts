/**
 * Whether all of a text is what a pattern says, in which a wildcard stands for any run of elements. Only the last
 * wildcard is ever tried again, so that the time is the product of the lengths at most: a regular expression took hours
 * for `*a*a*a*b` and a path of many a.
 *
 * @param fits whether an element of the pattern, other than the wildcard, stands for one of the text
 */
export function matchesWildcard<T>(
  pattern: ArrayLike<T>,
  text: ArrayLike<T>,
  wildcard: T,
  fits: (pattern: T, element: T) => boolean = (one, other) => one === other,
): boolean {
  let [at, p, retryAt, retryP] = [0, 0, 0, -1]
  while (at < text.length) {
    if (p < pattern.length && pattern[p] === wildcard) {
      retryP = p++
      retryAt = at
    } else if (p < pattern.length && fits(pattern[p] as T, text[at] as T)) {
      p++
      at++
    } else if (retryP !== -1) {
      p = retryP + 1
      at = ++retryAt
    } else {
      return false
    }
  }
  while (p < pattern.length && pattern[p] === wildcard) p++
  return p === pattern.length
}
