/** ` (did you mean X?)` when a word is nearly one of these, or nothing. */
export const suggestion = (word: string, known: readonly string[], show = (name: string): string => name): string => {
  const [best] = known.map((name) => ({ name, distance: distance(word.toLowerCase(), name) })).sort((a, b) => a.distance - b.distance);
  return best && best.distance > 0 && best.distance < TOO_FAR ? ` (did you mean ${show(best.name)}?)` : '';
};

const TOO_FAR = 3;

/** How many letters have to be put in, taken out or changed to make one word of the other. */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length] ?? 0;
};
