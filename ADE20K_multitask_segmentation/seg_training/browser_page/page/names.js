// From the words that a person types to classes of the network.

/** Leave out case, the underscores of files' names, and how accents are written in Unicode. */
export function plain(words) {
  return words.normalize("NFC").trim().toLowerCase().replaceAll("_", " ");
}

/** List the classes whose name or synonym contains the words; all of them for no words. */
export function matching(words, model) {
  const asked = plain(words);
  return model.classes.filter((each) => each.words.some((word) => word.includes(asked)));
}

/**
 * Find the one class that is called so, or whose name or synonym contains the words; or every one for
 * "all"; otherwise give a message that suggests close words.
 */
export function find(words, model) {
  const asked = plain(words);
  const named = model.classes.filter((each) => plain(each.name) === asked);
  const found = named.length ? named : model.classes.filter((each) => each.words.includes(asked));
  if (found.length === 1) return { found: found[0] };
  if (!found.length && asked === "all") return { every: true };
  const begun = matching(words, model);
  if (!found.length && begun.length === 1) return { found: begun[0] };
  if (found.length) {
    const meant = found.map((each) => `“${each.name}”`).join(" or ");
    return { message: `“${words}” is ambiguous: ask for ${meant}.` };
  }
  const close = model.classes
    .flatMap((each) => each.words)
    .map((word) => ({ word, distance: distance(asked, word) }))
    .filter(({ word, distance }) => distance <= Math.max(word.length, asked.length) * 0.4)
    .sort((one, other) => one.distance - other.distance)
    .slice(0, 3)
    .map(({ word }) => `“${word}”`);
  const hint = close.length ? ` Did you mean ${close.join(" or ")}?` : "";
  return { message: `This network knows no class “${words}”.${hint}` };
}

/** Count the letters to insert, delete or replace, and the neighbours to exchange. */
function distance(one, other) {
  const rows = [Array.from({ length: other.length + 1 }, (_, place) => place)];
  for (let i = 1; i <= one.length; i++) {
    const next = [i], row = rows[i - 1];
    for (let j = 1; j <= other.length; j++) {
      const replaced = row[j - 1] + (one[i - 1] === other[j - 1] ? 0 : 1);
      const exchanged = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]
        ? rows[i - 2][j - 2] + 1 : Infinity;
      next.push(Math.min(replaced, exchanged, row[j] + 1, next[j - 1] + 1));
    }
    rows.push(next);
  }
  return rows[one.length][other.length];
}
