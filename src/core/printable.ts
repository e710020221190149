// Control characters would forge lines of a terminal or a log; bidirectional overrides would disguise a name.
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/u
const ALL_UNPRINTABLE = new RegExp(UNPRINTABLE, 'gu')
const MAX_QUOTED = 80

/** Whether a text holds characters that don't print or that change how others print. */
export function hasUnprintable(text: string): boolean {
  return UNPRINTABLE.test(text)
}

/** A text from outside, made safe to quote in a message: 80 characters at most, none that don't print. */
export function printable(text: string): string {
  const short = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text
  return replaceUnprintable(short)
}

/** A text of any length in which what doesn't print shows as U+FFFD. */
export function replaceUnprintable(text: string): string {
  return text.replace(ALL_UNPRINTABLE, '\u{FFFD}')
}
