package pusher

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TimestampWindow is how far the auth_timestamp of a request may be from now.
const TimestampWindow = 600 * time.Second

// parameter is one of a query, decoded.
type parameter struct{ key, value string }

// splitQuery takes a query apart at each & and, since some SDKs send values as
// they are, at the first = only. Keys are lower-cased, and what is not valid
// percent-encoding is left as it is.
func splitQuery(raw string) []parameter {
	var all []parameter
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		all = append(all, parameter{strings.ToLower(unescape(key)), unescape(value)})
	}
	return all
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// verifyQuery checks all of a request but its body, of which the MD5 is signed,
// and returns its parameters
// (https://pusher.com/docs/channels/library_auth_reference/rest-api/#authentication).
func verifyQuery(app *App, r *http.Request) (url.Values, error) {
	params := splitQuery(r.URL.RawQuery)
	query := make(url.Values, len(params))
	for _, p := range params {
		query.Add(p.key, p.value)
	}
	for _, name := range [...]string{"auth_key", "auth_timestamp", "auth_version", "auth_signature"} {
		if query.Get(name) == "" {
			return nil, fmt.Errorf("%w: %s is missing", ErrSignature, name)
		}
	}
	if key := query.Get("auth_key"); key != app.Key {
		return nil, fmt.Errorf("%w: auth_key %q is not the app's", ErrSignature, key)
	}
	if v := query.Get("auth_version"); v != "1.0" {
		return nil, fmt.Errorf("%w: auth_version %q is not 1.0", ErrSignature, v)
	}
	if err := checkTimestamp(query.Get("auth_timestamp")); err != nil {
		return nil, err
	}
	signed := signedQuery(params)
	for _, path := range signedPaths(r) {
		if app.signed(query.Get("auth_signature"), r.Method, "\n", path, "\n", signed) {
			return query, nil
		}
	}
	return nil, fmt.Errorf("%w: auth_signature does not match method, path, parameters and secret", ErrSignature)
}

var errNoMD5 = fmt.Errorf("%w: body_md5 is missing", ErrSignature)

// verifyBody checks a body, of which got is the MD5, against the query that was
// signed. An empty one may go without.
func verifyBody(query url.Values, body, got []byte) error {
	switch signed := query.Get("body_md5"); {
	case signed == "" && len(body) > 0:
		return errNoMD5
	case signed != "" && !equal(signed, hex.EncodeToString(got)):
		return fmt.Errorf("%w: body_md5 is not the MD5 of the body", ErrSignature)
	}
	return nil
}

func checkTimestamp(s string) error {
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: auth_timestamp %q is not a number of seconds", ErrTimestamp, s)
	}
	if age := time.Now().Unix() - seconds; age > int64(TimestampWindow/time.Second) || age < -int64(TimestampWindow/time.Second) {
		return fmt.Errorf("%w: auth_timestamp is %d s from the server's time, the limit is %d s", ErrTimestamp, age, int64(TimestampWindow/time.Second))
	}
	return nil
}

// signedQuery puts the parameters into the form in which they are signed: sorted
// by key, not encoded, without the signature itself.
func signedQuery(params []parameter) string {
	params = slices.DeleteFunc(slices.Clone(params), func(p parameter) bool { return p.key == "auth_signature" })
	slices.SortStableFunc(params, func(a, b parameter) int { return strings.Compare(a.key, b.key) })
	var s strings.Builder
	for i, p := range params {
		if i > 0 {
			s.WriteByte('&')
		}
		s.WriteString(p.key)
		s.WriteByte('=')
		s.WriteString(p.value)
	}
	return s.String()
}

// signedPaths are the paths that the client may have signed: the one that it
// sent or that without the prefix of the mount, as it is or decoded.
func signedPaths(r *http.Request) []string {
	raw := r.URL.EscapedPath()
	if sent, _, _ := strings.Cut(r.RequestURI, "?"); strings.HasPrefix(sent, "/") {
		// What a middleware strips from the URL is still here.
		raw = sent
	}
	paths := []string{raw}
	if i := strings.Index(raw, "/apps/"); i > 0 {
		paths = append(paths, raw[i:])
	}
	// The prefix itself may have "/apps/" in it.
	if i := strings.LastIndex(raw, "/apps/"); i > 0 && !slices.Contains(paths, raw[i:]) {
		paths = append(paths, raw[i:])
	}
	for _, p := range paths {
		if plain, err := url.PathUnescape(p); err == nil && plain != p {
			paths = append(paths, plain)
		}
	}
	return paths
}
