// Control characters could forge lines on a terminal or in a log; bidirectional overrides could disguise a name.
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/u
const ALL_UNPRINTABLE = new RegExp(UNPRINTABLE, 'gu')
const MAX_QUOTED = 80

/** Whether a text contains characters that don't print, or that change how others print. */
export function hasUnprintable(text: string): boolean {
  return UNPRINTABLE.test(text)
}

/** Makes a text from outside safe to quote in a message: at most 80 characters, all of which print. */
export function printable(text: string): string {
  const short = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text
  return replaceUnprintable(short)
}

/** Replaces characters that don't print with U+FFFD. */
export function replaceUnprintable(text: string): string {
  return text.replace(ALL_UNPRINTABLE, '\u{FFFD}')
}
