/** Parameters in a query or a form. Rack, under GitLab, stops at 4,096; no form of ours has more than some dozens. */
export const MAX_PARAMETERS = 1_000

/** Whether a query or a form has more than {@link MAX_PARAMETERS}. Counts separators, so it runs before any parsing. */
export function hasTooManyParameters(text: string): boolean {
  let count = 1
  for (let at = text.indexOf('&'); at !== -1; at = text.indexOf('&', at + 1)) {
    count += 1
    if (count > MAX_PARAMETERS) return true
  }
  return false
}
