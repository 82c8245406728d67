import path from 'node:path';
import { moveAside, removeTree } from './remove-tree.ts';
import { isMountPoint, unmountAside } from './syscalls.ts';

/** What is mounted in a directory of ours while someone uses it: at `leaf`, by `perform`. */
export type PlaceMount = { readonly leaf: string; readonly perform: () => void | Promise<void> };

type Place = {
  directory: string;
  readonly users: Set<string>;
  leaf: string | undefined;
  /** Removed under its name; goes for good with its last user. */
  doomed: boolean;
  /** To be removed when nobody looks any more. */
  readonly remains: string[];
  /** The mounting or unmounting that is going on. */
  turn: Promise<void> | undefined;
};

export type Places = ReturnType<typeof createPlaces>;

/**
 * Directories that several may use at a time: containers that share a volume, archives that look into a container while
 * it stops, starts or is removed. What is mounted in one is mounted for the first and unmounted after the last, and
 * its removal gives its name free at once but keeps what is in it for those who still read.
 */
export const createPlaces = ({ trash }: { readonly trash: string }) => {
  const places = new Map<string, Place>();

  const placeOf = (directory: string): Place => {
    const known = places.get(directory);
    if (known) return known;
    const made: Place = { directory, users: new Set(), leaf: undefined, doomed: false, remains: [], turn: undefined };
    places.set(directory, made);
    return made;
  };

  const inTurn = (place: Place, work: () => Promise<void>): Promise<void> => {
    const mine = (place.turn ?? Promise.resolve()).then(work, work);
    const over = mine.then(() => {}, () => {}).then(() => {
      if (place.turn === over) place.turn = undefined;
    });
    place.turn = over;
    return mine;
  };

  const raise = (place: Place, { leaf, perform }: PlaceMount): void | Promise<void> => {
    if (place.leaf !== undefined) return;
    if (place.doomed) throw Object.assign(new Error(`ENOENT: ${place.directory} is removed`), { code: 'ENOENT' });
    // An earlier daemon may have left it there: a second one would come to lie on the first.
    const done = isMountPoint(path.join(place.directory, leaf)) ? undefined : perform();
    if (!done) {
      place.leaf = leaf;
      return;
    }
    return done.then(() => {
      place.leaf = leaf;
    });
  };

  /** At once when nothing has to be waited for. */
  const enter = (place: Place, user: string, mount: PlaceMount | undefined): void | Promise<void> => {
    place.users.add(user);
    if (!mount) return;
    const failed = (error: unknown): never => {
      void leave(place, user);
      throw error;
    };
    if (place.turn) return inTurn(place, async () => raise(place, mount)).catch(failed);
    try {
      const done = raise(place, mount);
      return done && inTurn(place, () => done).catch(failed);
    } catch (error) {
      return failed(error);
    }
  };

  const leave = async (place: Place, user: string): Promise<void> => {
    place.users.delete(user);
    if (place.users.size > 0) return;
    await inTurn(place, () => clear(place));
  };

  const clear = async (place: Place): Promise<void> => {
    if (place.users.size > 0) return;
    if (place.leaf !== undefined) {
      await unmountAside(path.join(place.directory, place.leaf));
      place.leaf = undefined;
    }
    // Someone came meanwhile, and waits for the turn.
    if (place.users.size > 0) return;
    if (places.get(place.directory) === place) places.delete(place.directory);
    for (const directory of [...place.remains.splice(0), ...(place.doomed ? [place.directory] : [])]) await removeTree(directory);
  };

  let visits = 0;

  return {
    take: (directory: string, user: string, mount: PlaceMount): void | Promise<void> => enter(placeOf(directory), user, mount),

    /** False: nobody has used it since this daemon began. */
    leave(directory: string, user: string): Promise<void> | false {
      const place = places.get(directory);
      return place ? leave(place, user) : false;
    },

    /** Keeps what is in these directories, and mounts what belongs there, until the function it resolves to is called. */
    async visit(wishes: readonly { readonly directory: string; readonly mount: PlaceMount | undefined }[]): Promise<() => Promise<void>> {
      visits += 1;
      const user = `visit ${visits}`;
      const entered: Place[] = [];
      const end = async (): Promise<void> => {
        for (const result of await Promise.allSettled(entered.map((place) => leave(place, user)))) if (result.status === 'rejected') throw result.reason;
      };
      try {
        // All are taken before any is waited for.
        const work = wishes.map(async ({ directory, mount }) => {
          const place = placeOf(directory);
          entered.push(place);
          await enter(place, user, mount);
        });
        for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason;
      } catch (error) {
        await end();
        throw error;
      }
      return end;
    },

    /** Frees the name at once. What is in it goes now, or with the last who looks. */
    async remove(directory: string): Promise<void> {
      const place = places.get(directory);
      // By its old name nothing could be unmounted any more.
      while (place?.turn) await place.turn;
      const aside = moveAside(directory, trash);
      if (!place) {
        if (aside !== undefined) await removeTree(aside);
        return;
      }
      places.delete(directory);
      if (aside === undefined) return;
      place.directory = aside;
      place.doomed = true;
      if (place.users.size === 0) await inTurn(place, () => clear(place));
    },

    /** Removes what was taken out of a directory, once nobody reads there who may have come before. */
    async removeFrom(directory: string, taken: string): Promise<void> {
      const place = places.get(directory);
      if (place && place.users.size > 0) place.remains.push(taken);
      else await removeTree(taken);
    },

    /** Nothing is being mounted or unmounted there any more. */
    async settled(directory: string): Promise<void> {
      for (let place = places.get(directory); place?.turn; place = places.get(directory)) await place.turn;
    },

    /** Its name changes. Who uses it does not notice. */
    renamed(from: string, to: string): void {
      const place = places.get(from);
      if (!place) return;
      places.delete(from);
      place.directory = to;
      places.set(to, place);
    },
  };
};
