// The page: its head, the view that the address names, and the keys.

const VIEWS = {
  overview: ["Overview", overview],
  mutants: ["Mutants", (index) => list.view(index)],
  divergent: ["Divergent", divergentView],
  cells: ["Cells", cellsView],
  run: ["Run", runView],
};

const index = indexed(read(document.getElementById("data")));

const KEYS = [
  ["/", "search"],
  ["j, k", "next, previous mutant of the list"],
  ["Enter", "open it"],
  ["n, p", "next, previous mutant"],
  ["Esc", "back to the list"],
  ["?", "these keys"],
];
const help = h(
  "dialog",
  { class: "help", "aria-label": "keys" },
  h("h2", null, "Keys"),
  facts(KEYS.map(([key, says]) => [h("kbd", null, key), says])),
  h("form", { method: "dialog" }, h("button", null, "Close")),
);

const THEMES = ["auto", "light", "dark"];
const theme = h("button", {
  type: "button",
  class: "theme",
  onclick: () => setTheme(THEMES[(THEMES.indexOf(theme.dataset.theme) + 1) % THEMES.length]),
});

const system = matchMedia("(prefers-color-scheme: dark)");

function setTheme(name) {
  const shown = name === "auto" ? (system.matches ? "dark" : "light") : name;
  document.documentElement.dataset.theme = shown;
  theme.dataset.theme = name;
  theme.textContent = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" }[name];
  theme.setAttribute("aria-label", `colours: ${name}`);
  try {
    localStorage.setItem("mutatenn-theme", name);
  } catch {
    // a browser may keep nothing for files; then it is for this time
  }
}

function keptTheme() {
  try {
    const kept = localStorage.getItem("mutatenn-theme");
    return THEMES.includes(kept) ? kept : "auto";
  } catch {
    return "auto";
  }
}

function head() {
  const { record } = index;
  const names = record.models.map((model) => model.id).join(", ");
  const counts = { mutants: record.mutants.length, divergent: record.divergent.length };
  const now = state.view === "mutant" ? "mutants" : state.view;
  replace(
    document.getElementById("top"),
    h(
      "div",
      { class: "title" },
      h("p", null, "Mutation report"),
      h("h1", null, h("a", { href: fresh({ view: "overview" }) }, names || "no network")),
    ),
    h(
      "nav",
      { class: "views", "aria-label": "views" },
      Object.entries(VIEWS).map(([name, [title]]) =>
        h(
          "a",
          {
            href: name === "mutants" ? address({ ...LIST, page: null }) : fresh({ view: name }),
            "aria-current": name === now ? "page" : null,
          },
          title,
          counts[name] ? h("span", { class: "count" }, whole(counts[name])) : null,
        ),
      ),
    ),
    h(
      "div",
      { class: "tools" },
      theme,
      h(
        "button",
        { type: "button", title: "keys", "aria-label": "keys", onclick: () => help.showModal() },
        "?",
      ),
    ),
  );
}

let shown = null; // the address without what changes nothing but a part

function show() {
  const main = document.getElementById("main");
  const { view } = state;
  const made = view === "mutant" ? mutantView(index) : (VIEWS[view] ?? VIEWS.overview)[1](index);
  head();
  main.className = `view-${view}`;
  replace(main, made);
  const place = `${view} ${state.now.get("mutant") ?? ""}`;
  if (shown !== null && shown !== place) scrollTo(0, 0);
  shown = place;
}

function pressed(event) {
  const typing = event.target.closest?.("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else if (state.view === "mutant") document.querySelector("a.back")?.click();
    return;
  }
  if (typing) return;
  const on = {
    "/": () => {
      if (state.view !== "mutants") {
        go(address(LIST));
        show();
      }
      document.querySelector(".filters input")?.focus();
    },
    "?": () => help.showModal(),
    j: () => list.results?.isConnected && list.move(1),
    k: () => list.results?.isConnected && list.move(-1),
    n: () => document.querySelector('[data-key="next"]')?.click(),
    p: () => document.querySelector('[data-key="previous"]')?.click(),
  }[event.key];
  if (on) {
    event.preventDefault();
    on();
  }
}

document.body.append(help);
setTheme(keptTheme());
system.addEventListener("change", () => setTheme(theme.dataset.theme));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // what stands behind the # is ours
  document.getElementById("main").focus();
});
addEventListener("hashchange", show);
addEventListener("keydown", pressed);
show();
