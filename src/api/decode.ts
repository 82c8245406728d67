import { invalid } from '../model/errors.ts';

/**
 * JSON into typed values as Go's encoding/json does it: keys in any case, unknown keys ignored, null and absent the zero
 * value, and a value of the wrong type refused with the Go type's name, which clients have seen for ten years.
 */
export type Decoder<T> = {
  /** The Go type's name, as messages have it. */
  readonly go: string;
  /** What an absent or null value becomes. */
  readonly zero: T;
  /** `struct` and `path` say where the value stands: both '' at the top. */
  read(value: unknown, struct: string, path: string): T;
};

export type Decoded<D> = D extends Decoder<infer T> ? T : never;

export const decode = <T>(decoder: Decoder<T>, value: unknown): T => (value === null || value === undefined ? decoder.zero : decoder.read(value, '', ''));

export const string: Decoder<string> = {
  go: 'string',
  zero: '',
  read: (value, struct, path) => (typeof value === 'string' ? value : mismatch(value, string.go, struct, path)),
};

export const boolean: Decoder<boolean> = {
  go: 'bool',
  zero: false,
  read: (value, struct, path) => (typeof value === 'boolean' ? value : mismatch(value, boolean.go, struct, path)),
};

export const integer = (go: 'int' | 'int64' | 'uint' | 'uint16' | 'uint64' | 'uint32'): Decoder<number> => {
  const [least, most] = LIMITS[go];
  return {
    go,
    zero: 0,
    read(value, struct, path) {
      if (typeof value !== 'number') return mismatch(value, go, struct, path);
      if (!Number.isInteger(value) || value < least || value > most) return mismatch(value, go, struct, path, `number ${value}`);
      return value;
    },
  };
};

const LIMITS = {
  int: [-(2 ** 63), 2 ** 63],
  int64: [-(2 ** 63), 2 ** 63],
  uint: [0, 2 ** 64],
  uint16: [0, 65535],
  uint32: [0, 2 ** 32 - 1],
  uint64: [0, 2 ** 64],
} as const;

/** A pointer: null stays null. */
export const optional = <T>(inner: Decoder<T>): Decoder<T | null> => ({ go: inner.go, zero: null, read: inner.read });

/** A slice: null (absent) and [] are told apart, as they are when shown again. */
export const list = <T>(item: Decoder<T>, go = `[]${item.go}`): Decoder<readonly T[] | null> => ({
  go,
  zero: null,
  read(value, struct, path) {
    if (!Array.isArray(value)) return mismatch(value, go, struct, path);
    return value.map((each: unknown) => (each === null ? item.zero : item.read(each, struct, path)));
  },
});

export const map = <T>(item: Decoder<T>, go = `map[string]${item.go}`): Decoder<Readonly<Record<string, T>> | null> => ({
  go,
  zero: null,
  read(value, struct, path) {
    if (!isObject(value)) return mismatch(value, go, struct, path);
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, each === null ? item.zero : item.read(each, struct, path)]));
  },
});

/** `["a", "b"]` or `"a"`. */
export const stringOrList: Decoder<readonly string[] | null> = {
  go: 'strslice.StrSlice',
  zero: null,
  read(value, struct, path) {
    if (typeof value === 'string') return [value];
    if (Array.isArray(value) && value.every((each) => typeof each === 'string' || each === null)) return value.map((each: string | null) => each ?? '');
    return mismatch(value, 'string', struct, path);
  },
};

/** `[height, width]`: a Go array ignores what is beyond its length. */
export const size: Decoder<readonly [number, number]> = {
  go: '[2]uint',
  zero: [0, 0],
  read(value, struct, path) {
    if (!Array.isArray(value)) return mismatch(value, '[2]uint', struct, path);
    const [height = 0, width = 0] = value.map((each: unknown) => integer('uint').read(each ?? 0, struct, path));
    return [height, width];
  },
};

type Fields = Readonly<Record<string, Decoder<unknown>>>;
type StructOf<F extends Fields> = { readonly [K in keyof F]: Decoded<F[K]> };

/**
 * A struct. `embedded` names the Go structs that fields come from when they are not its own: `Resources` for `Memory`
 * makes a wrong one `HostConfig.Resources.Memory`.
 */
export const struct = <F extends Fields>(go: string, fields: F, embedded: Readonly<Record<string, Fields>> = {}): Decoder<StructOf<F>> => {
  const name = go.slice(go.lastIndexOf('.') + 1);
  const zero = Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.zero]));
  const prefixes = new Map(Object.entries(embedded).flatMap(([prefix, own]) => Object.keys(own).map((key) => [key, `${prefix}.`])));
  const known = new Map(Object.keys(fields).flatMap((key) => [[key, key], [key.toLowerCase(), key]]));
  return {
    go,
    zero: zero as StructOf<F>,
    read(value, outer, path) {
      if (!isObject(value)) return mismatch(value, go, outer, path);
      const result: Record<string, unknown> = { ...zero };
      for (const [written, each] of Object.entries(value)) {
        const key = known.get(written) ?? known.get(written.toLowerCase());
        const field = key === undefined ? undefined : fields[key];
        if (key === undefined || field === undefined || each === null) continue;
        result[key] = field.read(each, name, `${path === '' ? '' : `${path}.`}${prefixes.get(key) ?? ''}${key}`);
      }
      return result as StructOf<F>;
    },
  };
};

/** Whether any of these fields is there, null or not. */
export const mentions = (value: unknown, fields: Fields): boolean => {
  if (!isObject(value)) return false;
  const names = new Set(Object.keys(fields).map((key) => key.toLowerCase()));
  return Object.keys(value).some((key) => names.has(key.toLowerCase()));
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);

const mismatch = (value: unknown, go: string, struct: string, path: string, what = kindOf(value)): never => {
  const place = struct === '' ? 'Go value' : `Go struct field ${struct}.${path}`;
  throw invalid(`invalid JSON: json: cannot unmarshal ${what} into ${place} of type ${go}`);
};

const kindOf = (value: unknown): string => {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
};
