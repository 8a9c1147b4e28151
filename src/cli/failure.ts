/**
 * A command that fails throws one of these; main.ts prints its message as one line on stderr and
 * exits with its exit code. Any other exception is a bug.
 */

/** Exit codes of every command; check, compat and others define further ones. */
export const ExitCode = {
  OK: 0,
  /** The command line was valid, and the command failed. */
  FAILURE: 1,
  /** The command line was wrong: an unknown command or option, or an invalid value. */
  USAGE: 2,
  /** The reader of stdout closed it (128 + SIGPIPE, as a shell reports for a C program). */
  CLOSED_OUTPUT: 141,
} as const;

/** A command failed. `message` is one line for the user, without the program's name. */
export class CommandFailure extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = ExitCode.FAILURE) {
    super(message);
    this.name = "CommandFailure";
    this.exitCode = exitCode;
  }
}

/** The command line is invalid; `hint` is the word that was probably meant. */
export class UsageFailure extends CommandFailure {
  constructor(message: string, hint?: string) {
    super(hint === undefined ? message : `${message} (did you mean "${hint}"?)`, ExitCode.USAGE);
    this.name = "UsageFailure";
  }
}

/** 128 + the signal's number, as a shell reports. */
const SIGNAL_EXITS = { SIGINT: 130, SIGTERM: 143 } as const;

/** A signal that ends a command early. */
export type StopSignal = keyof typeof SIGNAL_EXITS;

/** The failure of a command that a signal ended, after it has cleaned up. */
export function stoppedBy(signal: StopSignal): CommandFailure {
  return new CommandFailure(`stopped by ${signal}`, SIGNAL_EXITS[signal]);
}

/** Delay of the exit, which does not wait for a system call that hangs in the kernel. */
const LEAVE_MS = 50;

/** Ends the process soon, even if one of its reads, or the child that makes it, hangs. */
export function leave(exitCode: number): number {
  setTimeout(() => process.exit(exitCode), LEAVE_MS).unref();
  return exitCode;
}

/** The reader of stdout has closed it: ends the command silently. */
export class ClosedOutput extends CommandFailure {
  constructor() {
    super("", ExitCode.CLOSED_OUTPUT);
    this.name = "ClosedOutput";
  }
}
