// Verifies bundles of the log a second time, with code that nobody of Terrain wrote: Go's golang.org/x/mod/sumdb.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o verify-go verify.go
//	./verify-go [-key FILE] [-old CHECKPOINT] [-witnesses FILE] BUNDLE...
//
// A BUNDLE is a folder or a zip. Debian: golang-go and golang-golang-x-mod-dev; nothing is fetched. One line a bundle,
// exit 1 when one of them does not hold. index.tsv, dossier.json and MANIFEST.sha256 are not read: nothing rests on
// them.
package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A tree is what a checkpoint says: how many leaves, and their root.
type tree struct {
	size int64
	root tlog.Hash
}

// Everything outside the bundle that its reader trusts.
type trust struct {
	key       string // name+hash+key; empty: the key in the bundle is believed
	old       []byte // a checkpoint kept from an earlier visit, or nil
	witnesses []note.Verifier
}

func number(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	return n, nil
}

func parseTree(size, root string) (tree, error) {
	n, err := number(size)
	if err != nil {
		return tree{}, err
	}
	hash, err := tlog.ParseHash(root)
	return tree{n, hash}, err
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// A witness verifies lines of c2sp.org/tlog-cosignature: type 4, Ed25519 over a text that names its time.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }
func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(signature)
	return ed25519.Verify(w.key, []byte(fmt.Sprintf("cosignature/v1\ntime %d\n%s", at, text)), signature[8:])
}

func parseWitness(line string) (note.Verifier, error) {
	parts := strings.SplitN(line, "+", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("%q is not name+hash+key", line)
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize || raw[0] != 4 {
		return nil, fmt.Errorf("%q is not the key of a witness", line)
	}
	digest := sha256.Sum256(append([]byte(parts[0]+"\n"), raw...))
	if fmt.Sprintf("%x", digest[:4]) != parts[1] {
		return nil, fmt.Errorf("%q does not fit its own hash", line)
	}
	return witness{parts[0], binary.BigEndian.Uint32(digest[:4]), raw[1:]}, nil
}

// open gives the tree of a checkpoint that the log signed; with witnesses, one of them at least cosigned it.
func open(signed []byte, log note.Verifier, witnesses []note.Verifier) (tree, error) {
	opened, err := note.Open(signed, note.VerifierList(append([]note.Verifier{log}, witnesses...)...))
	if err != nil {
		return tree{}, err
	}
	own, cosigned := false, 0
	for _, line := range opened.Sigs {
		if line.Name == log.Name() && line.Hash == log.KeyHash() {
			own = true
		} else {
			cosigned++
		}
	}
	if !own {
		return tree{}, errors.New("the log did not sign this checkpoint")
	}
	if len(witnesses) > 0 && cosigned == 0 {
		return tree{}, errors.New("no witness cosigned this checkpoint")
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != log.Name() {
		return tree{}, errors.New("this note is not a checkpoint of this log")
	}
	return parseTree(lines[1], lines[2])
}

// stored is the tree as tlog keeps it: hashes in the order in which they are complete.
type stored []tlog.Hash

func (s *stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = (*s)[index]
	}
	return hashes, nil
}

func readEntries(bundle fs.FS) ([][]byte, error) {
	raw, err := fs.ReadFile(bundle, "entries.jsonl")
	if err != nil {
		return nil, err
	}
	if !bytes.HasSuffix(raw, []byte("\n")) {
		return nil, errors.New("the last entry is cut")
	}
	return bytes.Split(raw[:len(raw)-1], []byte("\n")), nil
}

func checkWhole(entries [][]byte, signed tree) error {
	if int64(len(entries)) != signed.size {
		return fmt.Errorf("%d entries, the checkpoint says %d", len(entries), signed.size)
	}
	var hashes stored
	for n, entry := range entries {
		more, err := tlog.StoredHashes(int64(n), entry, &hashes)
		if err != nil {
			return err
		}
		hashes = append(hashes, more...)
	}
	root, err := tlog.TreeHash(signed.size, &hashes)
	if err != nil {
		return err
	}
	if root != signed.root {
		return errors.New("the entries do not give the signed root")
	}
	return nil
}

// checkSelection takes entries and proofs in the order of their places: one proof an entry, no other.
func checkSelection(bundle fs.FS, names []string, entries [][]byte, signed tree, checkpoint []byte) error {
	if len(names) != len(entries) {
		return fmt.Errorf("%d entries, %d proofs", len(entries), len(names))
	}
	places := map[int64]string{}
	var order []int64
	for _, name := range names {
		place, err := number(strings.TrimSuffix(strings.TrimPrefix(name, "preuves/"), ".tlog-proof"))
		if err != nil {
			return err
		}
		places[place], order = name, append(order, place)
	}
	sort.Slice(order, func(i, j int) bool { return order[i] < order[j] })
	for i, place := range order {
		raw, err := fs.ReadFile(bundle, places[place])
		if err != nil {
			return err
		}
		parts := strings.SplitN(string(raw), "\n\n", 2)
		lines := strings.Split(parts[0], "\n")
		if len(parts) != 2 || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
			return fmt.Errorf("%s is not a tlog-proof", places[place])
		}
		if parts[1] != string(checkpoint) || lines[1] != fmt.Sprintf("index %d", place) {
			return fmt.Errorf("%s proves something else", places[place])
		}
		path, err := parseHashes(lines[2:])
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(path, signed.size, signed.root, place, tlog.RecordHash(entries[i])); err != nil {
			return fmt.Errorf("entry %d: %w", place, err)
		}
	}
	return nil
}

// openWitnessed gives the tree of the bundle's checkpoint. Witnesses may have cosigned an older one, in temoins/: then
// a proof leads from there.
func openWitnessed(bundle fs.FS, checkpoint []byte, log note.Verifier, witnesses []note.Verifier) (tree, error) {
	older, err := fs.ReadFile(bundle, "temoins/checkpoint")
	if errors.Is(err, fs.ErrNotExist) {
		return open(checkpoint, log, witnesses)
	} else if err != nil {
		return tree{}, err
	}
	signed, err := open(checkpoint, log, nil)
	if err != nil {
		return tree{}, err
	}
	seen, err := open(older, log, witnesses)
	if err != nil {
		return tree{}, fmt.Errorf("temoins/checkpoint: %w", err)
	}
	raw, err := fs.ReadFile(bundle, "temoins/coherence")
	if err != nil {
		return tree{}, err
	}
	parts := strings.SplitN(string(raw), "\n\n", 2)
	lines := strings.Split(parts[0], "\n")
	if len(parts) != 2 || lines[0] != fmt.Sprintf("old %d", seen.size) || parts[1] != string(checkpoint) {
		return tree{}, errors.New("temoins/coherence proves something else")
	}
	path, err := parseHashes(lines[1:])
	if err != nil {
		return tree{}, err
	}
	return signed, tlog.CheckTree(path, signed.size, signed.root, seen.size, seen.root)
}

func checkConsistency(bundle fs.FS, signed tree, kept *tree) error {
	raw, err := fs.ReadFile(bundle, "coherence.txt")
	if errors.Is(err, fs.ErrNotExist) {
		if kept != nil && *kept != signed {
			return errors.New("no proof leads from the checkpoint that was kept to this one")
		}
		return nil
	} else if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	if len(lines) < 2 {
		return errors.New("coherence.txt is cut")
	}
	old, err := parseTree(lines[0], lines[1])
	if err != nil {
		return err
	}
	if kept != nil && *kept != old {
		return errors.New("coherence.txt starts from another checkpoint than the one that was kept")
	}
	path, err := parseHashes(lines[2:])
	if err != nil {
		return err
	}
	return tlog.CheckTree(path, signed.size, signed.root, old.size, old.root)
}

// check gives what was verified, in a few words, or why it does not hold.
func check(bundle fs.FS, trusted trust) (string, error) {
	raw, err := fs.ReadFile(bundle, "cle-publique.txt")
	if err != nil {
		return "", err
	}
	key := strings.TrimSuffix(string(raw), "\n")
	if trusted.key != "" && trusted.key != key {
		return "", errors.New("the key of the bundle is not the trusted one")
	}
	log, err := note.NewVerifier(key)
	if err != nil {
		return "", err
	}
	checkpoint, err := fs.ReadFile(bundle, "checkpoint")
	if err != nil {
		return "", err
	}
	signed, err := openWitnessed(bundle, checkpoint, log, trusted.witnesses)
	if err != nil {
		return "", err
	}
	entries, err := readEntries(bundle)
	if err != nil {
		return "", err
	}
	proofs, err := fs.Glob(bundle, "preuves/*.tlog-proof")
	if err != nil {
		return "", err
	}
	form := "the whole log"
	if len(proofs) == 0 {
		err = checkWhole(entries, signed)
	} else {
		form = "a selection"
		err = checkSelection(bundle, proofs, entries, signed, checkpoint)
	}
	if err != nil {
		return "", err
	}
	var genesis struct{ Keys []string }
	if err := json.Unmarshal(entries[0], &genesis); err != nil {
		return "", err
	}
	if len(genesis.Keys) != 1 || genesis.Keys[0] != key {
		return "", errors.New("entry 0 does not name this key")
	}
	var kept *tree
	if trusted.old != nil {
		old, err := open(trusted.old, log, nil)
		if err != nil {
			return "", fmt.Errorf("the checkpoint that was kept: %w", err)
		}
		kept = &old
	}
	return fmt.Sprintf("%d entries, %s, root %v", len(entries), form, signed.root), checkConsistency(bundle, signed, kept)
}

func checkAt(path string, trusted trust) (string, error) {
	about, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if about.IsDir() {
		return check(os.DirFS(path), trusted)
	}
	archive, err := zip.OpenReader(path)
	if err != nil {
		return "", err
	}
	defer archive.Close()
	return check(archive, trusted)
}

func main() {
	key := flag.String("key", "", "the log's public key, obtained elsewhere")
	old := flag.String("old", "", "a checkpoint kept from an earlier visit")
	witnesses := flag.String("witnesses", "", "public keys of witnesses, one a line")
	flag.Parse()
	read := func(path string) []byte {
		if path == "" {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return raw
	}
	trusted := trust{key: strings.TrimSpace(string(read(*key))), old: read(*old)}
	for _, line := range strings.Fields(string(read(*witnesses))) {
		verifier, err := parseWitness(line)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		trusted.witnesses = append(trusted.witnesses, verifier)
	}
	out, code := bufio.NewWriter(os.Stdout), 0
	for _, path := range flag.Args() {
		if said, err := checkAt(path, trusted); err != nil {
			code = 1
			fmt.Fprintf(out, "FAIL %s: %v\n", path, err)
		} else {
			fmt.Fprintf(out, "OK %s: %s\n", path, said)
		}
	}
	out.Flush()
	if flag.NArg() == 0 {
		code = 2
	}
	os.Exit(code)
}
