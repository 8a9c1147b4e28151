#!/usr/bin/perl
# A client like those of PVE's daemons: Perl with libqb's client library, pack and unpack. Sends all
# twelve requests to one service and prints one JSON line per answer.
#
#   ipcc.pl SERVICE VMID CONFIG-PATH TOKEN
#
# JSON line: {"name":..., "errno": 0 or the number, "body": hex}

use v5.36;

use FFI::Platypus 2.00;

my ($service, $vmid, $path, $token) = @ARGV;
die "usage: ipcc.pl SERVICE VMID CONFIG-PATH TOKEN\n" if !defined $token;

# A request is a header of id and size, each in eight bytes, and the body; so is a reply, with
# the error in between.
use constant {
    MAX_MESSAGE_BYTES => 1024 * 1024,
    REQUEST_HEADER => 'l x4 l x4',
    RESPONSE_HEADER => 'l x4 l x4 l x4',
    RESPONSE_HEADER_BYTES => 24,
};

my $ffi = FFI::Platypus->new(api => 2, lib => 'libqb.so.100');
$ffi->attach(qb_ipcc_connect => ['string', 'size_t'] => 'opaque');
$ffi->attach(qb_ipcc_send => ['opaque', 'string', 'size_t'] => 'ssize_t');
$ffi->attach(qb_ipcc_recv => ['opaque', 'opaque', 'size_t', 'sint32'] => 'ssize_t');
$ffi->attach(qb_ipcc_disconnect => ['opaque'] => 'void');
$ffi->attach([malloc => 'c_malloc'] => ['size_t'] => 'opaque');

my $connection = qb_ipcc_connect($service, MAX_MESSAGE_BYTES) or die "connect to $service: $!\n";
my $room = MAX_MESSAGE_BYTES + 4096;
my $buffer = c_malloc($room);

# Sends one request; returns the error number (0 when there is none) and the body.
sub ask ($id, $body = '') {
    my $message = pack(REQUEST_HEADER, $id, 16 + length($body)) . $body;
    my $sent = qb_ipcc_send($connection, $message, length($message));
    die "request $id: send failed: $sent\n" if $sent < 0;
    my $received = qb_ipcc_recv($connection, $buffer, $room, 10_000);
    die "request $id: receive failed: $received\n" if $received < RESPONSE_HEADER_BYTES;

    my $reply = $ffi->cast('opaque', "string($received)", $buffer);
    my ($answered, $size, $error) = unpack(RESPONSE_HEADER, $reply);
    die "request $id: answer to $answered\n" if $answered != $id;
    die "request $id: $received bytes, its header says $size\n" if $size != $received;
    return (-$error, substr($reply, RESPONSE_HEADER_BYTES));
}

sub show ($name, @request) {
    my ($errno, $body) = ask(@request);
    printf qq({"name":"%s","errno":%d,"body":"%s"}\n), $name, $errno, unpack('H*', $body);
}

# A string in a fixed array of 256 bytes, and one with its NUL.
my $fixed = 'a256';
my $text = 'Z*';

show('get-fs-version', 1);
show('get-cluster-info', 2);
show('get-guest-list', 3);
show('set-status', 4, pack("$fixed a*", 'perl/test', "stored by perl\0"));
show('get-status', 5, pack("$fixed $fixed", 'perl/test', ''));
show('get-config', 6, pack($text, $path));
show('log-cluster-msg', 7, pack('C C C Z* Z* Z*', 6, length("perl") + 1, length("test") + 1,
    'perl', 'test', 'a message from perl'));
show('get-cluster-log', 8, pack("L L L L $text", 10, 0, 0, 0, ''));
show('get-rrd-dump', 10);
show('get-guest-config-property', 11, pack("L $text", $vmid, 'name'));
show('verify-token', 12, pack($text, $token));
show('verify-token-unknown', 12, pack($text, "$token-other"));
show('get-guest-config-properties', 13, pack("L C $text $text", $vmid, 2, 'name', 'memory'));
show('unknown-request', 9);

qb_ipcc_disconnect($connection);
