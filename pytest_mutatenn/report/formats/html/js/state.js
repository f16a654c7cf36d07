// What is shown, as it stands behind the # of the address: a link to it can be sent.

const state = {
  get now() {
    return new URLSearchParams(location.hash.slice(1));
  },
  get view() {
    if (this.now.get("mutant")) return "mutant";
    return this.now.get("view") ?? "overview";
  },
};

// the address with some of it changed; null takes out
function address(changes, from) {
  const found = new URLSearchParams(from ?? state.now);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === "" || value === undefined) found.delete(key);
    else found.set(key, value);
  }
  return `#${found}`;
}

const fresh = (changes) => address(changes, "");

const go = (hash) => {
  location.hash = hash;
};

// without a step in the browser's history: while somebody types
function adjust(changes) {
  history.replaceState(null, "", address(changes));
}

// a mutant, `at` a cell; what filters the list stays, so that there is a way back to it
const mutantAddress = (row, changes) =>
  address({ view: "mutants", mutant: row.m.id, of: row.m.model, at: null, ...changes });

const LIST = { view: "mutants", mutant: null, of: null, at: null };
