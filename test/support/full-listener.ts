/** A unix socket whose process accepts no connection, and whose queue of them is full. */
import { LineProcess } from "./lines.ts";

/** Binds its argument, connects to itself, and prints a line of JSON; ends with its stdin. */
const LISTENER = String.raw`
  use Socket; $| = 1;
  my $address = pack_sockaddr_un($ARGV[0]);
  socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
  bind($s, $address) or die "bind: $!";
  listen($s, 0) or die "listen: $!";
  socket(my $c, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
  connect($c, $address) or die "connect: $!";
  print qq({"full":true}\n);
  my $line = <STDIN>;
`;

type Line = { readonly full: true };

/**
 * A process that listens at `path` and is as busy as a server that hangs, until it is disposed of;
 * the file of its socket remains.
 */
export async function listenFull(path: string): Promise<LineProcess<Line>> {
  const lines = new LineProcess<Line>(["perl", "-e", LISTENER, path]);
  await lines.next();
  return lines;
}
