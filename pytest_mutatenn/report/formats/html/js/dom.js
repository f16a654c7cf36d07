// Elements. Text is only ever set as text: nothing here reads markup.

function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "vars") {
      for (const [name, to] of Object.entries(value)) element.style.setProperty(`--${name}`, to);
    } else element.setAttribute(key, value === true ? "" : String(value));
  }
  put(element, children);
  return element;
}

function put(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) put(element, child);
    else if (child instanceof Node) element.append(child);
    else if (child !== null && child !== undefined && child !== false)
      element.append(String(child));
  }
}

function replace(element, ...children) {
  element.replaceChildren();
  put(element, children);
}

// a sentence in which `code` stands between backquotes
const withCode = (text) =>
  text.split("`").map((part, at) => (at % 2 ? h("code", null, part) : part));

function section(title, attributes, ...children) {
  const { note, ...rest } = attributes ?? {};
  return h(
    "section",
    rest,
    h("h2", null, title),
    note ? h("p", { class: "note" }, note) : null,
    ...children,
  );
}

// a table whose cells are texts or nodes; of a column marked with "#" the cells are numbers
// and at first `shown` of its rows
function table(heads, rows, attributes) {
  const shown = attributes?.shown ?? rows.length;
  const numeric = heads.map((head) => head.startsWith("#"));
  const kind = (at) => (numeric[at] ? "number" : null);
  const short = (cell) => (typeof cell === "string" && cell.length <= 24 ? "short" : null);
  const line = (row) =>
    h(
      "tr",
      null,
      row.map((cell, at) => h("td", { class: kind(at) ?? short(cell) }, cell)),
    );
  const made = (row) => (row instanceof Node ? row : line(row));
  const body = h("tbody", null, rows.slice(0, shown).map(made));
  const more = h(
    "button",
    {
      type: "button",
      class: "more",
      onclick: () => {
        body.append(...rows.slice(shown).map(made));
        more.remove();
      },
    },
    `Show ${rows.length - shown} more ${attributes?.noun ?? ""}`,
  );
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": attributes?.label ?? "table" },
    h(
      "table",
      { class: `plain ${attributes?.class ?? ""}` },
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          heads.map((head, at) =>
            h("th", { scope: "col", class: kind(at) }, head.replace("#", "")),
          ),
        ),
      ),
      body,
    ),
    rows.length > shown ? more : null,
  );
}

// a list of terms, without those of which nothing is known
function facts(pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([term, value]) => h("div", null, h("dt", null, term), h("dd", null, value))),
  );
}

// at first so many, and a button for the others
function folded(items, shown, make, noun) {
  const box = h("div", { class: "folded" }, items.slice(0, shown).map(make));
  if (items.length > shown) {
    const more = h(
      "button",
      {
        type: "button",
        class: "more",
        onclick: () => {
          more.replaceWith(...items.slice(shown).map(make));
        },
      },
      `Show ${items.length - shown} more ${noun}`,
    );
    box.append(more);
  }
  return box;
}

function copyable(text) {
  const said = h("button", { type: "button", class: "copy" }, "Copy");
  said.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      said.textContent = "Selected";
    }
    setTimeout(() => (said.textContent = "Copy"), 1500);
  });
  const code = h("code", null, text);
  return h("div", { class: "command" }, h("pre", null, code), said);
}
