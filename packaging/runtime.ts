/**
 * Bun, all of which is inside the program, and the libraries inside Bun. Only their versions can be
 * read from the program (process.versions); names and licenses are those of Bun's own list
 * (LICENSE.md of github.com/oven-sh/bun), kept here by hand. A test fails if Bun names a library
 * that is missing here.
 */
import { BuildFailure } from "../build.ts";
import { type Locked, lockedAt } from "./lockfile.ts";

/** Keys of process.versions that are interfaces, compatibility versions or our own tools. */
export const NOT_LIBRARIES: ReadonlySet<string> = new Set(
  "bun node modules napi unicode v8 typescript openssl uv".split(" "),
);

export interface RuntimeLibrary {
  readonly name: string;
  /** An SPDX expression, or `several`. */
  readonly license: string;
  readonly url: string;
  /** The version that Bun reports, undefined if it reports none. */
  readonly version: string | undefined;
}

type Row = readonly [name: string, license: string, url: string, key?: string];

const GITHUB = "https://github.com/";

/** The libraries linked into Bun; `key` is their key in process.versions. */
const LINKED: readonly Row[] = [
  ["WebKit (JavaScriptCore)", "LGPL-2.0-or-later", `${GITHUB}oven-sh/WebKit`, "webkit"],
  ["boringssl", "several", "https://boringssl.googlesource.com/boringssl/", "boringssl"],
  ["brotli", "MIT", `${GITHUB}google/brotli`],
  ["c-ares", "MIT", `${GITHUB}c-ares/c-ares`, "ares"],
  ["highway", "Apache-2.0", `${GITHUB}google/highway`],
  ["icu", "Unicode-3.0", `${GITHUB}unicode-org/icu`, "icu"],
  ["libarchive", "several", `${GITHUB}libarchive/libarchive`, "libarchive"],
  ["libbase64", "BSD-2-Clause", `${GITHUB}aklomp/base64`],
  [
    "libc++abi (__cxa_thread_atexit)",
    "Apache-2.0 WITH LLVM-exception",
    `${GITHUB}llvm/llvm-project`,
  ],
  ["libdeflate", "MIT", `${GITHUB}ebiggers/libdeflate`, "libdeflate"],
  ["libjpeg-turbo", "BSD-3-Clause AND IJG AND Zlib", `${GITHUB}libjpeg-turbo/libjpeg-turbo`],
  ["libspng", "BSD-2-Clause", `${GITHUB}randy408/libspng`],
  ["libwebp", "BSD-3-Clause", `${GITHUB}webmproject/libwebp`],
  ["llhttp", "MIT", `${GITHUB}nodejs/llhttp`, "llhttp"],
  ["lol-html", "BSD-3-Clause", `${GITHUB}cloudflare/lol-html`, "lolhtml"],
  ["ls-hpack", "MIT", `${GITHUB}litespeedtech/ls-hpack`, "lshpack"],
  ["ls-qpack", "MIT", `${GITHUB}litespeedtech/ls-qpack`],
  ["lsquic", "MIT AND BSD-3-Clause", `${GITHUB}litespeedtech/lsquic`],
  ["mimalloc", "MIT", `${GITHUB}microsoft/mimalloc`, "mimalloc"],
  ["picohttpparser", "MIT OR Artistic-1.0-Perl", `${GITHUB}h2o/picohttpparser`, "picohttpparser"],
  ["simdutf", "Apache-2.0", `${GITHUB}simdutf/simdutf`],
  ["sqlite", "blessing", "https://sqlite.org/", "sqlite"],
  ["tinycc", "LGPL-2.1-or-later", `${GITHUB}tinycc/tinycc`, "tinycc"],
  ["uSockets", "Apache-2.0", `${GITHUB}uNetworking/uSockets`, "usockets"],
  ["uWebSockets", "Apache-2.0", `${GITHUB}jarred-sumner/uwebsockets`, "uwebsockets"],
  ["uucode", "MIT", `${GITHUB}jacobsandlund/uucode`],
  ["zig standard library", "MIT", "https://ziglang.org/", "zig"],
  ["zlib", "Zlib", `${GITHUB}zlib-ng/zlib-ng`, "zlib"],
  ["zstd", "BSD-3-Clause OR GPL-2.0-only", `${GITHUB}facebook/zstd`, "zstd"],
];

/** npm packages that replace modules of Node.js; all have the MIT license. */
const POLYFILLS = [
  "acorn acorn-walk assert browserify-zlib buffer constants-browserify crypto-browserify",
  "domain-browser events https-browserify os-browserify path-browserify process punycode",
  "querystring-es3 stream-browserify stream-http string_decoder timers-browserify tty-browserify",
  "url util vm-browserify",
].flatMap((line) => line.split(" "));

/** The libraries linked into Bun or embedded in it. */
export function runtimeLibraries(): RuntimeLibrary[] {
  const versions: Readonly<Record<string, string | undefined>> = process.versions;
  const linked = LINKED.map(([name, license, url, key]) => {
    return { name, license, url, version: key === undefined ? undefined : versions[key] };
  });
  const polyfills = POLYFILLS.map((name) => {
    return {
      name,
      license: "MIT",
      url: `https://www.npmjs.com/package/${name}`,
      version: undefined,
    };
  });
  return [...linked, ...polyfills];
}

/** Keys of process.versions that belong to no library of this list. */
export function unknownLibraries(): string[] {
  const known = new Set(LINKED.map(([, , , key]) => key));
  return Object.keys(process.versions).filter((key) => !NOT_LIBRARIES.has(key) && !known.has(key));
}

/** The npm package of the runtime in a program for `architecture`, Debian's name. */
export function runtimePackage(architecture: string): Locked & { readonly name: string } {
  const name = `@oven/bun-linux-${architecture === "arm64" ? "aarch64" : "x64"}`;
  const locked = lockedAt(`node_modules/${name}`);
  if (locked.version !== Bun.version) {
    throw new BuildFailure(`this is Bun ${Bun.version}, package-lock.json has ${locked.version}`);
  }
  return { ...locked, name };
}
