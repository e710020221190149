import type { DestinationStream, Logger } from 'pino'
import { pino } from 'pino'
import type { LogLevel } from '../config/options.js'
import { LogSink } from '../core/log-sink.js'

export type { Logger } from 'pino'

const STANDARD_ERROR = 2

/**
 * The log: one JSON object a line. Secrets never get here by their type; what a client pasted where no secret belongs,
 * such as a token in a path, is taken out of each finished line.
 *
 * @param redact takes secrets out of a line
 * @param destination where it goes. @default the standard error output, so that standard output is free for answers
 */
export function createLog(level: LogLevel, redact: (line: string) => string, destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: redact },
    },
    destination ?? new LogSink(STANDARD_ERROR),
  )
}
