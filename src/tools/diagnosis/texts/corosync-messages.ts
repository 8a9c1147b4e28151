/**
 * Messages of corosync about packets that it drops, options that it refuses and resources that it
 * lacks, and its normal lines. Links and members: corosync.ts.
 */
import type { ErrorText } from "../error-text.ts";

/** The tag of corosync's subsystem, which begins a message; pmxcfs has a severity after its tag. */
export const COROSYNC_TAG =
  String.raw`\[(totem|knet|main|cfg|cmap|cpg|quorum|voteq|qb|sync|serv|wd|mon) *\] ` +
  "(?!(crit|notice|info|message|debug|warning|error): )";

/** A pattern: these words in a message, after the tag of a subsystem. */
function tagged(words: string): RegExp {
  return new RegExp(`${COROSYNC_TAG}(.{0,60}\\b)?(${words})`);
}

export const COROSYNC_MESSAGE_TEXTS: readonly ErrorText[] = [
  {
    id: "corosync-packets",
    title: "[TOTEM] Digest does not match / [KNET] Authentication failed / bad magic number",
    patterns: [
      tagged("digest|bad magic number|invalid packet data|received message (is too short|has)"),
      tagged("incorrect (signature|hash)|(authentication|decrypt\\w*|signature) (failed|error)"),
      tagged(
        "crypto(graphic)?\\b.*(fail|error|wrong|unable|not|invalid|missing|unsupported|reconfigur)",
      ),
      tagged("message .*(too (short|long)|expected length)|(is )?(corrupted|exceeds the maximum)"),
      tagged("discarding (join|leave) message|discarded unknown message|newer protocol"),
      tagged("cannot get \\w+ crypto|pk11_\\w+|evp_\\w+|cipher|hmac"),
      tagged(
        "(nss|openssl|gcrypt)\\w*:? .*(fail|error|wrong|unable|unsupported|invalid|incorrect)",
      ),
      tagged("(on-?wire|packet|protocol) version.*(lower|higher|not supported|reject|unsupported)"),
      tagged("packet rejected from|message received from .*ignoring|received too big message"),
      tagged("unsupported (version|message)|incompatible|knet_handle_crypto\\w* .*failed"),
      /different crypto type|packet has different (crypto|key|hash)/,
    ],
    meaning:
      "corosync drops packets that it cannot decrypt or decode: the sender has another key, " +
      "other crypto options or another version of corosync, or belongs to another cluster on the " +
      "same network. A node whose packets are dropped does not become a member.",
    causes: [
      {
        text:
          "The nodes have different keys or copies of corosync.conf: both must be the same on " +
          "all nodes. Copy them from a node that works, then `systemctl restart corosync` here.",
        check: "`sha256sum /etc/corosync/authkey /etc/corosync/corosync.conf` on all nodes",
      },
      {
        text:
          "A host that is not a member sends packets here: a removed node, a second cluster, a " +
          "scanner.",
        check: "the address in the line is not in the nodelist of corosync.conf",
        signs: /rejected from|magic|too big|attack|ignoring/,
      },
      {
        text: "Nodes of different versions: upgrade corosync and libknet1 on all of them.",
        check: "`dpkg -l corosync libknet1t64 libknet1` on all nodes",
        signs: /version|incompatible|unsupported/,
      },
    ],
  },
  {
    id: "corosync-conf",
    title: "corosync.conf: cannot be used, or differs between nodes",
    patterns: [
      /parse error in config|error parsing config|corosync\.conf: .*(error|invalid|line \d+)/,
      tagged("unknown (value|option|keyword|key|section)|invalid (value|option|key|name|link)"),
      tagged(
        "missing (closing|\\w+ (option|value|key|in))|(must|should) be (set|between|a|at|\\w+)",
      ),
      tagged("no (valid name|multicast|interface|nodelist|ring|link|bindnetaddr|local node)"),
      tagged("(value|option|parameter|key) .*(is not|not a|out of range|invalid|deprecated)"),
      tagged("transport is deprecated|(can't|cannot|can not) (have|use|mix|be) .*"),
      tagged("(nodeid|link ?number|ring\\d_addr|crypto_\\w+|token|knet_\\w+) .*(must|invalid|not)"),
      tagged("(open|read|find) (config|authkey|/etc/corosync)|no (config|key) file"),
      tagged("(can't|cannot|could not|unable to) (open|read|stat) .*/etc/corosync"),
      tagged("could not open /etc/corosync|local node \\w* ?(not|is not)|no node with"),
      tagged("crypto_\\w+ requires|knet_transport|link_mode|appears twice|only parse version 2"),
      tagged("obsoleted|ip_version|subsection|line too long|extra characters"),
      tagged("logfile (name|priority)"),
      tagged("(priority|facility|level) specified|configuration is not valid|bound to localhost"),
      tagged("error looking up|configure new interface|require enabled encryption|crypto_model"),
      tagged("requires (that )?an? (explicit )?node ?id|please fix your corosync\\.conf"),
      tagged(
        "(is|are) (the )?(only )?allowed|section|system\\.\\w+|bindnetaddr|will fail to start",
      ),
      tagged("requires that a node ?id|unable to reload config|config reload .*(fail|error)"),
      /corosync config '|config_version in corosync|nodeid \d+ not in nodelist/,
      /corosync-cfgtool -r failed|invalid corosync config|unable to read corosync config/,
      /unable to read authkey/,
      tagged("file open failed|icmap_\\w+ .*(fail|error)|exiting with status (8|18|20)"),
      /(unable to|can't|cant) (parse|read|write|open) cluster config/,
      /local corosync\.conf is newer/,
      /local node (address )?not found|failed to parse node address|no interfaces defined/,
      /nodelist.*(two|same) nodeid|duplicate nodeid/,
      /corosync\.conf.*(not|cannot|failed|invalid|differs|missing|read-only)/,
      /quorum provider: .*failed|expected_votes must be|configuration error: /,
      /totemip_parse|\[totem *\].*not resolvable/,
      /unable to import corosync\.conf|invalid corosync\.conf|existing corosync\.conf/,
      /new config has different|internal value was not changed|config_version must/,
      /config version .*(different|lower|mismatch)|received config version/,
    ],
    meaning:
      "corosync cannot use its configuration, or this node's copy differs. " +
      "/etc/pve/corosync.conf is the cluster's configuration, /etc/corosync/corosync.conf this " +
      "node's copy of it. A corosync with a lower config_version than the others ends each time " +
      "it is started.",
    causes: [
      {
        text: "This node's copy has a lower config_version: compare both files on all nodes.",
        check: "`grep config_version /etc/pve/corosync.conf /etc/corosync/corosync.conf`",
      },
      {
        text:
          "The option that the line names is wrong. With quorum, correct it in " +
          "/etc/pve/corosync.conf and raise config_version; without quorum, copy " +
          "/etc/corosync/corosync.conf from a node that works.",
        check: "`corosync -t` checks the file and prints the error; `journalctl -u corosync -n 30`",
        signs: /parse error|unknown|invalid|must|should|missing|can't|cannot|no \w+ |option|value/,
      },
      {
        text: "/etc/corosync/authkey is missing: copy it from another node, mode 0400.",
        check: "`ls -l /etc/corosync`",
        signs: /authkey|key file/,
      },
      {
        text:
          "This is a warning, and corosync goes on running. Change the option at the next " +
          "maintenance.",
        check: "`systemctl status corosync` says active",
        signs: /deprecated|warning/,
      },
      {
        code: "NAME_UNRESOLVED",
        check: "an address in corosync.conf is a name that does not resolve",
      },
    ],
  },
  {
    id: "corosync-resources",
    title: "corosync: not enough memory / cannot set up a socket, thread or priority",
    patterns: [
      tagged("(not enough|out of|no) memory|(memory|malloc|calloc|allocat\\w*)\\b.*fail"),
      tagged("(fail\\w*|unable|cannot|could not|can't) .*(allocat|memory|mlock|lock)"),
      tagged(
        "(set|get)sockopt|(set|get)rlimit|(fail\\w*|unable) .*(socket|thread|pipe|epoll|poll)",
      ),
      tagged("(socket|thread|epoll|pipe|timerfd|bind|eventfd)\\w*\\b.*(fail|error|denied)"),
      tagged("another corosync instance|acquire lock|new ring id .* to stable storage"),
      tagged("(scheduler|thread|process|traffic) priority|(recv|send)buf size|default services"),
      tagged("can't initialize|(could not|unable to) (start|set) (priority|ip_tos|tracking)"),
      tagged("could not set sched_\\w+|close-on-exec|chdir to state directory|lock file"),
      tagged("sched_(set|get)\\w+|(real ?time|rr) (priority|scheduling)|cgroup.*(fail|error)"),
      tagged("(no space left|too many open files|cannot allocate)"),
      tagged(
        "(couldn't|could not|failed to|unable to|can't) (create|open|truncate|chmod|chown|bind)",
      ),
    ],
    meaning:
      "corosync did not get a resource of this host: memory, a socket, a thread, a file, or " +
      "real-time priority. It ends, or runs too late and loses packets.",
    causes: [
      {
        text:
          "The end of the line names the resource: a limit of its unit, /dev/shm, a missing " +
          "interface.",
        check: "`systemctl status corosync`, `df /dev/shm`, `ip -br address`",
      },
      { code: "MEMORY_LOW", check: "Out of memory: `free -m`", signs: /memory|alloc/ },
    ],
  },
  {
    id: "corosync-client",
    title: "[QB] / [IPC] of corosync: a client does not read its messages",
    patterns: [
      tagged(
        "event_send|denied connection|(client|connection).*(disconnect|slow|not ready|denied)",
      ),
      tagged("ipc (connection|credentials|client)|new_event_notification|job->poll"),
      tagged("dispatch\\w* .*(full|fail|block)|flow control"),
    ],
    meaning:
      "A program connected to corosync on this node (mostly pmxcfs) ended, or did not read what " +
      "corosync sent to it.",
    causes: [
      {
        text: "pmxcfs was stopped or restarted at that time, or hangs.",
        check: "`systemctl status pve-cluster`, `time stat /etc/pve/local`",
      },
    ],
  },
  {
    id: "corosync-normal",
    kind: "normal",
    title: "corosync: [KNET] link: Resetting MTU for link 0 because host 2 joined",
    patterns: [
      tagged(
        "(aru|install seq|recovery to|delivering|originated|position \\[|saving state|restoring)",
      ),
      tagged("(received|previous) ringid"),
      tagged("(token|join|heartbeat\\w*|network_delay\\w*) ?\\(|token warning"),
      tagged("commit token|initial orf token|messages in recovery|old ring|sequence id"),
      tagged("net mtu changed"),
      tagged("mcast(ed)? message|send threads|missed count|downcheck|old ring messages"),
      tagged("is disabled"),
      tagged("automatically recovered ring|pmtud completed"),
      tagged("resetting mtu|pmtud: (pmtud link|global data|starting|completed)"),
      tagged("(was|being) shut ?down by sysadmin|default onwire version|using quorum provider"),
      tagged("initializing (transport|transmit)|kronosnet crypto initialized"),
      tagged("(service engine|corosync (configuration|cluster closed|vote)).*(loaded|unloaded)"),
      tagged("corosync (cluster engine|built-in features|main process).*(start|ready|features)"),
      tagged("the network interface \\[.*is now up|adding new (udpu )?(member|host)|server name: "),
      tagged("removing (host|link|old)|adding (host|link)|configured link number|totem config"),
      tagged("please migrate|waiting for .*sync|sync (members|joined|left)|watchdog not enabled"),
      tagged("resource monitoring|no configured|interface .* configured"),
    ],
    meaning: "corosync writes these when it starts or stops, and when a node joins or leaves.",
    causes: [
      {
        text: "Normal operation.",
        check: "`journalctl -u corosync -p warning -n 30` shows warnings and errors, if any",
      },
    ],
  },
  {
    id: "corosync-authkey",
    title:
      "corosync: [MAIN] Could only read 64 bits of 1024 minimum bits from /etc/corosync/authkey",
    patterns: [tagged("could (not open|only read) .*authkey|\\d+ bits of \\d+ minimum bits")],
    meaning:
      "corosync reads its key from /etc/corosync/authkey and ends without it. All nodes of a " +
      "cluster have the same file.",
    causes: [
      {
        text:
          "The file is missing, empty or cut off (an interrupted join, a full disk). Copy it " +
          "from another node with its mode 0400, then `systemctl start corosync`.",
        check: "`ls -l /etc/corosync/authkey` here and on another node differ in size",
      },
    ],
  },
  {
    id: "corosync-own-link",
    title: "corosync: [MAIN] Node IP address 192.0.2.1 does not exist on this host",
    patterns: [
      tagged("node ip address .* does not exist|unable to bring up link|nodeid is required"),
      tagged("unable to (determine local node|load nodelist|find (local )?node)"),
    ],
    meaning:
      "corosync did not find this node in the nodelist of corosync.conf, or its address there is " +
      "on no interface of this machine.",
    causes: [
      {
        text: "The address of this node changed, or its interface was not up when corosync started.",
        check: "`ip -brief address` does not show the ring0_addr of this node's entry",
      },
      { code: "COROSYNC_CONF_DIFFERS", check: "`pmxcfs-ipc --check --only cluster`" },
    ],
  },
  {
    id: "corosync-ring-id",
    title: "corosync: [MAIN] Failed to load ring id file",
    patterns: [tagged("(load|read|write|create|open).{0,20}(ring id file|ringid_)")],
    meaning:
      "corosync keeps the number of its last membership in /var/lib/corosync/ringid_NODEID, and " +
      "ends when it cannot read or write it.",
    causes: [
      {
        text: "The disk is full or read-only, or the file is damaged.",
        check: "`df -h /var/lib/corosync`, `ls -l /var/lib/corosync`",
      },
    ],
  },
  {
    id: "corosync-detail",
    kind: "normal",
    title: "corosync: [KNET] common: crypto_nss.so has been loaded",
    patterns: [
      tagged("\\w+\\.so has been loaded|waiting_trans_ack|sending (nodelist|quorum) callback"),
      tagged("last man standing (enabled|disabled)"),
    ],
    meaning: "corosync writes these when it starts, or with its debug messages on.",
    causes: [
      {
        text: "Normal operation.",
        check: "`journalctl -u corosync -p warning -n 30` shows whether there is more",
      },
    ],
  },
];
