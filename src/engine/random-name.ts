/** Moods of people at work, and people whose work made machines like this possible. */
const ADJECTIVES = (
  'able agile alert amiable ardent artful avid blithe bold brave breezy bright brisk buoyant calm candid careful cheerful chipper clever ' +
  'composed cordial cosmic courteous crafty curious dapper daring dazzling deft diligent dreamy eager earnest easygoing ebullient ' +
  'elated eloquent exact fair faithful fearless fervent festive fluent fond frank friendly frugal gallant generous gentle gifted ' +
  'glad graceful gracious handy happy hardy hearty heedful honest hopeful humble idyllic inventive jaunty jolly jovial keen kind ' +
  'lively lucid lucky mellow merry mindful modest musing neat nimble noble patient placid playful plucky polite prudent quick ' +
  'quiet radiant ready resolute rested sage serene sharp sincere spirited steady sunny tender thrifty tidy tranquil trusty ' +
  'upbeat vivid warm watchful wily witty zealous zesty'
).split(' ');

const SURNAMES = (
  'abbe abel aiken allen amdahl ampere archimedes atanasoff babbage backus bardeen bartik baudot bell berners bernoulli bessemer bohr ' +
  'boole booth borg bose brattain braun brunel burnell bush cantor cerf chandrasekhar church clarke cocke codd conway cray curie ' +
  'davies diffie dijkstra diophantus eckert edison engelbart erlang ericsson euclid euler faraday feinler fermat feynman flowers ' +
  'floyd fourier franklin galois gauss germain godel goldstine granville hamilton hamming hedy hellman hertz hoare hoff hollerith ' +
  'holberton hopper huffman hypatia jacquard joy kahn karp kay kemeny kilby kleene kleinrock knuth kurtz lamarr lamport ' +
  'laplace leibniz licklider liskov lovelace markov mauchly maxwell mccarthy meitner metcalfe milner minsky moore morse ' +
  'naur newell noether nyquist pascal perlis perlman postel ritchie rivest sammet shamir shannon shockley simon stallman ' +
  'steinmetz stevens sutherland tarjan tesla thompson torvalds turing volta watt wiener wilkes wilkinson wirth wozniak zuse'
).split(' ');

/** Names tried without a number before numbers are. */
const PLAIN_TRIES = 3;

/** A name nobody has: `adjective_surname`; where those tried are taken, with a number that counts up. `dice(n)` gives 0 to n-1. */
export const randomName = (dice: (choices: number) => number, isTaken: (name: string) => boolean): string => {
  for (let attempt = 0; ; attempt++) {
    const digits = attempt < PLAIN_TRIES ? '' : String(attempt - PLAIN_TRIES);
    const name = `${one(ADJECTIVES, dice)}_${one(SURNAMES, dice)}${digits}`;
    if (!isTaken(name)) return name;
  }
};

const one = (words: readonly string[], dice: (choices: number) => number): string => words[dice(words.length)] ?? '';
