package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/joho/godotenv"
)

// commandLine is what flags say that set nothing by themselves.
type commandLine struct {
	file, envFile string
	debug         bool
	// given are the texts of the flags that set a setting, by their names.
	given map[string]string

	webhooks      []string
	webhookEvents string
	webhookPrefix string
	webhookBatch  bool
	histories     []string
	rewind        int
	leaveGrace    time.Duration
}

// setting is one that has a flag.
type setting struct {
	flag, help string
	env        []string
	value      reflect.Value
}

// settingsOf yields the settings that have flags, of a *Settings or an *App.
func settingsOf(of any, f func(setting)) { walkSettings(reflect.ValueOf(of).Elem(), "", f) }

func walkSettings(v reflect.Value, path string, f func(setting)) {
	fieldsOf(v, func(key string, field reflect.StructField, value reflect.Value) {
		key = join(path, key)
		if value.Kind() == reflect.Struct {
			walkSettings(value, key, f)
			return
		}
		help := field.Tag.Get("help")
		name := field.Tag.Get("flag")
		if help == "" {
			return
		}
		if name == "" {
			name = strings.NewReplacer(".", "-", "_", "-").Replace(key)
		}
		s := setting{flag: name, help: help, value: value, env: []string{"CARILLON_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}}
		if alias := field.Tag.Get("env"); alias != "" {
			s.env = append(s.env, alias)
		}
		f(s)
	})
}

// parseFlags writes the help to output if it is asked for.
func parseFlags(args []string, output io.Writer) (*commandLine, error) {
	c := &commandLine{given: make(map[string]string)}
	flags := flag.NewFlagSet("carillon run", flag.ContinueOnError)
	var text bytes.Buffer
	flags.SetOutput(&text)
	flags.Usage = func() {
		text.WriteString("carillon run serves the apps of a file, or that of PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET.\n" +
			"A flag goes before its variable, CARILLON_ and the flag's name in capitals, and that before the file.\n" +
			"Flags about apps are for all of them.\n\n")
		flags.PrintDefaults()
	}
	flags.StringVar(&c.file, "config", "", "`file` with the configuration (also CARILLON_CONFIG): see carillon check")
	flags.StringVar(&c.envFile, "env-file", "", "`file` with environment variables, such as Laravel's .env; those that are set go before it")
	flags.BoolVar(&c.debug, "debug", false, "log refused connections and requests too, and webhooks that will be sent again: -log-level debug")
	flags.Func("webhook", "`URL` to send webhooks to; may be given several times", func(s string) error {
		c.webhooks = append(c.webhooks, s)
		return nil
	})
	flags.StringVar(&c.webhookEvents, "webhook-events", "", "comma-separated `list` of the events to send; empty sends all")
	flags.StringVar(&c.webhookPrefix, "webhook-channels", "", "`prefix` of the channels whose events are sent")
	flags.BoolVar(&c.webhookBatch, "webhook-batch", false, "send several webhook events in one request")
	flags.Func("history", "keep the last n events of channels that match a pattern, `pattern=n[,age]`; may be given several times", func(s string) error {
		c.histories = append(c.histories, s)
		return nil
	})
	flags.IntVar(&c.rewind, "rewind", 0, "give new subscribers up to the last `n` events that -history keeps, at most 8192")
	flags.DurationVar(&c.leaveGrace, "leave-grace", 0, "how long members of presence channels stay after their last connection has gone")
	defaults, app := Default(), defaultApp()
	for _, of := range []any{&defaults, &app} {
		settingsOf(of, func(s setting) {
			note := func(text string) error { c.given[s.flag] = text; return nil }
			help := s.help
			if d := describe(s.value); d != "" {
				help += " (default " + d + ")"
			}
			if s.value.Kind() == reflect.Bool {
				flags.BoolFunc(s.flag, help, note)
			} else {
				flags.Func(s.flag, help, note)
			}
		})
	}
	if err := flags.Parse(args); err != nil {
		// Every parse error ends in the help; only who asks for it wants it.
		if errors.Is(err, flag.ErrHelp) {
			_, _ = text.WriteTo(output)
		}
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return c, nil
}

// describe writes a default value for the help; nothing for one that says nothing.
func describe(v reflect.Value) string {
	if v.IsZero() {
		return ""
	}
	if list, ok := v.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(v.Interface())
}

// withFile returns an environment that has the variables of a file as well.
func withFile(env func(string) string, file string) (func(string) string, error) {
	if file == "" {
		return env, nil
	}
	text, err := readFile(file)
	if err != nil {
		return nil, fmt.Errorf("-env-file: %w", err)
	}
	more, err := godotenv.UnmarshalBytes(text)
	if err != nil {
		// What the library says has the rest of the file in it, passwords and all.
		return nil, fmt.Errorf("-env-file: %s: line %d is not NAME=value, or begins a quotation that does not end", file, wrongLine(text))
	}
	return func(name string) string {
		if v := env(name); v != "" {
			return v
		}
		return more[name]
	}, nil
}

// wrongLine is the line of a file of variables from which on it cannot be read: the one
// after as much as can.
func wrongLine(text []byte) (line int) {
	number, end := 1, 0
	line = number
	for l := range bytes.Lines(text[:min(len(text), maxReferenced)]) {
		end += len(l)
		number++
		if _, err := godotenv.UnmarshalBytes(text[:end]); err == nil {
			line = number
		}
	}
	return line
}

// override sets what variables and flags say: those of the server on s, those of the apps
// on an app that stands for all of them.
func (n *notes) override(s *Settings, app *App, c *commandLine, env func(string) string) {
	for _, of := range []any{s, app} {
		settingsOf(of, func(s setting) {
			for i := len(s.env) - 1; i >= 0; i-- {
				if text := env(s.env[i]); text != "" {
					n.text(s.value, text, s.env[i])
				}
			}
			if text, ok := c.given[s.flag]; ok {
				n.text(s.value, text, "-"+s.flag)
			}
		})
	}
}

// text sets a field to what a text says.
func (n *notes) text(to reflect.Value, text, where string) {
	var err error
	switch v := to.Addr().Interface().(type) {
	case *string:
		*v = text
	case *bool:
		*v, err = strconv.ParseBool(text)
	case *int:
		*v, err = strconv.Atoi(text)
	case *float64:
		*v, err = strconv.ParseFloat(text, 64)
	case *time.Duration:
		*v, err = time.ParseDuration(text)
	case *[]string:
		*v = list(text)
		for i := range *v {
			n.origins[&(*v)[i]] = origin{where: where}
		}
	}
	if err != nil {
		n.mistakes = append(n.mistakes, Problem{Where: where, Text: fmt.Sprintf("%q is not %s", text, map[reflect.Kind]string{
			reflect.Bool: "true or false", reflect.Int: "a whole number", reflect.Float64: "a number", reflect.Int64: "a time such as 45s",
		}[to.Kind()])})
		return
	}
	n.origins[to.Addr().Interface()] = origin{where: where}
}

// list splits at commas and drops what is empty.
func list(s string) []string {
	all := []string{}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			all = append(all, item)
		}
	}
	return all
}
