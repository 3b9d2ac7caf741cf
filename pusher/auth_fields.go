package pusher

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/carillon-rt/carillon/broker"
)

// authFields are what a client asks an AuthHandler.
type authFields struct {
	socketID string
	channels []string
	// several says that channels is a list, be it one of a single channel.
	several bool

	// resume is what the client wants to say of positions within its channel_data; nil
	// for nothing.
	resume *resumeData

	body []byte // as it came, unless a middleware has read it
}

func (f *authFields) channel() string {
	if len(f.channels) == 0 {
		return ""
	}
	return f.channels[0]
}

// rewind makes the request's body ready to be read again.
func (f *authFields) rewind(r *http.Request) {
	if f.body != nil {
		r.Body = io.NopCloser(bytes.NewReader(f.body))
	}
}

// read takes the fields from the body, or else from the query. The body may be read
// again, for what else the page has put into it.
func (h *AuthHandler) read(w http.ResponseWriter, r *http.Request) (*authFields, error) {
	asked := new(authFields)
	media, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isJSON := media == "application/json" || strings.HasSuffix(media, "+json")
	if !isJSON && len(r.PostForm) > 0 {
		// A middleware has parsed the form, and left nothing of the body.
		asked.fromForm(r.PostForm)
	} else {
		var err error
		if asked.body, err = h.bodies.read(w, r, maxAuthBody, nil); err != nil {
			return nil, err
		}
		asked.rewind(r)
		switch {
		case isJSON && len(asked.body) > 0:
			err = asked.fromJSON()
		case media == "multipart/form-data":
			err = asked.fromMultipart(params["boundary"])
		default: // whatever it is called: some clients do not say
			var form url.Values
			if form, err = url.ParseQuery(string(asked.body)); err != nil {
				err = badRequest("body is not a valid form: %v", err)
			}
			asked.fromForm(form)
		}
		if err != nil {
			return nil, err
		}
	}
	asked.fromForm(r.URL.Query())
	if r := asked.resume; r != nil && (len(r.After) > maxPosition || len(r.Sockets) > maxSockets) {
		return nil, &broker.FieldError{Field: "resume", Problem: "is no position, or has too many sockets"}
	}
	if len(asked.channels) > MaxAuthChannels {
		return nil, &broker.FieldError{Field: "channel_name", Problem: "has too many channels", Limit: MaxAuthChannels, Got: len(asked.channels)}
	}
	return asked, nil
}

func (f *authFields) fromJSON() error {
	var names, resume json.RawMessage
	var sockets string
	if err := parseObject(f.body, "body", field{name: "socket_id", text: &f.socketID}, field{name: "channel_name", raw: &names},
		field{name: "resume", raw: &resume}, field{name: "resume_sockets", text: &sockets}); err != nil {
		return err
	}
	if after, ok := jsonString(resume); ok {
		f.resumes(after, sockets)
	}
	if len(names) == 0 || names[0] != '[' {
		name := ""
		err := (&field{name: "channel_name", text: &name}).set(orNull(names))
		if name != "" {
			f.channels = []string{name}
		}
		return err
	}
	f.several = true
	var err error
	f.channels, err = stringList("channel_name", names)
	return err
}

// resumes notes the position after which the client wants to go on, or none, and its
// earlier socket IDs, separated by commas.
func (f *authFields) resumes(after, sockets string) {
	f.resume = &resumeData{Version: 1, After: after}
	if sockets != "" {
		f.resume.Sockets = strings.Split(sockets, ",")
	}
}

func orNull(raw json.RawMessage) []byte {
	if len(raw) == 0 {
		return []byte("null")
	}
	return raw
}

func (f *authFields) fromMultipart(boundary string) error {
	form, err := multipart.NewReader(bytes.NewReader(f.body), boundary).ReadForm(maxAuthBody)
	if err != nil {
		return badRequest("body is not a valid multipart form: %v", err)
	}
	f.fromForm(form.Value)
	return form.RemoveAll()
}

// fromForm takes what is not known yet from a form or a query: one channel as
// channel_name, or several as channel_name, channel_name[] or channel_name[0], …
func (f *authFields) fromForm(form url.Values) {
	if f.socketID == "" {
		f.socketID = form.Get("socket_id")
	}
	if f.resume == nil && form.Has("resume") {
		f.resumes(form.Get("resume"), form.Get("resume_sockets"))
	}
	if len(f.channels) > 0 {
		return
	}
	f.channels = form["channel_name"]
	f.several = len(f.channels) > 1
	var keys []string
	for key := range form {
		if index, ok := strings.CutPrefix(key, "channel_name["); ok && strings.HasSuffix(index, "]") {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(indexOf(a), indexOf(b)), strings.Compare(a, b))
	})
	for _, key := range keys {
		f.several = true
		f.channels = append(f.channels, form[key]...)
	}
}

func indexOf(key string) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(key, "channel_name["), "]"))
	return n
}
