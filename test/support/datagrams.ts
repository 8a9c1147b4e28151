/** A unix datagram socket, such as systemd's notification socket; Bun has none. */
import { LineProcess } from "./lines.ts";

/** Binds its argument (`@`: abstract), prints "bound", then each datagram as a line of JSON. */
const RECEIVER = String.raw`
  use Socket; $| = 1;
  my ($path) = @ARGV;
  (my $bound = $path) =~ s/^@/\0/;
  socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
  bind($s, pack("Sa*", AF_UNIX, $bound)) or die "bind: $!";
  print qq({"text":"bound"}\n);
  while (defined recv($s, my $text, 4096, 0)) {
    $text =~ s/\n/\\n/g;
    print qq({"text":"$text"}\n);
  }
`;

/** Receives until it is disposed of. */
export class Datagrams implements AsyncDisposable {
  readonly #lines: LineProcess<{ readonly text: string }>;

  private constructor(lines: LineProcess<{ readonly text: string }>) {
    this.#lines = lines;
  }

  static async at(path: string): Promise<Datagrams> {
    const lines = new LineProcess<{ readonly text: string }>(["perl", "-e", RECEIVER, path]);
    await lines.next();
    return new Datagrams(lines);
  }

  /** The text of the next datagram. */
  async next(): Promise<string> {
    return (await this.#lines.next()).text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines.kill();
  }
}
