import type { DestinationStream, Logger } from 'pino'
import { pino } from 'pino'
import type { LogLevel } from '../config/options.js'
import { LogSink } from '../core/log-sink.js'

export type { Logger } from 'pino'

const STANDARD_ERROR = 2

/**
 * The log: one JSON object per line. Values of the type `Secret` print as their names; secrets in unexpected places, such as a
 * token in a path, are redacted from each line.
 *
 * @param redact removes secrets from a line
 * @param destination @default standard error, so that standard output is free for results
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
