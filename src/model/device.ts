/** A device node of the host: what `--device` names, resolved. */
export type DeviceNode = {
  /** Where the container sees it. */
  readonly path: string;
  readonly type: 'b' | 'c';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** `rwm`, or fewer. */
  readonly permissions: string;
};
