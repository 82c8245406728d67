/** A volume of driver `local`: a directory under DATA_ROOT/volumes/NAME/_data that outlives its containers. */
export type Volume = {
  readonly name: string;
  /** RFC 3339, whole seconds. */
  readonly created: string;
  readonly driver: 'local';
  readonly mountpoint: string;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly options: Readonly<Record<string, string>> | undefined;
  /** Made for one container without a name of its own: removed with it by `rm -v` and `--rm`. */
  readonly anonymous: boolean;
};

export type Propagation = '' | 'private' | 'rprivate' | 'shared' | 'rshared' | 'slave' | 'rslave';

/** One entry of a container's mounts, resolved: what is mounted where. */
export type MountPoint = {
  readonly type: 'bind' | 'volume' | 'tmpfs';
  /** Volume name; '' for binds and tmpfs. */
  readonly name: string;
  /** Host path; '' for tmpfs. */
  readonly source: string;
  readonly destination: string;
  readonly driver: string;
  /** The client's own mode words, shown again by inspect: '', 'ro', 'z'... */
  readonly mode: string;
  readonly readonly: boolean;
  readonly propagation: Propagation;
  /** Copy what the image has at the destination into an empty volume. */
  readonly copyUp: boolean;
  /** tmpfs: mount options such as `size=64k`. */
  readonly options: readonly string[];
  /** A volume's directory to mount instead of all of it; '' for all. */
  readonly subpath: string;
  /** A bind whose source is made at start when it is not there. */
  readonly createSource: boolean;
  /** Leave out what is mounted below a bind's source. */
  readonly nonRecursive: boolean;
  /** Its volume got its name from the engine for this mount, or for the one it was copied from: `rm -v` takes it along. */
  readonly anonymous: boolean;
  /** Where the request has it: Binds, Tmpfs (inspect does not show these), Mounts, Volumes (the image's too), VolumesFrom. */
  readonly asked: 'bind' | 'tmpfs' | 'mount' | 'image' | 'from';
};
