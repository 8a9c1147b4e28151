/** Files that `bun build --compile` embeds: the import is a path. */
declare module "*.so" {
  const path: string;
  export default path;
}

declare module "*.elf" {
  const path: string;
  export default path;
}
