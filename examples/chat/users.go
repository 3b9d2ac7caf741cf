package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.mau.fi/util/confusable"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// user is somebody who has claimed a name.
type user struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
}

// roles are in the order of what they may do.
var roles = []string{"student", "teacher", "admin"}

// moderates says whether u may remove what others wrote, and them.
func (u user) moderates() bool { return u.Role != roles[0] }

// admin says whether u may invite, and ban from the whole chat.
func (u user) admin() bool { return u.Role == roles[len(roles)-1] }

// outranks says whether u's role is above that of v.
func (u user) outranks(v user) bool {
	return slices.Index(roles, u.Role) > slices.Index(roles, v.Role)
}

const (
	// maxName, minPassphrase and maxPassphrase are in characters.
	maxName       = 40
	minPassphrase = 8
	maxPassphrase = 200
)

// cleanName returns a name without needless spaces, or why it is none.
func cleanName(field, name string, limit int) (string, error) {
	name = strings.Join(strings.Fields(name), " ")
	n := utf8.RuneCountInString(name)
	switch {
	case n == 0:
		return "", invalid(field, "Please give a name.")
	case n > limit:
		return "", invalid(field, "That name is too long: %d characters, and %d fit.", n, limit)
	case !utf8.ValidString(name), strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) && !joiner(r) || blank(r) }):
		return "", invalid(field, "That name has characters that cannot be shown.")
	case !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsMark(r) && !unicode.IsSpace(r) && !joiner(r) }):
		return "", invalid(field, "That name has nothing that can be shown.")
	}
	return name, nil
}

// blank says whether r is shown as nothing, although it is a letter, a mark or a symbol.
func blank(r rune) bool {
	return unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || r == '\u2800'
}

// joiner says whether r shapes its neighbours: several scripts and many emoji
// need the zero-width joiner or non-joiner.
func joiner(r rune) bool { return r == '\u200c' || r == '\u200d' }

// alike are the scripts whose letters look like each other's.
var alike = []*unicode.RangeTable{unicode.Latin, unicode.Cyrillic, unicode.Greek}

// nameKey returns what names that could be taken for each other have in common:
// nobody is to be a second Ann as "ann", "Ann " or "Ａｎｎ", and no "раураl" all in
// Cyrillic another's "paypal". A name that mixes scripts which look alike, as a Cyrillic
// А before nn, has no key. A key is not to be shown: to it "m" and "rn" are the same.
func nameKey(name string) (string, error) {
	mixed := 0
	for _, script := range alike {
		if strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(script, r) }) {
			mixed++
		}
	}
	if mixed > 1 {
		return "", invalid("name", "Please write the name in one alphabet.")
	}
	plain := strings.Map(func(r rune) rune {
		if joiner(r) || unicode.Is(unicode.Variation_Selector, r) {
			return -1
		}
		return r
	}, norm.NFKC.String(name))
	key := cases.Fold().String(confusable.Skeleton(cases.Fold().String(plain)))
	// One of the two may have been a capital I.
	return norm.NFKC.String(strings.ReplaceAll(key, "i", "l")), nil
}

func checkPassphrase(passphrase string) error {
	if n := utf8.RuneCountInString(passphrase); n < minPassphrase || n > maxPassphrase {
		return invalid("passphrase", "A passphrase has %d to %d characters. A few words are good.", minPassphrase, maxPassphrase)
	}
	return nil
}

// passphraseHash is what is kept of a passphrase. bcrypt reads 72 bytes at most,
// so it gets a digest.
func (c *chat) passphraseHash(passphrase string) ([]byte, error) {
	return bcrypt.GenerateFromPassword(digest(passphrase), c.config.hashCost)
}

func digest(passphrase string) []byte {
	sum := sha256.Sum256([]byte(norm.NFKC.String(passphrase)))
	return []byte(base64.StdEncoding.EncodeToString(sum[:]))
}

// claim returns the user with a name, if the passphrase is theirs. A name that
// nobody has is theirs from now on, with the given role. Where the role is above
// the user's, the user is raised to it.
func (c *chat) claim(ctx context.Context, name, passphrase, role string) (u user, isNew bool, err error) {
	key, err := nameKey(name)
	if err != nil {
		return user{}, false, err
	}
	u, hash, err := c.userByKey(ctx, key)
	if errors.Is(err, sql.ErrNoRows) {
		if isNew, err = c.addUser(ctx, name, key, passphrase, role); err != nil {
			return user{}, false, err
		}
		u, hash, err = c.userByKey(ctx, key) // whoever was faster
	}
	if err != nil || isNew {
		return u, isNew, err
	}
	if bcrypt.CompareHashAndPassword(hash, digest(passphrase)) != nil {
		p := refuse(http.StatusForbidden, "wrong_passphrase", "“%s” is taken. If it is you, check the passphrase; if not, choose another name.", u.Name)
		p.Field = "passphrase"
		return user{}, false, p
	}
	if slices.Index(roles, role) > slices.Index(roles, u.Role) {
		u.Role = role
		_, err = c.db.ExecContext(ctx, `UPDATE users SET role = ? WHERE id = ?`, role, u.ID)
	}
	return u, false, err
}

func (c *chat) userByKey(ctx context.Context, key string) (u user, hash []byte, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT id, name, role, passphrase FROM users WHERE name_key = ?`, key).
		Scan(&u.ID, &u.Name, &u.Role, &hash)
	return u, hash, err
}

// addUser makes a user, unless there is one with the key.
func (c *chat) addUser(ctx context.Context, name, key, passphrase, role string) (added bool, err error) {
	hash, err := c.passphraseHash(passphrase)
	if err != nil {
		return false, err
	}
	done, err := c.db.ExecContext(ctx, `INSERT INTO users (name, name_key, role, passphrase, created_at)
		VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, name, key, role, hash, now())
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n == 1, err
}

func (c *chat) userByID(ctx context.Context, q querier, id int64) (u user, err error) {
	err = q.QueryRowContext(ctx, `SELECT id, name, role FROM users WHERE id = ?`, id).Scan(&u.ID, &u.Name, &u.Role)
	if errors.Is(err, sql.ErrNoRows) {
		err = notFound("person")
	}
	return u, err
}

// personByID returns a user who has not deleted their account.
func (c *chat) personByID(ctx context.Context, q querier, id int64) (u user, err error) {
	err = q.QueryRowContext(ctx, `SELECT id, name, role FROM users WHERE id = ? AND name_key NOT GLOB 'DELETED *'`, id).Scan(&u.ID, &u.Name, &u.Role)
	if errors.Is(err, sql.ErrNoRows) {
		err = notFound("person")
	}
	return u, err
}

// listUsers answers with those whose names have a word that begins with q.
func (c *chat) listUsers(r *call) (any, error) {
	type known struct {
		user
		IsOnline bool `json:"is_online"`
	}
	q, err := nameKey(strings.TrimSpace(r.FormValue("q")))
	if err != nil {
		q = ""
	}
	like := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(q)
	users, err := collect(r.Context(), c.db, func(rows *sql.Rows, u *known) error {
		if err := rows.Scan(&u.ID, &u.Name, &u.Role); err != nil {
			return err
		}
		u.IsOnline = c.status.online(u.ID)
		return nil
	}, `SELECT id, name, role FROM users WHERE (name_key LIKE ? ESCAPE '\' OR name_key LIKE ? ESCAPE '\')
		AND name_key NOT GLOB 'DELETED *' ORDER BY last_seen DESC, id DESC LIMIT 20`,
		like+"%", "% "+like+"%")
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return map[string]any{"users": users}, nil
}
