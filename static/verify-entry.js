/* One entry of the log, verified by this browser alone (Web Crypto): the hash of its bytes, its path to the signed
   root, the signature, and whether today's log goes on from the one that this browser saw last.

   Formats: RFC 6962 (hashes), RFC 9162 section 2.1 (verification), C2SP tlog-proof, signed-note and tlog-tiles. What
   the server says is never believed: it gives hashes, which lead to the signed root or do not. */

const HASH = 32; // bytes
const WIDTH = 256; // hashes of a tile
const HEIGHT = 8;
const REMEMBERED = "terrain-log";

class Refused extends Error {}
class Unable extends Error {}

const text = new TextEncoder();
const join = (...parts) => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
};
const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const toBase64 = (bytes) => btoa(String.fromCharCode(...bytes));
const fromBase64 = (words) => {
  let bytes;
  try {
    bytes = Uint8Array.from(atob(words), (sign) => sign.charCodeAt(0));
  } catch {
    throw new Refused(`this is not base64: ${words.slice(0, 40)}`);
  }
  if (toBase64(bytes) !== words) throw new Refused(`this base64 is not canonical: ${words.slice(0, 40)}`);
  return bytes;
};
const hashOf = (words) => {
  const hash = fromBase64(words);
  if (hash.length !== HASH) throw new Refused(`a hash holds ${HASH} bytes, not ${hash.length}`);
  return hash;
};
const numberOf = (words) => {
  const number = Number(words);
  if (!/^\d+$/.test(words) || String(number) !== words || !Number.isSafeInteger(number))
    throw new Refused(`this is not a number: ${words.slice(0, 40)}`);
  return number;
};
const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
const leafHash = (leaf) => sha256(join([0], leaf));
const nodeHash = (left, right) => sha256(join([1], left, right));
/* Sizes pass 2^31: halves by division, not by the 32 bits of JavaScript's shifts. */
const half = (number) => Math.floor(number / 2);
const isOdd = (number) => number % 2 === 1;
const splitOf = (count) => {
  let below = 1;
  while (below * 2 < count) below *= 2;
  return below;
};

/* The root to which `path` leads from the leaf hash `value` at `index`. RFC 9162 section 2.1.3.2. */
export const rootByInclusion = async (value, index, size, path) => {
  if (index >= size) throw new Refused(`there is no leaf ${index} in a tree of ${size}`);
  let [place, last] = [index, size - 1];
  for (const sibling of path) {
    if (last === 0) throw new Refused("the proof is too long");
    if (isOdd(place) || place === last) {
      value = await nodeHash(sibling, value);
      while (!isOdd(place) && place) [place, last] = [half(place), half(last)];
    } else value = await nodeHash(value, sibling);
    [place, last] = [half(place), half(last)];
  }
  if (last) throw new Refused("the proof is too short");
  return value;
};

/* Refused unless the tree of `before` leaves is the beginning of that of `after`. RFC 9162 section 2.1.4.2. */
export const verifyConsistency = async (before, after, path, oldRoot, newRoot) => {
  const hashes = [...path];
  if (Number.isInteger(Math.log2(before))) hashes.unshift(oldRoot);
  if (!hashes.length) throw new Refused("the proof is too short");
  let [place, last] = [before - 1, after - 1];
  while (isOdd(place)) [place, last] = [half(place), half(last)];
  let [first, second] = [hashes[0], hashes[0]];
  for (const sibling of hashes.slice(1)) {
    if (last === 0) throw new Refused("the proof is too long");
    if (isOdd(place) || place === last) {
      [first, second] = [await nodeHash(sibling, first), await nodeHash(sibling, second)];
      while (!isOdd(place) && place) [place, last] = [half(place), half(last)];
    } else second = await nodeHash(second, sibling);
    [place, last] = [half(place), half(last)];
  }
  if (last) throw new Refused("the proof is too short");
  if (!same(first, oldRoot)) throw new Refused("the proof leads to another old root");
  if (!same(second, newRoot)) throw new Refused("the proof leads to another new root");
};

/* tlog-proof: { index, path, note }. */
export const parseProof = (words) => {
  const cut = words.indexOf("\n\n");
  const lines = words.slice(0, cut).split("\n");
  if (cut < 0 || lines.shift() !== "c2sp.org/tlog-proof@v1") throw new Refused("this is not a tlog-proof file");
  if (lines[0]?.startsWith("extra ")) lines.shift();
  const [word, index] = (lines.shift() ?? "").split(" ");
  if (word !== "index" || index === undefined) throw new Refused("a tlog-proof names the index of its leaf");
  return { index: numberOf(index), path: lines.map(hashOf), note: words.slice(cut + 2) };
};

/* A signed checkpoint: { origin, size, root, body, signatures: [{ name, id, bytes }] }. */
export const parseNote = (note) => {
  const cut = note.lastIndexOf("\n\n");
  if (cut < 0 || !note.endsWith("\n")) throw new Refused("a note is a text, an empty line, then lines of signatures");
  const body = note.slice(0, cut + 1);
  const [origin, size, root, ...rest] = body.split("\n");
  if (!origin || root === undefined || rest.pop() !== "") throw new Refused("a checkpoint is an origin, a size and a root");
  const signatures = note
    .slice(cut + 2, -1)
    .split("\n")
    .map((line) => {
      const [dash, name, encoded, more] = line.split(" ");
      if (dash !== "—" || !name || !encoded || more !== undefined) throw new Refused("this is not a line of signature");
      const raw = fromBase64(encoded);
      return { name, id: hex(raw.slice(0, 4)), bytes: raw.slice(4) };
    });
  return { origin, size: numberOf(size), root: hashOf(root), body, signatures };
};

/* `name+id+key` of an Ed25519 key. */
export const parseKey = async (words) => {
  const [name, id, ...rest] = words.trim().split("+");
  const raw = fromBase64(rest.join("+"));
  if (raw.length !== 33 || raw[0] !== 1) throw new Refused("this public key is not Ed25519");
  const digest = await sha256(join(text.encode(`${name}\n`), raw));
  if (hex(digest.slice(0, 4)) !== id) throw new Refused("the public key does not fit its own hash");
  return { name, id, bytes: raw.slice(1) };
};

export const verifySignature = async (note, key) => {
  if (note.origin !== key.name) throw new Refused(`this checkpoint is that of ${note.origin}`);
  const mine = note.signatures.filter((one) => one.name === key.name && one.id === key.id);
  if (!mine.length) throw new Refused(`no line is signed by ${key.name} with this key`);
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", key.bytes, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    if (error.name === "NotSupportedError") throw new Unable("Ed25519");
    throw new Refused("this public key is degenerate");
  }
  for (const one of mine) {
    if (!(await crypto.subtle.verify("Ed25519", imported, one.bytes, text.encode(note.body))))
      throw new Refused("the signature does not fit the text");
  }
};

/* The tree as public tiles hold it, as far as `size` leaves: a hash per complete subtree. */
const treeOf = (size, address) => {
  const kept = new Map();
  const tileOf = (level, n) => {
    const name = `${level}/${n}`;
    if (!kept.has(name)) {
      const width = Math.min(WIDTH, Math.floor(size / WIDTH ** level) - n * WIDTH);
      let path = String(n % 1000).padStart(3, "0");
      for (let rest = Math.floor(n / 1000); rest; rest = Math.floor(rest / 1000))
        path = `x${String(rest % 1000).padStart(3, "0")}/${path}`;
      kept.set(name, read(`${address}${level}/${path}${width < WIDTH ? `.p/${width}` : ""}`));
    }
    return kept.get(name).then((answer) => answer.bytes);
  };
  const node = async (level, index) => {
    const [above, inside] = [Math.floor(level / HEIGHT), level % HEIGHT];
    const first = index * 2 ** inside;
    const tile = await tileOf(above, Math.floor(first / WIDTH));
    let hashes = Array.from({ length: 2 ** inside }, (_, at) => {
      const start = ((first % WIDTH) + at) * HASH;
      return tile.slice(start, start + HASH);
    });
    if (hashes.some((hash) => hash.length !== HASH)) throw new Refused("a tile is too short");
    while (hashes.length > 1) {
      const above_ = [];
      for (let at = 0; at < hashes.length; at += 2) above_.push(await nodeHash(hashes[at], hashes[at + 1]));
      hashes = above_;
    }
    return hashes[0];
  };
  const range = async (start, end) => {
    const count = end - start;
    const level = Math.log2(count);
    if (Number.isInteger(level)) return node(level, start / count);
    const middle = start + splitOf(count);
    return nodeHash(await range(start, middle), await range(middle, end));
  };
  return range;
};

/* RFC 6962 section 2.1.2, from tiles. */
const consistencyPath = async (before, after, range) => {
  const path = [];
  let [start, end, whole] = [0, after, true];
  while (end !== before) {
    const middle = start + splitOf(end - start);
    if (before <= middle) {
      path.push(await range(middle, end));
      end = middle;
    } else {
      path.push(await range(start, middle));
      [start, whole] = [middle, false];
    }
  }
  if (!whole) path.push(await range(start, end));
  return path.reverse();
};

const read = async (address) => {
  const answer = await fetch(address, { cache: "no-store", credentials: "same-origin" });
  if (!answer.ok) throw new Error(`${address} answers ${answer.status}`);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return { bytes, text: new TextDecoder().decode(bytes) };
};

const memory = {
  read() {
    try {
      return JSON.parse(localStorage.getItem(REMEMBERED) ?? "null");
    } catch (error) {
      if (error instanceof SyntaxError) return null;
      throw new Unable("localStorage");
    }
  },
  write(note, key) {
    const facts = { origin: note.origin, size: note.size, root: toBase64(note.root), key: toBase64(key.bytes) };
    localStorage.setItem(REMEMBERED, JSON.stringify(facts));
  },
};

/* The four steps; each gives the word of what it found, and what to write beside. */
const STEPS = {
  async leaf(known) {
    const shown = text.encode(document.getElementById("leaf").textContent);
    if (!same(shown, known.leaf)) throw new Refused("other bytes are shown");
    known.hash = await leafHash(known.leaf);
    return ["ok", { leaf: hex(known.hash) }];
  },
  async path(known) {
    const proof = parseProof((await read(known.from.proof)).text);
    if (proof.index !== known.index) throw new Refused(`this is the proof of entry ${proof.index}`);
    known.note = parseNote(proof.note);
    const root = await rootByInclusion(known.hash, proof.index, known.note.size, proof.path);
    if (!same(root, known.note.root)) throw new Refused("the proof leads to another root");
    return ["ok", { steps: String(proof.path.length), size: String(known.note.size) }];
  },
  async signature(known) {
    known.key = await parseKey((await read(known.from.key)).text);
    await verifySignature(known.note, known.key);
    return ["ok", { key: `${known.key.name}+${known.key.id}` }];
  },
  async memory(known) {
    const before = memory.read();
    const { note, key } = known;
    if (!before) return ["first", {}];
    if (before.origin !== note.origin || before.key !== toBase64(key.bytes))
      throw new Refused("the log or its key is another one than the last time");
    const oldRoot = hashOf(before.root);
    if (before.size > note.size) throw new Refused(`the log held ${before.size} entries and holds ${note.size}`);
    if (before.size === note.size) {
      if (!same(oldRoot, note.root)) throw new Refused("two logs of one length have different roots");
      return ["same", {}];
    }
    const range = treeOf(note.size, known.from.tiles);
    const path = await consistencyPath(before.size, note.size, range);
    await verifyConsistency(before.size, note.size, path, oldRoot, note.root);
    return ["ok", { before: String(before.size) }];
  },
};

const say = (place, word, fills = {}) => {
  for (const line of place.querySelectorAll("[data-say]")) line.hidden = line.dataset.say !== word;
  for (const [name, value] of Object.entries(fills)) {
    for (const slot of place.querySelectorAll(`[data-fill="${name}"]`)) slot.textContent = value;
  }
  place.dataset.result = word;
};

const verify = async (section) => {
  const { index, leaf, proof, key, tiles } = section.dataset;
  const known = {
    index: Number(index),
    leaf: fromBase64(leaf),
    from: { proof, key, tiles: tiles.slice(0, -"0/000".length) },
  };
  const steps = section.querySelector("#steps");
  const verdict = section.querySelector("#verdict");
  steps.hidden = false;
  for (const place of section.querySelectorAll("[data-step]")) say(place, "");
  say(verdict, "");
  let found = "ok";
  for (const [name, step] of Object.entries(STEPS)) {
    const place = section.querySelector(`[data-step="${name}"]`);
    try {
      say(place, ...(await step(known)));
    } catch (error) {
      if (error instanceof Unable) {
        say(place, "skip");
        found = "skip";
      } else if (error instanceof Refused) {
        say(place, "no", { reason: error.message });
        return say(verdict, "no"); // nothing after it would mean anything
      } else return say(verdict, "down");
    }
  }
  if (found === "ok") memory.write(known.note, known.key);
  say(verdict, found);
};

const section = document.getElementById("verification");
if (section) {
  const button = section.querySelector("#verify");
  button.hidden = !crypto.subtle; // a page that did not come over a safe line has no Web Crypto
  section.querySelector("#unable").hidden = !button.hidden;
  button.addEventListener("click", async () => {
    button.disabled = true;
    await verify(section);
    button.disabled = false;
    button.focus();
  });
}
