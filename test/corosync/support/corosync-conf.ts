/**
 * A corosync.conf for a test cluster: timeouts that are short, but long enough for a busy host, and
 * no measuring of the MTU, in which knet takes an answer that is late for a packet that is lost.
 */

/** The line of the MTU: that of a test's interfaces. */
export const FIXED_MTU = "knet_mtu: 1500";

/** For nodes 1 to `count`, named n1, n2, ... */
export function corosyncConf(
  count: number,
  addressOf: (id: number) => string,
  version: number,
): string {
  const nodes = Array.from({ length: count }, (_, index) => {
    const id = index + 1;
    return `  node {
    name: n${id}
    nodeid: ${id}
    quorum_votes: 1
    ring0_addr: ${addressOf(id)}
  }
`;
  });
  return `totem {
  version: 2
  cluster_name: test
  config_version: ${version}
  transport: knet
  crypto_cipher: none
  crypto_hash: none
  token: 1000
  token_coefficient: 0
  consensus: 1200
  join: 50
  ${FIXED_MTU}
  interface {
    linknumber: 0
    knet_ping_interval: 100
    knet_ping_timeout: 500
    knet_pong_count: 1
  }
}
system {
  sched_rr: no
  move_to_root_cgroup: no
  allow_knet_handle_fallback: yes
}
logging {
  to_stderr: yes
  to_syslog: no
  to_logfile: no
  timestamp: hires
}
quorum {
  provider: corosync_votequorum
}
nodelist {
${nodes.join("")}}
`;
}
