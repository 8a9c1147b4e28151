/**
 * How a command reports that it failed: it throws one of these, and main.ts prints its one line on
 * stderr and exits with its exit code. Anything else that is thrown is a bug of ours.
 */

/** Exit codes of every command; a command that answers a question (check, compat) adds its own. */
export const ExitCode = {
  OK: 0,
  /** The command line was right, and the command failed. */
  FAILURE: 1,
  /** The command line was wrong: unknown command or option, a value that cannot be read. */
  USAGE: 2,
  /** The reader of stdout went away (128 + SIGPIPE, as a shell shows it for a C program). */
  CLOSED_OUTPUT: 141,
} as const;

/** A command that failed. `message` is one line for a person, without the program's name. */
export class CommandFailure extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = ExitCode.FAILURE) {
    super(message);
    this.name = "CommandFailure";
    this.exitCode = exitCode;
  }
}

/** A command line that cannot be carried out as written; `hint` names what was probably meant. */
export class UsageFailure extends CommandFailure {
  constructor(message: string, hint?: string) {
    super(hint === undefined ? message : `${message} (did you mean "${hint}"?)`, ExitCode.USAGE);
    this.name = "UsageFailure";
  }
}

/** stdout has no reader any more: ends the command silently. */
export class ClosedOutput extends CommandFailure {
  constructor() {
    super("", ExitCode.CLOSED_OUTPUT);
    this.name = "ClosedOutput";
  }
}
