/** Does one thing that a daemon killed at that moment leaves done, undone or half done. Tests are told of each (see fault.ts). */
export type Step = <T>(name: string, work: () => T) => T;

export const plainly: Step = (_name, work) => work();
