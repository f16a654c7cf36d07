// Reads the packed data: see pack.py for its form.

const read = (element) => unpack(JSON.parse(element.textContent));

function unpack({ shapes, values, root }) {
  const known = new Array(values.length);
  const hole = "\ue000";

  function item(packed) {
    return typeof packed === "string" ? value(parseInt(packed, 36)) : packed;
  }

  function value(place) {
    if (known[place] === undefined) {
      const packed = values[place];
      known[place] = typeof packed === "string" ? packed : composite(packed);
    }
    return known[place];
  }

  function composite([shape, ...items]) {
    if (shape === -1) return items.map(item);
    if (shape === -2) {
      const pieces = item(items[0]).split(hole);
      return pieces.map((piece, at) => (at ? items[at] + piece : piece)).join("");
    }
    // without a prototype: a key comes from a model, and may be named like a part of Object's
    const found = Object.create(null);
    shapes[shape].forEach((key, at) => {
      found[key] = item(items[at]);
    });
    return found;
  }

  return item(root);
}
